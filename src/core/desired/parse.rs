//! The whole object, every problem of it at once.

use std::collections::BTreeSet;

use crate::api::{self, DeletionPolicy, Mode, RuleRef, SecurityGroup};
use crate::core::model::{BadTraffic, Direction, IcmpTypes, PortRange, Protocol, Traffic, is_ec2_text};

use super::peer;
use super::{Declaration, DeclaredEnforcement, DeclaredPeer, DeclaredRule, DeclaredVpc, MAX_ATOMS, Problem, Who};

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    /// The value, or `None` and its problem kept.
    fn keep<T, E: std::fmt::Display>(&mut self, path: impl Into<String>, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(path, problem.to_string())).ok()
    }
}

/// Understands an object, or says everything that is wrong with it.
pub fn parse(object: &SecurityGroup) -> Result<Declaration, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    let region = spec.region.as_ref().and_then(|region| problems.keep("spec.region", region.parse()));
    let vpc = spec.vpc.id.as_ref().and_then(|id| problems.keep("spec.vpc.id", id.parse())).map(DeclaredVpc::Id);
    let group_name = object.desired_group_name();
    check_group_name(&group_name, spec.group_name.is_some(), &mut problems);
    let description = object.desired_description().to_owned();
    if !is_ec2_text(&description) || description.is_empty() {
        problems.add("spec.description", bad_text("a description"));
    }
    check_tags(spec, &mut problems);
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let rules = parse_rules(namespace, spec, &mut problems);
    let egress_policy = problems.keep("spec.egressPolicy", spec.egress_policy()).flatten();
    check_egress_policy(spec, &mut problems);
    let mode: Option<Mode> = problems.keep("spec.enforcement.mode", spec.mode()).flatten();
    let enforcement = DeclaredEnforcement { mode, ..DeclaredEnforcement::default() };
    let deletion: Option<DeletionPolicy> = problems.keep("spec.deletionPolicy", spec.deletion_policy()).flatten();
    check_pins(object, &group_name, &description, &mut problems);
    let Some(vpc) = vpc.filter(|_| problems.0.is_empty()) else {
        problems.0.sort();
        return Err(problems.0);
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    Ok(Declaration {
        namespace: namespace.to_owned(),
        name,
        account: spec.account.clone(),
        region,
        vpc,
        group_name,
        description,
        tags: spec.tags.clone(),
        rules,
        egress_policy,
        enforcement,
        adopt: None,
        deletion,
    })
}

/// What to say of a text AWS would refuse.
pub(super) fn bad_text(what: &str) -> String {
    format!("AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; {{ }} ! $ * in {what}, 1 to 255 characters")
}

fn check_group_name(name: &str, written: bool, problems: &mut Problems) {
    let path = "spec.groupName";
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("sg-") || lower == "default" {
        let message = if written {
            "a group name may not start with 'sg-' nor be 'default': AWS reserves both, choose another".to_owned()
        } else {
            format!("set spec.groupName: the default '{name}' would start with 'sg-', which AWS reserves")
        };
        problems.add(path, message);
    }
    if name.trim() != name {
        problems.add(path, "a group name may not start or end with a space, which AWS trims: remove it");
    }
    if name.is_empty() || !is_ec2_text(name) {
        problems.add(path, bad_text("a group name"));
    }
}

fn check_tags(spec: &api::SecurityGroupSpec, problems: &mut Problems) {
    for (key, value) in &spec.tags {
        let path = format!("spec.tags[{key}]");
        let reserved = key.to_ascii_lowercase().starts_with("aws:")
            || key.starts_with("sgwarden.dev/")
            || key.starts_with("kubernetes.io/cluster/");
        if reserved {
            problems.add(
                path.clone(),
                "tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or 'kubernetes.io/cluster/' (cloud controllers act on it): remove the key",
            );
        }
        if key.is_empty() || key.chars().count() > 127 || value.chars().count() > 256 {
            problems.add(path, "a tag key has 1 to 127 characters and a value at most 256");
        }
    }
    if spec.tags.len() > api::MAX_TAGS {
        problems.add("spec.tags", format!("at most {} tags: AWS allows 50, and sgwarden keeps some of its own", api::MAX_TAGS));
    }
}

fn check_egress_policy(spec: &api::SecurityGroupSpec, problems: &mut Problems) {
    match (spec.egress.is_empty(), spec.egress_policy.is_some()) {
        (true, false) => problems.add(
            "spec.egressPolicy",
            "say what may leave the group: list egress rules, or set egressPolicy: AllowAll (what EC2 gives a new group) or egressPolicy: DenyAll",
        ),
        (false, true) => {
            problems.add("spec.egressPolicy", "egressPolicy is only for a group without egress rules: remove it, or remove the rules");
        }
        (true, true) | (false, false) => {}
    }
}

/// What EC2 fixed at creation cannot follow the spec. The apiserver refuses such an update; a file can hold it all the
/// same, and so can a changed default.
fn check_pins(object: &SecurityGroup, group_name: &str, description: &str, problems: &mut Problems) {
    let Some(status) = &object.status else { return };
    let id = status.group_id.as_deref().unwrap_or("(being created)");
    let pins = [
        ("region", object.spec.region.as_deref(), status.region.as_deref()),
        ("vpc", object.spec.vpc.id.as_deref(), status.vpc_id.as_deref()),
        ("groupName", Some(group_name), status.group_name.as_deref()),
        ("description", Some(description), status.description.as_deref()),
    ];
    for (field, wanted, pinned) in pins {
        let Some((wanted, pinned)) = wanted.zip(pinned) else { continue };
        if wanted != pinned {
            problems.add(
                format!("spec.{field}"),
                format!(
                    "{field} cannot be changed: EC2 group {id} was created with '{pinned}'. Put it back; to replace the group, create a \
                     SecurityGroup with another name, move its members, then delete this one"
                ),
            );
        }
    }
}

fn parse_rules(namespace: &str, spec: &api::SecurityGroupSpec, problems: &mut Problems) -> Vec<DeclaredRule> {
    let mut parsed = Vec::new();
    for (direction, rules) in [
        (Direction::Ingress, spec.ingress.iter().map(api::IngressRule::as_rule).collect::<Vec<_>>()),
        (Direction::Egress, spec.egress.iter().map(api::EgressRule::as_rule).collect::<Vec<_>>()),
    ] {
        let list = format!("spec.{direction}");
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
    if let Some(text) = rule.description
        && !is_ec2_text(text)
    {
        problems.add(format!("{path}.description"), bad_text("a description"));
    }
    let protocol = parse_protocol(rule.protocol.as_str()).map_err(|problem| problems.add(format!("{path}.protocol"), problem)).ok();
    let traffic = protocol.map(|protocol| parse_traffic(protocol, rule, path, problems));
    let field = direction.preposition();
    let peers = parse_peers(namespace, rule, &format!("{path}.{field}"), protocol, problems);
    Some(DeclaredRule {
        direction,
        name: name?,
        description: rule.description.filter(|text| !text.is_empty()).map(str::to_owned),
        justification: rule.justification.map(str::to_owned),
        expires_at: None,
        traffic: traffic?,
        peers,
    })
}

/// The protocol as manifests spell it: one spelling each, so that two people write the same file.
fn parse_protocol(text: &str) -> Result<Protocol, String> {
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

fn parse_traffic(protocol: Protocol, rule: &RuleRef<'_>, path: &str, problems: &mut Problems) -> Vec<Traffic> {
    let takes_ports = matches!(protocol, Protocol::Tcp | Protocol::Udp);
    if takes_ports && rule.ports.is_empty() {
        problems.add(format!("{path}.ports"), "protocol tcp and udp need ports; for every port write ports: [\"0-65535\"]");
    }
    if !takes_ports && !rule.ports.is_empty() {
        problems.add(
            format!("{path}.ports"),
            match protocol {
                Protocol::Icmp | Protocol::Icmpv6 => format!(
                    "ports go with protocol tcp or udp only, not with '{}', which has types and codes instead: use icmp",
                    rule.protocol
                ),
                Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Other(_) => format!(
                    "ports go with protocol tcp or udp only, not with '{}', which is always all ports: remove ports",
                    rule.protocol
                ),
            },
        );
    }
    let icmp = match (rule.icmp, protocol) {
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
                format!("icmp goes with protocol icmp or icmpv6 only, not with '{}': remove icmp", rule.protocol),
            );
            None
        }
        (None, _) => None,
    };
    let icmp = icmp.unwrap_or(IcmpTypes::All);
    let ports = |of: fn(PortRange) -> Traffic, problems: &mut Problems| {
        let one = |(index, port): (usize, &api::Port)| {
            problems.keep(format!("{path}.ports[{index}]"), port.to_string().parse::<PortRange>().map_err(|_| BAD_PORT)).map(of)
        };
        rule.ports.iter().enumerate().filter_map(one).collect()
    };
    match protocol {
        Protocol::All => vec![Traffic::All],
        Protocol::Tcp => ports(Traffic::Tcp, problems),
        Protocol::Udp => ports(Traffic::Udp, problems),
        Protocol::Icmp => vec![Traffic::Icmp(icmp)],
        Protocol::Icmpv6 => vec![Traffic::Icmpv6(icmp)],
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
