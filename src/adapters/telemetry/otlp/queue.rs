//! What waits to be sent: bounded, and counted where it is lost. The library bounds its queue too, but tells nobody what it drops.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::time::Instant;

use super::wire::LastFailure;
use crate::ports::clock::Clock;
use crate::ports::metrics::{SpanLoss, TraceMetrics};

/// From one word about a collector that takes nothing to the next.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// How many spans wait, and how many may. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    waiting: Arc<AtomicUsize>,
    most: usize,
    metrics: TraceMetrics,
}

impl Queue {
    pub(super) fn new(most: usize, metrics: TraceMetrics) -> Self {
        Self { waiting: Arc::default(), most, metrics }
    }

    /// Whether there is room for one more, which is then taken.
    fn enter(&self) -> bool {
        let room = |waiting: usize| (waiting < self.most).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    fn leave(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// Lets no more spans through than may wait.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    inner: P,
    queue: Queue,
}

impl<P> Bounded<P> {
    pub(super) fn new(inner: P, queue: Queue) -> Self {
        Self { inner, queue }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.enter() {
            self.inner.on_end(span);
        } else {
            self.queue.metrics.lost(1, SpanLoss::QueueFull);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what is sent and what is not, and says now and then why not.
#[derive(Debug)]
pub(super) struct Counted<E> {
    inner: E,
    queue: Queue,
    failure: LastFailure,
    clock: Clock,
    told: Mutex<Option<Instant>>,
}

impl<E> Counted<E> {
    pub(super) fn new(inner: E, queue: Queue, failure: LastFailure, clock: Clock) -> Self {
        Self { inner, queue, failure, clock, told: Mutex::default() }
    }

    fn took(&self, spans: usize) {
        self.queue.metrics.sent(spans);
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the collector takes traces again");
        }
    }

    fn refused(&self, spans: usize, error: &str) {
        self.queue.metrics.lost(spans, SpanLoss::NotTaken);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.instant();
        if told.is_none_or(|then| now.duration_since(then) >= SILENCE) {
            *told = Some(now);
            tracing::warn!(error, spans, "the collector does not take traces; they are dropped, and nothing else is held up");
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.queue.leave(spans);
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => self.took(spans),
            Err(error) => self.refused(spans, &self.failure.take().unwrap_or_else(|| error.to_string())),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use jiff::Timestamp;
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    /// Does what its flag says.
    #[derive(Clone, Debug, Default)]
    struct Exporter(Arc<std::sync::atomic::AtomicBool>);

    impl SpanExporter for Exporter {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let takes = self.0.load(Ordering::Relaxed);
            if takes { Ok(()) } else { Err(OTelSdkError::InternalFailure("HTTP export failed with status code: 503".to_owned())) }
        }
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_takes_nothing_is_told_of_now_and_then_and_once_when_it_does_again() {
        let (page, exporter, failure) = (Page::default(), Exporter::default(), LastFailure::default());
        let queue = Queue::new(8, TraceMetrics::default());
        let clock = Clock::anchored(Timestamp::UNIX_EPOCH);
        let counted = Counted::new(exporter.clone(), queue, failure, clock);
        let writer = page.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _log = tracing::subscriber::set_default(log);
        for _ in 0..10 {
            counted.export(Vec::new()).await.unwrap_err();
            tokio::time::advance(SILENCE / 10).await;
        }
        assert_eq!(page.lines().len(), 1, "{:?}", page.lines());
        counted.export(Vec::new()).await.unwrap_err();
        assert_eq!(page.lines().len(), 2, "{:?}", page.lines());
        exporter.0.store(true, Ordering::Relaxed);
        counted.export(Vec::new()).await.unwrap();
        counted.export(Vec::new()).await.unwrap();
        let lines = page.lines();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("status code: 503") && lines[2].contains("takes traces again"), "{lines:?}");
    }

    #[test]
    fn there_is_room_for_as_many_as_may_wait() {
        let queue = Queue::new(2, TraceMetrics::default());
        assert!(queue.enter() && queue.enter() && !queue.enter());
        queue.leave(2);
        assert!(queue.enter());
    }
}
