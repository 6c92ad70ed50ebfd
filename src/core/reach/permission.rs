//! What a declared group permits, peer by peer: each rule of EC2 that its manifest stands for, with the declared rule it comes
//! of and what keeps it from being in force.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::core::desired::{
    Declaration, DeclaredPeer, DeclaredRule, Lookup, Lookups, Range, Referent, ReferentKind, Who, egress_policy_rule,
};
use crate::core::model::{Atom, Direction, Peer, RuleName};

use super::question::Family;
use super::world::{Group, World};

/// One rule of EC2 as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The declared rule.
    pub rule: RuleName,
    /// What it lets through, and whom. Who is not known is everybody, and then it is [`Standing::Held`].
    pub atom: Atom,
    /// Who, as declared: `10.0.0.0/8`, `shop/web`, `prefix list pl-…`.
    pub peer: String,
    /// The object it came by.
    pub via: Option<Referent>,
    /// Whether it is in force.
    pub standing: Standing,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Whether a declared rule is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    InForce,
    /// It is over since then.
    Expired(Timestamp),
    /// It waits, for this reason: nobody can tell what will be of it.
    Held(String),
    /// It is refused, for this reason.
    Refused(String),
}

/// Part of a peer that can stand alone: a range of a set has its own end.
struct Piece {
    peer: DeclaredPeer,
    range: Option<(Referent, Range)>,
}

impl World {
    /// Whether all that a group declares is no more than EC2 takes.
    pub(super) fn fits(&self, group: &Group<'_>, now: Timestamp) -> bool {
        group.declaration.resolve(&self.lookups(group, now, false)).too_large.is_none()
    }

    /// Everything a group permits or would permit. `live` are the rules it is known to have: what is held back stays when it
    /// is there.
    pub(super) fn permissions(&self, group: &Group<'_>, now: Timestamp, live: &BTreeSet<Atom>) -> Vec<Permission> {
        let (real, generous) = (self.lookups(group, now, false), self.lookups(group, now, true));
        let declaration = &group.declaration;
        let whole = declaration.resolve(&real);
        let alone = Declaration { rules: Vec::new(), egress_policy: None, ..declaration.clone() };
        let mut found = Vec::new();
        for rule in &declaration.rules {
            let held = whole.holds(rule.direction, &rule.name).map(|_| {
                let key = (rule.direction, rule.name.clone());
                let too_large = whole.too_large.as_ref().map(ToString::to_string);
                too_large.or_else(|| whole.held.get(&key).cloned()).unwrap_or_default()
            });
            for piece in pieces(rule, &generous) {
                let one = DeclaredRule { peers: vec![piece.peer.clone()], ..rule.clone() };
                let one = Declaration { rules: vec![one], ..alone.clone() };
                found.extend(piece.permissions(rule, &one, &real, &generous, held.as_ref(), live));
            }
        }
        let policy = Declaration { rules: Vec::new(), ..declaration.clone() };
        let policy = policy.resolve(&generous).rules;
        found.extend(policy.iter().map(|(atom, _)| Permission {
            rule: egress_policy_rule(),
            peer: atom.peer.to_string(),
            atom: atom.clone(),
            via: None,
            standing: Standing::InForce,
            expires_at: None,
        }));
        found
    }
}

/// The peers of a rule, sets range by range.
fn pieces(rule: &DeclaredRule, generous: &Lookups) -> Vec<Piece> {
    let split = |peer: &DeclaredPeer| match &peer.who {
        Who::Object(referent) => match generous.objects.get(referent) {
            Some(Lookup::Ranges(ranges)) => {
                let piece = |range: &Range| Piece { peer: peer.clone(), range: Some((referent.clone(), range.clone())) };
                ranges.iter().map(piece).collect()
            }
            Some(Lookup::Group(_, _) | Lookup::Unknown(_) | Lookup::Refused(_)) | None => {
                vec![Piece { peer: peer.clone(), range: None }]
            }
        },
        Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) | Who::PrefixListName(_) => {
            vec![Piece { peer: peer.clone(), range: None }]
        }
    };
    rule.peers.iter().flat_map(split).collect()
}

impl Piece {
    fn permissions(
        &self,
        rule: &DeclaredRule,
        one: &Declaration,
        real: &Lookups,
        generous: &Lookups,
        held: Option<&String>,
        live: &BTreeSet<Atom>,
    ) -> Vec<Permission> {
        let now = one.resolve(&self.only(real));
        let ever = one.resolve(&self.only(generous));
        let ends = [rule.expires_at, self.range.as_ref().and_then(|(_, range)| range.expires_at)];
        let expires_at = ends.into_iter().flatten().min();
        let standing = |atom: &Atom| match (now.refused.values().next(), held) {
            (Some(why), _) => Standing::Refused(why.clone()),
            (None, _) if !now.expired.is_empty() => Standing::Expired(expires_at.unwrap_or(real.now)),
            (None, Some(why)) if !live.contains(atom) => Standing::Held(why.clone()),
            (None, Some(_) | None) => Standing::InForce,
        };
        let (peer, via) = self.shown(one);
        let permission = |atom: &Atom, standing| Permission {
            rule: rule.name.clone(),
            atom: atom.clone(),
            peer: peer.clone(),
            via: via.clone(),
            standing,
            expires_at,
        };
        if ever.rules.is_empty() && self.may_be_anyone() && now.expired.is_empty() {
            let why = ever.held.values().next().or(held).cloned().unwrap_or_default();
            return anyone(rule).map(|atom| permission(&atom, Standing::Held(why.clone()))).collect();
        }
        ever.rules.iter().map(|(atom, _)| permission(atom, standing(atom))).collect()
    }

    /// What is known, of objects no more than this peer needs: sets are large, and this is asked range by range.
    fn only(&self, lookups: &Lookups) -> Lookups {
        let Lookups { own, account, vpc, vpc_ipv6, objects, prefix_lists, weights, default_tags, now, latched } = lookups;
        let found = match (&self.peer.who, &self.range) {
            (Who::Object(referent), range) => objects.get(referent).map(|found| match (found, range) {
                (Lookup::Ranges(_), Some((_, range))) => (referent.clone(), Lookup::Ranges(vec![range.clone()])),
                (Lookup::Ranges(_) | Lookup::Group(_, _) | Lookup::Unknown(_) | Lookup::Refused(_), _) => {
                    (referent.clone(), found.clone())
                }
            }),
            (Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) | Who::PrefixListName(_), _) => None,
        };
        Lookups {
            own: own.clone(),
            account: account.clone(),
            vpc: vpc.clone(),
            vpc_ipv6: *vpc_ipv6,
            objects: found.into_iter().collect(),
            prefix_lists: prefix_lists.clone(),
            weights: weights.clone(),
            default_tags: default_tags.clone(),
            now: *now,
            latched: latched.clone(),
        }
    }

    /// Whether a reference that leads nowhere could be to any address.
    fn may_be_anyone(&self) -> bool {
        match &self.peer.who {
            Who::Object(referent) => referent.kind == ReferentKind::CidrSet && self.range.is_none(),
            Who::PrefixListName(_) => true,
            Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) => false,
        }
    }

    fn shown(&self, one: &Declaration) -> (String, Option<Referent>) {
        match &self.peer.who {
            Who::Range(net) => (net.to_string(), None),
            Who::This => (format!("{}/{} itself", one.namespace, one.name), None),
            Who::Object(referent) => {
                let shown = match &self.range {
                    Some((set, range)) => format!("{} of {set}", range.net),
                    None if self.may_be_anyone() => referent.to_string(),
                    None => format!("{}/{}", referent.namespace, referent.name),
                };
                (shown, Some(referent.clone()))
            }
            Who::Group { id, account: None } => (id.to_string(), None),
            Who::Group { id, account: Some(account) } => (format!("{account}/{id}"), None),
            Who::PrefixList(id) => (format!("prefix list {id}"), None),
            Who::PrefixListName(name) => (format!("prefix list {name}"), None),
        }
    }
}

/// A rule as if everybody were its peer.
fn anyone(rule: &DeclaredRule) -> impl Iterator<Item = Atom> {
    let direction = rule.direction;
    rule.traffic.iter().flat_map(move |traffic| {
        let traffic = *traffic;
        Family::BOTH.into_iter().map(move |family| Atom { direction, traffic, peer: peer(family.everybody()) })
    })
}

/// A range as a peer.
pub(super) fn peer(net: IpNet) -> Peer {
    match net {
        IpNet::V4(net) => Peer::ipv4(net),
        IpNet::V6(net) => Peer::ipv6(net),
    }
}

/// Permissions of one direction.
pub(super) fn of(permissions: &[Permission], direction: Direction) -> impl Iterator<Item = &Permission> + Clone {
    permissions.iter().filter(move |permission| permission.atom.direction == direction)
}
