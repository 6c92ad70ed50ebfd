//! Traces as a collector gets them: over a real connection, from passes over the stand-in.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::runtime::{Builder, Runtime};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

use sgwarden::adapters::notify::Http;
use sgwarden::adapters::sim::Fault;
use sgwarden::adapters::telemetry::otlp::{Otlp, Settings};
use sgwarden::core::audit::{ChangeRecord, Phase};
use sgwarden::ports::clock::Clock;

use crate::collector::{Collector, attribute, below, root};
use crate::rig::{Rig, manifest, tcp};

const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";

/// A collector, and what sends to it, on a runtime of their own, whose time is the real one.
struct Listener {
    runtime: Runtime,
    collector: Collector,
    otlp: Otlp,
}

impl Listener {
    async fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let started = runtime.spawn(async {
            let collector = Collector::start().await;
            let settings = Settings { endpoint: format!("http://{}/v1/traces", collector.address) };
            let otlp = Otlp::start(&settings, Arc::new(Http::default()), &Clock::system()).unwrap();
            (collector, otlp)
        });
        let (collector, otlp) = started.await.unwrap();
        Self { runtime, collector, otlp }
    }

    /// Has the engine of this thread make spans for it until what is returned is dropped.
    fn listen(&self) -> DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.otlp.layer()))
    }

    /// All it got. The engine has to have stopped: a span is sent when it has ended.
    async fn spans(self) -> Vec<Span> {
        let Self { runtime, collector, otlp } = self;
        assert!(otlp.stop(Duration::from_secs(10)).await, "all is sent");
        runtime.shutdown_background();
        collector.spans()
    }
}

fn outcomes(rig: &Rig, operation: &str) -> Vec<ChangeRecord> {
    rig.audit.all().into_iter().filter(|record| record.phase == Phase::Outcome && record.operation == operation).collect()
}

async fn kept(rig: &Rig, name: &str) {
    rig.store.apply(&manifest(name, &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.settled(name).await;
}

async fn reverted(rig: &Rig, name: &str) {
    rig.until("it is reverted", |rig| {
        let status = rig.store.get(name).and_then(|object| object.status).unwrap_or_default();
        status.drift.iter().any(|record| record.resolved_at.is_some())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_trace_of_a_drift_goes_from_the_pass_to_the_call_that_put_it_right() {
    let listener = Listener::start().await;
    let listening = listener.listen();
    let mut rig = Rig::start().await;
    kept(&rig, "web").await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    reverted(&rig, "web").await;
    rig.stop_engine().await;
    let drift = rig.store.get("web").unwrap().status.unwrap().drift.remove(0);
    let revoke = outcomes(&rig, "RevokeSecurityGroupIngress").remove(0);
    let group = rig.group("web").to_string();
    let spans = listener.spans().await;
    drop(listening);

    assert_eq!(drift.trace_id.as_deref(), Some(revoke.trace_id.as_str()));
    let pass = root(&spans, &revoke.trace_id);
    assert_eq!(pass.name, "reconcile");
    for (name, value) in [
        ("k8s.namespace.name", "shop"),
        ("sgwarden.object.name", "web"),
        ("sgwarden.object.generation", "1"),
        ("sgwarden.trigger", "sweep"),
        ("cloud.account.id", revoke.account.as_str()),
        ("cloud.region", "eu-west-1"),
        ("aws.ec2.security_group.id", group.as_str()),
        ("sgwarden.outcome", "success"),
    ] {
        assert_eq!(attribute(pass, name).as_deref(), Some(value), "{name}: {pass:#?}");
    }
    assert_eq!(attribute(pass, "error.type"), None);

    let children = below(&spans, pass);
    let call = children.iter().find(|span| span.name == "EC2/RevokeSecurityGroupIngress").expect("the call");
    assert_eq!(call.kind, i32::from(SpanKind::Client));
    assert_eq!(attribute(call, "aws.request_id"), revoke.outcome.unwrap().aws_request_id);
    assert_eq!(attribute(call, "rpc.system").as_deref(), Some("aws-api"));
    assert_eq!(attribute(call, "rpc.method").as_deref(), Some("RevokeSecurityGroupIngress"));
    assert!(children.iter().any(|span| span.name == "status write"), "{children:#?}");

    let wait = children.iter().find(|span| span.name == "wait for shared read").expect("a wait");
    let read = spans.iter().find(|span| span.span_id == wait.links[0].span_id).expect("what was waited for");
    assert_eq!((read.name.as_str(), &read.parent_span_id[..]), ("shared read", &[][..]));
    assert_ne!(read.trace_id, pass.trace_id, "it is nobody's part");
    assert!(below(&spans, read)[0].name.starts_with("EC2/Describe"), "{read:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_an_event_began_names_the_event() {
    let listener = Listener::start().await;
    let listening = listener.listen();
    let mut rig = Rig::idle().await;
    rig.listen();
    // Longer than the event takes.
    rig.timings.sweep = Duration::from_secs(900);
    rig.start_engine();
    kept(&rig, "web").await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    reverted(&rig, "web").await;
    rig.until("somebody is named", |rig| rig.store.get("web").unwrap().status.unwrap().drift[0].actor.is_some()).await;
    rig.stop_engine().await;
    let drift = rig.store.get("web").unwrap().status.unwrap().drift.remove(0);
    let spans = listener.spans().await;
    drop(listening);
    let pass = root(&spans, drift.trace_id.as_deref().unwrap());
    assert_eq!(attribute(pass, "sgwarden.trigger").as_deref(), Some("event"));
    assert_eq!(attribute(pass, "aws.cloudtrail.event_id"), drift.actor.unwrap().event_id);
}

#[tokio::test(start_paused = true)]
async fn passes_at_the_same_time_have_their_own_traces() {
    let listener = Listener::start().await;
    let listening = listener.listen();
    let mut rig = Rig::start().await;
    let names: Vec<String> = (0..20).map(|n| format!("web-{n}")).collect();
    for name in &names {
        rig.store.apply(&manifest(name, &[&tcp("https", 443, "0.0.0.0/0")]));
    }
    for name in &names {
        rig.settled(name).await;
    }
    rig.stop_engine().await;
    let spans = listener.spans().await;
    drop(listening);
    for name in &names {
        let object = format!("shop/{name}");
        let records: Vec<ChangeRecord> =
            rig.audit.all().into_iter().filter(|record| record.phase == Phase::Outcome && record.object == object).collect();
        assert!(records.len() >= 2, "{name} was created and got its rules");
        for record in records {
            let pass = root(&spans, &record.trace_id);
            assert_eq!(attribute(pass, "sgwarden.object.name").as_ref(), Some(name));
            let request_id = record.outcome.unwrap().aws_request_id;
            let calls = below(&spans, pass);
            let call = calls.iter().find(|span| attribute(span, "aws.request_id") == request_id).expect("the call of the record");
            assert_eq!(call.name, format!("EC2/{}", record.operation));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_is_a_trace_of_its_own() {
    let listener = Listener::start().await;
    let listening = listener.listen();
    let mut rig = Rig::start().await;
    kept(&rig, "web").await;
    rig.pass(Duration::from_secs(300)).await;
    rig.stop_engine().await;
    let spans = listener.spans().await;
    drop(listening);
    let sweeps: Vec<&Span> = spans.iter().filter(|span| span.name == "sweep").collect();
    assert!(sweeps.len() >= 4, "{}", sweeps.len());
    for sweep in &sweeps[1..] {
        assert!(sweep.parent_span_id.is_empty());
        assert_eq!(attribute(sweep, "sgwarden.sweep").as_deref(), Some("usual"));
        assert_eq!(below(&spans, sweep)[0].name, "EC2/DescribeSecurityGroups");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_says_so_in_the_call_and_in_the_pass_and_the_next_pass_is_a_retry() {
    let listener = Listener::start().await;
    let listening = listener.listen();
    let mut rig = Rig::idle().await;
    let fault = Fault::error("AuthorizeSecurityGroupIngress", "RequestLimitExceeded", 503);
    rig.sim.inject(Fault { times: Some(1), ..fault });
    rig.start_engine();
    kept(&rig, "web").await;
    rig.stop_engine().await;
    let spans = listener.spans().await;
    drop(listening);
    let records = outcomes(&rig, "AuthorizeSecurityGroupIngress");
    let [failed, done] = &records[..] else { panic!("{records:#?}") };
    let code = Some("RequestLimitExceeded");
    let pass = root(&spans, &failed.trace_id);
    assert_eq!((attribute(pass, "error.type").as_deref(), attribute(pass, "sgwarden.outcome").as_deref()), (code, Some("error")));
    let calls = below(&spans, pass);
    let call = calls.iter().find(|span| span.name == "EC2/AuthorizeSecurityGroupIngress").expect("the call");
    assert_eq!(attribute(call, "error.type").as_deref(), code);
    assert_eq!(attribute(call, "aws.request_id"), failed.outcome.as_ref().unwrap().aws_request_id);
    assert_eq!(attribute(root(&spans, &done.trace_id), "sgwarden.trigger").as_deref(), Some("retry"));
}
