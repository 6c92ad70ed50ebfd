//! Permits: when there is one, and who waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, advance};

use super::world::{Pace, World};
use super::{Switch, anchored, secs};
use crate::core::model::{
    AccountId, Direction, ListedGroup, LiveRule, PrefixListFacts, SecurityGroupId, StaleRules, VpcAssociations, VpcFacts, VpcId,
};
use crate::engine::leader::{Fence, FencedConnect, FencedWrite, NotLeader, Permit};
use crate::ports::clock::Timings;
use crate::ports::cloud::{
    CloudError, Connect, Ec2, Ec2Read, Ec2Write, ErrorClass, GroupQuery, Interface, NoActivity, PrefixListQuery, Route, VpcQuery,
};

fn closed() -> Fence {
    Fence::closed(&anchored(), &Timings::default())
}

fn opened() -> Fence {
    let fence = closed();
    fence.open(fence.steady().now(), None);
    fence
}

fn refusal(fence: &Fence) -> Option<NotLeader> {
    assert_eq!(fence.check().err(), fence.permit().map(Permit::ended).err());
    fence.check().err()
}

#[tokio::test(start_paused = true)]
async fn a_write_starts_only_with_nine_seconds_of_the_lease_left() {
    let fence = closed();
    assert_eq!(refusal(&fence), Some(NotLeader::Standby));
    fence.open(fence.steady().now(), None);
    assert_eq!(refusal(&fence), None);
    advance(secs(11)).await;
    assert_eq!(refusal(&fence), None);
    advance(Duration::from_millis(1)).await;
    assert_eq!(refusal(&fence), Some(NotLeader::RunningOut));
    fence.renewed(fence.steady().now());
    assert_eq!(refusal(&fence), None);
    fence.close();
    assert_eq!(refusal(&fence), Some(NotLeader::Standby));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_comes_late_does_not_open_a_closed_fence() {
    let fence = opened();
    fence.close();
    fence.renewed(fence.steady().now());
    assert_eq!(refusal(&fence), Some(NotLeader::Standby));
}

#[tokio::test(start_paused = true)]
async fn after_a_takeover_nothing_is_written_for_eight_seconds_however_often_the_lease_is_renewed() {
    let fence = closed();
    let taken = fence.steady().now();
    fence.open(taken, Some(taken));
    for _ in 0..4 {
        assert_eq!(refusal(&fence), Some(NotLeader::TakingOver));
        advance(secs(2)).await;
        fence.renewed(fence.steady().now());
    }
    assert_eq!(refusal(&fence), None);
}

#[tokio::test(start_paused = true)]
async fn a_lease_runs_out_while_the_machine_sleeps() {
    let fence = opened();
    advance(secs(3600)).await;
    fence.steady().slept_for(secs(3600));
    assert_eq!(refusal(&fence), Some(NotLeader::RunningOut));
}

#[tokio::test(start_paused = true)]
async fn alone_there_is_always_a_permit() {
    let fence = Fence::always();
    advance(secs(3600)).await;
    assert_eq!(refusal(&fence), None);
}

#[tokio::test(start_paused = true)]
async fn quiet_is_when_every_permit_has_come_back() {
    let fence = opened();
    let since = Instant::now();
    let (one, two) = (fence.permit().unwrap(), fence.permit().unwrap());
    fence.close();
    tokio::spawn(async move {
        tokio::time::sleep(secs(3)).await;
        one.ended();
        tokio::time::sleep(secs(4)).await;
        two.ended();
    });
    fence.quiet().await;
    assert_eq!(since.elapsed(), secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_call_nobody_waited_for_counts_as_under_way_for_as_long_as_it_may_take() {
    let fence = opened();
    let since = Instant::now();
    drop(fence.permit().unwrap());
    advance(secs(2)).await;
    drop(fence.permit().unwrap());
    advance(secs(1)).await;
    fence.permit().unwrap().ended();
    fence.close();
    fence.quiet().await;
    // The timer has milliseconds.
    assert!(since.elapsed() >= secs(11) && since.elapsed() < Duration::from_millis(11_010), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_permit_nothing_is_sent_and_the_error_says_so() {
    let (world, group, direction) = (World::new(), "sg-0123456789abcdef0".parse().unwrap(), Direction::Egress);
    let write = FencedWrite::new(Arc::new(world.writer("one", &Switch::default())), closed());
    let error = write.revoke(&group, direction, &[]).await.unwrap_err();
    let expected = CloudError {
        operation: "RevokeSecurityGroupEgress",
        class: ErrorClass::Unavailable,
        code: None,
        message: "this replica does not lead; nothing was sent".to_owned(),
        request_id: None,
        outcome_unknown: false,
    };
    assert_eq!(error, expected);
    assert!(write.set_tags(&group, &BTreeMap::default()).await.is_err());
    assert!(write.modify(&group, &[]).await.is_err());
    assert!(world.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlasts_its_permit_is_given_up_with_its_outcome_unknown() {
    let world = World::new();
    world.set_pace(Pace { preparing: Duration::ZERO, sending: secs(30), answering: secs(1) });
    let fence = opened();
    let write = FencedWrite::new(Arc::new(world.writer("one", &Switch::default())), fence.clone());
    let since = Instant::now();
    let error = write.delete_group(&"sg-0123456789abcdef0".parse().unwrap()).await.unwrap_err();
    assert!(error.outcome_unknown && error.class == ErrorClass::Unavailable, "{error:?}");
    assert!(since.elapsed() < Duration::from_millis(9_010), "{:?}", since.elapsed());
    fence.close();
    fence.quiet().await;
    assert!(since.elapsed() < Duration::from_millis(9_010), "nothing is left to wait for");
}

/// Stops the process half a second into a call and lets it go on a minute later: whether EC2 got the call.
async fn sent_after_a_stop(preparing: Duration, sending: Duration) -> bool {
    let world = World::new();
    world.set_pace(Pace { preparing, sending, answering: secs(1) });
    let switch = Switch::default();
    let write = FencedWrite::new(Arc::new(world.writer("one", &switch)), opened());
    let call = switch.clone().part(async move { write.delete_group(&"sg-0123456789abcdef0".parse().unwrap()).await });
    let call = tokio::spawn(call);
    tokio::time::sleep(Duration::from_millis(500)).await;
    switch.stop();
    tokio::time::sleep(secs(60)).await;
    switch.go_on();
    assert!(call.await.unwrap().unwrap_err().outcome_unknown);
    tokio::time::sleep(secs(60)).await;
    world.calls()[0].got.is_some()
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_that_goes_on_sends_what_the_connection_had_and_nothing_it_had_not() {
    assert!(!sent_after_a_stop(secs(1), Duration::ZERO).await);
    assert!(sent_after_a_stop(Duration::ZERO, secs(1)).await);
}

/// A connector whose writer is the world's.
struct Open(World);

#[async_trait]
impl Connect for Open {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let account: AccountId = "111122223333".parse().unwrap();
        let write = Arc::new(self.0.writer("one", &Switch::default()));
        let principal = "arn:aws:iam::111122223333:user/sgwarden".to_owned();
        Ok(Ec2 { account, principal, region: route.region.clone(), read: Arc::new(Blind), write, activity: Arc::new(NoActivity) })
    }
}

/// Reads nothing.
struct Blind;

#[async_trait]
impl Ec2Read for Blind {
    async fn listing(&self, _: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        Ok(Vec::new())
    }

    async fn rules_of(&self, _: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        Ok(BTreeMap::new())
    }

    async fn vpcs(&self, _: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        Ok(Vec::new())
    }

    async fn prefix_lists(&self, _: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        Ok(Vec::new())
    }

    async fn interfaces(&self, _: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        Ok(Vec::new())
    }

    async fn vpc_associations(&self, _: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        Ok(BTreeMap::new())
    }

    async fn stale_rules(&self, _: &VpcId) -> Result<StaleRules, CloudError> {
        Ok(StaleRules::new())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_behind_the_fence_gives_out_readers_as_they_are_and_writers_that_need_a_permit() {
    let (world, fence) = (World::new(), closed());
    let connect = FencedConnect::new(Arc::new(Open(world.clone())), fence.clone());
    let ec2 = connect.connect(&Route::own("eu-west-1".parse().unwrap())).await.unwrap();
    let group = "sg-0123456789abcdef0".parse().unwrap();
    assert_eq!(ec2.read.listing(&GroupQuery::All).await, Ok(Vec::new()));
    assert_eq!(ec2.write.delete_group(&group).await.unwrap_err(), NotLeader::Standby.refuse("DeleteSecurityGroup"));
    fence.open(fence.steady().now(), None);
    ec2.write.delete_group(&group).await.unwrap();
    assert_eq!(world.calls().len(), 1);
}
