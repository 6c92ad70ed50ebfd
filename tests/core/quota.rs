//! A group at its quota: EC2 takes no rule too many, and desired traffic is not cut for it.

use proptest::prelude::*;
use proptest::sample::Index;

use sgwarden::core::desired::Desired;
use sgwarden::core::model::{Atom, Direction, Weight};
use sgwarden::core::plan::{Cause, Held, Plan, Purpose, Step};

use crate::cloud::Cloud;
use crate::history::{Pass, Story, World, desired, drift, story};
use crate::judge::{behind, lag, must, sanctioned, walk};
use crate::worlds::{ALL, cases, few, manifest, nothing, oracle, rule_edit, weights};

/// How many rules a manifest takes of the fullest direction and family.
fn needed(desired: &Desired) -> u32 {
    let mut full = Cloud::empty(&[]);
    full.weights = weights();
    for (atom, _) in desired.rules.iter() {
        full.authorize(atom, None).unwrap();
    }
    full.fullest()
}

/// What was desired at the story's beginning.
fn at_first(story: &Story) -> Desired {
    desired(&story.first, ALL)
}

/// The story's end in a group with hardly any room, if any.
fn crowded(story: &Story, slack: u32) -> (World, Desired) {
    let (mut world, desired) = story.play();
    world.cloud.weights = weights();
    // What was live before somebody edited it did fit.
    let before = needed(&at_first(story));
    let limit = world.cloud.fullest().max(needed(&desired)).max(before) + slack;
    world.cloud.limit = Some(limit);
    world.restraint.rules_per_group = limit;
    // EC2 has its say: only then are estimates more than that.
    let mut tried = world.clone();
    world.restraint.quota_refused = carry_out(&mut tried, &desired).1.is_some();
    (world, desired)
}

/// Does a plan until EC2 refuses, as the engine does; the other direction goes on.
fn carry_out(world: &mut World, desired: &Desired) -> (Pass, Option<String>) {
    let pass = world.plan(desired);
    let mut refused: Vec<(Direction, String)> = Vec::new();
    world.crash(desired, 0);
    for step in &pass.plan.steps {
        let stopped = step.direction().is_some_and(|direction| refused.iter().any(|(stopped, _)| *stopped == direction));
        let revert = matches!(step, Step::Revoke { direction: _, purpose: Purpose::Revert, rules: _ });
        if stopped && !revert {
            continue;
        }
        if let Err(refusal) = world.cloud.apply(step) {
            assert!(refusal.starts_with("RulesPerSecurityGroupLimitExceeded"), "{refusal}: {:#?}", pass.plan);
            refused.push((step.direction().unwrap(), refusal));
        }
    }
    let refusal = refused.into_iter().next().map(|(_, refusal)| refusal);
    if refusal.is_none() {
        let settled = world.plan(desired).report.is_settled() && desired.held.is_empty();
        world.look(desired, settled);
    } else {
        world.look(desired, false);
    }
    (pass, refusal)
}

/// The steps before the first that EC2 refuses, and whether it refuses one.
fn until_refused(world: &World, plan: Plan) -> (Plan, bool) {
    let mut cloud = world.cloud.clone();
    match plan.steps.iter().position(|step| cloud.apply(step).is_err()) {
        Some(at) => (Plan { steps: plan.steps.iter().take(at).cloned().collect(), ..plan }, true),
        None => (plan, false),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn once_ec2_has_refused_no_step_is_refused_again_and_nothing_is_cut_that_is_not_named(
        story in story(),
        slack in 0_u32..=2,
        oracle in oracle(),
    ) {
        let (world, desired) = crowded(&story, slack);
        let Pass { plan, report } = world.plan(&desired);
        let must = must(&world, &report, &desired, &oracle);
        walk(&world, &plan, &must, &oracle)?;
        let must = sanctioned(&world, &desired, &oracle).and(&oracle.reach(desired.rules.iter().map(|(atom, _)| atom)));
        lag(&world, world.clone(), &plan, &must, &oracle)?;
    }

    #[test]
    fn a_full_group_gets_there_in_a_few_passes(story in story(), slack in 0_u32..=2) {
        let (mut world, desired) = crowded(&story, slack);
        for pass in 0.. {
            let (done, refusal) = carry_out(&mut world, &desired);
            world.restraint.quota_refused |= refusal.is_some();
            if refusal.is_none() && world.plan(&desired).plan.is_empty() {
                break;
            }
            prop_assert!(pass < 3, "{refusal:?} after {done:#?}");
        }
        let remaining = world.plan(&desired).report;
        // Rows that wait for a reference take up room.
        let waits = remaining.differences.iter().any(|difference| matches!(difference.held, Some(Held::Reference(_))));
        let fits = |held: &Held| matches!(held, Held::Reference(_)) || (waits && *held == Held::Quota);
        prop_assert!(remaining.differences.iter().all(|difference| difference.held.as_ref().is_some_and(fits)), "{remaining:#?}");
    }

    #[test]
    fn a_crash_at_the_quota_makes_no_drift_and_shortens_no_wait(
        story in story(),
        slack in 0_u32..=2,
        at in any::<Index>(),
        oracle in oracle(),
    ) {
        let (mut world, desired) = crowded(&story, slack);
        let before = world.plan(&desired);
        let steps = at.index(before.plan.steps.len() + 1);
        let (cuts, planned) = (before.plan.cuts, before.plan.steps);
        let must = sanctioned(&world, &desired, &oracle).and(&oracle.reach(desired.rules.iter().map(|(atom, _)| atom)));
        let must = must.minus(&oracle.reach(&cuts));
        let started = world.clone();
        world.crash(&desired, steps);
        // What came before the last wait is in force, the rest may not be.
        let settled = planned.iter().take(steps).rposition(|step| *step == Step::Settle).map_or(0, |at| at + 1);
        let mut in_force = started;
        in_force.cloud.apply_prefix(&Plan { steps: planned, ..Plan::default() }, settled);
        let in_force = behind(&in_force, &world);
        // Estimates only warn until EC2 has refused: what comes before a refusal is safe, and so is the plan that knows of it.
        let (tried, refused) = until_refused(&world, world.plan(&desired).plan);
        lag(&world, in_force.clone(), &tried, &must, &oracle)?;
        world.restraint.quota_refused |= refused;
        let Pass { plan, report } = world.plan(&desired);
        let known: Vec<String> = drift(&before.report);
        let invented: Vec<String> = drift(&report).into_iter().filter(|drift| !known.contains(drift)).collect();
        prop_assert!(invented.is_empty(), "{invented:?} after {steps} steps; now {plan:#?}");
        lag(&world, in_force, &plan, &must, &oracle)?;
    }

    #[test]
    fn where_there_is_room_the_quota_changes_nothing(story in story(), refused in any::<bool>()) {
        let (mut world, desired) = story.play();
        let before = world.plan(&desired);
        world.restraint.rules_per_group = 500;
        let roomy = world.plan(&desired);
        prop_assert_eq!(&before.plan, &roomy.plan);
        let early = roomy.plan.steps.iter().any(|step| matches!(step, Step::Revoke { direction: _, purpose: Purpose::Room, rules: _ }));
        prop_assert!(!early && roomy.report.over_quota.is_none());
        // EC2 said otherwise than what is known: only what is live is certain to fit.
        world.restraint.quota_refused = refused;
        world.cloud.limit = Some(world.cloud.fullest().max(needed(&desired)) + 40);
        world.pass(&desired);
        prop_assert!(world.plan(&desired).plan.is_empty());
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn a_set_that_cannot_fit_gets_its_reverts_and_nothing_else(
        next in manifest(),
        edits in prop::collection::vec(rule_edit(), 0..=2),
        missing in 1_u32..3,
    ) {
        let mut world = World::settled(&nothing());
        world.cloud.weights = weights();
        world.edit_all(&edits);
        let desired = desired(&next, ALL);
        let certain = |direction| {
            let atoms = desired.rules.iter().map(|(atom, _)| atom).filter(|atom: &&Atom| atom.direction == direction);
            atoms.fold(Weight::default(), |sum, atom| sum + Weight::certain(atom, &desired.weights))
        };
        let most = Direction::BOTH.into_iter().map(|direction| certain(direction).ipv4.max(certain(direction).ipv6)).max().unwrap();
        prop_assume!(most > missing && world.cloud.fullest() <= most - missing);
        world.restraint.rules_per_group = most - missing;
        let Pass { plan, report } = world.plan(&desired);
        let over = report.over_quota.expect("it cannot fit");
        prop_assert!(over.limit == most - missing && over.needed > over.limit, "{over}");
        for difference in &report.differences {
            let marks = difference.cause == Cause::Adoption;
            prop_assert!(difference.cause.is_drift() || difference.cause.closes() || marks || difference.held.is_some(), "{difference:#?}");
        }
        world.cloud.apply_prefix(&plan, usize::MAX);
    }
}

/// How many rules of a manifest are replaced, at the quota, and the calls it takes.
#[test]
fn thirty_of_sixty_rules_are_replaced_in_one_call() {
    // Both are in the goldens in full: here the number of rules and calls.
    let atoms = |from: u32| (from..from + 60).map(|net| format!("ingress tcp 443 from 10.0.{net}.0/24")).collect::<Vec<_>>();
    let mut world = World::of(Cloud::empty(&[]));
    world.cloud.limit = Some(60);
    let first = listed(&atoms(0));
    world.pass(&first);
    world.pass(&first);
    assert_eq!(world.atoms().count(), 60);
    let next = listed(&atoms(30));
    let Pass { plan, report: _ } = world.plan(&next);
    assert_eq!((plan.calls(), plan.cuts.len()), (1, 0), "{plan:#?}");
    world.pass(&next);
    assert!(world.plan(&next).report.differences.is_empty());
}

/// What is desired when a manifest lists just these.
fn listed(atoms: &[String]) -> Desired {
    let mut desired = desired(&nothing(), ALL);
    for atom in atoms {
        let declared = sgwarden::core::model::Declared {
            rule: "all".parse().unwrap(),
            description: None,
            justification: None,
            also: Vec::new(),
        };
        desired.rules.declare(atom.parse().unwrap(), declared);
    }
    desired
}
