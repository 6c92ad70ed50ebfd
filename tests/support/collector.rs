//! A collector of traces: takes what is sent by OTLP over HTTP, and finds in it what a test asks for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A collector, for as long as the runtime lives that it was started in.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let requests = Arc::<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>::default();
        let kept = requests.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            kept.lock().unwrap().push((headers, ExportTraceServiceRequest::decode(body).unwrap()));
            StatusCode::OK
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, Router::new().route("/v1/traces", post(take))).await });
        Self { address, requests }
    }

    /// The headers of each request so far.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.requests.lock().unwrap().iter().map(|(headers, _)| headers.clone()).collect()
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let spans = requests.iter().flat_map(|(_, request)| &request.resource_spans);
        spans.flat_map(|spans| &spans.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }
}

/// The id of a span's trace as status, audit and alerts have it.
fn trace_id(span: &Span) -> String {
    format!("{:032x}", u128::from_be_bytes(span.trace_id.clone().try_into().unwrap()))
}

/// An attribute of a span as text, which is there once at most.
pub(crate) fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().filter(|attribute| attribute.key == name).collect::<Vec<_>>();
    assert!(found.len() <= 1, "{name} is there twice: {span:#?}");
    let value = found.first()?.value.as_ref()?.value.as_ref()?;
    if let any_value::Value::StringValue(text) = value {
        return Some(text.clone());
    }
    let any_value::Value::IntValue(number) = value else { panic!("{name} is {value:?}") };
    Some(number.to_string())
}

/// The one span of a trace that has no parent.
pub(crate) fn root<'s>(spans: &'s [Span], trace: &str) -> &'s Span {
    let roots: Vec<&Span> = spans.iter().filter(|span| trace_id(span) == trace && span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{trace}: {roots:#?}");
    roots[0]
}

/// The spans right below one.
pub(crate) fn below<'s>(spans: &'s [Span], parent: &Span) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id && span.trace_id == parent.trace_id).collect()
}
