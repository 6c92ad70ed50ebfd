//! `SecurityGroup` objects for somebody at a terminal: listed, read one by one, amended and annotated.
//!
//! Invariant: an amendment or annotation is written only to the object it was made for, as that was read: what changed meanwhile is a conflict,
//! and what this release does not know is not lost.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::connect::Cluster;
use super::objects::{CALL, failure};
use super::probe::ProbeError;
use crate::api::{SECURITY_GROUPS, SecurityGroup};
use crate::ports::objects::{Key, ObjectsError};

/// The name under which amendments stand in `managedFields`.
const AMENDS: &str = "sgwarden-accept";
/// The name under which annotations stand there. Not that of amendments: who owns a spec by one apply must not lose it to another.
const ANNOTATES: &str = "sgwarden-annotate";
/// How many objects a page has: the largest are a megabyte and more.
const PAGE: u32 = 100;

/// An object as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The object.
    pub object: SecurityGroup,
    /// Its spec with everything that is in it, known here or not.
    pub spec: Value,
}

/// Objects of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Those that could be read.
    pub objects: Vec<SecurityGroup>,
    /// The others: which, and why.
    pub unreadable: Vec<(Key, String)>,
}

impl Cluster {
    /// The namespace that the context of the kubeconfig names.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Every object of a namespace, or of all.
    pub async fn groups(&self, namespace: Option<&str>) -> Result<Listed, ProbeError> {
        self.selected(namespace, None).await
    }

    /// The objects of a namespace, or of all, whose labels a selector matches, in kubectl's notation; `None`: any.
    pub async fn selected(&self, namespace: Option<&str>, selector: Option<&str>) -> Result<Listed, ProbeError> {
        let api = self.of(namespace);
        let (mut listed, mut more) = (Listed::default(), None);
        loop {
            let label_selector = selector.map(str::to_owned);
            let params = ListParams { limit: Some(PAGE), continue_token: more, label_selector, ..ListParams::default() };
            let page = self.ask("list securitygroups.sgwarden.dev", api.list(&params)).await?;
            let page = page.ok_or_else(|| ProbeError::NotInstalled { crds: vec![SECURITY_GROUPS.to_owned()] })?;
            for object in page.items {
                let key = Key { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
                match object.try_parse::<SecurityGroup>() {
                    Ok(object) => listed.objects.push(object),
                    Err(error) => listed.unreadable.push((key, error.to_string())),
                }
            }
            more = page.metadata.continue_.filter(|token| !token.is_empty());
            if more.is_none() {
                return Ok(listed);
            }
        }
    }

    /// An object; `None` where there is none of the name.
    pub async fn group(&self, key: &Key) -> Result<Option<Stored>, ProbeError> {
        let api = self.of(Some(&key.namespace));
        let Some(found) = self.ask("read securitygroups.sgwarden.dev", api.get_opt(&key.name)).await?.flatten() else {
            return Ok(None);
        };
        let spec = found.data.get("spec").cloned().unwrap_or_default();
        let unreadable = |error: kube::core::dynamic::ParseDynamicObjectError| ProbeError::Unreadable {
            object: format!("{SECURITY_GROUPS} {key}"),
            why: error.to_string(),
        };
        Ok(Some(Stored { object: found.try_parse().map_err(unreadable)?, spec }))
    }

    /// Writes a merge patch to an object that is still as it was read.
    pub async fn amend(&self, object: &SecurityGroup, patch: Value) -> Result<(), ObjectsError> {
        self.write(object, patch, AMENDS).await
    }

    /// Sets an annotation of an object that is still as it was read, or with `None` takes it off.
    pub async fn annotate(&self, object: &SecurityGroup, key: &str, value: Option<&str>) -> Result<(), ObjectsError> {
        self.write(object, json!({ "metadata": { "annotations": { key: value } } }), ANNOTATES).await
    }

    /// The name by which the cluster knows whoever asks.
    pub async fn user_name(&self) -> Result<String, ProbeError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let question = SelfSubjectReview::default();
        let answer = self.ask("ask for its own name", api.create(&PostParams::default(), &question)).await?;
        let name = answer.and_then(|review| review.status?.user_info?.username).filter(|name| !name.is_empty());
        name.ok_or(ProbeError::Nameless { server: self.server.clone() })
    }

    async fn write(&self, object: &SecurityGroup, mut patch: Value, manager: &str) -> Result<(), ObjectsError> {
        let (Some(name), Some(version)) = (object.metadata.name.as_deref(), object.metadata.resource_version.as_deref()) else {
            return Err(ObjectsError::Refused("the object was not read from a cluster: it has no name or version".to_owned()));
        };
        // The uid too: an object of the same name that came after is another.
        if let Some(fields) = patch.as_object_mut() {
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("resourceVersion".to_owned(), json!(version));
                metadata.insert("uid".to_owned(), json!(object.metadata.uid));
            }
        }
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() }.validation_strict();
        let (api, patch) = (self.of(object.metadata.namespace.as_deref()), Patch::Merge(patch));
        match tokio::time::timeout(CALL, api.patch(name, &params, &patch)).await {
            Ok(answer) => answer.map(drop).map_err(|error| failure(&error, name)),
            Err(_) => Err(ObjectsError::Unavailable(format!("no answer within {CALL:?}: look whether it was written").into())),
        }
    }

    /// Untyped, so that one object which cannot be read does not hide the others, and nothing of one is lost.
    fn of(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<SecurityGroup>(&());
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}
