//! Whole lives of a group: manifests that change, references that come and go, intruders, and a process that dies now and then.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use sgwarden::core::model::{Atom, LiveRule};
use sgwarden::core::plan::{Report, Restraint, Step, What, plan_deletion, plan_deletion_of_cycle, plan_reverts};

use crate::history::{World, desired, drift};
use crate::worlds::{ALL, Change, Edit, Known, cases, change, few, known, manifest, rule_edit};

/// A stretch of a life.
#[derive(Clone, Debug)]
struct Epoch {
    changes: Vec<Change>,
    known: Known,
    edits: Vec<Edit>,
    /// The process dies before it has come this far in its plan.
    crash: Option<Index>,
}

fn epoch() -> impl Strategy<Value = Epoch> {
    let changes = prop::collection::vec(change(), 0..=2);
    let edits = prop::collection::vec(rule_edit(), 0..=1);
    (changes, known(), edits, prop::option::weighted(0.3, any::<Index>())).prop_map(|(changes, known, edits, crash)| Epoch {
        changes,
        known,
        edits,
        crash,
    })
}

/// The rules that two looks at a group differ in.
fn touched(before: &World, after: &World) -> Vec<Atom> {
    let differs = |one: &World, other: &World| {
        let rows = one.cloud.rules.values().filter(|row| other.cloud.rules.get(&row.id) != Some(*row));
        rows.map(|row| row.atom.clone()).collect::<Vec<_>>()
    };
    [differs(before, after), differs(after, before)].concat()
}

/// The rules a report calls drifted. A pass that dies between describing a rule and writing that down, followed by another
/// description in the manifest, looks as if somebody had described it: status has room for one digest a rule, not for two.
fn drifted(report: &Report, died: bool) -> Vec<Atom> {
    let atoms = report.drifts().filter_map(|difference| match &difference.what {
        What::Missing { atom, declared: _, last_id: _ } => Some(atom.clone()),
        What::Description { live: _, declared: _ } if died => None,
        What::Extra { live, rule: _, was: _ }
        | What::Moved { live, atom: _, declared: _ }
        | What::Description { live, declared: _ } => Some(live.atom.clone()),
        What::GroupMissing { recorded: _ } | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    });
    atoms.collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn through_a_whole_life_only_what_an_intruder_touched_is_drift(first in manifest(), epochs in prop::collection::vec(epoch(), 1..=5)) {
        let mut world = World::settled(&first);
        let mut current = first.clone();
        let mut suspects = BTreeSet::new();
        let mut died = false;
        for epoch in &epochs {
            current = current.changed(&epoch.changes);
            let before = world.clone();
            world.edit_all(&epoch.edits);
            suspects.extend(touched(&before, &world));
            let desired = desired(&current, epoch.known);
            let report = match epoch.crash {
                Some(at) => {
                    let steps = at.index(world.plan(&desired).plan.steps.len() + 1);
                    world.crash(&desired, steps).report
                }
                None => world.pass(&desired).report,
            };
            let innocent: Vec<Atom> = drifted(&report, died).into_iter().filter(|atom| !suspects.contains(atom)).collect();
            died = epoch.crash.is_some();
            prop_assert!(innocent.is_empty(), "nobody touched {innocent:?}: {report:#?}");
        }
        let desired = desired(&current, ALL);
        world.pass(&desired);
        let left = world.plan(&desired).report;
        prop_assert!(left.differences.is_empty(), "{left:#?}");
        let live: BTreeSet<&Atom> = world.atoms().collect();
        prop_assert!(desired.rules.iter().map(|(atom, _)| atom).eq(live));
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn with_an_unusable_manifest_edits_are_reverted_and_nothing_else_is_done(
        first in manifest(),
        edits in prop::collection::vec(rule_edit(), 0..=4),
    ) {
        let mut world = World::settled(&first);
        let before: BTreeSet<Atom> = world.atoms().cloned().collect();
        world.edit_all(&edits);
        let observed = world.cloud.observe().unwrap();
        let (plan, report) = plan_reverts(&world.owner, &observed, world.vouched.as_ref(), None, "Created", &Restraint::default());
        for row in world.cloud.rules.values().filter(|row| before.contains(&row.atom)) {
            prop_assert!(!format!("{plan:?}").contains(&format!("live: LiveRule {{ id: {}", row.id)), "{row:?} is vouched for: {plan:#?}");
        }
        let told = drift(&report).len();
        world.cloud.apply_prefix(&plan, usize::MAX);
        let after: BTreeSet<Atom> = world.atoms().cloned().collect();
        prop_assert!(after.is_subset(&before), "undeclared rules are left: {after:?}");
        prop_assert!(told > 0 || plan.is_empty(), "what is reverted is told");
        let observed = world.cloud.observe().unwrap();
        let again = plan_reverts(&world.owner, &observed, world.vouched.as_ref(), None, "Created", &Restraint::default()).0;
        prop_assert!(again.is_empty(), "{again:#?}");
    }

    #[test]
    fn deletion_revokes_what_refers_to_the_group_itself_and_no_other_rule(first in manifest()) {
        let mut world = World::settled(&first);
        let observed = world.cloud.observe().unwrap();
        let own = format!(" {}", observed.group.id);
        prop_assert_eq!(plan_deletion(&observed).steps, [Step::DeleteGroup], "a group in use keeps every rule");
        let plan = plan_deletion_of_cycle(&observed, &BTreeSet::new());
        prop_assert_eq!(plan.steps.last(), Some(&Step::DeleteGroup));
        world.cloud.apply_prefix(&plan, plan.steps.len() - 1);
        let stay: Vec<LiveRule> = observed.rules.values().filter(|row| !row.atom.to_string().ends_with(&own)).cloned().collect();
        prop_assert_eq!(world.cloud.rules.values().cloned().collect::<Vec<_>>(), stay);
    }
}
