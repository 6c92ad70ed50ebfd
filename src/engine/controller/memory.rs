//! What is remembered of an object between its reconciles. Losing it (a restart) costs a delay, never a wrong write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::{DriftRecord, SecurityGroup};
use crate::ports::clock::Timings;
use crate::ports::objects::Key;

use super::wars::Wars;

/// One object's memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// Its uid; another one is another object of the same name.
    uid: String,
    /// Failures in a row: what the pause before the next pass is made from.
    failures: u32,
    /// Looks in a row that found EC2 other than planned.
    refetches: u32,
    /// Since when its group is missing, and how many reads said so.
    missing: Option<(Instant, u32)>,
    /// When we created its group, until a read has shown it.
    created: Option<Instant>,
    /// A read of ours has shown its group.
    shown: bool,
    /// When the group that it takes over was first known to carry its tags.
    marked: Option<Instant>,
    /// Drift records that could not be stored.
    unsaved: Vec<DriftRecord>,
    /// When EC2 last did not find a rule that was to be revoked.
    unfound: Option<Instant>,
    /// The changes that put drift records right, by their ids, until status says so.
    put_right: BTreeMap<String, String>,
    /// The object as we last wrote it: the watch may lag behind our own writes.
    written: Option<SecurityGroup>,
    /// When `CloudTrail` was asked who made its drift last.
    asked: Option<Timestamp>,
    /// When a pass stored its status last.
    saved: Option<Instant>,
    /// EC2 said that the group's rules do not fit beside those they replace.
    quota_refused: bool,
    /// What was put right lately.
    wars: Wars,
    /// Since when the account of an object that is being deleted cannot be used.
    without_account: Option<Instant>,
}

/// What is still so after as many looks does not go away by looking again.
pub(super) const LASTING: u32 = 3;
/// How many reads must agree that a group is gone.
const READS_OF_ABSENCE: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Memories(Mutex<BTreeMap<Key, Memory>>);

impl Memories {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, key: &Key, uid: &str, act: impl FnOnce(&mut Memory) -> T) -> T {
        let mut all = self.lock();
        let memory = all.entry(key.clone()).or_default();
        if memory.uid != uid {
            *memory = Memory { uid: uid.to_owned(), ..Memory::default() };
        }
        act(memory)
    }

    /// Another term begins: what was counted in a row is not in a row any more. Records that could not be stored are kept.
    pub(super) fn new_term(&self) {
        for memory in self.lock().values_mut() {
            memory.failures = 0;
            memory.refetches = 0;
            memory.missing = None;
            memory.without_account = None;
        }
    }

    /// The object is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// The newer of what the watch shows and what we wrote.
    pub(super) fn newest(&self, key: &Key, seen: SecurityGroup) -> SecurityGroup {
        let uid = seen.metadata.uid.clone().unwrap_or_default();
        self.with(key, &uid, |memory| match &memory.written {
            Some(written) if version(written) > version(&seen) => written.clone(),
            Some(_) | None => {
                memory.written = None;
                seen
            }
        })
    }

    /// We wrote the object; this is what it is now.
    pub(super) fn wrote(&self, key: &Key, object: &SecurityGroup) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        self.with(key, &uid, |memory| {
            // Reconciles and messages write beside each other, and their answers may come in another order.
            if memory.written.as_ref().is_none_or(|before| version(before) <= version(object)) {
                memory.written = Some(object.clone());
            }
        });
    }

    /// What was to be stored is in the object's status already.
    pub(super) fn is_saved(&self, key: &Key, uid: &str) {
        self.with(key, uid, |memory| memory.saved = Some(Instant::now()));
    }

    /// Whether [`Memories::saved`] or [`Memories::is_saved`] was said at that time or since.
    pub(super) fn saved_since(&self, key: &Key, uid: &str, then: Instant) -> bool {
        self.with(key, uid, |memory| memory.saved.is_some_and(|saved| saved >= then))
    }

    /// Drift records that the store of objects did not take in time.
    pub(super) fn keep_unsaved(&self, key: &Key, uid: &str, records: Vec<DriftRecord>) {
        self.with(key, uid, |memory| memory.unsaved = records);
    }

    /// What [`Memories::keep_unsaved`] kept.
    pub(super) fn unsaved(&self, key: &Key, uid: &str) -> Vec<DriftRecord> {
        self.with(key, uid, |memory| memory.unsaved.clone())
    }

    /// EC2 did not find a rule that was to be revoked, though it had shown it.
    pub(super) fn unfound(&self, key: &Key, uid: &str, now: Instant) {
        self.with(key, uid, |memory| memory.unfound = Some(now));
    }

    /// Whether [`Memories::unfound`] was said within so long.
    pub(super) fn unfound_within(&self, key: &Key, uid: &str, now: Instant, time: Duration) -> bool {
        self.with(key, uid, |memory| memory.unfound.is_some_and(|then| now.duration_since(then) < time))
    }

    /// Changes that put drift records right, by the ids of the records.
    pub(super) fn put_right(&self, key: &Key, uid: &str, changes: BTreeMap<String, String>) {
        self.with(key, uid, |memory| memory.put_right.extend(changes));
    }

    /// What [`Memories::put_right`] was told and status does not say yet.
    pub(super) fn changes(&self, key: &Key, uid: &str) -> BTreeMap<String, String> {
        self.with(key, uid, |memory| memory.put_right.clone())
    }

    /// The object's status was stored, with all of its records.
    pub(super) fn saved(&self, key: &Key, object: &SecurityGroup) {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        self.with(key, &uid, |memory| {
            memory.unsaved.clear();
            let records = object.status.iter().flat_map(|status| &status.drift);
            let waiting: BTreeSet<&String> = records.filter(|record| record.change_id.is_none()).map(|record| &record.id).collect();
            memory.put_right.retain(|record, _| waiting.contains(record));
            memory.saved = Some(Instant::now());
        });
    }

    /// A pass went well.
    pub(super) fn succeeded(&self, key: &Key, uid: &str) {
        self.with(key, uid, |memory| {
            memory.failures = 0;
            memory.refetches = 0;
            memory.quota_refused = false;
        });
    }

    /// EC2 refused for the quota of rules: what replaces does not fit beside what it replaces.
    pub(super) fn refused_for_quota(&self, key: &Key, uid: &str) {
        self.with(key, uid, |memory| memory.quota_refused = true);
    }

    /// Whether [`Memories::refused_for_quota`] was said since the last success.
    pub(super) fn quota_refused(&self, key: &Key, uid: &str) -> bool {
        self.with(key, uid, |memory| memory.quota_refused)
    }

    /// Things were put right; those over which there is a war by now, and nobody was told of.
    pub(super) fn reverted(&self, key: &Key, uid: &str, subjects: &BTreeSet<String>, now: Instant) -> BTreeSet<String> {
        self.with(key, uid, |memory| {
            for subject in subjects {
                memory.wars.reverted(subject, now);
            }
            memory.wars.news(now)
        })
    }

    /// What is fought over.
    pub(super) fn fought_over(&self, key: &Key, uid: &str, now: Instant) -> BTreeSet<String> {
        self.with(key, uid, |memory| memory.wars.fought_over(now))
    }

    /// Until the first of the wars is over, if nothing more happens.
    pub(super) fn next_peace(&self, key: &Key, uid: &str, now: Instant) -> Option<Duration> {
        self.with(key, uid, |memory| memory.wars.next_peace(now))
    }

    /// What is fought over and has to wait before it is restored again, each with how long.
    pub(super) fn postponed(&self, key: &Key, uid: &str, now: Instant, timings: &Timings) -> BTreeMap<String, Duration> {
        self.with(key, uid, |memory| {
            let pauses = memory.wars.fought_over(now).into_iter().map(|subject| {
                let pause = memory.wars.pause(&subject, now, |pause| timings.scaled(pause));
                (subject, pause)
            });
            pauses.filter(|(_, pause)| !pause.is_zero()).collect()
        })
    }

    /// The account of an object that is being deleted cannot be used; for how long by now.
    pub(super) fn without_account(&self, key: &Key, uid: &str, now: Instant) -> Duration {
        self.with(key, uid, |memory| now.duration_since(*memory.without_account.get_or_insert(now)))
    }

    /// The account can be used.
    pub(super) fn with_account(&self, key: &Key, uid: &str) {
        self.with(key, uid, |memory| memory.without_account = None);
    }

    /// A pass failed; how many did in a row.
    pub(super) fn failed(&self, key: &Key, uid: &str) -> u32 {
        self.with(key, uid, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            memory.failures
        })
    }

    /// EC2 is other than planned once more; how often in a row.
    pub(super) fn refetched(&self, key: &Key, uid: &str) -> u32 {
        self.with(key, uid, |memory| {
            memory.refetches = memory.refetches.saturating_add(1);
            memory.refetches
        })
    }

    /// Whether looking again has not helped several times in a row.
    pub(super) fn is_lasting(&self, key: &Key, uid: &str) -> bool {
        self.with(key, uid, |memory| memory.refetches >= LASTING)
    }

    /// When `CloudTrail` was asked about the group last.
    pub(super) fn asked(&self, key: &Key, uid: &str) -> Option<Timestamp> {
        self.with(key, uid, |memory| memory.asked)
    }

    /// `CloudTrail` is asked about the group now.
    pub(super) fn asks(&self, key: &Key, uid: &str, now: Timestamp) {
        self.with(key, uid, |memory| memory.asked = Some(now));
    }

    /// We created the group just now.
    pub(super) fn created(&self, key: &Key, uid: &str, now: Instant) {
        self.with(key, uid, |memory| {
            memory.created = Some(now);
            memory.shown = false;
            memory.missing = None;
        });
    }

    /// The group was there. From now on its absence is no lag of its creation.
    pub(super) fn present(&self, key: &Key, uid: &str) {
        self.with(key, uid, |memory| {
            memory.missing = None;
            memory.created = None;
            memory.shown = true;
        });
    }

    /// The group that is being taken over carries our tags, or gets them now; for how long by now.
    pub(super) fn marked(&self, key: &Key, uid: &str, now: Instant) -> Duration {
        self.with(key, uid, |memory| now.duration_since(*memory.marked.get_or_insert(now)))
    }

    /// The group that is to be taken over lacks our tags: from when they are there, it is waited anew.
    pub(super) fn unmarked(&self, key: &Key, uid: &str) {
        self.with(key, uid, |memory| memory.marked = None);
    }

    /// A read did not show the group. Whether that is enough to believe it, else when to read again. `settled`: by its status
    /// it was seen whole before; if not, whoever worked here before us may have created it moments ago.
    pub(super) fn absent(&self, key: &Key, uid: &str, settled: bool, now: Instant, timings: &Timings) -> Absence {
        self.with(key, uid, |memory| {
            let (since, reads) = memory.missing.map_or((now, 1), |(since, reads)| (since, reads.saturating_add(1)));
            memory.missing = Some((since, reads));
            // A group created moments ago may not show everywhere yet (EC2 is eventually consistent).
            let born = memory.created.or_else(|| (!settled && !memory.shown).then_some(since));
            let lag = born.map_or(Duration::ZERO, |born| timings.visibility.saturating_sub(now.duration_since(born)));
            let rest = timings.absence.saturating_sub(now.duration_since(since)).max(lag);
            if reads >= READS_OF_ABSENCE && rest.is_zero() {
                return Absence::Confirmed;
            }
            let missing_reads = READS_OF_ABSENCE.saturating_sub(reads).max(1);
            let pause = (rest / missing_reads).max(timings.visible_poll);
            Absence::Suspected { reads, pause }
        })
    }
}

/// What a read without the group amounts to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// Not enough yet.
    Suspected {
        /// Reads so far.
        reads: u32,
        /// When to read again.
        pause: Duration,
    },
    /// The group is gone.
    Confirmed,
}

/// Resource versions of one object grow (Kubernetes 1.35 made that a promise; it always was so with etcd). What is not a
/// number is not compared.
fn version(object: &SecurityGroup) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { namespace: "shop".into(), name: "web".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_gone_after_three_reads_over_the_whole_time() {
        let memories = Memories::default();
        let timings = Timings::default();
        let mut pauses = Vec::new();
        loop {
            match memories.absent(&key(), "u", true, Instant::now(), &timings) {
                Absence::Confirmed => break,
                Absence::Suspected { reads: _, pause } => {
                    pauses.push(pause);
                    tokio::time::advance(pause).await;
                }
            }
        }
        assert_eq!(pauses, [Duration::from_secs(30), Duration::from_secs(30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_created_moments_ago_is_given_longer() {
        let memories = Memories::default();
        memories.created(&key(), "u", Instant::now());
        let mut waited = Duration::ZERO;
        while let Absence::Suspected { reads: _, pause } = memories.absent(&key(), "u", true, Instant::now(), &Timings::default()) {
            waited += pause;
            tokio::time::advance(pause).await;
        }
        assert_eq!(waited, Duration::from_secs(300));
    }

    #[tokio::test(start_paused = true)]
    async fn so_is_one_that_another_process_may_have_created_moments_ago() {
        for (shown, expected) in [(false, 300), (true, 60)] {
            let memories = Memories::default();
            if shown {
                memories.present(&key(), "u");
            }
            let mut waited = Duration::ZERO;
            let timings = Timings::default();
            while let Absence::Suspected { reads: _, pause } = memories.absent(&key(), "u", false, Instant::now(), &timings) {
                waited += pause;
                tokio::time::advance(pause).await;
            }
            assert_eq!(waited, Duration::from_secs(expected), "shown: {shown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_shows_the_group_starts_the_count_anew() {
        let memories = Memories::default();
        let timings = Timings::default();
        let _ = memories.absent(&key(), "u", true, Instant::now(), &timings);
        tokio::time::advance(Duration::from_secs(600)).await;
        memories.present(&key(), "u");
        assert!(matches!(memories.absent(&key(), "u", true, Instant::now(), &timings), Absence::Suspected { reads: 1, pause: _ }));
    }

    #[test]
    fn the_newer_of_watch_and_own_write_counts() {
        let memories = Memories::default();
        let at = |version: &str| {
            let mut object = SecurityGroup::new("web", crate::api::SecurityGroupSpec::default());
            object.metadata.uid = Some("u".into());
            object.metadata.resource_version = Some(version.into());
            object
        };
        memories.wrote(&key(), &at("10"));
        assert_eq!(memories.newest(&key(), at("9")).metadata.resource_version.as_deref(), Some("10"));
        assert_eq!(memories.newest(&key(), at("11")).metadata.resource_version.as_deref(), Some("11"));
        let mut other = at("3");
        other.metadata.uid = Some("v".into());
        memories.wrote(&key(), &at("10"));
        assert_eq!(memories.newest(&key(), other).metadata.resource_version.as_deref(), Some("3"), "another object of the name");
    }
}
