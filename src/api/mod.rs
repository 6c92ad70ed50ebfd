//! The floor `api`: the objects people write, as the apiserver stores them.
//!
//! Entry points: the kinds [`SecurityGroup`], [`CidrSet`], [`AwsAccount`] and [`Notifier`], each with its spec and status;
//! [`crds`] turns them into the files of `crds/`. [`ReferenceGrant`] is Gateway API's and only read. One file per part:
//! `security_group`, `cidr_set`, `account` and `notifier` (the kinds), `rule`, `peer`, `enforcement`, `reference` (who may refer
//! to what), `scalar` (words and numbers as written), `schema` (what several schemas share), `status`, `outbox` (what is still to
//! be told), `conditions`.
//!
//! Doc comments on fields are the users' documentation: `kubectl explain` prints them.
//!
//! Invariant: this floor uses nothing of the crate, and parses nothing. What the schema admits can be read, whatever it
//! says; `core::desired` parses it and names the field.
//! Invariant: what can be refused when it is written, is: by schema or CEL, with a message that names the field and the
//! remedy. tests/cluster/rejected.rs is the list.
//! Invariant: every string, list and map has a bound (the cost of CEL), every integer is i32 or i64.
//! Invariant: every `Option` is skipped when it is `None`; a null is never sent.
#![allow(clippy::doc_markdown, reason = "doc comments on fields are what kubectl explain prints, without markup")]
#![allow(unreachable_pub, reason = "derive(KubeSchema) copies each struct, its `pub` included, into a function")]

mod account;
mod cidr_set;
pub mod conditions;
pub mod crds;
mod enforcement;
mod notifier;
mod outbox;
mod peer;
mod reference;
mod rule;
mod scalar;
mod schema;
mod security_group;
mod status;

pub use account::{
    ACCOUNT_ANNOTATION, AccountAttribution, AccountDefaults, AccountEvents, AccountLimits, AccountNamespaces, AwsAccount,
    AwsAccountSpec, AwsAccountStatus, DEFAULT_ACCOUNT, DefaultEnforcement, EnforcementCeiling, EventQueue, MAX_ACCOUNT_NAME,
    MAX_QUEUES, MassChange, RegionStatus,
};
pub use cidr_set::{CidrEntry, CidrSet, CidrSetSpec, CidrSetStatus, MAX_CIDRS, MAX_USERS, UsedBy};
pub use enforcement::{Enforcement, MAX_TOLERATED_PORTS, MAX_TOLERATIONS, Suspend, Toleration};
pub use notifier::{
    MAX_FILTERED_NAMESPACES, MAX_NOTIFIER_NAME, NoticeFilter, NoticeKind, Notifier, NotifierSpec, NotifierStatus, NotifierType,
    NotifyRate, SecretReference, Severity, SlackSink, SnsSink, WebhookSink,
};
pub use outbox::{MAX_NOTICE_MESSAGE, MAX_NOTICES, MAX_NOTIFIED, NoticeRecord, Notified};
pub use peer::{ObjectReference, Peer};
pub use reference::{AllowedNamespaces, GrantFrom, GrantTo, ReferenceGrant, ReferenceGrantSpec};
pub use rule::{Direction, EgressRule, Icmp, IngressRule, MAX_PAIRS, MAX_PEERS, MAX_PORTS, MAX_RULES, RuleRef};
pub use scalar::{
    Adoption, Approval, Cidr, DeletionPolicy, EgressPolicy, Mode, NamespacesFrom, Port, Protocol, RuleName, UndeclaredRules,
    UnknownWord,
};
pub use security_group::{
    Adopt, DEFAULT_DESCRIPTION, MAX_TAGS, MAX_TEXT_PER_DIRECTION, SecurityGroup, SecurityGroupSpec, VpcReference,
    default_group_name,
};
pub use status::{
    Actor, Approved, DRIFT_DIGEST, DriftAtom, DriftKind, DriftRecord, EffectiveMode, ExposureChange, MAX_APPLIED_TAGS, MAX_DRIFT,
    MAX_DRIFT_ATOMS, MAX_DRIFT_UNLISTED, MAX_EXPIRED, MAX_EXPIRED_LINE, MAX_EXPIRING, MAX_EXPOSURE, MAX_PIN, MAX_PINS,
    MAX_PLAN_STEPS, MAX_PREFIX_LIST_LINE, MAX_PREFIX_LISTS, MAX_REASON, MAX_STALE_RULES, MAX_TAGS_BEGUN, MAX_TEXT, MAX_VOUCHED,
    MAX_VOUCHED_LINE, MAX_VPC_ASSOCIATION, MAX_VPC_ASSOCIATIONS, MAX_WORD, Origin, PlanSummary, Quota, Resolution,
    SecurityGroupStatus, TAG_DIGEST, Usage,
};

/// The API group of every kind.
pub const GROUP: &str = "sgwarden.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
/// The resource in full, as all output names it: ACK and Crossplane have a kind of the same name.
pub const SECURITY_GROUPS: &str = "securitygroups.sgwarden.dev";

/// Holds an object until its group in EC2 is dealt with.
pub const FINALIZER: &str = "sgwarden.dev/ec2";

/// Tag on a group that a person sets to let an object take it over: `<cluster id>/<namespace>`.
pub const TAG_ADOPT: &str = "sgwarden.dev/adopt";
/// Annotation that approves the plan in status: `<hash> <user>`.
pub const APPROVE_ANNOTATION: &str = "sgwarden.dev/approve";
/// Annotation that suspends like `enforcement.suspend`: `<until> <reason>`; a GitOps tool's self-heal leaves it alone.
pub const SUSPEND_ANNOTATION: &str = "sgwarden.dev/suspend";

/// Prefix of the tags that are sgwarden's own.
pub const TAG_PREFIX: &str = "sgwarden.dev/";
/// Tag with the id of the cluster (or directory) that a group belongs to.
pub const TAG_CLUSTER: &str = "sgwarden.dev/cluster";
/// Tag with `<namespace>/<name>` of the object.
pub const TAG_OWNER: &str = "sgwarden.dev/owner";
/// Tag with the uid of the object.
pub const TAG_UID: &str = "sgwarden.dev/uid";
/// Tag with how the group came to be managed: [`Origin`].
pub const TAG_ORIGIN: &str = "sgwarden.dev/origin";

#[cfg(test)]
mod tests;
