//! What a manifest says of enforcement and adoption.

use crate::api::{self, Enforcement, Toleration as Written};
use crate::core::model::{Direction, IcmpTypes, Peer, PortRange, PrefixListId, Protocol, SecurityGroupId, Traffic};

use super::peer::parse_range;
use super::problem::Problems;
use super::resolve::range;
use super::rules::{parse_protocol, parse_traffic};
use super::{DeclaredAdoption, DeclaredEnforcement, Suspension, Toleration, text};

/// The most characters of a reason to suspend.
pub(super) const MAX_REASON: usize = 1024;
/// The most tolerations.
const MAX_TOLERATIONS: usize = 32;
/// The most ports in one of them.
const MAX_TOLERATED_PORTS: usize = 16;

/// What a manifest says of enforcement, for when the rest of it cannot be used; `Err` when this cannot either.
pub fn enforcement_of(object: &api::SecurityGroup) -> Result<DeclaredEnforcement, Vec<super::Problem>> {
    let mut problems = Problems::default();
    let enforcement = parse_enforcement(&object.spec, &mut problems);
    problems.settle(Some(enforcement))
}

/// Understands `spec.enforcement`, but for the suspension, which the annotation can say too.
pub(super) fn parse_enforcement(spec: &api::SecurityGroupSpec, problems: &mut Problems) -> DeclaredEnforcement {
    let mode = problems.keep("spec.enforcement.mode", spec.mode()).flatten();
    let undeclared = problems.keep("spec.enforcement.undeclaredRules", spec.undeclared_rules()).flatten();
    let approval = problems.keep("spec.enforcement.approval", spec.approval()).flatten();
    let Some(Enforcement { mode: _, undeclared_rules: _, tolerate, suspend, approval: _ }) = &spec.enforcement else {
        return DeclaredEnforcement::default();
    };
    if let Some(Err((field, message))) = suspend.as_ref().map(parse_suspend) {
        problems.add(format!("spec.enforcement.suspend.{field}"), message);
    }
    if tolerate.len() > MAX_TOLERATIONS {
        problems.add("spec.enforcement.tolerate", format!("at most {MAX_TOLERATIONS} entries: merge some, or split the group"));
    }
    let one =
        |(index, written): (usize, &Written)| parse_toleration(written, &format!("spec.enforcement.tolerate[{index}]"), problems);
    let tolerate = tolerate.iter().enumerate().filter_map(one).collect();
    DeclaredEnforcement { mode, undeclared, tolerate, suspend: None, approval }
}

/// Break-glass of the spec, or the field that is wrong and what to do.
pub(super) fn parse_suspend(written: &api::Suspend) -> Result<Suspension, (&'static str, String)> {
    let api::Suspend { until, reason } = written;
    let until = text::time(until).map_err(|problem| ("until", problem))?;
    let reason = reason.clone().unwrap_or_default();
    if reason.chars().count() > MAX_REASON {
        return Err(("reason", format!("a reason has at most {MAX_REASON} characters")));
    }
    Ok(Suspension { until, reason })
}

fn parse_toleration(written: &Written, path: &str, problems: &mut Problems) -> Option<Toleration> {
    let Written { direction, cidr, security_group_id, prefix_list_id, protocol, ports, description_prefix } = written;
    let direction = match direction.as_str() {
        "Ingress" => Some(Direction::Ingress),
        "Egress" => Some(Direction::Egress),
        other => {
            problems.add(format!("{path}.direction"), format!("'{other}' is not one of Ingress, Egress"));
            None
        }
    };
    let given = [cidr.is_some(), security_group_id.is_some(), prefix_list_id.is_some()].into_iter().filter(|given| *given).count();
    if given > 1 {
        problems.add(path, "a toleration has at most one of cidr, securityGroupId, prefixListId (one list entry per peer)");
    }
    // A description is anybody's to write, so it only narrows; and all of a protocol is too much.
    if given == 0 && ports.is_empty() {
        problems.add(
            path,
            "say what is tolerated: a peer (cidr, securityGroupId or prefixListId) or ports; anything less would tolerate every rule",
        );
    }
    if ports.len() > MAX_TOLERATED_PORTS {
        problems
            .add(format!("{path}.ports"), format!("at most {MAX_TOLERATED_PORTS} ports: merge some into ranges, or add an entry"));
    }
    let peer = if let Some(cidr) = cidr {
        let net = problems.keep(format!("{path}.cidr"), parse_range(cidr.as_str()));
        net.map(range)
    } else if let Some(id) = security_group_id {
        problems.keep(format!("{path}.securityGroupId"), id.parse::<SecurityGroupId>()).map(Peer::group)
    } else if let Some(id) = prefix_list_id {
        problems.keep(format!("{path}.prefixListId"), id.parse::<PrefixListId>()).map(Peer::PrefixList)
    } else {
        None
    };
    if description_prefix.as_ref().is_some_and(|prefix| prefix.is_empty() || prefix.chars().count() > 255) {
        problems.add(format!("{path}.descriptionPrefix"), "a prefix has 1 to 255 characters: leave it out for any description");
    }
    let traffic = parse_tolerated(protocol.as_ref(), ports, path, problems);
    Some(Toleration { direction: direction?, peer, traffic, description_prefix: description_prefix.clone() })
}

/// Protocol and ports of a toleration: without ports, all of the protocol; without either, anything.
fn parse_tolerated(written: Option<&api::Protocol>, ports: &[api::Port], path: &str, problems: &mut Problems) -> Vec<Traffic> {
    let protocol = written.map(|written| problems.keep(format!("{path}.protocol"), parse_protocol(written.as_str())));
    match (protocol.flatten(), written) {
        (Some(protocol @ (Protocol::Tcp | Protocol::Udp)), Some(written)) if !ports.is_empty() => {
            parse_traffic(protocol, written, ports, None, path, problems)
        }
        // What is wrong with the protocol was said.
        (None, Some(_)) => Vec::new(),
        (_, _) if !ports.is_empty() => {
            problems.add(format!("{path}.ports"), "ports go with protocol tcp or udp only: write the protocol, or remove ports");
            Vec::new()
        }
        (Some(Protocol::All), _) => vec![Traffic::All],
        (Some(Protocol::Tcp), _) => vec![Traffic::Tcp(PortRange::EVERY)],
        (Some(Protocol::Udp), _) => vec![Traffic::Udp(PortRange::EVERY)],
        (Some(Protocol::Icmp), _) => vec![Traffic::Icmp(IcmpTypes::All)],
        (Some(Protocol::Icmpv6), _) => vec![Traffic::Icmpv6(IcmpTypes::All)],
        (Some(Protocol::Other(number)), _) => vec![Traffic::Other(number)],
        (None, None) => Vec::new(),
    }
}

pub(super) fn parse_adopt(written: Option<&api::Adopt>, problems: &mut Problems) -> Option<DeclaredAdoption> {
    match written? {
        api::Adopt { group_id: Some(id), by_name: None } => {
            problems.keep("spec.adopt.groupId", id.parse()).map(DeclaredAdoption::Group)
        }
        api::Adopt { group_id: None, by_name: Some(true) } => Some(DeclaredAdoption::ByName),
        api::Adopt { group_id: None, by_name: Some(false) } => {
            problems.add("spec.adopt.byName", "byName can only be true: to create a group of your own, remove adopt");
            None
        }
        api::Adopt { group_id: Some(_), by_name: Some(_) } | api::Adopt { group_id: None, by_name: None } => {
            problems.add("spec.adopt", "adopt is exactly one of groupId, byName, such as {groupId: sg-0123456789abcdef0}");
            None
        }
    }
}
