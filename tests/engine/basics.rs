//! The everyday life of groups: created, changed, edited behind our back, deleted; and what that costs in calls.

use std::time::Duration;

use crate::rig::{Rig, manifest, tcp};

#[tokio::test(start_paused = true)]
async fn a_group_is_created_and_an_edit_is_taken_back() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.settled("web").await;
    assert_eq!(rig.live("web").await, ["ingress tcp 443 from 0.0.0.0/0"]);
    let group = rig.group("web");
    rig.intrude(&group, &["ingress tcp 22 from 0.0.0.0/0"]).await;
    rig.pass(Duration::from_secs(90)).await;
    assert_eq!(rig.live("web").await, ["ingress tcp 443 from 0.0.0.0/0"]);
    let drift = rig.settled("web").await.status.unwrap().drift;
    assert_eq!(drift.len(), 1);
    assert_eq!(drift[0].resolution, "Reverted");
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_region_costs_one_listing_a_sweep_and_no_write() {
    let rig = Rig::start().await;
    for n in 0..20 {
        rig.store.apply(&manifest(&format!("web-{n}"), &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
    }
    for n in 0..20 {
        rig.settled(&format!("web-{n}")).await;
    }
    // Until every sweep that began before the last write is through, and the first deep one.
    rig.pass(Duration::from_secs(500)).await;
    let writes = rig.store.writes();
    rig.sim.clear_calls();
    rig.pass(Duration::from_secs(600)).await;
    let calls = rig.calls();
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["DescribeSecurityGroups"], "{calls:?}");
    assert!((9..=11).contains(&calls["DescribeSecurityGroups"]), "{calls:?}");
    assert_eq!(rig.store.writes(), writes);
}
