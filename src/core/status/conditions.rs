//! Conditions: how an object stands, in the field's vocabulary.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::conditions::{
    DELETION_BLOCKED, DRIFTED, LIMITED, MAX_MESSAGE, READY, RECONCILING, REFERENCES_RESOLVED, STALLED, SUSPENDED, SYNCED,
};
use crate::api::{DriftRecord, Mode, Resolution, SecurityGroupStatus};

use super::drift::{cut, describe, is_open, who};
use super::reason::Reason;
use super::{Facts, outlook, suspend};

/// How an object stands at the end of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has been looked at yet. Written first of all: to kstatus an object without conditions is one that is done.
    Unseen,
    /// The pass did all that may be done now. What is left, and what it waits for, is told by the facts.
    Done,
    /// A pass is under way, or goes on soon.
    Progressing {
        /// With what.
        doing: String,
    },
    /// Something failed.
    Failed {
        /// What, from the closed list.
        reason: Reason,
        /// What, in words.
        message: String,
        /// Whether the manifest was understood, so that `Synced` can be judged.
        seen: bool,
    },
    /// The object is going and something holds its group.
    DeletionBlocked {
        /// What holds it.
        message: String,
    },
}

/// A condition to be, without its times.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: &'static str,
    status: &'static str,
    reason: Reason,
    message: String,
}

pub(super) fn draft(kind: &'static str, status: &'static str, reason: Reason, message: impl Into<String>) -> Draft {
    Draft { kind, status, reason, message: message.into() }
}

/// What is not ready for a reason: somebody has to act, or it goes on by itself.
pub(super) fn not_ready(reason: Reason, message: &str) -> Vec<Draft> {
    let attention = if reason.is_terminal() { STALLED } else { RECONCILING };
    vec![draft(READY, "False", reason, message), draft(attention, "True", reason, message)]
}

/// Nothing was looked at yet.
pub(super) fn unseen(kinds: &[&'static str], message: &str) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = kinds.iter().map(|kind| draft(kind, "Unknown", Reason::NotLookedAt, message)).collect();
    drafts.push(draft(RECONCILING, "True", Reason::NotLookedAt, message));
    drafts
}

pub(super) fn set(status: &mut SecurityGroupStatus, facts: &Facts<'_>) {
    let mut drafts = match &facts.standing {
        Standing::Unseen => unseen(&[READY, SYNCED], "sgwarden has not looked at the group yet"),
        Standing::Done => outlook::drafts(status, facts),
        Standing::Progressing { doing } => vec![
            draft(READY, "False", Reason::Progressing, doing),
            draft(SYNCED, "False", Reason::Progressing, doing),
            draft(RECONCILING, "True", Reason::Progressing, doing),
        ],
        Standing::Failed { reason, message, seen } => {
            let synced = if *seen { "False" } else { "Unknown" };
            let mut drafts = not_ready(*reason, message);
            drafts.push(draft(SYNCED, synced, *reason, message));
            drafts
        }
        Standing::DeletionBlocked { message } => {
            vec![draft(READY, "False", Reason::InUse, message), draft(DELETION_BLOCKED, "True", Reason::InUse, message)]
        }
    };
    drafts.extend(facts.desired.map(|desired| outlook::references(desired, facts.moved)));
    drafts.push(drifted(&status.drift, status.mode.as_deref(), facts.war));
    let mut unjudged = vec![REFERENCES_RESOLVED];
    if let Some(enforcement) = &facts.enforcement {
        drafts.extend(enforcement.suspended.and_then(|suspended| suspend::condition(suspended, &status.drift, facts.now)));
        drafts.extend(limited(enforcement.overruled));
    } else {
        unjudged.push(LIMITED);
        // Also while nobody can tell what is declared, a suspend ends in time.
        unjudged.extend(suspend::lasts(status, facts.now).then_some(SUSPENDED));
    }
    status.conditions = finish(&drafts, &status.conditions, &unjudged, facts.generation, facts.now);
}

/// A pass that begins does not unsay the failure of the last one: only its end can. Otherwise every try would flip the
/// conditions twice, and tell the failure anew.
pub fn keep_failure(next: &mut SecurityGroupStatus, previous: &SecurityGroupStatus) {
    let ready = previous.conditions.iter().find(|condition| condition.type_ == READY);
    let mut quiet = vec![Reason::Progressing, Reason::NotLookedAt, Reason::ReferencesNotReady];
    // Changes wait no more once they were approved; a pass that reverts an edit meanwhile says nothing of them.
    if next.approved != previous.approved {
        quiet.extend([Reason::AwaitingApproval, Reason::MassChange]);
    }
    let failed = ready.is_some_and(|ready| {
        let told = !quiet.iter().any(|reason| reason.as_str() == ready.reason);
        ready.status == "False" && told && ready.observed_generation == next.observed_generation
    });
    if !failed {
        return;
    }
    let told = |condition: &Condition| [READY, SYNCED, RECONCILING, STALLED].contains(&condition.type_.as_str());
    next.conditions.retain(|condition| !told(condition));
    next.conditions.extend(previous.conditions.iter().filter(|condition| told(condition)).cloned());
    next.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

fn limited(overruled: &[String]) -> Option<Draft> {
    (!overruled.is_empty()).then(|| draft(LIMITED, "True", Reason::PolicyLimited, overruled.join("; ")))
}

fn drifted(records: &[DriftRecord], mode: Option<&str>, war: Option<&str>) -> Draft {
    let fought = war.map(|what| {
        format!("made and reverted again and again: {what}; sgwarden goes on reverting it, find out who or what makes it")
    });
    if let Some(newest) = records.iter().find(|record| is_open(record)) {
        let reason = match Resolution::parse(&newest.resolution) {
            Ok(Resolution::Pending) => Reason::Progressing,
            Ok(Resolution::Suspended) => Reason::Suspended,
            Ok(
                Resolution::Reported
                | Resolution::Reverted
                | Resolution::Tolerated
                | Resolution::Declared
                | Resolution::Transient
                | Resolution::Unknown,
            )
            | Err(_) => Reason::DriftReported,
        };
        let message = format!("{}: {} ({})", doing(newest, mode), describe(newest), newest.id);
        return match fought {
            Some(fought) => draft(DRIFTED, "True", Reason::RevertWar, format!("{fought}; {message}")),
            None => draft(DRIFTED, "True", reason, message),
        };
    }
    if let Some(fought) = fought {
        return draft(DRIFTED, "False", Reason::RevertWar, fought);
    }
    match records.first() {
        Some(newest) if newest.resolution == Resolution::Reverted.as_str() => {
            let at = newest.resolved_at.as_deref().unwrap_or("an unknown time");
            draft(
                DRIFTED,
                "False",
                Reason::DriftReverted,
                format!("put right at {at}: {} {} ({})", who(newest), describe(newest), newest.id),
            )
        }
        Some(_) | None => draft(DRIFTED, "False", Reason::NoDrift, "nobody changed the group behind sgwarden's back"),
    }
}

/// What is done about an open drift.
pub(super) fn doing(record: &DriftRecord, mode: Option<&str>) -> &'static str {
    match Resolution::parse(&record.resolution) {
        Ok(Resolution::Pending) => "being put right",
        Ok(Resolution::Suspended) => "left alone while reverts are suspended",
        Ok(
            Resolution::Reported
            | Resolution::Reverted
            | Resolution::Tolerated
            | Resolution::Declared
            | Resolution::Transient
            | Resolution::Unknown,
        )
        | Err(_) => {
            if mode == Some(Mode::Observe.as_str()) {
                "reported, left alone (mode Observe)"
            } else {
                "reported, left alone (undeclaredRules: Report)"
            }
        }
    }
}

/// The conditions with their times, in the order of their types. Of those in `unjudged`, what this pass did not get to judge stays as
/// it was, with its time.
pub(super) fn finish(
    drafts: &[Draft],
    previous: &[Condition],
    unjudged: &[&str],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let judged: Vec<&str> = drafts.iter().map(|draft| draft.kind).collect();
    let stays = |known: &&Condition| unjudged.contains(&known.type_.as_str()) && !judged.contains(&known.type_.as_str());
    let mut conditions: Vec<Condition> = drafts.iter().map(|draft| timed(draft, previous, generation, now)).collect();
    conditions.extend(previous.iter().filter(stays).cloned());
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

fn timed(draft: &Draft, previous: &[Condition], generation: i64, now: Timestamp) -> Condition {
    let before = previous.iter().find(|condition| condition.type_ == draft.kind);
    // The time tells when the status flipped, not when it was last looked at.
    let since = before.filter(|before| before.status == draft.status).map(|before| before.last_transition_time.clone());
    Condition {
        type_: draft.kind.to_owned(),
        status: draft.status.to_owned(),
        reason: draft.reason.as_str().to_owned(),
        message: cut(&draft.message, MAX_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or(Time(super::whole_second(now))),
    }
}
