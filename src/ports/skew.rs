//! How far the machine's clock is off, as the replies of a server tell.
//!
//! Entry point: [`Skew`].
//!
//! Invariant: one reply alone changes nothing. A reply that was long on its way, or a machine that slept meanwhile, looks like
//! a clock that is off; two replies in a row that agree do not.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;

/// Less than this is no matter: `Date` has whole seconds, and a reply takes its time (DESIGN §4.4).
const LIMIT: i64 = 30_000;
/// Measurements that differ by no more than this tell the same, so that the time shown does not tremble.
const SLACK: i64 = 5_000;

/// What is held of the servers' time, in milliseconds that it is ahead of ours.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// What time is corrected by; 0 while the clocks agree.
    held: AtomicI64,
    /// The latest measurement.
    last: AtomicI64,
}

impl Skew {
    /// Takes in by how much a server's clock is ahead. Threads may come between the two words: at worst a change waits for
    /// one more reply.
    pub(super) fn measure(&self, ahead: SignedDuration) {
        let ahead = i64::try_from(ahead.as_millis()).unwrap_or(if ahead.is_negative() { i64::MIN } else { i64::MAX });
        let before = self.last.swap(ahead, Ordering::Relaxed);
        let held = self.held.load(Ordering::Relaxed);
        let bearable = if held == 0 { LIMIT } else { SLACK };
        if apart(ahead, held) > bearable && apart(ahead, before) <= SLACK {
            self.held.store(if apart(ahead, 0) > LIMIT { ahead } else { 0 }, Ordering::Relaxed);
        }
    }

    /// What time is to be corrected by, if anything.
    pub(super) fn held(&self) -> Option<SignedDuration> {
        Some(self.held.load(Ordering::Relaxed)).filter(|held| *held != 0).map(SignedDuration::from_millis)
    }
}

fn apart(a: i64, b: i64) -> i64 {
    a.saturating_sub(b).saturating_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::clock::Clock;

    /// What is held after each measurement, in seconds.
    fn held(measurements: &[i64]) -> Vec<Option<i64>> {
        let skew = Skew::default();
        let step = |seconds: &i64| {
            skew.measure(SignedDuration::from_secs(*seconds));
            skew.held().map(|held| held.as_secs())
        };
        measurements.iter().map(step).collect()
    }

    #[test]
    fn clocks_that_differ_by_less_than_half_a_minute_agree() {
        assert_eq!(held(&[0, 29, -29, 30, 30, -30, -30]), [None; 7]);
    }

    #[test]
    fn two_replies_that_agree_are_believed_and_one_is_not() {
        assert_eq!(held(&[600, 0, 600, 601]), [None, None, None, Some(601)]);
        assert_eq!(held(&[-600, -599]), [None, Some(-599)]);
        assert_eq!(held(&[600, -600, 600]), [None; 3]);
    }

    #[test]
    fn what_is_held_does_not_tremble() {
        assert_eq!(held(&[31, 31, 30, 29, 35, 28]), [None, Some(31), Some(31), Some(31), Some(31), Some(31)]);
    }

    #[test]
    fn a_clock_that_was_set_right_is_believed_again() {
        assert_eq!(held(&[600, 600, 1, 0, 0]), [None, Some(600), Some(600), None, None]);
        assert_eq!(held(&[600, 600, -300, -300]), [None, Some(600), Some(600), Some(-300)]);
        assert_eq!(held(&[600, 600, 20, 20]), [None, Some(600), Some(600), None], "half a minute is no matter");
    }

    #[test]
    fn times_out_of_all_bounds_are_only_times() {
        let skew = Skew::default();
        for ahead in [SignedDuration::MAX, SignedDuration::MAX, SignedDuration::MIN, SignedDuration::MIN] {
            skew.measure(ahead);
        }
        assert!(skew.held().is_some_and(|held| held.is_negative()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_is_shown_by_every_clone_and_the_measure_is_always_against_our_own() {
        let clock = Clock::anchored("2026-01-01T00:00:00Z".parse().unwrap());
        let clone = clock.clone();
        for _ in 0..5 {
            clock.observe("2026-01-01T01:00:00Z".parse().unwrap());
        }
        assert_eq!(clone.skew(), Some(SignedDuration::from_hours(1)));
        assert_eq!(clone.now().to_string(), "2026-01-01T01:00:00Z");
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        assert_eq!(clone.now().to_string(), "2026-01-01T01:01:00Z");
        let other = Clock::anchored("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!((other.skew(), other.now().to_string()), (None, "2026-01-01T00:00:00Z".into()), "another clock knows nothing");
    }

    #[test]
    fn a_server_at_the_end_of_time_does_not_stop_the_clock() {
        let clock = Clock::system();
        for _ in 0..3 {
            clock.observe(jiff::Timestamp::MAX);
        }
        assert!(clock.now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }
}
