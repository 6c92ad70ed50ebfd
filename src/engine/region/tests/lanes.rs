//! Lanes: how fast, who first, and never a standstill.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::core::model::{AddressCount, Direction};
use crate::ports::clock::Clock;
use crate::ports::cloud::ErrorClass;
use crate::ports::metrics::Metrics;

use super::super::Urgency;
use super::super::lanes::{Action, Errand, Lanes};
use super::fake::error;
use super::{pass, secs};

const REVOKE: Action = Action::Revoke(Direction::Ingress);
const CHANGE: Errand = Errand::Write(Urgency::Change);

fn revert(exposure: u128) -> Errand {
    Errand::Write(Urgency::Revert { exposure: AddressCount::from(exposure) })
}

fn lanes(share: f64) -> Arc<Lanes> {
    let lanes = Lanes::new(Clock::system(), Metrics::default().region, secs(30));
    lanes.set_share(1, share);
    Arc::new(lanes)
}

/// How many calls go through at once, and in the ten seconds after that.
async fn pace(lanes: &Lanes, action: Action, errand: Errand) -> (usize, usize) {
    let mut counts = [0, 0];
    for (count, time) in counts.iter_mut().zip([Duration::from_millis(1), secs(10)]) {
        let end = Instant::now() + time;
        while tokio::time::timeout_at(end, lanes.enter(action, errand)).await.is_ok() {
            *count += 1;
        }
    }
    counts.into()
}

fn throttle(lanes: &Lanes, action: Action) {
    lanes.answered(action, 0, Some(&error("x", ErrorClass::Throttled)));
}

#[tokio::test(start_paused = true)]
async fn reads_and_changes_keep_to_our_share_and_reverts_use_the_whole_bucket() {
    assert_eq!(pace(&lanes(0.5), Action::DescribeGroups, Errand::Read).await, (50, 100));
    assert_eq!(pace(&lanes(0.5), REVOKE, CHANGE).await, (25, 25));
    assert_eq!(pace(&lanes(0.5), REVOKE, revert(1)).await, (50, 50));
    assert_eq!(pace(&lanes(1.0), Action::CreateTags, CHANGE).await, (100, 100));
}

#[tokio::test(start_paused = true)]
async fn together_they_do_not_use_more_than_the_bucket() {
    let lanes = lanes(0.5);
    let reverts = tokio::spawn({
        let lanes = lanes.clone();
        async move { pace(&lanes, REVOKE, revert(1)).await }
    });
    let changes = pace(&lanes, REVOKE, CHANGE).await;
    let reverts = reverts.await.unwrap();
    let total = reverts.0 + reverts.1 + changes.0 + changes.1;
    assert!((99..=101).contains(&total), "50 at once and 5 a second: {reverts:?} {changes:?}");
}

#[tokio::test(start_paused = true)]
async fn reverts_do_not_use_up_the_share_of_changes() {
    let lanes = lanes(0.5);
    for _ in 0..25 {
        lanes.enter(REVOKE, revert(1)).await;
    }
    assert_eq!(pace(&lanes, REVOKE, CHANGE).await, (25, 25));
}

#[tokio::test(start_paused = true)]
async fn actions_do_not_wait_for_each_other() {
    let lanes = lanes(0.5);
    pace(&lanes, REVOKE, CHANGE).await;
    assert_eq!(pace(&lanes, Action::Revoke(Direction::Egress), CHANGE).await.0, 25);
}

#[tokio::test(start_paused = true)]
async fn no_share_is_too_small_or_too_strange_to_go_on() {
    for share in [0.0, -1.0, 1e-300, 2.0, f64::NAN, f64::INFINITY] {
        let lanes = lanes(share);
        for _ in 0..3 {
            timeout(secs(60), lanes.enter(REVOKE, CHANGE)).await.unwrap_or_else(|_| panic!("{share}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_routes_into_an_account_the_smaller_share_holds_for_both() {
    let lanes = lanes(0.8);
    lanes.set_share(2, 0.2);
    assert_eq!(pace(&lanes, REVOKE, CHANGE).await, (10, 10));
    lanes.release(2);
    // What is left of the bucket stays what it was: going back and forth makes no tokens.
    assert_eq!(pace(&lanes, REVOKE, CHANGE).await, (0, 40));
}

/// Puts callers in line while the bucket is empty, and tells the order in which they get through.
struct Line {
    lanes: Arc<Lanes>,
    order: Arc<Mutex<Vec<&'static str>>>,
}

impl Line {
    async fn new() -> Self {
        let lanes = lanes(1.0);
        for _ in 0..50 {
            lanes.enter(REVOKE, revert(0)).await;
        }
        Self { lanes, order: Arc::default() }
    }

    async fn join(&self, name: &'static str, errand: Errand) -> JoinHandle<()> {
        let (lanes, order) = (self.lanes.clone(), self.order.clone());
        let task = tokio::spawn(async move {
            lanes.enter(REVOKE, errand).await;
            order.lock().unwrap().push(name);
        });
        // Not time enough for a token, but for taking the place in the queue.
        pass(Duration::from_millis(2)).await;
        task
    }

    async fn order(&self) -> Vec<&'static str> {
        pass(secs(10)).await;
        self.order.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn reverts_overtake_changes_the_widest_first_and_equals_keep_their_order() {
    let line = Line::new().await;
    line.join("change 1", CHANGE).await;
    line.join("change 2", CHANGE).await;
    line.join("one host", revert(1)).await;
    line.join("internet 1", revert(1 << 32)).await;
    line.join("internet 2", revert(1 << 32)).await;
    line.join("change 3", CHANGE).await;
    line.join("a network", revert(1 << 16)).await;
    assert_eq!(line.order().await, ["internet 1", "internet 2", "a network", "one host", "change 1", "change 2", "change 3"]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_his_place_does_not_hold_up_the_next() {
    let line = Line::new().await;
    let first = line.join("first", revert(1 << 32)).await;
    line.join("second", CHANGE).await;
    let third = line.join("third", CHANGE).await;
    line.join("fourth", CHANGE).await;
    first.abort();
    third.abort();
    let since = Instant::now();
    while line.order.lock().unwrap().len() < 2 {
        pass(Duration::from_millis(10)).await;
    }
    assert!(since.elapsed() < secs(1), "a token every 200 ms: {:?}", since.elapsed());
    assert_eq!(line.order().await, ["second", "fourth"]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_halves_the_pace_for_a_while() {
    let lanes = lanes(1.0);
    assert_eq!(pace(&lanes, REVOKE, CHANGE).await, (50, 50));
    throttle(&lanes, REVOKE);
    throttle(&lanes, REVOKE);
    let (at_once, later) = pace(&lanes, REVOKE, CHANGE).await;
    assert_eq!((at_once, later), (0, 25), "two throttles at the same time are one");
    pass(secs(21)).await;
    pace(&lanes, REVOKE, CHANGE).await;
    assert_eq!(pace(&lanes, REVOKE, CHANGE).await.1, 50, "and then as before");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_bucket_counts_as_empty() {
    let lanes = lanes(1.0);
    lanes.enter(REVOKE, CHANGE).await;
    throttle(&lanes, REVOKE);
    assert_eq!(pace(&lanes, REVOKE, revert(1)).await.0, 0, "somebody else uses it too");
    assert_eq!(pace(&lanes, Action::Modify, CHANGE).await.0, 50, "the bucket of another action is another");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_always_throttled_crawls_but_does_not_stop() {
    let lanes = lanes(0.5);
    let mut calls = 0;
    let end = Instant::now() + secs(600);
    while tokio::time::timeout_at(end, lanes.enter(REVOKE, CHANGE)).await.is_ok() {
        calls += 1;
        throttle(&lanes, REVOKE);
    }
    assert!((80..=120).contains(&calls), "about a sixteenth of 2.5 a second: {calls}");
    // And recovers by itself.
    pass(secs(120)).await;
    assert_eq!(pace(&lanes, REVOKE, CHANGE).await, (25, 25));
}

#[tokio::test(start_paused = true)]
async fn pages_are_paid_for_afterwards_and_the_debt_has_a_bottom() {
    let lanes = lanes(1.0);
    lanes.enter(Action::DescribeGroups, Errand::Read).await;
    lanes.answered(Action::DescribeGroups, 9, None);
    assert_eq!(pace(&lanes, Action::DescribeGroups, Errand::Read).await.0, 90);
    lanes.answered(Action::DescribeGroups, 1_000_000, None);
    timeout(secs(6), lanes.enter(Action::DescribeGroups, Errand::Read)).await.unwrap();
}
