//! How fresh each Region's picture of its groups is, and how long calls wait for their turn.

use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Histograms, Outcome, gauge_value};

/// A Region of an `AwsAccount`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Place {
    /// The name of the `AwsAccount`.
    pub account: String,
    /// The Region's code.
    pub region: String,
}

/// What a sweep looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum SweepKind {
    /// What the groups allow.
    Usual,
    /// Their rules with ids.
    Deep,
}

/// Why a call waits for a token, the most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// It takes away what nobody declared.
    Revert,
    /// It makes a group as declared.
    Change,
    /// It only looks.
    Read,
}

impl EncodeLabelValue for SweepKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

impl EncodeLabelValue for Priority {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabel {
    account: String,
    region: String,
    kind: SweepKind,
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimeLabel {
    kind: SweepKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabel {
    priority: Priority,
}

/// Sweeps and lanes of all accounts and Regions.
#[derive(Clone, Debug)]
pub struct RegionMetrics {
    sweeps: Family<SweepLabel, Counter>,
    time: Histograms<TimeLabel>,
    last: Family<Place, Gauge>,
    groups: Family<Place, Gauge>,
    unmanaged: Family<Place, Gauge>,
    stale: Family<Place, Gauge>,
    waits: Histograms<WaitLabel>,
}

impl Default for RegionMetrics {
    fn default() -> Self {
        Self {
            sweeps: Family::default(),
            // From a Region with one group to one with ten thousand behind a slow lane: up to Timings.sweep_limit.
            time: Family::new_with_constructor(|| {
                Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0])
            }),
            last: Family::default(),
            groups: Family::default(),
            unmanaged: Family::default(),
            stale: Family::default(),
            // From no wait to a lane that EC2 throttled to a crawl.
            waits: Family::new_with_constructor(|| Histogram::new([0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0])),
        }
    }
}

impl RegionMetrics {
    /// Counts and times a sweep by how it ended.
    pub fn sweep_ended(&self, place: &Place, kind: SweepKind, succeeded: bool, took: Duration) {
        // Both series exist from the first sweep on, so that a first failure has a rate.
        for (result, counts) in [(Outcome::Success, succeeded), (Outcome::Error, !succeeded)] {
            self.sweeps.get_or_create(&label(place, kind, result)).inc_by(u64::from(counts));
        }
        self.time.get_or_create(&TimeLabel { kind }).observe(took.as_secs_f64());
    }

    /// Notes that all groups were looked at: when the look began, how many there were, and how many of ours nobody manages.
    pub fn swept(&self, place: &Place, began: Timestamp, groups: usize, unmanaged: usize) {
        self.last.get_or_create(place).set(began.as_second());
        self.groups.get_or_create(place).set(gauge_value(groups));
        self.unmanaged.get_or_create(place).set(gauge_value(unmanaged));
    }

    /// Notes how many stale rules a deep sweep saw in the groups that are managed.
    pub fn stale_rules(&self, place: &Place, rules: usize) {
        self.stale.get_or_create(place).set(gauge_value(rules));
    }

    /// Takes away the series of a Region that is no longer looked after: a time that stands still would raise an alarm.
    pub fn forget(&self, place: &Place) {
        for family in [&self.last, &self.groups, &self.unmanaged, &self.stale] {
            family.remove(place);
        }
        for kind in <SweepKind as strum::IntoEnumIterator>::iter() {
            for result in <Outcome as strum::IntoEnumIterator>::iter() {
                self.sweeps.remove(&label(place, kind, result));
            }
        }
    }

    /// Notes how long a call waited for its token.
    pub fn waited(&self, priority: Priority, waited: Duration) {
        self.waits.get_or_create(&WaitLabel { priority }).observe(waited.as_secs_f64());
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit("ec2_lane_wait", "How long calls to EC2 waited for a token", Unit::Seconds, self.waits.clone());
        registry.register_with_unit(
            "last_sweep_timestamp",
            "When all groups were last looked at, in Unix time",
            Unit::Seconds,
            self.last.clone(),
        );
        registry.register("sweeps", "Looks at all groups, by how they ended", self.sweeps.clone());
        registry.register_with_unit("sweep_time", "How long a sweep took", Unit::Seconds, self.time.clone());
        registry.register("swept_groups", "Groups the last sweep saw", self.groups.clone());
        registry.register("unmanaged_groups", "Groups with our tag that belong to no object", self.unmanaged.clone());
        registry.register("stale_rules", "Rules of managed groups whose group is deleted or out of reach", self.stale.clone());
    }
}

fn label(place: &Place, kind: SweepKind, result: Outcome) -> SweepLabel {
    let Place { account, region } = place.clone();
    SweepLabel { account, region, kind, result }
}
