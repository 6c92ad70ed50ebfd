//! Gateway API's `ReferenceGrant` objects, where there are any.
//!
//! Invariant: the version is found, not assumed: Gateway API moves from v1beta1 to v1, and clusters serve one or both.

use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, Status};
use kube::runtime::{WatchStreamExt, watcher};

use super::optional::{self, Look, Patience};
use super::watch::{Pace, config, convert, readable, strip, within};
use crate::api::{GROUP, ReferenceGrant};
use crate::ports::objects::Watch;

/// The versions that are understood, best first. Their fields are the same.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// The grants of one namespace, or of all.
pub(super) fn watch(client: Client, namespace: Option<String>, patience: Patience, limit: Duration) -> Watch<ReferenceGrant> {
    let look = move || {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move { look(client, namespace, limit).await }.boxed()
    };
    optional::watch("ReferenceGrant", patience, Box::new(look))
}

async fn look(client: Client, namespace: Option<String>, limit: Duration) -> Look<ReferenceGrant> {
    let resource = match within(limit, served(&client)).await {
        Ok(Some(resource)) => resource,
        Ok(None) => return Look::NotInstalled,
        Err(error) => return Look::Failed(error),
    };
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, &namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    if let Some(hindrance) = readable(&api, ListParams::default(), limit).await {
        return hindrance;
    }
    let grants = watcher(api, config()).backoff(Pace::default()).modify(strip).map_ok(|event| convert(event, typed));
    Look::There(grants.boxed())
}

/// The grants as this cluster serves them; `None` when it surely does not.
async fn served(client: &Client) -> kube::Result<Option<ApiResource>> {
    let groups = client.list_api_groups().await?.groups;
    // A 404 may come from anybody, and an apiserver that just started knows no custom resources yet: only one that knows ours
    // is believed that it has no grants.
    if !groups.iter().any(|group| group.name == GROUP) {
        let status = Status::failure(&format!("the API group {GROUP} is not served"), "ServiceUnavailable");
        return Err(kube::Error::Api(status.with_code(503).boxed()));
    }
    let resource = ApiResource::erase::<ReferenceGrant>(&());
    let Some(group) = groups.iter().find(|group| group.name == resource.group) else { return Ok(None) };
    for version in VERSIONS {
        if !group.versions.iter().any(|served| served.version == version) {
            continue;
        }
        let api_version = format!("{}/{version}", resource.group);
        match client.list_api_group_resources(&api_version).await {
            Ok(list) if list.resources.iter().any(|served| served.name == resource.plural) => {
                return Ok(Some(ApiResource { version: version.to_owned(), api_version, ..resource }));
            }
            Ok(_) => {}
            // Gone since the groups were listed.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A grant as it is read here, whatever its version.
fn typed(object: DynamicObject) -> DeserializeGuard<ReferenceGrant> {
    let metadata = object.metadata.clone();
    DeserializeGuard(object.try_parse().map_err(|error| InvalidObject { error: error.to_string(), metadata }))
}
