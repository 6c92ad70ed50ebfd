//! Differences to steps, in the order that never cuts desired traffic and never leaves a hole open longer than it must
//! (DESIGN §4.4):
//!
//! 0. give the group back the tags that make it ours: without them IAM would refuse all that follows;
//! 1. revoke what nobody declared, set back what somebody changed in place, where no desired traffic rests on it;
//! 2. authorize, modify, describe;
//! 3. revoke the rest of what nobody declared;
//! 4. see the new rules live, wait until they are in force, then revoke what they replace;
//! 5. tags, which no traffic rests on.

use std::collections::BTreeMap;

use crate::core::model::{Atom, Declared, Direction, LiveRule, NewGroup, NewRule, Observed, RuleName, Space, Tags};

use super::PlanInput;
use super::report::{Cause, Difference, Report, What};
use super::step::{Authorization, Modification, Plan, Purpose, RULES_PER_CALL, Redescription, Revocation, Step};

pub(super) fn order(input: PlanInput<'_>, report: &Report) -> Plan {
    let Some(observed) = input.observed else {
        return Plan { group: None, steps: vec![create(input)] };
    };
    let mut work = Work::default();
    for difference in report.differences.iter().filter(|difference| difference.held.is_none()) {
        work.add(difference);
    }
    let steps = work.into_steps(perhaps_not_in_force(input, observed));
    Plan { group: Some(observed.group.id.clone()), steps }
}

/// Whether a live rule may have been written a moment ago by a pass that did not get to its end: its line in status is still an
/// intent, or names another row. Without a baseline nobody can tell.
fn perhaps_not_in_force(input: PlanInput<'_>, observed: &Observed) -> bool {
    let Some(vouched) = input.vouched else { return true };
    let looked_at = |rule: &LiveRule| vouched.get(&rule.atom).is_some_and(|known| known.id.as_ref() == Some(&rule.id));
    observed.rules.values().any(|rule| input.desired.rules.contains(&rule.atom) && !looked_at(rule))
}

fn create(input: PlanInput<'_>) -> Step {
    let desired = input.desired;
    let mut tags = desired.tags.clone();
    tags.extend(input.owner.tags("Created"));
    Step::CreateGroup(NewGroup {
        name: desired.group_name.clone(),
        description: desired.description.clone(),
        vpc: desired.vpc.clone(),
        tags,
    })
}

/// What is to be done in one direction.
#[derive(Default)]
struct Rules {
    undeclared: Vec<Revocation>,
    replaced: Vec<Revocation>,
    authorize: Vec<Authorization>,
    set_back: Vec<Modification>,
    modify: Vec<Modification>,
    describe: Vec<Redescription>,
}

/// What is to be done with tags of one kind. One call a cause: the audit tells drift from change for each tag.
#[derive(Default)]
struct TagWork {
    set: BTreeMap<Cause, Tags>,
    before: Tags,
    remove: Tags,
}

#[derive(Default)]
struct Work {
    rules: BTreeMap<Direction, Rules>,
    owner_tags: TagWork,
    tags: TagWork,
}

impl Work {
    fn add(&mut self, difference: &Difference) {
        let cause = difference.cause;
        match &difference.what {
            What::GroupMissing { recorded: _ } => {}
            What::Missing { atom, declared, last_id: _ } => self.of(atom.direction).authorize.push(Authorization {
                new: new_rule(atom, declared),
                cause,
                rule: declared.rule.clone(),
                justification: declared.justification.clone(),
            }),
            What::Extra { live, rule, was: _ } => {
                let revocation = Revocation { live: live.clone(), cause, rule: rule.clone() };
                let rules = self.of(live.atom.direction);
                if cause == Cause::Drift { rules.undeclared.push(revocation) } else { rules.replaced.push(revocation) }
            }
            What::Moved { live, atom, declared } => {
                let modification = modification(live, atom, declared, cause);
                let rules = self.of(atom.direction);
                if cause == Cause::Drift { rules.set_back.push(modification) } else { rules.modify.push(modification) }
            }
            What::Description { live, declared } => self.of(live.atom.direction).describe.push(Redescription {
                live: live.clone(),
                description: declared.description.clone(),
                cause,
                rule: declared.rule.clone(),
            }),
            What::Tag { key, live, declared, ownership } => {
                let work = if *ownership { &mut self.owner_tags } else { &mut self.tags };
                if let Some(live) = live {
                    work.before.insert(key.clone(), live.clone());
                }
                match (declared, live) {
                    (Some(value), _) => drop(work.set.entry(cause).or_default().insert(key.clone(), value.clone())),
                    (None, Some(live)) => drop(work.remove.insert(key.clone(), live.clone())),
                    (None, None) => {}
                }
            }
        }
    }

    fn of(&mut self, direction: Direction) -> &mut Rules {
        self.rules.entry(direction).or_default()
    }

    fn into_steps(mut self, perhaps_not_in_force: bool) -> Vec<Step> {
        let mut first = Vec::new();
        let (mut revert, mut set_back, mut authorize, mut modify, mut describe) = (vec![], vec![], vec![], vec![], vec![]);
        let (mut revert_late, mut replace, mut awaited) = (vec![], vec![], vec![]);
        self.owner_tags.push_steps(&mut first);
        for direction in Direction::BOTH {
            let mut rules = self.rules.remove(&direction).unwrap_or_default();
            rules.part_what_would_cut_traffic();
            rules.put_off_what_traffic_rests_on();
            let (free, resting) = rules.split_undeclared();
            awaited.extend(rules.authorize.iter().map(|item| item.new.atom.clone()));
            awaited.extend(rules.modify.iter().chain(&rules.set_back).map(|item| item.new.atom.clone()));
            revert.extend(revokes(direction, Purpose::Revert, free));
            set_back.extend(in_calls(rules.set_back, |rules| Step::Modify { direction, rules }));
            authorize.extend(in_calls(rules.authorize, |rules| Step::Authorize { direction, rules }));
            modify.extend(in_calls(rules.modify, |rules| Step::Modify { direction, rules }));
            describe.extend(in_calls(rules.describe, |rules| Step::Describe { direction, rules }));
            revert_late.extend(revokes(direction, Purpose::Revert, resting));
            replace.extend(revokes(direction, Purpose::Replace, rules.replaced));
        }
        let mut steps = first;
        for stage in [revert, set_back, authorize, modify, describe, revert_late] {
            steps.extend(stage);
        }
        if !replace.is_empty() && (!awaited.is_empty() || perhaps_not_in_force) {
            if !awaited.is_empty() {
                steps.push(Step::AwaitVisible { atoms: awaited });
            }
            steps.push(Step::Settle);
        }
        steps.extend(replace);
        self.tags.push_steps(&mut steps);
        steps
    }
}

impl Rules {
    /// A change in place takes the row's old traffic away at once. Where part of that is still desired and only being
    /// authorized (0-65535 becomes 80 and 443), the row is not changed but replaced: its new self is authorized too, and the
    /// row goes when all of it is in force.
    fn part_what_would_cut_traffic(&mut self) {
        loop {
            let authorized = Space::of_all(self.authorize.iter().map(|item| &item.new.atom));
            let cuts = |item: &Modification| item.cause != Cause::Drift && Space::of(&item.live.atom).overlaps(&authorized);
            let Some(index) = self.modify.iter().position(cuts) else { return };
            let Modification { live, new, cause, rule, justification } = self.modify.remove(index);
            self.replaced.push(Revocation { live, cause, rule: Some(rule.clone()) });
            self.authorize.push(Authorization { new, cause, rule, justification });
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
    fn split_undeclared(&mut self) -> (Vec<Revocation>, Vec<Revocation>) {
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
    fn push_steps(self, steps: &mut Vec<Step>) {
        for (cause, tags) in self.set {
            let before = self.before.iter().filter(|(key, _)| tags.contains_key(*key));
            let before = before.map(|(key, value)| (key.clone(), value.clone())).collect();
            steps.push(Step::SetTags { tags, before, cause });
        }
        if !self.remove.is_empty() {
            steps.push(Step::RemoveTags { tags: self.remove });
        }
    }
}

fn new_rule(atom: &Atom, declared: &Declared) -> NewRule {
    NewRule { atom: atom.clone(), description: declared.description.clone() }
}

fn modification(live: &LiveRule, atom: &Atom, declared: &Declared, cause: Cause) -> Modification {
    let rule: RuleName = declared.rule.clone();
    Modification { live: live.clone(), new: new_rule(atom, declared), cause, rule, justification: declared.justification.clone() }
}

fn revokes(direction: Direction, purpose: Purpose, rules: Vec<Revocation>) -> Vec<Step> {
    in_calls(rules, |rules| Step::Revoke { direction, purpose, rules })
}

/// As few calls as EC2's limit allows.
fn in_calls<T: Clone>(items: Vec<T>, step: impl Fn(Vec<T>) -> Step) -> Vec<Step> {
    if items.len() <= RULES_PER_CALL {
        return if items.is_empty() { Vec::new() } else { vec![step(items)] };
    }
    items.chunks(RULES_PER_CALL).map(|chunk| step(chunk.to_vec())).collect()
}
