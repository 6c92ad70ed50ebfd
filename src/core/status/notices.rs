//! What people are told as Kubernetes Events: each thing once, when it becomes true.
//!
//! Invariant: everything is read off two statuses, so that what was told before a restart is not told again. Of a war there is
//! nothing here: a status names one of several, and forgets it in a pass that fails. Who counts the reverts tells it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use strum::IntoEnumIterator;

use crate::api::conditions::{LIMITED, READY, REFERENCES_RESOLVED, SUSPENDED};
use crate::api::{DriftKind, DriftRecord, Mode, Resolution, SecurityGroupStatus};

use super::drift::describe;
use super::reason::Reason;

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it calls for attention.
    pub warning: bool,
    /// Why, from the closed list.
    pub reason: Reason,
    /// Tells equal reasons apart where Kubernetes would fold them.
    pub action: String,
    /// The sentence.
    pub note: String,
}

/// What became true between two statuses.
pub fn notices(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Vec<Told> {
    let mut told: Vec<Told> = after.drift.iter().rev().filter_map(|record| drift(before, after, record)).collect();
    told.extend(suspend(before, after));
    told.extend(approval(before, after));
    told.extend(expiry(before, after));
    told.extend(stale(before, after));
    told.extend(limits(before, after));
    told.extend(references(before, after));
    told.extend(failure(before, after));
    told
}

fn condition<'a>(status: &'a SecurityGroupStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// The reason of a condition, if it has the status given.
fn reason<'a>(status: &'a SecurityGroupStatus, kind: &str, value: &str) -> Option<&'a str> {
    condition(status, kind).filter(|condition| condition.status == value).map(|condition| condition.reason.as_str())
}

fn drift(before: &SecurityGroupStatus, after: &SecurityGroupStatus, record: &DriftRecord) -> Option<Told> {
    let known = before.drift.iter().find(|known| known.id == record.id);
    let who = super::who(record);
    if known.is_some_and(|known| known.resolution == record.resolution && known.resolved_at == record.resolved_at) {
        return known.and_then(|known| attributed(known, record));
    }
    // What is being put right is told when it is done; then, or when it is left alone, it is told for the first time.
    let untold = known.is_none_or(|known| known.resolution == Resolution::Pending.as_str());
    let what = describe(record);
    let id = &record.id;
    let (reason, note) = match Resolution::parse(&record.resolution).ok()? {
        Resolution::Reverted => (Reason::DriftReverted, format!("Put right: {who} {what}. Drift {id}")),
        Resolution::Reported if untold => {
            (Reason::DriftReported, begun(&format!("{who} {what}; {}. Drift {id}", why_left(record, after))))
        }
        Resolution::Suspended if untold => {
            (Reason::DriftReported, begun(&format!("{who} {what}; left alone while reverts are suspended. Drift {id}")))
        }
        Resolution::Tolerated if untold => (Reason::DriftReported, begun(&format!("{who} {what}; tolerated by now. Drift {id}"))),
        Resolution::Declared if untold => (Reason::DriftReported, begun(&format!("{who} {what}; declared by now. Drift {id}"))),
        Resolution::Unknown if untold => {
            (Reason::DriftReported, begun(&format!("{who} {what}; what became of it is not known. Drift {id}")))
        }
        Resolution::Transient if untold => {
            (Reason::DriftReported, begun(&format!("{who} {what}, before any read could show it. Drift {id}")))
        }
        Resolution::Reported
        | Resolution::Transient
        | Resolution::Suspended
        | Resolution::Tolerated
        | Resolution::Declared
        | Resolution::Unknown
        | Resolution::Pending => return None,
    };
    Some(Told { warning: true, reason, action: format!("{reason}-{id}"), note })
}

/// A drift that was told before, and whose author is known now.
fn attributed(known: &DriftRecord, record: &DriftRecord) -> Option<Told> {
    let name = |record: &DriftRecord| record.actor.as_ref().and_then(|actor| actor.name.clone());
    let told = record.resolution != Resolution::Pending.as_str();
    if !told || name(record).is_none() || name(known) == name(record) {
        return None;
    }
    let actor = record.actor.clone().unwrap_or_default();
    let from = actor.source_ip.map(|from| format!(" from {from}")).unwrap_or_default();
    let call = actor.event_name.map(|call| format!(" ({call})")).unwrap_or_default();
    let (id, reason) = (&record.id, Reason::DriftAttributed);
    let note = begun(&format!("{}{from}{call} {}. Drift {id}", super::who(record), describe(record)));
    Some(Told { warning: true, reason, action: format!("{reason}-{id}"), note })
}

/// With a capital where a word of ours begins it: names are left as they are.
fn begun(text: &str) -> String {
    text.strip_prefix("somebody").map_or_else(|| text.to_owned(), |rest| format!("Somebody{rest}"))
}

fn why_left(record: &DriftRecord, after: &SecurityGroupStatus) -> &'static str {
    let about = |kind: DriftKind| record.atoms.iter().any(|atom| atom.kind == kind.as_str());
    if about(DriftKind::PrefixListChanged) {
        "what is in it is its owner's to say"
    } else if about(DriftKind::VpcAssociationChanged) {
        "VPC associations are only watched"
    } else if after.mode.as_deref() == Some(Mode::Observe.as_str()) {
        "left alone in mode Observe"
    } else {
        "left alone (undeclaredRules: Report)"
    }
}

/// At its start (or when its end is moved), shortly before its end, and at its end.
fn suspend(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Vec<Told> {
    let on = |status: &SecurityGroupStatus| reason(status, SUSPENDED, "True").map(str::to_owned);
    let until = after.suspended_until.as_deref().unwrap_or_default();
    let tell = |reason: Reason, note: String| Told { warning: true, reason, action: format!("{reason}-{until}"), note };
    let Some(now) = on(after) else {
        let over = on(before).is_some();
        let left: Vec<String> = after.drift.iter().filter(|record| super::is_open(record)).map(describe).collect();
        let rest = if left.is_empty() {
            "nothing is to be reverted".to_owned()
        } else {
            format!("to be put right now: {}", left.join("; "))
        };
        let told =
            || Told { warning: false, ..tell(Reason::Resumed, format!("The suspend is over, edits are reverted again; {rest}")) };
        return over.then(told).into_iter().collect();
    };
    let message = condition(after, SUSPENDED).map(|condition| condition.message.clone()).unwrap_or_default();
    let mut told = Vec::new();
    let moved = on(before).is_none() || before.suspended_until != after.suspended_until;
    if moved {
        told.push(tell(Reason::Suspended, format!("Suspended: {message}")));
    }
    let soon = Reason::SuspendEndsSoon.as_str();
    if now == soon && (moved || on(before).as_deref() != Some(soon)) {
        told.push(tell(Reason::SuspendEndsSoon, format!("The suspend ends soon: {message}")));
    }
    told
}

fn approval(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Option<Told> {
    let approved = after.approved.as_ref()?;
    let known = before.approved.as_ref();
    // The same plan may be approved again for another generation; that it was carried out is no approval.
    let again = approved.generation.is_none() && known.is_some_and(|known| known.generation.is_some());
    if known.is_some_and(|known| known.hash == approved.hash && known.by == approved.by) && !again {
        return None;
    }
    let (hash, by) = (approved.hash.as_deref().unwrap_or_default(), approved.by.as_deref().unwrap_or("somebody"));
    let note = format!("{by} approved plan {hash}; it is carried out now");
    Some(Told { warning: false, reason: Reason::Approved, action: format!("Approved-{hash}"), note })
}

fn expiry(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Vec<Told> {
    let new = |known: &[String], now: &[String]| -> Vec<String> {
        now.iter().filter(|line| !known.contains(line)).map(|line| sentence(line)).collect()
    };
    let over = new(&before.expired, &after.expired);
    let soon = new(&before.expiring, &after.expiring);
    let tell = |reason: Reason, lines: &[String], what: &str| {
        let first = lines.first()?;
        Some(Told { warning: false, reason, action: format!("{reason}-{first}"), note: format!("{what}: {}", some_of(lines)) })
    };
    [
        tell(Reason::ExpiresSoon, &soon, "Ends within a day, and what it allows is closed then"),
        tell(Reason::Expired, &over, "Over, what it allowed is closed now"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Rules that have come to allow nothing.
fn stale(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Option<Told> {
    let new: Vec<String> = after.stale_rules.iter().filter(|rule| !before.stale_rules.contains(rule)).cloned().collect();
    let reason = Reason::StaleRule;
    let note = format!(
        "The group it refers to is deleted or out of reach, so that it allows nothing, and counts against the quota all the same: {}",
        some_of(&new)
    );
    Some(Told { warning: true, reason, action: format!("{reason}-{}", new.first()?), note })
}

/// `ingress https 2026-12-24T18:00:00Z` for people.
fn sentence(line: &str) -> String {
    line.rsplit_once(' ').map_or_else(|| line.to_owned(), |(what, time)| format!("{what} at {time}"))
}

/// The first five of a list.
fn some_of(lines: &[String]) -> String {
    let shown: Vec<&str> = lines.iter().take(5).map(String::as_str).collect();
    let more = lines.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join("; "))
}

fn limits(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Option<Told> {
    let limited = condition(after, LIMITED)?;
    if condition(before, LIMITED).is_some_and(|known| known.message == limited.message) {
        return None;
    }
    let action = Reason::PolicyLimited.to_string();
    Some(Told { warning: true, reason: Reason::PolicyLimited, action, note: limited.message.clone() })
}

/// What references wait for, told off their own condition: a pass that writes meanwhile does not touch it.
fn references(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Option<Told> {
    let resolved = condition(after, REFERENCES_RESOLVED)?;
    let reason = known(&resolved.reason)?;
    if reason == Reason::Succeeded || condition(before, REFERENCES_RESOLVED).is_some_and(|known| known.reason == resolved.reason) {
        return None;
    }
    Some(Told { warning: true, reason, action: "Reconcile".to_owned(), note: resolved.message.clone() })
}

/// A failure is told when its reason is new, not at every try; a plan that waits, when it is another plan.
fn failure(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Option<Told> {
    let now = condition(after, READY).filter(|condition| condition.status == "False")?;
    let reason = known(&now.reason)?;
    // Told of the references themselves, and by who counts the reverts.
    if matches!(reason, Reason::Progressing | Reason::ReferencesNotReady | Reason::ReferenceNotGranted | Reason::RevertWar) {
        return None;
    }
    let waits = matches!(reason, Reason::AwaitingApproval | Reason::MassChange);
    let hash = |status: &SecurityGroupStatus| status.plan.as_ref().and_then(|plan| plan.hash.clone());
    let same = condition(before, READY).is_some_and(|known| known.reason == now.reason);
    if same && !(waits && hash(before) != hash(after)) {
        return None;
    }
    let action = if waits { format!("Approve-{}", hash(after).unwrap_or_default()) } else { "Reconcile".to_owned() };
    Some(Told { warning: true, reason, action, note: now.message.clone() })
}

fn known(word: &str) -> Option<Reason> {
    Reason::iter().find(|reason| reason.as_str() == word)
}
