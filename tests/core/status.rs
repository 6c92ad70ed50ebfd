//! What an object's status says over several passes: its conditions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use strum::IntoEnumIterator;

use sgwarden::api::conditions::{
    DELETION_BLOCKED, DRIFTED, LIMITED, READY, RECONCILING, REFERENCES_RESOLVED, STALLED, SUSPENDED, SYNCED,
};
use sgwarden::api::{Approval, Approved, DriftRecord, Mode, SecurityGroupStatus, UndeclaredRules, Usage};
use sgwarden::core::desired::{Declaration, Desired, Policy, Toleration};
use sgwarden::core::model::{AccountId, Direction, PrefixListId, PrefixListMark, Region, VpcId};
use sgwarden::core::plan::OverQuota;
use sgwarden::core::status::{
    DeepView, Enforcement, Expiring, Facts, HeldUp, Pending, Place, Reason, Standing, SuspendedUntil, Tracking, Wait, build,
    is_open, keep_failure, track,
};

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
pub(crate) const GROUP: &str = "sg-0000000000000aaaa";
pub(crate) const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
pub(crate) const HASH: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const OVER: OverQuota = OverQuota { direction: Direction::Ingress, ipv6: false, needed: 75, limit: 60 };

/// What a pass may know beside the group.
#[derive(Clone, Debug, Default)]
pub(crate) struct More<'a> {
    pub(crate) pending: Option<Pending<'a>>,
    pub(crate) over_quota: Option<OverQuota>,
    pub(crate) held_up: Option<HeldUp>,
    pub(crate) rules_per_group: Option<u32>,
    pub(crate) war: Option<&'a str>,
    pub(crate) pins: Option<&'a BTreeSet<String>>,
    pub(crate) prefix_lists: Option<&'a BTreeMap<PrefixListId, PrefixListMark>>,
    pub(crate) deep: Option<&'a DeepView>,
    pub(crate) moved: &'a [String],
    pub(crate) expired: Option<&'a BTreeSet<String>>,
    pub(crate) expiring: Option<&'a Expiring>,
    pub(crate) approved: Option<Approved>,
    pub(crate) usage: Option<Usage>,
    pub(crate) uid: Option<&'a str>,
    /// It does not know the account: nor then how far it may go.
    pub(crate) no_account: bool,
    /// It could not look at the group.
    pub(crate) blind: bool,
}

/// An object under watch: its group, and the status of the last look.
pub(crate) struct Watched {
    pub(crate) world: World,
    pub(crate) declaration: Declaration,
    pub(crate) desired: Desired,
    pub(crate) policy: Policy,
    pub(crate) suspended: Option<SuspendedUntil>,
    pub(crate) overruled: Vec<String>,
    pub(crate) status: SecurityGroupStatus,
    /// The records that nobody waits to hear of.
    pub(crate) told: BTreeSet<String>,
    seconds: i64,
}

impl Watched {
    pub(crate) fn new(mode: Mode) -> Self {
        Self::of(SETTLED, mode)
    }

    pub(crate) fn of(scenario: &str, mode: Mode) -> Self {
        let scenario = Scenario::read(scenario);
        let world = scenario.world();
        let declaration = scenario.declaration();
        let desired = declaration.resolve(&scenario.lookups(world.cloud.group.as_ref()));
        Self {
            world,
            declaration,
            desired,
            policy: Policy { mode, ..Policy::default() },
            suspended: None,
            overruled: Vec::new(),
            status: SecurityGroupStatus::default(),
            told: BTreeSet::new(),
            seconds: 0,
        }
    }

    /// Some seconds after six in the evening.
    pub(crate) fn now(&self) -> Timestamp {
        start().checked_add(SignedDuration::from_secs(self.seconds)).unwrap()
    }

    pub(crate) fn wait(&mut self, seconds: i64) {
        self.seconds += seconds;
    }

    /// Suspends reverts for some minutes from now.
    pub(crate) fn suspend(&mut self, minutes: i64) {
        self.policy.suspended = true;
        let until = self.now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
        self.suspended = Some(SuspendedUntil { since: self.now(), until, reason: "incident 4711".to_owned(), capped: false });
    }

    pub(crate) fn tracking(&self) -> Tracking<'_> {
        Tracking {
            group: GROUP,
            now: self.now(),
            policy: &self.policy,
            desired: Some(&self.desired),
            observed: None,
            lost: false,
            trace_id: "trace",
            told: &self.told,
        }
    }

    /// The records a look at the group leads to.
    fn records(&self) -> Vec<DriftRecord> {
        let observed = self.world.cloud.observe();
        let tracking = Tracking { observed: observed.as_ref(), ..self.tracking() };
        track(&self.status.drift, &self.world.plan(&self.desired).report, tracking)
    }

    /// The status after a look at the group, a minute after the last. Returns the one before.
    pub(crate) fn look(&mut self, standing: Standing) -> SecurityGroupStatus {
        self.look_with(standing, More::default())
    }

    /// The same, with more that the pass knows.
    pub(crate) fn look_with(&mut self, standing: Standing, more: More<'_>) -> SecurityGroupStatus {
        self.wait(60);
        self.told = self.status.drift.iter().map(|record| record.id.clone()).collect();
        self.suspended = self.suspended.take().filter(|suspended| suspended.until > self.now());
        self.policy.suspended = self.suspended.is_some();
        self.world.restraint.policy = self.policy.clone();
        let Pass { plan, report } = self.world.plan(&self.desired);
        let observed = self.world.cloud.observe();
        let (account, region, vpc): (AccountId, Region, VpcId) =
            ("111122223333".parse().unwrap(), "eu-west-1".parse().unwrap(), "vpc-0a1b2c3d".parse().unwrap());
        let observing = self.policy.mode == Mode::Observe && !plan.is_empty();
        let enforcement = Enforcement { policy: &self.policy, suspended: self.suspended.as_ref(), overruled: &self.overruled };
        let before = self.status.clone();
        self.status = build(Facts {
            declaration: Some(&self.declaration),
            enforcement: (!more.no_account).then_some(enforcement),
            place: Some(Place { name: "prod", account: &account, region: &region, vpc: &vpc }),
            desired: (!more.blind).then_some(&self.desired),
            observed: observed.as_ref().filter(|_| !more.blind),
            remaining: (!more.blind).then_some((&plan, &report)),
            pending: more.pending.or(observing.then_some(Pending { plan: &plan, hash: Some(HASH), wait: None })),
            over_quota: more.over_quota,
            held_up: more.held_up,
            rules_per_group: more.rules_per_group,
            vouched: self.world.vouched.clone(),
            drift: self.records(),
            war: more.war,
            pins: more.pins,
            prefix_lists: more.prefix_lists,
            deep: more.deep,
            moved: more.moved,
            expired: more.expired,
            expiring: more.expiring,
            approved: more.approved,
            usage: more.usage,
            uid: more.uid,
            ..Facts::of(&before, 3, self.now(), standing)
        });
        before
    }

    /// A look at a group whose changes wait.
    pub(crate) fn look_waiting(&mut self, wait: Wait<'_>) -> SecurityGroupStatus {
        self.look_waiting_for(HASH, wait)
    }

    pub(crate) fn look_waiting_for(&mut self, hash: &str, wait: Wait<'_>) -> SecurityGroupStatus {
        let plan = self.world.plan(&self.desired).plan;
        self.look_with(
            Standing::Done,
            More { pending: Some(Pending { plan: &plan, hash: Some(hash), wait: Some(wait) }), ..More::default() },
        )
    }

    /// Somebody authorizes a rule.
    pub(crate) fn intrude(&mut self, atom: &str) {
        self.world.cloud.authorize(&atom.parse().unwrap(), None).unwrap();
    }

    /// Somebody takes a rule away.
    pub(crate) fn remove(&mut self, atom: &str) {
        let before = self.world.cloud.rules.len();
        self.world.cloud.rules.retain(|_, rule| rule.atom.to_string() != atom);
        assert!(self.world.cloud.rules.len() < before, "there is no {atom}");
    }

    /// A pass puts everything right.
    pub(crate) fn repair(&mut self) {
        let desired = self.desired.clone();
        self.world.pass(&desired);
    }

    pub(crate) fn resolutions(&self) -> Vec<(&str, bool)> {
        self.status.drift.iter().map(|record| (record.resolution.as_str(), is_open(record))).collect()
    }

    /// `True/Succeeded`
    pub(crate) fn says(&self, kind: &str) -> String {
        let of = |condition: &Condition| format!("{}/{}", condition.status, condition.reason);
        self.condition(kind).map_or_else(|| "absent".to_owned(), of)
    }

    pub(crate) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.type_ == kind)
    }

    pub(crate) fn message(&self, kind: &str) -> &str {
        &self.condition(kind).unwrap_or_else(|| panic!("no condition {kind}")).message
    }

    /// The rule that is declared but not there yet, so that there is a change to be made.
    pub(crate) fn declare_more(&mut self) {
        let declared = self.desired.rules.iter().next().unwrap().1.clone();
        self.desired.rules.declare("ingress tcp 80 from 0.0.0.0/0".parse().unwrap(), declared);
    }
}

pub(crate) fn start() -> Timestamp {
    "2026-12-24T18:00:00Z".parse().unwrap()
}

pub(crate) fn progressing() -> Standing {
    Standing::Progressing { doing: "changes are being made".to_owned() }
}

pub(crate) fn failed(reason: Reason) -> Standing {
    Standing::Failed { reason, message: "it did not work".to_owned(), seen: true }
}

fn held(watched: &mut Watched) {
    watched.desired.held.insert((Direction::Ingress, "db".parse().unwrap()), "there is no such group".to_owned());
}

pub(crate) fn refused(watched: &mut Watched) {
    let why = "securitygroups.sgwarden.dev data/db is not open to namespace shop".to_owned();
    watched.desired.refused.insert((Direction::Ingress, "db".parse().unwrap()), why);
}

// Conditions ----------------------------------------------------------------------------------------------------------

#[test]
fn each_standing_has_the_conditions_that_kstatus_reads() {
    let table = [
        (Standing::Done, ["True/Succeeded", "True/Succeeded", "True/Succeeded", "absent", "absent", "absent"]),
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
        (Standing::Unseen, ["Unknown/NotLookedAt", "Unknown/NotLookedAt", "*", "True/NotLookedAt", "absent", "absent"]),
        (
            Standing::DeletionBlocked { message: "eni-1 uses it".to_owned() },
            ["False/InUse", "*", "*", "absent", "absent", "True/InUse"],
        ),
    ];
    for (standing, expected) in table {
        let mut watched = Watched::new(Mode::Enforce);
        watched.look(standing.clone());
        stands(&watched, expected);
        assert!(watched.says(DRIFTED).starts_with("False/"));
        assert!(watched.status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    }
}

/// Expects these of `Ready`, `Synced`, `ReferencesResolved`, `Reconciling`, `Stalled` and `DeletionBlocked`.
#[track_caller]
fn stands(watched: &Watched, expected: [&str; 6]) {
    for (kind, expected) in [READY, SYNCED, REFERENCES_RESOLVED, RECONCILING, STALLED, DELETION_BLOCKED].into_iter().zip(expected) {
        assert!(expected == "*" || watched.says(kind) == expected, "{kind}: {}", watched.says(kind));
    }
}

#[test]
fn a_rule_that_waits_for_its_reference_is_told_by_name() {
    let mut watched = Watched::new(Mode::Enforce);
    held(&mut watched);
    watched.look(Standing::Done);
    let told = "False/ReferencesNotReady";
    stands(&watched, [told, told, told, "True/ReferencesNotReady", "absent", "absent"]);
    assert_eq!(watched.message(READY), "ingress rule db waits: there is no such group");
}

#[test]
fn a_rule_whose_reference_is_refused_is_not_in_force_and_the_rest_goes_on() {
    let mut watched = Watched::new(Mode::Enforce);
    held(&mut watched);
    refused(&mut watched);
    watched.look(Standing::Done);
    let told = "False/ReferenceNotGranted";
    stands(&watched, [told, told, told, "True/ReferenceNotGranted", "absent", "absent"]);
    let why = "ingress rule db is not in force: securitygroups.sgwarden.dev data/db is not open to namespace shop";
    assert_eq!(watched.message(READY), why);
    assert_eq!(watched.message(REFERENCES_RESOLVED), format!("{why}; ingress rule db waits: there is no such group"));
}

#[test]
fn a_name_that_moved_in_aws_is_told_while_its_pin_holds() {
    let mut watched = Watched::new(Mode::Enforce);
    let moved = ["prefix list corp is pl-2 by now; the rules stay with pl-1".to_owned()];
    watched.look_with(Standing::Done, More { moved: &moved, ..More::default() });
    stands(&watched, ["True/Succeeded", "True/Succeeded", "True/NameMoved", "absent", "absent", "absent"]);
    assert_eq!(watched.message(REFERENCES_RESOLVED), moved[0]);
}

#[test]
fn what_waits_for_approval_says_how_much_and_how_to_approve() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.policy.approval = Approval::Required;
    watched.declare_more();
    watched.look_waiting(Wait::Required);
    let told = "False/AwaitingApproval";
    stands(&watched, [told, told, "True/Succeeded", "True/AwaitingApproval", "absent", "absent"]);
    assert_eq!(
        watched.message(READY),
        format!(
            "1 change waits for approval (approval is Required), see status.plan: kubectl annotate --overwrite -n shop \
             securitygroups.sgwarden.dev web sgwarden.dev/approve='{HASH} <you>'"
        )
    );
    assert_eq!(watched.status.mode.as_deref(), Some("AwaitingApproval"));
    let plan = watched.status.plan.clone().expect("the plan is in status");
    assert_eq!((plan.hash.as_deref(), plan.count), (Some(HASH), Some(1)));
    assert_eq!(plan.steps, ["authorize ingress tcp 80 from 0.0.0.0/0 (SpecChange)"]);

    watched.look_waiting(Wait::MassChange("it changes 300 of the account's 1000 rules"));
    stands(&watched, ["False/MassChange", "False/MassChange", "*", "True/MassChange", "absent", "absent"]);
    assert!(watched.message(READY).contains("(it changes 300 of the account's 1000 rules)"), "{}", watched.message(READY));

    watched.look_with(progressing(), More { blind: true, ..More::default() });
    assert_eq!(watched.status.mode.as_deref(), Some("AwaitingApproval"), "an edit is reverted meanwhile");
    let approved = Approved { hash: Some(HASH.to_owned()), by: Some("ada".to_owned()), generation: None };
    watched.look_with(progressing(), More { blind: true, approved: Some(approved), ..More::default() });
    assert_eq!(watched.status.mode.as_deref(), Some("Enforce"));
    watched.repair();
    watched.look(Standing::Done);
    assert_eq!((watched.status.plan.as_ref(), watched.status.mode.as_deref()), (None, Some("Enforce")));
}

#[test]
fn the_plan_stays_in_status_while_it_is_not_known_what_differs() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.declare_more();
    watched.look_waiting(Wait::Required);
    let plan = watched.status.plan.clone();
    watched.look_with(failed(Reason::Throttled), More { no_account: true, blind: true, ..More::default() });
    assert_eq!((&watched.status.plan, watched.status.mode.as_deref()), (&plan, Some("AwaitingApproval")));
}

#[test]
fn rules_that_do_not_fit_are_told_with_the_remedies() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.look_with(Standing::Done, More { over_quota: Some(OVER), ..More::default() });
    stands(&watched, ["False/QuotaExceeded", "False/QuotaExceeded", "*", "absent", "True/QuotaExceeded", "absent"]);
    assert_eq!(
        watched.message(STALLED),
        "ingress needs 75 IPv4 rules (a prefix list counts by its size), and EC2 takes 60: nothing is changed but for reverts. Declare \
         fewer rules, merge ranges into larger ones, split the group, or have AWS raise its quota of rules per security group and set \
         limits.rulesPerGroup of the AwsAccount"
    );
}

#[test]
fn removals_over_the_limit_go_on_by_themselves() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.look_with(Standing::Done, More { held_up: Some(HeldUp { removals: 12, per_minute: 100 }), ..More::default() });
    let told = "False/RevocationLimit";
    stands(&watched, [told, told, "*", "True/RevocationLimit", "absent", "absent"]);
    assert!(watched.message(READY).starts_with("12 removals wait for their turn"), "{}", watched.message(READY));
}

#[test]
fn what_calls_for_a_person_is_told_before_what_goes_on_by_itself() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.declare_more();
    held(&mut watched);
    refused(&mut watched);
    let plan = watched.world.plan(&watched.desired).plan;
    let pending = Pending { plan: &plan, hash: Some(HASH), wait: Some(Wait::Required) };
    let held_up = Some(HeldUp { removals: 1, per_minute: 1 });
    let mut told = Vec::new();
    watched.look_with(Standing::Done, More { over_quota: Some(OVER), pending: Some(pending), held_up, ..More::default() });
    told.push(watched.says(READY));
    watched.look_with(Standing::Done, More { pending: Some(pending), held_up, ..More::default() });
    told.push(watched.says(READY));
    watched.look_with(Standing::Done, More { held_up, ..More::default() });
    told.push(watched.says(READY));
    watched.desired.refused.clear();
    watched.look_with(Standing::Done, More { held_up, ..More::default() });
    told.push(watched.says(READY));
    watched.desired.held.clear();
    watched.look_with(Standing::Done, More { held_up, ..More::default() });
    told.push(watched.says(READY));
    assert_eq!(
        told,
        [
            "False/QuotaExceeded",
            "False/AwaitingApproval",
            "False/ReferenceNotGranted",
            "False/ReferencesNotReady",
            "False/RevocationLimit"
        ]
    );
}

#[test]
fn in_observe_mode_a_group_that_differs_is_ready_and_not_synced() {
    let mut watched = Watched::new(Mode::Observe);
    watched.declare_more();
    watched.look(Standing::Done);
    stands(&watched, ["True/Observing", "False/Observing", "True/Succeeded", "absent", "absent", "absent"]);
    assert_eq!(watched.status.plan.as_ref().and_then(|plan| plan.hash.as_deref()), Some(HASH));
    // Nothing waits for anybody there, and nothing has to fit.
    held(&mut watched);
    watched.look_with(Standing::Done, More { over_quota: Some(OVER), ..More::default() });
    stands(&watched, ["True/Observing", "False/Observing", "False/ReferencesNotReady", "absent", "absent", "absent"]);
}

#[test]
fn a_failure_either_goes_on_or_calls_for_somebody_never_both() {
    for reason in Reason::iter() {
        let mut watched = Watched::new(Mode::Enforce);
        watched.look(failed(reason));
        let on = |kind| watched.says(kind).starts_with("True/");
        assert!(on(RECONCILING) != on(STALLED), "{reason}");
        assert_eq!(on(STALLED), reason.is_terminal(), "{reason}");
        assert!(!on(READY) && !on(SYNCED), "{reason}");
    }
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut watched = Watched::new(Mode::Enforce);
    let since =
        |watched: &Watched, kind: &str| watched.condition(kind).unwrap().last_transition_time.0.duration_since(start()).as_secs();
    watched.look(Standing::Done);
    watched.look(Standing::Done);
    assert_eq!((since(&watched, READY), since(&watched, DRIFTED)), (60, 60));
    watched.look(failed(Reason::Throttled));
    watched.look(failed(Reason::CloudUnavailable));
    assert_eq!((since(&watched, READY), since(&watched, DRIFTED)), (180, 60), "another reason is no flip");
    watched.look(Standing::Done);
    assert_eq!(since(&watched, READY), 300);
}

#[test]
fn a_pass_that_begins_does_not_unsay_what_changes_wait_for_unless_they_were_approved() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.declare_more();
    let before = {
        watched.look_waiting(Wait::Required);
        watched.status.clone()
    };
    watched.look(progressing());
    let mut next = watched.status.clone();
    keep_failure(&mut next, &before);
    assert_eq!(reason(&next, READY), "AwaitingApproval", "an edit is reverted meanwhile");
    let approved = Approved { hash: Some(HASH.to_owned()), by: Some("ada".to_owned()), generation: None };
    watched.status.clone_from(&before);
    watched.look_with(progressing(), More { approved: Some(approved), ..More::default() });
    let mut next = watched.status.clone();
    keep_failure(&mut next, &before);
    assert_eq!(reason(&next, READY), "Progressing");
}

fn reason<'a>(status: &'a SecurityGroupStatus, kind: &str) -> &'a str {
    status.conditions.iter().find(|condition| condition.type_ == kind).map_or("absent", |condition| &condition.reason)
}

// Enforcement ---------------------------------------------------------------------------------------------------------

#[test]
fn while_reverts_are_suspended_edits_stay_and_it_is_told_what_happens_to_them() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.suspend(60);
    watched.look(Standing::Done);
    stands(&watched, ["True/Succeeded", "True/Succeeded", "*", "absent", "absent", "absent"]);
    assert_eq!(
        watched.message(SUSPENDED),
        "nothing is reverted since 2026-12-24T18:00:00Z until 2026-12-24T19:00:00Z: incident 4711; there is nothing to revert so far"
    );
    watched.intrude(SSH);
    watched.look(Standing::Done);
    stands(&watched, ["True/Suspended", "False/Suspended", "*", "absent", "absent", "absent"]);
    assert_eq!((watched.says(SUSPENDED), watched.says(DRIFTED)), ("True/Suspended".to_owned(), "True/Suspended".to_owned()));
    assert!(watched.message(SUSPENDED).ends_with("added ingress tcp 22 from 0.0.0.0/0 (opened tcp/22 to 4,294,967,296 addresses)"));
    assert_eq!(watched.status.mode.as_deref(), Some("Suspended"));
    assert_eq!(watched.status.suspended_since.as_deref(), Some("2026-12-24T18:00:00Z"));
    assert_eq!(watched.status.suspended_until.as_deref(), Some("2026-12-24T19:00:00Z"));
    watched.wait(42 * 60);
    watched.look(Standing::Done);
    assert_eq!(watched.says(SUSPENDED), "True/SuspendEndsSoon");
    watched.wait(15 * 60);
    watched.look(progressing());
    assert_eq!((watched.says(SUSPENDED).as_str(), watched.says(DRIFTED).as_str()), ("absent", "True/Progressing"));
    assert_eq!((watched.status.suspended_until.as_deref(), watched.status.mode.as_deref()), (None, Some("Enforce")));
}

#[test]
fn a_suspend_ends_in_time_also_where_nobody_can_tell_what_is_declared() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.suspend(30);
    watched.look(Standing::Done);
    let told = watched.condition(SUSPENDED).cloned();
    watched.look_with(failed(Reason::InvalidSpec), More { no_account: true, ..More::default() });
    assert_eq!(watched.condition(SUSPENDED).cloned(), told, "as it was");
    watched.wait(30 * 60);
    watched.look_with(failed(Reason::InvalidSpec), More { no_account: true, ..More::default() });
    assert_eq!(watched.says(SUSPENDED), "absent");
}

#[test]
fn undeclared_rules_that_are_only_reported_leave_the_group_ready_and_not_synced() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.policy.undeclared = UndeclaredRules::Report;
    watched.intrude(SSH);
    watched.look(Standing::Done);
    stands(&watched, ["True/DriftReported", "False/DriftReported", "*", "absent", "absent", "absent"]);
    assert_eq!(watched.message(READY), "1 undeclared rule is reported and left alone (undeclaredRules: Report)");
    assert!(watched.message(DRIFTED).starts_with("reported, left alone (undeclaredRules: Report): added ingress tcp 22"));
}

#[test]
fn undeclared_rules_that_may_stay_are_counted_and_are_no_drift() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.policy.tolerate = vec![Toleration {
        direction: Direction::Ingress,
        peer: None,
        traffic: vec!["tcp 22".parse().unwrap()],
        description_prefix: None,
    }];
    watched.intrude(SSH);
    watched.look(Standing::Done);
    stands(&watched, ["True/Succeeded", "True/Succeeded", "*", "absent", "absent", "absent"]);
    assert_eq!(watched.message(READY), "1 rule is as declared; 1 undeclared rule is left alone (enforcement.tolerate)");
    assert_eq!((watched.says(DRIFTED).as_str(), watched.status.drift.len()), ("False/NoDrift", 0));

    watched.policy.undeclared = UndeclaredRules::Keep;
    watched.intrude("ingress tcp 23 from 0.0.0.0/0");
    watched.intrude("ingress tcp 24 from 0.0.0.0/0");
    watched.look(Standing::Done);
    assert_eq!(watched.message(READY), "1 rule is as declared; 3 undeclared rules are left alone (undeclaredRules: Keep)");
    assert_eq!(watched.status.drift, []);
}

#[test]
fn what_the_account_does_not_allow_is_told_for_as_long_as_it_lasts() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.overruled = vec!["account prod does not allow enforcement.mode Observe: Enforce is in effect".to_owned()];
    watched.look(Standing::Done);
    assert_eq!(watched.says(LIMITED), "True/PolicyLimited");
    assert_eq!(watched.message(LIMITED), watched.overruled[0]);
    assert_eq!(watched.says(READY), "True/Succeeded");
    watched.look_with(failed(Reason::Throttled), More { no_account: true, ..More::default() });
    assert_eq!(watched.says(LIMITED), "True/PolicyLimited", "not judged");
    watched.overruled.clear();
    watched.look(Standing::Done);
    assert_eq!(watched.says(LIMITED), "absent");
}
