//! Changes of the audit trail.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::core::activity::presentable;
use crate::core::audit::{Change, KeptItem, KeptOutcome, Trail};

use super::drift::{NOTHING, bare, short};
use super::table::{Cell, Colour, Tone, layout};
use super::time::ago;

/// Which changes to list.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// Those of these objects, `<namespace>/<name>`, or groups by id; empty: of all.
    pub groups: Vec<String>,
    /// Those begun from then on.
    pub since: Option<Timestamp>,
    /// Those of a pass: a drift record and the change that put it right have the same trace id.
    pub trace: Option<String>,
}

/// The changes that are asked for, newest first.
pub fn changes<'a>(trail: &'a Trail, filter: &ChangeFilter) -> Vec<&'a Change> {
    let group = |change: &Change| {
        let named = |wanted: &String| *wanted == change.object || Some(wanted) == change.group_id.as_ref();
        filter.groups.is_empty() || filter.groups.iter().any(named)
    };
    // A time that cannot be read hides nothing.
    let recent = |change: &Change| match (filter.since, change.time.parse::<Timestamp>()) {
        (Some(since), Ok(at)) => at >= since,
        (Some(_) | None, _) => true,
    };
    let traced = |change: &Change| filter.trace.as_ref().is_none_or(|trace| *trace == change.trace_id);
    let wanted = |change: &&Change| group(change) && recent(change) && traced(change);
    let mut found: Vec<&Change> = trail.changes().iter().filter(wanted).collect();
    found.reverse();
    found
}

/// The changes as columns for people.
pub fn change_table(changes: &[&Change], now: Timestamp, colour: Colour) -> String {
    let cells = |change: &&Change| {
        let at = change.time.parse::<Timestamp>();
        [
            at.map_or_else(|_| NOTHING.to_owned(), |at| ago(now, at)).into(),
            short(&change.object).into(),
            short(&change.operation).into(),
            what(change).into(),
            why(change).into(),
            result(change),
            presentable(&change.id).into(),
        ]
    };
    layout(["WHEN", "GROUP", "CALL", "WHAT", "WHY", "RESULT", "ID"], changes.iter().map(cells).collect(), colour)
}

/// The changes for programs: an array, whose fields docs/cli.md lists.
pub fn change_json(changes: &[&Change]) -> Value {
    changes.iter().map(|change| record_json(change)).collect()
}

fn record_json(change: &Change) -> Value {
    let Change {
        id,
        time,
        account,
        region,
        group_id,
        object,
        uid,
        generation,
        source,
        operation,
        items,
        opened,
        closed,
        trace_id,
        outcome,
    } = change;
    let items: Vec<Value> = items.iter().map(item_json).collect();
    json!({
        "id": id,
        "time": time,
        "object": object,
        "uid": uid,
        "generation": generation,
        "groupId": group_id,
        "account": account,
        "region": region,
        "source": source,
        "operation": operation,
        "items": items,
        "opened": opened,
        "closed": closed,
        "traceId": trace_id,
        "outcome": outcome.as_ref().map(outcome_json),
    })
}

fn item_json(item: &KeptItem) -> Value {
    let KeptItem { cause, rule, rule_id, before, description_before, after, description_after, justification, drift_id, actor } =
        item;
    json!({
        "cause": cause,
        "rule": rule,
        "ruleId": rule_id,
        "before": before,
        "descriptionBefore": description_before,
        "after": after,
        "descriptionAfter": description_after,
        "justification": justification,
        "driftId": drift_id,
        "actor": actor,
    })
}

fn outcome_json(outcome: &KeptOutcome) -> Value {
    let KeptOutcome { result, code, message, aws_request_id } = outcome;
    json!({ "result": result, "code": code, "message": message, "awsRequestId": aws_request_id })
}

fn what(change: &Change) -> String {
    let Some(first) = change.items.first() else { return "the group".to_owned() };
    let text = match (first.before.as_deref().map(bare), first.after.as_deref().map(bare)) {
        (Some(before), Some(after)) if before == after => {
            format!("~ {after}: \"{}\"", first.description_after.as_deref().unwrap_or_default())
        }
        (Some(before), Some(after)) => format!("~ {before} → {after}"),
        (Some(before), None) => format!("- {before}"),
        (None, Some(after)) => format!("+ {after}"),
        (None, None) => "the group".to_owned(),
    };
    let more = change.items.len().saturating_sub(1);
    let text = short(&text);
    if more > 0 { format!("{text} (+{more} more)") } else { text }
}

/// The causes of its parts, each once, with whose edits they put right.
fn why(change: &Change) -> String {
    let cause = |item: &KeptItem| match item.actor.as_ref().and_then(|actor| actor.name.as_ref()) {
        Some(name) => format!("{} by {name}", item.cause),
        None => item.cause.clone(),
    };
    let causes: BTreeSet<String> = change.items.iter().map(cause).collect();
    short(&Vec::from_iter(causes).join(", "))
}

fn result(change: &Change) -> Cell {
    let Some(outcome) = &change.outcome else { return Cell::toned("no outcome", Tone::Notable) };
    let code = outcome.code.as_deref().map_or_else(String::new, |code| format!(" ({})", presentable(code)));
    let tone = match outcome.result.as_str() {
        "Done" => Tone::Quiet,
        "Failed" => Tone::Urgent,
        _ => Tone::Notable,
    };
    Cell::toned(format!("{}{code}", presentable(&outcome.result)), tone)
}
