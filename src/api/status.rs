//! What sgwarden reports of a group: `status`, written by the controller only.
//!
//! Entry point: [`SecurityGroupStatus`]. The bounds are constants, because a status over one of them is refused as a
//! whole: whoever writes a list or a text cuts it first.
//!
//! Invariant: reading cannot fail. Every field may be absent, unknown fields are ignored, and words and times are
//! strings: a status written by an older or newer release, or by hand, is still read.
//! Invariant: no enum in the schema. Helm does not upgrade CRDs, and a controller newer than its CRD must still be able
//! to write down what happened.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::conditions;
use super::outbox::{MAX_NOTICES, MAX_NOTIFIED, NoticeRecord, Notified};
use super::scalar::words;

/// The most lines in [`SecurityGroupStatus::rules`].
pub const MAX_VOUCHED: usize = 4000;
/// The most characters (all ASCII) in a line of [`SecurityGroupStatus::rules`].
pub const MAX_VOUCHED_LINE: usize = 192;
/// The most entries in [`SecurityGroupStatus::expiring`]; the soonest are kept.
pub const MAX_EXPIRING: usize = 50;
/// The most differences that a drift record knows again beside those it lists: many, and still little beside the rules.
pub const MAX_DRIFT_UNLISTED: usize = 280;
/// The characters of a digest in [`DriftRecord::unlisted`].
pub const DRIFT_DIGEST: usize = 12;
/// The most entries in [`SecurityGroupStatus::tags`].
pub const MAX_APPLIED_TAGS: usize = 50;
/// The most digests in [`SecurityGroupStatus::tags_begun`]: every tag of a group can go, and as many come.
pub const MAX_TAGS_BEGUN: usize = 2 * MAX_APPLIED_TAGS;
/// The characters of one of them: as many as of the hash of a plan, since it stands for what somebody approved.
pub const TAG_DIGEST: usize = 32;
/// The most records in [`SecurityGroupStatus::drift`]; the newest are kept.
pub const MAX_DRIFT: usize = 10;
/// The most atoms in one drift record; `count` tells how many there were.
pub const MAX_DRIFT_ATOMS: usize = 20;
/// The most steps in [`PlanSummary::steps`]; `count` tells how many there are.
pub const MAX_PLAN_STEPS: usize = 50;
/// The most entries in [`SecurityGroupStatus::expired`]: every rule of both directions.
pub const MAX_EXPIRED: usize = 512;
/// The most characters in an entry of [`SecurityGroupStatus::expired`]: a direction, a rule's name and a time.
pub const MAX_EXPIRED_LINE: usize = 112;
/// The most entries in [`SecurityGroupStatus::pins`].
pub const MAX_PINS: usize = 128;
/// The most characters in an entry of [`SecurityGroupStatus::pins`]: a word, a name of AWS's 255 characters, an id.
pub const MAX_PIN: usize = 300;
/// The most entries in [`SecurityGroupStatus::prefix_lists`].
pub const MAX_PREFIX_LISTS: usize = 128;
/// The most characters in an entry of [`SecurityGroupStatus::prefix_lists`]: an id and two numbers.
pub const MAX_PREFIX_LIST_LINE: usize = 48;
/// The most entries in [`SecurityGroupStatus::vpc_associations`]: more than EC2 allows.
pub const MAX_VPC_ASSOCIATIONS: usize = 100;
/// The most characters in an entry of [`SecurityGroupStatus::vpc_associations`]: an id and EC2's word.
pub const MAX_VPC_ASSOCIATION: usize = 64;
/// The most entries in [`SecurityGroupStatus::stale_rules`].
pub const MAX_STALE_RULES: usize = 20;
/// The most characters in what of an [`Actor`] is a word, an address or an id.
pub const MAX_WORD: usize = 100;
/// The most characters in [`Actor::reason`].
pub const MAX_REASON: usize = 200;
/// The most characters in a free text of the status: a step, a before or after, what is known of an actor. A rule of EC2 with
/// a description fits.
pub const MAX_TEXT: usize = 400;
/// Longest text in `status.drift[].exposure`.
pub const MAX_EXPOSURE: usize = 200;

words! {
    /// How a group in EC2 came to be ours.
    Origin {
        /// sgwarden created it.
        Created,
        /// It was there before, and was taken over.
        Adopted,
    }
}

words! {
    /// How far sgwarden goes with a group now.
    EffectiveMode {
        /// EC2 is made equal to the spec, and kept so.
        Enforce,
        /// Everything is computed and reported, nothing is written to EC2.
        Observe,
        /// Changes apply, nothing is reverted for now.
        Suspended,
        /// Changes wait until somebody approves them; edits of others are reverted.
        AwaitingApproval,
    }
}

words! {
    /// What is different in one atom that drifted.
    DriftKind {
        /// A rule is live that nobody declared.
        Added,
        /// A declared rule is gone.
        Removed,
        /// A rule was changed in place into another one.
        Modified,
        /// A rule has another description than declared.
        DescriptionChanged,
        /// A declared tag has another value.
        TagChanged,
        /// A declared tag, or one of sgwarden's own, is gone.
        TagRemoved,
        /// The group itself is gone.
        GroupDeleted,
        /// A prefix list that rules use has other entries than before.
        PrefixListChanged,
        /// A rule was there for a while, and no read has seen it: CloudTrail alone tells.
        Transient,
        /// The group can be used in another VPC than before, or no longer in one.
        VpcAssociationChanged,
        /// Different, but nothing was vouched for that it could be compared with.
        Unclassified,
    }
}

words! {
    /// What was done about a drift.
    Resolution {
        /// Seen and written down; nothing done yet.
        Pending,
        /// Put right in EC2.
        Reverted,
        /// Left alone, because sgwarden observes only or undeclared rules are only reported.
        Reported,
        /// Left alone, because the spec tolerates it.
        Tolerated,
        /// Left alone for now, because reverts are suspended.
        Suspended,
        /// Left alone, because the spec says by now what the edit made.
        Declared,
        /// Over before anybody could see it, so that there was nothing to do.
        Transient,
        /// Nobody can tell: what it was compared with is lost, as after a restore.
        Unknown,
    }
}

/// What was last seen and done. Written by sgwarden only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct SecurityGroupStatus {
    /// The metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The metadata.uid of the object this was written for: a status that was restored with an object of another uid vouches for
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,

    /// Pinned before the group was created: the account used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub account: Option<String>,

    /// Pinned before the group was created: the AWS Region.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub region: Option<String>,

    /// Pinned before the group was created: the id of the VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub vpc_id: Option<String>,

    /// Pinned before the group was created: its name in EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub group_name: Option<String>,

    /// Pinned before the group was created: its description in EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub description: Option<String>,

    /// Id of the group in EC2, such as sg-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub group_id: Option<String>,

    /// ARN of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub arn: Option<String>,

    /// The AWS account that owns the group, 12 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    pub owner_id: Option<String>,

    /// How the group came to be managed: Created or Adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub origin: Option<String>,

    /// The mode in effect: Enforce, Observe, Suspended or AwaitingApproval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub mode: Option<String>,

    /// Declared rules that are live in EC2, of both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_count: Option<i32>,

    /// The rules sgwarden vouches for: what it wrote, is about to write, or saw live while declared. Live rules that
    /// are not in here are drift; absent means that nothing is known yet, and then nothing is called drift. One line
    /// each: format version, id in EC2 (or -), name of the rule, canonical rule, hash of the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_VOUCHED), inner(length(max = MAX_VOUCHED_LINE)), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Option<Vec<String>>,

    /// The declared tags as last applied, so that a tag taken out of the spec can be taken off the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "applied_tags_schema")]
    pub tags: Option<BTreeMap<String, String>>,

    /// Digests of changes of declared tags that are under way, one after the other, so that one that was cut short is known as
    /// the manifest's, and needs no second approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TAGS_BEGUN * TAG_DIGEST))]
    pub tags_begun: Option<String>,

    /// How full the group is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,

    /// The ids behind names in AWS that rules use, such as "prefix-list corp pl-0123456789abcdef0", as they were when first
    /// looked up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PINS), inner(length(max = MAX_PIN)), extend("x-kubernetes-list-type" = "atomic"))]
    pub pins: Vec<String>,

    /// The prefix lists that rules use, as last taken note of, such as "pl-0123456789abcdef0 v7 40": id, version (v- where AWS
    /// tells none) and the rules one counts for. By this a change is noticed that was made while sgwarden did not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PREFIX_LISTS), inner(length(max = MAX_PREFIX_LIST_LINE)), extend("x-kubernetes-list-type" = "atomic"))]
    pub prefix_lists: Vec<String>,

    /// The VPCs other than its own in which the group can be used, such as "vpc-0123456789abcdef0 associated". Read about every
    /// hour, and reported as drift when it changes; absent: not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_VPC_ASSOCIATIONS), inner(length(max = MAX_VPC_ASSOCIATION)), extend("x-kubernetes-list-type" = "atomic"))]
    pub vpc_associations: Option<Vec<String>>,

    /// Live rules that refer to a group which is deleted or out of reach, such as "ingress tcp 5432 from sg-0123456789abcdef0",
    /// the first 20: they allow nothing and count against the quota. Read about every hour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_STALE_RULES), inner(length(max = MAX_VOUCHED_LINE)), extend("x-kubernetes-list-type" = "atomic"))]
    pub stale_rules: Vec<String>,

    /// Expiries that were acted on, such as "ingress https 2026-12-24T18:00:00Z"; a clock set back does not open them again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_EXPIRED), inner(length(max = MAX_EXPIRED_LINE)), extend("x-kubernetes-list-type" = "atomic"))]
    pub expired: Vec<String>,

    /// Since when reverts are suspended, such as 2026-12-24T18:00:00Z. Survives the end of a suspend for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub suspended_since: Option<String>,

    /// When the suspend ends, or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub suspended_until: Option<String>,

    /// Rules of which something expires within a day, and when, such as "ingress https 2026-12-24T18:00:00Z"; the soonest 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_EXPIRING), inner(length(max = MAX_EXPIRED_LINE)), extend("x-kubernetes-list-type" = "atomic"))]
    pub expiring: Vec<String>,

    /// The plan that was approved last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,

    /// Who uses the group; read when it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,

    /// What sgwarden would do next; present while it observes only, or waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,

    /// The newest edits made behind sgwarden's back, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_DRIFT), extend("x-kubernetes-list-type" = "atomic"))]
    pub drift: Vec<DriftRecord>,

    /// What Notifiers still have to be told besides the edits in drift, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_NOTICES), extend("x-kubernetes-list-type" = "atomic"))]
    pub notices: Vec<NoticeRecord>,

    /// Ready, Synced, Drifted, ReferencesResolved, Suspended, Limited, Reconciling, Stalled, DeletionBlocked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// How many of AWS's rules per group are taken: prefix lists count by their weight, groups once in each family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Quota {
    /// Inbound rules that count for IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_ipv4: Option<i32>,
    /// Inbound rules that count for IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_ipv6: Option<i32>,
    /// Outbound rules that count for IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_ipv4: Option<i32>,
    /// Outbound rules that count for IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_ipv6: Option<i32>,
    /// The most AWS allows of each of the four, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i32>,
}

/// A plan that somebody approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Approved {
    /// Hash of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub hash: Option<String>,
    /// Who approved it, as the annotation says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub by: Option<String>,
    /// The metadata.generation it was spent on; absent while the plan is being carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
}

/// Who uses a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Usage {
    /// Network interfaces that are members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_interfaces: Option<i32>,
    /// Groups with rules that refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referenced_by: Option<i32>,
}

/// A plan, as far as it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct PlanSummary {
    /// Hash of the plan's steps; equal plans have equal hashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub hash: Option<String>,

    /// How many steps the plan has; steps shows the first 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,

    /// The first steps, in order, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PLAN_STEPS), inner(length(max = MAX_TEXT)), extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<String>,
}

/// One edit made behind sgwarden's back, or several of one actor seen in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct DriftRecord {
    /// Id of the record; audit lines, Events and alerts carry the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub id: String,

    /// What is different, the first 20 of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_DRIFT_ATOMS), extend("x-kubernetes-list-type" = "atomic"))]
    pub atoms: Vec<DriftAtom>,

    /// Digests of the differences that atoms leaves out, one after the other, so that they are known when they are seen again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DRIFT_UNLISTED * DRIFT_DIGEST))]
    pub unlisted: Option<String>,

    /// How many differences there were in all.
    pub count: i32,

    /// When it was first seen, such as 2026-12-24T18:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub detected_at: Option<String>,

    /// What it let in and out that no other rule of the group did, and what it shut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<ExposureChange>,

    /// Who did it, as far as CloudTrail tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,

    /// What was done about it: Pending, Reverted, Reported, Tolerated, Suspended, Declared, Transient or Unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub resolution: String,

    /// When that was done, such as 2026-12-24T18:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub resolved_at: Option<String>,

    /// Id of the audit record of the change that put it right.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub change_id: Option<String>,

    /// Id of the trace that the change belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub trace_id: Option<String>,

    /// The notifiers that were told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_NOTIFIED), extend("x-kubernetes-list-type" = "atomic"))]
    pub notified: Vec<Notified>,
}

/// One difference between EC2 and what is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct DriftAtom {
    /// Added, Removed, Modified, DescriptionChanged, TagChanged, TagRemoved, GroupDeleted, PrefixListChanged, Transient,
    /// VpcAssociationChanged or Unclassified.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub kind: String,

    /// What was vouched for; absent when there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub before: Option<String>,

    /// What was found instead; absent when there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub after: Option<String>,

    /// Id of the rule in EC2, such as sgr-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rule_id: Option<String>,

    /// Name of the declared rule it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub rule: Option<String>,
}

/// What an edit opened and closed, in addresses and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct ExposureChange {
    /// What it opened, the widest first, such as tcp/22 to 4,294,967,296 addresses; absent when nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_EXPOSURE))]
    pub opened: Option<String>,

    /// What it closed; absent when nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_EXPOSURE))]
    pub closed: Option<String>,
}

/// Who made an edit, as CloudTrail tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Actor {
    /// The person or service, as people call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub name: Option<String>,

    /// ARN of the principal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub arn: Option<String>,

    /// Kind of principal, such as AssumedRole or IAMUser.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_WORD))]
    pub type_: Option<String>,

    /// Address the call came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_WORD))]
    pub source_ip: Option<String>,

    /// Program the call was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub user_agent: Option<String>,

    /// The call, such as AuthorizeSecurityGroupIngress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub event_name: Option<String>,

    /// When the call was made, such as 2026-12-24T18:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub event_time: Option<String>,

    /// Id of the event in CloudTrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_WORD))]
    pub event_id: Option<String>,

    /// Why nobody is named, or what else is to be known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_REASON))]
    pub reason: Option<String>,
}

fn applied_tags_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_APPLIED_TAGS,
        "additionalProperties": { "type": "string", "maxLength": 256 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_status_is_read_and_written_as_nothing() {
        let status: SecurityGroupStatus = serde_json::from_str("{}").expect("an empty status");
        assert_eq!(status, SecurityGroupStatus::default());
        assert_eq!(serde_json::to_string(&status).expect("a status is JSON"), "{}");
    }

    #[test]
    fn no_baseline_and_an_empty_one_are_different() {
        let empty: SecurityGroupStatus = serde_json::from_str(r#"{"rules":[]}"#).expect("a status");
        assert_eq!(empty.rules, Some(Vec::new()));
        assert_eq!(serde_json::to_string(&empty).expect("a status is JSON"), r#"{"rules":[]}"#);
    }

    #[test]
    fn a_status_of_another_release_is_read() {
        let status: SecurityGroupStatus = serde_json::from_str(
            r#"{
                "groupId": "sg-1", "exposure": "Public", "usage": {"networkInterfaces": 3},
                "mode": "AwaitingApproval", "origin": "Imported", "quota": {"limit": 60, "weight": 2}, "plan": {},
                "drift": [
                    {},
                    {"kind": "Added", "resolution": "Forgiven", "detectedAt": "yesterday", "seenBy": [{"at": 1}],
                     "actor": {"name": "ada", "mfa": true}, "atoms": [{}, {"kind": "Widened", "exposure": 1}]}
                ]
            }"#,
        )
        .expect("unknown fields and words are no error");
        assert_eq!(status.mode.as_deref(), Some("AwaitingApproval"));
        assert_eq!(status.drift.len(), 2);
        assert!(Resolution::parse("Forgiven").is_err());
    }
}
