//! The Lease in a cluster, in `coordination.k8s.io/v1`: read from the source, written with its version.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use uuid::Uuid;

use super::{FIELD_MANAGER, words};
use crate::ports::lease::{LeaseError, LeaseRecord, Leases, StoredLease};

/// The limit of each call: two fit before the deadline of a renewal.
const CALL: Duration = Duration::from_secs(5);
/// Where Linux keeps the host's name, which in a pod is the pod's.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// One Lease of a cluster.
pub struct KubeLease {
    api: Api<Lease>,
    name: String,
    limit: Duration,
}

impl KubeLease {
    /// The Lease of this name. It need not be there yet.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), limit: CALL }
    }

    /// The same with another limit of calls.
    #[cfg(test)]
    pub(super) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    async fn limited<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer.map_err(|error| failure(&error)),
            Err(_) => Err(LeaseError::Unavailable(format!("no answer within {:?}", self.limit).into())),
        }
    }
}

/// What this process is called in the Lease, as client-go names it: its host, and what tells it from any other process there,
/// the one before a restart included.
pub fn identity() -> String {
    let host = std::fs::read_to_string(HOSTNAME).unwrap_or_default();
    let host = if host.trim().is_empty() { "sgwarden" } else { host.trim() };
    format!("{host}_{}", Uuid::new_v4())
}

#[async_trait]
impl Leases for KubeLease {
    async fn get(&self) -> Result<Option<StoredLease>, LeaseError> {
        // Without a resource version in the request: the apiserver may then not answer from a cache that lags behind.
        let named = |status: &kube::core::Status| status.details.as_ref().is_some_and(|details| details.name == self.name);
        let found = self.limited(async {
            match self.api.get(&self.name).await {
                // Only a 404 that names the Lease says so of the Lease; any other is a proxy's, or an apiserver's without Leases.
                Err(kube::Error::Api(status)) if status.code == 404 && named(&status) => Ok(None),
                answer => answer.map(Some),
            }
        });
        Ok(found.await?.map(stored))
    }

    async fn create(&self, record: &LeaseRecord) -> Result<StoredLease, LeaseError> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec(record)) };
        Ok(stored(self.limited(self.api.create(&params(), &lease)).await?))
    }

    async fn replace(&self, lease: &StoredLease, record: &LeaseRecord) -> Result<StoredLease, LeaseError> {
        let metadata = lease.meta.clone();
        // Without the version, the write would overwrite whatever there is. Without the uid, it would bring a deleted Lease back:
        // Leases may be made by a PUT.
        if metadata.resource_version.is_none() || metadata.uid.is_none() {
            return Err(LeaseError::Refused("the Lease was not read from a cluster: it has no version or uid".to_owned()));
        }
        let lease = Lease { metadata, spec: Some(spec(record)) };
        Ok(stored(self.limited(self.api.replace(&self.name, &params(), &lease)).await?))
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn spec(record: &LeaseRecord) -> LeaseSpec {
    let LeaseRecord { holder, duration, acquired, renewed, transitions } = record;
    // The apiserver wants a second at least. Rounded up: a holder that is given longer than it says harms nobody.
    let whole = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1);
    LeaseSpec {
        // Left out where there is none, as client-go does.
        holder_identity: holder.clone(),
        lease_duration_seconds: Some(i32::try_from(whole).unwrap_or(i32::MAX)),
        acquire_time: acquired.map(MicroTime),
        renew_time: renewed.map(MicroTime),
        lease_transitions: Some(*transitions),
        ..LeaseSpec::default()
    }
}

fn stored(mut lease: Lease) -> StoredLease {
    // Often longer than the rest, and nobody here reads them. A write without them leaves them as they are.
    lease.metadata.managed_fields = None;
    let spec = lease.spec.unwrap_or_default();
    let time = |time: Option<MicroTime>| time.map(|MicroTime(time): MicroTime| -> Timestamp { time });
    let record = LeaseRecord {
        // client-go takes an empty holder for none.
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default()),
        acquired: time(spec.acquire_time),
        renewed: time(spec.renew_time),
        transitions: spec.lease_transitions.unwrap_or_default(),
    };
    StoredLease { record, meta: lease.metadata }
}

/// What an answer to a call means.
fn failure(error: &kube::Error) -> LeaseError {
    let unavailable = || LeaseError::Unavailable(words(error).into());
    let kube::Error::Api(status) = error else { return unavailable() };
    match status.code {
        // Also what a PUT of a Lease that is gone is answered with, since the uid no longer fits.
        409 => LeaseError::Conflict,
        // About us or about now, not about what was written: a token that has run out, a queue that is full.
        401 | 408 | 429 => unavailable(),
        // A 404 here says that the namespace is not there, or the API.
        400..=499 => LeaseError::Refused(words(error)),
        _ => unavailable(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{Method, StatusCode, Uri};
    use axum::response::{IntoResponse, Response};
    use serde_json::{Value, json};

    use super::*;

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/sgwarden-system/leases";

    /// A Lease behind a stand-in for the apiserver that gives one answer, and what it was asked: method, URI and body. `None`
    /// keeps the asker waiting for ever.
    async fn lease(answer: Option<(u16, Value)>) -> (KubeLease, Arc<Mutex<Vec<(String, Value)>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let handler = async move |method: Method, uri: Uri, body: Bytes| -> Response {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            log.lock().unwrap().push((format!("{method} {uri}"), body));
            match answer {
                Some((code, Value::String(text))) => (StatusCode::from_u16(code).unwrap(), text).into_response(),
                Some((code, json)) => (StatusCode::from_u16(code).unwrap(), axum::Json(json)).into_response(),
                None => std::future::pending().await,
            }
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        config.default_retry = false;
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        let lease = KubeLease::new(Client::try_from(config).unwrap(), "sgwarden-system", "sgwarden");
        (lease.with_limit(Duration::from_millis(400)), asked)
    }

    fn wire() -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": "sgwarden", "namespace": "sgwarden-system", "uid": "u-1", "resourceVersion": "7", "labels": { "a": "b" },
                "managedFields": [{ "manager": "sgwarden", "operation": "Update" }],
            },
            "spec": {
                "holderIdentity": "pod_1", "leaseDurationSeconds": 20, "leaseTransitions": 3,
                "acquireTime": "2026-11-22T21:00:00.000001Z", "renewTime": "2026-11-22T21:00:02.500000Z",
            },
        })
    }

    fn record() -> LeaseRecord {
        LeaseRecord {
            holder: Some("pod_1".to_owned()),
            duration: Duration::from_secs(20),
            acquired: Some("2026-11-22T21:00:00.000001Z".parse().unwrap()),
            renewed: Some("2026-11-22T21:00:02.5Z".parse().unwrap()),
            transitions: 3,
        }
    }

    fn read() -> StoredLease {
        stored(serde_json::from_value(wire()).unwrap())
    }

    fn status_of(code: u16, reason: &str, name: &str) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("it says {reason}"), "reason": reason,
            "code": code, "details": { "name": name, "group": "coordination.k8s.io", "kind": "leases" },
        })
    }

    #[tokio::test]
    async fn a_lease_is_read_from_the_source() {
        let (lease, asked) = lease(Some((200, wire()))).await;
        let found = lease.get().await.unwrap().unwrap();
        assert_eq!(found.record, record());
        assert_eq!((found.meta.resource_version.as_deref(), found.meta.managed_fields), (Some("7"), None));
        let asked = asked.lock().unwrap();
        let [(line, _)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(line, &format!("GET {LEASES}/sgwarden"), "with a version, a cache could answer");
    }

    #[tokio::test]
    async fn only_a_404_that_names_the_lease_says_that_there_is_none() {
        let (there, _) = lease(Some((404, status_of(404, "NotFound", "sgwarden")))).await;
        assert_eq!(there.get().await.unwrap(), None);
        for body in [json!("404 page not found"), status_of(404, "NotFound", "")] {
            let (there, _) = lease(Some((404, body))).await;
            assert!(matches!(there.get().await, Err(LeaseError::Refused(_))));
        }
    }

    #[tokio::test]
    async fn a_lease_is_made_without_a_version() {
        let (lease, asked) = lease(Some((201, wire()))).await;
        assert_eq!(lease.create(&record()).await.unwrap().meta.resource_version.as_deref(), Some("7"));
        let asked = asked.lock().unwrap();
        let [(line, body)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(line, &format!("POST {LEASES}?&fieldManager=sgwarden"));
        assert_eq!((&body["metadata"], &body["spec"]), (&json!({ "name": "sgwarden" }), &wire()["spec"]));
    }

    #[tokio::test]
    async fn a_lease_is_replaced_at_its_version_and_uid_and_what_others_wrote_on_it_is_kept() {
        let (lease, asked) = lease(Some((200, wire()))).await;
        let released = LeaseRecord { holder: None, duration: Duration::from_secs(1), ..record() };
        lease.replace(&read(), &released).await.unwrap();
        let asked = asked.lock().unwrap();
        let [(line, body)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(line, &format!("PUT {LEASES}/sgwarden?&fieldManager=sgwarden"));
        let mut metadata = wire()["metadata"].clone();
        metadata.as_object_mut().unwrap().remove("managedFields");
        assert_eq!(body["metadata"], metadata);
        assert_eq!((body["spec"].get("holderIdentity"), &body["spec"]["leaseDurationSeconds"]), (None, &json!(1)));
    }

    #[tokio::test]
    async fn a_lease_that_was_never_read_is_not_replaced() {
        let (lease, asked) = lease(Some((200, wire()))).await;
        for field in ["uid", "resourceVersion"] {
            let mut wire = wire();
            wire["metadata"].as_object_mut().unwrap().remove(field);
            let unread = stored(serde_json::from_value(wire).unwrap());
            assert!(matches!(lease.replace(&unread, &record()).await, Err(LeaseError::Refused(_))), "{field}");
        }
        assert!(asked.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn answers_to_a_write_are_told_apart_and_none_is_asked_for_twice() {
        for (code, body, expected) in [
            (409, status_of(409, "Conflict", "sgwarden"), "Conflict"),
            (403, status_of(403, "Forbidden", "sgwarden"), "Refused: it says Forbidden"),
            (404, status_of(404, "NotFound", "sgwarden-system"), "Refused: it says NotFound"),
            (422, status_of(422, "Invalid", "sgwarden"), "Refused: it says Invalid"),
            (401, status_of(401, "Unauthorized", ""), "Unavailable"),
            (429, status_of(429, "TooManyRequests", ""), "Unavailable"),
            (500, status_of(500, "InternalError", ""), "Unavailable"),
            (503, json!("no healthy upstream"), "Unavailable"),
            (200, json!("<html>"), "Unavailable"),
        ] {
            for creates in [true, false] {
                let (lease, asked) = lease(Some((code, body.clone()))).await;
                let answer = if creates { lease.create(&record()).await } else { lease.replace(&read(), &record()).await };
                let found = match answer.unwrap_err() {
                    LeaseError::Conflict => "Conflict".to_owned(),
                    LeaseError::Refused(why) => format!("Refused: {why}"),
                    LeaseError::Unavailable(_) => "Unavailable".to_owned(),
                };
                assert_eq!((found.as_str(), asked.lock().unwrap().len()), (expected, 1), "{code} {creates}");
            }
        }
    }

    #[tokio::test]
    async fn a_silent_apiserver_is_not_waited_for() {
        let (lease, _) = lease(None).await;
        let since = tokio::time::Instant::now();
        assert!(matches!(lease.get().await, Err(LeaseError::Unavailable(_))));
        assert!(matches!(lease.replace(&read(), &record()).await, Err(LeaseError::Unavailable(_))));
        assert!(since.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn an_identity_begins_with_the_host_and_is_never_used_again() {
        let (one, two) = (identity(), identity());
        assert_ne!(one, two);
        let (host, unique) = one.rsplit_once('_').unwrap();
        assert!(!host.is_empty() && !host.contains(char::is_whitespace));
        assert_eq!(unique.len(), 36);
    }

    #[test]
    fn durations_are_whole_seconds_and_never_shorter_than_they_are() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (20_000, 20)] {
            let record = LeaseRecord { duration: Duration::from_millis(millis), ..LeaseRecord::default() };
            assert_eq!(spec(&record).lease_duration_seconds, Some(seconds), "{millis}");
        }
    }

    #[test]
    fn a_lease_that_says_nothing_or_nonsense_is_nobodys() {
        for spec in ["{}", r#"{"holderIdentity":"","leaseDurationSeconds":-5}"#] {
            let lease = serde_json::from_str(&format!(r#"{{"metadata":{{}},"spec":{spec}}}"#)).unwrap();
            assert_eq!(stored(lease).record, LeaseRecord::default());
        }
        assert_eq!(stored(Lease::default()).record, LeaseRecord::default());
    }
}
