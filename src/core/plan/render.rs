//! A plan as people read it in a terminal, a review or a status.

use std::fmt::Write;

use crate::core::model::{Atom, Direction};

use super::PlanInput;
use super::report::{Cause, Difference, Report, What};
use super::step::{Plan, Purpose, Step};

/// The plan of one group, several lines, each ended. Empty when nothing differs.
pub fn render(input: PlanInput<'_>, plan: &Plan, report: &Report) -> String {
    let mut text = String::new();
    let id = plan.group.as_ref().map_or_else(|| "(to be created)".to_owned(), ToString::to_string);
    let _ = writeln!(text, "{}   {id}   {}", input.owner.object(), input.desired.vpc);
    for direction in Direction::BOTH {
        section(&mut text, &direction.to_string(), report, |what| atom_of(what).is_some_and(|atom| atom.direction == direction));
    }
    section(&mut text, "group", report, |what| atom_of(what).is_none());
    let quota = report.quota;
    let _ = writeln!(
        text,
        "  quota      ingress {} IPv4 {} IPv6, egress {} IPv4 {} IPv6",
        quota.ingress.ipv4, quota.ingress.ipv6, quota.egress.ipv4, quota.egress.ipv6
    );
    if !plan.is_empty() {
        let calls = plan.calls();
        let plural = if calls == 1 { "" } else { "s" };
        let _ = writeln!(text, "  order      {}          {calls} call{plural}", summary(plan));
    }
    text
}

fn atom_of(what: &What) -> Option<&Atom> {
    match what {
        What::Extra { live, rule: _, was: _ } | What::Description { live, declared: _ } => Some(&live.atom),
        What::Missing { atom, declared: _, last_id: _ } | What::Moved { live: _, atom, declared: _ } => Some(atom),
        What::GroupMissing { recorded: _ } | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    }
}

fn section(text: &mut String, title: &str, report: &Report, belongs: impl Fn(&What) -> bool) {
    let mut lines: Vec<(String, String, String)> = report.differences.iter().filter(|d| belongs(&d.what)).map(line).collect();
    if lines.is_empty() {
        return;
    }
    lines.sort_by(|a, b| (order_of(&a.0), &a.0).cmp(&(order_of(&b.0), &b.0)));
    let _ = writeln!(text, "  {title}");
    for (what, rule, why) in lines {
        let _ = writeln!(text, "  {}", format!("{what:<40} {rule:<22} {why}").trim_end());
    }
}

/// Additions, changes, removals, drift.
fn order_of(line: &str) -> u8 {
    match line.as_bytes().first() {
        Some(b'+') => 0,
        Some(b'~') => 1,
        Some(b'-') => 2,
        Some(_) | None => 3,
    }
}

/// Sign and subject, the rule, the reason.
fn line(difference: &Difference) -> (String, String, String) {
    let drift = difference.cause == Cause::Drift;
    let sign = |plain: char| if drift { '!' } else { plain };
    let (what, rule, mut why) = match &difference.what {
        What::GroupMissing { recorded: None } => ("+ the group".to_owned(), String::new(), "not there yet".to_owned()),
        What::GroupMissing { recorded: Some(id) } => (format!("! the group {id}"), String::new(), "drift: deleted".to_owned()),
        What::Missing { atom, declared, last_id: _ } => {
            let why = if drift { "drift: removed" } else { "not there yet" };
            (format!("{} {}", sign('+'), atom.within_direction()), format!("rule {}", declared.rule), why.to_owned())
        }
        What::Extra { live, rule, was } => {
            let name = match (rule, drift) {
                (Some(rule), false) => format!("was rule {rule}"),
                (Some(_) | None, _) => "nobody declared it".to_owned(),
            };
            let why = match (difference.cause, was) {
                (Cause::SpecChange | Cause::Deletion, _) => "removed from the manifest".to_owned(),
                (Cause::Unclassified, _) => "undeclared; there is no record of who put it there".to_owned(),
                (Cause::Drift, None) => "drift: added".to_owned(),
                (Cause::Drift, Some(was)) => format!("drift: changed from {}", was.within_direction()),
            };
            (format!("{} {}", sign('-'), live.atom.within_direction()), name, why)
        }
        What::Moved { live, atom, declared } => {
            let (from, to) = (live.atom.within_direction(), atom.within_direction());
            let why = if drift { format!("drift: somebody made it {from}") } else { format!("was {from}") };
            (format!("{} {to}", sign('~')), format!("rule {}", declared.rule), why)
        }
        What::Description { live, declared } => {
            let quote = |text: &Option<String>| text.as_ref().map_or_else(|| "none".to_owned(), |text| format!("\"{text}\""));
            let why = format!("description {} → {}", quote(&live.description), quote(&declared.description));
            (
                format!("{} {}", sign('~'), live.atom.within_direction()),
                format!("rule {}", declared.rule),
                if drift { format!("drift: {why}") } else { why },
            )
        }
        What::Tag { key, live, declared, ownership } => {
            let plain = match (live, declared) {
                (None, _) => '+',
                (Some(_), Some(_)) => '~',
                (Some(_), None) => '-',
            };
            let why = match (live, declared) {
                (None, Some(value)) => format!("→ \"{value}\""),
                (Some(old), Some(value)) => format!("\"{old}\" → \"{value}\""),
                (Some(_), None) => "removed from the manifest".to_owned(),
                (None, None) => String::new(),
            };
            let of = if *ownership { "marks the group as ours" } else { "" };
            (format!("{} tag {key}", sign(plain)), of.to_owned(), if drift { format!("drift: {why}") } else { why })
        }
    };
    if let Some(rule) = &difference.held {
        why = format!("{why}; waits: a reference of rule {rule} is not known");
    }
    (what, rule, why)
}

/// The steps in one line: `revoke 1 (drift) → authorize 2 → verify → revoke 1`.
pub fn summary(plan: &Plan) -> String {
    let mut words: Vec<String> = Vec::new();
    for step in &plan.steps {
        words.push(match step {
            Step::CreateGroup(_) => "create the group → read what EC2 put into it → its rules".to_owned(),
            Step::DeleteGroup => "delete the group".to_owned(),
            Step::SetTags { tags, before: _, cause: _ } => format!("set {} tags", tags.len()),
            Step::RemoveTags { tags } => format!("remove {} tags", tags.len()),
            Step::Revoke { direction: _, purpose: Purpose::Revert, rules } => format!("revoke {} (drift)", rules.len()),
            Step::Revoke { direction: _, purpose: Purpose::Replace | Purpose::Deletion, rules } => {
                format!("revoke {}", rules.len())
            }
            Step::Authorize { direction: _, rules } => format!("authorize {}", rules.len()),
            Step::Modify { direction: _, rules } => format!("modify {}", rules.len()),
            Step::Describe { direction: _, rules } => format!("describe {}", rules.len()),
            Step::AwaitVisible { atoms: _ } => "verify".to_owned(),
            Step::Settle => "settle".to_owned(),
        });
    }
    words.join(" → ")
}

/// What a plan changes because the manifest says so: everything but reverts of drift, and the group itself.
pub fn changes(plan: &Plan) -> Vec<String> {
    let drift = format!(" ({})", Cause::Drift);
    let unmarked = |line: &String| line.rsplit_once(" (").map_or_else(|| line.clone(), |(what, _)| what.to_owned());
    let group = |line: &String| line.starts_with("create group");
    lines(plan).iter().filter(|line| !line.ends_with(&drift) && !group(line)).map(unmarked).collect()
}

/// Each thing a plan does as one line, with its cause.
pub fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        match step {
            Step::CreateGroup(group) => lines.push(format!("create group {} in {}", group.name, group.vpc)),
            Step::DeleteGroup => lines.push("delete the group".to_owned()),
            Step::SetTags { tags, before: _, cause } => {
                lines.extend(tags.iter().map(|(key, value)| format!("set tag {key}={value} ({cause})")));
            }
            Step::RemoveTags { tags } => lines.extend(tags.keys().map(|key| format!("remove tag {key}"))),
            Step::Revoke { direction: _, purpose: _, rules } => {
                lines.extend(rules.iter().map(|item| format!("revoke {} ({})", item.live.atom, item.cause)));
            }
            Step::Authorize { direction: _, rules } => {
                lines.extend(rules.iter().map(|item| format!("authorize {} ({})", item.new.atom, item.cause)));
            }
            Step::Modify { direction: _, rules } => {
                lines.extend(
                    rules
                        .iter()
                        .map(|item| format!("modify {} to {} ({})", item.live.atom, item.new.atom.within_direction(), item.cause)),
                );
            }
            Step::Describe { direction: _, rules } => lines.extend(rules.iter().map(|item| {
                format!("describe {} as \"{}\" ({})", item.live.atom, item.description.as_deref().unwrap_or_default(), item.cause)
            })),
            Step::AwaitVisible { atoms: _ } | Step::Settle => {}
        }
    }
    lines
}
