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

    /// What a plan is about to do, booked before it is done: objects are worked on side by side, and each sees what is left when
    /// it is planned. `false`: others have taken so much meanwhile that the plan has to be made anew.
    pub(super) fn book(&self, account: &str, work: Work, room: Room, now: Instant) -> bool {
        let mut all = self.lock();
        let counts = all.entry(account.to_owned()).or_default();
        let lately = sum(&mut counts.changes, MASS, now);
        let left = room.removals_a_minute.saturating_sub(sum(&mut counts.removals, MINUTE, now));
        let mass = lately != room.changed_lately && lately.saturating_add(work.changed) > room.mass;
        if work.removed > left || (work.changed > 0 && mass) {
            return false;
        }
        if work.removed > 0 {
            counts.removals.push_back((now, work.removed));
        }
        if work.changed > 0 {
            counts.changes.push_back((now, work.changed));
        }
        true
    }

    /// Of what was booked then, this was not done.
    pub(super) fn give_back(&self, account: &str, work: Work, booked: Instant) {
        let mut all = self.lock();
        let counts = all.entry(account.to_owned()).or_default();
        take(&mut counts.removals, work.removed, booked);
        take(&mut counts.changes, work.changed, booked);
    }
}

/// Rules that a plan removes and changes, as the limits count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Removed by a change, or without a baseline.
    pub(super) removed: usize,
    /// Brought or removed by a change that no person approved.
    pub(super) changed: usize,
}

/// What there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Removals a minute.
    pub(super) removals_a_minute: usize,
    /// Changes in the window from which on they are many.
    pub(super) mass: usize,
    /// Changes in the window when the plan was made.
    pub(super) changed_lately: usize,
}

/// Takes a number out of the entries of one moment.
fn take(entries: &mut VecDeque<(Instant, usize)>, number: usize, at: Instant) {
    let mut left = number;
    for (_, count) in entries.iter_mut().filter(|(time, _)| *time == at) {
        let taken = left.min(*count);
        *count -= taken;
        left -= taken;
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

    const ROOM: Room = Room { removals_a_minute: 100, mass: 1000, changed_lately: 0 };

    fn removals(removed: usize) -> Work {
        Work { removed, changed: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn removals_come_back_as_the_minute_moves_on() {
        let limits = Limits::default();
        assert!(limits.book("prod", removals(60), ROOM, Instant::now()));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(!limits.book("prod", removals(60), ROOM, Instant::now()), "another object was faster");
        assert!(limits.book("prod", removals(40), ROOM, Instant::now()));
        assert_eq!(limits.removals_left("prod", 100, Instant::now()), 0);
        assert_eq!(limits.next_removal("prod", Instant::now()), Duration::from_secs(30));
        assert_eq!(limits.removals_left("test", 100, Instant::now()), 100, "each account for itself");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(limits.removals_left("prod", 100, Instant::now()), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_done_is_given_back() {
        let limits = Limits::default();
        let now = Instant::now();
        let work = Work { removed: 60, changed: 80 };
        assert!(limits.book("prod", work, ROOM, now));
        limits.give_back("prod", Work { removed: 20, changed: 30 }, now);
        assert_eq!((limits.removals_left("prod", 100, now), limits.changed_lately("prod", now)), (60, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_was_made_before_many_changes_is_made_anew() {
        let limits = Limits::default();
        let (now, work) = (Instant::now(), Work { removed: 0, changed: 60 });
        let room = Room { mass: 100, ..ROOM };
        assert!(limits.book("prod", work, room, now));
        assert!(!limits.book("prod", work, room, now), "it was made when there were none");
        assert!(limits.book("prod", work, Room { changed_lately: 60, ..room }, now), "it was made knowing of them");
    }

    #[tokio::test(start_paused = true)]
    async fn changes_count_for_ten_minutes() {
        let limits = Limits::default();
        assert!(limits.book("prod", Work { removed: 0, changed: 300 }, ROOM, Instant::now()));
        assert_eq!(limits.changed_lately("prod", Instant::now()), 300);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(limits.changed_lately("prod", Instant::now()), 0);
    }
}
