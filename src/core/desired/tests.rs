//! What a manifest becomes, and what is said of one that cannot be used.

use super::*;
use crate::api::SecurityGroup;
use crate::core::model::{Atom, Peer};

fn object(spec: &str) -> SecurityGroup {
    let yaml =
        format!("apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web, namespace: shop}}\nspec:\n{spec}");
    serde_yaml::from_str(&yaml).unwrap()
}

fn referent(kind: ReferentKind, text: &str) -> Referent {
    let (namespace, name) = text.split_once('/').unwrap();
    Referent { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

pub(super) fn group(text: &str) -> Referent {
    referent(ReferentKind::SecurityGroup, text)
}

pub(super) fn set(text: &str) -> Referent {
    referent(ReferentKind::CidrSet, text)
}

/// The ranges of a set: `range`, or `range | description`, or `range @ expiry`.
pub(super) fn ranges(entries: &[&str]) -> Lookup {
    let one = |entry: &&str| {
        let (range, description) = entry.split_once(" | ").map_or((*entry, None), |(range, text)| (range, Some(text.to_owned())));
        let (range, at) = range.split_once(" @ ").map_or((range, None), |(range, at)| (range, Some(at.parse().unwrap())));
        Range { net: range.parse().unwrap(), description, expires_at: at }
    };
    Lookup::Ranges(entries.iter().map(one).collect())
}

pub(super) fn lookups() -> Lookups {
    let id = |text: &str| text.parse().unwrap();
    Lookups {
        own: Some(id("sg-00000000000000001")),
        account: "111122223333".parse().unwrap(),
        vpc: "vpc-0a1b2c3d".parse().unwrap(),
        vpc_ipv6: true,
        objects: BTreeMap::from([
            (group("shop/db"), Lookup::Group(id("sg-00000000000000002"), None)),
            (group("data/db"), Lookup::Group(id("sg-00000000000000003"), Some("444455556666".parse().unwrap()))),
            (group("data/own"), Lookup::Group(id("sg-00000000000000004"), Some("111122223333".parse().unwrap()))),
            (group("shop/gone"), Lookup::Unknown("no such object".into())),
            (group("bank/vault"), Lookup::Refused("bank does not allow it".into())),
            (set("shop/office"), ranges(&["192.0.2.0/24 | office", "198.51.100.0/24"])),
            (set("shop/mixed"), ranges(&["192.0.2.0/24", "2001:db8::/32"])),
            (set("shop/empty"), ranges(&[])),
        ]),
        prefix_lists: BTreeMap::from([
            ("corp".to_owned(), Ok("pl-0a1b2c3e".parse().unwrap())),
            ("lost".to_owned(), Err("there is no prefix list called 'lost'".to_owned())),
        ]),
        weights: PrefixListWeights::new(),
        default_tags: Tags::new(),
        now: "2026-11-01T00:00:00Z".parse().unwrap(),
        latched: BTreeSet::new(),
    }
}

/// Every atom with its rule and its description.
pub(super) fn lines(desired: &Desired) -> Vec<String> {
    let line = |(atom, declared): (&Atom, &Declared)| {
        format!("{atom} | {} | {}", declared.rule, declared.description.as_deref().unwrap_or("-"))
    };
    desired.rules.iter().map(line).collect()
}

/// Rules with what is said of them.
pub(super) fn said(rules: &BTreeMap<(Direction, RuleName), String>) -> Vec<String> {
    rules.iter().map(|((direction, rule), why)| format!("{direction} {rule}: {why}")).collect()
}

/// The spec of a group with these ingress rules.
fn ingress(rules: &str) -> SecurityGroup {
    object(&format!("  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: DenyAll\n  ingress:\n{rules}"))
}

fn problems(spec: &str) -> Vec<String> {
    parse(&object(spec)).unwrap_err().iter().map(ToString::to_string).collect()
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
    spec.ingress[0].from[1]: a peer is exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self (one list entry per peer)
    spec.ingress[0].name: 'A' is not a rule name: it must be 1 to 63 lower-case letters, digits and '-', such as allow-https; free text goes into description
    spec.ingress[0].protocol: 'TCP' is not a protocol here: write 'tcp'
    spec.ingress[1].from[0].cidr: '10.1.2.3' is an address, not a range: write '10.1.2.3/32'
    spec.ingress[1].from[1].cidr: '::ffff:10.0.0.0/104' is IPv4-mapped IPv6, which is refused: write the IPv4 range
    spec.ingress[1].from[2]: a peer is exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self (one list entry per peer)
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

#[test]
fn everything_a_manifest_can_say_is_understood() {
    let declaration = parse(&object(
        "  account: prod
  region: eu-west-1
  vpc: {name: main}
  egressPolicy: AllowAll
  ingress:
    - {name: a, protocol: all, from: [{self: true}], expiresAt: \"2026-12-24T19:00:00+01:00\", justification: why not}
  enforcement:
    mode: Observe
    undeclaredRules: Report
    approval: Required
    suspend: {until: \"2026-12-01T00:00:00Z\", reason: incident 4711}
    tolerate:
      - {direction: Ingress, securityGroupId: sg-0a1b2c3d, descriptionPrefix: elbv2.k8s.aws/}
      - {direction: Egress, cidr: 10.0.0.0/8}
      - {direction: Ingress, prefixListId: pl-0a1b2c3d, protocol: icmp}
      - {direction: Ingress, protocol: tcp, ports: [\"30000-32767\", 443]}
      - {direction: Egress, cidr: \"::/0\", protocol: udp, descriptionPrefix: it's}
  adopt: {byName: true}
  allowedNamespaces: {from: Selector, selector: {matchLabels: {team: shop}}}
  deletionPolicy: Retain",
    ))
    .unwrap();
    let DeclaredEnforcement { mode, undeclared, tolerate, suspend, approval } = &declaration.enforcement;
    let text = [
        format!("{:?} {:?} {:?}", declaration.account, declaration.region, declaration.vpc),
        format!("{:?} {:?} {:?}", declaration.egress_policy, declaration.adopt, declaration.deletion),
        declaration.rules.iter().map(|rule| format!("{} {:?} {:?}", rule.name, rule.expires_at, rule.justification)).collect(),
        format!("{mode:?} {undeclared:?} {approval:?} {suspend:?}"),
        tolerate.iter().map(|toleration| format!("{toleration:?}")).collect::<Vec<_>>().join("\n"),
    ];
    insta::assert_snapshot!(text.join("\n"), @r#"
    Some("prod") Some(eu-west-1) Tagged({"Name": "main"})
    Some(AllowAll) Some(ByName) Some(Retain)
    a Some(2026-12-24T18:00:00Z) Some("why not")
    Some(Observe) Some(Report) Some(Required) Some(Suspension { until: 2026-12-01T00:00:00Z, reason: "incident 4711" })
    Toleration { direction: Ingress, peer: Some(Group { id: sg-0a1b2c3d, account: None }), traffic: [], description_prefix: Some("elbv2.k8s.aws/") }
    Toleration { direction: Egress, peer: Some(Ipv4(10.0.0.0/8)), traffic: [], description_prefix: None }
    Toleration { direction: Ingress, peer: Some(PrefixList(pl-0a1b2c3d)), traffic: [Icmp(All)], description_prefix: None }
    Toleration { direction: Ingress, peer: None, traffic: [Tcp(PortRange { from: 30000, to: 32767 }), Tcp(PortRange { from: 443, to: 443 })], description_prefix: None }
    Toleration { direction: Egress, peer: Some(Ipv6(::/0)), traffic: [Udp(PortRange { from: 0, to: 65535 })], description_prefix: Some("it's") }
    "#);
}

#[test]
fn a_vpc_is_named_by_its_id_its_name_or_its_tags() {
    let vpc = |text: &str| parse(&object(&format!("  vpc: {text}\n  egressPolicy: DenyAll"))).map(|declaration| declaration.vpc);
    let tags = |pairs: &[(&str, &str)]| {
        DeclaredVpc::Tagged(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    assert_eq!(vpc("{id: vpc-0a1b2c3d}"), Ok(DeclaredVpc::Id("vpc-0a1b2c3d".parse().unwrap())));
    assert_eq!(vpc("{name: main}"), Ok(tags(&[("Name", "main")])));
    assert_eq!(vpc("{tags: {env: prod, \"aws:x\": y}}"), Ok(tags(&[("env", "prod"), ("aws:x", "y")])));
    assert_eq!(vpc("{id: vpc-0a1b2c3d, tags: {}}"), Ok(DeclaredVpc::Id("vpc-0a1b2c3d".parse().unwrap())));
    for bad in ["{}", "{tags: {}}", "{id: vpc-0a1b2c3d, name: main}", "{name: main, tags: {env: prod}}"] {
        assert_eq!(
            vpc(bad).unwrap_err().first().unwrap().to_string(),
            "spec.vpc: vpc is exactly one of id, name, tags, such as {id: vpc-0123456789abcdef0}",
            "{bad}"
        );
    }
    for bad in ["{name: \"\"}", "{tags: {\"\": x}}", "{id: main}"] {
        assert!(vpc(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_new_in_a_spec_is_refused_with_its_field_and_the_remedy_too() {
    let many = vec!["{direction: Ingress, cidr: 10.0.0.0/8}"; 33].join(", ");
    let found = problems(&format!(
        "  account: Prod
  vpc: {{id: vpc-0a1b2c3d}}
  tags: {{sgwarden.dev/owner: me, kubernetes.io/cluster/x: owned}}
  egressPolicy: DenyAll
  ingress:
    - {{name: a, protocol: all, expiresAt: tomorrow, justification: {long}, from: [{{cidrSet: {{name: Office}}}}, {{securityGroup: {{name: a, namespace: b.c}}}}]}}
    - {{name: b, protocol: all, from: [{{prefixListName: liste-für-alle}}, {{cidrSet: {{name: a}}, self: true}}]}}
  enforcement:
    mode: Off
    undeclaredRules: Drop
    approval: Maybe
    suspend: {{until: \"9999-12-31T23:59:59Z\", reason: because}}
    tolerate: [{many}]
  adopt: {{groupId: web}}
  allowedNamespaces: {{from: Selector}}
  deletionPolicy: Keep",
        long = "x".repeat(1025),
    ));
    insta::assert_snapshot!(found.join("\n"), @r"
    spec.account: account is the name of an AwsAccount object, such as prod: lower-case letters, digits, '-' and '.' only, at most 63
    spec.adopt.groupId: 'web' is not a security group id: it must be sg- and 8 or 17 lower-case hex digits
    spec.allowedNamespaces.selector: from: Selector needs a selector, such as {matchLabels: {team: shop}}
    spec.deletionPolicy: 'Keep' is not one of Delete, Retain
    spec.enforcement.approval: 'Maybe' is not one of Automatic, Required
    spec.enforcement.mode: 'Off' is not one of Enforce, Observe
    spec.enforcement.suspend.until: '9999-12-31T23:59:59Z' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999
    spec.enforcement.tolerate: at most 32 entries: merge some, or split the group
    spec.enforcement.undeclaredRules: 'Drop' is not one of Revoke, Report, Keep
    spec.ingress[0].expiresAt: 'tomorrow' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999
    spec.ingress[0].from[0].cidrSet: 'Office' is not the name of an object: write its metadata.name, such as {name: db}
    spec.ingress[0].from[1].securityGroup: 'b.c' is not a namespace: write its name, or leave it out for this one
    spec.ingress[0].justification: a justification has at most 1024 characters
    spec.ingress[1].from[0].prefixListName: the name of a prefix list has 1 to 255 ASCII characters, such as com.amazonaws.eu-west-1.s3: write prefixListId for any other
    spec.ingress[1].from[1]: a peer is exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self (one list entry per peer)
    spec.tags[kubernetes.io/cluster/x]: tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or 'kubernetes.io/cluster/' (cloud controllers act on it): remove the key
    spec.tags[sgwarden.dev/owner]: tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or 'kubernetes.io/cluster/' (cloud controllers act on it): remove the key
    ");
    let found = problems(
        "  vpc: {id: vpc-0a1b2c3d}
  egressPolicy: DenyAll
  enforcement:
    suspend: {until: \"2026-12-01T00:00:00Z\", reason: REASON}
    tolerate:
      - {direction: ingress, descriptionPrefix: elb}
      - {direction: Ingress, cidr: 10.0.0.0/8, securityGroupId: sg-0a1b2c3d}
      - {direction: Ingress, cidr: 10.1.2.3/8, protocol: tcp}
      - {direction: Ingress, ports: [80]}
      - {direction: Ingress, protocol: all, ports: [80]}
      - {direction: Ingress, protocol: icmp}
      - {direction: Ingress, protocol: tcp, ports: [9-8, x]}
      - {direction: Ingress, protocol: tcp, ports: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]}
      - {direction: Ingress, securityGroupId: web, descriptionPrefix: \"\"}
      - {direction: Ingress, prefixListId: web, protocol: \"6\"}
  adopt: {byName: false}
  allowedNamespaces: {from: Everybody, selector: {}}"
            .replace("REASON", &"x".repeat(1025))
            .as_str(),
    );
    insta::assert_snapshot!(found.join("\n"), @r#"
    spec.adopt.byName: byName can only be true: to create a group of your own, remove adopt
    spec.allowedNamespaces.from: 'Everybody' is not one of Same, All, Selector
    spec.enforcement.suspend.reason: a reason has at most 1024 characters
    spec.enforcement.tolerate[0]: say what is tolerated: a peer (cidr, securityGroupId or prefixListId) or ports; anything less would tolerate every rule
    spec.enforcement.tolerate[0].direction: 'ingress' is not one of Ingress, Egress
    spec.enforcement.tolerate[1]: a toleration has at most one of cidr, securityGroupId, prefixListId (one list entry per peer)
    spec.enforcement.tolerate[2].cidr: '10.1.2.3/8' has host bits set: write '10.0.0.0/8' for the range or '10.1.2.3/32' for the one address
    spec.enforcement.tolerate[3].ports: ports go with protocol tcp or udp only: write the protocol, or remove ports
    spec.enforcement.tolerate[4].ports: ports go with protocol tcp or udp only: write the protocol, or remove ports
    spec.enforcement.tolerate[5]: say what is tolerated: a peer (cidr, securityGroupId or prefixListId) or ports; anything less would tolerate every rule
    spec.enforcement.tolerate[6].ports[0]: must be a port (443) or a range from lower to higher ("8000-8100") within 0 to 65535, without leading zeros
    spec.enforcement.tolerate[6].ports[1]: must be a port (443) or a range from lower to higher ("8000-8100") within 0 to 65535, without leading zeros
    spec.enforcement.tolerate[7].ports: at most 16 ports: merge some into ranges, or add an entry
    spec.enforcement.tolerate[8].descriptionPrefix: a prefix has 1 to 255 characters: leave it out for any description
    spec.enforcement.tolerate[8].securityGroupId: 'web' is not a security group id: it must be sg- and 8 or 17 lower-case hex digits
    spec.enforcement.tolerate[9].prefixListId: 'web' is not a prefix list id: it must be pl- and 8 or 17 lower-case hex digits
    spec.enforcement.tolerate[9].protocol: '6' is not a protocol here: write 'tcp'
    "#);
    for adopt in ["{}", "{groupId: sg-0a1b2c3d, byName: true}"] {
        let found = problems(&format!("  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: DenyAll\n  adopt: {adopt}"));
        assert_eq!(found, ["spec.adopt: adopt is exactly one of groupId, byName, such as {groupId: sg-0123456789abcdef0}"]);
    }
}

#[test]
fn lists_have_the_bounds_of_the_schema() {
    let rule = |n: usize| format!("{{name: r{n}, protocol: all, from: [{{self: true}}]}}");
    let rules = |n: usize| (0..n).map(rule).collect::<Vec<_>>().join(", ");
    let spec = |ingress: &str| format!("  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: DenyAll\n  ingress: [{ingress}]");
    assert!(parse(&object(&spec(&rules(256)))).is_ok());
    assert_eq!(problems(&spec(&rules(257))), ["spec.ingress: at most 256 rules in a direction: merge some, or split the group"]);
    let peers = vec!["{self: true}"; 257].join(", ");
    assert_eq!(
        problems(&spec(&format!("{{name: a, protocol: all, from: [{peers}]}}"))),
        ["spec.ingress[0].from: at most 256 peers in a rule: use a CidrSet, or split the rule"]
    );
    let by_name = |count: usize| -> String {
        let rule = |(n, names): (usize, &[usize])| {
            let peers: Vec<String> = names.iter().map(|name| format!("{{prefixListName: l{name}}}")).collect();
            format!("{{name: r{n}, protocol: all, from: [{}]}}", peers.join(", "))
        };
        (0..count).collect::<Vec<_>>().chunks(200).enumerate().map(rule).collect::<Vec<_>>().join(", ")
    };
    let most = crate::api::MAX_PINS;
    assert!(parse(&object(&spec(&by_name(most)))).is_ok());
    assert_eq!(
        problems(&spec(&by_name(most + 1))),
        [format!("spec: at most {most} prefix lists by name: name the others by prefixListId")]
    );
    let ports = vec!["80"; 65].join(", ");
    assert_eq!(
        problems(&spec(&format!("{{name: a, protocol: tcp, ports: [{ports}], from: [{{self: true}}]}}"))),
        ["spec.ingress[0].ports: at most 64 ports: merge some into ranges, or split the rule"]
    );
}

#[test]
fn an_annotation_suspends_without_a_word_of_the_spec_and_a_bad_one_spoils_nothing() {
    let mut web = object("  vpc: {id: vpc-0a1b2c3d}\n  egressPolicy: DenyAll");
    let suspend = |object: &SecurityGroup| parse(object).unwrap().enforcement.suspend.map(|suspend| suspend.reason);
    web.metadata.annotations = Some(BTreeMap::from([("sgwarden.dev/suspend".into(), "2026-12-01T00:00:00Z fire".into())]));
    assert_eq!(suspend(&web).as_deref(), Some("fire"));
    web.metadata.annotations = Some(BTreeMap::from([("sgwarden.dev/suspend".into(), "for a while".into())]));
    assert_eq!(suspend(&web), None);
}

#[test]
fn the_account_and_what_else_was_pinned_stay() {
    let spec = "  account: prod\n  region: eu-west-1\n  vpc: {id: vpc-0a1b2c3d}\n  egressPolicy: DenyAll\n  groupName: web";
    let status = |account: &str, vpc: &str| crate::api::SecurityGroupStatus {
        account: Some(account.into()),
        region: Some("eu-west-1".into()),
        vpc_id: Some(vpc.into()),
        group_name: Some("web".into()),
        description: Some("Managed by sgwarden".into()),
        group_id: Some("sg-0a1b2c3d".into()),
        ..Default::default()
    };
    let with = |spec: &str, status| SecurityGroup { status: Some(status), ..object(spec) };
    assert!(parse(&with(spec, status("prod", "vpc-0a1b2c3d"))).is_ok());
    let moved = parse(&with(spec, status("test", "vpc-0a1b2c3d"))).unwrap_err();
    assert_eq!(moved.len(), 1);
    assert!(
        moved[0].to_string().starts_with("spec.account: account cannot be changed: EC2 group sg-0a1b2c3d was created with 'test'.")
    );
    assert!(parse(&with(spec, status("prod", "vpc-0a1b2c3e"))).unwrap_err()[0].path == "spec.vpc");
    // By its name, the VPC is looked up first; whoever does that compares.
    let named = spec.replace("{id: vpc-0a1b2c3d}", "{name: main}");
    assert!(parse(&with(&named, status("prod", "vpc-0a1b2c3e"))).is_ok());
    // What is not written is compared by whoever knows the default.
    assert!(
        parse(&with("  vpc: {id: vpc-0a1b2c3d}\n  egressPolicy: DenyAll\n  groupName: web", status("prod", "vpc-0a1b2c3d")))
            .is_ok()
    );
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
    - {name: b, protocol: all, from: [{cidr: 10.0.0.0/8}]}";
    let with = |count: u32| {
        let mut lookups = lookups();
        let net = |n: u32| ipnet::Ipv4Net::new(std::net::Ipv4Addr::from_bits(0xC000_0000 + n), 32).unwrap().to_string();
        let nets: Vec<String> = (0..count).map(net).collect();
        let nets: Vec<&str> = nets.iter().map(String::as_str).collect();
        lookups.objects.insert(set("shop/large"), ranges(&nets));
        parse(&ingress(rules)).unwrap().resolve(&lookups)
    };
    // Two ports of each, two of 10.0.0.0/8 and one for the other rule.
    let full = with(498);
    assert_eq!((full.too_large.is_none(), full.rules.count(Direction::Ingress)), (true, 999));
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
