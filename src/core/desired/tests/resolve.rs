//! What a manifest becomes, with its references looked up.

use super::*;
use crate::core::model::{Peer, Traffic};

#[test]
fn every_kind_of_peer_and_protocol_becomes_canonical_atoms() {
    let desired = parse(&object(
        "  vpc: {id: vpc-0a1b2c3d}
  ingress:
    - {name: web, protocol: tcp, ports: [443, \"8000-8100\"], from: [{cidr: 0.0.0.0/0}, {cidr: \"2001:DB8::/32\", description: six}], description: The web}
    - {name: ping, protocol: icmp, icmp: {type: 8, code: -1}, from: [{cidr: 10.0.0.0/8}]}
    - {name: esp, protocol: \"50\", from: [{securityGroupId: sg-0a1b2c3d, accountId: \"444455556666\"}, {securityGroupId: sg-0a1b2c3e, accountId: \"111122223333\"}]}
    - {name: mesh, protocol: all, from: [{self: true}, {securityGroup: {name: web}}]}
  egress:
    - {name: to-db, protocol: tcp, ports: [5432], to: [{securityGroup: {name: db}}, {prefixListId: pl-0a1b2c3d}, {prefixListName: corp}]}
    - {name: abroad, protocol: tcp, ports: [1], to: [{securityGroup: {name: db, namespace: data}}, {securityGroup: {name: own, namespace: data}}]}",
    ))
    .unwrap()
    .resolve(&lookups());
    insta::assert_snapshot!(lines(&desired).join("\n"), @r"
    ingress all from sg-00000000000000001 | mesh | -
    ingress tcp 443 from 0.0.0.0/0 | web | The web
    ingress tcp 443 from 2001:db8::/32 | web | six
    ingress tcp 8000-8100 from 0.0.0.0/0 | web | The web
    ingress tcp 8000-8100 from 2001:db8::/32 | web | six
    ingress icmp type 8 from 10.0.0.0/8 | ping | -
    ingress protocol 50 from 444455556666/sg-0a1b2c3d | esp | -
    ingress protocol 50 from sg-0a1b2c3e | esp | -
    egress tcp 1 to 444455556666/sg-00000000000000003 | abroad | -
    egress tcp 1 to sg-00000000000000004 | abroad | -
    egress tcp 5432 to pl-0a1b2c3d | to-db | -
    egress tcp 5432 to pl-0a1b2c3e | to-db | -
    egress tcp 5432 to sg-00000000000000002 | to-db | -
    ");
}

#[test]
fn an_unknown_reference_holds_its_rule_and_no_other() {
    let desired = parse(&object("  vpc: {id: vpc-0a1b2c3d}\n  egressPolicy: AllowAll\n  ingress:\n    - {name: a, protocol: all, from: [{securityGroup: {name: gone}}, {cidr: 10.0.0.0/8}]}\n    - {name: b, protocol: all, from: [{cidr: 10.0.0.0/8}]}"))
        .unwrap()
        .resolve(&lookups());
    assert_eq!(desired.held.len(), 1);
    assert!(desired.holds(Direction::Ingress, &"a".parse().unwrap()).is_some());
    assert!(desired.holds(Direction::Ingress, &"b".parse().unwrap()).is_none());
    assert_eq!(desired.rules.count(Direction::Egress), 2, "AllowAll is what EC2 gives: IPv4, and IPv6 where the VPC has it");
}

#[test]
fn the_ranges_of_a_set_are_peers_and_the_nearest_description_wins() {
    let desired = parse(&ingress(
        "    - {name: a, description: rule, protocol: tcp, ports: [80, 81], from: [{cidrSet: {name: office}, description: peer}]}
    - {name: b, description: rule, protocol: tcp, ports: [90], from: [{cidrSet: {name: office}}, {cidr: 192.0.2.0/24, description: late}, {cidrSet: {name: office}, description: later}]}
    - {name: c, protocol: all, from: [{cidrSet: {name: empty}}]}",
    ))
    .unwrap()
    .resolve(&lookups());
    insta::assert_snapshot!(lines(&desired).join("\n"), @r"
    ingress tcp 80 from 192.0.2.0/24 | a | office
    ingress tcp 80 from 198.51.100.0/24 | a | peer
    ingress tcp 81 from 192.0.2.0/24 | a | office
    ingress tcp 81 from 198.51.100.0/24 | a | peer
    ingress tcp 90 from 192.0.2.0/24 | b | office
    ingress tcp 90 from 198.51.100.0/24 | b | rule
    ");
    assert!(desired.held.is_empty() && desired.refused.is_empty() && desired.too_large.is_none());
}

#[test]
fn ranges_that_are_the_same_become_one_and_the_first_wins() {
    let mut lookups = lookups();
    let same = ["10.0.0.0/8 | first", "10.1.2.3/8 | masked", "10.0.0.0/8 @ 2026-12-01T00:00:00Z | third", "10.0.0.0/9"];
    lookups.objects.insert(set("shop/office"), ranges(&same));
    let rule = "    - {name: a, protocol: all, from: [{cidrSet: {name: office}}]}";
    let desired = parse(&ingress(rule)).unwrap().resolve(&lookups);
    assert_eq!(lines(&desired), ["ingress all from 10.0.0.0/8 | a | first", "ingress all from 10.0.0.0/9 | a | -"]);
    // The first has expired: the next one of the same range stands in.
    lookups.objects.insert(set("shop/office"), ranges(&["10.0.0.0/8 @ 2026-10-01T00:00:00Z | first", "10.0.0.0/8 | second"]));
    let desired = parse(&ingress(rule)).unwrap().resolve(&lookups);
    assert_eq!(lines(&desired), ["ingress all from 10.0.0.0/8 | a | second"]);
}

#[test]
fn a_refused_reference_takes_its_own_part_away_and_an_unknown_one_holds() {
    let desired = parse(&ingress(
        "    - {name: both, protocol: all, from: [{securityGroup: {name: gone}}, {securityGroup: {name: vault, namespace: bank}}, {prefixListName: lost}, {cidr: 10.0.0.0/8}]}
    - {name: lost, protocol: all, from: [{prefixListName: lost}]}
    - {name: never, protocol: all, from: [{prefixListName: never}, {cidrSet: {name: never}}]}
    - {name: refused, protocol: all, from: [{securityGroup: {name: vault, namespace: bank}}, {cidr: 10.0.0.0/8}]}",
    ))
    .unwrap()
    .resolve(&lookups());
    insta::assert_snapshot!(said(&desired.held).join("\n"), @r"
    ingress both: no such object
    ingress lost: there is no prefix list called 'lost'
    ingress never: prefix list never was not looked up
    ");
    insta::assert_snapshot!(said(&desired.refused).join("\n"), @r"
    ingress both: bank does not allow it
    ingress refused: bank does not allow it
    ");
    assert_eq!(lines(&desired), ["ingress all from 10.0.0.0/8 | both | -"]);
}

#[test]
fn a_range_of_the_other_family_holds_a_rule_for_icmp() {
    let desired = parse(&ingress(
        "    - {name: ping, protocol: icmp, icmp: {type: 8}, from: [{cidrSet: {name: mixed}}]}
    - {name: ping6, protocol: icmpv6, from: [{cidrSet: {name: mixed}}]}
    - {name: web, protocol: tcp, ports: [443], from: [{cidrSet: {name: mixed}}]}
    - {name: fits, protocol: icmp, from: [{cidrSet: {name: office}}]}",
    ))
    .unwrap()
    .resolve(&lookups());
    insta::assert_snapshot!(said(&desired.held).join("\n"), @r"
    ingress ping: 2001:db8::/32 of CidrSet shop/mixed is IPv6 and protocol icmp is IPv4 only: put the IPv6 ranges in a set and a rule of their own, with protocol icmpv6
    ingress ping6: 192.0.2.0/24 of CidrSet shop/mixed is IPv4 and protocol icmpv6 is IPv6 only: put the IPv4 ranges in a set and a rule of their own, with protocol icmp
    ");
    insta::assert_snapshot!(lines(&desired).join("\n"), @r"
    ingress tcp 443 from 192.0.2.0/24 | web | -
    ingress tcp 443 from 2001:db8::/32 | web | -
    ingress icmp from 192.0.2.0/24 | fits | office
    ingress icmp from 198.51.100.0/24 | fits | -
    ingress icmp type 8 from 192.0.2.0/24 | ping | -
    ingress icmpv6 from 2001:db8::/32 | ping6 | -
    ");
}

#[test]
fn tags_of_the_account_stand_where_the_spec_says_nothing() {
    let declaration =
        |tags: &str| parse(&object(&format!("  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: DenyAll\n  tags: {tags}"))).unwrap();
    let default_tags: Tags =
        ["team=platform", "cost=1", "aws:x=y", "AWS:x=y", "sgwarden.dev/owner=me", "kubernetes.io/cluster/a=b"]
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    let lookups = Lookups { default_tags, ..lookups() };
    let desired = declaration("{team: shop}").resolve(&lookups);
    assert_eq!(desired.tags, Tags::from([("cost".into(), "1".into()), ("team".into(), "shop".into())]));
    assert_eq!(desired.too_large, None);
    let many = (0..45).map(|n| format!("k{n}: v")).collect::<Vec<_>>().join(", ");
    let desired = declaration(&format!("{{{many}}}")).resolve(&lookups);
    assert!(
        desired.too_large.unwrap().to_string().starts_with("spec.tags: 47 tags, with those that the account gives every group")
    );
}

#[test]
fn more_rules_than_ec2_takes_change_nothing() {
    let rules = "    - {name: a, protocol: tcp, ports: [80, 81], from: [{cidrSet: {name: large}}, {cidr: 10.0.0.0/8}]}
    - {name: b, protocol: all, from: [{cidr: 10.0.0.0/8}, {self: true}]}";
    let with = |count: u32| {
        let mut lookups = lookups();
        let net = |n: u32| ipnet::Ipv4Net::new(std::net::Ipv4Addr::from_bits(0xC000_0000 + n), 32).unwrap().to_string();
        let nets: Vec<String> = (0..count).map(net).collect();
        let nets: Vec<&str> = nets.iter().map(String::as_str).collect();
        lookups.objects.insert(set("shop/large"), ranges(&nets));
        parse(&ingress(rules)).unwrap().resolve(&lookups)
    };
    // Two ports of each, two of 10.0.0.0/8 and two for the other rule.
    let full = with(498);
    assert_eq!((full.too_large.is_none(), full.rules.count(Direction::Ingress)), (true, 1000));
    let over = with(499);
    insta::assert_snapshot!(over.too_large.as_ref().unwrap().to_string(), @"spec.ingress: with the ranges of the sets it uses, it has more than the 1000 rules of one direction: merge ranges, or split the group");
    let (known, unknown) = ("a".parse().unwrap(), "renamed".parse().unwrap());
    for direction in Direction::BOTH {
        assert!(over.holds(direction, &known).is_some() && over.holds(direction, &unknown).is_some());
        assert!(over.first_held(direction).is_some());
    }
    assert!(full.holds(Direction::Ingress, &known).is_none() && full.first_held(Direction::Ingress).is_none());
}

#[test]
fn a_reference_to_itself_is_the_group_and_needs_no_grant() {
    let declaration = parse(&ingress(
        "    - {name: a, protocol: all, from: [{securityGroup: {name: web}}, {securityGroup: {name: web, namespace: shop}}, {securityGroup: {name: web, namespace: data}}, {cidrSet: {name: web}}, {prefixListName: corp}, {prefixListId: pl-0a1b2c3d}]}",
    ))
    .unwrap();
    assert_eq!(declaration.references(), BTreeSet::from([&group("data/web"), &set("shop/web")]));
    assert_eq!(declaration.prefix_list_names(), BTreeSet::from(["corp"]));
    assert_eq!(declaration.prefix_lists(), BTreeSet::from([&"pl-0a1b2c3d".parse().unwrap()]));
    let own =
        Atom { direction: Direction::Ingress, traffic: Traffic::All, peer: Peer::group("sg-00000000000000001".parse().unwrap()) };
    assert!(declaration.resolve(&lookups()).rules.contains(&own));
    let desired = declaration.resolve(&Lookups { own: None, ..lookups() });
    assert_eq!(desired.held.values().next().map(String::as_str), Some("the group itself has no id yet"));
}
