//! Activity: every write, successful or not, as a `CloudTrail` event; delivered late, twice, never or out of order if so set.
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
use std::sync::Arc;
use std::time::Duration;

/// Sets a member of an object.
pub(crate) fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// An event as a tree again.
pub(crate) fn parsed(event: &str) -> Value {
    serde_json::from_str(event).unwrap_or_default()
}

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
    pub(crate) event_id: String,
    pub(crate) event_name: String,
    pub(crate) access_key: Option<String>,
    /// The event as `EventBridge` delivers it, as text: a tenth of the memory of a tree.
    pub(crate) event: Arc<str>,
}

const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// All events, and those that are on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    pub(crate) delivery: Delivery,
    entries: VecDeque<Entry>,
    pending: Vec<(Timestamp, u64, Arc<str>)>,
    seq: u64,
    /// The most bytes of events that are kept, and those that are.
    budget: usize,
    held: usize,
}

impl Journal {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, ..Self::default() }
    }

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
            self.pending.push((at, self.seq, Arc::clone(&entry.event)));
        }
        self.held += entry.event.len();
        self.entries.push_back(entry);
        while self.held > self.budget
            && let Some(oldest) = self.entries.pop_front()
        {
            self.held -= oldest.event.len();
            // What nobody has fetched in all that time is let go too.
            self.pending.retain(|(_, seq, _)| *seq != oldest.seq);
        }
    }

    /// The events that have arrived by now, each once, in the order of their arrival.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<Value> {
        self.pending.sort_by_key(|(at, seq, _)| (*at, *seq));
        let late = self.pending.iter().position(|(at, _, _)| *at > now).unwrap_or(self.pending.len());
        self.pending.drain(..late).map(|(_, _, event)| parsed(&event)).collect()
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
        self.held = 0;
    }
}
