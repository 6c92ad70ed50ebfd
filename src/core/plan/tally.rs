//! What the steps that were carried out come to: for the limits on changes, and for telling when somebody fights us.

use std::collections::BTreeSet;

use crate::core::model::{AddressCount, Atom, Space};

use super::cause::Cause;
use super::step::{Plan, Purpose, Step};

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rules that are gone, or other than they were, by a change or for want of a baseline.
    pub removed: usize,
    /// Rules brought or taken away by a change or for want of a baseline.
    pub changed: usize,
    /// What was put right, each in words that are the same every time.
    pub reverted: BTreeSet<String>,
}

/// Sums up the steps of a plan that were carried out, by their index.
pub fn tally(plan: &Plan, done: &BTreeSet<usize>) -> Tally {
    let mut tally = Tally::default();
    for (_, step) in plan.steps.iter().enumerate().filter(|(index, _)| done.contains(index)) {
        match step {
            Step::Revoke { direction: _, purpose: _, rules } => {
                for item in rules {
                    tally.add(item.cause, true, rule(&item.live.atom));
                }
            }
            Step::Authorize { direction: _, rules } => {
                for item in rules {
                    tally.add(item.cause, false, rule(&item.new.atom));
                }
            }
            Step::Modify { direction: _, rules } => {
                for item in rules {
                    tally.add(item.cause, true, rule(&item.new.atom));
                }
            }
            Step::Describe { direction: _, rules } => {
                for item in rules.iter().filter(|item| item.cause.is_drift()) {
                    tally.reverted.insert(description(&item.live.atom));
                }
            }
            Step::SetTags { tags, before: _, cause } | Step::RemoveTags { tags, cause } => {
                if cause.is_drift() {
                    tally.reverted.extend(tags.keys().map(|key| tag(key)));
                }
            }
            Step::CreateGroup(_) | Step::DeleteGroup | Step::AwaitVisible { direction: _, atoms: _ } | Step::Settle => {}
        }
    }
    tally
}

impl Tally {
    fn add(&mut self, cause: Cause, removes: bool, subject: String) {
        if cause.is_drift() {
            self.reverted.insert(subject);
        } else {
            self.changed = self.changed.saturating_add(1);
            self.removed = self.removed.saturating_add(usize::from(removes));
        }
    }
}

/// How many addresses the widest of the additions lets in that a plan takes back.
pub fn widest_opening(plan: &Plan) -> AddressCount {
    let additions = plan.steps.iter().filter_map(|step| match step {
        Step::Revoke { direction: _, purpose: Purpose::Revert, rules } => Some(rules),
        Step::Revoke { direction: _, purpose: Purpose::Replace | Purpose::Room | Purpose::Deletion, rules: _ }
        | Step::CreateGroup(_)
        | Step::DeleteGroup
        | Step::SetTags { tags: _, before: _, cause: _ }
        | Step::RemoveTags { tags: _, cause: _ }
        | Step::Authorize { direction: _, rules: _ }
        | Step::Modify { direction: _, rules: _ }
        | Step::Describe { direction: _, rules: _ }
        | Step::AwaitVisible { direction: _, atoms: _ }
        | Step::Settle => None,
    });
    additions.flatten().map(|item| Space::of(&item.live.atom).addresses()).max().unwrap_or_default()
}

pub(super) fn rule(atom: &Atom) -> String {
    format!("rule {atom}")
}

pub(super) fn description(atom: &Atom) -> String {
    format!("description of {atom}")
}

pub(super) fn tag(key: &str) -> String {
    format!("tag {key}")
}
