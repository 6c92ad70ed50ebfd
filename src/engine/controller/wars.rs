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
    reverts: BTreeMap<String, Fight>,
}

/// The reverts of one thing.
#[derive(Clone, Debug, Default)]
struct Fight {
    /// Those that count.
    times: Vec<Instant>,
    /// How many there were since there were enough for a war, that one included; it is over when none counts any more. Those that
    /// count are no measure: they grow fewer by our own pauses.
    war: u32,
    told: bool,
}

impl Fight {
    fn reverted(&mut self, now: Instant) {
        self.times.push(now);
        if self.war > 0 || self.times.len() >= WAR {
            self.war = self.war.saturating_add(1);
        }
        // A war of a revert a second must not grow without bound.
        let excess = self.times.len().saturating_sub(WAR);
        self.times.drain(..excess);
    }

    /// Whether it is fought over, for as long as a revert counts.
    fn is_war(&self, now: Instant) -> bool {
        self.war > 0 && self.times.last().is_some_and(|last| now.duration_since(*last) < WINDOW)
    }
}

impl Wars {
    /// Something was put right. `subject` tells what, in words that are the same each time.
    pub(super) fn reverted(&mut self, subject: &str, now: Instant) {
        self.forget_the_old(now);
        if self.reverts.len() < MOST || self.reverts.contains_key(subject) {
            self.reverts.entry(subject.to_owned()).or_default().reverted(now);
        }
    }

    /// What is fought over.
    pub(super) fn fought_over(&self, now: Instant) -> BTreeSet<String> {
        self.reverts.iter().filter(|(_, fight)| fight.is_war(now)).map(|(subject, _)| subject.clone()).collect()
    }

    /// Wars that were not told of yet.
    pub(super) fn news(&mut self, now: Instant) -> BTreeSet<String> {
        let news = self.reverts.iter_mut().filter(|(_, fight)| fight.is_war(now) && !fight.told);
        news.map(|(subject, fight)| {
            fight.told = true;
            subject.clone()
        })
        .collect()
    }

    /// How long the next restore of it has to wait.
    pub(super) fn pause(&self, subject: &str, now: Instant, speed: impl Fn(Duration) -> Duration) -> Duration {
        let Some(fight) = self.reverts.get(subject).filter(|fight| fight.is_war(now)) else { return Duration::ZERO };
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(fight.war.saturating_sub(1).min(8)));
        let last = fight.times.last().map_or(Duration::MAX, |last| now.duration_since(*last));
        speed(doubled.min(WINDOW / 2)).saturating_sub(last)
    }

    /// Until the first of the wars is over, if nothing more happens.
    pub(super) fn next_peace(&self, now: Instant) -> Option<Duration> {
        let wars = self.reverts.values().filter(|fight| fight.is_war(now));
        wars.filter_map(|fight| fight.times.last()).map(|last| WINDOW.saturating_sub(now.duration_since(*last))).min()
    }

    fn forget_the_old(&mut self, now: Instant) {
        self.reverts.retain(|_, fight| {
            fight.times.retain(|time| now.duration_since(*time) < WINDOW);
            !fight.times.is_empty()
        });
    }
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
        assert_eq!(wars.news(Instant::now()).len(), 1);
        assert!(wars.news(Instant::now()).is_empty(), "told once");
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::ZERO);
        wars.reverted("tag team", Instant::now());
        assert_eq!(wars.pause("tag team", Instant::now(), AS_IS), Duration::from_secs(60));
        assert_eq!(wars.pause("tag other", Instant::now(), AS_IS), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_war_lasts_and_is_told_once_as_long_as_somebody_insists_however_long_the_pauses() {
        let mut wars = Wars::default();
        let mut pauses = Vec::new();
        let mut told = 0;
        for _ in 0..20 {
            wars.reverted("a", Instant::now());
            told += wars.news(Instant::now()).len();
            let pause = wars.pause("a", Instant::now(), AS_IS);
            pauses.push(pause.as_secs());
            tokio::time::advance(pause + Duration::from_secs(1)).await;
        }
        assert_eq!(pauses[..9], [0, 0, 0, 0, 30, 60, 120, 240, 300]);
        assert_eq!(pauses[9..], [300; 11]);
        assert_eq!(told, 1);
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
