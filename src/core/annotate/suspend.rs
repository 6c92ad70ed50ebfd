//! The annotation that stops reverts, and its end.

use jiff::Timestamp;

use crate::api::{Resolution, SUSPEND_ANNOTATION, SecurityGroup};
use crate::core::activity::presentable;
use crate::core::desired::{Suspension, suspend_of};
use crate::core::status::{describe, is_open, who};

use super::{Annotation, Refusal, Step, value, with};

/// The most characters of a reason: it is told in a condition, beside other things.
const MAX_REASON: usize = 200;

/// Reads a reason to suspend.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("say why, such as 'incident 4711'".to_owned());
    }
    if text.chars().any(char::is_control) || text.chars().count() > MAX_REASON {
        return Err(format!("a reason is one line of at most {MAX_REASON} characters"));
    }
    Ok(text.to_owned())
}

/// What suspends reverts of an object until then.
pub fn suspend(object: &SecurityGroup, until: Timestamp, reason: &str) -> Result<Step, Refusal> {
    let text = format!("{until} {reason}");
    let (counts, _) = suspend_of(&with(object, SUSPEND_ANNOTATION, Some(&text)));
    if let Some(counts) = counts.filter(|counts| counts.until > until) {
        return Err(Refusal::SpecLater(counts.until));
    }
    let before = value(object, SUSPEND_ANNOTATION);
    let label = before.as_ref().map_or_else(
        || "is to be suspended".to_owned(),
        |before| format!("is to be suspended, in place of '{}'", presentable(before)),
    );
    let annotation = Annotation { key: SUSPEND_ANNOTATION, before, after: Some(text) };
    let lines = vec![
        format!("nothing is reverted until {until}: {}", presentable(reason)),
        "the account's limits.maxSuspend (24h, unless it says otherwise) may end it earlier: see status.suspendedUntil".to_owned(),
    ];
    Ok(Step { annotation, label, lines })
}

/// What ends the suspension of an object.
pub fn resume(object: &SecurityGroup, now: Timestamp) -> Result<Step, Refusal> {
    let (of_spec, _) = suspend_of(&with(object, SUSPEND_ANNOTATION, None));
    if let Some(Suspension { until, reason: _ }) = of_spec.filter(|suspension| suspension.until > now) {
        return Err(Refusal::SpecSuspends(until));
    }
    let before = value(object, SUSPEND_ANNOTATION).ok_or(Refusal::NotSuspended)?;
    let label = format!("is to be resumed; it says '{}'", presentable(&before));
    Ok(Step {
        annotation: Annotation { key: SUSPEND_ANNOTATION, before: Some(before), after: None },
        label,
        lines: waiting(object),
    })
}

/// What is reverted once nothing is suspended.
fn waiting(object: &SecurityGroup) -> Vec<String> {
    let records = object.status.iter().flat_map(|status| &status.drift);
    let records = records.filter(|record| is_open(record) && record.resolution == Resolution::Suspended.as_str());
    let lines: Vec<String> = records
        .map(|record| presentable(&format!("then this is reverted: {} {} [{}]", who(record), describe(record), record.id)))
        .collect();
    if lines.is_empty() { vec!["there is nothing to revert so far".to_owned()] } else { lines }
}
