//! The spans of a trace: from why a pass runs to each of its calls, with the id by which AWS knows the call. Plain `tracing`;
//! `adapters::telemetry` sends them where an operator asks for it, and where nobody does a span costs a look at a flag.
//!
//! Entry points: [`pass`], [`call`] and the other spans; [`answered`] and [`failed`] say how the current one ended.
//!
//! A field is called as OpenTelemetry's semantic conventions call it, where they do; three are no attributes but say what the span
//! itself is: [`NAME`], [`KIND`] and [`TRACE_ID`].
//!
//! Invariant: the log does not show these spans. What is said in both places is said twice.

use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::core::model::{AccountId, Region, SecurityGroupId};
use crate::ports::objects::Key;

/// The target of every span, and of nothing else.
pub const TARGET: &str = "spans";

/// The field that has the name of a span whose name is not fixed.
pub const NAME: &str = "otel.name";
/// The field that has the kind of a span that is not an internal one.
pub const KIND: &str = "otel.kind";
/// The field that has the id of the trace that a span begins. Without it the id is made up.
pub const TRACE_ID: &str = "sgwarden.trace_id";
/// The field that has why a span failed.
pub const ERROR: &str = "error.type";

/// A pass over one object, the root of its trace. `event`: the `CloudTrail` event that had it begin.
pub fn pass(key: &Key, uid: &str, generation: Option<i64>, trace_id: &str, trigger: &'static str, event: Option<&str>) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "reconcile",
        "sgwarden.trace_id" = trace_id,
        "k8s.namespace.name" = key.namespace,
        "sgwarden.object.name" = key.name,
        "sgwarden.object.uid" = uid,
        "sgwarden.object.generation" = generation,
        "sgwarden.trigger" = trigger,
        "aws.cloudtrail.event_id" = event,
        "cloud.account.id" = Empty,
        "cloud.region" = Empty,
        "aws.ec2.security_group.id" = Empty,
        "sgwarden.outcome" = Empty,
        "error.type" = Empty,
    )
}

/// A sweep over the groups of a Region, the root of its trace.
pub fn sweep(kind: &'static str, account: &AccountId, region: &Region) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "sweep",
        "sgwarden.sweep" = kind,
        "cloud.account.id" = account.as_str(),
        "cloud.region" = region.as_str(),
        "error.type" = Empty,
    )
}

/// A read that several wait for. It is nobody's part, so it begins a trace of its own, to which those who waited are linked.
pub fn shared_read(operation: &'static str, keys: usize) -> Span {
    info_span!(target: TARGET, parent: None, "shared read", "rpc.method" = operation, "sgwarden.keys" = keys)
}

/// The wait for a read that is shared.
pub fn wait_for_read(operation: &'static str) -> Span {
    info_span!(target: TARGET, "wait for shared read", "rpc.method" = operation)
}

/// One call to AWS.
pub fn call(service: &'static str, operation: &'static str, account: &AccountId, region: &Region) -> Span {
    info_span!(
        target: TARGET,
        "call",
        "otel.name" = %format_args!("{service}/{operation}"),
        "otel.kind" = "client",
        "rpc.system" = "aws-api",
        "rpc.service" = service,
        "rpc.method" = operation,
        "cloud.account.id" = account.as_str(),
        "cloud.region" = region.as_str(),
        "aws.request_id" = Empty,
        "error.type" = Empty,
    )
}

/// A write of an object's status.
pub fn status_write() -> Span {
    info_span!(target: TARGET, "status write", "otel.kind" = "client", "error.type" = Empty)
}

/// The pass is about groups of this account and Region.
pub fn is_in(account: &AccountId, region: &Region) {
    Span::current().record("cloud.account.id", account.as_str()).record("cloud.region", region.as_str());
}

/// The pass is about this group.
pub fn is_of(group: &SecurityGroupId) {
    Span::current().record("aws.ec2.security_group.id", group.as_str());
}

/// The pass ended like this.
pub fn ended(outcome: &'static str) {
    Span::current().record("sgwarden.outcome", outcome);
}

/// AWS has this id for the current call. Where it took several requests, the last one's stays.
pub fn answered(request_id: Option<&str>) {
    if let Some(id) = request_id {
        Span::current().record("aws.request_id", id);
    }
}

/// What the current span is about failed: AWS's code, or a word of our own.
pub fn failed(why: &str) {
    Span::current().record("error.type", why);
}
