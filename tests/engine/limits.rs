//! Limits hold up changes and say how to go on; none of them is a shield for an intruder.

use std::time::Duration;

use jiff::Timestamp;

use sgwarden::adapters::sim::{Config, Quotas, VpcSeed};
use sgwarden::core::audit::Phase;

use crate::people::{SOON, account, from_set, set, with};
use crate::rig::{Rig, VPC, manifest, tcp};

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
const APPROVE: &str = "sgwarden.dev/approve";

/// Rules of one port each, from this port on.
fn many(from: u16, count: u16, cidr: &str) -> Vec<String> {
    (from..from + count).map(|port| tcp(&format!("p{port}"), port, cidr)).collect()
}

fn refs(rules: &[String]) -> Vec<&str> {
    rules.iter().map(String::as_str).collect()
}

/// The hash of the plan that waits.
fn hash(rig: &Rig, name: &str) -> String {
    rig.store.get(name).unwrap().status.unwrap().plan.unwrap().hash.unwrap()
}

/// An intruder opens ssh now, and it is closed within a sweep, whatever the engine is held up by.
async fn ssh_is_closed_soon(rig: &Rig, name: &str, why: &str) {
    let group = rig.group(name);
    let open = rig.watch_open(name, SSH);
    rig.intrude(&group, &[SSH]).await;
    rig.pass(SOON + Duration::from_secs(1)).await;
    assert_eq!(open.count(), 1);
    assert!(open.longest() <= SOON, "{why}: open for {:?}", open.longest());
}

#[tokio::test(start_paused = true)]
async fn removals_of_a_change_take_turns_and_an_intruder_hides_behind_none_of_them() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("limits: {revocationsPerMinute: 5}"));
    rig.store.apply(&manifest("web", &refs(&many(1000, 40, "10.0.0.0/8"))));
    rig.store.apply(&manifest("db", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    rig.settled("db").await;
    rig.pass(Duration::from_secs(400)).await;
    let left = |rig: &Rig| crate::people::in_force(&rig.sim, rig.group("web").as_str()).len();
    rig.store.apply(&manifest("web", &[&tcp("p1000", 1000, "10.0.0.0/8")]));
    let message = rig.condition("web", "Ready", "False", "RevocationLimit").await;
    assert!(message.contains("5 rules a minute") && message.contains("limits.revocationsPerMinute"), "{message}");
    // The limit is used up. His rules are of the group that waits, and of another.
    for name in ["web", "db"] {
        ssh_is_closed_soon(&rig, name, "revocationsPerMinute is used up").await;
    }
    // Never more than five within a minute.
    let mut counts = vec![left(&rig)];
    while counts.last() != Some(&1) {
        rig.pass(Duration::from_secs(59)).await;
        counts.push(left(&rig));
        assert!(counts.len() < 20, "{counts:?}");
    }
    assert!(counts.windows(2).all(|pair| pair[0] - pair[1] <= 5), "{counts:?}");
    rig.settled("web").await;
    assert_eq!(rig.told("web", "RevocationLimit").len(), 1, "{:?}", rig.told("web", "RevocationLimit"));
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_removals_go_at_once() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("limits: {revocationsPerMinute: 2}"));
    rig.store.apply(&manifest("web", &refs(&many(1000, 30, "10.0.0.0/8"))));
    rig.start_engine();
    rig.settled("web").await;
    rig.store.apply(&manifest("web", &[&tcp("p1000", 1000, "10.0.0.0/8")]));
    rig.condition("web", "Ready", "False", "RevocationLimit").await;
    rig.store.apply_account(&account("limits: {revocationsPerMinute: 1000}"));
    let since = tokio::time::Instant::now();
    rig.settled("web").await;
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_takes_the_last_source_of_a_rule_waits_for_a_person_and_is_approved_once() {
    let rig = Rig::start().await;
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    rig.store.apply(&manifest("web", &[&from_set("https", 443, "office"), &tcp("dns", 53, "10.0.0.0/8")]));
    rig.settled("web").await;
    let both = [OFFICE, "ingress tcp 53 from 10.0.0.0/8"];
    let one = ["ingress tcp 53 from 10.0.0.0/8"];
    let writes = rig.writes.count();
    rig.store.apply_set(&set("office", &[]));
    let message = rig.condition("web", "Ready", "False", "MassChange").await;
    let first = hash(&rig, "web");
    assert!(message.contains("rule https would lose its last source"), "{message}");
    assert!(
        message
            .contains(&format!("kubectl annotate --overwrite -n shop securitygroups.sgwarden.dev web {APPROVE}='{first} <you>'")),
        "{message}"
    );
    ssh_is_closed_soon(&rig, "web", "a mass change waits").await;
    rig.pass(Duration::from_secs(600)).await;
    assert!(rig.has("web", &both), "nothing but the intruder's rule went");
    assert_eq!(rig.writes.count(), writes + 1);
    assert_eq!(rig.told("web", "MassChange").len(), 1);
    assert_eq!(hash(&rig, "web"), first, "it is the same plan after the revert");
    // The wrong hash lets nothing go, the right one does.
    rig.store.annotate("web", APPROVE, Some(&format!("{} ada", "0".repeat(32))));
    rig.pass(Duration::from_secs(120)).await;
    assert!(rig.has("web", &both));
    rig.store.annotate("web", APPROVE, Some(&format!("{first} ada@example.com")));
    rig.until_has("web", &one).await;
    rig.settled("web").await;
    let told = rig.told("web", "Approved");
    assert!(told.len() == 1 && told[0].contains("ada@example.com"), "{told:?}");
    // The same once more: the annotation is still there, and counts no more.
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    rig.until_has("web", &both).await;
    rig.settled("web").await;
    rig.store.apply_set(&set("office", &[]));
    rig.pass(Duration::from_secs(300)).await;
    rig.condition("web", "Ready", "False", "MassChange").await;
    assert!(rig.has("web", &both), "an approval is spent when its plan was carried out");
}

#[tokio::test(start_paused = true)]
async fn what_takes_a_set_back_is_no_mass_change() {
    let rig = Rig::start().await;
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    rig.store.apply(&manifest("web", &[&from_set("https", 443, "office")]));
    rig.settled("web").await;
    rig.store.apply_set(&set("office", &[]));
    rig.condition("web", "Ready", "False", "MassChange").await;
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    let since = tokio::time::Instant::now();
    rig.settled("web").await;
    assert!(since.elapsed() < Duration::from_secs(5));
    assert!(rig.store.get("web").unwrap().status.unwrap().plan.is_none());
    // A set whose ranges another rule names takes nothing's last source either.
    rig.store.apply(&manifest("both", &[&tcp("branch", 443, "192.0.2.0/24"), &from_set("https", 443, "office")]));
    rig.settled("both").await;
    rig.store.apply_set(&set("office", &["192.0.2.0/24"]));
    rig.until_has("both", &["ingress tcp 443 from 192.0.2.0/24"]).await;
    rig.settled("both").await;
    rig.store.delete("both");
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    rig.until_has("web", &[OFFICE]).await;
    // A set with a range left takes nothing's last source.
    rig.store.apply_set(&set("office", &["10.0.0.0/8", "192.0.2.0/24"]));
    rig.until_has("web", &[OFFICE, "ingress tcp 443 from 192.0.2.0/24"]).await;
    rig.store.apply_set(&set("office", &["192.0.2.0/24"]));
    rig.until_has("web", &["ingress tcp 443 from 192.0.2.0/24"]).await;
}

#[tokio::test(start_paused = true)]
async fn over_a_quarter_and_two_hundred_rules_in_ten_minutes_wait_and_go_once_approved() {
    // Creating groups is no change of what is live, but is counted for ten minutes.
    let rig = four_groups().await;
    let moved = refs(&many(3000, 90, "10.0.0.0/8")).into_iter().map(str::to_owned).collect::<Vec<_>>();
    // 90 go and 90 come: 180 of 360, which is not over 200.
    rig.store.apply(&manifest("a", &refs(&moved)));
    rig.settled("a").await;
    // With 180 more it would be 360.
    rig.store.apply(&manifest("b", &refs(&moved)));
    let message = rig.condition("b", "Ready", "False", "MassChange").await;
    assert!(message.contains("of the 360 rules of account default") && message.contains("25 % and 200"), "{message}");
    let before = rig.live("b").await;
    ssh_is_closed_soon(&rig, "b", "a mass change waits").await;
    assert_eq!(rig.live("b").await, before);
    // What only adds, and what creates, does not wait.
    rig.store.apply(&manifest("e", &refs(&many(1000, 30, "10.0.0.0/8"))));
    rig.settled("e").await;
    let hash = hash(&rig, "b");
    assert!(message.contains(&hash), "{message}");
    rig.store.annotate("b", APPROVE, Some(&format!("{hash} ada")));
    rig.settled("b").await;
    assert!(rig.live("b").await.iter().all(|rule| !before.contains(rule)));
    // Ten minutes later the window is empty, and what was approved never counted.
    rig.pass(Duration::from_secs(700)).await;
    rig.store.apply(&manifest("c", &refs(&moved)));
    rig.settled("c").await;
}

#[tokio::test(start_paused = true)]
async fn changes_wait_for_approval_and_reverts_do_not() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.settled("web").await;
    let asks =
        with("web", &["enforcement: {approval: Required}"], &[&tcp("https", 443, "10.0.0.0/8"), &tcp("dns", 53, "10.0.0.0/8")]);
    rig.store.apply(&asks);
    let message = rig.condition("web", "Ready", "False", "AwaitingApproval").await;
    let hash = hash(&rig, "web");
    assert!(message.contains(&hash) && message.contains(APPROVE), "{message}");
    ssh_is_closed_soon(&rig, "web", "approval is Required").await;
    rig.cut(&rig.group("web"), OFFICE).await;
    rig.until_has("web", &[OFFICE]).await;
    assert_eq!(rig.told("web", "AwaitingApproval").len(), 1);
    rig.store.annotate("web", APPROVE, Some(&format!("{hash} ada")));
    rig.until_has("web", &[OFFICE, "ingress tcp 53 from 10.0.0.0/8"]).await;
    rig.settled("web").await;
    let by: Vec<String> = rig.told("web", "Approved");
    assert_eq!(by, [format!("ada approved plan {hash}; it is carried out now")]);
}

#[tokio::test(start_paused = true)]
async fn a_revert_war_is_told_with_its_subject_and_what_to_do() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("sweepInterval: 10s"));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    let group = rig.group("web");
    for _ in 0..5 {
        rig.intrude(&group, &[SSH]).await;
        rig.until_has("web", &[OFFICE]).await;
        rig.pass(Duration::from_secs(1)).await;
    }
    rig.until("the war is in the condition", |rig| {
        rig.says("web", "Drifted", "False").is_some_and(|text| text.starts_with("RevertWar: ") && text.contains(SSH))
    })
    .await;
    let told = rig.told("web", "RevertWar");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Find who or what does it, or declare what it wants"), "{told:?}");
    // It is Ready all the same: EC2 is as declared.
    rig.settled("web").await;
    // It passes when nothing happens any more.
    rig.pass(Duration::from_secs(1200)).await;
    assert!(
        rig.says("web", "Drifted", "False").is_some_and(|text| !text.starts_with("RevertWar")),
        "{:?}",
        rig.says("web", "Drifted", "False")
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspend_that_the_account_forbids_shields_nobody() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("limits: {enforcement: {suspend: false}}"));
    rig.store.apply(&with(
        "web",
        &["enforcement: {suspend: {until: 2026-11-23T12:00:00Z, reason: mine}}"],
        &[&tcp("https", 443, "10.0.0.0/8")],
    ));
    rig.start_engine();
    rig.settled("web").await;
    rig.store.annotate("web", "sgwarden.dev/suspend", Some("2026-11-23T12:00:00Z mine"));
    rig.pass(Duration::from_secs(5)).await;
    ssh_is_closed_soon(&rig, "web", "the account forbids to suspend").await;
    let limited = rig.says("web", "Limited", "True").unwrap();
    assert!(limited.contains("enforcement.suspend is ignored: account default does not allow it"), "{limited}");
    assert_eq!(rig.told("web", "PolicyLimited").len(), 1);
    assert_eq!(rig.says("web", "Suspended", "True"), None);
}

/// The most rules that changes removed within a minute.
fn most_in_a_minute(rig: &Rig) -> usize {
    let removed: Vec<(Timestamp, usize)> = rig
        .audit
        .all()
        .iter()
        .filter(|record| record.phase == Phase::Outcome && record.operation.starts_with("Revoke"))
        .map(|record| (record.time.parse().unwrap(), record.items.len()))
        .collect();
    let minute = |from: Timestamp| {
        let within = |time: &Timestamp| *time >= from && time.duration_since(from).as_secs() < 60;
        removed.iter().filter(|(time, _)| within(time)).map(|(_, rules)| rules).sum()
    };
    removed.iter().map(|(from, _)| minute(*from)).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn objects_that_change_side_by_side_share_the_removals_of_a_minute() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("limits: {revocationsPerMinute: 5}"));
    let names: Vec<String> = (0..8).map(|n| format!("web-{n}")).collect();
    for name in &names {
        rig.store.apply(&manifest(name, &refs(&many(1000, 6, "10.0.0.0/8"))));
    }
    rig.start_engine();
    for name in &names {
        rig.settled(name).await;
    }
    rig.pass(Duration::from_secs(700)).await;
    for name in &names {
        rig.store.apply(&manifest(name, &refs(&many(1000, 1, "10.0.0.0/8"))));
    }
    for name in &names {
        rig.settled(name).await;
        assert_eq!(rig.live(name).await.len(), 1);
    }
    assert_eq!(most_in_a_minute(&rig), 5);
}

/// Four groups of 90 rules in an account that takes any number of removals, ten minutes after they were made.
async fn four_groups() -> Rig {
    let quotas = Quotas { rules_per_group: 200, ..Quotas::default() };
    let mut rig = Rig::over(Config { vpcs: vec![VpcSeed::new(VPC)], quotas, ..Config::default() }).await;
    rig.store.apply_account(&account("limits: {rulesPerGroup: 200, revocationsPerMinute: 100000}"));
    for group in ["a", "b", "c", "d"] {
        rig.store.apply(&manifest(group, &refs(&many(1000, 90, "10.0.0.0/8"))));
    }
    rig.start_engine();
    for group in ["a", "b", "c", "d"] {
        rig.settled(group).await;
    }
    rig.pass(Duration::from_secs(700)).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn two_halves_of_a_mass_change_at_the_same_moment_are_one() {
    let rig = four_groups().await;
    for group in ["a", "b"] {
        rig.store.apply(&manifest(group, &refs(&many(3000, 90, "10.0.0.0/8"))));
    }
    rig.pass(Duration::from_secs(120)).await;
    let waits = |group: &str| rig.says(group, "Ready", "False").is_some_and(|text| text.starts_with("MassChange"));
    assert!(waits("a") != waits("b"), "one goes, the other waits\n{}", rig.describe());
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_was_left_behind_exempts_nothing_from_the_count() {
    let rig = four_groups().await;
    // Of another plan, of long ago.
    rig.store.annotate("a", APPROVE, Some(&format!("{} ada", "0".repeat(32))));
    rig.store.apply(&manifest("a", &refs(&many(3000, 90, "10.0.0.0/8"))));
    rig.settled("a").await;
    rig.store.apply(&manifest("b", &refs(&many(3000, 90, "10.0.0.0/8"))));
    rig.condition("b", "Ready", "False", "MassChange").await;
}
