//! Status writes of `SecurityGroup` objects: how many there are, as they cost the apiserver, and how they end.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How one status write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum StatusWrite {
    /// It is stored.
    Success,
    /// The object had changed or gone meanwhile; usual, and it is tried again if there is still an object.
    Conflict,
    /// The store refused it or did not answer.
    Error,
}

impl EncodeLabelValue for StatusWrite {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name: &'static str = self.into();
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    result: StatusWrite,
}

/// Status writes.
#[derive(Clone, Debug)]
pub struct StatusMetrics {
    writes: Family<WriteLabel, Counter>,
}

impl Default for StatusMetrics {
    fn default() -> Self {
        let writes = Family::<WriteLabel, Counter>::default();
        for result in <StatusWrite as strum::IntoEnumIterator>::iter() {
            drop(writes.get_or_create(&WriteLabel { result }));
        }
        Self { writes }
    }
}

impl StatusMetrics {
    /// Counts a write by how it ended.
    pub fn wrote(&self, result: StatusWrite) {
        self.writes.get_or_create(&WriteLabel { result }).inc();
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("status_writes", "Writes of the status of SecurityGroups by how they ended", self.writes.clone());
    }
}
