//! What was read of a group in EC2: a photograph, true when it was taken.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::{AccountId, PrefixListId, RuleId, SecurityGroupId, VpcId};
use super::quota::Weight;
use super::rule::{Atom, Direction, LiveRule};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// A group without its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// EC2's id.
    pub id: SecurityGroupId,
    /// Its ARN, where EC2 told it.
    pub arn: Option<String>,
    /// The account that owns it.
    pub owner: AccountId,
    /// The VPC it was created in.
    pub vpc: VpcId,
    /// Its name, fixed at creation.
    pub name: String,
    /// Its description, fixed at creation.
    pub description: String,
    /// All tags, foreign ones too.
    pub tags: Tags,
}

/// A group to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its tags, set in the same call.
    pub tags: Tags,
}

/// A group with its rules as a listing shows them: without their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group: GroupFacts,
    /// What each live rule allows, with its description.
    pub rules: BTreeMap<Atom, Option<String>>,
}

/// A managed prefix list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixListFacts {
    /// EC2's id.
    pub id: PrefixListId,
    /// Its name: unique only for AWS's own.
    pub name: String,
    /// The account that owns it; `None` for AWS's own.
    pub owner: Option<AccountId>,
    /// What a rule that names it counts against the quota of rules.
    pub weight: Weight,
    /// Version of its content; AWS's own have none.
    pub version: Option<i64>,
}

/// A prefix list as somebody took note of it: with another version or size its content is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixListMark {
    /// Version of its content; AWS's own have none.
    pub version: Option<i64>,
    /// What a rule that names it counts against the quota of rules.
    pub entries: u32,
}

impl PrefixListFacts {
    /// What is noted of it.
    pub fn mark(&self) -> PrefixListMark {
        // A list is of one address family.
        PrefixListMark { version: self.version, entries: self.weight.ipv4.max(self.weight.ipv6) }
    }

    /// Whether it is other than it was then. A version never goes back: a read that shows an older one is stale.
    pub fn is_other_than(&self, then: PrefixListMark) -> bool {
        self.mark() != then && self.version >= then.version
    }
}

/// The VPCs other than its own in which a group can be used, each with the state of the association in EC2's word. Those that are
/// over ([`DISASSOCIATED`]) are none.
pub type VpcAssociations = BTreeMap<VpcId, String>;

/// State of an association that is over: EC2 may show it for a while.
pub const DISASSOCIATED: &str = "disassociated";

/// The stale rules of groups: what they refer to is deleted or out of reach, so that they allow nothing.
pub type StaleRules = BTreeMap<SecurityGroupId, BTreeSet<Atom>>;

/// A VPC, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcFacts {
    /// EC2's id.
    pub id: VpcId,
    /// The account that owns it; another one's, when it is shared.
    pub owner: AccountId,
    /// Whether it has an IPv6 range. EC2 then gives a new group `::/0` egress too.
    pub ipv6: bool,
}

/// A group with its rules by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The group.
    pub group: GroupFacts,
    /// Its live rules.
    pub rules: BTreeMap<RuleId, LiveRule>,
}

impl Observed {
    /// A group and its rules in any order.
    pub fn new(group: GroupFacts, rules: impl IntoIterator<Item = LiveRule>) -> Self {
        Self { group, rules: rules.into_iter().map(|rule| (rule.id.clone(), rule)).collect() }
    }

    /// The live rule of an atom. EC2 keeps at most one.
    pub fn by_atom(&self) -> BTreeMap<&Atom, &LiveRule> {
        self.rules.values().map(|rule| (&rule.atom, rule)).collect()
    }

    /// How many rules one direction has.
    pub fn count(&self, direction: Direction) -> usize {
        self.rules.values().filter(|rule| rule.atom.direction == direction).count()
    }
}
