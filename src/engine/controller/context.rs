//! What every reconcile shares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Notify, watch};

use crate::api::{ACCOUNT_ANNOTATION, AwsAccount, DEFAULT_ACCOUNT, SecurityGroup};
use crate::core::desired::{Account, NamespaceRule, QueueAddress};
use crate::core::model::{AccountId, Region, SecurityGroupId};
use crate::core::status;
use crate::engine::leader::Fence;
use crate::engine::region::Regions;
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::Connect;
use crate::ports::lease::Leases;
use crate::ports::metrics::{Health, Metrics};
use crate::ports::objects::{Key, Objects};
use crate::ports::queue::Queues;
use crate::ports::sinks::{AuditSink, Deliver};

use super::events::{Attempts, Crowds, Followed, Hearings, Passes, Passing};
use super::finalize;
use super::limits::Limits;
use super::memory::Memories;
use super::references::References;
use super::stores::Stores;
use super::wakes::Wakes;

/// What the controller is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where objects live.
    pub objects: Arc<dyn Objects>,
    /// The way into AWS.
    pub connect: Arc<dyn Connect>,
    /// Where change records go.
    pub audit: Arc<dyn AuditSink>,
    /// How messages get to people.
    pub deliver: Arc<dyn Deliver>,
    /// Time.
    pub clock: Clock,
    /// Waits.
    pub timings: Timings,
    /// Counters.
    pub metrics: Metrics,
    /// What `/livez` and `/readyz` say.
    pub health: Health,
    /// The way to the queues that events arrive in.
    pub queues: Arc<dyn Queues>,
    /// The id by which our groups are told from another cluster's.
    pub cluster: String,
    /// Ids this cluster had before: their groups are ours to reclaim.
    pub former_clusters: Vec<String>,
    /// The account of objects as long as there is no `AwsAccount` object.
    pub own: OwnAccount,
    /// How this process comes to be the one that writes.
    pub leadership: Leadership,
    /// How many objects are worked on at a time.
    pub concurrency: u16,
}

/// The account of the controller's own credentials.
#[derive(Clone, Debug, Default)]
pub struct OwnAccount {
    /// Which account it has to be; `None`: whichever STS says.
    pub id: Option<AccountId>,
    /// Its Regions.
    pub regions: Vec<Region>,
    /// The namespaces that may use it; `None`: all.
    pub namespaces: Option<Vec<String>>,
    /// The queues its events arrive in.
    pub queues: Vec<QueueAddress>,
}

/// How this process comes to be the one that writes.
#[derive(Clone)]
pub struct Leadership {
    /// Where the lease is kept; `None`: nobody else can be there (a directory, whose state is locked).
    pub leases: Option<Arc<dyn Leases>>,
    /// What this process is called in the lease.
    pub identity: String,
    /// What every write passes.
    pub fence: Fence,
}

/// The parts, what the watches show, and what is remembered of each object and account.
pub struct Context {
    pub(super) parts: Parts,
    pub(super) stores: Stores,
    pub(super) regions: Arc<Regions>,
    pub(super) wakes: Wakes,
    pub(super) memories: Memories,
    pub(super) limits: Limits,
    pub(super) accounts_changed: Notify,
    pub(super) hearings: Hearings,
    pub(super) passes: Passes,
    pub(super) passing: Passing,
    pub(super) followed: Followed,
    pub(super) crowds: Crowds,
    pub(super) attempts: Attempts,
    leading_since: Mutex<Option<Timestamp>>,
    references: Mutex<References>,
    ready: watch::Sender<bool>,
    /// Whether it is known who is to be told of what.
    notifiers_known: watch::Sender<bool>,
    /// Counts what couriers may want to look at.
    news: watch::Sender<u64>,
}

impl Context {
    pub(super) fn new(parts: Parts, stores: Stores, regions: Arc<Regions>) -> Self {
        Self {
            parts,
            stores,
            regions,
            wakes: Wakes::default(),
            memories: Memories::default(),
            limits: Limits::default(),
            accounts_changed: Notify::new(),
            hearings: Hearings::default(),
            passes: Passes::default(),
            passing: Passing::default(),
            followed: Followed::default(),
            crowds: Crowds::default(),
            attempts: Attempts::default(),
            leading_since: Mutex::default(),
            references: Mutex::default(),
            ready: watch::Sender::new(false),
            notifiers_known: watch::Sender::new(false),
            news: watch::Sender::new(0),
        }
    }

    /// Since when this process is the one that writes; `None`: it is not.
    pub(super) fn leading_since(&self) -> Option<Timestamp> {
        *self.leading_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lead_since(&self, since: Option<Timestamp>) {
        *self.leading_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub(super) fn references(&self) -> MutexGuard<'_, References> {
        self.references.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody when every kind was listed once. Only one task may wait for the stores themselves: they wake the last one
    /// that asked, and no other.
    pub(super) async fn watch_readiness(&self) {
        self.stores.ready().await;
        self.ready.send_replace(true);
    }

    /// Until every kind was listed once. Before, a reference that is not found may only not have come yet.
    pub(super) async fn ready(&self) {
        // The sender lives as long as we do.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Notes when all notifiers were listed once. For one task, as with [`Context::watch_readiness`].
    pub(super) async fn watch_notifiers(&self) {
        // A store that is dropped never becomes ready; then the process ends anyway.
        if self.stores.notifiers.wait_until_ready().await.is_ok() {
            self.notifiers_known.send_replace(true);
            self.tell_couriers();
        }
    }

    /// Whether it is known who is to be told of what.
    pub(super) fn knows_notifiers(&self) -> bool {
        *self.notifiers_known.borrow()
    }

    /// Somebody may have to be told something.
    pub(super) fn tell_couriers(&self) {
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// Changes whenever somebody may have to be told something.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Another object of the store.
    pub(super) fn look_up(&self, key: &Key) -> Option<SecurityGroup> {
        let found = self.stores.groups.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
        found.0.as_ref().ok().cloned()
    }

    /// An account by its name; `Some(Err)`: there is one, but it cannot be read.
    pub(super) fn account(&self, name: &str) -> Option<Result<AwsAccount, String>> {
        let found = self.stores.accounts.get(&ObjectRef::new(name))?;
        Some(found.0.clone().map_err(|error| error.to_string()))
    }

    /// Labels of a namespace; `None` when it is not known: a selector may ask for a label to be absent, so that no labels are not
    /// the same as unknown ones.
    pub(super) fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let found = self.stores.namespaces.get(&ObjectRef::new(namespace))?;
        Some(Resource::meta(found.as_ref()).labels.clone().unwrap_or_default())
    }

    /// The account that objects of a namespace are in if they name none.
    pub(super) fn default_account(&self, namespace: &str) -> String {
        let found = self.stores.namespaces.get(&ObjectRef::new(namespace));
        let annotations = found.as_ref().and_then(|found| Resource::meta(found.as_ref()).annotations.as_ref());
        annotations.and_then(|all| all.get(ACCOUNT_ANNOTATION)).cloned().unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned())
    }

    /// Whether a namespace may have groups in an account.
    pub(super) fn admits(&self, account: &Account, namespace: &str) -> bool {
        match (&account.namespaces, self.labels(namespace)) {
            (NamespaceRule::Selector(_), None) => false,
            (NamespaceRule::Selector(_) | NamespaceRule::All | NamespaceRule::Listed(_), labels) => {
                account.admits(namespace, &labels.unwrap_or_default())
            }
        }
    }

    /// The object is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.memories.forget(key);
        self.wakes.forget(key);
        self.regions.forget(key);
    }

    /// Whether a group belongs to an object that is being deleted together with it.
    pub(super) fn is_going(&self, group: &SecurityGroupId) -> bool {
        self.stores.groups.state().iter().filter_map(|object| object.0.as_ref().ok()).any(|object| {
            let recorded = object.status.as_ref().and_then(status::recorded_group);
            recorded.as_ref() == Some(group) && finalize::takes_its_group(object)
        })
    }
}
