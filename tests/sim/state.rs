//! Seeds, dumps and state files.

use crate::support::{REGION, VPC, World};
use sgwarden::adapters::sim::{Config, Sim};

const SEED: &str = "
places:
- account: '111122223333'
  region: eu-west-1
  vpcs:
  - {id: vpc-0123456789abcdef0, cidr: 10.5.0.0/16, ipv6Cidr: '2001:db8:5::/56', tags: {Name: main}}
  groups:
  - id: sg-0123456789abcdef0
    name: web
    description: web tier
    vpc: vpc-0123456789abcdef0
    tags: {team: shop}
    rules:
    - {protocol: tcp, from: 443, to: 443, peer: 0.0.0.0/0, description: open}
    - {egress: true, protocol: '-1', peer: '::/0'}
  - {name: born, description: d, vpc: vpc-0123456789abcdef0}
";

#[test]
fn a_seed_names_what_it_cares_about_and_the_rest_is_as_at_birth() {
    let world = World::with(Config::default());
    world.sim.load(SEED).unwrap();
    assert_eq!(world.live("sg-0123456789abcdef0"), ["in tcp/443-443 0.0.0.0/0 \"open\"", "out -1/-1--1 ::/0"]);
    let filters = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", "vpc-0123456789abcdef0")];
    let body = world.call("DescribeSecurityGroups", &filters).ok();
    let mut names = body.texts("securityGroupInfo", "groupName");
    names.sort();
    assert_eq!(names, ["born", "default", "web"]);
    let born = body.items("securityGroupInfo").iter().find(|group| group.text("groupName") == "born").unwrap();
    assert_eq!(world.egress(born.text("groupId")).len(), 2);
    assert!(world.sim.default_vpc("111122223333", REGION).is_some());
}

#[test]
fn a_bad_seed_is_refused_whole_and_says_why() {
    let world = World::with(Config::default());
    let bad = SEED.replace("0.0.0.0/0", "0.0.0.0/99");
    assert!(world.sim.load(&bad).unwrap_err().contains("CIDR block 0.0.0.0/99 is malformed"));
    assert!(world.sim.load("places: [{colour: red}]").unwrap_err().contains("colour"));
    let body = world.call("DescribeVpcs", &[("VpcId.1", "vpc-0123456789abcdef0")]);
    body.fails("InvalidVpcID.NotFound");
}

#[test]
fn a_dump_loaded_into_an_empty_world_is_the_same_world() {
    let world = World::new();
    let other = world.other();
    let theirs = other.call("CreateVpc", &[("CidrBlock", "10.77.0.0/16")]).ok().text("vpc/vpcId").to_owned();
    let peer = [("VpcId", VPC), ("PeerVpcId", theirs.as_str()), ("PeerOwnerId", "444455556666")];
    world.call("CreateVpcPeeringConnection", &peer).ok();
    let subnet = world.call("CreateSubnet", &[("VpcId", VPC), ("CidrBlock", "10.0.1.0/24")]).ok();
    let web = world.group(VPC, "web");
    world.call("CreateNetworkInterface", &[("SubnetId", subnet.text("subnet/subnetId")), ("SecurityGroupId.1", &web)]).ok();
    let list = [("PrefixListName", "l"), ("AddressFamily", "IPv4"), ("MaxEntries", "3"), ("Entry.1.Cidr", "10.1.0.0/16")];
    let list = world.call("CreateManagedPrefixList", &list).ok().text("prefixList/prefixListId").to_owned();
    world.allow(&web, &[&format!("tcp/1 {list} x"), &format!("udp/2..3 {web}"), "icmpv6 2001:db8::/32", "50 10.0.0.0/8"]).ok();
    world.call("CreateTags", &[("ResourceId.1", &web), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")]).ok();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    world.sim.save_file(&path).unwrap();
    let copy = World::with(Config { seed: 99, ..Config::default() });
    copy.sim.load_file(&path).unwrap();
    assert_eq!(copy.sim.dump(), world.sim.dump());
    assert_eq!(copy.live(&web), world.live(&web));
    assert_eq!(copy.group(VPC, "next"), world.group(VPC, "next"));
}

#[test]
fn the_same_seed_and_calls_give_the_same_ids() {
    let (one, two) = (World::new(), World::new());
    assert_eq!(one.group(VPC, "web"), two.group(VPC, "web"));
    assert_eq!(one.sim.dump(), two.sim.dump());
    assert_ne!(
        Sim::new(Config { seed: 2, ..Config::default() }).default_vpc("111122223333", REGION),
        one.sim.default_vpc("111122223333", REGION)
    );
}
