//! Runs the controller: kube-runtime schedules the reconciles, one object at a time each, over whatever store feeds the
//! watch.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::api::Peer;
use crate::core::status::{self, Reason, is_open};
use crate::engine::execute::backoff;
use crate::ports::metrics::{Need, Outcome};
use crate::ports::objects::{Guarded, Key};

use super::context::{Context, Parts};
use super::reconcile::{Next, Pause, reconcile};

/// How often the loop shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Edits of one object within this time are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Pause before trying again whether AWS accepts the credentials, at start.
const CREDENTIALS_RETRY: Duration = Duration::from_secs(10);

/// Runs until `stop`; then finishes the reconciles under way.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let (reader, writer) = reflector::store::<Guarded>();
    let (wake, woken) = mpsc::channel(1024);
    let context = Arc::new(Context::new(parts, reader.clone()));
    context.parts.metrics.drift.announce(<crate::core::plan::DriftKind as strum::IntoEnumIterator>::iter().map(Into::into));
    let dependents = Arc::new(Dependents { context: context.clone(), groups: Mutex::default(), wake });
    let watched = reflector::reflector(writer, context.parts.objects.watch()).inspect(move |event| dependents.saw(event));
    // Our own status writes come back as events; only what people change starts a pass. Deletion raises the generation.
    let changes = watched.applied_objects().predicate_filter(
        predicates::generation.combine(predicates::finalizers).combine(predicates::annotations),
        PredicateConfig::default(),
    );
    let concurrency = context.parts.concurrency;
    let controller = Controller::for_stream(changes, reader.clone())
        .with_config(Config::default().concurrency(concurrency).debounce(DEBOUNCE))
        .reconcile_on(tokio_stream(woken))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(guarded, |_, error: &Infallible, _| match *error {}, context.clone())
        .for_each(|result| async move {
            // An object that is gone by the time its turn comes is no news.
            if let Err(error) = result {
                tracing::debug!(error = %innermost(&error), "controller");
            }
        });
    tokio::select! {
        () = controller => {}
        () = attend(&context, &reader) => {}
    }
}

fn tokio_stream(mut receiver: mpsc::Receiver<ObjectRef<Guarded>>) -> impl futures::Stream<Item = ObjectRef<Guarded>> + Send {
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// Shows that the loop is alive, and what it still waits for. Never ends.
async fn attend(context: &Context, reader: &Store<Guarded>) {
    let ready = async {
        if reader.wait_until_ready().await.is_ok() {
            context.parts.health.met(Need::Objects);
        }
    };
    let credentials = async {
        loop {
            let mut accepted = true;
            for region in context.parts.connect.regions() {
                if let Err(error) = context.parts.connect.connect(&region).await {
                    accepted = false;
                    tracing::warn!("{}", error.explain(&region));
                }
            }
            if accepted {
                return context.parts.health.met(Need::Credentials);
            }
            context.parts.clock.sleep(CREDENTIALS_RETRY).await;
        }
    };
    let beat = async {
        loop {
            context.parts.health.beat();
            let objects = reader.state();
            let valid = objects.iter().filter_map(|object| object.0.as_ref().ok());
            let (mut managed, mut drifted) = (0_usize, 0_usize);
            for object in valid {
                let status = object.status.as_ref();
                managed = managed.saturating_add(usize::from(status.is_some_and(|status| status.group_id.is_some())));
                drifted = drifted.saturating_add(usize::from(status.is_some_and(|status| status.drift.iter().any(is_open))));
            }
            context.parts.metrics.reconcile.managed_groups(managed);
            context.parts.metrics.drift.drifted_groups(drifted);
            context.parts.metrics.reconcile.invalid_objects(objects.iter().filter(|object| object.0.is_err()).count());
            context.parts.clock.sleep(HEARTBEAT).await;
        }
    };
    tokio::join!(ready, credentials, beat);
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
    let work = attempt(&object, &context, key.clone(), trace_id);
    let next = work.instrument(span).await;
    Ok(action(&context, &key, &uid, next))
}

async fn attempt(object: &Guarded, context: &Context, key: Key, trace_id: String) -> Next {
    let working = context.parts.metrics.reconcile.begin(&context.parts.clock);
    let seen = match &object.0 {
        Ok(seen) => seen.clone(),
        Err(invalid) => {
            tracing::warn!(error = %invalid, "the object cannot be read and is left alone; correct or delete it");
            working.end(Outcome::Error);
            return Next::on_change();
        }
    };
    let pass = AssertUnwindSafe(reconcile(context, key, seen, trace_id)).catch_unwind();
    let next = match tokio::time::timeout(context.parts.timings.reconcile_limit, pass).await {
        Ok(Ok(next)) => next,
        Ok(Err(_)) => {
            context.parts.metrics.reconcile.panicked();
            tracing::error!(
                reason = Reason::InternalError.as_str(),
                "a defect of sgwarden: the reconcile panicked; other objects go on"
            );
            Next::failed()
        }
        Err(_) => {
            context.parts.metrics.reconcile.error("Timeout");
            tracing::error!("the reconcile took too long and is tried again");
            Next::failed()
        }
    };
    working.end(next.outcome);
    next
}

fn action(context: &Context, key: &Key, uid: &str, next: Next) -> Action {
    match next.after {
        Pause::Change => Action::await_change(),
        Pause::For(pause) => Action::requeue(pause),
        Pause::Usual => Action::requeue(jittered(context.parts.timings.reread)),
        Pause::Backoff => Action::requeue(jittered(backoff(&context.parts.timings, context.memories.failed(key, uid)))),
    }
}

/// ± 10 %, so that a thousand objects that started together do not read together for ever.
fn jittered(pause: Duration) -> Duration {
    let [byte, ..] = *Uuid::new_v4().as_bytes();
    pause.mul_f64(0.9 + f64::from(byte) / 255.0 * 0.2)
}

fn innermost(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// Watches the watch: an object whose group appears or changes wakes those that refer to it.
struct Dependents {
    context: Arc<Context>,
    groups: Mutex<BTreeMap<Key, Option<String>>>,
    wake: mpsc::Sender<ObjectRef<Guarded>>,
}

impl Dependents {
    fn saw(&self, event: &Result<watcher::Event<Guarded>, watcher::Error>) {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => self.changed(object, true),
            Ok(watcher::Event::Delete(object)) => {
                if let Some(key) = Key::of(object.meta()) {
                    self.context.memories.forget(&key);
                }
                self.changed(object, false);
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) => {
                tracing::warn!(error = %innermost(error), "the watch of SecurityGroup objects is interrupted; it goes on by itself");
            }
        }
    }

    fn changed(&self, object: &Guarded, exists: bool) {
        let Some(key) = Key::of(object.meta()) else { return };
        let status = object.0.as_ref().ok().and_then(|object| object.status.as_ref());
        let group = status.and_then(status::recorded_group).map(|id| id.to_string());
        {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            let before = if exists { groups.insert(key.clone(), group.clone()) } else { groups.remove(&key) };
            if before.flatten() == group {
                return;
            }
        }
        for dependent in self.context.store.state() {
            let Ok(spec) = dependent.0.as_ref().map(|dependent| &dependent.spec) else { continue };
            let refers = |peer: &Peer| peer.security_group.as_ref().is_some_and(|reference| reference.name == key.name);
            let same_namespace = dependent.meta().namespace.as_deref() == Some(key.namespace.as_str());
            if same_namespace && spec.rules().flat_map(|rule| rule.peers).any(refers) {
                // Full: the dependents look again by themselves after Timings.reference_poll.
                let _ = self.wake.try_send(ObjectRef::from_obj(dependent.as_ref()));
            }
        }
    }
}
