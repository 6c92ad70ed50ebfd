//! An apiserver or an EC2 that does not answer for a while: whatever is under way then is taken up again, nothing is made twice,
//! and nothing is left behind.

use std::time::Duration;

use sgwarden::adapters::sim::{Fault, Sim};
use sgwarden::api::{FINALIZER, SecurityGroupStatus, conditions};
use sgwarden::core::audit::Phase;
use sgwarden::ports::cloud::GroupQuery;

use crate::rig::{OURS, Rig, manifest, tcp};

const HTTPS: &str = "ingress tcp 443 from 0.0.0.0/0";

/// The ids of the groups that carry our tags.
async fn ours(rig: &Rig) -> Vec<String> {
    let tags = [("sgwarden.dev/cluster".to_owned(), "c1".to_owned())].into();
    let groups = rig.intruder.read.groups(&GroupQuery::Tagged(tags)).await.unwrap();
    groups.into_iter().map(|group| group.id.to_string()).collect()
}

/// Our calls of an action, with their times.
fn calls(rig: &Rig, action: &str) -> Vec<jiff::Timestamp> {
    let calls = rig.sim.calls();
    let calls = calls.iter().filter(|call| call.access_key == OURS && call.action == action);
    calls.map(|call| call.time.parse().unwrap()).collect()
}

fn drift(rig: &Rig) -> Vec<String> {
    let status: SecurityGroupStatus = rig.store.get("web").unwrap().status.unwrap();
    let told = status.drift.iter().map(|record| format!("{} {}", record.resolution, record.atoms[0].kind));
    told.collect()
}

async fn with_web() -> Rig {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
    rig.settled("web").await;
    rig.sim.clear_calls();
    rig
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_during_a_create_gets_its_group_later_and_only_one() {
    // From the very beginning; and from each of the first three writes to EC2 on.
    for after in 0..4_usize {
        let rig = Rig::start().await;
        let (store, writes) = (rig.store.clone(), rig.writes.clone());
        rig.writes.witness(std::sync::Arc::new(move |_: &Sim| {
            if writes.count() == after {
                store.be_silent(true);
            }
        }));
        rig.store.be_silent(after == 0);
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
        rig.pass(Duration::from_secs(200)).await;
        let written = rig.writes.count();
        assert!(written >= after, "the store fell silent after {written} writes");
        if after == 0 {
            assert_eq!(written, 0, "nothing is written to EC2 before it is written down");
            assert_eq!(ours(&rig).await, Vec::<String>::new());
        } else {
            assert_eq!(ours(&rig).await.len(), 1);
        }
        rig.writes.witness(std::sync::Arc::new(|_: &Sim| {}));
        rig.store.be_silent(false);
        let object = rig.settled("web").await;
        assert_eq!(rig.live("web").await, [HTTPS], "silent after {after} writes");
        assert_eq!(ours(&rig).await, [object.status.clone().unwrap().group_id.unwrap()]);
        assert_eq!(object.status.unwrap().origin.as_deref(), Some("Created"));
        assert_eq!(drift(&rig), Vec::<String>::new(), "silent after {after} writes");
    }
}

#[tokio::test(start_paused = true)]
async fn an_added_rule_is_revoked_within_a_second_of_being_seen_while_the_store_is_silent() {
    let rig = with_web().await;
    rig.store.be_silent(true);
    let group = rig.group("web");
    rig.intrude(&group, &["ingress tcp 3389 from 0.0.0.0/0"]).await;
    let edited = rig.now();
    rig.until("the rule is revoked", |rig| !calls(rig, "RevokeSecurityGroupIngress").is_empty()).await;
    assert_eq!(rig.live("web").await.len(), 2);
    let seen = calls(&rig, "DescribeSecurityGroups").into_iter().find(|time| *time >= edited).unwrap();
    let revoked = calls(&rig, "RevokeSecurityGroupIngress")[0];
    let took = revoked.duration_since(seen).as_millis();
    assert!(took <= 1500, "revoked {took} ms after the first look that showed it");
    assert_eq!(drift(&rig), Vec::<String>::new(), "the store has taken nothing");
    let intents = rig.audit.all().into_iter().filter(|record| record.phase == Phase::Intent && record.items[0].cause == "Drift");
    assert_eq!(intents.count(), 1, "but the audit has it");
    // The store answers again: what happened meanwhile is told.
    rig.store.be_silent(false);
    rig.until("the record comes", |rig| !drift(rig).is_empty()).await;
    rig.settled("web").await;
    assert_eq!(drift(&rig), ["Reverted Added"]);
    let events = rig.store.events();
    assert_eq!(events.iter().filter(|(_, notice)| notice.reason == "DriftReverted").count(), 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn what_opens_is_taken_back_and_what_closes_waits_for_its_record() {
    let rig = with_web().await;
    rig.store.be_silent(true);
    let group = rig.group("web");
    rig.cut(&group, HTTPS).await;
    rig.pass(Duration::from_secs(400)).await;
    assert_eq!(rig.writes.count(), calls_before(&rig), "a restore is written down before it is made");
    rig.store.be_silent(false);
    rig.until("it is restored", |rig| !calls(rig, "AuthorizeSecurityGroupIngress").is_empty()).await;
    rig.settled("web").await;
    assert_eq!(rig.live("web").await.len(), 2);
    assert_eq!(drift(&rig), ["Reverted Removed"]);
}

/// How many writes the creation of the group took.
fn calls_before(rig: &Rig) -> usize {
    rig.audit
        .all()
        .iter()
        .filter(|record| record.phase == Phase::Intent && record.items.iter().all(|item| item.cause != "Drift"))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_for_ec2_and_leaves_nothing() {
    let mut rig = with_web().await;
    let group = rig.group("web").to_string();
    rig.sim.inject(Fault::error("*", "Unavailable", 503));
    rig.store.delete("web");
    rig.pass(Duration::from_secs(700)).await;
    let held = |rig: &Rig| {
        let object = rig.store.get("web").expect("the object waits for its group");
        assert_eq!(object.metadata.finalizers, Some(vec![FINALIZER.to_owned()]));
        object.status.unwrap()
    };
    let ready = held(&rig).conditions.into_iter().find(|condition| condition.type_ == conditions::READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "CloudUnavailable"), "{}", ready.message);
    // Another process finds EC2 as silent.
    rig.kill_engine().await;
    rig.start_engine();
    rig.pass(Duration::from_secs(120)).await;
    assert_eq!(held(&rig).group_id.as_deref(), Some(group.as_str()));
    rig.sim.clear_faults();
    assert_eq!(ours(&rig).await, [group]);
    rig.gone("web").await;
    assert_eq!(ours(&rig).await, Vec::<String>::new());
    // The group was deleted once, by a call that has its record.
    let deleted =
        rig.audit.all().into_iter().filter(|record| record.operation == "DeleteSecurityGroup" && record.outcome.is_some());
    assert_eq!(deleted.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_when_the_group_is_deleted_lets_the_object_go_later() {
    let rig = with_web().await;
    let store = rig.store.clone();
    rig.writes.witness(std::sync::Arc::new(move |_: &Sim| store.be_silent(true)));
    rig.store.delete("web");
    rig.pass(Duration::from_secs(200)).await;
    assert_eq!(ours(&rig).await, Vec::<String>::new());
    let object = rig.store.get("web").expect("nobody has taken the finalizer off yet");
    assert_eq!(object.metadata.finalizers, Some(vec![FINALIZER.to_owned()]));
    rig.store.be_silent(false);
    rig.gone("web").await;
    assert_eq!(calls(&rig, "DeleteSecurityGroup").len(), 1, "there is nothing to delete again");
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_is_lost_makes_one_group() {
    let rig = Rig::start().await;
    rig.sim.inject(Fault::error("CreateSecurityGroup", "Unavailable", 503).after_applying().times(1));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.settled("web").await;
    assert_eq!(ours(&rig).await, [rig.group("web").to_string()]);
    assert_eq!(rig.live("web").await, [HTTPS]);
    assert_eq!(calls(&rig, "CreateSecurityGroup").len(), 1);
    assert_eq!(drift(&rig), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_comes_while_ec2_is_silent_gets_its_group_later() {
    let rig = Rig::idle().await;
    rig.sim.inject(Fault::error("*", "Unavailable", 503));
    let mut rig = rig;
    rig.start_engine();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.condition("web", conditions::READY, "False", "CloudUnavailable").await;
    rig.pass(Duration::from_secs(600)).await;
    rig.sim.clear_faults();
    let since = rig.now();
    rig.settled("web").await;
    assert!(rig.now().duration_since(since).as_secs() < 400, "no pause is longer than five minutes");
    assert_eq!(rig.live("web").await, [HTTPS]);
    assert_eq!(ours(&rig).await.len(), 1);
}
