//! Look-ups that hardly ever change, kept for a while.
//!
//! Entry point: [`Cache::get`].
//!
//! Invariant: that there is nothing is never kept: whoever waits for a VPC to be created must see it at the next look.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::CloudError;

use super::loader::Loader;

/// What was found under each key, and when it was asked for. Equal questions at the same time are one call.
pub(super) struct Cache<K, T> {
    loader: Loader<K, Vec<T>>,
    clock: Clock,
    keep: Duration,
    kept: Mutex<BTreeMap<K, (Instant, Vec<T>)>>,
}

impl<K, T> Cache<K, T>
where
    K: Ord + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// A cache over a call that takes one key.
    pub(super) fn new(
        operation: &'static str,
        clock: &Clock,
        timings: &Timings,
        fetch: impl Fn(K) -> BoxFuture<'static, Result<Vec<T>, CloudError>> + Clone + Send + Sync + 'static,
    ) -> Self {
        let fetch_each = move |keys: Vec<K>| -> BoxFuture<'static, Result<BTreeMap<K, Vec<T>>, CloudError>> {
            let fetch = fetch.clone();
            Box::pin(async move {
                let mut found = BTreeMap::new();
                for key in keys {
                    let values = fetch(key.clone()).await?;
                    found.insert(key, values);
                }
                Ok(found)
            })
        };
        let loader = Loader::new(operation, 1, timings.coalesce, clock, fetch_each);
        Self { loader, clock: clock.clone(), keep: timings.lookup, kept: Mutex::default() }
    }

    /// What there is under a key.
    pub(super) async fn get(&self, key: &K) -> Result<Vec<T>, CloudError> {
        let now = self.clock.instant();
        let kept = self.lock().get(key).filter(|(then, _)| now.duration_since(*then) < self.keep).cloned();
        if let Some((_, values)) = kept {
            return Ok(values);
        }
        let (values, began) = self.loader.load(key.clone()).await?;
        let values = values.unwrap_or_default();
        let mut kept = self.lock();
        kept.retain(|_, (then, _)| began.duration_since(*then) < self.keep);
        if !values.is_empty() {
            kept.insert(key.clone(), (began, values.clone()));
        }
        Ok(values)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<K, (Instant, Vec<T>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
