//! The groups that objects manage, and how each was when all was well with it. A sweep is held against this.
//!
//! Entry points: [`Ledger::settled`], [`Ledger::compare`] with [`Ledger::finish`], [`Ledger::snapshot`].
//!
//! A listing is held against a group only if it is the newer of the two: it began after our last write to the group returned
//! ([`Overlay::counts`]), and not before the read by which the group was found to be well. An older one would wake an object for
//! what is over, or worse, for nothing.
//!
//! Invariant: absence from a sweep proves nothing. It wakes the object, which reads its group by id.
//! Invariant: of a group that is well only fingerprints are kept; a listing is kept, until the next sweep, for those that differ,
//! for those of which nothing is known yet, and right after a start for every group with our tag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::{ListedGroup, LiveRule, Observed, RuleId, SecurityGroupId, Tags};
use crate::core::plan::TAG_CLUSTER;
use crate::ports::objects::Key;

use super::fingerprint::{Print, Prints};
use super::overlay::Overlay;

/// So many groups that differ at once are a storm: somebody's large edit, or a read that lies.
const STORM: usize = 20;

/// A group as the engine judged it.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// By a listing.
    Listed {
        /// The group.
        group: &'a ListedGroup,
        /// The ids its rules are known to have, if all are known: a deep sweep that shows others wakes the object. Without them
        /// the first deep sweep that shows these rules sets the ids.
        ids: Option<&'a BTreeSet<RuleId>>,
    },
    /// By its rules with their ids.
    Observed(&'a Observed),
}

impl<'a> From<&'a ListedGroup> for View<'a> {
    fn from(group: &'a ListedGroup) -> Self {
        Self::Listed { group, ids: None }
    }
}

impl<'a> From<&'a Observed> for View<'a> {
    fn from(observed: &'a Observed) -> Self {
        Self::Observed(observed)
    }
}

impl View<'_> {
    pub(super) fn id(&self) -> &SecurityGroupId {
        match self {
            Self::Listed { group, ids: _ } => &group.group.id,
            Self::Observed(observed) => &observed.group.id,
        }
    }

    fn tags(&self) -> &Tags {
        match self {
            Self::Listed { group, ids: _ } => &group.group.tags,
            Self::Observed(observed) => &observed.group.tags,
        }
    }
}

/// What is known of the groups of one worker.
pub(super) struct Ledger {
    cluster: String,
    prints: Prints,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    managed: BTreeMap<Key, Entry>,
    holders: BTreeMap<SecurityGroupId, BTreeSet<Key>>,
    /// When the newest read began by which a group was shown to somebody.
    viewed: BTreeMap<SecurityGroupId, Instant>,
    snapshot: Option<Snapshot>,
    /// Groups that differed in the last sweep.
    differing: usize,
    /// Objects whose look at their group showed a difference since.
    noted: BTreeSet<Key>,
}

struct Entry {
    group: SecurityGroupId,
    /// How it was when all was well.
    well: Option<Well>,
    /// As long as it never was well: how the last sweep showed it.
    swept: Option<Print>,
    /// Whether it carries our cluster's tag; `None` before anybody has looked.
    tagged: Option<bool>,
}

#[derive(Clone, Copy)]
struct Well {
    print: Print,
    ids: Option<u64>,
    /// When the read began that showed it.
    began: Instant,
    /// When the newest read began that showed it the same.
    same: Instant,
}

struct Snapshot {
    began: Instant,
    groups: BTreeMap<SecurityGroupId, Kept>,
    /// Somebody asked for a group that nobody managed yet: there may be more to come.
    wanted: bool,
}

struct Kept {
    group: ListedGroup,
    stray: bool,
}

/// A sweep being compared.
pub(super) struct Round {
    began: Instant,
    /// Whether groups that nobody manages yet are kept: after a start their objects are about to ask.
    keep_strays: bool,
    seen: BTreeSet<SecurityGroupId>,
    kept: BTreeMap<SecurityGroupId, Kept>,
    outcome: Swept,
}

/// What came of a sweep.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Whom to wake.
    pub(super) wake: BTreeSet<Key>,
    /// Groups that were other than they were when all was well.
    pub(super) differing: usize,
    /// Groups it showed.
    pub(super) groups: usize,
    /// Groups with our tag that nobody manages.
    pub(super) unmanaged: usize,
    /// Rules of managed groups.
    pub(super) rules: usize,
}

impl Ledger {
    pub(super) fn new(cluster: String) -> Self {
        Self { cluster, prints: Prints::default(), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_tagged(&self, tags: &Tags) -> bool {
        tags.get(TAG_CLUSTER) == Some(&self.cluster)
    }

    /// The tag that every group of ours carries.
    pub(super) fn tag(&self) -> Tags {
        Tags::from([(TAG_CLUSTER.to_owned(), self.cluster.clone())])
    }

    pub(super) fn manage(&self, key: &Key, group: &SecurityGroupId) {
        self.lock().manage(key, group);
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().forget(key);
    }

    /// When the newest read began that showed all well with the group of an object.
    pub(super) fn last_well(&self, key: &Key) -> Option<Instant> {
        self.lock().managed.get(key)?.well.map(|well| well.same)
    }

    /// The objects that manage a group.
    pub(super) fn holders(&self, group: &SecurityGroupId) -> BTreeSet<Key> {
        self.lock().holders.get(group).cloned().unwrap_or_default()
    }

    /// Whether a read that began then or later was shown to somebody.
    pub(super) fn viewed_since(&self, group: &SecurityGroupId, then: Instant) -> bool {
        self.lock().viewed.get(group).is_some_and(|viewed| *viewed >= then)
    }

    /// What the last sweep showed of a group serves nobody any more.
    pub(super) fn drop_snapshot(&self, group: &SecurityGroupId) {
        if let Some(snapshot) = &mut self.lock().snapshot {
            snapshot.groups.remove(group);
        }
    }

    /// How many objects have a group here.
    pub(super) fn count(&self) -> usize {
        self.lock().managed.len()
    }

    /// Every group that is managed.
    pub(super) fn groups(&self) -> Vec<SecurityGroupId> {
        self.lock().holders.keys().cloned().collect()
    }

    /// Whether a sweep by our tag shows every managed group. Of those nobody has looked at that is assumed; one that it does not
    /// show is read by id, and then it is known.
    pub(super) fn is_all_tagged(&self) -> bool {
        self.lock().managed.values().all(|entry| entry.tagged != Some(false))
    }

    /// Somebody was shown a group, by a read that began then.
    pub(super) fn viewed(&self, group: &SecurityGroupId, began: Instant) {
        let mut inner = self.lock();
        let viewed = inner.viewed.entry(group.clone()).or_insert(began);
        *viewed = began.max(*viewed);
    }

    /// All is well with the group of an object, as it was last shown.
    pub(super) fn settled(&self, key: &Key, view: View<'_>, now: Instant) {
        let (print, ids) = match view {
            View::Listed { group, ids } => (self.prints.listed(group), ids.map(|ids| self.prints.ids(ids))),
            View::Observed(observed) => (self.prints.observed(observed), Some(self.prints.ids(observed.rules.keys()))),
        };
        let tagged = self.is_tagged(view.tags());
        let mut inner = self.lock();
        inner.manage(key, view.id());
        inner.noted.remove(key);
        // When it was shown, if not by us, is not known: then no sweep that began before now is held against it.
        let began = inner.viewed.get(view.id()).copied().unwrap_or(now);
        if let Some(entry) = inner.managed.get_mut(key) {
            entry.well = Some(Well { print, ids, began, same: began });
            entry.tagged = Some(tagged);
            entry.swept = None;
        }
        if let Some(snapshot) = &mut inner.snapshot {
            snapshot.groups.remove(view.id());
        }
    }

    /// An object's look at its group showed a difference.
    pub(super) fn differs(&self, key: &Key) {
        self.lock().noted.insert(key.clone());
    }

    /// Whether so many groups differ that one read is not enough to act on.
    pub(super) fn is_stormy(&self) -> bool {
        let inner = self.lock();
        inner.differing > STORM || inner.noted.len() > STORM
    }

    /// A group as the last sweep showed it, and when that began; not what is older than `limit` or than our last write to it.
    pub(super) fn snapshot(
        &self,
        group: &SecurityGroupId,
        overlay: &Overlay,
        now: Instant,
        limit: Duration,
    ) -> Option<(ListedGroup, Instant)> {
        let mut inner = self.lock();
        let snapshot = inner.snapshot.as_mut()?;
        let began = snapshot.began;
        let kept = snapshot.groups.get(group)?;
        snapshot.wanted |= kept.stray;
        if now.duration_since(began) >= limit || !overlay.counts(group, began) {
            return None;
        }
        Some((kept.group.clone(), began))
    }

    /// A sweep that began then is about to be compared.
    pub(super) fn begin(&self, began: Instant) -> Round {
        // Where nobody manages anything, as on a replica that stands by, whoever leads next is about to ask for all of them.
        let inner = self.lock();
        let keep_strays = inner.managed.is_empty() || inner.snapshot.as_ref().is_none_or(|last| last.wanted);
        drop(inner);
        Round { began, keep_strays, seen: BTreeSet::new(), kept: BTreeMap::new(), outcome: Swept::default() }
    }

    /// Compares a part of what a sweep shows.
    pub(super) fn compare(&self, listed: impl IntoIterator<Item = ListedGroup>, round: &mut Round, overlay: &Overlay) {
        let mut inner = self.lock();
        let Inner { managed, holders, viewed, .. } = &mut *inner;
        for group in listed {
            round.outcome.groups += 1;
            let id = group.group.id.clone();
            // Those nobody manages as well: an object may begin to while the round goes on, and its group is not absent.
            round.seen.insert(id.clone());
            let tagged = self.is_tagged(&group.group.tags);
            let Some(keys) = holders.get(&id) else {
                round.outcome.unmanaged += usize::from(tagged);
                if tagged && round.keep_strays {
                    round.kept.insert(id, Kept { group, stray: true });
                }
                continue;
            };
            round.outcome.rules += group.rules.len();
            if !overlay.counts(&id, round.began) {
                continue;
            }
            let print = self.prints.listed(&group);
            let mut keep = false;
            for key in keys {
                let Some(entry) = managed.get_mut(key) else { continue };
                let seen = entry.see(print, tagged, round.began, viewed.get(&id).copied());
                round.outcome.differing += usize::from(seen == Seen::Changed);
                match seen {
                    Seen::Same => {}
                    Seen::Unjudged => keep = true,
                    Seen::Changed | Seen::New => {
                        keep = true;
                        round.outcome.wake.insert(key.clone());
                    }
                }
            }
            if keep {
                round.kept.insert(id, Kept { group, stray: false });
            }
        }
    }

    /// Everything was compared: what is absent is added, and the round's listings become the snapshot.
    pub(super) fn finish(&self, round: Round, overlay: &Overlay, now: Instant, limit: Duration) -> Swept {
        let Round { began, keep_strays: _, seen, kept, mut outcome } = round;
        let mut inner = self.lock();
        for (key, entry) in &inner.managed {
            let older = entry.well.is_some_and(|well| began < well.began);
            if seen.contains(&entry.group) || older || !overlay.counts(&entry.group, began) {
                continue;
            }
            outcome.wake.insert(key.clone());
            outcome.differing += usize::from(entry.well.is_some() || entry.swept.is_some());
        }
        inner.differing = outcome.differing;
        inner.noted.clear();
        inner.viewed.retain(|_, viewed| now.duration_since(*viewed) < limit);
        inner.snapshot = Some(Snapshot { began, groups: kept, wanted: false });
        outcome
    }

    /// Compares a group's rules, read with their ids; whom it wakes. What a listing said to be well gets its ids here.
    pub(super) fn compare_deep(
        &self,
        group: &SecurityGroupId,
        rules: &[LiveRule],
        began: Instant,
        overlay: &Overlay,
    ) -> BTreeSet<Key> {
        // Reads that lag behind a write show other ids than the group has by now: whoever wrote looks by himself.
        if !overlay.counts(group, began) || overlay.wrote_recently(group) {
            return BTreeSet::new();
        }
        let content = self.prints.rules(rules);
        let ids = self.prints.ids(rules.iter().map(|rule| &rule.id).collect::<BTreeSet<_>>());
        let mut inner = self.lock();
        let Inner { managed, holders, .. } = &mut *inner;
        let mut wake = BTreeSet::new();
        for key in holders.get(group).into_iter().flatten() {
            let Some(well) = managed.get_mut(key).and_then(|entry| entry.well.as_mut()) else { continue };
            if began < well.began {
                continue;
            }
            if content == well.print.rules && well.ids.is_none_or(|known| known == ids) {
                well.ids = Some(ids);
            } else {
                wake.insert(key.clone());
            }
        }
        wake
    }
}

/// What a listing says of one managed group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// As it was when all was well, or the listing is the older of the two.
    Same,
    /// It never was well, and nothing is new: whoever works on it knows.
    Unjudged,
    /// It never was well, and this is the first sweep since somebody looked: what changed in between shows nowhere else.
    New,
    /// It is other than it was.
    Changed,
}

impl Entry {
    /// `viewed`: when the read began by which the group was last looked at.
    fn see(&mut self, print: Print, tagged: bool, began: Instant, viewed: Option<Instant>) -> Seen {
        if let Some(well) = self.well {
            if began < well.began {
                return Seen::Same;
            }
            self.tagged = Some(tagged);
            if well.print != print {
                return Seen::Changed;
            }
            self.well = Some(Well { same: began.max(well.same), ..well });
            return Seen::Same;
        }
        self.tagged = Some(tagged);
        match self.swept {
            Some(before) => {
                self.swept = Some(print);
                if before == print { Seen::Unjudged } else { Seen::Changed }
            }
            // A pass that has not looked yet is about to, and one that has looked since knows more than this sweep.
            None if viewed.is_none_or(|viewed| viewed >= began) => Seen::Unjudged,
            None => {
                self.swept = Some(print);
                Seen::New
            }
        }
    }
}

impl Inner {
    fn manage(&mut self, key: &Key, group: &SecurityGroupId) {
        if self.managed.get(key).is_some_and(|entry| entry.group == *group) {
            return;
        }
        self.forget(key);
        self.managed.insert(key.clone(), Entry { group: group.clone(), well: None, swept: None, tagged: None });
        self.holders.entry(group.clone()).or_default().insert(key.clone());
    }

    fn forget(&mut self, key: &Key) {
        self.noted.remove(key);
        let Some(entry) = self.managed.remove(key) else { return };
        if let Some(keys) = self.holders.get_mut(&entry.group) {
            keys.remove(key);
            if keys.is_empty() {
                self.holders.remove(&entry.group);
            }
        }
    }
}
