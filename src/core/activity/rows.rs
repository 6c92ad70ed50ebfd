//! Rules in `CloudTrail`'s forms, made canonical: permissions as clients sent them, and rows as EC2 answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::Value;

use crate::core::model::{AccountId, Peer, RuleId, SecurityGroupId, Traffic};

use super::event::Becomes;
use super::json::{each, member, number, parsed, shown, word, word_or_self};

/// A rule without its direction; `None`: there is one, and it cannot be told.
pub(super) type Shape = Option<Becomes>;

/// A row of a reply.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) group: Option<SecurityGroupId>,
    pub(super) id: Option<RuleId>,
    pub(super) shape: Shape,
}

/// One rule of `securityGroupRuleSet` or `revokedSecurityGroupRuleSet`.
pub(super) fn row(value: &Value, owner: &AccountId) -> Row {
    let owner = parsed(value, "groupOwnerId").unwrap_or_else(|| owner.clone());
    Row { group: parsed(value, "groupId"), id: parsed(value, "securityGroupRuleId"), shape: single(value, &owner) }
}

/// A rule of one peer: a row of a reply, or what a rule is to become.
pub(super) fn single(value: &Value, owner: &AccountId) -> Shape {
    let range = ["cidrIpv4", "cidrIpv6"].iter().find_map(|name| word(value, name));
    let peer = if let Some(range) = range {
        cidr(&range)?
    } else if let Some(list) = word(value, "prefixListId") {
        Peer::PrefixList(list.parse().ok()?)
    } else if let Some(group) = member(value, "referencedGroupInfo") {
        pair(group, owner)?
    } else {
        Peer::group(parsed(value, "referencedGroupId")?)
    };
    Some(Becomes { traffic: traffic(value)?, peer, description: description(value) })
}

/// The description beside a rule or a peer; an empty one is none.
pub(super) fn description(value: &Value) -> Option<String> {
    shown(value, "description")
}

/// The rules of `ipPermissions`: one for each peer. A permission without any is one that cannot be told.
pub(super) fn permissions(list: Option<&Value>, owner: &AccountId) -> Vec<Shape> {
    let range =
        |name: &'static str| move |value: &Value| (word_or_self(value, name).and_then(|text| cidr(&text)), description(value));
    let mut shapes = Vec::new();
    for permission in each(list) {
        let traffic = traffic(permission);
        let groups = each(member(permission, "groups")).iter();
        let mut peers: Vec<(Option<Peer>, Option<String>)> = groups.map(|value| (pair(value, owner), description(value))).collect();
        peers.extend(each(member(permission, "ipRanges")).iter().map(range("cidrIp")));
        peers.extend(each(member(permission, "ipv6Ranges")).iter().map(range("cidrIpv6")));
        peers.extend(each(member(permission, "prefixListIds")).iter().map(|value| (list_id(value), description(value))));
        if peers.is_empty() {
            peers.push((None, None));
        }
        let becomes = |(peer, description): (Option<Peer>, _)| Some(Becomes { traffic: traffic?, peer: peer?, description });
        shapes.extend(peers.into_iter().map(becomes));
    }
    shapes
}

fn list_id(value: &Value) -> Option<Peer> {
    word_or_self(value, "prefixListId")?.parse().ok().map(Peer::PrefixList)
}

/// The rule of the flat form, where protocol, ports and peer stand beside the group (ec2.md §6.3).
pub(super) fn flat(request: &Value) -> Option<Shape> {
    const NAMES: [&str; 3] = ["ipProtocol", "cidrIp", "sourceSecurityGroupName"];
    if NAMES.iter().all(|name| member(request, name).is_none()) {
        return None;
    }
    let peer = || cidr(&word(request, "cidrIp")?);
    let shape = || Some(Becomes { traffic: traffic(request)?, peer: peer()?, description: None });
    Some(shape())
}

fn traffic(value: &Value) -> Option<Traffic> {
    Traffic::from_ec2(&word(value, "ipProtocol")?, number(value, "fromPort"), number(value, "toPort")).ok()
}

/// A group as peer. One by name only (default VPC) cannot be told.
fn pair(value: &Value, owner: &AccountId) -> Option<Peer> {
    let id = word_or_self(value, "groupId")?.parse().ok()?;
    let account = parsed::<AccountId>(value, "userId").filter(|account| account != owner);
    Some(Peer::Group { id, account })
}

/// A range of either family, masked; an address alone is a range of one.
fn cidr(text: &str) -> Option<Peer> {
    if let Ok(net) = text.parse::<Ipv4Net>() {
        return Some(Peer::ipv4(net));
    }
    if let Ok(net) = text.parse::<Ipv6Net>() {
        return Some(Peer::ipv6(net));
    }
    let four = text.parse::<Ipv4Addr>().map(|address| Peer::ipv4(address.into()));
    four.or_else(|_| text.parse::<Ipv6Addr>().map(|address| Peer::ipv6(address.into()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner() -> AccountId {
        "210987654321".parse().unwrap()
    }

    fn texts(list: &Value) -> Vec<String> {
        let show = |shape: Shape| shape.map_or("?".to_owned(), |it| format!("{} / {}", it.traffic, it.peer));
        permissions(Some(list), &owner()).into_iter().map(show).collect()
    }

    #[test]
    fn permissions_as_sent_become_canonical_atoms() {
        let list = json!({"items": [{
            "ipProtocol": "6", "fromPort": "80", "toPort": 81,
            "ipRanges": {"items": [{"cidrIp": "172.16.5.9/12", "description": "x"}, {"cidrIp": "192.0.2.7"}]},
            "ipv6Ranges": {"items": [{"cidrIpv6": "2001:DB8:7:0::9/64"}]},
            "groups": {"items": [
                {"groupId": "sg-77777777777777777", "userId": "210987654321"},
                {"groupId": "sg-77777777777777777", "userId": "109876543210"},
                {"groupName": "by-name"},
            ]},
            "prefixListIds": [{"prefixListId": "pl-77777777"}],
        }, {"ipProtocol": -1, "fromPort": 0, "toPort": 0, "ipRanges": "0.0.0.0/0"}, {"ipProtocol": "tcp", "ipRanges": ["::/0"]}, {"ipProtocol": "-1"}]});
        assert_eq!(
            texts(&list),
            [
                "tcp 80-81 / sg-77777777777777777",
                "tcp 80-81 / 109876543210/sg-77777777777777777",
                "?",
                "tcp 80-81 / 172.16.0.0/12",
                "tcp 80-81 / 192.0.2.7/32",
                "tcp 80-81 / 2001:db8:7::/64",
                "tcp 80-81 / pl-77777777",
                "all / 0.0.0.0/0",
                "?",
                "?",
            ]
        );
    }

    #[test]
    fn a_flat_form_is_there_when_one_of_its_names_is() {
        assert!(flat(&json!({"groupId": "sg-77777777", "ipPermissions": {}})).is_none());
        let told = flat(&json!({"ipProtocol": "udp", "fromPort": 53, "toPort": 53, "cidrIp": "10.1.2.3/16"})).unwrap().unwrap();
        assert_eq!((told.traffic.to_string(), told.peer.to_string()), ("udp 53".into(), "10.1.0.0/16".into()));
        assert_eq!(flat(&json!({"sourceSecurityGroupName": "x"})), Some(None), "it is there, and cannot be told");
    }
}
