//! Walks a plan over EC2 step by step and judges by the oracle what gets through after each.

use proptest::prelude::*;

use sgwarden::core::desired::Desired;
use sgwarden::core::model::{Atom, LiveRule};
use sgwarden::core::plan::{Difference, Held, Plan, Report, Step, What};

use crate::history::World;
use crate::oracle::{Oracle, Reach};

/// What must stay allowed: what is now and is desired. Where the desired rule is held back, nothing can be put in the place of
/// a rule that nobody declared, so there only what we vouch for counts; and what waits for approval keeps nothing open that
/// was to end.
pub(crate) fn must(world: &World, report: &Report, desired: &Desired, oracle: &Oracle) -> Reach {
    let held = |atom: &Atom, which: &dyn Fn(&Held) -> bool| {
        report.differences.iter().any(|difference| brings(difference) == Some(atom) && difference.held.as_ref().is_some_and(which))
    };
    let closing = report.differences.iter().any(|difference| difference.cause.closes() && difference.held.is_none());
    let reach = |keep: &dyn Fn(&Atom) -> bool| oracle.reach(desired.rules.iter().map(|(atom, _)| atom).filter(|atom| keep(atom)));
    let decided = reach(&|atom| !(closing && held(atom, &|held| *held == Held::Approval)));
    let at_once = reach(&|atom| !held(atom, &|_| true));
    oracle.reach(world.atoms()).and(&at_once).or(&sanctioned(world, desired, oracle).and(&decided))
}

fn brings(difference: &Difference) -> Option<&Atom> {
    match &difference.what {
        What::Missing { atom, declared: _, last_id: _ } | What::Moved { live: _, atom, declared: _ } => Some(atom),
        What::GroupMissing { recorded: _ }
        | What::Extra { live: _, rule: _, was: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    }
}

/// What rules let through that are declared, or were when we last looked.
pub(crate) fn sanctioned(world: &World, desired: &Desired, oracle: &Oracle) -> Reach {
    let known = |atom: &&Atom| desired.rules.contains(atom) || world.vouched.as_ref().is_none_or(|set| set.get(atom).is_some());
    oracle.reach(world.atoms().filter(known))
}

/// Rows that are held back and must not be touched.
pub(crate) fn held_rows(report: &Report) -> Vec<LiveRule> {
    let rows = report.differences.iter().filter_map(|difference| match &difference.what {
        What::Extra { live, rule: _, was: _ } if difference.held.is_some() => Some(live.clone()),
        What::GroupMissing { recorded: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Extra { live: _, rule: _, was: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    });
    rows.collect()
}

/// Walks a plan step by step and judges what gets through after each. What the plan says it cuts, it may.
pub(crate) fn walk(world: &World, plan: &Plan, must: &Reach, oracle: &Oracle) -> Result<(), TestCaseError> {
    let mut world = world.clone();
    let must = must.minus(&oracle.reach(&plan.cuts));
    for (done, step) in plan.steps.iter().enumerate() {
        world.cloud.apply(step).map_err(|refusal| TestCaseError::fail(format!("EC2 refuses {step:?}: {refusal}\n{plan:#?}")))?;
        let cut = must.minus(&oracle.reach(world.atoms()));
        prop_assert!(cut.is_empty(), "after step {done} of {plan:#?}\nthis is cut:\n{}", oracle.say(&cut));
    }
    Ok(())
}

/// What is in force of a group whose data plane lags: rows that went are gone, rows that changed have changed, new ones do not
/// count yet.
pub(crate) fn behind(in_force: &World, live: &World) -> World {
    let mut next = in_force.clone();
    next.cloud.rules.retain(|id, _| live.cloud.rules.contains_key(id));
    for (id, rule) in &mut next.cloud.rules {
        rule.clone_from(&live.cloud.rules[id]);
    }
    next
}

/// Walks a plan over a data plane that has caught up only once the plan has settled.
pub(crate) fn lag(world: &World, in_force: World, plan: &Plan, must: &Reach, oracle: &Oracle) -> Result<(), TestCaseError> {
    let (mut live, mut in_force) = (world.clone(), in_force);
    let must = must.minus(&oracle.reach(&plan.cuts));
    for step in &plan.steps {
        live.cloud.apply(step).unwrap();
        in_force = if *step == Step::Settle { live.clone() } else { behind(&in_force, &live) };
        let cut = must.minus(&oracle.reach(in_force.atoms()));
        prop_assert!(cut.is_empty(), "{plan:#?}\ncuts, at {step:?}, before it is in force:\n{}", oracle.say(&cut));
    }
    Ok(())
}
