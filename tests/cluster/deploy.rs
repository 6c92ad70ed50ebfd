//! What is in `deploy/kubernetes`, read as the apiserver reads it.
//!
//! Entry points: [`documents`] (everything that is applied, in order) and [`rules`] (what the controller may do), for tests
//! that apply them to a real cluster.

use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The folder, from the package's root.
const FOLDER: &str = "deploy/kubernetes";

/// Every document of every file that the kustomization lists, in that order.
pub(crate) fn documents() -> Vec<Value> {
    let kustomization = read("kustomization.yaml").remove(0);
    let files = kustomization["resources"].as_array().expect("the kustomization lists resources");
    files.iter().flat_map(|file| read(file.as_str().expect("a resource is the name of a file"))).collect()
}

/// What the controller's role allows.
pub(crate) fn rules() -> Vec<PolicyRule> {
    typed::<ClusterRole>("ClusterRole").rules.unwrap_or_default()
}

fn read(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{FOLDER}/{file}: {error}"));
    serde_yaml::from_multiple(&text).unwrap_or_else(|error| panic!("{FOLDER}/{file}: {error}"))
}

/// The one document of a kind, as its type. Nothing in it may be lost on the way: a field that the type does not know is one
/// that the apiserver drops.
fn typed<T: DeserializeOwned + Serialize>(kind: &str) -> T {
    let found: Vec<Value> = documents().into_iter().filter(|document| document["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "one {kind}");
    let object: T = serde_json::from_value(found[0].clone()).unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_eq!(
        serde_json::to_value(&object).expect("an object is JSON"),
        found[0],
        "{kind} has fields that Kubernetes does not know"
    );
    object
}

#[test]
fn every_document_is_what_it_says() {
    let kinds: Vec<String> = documents().iter().map(|document| document["kind"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(kinds, ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment"]);
    let namespace = typed::<Namespace>("Namespace").metadata.name.expect("the namespace has a name");
    let account = typed::<ServiceAccount>("ServiceAccount").metadata;
    assert_eq!(account.namespace.as_ref(), Some(&namespace));

    let binding = typed::<ClusterRoleBinding>("ClusterRoleBinding");
    let subject = binding.subjects.expect("the binding has a subject").remove(0);
    assert_eq!((Some(&subject.name), subject.namespace.as_ref()), (account.name.as_ref(), Some(&namespace)));
    assert_eq!(Some(binding.role_ref.name), typed::<ClusterRole>("ClusterRole").metadata.name);

    let deployment = typed::<Deployment>("Deployment");
    assert_eq!(deployment.metadata.namespace, Some(namespace));
    let spec = deployment.spec;
    assert_eq!((spec.replicas, spec.strategy.and_then(|strategy| strategy.type_)), (Some(1), Some("Recreate".to_owned())));
    let labels = spec.template.metadata.and_then(|metadata| metadata.labels).expect("the pod has labels");
    for (key, value) in spec.selector.match_labels.expect("the deployment selects by labels") {
        assert_eq!(labels.get(&key), Some(&value), "the pod's label {key}");
    }
    let pod = spec.template.spec.expect("the pod has a spec");
    assert_eq!(pod.service_account_name, account.name);
}

#[test]
fn the_controller_may_write_no_spec_and_read_nothing_of_others() {
    for rule in rules() {
        let (groups, resources) = (rule.api_groups.unwrap_or_default(), rule.resources.unwrap_or_default());
        let shown = format!("{groups:?} {resources:?} {:?}", rule.verbs);
        let starred = groups.iter().chain(&resources).chain(&rule.verbs).any(|word| word.contains('*'));
        assert!(!starred, "everything is too much: {shown}");
        let harmless = ["get", "list", "watch", "patch", "create", "update"];
        assert!(rule.verbs.iter().all(|verb| harmless.contains(&verb.as_str())), "{shown}");
        let ours = groups == ["sgwarden.dev"] || groups == ["events.k8s.io"];
        assert!(ours || (rule.verbs == ["get"] && rule.resource_names.is_some()), "only what is named: {shown}");
    }
}
