//! What holds for any rules: both reads tell the same, what is authorized can be revoked, a request is all or nothing.

use crate::support::{Node, VPC, World, peer_of};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// `protocol[/from..to] peer [description]` in any spelling that EC2 takes.
fn rule() -> impl Strategy<Value = String> {
    let ports = (0..70_u32, 0..3_u32).prop_map(|(from, more)| format!("/{from}..{}", from + more));
    let what = prop_oneof![
        ports.clone().prop_map(|ports| format!("tcp{ports}")),
        ports.clone().prop_map(|ports| format!("6{ports}")),
        ports.prop_map(|ports| format!("UDP{ports}")),
        Just("icmp/8..0".to_owned()),
        Just("icmp/-1..-1".to_owned()),
        Just("icmpv6".to_owned()),
        Just("58/-1..-1".to_owned()),
        Just("-1".to_owned()),
        Just("-1/22..22".to_owned()),
        Just("50".to_owned()),
    ];
    let peer = prop_oneof![
        (0..4_u8, 0..4_u8, 8..25_u8).prop_map(|(a, b, length)| format!("10.{a}.0.{b}/{length}")),
        (0..4_u8, 32..65_u8).prop_map(|(a, length)| format!("2001:DB8:{a}:0::1/{length}")),
    ];
    let description = prop_oneof![Just(String::new()), "[a-z]{1,5}".prop_map(|text| format!(" {text}"))];
    (what, peer, description).prop_map(|(what, peer, description)| format!("{what} {peer}{description}"))
}

fn refs(rules: &[String]) -> Vec<&str> {
    rules.iter().map(String::as_str).collect()
}

/// What `DescribeSecurityGroups` shows, taken apart to one peer each.
fn taken_apart(group: &Node) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    for (list, direction) in [("ipPermissions", "in"), ("ipPermissionsEgress", "out")] {
        for permission in group.items(list) {
            let port = |name: &str| permission.get(name).map_or("-1", |node| node.text.as_str()).to_owned();
            let what = format!("{direction} {}/{}-{}", permission.text("ipProtocol"), port("fromPort"), port("toPort"));
            for (list, member) in [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6"), ("groups", "groupId")] {
                for peer in permission.items(list) {
                    rows.insert(format!("{what} {} {}", peer.text(member), peer.text("description")));
                }
            }
        }
    }
    rows
}

fn row_by_row(world: &World, group: &str) -> BTreeSet<String> {
    let body = world.call("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)]).ok();
    let show = |row: &Node| {
        let direction = if row.text("isEgress") == "true" { "out" } else { "in" };
        let what = format!("{direction} {}/{}-{}", row.text("ipProtocol"), row.text("fromPort"), row.text("toPort"));
        format!("{what} {} {}", peer_of(row), row.text("description"))
    };
    body.items("securityGroupRuleSet").iter().map(show).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_reads_tell_the_same_rules(batches in prop::collection::vec(prop::collection::vec(rule(), 1..6), 1..6)) {
        let world = World::new();
        let web = world.group(VPC, "web");
        for batch in &batches {
            world.allow(&web, &refs(batch));
        }
        prop_assert_eq!(taken_apart(&world.described(&web)), row_by_row(&world, &web));
    }

    #[test]
    fn a_request_is_taken_whole_or_not_at_all(first in prop::collection::vec(rule(), 1..6), second in prop::collection::vec(rule(), 1..6)) {
        let world = World::new();
        let web = world.group(VPC, "web");
        world.allow(&web, &refs(&first));
        let before = row_by_row(&world, &web);
        let answer = world.allow(&web, &refs(&second));
        let after = row_by_row(&world, &web);
        if answer.status == 200 {
            prop_assert_eq!(after.len(), before.len() + second.len());
            prop_assert!(before.is_subset(&after));
        } else {
            prop_assert!(["InvalidPermission.Duplicate", "InvalidParameterValue"].contains(&answer.code()), "{}", answer.code());
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn what_was_authorized_is_revoked_by_the_same_words_or_by_its_ids(rules in prop::collection::vec(rule(), 1..8), by_id in any::<bool>()) {
        let world = World::new();
        let web = world.group(VPC, "web");
        let before = row_by_row(&world, &web);
        let made = world.allow(&web, &refs(&rules));
        prop_assume!(made.status == 200);
        if by_id {
            let ids = made.body.texts("securityGroupRuleSet", "securityGroupRuleId");
            let names: Vec<String> = (1..=ids.len()).map(|n| format!("SecurityGroupRuleId.{n}")).collect();
            let mut params = vec![("GroupId", web.as_str())];
            params.extend(names.iter().map(String::as_str).zip(ids.iter().map(String::as_str)));
            world.call("RevokeSecurityGroupIngress", &params).ok();
        } else {
            world.revoke(&web, &refs(&rules)).ok();
        }
        prop_assert_eq!(row_by_row(&world, &web), before);
    }

    #[test]
    fn authorizing_what_a_read_shows_is_always_a_duplicate(rules in prop::collection::vec(rule(), 1..8)) {
        let world = World::new();
        let web = world.group(VPC, "web");
        world.allow(&web, &refs(&rules));
        let body = world.call("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &web)]).ok();
        for row in body.items("securityGroupRuleSet") {
            let what = format!("{}/{}..{}", row.text("ipProtocol"), row.text("fromPort"), row.text("toPort"));
            let twin = if row.text("isEgress") == "true" { "AuthorizeSecurityGroupEgress" } else { "AuthorizeSecurityGroupIngress" };
            let answer = world.rules(twin, &web, &[&format!("{what} {}", peer_of(row))]);
            prop_assert_eq!(answer.code(), "InvalidPermission.Duplicate", "{} {}", what, peer_of(row));
        }
    }
}
