//! The kind `SecurityGroup`: one security group in EC2, declared.
//!
//! Entry points: [`SecurityGroup`] (the object) and [`SecurityGroupSpec`] (what people write).
//!
//! Invariant: no default is written into a spec but `icmp.code`; a default that depends on where sgwarden runs is
//! computed when it is needed, and pinned in status before the group is created.
//! Invariant: a field that cannot change in EC2 is held by a CEL rule on the whole object with three ways to pass: not
//! pinned yet, not touched by this update, or equal to the pin. So labels, finalizers, status and deletion are never
//! blocked, even when an adopted group differs from the spec.

use std::collections::BTreeMap;

use kube::core::{Message, Reason, Rule};
use kube::{CustomResource, KubeSchema};
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::account::MAX_ACCOUNT_NAME;
use super::enforcement::Enforcement;
use super::reference::AllowedNamespaces;
use super::rule::{EgressRule, IngressRule, MAX_PAIRS, MAX_RULES, RuleRef};
use super::scalar::{
    AWS_DESCRIPTION_MESSAGE, AWS_NAME_MESSAGE, AWS_TEXT_RULE, Approval, DeletionPolicy, EgressPolicy, Mode, UndeclaredRules,
    UnknownWord,
};
use super::schema::{self, NAME};
use super::status::SecurityGroupStatus;

/// The description of a group in EC2 when the spec has none.
pub const DEFAULT_DESCRIPTION: &str = "Managed by sgwarden";
/// The most tags a spec may declare; the rest of AWS's 50 is for sgwarden's own.
pub const MAX_TAGS: usize = 45;

/// The most bytes of text (descriptions, justifications, names of peers) in one direction of a group.
pub const MAX_TEXT_PER_DIRECTION: usize = 50_000;

/// What the security group should be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sgwarden.dev",
    version = "v1alpha1",
    kind = "SecurityGroup",
    plural = "securitygroups",
    singular = "securitygroup",
    shortname = "sg",
    shortname = "sgw",
    category = "aws",
    category = "sgwarden",
    namespaced,
    status = "SecurityGroupStatus",
    derive = "PartialEq",
    doc = "A security group in AWS EC2, kept exactly as declared.",
    selectable = ".spec.account",
    selectable = ".spec.region",
    selectable = ".status.groupId",
    selectable = ".status.vpcId",
    printcolumn(name = "Group-ID", type_ = "string", json_path = ".status.groupId"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Synced", type_ = "string", json_path = r#".status.conditions[?(@.type=="Synced")].status"#),
    printcolumn(name = "Drifted", type_ = "string", json_path = r#".status.conditions[?(@.type=="Drifted")].status"#),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.ruleCount"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.mode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Opened", type_ = "string", json_path = ".status.drift[0].exposure.opened", priority = 1),
    printcolumn(name = "Region", type_ = "string", json_path = ".status.region", priority = 1),
    printcolumn(name = "VPC", type_ = "string", json_path = ".status.vpcId", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    validation = pinned("account"),
    validation = pinned("region"),
    validation = pinned("groupName"),
    validation = pinned("description"),
    validation = pinned_vpc(),
    validation = Rule::new("has(self.spec.groupName) || size(self.metadata.name) <= 191")
        .message("set spec.groupName: the default <namespace>.<name> could exceed EC2's 255 characters")
        .reason(Reason::FieldValueRequired)
        .field_path(".spec.groupName"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.egress) && size(self.egress) > 0) || has(self.egressPolicy)")
    .message("say what may leave the group: list egress rules, or set egressPolicy: AllowAll (what EC2 gives a new group) or egressPolicy: DenyAll")
    .reason(Reason::FieldValueRequired)
    .field_path(".egressPolicy"))]
#[x_kube(validation = Rule::new("!has(self.egress) || size(self.egress) == 0 || !has(self.egressPolicy)")
    .message("egressPolicy is only for a group without egress rules: remove it, or remove the rules")
    .reason(Reason::FieldValueForbidden)
    .field_path(".egressPolicy"))]
pub struct SecurityGroupSpec {
    /// Name of the AwsAccount the group is in, such as prod. Default: the annotation sgwarden.dev/account of the namespace,
    /// else default. Cannot be changed once the group exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ACCOUNT_NAME))]
    #[x_kube(validation = schema::of_form(
        &format!("self.matches(r'{NAME}')"),
        "account is the name of an AwsAccount object, such as prod: lower-case letters, digits, '-' and '.' only",
    ))]
    pub account: Option<String>,

    /// AWS Region, such as eu-west-1. Default: the account's only Region; required where it has several. Cannot be changed
    /// once the group exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = schema::region())]
    pub region: Option<String>,

    /// The VPC of the group: exactly one of id, name, tags, such as {id: vpc-0123456789abcdef0} or {name: main}. Cannot be
    /// changed once the group exists.
    pub vpc: VpcReference,

    /// Name of the group in EC2. Default: namespace and name of this object with a dot between, such as shop.web;
    /// required where that would begin with sg-, which AWS reserves, or could exceed 255 characters. Cannot be changed
    /// once the group exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new(AWS_TEXT_RULE).message(AWS_NAME_MESSAGE).reason(Reason::FieldValueInvalid))]
    #[x_kube(validation = Rule::new("!self.lowerAscii().startsWith('sg-') && self.lowerAscii() != 'default'")
        .message("a group name may not start with 'sg-' nor be 'default': AWS reserves both, choose another")
        .reason(Reason::FieldValueInvalid))]
    #[x_kube(validation = Rule::new("self.trim() == self")
        .message("a group name may not start or end with a space, which AWS trims: remove it")
        .reason(Reason::FieldValueInvalid))]
    pub group_name: Option<String>,

    /// Description of the group in EC2, such as Web tier. Default: Managed by sgwarden. AWS accepts only A-Z a-z 0-9,
    /// space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in it, 255 characters at most. Cannot be changed once the
    /// group exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new(AWS_TEXT_RULE).message(AWS_DESCRIPTION_MESSAGE).reason(Reason::FieldValueInvalid))]
    pub description: Option<String>,

    /// Tags of the group, such as {team: shop}, 45 at most. Only the keys named here are kept as declared; other tags
    /// on the group are left alone. Keys may not start with aws:, sgwarden.dev/ or kubernetes.io/cluster/.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "tags_schema")]
    pub tags: BTreeMap<String, String>,

    /// Rules for connections to members of the group, such as
    /// [{name: https, protocol: tcp, ports: [80, 443], from: [{cidr: 0.0.0.0/0}]}]. Absent or empty, nothing may come in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_RULES))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[x_kube(validation = unique_names())]
    #[x_kube(validation = few_pairs("from"))]
    #[x_kube(validation = little_text("from"))]
    pub ingress: Vec<IngressRule>,

    /// Rules for connections from members of the group, such as
    /// [{name: to-db, protocol: tcp, ports: [5432, 6432], to: [{securityGroup: {name: db}}]}]. When there are none,
    /// egressPolicy must say what that means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_RULES))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[x_kube(validation = unique_names())]
    #[x_kube(validation = few_pairs("to"))]
    #[x_kube(validation = little_text("to"))]
    pub egress: Vec<EgressRule>,

    /// What may leave a group without egress rules: AllowAll (what EC2 gives a new group: everything over IPv4, and
    /// over IPv6 in a VPC that has it) or DenyAll (nothing). Required when egress has no rules, not allowed when it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["AllowAll", "DenyAll"]))]
    pub egress_policy: Option<String>,

    /// How far sgwarden goes with this group: what it writes, reverts, tolerates and waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,

    /// An existing group to take over, such as {groupId: sg-0123456789abcdef0} or {byName: true}. It takes consent on AWS's
    /// side: the group's tag sgwarden.dev/adopt says <cluster id>/<namespace>, or the AwsAccount has adoption: Allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,

    /// Which other namespaces may refer to this group in their rules, such as {from: All}. Default: none; a ReferenceGrant
    /// is honoured besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,

    /// What becomes of the group in EC2 when this object is deleted: Delete or Retain. Default: Delete if sgwarden
    /// created the group, else Retain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Delete", "Retain"]))]
    pub deletion_policy: Option<String>,
}

/// The VPC of a group: exactly one of id, name, tags. Such as {id: vpc-0123456789abcdef0}, {name: main} or
/// {tags: {env: prod}}.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[x_kube(validation = Rule::new("[has(self.id), has(self.name), has(self.tags)].exists_one(x, x)")
    .message("vpc is exactly one of id, name, tags, such as {id: vpc-0123456789abcdef0}")
    .reason(Reason::FieldValueInvalid))]
pub struct VpcReference {
    /// Id of the VPC, such as vpc-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 21))]
    #[x_kube(validation = schema::vpc_id())]
    pub id: Option<String>,

    /// Value of the VPC's tag Name, such as main. One VPC of the account and Region has to have it; the id found is pinned
    /// in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,

    /// Tags of the VPC, such as {env: prod}, 10 at most. One VPC of the account and Region has to have all of them; the id
    /// found is pinned in status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags_to_find")]
    pub tags: BTreeMap<String, String>,
}

/// An existing group to take over: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.groupId) != has(self.byName)")
    .message("adopt is exactly one of groupId, byName, such as {groupId: sg-0123456789abcdef0}")
    .reason(Reason::FieldValueInvalid))]
pub struct Adopt {
    /// The group by its id, such as sg-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = schema::security_group_id())]
    pub group_id: Option<String>,
    /// The group of the VPC that is called groupName. Only true can be written; leave adopt out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = schema::only_true("byName can only be true: to create a group of your own, remove adopt"))]
    pub by_name: Option<bool>,
}

impl SecurityGroupSpec {
    /// The rules of both directions, ingress first, in the order in which they are written.
    pub fn rules(&self) -> impl Iterator<Item = RuleRef<'_>> {
        self.ingress.iter().map(IngressRule::as_rule).chain(self.egress.iter().map(EgressRule::as_rule))
    }

    /// `enforcement.mode`, if it is written.
    pub fn mode(&self) -> Result<Option<Mode>, UnknownWord> {
        let mode = self.enforcement.as_ref().and_then(|enforcement| enforcement.mode.as_deref());
        mode.map(Mode::parse).transpose()
    }

    /// `enforcement.undeclaredRules`, if it is written.
    pub fn undeclared_rules(&self) -> Result<Option<UndeclaredRules>, UnknownWord> {
        let word = self.enforcement.as_ref().and_then(|enforcement| enforcement.undeclared_rules.as_deref());
        word.map(UndeclaredRules::parse).transpose()
    }

    /// `enforcement.approval`, if it is written.
    pub fn approval(&self) -> Result<Option<Approval>, UnknownWord> {
        let word = self.enforcement.as_ref().and_then(|enforcement| enforcement.approval.as_deref());
        word.map(Approval::parse).transpose()
    }

    /// `egressPolicy`, if it is written.
    pub fn egress_policy(&self) -> Result<Option<EgressPolicy>, UnknownWord> {
        self.egress_policy.as_deref().map(EgressPolicy::parse).transpose()
    }

    /// `deletionPolicy`, if it is written.
    pub fn deletion_policy(&self) -> Result<Option<DeletionPolicy>, UnknownWord> {
        self.deletion_policy.as_deref().map(DeletionPolicy::parse).transpose()
    }
}

impl SecurityGroup {
    /// The name of the group in EC2 by the spec: `groupName`, else `<namespace>.<name>`.
    pub fn desired_group_name(&self) -> String {
        self.spec.group_name.clone().unwrap_or_else(|| {
            default_group_name(
                self.metadata.namespace.as_deref().unwrap_or_default(),
                self.metadata.name.as_deref().unwrap_or_default(),
            )
        })
    }

    /// The description of the group in EC2 by the spec.
    pub fn desired_description(&self) -> &str {
        self.spec.description.as_deref().unwrap_or(DEFAULT_DESCRIPTION)
    }
}

/// The name in EC2 of a group whose spec has no `groupName`. A namespace has no dot, so no two objects share it.
pub fn default_group_name(namespace: &str, name: &str) -> String {
    format!("{namespace}.{name}")
}

fn tags_schema(_: &mut SchemaGenerator) -> Schema {
    schema::tags(MAX_TAGS)
}

/// Unique rule names in an atomic list. `all(x, exists_one(y, ..))` would cost a second a write at 256 rules; this one
/// fails with "key <name> already exists", which names the culprit.
fn unique_names() -> Rule {
    Rule::new("size(self.transformMapEntry(i, r, {r.name: i})) == size(self)")
        .message("rule names must be unique in their list: rename one")
        .reason(Reason::FieldValueInvalid)
}

/// At most [`MAX_PAIRS`] pairs of a peer and a port in a list of rules, whose peers are in the field `peers`.
fn few_pairs(peers: &str) -> Rule {
    let pairs = format!("self.map(r, size(r.{peers}) * (has(r.ports) ? size(r.ports) : 1)).sum()");
    Rule::new(format!("{pairs} <= {MAX_PAIRS}"))
        .message(Message::Expression(format!(
            "\"%d pairs of a peer and a port, each a rule in EC2, are more than the {MAX_PAIRS} of one direction: merge ranges, or split the group\".format([{pairs}])"
        )))
        .reason(Reason::FieldValueInvalid)
}

/// At most [`MAX_TEXT_PER_DIRECTION`] bytes of text in a list of rules, whose peers are in the field `peers`: what is
/// accepted must leave room in etcd (1.5 MiB an object) for the status, or nothing about the group could be written down.
fn little_text(peers: &str) -> Rule {
    let reference = |field: &str| {
        format!("(has(p.{field}) ? size(p.{field}.name) + (has(p.{field}.namespace) ? size(p.{field}.namespace) : 0) : 0)")
    };
    let bytes = format!(
        "self.map(r, (has(r.description) ? size(r.description) : 0) + \
         (has(r.justification) ? size(bytes(r.justification)) : 0) + \
         r.{peers}.map(p, (has(p.description) ? size(p.description) : 0) + {} + {} + \
         (has(p.prefixListName) ? size(p.prefixListName) : 0)).sum()).sum()",
        reference("securityGroup"),
        reference("cidrSet"),
    );
    Rule::new(format!("{bytes} <= {MAX_TEXT_PER_DIRECTION}"))
        .message(format!(
            "descriptions, justifications and names of peers are more than the {MAX_TEXT_PER_DIRECTION} bytes of one direction: \
             shorten them, or split the group"
        ).as_str())
        .reason(Reason::FieldValueInvalid)
}

/// A field of the spec that is pinned in the status field of the same name once the group exists (or is about to).
fn pinned(field: &str) -> Rule {
    pinned_as(
        field,
        &format!(
            "!has(oldSelf.status) || !has(oldSelf.status.{field}) || \
             (has(self.spec.{field}) ? has(oldSelf.spec.{field}) && self.spec.{field} == oldSelf.spec.{field} \
             : !has(oldSelf.spec.{field})) || \
             has(self.spec.{field}) && self.spec.{field} == oldSelf.status.{field}"
        ),
        field,
    )
}

/// The VPC, which is pinned by its id: another way to say which it is has to be that id.
fn pinned_vpc() -> Rule {
    pinned_as(
        "vpc",
        "!has(oldSelf.status) || !has(oldSelf.status.vpcId) || self.spec.vpc == oldSelf.spec.vpc || \
         has(self.spec.vpc.id) && self.spec.vpc.id == oldSelf.status.vpcId",
        "vpcId",
    )
}

fn pinned_as(field: &str, rule: &str, pin: &str) -> Rule {
    Rule::new(rule)
        .message(Message::Expression(format!(
            "\"{field} cannot be changed: EC2 group %s was created with '%s'. Put it back; to replace the group, create \
             a SecurityGroup with another name, move its members, then delete this one\".format([\
             oldSelf.?status.?groupId.orValue(\"(id not known yet)\"), oldSelf.?status.?{pin}.orValue(\"\")])"
        )))
        .reason(Reason::FieldValueForbidden)
        .field_path(format!(".spec.{field}"))
}
