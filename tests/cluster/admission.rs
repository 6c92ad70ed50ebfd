//! The CRD on the real apiserver: what it refuses and in which words, what it accepts, what `kubectl get` shows, and that
//! whatever it accepts leaves room for its status. What is read without an apiserver (`core::desired`) is held to the same
//! verdicts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use sgwarden::api::{
    Actor, DriftAtom, DriftRecord, MAX_APPLIED_TAGS, MAX_DRIFT, MAX_DRIFT_ATOMS, MAX_PAIRS, MAX_PLAN_STEPS, MAX_TAGS, MAX_TEXT,
    MAX_TEXT_PER_DIRECTION, MAX_VOUCHED, MAX_VOUCHED_LINE, PlanSummary, Quota, SECURITY_GROUPS, SecurityGroup, SecurityGroupStatus,
    conditions, crds,
};
use sgwarden::core::desired::{Problem, parse};

use crate::rejected::{ACCEPTED, PINNED, PINNED_BEFORE, PINS, REJECTED, Rejected};
use crate::rig::install_crds;
use crate::support::controlplane::{ControlPlane, Said};

/// How many kubectl run at a time.
const AT_A_TIME: usize = 4;

async fn plane_with_crds() -> &'static ControlPlane {
    let plane = ControlPlane::shared();
    install_crds(plane).await;
    plane
}

async fn apply(plane: &ControlPlane, namespace: &str, manifest: &str) -> Said {
    plane.kubectl(&["apply", "--server-side", "--namespace", namespace, "-f", "-"], manifest).await
}

async fn pin(plane: &ControlPlane, namespace: &str, name: &str, status: &str) {
    let patch =
        ["patch", SECURITY_GROUPS, name, "--namespace", namespace, "--subresource=status", "--type=merge", "--patch", status];
    plane.kubectl(&patch, "").await.succeeded();
}

// The CRD ------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn the_files_in_crds_are_taken_without_a_warning_and_kept_whole() {
    let plane = ControlPlane::shared();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let applied = plane.kubectl(&["apply", "--server-side", "-f", &format!("{}/", folder.display())], "").await;
    assert_eq!(applied.stderr, "", "the apiserver has something to say about crds/");
    applied.succeeded();
    install_crds(plane).await;
    let api: Api<CustomResourceDefinition> = Api::all(plane.client().await);
    for (file, ours) in crds::all() {
        let written = std::fs::read_to_string(folder.join(&file)).unwrap();
        assert_eq!(serde_yaml::from_str::<CustomResourceDefinition>(&written).unwrap(), ours, "{file}");

        let mut stored = api.get(ours.metadata.name.as_deref().unwrap()).await.unwrap();
        // What it fills in by itself.
        stored.spec.conversion = None;
        stored.spec.preserve_unknown_fields = None;
        assert_eq!(stored.spec, ours.spec, "{file} is not stored as it was sent");
        let conditions = stored.status.and_then(|status| status.conditions).unwrap_or_default();
        let bad = conditions.iter().find(|condition| (condition.type_ == "NonStructuralSchema") == (condition.status == "True"));
        assert!(bad.is_none(), "{bad:?}");
    }
}

// Refused ------------------------------------------------------------------------------------------------------------

/// Applies each as it is and returns what is wrong with the answers.
async fn answers(plane: &ControlPlane, namespace: &str, cases: &[Rejected]) -> Vec<String> {
    let judge = |case: Rejected| async move {
        let said = apply(plane, namespace, case.yaml).await;
        let complaint = format!("{}{}", said.stdout, said.stderr);
        let problem = if said.success {
            "was accepted".to_owned()
        } else if !complaint.contains(&format!("{}: ", case.field)) {
            format!("does not name {}", case.field)
        } else if !complaint.contains(case.remedy) {
            format!("does not say '{}'", case.remedy)
        } else {
            return None;
        };
        Some(format!("{} {problem}: {complaint}", case.name))
    };
    let answers: Vec<_> = futures::stream::iter(cases.iter().copied()).map(judge).buffer_unordered(AT_A_TIME).collect().await;
    answers.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejected_manifest_is_refused_with_its_field_and_the_remedy() {
    assert!(REJECTED.len() > 50);
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("rejected").await;
    let wrong = answers(plane, &namespace, REJECTED).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let left = plane.kubectl(&["get", SECURITY_GROUPS, "--namespace", &namespace, "-o", "name"], "").await.succeeded();
    assert_eq!(left, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ec2_fixed_at_creation_cannot_be_changed_once_it_is_pinned() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("pinned").await;
    // Before there is a group, everything may change.
    let early = PINNED_BEFORE.replace("shop-web", "shop-early").replace("vpc-0a1b2c3d", "vpc-0a1b2c3e");
    apply(plane, &namespace, &early).await.succeeded();
    apply(plane, &namespace, PINNED_BEFORE).await.succeeded();
    pin(plane, &namespace, "pinned", PINS).await;

    let wrong = answers(plane, &namespace, PINNED).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The same again, another tag, and the end of the object are no changes of that kind.
    apply(plane, &namespace, PINNED_BEFORE).await.succeeded();
    apply(plane, &namespace, &format!("{PINNED_BEFORE}  tags: {{team: shop}}\n")).await.succeeded();
    plane.kubectl(&["delete", SECURITY_GROUPS, "pinned", "--namespace", &namespace], "").await.succeeded();
}

// One verdict --------------------------------------------------------------------------------------------------------

/// Those that cannot even be read as the type, so that a directory's reader refuses them before `core::desired` sees them.
const UNREADABLE: &[(&str, &str)] = &[("vpc-missing", "vpc is no Option")];

/// Those that are wrong for the apiserver alone, and why.
const ONLY_THE_APISERVER: &[(&str, &str)] = &[
    ("name-too-long", "CEL cannot see the namespace and has to assume the longest; with it, the name is long but fits"),
    (
        "pinned-region-removed",
        "the Region may be the only one sgwarden serves: the controller compares it with the pin once it knows",
    ),
];

/// Those that `core::desired` refuses at the same field with another remedy.
#[rustfmt::skip]
const OTHERWISE_WORDED: &[(&str, &str)] = &[
    ("peer-empty-list", "the same remedy in other words"),
    ("peer-self-false", "the same remedy in other words"),
    ("peer-account-malformed", "quotes are gone once it is read"),
    ("peer-group-by-name-as-id", "one parser of ids for specs, status and EC2: it tells the form"),
    ("peer-prefix-list-malformed", "one parser of ids: it tells the form"),
    ("peer-description-charset", "the apiserver shows the pattern, here it is in words"),
    ("icmp-type-too-high", "the apiserver's own message for a maximum"),
    ("rule-name-malformed", "the same remedy in other words"),
    ("egress-policy-unknown", "the apiserver's own message for an enum"),
    ("mode-unknown", "the apiserver's own message for an enum"),
    ("deletion-policy-unknown", "the apiserver's own message for an enum"),
    ("vpc-malformed", "one parser of ids: it tells the form"),
    ("region-malformed", "one parser of ids: it tells the form"),
    ("tag-aws", "the path has the key"),
    ("tag-sgwarden", "the path has the key"),
    ("tag-cluster", "the path has the key"),
];

fn read(yaml: &str) -> Result<SecurityGroup, String> {
    let mut object: SecurityGroup = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
    object.metadata.namespace = Some("shop".to_owned());
    Ok(object)
}

fn reason<'a>(table: &[(&str, &'a str)], case: &Rejected) -> Option<&'a str> {
    table.iter().find(|(name, _)| *name == case.name).map(|(_, reason)| *reason)
}

/// Whether a problem is at the field, in it, or around it.
fn is_at(problem: &Problem, field: &str) -> bool {
    let (long, short) =
        if problem.path.len() > field.len() { (problem.path.as_str(), field) } else { (field, problem.path.as_str()) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[test]
fn what_the_apiserver_refuses_is_refused_without_one_at_the_same_field() {
    let pins: BTreeMap<String, SecurityGroupStatus> = serde_json::from_str(PINS).unwrap();
    let mut wrong = String::new();
    let mut tell = |case: &Rejected, what: String| writeln!(wrong, "{} {what}", case.name).unwrap();
    for (case, status) in REJECTED.iter().map(|case| (case, None)).chain(PINNED.iter().map(|case| (case, pins.get("status")))) {
        let object = read(case.yaml);
        match (object, reason(UNREADABLE, case)) {
            (Err(_), Some(_)) => {}
            (Err(error), None) => tell(case, format!("cannot be read: {error}")),
            (Ok(_), Some(_)) => tell(case, "can be read: take it off the list".to_owned()),
            (Ok(mut object), None) => {
                object.status = status.cloned();
                let problems = parse(&object).err().unwrap_or_default();
                let here: Vec<&Problem> = problems.iter().filter(|problem| is_at(problem, case.field)).collect();
                let worded = here.iter().any(|problem| problem.message.contains(case.remedy));
                match (reason(ONLY_THE_APISERVER, case), reason(OTHERWISE_WORDED, case)) {
                    (Some(_), _) if problems.is_empty() => {}
                    (Some(_), _) => tell(case, format!("is refused: take it off the list: {problems:?}")),
                    (None, _) if problems.is_empty() => tell(case, "is accepted".to_owned()),
                    (None, _) if here.is_empty() => {
                        tell(case, format!("is refused elsewhere than at {}: {problems:?}", case.field));
                    }
                    (None, Some(_)) if worded => tell(case, "says the same: take it off the list".to_owned()),
                    (None, None) if !worded => tell(case, format!("does not say '{}': {here:?}", case.remedy)),
                    (None, _) => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

// Accepted -----------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_manifest_is_taken_and_understood() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("accepted").await;
    for (name, yaml) in ACCEPTED {
        let said = apply(plane, &namespace, yaml).await;
        assert_eq!(said.stderr, "", "{name}");
        said.succeeded();
        let objects: Vec<SecurityGroup> = serde_yaml::from_multiple(yaml).unwrap();
        assert!(!objects.is_empty());
        let api: Api<SecurityGroup> = Api::namespaced(plane.client().await, &namespace);
        for mut object in objects {
            object.metadata.namespace = Some(namespace.clone());
            let ours = parse(&object).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            // The same whether it comes from the apiserver, defaults filled in, or from a file.
            let stored = api.get(object.metadata.name.as_deref().unwrap()).await.unwrap();
            assert_eq!(parse(&stored).unwrap(), ours, "{name}");
        }
    }
}

// The largest --------------------------------------------------------------------------------------------------------

/// As many pairs and as much text as are admitted, in both directions, in the longest spelling.
fn largest() -> serde_json::Value {
    const RULES: usize = 100;
    let peers_each = MAX_PAIRS / RULES;
    let text_each = MAX_TEXT_PER_DIRECTION / RULES;
    let rules = |field: &str| -> Vec<serde_json::Value> {
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
    let tags: BTreeMap<String, String> = (0..MAX_TAGS).map(|n| (format!("{n:0127}"), "v".repeat(256))).collect();
    json!({
        "apiVersion": "sgwarden.dev/v1alpha1",
        "kind": "SecurityGroup",
        "metadata": { "name": "largest" },
        "spec": {
            "vpc": { "id": "vpc-0123456789abcdef0" },
            "groupName": "n".repeat(255),
            "description": "d".repeat(255),
            "tags": tags,
            "ingress": rules("from"),
            "egress": rules("to"),
        },
    })
}

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
        type_: some(MAX_TEXT),
        source_ip: some(MAX_TEXT),
        user_agent: some(MAX_TEXT),
        event_name: some(MAX_TEXT),
        event_time: time(),
        event_id: some(MAX_TEXT),
    };
    let drift = DriftRecord {
        id: text(64),
        atoms: vec![atom; MAX_DRIFT_ATOMS],
        count: i32::MAX,
        detected_at: time(),
        actor: Some(actor),
        resolution: text(32),
        resolved_at: time(),
        change_id: some(64),
        trace_id: some(64),
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
        account: some(63),
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
        quota: Some(Quota {
            ingress_ipv4: Some(i32::MAX),
            ingress_ipv6: Some(i32::MAX),
            egress_ipv4: Some(i32::MAX),
            egress_ipv6: Some(i32::MAX),
            limit: Some(i32::MAX),
        }),
        plan: Some(PlanSummary { hash: some(64), count: Some(i32::MAX), steps: vec![text(MAX_TEXT); MAX_PLAN_STEPS] }),
        drift: vec![drift; MAX_DRIFT],
        conditions: conditions::ALL.map(condition).to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_object_that_is_accepted_has_room_for_the_fullest_status() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("largest").await;
    let api: Api<SecurityGroup> = Api::namespaced(plane.client().await, &namespace);
    let params = PatchParams::apply("a-person").validation_strict();
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

// kubectl get --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_the_columns_under_every_name_of_the_kind() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("columns").await;
    apply(plane, &namespace, &PINNED_BEFORE.replace("name: pinned", "name: web")).await.succeeded();
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Because", "message": "so", "lastTransitionTime": "2026-12-24T18:00:00Z"});
    let status = json!({ "status": {
        "groupId": "sg-0123456789abcdef0", "region": "eu-west-1", "vpcId": "vpc-0a1b2c3d", "ruleCount": 3, "mode": "Enforce",
        "conditions": [condition("Ready", "True"), condition("Synced", "False"), condition("Drifted", "Unknown")],
    }});
    pin(plane, &namespace, "web", &status.to_string()).await;

    let table = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let get =
        async |arguments: &[&str]| plane.kubectl(&[&["get", "--namespace", &namespace], arguments].concat(), "").await.succeeded();
    for name in ["sg", "sgw", "securitygroup", "securitygroups", SECURITY_GROUPS] {
        let shown = table(&get(&[name]).await);
        assert_eq!(shown[0], ["NAME", "GROUP-ID", "READY", "SYNCED", "DRIFTED", "RULES", "MODE", "AGE"], "{name}");
        assert_eq!(shown[1][..7], ["web", "sg-0123456789abcdef0", "True", "False", "Unknown", "3", "Enforce"], "{name}");
    }
    let wide = table(&get(&["sg", "-o", "wide"]).await);
    assert_eq!(wide[0][7..], ["AGE", "REGION", "VPC", "REASON"]);
    assert_eq!(wide[1][8..], ["eu-west-1", "vpc-0a1b2c3d", "Because"]);

    for category in ["sgwarden", "aws"] {
        assert_eq!(get(&[category, "-o", "name"]).await.trim(), "securitygroup.sgwarden.dev/web", "{category}");
    }
    for (selector, found) in [
        ("spec.region=eu-west-1", true),
        ("spec.region=eu-west-2", false),
        ("status.groupId=sg-0123456789abcdef0", true),
        ("status.vpcId=vpc-0a1b2c3d,status.groupId!=sg-0123456789abcdef0", false),
    ] {
        assert_eq!(get(&["sg", "--field-selector", selector, "-o", "name"]).await.contains("web"), found, "{selector}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_every_field_a_person_writes() {
    let plane = plane_with_crds().await;
    for (field, words) in [
        ("securitygroup.spec.egressPolicy", "Required when egress has no rules"),
        ("sg.spec.ingress.from.cidr", "0.0.0.0/0"),
        ("sg.status.rules", "The rules sgwarden vouches for"),
    ] {
        let said = plane.kubectl(&["explain", field], "").await.succeeded();
        let flowing = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowing.contains(words), "{field}: {said}");
    }
}
