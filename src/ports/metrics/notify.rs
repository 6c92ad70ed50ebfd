//! How messages get to people: sent, failed, and what waits.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use strum::IntoEnumIterator;

use super::{counter_value, gauge_value};

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryKind {
    /// One notice.
    Notice,
    /// Several that were held back.
    Digest,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryFailure {
    /// Nobody answers, or not now.
    Unavailable,
    /// The sink takes nothing from us.
    Refused,
    /// The sink does not take this message.
    Message,
    /// A secret is not there.
    Secret,
}

impl EncodeLabelValue for DeliveryKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

impl EncodeLabelValue for DeliveryFailure {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NotifierLabel {
    notifier: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SentLabel {
    notifier: String,
    kind: DeliveryKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabel {
    notifier: String,
    reason: DeliveryFailure,
}

/// Messages of each notifier. Their names are the platform team's, and their series go when they do.
#[derive(Clone, Debug, Default)]
pub struct NotifyMetrics {
    messages: Family<SentLabel, Counter>,
    notices: Family<NotifierLabel, Counter>,
    failures: Family<FailureLabel, Counter>,
    waiting: Family<NotifierLabel, Gauge>,
    oldest: Family<NotifierLabel, Gauge>,
}

impl NotifyMetrics {
    /// Counts a message that was taken, and what was in it.
    pub fn sent(&self, notifier: &str, kind: DeliveryKind, notices: usize) {
        self.messages.get_or_create(&SentLabel { notifier: notifier.to_owned(), kind }).inc();
        self.notices.get_or_create(&label(notifier)).inc_by(counter_value(notices));
    }

    /// Counts an attempt that came to nothing.
    pub fn failed(&self, notifier: &str, reason: DeliveryFailure) {
        self.failures.get_or_create(&FailureLabel { notifier: notifier.to_owned(), reason }).inc();
    }

    /// Sets how much waits, and for how long the oldest of it.
    pub fn waiting(&self, notifier: &str, count: usize, oldest: Duration) {
        // Series that appear with their first failure have no rate for it.
        for reason in DeliveryFailure::iter() {
            drop(self.failures.get_or_create(&FailureLabel { notifier: notifier.to_owned(), reason }));
        }
        self.waiting.get_or_create(&label(notifier)).set(gauge_value(count));
        self.oldest.get_or_create(&label(notifier)).set(i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX));
    }

    /// Takes away the series of a notifier that is gone.
    pub fn forget(&self, notifier: &str) {
        for kind in DeliveryKind::iter() {
            self.messages.remove(&SentLabel { notifier: notifier.to_owned(), kind });
        }
        for reason in DeliveryFailure::iter() {
            self.failures.remove(&FailureLabel { notifier: notifier.to_owned(), reason });
        }
        self.notices.remove(&label(notifier));
        self.waiting.remove(&label(notifier));
        self.oldest.remove(&label(notifier));
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("notifier_messages", "Messages that were taken, by notifier", self.messages.clone());
        registry.register("notifier_notices", "Notices in them, by notifier", self.notices.clone());
        registry.register("notifier_failures", "Attempts to send that came to nothing, by reason", self.failures.clone());
        registry.register("notifier_waiting", "Notices that wait to be sent", self.waiting.clone());
        registry.register_with_unit("notifier_oldest_waiting", "Age of the oldest of them", Unit::Seconds, self.oldest.clone());
    }
}

fn label(notifier: &str) -> NotifierLabel {
    NotifierLabel { notifier: notifier.to_owned() }
}
