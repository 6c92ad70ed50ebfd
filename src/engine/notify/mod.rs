//! Sends messages: to every notifier what it has not heard yet, off the path of the reconciles, by the leader alone.
//!
//! Entry point: [`run`], which keeps one courier a notifier (`courier`). What is to be told stands in the statuses
//! (`core::notice`); here it is read off, sent, and noted as sent. [`Office`] is what couriers see of the controller.
//!
//! Invariant: a sink that is dead or slow holds up nothing but its own messages: no reconcile, no other notifier.
//! Invariant: what was sent is noted in the status after the sink took it, never before. What was noted in vain (the object changed
//! meanwhile) is noted at the next look and not sent again; only the end of the process between the two makes a repetition.

mod courier;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{Notifier, SecurityGroup};
use crate::core::desired::Sink;
use crate::core::notice::{Audience, Listener};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::Route;
use crate::ports::metrics::NotifyMetrics;
use crate::ports::objects::{Guarded, Key, Objects};
use crate::ports::sinks::Deliver;

pub(crate) use courier::since;

use courier::Courier;

/// How often everything is looked at, when nothing was said to have changed.
const LOOK: Duration = Duration::from_secs(5);

/// What couriers see of the controller.
pub(crate) trait Office: Send + Sync {
    /// The notifiers that can be read.
    fn notifiers(&self) -> Vec<Notifier>;
    /// Those whose spec can be used.
    fn listeners(&self) -> Listeners;
    /// Every group.
    fn groups(&self) -> Vec<Arc<Guarded>>;
    /// The labels of a namespace, where they are known.
    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>>;
    /// An object as it is by what we wrote ourselves, which the watch may not show yet.
    fn newest(&self, key: &Key, object: SecurityGroup) -> SecurityGroup;
    /// We wrote an object.
    fn wrote(&self, key: &Key, object: &SecurityGroup);
    /// By whose credentials a topic is published to, or why that cannot be told.
    fn route(&self, sink: &Sink) -> Result<Option<Route>, String>;
    /// Changes whenever somebody may have to be told something.
    fn news(&self) -> watch::Receiver<u64>;
}

/// Who is told, as far as it is known what they want.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners {
    /// In the order of their names.
    pub(crate) known: Vec<Listener>,
    /// Whether that is everybody.
    pub(crate) complete: bool,
}

impl Listeners {
    /// Who is told of the groups of a namespace.
    pub(crate) fn audience<'a>(&'a self, namespace: &'a str, labels: Option<&'a BTreeMap<String, String>>) -> Audience<'a> {
        Audience { listeners: &self.known, complete: self.complete, namespace, labels }
    }
}

/// What couriers work with.
#[derive(Clone)]
pub(crate) struct NotifyParts {
    /// The controller.
    pub(crate) office: Arc<dyn Office>,
    /// Where statuses are written.
    pub(crate) objects: Arc<dyn Objects>,
    /// How messages get to people.
    pub(crate) deliver: Arc<dyn Deliver>,
    /// Time.
    pub(crate) clock: Clock,
    /// Waits.
    pub(crate) timings: Timings,
    /// Counters.
    pub(crate) metrics: NotifyMetrics,
    /// The id by which clusters are told apart.
    pub(crate) cluster: String,
}

/// Keeps a courier for every notifier. Never ends; dropped, it takes its couriers along.
pub(crate) async fn run(parts: NotifyParts) {
    let mut news = parts.office.news();
    let mut couriers: JoinSet<String> = JoinSet::new();
    let mut busy: BTreeMap<String, tokio::task::AbortHandle> = BTreeMap::new();
    loop {
        news.mark_unchanged();
        for notifier in parts.office.notifiers() {
            let Some(name) = notifier.metadata.name else { continue };
            if !busy.contains_key(&name) {
                busy.insert(name.clone(), couriers.spawn(employ(parts.clone(), name)));
            }
        }
        tokio::select! {
            Some(ended) = couriers.join_next() => {
                if let Ok(name) = ended {
                    busy.remove(&name);
                }
            }
            _ = news.changed() => {}
            () = parts.clock.sleep(parts.timings.scaled(LOOK)) => {}
        }
    }
}

/// One courier until its notifier is gone. A panic ends it; the next look employs another.
async fn employ(parts: NotifyParts, name: String) -> String {
    let work = AssertUnwindSafe(Courier::new(parts.clone(), name.clone()).run()).catch_unwind();
    if Box::pin(work).await.is_err() {
        tracing::error!(notifier = name, "a defect of sgwarden: sending messages panicked; it is begun anew");
        parts.clock.sleep(parts.timings.scaled(LOOK)).await;
    }
    name
}
