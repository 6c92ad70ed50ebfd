//! Secrets of our own namespace. They are read one by one, by name: the role needs neither `list` nor `watch`.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret as Object;
use kube::{Api, Client};

use super::words;
use crate::api::SecretReference;
use crate::ports::sinks::{DeliverError, Secret, Secrets};

/// The limit of a call.
const CALL: Duration = Duration::from_secs(5);

/// The Secrets of one namespace.
pub struct KubeSecrets {
    api: Api<Object>,
    namespace: String,
}

impl KubeSecrets {
    /// Those of the namespace that sgwarden runs in.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }
}

#[async_trait]
impl Secrets for KubeSecrets {
    async fn read(&self, reference: &SecretReference) -> Result<Secret, DeliverError> {
        let SecretReference { name, key } = reference;
        let place = format!("Secret {}/{name}", self.namespace);
        let unavailable =
            |why: String| DeliverError::Unavailable { why: format!("{place} cannot be read: {why}"), retry_after: None };
        let answer = tokio::time::timeout(CALL, self.api.get_opt(name)).await;
        let found = answer.map_err(|_| unavailable("no answer in time".to_owned()))?;
        let found = found.map_err(|error| {
            if matches!(&error, kube::Error::Api(status) if status.is_forbidden()) {
                let why = format!("sgwarden may not read {place}: compare its role with deploy/kubernetes/rbac.yaml");
                DeliverError::Secret { why }
            } else {
                unavailable(words(&error))
            }
        })?;
        let found = found.ok_or_else(|| DeliverError::Secret { why: format!("there is no {place}") })?;
        let bytes = found.data.and_then(|mut data| data.remove(key));
        let bytes = bytes.ok_or_else(|| DeliverError::Secret { why: format!("{place} has no key {key}") })?;
        // What is not text cannot be quoted either: the error would hold it.
        let text =
            String::from_utf8(bytes.0).map_err(|_| DeliverError::Secret { why: format!("key {key} of {place} is no text") })?;
        Ok(Secret::new(text.trim()))
    }
}
