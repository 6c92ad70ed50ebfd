//! When passes end, for those who asked for one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ports::objects::Key;

/// The newest pass of each object that somebody waits for.
#[derive(Debug, Default)]
pub(in crate::engine::controller) struct Passes {
    /// When the newest pass began that has ended and wrote down what it found; only while somebody waits.
    awaited: Mutex<BTreeMap<Key, Awaited>>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Awaited {
    waiting: usize,
    began: Option<Instant>,
}

impl Passes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Awaited>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pass that began then has ended, and what it found is in status.
    pub(in crate::engine::controller) fn ended(&self, key: &Key, began: Instant) {
        if let Some(awaited) = self.lock().get_mut(key) {
            awaited.began = awaited.began.max(Some(began));
            self.news.notify_waiters();
        }
    }

    /// Until a pass has ended that began after `asked`; whoever waits sets a limit.
    pub(super) async fn after(&self, key: &Key, asked: Instant) {
        let _waiting = Waiting::of(self, key);
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // Before the look, or what ends between the two is missed.
            news.as_mut().enable();
            if self.lock().get(key).and_then(|awaited| awaited.began).is_some_and(|began| began >= asked) {
                return;
            }
            news.await;
        }
    }
}

/// Somebody waits for an object, until this is dropped.
struct Waiting<'a> {
    passes: &'a Passes,
    key: &'a Key,
}

impl<'a> Waiting<'a> {
    fn of(passes: &'a Passes, key: &'a Key) -> Self {
        passes.lock().entry(key.clone()).or_default().waiting += 1;
        Self { passes, key }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.passes.lock();
        if let Some(awaited) = all.get_mut(self.key) {
            awaited.waiting -= 1;
            if awaited.waiting == 0 {
                all.remove(self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_pass_that_began_after_the_question_is_an_answer() {
        let passes = std::sync::Arc::new(Passes::default());
        let key = Key { namespace: "shop".into(), name: "web".into() };
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let asked = Instant::now();
        let waiting = {
            let (passes, key) = (passes.clone(), key.clone());
            tokio::spawn(async move { timeout(Duration::from_secs(60), passes.after(&key, asked)).await.is_ok() })
        };
        tokio::task::yield_now().await;
        passes.ended(&key, before);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        tokio::time::advance(Duration::from_secs(1)).await;
        passes.ended(&key, Instant::now());
        assert!(waiting.await.unwrap());
        assert!(passes.lock().is_empty(), "nothing is kept of what nobody waits for");
    }
}
