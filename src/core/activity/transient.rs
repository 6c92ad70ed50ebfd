//! What no read of EC2 shows: rules that were opened and closed again between two of them, and what was tried in vain.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::model::{Atom, RuleId, SecurityGroupId};

use super::attribute::{Window, ordered};
use super::event::{Change, Event, Failure, What, without_account};
use super::own::{Own, Whose};

/// A rule that was there for a while, without any read that saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transient<'e> {
    /// The rule, if either event says it.
    pub atom: Option<Atom>,
    /// Its id, if both say it.
    pub rule_id: Option<RuleId>,
    /// The event that added it.
    pub opened: &'e Event,
    /// The event that removed it.
    pub closed: &'e Event,
}

/// The rules of a group that others added and removed again within a window between two reads.
///
/// `shown` are the atoms that either read showed: those were seen, and are drift or none, but not transient. Times within
/// [`SLACK`](super::SLACK) of the window are in it. The result is in the order of the openings and the same for any order of
/// `events`.
pub fn transient<'e>(
    group: &SecurityGroupId,
    window: Window,
    shown: &BTreeSet<Atom>,
    events: &[&'e Event],
    own: &Own,
) -> Vec<Transient<'e>> {
    let shown: BTreeSet<Atom> = shown.iter().map(comparable).collect();
    let foreign = |event: &&Event| event.failure.is_none() && window.contains(event.time) && own.whose(event) == Whose::Others;
    let events: Vec<&'e Event> = ordered(events).into_iter().filter(foreign).collect();
    let mut opened = Openings::default();
    let mut found = Vec::new();
    // Within one second nobody can tell what came first: what opens is taken to.
    for moment in events.chunk_by(|a, b| a.time == b.time) {
        for what in [What::Added, What::Removed] {
            for (event, change) in moment.iter().flat_map(|event| of(event, group)).filter(|(_, change)| change.what == what) {
                if what == What::Added {
                    opened.add(event, change);
                } else if let Some(opening) = opened.take(change) {
                    let atom = opening.change.atom.clone().or_else(|| change.atom.clone());
                    if !atom.as_ref().is_some_and(|atom| shown.contains(&comparable(atom))) {
                        let rule_id = opening.change.rule_id.clone().filter(|id| change.rule_id.as_ref() == Some(id));
                        found.push((opening.number, Transient { atom, rule_id, opened: opening.event, closed: event }));
                    }
                }
            }
        }
    }
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, transient)| transient).collect()
}

fn of<'e>(event: &'e Event, group: &SecurityGroupId) -> impl Iterator<Item = (&'e Event, &'e Change)> {
    event.changes.iter().filter(move |change| change.group.as_ref() == Some(group)).map(move |change| (event, change))
}

#[derive(Clone, Copy)]
struct Opening<'e> {
    number: usize,
    event: &'e Event,
    change: &'e Change,
}

/// What is open, by id and by atom.
#[derive(Default)]
struct Openings<'e> {
    open: BTreeMap<usize, Opening<'e>>,
    by_id: BTreeMap<&'e RuleId, usize>,
    by_atom: BTreeMap<Atom, BTreeSet<usize>>,
    next: usize,
}

impl<'e> Openings<'e> {
    fn add(&mut self, event: &'e Event, change: &'e Change) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Opening { number, event, change });
        if let Some(id) = &change.rule_id {
            self.by_id.insert(id, number);
        }
        if let Some(atom) = &change.atom {
            self.by_atom.entry(comparable(atom)).or_default().insert(number);
        }
    }

    /// The opening that a removal closes: that of its rule's id, else the first of its atom that does not have another id.
    fn take(&mut self, removal: &Change) -> Option<Opening<'e>> {
        let by_id = removal.rule_id.as_ref().and_then(|id| self.by_id.get(id).copied());
        let other = |opening: &Opening<'_>| opening.change.rule_id.is_some() && removal.rule_id.is_some();
        let by_atom = || {
            let all = self.by_atom.get(&comparable(removal.atom.as_ref()?))?;
            all.iter().copied().find(|number| self.open.get(number).is_some_and(|opening| !other(opening)))
        };
        let opening = self.open.remove(&by_id.or_else(by_atom)?)?;
        if let Some(id) = &opening.change.rule_id {
            self.by_id.remove(id);
        }
        if let Some(all) = opening.change.atom.as_ref().and_then(|atom| self.by_atom.get_mut(&comparable(atom))) {
            all.remove(&opening.number);
        }
        Some(opening)
    }
}

fn comparable(atom: &Atom) -> Atom {
    Atom { peer: without_account(&atom.peer), ..atom.clone() }
}

/// What others tried on a group and AWS did not let them do ("tried, denied"), oldest first. Dry runs are not tries.
pub fn denied<'e>(group: &SecurityGroupId, events: &[&'e Event], own: &Own) -> Vec<&'e Event> {
    let denied = |event: &&Event| matches!(event.failure, Some(Failure::Denied(_)));
    failed(group, events, own).into_iter().filter(denied).collect()
}

/// What others tried on a group in vain, denied or not: a rule that was there already, a full group. Oldest first; dry runs are not
/// tries.
pub fn failed<'e>(group: &SecurityGroupId, events: &[&'e Event], own: &Own) -> Vec<&'e Event> {
    let tried = |event: &&Event| {
        let failed = matches!(event.failure, Some(Failure::Denied(_) | Failure::Refused(_)));
        failed && event.groups.contains(group) && own.whose(event) == Whose::Others
    };
    ordered(events).into_iter().filter(tried).collect()
}
