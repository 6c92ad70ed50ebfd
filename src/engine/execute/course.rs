//! What may follow a step that failed, and which steps must not wait for others' turns.

use std::collections::BTreeSet;

use super::Failure;
use crate::core::model::Direction;
use crate::core::plan::{Cause, Purpose, Step};
use crate::ports::cloud::{CloudError, ErrorClass};

/// What has gone wrong so far, as far as it decides what may still be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// The world is not as planned, or out of reach: nothing more.
    ended: bool,
    /// Where something that was to be in force is not: what it replaces must not go. Traffic in and traffic out do not replace
    /// each other, so one way does not hold up the other.
    unfinished: BTreeSet<Direction>,
}

impl Course {
    /// Rules nobody declared go whatever answer the rest of the plan gets (DESIGN §4.4); what was declared goes only when what
    /// replaces it is in force.
    pub(super) fn allows(&self, step: &Step) -> bool {
        let unfinished = |direction: &Direction| self.unfinished.contains(direction);
        let mut directions = directions(step).iter();
        let held_up = match step {
            Step::Revoke { direction: _, purpose: Purpose::Replace | Purpose::Room | Purpose::Deletion, rules: _ }
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::DeleteGroup => directions.any(unfinished),
            // Of use as long as one way goes on.
            Step::Settle => directions.all(unfinished),
            Step::Revoke { direction: _, purpose: Purpose::Revert, rules: _ }
            | Step::CreateGroup(_)
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::Authorize { direction: _, rules: _ }
            | Step::Modify { direction: _, rules: _ }
            | Step::Describe { direction: _, rules: _ } => false,
        };
        !self.ended && !held_up
    }

    /// A step failed.
    pub(super) fn failed(&mut self, step: &Step, failure: &Failure, lasting: bool) {
        self.ended |= match failure {
            Failure::Call(error) => ends(error, lasting),
            Failure::NotVisible { missing: _ } | Failure::Superseded => false,
        };
        match step {
            Step::CreateGroup(_)
            | Step::Authorize { direction: _, rules: _ }
            | Step::Modify { direction: _, rules: _ }
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::Revoke { direction: _, purpose: Purpose::Deletion | Purpose::Room | Purpose::Replace, rules: _ } => {
                self.unfinished.extend(directions(step));
            }
            Step::DeleteGroup
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::Revoke { direction: _, purpose: Purpose::Revert, rules: _ }
            | Step::Describe { direction: _, rules: _ }
            | Step::Settle => {}
        }
    }
}

/// The ways of traffic a step is about; both where it is about the whole group.
fn directions(step: &Step) -> &'static [Direction] {
    match step.direction() {
        Some(Direction::Ingress) => &[Direction::Ingress],
        Some(Direction::Egress) => &[Direction::Egress],
        None => &Direction::BOTH,
    }
}

/// Whether a step puts right what somebody did behind our back, and nothing else: it goes before changes (DESIGN §4.1).
pub(super) fn is_urgent(step: &Step) -> bool {
    match step {
        Step::Revoke { direction: _, purpose: Purpose::Revert, rules: _ } => true,
        Step::Revoke { direction: _, purpose: Purpose::Replace | Purpose::Room | Purpose::Deletion, rules } => {
            all_drift(rules.iter().map(|item| item.cause))
        }
        Step::Authorize { direction: _, rules } => all_drift(rules.iter().map(|item| item.cause)),
        Step::Modify { direction: _, rules } => all_drift(rules.iter().map(|item| item.cause)),
        Step::Describe { direction: _, rules } => all_drift(rules.iter().map(|item| item.cause)),
        Step::SetTags { tags: _, before: _, cause } | Step::RemoveTags { tags: _, cause } => cause.is_drift(),
        Step::CreateGroup(_) | Step::DeleteGroup | Step::AwaitVisible { direction: _, atoms: _ } | Step::Settle => false,
    }
}

fn all_drift(mut causes: impl Iterator<Item = Cause>) -> bool {
    causes.all(Cause::is_drift)
}

/// Whether an error leaves nothing of the plan true. An answer that says no does; no answer, a throttle (which is no answer) or
/// one that says the world is different does not. A world that stays different is a manifest that asks for the impossible.
fn ends(error: &CloudError, lasting: bool) -> bool {
    match error.class {
        ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Credentials => true,
        ErrorClass::Stale => !lasting || error.outcome_unknown,
        ErrorClass::NameTaken | ErrorClass::InUse | ErrorClass::Terminal | ErrorClass::Quota | ErrorClass::Permission => {
            error.outcome_unknown
        }
    }
}
