//! Whether the process is alive and ready, told by the engine and asked for by the probes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::clock::Clock;

/// What must be there before sgwarden can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter)]
pub enum Need {
    /// Every `SecurityGroup` object was listed once.
    Objects,
    /// AWS has said whose credentials these are.
    Credentials,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Objects => "the first list of every kind of object",
            Self::Credentials => "AWS to accept the credentials",
        })
    }
}

/// The signs of life and readiness of one process. Clones share them.
#[derive(Clone, Debug)]
pub struct Health {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    beat: Instant,
    missing: BTreeSet<Need>,
}

impl Health {
    /// Alive as of now and waiting for everything a [`Need`] names.
    pub fn new(clock: &Clock) -> Self {
        Self::waiting_for(clock, <Need as strum::IntoEnumIterator>::iter())
    }

    /// Alive as of now and waiting for these.
    pub fn waiting_for(clock: &Clock, needs: impl IntoIterator<Item = Need>) -> Self {
        let state = State { beat: clock.instant(), missing: needs.into_iter().collect() };
        Self { clock: clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// A sign of life. To be given by the loop that does the work, so that a loop that is stuck gives none.
    pub fn beat(&self) {
        let now = self.clock.instant();
        self.with(|state| state.beat = now);
    }

    /// A need is met.
    pub fn met(&self, need: Need) {
        self.with(|state| state.missing.remove(&need));
    }

    /// How long ago the last sign of life was given.
    pub fn silence(&self) -> Duration {
        let now = self.clock.instant();
        self.with(|state| now.saturating_duration_since(state.beat))
    }

    /// What is still missing; empty when ready.
    pub fn missing(&self) -> Vec<Need> {
        self.with(|state| state.missing.iter().copied().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing that could panic runs under the lock, and a half-done change cannot exist: poison means nothing here.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
