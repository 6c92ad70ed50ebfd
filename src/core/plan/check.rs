//! A finished plan is looked over once more before it is executed: what this finds is a defect of ours, and the plan is
//! not executed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::core::desired::{Approval, UndeclaredRules};
use crate::core::model::{Atom, DescriptionHash, Direction, LiveRule, RuleId, Space, Vouched, VouchedRule};

use super::PlanInput;
use super::cause::Cause;
use super::ownership::may_write;
use super::step::{Plan, Purpose, RULES_PER_CALL, Revocation, Step};

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It would write to a group that is not ours.
    #[error("step {step} would write to a group that is not ours")]
    NotOurs {
        /// Index of the step.
        step: usize,
    },
    /// It names a rule that was not seen as it says.
    #[error("step {step} names rule {rule}, which is not live as it says")]
    NotLive {
        /// Index of the step.
        step: usize,
        /// The rule's id.
        rule: String,
    },
    /// It revokes something that is declared.
    #[error("step {step} would revoke '{atom}', which is declared")]
    RevokesDesired {
        /// Index of the step.
        step: usize,
        /// The rule.
        atom: String,
    },
    /// It brings about something nobody declared.
    #[error("step {step} would bring about '{atom}', which is not declared, or is live already")]
    BringsUndesired {
        /// Index of the step.
        step: usize,
        /// The rule.
        atom: String,
    },
    /// Two steps do the same thing.
    #[error("step {step} repeats '{what}'")]
    Repeats {
        /// Index of the step.
        step: usize,
        /// What is repeated.
        what: String,
    },
    /// More rules in a call than EC2 takes, none, or rules of the other direction.
    #[error("step {step} is not one well-formed call")]
    Malformed {
        /// Index of the step.
        step: usize,
    },
    /// A rule goes although desired traffic rests on it that is not in force yet.
    #[error("step {step} would revoke '{atom}' before what replaces it is in force")]
    TooEarly {
        /// Index of the step.
        step: usize,
        /// The rule.
        atom: String,
    },
    /// It does what is suspended, left alone, waits for approval, or is more than may be done at a time.
    #[error("step {step} would do what may not be done now: {what}")]
    Forbidden {
        /// Index of the step.
        step: usize,
        /// What.
        what: String,
    },
}

struct Checker<'a> {
    input: PlanInput<'a>,
    plan: &'a Plan,
    step: usize,
    faults: Vec<Fault>,
    /// Rows recorded by their ids.
    known_rows: BTreeSet<&'a RuleId>,
    rows: BTreeSet<&'a RuleId>,
    atoms: BTreeSet<&'a Atom>,
    /// What was brought about and is not in force yet, or is still to be.
    open: BTreeMap<Direction, Vec<&'a Atom>>,
    /// Rules that went, but for drift.
    removed: usize,
}

/// Every fault of a plan made from `input`. What it looks for is found without the plan's own ways of deciding.
pub fn check<'a>(input: PlanInput<'a>, plan: &'a Plan) -> Vec<Fault> {
    let vouched = input.vouched.filter(|_| input.status_is_ours);
    let mut checker = Checker {
        input: PlanInput { vouched, ..input },
        plan,
        step: 0,
        faults: Vec::new(),
        known_rows: vouched.into_iter().flat_map(Vouched::by_id).map(|(id, _)| id).collect(),
        rows: BTreeSet::new(),
        atoms: BTreeSet::new(),
        open: BTreeMap::new(),
        removed: 0,
    };
    for step in &plan.steps {
        checker.expect(step);
    }
    for (at, step) in plan.steps.iter().enumerate() {
        checker.step = at;
        checker.ours(plan, step);
        checker.shape(step);
        checker.permitted(step);
    }
    checker.faults
}

impl<'a> Checker<'a> {
    /// What a step will bring about is not in force until it was made and waited for.
    fn expect(&mut self, step: &'a Step) {
        let (direction, atoms): (_, Vec<&Atom>) = match step {
            Step::Authorize { direction, rules } => (direction, rules.iter().map(|item| &item.new.atom).collect()),
            Step::Modify { direction, rules } => (direction, rules.iter().map(|item| &item.new.atom).collect()),
            Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::Revoke { direction: _, purpose: _, rules: _ }
            | Step::Describe { direction: _, rules: _ }
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::Settle => return,
        };
        self.open.entry(*direction).or_default().extend(atoms);
    }

    fn shape(&mut self, step: &'a Step) {
        match step {
            Step::CreateGroup(_) if self.plan.steps.len() != 1 => self.faults.push(Fault::Malformed { step: self.step }),
            Step::Revoke { direction, purpose, rules } => {
                self.size(rules.len());
                for item in rules {
                    self.row(&item.live, *direction);
                    if self.input.desired.rules.contains(&item.live.atom) {
                        self.faults.push(Fault::RevokesDesired { step: self.step, atom: item.live.atom.to_string() });
                    }
                }
                if *purpose != Purpose::Revert {
                    self.rests(*direction, rules);
                }
            }
            Step::Authorize { direction, rules } => {
                self.size(rules.len());
                for item in rules {
                    self.brings(&item.new.atom, *direction);
                }
            }
            Step::Modify { direction, rules } => {
                self.size(rules.len());
                for item in rules {
                    self.row(&item.live, *direction);
                    self.brings(&item.new.atom, *direction);
                    if item.live.atom.peer.kind() != item.new.atom.peer.kind() {
                        self.faults.push(Fault::Malformed { step: self.step });
                    }
                }
            }
            Step::Describe { direction, rules } => {
                self.size(rules.len());
                for item in rules {
                    self.row(&item.live, *direction);
                }
            }
            // Both directions wait together: what was made so far is in force, what is still to come is not.
            Step::Settle => {
                for atoms in self.open.values_mut() {
                    atoms.retain(|atom| !self.atoms.contains(atom));
                }
            }
            Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ } => {}
        }
    }

    /// Nothing that is not in force may rest on rules that go, but for what the plan names.
    fn rests(&mut self, direction: Direction, rules: &[Revocation]) {
        let open = Space::of_all(self.open.get(&direction).into_iter().flatten().copied());
        let cuts = |atom: &&Atom| !self.plan.cuts.contains(atom) && Space::of(atom).overlaps(&open);
        let early: Vec<String> = rules.iter().map(|item| &item.live.atom).filter(cuts).map(ToString::to_string).collect();
        self.faults.extend(early.into_iter().map(|atom| Fault::TooEarly { step: self.step, atom }));
    }

    /// Each thing a step does, against what may be done.
    fn permitted(&mut self, step: &'a Step) {
        match step {
            Step::Revoke { direction: _, purpose: _, rules } => {
                for item in rules {
                    self.may(item.cause, item.cause.is_drift() || self.is_begun(&item.live.atom), &item.live.atom);
                    self.may_remove(item.cause, &item.live);
                }
            }
            Step::Authorize { direction: _, rules } => {
                for item in rules {
                    self.may(item.cause, item.cause.is_drift() || self.is_begun(&item.new.atom), &item.new.atom);
                }
            }
            Step::Modify { direction: _, rules } => {
                for item in rules {
                    let begun = self.is_begun(&item.new.atom) && self.is_begun(&item.live.atom);
                    self.may(item.cause, item.cause.is_drift() || begun, &item.new.atom);
                    self.removes(item.cause);
                }
            }
            Step::Describe { direction: _, rules } => {
                for item in rules {
                    let text = DescriptionHash::of(item.description.as_deref());
                    let known = self.known(&item.live.atom);
                    let begun = known.is_some_and(|known| known.describing == Some(text));
                    let as_before = known.is_none_or(|known| known.description == text);
                    self.may(item.cause, begun || (item.cause.is_drift() && as_before), &item.live.atom);
                }
            }
            // The marks that make the group ours wait for nobody's approval.
            Step::SetTags { tags, before: _, cause } => {
                let marks = tags.keys().all(|key| key.starts_with("sgwarden.dev/"));
                let begun = tags.iter().all(|(key, value)| self.is_tag_begun(key, Some(value)));
                self.may(*cause, marks || begun || cause.is_drift(), &"tags");
            }
            Step::RemoveTags { tags, cause } => {
                let begun = tags.keys().all(|key| self.is_tag_begun(key, None));
                self.may(*cause, begun || cause.is_drift(), &"tags");
            }
            Step::CreateGroup(_) | Step::DeleteGroup | Step::AwaitVisible { direction: _, atoms: _ } | Step::Settle => {}
        }
    }

    fn known(&self, atom: &Atom) -> Option<&'a VouchedRule> {
        self.input.vouched.and_then(|vouched| vouched.get(atom))
    }

    /// Whether an earlier pass wrote down that it would do this.
    fn is_begun(&self, atom: &Atom) -> bool {
        self.known(atom).is_some_and(|known| known.id.is_none())
    }

    fn is_tag_begun(&self, key: &str, declared: Option<&String>) -> bool {
        self.input.tags_begun.is_some_and(|begun| begun.has(key, declared))
    }

    fn forbid(&mut self, what: String) {
        self.faults.push(Fault::Forbidden { step: self.step, what });
    }

    /// `decided`: it is a revert, or an earlier pass began it.
    fn may(&mut self, cause: Cause, decided: bool, what: &dyn fmt::Display) {
        let restraint = self.input.restraint;
        if restraint.policy.suspended && !cause.is_change() {
            self.forbid(format!("reverts are suspended: {what}"));
        }
        let asked = restraint.policy.approval == Approval::Required || restraint.wait.is_some();
        if asked && restraint.approved.is_none() && !decided && !cause.closes() {
            self.forbid(format!("nobody approved {what}"));
        }
    }

    fn may_remove(&mut self, cause: Cause, live: &LiveRule) {
        let policy = &self.input.restraint.policy;
        let ours = self.known(&live.atom).is_some() || self.known_rows.contains(&live.id);
        let tolerated = policy.tolerate.iter().any(|toleration| toleration.matches(live));
        if !ours && (tolerated || policy.undeclared != UndeclaredRules::Revoke) {
            self.forbid(format!("undeclared rules stay: {}", live.atom));
        }
        self.removes(cause);
    }

    fn removes(&mut self, cause: Cause) {
        self.removed += usize::from(!cause.is_drift());
        if self.input.restraint.removals_left.is_some_and(|left| self.removed > left) {
            self.forbid(format!("{} removals are more than may be made now", self.removed));
        }
    }

    fn ours(&mut self, plan: &Plan, step: &Step) {
        let ours = match (self.input.observed, step) {
            (None, Step::CreateGroup(_)) => plan.group.is_none(),
            (None, _) | (_, Step::CreateGroup(_)) => false,
            (Some(observed), _) => plan.group.as_ref() == Some(&observed.group.id) && may_write(self.input, observed),
        };
        if !ours {
            self.faults.push(Fault::NotOurs { step: self.step });
        }
    }

    fn size(&mut self, rules: usize) {
        if rules == 0 || rules > RULES_PER_CALL {
            self.faults.push(Fault::Malformed { step: self.step });
        }
    }

    fn row(&mut self, live: &'a LiveRule, direction: Direction) {
        let step = self.step;
        if self.input.observed.and_then(|observed| observed.rules.get(&live.id)) != Some(live) {
            self.faults.push(Fault::NotLive { step, rule: live.id.to_string() });
        }
        if live.atom.direction != direction {
            self.faults.push(Fault::Malformed { step });
        }
        if !self.rows.insert(&live.id) {
            self.faults.push(Fault::Repeats { step, what: live.id.to_string() });
        }
    }

    fn brings(&mut self, atom: &'a Atom, direction: Direction) {
        let step = self.step;
        let live = self.input.observed.is_some_and(|observed| observed.rules.values().any(|rule| rule.atom == *atom));
        if live || !self.input.desired.rules.contains(atom) {
            self.faults.push(Fault::BringsUndesired { step, atom: atom.to_string() });
        }
        if atom.direction != direction {
            self.faults.push(Fault::Malformed { step });
        }
        if !self.atoms.insert(atom) {
            self.faults.push(Fault::Repeats { step, what: atom.to_string() });
        }
    }
}
