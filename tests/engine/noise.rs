//! What many messages must not do: hold up the hint about another group, or cost a read each.

use std::time::Duration;

use serde_json::json;
use sgwarden::adapters::sim::Delivery;
use sgwarden::core::model::SecurityGroupId;

use crate::authors::bare;
use crate::events::AT_REST;
use crate::people::in_force;
use crate::rig::{Rig, manifest, tcp};

const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";

/// Two groups at rest, with an engine that reads events and hardly ever sweeps.
async fn two_groups() -> (Rig, SecurityGroupId, SecurityGroupId) {
    let mut rig = Rig::idle().await;
    rig.timings.sweep = Duration::from_secs(3600);
    rig.listen();
    for name in ["web", "api"] {
        rig.store.apply(&manifest(name, &[&tcp("https", 443, "10.0.0.0/8")]));
    }
    rig.start_engine();
    for name in ["web", "api"] {
        rig.settled(name).await;
    }
    rig.pass(AT_REST).await;
    let (web, api) = (rig.group("web"), rig.group("api"));
    (rig, web, api)
}

fn is_open(rig: &Rig, group: &SecurityGroupId) -> bool {
    in_force(&rig.sim, group.as_str()).iter().any(|rule| rule == SSH)
}

/// An edit of which no read will ever show anything.
fn gone_already(rig: &Rig, number: usize, group: &SecurityGroupId) -> String {
    let permission =
        json!({"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "198.51.100.0/24"}]}});
    bare(
        rig,
        number,
        "AuthorizeSecurityGroupIngress",
        &json!({"groupId": group.as_str(), "ipPermissions": {"items": [permission]}}),
    )
}

#[tokio::test(start_paused = true)]
async fn a_flood_about_one_group_keeps_out_no_hint_about_another() {
    let (rig, web, api) = two_groups().await;
    for number in 0..4500 {
        rig.queue.put(&gone_already(&rig, number, &web));
    }
    rig.pass(Duration::from_secs(10)).await;
    let before = rig.now();
    rig.intrude(&api, &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig, &api)).await;
    let took = rig.now().duration_since(before);
    assert!(took.as_secs() <= 3, "{took}");
    rig.intrude(&web, &[SSH]).await;
    rig.until("and there as well", |rig| !is_open(rig, &web)).await;
    rig.until("in the end all are done with", |rig| rig.queue.is_empty()).await;
    let records = rig.store.get("web").unwrap().status.unwrap().drift;
    let told: i32 = records.iter().filter(|record| record.resolution == "Transient").map(|record| record.count).sum();
    assert!(told > 0, "what was open for a while is told");
}

#[tokio::test(start_paused = true)]
async fn messages_about_one_group_share_the_looks_they_wait_for() {
    let (rig, web, _) = two_groups().await;
    rig.sim.clear_calls();
    for number in 0..100 {
        rig.queue.put(&gone_already(&rig, number, &web));
        rig.pass(Duration::from_millis(150)).await;
    }
    rig.until("all are done with", |rig| rig.queue.is_empty()).await;
    let reads = rig.calls().get("DescribeSecurityGroupRules").copied().unwrap_or_default();
    assert!(reads <= 100, "{reads} reads for 100 messages that are looked after six times each");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_may_hide_a_change_makes_for_a_sweep_and_a_flood_of_them_for_one_a_minute() {
    let (rig, web, _) = two_groups().await;
    rig.sim.set_delivery(Delivery { loss: 1.0, ..Delivery::default() });
    rig.intrude(&web, &[SSH]).await;
    let before = rig.now();
    // Somebody did something, at a time that nobody can read.
    let hidden = |number: usize| {
        let told = gone_already(&rig, number, &web);
        told.replace("\"eventTime\"", "\"eventTimes\"")
    };
    rig.queue.put(&hidden(0));
    rig.until("ssh is closed", |rig| !is_open(rig, &web)).await;
    let took = rig.now().duration_since(before);
    assert!(took.as_secs() <= 5, "the last sweep was long ago: {took}");

    rig.pass(AT_REST).await;
    rig.sim.clear_calls();
    for number in 1..600 {
        rig.queue.put(&hidden(number));
        rig.pass(Duration::from_secs(1)).await;
    }
    rig.until("they are let go of", |rig| rig.queue.is_empty()).await;
    let sweeps = rig.calls().get("DescribeSecurityGroups").copied().unwrap_or_default();
    assert!((8..=14).contains(&sweeps), "{sweeps} sweeps in twelve minutes");
}
