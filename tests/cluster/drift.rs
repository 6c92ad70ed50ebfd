//! The drift matrix: every kind of edit behind the controller's back, put right within one look, and in Observe mode told.

use sgwarden::api::SecurityGroup;
use sgwarden::core::model::{Direction, NewRule, Tags};
use sgwarden::ports::cloud::GroupQuery;

use crate::rig::{Rig, VPC, VPC_IPV6, condition, group_id};

fn manifest(mode: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: web}}
spec:
  vpc: {{id: {VPC}}}
  tags: {{team: shop}}
  enforcement: {{mode: {mode}}}
  ingress:
    - {{name: https, description: Allow inbound HTTPS traffic, protocol: tcp, ports: [443], from: [{{cidr: 0.0.0.0/0}}]}}
    - {{name: office, description: Office, protocol: tcp, ports: [8080], from: [{{cidr: 10.0.0.0/8}}]}}
  egressPolicy: AllowAll
"
    )
}

/// One edit of the matrix.
#[derive(Clone, Copy, Debug)]
enum Edit {
    AddRule,
    RemoveRule,
    ChangeDescription,
    ChangePortInPlace,
    RemoveTag,
    RemoveDefaultEgress,
}

impl Edit {
    /// The kind of drift, and the call that puts it right.
    fn expected(self) -> (&'static str, &'static str) {
        match self {
            Self::AddRule => ("Added", "RevokeSecurityGroupIngress"),
            Self::RemoveRule => ("Removed", "AuthorizeSecurityGroupIngress"),
            Self::ChangeDescription => ("DescriptionChanged", "UpdateSecurityGroupRuleDescriptionsIngress"),
            Self::ChangePortInPlace => ("Modified", "ModifySecurityGroupRules"),
            Self::RemoveTag => ("TagRemoved", "CreateTags"),
            Self::RemoveDefaultEgress => ("Removed", "AuthorizeSecurityGroupEgress"),
        }
    }

    async fn perform(self, rig: &Rig, object: &SecurityGroup) {
        let group = group_id(object);
        let write = &rig.intruder.write;
        let done = match self {
            Self::AddRule => {
                let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
                write.authorize(&group, Direction::Ingress, &[rule]).await
            }
            Self::RemoveRule => {
                let rule = rig.rule(object, "ingress tcp 443 from 0.0.0.0/0").await;
                write.revoke(&group, Direction::Ingress, &[rule.id]).await
            }
            Self::ChangeDescription => {
                let rule = rig.rule(object, "ingress tcp 443 from 0.0.0.0/0").await;
                write.describe(&group, Direction::Ingress, &[(rule.id, Some("mine now".to_owned()))]).await
            }
            Self::ChangePortInPlace => {
                let rule = rig.rule(object, "ingress tcp 443 from 0.0.0.0/0").await;
                let changed =
                    NewRule { atom: "ingress tcp 0-65535 from 0.0.0.0/0".parse().unwrap(), description: rule.description };
                write.modify(&group, &[(rule.id, changed)]).await
            }
            Self::RemoveTag => write.remove_tags(&group, &Tags::from([("team".to_owned(), "shop".to_owned())])).await,
            Self::RemoveDefaultEgress => {
                let rule = rig.rule(object, "egress all to 0.0.0.0/0").await;
                write.revoke(&group, Direction::Egress, &[rule.id]).await
            }
        };
        done.unwrap();
    }
}

async fn is_reverted(edit: Edit) {
    let rig = Rig::start("drift").await;
    rig.apply(&manifest("Enforce")).await;
    let object = rig.settled("web").await;
    let (before, tags) = (rig.rules(&object).await, rig.live(&object).await.0);
    let (kind, call) = edit.expected();
    rig.sim.clear_calls();
    let records = rig.audit().len();

    edit.perform(&rig, &object).await;
    let object = rig
        .until("web", "put right", |object| {
            object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
        })
        .await;

    assert_eq!(rig.rules(&object).await, before, "the rules are as they were");
    assert_eq!(rig.live(&object).await.0, tags, "the tags are as they were");
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.drift.len(), 1, "one record: {:?}", status.drift);
    let record = &status.drift[0];
    assert_eq!((record.count, record.atoms[0].kind.as_str()), (1, kind));
    let why = record.actor.as_ref().and_then(|actor| actor.reason.as_deref());
    assert_eq!(why, Some("unknown: account default names no queue of CloudTrail events (spec.events)"));
    assert!(record.resolved_at.is_some() && record.trace_id.is_some(), "{record:?}");
    let (drifted, reason, message) = condition(&object, "Drifted").unwrap();
    assert_eq!((drifted.as_str(), reason.as_str()), ("False", "DriftReverted"));
    assert!(message.contains(&record.id), "{message}");
    assert!(rig.event("web", "DriftReverted").await.contains(&record.id));

    let written: Vec<_> = rig.audit().split_off(records);
    assert_eq!(written.len(), 2, "an intent and an outcome: {written:?}");
    for (line, phase) in written.iter().zip(["Intent", "Outcome"]) {
        assert_eq!((line["phase"].as_str(), line["operation"].as_str()), (Some(phase), Some(call)));
        assert_eq!(line["items"][0]["cause"], "Drift");
        assert_eq!(line["traceId"].as_str(), record.trace_id.as_deref());
    }
    assert!(written[1]["outcome"]["awsRequestId"].is_string());
    // The intruder's edit and ours; where both are the same call it counts twice.
    let writes: u64 = rig.writes().values().sum();
    assert_eq!(writes, 2, "{:?}", rig.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_rule_is_revoked() {
    is_reverted(Edit::AddRule).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_rule_is_restored() {
    is_reverted(Edit::RemoveRule).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_description_is_set_back() {
    is_reverted(Edit::ChangeDescription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_changed_in_place_is_set_back_in_place() {
    is_reverted(Edit::ChangePortInPlace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_tag_is_restored() {
    is_reverted(Edit::RemoveTag).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_default_egress_is_restored() {
    is_reverted(Edit::RemoveDefaultEgress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observe_mode_every_edit_is_told_and_nothing_is_written() {
    let rig = Rig::start("observe").await;
    rig.apply(&manifest("Enforce")).await;
    rig.settled("web").await;
    rig.apply(&manifest("Observe")).await;
    let object = rig.settled("web").await;
    rig.sim.clear_calls();
    let records = rig.audit().len();
    let edits = [Edit::AddRule, Edit::ChangeDescription, Edit::RemoveTag, Edit::RemoveDefaultEgress, Edit::ChangePortInPlace];
    for (done, edit) in edits.into_iter().enumerate() {
        edit.perform(&rig, &object).await;
        let (kind, _) = edit.expected();
        rig.until("web", kind, |object| {
            let status = object.status.as_ref().unwrap();
            status.drift.iter().any(|record| {
                record.resolution == "Reported" && record.resolved_at.is_none() && record.atoms.iter().any(|atom| atom.kind == kind)
            }) && status.plan.as_ref().is_some_and(|plan| !plan.steps.is_empty())
        })
        .await;
        let theirs = u64::try_from(done).unwrap() + 1;
        assert_eq!(rig.writes().values().sum::<u64>(), theirs, "only the intruder writes: {:?}", rig.writes());
    }
    let object = rig.get("web").await;
    assert_eq!(condition(&object, "Drifted").unwrap().0, "True");
    assert_eq!(condition(&object, "Synced").unwrap().0, "False");
    let (ready, reason, _) = condition(&object, "Ready").unwrap();
    assert_eq!((ready.as_str(), reason.as_str()), ("True", "DriftReported"));
    let steps = &object.status.as_ref().unwrap().plan.as_ref().unwrap().steps;
    assert!(steps.iter().any(|step| step == "revoke ingress tcp 22 from 0.0.0.0/0 (Drift)"), "{steps:?}");
    assert!(rig.event("web", "DriftReported").await.starts_with("Somebody "));
    assert_eq!(rig.audit().len(), records, "nothing was asked of EC2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_is_created_again_after_three_reads() {
    let rig = Rig::start("deleted").await;
    rig.apply(&manifest("Enforce")).await;
    let object = rig.settled("web").await;
    let old = group_id(&object);
    rig.sim.clear_calls();
    rig.intruder.write.delete_group(&old).await.unwrap();
    let suspected = rig
        .until("web", "missing", |object| condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "GroupMissing"))
        .await;
    assert_eq!(group_id(&suspected), old, "one read proves nothing");
    let object = rig
        .until("web", "another group", |object| {
            object.status.as_ref().is_some_and(|status| status.group_id.as_deref().is_some_and(|id| id != old.as_str()))
        })
        .await;
    assert!(rig.sim.count("DescribeSecurityGroups") >= 3);
    let object = {
        let _ = object;
        rig.settled("web").await
    };
    assert_eq!(rig.rules(&object).await.len(), 3);
    let record = &object.status.as_ref().unwrap().drift[0];
    assert_eq!((record.atoms[0].kind.as_str(), record.resolution.as_str()), ("GroupDeleted", "Reverted"));
    assert_eq!(rig.sim.count("CreateSecurityGroup"), 1);
    rig.event("web", "Recreated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cidr_more_is_one_authorize_of_one_rule() {
    let rig = Rig::start("tenth").await;
    let manifest = |last: u8| {
        let peers: Vec<String> = (1..=last).map(|n| format!("{{cidr: 10.{n}.0.0/16}}")).collect();
        format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: many}}\nspec:\n  vpc: {{id: {VPC}}}\n  egressPolicy: DenyAll\n  ingress:\n    - {{name: offices, protocol: tcp, ports: [443], from: [{}]}}\n",
            peers.join(", ")
        )
    };
    rig.apply(&manifest(10)).await;
    rig.settled("many").await;
    rig.sim.clear_calls();
    let records = rig.audit().len();
    rig.apply(&manifest(11)).await;
    let object = rig.settled("many").await;
    assert_eq!(object.status.as_ref().unwrap().rule_count, Some(11));
    assert_eq!(rig.writes().into_iter().collect::<Vec<_>>(), [("AuthorizeSecurityGroupIngress".to_owned(), 1)]);
    let written = rig.audit().split_off(records);
    assert_eq!(written[0]["items"].as_array().unwrap().len(), 1);
    assert_eq!(written[0]["items"][0]["after"], "ingress tcp 443 from 10.11.0.0/16");
    assert!(object.status.as_ref().unwrap().drift.is_empty(), "a change is no drift");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_manifest_is_never_drift() {
    let rig = Rig::start("change").await;
    rig.apply(&manifest("Enforce")).await;
    rig.settled("web").await;
    let changed = manifest("Enforce")
        .replace("[443]", "[8443]")
        .replace("description: Office", "description: The office")
        .replace("team: shop", "env: prod");
    rig.apply(&changed).await;
    let object = rig.settled("web").await;
    assert_eq!(
        rig.rules(&object).await,
        [
            "egress all to 0.0.0.0/0 \"\"",
            "ingress tcp 8080 from 10.0.0.0/8 \"The office\"",
            "ingress tcp 8443 from 0.0.0.0/0 \"Allow inbound HTTPS traffic\""
        ]
    );
    let (tags, _) = rig.live(&object).await;
    assert_eq!((tags.get("env").map(String::as_str), tags.get("team")), (Some("prod"), None));
    assert!(object.status.as_ref().unwrap().drift.is_empty());
    assert!(rig.event("web", "RulesChanged").await.starts_with("As declared now: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn allow_all_is_what_ec2_gives_also_over_ipv6_and_deny_all_is_nothing() {
    let rig = Rig::start("egress").await;
    rig.apply(&manifest("Enforce").replace(VPC, VPC_IPV6)).await;
    let object = rig.settled("web").await;
    let egress = |lines: Vec<String>| lines.into_iter().filter(|line| line.starts_with("egress")).collect::<Vec<_>>();
    assert_eq!(egress(rig.rules(&object).await), ["egress all to 0.0.0.0/0 \"\"", "egress all to ::/0 \"\""]);
    rig.apply(&manifest("Enforce").replace(VPC, VPC_IPV6).replace("AllowAll", "DenyAll")).await;
    let object = rig.settled("web").await;
    assert!(egress(rig.rules(&object).await).is_empty());
    assert!(object.status.as_ref().unwrap().drift.is_empty(), "the rules EC2 gave the group were ours to take away");
}

#[tokio::test(flavor = "multi_thread")]
async fn stripped_owner_tags_are_given_back_and_another_owners_stop_every_write() {
    let rig = Rig::start("owner").await;
    rig.apply(&manifest("Enforce")).await;
    let object = rig.settled("web").await;
    let group = group_id(&object);
    let (tags, _) = rig.live(&object).await;
    let ours: Tags =
        tags.iter().filter(|(key, _)| key.starts_with("sgwarden.dev/")).map(|(key, value)| (key.clone(), value.clone())).collect();
    rig.intruder.write.remove_tags(&group, &ours).await.unwrap();
    rig.until("web", "healed", |object| {
        object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
    })
    .await;
    assert_eq!(rig.live(&object).await.0, tags);

    rig.intruder.write.set_tags(&group, &Tags::from([("sgwarden.dev/owner".to_owned(), "other/web".to_owned())])).await.unwrap();
    let conflict = rig
        .until("web", "in conflict", |object| {
            condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "OwnershipConflict")
        })
        .await;
    assert!(condition(&conflict, "Ready").unwrap().2.contains("other/web"));
    rig.sim.clear_calls();
    Edit::AddRule.perform(&rig, &object).await;
    let reads = rig.sim.count("DescribeSecurityGroups");
    rig.patch("web", serde_json::json!({"metadata": {"annotations": {"look": "again"}}})).await;
    while rig.sim.count("DescribeSecurityGroups") < reads + 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.writes().values().sum::<u64>(), 1, "the group is somebody else's now: {:?}", rig.writes());
    assert_eq!(rig.intruder.read.groups(&GroupQuery::Ids(vec![group])).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_observe_mode_a_removed_rule_is_told_and_stays_removed() {
    let rig = Rig::start("observe-removed").await;
    rig.apply(&manifest("Enforce")).await;
    rig.settled("web").await;
    rig.apply(&manifest("Observe")).await;
    let object = rig.settled("web").await;
    rig.sim.clear_calls();
    Edit::RemoveRule.perform(&rig, &object).await;
    let told = rig.until("web", "told", |object| object.status.as_ref().is_some_and(|status| !status.drift.is_empty())).await;
    let status = told.status.as_ref().unwrap();
    assert_eq!((status.drift[0].atoms[0].kind.as_str(), status.drift[0].resolution.as_str()), ("Removed", "Reported"));
    assert_eq!(status.plan.as_ref().unwrap().steps, ["authorize ingress tcp 443 from 0.0.0.0/0 (Drift)"]);
    assert_eq!(rig.writes().values().sum::<u64>(), 1, "only the intruder writes: {:?}", rig.writes());
}
