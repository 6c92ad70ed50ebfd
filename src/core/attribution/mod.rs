//! Who made the edits of a drift record: the record's texts back into differences, each joined with events, and all answers made
//! one.
//!
//! Entry point: [`author`].

use std::collections::BTreeSet;

use crate::api::{self, DriftAtom, DriftKind, DriftRecord, MAX_REASON, MAX_WORD};
use crate::core::activity::{Attribution, By, Drift, Drifted, Event, Evidence, Nobody, Own, Window, attribute, presentable as cut};
use crate::core::model::{Atom, SecurityGroupId};

/// What can be said of the author of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// Events tell: a caller, or several candidates of whom none is named.
    Told(Box<api::Actor>),
    /// Nothing yet, and why; an event may still come.
    Untold(Nobody),
}

/// Who made the edits of a record, which arose in this window.
///
/// Somebody is named when every listed edit is theirs. Edits of several callers name them all; where any edit has candidates of whom
/// nobody can tell which it was, or has none, no one is named, and the reason tells of whom there are traces.
pub fn author(group: &SecurityGroupId, record: &DriftRecord, window: Window, evidence: &Evidence<'_>, own: &Own) -> Author {
    let drifted: Vec<Drifted> = record.atoms.iter().filter_map(|atom| drifted(atom, window)).collect();
    let mut answers = attribute(group, &drifted, evidence, own);
    if window.without.is_none() {
        // Since when it is so is not known: the same edit may have been made, and taken back, before. Ids are given once.
        answers
            .iter_mut()
            .filter(|answer| !is_by_id(answer))
            .for_each(|answer| *answer = Attribution::Nobody(Nobody::NoEarlierRead));
    }
    let told: Vec<&Attribution<'_>> = answers.iter().filter(|answer| !matches!(answer, Attribution::Nobody(_))).collect();
    let untold = answers.iter().find_map(|answer| match answer {
        Attribution::Nobody(why) => Some(*why),
        Attribution::Named(_, _) | Attribution::Tie(_, _) | Attribution::OwnRole(_, _) => None,
    });
    if told.is_empty() {
        return Author::Untold(untold.unwrap_or(Nobody::NoEvent));
    }
    let events: BTreeSet<&Event> = told.iter().flat_map(|answer| candidates(answer)).collect();
    let all_named = untold.is_none() && told.iter().all(|answer| answer.actor().is_some());
    let ours = told.iter().any(|answer| matches!(answer, Attribution::OwnRole(_, _)));
    Author::Told(Box::new(match (all_named, ours) {
        (true, _) => named(&events, &told),
        (false, true) => api::Actor {
            reason: Some("made with sgwarden's own role, by a request it did not send or got no answer to".to_owned()),
            ..traces(&events)
        },
        (false, false) => unnamed(&events, answers.len(), told.len(), untold),
    }))
}

/// The caller of one call.
pub fn actor_of(event: &Event) -> api::Actor {
    of(&BTreeSet::from([event]))
}

/// A reason as status takes it.
fn short(text: &str) -> String {
    within(text, MAX_REASON)
}

/// A word, an address or an id as status takes it: none of AWS's is as long.
fn word(text: &str) -> String {
    within(text, MAX_WORD)
}

fn within(text: &str, most: usize) -> String {
    let text = cut(text);
    match text.char_indices().nth(most.saturating_sub(1)) {
        Some((end, _)) if text.chars().count() > most => format!("{}…", text.get(..end).unwrap_or(&text)),
        Some(_) | None => text,
    }
}

/// What nobody explained in time.
pub fn unknown(why: &str) -> api::Actor {
    api::Actor { reason: Some(short(&format!("unknown: {why}"))), ..api::Actor::default() }
}

/// Whether a record names nobody yet, and an event that comes may change that.
pub fn is_untold(record: &DriftRecord) -> bool {
    record.actor.as_ref().is_none_or(|actor| actor.event_id.is_none() && actor.event_name.is_none())
}

/// Whether a call is found by the id of the rule, or none is.
fn is_by_id(answer: &Attribution<'_>) -> bool {
    match answer {
        Attribution::Named(_, by) | Attribution::Tie(_, by) | Attribution::OwnRole(_, by) => *by == By::RuleId,
        Attribution::Nobody(_) => true,
    }
}

fn candidates<'e>(answer: &Attribution<'e>) -> Vec<&'e Event> {
    match answer {
        Attribution::Named(event, _) => vec![event],
        Attribution::Tie(events, _) | Attribution::OwnRole(events, _) => events.clone(),
        Attribution::Nobody(_) => Vec::new(),
    }
}

/// Every edit has its caller.
fn named(events: &BTreeSet<&Event>, told: &[&Attribution<'_>]) -> api::Actor {
    let Some(first) = events.first() else { return api::Actor::default() };
    let by_identity = told.iter().any(|answer| matches!(answer, Attribution::Named(_, By::Group)));
    if events.iter().all(|event| event.actor.is_same(&first.actor) || event.id == first.id) {
        let reason = by_identity.then(|| "by the time of a call that does not say which rules it changed".to_owned());
        return api::Actor { reason, ..of(events) };
    }
    let names: BTreeSet<&str> = events.iter().map(|event| event.actor.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    api::Actor {
        name: Some(cut(&names.join(" and "))),
        reason: Some(short(&format!("each made a part of it: {}", listed(events)))),
        ..traces(events)
    }
}

/// One caller, in as many calls as it took: the last of them stands for all.
fn of(events: &BTreeSet<&Event>) -> api::Actor {
    let Some(last) = events.last() else { return api::Actor::default() };
    let actor = &last.actor;
    api::Actor {
        name: Some(actor.name.clone()),
        arn: actor.arn.clone(),
        type_: actor.type_.as_deref().map(word),
        source_ip: actor.source_ip.as_deref().map(word),
        user_agent: actor.user_agent.clone(),
        event_time: Some(last.time.to_string()),
        event_id: Some(word(&last.id)),
        ..traces(events)
    }
}

/// The calls, and nobody.
fn traces(events: &BTreeSet<&Event>) -> api::Actor {
    let names: BTreeSet<&str> = events.iter().map(|event| event.name.into()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    api::Actor { event_name: Some(cut(&names.join(", "))), ..api::Actor::default() }
}

fn unnamed(events: &BTreeSet<&Event>, edits: usize, told: usize, untold: Option<Nobody>) -> api::Actor {
    if let Some(why) = untold.filter(|_| told < edits) {
        // The events of the rest may still come.
        let reason = format!("of {told} of {edits} edits there are calls: {}; of the rest: {why}", listed(events));
        return api::Actor { reason: Some(short(&reason)), ..api::Actor::default() };
    }
    let reason = format!("one of these calls, and nobody can tell which: {}", listed(events));
    api::Actor { reason: Some(short(&reason)), ..traces(events) }
}

fn listed(events: &BTreeSet<&Event>) -> String {
    const SHOWN: usize = 5;
    let shown = events.iter().take(SHOWN).map(|event| format!("{} ({}, {})", event.actor.name, event.name, event.time));
    let mut shown: Vec<String> = shown.collect();
    if events.len() > SHOWN {
        shown.push(format!("and {} more", events.len() - SHOWN));
    }
    shown.join(", ")
}

/// What a record's text says drifted; `None`: words of another release, or a kind that no call explains.
fn drifted(atom: &DriftAtom, window: Window) -> Option<Drifted> {
    let rule_id = atom.rule_id.as_ref().and_then(|id| id.parse().ok());
    let (before, after) = (atom.before.as_deref(), atom.after.as_deref());
    let drift = match (DriftKind::parse(&atom.kind).ok()?, before, after) {
        (DriftKind::Added | DriftKind::Transient, _, Some(after)) | (DriftKind::Unclassified, None, Some(after)) => {
            Drift::Added(rule(after)?)
        }
        (DriftKind::Removed, Some(before), _) | (DriftKind::Unclassified, Some(before), None) => Drift::Removed(rule(before)?),
        (DriftKind::Modified, _, Some(after)) | (DriftKind::Unclassified, Some(_), Some(after)) => Drift::Modified(rule(after)?),
        (DriftKind::DescriptionChanged, _, Some(after)) => Drift::DescriptionChanged(rule(after)?),
        (DriftKind::TagChanged, _, Some(after)) => {
            let (key, value) = tag(after)?;
            Drift::TagChanged { key, value }
        }
        (DriftKind::TagRemoved, Some(before), _) => {
            let (key, value) = tag(before)?;
            Drift::TagRemoved { key, value: Some(value) }
        }
        (DriftKind::GroupDeleted, _, _) => Drift::GroupDeleted,
        (DriftKind::PrefixListChanged, _, Some(after)) => {
            Drift::PrefixListChanged(after.strip_prefix("prefix list ")?.split(' ').next()?.parse().ok()?)
        }
        _ => return None,
    };
    Some(Drifted { drift, rule_id, window })
}

/// A rule, with its description in quotes or without.
fn rule(text: &str) -> Option<Atom> {
    text.split(" \"").next()?.parse().ok()
}

fn tag(text: &str) -> Option<(String, String)> {
    let (key, value) = text.strip_prefix("tag ")?.split_once('=')?;
    Some((key.to_owned(), value.to_owned()))
}
