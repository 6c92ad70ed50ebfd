//! What people are told as Events: each thing once, when it becomes true.

use std::collections::BTreeSet;

use sgwarden::api::{Approved, Mode, SecurityGroupStatus, UndeclaredRules};
use sgwarden::core::model::Direction;
use sgwarden::core::status::{
    DeepView, Expiring, ListChange, Reason, Standing, Told, Wait, note_association_changes, note_list_changes, notices,
};

use crate::status::{More, SSH, Watched, failed, progressing};

/// A watched object, and all that was told of it.
struct Ear {
    watched: Watched,
    told: Vec<Told>,
}

impl Ear {
    fn new(mode: Mode) -> Self {
        Self { watched: Watched::new(mode), told: Vec::new() }
    }

    fn hear(&mut self, look: impl FnOnce(&mut Watched) -> SecurityGroupStatus) {
        let before = look(&mut self.watched);
        self.told.extend(notices(&before, &self.watched.status));
    }

    fn look(&mut self, standing: Standing) {
        self.hear(|watched| watched.look(standing));
    }

    /// What was told since it was last asked.
    fn reasons(&mut self) -> Vec<Reason> {
        std::mem::take(&mut self.told).into_iter().map(|told| told.reason).collect()
    }

    fn sentences(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told).into_iter().map(|told| format!("{}: {}", told.reason, told.note)).collect()
    }
}

#[test]
fn people_are_told_of_a_drift_once() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.intrude(SSH);
    ear.look(progressing());
    ear.watched.repair();
    ear.look(Standing::Done);
    ear.look(Standing::Done);
    let id = ear.watched.status.drift[0].id.clone();
    assert_eq!(
        ear.sentences(),
        [format!(
            "DriftReverted: Put right: somebody added ingress tcp 22 from 0.0.0.0/0 (opened tcp/22 to 4,294,967,296 addresses). Drift {id}"
        )]
    );
}

#[test]
fn people_are_told_of_a_reported_drift_and_of_a_new_failure_once() {
    let mut ear = Ear::new(Mode::Observe);
    ear.watched.intrude(SSH);
    for standing in [
        Standing::Done,
        Standing::Done,
        failed(Reason::Throttled),
        failed(Reason::Throttled),
        failed(Reason::PermissionDenied),
        Standing::Done,
    ] {
        ear.look(standing);
    }
    assert_eq!(ear.reasons(), [Reason::DriftReported, Reason::Throttled, Reason::PermissionDenied]);
}

#[test]
fn a_drift_that_is_left_alone_is_told_with_why() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.policy.undeclared = UndeclaredRules::Report;
    ear.watched.intrude(SSH);
    ear.look(Standing::Done);
    ear.look(Standing::Done);
    let id = ear.watched.status.drift[0].id.clone();
    let what = "DriftReported: Somebody added ingress tcp 22 from 0.0.0.0/0 (opened tcp/22 to 4,294,967,296 addresses)";
    assert_eq!(ear.sentences(), [format!("{what}; left alone (undeclaredRules: Report). Drift {id}")]);
    // Changes of prefix lists are their owner's.
    let change = ListChange { id: "pl-0a1b2c3d".parse().unwrap(), name: "corp".to_owned(), before: 3, after: 4 };
    let mut after = ear.watched.status.clone();
    after.drift = note_list_changes(&after.drift, &[change], ear.watched.tracking());
    let told = notices(&ear.watched.status, &after);
    assert!(told[0].note.contains("; what is in it is its owner's to say."), "{told:?}");
    assert_eq!(told.len(), 1);
}

#[test]
fn a_drift_that_never_got_put_right_is_told_when_that_is_given_up() {
    let observe: fn(&mut Watched) = |watched| watched.policy.mode = Mode::Observe;
    let suspend: fn(&mut Watched) = |watched| watched.suspend(60);
    let declare: fn(&mut Watched) = |watched| {
        let declared = watched.desired.rules.iter().next().unwrap().1.clone();
        watched.desired.rules.declare(SSH.parse().unwrap(), declared);
    };
    let give_up = [
        (observe, "left alone in mode Observe"),
        (suspend, "left alone while reverts are suspended"),
        (declare, "declared by now"),
    ];
    for (act, why) in give_up {
        let mut ear = Ear::new(Mode::Enforce);
        ear.watched.intrude(SSH);
        ear.look(failed(Reason::PermissionDenied));
        assert_eq!(ear.reasons(), [Reason::PermissionDenied], "the drift is told when it is put right");
        act(&mut ear.watched);
        ear.look(Standing::Done);
        let told = ear.sentences();
        assert!(told.iter().any(|told| told.starts_with("DriftReported") && told.contains(why)), "{why}: {told:?}");
        ear.look(Standing::Done);
        assert_eq!(ear.reasons(), []);
    }
}

#[test]
fn a_suspend_is_told_at_its_start_before_its_end_and_at_its_end() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.suspend(60);
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::Suspended]);
    ear.watched.intrude(SSH);
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::DriftReported]);
    ear.watched.wait(43 * 60);
    ear.look(Standing::Done);
    ear.look(Standing::Done);
    let told = ear.sentences();
    let [soon] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        soon.starts_with("SuspendEndsSoon: ")
            && soon.ends_with("reverted: added ingress tcp 22 from 0.0.0.0/0 (opened tcp/22 to 4,294,967,296 addresses)"),
        "{soon}"
    );
    // It is extended, and so not about to end.
    ear.watched.suspend(60);
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::Suspended]);
    ear.watched.wait(60 * 60);
    ear.look(progressing());
    let told = ear.sentences();
    assert_eq!(
        told,
        [
            "Resumed: The suspend is over, edits are reverted again; to be put right now: added ingress tcp 22 from 0.0.0.0/0 (opened tcp/22 to 4,294,967,296 addresses)"
        ]
    );
    ear.watched.repair();
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::DriftReverted]);
}

#[test]
fn a_short_suspend_is_told_at_once_with_its_end() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.suspend(10);
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::Suspended, Reason::SuspendEndsSoon]);
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), []);
}

#[test]
fn a_plan_that_waits_is_told_again_when_it_is_another_plan() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.declare_more();
    ear.hear(|watched| watched.look_waiting(Wait::Required));
    ear.hear(|watched| watched.look_waiting(Wait::Required));
    let [told] = ear.told.as_slice() else { panic!("{:?}", ear.told) };
    assert_eq!((told.reason, told.action.as_str()), (Reason::AwaitingApproval, "Approve-0123456789abcdef0123456789abcdef"));
    ear.told.clear();
    ear.hear(|watched| watched.look_waiting_for("ffff", Wait::Required));
    assert_eq!(ear.reasons(), [Reason::AwaitingApproval]);
    ear.hear(|watched| watched.look_waiting_for("ffff", Wait::MassChange("it changes much")));
    assert_eq!(ear.reasons(), [Reason::MassChange]);
}

#[test]
fn an_approval_is_told_with_who_gave_it() {
    let mut ear = Ear::new(Mode::Enforce);
    let approved = Approved { hash: Some("ffff".to_owned()), by: Some("ada".to_owned()), generation: None };
    let carry_out = |ear: &mut Ear| {
        ear.hear(|watched| watched.look_with(progressing(), More { approved: Some(approved.clone()), ..More::default() }));
        ear.look(failed(Reason::Progressing));
        ear.look(Standing::Done);
    };
    carry_out(&mut ear);
    assert_eq!(ear.sentences(), ["Approved: ada approved plan ffff; it is carried out now"]);
    carry_out(&mut ear);
    assert_eq!(ear.reasons(), [Reason::Approved], "the same plan, for another generation");
}

#[test]
fn an_end_is_told_a_day_before_and_when_it_comes() {
    let mut ear = Ear::new(Mode::Enforce);
    let expiring = Expiring::from([((Direction::Ingress, "https".parse().unwrap()), "2026-12-24T20:00:00Z".parse().unwrap())]);
    for _ in 0..2 {
        ear.hear(|watched| watched.look_with(Standing::Done, More { expiring: Some(&expiring), ..More::default() }));
    }
    let line = "ingress https at 2026-12-24T20:00:00Z";
    assert_eq!(ear.sentences(), [format!("ExpiresSoon: Ends within a day, and what it allows is closed then: {line}")]);
    ear.watched.wait(2 * 60 * 60);
    let expired = BTreeSet::from(["ingress https 2026-12-24T20:00:00Z".to_owned()]);
    for _ in 0..2 {
        let more = More { expired: Some(&expired), expiring: Some(&expiring), ..More::default() };
        ear.hear(|watched| watched.look_with(Standing::Done, more));
    }
    assert_eq!(ear.sentences(), [format!("Expired: Over, what it allowed is closed now: {line}")]);
}

#[test]
fn many_ends_are_told_in_one_sentence() {
    let mut ear = Ear::new(Mode::Enforce);
    let expired: BTreeSet<String> = (0..9).map(|rule| format!("ingress rule-{rule} 2026-12-24T18:00:00Z")).collect();
    ear.hear(|watched| watched.look_with(Standing::Done, More { expired: Some(&expired), ..More::default() }));
    let told = ear.sentences();
    assert!(told.len() == 1 && told[0].ends_with("ingress rule-4 at 2026-12-24T18:00:00Z; and 4 more"), "{told:?}");
}

#[test]
fn what_the_account_overrules_is_told_when_it_is_new() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.overruled = vec!["account prod does not allow enforcement.mode Observe: Enforce is in effect".to_owned()];
    ear.look(Standing::Done);
    ear.look(failed(Reason::Throttled));
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::PolicyLimited, Reason::Throttled]);
    ear.watched.overruled.push("account prod does not allow enforcement.suspend: nothing is suspended".to_owned());
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::PolicyLimited]);
}

#[test]
fn a_war_is_not_told_off_the_status() {
    let mut ear = Ear::new(Mode::Enforce);
    for _ in 0..3 {
        ear.watched.intrude(SSH);
        ear.hear(|watched| watched.look_with(progressing(), More { war: Some(SSH), ..More::default() }));
        ear.watched.repair();
        ear.hear(|watched| watched.look_with(Standing::Done, More { war: Some(SSH), ..More::default() }));
    }
    let told = ear.reasons();
    assert_eq!(told.iter().filter(|reason| **reason == Reason::RevertWar).count(), 0, "{told:?}");
}

#[test]
fn what_references_wait_for_is_told_once_also_when_edits_are_reverted_meanwhile() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.watched.desired.held.insert((Direction::Ingress, "db".parse().unwrap()), "there is no such group".to_owned());
    ear.look(Standing::Done);
    assert_eq!(ear.sentences(), ["ReferencesNotReady: ingress rule db waits: there is no such group"]);
    ear.watched.intrude(SSH);
    ear.hear(|watched| watched.look_with(progressing(), More { blind: true, ..More::default() }));
    ear.watched.repair();
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::DriftReverted]);
    let why = ear.watched.desired.held.pop_first().unwrap().1;
    ear.watched.desired.refused.insert((Direction::Ingress, "db".parse().unwrap()), why);
    ear.look(Standing::Done);
    assert_eq!(ear.reasons(), [Reason::ReferenceNotGranted]);
    ear.watched.desired.refused.clear();
    let moved = ["prefix list corp is pl-2 by now".to_owned()];
    for _ in 0..2 {
        ear.hear(|watched| watched.look_with(Standing::Done, More { moved: &moved, ..More::default() }));
    }
    assert_eq!(ear.reasons(), [Reason::NameMoved]);
}

#[test]
fn a_rule_that_goes_stale_is_told_once() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.look(Standing::Done);
    ear.reasons();
    let rules = ["ingress tcp 5432 from sg-0a1b2c3d", "ingress tcp 5433 from sg-0a1b2c3d"].map(str::to_owned);
    let stale = |rules: &[String]| DeepView { associations: None, stale: Some(rules.to_vec()) };
    let (one, both, none) = (stale(&rules[..1]), stale(&rules), stale(&[]));
    let mut look = |deep: &DeepView| {
        ear.hear(|watched| watched.look_with(Standing::Done, More { deep: Some(deep), ..More::default() }));
        ear.sentences()
    };
    let told = look(&one);
    assert!(told.len() == 1 && told[0].starts_with("StaleRule: ") && told[0].ends_with(": ingress tcp 5432 from sg-0a1b2c3d"));
    assert_eq!(look(&one), [""; 0]);
    let told = look(&both);
    assert!(told.len() == 1 && told[0].ends_with(": ingress tcp 5433 from sg-0a1b2c3d"), "{told:?}");
    assert_eq!(look(&none), [""; 0]);
    assert_eq!(look(&one).len(), 1, "it was in force again meanwhile");
    assert_eq!(ear.watched.status.stale_rules, rules[..1]);
    ear.look(Standing::Done);
    assert_eq!(ear.watched.status.stale_rules, rules[..1], "kept by a pass that does not know");
}

#[test]
fn a_vpc_association_is_told_as_watched_only() {
    let mut ear = Ear::new(Mode::Enforce);
    ear.look(Standing::Done);
    let now = ["vpc-0b1b2c3d associated".to_owned()];
    let records = note_association_changes(&[], &[], &now, ear.watched.tracking());
    let after = SecurityGroupStatus { drift: records, ..ear.watched.status.clone() };
    let told = notices(&ear.watched.status, &after);
    let id = &after.drift[0].id;
    let note = format!("Somebody added association with vpc-0b1b2c3d (associated); VPC associations are only watched. Drift {id}");
    assert_eq!(
        told.iter().map(|told| (told.reason, told.note.as_str())).collect::<Vec<_>>(),
        [(Reason::DriftReported, note.as_str())]
    );
}
