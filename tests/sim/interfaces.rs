//! Subnets and network interfaces: what holds groups in use (ec2.md §1, §1.4, §3).

use crate::support::{VPC, VPC6, World};

fn subnet(world: &World, vpc: &str, cidr: &str) -> String {
    world.call("CreateSubnet", &[("VpcId", vpc), ("CidrBlock", cidr)]).ok().text("subnet/subnetId").to_owned()
}

fn interface(world: &World, subnet: &str, groups: &[&str]) -> crate::support::Answer {
    let names: Vec<String> = (1..=groups.len()).map(|n| format!("SecurityGroupId.{n}")).collect();
    let mut params = vec![("SubnetId", subnet)];
    params.extend(names.iter().map(String::as_str).zip(groups.iter().copied()));
    world.call("CreateNetworkInterface", &params)
}

#[test]
fn a_group_on_an_interface_cannot_be_deleted_until_the_interface_lets_go() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    let made = interface(&world, &subnet(&world, VPC, "10.0.1.0/24"), &[&web]).ok();
    let eni = made.text("networkInterface/networkInterfaceId").to_owned();
    assert_eq!(made.text("networkInterface/status"), "available");
    assert_eq!(made.text("networkInterface/availabilityZoneId"), "euw1-az1");
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).fails("DependencyViolation");
    world.call("ModifyNetworkInterfaceAttribute", &[("NetworkInterfaceId", &eni), ("SecurityGroupId.1", &db)]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).ok();
    world.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &db)]).ok();
}

#[test]
fn the_usage_of_a_group_is_found_by_filter() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let subnet = subnet(&world, VPC, "10.0.1.0/24");
    let eni = interface(&world, &subnet, &[&web]).ok().text("networkInterface/networkInterfaceId").to_owned();
    interface(&world, &subnet, &[]).ok();
    let find = |name, value| {
        let body = world.call("DescribeNetworkInterfaces", &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]).ok();
        body.texts("networkInterfaceSet", "networkInterfaceId")
    };
    assert_eq!(find("group-id", &web), [eni.as_str()]);
    assert_eq!(find("group-name", "default").len(), 1);
    assert_eq!(find("subnet-id", &subnet).len(), 2);
    assert_eq!(find("availability-zone", "eu-west-1a").len(), 2);
    assert_eq!(find("availability-zone-id", "euw1-az1").len(), 2);
    assert_eq!(find("availability-zone-id", "euw1-az2").len(), 0);
    let both = [("NetworkInterfaceId.1", eni.as_str()), ("MaxResults", "5")];
    world.call("DescribeNetworkInterfaces", &both).fails("InvalidParameterCombination");
}

#[test]
fn an_interface_takes_five_groups_of_its_own_vpc() {
    let world = World::new();
    let groups: Vec<String> = (0..6).map(|n| world.group(VPC, &format!("g{n}"))).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let subnet = subnet(&world, VPC, "10.0.1.0/24");
    interface(&world, &subnet, &groups).fails("SecurityGroupsPerInterfaceLimitExceeded");
    interface(&world, &subnet, &groups[..5]).ok();
    let elsewhere = world.group(VPC6, "elsewhere");
    interface(&world, &subnet, &[&elsewhere]).says("InvalidGroup.NotFound", "different networks");
}

#[test]
fn interfaces_of_services_are_managed_by_them_and_cannot_be_deleted() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let eni = interface(&world, &subnet(&world, VPC, "10.0.1.0/24"), &[&web]).ok();
    let eni = eni.text("networkInterface/networkInterfaceId").to_owned();
    let holder = (Some("load_balancer"), Some("amazon-elb"), None);
    world.sim.occupy_interface("111122223333", "eu-west-1", &eni, holder).unwrap();
    let body = world.call("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", &eni)]).ok();
    let shown = &body.items("networkInterfaceSet")[0];
    assert_eq!((shown.text("interfaceType"), shown.text("requesterManaged")), ("load_balancer", "true"));
    assert_eq!((shown.text("status"), shown.text("attachment/status")), ("in-use", "attached"));
    world.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]).fails("InvalidNetworkInterface.InUse");
    world.sim.occupy_interface("111122223333", "eu-west-1", &eni, (None, None, None)).unwrap();
    world.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]).ok();
}

#[test]
fn subnets_lie_within_their_vpc_and_do_not_overlap() {
    let world = World::new();
    let first = subnet(&world, VPC, "10.0.1.0/24");
    let create = |cidr: &str| world.call("CreateSubnet", &[("VpcId", VPC), ("CidrBlock", cidr)]);
    create("10.0.1.128/25").fails("InvalidSubnet.Conflict");
    create("192.168.0.0/24").fails("InvalidSubnet.Range");
    interface(&world, &first, &[]).ok();
    world.call("DeleteSubnet", &[("SubnetId", &first)]).fails("DependencyViolation");
    world.call("DeleteVpc", &[("VpcId", VPC)]).fails("DependencyViolation");
    let shown = world.call("DescribeSubnets", &[("SubnetId.1", &first)]).ok();
    assert_eq!(shown.items("subnetSet")[0].text("availableIpAddressCount"), "250");
}

#[test]
fn an_interface_may_have_several_addresses_of_both_families() {
    let world = World::new();
    let cidrs = [("VpcId", VPC6), ("CidrBlock", "10.0.1.0/24"), ("Ipv6CidrBlock", "2001:db8:1234:1::/64")];
    let subnet = world.call("CreateSubnet", &cidrs).ok().text("subnet/subnetId").to_owned();
    let params = [
        ("SubnetId", subnet.as_str()),
        ("PrivateIpAddresses.1.PrivateIpAddress", "10.0.1.77"),
        ("PrivateIpAddresses.1.Primary", "true"),
        ("SecondaryPrivateIpAddressCount", "2"),
        ("Ipv6AddressCount", "1"),
    ];
    let made = world.call("CreateNetworkInterface", &params).ok();
    let shown = made.get("networkInterface").unwrap();
    assert_eq!(shown.text("privateIpAddress"), "10.0.1.77");
    assert_eq!(shown.texts("privateIpAddressesSet", "primary"), ["true", "false", "false"]);
    let address = &shown.texts("ipv6AddressesSet", "ipv6Address")[0];
    let filters = [("Filter.1.Name", "ipv6-addresses.ipv6-address"), ("Filter.1.Value.1", address.as_str())];
    assert_eq!(world.call("DescribeNetworkInterfaces", &filters).ok().items("networkInterfaceSet").len(), 1);
    world.call("CreateNetworkInterface", &params[..3]).fails("InvalidIPAddress.InUse");
}
