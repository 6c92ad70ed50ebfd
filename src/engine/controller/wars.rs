//! Revert wars: somebody, or some other tool, makes the same edit again each time it is taken back.
//!
//! Invariant: taking back an addition is never put off. A limit on it would be a shield: whoever wants a door open would only
//! have to open it often enough. What is put off, more and more, is the restoring of what was removed, of descriptions and of
//! tags, where another tool that insists would otherwise be fought at full speed for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// Reverts of the same thing within [`WINDOW`] that make a war.
pub(super) const WAR: usize = 5;
/// How long a revert counts.
pub(super) const WINDOW: Duration = Duration::from_secs(600);
/// First pause between two restores in a war; doubles from there.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Most things remembered of one object; beyond, the oldest are forgotten. Additions come in any number, and are not put off.
const MOST: usize = 4096;

/// The reverts of one object's group.
#[derive(Clone, Debug, Default)]
pub(super) struct Wars {
    reverts: BTreeMap<String, Vec<Instant>>,
    told: BTreeMap<String, Instant>,
}

impl Wars {
    /// Something was put right. `subject` tells what, in words that are the same each time.
    pub(super) fn reverted(&mut self, subject: &str, now: Instant) {
        self.forget_the_old(now);
        if self.reverts.len() < MOST || self.reverts.contains_key(subject) {
            let times = self.reverts.entry(subject.to_owned()).or_default();
            times.push(now);
            // What counts is the last few; a war of a revert a second must not grow without bound.
            let excess = times.len().saturating_sub(WAR.saturating_mul(8));
            times.drain(..excess);
        }
    }

    /// What is fought over.
    pub(super) fn fought_over(&self, now: Instant) -> BTreeSet<String> {
        self.reverts.iter().filter(|(_, times)| recent(times, now) >= WAR).map(|(subject, _)| subject.clone()).collect()
    }

    /// Wars that were not told of yet.
    pub(super) fn to_tell(&mut self, now: Instant) -> BTreeSet<String> {
        let news: BTreeSet<String> = self.fought_over(now).into_iter().filter(|subject| !self.told.contains_key(subject)).collect();
        for subject in &news {
            self.told.insert(subject.clone(), now);
        }
        news
    }

    /// How long the next restore of it has to wait.
    pub(super) fn pause(&self, subject: &str, now: Instant, speed: impl Fn(Duration) -> Duration) -> Duration {
        let Some(times) = self.reverts.get(subject) else { return Duration::ZERO };
        let count = recent(times, now);
        let Some(over) = count.checked_sub(WAR) else { return Duration::ZERO };
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(u32::try_from(over).unwrap_or(u32::MAX).min(8)));
        let last = times.last().map_or(Duration::MAX, |last| now.duration_since(*last));
        speed(doubled.min(WINDOW / 2)).saturating_sub(last)
    }

    fn forget_the_old(&mut self, now: Instant) {
        self.reverts.retain(|_, times| {
            times.retain(|time| now.duration_since(*time) < WINDOW);
            !times.is_empty()
        });
        self.told.retain(|_, time| now.duration_since(*time) < WINDOW);
    }
}

fn recent(times: &[Instant], now: Instant) -> usize {
    times.iter().filter(|time| now.duration_since(**time) < WINDOW).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS_IS: fn(Duration) -> Duration = |pause| pause;

    #[tokio::test(start_paused = true)]
    async fn five_reverts_in_ten_minutes_are_a_war_and_restores_wait_longer_and_longer() {
        let mut wars = Wars::default();
        for _ in 0..4 {
            wars.reverted("tag team", Instant::now());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(wars.fought_over(Instant::now()).is_empty());
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::ZERO);
        wars.reverted("tag team", Instant::now());
        assert_eq!(wars.to_tell(Instant::now()).len(), 1);
        assert!(wars.to_tell(Instant::now()).is_empty(), "told once");
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::ZERO);
        wars.reverted("tag team", Instant::now());
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::from_secs(60));
        assert_eq!(wars.pause("tag other", Instant::now(), AS_IS), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_war_ends_when_nothing_was_reverted_for_a_while() {
        let mut wars = Wars::default();
        for _ in 0..50 {
            wars.reverted("a", Instant::now());
        }
        assert_eq!(wars.pause("a", Instant::now(), AS_IS), WINDOW / 2, "and the pause has an end");
        tokio::time::advance(WINDOW).await;
        assert!(wars.fought_over(Instant::now()).is_empty());
        wars.reverted("b", Instant::now());
        assert_eq!(wars.reverts.len(), 1);
    }
}
