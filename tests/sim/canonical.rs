//! What EC2 stores and shows (ec2.md §2).

use crate::support::{VPC, World};

#[test]
fn four_protocols_are_shown_by_name_and_the_others_by_number() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world
        .allow(&web, &["6/1 10.0.0.1/32", "17/1 10.0.0.2/32", "1/8..0 10.0.0.3/32", "58/-1 2001:db8::1/128", "50 10.0.0.5/32"])
        .ok();
    let shown = world.ingress(&web);
    assert_eq!(
        shown,
        [
            "50/-1--1 10.0.0.5/32",
            "icmp/8-0 10.0.0.3/32",
            "icmpv6/-1--1 2001:db8::1/128",
            "tcp/1-1 10.0.0.1/32",
            "udp/1-1 10.0.0.2/32"
        ]
    );
    for bad in ["any", "256", "-2", "tcpp"] {
        world.allow(&web, &[&format!("{bad}/1 10.0.0.0/8")]).fails("InvalidParameterValue");
    }
}

#[test]
fn ports_of_all_and_of_numbered_protocols_are_ignored_omitted_by_groups_and_minus_one_by_rules() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let body = world.allow(&web, &["-1/22 10.0.0.0/8", "47/22 10.0.0.0/8"]).ok();
    for rule in body.items("securityGroupRuleSet") {
        assert_eq!((rule.text("fromPort"), rule.text("toPort")), ("-1", "-1"));
    }
    assert_eq!(world.ingress(&web), ["-1/-1--1 10.0.0.0/8", "47/-1--1 10.0.0.0/8"]);
    for permission in world.described(&web).items("ipPermissions") {
        assert!(permission.get("fromPort").is_none() && permission.get("toPort").is_none());
    }
}

#[test]
fn tcp_and_udp_need_both_ports_in_range_and_in_order() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp 10.0.0.0/8"]).says("InvalidParameterValue", "Must specify both from and to ports with TCP/UDP.");
    for bad in ["tcp/-1", "tcp/65536", "tcp/443..80", "udp/-1..5"] {
        world.allow(&web, &[&format!("{bad} 10.0.0.0/8")]).fails("InvalidParameterValue");
    }
    let half = [
        ("GroupId", web.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
    ];
    world.call("AuthorizeSecurityGroupIngress", &half).fails("InvalidParameterValue");
    world.allow(&web, &["tcp/0..65535 10.0.0.0/8", "-1 10.0.0.0/8"]).ok();
}

#[test]
fn icmp_takes_type_and_code_and_all_types_mean_all_codes() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["icmp 10.0.0.0/8"]).fails("InvalidParameterValue");
    world.allow(&web, &["icmp/-1..3 10.0.0.0/8"]).fails("InvalidParameterValue");
    world.allow(&web, &["icmp/256..0 10.0.0.0/8"]).fails("InvalidParameterValue");
    world.allow(&web, &["icmp/8..-1 10.0.0.0/8", "icmp/-1 10.1.0.0/16"]).ok();
    assert_eq!(world.ingress(&web), ["icmp/-1--1 10.1.0.0/16", "icmp/8--1 10.0.0.0/8"]);
}

#[test]
fn icmpv6_may_leave_type_and_code_out_and_reads_back_minus_one_in_both_reads() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["icmpv6 2001:db8::/32"]).ok();
    world.allow(&web, &["icmpv6/-1 2001:db8::/32"]).fails("InvalidPermission.Duplicate");
    let shown = world.described(&web);
    assert_eq!(shown.items("ipPermissions")[0].text("fromPort"), "-1");
    assert_eq!(world.ingress(&web), ["icmpv6/-1--1 2001:db8::/32"]);
}

#[test]
fn cidrs_are_masked_and_ipv6_is_written_as_rfc_5952_where_a_single_zero_group_stays() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world
        .allow(
            &web,
            &[
                "tcp/1 100.68.0.18/18",
                "tcp/1 2001:DB8:0:0::/32",
                "tcp/1 2001:db8:1:0:1:1:1:1/128",
                "tcp/1 2001:0db8:0:0:1:0:0:1/128",
            ],
        )
        .ok();
    assert_eq!(
        world.ingress(&web),
        ["tcp/1-1 100.68.0.0/18", "tcp/1-1 2001:db8:1:0:1:1:1:1/128", "tcp/1-1 2001:db8::/32", "tcp/1-1 2001:db8::1:0:0:1/128"]
    );
    for bad in ["10.0.0.0", "10.0.0.0/33", "300.0.0.0/8", "10.0.0/8", "2001:db8::/129", "::ffff:10.0.0.1/128"] {
        world.allow(&web, &[&format!("tcp/1 {bad}")]).fails("InvalidParameterValue");
    }
    let wrong_list =
        [("GroupId", web.as_str()), ("IpPermissions.1.IpProtocol", "-1"), ("IpPermissions.1.IpRanges.1.CidrIp", "2001:db8::/32")];
    world.call("AuthorizeSecurityGroupIngress", &wrong_list).fails("InvalidParameterValue");
}

#[test]
fn groups_merge_peers_of_equal_protocol_and_ports_and_rules_show_one_row_each() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    let peers = ["tcp/443 10.0.0.0/24 a", "tcp/443 10.0.1.0/24", "tcp/443 2001:db8::/32", "tcp/80 10.0.0.0/24"];
    world.allow(&web, &peers).ok();
    world.allow(&web, &[&format!("tcp/443 {db} from db")]).ok();
    assert_eq!(world.ingress(&web).len(), 5);
    let shown = world.described(&web);
    let permissions = shown.items("ipPermissions");
    assert_eq!(permissions.len(), 2);
    let https = permissions.iter().find(|permission| permission.text("fromPort") == "443").unwrap();
    assert_eq!(https.texts("ipRanges", "cidrIp"), ["10.0.0.0/24", "10.0.1.0/24"]);
    assert_eq!(https.texts("ipRanges", "description"), ["a", ""]);
    assert_eq!(https.texts("ipv6Ranges", "cidrIpv6"), ["2001:db8::/32"]);
    assert_eq!(https.texts("groups", "groupId"), [db.as_str()]);
    assert_eq!(https.texts("groups", "userId"), ["111122223333"]);
    assert!(https.items("groups")[0].get("groupName").is_none());
    assert!(https.items("groups")[0].get("vpcId").is_none());
    let empty = permissions.iter().find(|permission| permission.text("fromPort") == "80").unwrap();
    assert!(empty.get("groups").is_some() && empty.items("groups").is_empty());
}

#[test]
fn a_referenced_group_is_shown_with_its_owner_in_rules_too() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    let body = world.allow(&db, &[&format!("tcp/5432 {web}")]).ok();
    let rule = &body.items("securityGroupRuleSet")[0];
    assert_eq!(rule.text("referencedGroupInfo/groupId"), web);
    assert_eq!(rule.text("referencedGroupInfo/userId"), "111122223333");
    let revoked = world.revoke(&db, &[&format!("tcp/5432 {web}")]).ok();
    assert_eq!(revoked.items("revokedSecurityGroupRuleSet")[0].text("referencedGroupId"), web);
}

#[test]
fn a_referenced_group_must_exist_be_reachable_and_be_named_with_its_owner() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 sg-0ffffffffffffffff"]).fails("InvalidGroup.NotFound");
    world.allow(&web, &["tcp/1 sg-short"]).fails("InvalidGroupId.Malformed");
    let elsewhere = world.group(crate::support::VPC6, "elsewhere");
    world.allow(&web, &[&format!("tcp/1 {elsewhere}")]).says("InvalidGroup.NotFound", "different networks");
    let wrong_owner = [
        ("GroupId", web.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.Groups.1.GroupId", web.as_str()),
        ("IpPermissions.1.Groups.1.UserId", "999999999999"),
    ];
    world.call("AuthorizeSecurityGroupIngress", &wrong_owner).fails("InvalidGroup.NotFound");
}

#[test]
fn a_permission_needs_a_peer_and_a_protocol() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let without_peer = [("GroupId", web.as_str()), ("IpPermissions.1.IpProtocol", "-1")];
    world.call("AuthorizeSecurityGroupIngress", &without_peer).fails("MissingParameter");
    let without_protocol = [("GroupId", web.as_str()), ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8")];
    world.call("AuthorizeSecurityGroupIngress", &without_protocol).fails("InvalidParameterValue");
}
