//! What we wrote, against reads that do not show it yet.
//!
//! Entry points: [`Overlay::begin`] around each write, [`Overlay::apply`] on each read by id, [`Overlay::counts`] for listings.
//!
//! EC2 is eventually consistent: for a while after a write, reads may show what was before. Judged by such a read, our own work
//! would be somebody's drift. So what we wrote is remembered by rule id, which EC2 never uses again, and laid over what is read:
//! - a row with an id we revoked is old news and left out;
//! - a row we authorized is there, until a read begun after the write has shown it; from then on its absence is believed;
//! - a row we altered has our content while a read shows what it had before. A third content is somebody else's edit and is
//!   believed at once. Whether the former content is old news or somebody's second edit cannot be told, so what a row lets
//!   through is taken from us for a minute only, not longer: that is how long such an edit may stay hidden;
//! - descriptions and tags likewise, for the whole time: no traffic rests on them.
//!
//! A read that began before one which has shown the write is the older of the two, whichever ends first, and is not believed.
//! The same atom under another id is another rule, and none of our business here.
//!
//! Invariant: nothing here outlives `Timings::overlay_limit`: EC2 has then had the time that AWS says it needs.
//! Invariant: a write whose answer is lost leaves no row here, only the time of the write: what became of it is read, not assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::{Atom, GroupFacts, LiveRule, NewRule, Observed, RuleId, SecurityGroupId, Tags};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, Receipt};

use super::expected::{Expected, Sighting, expect};

/// What a write that EC2 answered with success did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed<'a> {
    /// The receipt names the group.
    Create,
    Delete,
    /// The receipt has the rows.
    Authorize,
    /// The receipt has the ids.
    Revoke,
    Modify(&'a [(RuleId, NewRule)]),
    Describe(&'a [(RuleId, Option<String>)]),
    SetTags(&'a Tags),
    RemoveTags(&'a Tags),
}

/// Own writes of one account and Region, shared by every route into it.
pub(super) struct Overlay {
    clock: Clock,
    limit: Duration,
    /// The same for what rows let through.
    altered: Duration,
    /// Since when nobody else writes, as far as is known.
    started: Mutex<Instant>,
    groups: Mutex<BTreeMap<SecurityGroupId, Notes>>,
}

/// What is remembered of one group.
#[derive(Default)]
struct Notes {
    /// Writes under way.
    writing: usize,
    /// When the last write that had, or may have had, an effect returned.
    wrote: Option<Instant>,
    /// When we created it, and whether reads show it.
    created: Option<Sighting>,
    /// When we deleted it.
    deleted: Option<Instant>,
    rows: BTreeMap<RuleId, Row>,
    tags: BTreeMap<String, Expected<Tag>>,
    /// What was last read for a pass that may be about to write: what a stale read may go on showing.
    before: Option<Before>,
}

struct Before {
    read: Instant,
    rows: BTreeMap<RuleId, LiveRule>,
    tags: Tags,
}

/// What a group has under a tag's key.
#[derive(Clone, PartialEq, Eq)]
enum Tag {
    Absent,
    Is(String),
}

impl Tag {
    fn of(tags: &Tags, key: &str) -> Self {
        tags.get(key).map_or(Self::Absent, |value| Self::Is(value.clone()))
    }
}

enum Row {
    /// We revoked it then.
    Revoked(Instant),
    /// We authorized or altered it.
    Kept(Box<Kept>),
}

#[derive(Default)]
struct Kept {
    /// The rule as we authorized it.
    made: Option<(LiveRule, Sighting)>,
    atom: Option<Expected<Atom>>,
    description: Option<Expected<Option<String>>>,
}

impl Kept {
    /// The rule as it should be, if we authorized it and reads need not show it yet.
    fn presumed(&self, began: Instant) -> Option<LiveRule> {
        let (rule, sighting) = self.made.as_ref()?;
        if sighting.is_over(began) {
            return None;
        }
        let LiveRule { id, atom, description } = rule.clone();
        let atom = self.atom.as_ref().map_or(atom, |expected| expected.value.clone());
        let description = self.description.as_ref().map_or(description, |expected| expected.value.clone());
        Some(LiveRule { id, atom, description })
    }

    fn correct(&mut self, live: &mut LiveRule, began: Instant) {
        if let Some((_, sighting)) = &mut self.made {
            sighting.show(began);
        }
        if let Some(atom) = self.atom.as_mut().and_then(|expected| expected.instead_of(&live.atom, began)) {
            live.atom = atom;
        }
        if let Some(text) = self.description.as_mut().and_then(|expected| expected.instead_of(&live.description, began)) {
            live.description = text;
        }
    }

    /// From now on reads are right about what the row lets through; whether it is there is another matter.
    fn let_go_of_atom(&mut self) {
        if let (Some(Expected { value, .. }), Some((rule, _))) = (self.atom.take(), &mut self.made) {
            rule.atom = value;
        }
    }

    /// When it was last written.
    fn last(&self) -> Option<Instant> {
        let made = self.made.as_ref().map(|(_, sighting)| sighting.returned);
        let atom = self.atom.as_ref().map(Expected::returned);
        made.max(atom).max(self.description.as_ref().map(Expected::returned))
    }
}

impl Overlay {
    pub(super) fn new(clock: Clock, timings: &Timings) -> Self {
        let started = Mutex::new(clock.instant());
        Self { clock, limit: timings.overlay_limit, altered: timings.altered_limit, started, groups: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SecurityGroupId, Notes>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is we who write: who did so before may have written anything, a moment ago.
    pub(super) fn begin_term(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.instant();
    }

    fn started(&self) -> Instant {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write to a group begins now; a create has no group yet. The write must be ended, or is taken to have been given up
    /// on the way, when what is returned is dropped.
    pub(super) fn begin(&self, group: Option<&SecurityGroupId>) -> Writing<'_> {
        if let Some(group) = group {
            self.lock().entry(group.clone()).or_default().writing += 1;
        }
        Writing { overlay: self, group: group.cloned(), ended: false }
    }

    /// Whether a group was written in the last few minutes, or is being written. Right after we began to write the answer is yes: who ran
    /// before us may have written anything, and whether he did is not known.
    pub(super) fn wrote_recently(&self, group: &SecurityGroupId) -> bool {
        let now = self.clock.instant();
        let fresh = |then: Instant| now.duration_since(then) < self.limit;
        if fresh(self.started()) {
            return true;
        }
        self.lock().get(group).is_some_and(|notes| notes.writing > 0 || notes.wrote.is_some_and(fresh))
    }

    /// Whether a listing that began then may be held against a group: not if we were writing to it, or have written since.
    pub(super) fn counts(&self, group: &SecurityGroupId, began: Instant) -> bool {
        self.lock().get(group).is_none_or(|notes| notes.writing == 0 && notes.wrote.is_none_or(|wrote| began >= wrote))
    }

    /// Whether we deleted a group; reads may go on showing it.
    pub(super) fn deleted(&self, group: &SecurityGroupId) -> bool {
        let now = self.clock.instant();
        let deleted = self.lock().get(group).and_then(|notes| notes.deleted);
        deleted.is_some_and(|then| now.duration_since(then) < self.limit)
    }

    /// Whether we created a group a moment ago and no read has shown it yet: that it is missing means nothing.
    pub(super) fn is_awaited(&self, group: &SecurityGroupId) -> bool {
        let now = self.clock.instant();
        let created = self.lock().get(group).and_then(|notes| notes.created);
        created.is_some_and(|sighting| sighting.shown.is_none() && now.duration_since(sighting.returned) < self.limit)
    }

    /// Whether all that is known of a group's rules is what EC2 gave it when it was created: a few minutes ago, and we have
    /// written none since. Right after a start that is so of any group.
    pub(super) fn is_newborn(&self, group: &SecurityGroupId) -> bool {
        let now = self.clock.instant();
        let fresh = |then: Instant| now.duration_since(then) < self.limit;
        let groups = self.lock();
        let notes = groups.get(group);
        let created = notes.and_then(|notes| notes.created).is_some_and(|sighting| fresh(sighting.returned));
        (created || fresh(self.started())) && notes.is_none_or(|notes| notes.rows.is_empty())
    }

    /// A read that began then has shown a group.
    pub(super) fn shown(&self, group: &SecurityGroupId, began: Instant) {
        if let Some(sighting) = self.lock().get_mut(group).and_then(|notes| notes.created.as_mut()) {
            sighting.show(began);
        }
    }

    /// A group as it is, from what was read of it and when the two reads began. `None`: we deleted it. What comes out is what
    /// later writes to the group are held against.
    pub(super) fn apply(
        &self,
        (mut group, group_began): (GroupFacts, Instant),
        (rules, rules_began): (Vec<LiveRule>, Instant),
    ) -> Option<Observed> {
        let now = self.clock.instant();
        let mut groups = self.lock();
        let notes = groups.entry(group.id.clone()).or_default();
        self.prune(notes, now);
        if notes.deleted.is_some() {
            return None;
        }
        for (key, expected) in &mut notes.tags {
            match expected.instead_of(&Tag::of(&group.tags, key), group_began) {
                Some(Tag::Is(value)) => drop(group.tags.insert(key.clone(), value)),
                Some(Tag::Absent) => drop(group.tags.remove(key)),
                None => {}
            }
        }
        let mut observed = Observed::new(group, rules);
        let mut presumed = Vec::new();
        for (id, row) in &mut notes.rows {
            match row {
                Row::Revoked(_) => drop(observed.rules.remove(id)),
                Row::Kept(kept) => match observed.rules.get_mut(id) {
                    Some(live) => kept.correct(live, rules_began),
                    None => presumed.extend(kept.presumed(rules_began)),
                },
            }
        }
        // EC2 has no atom twice: what is shown under another id took the place of ours, or had it before. It is live either way,
        // and the row that was seen is the one to speak of.
        let shown: BTreeSet<&Atom> = observed.rules.values().map(|live| &live.atom).collect();
        presumed.retain(|rule| !shown.contains(&rule.atom));
        observed.rules.extend(presumed.into_iter().map(|rule| (rule.id.clone(), rule)));
        notes.before = Some(Before { read: now, rows: observed.rules.clone(), tags: observed.group.tags.clone() });
        Some(observed)
    }

    /// Rows we made, and somebody else removed since.
    pub(super) fn others_removed(&self, group: &SecurityGroupId, rules: &BTreeSet<RuleId>) {
        if let Some(notes) = self.lock().get_mut(group) {
            notes.rows.retain(|id, row| !(matches!(row, Row::Kept(_)) && rules.contains(id)));
        }
    }

    /// Nobody is about to write to the group: what was read of it need not be kept.
    pub(super) fn at_rest(&self, group: &SecurityGroupId) {
        let mut groups = self.lock();
        if let Some(notes) = groups.get_mut(group) {
            notes.before = None;
            if notes.is_empty() {
                groups.remove(group);
            }
        }
    }

    /// How many groups anything is remembered of.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.lock().len()
    }

    /// Drops what is over.
    pub(super) fn tidy(&self) {
        let now = self.clock.instant();
        self.lock().retain(|_, notes| {
            self.prune(notes, now);
            !notes.is_empty()
        });
    }

    fn prune(&self, notes: &mut Notes, now: Instant) {
        let fresh = |then: Instant| now.duration_since(then) < self.limit;
        notes.wrote = notes.wrote.filter(|then| fresh(*then));
        notes.created = notes.created.filter(|sighting| fresh(sighting.returned));
        notes.deleted = notes.deleted.filter(|then| fresh(*then));
        notes.before = notes.before.take().filter(|before| fresh(before.read));
        notes.tags.retain(|_, expected| fresh(expected.returned()));
        notes.rows.retain(|_, row| match row {
            Row::Revoked(then) => fresh(*then),
            Row::Kept(kept) => {
                if kept.atom.as_ref().is_some_and(|expected| now.duration_since(expected.returned()) >= self.altered) {
                    kept.let_go_of_atom();
                }
                kept.last().is_some_and(fresh)
            }
        });
    }
}

impl Notes {
    fn is_empty(&self) -> bool {
        let untouched = self.writing == 0 && self.wrote.is_none() && self.created.is_none() && self.deleted.is_none();
        untouched && self.before.is_none() && self.rows.is_empty() && self.tags.is_empty()
    }

    fn note(&mut self, deed: Deed<'_>, receipt: &Receipt, returned: Instant) {
        match deed {
            Deed::Create => {}
            Deed::Delete => self.deleted = Some(returned),
            Deed::Authorize => {
                for rule in &receipt.authorized {
                    let kept = Kept {
                        made: Some((rule.clone(), Sighting::new(returned))),
                        // A row is born with the content we gave it: any other is somebody's edit, no stale read.
                        atom: Some(Expected::new(rule.atom.clone(), Some(Vec::new()), returned)),
                        description: Some(Expected::new(rule.description.clone(), Some(Vec::new()), returned)),
                    };
                    self.rows.insert(rule.id.clone(), Row::Kept(Box::new(kept)));
                }
            }
            Deed::Revoke => {
                for id in &receipt.revoked {
                    self.rows.insert(id.clone(), Row::Revoked(returned));
                }
            }
            Deed::Modify(rules) => {
                for (id, NewRule { atom, description }) in rules {
                    let Some((kept, before)) = self.kept(id) else { continue };
                    expect(&mut kept.atom, atom.clone(), before.as_ref().map(|rule| rule.atom.clone()), returned);
                    expect(&mut kept.description, description.clone(), before.map(|rule| rule.description), returned);
                }
            }
            Deed::Describe(rules) => {
                for (id, description) in rules {
                    let Some((kept, before)) = self.kept(id) else { continue };
                    expect(&mut kept.description, description.clone(), before.map(|rule| rule.description), returned);
                }
            }
            Deed::SetTags(tags) => {
                for (key, value) in tags {
                    let before = self.before.as_ref().map(|before| Tag::of(&before.tags, key));
                    self.expect_tag(key, Tag::Is(value.clone()), before, returned);
                }
            }
            Deed::RemoveTags(tags) => {
                for (key, value) in tags {
                    // EC2 removed the key only if it had this value: another one is not what was there before.
                    self.expect_tag(key, Tag::Absent, Some(Tag::Is(value.clone())), returned);
                }
            }
        }
    }

    /// What is remembered of a row, and the row as it was last read. `None`: we revoked it, so nothing can have been done to it.
    fn kept(&mut self, id: &RuleId) -> Option<(&mut Kept, Option<LiveRule>)> {
        let before = self.before.as_ref().and_then(|before| before.rows.get(id)).cloned();
        match self.rows.entry(id.clone()).or_insert_with(|| Row::Kept(Box::default())) {
            Row::Kept(kept) => Some((kept, before)),
            Row::Revoked(_) => None,
        }
    }

    fn expect_tag(&mut self, key: &str, value: Tag, before: Option<Tag>, returned: Instant) {
        let mut slot = self.tags.remove(key);
        expect(&mut slot, value, before, returned);
        self.tags.extend(slot.map(|expected| (key.to_owned(), expected)));
    }
}

/// A write under way.
pub(super) struct Writing<'a> {
    overlay: &'a Overlay,
    group: Option<SecurityGroupId>,
    ended: bool,
}

impl Writing<'_> {
    /// The write was answered.
    pub(super) fn end(mut self, deed: Deed<'_>, answer: &Result<Receipt, CloudError>) {
        self.ended = true;
        let now = self.overlay.clock.instant();
        let mut groups = self.overlay.lock();
        match (answer, &self.group) {
            (Ok(receipt), Some(group)) => {
                let notes = groups.entry(group.clone()).or_default();
                notes.writing = notes.writing.saturating_sub(1);
                notes.wrote = Some(now);
                notes.note(deed, receipt, now);
            }
            (Ok(receipt), None) => {
                if let Some(created) = &receipt.created {
                    let notes = groups.entry(created.clone()).or_default();
                    notes.wrote = Some(now);
                    notes.created = Some(Sighting::new(now));
                }
            }
            (Err(error), Some(group)) => {
                let notes = groups.entry(group.clone()).or_default();
                notes.writing = notes.writing.saturating_sub(1);
                if error.outcome_unknown {
                    notes.wrote = Some(now);
                }
            }
            (Err(_), None) => {}
        }
    }
}

impl Drop for Writing<'_> {
    /// Given up on the way: it may have reached EC2 all the same.
    fn drop(&mut self) {
        if let (false, Some(group)) = (self.ended, &self.group) {
            let now = self.overlay.clock.instant();
            let mut groups = self.overlay.lock();
            let notes = groups.entry(group.clone()).or_default();
            notes.writing = notes.writing.saturating_sub(1);
            notes.wrote = Some(now);
        }
    }
}
