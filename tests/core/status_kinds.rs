//! The status of accounts and of sets of ranges.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use sgwarden::api::conditions::{CLOCK_SKEWED, CREDENTIALS_VALID, DELETION_BLOCKED, READY, RECONCILING, STALLED, SWEEP_HEALTHY};
use sgwarden::api::{AwsAccountStatus, CidrSetStatus};
use sgwarden::core::desired::{Problem, Range};
use sgwarden::core::model::Region;
use sgwarden::core::status::{
    AccountFacts, CidrSetFacts, Credentials, EventsFacts, Reason, RegionFacts, Sweep, account_status_due, build_account,
    build_cidr_set,
};

use crate::status::start;

fn at(seconds: i64) -> Timestamp {
    start().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// `True/Succeeded`
fn says(conditions: &[Condition], kind: &str) -> String {
    let found = conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or_else(|| "absent".to_owned(), |condition| format!("{}/{}", condition.status, condition.reason))
}

fn message<'a>(conditions: &'a [Condition], kind: &str) -> &'a str {
    &conditions.iter().find(|condition| condition.type_ == kind).unwrap_or_else(|| panic!("no condition {kind}")).message
}

fn problem() -> Problem {
    Problem { path: "spec.regions[0]".to_owned(), message: "'Mars' is no Region".to_owned() }
}

/// An account in two Regions, under watch.
struct Account {
    regions: [Region; 2],
    seconds: i64,
    problems: Vec<Problem>,
    observing: bool,
    credentials: Credentials,
    events: Option<EventsFacts>,
    skew: Option<i64>,
    sweeps: [Option<Sweep>; 2],
    failures: [Option<(Reason, String)>; 2],
    held_by: Option<usize>,
    incomplete: Option<String>,
    status: AwsAccountStatus,
}

impl Account {
    /// Nothing is known yet.
    fn new() -> Self {
        Self {
            regions: ["eu-west-1".parse().unwrap(), "us-east-1".parse().unwrap()],
            seconds: 0,
            problems: Vec::new(),
            observing: false,
            credentials: Credentials::Unknown,
            events: None,
            skew: None,
            sweeps: [None, None],
            failures: [None, None],
            held_by: None,
            incomplete: None,
            status: AwsAccountStatus::default(),
        }
    }

    /// All is well.
    fn swept() -> Self {
        let mut account = Self::new();
        account.credentials = Credentials::Valid;
        account.sweep();
        account.look();
        account
    }

    fn sweep(&mut self) {
        let at = at(self.seconds);
        self.sweeps = [
            Some(Sweep { at, groups: 300, managed: 200, rules: 1400, drifted: 1, stale_rules: Some(3) }),
            Some(Sweep { at, groups: 20, managed: 12, rules: 60, drifted: 0, stale_rules: None }),
        ];
    }

    /// The status now. Returns the one before.
    fn look(&mut self) -> AwsAccountStatus {
        let facts_of = |(index, region): (usize, _)| RegionFacts {
            region,
            since: start(),
            sweep: self.sweeps[index].clone(),
            failure: self.failures[index].clone(),
            incomplete: self.incomplete.clone(),
        };
        let regions: Vec<RegionFacts<'_>> = self.regions.iter().enumerate().map(facts_of).collect();
        let next = build_account(&AccountFacts {
            generation: 2,
            now: at(self.seconds),
            previous: &self.status,
            problems: &self.problems,
            observing: self.observing,
            credentials: self.credentials.clone(),
            events: self.events.clone(),
            skew: self.skew.map(SignedDuration::from_secs),
            sweep_interval: SignedDuration::from_secs(60),
            regions: &regions,
            held_by: self.held_by,
        });
        std::mem::replace(&mut self.status, next)
    }

    /// Expects these of `Ready`, `CredentialsValid`, `SweepHealthy`, `Reconciling` and `Stalled`.
    #[track_caller]
    fn stands(&self, expected: [&str; 5]) {
        let kinds = [READY, CREDENTIALS_VALID, SWEEP_HEALTHY, RECONCILING, STALLED];
        assert_eq!(kinds.map(|kind| says(&self.status.conditions, kind)), expected.map(str::to_owned));
    }
}

#[test]
fn an_account_is_ready_once_its_credentials_are_good_and_every_region_was_looked_at() {
    let mut account = Account::new();
    account.look();
    let unknown = "Unknown/NotLookedAt";
    account.stands([unknown, unknown, unknown, "True/NotLookedAt", "absent"]);
    account.credentials = Credentials::Valid;
    account.look();
    account.stands([unknown, "True/Succeeded", unknown, "True/NotLookedAt", "absent"]);
    account.sweep();
    account.look();
    account.stands(["True/Succeeded", "True/Succeeded", "True/Succeeded", "absent", "absent"]);
    assert_eq!(message(&account.status.conditions, READY), "212 groups are kept");
    assert_eq!((account.status.managed, account.status.drifted, account.status.observed_generation), (Some(212), Some(1), Some(2)));
    let region = &account.status.regions[0];
    assert_eq!(region.region, "eu-west-1");
    assert_eq!(region.last_sweep_time.as_deref(), Some("2026-12-24T18:00:00Z"));
    assert_eq!((region.groups, region.managed, region.rules, region.drifted), (Some(300), Some(200), Some(1400), Some(1)));
    let stale = |account: &Account| account.status.regions.iter().map(|region| region.stale_rules).collect::<Vec<_>>();
    assert_eq!(stale(&account), [Some(3), None], "no deep sweep has counted the other Region's yet");
    if let Some(sweep) = &mut account.sweeps[0] {
        sweep.stale_rules = None;
    }
    account.look();
    assert_eq!(stale(&account), [Some(3), None], "known from before a restart");
    let before = account.look();
    assert_eq!(account.status, before, "no news");
}

#[test]
fn after_a_restart_an_account_is_what_it_was_until_more_is_known() {
    let mut account = Account::swept();
    let before = account.status.clone();
    (account.credentials, account.sweeps) = (Credentials::Unknown, [None, None]);
    account.seconds = 60;
    account.look();
    assert_eq!(account.status, before);
    // It does not stay so for ever.
    account.seconds = 181;
    account.look();
    assert_eq!(says(&account.status.conditions, SWEEP_HEALTHY), "False/SweepOverdue");
}

#[test]
fn what_is_wrong_with_an_account_says_so() {
    let mut account = Account::swept();
    account.credentials =
        Credentials::Failed { reason: Reason::CredentialsRefused, message: "they are of account 444455556666".to_owned() };
    account.look();
    let refused = "False/CredentialsRefused";
    account.stands([refused, refused, "True/Succeeded", "True/CredentialsRefused", "absent"]);

    account.credentials = Credentials::Valid;
    account.failures[1] = Some((Reason::PermissionDenied, "the role may not ec2:DescribeSecurityGroups".to_owned()));
    account.look();
    let denied = "False/PermissionDenied";
    account.stands([denied, "True/Succeeded", denied, "True/PermissionDenied", "absent"]);
    assert_eq!(message(&account.status.conditions, READY), "us-east-1: the role may not ec2:DescribeSecurityGroups");

    account.problems = vec![problem()];
    account.look();
    assert_eq!(says(&account.status.conditions, STALLED), "True/InvalidSpec");
    assert_eq!(message(&account.status.conditions, READY), "spec.regions[0]: 'Mars' is no Region");
    assert_eq!(account.status.regions.len(), 2, "a spec that cannot be read forgets no Region");
}

#[test]
fn a_region_that_is_not_looked_at_for_three_intervals_is_overdue() {
    let mut account = Account::swept();
    account.seconds = 180;
    account.look();
    assert_eq!(says(&account.status.conditions, SWEEP_HEALTHY), "True/Succeeded");
    account.seconds = 181;
    account.look();
    assert_eq!(says(&account.status.conditions, SWEEP_HEALTHY), "False/SweepOverdue");
    let told = message(&account.status.conditions, SWEEP_HEALTHY).to_owned();
    assert!(told.starts_with("eu-west-1: its groups were not looked at since 2026-12-24T18:00:00Z; us-east-1: "), "{told}");
    account.seconds = 600;
    let before = account.look();
    assert_eq!(account.status, before, "the same trouble is no news");
}

#[test]
fn a_clock_that_is_wrong_is_told_in_seconds_and_leaves_the_account_ready() {
    let mut account = Account::swept();
    for (skew, expected) in [(0, None), (30, None), (-30, None), (31, Some("30 s behind")), (-47, Some("40 s ahead of"))] {
        account.skew = Some(skew);
        account.look();
        assert_eq!(says(&account.status.conditions, READY), "True/Succeeded");
        match expected {
            None => assert_eq!(says(&account.status.conditions, CLOCK_SKEWED), "absent", "{skew}"),
            Some(words) => assert!(message(&account.status.conditions, CLOCK_SKEWED).contains(words), "{skew}"),
        }
    }
    let before = account.status.clone();
    account.skew = Some(-42);
    account.look();
    assert_eq!(account.status, before, "a few seconds more or less are no news");
}

#[test]
fn the_stop_button_and_who_holds_the_account_are_told() {
    let mut account = Account::swept();
    account.observing = true;
    account.held_by = Some(212);
    account.look();
    assert_eq!(says(&account.status.conditions, READY), "True/Observing");
    assert_eq!(message(&account.status.conditions, DELETION_BLOCKED), "212 groups are still kept in it");
    account.held_by = Some(0);
    account.look();
    assert_eq!(says(&account.status.conditions, DELETION_BLOCKED), "absent");
}

#[test]
fn news_is_written_once_a_minute_and_times_every_five() {
    let mut account = Account::swept();
    let written = account.status.clone();
    let due = |after: &AwsAccountStatus, seconds: i64| account_status_due(&written, after, Some(at(0)), at(seconds));
    assert!(!due(&written, 100_000), "nothing to write");
    account.seconds = 59;
    account.sweep();
    account.look();
    assert_ne!(account.status, written, "another time");
    assert!(!due(&account.status, 59) && !due(&account.status, 299) && due(&account.status, 300));
    account.sweeps[0].as_mut().unwrap().managed += 1;
    account.look();
    assert!(!due(&account.status, 59) && due(&account.status, 60));
    account.sweep();
    account.skew = Some(100);
    account.look();
    assert!(!due(&account.status, 59) && due(&account.status, 60), "a condition is news too");
    assert!(account_status_due(&written, &account.status, None, at(0)), "nothing was written since the start");
    assert!(due(&account.status, -10), "a clock that was set back does not silence it");
}

// Sets ----------------------------------------------------------------------------------------------------------------

fn range(net: &str, expires_at: Option<i64>) -> Range {
    Range { net: net.parse().unwrap(), description: None, expires_at: expires_at.map(at) }
}

fn set(previous: &CidrSetStatus, ranges: Option<&[Range]>, problems: &[Problem], users: usize) -> CidrSetStatus {
    let users: BTreeSet<String> = (0..users).map(|user| format!("shop/web-{user:02}")).collect();
    build_cidr_set(&CidrSetFacts { generation: 4, now: at(0), previous, problems, ranges, users: &users })
}

#[test]
fn a_set_counts_the_ranges_in_force_and_its_users() {
    let none = CidrSetStatus::default();
    let ranges = [range("192.0.2.0/24", None), range("198.51.100.0/24", Some(1)), range("203.0.113.0/24", Some(0))];
    let status = set(&none, Some(&ranges), &[], 25);
    assert_eq!((status.entries, status.observed_generation), (Some(2), Some(4)));
    assert_eq!(says(&status.conditions, READY), "True/Succeeded");
    assert_eq!(message(&status.conditions, READY), "2 ranges are in force; 1 expired");
    let used_by = status.used_by.clone().unwrap();
    assert_eq!((used_by.count, used_by.names.len(), used_by.names[0].as_str()), (25, 20, "shop/web-00"));
    assert_eq!(set(&status, Some(&ranges), &[], 25), status, "no news");
    let status = set(&status, Some(&[]), &[], 0);
    assert_eq!(message(&status.conditions, READY), "no range is in force: rules that use the set allow nobody");
    assert_eq!(status.used_by.map(|used_by| used_by.count), Some(0));
}

#[test]
fn a_set_that_cannot_be_used_says_why_and_keeps_its_figure() {
    let good = set(&CidrSetStatus::default(), Some(&[range("192.0.2.0/24", None)]), &[], 1);
    let problems = [Problem { path: "spec.cidrs[0].cidr".to_owned(), message: "'office' is no range".to_owned() }];
    let status = set(&good, None, &problems, 1);
    assert_eq!((says(&status.conditions, READY).as_str(), status.entries), ("False/InvalidSpec", Some(1)));
    assert_eq!(says(&status.conditions, STALLED), "True/InvalidSpec");
    assert_eq!(message(&status.conditions, READY), "spec.cidrs[0].cidr: 'office' is no range");
    let again = set(&status, Some(&[range("192.0.2.0/24", None)]), &[], 1);
    assert_eq!((says(&again.conditions, READY).as_str(), says(&again.conditions, STALLED).as_str()), ("True/Succeeded", "absent"));
}

#[test]
fn how_events_arrive_is_told_where_there_are_queues() {
    let mut account = Account::swept();
    account.look();
    let told = |account: &Account| {
        let found = account.status.conditions.iter().find(|condition| condition.type_ == "EventsHealthy");
        found.map(|condition| format!("{} {}", condition.status, condition.reason))
    };
    assert_eq!(told(&account), None);
    for (events, expected) in [
        (EventsFacts::Unknown, "Unknown NotLookedAt"),
        (EventsFacts::Healthy, "True Succeeded"),
        (EventsFacts::Failed(Reason::EventsSilent, "nothing came".into()), "False EventsSilent"),
        // After a restart, until the queues were asked.
        (EventsFacts::Unknown, "False EventsSilent"),
    ] {
        account.events = Some(events);
        account.look();
        assert_eq!(told(&account).as_deref(), Some(expected));
    }
    account.events = None;
    account.look();
    assert_eq!(told(&account), None);
}

#[test]
fn what_cannot_be_looked_at_of_what_changes_rarely_leaves_the_account_ready() {
    let mut account = Account::swept();
    account.incomplete = Some("DescribeStaleSecurityGroups is not allowed".into());
    account.look();
    let told = |kind: &str| {
        let found = account.status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        (found.status.clone(), found.reason.clone(), found.message.clone())
    };
    assert_eq!(told(READY).0, "True");
    let (status, reason, message) = told(SWEEP_HEALTHY);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SweepIncomplete"));
    assert!(message.starts_with("eu-west-1: DescribeStaleSecurityGroups is not allowed"), "{message}");
}
