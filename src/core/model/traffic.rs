//! What a rule lets through: protocol with its ports, or ICMP types, in EC2's canonical form.

use std::fmt;
use std::str::FromStr;

/// An IP protocol as people and EC2 name it. The four that have names here are never numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Every protocol; EC2 writes `-1`.
    All,
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 1
    Icmp,
    /// 58
    Icmpv6,
    /// Any other IANA number.
    Other(ProtocolNumber),
}

/// An IANA protocol number that has no name in EC2: not 1, 6, 17 or 58.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolNumber(u8);

impl ProtocolNumber {
    /// The number, 0 to 255.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Protocol {
    /// The protocol of an IANA number; 6 becomes [`Protocol::Tcp`], as EC2 reads it back.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmpv6,
            other => Self::Other(ProtocolNumber(other)),
        }
    }

    /// Reads EC2's spelling in any of its forms: `-1`, a name in any case, or a number.
    pub fn from_ec2(text: &str) -> Result<Self, BadTraffic> {
        if text == "-1" || text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        for named in [Self::Tcp, Self::Udp, Self::Icmp, Self::Icmpv6] {
            if text.eq_ignore_ascii_case(&named.to_string()) {
                return Ok(named);
            }
        }
        text.parse().map(Self::from_number).map_err(|_| BadTraffic::Protocol(text.to_owned()))
    }

    /// EC2's canonical spelling: `-1`, `tcp`, `udp`, `icmp`, `icmpv6`, or the number.
    pub fn to_ec2(self) -> String {
        match self {
            Self::All => "-1".to_owned(),
            Self::Other(number) => number.0.to_string(),
            Self::Tcp | Self::Udp | Self::Icmp | Self::Icmpv6 => self.to_string(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Icmpv6 => f.write_str("icmpv6"),
            Self::Other(number) => write!(f, "protocol {}", number.0),
        }
    }
}

/// Ports from lower to higher, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    from: u16,
    to: u16,
}

impl PortRange {
    /// Every port. Not the same rule as [`Protocol::All`].
    pub const EVERY: Self = Self { from: 0, to: u16::MAX };

    /// A range; `from` must not be above `to`.
    pub fn new(from: u16, to: u16) -> Result<Self, BadTraffic> {
        if from > to { Err(BadTraffic::Ports { from: from.into(), to: to.into() }) } else { Ok(Self { from, to }) }
    }

    /// One port.
    pub fn single(port: u16) -> Self {
        Self { from: port, to: port }
    }

    /// The lowest port.
    pub fn from(self) -> u16 {
        self.from
    }

    /// The highest port.
    pub fn to(self) -> u16 {
        self.to
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{}-{}", self.from, self.to) }
    }
}

impl FromStr for PortRange {
    type Err = BadTraffic;

    /// `443` or `8000-8100`, without leading zeros.
    fn from_str(text: &str) -> Result<Self, BadTraffic> {
        let port = |part: &str| {
            let plain = part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
            plain.then(|| part.parse::<u16>().ok()).flatten().ok_or_else(|| BadTraffic::Port(text.to_owned()))
        };
        match text.split_once('-') {
            None => Ok(Self::single(port(text)?)),
            Some((from, to)) => Self::new(port(from)?, port(to)?),
        }
    }
}

/// ICMP messages by type and code; EC2 has no "one code of all types".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IcmpTypes {
    /// Type -1, code -1.
    All,
    /// One type, every code.
    Type(u8),
    /// One type, one code.
    TypeCode(u8, u8),
}

impl IcmpTypes {
    /// From EC2's pair, where -1 stands for every value.
    pub fn new(kind: i32, code: i32) -> Result<Self, BadTraffic> {
        let bad = BadTraffic::Icmp { kind, code };
        match (u8::try_from(kind), u8::try_from(code)) {
            (Err(_), Err(_)) if kind == -1 && code == -1 => Ok(Self::All),
            (Ok(kind), Err(_)) if code == -1 => Ok(Self::Type(kind)),
            (Ok(kind), Ok(code)) => Ok(Self::TypeCode(kind, code)),
            (Ok(_) | Err(_), _) => Err(bad),
        }
    }

    /// EC2's pair of type and code.
    pub fn to_ec2(self) -> (i32, i32) {
        match self {
            Self::All => (-1, -1),
            Self::Type(kind) => (kind.into(), -1),
            Self::TypeCode(kind, code) => (kind.into(), code.into()),
        }
    }
}

impl fmt::Display for IcmpTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Type(kind) => write!(f, "type {kind}"),
            Self::TypeCode(kind, code) => write!(f, "type {kind} code {code}"),
        }
    }
}

/// Protocol and ports of one rule, so that no impossible pair can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// Every protocol and port.
    All,
    /// TCP to these ports.
    Tcp(PortRange),
    /// UDP to these ports.
    Udp(PortRange),
    /// ICMP for IPv4.
    Icmp(IcmpTypes),
    /// ICMP for IPv6.
    Icmpv6(IcmpTypes),
    /// Another protocol, all of it: EC2 ignores ports here.
    Other(ProtocolNumber),
}

impl Traffic {
    /// The protocol alone.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::All => Protocol::All,
            Self::Tcp(_) => Protocol::Tcp,
            Self::Udp(_) => Protocol::Udp,
            Self::Icmp(_) => Protocol::Icmp,
            Self::Icmpv6(_) => Protocol::Icmpv6,
            Self::Other(number) => Protocol::Other(number),
        }
    }

    /// From the fields of an EC2 rule. Ports of `-1` and of numeric protocols are not part of the rule and are dropped;
    /// `icmpv6` without them means every type (EC2 stores both forms as one).
    pub fn from_ec2(protocol: &str, from: Option<i32>, to: Option<i32>) -> Result<Self, BadTraffic> {
        match Protocol::from_ec2(protocol)? {
            Protocol::All => Ok(Self::All),
            Protocol::Tcp => ports_from_ec2(from, to).map(Self::Tcp),
            Protocol::Udp => ports_from_ec2(from, to).map(Self::Udp),
            Protocol::Icmp => IcmpTypes::new(from.unwrap_or(-1), to.unwrap_or(-1)).map(Self::Icmp),
            Protocol::Icmpv6 => IcmpTypes::new(from.unwrap_or(-1), to.unwrap_or(-1)).map(Self::Icmpv6),
            Protocol::Other(number) => Ok(Self::Other(number)),
        }
    }

    /// The fields EC2 takes: protocol, from and to. Ports are left out where EC2 would ignore or refuse them.
    pub fn to_ec2(self) -> (String, Option<i32>, Option<i32>) {
        let protocol = self.protocol().to_ec2();
        match self {
            Self::All | Self::Other(_) => (protocol, None, None),
            Self::Tcp(ports) | Self::Udp(ports) => (protocol, Some(ports.from.into()), Some(ports.to.into())),
            Self::Icmp(types) | Self::Icmpv6(types) => {
                let (kind, code) = types.to_ec2();
                (protocol, Some(kind), Some(code))
            }
        }
    }
}

fn ports_from_ec2(from: Option<i32>, to: Option<i32>) -> Result<PortRange, BadTraffic> {
    let (from, to) = from.zip(to).ok_or(BadTraffic::NoPorts)?;
    match (u16::try_from(from), u16::try_from(to)) {
        (Ok(low), Ok(high)) => PortRange::new(low, high),
        (Ok(_) | Err(_), _) => Err(BadTraffic::Ports { from, to }),
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol();
        match self {
            Self::All | Self::Other(_) | Self::Icmp(IcmpTypes::All) | Self::Icmpv6(IcmpTypes::All) => write!(f, "{protocol}"),
            Self::Tcp(ports) | Self::Udp(ports) => write!(f, "{protocol} {ports}"),
            Self::Icmp(types) | Self::Icmpv6(types) => write!(f, "{protocol} {types}"),
        }
    }
}

impl FromStr for Traffic {
    type Err = BadTraffic;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, BadTraffic> {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |word: &str| word.parse::<u8>().map_err(|_| BadTraffic::Text(text.to_owned()));
        match words.as_slice() {
            ["all"] => Ok(Self::All),
            ["tcp", ports] => Ok(Self::Tcp(ports.parse()?)),
            ["udp", ports] => Ok(Self::Udp(ports.parse()?)),
            ["icmp"] => Ok(Self::Icmp(IcmpTypes::All)),
            ["icmpv6"] => Ok(Self::Icmpv6(IcmpTypes::All)),
            ["icmp", "type", kind] => Ok(Self::Icmp(IcmpTypes::Type(number(kind)?))),
            ["icmpv6", "type", kind] => Ok(Self::Icmpv6(IcmpTypes::Type(number(kind)?))),
            ["icmp", "type", kind, "code", code] => Ok(Self::Icmp(IcmpTypes::TypeCode(number(kind)?, number(code)?))),
            ["icmpv6", "type", kind, "code", code] => Ok(Self::Icmpv6(IcmpTypes::TypeCode(number(kind)?, number(code)?))),
            ["protocol", digits] => match Protocol::from_number(number(digits)?) {
                Protocol::Other(number) => Ok(Self::Other(number)),
                Protocol::All | Protocol::Tcp | Protocol::Udp | Protocol::Icmp | Protocol::Icmpv6 => {
                    Err(BadTraffic::Text(text.to_owned()))
                }
            },
            _ => Err(BadTraffic::Text(text.to_owned())),
        }
    }
}

/// Protocol or ports that no EC2 rule can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTraffic {
    /// Neither a name nor a number EC2 knows.
    #[error("'{0}' is not a protocol")]
    Protocol(String),
    /// Not a port or a range.
    #[error("'{0}' is not a port (443) or a range from lower to higher (8000-8100) within 0 to 65535, without leading zeros")]
    Port(String),
    /// A range out of bounds or upside down.
    #[error("ports {from} to {to} are not a range from lower to higher within 0 to 65535")]
    Ports {
        /// First port.
        from: i32,
        /// Last port.
        to: i32,
    },
    /// TCP and UDP need both ports.
    #[error("tcp and udp need ports")]
    NoPorts,
    /// No such ICMP type and code.
    #[error("icmp type {kind} with code {code} is no rule of EC2: both are -1 to 255, and code is -1 where type is")]
    Icmp {
        /// ICMP type.
        kind: i32,
        /// ICMP code.
        code: i32,
    },
    /// Not the text form of traffic.
    #[error("'{0}' is not protocol and ports in canonical form")]
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_by_number_and_name_are_one() {
        for (text, canonical) in [
            ("6", "tcp"),
            ("TCP", "tcp"),
            ("17", "udp"),
            ("1", "icmp"),
            ("58", "icmpv6"),
            ("-1", "-1"),
            ("50", "50"),
            ("ICMPv6", "icmpv6"),
        ] {
            assert_eq!(Protocol::from_ec2(text).unwrap().to_ec2(), canonical, "{text}");
        }
        for bad in ["", "256", "-2", "gre", "6 "] {
            assert!(Protocol::from_ec2(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_of_all_and_numeric_protocols_are_no_part_of_the_rule() {
        assert_eq!(Traffic::from_ec2("-1", Some(0), Some(0)).unwrap(), Traffic::All);
        assert_eq!(Traffic::from_ec2("-1", None, None).unwrap(), Traffic::from_ec2("-1", Some(-1), Some(-1)).unwrap());
        assert_eq!(Traffic::from_ec2("47", Some(1), Some(2)).unwrap(), Traffic::from_ec2("47", None, None).unwrap());
        assert_eq!(Traffic::from_ec2("icmpv6", None, None).unwrap(), Traffic::from_ec2("58", Some(-1), Some(-1)).unwrap());
        assert_ne!(Traffic::from_ec2("tcp", Some(0), Some(65535)).unwrap(), Traffic::All);
    }

    #[test]
    fn what_ec2_cannot_store_is_refused() {
        for (protocol, from, to) in [
            ("tcp", None, None),
            ("tcp", Some(2), Some(1)),
            ("udp", Some(0), Some(65536)),
            ("tcp", Some(-1), Some(-1)),
            ("icmp", Some(-1), Some(0)),
            ("icmp", Some(256), Some(-1)),
        ] {
            assert!(Traffic::from_ec2(protocol, from, to).is_err(), "{protocol} {from:?} {to:?}");
        }
    }

    #[test]
    fn text_forms_read_back() {
        for text in ["all", "tcp 443", "udp 0-65535", "icmp", "icmp type 8", "icmpv6 type 3 code 4", "protocol 50"] {
            assert_eq!(text.parse::<Traffic>().unwrap().to_string(), text);
        }
        for bad in ["", "tcp", "tcp 08", "tcp 5-4", "protocol 6", "icmp type", "tcp  443", "all 1", "tcp +5"] {
            assert!(bad.parse::<Traffic>().is_err(), "{bad}");
        }
    }
}
