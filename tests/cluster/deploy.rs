//! What is in `deploy/kubernetes`, read as the apiserver reads it.
//!
//! Entry points: [`documents`] (everything that is applied, in order) and [`rules`] (what the controller may do), for tests
//! that apply them to a real cluster.

use std::path::Path;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
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

/// What the controller's role allows in the whole cluster.
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
    assert_eq!(
        kinds,
        [
            "Namespace",
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "Deployment"
        ]
    );
    let namespace = typed::<Namespace>("Namespace").metadata.name.expect("the namespace has a name");
    let account = typed::<ServiceAccount>("ServiceAccount").metadata;
    assert_eq!(account.namespace.as_ref(), Some(&namespace));

    let binding = typed::<ClusterRoleBinding>("ClusterRoleBinding");
    let subject = binding.subjects.expect("the binding has a subject").remove(0);
    assert_eq!((Some(&subject.name), subject.namespace.as_ref()), (account.name.as_ref(), Some(&namespace)));
    assert_eq!(Some(binding.role_ref.name), typed::<ClusterRole>("ClusterRole").metadata.name);

    let role = typed::<Role>("Role").metadata;
    assert_eq!(role.namespace.as_ref(), Some(&namespace), "its own namespace, and no other");
    let binding = typed::<RoleBinding>("RoleBinding");
    assert_eq!(binding.metadata.namespace.as_ref(), Some(&namespace));
    assert_eq!(Some(binding.role_ref.name), role.name);
    assert_eq!(binding.subjects, Some(vec![subject]));

    let policy = typed::<ValidatingAdmissionPolicy>("ValidatingAdmissionPolicy").metadata.name;
    let binding = typed::<ValidatingAdmissionPolicyBinding>("ValidatingAdmissionPolicyBinding").spec;
    assert_eq!((Some(binding.policy_name), binding.validation_actions), (policy, vec!["Deny".to_owned()]));

    let deployment = typed::<Deployment>("Deployment");
    assert_eq!(deployment.metadata.namespace, Some(namespace));
    let spec = deployment.spec;
    assert_eq!((spec.replicas, spec.strategy.and_then(|strategy| strategy.type_)), (Some(2), Some("RollingUpdate".to_owned())));
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
        // Whose namespaces are whose, and who allows whom: names, labels and grants, nothing that is secret.
        let looked_at = rule.verbs == ["list", "watch"] && (resources == ["namespaces"] || resources == ["referencegrants"]);
        let named = rule.verbs == ["get"] && rule.resource_names.is_some();
        assert!(ours || looked_at || named, "only what is named: {shown}");
        let specs = ours && resources.iter().any(|resource| !resource.contains('/') && resource != "events");
        assert!(!specs || !rule.verbs.iter().any(|verb| ["create", "update"].contains(&verb.as_str())), "{shown}");
    }
    let own = typed::<Role>("Role").rules.unwrap_or_default();
    assert_eq!(own.len(), 2);
    assert_eq!(own[0].resources, Some(vec!["leases".to_owned()]));
    assert_eq!((&own[1].resources, &own[1].verbs), (&Some(vec!["secrets".to_owned()]), &vec!["get".to_owned()]), "one by one");
}

/// The same words in the policy, which cannot use our constants.
#[test]
fn the_policy_holds_the_annotations_that_the_controller_reads() {
    let policy = documents().into_iter().find(|document| document["kind"] == "ValidatingAdmissionPolicy").unwrap().to_string();
    for annotation in [sgwarden::api::APPROVE_ANNOTATION, sgwarden::api::SUSPEND_ANNOTATION] {
        assert!(policy.contains(&format!("annotations[?'{annotation}']")), "{annotation}");
    }
}
