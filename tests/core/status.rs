//! What an object's status says over several passes: drift records, conditions, and what people are told.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use strum::IntoEnumIterator;

use sgwarden::api::conditions::{DELETION_BLOCKED, DRIFTED, READY, RECONCILING, REFERENCES_RESOLVED, STALLED, SYNCED};
use sgwarden::api::{DriftRecord, MAX_DRIFT, MAX_DRIFT_ATOMS, Mode, SecurityGroupStatus};
use sgwarden::core::desired::{Declaration, Desired};
use sgwarden::core::model::{AccountId, Region};
use sgwarden::core::status::{Facts, Reason, Standing, Tracking, build, is_open, notices, track};

use crate::history::{Pass, World};
use crate::scenario::Scenario;

/// A group with one rule, as declared.
const SETTLED: &str = "
title: The group of these tests.
spec:
  vpc: {id: vpc-0a1b2c3d}
  egressPolicy: DenyAll
  ingress:
    - {name: https, description: Allow HTTPS, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
group:
  rules:
    - 1 ingress tcp 443 from 0.0.0.0/0 | Allow HTTPS
status:
  recorded: sg-0000000000000aaaa
  rules:
    - 1 https ingress tcp 443 from 0.0.0.0/0 | Allow HTTPS
";

/// An object under watch: its group, and the status of the last look.
pub(crate) struct Watched {
    pub(crate) world: World,
    pub(crate) declaration: Declaration,
    pub(crate) desired: Desired,
    pub(crate) status: SecurityGroupStatus,
    seconds: i64,
}

impl Watched {
    pub(crate) fn new(mode: Mode) -> Self {
        Self::of(SETTLED, mode)
    }

    pub(crate) fn of(scenario: &str, mode: Mode) -> Self {
        let scenario = Scenario::read(scenario);
        let world = scenario.world();
        let declaration = Declaration { mode, ..scenario.declaration() };
        let desired = declaration.resolve(&scenario.lookups(world.cloud.group.as_ref()));
        Self { world, declaration, desired, status: SecurityGroupStatus::default(), seconds: 0 }
    }

    /// Some seconds after six in the evening.
    fn now(&self) -> Timestamp {
        start().checked_add(jiff::SignedDuration::from_secs(self.seconds)).unwrap()
    }

    /// The records a look at the group leads to.
    fn records(&self) -> Vec<DriftRecord> {
        let report = self.world.plan(&self.desired).report;
        let with = Tracking { group: "sg-0000000000000aaaa", now: self.now(), mode: self.declaration.mode, trace_id: "trace" };
        track(&self.status.drift, &report, with)
    }

    /// The status after a look at the group, a minute after the last.
    pub(crate) fn look(&mut self, standing: Standing) -> SecurityGroupStatus {
        self.seconds += 60;
        let Pass { plan, report } = self.world.plan(&self.desired);
        let observed = self.world.cloud.observe();
        let (account, region): (AccountId, Region) = ("111122223333".parse().unwrap(), "eu-west-1".parse().unwrap());
        let before = self.status.clone();
        self.status = build(Facts {
            generation: 3,
            now: self.now(),
            previous: &before,
            declaration: Some(&self.declaration),
            place: Some((&account, &region)),
            desired: Some(&self.desired),
            observed: observed.as_ref(),
            remaining: Some((&plan, &report)),
            vouched: self.world.vouched.clone(),
            drift: self.records(),
            standing,
        });
        before
    }

    /// Somebody authorizes a rule.
    pub(crate) fn intrude(&mut self, atom: &str) {
        self.world.cloud.authorize(&atom.parse().unwrap(), None).unwrap();
    }

    /// A pass puts everything right.
    fn repair(&mut self) {
        let desired = self.desired.clone();
        self.world.pass(&desired);
    }

    fn resolutions(&self) -> Vec<(&str, bool)> {
        self.status.drift.iter().map(|record| (record.resolution.as_str(), is_open(record))).collect()
    }
}

fn start() -> Timestamp {
    "2026-12-24T18:00:00Z".parse().unwrap()
}

fn progressing() -> Standing {
    Standing::Progressing { doing: "changes are being made".to_owned() }
}

fn failed(reason: Reason) -> Standing {
    Standing::Failed { reason, message: "it did not work".to_owned(), seen: true }
}

/// `Ready=True/Succeeded`
fn says(status: &SecurityGroupStatus, kind: &str) -> String {
    let of = |condition: &Condition| format!("{}/{}", condition.status, condition.reason);
    status.conditions.iter().find(|condition| condition.type_ == kind).map_or_else(|| "absent".to_owned(), of)
}

#[test]
fn a_drift_is_pending_until_it_is_put_right_and_then_kept() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.intrude("ingress tcp 22 from 0.0.0.0/0");
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    let first = watched.status.drift[0].clone();
    assert_eq!(first.detected_at.as_deref(), Some("2026-12-24T18:01:00Z"));
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.drift, std::slice::from_ref(&first), "still the same drift");
    watched.repair();
    watched.look(Standing::Settled);
    assert_eq!(watched.resolutions(), [("Reverted", false)]);
    let reverted = watched.status.drift[0].clone();
    assert_eq!((reverted.id.as_str(), reverted.detected_at), (first.id.as_str(), first.detected_at));
    assert_eq!(reverted.resolved_at.as_deref(), Some("2026-12-24T18:03:00Z"));
    watched.look(Standing::Settled);
    assert_eq!(watched.resolutions(), [("Reverted", false)], "nothing new");
}

#[test]
fn the_same_edit_made_again_is_another_drift() {
    let mut watched = Watched::new(Mode::Enforce);
    for _ in 0..2 {
        watched.intrude("ingress tcp 22 from 0.0.0.0/0");
        watched.look(progressing());
        watched.repair();
        watched.look(Standing::Settled);
    }
    assert_eq!(watched.resolutions(), [("Reverted", false), ("Reverted", false)]);
    assert_ne!(watched.status.drift[0].id, watched.status.drift[1].id);
}

#[test]
fn in_observe_mode_a_drift_is_reported_until_whoever_made_it_takes_it_back() {
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude("ingress tcp 22 from 0.0.0.0/0");
    watched.look(Standing::Observing { differences: 1, held: vec![] });
    watched.look(Standing::Observing { differences: 1, held: vec![] });
    assert_eq!(watched.resolutions(), [("Reported", true)]);
    assert_eq!(says(&watched.status, DRIFTED), "True/DriftReported");
    let plan = watched.status.plan.as_ref().expect("what would be done is in status");
    assert_eq!(
        (plan.count, plan.steps.as_slice()),
        (Some(1), ["revoke ingress tcp 22 from 0.0.0.0/0 (Drift)".to_owned()].as_slice())
    );
    watched.repair();
    watched.look(Standing::Settled);
    assert_eq!(watched.resolutions(), [("Reported", false)]);
    assert_eq!(says(&watched.status, DRIFTED), "False/NoDrift");
    assert_eq!(watched.status.plan, None);
}

#[test]
fn a_drift_first_seen_in_observe_mode_is_pending_once_the_mode_is_enforce() {
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude("ingress tcp 22 from 0.0.0.0/0");
    watched.look(Standing::Observing { differences: 1, held: vec![] });
    watched.declaration.mode = Mode::Enforce;
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    watched.repair();
    watched.look(Standing::Settled);
    assert_eq!(watched.resolutions(), [("Reverted", false)]);
}

#[test]
fn a_record_lists_twenty_edits_and_counts_all() {
    let mut watched = Watched::new(Mode::Observe);
    (1..=25).for_each(|port| watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0")));
    watched.look(Standing::Observing { differences: 25, held: vec![] });
    watched.look(Standing::Observing { differences: 25, held: vec![] });
    let [record] = watched.status.drift.as_slice() else { panic!("one record: {:?}", watched.status.drift) };
    assert_eq!((record.atoms.len(), record.count), (MAX_DRIFT_ATOMS, 25));
    watched.intrude("egress udp 53 to 0.0.0.0/0");
    watched.look(Standing::Observing { differences: 26, held: vec![] });
    let newest = &watched.status.drift[0];
    assert!(newest.atoms.iter().any(|atom| atom.after.as_deref() == Some("egress udp 53 to 0.0.0.0/0")), "{newest:?}");
    assert_eq!(watched.status.drift.len(), 2);
}

#[test]
fn ten_records_are_kept_and_open_ones_outlive_resolved_ones() {
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude("ingress tcp 1 from 0.0.0.0/0");
    watched.look(Standing::Observing { differences: 1, held: vec![] });
    let oldest = watched.status.drift[0].id.clone();
    for _ in 0..15 {
        watched.intrude("ingress tcp 2 from 0.0.0.0/0");
        watched.look(Standing::Observing { differences: 2, held: vec![] });
        watched.world.cloud.rules.retain(|_, rule| rule.atom.to_string() != "ingress tcp 2 from 0.0.0.0/0");
        watched.look(Standing::Observing { differences: 1, held: vec![] });
    }
    assert_eq!(watched.status.drift.len(), MAX_DRIFT);
    let open: Vec<&str> = watched.status.drift.iter().filter(|record| is_open(record)).map(|record| record.id.as_str()).collect();
    assert_eq!(open, [oldest.as_str()]);
    let times: Vec<_> = watched.status.drift.iter().map(|record| record.detected_at.clone()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "newest first: {times:?}");
}

#[test]
fn each_standing_has_the_conditions_that_kstatus_reads() {
    let held = vec!["ingress rule db waits: there is no such group".to_owned()];
    let table = [
        (Standing::Settled, ["True/Succeeded", "True/Succeeded", "True/Succeeded", "absent", "absent", "absent"]),
        (
            Standing::Observing { differences: 1, held: vec![] },
            ["True/Observing", "False/Observing", "True/Succeeded", "absent", "absent", "absent"],
        ),
        (
            Standing::Waiting { held },
            [
                "False/ReferencesNotReady",
                "False/ReferencesNotReady",
                "False/ReferencesNotReady",
                "True/ReferencesNotReady",
                "absent",
                "absent",
            ],
        ),
        (failed(Reason::Throttled), ["False/Throttled", "False/Throttled", "*", "True/Throttled", "absent", "absent"]),
        (
            failed(Reason::QuotaExceeded),
            ["False/QuotaExceeded", "False/QuotaExceeded", "*", "absent", "True/QuotaExceeded", "absent"],
        ),
        (
            Standing::Failed { reason: Reason::InvalidSpec, message: "spec.vpc.id: no".to_owned(), seen: false },
            ["False/InvalidSpec", "Unknown/InvalidSpec", "*", "absent", "True/InvalidSpec", "absent"],
        ),
        (progressing(), ["False/Progressing", "False/Progressing", "*", "True/Progressing", "absent", "absent"]),
        (
            Standing::DeletionBlocked { message: "eni-1 uses it".to_owned() },
            ["False/InUse", "*", "*", "absent", "absent", "True/InUse"],
        ),
    ];
    for (standing, expected) in table {
        let mut watched = Watched::new(Mode::Enforce);
        watched.look(standing.clone());
        for (kind, expected) in
            [READY, SYNCED, REFERENCES_RESOLVED, RECONCILING, STALLED, DELETION_BLOCKED].into_iter().zip(expected)
        {
            assert!(
                expected == "*" || says(&watched.status, kind) == expected,
                "{kind} of {standing:?}: {}",
                says(&watched.status, kind)
            );
        }
        assert!(says(&watched.status, DRIFTED).starts_with("False/"));
        assert!(watched.status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    }
}

#[test]
fn a_failure_either_goes_on_or_calls_for_somebody_never_both() {
    for reason in Reason::iter() {
        let mut watched = Watched::new(Mode::Enforce);
        watched.look(failed(reason));
        let on = |kind| says(&watched.status, kind).starts_with("True/");
        assert!(on(RECONCILING) != on(STALLED), "{reason}");
        assert_eq!(on(STALLED), reason.is_terminal(), "{reason}");
        assert!(!on(READY) && !on(SYNCED), "{reason}");
    }
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut watched = Watched::new(Mode::Enforce);
    let since = |status: &SecurityGroupStatus, kind: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .unwrap()
            .last_transition_time
            .0
            .duration_since(start())
            .as_secs()
    };
    watched.look(Standing::Settled);
    watched.look(Standing::Settled);
    assert_eq!((since(&watched.status, READY), since(&watched.status, DRIFTED)), (60, 60));
    watched.look(failed(Reason::Throttled));
    watched.look(failed(Reason::CloudUnavailable));
    assert_eq!((since(&watched.status, READY), since(&watched.status, DRIFTED)), (180, 60), "another reason is no flip");
    watched.look(Standing::Settled);
    assert_eq!(since(&watched.status, READY), 300);
}

#[test]
fn a_look_without_news_gives_an_equal_status() {
    let held = vec!["ingress rule db waits: there is no such group".to_owned()];
    for standing in
        [Standing::Settled, Standing::Waiting { held }, progressing(), failed(Reason::Throttled), failed(Reason::QuotaExceeded)]
    {
        let mut watched = Watched::new(Mode::Enforce);
        watched.look(standing.clone());
        let before = watched.look(standing.clone());
        assert_eq!(watched.status, before, "{standing:?}");
    }
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude("ingress tcp 22 from 0.0.0.0/0");
    watched.look(Standing::Observing { differences: 1, held: vec![] });
    let before = watched.look(Standing::Observing { differences: 1, held: vec![] });
    assert_eq!(watched.status, before, "an open drift is no news either");
}

#[test]
fn people_are_told_of_a_drift_once() {
    let mut watched = Watched::new(Mode::Enforce);
    let mut told = Vec::new();
    let mut step = |watched: &mut Watched, standing| {
        let before = watched.look(standing);
        told.extend(notices(&before, &watched.status).into_iter().map(|told| format!("{}: {}", told.reason, told.note)));
    };
    watched.intrude("ingress tcp 22 from 0.0.0.0/0");
    step(&mut watched, progressing());
    watched.repair();
    step(&mut watched, Standing::Settled);
    step(&mut watched, Standing::Settled);
    let id = watched.status.drift[0].id.clone();
    assert_eq!(told, [format!("DriftReverted: Put right: somebody added ingress tcp 22 from 0.0.0.0/0. Drift {id}")]);
}

#[test]
fn people_are_told_of_a_reported_drift_and_of_a_new_failure_once() {
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude("ingress tcp 22 from 0.0.0.0/0");
    let mut told = Vec::new();
    for standing in [
        Standing::Observing { differences: 1, held: vec![] },
        Standing::Observing { differences: 1, held: vec![] },
        failed(Reason::Throttled),
        failed(Reason::Throttled),
        failed(Reason::PermissionDenied),
        Standing::Observing { differences: 1, held: vec![] },
    ] {
        let before = watched.look(standing);
        told.extend(notices(&before, &watched.status).into_iter().map(|told| told.reason));
    }
    assert_eq!(told, [Reason::DriftReported, Reason::Throttled, Reason::PermissionDenied]);
}
