//! The elector: takes, renews and releases the Lease, as client-go does. Three things are stricter than there:
//!
//! - our own time counts from before the renewing request was sent, not from when its answer came;
//! - after a Lease that was not released there is a wait;
//! - a Lease that is deleted, or cleared by hand, is no released one: who saw its holder waits its time out all the same.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::LeaderParts;
use super::fence::Fence;
use super::jittered;
use crate::ports::clock::{Clock, Timings};
use crate::ports::lease::{LeaseError, LeaseRecord, Leases, StoredLease};
use crate::ports::steady::{Moment, Steady};

/// What a released Lease says of its duration, as client-go writes it.
const RELEASED: Duration = Duration::from_secs(1);

/// How often in a row a renewal may meet somebody else's write before it is left for the next try.
const CONFLICTS: u32 = 3;

/// A Lease that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// Before the request that took or last renewed it.
    pub(super) renewed: Moment,
    /// When it was taken from somebody who had not released it.
    pub(super) taken: Option<Moment>,
}

/// How leadership was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Another has the Lease, or somebody cleared it.
    Taken {
        /// Who has it.
        holder: Option<String>,
    },
    /// It could not be renewed in time.
    Deadline,
}

/// A Lease as it was last seen.
struct Seen {
    lease: StoredLease,
    /// When it was first seen to say this, or to be gone.
    since: Moment,
    /// Whether it is still there.
    exists: bool,
}

pub(super) struct Elector {
    leases: Arc<dyn Leases>,
    identity: String,
    clock: Clock,
    timings: Timings,
    steady: Steady,
    seen: Option<Seen>,
    /// Whether the last holder but us was not seen to release.
    unreleased: bool,
    /// When the Lease was last taken from such a holder. Kept over a loss: the wait after it may not be over.
    taken: Option<Moment>,
    /// What the log was last told, so that it is told once.
    told: Option<String>,
}

/// A renewal that did not succeed.
enum Fault {
    Taken { holder: Option<String> },
    Failed(LeaseError),
}

impl From<LeaseError> for Fault {
    fn from(error: LeaseError) -> Self {
        Self::Failed(error)
    }
}

impl Elector {
    pub(super) fn new(parts: &LeaderParts) -> Self {
        let LeaderParts { leases, identity, clock, timings, metrics: _, fence } = parts;
        Self {
            leases: leases.clone(),
            identity: identity.clone(),
            clock: clock.clone(),
            timings: timings.clone(),
            steady: fence.steady().clone(),
            seen: None,
            unreleased: false,
            taken: None,
            told: None,
        }
    }

    /// Stands by until the Lease is ours; `None` when `stop` comes first.
    pub(super) async fn stand(&mut self, stop: &CancellationToken) -> Option<Term> {
        while !stop.is_cancelled() {
            match self.try_take(stop).await {
                Ok(Some(term)) => {
                    self.told = None;
                    return Some(term);
                }
                Ok(None) => {}
                Err(error) => self.tell_error(&error, "the Lease cannot be had; this replica stands by"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(jittered(self.timings.lease_retry)) => {}
            }
        }
        None
    }

    async fn try_take(&mut self, stop: &CancellationToken) -> Result<Option<Term>, LeaseError> {
        let found = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            found = self.limited(self.leases.get()) => found?,
        };
        self.look(found);
        if !self.is_free() {
            self.tell_holder();
            return Ok(None);
        }
        // Not given up at `stop`: the Lease might be ours then without anybody knowing, and nobody would lead until it ran out.
        match self.write(self.claim()).await {
            Ok(renewed) => {
                if std::mem::take(&mut self.unreleased) {
                    self.taken = Some(self.steady.now());
                }
                Ok(Some(Term { renewed, taken: self.taken }))
            }
            // Another candidate was quicker: the next look shows who.
            Err(LeaseError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews for as long as that succeeds, and tells the fence.
    pub(super) async fn keep(&mut self, fence: &Fence, mut term: Term) -> Lost {
        loop {
            let pause = jittered(self.timings.lease_retry).min(self.left(term));
            self.clock.sleep(pause).await;
            // Before another try, and by the clock instead of by the sleep: the process may have been stopped for an hour.
            let left = self.left(term);
            if left.is_zero() {
                return Lost::Deadline;
            }
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(renewed)) => {
                    term.renewed = renewed;
                    fence.renewed(renewed);
                    self.told = None;
                }
                Ok(Err(Fault::Taken { holder })) => return Lost::Taken { holder },
                Ok(Err(Fault::Failed(error))) => self.tell_error(&error, "the Lease was not renewed; trying again"),
                Err(_) => {}
            }
        }
    }

    /// What is left of a term until it has to be renewed.
    fn left(&self, term: Term) -> Duration {
        self.timings.lease_renew_deadline.saturating_sub(self.steady.since(term.renewed))
    }

    async fn renew(&mut self) -> Result<Moment, Fault> {
        let mut conflicts = 0;
        loop {
            match self.write(self.claim()).await {
                Err(LeaseError::Conflict) if conflicts < CONFLICTS => conflicts += 1,
                other => return Ok(other?),
            }
            // Somebody has put a label on it, or a request of ours came through though its answer did not; or it is no longer
            // ours. Looked at without a pause: if it is another's, nothing more may be written.
            let found = self.limited(self.leases.get()).await?;
            self.look(found);
            if let Some(Seen { lease, since: _, exists: true }) = &self.seen
                && !self.is_mine(&lease.record)
            {
                return Err(Fault::Taken { holder: lease.record.holder.clone() });
            }
        }
    }

    /// Gives the Lease up, so that the next need not wait. To be called when no write is under way. Whether it succeeds or not,
    /// it ends.
    pub(super) async fn release(&mut self) {
        if tokio::time::timeout(self.timings.lease_renew_deadline, self.release_for_sure()).await.is_err() {
            tracing::warn!("the Lease could not be released; the next leader waits until it has run out");
        }
    }

    async fn release_for_sure(&mut self) {
        loop {
            let now = self.clock.now();
            let transitions = self.seen.as_ref().map_or(0, |seen| seen.lease.record.transitions);
            let record = LeaseRecord { holder: None, duration: RELEASED, acquired: Some(now), renewed: Some(now), transitions };
            match self.write(record).await {
                Ok(_) => return tracing::info!("the Lease is released"),
                Err(LeaseError::Conflict) => {}
                Err(LeaseError::Refused(_) | LeaseError::Unavailable(_)) => {
                    self.clock.sleep(jittered(self.timings.lease_retry)).await;
                }
            }
            match self.limited(self.leases.get()).await {
                Ok(Some(lease)) if self.is_mine(&lease.record) => self.look(Some(lease)),
                // Another's, released by a request whose answer was lost, or gone: there is nothing of ours to give up.
                Ok(_) => return,
                Err(_) => self.clock.sleep(jittered(self.timings.lease_retry)).await,
            }
        }
    }

    /// Takes note of what was read.
    fn look(&mut self, found: Option<StoredLease>) {
        let Some(lease) = found else {
            // Its holder may have renewed it up to the moment it was deleted.
            let now = self.steady.now();
            if let Some(seen) = self.seen.as_mut().filter(|seen| seen.exists) {
                seen.exists = false;
                seen.since = now;
            }
            return;
        };
        // By what it says and not by its version: a label is no sign of life.
        let known = self.seen.as_ref().filter(|seen| seen.exists && seen.lease.record == lease.record);
        let since = known.map_or_else(|| self.steady.now(), |seen| seen.since);
        if is_released(&lease.record) {
            self.unreleased = false;
        } else if !self.is_mine(&lease.record) {
            self.unreleased = true;
        }
        self.seen = Some(Seen { lease, since, exists: true });
    }

    /// Whether nobody can hold the Lease any more, or we do.
    fn is_free(&self) -> bool {
        let Some(Seen { lease: StoredLease { record, meta: _ }, since, exists: _ }) = &self.seen else { return true };
        if is_released(record) || self.is_mine(record) {
            return true;
        }
        // The holder goes by its own figures, which another release may have changed.
        self.steady.since(*since) >= record.duration.max(self.timings.lease)
    }

    fn is_mine(&self, record: &LeaseRecord) -> bool {
        record.holder.as_ref() == Some(&self.identity)
    }

    /// The Lease as it is to be: ours, renewed now.
    fn claim(&self) -> LeaseRecord {
        let before = self.seen.as_ref().map(|seen| &seen.lease.record);
        let now = self.clock.now();
        // Written as it was it would not be written at all, and others would see no renewal.
        let same = before.and_then(|before| before.renewed).is_some_and(|renewed| renewed.as_microsecond() == now.as_microsecond());
        let renewed = if same { now.checked_add(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN) } else { now };
        let mine = before.filter(|before| self.is_mine(before));
        LeaseRecord {
            holder: Some(self.identity.clone()),
            duration: self.timings.lease,
            acquired: mine.map_or(Some(now), |mine| mine.acquired),
            renewed: Some(renewed),
            transitions: match (mine, before) {
                (Some(mine), _) => mine.transitions,
                (None, Some(before)) => before.transitions.saturating_add(1),
                (None, None) => 0,
            },
        }
    }

    /// Writes the Lease as it was last seen, or makes it. Returns the moment before.
    async fn write(&mut self, record: LeaseRecord) -> Result<Moment, LeaseError> {
        let before = self.steady.now();
        let lease = match self.seen.as_ref().filter(|seen| seen.exists) {
            Some(seen) => self.limited(self.leases.replace(&seen.lease, &record)).await?,
            None => self.limited(self.leases.create(&record)).await?,
        };
        self.seen = Some(Seen { lease, since: self.steady.now(), exists: true });
        Ok(before)
    }

    /// Two tries fit before the deadline, however silent the apiserver.
    async fn limited<T>(&self, call: impl Future<Output = Result<T, LeaseError>>) -> Result<T, LeaseError> {
        let limit = self.timings.lease_renew_deadline / 2;
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_) => Err(LeaseError::Unavailable(format!("no answer within {limit:?}").into())),
        }
    }

    fn tell_holder(&mut self) {
        let Some(Seen { lease, since: _, exists }) = &self.seen else { return };
        let holder = lease.record.holder.clone().unwrap_or_default();
        let news = format!("{holder} {exists}");
        if self.told.replace(news.clone()).as_ref() == Some(&news) {
            return;
        }
        if *exists {
            tracing::info!(leader = holder, "another replica leads; this one stands by");
        } else {
            tracing::warn!(leader = holder, "the Lease was deleted; its holder may not know yet, so its time is waited out");
        }
    }

    fn tell_error(&mut self, error: &LeaseError, what: &'static str) {
        let news = match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        if self.told.replace(news.clone()).as_ref() != Some(&news) {
            tracing::warn!(error = news, "{what}");
        }
    }
}

/// Whether a holder gave the Lease up, or there never was one. Without a holder but with a full duration it was cleared by
/// hand: the holder may not know yet.
fn is_released(record: &LeaseRecord) -> bool {
    record.holder.is_none() && record.duration <= RELEASED
}
