//! How an object stands when a pass did all that may be done now: nothing failed, and what is left waits for something.

use crate::api::conditions::{READY, REFERENCES_RESOLVED, SYNCED};
use crate::api::{Mode, SecurityGroupStatus};
use crate::core::desired::{Desired, Policy};
use crate::core::model::{Direction, RuleName};
use crate::core::plan::OverQuota;

use super::conditions::{Draft, draft, not_ready};
use super::drift::is_open;
use super::reason::Reason;
use super::stance::Left;
use super::{Facts, approval};

/// Removals that the account's limit holds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// How many wait.
    pub removals: usize,
    /// The limit for a minute.
    pub per_minute: u32,
}

/// What an object says whose group is as declared.
pub fn settled_message(rules: usize) -> String {
    match rules {
        1 => "1 rule is as declared".to_owned(),
        rules => format!("{rules} rules are as declared"),
    }
}

/// What is said of rules that do not fit: what is needed, what there is, and what to do.
fn quota_message(over: OverQuota) -> String {
    let OverQuota { direction, ipv6, needed, limit } = over;
    let family = if ipv6 { "IPv6" } else { "IPv4" };
    format!(
        "{direction} needs {needed} {family} rules (a prefix list counts by its size), and EC2 takes {limit}: nothing is changed but for \
         reverts. Declare fewer rules, merge ranges into larger ones, split the group, or have AWS raise its quota of rules per security \
         group and set limits.rulesPerGroup of the AwsAccount"
    )
}

/// The conditions but for references, drift and suspend. The first of these that applies is told.
pub(super) fn drafts(status: &SecurityGroupStatus, facts: &Facts<'_>) -> Vec<Draft> {
    let everything = Policy::default();
    let policy = facts.enforcement.as_ref().map_or(&everything, |enforcement| enforcement.policy);
    let left = facts.remaining.map(|(_, report)| Left::of(report)).unwrap_or_default();
    let observed = left.open + left.suspended + left.reported;
    let observing = policy.mode == Mode::Observe;
    let not_synced = |reason: Reason, message: &str| {
        let mut drafts = not_ready(reason, message);
        drafts.push(draft(SYNCED, "False", reason, message));
        drafts
    };
    let compared =
        |reason: Reason, message: &str| vec![draft(READY, "True", reason, message), draft(SYNCED, "False", reason, message)];
    if let Some(over) = facts.over_quota.filter(|_| !observing) {
        return not_synced(Reason::QuotaExceeded, &quota_message(over));
    }
    if let Some((pending, wait)) = facts.pending.and_then(|pending| Some((pending, pending.wait?))) {
        return not_synced(wait.reason(), &approval::message(pending, wait, facts));
    }
    if observing && observed > 0 {
        let adopting =
            facts.would_adopt.map(|id| format!("group {id} would be taken over, and is not even tagged: ")).unwrap_or_default();
        let message = format!(
            "{adopting}{} reported and left alone (mode Observe); status.plan lists what would be done",
            plural(observed, "difference")
        );
        let drifting = status.drift.iter().any(is_open);
        return compared(if drifting { Reason::DriftReported } else { Reason::Observing }, &message);
    }
    let refused = facts.desired.map(refused).unwrap_or_default();
    if !refused.is_empty() {
        return not_synced(Reason::ReferenceNotGranted, &refused.join("; "));
    }
    let waiting = facts.desired.map(waiting).unwrap_or_default();
    if !waiting.is_empty() {
        return not_synced(Reason::ReferencesNotReady, &waiting.join("; "));
    }
    if let Some(HeldUp { removals, per_minute }) = facts.held_up {
        let message = format!(
            "{} for their turn: a change removes no more than {per_minute} rules a minute in this account, and goes on by itself; to have it \
             go faster, raise limits.revocationsPerMinute of the AwsAccount",
            if removals == 1 { "1 removal waits".to_owned() } else { format!("{removals} removals wait") }
        );
        return not_synced(Reason::RevocationLimit, &message);
    }
    if left.fought > 0 {
        let message = format!(
            "{} waits: somebody undoes it each time, and it is made less and less often. Find who or what does it, or declare what it \
             wants",
            if left.fought == 1 { "1 restore" } else { "the restoring of several edits" }
        );
        return not_synced(Reason::RevertWar, &message);
    }
    if left.unfit > 0 {
        let message = format!(
            "{} for room: EC2 takes no more rules before others go, and those stay for now; declare fewer rules, let undeclared ones \
             go, or have AWS raise its quota of rules per security group and set limits.rulesPerGroup of the AwsAccount",
            if left.unfit == 1 { "1 change waits".to_owned() } else { format!("{} changes wait", left.unfit) }
        );
        return not_synced(Reason::QuotaExceeded, &message);
    }
    if left.suspended > 0 {
        let message = format!("{} left alone while reverts are suspended", plural(left.suspended, "edit"));
        return compared(Reason::Suspended, &message);
    }
    if left.reported > 0 {
        let message = format!("{} reported and left alone (undeclaredRules: Report)", plural(left.reported, "undeclared rule"));
        return compared(Reason::DriftReported, &message);
    }
    let rules = status.rule_count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let mut message = settled_message(rules);
    for (count, why) in [(left.tolerated, "enforcement.tolerate"), (left.kept, "undeclaredRules: Keep")] {
        if count > 0 {
            message = format!("{message}; {} left alone ({why})", plural(count, "undeclared rule"));
        }
    }
    vec![draft(READY, "True", Reason::Succeeded, &message), draft(SYNCED, "True", Reason::Succeeded, &message)]
}

/// `1 edit is`, `2 edits are`.
fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} is") } else { format!("{count} {what}s are") }
}

fn waiting(desired: &Desired) -> Vec<String> {
    lines(desired.held.iter(), "waits")
}

fn refused(desired: &Desired) -> Vec<String> {
    lines(desired.refused.iter(), "is not in force")
}

fn lines<'a>(rules: impl Iterator<Item = (&'a (Direction, RuleName), &'a String)>, what: &str) -> Vec<String> {
    rules.map(|((direction, rule), why)| format!("{direction} rule {rule} {what}: {why}")).collect()
}

/// Whether every reference is known and open to us. `moved`: names in AWS that stand for other ids than those they are pinned to.
pub(super) fn references(desired: &Desired, moved: &[String]) -> Draft {
    let (refused, waiting) = (refused(desired), waiting(desired));
    let all = [refused.as_slice(), waiting.as_slice(), moved].concat().join("; ");
    let (status, reason) = if !refused.is_empty() {
        ("False", Reason::ReferenceNotGranted)
    } else if !waiting.is_empty() {
        ("False", Reason::ReferencesNotReady)
    } else if !moved.is_empty() {
        ("True", Reason::NameMoved)
    } else {
        return draft(REFERENCES_RESOLVED, "True", Reason::Succeeded, "every reference is known");
    };
    draft(REFERENCES_RESOLVED, status, reason, all)
}
