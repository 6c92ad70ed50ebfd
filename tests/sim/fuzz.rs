//! Any bytes get an answer: no panic, no hang, always a request id.

use crate::support::{KEY, VPC, World, answer};
use bytes::Bytes;
use proptest::prelude::*;

const ACTIONS: &[&str] = &[
    "AuthorizeSecurityGroupIngress",
    "RevokeSecurityGroupEgress",
    "ModifySecurityGroupRules",
    "UpdateSecurityGroupRuleDescriptionsIngress",
    "CreateSecurityGroup",
    "DescribeSecurityGroups",
    "DescribeSecurityGroupRules",
    "CreateTags",
    "DeleteTags",
    "CreateManagedPrefixList",
    "CreateNetworkInterface",
    "CreateSubnet",
    "DescribeTags",
    "NoSuchAction",
];

fn send(world: &World, service: &str, body: Vec<u8>) -> http::Response<Bytes> {
    let credential =
        format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0");
    world.sim.handle(http::Request::post("/").header("authorization", credential).body(Bytes::from(body)).unwrap())
}

fn name() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("IpPermissions"),
        Just("IpRanges"),
        Just("Ipv6Ranges"),
        Just("Groups"),
        Just("GroupId"),
        Just("CidrIp"),
        Just("CidrIpv6"),
        Just("FromPort"),
        Just("ToPort"),
        Just("IpProtocol"),
        Just("Filter"),
        Just("Name"),
        Just("Value"),
        Just("SecurityGroupRule"),
        Just("SecurityGroupRuleId"),
        Just("Tag"),
        Just("Key"),
        Just("ResourceId"),
        Just("MaxResults"),
        Just("NextToken"),
        Just("1"),
        Just("2"),
        Just("0"),
        Just("99999999999999999999"),
        Just("-1"),
        Just(""),
    ];
    prop::collection::vec(word, 1..6).prop_map(|words| words.join("."))
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(VPC.to_owned()),
        Just("sg-0123456789abcdef0".to_owned()),
        Just("tcp".to_owned()),
        Just("-1".to_owned()),
        Just("65535".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just("::/0".to_owned()),
        Just("0.0.0.0/999999".to_owned()),
        ".{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..400), service in "ec2|sts|cloudtrail|s3|") {
        let response = send(&World::new(), &service, body);
        prop_assert!(response.status().as_u16() >= 400);
        if service == "cloudtrail" {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(response.body()).is_ok());
        } else {
            answer(&response);
        }
    }

    #[test]
    fn any_parameters_are_answered_and_a_refusal_changes_nothing(action in prop::sample::select(ACTIONS), pairs in prop::collection::vec((name(), value()), 0..12)) {
        let world = World::new();
        let before = world.sim.dump();
        let mut params = vec![("Action", action)];
        params.extend(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let answer = answer(&world.sim.query(KEY, "eu-west-1", &params));
        if answer.status != 200 {
            prop_assert_eq!(world.sim.dump(), before, "a refused call changed the world");
        }
        prop_assert!([200, 400, 412].contains(&answer.status), "{}", answer.status);
        prop_assert_eq!(answer.request_id.len(), 36);
    }

    #[test]
    fn any_authorization_header_is_answered(header in "[ -~]{0,120}") {
        let request = http::Request::post("/").header("authorization", header).body(Bytes::from_static(b"Action=DescribeVpcs&Version=2016-11-15"));
        answer(&World::new().sim.handle(request.unwrap()));
    }

    #[test]
    fn any_text_comes_back_as_it_was_sent(text in "[\\PC&&[^\u{0}-\u{1f}\u{7f}]]{1,60}") {
        let world = World::new();
        let web = world.group(VPC, "web");
        world.call("CreateTags", &[("ResourceId.1", &web), ("Tag.1.Key", "k"), ("Tag.1.Value", &text)]).ok();
        let shown = world.described(&web);
        prop_assert_eq!(shown.items("tagSet")[0].text("value"), text);
    }

    #[test]
    fn any_lookup_is_answered(body in prop_oneof![
        ".{0,60}",
        Just(r#"{"StartTime": 1e300, "MaxResults": -1}"#.to_owned()),
        Just(r#"{"LookupAttributes": [{}], "NextToken": "00"}"#.to_owned()),
        Just(r#"{"StartTime": "x", "EndTime": {}}"#.to_owned()),
    ]) {
        let credential = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/eu-west-1/cloudtrail/aws4_request");
        let request = http::Request::post("/").header("authorization", credential).header("x-amz-target", "CloudTrail_20131101.LookupEvents");
        let response = World::new().sim.handle(request.body(Bytes::from(body)).unwrap());
        prop_assert!(serde_json::from_slice::<serde_json::Value>(response.body()).is_ok());
    }

    #[test]
    fn any_control_request_is_answered(path in "[a-z/]{0,20}", body in ".{0,60}") {
        let request = http::Request::put(format!("/_sim/{path}")).body(Bytes::from(body)).unwrap();
        prop_assert!(World::new().sim.handle(request).status().as_u16() >= 200);
    }
}

#[test]
fn requests_without_a_signature_action_or_version_are_refused_cleanly() {
    let world = World::new();
    let unsigned = http::Request::post("/").body(Bytes::from_static(b"Action=DescribeVpcs")).unwrap();
    let refused = answer(&world.sim.handle(unsigned));
    assert_eq!((refused.status, refused.code()), (403, "MissingAuthenticationToken"));
    assert_eq!(answer(&send(&world, "ec2", b"Version=2016-11-15".to_vec())).code(), "MissingAction");
    assert_eq!(answer(&send(&world, "ec2", b"Action=DescribeVpcs".to_vec())).code(), "MissingParameter");
    assert_eq!(answer(&send(&world, "ec2", b"Action=DescribeVpcs&Version=2099-01-01".to_vec())).code(), "NoSuchVersion");
    world.call("RunInstances", &[]).says("InvalidAction", "The action RunInstances is not valid for this web service.");
    world.call("DescribeVpcs", &[("Colour", "red")]).says("UnknownParameter", "The parameter Colour is not recognized");
    let put = http::Request::put("/").body(Bytes::new()).unwrap();
    assert_eq!(answer(&world.sim.handle(put)).status, 405);
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let world = World::new();
    assert_eq!(answer(&send(&world, "ec2", vec![b'a'; (4 << 20) + 1])).status, 413);
    assert_eq!(answer(&send(&world, "ec2", b"a&".repeat(60_000))).status, 400);
}
