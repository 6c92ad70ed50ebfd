//! Who made the edits of a drift record: the record's texts back into differences, each joined with events, and all answers made
//! one.
//!
//! Entry points: [`author`], and what it asks for, [`groups`] and [`lists`]; [`is_better`].

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{self, DriftAtom, DriftKind, DriftRecord, MAX_REASON, MAX_WORD, Resolution};
use crate::core::activity::{Attribution, By, Drift, Drifted, Event, Evidence, Nobody, Own, Window, attribute, presentable as cut};
use crate::core::model::{Atom, PrefixListId, RuleId, SecurityGroupId, VpcId};

/// The most versions of a prefix list between two looks that are asked for one by one.
const MAX_VERSIONS: i64 = 100;

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
    // What cannot be read, or no call explains, is an edit without an author: whoever made the others has not made all of it.
    let mut by_group: BTreeMap<SecurityGroupId, Vec<Drifted>> = BTreeMap::new();
    let mut unread = 0;
    for atom in &record.atoms {
        let edits = drifted(atom, window);
        unread += usize::from(edits.is_empty());
        by_group.entry(deleted(atom).unwrap_or_else(|| group.clone())).or_default().extend(edits);
    }
    let mut answers: Vec<Attribution<'_>> =
        by_group.iter().flat_map(|(group, edits)| attribute(group, edits, evidence, own)).collect();
    answers.extend(std::iter::repeat_n(Attribution::Nobody(Nobody::NoEvent), unread));
    if window.without.is_none() {
        // Since when it is so is not known: the same edit may have been made, and taken back, before. Ids and versions are given
        // once.
        let by_time = |answer: &Attribution<'_>| answer.by().is_some_and(|by| !matches!(by, By::RuleId | By::Version));
        answers.iter_mut().filter(|answer| by_time(answer)).for_each(|answer| *answer = Attribution::Nobody(Nobody::NoEarlierRead));
    }
    let answers = Answers(answers);
    let untold = answers.untold();
    let told = answers.told();
    if told.is_empty() {
        return Author::Untold(untold.unwrap_or(Nobody::NoEvent));
    }
    let events: BTreeSet<&Event> = told.iter().flat_map(|answer| answer.events()).copied().collect();
    let all_named = untold.is_none() && told.iter().all(|answer| answer.actor().is_some());
    let ours = told.iter().any(|answer| matches!(answer, Attribution::OwnRole(_, _)));
    Author::Told(Box::new(match (all_named, ours) {
        (true, _) => named(&events, record),
        (false, true) => api::Actor {
            reason: Some("made with sgwarden's own role, by a request it did not send or got no answer to".to_owned()),
            ..traces(&events)
        },
        (false, false) => unnamed(&events, &answers),
    }))
}

/// What is known of each edit.
struct Answers<'e>(Vec<Attribution<'e>>);

impl<'e> Answers<'e> {
    fn told(&self) -> Vec<&Attribution<'e>> {
        self.0.iter().filter(|answer| answer.by().is_some()).collect()
    }

    /// Why the first edit of which there is no call has none.
    fn untold(&self) -> Option<Nobody> {
        self.0.iter().find_map(|answer| match answer {
            Attribution::Nobody(why) => Some(*why),
            Attribution::Named(_, _) | Attribution::Tie(_, _) | Attribution::Trace(_, _) | Attribution::OwnRole(_, _) => None,
        })
    }
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

/// Every edit that is listed has its caller.
fn named(events: &BTreeSet<&Event>, record: &DriftRecord) -> api::Actor {
    let Some(first) = events.first() else { return api::Actor::default() };
    let unlisted = usize::try_from(record.count).unwrap_or(0).saturating_sub(record.atoms.len());
    if events.iter().all(|event| event.actor.is_same(&first.actor) || event.id == first.id) {
        let reason = (unlisted > 0).then(|| format!("made the edits that are listed; of the {unlisted} others nobody is known"));
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

fn unnamed(events: &BTreeSet<&Event>, answers: &Answers<'_>) -> api::Actor {
    let (told, edits) = (answers.told().len(), answers.0.len());
    // Without the name of a call: the events that tell more may still come.
    let open = |reason: String| api::Actor { reason: Some(short(&reason)), ..api::Actor::default() };
    if let Some(why) = answers.untold() {
        return open(format!("of {told} of {edits} edits there are calls: {}; of the rest: {why}", listed(events)));
    }
    if answers.0.iter().any(|answer| matches!(answer, Attribution::Trace(_, _))) {
        return open(format!("perhaps by these calls, which do not say that they did just this: {}", listed(events)));
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

/// Whether an answer is better than what a record says.
///
/// A later event may show that a name was not the right one, or not the only one. The other way round it may be forgotten events
/// that make one of many the only one. `grown`: the events that the record's answer was made of are all still kept.
pub fn is_better(record: &DriftRecord, actor: &api::Actor, grown: bool) -> bool {
    // What no read has shown is known by its own event. Others at the time may have done the like.
    if record.resolution == Resolution::Transient.as_str() {
        return false;
    }
    let same_name = || record.actor.as_ref().is_some_and(|before| before.name.is_some() && before.name == actor.name);
    grown || is_untold(record) || same_name()
}

/// The groups that events of a record's edits name: the present one, and those that were deleted.
pub fn groups(group: &SecurityGroupId, record: &DriftRecord) -> BTreeSet<SecurityGroupId> {
    record.atoms.iter().filter_map(deleted).chain([group.clone()]).collect()
}

/// The group that was deleted.
fn deleted(atom: &DriftAtom) -> Option<SecurityGroupId> {
    atom.before.as_ref().filter(|_| atom.kind == DriftKind::GroupDeleted.as_str())?.parse().ok()
}

/// The prefix lists that a record is about.
pub fn lists(record: &DriftRecord) -> BTreeSet<PrefixListId> {
    record.atoms.iter().filter_map(|atom| list(atom.after.as_deref()?)).map(|(id, _)| id).collect()
}

/// What a record's text says drifted: one difference, but for a prefix list one for each version. None: words of another release,
/// or a kind that no call explains.
fn drifted(atom: &DriftAtom, window: Window) -> Vec<Drifted> {
    let rule_id: Option<RuleId> = atom.rule_id.as_ref().and_then(|id| id.parse().ok());
    let drifts = match (DriftKind::parse(&atom.kind), atom.before.as_deref(), atom.after.as_deref()) {
        (Ok(DriftKind::PrefixListChanged), Some(before), Some(after)) => versions(before, after),
        (Ok(kind), before, after) => drift(kind, before, after).into_iter().collect(),
        (Err(_), _, _) => Vec::new(),
    };
    drifts.into_iter().map(|drift| Drifted { drift, rule_id: rule_id.clone(), window }).collect()
}

fn drift(kind: DriftKind, before: Option<&str>, after: Option<&str>) -> Option<Drift> {
    Some(match (kind, before, after) {
        (DriftKind::Added | DriftKind::Transient, _, Some(after)) | (DriftKind::Unclassified, None, Some(after)) => {
            Drift::Added(rule(after)?)
        }
        (DriftKind::Removed, Some(before), _) | (DriftKind::Unclassified, Some(before), None) => Drift::Removed(rule(before)?),
        (DriftKind::Modified, _, Some(after)) | (DriftKind::Unclassified, Some(_), Some(after)) => Drift::Modified(rule(after)?),
        (DriftKind::DescriptionChanged, _, Some(after)) => {
            Drift::DescriptionChanged { atom: rule(after)?, description: description(after) }
        }
        (DriftKind::TagChanged, _, Some(after)) => {
            let (key, value) = tag(after)?;
            Drift::TagChanged { key, value }
        }
        (DriftKind::TagRemoved, Some(before), _) => {
            let (key, value) = tag(before)?;
            Drift::TagRemoved { key, value: Some(value) }
        }
        (DriftKind::GroupDeleted, _, _) => Drift::GroupDeleted,
        (DriftKind::VpcAssociationChanged, _, Some(after)) => {
            let (vpc, state) = association(after)?;
            // Also of one that failed EC2 says what was to become of it.
            if state.starts_with("dis") { Drift::VpcDisassociated(vpc) } else { Drift::VpcAssociated(vpc) }
        }
        (DriftKind::VpcAssociationChanged, Some(before), None) => Drift::VpcDisassociated(association(before)?.0),
        (
            DriftKind::Added
            | DriftKind::Removed
            | DriftKind::Modified
            | DriftKind::DescriptionChanged
            | DriftKind::TagChanged
            | DriftKind::TagRemoved
            | DriftKind::PrefixListChanged
            | DriftKind::Transient
            | DriftKind::VpcAssociationChanged
            | DriftKind::Unclassified,
            _,
            _,
        ) => return None,
    })
}

/// Each edit that led from one version of a prefix list to another; without another version, one of its size.
fn versions(before: &str, after: &str) -> Vec<Drift> {
    let (Some((id, from)), Some((list, to))) = (list(before), list(after)) else { return Vec::new() };
    let edit = |version| Drift::PrefixListChanged { list: list.clone(), version };
    match to.checked_sub(from) {
        _ if id != list => Vec::new(),
        Some(0) => vec![edit(None)],
        Some(1..=MAX_VERSIONS) => (from..to).map(|version| edit(version.checked_add(1))).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// A list and its version. It has a name too, which may be anything.
fn list(text: &str) -> Option<(PrefixListId, i64)> {
    let (id, rest) = text.strip_prefix("prefix list ")?.split_once(' ')?;
    Some((id.parse().ok()?, rest.rsplit_once(" version ")?.1.parse().ok()?))
}

/// A VPC, and the state of the association with it.
fn association(text: &str) -> Option<(VpcId, &str)> {
    let (vpc, state) = text.strip_prefix("association with ")?.split_once(" (")?;
    Some((vpc.parse().ok()?, state.strip_suffix(')')?))
}

/// A rule, with its description in quotes or without.
fn rule(text: &str) -> Option<Atom> {
    text.split(" \"").next()?.parse().ok()
}

/// The description in quotes behind a rule, unless it was cut.
fn description(text: &str) -> Option<String> {
    Some(text.split_once(" \"")?.1.strip_suffix('"')?.to_owned())
}

fn tag(text: &str) -> Option<(String, String)> {
    let (key, value) = text.strip_prefix("tag ")?.split_once('=')?;
    Some((key.to_owned(), value.to_owned()))
}
