//! Spans on their way to a collector.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::counter_value;

/// Why a span did not get to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum SpanLoss {
    /// More came than could be sent.
    QueueFull,
    /// The collector did not take it.
    NotTaken,
}

impl EncodeLabelValue for SpanLoss {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossLabel {
    reason: SpanLoss,
}

/// Spans on their way to a collector.
#[derive(Clone, Debug)]
pub struct TraceMetrics {
    sent: Counter,
    lost: Family<LossLabel, Counter>,
}

impl Default for TraceMetrics {
    fn default() -> Self {
        let lost = Family::<LossLabel, Counter>::default();
        for reason in <SpanLoss as strum::IntoEnumIterator>::iter() {
            drop(lost.get_or_create(&LossLabel { reason }));
        }
        Self { sent: Counter::default(), lost }
    }
}

impl TraceMetrics {
    /// Counts spans that the collector took.
    pub fn sent(&self, spans: usize) {
        self.sent.inc_by(counter_value(spans));
    }

    /// Counts spans that are lost.
    pub fn lost(&self, spans: usize, reason: SpanLoss) {
        self.lost.get_or_create(&LossLabel { reason }).inc_by(counter_value(spans));
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("spans_sent", "Spans that the collector of traces took", self.sent.clone());
        registry.register("spans_dropped", "Spans that did not get to the collector of traces, by why", self.lost.clone());
    }
}
