//! The kind `AwsAccount`: where groups may be and how sgwarden gets there. Set by the platform team.
//!
//! Entry point: [`AwsAccount`] with [`AwsAccountSpec`] and [`AwsAccountStatus`].
//!
//! Invariant: durations and words are strings here and are parsed in `core::desired`: one bad object must not stop the watch.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;

/// Name of the account of an object that names none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// Annotation of a namespace: the account of objects in it that name none.
pub const ACCOUNT_ANNOTATION: &str = "sgwarden.dev/account";

/// Where groups may be, and how sgwarden gets there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sgwarden.dev",
    version = "v1alpha1",
    kind = "AwsAccount",
    plural = "awsaccounts",
    singular = "awsaccount",
    shortname = "awsacc",
    category = "sgwarden",
    status = "AwsAccountStatus",
    derive = "PartialEq",
    doc = "An AWS account whose security groups sgwarden keeps.",
    printcolumn(name = "Account-ID", type_ = "string", json_path = ".spec.accountId"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.managed"),
    printcolumn(name = "Drifted", type_ = "integer", json_path = ".status.drifted"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AwsAccountSpec {
    /// The AWS account, 12 digits in quotes. sgwarden asks STS whose credentials it has, and touches nothing when they are of
    /// another account.
    #[schemars(length(max = 12))]
    pub account_id: String,

    /// The Regions to look after, such as [eu-west-1].
    #[schemars(length(min = 1, max = 40), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    pub regions: Vec<String>,

    /// Role to assume, such as arn:aws:iam::123456789012:role/sgwarden. Absent: the credentials sgwarden runs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub role_arn: Option<String>,

    /// External id that the role's trust policy asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,

    /// Endpoint for EC2 and STS in place of AWS's, for private endpoints and tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint_url: Option<String>,

    /// Which namespaces may have groups in this account.
    pub allowed_namespaces: AccountNamespaces,

    /// Time from one look at all groups to the next, such as 60s (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub sweep_interval: Option<String>,

    /// Time from seeing new rules to revoking those they replace, such as 5s (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub settle: Option<String>,

    /// How much sgwarden may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<AccountLimits>,

    /// What objects of this account have that do not say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<AccountDefaults>,

    /// Consent (the default): an existing group is taken over only when somebody tagged it in AWS. Allowed: namespaces that may
    /// use the account may take over groups without that tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub adoption: Option<String>,

    /// Observe: nothing is written in this account, whatever the objects say. The stop button.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub mode: Option<String>,
}

/// Which namespaces may have groups in an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AccountNamespaces {
    /// All, or Selector.
    #[schemars(length(max = 16))]
    pub from: String,
    /// Labels of the namespaces, with from: Selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Ids of the VPCs in which they may have groups; absent means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 21)), extend("x-kubernetes-list-type" = "set"))]
    pub vpcs: Vec<String>,
}

/// How much sgwarden may do in an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AccountLimits {
    /// Share of AWS's documented API rates to use, such as 0.5 (the default). Reverts may use all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_share: Option<f64>,
    /// The account's quota of rules in a group and direction; 60 by default, as AWS's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_per_group: Option<i32>,
    /// The most rules removed in a minute because a manifest changed. Reverts of additions do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocations_per_minute: Option<i32>,
    /// The longest a group may be suspended, such as 24h (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub max_suspend: Option<String>,
    /// From when on a change waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mass_change: Option<MassChange>,
    /// What namespaces may choose for enforcement; what is absent is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<EnforcementCeiling>,
}

/// A change of more than both within 10 minutes waits for approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct MassChange {
    /// Percent of the account's rules; 25 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
    /// Rules; 200 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<i32>,
}

/// What namespaces may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct EnforcementCeiling {
    /// Modes they may choose, such as [Enforce].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), inner(length(max = 16)))]
    pub modes: Option<Vec<String>>,
    /// What they may choose for undeclared rules, such as [Revoke, Report].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), inner(length(max = 16)))]
    pub undeclared_rules: Option<Vec<String>>,
    /// Whether they may tolerate undeclared rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerate: Option<bool>,
    /// Whether they may suspend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What objects of an account have that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AccountDefaults {
    /// Tags every group gets; a spec's own tags win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Enforcement where a spec says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<DefaultEnforcement>,
}

/// Enforcement where a spec says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct DefaultEnforcement {
    /// Enforce or Observe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub mode: Option<String>,
    /// Revoke, Report or Keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub undeclared_rules: Option<String>,
    /// Automatic or Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub approval: Option<String>,
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
    /// Ready, CredentialsValid, SweepHealthy, ClockSkewed, Reconciling, Stalled, DeletionBlocked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// How one Region stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
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
}
