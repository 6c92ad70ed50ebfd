//! Differences in tags: those that mark the group as ours, and those the manifest declares.

use crate::core::model::{Observed, Tags};

use super::PlanInput;
use super::cause::Cause;
use super::ownership::TAG_CLUSTER;
use super::report::{Difference, What};

/// The tags that make the group ours. What comes with taking it over is a change; one that is missing or different otherwise
/// was somebody's edit.
pub(super) fn of_owner(input: PlanInput<'_>, observed: &Observed, reclaimed: bool) -> Vec<Difference> {
    let wanted = input.owner.tags(input.origin);
    let differs = wanted.into_iter().filter(|(key, value)| observed.group.tags.get(key) != Some(value));
    differs
        .map(|(key, value)| {
            let live = observed.group.tags.get(&key).cloned();
            // The cluster changed its name, and says so itself.
            let renamed = key == TAG_CLUSTER && live.as_ref().is_some_and(|live| input.owner.was(live));
            let taken_over = reclaimed || renamed || input.restraint.adopting;
            Difference {
                what: What::Tag { live, key, declared: Some(value), ownership: true },
                cause: if taken_over { Cause::Adoption } else { Cause::Drift },
                held: None,
            }
        })
        .collect()
}

/// The tags of the manifest and of the account's defaults. `applied`: those we set last; `None` when nobody knows.
pub(super) fn declared(input: PlanInput<'_>, observed: &Observed, applied: Option<&Tags>) -> Vec<Difference> {
    let none = Tags::new();
    let before = applied.unwrap_or(&none);
    let live = &observed.group.tags;
    let change = if input.same_spec { Cause::PolicyChange } else { Cause::SpecChange };
    let wanted = input.desired.tags.iter().filter(|(key, value)| live.get(*key) != Some(*value)).map(|(key, value)| {
        let cause = match (applied, before.get(key)) {
            (None, _) => Cause::Unclassified,
            (Some(_), Some(before)) if before == value => Cause::Drift,
            (Some(_), Some(_) | None) => change,
        };
        (key, live.get(key), Some(value), cause)
    });
    // A tag we set and the manifest dropped goes, as long as nobody gave it another value since.
    let dropped = before
        .iter()
        .filter(|(key, value)| !input.desired.tags.contains_key(*key) && live.get(*key) == Some(*value))
        .map(|(key, value)| (key, Some(value), None, change));
    wanted
        .chain(dropped)
        .map(|(key, live, declared, cause)| Difference {
            what: What::Tag { key: key.clone(), live: live.cloned(), declared: declared.cloned(), ownership: false },
            cause,
            held: None,
        })
        .collect()
}
