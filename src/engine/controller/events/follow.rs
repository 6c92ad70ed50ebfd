//! Follows one event until what it describes was seen: looks at the group at once, and again while EC2 does not show it yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use crate::api::{DriftAtom, DriftKind, DriftRecord, SecurityGroupStatus};
use crate::core::activity::{Change, Event, SLACK, What, Whose};
use crate::core::model::{Atom, LiveRule, RuleId, SecurityGroupId};
use crate::core::status::TransientEdit;
use crate::engine::region::{Trail, Worker};
use crate::ports::cloud::ErrorClass;
use crate::ports::objects::Key;

use super::super::context::Context;
use super::super::wakes::Trigger;
use super::attempts::tell_misuse;
use super::subjects::changed_list;

/// The waits before each look while EC2 does not show what an event describes.
const LOOKS: [Duration; 5] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];
/// What no read has shown so long after the event came was there in between, and is gone.
const UNSEEN: Duration = Duration::from_secs(120);
/// How long a pass that was asked for may take to end.
const PASS: Duration = Duration::from_secs(60);
/// How many events are known to have been followed; older ones are followed again when they come again, which does no harm.
const MOST: usize = 10_000;

/// Edits that no read has shown, until they are in the status of their object.
#[derive(Debug, Default)]
pub(in crate::engine::controller) struct Passing(Mutex<BTreeMap<Key, Vec<TransientEdit>>>);

impl Passing {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<TransientEdit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, key: &Key, edit: TransientEdit) {
        self.lock().entry(key.clone()).or_default().push(edit);
    }

    /// Those of an object.
    pub(in crate::engine::controller) fn of(&self, key: &Key) -> Vec<TransientEdit> {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    /// Those that a status says need not be kept.
    pub(in crate::engine::controller) fn stored(&self, key: &Key, status: &SecurityGroupStatus) {
        let mut all = self.lock();
        if let Some(edits) = all.get_mut(key) {
            edits.retain(|edit| status.drift.iter().all(|record| record.id != edit.record_id()));
            if edits.is_empty() {
                all.remove(key);
            }
        }
    }
}

/// Events that were followed to their end: they come twice.
#[derive(Debug, Default)]
pub(in crate::engine::controller) struct Followed(Mutex<BTreeMap<(Key, String), Timestamp>>);

impl Followed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Key, String), Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contains(&self, key: &Key, event: &Event) -> bool {
        self.lock().contains_key(&(key.clone(), event.id.clone()))
    }

    fn insert(&self, key: &Key, event: &Event, now: Timestamp) {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, at| now.duration_since(*at) < SignedDuration::from_mins(10));
        }
        if all.len() < MOST {
            all.insert((key.clone(), event.id.clone()), now);
        }
    }
}

/// Looks at the group until what the event describes was seen or is over. Whether all there is to say of it is in status.
pub(super) async fn follow(
    context: &Context,
    trail: &Trail,
    workers: &[Arc<Worker>],
    event: &Arc<Event>,
    key: Key,
    group: SecurityGroupId,
) -> bool {
    if context.followed.contains(&key, event) {
        return true;
    }
    let Some(_place) = context.crowds.enter(&key) else {
        // Others of this object wait for reads that may answer this one too. It comes again in a minute, and is seen to then.
        for worker in workers {
            worker.look_anew(&group);
        }
        context.wakes.wake(&key, Trigger::Event(event.id.clone()));
        return false;
    };
    let removed: BTreeSet<RuleId> =
        of_group(event, &group).filter(|change| change.what == What::Removed).filter_map(|change| change.rule_id.clone()).collect();
    for worker in workers {
        worker.others_removed(&group, &removed);
    }
    let done = Follow { context, trail, workers, event, key: &key, group: &group }.run().await;
    if done {
        context.followed.insert(&key, event, context.parts.clock.now());
    }
    done
}

fn of_group<'e>(event: &'e Event, group: &SecurityGroupId) -> impl Iterator<Item = &'e Change> {
    event.changes.iter().filter(move |change| change.group.as_ref().is_none_or(|it| it == group))
}

struct Follow<'a> {
    context: &'a Context,
    trail: &'a Trail,
    workers: &'a [Arc<Worker>],
    event: &'a Arc<Event>,
    key: &'a Key,
    group: &'a SecurityGroupId,
}

impl Follow<'_> {
    async fn run(&self) -> bool {
        let began = self.context.parts.clock.instant();
        let whose = self.trail.whose(self.event);
        if matches!(whose, Whose::OwnRole { same_session: _ }) && !self.is_of_our_term() {
            // Whoever led then most likely sent it; of what it did the look tells.
            return self.look().await;
        }
        let mut unseen = Vec::new();
        for wait in LOOKS {
            self.wait(wait).await;
            if !self.look().await {
                return false;
            }
            let Some(left) = self.unexplained().await else { return false };
            unseen = left;
            if unseen.is_empty() {
                break;
            }
        }
        // What else is not there by now comes with a sweep.
        unseen.retain(|change| is_of_rules(change));
        if !self.judge_role().await {
            return false;
        }
        if unseen.is_empty() {
            return true;
        }
        let rest =
            self.context.parts.timings.scaled(UNSEEN).saturating_sub(self.context.parts.clock.instant().duration_since(began));
        self.context.parts.clock.sleep(rest).await;
        // What is known by then decides: a stale read, or the status of a pass since.
        let Some(mut left) = self.unexplained().await else { return false };
        left.retain(|change| is_of_rules(change));
        if left.is_empty() {
            return true;
        }
        if left.iter().any(|change| change.what == What::GroupDeleted) {
            // It takes a minute or more until that is believed.
            return false;
        }
        self.tell_transient(&left);
        self.look().await && self.context.passing.of(self.key).iter().all(|edit| edit.event.id != self.event.id)
    }

    async fn wait(&self, wait: Duration) {
        if !wait.is_zero() {
            self.context.parts.clock.sleep(self.context.parts.timings.scaled(wait)).await;
        }
    }

    /// Reads what no pass reads by itself. Whether a look is worth it.
    async fn read_besides(&self, worker: &Worker) -> bool {
        for change in of_group(self.event, self.group) {
            let read = if let Some(list) = changed_list(&change.what) {
                worker.look_at_list(list).await
            } else if matches!(change.what, What::VpcAssociated(_) | What::VpcDisassociated(_)) {
                worker.look_at_associations(self.group).await
            } else {
                continue;
            };
            if let Err(error) = read {
                tracing::debug!(%error, "what an event tells of could not be read; a sweep does it");
                return !matches!(error.class, ErrorClass::Throttled | ErrorClass::Unavailable);
            }
        }
        true
    }

    /// A pass over the object, begun from now. Whether it ended with all that it found in status.
    async fn look(&self) -> bool {
        for worker in self.workers {
            if !self.read_besides(worker).await {
                return false;
            }
            worker.look_anew(self.group);
        }
        let asked = self.context.parts.clock.instant();
        self.context.wakes.wake(self.key, Trigger::Event(self.event.id.clone()));
        if self.context.look_up(self.key).is_none() {
            return true;
        }
        let limit = self.context.parts.timings.scaled(PASS).max(Duration::from_secs(1));
        let ended = timeout(limit, self.context.passes.after(self.key, asked)).await.is_ok();
        // A pass that could not read the group has seen nothing.
        ended && self.workers.iter().any(|worker| worker.viewed_since(self.group, asked))
    }

    /// What the event changed and neither status nor EC2 shows. `None`: EC2 cannot be read.
    async fn unexplained(&self) -> Option<Vec<&Change>> {
        let Some(object) = self.context.look_up(self.key) else { return Some(Vec::new()) };
        let object = self.context.memories.newest(self.key, object);
        let records = object.status.map(|status| status.drift).unwrap_or_default();
        let mut left: Vec<&Change> =
            of_group(self.event, self.group).filter(|change| !self.is_recorded(change, &records)).collect();
        left.retain(|change| !self.is_seen(change));
        left.retain(|change| change.rule_id.as_ref().is_none_or(|id| !self.trail.has_revoked(id)));
        if left.iter().all(|change| !is_of_rules(change)) {
            return Some(left);
        }
        let worker = self.workers.iter().find(|worker| worker.holders(self.group).contains(self.key))?;
        let rows = worker.rules_now(self.group).await.ok()?;
        left.retain(|change| !shows(change, &rows));
        Some(left)
    }

    /// Whether a change shows without the rows of the group: where it needs none, the pass looked at it.
    fn is_seen(&self, change: &Change) -> bool {
        let association = |vpc| self.workers.iter().find_map(|worker| worker.association(self.group, vpc));
        match &change.what {
            What::PrefixListChanged { list: Some(list), version: Some(version) } => {
                self.workers.iter().any(|worker| worker.list_version(list).is_none_or(|seen| seen >= *version))
            }
            What::VpcAssociated(Some(vpc)) => association(vpc).is_some(),
            What::VpcDisassociated(Some(vpc)) => association(vpc).is_none_or(|state| state.starts_with("dis")),
            What::Added | What::Modified(Some(_)) | What::GroupDeleted => false,
            What::Removed
            | What::Modified(None)
            | What::Described
            | What::Tagged(_)
            | What::Untagged(_)
            | What::GroupCreated
            | What::VpcAssociated(None)
            | What::VpcDisassociated(None)
            | What::PrefixListChanged { list: _, version: _ }
            | What::PrefixListDeleted(_) => true,
        }
    }

    fn is_recorded(&self, change: &Change, records: &[DriftRecord]) -> bool {
        let earliest = self.event.time.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        records.iter().any(|record| {
            let by_event = record.actor.as_ref().and_then(|actor| actor.event_id.as_ref()) == Some(&self.event.id);
            let seen = record.detected_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
            let about = || record.atoms.iter().any(|atom| is_about(atom, change));
            by_event || (seen.is_some_and(|seen| seen >= earliest) && about())
        })
    }

    fn tell_transient(&self, left: &[&Change]) {
        let shown = BTreeSet::new();
        let closed = self.trail.closed_again(self.group, self.event, &shown);
        let mut rules: Vec<Atom> = left.iter().filter_map(|change| change.atom.clone()).collect();
        rules.extend(closed.filter(|_| left.iter().all(|change| change.atom.is_none())));
        self.context.passing.note(self.key, TransientEdit { event: self.event.clone(), rules });
    }

    /// Tells where it is somebody else who acts with our role. By now every call of ours has its answer. Whether it is told, or
    /// need not be.
    async fn judge_role(&self) -> bool {
        let Whose::OwnRole { same_session: _ } = self.trail.whose(self.event) else { return true };
        !self.is_of_our_term() || tell_misuse(self.context, self.key, self.event).await
    }

    /// Whether it was made while this process led, and so recently that its own calls of then are known. Clocks differ, and the
    /// leader before wrote up to its last moment.
    fn is_of_our_term(&self) -> bool {
        let since = self.context.leading_since().and_then(|since| since.checked_add(SLACK).ok());
        since.is_some_and(|since| self.event.time > since) && !self.trail.is_forgotten(self.event)
    }
}

/// Whether what a change made shows in the rows of its group.
fn is_of_rules(change: &Change) -> bool {
    matches!(change.what, What::Added | What::Modified(Some(_)) | What::GroupDeleted)
}

/// Whether a difference in status is what a change made.
fn is_about(atom: &DriftAtom, change: &Change) -> bool {
    if change.what == What::GroupDeleted {
        return atom.kind == DriftKind::GroupDeleted.as_str();
    }
    if let (Some(known), Some(id)) = (&atom.rule_id, &change.rule_id) {
        return known == id.as_str();
    }
    let Some(text) = change.atom.as_ref().map(Atom::to_string) else { return false };
    [&atom.before, &atom.after].into_iter().flatten().any(|shown| shown.split(" \"").next() == Some(text.as_str()))
}

/// Whether EC2 shows what a change made.
fn shows(change: &Change, rows: &[LiveRule]) -> bool {
    match (&change.what, &change.rule_id, &change.atom) {
        (What::GroupDeleted, _, _) => false,
        (What::Modified(Some(becomes)), Some(id), _) => {
            rows.iter().any(|row| row.id == *id && row.atom == becomes.in_direction(row.atom.direction))
        }
        (What::Added, Some(id), _) => rows.iter().any(|row| row.id == *id),
        (What::Added, None, Some(atom)) => rows.iter().any(|row| row.atom == *atom),
        // Neither id nor rule: nobody can tell whether it shows.
        (_, _, _) => true,
    }
}
