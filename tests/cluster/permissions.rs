//! The rights that `deploy/` gives the controller are enough for all it does: the real binary, logged in as its own
//! `ServiceAccount` and nothing else, on a cluster of its own, since it serves every namespace.
//!
//! Each verb of the role is needed by something in here: taken away, a test fails.

use std::path::PathBuf;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use sgwarden::api::{FINALIZER, SecurityGroup, crds};
use sgwarden::core::model::{Direction, NewRule};
use sgwarden::ports::cloud::GroupQuery;

use crate::cli::{LIMIT, Server, StandIn, VPC, refused, until};
use crate::deploy;
use crate::rig::{condition, group_id, install_crds};
use crate::support::controlplane::ControlPlane;

/// Applies what `deploy/kubernetes` holds, and logs in as the controller does in its pod.
async fn deployed(plane: &ControlPlane) -> PathBuf {
    for document in deploy::documents() {
        // No pods run here: the test is the kubelet. That the apiserver takes it is seen all the same.
        let dry = if document["kind"] == "Deployment" { "--dry-run=server" } else { "--dry-run=none" };
        let said = plane.kubectl(&["apply", "--server-side", dry, "-f", "-"], &document.to_string()).await;
        assert_eq!(said.stderr, "", "the apiserver has something to say about {}", document["kind"]);
        said.succeeded();
    }
    let named = |kind: &str, of: &dyn Fn(&Value) -> Value| {
        let found = deploy::documents().into_iter().find(|document| document["kind"] == kind).unwrap();
        of(&found).as_str().unwrap().to_owned()
    };
    let namespace = named("ServiceAccount", &|account| account["metadata"]["namespace"].clone());
    let account = named("Deployment", &|deployment| deployment["spec"]["template"]["spec"]["serviceAccountName"].clone());
    plane.service_account_kubeconfig(&namespace, &account).await
}

/// The arguments of the Deployment's container, with what a test has to change.
fn arguments(kubeconfig: &str) -> Vec<String> {
    let deployment = deploy::documents().into_iter().find(|document| document["kind"] == "Deployment").unwrap();
    let given = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap().clone();
    let given =
        given.iter().map(|argument| argument.as_str().unwrap().to_owned()).filter(|argument| !argument.starts_with("--admin"));
    let quick = ["--admin=127.0.0.1:0", "--sweep=1", "--speedup=20"];
    // Refused Events are told to those who want to know everything.
    // A pod is told its namespace by the kubelet.
    let namespace = deployment["metadata"]["namespace"].as_str().unwrap();
    let ours =
        ["--log=info,sgwarden=debug".to_owned(), format!("--kubeconfig={kubeconfig}"), format!("--lease-namespace={namespace}")];
    given.chain(quick.map(str::to_owned)).chain(ours).collect()
}

/// Holds that no right was missing so far.
fn refused_nothing(log: &str) {
    let refusals: Vec<&str> =
        log.lines().filter(|line| line.to_lowercase().contains("forbidden") || line.contains("may not")).collect();
    assert!(refusals.is_empty(), "{}", refusals.join("\n"));
}

fn manifest(peer: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web}}\nspec:\n  vpc: {{id: {VPC}}}\n  egressPolicy: AllowAll\n  \
         ingress:\n    - {{name: https, protocol: tcp, ports: [443], from: [{peer}]}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_deploy_are_enough_to_create_revert_tell_and_delete() {
    let plane = ControlPlane::private().await;
    install_crds(&plane).await;
    let kubeconfig = deployed(&plane).await;
    let sim = StandIn::start().await;
    let ec2 = sim.intruder().await;
    let arguments = arguments(kubeconfig.to_str().unwrap());
    let controller = Server::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &sim.exports());
    controller.line("sgwarden runs").await;

    let namespace = plane.namespace("shop").await;
    let objects: Api<SecurityGroup> = Api::namespaced(plane.client().await, &namespace);
    let events: Api<Event> = Api::namespaced(plane.client().await, &namespace);
    let apply = async |peer: &str| {
        plane.kubectl(&["apply", "--server-side", "--namespace", &namespace, "-f", "-"], &manifest(peer)).await.succeeded();
    };
    let becomes = async |what: &str, is: &(dyn Fn(&SecurityGroup) -> bool + Send + Sync)| -> SecurityGroup {
        let found = tokio::time::timeout(
            LIMIT,
            await_condition(objects.clone(), "web", |object: Option<&SecurityGroup>| object.is_some_and(is)),
        )
        .await;
        found.unwrap_or_else(|_| panic!("not {what}: {}", controller.log())).unwrap().unwrap()
    };
    let is_synced = |object: &SecurityGroup| {
        let now = object.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation;
        now && condition(object, "Synced").is_some_and(|(status, _, _)| status == "True")
    };

    // Creates: list or watch, patch for the finalizer, update of the status, get of kube-system for the tags.
    apply("{cidr: 10.0.0.0/8}").await;
    let object = becomes("created", &is_synced).await;
    assert!(object.metadata.finalizers.as_ref().is_some_and(|finalizers| finalizers.iter().any(|name| name == FINALIZER)));
    let group = group_id(&object);
    let live = ec2.read.groups(&GroupQuery::Ids(vec![group.clone()])).await.unwrap();
    let uid = plane.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"], "").await.succeeded();
    assert_eq!(live[0].tags.get("sgwarden.dev/cluster"), Some(&uid), "the cluster's id");

    // Reverts, and tells.
    let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    ec2.write.authorize(&group, Direction::Ingress, &[rule]).await.unwrap();
    becomes("put right", &|object| {
        object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
    })
    .await;
    assert_eq!(ec2.read.rules(&group).await.unwrap().len(), 2, "the rule and the one of egress");

    // A change, without a list: the watch.
    apply("{cidr: 10.0.0.0/16}").await;
    becomes("changed", &is_synced).await;

    // The same trouble twice is one Event with a series: create, then patch.
    for _ in 0..2 {
        apply("{securityGroup: {name: nobody}}").await;
        becomes("waiting", &|object| condition(object, "ReferencesResolved").is_some_and(|(status, _, _)| status == "False")).await;
        apply("{cidr: 10.0.0.0/8}").await;
        becomes("whole again", &is_synced).await;
    }
    let reasons = until("a repeated Event", async || {
        refused_nothing(&controller.log());
        let list = events.list(&ListParams::default()).await.unwrap();
        let folded = list.items.iter().any(|event| event.series.as_ref().is_some_and(|series| series.count >= 2));
        folded.then(|| list.items.into_iter().filter_map(|event| event.reason).collect::<Vec<_>>())
    })
    .await;
    for reason in ["Created", "DriftReverted", "RulesChanged"] {
        assert!(reasons.iter().any(|found| found == reason), "no Event {reason}: {reasons:?}");
    }

    // Deletes: patch again.
    objects.delete("web", &DeleteParams::default()).await.unwrap();
    let gone =
        tokio::time::timeout(LIMIT, await_condition(objects.clone(), "web", |object: Option<&SecurityGroup>| object.is_none()))
            .await;
    gone.unwrap_or_else(|_| panic!("not deleted: {}", controller.log())).unwrap();
    assert!(ec2.read.groups(&GroupQuery::Ids(vec![group])).await.unwrap().is_empty());

    refused_nothing(&controller.stopped().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_deploy_are_enough_to_say_what_is_wrong_with_the_crd() {
    let plane = ControlPlane::private().await;
    let kubeconfig = deployed(&plane).await;
    let arguments = arguments(kubeconfig.to_str().unwrap());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = [("AWS_REGION", "eu-west-1")];
    let line = refused(&arguments, &environment).await;
    assert_eq!(
        line,
        "the CRDs awsaccounts.sgwarden.dev, cidrsets.sgwarden.dev, notifiers.sgwarden.dev and securitygroups.sgwarden.dev are not installed: kubectl apply --server-side -f crds/"
    );

    for (file, crd) in crds::render() {
        if !file.starts_with("securitygroups.") {
            plane.kubectl(&["apply", "--server-side", "-f", "-"], &crd).await.succeeded();
        }
    }
    let (_, crd) = crds::render().into_iter().find(|(file, _)| file.starts_with("securitygroups.")).unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", "-"], &crd.replace("name: v1alpha1", "name: v1alpha0")).await.succeeded();
    let line = refused(&arguments, &environment).await;
    assert_eq!(
        line,
        "the CRD securitygroups.sgwarden.dev does not serve v1alpha1, only v1alpha0: kubectl apply --server-side -f crds/"
    );
}
