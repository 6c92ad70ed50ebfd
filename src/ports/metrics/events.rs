//! What `CloudTrail` tells: how much, how late, and how much of it nobody can read.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::gauge_value;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Events of all queues.
#[derive(Clone, Debug)]
pub struct EventMetrics {
    received: Counter,
    delay: Histogram,
    set_aside: Family<ReasonLabel, Counter>,
    failures: Counter,
    at_work: Gauge,
    denied: Counter,
    misused: Counter,
}

impl Default for EventMetrics {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            // From EventBridge's seconds to CloudTrail's quarter of an hour.
            delay: Histogram::new([0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0]),
            set_aside: Family::default(),
            failures: Counter::default(),
            at_work: Gauge::default(),
            denied: Counter::default(),
            misused: Counter::default(),
        }
    }
}

impl EventMetrics {
    /// Counts an event of an account and Region that are looked after, so long after its call.
    pub fn received(&self, delay: Duration) {
        self.received.inc();
        self.delay.observe(delay.as_secs_f64());
    }

    /// Makes the series of these reasons exist from the start, at zero, so that a first message has a rate.
    pub fn announce(&self, reasons: impl IntoIterator<Item = &'static str>) {
        for reason in reasons {
            drop(self.set_aside.get_or_create(&ReasonLabel { reason }));
        }
    }

    /// Counts a message that is no event for us. `reason` must be of a closed list.
    pub fn set_aside(&self, reason: &'static str) {
        self.set_aside.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts that a queue could not be read.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Sets how many messages are being worked on.
    pub fn at_work(&self, count: usize) {
        self.at_work.set(gauge_value(count));
    }

    /// Counts a call of somebody else on a group of ours that AWS did not allow.
    pub fn denied(&self) {
        self.denied.inc();
    }

    /// Counts a call that somebody else made with our role.
    pub fn misused(&self) {
        self.misused.inc();
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("events_received", "CloudTrail events of the accounts and Regions looked after", self.received.clone());
        registry.register_with_unit("event_delay", "From a call to its event", Unit::Seconds, self.delay.clone());
        registry.register("events_set_aside", "Messages that are no event to act on, by reason", self.set_aside.clone());
        registry.register("event_queue_errors", "Times a queue of events could not be read", self.failures.clone());
        registry.register("events_at_work", "Messages being worked on", self.at_work.clone());
        registry.register("denied_attempts", "Calls of others on our groups that AWS did not allow", self.denied.clone());
        registry.register("own_role_misuse", "Calls on our groups that somebody else made with our role", self.misused.clone());
    }
}
