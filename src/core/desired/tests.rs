//! What a manifest becomes, and what is said of one that cannot be used.

use super::*;
use crate::api::SecurityGroup;

fn object(spec: &str) -> SecurityGroup {
    let yaml =
        format!("apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web, namespace: shop}}\nspec:\n{spec}");
    serde_yaml::from_str(&yaml).unwrap()
}

fn lookups() -> Lookups {
    Lookups {
        own: Some("sg-00000000000000001".parse().unwrap()),
        account: "111122223333".parse().unwrap(),
        vpc_ipv6: true,
        groups: BTreeMap::from([
            ("db".to_owned(), Lookup::Found("sg-00000000000000002".parse().unwrap())),
            ("gone".to_owned(), Lookup::Unknown("no such object".into())),
        ]),
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
    let lines: Vec<String> = desired
        .rules
        .iter()
        .map(|(atom, declared)| format!("{atom} | {} | {}", declared.rule, declared.description.as_deref().unwrap_or("-")))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ingress all from sg-00000000000000001 | mesh | -
    ingress tcp 443 from 0.0.0.0/0 | web | The web
    ingress tcp 443 from 2001:db8::/32 | web | six
    ingress tcp 8000-8100 from 0.0.0.0/0 | web | The web
    ingress tcp 8000-8100 from 2001:db8::/32 | web | six
    ingress icmp type 8 from 10.0.0.0/8 | ping | -
    ingress protocol 50 from 444455556666/sg-0a1b2c3d | esp | -
    ingress protocol 50 from sg-0a1b2c3e | esp | -
    egress tcp 5432 to pl-0a1b2c3d | to-db | -
    egress tcp 5432 to sg-00000000000000002 | to-db | -
    "#);
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
    insta::assert_snapshot!(lines.join("\n"), @r#"
    spec.egressPolicy: egressPolicy is only for a group without egress rules: remove it, or remove the rules
    spec.egress[0].description: AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in a description, 1 to 255 characters
    spec.egress[0].protocol: '6' is not a protocol here: write 'tcp'
    spec.egress[0].to[0].securityGroupId: 'web' is not a security group id: it must be sg- and 8 or 17 lower-case hex digits
    spec.groupName: a group name may not start with 'sg-' nor be 'default': AWS reserves both, choose another
    spec.ingress[0].from[0].cidr: '10.1.2.3/8' has host bits set: write '10.0.0.0/8' for the range or '10.1.2.3/32' for the one address
    spec.ingress[0].from[1]: a peer is exactly one of cidr, securityGroup, securityGroupId, prefixListId, self (one list entry per peer)
    spec.ingress[0].name: 'A' is not a rule name: it must be 1 to 63 lower-case letters, digits and '-', such as allow-https; free text goes into description
    spec.ingress[0].protocol: 'TCP' is not a protocol here: write 'tcp'
    spec.ingress[1].from[0].cidr: '10.1.2.3' is an address, not a range: write '10.1.2.3/32'
    spec.ingress[1].from[1].cidr: '::ffff:10.0.0.0/104' is IPv4-mapped IPv6, which is refused: write the IPv4 range
    spec.ingress[1].from[2]: a peer is exactly one of cidr, securityGroup, securityGroupId, prefixListId, self (one list entry per peer)
    spec.ingress[1].from[3].cidr: 'x' is not a CIDR block: write it like 10.0.0.0/8 or 2001:db8::/32
    spec.ingress[1].ports: protocol tcp and udp need ports; for every port write ports: ["0-65535"]
    spec.ingress[2].from: a rule needs at least one peer: 0.0.0.0/0 and ::/0 are written out
    spec.ingress[2].name: rule names must be unique in their list: 'b' is there already, rename one
    spec.ingress[2].ports: ports go with protocol tcp or udp only, not with 'all', which is always all ports: remove ports
    spec.ingress[3].from[0].accountId: accountId goes with securityGroupId only: remove it, or name the group by its id in securityGroupId
    spec.ingress[3].from[0].description: AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in a description, 1 to 255 characters
    spec.ingress[3].ports[0]: must be a port (443) or a range from lower to higher ("8000-8100") within 0 to 65535, without leading zeros
    spec.ingress[3].ports[1]: must be a port (443) or a range from lower to higher ("8000-8100") within 0 to 65535, without leading zeros
    spec.ingress[3].ports[2]: must be a port (443) or a range from lower to higher ("8000-8100") within 0 to 65535, without leading zeros
    spec.ingress[4].from: protocol icmp is IPv4 only: put the IPv6 ranges in a rule with protocol icmpv6
    spec.ingress[4].icmp.code: icmp.code must be -1 (or absent) when icmp.type is -1: EC2 has no rule for one code of all types
    spec.tags[aws:x]: tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or 'kubernetes.io/cluster/' (cloud controllers act on it): remove the key
    spec.vpc.id: 'vpc-1' is not a VPC id: it must be vpc- and 8 or 17 lower-case hex digits
    "#);
}

#[test]
fn what_ec2_fixed_at_creation_stays() {
    let mut object = object("  vpc: {id: vpc-0a1b2c3d}\n  egressPolicy: AllowAll\n  groupName: new");
    object.status = Some(crate::api::SecurityGroupStatus {
        group_name: Some("old".into()),
        group_id: Some("sg-0a1b2c3d".into()),
        ..Default::default()
    });
    let problems = parse(&object).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .to_string()
            .starts_with("spec.groupName: groupName cannot be changed: EC2 group sg-0a1b2c3d was created with 'old'. Put it back;")
    );
}
