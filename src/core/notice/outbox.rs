//! What a status still owes to whom.
//!
//! Entry points: [`record`], [`owed`], [`mark`], [`told`].
//!
//! Invariant: whoever is not known yet may be owed anything: a record goes only when it is known that nobody waits for it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Notice, Place, severity, tell};
use crate::api::conditions::{DRIFTED, READY};
use crate::api::{
    DriftRecord, MAX_NOTICE_MESSAGE, MAX_NOTICES, MAX_NOTIFIED, NoticeKind, NoticeRecord, Notified, Resolution,
    SecurityGroupStatus, Severity,
};
use crate::core::desired::{Recipient, Wanted};
use crate::core::status::{self, Reason, cut, is_open};

/// How long an edit may take to be put right before it is told that it is not: usually it is told of when it is over.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// A recipient, and from when on it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whom to tell.
    pub recipient: Recipient,
    /// What happened before is none of its business; `None`: it was not looked at yet, so from now on.
    pub since: Option<Timestamp>,
}

/// Who is told of one group.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// Everybody whose wishes are known, in the order of their names.
    pub listeners: &'a [Listener],
    /// Whether that is everybody: what others want cannot be told yet, and may be anything.
    pub complete: bool,
    /// The namespace of the group.
    pub namespace: &'a str,
    /// Its labels, where they are known.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// What a message says of an edit, beyond that it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Who made it.
    pub actor: bool,
    /// How it ended.
    pub end: bool,
}

impl Audience<'_> {
    /// Those who are to be told, as far as a record has room for them.
    fn of(&self, story: &Story<'_>) -> Vec<(&Listener, Wanted)> {
        let wants = |listener: &&Listener| listener.recipient.wants(story.kind, story.severity, self.namespace, self.labels);
        let heard_from = |listener: &Listener| story.at.is_some_and(|at| listener.since.is_none_or(|since| at >= since));
        let all = self.listeners.iter().filter(|listener| heard_from(listener));
        all.map(|listener| (listener, wants(&listener))).filter(|(_, wanted)| *wanted != Wanted::No).take(MAX_NOTIFIED).collect()
    }

    /// Whether somebody is still to be told, or could be.
    fn waits(&self, story: &Story<'_>) -> bool {
        !self.complete || self.of(story).iter().any(|(listener, _)| story.news(&listener.recipient.name).is_some())
    }
}

/// A record of a status, as something that is told.
struct Story<'a> {
    id: &'a str,
    kind: NoticeKind,
    severity: Severity,
    /// When it became true; `None`: nobody can tell, and then nobody is told.
    at: Option<Timestamp>,
    /// What is known of it now.
    known: Heard,
    /// Who was told what.
    notified: &'a [Notified],
    /// Whether it may still be put right before anybody has to hear of it.
    pending: bool,
    subject: Subject<'a>,
}

enum Subject<'a> {
    Drift(&'a DriftRecord),
    Notice(&'a NoticeRecord),
}

impl<'a> Story<'a> {
    fn of_drift(record: &'a DriftRecord) -> Self {
        let (kind, severity) = severity::of_drift(record);
        Self {
            id: &record.id,
            kind,
            severity,
            at: record.detected_at.as_ref().and_then(|at| at.parse().ok()),
            known: Heard { actor: is_named(record), end: !is_open(record) },
            notified: &record.notified,
            pending: is_open(record) && record.resolution == Resolution::Pending.as_str(),
            subject: Subject::Drift(record),
        }
    }

    fn of_notice(record: &'a NoticeRecord) -> Self {
        Self {
            id: &record.id,
            // A word of another release is told to whoever wants everything that matters.
            kind: NoticeKind::parse(&record.kind).unwrap_or(NoticeKind::Failure),
            severity: Severity::parse(&record.severity).unwrap_or(Severity::High),
            at: record.at.as_ref().and_then(|at| at.parse().ok()),
            known: Heard { actor: true, end: true },
            notified: &record.notified,
            pending: false,
            subject: Subject::Notice(record),
        }
    }

    /// What somebody has not heard yet; `Some(false)`: of any of it.
    fn news(&self, recipient: &str) -> Option<bool> {
        let Some(before) = self.notified.iter().find(|before| before.notifier == recipient) else { return Some(false) };
        let more = (self.known.actor && !before.with_actor) || (self.known.end && !before.with_end);
        more.then_some(true)
    }
}

fn stories(status: &SecurityGroupStatus) -> impl Iterator<Item = Story<'_>> {
    status.drift.iter().map(Story::of_drift).chain(status.notices.iter().map(Story::of_notice))
}

/// What a recipient has not heard yet of a group, oldest first.
pub fn owed(status: &SecurityGroupStatus, name: &str, audience: &Audience<'_>, recipient: &str, now: Timestamp) -> Vec<Notice> {
    // The usual case, of thousands of groups.
    if status.drift.is_empty() && status.notices.is_empty() {
        return Vec::new();
    }
    let place = Place {
        namespace: audience.namespace.to_owned(),
        name: name.to_owned(),
        account: status.account.clone(),
        region: status.region.clone(),
        group: status.group_id.clone(),
    };
    let mut owed = Vec::new();
    for story in stories(status) {
        let addressed = audience.of(&story).iter().any(|(of, wanted)| of.recipient.name == recipient && *wanted == Wanted::Yes);
        let (Some(update), Some(at), true) = (story.news(recipient), story.at, addressed) else { continue };
        if story.pending && !update && now.duration_since(at) < PATIENCE {
            continue;
        }
        let told = match story.subject {
            Subject::Drift(record) => tell::drift(record, &place, update, now),
            Subject::Notice(record) => tell::notice(record, &place),
        };
        let tell::Told { headline, facts, advice, command, data } = told;
        owed.push(Notice {
            key: format!("{}/{name}/{}", place.namespace, story.id),
            record: story.id.to_owned(),
            heard: story.known,
            update,
            kind: story.kind,
            severity: story.severity,
            at,
            place: place.clone(),
            headline,
            facts,
            advice,
            command,
            data,
        });
    }
    owed.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
    owed
}

/// The status once `recipient` took what it says of these records. What nobody waits for any more goes.
pub fn mark(
    status: &SecurityGroupStatus,
    taken: &[(String, Heard)],
    recipient: &str,
    at: Timestamp,
    audience: &Audience<'_>,
) -> SecurityGroupStatus {
    let mut next = status.clone();
    let note = |id: &str, notified: &mut Vec<Notified>| {
        let Some((_, heard)) = taken.iter().find(|(taken, _)| taken == id) else { return };
        // Those that are gone make room.
        let exists = |name: &str| !audience.complete || audience.listeners.iter().any(|of| of.recipient.name == name);
        notified.retain(|before| before.notifier != recipient && exists(&before.notifier));
        let (name, at) = (recipient.to_owned(), Some(status::whole_second(at).to_string()));
        notified.push(Notified { notifier: name, at, with_actor: heard.actor, with_end: heard.end });
        notified.sort_by(|a, b| a.notifier.cmp(&b.notifier));
        notified.truncate(MAX_NOTIFIED);
    };
    next.drift.iter_mut().for_each(|record| note(&record.id, &mut record.notified));
    next.notices.iter_mut().for_each(|record| note(&record.id, &mut record.notified));
    next.notices.retain(|record| audience.waits(&Story::of_notice(record)));
    next
}

/// The drift records that may go when room is needed: they are over, and nobody waits to hear so.
pub fn told(status: &SecurityGroupStatus, audience: &Audience<'_>) -> BTreeSet<String> {
    let done = |record: &&DriftRecord| {
        let story = Story::of_drift(record);
        let addressed = !audience.complete || !audience.of(&story).is_empty();
        // One that is still open may have to be told of once more when it ends.
        !addressed || (!is_open(record) && !audience.waits(&story))
    };
    status.drift.iter().filter(done).map(|record| record.id.clone()).collect()
}

/// Adds to a status that is about to be written what becomes true with it and somebody wants to hear, besides its drift.
pub fn record(before: &SecurityGroupStatus, next: &mut SecurityGroupStatus, uid: &str, now: Timestamp, audience: &Audience<'_>) {
    let told = status::notices(before, next).into_iter().map(|told| (told.reason, told.action, told.note));
    for (reason, action, note) in told.chain(war(before, next)) {
        add(next, (reason, &action, &note), uid, now, audience);
    }
}

/// Adds one thing to a status, if somebody wants to hear it: why, what tells it from others of its kind, and in words.
pub fn add(
    next: &mut SecurityGroupStatus,
    (reason, action, note): (Reason, &str, &str),
    uid: &str,
    now: Timestamp,
    audience: &Audience<'_>,
) {
    let Some((kind, severity)) = severity::of_reason(reason) else { return };
    let notice = NoticeRecord {
        id: id([uid, reason.as_str(), action, &now.to_string()]),
        kind: kind.into(),
        severity: severity.into(),
        reason: reason.as_str().to_owned(),
        at: Some(now.to_string()),
        message: cut(note, MAX_NOTICE_MESSAGE),
        notified: Vec::new(),
    };
    if audience.waits(&Story::of_notice(&notice)) {
        next.notices.insert(0, notice);
    }
    while next.notices.len() > MAX_NOTICES {
        let (Some(oldest), Some(other)) = (next.notices.pop(), next.notices.pop()) else { return };
        next.notices.push(merge(oldest, &other));
    }
}

/// That an edit has come to be made again and again. Events are told of it by who counts; a message has to be in the status.
fn war(before: &SecurityGroupStatus, next: &SecurityGroupStatus) -> Option<(Reason, String, String)> {
    let fought = |status: &SecurityGroupStatus| {
        let of_war = |kind: &str| {
            let condition = status.conditions.iter().find(|condition| condition.type_ == kind)?;
            (condition.reason == Reason::RevertWar.as_str()).then(|| condition.message.clone())
        };
        of_war(DRIFTED).or_else(|| of_war(READY))
    };
    if fought(before).is_some() {
        return None;
    }
    Some((Reason::RevertWar, "Reconcile".to_owned(), fought(next)?))
}

/// Two notices as one, about which only those were told that were told of both.
fn merge(older: NoticeRecord, newer: &NoticeRecord) -> NoticeRecord {
    let weight = |record: &NoticeRecord| Severity::parse(&record.severity).ok();
    let heavier = if weight(newer) > weight(&older) { newer } else { &older };
    NoticeRecord {
        kind: heavier.kind.clone(),
        severity: heavier.severity.clone(),
        reason: heavier.reason.clone(),
        message: cut(&format!("{}; then: {}", older.message, newer.message), MAX_NOTICE_MESSAGE),
        notified: older
            .notified
            .into_iter()
            .filter(|one| newer.notified.iter().any(|other| other.notifier == one.notifier))
            .collect(),
        id: older.id,
        at: older.at,
    }
}

/// Whether somebody is named, or there are calls of which nobody can tell which it was. That no call is known is no news.
fn is_named(record: &DriftRecord) -> bool {
    record.actor.as_ref().is_some_and(|actor| actor.name.is_some() || actor.event_name.is_some())
}

/// An id that two things told at different times, or of different groups, do not share.
fn id(parts: [&str; 4]) -> String {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(parts.join("\u{1f}")).into();
    format!("n-{a:02x}{b:02x}{c:02x}{d:02x}")
}
