//! Activity: every write, successful or not, as a CloudTrail event; delivered late, twice, never or out of order if so set.
//!
//! Entry point: [`Journal::record`], [`Journal::take`], [`lookup::lookup`].
//!
//! Invariant: what is recorded is true; only its delivery can be made to lie.

pub(crate) mod dialect;
pub(crate) mod event;
pub(crate) mod lookup;

use super::world::ids::IdMint;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// How events travel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// From the call to the delivery of its event.
    pub delay_ms: u64,
    /// Added to the delay, anything up to this: events overtake one another.
    pub jitter_ms: u64,
    /// The share of events that are never delivered.
    pub loss: f64,
    /// The share of events that are delivered twice.
    pub duplication: f64,
    /// From the call to the moment that `LookupEvents` shows its event.
    pub lookup_delay_ms: u64,
}

/// An event as kept.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) time: Timestamp,
    pub(crate) username: Option<String>,
    /// Type and name of every resource that request or reply names.
    pub(crate) resources: Vec<(&'static str, String)>,
    /// The event as EventBridge delivers it.
    pub(crate) event: Value,
}

const MAX_ENTRIES: usize = 50_000;
const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// All events, and those that are on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    pub(crate) delivery: Delivery,
    entries: VecDeque<Entry>,
    pending: Vec<(Timestamp, u64, Value)>,
    seq: u64,
}

impl Journal {
    /// Keeps an event and sends it off.
    pub(crate) fn record(&mut self, mut entry: Entry, mint: &mut IdMint) {
        self.seq += 1;
        entry.seq = self.seq;
        let copies = match (mint.fraction() < self.delivery.loss, mint.fraction() < self.delivery.duplication) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        for _ in 0..copies {
            let wait = self.delivery.delay_ms + mint.below(self.delivery.jitter_ms.saturating_add(1));
            let at = entry.time.checked_add(Duration::from_millis(wait)).unwrap_or(Timestamp::MAX);
            self.pending.push((at, self.seq, entry.event.clone()));
        }
        if self.pending.len() > MAX_ENTRIES {
            self.pending.remove(0);
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The events that have arrived by now, each once, in the order of their arrival.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<Value> {
        self.pending.sort_by_key(|(at, seq, _)| (*at, *seq));
        let late = self.pending.iter().position(|(at, _, _)| *at > now).unwrap_or(self.pending.len());
        self.pending.drain(..late).map(|(_, _, event)| event).collect()
    }

    /// Every event kept, oldest first, whatever became of its delivery.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The events that `LookupEvents` shows now, newest first.
    pub(crate) fn visible(&self, account: &str, region: &str, now: Timestamp) -> impl Iterator<Item = &Entry> {
        let lag = Duration::from_millis(self.delivery.lookup_delay_ms);
        self.entries.iter().rev().filter(move |entry| {
            let shown = entry.time.checked_add(lag).unwrap_or(Timestamp::MAX) <= now;
            let kept = now.duration_since(entry.time) <= RETENTION;
            shown && kept && entry.account == account && entry.region == region
        })
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.pending.clear();
    }
}
