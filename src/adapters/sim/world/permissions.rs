//! From permissions as clients send them to atoms: one rule identity each, in canonical form.
//!
//! Entry point: [`World::atoms`].
//!
//! Invariant: two spellings of the same rule become the same [`RuleKey`].

use super::command::{FlatInput, PairInput, PermissionInput, RangeInput};
use super::error::{self, ApiError};
use super::ids::{self, GroupId, PrefixListId};
use super::rule::{Link, Peer, Protocol, RuleKey};
use super::state::{Group, Place};
use super::{World, cidr, text};
use std::collections::BTreeSet;
use std::sync::Arc;

/// At most so many rules a call.
const MAX_ATOMS: usize = 1000;

/// One rule that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) key: RuleKey,
    pub(crate) description: Option<Box<str>>,
    pub(crate) link: Option<Arc<Link>>,
}

/// Why a request names rules: what must exist, and how strict EC2 is, differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Authorize,
    Revoke,
    Describe,
}

impl World {
    /// The rules that these permissions name; the same one twice is refused.
    pub(crate) fn atoms(
        &self,
        place: &Place,
        group: &Group,
        permissions: &[PermissionInput],
        purpose: Purpose,
    ) -> Result<Vec<Atom>, ApiError> {
        let mut atoms = Vec::new();
        for permission in permissions {
            self.expand(place, group, permission, purpose, &mut atoms)?;
        }
        if atoms.len() > MAX_ATOMS {
            return Err(error::invalid(format!("A request may name at most {MAX_ATOMS} rules.")));
        }
        let mut seen = BTreeSet::new();
        if atoms.iter().all(|atom| seen.insert(&atom.key)) { Ok(atoms) } else { Err(error::repeated_permission()) }
    }

    fn expand(
        &self,
        place: &Place,
        group: &Group,
        permission: &PermissionInput,
        purpose: Purpose,
        atoms: &mut Vec<Atom>,
    ) -> Result<(), ApiError> {
        let PermissionInput { protocol, from_port, to_port, v4, v6, lists, groups } = permission;
        let protocol = read_protocol(protocol.as_deref())?;
        if purpose == Purpose::Describe && protocol == Protocol::ALL && (from_port.is_some() || to_port.is_some()) {
            return Err(error::invalid("When protocol is ALL, you cannot specify from-port"));
        }
        let (from, to) = read_ports(protocol, *from_port, *to_port)?;
        if v4.is_empty() && v6.is_empty() && lists.is_empty() && groups.is_empty() {
            return Err(error::missing_because("Source group ID missing."));
        }
        let mut push = |peer, description: Option<&str>, link| -> Result<(), ApiError> {
            let description = if purpose == Purpose::Revoke { None } else { text::rule_description(description)? };
            atoms.push(Atom { key: RuleKey { protocol, from, to, peer }, description, link });
            Ok(())
        };
        for pair in groups {
            let (id, link) = self.peer_group(place, group, pair, purpose)?;
            push(Peer::Group(id), pair.description.as_deref(), link)?;
        }
        for RangeInput { value, description } in v4 {
            let net = cidr::v4(value.as_deref().ok_or_else(|| error::missing("cidrIp"))?)?;
            push(Peer::V4(net), description.as_deref(), None)?;
        }
        for RangeInput { value, description } in v6 {
            let net = cidr::v6(value.as_deref().ok_or_else(|| error::missing("cidrIpv6"))?)?;
            push(Peer::V6(net), description.as_deref(), None)?;
        }
        for RangeInput { value, description } in lists {
            let id = value.as_deref().ok_or_else(|| error::missing("prefixListId"))?;
            push(Peer::List(self.peer_list(place, id, purpose)?), description.as_deref(), None)?;
        }
        Ok(())
    }

    /// A prefix list as a peer. What is only revoked need not exist any more.
    pub(crate) fn peer_list(&self, place: &Place, id: &str, purpose: Purpose) -> Result<PrefixListId, ApiError> {
        ids::check("PrefixListId", "pl", id)?;
        if purpose == Purpose::Authorize && !self.region(place).lists.contains_key(id) {
            return Err(error::no_prefix_list(id));
        }
        Ok(id.into())
    }

    /// A group as a peer, and how it is reached if it lies in another VPC.
    pub(crate) fn peer_group(
        &self,
        place: &Place,
        group: &Group,
        pair: &PairInput,
        purpose: Purpose,
    ) -> Result<(GroupId, Option<Arc<Link>>), ApiError> {
        let id = match (pair.group_id.as_deref(), pair.group_name.as_deref()) {
            (Some(id), _) => {
                ids::check_group(id)?;
                GroupId::from(id)
            }
            (None, Some(name)) => self.default_vpc_group(place, name)?.id.clone(),
            (None, None) => return Err(error::missing_because("Source group ID missing.")),
        };
        if purpose != Purpose::Authorize {
            return Ok((id, None));
        }
        let (owner, peer) = self.find_group(place, id.as_str()).ok_or_else(|| error::no_group(&id))?;
        if pair.user_id.as_deref().unwrap_or(place.account.as_str()) != owner.as_str() {
            return Err(error::no_group(&id));
        }
        let link = self.reach(place, group, peer)?;
        Ok((id, link))
    }

    /// How a group's rules may name a peer group: same VPC, VPC association, or an active peering within the Region.
    fn reach(&self, place: &Place, group: &Group, peer: &Group) -> Result<Option<Arc<Link>>, ApiError> {
        if group.vpc == peer.vpc {
            return Ok(None);
        }
        let region = self.region(place);
        let link = |peering| Some(Arc::new(Link { vpc: peer.vpc.clone(), peering }));
        if region.associated(&peer.id, &group.vpc) || region.associated(&group.id, &peer.vpc) {
            return Ok(link(None));
        }
        let peering = self.peerings.iter().find(|(_, peering)| {
            let same_region = peering.requester.place.region == peering.accepter.place.region;
            peering.status == "active" && same_region && peering.joins(&group.vpc, &peer.vpc)
        });
        peering.map(|(id, _)| link(Some(id.clone()))).ok_or_else(error::different_networks)
    }

    /// A group that is addressed by name, which EC2 allows in the default VPC only.
    pub(crate) fn default_vpc_group(&self, place: &Place, name: &str) -> Result<Arc<Group>, ApiError> {
        let region = self.region(place);
        let (vpc, _) = region.default_vpc().ok_or_else(error::no_default_vpc)?;
        region.named(vpc, name).cloned().ok_or_else(|| error::no_named_group(name, vpc))
    }
}

fn read_protocol(text: Option<&str>) -> Result<Protocol, ApiError> {
    let unset = "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.";
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| error::invalid(unset))?;
    Protocol::parse(text).ok_or_else(|| error::invalid(format!("Invalid value '{text}' for IP protocol. Unknown protocol.")))
}

/// Ports, or ICMP type and code, as EC2 keeps them: -1 where there are none.
pub(crate) fn read_ports(protocol: Protocol, from: Option<i64>, to: Option<i64>) -> Result<(i32, i32), ApiError> {
    if !protocol.has_ports() {
        return Ok((-1, -1));
    }
    let is_icmp = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6);
    let (from, to) = match (from, to) {
        (None, None) if protocol == Protocol::ICMPV6 => return Ok((-1, -1)),
        (Some(from), Some(to)) => (from, to),
        (None, _) | (_, None) => {
            let family = if is_icmp { "ICMP" } else { "TCP/UDP" };
            return Err(error::invalid(format!("Invalid value for portRange. Must specify both from and to ports with {family}.")));
        }
    };
    if is_icmp {
        let kind = protocol.name().to_uppercase();
        for (name, value) in [("type", from), ("code", to)] {
            if !(-1..=255).contains(&value) {
                return Err(error::invalid(format!("{kind} {name} ({value}) out of range")));
            }
        }
        if from == -1 && to != -1 {
            return Err(error::invalid(format!("{kind} code ({to}) must be -1 when the type is -1")));
        }
    } else {
        for value in [from, to] {
            if !(0..=65535).contains(&value) {
                return Err(error::invalid(format!("TCP/UDP port ({value}) out of range")));
            }
        }
        if from > to {
            return Err(error::invalid(format!("Invalid TCP/UDP port range ({from}:{to})")));
        }
    }
    let narrow = |value: i64| i32::try_from(value).map_err(|_| error::invalid(format!("Port ({value}) out of range")));
    Ok((narrow(from)?, narrow(to)?))
}

/// The legacy flat parameters as permissions. A source group alone stands for all of TCP, UDP and ICMP.
pub(crate) fn from_flat(flat: &FlatInput) -> Result<Vec<PermissionInput>, ApiError> {
    let FlatInput { protocol, from_port, to_port, cidr, source_name, source_owner } = flat;
    let Some(name) = source_name else {
        if source_owner.is_some() {
            return Err(error::missing("sourceSecurityGroupName"));
        }
        let cidr = cidr.clone().ok_or_else(|| error::missing("cidrIp"))?;
        return Ok(vec![PermissionInput {
            protocol: protocol.clone(),
            from_port: *from_port,
            to_port: *to_port,
            v4: vec![RangeInput { value: Some(cidr), description: None }],
            ..PermissionInput::default()
        }]);
    };
    if cidr.is_some() || protocol.is_some() || from_port.is_some() || to_port.is_some() {
        return Err(error::combination(
            "The parameter sourceSecurityGroupName may not be used in combination with cidrIp, ipProtocol, fromPort or toPort",
        ));
    }
    let pair = PairInput { group_name: Some(name.clone()), user_id: source_owner.clone(), ..PairInput::default() };
    let whole = |protocol: &str, from, to| PermissionInput {
        protocol: Some(protocol.to_owned()),
        from_port: Some(from),
        to_port: Some(to),
        groups: vec![pair.clone()],
        ..PermissionInput::default()
    };
    Ok(vec![whole("tcp", 0, 65535), whole("udp", 0, 65535), whole("icmp", -1, -1)])
}
