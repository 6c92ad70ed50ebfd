//! A store of objects in memory that behaves as an apiserver does where the engine can tell: versions and conflicts, generations,
//! finalizers, watches that list first. It counts its writes, and can be silent, refuse, or be the last thing a process does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::watcher::Event;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use sgwarden::api::{
    AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, FINALIZER, Notifier, NotifierStatus, ReferenceGrant, SecurityGroup,
    SecurityGroupStatus,
};
use sgwarden::ports::objects::{Key, Notice, Objects, ObjectsError, Watch};

/// How long a silent store lets its callers wait: every call of the real one ends within a limit.
const SILENCE: Duration = Duration::from_secs(30);

/// Objects of one kind with those who watch them.
struct Table<K> {
    objects: BTreeMap<Key, K>,
    watchers: Vec<UnboundedSender<Event<DeserializeGuard<K>>>>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), watchers: Vec::new() }
    }
}

impl<K: Clone + Resource<DynamicType = ()> + Send + 'static> Table<K> {
    fn put(&mut self, key: &Key, object: K) {
        self.watchers.retain(|watcher| watcher.send(Event::Apply(DeserializeGuard(Ok(object.clone())))).is_ok());
        self.objects.insert(key.clone(), object);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(object) = self.objects.remove(key) {
            self.watchers.retain(|watcher| watcher.send(Event::Delete(DeserializeGuard(Ok(object.clone())))).is_ok());
        }
    }

    fn watch(&mut self) -> Watch<K> {
        let (sender, mut receiver) = unbounded_channel();
        self.watchers.push(sender);
        let listed = self.objects.values().map(|object| Event::InitApply(DeserializeGuard(Ok(object.clone()))));
        let first: Vec<_> = std::iter::once(Event::Init).chain(listed).chain(std::iter::once(Event::InitDone)).map(Ok).collect();
        stream::iter(first).chain(stream::poll_fn(move |context| receiver.poll_recv(context)).map(Ok)).boxed()
    }
}

#[derive(Default)]
struct State {
    version: u64,
    uids: u64,
    groups: Table<SecurityGroup>,
    sets: Table<CidrSet>,
    accounts: Table<AwsAccount>,
    namespaces: Table<Namespace>,
    grants: Table<ReferenceGrant>,
    notifiers: Table<Notifier>,
    events: Vec<(Key, Notice)>,
    writes: usize,
    silent: bool,
    /// The process ends when this many more writes were taken: the answer is never given.
    last: Option<(usize, CancellationToken)>,
}

/// The store; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<State>>);

impl Store {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a manifest of `SecurityGroup`, as people do: spec and metadata, never status.
    pub(crate) fn apply(&self, yaml: &str) {
        let object: SecurityGroup = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        self.apply_object(object);
    }

    pub(crate) fn apply_object(&self, mut object: SecurityGroup) {
        let mut state = self.lock();
        let key = named(&mut object.metadata);
        let known = state.groups.objects.get(&key).cloned();
        let changed = known.as_ref().is_none_or(|known| known.spec != object.spec);
        let meta = known.as_ref().map(|known| known.metadata.clone());
        object.metadata = state.next(meta, changed, std::mem::take(&mut object.metadata));
        object.status = known.and_then(|known| known.status);
        state.groups.put(&key, object);
    }

    /// Puts an object with its status, as a restore from a backup under a new uid does.
    pub(crate) fn restore(&self, mut object: SecurityGroup) {
        let mut state = self.lock();
        let key = named(&mut object.metadata);
        let status = object.status.take();
        let finalizers = object.metadata.finalizers.clone();
        object.metadata = state.next(None, true, std::mem::take(&mut object.metadata));
        object.metadata.finalizers = finalizers;
        object.status = status;
        state.groups.put(&key, object);
    }

    pub(crate) fn apply_set(&self, yaml: &str) {
        let mut object: CidrSet = serde_yaml::from_str(yaml).unwrap();
        let mut state = self.lock();
        let key = named(&mut object.metadata);
        let known = state.sets.objects.get(&key).cloned();
        let changed = known.as_ref().is_none_or(|known| known.spec != object.spec);
        let meta = known.as_ref().map(|known| known.metadata.clone());
        object.metadata = state.next(meta, changed, std::mem::take(&mut object.metadata));
        object.status = known.and_then(|known| known.status);
        state.sets.put(&key, object);
    }

    pub(crate) fn apply_account(&self, yaml: &str) {
        let mut object: AwsAccount = serde_yaml::from_str(yaml).unwrap();
        let mut state = self.lock();
        let key = cluster_scoped(&object.metadata);
        let known = state.accounts.objects.get(&key).cloned();
        let changed = known.as_ref().is_none_or(|known| known.spec != object.spec);
        let meta = known.as_ref().map(|known| known.metadata.clone());
        object.metadata = state.next(meta, changed, std::mem::take(&mut object.metadata));
        object.status = known.and_then(|known| known.status);
        state.accounts.put(&key, object);
    }

    pub(crate) fn apply_notifier(&self, yaml: &str) {
        let mut object: Notifier = serde_yaml::from_str(yaml).unwrap();
        let mut state = self.lock();
        let key = cluster_scoped(&object.metadata);
        let known = state.notifiers.objects.get(&key).cloned();
        let changed = known.as_ref().is_none_or(|known| known.spec != object.spec);
        let meta = known.as_ref().map(|known| known.metadata.clone());
        object.metadata = state.next(meta, changed, std::mem::take(&mut object.metadata));
        object.status = known.and_then(|known| known.status);
        state.notifiers.put(&key, object);
    }

    pub(crate) fn delete_notifier(&self, name: &str) {
        self.lock().notifiers.remove(&Key { namespace: String::new(), name: name.into() });
    }

    pub(crate) fn notifier(&self, name: &str) -> Option<Notifier> {
        self.lock().notifiers.objects.get(&Key { namespace: String::new(), name: name.into() }).cloned()
    }

    pub(crate) fn apply_namespace(&self, name: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) {
        let map = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let mut state = self.lock();
        let meta =
            ObjectMeta { name: Some(name.into()), labels: map(labels), annotations: map(annotations), ..ObjectMeta::default() };
        let key = cluster_scoped(&meta);
        let meta = state.next(None, true, meta);
        state.namespaces.put(&key, Namespace { metadata: meta, ..Namespace::default() });
    }

    pub(crate) fn apply_grant(&self, yaml: &str) {
        let mut object: ReferenceGrant = serde_yaml::from_str(yaml).unwrap();
        let mut state = self.lock();
        let key = named(&mut object.metadata);
        object.metadata = state.next(None, true, std::mem::take(&mut object.metadata));
        state.grants.put(&key, object);
    }

    pub(crate) fn delete_grant(&self, namespace: &str, name: &str) {
        self.lock().grants.remove(&Key { namespace: namespace.into(), name: name.into() });
    }

    pub(crate) fn delete_set(&self, namespace: &str, name: &str) {
        self.lock().sets.remove(&Key { namespace: namespace.into(), name: name.into() });
    }

    /// Deletes an object as kubectl does: it goes when nobody's finalizer holds it.
    pub(crate) fn delete(&self, name: &str) {
        let mut state = self.lock();
        let key = key(name);
        let Some(mut object) = state.groups.objects.get(&key).cloned() else { return };
        if object.metadata.finalizers.as_ref().is_none_or(Vec::is_empty) {
            return state.groups.remove(&key);
        }
        let meta = object.metadata.clone();
        object.metadata = state.next(Some(meta.clone()), true, meta);
        object.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        state.groups.put(&key, object);
    }

    /// Gives an object the status it would have, were it looked after for long.
    pub(crate) fn look_after(&self, name: &str, status: SecurityGroupStatus) {
        let mut state = self.lock();
        let key = key(name);
        let mut object = state.groups.objects.get(&key).cloned().expect("the object exists");
        let meta = object.metadata.clone();
        object.metadata = state.next(Some(meta.clone()), false, meta);
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        object.status = Some(status);
        state.groups.put(&key, object);
    }

    /// Sets or removes an annotation of an object.
    pub(crate) fn annotate(&self, name: &str, annotation: &str, value: Option<&str>) {
        let mut state = self.lock();
        let key = key(name);
        let mut object = state.groups.objects.get(&key).cloned().expect("the object exists");
        let mut meta = object.metadata.clone();
        let annotations = meta.annotations.get_or_insert_default();
        match value {
            Some(value) => drop(annotations.insert(annotation.to_owned(), value.to_owned())),
            None => drop(annotations.remove(annotation)),
        }
        object.metadata = state.next(Some(meta.clone()), false, meta);
        state.groups.put(&key, object);
    }

    /// An object of namespace `shop`.
    pub(crate) fn get(&self, name: &str) -> Option<SecurityGroup> {
        self.lock().groups.objects.get(&key(name)).cloned()
    }

    pub(crate) fn get_in(&self, namespace: &str, name: &str) -> Option<SecurityGroup> {
        self.lock().groups.objects.get(&Key { namespace: namespace.into(), name: name.into() }).cloned()
    }

    pub(crate) fn all(&self) -> Vec<SecurityGroup> {
        self.lock().groups.objects.values().cloned().collect()
    }

    /// Whether something holds of all objects.
    pub(crate) fn all_are(&self, so: fn(&SecurityGroup) -> bool) -> bool {
        self.lock().groups.objects.values().all(so)
    }

    /// The id that the status of an object of namespace `shop` has for its group.
    pub(crate) fn group_id(&self, name: &str) -> Option<String> {
        self.lock().groups.objects.get(&key(name))?.status.as_ref()?.group_id.clone()
    }

    pub(crate) fn account(&self, name: &str) -> Option<AwsAccount> {
        self.lock().accounts.objects.get(&Key { namespace: String::new(), name: name.into() }).cloned()
    }

    /// Every Event recorded, oldest first.
    pub(crate) fn events(&self) -> Vec<(Key, Notice)> {
        self.lock().events.clone()
    }

    /// Writes of the controller so far: statuses and finalizers.
    pub(crate) fn writes(&self) -> usize {
        self.lock().writes
    }

    /// The store does not answer the controller's writes while this holds.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.lock().silent = silent;
    }

    /// The `n`-th write from now is taken, and then `crash` is called off: the answer never comes.
    pub(crate) fn crash_at_write(&self, n: usize, crash: CancellationToken) {
        self.lock().last = Some((n, crash));
    }

    pub(crate) fn crash_at_no_write(&self) {
        self.lock().last = None;
    }

    /// Counts a write that was taken; `true`: it is the process's last.
    fn taken(state: &mut State) -> Option<CancellationToken> {
        state.writes += 1;
        let (left, _) = state.last.as_mut()?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        state.last.take().map(|(_, crash)| crash)
    }

    async fn write<K, T>(
        &self,
        meta: &ObjectMeta,
        table: fn(&mut State) -> &mut Table<K>,
        key: fn(&ObjectMeta) -> Key,
        change: impl FnOnce(&mut K) -> bool + Send,
        answer: impl FnOnce(Option<&K>) -> T + Send,
    ) -> Result<T, ObjectsError>
    where
        K: Clone + Resource<DynamicType = ()> + Send + 'static,
    {
        if self.lock().silent {
            tokio::time::sleep(SILENCE).await;
            return Err(ObjectsError::Unavailable("no answer".into()));
        }
        let (answer, crash) = {
            let mut state = self.lock();
            let key = key(meta);
            let Some(mut object) = table(&mut state).objects.get(&key).cloned() else { return Err(ObjectsError::Gone) };
            let known = object.meta();
            if known.uid != meta.uid {
                return Err(ObjectsError::Gone);
            }
            if known.resource_version != meta.resource_version {
                return Err(ObjectsError::Conflict);
            }
            let stays = change(&mut object);
            state.version += 1;
            object.meta_mut().resource_version = Some(state.version.to_string());
            if stays {
                table(&mut state).put(&key, object.clone());
            } else {
                table(&mut state).remove(&key);
            }
            (answer(stays.then_some(&object)), Self::taken(&mut state))
        };
        if let Some(crash) = crash {
            crash.cancel();
            std::future::pending::<()>().await;
        }
        Ok(answer)
    }
}

impl State {
    /// The metadata of an object that is written by a person.
    fn next(&mut self, known: Option<ObjectMeta>, spec_changed: bool, wanted: ObjectMeta) -> ObjectMeta {
        self.version += 1;
        let mut meta = wanted;
        if let Some(known) = known {
            meta.uid = known.uid;
            meta.finalizers = known.finalizers;
            meta.deletion_timestamp = known.deletion_timestamp;
            meta.annotations = meta.annotations.or(known.annotations);
            meta.generation = known.generation.map(|generation| generation + i64::from(spec_changed));
        } else {
            self.uids += 1;
            meta.uid = Some(format!("uid-{}", self.uids));
            meta.generation = Some(1);
        }
        meta.resource_version = Some(self.version.to_string());
        meta
    }
}

fn key(name: &str) -> Key {
    Key { namespace: "shop".into(), name: name.into() }
}

fn named(meta: &mut ObjectMeta) -> Key {
    let namespace = meta.namespace.get_or_insert_with(|| "shop".into()).clone();
    Key { namespace, name: meta.name.clone().expect("a name") }
}

fn namespaced(meta: &ObjectMeta) -> Key {
    Key { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

fn cluster_scoped(meta: &ObjectMeta) -> Key {
    Key { namespace: String::new(), name: meta.name.clone().expect("a name") }
}

#[async_trait]
impl Objects for Store {
    fn watch(&self) -> Watch<SecurityGroup> {
        self.lock().groups.watch()
    }

    fn watch_cidr_sets(&self) -> Watch<CidrSet> {
        self.lock().sets.watch()
    }

    fn watch_accounts(&self) -> Watch<AwsAccount> {
        self.lock().accounts.watch()
    }

    fn watch_namespaces(&self) -> Watch<Namespace> {
        self.lock().namespaces.watch()
    }

    fn watch_grants(&self) -> Watch<ReferenceGrant> {
        self.lock().grants.watch()
    }

    fn watch_notifiers(&self) -> Watch<Notifier> {
        self.lock().notifiers.watch()
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        let put = |object: &mut SecurityGroup| {
            object.status = Some(status.clone());
            true
        };
        self.write(&object.metadata, |state| &mut state.groups, namespaced, put, |object| object.cloned().expect("it stays")).await
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        let add = |object: &mut SecurityGroup| {
            object.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
            true
        };
        self.write(&object.metadata, |state| &mut state.groups, namespaced, add, |_| ()).await
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        let remove = |object: &mut SecurityGroup| {
            object.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
            object.metadata.deletion_timestamp.is_none()
        };
        self.write(&object.metadata, |state| &mut state.groups, namespaced, remove, |_| ()).await
    }

    async fn write_cidr_set_status(&self, set: &CidrSet, status: &CidrSetStatus) -> Result<(), ObjectsError> {
        let put = |set: &mut CidrSet| {
            set.status = Some(status.clone());
            true
        };
        self.write(&set.metadata, |state| &mut state.sets, namespaced, put, |_| ()).await
    }

    async fn write_account_status(&self, account: &AwsAccount, status: &AwsAccountStatus) -> Result<(), ObjectsError> {
        let put = |account: &mut AwsAccount| {
            account.status = Some(status.clone());
            true
        };
        self.write(&account.metadata, |state| &mut state.accounts, cluster_scoped, put, |_| ()).await
    }

    async fn write_notifier_status(&self, notifier: &Notifier, status: &NotifierStatus) -> Result<(), ObjectsError> {
        let put = |notifier: &mut Notifier| {
            notifier.status = Some(status.clone());
            true
        };
        self.write(&notifier.metadata, |state| &mut state.notifiers, cluster_scoped, put, |_| ()).await
    }

    async fn hold_account(&self, account: &AwsAccount, held: bool) -> Result<(), ObjectsError> {
        let mark = |account: &mut AwsAccount| {
            account.metadata.finalizers = held.then(|| vec![FINALIZER.to_owned()]);
            held || account.metadata.deletion_timestamp.is_none()
        };
        self.write(&account.metadata, |state| &mut state.accounts, cluster_scoped, mark, |_| ()).await
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        let key = namespaced(&object.metadata);
        self.lock().events.push((key, notice.clone()));
    }
}
