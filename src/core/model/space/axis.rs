//! Protocol and port as one axis: protocol × 65,536 + port, where an ICMP message counts as type × 256 + code and every
//! other protocol takes its whole stretch. Each [`Traffic`] is one span of it, so spaces need two dimensions, not three.

use std::fmt;

use super::super::traffic::{IcmpTypes, PortRange, Protocol, Traffic};
use super::set::Span;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Points of one protocol.
const PROTOCOL: u32 = 1 << 16;
/// Points of one ICMP type.
const ICMP_TYPE: u32 = 1 << 8;

/// Where a rule's traffic lies.
pub(super) fn span(traffic: Traffic) -> Span<u32> {
    match traffic {
        Traffic::All => between(0, u8::MAX, 0, u16::MAX),
        Traffic::Tcp(ports) => between(TCP, TCP, ports.from(), ports.to()),
        Traffic::Udp(ports) => between(UDP, UDP, ports.from(), ports.to()),
        Traffic::Icmp(types) => icmp(ICMP, types),
        Traffic::Icmpv6(types) => icmp(ICMPV6, types),
        Traffic::Other(number) => between(number.get(), number.get(), 0, u16::MAX),
    }
}

fn icmp(protocol: u8, types: IcmpTypes) -> Span<u32> {
    let (first, last) = match types {
        IcmpTypes::All => ([0, 0], [u8::MAX, u8::MAX]),
        IcmpTypes::Type(kind) => ([kind, 0], [kind, u8::MAX]),
        IcmpTypes::TypeCode(kind, code) => ([kind, code], [kind, code]),
    };
    between(protocol, protocol, u16::from_be_bytes(first), u16::from_be_bytes(last))
}

fn between(first_protocol: u8, last_protocol: u8, from: u16, to: u16) -> Span<u32> {
    let point = |protocol: u8, port: u16| u32::from(protocol) * PROTOCOL + u32::from(port);
    Span { start: point(first_protocol, from), end: Some(point(last_protocol, to) + 1) }
}

/// A stretch of traffic that reads as one thing: ports of one protocol, ICMP types or codes, or whole protocols.
///
/// Prints as `tcp/22`, `udp/8000-8100`, `icmp type 8`, `icmp types 9-255`, `protocol 50`, `protocols 7-255 with udp and
/// icmpv6`, `all protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficRange {
    first: u32,
    last: u32,
}

impl TrafficRange {
    /// A stretch of the axis in the fewest parts that each read as one thing.
    pub(super) fn parts(start: u32, end: u32) -> impl Iterator<Item = Self> {
        whole_units(start, end, PROTOCOL)
            .flat_map(|(start, end)| {
                let icmp = matches!(protocol_of(start), Protocol::Icmp | Protocol::Icmpv6);
                // Whole protocols are whole types as well, so they stay in one part.
                whole_units(start, end, if icmp { ICMP_TYPE } else { PROTOCOL })
            })
            .map(|(start, end)| Self { first: start, last: end - 1 })
    }

    /// Whether all of a traffic is in this one stretch.
    #[cfg(test)]
    pub(super) fn holds(self, traffic: Traffic) -> bool {
        let Span { start, end } = span(traffic);
        self.first <= start && end.is_some_and(|end| end <= self.last + 1)
    }

    fn is_whole(self, unit: u32) -> bool {
        self.first.is_multiple_of(unit) && (self.last + 1).is_multiple_of(unit)
    }
}

/// Cuts a stretch into the part before the first whole unit, the whole units together, and the part after them.
fn whole_units(start: u32, end: u32, unit: u32) -> impl Iterator<Item = (u32, u32)> {
    let first = start.next_multiple_of(unit).min(end);
    let last = (end - end % unit).max(first);
    [(start, first), (first, last), (last, end)].into_iter().filter(|(start, end)| start < end)
}

fn protocol_of(point: u32) -> Protocol {
    let [_, protocol, _, _] = point.to_be_bytes();
    Protocol::from_number(protocol)
}

impl fmt::Display for TrafficRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([_, number, high, low], [_, last_number, last_high, last_low]) = (self.first.to_be_bytes(), self.last.to_be_bytes());
        if (number, last_number) == (0, u8::MAX) {
            return f.write_str("all protocols");
        }
        if number != last_number {
            write!(f, "protocols {number}-{last_number}")?;
            // A bare range of numbers would hide the protocols people look for.
            let named = [ICMP, TCP, UDP, ICMPV6].into_iter().filter(|named| (number..=last_number).contains(named));
            let named: Vec<String> = named.map(|number| Protocol::from_number(number).to_string()).collect();
            return if named.is_empty() { Ok(()) } else { write!(f, " with {}", listed(&named)) };
        }
        let protocol = Protocol::from_number(number);
        match protocol {
            Protocol::Tcp | Protocol::Udp => {
                let (from, to) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([last_high, last_low]));
                let ports = PortRange::new(from, to).unwrap_or(PortRange::EVERY);
                write!(f, "{protocol}/{ports}")
            }
            Protocol::Icmp | Protocol::Icmpv6 if !self.is_whole(PROTOCOL) => {
                let several = |word: &str, first: u8, last: u8| {
                    if first == last { format!("{word} {first}") } else { format!("{word}s {first}-{last}") }
                };
                write!(f, "{protocol} {}", several("type", high, last_high))?;
                if self.is_whole(ICMP_TYPE) { Ok(()) } else { write!(f, " {}", several("code", low, last_low)) }
            }
            Protocol::Icmp | Protocol::Icmpv6 | Protocol::All | Protocol::Other(_) => write!(f, "{protocol}"),
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
