//! Drift records: one entry for what one pass found and does the same about, kept until it is resolved and then among the newest
//! ten.
//!
//! Invariant: a difference is in one open record at most, and stays in it while it is there: a record lists twenty differences and
//! knows the others by their digests, so that none is taken for new, and none that is new for known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::api::{
    self, DRIFT_DIGEST, DriftAtom, DriftRecord, ExposureChange, MAX_DRIFT, MAX_DRIFT_ATOMS, MAX_DRIFT_UNLISTED, MAX_EXPOSURE,
    MAX_TEXT, Mode, Notified, Resolution, TAG_PREFIX,
};
use crate::core::desired::{Desired, Policy};
use crate::core::model::{Atom, Declared, Observed, Tags};
use crate::core::plan::{Difference, ExposureDelta, Report, What};

use super::stance::Stance;

/// What a pass adds to the records.
#[derive(Clone, Copy, Debug)]
pub struct Tracking<'a> {
    /// The group, part of what a record's id is made of.
    pub group: &'a str,
    /// When the drift was seen.
    pub now: Timestamp,
    /// What may be done about it.
    pub policy: &'a Policy,
    /// What is declared, if the manifest could be used: drift that it says by now was not put right.
    pub desired: Option<&'a Desired>,
    /// What is live; `None`: there is no group.
    pub observed: Option<&'a Observed>,
    /// The baseline is lost: nobody can tell drift from change, nor what became of it.
    pub lost: bool,
    /// The pass that saw it.
    pub trace_id: &'a str,
    /// The records, by id, that everybody was told of who is to be told: only these may go to make room.
    pub told: &'a BTreeSet<String>,
}

/// The records after a look at the group: drift that is new gets one, drift that is gone is resolved.
pub fn track(records: &[DriftRecord], report: &Report, with: Tracking<'_>) -> Vec<DriftRecord> {
    let look = Look::of(report, with);
    let open = || records.iter().filter(|record| is_open(record));
    let known: BTreeSet<String> = open().flat_map(digests).collect();
    let new: Vec<&Seen> = look.seen.iter().filter(|seen| !known.contains(&seen.digest)).collect();
    // A record with more than it knows stands for the rest too, until there is more than it counted.
    let covered = as_count(new.len()) <= open().map(uncounted).sum::<i64>();
    let mut next: Vec<DriftRecord> = records.iter().map(|record| look.follow(record, !new.is_empty(), with)).collect();
    if !covered {
        // What is put right and what is left alone end at different times.
        for resolution in [Resolution::Reported, Resolution::Suspended, Resolution::Pending] {
            let of_it: Vec<&Seen> = new.iter().copied().filter(|seen| seen.resolution == resolution).collect();
            if !of_it.is_empty() {
                let atoms = of_it.iter().map(|seen| seen.atom.clone()).collect();
                next.insert(0, DriftRecord { exposure: exposure(&of_it, with), ..record(atoms, resolution, with) });
            }
        }
    }
    evict(&mut next, with.told);
    next
}

/// Whether a record waits for its end.
pub fn is_open(record: &DriftRecord) -> bool {
    record.resolved_at.is_none()
}

/// A drift that is there now.
struct Seen {
    atom: DriftAtom,
    rules: Edited,
    digest: String,
    resolution: Resolution,
}

/// The rules an edit took and gave.
#[derive(Default)]
struct Edited {
    gone: Vec<Atom>,
    come: Option<Atom>,
}

/// What one look at the group found.
struct Look {
    /// Drift, in the order of the report.
    seen: Vec<Seen>,
    /// The same, by digest.
    by_digest: BTreeMap<String, Resolution>,
    /// What would be drift, but that the manifest lets it be.
    let_be: BTreeSet<String>,
    /// There is no group, or not all of its rules are in: one that was deleted is not there again yet.
    incomplete: bool,
}

impl Look {
    fn of(report: &Report, with: Tracking<'_>) -> Self {
        let mut look = Self { seen: Vec::new(), by_digest: BTreeMap::new(), let_be: BTreeSet::new(), incomplete: false };
        for difference in &report.differences {
            let stance = Stance::of(difference);
            if stance.is_let_be() {
                look.let_be.extend(let_be(difference).as_ref().map(digest));
            } else if let Some(atom) = atom_of(difference) {
                let resolution = open_resolution(stance, with.policy.mode);
                let digest = digest(&atom);
                look.by_digest.insert(digest.clone(), resolution);
                look.seen.push(Seen { atom, rules: edited(difference, with), digest, resolution });
            }
        }
        let missing = |difference: &Difference| {
            difference.held.is_none() && matches!(difference.what, What::Missing { atom: _, declared: _, last_id: _ })
        };
        look.incomplete = report.ownership.is_none() || report.differences.iter().any(missing);
        look
    }

    /// `strangers`: there is drift that no record knows.
    fn follow(&self, record: &DriftRecord, strangers: bool, with: Tracking<'_>) -> DriftRecord {
        let mut record = record.clone();
        if !is_open(&record) {
            return record;
        }
        let unfinished = self.incomplete && record.atoms.iter().any(|atom| atom.kind == api::DriftKind::GroupDeleted.as_str());
        let strangers = strangers && uncounted(&record) > 0;
        let mut resolutions: Vec<Resolution> =
            digests(&record).iter().filter_map(|digest| self.by_digest.get(digest)).copied().collect();
        if resolutions.is_empty() && (unfinished || strangers) {
            let stance = if with.policy.suspended { Stance::Suspended } else { Stance::Open };
            resolutions.push(open_resolution(stance, with.policy.mode));
        }
        // As long as a part of it is put right, it is not left alone.
        let active = [Resolution::Pending, Resolution::Suspended, Resolution::Reported];
        if let Some(resolution) = active.into_iter().find(|resolution| resolutions.contains(resolution)) {
            record.resolution = resolution.into();
            return record;
        }
        record.resolved_at = Some(with.now.to_string());
        if let Some(resolution) = self.end(&record, with) {
            record.resolution = resolution.into();
        }
        record
    }

    /// How a drift that is gone ended; `None`: as it was told before, only that it is over.
    fn end(&self, record: &DriftRecord, with: Tracking<'_>) -> Option<Resolution> {
        let desired = with.desired;
        let tolerated = |atom: &DriftAtom| self.let_be.contains(&digest(atom));
        if record.atoms.iter().any(tolerated) && record.atoms.iter().all(|atom| tolerated(atom) || says(desired, atom)) {
            return Some(Resolution::Tolerated);
        }
        if !record.atoms.is_empty() && record.atoms.iter().all(|atom| says(desired, atom)) {
            return Some(Resolution::Declared);
        }
        let pending = record.resolution == Resolution::Pending.as_str();
        pending.then_some(if with.lost { Resolution::Unknown } else { Resolution::Reverted })
    }
}

/// Whether the manifest says by now what an edit made: nobody has put that right.
fn says(desired: Option<&Desired>, atom: &DriftAtom) -> bool {
    let Some(desired) = desired else { return false };
    let ours = |text: &Option<String>| text.as_ref().is_some_and(|text| text.starts_with(&format!("tag {TAG_PREFIX}")));
    if atom.kind == api::DriftKind::GroupDeleted.as_str() || ours(&atom.before) || ours(&atom.after) {
        return false;
    }
    let declared = |text: &String| {
        let rule = |(atom, declared): (&Atom, &Declared)| {
            shown(&atom.to_string()) == *text || shown(&described(atom, declared.description.as_ref())) == *text
        };
        desired.rules.iter().any(rule) || desired.tags.iter().any(|(key, value)| shown(&tag(key, value)) == *text)
    };
    match (&atom.before, &atom.after) {
        (_, Some(after)) => declared(after),
        (Some(before), None) => !declared(before),
        (None, None) => false,
    }
}

fn open_resolution(stance: Stance, mode: Mode) -> Resolution {
    match (mode, stance) {
        (Mode::Observe, _) | (Mode::Enforce, Stance::Reported | Stance::Tolerated | Stance::Kept) => Resolution::Reported,
        (Mode::Enforce, Stance::Suspended) => Resolution::Suspended,
        (Mode::Enforce, Stance::Open | Stance::Waits) => Resolution::Pending,
    }
}

fn as_count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// How many differences of a record it does not even know by digest.
fn uncounted(record: &DriftRecord) -> i64 {
    let unlisted = record.unlisted.as_deref().unwrap_or_default().chars().count() / DRIFT_DIGEST;
    (i64::from(record.count) - as_count(record.atoms.len() + unlisted)).max(0)
}

/// Every difference that a record knows, listed or not.
pub(super) fn digests(record: &DriftRecord) -> Vec<String> {
    let unlisted: Vec<char> = record.unlisted.as_deref().unwrap_or_default().chars().collect();
    let unlisted = unlisted.chunks(DRIFT_DIGEST).map(|digest| digest.iter().collect());
    record.atoms.iter().map(digest).chain(unlisted).collect()
}

/// What makes a difference the same one at the next look. Not what the manifest alone says, the name of the rule and the text it
/// should have: that may change meanwhile.
pub(super) fn digest(atom: &DriftAtom) -> String {
    let DriftAtom { kind, before, after, rule_id, rule: _ } = atom;
    let before = if *kind == api::DriftKind::DescriptionChanged.as_str() { &None } else { before };
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let whole = Sha256::digest([kind.clone(), text(before), text(after), text(rule_id)].join("\u{1f}"));
    let hex: Vec<String> = whole.iter().take(DRIFT_DIGEST / 2).map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

/// [`digest`] of a difference; `None` for one that is no drift.
pub(super) fn drift_digest(difference: &Difference) -> Option<String> {
    atom_of(difference).as_ref().map(digest)
}

/// The rules behind a difference that is drift.
fn edited(difference: &Difference, with: Tracking<'_>) -> Edited {
    match &difference.what {
        What::Missing { atom, declared: _, last_id: _ } => Edited { gone: vec![atom.clone()], come: None },
        What::Extra { live, rule: _, was } => Edited { gone: was.iter().cloned().collect(), come: Some(live.atom.clone()) },
        What::Moved { live, atom, declared: _ } => Edited { gone: vec![atom.clone()], come: Some(live.atom.clone()) },
        What::GroupMissing { recorded: _ } => {
            let all = with.desired.into_iter().flat_map(|desired| desired.rules.iter()).map(|(atom, _)| atom.clone());
            Edited { gone: all.collect(), come: None }
        }
        What::Description { live: _, declared: _ } | What::Tag { key: _, live: _, declared: _, ownership: _ } => Edited::default(),
    }
}

/// What some edits together opened and closed: beyond what the other rules let through before them, and do now.
fn exposure(edits: &[&Seen], with: Tracking<'_>) -> Option<ExposureChange> {
    let come: BTreeSet<&Atom> = edits.iter().filter_map(|seen| seen.rules.come.as_ref()).collect();
    let live = || with.observed.into_iter().flat_map(|observed| observed.rules.values()).map(|rule| &rule.atom);
    let gone = edits.iter().flat_map(|seen| &seen.rules.gone);
    let before: Vec<&Atom> = live().filter(|atom| !come.contains(atom)).chain(gone).collect();
    let delta = ExposureDelta::between(&before, &live().collect::<Vec<_>>());
    let change = ExposureChange {
        opened: delta.opened().map(|text| cut(&text, MAX_EXPOSURE)),
        closed: delta.closed().map(|text| cut(&text, MAX_EXPOSURE)),
    };
    (change != ExposureChange::default()).then_some(change)
}

fn record(atoms: Vec<DriftAtom>, resolution: Resolution, with: Tracking<'_>) -> DriftRecord {
    let count = i32::try_from(atoms.len()).unwrap_or(i32::MAX);
    let mut id = Sha256::new();
    id.update(with.group);
    id.update(with.now.to_string());
    for atom in &atoms {
        id.update(digest(atom));
    }
    let [a, b, c, d, ..]: [u8; 32] = id.finalize().into();
    let mut record = DriftRecord {
        id: format!("d-{a:02x}{b:02x}{c:02x}{d:02x}"),
        atoms,
        unlisted: None,
        count,
        detected_at: Some(with.now.to_string()),
        exposure: None,
        actor: None,
        resolution: resolution.into(),
        resolved_at: None,
        change_id: None,
        trace_id: Some(with.trace_id.to_owned()),
        notified: Vec::new(),
    };
    fit(&mut record);
    record
}

/// Moves what is more than a record lists among the digests, as far as they go.
fn fit(record: &mut DriftRecord) {
    let rest = record.atoms.split_off(record.atoms.len().min(MAX_DRIFT_ATOMS));
    let mut unlisted = record.unlisted.take().unwrap_or_default();
    unlisted.extend(rest.iter().map(digest));
    let fitting: String = unlisted.chars().take(MAX_DRIFT_UNLISTED * DRIFT_DIGEST).collect();
    record.unlisted = Some(fitting).filter(|digests| !digests.is_empty());
}

/// Keeps what status can hold: the newest. Resolved ones that everybody was `told` of go first; no other is lost, the oldest two of
/// those that are over, or of those that are not, become one.
pub fn evict(records: &mut Vec<DriftRecord>, told: &BTreeSet<String>) {
    while records.len() > MAX_DRIFT {
        if let Some(victim) = records.iter().rposition(|record| !is_open(record) && told.contains(&record.id)) {
            records.remove(victim);
            continue;
        }
        // What is over is not mixed with what is not: the edit would be taken for known when it is made again.
        let oldest = |open: bool| {
            let mut of_it = (0..records.len()).rev().filter(|at| records.get(*at).is_some_and(|record| is_open(record) == open));
            Some((of_it.next()?, of_it.next()?))
        };
        let Some((older, newer)) = oldest(false).or_else(|| oldest(true)) else { return };
        let older = records.remove(older);
        if let Some(newer) = records.get_mut(newer) {
            *newer = merge(older, std::mem::take(newer));
        }
    }
}

/// Two records, both open or both not, as one. It keeps the older one's id and time: that is how long something is open.
fn merge(older: DriftRecord, newer: DriftRecord) -> DriftRecord {
    let mut unlisted = older.unlisted.unwrap_or_default();
    unlisted.push_str(&newer.unlisted.unwrap_or_default());
    let pending = newer.resolution == Resolution::Pending.as_str();
    // Whoever heard of one of them alone has not heard of all of it.
    let both_told = |one: &Notified| {
        let other = newer.notified.iter().find(|other| other.notifier == one.notifier)?;
        let Notified { notifier, at, with_actor, with_end } = one.clone();
        Some(Notified { notifier, at, with_actor: with_actor && other.with_actor, with_end: with_end && other.with_end })
    };
    let mut merged = DriftRecord {
        notified: older.notified.iter().filter_map(both_told).collect(),
        atoms: older.atoms.into_iter().chain(newer.atoms).collect(),
        unlisted: Some(unlisted),
        count: older.count.saturating_add(newer.count),
        exposure: both(older.exposure, newer.exposure),
        actor: older.actor.filter(|actor| newer.actor.as_ref() == Some(actor)),
        resolution: if pending { newer.resolution } else { older.resolution },
        resolved_at: newer.resolved_at.or(older.resolved_at),
        ..older
    };
    fit(&mut merged);
    merged
}

fn both(older: Option<ExposureChange>, newer: Option<ExposureChange>) -> Option<ExposureChange> {
    let (Some(older), Some(newer)) = (&older, &newer) else { return older.or(newer) };
    let join = |one: &Option<String>, other: &Option<String>| {
        let texts: Vec<&str> = [one, other].into_iter().filter_map(Option::as_deref).collect();
        (!texts.is_empty()).then(|| cut(&texts.join("; "), MAX_EXPOSURE))
    };
    Some(ExposureChange { opened: join(&older.opened, &newer.opened), closed: join(&older.closed, &newer.closed) })
}

/// The records with edits that are told and left alone: over as soon as they are seen. None for none.
pub(super) fn note(records: &[DriftRecord], atoms: Vec<DriftAtom>, with: Tracking<'_>) -> Vec<DriftRecord> {
    let mut next = records.to_vec();
    if !atoms.is_empty() {
        let over = Some(with.now.to_string());
        next.insert(0, DriftRecord { resolved_at: over, ..record(atoms, Resolution::Reported, with) });
        evict(&mut next, with.told);
    }
    next
}

pub(super) fn shown(text: &str) -> String {
    cut(text, MAX_TEXT)
}

fn described(atom: &Atom, text: Option<&String>) -> String {
    format!("{atom} \"{}\"", text.map_or("", String::as_str))
}

fn tag(key: &str, value: &str) -> String {
    format!("tag {key}={value}")
}

/// An undeclared rule that may stay, as the drift it was before that was said.
fn let_be(difference: &Difference) -> Option<DriftAtom> {
    let What::Extra { live: _, rule: _, was } = &difference.what else { return None };
    Some(shown_as(if was.is_some() { api::DriftKind::Modified } else { api::DriftKind::Added }.as_str(), difference))
}

/// One drift as status shows it; `None` for a difference that is no drift.
fn atom_of(difference: &Difference) -> Option<DriftAtom> {
    difference.drift().map(|kind| shown_as(kind.into(), difference))
}

fn shown_as(kind: &'static str, difference: &Difference) -> DriftAtom {
    let (before, after, rule_id, rule) = match &difference.what {
        What::GroupMissing { recorded } => (recorded.as_ref().map(ToString::to_string), None, None, None),
        What::Missing { atom, declared, last_id } => (Some(atom.to_string()), None, last_id.clone(), Some(declared.rule.clone())),
        What::Extra { live, rule, was } => {
            (was.as_ref().map(Atom::to_string), Some(live.atom.to_string()), Some(live.id.clone()), rule.clone())
        }
        What::Moved { live, atom, declared } => {
            (Some(atom.to_string()), Some(live.atom.to_string()), Some(live.id.clone()), Some(declared.rule.clone()))
        }
        What::Description { live, declared } => {
            let with = |text: &Option<String>| Some(described(&live.atom, text.as_ref()));
            (with(&declared.description), with(&live.description), Some(live.id.clone()), Some(declared.rule.clone()))
        }
        What::Tag { key, live, declared, ownership: _ } => {
            let with = |value: &Option<String>| value.as_ref().map(|value| tag(key, value));
            (with(declared), with(live), None, None)
        }
    };
    DriftAtom {
        kind: kind.to_owned(),
        before: before.as_deref().map(shown),
        after: after.as_deref().map(shown),
        rule_id: rule_id.map(|id| id.to_string()),
        rule: rule.map(|rule| rule.to_string()),
    }
}

/// At most this many characters, with a sign that there were more.
pub fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut head: String = text.chars().take(limit.saturating_sub(1)).collect();
    head.push('…');
    head
}

/// Who made an edit, for people; `somebody` as long as nobody is known.
pub fn who(record: &DriftRecord) -> &str {
    record.actor.as_ref().and_then(|actor| actor.name.as_deref()).unwrap_or("somebody")
}

/// What a drift did, for people: `added ingress tcp 22 from 0.0.0.0/0 (opened tcp/22 to 4,294,967,296 addresses)`.
pub fn describe(record: &DriftRecord) -> String {
    let mut parts: Vec<String> = record.atoms.iter().take(3).map(describe_atom).collect();
    let rest = usize::try_from(record.count).unwrap_or(0).saturating_sub(parts.len());
    if rest > 0 {
        parts.push(format!("and {rest} more"));
    }
    let exposure = record.exposure.clone().unwrap_or_default();
    let opened = exposure.opened.map(|what| format!("opened {what}"));
    let closed = exposure.closed.map(|what| format!("closed {what}"));
    let exposed: Vec<String> = opened.into_iter().chain(closed).collect();
    let exposed = if exposed.is_empty() { String::new() } else { format!(" ({})", exposed.join("; ")) };
    format!("{}{exposed}", parts.join("; "))
}

fn describe_atom(atom: &DriftAtom) -> String {
    let before = atom.before.as_deref().unwrap_or("nothing");
    let after = atom.after.as_deref().unwrap_or("nothing");
    match api::DriftKind::parse(&atom.kind) {
        Ok(api::DriftKind::Added) => format!("added {after}"),
        Ok(api::DriftKind::Transient) => format!("added and took away again {after}"),
        Ok(api::DriftKind::Removed | api::DriftKind::TagRemoved) => format!("removed {before}"),
        Ok(api::DriftKind::GroupDeleted) => format!("deleted group {before}"),
        Ok(api::DriftKind::VpcAssociationChanged) => match (&atom.before, &atom.after) {
            (None, Some(after)) => format!("added {after}"),
            (Some(before), None) => format!("removed {before}"),
            (Some(_), Some(_)) | (None, None) => format!("changed {before} to {after}"),
        },
        Ok(
            api::DriftKind::Modified
            | api::DriftKind::DescriptionChanged
            | api::DriftKind::TagChanged
            | api::DriftKind::PrefixListChanged,
        ) => {
            format!("changed {before} to {after}")
        }
        Ok(api::DriftKind::Unclassified) | Err(_) => format!("{before} became {after}"),
    }
}

/// The tags we vouch for after a look at the group: declared and live as declared, or applied before and still declared.
pub fn applied_tags(previous: Option<&Tags>, declared: &Tags, live: &Tags) -> Tags {
    let none = Tags::new();
    let previous = previous.unwrap_or(&none);
    let mut applied = Tags::new();
    for (key, value) in declared {
        if live.get(key) == Some(value) {
            applied.insert(key.clone(), value.clone());
        } else if let Some(before) = previous.get(key) {
            applied.insert(key.clone(), before.clone());
        }
    }
    // Dropped from the manifest but not yet from EC2: still ours to remove.
    for (key, value) in previous {
        if !declared.contains_key(key) && live.get(key) == Some(value) {
            applied.insert(key.clone(), value.clone());
        }
    }
    applied
}
