//! Conditions: how an object stands, in the field's vocabulary.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::conditions::{DELETION_BLOCKED, DRIFTED, MAX_MESSAGE, READY, RECONCILING, REFERENCES_RESOLVED, STALLED, SYNCED};
use crate::api::{DriftRecord, Resolution, SecurityGroupStatus};

use super::drift::{cut, describe, is_open};
use super::reason::Reason;

/// How an object stands at the end of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has been looked at yet. Written first of all: to kstatus an object without conditions is one that is done.
    Unseen,
    /// The group is as declared.
    Settled,
    /// Observe mode, and the group is not as declared.
    Observing {
        /// How many differences there are.
        differences: usize,
        /// Each rule that waits for a reference, and for what.
        held: Vec<String>,
    },
    /// The group is as declared but for rules that wait for a reference.
    Waiting {
        /// Each rule that waits, and for what.
        held: Vec<String>,
    },
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

/// What a settled object says.
pub fn settled_message(rules: usize) -> String {
    match rules {
        1 => "1 rule is as declared".to_owned(),
        rules => format!("{rules} rules are as declared"),
    }
}

struct Draft {
    kind: &'static str,
    status: &'static str,
    reason: Reason,
    message: String,
}

fn draft(kind: &'static str, status: &'static str, reason: Reason, message: impl Into<String>) -> Draft {
    Draft { kind, status, reason, message: message.into() }
}

pub(super) fn set(status: &mut SecurityGroupStatus, standing: &Standing, generation: i64, now: Timestamp) {
    let rules = status.rule_count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let mut drafts = match standing {
        Standing::Unseen => {
            let message = "sgwarden has not looked at the group yet";
            vec![
                draft(READY, "Unknown", Reason::NotLookedAt, message),
                draft(SYNCED, "Unknown", Reason::NotLookedAt, message),
                draft(RECONCILING, "True", Reason::NotLookedAt, message),
            ]
        }
        Standing::Settled => {
            let message = settled_message(rules);
            vec![
                draft(READY, "True", Reason::Succeeded, message.clone()),
                draft(SYNCED, "True", Reason::Succeeded, message),
                resolved(),
            ]
        }
        Standing::Observing { differences, held } => {
            let plural = if *differences == 1 { "difference is" } else { "differences are" };
            let message =
                format!("{differences} {plural} reported and left alone (mode Observe); status.plan lists what would be done");
            let reason = if status.drift.iter().any(is_open) { Reason::DriftReported } else { Reason::Observing };
            let references = if held.is_empty() {
                resolved()
            } else {
                draft(REFERENCES_RESOLVED, "False", Reason::ReferencesNotReady, held.join("; "))
            };
            vec![draft(READY, "True", reason, message.clone()), draft(SYNCED, "False", reason, message), references]
        }
        Standing::Waiting { held } => {
            let message = held.join("; ");
            vec![
                draft(READY, "False", Reason::ReferencesNotReady, message.clone()),
                draft(SYNCED, "False", Reason::ReferencesNotReady, "rules wait for their references"),
                draft(REFERENCES_RESOLVED, "False", Reason::ReferencesNotReady, message.clone()),
                draft(RECONCILING, "True", Reason::ReferencesNotReady, message),
            ]
        }
        Standing::Progressing { doing } => vec![
            draft(READY, "False", Reason::Progressing, doing.clone()),
            draft(SYNCED, "False", Reason::Progressing, doing.clone()),
            draft(RECONCILING, "True", Reason::Progressing, doing.clone()),
        ],
        Standing::Failed { reason, message, seen } => {
            let synced = if *seen { "False" } else { "Unknown" };
            let attention = if reason.is_terminal() { STALLED } else { RECONCILING };
            vec![
                draft(READY, "False", *reason, message.clone()),
                draft(SYNCED, synced, *reason, message.clone()),
                draft(attention, "True", *reason, message.clone()),
            ]
        }
        Standing::DeletionBlocked { message } => vec![
            draft(READY, "False", Reason::InUse, message.clone()),
            draft(DELETION_BLOCKED, "True", Reason::InUse, message.clone()),
        ],
    };
    drafts.push(drifted(&status.drift));
    let previous = std::mem::take(&mut status.conditions);
    // What this pass did not get to judge stays as it was, with its time.
    let judged = drafts.iter().any(|draft| draft.kind == REFERENCES_RESOLVED);
    let kept = previous.iter().find(|condition| condition.type_ == REFERENCES_RESOLVED && !judged).cloned();
    status.conditions = drafts.into_iter().map(|draft| finish(&draft, &previous, generation, now)).collect();
    status.conditions.extend(kept);
    status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

/// A pass that begins does not unsay the failure of the last one: only its end can. Otherwise every try would flip the
/// conditions twice, and tell the failure anew.
pub fn keep_failure(next: &mut SecurityGroupStatus, previous: &SecurityGroupStatus) {
    let ready = previous.conditions.iter().find(|condition| condition.type_ == READY);
    let quiet = [Reason::Progressing, Reason::NotLookedAt, Reason::ReferencesNotReady].map(Reason::as_str);
    let failed = ready.is_some_and(|ready| {
        ready.status == "False" && !quiet.contains(&ready.reason.as_str()) && ready.observed_generation == next.observed_generation
    });
    if !failed {
        return;
    }
    let told = |condition: &Condition| [READY, SYNCED, RECONCILING, STALLED].contains(&condition.type_.as_str());
    next.conditions.retain(|condition| !told(condition));
    next.conditions.extend(previous.conditions.iter().filter(|condition| told(condition)).cloned());
    next.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

fn resolved() -> Draft {
    draft(REFERENCES_RESOLVED, "True", Reason::Succeeded, "every reference is known")
}

fn drifted(records: &[DriftRecord]) -> Draft {
    let open: Vec<&DriftRecord> = records.iter().filter(|record| is_open(record)).collect();
    if let Some(newest) = open.first() {
        let (reason, done) = if newest.resolution == Resolution::Pending.as_str() {
            (Reason::Progressing, "being put right")
        } else {
            (Reason::DriftReported, "reported, left alone (mode Observe)")
        };
        return draft(DRIFTED, "True", reason, format!("{}: {} ({})", done, describe(newest), newest.id));
    }
    match records.first() {
        Some(newest) if newest.resolution == Resolution::Reverted.as_str() => {
            let at = newest.resolved_at.as_deref().unwrap_or("an unknown time");
            draft(
                DRIFTED,
                "False",
                Reason::DriftReverted,
                format!("put right at {at}: somebody {} ({})", describe(newest), newest.id),
            )
        }
        Some(_) | None => draft(DRIFTED, "False", Reason::NoDrift, "nobody changed the group behind sgwarden's back"),
    }
}

fn finish(draft: &Draft, previous: &[Condition], generation: i64, now: Timestamp) -> Condition {
    let before = previous.iter().find(|condition| condition.type_ == draft.kind);
    // The time tells when the status flipped, not when it was last looked at.
    let since = before.filter(|before| before.status == draft.status).map(|before| before.last_transition_time.clone());
    let whole_seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: draft.kind.to_owned(),
        status: draft.status.to_owned(),
        reason: draft.reason.as_str().to_owned(),
        message: cut(&draft.message, MAX_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or(Time(whole_seconds)),
    }
}
