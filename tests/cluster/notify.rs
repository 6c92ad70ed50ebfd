//! A Notifier on a real apiserver: its Secret, its sink over a socket, and what is noted of it.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use kube::Api;
use kube::runtime::wait::await_condition;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use sgwarden::api::{Notifier, conditions};
use sgwarden::core::model::{Direction, NewRule};

use crate::rig::{LIMIT, Rig, VPC, group_id};

/// A sink that passes on what it gets.
pub(crate) async fn sink() -> (String, UnboundedReceiver<Value>) {
    async fn take(State(sender): State<UnboundedSender<Value>>, body: Bytes) -> StatusCode {
        let _ = sender.send(serde_json::from_slice(&body).unwrap_or_default());
        StatusCode::OK
    }
    let (sender, receiver) = unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(take).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/services/T0/B0/hush"), receiver)
}

/// Waits until a condition of a notifier has this status and reason.
async fn stands(rig: &Rig, name: &str, kind: &'static str, status: &'static str, reason: &'static str) -> Notifier {
    let api: Api<Notifier> = Api::all(rig.client.clone());
    let is = move |object: Option<&Notifier>| {
        let conditions = object.and_then(|object| object.status.as_ref()).map(|status| status.conditions.as_slice());
        conditions.unwrap_or_default().iter().any(|found| found.type_ == kind && found.status == status && found.reason == reason)
    };
    if let Ok(found) = tokio::time::timeout(LIMIT, await_condition(api.clone(), name, is)).await {
        found.unwrap().unwrap()
    } else {
        panic!("never {kind}={status}/{reason}: {:?}", api.get(name).await.unwrap().status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_slack_by_the_url_in_a_secret() {
    let rig = Rig::start("notify").await;
    let (url, mut inbox) = sink().await;
    let (name, namespace) = (&rig.namespace, &rig.namespace);
    // Of this test's namespace only: the other tests of the binary share the cluster.
    let notifier = format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: Notifier
metadata: {{name: {name}}}
spec:
  type: Slack
  slack: {{urlSecret: {{name: slack, key: url}}}}
  filter: {{namespaces: [{namespace}]}}
"
    );
    let group = format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: web}}
spec:
  vpc: {{id: {VPC}}}
  egressPolicy: DenyAll
"
    );
    rig.apply(&format!("{notifier}---\n{group}")).await;
    let object = rig.settled("web").await;
    stands(&rig, name, conditions::READY, "True", "Succeeded").await;
    let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group_id(&object), Direction::Ingress, &[rule]).await.unwrap();
    let stuck = stands(&rig, name, conditions::DELIVERING, "False", "SecretNotFound").await;
    let shown = serde_json::to_string(&stuck.status).unwrap();
    assert!(shown.contains(&format!("there is no Secret {namespace}/slack")), "{shown}");

    rig.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: slack}}\nstringData: {{url: \"{url}\"}}\n")).await;
    let message = tokio::time::timeout(LIMIT, inbox.recv()).await.expect("it is told").unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(text.contains(&format!("{namespace}/web")) && text.contains("added ingress tcp 22 from 0.0.0.0/0"), "{text}");
    assert!(message["blocks"].as_array().is_some_and(|blocks| blocks.len() > 3), "{message}");
    let told = |object: &sgwarden::api::SecurityGroup| {
        let drift = object.status.as_ref().map(|status| status.drift.as_slice()).unwrap_or_default();
        drift.iter().any(|record| record.resolution == "Reverted" && record.notified.len() == 1)
    };
    rig.until("web", "noted as told", told).await;
    let well = stands(&rig, name, conditions::DELIVERING, "True", "Succeeded").await;
    assert!(!serde_json::to_string(&well).unwrap().contains("hush"), "the URL is a secret");
    assert!(tokio::time::timeout(Duration::from_millis(500), inbox.recv()).await.is_err(), "once");
    rig.plane.kubectl(&["delete", "notifiers.sgwarden.dev", name], "").await.succeeded();
}
