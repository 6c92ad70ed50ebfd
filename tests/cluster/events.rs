//! The whole way of an edit, with nothing left out but AWS: a person behind SSO, `CloudTrail`'s event, the queue, the binary, the
//! apiserver, the audit file and a channel of Slack.

use axum::Router;
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;

use sgwarden::adapters::sim::{DEFAULT_ACCOUNT, Principal};
use sgwarden::api::{DriftRecord, SecurityGroup};
use sgwarden::core::model::{Direction, NewRule};

use crate::many::{Events, groups, name};
use crate::notify::sink;
use crate::process::Installation;
use crate::rig::{LIMIT, Rig, group_id};

const ALICE: &str = "alice@example.com";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";

/// A rig in which whoever intrudes is a person who came by SSO.
async fn with_a_person() -> Rig {
    let rig = Rig::idle("events").await;
    let permission_set = "PowerUserAccess".to_owned();
    let alice = Principal::Sso { account: DEFAULT_ACCOUNT.to_owned(), permission_set, user: ALICE.to_owned() };
    rig.sim.register("AKIA111122223333MALLORY", alice);
    rig
}

/// A Notifier of this rig's namespace, and the Secret with its URL.
async fn slack(rig: &Rig, url: &str) {
    let (name, namespace) = (&rig.namespace, &rig.namespace);
    rig.apply(&format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: Notifier
metadata: {{name: {name}}}
spec:
  type: Slack
  slack: {{urlSecret: {{name: slack, key: url}}}}
  filter: {{namespaces: [{namespace}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: slack}}
stringData: {{url: \"{url}\"}}
"
    ))
    .await;
}

async fn open_ssh(rig: &Rig, object: &SecurityGroup) {
    let rule = NewRule { atom: SSH.parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group_id(object), Direction::Ingress, &[rule]).await.unwrap();
}

fn reverted(object: &SecurityGroup) -> Option<DriftRecord> {
    let drift = object.status.as_ref().map(|status| status.drift.clone()).unwrap_or_default();
    drift.into_iter().find(|record| record.resolution == "Reverted")
}

/// The changes of an audit trail that put edits right: intents and outcomes.
fn reverts(installation: &Installation) -> Vec<Value> {
    installation.audit().into_iter().filter(|record| record["items"][0]["cause"] == "Drift").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_a_port_of_one_of_a_thousand_groups_is_named_wherever_people_look() {
    let rig = with_a_person().await;
    let installation = Installation::of(&rig, rig.address);
    groups(&rig, &installation, 1000).await;
    let (url, mut inbox) = sink().await;
    slack(&rig, &url).await;
    let mut events = Events::of(&rig.sim).await;
    let installation = installation.listening(&events.url);
    let replica = installation.start("listener").await;
    // Nothing is left that its first sweep might find.
    replica.reconciles(1000).await;
    let group = &name(700);
    let sent = events.sent();
    open_ssh(&rig, &rig.get(group).await).await;
    events.more_than(sent).await;

    let object = rig.until(group, "put right", |object| reverted(object).is_some()).await;
    assert_eq!(rig.rules(&object).await, ["ingress tcp 443 from 10.0.0.0/8 \"\""]);
    let record = reverted(&object).unwrap();
    let actor = record.actor.clone().unwrap();
    assert_eq!(actor.name.as_deref(), Some(ALICE));
    assert!(actor.arn.unwrap().contains("AWSReservedSSO_PowerUserAccess"));
    let opened = record.exposure.unwrap().opened.unwrap();
    assert!(opened.contains("tcp/22") && opened.contains("4,294,967,296 addresses"), "{opened}");
    let trace = record.trace_id.unwrap();

    let note = rig.event(group, "DriftReverted").await;
    assert!(note.contains(ALICE) && note.contains(&opened), "{note}");

    let audit = reverts(&installation);
    let phases: Vec<&str> = audit.iter().map(|line| line["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["Intent", "Outcome"], "{audit:#?}");
    for line in &audit {
        assert_eq!(line["items"][0]["actor"]["name"], ALICE, "{line}");
        assert_eq!((&line["items"][0]["driftId"], &line["traceId"]), (&record.id.as_str().into(), &trace.as_str().into()));
        assert_eq!(
            (&line["id"], &line["object"]),
            (&record.change_id.as_deref().into(), &format!("{}/{group}", rig.namespace).into())
        );
        assert!(line["closed"].as_str().unwrap().contains("4,294,967,296 addresses"), "{line}");
    }
    assert!(audit[1]["outcome"]["awsRequestId"].is_string());

    let message = tokio::time::timeout(LIMIT, inbox.recv()).await.expect("it is told").unwrap().to_string();
    for part in [ALICE, "4,294,967,296 addresses", &trace, &format!("{}/{group}", rig.namespace)] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    replica.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_out_though_the_controller_is_killed_between_revert_and_alert() {
    // A sink that hangs until it is let go on.
    type Sink = (watch::Receiver<bool>, tokio::sync::mpsc::UnboundedSender<(bool, Value)>);
    async fn take(State((open, sender)): State<Sink>, body: axum::body::Bytes) -> StatusCode {
        let well = *open.borrow();
        let _ = sender.send((well, serde_json::from_slice(&body).unwrap_or_default()));
        if !well {
            std::future::pending::<()>().await;
        }
        StatusCode::OK
    }
    let (open, opened) = watch::channel(false);
    let (sender, mut inbox) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(take).with_state((opened, sender));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let rig = with_a_person().await;
    let installation = Installation::of(&rig, rig.address);
    groups(&rig, &installation, 1).await;
    slack(&rig, &format!("http://{address}/services/T0/B0/hush")).await;
    let events = Events::of(&rig.sim).await;
    let installation = installation.listening(&events.url);
    let first = installation.start("first").await;
    first.reconciles(1).await;
    let group = &name(0);
    open_ssh(&rig, &rig.get(group).await).await;
    rig.until(group, "put right", |object| reverted(object).is_some()).await;
    let (well, _) = tokio::time::timeout(LIMIT, inbox.recv()).await.expect("it is tried").unwrap();
    assert!(!well);
    first.killed();
    open.send(true).unwrap();

    let second = installation.start("second").await;
    let told = async {
        loop {
            let (well, message) = inbox.recv().await.unwrap();
            if well {
                return message.to_string();
            }
        }
    };
    let message = tokio::time::timeout(LIMIT, told).await.expect("it is told");
    assert!(message.contains(ALICE) && message.contains("4,294,967,296 addresses"), "{message}");
    let object =
        rig.until(group, "noted as told", |object| reverted(object).is_some_and(|record| record.notified.len() == 1)).await;
    assert_eq!(object.status.unwrap().drift.len(), 1, "never put right twice");
    let audit = reverts(&installation);
    let phases: Vec<&str> = audit.iter().map(|line| line["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["Intent", "Outcome"], "{audit:#?}");
    second.stopped().await;
}
