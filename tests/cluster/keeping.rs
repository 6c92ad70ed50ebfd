//! The binary for whoever finds an edit: listing it, keeping it, and taking back what a change of sgwarden's own took.

use serde_json::{Value, json};
use tempfile::TempDir;

use sgwarden::adapters::kube::{ClusterOptions, connect};
use sgwarden::api::SecurityGroup;
use sgwarden::core::model::{Direction, NewRule};
use sgwarden::ports::objects::{Key, ObjectsError};

use crate::cli::{refused, run};
use crate::rig::{Rig, VPC, group_id};

fn manifest() -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: web}}
spec:
  vpc: {{id: {VPC}}}
  ingress:
    - {{name: https, description: Allow inbound HTTPS traffic, protocol: tcp, ports: [443], from: [{{cidr: 0.0.0.0/0}}]}}
    - {{name: admin, protocol: tcp, ports: [8080, 8443], from: [{{cidr: 10.0.0.0/8}}, {{cidr: 192.0.2.0/24}}]}}
  egressPolicy: AllowAll
"
    )
}

/// A command of the binary against the cluster of a rig, in its namespace.
pub(crate) struct Shell<'a> {
    rig: &'a Rig,
    kubeconfig: String,
}

impl<'a> Shell<'a> {
    pub(crate) fn of(rig: &'a Rig) -> Self {
        Self { rig, kubeconfig: rig.plane.kubeconfig_path().display().to_string() }
    }

    pub(crate) fn arguments<'b>(&'b self, arguments: &[&'b str]) -> Vec<&'b str> {
        [arguments, &["--kubeconfig", &self.kubeconfig, "-n", &self.rig.namespace]].concat()
    }

    /// What it prints when all goes well.
    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        let ran = run(&self.arguments(arguments), &[]).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.stdout
    }

    pub(crate) async fn refuses(&self, arguments: &[&str]) -> String {
        refused(&self.arguments(arguments), &[]).await
    }
}

/// Somebody opens ssh, and it is put right.
async fn intrude(rig: &Rig, object: &SecurityGroup) -> SecurityGroup {
    let ssh = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: Some("ssh for jane".to_owned()) };
    rig.intruder.write.authorize(&group_id(object), Direction::Ingress, &[ssh]).await.unwrap();
    let reverted = |object: &SecurityGroup| {
        object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
    };
    rig.until("web", "put right", reverted).await
}

fn drift_id(object: &SecurityGroup) -> String {
    object.status.as_ref().unwrap().drift[0].id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_was_put_right_is_found_and_kept() {
    let rig = Rig::start("keeping").await;
    rig.apply(&manifest()).await;
    let object = rig.settled("web").await;
    let shell = Shell::of(&rig);
    assert_eq!(shell.says(&["drift"]).await, "");
    let id = drift_id(&intrude(&rig, &object).await);

    let table = shell.says(&["drift", "--since", "1h"]).await;
    let line = table.lines().nth(1).unwrap();
    for word in
        [&format!("{}/web", rig.namespace), "+ tcp 22 from 0.0.0.0/0", "tcp/22 to 4,294,967,296 addresses", "reverted in ", &id]
    {
        assert!(line.contains(word), "{line} does not say {word}");
    }
    assert!(!table.contains('\u{1b}'), "no colour in a pipe");
    let listed: Value = serde_json::from_str(&shell.says(&["drift", "web", "-o", "json"]).await).unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["open"]), (&json!(id), &json!(false)));
    assert_eq!(listed[0]["changes"][0]["after"], "ingress tcp 22 from 0.0.0.0/0");
    assert_eq!(shell.says(&["drift", "--open"]).await, "");
    let everywhere = run(&["drift", "-A", "--kubeconfig", &shell.kubeconfig], &[]).await;
    assert!(everywhere.code == Some(0) && everywhere.stdout.contains(&id), "{everywhere:?}");

    let audit = rig.audit_path().display().to_string();
    let printed = shell.says(&["accept", "web", &id[..6], "--for", "2h", "--audit-file", &audit]).await;
    for word in ["# add to spec.ingress:\n", "description: ssh for jane", "expiresAt: ", &format!("accepted drift {id} of ")] {
        assert!(printed.contains(word), "{printed}");
    }
    assert_eq!(rig.get("web").await.spec, object.spec, "printing changes nothing");

    let applied = run(&shell.arguments(&["accept", "web", &id, "--apply", "--name", "ssh", "--audit-file", &audit]), &[]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.stderr.contains("kept in git"), "{applied:?}");
    let kept = rig.settled("web").await;
    assert_eq!(kept.spec.ingress.len(), 3);
    assert_eq!(kept.spec.egress_policy, object.spec.egress_policy);
    assert!(rig.rules(&kept).await.contains(&"ingress tcp 22 from 0.0.0.0/0 \"ssh for jane\"".to_owned()));
    let managers = kept.metadata.managed_fields.unwrap_or_default();
    assert!(managers.iter().any(|entry| entry.manager.as_deref() == Some("sgwarden-accept")), "{managers:?}");
    let again = shell.says(&["accept", "web", &id]).await;
    assert!(again.contains("declared already, by rule ssh of spec.ingress") && again.contains("# nothing to change"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_is_not_over_is_exit_code_two() {
    let rig = Rig::start("keeping").await;
    rig.apply(&manifest()).await;
    rig.settled("web").await;
    rig.patch("web", json!({ "spec": { "enforcement": { "mode": "Observe" } } })).await;
    let object = rig.settled("web").await;
    let admin = rig.rule(&object, "ingress tcp 8080 from 10.0.0.0/8").await;
    rig.intruder.write.revoke(&group_id(&object), Direction::Ingress, &[admin.id]).await.unwrap();
    let object = rig.until("web", "told", |object| object.status.iter().any(|status| !status.drift.is_empty())).await;
    let shell = Shell::of(&rig);
    let open = run(&shell.arguments(&["drift", "--open"]), &[]).await;
    assert_eq!(open.code, Some(2), "{open:?}");
    assert!(open.stdout.contains("- tcp 8080 from 10.0.0.0/8") && open.stdout.contains("reported (Observe)"), "{open:?}");

    // A rule that shares its declared rule with other ports and peers is nobody's to cut but a person's.
    let id = drift_id(&object);
    assert!(shell.says(&["accept", "web", &id]).await.contains("# by hand: rule admin of spec.ingress"));
    let applied = run(&shell.arguments(&["accept", "web", &id, "--apply"]), &[]).await;
    assert_eq!(rig.get("web").await.spec, object.spec, "{applied:?}");
    assert!(applied.code == Some(1) && applied.stderr.contains("nothing is written"), "{applied:?}");
    assert!(shell.refuses(&["accept", "web", "d-none"]).await.contains(&format!("has no drift record d-none: it has {id}")));
    assert!(shell.refuses(&["accept", "nobody", "d-1"]).await.contains("there is no securitygroups.sgwarden.dev"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amendment_overwrites_no_edit_that_came_between() {
    let rig = Rig::idle("keeping").await;
    rig.apply(&manifest()).await;
    let options = ClusterOptions { kubeconfig: Some(rig.plane.kubeconfig_path()), context: None };
    let cluster = connect(&options).await.unwrap();
    let key = Key { namespace: rig.namespace.clone(), name: "web".to_owned() };
    let read = cluster.group(&key).await.unwrap().unwrap();
    rig.patch("web", json!({ "metadata": { "labels": { "team": "shop" } } })).await;
    let patch = json!({ "spec": { "ingress": [] } });
    let lost = cluster.amend(&read.object, patch.clone()).await;
    assert!(matches!(lost, Err(ObjectsError::Conflict)), "{lost:?}");
    assert_eq!(rig.get("web").await.spec.ingress.len(), 2);

    // An object of the same name that came after is another one, whatever version it has.
    let mut other = cluster.group(&key).await.unwrap().unwrap().object;
    other.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    assert!(cluster.amend(&other, patch.clone()).await.is_err());
    assert_eq!(rig.get("web").await.spec.ingress.len(), 2);

    // What the schema refuses is refused in its words.
    let fresh = cluster.group(&key).await.unwrap().unwrap().object;
    let bad = cluster.amend(&fresh, json!({ "spec": { "tags": { "aws:x": "y" } } })).await;
    assert!(matches!(bad, Err(ObjectsError::Refused(_))), "{bad:?}");
    cluster.amend(&fresh, patch).await.unwrap();
    assert!(rig.get("web").await.spec.ingress.is_empty());
    assert!(cluster.group(&Key { name: "none".to_owned(), ..key }).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_took_is_found_in_the_audit_file_and_brought_back() {
    let rig = Rig::start("keeping").await;
    rig.apply(&manifest()).await;
    rig.settled("web").await;
    rig.apply(&manifest().replace("- {name: https,", "# {name: https,")).await;
    rig.settled("web").await;
    let shell = Shell::of(&rig);
    let audit = rig.audit_path().display().to_string();
    // A crash may have torn the last line.
    let mut text = std::fs::read_to_string(&audit).unwrap();
    text.push_str("{\"version\":1,\"id\":\"c-to");
    let folder = TempDir::new().unwrap();
    let torn = folder.path().join("audit.jsonl").display().to_string();
    std::fs::write(&torn, text).unwrap();

    let listed = run(&["audit", "--audit-file", &torn, "-o", "json", &format!("{}/web", rig.namespace)], &[]).await;
    assert!(listed.code == Some(0) && listed.stderr.contains("1 line is no record"), "{listed:?}");
    let changes: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let took = changes.iter().find(|change| change["operation"] == "RevokeSecurityGroupIngress").unwrap();
    let id = took["id"].as_str().unwrap();
    let table = run(&["audit", "--audit-file", &torn], &[]).await.stdout;
    assert!(table.contains("- tcp 443 from 0.0.0.0/0") && table.contains("SpecChange"), "{table}");

    let printed = shell.says(&["undo", id, "--audit-file", &torn]).await;
    assert!(printed.contains("- name: https\n  description: Allow inbound HTTPS traffic\n"), "{printed}");
    let undone = run(&shell.arguments(&["undo", id, "--audit-file", &torn, "--apply"]), &[]).await;
    assert_eq!(undone.code, Some(0), "{undone:?}");
    let object = rig.settled("web").await;
    let back = "ingress tcp 443 from 0.0.0.0/0 \"Allow inbound HTTPS traffic\"".to_owned();
    assert!(rig.rules(&object).await.contains(&back));

    assert!(shell.refuses(&["undo", "c-none", "--audit-file", &torn]).await.contains("the audit file has no change c-none"));
    let created = changes.iter().find(|change| change["operation"] == "CreateSecurityGroup").unwrap();
    let line = shell.refuses(&["undo", created["id"].as_str().unwrap(), "--audit-file", &torn]).await;
    assert!(line.contains("created the group") && line.contains("delete the SecurityGroup object"), "{line}");

    let object = intrude(&rig, &object).await;
    let reverts = rig.audit();
    let revert = reverts.iter().find(|record| record["items"][0]["cause"] == "Drift").unwrap();
    let line = shell.refuses(&["undo", revert["id"].as_str().unwrap(), "--audit-file", &audit]).await;
    assert!(line.contains("put ingress tcp 22 from 0.0.0.0/0 right") && line.contains("sgwarden drift"), "{line}");
    let trace = object.status.unwrap().drift[0].trace_id.clone().unwrap();
    let traced = run(&["audit", "--audit-file", &audit, "--trace", &trace], &[]).await.stdout;
    assert_eq!(traced.lines().count(), 2, "{traced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_is_read_in_place_of_a_cluster() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().to_str().unwrap();
    let record = json!({
        "id": "d-7f3a0001", "count": 1, "detectedAt": "2026-11-22T11:59:19Z", "resolution": "Pending",
        "atoms": [{ "kind": "Added", "after": "ingress tcp 22 from 0.0.0.0/0" }],
    });
    let held = json!({
        "uid": "u", "generation": 1, "version": 1,
        "spec": { "vpc": { "id": "vpc-0a1b2c3d" }, "egressPolicy": "DenyAll" },
        "status": { "groupId": "sg-0a1b2c3d", "drift": [record] },
    });
    std::fs::write(folder.path().join("shop+web.json"), held.to_string()).unwrap();
    std::fs::write(folder.path().join("shop+web.json.new"), "half").unwrap();
    let listed = run(&["drift", "--state", state, "--open"], &[]).await;
    assert!(
        listed.code == Some(2) && listed.stdout.contains("shop/web") && listed.stdout.contains("being put right"),
        "{listed:?}"
    );
    let printed = run(&["accept", "web", "d-7", "--state", state], &[]).await;
    assert!(printed.code == Some(0) && printed.stdout.contains("- name: accepted-7f3a0001"), "{printed:?}");
    let other = run(&["drift", "-n", "ops", "--state", state], &[]).await;
    assert_eq!((other.code, other.stdout.as_str(), other.stderr.as_str()), (Some(0), "", "No drift in 0 groups.\n"));
    assert!(refused(&["accept", "db", "d-7", "--state", state], &[]).await.contains("has no group db"));
    std::fs::write(folder.path().join("shop+db.json"), "half").unwrap();
    assert!(refused(&["drift", "--state", state], &[]).await.contains("shop+db.json"));
}
