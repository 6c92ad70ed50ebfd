//! What holds of every plan, whatever happened before it.

use proptest::prelude::*;

use sgwarden::core::desired::{Declaration, DeclaredRule, Desired};
use sgwarden::core::model::{Atom, Tags, Vouched};
use sgwarden::core::plan::{Step, TAG_CLUSTER, TAG_ORIGIN, TAG_OWNER, TAG_UID, plan, render};

use crate::history::{Pass, World, desired, drift, story};
use crate::judge::{behind, held_rows, lag, must, sanctioned, walk};
use crate::worlds::{ALL, cases, change, few, lookups, manifest, oracle};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn one_pass_converges_and_a_second_one_changes_nothing(story in story()) {
        let (mut world, desired) = story.play();
        let report = world.pass(&desired).report;
        let Pass { plan: again, report: remaining } = world.plan(&desired);
        prop_assert!(again.is_empty(), "after one pass there is still to do: {again:#?}");
        prop_assert!(remaining.differences.iter().all(|difference| difference.held.is_some()), "{remaining:#?}");
        let held = held_rows(&report);
        let undeclared: Vec<&Atom> = world.atoms().filter(|atom| !desired.rules.contains(atom)).collect();
        let waits = |atom: &&Atom| held.iter().any(|row| row.atom == **atom);
        prop_assert!(undeclared.iter().all(waits), "neither declared nor held, and still there: {undeclared:?}");
        let lines = world.lines();
        prop_assert!(lines.is_some() || !desired.held.is_empty(), "one settled pass sets the baseline");
        world.pass(&desired);
        prop_assert_eq!(lines, world.lines());
    }

    #[test]
    fn after_every_step_what_was_allowed_and_is_desired_still_is(story in story(), oracle in oracle()) {
        let (world, desired) = story.play();
        let Pass { plan, report } = world.plan(&desired);
        let must = must(&world, &report, &desired, &oracle);
        walk(&world, &plan, &must, &oracle)?;
    }

    #[test]
    fn a_crash_anywhere_makes_no_drift_of_our_own_writes(story in story(), at in any::<prop::sample::Index>()) {
        let (mut world, desired) = story.play();
        let steps = at.index(world.plan(&desired).plan.steps.len() + 1);
        let before = world.crash(&desired, steps).report;
        let Pass { plan, report: after } = world.plan(&desired);
        let known = drift(&before);
        let invented: Vec<String> = drift(&after).into_iter().filter(|drift| !known.contains(drift)).collect();
        prop_assert!(invented.is_empty(), "{invented:?} after {steps} steps; now {plan:#?}");
        world.pass(&desired);
        prop_assert!(world.plan(&desired).plan.is_empty());
    }

    #[test]
    fn manifests_alone_never_make_drift(
        first in manifest(),
        edits in prop::collection::vec((prop::collection::vec(change(), 0..=3), any::<Option<prop::sample::Index>>(), any::<bool>()), 1..=4),
    ) {
        let mut world = World::settled(&first);
        let mut current = first.clone();
        for (changes, crash, back) in &edits {
            current = if *back { first.clone() } else { current.changed(changes) };
            let desired = desired(&current, ALL);
            if let Some(at) = crash {
                let steps = at.index(world.plan(&desired).plan.steps.len() + 1);
                world.crash(&desired, steps);
            }
            let Pass { plan, report } = world.pass(&desired);
            prop_assert_eq!(drift(&report), Vec::<String>::new(), "{:#?}", plan);
            let vouched: Vec<&Atom> = world.vouched.iter().flat_map(Vouched::iter).map(|(atom, _)| atom).collect();
            let declared: Vec<&Atom> = desired.rules.iter().map(|(atom, _)| atom).collect();
            prop_assert_eq!(vouched, declared, "what is neither desired nor live has left");
        }
    }

    #[test]
    fn nothing_rests_on_a_rule_that_is_not_in_force_yet(story in story(), oracle in oracle()) {
        let (world, desired) = story.play();
        let plan = world.plan(&desired).plan;
        // Drift gives nobody a right to stay connected; it is reverted without a wait.
        let must = sanctioned(&world, &desired, &oracle).and(&oracle.reach(desired.rules.iter().map(|(atom, _)| atom)));
        lag(&world, world.clone(), &plan, &must, &oracle)?;
    }

    #[test]
    fn a_crash_does_not_shorten_the_wait_for_what_was_written(story in story(), at in any::<prop::sample::Index>(), oracle in oracle()) {
        let (mut world, desired) = story.play();
        let must = sanctioned(&world, &desired, &oracle).and(&oracle.reach(desired.rules.iter().map(|(atom, _)| atom)));
        let planned = world.plan(&desired).plan.steps;
        let steps = at.index(planned.len() + 1);
        let in_force = world.clone();
        world.crash(&desired, steps);
        let settled = planned.iter().take(steps).any(|step| *step == Step::Settle);
        let in_force = if settled { world.clone() } else { behind(&in_force, &world) };
        let plan = world.plan(&desired).plan;
        lag(&world, in_force, &plan, &must, &oracle)?;
    }

    #[test]
    fn a_group_that_is_not_ours_is_never_touched(story in story(), tags in owner_tags(), recorded in any::<bool>()) {
        let (mut world, desired) = story.play();
        let cluster = tags.get(TAG_CLUSTER).map(|cluster| *cluster == world.owner.cluster);
        let object = tags.get(TAG_OWNER).map(|object| *object == world.owner.object());
        let ours = match (cluster, object) {
            (Some(true), Some(true)) => true,
            (Some(false), _) | (_, Some(false)) => false,
            (None, _) | (_, None) => recorded,
        };
        *world.cloud.tags() = tags;
        world.recorded = if recorded { world.cloud.group.as_ref().map(|group| group.id.clone()) } else { None };
        let Pass { plan, report } = world.plan(&desired);
        prop_assert!(ours || plan.is_empty(), "{plan:#?}");
        prop_assert!(ours || report.differences.is_empty(), "what is not ours is not compared: {report:#?}");
        prop_assert!(!ours || !plan.is_empty() || report.differences.iter().all(|difference| difference.held.is_some()));
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn rules_that_wait_for_a_reference_stay_to_the_end(story in story()) {
        let (mut world, desired) = story.play();
        let report = world.pass(&desired).report;
        for row in held_rows(&report) {
            prop_assert_eq!(world.cloud.rules.get(&row.id), Some(&row));
        }
    }

    #[test]
    fn planning_twice_gives_the_same_plan_to_the_byte(story in story()) {
        let (world, desired) = story.play();
        let print = || world.with_input(&desired, |input| {
            let (plan, report) = plan(input);
            (render(input, &plan, &report), format!("{plan:?} {report:?}"))
        });
        prop_assert_eq!(print(), print());
    }

    #[test]
    fn order_and_grouping_of_rules_do_not_matter(story in story(), keys in prop::collection::vec(any::<u64>(), 32)) {
        let (world, _) = story.play();
        let declaration = story.first.changed(&story.changes).declaration();
        let other = regrouped(&declaration, &keys);
        let (one, other) = (declaration.resolve(&lookups(story.known)), other.resolve(&lookups(story.known)));
        let atoms = |desired: &Desired| desired.rules.iter().map(|(atom, _)| atom.clone()).collect::<Vec<_>>();
        prop_assert_eq!(atoms(&one), atoms(&other));
        prop_assert_eq!(&one.held, &other.held);
        // Who owns what two rules declare is a matter of order, by design.
        if story.known == ALL && !repeats(&declaration) {
            prop_assert_eq!(world.plan(&one).plan, world.plan(&other).plan);
        }
    }
}

/// The same declared otherwise: a rule for each port range, rules and peers in another order.
fn regrouped(declaration: &Declaration, keys: &[u64]) -> Declaration {
    let mut next = declaration.clone();
    let split = |rule: &DeclaredRule| {
        let rule = rule.clone();
        rule.traffic.clone().into_iter().map(move |traffic| DeclaredRule { traffic: vec![traffic], ..rule.clone() })
    };
    next.rules = declaration.rules.iter().flat_map(split).collect();
    for rule in &mut next.rules {
        shuffle(&mut rule.peers, keys);
    }
    shuffle(&mut next.rules, keys);
    next
}

/// Whether anything is declared twice.
fn repeats(declaration: &Declaration) -> bool {
    let mut bare = declaration.clone();
    bare.egress_policy = None;
    let pairs: usize = bare.rules.iter().map(|rule| rule.peers.len() * rule.traffic.len()).sum();
    pairs != bare.resolve(&lookups(ALL)).rules.len()
}

fn shuffle<T>(items: &mut Vec<T>, keys: &[u64]) {
    let mut keyed: Vec<(u64, T)> = keys.iter().copied().cycle().zip(items.drain(..)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    items.extend(keyed.into_iter().map(|(_, item)| item));
}

fn owner_tags() -> impl Strategy<Value = Tags> {
    let tag = |key: &'static str, values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values)).prop_map(move |value| value.map(|value| (key.to_owned(), value.to_owned())))
    };
    let tags = (
        tag(TAG_CLUSTER, &["c1", "c1", "c2"]),
        tag(TAG_OWNER, &["shop/web", "shop/web", "shop/db"]),
        tag(TAG_UID, &["u1", "u0"]),
        tag(TAG_ORIGIN, &["Created", "Adopted"]),
        tag("team", &["x", "z"]),
    );
    tags.prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect())
}
