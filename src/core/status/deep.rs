//! What only a deep sweep shows of a group: the other VPCs it can be used in, and its stale rules.
//!
//! Entry points: [`DeepView::seen_associations`], [`DeepView::seen_stale`]; [`note_association_changes`].

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{
    DriftAtom, DriftKind, DriftRecord, MAX_STALE_RULES, MAX_VOUCHED_LINE, MAX_VPC_ASSOCIATION, MAX_VPC_ASSOCIATIONS,
    SecurityGroupStatus,
};
use crate::core::model::{Atom, VpcAssociations, VpcId};

use super::drift::{Tracking, cut, note, shown};

/// What a deep sweep shows of a group, in the lines of its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeepView {
    /// `status.vpcAssociations`; `None`: not known.
    pub associations: Option<Vec<String>>,
    /// `status.staleRules`; `None`: not known.
    pub stale: Option<Vec<String>>,
}

impl DeepView {
    /// As a status remembers it.
    pub fn recorded(status: &SecurityGroupStatus) -> Self {
        Self { associations: status.vpc_associations.clone(), stale: Some(status.stale_rules.clone()) }
    }

    /// As it is with these associations. One that is being made or ended, which takes EC2 a moment, is still as it was `before`:
    /// else each edit would be told twice.
    pub fn seen_associations(&mut self, associations: &VpcAssociations, before: &[String]) {
        let before = by_vpc(before);
        let line = |(vpc, state): (&VpcId, &String)| {
            let under_way = matches!(state.as_str(), "associating" | "disassociating");
            let state = if under_way { *before.get(vpc.as_str())? } else { state };
            Some(cut(&format!("{vpc} {state}"), MAX_VPC_ASSOCIATION))
        };
        self.associations = Some(associations.iter().filter_map(line).take(MAX_VPC_ASSOCIATIONS).collect());
    }

    /// As it is with these stale rules.
    pub fn seen_stale(&mut self, rules: &BTreeSet<Atom>) {
        let line = |rule: &Atom| cut(&rule.to_string(), MAX_VOUCHED_LINE);
        self.stale = Some(rules.iter().take(MAX_STALE_RULES).map(line).collect());
    }

    /// Puts into a status what it says. That there are no associations is no news to one that says nothing of them, as those of an
    /// older release do: for it alone nothing is written.
    pub(super) fn tell(&self, status: &mut SecurityGroupStatus) {
        if let Some(stale) = &self.stale {
            status.stale_rules.clone_from(stale);
        }
        if let Some(associations) = &self.associations
            && (status.vpc_associations.is_some() || !associations.is_empty())
        {
            status.vpc_associations = Some(associations.clone());
        }
    }
}

/// The records with changes of a group's VPC associations. They are told and left alone: whether the group may be used elsewhere
/// is not declared anywhere.
pub fn note_association_changes(
    records: &[DriftRecord],
    before: &[String],
    after: &[String],
    with: Tracking<'_>,
) -> Vec<DriftRecord> {
    let (before, after) = (by_vpc(before), by_vpc(after));
    let vpcs: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let changed = vpcs.into_iter().filter(|vpc| before.get(vpc) != after.get(vpc));
    let text = |vpc: &str, state: Option<&&str>| state.map(|state| shown(&format!("association with {vpc} ({state})")));
    let atom = |vpc: &str| DriftAtom {
        kind: DriftKind::VpcAssociationChanged.into(),
        before: text(vpc, before.get(vpc)),
        after: text(vpc, after.get(vpc)),
        rule_id: None,
        rule: None,
    };
    note(records, changed.map(atom).collect(), with)
}

fn by_vpc(lines: &[String]) -> BTreeMap<&str, &str> {
    lines.iter().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect()
}
