//! The join of drift with events: which call made this difference, if anybody can tell.
//!
//! In order, and the first that finds any event decides:
//! 1. the rule's id: EC2 gives it to one rule only, ever;
//! 2. the identity of the atom, in an event of this group;
//! 3. the same in an event of which nobody can tell the group;
//! 4. the group: an event of it that did something of this kind which cannot be told.
//!
//! From 2 on, and for changes that one rule can see several times, the event must be of the time between the last read without the
//! difference and the first with it. Step 4 also needs that all events of that time were kept. An event that tells all it did, and
//! did something else, is no candidate at all: it would be an accusation without a ground.
//!
//! Invariant: two events that are equally good name nobody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::core::model::{Atom, Direction, Peer, PrefixListId, RuleId, SecurityGroupId, Traffic};

use super::event::{Change, Event, What, without_account};
use super::identity::Actor;
use super::kept::later;
use super::own::{Own, Whose};

/// By how much an event's time may lie outside of the time in question: `CloudTrail` counts whole seconds and says when a call was
/// completed, reads are answered from what EC2 knew a moment ago, and clocks differ.
pub const SLACK: SignedDuration = SignedDuration::from_secs(5);

/// The time in which a difference arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When the last read without it began; `None`: there was none.
    pub without: Option<Timestamp>,
    /// When the first read with it was answered.
    pub with: Timestamp,
}

impl Window {
    /// Whether something happened in it, give or take [`SLACK`].
    pub fn contains(&self, time: Timestamp) -> bool {
        self.without.is_none_or(|without| time >= later(without, -SLACK)) && time <= later(self.with, SLACK)
    }
}

/// What drifted. Kinds are those of drift records; of an `Unclassified` difference say what it is: a rule that is there and not
/// declared is `Added`, one that is missing `Removed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// This rule is there.
    Added(Atom),
    /// This rule is gone.
    Removed(Atom),
    /// A rule became this one in place.
    Modified(Atom),
    /// This rule has another description.
    DescriptionChanged(Atom),
    /// A tag has another value, or is there where none was.
    TagChanged {
        /// Its key.
        key: String,
        /// Its value now.
        value: String,
    },
    /// The tag of this key is gone.
    TagRemoved {
        /// Its key.
        key: String,
        /// The value it had, if it is known.
        value: Option<String>,
    },
    /// The group itself is gone.
    GroupDeleted,
    /// The entries of a prefix list changed.
    PrefixListChanged(PrefixListId),
}

/// One difference, and when it arose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted {
    /// What drifted.
    pub drift: Drift,
    /// EC2's id of the rule: the one it has; of a removed rule, the one it had.
    pub rule_id: Option<RuleId>,
    /// When.
    pub window: Window,
}

/// The events there are, and since when all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'e> {
    /// Events in any order; duplicates do no harm.
    pub events: Vec<&'e Event>,
    /// Events of before were not kept, or not asked for; `None`: all there ever were are here.
    pub kept_since: Option<Timestamp>,
}

/// On what ground an event was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
pub enum By {
    /// It names the rule by its id.
    RuleId,
    /// It did this to this very atom, tag, group or list.
    Identity,
    /// As [`By::Identity`], but nobody can tell in which group.
    IdentityAnywhere,
    /// It did something of this kind in the group, at the time.
    Group,
}

/// Why nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumIter, thiserror::Error)]
pub enum Nobody {
    /// Nothing was heard of the group at that time.
    #[error("no CloudTrail event of that time has arrived")]
    NoEvent,
    /// Only our own calls.
    #[error("the events of that time are sgwarden's own")]
    OnlyOurs,
    /// Only calls that failed, and dry runs.
    #[error("the calls of that time failed")]
    OnlyFailed,
    /// Others wrote to the group, but what they did is known and is not this.
    #[error("the calls of that time did something else")]
    SomethingElse,
    /// The events of that time are not, or not all, kept any more.
    #[error("the events of that time are no longer kept")]
    Forgotten,
    /// There is an event that may have done it, but no read of before bounds the time.
    #[error("nobody can tell since when it is so")]
    NoEarlierRead,
}

/// Who made a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribution<'e> {
    /// This event did.
    Named(&'e Event, By),
    /// One of these did, oldest first, and nobody can tell which.
    Tie(Vec<&'e Event>, By),
    /// It was made with our role, by a request that we know nothing of ([`Whose::OwnRole`]): another replica's before us, one whose
    /// answer was lost, or misuse. All candidates, oldest first.
    OwnRole(Vec<&'e Event>, By),
    /// No event does explain it.
    Nobody(Nobody),
}

impl<'e> Attribution<'e> {
    /// The caller, if all candidates have the same one: then it does not matter which of their calls it was.
    pub fn actor(&self) -> Option<&'e Actor> {
        match self {
            Self::Named(event, _) => Some(&event.actor),
            Self::Tie(events, _) => {
                let (first, rest) = events.split_first()?;
                rest.iter().all(|event| event.actor.is_same(&first.actor)).then_some(&first.actor)
            }
            Self::OwnRole(_, _) | Self::Nobody(_) => None,
        }
    }
}

/// Joins what drifted in a group with events: an answer for each, in their order.
///
/// Ask again as events arrive: a later one may turn a name into a tie, unless it was found by [`By::RuleId`].
pub fn attribute<'e>(group: &SecurityGroupId, drifted: &[Drifted], evidence: &Evidence<'e>, own: &Own) -> Vec<Attribution<'e>> {
    let index = Index::of(group, evidence, own);
    drifted.iter().map(|drifted| index.explain(drifted)).collect()
}

/// Events in the order of their time, each once.
pub(super) fn ordered<'e>(events: &[&'e Event]) -> Vec<&'e Event> {
    let by_id: BTreeMap<(Timestamp, &str), &'e Event> = events.iter().map(|event| ((event.time, &*event.id), *event)).collect();
    by_id.into_values().collect()
}

/// How well a change explains a difference, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It names the rule, and says nothing else than what is found.
    Rule,
    /// It names the rule, but what is found is not what it did to it.
    RuleThenMore,
    /// It says the atom, the tag, the group or the list.
    Identity,
    /// It says neither.
    Vague,
}

/// An event by its number and one of its changes.
type Found<'e> = (usize, &'e Change);

/// A rule as far as changes in place say it.
type Shape = (Traffic, Peer);

/// The changes of a group by what they can be found by, so that ten thousand of them cost no more than they must.
struct Index<'g, 'e> {
    group: &'g SecurityGroupId,
    events: Vec<(&'e Event, Whose)>,
    by_rule: BTreeMap<&'e RuleId, Vec<Found<'e>>>,
    by_shape: BTreeMap<Shape, Vec<Found<'e>>>,
    /// Changes that are of no atom, and those that do not say theirs; of the latter one an event and kind.
    others: Vec<Found<'e>>,
    kept_since: Option<Timestamp>,
}

impl<'g, 'e> Index<'g, 'e> {
    fn of(group: &'g SecurityGroupId, evidence: &Evidence<'e>, own: &Own) -> Self {
        let events = ordered(&evidence.events).into_iter().map(|event| (event, own.whose(event))).collect();
        let mut index = Self {
            group,
            events,
            by_rule: BTreeMap::new(),
            by_shape: BTreeMap::new(),
            others: Vec::new(),
            kept_since: evidence.kept_since,
        };
        for number in 0..index.events.len() {
            index.add(number);
        }
        index
    }

    fn add(&mut self, number: usize) {
        let Some((event, whose)) = self.events.get(number).copied() else { return };
        if event.failure.is_some() || whose == Whose::Ours {
            return;
        }
        let mut said = BTreeSet::new();
        for change in event.changes.iter().filter(|change| may_be_of(change, self.group)) {
            let shape = match (&change.what, &change.atom) {
                (What::Modified(Some(becomes)), _) => Some((becomes.traffic, without_account(&becomes.peer))),
                (_, Some(atom)) => Some((atom.traffic, without_account(&atom.peer))),
                (_, None) => None,
            };
            if let Some(id) = &change.rule_id {
                self.by_rule.entry(id).or_default().push((number, change));
            }
            let of_rules = matches!(change.what, What::Added | What::Removed | What::Modified(_) | What::Described);
            // What a rule was before it was modified is never said.
            let untold = shape.is_none() || matches!(change.what, What::Modified(_));
            if let Some(shape) = shape {
                self.by_shape.entry(shape).or_default().push((number, change));
            }
            if !of_rules || (untold && said.insert((change.what.label(), change.rule_id.is_some()))) {
                self.others.push((number, change));
            }
        }
    }

    fn explain(&self, drifted: &Drifted) -> Attribution<'e> {
        let shape = drifted.drift.atom().map(|atom| (atom.traffic, without_account(&atom.peer)));
        let by_rule = drifted.rule_id.iter().filter_map(|id| self.by_rule.get(id));
        let by_shape = shape.iter().filter_map(|shape| self.by_shape.get(shape));
        let mut best: BTreeMap<(Fit, bool), BTreeSet<usize>> = BTreeMap::new();
        for (number, change) in by_rule.chain(by_shape).flatten().chain(&self.others) {
            let Some((event, _)) = self.events.get(*number) else { continue };
            if let Some(fit) = fit(event, change, drifted) {
                best.entry((fit, event.account_wide && fit > Fit::RuleThenMore)).or_default().insert(*number);
            }
        }
        let gap = self.kept_since.is_some_and(|since| drifted.window.without.is_none_or(|without| since > later(without, -SLACK)));
        let mut why = None;
        // Identity in this group, then identity anywhere; what is vague is so here and there.
        let steps =
            [(Fit::Rule, By::RuleId), (Fit::RuleThenMore, By::RuleId), (Fit::Identity, By::Identity), (Fit::Vague, By::Group)];
        for (fit, by) in steps {
            let here = best.remove(&(fit, false)).unwrap_or_default();
            let anywhere = best.remove(&(fit, true)).unwrap_or_default();
            if fit == Fit::Vague {
                let numbers: BTreeSet<usize> = here.into_iter().chain(anywhere).collect();
                match (numbers.is_empty(), drifted.window.without, gap) {
                    (true, _, _) => {}
                    (false, None, _) => why = Some(Nobody::NoEarlierRead),
                    (false, Some(_), true) => why = Some(Nobody::Forgotten),
                    (false, Some(_), false) => return self.verdict(&numbers, by),
                }
            } else if !here.is_empty() {
                return self.verdict(&here, by);
            } else if !anywhere.is_empty() {
                return self.verdict(&anywhere, By::IdentityAnywhere);
            }
        }
        Attribution::Nobody(why.unwrap_or_else(|| self.silence(drifted, gap)))
    }

    fn verdict(&self, numbers: &BTreeSet<usize>, by: By) -> Attribution<'e> {
        let found: Vec<(&'e Event, Whose)> = numbers.iter().filter_map(|number| self.events.get(*number)).copied().collect();
        match found.as_slice() {
            [(event, Whose::Others)] => Attribution::Named(event, by),
            many => {
                let events = many.iter().map(|(event, _)| *event).collect();
                let others = many.iter().any(|(_, whose)| *whose == Whose::Others);
                if others { Attribution::Tie(events, by) } else { Attribution::OwnRole(events, by) }
            }
        }
    }

    /// Why nothing was found.
    fn silence(&self, drifted: &Drifted, gap: bool) -> Nobody {
        let of_it = |event: &Event| event.changes.iter().any(|change| may_be_of(change, self.group));
        let here = || self.events.iter().filter(|(event, _)| drifted.window.contains(event.time) && of_it(event));
        let wrote = || here().filter(|(event, _)| event.failure.is_none());
        if wrote().any(|(_, whose)| *whose != Whose::Ours) {
            Nobody::SomethingElse
        } else if gap {
            Nobody::Forgotten
        } else if wrote().next().is_some() {
            Nobody::OnlyOurs
        } else if here().next().is_some() {
            Nobody::OnlyFailed
        } else {
            Nobody::NoEvent
        }
    }
}

fn may_be_of(change: &Change, group: &SecurityGroupId) -> bool {
    change.group.as_ref().is_none_or(|it| it == group)
}

impl Drift {
    /// The atom it is about: what is there, or what is gone.
    fn atom(&self) -> Option<&Atom> {
        match self {
            Self::Added(atom) | Self::Removed(atom) | Self::Modified(atom) | Self::DescriptionChanged(atom) => Some(atom),
            Self::TagChanged { key: _, value: _ }
            | Self::TagRemoved { key: _, value: _ }
            | Self::GroupDeleted
            | Self::PrefixListChanged(_) => None,
        }
    }
}

/// How a change explains a difference, if it can at all.
fn fit(event: &Event, change: &Change, drifted: &Drifted) -> Option<Fit> {
    let direction: Option<Direction> = drifted.drift.atom().map(|atom| atom.direction);
    if event.name.direction().is_some_and(|said| direction.is_some_and(|direction| direction != said)) {
        return None;
    }
    // What only one event can ever have done to an id needs no clock.
    let (told, once) = match (&change.what, &drifted.drift) {
        (What::Added, Drift::Added(atom)) | (What::Removed, Drift::Removed(atom)) => {
            (change.atom.as_ref().map(|it| shape(it) == shape(atom)), true)
        }
        (What::Added | What::Described, Drift::DescriptionChanged(atom)) => {
            (change.atom.as_ref().map(|it| shape(it) == shape(atom)), false)
        }
        (What::Modified(becomes), Drift::Added(atom) | Drift::Modified(atom) | Drift::DescriptionChanged(atom)) => {
            let same = becomes.as_ref().map(|it| (it.traffic, without_account(&it.peer)) == shape(atom));
            (same, false)
        }
        // It was made into another rule; into which is said, from which is not.
        (What::Modified(becomes), Drift::Removed(atom)) => {
            if becomes.as_ref().is_some_and(|it| (it.traffic, without_account(&it.peer)) == shape(atom)) {
                return None;
            }
            (None, false)
        }
        // A rule's tag is not the group's.
        (What::Tagged(_) | What::Untagged(_), _) if change.rule_id.is_some() => return None,
        (What::Tagged(edit), Drift::TagChanged { key, value }) => {
            let same = |edit: &super::TagEdit| edit.key == *key && edit.value.as_ref().is_none_or(|it| it == value);
            (edit.as_ref().map(same), false)
        }
        (What::Untagged(edit), Drift::TagRemoved { key, value }) => {
            let conflicting = |said: &Option<String>| said.as_ref().zip(value.as_ref()).is_some_and(|(said, had)| said != had);
            let same = |edit: &super::TagEdit| edit.key == *key && !conflicting(&edit.value);
            // Without a tag all of them went, unless there is more that could not be read.
            (edit.as_ref().map_or((!event.incomplete).then_some(true), |edit| Some(same(edit))), false)
        }
        (What::GroupDeleted, Drift::GroupDeleted) => (change.group.as_ref().map(|_| true), true),
        (What::PrefixListChanged(list), Drift::PrefixListChanged(drifted)) => (list.as_ref().map(|list| list == drifted), false),
        (
            What::Added
            | What::Removed
            | What::Modified(_)
            | What::Described
            | What::Tagged(_)
            | What::Untagged(_)
            | What::GroupCreated
            | What::GroupDeleted
            | What::VpcAssociated(_)
            | What::VpcDisassociated(_)
            | What::PrefixListChanged(_),
            _,
        ) => return None,
    };
    let in_time = drifted.window.contains(event.time);
    match (&change.rule_id, &drifted.rule_id, told) {
        (Some(said), Some(id), told) if said == id => {
            let fit = if told == Some(false) { Fit::RuleThenMore } else { Fit::Rule };
            (in_time || once).then_some(fit)
        }
        // Another rule, or another atom.
        (Some(_), Some(_), _) | (_, _, Some(false)) => None,
        (_, _, Some(true)) => in_time.then_some(Fit::Identity),
        (_, _, None) => in_time.then_some(Fit::Vague),
    }
}

/// A rule without its direction, which is compared by itself, and without the account of its peer.
fn shape(atom: &Atom) -> Shape {
    (atom.traffic, without_account(&atom.peer))
}
