//! The other side of a rule: who may connect, or where to.
//!
//! Entry point: [`Peer`], a struct of options of which exactly one is set (CEL); an enum could not carry the
//! `description` and `accountId` that go beside the choice.
//!
//! Invariant: a message lists only the kinds of peer that exist in this version.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{AWS_TEXT, Cidr};
use super::schema::{self, MAX_NAME, NAME, NAMESPACE};

/// One peer: exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self. Such as
/// {cidr: 10.0.0.0/8} or {securityGroup: {name: db}, description: the database}.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.cidr), has(self.cidrSet), has(self.securityGroup), has(self.securityGroupId), has(self.prefixListId), has(self.prefixListName), has(self.self)].exists_one(x, x)"
).message(
    "a peer is exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self (one list entry per peer)"
).reason(Reason::FieldValueInvalid))]
#[x_kube(validation = Rule::new("!has(self.accountId) || has(self.securityGroupId)")
    .message("accountId goes with securityGroupId only: remove it, or name the group by its id in securityGroupId")
    .reason(Reason::FieldValueForbidden)
    .field_path(".accountId"))]
pub struct Peer {
    /// An IPv4 or IPv6 range such as 10.0.0.0/8 or 2001:db8::/32. No host bits: write 10.0.0.0/8, not 10.1.2.3/8. A
    /// single address is a /32 or /128. Everybody is 0.0.0.0/0 and ::/0, one entry each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,

    /// A CidrSet object, such as {name: office}: every range in it is a peer, as long as it is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr_set: Option<ObjectReference>,

    /// A SecurityGroup object, such as {name: db}. Its group in EC2 is used, once it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group: Option<ObjectReference>,

    /// A security group by its id in EC2, such as sg-0123456789abcdef0, managed by sgwarden or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = schema::of_form(
        "self.matches('^sg-([0-9a-f]{8}|[0-9a-f]{17})$')",
        "a security group id looks like sg-0123456789abcdef0; for a SecurityGroup object write securityGroup: {name: ...}",
    ))]
    pub security_group_id: Option<String>,

    /// The AWS account that owns securityGroupId, 12 digits in quotes, when it is another than this group's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = schema::account_id())]
    pub account_id: Option<String>,

    /// A prefix list by its id, such as pl-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = schema::prefix_list_id())]
    pub prefix_list_id: Option<String>,

    /// A prefix list by its name in the group's account and Region, AWS's own or yours, such as
    /// com.amazonaws.global.cloudfront.origin-facing. The id found behind the name is pinned in status.pins: another list
    /// that takes the name later is not followed. ASCII only: name any other list by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = "^[ -~]+$"))]
    pub prefix_list_name: Option<String>,

    /// This group itself: its members may talk to each other. Only true can be written; leave the peer out otherwise.
    #[serde(rename = "self", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = schema::only_true("self can only be true: for any other peer leave it out"))]
    pub this: Option<bool>,

    // A pattern, not CEL: at 256 rules x 256 peers a CEL regex on 255 characters is refused for its cost.
    /// Sent to AWS for this peer instead of the rule's description. AWS accepts only A-Z a-z 0-9, space and
    /// . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in it, 255 characters at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = AWS_TEXT))]
    pub description: Option<String>,
}

impl Peer {
    /// A peer that is an address range.
    pub fn cidr(cidr: impl Into<Cidr>) -> Self {
        Self { cidr: Some(cidr.into()), ..Self::default() }
    }

    /// A peer that is a SecurityGroup object of the same namespace.
    pub fn security_group(name: impl Into<String>) -> Self {
        Self { security_group: Some(ObjectReference { name: name.into(), namespace: None }), ..Self::default() }
    }
}

/// An object that a peer stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, extend("x-kubernetes-map-type" = "atomic"))]
pub struct ObjectReference {
    /// Name of the object (metadata.name, not the name of a group in EC2).
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = NAME))]
    pub name: String,

    /// Namespace of the object; default: this one. An object of another namespace has to allow it: by its own
    /// allowedNamespaces, or by a ReferenceGrant in its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
}
