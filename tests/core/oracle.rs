//! Which traffic gets through, counted out: every address of a small world against every kind of packet, one by one.
//!
//! Invariant: nothing of `core::model::Space` is used; a rule matches a packet by bits of its address and by its port.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sgwarden::core::model::{Atom, Direction, Peer, Traffic};

/// IPv4 hosts of the world: 10.0.0.0 to 10.0.0.15, and one far away.
const V4_HOSTS: u32 = 16;
/// IPv6 hosts: `2001:db8::0` to `2001:db8::3`, and one far away.
const V6_HOSTS: u128 = 4;

/// A packet as a rule sees it: IANA protocol and its port, or ICMP type and code.
#[derive(Clone, Copy, Debug)]
struct Packet {
    protocol: u8,
    port: u16,
    kind: u8,
    code: u8,
}

const fn with_port(protocol: u8, port: u16) -> Packet {
    Packet { protocol, port, kind: 0, code: 0 }
}

const fn icmp(protocol: u8, kind: u8, code: u8) -> Packet {
    Packet { protocol, port: 0, kind, code }
}

/// The kinds of packets there are.
const PACKETS: [Packet; 15] = [
    with_port(6, 79),
    with_port(6, 80),
    with_port(6, 81),
    with_port(6, 82),
    with_port(6, 443),
    with_port(6, 65535),
    with_port(17, 53),
    with_port(17, 80),
    icmp(1, 8, 0),
    icmp(1, 8, 1),
    icmp(1, 3, 4),
    icmp(58, 128, 0),
    icmp(58, 3, 4),
    with_port(50, 0),
    with_port(47, 0),
];

/// What gets through: for each direction and packet, the hosts as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach([[u32; PACKETS.len()]; 2]);

impl Reach {
    fn combine(&self, other: &Self, with: impl Fn(u32, u32) -> u32) -> Self {
        let mut reach = self.clone();
        for (row, others) in reach.0.iter_mut().zip(other.0) {
            for (hosts, more) in row.iter_mut().zip(others) {
                *hosts = with(*hosts, more);
            }
        }
        reach
    }

    /// What is in both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// What is in either.
    pub(crate) fn or(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// What is in this one only.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// Whether nothing gets through.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The hosts, and who is a member of which group or prefix list. Members may lie in any range.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    hosts: Vec<IpAddr>,
    members: BTreeMap<Peer, u32>,
}

impl Oracle {
    /// A world in which the bits of a number say which hosts belong to a peer.
    pub(crate) fn new(members: BTreeMap<Peer, u32>) -> Self {
        let v4 = (0..V4_HOSTS).map(|host| Ipv4Addr::from_bits(0x0A00_0000 + host)).chain([Ipv4Addr::new(203, 0, 113, 9)]);
        let v6 = (0..V6_HOSTS).map(|host| Ipv6Addr::from_bits((0x2001_0DB8 << 96) + host)).chain([Ipv6Addr::LOCALHOST]);
        Self { hosts: v4.map(IpAddr::V4).chain(v6.map(IpAddr::V6)).collect(), members }
    }

    /// Everything that any of the rules lets through.
    pub(crate) fn reach<'a>(&self, atoms: impl IntoIterator<Item = &'a Atom>) -> Reach {
        let mut reach = Reach::default();
        for atom in atoms {
            let peers = (0..self.hosts.len()).filter(|host| self.is_peer(&atom.peer, *host));
            let hosts = peers.fold(0, |bits, host| bits | 1 << host);
            for (packet, what) in PACKETS.iter().enumerate() {
                if passes(atom.traffic, *what) {
                    reach.0[side(atom.direction)][packet] |= hosts;
                }
            }
        }
        reach
    }

    /// A reach in words, the first of it.
    pub(crate) fn say(&self, reach: &Reach) -> String {
        let mut words = Vec::new();
        for direction in Direction::BOTH {
            for (packet, hosts) in reach.0[side(direction)].iter().enumerate() {
                let hosts = (0..self.hosts.len()).filter(|host| hosts >> host & 1 == 1).map(|host| self.hosts[host]);
                words.extend(hosts.map(|host| format!("{direction} {host} {:?}", PACKETS[packet])));
            }
        }
        words.truncate(5);
        words.join("\n")
    }

    fn is_peer(&self, peer: &Peer, host: usize) -> bool {
        match (peer, self.hosts[host]) {
            (Peer::Ipv4(net), IpAddr::V4(addr)) => {
                net.prefix_len() == 0 || (net.addr().to_bits() ^ addr.to_bits()) >> (32 - net.prefix_len()) == 0
            }
            (Peer::Ipv6(net), IpAddr::V6(addr)) => {
                net.prefix_len() == 0 || (net.addr().to_bits() ^ addr.to_bits()) >> (128 - net.prefix_len()) == 0
            }
            (Peer::Ipv4(_), IpAddr::V6(_)) | (Peer::Ipv6(_), IpAddr::V4(_)) => false,
            (Peer::PrefixList(_) | Peer::Group { id: _, account: _ }, _) => {
                self.members.get(peer).is_some_and(|members| members >> host & 1 == 1)
            }
        }
    }
}

fn side(direction: Direction) -> usize {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

fn passes(traffic: Traffic, packet: Packet) -> bool {
    let (protocol, from, to) = traffic.to_ec2();
    let number: i32 = match protocol.as_str() {
        "-1" => return true,
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "icmpv6" => 58,
        digits => digits.parse().unwrap(),
    };
    if number != i32::from(packet.protocol) {
        return false;
    }
    let (from, to) = (from.unwrap_or(-1), to.unwrap_or(-1));
    match number {
        6 | 17 => (from..=to).contains(&i32::from(packet.port)),
        1 | 58 => [(from, packet.kind), (to, packet.code)].iter().all(|(wanted, has)| *wanted == -1 || *wanted == i32::from(*has)),
        _ => true,
    }
}

#[test]
fn the_oracle_lets_through_what_ec2_documents() {
    let group: Peer = "sg-00000000000000001".parse().unwrap();
    let oracle = Oracle::new(BTreeMap::from([(group, 0b110)]));
    let count = |text: &str| -> u32 {
        let reach = oracle.reach([&text.parse().unwrap()]);
        reach.0.iter().flatten().map(|hosts| hosts.count_ones()).sum()
    };
    assert_eq!(count("ingress all from 0.0.0.0/0"), 17 * u32::try_from(PACKETS.len()).unwrap());
    assert_eq!(count("ingress tcp 80-82 from 10.0.0.0/30"), 4 * 3);
    assert_eq!(count("ingress udp 0-65535 from 10.0.0.15/32"), 2);
    assert_eq!(count("egress icmp type 8 to 10.0.0.0/28"), 16 * 2);
    assert_eq!(count("egress icmpv6 type 3 code 4 to 2001:db8::/127"), 2);
    assert_eq!(count("ingress protocol 50 from ::/0"), 5);
    assert_eq!(count("ingress tcp 443 from sg-00000000000000001"), 2);
    assert_eq!(count("ingress tcp 443 from pl-00000001"), 0);
}
