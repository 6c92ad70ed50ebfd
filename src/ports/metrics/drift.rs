//! Drift: how much is found, how much is put right and how fast, and of how much it is known who made it.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{counter_value, gauge_value};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamingLabel {
    result: Naming,
}

/// Whether it came out who made an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Naming {
    /// An event of `CloudTrail` told.
    Named,
    /// None did in time; one that comes later still counts as named.
    Unknown,
}

impl EncodeLabelValue for Naming {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

/// Drift found and put right.
#[derive(Clone, Debug)]
pub struct DriftMetrics {
    detected: Family<KindLabel, Counter>,
    reverted: Family<KindLabel, Counter>,
    time_to_revert: Histogram,
    drifted: Gauge,
    attributions: Family<NamingLabel, Counter>,
}

impl Default for DriftMetrics {
    fn default() -> Self {
        let attributions = Family::<NamingLabel, Counter>::default();
        for result in <Naming as strum::IntoEnumIterator>::iter() {
            drop(attributions.get_or_create(&NamingLabel { result }));
        }
        Self {
            detected: Family::default(),
            reverted: Family::default(),
            // From one call to EC2 to a restore that a war puts off; reverts of a group that cannot be written take hours.
            time_to_revert: Histogram::new([0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0]),
            drifted: Gauge::default(),
            attributions,
        }
    }
}

impl DriftMetrics {
    /// Makes the series of these kinds exist from the start, at zero, so that a first drift has a rate.
    pub fn announce(&self, kinds: impl IntoIterator<Item = &'static str>) {
        for kind in kinds {
            drop(self.detected.get_or_create(&KindLabel { kind }));
            drop(self.reverted.get_or_create(&KindLabel { kind }));
        }
    }

    /// Counts drift that was seen for the first time.
    pub fn detected(&self, kind: &'static str, count: usize) {
        self.detected.get_or_create(&KindLabel { kind }).inc_by(counter_value(count));
    }

    /// Counts drift that was put right.
    pub fn reverted(&self, kind: &'static str, count: usize) {
        self.reverted.get_or_create(&KindLabel { kind }).inc_by(counter_value(count));
    }

    /// Notes how long after it was seen an edit was put right.
    pub fn reverted_after(&self, time: Duration) {
        self.time_to_revert.observe(time.as_secs_f64());
    }

    /// Counts an edit by whether it is known who made it.
    pub fn attributed(&self, result: Naming) {
        self.attributions.get_or_create(&NamingLabel { result }).inc();
    }

    /// Sets how many groups differ from what is vouched for.
    pub fn drifted_groups(&self, count: usize) {
        self.drifted.set(gauge_value(count));
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("drift_detected", "Unauthorized differences found, by kind", self.detected.clone());
        registry.register("drift_reverted", "Unauthorized differences put right, by kind", self.reverted.clone());
        registry.register_with_unit(
            "drift_time_to_revert",
            "From seeing an edit to having put it right",
            Unit::Seconds,
            self.time_to_revert.clone(),
        );
        registry.register("drifted_groups", "Security groups that differ from what is vouched for", self.drifted.clone());
        registry.register("attributions", "Edits by whether it is known who made them", self.attributions.clone());
    }
}
