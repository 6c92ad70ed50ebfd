//! What a collector gets, and what happens while it takes nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use prost::Message;
use tokio::sync::Semaphore;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::adapters::telemetry::logs::{Format, build};
use crate::ports::objects::Key;
use crate::ports::post::PostError;
use crate::ports::spans;

const LIMIT: Duration = Duration::from_secs(10);

/// What is behind the HTTP client.
struct Collector {
    requests: Mutex<Vec<ExportTraceServiceRequest>>,
    tries: AtomicUsize,
    /// One is taken for every answer.
    answers: Semaphore,
    status: StatusCode,
}

impl Collector {
    fn answering(status: StatusCode, answers: usize) -> Arc<Self> {
        let (requests, tries) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { requests, tries, answers: Semaphore::new(answers), status })
    }

    fn well() -> Arc<Self> {
        Self::answering(StatusCode::OK, Semaphore::MAX_PERMITS)
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let scopes = requests.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

#[async_trait]
impl Post for Collector {
    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, PostError> {
        assert_eq!(request.uri(), "http://collector:4318/v1/traces");
        self.tries.fetch_add(1, Ordering::Relaxed);
        self.answers.acquire().await.unwrap().forget();
        if self.status.is_success() {
            self.requests.lock().unwrap().push(ExportTraceServiceRequest::decode(request.into_body()).unwrap());
        }
        Ok(Response::builder().status(self.status).body(Bytes::new()).unwrap())
    }
}

fn start(collector: &Arc<Collector>) -> Otlp {
    let settings = Settings { endpoint: "http://collector:4318/v1/traces".to_owned() };
    Otlp::start(&settings, collector.clone(), &Clock::system()).unwrap()
}

fn pass(name: &str, trace_id: &str) -> tracing::Span {
    let key = Key { namespace: "shop".into(), name: name.into() };
    spans::pass(&key, "u-1", Some(1), trace_id, "object", None)
}

fn call() -> tracing::Span {
    spans::call("EC2", "DescribeVpcs", &"111122223333".parse().unwrap(), &"eu-west-1".parse().unwrap())
}

/// The id of a span's trace as status, audit and alerts have it.
fn trace_id(span: &Span) -> String {
    format!("{:032x}", u128::from_be_bytes(span.trace_id.clone().try_into().unwrap()))
}

fn counted(metrics: &TraceMetrics, series: &str) -> usize {
    let (mut registry, mut text) = (Registry::default(), String::new());
    metrics.register(&mut registry);
    encode(&mut text, &registry).unwrap();
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_that_move_between_threads_keep_their_ids() {
    let collector = Collector::well();
    let otlp = start(&collector);
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(otlp.layer()));
    let passes = (1..=200_u128).map(|n| {
        let id = format!("{n:032x}");
        let work = async move {
            let span = pass(&format!("web-{n}"), &format!("{n:032x}"));
            async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                    tokio::task::yield_now().instrument(call()).await;
                    drop(spans::sweep("usual", &"111122223333".parse().unwrap(), &"eu-west-1".parse().unwrap()));
                }
            }
            .instrument(span)
            .await;
        };
        (id, tokio::spawn(work.with_subscriber(dispatch.clone())))
    });
    let passes: Vec<_> = passes.collect();
    let mut ids = Vec::new();
    for (id, work) in passes {
        work.await.unwrap();
        ids.push(id);
    }
    assert!(otlp.stop(LIMIT).await);
    let all = collector.spans();
    assert_eq!(all.len(), 200 * 7);
    for id in ids {
        let mine: Vec<&Span> = all.iter().filter(|span| trace_id(span) == id).collect();
        let (roots, calls): (Vec<&Span>, Vec<&Span>) = mine.into_iter().partition(|span| span.parent_span_id.is_empty());
        assert_eq!((roots.len(), calls.len()), (1, 3), "{id}");
        assert!(calls.iter().all(|call| call.name == "EC2/DescribeVpcs" && call.parent_span_id == roots[0].span_id));
    }
}

#[tokio::test]
async fn what_fails_is_an_error_and_what_is_said_twice_counts_once() {
    let collector = Collector::well();
    let otlp = start(&collector);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(otlp.layer()), || {
        call().in_scope(|| {
            spans::answered(Some("first"));
            spans::answered(Some("second"));
            spans::failed("RequestLimitExceeded");
        });
        drop(call());
    });
    assert!(otlp.stop(LIMIT).await);
    let all = collector.spans();
    let (failed, well) = (&all[0], &all[1]);
    let texts =
        |name: &str| failed.attributes.iter().filter(|one| one.key == name).map(|one| format!("{one:?}")).collect::<Vec<_>>();
    assert!(texts("aws.request_id").concat().contains("second") && texts("aws.request_id").len() == 1, "{failed:#?}");
    assert!(texts("error.type").concat().contains("RequestLimitExceeded"), "{failed:#?}");
    let status = |span: &Span| span.status.as_ref().map_or(0, |status| status.code);
    assert_eq!((status(failed), status(well)), (SpanStatus::Error.into(), SpanStatus::Unset.into()));
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn spans_are_not_in_the_log_and_its_filter_does_not_touch_them() {
    for (format, filter) in
        [(Format::Text, "info"), (Format::Text, "trace,spans=trace"), (Format::Json, "trace"), (Format::Json, "off")]
    {
        let collector = Collector::well();
        let otlp = start(&collector);
        let page = Page::default();
        let writer = page.clone();
        let (subscriber, _control) = build(format, filter, true, move || writer.clone(), Some(otlp.layer())).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let object = tracing::info_span!("reconcile", namespace = "shop");
            object.in_scope(|| pass("web", &format!("{:032x}", 7)).in_scope(|| tracing::info!(target: "audit", "news")));
        });
        assert!(otlp.stop(LIMIT).await);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("news") && !text.contains("web") && !text.contains("sgwarden."), "{filter}: {text}");
        // The audit target is shown whatever the filter says; the log's own span is not.
        assert_eq!(text.contains("shop"), filter != "off", "{filter}: {text}");
        let all = collector.spans();
        assert_eq!((all.len(), trace_id(&all[0])), (1, format!("{:032x}", 7)), "{filter}");
        assert!(all[0].parent_span_id.is_empty(), "{filter}");
    }
}

#[tokio::test]
async fn who_sends_is_said_and_called_sgwarden_if_nobody_says_otherwise() {
    let collector = Collector::well();
    let otlp = start(&collector);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(otlp.layer()), || drop(call()));
    assert!(otlp.stop(LIMIT).await);
    let resource = collector.requests.lock().unwrap()[0].resource_spans[0].resource.clone().unwrap();
    let text = format!("{:?}", resource.attributes);
    assert!(
        text.contains("service.name") && text.contains("StringValue(\"sgwarden\")") && text.contains("service.version"),
        "{text}"
    );
    assert!(!text.contains("unknown_service"), "{text}");
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_nobody_and_what_is_lost_is_counted() {
    let collector = Collector::answering(StatusCode::OK, 0);
    let otlp = start(&collector);
    let metrics = otlp.metrics();
    let some = MOST_WAITING + 3 * BATCH;
    // Were one of these to wait for the collector, it would wait for ever: the collector has no answer yet.
    tracing::subscriber::with_default(tracing_subscriber::registry().with(otlp.layer()), || (0..some).for_each(|_| drop(call())));
    let dropped = counted(&metrics, "spans_dropped_total{reason=\"queue_full\"}");
    assert!((2 * BATCH..=3 * BATCH).contains(&dropped), "{dropped}");
    assert_eq!(counted(&metrics, "spans_sent_total"), 0);
    collector.answers.add_permits(Semaphore::MAX_PERMITS / 2);
    assert!(otlp.stop(LIMIT).await);
    assert_eq!(collector.spans().len(), some - dropped);
    assert_eq!(counted(&metrics, "spans_sent_total"), some - dropped);
}

#[tokio::test]
async fn a_collector_that_refuses_loses_what_it_was_sent() {
    let collector = Collector::answering(StatusCode::FORBIDDEN, Semaphore::MAX_PERMITS);
    let otlp = start(&collector);
    let metrics = otlp.metrics();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(otlp.layer()), || (0..3).for_each(|_| drop(call())));
    otlp.stop(LIMIT).await;
    assert_eq!(counted(&metrics, "spans_dropped_total{reason=\"not_taken\"}"), 3);
    assert_eq!(collector.tries.load(Ordering::Relaxed), 1, "what is refused for good is not sent again");
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_collector_that_hangs() {
    let collector = Collector::answering(StatusCode::OK, 0);
    let otlp = start(&collector);
    let layer = otlp.layer();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || drop(call()));
    let stopped = tokio::time::timeout(LIMIT, otlp.stop(Duration::from_millis(50))).await.expect("it stops");
    assert!(!stopped, "there was no answer");
    collector.answers.add_permits(1);
}

#[test]
fn a_trace_id_is_for_one_trace_only() {
    use opentelemetry::trace::TraceId;
    use opentelemetry_sdk::trace::IdGenerator;
    let ids = PassIds::default();
    let told = TraceId::from(7_u128);
    assert_eq!(ids::with_trace_id(Some(told), || ids.new_trace_id()), told);
    assert_ne!(ids.new_trace_id(), told);
    // The library asks for none once it was shut down.
    ids::with_trace_id(Some(told), || ());
    assert_ne!(ids.new_trace_id(), told);
}
