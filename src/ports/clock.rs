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

    /// Whether it follows tokio's time instead of the machine's clocks.
    pub fn is_anchored(&self) -> bool {
        self.anchor.is_some()
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
    /// Least wait after a failure that only a person can cure: credentials, a permission, a quota, what EC2 refuses for good.
    pub refused: Duration,
    /// Wait while a reference is not ready. The reference becoming ready ends it early.
    pub reference_poll: Duration,
    /// Longest one reconcile may take before it is given up as an error.
    pub reconcile_limit: Duration,
    /// How long the account of an object that is being deleted is waited for, before the group is let go of.
    pub account_grace: Duration,
    /// After a group's tags were taken over: how long until its owner is read again, before anything else is written.
    pub adoption_wait: Duration,
    /// What all waits were divided by.
    pub factor: u32,
    /// From one sweep of a Region to the next, where its `AwsAccount` does not say otherwise.
    pub sweep: Duration,
    /// From one deep sweep to the next: rules with their ids, and what changes so rarely that an hour's delay does not hurt.
    pub deep_sweep: Duration,
    /// Longest one sweep may take before it is given up as failed.
    pub sweep_limit: Duration,
    /// How long a reconcile waits for a Region's first sweep before it reads by itself.
    pub first_sweep: Duration,
    /// Reads asked for within this time share a call.
    pub coalesce: Duration,
    /// How long what we wrote may be contradicted by reads that lag behind (EC2 user guide, "eventual consistency").
    pub overlay_limit: Duration,
    /// How long reads may show a rule that we altered as it was before. Somebody who sets it back at once goes unseen as long,
    /// hence the shorter time.
    pub altered_limit: Duration,
    /// Between two reads that must agree before something absent or altered is believed.
    pub confirm: Duration,
    /// How long a VPC, or a prefix list found by name, is not looked up again.
    pub lookup: Duration,
    /// After a failed connection: how long its error is the answer, so that a thousand objects do not try one after another.
    pub reconnect: Duration,
    /// Without a throttle for this long, a lane that was slowed down doubles its pace.
    pub lane_recovery: Duration,
    /// How long a renewal of the leader's Lease holds. Others count it from when they saw the renewal, the leader from before
    /// it asked for it.
    pub lease: Duration,
    /// How long a leader tries to renew before it gives leadership up.
    pub lease_renew_deadline: Duration,
    /// Between two tries to take or to renew the Lease; by chance up to a fifth longer.
    pub lease_retry: Duration,
    /// How much of the lease must be left for an EC2 write to start: one attempt of 8 s, and a second to send it.
    pub fence_margin: Duration,
    /// How long whoever takes a Lease that was not released waits before it writes: the last call of the one before, who may
    /// have been stopped just past its fence, comes to its end meanwhile.
    pub takeover_wait: Duration,
    /// How long the work may take to end once told to, before it is refused any further write.
    pub wind_down: Duration,
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
            refused: Duration::from_secs(30),
            reference_poll: Duration::from_secs(30),
            reconcile_limit: Duration::from_secs(300),
            account_grace: Duration::from_secs(3600),
            adoption_wait: Duration::from_secs(10),
            factor: 1,
            sweep: Duration::from_secs(60),
            deep_sweep: Duration::from_secs(3600),
            sweep_limit: Duration::from_secs(300),
            first_sweep: Duration::from_secs(30),
            coalesce: Duration::from_millis(20),
            overlay_limit: Duration::from_secs(300),
            altered_limit: Duration::from_secs(60),
            confirm: Duration::from_secs(2),
            lookup: Duration::from_secs(60),
            reconnect: Duration::from_secs(5),
            lane_recovery: Duration::from_secs(30),
            lease: Duration::from_secs(20),
            lease_renew_deadline: Duration::from_secs(12),
            lease_retry: Duration::from_secs(2),
            fence_margin: Duration::from_secs(9),
            takeover_wait: Duration::from_secs(8),
            wind_down: Duration::from_secs(60),
        }
    }
}

/// The most the waits around the Lease are divided by. They hold against each other only while a renewal and its answer are
/// short beside all of them, and a Lease says in whole seconds how long it holds.
const LEASE_FACTOR: u32 = 4;

impl Timings {
    /// A wait that users set, or that stands where it is used, divided as all others were.
    pub fn scaled(&self, wait: Duration) -> Duration {
        wait / self.factor.max(1)
    }

    /// Every wait divided, for tests; the limits of what may take long stay.
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
            refused,
            reference_poll,
            reconcile_limit,
            account_grace,
            adoption_wait,
            factor: before,
            sweep,
            deep_sweep,
            sweep_limit,
            first_sweep,
            coalesce,
            overlay_limit,
            altered_limit,
            confirm,
            lookup,
            reconnect,
            lane_recovery,
            lease,
            lease_renew_deadline,
            lease_retry,
            fence_margin,
            takeover_wait,
            wind_down,
        } = self;
        let lease_factor = factor.min(LEASE_FACTOR);
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
            refused: refused / factor,
            reference_poll: reference_poll / factor,
            reconcile_limit,
            account_grace: account_grace / factor,
            adoption_wait: adoption_wait / factor,
            factor: before.saturating_mul(factor),
            sweep: sweep / factor,
            deep_sweep: deep_sweep / factor,
            sweep_limit,
            first_sweep: first_sweep / factor,
            coalesce: coalesce / factor,
            overlay_limit: overlay_limit / factor,
            altered_limit: altered_limit / factor,
            confirm: confirm / factor,
            lookup: lookup / factor,
            reconnect: reconnect / factor,
            lane_recovery: lane_recovery / factor,
            lease: lease / lease_factor,
            lease_renew_deadline: lease_renew_deadline / lease_factor,
            lease_retry: lease_retry / lease_factor,
            fence_margin: fence_margin / lease_factor,
            takeover_wait: takeover_wait / lease_factor,
            wind_down: wind_down / lease_factor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_around_the_lease_hold_against_each_other_however_much_they_are_divided() {
        for factor in [1, 2, 4, 5, 20, 1_000, u32::MAX] {
            let Timings { lease, lease_renew_deadline, lease_retry, fence_margin, takeover_wait, .. } =
                Timings::default().divided_by(factor);
            let writing = lease.saturating_sub(fence_margin);
            assert!(lease >= Duration::from_secs(1), "{factor}: a Lease says how long it holds in whole seconds");
            assert!(lease_retry * 3 < writing, "{factor}: renewals that miss two of three keep the fence open");
            assert!(writing <= lease_renew_deadline, "{factor}: nothing is written that long after the last renewal anyway");
            assert!(lease_renew_deadline < lease, "{factor}: who lost knows before another may lead");
            assert!(takeover_wait < fence_margin && takeover_wait > lease_retry, "{factor}");
        }
    }
}
