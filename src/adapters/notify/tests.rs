//! Deliveries over real sockets, to a server that notes what it got and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::Notify;
use crate::api::SecretReference;
use crate::ports::clock::Clock;
use crate::ports::sinks::{Deliver, DeliverError, Delivery, Secret, Secrets};

#[derive(Clone)]
struct Server {
    address: String,
    got: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
    answer: Arc<Mutex<(StatusCode, HeaderMap, String)>>,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::OK, HeaderMap::new(), "ok".to_owned())));
        let server = Self { address, got: Arc::default(), answer };
        let router = Router::new().fallback(Self::take).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    #[expect(clippy::unused_async, reason = "axum asks for it")]
    async fn take(State(server): State<Self>, uri: http::Uri, headers: HeaderMap, body: Bytes) -> axum::response::Response {
        server.got.lock().unwrap().push((uri.to_string(), headers, body));
        server.answer.lock().unwrap().clone().into_response()
    }

    fn answers(&self, status: u16, headers: &[(&'static str, &str)], text: &str) {
        let header = |(name, value): &(&'static str, &str)| (http::HeaderName::from_static(name), value.parse().unwrap());
        *self.answer.lock().unwrap() =
            (StatusCode::from_u16(status).unwrap(), headers.iter().map(header).collect(), text.to_owned());
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

struct Known(BTreeMap<&'static str, String>);

#[async_trait]
impl Secrets for Known {
    async fn read(&self, reference: &SecretReference) -> Result<Secret, DeliverError> {
        let found = self.0.get(reference.name.as_str());
        found.map(Secret::new).ok_or(DeliverError::Secret { why: "none".to_owned() })
    }
}

fn reference(name: &str) -> SecretReference {
    SecretReference { name: name.to_owned(), key: "k".to_owned() }
}

async fn stage() -> (Server, Notify) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Server::start().await;
    let known = BTreeMap::from([
        ("slack", format!("{}/services/T0/B0/hush", server.address)),
        ("clear", "http://hooks.example.com/services/T0/B0/hush".to_owned()),
        ("nonsense", "hush".to_owned()),
        ("key", "0123456789abcdef0123".to_owned()),
    ]);
    let notify = Notify::new(Arc::new(Known(known)), None, Clock::system());
    (server, notify)
}

fn to_slack(secret: &str) -> Delivery {
    Delivery::Slack { url: reference(secret), body: json!({ "text": "hello" }) }
}

#[tokio::test]
async fn slack_gets_the_body_at_the_address_that_is_kept_secret() {
    let (server, notify) = stage().await;
    notify.deliver(&to_slack("slack")).await.unwrap();
    let (path, headers, body) = server.got.lock().unwrap().remove(0);
    assert_eq!((path.as_str(), body.as_ref()), ("/services/T0/B0/hush", br#"{"text":"hello"}"#.as_slice()));
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
}

#[tokio::test]
async fn a_webhook_gets_a_signed_event() {
    let (server, notify) = stage().await;
    let url = format!("{}/in?team=ops", server.address);
    let event = json!({ "specversion": "1.0" });
    let delivery = |hmac| Delivery::Webhook { url: url.clone(), hmac, id: "shop/web/d-1".to_owned(), event: event.clone() };
    notify.deliver(&delivery(Some(reference("key")))).await.unwrap();
    notify.deliver(&delivery(None)).await.unwrap();
    let got = server.got.lock().unwrap();
    assert_eq!((got[0].0.as_str(), got[0].2.as_ref()), ("/in?team=ops", br#"{"specversion":"1.0"}"#.as_slice()));
    assert_eq!(got[0].1["content-type"], "application/cloudevents+json; charset=utf-8");
    assert!(got[0].1["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert!(!got[1].1.contains_key("webhook-signature"), "nobody asked for one");
}

#[tokio::test]
async fn a_key_that_is_not_there_sends_nothing_unsigned() {
    let (server, notify) = stage().await;
    let delivery =
        Delivery::Webhook { url: server.address.clone(), hmac: Some(reference("lost")), id: "a".to_owned(), event: json!({}) };
    assert!(matches!(notify.deliver(&delivery).await, Err(DeliverError::Secret { .. })));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn no_error_holds_a_secret_or_what_a_server_says() {
    let (server, notify) = stage().await;
    let mut errors = Vec::new();
    for (status, text) in [(403, "hush"), (404, "no_service"), (500, "hush"), (400, "invalid_payload"), (200, "")] {
        server.answers(status, &[], text);
        errors.extend(notify.deliver(&to_slack("slack")).await.err());
    }
    for secret in ["clear", "nonsense", "lost"] {
        errors.extend(notify.deliver(&to_slack(secret)).await.err());
    }
    let told: Vec<String> = errors.iter().map(|error| format!("{error} {error:?}")).collect();
    assert!(told.iter().all(|text| !text.contains("hush") && !text.contains("/services/T0")), "{told:#?}");
    assert!(errors[1].to_string().contains("no_service"), "a word that is known helps: {}", errors[1]);
    assert_eq!(errors.len(), 7, "a success is none");
    assert!(matches!(errors[4], DeliverError::Secret { .. }), "a secret does not go in the clear: {:?}", errors[4]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, notify) = stage().await;
    let other = Server::start().await;
    server.answers(307, &[("location", &other.address)], "");
    assert!(matches!(notify.deliver(&to_slack("slack")).await, Err(DeliverError::Refused { .. })));
    assert_eq!((server.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    let (server, notify) = stage().await;
    server.answers(429, &[("retry-after", "30")], "rate_limited");
    let error = notify.deliver(&to_slack("slack")).await.unwrap_err();
    let DeliverError::Unavailable { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn an_answer_without_an_end_is_read_to_a_limit() {
    let (server, notify) = stage().await;
    server.answers(200, &[], &"x".repeat(1 << 20));
    notify.deliver(&to_slack("slack")).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let (_server, notify) = stage().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let delivery = Delivery::Webhook { url: format!("http://{nobody}/"), hmac: None, id: "a".to_owned(), event: json!({}) };
    let error = notify.deliver(&delivery).await.unwrap_err();
    assert!(matches!(error, DeliverError::Unavailable { .. }), "{error:?}");
}
