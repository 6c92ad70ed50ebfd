//! The port over the cluster: watch, status, finalizer, Events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;

use super::events::Events;
use super::{FIELD_MANAGER, words};
use crate::api::{FINALIZER, SecurityGroup, SecurityGroupStatus};
use crate::ports::objects::{Guarded, Notice, Objects, ObjectsError};

/// How long the apiserver keeps a watch open. kube takes a watch for dead 5 s after this, and begins another from where it
/// was. Its default of 290 s would leave us deaf for as long behind a connection that died without a word.
pub(super) const WATCH_SECONDS: u32 = 120;
/// The limit of every other call.
const CALL: Duration = Duration::from_secs(10);

/// Said once, when the apiserver stored something else than it was sent.
const OLD_CRD: &str =
    "the cluster did not store the whole status: its CRD is older than this sgwarden; kubectl apply --server-side -f crds/";

/// `SecurityGroup` objects of a cluster.
pub struct KubeObjects {
    client: Client,
    namespace: Option<String>,
    events: Events,
    limit: Duration,
    /// Whether an old CRD was told of.
    told: AtomicBool,
}

impl KubeObjects {
    /// The objects of one namespace, or of all. `instance` names this process in Events: the pod.
    pub fn new(client: Client, namespace: Option<String>, instance: Option<String>) -> Self {
        let events = Events::new(client.clone(), instance);
        Self { client, namespace, events, limit: CALL, told: AtomicBool::new(false) }
    }

    /// The same with another limit of calls.
    #[cfg(test)]
    pub(super) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Where an object lives, as far as a write must know it.
    fn place(object: &SecurityGroup) -> Result<Place<'_>, ObjectsError> {
        let meta = &object.metadata;
        match (meta.namespace.as_deref(), meta.name.as_deref(), meta.resource_version.as_deref()) {
            (Some(namespace), Some(name), Some(version)) => Ok(Place { namespace, name, version }),
            // Without the version the write would overwrite whatever there is.
            _ => Err(ObjectsError::Refused(
                "the object was not read from a cluster: it has no namespace, name or version".to_owned(),
            )),
        }
    }

    async fn limited<T>(&self, name: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, ObjectsError> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer.map_err(|error| failure(&error, name)),
            Err(_) => Err(ObjectsError::Unavailable(format!("no answer within {:?}", self.limit).into())),
        }
    }

    /// Replaces the finalizers of an object that is still as it was read.
    ///
    /// A merge patch with the resource version rather than a JSON patch with tests: a lost race is a 409 of its own, where
    /// a failed test is a 422 like any invalid object; and nothing can have changed in the object since the decision. It
    /// needs no json-patch crate, which kube does not re-export.
    async fn set_finalizers(&self, object: &SecurityGroup, finalizers: &[&str]) -> Result<(), ObjectsError> {
        let Place { namespace, name, version } = Self::place(object)?;
        let api: Api<SecurityGroup> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.limited(name, api.patch_metadata(name, &params, &Patch::Merge(patch))).await.map(drop)
    }
}

struct Place<'a> {
    namespace: &'a str,
    name: &'a str,
    version: &'a str,
}

#[async_trait]
impl Objects for KubeObjects {
    fn watch(&self) -> BoxStream<'static, Result<watcher::Event<Guarded>, watcher::Error>> {
        let client = self.client.clone();
        let api: Api<Guarded> = match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        watcher(api, watcher::Config::default().timeout(WATCH_SECONDS))
            .default_backoff()
            // They are often longer than the rest of the object, and nobody here reads them.
            .modify(|object| object.meta_mut().managed_fields = None)
            .boxed()
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        let Place { namespace, name, version } = Self::place(object)?;
        // Compared as written down: times are stored in whole seconds.
        let unwritable = |error: serde_json::Error| ObjectsError::Refused(error.to_string());
        let sent = serde_json::to_value(status).map_err(unwritable)?;
        // Only what the status endpoint takes. The uid guards against an object of the same name that came after.
        let body = json!({
            "apiVersion": SecurityGroup::api_version(&()),
            "kind": SecurityGroup::kind(&()),
            "metadata": { "namespace": namespace, "name": name, "uid": object.metadata.uid, "resourceVersion": version },
            "status": sent,
        });
        let api: Api<SecurityGroup> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let mut written = self.limited(name, api.replace_subresource("status", name, &params, &body)).await?;
        written.metadata.managed_fields = None;
        // Helm does not upgrade CRDs, and an apiserver drops what its CRD does not know. Refusing to write would be worse,
        // but it must not go unnoticed either. Whoever relies on a field being stored looks at the object returned.
        let stored = serde_json::to_value(&written.status).map_err(unwritable)?;
        if stored != sent && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(object = %format_args!("{namespace}/{name}"), "{OLD_CRD}");
        }
        Ok(written)
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        let present = object.finalizers();
        if present.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let finalizers = present.iter().map(String::as_str).chain([FINALIZER]).collect::<Vec<_>>();
        self.set_finalizers(object, &finalizers).await
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        let present = object.finalizers();
        let finalizers = present.iter().map(String::as_str).filter(|finalizer| *finalizer != FINALIZER).collect::<Vec<_>>();
        if finalizers.len() == present.len() {
            return Ok(());
        }
        match self.set_finalizers(object, &finalizers).await {
            Err(ObjectsError::Gone) => Ok(()),
            answer => answer,
        }
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        self.events.record(object, notice, self.limit).await;
    }
}

/// What an answer to a write of the object `name` means.
fn failure(error: &kube::Error, name: &str) -> ObjectsError {
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
