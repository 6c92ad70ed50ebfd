//! The kind `CidrSet`: a named list of address ranges that rules of several groups share.
//!
//! Entry point: [`CidrSet`] with [`CidrSetSpec`] and [`CidrSetStatus`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;
use super::reference::AllowedNamespaces;
use super::scalar::{AWS_DESCRIPTION_MESSAGE, AWS_TEXT_RULE, Cidr};
use super::schema::{self, MAX_TIME, time};

/// The most ranges in a set.
pub const MAX_CIDRS: usize = 1000;
/// The most users named in a set's status; `count` tells how many there are.
pub const MAX_USERS: usize = 20;

/// The ranges, and who may use them.
#[allow(clippy::duplicated_attributes, reason = "two columns may be of one type")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sgwarden.dev",
    version = "v1alpha1",
    kind = "CidrSet",
    plural = "cidrsets",
    singular = "cidrset",
    category = "sgwarden",
    namespaced,
    status = "CidrSetStatus",
    derive = "PartialEq",
    doc = "A named list of address ranges that rules refer to as cidrSet. A change of it changes every group that uses it.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".status.entries"),
    printcolumn(name = "Used-By", type_ = "integer", json_path = ".status.usedBy.count"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.cidrs) && size(self.cidrs) > 0 || has(self.allowEmpty) && self.allowEmpty")
    .message("a set without ranges allows nobody: list at least one, or set allowEmpty: true")
    .reason(Reason::FieldValueRequired)
    .field_path(".cidrs"))]
pub struct CidrSetSpec {
    /// The ranges, such as [{cidr: 192.0.2.0/24, description: office}], 1000 at most. A range that stands here twice counts
    /// once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_CIDRS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub cidrs: Vec<CidrEntry>,

    /// Whether the set may be empty: rules that use it then allow nobody. Default: false, so that a list lost on the way
    /// closes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,

    /// Which other namespaces may refer to this set in their rules, such as {from: All}. Default: none; a ReferenceGrant is
    /// honoured besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// One range of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CidrEntry {
    /// An IPv4 or IPv6 range such as 10.0.0.0/8 or 2001:db8::/32. No host bits: write 10.0.0.0/8, not 10.1.2.3/8. A
    /// single address is a /32 or /128.
    pub cidr: Cidr,
    /// Sent to AWS for this range instead of the rule's description. AWS accepts only A-Z a-z 0-9, space and
    /// . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in it, 255 characters at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = schema::of_form(AWS_TEXT_RULE, AWS_DESCRIPTION_MESSAGE))]
    pub description: Option<String>,
    /// From then on the range is no longer part of the set, such as 2026-12-24T18:00:00Z; here it stays until you remove it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TIME))]
    #[x_kube(validation = time())]
    pub expires_at: Option<String>,
}

/// How the set stands. Written by sgwarden only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct CidrSetStatus {
    /// The metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ranges in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<i32>,
    /// The groups that use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_by: Option<UsedBy>,
    /// Ready: whether the set can be used; Stalled when somebody has to correct it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// Who uses something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct UsedBy {
    /// How many.
    pub count: i32,
    /// The first 20, as namespace/name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_USERS), inner(length(max = 320)), extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
}
