//! Groups with their rules as `DescribeSecurityGroups` shows them: peers of equal protocol and ports together, without ids.
//!
//! Entry point: [`group`].
//!
//! Invariant: what comes out is what `DescribeSecurityGroupRules` says of the same group, but for the ids.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{IpPermission, SecurityGroup};

use super::convert::{self, Unreadable, description, group_peer, parsed, required};
use crate::core::model::{AccountId, Atom, Direction, ListedGroup, Peer, Traffic};

/// Rules by what they allow, with their descriptions.
type Rules = BTreeMap<Atom, Option<String>>;

/// A group of `DescribeSecurityGroups`.
pub(super) fn group(row: &SecurityGroup) -> Result<ListedGroup, Unreadable> {
    let group = convert::group(row)?;
    let what = format!("group {}", group.id);
    let mut rules = Rules::new();
    for (direction, permissions) in [(Direction::Ingress, row.ip_permissions()), (Direction::Egress, row.ip_permissions_egress())] {
        for permission in permissions {
            take(&mut rules, direction, permission, &group.owner, &what)?;
        }
    }
    Ok(ListedGroup { group, rules })
}

/// Takes a permission apart.
fn take(
    rules: &mut Rules,
    direction: Direction,
    permission: &IpPermission,
    owner: &AccountId,
    what: &str,
) -> Result<(), Unreadable> {
    let protocol = required(permission.ip_protocol(), &format!("a permission of {what}"), "protocol")?;
    let what = format!("a permission of {what} for {direction} of protocol {protocol}");
    let traffic = Traffic::from_ec2(protocol, permission.from_port(), permission.to_port())
        .map_err(|error| Unreadable(format!("{what}: {error}")))?;
    let mut peers: Vec<(Peer, Option<&str>)> = Vec::new();
    for range in permission.ip_ranges() {
        let cidr = required(range.cidr_ip(), &what, "block in one of its ranges")?;
        peers.push((Peer::ipv4(parsed(cidr, &what)?), range.description()));
    }
    for range in permission.ipv6_ranges() {
        let cidr = required(range.cidr_ipv6(), &what, "block in one of its IPv6 ranges")?;
        peers.push((Peer::ipv6(parsed(cidr, &what)?), range.description()));
    }
    for list in permission.prefix_list_ids() {
        let id = required(list.prefix_list_id(), &what, "id of one of its prefix lists")?;
        peers.push((Peer::PrefixList(parsed(id, &what)?), list.description()));
    }
    for pair in permission.user_id_group_pairs() {
        peers.push((group_peer(pair.group_id(), pair.user_id(), owner, &what)?, pair.description()));
    }
    if peers.is_empty() {
        // EC2 shows no permission without a peer: this one's is of a kind that came after this version.
        return Err(Unreadable(format!("{what} has no peer of a kind this version knows")));
    }
    for (peer, text) in peers {
        let text = description(text);
        // EC2 has an atom once. Should it show one twice, it is live all the same, and stopping a whole Region over it would
        // protect nothing. Which description counts must not depend on the order, which EC2 does not keep.
        let held = rules.entry(Atom { direction, traffic, peer }).or_insert_with(|| text.clone());
        if *held < text {
            *held = text;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::builders::{IpPermissionBuilder, SecurityGroupBuilder};
    use aws_sdk_ec2::types::{IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};

    use super::*;

    const OWNER: &str = "111122223333";

    fn row() -> SecurityGroupBuilder {
        SecurityGroup::builder().group_id("sg-0a1b2c3d").owner_id(OWNER).vpc_id("vpc-0a1b2c3d").group_name("web")
    }

    fn tcp(from: i32, to: i32) -> IpPermissionBuilder {
        IpPermission::builder().ip_protocol("tcp").from_port(from).to_port(to)
    }

    fn v4(cidr: &str, about: Option<&str>) -> IpRange {
        IpRange::builder().cidr_ip(cidr).set_description(about.map(str::to_owned)).build()
    }

    fn texts(row: SecurityGroupBuilder) -> Vec<String> {
        let listed = group(&row.build()).unwrap();
        listed.rules.iter().map(|(atom, about)| format!("{atom} | {}", about.as_deref().unwrap_or("-"))).collect()
    }

    fn refusal(permission: IpPermissionBuilder) -> String {
        group(&row().ip_permissions(permission.build()).build()).unwrap_err().to_string()
    }

    #[test]
    fn merged_peers_are_told_apart_and_written_as_single_rules_are() {
        let pair = |group: &str, account: Option<&str>| {
            UserIdGroupPair::builder().group_id(group).set_user_id(account.map(str::to_owned)).description("db").build()
        };
        let many = tcp(443, 443)
            .ip_ranges(v4("100.68.0.18/18", Some("office")))
            .ip_ranges(v4("0.0.0.0/0", Some("")))
            .ipv6_ranges(Ipv6Range::builder().cidr_ipv6("2001:DB8:0:0::/32").description("six").build())
            .prefix_list_ids(PrefixListId::builder().prefix_list_id("pl-0a1b2c3d").build())
            .user_id_group_pairs(pair("sg-0b1b2c3d", Some(OWNER)))
            .user_id_group_pairs(pair("sg-0b1b2c3e", None))
            .user_id_group_pairs(pair("sg-0b1b2c3f", Some("444455556666")));
        let all = IpPermission::builder().ip_protocol("-1").ip_ranges(v4("0.0.0.0/0", None));
        assert_eq!(
            texts(row().ip_permissions(many.build()).ip_permissions_egress(all.build())),
            [
                "ingress tcp 443 from 0.0.0.0/0 | -",
                "ingress tcp 443 from 100.68.0.0/18 | office",
                "ingress tcp 443 from 2001:db8::/32 | six",
                "ingress tcp 443 from pl-0a1b2c3d | -",
                "ingress tcp 443 from sg-0b1b2c3d | db",
                "ingress tcp 443 from sg-0b1b2c3e | db",
                "ingress tcp 443 from 444455556666/sg-0b1b2c3f | db",
                "egress all to 0.0.0.0/0 | -",
            ]
        );
    }

    #[test]
    fn protocols_are_canonical_and_ports_of_those_without_any_are_dropped() {
        let of = |protocol: &str, ports: Option<(i32, i32)>| {
            let (from, to) = ports.unzip();
            let permission = IpPermission::builder().ip_protocol(protocol).set_from_port(from).set_to_port(to);
            texts(row().ip_permissions(permission.ip_ranges(v4("10.0.0.0/8", None)).build()))
        };
        assert_eq!(of("6", Some((1, 2))), ["ingress tcp 1-2 from 10.0.0.0/8 | -"]);
        assert_eq!(of("icmp", Some((3, 4))), ["ingress icmp type 3 code 4 from 10.0.0.0/8 | -"]);
        assert_eq!(of("58", None), ["ingress icmpv6 from 10.0.0.0/8 | -"]);
        assert_eq!(of("50", None), of("50", Some((0, 0))));
        assert_eq!(of("-1", None), of("-1", Some((-1, -1))));
    }

    #[test]
    fn an_atom_that_is_shown_twice_is_one_whatever_the_order() {
        let shown = |first: Option<&str>, second: Option<&str>| {
            let of = |about: Option<&str>| tcp(443, 443).ip_ranges(v4("10.0.0.0/8", about)).build();
            texts(row().ip_permissions(of(first)).ip_permissions(of(second)))
        };
        assert_eq!(shown(Some("a"), None), ["ingress tcp 443 from 10.0.0.0/8 | a"]);
        for (one, other) in [(Some("a"), None), (Some("a"), Some("b")), (None, None)] {
            assert_eq!(shown(one, other), shown(other, one));
        }
    }

    #[test]
    fn a_permission_that_cannot_be_read_says_whose_it_is_and_why() {
        assert_eq!(
            refusal(tcp(443, 443)),
            "a permission of group sg-0a1b2c3d for ingress of protocol tcp has no peer of a kind this version knows"
        );
        assert_eq!(
            refusal(tcp(443, 1).ip_ranges(v4("10.0.0.0/8", None))),
            "a permission of group sg-0a1b2c3d for ingress of protocol tcp: ports 443 to 1 are not a range from lower to higher \
             within 0 to 65535"
        );
        assert_eq!(refusal(tcp(1, 1).set_ip_protocol(None)), "a permission of group sg-0a1b2c3d has no protocol");
        for bad in [
            tcp(1, 1).ip_ranges(v4("10.0.0.0", None)),
            tcp(1, 1).ip_ranges(IpRange::builder().build()),
            tcp(1, 1).ipv6_ranges(Ipv6Range::builder().cidr_ipv6("10.0.0.0/8").build()),
            tcp(1, 1).prefix_list_ids(PrefixListId::builder().prefix_list_id("pl-1").build()),
            tcp(1, 1).user_id_group_pairs(UserIdGroupPair::builder().group_name("web").build()),
            tcp(i32::MIN, i32::MAX).ip_ranges(v4("10.0.0.0/8", None)),
            IpPermission::builder().ip_protocol("tcp").ip_ranges(v4("10.0.0.0/8", None)),
            IpPermission::builder().ip_protocol("icmp").from_port(-1).to_port(7).ip_ranges(v4("10.0.0.0/8", None)),
            IpPermission::builder().ip_protocol("é").ip_ranges(v4("10.0.0.0/8", None)),
        ] {
            assert!(refusal(bad).starts_with("a permission of group sg-0a1b2c3d"));
        }
    }
}
