//! Elections one by one: who leads when, and how long nobody does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::world::{Pace, World};
use super::{Apiserver, Line, Replica, Trip, anchored, secs, until};
use crate::engine::leader::elector::Elector;
use crate::engine::leader::{Fence, LeaderParts, NotLeader};
use crate::ports::clock::Timings;
use crate::ports::metrics::LeaderMetrics;

/// The longest pause between two tries, and what calls take.
const RETRY: Duration = Duration::from_millis(2_500);

struct Scene {
    apiserver: Apiserver,
    world: World,
}

impl Scene {
    fn new() -> Self {
        Self { apiserver: Apiserver::default(), world: World::new() }
    }

    fn replica(&self, name: &str) -> Replica {
        Replica::start(name, Line::to(&self.apiserver), &self.world)
    }

    /// One that leads and writes.
    async fn leader(&self, name: &str) -> Replica {
        let replica = self.replica(name);
        until(|| !self.world.of(name).is_empty()).await;
        replica
    }

    /// One that stands by and knows who leads.
    async fn standby(&self, name: &str) -> Replica {
        let replica = self.replica(name);
        until(|| replica.line.calls.load(Ordering::Relaxed) > 0).await;
        tokio::time::sleep(secs(1)).await;
        assert_eq!(replica.fence.check(), Err(NotLeader::Standby));
        replica
    }

    /// The last moment at which somebody began to write.
    fn last_of(&self, name: &str) -> Instant {
        self.world.of(name).last().expect("it wrote").got.unwrap()
    }

    /// The first moment at which somebody wrote, sooner or later.
    async fn first_of(&self, name: &str) -> Instant {
        until(|| !self.world.of(name).is_empty()).await;
        self.world.of(name)[0].got.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_replica_makes_the_lease_and_leads_at_once() {
    let scene = Scene::new();
    let one = scene.replica("one");
    assert!(!one.says_it_leads());
    let waited = until(|| one.writes()).await;
    assert!(waited < secs(1), "{waited:?}");
    assert!(one.says_it_leads());
    let record = scene.apiserver.record();
    assert_eq!((record.holder.as_deref(), record.duration, record.transitions), (Some("one"), secs(20), 0));
    assert!(record.acquired.is_some() && record.renewed.is_some());
    let first = scene.apiserver.stored();
    until(|| scene.apiserver.stored() != first).await;
    assert_eq!(scene.apiserver.record().acquired, record.acquired, "renewed, not taken again");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_healthy_leads_for_hours() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    tokio::time::sleep(secs(2 * 3_600)).await;
    assert!(one.writes() && !two.writes());
    assert_eq!(one.begun.load(Ordering::Relaxed), 1);
    assert_eq!(scene.apiserver.holders.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_shuts_down_releases_and_the_next_writes_without_waiting() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    one.shut_down().await;
    let record = scene.apiserver.record();
    assert_eq!((record.holder, record.duration, record.transitions), (None, secs(1), 0), "as client-go releases");
    let waited = until(|| two.writes()).await;
    assert!(waited < RETRY, "{waited:?}");
    assert_eq!(scene.apiserver.record().transitions, 1);
    assert!(two.says_it_leads());
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_has_one_writer_at_a_time_and_hardly_a_pause() {
    let scene = Scene::new();
    let mut old = scene.leader("zero").await;
    for name in ["one", "two", "three"] {
        let new = scene.standby(name).await;
        let last = Instant::now();
        old.shut_down().await;
        until(|| new.writes()).await;
        assert!(Instant::now() - last < RETRY + secs(1), "{name}");
        old = new;
    }
    let calls = scene.world.calls();
    assert!(calls.iter().zip(&calls[1..]).all(|(call, next)| call.ended.is_some_and(|ended| ended <= next.begun)), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_lease_runs_out_and_then_the_next_waits_eight_seconds() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    one.switch.stop();
    let crashed = Instant::now();
    until(|| scene.apiserver.holder().as_deref() == Some("two")).await;
    until(|| two.says_it_leads()).await;
    let taken = Instant::now();
    assert!(taken - crashed > secs(17) && taken - crashed < secs(20) + RETRY * 2, "{:?}", taken - crashed);
    assert_eq!(two.fence.check(), Err(NotLeader::TakingOver));
    assert_eq!(two.begun.load(Ordering::Relaxed), 0, "the work is not begun with refusals");
    let waited = scene.first_of("two").await - taken;
    assert!(waited > secs(7) && waited < secs(9), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_stopped_past_its_lease_sends_at_most_the_call_past_its_fence_when_it_goes_on() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    // Stopped with a call in the hands of the connection.
    scene.world.set_pace(Pace { preparing: Duration::ZERO, sending: secs(1), answering: secs(1) });
    until(|| scene.world.calls().last().is_some_and(|call| call.got.is_none())).await;
    one.switch.stop();
    let stopped = Instant::now();
    tokio::time::sleep(secs(120)).await;
    assert!(two.writes());
    one.switch.go_on();
    tokio::time::sleep(secs(120)).await;
    let late = scene.world.of("one").into_iter().filter(|call| call.got > Some(stopped)).count();
    assert_eq!(late, 1);
    assert!(!one.writes() && !one.says_it_leads() && two.writes() && two.says_it_leads());
    assert_eq!(one.ended.load(Ordering::Relaxed), 1, "the work was told to end");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_past_its_lease_writes_nothing_when_it_wakes() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    until(|| scene.world.of("one").last().is_some_and(|call| call.ended.is_some())).await;
    one.switch.stop();
    let asleep = Instant::now();
    tokio::time::sleep(secs(120)).await;
    one.fence.steady().slept_for(secs(120));
    one.switch.go_on();
    tokio::time::sleep(secs(60)).await;
    assert!(scene.last_of("one") <= asleep && two.writes() && !one.writes());
}

#[tokio::test(start_paused = true)]
async fn a_short_stop_costs_nothing() {
    let scene = Scene::new();
    let (one, _two) = (scene.leader("one").await, scene.standby("two").await);
    for _ in 0..10 {
        one.switch.stop();
        tokio::time::sleep(secs(8)).await;
        one.switch.go_on();
        tokio::time::sleep(secs(4)).await;
        assert!(one.writes());
    }
    assert_eq!(one.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn cut_off_a_leader_stops_writing_before_anybody_else_may_begin() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    one.line.cut(true);
    let cut = Instant::now();
    until(|| !one.writes()).await;
    // 11 s after the last renewal, which was up to 2.4 s before the cut.
    let wrote = scene.last_of("one") - cut;
    assert!(wrote > secs(8) && wrote < secs(12), "{wrote:?}");
    assert!(one.says_it_leads(), "leadership is lost only at the deadline");
    until(|| !one.says_it_leads()).await;
    assert!(Instant::now() - cut <= secs(12));
    until(|| one.ended.load(Ordering::Relaxed) == 1).await;
    assert!(scene.first_of("two").await - cut > secs(25));
    one.line.cut(false);
    tokio::time::sleep(secs(60)).await;
    assert!(two.writes() && !one.writes());
}

#[tokio::test(start_paused = true)]
async fn cut_off_without_rivals_a_leader_is_back_as_soon_as_it_is_heard() {
    let scene = Scene::new();
    let one = scene.leader("one").await;
    one.line.cut(true);
    tokio::time::sleep(secs(600)).await;
    assert!(!one.says_it_leads());
    one.line.cut(false);
    let waited = until(|| one.writes()).await;
    assert!(waited < secs(6) + RETRY, "{waited:?}");
    until(|| one.begun.load(Ordering::Relaxed) > 1).await;
    assert_eq!(one.begun.load(Ordering::Relaxed), 2);
    assert_eq!(scene.apiserver.record().transitions, 0);
}

#[tokio::test(start_paused = true)]
async fn our_own_time_counts_from_before_the_request_and_not_from_its_answer() {
    let scene = Scene::new();
    let one = scene.leader("one").await;
    let before = scene.apiserver.stored();
    one.line.next([Trip::slow(Duration::from_millis(1), secs(5))]);
    until(|| scene.apiserver.stored() != before).await;
    let renewed = Instant::now();
    tokio::time::sleep(secs(1)).await;
    one.line.cut(true);
    until(|| !one.writes()).await;
    let wrote = scene.last_of("one") - renewed;
    assert!(wrote > secs(10) && wrote <= secs(11), "{wrote:?}");
}

#[tokio::test(start_paused = true)]
async fn renewals_whose_answers_are_lost_or_garbled_are_ours_all_the_same() {
    let scene = Scene::new();
    let (one, _two) = (scene.leader("one").await, scene.standby("two").await);
    for trip in [Trip::GARBLED, Trip::UNANSWERED, Trip::LOST] {
        one.line.next([trip]);
        tokio::time::sleep(secs(30)).await;
        assert!(one.writes(), "{trip:?}");
    }
    assert_eq!(one.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_whose_answer_is_lost_is_still_a_takeover() {
    for trip in [Trip::GARBLED, Trip::UNANSWERED] {
        let scene = Scene::new();
        let (one, two) = (scene.leader("one").await, scene.standby("two").await);
        one.switch.stop();
        let crashed = Instant::now();
        // Every other call is a look.
        tokio::time::sleep(secs(10)).await;
        two.line.next(std::iter::repeat_n(Trip::SMOOTH, 20));
        until(|| two.line.trips.lock().unwrap().len() < 20).await;
        until(|| Instant::now() - crashed > secs(16)).await;
        let mut looks = 0;
        while scene.apiserver.holder().as_deref() == Some("one") {
            // The next look is smooth, and what comes after it, if the Lease is free, is the write.
            *two.line.trips.lock().unwrap() = [Trip::SMOOTH, trip].into();
            let calls = two.line.calls.load(Ordering::Relaxed);
            until(|| two.line.calls.load(Ordering::Relaxed) > calls).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            looks += 1;
            assert!(looks < 20);
        }
        let taken = Instant::now();
        until(|| two.writes()).await;
        assert!(Instant::now() - taken >= secs(8), "{trip:?}: {:?}", Instant::now() - taken);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_apiserver_does_not_hang_a_candidate() {
    let scene = Scene::new();
    let line = Line::to(&scene.apiserver);
    line.next([Trip::LOST, Trip::LOST]);
    let one = Replica::start("one", line, &scene.world);
    let waited = until(|| one.writes()).await;
    assert!(waited > secs(12) && waited < secs(12) + RETRY * 2, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_the_same_instant_is_written_all_the_same() {
    let (apiserver, clock, timings) = (Apiserver::default(), anchored(), Timings::default());
    let line = Line::to(&apiserver);
    line.next(std::iter::repeat_n(Trip::slow(Duration::ZERO, Duration::ZERO), 8));
    let parts = LeaderParts {
        leases: Arc::new(line),
        identity: "one".to_owned(),
        clock: clock.clone(),
        timings: timings.clone(),
        metrics: LeaderMetrics::default(),
        fence: Fence::closed(&clock, &timings),
    };
    let mut elector = Elector::new(&parts);
    let mut versions = Vec::new();
    for _ in 0..4 {
        elector.stand(&CancellationToken::new()).await.expect("free, or ours");
        versions.push(apiserver.stored().unwrap().meta.resource_version);
    }
    assert_eq!(clock.now(), "2026-11-22T21:00:00Z".parse().unwrap(), "no time has passed");
    versions.dedup();
    assert_eq!(versions.len(), 4, "an apiserver does not write what is as it was, and others would see no renewal");
}

#[tokio::test(start_paused = true)]
async fn labels_on_the_lease_are_no_attack_and_no_sign_of_life() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    let label = |value: u32| {
        scene.apiserver.edit(|lease| {
            lease.meta.labels = Some([("touched".to_owned(), value.to_string())].into());
        });
    };
    for turn in 0..20 {
        label(turn);
        tokio::time::sleep(secs(1)).await;
    }
    assert!(one.writes());
    assert_eq!(one.begun.load(Ordering::Relaxed), 1);
    one.switch.stop();
    let stopped = Instant::now();
    let mut turn = 100;
    while !two.writes() {
        label(turn);
        turn += 1;
        tokio::time::sleep(secs(1)).await;
        assert!(Instant::now() - stopped < secs(40), "somebody else's labels keep a dead leader alive");
    }
    assert!(scene.apiserver.stored().unwrap().meta.labels.is_some(), "labels are kept");
}

#[tokio::test(start_paused = true)]
async fn times_in_the_lease_mean_nothing() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    one.switch.stop();
    // A leader whose clock is years behind renews well.
    for second in 0..60 {
        scene.apiserver.edit(|lease| lease.record.renewed = Some(jiff::Timestamp::from_second(second).unwrap()));
        tokio::time::sleep(secs(1)).await;
    }
    assert_eq!(scene.apiserver.holder().as_deref(), Some("one"));
    // One that died with its clock years ahead is dead.
    scene.apiserver.edit(|lease| lease.record.renewed = Some("2099-01-01T00:00:00Z".parse().unwrap()));
    let waited = until(|| two.writes()).await;
    assert!(waited > secs(28) && waited < secs(28) + RETRY * 2, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_with_a_longer_lease_is_given_its_time() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    one.switch.stop();
    scene.apiserver.edit(|lease| lease.record.duration = secs(60));
    let waited = until(|| two.writes()).await;
    assert!(waited > secs(60 + 8), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again_by_its_holder_and_nobody_jumps_in() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    for _ in 0..10 {
        scene.apiserver.delete();
        until(|| scene.apiserver.stored().is_some()).await;
        assert_eq!(scene.apiserver.holder().as_deref(), Some("one"));
        tokio::time::sleep(secs(5)).await;
    }
    assert!(one.writes() && !two.writes());
    assert_eq!(one.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_seen_a_holder_waits_for_it_though_the_lease_is_deleted_or_cleared_by_hand() {
    let delete = |apiserver: &Apiserver| apiserver.delete();
    let clear = |apiserver: &Apiserver| apiserver.edit(|lease| lease.record.holder = None);
    let acts: [&dyn Fn(&Apiserver); 2] = [&delete, &clear];
    for act in acts {
        let scene = Scene::new();
        let (one, two) = (scene.leader("one").await, scene.standby("two").await);
        one.switch.stop();
        let stopped = Instant::now();
        tokio::time::sleep(secs(5)).await;
        act(&scene.apiserver);
        let acted = Instant::now();
        until(|| two.writes()).await;
        assert!(acted - stopped == secs(5) && Instant::now() - acted >= secs(28), "{:?}", Instant::now() - acted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_lease_is_cleared_by_hand_gives_up_at_its_next_renewal() {
    let scene = Scene::new();
    let one = scene.leader("one").await;
    scene.apiserver.edit(|lease| lease.record.holder = None);
    let waited = until(|| !one.says_it_leads()).await;
    assert!(waited < RETRY, "{waited:?}");
    until(|| one.begun.load(Ordering::Relaxed) == 2).await;
    assert!(one.writes());
}

#[tokio::test(start_paused = true)]
async fn a_lease_made_beforehand_without_a_holder_is_free() {
    let scene = Scene::new();
    scene.apiserver.apply(super::Call::Create(crate::ports::lease::LeaseRecord::default())).unwrap();
    let one = scene.replica("one");
    assert!(until(|| one.writes()).await < secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_kept_until_the_last_write_returned_and_released_right_after() {
    let scene = Scene::new();
    let (one, _two) = (scene.leader("one").await, scene.standby("two").await);
    scene.world.set_pace(Pace { preparing: Duration::ZERO, sending: secs(1), answering: secs(6) });
    until(|| scene.world.calls().last().is_some_and(|call| call.ended.is_none())).await;
    tokio::time::sleep(secs(2)).await;
    let begun = scene.world.calls().len();
    let stopping = Instant::now();
    one.shut_down().await;
    let ended = scene.world.calls()[begun - 1].ended.unwrap();
    assert!(ended - stopping > secs(4), "the write was waited for");
    assert!(Instant::now() - ended < secs(1), "and nothing else");
    assert!(scene.first_of("two").await > ended);
}

#[tokio::test(start_paused = true)]
async fn stopped_while_it_stands_by_it_ends_at_once_and_leaves_the_lease_alone() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    two.line.next([Trip::LOST]);
    tokio::time::sleep(secs(3)).await;
    let stopping = Instant::now();
    two.shut_down().await;
    assert!(Instant::now() - stopping < Duration::from_millis(100));
    assert!(one.writes());
}

#[tokio::test(start_paused = true)]
async fn stopped_in_the_wait_after_a_takeover_it_releases_without_having_begun() {
    let scene = Scene::new();
    let (one, two) = (scene.leader("one").await, scene.standby("two").await);
    one.switch.stop();
    until(|| scene.apiserver.holder().as_deref() == Some("two")).await;
    let begun = two.begun.clone();
    two.shut_down().await;
    assert_eq!((scene.apiserver.holder(), begun.load(Ordering::Relaxed)), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_though_the_apiserver_is_silent() {
    let scene = Scene::new();
    let one = scene.leader("one").await;
    one.line.cut(true);
    let stopping = Instant::now();
    one.shut_down().await;
    assert!(Instant::now() - stopping < secs(15), "{:?}", Instant::now() - stopping);
    assert_eq!(scene.apiserver.holder().as_deref(), Some("one"), "it runs out by itself");
}

#[tokio::test(start_paused = true)]
async fn a_release_meets_a_label_and_succeeds_and_meets_another_holder_and_lets_it_be() {
    let scene = Scene::new();
    let one = scene.leader("one").await;
    scene.apiserver.edit(|lease| lease.meta.labels = Some(std::collections::BTreeMap::default()));
    one.shut_down().await;
    assert_eq!(scene.apiserver.holder(), None);

    let two = scene.leader("two").await;
    scene.apiserver.edit(|lease| lease.record.holder = Some("three".to_owned()));
    two.shut_down().await;
    assert_eq!(scene.apiserver.holder().as_deref(), Some("three"));
}
