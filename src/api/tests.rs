//! What holds for the objects as a whole.

use std::collections::BTreeMap;

use kube::{CustomResourceExt, Resource};

use super::*;

/// The web group of the README, with one of everything.
const WEB: &str = r#"
apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {name: web, namespace: shop}
spec:
  account: prod
  region: eu-west-1
  vpc: {id: vpc-0a1b2c3d}
  groupName: shop-web
  description: Web tier
  tags: {team: shop}
  ingress:
    - name: https
      description: Allow inbound HTTPS traffic
      justification: public site
      protocol: tcp
      ports: [443, "8000-8100"]
      from: [{cidr: 0.0.0.0/0}, {cidr: "::/0", description: over IPv6}, {self: true}]
      expiresAt: 2026-12-24T18:00:00Z
    - {name: ping, protocol: icmp, icmp: {type: 8}, from: [{securityGroupId: sg-0a1b2c3d, accountId: "123456789012"}]}
  egress:
    - {name: to-db, protocol: tcp, ports: [5432], to: [{securityGroup: {name: db}}]}
    - {name: to-s3, protocol: all, to: [{prefixListId: pl-0a1b2c3d}, {prefixListName: corp}]}
    - {name: to-office, protocol: all, to: [{cidrSet: {name: office, namespace: network}}]}
  enforcement:
    mode: Observe
    undeclaredRules: Report
    tolerate: [{direction: Ingress, securityGroupId: sg-0a1b2c3d, protocol: tcp, ports: [443], descriptionPrefix: elb}]
    suspend: {until: 2026-12-24T18:00:00Z, reason: incident 4711}
    approval: Required
  adopt: {byName: true}
  allowedNamespaces: {from: Selector, selector: {matchLabels: {team: shop}}}
  deletionPolicy: Retain
"#;

fn web() -> SecurityGroup {
    serde_yaml::from_str(WEB).expect("the manifest is a SecurityGroup")
}

#[test]
fn a_spec_is_written_back_as_it_was_read() {
    let json = serde_json::to_value(web()).expect("an object is JSON");
    let mut expected: serde_json::Value = serde_yaml::from_str(WEB).expect("YAML");
    expected["spec"]["ingress"][1]["icmp"]["code"] = (-1).into();
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<SecurityGroup>(json).expect("an object"), web());
}

#[test]
fn rules_of_both_directions_read_alike() {
    let web = web();
    let rules: Vec<_> = web
        .spec
        .rules()
        .map(|rule| format!("{}.{}.{} {}", rule.direction.field(), rule.name, rule.direction.peers_field(), rule.peers.len()))
        .collect();
    assert_eq!(
        rules,
        ["ingress.https.from 3", "ingress.ping.from 1", "egress.to-db.to 1", "egress.to-s3.to 2", "egress.to-office.to 1"]
    );
}

#[test]
fn what_the_schema_refuses_is_still_read() {
    let spec: SecurityGroupSpec = serde_yaml::from_str(
        r#"{
            account: "Mars!", vpc: {id: main, name: "", tags: {}}, region: Mars, egressPolicy: Perhaps, deletionPolicy: "",
            enforcement: {
                mode: Nuke, undeclaredRules: "", approval: Maybe, suspend: {until: noon},
                tolerate: [{direction: Sideways, cidr: x, protocol: "-1", ports: [x]}],
            },
            adopt: {byName: false}, allowedNamespaces: {from: Mars, selector: {matchExpressions: [{key: "", operator: "~"}]}},
            ingress: [{
                name: "?", protocol: "-1", ports: [70000, "9-1", x], icmp: {type: 4711}, expiresAt: tomorrow,
                from: [{}, {cidr: x, self: false, prefixListName: "", cidrSet: {name: ""}}],
            }],
            expiresAt: 2026-12-24T18:00:00Z,
        }"#,
    )
    .expect("unknown words and fields are no error");
    assert!(spec.mode().is_err() && spec.egress_policy().is_err() && spec.deletion_policy().is_err());
    assert!(spec.undeclared_rules().is_err() && spec.approval().is_err());

    let set: CidrSetSpec =
        serde_yaml::from_str("{cidrs: [{cidr: x, expiresAt: noon}], allowedNamespaces: {}, more: 1}").expect("a set");
    assert_eq!(set.cidrs.len(), 1);
    let account: AwsAccountSpec = serde_yaml::from_str(
        r#"{
            accountId: "1", regions: [], allowedNamespaces: {from: Mars, vpcs: [main]}, roleArn: "", sweepInterval: "", mode: Off-ish,
            limits: {apiShare: -1, rulesPerGroup: -5, massChange: {percent: 4711}, enforcement: {modes: [x]}}, adoption: "",
        }"#,
    )
    .expect("an account");
    assert_eq!(account.limits.and_then(|limits| limits.api_share), Some(-1.0));
}

#[test]
fn an_account_and_a_set_are_written_back_as_they_were_read() {
    let account = r#"{
        accountId: "111122223333", regions: [eu-west-1], roleArn: "arn:aws:iam::111122223333:role/sgwarden", externalId: "4711",
        endpointUrl: "http://127.0.0.1:4510", sweepInterval: 60s, settle: 5s, adoption: Consent, mode: Observe,
        allowedNamespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}, vpcs: [vpc-0a1b2c3d]},
        limits: {
            apiShare: 0.5, rulesPerGroup: 60, revocationsPerMinute: 100, maxSuspend: 24h, massChange: {percent: 25, rules: 200},
            enforcement: {modes: [Enforce], undeclaredRules: [Revoke], tolerate: true, suspend: false},
        },
        defaults: {tags: {team: shop}, enforcement: {mode: Observe, undeclaredRules: Keep, approval: Required}},
    }"#;
    let set = "{cidrs: [{cidr: 10.0.0.0/8, description: office, expiresAt: 2026-12-24T18:00:00Z}], allowEmpty: true, allowedNamespaces: {from: All}}";
    let json = |yaml: &str| serde_yaml::from_str::<serde_json::Value>(yaml).expect("YAML");
    let read: AwsAccountSpec = serde_yaml::from_str(account).expect("an account");
    assert_eq!(serde_json::to_value(read).expect("an account is JSON"), json(account));
    let read: CidrSetSpec = serde_yaml::from_str(set).expect("a set");
    assert_eq!(serde_json::to_value(read).expect("a set is JSON"), json(set));
}

#[test]
fn statuses_of_other_releases_are_read() {
    let account: AwsAccountStatus =
        serde_json::from_str(r#"{"regions": [{}, {"region": "eu-west-1", "findings": 3}], "unmanaged": 7}"#).expect("a status");
    assert_eq!(account.regions.len(), 2);
    let set: CidrSetStatus = serde_json::from_str(r#"{"usedBy": {}, "hash": "x"}"#).expect("a status");
    assert_eq!(set.used_by.map(|used| used.count), Some(0));
}

#[test]
fn a_grant_of_gateway_api_is_read_whatever_it_leaves_out() {
    let grant: ReferenceGrant = serde_yaml::from_str(
        "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: shop, namespace: network}, spec: {
          from: [{group: sgwarden.dev, kind: SecurityGroup, namespace: shop}, {}], to: [{group: sgwarden.dev, kind: CidrSet}, {name: office}]}}",
    )
    .expect("a grant");
    assert_eq!((grant.spec.from.len(), grant.spec.to.first().and_then(|to| to.name.clone())), (2, None));
    assert_eq!(serde_yaml::from_str::<ReferenceGrantSpec>("{}").expect("an empty grant"), ReferenceGrantSpec::default());
}

#[test]
fn names_and_descriptions_have_defaults() {
    let mut web = web();
    assert_eq!((web.desired_group_name().as_str(), web.desired_description()), ("shop-web", "Web tier"));
    web.spec.group_name = None;
    web.spec.description = None;
    assert_eq!((web.desired_group_name().as_str(), web.desired_description()), ("shop.web", "Managed by sgwarden"));
}

#[test]
fn the_constants_say_what_the_derive_says() {
    assert_eq!(SecurityGroup::group(&()), GROUP);
    assert_eq!(SecurityGroup::version(&()), VERSION);
    assert_eq!(SecurityGroup::crd_name(), SECURITY_GROUPS);
    assert_eq!((CidrSet::group(&()), AwsAccount::group(&())), (GROUP.into(), GROUP.into()));
    assert_eq!((CidrSet::version(&()), AwsAccount::version(&())), (VERSION.into(), VERSION.into()));
    for tag in [TAG_CLUSTER, TAG_OWNER, TAG_UID, TAG_ORIGIN, FINALIZER] {
        assert!(tag.starts_with(TAG_PREFIX));
    }
}

#[test]
fn the_words_of_the_schema_are_those_of_the_types() {
    use serde_json::json;
    use strum::VariantNames;
    let schemas: BTreeMap<String, serde_json::Value> = crds::all()
        .into_iter()
        .map(|(_, crd)| (crd.spec.names.kind.clone(), serde_json::to_value(crd).expect("a CRD is JSON")))
        .collect();
    let words = |kind: &str, path: &str| {
        let schema = &schemas[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let field = path.split('.').fold(schema, |schema, name| match name {
            "[]" => &schema["items"],
            name => &schema["properties"][name],
        });
        field["enum"].clone()
    };
    for (kind, path, known) in [
        ("SecurityGroup", "egressPolicy", EgressPolicy::VARIANTS),
        ("SecurityGroup", "deletionPolicy", DeletionPolicy::VARIANTS),
        ("SecurityGroup", "enforcement.mode", Mode::VARIANTS),
        ("SecurityGroup", "enforcement.undeclaredRules", UndeclaredRules::VARIANTS),
        ("SecurityGroup", "enforcement.approval", Approval::VARIANTS),
        ("SecurityGroup", "allowedNamespaces.from", NamespacesFrom::VARIANTS),
        ("CidrSet", "allowedNamespaces.from", NamespacesFrom::VARIANTS),
        ("AwsAccount", "adoption", Adoption::VARIANTS),
        ("AwsAccount", "mode", Mode::VARIANTS),
        ("AwsAccount", "limits.enforcement.modes.[]", Mode::VARIANTS),
        ("AwsAccount", "limits.enforcement.undeclaredRules.[]", UndeclaredRules::VARIANTS),
        ("AwsAccount", "defaults.enforcement.mode", Mode::VARIANTS),
        ("AwsAccount", "defaults.enforcement.undeclaredRules", UndeclaredRules::VARIANTS),
        ("AwsAccount", "defaults.enforcement.approval", Approval::VARIANTS),
    ] {
        assert_eq!(words(kind, path), json!(known), "{kind} {path}");
    }
    // An account is in no namespace of its own.
    assert_eq!(
        words("AwsAccount", "allowedNamespaces.from"),
        json!([NamespacesFrom::All.as_str(), NamespacesFrom::Selector.as_str()])
    );
    assert_eq!(words("SecurityGroup", "enforcement.tolerate.[].direction"), json!(["Ingress", "Egress"]));
}
