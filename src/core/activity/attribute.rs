//! The join of drift with events: which call made this difference, if anybody can tell.
//!
//! In order, and the first that finds any event decides:
//! 1. what is given once: EC2's id of the rule, the version of a prefix list;
//! 2. the rule's id, in an event that did something else to it than what is found;
//! 3. the identity of the atom, in an event of this group;
//! 4. the same in an event of which nobody can tell the group;
//! 5. the group: an event of it that did something of this kind which cannot be told.
//!
//! From 2 on, and for changes that one rule can see several times, the event must be of the time between the last read without the
//! difference and the first with it. Step 5 also needs that all events of that time were kept. An event that tells all it did, and
//! did something else, is no candidate at all: it would be an accusation without a ground.
//!
//! Invariant: who is named did exactly this, to this group, at that time. Steps 2, 4 and 5 only tell of traces: the event of whoever
//! it really was may be lost.
//! Invariant: two events that are equally good name nobody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::core::model::{Atom, Direction, PrefixListId, RuleId, SecurityGroupId, VpcId};

use super::event::{Change, Event, Shape, TagEdit, What, shape};
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
    DescriptionChanged {
        /// The rule.
        atom: Atom,
        /// The description it has now, empty for none, if it is known.
        description: Option<String>,
    },
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
    /// The group can be used in another VPC, or was to be.
    VpcAssociated(VpcId),
    /// The group can no longer be used in another VPC, or was no longer to be.
    VpcDisassociated(VpcId),
    /// A prefix list changed.
    PrefixListChanged {
        /// Which.
        list: PrefixListId,
        /// The version that its entries have by this edit; `None`: its size changed, and its entries did not.
        version: Option<i64>,
    },
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

impl Evidence<'_> {
    /// Whether all events of a window that ever came are here.
    pub fn is_whole(&self, window: Window) -> bool {
        is_kept(self.kept_since, window)
    }
}

fn is_kept(since: Option<Timestamp>, window: Window) -> bool {
    since.is_none_or(|since| window.without.is_some_and(|without| since <= later(without, -SLACK)))
}

/// On what ground an event was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
pub enum By {
    /// It names the rule by its id.
    RuleId,
    /// It made this version of the prefix list.
    Version,
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
    /// Each of these may have done it or had a part in it, oldest first, but none is known to have done just this.
    Trace(Vec<&'e Event>, By),
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
            Self::Trace(_, _) | Self::OwnRole(_, _) | Self::Nobody(_) => None,
        }
    }

    /// The events it speaks of.
    pub fn events(&self) -> &[&'e Event] {
        match self {
            Self::Named(event, _) => std::slice::from_ref(event),
            Self::Tie(events, _) | Self::Trace(events, _) | Self::OwnRole(events, _) => events,
            Self::Nobody(_) => &[],
        }
    }

    /// On what ground; `None`: there is no event.
    pub fn by(&self) -> Option<By> {
        match self {
            Self::Named(_, by) | Self::Tie(_, by) | Self::Trace(_, by) | Self::OwnRole(_, by) => Some(*by),
            Self::Nobody(_) => None,
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
    /// It made this version.
    Version,
    /// It names the rule, but what is found is not what it did to it.
    RuleThenMore,
    /// It says the atom, the tag, the group, the VPC or the list.
    Identity,
    /// It says neither.
    Vague,
}

/// An event by its number and one of its changes.
type Found<'e> = (usize, &'e Change);

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
                (What::Modified(Some(becomes)), _) => Some(becomes.shape()),
                (_, Some(atom)) => Some(shape(atom)),
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
        let shape = drifted.drift.atom().map(shape);
        let by_rule = drifted.rule_id.iter().filter_map(|id| self.by_rule.get(id));
        let by_shape = shape.iter().filter_map(|shape| self.by_shape.get(shape));
        let mut best: BTreeMap<(Fit, bool), BTreeSet<usize>> = BTreeMap::new();
        for (number, change) in by_rule.chain(by_shape).flatten().chain(&self.others) {
            let Some((event, _)) = self.events.get(*number) else { continue };
            if let Some(fit) = fit(event, change, drifted) {
                best.entry((fit, event.account_wide && fit > Fit::RuleThenMore)).or_default().insert(*number);
            }
        }
        let gap = !is_kept(self.kept_since, drifted.window);
        let mut of = |fit, anywhere| best.remove(&(fit, anywhere)).filter(|numbers| !numbers.is_empty());
        // Identity in this group, then identity anywhere; what is vague is so here and there.
        let sure = [(Fit::Rule, By::RuleId), (Fit::Version, By::Version)];
        if let Some((numbers, by)) = sure.into_iter().find_map(|(fit, by)| Some((of(fit, false)?, by))) {
            return self.verdict(&numbers, by);
        }
        if let Some(numbers) = of(Fit::RuleThenMore, false) {
            return self.trace(&numbers, By::RuleId);
        }
        if let Some(numbers) = of(Fit::Identity, false) {
            return self.verdict(&numbers, By::Identity);
        }
        if let Some(numbers) = of(Fit::Identity, true) {
            return self.trace(&numbers, By::IdentityAnywhere);
        }
        let vague: BTreeSet<usize> = [false, true].into_iter().filter_map(|anywhere| of(Fit::Vague, anywhere)).flatten().collect();
        match (vague.is_empty(), drifted.window.without, gap) {
            (true, _, _) => Attribution::Nobody(self.silence(drifted, gap)),
            (false, None, _) => Attribution::Nobody(Nobody::NoEarlierRead),
            (false, Some(_), true) => Attribution::Nobody(Nobody::Forgotten),
            (false, Some(_), false) => self.trace(&vague, By::Group),
        }
    }

    fn found(&self, numbers: &BTreeSet<usize>) -> Vec<(&'e Event, Whose)> {
        numbers.iter().filter_map(|number| self.events.get(*number)).copied().collect()
    }

    /// What follows from events that did exactly this.
    fn verdict(&self, numbers: &BTreeSet<usize>, by: By) -> Attribution<'e> {
        match self.found(numbers).as_slice() {
            [(event, Whose::Others)] => Attribution::Named(event, by),
            found => of_several(found, |events| Attribution::Tie(events, by), by),
        }
    }

    /// What follows from events that may have done it.
    fn trace(&self, numbers: &BTreeSet<usize>, by: By) -> Attribution<'e> {
        of_several(&self.found(numbers), |events| Attribution::Trace(events, by), by)
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

/// Where somebody else may have done it: whatever they are told as.
fn of_several<'e>(found: &[(&'e Event, Whose)], told: impl FnOnce(Vec<&'e Event>) -> Attribution<'e>, by: By) -> Attribution<'e> {
    let events = found.iter().map(|(event, _)| *event).collect();
    let others = found.iter().any(|(_, whose)| *whose == Whose::Others);
    if others { told(events) } else { Attribution::OwnRole(events, by) }
}

fn may_be_of(change: &Change, group: &SecurityGroupId) -> bool {
    change.group.as_ref().is_none_or(|it| it == group)
}

impl Drift {
    /// The atom it is about: what is there, or what is gone.
    fn atom(&self) -> Option<&Atom> {
        match self {
            Self::Added(atom) | Self::Removed(atom) | Self::Modified(atom) | Self::DescriptionChanged { atom, description: _ } => {
                Some(atom)
            }
            Self::TagChanged { key: _, value: _ }
            | Self::TagRemoved { key: _, value: _ }
            | Self::GroupDeleted
            | Self::VpcAssociated(_)
            | Self::VpcDisassociated(_)
            | Self::PrefixListChanged { list: _, version: _ } => None,
        }
    }
}

/// How a change explains a difference, if it can at all.
fn fit(event: &Event, change: &Change, drifted: &Drifted) -> Option<Fit> {
    let direction: Option<Direction> = drifted.drift.atom().map(|atom| atom.direction);
    if event.name.direction().is_some_and(|said| direction.is_some_and(|direction| direction != said)) {
        return None;
    }
    let says = says(event, change, &drifted.drift)?;
    let in_time = drifted.window.contains(event.time);
    match (&change.rule_id, &drifted.rule_id, says) {
        // A version is made once.
        (_, _, Says::Version) => Some(Fit::Version),
        (Some(said), Some(id), says) if said == id => {
            let fit = if is_this(change, &drifted.drift, says) { Fit::Rule } else { Fit::RuleThenMore };
            (in_time || is_once(change, &drifted.drift)).then_some(fit)
        }
        // Another rule, or another atom.
        (Some(_), Some(_), _) | (_, _, Says::Other) => None,
        (_, _, Says::This) => in_time.then_some(Fit::Identity),
        (_, _, Says::Untold) => in_time.then_some(Fit::Vague),
    }
}

/// What a change says that it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// This very version.
    Version,
    /// Just what is found.
    This,
    /// Not all of it, and nothing else.
    Untold,
    /// Something else.
    Other,
}

impl From<Option<bool>> for Says {
    fn from(same: Option<bool>) -> Self {
        match same {
            Some(true) => Self::This,
            Some(false) => Self::Other,
            None => Self::Untold,
        }
    }
}

/// What a change says of a difference; `None`: nothing, it is of another kind.
fn says(event: &Event, change: &Change, drift: &Drift) -> Option<Says> {
    let same_atom = |atom: &Atom| change.atom.as_ref().map(|it| shape(it) == shape(atom));
    Some(match (&change.what, drift) {
        (What::Added, Drift::Added(atom)) | (What::Removed, Drift::Removed(atom)) => same_atom(atom).into(),
        (What::Added | What::Described, Drift::DescriptionChanged { atom, description }) => {
            both(same_atom(atom), same_text(change, description.as_ref())).into()
        }
        (What::Modified(becomes), Drift::Added(atom) | Drift::Modified(atom)) => {
            becomes.as_ref().map(|it| it.shape() == shape(atom)).into()
        }
        (What::Modified(becomes), Drift::DescriptionChanged { atom, description }) => {
            let same = becomes.as_ref().map(|it| it.shape() == shape(atom));
            both(same, same_text(change, description.as_ref())).into()
        }
        // It was made into another rule; into which is said, from which is not.
        (What::Modified(becomes), Drift::Removed(atom)) => {
            if becomes.as_ref().is_some_and(|it| it.shape() == shape(atom)) {
                return None;
            }
            Says::Untold
        }
        // A rule's tag is not the group's.
        (What::Tagged(_) | What::Untagged(_), _) if change.rule_id.is_some() => return None,
        (What::Tagged(edit), Drift::TagChanged { key, value }) => {
            // A tag that is set without a value has an empty one, unless the value could not be read.
            let same = |edit: &TagEdit| match &edit.value {
                _ if edit.key != *key => Some(false),
                Some(said) => Some(said == value),
                None => value.is_empty().then_some(true),
            };
            edit.as_ref().and_then(same).into()
        }
        (What::Untagged(edit), Drift::TagRemoved { key, value }) => {
            let conflicting = |said: &Option<String>| said.as_ref().zip(value.as_ref()).is_some_and(|(said, had)| said != had);
            let same = |edit: &TagEdit| edit.key == *key && !conflicting(&edit.value);
            // Without a tag all of them went, unless there is more that could not be read.
            edit.as_ref().map_or((!event.incomplete).then_some(true), |edit| Some(same(edit))).into()
        }
        (What::GroupDeleted, Drift::GroupDeleted) => change.group.as_ref().map(|_| true).into(),
        (What::VpcAssociated(said), Drift::VpcAssociated(vpc)) | (What::VpcDisassociated(said), Drift::VpcDisassociated(vpc)) => {
            said.as_ref().map(|said| said == vpc).into()
        }
        (What::PrefixListChanged { list: said, version: made }, Drift::PrefixListChanged { list, version: found }) => {
            match (said, made, found) {
                (None, _, _) => Says::Untold,
                (Some(said), _, _) if said != list => Says::Other,
                (Some(_), Some(made), Some(found)) if made == found => Says::Version,
                (Some(_), None, None) => Says::This,
                (Some(_), None, Some(_)) if event.incomplete => Says::Untold,
                (Some(_), Some(_) | None, _) => Says::Other,
            }
        }
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
            | What::PrefixListChanged { list: _, version: _ }
            | What::PrefixListDeleted(_),
            _,
        ) => return None,
    })
}

/// Of a change that names the rule by its id: whether it did just what is found.
fn is_this(change: &Change, drift: &Drift, says: Says) -> bool {
    match drift {
        // The id says it all, if the rule was not another by then. Of one that became another in place nobody can tell whether it
        // was still this one before.
        Drift::Removed(_) => says != Says::Other && change.what == What::Removed,
        // The rule need not be said beside its id.
        Drift::DescriptionChanged { atom: _, description } => {
            says != Says::Other && same_text(change, description.as_ref()) == Some(true)
        }
        Drift::Added(_)
        | Drift::Modified(_)
        | Drift::TagChanged { key: _, value: _ }
        | Drift::TagRemoved { key: _, value: _ }
        | Drift::GroupDeleted
        | Drift::VpcAssociated(_)
        | Drift::VpcDisassociated(_)
        | Drift::PrefixListChanged { list: _, version: _ } => says == Says::This,
    }
}

/// What only one event can ever have done to a rule's id needs no clock.
fn is_once(change: &Change, drift: &Drift) -> bool {
    matches!((&change.what, drift), (What::Added, Drift::Added(_)) | (What::Removed, Drift::Removed(_)))
}

/// Whether a change gave the rule this description; `None`: it does not say, or nobody knows what it is.
fn same_text(change: &Change, description: Option<&String>) -> Option<bool> {
    Some(change.description.as_ref()?.trim() == description?.trim())
}

/// Whether both are so; one that is not is enough to tell.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        (None, _) | (_, None) => None,
    }
}
