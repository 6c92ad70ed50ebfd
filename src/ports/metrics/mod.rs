//! What the engine tells about itself: counts, times, and whether it is alive and ready. One struct a subsystem, made once
//! by `cli`, handed in and cheap to clone; there are no globals.
//!
//! Entry points: [`Metrics`], [`metered`] (decorators of the EC2 ports that count calls), [`Health`] (for the probes).
//!
//! Names are those of controller-runtime behind our own prefix, so that its dashboards serve by search and replace.
//! prometheus-client appends `_total`, `_info` and the unit itself, hence the shorter names below.
//!
//! Invariant: every label value is a `&'static str` or comes from a closed enum, but for the two of [`Place`], an `AwsAccount`'s name
//! and a Region, and the name of a `Notifier`: these the platform team writes, and their series go when they do. No ids, addresses or messages of AWS, and
//! nothing that namespaces write, ever become labels, so the number of series is bounded.

mod drift;
mod events;
mod health;
pub mod metered;
mod notify;
mod region;
mod status;
#[cfg(test)]
mod tests;
mod traces;

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use drift::{DriftMetrics, Naming};
pub use events::EventMetrics;
pub use health::{Health, Need};
pub use notify::{DeliveryFailure, DeliveryKind, NotifyMetrics};
pub use region::{Place, Priority, RegionMetrics, SweepKind};
pub use status::{StatusMetrics, StatusWrite};
pub use traces::{SpanLoss, TraceMetrics};

use crate::ports::clock::Clock;

/// The prefix of every name.
const PREFIX: &str = "sgwarden";

/// A histogram for each label set, made with the buckets its function knows.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All subsystems' metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Reconciles and their outcomes.
    pub reconcile: ReconcileMetrics,
    /// Drift found and put right.
    pub drift: DriftMetrics,
    /// What `CloudTrail` tells.
    pub events: EventMetrics,
    /// Calls to EC2.
    pub ec2: Ec2Metrics,
    /// How fresh each Region's picture is, and how long calls wait for their turn.
    pub region: RegionMetrics,
    /// The audit trail.
    pub audit: AuditMetrics,
    /// Who leads.
    pub leader: LeaderMetrics,
    /// Messages to people.
    pub notify: NotifyMetrics,
    /// Status writes.
    pub status: StatusMetrics,
    /// Spans on their way to a collector.
    pub traces: TraceMetrics,
}

impl Metrics {
    /// Registers every metric, and which build this is.
    pub fn register(&self, registry: &mut Registry) {
        self.reconcile.register(registry);
        self.drift.register(registry);
        self.events.register(registry);
        self.ec2.register(registry);
        self.region.register(registry);
        self.audit.register(registry);
        self.leader.register(registry);
        self.notify.register(registry);
        self.status.register(registry);
        self.traces.register(registry);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The build that is running", build);
    }

    /// A registry with our prefix that holds all of these metrics, ready to be served.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        self.register(&mut registry);
        registry
    }
}

/// How one reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The group is as declared, or is reported as it should be.
    Success,
    /// Something failed; it is tried again after a pause.
    Error,
    /// Nothing failed, but it is not done: it waits for EC2 or for another object.
    Requeue,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    operation: &'static str,
    code: &'static str,
}

/// Reconciles and their outcomes.
#[derive(Clone, Debug)]
pub struct ReconcileMetrics {
    total: Family<OutcomeLabel, Counter>,
    errors: Family<ClassLabel, Counter>,
    panics: Counter,
    time: Histogram,
    active: Gauge,
    managed: Gauge,
    invalid: Gauge,
    restrained: Family<ReasonLabel, Gauge>,
    last_success: Gauge,
}

impl Default for ReconcileMetrics {
    fn default() -> Self {
        let total = Family::<OutcomeLabel, Counter>::default();
        // A series that appears with its first failure has no rate for that failure: the series start at zero instead.
        for result in <Outcome as strum::IntoEnumIterator>::iter() {
            drop(total.get_or_create(&OutcomeLabel { result }));
        }
        Self {
            total,
            errors: Family::default(),
            panics: Counter::default(),
            // From a pass without a call to one that waits out EC2's visibility: up to Timings.reconcile_limit.
            time: Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0]),
            active: Gauge::default(),
            managed: Gauge::default(),
            invalid: Gauge::default(),
            restrained: Family::default(),
            last_success: Gauge::default(),
        }
    }
}

impl ReconcileMetrics {
    /// Notes that a worker has begun; it counts as active until the returned guard is dropped, after a panic too.
    pub fn begin(&self, clock: &Clock) -> Working {
        self.active.inc();
        Working { metrics: self.clone(), clock: clock.clone(), since: clock.instant() }
    }

    /// Counts an error by its class: an [`ErrorClass`](crate::ports::cloud::ErrorClass) of EC2 by name, or the engine's own.
    pub fn error(&self, class: &'static str) {
        self.errors.get_or_create(&ClassLabel { class }).inc();
    }

    /// Counts a panic that was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Sets how many groups are managed.
    pub fn managed_groups(&self, count: usize) {
        self.managed.set(gauge_value(count));
    }

    /// Sets how many objects cannot be read.
    pub fn invalid_objects(&self, count: usize) {
        self.invalid.set(gauge_value(count));
    }

    /// Sets how many groups something holds back, by what it is.
    pub fn restrained_groups(&self, reason: &'static str, count: usize) {
        self.restrained.get_or_create(&ReasonLabel { reason }).set(gauge_value(count));
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reconcile", "Reconciles by how they ended", self.total.clone());
        registry.register("reconcile_errors", "Failed reconciles by class of error", self.errors.clone());
        registry.register("reconcile_panics", "Reconciles that panicked", self.panics.clone());
        registry.register_with_unit("reconcile_time", "How long a reconcile took", Unit::Seconds, self.time.clone());
        registry.register("active_workers", "Reconciles running now", self.active.clone());
        registry.register("managed_groups", "Security groups that are managed", self.managed.clone());
        registry.register("invalid_objects", "SecurityGroup objects that cannot be read", self.invalid.clone());
        registry.register("restrained_groups", "Groups that something holds back, by what it is", self.restrained.clone());
        registry.register_with_unit(
            "last_successful_reconcile_timestamp",
            "When a reconcile last succeeded, in Unix time",
            Unit::Seconds,
            self.last_success.clone(),
        );
    }
}

/// A reconcile that is running.
#[derive(Debug)]
#[must_use = "the worker counts as active for as long as this is held"]
pub struct Working {
    metrics: ReconcileMetrics,
    clock: Clock,
    since: tokio::time::Instant,
}

impl Working {
    /// Counts the reconcile by how it ended.
    pub fn end(self, result: Outcome) {
        self.metrics.total.get_or_create(&OutcomeLabel { result }).inc();
        match result {
            Outcome::Success => {
                self.metrics.last_success.set(self.clock.now().as_second());
            }
            Outcome::Error | Outcome::Requeue => {}
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.metrics.active.dec();
        self.metrics.time.observe(self.since.elapsed().as_secs_f64());
    }
}

/// Calls to EC2, counted by the decorators in [`metered`].
#[derive(Clone, Debug)]
pub struct Ec2Metrics {
    requests: Family<CallLabel, Counter>,
    duration: Histograms<OperationLabel>,
    throttles: Counter,
}

impl Default for Ec2Metrics {
    fn default() -> Self {
        Self { requests: Family::default(), duration: Family::new_with_constructor(call_histogram), throttles: Counter::default() }
    }
}

impl Ec2Metrics {
    /// Counts one call of a port. `code` must be of the closed list of [`metered::code_label`].
    pub(crate) fn called(&self, operation: &'static str, code: &'static str, took: Duration) {
        self.requests.get_or_create(&CallLabel { operation, code }).inc();
        self.duration.get_or_create(&OperationLabel { operation }).observe(took.as_secs_f64());
    }

    /// Counts a call that EC2 throttled.
    pub(crate) fn throttled(&self) {
        self.throttles.inc();
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("ec2_requests", "Calls to EC2 by operation and answer; a paged read is one call", self.requests.clone());
        registry.register_with_unit("ec2_request_duration", "How long a call to EC2 took", Unit::Seconds, self.duration.clone());
        registry.register("ec2_throttles", "Calls that EC2 throttled", self.throttles.clone());
    }
}

/// The audit trail.
#[derive(Clone, Debug, Default)]
pub struct AuditMetrics {
    errors: Counter,
}

impl AuditMetrics {
    /// Counts a record that could not be kept.
    pub fn error(&self) {
        self.errors.inc();
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("audit_errors", "Change records that could not be kept", self.errors.clone());
    }
}

/// Who leads.
#[derive(Clone, Debug, Default)]
pub struct LeaderMetrics {
    leading: Gauge,
}

impl LeaderMetrics {
    /// Sets whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("leader", "1 while this replica leads, 0 while it stands by", self.leading.clone());
    }
}

fn call_histogram() -> Histogram {
    // From a call in the same Region to the longest a paged read may take.
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0])
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counter_value(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
