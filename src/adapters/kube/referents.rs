//! What groups refer to, for somebody at a terminal: read one by one, with nothing but the right to read that one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};

use super::connect::Cluster;
use super::probe::ProbeError;
use crate::api::{CidrSet, ReferenceGrant};
use crate::ports::objects::Key;

impl Cluster {
    /// A set of ranges; `None` where there is none of the name.
    pub async fn cidr_set(&self, key: &Key) -> Result<Option<CidrSet>, ProbeError> {
        let api: Api<CidrSet> = Api::namespaced(self.client.clone(), &key.namespace);
        Ok(self.ask("read cidrsets.sgwarden.dev", api.get_opt(&key.name)).await?.flatten())
    }

    /// The permissions to refer into a namespace; none where the cluster does not have the kind.
    pub async fn grants(&self, namespace: &str) -> Result<Vec<ReferenceGrant>, ProbeError> {
        let api: Api<ReferenceGrant> = Api::namespaced(self.client.clone(), namespace);
        let what = "list referencegrants.gateway.networking.k8s.io";
        Ok(self.ask(what, api.list(&ListParams::default())).await?.map(|list| list.items).unwrap_or_default())
    }

    /// The labels of a namespace; `None` where there is no such namespace.
    pub async fn labels(&self, namespace: &str) -> Result<Option<BTreeMap<String, String>>, ProbeError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = self.ask("read namespaces", api.get_metadata_opt(namespace)).await?.flatten();
        Ok(found.map(|found| found.metadata.labels.unwrap_or_default()))
    }
}
