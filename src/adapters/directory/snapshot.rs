//! What is believed of a look at the files.
//!
//! Invariant: an object changes or goes only when two looks in a row found it so. Editors, git and rsync write files in
//! steps, and a look in between finds a file empty, cut off or missing: rules would be revoked for as long as it takes.
//! Invariant: many objects that are gone at once are a mistake, not a wish: a checkout under way, a volume that is not there.

use std::collections::BTreeSet;

use strum::IntoEnumIterator;

use super::document::bare_namespace;
use super::kind::{Id, Kind, KindName, Manifests};
use crate::ports::objects::Key;

/// Fewer objects of a kind than this may go at once, even when there are no others: a person can mean that.
const FEW: usize = 3;

/// What two looks in a row agree on; for the rest, what was in force.
pub(super) fn agreed(now: &Manifests, before: &Manifests, in_force: &Manifests) -> Manifests {
    let ids: BTreeSet<&Id> = now.keys().chain(in_force.keys()).collect();
    let settled = |id: &Id| if now.get(id) == before.get(id) { now.get(id) } else { in_force.get(id) };
    ids.into_iter().filter_map(|id| Some((id.clone(), settled(id)?.clone()))).collect()
}

/// Puts back what is gone if that is too much to be meant, and says so.
pub(super) fn without_mistakes(mut wanted: Manifests, in_force: &Manifests) -> (Manifests, Option<String>) {
    let gone: Vec<&Id> = in_force.keys().filter(|id| !wanted.contains_key(id)).collect();
    let too_many = |gone: usize, known: usize| gone > 0 && gone.saturating_mul(2) > known;
    let of_kind = |kind: KindName| {
        let (gone, known) =
            (gone.iter().filter(|id| id.kind == kind).count(), in_force.keys().filter(|id| id.kind == kind).count());
        // Nobody looks after a group that is let go of: for groups the rule holds however few they are. Of other kinds there
        // are few, and the last grant has to be able to go.
        (gone >= FEW || kind == KindName::SecurityGroup) && too_many(gone, known)
    };
    if !too_many(gone.len(), in_force.len()) && !KindName::iter().any(of_kind) {
        return (wanted, None);
    }
    let line = format!(
        "{} of {} objects are gone from the files at once: taken for a mistake, they stay in force; if it is meant, restart \
         sgwarden",
        gone.len(),
        in_force.len()
    );
    // What is there still counts: the stop button works also then.
    let kept: Manifests = gone.into_iter().filter_map(|id| Some((id.clone(), in_force.get(id)?.clone()))).collect();
    wanted.extend(kept);
    (wanted, Some(line))
}

/// With the namespaces that objects are in and no file declares.
pub(super) fn with_namespaces(declared: &Manifests) -> Manifests {
    let mut all = declared.clone();
    for namespace in declared.keys().map(|id| &id.key.namespace).filter(|namespace| !namespace.is_empty()) {
        let key = Key { namespace: String::new(), name: namespace.clone() };
        all.entry(Id { kind: KindName::Namespace, key }).or_insert_with(|| bare_namespace(namespace).manifest());
    }
    all
}
