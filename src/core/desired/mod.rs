//! From what people wrote to what is desired: parse and check everything, then look references up.
//!
//! Entry points: [`parse`] (needs nothing but the object; collects every problem with its field), then
//! [`Declaration::resolve`] (needs the ids behind the references; never fails, an unknown reference holds its rule back).
//!
//! Invariant: what the schema would refuse is refused here too, with as good a message: files and stored objects of an
//! older schema do not pass the apiserver.

mod parse;
mod peer;
mod resolve;

pub use parse::parse;
pub use resolve::{Lookup, Lookups};

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Declared, Direction, PrefixListId, Region, RuleName, RuleSet, SecurityGroupId, Tags, Traffic, VpcId};
pub use crate::api::{DeletionPolicy, EgressPolicy, Mode};

/// Most atoms a group may have in a direction: AWS's own ceiling for rules times groups on an interface.
pub const MAX_ATOMS: usize = 1000;

/// Something in a manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The field, from `spec` on: `spec.ingress[1].from[0].cidr`.
    pub path: String,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A manifest that was understood, before its references are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The object's own name: a reference to it is a reference to the group itself.
    pub name: String,
    /// Region, where the manifest names one.
    pub region: Option<Region>,
    /// The VPC.
    pub vpc: VpcId,
    /// Name of the group in EC2.
    pub group_name: String,
    /// Description of the group in EC2.
    pub description: String,
    /// Declared tags.
    pub tags: Tags,
    /// Rules in the order they stand, ingress first.
    pub rules: Vec<DeclaredRule>,
    /// What may leave when no egress rule says so.
    pub egress_policy: Option<EgressPolicy>,
    /// Enforce or observe.
    pub mode: Mode,
    /// What happens to the group when the object goes; `None` takes the default of its origin.
    pub deletion: Option<DeletionPolicy>,
}

/// One rule of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredRule {
    /// Which way.
    pub direction: Direction,
    /// Its name.
    pub name: RuleName,
    /// Its description.
    pub description: Option<String>,
    /// Its justification.
    pub justification: Option<String>,
    /// Protocol with each of its port ranges.
    pub traffic: Vec<Traffic>,
    /// The other sides.
    pub peers: Vec<DeclaredPeer>,
}

/// One peer of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredPeer {
    /// Who.
    pub who: Who,
    /// Its own description, in place of the rule's.
    pub description: Option<String>,
}

/// Who a peer is, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A range.
    Range(ipnet::IpNet),
    /// The group itself.
    This,
    /// The group of another object of the namespace.
    Object(String),
    /// A group by its id.
    Group {
        /// The id.
        id: SecurityGroupId,
        /// Its owner, where written.
        account: Option<super::model::AccountId>,
    },
    /// A prefix list by its id.
    PrefixList(PrefixListId),
}

impl Declaration {
    /// Names of the objects its rules refer to.
    pub fn references(&self) -> BTreeSet<&str> {
        let peers = self.rules.iter().flat_map(|rule| &rule.peers);
        peers
            .filter_map(|peer| match &peer.who {
                Who::Object(name) if *name != self.name => Some(name.as_str()),
                Who::Object(_) | Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) => None,
            })
            .collect()
    }
}

/// What a group should be, with every reference looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub group_name: String,
    /// Its description.
    pub description: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// Tags to keep.
    pub tags: Tags,
    /// Its rules.
    pub rules: RuleSet,
    /// Rules with a reference that is not known now, and why.
    pub held: BTreeMap<(Direction, RuleName), String>,
}

impl Desired {
    /// The owner of an atom, when it and every other rule that declares the atom are held back.
    pub fn holds_declared(&self, direction: Direction, declared: &Declared) -> Option<RuleName> {
        let all = declared.also.iter().all(|rule| self.holds(direction, rule).is_some());
        self.holds(direction, &declared.rule).filter(|_| all)
    }

    /// Some rule of a direction that is held back.
    pub fn first_held(&self, direction: Direction) -> Option<RuleName> {
        self.held.keys().find(|(held, _)| *held == direction).map(|(_, rule)| rule.clone())
    }

    /// The rule itself, when it is held back.
    pub fn holds(&self, direction: Direction, rule: &RuleName) -> Option<RuleName> {
        self.held.contains_key(&(direction, rule.clone())).then(|| rule.clone())
    }
}

/// Name of the rule that stands for `egressPolicy: AllowAll`.
pub fn egress_policy_rule() -> RuleName {
    RuleName::constant("egress-policy")
}

#[cfg(test)]
mod tests;
