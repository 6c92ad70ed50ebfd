//! What a manifest means, and what is said of one that cannot be used.

use super::*;

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
fn what_a_manifest_that_took_a_group_over_leaves_out_is_as_the_group_has_it() {
    let status = crate::api::SecurityGroupStatus {
        origin: Some("Adopted".into()),
        group_name: Some("default".into()),
        description: Some("default VPC security group".into()),
        group_id: Some("sg-0a1b2c3d".into()),
        ..Default::default()
    };
    let with = |written: &str, status: &crate::api::SecurityGroupStatus| {
        let mut object =
            object(&format!("  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: AllowAll\n  adopt: {{groupId: sg-0a1b2c3d}}{written}"));
        object.status = Some(status.clone());
        parse(&object)
    };
    let declaration = with("", &status).unwrap();
    assert_eq!((declaration.group_name.as_str(), declaration.description.as_str()), ("default", "default VPC security group"));
    assert_eq!(with("\n  description: mine", &status).unwrap_err()[0].path, "spec.description", "what is written counts");
    let created = crate::api::SecurityGroupStatus { origin: Some("Created".into()), ..status };
    assert_eq!(with("", &created).unwrap_err().len(), 2, "of a group of our own the default was the name");
}

#[test]
#[allow(clippy::format_collect, reason = "a test says what it sees")]
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
