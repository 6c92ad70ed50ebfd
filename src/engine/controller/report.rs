//! Writes what a pass found: status if it says anything new, then Events and counters for what became true.

use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;
use uuid::Uuid;

use crate::api::{DriftKind, DriftRecord, SecurityGroup, SecurityGroupStatus};
use crate::core::attribution::is_untold;
use crate::core::audit::{ATTRIBUTION, AttributionRecord, AuditRecord, RECORD_VERSION};
use crate::core::status::{self, Reason, Told};
use crate::engine::execute::keep;
use crate::ports::metrics::{Naming, StatusWrite};
use crate::ports::objects::{Key, Notice, ObjectsError};
use crate::ports::spans;

use super::context::Context;

/// Writes a status unless it says what the object says already. Returns the object as it is then. With `patience`, a store that
/// takes longer counts as silent.
pub(super) async fn write_status(
    context: &Context,
    key: &Key,
    object: &SecurityGroup,
    mut next: SecurityGroupStatus,
    patience: Option<Duration>,
) -> Result<SecurityGroup, ObjectsError> {
    let before = object.status.clone().unwrap_or_default();
    next.uid.clone_from(&object.metadata.uid);
    if next == before {
        context.memories.is_saved(key, object.metadata.uid.as_deref().unwrap_or_default());
        return Ok(object.clone());
    }
    context.record_notices(key, &before, &mut next);
    for record in attributions(&before, &next) {
        // Before the status: a crash in between tells it again, and not never.
        keep(context.parts.audit.as_ref(), &context.parts.metrics, &attribution(context, key, &next, record)).await;
    }
    let written = write(context, object, &next, patience).instrument(spans::status_write()).await?;
    context.memories.wrote(key, &written);
    context.memories.saved(key, &written);
    context.passing.stored(key, &next);
    context.tell_couriers();
    log_flips(&before, &next);
    let told = status::notices(&before, &next);
    count(context, &before, &next);
    for item in told {
        tell(context, &written, item).await;
    }
    Ok(written)
}

/// The records of which it was learned, or learned anew, who made the edit, after they were stored.
fn attributions<'a>(before: &'a SecurityGroupStatus, next: &'a SecurityGroupStatus) -> impl Iterator<Item = &'a DriftRecord> {
    fn person(record: &DriftRecord) -> Option<(Option<&str>, Option<&str>)> {
        record.actor.as_ref().map(|actor| (actor.name.as_deref(), actor.arn.as_deref())).filter(|who| *who != (None, None))
    }
    next.drift.iter().filter(|record| {
        let known = before.drift.iter().find(|known| known.id == record.id);
        known.is_some_and(|known| person(known) != person(record))
    })
}

fn attribution(context: &Context, key: &Key, status: &SecurityGroupStatus, record: &DriftRecord) -> AuditRecord {
    AuditRecord::Attribution(Box::new(AttributionRecord {
        version: RECORD_VERSION,
        id: format!("a-{}", Uuid::now_v7().simple()),
        time: context.parts.clock.now().to_string(),
        phase: ATTRIBUTION,
        cluster: context.parts.cluster.clone(),
        account: status.account.clone(),
        region: status.region.clone(),
        group_id: status.group_id.clone(),
        object: key.to_string(),
        uid: status.uid.clone().unwrap_or_default(),
        drift_id: record.id.clone(),
        actor: record.actor.clone().unwrap_or_default(),
        trace_id: record.trace_id.clone(),
    }))
}

async fn write(
    context: &Context,
    object: &SecurityGroup,
    next: &SecurityGroupStatus,
    patience: Option<Duration>,
) -> Result<SecurityGroup, ObjectsError> {
    let write = context.parts.objects.write_status(object, next);
    let answer = match patience {
        Some(patience) => {
            tokio::time::timeout(patience, write).await.unwrap_or_else(|late| Err(ObjectsError::Unavailable(Box::new(late))))
        }
        None => write.await,
    };
    context.parts.metrics.status.wrote(match &answer {
        Ok(_) => StatusWrite::Success,
        Err(ObjectsError::Conflict | ObjectsError::Gone) => StatusWrite::Conflict,
        Err(ObjectsError::Refused(_) | ObjectsError::Unavailable(_)) => StatusWrite::Error,
    });
    if let Err(error) = &answer {
        spans::failed(error.into());
    }
    answer
}

/// Records one Event.
pub(super) async fn tell(context: &Context, object: &SecurityGroup, told: Told) {
    let Told { warning, reason, action, note } = told;
    tracing::info!(reason = reason.as_str(), note, "event");
    context.parts.objects.record_event(object, &Notice { warning, reason: reason.as_str(), action, note }).await;
}

/// An Event about something that was done, not found.
pub(super) fn done(reason: Reason, note: String) -> Told {
    Told { warning: false, reason, action: "Reconcile".to_owned(), note }
}

/// Each condition that flipped, once.
fn log_flips(before: &SecurityGroupStatus, after: &SecurityGroupStatus) {
    for condition in &after.conditions {
        let known = before.conditions.iter().find(|known| known.type_ == condition.type_);
        if known.is_none_or(|known| known.status != condition.status || known.reason != condition.reason) {
            tracing::info!(
                condition = condition.type_,
                status = condition.status,
                reason = condition.reason,
                message = condition.message,
                "condition"
            );
        }
    }
}

fn count(context: &Context, before: &SecurityGroupStatus, after: &SecurityGroupStatus) {
    let metrics = &context.parts.metrics.drift;
    // A word of another release is not made a label: there could be any number.
    let kind_of = |kind: &str| DriftKind::parse(kind).map_or("Unknown", DriftKind::as_str);
    for record in &after.drift {
        let known = before.drift.iter().find(|known| known.id == record.id);
        let resolved_now = record.resolved_at.is_some() && known.is_none_or(|known| known.resolved_at.is_none());
        let reverted_now = resolved_now && record.resolution == crate::api::Resolution::Reverted.as_str();
        for atom in &record.atoms {
            if known.is_none() {
                metrics.detected(kind_of(&atom.kind), 1);
            }
            if reverted_now {
                metrics.reverted(kind_of(&atom.kind), 1);
            }
        }
        if let Some(time) = lasted(record).filter(|_| reverted_now) {
            metrics.reverted_after(time);
        }
        if let Some(answer) = naming(record).filter(|answer| known.and_then(naming) != Some(*answer)) {
            metrics.attributed(answer);
        }
    }
}

/// From seeing an edit to its end.
fn lasted(record: &DriftRecord) -> Option<Duration> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    Duration::try_from(time(&record.resolved_at)?.duration_since(time(&record.detected_at)?)).ok()
}

/// Whether a record names somebody; `None` while that is not decided.
fn naming(record: &DriftRecord) -> Option<Naming> {
    record.actor.as_ref().map(|_| if is_untold(record) { Naming::Unknown } else { Naming::Named })
}
