//! What `approve`, `suspend` and `resume` have in common: to show what an annotation of each object would be, ask, and write it.
//!
//! Invariant: an object is read again before it is written, and gets only what was shown of it. What lies between is a conflict.
//! Invariant: one object that cannot be written keeps no other from it, and each is told by name.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;
use futures::{StreamExt, stream};

use crate::adapters::kube::Cluster;
use crate::api::{SECURITY_GROUPS, SecurityGroup};
use crate::core::annotate::{Refusal, Step, overview};
use crate::ports::objects::{Key, ObjectsError};

use super::confirm::ConfirmArgs;
use super::error::CliError;
use super::output::{print, tell};
use super::place::{ClusterArgs, named, tell_unreadable};

/// How many objects are read or written at a time: an apiserver gives one client its share, and others wait for theirs.
const AT_A_TIME: usize = 8;
/// How often an object is read again that changes just as it is written: sgwarden writes its status now and then.
const ATTEMPTS: usize = 4;

/// Which objects, and whether to ask.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// Groups, as <name> or <namespace>/<name>
    #[arg(value_name = "GROUP", required_unless_present_any = ["selector", "all"], conflicts_with_all = ["selector", "all"])]
    groups: Vec<String>,
    /// Groups whose labels match, such as app=shop,tier!=db
    #[arg(long, short = 'l', value_name = "SELECTOR", conflicts_with = "all")]
    selector: Option<String>,
    /// All groups of the namespace
    #[arg(long)]
    all: bool,
    /// With --selector or --all: of all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "groups"])]
    all_namespaces: bool,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// What is to be done to each object.
pub(super) struct Verb<'a> {
    /// Such as `approve`.
    pub(super) word: &'static str,
    /// Such as `approved`.
    pub(super) done: &'static str,
    /// What it takes, or why it cannot be.
    pub(super) judge: &'a (dyn Fn(&SecurityGroup) -> Result<Step, Refusal> + Sync),
}

/// An object of which something was shown.
struct Shown {
    key: Key,
    uid: Option<String>,
    step: Step,
}

/// What came of the objects so far.
#[derive(Default)]
struct Sum {
    done: usize,
    failed: usize,
}

/// Shows, asks, writes and says what came of it: exit code 1 if any object that was meant is not as was asked for.
pub(super) async fn carry_out(
    (cluster, namespace): (&Cluster, &str),
    target: &TargetArgs,
    verb: &Verb<'_>,
) -> Result<ExitCode, CliError> {
    let mut sum = Sum::default();
    let objects = target.objects(cluster, namespace, verb, &mut sum).await?;
    let looked_at = objects.len();
    let shown = choose(objects, target.are_named(), verb, &mut sum);
    if shown.is_empty() {
        if sum.failed == 0 && sum.done == 0 {
            tell(&format!("Nothing to {} in {}.", verb.word, counted(looked_at)));
        }
        return Ok(sum.code());
    }
    let steps: Vec<(String, Step)> = shown.iter().map(|shown| (shown.key.to_string(), shown.step.clone())).collect();
    print(&overview(&steps))?;
    target.confirm.ask(&question(verb.word, shown.len()))?;
    let mut written =
        stream::iter(&shown).map(|shown| async move { (shown, write(cluster, shown, verb).await) }).buffered(AT_A_TIME);
    while let Some((shown, result)) = written.next().await {
        match result {
            Ok(()) => {
                print(&format!("{}: {}\n", shown.key, verb.done))?;
                sum.done += 1;
            }
            Err(why) => sum.fail(&shown.key, verb, &why),
        }
    }
    tell(&format!("{} of {} {}.", sum.done, counted(sum.done + sum.failed), verb.done));
    Ok(sum.code())
}

impl Sum {
    fn fail(&mut self, key: &Key, verb: &Verb<'_>, why: &CliError) {
        tell(&format!("sgwarden: {key}: not {}: {why}", verb.done));
        self.failed += 1;
    }

    fn code(&self) -> ExitCode {
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl TargetArgs {
    fn are_named(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The objects that are meant. One that cannot be read keeps no other from it.
    async fn objects(
        &self,
        cluster: &Cluster,
        namespace: &str,
        verb: &Verb<'_>,
        sum: &mut Sum,
    ) -> Result<Vec<SecurityGroup>, CliError> {
        if !self.are_named() {
            let namespace = (!self.all_namespaces).then_some(namespace);
            let listed = cluster.selected(namespace, self.selector.as_deref()).await.map_err(CliError::from_error)?;
            tell_unreadable(&listed);
            sum.failed += listed.unreadable.len();
            return Ok(listed.objects);
        }
        let keys: BTreeSet<Key> = self.groups.iter().map(|name| named(name, namespace)).collect();
        let mut found = stream::iter(keys).map(|key| async move { (read(cluster, &key).await, key) }).buffered(AT_A_TIME);
        let mut objects = Vec::new();
        while let Some((object, key)) = found.next().await {
            match object {
                Ok(object) => objects.push(object),
                Err(why) => sum.fail(&key, verb, &why),
            }
        }
        Ok(objects)
    }
}

async fn read(cluster: &Cluster, key: &Key) -> Result<SecurityGroup, CliError> {
    let found = cluster.group(key).await.map_err(CliError::from_error)?;
    found.map(|stored| stored.object).ok_or_else(|| CliError::new(format!("there is no {SECURITY_GROUPS} {key}")))
}

/// What is to be written to which objects. The others are told by name, if somebody named them or something is the matter.
fn choose(objects: Vec<SecurityGroup>, are_named: bool, verb: &Verb<'_>, sum: &mut Sum) -> Vec<Shown> {
    let mut chosen = Vec::new();
    for object in objects {
        let Some(key) = Key::of(&object.metadata) else { continue };
        match (verb.judge)(&object) {
            Ok(step) => chosen.push(Shown { key, uid: object.metadata.uid, step }),
            Err(refusal) if !are_named && refusal.leaves_out() => {}
            Err(refusal) if refusal.is_done() => {
                tell(&format!("{key}: {refusal}"));
                sum.done += 1;
            }
            Err(refusal) => sum.fail(&key, verb, &CliError::from_error(refusal)),
        }
    }
    chosen
}

/// Writes what was shown, unless the object is no longer one to write it to.
async fn write(cluster: &Cluster, shown: &Shown, verb: &Verb<'_>) -> Result<(), CliError> {
    let annotation = &shown.step.annotation;
    for _ in 0..ATTEMPTS {
        let object = read(cluster, &shown.key).await?;
        if object.metadata.uid != shown.uid {
            return Err(CliError::new("it was deleted and created again meanwhile: look again and repeat"));
        }
        match shown.step.still((verb.judge)(&object)) {
            Ok(()) => {}
            Err(refusal) if refusal.is_done() => return Ok(()),
            Err(refusal) => return Err(CliError::from_error(refusal)),
        }
        match cluster.annotate(&object, annotation.key, annotation.after.as_deref()).await {
            Ok(()) => return Ok(()),
            // Whatever changed, what was shown may still be true.
            Err(ObjectsError::Conflict) => {}
            Err(error @ (ObjectsError::Gone | ObjectsError::Refused(_) | ObjectsError::Unavailable(_))) => {
                return Err(CliError::from_error(error));
            }
        }
    }
    Err(CliError::new("it changes all the time: repeat"))
}

fn question(word: &str, count: usize) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase()).into_iter();
    format!("{} {}?", first.chain(letters).collect::<String>(), counted(count))
}

fn counted(groups: usize) -> String {
    if groups == 1 { "1 group".to_owned() } else { format!("{groups} groups") }
}
