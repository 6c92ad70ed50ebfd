//! What holds for the objects as a whole.

use kube::{CustomResourceExt, Resource};

use super::*;

/// The web group of the README, with one of everything.
const WEB: &str = r#"
apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {name: web, namespace: shop}
spec:
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
    - {name: ping, protocol: icmp, icmp: {type: 8}, from: [{securityGroupId: sg-0a1b2c3d, accountId: "123456789012"}]}
  egress:
    - {name: to-db, protocol: tcp, ports: [5432], to: [{securityGroup: {name: db}}]}
    - {name: to-s3, protocol: all, to: [{prefixListId: pl-0a1b2c3d}]}
  enforcement: {mode: Observe}
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
    assert_eq!(rules, ["ingress.https.from 3", "ingress.ping.from 1", "egress.to-db.to 1", "egress.to-s3.to 1"]);
}

#[test]
fn what_the_schema_refuses_is_still_read() {
    let spec: SecurityGroupSpec = serde_yaml::from_str(
        r#"{
            vpc: {id: main}, region: Mars, egressPolicy: Perhaps, deletionPolicy: "", enforcement: {mode: Nuke, suspend: {}},
            ingress: [{name: "?", protocol: "-1", ports: [70000, "9-1", x], icmp: {type: 4711}, from: [{}, {cidr: x, self: false}]}],
            expiresAt: 2026-12-24T18:00:00Z,
        }"#,
    )
    .expect("unknown words and fields are no error");
    assert!(spec.mode().is_err() && spec.egress_policy().is_err() && spec.deletion_policy().is_err());
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
    for tag in [TAG_CLUSTER, TAG_OWNER, TAG_UID, TAG_ORIGIN, FINALIZER] {
        assert!(tag.starts_with(TAG_PREFIX));
    }
}

#[test]
fn the_words_of_the_schema_are_those_of_the_types() {
    use strum::VariantNames;
    let crd = serde_json::to_value(crds::all().pop().expect("there is a CRD").1).expect("a CRD is JSON");
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert_eq!(spec["egressPolicy"]["enum"], serde_json::json!(EgressPolicy::VARIANTS));
    assert_eq!(spec["deletionPolicy"]["enum"], serde_json::json!(DeletionPolicy::VARIANTS));
    assert_eq!(spec["enforcement"]["properties"]["mode"]["enum"], serde_json::json!(Mode::VARIANTS));
}
