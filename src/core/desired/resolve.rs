//! References to ids, rules to atoms.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::core::model::{AccountId, Atom, Declared, Direction, Peer, RuleSet, SecurityGroupId, Traffic};

use super::{Declaration, DeclaredPeer, DeclaredRule, Desired, EgressPolicy, Who, egress_policy_rule};

/// What a reference turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The group it names.
    Found(SecurityGroupId),
    /// Not known now, and why. It may become known by itself.
    Unknown(String),
}

/// What has to be known beside the manifest.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// The group's own id, once it exists.
    pub own: Option<SecurityGroupId>,
    /// The account it is in.
    pub account: AccountId,
    /// Whether its VPC has IPv6: `AllowAll` then means `::/0` too, as EC2 gives it.
    pub vpc_ipv6: bool,
    /// The groups behind the objects of [`Declaration::references`].
    pub groups: BTreeMap<String, Lookup>,
}

impl Declaration {
    /// The desired state. A rule with an unknown reference is held back as a whole and named in `held`.
    pub fn resolve(&self, lookups: &Lookups) -> Desired {
        let mut rules = RuleSet::default();
        let mut held = BTreeMap::new();
        for rule in &self.rules {
            for peer in &rule.peers {
                match find(&peer.who, &self.name, lookups) {
                    Ok(found) => declare(&mut rules, rule, peer, &found),
                    Err(why) => drop(held.insert((rule.direction, rule.name.clone()), why)),
                }
            }
        }
        if self.egress_policy == Some(EgressPolicy::AllowAll) {
            allow_all(&mut rules, lookups.vpc_ipv6);
        }
        Desired {
            group_name: self.group_name.clone(),
            description: self.description.clone(),
            vpc: self.vpc.clone(),
            tags: self.tags.clone(),
            rules,
            held,
        }
    }
}

fn find(who: &Who, own_name: &str, lookups: &Lookups) -> Result<Peer, String> {
    let own = || lookups.own.clone().map(Peer::group).ok_or_else(|| "the group itself has no id yet".to_owned());
    match who {
        Who::Range(IpNet::V4(net)) => Ok(Peer::ipv4(*net)),
        Who::Range(IpNet::V6(net)) => Ok(Peer::ipv6(*net)),
        Who::This => own(),
        Who::Object(name) if name == own_name => own(),
        Who::Object(name) => match lookups.groups.get(name) {
            Some(Lookup::Found(id)) => Ok(Peer::group(id.clone())),
            Some(Lookup::Unknown(why)) => Err(why.clone()),
            None => Err(format!("securitygroups.sgwarden.dev {name} was not looked up")),
        },
        // The own account is left out, as EC2's canonical form has it nowhere else either.
        Who::Group { id, account } => {
            Ok(Peer::Group { id: id.clone(), account: account.clone().filter(|account| *account != lookups.account) })
        }
        Who::PrefixList(id) => Ok(Peer::PrefixList(id.clone())),
    }
}

fn declare(rules: &mut RuleSet, rule: &DeclaredRule, peer: &DeclaredPeer, found: &Peer) {
    for traffic in &rule.traffic {
        let atom = Atom { direction: rule.direction, traffic: *traffic, peer: found.clone() };
        let declared = Declared {
            rule: rule.name.clone(),
            description: peer.description.clone().or_else(|| rule.description.clone()),
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
