//! Workers by route: made, shared, told apart, stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::model::AccountId;
use crate::ports::cloud::{ErrorClass, Role, Route};

use super::super::{RegionSettings, Urgency};
use super::fake::{Fake, Trouble, Ways, error};
use super::{MINUTE, Rig, id, key, pass, regions, route, secs, settings};

const GROUPS: &str = "DescribeSecurityGroups";

#[tokio::test(start_paused = true)]
async fn a_route_is_connected_once_for_all_who_ask_at_the_same_time() {
    let ways = Ways { open: [("eu-west-1".to_owned(), Arc::new(Fake::default()))].into(), ..Ways::default() };
    let (regions, ways, _woken, _) = regions(ways);
    let all =
        futures::future::join_all((0..100).map(|_| async { regions.worker(&route("eu-west-1"), &settings()).await.unwrap() }));
    let workers = all.await;
    assert!(workers.iter().all(|worker| Arc::ptr_eq(worker, &workers[0])));
    assert_eq!(ways.connections.lock().unwrap().len(), 1);
    assert_eq!((workers[0].account().as_str(), workers[0].region().as_str()), ("111122223333", "eu-west-1"));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_fails_or_hangs_holds_up_nobody_else() {
    let ways = Ways {
        open: [("eu-west-1".to_owned(), Arc::new(Fake::default()))].into(),
        hanging: ["us-east-1".to_owned()].into(),
        ..Ways::default()
    };
    let (regions, ways, _woken, _) = regions(ways);
    let hanging = tokio::spawn({
        let regions = regions.clone();
        async move { regions.worker(&route("us-east-1"), &settings()).await.is_ok() }
    });
    pass(secs(1)).await;
    let refused = regions.worker(&route("ap-south-1"), &settings()).await.err().unwrap();
    assert_eq!(refused.class, ErrorClass::Credentials);
    assert!(regions.worker(&route("eu-west-1"), &settings()).await.is_ok());
    assert!(!hanging.is_finished());

    // A thousand objects of the account that fails do not try one after the other.
    for _ in 0..1000 {
        assert!(regions.worker(&route("ap-south-1"), &settings()).await.is_err());
    }
    let tries = || ways.connections.lock().unwrap().iter().filter(|tried| tried.region.as_str() == "ap-south-1").count();
    assert_eq!(tries(), 1);
    pass(secs(6)).await;
    assert!(regions.worker(&route("ap-south-1"), &settings()).await.is_err());
    assert_eq!(tries(), 2);

    let freshness = regions.freshness();
    let told: Vec<(&str, bool)> = freshness.iter().map(|fresh| (fresh.region.as_str(), fresh.failure.is_some())).collect();
    assert_eq!(told, [("ap-south-1", true), ("eu-west-1", false), ("us-east-1", false)]);
    assert!(freshness[0].account.is_none() && freshness[0].last_sweep.is_none());
    assert_eq!(freshness[1].account.as_ref().map(AccountId::as_str), Some("111122223333"));
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_not_wanted_any_more_is_not_swept() {
    let mut rig = Rig::settled(3).await;
    let other =
        Route { role: Some(Role { arn: "arn:aws:iam::111122223333:role/x".into(), external_id: None }), ..route("eu-west-1") };
    rig.regions.worker(&other, &settings()).await.unwrap();
    rig.regions.retain(&BTreeSet::from([other]));
    pass(secs(1)).await;
    let before = rig.ec2.count(GROUPS);
    rig.ec2.edit(|world| world.groups.clear());
    pass(3 * MINUTE).await;
    let sweeps = rig.ec2.count(GROUPS) - before;
    assert!((2..=4).contains(&sweeps), "one of the two sweeps on: {sweeps}");
    assert!(rig.woken().is_empty(), "the one that knows the objects has stopped");
    assert_eq!(rig.regions.freshness().len(), 1);
    drop(rig.worker);
    drop(rig.regions);
    pass(secs(1)).await;
    let before = rig.ec2.count(GROUPS);
    pass(5 * MINUTE).await;
    assert_eq!(rig.ec2.count(GROUPS), before, "without the registry nothing is swept");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_known_by_another_route_into_the_same_account() {
    let rig = Rig::settled(1).await;
    let rule = rig.observe(1).await.rules.into_keys().next().unwrap();
    rig.ec2.lag(secs(30));
    let writer = rig.worker.writer(Urgency::Change);
    writer.revoke(&id(1), crate::core::model::Direction::Ingress, &[rule]).await.unwrap();
    let other = Route { endpoint: Some("https://ec2.example".into()), ..route("eu-west-1") };
    rig.regions.retain(&BTreeSet::from([other.clone()]));
    let worker = rig.regions.worker(&other, &settings()).await.unwrap();
    assert!(worker.observe(&id(1)).await.unwrap().unwrap().rules.is_empty());
    assert!(worker.wrote_recently(&id(1)));
}

#[tokio::test(start_paused = true)]
async fn other_settings_hold_at_once() {
    let rig = Rig::settled(1).await;
    let slow = RegionSettings { sweep_interval: 10 * MINUTE, ..settings() };
    rig.regions.worker(&route("eu-west-1"), &slow).await.unwrap();
    pass(2 * MINUTE).await;
    let fast = RegionSettings { account_name: "production".into(), sweep_interval: secs(5), ..settings() };
    rig.regions.worker(&route("eu-west-1"), &fast).await.unwrap();
    let before = rig.ec2.count(GROUPS);
    pass(secs(60)).await;
    let sweeps = rig.ec2.count(GROUPS) - before;
    assert!((10..=14).contains(&sweeps), "{sweeps}");
    assert_eq!(rig.regions.freshness()[0].account_name, "production");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &rig.metrics.registry()).unwrap();
    assert!(text.contains("account=\"production\"") && !text.contains("account=\"prod\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn freshness_tells_what_the_last_sweep_saw() {
    let rig = Rig::settled(3).await;
    rig.ec2.edit(|world| {
        world.groups.insert(id(9), super::fake::group(9, []));
    });
    pass(2 * MINUTE).await;
    rig.ec2.next(GROUPS, Trouble::Fail(error(GROUPS, ErrorClass::Unavailable)));
    // It is tried again after about a second.
    while rig.regions.freshness()[0].failure.is_none() {
        pass(Duration::from_millis(100)).await;
    }
    let fresh = rig.regions.freshness().remove(0);
    assert_eq!((fresh.groups, fresh.managed, fresh.unmanaged, fresh.rules), (4, 3, 1, 3));
    let age = "2026-11-22T21:00:00Z".parse::<jiff::Timestamp>().unwrap() + secs(400);
    assert!(fresh.last_sweep.unwrap() > age, "{fresh:?}");
    pass(secs(10)).await;
    assert_eq!(rig.regions.freshness()[0].failure, None, "it was tried again and went well");
}

#[tokio::test(start_paused = true)]
async fn a_write_of_a_pass_that_was_given_up_counts_as_recent() {
    let rig = Rig::settled(1).await;
    assert!(!rig.worker.wrote_recently(&id(1)));
    rig.ec2.next("DeleteSecurityGroup", Trouble::Hang);
    let writer = rig.worker.writer(Urgency::Change);
    let given_up = tokio::time::timeout(Duration::from_secs(8), writer.delete_group(&id(1))).await;
    assert!(given_up.is_err() && rig.worker.wrote_recently(&id(1)));
    assert!(rig.worker.observe(&id(1)).await.unwrap().is_some(), "what became of it is read, not assumed");
    pass(secs(301)).await;
    assert!(!rig.worker.wrote_recently(&id(1)));
    rig.worker.forget(&key(1));
}
