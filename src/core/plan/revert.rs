//! The plan of a group whose manifest cannot be used: what was vouched for stays, what nobody declared goes.

use std::collections::BTreeSet;

use crate::core::model::{Direction, LiveRule, NewRule, Observed, Vouched};

use super::ownership::{Owner, Ownership};
use super::report::{Cause, Difference, QuotaUse, Report, What};
use super::step::{Modification, Plan, Purpose, RULES_PER_CALL, Revocation, Step};

/// Plans the revert of unauthorized edits alone: rows somebody changed in place are set back, rows nobody declared go.
/// Nothing is authorized or removed on the word of a manifest that has errors, but an error in it must not hold a door open.
pub fn plan_reverts(owner: &Owner, observed: &Observed, vouched: Option<&Vouched>) -> (Plan, Report) {
    let ownership = owner.judge(&observed.group.tags);
    let mut report =
        Report { ownership: Some(ownership.clone()), differences: Vec::new(), quota: QuotaUse::default(), live_declared: 0 };
    let mut plan = Plan { group: Some(observed.group.id.clone()), steps: Vec::new() };
    let (Ownership::Ours | Ownership::Reclaimed { former_uid: _ }, Some(vouched)) = (ownership, vouched) else {
        return (plan, report);
    };
    for direction in Direction::BOTH {
        let extras = observed.rules.values().filter(|rule| rule.atom.direction == direction && vouched.get(&rule.atom).is_none());
        let (set_back, revoke) = part(extras, observed, vouched);
        report.differences.extend(revoke.iter().map(|item| Difference {
            what: What::Extra { live: item.live.clone(), rule: None, was: None },
            cause: Cause::Drift,
            held: None,
        }));
        report.differences.extend(set_back.iter().map(|item| Difference {
            what: What::Extra { live: item.live.clone(), rule: Some(item.rule.clone()), was: Some(item.new.atom.clone()) },
            cause: Cause::Drift,
            held: None,
        }));
        let chunks = set_back.chunks(RULES_PER_CALL);
        plan.steps.extend(chunks.map(|chunk| Step::Modify { direction, rules: chunk.to_vec() }));
        let chunks = revoke.chunks(RULES_PER_CALL);
        plan.steps.extend(chunks.map(|chunk| Step::Revoke { direction, purpose: Purpose::Revert, rules: chunk.to_vec() }));
    }
    report.live_declared = observed.rules.values().filter(|rule| vouched.get(&rule.atom).is_some()).count();
    (plan, report)
}

/// Rows to be set back to what we vouched for, and rows to be revoked.
fn part<'a>(
    extras: impl Iterator<Item = &'a LiveRule>,
    observed: &Observed,
    vouched: &Vouched,
) -> (Vec<Modification>, Vec<Revocation>) {
    let by_id = vouched.by_id();
    let live: BTreeSet<_> = observed.rules.values().map(|rule| &rule.atom).collect();
    let (mut set_back, mut revoke) = (Vec::new(), Vec::new());
    for rule in extras {
        match by_id.get(&rule.id) {
            Some((atom, known)) if !live.contains(atom) && atom.peer.kind() == rule.atom.peer.kind() => {
                set_back.push(Modification {
                    live: rule.clone(),
                    // Only the digest of the description is known: the row keeps the text it has.
                    new: NewRule { atom: (*atom).clone(), description: rule.description.clone() },
                    cause: Cause::Drift,
                    rule: known.rule.clone(),
                    justification: None,
                });
            }
            Some(_) | None => revoke.push(Revocation { live: rule.clone(), cause: Cause::Drift, rule: None }),
        }
    }
    (set_back, revoke)
}
