//! What is kept of events until the drift they explain is found, or the other way round: an hour, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::core::model::{PrefixListId, SecurityGroupId};

use super::attribute::Evidence;
use super::event::{Event, Failure};

/// How much is kept. At each bound the oldest goes, and what is as old as that is not taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For how long, by the time of the call.
    pub keep: SignedDuration,
    /// An event from further in the future than this is not believed.
    pub ahead: SignedDuration,
    /// Groups and prefix lists, each counted once more where there are failed calls.
    pub subjects: usize,
    /// Events of one of them; failed ones have as much room of their own, so that they cannot push out the others.
    pub events: usize,
    /// Bytes of all events, about.
    pub bytes: usize,
}

impl Default for Bounds {
    /// An hour, 10,000 subjects, 200 events of each, 32 MiB.
    fn default() -> Self {
        Self {
            keep: SignedDuration::from_hours(1),
            ahead: SignedDuration::from_mins(15),
            subjects: 10_000,
            events: 200,
            bytes: 32 * 1024 * 1024,
        }
    }
}

/// What became of an event that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
pub enum Inserted {
    /// It is new, and kept.
    New,
    /// It, or a copy of it for another account, is there already.
    Known,
    /// It is older than what is kept.
    TooOld,
    /// It claims a time that is yet to come.
    TooNew,
    /// It changed nothing that drift could be joined with, or was a dry run.
    Irrelevant,
}

/// Events are in the order of their time; the id tells those of one second apart.
type Key = (Timestamp, String);

/// What events are found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Group(SecurityGroupId),
    List(PrefixListId),
    /// Nobody can tell which group.
    Anywhere,
}

/// A subject's successful events, or its failed ones.
type Shelf = (Subject, bool);

#[derive(Clone, Debug, Default)]
struct Shelved {
    events: BTreeSet<Key>,
    /// The newest event that had to go for want of room.
    gone: Option<Key>,
}

#[derive(Clone, Debug)]
struct Kept {
    event: Event,
    weight: usize,
    shelves: BTreeSet<Shelf>,
}

/// The events of one account and Region.
///
/// Invariant: within the bounds, what is kept depends neither on the order of arrival nor on duplicates.
#[derive(Clone, Debug, Default)]
pub struct Activities {
    bounds: Bounds,
    events: BTreeMap<Key, Kept>,
    shelves: BTreeMap<Shelf, Shelved>,
    ids: BTreeMap<String, Key>,
    shared: BTreeMap<String, Key>,
    bytes: usize,
    /// Nothing as old as this is kept of anything.
    gone: Option<Key>,
    /// Events of before were not listened to.
    since: Option<Timestamp>,
}

impl Activities {
    /// Nothing yet, and all that comes from `since` on: when listening began, or that of a queue that kept what came before.
    pub fn new(bounds: Bounds, since: Timestamp) -> Self {
        Self { bounds, since: Some(since), ..Self::default() }
    }

    /// Keeps an event. Our own need not be kept: they are never the answer.
    pub fn insert(&mut self, event: Event, now: Timestamp) -> Inserted {
        self.prune(now);
        let shelves = shelves(&event);
        if shelves.is_empty() {
            return Inserted::Irrelevant;
        }
        if event.time > later(now, self.bounds.ahead) {
            return Inserted::TooNew;
        }
        let key = (event.time, event.id.clone());
        if self.gone.as_ref().is_some_and(|gone| key <= *gone) {
            return Inserted::TooOld;
        }
        let shared = event.shared_id.as_ref().and_then(|id| self.shared.get(id));
        let twins: BTreeSet<Key> = self.ids.get(&event.id).into_iter().chain(shared).cloned().collect();
        // Copies may differ in a few members. Which of them is kept must not depend on which came first.
        let better = |twin: &Key| self.events.get(twin).is_some_and(|kept| kept.event <= event);
        if twins.iter().any(better) {
            return Inserted::Known;
        }
        for twin in &twins {
            self.remove(twin);
        }
        let found_on = self.keep(&key, event, shelves);
        self.shrink(found_on);
        match (self.events.contains_key(&key), twins.is_empty()) {
            (false, _) => Inserted::TooOld,
            (true, true) => Inserted::New,
            (true, false) => Inserted::Known,
        }
    }

    /// Lets go of what is older than an hour, or whatever the bounds say.
    pub fn prune(&mut self, now: Timestamp) {
        let horizon = (later(now, -self.bounds.keep), String::new());
        while self.events.first_key_value().is_some_and(|(key, _)| *key < horizon) {
            self.drop_oldest();
        }
        self.gone = self.gone.take().max(Some(horizon));
        self.forget_empty();
    }

    /// What may explain drift of a group: its own events, and those of which nobody can tell the group.
    pub fn of_group(&self, group: &SecurityGroupId) -> Evidence<'_> {
        self.of(&[group.clone()].into(), &BTreeSet::new())
    }

    /// What may explain drift of groups, and of prefix lists that their rules use.
    pub fn of(&self, groups: &BTreeSet<SecurityGroupId>, lists: &BTreeSet<PrefixListId>) -> Evidence<'_> {
        let lists = lists.iter().cloned().map(Subject::List);
        let groups = groups.iter().cloned().map(Subject::Group);
        self.evidence(&lists.chain(groups).chain([Subject::Anywhere]).collect::<Vec<_>>())
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn evidence(&self, subjects: &[Subject]) -> Evidence<'_> {
        let shelves = || subjects.iter().flat_map(|subject| [false, true].map(|failed| (subject.clone(), failed)));
        let found = || shelves().filter_map(|shelf| self.shelves.get(&shelf));
        let keys: BTreeSet<&Key> = found().flat_map(|shelf| &shelf.events).collect();
        // What is gone of the failed ones is no gap: they explain nothing.
        let told = subjects.iter().filter_map(|subject| self.shelves.get(&(subject.clone(), false)));
        let gone = told.filter_map(|shelf| shelf.gone.as_ref()).chain(self.gone.as_ref()).max();
        Evidence {
            events: keys.into_iter().filter_map(|key| self.events.get(key)).map(|kept| &kept.event).collect(),
            kept_since: gone.map(|(time, _)| *time).max(self.since),
        }
    }

    /// Returns where it is found.
    fn keep(&mut self, key: &Key, event: Event, shelves: BTreeSet<Shelf>) -> BTreeSet<Shelf> {
        self.ids.insert(event.id.clone(), key.clone());
        if let Some(shared) = &event.shared_id {
            self.shared.insert(shared.clone(), key.clone());
        }
        let mut found_on = BTreeSet::new();
        for name in shelves {
            let place = self.shelves.entry(name.clone()).or_default();
            if place.gone.as_ref().is_none_or(|gone| key > gone) {
                place.events.insert(key.clone());
                found_on.insert(name);
            }
        }
        let weight = event.weight();
        self.bytes += weight;
        self.events.insert(key.clone(), Kept { event, weight, shelves: found_on.clone() });
        self.forget_if_unfound(key);
        found_on
    }

    /// Makes room: in the subjects that got more, then among the subjects, then in all.
    fn shrink(&mut self, grown: BTreeSet<Shelf>) {
        let most = self.bounds.events;
        for name in grown {
            while let Some(shelf) = self.shelves.get_mut(&name).filter(|shelf| shelf.events.len() > most) {
                let Some(oldest) = shelf.events.pop_first() else { break };
                shelf.gone = shelf.gone.take().max(Some(oldest.clone()));
                if let Some(kept) = self.events.get_mut(&oldest) {
                    kept.shelves.remove(&name);
                }
                self.forget_if_unfound(&oldest);
            }
        }
        while self.shelves.len() > self.bounds.subjects || self.bytes > self.bounds.bytes {
            let Some(oldest) = self.drop_oldest() else { break };
            self.gone = self.gone.take().max(Some(oldest));
            self.forget_empty();
        }
    }

    fn forget_empty(&mut self) {
        let gone = &self.gone;
        self.shelves.retain(|_, shelf| !shelf.events.is_empty() || shelf.gone > *gone);
    }

    fn drop_oldest(&mut self) -> Option<Key> {
        let oldest = self.events.first_key_value().map(|(key, _)| key.clone())?;
        self.remove(&oldest);
        Some(oldest)
    }

    fn forget_if_unfound(&mut self, key: &Key) {
        if self.events.get(key).is_some_and(|kept| kept.shelves.is_empty()) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(Kept { event, weight, shelves }) = self.events.remove(key) else { return };
        self.bytes -= weight;
        self.ids.remove(&event.id);
        if let Some(shared) = &event.shared_id {
            self.shared.remove(shared);
        }
        for name in shelves {
            if let Some(shelf) = self.shelves.get_mut(&name) {
                shelf.events.remove(key);
            }
        }
    }
}

fn shelves(event: &Event) -> BTreeSet<Shelf> {
    if event.failure == Some(Failure::DryRun) || (event.changes.is_empty() && !event.account_wide) {
        return BTreeSet::new();
    }
    let groups = event.groups.iter().cloned().map(Subject::Group);
    let lists = event.lists.iter().cloned().map(Subject::List);
    let anywhere = event.account_wide.then_some(Subject::Anywhere);
    groups.chain(lists).chain(anywhere).map(|subject| (subject, event.failure.is_some())).collect()
}

pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    let edge = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    time.checked_add(by).unwrap_or(edge)
}
