//! Several people edit two groups and a prefix list between two reads, and it is known who did what. Their events come in any order,
//! twice, late or not at all, in dialects that tell more or less: whoever is named at any time did just what is found.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sgwarden::api::{DriftAtom, DriftKind, DriftRecord};
use sgwarden::core::activity::{Activities, Bounds, Change, Drift, Drifted, Event, TagEdit, What, Window, attribute};
use sgwarden::core::attribution::{Author, author};
use sgwarden::core::model::{Atom, PrefixListId, SecurityGroupId};

use super::{
    added, as_text, associated, at, atom, described, disassociated, elsewhere, event, group, listed, modified, own, removed,
};
use super::{rule, tagged};

const ATOMS: [&str; 3] = ["ingress tcp 22 from 0.0.0.0/0", "ingress tcp 443 from 10.0.0.0/8", "ingress udp 53 from 192.0.2.0/24"];
const TEXTS: [&str; 3] = ["", "Shop", "Till"];
const PEOPLE: [&str; 3] = ["jonas", "mira", "tomasz"];
const VPC: &str = "vpc-9e9e9e9e9e9e9e9e9";
const LIST: &str = "pl-4f4f4f4f4f4f4f4f4";

#[derive(Clone, Debug)]
enum Op {
    Add { atom: usize, text: usize },
    Remove { atom: usize },
    Modify { atom: usize, into: usize, text: Option<usize> },
    Describe { atom: usize, text: usize },
    Tag { value: usize },
    Untag,
    Lend,
    TakeBack,
    List,
}

/// How much an event tells: all, the atom without the rule's id, the id without the atom, or as little as there is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dialect {
    Rows,
    NoRows,
    IdsAlone,
    Omitted,
}

#[derive(Clone, Debug)]
struct Edit {
    who: usize,
    elsewhere: bool,
    op: Op,
    dialect: Dialect,
    pause: i64,
}

/// What an edit did, for whoever asks who did just this.
#[derive(Clone, Debug, PartialEq)]
enum Deed {
    Made(u8, usize),
    /// In place: the rule became another.
    Took(usize),
    Revoked(u8, usize),
    Described(u8, usize, usize),
    Tagged(usize),
    Untagged,
    Lent,
    TookBack,
    Version(i64),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    rules: BTreeMap<u8, (usize, usize)>,
    tag: Option<usize>,
    lent: bool,
}

struct World {
    groups: [Group; 2],
    version: i64,
    next: u8,
    now: i64,
    deeds: Vec<(usize, bool, Deed)>,
    events: Vec<Event>,
}

impl World {
    fn new() -> Self {
        let born = || Group { rules: [(1, (0, 0)), (2, (1, 1))].into(), tag: Some(0), lent: false };
        Self { groups: [born(), born()], version: 1, next: 10, now: 100, deeds: Vec::new(), events: Vec::new() }
    }

    /// Does it, unless EC2 would refuse it.
    fn act(&mut self, edit: &Edit) {
        self.now += edit.pause;
        let before = self.deeds.len();
        let Some(mut change) = self.edit(edit) else { return };
        match edit.dialect {
            Dialect::NoRows if matches!(change.what, What::Added | What::Described) => change.rule_id = None,
            Dialect::Rows | Dialect::NoRows => {}
            Dialect::IdsAlone => change.atom = None,
            Dialect::Omitted => {
                let what = match change.what {
                    What::Modified(_) => What::Modified(None),
                    What::Tagged(_) => What::Tagged(None),
                    What::Added
                    | What::Removed
                    | What::Described
                    | What::Untagged(_)
                    | What::GroupCreated
                    | What::GroupDeleted
                    | What::VpcAssociated(_)
                    | What::VpcDisassociated(_)
                    | What::PrefixListChanged { list: _, version: _ }
                    | What::PrefixListDeleted(_) => change.what,
                };
                change = Change::new(change.group, what);
            }
        }
        if edit.elsewhere && change.group.is_some() {
            change.group = Some(elsewhere());
        }
        let incomplete = edit.dialect == Dialect::Omitted;
        let made = event(&format!("e{}", self.events.len()), PEOPLE[edit.who], self.now, vec![change]);
        self.events.push(Event { incomplete, ..made });
        assert!(self.deeds.len() > before, "{edit:?}");
    }

    fn edit(&mut self, edit: &Edit) -> Option<Change> {
        let Edit { who, elsewhere, op, dialect: _, pause: _ } = edit;
        let place = &mut self.groups[usize::from(*elsewhere)];
        // Rules of the two groups never share an id.
        let shown = |id: u8| Some(if *elsewhere { id + 100 } else { id });
        let holder = |place: &Group, atom: usize| place.rules.iter().find(|(_, (it, _))| *it == atom).map(|(id, _)| *id);
        let mut did = |deed| self.deeds.push((*who, *elsewhere, deed));
        Some(match *op {
            Op::Add { atom, text } => {
                if holder(place, atom).is_some() {
                    return None;
                }
                self.next += 1;
                place.rules.insert(self.next, (atom, text));
                did(Deed::Made(self.next, atom));
                as_text(added(shown(self.next), Some(ATOMS[atom])), TEXTS[text])
            }
            Op::Remove { atom } => {
                let id = holder(place, atom)?;
                place.rules.remove(&id);
                did(Deed::Revoked(id, atom));
                removed(shown(id), Some(ATOMS[atom]))
            }
            Op::Modify { atom, into, text } => {
                let id = holder(place, atom)?;
                if into != atom && holder(place, into).is_some() {
                    return None;
                }
                let (_, former) = place.rules[&id];
                place.rules.insert(id, (into, text.unwrap_or(former)));
                did(Deed::Made(id, into));
                if into != atom {
                    did(Deed::Took(atom));
                }
                if let Some(text) = text {
                    did(Deed::Described(id, into, text));
                }
                Change { description: text.map(|text| TEXTS[text].to_owned()), ..modified(shown(id), Some(ATOMS[into])) }
            }
            Op::Describe { atom, text } => {
                let id = holder(place, atom)?;
                place.rules.insert(id, (atom, text));
                did(Deed::Described(id, atom, text));
                as_text(described(shown(id), Some(ATOMS[atom])), TEXTS[text])
            }
            Op::Tag { value } => {
                place.tag = Some(value);
                did(Deed::Tagged(value));
                tagged("team", TEXTS[value])
            }
            Op::Untag => {
                place.tag.take()?;
                did(Deed::Untagged);
                let edit = TagEdit { key: "team".into(), value: None };
                Change::new(Some(group()), What::Untagged(Some(edit)))
            }
            Op::Lend if !place.lent => {
                place.lent = true;
                did(Deed::Lent);
                associated(VPC)
            }
            Op::TakeBack if place.lent => {
                place.lent = false;
                did(Deed::TookBack);
                disassociated(VPC)
            }
            Op::Lend | Op::TakeBack => return None,
            Op::List => {
                self.version += 1;
                did(Deed::Version(self.version));
                listed(LIST, Some(self.version))
            }
        })
    }

    /// What is other than it was, as a look at the group finds it, and what somebody must have done to be its author.
    fn drift(&self) -> Vec<(Found, Drift, Option<u8>)> {
        let (before, after) = (&Self::new().groups[0], &self.groups[0]);
        let mut all = Vec::new();
        for (id, (atom_of, text)) in &after.rules {
            let made = Found::Any(Deed::Made(*id, *atom_of));
            match before.rules.get(id) {
                Some((former, _)) if former != atom_of => all.push((made, Drift::Modified(parsed(*atom_of)), Some(*id))),
                Some((_, former)) if former != text => {
                    let drift = Drift::DescriptionChanged { atom: parsed(*atom_of), description: Some(TEXTS[*text].into()) };
                    all.push((Found::Any(Deed::Described(*id, *atom_of, *text)), drift, Some(*id)));
                }
                None if before.rules.values().all(|(former, _)| former != atom_of) => {
                    all.push((made, Drift::Added(parsed(*atom_of)), Some(*id)));
                }
                Some(_) | None => {}
            }
        }
        for (id, (former, _)) in &before.rules {
            if !after.rules.contains_key(id) && after.rules.values().all(|(atom_of, _)| atom_of != former) {
                all.push((Found::Taken(*id, *former), Drift::Removed(parsed(*former)), Some(*id)));
            }
        }
        match (before.tag, after.tag) {
            (Some(former), Some(value)) if former != value => {
                let drift = Drift::TagChanged { key: "team".into(), value: TEXTS[value].into() };
                all.push((Found::Any(Deed::Tagged(value)), drift, None));
            }
            (Some(former), None) => {
                let drift = Drift::TagRemoved { key: "team".into(), value: Some(TEXTS[former].into()) };
                all.push((Found::Any(Deed::Untagged), drift, None));
            }
            (Some(_) | None, _) => {}
        }
        if after.lent {
            all.push((Found::Any(Deed::Lent), Drift::VpcAssociated(VPC.parse().unwrap()), None));
        }
        all
    }

    /// Who did the like: to another rule that was the same, before this one was there. Without the rule's id no event tells them
    /// apart.
    fn alike(&self, found: &Found) -> BTreeSet<&'static str> {
        let like = |deed: &Deed| match (found, deed) {
            (Found::Any(Deed::Made(_, this)), Deed::Made(_, atom)) => this == atom,
            (Found::Any(Deed::Described(_, this, said)), Deed::Described(_, atom, text)) => (this, said) == (atom, text),
            (Found::Any(_) | Found::Taken(_, _), _) => false,
        };
        let by = self.deeds.iter().filter(|(_, elsewhere, deed)| !elsewhere && like(deed)).map(|(who, _, _)| PEOPLE[*who]);
        by.chain(self.authors(found)).collect()
    }

    /// Who did just this, the first to the last.
    fn authors(&self, found: &Found) -> Vec<&'static str> {
        let did = |(_, elsewhere, deed): &&(usize, bool, Deed)| match (found, deed) {
            (Found::Any(this), deed) => this == deed && (!elsewhere || matches!(deed, Deed::Version(_))),
            (Found::Taken(_, atom), Deed::Took(taken)) => !elsewhere && taken == atom,
            (Found::Taken(id, atom), Deed::Revoked(of, taken)) => !elsewhere && (taken == atom || of == id),
            (Found::Taken(_, _), _) => false,
        };
        self.deeds.iter().filter(did).map(|(who, _, _)| PEOPLE[*who]).collect()
    }

    /// Whether somebody changed a rule in place that is gone: nobody can tell what it was before that.
    fn is_unclear(&self, found: &Found) -> bool {
        let in_place = |atom: &usize| self.deeds.iter().any(|(_, elsewhere, deed)| !elsewhere && *deed == Deed::Took(*atom));
        matches!(found, Found::Taken(_, atom) if in_place(atom))
    }

    fn window(&self) -> Window {
        Window { without: Some(at(100)), with: at(self.now + 1) }
    }

    fn drifted(&self) -> Vec<(Found, Drifted)> {
        let versions = (2..=self.version).map(|version| {
            let drift = Drift::PrefixListChanged { list: list(), version: Some(version) };
            (Found::Any(Deed::Version(version)), drift, None)
        });
        let all = self.drift().into_iter().chain(versions);
        all.map(|(found, drift, id)| (found, Drifted { drift, rule_id: id.map(rule), window: self.window() })).collect()
    }
}

/// What somebody must have done to be the author of a difference.
#[derive(Clone, Debug)]
enum Found {
    Any(Deed),
    /// Of a rule that is gone: this one, whatever it was by then, or its like, which somebody had put back meanwhile.
    Taken(u8, usize),
}

fn parsed(number: usize) -> Atom {
    atom(ATOMS[number])
}

fn list() -> PrefixListId {
    LIST.parse().unwrap()
}

fn some_edit() -> impl Strategy<Value = Edit> {
    let (one, text) = (|| 0..ATOMS.len(), || 0..TEXTS.len());
    let op = prop_oneof![
        4 => (one(), text()).prop_map(|(atom, text)| Op::Add { atom, text }),
        4 => one().prop_map(|atom| Op::Remove { atom }),
        4 => (one(), one(), prop::option::of(text())).prop_map(|(atom, into, text)| Op::Modify { atom, into, text }),
        2 => (one(), text()).prop_map(|(atom, text)| Op::Describe { atom, text }),
        2 => text().prop_map(|value| Op::Tag { value }),
        1 => Just(Op::Untag),
        2 => Just(Op::Lend),
        1 => Just(Op::TakeBack),
        2 => Just(Op::List),
    ];
    let dialect = prop_oneof![4 => Just(Dialect::Rows), 2 => Just(Dialect::NoRows), 1 => Just(Dialect::IdsAlone), 1 => Just(Dialect::Omitted)];
    (0..PEOPLE.len(), prop::bool::weighted(0.2), op, dialect, 0..3_i64).prop_map(|(who, elsewhere, op, dialect, pause)| Edit {
        who,
        elsewhere,
        op,
        dialect,
        pause,
    })
}

fn record(found: &[(Found, Drifted)]) -> DriftRecord {
    let shown = |drifted: &Drifted| {
        let (kind, before, after) = match &drifted.drift {
            Drift::Added(atom) => (DriftKind::Added, None, Some(atom.to_string())),
            Drift::Removed(atom) => (DriftKind::Removed, Some(atom.to_string()), None),
            Drift::Modified(atom) => (DriftKind::Modified, None, Some(atom.to_string())),
            Drift::DescriptionChanged { atom, description } => {
                (DriftKind::DescriptionChanged, None, Some(format!("{atom} \"{}\"", description.as_deref().unwrap())))
            }
            Drift::TagChanged { key, value } => (DriftKind::TagChanged, None, Some(format!("tag {key}={value}"))),
            Drift::TagRemoved { key, value } => {
                (DriftKind::TagRemoved, Some(format!("tag {key}={}", value.as_deref().unwrap())), None)
            }
            Drift::VpcAssociated(vpc) => {
                (DriftKind::VpcAssociationChanged, None, Some(format!("association with {vpc} (associated)")))
            }
            Drift::PrefixListChanged { list, version: Some(version) } => {
                let text = |version: i64| Some(format!("prefix list {list} (of the office) version {version}"));
                (DriftKind::PrefixListChanged, text(version - 1), text(*version))
            }
            Drift::GroupDeleted | Drift::VpcDisassociated(_) | Drift::PrefixListChanged { list: _, version: None } => {
                panic!("nobody did that: {drifted:?}")
            }
        };
        DriftAtom {
            kind: kind.as_str().into(),
            before,
            after,
            rule_id: drifted.rule_id.as_ref().map(ToString::to_string),
            rule: None,
        }
    };
    let atoms: Vec<DriftAtom> = found.iter().map(|(_, drifted)| shown(drifted)).collect();
    DriftRecord { id: "d-1".into(), count: i32::try_from(atoms.len()).unwrap(), atoms, ..DriftRecord::default() }
}

fn at_work(edits: &[Edit]) -> World {
    let mut world = World::new();
    for edit in edits {
        world.act(edit);
    }
    world
}

fn subject() -> (SecurityGroupId, BTreeSet<PrefixListId>) {
    (group(), [list()].into())
}

fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(3000), failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(cases())]

    /// As the events come in one by one: at any time some are missing, and at the end those that are lost.
    #[test]
    fn whoever_is_named_did_just_this(
        edits in prop::collection::vec(some_edit(), 1..10),
        order in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.8)), 1..14),
    ) {
        let world = at_work(&edits);
        let drifted = world.drifted();
        if world.events.is_empty() {
            return Ok(());
        }
        let differences: Vec<Drifted> = drifted.iter().map(|(_, drifted)| drifted.clone()).collect();
        let (group, lists) = subject();
        let mut heard = Activities::new(Bounds::default(), at(-10_000));
        for (index, comes) in order {
            if comes {
                heard.insert(index.get(&world.events).clone(), at(200));
            }
            let evidence = heard.of(&[group.clone()].into(), &lists);
            for ((found, drifted), answer) in drifted.iter().zip(attribute(&group, &differences, &evidence, &own())) {
                if let Some(actor) = answer.actor() {
                    let authors = world.alike(found);
                    prop_assert!(authors.contains(actor.name.as_str()), "{drifted:#?}\n{answer:#?}\nreally by {authors:?}");
                }
            }
            if let Author::Told(actor) = author(&group, &record(&drifted), world.window(), &evidence, &own())
                && let Some(named) = &actor.name
            {
                let named: BTreeSet<&str> = named.split(" and ").collect();
                for (found, drifted) in &drifted {
                    let authors = world.alike(found);
                    prop_assert!(!named.is_disjoint(&authors), "{named:?} did not {drifted:#?}");
                }
                let all: BTreeSet<&str> = drifted.iter().flat_map(|(found, _)| world.alike(found)).collect();
                prop_assert!(named.is_subset(&all), "{named:?} but {all:?}");
            }
        }
    }

    /// The other side: with every event there, and nothing left out of it, who alone did it does not stay unknown.
    #[test]
    fn whoever_alone_did_it_is_named_when_all_is_told(edits in prop::collection::vec(some_edit(), 1..10)) {
        let edits: Vec<Edit> = edits.into_iter().map(|edit| Edit { dialect: Dialect::Rows, ..edit }).collect();
        let world = at_work(&edits);
        let (group, lists) = subject();
        let mut heard = Activities::new(Bounds::default(), at(-10_000));
        for event in &world.events {
            heard.insert(event.clone(), at(200));
        }
        let evidence = heard.of(&[group.clone()].into(), &lists);
        for (found, drifted) in world.drifted() {
            let authors = world.authors(&found);
            let answer = attribute(&group, std::slice::from_ref(&drifted), &evidence, &own()).remove(0);
            let named = answer.actor().map(|actor| actor.name.as_str());
            if authors.iter().all(|name| Some(name) == authors.first()) && !world.is_unclear(&found) {
                prop_assert_eq!(named, authors.first().copied(), "{:#?}\n{:#?}", drifted, answer);
            }
            // Of several it can only be who made it what it is now; a rule that is gone may have been put back in between.
            if let (Some(named), Found::Any(_)) = (named, &found) {
                prop_assert_eq!(Some(&named), authors.last(), "{:#?}\n{:#?}", drifted, answer);
            }
        }
    }
}
