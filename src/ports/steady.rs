//! Time as all machines count it: monotonic, and with the sleep of the own machine in it. For leases.
//!
//! Monotonic time runs on while the process is stopped, and while the wall clock jumps. It stands still while the whole machine
//! sleeps (suspend, hibernation): a leader that wakes would take its lease for fresh although others have taken over long ago.
//! Linux counts sleep in its uptime, so what the uptime is ahead by is added. Where there is no `/proc/uptime`, it is not; and no
//! clock of a virtual machine counts the time its host held it still. What is left then is the next renewal, which Kubernetes
//! refuses: for at most a retry and the answer's time the leader of before may still start writes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;

/// Where Linux says how long ago it was started, its sleep included.
const UPTIME: &str = "/proc/uptime";

/// Gives moments and measures from them. Clones are one clock.
#[derive(Clone)]
pub struct Steady {
    made: Instant,
    source: Source,
}

#[derive(Clone)]
enum Source {
    /// The machine's, and its uptime when this was made.
    Machine { uptime: Option<Duration> },
    /// As a test says.
    Told(Arc<Mutex<Duration>>),
}

/// A point of time to measure from.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    instant: Instant,
    slept: Duration,
}

impl fmt::Debug for Steady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::Machine { uptime: _ } => "Steady(machine)",
            Source::Told(_) => "Steady(told)",
        })
    }
}

impl Steady {
    /// The steady time beside a clock: the machine's, or tokio's if that is what the clock follows.
    pub fn beside(clock: &Clock) -> Self {
        let source = if clock.is_anchored() { Source::Told(Arc::default()) } else { Source::Machine { uptime: uptime() } };
        Self { made: Instant::now(), source }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        // In this order: when the process is stopped in between, the time is counted twice rather than not at all.
        let instant = self.instant();
        Moment { instant, slept: self.slept() }
    }

    /// How long ago a moment was. Never less than what has passed on other machines, as far as a machine can know.
    pub fn since(&self, moment: Moment) -> Duration {
        let slept = self.slept().saturating_sub(moment.slept);
        self.instant().saturating_duration_since(moment.instant).saturating_add(slept)
    }

    fn instant(&self) -> Instant {
        let now = Instant::now();
        match &self.source {
            Source::Machine { uptime: _ } => now,
            // Monotonic time stands still while the machine sleeps.
            Source::Told(slept) => now.checked_sub(*slept.lock().unwrap_or_else(PoisonError::into_inner)).unwrap_or(now),
        }
    }

    /// How long the machine has slept since this was made.
    fn slept(&self) -> Duration {
        match &self.source {
            Source::Machine { uptime: before } => {
                let passed = before.and_then(|before| uptime()?.checked_sub(before)).unwrap_or_default();
                passed.saturating_sub(self.made.elapsed())
            }
            Source::Told(slept) => *slept.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Says that the machine has slept for the last `duration` of tokio's time.
    #[cfg(test)]
    pub(crate) fn slept_for(&self, duration: Duration) {
        if let Source::Told(slept) = &self.source {
            *slept.lock().unwrap_or_else(PoisonError::into_inner) += duration;
        }
    }
}

/// How long ago the machine was started.
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string(UPTIME).ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_uptime_is_read_and_shows_no_sleep_while_it_is_awake() {
        assert!(uptime().is_some(), "tests run on Linux");
        let steady = Steady::beside(&Clock::system());
        let moment = steady.now();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let passed = steady.since(moment);
        // The uptime has hundredths of a second.
        assert!(passed >= Duration::from_millis(50) && passed < Duration::from_secs(5), "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_of_the_machine_counts_though_monotonic_time_stood_still() {
        let steady = Steady::beside(&Clock::anchored("2026-11-22T21:00:00Z".parse().unwrap()));
        let moment = steady.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(steady.since(moment), Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(60)).await;
        steady.slept_for(Duration::from_secs(60));
        assert_eq!(steady.instant() - moment.instant, Duration::from_secs(3), "monotonic time alone would not tell");
        assert_eq!(steady.since(moment), Duration::from_secs(63));
        assert_eq!(steady.since(steady.now()), Duration::ZERO);
    }
}
