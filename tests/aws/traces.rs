//! What a collector gets of `sgwarden run`, and that a collector which is not there changes nothing.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::command::{Standing, VPC};
use crate::events::{is_ready, keep, open_ssh, state, until};
use crate::servers::collector::{Collector, attribute, below, root};

/// Longer than a collector that does not answer is waited for at the end, and what is under way besides.
const END: Duration = Duration::from_secs(20);

/// The status of the one group.
fn status(folder: &Path, wanted: fn(&Value) -> bool) -> Option<Value> {
    let objects = state(&folder.join("state")).into_iter();
    objects.map(|object| object.get("status").cloned().unwrap_or(object)).find(wanted)
}

/// Has an edit made and waits until it was put right: the drift record.
async fn drift(folder: &Path, standing: &Standing) -> Value {
    let group = until("the group is there", async || status(folder, is_ready)).await["groupId"].as_str().unwrap().to_owned();
    open_ssh(standing, &group).await;
    let reverted = |status: &Value| status["drift"][0]["resolution"] == "Reverted";
    until("it is put right", async || status(folder, reverted)).await["drift"][0].clone()
}

fn audited(path: &Path, operation: &str) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.into_iter().find(|record| record["operation"] == operation && record["phase"] == "Outcome").expect("a record")
}

/// Blocks while the process ends, and the collector must not.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_in_status_and_audit_finds_the_trace_down_to_each_request() {
    let collector = Collector::start().await;
    let (folder, home, sim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let standing = Standing::start(sim.path(), &["--vpc", VPC]);
    let audit = folder.path().join("audit.jsonl");
    let endpoint = format!("http://{}", collector.address);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2,x-scope-orgid=shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=blue"),
    ];
    let more = ["--sweep", "1", "--audit-file", audit.to_str().unwrap(), "--log", "trace"];
    let run = keep(folder.path(), home.path(), &standing, &more, &settings);
    let drift = drift(folder.path(), &standing).await;
    let log = run.log();
    assert_eq!(run.terminate(END).unwrap(), 0, "{log}");

    let revoke = audited(&audit, "RevokeSecurityGroupIngress");
    assert_eq!(revoke["traceId"], drift["traceId"]);
    let spans = collector.spans();
    let pass = root(&spans, drift["traceId"].as_str().unwrap());
    assert_eq!(attribute(pass, "sgwarden.object.name").as_deref(), Some("web"));
    let calls = below(&spans, pass);
    let call = calls.iter().find(|span| span.name == "EC2/RevokeSecurityGroupIngress").expect("the call");
    assert_eq!(attribute(call, "aws.request_id").as_deref(), revoke["outcome"]["awsRequestId"].as_str());
    // Reads do not go into the audit trail: the SDK's answer is the one place that knows their ids.
    let reads: Vec<_> = spans.iter().filter(|span| span.name.starts_with("EC2/Describe")).collect();
    assert!(!reads.is_empty() && reads.iter().all(|read| attribute(read, "aws.request_id").is_some()), "{reads:#?}");

    for headers in collector.headers() {
        assert_eq!(
            (&headers["authorization"], &headers["x-scope-orgid"]),
            (&"Bearer hunter2".parse().unwrap(), &"shop".parse().unwrap())
        );
    }
    assert!(log.contains("traces are sent") && !log.contains("hunter2"), "{log}");
    assert!(!log.contains("otel.") && !log.contains("status write"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_holds_up_neither_the_work_nor_the_end() {
    let (folder, home, sim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let standing = Standing::start(sim.path(), &["--vpc", VPC]);
    // It takes connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", deaf.local_addr().unwrap());
    let run = keep(folder.path(), home.path(), &standing, &["--sweep", "1", "--otlp-endpoint", &endpoint], &[]);
    drift(folder.path(), &standing).await;
    let asked = tokio::time::Instant::now();
    let (log, code) = (run.log(), run.terminate(END).unwrap());
    assert_eq!(code, 0, "{log}");
    assert!(asked.elapsed() < END, "it ended by itself");
    assert!(log.matches("the collector does not take traces").count() <= 1, "{log}");
}
