//! The port over the cluster: status, finalizers, Events; the watches are put together in `watch`, `optional` and `grants`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::object::HasStatus;
use kube::core::{ClusterResourceScope, DeserializeGuard, NamespaceResourceScope};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::events::Events;
use super::optional::Patience;
use super::{FIELD_MANAGER, grants, watch, words};
use crate::api::{
    AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, FINALIZER, Notifier, NotifierStatus, ReferenceGrant, SecurityGroup,
    SecurityGroupStatus,
};
use crate::ports::objects::{Notice, Objects, ObjectsError, Watch};

/// The limit of every call but the watch.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// Said once a kind, when the apiserver stored something else than it was sent.
const OLD_CRD: &str =
    "the cluster did not store the whole status: its CRD is older than this sgwarden; kubectl apply --server-side -f crds/";

/// The objects of a cluster.
pub struct KubeObjects {
    client: Client,
    namespace: Option<String>,
    events: Events,
    limit: Duration,
    patience: Patience,
    /// The kinds whose CRD was told to be old.
    told: Mutex<BTreeSet<String>>,
}

impl KubeObjects {
    /// The objects of one namespace, or of all. `instance` names this process in Events: the pod.
    ///
    /// With one namespace, objects of others are not seen, and rights beyond it are not needed: accounts, and the labels of
    /// the namespace, are used where they may be read.
    pub fn new(client: Client, namespace: Option<String>, instance: Option<String>) -> Self {
        let events = Events::new(client.clone(), instance);
        Self { client, namespace, events, limit: CALL, patience: Patience::default(), told: Mutex::default() }
    }

    /// The same with more or less patience with kinds that are not there.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same with another limit of calls.
    #[cfg(test)]
    pub(super) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Everything of a kind that is looked after.
    fn scope<K>(&self) -> Api<DeserializeGuard<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Where a namespaced object is written.
    fn of<K>(&self, object: &K) -> Result<Api<K>, ObjectsError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let namespace = object.meta().namespace.as_deref().ok_or_else(never_read)?;
        Ok(Api::namespaced(self.client.clone(), namespace))
    }

    async fn limited<T>(&self, name: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, ObjectsError> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer.map_err(|error| failure(&error, name)),
            Err(_) => Err(ObjectsError::Unavailable(format!("no answer within {:?}", self.limit).into())),
        }
    }

    /// Replaces the status of an object that is still as it was read.
    async fn put_status<K>(&self, api: Api<K>, object: &K, status: &K::Status) -> Result<K, ObjectsError>
    where
        K: Resource<DynamicType = ()> + HasStatus + DeserializeOwned + Clone + Debug,
        K::Status: Serialize,
    {
        let (name, version) = place(object)?;
        // Compared as written down: times are stored in whole seconds.
        let unwritable = |error: serde_json::Error| ObjectsError::Refused(error.to_string());
        let sent = serde_json::to_value(status).map_err(unwritable)?;
        // Only what the status endpoint takes. The uid guards against an object of the same name that came after.
        let mut metadata = json!({ "name": name, "uid": object.meta().uid, "resourceVersion": version });
        if let (Some(fields), Some(namespace)) = (metadata.as_object_mut(), &object.meta().namespace) {
            fields.insert("namespace".to_owned(), json!(namespace));
        }
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "status": sent,
        });
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let mut written: K = self.limited(name, api.replace_subresource("status", name, &params, &body)).await?;
        watch::strip(&mut written);
        // Helm does not upgrade CRDs, and an apiserver drops what its CRD does not know. Refusing to write would be worse,
        // but it must not go unnoticed either. Whoever relies on a field being stored looks at the object returned.
        let stored = serde_json::to_value(written.status()).map_err(unwritable)?;
        if stored != sent {
            let kind = K::kind(&()).into_owned();
            let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.clone());
            if is_new {
                tracing::warn!(kind, namespace = object.meta().namespace, name, "{OLD_CRD}");
            }
        }
        Ok(written)
    }

    /// Adds our finalizer to an object that is still as it was read.
    async fn hold<K>(&self, api: Api<K>, object: &K) -> Result<(), ObjectsError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let present = object.finalizers();
        if present.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let finalizers = present.iter().map(String::as_str).chain([FINALIZER]).collect::<Vec<_>>();
        self.set_finalizers(api, object, &finalizers).await
    }

    /// Takes our finalizer from an object that is still as it was read. One that is gone has none.
    async fn let_go<K>(&self, api: Api<K>, object: &K) -> Result<(), ObjectsError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let present = object.finalizers();
        let finalizers = present.iter().map(String::as_str).filter(|finalizer| *finalizer != FINALIZER).collect::<Vec<_>>();
        if finalizers.len() == present.len() {
            return Ok(());
        }
        match self.set_finalizers(api, object, &finalizers).await {
            Err(ObjectsError::Gone) => Ok(()),
            answer => answer,
        }
    }

    /// Replaces the finalizers of an object that is still as it was read.
    ///
    /// A merge patch with the resource version rather than a JSON patch with tests: a lost race is a 409 of its own, where
    /// a failed test is a 422 like any invalid object; and nothing can have changed in the object since the decision. It
    /// needs no json-patch crate, which kube does not re-export.
    async fn set_finalizers<K>(&self, api: Api<K>, object: &K, finalizers: &[&str]) -> Result<(), ObjectsError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let (name, version) = place(object)?;
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.limited(name, api.patch_metadata(name, &params, &Patch::Merge(patch))).await.map(drop)
    }

    fn everywhere<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
    {
        Api::all(self.client.clone())
    }
}

/// Name and version of an object.
fn place(object: &impl Resource) -> Result<(&str, &str), ObjectsError> {
    let meta = object.meta();
    match (meta.name.as_deref(), meta.resource_version.as_deref()) {
        (Some(name), Some(version)) => Ok((name, version)),
        // Without the version the write would overwrite whatever there is.
        _ => Err(never_read()),
    }
}

fn never_read() -> ObjectsError {
    ObjectsError::Refused("the object was not read from a cluster: it has no namespace, name or version".to_owned())
}

#[async_trait]
impl Objects for KubeObjects {
    fn watch(&self) -> Watch<SecurityGroup> {
        watch::watch(self.scope())
    }

    fn watch_cidr_sets(&self) -> Watch<CidrSet> {
        watch::watch(self.scope())
    }

    fn watch_accounts(&self) -> Watch<AwsAccount> {
        match &self.namespace {
            Some(_) => watch::if_allowed("AwsAccount", self.everywhere(), self.patience, self.limit),
            None => watch::watch(self.everywhere()),
        }
    }

    fn watch_notifiers(&self) -> Watch<Notifier> {
        match &self.namespace {
            Some(_) => watch::if_allowed("Notifier", self.everywhere(), self.patience, self.limit),
            None => watch::watch(self.everywhere()),
        }
    }

    fn watch_namespaces(&self) -> Watch<Namespace> {
        let client = self.client.clone();
        match &self.namespace {
            Some(namespace) => watch::namespace(client, namespace, self.patience, self.limit),
            None => watch::namespaces(client),
        }
    }

    fn watch_grants(&self) -> Watch<ReferenceGrant> {
        grants::watch(self.client.clone(), self.namespace.clone(), self.patience, self.limit)
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        self.put_status(self.of(object)?, object, status).await
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.hold(self.of(object)?, object).await
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.let_go(self.of(object)?, object).await
    }

    async fn write_cidr_set_status(&self, set: &CidrSet, status: &CidrSetStatus) -> Result<(), ObjectsError> {
        self.put_status(self.of(set)?, set, status).await.map(drop)
    }

    async fn write_account_status(&self, account: &AwsAccount, status: &AwsAccountStatus) -> Result<(), ObjectsError> {
        self.put_status(self.everywhere(), account, status).await.map(drop)
    }

    async fn write_notifier_status(&self, notifier: &Notifier, status: &NotifierStatus) -> Result<(), ObjectsError> {
        self.put_status(self.everywhere(), notifier, status).await.map(drop)
    }

    async fn hold_account(&self, account: &AwsAccount, held: bool) -> Result<(), ObjectsError> {
        if held { self.hold(self.everywhere(), account).await } else { self.let_go(self.everywhere(), account).await }
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        self.events.record(object, notice, self.limit).await;
    }
}

/// What an answer to a write of the object `name` means.
pub(super) fn failure(error: &kube::Error, name: &str) -> ObjectsError {
    let unavailable = || ObjectsError::Unavailable(words(error).into());
    let kube::Error::Api(status) = error else { return unavailable() };
    match status.code {
        409 => ObjectsError::Conflict,
        // Only a 404 that names the object says so of the object; any other is a CRD that is gone, or a proxy's.
        404 if status.details.as_ref().is_some_and(|details| details.name == name) => ObjectsError::Gone,
        // About us or about now, not about what was written: a token that has run out, a queue that is full.
        401 | 404 | 408 | 429 => unavailable(),
        400..=499 => ObjectsError::Refused(words(error)),
        _ => unavailable(),
    }
}
