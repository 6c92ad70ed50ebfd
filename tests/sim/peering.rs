//! References across VPCs: peering, stale rules, associations (ec2.md §1, §1.4, §2).

use crate::support::{VPC, VPC6, World};

/// The other account's VPC, peered with ours.
fn peered(world: &World) -> (String, String) {
    let other = world.other();
    let made = other.call("CreateVpc", &[("CidrBlock", "10.77.0.0/16")]).ok();
    let theirs = made.text("vpc/vpcId").to_owned();
    let params = [("VpcId", VPC), ("PeerVpcId", theirs.as_str()), ("PeerOwnerId", "444455556666")];
    let peering = world.call("CreateVpcPeeringConnection", &params).ok();
    let id = peering.text("vpcPeeringConnection/vpcPeeringConnectionId").to_owned();
    other.call("AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &id)]).ok();
    (theirs, id)
}

fn reference(world: &World, group: &str, peer: &str, owner: Option<&str>) -> crate::support::Answer {
    let mut params = vec![
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "443"),
        ("IpPermissions.1.ToPort", "443"),
        ("IpPermissions.1.Groups.1.GroupId", peer),
    ];
    params.extend(owner.map(|owner| ("IpPermissions.1.Groups.1.UserId", owner)));
    world.call("AuthorizeSecurityGroupIngress", &params)
}

#[test]
fn a_group_of_a_peered_vpc_of_another_account_is_named_with_its_owner() {
    let world = World::new();
    let other = world.other();
    let theirs_vpc = other.call("CreateVpc", &[("CidrBlock", "10.78.0.0/16")]).ok().text("vpc/vpcId").to_owned();
    let stranger = other.group(&theirs_vpc, "stranger");
    let web = world.group(VPC, "web");
    reference(&world, &web, &stranger, Some("444455556666")).says("InvalidGroup.NotFound", "different networks");
    let (vpc, peering) = peered(&world);
    let theirs = other.group(&vpc, "theirs");
    reference(&world, &web, &theirs, None).fails("InvalidGroup.NotFound");
    reference(&world, &web, &theirs, Some("444455556666")).ok();
    let shown = world.described(&web);
    let pair = &shown.items("ipPermissions")[0].items("groups")[0];
    assert_eq!((pair.text("userId"), pair.text("vpcId")), ("444455556666", vpc.as_str()));
    assert_eq!((pair.text("vpcPeeringConnectionId"), pair.text("peeringStatus")), (peering.as_str(), "active"));
}

#[test]
fn references_across_a_peering_are_listed_do_not_block_deletion_and_go_stale() {
    let world = World::new();
    let other = world.other();
    let (vpc, _) = peered(&world);
    let (web, theirs) = (world.group(VPC, "web"), other.group(&vpc, "theirs"));
    reference(&world, &web, &theirs, Some("444455556666")).ok();
    let found = other.call("DescribeSecurityGroupReferences", &[("GroupId.1", &theirs)]).ok();
    assert_eq!(found.texts("securityGroupReferenceSet", "referencingVpcId"), [VPC]);
    let stale = || world.call("DescribeStaleSecurityGroups", &[("VpcId", VPC)]).ok();
    assert!(stale().items("staleSecurityGroupSet").is_empty());
    other.call("DeleteSecurityGroup", &[("GroupId", &theirs)]).ok();
    let rows = stale();
    assert_eq!(rows.texts("staleSecurityGroupSet", "groupId"), [web.as_str()]);
    assert_eq!(rows.items("staleSecurityGroupSet")[0].items("staleIpPermissions").len(), 1);
    let shown = world.described(&web);
    assert!(shown.items("ipPermissions")[0].items("groups")[0].get("userId").is_none());
    assert_eq!(world.ingress(&web), [format!("tcp/443-443 {theirs}")]);
    world.revoke(&web, &[&format!("tcp/443 {theirs}")]).ok();
    assert!(stale().items("staleSecurityGroupSet").is_empty());
}

#[test]
fn a_deleted_peering_makes_its_references_stale() {
    let world = World::new();
    let (vpc, peering) = peered(&world);
    let (web, theirs) = (world.group(VPC, "web"), world.other().group(&vpc, "theirs"));
    reference(&world, &web, &theirs, Some("444455556666")).ok();
    world.call("DeleteVpcPeeringConnection", &[("VpcPeeringConnectionId", &peering)]).ok();
    let rows = world.call("DescribeStaleSecurityGroups", &[("VpcId", VPC)]).ok();
    assert_eq!(rows.items("staleSecurityGroupSet").len(), 1);
    let shown = world.described(&web);
    assert_eq!(shown.items("ipPermissions")[0].items("groups")[0].text("peeringStatus"), "deleted");
}

#[test]
fn references_within_a_vpc_are_not_listed() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    world.allow(&db, &[&format!("tcp/1 {web}")]).ok();
    let found = world.call("DescribeSecurityGroupReferences", &[("GroupId.1", &web)]).ok();
    assert!(found.items("securityGroupReferenceSet").is_empty());
    world.call("DescribeSecurityGroupReferences", &[]).fails("MissingParameter");
}

#[test]
fn a_group_can_be_lent_to_another_vpc_and_then_counts_there() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let pair = [("GroupId", web.as_str()), ("VpcId", VPC6)];
    assert_eq!(world.call("AssociateSecurityGroupVpc", &pair).ok().text("state"), "associating");
    let shown =
        world.call("DescribeSecurityGroupVpcAssociations", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &web)]).ok();
    assert_eq!(shown.texts("securityGroupVpcAssociationSet", "state"), ["associated"]);
    let usable =
        world.call("GetSecurityGroupsForVpc", &[("VpcId", VPC6), ("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &web)]).ok();
    assert_eq!(usable.texts("securityGroupForVpcSet", "primaryVpcId"), [VPC]);
    let inner = world.group(VPC6, "inner");
    world.allow(&inner, &[&format!("tcp/1 {web}")]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).fails("DependencyViolation");
    assert_eq!(world.call("DisassociateSecurityGroupVpc", &pair).ok().text("state"), "disassociating");
    let stale = world.call("DescribeStaleSecurityGroups", &[("VpcId", VPC6)]).ok();
    assert_eq!(stale.texts("staleSecurityGroupSet", "groupId"), [inner.as_str()]);
}

#[test]
fn neither_default_groups_nor_the_default_vpc_take_part_in_associations() {
    let world = World::new();
    let body = world.call("DescribeSecurityGroups", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", VPC)]).ok();
    let default = body.items("securityGroupInfo")[0].text("groupId");
    assert_eq!(world.call("AssociateSecurityGroupVpc", &[("GroupId", default), ("VpcId", VPC6)]).status, 400);
    let web = world.group(VPC, "web");
    let vpc = world.sim.default_vpc("111122223333", "eu-west-1").unwrap();
    assert_eq!(world.call("AssociateSecurityGroupVpc", &[("GroupId", &web), ("VpcId", &vpc)]).status, 400);
}

#[test]
fn groups_for_a_vpc_take_the_five_filters_that_are_documented_and_no_tags() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let find = |name, value| {
        world.call("GetSecurityGroupsForVpc", &[("VpcId", VPC), ("Filter.1.Name", name), ("Filter.1.Value.1", value)])
    };
    for (name, value) in [("group-id", web.as_str()), ("group-name", "w?b"), ("owner-id", "111122223333"), ("primary-vpc-id", VPC)]
    {
        let found = find(name, value).ok().texts("securityGroupForVpcSet", "groupId");
        assert!(found.contains(&web), "{name}: {found:?}");
    }
    find("tag-key", "Name").fails("InvalidFilter");
    find("tag:Name", "web").fails("InvalidFilter");
}
