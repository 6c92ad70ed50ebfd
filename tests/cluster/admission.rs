//! The CRDs on the real apiserver: what they refuse and in which words, what they accept, what `kubectl get` shows. What is
//! read without an apiserver (`core::desired`) is held to the same verdicts.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::Path;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use sgwarden::api::{AwsAccount, CidrSet, Notifier, SECURITY_GROUPS, SecurityGroup, SecurityGroupStatus, crds};
use sgwarden::core::desired::{Problem, parse, parse_account, parse_cidr_set, parse_notifier};

use crate::rejected::{ACCEPTED, FIXED, FIXED_BEFORE, Kind, PINNED, PINNED_BEFORE, PINS, REJECTED, Rejected};
use crate::rig::install_crds;
use crate::support::controlplane::{ControlPlane, Said};

/// How many kubectl run at a time.
const AT_A_TIME: usize = 4;

pub(crate) async fn plane_with_crds() -> &'static ControlPlane {
    let plane = ControlPlane::shared();
    install_crds(plane).await;
    plane
}

async fn apply(plane: &ControlPlane, namespace: &str, manifest: &str) -> Said {
    plane.kubectl(&["apply", "--server-side", "--namespace", namespace, "-f", "-"], manifest).await
}

/// Everything but storing it: an account is there for the whole cluster, and the controllers of other tests would go by it.
async fn try_out(plane: &ControlPlane, namespace: &str, manifest: &str, output: &str) -> Said {
    let arguments = ["apply", "--server-side", "--dry-run=server", "--namespace", namespace, "--output", output, "-f", "-"];
    plane.kubectl(&arguments, manifest).await
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
        let said = match case.kind {
            Kind::SecurityGroup | Kind::CidrSet => apply(plane, namespace, case.yaml).await,
            Kind::AwsAccount | Kind::Notifier => try_out(plane, namespace, case.yaml, "name").await,
        };
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
    for kind in [SECURITY_GROUPS, "cidrsets.sgwarden.dev"] {
        let left = plane.kubectl(&["get", kind, "--namespace", &namespace, "-o", "name"], "").await.succeeded();
        assert_eq!(left, "");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_to_defaults_may_be_written_out_as_it_was_pinned() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("pinned").await;
    let with = |account: &str, vpc: &str| {
        format!(
            "{{apiVersion: sgwarden.dev/v1alpha1, kind: SecurityGroup, metadata: {{name: short}}, spec: {{{account}vpc: {vpc}, egressPolicy: DenyAll}}}}"
        )
    };
    apply(plane, &namespace, &with("", "{name: main}")).await.succeeded();
    pin(plane, &namespace, "short", PINS).await;
    for (account, vpc, field) in [
        ("account: test, ", "{name: main}", "spec.account"),
        ("", "{name: other}", "spec.vpc"),
        ("", "{tags: {env: prod}}", "spec.vpc"),
        ("", "{id: vpc-0123456789abcdef0}", "spec.vpc"),
    ] {
        let said = apply(plane, &namespace, &with(account, vpc)).await.refused();
        assert!(said.contains(&format!("{field}: Forbidden")), "{account} {vpc}: {said}");
    }
    apply(plane, &namespace, &with("", "{name: main}")).await.succeeded();
    apply(plane, &namespace, &with("account: prod, ", "{name: main}")).await.succeeded();
    apply(plane, &namespace, &with("account: prod, ", "{id: vpc-0a1b2c3d}")).await.succeeded();
}

/// On a cluster of its own: the account has to be there.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_keeps_its_number_and_shows_how_it_stands() {
    let plane = ControlPlane::private().await;
    install_crds(&plane).await;
    apply(&plane, "default", FIXED_BEFORE).await.succeeded();
    let wrong = answers(&plane, "default", FIXED).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Anything else may change.
    apply(&plane, "default", &FIXED_BEFORE.replace("[eu-west-1]", "[eu-central-1, eu-west-1]")).await.succeeded();

    let status = json!({ "status": { "managed": 7, "drifted": 1, "regions": [{ "region": "eu-west-1", "managed": 7 }], "conditions": [
        { "type": "Ready", "status": "False", "reason": "Because", "message": "so", "lastTransitionTime": "2026-12-24T18:00:00Z" },
    ]}});
    let patch = ["patch", "awsaccount", "fixed", "--subresource=status", "--type=merge", "--patch", &status.to_string()];
    plane.kubectl(&patch, "").await.succeeded();
    let shown = plane.kubectl(&["get", "awsacc", "--output", "wide"], "").await.succeeded();
    let shown: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(shown[0], ["NAME", "ACCOUNT-ID", "READY", "GROUPS", "DRIFTED", "MODE", "AGE", "REGIONS", "REASON"]);
    assert_eq!(shown[1][..5], ["fixed", "111122223333", "False", "7", "1"]);
    assert_eq!(shown[1].last(), Some(&"Because"));
}

// One verdict --------------------------------------------------------------------------------------------------------

/// Those that cannot even be read as the type, so that a directory's reader refuses them before `core::desired` sees them.
const UNREADABLE: &[(&str, &str)] = &[
    ("vpc-missing", "vpc is no Option"),
    ("peer-set-without-name", "name is no Option"),
    ("tolerate-direction-missing", "direction is no Option"),
    ("suspend-without-until", "until is no Option"),
    ("set-without-cidr", "cidr is no Option"),
    ("account-regions-missing", "regions is no Option"),
    ("account-from-missing", "from is no Option"),
    ("notifier-type-missing", "type is no Option"),
    ("notifier-secret-key-missing", "key is no Option"),
];

/// Those that are wrong for the apiserver alone, and why.
const ONLY_THE_APISERVER: &[(&str, &str)] = &[
    ("name-too-long", "CEL cannot see the namespace and has to assume the longest; with it, the name is long but fits"),
    (
        "pinned-region-removed",
        "the Region may be the only one sgwarden serves: the controller compares it with the pin once it knows",
    ),
    ("pinned-account-removed", "the account may be the namespace's: the controller compares it with the pin once it knows"),
    ("pinned-vpc-by-name", "the name may lead to the same VPC: the controller compares it with the pin once it knows"),
    ("account-id-a-number", "YAML without a schema: the zeros in front of a number are lost before anybody sees them"),
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
    ("peer-set-name-malformed", "the apiserver shows the pattern, here it is in words"),
    ("peer-namespace-malformed", "the apiserver shows the pattern, here it is in words"),
    ("peer-prefix-list-name-empty", "the apiserver shows the pattern, here it is in words"),
    ("peer-prefix-list-name-charset", "the apiserver shows the pattern, here it is in words"),
    ("vpc-name-empty", "the apiserver's own message for a minimum"),
    ("vpc-tags-empty", "no tags are as good as none said"),
    ("undeclared-rules-unknown", "the apiserver's own message for an enum"),
    ("approval-unknown", "the apiserver's own message for an enum"),
    ("tolerate-direction-unknown", "the apiserver's own message for an enum"),
    ("tolerate-group-malformed", "one parser of ids: it tells the form"),
    ("tolerate-prefix-list-malformed", "one parser of ids: it tells the form"),
    ("tolerate-prefix-empty", "the apiserver's own message for a minimum"),
    ("adopt-group-malformed", "one parser of ids: it tells the form"),
    ("allowed-from-unknown", "the apiserver's own message for an enum"),
    ("allowed-operator-unknown", "the apiserver's own message for an enum"),
    ("account-id-malformed", "quotes are gone once it is read"),
    ("account-region-malformed", "one parser of ids: it tells the form"),
    ("account-from-same", "the apiserver's own message for an enum"),
    ("account-vpc-malformed", "one parser of ids: it tells the form"),
    ("account-rules-too-many", "the apiserver's own message for a maximum"),
    ("account-revocations-none", "the apiserver's own message for a minimum"),
    ("account-percent-too-high", "the apiserver's own message for a maximum"),
    ("account-mass-none", "the apiserver's own message for a minimum"),
    ("account-modes-unknown", "the apiserver's own message for an enum"),
    ("account-undeclared-unknown", "the apiserver's own message for an enum"),
    ("account-default-mode-unknown", "the apiserver's own message for an enum"),
    ("account-default-undeclared-unknown", "the apiserver's own message for an enum"),
    ("account-default-approval-unknown", "the apiserver's own message for an enum"),
    ("account-adoption-unknown", "the apiserver's own message for an enum"),
    ("account-mode-unknown", "the apiserver's own message for an enum"),
    ("notifier-type-unknown", "the apiserver's own message for an enum"),
    ("notifier-severity-unknown", "the apiserver's own message for an enum"),
    ("notifier-kind-unknown", "the apiserver's own message for an enum"),
    ("notifier-secret-name", "the apiserver's own message for a pattern"),
    ("notifier-secret-key", "the apiserver's own message for a pattern"),
    ("notifier-rate-none", "the apiserver's own message for a minimum"),
    ("account-tag-aws", "the path has the key"),
    ("tag-aws", "the path has the key"),
    ("tag-sgwarden", "the path has the key"),
    ("tag-cluster", "the path has the key"),
];

/// What is wrong with a manifest that no apiserver has seen; an error when it cannot even be read.
fn problems(case: &Rejected, status: Option<&SecurityGroupStatus>) -> Result<Vec<Problem>, String> {
    let unreadable = |error: serde_yaml::Error| error.to_string();
    let found = match case.kind {
        Kind::SecurityGroup => {
            let mut object: SecurityGroup = serde_yaml::from_str(case.yaml).map_err(unreadable)?;
            object.metadata.namespace = Some("shop".to_owned());
            object.status = status.cloned();
            parse(&object).err()
        }
        Kind::CidrSet => parse_cidr_set(&serde_yaml::from_str::<CidrSet>(case.yaml).map_err(unreadable)?).err(),
        Kind::AwsAccount => parse_account(&serde_yaml::from_str::<AwsAccount>(case.yaml).map_err(unreadable)?).err(),
        Kind::Notifier => parse_notifier(&serde_yaml::from_str::<Notifier>(case.yaml).map_err(unreadable)?).err(),
    };
    Ok(found.unwrap_or_default())
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
        match (problems(case, status), reason(UNREADABLE, case)) {
            (Err(_), Some(_)) => {}
            (Err(error), None) => tell(case, format!("cannot be read: {error}")),
            (Ok(_), Some(_)) => tell(case, "can be read: take it off the list".to_owned()),
            (Ok(problems), None) => {
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

/// A manifest as it is understood, whichever kind it is of, for comparison.
fn understood(object: &Value) -> Result<String, String> {
    fn typed<T: DeserializeOwned>(object: &Value) -> T {
        serde_json::from_value(object.clone()).unwrap()
    }
    fn shown<T: Debug>(outcome: Result<T, Vec<Problem>>) -> Result<String, String> {
        outcome.map(|understood| format!("{understood:?}")).map_err(|problems| format!("{problems:?}"))
    }
    match object["kind"].as_str().unwrap() {
        "SecurityGroup" => shown(parse(&typed(object))),
        "CidrSet" => shown(parse_cidr_set(&typed(object))),
        "AwsAccount" => shown(parse_account(&typed(object))),
        "Notifier" => shown(parse_notifier(&typed(object))),
        other => panic!("no kind of ours: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_manifest_is_taken_and_understood() {
    let plane = plane_with_crds().await;
    let namespace = plane.namespace("accepted").await;
    for (name, yaml) in ACCEPTED {
        let objects: Vec<Value> = serde_yaml::from_multiple(yaml).unwrap();
        assert!(!objects.is_empty());
        for mut object in objects {
            let manifest = object.to_string();
            let namespaced = object["kind"] != "AwsAccount" && object["kind"] != "Notifier";
            let said = if namespaced {
                plane
                    .kubectl(&["apply", "--server-side", "--namespace", &namespace, "--output", "json", "-f", "-"], &manifest)
                    .await
            } else {
                try_out(plane, &namespace, &manifest, "json").await
            };
            assert_eq!(said.stderr, "", "{name}");
            // The same whether it comes from the apiserver, defaults filled in, or from a file.
            let stored: Value = serde_json::from_str(&said.succeeded()).unwrap();
            if namespaced {
                object["metadata"]["namespace"] = namespace.clone().into();
            }
            let ours = understood(&object).unwrap_or_else(|problems| panic!("{name}: {problems}"));
            assert_eq!(understood(&stored), Ok(ours), "{name}");
        }
    }
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
    assert_eq!(wide[0][7..], ["AGE", "OPENED", "REGION", "VPC", "REASON"]);
    assert_eq!(wide[1][8..], ["eu-west-1", "vpc-0a1b2c3d", "Because"]);

    let set = "{apiVersion: sgwarden.dev/v1alpha1, kind: CidrSet, metadata: {name: office}, spec: {cidrs: [{cidr: 10.0.0.0/8}]}}";
    apply(plane, &namespace, set).await.succeeded();
    assert_eq!(table(&get(&["cidrset", "-o", "wide"]).await)[0], ["NAME", "READY", "ENTRIES", "USED-BY", "AGE", "REASON"]);
    plane.kubectl(&["delete", "cidrset", "office", "--namespace", &namespace], "").await.succeeded();
    for category in ["sgwarden", "aws"] {
        assert_eq!(get(&[category, "-o", "name"]).await.trim(), "securitygroup.sgwarden.dev/web", "{category}");
    }
    for (selector, found) in [
        ("spec.account=prod", true),
        ("spec.account=test", false),
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
        ("sg.spec.enforcement.tolerate", "Undeclared rules of another owner"),
        ("sg.spec.allowedNamespaces.selector.matchExpressions", "kubernetes.io/metadata.name"),
        ("cidrset.spec.allowEmpty", "so that a list lost on the way closes nothing"),
        ("awsaccount.spec.mode", "The stop button"),
    ] {
        let said = plane.kubectl(&["explain", field], "").await.succeeded();
        let flowing = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowing.contains(words), "{field}: {said}");
    }
}
