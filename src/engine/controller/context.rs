//! What every reconcile shares.

use std::sync::Arc;

use kube::runtime::reflector::Store;

use crate::api::SecurityGroup;
use crate::core::model::{Region, SecurityGroupId};
use crate::core::status;
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::Connect;
use crate::ports::metrics::{Health, Metrics};
use crate::ports::objects::{Guarded, Key, Objects};
use crate::ports::sinks::AuditSink;

use super::finalize;
use super::memory::Memories;

/// What the controller is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where objects live.
    pub objects: Arc<dyn Objects>,
    /// EC2, by Region.
    pub connect: Arc<dyn Connect>,
    /// Where change records go.
    pub audit: Arc<dyn AuditSink>,
    /// Time.
    pub clock: Clock,
    /// Waits.
    pub timings: Timings,
    /// Counters.
    pub metrics: Metrics,
    /// What `/livez` and `/readyz` say.
    pub health: Health,
    /// The id by which our groups are told from another cluster's.
    pub cluster: String,
    /// How many objects are worked on at a time.
    pub concurrency: u16,
}

/// The parts, the store the watch fills, and what is remembered of each object.
pub struct Context {
    pub(super) parts: Parts,
    pub(super) store: Store<Guarded>,
    pub(super) memories: Memories,
}

impl Context {
    pub(super) fn new(parts: Parts, store: Store<Guarded>) -> Self {
        Self { parts, store, memories: Memories::default() }
    }

    /// Another object of the store.
    pub(super) fn look_up(&self, key: &Key) -> Option<SecurityGroup> {
        let reference = kube::runtime::reflector::ObjectRef::new(&key.name).within(&key.namespace);
        let found = self.store.get(&reference)?;
        found.0.as_ref().ok().cloned()
    }

    /// Whether a group belongs to an object that is being deleted together with it.
    pub(super) fn is_going(&self, group: &SecurityGroupId) -> bool {
        self.store.state().iter().filter_map(|object| object.0.as_ref().ok()).any(|object| {
            let recorded = object.status.as_ref().and_then(status::recorded_group);
            recorded.as_ref() == Some(group) && finalize::takes_its_group(object)
        })
    }

    /// The Region of objects that name none: the only one served.
    pub(super) fn only_region(&self) -> Option<Region> {
        match self.parts.connect.regions().as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }
}
