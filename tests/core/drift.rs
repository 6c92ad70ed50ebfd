//! Drift is told from change: a table over who did what, row by row, against what a report says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use sgwarden::core::model::{Atom, LiveRule, RuleId};
use sgwarden::core::plan::What;

use crate::history::{World, desired, drift};
use crate::worlds::{ALL, cases, change, few, manifest, rule_edit};

/// The drift that an intruder made, from the rows before and after the edits and from what the manifest says by then.
fn expected(
    before: &BTreeMap<RuleId, LiveRule>,
    after: &BTreeMap<RuleId, LiveRule>,
    wanted: &BTreeMap<Atom, Option<String>>,
) -> BTreeSet<String> {
    let mut drift = BTreeSet::new();
    let live: BTreeMap<&Atom, &LiveRule> = after.values().map(|row| (&row.atom, row)).collect();
    let vouched: BTreeMap<&Atom, &LiveRule> = before.values().map(|row| (&row.atom, row)).collect();
    let mut restored = BTreeSet::new();
    for row in after.values() {
        let was = before.get(&row.id).filter(|was| was.atom != row.atom);
        if wanted.contains_key(&row.atom) || vouched.contains_key(&row.atom) {
            // Whoever put it there, it is declared, or it was: nothing was added that we did not vouch for. A row of ours
            // that became another one of ours is somebody's edit, and set back, if its own place is wanted and empty.
            let moved = was
                .filter(|was| !wanted.contains_key(&row.atom) && wanted.contains_key(&was.atom) && !live.contains_key(&was.atom));
            if let Some(was) = moved {
                restored.insert(&was.atom);
                drift.insert(format!("Modified: {} {} to {}", row.id, row.atom, was.atom));
            }
            continue;
        }
        match was {
            Some(was) if wanted.contains_key(&was.atom) && !live.contains_key(&was.atom) => {
                restored.insert(&was.atom);
                drift.insert(format!("Modified: {} {} to {}", row.id, row.atom, was.atom));
            }
            Some(_) => drop(drift.insert(format!("Modified: {} {}", row.id, row.atom))),
            None => drop(drift.insert(format!("Added: {} {}", row.id, row.atom))),
        }
    }
    for atom in wanted.keys() {
        if vouched.contains_key(atom) && !live.contains_key(atom) && !restored.contains(atom) {
            drift.insert(format!("Removed: {atom}"));
        }
    }
    for (atom, text) in wanted {
        let (Some(row), Some(known)) = (live.get(atom), vouched.get(atom)) else { continue };
        if row.description != *text && row.description != known.description {
            drift.insert(format!("DescriptionChanged: {} {atom}", row.id));
        }
    }
    drift
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn drift_is_what_the_intruder_did_and_change_is_what_the_manifest_did(
        first in manifest(),
        edits in prop::collection::vec(rule_edit(), 0..=4),
        changes in prop::collection::vec(change(), 0..=3),
    ) {
        let mut world = World::settled(&first);
        let before = world.cloud.rules.clone();
        world.edit_all(&edits);
        let desired = desired(&first.changed(&changes), ALL);
        let report = world.plan(&desired).report;
        let wanted = desired.rules.iter().map(|(atom, declared)| (atom.clone(), declared.description.clone())).collect();
        let told: BTreeSet<String> = drift(&report).into_iter().collect();
        prop_assert_eq!(told, expected(&before, &world.cloud.rules, &wanted), "{:#?}", report);
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn without_edits_everything_is_a_change_and_without_changes_everything_is_drift(
        first in manifest(),
        edits in prop::collection::vec(rule_edit(), 1..=4),
        changes in prop::collection::vec(change(), 1..=3),
    ) {
        let settled = World::settled(&first);
        let mut edited = settled.clone();
        edited.edit_all(&edits);
        let report = edited.plan(&desired(&first, ALL)).report;
        prop_assert_eq!(drift(&report).len(), report.differences.len(), "only an intruder was here: {:#?}", report);
        let report = settled.plan(&desired(&first.changed(&changes), ALL)).report;
        prop_assert_eq!(drift(&report), Vec::<String>::new(), "only the manifest changed");
    }

    #[test]
    fn without_a_baseline_nothing_is_called_drift(
        first in manifest(),
        edits in prop::collection::vec(rule_edit(), 0..=4),
        changes in prop::collection::vec(change(), 0..=3),
    ) {
        let mut world = World::settled(&first);
        world.edit_all(&edits);
        world.vouched = None;
        world.applied = None;
        let report = world.plan(&desired(&first.changed(&changes), ALL)).report;
        prop_assert_eq!(drift(&report), Vec::<String>::new());
        let moves = report.differences.iter().any(|difference| matches!(difference.what, What::Moved { live: _, atom: _, declared: _ }));
        prop_assert!(!moves, "no row is known by its id");
    }
}
