//! Creating, reading and deleting groups (ec2.md §1, §1.4, §2).

use crate::support::{KEY, VPC, VPC6, World};

#[test]
fn every_vpc_is_born_with_a_default_group_that_lets_itself_in_and_everything_out() {
    let world = World::new();
    let filters = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", VPC6)];
    let body = world.call("DescribeSecurityGroups", &filters).ok();
    let [group] = body.items("securityGroupInfo") else { panic!("one group") };
    let id = group.text("groupId");
    assert_eq!(group.text("groupName"), "default");
    assert_eq!(world.live(id), [format!("in -1/-1--1 {id}"), "out -1/-1--1 0.0.0.0/0".into(), "out -1/-1--1 ::/0".into()]);
}

#[test]
fn a_new_group_lets_everything_out_and_nothing_in_with_an_ipv6_twin_only_where_the_vpc_has_ipv6() {
    let world = World::new();
    assert_eq!(world.live(&world.group(VPC, "web")), ["out -1/-1--1 0.0.0.0/0"]);
    assert_eq!(world.live(&world.group(VPC6, "web")), ["out -1/-1--1 0.0.0.0/0", "out -1/-1--1 ::/0"]);
}

#[test]
fn create_returns_id_arn_and_tags() {
    let world = World::new();
    let made = world
        .call(
            "CreateSecurityGroup",
            &[
                ("GroupName", "web"),
                ("GroupDescription", "web tier"),
                ("VpcId", VPC),
                ("TagSpecification.1.ResourceType", "security-group"),
                ("TagSpecification.1.Tag.1.Key", "team"),
                ("TagSpecification.1.Tag.1.Value", "shop"),
            ],
        )
        .ok();
    let id = made.text("groupId");
    assert!(id.starts_with("sg-0") && id.len() == 20, "{id}");
    assert_eq!(made.text("securityGroupArn"), format!("arn:aws:ec2:eu-west-1:111122223333:security-group/{id}"));
    assert_eq!(made.items("tagSet")[0].text("key"), "team");
    let shown = world.described(id);
    assert_eq!(shown.text("ownerId"), "111122223333");
    assert_eq!(shown.text("groupDescription"), "web tier");
    assert_eq!(shown.text("vpcId"), VPC);
    assert_eq!(shown.items("tagSet")[0].text("value"), "shop");
}

#[test]
fn names_are_unique_in_a_vpc_whatever_their_case_and_trailing_spaces_are_trimmed() {
    let world = World::new();
    let id = world.group(VPC, "Web  ");
    assert_eq!(world.described(&id).text("groupName"), "Web");
    let again = world.call("CreateSecurityGroup", &[("GroupName", "wEB"), ("GroupDescription", "d"), ("VpcId", VPC)]);
    again.says("InvalidGroup.Duplicate", "already exists");
    world.group(VPC6, "web");
}

#[test]
fn names_and_descriptions_keep_to_their_charset_and_length() {
    let world = World::new();
    let create = |name: &str, description: &str| {
        world.call("CreateSecurityGroup", &[("GroupName", name), ("GroupDescription", description), ("VpcId", VPC)])
    };
    create("sg-web", "d").fails("InvalidParameterValue");
    create("default", "d").fails("InvalidGroup.Reserved");
    create("a'b", "d").fails("InvalidParameterValue");
    create("größe", "d").fails("InvalidParameterValue");
    create(&"x".repeat(256), "d").fails("InvalidParameterValue");
    create("web", "what?").says("InvalidParameterValue", "Invalid security group description");
    create("web", &"x".repeat(256)).fails("InvalidParameterValue");
    create("web", "").fails("MissingParameter");
    create("", "d").fails("MissingParameter");
    create(&"x".repeat(255), "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*").ok();
}

#[test]
fn a_group_needs_a_vpc_that_exists_and_lands_in_the_default_one_if_none_is_named() {
    let world = World::new();
    let create = |vpc: &str| world.call("CreateSecurityGroup", &[("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", vpc)]);
    create("vpc-0ffffffffffffffff").fails("InvalidVpcID.NotFound");
    create("nonsense").fails("InvalidVpcId.Malformed");
    let made = world.call("CreateSecurityGroup", &[("GroupName", "g"), ("GroupDescription", "d")]).ok();
    let vpc = world.sim.default_vpc("111122223333", "eu-west-1").unwrap();
    assert_eq!(world.described(made.text("groupId")).text("vpcId"), vpc);
}

#[test]
fn delete_returns_the_id_and_then_the_group_is_not_found() {
    let world = World::new();
    let id = world.group(VPC, "web");
    let gone = world.call("DeleteSecurityGroup", &[("GroupId", &id)]).ok();
    assert_eq!((gone.text("return"), gone.text("groupId")), ("true", id.as_str()));
    world.call("DeleteSecurityGroup", &[("GroupId", &id)]).says("InvalidGroup.NotFound", &id);
    world.call("DescribeSecurityGroups", &[("GroupId.1", &id)]).fails("InvalidGroup.NotFound");
    world.call("DescribeSecurityGroups", &[("GroupId.1", "web")]).fails("InvalidGroupId.Malformed");
}

#[test]
fn an_unknown_id_in_a_filter_is_no_error_but_an_empty_answer() {
    let world = World::new();
    let filters = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", "sg-0ffffffffffffffff")];
    assert!(world.call("DescribeSecurityGroups", &filters).ok().items("securityGroupInfo").is_empty());
    assert!(world.call("DescribeSecurityGroupRules", &filters).ok().items("securityGroupRuleSet").is_empty());
}

#[test]
fn the_default_group_cannot_be_deleted() {
    let world = World::new();
    let filters = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", VPC)];
    let body = world.call("DescribeSecurityGroups", &filters).ok();
    let id = body.items("securityGroupInfo")[0].text("groupId");
    world.call("DeleteSecurityGroup", &[("GroupId", id)]).fails("CannotDelete");
}

#[test]
fn a_group_that_another_of_its_vpc_refers_to_cannot_be_deleted() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    world.allow(&db, &[&format!("tcp/5432 {web}")]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).says("DependencyViolation", "has a dependent object");
    world.revoke(&db, &[&format!("tcp/5432 {web}")]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).ok();
}

#[test]
fn a_reference_to_itself_must_be_removed_before_a_group_is_deleted() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &[&format!("tcp/5432 {web}")]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).fails("DependencyViolation");
    world.revoke(&web, &[&format!("tcp/5432 {web}")]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).ok();
}

#[test]
fn groups_of_the_default_vpc_go_by_name_too_and_no_others_do() {
    let world = World::new();
    world.call("CreateSecurityGroup", &[("GroupName", "legacy"), ("GroupDescription", "d")]).ok();
    world.group(VPC, "other");
    let found = world.call("DescribeSecurityGroups", &[("GroupName.1", "legacy")]).ok();
    assert_eq!(found.items("securityGroupInfo").len(), 1);
    world.call("DescribeSecurityGroups", &[("GroupName.1", "other")]).fails("InvalidGroup.NotFound");
    let params = [("GroupName", "legacy"), ("IpProtocol", "tcp"), ("FromPort", "22"), ("ToPort", "22"), ("CidrIp", "10.0.0.0/8")];
    world.call("AuthorizeSecurityGroupIngress", &params).ok();
    world.call("DeleteSecurityGroup", &[("GroupName", "legacy")]).ok();
}

#[test]
fn accounts_and_regions_are_kept_apart() {
    let mut world = World::new();
    let id = world.group(VPC, "web");
    world.other().call("DescribeSecurityGroups", &[("GroupId.1", &id)]).fails("InvalidGroup.NotFound");
    world.region = "us-east-1";
    world.call("DescribeSecurityGroups", &[("GroupId.1", &id)]).fails("InvalidGroup.NotFound");
    let body = world.call("DescribeVpcs", &[]).ok();
    let [vpc] = body.items("vpcSet") else { panic!("one default VPC a Region") };
    assert_eq!(vpc.text("isDefault"), "true");
    assert_eq!(world.key, KEY);
}

#[test]
fn a_vpc_with_groups_or_subnets_cannot_be_deleted_and_takes_its_default_group_along() {
    let world = World::new();
    let made = world.call("CreateVpc", &[("CidrBlock", "10.9.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")]).ok();
    let vpc = made.text("vpc/vpcId").to_owned();
    assert!(made.items("vpc/ipv6CidrBlockAssociationSet")[0].text("ipv6CidrBlock").ends_with("::/56"));
    let web = world.group(&vpc, "web");
    assert_eq!(world.egress(&web).len(), 2);
    world.call("DeleteVpc", &[("VpcId", &vpc)]).fails("DependencyViolation");
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).ok();
    world.call("DeleteVpc", &[("VpcId", &vpc)]).ok();
    world.call("DescribeVpcs", &[("VpcId.1", &vpc)]).fails("InvalidVpcID.NotFound");
    let filters = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
    assert!(world.call("DescribeSecurityGroups", &filters).ok().items("securityGroupInfo").is_empty());
    world.call("CreateVpc", &[("CidrBlock", "10.0.0.0/8")]).fails("InvalidVpc.Range");
    world.call("CreateVpc", &[("CidrBlock", "ten")]).fails("InvalidParameterValue");
}

#[test]
fn regions_are_listed_by_name_and_status() {
    let world = World::new();
    let body = world.call("DescribeRegions", &[("RegionName.1", "eu-west-1")]).ok();
    assert_eq!(body.texts("regionInfo", "regionEndpoint"), ["ec2.eu-west-1.amazonaws.com"]);
    let (some, all) = (world.call("DescribeRegions", &[]).ok(), world.call("DescribeRegions", &[("AllRegions", "true")]).ok());
    assert!(some.items("regionInfo").len() < all.items("regionInfo").len());
    world.call("DescribeRegions", &[("RegionName.1", "eu-nowhere-1")]).fails("InvalidParameterValue");
}
