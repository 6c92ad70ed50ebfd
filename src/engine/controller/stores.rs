//! What is known of the objects: a store a kind, fed by its watch, and what each change in one of them wakes.
//!
//! Invariant: nothing is woken before the store shows what woke it. A watch that begins anew lists everything first, and the
//! store shows the list only when it is complete.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store, store::Writer};
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;

use crate::api::{AwsAccount, CidrSet, Notifier, ReferenceGrant, SecurityGroup};
use crate::core::desired::{Referent, ReferentKind};
use crate::core::status;
use crate::ports::objects::{Guarded, Key, Watch};

use super::context::Context;
use super::wakes::Trigger;

/// A store of one kind.
pub(super) type Objects<K> = Store<DeserializeGuard<K>>;

/// A store a kind.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) groups: Store<Guarded>,
    pub(super) sets: Objects<CidrSet>,
    pub(super) accounts: Objects<AwsAccount>,
    pub(super) namespaces: Objects<Namespace>,
    pub(super) grants: Objects<ReferenceGrant>,
    /// Nothing that is decided depends on it, so nothing waits for it but who sends messages.
    pub(super) notifiers: Objects<Notifier>,
}

/// The other ends of the stores.
pub(super) struct Writers {
    groups: Writer<Guarded>,
    sets: Writer<DeserializeGuard<CidrSet>>,
    accounts: Writer<DeserializeGuard<AwsAccount>>,
    namespaces: Writer<DeserializeGuard<Namespace>>,
    grants: Writer<DeserializeGuard<ReferenceGrant>>,
    notifiers: Writer<DeserializeGuard<Notifier>>,
}

impl Stores {
    pub(super) fn new() -> (Self, Writers) {
        let (groups, groups_in) = reflector::store();
        let (sets, sets_in) = reflector::store();
        let (accounts, accounts_in) = reflector::store();
        let (namespaces, namespaces_in) = reflector::store();
        let (grants, grants_in) = reflector::store();
        let (notifiers, notifiers_in) = reflector::store();
        let writers = Writers {
            groups: groups_in,
            sets: sets_in,
            accounts: accounts_in,
            namespaces: namespaces_in,
            grants: grants_in,
            notifiers: notifiers_in,
        };
        (Self { groups, sets, accounts, namespaces, grants, notifiers }, writers)
    }

    /// Until every kind was listed once. Before, a reference that is not found may only not have come yet.
    pub(super) async fn ready(&self) {
        // A store that is dropped never becomes ready; then the process ends anyway.
        let _ = tokio::join!(
            self.groups.wait_until_ready(),
            self.sets.wait_until_ready(),
            self.accounts.wait_until_ready(),
            self.namespaces.wait_until_ready(),
            self.grants.wait_until_ready(),
        );
    }
}

/// Feeds the stores, for as long as it is polled.
pub(super) async fn feed(context: &Context, writers: Writers) {
    let Writers { groups, sets, accounts, namespaces, grants, notifiers } = writers;
    let objects = &context.parts.objects;
    tokio::join!(
        follow("SecurityGroup", groups, objects.watch(), Prints::of_group, |change| context.group_changed(&change)),
        follow("CidrSet", sets, objects.watch_cidr_sets(), Prints::of_spec, |change| {
            context.wake_users(ReferentKind::CidrSet, &change.key);
        }),
        follow("AwsAccount", accounts, objects.watch_accounts(), Prints::of_spec, |change| context.account_changed(&change.key)),
        follow("Namespace", namespaces, objects.watch_namespaces(), Prints::of_labels, |change| {
            context.namespace_changed(&change.key.name);
        }),
        follow("ReferenceGrant", grants, objects.watch_grants(), Prints::of_spec, |_| context.grants_changed()),
        follow("Notifier", notifiers, objects.watch_notifiers(), Prints::of_spec, |_| context.tell_couriers()),
    );
}

async fn follow<K>(
    kind: &'static str,
    writer: Writer<DeserializeGuard<K>>,
    watch: Watch<K>,
    prints: fn(&DeserializeGuard<K>) -> Prints,
    changed: impl Fn(Change<K>),
) where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let mut tracker = Tracker::new(prints);
    let mut events = std::pin::pin!(reflector::reflector(writer, watch));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => tracker.take(event).into_iter().for_each(&changed),
            Err(error) => tracing::warn!(kind, error = %innermost(&error), "a watch is interrupted; it goes on by itself"),
        }
    }
}

pub(super) fn innermost(error: &dyn std::error::Error) -> &dyn std::error::Error {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// Something about an object changed.
pub(super) struct Change<K> {
    /// Which object. Objects without a namespace have an empty one.
    pub(super) key: Key,
    /// The object; `None`: it is gone.
    pub(super) object: Option<DeserializeGuard<K>>,
    /// Whether it concerns the object itself.
    pub(super) own: bool,
    /// Whether it concerns those that refer to it.
    pub(super) public: bool,
}

/// Digests of what matters of an object, to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prints {
    own: u64,
    public: u64,
}

impl Prints {
    /// What people change (our own status writes come back as events too), and what users of the group go by.
    fn of_group(object: &Guarded) -> Self {
        let meta = object.meta();
        let deleting = meta.deletion_timestamp.is_some();
        let own = digest(&(meta.uid.as_deref(), meta.generation, &meta.finalizers, &meta.annotations, deleting));
        let read = object.0.as_ref().ok();
        let group = read.and_then(|object| object.status.as_ref()).and_then(status::recorded_group).map(|id| id.to_string());
        let allowed = read.and_then(|object| object.spec.allowed_namespaces.as_ref()).map(|allowed| format!("{allowed:?}"));
        Self { own, public: digest(&(group, allowed, deleting)) }
    }

    fn of_spec<K: Resource>(object: &DeserializeGuard<K>) -> Self {
        let meta = object.meta();
        // A kind whose schema has no status counts no generations; the version then stands for it.
        let version = meta.generation.is_none().then_some(meta.resource_version.as_deref());
        let print = digest(&(meta.uid.as_deref(), meta.generation, version, meta.deletion_timestamp.is_some()));
        Self { own: print, public: print }
    }

    fn of_labels<K: Resource>(object: &DeserializeGuard<K>) -> Self {
        let print = digest(&(&object.meta().labels, &object.meta().annotations));
        Self { own: print, public: print }
    }
}

fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Tells what changed from one event to the next.
struct Tracker<K> {
    prints: fn(&DeserializeGuard<K>) -> Prints,
    known: BTreeMap<Key, Prints>,
    /// A list under way.
    listing: Option<BTreeMap<Key, DeserializeGuard<K>>>,
}

impl<K: Resource<DynamicType = ()>> Tracker<K> {
    fn new(prints: fn(&DeserializeGuard<K>) -> Prints) -> Self {
        Self { prints, known: BTreeMap::new(), listing: None }
    }

    fn take(&mut self, event: Event<DeserializeGuard<K>>) -> Vec<Change<K>> {
        match event {
            Event::Apply(object) => key_of(&object).and_then(|key| self.put(key, object)).into_iter().collect(),
            Event::Delete(object) => key_of(&object).map(|key| self.gone(key)).into_iter().collect(),
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let (Some(listing), Some(key)) = (&mut self.listing, key_of(&object)) {
                    listing.insert(key, object);
                }
                Vec::new()
            }
            Event::InitDone => {
                let listing = self.listing.take().unwrap_or_default();
                let gone: Vec<Key> = self.known.keys().filter(|key| !listing.contains_key(*key)).cloned().collect();
                let gone: Vec<Change<K>> = gone.into_iter().map(|key| self.gone(key)).collect();
                let put: Vec<Change<K>> = listing.into_iter().filter_map(|(key, object)| self.put(key, object)).collect();
                gone.into_iter().chain(put).collect()
            }
        }
    }

    fn put(&mut self, key: Key, object: DeserializeGuard<K>) -> Option<Change<K>> {
        let prints = (self.prints)(&object);
        let before = self.known.insert(key.clone(), prints);
        let own = before.is_none_or(|before| before.own != prints.own);
        let public = before.is_none_or(|before| before.public != prints.public);
        (own || public).then_some(Change { key, object: Some(object), own, public })
    }

    fn gone(&mut self, key: Key) -> Change<K> {
        self.known.remove(&key);
        Change { key, object: None, own: true, public: true }
    }
}

fn key_of<K: Resource>(object: &DeserializeGuard<K>) -> Option<Key> {
    let meta = object.meta();
    Some(Key { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone()? })
}

impl Context {
    fn group_changed(&self, change: &Change<SecurityGroup>) {
        let Change { key, object, own, public } = change;
        if let Some(object) = object {
            if let Ok(object) = &object.0 {
                self.references().put(key, object);
            }
        } else {
            self.references().remove(key);
            self.forget(key);
        }
        if *own && object.is_some() {
            self.wakes.wake(key, Trigger::Object);
        }
        if *public {
            self.wake_users(ReferentKind::SecurityGroup, key);
        }
    }

    fn wake_users(&self, kind: ReferentKind, key: &Key) {
        let referent = Referent { kind, namespace: key.namespace.clone(), name: key.name.clone() };
        let users = self.references().users_of(&referent);
        for user in &users {
            self.wakes.wake(user, Trigger::Reference);
        }
    }

    /// Which objects an account is the one of depends on their namespaces too: all are looked at, which costs no call where
    /// nothing is different.
    fn account_changed(&self, key: &Key) {
        tracing::info!(account = key.name, "account changed");
        self.wake_all(&Trigger::Surroundings);
        self.accounts_changed.notify_one();
    }

    fn namespace_changed(&self, name: &str) {
        let of_it = |object: &Guarded| object.meta().namespace.as_deref() == Some(name);
        self.stores
            .groups
            .state()
            .iter()
            .filter(|object| of_it(object))
            .filter_map(|object| Key::of(object.meta()))
            .for_each(|key| self.wakes.wake(&key, Trigger::Surroundings));
    }

    fn grants_changed(&self) {
        let users = self.references().across_namespaces();
        for user in &users {
            self.wakes.wake(user, Trigger::Surroundings);
        }
    }

    /// Every object has to be looked at.
    pub(super) fn wake_all(&self, trigger: &Trigger) {
        let objects = self.stores.groups.state();
        objects.iter().filter_map(|object| Key::of(object.meta())).for_each(|key| self.wakes.wake(&key, trigger.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CidrSetSpec, SecurityGroupSpec, SecurityGroupStatus};

    fn set(name: &str, generation: i64) -> DeserializeGuard<CidrSet> {
        let mut set = CidrSet::new(name, CidrSetSpec::default());
        set.metadata.namespace = Some("shop".into());
        set.metadata.generation = Some(generation);
        DeserializeGuard(Ok(set))
    }

    fn names(changes: &[Change<CidrSet>]) -> Vec<(&str, bool)> {
        changes.iter().map(|change| (change.key.name.as_str(), change.object.is_some())).collect()
    }

    #[test]
    fn a_list_tells_its_changes_when_it_is_complete_and_misses_what_is_gone() {
        let mut tracker = Tracker::new(Prints::of_spec);
        assert!(tracker.take(Event::Init).is_empty());
        assert!(tracker.take(Event::InitApply(set("a", 1))).is_empty());
        assert!(tracker.take(Event::InitApply(set("b", 1))).is_empty());
        assert_eq!(names(&tracker.take(Event::InitDone)), [("a", true), ("b", true)]);
        assert!(tracker.take(Event::Apply(set("a", 1))).is_empty(), "a status write");
        assert_eq!(names(&tracker.take(Event::Apply(set("a", 2)))), [("a", true)]);
        tracker.take(Event::Init);
        tracker.take(Event::InitApply(set("a", 2)));
        assert_eq!(names(&tracker.take(Event::InitDone)), [("b", false)], "b went while nobody watched");
    }

    #[test]
    fn a_group_id_concerns_the_users_and_not_the_object_itself() {
        let object = |group: Option<&str>| {
            let mut object = SecurityGroup::new("db", SecurityGroupSpec::default());
            object.status = Some(SecurityGroupStatus { group_id: group.map(str::to_owned), ..SecurityGroupStatus::default() });
            DeserializeGuard(Ok(object))
        };
        let (before, after) = (Prints::of_group(&object(None)), Prints::of_group(&object(Some("sg-0a1b2c3d"))));
        assert_eq!(before.own, after.own);
        assert_ne!(before.public, after.public);
    }
}
