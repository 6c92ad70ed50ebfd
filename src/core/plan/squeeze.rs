//! One direction of a group that is at its quota: what comes has no place before something goes (DESIGN §4.4).
//!
//! As much as possible is changed in place, which takes no room at all. Then the fewest rules go early on which no desired
//! traffic rests. Where that is not enough, what does fit comes first, so that after a wait more can go, and so on. Only where
//! that comes to a halt does a rule go on which desired traffic rests, and the plan names it.
//!
//! Invariant: no step takes the group over its quota, as far as that is known.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::model::{Atom, LiveRule, PeerKind, RuleId, Space};

use super::quota::{Budget, Usage};
use super::step::{Authorization, Modification, Revocation};
use super::work::{Rules, Wave, parted};

/// What one direction does, wave by wave.
#[derive(Default)]
pub(super) struct Course {
    pub(super) waves: Vec<Wave>,
    /// Rules that go although desired traffic rests on them.
    pub(super) cuts: Vec<Atom>,
    /// What does not fit, and rules that stay because of it.
    pub(super) unfit: Vec<Atom>,
}

/// `unsure`: live traffic that may not be in force yet. `ours`: rows that are as we vouch for them. `limited`: rows
/// that are held back now will make room.
pub(super) fn squeeze(rules: Rules, budget: Budget<'_>, unsure: &Space, ours: &BTreeSet<&RuleId>, limited: bool) -> Course {
    let (mut squeeze, first) = Squeeze::new(rules, budget, unsure, ours, limited);
    squeeze.run(first);
    squeeze.course
}

struct Squeeze<'a> {
    budget: Budget<'a>,
    unsure: &'a Space,
    ours: &'a BTreeSet<&'a RuleId>,
    limited: bool,
    /// Rules that a change takes away.
    rows: Vec<Revocation>,
    /// Rules nobody declared that desired traffic rests on.
    resting: Vec<Revocation>,
    /// Changed rows that are set back late, for the same reason.
    set_back: Vec<Modification>,
    /// What is to be authorized: first what somebody removed.
    pending: Vec<Authorization>,
    /// What was brought about since the last wait.
    young: BTreeSet<Atom>,
    /// Which of the atoms that come overlap what a row allows.
    rests: BTreeMap<RuleId, BTreeSet<Atom>>,
    /// What the manifest's own changes in place would pair.
    meant: BTreeMap<RuleId, Atom>,
    course: Course,
}

impl<'a> Squeeze<'a> {
    fn new(mut rules: Rules, budget: Budget<'a>, unsure: &'a Space, ours: &'a BTreeSet<&'a RuleId>, limited: bool) -> (Self, Wave) {
        let (revert, resting) = rules.split_undeclared();
        let Rules { undeclared: _, replaced: mut rows, authorize: mut pending, set_back, modify, describe } = rules;
        let mut meant = BTreeMap::new();
        for item in modify {
            let (row, atom) = parted(item);
            meant.insert(row.live.id.clone(), atom.new.atom.clone());
            rows.push(row);
            pending.push(atom);
        }
        rows.sort_by(|a, b| a.live.atom.cmp(&b.live.atom));
        pending.sort_by(|a, b| (!a.cause.is_drift(), &a.new.atom).cmp(&(!b.cause.is_drift(), &b.new.atom)));
        let lives = rows.iter().chain(&resting).map(|row| &row.live).chain(set_back.iter().map(|item| &item.live));
        let coming = pending.iter().map(|item| &item.new).chain(set_back.iter().map(|item| &item.new));
        let rests = rests(lives, &coming.map(|new| &new.atom).collect::<Vec<_>>());
        let course = Course::default();
        let young = BTreeSet::new();
        let mut squeeze =
            Self { budget, unsure, ours, limited, rows, resting, set_back: Vec::new(), pending, young, rests, meant, course };
        let wanted = squeeze.wanted();
        let at_once = squeeze.set_back_what_can_be(set_back, &wanted);
        squeeze.young.extend(at_once.iter().map(|item| item.new.atom.clone()));
        (squeeze, Wave { revert, set_back: at_once, describe, ..Wave::default() })
    }

    /// Of changed rows, those that can be set back now: nothing of `wanted` rests on what they allow, and there is room for what
    /// they were. The others are kept for later.
    fn set_back_what_can_be(&mut self, items: Vec<Modification>, wanted: &BTreeSet<Atom>) -> Vec<Modification> {
        let mut go = Vec::new();
        for item in items {
            let next = self.changed(&item.live.atom, &item.new.atom);
            if self.bears(&item.live, wanted) || next.excess(self.budget.limit) > self.budget.used.excess(self.budget.limit) {
                self.set_back.push(item);
            } else {
                self.budget.used = next;
                go.push(item);
            }
        }
        go
    }

    fn run(&mut self, mut wave: Wave) {
        loop {
            self.change_in_place(&mut wave);
            self.make_room(&mut wave);
            if self.missing(self.budget.used) == 0 {
                wave.authorize.append(&mut self.pending);
                break;
            }
            let batch = self.batch();
            if batch.is_empty() {
                self.last_resort(&mut wave);
                break;
            }
            self.authorize(&mut wave, &batch);
            self.release(&mut wave);
            self.finish_wave(std::mem::take(&mut wave));
            // By the next wave all of it is in force.
            self.young.clear();
        }
        wave.modify.append(&mut self.set_back);
        wave.late.append(&mut self.resting);
        self.finish_wave(wave);
        self.replace_the_rest();
    }

    /// Traffic that is desired and not live.
    fn wanted(&self) -> BTreeSet<Atom> {
        self.pending.iter().map(|item| item.new.atom.clone()).collect()
    }

    /// Desired traffic that is not in force: no change takes away what carries it now.
    fn open(&self) -> BTreeSet<Atom> {
        let mut open = self.wanted();
        open.extend(self.set_back.iter().map(|item| item.new.atom.clone()));
        open.extend(self.young.iter().cloned());
        open
    }

    /// Whether any of these rests on what a row allows.
    fn bears(&self, live: &LiveRule, atoms: &BTreeSet<Atom>) -> bool {
        self.rests.get(&live.id).is_some_and(|rests| !rests.is_disjoint(atoms))
    }

    fn weigh(&self, atom: &Atom) -> Usage {
        Usage::one(atom, self.budget.lists)
    }

    /// How much is used once a row is changed in place. Prefix lists do not weigh alike.
    fn changed(&self, from: &Atom, to: &Atom) -> Usage {
        self.budget.used.minus(self.weigh(from)).plus(self.weigh(to))
    }

    fn sum<'b>(&self, items: impl IntoIterator<Item = &'b Authorization>) -> Usage {
        Usage::of(items.into_iter().map(|item| &item.new.atom), self.budget.lists)
    }

    /// How much room is missing for all that comes, with this much used: first for what is pending, then for the rows that are set
    /// back in one call after it, which may weigh more than they do now.
    fn missing(&self, used: Usage) -> u32 {
        let peak = used.plus(self.sum(&self.pending));
        let from = Usage::of(self.set_back.iter().map(|item| &item.live.atom), self.budget.lists);
        let to = Usage::of(self.set_back.iter().map(|item| &item.new.atom), self.budget.lists);
        peak.excess(self.budget.limit).max(peak.minus(from).plus(to).excess(self.budget.limit))
    }

    fn fits<'b>(&self, items: impl IntoIterator<Item = &'b Authorization>) -> bool {
        self.budget.used.plus(self.sum(items)).fits(self.budget.limit)
    }

    /// Pairs rows that go with atoms that come, as many as can be: one call, no room, and no moment without either.
    fn change_in_place(&mut self, wave: &mut Wave) {
        let pairs = self.without_cuts(self.pairs());
        self.change(pairs, wave);
    }

    fn change(&mut self, pairs: BTreeMap<RuleId, Atom>, wave: &mut Wave) {
        for (id, atom) in pairs {
            let (row, item) =
                (self.rows.iter().position(|row| row.live.id == id), self.pending.iter().position(|item| item.new.atom == atom));
            let (Some(row), Some(item)) = (row, item) else { continue };
            let used = self.rows.get(row).map_or(self.budget.used, |row| self.changed(&row.live.atom, &atom));
            if used.excess(self.budget.limit) > self.budget.used.excess(self.budget.limit) {
                continue;
            }
            self.budget.used = used;
            self.young.insert(atom);
            let Revocation { live, cause: _, rule: _ } = self.rows.remove(row);
            let Authorization { new, cause, rule, justification } = self.pending.remove(item);
            wave.in_place.push(Modification { live, new, cause, rule, justification });
        }
    }

    /// The pairs there could be: first as the manifest means them, then a row with the one atom that rests on it, then rows
    /// nothing rests on, then the others.
    fn pairs(&self) -> BTreeMap<RuleId, Atom> {
        let mut pairs: BTreeMap<RuleId, Atom> = BTreeMap::new();
        let mut free: Vec<&Authorization> = self.pending.iter().filter(|item| !item.cause.is_drift()).collect();
        let mut rows: Vec<(usize, &Revocation)> = Vec::new();
        let wanted = self.wanted();
        for row in self.rows.iter().filter(|row| self.may_become_another(row)) {
            let resting = self.rests.get(&row.live.id).map_or(0, |rests| rests.intersection(&wanted).count());
            let meant = self.meant.get(&row.live.id).is_some_and(|meant| wanted.contains(meant));
            let order = match (meant, resting) {
                (true, _) => 0,
                (false, 1) => 1,
                (false, 0) => 2,
                (false, _) => 3,
            };
            rows.push((order, row));
        }
        rows.sort_by_key(|(order, _)| *order);
        for (order, row) in rows {
            let meant = self.meant.get(&row.live.id);
            let suits = |item: &Authorization| {
                item.new.atom.peer.kind() == row.live.atom.peer.kind()
                    && match (order, meant) {
                        (0, Some(meant)) => item.new.atom == *meant,
                        (1, _) => self.rests.get(&row.live.id).is_some_and(|rests| rests.contains(&item.new.atom)),
                        (_, _) => true,
                    }
            };
            // Where there is a choice, rather within one rule of the manifest.
            let same = free.iter().position(|item| suits(item) && Some(&item.rule) == row.rule.as_ref());
            if let Some(at) = same.or_else(|| free.iter().position(|item| suits(item))) {
                pairs.insert(row.live.id.clone(), free.remove(at).new.atom.clone());
            }
        }
        pairs
    }

    /// Only those pairs that cut nothing: what rests on a row has to be in force, or to come in the same call.
    fn without_cuts(&self, mut pairs: BTreeMap<RuleId, Atom>) -> BTreeMap<RuleId, Atom> {
        loop {
            let coming: BTreeSet<&Atom> = pairs.values().collect();
            let open: BTreeSet<Atom> = self.open().into_iter().filter(|atom| !coming.contains(atom)).collect();
            let before = pairs.len();
            pairs.retain(|id, _| self.rests.get(id).is_none_or(|rests| rests.is_disjoint(&open)));
            if pairs.len() == before {
                return pairs;
            }
        }
    }

    /// Rows nothing rests on go early, no more than it takes.
    fn make_room(&mut self, wave: &mut Wave) {
        let open = self.open();
        let free: Vec<RuleId> =
            self.rows.iter().filter(|row| !self.bears(&row.live, &open)).map(|row| row.live.id.clone()).collect();
        for id in self.fewest(&free) {
            wave.room.extend(self.take_row(&id));
        }
    }

    fn take_row(&mut self, id: &RuleId) -> Option<Revocation> {
        let at = self.rows.iter().position(|row| row.live.id == *id)?;
        let row = self.rows.remove(at);
        self.budget.used = self.budget.used.minus(self.weigh(&row.live.atom));
        Some(row)
    }

    /// The fewest of these rows whose removal makes room for all that is pending; those that help at all, if none do.
    fn fewest(&self, candidates: &[RuleId]) -> Vec<RuleId> {
        let mut used = self.budget.used;
        let mut left: Vec<(&RuleId, Usage)> = candidates
            .iter()
            .filter_map(|id| {
                let row = self.rows.iter().chain(&self.resting).find(|row| row.live.id == *id)?;
                Some((id, self.weigh(&row.live.atom)))
            })
            .collect();
        let mut chosen = Vec::new();
        while self.missing(used) > 0 {
            let relief = |usage: &Usage| self.missing(used) - self.missing(used.minus(*usage));
            // The first of the best: `max_by_key` would take the last.
            let Some(best) = left.iter().map(|(_, usage)| relief(usage)).max().filter(|best| *best > 0) else { break };
            let Some(at) = left.iter().position(|(_, usage)| relief(usage) == best) else { break };
            let (id, usage) = left.remove(at);
            used = used.minus(usage);
            chosen.push(id.clone());
        }
        chosen
    }

    /// Atoms that fit now: those that let most rows go after them, and what somebody removed. Where no row goes after what fits,
    /// as many as fit, first those that no row can be changed into: once few enough are left, one call changes all rows.
    fn batch(&self) -> BTreeSet<Atom> {
        let wanted = self.wanted();
        let mut batch: BTreeSet<Atom> = BTreeSet::new();
        let mut sets: Vec<BTreeSet<Atom>> =
            self.rows.iter().chain(&self.resting).filter_map(|row| self.unlocks(row, &wanted)).collect();
        sets.sort_by_key(BTreeSet::len);
        for set in sets {
            self.extend(&mut batch, set);
        }
        let unlocks = !batch.is_empty();
        let mut rest: Vec<&Authorization> = self.pending.iter().filter(|item| item.cause.is_drift() || !unlocks).collect();
        rest.sort_by_key(|item| (!item.cause.is_drift(), self.surplus(item.new.atom.peer.kind()) <= 0));
        for item in rest {
            self.extend(&mut batch, BTreeSet::from([item.new.atom.clone()]));
        }
        batch
    }

    /// Adds atoms to a batch if all of it still fits.
    #[allow(clippy::needless_pass_by_value, reason = "whoever calls has no more use for it")]
    fn extend(&self, batch: &mut BTreeSet<Atom>, atoms: BTreeSet<Atom>) {
        let next: BTreeSet<Atom> = batch.union(&atoms).cloned().collect();
        if self.fits(self.pending.iter().filter(|item| next.contains(&item.new.atom))) {
            *batch = next;
        }
    }

    /// How many more atoms of a kind come than there are rows to be changed into them.
    fn surplus(&self, kind: PeerKind) -> i64 {
        let coming = self.pending.iter().filter(|item| item.new.atom.peer.kind() == kind && !item.cause.is_drift()).count();
        let rows = self.rows.iter().filter(|row| row.live.atom.peer.kind() == kind && self.may_become_another(row)).count();
        i64::try_from(coming).unwrap_or(i64::MAX) - i64::try_from(rows).unwrap_or(i64::MAX)
    }

    /// Whether a row is as we vouch for it, and goes because the manifest changed.
    fn may_become_another(&self, row: &Revocation) -> bool {
        self.ours.contains(&row.live.id) && !row.cause.is_drift() && !row.cause.closes()
    }

    /// What has to come before a row can go, or be changed into the last of it. Empty sets help nobody.
    fn unlocks(&self, row: &Revocation, wanted: &BTreeSet<Atom>) -> Option<BTreeSet<Atom>> {
        let mut set: BTreeSet<Atom> = self.rests.get(&row.live.id)?.intersection(wanted).cloned().collect();
        if self.may_become_another(row) {
            let kind = row.live.atom.peer.kind();
            let changes =
                |item: &&Authorization| !item.cause.is_drift() && item.new.atom.peer.kind() == kind && set.contains(&item.new.atom);
            if let Some(last) = self.pending.iter().rfind(changes) {
                set.remove(&last.new.atom);
            }
        }
        (!set.is_empty()).then_some(set)
    }

    fn authorize(&mut self, wave: &mut Wave, batch: &BTreeSet<Atom>) {
        let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(|item| batch.contains(&item.new.atom));
        self.pending = later;
        let now: Vec<Authorization> = now;
        self.budget.used = self.budget.used.plus(self.sum(&now));
        self.young.extend(now.iter().map(|item| item.new.atom.clone()));
        wave.authorize.extend(now);
    }

    /// What nobody declared goes as soon as nothing rests on it any more: drift gives nobody a right to a wait.
    fn release(&mut self, wave: &mut Wave) {
        let wanted = self.wanted();
        let items = std::mem::take(&mut self.set_back);
        wave.modify.extend(self.set_back_what_can_be(items, &wanted));
        let mut open = wanted;
        open.extend(self.set_back.iter().map(|item| item.new.atom.clone()));
        let (stay, go): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.resting).into_iter().partition(|row| self.bears(&row.live, &open));
        self.resting = stay;
        for row in &go {
            self.budget.used = self.budget.used.minus(self.weigh(&row.live.atom));
        }
        wave.late.extend(go);
    }

    /// Nothing can go without a cut. If one makes room for all, what can be is changed in place all the same, and the fewest
    /// other rules go on which desired traffic rests, first those that nobody declared. Else what fits comes, and the rest waits,
    /// or is left for EC2 to judge.
    fn last_resort(&mut self, wave: &mut Wave) {
        self.set_back_at_once(wave);
        let mut candidates: Vec<RuleId> = self.resting.iter().map(|row| row.live.id.clone()).collect();
        candidates.extend(self.rows.iter().map(|row| row.live.id.clone()));
        let all = self.resting.iter().chain(&self.rows).fold(Usage::default(), |sum, row| sum.plus(self.weigh(&row.live.atom)));
        if self.missing(self.budget.used.minus(all)) == 0 {
            let done = wave.in_place.len();
            self.change(self.pairs(), wave);
            let mut open = self.wanted();
            open.extend(self.set_back.iter().map(|item| item.new.atom.clone()));
            let cut = wave.in_place.iter().skip(done).filter(|item| self.bears(&item.live, &open));
            self.course.cuts.extend(cut.map(|item| item.live.atom.clone()).collect::<Vec<_>>());
            for id in self.fewest(&candidates) {
                if let Some(at) = self.resting.iter().position(|row| row.live.id == id) {
                    let row = self.resting.remove(at);
                    self.budget.used = self.budget.used.minus(self.weigh(&row.live.atom));
                    self.course.cuts.push(row.live.atom.clone());
                    wave.revert.push(row);
                } else if let Some(row) = self.take_row(&id) {
                    self.course.cuts.push(row.live.atom.clone());
                    wave.room.push(row);
                }
            }
            wave.authorize.append(&mut self.pending);
            return;
        }
        for item in std::mem::take(&mut self.pending) {
            let next = self.budget.used.plus(self.weigh(&item.new.atom));
            if next.fits(self.budget.limit) && wave.doubtful.is_empty() {
                wave.authorize.push(item);
            } else if self.budget.guessed || (!self.limited && next.certain.fits(self.budget.limit.certain)) {
                wave.doubtful.push(item);
            } else {
                self.course.unfit.push(item.new.atom);
                continue;
            }
            self.budget.used = next;
        }
        self.hold_what_cannot_be_set_back();
    }

    /// Changed rows whose own place takes more room than there is wait too, unless EC2 may see it otherwise.
    fn hold_what_cannot_be_set_back(&mut self) {
        for item in std::mem::take(&mut self.set_back) {
            let next = self.changed(&item.live.atom, &item.new.atom);
            let may_fit = self.budget.guessed || (!self.limited && next.certain.fits(self.budget.limit.certain));
            if next.excess(self.budget.limit) <= self.budget.used.excess(self.budget.limit) || may_fit {
                self.budget.used = next;
                self.set_back.push(item);
            } else {
                self.course.unfit.push(item.new.atom);
            }
        }
    }

    /// Changed rows whose own place takes less room are set back now.
    fn set_back_at_once(&mut self, wave: &mut Wave) {
        for item in std::mem::take(&mut self.set_back) {
            let coming = self.sum(&self.pending);
            let used = self.changed(&item.live.atom, &item.new.atom);
            if used.plus(coming).excess(self.budget.limit) < self.budget.used.plus(coming).excess(self.budget.limit) {
                self.budget.used = used;
                self.course.cuts.push(item.live.atom.clone());
                wave.set_back.push(item);
            } else {
                self.set_back.push(item);
            }
        }
    }

    fn finish_wave(&mut self, mut wave: Wave) {
        let going = wave.in_place.iter().map(|item| &item.live.atom).chain(wave.room.iter().map(|row| &row.live.atom));
        wave.settle = self.course.waves.is_empty() && Space::of_all(going).overlaps(self.unsure);
        self.course.waves.push(wave);
    }

    /// What is left goes when all that came is in force, but for rows that something rests on which did not fit.
    fn replace_the_rest(&mut self) {
        let unfit: BTreeSet<Atom> = self.course.unfit.iter().cloned().collect();
        let (stay, replace): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.rows).into_iter().partition(|row| self.bears(&row.live, &unfit));
        self.course.unfit.extend(stay.into_iter().map(|row| row.live.atom));
        self.course.waves.push(Wave { replace, ..Wave::default() });
    }
}

/// Which atoms overlap what each row allows.
fn rests<'b>(lives: impl Iterator<Item = &'b LiveRule>, coming: &[&Atom]) -> BTreeMap<RuleId, BTreeSet<Atom>> {
    let all = Space::of_all(coming.iter().copied());
    let each: Vec<(&Atom, Space)> = coming.iter().map(|atom| (*atom, Space::of(atom))).collect();
    let mut rests = BTreeMap::new();
    for live in lives {
        let space = Space::of(&live.atom);
        if space.overlaps(&all) {
            let atoms = each.iter().filter(|(_, other)| space.overlaps(other)).map(|(atom, _)| (*atom).clone());
            rests.insert(live.id.clone(), atoms.collect());
        }
    }
    rests
}
