//! Plans that delete a group.

use std::collections::BTreeSet;

use crate::core::model::{Direction, Observed, Peer, SecurityGroupId};

use super::cause::Cause;
use super::step::{Plan, Purpose, RULES_PER_CALL, Revocation, Step};

/// Plans the deletion of a group that is ours. EC2 drops the rules with the group, so none is revoked first: a deletion that
/// is refused must leave the traffic of whoever still uses the group alone.
pub fn plan_deletion(observed: &Observed) -> Plan {
    Plan { group: Some(observed.group.id.clone()), steps: vec![Step::DeleteGroup], ..Plan::default() }
}

/// Plans the deletion of a group that is held by nothing but rules among groups that all go: its own to itself and those of
/// `partners`, which are all groups that refer to it, to those, and so on. Its rules to them and to itself go first, as theirs
/// among each other do. Only where none of them has an interface, so that these rules allow nobody anything.
pub fn plan_deletion_of_cycle(observed: &Observed, partners: &BTreeSet<SecurityGroupId>) -> Plan {
    let id = &observed.group.id;
    let in_cycle = |peer: &Peer| matches!(peer, Peer::Group { id: peer, account: None } if peer == id || partners.contains(peer));
    let mut steps = Vec::new();
    for direction in Direction::BOTH {
        let rows = observed.rules.values().filter(|rule| rule.atom.direction == direction && in_cycle(&rule.atom.peer));
        let rules: Vec<Revocation> =
            rows.map(|live| Revocation { live: live.clone(), cause: Cause::Deletion, rule: None }).collect();
        let calls = rules.chunks(RULES_PER_CALL);
        steps.extend(calls.map(|chunk| Step::Revoke { direction, purpose: Purpose::Deletion, rules: chunk.to_vec() }));
    }
    steps.push(Step::DeleteGroup);
    Plan { group: Some(id.clone()), steps, ..Plan::default() }
}
