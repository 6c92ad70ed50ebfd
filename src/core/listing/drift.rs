//! Drift records across groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{DriftAtom, DriftKind, DriftRecord, EffectiveMode, Resolution, SecurityGroup};
use crate::core::activity::presentable;

use super::table::{Cell, Colour, Tone, layout};
use super::time::{ago, took};

/// The widest text of others in a cell.
const MAX_CELL: usize = 90;
/// What stands where there is nothing.
pub(super) const NOTHING: &str = "-";

/// Which records to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct DriftFilter {
    /// Those seen from then on.
    pub since: Option<Timestamp>,
    /// Those only that nothing ended yet.
    pub open: bool,
}

/// A record and its group.
#[derive(Clone, Copy, Debug)]
pub struct DriftRow<'a> {
    /// The group.
    pub object: &'a SecurityGroup,
    /// What somebody did to it.
    pub record: &'a DriftRecord,
}

/// Whether nothing has ended a drift yet.
pub fn is_open(record: &DriftRecord) -> bool {
    record.resolved_at.is_none()
}

/// The records of some groups, newest first.
pub fn drifts<'a>(objects: &'a [SecurityGroup], filter: DriftFilter) -> Vec<DriftRow<'a>> {
    let of = |object: &'a SecurityGroup| {
        let records = object.status.iter().flat_map(|status| &status.drift);
        records.map(move |record| DriftRow { object, record })
    };
    // A time that cannot be read hides nothing.
    let recent = |row: &DriftRow<'_>| match (filter.since, time(row.record.detected_at.as_ref())) {
        (Some(since), Some(at)) => at >= since,
        (Some(_) | None, _) => true,
    };
    let wanted = |row: &DriftRow<'_>| recent(row) && (!filter.open || is_open(row.record));
    let mut rows: Vec<DriftRow<'a>> = objects.iter().flat_map(of).filter(wanted).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(time(row.record.detected_at.as_ref())), group(row.object), row.record.id.clone()));
    rows
}

/// The records as columns for people.
pub fn drift_table(rows: &[DriftRow<'_>], now: Timestamp, colour: Colour) -> String {
    let cells = |row: &DriftRow<'_>| {
        let record = row.record;
        let when = time(record.detected_at.as_ref()).map_or_else(|| NOTHING.to_owned(), |at| ago(now, at));
        let opened = record.exposure.as_ref().and_then(|exposure| exposure.opened.as_deref());
        let from = record.actor.as_ref().and_then(|actor| actor.source_ip.as_deref());
        [
            when.into(),
            group(row.object).into(),
            what(record).into(),
            opened.map_or_else(|| NOTHING.to_owned(), short).into(),
            who(record).into(),
            from.map_or_else(|| NOTHING.to_owned(), short).into(),
            done(row),
            presentable(&record.id).into(),
        ]
    };
    let header = ["WHEN", "GROUP", "WHAT", "OPENED", "WHO", "FROM", "DONE", "ID"];
    layout(header, rows.iter().map(cells).collect(), colour)
}

/// The records for programs: an array, whose fields docs/cli.md lists.
pub fn drift_json(rows: &[DriftRow<'_>]) -> Value {
    rows.iter().map(record_json).collect()
}

fn record_json(row: &DriftRow<'_>) -> Value {
    let DriftRow { object, record } = row;
    let DriftRecord {
        id,
        atoms,
        unlisted: _,
        count,
        detected_at,
        exposure,
        actor,
        resolution,
        resolved_at,
        change_id,
        trace_id,
        notified: _,
    } = record;
    let status = object.status.as_ref();
    let exposure = exposure.clone().unwrap_or_default();
    let changes: Vec<Value> = atoms.iter().map(atom_json).collect();
    json!({
        "id": id,
        "namespace": object.metadata.namespace,
        "name": object.metadata.name,
        "groupId": status.and_then(|status| status.group_id.as_ref()),
        "account": status.and_then(|status| status.account.as_ref()),
        "region": status.and_then(|status| status.region.as_ref()),
        "detectedAt": detected_at,
        "open": is_open(record),
        "resolution": resolution,
        "resolvedAt": resolved_at,
        "count": count,
        "changes": changes,
        "opened": exposure.opened,
        "closed": exposure.closed,
        "actor": actor,
        "changeId": change_id,
        "traceId": trace_id,
    })
}

fn atom_json(atom: &DriftAtom) -> Value {
    let DriftAtom { kind, before, after, rule_id, rule } = atom;
    json!({
        "kind": kind,
        "before": before,
        "after": after,
        "ruleId": rule_id,
        "rule": rule,
    })
}

/// `<namespace>/<name>`.
fn group(object: &SecurityGroup) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&object.metadata.namespace), part(&object.metadata.name))
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// The first edit of a record, and how many there are beside it.
fn what(record: &DriftRecord) -> String {
    let first = record.atoms.first().map_or_else(|| "something".to_owned(), atom);
    let more = record.count.saturating_sub(1).max(0);
    let first = short(&first);
    if more > 0 { format!("{first} (+{more} more)") } else { first }
}

fn atom(atom: &DriftAtom) -> String {
    let text = |text: &Option<String>| text.as_deref().map_or("nothing", bare).to_owned();
    let (before, after) = (text(&atom.before), text(&atom.after));
    match DriftKind::parse(&atom.kind) {
        Ok(DriftKind::Added) => format!("+ {after}"),
        Ok(DriftKind::Transient) => format!("+ {after}, gone again"),
        Ok(DriftKind::Removed | DriftKind::TagRemoved) => format!("- {before}"),
        Ok(DriftKind::GroupDeleted) => format!("- group {before}"),
        Ok(DriftKind::VpcAssociationChanged) if atom.before.is_none() => format!("+ {after}"),
        Ok(DriftKind::VpcAssociationChanged) if atom.after.is_none() => format!("- {before}"),
        Ok(DriftKind::DescriptionChanged) => match (before.split_once(" \""), after.split_once(" \"")) {
            (Some((rule, old)), Some((_, new))) => format!("~ {rule}: \"{old} → \"{new}"),
            (_, _) => format!("~ {before} → {after}"),
        },
        Ok(
            DriftKind::Modified
            | DriftKind::TagChanged
            | DriftKind::PrefixListChanged
            | DriftKind::VpcAssociationChanged
            | DriftKind::Unclassified,
        )
        | Err(_) => format!("~ {before} → {after}"),
    }
}

/// A rule without its direction, which from and to tell as well.
pub(super) fn bare(text: &str) -> &str {
    text.strip_prefix("ingress ").or_else(|| text.strip_prefix("egress ")).unwrap_or(text)
}

fn who(record: &DriftRecord) -> String {
    let actor = record.actor.as_ref();
    let told = actor.and_then(|actor| actor.name.as_deref().or(actor.reason.as_deref()));
    told.map_or_else(|| "not known yet".to_owned(), short)
}

fn done(row: &DriftRow<'_>) -> Cell {
    let record = row.record;
    let lasted = time(record.detected_at.as_ref()).zip(time(record.resolved_at.as_ref())).map(|(from, to)| took(from, to));
    let observed = row.object.status.as_ref().is_some_and(|status| status.mode.as_deref() == Some(EffectiveMode::Observe.as_str()));
    let (text, open) = match Resolution::parse(&record.resolution) {
        Ok(Resolution::Pending) => ("being put right".to_owned(), Tone::Urgent),
        Ok(Resolution::Reverted) => {
            (lasted.map_or_else(|| "reverted".to_owned(), |took| format!("reverted in {took}")), Tone::Quiet)
        }
        Ok(Resolution::Reported) if observed => ("reported (Observe)".to_owned(), Tone::Notable),
        Ok(Resolution::Reported) => ("reported".to_owned(), Tone::Notable),
        Ok(Resolution::Tolerated) => ("tolerated".to_owned(), Tone::Quiet),
        Ok(Resolution::Suspended) => ("left for now (suspended)".to_owned(), Tone::Notable),
        Ok(Resolution::Declared) => ("declared by now".to_owned(), Tone::Quiet),
        Ok(Resolution::Transient) => ("over before it was seen".to_owned(), Tone::Quiet),
        Ok(Resolution::Unknown) => ("nobody can tell".to_owned(), Tone::Quiet),
        Err(_) if record.resolution.is_empty() => (NOTHING.to_owned(), Tone::Plain),
        Err(_) => (presentable(&record.resolution), Tone::Plain),
    };
    Cell::toned(text, if is_open(record) { open } else { Tone::Quiet })
}

/// A text of others, fit for a cell.
pub(super) fn short(text: &str) -> String {
    let text = presentable(text);
    if text.chars().count() <= MAX_CELL {
        return text;
    }
    let mut head: String = text.chars().take(MAX_CELL.saturating_sub(1)).collect();
    head.push('…');
    head
}
