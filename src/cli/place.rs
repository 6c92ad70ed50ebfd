//! Where objects are looked up: in a cluster, or in the state directory of `sgwarden run`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::adapters::directory::read_groups;
use crate::adapters::kube::{Cluster, ClusterOptions, Listed, Stored, connect};
use crate::api::{DriftRecord, SECURITY_GROUPS, SecurityGroup};
use crate::core::activity::presentable;
use crate::core::amend::Amendment;
use crate::ports::objects::{Key, ObjectsError};

use super::error::CliError;
use super::output::tell;

/// Which cluster, as kubectl is told.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// Namespace of names without one; default: that of the kubeconfig's context
    #[arg(long, short, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// Kubeconfig file; default: as kubectl, and the service account in a pod
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    /// The cluster, and the namespace of names without one.
    pub(super) async fn open(&self) -> Result<(Cluster, String), CliError> {
        let options = ClusterOptions { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        let cluster = connect(&options).await.map_err(CliError::from_error)?;
        let namespace = self.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
        Ok((cluster, namespace))
    }
}

/// Which objects: of a cluster, or of a state directory.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Look into the state directory of sgwarden run instead of a cluster
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    state: Option<PathBuf>,
}

/// Where objects are.
pub(super) enum Place {
    /// In a cluster.
    Cluster {
        /// The cluster.
        cluster: Box<Cluster>,
        /// The namespace of names without one.
        namespace: String,
    },
    /// In a state directory.
    Directory {
        /// Everything in it.
        objects: Vec<SecurityGroup>,
        /// The namespace of names without one; `None`: any.
        namespace: Option<String>,
    },
}

impl PlaceArgs {
    /// The namespace of names without one, where it is said.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.cluster.namespace.as_deref()
    }

    /// The state directory, where one is to be looked into.
    pub(super) fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    pub(super) async fn open(&self) -> Result<Place, CliError> {
        if let Some(directory) = &self.state {
            let objects = read_groups(directory).map_err(CliError::from_error)?;
            return Ok(Place::Directory { objects, namespace: self.cluster.namespace.clone() });
        }
        let (cluster, namespace) = self.cluster.open().await?;
        Ok(Place::Cluster { cluster: Box::new(cluster), namespace })
    }
}

impl Place {
    /// Every object, of all namespaces or of the one; where names are given, those.
    pub(super) async fn groups(&self, names: &[String], everywhere: bool) -> Result<Vec<SecurityGroup>, CliError> {
        if !names.is_empty() {
            let mut found = Vec::new();
            for name in names {
                found.push(self.group(name).await?.object);
            }
            return Ok(found);
        }
        match self {
            Self::Cluster { cluster, namespace } => {
                let namespace = (!everywhere).then_some(namespace.as_str());
                let listed = cluster.groups(namespace).await.map_err(CliError::from_error)?;
                tell_unreadable(&listed);
                Ok(listed.objects)
            }
            Self::Directory { objects, namespace } => {
                let wanted = |object: &&SecurityGroup| everywhere || namespace.is_none() || object.metadata.namespace == *namespace;
                Ok(objects.iter().filter(wanted).cloned().collect())
            }
        }
    }

    /// The object of a name, which may be `<namespace>/<name>`.
    pub(super) async fn group(&self, name: &str) -> Result<Stored, CliError> {
        match self {
            Self::Cluster { cluster, namespace: usual } => {
                let key = named(name, usual);
                let found = cluster.group(&key).await.map_err(CliError::from_error)?;
                found.ok_or_else(|| CliError::new(format!("there is no {SECURITY_GROUPS} {key}")))
            }
            Self::Directory { objects, namespace: usual } => {
                let (namespace, name) = parted(name);
                let namespace = namespace.or(usual.as_deref());
                let is_it = |object: &&SecurityGroup| {
                    let meta = &object.metadata;
                    meta.name.as_deref() == Some(name) && (namespace.is_none() || meta.namespace.as_deref() == namespace)
                };
                match objects.iter().filter(is_it).collect::<Vec<_>>().as_slice() {
                    [object] => Ok(Stored { object: (*object).clone(), spec: Value::Null }),
                    [] => Err(CliError::new(format!("the state directory has no group {name}"))),
                    [_, ..] => Err(CliError::new(format!("several namespaces have a group {name}: write <namespace>/{name}"))),
                }
            }
        }
    }

    /// Writes an amendment to the object it was made for, or says why not.
    pub(super) async fn amend(&self, stored: &Stored, amendment: &Amendment) -> Result<(), CliError> {
        let name = key(&stored.object);
        let Self::Cluster { cluster, namespace: _ } = self else {
            return Err(CliError::new("--apply writes to a cluster: with --state, change the manifest itself"));
        };
        if !amendment.is_whole() {
            let advice = [amendment.advice.by_hand.as_slice(), amendment.advice.refused.as_slice()].concat();
            return Err(CliError::new(format!("nothing is written to {name}, for not all of it can be: {}", advice.join("; "))));
        }
        if let Some(direction) = amendment.loses(&stored.spec) {
            return Err(CliError::new(format!(
                "nothing is written to {name}: its spec.{direction} has fields that this release does not know and would lose"
            )));
        }
        cluster.amend(&stored.object, amendment.to_patch()).await.map_err(|error| match error {
            ObjectsError::Conflict => {
                CliError::new(format!("{name} has changed meanwhile, and nothing is written: look again and repeat"))
            }
            ObjectsError::Gone | ObjectsError::Refused(_) | ObjectsError::Unavailable(_) => {
                CliError::new(format!("{name} is not changed")).because(CliError::from_error(error).to_string())
            }
        })?;
        tell(&format!("{name}: written. Where its manifest is kept in git, change it there too: the next sync would undo this."));
        Ok(())
    }
}

/// The key of a name, which may be `<namespace>/<name>`.
pub(super) fn named(name: &str, usual: &str) -> Key {
    let (namespace, name) = parted(name);
    Key { namespace: namespace.unwrap_or(usual).to_owned(), name: name.to_owned() }
}

fn parted(name: &str) -> (Option<&str>, &str) {
    name.split_once('/').map_or((None, name), |(namespace, name)| (Some(namespace), name))
}

/// Tells which objects a list lacks.
pub(super) fn tell_unreadable(listed: &Listed) {
    for (key, why) in &listed.unreadable {
        tell(&format!("sgwarden: {SECURITY_GROUPS} {key} cannot be read and is left out: {}", presentable(why)));
    }
}

/// `<namespace>/<name>` of an object.
pub(super) fn key(object: &SecurityGroup) -> String {
    Key::of(&object.metadata).map_or_else(String::new, |key| key.to_string())
}

/// The drift record of an object whose id begins so.
pub(super) fn record<'a>(object: &'a SecurityGroup, id: &str) -> Result<&'a DriftRecord, CliError> {
    let records = || object.status.iter().flat_map(|status| &status.drift);
    let name = key(object);
    if let Some(exact) = records().find(|record| record.id == id) {
        return Ok(exact);
    }
    match records().filter(|record| record.id.starts_with(id)).collect::<Vec<_>>().as_slice() {
        [record] => Ok(record),
        [] => {
            let known = records().map(|record| presentable(&record.id)).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            Err(CliError::new(format!("{name} has no drift record {id}: it has {known} (sgwarden drift {name})")))
        }
        [_, ..] => Err(CliError::new(format!("several drift records of {name} begin with {id}: write more of it"))),
    }
}
