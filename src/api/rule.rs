//! One declared rule, of either direction.
//!
//! Entry points: [`IngressRule`] and [`EgressRule`], equal but for `from` and `to`, and [`RuleRef`], through which
//! code that does not care about the direction reads both.
//!
//! Invariant: lists are atomic. As a list-map, `kubectl patch` could add a rule that the next apply from Git keeps.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::peer::Peer;
use super::scalar::{AWS_DESCRIPTION_MESSAGE, AWS_TEXT_RULE, Port, Protocol, RuleName};
use super::schema::{MAX_TIME, time};

/// The most rules in one direction of a group.
pub const MAX_RULES: usize = 256;
/// The most peers in one rule.
pub const MAX_PEERS: usize = 256;
/// The most ports in one rule.
pub const MAX_PORTS: usize = 64;
/// The most pairs of a peer and a port in one direction of a group.
pub const MAX_PAIRS: usize = 1000;

/// Which way the connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To members of the group.
    Ingress,
    /// From members of the group.
    Egress,
}

impl Direction {
    /// The field of the spec that lists the rules of this direction.
    pub fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The field of a rule that lists the peers.
    pub fn peers_field(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }
}

/// A rule of either direction, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef<'a> {
    /// Which list it stands in.
    pub direction: Direction,
    /// Unique in its list.
    pub name: &'a RuleName,
    /// Sent to AWS, unless the peer has its own.
    pub description: Option<&'a str>,
    /// Why, for people; never sent to AWS.
    pub justification: Option<&'a str>,
    /// As written.
    pub expires_at: Option<&'a str>,
    /// As written.
    pub protocol: &'a Protocol,
    /// As written; empty when absent.
    pub ports: &'a [Port],
    /// As written.
    pub icmp: Option<Icmp>,
    /// `from` or `to`.
    pub peers: &'a [Peer],
}

// The rules about ports and icmp say nothing where the protocol is none: the message about the protocol is enough.
macro_rules! rule {
    ($(#[$doc:meta])* $name:ident, $direction:expr, $(#[$peers_doc:meta])* $peers:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
        #[serde(rename_all = "camelCase")]
        #[x_kube(validation = Rule::new(
                "!has(self.ports) || !(self.protocol in ['icmp', 'icmpv6', 'all'] || self.protocol.matches('^[0-9]+$') && !(self.protocol in ['6', '17']))"
            )
            .message(Message::Expression(concat!(
                "\"ports go with protocol tcp or udp only, not with '\" + self.protocol + ",
                "(self.protocol in ['icmp', 'icmpv6'] ? \"', which has types and codes instead: use icmp\" : ",
                "\"', which is always all ports: remove ports\")",
            ).into()))
            .reason(Reason::FieldValueForbidden)
            .field_path(".ports"))]
        #[x_kube(validation = Rule::new("has(self.ports) && size(self.ports) > 0 || !(self.protocol in ['tcp', 'udp'])")
            .message("protocol tcp and udp need ports; for every port write ports: [\"0-65535\"]")
            .reason(Reason::FieldValueRequired)
            .field_path(".ports"))]
        #[x_kube(validation = Rule::new(
                "!has(self.icmp) || !(self.protocol in ['tcp', 'udp', 'all'] || self.protocol.matches('^[0-9]+$') && !(self.protocol in ['1', '58']))"
            )
            .message(Message::Expression(
                "\"icmp goes with protocol icmp or icmpv6 only, not with '\" + self.protocol + \"': remove icmp\"".into()
            ))
            .reason(Reason::FieldValueForbidden)
            .field_path(".icmp"))]
        #[x_kube(validation = Rule::new(concat!(
                "self.protocol != 'icmp' || self.", stringify!($peers), ".all(p, !has(p.cidr) || !p.cidr.contains(':'))"
            ))
            .message("protocol icmp is IPv4 only: put the IPv6 ranges in a rule with protocol icmpv6")
            .reason(Reason::FieldValueInvalid)
            .field_path(concat!(".", stringify!($peers))))]
        #[x_kube(validation = Rule::new(concat!(
                "self.protocol != 'icmpv6' || self.", stringify!($peers), ".all(p, !has(p.cidr) || p.cidr.contains(':'))"
            ))
            .message("protocol icmpv6 is IPv6 only: put the IPv4 ranges in a rule with protocol icmp")
            .reason(Reason::FieldValueInvalid)
            .field_path(concat!(".", stringify!($peers))))]
        pub struct $name {
            /// Name of the rule, such as allow-https; unique in its list. It is the rule's identity for people, in
            /// status, audit and exemptions, and is never sent to AWS.
            pub name: RuleName,

            /// Sent to AWS as the description of every EC2 rule made from this entry, such as Allow inbound HTTPS
            /// traffic. AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in it, 255
            /// characters at most.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 255))]
            #[x_kube(validation = Rule::new(AWS_TEXT_RULE).message(AWS_DESCRIPTION_MESSAGE).reason(Reason::FieldValueInvalid))]
            pub description: Option<String>,

            /// Why this is allowed, such as port 80 redirects to 443. Kept for audit and policy, never sent to AWS.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 1024))]
            pub justification: Option<String>,

            /// From then on the rule is no longer desired and is taken out of EC2, such as 2026-12-24T18:00:00Z; here it
            /// stays until you remove it. An expiry that was acted on holds, even if the clock is set back.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = MAX_TIME))]
            #[x_kube(validation = time())]
            pub expires_at: Option<String>,

            /// tcp, udp, icmp, icmpv6, all, or the number of a protocol without a name here, in quotes: "50" (ESP).
            /// all means every protocol and every port.
            pub protocol: Protocol,

            /// Ports and ranges of ports, such as [443, "8000-8100"]: a number, or a range in quotes from lower to
            /// higher. Required with protocol tcp and udp, not allowed with any other. Every port is the range "0-65535".
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = MAX_PORTS))]
            #[x_kube(merge_strategy = ListMerge::Atomic)]
            pub ports: Vec<Port>,

            /// Type and code, with protocol icmp and icmpv6 only. Absent means all of them. An echo request (ping) is
            /// {type: 8} with icmp and {type: 128} with icmpv6.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub icmp: Option<Icmp>,

            $(#[$peers_doc])*
            #[schemars(length(max = MAX_PEERS))]
            #[x_kube(merge_strategy = ListMerge::Atomic)]
            #[x_kube(validation = Rule::new("size(self) > 0")
                .message("at least one peer; everybody is [{cidr: 0.0.0.0/0}, {cidr: \"::/0\"}], and nobody is no rule: remove it")
                .reason(Reason::FieldValueRequired))]
            pub $peers: Vec<Peer>,
        }

        impl $name {
            /// The rule without its direction in the type.
            pub fn as_rule(&self) -> RuleRef<'_> {
                RuleRef {
                    direction: $direction,
                    name: &self.name,
                    description: self.description.as_deref(),
                    justification: self.justification.as_deref(),
                    expires_at: self.expires_at.as_deref(),
                    protocol: &self.protocol,
                    ports: &self.ports,
                    icmp: self.icmp,
                    peers: &self.$peers,
                }
            }
        }
    };
}

rule! {
    /// A rule for connections to members of the group.
    IngressRule,
    Direction::Ingress,
    /// Who may connect; at least one peer, such as [{cidr: 10.0.0.0/8}, {securityGroup: {name: web}}]. Everybody is
    /// written out: [{cidr: 0.0.0.0/0}, {cidr: "::/0"}].
    from
}

rule! {
    /// A rule for connections from members of the group.
    EgressRule,
    Direction::Egress,
    /// Where members of the group may connect to; at least one peer, such as [{securityGroup: {name: db}}]. Everywhere
    /// is written out: [{cidr: 0.0.0.0/0}, {cidr: "::/0"}].
    to
}

/// ICMP type and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[x_kube(validation = Rule::new("self.type != -1 || self.code == -1")
    .message("icmp.code must be -1 (or absent) when icmp.type is -1: EC2 has no rule for one code of all types")
    .reason(Reason::FieldValueInvalid)
    .field_path(".code"))]
pub struct Icmp {
    /// Number of the type, such as 8 for an echo request; -1 means all types.
    #[serde(rename = "type")]
    #[schemars(range(min = -1, max = 255))]
    pub type_: i32,

    /// Number of the code; -1, the default, means all codes of the type.
    #[serde(default = "all_codes")]
    #[schemars(range(min = -1, max = 255))]
    pub code: i32,
}

fn all_codes() -> i32 {
    -1
}
