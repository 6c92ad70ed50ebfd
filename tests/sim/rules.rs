//! Authorize, Revoke, descriptions: atomicity, duplicates, both ways to name a rule (ec2.md §1.1).

use crate::support::{VPC, World, peer_of};

#[test]
fn authorize_answers_with_the_rules_it_made_in_canonical_form_with_ids_and_arns() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let body = world.allow(&web, &["6/443 10.0.0.18/24 office"]).ok();
    let [rule] = body.items("securityGroupRuleSet") else { panic!("one rule") };
    let id = rule.text("securityGroupRuleId");
    assert!(id.starts_with("sgr-0") && id.len() == 21, "{id}");
    assert_eq!(rule.text("securityGroupRuleArn"), format!("arn:aws:ec2:eu-west-1:111122223333:security-group-rule/{id}"));
    assert_eq!(rule.text("groupOwnerId"), "111122223333");
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.0.0.0/24 \"office\""]);
}

#[test]
fn authorizing_one_rule_that_exists_adds_none_of_the_others() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24"]).ok();
    let again = world.allow(&web, &["tcp/80 10.0.0.0/24", "tcp/443 10.0.0.0/24 another description"]);
    again.says(
        "InvalidPermission.Duplicate",
        "the specified rule \"peer: 10.0.0.0/24, TCP, from port: 443, to port: 443, ALLOW\" already exists",
    );
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.0.0.0/24"]);
}

#[test]
fn another_spelling_of_the_same_rule_is_a_duplicate() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 100.68.0.18/18", "udp/53 2001:DB8:0:0::/32", "-1 10.0.0.0/8"]).ok();
    for same in ["6/443 100.68.0.0/18", "TCP/443 100.68.0.1/18", "17/53 2001:db8::1/32", "-1/0 10.0.0.0/8"] {
        world.allow(&web, &[same]).fails("InvalidPermission.Duplicate");
    }
}

#[test]
fn the_same_rule_twice_in_one_request_is_refused_even_if_descriptions_or_host_bits_differ() {
    let world = World::new();
    let web = world.group(VPC, "web");
    for twice in [
        ["tcp/443 10.0.0.0/24 a", "tcp/443 10.0.0.0/24 b"],
        ["tcp/443 10.0.0.0/24", "tcp/443 10.0.0.9/24"],
        ["tcp/443 2001:db8::/32", "tcp/443 2001:DB8:0::/32"],
        ["6/443 10.0.0.0/24", "tcp/443 10.0.0.0/24"],
    ] {
        world.allow(&web, &twice).says("InvalidParameterValue", "The same permission must not appear multiple times");
    }
    assert!(world.ingress(&web).is_empty());
}

#[test]
fn the_two_directions_are_apart() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24"]).ok();
    world.rules("AuthorizeSecurityGroupEgress", &web, &["tcp/443 10.0.0.0/24"]).ok();
    world
        .rules("AuthorizeSecurityGroupEgress", &web, &["-1 0.0.0.0/0"])
        .says("InvalidPermission.Duplicate", "peer: 0.0.0.0/0, ALL, ALLOW");
    let id = world.rule_id(&web, "0.0.0.0/0");
    let by_id = [("GroupId", web.as_str()), ("SecurityGroupRuleId.1", id.as_str())];
    world.call("RevokeSecurityGroupIngress", &by_id).fails("InvalidSecurityGroupRuleId.NotFound");
    world.call("RevokeSecurityGroupEgress", &by_id).ok();
    assert_eq!(world.live(&web), ["in tcp/443-443 10.0.0.0/24", "out tcp/443-443 10.0.0.0/24"]);
}

#[test]
fn one_miss_in_a_revoke_by_properties_revokes_nothing_outside_the_default_vpc() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24", "tcp/80 10.0.0.0/24"]).ok();
    world.revoke(&web, &["tcp/443 10.0.0.0/24", "tcp/81 10.0.0.0/24"]).fails("InvalidPermission.NotFound");
    world.revoke(&web, &["tcp/443..444 10.0.0.0/24"]).fails("InvalidPermission.NotFound");
    assert_eq!(world.ingress(&web).len(), 2);
    let body = world.revoke(&web, &["6/443 10.0.0.7/24 any description"]).ok();
    let [revoked] = body.items("revokedSecurityGroupRuleSet") else { panic!("one rule") };
    assert_eq!((peer_of(revoked).as_str(), revoked.text("isEgress")), ("10.0.0.0/24", "false"));
    assert!(body.get("unknownIpPermissionSet").is_none());
    assert_eq!(world.ingress(&web), ["tcp/80-80 10.0.0.0/24"]);
}

#[test]
fn in_the_default_vpc_a_miss_is_reported_not_refused() {
    let world = World::new();
    let vpc = world.sim.default_vpc("111122223333", "eu-west-1").unwrap();
    let web = world.group(&vpc, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24"]).ok();
    let body = world.revoke(&web, &["tcp/443 10.0.0.0/24", "tcp/81 10.0.0.0/24"]).ok();
    assert_eq!(body.text("return"), "true");
    assert_eq!(body.items("revokedSecurityGroupRuleSet").len(), 1);
    let [unknown] = body.items("unknownIpPermissionSet") else { panic!("one unknown") };
    assert_eq!((unknown.text("fromPort"), unknown.items("ipRanges")[0].text("cidrIp")), ("81", "10.0.0.0/24"));
    let egress = world.rules("RevokeSecurityGroupEgress", &web, &["tcp/1 10.0.0.0/24"]).ok();
    assert_eq!(egress.items("unknownIpPermissionSet").len(), 1);
    let by_id = [("GroupId", web.as_str()), ("SecurityGroupRuleId.1", "sgr-0ffffffffffffffff")];
    world.call("RevokeSecurityGroupIngress", &by_id).fails("InvalidSecurityGroupRuleId.NotFound");
}

#[test]
fn revoke_by_id_takes_rules_of_this_group_only_and_all_or_nothing() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    world.allow(&web, &["tcp/443 10.0.0.0/24"]).ok();
    world.allow(&db, &["tcp/5432 10.0.1.0/24"]).ok();
    let (own, foreign) = (world.rule_id(&web, "10.0.0.0/24"), world.rule_id(&db, "10.0.1.0/24"));
    let call = |ids: &[&str]| {
        let names: Vec<String> = (1..=ids.len()).map(|n| format!("SecurityGroupRuleId.{n}")).collect();
        let mut params = vec![("GroupId", web.as_str())];
        params.extend(names.iter().map(String::as_str).zip(ids.iter().copied()));
        world.call("RevokeSecurityGroupIngress", &params)
    };
    call(&[&own, &foreign]).says("InvalidSecurityGroupRuleId.NotFound", &foreign);
    call(&["sgr-1"]).fails("InvalidSecurityGroupRuleId.Malformed");
    assert_eq!(world.ingress(&web).len(), 1);
    assert_eq!(call(&[&own]).ok().items("revokedSecurityGroupRuleSet").len(), 1);
    assert!(world.ingress(&web).is_empty());
}

#[test]
fn ids_and_permissions_may_not_be_combined_and_one_of_them_is_needed() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.call("RevokeSecurityGroupIngress", &[("GroupId", &web)]).fails("MissingParameter");
    world.call("AuthorizeSecurityGroupIngress", &[("GroupId", &web)]).fails("MissingParameter");
    let both = [
        ("GroupId", web.as_str()),
        ("SecurityGroupRuleId.1", "sgr-0ffffffffffffffff"),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
    ];
    world.call("RevokeSecurityGroupIngress", &both).fails("InvalidParameterCombination");
}

#[test]
fn the_legacy_flat_parameters_work_for_ingress_and_are_refused_for_egress() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let flat = [("GroupId", web.as_str()), ("IpProtocol", "tcp"), ("FromPort", "22"), ("ToPort", "22"), ("CidrIp", "10.0.0.0/8")];
    world.call("AuthorizeSecurityGroupIngress", &flat).ok();
    assert_eq!(world.ingress(&web), ["tcp/22-22 10.0.0.0/8"]);
    world.call("RevokeSecurityGroupIngress", &flat).ok();
    assert!(world.ingress(&web).is_empty());
    assert_eq!(world.call("AuthorizeSecurityGroupEgress", &flat).status, 400);
}

#[test]
fn a_source_group_by_name_alone_stands_for_all_of_tcp_udp_and_icmp_in_the_default_vpc() {
    let world = World::new();
    world.call("CreateSecurityGroup", &[("GroupName", "a"), ("GroupDescription", "d")]).ok();
    let b = world.call("CreateSecurityGroup", &[("GroupName", "b"), ("GroupDescription", "d")]).ok().text("groupId").to_owned();
    world.call("AuthorizeSecurityGroupIngress", &[("GroupName", "a"), ("SourceSecurityGroupName", "b")]).ok();
    let a = world.call("DescribeSecurityGroups", &[("GroupName.1", "a")]).ok();
    let id = a.items("securityGroupInfo")[0].text("groupId");
    assert_eq!(world.ingress(id), [format!("icmp/-1--1 {b}"), format!("tcp/0-65535 {b}"), format!("udp/0-65535 {b}")]);
}

#[test]
fn descriptions_change_by_permission_or_by_id_and_an_omitted_one_is_cleared() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24 old", "tcp/80 10.0.0.0/24 kept"]).ok();
    let update = "UpdateSecurityGroupRuleDescriptionsIngress";
    world.rules(update, &web, &["6/443 10.0.0.9/24 new"]).ok();
    assert_eq!(world.ingress(&web), ["tcp/443-443 10.0.0.0/24 \"new\"", "tcp/80-80 10.0.0.0/24 \"kept\""]);
    world.rules(update, &web, &["tcp/443 10.0.0.0/24"]).ok();
    assert_eq!(world.ingress(&web)[0], "tcp/443-443 10.0.0.0/24");
    world.rules(update, &web, &["tcp/81 10.0.0.0/24 x"]).fails("InvalidPermission.NotFound");
    world.rules(update, &web, &["tcp/80 10.0.0.0/24 what?"]).says("InvalidParameterValue", "Invalid rule description");
    world.rules("UpdateSecurityGroupRuleDescriptionsEgress", &web, &["-1 0.0.0.0/0 out"]).ok();
    assert_eq!(world.egress(&web), ["-1/-1--1 0.0.0.0/0 \"out\""]);
    let id = world.rule_id(&web, "0.0.0.0/0");
    let by_id = [("GroupId", web.as_str()), ("SecurityGroupRuleDescription.1.SecurityGroupRuleId", id.as_str())];
    world.call(update, &by_id).fails("InvalidSecurityGroupRuleId.NotFound");
    world.call("UpdateSecurityGroupRuleDescriptionsEgress", &by_id).ok();
    assert_eq!(world.egress(&web), ["-1/-1--1 0.0.0.0/0"]);
}

#[test]
fn descriptions_of_all_protocols_are_named_without_ports() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let update = world.rules("UpdateSecurityGroupRuleDescriptionsEgress", &web, &["-1/0 0.0.0.0/0 x"]);
    update.says("InvalidParameterValue", "When protocol is ALL, you cannot specify from-port");
}

#[test]
fn updating_descriptions_by_id_and_by_permission_at_once_is_refused() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let both = [
        ("GroupId", web.as_str()),
        ("SecurityGroupRuleDescription.1.SecurityGroupRuleId", "sgr-0ffffffffffffffff"),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    let answer = world.call("UpdateSecurityGroupRuleDescriptionsEgress", &both);
    answer.says("InvalidParameterCombination", "may not be used in combination");
}

#[test]
fn rule_descriptions_keep_to_their_charset_where_ampersand_is_allowed() {
    let world = World::new();
    let web = world.group(VPC, "web");
    for bad in ["it's", "what?", "50%", "a<b", "größe"] {
        world.allow(&web, &[&format!("tcp/1 10.0.0.0/8 {bad}")]).says("InvalidParameterValue", "Invalid rule description");
    }
    world.allow(&web, &[&format!("tcp/1 10.0.0.0/8 {}", "x".repeat(256))]).fails("InvalidParameterValue");
    world.allow(&web, &["tcp/1 10.0.0.0/8 a & b. _-:/()#,@[]+=;{}!$*"]).ok();
    world.allow(&web, &[&format!("tcp/2 10.0.0.0/8 {}", "x".repeat(255))]).ok();
}

#[test]
fn an_empty_description_is_no_description() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 10.0.0.0/8 "]).ok();
    let shown = world.described(&web);
    assert!(shown.items("ipPermissions")[0].items("ipRanges")[0].get("description").is_none());
    assert_eq!(world.ingress(&web), ["tcp/1-1 10.0.0.0/8"]);
}

#[test]
fn a_dry_run_changes_nothing_and_answers_412() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let params = [
        ("GroupId", web.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("DryRun", "true"),
    ];
    let answer = world.call("AuthorizeSecurityGroupIngress", &params);
    assert_eq!((answer.status, answer.code()), (412, "DryRunOperation"));
    assert_eq!(answer.message(), "Request would have succeeded, but DryRun flag is set.");
    assert!(world.ingress(&web).is_empty());
    assert_eq!(world.call("DescribeSecurityGroups", &[("DryRun", "true")]).status, 412);
}
