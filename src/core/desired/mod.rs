//! From what people wrote to what is desired and allowed: parse and check everything, then look references up.
//!
//! Entry points, all pure:
//! - of a `SecurityGroup`: [`parse`] (needs nothing but the object; collects every problem with its field), then
//!   [`Declaration::resolve`] (needs what is behind the references; never fails: what is unknown, refused, expired or too large
//!   is said in [`Desired`]), and [`suspend_of`] and [`approval_of`] for its annotations;
//! - of a `CidrSet`: [`parse_cidr_set`]; of an `AwsAccount`: [`parse_account`]; of a `Notifier`:
//!   [`parse_notifier`];
//! - who may: [`Account::admits`], [`may_refer`], [`policy`]; for how long: [`suspension`]; which prefix list a name means:
//!   [`behind`].
//!
//! Invariant: what the schema would refuse is refused here too, with as good a message: files and stored objects of an
//! older schema do not pass the apiserver.
//! Invariant: what has expired once stays expired while the manifest says the same, also when a clock is set back (`expiry`).
//! Invariant: what cannot be understood allows nothing.

mod account;
mod annotations;
mod cidr_set;
mod enforcement;
mod expiry;
mod grants;
mod namespaces;
mod parse;
mod parse_account;
mod peer;
mod pins;
mod policy;
mod problem;
mod recipient;
mod resolve;
mod rules;
mod suspension;
mod text;

pub use account::{
    Account, AccountRole, Ceiling, DEFAULT_SETTLE, DEFAULT_SWEEP_INTERVAL, Defaults, Limits, MassLimit, NamespaceRule, QueueAddress,
};
pub use annotations::{approval_of, suspend_of};
pub use cidr_set::parse_cidr_set;
pub use enforcement::enforcement_of;
pub use grants::may_refer;
pub use namespaces::Selector;
pub use parse::parse;
pub use parse_account::parse_account;
pub use pins::{pin_lines, pinned_prefix_lists};
pub use policy::{Policy, Suspension, Toleration, policy};
pub use problem::Problem;
pub use recipient::{Filter, Namespaces, Rate, Recipient, Sink, Wanted, parse_notifier};
pub use resolve::{Lookup, Lookups, Range, Referent, ReferentKind};
pub use suspension::{SUSPENSION_MEMORY, Suspended, suspension};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::model::{
    Declared, Direction, PrefixListId, PrefixListWeights, Region, RuleName, RuleSet, SecurityGroupId, Tags, Traffic, VpcId,
};
pub use crate::api::{Approval, DeletionPolicy, EgressPolicy, Mode, UndeclaredRules};

/// Most atoms a group may have in a direction: AWS's own ceiling for rules times groups on an interface.
pub const MAX_ATOMS: usize = 1000;

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
    /// Break-glass: of the spec or the annotation, the one with the later end ([`suspend_of`]).
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
    /// Rules with a reference that is not known now, or that cannot be used as it is, and why.
    pub held: BTreeMap<(Direction, RuleName), String>,
    /// Rules with a reference that is refused, and why: what it allowed is removed, as a change. A rule may be held besides;
    /// then what it allowed waits, for nobody can tell which of it is whose.
    pub refused: BTreeMap<(Direction, RuleName), String>,
    /// Rules of which a part, or all, has expired: what that allowed is removed, as a change.
    pub expired: BTreeSet<(Direction, RuleName)>,
    /// Rules of which a part, or all, is going to expire, and when that begins.
    pub expiring: BTreeMap<(Direction, RuleName), Timestamp>,
    /// Expiries that were acted on, for `status.expired`, at most [`crate::api::MAX_EXPIRED`] lines: `<direction> <rule>
    /// <time>` of a rule, `<direction> <rule> ranges <time>` of the ranges of sets it uses.
    pub latched: BTreeSet<String>,
    /// When the next rule or range expires: a pass has to come then.
    pub next_expiry: Option<Timestamp>,
    /// More than EC2 takes, which shows only with the references looked up: the manifest cannot be used, as if [`parse`] had
    /// said so. `rules` is a part of them then. Whoever plans all the same changes nothing: everything is held.
    pub too_large: Option<Problem>,
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
        let held = self.held.keys().find(|(held, _)| *held == direction).map(|(_, rule)| rule.clone());
        held.or_else(|| self.too_large.as_ref().map(|_| egress_policy_rule()))
    }

    /// The rule itself, when it is held back.
    pub fn holds(&self, direction: Direction, rule: &RuleName) -> Option<RuleName> {
        let held = self.too_large.is_some() || self.held.contains_key(&(direction, rule.clone()));
        held.then(|| rule.clone())
    }
}

/// Name of the rule that stands for `egressPolicy: AllowAll`.
pub fn egress_policy_rule() -> RuleName {
    RuleName::constant("egress-policy")
}

#[cfg(test)]
mod tests;
