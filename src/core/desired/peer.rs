//! One peer as written.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::api;

use super::{DeclaredPeer, Referent, ReferentKind, Who, text};

/// What is wrong with a peer: the field below it (empty: the peer itself) and what to do.
pub(super) type PeerProblem = (&'static str, String);

/// The peer, or everything wrong with it.
pub(super) fn parse(namespace: &str, peer: &api::Peer) -> Result<DeclaredPeer, Vec<PeerProblem>> {
    let api::Peer {
        cidr,
        cidr_set,
        security_group,
        security_group_id,
        account_id,
        prefix_list_id,
        prefix_list_name,
        this,
        description,
    } = peer;
    let mut problems: Vec<PeerProblem> = Vec::new();
    let given = [
        cidr.is_some(),
        cidr_set.is_some(),
        security_group.is_some(),
        security_group_id.is_some(),
        prefix_list_id.is_some(),
        prefix_list_name.is_some(),
        this.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let message = "a peer is exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self (one list entry per peer)";
        return Err(vec![("", message.to_owned())]);
    }
    if account_id.is_some() && security_group_id.is_none() {
        problems.push((
            ".accountId",
            "accountId goes with securityGroupId only: remove it, or name the group by its id in securityGroupId".into(),
        ));
    }
    if *this == Some(false) {
        problems.push((".self", "only true is allowed: remove the entry to leave the group itself out".into()));
    }
    let mut keep = |field: &'static str, problem: String| problems.push((field, problem));
    let who = if let Some(cidr) = cidr {
        parse_range(cidr.as_str()).map(Who::Range).map_err(|problem| keep(".cidr", problem)).ok()
    } else if let Some(reference) = security_group {
        referent(namespace, ReferentKind::SecurityGroup, reference).map_err(|problem| keep(".securityGroup", problem)).ok()
    } else if let Some(reference) = cidr_set {
        referent(namespace, ReferentKind::CidrSet, reference).map_err(|problem| keep(".cidrSet", problem)).ok()
    } else if let Some(name) = prefix_list_name {
        // The lines of the status that pin the id behind it are ASCII.
        if name.is_empty() || name.len() > 255 || name.bytes().any(|b| !matches!(b, b' '..=b'~')) {
            let form = "the name of a prefix list has 1 to 255 ASCII characters, such as com.amazonaws.eu-west-1.s3: write prefixListId for any other";
            keep(".prefixListName", form.to_owned());
        }
        Some(Who::PrefixListName(name.clone()))
    } else if let Some(id) = security_group_id {
        let account = account_id.as_ref().map(|account| account.parse()).transpose();
        let account = account.map_err(|problem: crate::core::model::BadId| keep(".accountId", problem.to_string())).ok();
        let id = id.parse().map_err(|problem: crate::core::model::BadId| keep(".securityGroupId", problem.to_string())).ok();
        id.zip(account).map(|(id, account)| Who::Group { id, account })
    } else if let Some(id) = prefix_list_id {
        id.parse().map(Who::PrefixList).map_err(|problem| keep(".prefixListId", problem.to_string())).ok()
    } else {
        Some(Who::This)
    };
    let description = description.as_deref().map(text::description).transpose();
    match (who, description) {
        (Some(who), Ok(description)) if problems.is_empty() => Ok(DeclaredPeer { who, description: description.flatten() }),
        (_, description) => {
            problems.extend(description.err().map(|problem| (".description", problem)));
            Err(problems)
        }
    }
}

fn referent(namespace: &str, kind: ReferentKind, reference: &api::ObjectReference) -> Result<Who, String> {
    let api::ObjectReference { name, namespace: elsewhere } = reference;
    if !text::is_subdomain(name) {
        return Err(format!("'{name}' is not the name of an object: write its metadata.name, such as {{name: db}}"));
    }
    if let Some(namespace) = elsewhere.as_ref().filter(|namespace| !text::is_label(namespace)) {
        return Err(format!("'{namespace}' is not a namespace: write its name, or leave it out for this one"));
    }
    let namespace = elsewhere.as_deref().unwrap_or(namespace).to_owned();
    Ok(Who::Object(Referent { kind, namespace, name: name.clone() }))
}

/// A CIDR block without host bits, in any spelling of its address.
pub(super) fn parse_range(text: &str) -> Result<IpNet, String> {
    if text.to_ascii_lowercase().contains(":ffff:") && text.contains('.')
        || text.parse::<IpNet>().is_ok_and(|net| matches!(net.addr(), IpAddr::V6(addr) if addr.to_ipv4_mapped().is_some()))
    {
        return Err(format!("'{text}' is IPv4-mapped IPv6, which is refused: write the IPv4 range"));
    }
    if let Ok(addr) = text.parse::<IpAddr>() {
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        return Err(format!("'{text}' is an address, not a range: write '{text}/{bits}'"));
    }
    // Zeros in front, which the parser takes, are octal to some readers: the schema refuses them too.
    let plain =
        text.rsplit_once('/').is_some_and(|(addr, bits)| addr.parse::<IpAddr>().is_ok() && (bits == "0" || !bits.starts_with('0')));
    let Some(net) = text.parse::<IpNet>().ok().filter(|_| plain) else {
        return Err(format!("'{text}' is not a CIDR block: write it like 10.0.0.0/8 or 2001:db8::/32"));
    };
    if net.trunc() != net {
        let single = if net.addr().is_ipv4() { 32 } else { 128 };
        let (range, addr) = (net.trunc(), net.addr());
        return Err(format!("'{text}' has host bits set: write '{range}' for the range or '{addr}/{single}' for the one address"));
    }
    Ok(net)
}
