//! Plans for programs.

use serde_json::{Value, json};

use super::{Finding, Planned, Preview, Totals};
use crate::core::audit::{ChangeItem, Edits, items};
use crate::core::plan::{Difference, ExposureDelta, Row, Step};

/// Version of the form. Fields are only ever added within one.
pub const PREVIEW_VERSION: u32 = 1;

/// Every group, those too of which nothing changes. docs/cli.md lists the fields.
pub fn json(previews: &[Preview]) -> Value {
    let Totals { groups, changing, creating, add, change, remove, drift, undeclared, calls, failed } = Totals::of(previews);
    let all: Vec<Value> = previews.iter().map(group).collect();
    json!({
        "version": PREVIEW_VERSION,
        "groups": all,
        "totals": {
            "groups": groups,
            "changing": changing,
            "creating": creating,
            "add": add,
            "change": change,
            "remove": remove,
            "drift": drift,
            "undeclared": undeclared,
            "calls": calls,
            "failed": failed,
        },
    })
}

fn group(preview: &Preview) -> Value {
    let mut value = json!({ "object": preview.object, "file": preview.file });
    let more = match &preview.finding {
        Finding::Planned(planned) => plan(planned),
        Finding::Invalid(problems) => {
            let problems: Vec<Value> =
                problems.iter().map(|problem| json!({ "path": problem.path, "message": problem.message })).collect();
            json!({ "result": "Invalid", "problems": problems })
        }
        Finding::Stopped { reason, message } => json!({ "result": "Stopped", "reason": reason, "message": message }),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn plan(planned: &Planned) -> Value {
    let Planned { account, account_id, region, desired, observed, restraint, plan, report } = planned;
    let sheet = planned.sheet();
    let differences: Vec<Value> = report.differences.iter().map(difference).collect();
    let rows: Vec<Value> = sheet.rows.iter().map(row).collect();
    let steps: Vec<Value> = plan.steps.iter().map(step).collect();
    let notes: Vec<Value> = sheet.notes.iter().map(|(word, text)| json!({ "about": word, "text": text })).collect();
    let delta = ExposureDelta::of_plan(observed.as_ref(), plan);
    let weight = |weight: crate::core::model::Weight| json!({ "ipv4": weight.ipv4, "ipv6": weight.ipv6 });
    json!({
        "result": if planned.changes() { "Changes" } else { "Unchanged" },
        "account": account,
        "accountId": account_id.to_string(),
        "region": region.to_string(),
        "groupId": observed.as_ref().map(|observed| observed.group.id.to_string()),
        "vpcId": desired.vpc.to_string(),
        "rows": rows,
        "differences": differences,
        "steps": steps,
        "calls": plan.calls(),
        "opened": delta.opened(),
        "closed": delta.closed(),
        "quota": { "ingress": weight(report.quota.ingress), "egress": weight(report.quota.egress), "limit": report.quota.limit },
        "approval": report.waiting().next().and(report.approval.as_ref()),
        "wait": restraint.wait,
        "notes": notes,
    })
}

fn row(row: &Row) -> Value {
    let Row { direction, sign, subject, rule, why } = row;
    json!({
        "direction": direction.map(|direction| direction.to_string()),
        "sign": sign.to_string(),
        "subject": subject,
        "rule": rule,
        "why": why,
    })
}

fn difference(difference: &Difference) -> Value {
    json!({
        "subject": difference.subject(),
        "cause": difference.cause.to_string(),
        "drift": difference.drift().map(|kind| kind.to_string()),
        "held": difference.held.as_ref().map(ToString::to_string),
    })
}

fn step(step: &Step) -> Value {
    let items: Vec<Value> = items(step, &Edits::default()).iter().map(item).collect();
    json!({ "operation": step.operation(), "items": items })
}

fn item(item: &ChangeItem) -> Value {
    serde_json::to_value(item).unwrap_or_default()
}
