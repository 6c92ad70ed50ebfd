//! What policy, approval and limits hold back stays untouched, the rest is done, and desired traffic is never cut for it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use sgwarden::core::audit::{Edits, items};
use sgwarden::core::desired::{Approval, Desired, Policy, Toleration, UndeclaredRules};
use sgwarden::core::model::{Atom, Direction, LiveRule, RuleId, Vouched, VouchedRule};
use sgwarden::core::plan::{Cause, Difference, DriftKind, Held, Restraint, Step, What, pending};
use strum::IntoEnumIterator;

use crate::cloud::rule_id;
use crate::history::{Baseline, Pass, Story, World, desired, drift, story};
use crate::judge::{must, walk};
use crate::worlds::{ALL, Change, cases, change, few, manifest, oracle, rule_edit, tags, text, traffic};

fn toleration() -> impl Strategy<Value = Toleration> {
    let peer = select(["10.0.0.0/8", "0.0.0.0/0", "sg-0000000000000000e"].as_slice()).prop_map(|text| text.parse().unwrap());
    let both = (prop::option::of(peer), prop::collection::vec(traffic(), 0..=2), text());
    both.prop_map(|(peer, traffic, description_prefix)| Toleration {
        direction: Direction::Ingress,
        peer,
        traffic,
        description_prefix,
    })
}

fn restraint() -> impl Strategy<Value = Restraint> {
    let undeclared =
        select([UndeclaredRules::Revoke, UndeclaredRules::Revoke, UndeclaredRules::Report, UndeclaredRules::Keep].as_slice());
    let approval = select([Approval::Automatic, Approval::Required].as_slice());
    let suspended = prop::bool::weighted(0.2);
    let removals = prop::option::weighted(0.4, 0_usize..3);
    let parts = (undeclared, prop::collection::vec(toleration(), 0..=2), approval, suspended, removals, any::<bool>());
    parts.prop_map(|(undeclared, tolerate, approval, suspended, removals_left, suspend_ended)| Restraint {
        policy: Policy { undeclared, tolerate, approval, suspended, ..Policy::default() },
        removals_left,
        suspend_ended,
        ..Restraint::default()
    })
}

/// Suspended, and nothing else.
fn suspended() -> Restraint {
    Restraint { policy: Policy { suspended: true, ..Policy::default() }, ..Restraint::default() }
}

/// Every change waits.
fn waiting() -> Restraint {
    Restraint { policy: Policy { approval: Approval::Required, ..Policy::default() }, ..Restraint::default() }
}

/// The rows and atoms that the steps of a plan touch.
fn touched(steps: &[Step]) -> (BTreeSet<RuleId>, BTreeSet<Atom>) {
    let (mut rows, mut atoms) = (BTreeSet::new(), BTreeSet::new());
    for step in steps {
        match step {
            Step::Revoke { direction: _, purpose: _, rules } => rows.extend(rules.iter().map(|item| item.live.id.clone())),
            Step::Authorize { direction: _, rules } => atoms.extend(rules.iter().map(|item| item.new.atom.clone())),
            Step::Modify { direction: _, rules } => {
                rows.extend(rules.iter().map(|item| item.live.id.clone()));
                atoms.extend(rules.iter().map(|item| item.new.atom.clone()));
            }
            Step::Describe { direction: _, rules } => rows.extend(rules.iter().map(|item| item.live.id.clone())),
            Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::Settle => {}
        }
    }
    (rows, atoms)
}

/// Rows that are taken away, and why.
fn taken(steps: &[Step]) -> BTreeMap<RuleId, (Atom, Cause)> {
    let mut rows = BTreeMap::new();
    let mut take = |live: &LiveRule, cause: Cause| drop(rows.insert(live.id.clone(), (live.atom.clone(), cause)));
    for step in steps {
        match step {
            Step::Revoke { direction: _, purpose: _, rules } => rules.iter().for_each(|item| take(&item.live, item.cause)),
            Step::Modify { direction: _, rules } => rules.iter().for_each(|item| take(&item.live, item.cause)),
            Step::Authorize { direction: _, rules: _ }
            | Step::Describe { direction: _, rules: _ }
            | Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::Settle => {}
        }
    }
    rows
}

/// What a difference is about: a row, an atom that is missing, or both.
fn about(difference: &Difference) -> (Option<RuleId>, Option<Atom>) {
    match &difference.what {
        What::Missing { atom, declared: _, last_id: _ } => (None, Some(atom.clone())),
        What::Extra { live, rule: _, was: _ } | What::Description { live, declared: _ } => (Some(live.id.clone()), None),
        What::Moved { live, atom, declared: _ } => (Some(live.id.clone()), Some(atom.clone())),
        What::GroupMissing { recorded: _ } | What::Tag { key: _, live: _, declared: _, ownership: _ } => (None, None),
    }
}

/// A restrained story.
fn play(story: &Story, restraint: &Restraint) -> (World, Desired) {
    let (mut world, desired) = story.play();
    world.restraint = restraint.clone();
    (world, desired)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_is_held_back_is_not_touched_and_nothing_desired_is_cut(
        story in story(),
        restraint in restraint(),
        approved in any::<bool>(),
        oracle in oracle(),
    ) {
        let (mut world, desired) = play(&story, &restraint);
        world.restraint.approved = world.plan(&desired).report.approval.filter(|_| approved);
        for _ in 0..4 {
            let Pass { plan, report } = world.plan(&desired);
            let (rows, atoms) = touched(&plan.steps);
            for difference in report.differences.iter().filter(|difference| difference.held.is_some()) {
                let (row, atom) = about(difference);
                prop_assert!(row.is_none_or(|row| !rows.contains(&row)), "{difference:#?} in {plan:#?}");
                prop_assert!(atom.is_none_or(|atom| !atoms.contains(&atom)), "{difference:#?} in {plan:#?}");
            }
            let done = report.differences.iter().filter(|difference| difference.held.is_none());
            prop_assert!(done.count() == 0 || !plan.is_empty(), "{report:#?}");
            walk(&world, &plan, &must(&world, &report, &desired, &oracle), &oracle)?;
            world.pass(&desired);
            // An approval is spent on one pass.
            world.restraint.approved = None;
        }
    }

    #[test]
    fn a_suspended_plan_never_touches_drift_and_afterwards_it_is_drift_still(story in story()) {
        let story = Story { baseline: Baseline::Kept, ..story };
        let (mut world, desired) = play(&story, &Restraint::default());
        let before = drift(&world.plan(&desired).report);
        world.restraint = suspended();
        let Pass { plan, report } = world.pass(&desired);
        prop_assert!(report.drifts().all(|difference| difference.held == Some(Held::Suspended)), "{report:#?}");
        prop_assert!(world.plan(&desired).plan.is_empty(), "{plan:#?}");
        world.restraint = Restraint::default();
        prop_assert_eq!(&before, &drift(&world.plan(&desired).report));
        world.restraint.suspend_ended = true;
        let told = world.pass(&desired).report;
        prop_assert_eq!(before, drift(&told));
        prop_assert!(world.plan(&desired).plan.is_empty());
    }

    #[test]
    fn a_plan_that_waits_changes_nothing_and_reverts_everything(story in story()) {
        let (mut world, desired) = play(&story, &waiting());
        let Pass { plan, report } = world.plan(&desired);
        let reverts = |cause: Cause| cause.is_drift() || cause.closes();
        for item in plan.steps.iter().flat_map(|step| items(step, &Edits::default())) {
            let cause = Cause::iter().find(|cause| cause.to_string() == item.cause).unwrap();
            let marks = item.after.as_ref().is_some_and(|after| after.starts_with("sgwarden.dev/"));
            prop_assert!(reverts(cause) || marks, "{item:?}");
        }
        let changed = |difference: &Difference| difference.held == Some(Held::Approval);
        let waits: Vec<Difference> = report.differences.iter().filter(|difference| changed(difference)).cloned().collect();
        prop_assert_eq!(report.approval.is_some(), !waits.is_empty());
        world.pass(&desired);
        let after = world.plan(&desired);
        let unclear = |difference: &&Difference| difference.held.is_none();
        prop_assert_eq!(after.report.differences.iter().filter(unclear).count(), 0, "{:#?}", after.report);
        // Once it is approved, all of it is done, and what was to be done was known before.
        let whole = world.with_input(&desired, pending);
        world.restraint.approved.clone_from(&after.report.approval);
        let approved = world.pass(&desired);
        prop_assert_eq!(approved.plan.steps, whole.steps);
        world.restraint.approved = None;
        prop_assert!(world.plan(&desired).report.waiting().next().is_none(), "{:#?}", world.plan(&desired));
    }

    #[test]
    fn an_approved_plan_that_died_needs_no_second_approval(story in story(), at in any::<Index>()) {
        // A removal of what somebody put back under another id has to be asked for again: its line tells of the other row.
        let story = Story { edits: Vec::new(), baseline: Baseline::Kept, ..story };
        let (mut world, desired) = play(&story, &waiting());
        world.restraint.approved = world.plan(&desired).report.approval;
        let steps = at.index(world.plan(&desired).plan.steps.len() + 1);
        world.crash(&desired, steps);
        world.restraint.approved = None;
        let report = world.plan(&desired).report;
        let asked: Vec<&Difference> = report.waiting().collect();
        prop_assert!(asked.is_empty(), "{asked:#?}");
    }

    #[test]
    fn a_tag_that_was_begun_gets_the_value_that_was_approved_and_no_other(
        story in story(),
        at in any::<Index>(),
        next in tags(),
    ) {
        let story = Story { edits: Vec::new(), baseline: Baseline::Kept, ..story };
        let (mut world, first) = play(&story, &waiting());
        world.restraint.approved = world.plan(&first).report.approval;
        let approved = world.plan(&first);
        let steps = at.index(approved.plan.steps.len() + 1);
        world.crash(&first, steps);
        world.restraint.approved = None;
        let next = desired(&story.first.changed(&story.changes).changed(&[Change::Tags(next)]), story.known);
        for difference in &world.plan(&next).report.differences {
            let What::Tag { key, live: _, declared, ownership: false } = &difference.what else { continue };
            let same = |what: &What| matches!(what, What::Tag { key: of, live: _, declared: value, ownership: _ } if (of, value) == (key, declared));
            let begun = approved.report.differences.iter().any(|before| before.held.is_none() && same(&before.what));
            prop_assert_eq!(difference.held == Some(Held::Approval), !begun, "{:?}", difference);
        }
    }

    /// What a crash leaves begun is done with the one manifest that was approved: a rule that only the next one drops is asked for.
    #[test]
    fn what_was_approved_with_one_manifest_takes_away_nothing_more_with_the_next(
        story in story(),
        at in any::<Index>(),
        more in prop::collection::vec(change(), 1..=2),
    ) {
        let story = Story { edits: Vec::new(), baseline: Baseline::Kept, ..story };
        let (mut world, first) = play(&story, &waiting());
        world.restraint.approved = world.plan(&first).report.approval;
        let approved = world.plan(&first);
        let steps = at.index(approved.plan.steps.len() + 1);
        world.crash(&first, steps);
        world.restraint.approved = None;
        let (rows, atoms) = (taken(&approved.plan.steps), touched(&approved.plan.steps).1);
        let deferred: BTreeSet<RuleId> = approved.plan.deferred.iter().filter_map(|difference| about(difference).0).collect();
        let next = desired(&story.first.changed(&story.changes).changed(&more), story.known);
        for (row, (atom, cause)) in taken(&world.plan(&next).plan.steps) {
            let unasked = cause.is_drift() || cause.closes();
            prop_assert!(unasked || rows.contains_key(&row) || deferred.contains(&row) || atoms.contains(&atom), "{row} {atom} of {approved:#?}");
        }
    }

    #[test]
    fn removals_come_bit_by_bit_and_cut_nothing(story in story(), left in 1_usize..4, ask in any::<bool>(), oracle in oracle()) {
        let (mut world, desired) = play(&story, &if ask { waiting() } else { Restraint::default() });
        world.restraint.removals_left = Some(left);
        world.restraint.approved = world.plan(&desired).report.approval;
        for pass in 0.. {
            let Pass { plan, report } = world.plan(&desired);
            let removed = plan.steps.iter().flat_map(|step| items(step, &Edits::default())).filter(|item| {
                item.before.is_some() && item.rule_id.is_some() && item.before != item.after && item.cause != "Drift"
            });
            prop_assert!(removed.count() <= left, "{plan:#?}");
            walk(&world, &plan, &must(&world, &report, &desired, &oracle), &oracle)?;
            prop_assert!(pass < 40, "{plan:#?}");
            // A row that somebody made into a rule which goes has no line of its own to say that its removal was begun: it is asked
            // for once more.
            let asked_again = plan.is_empty() && report.approval.is_some() && !story.edits.is_empty();
            if plan.is_empty() && !asked_again {
                break;
            }
            world.pass(&desired);
            if story.baseline == Baseline::Kept && !asked_again {
                world.restraint.approved = None;
            } else {
                world.restraint.approved = world.plan(&desired).report.approval;
            }
        }
        let remaining = world.plan(&desired).report;
        let tag = |difference: &Difference| matches!(difference.what, What::Tag { key: _, live: _, declared: _, ownership: _ });
        let fine = |difference: &Difference| matches!(difference.held, Some(Held::Reference(_))) || (ask && tag(difference));
        prop_assert!(remaining.differences.iter().all(fine), "{remaining:#?}");
    }

    #[test]
    fn undeclared_rules_stay_where_they_are_to_and_nothing_else_does(
        first in manifest(),
        edits in prop::collection::vec(rule_edit(), 0..=4),
        changes in prop::collection::vec(change(), 0..=2),
        keep in any::<bool>(),
    ) {
        let mut world = World::settled(&first);
        let before: BTreeMap<RuleId, LiveRule> = world.cloud.rules.clone();
        let vouched: BTreeSet<Atom> = world.atoms().cloned().collect();
        world.edit_all(&edits);
        world.restraint.policy.undeclared = if keep { UndeclaredRules::Keep } else { UndeclaredRules::Report };
        let desired = desired(&first.changed(&changes), ALL);
        let wanted: BTreeSet<Atom> = desired.rules.iter().map(|(atom, _)| atom.clone()).collect();
        // What somebody put there, and is not a row of ours that somebody made into something else.
        let added = |row: &&LiveRule| {
            !wanted.contains(&row.atom) && !vouched.contains(&row.atom) && !before.contains_key(&row.id)
        };
        let stay: BTreeSet<Row> = world.cloud.rules.values().filter(added).map(Row::of).collect();
        let report = world.plan(&desired).report;
        let told = report.drifts().filter(|difference| difference.drift() == Some(DriftKind::Added)).count();
        prop_assert_eq!(told, if keep { 0 } else { stay.len() });
        world.pass(&desired);
        let undeclared: BTreeSet<Row> =
            world.cloud.rules.values().filter(|row| !wanted.contains(&row.atom)).map(Row::of).collect();
        prop_assert_eq!(undeclared, stay);
        prop_assert!(world.plan(&desired).report.is_settled());
        prop_assert!(wanted.iter().all(|atom| world.atoms().any(|live| live == atom)), "the declared ones are all there");
    }
}

/// A row in an order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row(RuleId, Atom);

impl Row {
    fn of(row: &LiveRule) -> Self {
        Self(row.id.clone(), row.atom.clone())
    }
}

/// The same world under other ids of rules.
fn renumbered(world: &World) -> World {
    let id = |id: &RuleId| {
        let number = u32::from_str_radix(id.as_str().strip_prefix("sgr-").unwrap(), 16).unwrap();
        rule_id(0x9000 - number)
    };
    let mut next = world.clone();
    let rows = world.cloud.rules.values().map(|row| LiveRule { id: id(&row.id), ..row.clone() });
    next.cloud.rules = rows.map(|row| (row.id.clone(), row)).collect();
    next.vouched = world.vouched.as_ref().map(|set| {
        let mut other = Vouched::default();
        for (atom, known) in set.iter() {
            other.insert(atom.clone(), VouchedRule { id: known.id.as_ref().map(id), ..known.clone() });
        }
        other
    });
    next
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn the_hash_of_a_plan_knows_no_ids(story in story()) {
        let (world, desired) = play(&story, &waiting());
        let other = renumbered(&world);
        prop_assert_eq!(world.plan(&desired).report.approval, other.plan(&desired).report.approval);
    }

    #[test]
    fn an_approval_outlives_drift_elsewhere_in_the_group(
        first in manifest(),
        changes in prop::collection::vec(change(), 1..=3),
        edits in prop::collection::vec(rule_edit(), 1..=3),
    ) {
        let mut world = World::settled(&first);
        world.restraint = waiting();
        let desired = desired(&first.changed(&changes), ALL);
        let Pass { plan: _, report } = world.plan(&desired);
        let changed: BTreeSet<Atom> = report.differences.iter().flat_map(|difference| {
            let (row, atom) = about(difference);
            let row = row.and_then(|row| world.cloud.rules.get(&row)).map(|row| row.atom.clone());
            row.into_iter().chain(atom)
        }).collect();
        let quiet = world.clone();
        for edit in &edits {
            let before = world.clone();
            world.edit(edit);
            // What somebody does to the very rules that change is another matter.
            let hit = |rules: &BTreeMap<RuleId, LiveRule>, others: &BTreeMap<RuleId, LiveRule>| {
                rules.values().filter(|row| others.get(&row.id) != Some(*row)).any(|row| changed.contains(&row.atom))
            };
            if hit(&before.cloud.rules, &world.cloud.rules) || hit(&world.cloud.rules, &before.cloud.rules) {
                world = before;
            }
        }
        prop_assert_eq!(&world.plan(&desired).report.approval, &report.approval);
        // Reverts go on, and leave the hash as it was.
        world.pass(&desired);
        prop_assert_eq!(&world.plan(&desired).report.approval, &report.approval);
        prop_assert_eq!(&quiet.plan(&desired).report.approval, &report.approval);
    }

    #[test]
    fn another_change_is_another_hash(
        first in manifest(),
        changes in prop::collection::vec(change(), 1..=3),
        more in prop::collection::vec(change(), 1..=2),
    ) {
        let mut world = World::settled(&first);
        world.restraint = waiting();
        let (one, other) = (desired(&first.changed(&changes), ALL), desired(&first.changed(&changes).changed(&more), ALL));
        let texts = |desired: &Desired| {
            desired.rules.iter().map(|(atom, declared)| (atom.clone(), declared.description.clone())).collect::<Vec<_>>()
        };
        let same = texts(&one) == texts(&other) && one.tags == other.tags;
        prop_assert_eq!(world.plan(&one).report.approval == world.plan(&other).report.approval, same);
    }

    #[test]
    fn an_edit_between_plan_and_approval_is_not_approved(story in story(), edit in rule_edit()) {
        let (mut world, desired) = play(&story, &waiting());
        world.restraint.approved = world.plan(&desired).report.approval;
        let asked = touched(&world.plan(&desired).plan.steps);
        world.edit(&edit);
        let Pass { plan, report } = world.plan(&desired);
        if report.approval == world.restraint.approved {
            let now = touched(&plan.steps);
            let reverts: BTreeSet<RuleId> = report.drifts().filter_map(|difference| about(difference).0).collect();
            let restored: BTreeSet<Atom> = report.drifts().filter_map(|difference| about(difference).1).collect();
            prop_assert!(now.0.iter().all(|row| asked.0.contains(row) || reverts.contains(row)), "{plan:#?}");
            let approved = |atom: &Atom| asked.1.contains(atom) || restored.contains(atom);
            let mut parted = report.differences.iter().filter_map(|difference| about(difference).1);
            prop_assert!(now.1.iter().all(|atom| approved(atom) || parted.any(|other| other == *atom)), "{plan:#?}");
        }
    }
}

/// Whoever swaps a rule for another by one edit, under any policy, gets neither in nor out.
#[test]
fn a_swap_by_an_intruder_is_undone_under_every_policy() {
    for undeclared in [UndeclaredRules::Revoke, UndeclaredRules::Report, UndeclaredRules::Keep] {
        let manifest = crate::worlds::nothing();
        let mut world = World::settled(&manifest);
        let mut desired = desired(&manifest, ALL);
        let declared = sgwarden::core::model::Declared {
            rule: "https".parse().unwrap(),
            description: None,
            justification: None,
            also: Vec::new(),
        };
        let atom: Atom = "ingress tcp 443 from 10.0.0.0/8".parse().unwrap();
        desired.rules.declare(atom.clone(), declared);
        world.restraint.policy.undeclared = undeclared;
        world.restraint.policy.tolerate = vec![Toleration {
            direction: Direction::Ingress,
            peer: None,
            traffic: vec!["tcp 22".parse().unwrap()],
            description_prefix: None,
        }];
        world.pass(&desired);
        let row = world.cloud.rules.values().next().unwrap().clone();
        world.cloud.modify(&[(&row.id, &"ingress tcp 22 from 10.0.0.0/8".parse().unwrap(), None)]).unwrap();
        world.pass(&desired);
        assert_eq!(world.cloud.rules.values().collect::<Vec<_>>(), [&row], "{undeclared:?}");
        assert_eq!(world.plan(&desired).report.differences, [], "{undeclared:?}");
    }
}
