//! `ModifySecurityGroupRules` (ec2.md §1.1).

use crate::support::{Answer, VPC, World};

fn modify(world: &World, group: &str, changes: &[&[(&str, &str)]]) -> Answer {
    let mut params = vec![("GroupId".to_owned(), group.to_owned())];
    for (n, change) in changes.iter().enumerate() {
        for (name, value) in *change {
            let inner = if *name == "Id" { "SecurityGroupRuleId".to_owned() } else { format!("SecurityGroupRule.{name}") };
            params.push((format!("SecurityGroupRule.{}.{inner}", n + 1), (*value).to_owned()));
        }
    }
    let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    world.call("ModifySecurityGroupRules", &params)
}

const HTTPS: &[(&str, &str)] = &[("IpProtocol", "tcp"), ("FromPort", "443"), ("ToPort", "443")];

fn change<'c>(id: &'c str, more: &[(&'c str, &'c str)]) -> Vec<(&'c str, &'c str)> {
    [&[("Id", id)], HTTPS, more].concat()
}

#[test]
fn a_rule_changes_in_place_and_keeps_its_id_and_tags() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/80 10.0.0.0/24 old"]).ok();
    let id = world.rule_id(&web, "10.0.0.0/24");
    world.call("CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")]).ok();
    let body = modify(&world, &web, &[&change(&id, &[("CidrIpv4", "10.1.0.9/24"), ("Description", "new")])]).ok();
    assert_eq!(body.text("return"), "true");
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.1.0.0/24 \"new\""]);
    assert_eq!(world.rule_id(&web, "10.1.0.0/24"), id);
    let rows = world.call("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", &id)]).ok();
    assert_eq!(rows.items("securityGroupRuleSet")[0].items("tagSet")[0].text("value"), "v");
}

#[test]
fn an_omitted_description_is_cleared_as_in_any_full_replacement() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24 old"]).ok();
    let id = world.rule_id(&web, "10.0.0.0/24");
    modify(&world, &web, &[&change(&id, &[("CidrIpv4", "10.0.0.0/24")])]).ok();
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.0.0.0/24"]);
}

#[test]
fn the_kind_of_peer_cannot_change_and_exactly_one_is_needed() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24"]).ok();
    let id = world.rule_id(&web, "10.0.0.0/24");
    modify(&world, &web, &[&change(&id, &[("CidrIpv6", "2001:db8::/32")])]).fails("InvalidParameterValue");
    modify(&world, &web, &[&change(&id, &[("ReferencedGroupId", &web)])]).fails("InvalidParameterValue");
    modify(&world, &web, &[&change(&id, &[])]).fails("MissingParameter");
    let both = change(&id, &[("CidrIpv4", "10.0.0.0/8"), ("CidrIpv6", "2001:db8::/32")]);
    modify(&world, &web, &[&both]).fails("InvalidParameterCombination");
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.0.0.0/24"]);
}

#[test]
fn tcp_and_udp_need_both_ports_and_any_change_a_protocol() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24"]).ok();
    let id = world.rule_id(&web, "10.0.0.0/24");
    let half = [("Id", id.as_str()), ("IpProtocol", "tcp"), ("FromPort", "1"), ("CidrIpv4", "10.0.0.0/24")];
    modify(&world, &web, &[&half]).says("InvalidParameterValue", "Must specify both from and to ports with TCP/UDP.");
    modify(&world, &web, &[&[("Id", id.as_str()), ("CidrIpv4", "10.0.0.0/24")]]).fails("MissingParameter");
}

#[test]
fn a_change_into_a_rule_that_exists_is_a_duplicate_and_nothing_of_the_request_is_done() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24", "tcp/443 10.0.1.0/24"]).ok();
    let (a, b) = (world.rule_id(&web, "10.0.0.0/24"), world.rule_id(&web, "10.0.1.0/24"));
    let clash = [change(&a, &[("CidrIpv4", "10.2.0.0/24")]), change(&b, &[("CidrIpv4", "10.2.0.0/24")])];
    modify(&world, &web, &[&clash[0], &clash[1]]).fails("InvalidPermission.Duplicate");
    modify(&world, &web, &[&change(&a, &[("CidrIpv4", "10.0.1.0/24")])]).fails("InvalidPermission.Duplicate");
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.0.0.0/24", "tcp/443-443 10.0.1.0/24"]);
    let swap = [change(&a, &[("CidrIpv4", "10.0.1.0/24")]), change(&b, &[("CidrIpv4", "10.0.0.0/24")])];
    modify(&world, &web, &[&swap[0], &swap[1]]).ok();
    assert_eq!(world.rule_id(&web, "10.0.1.0/24"), a);
}

#[test]
fn rules_of_other_groups_and_unknown_ones_are_not_found() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    world.allow(&db, &["tcp/443 10.0.0.0/24"]).ok();
    let id = world.rule_id(&db, "10.0.0.0/24");
    modify(&world, &web, &[&change(&id, &[("CidrIpv4", "10.0.0.0/8")])]).fails("InvalidSecurityGroupRuleId.NotFound");
    modify(&world, &web, &[&change("sgr-x", &[("CidrIpv4", "10.0.0.0/8")])]).fails("InvalidSecurityGroupRuleId.Malformed");
    modify(&world, &web, &[]).fails("MissingParameter");
    modify(&world, "sg-0ffffffffffffffff", &[&change(&id, &[])]).fails("InvalidGroup.NotFound");
}

#[test]
fn egress_rules_are_modified_by_the_same_call_and_stay_egress() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let id = world.rule_id(&web, "0.0.0.0/0");
    modify(&world, &web, &[&change(&id, &[("CidrIpv4", "10.0.0.0/8")])]).ok();
    assert_eq!(world.live(&web), ["out tcp/443-443 10.0.0.0/8"]);
}

#[test]
fn every_kind_of_peer_can_be_changed_within_its_kind() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    let list = |name: &str| {
        let params = [("PrefixListName", name), ("AddressFamily", "IPv4"), ("MaxEntries", "2")];
        world.call("CreateManagedPrefixList", &params).ok().text("prefixList/prefixListId").to_owned()
    };
    let (a, b) = (list("a"), list("b"));
    world.allow(&web, &["tcp/443 2001:db8::/32", &format!("tcp/443 {web}"), &format!("tcp/443 {a}")]).ok();
    let ids = [world.rule_id(&web, "2001:db8::/32"), world.rule_id(&web, &web), world.rule_id(&web, &a)];
    let changes = [
        change(&ids[0], &[("CidrIpv6", "2001:DB8:1::9/48")]),
        change(&ids[1], &[("ReferencedGroupId", &db)]),
        change(&ids[2], &[("PrefixListId", &b)]),
    ];
    modify(&world, &web, &[&changes[0], &changes[1], &changes[2]]).ok();
    let after = [world.rule_id(&web, "2001:db8:1::/48"), world.rule_id(&web, &db), world.rule_id(&web, &b)];
    assert_eq!(after, ids);
    modify(&world, &web, &[&change(&ids[2], &[("PrefixListId", "pl-0ffffffffffffffff")])]).fails("InvalidPrefixListID.NotFound");
    modify(&world, &web, &[&change(&ids[1], &[("ReferencedGroupId", "sg-0ffffffffffffffff")])]).fails("InvalidGroup.NotFound");
}
