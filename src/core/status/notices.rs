//! What people are told as Kubernetes Events: each thing once, when it becomes true.

use crate::api::conditions::READY;
use crate::api::{DriftRecord, Resolution, SecurityGroupStatus};

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
    let mut told: Vec<Told> = after.drift.iter().rev().filter_map(|record| drift(before, record)).collect();
    told.extend(failure(before, after));
    told
}

fn drift(before: &SecurityGroupStatus, record: &DriftRecord) -> Option<Told> {
    let known = before.drift.iter().find(|known| known.id == record.id);
    if known.is_some_and(|known| known.resolution == record.resolution && known.resolved_at == record.resolved_at) {
        return None;
    }
    let what = describe(record);
    let (reason, note) = match Resolution::parse(&record.resolution).ok()? {
        Resolution::Reverted => (Reason::DriftReverted, format!("Put right: somebody {what}. Drift {}", record.id)),
        Resolution::Reported if known.is_none() => {
            (Reason::DriftReported, format!("Somebody {what}; left alone in mode Observe. Drift {}", record.id))
        }
        Resolution::Reported | Resolution::Pending => return None,
    };
    Some(Told { warning: true, reason, action: format!("{reason}-{}", record.id), note })
}

/// A failure is told when its reason is new, not at every try.
fn failure(before: &SecurityGroupStatus, after: &SecurityGroupStatus) -> Option<Told> {
    let ready = |status: &SecurityGroupStatus| status.conditions.iter().find(|condition| condition.type_ == READY).cloned();
    let now = ready(after).filter(|condition| condition.status == "False")?;
    if now.reason == Reason::Progressing.as_str() || ready(before).is_some_and(|before| before.reason == now.reason) {
        return None;
    }
    let reason = <Reason as strum::IntoEnumIterator>::iter().find(|reason| reason.as_str() == now.reason)?;
    Some(Told { warning: true, reason, action: "Reconcile".to_owned(), note: now.message })
}
