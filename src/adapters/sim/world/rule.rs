//! A rule and its identity, in canonical form.
//!
//! Entry point: [`Rule`], [`RuleKey`].
//!
//! Invariant: description and tags are no part of a rule's identity; neither are ports where EC2 ignores them.

use super::ids::{GroupId, PeeringId, PrefixListId, RuleId, VpcId};
use super::tags::Tags;
use ipnet::{Ipv4Net, Ipv6Net};
use std::sync::Arc;

/// Inbound or outbound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// An IP protocol by number, or all of them as -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Protocol(pub(crate) i16);

impl Protocol {
    pub(crate) const ALL: Self = Self(-1);
    pub(crate) const ICMP: Self = Self(1);
    pub(crate) const TCP: Self = Self(6);
    pub(crate) const UDP: Self = Self(17);
    pub(crate) const ICMPV6: Self = Self(58);

    /// Reads a name or a number; names are case-insensitive.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Some(Self::TCP),
            "udp" => Some(Self::UDP),
            "icmp" => Some(Self::ICMP),
            "icmpv6" => Some(Self::ICMPV6),
            "-1" => Some(Self::ALL),
            digits if !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|number| *number <= 255).map(Self)
            }
            _ => None,
        }
    }

    /// As reads show it: four protocols by name, the others by number, all as `-1`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::TCP => "tcp".into(),
            Self::UDP => "udp".into(),
            Self::ICMP => "icmp".into(),
            Self::ICMPV6 => "icmpv6".into(),
            Self(number) => number.to_string(),
        }
    }

    /// True for the protocols whose ports, or type and code, EC2 keeps.
    pub(crate) fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::ICMP | Self::ICMPV6)
    }
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    V4(Ipv4Net),
    V6(Ipv6Net),
    List(PrefixListId),
    Group(GroupId),
}

/// What makes two rules of a group and direction the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleKey {
    pub(crate) protocol: Protocol,
    /// First port, ICMP type, or -1.
    pub(crate) from: i32,
    /// Last port, ICMP code, or -1.
    pub(crate) to: i32,
    pub(crate) peer: Peer,
}

/// How a peer group outside the rule's own VPC is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) vpc: VpcId,
    /// None if it is reached by a VPC association.
    pub(crate) peering: Option<PeeringId>,
}

/// A rule as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) direction: Direction,
    pub(crate) key: RuleKey,
    pub(crate) description: Option<Box<str>>,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) tags: Tags,
}

impl RuleKey {
    /// Everything to or from everywhere, as a new group's egress has it.
    pub(crate) fn all(peer: Peer) -> Self {
        Self { protocol: Protocol::ALL, from: -1, to: -1, peer }
    }

    /// The rule as EC2's messages write it.
    pub(crate) fn wording(&self) -> String {
        let peer = match &self.peer {
            Peer::V4(net) => net.to_string(),
            Peer::V6(net) => net.to_string(),
            Peer::List(id) => id.to_string(),
            Peer::Group(id) => id.to_string(),
        };
        let number = |n: i32| if n == -1 { "ALL".to_owned() } else { n.to_string() };
        let what = match self.protocol {
            Protocol::ALL => "ALL".to_owned(),
            Protocol::TCP | Protocol::UDP => {
                format!("{}, from port: {}, to port: {}", self.protocol.name().to_uppercase(), self.from, self.to)
            }
            Protocol::ICMP | Protocol::ICMPV6 => {
                let name = self.protocol.name().to_uppercase();
                format!("{name}, type: {}, code: {}", number(self.from), number(self.to))
            }
            Protocol(other) => other.to_string(),
        };
        format!("peer: {peer}, {what}, ALLOW")
    }
}
