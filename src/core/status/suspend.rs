//! Break-glass: how long reverts are suspended, and what is said of it.
//!
//! Invariant: a suspend never lasts longer than the account allows, also when it is taken back and declared again: the time it was
//! first seen is remembered for an hour after its end.

use jiff::{SignedDuration, Timestamp};

use crate::api::conditions::SUSPENDED;
use crate::api::{DriftRecord, Resolution, SecurityGroupStatus};
use crate::core::desired::Suspension;

use super::conditions::{Draft, draft};
use super::drift::{describe, is_open};
use super::reason::Reason;
use super::whole_second;

/// How long the end of a suspend is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// How long before its end people are told.
const ANNOUNCED: SignedDuration = SignedDuration::from_mins(15);

/// A suspend, in effect or over for less than an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendedUntil {
    /// When it was first seen.
    pub since: Timestamp,
    /// When it ends, or ended.
    pub until: Timestamp,
    /// Why, as declared; empty for one that was taken back.
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

/// The suspend by what is declared now and what the status remembers. `declared` is `None` where the account does not allow any.
/// A manifest that cannot be read declares nothing and takes nothing back: then [`remembered_suspension`] tells.
pub fn suspension(
    status: &SecurityGroupStatus,
    declared: Option<&Suspension>,
    longest: SignedDuration,
    now: Timestamp,
) -> Option<SuspendedUntil> {
    let known = times(status);
    let forgotten = |until: Timestamp| after(until, REMEMBERED) <= now;
    let Some(declared) = declared else {
        let (since, until) = known.filter(|(_, until)| !forgotten(*until))?;
        // Taken back before its end: that is its end.
        return Some(SuspendedUntil { since, until: until.min(whole_second(now)), reason: String::new(), capped: false });
    };
    let wanted = whole_second(declared.until);
    // What was declared for longer than is allowed stays over for as long as it is declared. What ended as declared, and is declared
    // for another time since, is a suspend of its own.
    let known = known.filter(|(since, until)| !forgotten(*until) || *until >= after(*since, longest) || *until == wanted);
    let since = known.map_or(whole_second(now), |(since, _)| since);
    let end = after(since, longest);
    let until = wanted.min(end);
    let suspended = SuspendedUntil { since, until, reason: declared.reason.clone(), capped: wanted > end };
    (known.is_some() || suspended.in_effect(now)).then_some(suspended)
}

/// The suspend a status remembers, for a pass that cannot tell what is declared: it is in effect until its end.
pub fn remembered_suspension(status: &SecurityGroupStatus) -> Option<SuspendedUntil> {
    times(status).map(|(since, until)| SuspendedUntil { since, until, reason: String::new(), capped: false })
}

fn times(status: &SecurityGroupStatus) -> Option<(Timestamp, Timestamp)> {
    let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    Some((time(&status.suspended_since)?, time(&status.suspended_until)?))
}

/// A time later; the end of time where that is beyond it.
fn after(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// When something is to be said of a suspend next: that it ends soon, that it is over.
pub(super) fn next_word(status: &SecurityGroupStatus, now: Timestamp) -> Option<Timestamp> {
    let (_, until) = times(status)?;
    [until.checked_sub(ANNOUNCED).ok()?, until].into_iter().find(|time| *time > now)
}

/// The condition of a suspend in effect; `None` when there is none.
pub(super) fn condition(suspended: &SuspendedUntil, drift: &[DriftRecord], now: Timestamp) -> Option<Draft> {
    if !suspended.in_effect(now) {
        return None;
    }
    let SuspendedUntil { since, until, reason, capped } = suspended;
    let soon = after(now, ANNOUNCED) >= *until;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-12-{time}:00Z").parse().unwrap()
    }

    fn remembering(since: &str, until: &str) -> SecurityGroupStatus {
        SecurityGroupStatus {
            suspended_since: Some(at(since).to_string()),
            suspended_until: Some(at(until).to_string()),
            ..SecurityGroupStatus::default()
        }
    }

    fn until(time: &str) -> Suspension {
        Suspension { until: at(time), reason: "incident 4711".to_owned() }
    }

    /// Since and until of what [`suspension`] says with a longest suspend of a day, and whether it is in effect.
    fn judge(status: &SecurityGroupStatus, declared: Option<&str>, now: &str) -> Option<(Timestamp, Timestamp, bool)> {
        let declared = declared.map(until);
        let found = suspension(status, declared.as_ref(), SignedDuration::from_hours(24), at(now))?;
        Some((found.since, found.until, found.in_effect(at(now))))
    }

    #[test]
    fn a_suspend_begins_when_it_is_first_seen_and_ends_when_it_says() {
        let fresh = SecurityGroupStatus::default();
        assert_eq!(judge(&fresh, Some("01T18:00"), "01T12:00"), Some((at("01T12:00"), at("01T18:00"), true)));
        assert_eq!(judge(&fresh, Some("01T11:00"), "01T12:00"), None, "one that was over before it was seen never was");
        assert_eq!(judge(&fresh, None, "01T12:00"), None);
        let known = remembering("01T12:00", "01T18:00");
        assert_eq!(judge(&known, Some("01T18:00"), "01T17:59"), Some((at("01T12:00"), at("01T18:00"), true)));
        assert_eq!(judge(&known, Some("01T18:00"), "01T18:00"), Some((at("01T12:00"), at("01T18:00"), false)));
    }

    #[test]
    fn the_account_s_longest_suspend_is_counted_from_the_first_sight() {
        let fresh = SecurityGroupStatus::default();
        assert_eq!(judge(&fresh, Some("05T00:00"), "01T12:00"), Some((at("01T12:00"), at("02T12:00"), true)));
        let known = remembering("01T12:00", "02T12:00");
        for now in ["02T12:00", "02T14:00", "04T00:00"] {
            assert_eq!(judge(&known, Some("05T00:00"), now), Some((at("01T12:00"), at("02T12:00"), false)), "{now}");
            assert_eq!(judge(&known, Some("06T00:00"), now), Some((at("01T12:00"), at("02T12:00"), false)), "extended at {now}");
        }
    }

    #[test]
    fn taking_it_back_ends_it_and_declaring_it_again_does_not_begin_it_anew_for_an_hour() {
        let known = remembering("01T12:00", "02T12:00");
        let taken_back = judge(&known, None, "02T11:00");
        assert_eq!(taken_back, Some((at("01T12:00"), at("02T11:00"), false)));
        let known = remembering("01T12:00", "02T11:00");
        assert_eq!(judge(&known, None, "02T11:59"), taken_back, "the same for an hour");
        assert_eq!(judge(&known, Some("05T00:00"), "02T11:30"), Some((at("01T12:00"), at("02T12:00"), true)), "what is left of it");
        assert_eq!(judge(&known, None, "02T12:00"), None);
        assert_eq!(judge(&SecurityGroupStatus::default(), Some("05T00:00"), "02T12:30").map(|found| found.1), Some(at("03T12:30")));
    }

    #[test]
    fn one_that_ended_days_ago_and_is_declared_for_another_time_begins_anew() {
        let known = remembering("01T12:00", "01T18:00");
        assert_eq!(
            judge(&known, Some("01T18:00"), "04T12:00"),
            Some((at("01T12:00"), at("01T18:00"), false)),
            "left in the manifest"
        );
        assert_eq!(judge(&known, Some("04T18:00"), "04T12:00"), Some((at("04T12:00"), at("04T18:00"), true)));
        assert_eq!(
            judge(&known, Some("04T18:00"), "01T18:30"),
            Some((at("01T12:00"), at("02T12:00"), true)),
            "not within the hour"
        );
    }

    #[test]
    fn a_time_beyond_all_times_is_no_trouble() {
        let forever = Suspension { until: Timestamp::MAX, reason: String::new() };
        let found = suspension(&SecurityGroupStatus::default(), Some(&forever), SignedDuration::MAX, at("01T12:00")).unwrap();
        assert!(found.in_effect(at("31T12:00")));
    }

    #[test]
    fn something_is_to_be_said_before_its_end_and_at_it() {
        let known = remembering("01T12:00", "01T18:00");
        assert_eq!(next_word(&known, at("01T12:00")), Some(at("01T17:45")));
        assert_eq!(next_word(&known, at("01T17:45")), Some(at("01T18:00")));
        assert_eq!(next_word(&known, at("01T18:00")), None);
    }
}
