//! What is live in a group, as far as its status tells: the rules sgwarden vouches for, and what it found beside them.

use std::collections::BTreeMap;

use crate::api::{DriftAtom, DriftRecord, SecurityGroup};
use crate::core::activity::presentable;
use crate::core::desired::egress_policy_rule;
use crate::core::model::{Atom, Direction, RuleName, Traffic, Vouched};

use super::permission::peer;
use super::question::Family;

/// Where a live rule comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A declared rule.
    Rule(RuleName),
    /// Somebody's edit: the drift record, and who, where that is known.
    Edit { drift: String, by: Option<String> },
}

/// Everything that is live, or why that cannot be told.
pub(super) fn live(object: &SecurityGroup) -> Result<BTreeMap<Atom, Origin>, String> {
    let Some(status) = &object.status else { return Err("it has no status".to_owned()) };
    let Some(lines) = &status.rules else { return Err("its status lists no rules yet".to_owned()) };
    let vouched = Vouched::from_lines(lines.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    // A rule without an id is one that was about to be authorized: nobody has seen it yet.
    let seen = vouched.iter().filter(|(_, rule)| rule.id.is_some());
    let mut live: BTreeMap<Atom, Origin> = seen.map(|(atom, rule)| (atom.clone(), Origin::Rule(rule.rule.clone()))).collect();
    live.extend(not_there_to_be_let_out(&vouched));
    // The oldest first: of two edits of one rule the newer is the one that holds.
    for record in status.drift.iter().rev().filter(|record| record.resolved_at.is_none()) {
        if record.unlisted.is_some() {
            return Err(format!("drift {} is more than its record lists", presentable(&record.id)));
        }
        for DriftAtom { kind: _, before, after, rule_id: _, rule: _ } in &record.atoms {
            if let Some(atom) = before.as_deref().and_then(read) {
                live.remove(&atom);
            }
            if let Some(atom) = after.as_deref().and_then(read) {
                live.entry(atom).or_insert_with(|| edit(record));
            }
        }
    }
    Ok(live)
}

/// In a VPC without IPv6, `egressPolicy: AllowAll` is the rule for IPv4 alone. It lets out whoever is there all the same.
fn not_there_to_be_let_out(vouched: &Vouched) -> Option<(Atom, Origin)> {
    let everybody = |family: Family| {
        let atom = Atom { direction: Direction::Egress, traffic: Traffic::All, peer: peer(family.everybody()) };
        (vouched.get(&atom).cloned(), atom)
    };
    let ((ipv4, _), (ipv6, atom)) = (everybody(Family::Ipv4), everybody(Family::Ipv6));
    let rule = ipv4.filter(|rule| rule.id.is_some() && rule.rule == egress_policy_rule() && ipv6.is_none())?.rule;
    Some((atom, Origin::Rule(rule)))
}

fn edit(record: &DriftRecord) -> Origin {
    let by = record.actor.as_ref().and_then(|actor| actor.name.as_deref()).map(presentable);
    Origin::Edit { drift: presentable(&record.id), by }
}

/// The rule in a text that may have its description behind it.
fn read(text: &str) -> Option<Atom> {
    let rule = text.split_once(" \"").map_or(text, |(rule, _)| rule);
    rule.parse().ok()
}
