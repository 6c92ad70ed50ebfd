//! A plan as people read it in a terminal, a review or a status.

use std::fmt::Write;

use crate::core::model::{Atom, Direction, Observed, Weight};

use super::PlanInput;
use super::cause::{Cause, Held};
use super::exposure::ExposureDelta;
use super::quota::OverQuota;
use super::report::{Difference, QuotaUse, Report, What};
use super::restraint::Restraint;
use super::step::{Plan, Purpose, Step};

/// The plan of one group, several lines, each ended. Empty when nothing differs.
pub fn render(input: PlanInput<'_>, plan: &Plan, report: &Report) -> String {
    let id = plan.group.as_ref().map_or_else(|| "(to be created)".to_owned(), ToString::to_string);
    let mut text = format!("{}   {id}   {}\n", input.owner.object(), input.desired.vpc);
    for line in Sheet::of(input.observed, input.restraint, plan, report).lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// A plan as people look at it, in whatever form: what differs, and what is to be known before saying yes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// What differs: by direction, then that of the group itself; additions, changes, removals, drift and what stays, in this order.
    pub rows: Vec<Row>,
    /// Notes, each under a word.
    pub notes: Vec<(&'static str, String)>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The direction of a rule; `None`: it is about the group itself.
    pub direction: Option<Direction>,
    /// `+` to add, `~` to change, `-` to remove, `!` drift to revert, `=` what stays.
    pub sign: char,
    /// The rule, or the tag.
    pub subject: String,
    /// Where it is declared, or was.
    pub rule: String,
    /// Why it differs, and why it waits.
    pub why: String,
}

impl Row {
    fn order(&self) -> (bool, Option<Direction>, usize, &str, &str, &str) {
        let kind = ['+', '~', '-', '!', '='].iter().position(|sign| *sign == self.sign).unwrap_or_default();
        (self.direction.is_none(), self.direction, kind, &self.subject, &self.rule, &self.why)
    }
}

impl Sheet {
    /// Of a group as it was `observed`.
    pub fn of(observed: Option<&Observed>, restraint: &Restraint, plan: &Plan, report: &Report) -> Self {
        let mut rows: Vec<Row> = report.differences.iter().map(row).collect();
        rows.sort_by(|a, b| a.order().cmp(&b.order()));
        let QuotaUse { ingress, egress, limit } = report.quota;
        let quota = |name, used: Weight| format!("{name} {} of {limit} IPv4, {} of {limit} IPv6", used.ipv4, used.ipv6);
        let mut notes = vec![("quota", format!("{} · {}", quota("ingress", ingress), quota("egress", egress)))];
        notes.extend(exposure(observed, plan).map(|text| ("exposure", text)));
        notes.extend(warnings(restraint, plan, report));
        if !plan.is_empty() {
            let calls = plan.calls();
            let plural = if calls == 1 { "" } else { "s" };
            notes.push(("order", format!("{}          {calls} call{plural}", summary(plan))));
        }
        Self { rows, notes }
    }

    /// The lines, without indent.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut section = None;
        for row in &self.rows {
            if section.replace(row.direction) != Some(row.direction) {
                lines.push(row.direction.map_or_else(|| "group".to_owned(), |direction| direction.to_string()));
            }
            let Row { direction: _, sign, subject, rule, why } = row;
            let what = format!("{sign} {subject}");
            lines.push(format!("{what:<40} {rule:<22} {why}").trim_end().to_owned());
        }
        lines.extend(self.notes.iter().map(|(word, text)| format!("{word:<10} {text}")));
        lines
    }
}

/// What it opens and closes, beyond what stays open anyway.
fn exposure(observed: Option<&Observed>, plan: &Plan) -> Option<String> {
    let delta = ExposureDelta::of_plan(observed, plan);
    let opens = delta.opened().map(|what| format!("opens {what}"));
    let closes = delta.closed().map(|what| format!("closes {what}"));
    let parts: Vec<String> = opens.into_iter().chain(closes).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// What somebody has to know before saying yes.
fn warnings(restraint: &Restraint, plan: &Plan, report: &Report) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    if let Some(over) = report.over_quota {
        notes.push(("quota", format!("{over}: changes wait, drift is reverted")));
    } else if let Some(over) = over_by_estimate(report) {
        notes.push(("estimate", format!("{over}; EC2 decides, as it counts groups and prefix lists")));
    }
    let early: usize = plan.steps.iter().filter_map(early).sum();
    if early > 0 {
        let plural = if early == 1 { "rule goes" } else { "rules go" };
        notes.push(("at quota", format!("{early} {plural} before what comes has room")));
    }
    for atom in &plan.cuts {
        notes.push(("cuts", format!("{atom}: desired traffic rests on it until the next call")));
    }
    if report.waiting().next().is_some() {
        let hash = report.approval.as_deref().unwrap_or_default();
        let why = restraint.wait.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        notes.push(("approval", format!("{hash}{why}")));
    }
    notes
}

/// Rules that a step at the quota takes away early.
fn early(step: &Step) -> Option<usize> {
    match step {
        Step::Revoke { direction: _, purpose: Purpose::Room, rules } => Some(rules.len()),
        Step::Revoke { direction: _, purpose: Purpose::Revert | Purpose::Replace | Purpose::Deletion, rules: _ }
        | Step::CreateGroup(_)
        | Step::DeleteGroup
        | Step::SetTags { tags: _, before: _, cause: _ }
        | Step::RemoveTags { tags: _, cause: _ }
        | Step::Authorize { direction: _, rules: _ }
        | Step::Modify { direction: _, rules: _ }
        | Step::Describe { direction: _, rules: _ }
        | Step::AwaitVisible { direction: _, atoms: _ }
        | Step::Settle => None,
    }
}

/// The first count of the declared rules that is over the limit.
fn over_by_estimate(report: &Report) -> Option<OverQuota> {
    let limit = report.quota.limit;
    let counts = [(Direction::Ingress, report.quota.ingress), (Direction::Egress, report.quota.egress)];
    let each = counts.into_iter().flat_map(|(direction, weight)| {
        [(false, weight.ipv4), (true, weight.ipv6)].map(|(ipv6, needed)| OverQuota { direction, ipv6, needed, limit })
    });
    each.into_iter().find(|over| over.needed > limit)
}

fn atom_of(what: &What) -> Option<&Atom> {
    match what {
        What::Extra { live, rule: _, was: _ } | What::Description { live, declared: _ } => Some(&live.atom),
        What::Missing { atom, declared: _, last_id: _ } | What::Moved { live: _, atom, declared: _ } => Some(atom),
        What::GroupMissing { recorded: _ } | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    }
}

fn row(difference: &Difference) -> Row {
    let drift = difference.cause.is_drift();
    let sign = |plain: char| match (&difference.held, drift) {
        (Some(held), _) if held.stays() => '=',
        (_, true) => '!',
        (_, false) => plain,
    };
    let (sign, subject, rule, mut why) = match &difference.what {
        What::GroupMissing { recorded: None } => ('+', "the group".to_owned(), String::new(), "not there yet".to_owned()),
        What::GroupMissing { recorded: Some(id) } => ('!', format!("the group {id}"), String::new(), "drift: deleted".to_owned()),
        What::Missing { atom, declared, last_id: _ } => {
            let why = if drift { "drift: removed" } else { "not there yet" };
            (sign('+'), atom.within_direction().to_string(), format!("rule {}", declared.rule), why.to_owned())
        }
        What::Extra { live, rule, was } => {
            let name = match (rule, drift) {
                (Some(rule), false) => format!("was rule {rule}"),
                (Some(_) | None, _) => "nobody declared it".to_owned(),
            };
            (sign('-'), live.atom.within_direction().to_string(), name, why_extra(difference, was.as_ref()))
        }
        What::Moved { live, atom, declared } => {
            let (from, to) = (live.atom.within_direction(), atom.within_direction());
            let why = if drift { format!("drift: somebody made it {from}") } else { format!("was {from}") };
            (sign('~'), to.to_string(), format!("rule {}", declared.rule), why)
        }
        What::Description { live, declared } => {
            let quote = |text: &Option<String>| text.as_ref().map_or_else(|| "none".to_owned(), |text| format!("\"{text}\""));
            let why = format!("description {} → {}", quote(&live.description), quote(&declared.description));
            let why = if drift { format!("drift: {why}") } else { why };
            (sign('~'), live.atom.within_direction().to_string(), format!("rule {}", declared.rule), why)
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
                (Some(_), None) if difference.cause == Cause::PolicyChange => "no longer set by the account".to_owned(),
                (Some(_), None) => "removed from the manifest".to_owned(),
                (None, None) => String::new(),
            };
            let of = if *ownership { "marks the group as ours" } else { "" };
            (sign(plain), format!("tag {key}"), of.to_owned(), if drift { format!("drift: {why}") } else { why })
        }
    };
    if let Some(held) = &difference.held {
        why = format!("{why}; {}", why_held(held, difference));
    }
    let direction = atom_of(&difference.what).map(|atom| atom.direction);
    Row { direction, sign, subject, rule, why }
}

fn why_extra(difference: &Difference, was: Option<&Atom>) -> String {
    match (difference.cause, was) {
        // Of what is kept there is nothing to say but that.
        (_, None) if difference.held == Some(Held::Kept) => "undeclared".to_owned(),
        (Cause::GrantWithdrawn, _) => "its reference is no longer granted".to_owned(),
        (Cause::Expiry, _) => "expired".to_owned(),
        (Cause::ReferenceChange, _) => "no longer among what the manifest refers to".to_owned(),
        (Cause::SpecChange | Cause::PolicyChange | Cause::Adoption | Cause::Deletion, _) => "removed from the manifest".to_owned(),
        (Cause::Unclassified, _) => "undeclared; there is no record of who put it there".to_owned(),
        (Cause::Drift | Cause::SuspendEnd, None) => "drift: added".to_owned(),
        (Cause::Drift | Cause::SuspendEnd, Some(was)) => format!("drift: changed from {}", was.within_direction()),
    }
}

/// Why nothing is done now, in words.
fn why_held(held: &Held, difference: &Difference) -> String {
    let goes = matches!(difference.what, What::Extra { live: _, rule: _, was: _ } | What::Moved { live: _, atom: _, declared: _ });
    match held {
        Held::Reference(rule) => return format!("waits: a reference of rule {rule} is not known"),
        Held::Suspended if difference.cause.is_change() && goes => "waits: what suspended reverts would bring back rests on it",
        Held::Tolerated => "stays: the manifest tolerates it",
        Held::Reported => "stays: undeclared rules are only reported",
        Held::Kept => "stays: undeclared rules are kept",
        Held::Suspended => "waits: reverts are suspended",
        Held::Approval => "waits for approval",
        Held::Quota => "waits: AWS's quota of rules",
        Held::Rate => "waits: the limit of removals at a time",
        Held::Unconfirmed => "waits: a second read has to agree",
        Held::War => "waits: somebody undoes it each time",
    }
    .to_owned()
}

/// The steps in one line: `revoke 1 (drift) → authorize 2 → verify → revoke 1`.
pub fn summary(plan: &Plan) -> String {
    let mut words: Vec<String> = Vec::new();
    for step in &plan.steps {
        words.push(match step {
            Step::CreateGroup(_) => "create the group → read what EC2 put into it → its rules".to_owned(),
            Step::DeleteGroup => "delete the group".to_owned(),
            Step::SetTags { tags, before: _, cause: _ } => format!("set {} tags", tags.len()),
            Step::RemoveTags { tags, cause: _ } => format!("remove {} tags", tags.len()),
            Step::Revoke { direction: _, purpose: Purpose::Revert, rules } => format!("revoke {} (drift)", rules.len()),
            Step::Revoke { direction: _, purpose: Purpose::Replace | Purpose::Deletion, rules } => {
                format!("revoke {}", rules.len())
            }
            Step::Revoke { direction: _, purpose: Purpose::Room, rules } => format!("revoke {} (room)", rules.len()),
            Step::Authorize { direction: _, rules } => format!("authorize {}", rules.len()),
            Step::Modify { direction: _, rules } => format!("modify {}", rules.len()),
            Step::Describe { direction: _, rules } => format!("describe {}", rules.len()),
            Step::AwaitVisible { direction: _, atoms: _ } => "verify".to_owned(),
            Step::Settle => "settle".to_owned(),
        });
    }
    words.join(" → ")
}

/// What a plan changes because the manifest says so: everything but reverts of drift, and the group itself.
pub fn changes(plan: &Plan) -> Vec<String> {
    let revert = |line: &Line| line.cause.is_some_and(Cause::is_drift);
    step_lines(plan).into_iter().filter(|line| !line.of_group && !revert(line)).map(|line| line.what).collect()
}

/// Each thing a plan does as one line, with its cause; of a group that is created also what comes after.
pub fn lines(plan: &Plan) -> Vec<String> {
    let with_cause = |line: Line| line.cause.map_or_else(|| line.what.clone(), |cause| format!("{} ({cause})", line.what));
    let mut lines: Vec<String> = step_lines(plan).into_iter().map(with_cause).collect();
    if plan.group.is_none() {
        let then = plan.deferred.iter().filter_map(|difference| atom_of(&difference.what).map(|atom| (atom, difference.cause)));
        lines.extend(then.map(|(atom, cause)| format!("then authorize {atom} ({cause})")));
    }
    lines
}

struct Line {
    what: String,
    cause: Option<Cause>,
    /// It creates or deletes the group.
    of_group: bool,
}

fn step_lines(plan: &Plan) -> Vec<Line> {
    plan.steps.iter().flat_map(|step| lines_of(plan, step)).collect()
}

fn lines_of(plan: &Plan, step: &Step) -> Vec<Line> {
    let line = |what: String, cause: Cause| Line { what, cause: Some(cause), of_group: false };
    let cut = |atom: &Atom| if plan.cuts.contains(atom) { ", cutting desired traffic until the next call" } else { "" };
    let of_group = |what: String| vec![Line { what, cause: None, of_group: true }];
    match step {
        Step::CreateGroup(group) => of_group(format!("create group {} in {}", group.name, group.vpc)),
        Step::DeleteGroup => of_group("delete the group".to_owned()),
        Step::SetTags { tags, before: _, cause } => {
            tags.iter().map(|(key, value)| line(format!("set tag {key}={value}"), *cause)).collect()
        }
        Step::RemoveTags { tags, cause } => tags.keys().map(|key| line(format!("remove tag {key}"), *cause)).collect(),
        Step::Revoke { direction: _, purpose: _, rules } => {
            rules.iter().map(|item| line(format!("revoke {}{}", item.live.atom, cut(&item.live.atom)), item.cause)).collect()
        }
        Step::Authorize { direction: _, rules } => {
            rules.iter().map(|item| line(format!("authorize {}", item.new.atom), item.cause)).collect()
        }
        Step::Modify { direction: _, rules } => rules
            .iter()
            .map(|item| {
                let (from, to) = (&item.live.atom, item.new.atom.within_direction());
                line(format!("modify {from} to {to}{}", cut(from)), item.cause)
            })
            .collect(),
        Step::Describe { direction: _, rules } => rules
            .iter()
            .map(|item| {
                let text = item.description.as_deref().unwrap_or_default();
                line(format!("describe {} as \"{text}\"", item.live.atom), item.cause)
            })
            .collect(),
        Step::AwaitVisible { direction: _, atoms: _ } | Step::Settle => Vec::new(),
    }
}
