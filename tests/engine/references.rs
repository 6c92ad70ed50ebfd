//! What rules refer to changes: groups, sets, names in AWS. Everybody who uses it follows at once, or stays where he is and says so.

use std::time::Duration;

use sgwarden::adapters::sim::{Config, VpcSeed};
use tokio::time::Instant;

use crate::people::{ACCOUNT, account, from_set, in_force, set, with};
use crate::rig::{REGION, Rig, VPC, manifest, tcp};

/// From our seeing a change of what is referred to until all who use it are planned anew.
const AT_ONCE: Duration = Duration::from_millis(1_050);

/// One rule: tcp, a port, from the group of another object.
fn from_group(port: u16, group: &str) -> String {
    format!("{{name: from-{group}, protocol: tcp, ports: [{port}], from: [{{securityGroup: {{name: {group}}}}}]}}")
}

/// The rules of a group that let another in.
fn lets_in(rig: &Rig, name: &str, group: &str) -> bool {
    in_force(&rig.sim, rig.group(name).as_str()).iter().any(|rule| rule.ends_with(group))
}

fn group_of(rig: &Rig, name: &str) -> Option<String> {
    rig.store.get(name)?.status?.group_id
}

#[tokio::test(start_paused = true)]
async fn users_of_a_group_follow_its_new_id_within_a_second() {
    let rig = Rig::start().await;
    let users = ["web", "api", "job"];
    let db = with("db", &["deletionPolicy: Retain"], &[]);
    rig.store.apply(&db);
    for user in users {
        rig.store.apply(&manifest(user, &[&from_group(5432, "db")]));
    }
    for user in users {
        rig.settled(user).await;
    }
    let old = group_of(&rig, "db").unwrap();
    rig.pass(Duration::from_secs(400)).await;
    rig.store.delete("db");
    rig.gone("db").await;
    // A reference that is not there takes nothing away.
    rig.pass(Duration::from_secs(120)).await;
    assert!(users.iter().all(|user| lets_in(&rig, user, &old)));
    let cuts: Vec<_> = users.iter().map(|user| rig.watch(user, <[String]>::is_empty)).collect();
    // The one it had stays, and is nobody's from now on.
    let old_id = old.parse().unwrap();
    rig.untag(&old_id, &["sgwarden.dev/cluster", "sgwarden.dev/owner", "sgwarden.dev/uid", "sgwarden.dev/origin"]).await;
    rig.store.apply(&db.replace("spec:\n", "spec:\n  groupName: db-2\n"));
    rig.until("there is a new group", |rig| group_of(rig, "db").is_some_and(|id| id != old)).await;
    let (since, new) = (Instant::now(), group_of(&rig, "db").unwrap());
    rig.until("all let the new group in", |rig| users.iter().all(|user| lets_in(rig, user, &new))).await;
    assert!(since.elapsed() <= AT_ONCE, "{:?}", since.elapsed());
    rig.until("none lets the old group in", |rig| !users.iter().any(|user| lets_in(rig, user, &old))).await;
    assert!(since.elapsed() <= Duration::from_secs(12), "{:?}", since.elapsed());
    assert!(cuts.iter().all(|cut| cut.count() == 0), "somebody was let in all the time");
    for user in users {
        rig.settled(user).await;
        assert!(rig.drift(user).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn users_of_a_group_that_somebody_deleted_follow_the_one_that_takes_its_place() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("db", &[]));
    rig.store.apply(&manifest("web", &[&from_group(5432, "db")]));
    rig.settled("web").await;
    rig.pass(Duration::from_secs(400)).await;
    let old = rig.group("db");
    let rules: Vec<_> = rig.rules(&rig.group("web")).await.into_iter().map(|rule| rule.id).collect();
    rig.intruder.write.revoke(&rig.group("web"), sgwarden::core::model::Direction::Ingress, &rules).await.unwrap();
    rig.intruder.write.delete_group(&old).await.unwrap();
    rig.until("it is created again", |rig| group_of(rig, "db").is_some_and(|id| id != old.as_str())).await;
    let (since, new) = (Instant::now(), group_of(&rig, "db").unwrap());
    rig.until("web lets the new group in", |rig| lets_in(rig, "web", &new)).await;
    assert!(since.elapsed() <= AT_ONCE, "{:?}", since.elapsed());
    rig.settled("web").await;
    rig.settled("db").await;
}

#[tokio::test(start_paused = true)]
async fn users_of_a_set_follow_an_edit_within_a_second_and_a_broken_edit_changes_nothing() {
    let rig = Rig::start().await;
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    let users: Vec<String> = (0..20).map(|n| format!("web-{n}")).collect();
    for user in &users {
        rig.store.apply(&manifest(user, &[&from_set("https", 443, "office")]));
    }
    rig.store.apply(&manifest("other", &[&tcp("https", 443, "10.0.0.0/8")]));
    for user in &users {
        rig.settled(user).await;
    }
    rig.pass(Duration::from_secs(400)).await;
    let since = Instant::now();
    rig.store.apply_set(&set("office", &["10.0.0.0/8", "192.0.2.0/24"]));
    let both = ["ingress tcp 443 from 10.0.0.0/8", "ingress tcp 443 from 192.0.2.0/24"];
    rig.until("all follow", |rig| users.iter().all(|user| rig.has(user, &both))).await;
    assert!(since.elapsed() <= AT_ONCE, "{:?}", since.elapsed());
    for user in &users {
        rig.settled(user).await;
        assert!(rig.drift(user).is_empty());
    }
    assert!(rig.has("other", &both[..1]));
    assert_eq!(rig.done_because("ReferenceChange").len(), users.len());
    // A set that cannot be read, and one that is gone, are no empty ones.
    rig.store.apply_set(&set("office", &["10.0.0.1/8"]));
    rig.condition("web-0", "ReferencesResolved", "False", "ReferencesNotReady").await;
    rig.pass(Duration::from_secs(60)).await;
    rig.store.delete_set("shop", "office");
    rig.pass(Duration::from_secs(300)).await;
    assert!(users.iter().all(|user| rig.has(user, &both)));
    rig.store.apply_set(&set("office", &["192.0.2.0/24"]));
    rig.until("all follow", |rig| users.iter().all(|user| rig.has(user, &both[1..]))).await;
}

/// Three hundred groups that let a set in, under these limits, settled.
async fn crowd(limits: &str) -> (Rig, Vec<String>) {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account(limits));
    rig.store.apply_set(&set("office", &["10.0.0.0/8"]));
    let users: Vec<String> = (0..300).map(|n| format!("web-{n}")).collect();
    for user in &users {
        rig.store.apply(&manifest(user, &[&from_set("https", 443, "office")]));
    }
    rig.start_engine();
    for user in &users {
        rig.settled(user).await;
    }
    rig.pass(Duration::from_secs(700)).await;
    (rig, users)
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_a_set_costs_its_three_hundred_users_two_writes_each_and_shared_reads() {
    let (rig, users) = crowd("limits: {revocationsPerMinute: 100000, massChange: {percent: 100, rules: 1000000}}").await;
    rig.sim.clear_calls();
    let since = Instant::now();
    // Of another family, so that no row can become it in place.
    rig.store.apply_set(&set("office", &["2001:db8::/32"]));
    let new = ["ingress tcp 443 from 2001:db8::/32"];
    rig.until("all have the new rule alone", |rig| users.iter().all(|user| rig.has(user, &new))).await;
    for user in &users {
        rig.settled(user).await;
    }
    let took = since.elapsed();
    let calls = rig.calls();
    let count = |action: &str| calls.get(action).copied().unwrap_or_default();
    assert_eq!(count("AuthorizeSecurityGroupIngress"), 300, "{calls:?}");
    assert_eq!(count("RevokeSecurityGroupIngress"), 300, "{calls:?}");
    let writes: u64 = calls.iter().filter(|(action, _)| !action.starts_with("Describe")).map(|(_, count)| count).sum();
    assert_eq!(writes, 600, "{calls:?}");
    // Those that are looked at together share their reads. Seeing what was authorized, and what was revoked, is each one's own: the
    // writes are a third of a second apart, as EC2's rates have it.
    assert!(count("DescribeSecurityGroups") <= 200, "{calls:?} in {took:?}");
    assert!(count("DescribeSecurityGroupRules") <= 2 * 300 + 100, "{calls:?} in {took:?}");
    assert!(users.iter().all(|user| rig.has(user, &new)));
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_a_set_that_three_hundred_groups_use_waits_for_a_person_where_nobody_raised_the_limit() {
    let (rig, users) = crowd("").await;
    rig.store.apply_set(&set("office", &["2001:db8::/32"]));
    rig.pass(Duration::from_secs(1200)).await;
    let waiting =
        users.iter().filter(|user| rig.says(user, "Ready", "False").is_some_and(|text| text.starts_with("MassChange"))).count();
    let changed = users.iter().filter(|user| rig.has(user, &["ingress tcp 443 from 2001:db8::/32"])).count();
    assert_eq!(waiting + changed, 300);
    // What is under way at the same time is counted when it is done.
    assert!((90..=110).contains(&changed), "{changed} changed before the two hundredth rule");
    let held: Vec<&String> = users.iter().filter(|user| rig.says(user, "Ready", "False").is_some()).collect();
    assert!(held.iter().all(|user| rig.has(user, &["ingress tcp 443 from 10.0.0.0/8"])), "what waits is as it was");
}

#[tokio::test(start_paused = true)]
async fn a_prefix_list_that_took_anothers_name_is_not_followed() {
    let rig = Rig::start().await;
    let first = rig.prefix_list("corp", "192.0.2.0/24");
    rig.store.apply(&manifest("web", &["{name: https, protocol: tcp, ports: [443], from: [{prefixListName: corp}]}"]));
    rig.settled("web").await;
    assert!(lets_in(&rig, "web", &first));
    let writes = rig.writes.count();
    rig.pass(Duration::from_secs(600)).await;
    rig.call("ModifyManagedPrefixList", &[("PrefixListId", &first), ("PrefixListName", "old-corp")]);
    let second = rig.prefix_list("corp", "198.51.100.0/24");
    let message = rig.condition("web", "ReferencesResolved", "True", "NameMoved").await;
    for part in [first.as_str(), second.as_str(), "prefixListName corp now finds"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(rig.writes.count(), writes);
    assert!(lets_in(&rig, "web", &first) && !lets_in(&rig, "web", &second));
    rig.settled("web").await;
    // Another object that names it now means the second.
    rig.store.apply(&manifest("api", &["{name: https, protocol: tcp, ports: [443], from: [{prefixListName: corp}]}"]));
    rig.settled("api").await;
    assert!(lets_in(&rig, "api", &second));
    // Whoever writes the id means it.
    rig.store
        .apply(&manifest("web", &[&format!("{{name: https, protocol: tcp, ports: [443], from: [{{prefixListId: {second}}}]}}")]));
    rig.settled("web").await;
    assert!(lets_in(&rig, "web", &second) && !lets_in(&rig, "web", &first));
    assert_eq!(rig.says("web", "ReferencesResolved", "True").unwrap(), "Succeeded: every reference is known");
}

#[tokio::test(start_paused = true)]
async fn a_vpc_that_took_anothers_name_is_not_followed() {
    const OTHER: &str = "vpc-0ffffffffffffffff";
    let vpcs = vec![VpcSeed::new(VPC), VpcSeed::new(OTHER)];
    let mut rig = Rig::over(Config { vpcs, ..Config::default() }).await;
    rig.sim.put_tag(ACCOUNT, REGION, VPC, "Name", "main");
    rig.start_engine();
    let by_name = manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]).replace(&format!("{{id: {VPC}}}"), "{name: main}");
    rig.store.apply(&by_name);
    rig.settled("web").await;
    let (group, writes) = (rig.group("web"), rig.writes.count());
    // What a name stands for is looked up once an hour.
    rig.pass(Duration::from_secs(600)).await;
    rig.sim.put_tag(ACCOUNT, REGION, VPC, "Name", "former");
    rig.sim.put_tag(ACCOUNT, REGION, OTHER, "Name", "main");
    let message = rig.condition("web", "ReferencesResolved", "True", "NameMoved").await;
    assert!(message.contains(&format!("the group stays in {VPC}, though spec.vpc now finds {OTHER}")), "{message}");
    assert_eq!(rig.writes.count(), writes);
    // It is kept where it is.
    rig.intrude(&group, &["ingress tcp 22 from 0.0.0.0/0"]).await;
    rig.until_has("web", &["ingress tcp 443 from 10.0.0.0/8"]).await;
    assert_eq!(rig.group("web"), group);
    rig.settled("web").await;
}
