//! What a manifest becomes, and what is said of one that cannot be used.

use super::*;
use crate::api::SecurityGroup;

fn object(spec: &str) -> SecurityGroup {
    let yaml = format!("apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web, namespace: shop}}\nspec:\n{spec}");
    serde_yaml::from_str(&yaml).unwrap()
}

fn lookups() -> Lookups {
    Lookups {
        own: Some("sg-00000000000000001".parse().unwrap()),
        account: "111122223333".parse().unwrap(),
        vpc_ipv6: true,
        groups: BTreeMap::from([("db".to_owned(), Lookup::Found("sg-00000000000000002".parse().unwrap())), ("gone".to_owned(), Lookup::Unknown("no such object".into()))]),
    }
}

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
    - {name: to-db, protocol: tcp, ports: [5432], to: [{securityGroup: {name: db}}, {prefixListId: pl-0a1b2c3d}]}",
    ))
    .unwrap()
    .resolve(&lookups());
    let lines: Vec<String> = desired.rules.iter().map(|(atom, declared)| format!("{atom} | {} | {}", declared.rule, declared.description.as_deref().unwrap_or("-"))).collect();
    insta::assert_snapshot!(lines.join("\n"), @"");
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
fn every_problem_is_told_at_once_with_its_field_and_the_remedy() {
    let problems = parse(&object(
        "  vpc: {id: vpc-1}
  groupName: sg-mine
  tags: {\"aws:x\": y}
  egressPolicy: AllowAll
  ingress:
    - {name: A, protocol: TCP, from: [{cidr: 10.1.2.3/8}, {}]}
    - {name: b, protocol: tcp, from: [{cidr: 10.1.2.3}, {cidr: \"::ffff:10.0.0.0/104\"}, {cidr: ten, self: true}, {cidr: x}]}
    - {name: b, protocol: all, ports: [1], from: []}
    - {name: c, protocol: udp, ports: [\"9-8\", 70000, \"08\"], from: [{self: true, accountId: \"1\", description: \"what?\"}]}
    - {name: d, protocol: icmp, icmp: {type: -1, code: 3}, from: [{cidr: \"::/0\"}]}
  egress:
    - {name: e, protocol: \"6\", description: \"it's\", to: [{securityGroupId: web}]}",
    ))
    .unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn what_ec2_fixed_at_creation_stays() {
    let mut object = object("  vpc: {id: vpc-0a1b2c3d}\n  egressPolicy: AllowAll\n  groupName: new");
    object.status = Some(crate::api::SecurityGroupStatus { group_name: Some("old".into()), group_id: Some("sg-0a1b2c3d".into()), ..Default::default() });
    let problems = parse(&object).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("spec.groupName: groupName cannot be changed: EC2 group sg-0a1b2c3d was created with 'old'. Put it back;"));
}
