//! Every difference, and whether somebody changed the manifest or EC2 (DESIGN §4.3).

use std::collections::{BTreeMap, BTreeSet};

use crate::core::model::{
    Atom, Declared, DescriptionHash, Direction, LiveRule, Observed, PeerKind, RuleId, RuleName, Space, Vouched, VouchedRule,
};

use super::PlanInput;
use super::cause::{Cause, Held};
use super::ownership::{Ownership, may_write};
use super::report::{Difference, Report, What};
use super::{quota, tags};

pub(super) fn classify(input: PlanInput<'_>) -> Report {
    let mut report = Report {
        ownership: None,
        differences: Vec::new(),
        quota: quota::used(input),
        live_declared: 0,
        over_quota: None,
        approval: None,
        baseline_lost: baseline(input).is_none(),
    };
    let Some(observed) = input.observed else {
        report.differences = missing_group(input);
        return report;
    };
    let ownership = input.owner.judge(&observed.group.tags);
    let settled = input.recorded == Some(&observed.group.id) && input.vouched.is_some() && input.status_is_ours;
    // An earlier object of the same name vouched for a set of its own: ours says nothing about this group. But once the group
    // is recorded and vouched for, another uid on it is somebody's edit, and must not make us forget the baseline.
    let reclaimed = matches!(ownership, Ownership::Reclaimed { former_uid: _ }) && !settled;
    let vouched = baseline(input).filter(|_| !reclaimed);
    report.ownership = Some(ownership);
    report.live_declared = observed.rules.values().filter(|rule| input.desired.rules.contains(&rule.atom)).count();
    report.baseline_lost = vouched.is_none();
    if may_write(input, observed) {
        report.differences = tags::of_owner(input, observed, reclaimed);
        report.differences.extend(rules(input, observed, vouched));
        report.differences.extend(tags::declared(input, observed, input.applied_tags.filter(|_| vouched_by_us(input, reclaimed))));
    }
    report
}

/// The set we vouch for, if the status that keeps it was written for this object.
pub(super) fn baseline(input: PlanInput<'_>) -> Option<&Vouched> {
    input.vouched.filter(|_| input.status_is_ours)
}

fn vouched_by_us(input: PlanInput<'_>, reclaimed: bool) -> bool {
    input.status_is_ours && !reclaimed
}

/// The cause of a change of what is desired. `begun`: an earlier pass wrote it down and did not get to its end.
pub(super) fn change(input: PlanInput<'_>, begun: bool) -> Cause {
    if input.same_spec && !begun { Cause::ReferenceChange } else { Cause::SpecChange }
}

/// The group is to be created: it is drift if it was there before.
fn missing_group(input: PlanInput<'_>) -> Vec<Difference> {
    let cause = if input.recorded.is_some() { Cause::Drift } else { Cause::SpecChange };
    let mut differences = vec![Difference { what: What::GroupMissing { recorded: input.recorded.cloned() }, cause, held: None }];
    differences.extend(input.desired.rules.iter().map(|(atom, declared)| Difference {
        what: What::Missing { atom: atom.clone(), declared: declared.clone(), last_id: None },
        cause: Cause::SpecChange,
        held: input.desired.holds_declared(atom.direction, declared).map(Held::Reference),
    }));
    differences
}

/// What the rules of one group look like from all three sides, with what was already decided.
struct Sides<'a> {
    input: PlanInput<'a>,
    vouched: Option<&'a Vouched>,
    by_id: BTreeMap<&'a RuleId, (&'a Atom, &'a VouchedRule)>,
    live: BTreeMap<&'a Atom, &'a LiveRule>,
    /// Atoms that a change in place brings about.
    taken: BTreeSet<&'a Atom>,
    /// Missing traffic of rules that wait for a reference: what covers it now must not go before they come.
    waiting: BTreeMap<Direction, Space>,
}

fn rules(input: PlanInput<'_>, observed: &Observed, vouched: Option<&Vouched>) -> Vec<Difference> {
    let by_id = vouched.map(Vouched::by_id).unwrap_or_default();
    let mut sides = Sides { input, vouched, by_id, live: observed.by_atom(), taken: BTreeSet::new(), waiting: BTreeMap::new() };
    sides.waiting = sides.waiting_traffic();
    let extras: Vec<&LiveRule> = observed.rules.values().filter(|rule| !input.desired.rules.contains(&rule.atom)).collect();
    let mut differences = sides.set_back(&extras);
    let rest: Vec<&LiveRule> = extras.into_iter().filter(|rule| !moves(&differences, rule)).collect();
    let changed = sides.change_in_place(&rest);
    differences.extend(changed);
    let rest: Vec<&LiveRule> = rest.into_iter().filter(|rule| !moves(&differences, rule)).collect();
    differences.extend(rest.into_iter().map(|rule| sides.extra(rule)));
    differences.extend(sides.missing());
    differences.extend(sides.descriptions());
    differences
}

fn moves(differences: &[Difference], rule: &LiveRule) -> bool {
    differences
        .iter()
        .any(|difference| matches!(&difference.what, What::Moved { live, atom: _, declared: _ } if live.id == rule.id))
}

impl<'a> Sides<'a> {
    fn wanted_missing(&self, atom: &Atom) -> Option<&'a Declared> {
        let declared = self.input.desired.rules.get(atom)?;
        (!self.live.contains_key(atom) && !self.taken.contains(atom)).then_some(declared)
    }

    /// Rows we know under another identity that is still wanted: somebody changed them in place, they are set back.
    fn set_back(&mut self, extras: &[&'a LiveRule]) -> Vec<Difference> {
        let mut differences = Vec::new();
        for rule in extras {
            let Some((atom, _)) = self.by_id.get(&rule.id).copied() else { continue };
            let Some(declared) = self.wanted_missing(atom) else { continue };
            // EC2 cannot change the kind of a peer in place, so nobody else can have done it either.
            if *atom == rule.atom || atom.peer.kind() != rule.atom.peer.kind() || atom.direction != rule.atom.direction {
                continue;
            }
            self.taken.insert(atom);
            // A row that became what we ourselves meant it to become, before the manifest changed its mind, is no drift.
            let intended = self.begun(&rule.atom).is_some();
            differences.push(Difference {
                what: What::Moved { live: (*rule).clone(), atom: atom.clone(), declared: declared.clone() },
                cause: if intended { self.change(atom) } else { Cause::Drift },
                held: None,
            });
        }
        differences
    }

    /// The cause of a change that brings an atom about.
    fn change(&self, atom: &Atom) -> Cause {
        change(self.input, self.vouched.is_some_and(|vouched| vouched.get(atom).is_some()))
    }

    /// Why an atom that a rule of this name declared goes. `begun`: an earlier pass decided it, as with what EC2 puts into a group
    /// that we create.
    fn removal(&self, direction: Direction, name: &RuleName, begun: bool) -> Cause {
        let rule = (direction, name.clone());
        if self.input.desired.refused.contains_key(&rule) {
            Cause::GrantWithdrawn
        } else if self.input.desired.expired.contains(&rule) {
            Cause::Expiry
        } else {
            change(self.input, begun)
        }
    }

    /// Rows the manifest no longer wants, paired with what the same rule of it wants instead: one call keeps the row's id and
    /// leaves no moment without it. Only rows we vouch for by id, or that a pass was to change when it died, only within one named
    /// rule, and only where ports or peer stay: two edits at once are two rules to whoever reads the audit. What is begun goes
    /// with what is begun: the one was approved, the other may not be.
    fn change_in_place(&mut self, extras: &[&'a LiveRule]) -> Vec<Difference> {
        let mut differences = Vec::new();
        for rule in extras {
            let Some((atom, known)) = self.by_id.get(&rule.id).copied().or_else(|| self.begun(&rule.atom)) else { continue };
            let begun = known.id.is_none();
            let goes = self.removal(atom.direction, &known.rule, begun);
            // What was to end ends by itself: it waits for nothing that comes.
            if *atom != rule.atom || goes.closes() || self.held(rule, &known.rule, goes).is_some() {
                continue;
            }
            let fits = |candidate: &Atom, declared: &Declared| {
                candidate.direction == atom.direction
                    && self.begun(candidate).is_some() == begun
                    && declared.rule == known.rule
                    && candidate.peer.kind() == atom.peer.kind()
                    && (candidate.peer == atom.peer || candidate.traffic == atom.traffic)
            };
            let wanted = self.input.desired.rules.iter().find(|(candidate, declared)| {
                fits(candidate, declared) && self.wanted_missing(candidate).is_some() && !self.was_removed(candidate)
            });
            if let Some((to, declared)) = wanted {
                self.taken.insert(to);
                differences.push(Difference {
                    what: What::Moved { live: (*rule).clone(), atom: to.clone(), declared: declared.clone() },
                    cause: self.change(to),
                    held: None,
                });
            }
        }
        differences
    }

    /// The line of an atom that a pass was about to bring about or to take away when it died.
    fn begun(&self, atom: &Atom) -> Option<(&'a Atom, &'a VouchedRule)> {
        self.vouched?.get_line(atom).filter(|(_, known)| known.id.is_none())
    }

    /// Traffic of held rules that is not live.
    fn waiting_traffic(&self) -> BTreeMap<Direction, Space> {
        let desired = self.input.desired;
        let waits = |(atom, declared): &(&Atom, &Declared)| {
            // What somebody removed is put back at once, so it is not waited for.
            let comes_back = self.was_removed(atom);
            !self.live.contains_key(atom) && !comes_back && desired.holds_declared(atom.direction, declared).is_some()
        };
        let waiting: Vec<&Atom> = desired.rules.iter().filter(waits).map(|(atom, _)| atom).collect();
        let of = |direction| Space::of_all(waiting.iter().copied().filter(|atom| atom.direction == direction));
        Direction::BOTH.into_iter().map(|direction| (direction, of(direction))).collect()
    }

    /// Why a row the manifest no longer wants has to stay for now: its own rule waits for a reference, or what it allows
    /// overlaps what a waiting rule will allow.
    fn held(&self, live: &LiveRule, name: &RuleName, cause: Cause) -> Option<Held> {
        let direction = live.atom.direction;
        // A rule may have been renamed while its reference is unknown: which waiting rule a group belongs to cannot be told. One
        // that is known to end was not renamed, and must not be kept alive by some other rule that waits.
        let unclear = !cause.closes() && !matches!(live.atom.peer.kind(), PeerKind::Ipv4 | PeerKind::Ipv6);
        let rule = self.input.desired.holds(direction, name).or_else(|| {
            let rests = self.waiting.get(&direction).is_some_and(|waiting| Space::of(&live.atom).overlaps(waiting));
            (rests || unclear).then(|| self.input.desired.first_held(direction)).flatten()
        });
        rule.map(Held::Reference)
    }

    /// Whether an atom was live under our name and somebody took it away.
    fn was_removed(&self, atom: &Atom) -> bool {
        self.vouched.and_then(|vouched| vouched.get(atom)).is_some_and(|known| known.id.is_some())
    }

    fn extra(&self, rule: &LiveRule) -> Difference {
        let known_by_id = self.by_id.get(&rule.id).copied();
        let known = self.vouched.and_then(|vouched| vouched.get(&rule.atom));
        let (cause, name, was) = match (self.vouched, known, known_by_id) {
            (None, _, _) => (Cause::Unclassified, None, None),
            // Vouched for by what it allows, whatever its id: somebody may have removed ours and put the same back.
            (Some(_), Some(known), _) => {
                (self.removal(rule.atom.direction, &known.rule, known.id.is_none()), Some(known.rule.clone()), None)
            }
            (Some(_), None, Some((atom, known))) => (Cause::Drift, Some(known.rule.clone()), Some(atom.clone())),
            (Some(_), None, None) => (Cause::Drift, None, None),
        };
        // An atom we never vouched for is never held, nor is one that was changed behind our back.
        let held = match &name {
            Some(name) if cause.is_change() => self.held(rule, name, cause),
            // Without a baseline nobody knows which rule a row belongs to: it may be the one that waits.
            None if cause == Cause::Unclassified => self.input.desired.first_held(rule.atom.direction).map(Held::Reference),
            Some(_) | None => None,
        };
        Difference { what: What::Extra { live: rule.clone(), rule: name, was }, cause, held }
    }

    fn missing(&self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (atom, declared) in self.input.desired.rules.iter() {
            if self.wanted_missing(atom).is_none() {
                continue;
            }
            let last_id = self.vouched.and_then(|vouched| vouched.get(atom)).and_then(|known| known.id.clone());
            // An intent that never became live is no drift: the pass that wrote it did not get to its call.
            let cause = match (self.vouched, &last_id) {
                (None, _) => Cause::Unclassified,
                (Some(_), Some(_)) => Cause::Drift,
                (Some(_), None) => self.change(atom),
            };
            let waits = self.input.desired.holds_declared(atom.direction, declared).filter(|_| cause != Cause::Drift);
            let held = waits.map(Held::Reference);
            differences.push(Difference {
                what: What::Missing { atom: atom.clone(), declared: declared.clone(), last_id },
                cause,
                held,
            });
        }
        differences
    }

    fn descriptions(&self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (atom, live) in &self.live {
            let Some(declared) = self.input.desired.rules.get(atom) else { continue };
            if live.description == declared.description {
                continue;
            }
            let known = self.vouched.and_then(|vouched| vouched.get(atom));
            let cause = match (self.vouched, known) {
                (None, _) => Cause::Unclassified,
                // As we left it: the manifest has another text now.
                (Some(_), Some(known)) if known.description == DescriptionHash::of(live.description.as_deref()) => {
                    change(self.input, known.describing.is_some())
                }
                // An earlier pass was about to write this text, and did, before the manifest changed again.
                (Some(_), Some(known)) if known.knows(live.description.as_deref()) => change(self.input, true),
                (Some(_), Some(_)) => Cause::Drift,
                (Some(_), None) => change(self.input, false),
            };
            differences.push(Difference {
                what: What::Description { live: (*live).clone(), declared: declared.clone() },
                cause,
                held: None,
            });
        }
        differences
    }
}
