//! What `CloudTrail` told of one account and Region, and what we know of our own calls there.
//!
//! Entry points: [`Trail::hear`], [`Trail::author`], [`Trail::sent`].
//!
//! Invariant: nothing here is state of a group. Losing it, as in a restart, costs names and never a revert.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::DriftRecord;
use crate::core::activity::{self, Activities, Bounds, Event, Inserted, Own, Transient, Whose, Window};
use crate::core::attribution::{Author, author, groups, lists};
use crate::core::model::{Atom, RuleId, SecurityGroupId};
use crate::ports::clock::Clock;

/// For how long events are kept, and so windows and requests.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// A request without an answer explains an event of the same group that is no further away than this.
const LOST: SignedDuration = SignedDuration::from_mins(2);
/// The most writes whose events are waited for at a time.
const MOST_AWAITED: usize = 1000;
/// The most revoked rules that are remembered.
const MOST_REVOKED: usize = 20_000;

/// The events of one account and Region, and our own calls there.
pub struct Trail {
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    own: Own,
    activities: Activities,
    /// When the edits of a drift record were made, by the record's id.
    windows: BTreeMap<String, Window>,
    /// Writes of ours that got no answer.
    lost: VecDeque<(Option<SecurityGroupId>, Timestamp)>,
    /// Rules that we revoked: whoever made them was seen.
    revoked: VecDeque<(RuleId, Timestamp)>,
    /// Writes of ours that were carried out and of which no event has come, the oldest first.
    awaited: VecDeque<(String, Timestamp)>,
    /// When any event came last.
    heard: Option<Timestamp>,
}

impl Trail {
    pub(super) fn new(clock: Clock) -> Self {
        let inner = Inner {
            own: Own::default(),
            activities: Activities::new(Bounds::default(), clock.now()),
            windows: BTreeMap::new(),
            lost: VecDeque::new(),
            revoked: VecDeque::new(),
            awaited: VecDeque::new(),
            heard: None,
        };
        Self { clock, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one that we act as, by ARN.
    pub(super) fn act_as(&self, arn: &str) {
        self.lock().own.act_as(arn);
    }

    /// A write of ours was answered. `done`: it was carried out, and `CloudTrail` is about to say so.
    pub(super) fn sent(&self, request_id: &str, done: bool) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.own.sent(request_id, now);
        inner.own.prune(now.checked_sub(KEPT).unwrap_or(Timestamp::MIN));
        if done {
            inner.awaited.push_back((request_id.to_owned(), now));
            while inner.awaited.len() > MOST_AWAITED {
                inner.awaited.pop_front();
            }
        }
    }

    /// A write of ours got no answer. `None`: it was to create a group.
    pub(super) fn unanswered(&self, group: Option<&SecurityGroupId>) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.lost.retain(|(_, at)| now.duration_since(*at) <= KEPT);
        inner.lost.push_back((group.cloned(), now));
    }

    /// We revoked these rules.
    pub(super) fn revoked(&self, rules: &[RuleId]) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.revoked.retain(|(_, at)| now.duration_since(*at) <= KEPT);
        inner.revoked.extend(rules.iter().map(|id| (id.clone(), now)));
        while inner.revoked.len() > MOST_REVOKED {
            inner.revoked.pop_front();
        }
    }

    /// Whether we revoked this rule within the last hour.
    pub fn has_revoked(&self, rule: &RuleId) -> bool {
        self.lock().revoked.iter().any(|(id, _)| id == rule)
    }

    /// Whether an event is so old that nobody remembers whether it was ours.
    pub fn is_forgotten(&self, event: &Event) -> bool {
        self.clock.now().duration_since(event.time) > KEPT
    }

    /// An event has come by a queue.
    pub fn hear(&self, event: Event) -> Inserted {
        let now = self.clock.now();
        self.lock().heard = Some(now);
        self.learn(event)
    }

    /// An event is known, by whatever way.
    pub(super) fn learn(&self, event: Event) -> Inserted {
        let now = self.clock.now();
        let mut inner = self.lock();
        if let Some(id) = &event.request_id {
            inner.awaited.retain(|(awaited, _)| awaited != id);
        }
        if inner.own.is_own(&event) {
            return Inserted::Irrelevant;
        }
        inner.activities.insert(event, now)
    }

    /// Whose call it was, as far as is known by now. A call with our role that may be one of ours without an answer is ours.
    pub fn whose(&self, event: &Event) -> Whose {
        let inner = self.lock();
        let near = |at: &Timestamp| event.time.duration_since(*at).abs() <= LOST;
        let whose = inner.own.whose(event);
        // A group that is being created has no id yet. Sessions are renamed when credentials are renewed.
        let of_it = |group: &Option<SecurityGroupId>| group.as_ref().is_none_or(|group| event.groups.contains(group));
        let lost = || inner.lost.iter().any(|(group, at)| of_it(group) && near(at));
        if matches!(whose, Whose::OwnRole { same_session: _ }) && lost() { Whose::Ours } else { whose }
    }

    /// Since when the event of a write of ours is missing, and nothing else has come since.
    pub fn silent_since(&self) -> Option<Timestamp> {
        let inner = self.lock();
        inner.awaited.iter().map(|(_, at)| *at).find(|at| inner.heard.is_none_or(|heard| heard < *at))
    }

    /// Who made the edits of a record, and whether all events are still kept that what it says was made of. `without`: when the last
    /// read began that did not show them, if that is known.
    pub fn author(&self, group: &SecurityGroupId, record: &DriftRecord, without: Option<Timestamp>) -> (Author, bool) {
        let now = self.clock.now();
        let with = record.detected_at.as_ref().and_then(|at| at.parse().ok()).unwrap_or(now);
        let mut inner = self.lock();
        inner.windows.retain(|_, window| now.duration_since(window.with) <= KEPT);
        // A read of after it, as after a restart, says nothing of before.
        let without = without.filter(|without| *without <= with);
        let window = *inner.windows.entry(record.id.clone()).or_insert(Window { without, with });
        let evidence = inner.activities.of(&groups(group, record), &lists(record));
        let named_by = record.actor.as_ref().and_then(|actor| actor.event_id.as_deref());
        let is_kept = named_by.is_some_and(|id| evidence.events.iter().any(|event| event.id == id));
        let grown = is_kept || evidence.is_whole(window);
        (author(group, record, window, &evidence, &inner.own), grown)
    }

    /// The rule that this event opened, and which another has closed again since; `None`: none, or it was not closed.
    pub fn closed_again(&self, group: &SecurityGroupId, opened: &Event, shown: &BTreeSet<Atom>) -> Option<Atom> {
        let inner = self.lock();
        let window = Window { without: Some(opened.time), with: self.clock.now() };
        let evidence = inner.activities.of_group(group);
        let found = activity::transient(group, window, shown, &evidence.events, &inner.own);
        found.into_iter().find(|Transient { opened: by, .. }| by.id == opened.id).and_then(|found| found.atom)
    }

    /// How much is kept, for the gauge.
    pub fn kept(&self) -> usize {
        self.lock().activities.len()
    }
}

/// The wall-clock time of a moment.
pub(super) fn time_of(clock: &Clock, moment: tokio::time::Instant) -> Timestamp {
    let ago: Duration = clock.instant().saturating_duration_since(moment);
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::ZERO);
    clock.now().checked_sub(ago).unwrap_or(Timestamp::MIN)
}
