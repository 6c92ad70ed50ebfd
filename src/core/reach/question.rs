//! What is asked: one end, the other, what is to get through, and how a person writes them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::core::desired::Referent;
use crate::core::model::{AccountId, BadTraffic, Direction, IcmpTypes, PortRange, Protocol, SecurityGroupId, Traffic};

/// Whether something gets from one end to the other. One end is always a declared group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The group whose rules are asked.
    pub group: Referent,
    /// Into it or out of it.
    pub direction: Direction,
    /// The other end.
    pub other: Other,
    /// What is to get through.
    pub traffic: Traffic,
    /// Over one address family alone. Of no use where the other end is a range, which has its own.
    pub family: Option<Family>,
}

/// The other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    /// An address or a range, taken as such: whose it is nobody looks up.
    Range(IpNet),
    /// The members of a group that is declared.
    Object(Referent),
    /// The members of a group by its id.
    Group {
        /// The id.
        id: SecurityGroupId,
        /// Its owner, where that is said.
        account: Option<AccountId>,
    },
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// Every address of it.
    pub(super) fn everybody(self) -> IpNet {
        match self {
            Self::Ipv4 => IpNet::V4(Ipv4Net::default()),
            Self::Ipv6 => IpNet::V6(ipnet::Ipv6Net::default()),
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A question that has no answer as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// Neither an address nor a range.
    #[error("'{0}' is not an address or a range, such as 10.0.3.7 or 10.0.0.0/16; a group goes with --from-group or --to-group")]
    Address(String),
    /// A range with host bits: it would be guessed which was meant.
    #[error("'{written}' has host bits set: write '{range}' for the range or '{address}' for the one address")]
    HostBits {
        /// As written.
        written: String,
        /// The range.
        range: IpNet,
        /// The address.
        address: IpAddr,
    },
    /// Not a protocol.
    #[error("{0}: use tcp, udp, icmp, icmpv6, all or a number from 0 to 255")]
    Protocol(#[source] BadTraffic),
    /// Not a port.
    #[error("{0}")]
    Ports(#[source] BadTraffic),
    /// TCP and UDP are asked by port.
    #[error("{0} is asked by port: --port 443, or --port 0-65535 for every one")]
    NoPort(Protocol),
    /// A port of what has none.
    #[error("{0} has no ports: leave --port out{hint}", hint = if matches!(.0, Protocol::Icmp | Protocol::Icmpv6) { ", and write --icmp-type for the type" } else { "" })]
    NoPortsThere(Protocol),
    /// An ICMP type of something else.
    #[error("--icmp-type goes with --protocol icmp or icmpv6, not with {0}")]
    NoTypesThere(Protocol),
    /// No such ICMP message.
    #[error("{0}")]
    Icmp(#[source] BadTraffic),
    /// ICMP of one family and an address of the other.
    #[error("{protocol} is of {family}, and {net} is not: ask for {instead}")]
    OtherFamily {
        /// The protocol.
        protocol: Protocol,
        /// Its family.
        family: Family,
        /// The other end.
        net: IpNet,
        /// The protocol that is of the address's family.
        instead: Protocol,
    },
    /// ICMP of one family, and the other asked for.
    #[error("{protocol} is of {family} alone: leave --family out")]
    NotThatFamily {
        /// The protocol.
        protocol: Protocol,
        /// Its family.
        family: Family,
    },
}

/// The address or range that somebody writes. An IPv4 address that is written as IPv6 is the IPv4 address: that is how it goes
/// over the wire, and how rules see it.
pub fn asked_address(text: &str) -> Result<IpNet, BadQuestion> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| BadQuestion::Address(text.to_owned()))?;
    let net = unmapped(net);
    if net.trunc() != net {
        return Err(BadQuestion::HostBits { written: text.to_owned(), range: net.trunc(), address: net.addr() });
    }
    Ok(net)
}

/// A range of IPv4-mapped addresses as the IPv4 range it is.
fn unmapped(net: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(ipv6) = net else { return net };
    let ipv4 = ipv6.addr().to_ipv4_mapped().zip(ipv6.prefix_len().checked_sub(MAPPED));
    ipv4.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok()).map_or(net, IpNet::V4)
}

/// Protocol, ports and ICMP message that somebody writes.
pub fn asked_traffic(
    protocol: &str,
    port: Option<&str>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
) -> Result<Traffic, BadQuestion> {
    let protocol = Protocol::from_ec2(protocol).map_err(BadQuestion::Protocol)?;
    let is_icmp = matches!(protocol, Protocol::Icmp | Protocol::Icmpv6);
    if !is_icmp && (icmp_type.is_some() || icmp_code.is_some()) {
        return Err(BadQuestion::NoTypesThere(protocol));
    }
    let ports = port.map(str::parse::<PortRange>).transpose().map_err(BadQuestion::Ports)?;
    let types = || IcmpTypes::new(icmp_type.map_or(-1, i32::from), icmp_code.map_or(-1, i32::from)).map_err(BadQuestion::Icmp);
    match (protocol, ports) {
        (Protocol::Tcp, Some(ports)) => Ok(Traffic::Tcp(ports)),
        (Protocol::Udp, Some(ports)) => Ok(Traffic::Udp(ports)),
        (Protocol::Tcp | Protocol::Udp, None) => Err(BadQuestion::NoPort(protocol)),
        (Protocol::All, None) => Ok(Traffic::All),
        (Protocol::Icmp, None) => types().map(Traffic::Icmp),
        (Protocol::Icmpv6, None) => types().map(Traffic::Icmpv6),
        (Protocol::Other(number), None) => Ok(Traffic::Other(number)),
        (Protocol::All | Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_), Some(_)) => {
            Err(BadQuestion::NoPortsThere(protocol))
        }
    }
}

impl Question {
    /// The declared groups it is about.
    pub fn objects(&self) -> Vec<Referent> {
        match &self.other {
            Other::Object(other) => vec![self.group.clone(), other.clone()],
            Other::Range(_) | Other::Group { id: _, account: _ } => vec![self.group.clone()],
        }
    }

    /// The ranges that stand for the other end: its own, or everybody of each family that is asked for.
    pub(super) fn ranges(&self) -> Result<Vec<IpNet>, BadQuestion> {
        let of = match self.traffic {
            Traffic::Icmp(_) => Some((Family::Ipv4, Protocol::Icmpv6)),
            Traffic::Icmpv6(_) => Some((Family::Ipv6, Protocol::Icmp)),
            Traffic::All | Traffic::Tcp(_) | Traffic::Udp(_) | Traffic::Other(_) => None,
        };
        let protocol = self.traffic.protocol();
        match (&self.other, of) {
            (Other::Range(net), Some((family, instead))) if family_of(*net) != family => {
                Err(BadQuestion::OtherFamily { protocol, family, net: *net, instead })
            }
            (Other::Range(net), Some(_) | None) => Ok(vec![*net]),
            (Other::Object(_) | Other::Group { id: _, account: _ }, Some((family, _))) => {
                if self.family.is_some_and(|asked| asked != family) {
                    return Err(BadQuestion::NotThatFamily { protocol, family });
                }
                Ok(vec![family.everybody()])
            }
            (Other::Object(_) | Other::Group { id: _, account: _ }, None) => {
                let families = Family::BOTH.into_iter().filter(|family| self.family.is_none_or(|asked| asked == *family));
                Ok(families.map(Family::everybody).collect())
            }
        }
    }
}

pub(super) fn family_of(net: IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::Ipv4,
        IpNet::V6(_) => Family::Ipv6,
    }
}
