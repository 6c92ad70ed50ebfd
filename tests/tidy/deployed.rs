//! Policies that allow what the code does, and no more.
//!
//! Entry points: the tests; [`calls`] reads which calls the AWS adapter makes.

use std::collections::BTreeSet;

use serde_json::Value;

use sgwarden::api::{TAG_CLUSTER, TAG_ORIGIN, TAG_OWNER, TAG_UID};

use crate::source::{Kind, Source};
use crate::{Finding, root, settle, stands, text};

/// The folder of the adapter.
const ADAPTER: &str = "src/adapters/aws";
/// Needs no permission: AWS answers whoever asks who he is.
const FREE: &str = "GetCallerIdentity";
/// What assumes a role, which is a call that the adapter does not write down.
const ASSUMES: &str = "AssumeRoleProvider";
/// What assuming a role takes; tags are handed on by EKS Pod Identity.
const ASSUMING: [&str; 2] = ["sts:AssumeRole", "sts:TagSession"];
/// Every policy there is.
const POLICIES: [&str; 8] = [
    "deploy/iam/events.json",
    "deploy/iam/enforce.json",
    "deploy/iam/heal.json",
    "deploy/iam/read-only.json",
    "deploy/iam/hub.json",
    "deploy/iam/member-trust.json",
    "deploy/iam/scp.json",
    "deploy/iam/notify.json",
];
/// What is to be filled in.
const PLACEHOLDERS: [&str; 6] = ["ACCOUNT_ID", "CLUSTER_ID", "EXTERNAL_ID", "HUB_ROLE_ARN", "QUEUE_ARN", "TOPIC_ARN"];
/// What the stand-in does with queues, and the controller never.
const STAND_INS: [&str; 2] = ["GetQueueAttributes", "SendMessage"];

#[test]
fn the_policies_allow_what_the_adapter_calls_and_nothing_else() {
    let (topics, sources): (Vec<Source>, Vec<Source>) =
        Source::all(&root(), ADAPTER).into_iter().partition(|source| source.path.ends_with("publish.rs"));
    let (queues, sources): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(|source| source.path.ends_with("queue.rs"));
    let (trails, sources): (Vec<Source>, Vec<Source>) =
        sources.into_iter().partition(|source| source.path.ends_with("activity.rs"));
    let mut heard: BTreeSet<String> = trails.iter().flat_map(calls).map(|call| format!("cloudtrail:{call}")).collect();
    // A batch takes the permission of one.
    let received = queues.iter().flat_map(calls).filter(|call| !STAND_INS.contains(&call.as_str()));
    heard.extend(received.map(|call| format!("sqs:{}", call.trim_end_matches("Batch"))));
    let published: BTreeSet<String> = topics.iter().flat_map(calls).map(|call| format!("sns:{call}")).collect();
    let calls: BTreeSet<String> = sources.iter().flat_map(calls).collect();
    assert!(calls.len() > 5, "only {calls:?}: the check sees nothing");
    let needed: BTreeSet<String> = calls.iter().filter(|call| *call != FREE).map(|call| format!("ec2:{call}")).collect();
    let reads =
        needed.iter().filter(|action| action.starts_with("ec2:Describe") || action.starts_with("ec2:Get")).cloned().collect();
    let mut findings = compare("deploy/iam/enforce.json", &needed);
    findings.extend(compare("deploy/iam/notify.json", &published));
    findings.extend(compare("deploy/iam/events.json", &heard));
    findings.extend(compare("deploy/iam/read-only.json", &reads));
    findings.extend(compare("deploy/iam/heal.json", &BTreeSet::from(["ec2:CreateTags".to_owned()])));
    let assumes = sources.iter().any(|source| source.without_tests().iter().any(|token| token.text == ASSUMES));
    let assuming: BTreeSet<String> = ASSUMING.iter().filter(|_| assumes).map(|action| (*action).to_owned()).collect();
    findings.extend(compare("deploy/iam/hub.json", &assuming));
    findings.extend(compare("deploy/iam/member-trust.json", &assuming));
    settle(findings);
}

#[test]
fn every_write_is_bound_to_what_is_ours() {
    let mut findings = Vec::new();
    let heal = "deploy/iam/heal.json";
    let of = |path: &'static str| statements(path).into_iter().map(move |statement| (path, statement));
    for (path, statement) in of("deploy/iam/enforce.json").chain(of(heal)) {
        let sid = statement["Sid"].as_str().unwrap_or("a statement without Sid").to_owned();
        let writes = listed(&statement["Action"]).iter().any(|action| !action.starts_with("ec2:Describe"));
        // Rules and prefix lists carry no tags of ours, and a VPC is nobody's: the group in the same call decides.
        let beside = listed(&statement["Resource"])
            .iter()
            .all(|arn| [":security-group-rule/*", ":prefix-list/*", ":vpc/*"].iter().any(|end| arn.ends_with(end)));
        let bound = statement["Condition"].to_string().contains("/sgwarden.dev/cluster\":\"CLUSTER_ID\"");
        if writes && !beside && !bound {
            findings.push(Finding::at(
                path,
                1,
                &format!("{sid} writes to groups of others: add the condition on sgwarden.dev/cluster"),
            ));
        }
    }
    settle(findings);
}

#[test]
fn healing_marks_only_what_nobody_marked_and_with_our_marks_only() {
    let heal = statements("deploy/iam/heal.json");
    assert_eq!(heal.len(), 1);
    let statement = &heal[0];
    assert_eq!((&statement["Sid"], &statement["Action"]), (&Value::from("Heal"), &Value::from("ec2:CreateTags")));
    let condition = &statement["Condition"];
    assert_eq!(condition["Null"][format!("aws:ResourceTag/{TAG_CLUSTER}")], "true");
    assert_eq!(condition["Null"]["aws:TagKeys"], "false", "no key at all is a list of which all are ours");
    assert_eq!(condition["ForAllValues:StringLike"]["aws:TagKeys"], "sgwarden.dev/*");
    assert_eq!(condition["StringEquals"][format!("aws:RequestTag/{TAG_CLUSTER}")], "CLUSTER_ID");
}

#[test]
fn the_marks_are_kept_from_everybody_but_the_role() {
    let path = "deploy/iam/scp.json";
    let denies = with_effect(path, "Deny");
    let exempt = serde_json::json!({ "aws:PrincipalArn": ["arn:aws:iam::*:role/sgwarden", "HUB_ROLE_ARN"] });
    for statement in &denies {
        assert_eq!(statement["Resource"], "arn:aws:ec2:*:*:security-group/*", "{path}: nothing but groups");
        assert_eq!(statement["Condition"]["ArnNotLike"], exempt, "{path}: else sgwarden itself may not");
    }
    let keys = |statement: &Value| listed(&statement["Condition"]["ForAnyValue:StringEqualsIgnoreCase"]["aws:TagKeys"]);
    let named: Vec<&Value> = denies.iter().filter(|statement| !keys(statement).is_empty()).collect();
    assert_eq!(named.len(), 1);
    assert_eq!(keys(named[0]), [TAG_CLUSTER, TAG_ORIGIN, TAG_OWNER, TAG_UID]);
    assert_eq!(listed(&named[0]["Action"]), ["ec2:CreateTags", "ec2:DeleteTags"]);
    // A call that names no key takes all tags off.
    let all = denies.iter().find(|statement| statement["Condition"]["Null"]["aws:TagKeys"] == "true").unwrap();
    assert_eq!(listed(&all["Action"]), ["ec2:DeleteTags"]);
    assert_eq!(all["Condition"]["Null"][format!("aws:ResourceTag/{TAG_CLUSTER}")], "false");
    assert!(text(path).len() <= 5_120, "more than AWS takes as a service control policy");
}

#[test]
fn what_is_to_be_filled_in_is_told() {
    let told = text("deploy/README.md");
    let found = std::fs::read_dir(root().join("deploy/iam")).unwrap().count();
    assert_eq!(found, POLICIES.len(), "a policy that no test looks at");
    for path in POLICIES {
        assert!(told.contains(path.trim_start_matches("deploy/")), "{path} is not explained in deploy/README.md");
        let policy = text(path);
        for word in policy.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.len() > 3) {
            assert!(PLACEHOLDERS.contains(&word) && told.contains(word), "{path}: {word} is not explained in deploy/README.md");
        }
    }
}

#[test]
fn calls_are_read_from_code() {
    let code = "let r = self.client.describe_vpcs().filters(x);\n// client.create_vpc()\nlet s = client.get_caller_identity().send();\nClient::from_conf(c)";
    assert_eq!(calls(&Source::parse("x.rs", code)), ["DescribeVpcs", "GetCallerIdentity"]);
}

/// The API calls in a file: the methods of a client, by AWS's names.
fn calls(source: &Source) -> Vec<String> {
    let tokens = source.without_tests();
    let named = |at: &usize| stands(tokens, *at, &["client", "."]) && stands(tokens, at + 3, &["("]);
    let method = (0..tokens.len()).filter(named).filter_map(|at| tokens.get(at + 2)).filter(|token| token.kind == Kind::Word);
    method.map(|token| token.text.split('_').map(capital).collect()).collect()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn compare(path: &str, needed: &BTreeSet<String>) -> Vec<Finding> {
    let allowed: BTreeSet<String> = statements(path).iter().flat_map(|statement| listed(&statement["Action"])).collect();
    let missing = needed.difference(&allowed).map(|action| format!("{action} is called in {ADAPTER}: allow it"));
    let idle = allowed.difference(needed).map(|action| format!("{action} is never called: take it out"));
    missing.chain(idle).map(|what| Finding::at(path, 1, &what)).collect()
}

/// The statements of a policy that allows, and forbids nothing.
fn statements(path: &str) -> Vec<Value> {
    with_effect(path, "Allow")
}

fn with_effect(path: &str, effect: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(policy["Version"], "2012-10-17", "{path}");
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    assert!(statements.iter().all(|statement| statement["Effect"] == effect), "{path}: the checks read {effect} only");
    statements
}

#[test]
fn a_role_is_lent_to_the_hub_alone_and_for_its_word() {
    let trust = statements("deploy/iam/member-trust.json");
    assert!(trust.iter().all(|statement| statement["Principal"] == serde_json::json!({ "AWS": "HUB_ROLE_ARN" })));
    let lends = trust.iter().find(|statement| statement["Action"] == "sts:AssumeRole").unwrap();
    assert_eq!(lends["Condition"]["StringEquals"]["sts:ExternalId"], "EXTERNAL_ID");
    let hub = statements("deploy/iam/hub.json");
    assert!(hub.iter().all(|statement| listed(&statement["Resource"]).iter().all(|arn| !arn.ends_with('*'))), "any role at all");
}

/// One string or a list of them.
fn listed(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(one) => vec![one.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
