//! Plans that delete a group.

use crate::core::model::{Direction, Observed, Peer};

use super::report::Cause;
use super::step::{Plan, Purpose, RULES_PER_CALL, Revocation, Step};

/// Plans the deletion of a group that is ours. EC2 drops the rules with the group, so none is revoked first: a deletion that
/// is refused must leave the traffic of whoever still uses the group alone.
pub fn plan_deletion(observed: &Observed) -> Plan {
    Plan { group: Some(observed.group.id.clone()), steps: vec![Step::DeleteGroup] }
}

/// Plans the deletion of a group that nothing holds but its own rules: those that refer to the group itself go first. Only for
/// a group without interfaces, where they allow nobody anything. `None` when there are no such rules.
pub fn plan_deletion_of_self_referring(observed: &Observed) -> Option<Plan> {
    let own = Peer::group(observed.group.id.clone());
    let mut steps = Vec::new();
    for direction in Direction::BOTH {
        let to_itself = observed.rules.values().filter(|rule| rule.atom.direction == direction && rule.atom.peer == own);
        let rules: Vec<Revocation> =
            to_itself.map(|live| Revocation { live: live.clone(), cause: Cause::Deletion, rule: None }).collect();
        let calls = rules.chunks(RULES_PER_CALL);
        steps.extend(calls.map(|chunk| Step::Revoke { direction, purpose: Purpose::Deletion, rules: chunk.to_vec() }));
    }
    if steps.is_empty() {
        return None;
    }
    steps.push(Step::DeleteGroup);
    Some(Plan { group: Some(observed.group.id.clone()), steps })
}
