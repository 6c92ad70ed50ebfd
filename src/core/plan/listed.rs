//! Whether a listing, which has no ids of rules, shows a group just as it is to be.

use std::collections::BTreeMap;

use crate::core::desired::Desired;
use crate::core::model::{DescriptionHash, ListedGroup, Tags, Vouched};

use super::ownership::Owner;

/// Whether nothing would differ, as far as a listing tells: the marks of ownership, the tags, every rule with its description,
/// and the set we vouch for to the line.
pub fn is_as_listed(
    owner: &Owner,
    origin: &str,
    desired: &Desired,
    vouched: &Vouched,
    applied_tags: Option<&Tags>,
    listed: &ListedGroup,
) -> bool {
    let ListedGroup { group, rules } = listed;
    let has = |(key, value): (&String, &String)| group.tags.get(key) == Some(value);
    let wanted: BTreeMap<_, _> = desired.rules.iter().map(|(atom, declared)| (atom, declared.description.as_deref())).collect();
    let live: BTreeMap<_, _> = rules.iter().map(|(atom, description)| (atom, description.as_deref())).collect();
    let all_known = desired.rules.iter().all(|(atom, declared)| {
        vouched.get(atom).is_some_and(|known| {
            let described = known.describing.is_none() && known.description == DescriptionHash::of(declared.description.as_deref());
            known.id.is_some() && known.rule == declared.rule && described
        })
    });
    owner.tags(origin).iter().all(has)
        && desired.tags.iter().all(has)
        && applied_tags == Some(&desired.tags)
        && wanted == live
        && all_known
        && vouched.len() == wanted.len()
}
