//! The adapter against a stand-in for the apiserver on loopback, which answers as each test says and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::watcher;
use serde_json::{Value, json};

use super::*;
use crate::api::{FINALIZER, SecurityGroup, SecurityGroupSpec, SecurityGroupStatus};
use crate::ports::objects::{Notice, Objects, ObjectsError};

/// A request as the apiserver got it.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Value,
}

impl Asked {
    fn line(&self) -> String {
        format!("{} {}", self.method, self.uri.path())
    }
}

struct Apiserver {
    cluster: Cluster,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Apiserver {
    /// Starts one. `answer` decides by request; `None` keeps the asker waiting for ever.
    async fn start(answer: impl Fn(&Asked) -> Option<(u16, Value)> + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let handler = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| -> Response {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let request = Asked { method, uri, headers, body };
            let answer = answer(&request);
            log.lock().unwrap().push(request);
            match answer {
                Some((code, Value::String(text))) => (StatusCode::from_u16(code).unwrap(), text).into_response(),
                Some((code, json)) => (StatusCode::from_u16(code).unwrap(), axum::Json(json)).into_response(),
                None => std::future::pending().await,
            }
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        // Through connect(), so that the tuning of the client is what is tested.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": { "server": server } }],
            "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "me" } }],
            "users": [{ "name": "me", "user": {} }],
        });
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        let cluster = connect(&ClusterOptions { kubeconfig: Some(path), context: None }).await.unwrap();
        Self { cluster, asked }
    }

    fn objects(&self) -> KubeObjects {
        KubeObjects::new(self.cluster.client.clone(), None, Some("pod-1".to_owned())).with_limit(Duration::from_millis(400))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn status_of(code: u16, reason: &str, name: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("it says {reason}"),
        "reason": reason, "code": code, "details": { "name": name, "group": "sgwarden.dev", "kind": "securitygroups" },
    })
}

fn web() -> SecurityGroup {
    let mut web = SecurityGroup::new("web", SecurityGroupSpec::default());
    web.metadata.namespace = Some("shop".to_owned());
    web.metadata.uid = Some("u-1".to_owned());
    web.metadata.resource_version = Some("7".to_owned());
    web
}

fn stored(version: &str) -> Value {
    let mut web = serde_json::to_value(web()).unwrap();
    web["metadata"]["resourceVersion"] = version.into();
    web["metadata"]["managedFields"] = json!([{ "manager": "kubectl", "operation": "Apply" }]);
    web
}

const WEB: &str = "/apis/sgwarden.dev/v1alpha1/namespaces/shop/securitygroups/web";

async fn status_answered(code: u16, body: Value) -> (Result<SecurityGroup, ObjectsError>, Vec<Asked>) {
    let server = Apiserver::start(move |_| Some((code, body.clone()))).await;
    let result = server.objects().write_status(&web(), &SecurityGroupStatus::default()).await;
    (result, server.asked())
}

#[tokio::test]
async fn a_status_is_put_at_its_version_and_nothing_but_the_status_is_sent() {
    let (written, asked) = status_answered(200, stored("8")).await;
    let written = written.unwrap();
    assert_eq!((written.resource_version().as_deref(), written.managed_fields().len()), (Some("8"), 0));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), format!("PUT {WEB}/status"));
    assert_eq!(asked[0].uri.query(), Some("&fieldManager=sgwarden"));
    assert_eq!(asked[0].headers["user-agent"], concat!("sgwarden/", env!("CARGO_PKG_VERSION")));
    let keys = asked[0].body.as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(keys, ["apiVersion", "kind", "metadata", "status"]);
    let metadata = json!({ "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7" });
    assert_eq!(asked[0].body["metadata"], metadata);
}

#[tokio::test]
async fn answers_to_a_status_write_are_told_apart_and_none_is_asked_for_twice() {
    for (code, body, expected) in [
        (409, status_of(409, "Conflict", "web"), "Conflict"),
        (404, status_of(404, "NotFound", "web"), "Gone"),
        (404, json!("404 page not found"), "Unavailable"),
        (401, status_of(401, "Unauthorized", ""), "Unavailable"),
        (403, status_of(403, "Forbidden", "web"), "Refused: it says Forbidden"),
        (422, status_of(422, "Invalid", "web"), "Refused: it says Invalid"),
        (429, status_of(429, "TooManyRequests", ""), "Unavailable"),
        (500, status_of(500, "InternalError", ""), "Unavailable"),
        (503, status_of(503, "ServiceUnavailable", ""), "Unavailable"),
        (504, status_of(504, "Timeout", ""), "Unavailable"),
        (200, json!("<html>"), "Unavailable"),
    ] {
        let (result, asked) = status_answered(code, body).await;
        let found = match result.unwrap_err() {
            ObjectsError::Conflict => "Conflict".to_owned(),
            ObjectsError::Gone => "Gone".to_owned(),
            ObjectsError::Refused(why) => format!("Refused: {why}"),
            ObjectsError::Unavailable(_) => "Unavailable".to_owned(),
        };
        assert_eq!((found.as_str(), asked.len()), (expected, 1), "{code}");
    }
}

#[tokio::test]
async fn a_status_write_without_an_answer_ends() {
    let server = Apiserver::start(|_| None).await;
    let started = tokio::time::Instant::now();
    let error = server.objects().write_status(&web(), &SecurityGroupStatus::default()).await.unwrap_err();
    assert!(matches!(error, ObjectsError::Unavailable(_)));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_object_that_was_never_read_is_not_written() {
    let server = Apiserver::start(|_| Some((200, stored("8")))).await;
    let mut object = web();
    object.metadata.resource_version = None;
    let error = server.objects().write_status(&object, &SecurityGroupStatus::default()).await.unwrap_err();
    assert!(matches!(error, ObjectsError::Refused(_)));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_finalizer_is_added_beside_others_and_only_once() {
    let server = Apiserver::start(|_| Some((200, stored("8")))).await;
    let mut object = web();
    object.metadata.finalizers = Some(vec!["other.dev/x".to_owned()]);
    server.objects().add_finalizer(&object).await.unwrap();
    object.metadata.finalizers = Some(vec!["other.dev/x".to_owned(), FINALIZER.to_owned()]);
    server.objects().add_finalizer(&object).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), format!("PATCH {WEB}"));
    assert_eq!(asked[0].headers["content-type"], "application/merge-patch+json");
    assert_eq!(asked[0].body, json!({ "metadata": { "resourceVersion": "7", "finalizers": ["other.dev/x", FINALIZER] } }));
}

#[tokio::test]
async fn a_finalizer_is_removed_from_among_others_and_a_gone_object_has_none() {
    let answers = Arc::new(Mutex::new(vec![
        (409, status_of(409, "Conflict", "web")),
        (404, status_of(404, "NotFound", "web")),
        (200, stored("8")),
    ]));
    let server = Apiserver::start(move |_| answers.lock().unwrap().pop()).await;
    let mut object = web();
    server.objects().remove_finalizer(&object).await.unwrap();
    assert!(server.asked().is_empty(), "nothing to remove");
    object.metadata.finalizers = Some(vec![FINALIZER.to_owned(), "other.dev/x".to_owned()]);
    server.objects().remove_finalizer(&object).await.unwrap();
    assert_eq!(server.asked()[0].body, json!({ "metadata": { "resourceVersion": "7", "finalizers": ["other.dev/x"] } }));
    server.objects().remove_finalizer(&object).await.expect("gone is as good");
    assert!(matches!(server.objects().remove_finalizer(&object).await, Err(ObjectsError::Conflict)));
}

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

#[tokio::test]
async fn the_watch_lists_readable_and_unreadable_objects_and_comes_back_after_errors() {
    let lists = Arc::new(Mutex::new(0));
    let server = Apiserver::start(move |asked| {
        if asked.uri.query().unwrap_or_default().contains("watch=true") {
            return None;
        }
        let mut lists = lists.lock().unwrap();
        *lists += 1;
        if *lists == 1 {
            return Some((503, status_of(503, "ServiceUnavailable", "")));
        }
        let mut broken = stored("5");
        broken["metadata"]["name"] = "broken".into();
        broken["spec"] = "not an object".into();
        let list = json!({
            "apiVersion": "sgwarden.dev/v1alpha1", "kind": "SecurityGroupList",
            "metadata": { "resourceVersion": "9" }, "items": [stored("4"), broken],
        });
        Some((200, list))
    })
    .await;
    let objects = KubeObjects::new(server.cluster.client.clone(), Some("shop".to_owned()), None);
    let mut watch = objects.watch();
    let mut seen = Vec::new();
    let mut failed = 0;
    while seen.len() < 2 {
        match tokio::time::timeout(Duration::from_secs(10), watch.next()).await.expect("recovers").unwrap() {
            Ok(watcher::Event::InitApply(object)) => {
                let meta = kube::Resource::meta(&object).clone();
                assert!(meta.managed_fields.is_none());
                seen.push((meta.name.unwrap(), object.0.is_ok()));
            }
            Ok(_) => {}
            Err(_) => failed += 1,
        }
    }
    assert_eq!(seen, [("web".to_owned(), true), ("broken".to_owned(), false)]);
    assert_eq!(failed, 1);
    assert!(matches!(watch.next().await, Some(Ok(watcher::Event::InitDone))));
    drop(tokio::time::timeout(Duration::from_millis(200), watch.next()).await);
    let asked = server.asked();
    assert_eq!(asked[0].uri.path(), "/apis/sgwarden.dev/v1alpha1/namespaces/shop/securitygroups");
    let query = asked.last().unwrap().uri.query().unwrap().to_owned();
    assert!(query.contains("timeoutSeconds=120") && query.contains("allowWatchBookmarks=true"), "{query}");
}

fn resources(names: &[&str]) -> Value {
    let resources = names
        .iter()
        .map(|name| json!({ "name": name, "singularName": "", "namespaced": true, "kind": "SecurityGroup", "verbs": [] }));
    json!({ "kind": "APIResourceList", "groupVersion": "sgwarden.dev/v1alpha1", "resources": resources.collect::<Vec<_>>() })
}

fn crd(version: &str, established: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "securitygroups.sgwarden.dev" },
        "spec": {
            "group": "sgwarden.dev", "scope": "Namespaced", "names": { "plural": "securitygroups", "kind": "SecurityGroup" },
            "versions": [{ "name": version, "served": true, "storage": true, "subresources": { "status": {} } }],
        },
        "status": { "conditions": [{ "type": "Established", "status": established, "message": "not all names are accepted" }] },
    })
}

const GROUP_VERSION: &str = "/apis/sgwarden.dev/v1alpha1";
const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/securitygroups.sgwarden.dev";

async fn probed(answer: impl Fn(&str) -> (u16, Value) + Clone + Send + Sync + 'static) -> Result<String, String> {
    let server = Apiserver::start(move |asked| Some(answer(asked.uri.path()))).await;
    let text = server.cluster.probe().await.map_err(|error| error.to_string());
    text.inspect_err(|text| assert!(!text.contains('\n'), "{text}")).map_err(|text| text.replace(&server.cluster.server, "SERVER"))
}

fn version() -> (u16, Value) {
    let fields = ["major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
    (200, fields.iter().map(|field| ((*field).to_owned(), json!("1"))).collect::<serde_json::Map<_, _>>().into())
}

#[tokio::test]
async fn the_probe_gives_the_clusters_id() {
    let id = probed(|path| match path {
        GROUP_VERSION => (200, resources(&["securitygroups", "securitygroups/status"])),
        "/api/v1/namespaces/kube-system" => (
            200,
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "kube-system", "uid": "c-1" } }),
        ),
        other => panic!("asked for {other}"),
    });
    assert_eq!(id.await, Ok("c-1".to_owned()));
}

#[tokio::test]
async fn the_probe_says_what_is_wrong_with_the_crd() {
    let missing = "the CRD securitygroups.sgwarden.dev is not installed: kubectl apply --server-side -f crds/";
    let found = probed(|path| match path {
        CRD => (404, status_of(404, "NotFound", "securitygroups.sgwarden.dev")),
        "/version" => version(),
        _ => (404, json!("404 page not found")),
    });
    assert_eq!(found.await.unwrap_err(), missing);
    let found = probed(|path| match path {
        CRD => (403, status_of(403, "Forbidden", "securitygroups.sgwarden.dev")),
        "/version" => version(),
        _ => (404, json!("404 page not found")),
    });
    assert_eq!(found.await.unwrap_err(), missing, "without the right to read CRDs");
    let found = probed(|path| match path {
        CRD => (200, crd("v1", "True")),
        _ => (404, json!("404 page not found")),
    });
    let expected = "the CRD securitygroups.sgwarden.dev does not serve v1alpha1, only v1: kubectl apply --server-side -f crds/";
    assert_eq!(found.await.unwrap_err(), expected);
}

#[tokio::test]
async fn the_probe_waits_for_a_crd_that_was_just_applied() {
    let looks = Arc::new(Mutex::new(0));
    let found = probed(move |path| match path {
        GROUP_VERSION => {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            if *looks < 3 {
                (404, json!("404 page not found"))
            } else {
                (200, resources(&["securitygroups", "securitygroups/status"]))
            }
        }
        CRD => (200, crd("v1alpha1", "False")),
        _ => (403, status_of(403, "Forbidden", "kube-system")),
    });
    let expected = "sgwarden may not read the namespace kube-system, whose uid is the cluster's id: it says Forbidden; compare its roles with deploy/kubernetes/rbac.yaml";
    assert_eq!(found.await.unwrap_err(), expected);
}

#[tokio::test]
async fn the_probe_tells_what_answers_if_it_is_no_cluster() {
    let found = probed(|_| (401, status_of(401, "Unauthorized", ""))).await.unwrap_err();
    assert_eq!(
        found,
        "the cluster at SERVER does not accept the credentials: it says Unauthorized; log in again, or check the service account"
    );
    let found = probed(|_| (404, json!("nothing here"))).await.unwrap_err();
    assert_eq!(found, "no cluster: SERVER answers, but not as a Kubernetes apiserver does: it has no /version");
    let found = probed(|_| (200, json!("<html>"))).await.unwrap_err();
    assert!(found.starts_with("no cluster: SERVER answers, but not as a Kubernetes apiserver does: "), "{found}");

    let server = Apiserver::start(|_| None).await;
    let nobody = Cluster { server: "http://127.0.0.1:1".to_owned(), ..server.cluster };
    let closed = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let nobody = Cluster { client: kube::Client::try_from(closed).unwrap(), ..nobody };
    let found = nobody.probe().await.unwrap_err().to_string();
    assert_eq!(
        found,
        "no cluster: http://127.0.0.1:1 does not answer: Connection refused (os error 111); is it up, and is it the right --context?"
    );
}
