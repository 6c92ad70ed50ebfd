//! Limits on what is changed in one account (DESIGN §4.4). They slow down and hold up changes of manifests, never the revert of
//! an addition: a limit that held reverts could be used up by an intruder.
//!
//! Kept in memory: a restart forgets at most a window, and nobody but the platform can make us restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Window of `revocationsPerMinute`.
const MINUTE: Duration = Duration::from_secs(60);
/// Window of `massChange`.
const MASS: Duration = Duration::from_secs(600);

/// The limits of every account, by name.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<BTreeMap<String, Counts>>);

/// What was done lately in one account.
#[derive(Debug, Default)]
struct Counts {
    /// Rules removed by a change, or without a baseline.
    removals: VecDeque<(Instant, usize)>,
    /// Rules brought or removed by a change, whose changes were not approved by a person.
    changes: VecDeque<(Instant, usize)>,
}

impl Limits {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rules may still be removed by a change now.
    pub(super) fn removals_left(&self, account: &str, a_minute: usize, now: Instant) -> usize {
        let mut all = self.lock();
        let counts = all.entry(account.to_owned()).or_default();
        a_minute.saturating_sub(sum(&mut counts.removals, MINUTE, now))
    }

    /// Until a rule may be removed again.
    pub(super) fn next_removal(&self, account: &str, now: Instant) -> Duration {
        let mut all = self.lock();
        let counts = all.entry(account.to_owned()).or_default();
        let _ = sum(&mut counts.removals, MINUTE, now);
        counts.removals.front().map_or(Duration::ZERO, |(time, _)| MINUTE.saturating_sub(now.duration_since(*time)))
    }

    /// Rules brought or removed by changes within the window, nobody having approved them.
    pub(super) fn changed_lately(&self, account: &str, now: Instant) -> usize {
        let mut all = self.lock();
        sum(&mut all.entry(account.to_owned()).or_default().changes, MASS, now)
    }

    /// Something was done.
    pub(super) fn done(&self, account: &str, removed: usize, changed: usize, now: Instant) {
        let mut all = self.lock();
        let counts = all.entry(account.to_owned()).or_default();
        if removed > 0 {
            counts.removals.push_back((now, removed));
        }
        if changed > 0 {
            counts.changes.push_back((now, changed));
        }
    }
}

/// What is left of a window, its old entries gone.
fn sum(entries: &mut VecDeque<(Instant, usize)>, window: Duration, now: Instant) -> usize {
    while entries.front().is_some_and(|(time, _)| now.duration_since(*time) >= window) {
        entries.pop_front();
    }
    entries.iter().map(|(_, count)| *count).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn removals_come_back_as_the_minute_moves_on() {
        let limits = Limits::default();
        limits.done("prod", 60, 0, Instant::now());
        tokio::time::advance(Duration::from_secs(30)).await;
        limits.done("prod", 60, 0, Instant::now());
        assert_eq!(limits.removals_left("prod", 100, Instant::now()), 0);
        assert_eq!(limits.next_removal("prod", Instant::now()), Duration::from_secs(30));
        assert_eq!(limits.removals_left("test", 100, Instant::now()), 100, "each account for itself");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(limits.removals_left("prod", 100, Instant::now()), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_count_for_ten_minutes() {
        let limits = Limits::default();
        limits.done("prod", 0, 300, Instant::now());
        assert_eq!(limits.changed_lately("prod", Instant::now()), 300);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(limits.changed_lately("prod", Instant::now()), 0);
    }
}
