//! Break-glass over time: when a suspension begins and ends.
//!
//! Entry point: [`suspension`]. Two times are all it remembers between passes: `status.suspendedSince` and
//! `status.suspendedUntil`.
//!
//! Invariant: a suspension lasts no longer than the account allows, counted from when it was first seen; removing and writing
//! it again within an hour, writing a later end, or writing it in another place does not make it a new one.
//! Invariant: between two suspensions that are not one, reverts were on for an hour at least.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Suspension;

/// How long a suspension that is over is remembered once it is no longer written.
pub const SUSPENSION_MEMORY: Duration = Duration::from_secs(3600);

/// How a suspension stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspended {
    /// Whether reverts stop now.
    pub active: bool,
    /// When it was first seen, for `status.suspendedSince`; `None` when there is nothing to remember.
    pub since: Option<Timestamp>,
    /// When it ends; once it is over, when it ended or was removed. For `status.suspendedUntil`.
    pub until: Option<Timestamp>,
    /// When this changes by itself: a pass has to come then.
    pub next: Option<Timestamp>,
}

/// How a suspension stands now. `written` is what the manifest says ([`super::suspend_of`]; nothing, where the account lets
/// nobody suspend), `since` and `until` what the status says, and `max` the longest the account allows.
///
/// | written | status | then |
/// |---|---|---|
/// | no | nothing | nothing |
/// | yes, over already | nothing | nothing: it never began |
/// | yes | nothing | begins: since = now, until = min(written, since + max) |
/// | yes | since | until = min(written, since + max), active while that is to come. Over, it stays over: until is when it ended |
/// | yes, other than until | since, over for an hour and not by max | begins anew: nobody means the old one any more |
/// | no | since | over: until = when it ended, at the latest now. An hour after that it is forgotten |
///
/// A later `until` written within an hour after the end resumes the same suspension, if `since + max` is still to come. One
/// that `max` ended stays over for as long as it is written, whatever is written, and then an hour from its end.
///
/// A clock set back cannot make it longer: times of the status that lie in the future count as now.
pub fn suspension(
    written: Option<&Suspension>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    max: Duration,
    now: Timestamp,
) -> Suspended {
    let over = until.map(|until| until.min(now));
    match (written, since) {
        (None, None) => Suspended::default(),
        (None, Some(since)) => {
            let ended = over.unwrap_or(now);
            let forgotten = later(ended, SUSPENSION_MEMORY);
            if forgotten <= now {
                return Suspended::default();
            }
            Suspended { active: false, since: Some(since), until: Some(ended), next: Some(forgotten) }
        }
        (Some(written), since) => {
            let since = since.filter(|since| {
                let long_over = over.is_some_and(|over| later(over, SUSPENSION_MEMORY) <= now && over < later(*since, max));
                !long_over || until == Some(written.until)
            });
            let first = since.map_or(now, |since| since.min(now));
            let end = written.until.min(later(first, max));
            if now < end {
                return Suspended { active: true, since: Some(first), until: Some(end), next: Some(end) };
            }
            // An end that is written into the past must not shorten the hour after the real one.
            let ended = since.map(|_| over.map_or(end, |over| over.max(end)));
            Suspended { active: false, since, until: ended, next: None }
        }
    }
}

/// A time and a duration later; the end of time where that is beyond it.
fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;
    const MAX: Duration = Duration::from_secs(24 * 3600);

    /// A time by minutes since the first day's midnight.
    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn written(until: i64) -> Suspension {
        Suspension { until: at(until), reason: "incident 4711".into() }
    }

    /// What a status holds: since and until.
    type Remembered = (Option<i64>, Option<i64>);

    /// What happens, now, the written end, the status before; whether it is active, the status after, the next change.
    type Case = (&'static str, i64, Option<i64>, Remembered, bool, Remembered, Option<i64>);

    #[test]
    fn a_suspension_begins_ends_and_is_forgotten_by_the_table() {
        let day = 24 * 60;
        #[rustfmt::skip]
        let cases: &[Case] = &[
            ("nothing",                        0, None,            (None, None),           false, (None, None),               None),
            ("begins",                         0, Some(120),       (None, None),           true,  (Some(0), Some(120)),       Some(120)),
            ("begins, longer than allowed",    0, Some(9 * day),   (None, None),           true,  (Some(0), Some(day)),       Some(day)),
            ("was over when first seen",     121, Some(120),       (None, None),           false, (None, None),               None),
            ("ends as it is first seen",     120, Some(120),       (None, None),           false, (None, None),               None),
            ("goes on",                       60, Some(120),       (Some(0), Some(120)),   true,  (Some(0), Some(120)),       Some(120)),
            ("is prolonged",                  60, Some(300),       (Some(0), Some(120)),   true,  (Some(0), Some(300)),       Some(300)),
            ("is prolonged beyond the limit", 60, Some(9 * day),   (Some(0), Some(120)),   true,  (Some(0), Some(day)),       Some(day)),
            ("is shortened",                  60, Some(90),        (Some(0), Some(120)),   true,  (Some(0), Some(90)),        Some(90)),
            ("is shortened into the past",    60, Some(30),        (Some(0), Some(120)),   false, (Some(0), Some(60)),        None),
            ("ends to the second",           120, Some(120),       (Some(0), Some(120)),   false, (Some(0), Some(120)),       None),
            ("is over",                      125, Some(120),       (Some(0), Some(120)),   false, (Some(0), Some(120)),       None),
            ("is over for long",             500, Some(120),       (Some(0), Some(120)),   false, (Some(0), Some(120)),       None),
            ("is meant anew, an hour after", 180, Some(300),       (Some(0), Some(120)),   true,  (Some(180), Some(300)),     Some(300)),
            ("is meant anew, days after", 9 * day, Some(19 * day), (Some(0), Some(120)),   true,  (Some(9 * day), Some(10 * day)), Some(10 * day)),
            ("is not meant anew so soon",    179, Some(300),       (Some(0), Some(120)),   true,  (Some(0), Some(300)),       Some(300)),
            ("is ended anew, an hour after", 180, Some(100),       (Some(0), Some(120)),   false, (None, None),               None),
            ("is resumed by a later end",    125, Some(300),       (Some(0), Some(120)),   true,  (Some(0), Some(300)),       Some(300)),
            ("ends by the limit",            day, Some(9 * day),   (Some(0), Some(day)),   false, (Some(0), Some(day)),       None),
            ("stays over while written", 3 * day, Some(9 * day),   (Some(0), Some(day)),   false, (Some(0), Some(day)),       None),
            ("is removed",                    60, None,            (Some(0), Some(120)),   false, (Some(0), Some(60)),        Some(120)),
            ("stays removed",                119, None,            (Some(0), Some(60)),    false, (Some(0), Some(60)),        Some(120)),
            ("is forgotten",                 120, None,            (Some(0), Some(60)),    false, (None, None),               None),
            ("written again within the hour",119, Some(9 * day),   (Some(0), Some(60)),    true,  (Some(0), Some(day)),       Some(day)),
            ("written again, nobody looked", 9 * day, Some(19 * day), (Some(0), Some(60)), true,  (Some(9 * day), Some(10 * day)), Some(10 * day)),
            ("written again, in the past",    80, Some(10),        (Some(0), Some(60)),    false, (Some(0), Some(60)),        None),
            ("removed after its end",   day + 10, None,            (Some(0), Some(day)),   false, (Some(0), Some(day)),       Some(day + 60)),
            ("removed an hour after",   day + 60, None,            (Some(0), Some(day)),   false, (None, None),               None),
            ("written again after its end", day + 10, Some(9 * day), (Some(0), Some(day)), false, (Some(0), Some(day)),       None),
            ("the clock was set back",     -1000, Some(9 * day),   (Some(0), Some(day)),   true,  (Some(-1000), Some(day - 1000)), Some(day - 1000)),
            ("set back, removed",          -1000, None,            (Some(0), Some(60)),    false, (Some(0), Some(-1000)),     Some(-940)),
            ("a status without its end",      60, Some(30),        (Some(0), None),        false, (Some(0), Some(30)),        None),
            ("the same, removed",             60, None,            (Some(0), None),        false, (Some(0), Some(60)),        Some(120)),
            ("a status without its begin",    60, Some(120),       (None, Some(30)),       true,  (Some(60), Some(120)),      Some(120)),
            ("the same, removed",             60, None,            (None, Some(30)),       false, (None, None),               None),
        ];
        for (what, now, until, before, active, after, next) in cases {
            let found = suspension(until.map(written).as_ref(), before.0.map(at), before.1.map(at), MAX, at(*now));
            let expected = Suspended { active: *active, since: after.0.map(at), until: after.1.map(at), next: next.map(at) };
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn a_limit_that_is_lowered_ends_what_goes_on() {
        let found = suspension(Some(&written(600)), Some(at(0)), Some(at(600)), Duration::from_secs(600), at(60));
        assert_eq!((found.active, found.until), (false, Some(at(60))));
    }

    #[test]
    fn the_end_of_time_is_an_end() {
        let found =
            suspension(Some(&Suspension { until: Timestamp::MAX, reason: String::new() }), None, None, Duration::MAX, at(0));
        assert_eq!((found.active, found.until), (true, Some(Timestamp::MAX)));
        let found = suspension(None, Some(Timestamp::MIN), Some(Timestamp::MAX), Duration::MAX, Timestamp::MAX);
        assert_eq!(found, Suspended::default());
    }

    /// One pass: minutes since the last, and what is written then.
    fn story() -> impl Strategy<Value = Vec<(i64, Option<i64>)>> {
        vec((0_i64..200, option::weighted(0.7, -100_i64..4000)), 1..60)
    }

    /// Plays a story and gives the minutes during which reverts were off, pass by pass.
    fn play(story: &[(i64, Option<i64>)], max: Duration) -> Vec<(i64, i64)> {
        let (mut now, mut state, mut off) = (0, Suspended::default(), Vec::new());
        for (n, (pause, ahead)) in story.iter().enumerate() {
            now += pause;
            state = suspension(ahead.map(|ahead| written(now + ahead)).as_ref(), state.since, state.until, max, at(now));
            if let Some(until) = state.until.filter(|_| state.active) {
                // A pass comes when the suspension ends, or earlier.
                let end = (until.as_second() - at(0).as_second()) / 60;
                off.push((now, story.get(n + 1).map_or(end, |(pause, _)| end.min(now + pause))));
            }
        }
        off
    }

    proptest! {
        #[test]
        fn no_way_of_writing_it_suspends_for_longer_than_allowed_without_an_hour_of_reverts(story in story(), hours in 1_i64..30) {
            let max = Duration::from_secs(u64::try_from(hours * HOUR).unwrap());
            let (mut begun, mut last) = (None, i64::MIN);
            for (from, to) in play(&story, max) {
                prop_assert!(from <= to);
                if begun.is_none() || from - last >= 60 {
                    begun = Some(from);
                }
                prop_assert!(to - begun.unwrap() <= hours * 60, "off from {begun:?} to {to}");
                last = to;
            }
        }

        #[test]
        fn it_is_active_only_while_written_and_before_the_written_end(
            before in (option::of(-5000_i64..5000), option::of(-5000_i64..5000)), until in option::of(-5000_i64..5000),
        ) {
            let text = until.map(written);
            let found = suspension(text.as_ref(), before.0.map(at), before.1.map(at), MAX, at(0));
            if found.active {
                prop_assert!(until.is_some_and(|until| until > 0));
                prop_assert!(found.until.is_some_and(|end| at(0) < end && end <= at(24 * 60)));
                prop_assert!(found.since.is_some_and(|since| since <= at(0)));
            }
            // Nothing happened since: nothing changes, nothing is written.
            prop_assert_eq!(suspension(text.as_ref(), found.since, found.until, MAX, at(0)), found);
        }

        #[test]
        fn a_pass_more_or_less_makes_no_difference_to_what_is_written(until in 1_i64..3000, passes in vec(1_i64..4000, 1..20)) {
            let text = written(until);
            let mut state = suspension(Some(&text), None, None, MAX, at(0));
            for pass in std::collections::BTreeSet::from_iter(passes) {
                state = suspension(Some(&text), state.since, state.until, MAX, at(pass));
                prop_assert_eq!(state.active, pass < until.min(24 * 60));
                prop_assert_eq!((state.since, state.until), (Some(at(0)), Some(at(until.min(24 * 60)))));
            }
        }
    }
}
