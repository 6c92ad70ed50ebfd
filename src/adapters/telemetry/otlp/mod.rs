//! Traces over OTLP/HTTP: the spans of `ports::spans`, sent to a collector.
//!
//! Entry points: [`Settings`], [`Otlp`]. `layer` makes OpenTelemetry's spans of ours, `ids` gives them the ids that status, audit and
//! alerts have, `queue` bounds and counts what waits, `wire` sends.
//!
//! Invariant: whoever opens or ends a span never waits, and a collector that is slow or gone costs spans and nothing else.
//! Invariant: neither a header of a request nor what a collector says gets into a log.

mod ids;
mod layer;
mod queue;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;

use crate::ports::clock::Clock;
use crate::ports::metrics::TraceMetrics;
use crate::ports::post::Post;

use ids::PassIds;
pub use layer::SpanLayer;
use queue::{Bounded, Counted, Queue};
pub use settings::{Settings, SettingsError};
use wire::{LastFailure, Wire};

/// Spans that may wait, some megabytes. What comes beyond is dropped.
const MOST_WAITING: usize = 4096;
/// Spans a request.
const BATCH: usize = 512;
/// How long a span waits for others to go with.
const DELAY: Duration = Duration::from_secs(2);
/// What the service is called if nobody says otherwise.
const SERVICE: &str = "sgwarden";

/// The exporter cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent")]
pub struct OtlpError(#[source] opentelemetry_otlp::ExporterBuildError);

/// Sends spans, until [`Otlp::stop`].
#[derive(Debug)]
pub struct Otlp {
    provider: SdkTracerProvider,
    metrics: TraceMetrics,
}

impl Otlp {
    /// Sends to where the settings say. Requests are made on the runtime that this is called in.
    pub fn start(settings: &Settings, post: Arc<dyn Post>, clock: &Clock) -> Result<Self, OtlpError> {
        let metrics = TraceMetrics::default();
        let failure = LastFailure::default();
        let wire = Wire { post, runtime: Handle::current(), failure: failure.clone() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(wire)
            .with_endpoint(&settings.endpoint)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(OtlpError)?;
        let queue = Queue::new(MOST_WAITING, metrics.clone());
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MOST_WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let batches = BatchSpanProcessor::new(Counted::new(exporter, queue.clone(), failure, clock.clone()), config);
        let provider = SdkTracerProvider::builder()
            .with_id_generator(PassIds::default())
            .with_resource(resource())
            .with_span_processor(Bounded::new(batches, queue))
            .build();
        Ok(Self { provider, metrics })
    }

    /// What makes spans for it.
    pub fn layer(&self) -> SpanLayer {
        let scope = InstrumentationScope::builder(SERVICE).with_version(env!("CARGO_PKG_VERSION")).build();
        SpanLayer::new(self.provider.tracer_with_scope(scope))
    }

    /// What it counts.
    pub fn metrics(&self) -> TraceMetrics {
        self.metrics.clone()
    }

    /// Sends what waits, which may take so long, and stops. Whether the collector answered in that time.
    pub async fn stop(self, limit: Duration) -> bool {
        let provider = self.provider;
        // The library waits by blocking.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit)).await;
        matches!(stopped, Ok(Ok(())))
    }
}

/// Who sends: the library reads `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, and calls itself unknown if they name nobody.
fn resource() -> Resource {
    const NAME: Key = Key::from_static_str("service.name");
    let told = Resource::builder().build();
    let is_named = told.get(&NAME).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    // What people say comes last and counts.
    let builder = Resource::builder_empty().with_attribute(version);
    let builder = if is_named { builder } else { builder.with_service_name(SERVICE) };
    let attributes = told.iter().filter(|(key, _)| is_named || **key != NAME);
    builder.with_attributes(attributes.map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()))).build()
}
