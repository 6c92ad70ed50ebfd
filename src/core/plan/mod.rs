//! From what is desired, what is live and what we vouch for, to a plan that leaves nothing to decide.
//!
//! Entry point: [`plan`]. A [`Plan`] is data: the same value is printed, reviewed, recorded and executed. The [`Report`]
//! beside it names every difference with its cause, also those that lead to no step.
//!
//! Invariant: no step names a rule that was not observed in the group, and none touches a group that is not provably ours.
//! Invariant: after every prefix of the steps, all traffic that was allowed before and is desired is still allowed, but for
//! what [`Plan::cuts`] names.

mod adoption;
mod approval;
mod cause;
mod check;
mod classify;
mod delete;
mod exposure;
mod hold;
mod listed;
mod order;
mod ownership;
mod quota;
mod render;
mod report;
mod restraint;
mod revert;
mod squeeze;
mod step;
mod tags;
mod tally;
mod vouch;
mod work;

pub use adoption::{Refusal, TAG_ADOPT};
pub use approval::approval_hash;
pub use cause::{Cause, Held};
pub use check::{Fault, check};
pub use delete::{plan_deletion, plan_deletion_of_cycle};
pub use exposure::{ExposureDelta, exposures};
pub use listed::is_as_listed;
pub use ownership::{Owner, Ownership, TAG_CLUSTER, TAG_ORIGIN, TAG_OWNER, TAG_UID};
pub use quota::OverQuota;
pub use render::{Row, Sheet, changes, lines, render, summary};
pub use report::{Difference, DriftKind, QuotaUse, Report, What};
pub use restraint::Restraint;
pub use revert::plan_reverts;
pub use step::{Authorization, Modification, Plan, Purpose, Redescription, Revocation, Step};
pub use tags::BegunTags;
pub use tally::{Tally, tally, widest_opening};
pub use vouch::{applied_before, born_egress, recognised, vouched_after, vouched_at_birth, vouched_before, vouched_before_reverts};

use super::desired::{Approval, Desired, Policy};
use super::model::{Observed, SecurityGroupId, Tags, Vouched};

/// Everything a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// Whose group it is.
    pub owner: &'a Owner,
    /// What is declared, with references looked up.
    pub desired: &'a Desired,
    /// What is live; `None` when the group does not exist (and is to be created).
    pub observed: Option<&'a Observed>,
    /// The set we vouch for; `None` when there is none to rely on: differences are then unclassified, never drift.
    pub vouched: Option<&'a Vouched>,
    /// The tags we last applied.
    pub applied_tags: Option<&'a Tags>,
    /// What an earlier pass was about to make of tags.
    pub tags_begun: Option<&'a BegunTags>,
    /// The id recorded for the group, if it was created or found before.
    pub recorded: Option<&'a SecurityGroupId>,
    /// What may be done at all.
    pub restraint: &'a Restraint,
    /// Whether the manifest is the one the group was brought to last: what differs then comes from a reference, a policy or an
    /// expiry.
    pub same_spec: bool,
    /// Whether the status was written for this object and not for an earlier one of its name, as after a restore.
    pub status_is_ours: bool,
    /// How the group came to us, for its tags: `Created` or `Adopted`.
    pub origin: &'a str,
}

/// Plans one pass over one group. The group's tags decide first: over a group that is not ours the plan has no step.
pub fn plan(input: PlanInput<'_>) -> (Plan, Report) {
    let live = input.observed.map(|observed| &observed.group.tags);
    let applied = match (input.applied_tags, input.tags_begun, live) {
        (Some(applied), Some(begun), Some(live)) => Some(begun.applied(applied, live)),
        (None, _, _) | (_, None, _) | (_, _, None) => None,
    };
    let input = PlanInput { applied_tags: applied.as_ref().or(input.applied_tags), ..input };
    let mut report = classify::classify(input);
    // What another object vouched for tells nothing of what was begun, or is ours by its id.
    let (vouched, tags_begun) = (input.vouched, input.tags_begun);
    let input = PlanInput {
        vouched: vouched.filter(|_| !report.baseline_lost),
        tags_begun: tags_begun.filter(|_| !report.baseline_lost),
        ..input
    };
    hold::hold(input, &mut report);
    let plan = order::order(input, &mut report);
    (plan, report)
}

/// The plan as it would be if everything were approved and could be done at once: what a person is asked about.
pub fn pending(input: PlanInput<'_>) -> Plan {
    let policy = Policy { approval: Approval::Automatic, ..input.restraint.policy.clone() };
    let lifted = Restraint { policy, wait: None, removals_left: None, ..input.restraint.clone() };
    plan(PlanInput { restraint: &lifted, ..input }).0
}
