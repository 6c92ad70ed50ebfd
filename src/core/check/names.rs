//! What there may be once: a group's name in its VPC, and the group that an object takes over.

use std::collections::BTreeMap;

use crate::core::desired::{DeclaredAdoption, DeclaredVpc, Referent};

use super::Findings;
use super::set::{Group, Set};

pub(super) fn judge(set: &Set<'_>, findings: &mut Findings) {
    let mut names: BTreeMap<Vec<String>, &Referent> = BTreeMap::new();
    let mut adopted: BTreeMap<String, &Referent> = BTreeMap::new();
    for group in &set.groups {
        let Some(declaration) = &group.declaration else { continue };
        if let Some(DeclaredAdoption::Group(id)) = &declaration.adopt {
            let first = adopted.entry(id.to_string()).or_insert(&group.name);
            if **first != group.name {
                let message = format!("{first} takes over {id} already: a group has one owner, remove one of the two");
                findings.error(group.number, "spec.adopt.groupId", message);
            }
        }
        let Some(place) = place(set, group, &declaration.vpc) else { continue };
        let key = [place, vec![declaration.group_name.clone()]].concat();
        let first = names.entry(key).or_insert(&group.name);
        // One object that is declared twice has been told already.
        if **first != group.name {
            let message = format!(
                "{first} is called '{}' in EC2 too, and a VPC has a name once: write another groupName for one of them",
                declaration.group_name
            );
            findings.error(group.number, "spec.groupName", message);
        }
    }
}

/// The VPC of a group, as far as two manifests mean the same one for sure.
fn place(set: &Set<'_>, group: &Group<'_>, vpc: &DeclaredVpc) -> Option<Vec<String>> {
    match vpc {
        // An id is nobody else's.
        DeclaredVpc::Id(id) => Some(vec![id.to_string()]),
        DeclaredVpc::Tagged(tags) => {
            let mut place = vec![set.account_name(group)?, set.region(group)?.to_string()];
            place.extend(tags.iter().map(|(key, value)| format!("{key}={value}")));
            Some(place)
        }
    }
}
