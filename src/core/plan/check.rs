//! A finished plan is looked over once more before it is executed: what this finds is a defect of ours, and the plan is
//! not executed.

use std::collections::BTreeSet;

use crate::core::model::{Atom, Direction, LiveRule, RuleId};

use super::PlanInput;
use super::ownership::Ownership;
use super::step::{Plan, Purpose, RULES_PER_CALL, Step};

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
    /// A replaced rule goes although what replaces it is not awaited.
    #[error("step {step} revokes replaced rules before what replaces them is in force")]
    TooEarly {
        /// Index of the step.
        step: usize,
    },
}

struct Checker<'a> {
    input: PlanInput<'a>,
    step: usize,
    faults: Vec<Fault>,
    rows: BTreeSet<&'a RuleId>,
    atoms: BTreeSet<&'a Atom>,
}

/// Every fault of a plan made from `input`.
pub fn check<'a>(input: PlanInput<'a>, plan: &'a Plan) -> Vec<Fault> {
    let mut checker = Checker { input, step: 0, faults: Vec::new(), rows: BTreeSet::new(), atoms: BTreeSet::new() };
    let mut pending = false;
    for (step, what) in plan.steps.iter().enumerate() {
        checker.step = step;
        checker.ours(plan, what);
        match what {
            Step::CreateGroup(_) if plan.steps.len() != 1 => checker.faults.push(Fault::Malformed { step }),
            Step::Revoke { direction, purpose, rules } => {
                checker.size(rules.len());
                for item in rules {
                    checker.row(&item.live, *direction);
                    if input.desired.rules.contains(&item.live.atom) {
                        checker.faults.push(Fault::RevokesDesired { step, atom: item.live.atom.to_string() });
                    }
                }
                if *purpose == Purpose::Replace && pending {
                    checker.faults.push(Fault::TooEarly { step });
                }
            }
            Step::Authorize { direction, rules } => {
                pending = true;
                checker.size(rules.len());
                for item in rules {
                    checker.brings(&item.new.atom, *direction);
                }
            }
            Step::Modify { direction, rules } => {
                pending = true;
                checker.size(rules.len());
                for item in rules {
                    checker.row(&item.live, *direction);
                    checker.brings(&item.new.atom, *direction);
                    if item.live.atom.peer.kind() != item.new.atom.peer.kind() {
                        checker.faults.push(Fault::Malformed { step });
                    }
                }
            }
            Step::Describe { direction, rules } => {
                checker.size(rules.len());
                for item in rules {
                    checker.row(&item.live, *direction);
                }
            }
            Step::Settle => pending = false,
            Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::AwaitVisible { atoms: _ }
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _ } => {}
        }
    }
    checker.faults
}

impl<'a> Checker<'a> {
    fn ours(&mut self, plan: &Plan, step: &Step) {
        let ours = match (self.input.observed, step) {
            (None, Step::CreateGroup(_)) => plan.group.is_none(),
            (None, _) | (_, Step::CreateGroup(_)) => false,
            (Some(observed), _) => {
                plan.group.as_ref() == Some(&observed.group.id)
                    && match self.input.owner.judge(&observed.group.tags) {
                        Ownership::Ours | Ownership::Reclaimed { former_uid: _ } => true,
                        Ownership::Stripped => self.input.recorded == Some(&observed.group.id),
                        Ownership::Foreign { claimant: _ } => false,
                    }
            }
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
