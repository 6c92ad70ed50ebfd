//! Differences in tags: those that mark the group as ours, and those the manifest declares.

use std::collections::BTreeSet;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::core::model::{Observed, Tags};

use super::PlanInput;
use super::cause::Cause;
use super::ownership::TAG_CLUSTER;
use super::report::{Difference, Report, What};
use super::step::{Plan, Step};

/// Changes of declared tags that were decided on, and may not all have been made: what the intents among the rules are for rules.
/// By digest, as a value may be long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BegunTags(BTreeSet<String>);

impl BegunTags {
    /// Those of these digests, which anybody may have written.
    pub fn of(digests: impl IntoIterator<Item = String>) -> Self {
        Self(digests.into_iter().collect())
    }

    /// Their digests, in order.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Those that are to be in status before `plan` writes.
    #[must_use]
    pub fn before(&self, plan: &Plan, report: &Report) -> Self {
        let mut begun = self.clone();
        for step in &plan.steps {
            match step {
                Step::SetTags { tags, before: _, cause } if cause.is_change() => {
                    begun.0.extend(tags.iter().map(|(key, value)| digest(key, Some(value))));
                }
                Step::RemoveTags { tags, cause } if cause.is_change() => {
                    begun.0.extend(tags.keys().map(|key| digest(key, None)));
                }
                Step::SetTags { tags: _, before: _, cause: _ }
                | Step::RemoveTags { tags: _, cause: _ }
                | Step::CreateGroup(_)
                | Step::DeleteGroup
                | Step::Authorize { direction: _, rules: _ }
                | Step::Modify { direction: _, rules: _ }
                | Step::Describe { direction: _, rules: _ }
                | Step::Revoke { direction: _, purpose: _, rules: _ }
                | Step::AwaitVisible { direction: _, atoms: _ }
                | Step::Settle => {}
            }
        }
        begun.outstanding(report)
    }

    /// Those that are still to be made. What is wanted no more was decided on for nothing, and what another object began is not
    /// carried on.
    #[must_use]
    pub fn outstanding(&self, report: &Report) -> Self {
        if report.baseline_lost {
            return Self::default();
        }
        let differs = report.differences.iter().filter_map(|difference| match &difference.what {
            What::Tag { key, live: _, declared, ownership: false } => Some(digest(key, declared.as_ref())),
            What::Tag { key: _, live: _, declared: _, ownership: true }
            | What::GroupMissing { recorded: _ }
            | What::Missing { atom: _, declared: _, last_id: _ }
            | What::Extra { live: _, rule: _, was: _ }
            | What::Moved { live: _, atom: _, declared: _ }
            | What::Description { live: _, declared: _ } => None,
        });
        Self(differs.filter(|digest| self.0.contains(digest)).collect())
    }

    /// The tags we last applied, with what became of those begun: one that is set by now is ours, and one that is off by now is so
    /// by our own doing, also when the manifest wants neither any more.
    pub fn applied(&self, applied: &Tags, live: &Tags) -> Tags {
        let stays = |(key, value): &(&String, &String)| !self.has(key, None) || live.get(*key) == Some(*value);
        let set = live.iter().filter(|(key, value)| self.has(key, Some(value)));
        applied.iter().filter(stays).chain(set).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Whether it was decided that a tag gets this value, or goes.
    pub(super) fn has(&self, key: &str, declared: Option<&String>) -> bool {
        self.0.contains(&digest(key, declared))
    }
}

/// What tells one change of a tag from any other: 32 hex digits of SHA-256, as many as of a plan that is approved. What it was
/// before does not matter: it may have been changed halfway.
fn digest(key: &str, declared: Option<&String>) -> String {
    let whole = Sha256::digest(format!("{key:?} {declared:?}"));
    whole.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

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
    let change = |key: &str, declared: Option<&String>| {
        let begun = input.tags_begun.is_some_and(|begun| begun.has(key, declared));
        if input.same_spec && !begun { Cause::PolicyChange } else { Cause::SpecChange }
    };
    let wanted = input.desired.tags.iter().filter(|(key, value)| live.get(*key) != Some(*value)).map(|(key, value)| {
        let cause = match (applied, before.get(key)) {
            (None, _) => Cause::Unclassified,
            (Some(_), Some(before)) if before == value => Cause::Drift,
            (Some(_), Some(_) | None) => change(key, Some(value)),
        };
        (key, live.get(key), Some(value), cause)
    });
    // A tag we set and the manifest dropped goes, as long as nobody gave it another value since.
    let dropped = before
        .iter()
        .filter(|(key, value)| !input.desired.tags.contains_key(*key) && live.get(*key) == Some(*value))
        .map(|(key, value)| (key, Some(value), None, change(key, None)));
    wanted
        .chain(dropped)
        .map(|(key, live, declared, cause)| Difference {
            what: What::Tag { key: key.clone(), live: live.cloned(), declared: declared.cloned(), ownership: false },
            cause,
            held: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// Under way: `team` to become `store`, `new` to be set, `old` to go.
    fn begun() -> BegunTags {
        let yes = "yes".to_owned();
        BegunTags::of([digest("team", Some(&"store".to_owned())), digest("new", Some(&yes)), digest("old", None)])
    }

    #[test]
    fn a_value_a_key_and_a_removal_are_told_apart() {
        let begun = begun();
        let value = |text: &str| text.to_owned();
        assert!(begun.has("team", Some(&value("store"))) && begun.has("old", None));
        assert!(!begun.has("team", Some(&value("shop"))) && !begun.has("team", None) && !begun.has("old", Some(&value("yes"))));
    }

    #[test]
    fn what_was_begun_and_is_done_is_ours_and_what_is_not_is_as_before() {
        let applied = tags(&[("team", "shop"), ("old", "yes")]);
        let nothing = tags(&[("team", "shop"), ("old", "yes"), ("theirs", "yes")]);
        assert_eq!(begun().applied(&applied, &nothing), applied);
        let everything = tags(&[("team", "store"), ("new", "yes"), ("theirs", "yes")]);
        assert_eq!(begun().applied(&applied, &everything), tags(&[("team", "store"), ("new", "yes")]));
        // Somebody was quicker, with a value of their own.
        let other = tags(&[("team", "mallory"), ("new", "no"), ("old", "yes")]);
        assert_eq!(begun().applied(&applied, &other), applied);
    }
}
