//! From what people wrote to what is desired: parse and check everything, then look references up.
//!
//! Entry points: [`parse`] (needs nothing but the object; collects every problem with its field), then
//! [`Declaration::resolve`] (needs the ids behind the references; never fails, an unknown reference holds its rule back).
//!
//! Invariant: what the schema would refuse is refused here too, with as good a message: files and stored objects of an
//! older schema do not pass the apiserver.

mod parse;
mod peer;
mod policy;
mod resolve;

pub use parse::parse;
pub use policy::{Policy, Suspension, Toleration};
pub use resolve::{Lookup, Lookups, Range, Referent, ReferentKind};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::model::{
    Declared, Direction, PrefixListId, PrefixListWeights, Region, RuleName, RuleSet, SecurityGroupId, Tags, Traffic, VpcId,
};
pub use crate::api::{Approval, DeletionPolicy, EgressPolicy, Mode, UndeclaredRules};

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
    /// The object's own namespace.
    pub namespace: String,
    /// The object's own name: a reference to it is a reference to the group itself.
    pub name: String,
    /// The account, where the manifest names one.
    pub account: Option<String>,
    /// Region, where the manifest names one.
    pub region: Option<Region>,
    /// The VPC.
    pub vpc: DeclaredVpc,
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
    /// What the manifest says of enforcement; the account may limit it and fill it up.
    pub enforcement: DeclaredEnforcement,
    /// The existing group to take over.
    pub adopt: Option<DeclaredAdoption>,
    /// What happens to the group when the object goes; `None` takes the default of its origin.
    pub deletion: Option<DeletionPolicy>,
}

/// The VPC as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredVpc {
    /// By its id.
    Id(VpcId),
    /// By tags; a name is the tag `Name`.
    Tagged(Tags),
}

/// What a manifest says of enforcement; `None` leaves it to the account's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredEnforcement {
    /// Enforce or observe.
    pub mode: Option<Mode>,
    /// What becomes of undeclared rules.
    pub undeclared: Option<UndeclaredRules>,
    /// Undeclared rules that stay.
    pub tolerate: Vec<Toleration>,
    /// Break-glass.
    pub suspend: Option<Suspension>,
    /// Whether changes wait.
    pub approval: Option<Approval>,
}

/// An existing group to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredAdoption {
    /// The group by its id.
    Group(SecurityGroupId),
    /// The group of the VPC with the declared name.
    ByName,
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
    /// From when on it is no longer desired.
    pub expires_at: Option<Timestamp>,
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
    /// Another object: the group of one, or the ranges of a set.
    Object(Referent),
    /// A group by its id.
    Group {
        /// The id.
        id: SecurityGroupId,
        /// Its owner, where written.
        account: Option<super::model::AccountId>,
    },
    /// A prefix list by its id.
    PrefixList(PrefixListId),
    /// A prefix list by its name.
    PrefixListName(String),
}

impl Declaration {
    /// The other objects its rules refer to.
    pub fn references(&self) -> BTreeSet<&Referent> {
        self.peers()
            .filter_map(|peer| match &peer.who {
                Who::Object(referent) if !self.is_itself(referent) => Some(referent),
                Who::Object(_)
                | Who::Range(_)
                | Who::This
                | Who::Group { id: _, account: _ }
                | Who::PrefixList(_)
                | Who::PrefixListName(_) => None,
            })
            .collect()
    }

    /// The names of prefix lists its rules use.
    pub fn prefix_list_names(&self) -> BTreeSet<&str> {
        self.peers()
            .filter_map(|peer| match &peer.who {
                Who::PrefixListName(name) => Some(name.as_str()),
                Who::Object(_) | Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) => None,
            })
            .collect()
    }

    /// The ids of prefix lists its rules use.
    pub fn prefix_lists(&self) -> BTreeSet<&PrefixListId> {
        self.peers()
            .filter_map(|peer| match &peer.who {
                Who::PrefixList(id) => Some(id),
                Who::Object(_) | Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixListName(_) => None,
            })
            .collect()
    }

    fn peers(&self) -> impl Iterator<Item = &DeclaredPeer> {
        self.rules.iter().flat_map(|rule| &rule.peers)
    }

    fn is_itself(&self, referent: &Referent) -> bool {
        let Referent { kind, namespace, name } = referent;
        *kind == ReferentKind::SecurityGroup && *namespace == self.namespace && *name == self.name
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
    /// Rules with a reference that is refused, and why: what it allowed is removed, as a change.
    pub refused: BTreeMap<(Direction, RuleName), String>,
    /// Rules of which a part, or all, has expired: what that allowed is removed, as a change.
    pub expired: BTreeSet<(Direction, RuleName)>,
    /// Expiries that were acted on, for `status.expired`.
    pub latched: BTreeSet<String>,
    /// When the next rule or range expires.
    pub next_expiry: Option<Timestamp>,
    /// What prefix lists count against the quota of rules.
    pub weights: PrefixListWeights,
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
