//! What is known of groups and of what they refer to, for questions about more than one: from manifests, a state directory, or
//! a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::adapters::directory::{FileProblem, Manifest, read_cidr_sets, read_groups, read_manifests};
use crate::adapters::kube::Cluster;
use crate::api::{CidrSet, SecurityGroup};
use crate::core::activity::presentable;
use crate::core::desired::{Referent, ReferentKind, parse};
use crate::core::reach::{Basis, Grants, World};
use crate::ports::objects::Key;

use super::error::CliError;
use super::output::tell;
use super::place::{Place, PlaceArgs};

/// The label that every namespace has, with its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The namespace of names without one, where nothing says another and files are read.
const DEFAULT_NAMESPACE: &str = "default";

/// Where to look.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Read manifests, a file or a directory of them, instead of a cluster; with --state also what is live
    #[arg(long = "filename", short = 'f', value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    files: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// Some groups, with what they refer to.
    Named(&'a [Referent]),
    /// The groups of a namespace, or of all.
    Listed {
        /// Of all.
        everywhere: bool,
    },
}

/// Where groups are looked up, opened.
pub(super) enum Source {
    /// In files: all there is is known at once.
    Files { world: Box<World>, namespace: Option<String> },
    /// In a cluster, object by object.
    Cluster { cluster: Box<Cluster>, namespace: String },
}

impl SourceArgs {
    pub(super) async fn open(&self) -> Result<Source, CliError> {
        let namespace = self.place.namespace().map(str::to_owned);
        if let Some(files) = &self.files {
            let mut world = manifests(files)?;
            if let Some(state) = self.place.state() {
                dress(&mut world, read_groups(state).map_err(CliError::from_error)?);
            }
            return Ok(Source::Files { world: Box::new(world), namespace });
        }
        match self.place.open().await? {
            Place::Cluster { cluster, namespace } => Ok(Source::Cluster { cluster, namespace }),
            Place::Directory { objects, namespace } => {
                let sets = self.place.state().map_or_else(|| Ok(Vec::new()), read_cidr_sets).map_err(CliError::from_error)?;
                let mut world = World { basis: Basis::Objects, ..World::default() };
                world.groups.extend(objects.into_iter().filter_map(group_of));
                world.sets.extend(sets.into_iter().filter_map(set_of));
                Ok(Source::Files { world: Box::new(world), namespace })
            }
        }
    }
}

impl Source {
    /// The object that a name means.
    pub(super) fn name(&self, text: &str) -> Result<Referent, CliError> {
        let referent = |namespace: &str, name: &str| Referent {
            kind: ReferentKind::SecurityGroup,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        if let Some((namespace, name)) = text.split_once('/') {
            return Ok(referent(namespace, name));
        }
        match self {
            Self::Cluster { cluster: _, namespace } | Self::Files { world: _, namespace: Some(namespace) } => {
                Ok(referent(namespace, text))
            }
            Self::Files { world, namespace: None } => {
                match world.groups.keys().filter(|known| known.name == text).collect::<Vec<_>>().as_slice() {
                    [only] => Ok((*only).clone()),
                    [] => Ok(referent(DEFAULT_NAMESPACE, text)),
                    [_, ..] => Err(CliError::new(format!("several namespaces have a group {text}: write <namespace>/{text}"))),
                }
            }
        }
    }

    /// What is known for a question, and the groups that are in its scope.
    pub(super) async fn world(self, scope: Scope<'_>) -> Result<(World, BTreeSet<Referent>), CliError> {
        match self {
            Self::Files { world, namespace } => {
                let wanted = |name: &&Referent| namespace.as_ref().is_none_or(|namespace| name.namespace == *namespace);
                let names = match scope {
                    Scope::Named(names) => names.iter().cloned().collect(),
                    Scope::Listed { everywhere: true } => world.groups.keys().cloned().collect(),
                    Scope::Listed { everywhere: false } => world.groups.keys().filter(wanted).cloned().collect(),
                };
                Ok((*world, names))
            }
            Self::Cluster { cluster, namespace } => {
                let mut world = World { basis: Basis::Objects, grants: Some(Grants::default()), ..World::default() };
                match scope {
                    Scope::Named(names) => {
                        for name in names {
                            read_group(&cluster, name, &mut world).await?;
                        }
                    }
                    Scope::Listed { everywhere } => {
                        let namespace = namespace.clone();
                        let place = Place::Cluster { cluster: cluster.clone(), namespace };
                        world.groups.extend(place.groups(&[], everywhere).await?.into_iter().filter_map(group_of));
                    }
                }
                let names: BTreeSet<Referent> = world.groups.keys().cloned().collect();
                read_referents(&cluster, &names, &mut world).await?;
                Ok((world, names))
            }
        }
    }
}

/// Everything that manifests say.
fn manifests(path: &Path) -> Result<World, CliError> {
    let found = read_manifests(path).map_err(|problems| problems_error(&problems))?;
    let mut world = World { grants: Some(Grants::default()), ..World::default() };
    let mut grants = Grants::default();
    for (id, manifest) in found.manifests {
        let file = found.places.get(&id).map(|place| format!("{}:{}", place.file.display(), place.line));
        match manifest {
            Manifest::SecurityGroup(object) => {
                if let Some((name, object)) = group_of(*object) {
                    world.files.extend(file.map(|file| (name.clone(), file)));
                    grants.labels.entry(name.namespace.clone()).or_insert_with(|| bare(&name.namespace));
                    world.groups.insert(name, object);
                }
            }
            Manifest::CidrSet(set) => {
                if let Some((name, set)) = set_of(set) {
                    world.files.extend(file.map(|file| (name.clone(), file)));
                    world.sets.insert(name, set);
                }
            }
            Manifest::ReferenceGrant(grant) => grants.objects.push(grant),
            Manifest::Namespace(namespace) => {
                let labels = namespace.metadata.labels.unwrap_or_default();
                grants.labels.insert(namespace.metadata.name.unwrap_or_default(), labels);
            }
            Manifest::AwsAccount(account) => {
                let name = account.metadata.name.clone().unwrap_or_default();
                world.accounts.extend(account.spec.account_id.as_str().parse().ok().map(|id| (name, id)));
            }
            Manifest::Notifier(_) => {}
        }
    }
    world.grants = Some(grants);
    Ok(world)
}

/// A namespace's labels where no manifest declares it.
fn bare(namespace: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME_LABEL.to_owned(), namespace.to_owned())])
}

fn problems_error(problems: &[FileProblem]) -> CliError {
    let texts: Vec<String> = problems.iter().map(|problem| CliError::new(problem.to_string()).to_string()).collect();
    CliError::new(texts.join("; "))
}

/// Gives manifests the status that a state directory has of them.
fn dress(world: &mut World, stored: Vec<SecurityGroup>) {
    world.basis = Basis::Objects;
    for (name, object) in stored.into_iter().filter_map(group_of) {
        if let Some(manifest) = world.groups.get_mut(&name) {
            manifest.status = object.status;
        }
    }
}

fn group_of(object: SecurityGroup) -> Option<(Referent, SecurityGroup)> {
    let Key { namespace, name } = Key::of(&object.metadata)?;
    Some((Referent { kind: ReferentKind::SecurityGroup, namespace, name }, object))
}

fn set_of(set: CidrSet) -> Option<(Referent, CidrSet)> {
    let Key { namespace, name } = Key::of(&set.metadata)?;
    Some((Referent { kind: ReferentKind::CidrSet, namespace, name }, set))
}

fn key(referent: &Referent) -> Key {
    Key { namespace: referent.namespace.clone(), name: referent.name.clone() }
}

async fn read_group(cluster: &Cluster, name: &Referent, world: &mut World) -> Result<(), CliError> {
    if !world.groups.contains_key(name) {
        let found = cluster.group(&key(name)).await.map_err(CliError::from_error)?;
        world.groups.extend(found.map(|stored| (name.clone(), stored.object)));
    }
    Ok(())
}

/// What some groups refer to, and who allows that.
async fn read_referents(cluster: &Cluster, names: &BTreeSet<Referent>, world: &mut World) -> Result<(), CliError> {
    let mut wanted: BTreeMap<Referent, BTreeSet<String>> = BTreeMap::new();
    for name in names {
        // What is wrong with a manifest is told by whoever asks about it.
        let Some(Ok(declaration)) = world.groups.get(name).map(parse) else { continue };
        for referent in declaration.references() {
            wanted.entry(referent.clone()).or_default().insert(name.namespace.clone());
        }
    }
    let mut grants = Grants::default();
    let mut asked = BTreeSet::new();
    for (referent, users) in wanted {
        match referent.kind {
            ReferentKind::SecurityGroup => read_group(cluster, &referent, world).await?,
            ReferentKind::CidrSet => {
                let set = cluster.cidr_set(&key(&referent)).await.map_err(CliError::from_error)?;
                world.sets.extend(set.map(|set| (referent.clone(), set)));
            }
        }
        let users: Vec<String> = users.into_iter().filter(|user| *user != referent.namespace).collect();
        if !users.is_empty() && asked.insert(referent.namespace.clone()) {
            grants.objects.extend(cluster.grants(&referent.namespace).await.map_err(CliError::from_error)?);
        }
        for user in users {
            if !grants.labels.contains_key(&user) {
                let labels = cluster.labels(&user).await.map_err(CliError::from_error)?;
                grants.labels.extend(labels.map(|labels| (user, labels)));
            }
        }
    }
    world.grants = Some(grants);
    Ok(())
}

/// Tells of groups that are left out.
pub(super) fn tell_left_out(name: &Referent, why: &str) {
    tell(&format!("sgwarden: {name} is left out: {}", presentable(why)));
}
