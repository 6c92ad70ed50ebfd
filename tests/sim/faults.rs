//! Faults, throttling, stale reads, the clock (ec2.md §1.3, §3; the control endpoint).

use crate::support::{VPC, World, answer};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sgwarden::adapters::sim::{Break, Delay, Fault, Latency, StaleReads, StopAfter};
use std::time::Duration;

fn start() -> Timestamp {
    "2026-03-02T09:15:27Z".parse().unwrap()
}

fn control(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = http::Request::builder().method(method).uri(format!("/_sim/{path}")).body(body).unwrap();
    let response = world.sim.handle(request);
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[test]
fn the_next_calls_of_an_action_fail_and_then_it_works_again() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.sim.inject(Fault::error("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", 403).times(2));
    for _ in 0..2 {
        let answer = world.allow(&web, &["tcp/1 10.0.0.0/8"]);
        assert_eq!((answer.status, answer.code()), (403, "UnauthorizedOperation"));
    }
    world.call("DescribeVpcs", &[]).ok();
    assert!(world.ingress(&web).is_empty());
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).ok();
    assert_eq!(world.sim.count("AuthorizeSecurityGroupIngress"), 3);
}

#[test]
fn a_call_may_take_effect_though_its_caller_is_told_that_it_failed() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.sim.inject(Fault::error("writes", "InternalError", 500).after_applying().times(1));
    assert_eq!(world.allow(&web, &["tcp/1 10.0.0.0/8"]).status, 500);
    assert_eq!(world.ingress(&web), ["tcp/1-1 10.0.0.0/8"]);
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).fails("InvalidPermission.Duplicate");
    let last = world.sim.calls().into_iter().rfind(|call| call.error.as_deref() == Some("InternalError")).unwrap();
    assert!(last.applied);
}

#[test]
fn faults_can_skip_calls_and_be_kept_to_an_account() {
    let world = World::new();
    world.sim.inject(Fault { account: Some("444455556666".into()), ..Fault::throttle("reads").skip(1).times(1) });
    world.call("DescribeVpcs", &[]).ok();
    let other = world.other();
    other.call("DescribeVpcs", &[]).ok();
    let throttled = other.call("DescribeVpcs", &[]);
    assert_eq!((throttled.status, throttled.code()), (503, "RequestLimitExceeded"));
    assert!(throttled.message().contains("Account 444455556666 has been throttled on ec2:DescribeVpcs"));
    other.call("DescribeVpcs", &[]).ok();
}

#[test]
fn a_stopped_service_answers_nothing_more_after_the_nth_write() {
    let world = World::new();
    world.sim.stop_after(StopAfter { writes: 2, ..StopAfter::default() });
    world.group(VPC, "a");
    world.call("DescribeVpcs", &[]).ok();
    world.group(VPC, "b");
    for action in ["DescribeVpcs", "CreateSecurityGroup"] {
        let response = world.sim.query(world.key, world.region, &[("Action", action)]);
        assert_eq!(response.extensions().get::<Break>(), Some(&Break { after: None }));
    }
    world.sim.clear_faults();
    world.call("DescribeVpcs", &[]).ok();
}

#[test]
fn token_buckets_have_the_published_sizes_for_each_account_and_action() {
    let world = World::new();
    world.sim.freeze(start());
    world.sim.set_throttling(true);
    let allowed = |world: &World, action: &str, params: &[(&str, &str)]| {
        (0..200).take_while(|_| world.call(action, params).status != 503).count()
    };
    let filter = [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", "x")];
    assert_eq!(allowed(&world, "DescribeSecurityGroups", &filter), 100);
    assert_eq!(allowed(&world, "DescribeSecurityGroups", &[]), 50);
    assert_eq!(allowed(&world, "DescribeSecurityGroupRules", &[("MaxResults", "5")]), 100);
    assert_eq!(allowed(&world, "AuthorizeSecurityGroupIngress", &[]), 50);
    assert_eq!(allowed(&world, "AuthorizeSecurityGroupEgress", &[]), 50);
    assert_eq!(allowed(&world, "CreateTags", &[]), 100);
    assert_eq!(allowed(&world, "DescribeStaleSecurityGroups", &[]), 20);
    assert_eq!(allowed(&world.other(), "AuthorizeSecurityGroupIngress", &[]), 50);
    world.sim.advance(SignedDuration::from_secs(2));
    assert_eq!(allowed(&world, "AuthorizeSecurityGroupIngress", &[]), 10);
    assert_eq!(allowed(&world, "DescribeSecurityGroups", &filter), 40);
    let throttled = world.call("AuthorizeSecurityGroupIngress", &[]);
    assert_eq!((throttled.status, throttled.code()), (503, "RequestLimitExceeded"));
}

#[test]
fn a_stale_read_shows_the_world_as_it_was() {
    let world = World::new();
    world.sim.freeze(start());
    let web = world.group(VPC, "web");
    world.sim.set_stale_reads(Some(StaleReads { max_ms: 5000, fixed: true, ..StaleReads::default() }));
    world.sim.advance(SignedDuration::from_secs(10));
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).ok();
    world.sim.advance(SignedDuration::from_secs(4));
    assert!(world.ingress(&web).is_empty());
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).fails("InvalidPermission.Duplicate");
    let young = world.group(VPC, "young");
    world.call("DescribeSecurityGroups", &[("GroupId.1", &young)]).fails("InvalidGroup.NotFound");
    world.sim.advance(SignedDuration::from_secs(2));
    assert_eq!(world.ingress(&web).len(), 1);
    world.sim.set_stale_reads(None);
    world.described(&young);
}

#[test]
fn latency_is_told_to_whoever_carries_the_reply() {
    let world = World::new();
    world.sim.set_latency(vec![Latency { action: "reads".into(), min_ms: 50, max_ms: 60, tail_ms: 0 }]);
    let response = world.sim.query(world.key, world.region, &[("Action", "DescribeVpcs")]);
    let Delay(wait) = *response.extensions().get::<Delay>().unwrap();
    assert!((Duration::from_millis(50)..=Duration::from_millis(60)).contains(&wait), "{wait:?}");
    let write = world.sim.query(world.key, world.region, &[("Action", "CreateTags")]);
    assert!(write.extensions().get::<Delay>().is_none());
}

#[test]
fn the_date_of_replies_is_that_of_the_clock() {
    let world = World::new();
    world.sim.freeze(start());
    let response = world.sim.query(world.key, world.region, &[("Action", "DescribeVpcs")]);
    assert_eq!(response.headers()["date"], "Mon, 02 Mar 2026 09:15:27 GMT");
    assert!(answer(&response).request_id.len() == 36);
}

#[test]
fn every_fault_can_be_set_over_the_control_endpoint() {
    let world = World::new();
    assert_eq!(
        control(&world, "POST", "faults", &json!({"action": "DescribeVpcs", "code": "AuthFailure", "status": 401, "times": 1})).0,
        200
    );
    assert_eq!(world.call("DescribeVpcs", &[]).status, 401);
    let all = json!({"errors": [{"action": "*"}], "latency": [{"minMs": 1}], "stale": {"maxMs": 9}, "stop": {"writes": 4}, "throttling": true});
    let (_, shown) = control(&world, "PUT", "faults", &all);
    assert_eq!(shown["stop"], json!({"writes": 4, "effect": "drop"}));
    assert_eq!(control(&world, "DELETE", "faults", &Value::Null).1["errors"], json!([]));
    control(&world, "PUT", "clock", &json!({"freeze": "2026-03-02T09:15:27Z"}));
    control(&world, "PUT", "clock", &json!({"advanceMs": 1000}));
    assert_eq!(control(&world, "GET", "clock", &Value::Null).1, json!({"now": "2026-03-02T09:15:28Z", "frozen": true}));
    control(&world, "POST", "vpcs", &json!({"id": "vpc-0badc0de", "cidr": "10.50.0.0/16"}));
    world.call("DescribeVpcs", &[("VpcId.1", "vpc-0badc0de")]).ok();
    let (_, counts) = control(&world, "GET", "counts", &Value::Null);
    assert_eq!(counts["DescribeVpcs"], json!(2));
    let (_, calls) = control(&world, "GET", "calls", &Value::Null);
    assert_eq!(calls[1]["params"], json!({"VpcId.1": "vpc-0badc0de"}));
    for (method, path, body, status) in [
        ("POST", "faults", json!({"nonsense": 1}), 400),
        ("POST", "faults", json!("x"), 400),
        ("PATCH", "faults", Value::Null, 405),
        ("GET", "nowhere", Value::Null, 404),
    ] {
        assert_eq!(control(&world, method, path, &body).0, status, "{method} {path}");
    }
}

#[test]
fn a_fault_can_be_about_one_group_only() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    world.sim.inject(Fault { about: Some(web.clone()), ..Fault::error("writes", "UnauthorizedOperation", 403) });
    world.allow(&db, &["tcp/1 10.0.0.0/8"]).ok();
    let refused = world.allow(&web, &["tcp/1 10.0.0.0/8"]);
    assert_eq!(refused.message(), "You are not authorized to perform this operation.");
}

#[test]
fn quotas_are_raised_as_by_a_support_case() {
    let world = World::new();
    let web = world.group(VPC, "web");
    assert_eq!(control(&world, "PUT", "quotas", &json!({"rulesPerGroup": 1})).0, 200);
    world.allow(&web, &["tcp/1 10.0.0.0/8", "tcp/2 10.0.0.0/8"]).fails("RulesPerSecurityGroupLimitExceeded");
    assert_eq!(control(&world, "PUT", "quotas", &json!({})).1["rulesPerGroup"], json!(60));
    world.allow(&web, &["tcp/1 10.0.0.0/8", "tcp/2 10.0.0.0/8"]).ok();
}

#[test]
fn a_write_right_after_creation_may_not_find_the_group_yet() {
    let world = World::new();
    world.sim.freeze(start());
    world.sim.set_stale_reads(Some(StaleReads { max_ms: 5000, fixed: true, writes: true, ..StaleReads::default() }));
    let web = world.group(VPC, "web");
    world.sim.advance(SignedDuration::from_secs(1));
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).fails("InvalidGroup.NotFound");
    world.sim.advance(SignedDuration::from_secs(5));
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).ok();
}

#[test]
fn a_reset_forgets_faults_and_calls_and_on_demand_everything_made() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.sim.inject(Fault::throttle("*"));
    control(&world, "POST", "reset", &Value::Null);
    world.described(&web);
    assert_eq!(world.sim.calls().len(), 1);
    control(&world, "POST", "reset", &json!({"world": true}));
    world.call("DescribeSecurityGroups", &[("GroupId.1", &web)]).fails("InvalidGroup.NotFound");
    world.call("DescribeVpcs", &[("VpcId.1", VPC)]).ok();
}

#[test]
fn rules_come_into_force_later_than_reads_show_them() {
    let world = World::new();
    world.sim.freeze(start());
    let web = world.group(VPC, "web");
    control(&world, "PUT", "faults", &json!({"dataPlaneLagMs": 3000}));
    let in_force = || world.sim.effective_rules("111122223333", "eu-west-1", &web).len();
    assert_eq!(in_force(), 1);
    world.sim.advance(SignedDuration::from_secs(10));
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).ok();
    assert_eq!((world.live(&web).len(), in_force()), (2, 1));
    world.sim.advance(SignedDuration::from_secs(3));
    assert_eq!(in_force(), 2);
    let asked = json!({"account": "111122223333", "region": "eu-west-1", "group": web});
    assert_eq!(control(&world, "POST", "effective", &asked).1[1]["peer"], json!("10.0.0.0/8"));
}
