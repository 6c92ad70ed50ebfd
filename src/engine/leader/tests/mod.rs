//! Leadership on tokio's paused time, against an apiserver in memory with every fault a network has.
//!
//! Rooms: `fence` (permits), `election` (scenarios with their times), `work` (what it may do to its leader), `schedules` (random
//! schedules, and who writes when).
//!
//! A replica is [`Replica::start`]: `lead` with work that writes one call after the other through a [`FencedWrite`]. It can be
//! stopped as by `SIGSTOP` ([`Switch`]): nothing of it is polled, while the apiserver, EC2 and the others go on.

mod election;
mod fence;
mod schedules;
mod work;
mod world;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Fence, FencedWrite, LeaderParts, lead};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::Ec2Write;
use crate::ports::lease::{LeaseError, LeaseRecord, Leases, StoredLease};
use crate::ports::metrics::LeaderMetrics;
use world::World;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn anchored() -> Clock {
    Clock::anchored("2026-11-22T21:00:00Z".parse::<Timestamp>().unwrap())
}

/// An apiserver that has at most one object.
#[derive(Clone, Default)]
struct Apiserver {
    lease: Arc<Mutex<Option<StoredLease>>>,
    version: Arc<AtomicU32>,
    /// Holders in the order in which they came.
    holders: Arc<Mutex<Vec<Option<String>>>>,
}

impl Apiserver {
    fn stored(&self) -> Option<StoredLease> {
        self.lease.lock().unwrap().clone()
    }

    fn record(&self) -> LeaseRecord {
        self.stored().expect("a Lease").record
    }

    fn holder(&self) -> Option<String> {
        self.stored()?.record.holder
    }

    fn delete(&self) {
        *self.lease.lock().unwrap() = None;
    }

    /// Writes the Lease as kubectl would.
    fn edit(&self, edit: impl FnOnce(&mut StoredLease)) {
        if let Some(mut lease) = self.stored() {
            edit(&mut lease);
            self.put(&mut self.lease.lock().unwrap(), lease);
        }
    }

    fn put(&self, place: &mut Option<StoredLease>, mut lease: StoredLease) -> StoredLease {
        // A write that changes nothing is none.
        if place.as_ref() != Some(&lease) {
            lease.meta.resource_version = Some(self.version.fetch_add(1, Ordering::Relaxed).to_string());
        }
        let mut holders = self.holders.lock().unwrap();
        if holders.last() != Some(&lease.record.holder) {
            holders.push(lease.record.holder.clone());
        }
        *place = Some(lease.clone());
        lease
    }

    fn apply(&self, call: Call) -> Result<Option<StoredLease>, LeaseError> {
        let mut place = self.lease.lock().unwrap();
        match call {
            Call::Get => Ok(place.clone()),
            Call::Create(record) if place.is_none() => {
                let uid = Some(format!("u{}", self.version.load(Ordering::Relaxed)));
                Ok(Some(self.put(&mut place, StoredLease { record, meta: ObjectMeta { uid, ..ObjectMeta::default() } })))
            }
            Call::Replace(lease, record) if place.as_ref().is_some_and(|there| there.meta == lease.meta) => {
                Ok(Some(self.put(&mut place, StoredLease { record, meta: lease.meta })))
            }
            Call::Create(_) | Call::Replace(..) => Err(LeaseError::Conflict),
        }
    }
}

#[derive(Clone, Debug)]
enum Call {
    Get,
    Create(LeaseRecord),
    Replace(Box<StoredLease>, LeaseRecord),
}

/// What becomes of one call on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trip {
    /// Until the apiserver has it; `None`: never.
    there: Option<Duration>,
    /// Until the answer is back; `None`: never.
    back: Option<Duration>,
    /// Whether the answer is an error though the apiserver did what it was asked.
    garbled: bool,
}

impl Trip {
    const SMOOTH: Self = Self { there: Some(Duration::from_millis(5)), back: Some(Duration::from_millis(5)), garbled: false };
    const LOST: Self = Self { there: None, back: None, garbled: false };
    const UNANSWERED: Self = Self { back: None, ..Self::SMOOTH };
    const GARBLED: Self = Self { garbled: true, ..Self::SMOOTH };

    fn slow(there: Duration, back: Duration) -> Self {
        Self { there: Some(there), back: Some(back), garbled: false }
    }
}

/// The way of one replica to the apiserver.
#[derive(Clone)]
struct Line {
    apiserver: Apiserver,
    /// What becomes of the next calls; smooth trips after that.
    trips: Arc<Mutex<VecDeque<Trip>>>,
    /// Nothing comes through.
    cut: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
}

impl Line {
    fn to(apiserver: &Apiserver) -> Self {
        Self { apiserver: apiserver.clone(), trips: Arc::default(), cut: Arc::default(), calls: Arc::default() }
    }

    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    fn next(&self, trips: impl IntoIterator<Item = Trip>) {
        self.trips.lock().unwrap().extend(trips);
    }

    async fn send(&self, call: Call) -> Result<Option<StoredLease>, LeaseError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let trip = self.trips.lock().unwrap().pop_front().unwrap_or(Trip::SMOOTH);
        let trip = if self.cut.load(Ordering::Relaxed) { Trip::LOST } else { trip };
        let Some(there) = trip.there else { std::future::pending().await };
        let apiserver = self.apiserver.clone();
        // On its way it is nobody's: who asked may have given up, or be stopped.
        let answer = tokio::spawn(async move {
            wait(there).await;
            apiserver.apply(call)
        });
        let answer = answer.await.unwrap();
        let Some(back) = trip.back else { std::future::pending().await };
        wait(back).await;
        if trip.garbled { Err(LeaseError::Unavailable("502 Bad Gateway".into())) } else { answer }
    }
}

#[async_trait]
impl Leases for Line {
    async fn get(&self) -> Result<Option<StoredLease>, LeaseError> {
        self.send(Call::Get).await
    }

    async fn create(&self, record: &LeaseRecord) -> Result<StoredLease, LeaseError> {
        Ok(self.send(Call::Create(record.clone())).await?.expect("a write answers with what it wrote"))
    }

    async fn replace(&self, lease: &StoredLease, record: &LeaseRecord) -> Result<StoredLease, LeaseError> {
        Ok(self.send(Call::Replace(Box::new(lease.clone()), record.clone())).await?.expect("a write answers with what it wrote"))
    }
}

/// Waits; no time is really none, not the millisecond that a timer takes.
async fn wait(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// Stops and continues the tasks of one process.
#[derive(Clone, Default)]
struct Switch {
    inner: Arc<Mutex<(bool, Vec<Waker>)>>,
}

impl Switch {
    fn stop(&self) {
        self.inner.lock().unwrap().0 = true;
    }

    fn go_on(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.0 = false;
        inner.1.drain(..).for_each(Waker::wake);
    }

    fn is_stopped(&self) -> bool {
        self.inner.lock().unwrap().0
    }

    /// A future that gets nowhere while the process is stopped.
    async fn part<T>(self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|context| {
            let mut inner = self.inner.lock().unwrap();
            if inner.0 {
                inner.1.push(context.waker().clone());
                return Poll::Pending;
            }
            drop(inner);
            future.as_mut().poll(context)
        })
        .await
    }
}

/// A replica: `lead`, and work that writes one call after the other.
struct Replica {
    name: String,
    line: Line,
    switch: Switch,
    fence: Fence,
    metrics: LeaderMetrics,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    /// How often the work began, and how often it ended.
    begun: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
}

impl Replica {
    fn start(name: &str, line: Line, world: &World) -> Self {
        Self::timed(name, line, world, Timings::default())
    }

    fn timed(name: &str, line: Line, world: &World, timings: Timings) -> Self {
        let clock = anchored();
        let (switch, fence, stop) = (Switch::default(), Fence::closed(&clock, &timings), CancellationToken::new());
        let metrics = LeaderMetrics::default();
        let parts = LeaderParts {
            leases: Arc::new(line.clone()),
            identity: name.to_owned(),
            clock,
            timings,
            metrics: metrics.clone(),
            fence: fence.clone(),
        };
        let (begun, ended) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let write: Arc<dyn Ec2Write> = Arc::new(FencedWrite::new(Arc::new(world.writer(name, &switch)), fence.clone()));
        let (process, turns, turned) = (switch.clone(), begun.clone(), ended.clone());
        let work = move |token: CancellationToken| {
            let (write, process, turns, turned) = (write.clone(), process.clone(), turns.clone(), turned.clone());
            let writes = async move {
                turns.fetch_add(1, Ordering::Relaxed);
                while !token.is_cancelled() {
                    let _ = write.delete_group(&"sg-0123456789abcdef0".parse().unwrap()).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                turned.fetch_add(1, Ordering::Relaxed);
            };
            process.part(writes).boxed()
        };
        let task = tokio::spawn(switch.clone().part(lead(parts, stop.clone(), work)));
        Self { name: name.to_owned(), line, switch, fence, metrics, stop, task, begun, ended }
    }

    /// Whether it may write now.
    fn writes(&self) -> bool {
        !self.switch.is_stopped() && self.fence.check().is_ok()
    }

    /// Stops it as SIGTERM does, and waits for its end.
    async fn shut_down(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// What `/metrics` says.
    fn says_it_leads(&self) -> bool {
        let mut registry = prometheus_client::registry::Registry::default();
        self.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.contains("\nleader 1\n")
    }
}

/// Waits for something, and says after how long it came true.
#[track_caller]
fn until(what: impl Fn() -> bool) -> impl Future<Output = Duration> {
    let place = std::panic::Location::caller();
    let since = Instant::now();
    async move {
        while !what() {
            assert!(since.elapsed() < secs(600), "{place}: it does not come true");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        since.elapsed()
    }
}
