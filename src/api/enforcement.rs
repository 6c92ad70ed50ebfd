//! How far sgwarden goes with a group: `enforcement`, with what it tolerates and the break-glass.
//!
//! Entry point: [`Enforcement`]. What it leaves out, the account's defaults fill in; what it may choose, the account's
//! limits say.
//!
//! Invariant: the object is granular, so that an on-call patch of `suspend` survives a sync of the rest from Git. Who may
//! make such a patch is held by deploy/kubernetes/admission.yaml.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{Cidr, Port, Protocol};
use super::schema::{self, MAX_TIME, time};

/// The most tolerations of a group.
pub const MAX_TOLERATIONS: usize = 32;
/// The most ports in one toleration.
pub const MAX_TOLERATED_PORTS: usize = 16;

/// How far sgwarden goes with a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// Enforce: EC2 is made equal to the spec and kept so. Observe: everything is computed and reported, nothing is
    /// written to EC2. Default: what the AwsAccount says, else Enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Enforce", "Observe"]))]
    pub mode: Option<String>,

    /// What becomes of live rules that nobody declared. Revoke: they are revoked. Report: they are reported as drift and
    /// stay. Keep: they stay, and are nobody's drift. Default: what the AwsAccount says, else Revoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Revoke", "Report", "Keep"]))]
    pub undeclared_rules: Option<String>,

    /// Undeclared rules of another owner, such as a load balancer controller, that stay whatever undeclaredRules says. Such
    /// as [{direction: Ingress, securityGroupId: sg-0123456789abcdef0, descriptionPrefix: "elbv2.k8s.aws/"}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_TOLERATIONS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub tolerate: Vec<Toleration>,

    /// Break-glass: until it ends nothing is reverted, while changes of the spec still apply. Such as
    /// {until: 2026-12-24T18:00:00Z, reason: incident 4711}. Setting or changing it takes the RBAC verb suspend on the
    /// object, removing it does not. The annotation sgwarden.dev/suspend does the same where a GitOps tool keeps the spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Suspend>,

    /// Required: changes wait in status.plan until somebody approves them; reverts never wait. Automatic: they do not
    /// wait. Default: what the AwsAccount says, else Automatic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Automatic", "Required"]))]
    pub approval: Option<String>,
}

/// Undeclared rules that stay: direction and (a peer or ports) are required, descriptionPrefix only narrows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.cidr), has(self.securityGroupId), has(self.prefixListId)].filter(x, x).size() <= 1")
    .message("a toleration has at most one of cidr, securityGroupId, prefixListId (one list entry per peer)")
    .reason(Reason::FieldValueInvalid))]
#[x_kube(validation = Rule::new(
        "has(self.cidr) || has(self.securityGroupId) || has(self.prefixListId) || has(self.ports) && size(self.ports) > 0"
    )
    .message("say what is tolerated: a peer (cidr, securityGroupId or prefixListId) or ports; anything less would tolerate every rule")
    .reason(Reason::FieldValueRequired))]
#[x_kube(validation = Rule::new(
        "!has(self.ports) || size(self.ports) == 0 || has(self.protocol) && self.protocol in ['tcp', 'udp']"
    )
    .message("ports go with protocol tcp or udp only: write the protocol, or remove ports")
    .reason(Reason::FieldValueInvalid)
    .field_path(".ports"))]
pub struct Toleration {
    /// Rules of which direction: Ingress or Egress.
    #[schemars(extend("enum" = ["Ingress", "Egress"]))]
    pub direction: String,
    /// Rules whose peer is exactly this range, such as 10.0.0.0/8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    /// Rules whose peer is this group, such as sg-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = schema::security_group_id())]
    pub security_group_id: Option<String>,
    /// Rules whose peer is this prefix list, such as pl-0123456789abcdef0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = schema::prefix_list_id())]
    pub prefix_list_id: Option<String>,
    /// Rules of this protocol: tcp, udp, icmp, icmpv6, all, or a number in quotes. Absent: of any protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Rules whose ports are within one of these, such as [443, "30000-32767"], with protocol tcp and udp only. Absent: any
    /// ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_TOLERATED_PORTS))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub ports: Vec<Port>,
    /// Only rules whose description begins with this, such as elbv2.k8s.aws/. It only narrows: anybody can write a
    /// description.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub description_prefix: Option<String>,
}

/// Break-glass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Suspend {
    /// When it ends, such as 2026-12-24T18:00:00Z; the account's maxSuspend may end it earlier. Then what was edited
    /// meanwhile is reverted.
    #[schemars(length(max = MAX_TIME))]
    #[x_kube(validation = time())]
    pub until: String,
    /// Why, such as incident 4711.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}
