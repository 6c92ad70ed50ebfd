//! The fence: gives a permit for each write, and only while enough of the lease is left for the write to end in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::steady::{Moment, Steady};

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLeader {
    /// Another replica leads, or none.
    #[error("this replica does not lead; nothing was sent")]
    Standby,
    /// The one before was not heard to end: it may have a call under way still.
    #[error("leadership was just taken over, and the last call of the replica before may not have ended; nothing was sent")]
    TakingOver,
    /// The lease may run out before the write ends.
    #[error("the lease of this replica may run out before the call ends; nothing was sent")]
    RunningOut,
}

impl NotLeader {
    /// The same as the error of a write that was not sent.
    pub fn refuse(self, operation: &'static str) -> CloudError {
        CloudError {
            operation,
            class: ErrorClass::Unavailable,
            code: None,
            message: self.to_string(),
            request_id: None,
            outcome_unknown: false,
        }
    }
}

/// Stands before every write. Clones are one fence.
#[derive(Clone, Debug)]
pub struct Fence {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    steady: Steady,
    lease: Duration,
    margin: Duration,
    takeover_wait: Duration,
    state: Mutex<State>,
    /// A permit came back.
    returned: Notify,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// Permits that are out.
    out: usize,
    /// When the latest call began whose caller did not wait for its end: EC2 may be at it still.
    abandoned: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    /// There is nobody to share with.
    Alone,
    /// Closed.
    Standby,
    /// Open, with the lease as it was last renewed.
    Leading {
        /// Before the renewal was asked for.
        renewed: Moment,
        /// When leadership was taken from somebody who may still be writing.
        taken: Option<Moment>,
    },
}

/// One write may start, now. To be held until it has ended.
#[derive(Debug)]
#[must_use = "the write counts as under way for as long as this is held"]
pub struct Permit {
    shared: Arc<Shared>,
    since: Moment,
    ended: bool,
}

impl Fence {
    /// A closed fence, which [`lead`](super::lead) opens.
    pub fn closed(clock: &Clock, timings: &Timings) -> Self {
        Self::new(clock, timings, Standing::Standby)
    }

    /// A fence that is always open, for a process without replicas: the lock of the state directory is the leadership.
    pub fn always() -> Self {
        Self::new(&Clock::system(), &Timings::default(), Standing::Alone)
    }

    fn new(clock: &Clock, timings: &Timings, standing: Standing) -> Self {
        let state = Mutex::new(State { standing, out: 0, abandoned: None });
        Self {
            shared: Arc::new(Shared {
                steady: Steady::beside(clock),
                lease: timings.lease,
                margin: timings.fence_margin,
                takeover_wait: timings.takeover_wait,
                state,
                returned: Notify::new(),
            }),
        }
    }

    /// A permit for one write, to be taken immediately before it is sent: with nothing awaited in between.
    pub fn permit(&self) -> Result<Permit, NotLeader> {
        let shared = &self.shared;
        let mut state = shared.state();
        // Under the lock: a thread that had to wait for it would otherwise judge by an old time.
        shared.judge(state.standing)?;
        state.out = state.out.saturating_add(1);
        Ok(Permit { shared: shared.clone(), since: shared.steady.now(), ended: false })
    }

    /// Whether a write could start now. A look, not a permit.
    pub fn check(&self) -> Result<(), NotLeader> {
        let standing = self.shared.state().standing;
        self.shared.judge(standing)
    }

    /// The time by which the lease is counted.
    pub(super) fn steady(&self) -> &Steady {
        &self.shared.steady
    }

    /// Opens: the lease was taken by a request that was sent after `renewed`.
    pub(super) fn open(&self, renewed: Moment, taken: Option<Moment>) {
        self.shared.state().standing = Standing::Leading { renewed, taken };
    }

    /// The lease was renewed by a request that was sent after `now`. A fence that was closed meanwhile stays closed.
    pub(super) fn renewed(&self, now: Moment) {
        match &mut self.shared.state().standing {
            Standing::Leading { renewed, taken: _ } => *renewed = now,
            Standing::Alone | Standing::Standby => {}
        }
    }

    /// Lets no further write start.
    pub(super) fn close(&self) {
        self.shared.state().standing = Standing::Standby;
    }

    /// Waits until no write is under way. To be called after [`Fence::close`].
    pub(super) async fn quiet(&self) {
        loop {
            let returned = self.shared.returned.notified();
            let (out, abandoned) = {
                let state = self.shared.state();
                (state.out, state.abandoned)
            };
            let left = abandoned.map_or(Duration::ZERO, |since| self.shared.margin.saturating_sub(self.shared.steady.since(since)));
            if out > 0 {
                returned.await;
            } else if left.is_zero() {
                return;
            } else {
                tokio::time::sleep(left).await;
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs under the lock, and no half-done change can be seen: poison means nothing here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, standing: Standing) -> Result<(), NotLeader> {
        match standing {
            Standing::Alone => Ok(()),
            Standing::Standby => Err(NotLeader::Standby),
            Standing::Leading { renewed, taken } => {
                if taken.is_some_and(|taken| self.steady.since(taken) < self.takeover_wait) {
                    return Err(NotLeader::TakingOver);
                }
                if self.steady.since(renewed).saturating_add(self.margin) > self.lease {
                    return Err(NotLeader::RunningOut);
                }
                Ok(())
            }
        }
    }
}

impl Permit {
    /// The longest the write may take.
    pub fn limit(&self) -> Duration {
        self.shared.margin
    }

    /// Whether the write has taken too long already: from now on another may write.
    pub fn is_overdue(&self) -> bool {
        self.shared.steady.since(self.since) >= self.shared.margin
    }

    /// The write has ended, with whatever answer.
    pub fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.out = state.out.saturating_sub(1);
        if !self.ended {
            let later = |other: &Moment| self.shared.steady.since(*other) < self.shared.steady.since(self.since);
            state.abandoned = state.abandoned.filter(later).or(Some(self.since));
        }
        drop(state);
        self.shared.returned.notify_waiters();
    }
}
