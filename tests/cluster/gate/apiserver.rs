//! A real apiserver behind a gate.

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use kube::Client;

use super::{Call, Server};
use crate::support::controlplane::ControlPlane;

/// The way to an apiserver, over TLS and as its administrator.
pub(super) struct Apiserver(Client);

impl Apiserver {
    pub(super) async fn of(plane: &ControlPlane) -> Self {
        let mut config = plane.config().await;
        // What the caller sends once is sent once.
        config.default_retry = false;
        Self(Client::try_from(config).unwrap())
    }
}

#[async_trait]
impl Server for Apiserver {
    fn call(&self, request: &Request<Bytes>) -> Call {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let of_objects = written(request.uri().path());
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        Call {
            key: shown.strip_prefix("Bearer ").unwrap_or_default().to_owned(),
            writes: of_objects.is_some() && !reads,
            action: format!("{} {}", request.method(), of_objects.unwrap_or_default()),
        }
    }

    /// What comes bit by bit, as a watch does, is handed on bit by bit, for as long as somebody listens.
    async fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        for name in [header::HOST, header::AUTHORIZATION, header::CONTENT_LENGTH] {
            parts.headers.remove(name);
        }
        let Ok(answer) = self.0.send(Request::from_parts(parts, body.into())).await else {
            return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
        };
        let (parts, body) = answer.into_parts();
        let mut answer = Response::new(Body::new(body));
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = parts.headers;
        // How a body is sent is each connection's own matter.
        for name in [header::TRANSFER_ENCODING, header::CONNECTION] {
            answer.headers_mut().remove(name);
        }
        answer
    }
}

/// What of a `SecurityGroup` object a path is about: `status`, or all of it. `None`: it is about something else.
fn written(path: &str) -> Option<&str> {
    let (before, after) = path.split_once("/securitygroups/")?;
    let (_, part) = after.split_once('/').unwrap_or((after, "object"));
    before.starts_with("/apis/sgwarden.dev/").then_some(part)
}
