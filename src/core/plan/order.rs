//! Differences to steps, in the order that never cuts desired traffic and never leaves a hole open longer than it must
//! (DESIGN §4.4):
//!
//! 0. give the group back the tags that make it ours: without them IAM would refuse all that follows;
//! 1. revoke what nobody declared, set back what somebody changed in place, where no desired traffic rests on it;
//! 2. authorize, modify, describe; at the quota with as much change in place and as few early revokes as it takes (`squeeze`);
//! 3. revoke the rest of what nobody declared;
//! 4. see the new rules live, wait until they are in force, then revoke what they replace;
//! 5. tags, which no traffic rests on.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::desired::Mode;
use crate::core::model::{Atom, Direction, LiveRule, NewGroup, Observed, RuleId, Space};

use super::PlanInput;
use super::quota::{self, Demand};
use super::report::{Difference, Report, What};
use super::squeeze::{self, Course};
use super::step::{Plan, Step};
use super::work::{Rules, SETTLE_BEFORE, STAGES, Wave, Work};
use super::{approval, cause::Held};

pub(super) fn order(input: PlanInput<'_>, report: &mut Report) -> Plan {
    let Some(observed) = input.observed else {
        let waits =
            |difference: &Difference| matches!(difference.what, What::GroupMissing { recorded: _ }) && difference.held.is_some();
        if report.differences.iter().any(waits) {
            return Plan::default();
        }
        let deferred = report.differences.iter().filter(|difference| difference.held.is_none() && brings_rule(difference)).cloned();
        return Plan { steps: vec![create(input)], deferred: deferred.collect(), ..Plan::default() };
    };
    let mut work = Work::of(report.differences.iter().filter(|difference| difference.held.is_none()));
    let mut steps = Vec::new();
    std::mem::take(&mut work.owner_tags).push_steps(&mut steps);
    let group = Some(observed.group.id.clone());
    // Whoever else wants the group reads its marks too: it is looked at once more before anything else is done to it. A plan that
    // nobody carries out tells all of it.
    if input.restraint.adopting && input.restraint.policy.mode == Mode::Enforce && !steps.is_empty() {
        return Plan { group, steps, ..Plan::default() };
    }
    let fresh = not_in_force(input, observed);
    let courses = courses(input, observed, report, work.rules, &fresh);
    let unfit: Vec<Atom> = courses.values().flat_map(|course| course.unfit.iter().cloned()).collect();
    let cuts = courses.values().flat_map(|course| course.cuts.iter().cloned()).collect();
    let waves = courses.into_iter().map(|(direction, course)| (direction, course.waves)).collect();
    Walk { waves, unsure: fresh.into_keys().collect() }.write(&mut steps);
    work.tags.push_steps(&mut steps);
    hold_unfit(report, &steps, &unfit);
    // What was approved and has to wait its turn needs no second approval: it is written down with what is done now.
    let turn = |difference: &&Difference| approval::is_asked(input) && quota::waits_its_turn(report, difference);
    let deferred = report.differences.iter().filter(turn).cloned().collect();
    Plan { group, steps, deferred, cuts }
}

/// Live rules that may have been written a moment ago by a pass that did not get to its end: the line in status is still an
/// intent, or names another row. Without a baseline nobody can tell.
fn not_in_force<'a>(input: PlanInput<'_>, observed: &'a Observed) -> BTreeMap<Direction, Vec<&'a Atom>> {
    let mut fresh: BTreeMap<Direction, Vec<&Atom>> = BTreeMap::new();
    for rule in observed.rules.values().filter(|rule| input.desired.rules.contains(&rule.atom)) {
        let known = input.vouched.and_then(|vouched| vouched.get(&rule.atom));
        if known.and_then(|known| known.id.as_ref()) != Some(&rule.id) {
            fresh.entry(rule.atom.direction).or_default().push(&rule.atom);
        }
    }
    fresh
}

fn create(input: PlanInput<'_>) -> Step {
    let desired = input.desired;
    let mut tags = desired.tags.clone();
    tags.extend(input.owner.tags(input.origin));
    Step::CreateGroup(NewGroup {
        name: desired.group_name.clone(),
        description: desired.description.clone(),
        vpc: desired.vpc.clone(),
        tags,
    })
}

/// What authorizing first asks of the quota.
fn demand(waves: &[Wave]) -> Demand<'_> {
    let modified = waves.iter().flat_map(|wave| wave.set_back.iter().chain(&wave.modify));
    Demand {
        freed: waves.iter().flat_map(|wave| &wave.revert).map(|item| &item.live.atom).collect(),
        authorized: waves.iter().flat_map(|wave| &wave.authorize).map(|item| &item.new.atom).collect(),
        changed: modified.map(|item| (&item.live.atom, &item.new.atom)).collect(),
    }
}

/// What each direction does, one after the other.
fn courses(
    input: PlanInput<'_>,
    observed: &Observed,
    report: &Report,
    rules: BTreeMap<Direction, Rules>,
    fresh: &BTreeMap<Direction, Vec<&Atom>>,
) -> BTreeMap<Direction, Course> {
    let unsure = |direction| Space::of_all(fresh.get(&direction).into_iter().flatten().copied());
    let plain: BTreeMap<Direction, Vec<Wave>> =
        rules.iter().map(|(direction, rules)| (*direction, rules.clone().authorize_first(&unsure(*direction)))).collect();
    let demands = plain.iter().map(|(direction, waves)| (*direction, demand(waves)));
    let mut budgets = quota::budgets(input, observed, report.quota.limit, &demands.collect());
    // As we vouch for them by their ids; those that a pass was about to change when it died have none in their lines.
    let ours = |rule: &&LiveRule| {
        let known = input.vouched.and_then(|set| set.get(&rule.atom));
        known.is_some_and(|known| known.id.as_ref().is_none_or(|id| *id == rule.id))
    };
    let ours: BTreeSet<&RuleId> = observed.rules.values().filter(ours).map(|rule| &rule.id).collect();
    let limited = |direction| report.differences.iter().any(|difference| makes_room_later(difference, direction));
    let course = |(direction, rules): (Direction, Rules)| {
        let course = match budgets.remove(&direction) {
            Some(budget) => squeeze::squeeze(rules, budget, &unsure(direction), &ours, limited(direction)),
            None => Course { waves: plain.get(&direction).cloned().unwrap_or_default(), cuts: Vec::new(), unfit: Vec::new() },
        };
        (direction, course)
    };
    rules.into_iter().map(course).collect()
}

/// Whether a row is held back that makes room when it goes at last.
fn makes_room_later(difference: &Difference, direction: Direction) -> bool {
    let waits = difference.held.as_ref().is_some_and(|held| !held.stays());
    waits && matches!(&difference.what, What::Extra { live, rule: _, was: _ } if live.atom.direction == direction)
}

fn brings_rule(difference: &Difference) -> bool {
    matches!(difference.what, What::Missing { atom: _, declared: _, last_id: _ })
}

/// Says of what does not fit that it waits. A row that goes although what it was to become does not fit is in the plan.
fn hold_unfit(report: &mut Report, steps: &[Step], unfit: &[Atom]) {
    let goes = |id: &RuleId| {
        steps.iter().any(
            |step| matches!(step, Step::Revoke { direction: _, purpose: _, rules } if rules.iter().any(|item| item.live.id == *id)),
        )
    };
    for difference in report.differences.iter_mut().filter(|difference| difference.held.is_none()) {
        let waits = match &difference.what {
            What::Missing { atom, declared: _, last_id: _ } => unfit.contains(atom),
            What::Extra { live, rule: _, was: _ } => unfit.contains(&live.atom),
            What::Moved { live, atom, declared: _ } => unfit.contains(atom) && !goes(&live.id),
            What::GroupMissing { recorded: _ }
            | What::Description { live: _, declared: _ }
            | What::Tag { key: _, live: _, declared: _, ownership: _ } => false,
        };
        if waits {
            difference.held = Some(Held::Quota);
        }
    }
}

/// Both directions, wave by wave: they share the waits.
struct Walk {
    waves: BTreeMap<Direction, Vec<Wave>>,
    /// Directions with live rules that may not be in force yet.
    unsure: BTreeSet<Direction>,
}

impl Walk {
    fn write(mut self, steps: &mut Vec<Step>) {
        let mut brought: BTreeMap<Direction, Vec<Atom>> = BTreeMap::new();
        let longest = self.waves.values().map(Vec::len).max().unwrap_or_default();
        for at in 0..longest {
            let wave: BTreeMap<Direction, Wave> = self
                .waves
                .iter_mut()
                .filter_map(|(direction, waves)| waves.get_mut(at).map(|wave| (*direction, std::mem::take(wave))))
                .filter(|(_, wave)| !wave.is_empty())
                .collect();
            if at > 0 {
                self.wait(&wave, &mut brought, steps);
            }
            for (direction, wave) in &wave {
                brought.entry(*direction).or_default().extend(wave.brings().cloned());
            }
            self.stages(wave, steps);
        }
    }

    /// Waits for what was brought about, where something is to go after it.
    fn wait(&mut self, wave: &BTreeMap<Direction, Wave>, brought: &mut BTreeMap<Direction, Vec<Atom>>, steps: &mut Vec<Step>) {
        let mut settle = false;
        for direction in wave.keys() {
            let atoms = brought.remove(direction).unwrap_or_default();
            settle |= !atoms.is_empty() || self.unsure.contains(direction);
            if !atoms.is_empty() {
                steps.push(Step::AwaitVisible { direction: *direction, atoms });
            }
        }
        if settle {
            self.settle(steps);
        }
    }

    fn settle(&mut self, steps: &mut Vec<Step>) {
        steps.push(Step::Settle);
        self.unsure.clear();
    }

    fn stages(&mut self, waves: BTreeMap<Direction, Wave>, steps: &mut Vec<Step>) {
        let settle = waves.values().any(|wave| wave.settle);
        let mut stages: Vec<_> = waves.into_iter().map(|(direction, wave)| wave.stages(direction).into_iter()).collect();
        for stage in 0..STAGES {
            if stage == SETTLE_BEFORE && settle {
                self.settle(steps);
            }
            steps.extend(stages.iter_mut().filter_map(Iterator::next).flatten());
        }
    }
}
