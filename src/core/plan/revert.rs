//! The plan of a group whose manifest cannot be used: what was vouched for stays what is desired (DESIGN §2.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::core::desired::Desired;
use crate::core::model::{Declared, Observed, PrefixListWeights, RuleSet, Tags, Vouched};

use super::ownership::{Owner, Ownership};
use super::report::Report;
use super::step::Plan;
use super::{PlanInput, Restraint, check, plan};

/// The desired state of the last manifest that could be used, as far as it is known: the vouched rules and the applied tags.
/// Of descriptions only digests are known, so rows keep the text they have.
fn last_good(observed: &Observed, vouched: &Vouched, tags: &Tags) -> Desired {
    let live = observed.by_atom();
    let mut rules = RuleSet::default();
    for (atom, known) in vouched.iter() {
        let row = live.get(atom).copied().or_else(|| known.id.as_ref().and_then(|id| observed.rules.get(id)));
        // An intent that never became live was not in force: nothing rests on it.
        if known.id.is_none() && row.is_none() {
            continue;
        }
        // The row became what we meant it to become: that line stands for it, this one is of yesterday.
        if row.is_some_and(|row| row.atom != *atom && vouched.get(&row.atom).is_some()) {
            continue;
        }
        let description = row.and_then(|row| row.description.clone());
        let declared = Declared { rule: known.rule.clone(), description, justification: None, also: Vec::new() };
        rules.declare(atom.clone(), declared);
    }
    Desired {
        group_name: observed.group.name.clone(),
        description: observed.group.description.clone(),
        vpc: observed.group.vpc.clone(),
        tags: tags.clone(),
        rules,
        held: BTreeMap::new(),
        refused: BTreeMap::new(),
        expired: BTreeSet::new(),
        latched: BTreeSet::new(),
        next_expiry: None,
        expiring: BTreeMap::new(),
        too_large: None,
        weights: PrefixListWeights::new(),
    }
}

/// Plans the revert of unauthorized edits, in the same order and with the same care as any plan: an error in the manifest must
/// neither hold a door open nor cut traffic. Without a baseline there is nothing to go by, and nothing is done.
/// `restraint` as far as it is known: what was left alone under the last usable manifest stays so, and what is suspended too.
pub fn plan_reverts(
    owner: &Owner,
    observed: &Observed,
    vouched: Option<&Vouched>,
    tags: Option<&Tags>,
    origin: &str,
    restraint: &Restraint,
) -> (Plan, Report) {
    let none = Tags::new();
    let empty = Vouched::default();
    let desired = last_good(observed, vouched.unwrap_or(&empty), tags.unwrap_or(&none));
    let input = PlanInput {
        owner,
        desired: &desired,
        observed: Some(observed),
        vouched,
        applied_tags: Some(tags.unwrap_or(&none)),
        tags_begun: None,
        recorded: Some(&observed.group.id),
        restraint,
        same_spec: true,
        status_is_ours: true,
        origin,
    };
    let (planned, mut report) = plan(input);
    let ours = matches!(report.ownership, Some(Ownership::Ours | Ownership::Reclaimed { former_uid: _ } | Ownership::Stripped));
    if vouched.is_none() || !ours || !check(input, &planned).is_empty() {
        report.differences.clear();
        return (Plan { group: Some(observed.group.id.clone()), ..Plan::default() }, report);
    }
    (planned, report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{DescriptionHash, GroupFacts, LiveRule, VouchedRule};

    fn owner() -> Owner {
        Owner { cluster: "c1".into(), namespace: "shop".into(), name: "web".into(), uid: "u1".into(), former: vec![] }
    }

    fn observed(rows: &[(&str, &str)]) -> Observed {
        let group = GroupFacts {
            id: "sg-0a1b2c3d".parse().unwrap(),
            arn: None,
            owner: "111122223333".parse().unwrap(),
            vpc: "vpc-0a1b2c3d".parse().unwrap(),
            name: "web".into(),
            description: "web".into(),
            tags: owner().tags("Created"),
        };
        let row = |(id, atom): &(&str, &str)| LiveRule { id: id.parse().unwrap(), atom: atom.parse().unwrap(), description: None };
        Observed::new(group, rows.iter().map(row))
    }

    fn vouched(lines: &[(Option<&str>, &str)]) -> Vouched {
        let mut set = Vouched::default();
        for (id, atom) in lines {
            let id = id.map(|id| id.parse().unwrap());
            let rule = VouchedRule { id, rule: "a".parse().unwrap(), description: DescriptionHash::of(None), describing: None };
            set.insert(atom.parse().unwrap(), rule);
        }
        set
    }

    const ROW: &str = "sgr-0a1b2c3d4e5f67890";

    #[test]
    fn a_rule_we_changed_ourselves_just_before_is_not_taken_back() {
        // The change in place was made, its status not written: the old line has the row's id, the new one is an intent.
        let vouched = vouched(&[(Some(ROW), "ingress tcp 22 from 0.0.0.0/0"), (None, "ingress tcp 22 from 10.0.0.0/8")]);
        let observed = observed(&[(ROW, "ingress tcp 22 from 10.0.0.0/8")]);
        let (plan, report) = plan_reverts(&owner(), &observed, Some(&vouched), None, "Created", &Restraint::default());
        assert!(plan.is_empty() && report.differences.is_empty(), "{plan:?} {report:?}");
    }

    #[test]
    fn traffic_that_rests_on_an_addition_is_restored_before_it_goes() {
        let vouched = vouched(&[(Some(ROW), "ingress tcp 443 from 10.0.0.0/8")]);
        let observed = observed(&[("sgr-0a1b2c3d4e5f67891", "ingress tcp 443 from 0.0.0.0/0")]);
        let (plan, _) = plan_reverts(&owner(), &observed, Some(&vouched), None, "Created", &Restraint::default());
        assert_eq!(super::super::summary(&plan), "authorize 1 → revoke 1 (drift)");
    }

    #[test]
    fn without_a_baseline_nothing_is_done() {
        let observed = observed(&[(ROW, "ingress tcp 22 from 0.0.0.0/0")]);
        assert!(plan_reverts(&owner(), &observed, None, None, "Created", &Restraint::default()).0.is_empty());
    }
}
