//! The kind `AwsAccount`: where groups may be and how sgwarden gets there. Set by the platform team.
//!
//! Entry point: [`AwsAccount`] with [`AwsAccountSpec`] and [`AwsAccountStatus`].
//!
//! Invariant: durations and words are strings here and are parsed in `core::desired`: one bad object must not stop the watch.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use strum::VariantNames;

use super::conditions;
use super::reference::{selector_is_meant, selector_is_there};
use super::scalar::{Mode, UndeclaredRules};
use super::schema::{self, MAX_DURATION, duration};
use super::security_group::MAX_TAGS;

/// Name of the account of an object that names none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The most characters of an account's name.
pub const MAX_ACCOUNT_NAME: usize = 63;
/// The most queues of an account.
pub const MAX_QUEUES: usize = 20;
/// Annotation of a namespace: the account of objects in it that name none.
pub const ACCOUNT_ANNOTATION: &str = "sgwarden.dev/account";

/// Where groups may be, how sgwarden gets there, and how much it may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sgwarden.dev",
    version = "v1alpha1",
    kind = "AwsAccount",
    plural = "awsaccounts",
    singular = "awsaccount",
    shortname = "awsacc",
    category = "aws",
    category = "sgwarden",
    status = "AwsAccountStatus",
    derive = "PartialEq",
    doc = "An AWS account whose security groups sgwarden keeps. Objects that name none are in the one called default.",
    printcolumn(name = "Account-ID", type_ = "string", json_path = ".spec.accountId"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.managed"),
    printcolumn(name = "Drifted", type_ = "integer", json_path = ".status.drifted"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Regions", type_ = "string", json_path = ".spec.regions", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    validation = Rule::new(format!("size(self.metadata.name) <= {MAX_ACCOUNT_NAME}"))
        .message(format!(
            "metadata.name: an account's name has {MAX_ACCOUNT_NAME} characters at most, as the status of every group holds it: \
             create it under another"
        ).as_str())
        .reason(Reason::FieldValueInvalid)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.roleArn) || !self.roleArn.contains(':iam::') || self.roleArn.contains('::' + self.accountId + ':')")
    .message(Message::Expression(
        "\"the role is of account %s, and accountId says %s: name a role of that account, or correct accountId\".format([\
         self.roleArn.split(':')[4], self.accountId])".into()
    ))
    .reason(Reason::FieldValueInvalid)
    .field_path(".roleArn"))]
#[x_kube(validation = Rule::new("!has(self.externalId) || has(self.roleArn)")
    .message("externalId goes with roleArn only: remove it, or name the role in roleArn")
    .reason(Reason::FieldValueForbidden)
    .field_path(".externalId"))]
pub struct AwsAccountSpec {
    /// The AWS account, 12 digits in quotes. sgwarden asks STS whose credentials it has, and touches nothing when they are of
    /// another account. Cannot be changed.
    #[schemars(length(max = 12))]
    #[x_kube(validation = schema::account_id())]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("accountId cannot be changed: the groups of this object are in that account. Put it back; for another account create another AwsAccount")
        .reason(Reason::FieldValueForbidden))]
    pub account_id: String,

    /// The Regions to look after, such as [eu-west-1].
    #[schemars(schema_with = "schema::regions")]
    pub regions: Vec<String>,

    /// Role to assume, such as arn:aws:iam::123456789012:role/sgwarden, in the account of accountId. Absent: the credentials
    /// sgwarden runs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = schema::of_form_saying(
        r"self.matches(r'^arn:aws[a-z-]*:iam::[0-9]{12}:role/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]+$')",
        "\"'%s' is not a role: write it like arn:aws:iam::123456789012:role/sgwarden\".format([self])",
    ))]
    pub role_arn: Option<String>,

    /// External id that the role's trust policy asks for; with roleArn only. It is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1224))]
    #[x_kube(validation = schema::of_form(
        r"size(self) > 1 && self.matches(r'^[A-Za-z0-9_+=,.@:/-]*$')",
        "an external id has 2 to 1224 of A-Z a-z 0-9 and _ + = , . @ : / -",
    ))]
    pub external_id: Option<String>,

    /// Endpoint for EC2 and STS in place of AWS's, for private endpoints and tests, such as http://127.0.0.1:4510: http or
    /// https, without a query and without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = schema::of_form(
        r#"self.matches(r"^https?://[!$%&'()*+,.;=A-Za-z0-9\[\]_~-][!$%&'()*+,./:;=A-Za-z0-9\[\]_~-]*$")"#,
        "an endpoint is an address without a query, such as https://ec2.internal.example:443",
    ))]
    pub endpoint_url: Option<String>,

    /// Which namespaces may have groups in this account, such as {from: All}. There is no default: say it.
    pub allowed_namespaces: AccountNamespaces,

    /// Time from one look at all groups to the next, such as 60s (the default); 10s to 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DURATION))]
    #[x_kube(validation = duration("10s", "1h"))]
    pub sweep_interval: Option<String>,

    /// Time from seeing new rules to revoking those they replace, such as 5s (the default); 0s to 1m. The network takes a
    /// moment to follow EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DURATION))]
    #[x_kube(validation = duration("0s", "1m"))]
    pub settle: Option<String>,

    /// How much sgwarden, and who writes SecurityGroups, may do in this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<AccountLimits>,

    /// What objects of this account have that do not say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<AccountDefaults>,

    /// Where CloudTrail's events of this account arrive: with them edits are seen within seconds, and who made them is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<AccountEvents>,

    /// How the author of an edit is looked for when no event tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<AccountAttribution>,

    /// Consent (the default): an existing group is taken over only when somebody tagged it in AWS, with
    /// sgwarden.dev/adopt = <cluster id>/<namespace>. Allowed: namespaces that may use the account may take over groups
    /// without that tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Consent", "Allowed"]))]
    pub adoption: Option<String>,

    /// Observe: nothing is written in this account, whatever the objects say. The stop button. Enforce, or absent: the
    /// objects say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Enforce", "Observe"]))]
    pub mode: Option<String>,
}

/// Which namespaces may have groups in an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = selector_is_there())]
#[x_kube(validation = selector_is_meant())]
pub struct AccountNamespaces {
    /// All: every namespace. Selector: those whose labels match selector.
    #[schemars(extend("enum" = ["All", "Selector"]))]
    pub from: String,
    /// Labels of the namespaces, with from: Selector only, such as {matchLabels: {team: shop}}. An empty selector matches
    /// every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
    /// Ids of the VPCs in which they may have groups, such as [vpc-0123456789abcdef0]; absent means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::vpc_ids")]
    pub vpcs: Vec<String>,
}

/// How much may be done in an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountLimits {
    /// Share of AWS's documented API rates to use, such as 0.5 (the default); 0.01 to 1. Reverts may use all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = schema::of_form_saying(
        "self >= 0.01 && self <= 1.0",
        "\"%s is out of bounds: write a share of AWS's rates from 0.01 to 1, such as 0.5\".format([string(self)])",
    ))]
    pub api_share: Option<f64>,
    /// The account's quota of rules in a group, direction and family; 60 by default, as AWS's; 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub rules_per_group: Option<i32>,
    /// The most rules removed in a minute because a manifest changed; 100 by default, 1 to 100000. Reverts of additions
    /// do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub revocations_per_minute: Option<i32>,
    /// The longest a group may be suspended, such as 24h (the default); 1m to 720h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DURATION))]
    #[x_kube(validation = duration("1m", "720h"))]
    pub max_suspend: Option<String>,
    /// From when on a change waits for approval, such as {percent: 25, rules: 200} (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mass_change: Option<MassChange>,
    /// What namespaces may choose for enforcement; what is absent is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<EnforcementCeiling>,
}

/// A change that exceeds both within 10 minutes waits for approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct MassChange {
    /// Percent of the account's rules; 25 by default, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: Option<i32>,
    /// Rules; 200 by default, 1 to 1000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rules: Option<i32>,
}

/// What namespaces may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct EnforcementCeiling {
    /// Modes they may choose, such as [Enforce]. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "modes_schema")]
    pub modes: Option<Vec<String>>,
    /// What they may choose for undeclared rules, such as [Revoke, Report]. Absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "undeclared_rules_schema")]
    pub undeclared_rules: Option<Vec<String>>,
    /// Whether they may tolerate undeclared rules; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<bool>,
    /// Whether they may suspend; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What objects of an account have that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AccountDefaults {
    /// Tags every group gets, such as {cost-center: "4711"}; a spec's own tags win. A group has 45 at most, both together.
    /// Keys may not start with aws:, sgwarden.dev/ or kubernetes.io/cluster/.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "tags_schema")]
    pub tags: BTreeMap<String, String>,
    /// Enforcement where a spec says nothing. To roll out carefully, begin with {mode: Observe}.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<DefaultEnforcement>,
}

/// Enforcement where a spec says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct DefaultEnforcement {
    /// Enforce (the default) or Observe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Enforce", "Observe"]))]
    pub mode: Option<String>,
    /// Revoke (the default), Report or Keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Revoke", "Report", "Keep"]))]
    pub undeclared_rules: Option<String>,
    /// Automatic (the default) or Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Automatic", "Required"]))]
    pub approval: Option<String>,
}

/// Where events arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountEvents {
    /// SQS queues that EventBridge sends CloudTrail's events of EC2 to, each read with the credentials sgwarden itself runs with.
    /// Several accounts may name one queue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_QUEUES), extend("x-kubernetes-list-type" = "atomic"))]
    pub queues: Vec<EventQueue>,
}

/// An SQS queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventQueue {
    /// Its URL, such as https://sqs.eu-west-1.amazonaws.com/111122223333/sgwarden.
    #[schemars(length(max = 512))]
    #[x_kube(validation = schema::of_form_saying(
        r"self.matches(r'^https?://[A-Za-z0-9.:\[\]_-]+/[A-Za-z0-9_/-]*[A-Za-z0-9_-]$')",
        "\"'%s' is not the URL of a standard queue: write it like https://sqs.eu-west-1.amazonaws.com/111122223333/sgwarden\".format([self])",
    ))]
    pub url: String,
    /// Its Region, where the URL does not say it, such as eu-west-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub region: Option<String>,
}

/// How the author of an edit is looked for when no event tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AccountAttribution {
    /// Whether CloudTrail's LookupEvents is asked, 5 and 15 minutes after an edit of which no event has come; false by default. It
    /// needs the permission cloudtrail:LookupEvents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup_events: Option<bool>,
}

fn modes_schema(_: &mut SchemaGenerator) -> Schema {
    schema::some_of(Mode::VARIANTS)
}

fn undeclared_rules_schema(_: &mut SchemaGenerator) -> Schema {
    schema::some_of(UndeclaredRules::VARIANTS)
}

fn tags_schema(_: &mut SchemaGenerator) -> Schema {
    schema::tags(MAX_TAGS)
}

/// How the account stands. Written by sgwarden only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct AwsAccountStatus {
    /// The metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Groups kept in all Regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<i32>,
    /// Groups that drifted and are not put right yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drifted: Option<i32>,
    /// Each Region.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["region"]))]
    pub regions: Vec<RegionStatus>,
    /// Ready, CredentialsValid, SweepHealthy, EventsHealthy, ClockSkewed, Reconciling, Stalled, DeletionBlocked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

// Required in the schema alone, as the key of a list has to be: reading cannot fail.
/// How one Region stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline, extend("required" = ["region"]))]
pub struct RegionStatus {
    /// The Region.
    #[schemars(length(max = 32))]
    pub region: String,
    /// When all groups were last looked at, such as 2026-12-24T18:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub last_sweep_time: Option<String>,
    /// Groups seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<i32>,
    /// Groups kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<i32>,
    /// Rules of the groups kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<i32>,
    /// Groups that drifted and are not put right yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drifted: Option<i32>,
    /// Rules of the groups kept that refer to a group which is deleted or out of reach; read about every hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_rules: Option<i32>,
}
