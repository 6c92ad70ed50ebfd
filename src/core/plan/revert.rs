//! The plan of a group whose manifest cannot be used: what was vouched for stays what is desired (DESIGN §2.1).

use std::collections::BTreeMap;

use crate::core::desired::Desired;
use crate::core::model::{Declared, Observed, RuleSet, Tags, Vouched};

use super::ownership::{Owner, Ownership};
use super::report::Report;
use super::step::Plan;
use super::{PlanInput, plan};

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
    }
}

/// Plans the revert of unauthorized edits, in the same order and with the same care as any plan: an error in the manifest must
/// neither hold a door open nor cut traffic. Without a baseline there is nothing to go by, and nothing is done.
pub fn plan_reverts(owner: &Owner, observed: &Observed, vouched: Option<&Vouched>, tags: Option<&Tags>) -> (Plan, Report) {
    let none = Tags::new();
    let empty = Vouched::default();
    let desired = last_good(observed, vouched.unwrap_or(&empty), tags.unwrap_or(&none));
    let input = PlanInput {
        owner,
        desired: &desired,
        observed: Some(observed),
        vouched,
        applied_tags: Some(tags.unwrap_or(&none)),
        recorded: Some(&observed.group.id),
    };
    let (planned, mut report) = plan(input);
    let ours = matches!(report.ownership, Some(Ownership::Ours | Ownership::Reclaimed { former_uid: _ } | Ownership::Stripped));
    if vouched.is_none() || !ours {
        report.differences.clear();
        return (Plan { group: Some(observed.group.id.clone()), steps: Vec::new() }, report);
    }
    (planned, report)
}
