//! One request over HTTP or HTTPS, with what an answer may be.
//!
//! Entry points: [`target`], [`Http::deliver`]; [`Http`] is also the [`Post`] of others who send something.

use std::time::Duration;

use ::http::header::{RETRY_AFTER, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::fmt::rfc2822::DateTimeParser;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;

use crate::ports::clock::Clock;
use crate::ports::post::{Post, PostError};
use crate::ports::sinks::DeliverError;

/// The limit of a connection, and of a call with it.
const CONNECT: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(10);
/// What is read of an answer.
const MOST: usize = 4096;

/// Where to POST to.
#[derive(Debug)]
pub(super) struct Target {
    uri: Uri,
    /// Whether nobody on the way can read along: TLS, or this machine.
    pub(super) is_private: bool,
}

/// An address as it is written; `None`: it is none, or has credentials in it.
pub(super) fn target(url: &str) -> Option<Target> {
    let uri: Uri = url.parse().ok()?;
    let (host, authority) = (uri.host()?, uri.authority()?);
    if authority.as_str().contains('@') || host.is_empty() {
        return None;
    }
    let this_machine = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    match uri.scheme_str() {
        Some("https") => Some(Target { uri, is_private: true }),
        Some("http") => Some(Target { is_private: this_machine, uri }),
        Some(_) | None => None,
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// The beginning of what was said. Not to be repeated, unless it is known.
    pub(super) text: String,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// What an answer that is no success means. `word`: what was said, where that is known.
    pub(super) fn refusal(&self, word: &str) -> DeliverError {
        let said = if word.is_empty() { String::new() } else { format!(" ({word})") };
        let code = self.status.as_u16();
        match code {
            408 | 425 | 429 | 500..=599 => {
                let why = format!("the server answers {}{said}", self.status);
                DeliverError::Unavailable { why, retry_after: self.retry_after }
            }
            400 | 413 | 422 => DeliverError::Message { why: format!("the server does not take a message: {}{said}", self.status) },
            300..=399 => DeliverError::Refused {
                why: format!("the server answers {}: redirects are not followed, name the address itself", self.status),
            },
            _ => DeliverError::Refused { why: format!("the server refuses messages: {}{said}", self.status) },
        }
    }
}

/// A client without memory: a connection a call, so that none is found dead when it matters.
pub struct Http {
    client: Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { client: client() }
    }
}

impl Http {
    /// Posts a message.
    pub(super) async fn deliver(
        &self,
        target: Target,
        headers: HeaderMap,
        body: Vec<u8>,
        clock: &Clock,
    ) -> Result<Answer, DeliverError> {
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.uri;
        *request.headers_mut() = headers;
        let answer = self.post(request).await.map_err(|PostError { why }| DeliverError::Unavailable { why, retry_after: None })?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| wait(value, clock));
        Ok(Answer { status: answer.status(), retry_after, text: String::from_utf8_lossy(answer.body()).into_owned() })
    }
}

#[async_trait]
impl Post for Http {
    async fn post(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, PostError> {
        let unavailable = |why: String| PostError { why };
        let client = self.client.as_ref().map_err(|why| unavailable(format!("TLS cannot be used: {why}")))?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(concat!("sgwarden/", env!("CARGO_PKG_VERSION"))));
        let call = async {
            let answer = client.request(request.map(Full::from)).await;
            let answer = answer.map_err(|error| unavailable(format!("no answer: {}", innermost(&error))))?;
            let (head, body) = answer.into_parts();
            // What cannot be read of an answer does not change what it says.
            let text = Limited::new(body, MOST).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok(Response::from_parts(head, text))
        };
        tokio::time::timeout(CALL, call).await.unwrap_or_else(|_| Err(unavailable(format!("no answer in {} s", CALL.as_secs()))))
    }
}

fn client() -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
    let tls = ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

/// How long a server asks to be left alone: in seconds, or until a time.
fn wait(value: &HeaderValue, clock: &Clock) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(until.duration_since(clock.now())).ok()
}

/// The layers of a client around a cause say less than the cause: "connection refused".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_server_and_no_credentials() {
        for (url, is_private) in [
            ("https://hooks.slack.com/services/T/B/x", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]:8080/", true),
            ("http://alerts.monitoring.svc/x?y=z", false),
        ] {
            assert_eq!(target(url).unwrap().is_private, is_private, "{url}");
        }
        for url in ["", "hooks.slack.com/x", "/x", "ftp://host/x", "https://user:pw@host/x", "https:///x"] {
            assert!(target(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_server_says_how_long_to_wait_in_seconds_or_as_a_time() {
        let clock = Clock::anchored("2026-11-22T12:00:00Z".parse().unwrap());
        let told = |text: &'static str| wait(&HeaderValue::from_static(text), &clock);
        assert_eq!(told("30"), Some(Duration::from_secs(30)));
        let until = told("Sun, 22 Nov 2026 12:05:00 GMT").unwrap();
        assert!(until > Duration::from_secs(298) && until <= Duration::from_secs(300), "{until:?}");
        assert_eq!(told("Sun, 22 Nov 2026 11:00:00 GMT"), None);
        assert_eq!(told("soon"), None);
    }

    #[test]
    fn an_answer_says_whether_to_try_again() {
        let refusal =
            |code: u16| Answer { status: StatusCode::from_u16(code).unwrap(), retry_after: None, text: String::new() }.refusal("");
        for code in [408, 429, 500, 503] {
            assert!(matches!(refusal(code), DeliverError::Unavailable { .. }), "{code}");
        }
        for code in [400, 413, 422] {
            assert!(matches!(refusal(code), DeliverError::Message { .. }), "{code}");
        }
        for code in [301, 307, 401, 403, 404, 410, 101] {
            assert!(matches!(refusal(code), DeliverError::Refused { .. }), "{code}");
        }
    }
}
