//! The last look at a plan finds what is wrong with it: sound plans are spoilt here, each in one way.

use sgwarden::core::desired::{Approval, Toleration, UndeclaredRules};
use sgwarden::core::model::{Direction, LiveRule};
use sgwarden::core::plan::{Fault, Plan, Purpose, Step, TAG_CLUSTER, check};

use crate::history::World;
use crate::scenario::Scenario;

/// A rule comes, one goes for it, and somebody added a third.
const CHANGE: &str = "
title: The group of these tests.
spec:
  vpc: {id: vpc-0a1b2c3d}
  egressPolicy: DenyAll
  ingress:
    - {name: https, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
    - {name: admin, protocol: tcp, ports: [22], from: [{cidr: 10.0.0.0/16}]}
group:
  rules:
    - 1 ingress tcp 443 from 0.0.0.0/0
    - 2 ingress tcp 22 from 10.0.0.0/8
    - 9 ingress tcp 3389 from 0.0.0.0/0
status:
  recorded: sg-0000000000000aaaa
  rules:
    - 1 https ingress tcp 443 from 0.0.0.0/0
    - 2 old ingress tcp 22 from 10.0.0.0/8
";

/// Its plan: revert, authorize, await, settle, replace.
const REVERT: usize = 0;
const AUTHORIZE: usize = 1;
const SETTLE: usize = 3;
const REPLACE: usize = 4;

/// Makes a plan in one world, spoils both, and looks.
fn faults(spoil: impl FnOnce(&mut World, &mut Plan)) -> Vec<Fault> {
    let scenario = Scenario::read(CHANGE);
    let mut world = scenario.world();
    let desired = scenario.desired(world.cloud.group.as_ref());
    let mut plan = world.plan(&desired).plan;
    assert_eq!(plan.steps.len(), 5, "{plan:#?}");
    spoil(&mut world, &mut plan);
    world.with_input(&desired, |input| check(input, &plan))
}

/// The rules that a step revokes.
fn revoked(step: &mut Step) -> &mut Vec<sgwarden::core::plan::Revocation> {
    let Step::Revoke { direction: _, purpose: _, rules } = step else { panic!("{step:?}") };
    rules
}

/// The rules that a step authorizes.
fn authorized(step: &mut Step) -> &mut Vec<sgwarden::core::plan::Authorization> {
    let Step::Authorize { direction: _, rules } = step else { panic!("{step:?}") };
    rules
}

fn row(world: &World, text: &str) -> LiveRule {
    world.cloud.rules.values().find(|row| row.atom.to_string() == text).unwrap().clone()
}

#[test]
fn a_sound_plan_has_no_fault() {
    assert_eq!(faults(|_, _| ()), []);
}

#[test]
fn a_group_that_is_not_ours_is_not_written_to() {
    let found = faults(|world, _| drop(world.cloud.tags().insert(TAG_CLUSTER.to_owned(), "c2".to_owned())));
    assert!(matches!(found.first(), Some(Fault::NotOurs { step: 0 })), "{found:?}");
    let found = faults(|_, plan| plan.group = Some("sg-0000000000000bbbb".parse().unwrap()));
    assert!(matches!(found.first(), Some(Fault::NotOurs { step: 0 })), "{found:?}");
}

#[test]
fn a_row_that_is_not_live_as_planned_is_found() {
    let found = faults(|world, _| {
        let row = row(world, "ingress tcp 3389 from 0.0.0.0/0");
        world.cloud.modify(&[(&row.id, &"ingress tcp 3390 from 0.0.0.0/0".parse().unwrap(), None)]).unwrap();
    });
    assert_eq!(found, [Fault::NotLive { step: REVERT, rule: "sgr-00000000000000009".to_owned() }]);
}

#[test]
fn what_is_declared_is_not_revoked() {
    let found = faults(|world, plan| revoked(&mut plan.steps[REVERT])[0].live = row(world, "ingress tcp 443 from 0.0.0.0/0"));
    assert_eq!(found, [Fault::RevokesDesired { step: REVERT, atom: "ingress tcp 443 from 0.0.0.0/0".to_owned() }]);
}

#[test]
fn what_nobody_declared_or_what_is_live_is_not_brought_about() {
    for atom in ["ingress tcp 23 from 0.0.0.0/0", "ingress tcp 443 from 0.0.0.0/0"] {
        let found = faults(|_, plan| authorized(&mut plan.steps[AUTHORIZE])[0].new.atom = atom.parse().unwrap());
        assert_eq!(found.first(), Some(&Fault::BringsUndesired { step: AUTHORIZE, atom: atom.to_owned() }), "{found:?}");
    }
}

#[test]
fn nothing_is_done_twice() {
    let found = faults(|_, plan| plan.steps.push(plan.steps[REVERT].clone()));
    assert_eq!(found, [Fault::Repeats { step: 5, what: "sgr-00000000000000009".to_owned() }]);
    let found = faults(|_, plan| plan.steps.insert(AUTHORIZE, plan.steps[AUTHORIZE].clone()));
    assert!(found.iter().any(|fault| matches!(fault, Fault::Repeats { step: 2, what: _ })), "{found:?}");
}

#[test]
fn a_call_that_ec2_would_not_take_is_found() {
    let malformed = |found: &[Fault]| assert!(found.iter().any(|fault| matches!(fault, Fault::Malformed { step: _ })), "{found:?}");
    malformed(&faults(|_, plan| revoked(&mut plan.steps[REVERT]).clear()));
    malformed(&faults(|_, plan| {
        let rules = revoked(&mut plan.steps[REVERT]).clone();
        plan.steps[REVERT] = Step::Revoke { direction: Direction::Egress, purpose: Purpose::Revert, rules };
    }));
    malformed(&faults(|_, plan| {
        let rules = authorized(&mut plan.steps[AUTHORIZE]).clone();
        plan.steps[AUTHORIZE] = Step::Authorize { direction: Direction::Egress, rules };
    }));
}

#[test]
fn what_is_replaced_does_not_go_before_its_successor_is_in_force() {
    let early = |found: &[Fault], at| {
        assert_eq!(found, [Fault::TooEarly { step: at, atom: "ingress tcp 22 from 10.0.0.0/8".to_owned() }]);
    };
    early(&faults(|_, plan| drop(plan.steps.remove(SETTLE))), REPLACE - 1);
    early(&faults(|_, plan| plan.steps.swap(AUTHORIZE, REPLACE)), AUTHORIZE);
    // At the quota a plan may say that it cuts, but has to say it.
    let named = faults(|_, plan| {
        plan.steps.remove(SETTLE);
        plan.cuts.push("ingress tcp 22 from 10.0.0.0/8".parse().unwrap());
    });
    assert_eq!(named, []);
}

#[test]
fn what_is_held_back_is_not_done() {
    let forbidden = |spoil: &dyn Fn(&mut World), at: &[usize]| {
        let found = faults(|world, _| spoil(world));
        let steps: Vec<usize> = found
            .iter()
            .map(|fault| match fault {
                Fault::Forbidden { step, what: _ } => *step,
                Fault::NotOurs { .. }
                | Fault::NotLive { .. }
                | Fault::RevokesDesired { .. }
                | Fault::BringsUndesired { .. }
                | Fault::Repeats { .. }
                | Fault::Malformed { .. }
                | Fault::TooEarly { .. } => panic!("{fault}"),
            })
            .collect();
        assert_eq!(steps, at, "{found:?}");
    };
    forbidden(&|world| world.restraint.policy.suspended = true, &[REVERT]);
    forbidden(&|world| world.restraint.policy.undeclared = UndeclaredRules::Report, &[REVERT]);
    forbidden(&|world| world.restraint.policy.undeclared = UndeclaredRules::Keep, &[REVERT]);
    let tolerated = Toleration {
        direction: Direction::Ingress,
        peer: None,
        traffic: vec!["tcp 3389".parse().unwrap()],
        description_prefix: None,
    };
    forbidden(&move |world| world.restraint.policy.tolerate = vec![tolerated.clone()], &[REVERT]);
    forbidden(&|world| world.restraint.policy.approval = Approval::Required, &[AUTHORIZE, REPLACE]);
    forbidden(&|world| world.restraint.wait = Some("a mass change".to_owned()), &[AUTHORIZE, REPLACE]);
    forbidden(&|world| world.restraint.removals_left = Some(0), &[REPLACE]);
}
