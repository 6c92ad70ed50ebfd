//! A record of a status in the words of a message: what happened, to what, by whom, since when, and what to do next.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Place;
use crate::api::{Actor, DriftKind, DriftRecord, NoticeRecord, Resolution};
use crate::core::status::{describe, is_open};

/// Who may still be connected. The AWS user guide on connection tracking: a rule that goes does not end what it let in.
const CONNECTIONS: &str =
    "Connections made meanwhile may live on: a security group does not end connections that it tracks. Look who is connected.";
/// Said of whoever `CloudTrail` has not told of.
const NOT_KNOWN: &str = "not known yet; another message follows when CloudTrail tells";

/// The words of a message.
pub(super) struct Told {
    pub(super) headline: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) advice: Vec<&'static str>,
    pub(super) command: Option<(&'static str, String)>,
    pub(super) data: Value,
}

/// Of a drift. `update`: it was told before, and more is known now.
pub(super) fn drift(record: &DriftRecord, place: &Place, update: bool, now: Timestamp) -> Told {
    let name = record.actor.as_ref().and_then(|actor| actor.name.clone());
    let who = name.unwrap_or_else(|| if record.actor.is_some() { "somebody" } else { "somebody unknown so far" }.to_owned());
    let again = if update { "Update: " } else { "" };
    let headline = format!("{again}{place}: {who} {}. {}", describe(record), outcome(record, now));
    let exposure = record.exposure.clone().unwrap_or_default();
    let known = |label: &'static str, text: Option<String>| text.map(|text| (label, text));
    let facts = [
        Some(("Who", record.actor.as_ref().map_or_else(|| NOT_KNOWN.to_owned(), actor))),
        known("When", made(record)),
        known("Opened", exposure.opened),
        known("Closed", exposure.closed),
        Some(("Done", outcome(record, now))),
        known("Group", place.group.clone()),
        Some(("Drift", record.id.clone())),
        known("Trace", record.trace_id.clone()),
    ];
    let opened = record.exposure.as_ref().is_some_and(|exposure| exposure.opened.is_some());
    let mut shown = record.clone();
    // What only sgwarden reads.
    shown.unlisted = None;
    shown.notified.clear();
    Told {
        headline,
        facts: facts.into_iter().flatten().collect(),
        advice: if opened { vec![CONNECTIONS] } else { Vec::new() },
        command: keep(record, place),
        data: json!(shown),
    }
}

/// Of anything else.
pub(super) fn notice(record: &NoticeRecord, place: &Place) -> Told {
    let (object, namespace) = (&place.name, &place.namespace);
    let look = format!("kubectl describe securitygroups.sgwarden.dev {object} -n {namespace}");
    let facts = [
        record.at.as_deref().map(|at| ("When", clock(at))),
        place.group.clone().map(|group| ("Group", group)),
        Some(("Reason", record.reason.clone())),
    ];
    Told {
        headline: format!("{place}: {}", sentence(&record.message)),
        facts: facts.into_iter().flatten().collect(),
        advice: Vec::new(),
        command: Some(("Look closer", look)),
        data: json!({ "id": record.id, "reason": record.reason, "at": record.at, "message": record.message }),
    }
}

/// What was done about it, and how long it was so.
fn outcome(record: &DriftRecord, now: Timestamp) -> String {
    let end = record.resolved_at.as_ref().and_then(|at| at.parse().ok());
    let lasted = begun(record).map(|since| span(end.unwrap_or(now).duration_since(since)));
    let after = lasted.as_ref().map(|lasted| format!(" after {lasted}")).unwrap_or_default();
    let so_far = lasted.as_ref().map(|lasted| format!(" ({lasted} so far)")).unwrap_or_default();
    let open = is_open(record);
    match Resolution::parse(&record.resolution) {
        Ok(Resolution::Reverted) => format!("Put right{after}."),
        Ok(Resolution::Pending) => format!("It is not put right yet{so_far}."),
        Ok(Resolution::Reported) if prefix_list(record) => "Left alone: what is in a prefix list is its owner's to say.".to_owned(),
        Ok(Resolution::Reported) if open => "Left alone: it is only reported here.".to_owned(),
        Ok(Resolution::Reported) => format!("It was left alone, and is over{after}."),
        Ok(Resolution::Suspended) if open => "Left alone while reverts are suspended.".to_owned(),
        Ok(Resolution::Suspended) => format!("It was left alone while reverts were suspended, and is over{after}."),
        Ok(Resolution::Tolerated) => "Left alone: the manifest tolerates it by now.".to_owned(),
        Ok(Resolution::Declared) => "Left as it is: the manifest says the same by now.".to_owned(),
        Ok(Resolution::Transient) => "It was over before any read could show it.".to_owned(),
        Ok(Resolution::Unknown) | Err(_) => "What became of it is not known.".to_owned(),
    }
}

fn prefix_list(record: &DriftRecord) -> bool {
    record.atoms.iter().any(|atom| atom.kind == DriftKind::PrefixListChanged.as_str())
}

/// The command that makes the edit part of the manifest, where there is something to keep.
fn keep(record: &DriftRecord, place: &Place) -> Option<(&'static str, String)> {
    let of_a_rule = |kind: &str| match DriftKind::parse(kind) {
        Ok(DriftKind::Added | DriftKind::Removed | DriftKind::Modified | DriftKind::DescriptionChanged) => true,
        Ok(
            DriftKind::TagChanged
            | DriftKind::TagRemoved
            | DriftKind::GroupDeleted
            | DriftKind::PrefixListChanged
            | DriftKind::VpcAssociationChanged
            | DriftKind::Transient
            | DriftKind::Unclassified,
        )
        | Err(_) => false,
    };
    let settled = [Resolution::Tolerated, Resolution::Declared].map(Resolution::as_str).contains(&record.resolution.as_str());
    let (namespace, name, id) = (&place.namespace, &place.name, &record.id);
    // Only what was added can be kept for a while.
    let added = record.atoms.iter().all(|atom| atom.kind == DriftKind::Added.as_str());
    let lasting = if added { " --for 2h" } else { "" };
    let command = || ("Keep the edit", format!("sgwarden accept {namespace}/{name} {id}{lasting}"));
    (!settled && record.atoms.iter().any(|atom| of_a_rule(&atom.kind))).then(command)
}

/// Who it was: name, kind of principal, from where, with what, by which call.
fn actor(actor: &Actor) -> String {
    let Actor { name, arn, type_, source_ip, user_agent, event_name, event_time: _, event_id: _, reason } = actor;
    let mut parts: Vec<String> = [name.as_ref().or(arn.as_ref()), type_.as_ref()].into_iter().flatten().cloned().collect();
    parts.extend(source_ip.as_ref().map(|from| format!("from {from}")));
    parts.extend(user_agent.as_ref().map(|with| format!("with {with}")));
    parts.extend(event_name.as_ref().map(|call| format!("by {call}")));
    if parts.is_empty() {
        parts.push("CloudTrail names nobody".to_owned());
    }
    // Why nobody is named, or what else is to be known of it.
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{}{reason}", parts.join(", "))
}

/// When the edit was made, as far as is known, and when it was seen.
fn made(record: &DriftRecord) -> Option<String> {
    let made = record.actor.as_ref().and_then(|actor| actor.event_time.as_deref()).map(clock);
    let seen = record.detected_at.as_deref().map(clock);
    match (made, seen) {
        (Some(made), Some(seen)) => Some(format!("made {made}, seen {seen}")),
        (None, Some(seen)) => Some(format!("seen {seen}")),
        (made, None) => made,
    }
}

fn begun(record: &DriftRecord) -> Option<Timestamp> {
    let made = record.actor.as_ref().and_then(|actor| actor.event_time.as_ref()?.parse().ok());
    made.or_else(|| record.detected_at.as_ref()?.parse().ok())
}

/// A time for people: to the second.
fn clock(time: &str) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return time.to_owned() };
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long something was so, in the largest two units.
fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{} s", seconds.max(1))
    }
}

/// With a full stop, and one only.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?', '…']) { text.to_owned() } else { format!("{text}.") }
}
