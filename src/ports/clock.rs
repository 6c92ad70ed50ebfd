//! Time. The one place that reads a clock, so that tests can turn it, and the one table of every wait.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::skew::Skew;

/// Wall and monotonic time. A clock made by [`Clock::anchored`] follows tokio's time, which a test may pause and advance.
/// Clones are one clock: what one is told of the servers' time, all show.
#[derive(Clone, Debug)]
pub struct Clock {
    anchor: Option<(Timestamp, Instant)>,
    skew: Arc<Skew>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { anchor: None, skew: Arc::default() }
    }

    /// A clock that shows `start` now and runs with tokio's time.
    pub fn anchored(start: Timestamp) -> Self {
        Self { anchor: Some((start, Instant::now())), skew: Arc::default() }
    }

    /// Wall time; EC2's where that is known to be another ([`Clock::skew`]). May jump; for people and records, never for
    /// measuring.
    pub fn now(&self) -> Timestamp {
        let own = self.own();
        self.skew().map_or(own, |ahead| own.checked_add(ahead).unwrap_or(own))
    }

    /// Takes note of the time that EC2 says it is, at the moment its answer arrives.
    pub fn observe(&self, server: Timestamp) {
        self.skew.measure(server.duration_since(self.own()));
    }

    /// By how much EC2's clock is ahead of the machine's (less than zero: behind), if by more than 30 s. Its time rules then:
    /// expiries and suspensions are meant by it.
    pub fn skew(&self) -> Option<SignedDuration> {
        self.skew.held()
    }

    /// The machine's wall time, or the anchored one.
    fn own(&self) -> Timestamp {
        match self.anchor {
            Some((start, since)) => {
                let elapsed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::ZERO);
                start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
            }
            #[expect(clippy::disallowed_methods, reason = "this is the place the rest takes the time from")]
            None => Timestamp::now(),
        }
    }

    /// A point of monotonic time, for measuring.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Every wait of the engine, in one place. Tests shrink them; users do not see them, but for the re-read interval.
#[derive(Clone, Debug)]
pub struct Timings {
    /// From one look at a group to the next when nothing asks for an earlier one.
    pub reread: Duration,
    /// How long a group must be missing, in three reads, before it is created again.
    pub absence: Duration,
    /// How long after a create a missing group may be EC2's own lag (EC2 user guide, "eventual consistency").
    pub visibility: Duration,
    /// Between seeing new rules in EC2 and revoking those they replace: the data plane lags behind the API.
    pub settle: Duration,
    /// Between two reads while a write is not visible yet.
    pub visible_poll: Duration,
    /// How long to wait for a write to become visible before giving up for this pass.
    pub visible_limit: Duration,
    /// How long a status write may hold up the revert of an unauthorized addition.
    pub status_patience: Duration,
    /// First wait after a failure; doubles from there.
    pub backoff_first: Duration,
    /// Longest wait after failures.
    pub backoff_limit: Duration,
    /// Wait while a reference is not ready. The reference becoming ready ends it early.
    pub reference_poll: Duration,
    /// Longest one reconcile may take before it is given up as an error.
    pub reconcile_limit: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            reread: Duration::from_secs(60),
            absence: Duration::from_secs(60),
            visibility: Duration::from_secs(300),
            settle: Duration::from_secs(5),
            visible_poll: Duration::from_secs(1),
            visible_limit: Duration::from_secs(30),
            status_patience: Duration::from_secs(1),
            backoff_first: Duration::from_secs(1),
            backoff_limit: Duration::from_secs(300),
            reference_poll: Duration::from_secs(30),
            reconcile_limit: Duration::from_secs(300),
        }
    }
}

impl Timings {
    /// Every wait divided, for tests.
    #[must_use]
    pub fn divided_by(self, factor: u32) -> Self {
        let factor = factor.max(1);
        let Self {
            reread,
            absence,
            visibility,
            settle,
            visible_poll,
            visible_limit,
            status_patience,
            backoff_first,
            backoff_limit,
            reference_poll,
            reconcile_limit,
        } = self;
        Self {
            reread: reread / factor,
            absence: absence / factor,
            visibility: visibility / factor,
            settle: settle / factor,
            visible_poll: visible_poll / factor,
            visible_limit: visible_limit / factor,
            // How long others take to answer does not shrink with our own waits.
            status_patience,
            backoff_first: backoff_first / factor,
            backoff_limit: backoff_limit / factor,
            reference_poll: reference_poll / factor,
            reconcile_limit,
        }
    }
}
