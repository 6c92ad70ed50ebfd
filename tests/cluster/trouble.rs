//! What goes wrong around it: EC2 down, throttled, credentials refused, bad objects, crashes, deletions that are held up. It
//! is said in words, nothing is lost, and it recovers by itself.

use std::collections::BTreeMap;

use sgwarden::adapters::sim::{Fault, StopAfter};
use sgwarden::core::model::{Direction, NewRule};
use sgwarden::ports::cloud::GroupQuery;

use crate::rig::{Rig, VPC, condition, group_id};

fn manifest(name: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n  groupName: {name}-group\n  egressPolicy: DenyAll\n  ingress:\n    - {{name: a, protocol: tcp, ports: [443], from: [{{cidr: 10.0.0.0/8}}]}}\n"
    )
}

/// With `fault` in force the object says `reason` and `words`; without it, it settles.
async fn is_told_and_recovers(fault: Fault, reason: &str, words: &[&str]) {
    let rig = Rig::start("trouble").await;
    rig.apply(&manifest("before")).await;
    rig.settled("before").await;
    rig.sim.inject(fault);
    rig.apply(&manifest("during")).await;
    // What nobody edits is not looked at one by one; that a whole Region cannot be read is its account's to tell.
    rig.apply(&manifest("before").replace("443", "8443")).await;
    for name in ["before", "during"] {
        let object = rig
            .until(name, reason, |object| {
                condition(object, "Ready").is_some_and(|(status, found, _)| status == "False" && found == reason)
            })
            .await;
        let (_, _, message) = condition(&object, "Ready").unwrap();
        for word in words {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
        assert!(condition(&object, "Reconciling").is_some(), "waiting helps: it is not stalled");
    }
    assert!(rig.event("before", reason).await.len() > 20);
    rig.sim.clear_faults();
    rig.settled("before").await;
    rig.settled("during").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_told_and_waited_out() {
    is_told_and_recovers(Fault::throttle("*"), "Throttled", &["AWS throttles Describe", "RequestLimitExceeded"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_with_what_to_check() {
    let fault = Fault::error("*", "AuthFailure", 401);
    is_told_and_recovers(fault, "CredentialsRefused", &["AWS does not accept the credentials", "check the role or the keys"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_ec2_is_told_and_waited_out() {
    is_told_and_recovers(
        Fault::error("*", "InternalError", 500),
        "CloudUnavailable",
        &["cannot be reached or is failing", "trying again"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ec2_that_refuses_connections_is_told_and_found_again() {
    let mut rig = Rig::start("down").await;
    rig.apply(&manifest("web")).await;
    let object = rig.settled("web").await;
    rig.cut_off_ec2().await;
    rig.apply(&manifest("web").replace("443", "8443")).await;
    let down = rig
        .until("web", "cut off", |object| condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "CloudUnavailable"))
        .await;
    assert_eq!(condition(&down, "Synced").unwrap().0, "Unknown", "nobody can tell while EC2 does not answer");
    // Somebody edits while nobody looks.
    let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group_id(&object), Direction::Ingress, &[rule]).await.unwrap();
    rig.restore_ec2().await;
    rig.until("web", "put right", |object| {
        object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
    })
    .await;
    rig.settled("web").await;
    assert_eq!(rig.rules(&object).await, ["ingress tcp 8443 from 10.0.0.0/8 \"\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_names_the_action_and_the_policy() {
    let rig = Rig::start("denied").await;
    rig.sim.inject(Fault::error("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", 403));
    rig.apply(&manifest("web")).await;
    let object = rig
        .until("web", "denied", |object| condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "PermissionDenied"))
        .await;
    let (_, _, message) = condition(&object, "Ready").unwrap();
    assert!(
        message.contains("may not ec2:AuthorizeSecurityGroupIngress") && message.contains("deploy/iam/enforce.json"),
        "{message}"
    );
    rig.sim.clear_faults();
    rig.settled("web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_create_makes_no_second_group() {
    let rig = Rig::start("lost").await;
    rig.sim.inject(Fault::error("CreateSecurityGroup", "InternalError", 500).after_applying().times(1));
    rig.apply(&manifest("web")).await;
    let object = rig.settled("web").await;
    assert_eq!(rig.sim.count("CreateSecurityGroup"), 1, "the group is found by its tags");
    let all = rig.intruder.read.groups(&GroupQuery::Name { vpc: VPC.parse().unwrap(), name: "web-group".into() }).await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(object.status.unwrap().drift.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_write_it_converges_without_duplicate_or_invented_drift() {
    for nth in 1..=4 {
        let mut rig = Rig::start("crash").await;
        rig.sim.stop_after(StopAfter { writes: nth, ..StopAfter::default() });
        rig.apply(&manifest("web").replace("DenyAll", "AllowAll")).await;
        rig.until("web", "under way", |object| object.status.as_ref().is_some_and(|status| status.group_name.is_some())).await;
        rig.kill_engine().await;
        rig.sim.clear_faults();
        rig.start_engine();
        let object = rig.settled("web").await;
        assert_eq!(
            rig.rules(&object).await,
            ["egress all to 0.0.0.0/0 \"\"", "ingress tcp 443 from 10.0.0.0/8 \"\""],
            "after write {nth}"
        );
        assert!(object.status.unwrap().drift.is_empty(), "our own work is no drift (write {nth})");
        let all =
            rig.intruder.read.groups(&GroupQuery::Name { vpc: VPC.parse().unwrap(), name: "web-group".into() }).await.unwrap();
        assert_eq!(all.len(), 1, "after write {nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_object_says_what_is_wrong_and_disturbs_no_other() {
    let rig = Rig::start("sg-bad").await;
    // The schema cannot see the namespace: only the controller can refuse this default name.
    rig.apply(&manifest("bad").replace("  groupName: bad-group\n", "")).await;
    rig.apply(&manifest("good")).await;
    rig.settled("good").await;
    let bad = rig
        .until("bad", "stalled", |object| condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "InvalidSpec"))
        .await;
    let (_, _, message) = condition(&bad, "Ready").unwrap();
    assert!(message.starts_with("spec.groupName: set spec.groupName"), "{message}");
    rig.apply(&manifest("bad")).await;
    rig.settled("bad").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_that_is_not_there_and_a_name_that_is_taken_are_told() {
    let rig = Rig::start("refused").await;
    rig.apply(&manifest("novpc").replace(VPC, "vpc-00000000000000000")).await;
    let object = rig
        .until("novpc", "stalled", |object| condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "VpcNotFound"))
        .await;
    assert!(
        condition(&object, "Ready").unwrap().2.contains("there is no vpc-00000000000000000 in eu-west-1 of account 111122223333")
    );

    let group = sgwarden::core::model::NewGroup {
        name: "mine-group".into(),
        description: "x".into(),
        vpc: VPC.parse().unwrap(),
        tags: BTreeMap::new(),
    };
    let theirs = rig.intruder.write.create_group(&group).await.unwrap().created.unwrap();
    rig.apply(&manifest("mine")).await;
    let object = rig
        .until("mine", "stalled", |object| condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "GroupNameTaken"))
        .await;
    assert!(condition(&object, "Ready").unwrap().2.contains(theirs.as_str()));
    assert_eq!(rig.sim.count("CreateSecurityGroup"), 1, "the intruder's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_waits_for_its_group_and_deletion_waits_for_referrers() {
    let rig = Rig::start("refs").await;
    let db = format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: db}}\nspec:\n  vpc: {{id: {VPC}}}\n  egressPolicy: DenyAll\n  ingress:\n    - {{name: web, protocol: tcp, ports: [5432], from: [{{securityGroup: {{name: web}}}}]}}\n    - {{name: self, protocol: all, from: [{{self: true}}]}}\n"
    );
    rig.apply(&db).await;
    let waiting = rig
        .until("db", "waiting", |object| condition(object, "ReferencesResolved").is_some_and(|(status, _, _)| status == "False"))
        .await;
    assert!(condition(&waiting, "Ready").unwrap().2.contains("there is no securitygroups.sgwarden.dev"));
    assert_eq!(rig.rules(&waiting).await.len(), 1, "the rule that refers to itself does not wait for the other");
    rig.apply(&manifest("web")).await;
    let web = rig.settled("web").await;
    let db = rig.settled("db").await;
    assert!(rig.rules(&db).await.contains(&format!("ingress tcp 5432 from {} \"\"", group_id(&web))));

    rig.delete("web").await;
    let blocked = rig
        .until("web", "blocked", |object| condition(object, "DeletionBlocked").is_some_and(|(status, _, _)| status == "True"))
        .await;
    let (_, _, message) = condition(&blocked, "DeletionBlocked").unwrap();
    assert!(message.contains(group_id(&db).as_str()), "{message}");
    assert_eq!(rig.rules(&web).await.len(), 1, "a group in use keeps its rules");
    rig.delete("db").await;
    rig.gone("db").await;
    rig.gone("web").await;
    assert!(rig.intruder.read.groups(&GroupQuery::Ids(vec![group_id(&web), group_id(&db)])).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_keeps_the_group_and_a_namesake_takes_it_over_without_drift() {
    let rig = Rig::start("retain").await;
    rig.apply(&manifest("web").replace("  egressPolicy", "  deletionPolicy: Retain\n  egressPolicy")).await;
    let first = rig.settled("web").await;
    rig.delete("web").await;
    rig.gone("web").await;
    assert_eq!(rig.rules(&first).await.len(), 1);
    rig.apply(&manifest("web")).await;
    let second = rig.settled("web").await;
    assert_eq!(group_id(&first), group_id(&second));
    assert!(second.status.as_ref().unwrap().drift.is_empty());
    assert!(
        second.status.as_ref().unwrap().rules.as_ref().is_some_and(|rules| rules.len() == 1),
        "one converged pass sets the baseline"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_finishes_what_is_under_way_and_goes_on_when_started_again() {
    let mut rig = Rig::start("stop").await;
    rig.apply(&manifest("web")).await;
    rig.until("web", "under way", |object| object.status.as_ref().is_some_and(|status| status.group_name.is_some())).await;
    rig.stop_engine().await;
    let phases: Vec<String> = rig.audit().iter().map(|record| record["phase"].as_str().unwrap().to_owned()).collect();
    let (intents, outcomes): (Vec<_>, Vec<_>) = phases.iter().partition(|phase| *phase == "Intent");
    assert_eq!(intents.len(), outcomes.len(), "every call that was begun was finished: {phases:?}");
    rig.start_engine();
    rig.settled("web").await;
    assert_eq!(rig.sim.count("CreateSecurityGroup"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_that_refer_to_each_other_go_together() {
    let rig = Rig::start("mutual").await;
    let pair = |name: &str, other: &str, direction: &str, peers: &str| {
        let egress = if direction == "egress" { "" } else { "  egressPolicy: DenyAll\n" };
        format!(
            "---\napiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n{egress}  {direction}:\n    - {{name: a, protocol: tcp, ports: [5432], {peers}: [{{securityGroup: {{name: {other}}}}}]}}\n"
        )
    };
    rig.apply(&format!("{}{}", pair("web", "db", "egress", "to"), pair("db", "web", "ingress", "from"))).await;
    rig.settled("web").await;
    rig.settled("db").await;
    rig.delete("web").await;
    rig.until("web", "blocked", |object| condition(object, "DeletionBlocked").is_some()).await;
    let db = rig.settled("db").await;
    assert_eq!(rig.rules(&db).await.len(), 1, "while one stays, nothing of it is touched");
    rig.delete("db").await;
    rig.gone("db").await;
    rig.gone("web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_creates_nothing_and_says_what_it_would_do() {
    let rig = Rig::start("observe-new").await;
    rig.apply(&manifest("web").replace("  egressPolicy", "  enforcement: {mode: Observe}\n  egressPolicy")).await;
    let object = rig.until("web", "observed", |object| object.status.as_ref().is_some_and(|status| status.plan.is_some())).await;
    let steps = &object.status.as_ref().unwrap().plan.as_ref().unwrap().steps;
    assert_eq!(
        steps,
        &[format!("create group web-group in {VPC}"), "then authorize ingress tcp 443 from 10.0.0.0/8 (SpecChange)".to_owned()]
    );
    assert_eq!(rig.writes().values().sum::<u64>(), 0);
    // Enforced, it is created as if nothing had been.
    rig.apply(&manifest("web")).await;
    rig.settled("web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observe_mode_a_deleted_group_is_told_once_and_stays_deleted() {
    let rig = Rig::start("observe-gone").await;
    rig.apply(&manifest("web")).await;
    rig.settled("web").await;
    rig.apply(&manifest("web").replace("  egressPolicy", "  enforcement: {mode: Observe}\n  egressPolicy")).await;
    let object = rig.settled("web").await;
    rig.intruder.write.delete_group(&group_id(&object)).await.unwrap();
    let told = rig
        .until("web", "told", |object| {
            object.status.iter().flat_map(|status| &status.drift).any(|record| record.atoms[0].kind == "GroupDeleted")
        })
        .await;
    rig.sim.clear_calls();
    while rig.sim.count("DescribeSecurityGroups") < 6 {
        tokio::task::yield_now().await;
    }
    let later = rig.get("web").await;
    assert_eq!(told.metadata.resource_version, later.metadata.resource_version, "no news, no write");
    assert_eq!(rig.writes().values().sum::<u64>(), 0);
}
