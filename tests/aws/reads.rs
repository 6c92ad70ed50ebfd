//! What the engine may rely on when it reads, at the four doors of `contract`: whole groups, many groups' rules, VPCs and
//! prefix lists.

use std::collections::BTreeMap;

use sgwarden::core::model::{Atom, Direction, PrefixListId, SecurityGroupId, VpcId, Weight};
use sgwarden::ports::cloud::{GroupQuery, NewGroup, PrefixListQuery, VpcQuery};

use crate::contract::{Door, World, contracts, rule, sorted, tags};
use crate::departures;
use crate::support::ACCOUNT;

contracts![
    a_listing_shows_what_the_rules_say,
    a_listing_of_prefix_lists_shows_what_the_rules_say,
    a_listing_of_icmp_and_numbered_protocols_shows_what_the_rules_say,
    a_listing_of_groups_as_peers_shows_what_the_rules_say,
    every_group_that_is_asked_about_has_its_rules_and_no_others,
    vpcs_are_found_by_id_and_by_all_of_their_tags,
    a_wildcard_in_the_tag_of_a_vpc_is_none,
    prefix_lists_are_found_by_id,
    prefix_lists_are_found_by_name,
    a_wildcard_in_the_name_of_a_prefix_list_is_none,
    a_prefix_list_counts_its_size_in_its_family,
    a_change_of_a_prefix_list_is_a_new_version,
    aws_s_own_prefix_lists_count_what_is_published,
];

/// Doors of the sim alone.
macro_rules! contracts_of_the_sim {
    ($($name:ident),* $(,)?) => {
        mod process_of_the_sim { $(#[tokio::test] async fn $name() { super::$name(super::Door::Process).await; })* }
        mod ports_of_the_sim { $(#[tokio::test] async fn $name() { super::$name(super::Door::Ports).await; })* }
    };
}

contracts_of_the_sim![
    many_groups_cost_few_calls,
    a_tag_as_long_as_one_may_be_is_found,
    many_prefix_lists_are_read_to_the_last_page,
    a_group_tells_in_which_other_vpcs_it_can_be_used,
    a_rule_is_stale_once_nothing_leads_to_its_group,
];

/// Authorizes rules, of which both ways to read must then say the same, and nothing else but what a group is born with.
async fn agree(world: &World, group: &SecurityGroupId, ingress: &[(&str, &str)], egress: &[(&str, &str)]) {
    let mut expected = BTreeMap::from([("egress all to 0.0.0.0/0".parse::<Atom>().unwrap(), None)]);
    for (direction, rules) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
        let rules: Vec<_> = rules.iter().map(|(atom, text)| rule(&format!("{direction} {atom}"), text)).collect();
        expected.extend(rules.iter().map(|rule| (rule.atom.clone(), rule.description.clone())));
        if !rules.is_empty() {
            world.authorize(group, &rules).await;
        }
    }
    let ids = std::slice::from_ref(group);
    let listed = world.ec2.read.listing(&GroupQuery::Ids(ids.to_vec())).await.unwrap();
    let [listed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&listed.group.id, &listed.group.vpc, &listed.rules), (group, &world.vpc, &expected));
    let by_id = world.ec2.read.rules_of(ids).await.unwrap().remove(group).unwrap();
    assert_eq!(by_id.len(), expected.len());
    assert_eq!(by_id.into_iter().map(|rule| (rule.atom, rule.description)).collect::<BTreeMap<_, _>>(), expected);
}

async fn a_listing_shows_what_the_rules_say(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let ingress = [
        ("tcp 443 from 0.0.0.0/0", "Allow inbound HTTPS traffic"),
        ("tcp 443 from 10.0.0.0/8", ""),
        ("tcp 443 from 2001:db8::/32", "six"),
        ("tcp 0-65535 from 192.0.2.0/24", ""),
        ("udp 8000-8100 from 192.0.2.1/32", "b"),
        ("all from 198.51.100.0/24", "everything"),
    ];
    agree(&world, &group, &ingress, &[("udp 53 to 10.0.0.2/32", "DNS")]).await;
}

async fn a_listing_of_prefix_lists_shows_what_the_rules_say(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let from_list = format!("tcp 443 from {}", list(&world, "offices", "IPv4", "5").await);
    agree(&world, &group, &[(&from_list, "offices")], &[]).await;
}

async fn a_listing_of_icmp_and_numbered_protocols_shows_what_the_rules_say(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let ingress = [
        ("icmp type 3 code 4 from 10.0.0.0/8", "too big"),
        ("icmp type 8 from 10.0.0.0/8", ""),
        ("icmp from 192.0.2.0/24", ""),
        ("icmpv6 from ::/0", ""),
        ("protocol 50 from 10.0.0.0/8", "ESP"),
    ];
    agree(&world, &group, &ingress, &[]).await;
}

async fn a_listing_of_groups_as_peers_shows_what_the_rules_say(door: Door) {
    let world = World::open(door).await;
    let (group, peer) = (world.group("web").await, world.group("peer").await);
    let (from_peer, from_self) = (format!("tcp 5432 from {peer}"), format!("all from {group}"));
    agree(&world, &group, &[(&from_peer, "db"), (&from_self, "")], &[]).await;
}

async fn every_group_that_is_asked_about_has_its_rules_and_no_others(door: Door) {
    let world = World::open(door).await;
    let (web, db, unasked) = (world.group("web").await, world.group("db").await, world.group("unasked").await);
    for group in [&web, &unasked] {
        world.authorize(group, &[rule("ingress tcp 80 from 10.0.0.0/8", "")]).await;
    }
    let gone: SecurityGroupId = "sg-00000000000000000".parse().unwrap();
    let rules = world.ec2.read.rules_of(&[web.clone(), gone.clone(), db.clone(), web.clone()]).await.unwrap();
    let sizes: BTreeMap<&SecurityGroupId, usize> = rules.iter().map(|(group, rules)| (group, rules.len())).collect();
    assert_eq!(sizes, BTreeMap::from([(&web, 2), (&db, 1), (&gone, 0)]));
    assert!(world.ec2.read.rules_of(&[]).await.unwrap().is_empty(), "nothing asked, nothing told");
    assert_eq!(world.ec2.read.rules(&web).await.unwrap(), rules[&web]);
}

/// Tags the two VPCs: a name of their own, and a tag in common.
async fn name_vpcs(world: &World, first: &str, second: &str) {
    for (vpc, name) in [(&world.vpc, first), (&world.vpc_with_ipv6, second)] {
        for (key, value) in [("Name", name), ("env", "prod")] {
            let tag = [("Action", "CreateTags"), ("ResourceId.1", vpc.as_str()), ("Tag.1.Key", key), ("Tag.1.Value", value)];
            world.other(&tag, "requestId").await;
        }
    }
}

async fn vpcs(world: &World, query: VpcQuery) -> Vec<VpcId> {
    world.ec2.read.vpcs(&query).await.unwrap().into_iter().map(|vpc| vpc.id).collect()
}

async fn vpcs_are_found_by_id_and_by_all_of_their_tags(door: Door) {
    let world = World::open(door).await;
    name_vpcs(&world, "main", "side").await;
    let (first, second) = (world.vpc.clone(), world.vpc_with_ipv6.clone());
    assert_eq!(vpcs(&world, VpcQuery::Id(first.clone())).await, std::slice::from_ref(&first));
    assert!(vpcs(&world, VpcQuery::Id("vpc-00000000000000000".parse().unwrap())).await.is_empty());
    let tagged = async |pairs: &[(&str, &str)]| vpcs(&world, VpcQuery::Tagged(tags(pairs))).await;
    assert_eq!(tagged(&[("env", "prod")]).await, sorted(vec![first, second.clone()]));
    assert_eq!(tagged(&[("Name", "side"), ("env", "prod")]).await, [second]);
    assert!(tagged(&[("Name", "main"), ("env", "test")]).await.is_empty());
    assert!(tagged(&[("Name", "Main")]).await.is_empty(), "case counts");
}

async fn a_wildcard_in_the_tag_of_a_vpc_is_none(door: Door) {
    let world = World::open(door).await;
    name_vpcs(&world, "m*in", "main").await;
    assert_eq!(vpcs(&world, VpcQuery::Tagged(tags(&[("Name", "m*in")]))).await, std::slice::from_ref(&world.vpc), "no wildcard");
    assert!(vpcs(&world, VpcQuery::Tagged(tags(&[("Name", "mai?")]))).await.is_empty());
}

/// Makes a prefix list.
async fn list(world: &World, name: &str, family: &str, size: &str) -> PrefixListId {
    let create = [
        ("Action", "CreateManagedPrefixList"),
        ("PrefixListName", name),
        ("AddressFamily", family),
        ("MaxEntries", size),
        ("Entry.1.Cidr", if family == "IPv6" { "2001:db8::/32" } else { "10.1.0.0/16" }),
    ];
    world.other(&create, "prefixListId").await.parse().unwrap()
}

async fn found(world: &World, query: PrefixListQuery) -> Vec<PrefixListId> {
    world.ec2.read.prefix_lists(&query).await.unwrap().into_iter().map(|list| list.id).collect()
}

async fn prefix_lists_are_found_by_id(door: Door) {
    let world = World::open(door).await;
    let (one, other) = (list(&world, "offices", "IPv4", "5").await, list(&world, "partners", "IPv4", "5").await);
    let unknown: PrefixListId = "pl-00000000000000000".parse().unwrap();
    let by_id = async |ids: &[&PrefixListId]| found(&world, PrefixListQuery::Ids(ids.iter().copied().cloned().collect())).await;
    assert_eq!(by_id(&[&one]).await, std::slice::from_ref(&one));
    assert_eq!(by_id(&[&one, &unknown, &other, &one]).await, sorted(vec![one, other]), "an unknown id is no error");
    assert!(by_id(&[]).await.is_empty(), "nothing asked, nothing told");
}

async fn prefix_lists_are_found_by_name(door: Door) {
    let world = World::open(door).await;
    let named = async |name: &str| found(&world, PrefixListQuery::Name(name.into())).await;
    let one = list(&world, "offices", "IPv4", "5").await;
    let twin = list(&world, "offices", "IPv6", "5").await;
    list(&world, "offices-2", "IPv4", "5").await;
    assert_eq!(named("offices").await, sorted(vec![one, twin]), "both of the name");
    assert!(named("office").await.is_empty());
}

async fn a_wildcard_in_the_name_of_a_prefix_list_is_none(door: Door) {
    let world = World::open(door).await;
    let named = async |name: &str| found(&world, PrefixListQuery::Name(name.into())).await;
    list(&world, "offices", "IPv4", "5").await;
    assert!(named("off*").await.is_empty());
    let odd = list(&world, "off*", "IPv4", "5").await;
    assert_eq!(named("off*").await, [odd], "no wildcard");
}

async fn a_prefix_list_counts_its_size_in_its_family(door: Door) {
    let world = World::open(door).await;
    for (family, weight) in [("IPv4", Weight { ipv4: 7, ipv6: 0 }), ("IPv6", Weight { ipv4: 0, ipv6: 7 })] {
        let id = list(&world, "offices", family, "7").await;
        let facts = world.ec2.read.prefix_lists(&PrefixListQuery::Ids(vec![id.clone()])).await.unwrap().remove(0);
        assert_eq!((facts.id, facts.name.as_str(), facts.weight, facts.version), (id, "offices", weight, Some(1)));
        assert_eq!(facts.owner.unwrap().as_str(), ACCOUNT);
    }
}

async fn a_change_of_a_prefix_list_is_a_new_version(door: Door) {
    let world = World::open(door).await;
    let id = list(&world, "offices", "IPv4", "7").await;
    let change = [
        ("Action", "ModifyManagedPrefixList"),
        ("PrefixListId", id.as_str()),
        ("CurrentVersion", "1"),
        ("AddEntry.1.Cidr", "10.2.0.0/16"),
    ];
    world.other(&change, "prefixListId").await;
    let facts = world.ec2.read.prefix_lists(&PrefixListQuery::Ids(vec![id])).await.unwrap().remove(0);
    assert_eq!((facts.version, facts.weight.ipv4), (Some(2), 7));
}

async fn aws_s_own_prefix_lists_count_what_is_published(door: Door) {
    let world = World::open(door).await;
    for (name, weight) in [
        ("com.amazonaws.global.cloudfront.origin-facing", Weight { ipv4: 55, ipv6: 0 }),
        ("com.amazonaws.global.ipv6.cloudfront.origin-facing", Weight { ipv4: 0, ipv6: 55 }),
        ("com.amazonaws.eu-west-1.vpc-lattice", Weight { ipv4: 10, ipv6: 0 }),
        ("com.amazonaws.eu-west-1.s3", Weight { ipv4: 1, ipv6: 0 }),
    ] {
        let facts = world.ec2.read.prefix_lists(&PrefixListQuery::Name(name.into())).await.unwrap();
        let [facts] = facts.as_slice() else { panic!("{name}: {facts:?}") };
        assert_eq!((facts.weight, &facts.owner, facts.version), (weight, &None, None), "{name}");
    }
}

async fn many_groups_cost_few_calls(door: Door) {
    let world = World::open(door).await;
    let mut ids = Vec::new();
    for number in 0..201 {
        ids.push(world.group(&format!("g{number}")).await);
    }
    world.sim().clear_calls();
    assert_eq!(world.ec2.read.rules_of(&ids).await.unwrap().values().map(Vec::len).sum::<usize>(), 201);
    assert_eq!(world.sim().count("DescribeSecurityGroupRules"), 2, "200 ids a call");
    let listed = world.ec2.read.listing(&GroupQuery::All).await.unwrap();
    assert!(listed.len() > 201 && listed.iter().all(|listed| !listed.rules.is_empty()));
    assert_eq!(world.sim().count("DescribeSecurityGroups"), 1, "1000 groups a page, with their rules");
}

async fn a_tag_as_long_as_one_may_be_is_found(door: Door) {
    let world = World::open(door).await;
    let (long, other) = ("*".repeat(255), "*".repeat(254));
    let group = async |name: &str, end: &str| {
        let new = NewGroup { tags: tags(&[("long", &format!("{long}{end}"))]), ..world.new_group(name) };
        world.ec2.write.create_group(&new).await.unwrap().created.unwrap()
    };
    let (one, _) = (group("one", "1").await, group("two", "2").await);
    let tagged = |value: &str| GroupQuery::Tagged(tags(&[("long", value)]));
    let found = world.ec2.read.groups(&tagged(&format!("{long}1"))).await.unwrap();
    assert_eq!(found.iter().map(|group| &group.id).collect::<Vec<_>>(), [&one], "256 characters, where a filter takes 255");
    assert!(world.ec2.read.groups(&tagged(&other)).await.unwrap().is_empty());
}

async fn many_prefix_lists_are_read_to_the_last_page(door: Door) {
    let world = World::open(door).await;
    for _ in 0..100 {
        list(&world, "offices", "IPv4", "5").await;
    }
    world.sim().set_quotas(sgwarden::adapters::sim::Quotas { prefix_lists: 101, ..world.sim().quotas() });
    list(&world, "offices", "IPv4", "5").await;
    world.sim().clear_calls();
    let all = found(&world, PrefixListQuery::Name("offices".into())).await;
    assert_eq!((all.len(), world.sim().count("DescribeManagedPrefixLists")), (101, 2), "100 a page");
    assert_eq!(found(&world, PrefixListQuery::Ids(all.clone())).await, all);
}

/// Lets a group be used in the other VPC, or no longer.
async fn associate(world: &World, group: &SecurityGroupId, action: &str) {
    let call = [("Action", action), ("GroupId", group.as_str()), ("VpcId", world.vpc_with_ipv6.as_str())];
    let _ = world.other(&call, "state").await;
}

async fn a_group_tells_in_which_other_vpcs_it_can_be_used(door: Door) {
    let world = World::open(door).await;
    let mut ids = Vec::new();
    for number in 0..201 {
        ids.push(world.group(&format!("g{number}")).await);
    }
    for group in ids.iter().skip(1) {
        associate(&world, group, "AssociateSecurityGroupVpc").await;
    }
    world.sim().clear_calls();
    let all = world.ec2.read.vpc_associations(&ids).await.unwrap();
    assert_eq!(world.sim().count("DescribeSecurityGroupVpcAssociations"), 2, "200 ids a call");
    assert_eq!(all.len(), 200, "one that is in its own VPC alone has no entry");
    let associated = [(world.vpc_with_ipv6.clone(), "associated".to_owned())].into();
    assert_eq!(all[&ids[1]], associated);
    associate(&world, &ids[1], "DisassociateSecurityGroupVpc").await;
    let some = world.ec2.read.vpc_associations(&ids[..3]).await.unwrap();
    assert_eq!(some, [(ids[2].clone(), associated)].into(), "of the groups that were asked about");
    assert!(world.ec2.read.vpc_associations(&[]).await.unwrap().is_empty());
}

async fn a_rule_is_stale_once_nothing_leads_to_its_group(door: Door) {
    let world = World::open(door).await;
    let far = NewGroup { vpc: world.vpc_with_ipv6.clone(), ..world.new_group("far") };
    let far = world.ec2.write.create_group(&far).await.unwrap().created.unwrap();
    let reach = [("GroupId", far.as_str()), ("VpcId", world.vpc.as_str())];
    let lend = |action| [[("Action", action)].as_slice(), &reach].concat();
    let _ = world.other(&lend("AssociateSecurityGroupVpc"), "state").await;
    let mut stale = BTreeMap::new();
    // More than a page.
    for number in 0..256 {
        let group = world.group(&format!("g{number}")).await;
        let rules = [rule(&format!("ingress tcp 5432 from {far}"), "Allow it"), rule("ingress tcp 443 from 10.0.0.0/8", "")];
        world.authorize(&group, &rules).await;
        stale.insert(group, [rules[0].atom.clone()].into());
    }
    assert!(world.ec2.read.stale_rules(&world.vpc).await.unwrap().is_empty());
    let _ = world.other(&lend("DisassociateSecurityGroupVpc"), "state").await;
    world.sim().clear_calls();
    assert_eq!(world.ec2.read.stale_rules(&world.vpc).await.unwrap(), stale);
    assert_eq!(world.sim().count("DescribeStaleSecurityGroups"), 2, "255 groups a page");
    assert!(world.ec2.read.stale_rules(&world.vpc_with_ipv6).await.unwrap().is_empty());
}
