//! Between the model and the SDK's types.
//!
//! Invariant: total. Every field that makes up a rule is read or the whole is [`Unreadable`]; nothing falls back to a guess.

use std::collections::BTreeMap;
use std::fmt::Display;

use aws_sdk_ec2::types::{
    IpPermission, IpRange, Ipv6Range, NetworkInterface, PrefixListId as SdkPrefixList, RevokedSecurityGroupRule, SecurityGroup,
    SecurityGroupRule, SecurityGroupRuleDescription, SecurityGroupRuleRequest, SecurityGroupRuleUpdate, Tag, UserIdGroupPair, Vpc,
    VpcCidrBlockStateCode,
};

use crate::core::model::{
    AccountId, Atom, Direction, GroupFacts, LiveRule, NewRule, Peer, RuleId, SecurityGroupId, Tags, Traffic, VpcFacts,
};
use crate::ports::cloud::Interface;

/// Something in an answer that this version has no words for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) String);

/// A field that every such thing has.
pub(super) fn required<'a, T: ?Sized>(field: Option<&'a T>, what: &dyn Display, name: &str) -> Result<&'a T, Unreadable> {
    field.ok_or_else(|| Unreadable(format!("{what} has no {name}")))
}

/// A field that must parse.
pub(super) fn parsed<T: std::str::FromStr<Err: Display>>(text: &str, what: &dyn Display) -> Result<T, Unreadable> {
    text.parse().map_err(|error: T::Err| Unreadable(format!("{what}: {error}")))
}

/// EC2 has no empty descriptions; some stand-ins do.
pub(super) fn description(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A network interface, for people: what cannot be read is left out, nothing is decided by it but that it is there.
pub(super) fn interface(row: &NetworkInterface) -> Interface {
    let attached = row.attachment().and_then(|attachment| attachment.instance_id());
    let used_by = attached.or(row.description()).unwrap_or_default();
    Interface { id: row.network_interface_id().unwrap_or("an interface without id").to_owned(), used_by: used_by.to_owned() }
}

/// One row of `DescribeSecurityGroupRules`, with the group it is of.
pub(super) fn rule_of(row: &SecurityGroupRule) -> Result<(SecurityGroupId, LiveRule), Unreadable> {
    let rule = live_rule(row)?;
    let what = format!("rule {}", rule.id);
    Ok((parsed(required(row.group_id(), &what, "group")?, &what)?, rule))
}

/// One row of `DescribeSecurityGroupRules`, or of an answer to Authorize.
pub(super) fn live_rule(row: &SecurityGroupRule) -> Result<LiveRule, Unreadable> {
    let id = required(row.security_group_rule_id(), &"a rule", "id")?;
    let what = format!("rule {id}");
    let direction = if *required(row.is_egress.as_ref(), &what, "direction")? { Direction::Egress } else { Direction::Ingress };
    let protocol = required(row.ip_protocol(), &what, "protocol")?;
    let traffic =
        Traffic::from_ec2(protocol, row.from_port(), row.to_port()).map_err(|error| Unreadable(format!("{what}: {error}")))?;
    let atom = Atom { direction, traffic, peer: peer(row, &what)? };
    Ok(LiveRule { id: parsed(id, &what)?, atom, description: description(row.description()) })
}

/// The one peer of a row.
fn peer(row: &SecurityGroupRule, what: &str) -> Result<Peer, Unreadable> {
    match (row.cidr_ipv4(), row.cidr_ipv6(), row.prefix_list_id(), row.referenced_group_info()) {
        (Some(cidr), None, None, None) => parsed(cidr, &what).map(Peer::ipv4),
        (None, Some(cidr), None, None) => parsed(cidr, &what).map(Peer::ipv6),
        (None, None, Some(list), None) => parsed(list, &what).map(Peer::PrefixList),
        (None, None, None, Some(group)) => {
            let owner = parsed(required(row.group_owner_id(), &what, "owner")?, &what)?;
            group_peer(group.group_id(), group.user_id(), &owner, what)
        }
        (None, None, None, None) => Err(Unreadable(format!("{what} has no peer of a kind this version knows"))),
        _ => Err(Unreadable(format!("{what} has more than one peer"))),
    }
}

/// A group as peer. EC2 names its account even when that is the one of the rule's own group, and none once it is deleted.
pub(super) fn group_peer(id: Option<&str>, account: Option<&str>, owner: &AccountId, what: &str) -> Result<Peer, Unreadable> {
    let id = parsed(required(id, &what, "id of its peer group")?, &what)?;
    let account = account.map(|account| parsed::<AccountId>(account, &what)).transpose()?;
    Ok(Peer::Group { id, account: account.filter(|account| account != owner) })
}

/// The id of a rule that a call revoked.
pub(super) fn revoked(row: &RevokedSecurityGroupRule) -> Result<RuleId, Unreadable> {
    let id = required(row.security_group_rule_id(), &"a revoked rule", "id")?;
    parsed(id, &"a revoked rule")
}

/// A group of `DescribeSecurityGroups`, without its rules.
pub(super) fn group(row: &SecurityGroup) -> Result<GroupFacts, Unreadable> {
    let id = required(row.group_id(), &"a group", "id")?;
    let what = format!("group {id}");
    Ok(GroupFacts {
        id: parsed(id, &what)?,
        arn: row.security_group_arn().map(str::to_owned),
        owner: parsed(required(row.owner_id(), &what, "owner")?, &what)?,
        vpc: parsed(required(row.vpc_id(), &what, "VPC")?, &what)?,
        name: required(row.group_name(), &what, "name")?.to_owned(),
        description: row.description().unwrap_or_default().to_owned(),
        tags: tags(row.tags(), &what)?,
    })
}

fn tags(tags: &[Tag], what: &str) -> Result<Tags, Unreadable> {
    let pair = |tag: &Tag| Ok((required(tag.key(), &what, "key of a tag")?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().map(pair).collect()
}

/// A VPC of `DescribeVpcs`, and its tags.
pub(super) fn vpc(row: &Vpc) -> Result<(VpcFacts, Tags), Unreadable> {
    let id = required(row.vpc_id(), &"a VPC", "id")?;
    let what = format!("VPC {id}");
    let state = |association: &aws_sdk_ec2::types::VpcIpv6CidrBlockAssociation| {
        association.ipv6_cidr_block_state().and_then(|state| state.state()).cloned()
    };
    let ipv6 = row
        .ipv6_cidr_block_association_set()
        .iter()
        .any(|association| state(association) == Some(VpcCidrBlockStateCode::Associated));
    let owner = parsed(required(row.owner_id(), &what, "owner")?, &what)?;
    Ok((VpcFacts { id: parsed(id, &what)?, owner, ipv6 }, tags(row.tags(), &what)?))
}

/// Rules as Authorize takes them: one permission per traffic, with its peers in lists, as EC2 itself shows them.
pub(super) fn permissions(rules: &[NewRule]) -> Vec<IpPermission> {
    let mut by_traffic: BTreeMap<Traffic, Vec<&NewRule>> = BTreeMap::new();
    for rule in rules {
        by_traffic.entry(rule.atom.traffic).or_default().push(rule);
    }
    by_traffic.into_iter().map(|(traffic, rules)| permission(traffic, &rules)).collect()
}

fn permission(traffic: Traffic, rules: &[&NewRule]) -> IpPermission {
    let (protocol, from, to) = traffic.to_ec2();
    let mut permission = IpPermission::builder().ip_protocol(protocol).set_from_port(from).set_to_port(to);
    for NewRule { atom: Atom { direction: _, traffic: _, peer }, description } in rules {
        let description = description.clone();
        permission = match peer {
            Peer::Ipv4(net) => {
                permission.ip_ranges(IpRange::builder().cidr_ip(net.to_string()).set_description(description).build())
            }
            Peer::Ipv6(net) => {
                permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(net.to_string()).set_description(description).build())
            }
            Peer::PrefixList(id) => permission
                .prefix_list_ids(SdkPrefixList::builder().prefix_list_id(id.to_string()).set_description(description).build()),
            Peer::Group { id, account } => permission.user_id_group_pairs(
                UserIdGroupPair::builder()
                    .group_id(id.to_string())
                    .set_user_id(account.as_ref().map(ToString::to_string))
                    .set_description(description)
                    .build(),
            ),
        };
    }
    permission.build()
}

/// What a rule is to become, every field of it: Modify replaces the rule, and what is left out is undefined.
pub(super) fn update(id: &RuleId, rule: &NewRule) -> SecurityGroupRuleUpdate {
    let NewRule { atom: Atom { direction: _, traffic, peer }, description } = rule;
    let (protocol, from, to) = traffic.to_ec2();
    let request = SecurityGroupRuleRequest::builder().ip_protocol(protocol).set_from_port(from).set_to_port(to);
    let request = match peer {
        Peer::Ipv4(net) => request.cidr_ipv4(net.to_string()),
        Peer::Ipv6(net) => request.cidr_ipv6(net.to_string()),
        Peer::PrefixList(id) => request.prefix_list_id(id.to_string()),
        // Modify takes no account: EC2 knows it from the rule.
        Peer::Group { id, account: _ } => request.referenced_group_id(id.to_string()),
    };
    let request = request.set_description(description.clone()).build();
    SecurityGroupRuleUpdate::builder().security_group_rule_id(id.to_string()).security_group_rule(request).build()
}

/// A rule's new description; `None` is left out, which clears it.
pub(super) fn new_description(id: &RuleId, description: Option<&str>) -> SecurityGroupRuleDescription {
    SecurityGroupRuleDescription::builder()
        .security_group_rule_id(id.to_string())
        .set_description(description.map(str::to_owned))
        .build()
}

/// Tags as EC2 takes them, values included, empty ones too.
pub(super) fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::builders::SecurityGroupRuleBuilder;
    use aws_sdk_ec2::types::{ReferencedSecurityGroup, VpcCidrBlockState, VpcIpv6CidrBlockAssociation};
    use proptest::prelude::*;

    use super::*;
    use crate::core::model::{IcmpTypes, PortRange, Protocol};

    const OWNER: &str = "111122223333";

    fn row() -> SecurityGroupRuleBuilder {
        SecurityGroupRule::builder()
            .security_group_rule_id("sgr-0a1b2c3d4e5f67890")
            .group_id("sg-0a1b2c3d")
            .group_owner_id(OWNER)
            .is_egress(false)
            .ip_protocol("tcp")
            .from_port(443)
            .to_port(443)
    }

    fn atom_of(row: SecurityGroupRuleBuilder) -> String {
        live_rule(&row.build()).unwrap().atom.to_string()
    }

    fn refusal(row: SecurityGroupRuleBuilder) -> String {
        live_rule(&row.build()).unwrap_err().to_string()
    }

    #[test]
    fn rows_become_canonical_atoms() {
        assert_eq!(atom_of(row().cidr_ipv4("0.0.0.0/0")), "ingress tcp 443 from 0.0.0.0/0");
        assert_eq!(atom_of(row().cidr_ipv4("100.68.0.18/18")), "ingress tcp 443 from 100.68.0.0/18", "host bits are masked");
        assert_eq!(atom_of(row().cidr_ipv6("2001:DB8:0:0::/32").is_egress(true)), "egress tcp 443 to 2001:db8::/32");
        assert_eq!(atom_of(row().prefix_list_id("pl-0a1b2c3d")), "ingress tcp 443 from pl-0a1b2c3d");
        assert_eq!(atom_of(row().ip_protocol("6").cidr_ipv4("10.0.0.0/8")), "ingress tcp 443 from 10.0.0.0/8");
        let all = row().ip_protocol("-1").from_port(-1).to_port(-1).cidr_ipv4("0.0.0.0/0");
        assert_eq!(atom_of(all), "ingress all from 0.0.0.0/0");
    }

    #[test]
    fn the_own_account_is_left_out_of_a_group_peer() {
        let peer = |account: Option<&str>| {
            ReferencedSecurityGroup::builder().group_id("sg-0b1b2c3d").set_user_id(account.map(str::to_owned)).build()
        };
        assert_eq!(atom_of(row().referenced_group_info(peer(Some(OWNER)))), "ingress tcp 443 from sg-0b1b2c3d");
        assert_eq!(atom_of(row().referenced_group_info(peer(None))), "ingress tcp 443 from sg-0b1b2c3d");
        assert_eq!(
            atom_of(row().referenced_group_info(peer(Some("444455556666")))),
            "ingress tcp 443 from 444455556666/sg-0b1b2c3d"
        );
    }

    #[test]
    fn a_rule_that_cannot_be_read_says_which_and_why() {
        assert_eq!(refusal(row()), "rule sgr-0a1b2c3d4e5f67890 has no peer of a kind this version knows");
        assert_eq!(refusal(row().cidr_ipv4("10.0.0.0/8").cidr_ipv6("::/0")), "rule sgr-0a1b2c3d4e5f67890 has more than one peer");
        assert_eq!(refusal(row().cidr_ipv4("::/0").ip_protocol("gre")), "rule sgr-0a1b2c3d4e5f67890: 'gre' is not a protocol");
        for bad in [
            row().cidr_ipv4("::/0"),
            row().cidr_ipv4("10.0.0.0/8").set_is_egress(None),
            row().cidr_ipv4("10.0.0.0/8").set_from_port(None),
            row().cidr_ipv4("10.0.0.0/8").set_security_group_rule_id(None),
            row().cidr_ipv4("10.0.0.0/8").set_ip_protocol(None),
            row().cidr_ipv4("10.0.0.0/8").security_group_rule_id("sgr-1"),
            row().referenced_group_info(ReferencedSecurityGroup::builder().user_id(OWNER).build()),
            row()
                .referenced_group_info(ReferencedSecurityGroup::builder().group_id("sg-0b1b2c3d").build())
                .set_group_owner_id(None),
        ] {
            assert!(live_rule(&bad.build()).is_err());
        }
    }

    #[test]
    fn no_description_and_an_empty_one_are_one() {
        let text = |text: Option<&str>| {
            live_rule(&row().cidr_ipv4("0.0.0.0/0").set_description(text.map(str::to_owned)).build()).unwrap().description
        };
        assert_eq!(text(None), None);
        assert_eq!(text(Some("")), None);
        assert_eq!(text(Some("web")).as_deref(), Some("web"));
    }

    #[test]
    fn a_vpc_has_ipv6_when_a_range_is_associated() {
        let vpc_with = |states: &[VpcCidrBlockStateCode]| {
            let mut row = Vpc::builder().vpc_id("vpc-0a1b2c3d").owner_id(OWNER);
            for state in states {
                let state = VpcCidrBlockState::builder().state(state.clone()).build();
                row = row
                    .ipv6_cidr_block_association_set(VpcIpv6CidrBlockAssociation::builder().ipv6_cidr_block_state(state).build());
            }
            vpc(&row.build()).unwrap().0.ipv6
        };
        assert!(!vpc_with(&[]));
        assert!(!vpc_with(&[VpcCidrBlockStateCode::Disassociated, VpcCidrBlockStateCode::Associating]));
        assert!(vpc_with(&[VpcCidrBlockStateCode::Disassociated, VpcCidrBlockStateCode::Associated]));
    }

    #[test]
    fn a_group_needs_id_owner_vpc_and_name() {
        let full = || SecurityGroup::builder().group_id("sg-0a1b2c3d").owner_id(OWNER).vpc_id("vpc-0a1b2c3d").group_name("web");
        let tagged = group(&full().tags(Tag::builder().key("team").build()).build()).unwrap();
        assert_eq!(tagged.tags, Tags::from([("team".into(), String::new())]));
        for bad in [full().set_group_id(None), full().set_owner_id(None), full().set_vpc_id(None), full().set_group_name(None)] {
            assert!(group(&bad.build()).is_err());
        }
    }

    #[test]
    fn rules_of_equal_traffic_share_a_permission() {
        let rule = |text: &str, about: &str| NewRule { atom: text.parse().unwrap(), description: Some(about.into()) };
        let list = permissions(&[
            rule("ingress tcp 443 from 10.0.0.0/8", "a"),
            rule("ingress all from sg-0a1b2c3d", "b"),
            rule("ingress tcp 443 from ::/0", "c"),
            rule("ingress tcp 443 from 444455556666/sg-0a1b2c3d", "d"),
        ]);
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].ip_protocol(), list[0].from_port(), list[0].to_port()), (Some("-1"), None, None));
        assert_eq!(list[0].user_id_group_pairs()[0].user_id(), None, "no account for a group of our own");
        assert_eq!(list[1].ip_ranges()[0].description(), Some("a"));
        assert_eq!(list[1].ipv6_ranges()[0].description(), Some("c"));
        assert_eq!(list[1].user_id_group_pairs()[0].user_id(), Some("444455556666"));
    }

    fn traffics() -> impl Strategy<Value = Traffic> {
        let ports = || (any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
        let types = || {
            prop_oneof![
                Just(IcmpTypes::All),
                any::<u8>().prop_map(IcmpTypes::Type),
                any::<(u8, u8)>().prop_map(|(kind, code)| IcmpTypes::TypeCode(kind, code)),
            ]
        };
        prop_oneof![
            Just(Traffic::All),
            ports().prop_map(Traffic::Tcp),
            ports().prop_map(Traffic::Udp),
            types().prop_map(Traffic::Icmp),
            types().prop_map(Traffic::Icmpv6),
            any::<u8>().prop_filter_map("a number without a name", |number| match Protocol::from_number(number) {
                Protocol::Other(number) => Some(Traffic::Other(number)),
                Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Icmp | Protocol::Icmpv6 => None,
            }),
        ]
    }

    fn peers() -> impl Strategy<Value = Peer> {
        let account = prop::option::of("[0-9]{12}".prop_filter("another account", |id| id != OWNER));
        prop_oneof![
            (any::<u32>(), 0..=32_u8).prop_map(|(bits, len)| Peer::ipv4(ipnet::Ipv4Net::new(bits.into(), len).unwrap())),
            (any::<u128>(), 0..=128_u8).prop_map(|(bits, len)| Peer::ipv6(ipnet::Ipv6Net::new(bits.into(), len).unwrap())),
            "pl-[0-9a-f]{17}".prop_map(|id| Peer::PrefixList(id.parse().unwrap())),
            ("sg-[0-9a-f]{17}", account)
                .prop_map(|(id, account)| Peer::Group { id: id.parse().unwrap(), account: account.map(|id| id.parse().unwrap()) }),
        ]
    }

    fn new_rules() -> impl Strategy<Value = NewRule> {
        let direction = prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)];
        (direction, traffics(), peers(), prop::option::of("[a-z ]{1,20}"))
            .prop_map(|(direction, traffic, peer, description)| NewRule { atom: Atom { direction, traffic, peer }, description })
    }

    /// The rows EC2 makes of a permission: a row a peer, ports -1 where it keeps none, the account always named.
    fn rows_of(direction: Direction, permission: &IpPermission) -> Vec<SecurityGroupRule> {
        let base = |about: Option<&str>| {
            row()
                .is_egress(direction == Direction::Egress)
                .set_ip_protocol(permission.ip_protocol.clone())
                .from_port(permission.from_port().unwrap_or(-1))
                .to_port(permission.to_port().unwrap_or(-1))
                .set_description(about.map(str::to_owned))
        };
        let mut rows = Vec::new();
        rows.extend(permission.ip_ranges().iter().map(|peer| base(peer.description()).set_cidr_ipv4(peer.cidr_ip.clone())));
        rows.extend(permission.ipv6_ranges().iter().map(|peer| base(peer.description()).set_cidr_ipv6(peer.cidr_ipv6.clone())));
        rows.extend(
            permission
                .prefix_list_ids()
                .iter()
                .map(|peer| base(peer.description()).set_prefix_list_id(peer.prefix_list_id.clone())),
        );
        rows.extend(permission.user_id_group_pairs().iter().map(|peer| {
            let group =
                ReferencedSecurityGroup::builder().set_group_id(peer.group_id.clone()).user_id(peer.user_id().unwrap_or(OWNER));
            base(peer.description()).referenced_group_info(group.build())
        }));
        rows.into_iter().map(SecurityGroupRuleBuilder::build).collect()
    }

    proptest! {
        #[test]
        fn what_is_authorized_reads_back(rules in prop::collection::vec(new_rules(), 0..20)) {
            for direction in Direction::BOTH {
                let mut sent: Vec<NewRule> = rules.iter().filter(|rule| rule.atom.direction == direction).cloned().collect();
                let rows = permissions(&sent).iter().flat_map(|permission| rows_of(direction, permission)).collect::<Vec<_>>();
                let mut back: Vec<NewRule> = rows
                    .iter()
                    .map(|row| live_rule(row).map(|rule| NewRule { atom: rule.atom, description: rule.description }))
                    .collect::<Result<_, _>>()
                    .unwrap();
                let key = |rule: &NewRule| (rule.atom.clone(), rule.description.clone());
                sent.sort_by_key(key);
                back.sort_by_key(key);
                prop_assert_eq!(sent, back);
            }
        }

        #[test]
        fn what_a_rule_is_modified_to_reads_back(rule in new_rules()) {
            let id: RuleId = "sgr-0a1b2c3d4e5f67890".parse().unwrap();
            let update = update(&id, &rule);
            let request = update.security_group_rule().unwrap();
            let group = request.referenced_group_id().map(|group| {
                let account = match &rule.atom.peer {
                    Peer::Group { id: _, account: Some(account) } => account.as_str(),
                    Peer::Group { id: _, account: None } | Peer::Ipv4(_) | Peer::Ipv6(_) | Peer::PrefixList(_) => OWNER,
                };
                ReferencedSecurityGroup::builder().group_id(group).user_id(account).build()
            });
            let row = row()
                .set_security_group_rule_id(update.security_group_rule_id.clone())
                .is_egress(rule.atom.direction == Direction::Egress)
                .set_ip_protocol(request.ip_protocol.clone())
                .set_from_port(request.from_port)
                .set_to_port(request.to_port)
                .set_cidr_ipv4(request.cidr_ipv4.clone())
                .set_cidr_ipv6(request.cidr_ipv6.clone())
                .set_prefix_list_id(request.prefix_list_id.clone())
                .set_referenced_group_info(group)
                .set_description(request.description.clone())
                .build();
            prop_assert_eq!(live_rule(&row).unwrap(), LiveRule { id, atom: rule.atom, description: rule.description });
        }
    }
}
