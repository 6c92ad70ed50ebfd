//! What those who send messages see of the controller, and what the controller asks of them: who is to be told of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use tokio::sync::watch;

use crate::api::{Notifier, SecurityGroup, SecurityGroupStatus};
use crate::core::desired::{self, Sink, parse_notifier};
use crate::core::notice::{self, Audience, Listener};
use crate::core::status::Told;
use crate::engine::notify::{Listeners, NotifyParts, Office, since};
use crate::ports::cloud::Route;
use crate::ports::objects::{Guarded, Key, ObjectsError};

use super::context::Context;
use super::report;
use super::site::route;

/// How often a status is written anew that a pass wrote meanwhile.
const ATTEMPTS: u32 = 5;

impl Office for Context {
    fn notifiers(&self) -> Vec<Notifier> {
        self.stores.notifiers.state().iter().filter_map(|object| object.0.as_ref().ok().cloned()).collect()
    }

    fn listeners(&self) -> Listeners {
        let mut all = self.notifiers();
        all.sort_by_key(Notifier::name_any);
        let listener = |one: &Notifier| Some(Listener { recipient: parse_notifier(one).ok()?, since: since(one) });
        let known: Vec<Listener> = all.iter().filter_map(listener).collect();
        // One whose spec cannot be used at the moment is told when it can be.
        let complete = self.knows_notifiers() && known.len() == self.stores.notifiers.state().len();
        Listeners { known, complete }
    }

    fn groups(&self) -> Vec<Arc<Guarded>> {
        self.stores.groups.state()
    }

    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        Self::labels(self, namespace)
    }

    fn newest(&self, key: &Key, object: SecurityGroup) -> SecurityGroup {
        self.memories.newest(key, object)
    }

    fn wrote(&self, key: &Key, object: &SecurityGroup) {
        self.memories.wrote(key, object);
    }

    fn route(&self, sink: &Sink) -> Result<Option<Route>, String> {
        let (region, account) = match sink {
            Sink::Slack { url: _ } | Sink::Webhook { url: _, hmac: _ } => return Ok(None),
            Sink::Sns { topic: _, region, account } => (region, account),
        };
        let Some(name) = account else { return Ok(Some(Route::own(region.clone()))) };
        match self.account(name) {
            None => Err(format!("there is no AwsAccount {name}")),
            Some(Err(_)) => Err(format!("AwsAccount {name} cannot be read")),
            Some(Ok(account)) => {
                let account = desired::parse_account(&account).map_err(|_| format!("AwsAccount {name} cannot be used"))?;
                Ok(Some(route(&account, region)))
            }
        }
    }

    fn news(&self) -> watch::Receiver<u64> {
        Self::news(self)
    }
}

impl Context {
    /// What those who send messages work with.
    pub(super) fn notify_parts(self: &Arc<Self>) -> NotifyParts {
        NotifyParts {
            office: self.clone(),
            objects: self.parts.objects.clone(),
            deliver: self.parts.deliver.clone(),
            clock: self.parts.clock.clone(),
            timings: self.parts.timings.clone(),
            metrics: self.parts.metrics.notify.clone(),
            cluster: self.parts.cluster.clone(),
        }
    }

    /// Adds to a status that is about to be written what somebody has to be told besides its drift.
    pub(super) fn record_notices(&self, key: &Key, before: &SecurityGroupStatus, next: &mut SecurityGroupStatus) {
        let uid = next.uid.clone().unwrap_or_default();
        self.with_audience(key, |audience| notice::record(before, next, &uid, self.parts.clock.now(), audience));
    }

    /// Tells something of an object that no pass found: as an Event, and to whoever wants messages. Whether it is in status, where
    /// it waits for those.
    pub(super) async fn announce(&self, key: &Key, told: &Told) -> bool {
        let Some(seen) = self.look_up(key) else { return true };
        report::tell(self, &seen, told.clone()).await;
        for _ in 0..ATTEMPTS {
            let Some(object) = self.look_up(key).map(|seen| self.memories.newest(key, seen)) else { return true };
            let before = object.status.clone().unwrap_or_default();
            let mut next = before.clone();
            let uid = object.metadata.uid.clone().unwrap_or_default();
            let (reason, action, note) = (told.reason, told.action.as_str(), told.note.as_str());
            let now = self.parts.clock.now();
            self.with_audience(key, |audience| notice::add(&mut next, (reason, action, note), &uid, now, audience));
            if next == before {
                return true;
            }
            match self.parts.objects.write_status(&object, &next).await {
                Ok(written) => {
                    self.memories.wrote(key, &written);
                    self.tell_couriers();
                    return true;
                }
                // A pass wrote meanwhile.
                Err(ObjectsError::Conflict) => self.parts.clock.sleep(self.parts.timings.visible_poll).await,
                Err(ObjectsError::Gone) => return true,
                Err(ObjectsError::Refused(_) | ObjectsError::Unavailable(_)) => return false,
            }
        }
        false
    }

    /// The drift records of a status that may go to make room.
    pub(super) fn told(&self, key: &Key, status: &SecurityGroupStatus) -> BTreeSet<String> {
        self.with_audience(key, |audience| notice::told(status, audience))
    }

    fn with_audience<T>(&self, key: &Key, act: impl FnOnce(&Audience<'_>) -> T) -> T {
        let (listeners, labels) = (Office::listeners(self), Self::labels(self, &key.namespace));
        act(&listeners.audience(&key.namespace, labels.as_ref()))
    }
}
