//! Whatever the CRDs accept leaves room for its status: etcd takes 1.5 MiB an object, and nothing about a group could be written
//! down once its spec alone takes too much of that.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use sgwarden::api::{
    Actor, Approved, DRIFT_DIGEST, DriftAtom, DriftRecord, ExposureChange, MAX_ACCOUNT_NAME, MAX_APPLIED_TAGS, MAX_DRIFT,
    MAX_DRIFT_ATOMS, MAX_DRIFT_UNLISTED, MAX_EXPIRED, MAX_EXPIRED_LINE, MAX_EXPIRING, MAX_EXPOSURE, MAX_NOTICE_MESSAGE,
    MAX_NOTICES, MAX_NOTIFIED, MAX_NOTIFIER_NAME, MAX_PAIRS, MAX_PIN, MAX_PINS, MAX_PLAN_STEPS, MAX_PREFIX_LIST_LINE,
    MAX_PREFIX_LISTS, MAX_REASON, MAX_STALE_RULES, MAX_TAGS, MAX_TAGS_BEGUN, MAX_TEXT, MAX_TEXT_PER_DIRECTION, MAX_TOLERATED_PORTS,
    MAX_TOLERATIONS, MAX_VOUCHED, MAX_VOUCHED_LINE, MAX_VPC_ASSOCIATION, MAX_VPC_ASSOCIATIONS, MAX_WORD, NoticeRecord, Notified,
    PlanSummary, Quota, SecurityGroup, SecurityGroupStatus, TAG_DIGEST, Usage, conditions,
};
use sgwarden::core::desired::parse;

use crate::admission::plane_with_crds;

/// As many pairs and as much text as are admitted, in both directions, in the longest spelling.
fn largest() -> Value {
    const RULES: usize = 100;
    let peers_each = MAX_PAIRS / RULES;
    let text_each = MAX_TEXT_PER_DIRECTION / RULES;
    let rules = |field: &str| -> Vec<Value> {
        let rule = |rule: usize| {
            let peer = |peer: usize| json!({ "cidr": format!("2001:0db8:0000:0000:0000:0000:{rule:04x}:{peer:04x}/128") });
            let mut object = json!({
                "name": format!("{}{rule:03}", "r".repeat(60)),
                "justification": "j".repeat(text_each),
                "protocol": "tcp",
                "ports": ["10000-20000"],
            });
            object[field] = (0..peers_each).map(peer).collect();
            object
        };
        (0..RULES).map(rule).collect()
    };
    let toleration = json!({
        "direction": "Ingress",
        "cidr": "2001:0db8:0000:0000:0000:0000:0000:0000/128",
        "protocol": "tcp",
        "ports": vec!["10000-20000"; MAX_TOLERATED_PORTS],
        "descriptionPrefix": "d".repeat(255),
    });
    let requirement = json!({ "key": "k".repeat(317), "operator": "NotIn", "values": vec!["v".repeat(63); 32] });
    let selector = json!({
        "matchLabels": (0..16).map(|n| (format!("{n:0317}"), "v".repeat(63))).collect::<BTreeMap<_, _>>(),
        "matchExpressions": vec![requirement; 8],
    });
    let tags: BTreeMap<String, String> = (0..MAX_TAGS).map(|n| (format!("{n:0127}"), "v".repeat(256))).collect();
    json!({
        "apiVersion": "sgwarden.dev/v1alpha1",
        "kind": "SecurityGroup",
        "metadata": { "name": "largest" },
        "spec": {
            "account": "a".repeat(MAX_ACCOUNT_NAME),
            "vpc": { "tags": (0..10).map(|n| (format!("{n:0128}"), "v".repeat(256))).collect::<BTreeMap<_, _>>() },
            "groupName": "n".repeat(255),
            "description": "d".repeat(255),
            "tags": tags,
            "ingress": rules("from"),
            "egress": rules("to"),
            "enforcement": {
                "mode": "Observe",
                "undeclaredRules": "Report",
                "tolerate": vec![toleration; MAX_TOLERATIONS],
                "suspend": { "until": "2026-12-24T18:00:00.123456789+01:00", "reason": "r".repeat(1024) },
                "approval": "Automatic",
            },
            "allowedNamespaces": { "from": "Selector", "selector": selector },
        },
    })
}

/// Conditions that no group has.
const OF_OTHERS: [&str; 5] = [
    conditions::CREDENTIALS_VALID,
    conditions::SWEEP_HEALTHY,
    conditions::EVENTS_HEALTHY,
    conditions::CLOCK_SKEWED,
    conditions::DELIVERING,
];

/// Every list and text at its limit.
fn fullest() -> SecurityGroupStatus {
    let text = |limit: usize| "t".repeat(limit);
    let some = |limit: usize| Some(text(limit));
    let time = || Some("2026-12-24T18:00:00.123456789+01:00".to_owned());
    let now: jiff::Timestamp = "2026-12-24T18:00:00Z".parse().unwrap();
    let atom = DriftAtom { kind: text(32), before: some(MAX_TEXT), after: some(MAX_TEXT), rule_id: some(32), rule: some(63) };
    let actor = Actor {
        name: some(MAX_TEXT),
        arn: some(MAX_TEXT),
        type_: some(MAX_WORD),
        source_ip: some(MAX_WORD),
        user_agent: some(MAX_TEXT),
        event_name: some(MAX_TEXT),
        event_time: time(),
        event_id: some(MAX_WORD),
        reason: some(MAX_REASON),
    };
    let told = Notified { notifier: text(MAX_NOTIFIER_NAME), at: time(), with_actor: true, with_end: true };
    let notified = vec![told; MAX_NOTIFIED];
    let drift = DriftRecord {
        id: text(64),
        atoms: vec![atom; MAX_DRIFT_ATOMS],
        count: i32::MAX,
        detected_at: time(),
        exposure: Some(ExposureChange { opened: some(MAX_EXPOSURE), closed: some(MAX_EXPOSURE) }),
        actor: Some(actor),
        resolution: text(32),
        resolved_at: time(),
        change_id: some(64),
        trace_id: some(64),
        unlisted: some(MAX_DRIFT_UNLISTED * DRIFT_DIGEST),
        notified: notified.clone(),
    };
    let notice = NoticeRecord {
        id: text(64),
        kind: text(32),
        severity: text(32),
        reason: text(64),
        at: time(),
        message: text(MAX_NOTICE_MESSAGE),
        notified,
    };
    let condition = |kind: &str| Condition {
        type_: kind.to_owned(),
        status: "Unknown".to_owned(),
        reason: text(128),
        message: text(conditions::MAX_MESSAGE),
        last_transition_time: Time(now),
        observed_generation: Some(i64::MAX),
    };
    SecurityGroupStatus {
        observed_generation: Some(i64::MAX),
        account: some(MAX_ACCOUNT_NAME),
        region: some(32),
        vpc_id: some(32),
        group_name: some(255),
        description: some(255),
        group_id: some(32),
        arn: some(256),
        owner_id: some(12),
        origin: some(32),
        mode: some(32),
        rule_count: Some(i32::MAX),
        rules: Some((0..MAX_VOUCHED).map(|n| format!("{n:0>MAX_VOUCHED_LINE$}")).collect()),
        tags: Some((0..MAX_APPLIED_TAGS).map(|n| (format!("{n:0128}"), text(256))).collect()),
        tags_begun: some(MAX_TAGS_BEGUN * TAG_DIGEST),
        quota: Some(Quota {
            ingress_ipv4: Some(i32::MAX),
            ingress_ipv6: Some(i32::MAX),
            egress_ipv4: Some(i32::MAX),
            egress_ipv6: Some(i32::MAX),
            limit: Some(i32::MAX),
        }),
        pins: vec![text(MAX_PIN); MAX_PINS],
        prefix_lists: vec![text(MAX_PREFIX_LIST_LINE); MAX_PREFIX_LISTS],
        vpc_associations: Some(vec![text(MAX_VPC_ASSOCIATION); MAX_VPC_ASSOCIATIONS]),
        stale_rules: vec![text(MAX_VOUCHED_LINE); MAX_STALE_RULES],
        expired: vec![text(MAX_EXPIRED_LINE); MAX_EXPIRED],
        expiring: vec![text(MAX_EXPIRED_LINE); MAX_EXPIRING],
        uid: some(64),
        suspended_since: time(),
        suspended_until: time(),
        approved: Some(Approved { hash: some(64), by: some(MAX_TEXT), generation: Some(i64::MAX) }),
        usage: Some(Usage { network_interfaces: Some(i32::MAX), referenced_by: Some(i32::MAX) }),
        plan: Some(PlanSummary { hash: some(64), count: Some(i32::MAX), steps: vec![text(MAX_TEXT); MAX_PLAN_STEPS] }),
        drift: vec![drift; MAX_DRIFT],
        notices: vec![notice; MAX_NOTICES],
        conditions: conditions::ALL.into_iter().filter(|kind| !OF_OTHERS.contains(kind)).map(condition).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_object_that_is_accepted_has_room_for_the_fullest_status() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("largest").await;
    let api: Api<SecurityGroup> = Api::namespaced(plane.client().await, &namespace);
    let params = PatchParams::apply("a-person").validation_strict();
    let mut more = largest();
    more["spec"]["egress"][0]["description"] = "d".into();
    let refused = api.patch("largest", &params, &Patch::Apply(more)).await.unwrap_err().to_string();
    let remedy = format!("names of peers are more than the {MAX_TEXT_PER_DIRECTION} bytes of one direction: shorten them");
    assert!(refused.contains("spec.egress: ") && refused.contains(&remedy), "{refused}");
    let mut object = api.patch("largest", &params, &Patch::Apply(largest())).await.unwrap();
    assert!(parse(&object).is_ok(), "{:?}", parse(&object).map(drop));

    object.status = Some(fullest());
    object.metadata.managed_fields = None;
    let written = api
        .replace_status("largest", &PostParams { field_manager: Some("sgwarden".to_owned()), ..Default::default() }, &object)
        .await;
    let written = written.unwrap_or_else(|error| panic!("the status of what was accepted cannot be written down: {error}"));
    assert_eq!(written.status, object.status, "stored as it was sent");
    // A finalizer has to find room as well, or the object could never be let go.
    let finalizer = json!({ "metadata": { "finalizers": ["sgwarden.dev/ec2"] } });
    api.patch_metadata("largest", &PatchParams::default(), &Patch::Merge(finalizer)).await.unwrap();
    let none = json!({ "metadata": { "finalizers": [] } });
    api.patch_metadata("largest", &PatchParams::default(), &Patch::Merge(none)).await.unwrap();
}
