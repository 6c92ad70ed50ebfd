//! Who may refer to an object of another namespace: `allowedNamespaces`, and Gateway API's `ReferenceGrant`, which is honoured
//! besides.
//!
//! Invariant: reading a `ReferenceGrant` cannot fail for what its own CRD admits; every field may be absent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Reason, Rule};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Which namespaces may refer to an object, besides those that a ReferenceGrant allows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = selector_is_there())]
#[x_kube(validation = selector_is_meant())]
pub struct AllowedNamespaces {
    /// Same (the default): only its own namespace. All: every namespace. Selector: its own, and those whose labels match
    /// selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Same", "All", "Selector"]))]
    pub from: Option<String>,
    /// Labels of the namespaces, with from: Selector only, such as {matchLabels: {team: shop}}. An empty selector matches
    /// every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
}

/// CEL over an object with `from` and `selector`: what `Selector` needs.
pub(super) fn selector_is_there() -> Rule {
    Rule::new("!has(self.from) || self.from != 'Selector' || has(self.selector)")
        .message("from: Selector needs a selector, such as {matchLabels: {team: shop}}")
        .reason(Reason::FieldValueRequired)
        .field_path(".selector")
}

/// CEL over an object with `from` and `selector`: a selector that nobody would look at is a mistake.
pub(super) fn selector_is_meant() -> Rule {
    Rule::new("!has(self.selector) || has(self.from) && self.from == 'Selector'")
        .message("selector goes with from: Selector only: remove it, or write from: Selector")
        .reason(Reason::FieldValueForbidden)
        .field_path(".selector")
}

/// Gateway API's permission to refer into a namespace (`gateway.networking.k8s.io/v1beta1`), as far as it is read here. Its CRD
/// is not ours and is not generated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1beta1",
    kind = "ReferenceGrant",
    plural = "referencegrants",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    #[serde(default)]
    pub from: Vec<GrantFrom>,
    /// To what, in the grant's own namespace.
    #[serde(default)]
    pub to: Vec<GrantTo>,
}

/// Who may refer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct GrantFrom {
    /// API group of the referring kind.
    #[serde(default)]
    pub group: String,
    /// The referring kind.
    #[serde(default)]
    pub kind: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
}

/// What may be referred to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct GrantTo {
    /// API group of the kind.
    #[serde(default)]
    pub group: String,
    /// The kind.
    #[serde(default)]
    pub kind: String,
    /// Its name; absent means every object of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
