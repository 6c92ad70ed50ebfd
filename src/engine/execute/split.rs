//! A call that EC2 refuses whole because the world is different for one of its rules is made again in parts, so that whoever
//! takes a decoy away between our read and our call keeps no door open by it.

use std::cmp::Reverse;

use crate::core::model::{AddressCount, Atom, Space};
use crate::core::plan::Step;
use crate::ports::cloud::{CloudError, ErrorClass};

/// Calls that a step may make in parts. The widest opening is alone after eleven at most, as a call takes a thousand rules; what is
/// left then comes with the next plan.
pub(super) const PARTS: usize = 64;
/// A rule by its id.
const NO_SUCH_RULE: &str = "InvalidSecurityGroupRuleId.NotFound";
/// A rule by what it says.
const NO_SUCH_PERMISSION: &str = "InvalidPermission.NotFound";
const DUPLICATE: &str = "InvalidPermission.Duplicate";

/// Whether EC2 says that one of several rules is not as planned, and did nothing.
pub(super) fn is_about_one(error: &CloudError) -> bool {
    let about_a_rule = [NO_SUCH_RULE, NO_SUCH_PERMISSION, DUPLICATE].iter().any(|code| error.is(code));
    error.class == ErrorClass::Stale && about_a_rule && !error.outcome_unknown
}

/// Whether a step over one rule that failed is done all the same: the rule to go is gone, the rule to come is there.
pub(super) fn is_done(step: &Step, error: &CloudError) -> bool {
    match step {
        Step::Revoke { direction: _, purpose: _, rules } => {
            rules.len() == 1 && (error.is(NO_SUCH_RULE) || error.is(NO_SUCH_PERMISSION))
        }
        Step::Authorize { direction: _, rules } => rules.len() == 1 && error.is(DUPLICATE),
        Step::Modify { direction: _, rules: _ }
        | Step::Describe { direction: _, rules: _ }
        | Step::CreateGroup(_)
        | Step::DeleteGroup
        | Step::SetTags { tags: _, before: _, cause: _ }
        | Step::RemoveTags { tags: _, cause: _ }
        | Step::AwaitVisible { direction: _, atoms: _ }
        | Step::Settle => false,
    }
}

/// The step as two, the half with the widest openings first. `None`: it is about one rule, or about none.
pub(super) fn halves(step: &Step) -> Option<[Step; 2]> {
    match step {
        Step::Revoke { direction, purpose, rules } => {
            let part = |rules| Step::Revoke { direction: *direction, purpose: *purpose, rules };
            parted(rules, |item| &item.live.atom).map(|halves| halves.map(part))
        }
        Step::Authorize { direction, rules } => {
            let part = |rules| Step::Authorize { direction: *direction, rules };
            parted(rules, |item| &item.new.atom).map(|halves| halves.map(part))
        }
        Step::Modify { direction, rules } => {
            let part = |rules| Step::Modify { direction: *direction, rules };
            parted(rules, |item| &item.live.atom).map(|halves| halves.map(part))
        }
        Step::Describe { direction, rules } => {
            let part = |rules| Step::Describe { direction: *direction, rules };
            parted(rules, |item| &item.live.atom).map(|halves| halves.map(part))
        }
        Step::CreateGroup(_)
        | Step::DeleteGroup
        | Step::SetTags { tags: _, before: _, cause: _ }
        | Step::RemoveTags { tags: _, cause: _ }
        | Step::AwaitVisible { direction: _, atoms: _ }
        | Step::Settle => None,
    }
}

fn parted<T: Clone>(rules: &[T], atom: impl Fn(&T) -> &Atom) -> Option<[Vec<T>; 2]> {
    if rules.len() < 2 {
        return None;
    }
    let mut rules: Vec<(Reverse<AddressCount>, T)> =
        rules.iter().map(|rule| (Reverse(Space::of(atom(rule)).addresses()), rule.clone())).collect();
    // Stable: what is equally wide stays in canonical order.
    rules.sort_by_key(|(width, _)| *width);
    let mut first: Vec<T> = rules.into_iter().map(|(_, rule)| rule).collect();
    let second = first.split_off(first.len() / 2);
    Some([first, second])
}
