//! Reads that share calls: what is asked for within a few milliseconds, or while a call waits for its turn, goes into one.
//!
//! Entry point: [`Loader::load`].
//!
//! Invariant: the call begins after it was asked for. Nobody is given what was read before he asked.
//! Invariant: while a call waits for its turn, others join it. However slow the turns come, each serves all who wait by then, so
//! that a wait is one turn long and not as many as there are readers.
//! Invariant: who gives up waiting takes nothing from the others: the call is made by a task of its own. One that fails, or
//! panics, ends only its own portion, and the next request begins a new one.
//! Invariant: one thing that EC2 describes in a way we cannot read does not hide those that were asked for together with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::ports::clock::Clock;
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::spans;

/// What was found, if anything, and when the read began.
pub(super) type Found<V> = (Option<V>, Instant);
type Answer<V> = Result<Found<V>, CloudError>;
/// An answer goes out with the span of the read, so that the traces of those who waited can be linked to it.
type Sender<V> = oneshot::Sender<(Answer<V>, Span)>;
type Waiting<K, V> = BTreeMap<K, Vec<Sender<V>>>;
type Gate = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;
type Fetch<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, Result<BTreeMap<K, V>, CloudError>> + Send + Sync;

/// Calls one portion may take when its answer cannot be read: enough to find two culprits among 200.
const MOST_CALLS: usize = 32;

/// Puts requests together.
pub(super) struct Loader<K, V>(Arc<Shared<K, V>>);

struct Shared<K, V> {
    operation: &'static str,
    /// Keys a call takes.
    most: usize,
    coalesce: Duration,
    clock: Clock,
    /// Waits until a call may be made.
    gate: Box<Gate>,
    fetch: Box<Fetch<K, V>>,
    waiting: Mutex<Waiting<K, V>>,
}

impl<K, V> Loader<K, V>
where
    K: Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A loader whose calls take up to `most` keys. What `fetch` does not return does not exist.
    pub(super) fn new(
        operation: &'static str,
        most: usize,
        coalesce: Duration,
        clock: &Clock,
        fetch: impl Fn(Vec<K>) -> BoxFuture<'static, Result<BTreeMap<K, V>, CloudError>> + Send + Sync + 'static,
    ) -> Self {
        Self::gated(operation, most, coalesce, clock, || Box::pin(std::future::ready(())), fetch)
    }

    /// The same, where each call waits for its turn at `gate` first. `fetch` itself should not wait: nobody can join what waits
    /// there.
    pub(super) fn gated(
        operation: &'static str,
        most: usize,
        coalesce: Duration,
        clock: &Clock,
        gate: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
        fetch: impl Fn(Vec<K>) -> BoxFuture<'static, Result<BTreeMap<K, V>, CloudError>> + Send + Sync + 'static,
    ) -> Self {
        let (gate, fetch) = (Box::new(gate), Box::new(fetch));
        Self(Arc::new(Shared {
            operation,
            most: most.max(1),
            coalesce,
            clock: clock.clone(),
            gate,
            fetch,
            waiting: Mutex::default(),
        }))
    }

    /// What there is under a key, read by a call that begins after this one.
    pub(super) async fn load(&self, key: K) -> Result<Found<V>, CloudError> {
        self.load_of_many(key).instrument(spans::wait_for_read(self.0.operation)).await
    }

    /// The same of one key of many: a span for each would say no more than that of whoever asks for them.
    pub(super) async fn load_of_many(&self, key: K) -> Result<Found<V>, CloudError> {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut waiting = self.0.lock();
            let first = waiting.is_empty();
            waiting.entry(key).or_default().push(sender);
            first
        };
        if first {
            tokio::spawn(self.0.clone().gather());
        }
        let Ok((answer, read)) = receiver.await else { return Err(self.0.lost()) };
        Span::current().follows_from(&read);
        answer
    }
}

impl<K, V> Shared<K, V>
where
    K: Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<K, V>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn gather(self: Arc<Self>) {
        self.clock.sleep(self.coalesce).await;
        loop {
            (self.gate)().await;
            let (portion, is_last) = self.portion();
            if !portion.is_empty() {
                tokio::spawn(self.clone().ask(portion));
            }
            if is_last {
                return;
            }
        }
    }

    /// Those whose turn it is, and whether nobody is left: then whoever comes next begins anew.
    fn portion(&self) -> (Waiting<K, V>, bool) {
        let mut waiting = self.lock();
        waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        let rest = waiting.keys().nth(self.most).cloned().map(|key| waiting.split_off(&key)).unwrap_or_default();
        let portion = std::mem::replace(&mut *waiting, rest);
        (portion, waiting.is_empty())
    }

    /// Makes the call whose turn has come, and more only where its answer cannot be read.
    async fn ask(self: Arc<Self>, portion: Waiting<K, V>) {
        let mut portions = vec![portion];
        let mut calls = 0_usize;
        while let Some(mut portion) = portions.pop() {
            if calls > 0 {
                (self.gate)().await;
            }
            let began = self.clock.instant();
            calls = calls.saturating_add(1);
            let span = spans::shared_read(self.operation, portion.len());
            match (self.fetch)(portion.keys().cloned().collect()).instrument(span.clone()).await {
                Ok(mut found) => {
                    for (key, senders) in portion {
                        let value = found.remove(&key);
                        tell(senders, &Ok((value, began)), &span);
                    }
                }
                // An answer that cannot be read says nothing about whom it is that cannot be read: the halves do.
                Err(error) if is_unreadable(&error) && portion.len() > 1 && calls < MOST_CALLS => {
                    if let Some(middle) = portion.keys().nth(portion.len() / 2).cloned() {
                        portions.push(portion.split_off(&middle));
                    }
                    portions.push(portion);
                }
                Err(error) => {
                    for senders in portion.into_values() {
                        tell(senders, &Err(error.clone()), &span);
                    }
                }
            }
        }
    }

    /// Whoever was to answer is gone: a panic, or the end of the process.
    fn lost(&self) -> CloudError {
        CloudError {
            operation: self.operation,
            class: ErrorClass::Unavailable,
            code: None,
            message: "a defect of sgwarden: the read ended without an answer".to_owned(),
            request_id: None,
            outcome_unknown: false,
        }
    }
}

/// Whether EC2 answered, but something in the answer is not as we know it. A refusal has a code, and is as final for a part of
/// the question as for the whole.
pub(super) fn is_unreadable(error: &CloudError) -> bool {
    error.class == ErrorClass::Terminal && error.code.is_none()
}

/// Tells everybody who waits for it; those who gave up meanwhile do not.
fn tell<V: Clone>(senders: Vec<Sender<V>>, answer: &Answer<V>, read: &Span) {
    for sender in senders {
        let _ = sender.send((answer.clone(), read.clone()));
    }
}
