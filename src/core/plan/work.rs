//! What is to be done in one direction, before it has an order.

use std::collections::BTreeMap;

use crate::core::model::{Atom, Declared, Direction, LiveRule, NewRule, Space, Tags};

use super::cause::Cause;
use super::report::{Difference, What};
use super::step::{Authorization, Modification, Purpose, RULES_PER_CALL, Redescription, Revocation, Step};

/// What is to be done in one direction.
#[derive(Clone, Default)]
pub(super) struct Rules {
    /// Rules nobody declared.
    pub(super) undeclared: Vec<Revocation>,
    /// Rules that were declared once, or that nobody can tell of.
    pub(super) replaced: Vec<Revocation>,
    pub(super) authorize: Vec<Authorization>,
    /// Rows that somebody changed in place.
    pub(super) set_back: Vec<Modification>,
    /// Rows that the manifest changes.
    pub(super) modify: Vec<Modification>,
    pub(super) describe: Vec<Redescription>,
}

/// Steps of one direction between two waits. They are taken in the order of the fields.
#[derive(Clone, Default)]
pub(super) struct Wave {
    /// All that came before is in force: what it replaces goes.
    pub(super) replace: Vec<Revocation>,
    pub(super) revert: Vec<Revocation>,
    pub(super) set_back: Vec<Modification>,
    /// What follows takes traffic away that rules carry which may not be in force yet.
    pub(super) settle: bool,
    /// Changes in place that make room, as far as they can.
    pub(super) in_place: Vec<Modification>,
    /// Rules that make room by going early.
    pub(super) room: Vec<Revocation>,
    pub(super) authorize: Vec<Authorization>,
    /// What EC2 may refuse, so that it does not take the rest along.
    pub(super) doubtful: Vec<Authorization>,
    pub(super) modify: Vec<Modification>,
    pub(super) describe: Vec<Redescription>,
    /// Rules nobody declared that desired traffic rested on until now.
    pub(super) late: Vec<Revocation>,
}

impl Wave {
    /// What it brings about.
    pub(super) fn brings(&self) -> impl Iterator<Item = &Atom> {
        let authorized = self.authorize.iter().chain(&self.doubtful).map(|item| &item.new.atom);
        let modified = self.set_back.iter().chain(&self.in_place).chain(&self.modify).map(|item| &item.new.atom);
        authorized.chain(modified)
    }

    /// Its steps in [`STAGES`] stages, which the two directions take in turn.
    pub(super) fn stages(self, direction: Direction) -> [Vec<Step>; STAGES] {
        let Self { replace, revert, set_back, settle: _, in_place, room, authorize, doubtful, modify, describe, late } = self;
        let revokes = |rules, purpose| in_calls(rules, |rules| Step::Revoke { direction, purpose, rules });
        let modifies = |rules| in_calls(rules, |rules| Step::Modify { direction, rules });
        let authorizes = |rules| in_calls(rules, |rules| Step::Authorize { direction, rules });
        [
            revokes(replace, Purpose::Replace),
            revokes(revert, Purpose::Revert),
            modifies(set_back),
            modifies(in_place),
            revokes(room, Purpose::Room),
            authorizes(authorize),
            authorizes(doubtful),
            modifies(modify),
            in_calls(describe, |rules| Step::Describe { direction, rules }),
            revokes(late, Purpose::Revert),
        ]
    }

    /// Whether it does nothing.
    pub(super) fn is_empty(&self) -> bool {
        let Self { replace, revert, set_back, settle: _, in_place, room, authorize, doubtful, modify, describe, late } = self;
        [replace, revert, room, late].into_iter().all(Vec::is_empty)
            && [set_back, in_place, modify].into_iter().all(Vec::is_empty)
            && [authorize, doubtful].into_iter().all(Vec::is_empty)
            && describe.is_empty()
    }
}

/// Stages of a wave.
pub(super) const STAGES: usize = 10;
/// The stage before which a wave waits, if it has to.
pub(super) const SETTLE_BEFORE: usize = 3;

/// As few calls as EC2's limit allows.
fn in_calls<T: Clone>(items: Vec<T>, step: impl Fn(Vec<T>) -> Step) -> Vec<Step> {
    if items.len() <= RULES_PER_CALL {
        return if items.is_empty() { Vec::new() } else { vec![step(items)] };
    }
    items.chunks(RULES_PER_CALL).map(|chunk| step(chunk.to_vec())).collect()
}

/// What is to be done with tags of one kind. One call a cause: the audit tells drift from change for each tag.
#[derive(Default)]
pub(super) struct TagWork {
    set: BTreeMap<Cause, Tags>,
    before: Tags,
    remove: BTreeMap<Cause, Tags>,
}

/// All that is to be done to a group.
#[derive(Default)]
pub(super) struct Work {
    pub(super) rules: BTreeMap<Direction, Rules>,
    pub(super) owner_tags: TagWork,
    pub(super) tags: TagWork,
}

impl Work {
    pub(super) fn of<'a>(differences: impl IntoIterator<Item = &'a Difference>) -> Self {
        let mut work = Self::default();
        for difference in differences {
            work.add(difference);
        }
        work
    }

    fn add(&mut self, difference: &Difference) {
        let cause = difference.cause;
        match &difference.what {
            What::GroupMissing { recorded: _ } => {}
            What::Missing { atom, declared, last_id: _ } => self.of_direction(atom.direction).authorize.push(Authorization {
                new: new_rule(atom, declared),
                cause,
                rule: declared.rule.clone(),
                justification: declared.justification.clone(),
            }),
            What::Extra { live, rule, was: _ } => {
                let revocation = Revocation { live: live.clone(), cause, rule: rule.clone() };
                let rules = self.of_direction(live.atom.direction);
                if cause.is_drift() { rules.undeclared.push(revocation) } else { rules.replaced.push(revocation) }
            }
            What::Moved { live, atom, declared } => {
                let modification = modification(live, atom, declared, cause);
                let rules = self.of_direction(atom.direction);
                if cause.is_drift() { rules.set_back.push(modification) } else { rules.modify.push(modification) }
            }
            What::Description { live, declared } => {
                self.of_direction(live.atom.direction).describe.push(Redescription {
                    live: live.clone(),
                    description: declared.description.clone(),
                    cause,
                    rule: declared.rule.clone(),
                });
            }
            What::Tag { key, live, declared, ownership } => {
                let work = if *ownership { &mut self.owner_tags } else { &mut self.tags };
                work.add(cause, key, live.as_ref(), declared.as_ref());
            }
        }
    }

    fn of_direction(&mut self, direction: Direction) -> &mut Rules {
        self.rules.entry(direction).or_default()
    }
}

impl Rules {
    /// Everything is authorized before anything goes. `fresh`: live traffic that may not be in force yet.
    pub(super) fn authorize_first(mut self, fresh: &Space) -> Vec<Wave> {
        self.part_what_would_cut_traffic(fresh);
        self.put_off_what_traffic_rests_on();
        let (free, resting) = self.split_undeclared();
        let first = Wave {
            revert: free,
            set_back: self.set_back,
            authorize: self.authorize,
            modify: self.modify,
            describe: self.describe,
            late: resting,
            ..Wave::default()
        };
        vec![first, Wave { replace: self.replaced, ..Wave::default() }]
    }

    /// A change in place takes the row's old traffic away at once. Where part of that is still desired and only being
    /// authorized (0-65535 becomes 80 and 443), or was a moment ago, the row is not changed but replaced: its new self is
    /// authorized too, and the row goes when all of it is in force.
    fn part_what_would_cut_traffic(&mut self, fresh: &Space) {
        loop {
            let coming = Space::of_all(self.authorize.iter().map(|item| &item.new.atom)).union(fresh);
            let cuts = |item: &Modification| Space::of(&item.live.atom).overlaps(&coming);
            let Some(index) = self.modify.iter().position(cuts) else { return };
            let (revocation, authorization) = parted(self.modify.remove(index));
            self.replaced.push(revocation);
            self.authorize.push(authorization);
        }
    }

    /// Rows changed in place are set back first, unless desired traffic that is still to be authorized rests on what they
    /// allow now, or one call can do them together with the manifest's own changes.
    fn put_off_what_traffic_rests_on(&mut self) {
        let pending = self.pending(false);
        let rests = |item: &Modification| Space::of(&item.live.atom).overlaps(&pending);
        let together = self.authorize.is_empty() && !self.modify.is_empty();
        if together || self.set_back.iter().any(rests) {
            let mut all = std::mem::take(&mut self.set_back);
            all.append(&mut self.modify);
            self.modify = all;
        }
    }

    /// Undeclared rules no missing desired traffic rests on, and the others.
    pub(super) fn split_undeclared(&mut self) -> (Vec<Revocation>, Vec<Revocation>) {
        let pending = self.pending(true);
        std::mem::take(&mut self.undeclared).into_iter().partition(|item| !Space::of(&item.live.atom).overlaps(&pending))
    }

    /// Desired traffic that is not live yet.
    fn pending(&self, with_set_backs: bool) -> Space {
        let authorized = self.authorize.iter().map(|item| &item.new.atom);
        let modified = self.modify.iter().map(|item| &item.new.atom);
        let set_back = self.set_back.iter().filter(|_| with_set_backs).map(|item| &item.new.atom);
        Space::of_all(authorized.chain(modified).chain(set_back))
    }
}

impl TagWork {
    fn add(&mut self, cause: Cause, key: &str, live: Option<&String>, declared: Option<&String>) {
        if let Some(live) = live {
            self.before.insert(key.to_owned(), live.clone());
        }
        match (declared, live) {
            (Some(value), _) => drop(self.set.entry(cause).or_default().insert(key.to_owned(), value.clone())),
            (None, Some(live)) => drop(self.remove.entry(cause).or_default().insert(key.to_owned(), live.clone())),
            (None, None) => {}
        }
    }

    pub(super) fn push_steps(self, steps: &mut Vec<Step>) {
        for (cause, tags) in self.set {
            let before = self.before.iter().filter(|(key, _)| tags.contains_key(*key));
            let before = before.map(|(key, value)| (key.clone(), value.clone())).collect();
            steps.push(Step::SetTags { tags, before, cause });
        }
        steps.extend(self.remove.into_iter().map(|(cause, tags)| Step::RemoveTags { tags, cause }));
    }
}

/// A change in place as the two rules it is.
pub(super) fn parted(item: Modification) -> (Revocation, Authorization) {
    let Modification { live, new, cause, rule, justification } = item;
    (Revocation { live, cause, rule: Some(rule.clone()) }, Authorization { new, cause, rule, justification })
}

fn new_rule(atom: &Atom, declared: &Declared) -> NewRule {
    NewRule { atom: atom.clone(), description: declared.description.clone() }
}

fn modification(live: &LiveRule, atom: &Atom, declared: &Declared, cause: Cause) -> Modification {
    let rule = declared.rule.clone();
    Modification { live: live.clone(), new: new_rule(atom, declared), cause, rule, justification: declared.justification.clone() }
}
