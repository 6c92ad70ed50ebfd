//! Kubernetes Events.

use super::*;
use crate::ports::objects::{Notice, Objects};

fn notice(action: &str, note: &str) -> Notice {
    Notice { warning: true, reason: "DriftReverted", action: action.to_owned(), note: note.to_owned() }
}

#[tokio::test]
async fn equal_events_become_a_series_though_the_object_changed_between() {
    let server = Apiserver::start(|asked| Some((200, asked.body.clone()))).await;
    let objects = server.objects();
    let mut object = web();
    objects.record_event(&object, &notice("revoke-1", &"ü".repeat(1000))).await;
    object.metadata.resource_version = Some("8".to_owned());
    objects.record_event(&object, &notice("revoke-1", "again")).await;
    objects.record_event(&object, &notice("revoke-2", "another")).await;
    let asked = server.asked();
    let lines = asked.iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>();
    assert_eq!(lines, ["POST", "PATCH", "POST"]);
    assert_eq!(asked[0].line(), "POST /apis/events.k8s.io/v1/namespaces/shop/events");
    assert!(asked[0].body["note"].as_str().unwrap().len() <= 1024);
    assert_eq!(asked[0].body["reportingController"], "sgwarden.dev/controller");
    assert_eq!(asked[0].body["reportingInstance"], "pod-1");
    assert_eq!(asked[0].body["type"], "Warning");
    assert_eq!(asked[0].body["regarding"]["uid"], "u-1");
    assert_eq!(asked[1].body["series"]["count"], 2);
}

#[tokio::test]
async fn an_event_that_cannot_be_recorded_holds_nothing_up() {
    for server in [Apiserver::start(|_| None).await, Apiserver::start(|_| Some((403, status_of(403, "Forbidden", "")))).await] {
        let recorded = server.objects();
        let recorded = async { recorded.record_event(&web(), &notice("", "note")).await };
        tokio::time::timeout(Duration::from_secs(2), recorded).await.expect("returns");
    }
}
