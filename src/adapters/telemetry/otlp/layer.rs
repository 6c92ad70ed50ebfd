//! Makes OpenTelemetry's spans of ours.

use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceId, Tracer};
use opentelemetry::{Context, Key, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::ids::with_trace_id;
use crate::ports::spans::{ERROR, KIND, NAME, TRACE_ID};

/// Turns each span it sees into one of OpenTelemetry's. It is to see those of [`TARGET`](crate::ports::spans::TARGET) alone.
#[derive(Debug)]
pub struct SpanLayer {
    tracer: SdkTracer,
}

impl SpanLayer {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self { tracer }
    }
}

/// A span that has not ended yet.
struct Open {
    span: Span,
    /// Given to the span at its end: a value that is recorded twice must not be there twice.
    fields: Fields,
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = span.parent().and_then(|parent| place_of(&parent));
        let parent = parent.map(|place| Context::new().with_remote_span_context(place)).unwrap_or_default();
        let name = fields.name.take().map_or_else(|| attributes.metadata().name().into(), Into::into);
        let builder = SpanBuilder { span_kind: fields.kind.take(), name, ..SpanBuilder::default() };
        let begun = with_trace_id(fields.trace_id, || self.tracer.build_with_context(builder, &parent));
        span.extensions_mut().insert(Open { span: begun, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: layer::Context<'_, S>) {
        let Some(followed) = context.span(follows).and_then(|followed| place_of(&followed)) else { return };
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            open.span.add_link(followed, Vec::new());
        }
    }

    fn on_close(&self, id: Id, context: layer::Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { span: mut ended, fields }) = span.extensions_mut().remove::<Open>() else { return };
        if fields.failed {
            ended.set_status(Status::error(""));
        }
        ended.set_attributes(fields.attributes);
        ended.end();
    }
}

/// Where a span is in its trace.
fn place_of<S>(span: &SpanRef<'_, S>) -> Option<SpanContext>
where
    S: for<'a> LookupSpan<'a>,
{
    let extensions = span.extensions();
    extensions.get::<Open>().map(|open| open.span.span_context().clone())
}

/// What a span says of itself.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    kind: Option<SpanKind>,
    trace_id: Option<TraceId>,
    failed: bool,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.failed |= field.name() == ERROR;
        let key = Key::from_static_str(field.name());
        match self.attributes.iter_mut().find(|known| known.key == key) {
            Some(known) => known.value = value,
            None => self.attributes.push(KeyValue::new(key, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            NAME => self.name = Some(value.to_owned()),
            KIND => self.kind = (value == "client").then_some(SpanKind::Client),
            TRACE_ID => self.trace_id = TraceId::from_hex(value).ok(),
            _ => self.put(field, value.to_owned().into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
