//! Between the model and the stand-in's own words.

use crate::adapters::sim::world::command::{GroupRef, PairInput, PermissionInput, RangeInput, RuleChange};
use crate::adapters::sim::world::ids::AccountId;
use crate::adapters::sim::world::reply::{
    AssociationView, GroupView, InterfaceView, ListView, PairView, PeerView, PermissionView, RuleView, StaleView, VpcView,
};
use crate::adapters::sim::world::tags::TagInput;
use crate::core::model::{
    Atom, DISASSOCIATED, Direction, GroupFacts, ListedGroup, LiveRule, NewRule, Peer, PrefixListFacts, RuleId, SecurityGroupId,
    Tags, Traffic, VpcFacts, VpcId, Weight,
};
use crate::ports::cloud::Interface;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

/// What a list of AWS's counts, by the end of its name; these show neither size nor version.
const WEIGHTS: &[(&str, u32)] = &[("cloudfront.origin-facing", 55), ("vpc-lattice", 10), ("groundstation", 5)];

pub(super) fn group_ref(group: &SecurityGroupId) -> GroupRef {
    GroupRef { id: Some(group.to_string()), name: None }
}

pub(super) fn tag_inputs(tags: &Tags) -> Vec<TagInput> {
    tags.iter().map(|(key, value)| TagInput { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

pub(super) fn range(value: impl Display, description: Option<&String>) -> RangeInput {
    RangeInput { value: Some(value.to_string()), description: description.cloned() }
}

/// Rules as Authorize takes them: one permission per traffic, with its peers in lists.
pub(super) fn permissions(rules: &[NewRule]) -> Vec<PermissionInput> {
    let mut by_traffic: BTreeMap<Traffic, PermissionInput> = BTreeMap::new();
    for NewRule { atom: Atom { direction: _, traffic, peer }, description } in rules {
        let (protocol, from, to) = traffic.to_ec2();
        let permission = by_traffic.entry(*traffic).or_default();
        (permission.protocol, permission.from_port, permission.to_port) = (Some(protocol), from.map(i64::from), to.map(i64::from));
        let description = description.as_ref();
        match peer {
            Peer::Ipv4(net) => permission.v4.push(range(net, description)),
            Peer::Ipv6(net) => permission.v6.push(range(net, description)),
            Peer::PrefixList(id) => permission.lists.push(range(id, description)),
            Peer::Group { id, account } => permission.groups.push(PairInput {
                group_id: Some(id.to_string()),
                group_name: None,
                user_id: account.as_ref().map(ToString::to_string),
                description: description.cloned(),
            }),
        }
    }
    by_traffic.into_values().collect()
}

/// What a rule is to become, every field of it.
pub(super) fn change(id: &RuleId, rule: &NewRule) -> RuleChange {
    let NewRule { atom: Atom { direction: _, traffic, peer }, description } = rule;
    let (protocol, from, to) = traffic.to_ec2();
    let mut change = RuleChange {
        rule_id: Some(id.to_string()),
        protocol: Some(protocol),
        from_port: from.map(i64::from),
        to_port: to.map(i64::from),
        description: description.clone(),
        ..RuleChange::default()
    };
    match peer {
        Peer::Ipv4(net) => change.v4 = Some(net.to_string()),
        Peer::Ipv6(net) => change.v6 = Some(net.to_string()),
        Peer::PrefixList(id) => change.list = Some(id.to_string()),
        Peer::Group { id, account: _ } => change.group = Some(id.to_string()),
    }
    change
}

/// What parses, or why it does not.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("{text}: {error}"))
}

fn group_peer(pair: &PairView, owner: &str) -> Result<Peer, String> {
    let foreign = pair.user.as_ref().map(AccountId::as_str).filter(|user| *user != owner);
    Ok(Peer::Group { id: parsed(pair.group.as_str())?, account: foreign.map(parsed).transpose()? })
}

pub(super) fn live_rule(row: &RuleView) -> Result<LiveRule, String> {
    let direction = if row.egress { Direction::Egress } else { Direction::Ingress };
    let traffic = Traffic::from_ec2(&row.protocol, Some(row.from), Some(row.to)).map_err(|error| format!("{}: {error}", row.id))?;
    let peer = match &row.peer {
        PeerView::V4(net) => Peer::ipv4(parsed(net)?),
        PeerView::V6(net) => Peer::ipv6(parsed(net)?),
        PeerView::List(id) => Peer::PrefixList(parsed(id.as_str())?),
        PeerView::Group(pair) => group_peer(pair, row.owner.as_str())?,
    };
    Ok(LiveRule { id: parsed(&row.id.to_string())?, atom: Atom { direction, traffic, peer }, description: row.description.clone() })
}

/// A rule and the group it is of.
pub(super) fn rule_of(row: &RuleView) -> Result<(SecurityGroupId, LiveRule), String> {
    Ok((parsed(row.group.as_str())?, live_rule(row)?))
}

/// A group with its permissions taken apart.
pub(super) fn listed(row: &GroupView) -> Result<ListedGroup, String> {
    let group = GroupFacts {
        id: parsed(row.id.as_str())?,
        arn: Some(row.arn.clone()),
        owner: parsed(row.owner.as_str())?,
        vpc: parsed(row.vpc.as_str())?,
        name: row.name.clone(),
        description: row.description.clone(),
        tags: row.tags.iter().cloned().collect(),
    };
    let rules = atoms([(Direction::Ingress, &row.ingress), (Direction::Egress, &row.egress)], row.owner.as_str())
        .map_err(|error| format!("{}: {error}", group.id))?;
    Ok(ListedGroup { group, rules })
}

/// Permissions taken apart: what each rule allows, with its description.
fn atoms(all: [(Direction, &Vec<PermissionView>); 2], owner: &str) -> Result<BTreeMap<Atom, Option<String>>, String> {
    let mut rules = BTreeMap::new();
    for (direction, permissions) in all {
        for PermissionView { protocol, ports, v4, v6, lists, groups } in permissions {
            let (from, to) = ports.unzip();
            let traffic = Traffic::from_ec2(protocol, from, to).map_err(|error| error.to_string())?;
            let mut add = |peer, description: &Option<String>| {
                rules.insert(Atom { direction, traffic, peer }, description.clone());
            };
            for (net, description) in v4 {
                add(Peer::ipv4(parsed(net)?), description);
            }
            for (net, description) in v6 {
                add(Peer::ipv6(parsed(net)?), description);
            }
            for (list, description) in lists {
                add(Peer::PrefixList(parsed(list)?), description);
            }
            for (pair, description) in groups {
                add(group_peer(pair, owner)?, description);
            }
        }
    }
    Ok(rules)
}

/// A group and its stale rules.
pub(super) fn stale(row: &StaleView, owner: &str) -> Result<(SecurityGroupId, BTreeSet<Atom>), String> {
    let rules = atoms([(Direction::Ingress, &row.ingress), (Direction::Egress, &row.egress)], owner)
        .map_err(|error| format!("{}: {error}", row.group))?;
    Ok((parsed(row.group.as_str())?, rules.into_keys().collect()))
}

/// A group, another VPC it can be used in, and how far that is; `None`: it is over.
pub(super) fn association(row: &AssociationView) -> Result<Option<(SecurityGroupId, VpcId, String)>, String> {
    let AssociationView { group, group_owner: _, vpc, vpc_owner: _, state } = row;
    let association = (parsed(group.as_str())?, parsed(vpc.as_str())?, (*state).to_owned());
    Ok(Some(association).filter(|_| *state != DISASSOCIATED))
}

/// A VPC and its tags.
pub(super) fn vpc(row: &VpcView) -> Result<(VpcFacts, Tags), String> {
    let facts = VpcFacts { id: parsed(row.id.as_str())?, owner: parsed(row.owner.as_str())?, ipv6: !row.ipv6.is_empty() };
    Ok((facts, row.tags.iter().cloned().collect()))
}

pub(super) fn prefix_list(row: &ListView) -> Result<PrefixListFacts, String> {
    let aws = row.owner == "AWS";
    let published = WEIGHTS.iter().find(|(end, _)| row.name.ends_with(end)).map_or(1, |(_, weight)| *weight);
    let size = row.max_entries.map(|entries| u32::try_from(entries).map_err(|error| format!("{}: {error}", row.id))).transpose()?;
    let entries = if aws { published } else { size.ok_or_else(|| format!("{} has no size", row.id))? };
    Ok(PrefixListFacts {
        id: parsed(row.id.as_str())?,
        name: row.name.clone(),
        owner: if aws { None } else { Some(parsed(&row.owner)?) },
        weight: if row.family == "IPv6" { Weight { ipv4: 0, ipv6: entries } } else { Weight { ipv4: entries, ipv6: 0 } },
        version: row.version,
    })
}

pub(super) fn interface(row: &InterfaceView) -> Interface {
    let instance = row.attachment.as_ref().and_then(|attachment| attachment.instance.as_ref());
    Interface { id: row.id.clone(), used_by: instance.unwrap_or(&row.description).clone() }
}
