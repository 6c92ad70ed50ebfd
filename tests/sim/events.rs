//! `CloudTrail` events in their three dialects, their delivery, and `LookupEvents` (ec2.md §6).

use crate::support::{KEY, REGION, VPC, World};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sgwarden::adapters::sim::{Delivery, Fault, Principal};

fn start() -> Timestamp {
    "2026-03-02T09:15:27Z".parse().unwrap()
}

fn last(world: &World) -> Value {
    world.sim.all_events().pop().unwrap()
}

fn detail(world: &World) -> Value {
    last(world)["detail"].clone()
}

fn lookup(world: &World, body: &Value) -> (u16, Value) {
    let credential =
        format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/{REGION}/cloudtrail/aws4_request, SignedHeaders=host, Signature=0");
    let request = http::Request::post("/")
        .header("authorization", credential)
        .header("x-amz-target", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents")
        .header("content-type", "application/x-amz-json-1.1");
    let response = world.sim.handle(request.body(Bytes::from(body.to_string())).unwrap());
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[test]
fn the_envelope_is_that_of_eventbridge_around_a_record_of_cloudtrail() {
    let world = World::new();
    world.sim.freeze(start());
    let web = world.group(VPC, "web");
    let event = last(&world);
    assert_eq!(event["detail-type"], "AWS API Call via CloudTrail");
    assert_eq!(
        (&event["source"], &event["account"], &event["region"]),
        (&json!("aws.ec2"), &json!("111122223333"), &json!("eu-west-1"))
    );
    assert_eq!((&event["time"], &event["resources"]), (&json!("2026-03-02T09:15:27Z"), &json!([])));
    let detail = &event["detail"];
    assert_eq!(detail["eventSource"], "ec2.amazonaws.com");
    assert_eq!(detail["eventName"], "CreateSecurityGroup");
    assert_eq!(detail["requestParameters"], json!({"groupName": "web", "groupDescription": "d", "vpcId": VPC}));
    assert_eq!(detail["responseElements"]["groupId"], json!(web));
    assert_eq!(detail["responseElements"]["_return"], json!(true));
    assert_eq!(detail["requestID"], detail["responseElements"]["requestId"]);
    assert_eq!(detail["userIdentity"]["arn"], "arn:aws:iam::111122223333:user/alice");
    assert_eq!(detail["userIdentity"]["userName"], "alice");
}

#[test]
fn requests_are_shown_as_sent_and_responses_in_canonical_form() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let answer = world.allow(&web, &["6/443 10.0.0.18/24 office", "-1 2001:DB8::/32"]);
    let detail = detail(&world);
    assert_eq!(detail["requestID"], json!(answer.request_id));
    let sent = &detail["requestParameters"]["ipPermissions"]["items"];
    assert_eq!(
        sent[0],
        json!({
            "ipProtocol": "6", "fromPort": 443, "toPort": 443, "groups": {}, "ipv6Ranges": {}, "prefixListIds": {},
            "ipRanges": {"items": [{"cidrIp": "10.0.0.18/24", "description": "office"}]},
        })
    );
    let made = &detail["responseElements"]["securityGroupRuleSet"]["items"];
    assert_eq!((&made[0]["ipProtocol"], &made[0]["cidrIpv4"]), (&json!("tcp"), &json!("10.0.0.0/24")));
    assert_eq!((&made[1]["fromPort"], &made[1]["toPort"]), (&json!(-1), &json!(-1)));
    assert!(made[0]["securityGroupRuleArn"].as_str().unwrap().ends_with(made[0]["securityGroupRuleId"].as_str().unwrap()));
}

#[test]
fn the_flat_form_shows_its_parameters_beside_empty_permissions() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let flat = [("GroupId", web.as_str()), ("IpProtocol", "tcp"), ("FromPort", "22"), ("ToPort", "22"), ("CidrIp", "10.0.0.0/8")];
    world.call("AuthorizeSecurityGroupIngress", &flat).ok();
    let expected =
        json!({"groupId": web, "ipPermissions": {}, "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIp": "10.0.0.0/8"});
    assert_eq!(detail(&world)["requestParameters"], expected);
}

#[test]
fn revoke_by_ids_lists_them_and_the_rules_that_went() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let id = world.rule_id(&web, "0.0.0.0/0");
    world.call("RevokeSecurityGroupEgress", &[("GroupId", &web), ("SecurityGroupRuleId.1", &id)]).ok();
    let detail = detail(&world);
    let expected = json!({"groupId": web, "ipPermissions": {}, "securityGroupRuleIds": {"items": [{"securityGroupRuleId": id}]}});
    assert_eq!(detail["requestParameters"], expected);
    let gone = &detail["responseElements"]["revokedSecurityGroupRuleSet"]["items"][0];
    assert_eq!((&gone["securityGroupRuleId"], &gone["isEgress"]), (&json!(id), &json!(true)));
    assert!(gone.get("securityGroupRuleArn").is_none());
}

#[test]
fn modify_speaks_the_wrapped_dialect_with_an_object_for_one_rule_and_an_array_for_several() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 10.0.0.0/8", "tcp/2 10.0.0.0/8"]).ok();
    let rows = world.call("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &web)]).ok();
    let ids = rows.items("securityGroupRuleSet").iter().filter(|row| row.text("isEgress") == "false");
    let ids: Vec<&str> = ids.map(|row| row.text("securityGroupRuleId")).collect();
    let one = [
        ("GroupId", web.as_str()),
        ("SecurityGroupRule.1.SecurityGroupRuleId", ids[0]),
        ("SecurityGroupRule.1.SecurityGroupRule.IpProtocol", "-1"),
        ("SecurityGroupRule.1.SecurityGroupRule.CidrIpv4", "10.0.0.0/8"),
    ];
    world.call("ModifySecurityGroupRules", &one).ok();
    let event = detail(&world);
    let expected = json!({"ModifySecurityGroupRulesRequest": {
        "GroupId": web,
        "SecurityGroupRule": {
            "SecurityGroupRuleId": ids[0], "SecurityGroupRule": {"IpProtocol": -1, "CidrIpv4": "10.0.0.0/8"}, "tag": 1,
        },
    }});
    assert_eq!(event["requestParameters"], expected);
    assert_eq!(event["responseElements"]["ModifySecurityGroupRulesResponse"]["return"], json!(true));
    let two = [
        &one[..],
        &[
            ("SecurityGroupRule.2.SecurityGroupRuleId", ids[1]),
            ("SecurityGroupRule.2.SecurityGroupRule.IpProtocol", "50"),
            ("SecurityGroupRule.2.SecurityGroupRule.CidrIpv4", "10.0.0.0/8"),
        ],
    ]
    .concat();
    world.call("ModifySecurityGroupRules", &two).ok();
    assert_eq!(detail(&world)["requestParameters"]["ModifySecurityGroupRulesRequest"]["SecurityGroupRule"][1]["tag"], json!(2));
}

#[test]
fn tags_and_deletion_have_their_shapes() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.call("CreateTags", &[("ResourceId.1", &web), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")]).ok();
    let expected = json!({"resourcesSet": {"items": [{"resourceId": web}]}, "tagSet": {"items": [{"key": "k", "value": "v"}]}});
    assert_eq!(detail(&world)["requestParameters"], expected);
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]).ok();
    assert_eq!(detail(&world)["requestParameters"], json!({"groupId": web}));
}

#[test]
fn failed_dry_and_throttled_calls_are_events_too_and_reads_are_not() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).ok();
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).fails("InvalidPermission.Duplicate");
    let event = detail(&world);
    assert_eq!((&event["errorCode"], &event["responseElements"]), (&json!("Client.InvalidPermission.Duplicate"), &Value::Null));
    assert!(event["errorMessage"].as_str().unwrap().starts_with("the specified rule"));
    world.call("DeleteSecurityGroup", &[("GroupId", &web), ("DryRun", "true")]);
    assert_eq!(detail(&world)["errorCode"], "Client.DryRunOperation");
    world.sim.inject(Fault::throttle("DeleteSecurityGroup").times(1));
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]);
    assert_eq!(detail(&world)["errorCode"], "Client.RequestLimitExceeded");
    let before = world.sim.all_events().len();
    world.call("DescribeSecurityGroups", &[]).ok();
    assert_eq!(world.sim.all_events().len(), before);
}

#[test]
fn a_call_that_took_effect_is_recorded_as_done_whatever_its_caller_was_told() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.sim.inject(Fault::error("writes", "InternalError", 500).after_applying().times(1));
    assert_eq!(world.allow(&web, &["tcp/1 10.0.0.0/8"]).status, 500);
    assert!(detail(&world).get("errorCode").is_none());
}

#[test]
fn people_behind_roles_and_services_are_told_apart() {
    let mut world = World::new();
    let web = world.group(VPC, "web");
    let account = "111122223333".to_owned();
    let sso = Principal::Sso { account: account.clone(), permission_set: "Admin".into(), user: "alice@example.com".into() };
    let service = Principal::ServiceRole {
        account: account.clone(),
        service: "elasticloadbalancing.amazonaws.com".into(),
        role: "AWSServiceRoleForElasticLoadBalancing".into(),
    };
    let role = Principal::Role {
        account: account.clone(),
        role: "NetAdmin".into(),
        session: "s1".into(),
        source_identity: Some("alice@example.com".into()),
        invoked_by: None,
    };
    let mut identities = Vec::new();
    for (n, principal) in [
        sso,
        service,
        role,
        Principal::Root { account: account.clone() },
        Principal::Service { account, service: "x.amazonaws.com".into() },
    ]
    .into_iter()
    .enumerate()
    {
        world.sim.register("ASIATEST", principal);
        world.key = "ASIATEST";
        world.allow(&web, &[&format!("tcp/{} 10.0.0.0/8", n + 1)]).ok();
        identities.push(detail(&world));
    }
    let of = |n: usize| identities[n]["userIdentity"].clone();
    assert!(of(0)["arn"].as_str().unwrap().ends_with("/alice@example.com"));
    assert!(of(0)["sessionContext"]["sessionIssuer"]["userName"].as_str().unwrap().starts_with("AWSReservedSSO_Admin_"));
    assert_eq!(of(1)["invokedBy"], "elasticloadbalancing.amazonaws.com");
    assert_eq!(identities[1]["sourceIPAddress"], "elasticloadbalancing.amazonaws.com");
    assert!(of(1)["sessionContext"]["sessionIssuer"]["arn"].as_str().unwrap().contains("role/aws-service-role/"));
    assert_eq!(of(2)["sessionContext"]["sourceIdentity"], "alice@example.com");
    assert_eq!(of(3)["type"], "Root");
    assert_eq!(of(4), json!({"type": "AWSService", "invokedBy": "x.amazonaws.com"}));
}

#[test]
fn events_arrive_late_once_and_in_order_unless_told_otherwise() {
    let world = World::new();
    world.sim.freeze(start());
    world.sim.set_delivery(Delivery { delay_ms: 5000, ..Delivery::default() });
    world.group(VPC, "a");
    world.group(VPC, "b");
    assert!(world.sim.take_events().is_empty());
    world.sim.advance(SignedDuration::from_secs(5));
    let names: Vec<Value> =
        world.sim.take_events().iter().map(|event| event["detail"]["requestParameters"]["groupName"].clone()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(world.sim.take_events().is_empty());
}

#[test]
fn events_can_be_lost_doubled_and_reordered() {
    let world = World::new();
    world.sim.freeze(start());
    let send = |delivery: Delivery| {
        world.sim.set_delivery(delivery);
        for n in 0..50 {
            world.call("CreateSecurityGroup", &[("GroupName", &n.to_string())]);
        }
        world.sim.advance(SignedDuration::from_secs(60));
        world.sim.take_events()
    };
    assert!(send(Delivery { loss: 1.0, ..Delivery::default() }).is_empty());
    let doubled = send(Delivery { duplication: 1.0, ..Delivery::default() });
    assert_eq!(doubled.len(), 100);
    assert_eq!(doubled[0]["detail"]["eventID"], doubled[1]["detail"]["eventID"]);
    let mixed = send(Delivery { jitter_ms: 30_000, ..Delivery::default() });
    let order: Vec<u64> =
        mixed.iter().map(|event| event["detail"]["requestParameters"]["groupName"].as_str().unwrap().parse().unwrap()).collect();
    assert!(order.len() == 50 && !order.is_sorted());
}

#[test]
fn lookup_takes_one_attribute_shows_the_newest_first_and_pages_by_fifty() {
    let world = World::new();
    world.sim.freeze(start());
    let web = world.group(VPC, "web");
    for n in 1..=59 {
        world.sim.advance(SignedDuration::from_secs(1));
        world.allow(&web, &[&format!("tcp/{n} 10.0.0.0/8")]).ok();
    }
    let by_name = json!([{"AttributeKey": "ResourceName", "AttributeValue": web}]);
    let (status, first) = lookup(&world, &json!({"LookupAttributes": by_name}));
    assert_eq!((status, first["Events"].as_array().unwrap().len()), (200, 50));
    let newest = &first["Events"][0];
    assert_eq!(
        (&newest["EventName"], &newest["ReadOnly"], &newest["Username"]),
        (&json!("AuthorizeSecurityGroupIngress"), &json!("false"), &json!("alice"))
    );
    let record: Value = serde_json::from_str(newest["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(record["eventTime"], "2026-03-02T09:16:26Z");
    let (_, second) = lookup(&world, &json!({"LookupAttributes": by_name, "NextToken": first["NextToken"]}));
    assert_eq!(second["Events"].as_array().unwrap().len(), 10);
    world.sim.advance(SignedDuration::from_secs(10));
    let both = json!([{"AttributeKey": "EventName", "AttributeValue": "x"}, {"AttributeKey": "EventId", "AttributeValue": "y"}]);
    let (status, refused) = lookup(&world, &json!({"LookupAttributes": both}));
    assert_eq!((status, &refused["__type"]), (400, &json!("InvalidLookupAttributesException")));
    let (_, none) = lookup(&world, &json!({"StartTime": start().as_second() + 3600}));
    assert!(none["Events"].as_array().unwrap().is_empty());
}

#[test]
fn lookup_is_limited_to_two_a_second_and_may_lag() {
    let world = World::new();
    world.sim.freeze(start());
    world.sim.set_delivery(Delivery { lookup_delay_ms: 60_000, ..Delivery::default() });
    world.group(VPC, "web");
    let (_, early) = lookup(&world, &json!({}));
    assert!(early["Events"].as_array().unwrap().is_empty());
    lookup(&world, &json!({}));
    let (status, throttled) = lookup(&world, &json!({}));
    assert_eq!((status, &throttled["__type"]), (400, &json!("ThrottlingException")));
    world.sim.advance(SignedDuration::from_secs(60));
    assert_eq!(lookup(&world, &json!({})).1["Events"].as_array().unwrap().len(), 1);
}
