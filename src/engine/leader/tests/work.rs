//! What becomes of the work: work that does not end, ends too soon, panics, or leaves writes behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::world::World;
use super::{Apiserver, Line, Replica, anchored, secs, until};
use crate::engine::leader::{Fence, LeaderParts, NotLeader, lead};
use crate::ports::clock::Timings;
use crate::ports::metrics::LeaderMetrics;

/// `lead` with work of one's own.
struct Custom {
    fence: Fence,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    begun: Arc<AtomicU32>,
}

impl Custom {
    fn start(
        apiserver: &Apiserver,
        work: impl Fn(u32, Fence, CancellationToken) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        let (clock, timings) = (anchored(), Timings::default());
        let (fence, stop, begun) = (Fence::closed(&clock, &timings), CancellationToken::new(), Arc::<AtomicU32>::default());
        let parts = LeaderParts {
            leases: Arc::new(Line::to(apiserver)),
            identity: "custom".to_owned(),
            clock,
            timings,
            metrics: LeaderMetrics::default(),
            fence: fence.clone(),
        };
        let (gate, turns) = (fence.clone(), begun.clone());
        let task =
            tokio::spawn(lead(parts, stop.clone(), move |token| work(turns.fetch_add(1, Ordering::Relaxed), gate.clone(), token)));
        Self { fence, stop, task, begun }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_outlives_the_work_is_waited_for_too() {
    let apiserver = Apiserver::default();
    let custom = Custom::start(&apiserver, |_, fence, token| {
        async move {
            token.cancelled().await;
            let permit = fence.permit().unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(secs(7)).await;
                permit.ended();
            });
        }
        .boxed()
    });
    until(|| custom.begun.load(Ordering::Relaxed) == 1).await;
    custom.stop.cancel();
    let waited = until(|| apiserver.holder().is_none()).await;
    assert!(waited >= secs(7) && waited < secs(8), "{waited:?}");
    custom.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_ends_keeps_the_lease_from_being_released_but_not_the_process_from_ending() {
    let apiserver = Apiserver::default();
    let custom = Custom::start(&apiserver, |_, fence, token| {
        async move {
            token.cancelled().await;
            let permit = fence.permit().unwrap();
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                permit.ended();
            });
        }
        .boxed()
    });
    until(|| custom.begun.load(Ordering::Relaxed) == 1).await;
    custom.stop.cancel();
    custom.task.await.unwrap();
    assert_eq!(apiserver.holder().as_deref(), Some("custom"), "it runs out by itself");
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_fenced_off_after_a_minute_and_the_lease_released() {
    let apiserver = Apiserver::default();
    let release = Arc::new(tokio::sync::Notify::new());
    let (held, let_go) = (release.clone(), release);
    let custom = Custom::start(&apiserver, move |_, _, _| {
        let held = held.clone();
        async move { held.notified().await }.boxed()
    });
    until(|| custom.begun.load(Ordering::Relaxed) == 1).await;
    custom.stop.cancel();
    let kept = until(|| custom.fence.check().is_err()).await;
    assert!(kept > secs(59) && kept < secs(61), "{kept:?}");
    until(|| apiserver.holder().is_none()).await;
    tokio::time::sleep(secs(600)).await;
    assert!(!custom.task.is_finished(), "its work goes on");
    let_go.notify_one();
    custom.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_is_never_run_twice_at_a_time_however_long_it_takes_to_end() {
    let apiserver = Apiserver::default();
    let running = Arc::new(AtomicU32::new(0));
    let count = running.clone();
    let custom = Custom::start(&apiserver, move |_, _, token| {
        let running = count.clone();
        async move {
            assert_eq!(running.fetch_add(1, Ordering::Relaxed), 0, "twice at a time");
            token.cancelled().await;
            tokio::time::sleep(secs(300)).await;
            running.fetch_sub(1, Ordering::Relaxed);
        }
        .boxed()
    });
    until(|| custom.begun.load(Ordering::Relaxed) == 1).await;
    // Another takes it, by force, and is gone again.
    apiserver.edit(|lease| lease.record.holder = Some("other".to_owned()));
    let closed = until(|| custom.fence.check().is_err()).await;
    assert!(closed < secs(3), "{closed:?}");
    assert_eq!(running.load(Ordering::Relaxed), 1, "the fence closes before the work has ended");
    let waited = until(|| custom.begun.load(Ordering::Relaxed) == 2).await;
    assert!(waited >= secs(300), "{waited:?}");
    assert_eq!(running.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_work_gives_leadership_up_but_not_the_candidacy() {
    let apiserver = Apiserver::default();
    let custom = Custom::start(&apiserver, |turn, _, token| {
        async move {
            assert!(turn > 0, "the first turn ends in a panic");
            token.cancelled().await;
        }
        .boxed()
    });
    until(|| apiserver.holder().is_none() && apiserver.stored().is_some()).await;
    assert_eq!(custom.fence.check(), Err(NotLeader::Standby));
    let waited = until(|| custom.begun.load(Ordering::Relaxed) == 2).await;
    assert!(waited >= secs(1), "others come first: {waited:?}");
    custom.stop.cancel();
    custom.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_gives_others_their_turn() {
    let apiserver = Apiserver::default();
    let custom = Custom::start(&apiserver, |_, _, _| async {}.boxed());
    let world = World::new();
    until(|| custom.begun.load(Ordering::Relaxed) > 0).await;
    let other = Replica::start("other", Line::to(&apiserver), &world);
    until(|| other.writes()).await;
    assert_eq!(apiserver.holder().as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn dropped_in_office_it_leaves_the_fence_closed_and_tells_the_work() {
    let apiserver = Apiserver::default();
    let told = Arc::new(AtomicU32::new(0));
    let tell = told.clone();
    let custom = Custom::start(&apiserver, move |_, _, token| {
        let told = tell.clone();
        async move {
            token.cancelled().await;
            told.fetch_add(1, Ordering::Relaxed);
        }
        .boxed()
    });
    until(|| custom.begun.load(Ordering::Relaxed) == 1).await;
    assert_eq!(custom.fence.check(), Ok(()));
    custom.task.abort();
    until(|| told.load(Ordering::Relaxed) == 1).await;
    assert_eq!(custom.fence.check(), Err(NotLeader::Standby));
}
