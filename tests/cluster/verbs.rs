//! Who may approve and who may suspend, as `deploy/kubernetes/admission.yaml` has it, on the real apiserver: with the RBAC verb
//! on the object, and in one's own name.
//!
//! On a cluster of its own: the policy holds for all of it.

use serde_json::{Value, json};

use sgwarden::api::{APPROVE_ANNOTATION, SECURITY_GROUPS, SUSPEND_ANNOTATION};

use crate::deploy;
use crate::rig::install_crds;
use crate::support::controlplane::{ControlPlane, Said};

pub(crate) const HASH: &str = "0123456789abcdef0123456789abcdef";

/// Longest wait until the apiserver goes by a policy it has just been given.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// A cluster with the policy in force, and an object that three people may edit.
pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    pub(crate) namespace: String,
}

impl Stage {
    /// `ada` may also approve, `sue` may also suspend, `ed` may only edit.
    pub(crate) async fn set() -> Self {
        let plane = ControlPlane::private().await;
        install_crds(&plane).await;
        let namespace = plane.namespace("verbs").await;
        let stage = Self { plane, namespace };
        stage.apply(&stage.role("edit", &["create", "get", "list", "patch", "update"], &["ada", "ed", "sue"])).await;
        stage.apply(&stage.role("approve", &["approve"], &["ada"])).await;
        stage.apply(&stage.role("suspend", &["suspend"], &["sue"])).await;
        stage.apply(&stage.object("web", &json!({}), &json!({}))).await;
        for document in deploy::documents() {
            if document["apiVersion"] == "admissionregistration.k8s.io/v1" {
                stage.apply(&document).await;
            }
        }
        // The apiserver reads policies from a cache, a moment after it stored them.
        let deadline = tokio::time::Instant::now() + LIMIT;
        let suspended = stage.object("probe", &json!({}), &json!({ "suspend": { "until": "2026-12-24T18:00:00Z" } }));
        let probe = ["create", "--as=ed", "--dry-run=server", "-f", "-"];
        while stage.plane.kubectl(&probe, &suspended.to_string()).await.success {
            assert!(tokio::time::Instant::now() < deadline, "the policy never comes into force");
        }
        stage
    }

    /// A role and its binding, as one list.
    fn role(&self, name: &str, verbs: &[&str], people: &[&str]) -> Value {
        let person = |person: &&str| json!({ "kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io" });
        let metadata = json!({ "name": name, "namespace": self.namespace });
        json!({ "apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
                "rules": [{ "apiGroups": ["sgwarden.dev"], "resources": ["securitygroups"], "verbs": verbs }],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
                "subjects": people.iter().map(person).collect::<Vec<_>>(),
            },
        ]})
    }

    fn object(&self, name: &str, annotations: &Value, enforcement: &Value) -> Value {
        json!({
            "apiVersion": "sgwarden.dev/v1alpha1",
            "kind": "SecurityGroup",
            "metadata": { "name": name, "namespace": self.namespace, "annotations": annotations },
            "spec": { "vpc": { "id": "vpc-0a1b2c3d" }, "egressPolicy": "DenyAll", "enforcement": enforcement },
        })
    }

    async fn apply(&self, object: &Value) {
        self.plane.kubectl(&["apply", "--server-side", "-f", "-"], &object.to_string()).await.succeeded();
    }

    async fn create_as(&self, person: &str, object: &Value) -> Said {
        let person = format!("--as={person}");
        self.plane.kubectl(&["create", &person, "-f", "-"], &object.to_string()).await
    }

    async fn annotate(&self, person: &str, annotation: &str) -> Said {
        let (person, namespace) = (format!("--as={person}"), format!("--namespace={}", self.namespace));
        self.plane.kubectl(&["annotate", SECURITY_GROUPS, "web", &person, &namespace, "--overwrite", annotation], "").await
    }

    async fn patch(&self, person: &str, patch: Value) -> Said {
        let (person, namespace) = (format!("--as={person}"), format!("--namespace={}", self.namespace));
        let patch = patch.to_string();
        self.plane.kubectl(&["patch", SECURITY_GROUPS, "web", &person, &namespace, "--type=merge", "--patch", &patch], "").await
    }

    async fn suspend(&self, person: &str, until: &str) -> Said {
        self.patch(person, json!({ "spec": { "enforcement": { "suspend": { "until": until } } } })).await
    }
}

#[track_caller]
fn says(said: Said, words: &str) {
    let said = said.refused();
    assert!(said.contains(words), "'{words}' is not in: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_verb_approves_and_only_in_the_own_name() {
    let stage = Stage::set().await;
    let approve = |text: &str| format!("{APPROVE_ANNOTATION}={text}");
    let of = |name: &str| approve(&format!("{HASH} {name}"));
    for person in ["ed", "sue"] {
        let words = format!(
            "'{person}' may not approve changes of {SECURITY_GROUPS} {}/web: that takes the RBAC verb approve on it",
            stage.namespace
        );
        says(stage.annotate(person, &of(person)).await, &words);
    }
    let own = format!("write the hash in status.plan.hash, a space and your own name: '{HASH} ada'");
    says(stage.annotate("ada", &of("ed")).await, &own);
    says(stage.annotate("ada", &approve(HASH)).await, &own);
    says(stage.annotate("ada", &approve("yes")).await, "and your own name: '<hash> ada'");
    stage.annotate("ada", &of("ada")).await.succeeded();
    // The same plan once more, as the condition asks for it.
    says(stage.annotate("ada", &of("ed, again")).await, &own);
    stage.annotate("ada", &of("ada, again")).await.succeeded();
    stage.annotate("ada", &of("ada, again, again")).await.succeeded();

    // Another's approval is in nobody's way: it stays over edits, and may be taken back by whoever edits, not put back.
    stage.annotate("ed", "team=shop").await.succeeded();
    stage.patch("ed", json!({ "spec": { "enforcement": { "mode": "Observe" } } })).await.succeeded();
    stage.annotate("ed", &format!("{APPROVE_ANNOTATION}-")).await.succeeded();
    says(stage.annotate("ed", &of("ada")).await, "may not approve");

    // An object may bring its approval along, on the same terms.
    let new = stage.object("new", &json!({ APPROVE_ANNOTATION: format!("{HASH} ada") }), &json!({}));
    says(stage.create_as("ed", &new).await, "'ed' may not approve");
    stage.create_as("ada", &new).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_verb_suspends_and_anybody_ends_it() {
    let stage = Stage::set().await;
    let annotation = |text: &str| format!("{SUSPEND_ANNOTATION}={text}");
    let refusal = |person: &str| {
        format!("'{person}' may not suspend {SECURITY_GROUPS} {}/web: that takes the RBAC verb suspend on it", stage.namespace)
    };
    for person in ["ed", "ada"] {
        says(stage.annotate(person, &annotation("2026-12-24T18:00:00Z incident 4711")).await, &refusal(person));
        says(stage.suspend(person, "2026-12-24T18:00:00Z").await, &format!("spec.enforcement.suspend: {}", refusal(person)));
    }

    says(stage.annotate("sue", &annotation("until noon")).await, "write when it ends, a space and why");
    stage.annotate("sue", &annotation("2026-12-24T18:00:00Z incident 4711")).await.succeeded();
    stage.annotate("ed", "team=shop").await.succeeded();
    says(stage.annotate("ed", &annotation("2027-12-24T18:00:00Z incident 4711")).await, &refusal("ed"));
    stage.annotate("ed", &format!("{SUSPEND_ANNOTATION}-")).await.succeeded();

    stage.suspend("sue", "2026-12-24T18:00:00Z").await.succeeded();
    says(stage.suspend("ed", "2027-12-24T18:00:00Z").await, &refusal("ed"));
    stage.patch("ed", json!({ "spec": { "enforcement": { "mode": "Observe" } } })).await.succeeded();
    stage.patch("ed", json!({ "spec": { "enforcement": { "suspend": null } } })).await.succeeded();
    stage.patch("ed", json!({ "spec": { "enforcement": null } })).await.succeeded();

    let new = stage.object("new", &json!({}), &json!({ "suspend": { "until": "2026-12-24T18:00:00Z" } }));
    says(stage.create_as("ed", &new).await, "'ed' may not suspend");
    stage.create_as("sue", &new).await.succeeded();
    // The administrator of a cluster has every verb.
    stage.apply(&stage.object("web", &json!({}), &json!({ "suspend": { "until": "2026-12-24T18:00:00Z" } }))).await;
}
