//! Runs the controller: the watches and workers for as long as the process lives, and, while it leads, the schedule of
//! reconciles, one object at a time each.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::api::SecurityGroupStatus;
use crate::core::status::{self, Reason, is_open};
use crate::engine::execute::backoff;
use crate::engine::leader::{LeaderParts, lead};
use crate::engine::notify;
use crate::engine::region::{RegionParts, Regions};
use crate::ports::metrics::{Need, Outcome};
use crate::ports::objects::{Guarded, Key};
use crate::ports::spans;

use super::accounts::{self, Reached};
use super::context::{Context, Parts};
use super::events;
use super::pass::{Next, Pause};
use super::reconcile::reconcile;
use super::stores::{Stores, feed, innermost};
use super::wakes::Trigger;

/// How often the loop shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Edits of one object within this time are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Runs until `stop`; then finishes the reconciles under way.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let (stores, writers) = Stores::new();
    let (wake, woken) = unbounded_channel();
    let regions = Regions::new(
        RegionParts {
            connect: parts.connect.clone(),
            clock: parts.clock.clone(),
            timings: parts.timings.clone(),
            metrics: parts.metrics.clone(),
        },
        wake,
    );
    let context = Arc::new(Context::new(parts, stores, regions));
    context.parts.metrics.drift.announce(<crate::core::plan::DriftKind as strum::IntoEnumIterator>::iter().map(Into::into));
    events::announce(&context.parts.metrics.events);
    let reached = Arc::new(Reached::default());
    tokio::select! {
        () = terms(&context, &reached, &stop) => {}
        () = feed(&context, writers) => {}
        () = pass_on(&context, woken) => {}
        () = accounts::keep_warm(&context, &reached) => {}
        () = attend(&context) => {}
    }
}

/// Leads whenever it may, until `stop`.
async fn terms(context: &Arc<Context>, reached: &Arc<Reached>, stop: &CancellationToken) {
    let work = |term: CancellationToken| term_of_office(context.clone(), reached.clone(), term).boxed();
    let leadership = &context.parts.leadership;
    let Some(leases) = leadership.leases.clone() else { return alone(context, work(stop.clone())).await };
    let parts = LeaderParts {
        leases,
        identity: leadership.identity.clone(),
        clock: context.parts.clock.clone(),
        timings: context.parts.timings.clone(),
        metrics: context.parts.metrics.leader.clone(),
        fence: leadership.fence.clone(),
    };
    lead(parts, stop.clone(), work).await;
}

/// Who shares with nobody leads, and says so: an alert on a missing leader must not go off for it.
async fn alone(context: &Context, work: impl Future<Output = ()>) {
    context.parts.metrics.leader.leads(true);
    work.await;
    context.parts.metrics.leader.leads(false);
}

/// Everything only one process may do at a time.
async fn term_of_office(context: Arc<Context>, reached: Arc<Reached>, term: CancellationToken) {
    // Until every kind was listed, a reference that is not found may only not have come yet.
    tokio::select! {
        () = context.ready() => {}
        () = term.cancelled() => return,
    }
    context.memories.new_term();
    context.regions.begin_term();
    context.lead_since(Some(context.parts.clock.now()));
    let woken = context.wakes.listen();
    context.wake_all(&Trigger::Term);
    tokio::select! {
        () = schedule(context.clone(), woken, term) => {}
        () = accounts::report(&context, &reached) => {}
        () = events::listen(&context) => {}
        () = notify::run(context.notify_parts()) => {}
    }
    context.wakes.close();
    context.lead_since(None);
}

async fn schedule(context: Arc<Context>, woken: UnboundedReceiver<ObjectRef<Guarded>>, term: CancellationToken) {
    let concurrency = context.parts.concurrency;
    let known = context.clone();
    // What starts a pass is told by the stores and the workers (`wakes`), so the stream that usually does has nothing to say.
    Controller::for_stream(futures::stream::pending(), context.stores.groups.clone())
        .with_config(Config::default().concurrency(concurrency).debounce(DEBOUNCE))
        .reconcile_on(as_stream(woken))
        .graceful_shutdown_on(term.cancelled_owned())
        .run(guarded, |_, error: &Infallible, _| match *error {}, context)
        .for_each(|result| {
            // An object that is gone by the time its turn comes is no news.
            if let Err(error) = result {
                tracing::debug!(error = %innermost(&error), "controller");
                if let controller::Error::ObjectNotFound(gone) = error {
                    known.wakes.forget(&Key { namespace: gone.namespace.unwrap_or_default(), name: gone.name });
                }
            }
            std::future::ready(())
        })
        .await;
}

fn as_stream(mut receiver: UnboundedReceiver<ObjectRef<Guarded>>) -> impl futures::Stream<Item = ObjectRef<Guarded>> + Send {
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// Passes on what the workers see.
async fn pass_on(context: &Context, mut woken: UnboundedReceiver<Key>) {
    while let Some(key) = woken.recv().await {
        context.wakes.wake(&key, Trigger::Sweep);
    }
    // The workers hold the other end for as long as the process lives.
    std::future::pending::<()>().await;
}

/// Shows that the loop is alive, and what it still waits for. Never ends.
async fn attend(context: &Context) {
    let ready = async {
        context.watch_readiness().await;
        context.parts.health.met(Need::Objects);
    };
    let beat = async {
        loop {
            context.parts.health.beat();
            let objects = context.stores.groups.state();
            let valid = objects.iter().filter_map(|object| object.0.as_ref().ok());
            let (mut managed, mut drifted) = (0_usize, 0_usize);
            for object in valid {
                let status = object.status.as_ref();
                managed = managed.saturating_add(usize::from(status.is_some_and(|status| status.group_id.is_some())));
                drifted = drifted.saturating_add(usize::from(status.is_some_and(|status| status.drift.iter().any(is_open))));
            }
            context.parts.metrics.reconcile.managed_groups(managed);
            context.parts.metrics.drift.drifted_groups(drifted);
            for reason in status::RESTRAINTS {
                let held = |status: &SecurityGroupStatus| status::is_restrained(status, reason);
                let count =
                    objects.iter().filter(|object| object.0.as_ref().is_ok_and(|object| object.status.as_ref().is_some_and(held)));
                context.parts.metrics.reconcile.restrained_groups(reason.as_str(), count.count());
            }
            context.parts.metrics.reconcile.invalid_objects(objects.iter().filter(|object| object.0.is_err()).count());
            context.parts.clock.sleep(HEARTBEAT).await;
        }
    };
    tokio::join!(ready, beat, context.watch_notifiers());
}

/// One reconcile with everything around it: span, counters, time limit, and a net under panics.
async fn guarded(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Infallible> {
    let Some(key) = Key::of(object.meta()) else { return Ok(Action::await_change()) };
    let trace_id = Uuid::new_v4().simple().to_string();
    let uid = object.uid().unwrap_or_default();
    let span = tracing::info_span!(
        "reconcile",
        namespace = key.namespace,
        name = key.name,
        uid,
        generation = object.meta().generation,
        trace_id
    );
    let trigger = context.wakes.take(&key);
    let event = if let Trigger::Event(id) = &trigger { Some(id.as_str()) } else { None };
    let pass = spans::pass(&key, &uid, object.meta().generation, &trace_id, (&trigger).into(), event);
    let work = attempt(&object, &context, key.clone(), trace_id);
    let next = Box::pin(work.instrument(pass).instrument(span)).await;
    Ok(action(&context, &key, &uid, next))
}

async fn attempt(object: &Guarded, context: &Context, key: Key, trace_id: String) -> Next {
    let working = context.parts.metrics.reconcile.begin(&context.parts.clock);
    let seen = match &object.0 {
        Ok(seen) => seen.clone(),
        Err(invalid) => {
            tracing::warn!(error = %invalid, "the object cannot be read and is left alone; correct or delete it");
            working.end(Outcome::Error);
            spans::ended(Outcome::Error.into());
            return Next::on_change();
        }
    };
    let began = context.parts.clock.instant();
    let uid = seen.metadata.uid.clone().unwrap_or_default();
    let pass = AssertUnwindSafe(reconcile(context, key.clone(), seen, trace_id)).catch_unwind();
    let next = match tokio::time::timeout(context.parts.timings.reconcile_limit, Box::pin(pass)).await {
        Ok(Ok(next)) => next,
        Ok(Err(_)) => {
            context.parts.metrics.reconcile.panicked();
            spans::failed("Panic");
            tracing::error!(
                reason = Reason::InternalError.as_str(),
                "a defect of sgwarden: the reconcile panicked; other objects go on"
            );
            Next::failed()
        }
        Err(_) => {
            context.parts.metrics.reconcile.error("Timeout");
            spans::failed("Timeout");
            tracing::error!("the reconcile took too long and is tried again");
            Next::failed()
        }
    };
    working.end(next.outcome);
    spans::ended(next.outcome.into());
    // What failed, or is not done, and says so in status is said.
    if next.outcome == Outcome::Success || context.memories.saved_since(&key, &uid, began) {
        context.passes.ended(&key, began);
    }
    next
}

fn action(context: &Context, key: &Key, uid: &str, next: Next) -> Action {
    if next.outcome != Outcome::Success {
        context.wakes.expect(key, Trigger::Retry);
    }
    match next.after {
        Pause::Change => Action::await_change(),
        Pause::For(pause) => Action::requeue(pause),
        Pause::Usual => Action::requeue(jittered(context.parts.timings.reread)),
        Pause::Backoff => Action::requeue(jittered(backoff(&context.parts.timings, context.memories.failed(key, uid)))),
        Pause::Refused => {
            let pause = backoff(&context.parts.timings, context.memories.failed(key, uid));
            Action::requeue(jittered(pause.max(context.parts.timings.refused)))
        }
    }
}

/// ± 10 %, so that a thousand objects that started together do not read together for ever.
fn jittered(pause: Duration) -> Duration {
    let [byte, ..] = *Uuid::new_v4().as_bytes();
    pause.mul_f64(0.9 + f64::from(byte) / 255.0 * 0.2)
}
