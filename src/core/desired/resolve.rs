//! References to ids, rules to atoms.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use crate::core::model::{
    AccountId, Atom, Declared, Direction, Peer, PrefixListId, PrefixListWeights, RuleSet, SecurityGroupId, Tags, Traffic, VpcId,
};

use super::{Declaration, DeclaredPeer, DeclaredRule, Desired, EgressPolicy, Who, egress_policy_rule};

/// Kinds of objects that rules refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferentKind {
    /// A `SecurityGroup`: its group.
    SecurityGroup,
    /// A `CidrSet`: its ranges.
    CidrSet,
}

/// An object that a rule refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Referent {
    /// Its kind.
    pub kind: ReferentKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One range of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The range.
    pub net: IpNet,
    /// Its description.
    pub description: Option<String>,
    /// From when on it is no longer part of the set.
    pub expires_at: Option<Timestamp>,
}

/// What a reference turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The group of a `SecurityGroup`, and its owner where that is another account.
    Group(SecurityGroupId, Option<AccountId>),
    /// The ranges of a `CidrSet`.
    Ranges(Vec<Range>),
    /// Not known now, and why. It may become known by itself.
    Unknown(String),
    /// Known, and not for us: a grant was withdrawn, or there never was one.
    Refused(String),
}

/// What has to be known beside the manifest.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// The group's own id, once it exists.
    pub own: Option<SecurityGroupId>,
    /// The account it is in.
    pub account: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Whether its VPC has IPv6: `AllowAll` then means `::/0` too, as EC2 gives it.
    pub vpc_ipv6: bool,
    /// The objects of [`Declaration::references`].
    pub objects: BTreeMap<Referent, Lookup>,
    /// The prefix lists of [`Declaration::prefix_list_names`]: the id, or why it is not known.
    pub prefix_lists: BTreeMap<String, Result<PrefixListId, String>>,
    /// What prefix lists count against the quota of rules.
    pub weights: PrefixListWeights,
    /// Tags of the account's defaults.
    pub default_tags: Tags,
    /// Now, by EC2's clock.
    pub now: Timestamp,
    /// Expiries that were acted on before, as in `status.expired`.
    pub latched: BTreeSet<String>,
}

impl Declaration {
    /// The desired state. A rule with an unknown reference is held back as a whole and named in `held`.
    pub fn resolve(&self, lookups: &Lookups) -> Desired {
        let mut rules = RuleSet::default();
        let mut held = BTreeMap::new();
        let mut refused = BTreeMap::new();
        for rule in &self.rules {
            for peer in &rule.peers {
                match self.find(&peer.who, lookups) {
                    Found::Peers(found) => {
                        for (found, description) in found {
                            declare(&mut rules, rule, peer, &found, description);
                        }
                    }
                    Found::Unknown(why) => drop(held.insert((rule.direction, rule.name.clone()), why)),
                    Found::Refused(why) => drop(refused.insert((rule.direction, rule.name.clone()), why)),
                }
            }
        }
        if self.egress_policy == Some(EgressPolicy::AllowAll) {
            allow_all(&mut rules, lookups.vpc_ipv6);
        }
        Desired {
            group_name: self.group_name.clone(),
            description: self.description.clone(),
            vpc: lookups.vpc.clone(),
            tags: self.tags.clone(),
            rules,
            held,
            refused,
            expired: BTreeSet::new(),
            latched: BTreeSet::new(),
            next_expiry: None,
            weights: lookups.weights.clone(),
        }
    }

    fn find(&self, who: &Who, lookups: &Lookups) -> Found {
        let one = |peer| Found::Peers(vec![(peer, None)]);
        let own = || {
            lookups.own.clone().map(Peer::group).map_or_else(|| Found::Unknown("the group itself has no id yet".to_owned()), one)
        };
        match who {
            Who::Range(net) => one(range(*net)),
            Who::This => own(),
            Who::Object(referent) if self.is_itself(referent) => own(),
            Who::Object(referent) => match lookups.objects.get(referent) {
                Some(Lookup::Group(id, account)) => one(Peer::Group { id: id.clone(), account: account.clone() }),
                Some(Lookup::Ranges(ranges)) => {
                    Found::Peers(ranges.iter().map(|entry| (range(entry.net), entry.description.clone())).collect())
                }
                Some(Lookup::Unknown(why)) => Found::Unknown(why.clone()),
                Some(Lookup::Refused(why)) => Found::Refused(why.clone()),
                None => Found::Unknown(format!("{} was not looked up", referent.name)),
            },
            // The own account is left out, as EC2's canonical form has it nowhere else either.
            Who::Group { id, account } => {
                one(Peer::Group { id: id.clone(), account: account.clone().filter(|account| *account != lookups.account) })
            }
            Who::PrefixList(id) => one(Peer::PrefixList(id.clone())),
            Who::PrefixListName(name) => match lookups.prefix_lists.get(name) {
                Some(Ok(id)) => one(Peer::PrefixList(id.clone())),
                Some(Err(why)) => Found::Unknown(why.clone()),
                None => Found::Unknown(format!("prefix list {name} was not looked up")),
            },
        }
    }
}

/// What a peer stands for: peers of EC2, each with a description of its own, if it has one.
enum Found {
    Peers(Vec<(Peer, Option<String>)>),
    Unknown(String),
    Refused(String),
}

fn range(net: IpNet) -> Peer {
    match net {
        IpNet::V4(net) => Peer::ipv4(net),
        IpNet::V6(net) => Peer::ipv6(net),
    }
}

fn declare(rules: &mut RuleSet, rule: &DeclaredRule, peer: &DeclaredPeer, found: &Peer, own: Option<String>) {
    for traffic in &rule.traffic {
        let atom = Atom { direction: rule.direction, traffic: *traffic, peer: found.clone() };
        let declared = Declared {
            rule: rule.name.clone(),
            description: own.clone().or_else(|| peer.description.clone()).or_else(|| rule.description.clone()),
            justification: rule.justification.clone(),
            also: Vec::new(),
        };
        rules.declare(atom, declared);
    }
}

fn allow_all(rules: &mut RuleSet, ipv6: bool) {
    let everywhere = [Some(Peer::Ipv4(Ipv4Net::default())), ipv6.then(|| Peer::Ipv6(Ipv6Net::default()))];
    for peer in everywhere.into_iter().flatten() {
        let declared = Declared { rule: egress_policy_rule(), description: None, justification: None, also: Vec::new() };
        rules.declare(Atom { direction: Direction::Egress, traffic: Traffic::All, peer }, declared);
    }
}
