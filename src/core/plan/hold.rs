//! What is left alone, or left for later, of what could be done: policy first, then approval, then the limits.
//!
//! Invariant: nothing that takes traffic away is left in the plan while desired traffic rests on it that is held back.

use std::collections::BTreeMap;

use crate::core::desired::UndeclaredRules;
use crate::core::model::{Atom, Direction, LiveRule, Space};

use super::PlanInput;
use super::cause::{Cause, Held};
use super::report::{Difference, DriftKind, Report, What};
use super::{approval, quota};

pub(super) fn hold(input: PlanInput<'_>, report: &mut Report) {
    for difference in &mut report.differences {
        if input.restraint.suspend_ended && difference.cause == Cause::Drift {
            difference.cause = Cause::SuspendEnd;
        }
        if let Some(held) = by_policy(input, difference) {
            difference.held = Some(held);
        }
        if difference.held.is_none() {
            difference.held = put_off(input, difference);
        }
    }
    spare_what_rests_on_an_edit(input, report);
    report.over_quota = quota::over(input, report);
    if report.over_quota.is_some() {
        hold_where(report, &Held::Quota, |difference| {
            !difference.cause.is_drift() && !difference.cause.closes() && !is_mark(difference)
        });
    }
    await_approval(input, report);
    limit_rate(input, report);
    with_its_group(report);
    hold_what_is_rested_on(report);
}

fn hold_where(report: &mut Report, held: &Held, which: impl Fn(&Difference) -> bool) {
    for difference in report.differences.iter_mut().filter(|difference| difference.held.is_none()) {
        if which(difference) {
            difference.held = Some(held.clone());
        }
    }
}

/// A tag that marks the group as ours.
fn is_mark(difference: &Difference) -> bool {
    matches!(difference.what, What::Tag { key: _, live: _, declared: _, ownership: true })
}

/// What account and manifest leave alone. It goes before an unknown reference: what stays for good waits for nothing.
fn by_policy(input: PlanInput<'_>, difference: &Difference) -> Option<Held> {
    let undeclared = match &difference.what {
        // A row of ours that somebody made into something else is set back or revoked, whatever is said of undeclared rules.
        What::Extra { live, rule: None, was: None } => stays(input, live),
        What::Extra { live: _, rule: _, was: _ }
        | What::GroupMissing { recorded: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    };
    undeclared.or_else(|| (input.restraint.policy.suspended && may_revert(input, difference)).then_some(Held::Suspended))
}

/// What is not restored at once: because one read alone shows it, or because somebody undoes it each time. What was added is
/// taken away whatever is said here: a door does not stay open because it was opened often.
fn put_off(input: PlanInput<'_>, difference: &Difference) -> Option<Held> {
    match difference.drift()? {
        DriftKind::Added | DriftKind::GroupDeleted => return None,
        DriftKind::Removed
        | DriftKind::Modified
        | DriftKind::DescriptionChanged
        | DriftKind::TagChanged
        | DriftKind::TagRemoved => {}
    }
    // A row of ours that allows something nobody declared is a door too.
    let opens = matches!(difference.what, What::Extra { live: _, rule: _, was: _ });
    if input.restraint.unconfirmed.contains(&difference.doubt()) {
        Some(Held::Unconfirmed)
    } else if !opens && input.restraint.postponed.contains(&difference.subject()) {
        Some(Held::War)
    } else {
        None
    }
}

/// An addition may be all that desired traffic has left: somebody replaced a rule by a wider one. To take it back while what it
/// replaced is put off would be a cut of our own making.
fn spare_what_rests_on_an_edit(input: PlanInput<'_>, report: &mut Report) {
    let going = |difference: &Difference| difference.held.is_none() && difference.drift() == Some(DriftKind::Added);
    for direction in Direction::BOTH {
        let of = |atoms: Vec<&Atom>| Space::of_all(atoms.into_iter().filter(|atom| atom.direction == direction));
        // What is fought over comes back together with the revert it would be cut by.
        let added = of(report.differences.iter().filter(|difference| going(difference)).filter_map(extra).collect());
        for difference in report.differences.iter_mut().filter(|difference| difference.held == Some(Held::War)) {
            if brought(difference).is_some_and(|atom| atom.direction == direction && Space::of(atom).overlaps(&added)) {
                difference.held = None;
            }
        }
        if input.restraint.first_look {
            let unsure = report.differences.iter().filter(|difference| difference.held == Some(Held::Unconfirmed));
            let unsure = of(unsure.filter_map(brought).collect());
            for difference in report.differences.iter_mut().filter(|difference| going(difference)) {
                if extra(difference).is_some_and(|atom| atom.direction == direction && Space::of(atom).overlaps(&unsure)) {
                    difference.held = Some(Held::Unconfirmed);
                }
            }
        }
    }
}

/// The rule nobody desires that a difference is about.
fn extra(difference: &Difference) -> Option<&Atom> {
    match &difference.what {
        What::Extra { live, rule: _, was: _ } => Some(&live.atom),
        What::GroupMissing { recorded: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    }
}

/// Why an undeclared rule stays.
fn stays(input: PlanInput<'_>, live: &LiveRule) -> Option<Held> {
    let policy = &input.restraint.policy;
    let tolerated = policy.tolerate.iter().any(|toleration| toleration.matches(live));
    match policy.undeclared {
        UndeclaredRules::Keep => Some(Held::Kept),
        UndeclaredRules::Revoke | UndeclaredRules::Report if tolerated => Some(Held::Tolerated),
        UndeclaredRules::Report => Some(Held::Reported),
        UndeclaredRules::Revoke => None,
    }
}

/// Whether to do something about a difference would undo somebody's edit. Without a baseline nobody knows, and what was done
/// in an emergency must not be undone by a guess.
fn may_revert(input: PlanInput<'_>, difference: &Difference) -> bool {
    let edited = match &difference.what {
        // Changed by the manifest and by somebody else: one write would do both.
        What::Tag { key, live, declared: _, ownership: false } => {
            input.applied_tags.and_then(|applied| applied.get(key)).is_some_and(|applied| live.as_ref() != Some(applied))
        }
        What::Tag { key: _, live: _, declared: _, ownership: true }
        | What::GroupMissing { recorded: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Extra { live: _, rule: _, was: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::Description { live: _, declared: _ } => false,
    };
    difference.cause.is_drift() || difference.cause == Cause::Unclassified || edited
}

fn await_approval(input: PlanInput<'_>, report: &mut Report) {
    let concerned = |difference: &Difference| approval::concerns(input, difference);
    let asked = report.differences.iter().filter(|difference| difference.held.is_none() && concerned(difference));
    let new = || format!("a new group {:?} in {}", input.desired.group_name, input.desired.vpc);
    let group = input.observed.map_or_else(new, |observed| observed.group.id.to_string());
    report.approval = approval::approval_hash(&group, asked);
    let approved = report.approval.is_some() && report.approval == input.restraint.approved;
    if approval::is_asked(input) && !approved {
        hold_where(report, &Held::Approval, concerned);
    }
}

/// What a difference takes away when it is put right, if not because of drift.
fn removed(difference: &Difference) -> Option<&LiveRule> {
    if difference.cause.is_drift() {
        return None;
    }
    match &difference.what {
        What::Extra { live, rule: _, was: _ } | What::Moved { live, atom: _, declared: _ } => Some(live),
        What::GroupMissing { recorded: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    }
}

/// What a difference brings about when it is put right.
fn brought(difference: &Difference) -> Option<&Atom> {
    match &difference.what {
        What::Missing { atom, declared: _, last_id: _ } | What::Moved { live: _, atom, declared: _ } => Some(atom),
        What::GroupMissing { recorded: _ }
        | What::Extra { live: _, rule: _, was: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    }
}

/// Only so many removals at a time: first what was to end, then in canonical order. What comes is not held up by it, or rows
/// that are to become each other's successors would wait for one another for ever.
fn limit_rate(input: PlanInput<'_>, report: &mut Report) {
    let Some(left) = input.restraint.removals_left else { return };
    let mut removals: Vec<&mut Difference> =
        report.differences.iter_mut().filter(|difference| difference.held.is_none() && removed(difference).is_some()).collect();
    removals.sort_by_cached_key(|difference| (!difference.cause.closes(), removed(difference).map(|live| live.atom.clone())));
    let mut coming = Vec::new();
    for difference in removals.into_iter().skip(left) {
        difference.held = Some(Held::Rate);
        let cause = difference.cause;
        if let What::Moved { live, atom, declared } = &difference.what {
            let what = What::Missing { atom: atom.clone(), declared: declared.clone(), last_id: None };
            coming.push(Difference { what, cause, held: None });
            difference.what = What::Extra { live: live.clone(), rule: Some(declared.rule.clone()), was: None };
        }
    }
    report.differences.append(&mut coming);
}

/// A group that is not created gets no rules either.
fn with_its_group(report: &mut Report) {
    let of_group = |difference: &&Difference| matches!(difference.what, What::GroupMissing { recorded: _ });
    if let Some(held) = report.differences.iter().find(of_group).and_then(|difference| difference.held.clone()) {
        hold_where(report, &held, |_| true);
    }
}

/// A rule that would be removed stays while desired traffic rests on it that is itself held back. What waits for approval is
/// not decided on: it keeps nothing open that was to end.
fn hold_what_is_rested_on(report: &mut Report) {
    loop {
        let waiting = Waiting::of(report);
        if waiting.0.is_empty() {
            return;
        }
        let mut found = false;
        for difference in report.differences.iter_mut().filter(|difference| difference.held.is_none()) {
            let held = removed(difference).and_then(|live| waiting.on(live, difference.cause));
            found |= held.is_some();
            difference.held = held;
        }
        // A rule that stays may have been to become another one, which now waits too.
        if !found {
            return;
        }
    }
}

/// Desired traffic that is held back, by what holds it.
struct Waiting(BTreeMap<(Direction, Held), Space>);

impl Waiting {
    fn of(report: &Report) -> Self {
        let mut atoms: BTreeMap<(Direction, Held), Vec<&Atom>> = BTreeMap::new();
        for difference in &report.differences {
            // Rules that wait for a reference have their own, wider, look at this.
            if let (Some(atom), Some(held)) = (brought(difference), &difference.held)
                && !matches!(held, Held::Reference(_))
            {
                atoms.entry((atom.direction, held.clone())).or_default().push(atom);
            }
        }
        Self(atoms.into_iter().map(|(key, atoms)| (key, Space::of_all(atoms))).collect())
    }

    fn on(&self, live: &LiveRule, cause: Cause) -> Option<Held> {
        let space = Space::of(&live.atom);
        let rests = |((direction, held), waiting): &(&(Direction, Held), &Space)| {
            *direction == live.atom.direction && !(cause.closes() && *held == Held::Approval) && space.overlaps(waiting)
        };
        self.0.iter().find(rests).map(|((_, held), _)| held.clone())
    }
}
