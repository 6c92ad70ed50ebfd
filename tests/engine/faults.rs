//! EC2 at its worst: errors, silence, throttling, reads of the past, credentials that end. Everything converges all the same,
//! nothing is done twice, our own work is never told as somebody's drift, and the calls stay within bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use sgwarden::adapters::sim::{
    CallRecord, Config, DEFAULT_ACCOUNT, Effect, Fault, Faults, Latency, RoleSeed, SimConnector, StaleReads, VpcSeed, When,
};
use sgwarden::core::model::SecurityGroupId;
use sgwarden::ports::cloud::{Connect, GroupQuery, Route};

use crate::rig::{INTRUDER, OURS, Rig, VPC, manifest, region, tcp};

/// Groups of a life.
const GROUPS: usize = 10;

fn name(n: usize) -> String {
    format!("web-{n}")
}

/// What a life came to.
struct Life {
    calls: Vec<CallRecord>,
}

impl Life {
    fn is_write(call: &CallRecord) -> bool {
        call.service == "ec2" && !call.action.starts_with("Describe")
    }

    /// Writes of ours that reached the world, whatever we were told.
    fn applied(&self) -> usize {
        self.calls.iter().filter(|call| Self::is_write(call) && call.applied).count()
    }

    /// Calls that EC2 did not answer well.
    fn failed(&self) -> usize {
        self.calls.iter().filter(|call| call.error.is_some()).count()
    }

    /// Retries: a read that fails is made again, up to three times in all, and then ends the pass, which reads again from the
    /// beginning; a write that fails ends it at once, and the next one looks by two calls before it writes.
    fn retries(&self) -> usize {
        let failed = self.calls.iter().filter(|call| call.error.is_some());
        failed.map(|call| if Self::is_write(call) { 3 } else { 2 * asked_for(call) }).sum()
    }

    /// Calls made for the sake of groups, each as often as it has groups: how many share a call is up to chance. A sweep is made
    /// for the sake of the clock.
    fn for_groups(&self) -> usize {
        self.calls.iter().filter(|call| !is_sweep(call)).map(asked_for).sum()
    }

    fn summary(&self) -> String {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for call in &self.calls {
            *counts.entry((call.action.as_str(), call.error.as_deref().unwrap_or("done"))).or_default() += 1;
        }
        format!("{counts:#?}")
    }
}

/// Whether a call lists all groups with our tag.
fn is_sweep(call: &CallRecord) -> bool {
    let filters: Vec<&str> = call
        .params
        .iter()
        .filter(|(key, _)| key.starts_with("Filter.") && key.ends_with(".Name"))
        .map(|(_, name)| name.as_str())
        .collect();
    call.action == "DescribeSecurityGroups" && filters == ["tag:sgwarden.dev/cluster"]
}

/// How many groups a call asks for.
fn asked_for(call: &CallRecord) -> usize {
    call.params.keys().filter(|key| key.starts_with("Filter.1.Value.")).count().max(1)
}

/// Ten groups are created, edited in their manifests, and edited behind our back, while something goes wrong all the time.
async fn life(wrong: impl Fn(&Rig)) -> Life {
    let mut rig = Rig::idle().await;
    wrong(&rig);
    rig.start_engine();
    let apply = |port: u16| {
        for n in 0..GROUPS {
            rig.store.apply(&manifest(&name(n), &[&tcp("https", port, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
        }
    };
    apply(443);
    converged(&rig, 443).await;
    // What EC2 shows may lag a while behind; then it knows it all.
    rig.pass(Duration::from_secs(60)).await;
    apply(8443);
    converged(&rig, 8443).await;
    nothing_told(&rig);
    rig.pass(Duration::from_secs(400)).await;
    nothing_told(&rig);
    // Whoever edits by hand has no patience for slow answers.
    let slow = rig.sim.faults().latency;
    rig.sim.set_latency(Vec::new());
    for n in 0..GROUPS {
        let group = rig.group(&name(n));
        if n % 2 == 0 {
            rig.intrude(&group, &["ingress tcp 3389 from 0.0.0.0/0"]).await;
        } else {
            let ssh = live_id(&rig, &group, 22);
            rig.intruder.write.revoke(&group, sgwarden::core::model::Direction::Ingress, &[ssh]).await.unwrap();
        }
    }
    rig.sim.set_latency(slow);
    // Long enough for reads of the past to show it, and for a sweep to see it.
    rig.pass(Duration::from_secs(100)).await;
    converged(&rig, 8443).await;
    rig.pass(Duration::from_secs(400)).await;
    converged(&rig, 8443).await;
    for n in 0..GROUPS {
        let drift = rig.store.get(&name(n)).unwrap().status.unwrap().drift;
        let kinds: Vec<&str> = drift.iter().flat_map(|record| &record.atoms).map(|atom| atom.kind.as_str()).collect();
        let wanted = if n % 2 == 0 { "Added" } else { "Removed" };
        assert_eq!(kinds, [wanted], "{}: {drift:#?}", name(n));
        assert_eq!(drift[0].resolution, "Reverted", "{drift:#?}");
    }
    let calls: Vec<CallRecord> = rig.sim.calls().into_iter().filter(|call| call.access_key == OURS).collect();
    Life { calls }
}

/// The id of the rule of a port, as it is, not as reads may show it.
fn live_id(rig: &Rig, group: &SecurityGroupId, port: i64) -> sgwarden::core::model::RuleId {
    let rules = rig.sim.effective_rules(DEFAULT_ACCOUNT, region().as_str(), group.as_str());
    let rule = rules.iter().find(|rule| rule["from"].as_i64() == Some(port)).expect("the rule is live");
    rule["id"].as_str().unwrap().parse().unwrap()
}

/// Ports that a group lets in, as it is.
fn ports(rig: &Rig, group: &SecurityGroupId) -> Vec<i64> {
    let rules = rig.sim.effective_rules(DEFAULT_ACCOUNT, region().as_str(), group.as_str());
    let mut ports: Vec<i64> = rules.iter().map(|rule| rule["from"].as_i64().unwrap_or(-1)).collect();
    ports.sort_unstable();
    ports
}

/// Waits until all groups are as declared, in truth and in their statuses.
async fn converged(rig: &Rig, port: i64) {
    for n in 0..GROUPS {
        rig.settled(&name(n)).await;
        let group = rig.group(&name(n));
        rig.until("the rules are as declared", |rig| ports(rig, &group) == [22, port]).await;
        rig.settled(&name(n)).await;
    }
    let dump = rig.sim.dump();
    let place = dump["places"].as_array().unwrap().iter().find(|place| place["account"] == DEFAULT_ACCOUNT).unwrap();
    let ours = place["groups"].as_array().unwrap().iter().filter(|group| group["name"].as_str().unwrap().starts_with("shop."));
    assert_eq!(ours.count(), GROUPS, "a group too many");
}

/// Nobody but us wrote anything so far.
fn nothing_told(rig: &Rig) {
    for n in 0..GROUPS {
        let drift = rig.store.get(&name(n)).unwrap().status.unwrap().drift;
        assert!(drift.is_empty(), "our own work told as drift: {drift:#?}\n{}", rig.describe());
    }
}

/// Only calls of ours.
fn ours(fault: Fault) -> Fault {
    Fault { access_key: Some(OURS.to_owned()), ..fault }
}

fn now_and_then(fault: Fault, share: f64) -> Fault {
    Fault { probability: Some(share), ..ours(fault) }
}

/// The same life under this trouble, with bounds for its calls held against a life without any.
async fn bounded(what: &str, wrong: impl Fn(&Rig)) {
    let calm = life(|_| ()).await;
    assert_eq!(calm.failed(), 0, "{}", calm.summary());
    let troubled = life(wrong).await;
    let most = |count: usize| (count * 6).div_ceil(5);
    assert!(
        troubled.applied() <= most(calm.applied()),
        "{what}: {} writes reached EC2, {} without trouble\n{}",
        troubled.applied(),
        calm.applied(),
        troubled.summary()
    );
    assert!(
        troubled.for_groups() <= most(calm.for_groups()) + troubled.retries(),
        "{what}: {} calls, {} of them failed, {} retries, {} without trouble\n{}\n{}",
        troubled.for_groups(),
        troubled.failed(),
        troubled.retries(),
        calm.for_groups(),
        troubled.summary(),
        calm.summary()
    );
}

#[tokio::test(start_paused = true)]
async fn without_trouble_a_life_costs_what_it_must() {
    let calm = life(|_| ()).await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calm.calls.iter().filter(|call| Life::is_write(call)) {
        *counts.entry(call.action.as_str()).or_default() += 1;
    }
    let wanted = BTreeMap::from([
        // Created, and what was removed put back in half of them.
        ("AuthorizeSecurityGroupIngress", GROUPS + GROUPS / 2),
        ("CreateSecurityGroup", GROUPS),
        ("ModifySecurityGroupRules", GROUPS),
        ("RevokeSecurityGroupEgress", GROUPS),
        ("RevokeSecurityGroupIngress", GROUPS / 2),
    ]);
    assert_eq!(counts, wanted);
}

#[tokio::test(start_paused = true)]
async fn throttled_at_awss_own_buckets() {
    bounded("throttling", |rig| rig.sim.set_throttling(true)).await;
}

#[tokio::test(start_paused = true)]
async fn throttled_by_others_who_use_up_the_buckets() {
    bounded("throttles", |rig| rig.sim.inject(now_and_then(Fault::throttle("*"), 0.3))).await;
}

#[tokio::test(start_paused = true)]
async fn errors_before_a_call_took_effect() {
    bounded("5xx before", |rig| rig.sim.inject(now_and_then(Fault::default(), 0.3))).await;
}

#[tokio::test(start_paused = true)]
async fn errors_after_a_write_took_effect() {
    bounded("5xx after", |rig| {
        rig.sim.inject(now_and_then(Fault::error("writes", "InternalError", 500).after_applying(), 0.5));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_before_and_after_a_write_took_effect() {
    bounded("drops", |rig| {
        rig.sim.inject(now_and_then(Fault::drop_connection("writes").after_applying(), 0.4));
        rig.sim.inject(now_and_then(Fault { effect: Effect::Cut, when: When::After, ..Fault::default() }, 0.1));
        rig.sim.inject(now_and_then(Fault::drop_connection("*"), 0.2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_seconds_and_some_that_never_come() {
    bounded("latency", |rig| {
        let slow = |action: &str, tail_ms| Latency { action: action.to_owned(), min_ms: 50, max_ms: 2000, tail_ms };
        rig.sim.set_latency(vec![slow("reads", 200), slow("writes", 2000)]);
    })
    .await;
}

/// Reads are repeated until they show what was written, so only writes are bounded here.
async fn stale(reads: StaleReads) {
    let calm = life(|_| ()).await;
    let troubled = life(|rig| rig.sim.set_stale_reads(Some(reads.clone()))).await;
    let most = (calm.applied() * 6).div_ceil(5) + troubled.failed();
    assert!(troubled.applied() <= most, "{} writes, {} without\n{}", troubled.applied(), calm.applied(), troubled.summary());
}

#[tokio::test(start_paused = true)]
async fn reads_that_lag_behind_by_up_to_half_a_minute() {
    stale(StaleReads { max_ms: 30_000, ..StaleReads::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn reads_that_all_lag_behind_by_as_much() {
    stale(StaleReads { max_ms: 20_000, fixed: true, ..StaleReads::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_that_meet_servers_of_the_past() {
    stale(StaleReads { max_ms: 20_000, probability: 0.5, writes: true, ..StaleReads::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn ec2_away_for_ten_minutes() {
    let rig = Rig::start().await;
    for n in 0..GROUPS {
        rig.store.apply(&manifest(&name(n), &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
    }
    converged(&rig, 443).await;
    rig.pass(Duration::from_secs(400)).await;
    rig.sim.clear_calls();
    rig.sim.inject(ours(Fault::drop_connection("*")));
    // Edited in its manifest, edited behind our back, and a new one.
    rig.store.apply(&manifest("web-0", &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 23, "10.0.0.0/8")]));
    let drifting = rig.group("web-1");
    rig.intrude(&drifting, &["ingress tcp 3389 from 0.0.0.0/0"]).await;
    rig.store.apply(&manifest("late", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.condition("web-0", "Ready", "False", "CloudUnavailable").await;
    rig.condition("late", "Ready", "False", "CloudUnavailable").await;
    rig.pass(Duration::from_secs(600)).await;
    let tried: Vec<CallRecord> = rig.sim.calls().into_iter().filter(|call| call.access_key == OURS).collect();
    assert!(tried.iter().all(|call| !call.applied));
    // Three attempts a read: two objects and a sweep, each trying again after pauses that double.
    assert!(tried.len() < 150, "{} calls in ten minutes that EC2 was away", tried.len());
    rig.sim.clear_faults();
    rig.settled("web-0").await;
    rig.settled("late").await;
    assert_eq!(ports(&rig, &rig.group("web-0")), [23, 443]);
    rig.until("the edit is taken back", |rig| ports(rig, &drifting) == [22, 443]).await;
    let drift = rig.settled("web-1").await.status.unwrap().drift;
    assert_eq!((drift.len(), drift[0].resolution.as_str()), (1, "Reverted"));
    for n in [0, 2, 3, 9] {
        let drift = rig.store.get(&name(n)).unwrap().status.unwrap().drift;
        assert!(drift.is_empty(), "{drift:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_for_a_while() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.settled("web").await;
    let group = rig.group("web");
    for code in ["AuthFailure", "ExpiredToken", "RequestExpired"] {
        rig.sim.inject(ours(Fault::error("*", code, 401)));
        rig.store.apply(&manifest("web", &[&tcp("https", 8443, "0.0.0.0/0")]));
        let why = rig.condition("web", "Ready", "False", "CredentialsRefused").await;
        assert!(why.contains(code) || why.contains("credentials"), "{why}");
        rig.pass(Duration::from_secs(120)).await;
        assert_eq!(ports(&rig, &group), [443]);
        rig.sim.clear_faults();
        rig.settled("web").await;
        assert_eq!(ports(&rig, &group), [8443]);
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
        rig.settled("web").await;
    }
    assert!(rig.store.get("web").unwrap().status.unwrap().drift.is_empty());
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_not_permitted_are_said_and_nothing_else_is_held_up() {
    let rig = Rig::start().await;
    for n in 0..2 {
        rig.store.apply(&manifest(&name(n), &[&tcp("https", 443, "0.0.0.0/0")]));
        rig.settled(&name(n)).await;
    }
    let denied = rig.group("web-0");
    rig.sim.inject(ours(Fault { about: Some(denied.to_string()), ..Fault::error("writes", "UnauthorizedOperation", 403) }));
    for n in 0..2 {
        rig.store.apply(&manifest(&name(n), &[&tcp("https", 8443, "0.0.0.0/0")]));
    }
    rig.condition("web-0", "Ready", "False", "PermissionDenied").await;
    rig.settled("web-1").await;
    rig.sim.clear_calls();
    rig.pass(Duration::from_secs(600)).await;
    assert!(rig.sim.count("ModifySecurityGroupRules") <= 10, "{:?}", rig.calls());
    rig.sim.clear_faults();
    rig.settled("web-0").await;
    assert_eq!(ports(&rig, &denied), [8443]);
}

const OTHER: &str = "444455556666";
const OTHER_VPC: &str = "vpc-0bbbbbbbbbbbbbbbb";
const ROLE: &str = "arn:aws:iam::444455556666:role/sgwarden";

fn account(name: &str, id: &str, role: Option<&str>) -> String {
    let role = role.map_or_else(String::new, |role| format!("\n  roleArn: {role}"));
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: AwsAccount\nmetadata: {{name: {name}}}\nspec:\n  accountId: \"{id}\"\n  \
         regions: [eu-west-1]\n  allowedNamespaces: {{from: All}}{role}\n"
    )
}

fn in_other(name: &str, port: u16) -> String {
    manifest(name, &[&tcp("https", port, "0.0.0.0/0")]).replace("spec:\n", "spec:\n  account: other\n").replace(VPC, OTHER_VPC)
}

/// A stand-in with two accounts; ours is the first, and goes into the other by a role.
async fn two_accounts() -> Rig {
    let other = VpcSeed { account: OTHER.to_owned(), ..VpcSeed::new(OTHER_VPC) };
    let rig = Rig::over(Config { vpcs: vec![VpcSeed::new(VPC), other], ..Config::default() }).await;
    rig.store.apply_account(&account("default", DEFAULT_ACCOUNT, None));
    rig.store.apply_account(&account("other", OTHER, Some(ROLE)));
    rig
}

fn account_condition(rig: &Rig, name: &str, kind: &str) -> String {
    let status = rig.store.account(name).and_then(|account| account.status).unwrap_or_default();
    status.conditions.into_iter().find(|condition| condition.type_ == kind).map_or_else(String::new, |condition| condition.status)
}

#[tokio::test(start_paused = true)]
async fn a_role_that_trusts_us_no_more_takes_down_its_own_account_only() {
    let mut rig = two_accounts().await;
    // Nobody we are may assume it.
    rig.sim.add_role(RoleSeed { trusts: vec!["999999999999".to_owned()], ..RoleSeed::new(ROLE) }).unwrap();
    rig.start_engine();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.store.apply(&in_other("far", 443));
    rig.settled("web").await;
    rig.condition("far", "Ready", "False", "CredentialsRefused").await;
    let group = rig.group("web");
    rig.intrude(&group, &["ingress tcp 22 from 0.0.0.0/0"]).await;
    rig.until("the edit is taken back", |rig| ports(rig, &group) == [443]).await;
    rig.until("the accounts say so", |rig| {
        account_condition(rig, "default", "CredentialsValid") == "True"
            && account_condition(rig, "other", "CredentialsValid") == "False"
    })
    .await;
    rig.pass(Duration::from_secs(600)).await;
    // The one connection that both objects and the sweeps share is tried now and then.
    assert!(rig.sim.count("AssumeRole") < 400, "{:?}", rig.calls());
    rig.sim.add_role(RoleSeed::new(ROLE)).unwrap();
    rig.settled("far").await;
    rig.until("the account is well", |rig| account_condition(rig, "other", "CredentialsValid") == "True").await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_answers_nothing_holds_up_no_other() {
    let mut rig = two_accounts().await;
    rig.start_engine();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    for n in 0..20 {
        rig.store.apply(&in_other(&format!("far-{n}"), 443));
    }
    rig.settled("web").await;
    for n in 0..20 {
        rig.settled(&format!("far-{n}")).await;
    }
    for fault in [Fault::error("*", "AuthFailure", 401), Fault::error("*", "Unavailable", 503), Fault::drop_connection("*")] {
        rig.sim.inject(Fault { account: Some(OTHER.to_owned()), ..fault });
        // Twenty passes that hang or fail, over eight that may run at a time.
        rig.sim.set_latency(vec![Latency { action: "*".to_owned(), min_ms: 100, max_ms: 100, tail_ms: 0 }]);
        for n in 0..20 {
            rig.store.apply(&in_other(&format!("far-{n}"), 8443));
        }
        let since = tokio::time::Instant::now();
        rig.store.apply(&manifest("web", &[&tcp("https", 8443, "0.0.0.0/0")]));
        rig.settled("web").await;
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
        let group = rig.group("web");
        rig.intrude(&group, &["ingress tcp 22 from 0.0.0.0/0"]).await;
        let since = tokio::time::Instant::now();
        rig.until("the edit is taken back", |rig| ports(rig, &group) == [8443]).await;
        assert!(since.elapsed() < Duration::from_secs(90), "{:?}", since.elapsed());
        rig.sim.set_faults(Faults::default());
        for n in 0..20 {
            rig.settled(&format!("far-{n}")).await;
            rig.store.apply(&in_other(&format!("far-{n}"), 443));
        }
        for n in 0..20 {
            rig.settled(&format!("far-{n}")).await;
        }
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
        rig.settled("web").await;
    }
    let foreign = SimConnector::new(rig.sim.clone(), &INTRUDER.replace(DEFAULT_ACCOUNT, OTHER));
    let foreign = foreign.connect(&Route::own(region())).await.unwrap();
    let groups = foreign.read.groups(&GroupQuery::All).await.unwrap();
    assert_eq!(groups.iter().filter(|group| group.name.starts_with("shop.")).count(), 20);
}
