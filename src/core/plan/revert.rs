//! The plan of a group whose manifest cannot be used: what was vouched for stays, what nobody declared goes.

use crate::core::model::{Direction, Observed, Vouched};

use super::ownership::{Owner, Ownership};
use super::report::{Cause, Difference, QuotaUse, Report, What};
use super::step::{Plan, Purpose, RULES_PER_CALL, Revocation, Step};

/// Plans the revert of unauthorized additions alone. Nothing is authorized or removed on the word of a manifest that has
/// errors, but an error in it must not hold a door open either.
pub fn plan_reverts(owner: &Owner, observed: &Observed, vouched: Option<&Vouched>) -> (Plan, Report) {
    let ownership = owner.judge(&observed.group.tags);
    let mut report = Report { ownership: Some(ownership.clone()), differences: Vec::new(), quota: QuotaUse::default(), live_declared: 0 };
    let mut plan = Plan { group: Some(observed.group.id.clone()), steps: Vec::new() };
    let (Ownership::Ours, Some(vouched)) = (ownership, vouched) else {
        return (plan, report);
    };
    let by_id = vouched.by_id();
    for direction in Direction::BOTH {
        let extras = observed.rules.values().filter(|rule| {
            rule.atom.direction == direction && vouched.get(&rule.atom).is_none() && !by_id.contains_key(&rule.id)
        });
        let revocations: Vec<Revocation> =
            extras.map(|live| Revocation { live: live.clone(), cause: Cause::Drift, rule: None }).collect();
        report.differences.extend(revocations.iter().map(|item| Difference {
            what: What::Extra { live: item.live.clone(), rule: None, was: None },
            cause: Cause::Drift,
            held: None,
        }));
        plan.steps.extend(
            revocations.chunks(RULES_PER_CALL).map(|chunk| Step::Revoke { direction, purpose: Purpose::Revert, rules: chunk.to_vec() }),
        );
    }
    report.live_declared = observed.rules.values().filter(|rule| vouched.get(&rule.atom).is_some()).count();
    (plan, report)
}
