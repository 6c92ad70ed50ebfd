//! Drift records: one entry for what one pass found, kept until it is resolved and then among the newest ten.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::api::{self, DriftAtom, DriftRecord, MAX_DRIFT, MAX_DRIFT_ATOMS, MAX_TEXT, Mode, Resolution};
use crate::core::model::{Atom, Tags};
use crate::core::plan::{Difference, Report, What};

/// What a pass adds to the records.
#[derive(Clone, Copy, Debug)]
pub struct Tracking<'a> {
    /// The group, part of what a record's id is made of.
    pub group: &'a str,
    /// When the drift was seen.
    pub now: Timestamp,
    /// Whether it will be put right.
    pub mode: Mode,
    /// The pass that saw it.
    pub trace_id: &'a str,
}

/// The records after a look at the group: drift that is new gets one, drift that is gone is resolved.
pub fn track(records: &[DriftRecord], report: &Report, with: Tracking<'_>) -> Vec<DriftRecord> {
    let current: Vec<DriftAtom> = report.drifts().filter_map(atom_of).collect();
    let incomplete = report.ownership.is_none()
        || report
            .differences
            .iter()
            .any(|d| d.held.is_none() && matches!(d.what, What::Missing { atom: _, declared: _, last_id: _ }));
    let mut next: Vec<DriftRecord> = records.iter().cloned().map(|record| follow(record, &current, incomplete, with)).collect();
    let known: BTreeSet<String> =
        next.iter().filter(|record| is_open(record)).flat_map(|record| &record.atoms).map(identity).collect();
    // A record that lists only a part stands for the rest too, until there is more than it counted.
    let uncounted: i64 =
        next.iter().filter(|record| is_open(record)).map(|record| i64::from(record.count) - as_count(record.atoms.len())).sum();
    let new: Vec<DriftAtom> = current.into_iter().filter(|atom| !known.contains(&identity(atom))).collect();
    if as_count(new.len()) > uncounted {
        next.insert(0, record(new, with));
    }
    evict(&mut next);
    next
}

/// Whether a record waits for its end.
pub fn is_open(record: &DriftRecord) -> bool {
    record.resolved_at.is_none()
}

fn as_count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// `incomplete`: there is no group, or not all of its rules are in: one that was deleted is not restored yet.
fn follow(mut record: DriftRecord, current: &[DriftAtom], incomplete: bool, with: Tracking<'_>) -> DriftRecord {
    if !is_open(&record) {
        return record;
    }
    let still = |atom: &DriftAtom| {
        let seen = current.iter().any(|seen| identity(seen) == identity(atom));
        seen || (incomplete && atom.kind == api::DriftKind::GroupDeleted.as_str())
    };
    if record.atoms.iter().any(still) {
        record.resolution = open_resolution(with.mode).into();
    } else {
        record.resolved_at = Some(with.now.to_string());
        if record.resolution == Resolution::Pending.as_str() {
            record.resolution = Resolution::Reverted.into();
        }
    }
    record
}

fn open_resolution(mode: Mode) -> Resolution {
    match mode {
        Mode::Enforce => Resolution::Pending,
        Mode::Observe => Resolution::Reported,
    }
}

fn record(mut atoms: Vec<DriftAtom>, with: Tracking<'_>) -> DriftRecord {
    let count = i32::try_from(atoms.len()).unwrap_or(i32::MAX);
    let mut digest = Sha256::new();
    digest.update(with.group);
    digest.update(with.now.to_string());
    for atom in &atoms {
        digest.update(identity(atom));
    }
    let [a, b, c, d, ..]: [u8; 32] = digest.finalize().into();
    atoms.truncate(MAX_DRIFT_ATOMS);
    DriftRecord {
        id: format!("d-{a:02x}{b:02x}{c:02x}{d:02x}"),
        atoms,
        count,
        detected_at: Some(with.now.to_string()),
        actor: None,
        resolution: open_resolution(with.mode).into(),
        resolved_at: None,
        change_id: None,
        trace_id: Some(with.trace_id.to_owned()),
    }
}

/// Keeps the newest that status can hold; open ones outlive resolved ones.
pub fn evict(records: &mut Vec<DriftRecord>) {
    while records.len() > MAX_DRIFT {
        let victim = records.iter().rposition(|record| !is_open(record)).unwrap_or(records.len() - 1);
        records.remove(victim);
    }
}

fn identity(atom: &DriftAtom) -> String {
    let DriftAtom { kind, before, after, rule_id, rule: _ } = atom;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    [kind.clone(), text(before), text(after), text(rule_id)].join("\u{1f}")
}

/// One drift as status shows it; `None` for a difference that is no drift.
fn atom_of(difference: &Difference) -> Option<DriftAtom> {
    let kind: &'static str = difference.drift()?.into();
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
            let with = |text: &Option<String>| format!("{} \"{}\"", live.atom, text.as_deref().unwrap_or_default());
            (Some(with(&declared.description)), Some(with(&live.description)), Some(live.id.clone()), Some(declared.rule.clone()))
        }
        What::Tag { key, live, declared, ownership: _ } => {
            let with = |value: &Option<String>| value.as_ref().map(|value| format!("tag {key}={value}"));
            (with(declared), with(live), None, None)
        }
    };
    Some(DriftAtom {
        kind: kind.to_owned(),
        before: before.map(|text| cut(&text, MAX_TEXT)),
        after: after.map(|text| cut(&text, MAX_TEXT)),
        rule_id: rule_id.map(|id| id.to_string()),
        rule: rule.map(|rule| rule.to_string()),
    })
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

/// What a drift did, for people: `added: tcp 22 from 0.0.0.0/0`.
pub fn describe(record: &DriftRecord) -> String {
    let mut parts: Vec<String> = record.atoms.iter().take(3).map(describe_atom).collect();
    let rest = usize::try_from(record.count).unwrap_or(0).saturating_sub(parts.len());
    if rest > 0 {
        parts.push(format!("and {rest} more"));
    }
    parts.join("; ")
}

fn describe_atom(atom: &DriftAtom) -> String {
    let before = atom.before.as_deref().unwrap_or("nothing");
    let after = atom.after.as_deref().unwrap_or("nothing");
    match api::DriftKind::parse(&atom.kind) {
        Ok(api::DriftKind::Added) => format!("added {after}"),
        Ok(api::DriftKind::Removed | api::DriftKind::TagRemoved) => format!("removed {before}"),
        Ok(api::DriftKind::GroupDeleted) => format!("deleted group {before}"),
        Ok(api::DriftKind::Modified | api::DriftKind::DescriptionChanged | api::DriftKind::TagChanged) => {
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
