//! Reads that share calls.

use std::time::Duration;

use futures::future::join_all;

use crate::ports::cloud::{ErrorClass, VpcQuery};

use super::fake::{Trouble, error};
use super::{Rig, id, pass, secs, settings};
use crate::engine::region::RegionSettings;

const GROUPS: &str = "DescribeSecurityGroups";

/// A rig whose sweeps are over for now, so that only what the test asks for is counted.
async fn quiet(groups: u64) -> (Rig, usize) {
    let rig = Rig::started(groups).await;
    assert!(rig.worker.first_sweep().await);
    let before = rig.ec2.count(GROUPS);
    (rig, before)
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_share_calls_of_200() {
    let (rig, before) = quiet(450).await;
    let answers = join_all((1..=451).map(|number| {
        let worker = rig.worker.clone();
        async move { worker.listed(&id(number)).await.unwrap() }
    }))
    .await;
    assert!(answers[..450].iter().zip(1..).all(|(answer, number)| answer.as_ref().unwrap().group.id == id(number)));
    assert!(answers[450].is_none(), "there is no 451st");
    assert_eq!(rig.ec2.about(GROUPS)[before..], ["200 ids", "200 ids", "51 ids"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_group_asked_for_twice_is_asked_for_once() {
    let (rig, before) = quiet(1).await;
    let id = id(1);
    let (first, second) = tokio::join!(rig.worker.listed(&id), rig.worker.observe(&id));
    assert!(first.unwrap().is_some() && second.unwrap().is_some());
    assert_eq!(rig.ec2.about(GROUPS)[before..], ["1 ids"]);
    assert_eq!(rig.ec2.about("DescribeSecurityGroupRules"), ["1 ids"]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_a_call_is_under_way_gets_one_that_begins_later() {
    let (rig, before) = quiet(1).await;
    rig.ec2.delay(GROUPS, secs(2));
    let worker = rig.worker.clone();
    let early = tokio::spawn(async move { worker.listed(&id(1)).await.unwrap().unwrap() });
    pass(secs(1)).await;
    rig.ec2.edit(|world| world.groups.get_mut(&id(1)).unwrap().rules.clear());
    let late = rig.worker.listed(&id(1)).await.unwrap().unwrap();
    assert_eq!((early.await.unwrap().rules.len(), late.rules.len()), (1, 0));
    assert_eq!(rig.ec2.count(GROUPS) - before, 2);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_takes_nothing_from_the_others() {
    let (rig, before) = quiet(3).await;
    rig.ec2.delay(GROUPS, secs(1));
    let (first, second, third) = (id(1), id(2), id(3));
    let gives_up_early = async { tokio::time::timeout(Duration::from_millis(5), rig.worker.listed(&first)).await.is_err() };
    let gives_up_late = async { tokio::time::timeout(Duration::from_millis(500), rig.worker.listed(&second)).await.is_err() };
    let (early, late, answer) = tokio::join!(gives_up_early, gives_up_late, rig.worker.listed(&third));
    assert!(early && late, "both gave up");
    assert_eq!(answer.unwrap().unwrap().group.id, third);
    assert_eq!(rig.ec2.about(GROUPS)[before..], ["2 ids"], "what nobody waits for any more is not asked for");
}

#[tokio::test(start_paused = true)]
async fn when_all_give_up_nothing_is_asked_and_the_next_request_is_answered() {
    let (rig, before) = quiet(1).await;
    let gone = tokio::time::timeout(Duration::from_millis(5), rig.worker.listed(&id(1))).await;
    assert!(gone.is_err());
    pass(secs(1)).await;
    assert_eq!(rig.ec2.count(GROUPS), before);
    assert!(rig.worker.listed(&id(1)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_a_call_waits_for_its_token_joins_it() {
    let (rig, _) = quiet(60).await;
    // One token in five seconds.
    rig.worker.set(&RegionSettings { api_share: 0.01, ..settings() });
    rig.worker.listed(&id(1)).await.unwrap().unwrap();
    let before = rig.ec2.count(GROUPS);
    let mut readers = Vec::new();
    for number in 1..=60 {
        let worker = rig.worker.clone();
        readers.push(tokio::spawn(async move {
            let since = tokio::time::Instant::now();
            worker.listed(&id(number)).await.unwrap().unwrap();
            since.elapsed()
        }));
        pass(secs(1)).await;
    }
    let waits: Vec<Duration> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    assert!(waits.iter().all(|wait| *wait <= secs(11)), "no longer than two turns: {waits:?}");
    let calls = rig.ec2.count(GROUPS) - before;
    assert!((8..=14).contains(&calls), "{calls} calls for a minute, some of them of sweeps");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_everybodys_and_the_next_call_is_made_anew() {
    let (rig, before) = quiet(2).await;
    rig.ec2.next(GROUPS, Trouble::Fail(error(GROUPS, ErrorClass::Throttled)));
    let (first, second) = (id(1), id(2));
    let (one, other) = tokio::join!(rig.worker.listed(&first), rig.worker.listed(&second));
    assert_eq!((one.unwrap_err().class, other.unwrap_err().class), (ErrorClass::Throttled, ErrorClass::Throttled));
    assert!(rig.worker.listed(&first).await.unwrap().is_some());
    assert_eq!(rig.ec2.count(GROUPS) - before, 2, "a throttled call is not split");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_is_an_error_to_who_waits_and_no_end() {
    let (rig, _) = quiet(1).await;
    rig.ec2.next(GROUPS, Trouble::Panic);
    let lost = rig.worker.listed(&id(1)).await.unwrap_err();
    assert_eq!(lost.class, ErrorClass::Unavailable);
    assert!(rig.worker.listed(&id(1)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_group_that_cannot_be_read_does_not_hide_the_others() {
    let (rig, before) = quiet(200).await;
    rig.ec2.unreadable(77);
    let answers = join_all((1..=200).map(|number| {
        let worker = rig.worker.clone();
        async move { (number, worker.listed(&id(number)).await) }
    }))
    .await;
    for (number, answer) in answers {
        assert_eq!(answer.is_err(), number == 77, "{number}: {answer:?}");
    }
    assert!(rig.ec2.count(GROUPS) - before <= 17, "halves, not one by one: {}", rig.ec2.count(GROUPS) - before);
}

#[tokio::test(start_paused = true)]
async fn looking_for_the_unreadable_has_an_end() {
    let (rig, before) = quiet(200).await;
    for number in 1..=200 {
        rig.ec2.unreadable(number);
    }
    let answers = join_all((1..=200).map(|number| {
        let worker = rig.worker.clone();
        async move { worker.listed(&id(number)).await.is_err() }
    }))
    .await;
    assert!(answers.iter().all(|failed| *failed));
    assert!(rig.ec2.count(GROUPS) - before <= 64, "{}", rig.ec2.count(GROUPS) - before);
}

#[tokio::test(start_paused = true)]
async fn vpcs_are_kept_for_a_while_but_not_that_there_is_none() {
    let (rig, _) = quiet(0).await;
    let vpc: crate::core::model::VpcId = "vpc-0a1b2c3d".parse().unwrap();
    let query = VpcQuery::Id(vpc.clone());
    assert!(rig.worker.vpcs(&query).await.unwrap().is_empty());
    let facts = crate::core::model::VpcFacts { id: vpc, owner: "111122223333".parse().unwrap(), ipv6: false };
    rig.ec2.edit(|world| world.vpcs.push(facts));
    let many = join_all((0..50).map(|_| rig.worker.vpcs(&query))).await;
    assert!(many.into_iter().all(|found| found.unwrap().len() == 1));
    assert_eq!(rig.ec2.count("DescribeVpcs"), 2, "one found none, fifty shared one");
    pass(secs(61)).await;
    assert_eq!(rig.worker.vpcs(&query).await.unwrap().len(), 1);
    assert_eq!(rig.ec2.count("DescribeVpcs"), 3);
}
