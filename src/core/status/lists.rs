//! Prefix lists that rules use: what status remembers of them, and the drift records of what changed.
//!
//! Entry points: [`list_lines`] and [`recorded_lists`], the lines of `status.prefixLists`; [`note_list_changes`].

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{DriftAtom, DriftKind, DriftRecord, MAX_PREFIX_LISTS, SecurityGroupStatus};
use crate::core::model::{PrefixListId, PrefixListMark};

use super::drift::{Tracking, digest, digests, note, shown};

/// What a status says of the lists it took note of. Lines that are none, of a later version, are passed over.
pub fn recorded_lists(status: &SecurityGroupStatus) -> BTreeMap<PrefixListId, PrefixListMark> {
    status.prefix_lists.iter().filter_map(|line| read(line)).collect()
}

/// The lines for `status.prefixLists`.
pub fn list_lines(lists: &BTreeMap<PrefixListId, PrefixListMark>) -> Vec<String> {
    let line = |(id, mark): (&PrefixListId, &PrefixListMark)| {
        let PrefixListMark { version, entries } = mark;
        let version = version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        format!("{id} v{version} {entries}")
    };
    lists.iter().take(MAX_PREFIX_LISTS).map(line).collect()
}

fn read(line: &str) -> Option<(PrefixListId, PrefixListMark)> {
    let mut words = line.split(' ');
    let id = words.next()?.parse().ok()?;
    let version = match words.next()?.strip_prefix('v')? {
        "-" => None,
        number => Some(number.parse().ok()?),
    };
    let entries = words.next()?.parse().ok()?;
    Some((id, PrefixListMark { version, entries }))
}

/// A prefix list whose entries changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListChange {
    /// The list.
    pub id: PrefixListId,
    /// Its name.
    pub name: String,
    /// The version that was seen before.
    pub before: i64,
    /// The version it has.
    pub after: i64,
}

/// The records with changes of prefix lists that rules use. Whoever owns a list decides what is in it, so they are told and left
/// alone, each once: a change that was seen before a restart is known by its record.
pub fn note_list_changes(records: &[DriftRecord], changes: &[ListChange], with: Tracking<'_>) -> Vec<DriftRecord> {
    let known: BTreeSet<String> = records.iter().flat_map(digests).collect();
    let version = |change: &ListChange, version: i64| {
        let ListChange { id, name, before: _, after: _ } = change;
        Some(shown(&format!("prefix list {id} ({name}) version {version}")))
    };
    let atom = |change: &ListChange| DriftAtom {
        kind: DriftKind::PrefixListChanged.into(),
        before: version(change, change.before),
        after: version(change, change.after),
        rule_id: None,
        rule: None,
    };
    note(records, changes.iter().map(atom).filter(|atom| !known.contains(&digest(atom))).collect(), with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_back_as_they_were_written() {
        let id = |n: u32| format!("pl-{n:08x}").parse::<PrefixListId>().unwrap();
        let lists = BTreeMap::from([
            (id(1), PrefixListMark { version: Some(7), entries: 40 }),
            (id(2), PrefixListMark { version: None, entries: 55 }),
        ]);
        let mut status = SecurityGroupStatus { prefix_lists: list_lines(&lists), ..SecurityGroupStatus::default() };
        assert_eq!(status.prefix_lists, ["pl-00000001 v7 40", "pl-00000002 v- 55"]);
        assert_eq!(recorded_lists(&status), lists);
        for other in ["", "pl-00000003", "pl-00000003 v7", "pl-00000003 7 40", "pl-00000003 v7 x", "sg-00000003 v7 40"] {
            status.prefix_lists.push(other.to_owned());
        }
        assert_eq!(recorded_lists(&status), lists);
    }
}
