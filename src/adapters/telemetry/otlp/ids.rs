//! Ids of traces: that of a pass is the one it already has.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    /// The id of the trace that begins on this thread right now.
    static NEXT: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Gives a trace the id it was told, and makes up all others.
#[derive(Debug, Default)]
pub(super) struct PassIds(RandomIdGenerator);

impl IdGenerator for PassIds {
    fn new_trace_id(&self) -> TraceId {
        NEXT.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Has the trace that `begin` begins called `id`. The library asks for ids only while it begins a span, and there is no other way
/// to tell it; `begin` runs to its end on this thread, so that no other trace can get the id.
pub(super) fn with_trace_id<T>(id: Option<TraceId>, begin: impl FnOnce() -> T) -> T {
    NEXT.set(id);
    let trace = begin();
    // Nobody asks when the library has been shut down, and the next trace of this thread must not get the id.
    NEXT.set(None);
    trace
}
