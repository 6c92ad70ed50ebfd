//! Break-glass: what is said of a suspend. When it begins and ends is decided in `desired`.

use jiff::{SignedDuration, Timestamp};

use crate::api::conditions::SUSPENDED;
use crate::api::{DriftRecord, Resolution, SecurityGroupStatus};

use super::conditions::{Draft, draft};
use super::drift::{describe, is_open};
use super::reason::Reason;
use super::whole_second;

/// How long before its end people are told.
const ANNOUNCED: SignedDuration = SignedDuration::from_mins(15);

/// A suspend, in effect or remembered after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendedUntil {
    /// When it was first seen.
    pub since: Timestamp,
    /// When it ends, or ended.
    pub until: Timestamp,
    /// Why, as declared; empty for one that is declared no more.
    pub reason: String,
    /// Whether it was declared for longer than the account allows.
    pub capped: bool,
}

impl SuspendedUntil {
    /// Whether nothing is reverted now.
    pub fn in_effect(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// Whether a status remembers a suspend whose end is still to come.
pub(super) fn lasts(status: &SecurityGroupStatus, now: Timestamp) -> bool {
    until(status).is_some_and(|until| now < until)
}

fn until(status: &SecurityGroupStatus) -> Option<Timestamp> {
    status.suspended_until.as_ref()?.parse().ok()
}

/// When something is to be said of a suspend next: that it ends soon, that it is over.
pub(super) fn next_word(status: &SecurityGroupStatus, now: Timestamp) -> Option<Timestamp> {
    let until = until(status)?;
    [until.checked_sub(ANNOUNCED).ok()?, until].into_iter().find(|time| *time > now)
}

/// The condition of a suspend in effect; `None` when there is none.
pub(super) fn condition(suspended: &SuspendedUntil, drift: &[DriftRecord], now: Timestamp) -> Option<Draft> {
    if !suspended.in_effect(now) {
        return None;
    }
    let SuspendedUntil { since, until, reason, capped } = suspended;
    let soon = until.duration_since(now) <= ANNOUNCED;
    let (since, until) = (whole_second(*since), whole_second(*until));
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let most = if *capped { " (the most the account allows, limits.maxSuspend)" } else { "" };
    let waiting: Vec<&DriftRecord> =
        drift.iter().filter(|record| is_open(record) && record.resolution == Resolution::Suspended.as_str()).collect();
    let edits: i64 = waiting.iter().map(|record| i64::from(record.count)).sum();
    let then = match edits {
        0 => "there is nothing to revert so far".to_owned(),
        1 => format!("then this is reverted: {}", named(&waiting)),
        edits => format!("then {edits} edits are reverted: {}", named(&waiting)),
    };
    let message = format!("nothing is reverted since {since} until {until}{most}{why}; {then}");
    Some(draft(SUSPENDED, "True", if soon { Reason::SuspendEndsSoon } else { Reason::Suspended }, message))
}

fn named(records: &[&DriftRecord]) -> String {
    let shown: Vec<String> = records.iter().take(3).map(|record| describe(record)).collect();
    let more = records.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!("; and {more} records more") } else { String::new() };
    format!("{}{rest}", shown.join("; "))
}
