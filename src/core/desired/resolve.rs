//! References to ids, rules to atoms.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use crate::api::MAX_TAGS;
use crate::core::model::{
    AccountId, Atom, Declared, Direction, Peer, PrefixListId, PrefixListWeights, RuleName, RuleSet, SecurityGroupId, Tags, Traffic,
    VpcId,
};

use super::expiry::Expiries;
use super::parse::is_reserved;
use super::{Declaration, DeclaredPeer, DeclaredRule, Desired, EgressPolicy, MAX_ATOMS, Problem, Who, egress_policy_rule};

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
    /// The ranges of a `CidrSet`, expired ones too.
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
    /// The desired state. It never fails; what cannot be done is said in it:
    /// - a rule with an unknown reference is in `held`, and what is known of it is desired all the same;
    /// - a rule with a refused one is in `refused`, and desired without what that would have been;
    /// - a rule for ICMP of one address family, with a range of the other from a set, is in `held`: leaving the range out would
    ///   be a hole nobody sees, and the apiserver refuses the same range when it stands in the rule;
    /// - what has expired is not desired, and said in `expired`;
    /// - what is more than EC2 takes is `too_large`.
    pub fn resolve(&self, lookups: &Lookups) -> Desired {
        let mut resolving = Resolving {
            declaration: self,
            lookups,
            expiries: Expiries::new(lookups.now, &lookups.latched),
            rules: RuleSet::default(),
            count: BTreeMap::new(),
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            too_large: None,
        };
        for rule in &self.rules {
            resolving.rule(rule);
        }
        if self.egress_policy == Some(EgressPolicy::AllowAll) {
            allow_all(&mut resolving.rules, lookups.vpc_ipv6);
        }
        let (tags, too_many) = self.tags(&lookups.default_tags);
        let Resolving { declaration: _, lookups: _, expiries, rules, count: _, held, refused, too_large } = resolving;
        Desired {
            group_name: self.group_name.clone(),
            description: self.description.clone(),
            vpc: lookups.vpc.clone(),
            tags,
            rules,
            held,
            refused,
            latched: expiries.latched(),
            next_expiry: expiries.expiring.values().min().copied(),
            expiring: expiries.expiring,
            expired: expiries.expired,
            too_large: too_large.or(too_many),
            weights: lookups.weights.clone(),
        }
    }

    /// The tags with the account's defaults, where the manifest does not say otherwise.
    fn tags(&self, defaults: &Tags) -> (Tags, Option<Problem>) {
        let mut tags: Tags = defaults.iter().filter(|(key, _)| !is_reserved(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        tags.extend(self.tags.clone());
        let problem = (tags.len() > MAX_TAGS).then(|| Problem {
            path: "spec.tags".to_owned(),
            message: format!(
                "{} tags, with those that the account gives every group, are more than {MAX_TAGS}: remove some, or ask for fewer in the account",
                tags.len()
            ),
        });
        (tags, problem)
    }
}

/// A desired state in the making.
struct Resolving<'a> {
    declaration: &'a Declaration,
    lookups: &'a Lookups,
    expiries: Expiries<'a>,
    rules: RuleSet,
    count: BTreeMap<Direction, usize>,
    held: BTreeMap<(Direction, RuleName), String>,
    refused: BTreeMap<(Direction, RuleName), String>,
    too_large: Option<Problem>,
}

impl Resolving<'_> {
    fn rule(&mut self, rule: &DeclaredRule) {
        if rule.expires_at.is_some_and(|at| self.expiries.is_rule_over(rule.direction, &rule.name, at)) {
            return;
        }
        let mut sets = BTreeSet::new();
        for peer in &rule.peers {
            // A set that is named twice in a rule adds nothing the second time; it may be a large one.
            if let Who::Object(referent) = &peer.who
                && !sets.insert(referent)
            {
                continue;
            }
            match self.find(rule, &peer.who) {
                Found::Peers(found) => {
                    for (found, description) in found {
                        self.declare(rule, peer, &found, description.as_ref());
                    }
                }
                Found::Unknown(why) => self.hold(rule, why),
                Found::Refused(why) => drop(self.refused.entry((rule.direction, rule.name.clone())).or_insert(why)),
            }
        }
    }

    /// The first reason stays: it is the one to begin with.
    fn hold(&mut self, rule: &DeclaredRule, why: String) {
        self.held.entry((rule.direction, rule.name.clone())).or_insert(why);
    }

    fn find(&mut self, rule: &DeclaredRule, who: &Who) -> Found {
        let lookups = self.lookups;
        let one = |peer| Found::Peers(vec![(peer, None)]);
        let own = || {
            lookups.own.clone().map(Peer::group).map_or_else(|| Found::Unknown("the group itself has no id yet".to_owned()), one)
        };
        match who {
            Who::Range(net) => one(range(*net)),
            Who::This => own(),
            Who::Object(referent) if self.declaration.is_itself(referent) => own(),
            Who::Object(referent) => match lookups.objects.get(referent) {
                Some(Lookup::Group(id, account)) => one(self.group(id, account.as_ref())),
                Some(Lookup::Ranges(ranges)) => self.ranges(rule, referent, ranges),
                Some(Lookup::Unknown(why)) => self.without(rule, Found::Unknown(why.clone())),
                Some(Lookup::Refused(why)) => self.without(rule, Found::Refused(why.clone())),
                None => self.without(rule, Found::Unknown(format!("{referent} was not looked up"))),
            },
            Who::Group { id, account } => one(self.group(id, account.as_ref())),
            Who::PrefixList(id) => one(Peer::PrefixList(id.clone())),
            Who::PrefixListName(name) => match lookups.prefix_lists.get(name) {
                Some(Ok(id)) => one(Peer::PrefixList(id.clone())),
                Some(Err(why)) => Found::Unknown(why.clone()),
                None => Found::Unknown(format!("prefix list {name} was not looked up")),
            },
        }
    }

    /// A group. The own account is left out, as EC2's canonical form has it nowhere else either.
    fn group(&self, id: &SecurityGroupId, account: Option<&AccountId>) -> Peer {
        Peer::Group { id: id.clone(), account: account.filter(|account| **account != self.lookups.account).cloned() }
    }

    /// A reference that leads to nothing now; what expired behind it stays expired.
    fn without(&mut self, rule: &DeclaredRule, found: Found) -> Found {
        self.expiries.keep_ranges(rule.direction, &rule.name);
        found
    }

    /// The ranges of a set that are in force and fit the rule.
    fn ranges(&mut self, rule: &DeclaredRule, set: &Referent, ranges: &[Range]) -> Found {
        let icmp = |wanted: fn(&Traffic) -> bool| rule.traffic.iter().any(wanted);
        let icmpv4 = icmp(|traffic| matches!(traffic, Traffic::Icmp(_)));
        let icmpv6 = icmp(|traffic| matches!(traffic, Traffic::Icmpv6(_)));
        let mut found = Vec::new();
        for Range { net, description, expires_at } in ranges {
            if expires_at.is_some_and(|at| self.expiries.is_range_over(rule.direction, &rule.name, at)) {
                continue;
            }
            match net {
                IpNet::V6(_) if icmpv4 => self.hold(
                    rule,
                    format!("{net} of {set} is IPv6 and protocol icmp is IPv4 only: put the IPv6 ranges in a set and a rule of their own, with protocol icmpv6"),
                ),
                IpNet::V4(_) if icmpv6 => self.hold(
                    rule,
                    format!("{net} of {set} is IPv4 and protocol icmpv6 is IPv6 only: put the IPv4 ranges in a set and a rule of their own, with protocol icmp"),
                ),
                IpNet::V4(_) | IpNet::V6(_) => found.push((range(*net), description.clone())),
            }
        }
        Found::Peers(found)
    }

    fn declare(&mut self, rule: &DeclaredRule, peer: &DeclaredPeer, found: &Peer, own: Option<&String>) {
        for traffic in &rule.traffic {
            // Sets times ports could be millions.
            if self.too_large.is_some() {
                return;
            }
            let atom = Atom { direction: rule.direction, traffic: *traffic, peer: found.clone() };
            let declared = Declared {
                rule: rule.name.clone(),
                description: own.or(peer.description.as_ref()).or(rule.description.as_ref()).cloned(),
                justification: rule.justification.clone(),
                also: Vec::new(),
            };
            let before = self.rules.len();
            self.rules.declare(atom, declared);
            let count = self.count.entry(rule.direction).or_default();
            *count = count.saturating_add(self.rules.len().saturating_sub(before));
            if *count > MAX_ATOMS {
                self.too_large = Some(Problem {
                    path: format!("spec.{}", rule.direction),
                    message: format!(
                        "with the ranges of the sets it uses, it has more than the {MAX_ATOMS} rules of one direction: merge ranges, or split the group"
                    ),
                });
            }
        }
    }
}

/// What a peer stands for: peers of EC2, each with a description of its own, if it has one.
enum Found {
    Peers(Vec<(Peer, Option<String>)>),
    Unknown(String),
    Refused(String),
}

/// A range as EC2 has it.
pub(super) fn range(net: IpNet) -> Peer {
    match net {
        IpNet::V4(net) => Peer::ipv4(net),
        IpNet::V6(net) => Peer::ipv6(net),
    }
}

fn allow_all(rules: &mut RuleSet, ipv6: bool) {
    let everywhere = [Some(Peer::Ipv4(Ipv4Net::default())), ipv6.then(|| Peer::Ipv6(Ipv6Net::default()))];
    for peer in everywhere.into_iter().flatten() {
        let declared = Declared { rule: egress_policy_rule(), description: None, justification: None, also: Vec::new() };
        rules.declare(Atom { direction: Direction::Egress, traffic: Traffic::All, peer }, declared);
    }
}
