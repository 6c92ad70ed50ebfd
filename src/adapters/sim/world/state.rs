//! The stored form of everything in one account and Region, and of what lies between them.
//!
//! Entry point: [`Region`].
//!
//! Invariant: ordered maps only, so that the same calls always give the same answers.

use super::ids::{AccountId, GroupId, InterfaceId, PeeringId, PrefixListId, RegionName, RuleId, SubnetId, VpcId};
use super::rule::{Direction, Peer, Rule, RuleKey};
use super::tags::Tags;
use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// An account in a Region: the unit that EC2 keeps apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) region: RegionName,
}

impl Place {
    /// `arn:<partition>:ec2:<region>:<account>:<kind>/<id>`
    pub(crate) fn arn(&self, kind: &str, id: impl std::fmt::Display) -> String {
        format!("arn:{}:ec2:{}:{}:{kind}/{id}", partition(self.region.as_str()), self.region, self.account)
    }
}

/// The partition that a Region belongs to.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        name if name.starts_with("cn-") => "aws-cn",
        name if name.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Vpc {
    pub(crate) cidr: Ipv4Net,
    pub(crate) cidr_association: String,
    pub(crate) ipv6: Vec<(String, Ipv6Net)>,
    pub(crate) is_default: bool,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: VpcId,
    pub(crate) rules: Vec<Rule>,
    pub(crate) tags: Tags,
}

impl Group {
    pub(crate) fn is_default(&self) -> bool {
        self.name == "default"
    }

    pub(crate) fn find(&self, direction: Direction, key: &RuleKey) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.direction == direction && rule.key == *key)
    }

    pub(crate) fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    pub(crate) fn references(&self, other: &GroupId) -> bool {
        self.rules.iter().any(|rule| matches!(&rule.key.peer, Peer::Group(id) if id == other))
    }

    pub(crate) fn uses_list(&self, list: &PrefixListId) -> bool {
        self.rules.iter().any(|rule| matches!(&rule.key.peer, Peer::List(id) if id == list))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Subnet {
    pub(crate) vpc: VpcId,
    pub(crate) cidr: Ipv4Net,
    pub(crate) ipv6: Option<(String, Ipv6Net)>,
    pub(crate) zone: char,
    pub(crate) default_for_zone: bool,
    pub(crate) tags: Tags,
}

/// Who holds an interface.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) time: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) subnet: SubnetId,
    pub(crate) vpc: VpcId,
    pub(crate) description: String,
    pub(crate) kind: String,
    /// The service that made and manages it, if one did.
    pub(crate) requester: Option<String>,
    pub(crate) mac: String,
    /// The primary address and the others.
    pub(crate) address: Ipv4Addr,
    pub(crate) others: Vec<Ipv4Addr>,
    pub(crate) v6: Vec<Ipv6Addr>,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

#[derive(Debug, Clone)]
pub(crate) struct PrefixList {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// What it counts for in a group's quota: its `MaxEntries`, or the published weight of AWS's own.
    pub(crate) weight: i64,
    pub(crate) aws_owned: bool,
    pub(crate) version: i64,
    pub(crate) versions: BTreeMap<i64, BTreeMap<String, Option<String>>>,
    pub(crate) state: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) tags: Tags,
}

/// A group lent to another VPC.
#[derive(Debug, Clone)]
pub(crate) struct Association {
    pub(crate) vpc_owner: AccountId,
    pub(crate) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) place: Place,
    pub(crate) vpc: VpcId,
}

#[derive(Debug, Clone)]
pub(crate) struct Peering {
    pub(crate) requester: Side,
    pub(crate) accepter: Side,
    pub(crate) status: &'static str,
    pub(crate) tags: Tags,
}

impl Peering {
    pub(crate) fn joins(&self, one: &VpcId, other: &VpcId) -> bool {
        let (a, b) = (&self.requester.vpc, &self.accepter.vpc);
        (a == one && b == other) || (a == other && b == one)
    }
}

/// Everything of one account in one Region.
#[derive(Debug, Clone, Default)]
pub(crate) struct Region {
    pub(crate) vpcs: BTreeMap<VpcId, Vpc>,
    pub(crate) groups: BTreeMap<GroupId, Arc<Group>>,
    pub(crate) subnets: BTreeMap<SubnetId, Subnet>,
    pub(crate) interfaces: BTreeMap<InterfaceId, Interface>,
    pub(crate) lists: BTreeMap<PrefixListId, PrefixList>,
    pub(crate) associations: BTreeMap<(GroupId, VpcId), Association>,
}

impl Region {
    pub(crate) fn default_vpc(&self) -> Option<(&VpcId, &Vpc)> {
        self.vpcs.iter().find(|(_, vpc)| vpc.is_default)
    }

    /// A group of this VPC by name, ignoring case as EC2 does.
    pub(crate) fn named(&self, vpc: &VpcId, name: &str) -> Option<&Arc<Group>> {
        self.groups.values().find(|group| group.vpc == *vpc && group.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn associated(&self, group: &GroupId, vpc: &VpcId) -> bool {
        self.associations.get(&(group.clone(), vpc.clone())).is_some_and(|association| association.state == "associated")
    }
}

/// Peerings of all accounts, by id.
pub(crate) type Peerings = BTreeMap<PeeringId, Peering>;
