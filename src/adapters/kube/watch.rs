//! The streams of objects, all made the same way.
//!
//! Invariant: `managedFields` stay out. They are often longer than the rest of an object, and nobody here reads them.

use std::fmt::Debug;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, DefaultBackoff, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use super::optional::{self, Look, Patience};
use crate::ports::objects::Watch;

/// How long the apiserver keeps a watch open. kube takes a watch for dead 5 s after this, and begins another from where it
/// was. Its default of 290 s would leave us deaf for as long behind a connection that died without a word.
pub(super) const WATCH_SECONDS: u32 = 120;

/// The longest pause before a watch that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pauses before a watch that failed is tried again: kube's, which keep several from asking together, without their end.
/// They grow to a minute. The Lease is ours again seconds after the apiserver is back, and for the rest of that minute we would
/// keep EC2 as it was declared before.
#[derive(Default)]
pub(super) struct Pace(DefaultBackoff);

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pace {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// The objects that `api` reaches.
pub(super) fn watch<K>(api: Api<DeserializeGuard<K>>) -> Watch<K>
where
    K: Resource + DeserializeOwned + Clone + Debug + Send + 'static,
{
    watcher(api, config()).backoff(Pace::default()).modify(strip).boxed()
}

/// Every namespace.
pub(super) fn namespaces(client: Client) -> Watch<Namespace> {
    labels(Api::all(client), config())
}

/// One namespace, or none when it may not be read.
pub(super) fn namespace(client: Client, name: &str, patience: Patience, limit: Duration) -> Watch<Namespace> {
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client);
    // With the name in it, a role that names this namespace is enough.
    let only = format!("metadata.name={name}");
    let look = move || {
        let (api, only) = (api.clone(), only.clone());
        async move {
            let params = ListParams::default().fields(&only);
            readable(&api, params, limit).await.unwrap_or_else(|| Look::There(labels(api, config().fields(&only))))
        }
        .boxed()
    };
    optional::watch("Namespace", patience, Box::new(look))
}

/// Objects of a kind that is in no namespace, or none when they may not be read: who looks after one namespace may have no rights
/// beyond it.
pub(super) fn if_allowed<K>(kind: &'static str, api: Api<DeserializeGuard<K>>, patience: Patience, limit: Duration) -> Watch<K>
where
    K: Resource + DeserializeOwned + Clone + Debug + Send + 'static,
{
    let look = move || {
        let api = api.clone();
        async move { readable(&api, ListParams::default(), limit).await.unwrap_or_else(|| Look::There(watch(api))) }.boxed()
    };
    optional::watch(kind, patience, Box::new(look))
}

/// What keeps objects from being listed; `None` when nothing does. kube's watcher would log every refusal.
pub(super) async fn readable<K: Clone + DeserializeOwned + Debug, T>(
    api: &Api<K>,
    params: ListParams,
    limit: Duration,
) -> Option<Look<T>> {
    match within(limit, api.list_metadata(&params.limit(1))).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.code == 403 => Some(Look::Forbidden(kube::Error::Api(status))),
        Err(error) => Some(Look::Failed(error)),
    }
}

/// Asks with a limit, which kube does not have.
pub(super) async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
}

pub(super) fn config() -> Config {
    Config::default().timeout(WATCH_SECONDS)
}

pub(super) fn strip(object: &mut impl Resource) {
    object.meta_mut().managed_fields = None;
}

/// Only metadata is asked for: nothing else of a namespace is used, and metadata can always be read.
fn labels(api: Api<PartialObjectMeta<Namespace>>, config: Config) -> Watch<Namespace> {
    let whole = |object: PartialObjectMeta<Namespace>| {
        DeserializeGuard(Ok(Namespace { metadata: object.metadata, spec: None, status: None }))
    };
    watcher(api, config).backoff(Pace::default()).modify(strip).map_ok(move |event| convert(event, whole)).boxed()
}

/// The same event about another type of object.
pub(super) fn convert<A, B>(event: Event<A>, to: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(to(object)),
        Event::Delete(object) => Event::Delete(to(object)),
        Event::InitApply(object) => Event::InitApply(to(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}
