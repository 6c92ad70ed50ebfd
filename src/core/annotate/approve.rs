//! The annotation that lets the plan in an object's status pass.

use crate::api::{APPROVE_ANNOTATION, EffectiveMode, PlanSummary, SecurityGroup, SecurityGroupStatus, conditions};
use crate::core::activity::presentable;
use crate::core::desired::approval_of;
use crate::core::status::{self, Reason};

use super::{Annotation, Refusal, Step, value, with};

/// What approves the plan of an object that waits, in the name of `person`.
pub fn approve(object: &SecurityGroup, person: &str) -> Result<Step, Refusal> {
    let held = object.status.clone().unwrap_or_default();
    let plan = held.plan.as_ref().ok_or(Refusal::NothingWaits)?;
    let hash = plan.hash.as_deref().ok_or(Refusal::NothingWaits)?;
    if held.mode.as_deref() == Some(EffectiveMode::Observe.as_str()) {
        return Err(Refusal::Observes);
    }
    let now = object.metadata.generation.unwrap_or_default();
    let seen = held.observed_generation.unwrap_or_default();
    if seen != now {
        return Err(Refusal::Outdated { seen, now });
    }
    let counts = |object: &SecurityGroup| {
        let approved = status::approval(approval_of(object), &held, now)?;
        approved.by.filter(|_| approved.hash.as_deref() == Some(hash))
    };
    if let Some(by) = counts(object) {
        return Err(Refusal::Approved { hash: hash.to_owned(), by: presentable(&by) });
    }
    let text = format!("{hash} {person}{}", status::again(&held, hash, now));
    if counts(&with(object, APPROVE_ANNOTATION, Some(&text))).is_none() {
        return Err(Refusal::NoApproval(presentable(&text)));
    }
    let annotation = Annotation { key: APPROVE_ANNOTATION, before: value(object, APPROVE_ANNOTATION), after: Some(text) };
    Ok(Step { annotation, label: label(hash, &held), lines: lines(plan) })
}

/// The hash of the plan that an annotation approves.
pub(super) fn hash(annotation: &str) -> Option<&str> {
    let (hash, _) = annotation.split_once(' ')?;
    Some(hash).filter(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn label(hash: &str, status: &SecurityGroupStatus) -> String {
    // Nobody asked for this one to wait: it is to be looked at twice.
    let mass = <&str>::from(Reason::MassChange);
    let mut ready = status.conditions.iter().filter(|condition| condition.type_ == conditions::READY);
    let why = if ready.any(|condition| condition.reason == mass) { format!(" ({mass})") } else { String::new() };
    format!("plan {}{why}", presentable(hash))
}

/// The plan, as far as status holds it.
fn lines(plan: &PlanSummary) -> Vec<String> {
    let mut lines: Vec<String> = plan.steps.iter().map(|step| presentable(step)).collect();
    let count = plan.count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    let more = count.saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("and {more} more, which status does not hold"));
    }
    lines
}
