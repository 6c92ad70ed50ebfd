//! The adapter against a stand-in for the apiserver on loopback, which answers as each test says and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::api::{SecurityGroup, SecurityGroupSpec};

mod events;
mod probe;
mod watch;
mod write;

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
    /// Ends the watches that are open.
    hang_up: Arc<Notify>,
}

impl Apiserver {
    /// Starts one. `answer` decides by request; `None` keeps the asker waiting until it is hung up.
    async fn start(answer: impl Fn(&Asked) -> Option<(u16, Value)> + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let hang_up = Arc::new(Notify::new());
        let (log, ending) = (Arc::clone(&asked), Arc::clone(&hang_up));
        let handler = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| -> Response {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let request = Asked { method, uri, headers, body };
            let answer = answer(&request);
            let ends = ending.notified();
            log.lock().unwrap().push(request);
            match answer {
                Some((code, Value::String(text))) => (StatusCode::from_u16(code).unwrap(), text).into_response(),
                Some((code, json)) => (StatusCode::from_u16(code).unwrap(), axum::Json(json)).into_response(),
                None => {
                    ends.await;
                    StatusCode::OK.into_response()
                }
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
        Self { cluster, asked, hang_up }
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
