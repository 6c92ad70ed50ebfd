//! The rules of both directions: names, traffic and peers.

use std::collections::BTreeSet;

use crate::api::{self, RuleRef};
use crate::core::model::{BadTraffic, Direction, IcmpTypes, PortRange, Protocol, Traffic};

use super::peer;
use super::problem::Problems;
use super::{DeclaredPeer, DeclaredRule, MAX_ATOMS, Who, text};

/// The most characters of a justification.
const MAX_JUSTIFICATION: usize = 1024;

pub(super) fn parse_rules(namespace: &str, spec: &api::SecurityGroupSpec, problems: &mut Problems) -> Vec<DeclaredRule> {
    let mut parsed = Vec::new();
    for (direction, rules) in [
        (Direction::Ingress, spec.ingress.iter().map(api::IngressRule::as_rule).collect::<Vec<_>>()),
        (Direction::Egress, spec.egress.iter().map(api::EgressRule::as_rule).collect::<Vec<_>>()),
    ] {
        let list = format!("spec.{direction}");
        if rules.len() > api::MAX_RULES {
            problems.add(&list, format!("at most {} rules in a direction: merge some, or split the group", api::MAX_RULES));
        }
        let mut names = BTreeSet::new();
        let mut atoms = 0_usize;
        for (index, rule) in rules.iter().enumerate() {
            let path = format!("{list}[{index}]");
            if !names.insert(rule.name.as_str()) {
                problems.add(
                    format!("{path}.name"),
                    format!("rule names must be unique in their list: '{}' is there already, rename one", rule.name),
                );
            }
            atoms = atoms.saturating_add(rule.peers.len().saturating_mul(rule.ports.len().max(1)));
            parsed.extend(parse_rule(namespace, direction, rule, &path, problems));
        }
        if atoms > MAX_ATOMS {
            problems.add(
                list,
                format!("{atoms} pairs of a peer and a port, each a rule in EC2, are more than the {MAX_ATOMS} of one direction: merge ranges, or split the group"),
            );
        }
    }
    parsed
}

fn parse_rule(
    namespace: &str,
    direction: Direction,
    rule: &RuleRef<'_>,
    path: &str,
    problems: &mut Problems,
) -> Option<DeclaredRule> {
    let name = problems.keep(format!("{path}.name"), rule.name.as_str().parse());
    let description = rule.description.map(text::description);
    let description = description.and_then(|text| problems.keep(format!("{path}.description"), text)).flatten();
    if rule.justification.is_some_and(|text| text.chars().count() > MAX_JUSTIFICATION) {
        problems.add(format!("{path}.justification"), format!("a justification has at most {MAX_JUSTIFICATION} characters"));
    }
    let expires_at = rule.expires_at.and_then(|at| problems.keep(format!("{path}.expiresAt"), text::time(at)));
    let protocol = problems.keep(format!("{path}.protocol"), parse_protocol(rule.protocol.as_str()));
    let traffic = protocol.map(|protocol| parse_traffic(protocol, rule.protocol, rule.ports, rule.icmp, path, problems));
    let field = direction.preposition();
    let peers = parse_peers(namespace, rule, &format!("{path}.{field}"), protocol, problems);
    Some(DeclaredRule {
        direction,
        name: name?,
        description,
        justification: rule.justification.map(str::to_owned),
        expires_at,
        traffic: traffic?,
        peers,
    })
}

/// The protocol as manifests spell it: one spelling each, so that two people write the same file.
pub(super) fn parse_protocol(text: &str) -> Result<Protocol, String> {
    let protocol = match text {
        "all" => return Ok(Protocol::All),
        "tcp" => return Ok(Protocol::Tcp),
        "udp" => return Ok(Protocol::Udp),
        "icmp" => return Ok(Protocol::Icmp),
        "icmpv6" => return Ok(Protocol::Icmpv6),
        other => Protocol::from_ec2(other).ok(),
    };
    let advice = match (protocol, text) {
        (Some(Protocol::Other(number)), _) if number.get().to_string() == text => return Ok(Protocol::Other(number)),
        (Some(named @ (Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Icmp | Protocol::Icmpv6)), _) => {
            format!("write '{named}'")
        }
        (None, "any" | "ANY" | "Any" | "*") => "write 'all'".to_owned(),
        (None, "icmp6" | "ICMP6") => "write 'icmpv6'".to_owned(),
        (Some(Protocol::Other(_)) | None, _) => "use tcp, udp, icmp, icmpv6, all or a number from '0' to '255'".to_owned(),
    };
    Err(format!("'{text}' is not a protocol here: {advice}"))
}

/// The traffic of a protocol with the ports or types that go with it. `written` is the protocol's spelling, for messages.
pub(super) fn parse_traffic(
    protocol: Protocol,
    written: &api::Protocol,
    ports: &[api::Port],
    icmp: Option<api::Icmp>,
    path: &str,
    problems: &mut Problems,
) -> Vec<Traffic> {
    if ports.len() > api::MAX_PORTS {
        problems
            .add(format!("{path}.ports"), format!("at most {} ports: merge some into ranges, or split the rule", api::MAX_PORTS));
    }
    let takes_ports = matches!(protocol, Protocol::Tcp | Protocol::Udp);
    if takes_ports && ports.is_empty() {
        problems.add(format!("{path}.ports"), "protocol tcp and udp need ports; for every port write ports: [\"0-65535\"]");
    }
    if !takes_ports && !ports.is_empty() {
        problems.add(
            format!("{path}.ports"),
            match protocol {
                Protocol::Icmp | Protocol::Icmpv6 => {
                    format!(
                        "ports go with protocol tcp or udp only, not with '{written}', which has types and codes instead: use icmp"
                    )
                }
                Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Other(_) => {
                    format!("ports go with protocol tcp or udp only, not with '{written}', which is always all ports: remove ports")
                }
            },
        );
    }
    let types = match (icmp, protocol) {
        (Some(icmp), Protocol::Icmp | Protocol::Icmpv6) => {
            let message = |problem: BadTraffic| match problem {
                BadTraffic::Icmp { kind: -1, code: _ } => {
                    "icmp.code must be -1 (or absent) when icmp.type is -1: EC2 has no rule for one code of all types".to_owned()
                }
                BadTraffic::Icmp { kind: _, code: _ }
                | BadTraffic::Protocol(_)
                | BadTraffic::Port(_)
                | BadTraffic::Ports { from: _, to: _ }
                | BadTraffic::NoPorts
                | BadTraffic::Text(_) => problem.to_string(),
            };
            let field = if (-1..=255).contains(&icmp.type_) { "code" } else { "type" };
            problems.keep(format!("{path}.icmp.{field}"), IcmpTypes::new(icmp.type_, icmp.code).map_err(message))
        }
        (Some(_), Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Other(_)) => {
            problems.add(
                format!("{path}.icmp"),
                format!("icmp goes with protocol icmp or icmpv6 only, not with '{written}': remove icmp"),
            );
            None
        }
        (None, _) => None,
    };
    let types = types.unwrap_or(IcmpTypes::All);
    let traffic = |of: fn(PortRange) -> Traffic, problems: &mut Problems| {
        let one = |(index, port): (usize, &api::Port)| {
            problems.keep(format!("{path}.ports[{index}]"), port.to_string().parse::<PortRange>().map_err(|_| BAD_PORT)).map(of)
        };
        ports.iter().enumerate().filter_map(one).collect()
    };
    match protocol {
        Protocol::All => vec![Traffic::All],
        Protocol::Tcp => traffic(Traffic::Tcp, problems),
        Protocol::Udp => traffic(Traffic::Udp, problems),
        Protocol::Icmp => vec![Traffic::Icmp(types)],
        Protocol::Icmpv6 => vec![Traffic::Icmpv6(types)],
        Protocol::Other(number) => vec![Traffic::Other(number)],
    }
}

const BAD_PORT: &str =
    "must be a port (443) or a range from lower to higher (\"8000-8100\") within 0 to 65535, without leading zeros";

fn parse_peers(
    namespace: &str,
    rule: &RuleRef<'_>,
    path: &str,
    protocol: Option<Protocol>,
    problems: &mut Problems,
) -> Vec<DeclaredPeer> {
    if rule.peers.is_empty() {
        problems.add(path, "a rule needs at least one peer: 0.0.0.0/0 and ::/0 are written out");
    }
    if rule.peers.len() > api::MAX_PEERS {
        problems.add(path, format!("at most {} peers in a rule: use a CidrSet, or split the rule", api::MAX_PEERS));
    }
    let mut parsed = Vec::new();
    for (index, peer) in rule.peers.iter().enumerate() {
        match peer::parse(namespace, peer) {
            Ok(peer) => parsed.push(peer),
            Err(faults) => faults.into_iter().for_each(|(field, message)| problems.add(format!("{path}[{index}]{field}"), message)),
        }
    }
    let has = |v4: bool| parsed.iter().any(|peer| matches!(&peer.who, Who::Range(net) if net.addr().is_ipv4() == v4));
    if protocol == Some(Protocol::Icmp) && has(false) {
        problems.add(path, "protocol icmp is IPv4 only: put the IPv6 ranges in a rule with protocol icmpv6");
    }
    if protocol == Some(Protocol::Icmpv6) && has(true) {
        problems.add(path, "protocol icmpv6 is IPv6 only: put the IPv4 ranges in a rule with protocol icmp");
    }
    parsed
}
