//! A declared rule of either direction, as it is written.

use crate::api::{EgressRule, Icmp, IngressRule, Peer, Port, Protocol, RuleName, RuleRef, SecurityGroupSpec};
use crate::core::model::{self, Atom, Direction, IcmpTypes, PortRange, SecurityGroupId, Traffic};

/// A rule as it is written; its peers are `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: RuleName,
    pub(super) description: Option<String>,
    pub(super) justification: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) protocol: Protocol,
    pub(super) ports: Vec<Port>,
    pub(super) icmp: Option<Icmp>,
    pub(super) peers: Vec<Peer>,
}

impl Rule {
    /// A rule for one rule of EC2; `own` is the group it is in.
    pub(super) fn of(atom: &Atom, name: &str, own: Option<&SecurityGroupId>) -> Self {
        let (protocol, ports, icmp) = written(atom.traffic);
        Self {
            name: name.into(),
            description: None,
            justification: None,
            expires_at: None,
            protocol,
            ports,
            icmp,
            peers: vec![peer(&atom.peer, own)],
        }
    }

    fn from_ref(rule: RuleRef<'_>) -> Self {
        let RuleRef { direction: _, name, description, justification, expires_at, protocol, ports, icmp, peers } = rule;
        Self {
            name: name.clone(),
            description: description.map(str::to_owned),
            justification: justification.map(str::to_owned),
            expires_at: expires_at.map(str::to_owned),
            protocol: protocol.clone(),
            ports: ports.to_vec(),
            icmp,
            peers: peers.to_vec(),
        }
    }

    pub(super) fn into_ingress(self) -> IngressRule {
        let Self { name, description, justification, expires_at, protocol, ports, icmp, peers } = self;
        IngressRule { name, description, justification, expires_at, protocol, ports, icmp, from: peers }
    }

    pub(super) fn into_egress(self) -> EgressRule {
        let Self { name, description, justification, expires_at, protocol, ports, icmp, peers } = self;
        EgressRule { name, description, justification, expires_at, protocol, ports, icmp, to: peers }
    }
}

/// The rules of one direction.
pub(super) fn rules(spec: &SecurityGroupSpec, direction: Direction) -> Vec<Rule> {
    match direction {
        Direction::Ingress => spec.ingress.iter().map(|rule| Rule::from_ref(rule.as_rule())).collect(),
        Direction::Egress => spec.egress.iter().map(|rule| Rule::from_ref(rule.as_rule())).collect(),
    }
}

/// Puts other rules of one direction in place of those there are.
pub(super) fn set_rules(spec: &mut SecurityGroupSpec, direction: Direction, rules: Vec<Rule>) {
    match direction {
        Direction::Ingress => spec.ingress = rules.into_iter().map(Rule::into_ingress).collect(),
        Direction::Egress => spec.egress = rules.into_iter().map(Rule::into_egress).collect(),
    }
}

/// A peer as it is written. The own group is `self`: its id would be that of another group once this one was created again.
fn peer(peer: &model::Peer, own: Option<&SecurityGroupId>) -> Peer {
    match peer {
        model::Peer::Ipv4(net) => Peer::cidr(net.to_string()),
        model::Peer::Ipv6(net) => Peer::cidr(net.to_string()),
        model::Peer::PrefixList(id) => Peer { prefix_list_id: Some(id.to_string()), ..Peer::default() },
        model::Peer::Group { id, account: None } if Some(id) == own => Peer { this: Some(true), ..Peer::default() },
        model::Peer::Group { id, account } => Peer {
            security_group_id: Some(id.to_string()),
            account_id: account.as_ref().map(ToString::to_string),
            ..Peer::default()
        },
    }
}

/// Protocol, ports and types as they are written.
fn written(traffic: Traffic) -> (Protocol, Vec<Port>, Option<Icmp>) {
    let icmp = |types: IcmpTypes| {
        let (type_, code) = types.to_ec2();
        (types != IcmpTypes::All).then_some(Icmp { type_, code })
    };
    let (ports, icmp) = match traffic {
        Traffic::All | Traffic::Other(_) => (Vec::new(), None),
        Traffic::Tcp(range) | Traffic::Udp(range) => (vec![port(range)], None),
        Traffic::Icmp(types) | Traffic::Icmpv6(types) => (Vec::new(), icmp(types)),
    };
    let protocol = match traffic {
        Traffic::Other(number) => Protocol::from(number.get().to_string()),
        Traffic::All | Traffic::Tcp(_) | Traffic::Udp(_) | Traffic::Icmp(_) | Traffic::Icmpv6(_) => {
            Protocol::from(traffic.protocol().to_string())
        }
    };
    (protocol, ports, icmp)
}

fn port(range: PortRange) -> Port {
    if range.from() == range.to() { Port::from(range.from()) } else { Port::from(range.to_string().as_str()) }
}
