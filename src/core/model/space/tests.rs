//! Properties are checked point by point over a small world whose points stand for everything rules of it can tell
//! apart; each address point carries how many addresses it stands for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::rule::Direction;
use super::super::traffic::{IcmpTypes, PortRange, Protocol, Traffic};
use super::*;

const EDGE_PORTS: [u16; 3] = [100, 65534, 65535];
const ICMP_TYPES: [u8; 5] = [0, 1, 8, 100, 255];
const ICMP_CODES: [u8; 4] = [0, 1, 100, 255];
const OPAQUE: [&str; 3] = ["sg-0a1b2c3d", "444455556666/sg-0a1b2c3d", "pl-0a1b2c3d"];

/// One traffic for each kind of traffic that the rules below can tell apart; 100 is "any other".
fn traffic_points() -> Vec<Traffic> {
    let mut points: Vec<Traffic> = [0, 1, 47, 50, 255].into_iter().filter_map(other).collect();
    for port in (0..=8).chain(EDGE_PORTS) {
        points.extend([Traffic::Tcp(PortRange::single(port)), Traffic::Udp(PortRange::single(port))]);
    }
    for kind in ICMP_TYPES {
        let types = ICMP_CODES.map(|code| IcmpTypes::TypeCode(kind, code));
        points.extend(types.into_iter().flat_map(|types| [Traffic::Icmp(types), Traffic::Icmpv6(types)]));
    }
    points
}

fn other(number: u8) -> Option<Traffic> {
    if let Protocol::Other(number) = Protocol::from_number(number) { Some(Traffic::Other(number)) } else { None }
}

/// A peer for each address the rules below can tell apart, and how many addresses it stands for; none for opaque ones.
fn peer_points() -> Vec<(Peer, AddressCount)> {
    let mut points = vec![
        (peer("9.0.0.0/32"), AddressCount::from((1 << 31) - 16)),
        (peer("200.0.0.0/32"), AddressCount::from(1 << 31)),
        (peer("1::/128"), AddressCount::from((1 << 127) - 16)),
        (peer("8000::/128"), AddressCount::from((1 << 127) - 1)),
        (peer("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), AddressCount::from(1)),
    ];
    for low in 0..16 {
        points.extend([
            (peer(&format!("10.0.0.{low}/32")), AddressCount::from(1)),
            (Peer::ipv6(format!("::{low:x}/128").parse().unwrap()), AddressCount::from(1)),
        ]);
    }
    points.extend(OPAQUE.map(|text| (peer(text), AddressCount::ZERO)));
    points
}

fn peer(text: &str) -> Peer {
    text.parse().unwrap()
}

fn atom(text: &str) -> Atom {
    format!("ingress {text}").parse().unwrap()
}

fn space(texts: &[&str]) -> Space {
    Space::of_all(&texts.iter().map(|text| atom(text)).collect::<Vec<_>>())
}

fn exposure(space: &Space) -> Vec<String> {
    space.exposure().iter().map(Exposure::to_string).collect()
}

fn count(text: &str) -> AddressCount {
    AddressCount::from(text.replace(',', "").parse::<u128>().unwrap())
}

type Point = (Traffic, Peer);

/// Whether a rule lets a point through, decided by the rule's own terms and not by any axis.
fn lets_through(atom: &Atom, (traffic, peer): &Point) -> bool {
    let traffic_matches = match (atom.traffic, *traffic) {
        (Traffic::All, _) => true,
        (Traffic::Tcp(ports), Traffic::Tcp(port)) | (Traffic::Udp(ports), Traffic::Udp(port)) => {
            (ports.from()..=ports.to()).contains(&port.from())
        }
        (Traffic::Icmp(types), Traffic::Icmp(point)) | (Traffic::Icmpv6(types), Traffic::Icmpv6(point)) => match (types, point) {
            (IcmpTypes::All, _) => true,
            (IcmpTypes::Type(kind), IcmpTypes::TypeCode(point_kind, _)) => kind == point_kind,
            (types, point) => types == point,
        },
        (rule, point) => rule == point,
    };
    traffic_matches
        && match (&atom.peer, peer) {
            (Peer::Ipv4(net), Peer::Ipv4(point)) => net.contains(point),
            (Peer::Ipv6(net), Peer::Ipv6(point)) => net.contains(point),
            (rule, point) => rule == point,
        }
}

/// Every point of the small world, how many addresses it stands for, and the space that is this point alone.
static WORLD: LazyLock<Vec<(Point, AddressCount, Space)>> = LazyLock::new(|| {
    let peers = peer_points();
    let points =
        traffic_points().into_iter().flat_map(|traffic| peers.iter().map(move |(peer, weight)| ((traffic, peer.clone()), *weight)));
    let space = |(traffic, peer): &Point| Space::of(&Atom { direction: Direction::Ingress, traffic: *traffic, peer: peer.clone() });
    points.map(|(point, weight)| (point.clone(), weight, space(&point))).collect()
});

fn points_of(atoms: &[Atom]) -> BTreeSet<Point> {
    let inside = WORLD.iter().filter(|(point, _, _)| atoms.iter().any(|atom| lets_through(atom, point)));
    inside.map(|(point, _, _)| point.clone()).collect()
}

/// The points of a space, and that its exposure says the same of each traffic as its points do.
fn points_in(space: &Space) -> BTreeSet<Point> {
    let mut inside = BTreeSet::new();
    let exposures = space.exposure();
    for of_one_traffic in WORLD.chunk_by(|((one, _), _, _), ((next, _), _, _)| one == next) {
        let (mut ipv4, mut ipv6, mut opaque) = (AddressCount::ZERO, AddressCount::ZERO, Vec::new());
        for ((traffic, peer), weight, _) in of_one_traffic.iter().filter(|(_, _, point)| space.covers(point)) {
            match peer {
                Peer::Ipv4(_) => ipv4 = ipv4 + *weight,
                Peer::Ipv6(_) => ipv6 = ipv6 + *weight,
                Peer::PrefixList(_) | Peer::Group { id: _, account: _ } => opaque.push(peer.clone()),
            }
            inside.insert((*traffic, peer.clone()));
        }
        let traffic = of_one_traffic[0].0.0;
        opaque.sort();
        let said: Vec<_> = exposures.iter().filter(|exposure| exposure.traffic.holds(traffic)).collect();
        let nothing = ipv4.is_zero() && ipv6.is_zero() && opaque.is_empty();
        assert_eq!(said.len(), usize::from(!nothing), "{traffic} is in one entry or in none: {exposures:?}");
        if let [said] = said.as_slice() {
            assert_eq!((said.ipv4, said.ipv6, &said.opaque), (ipv4, ipv6, &opaque), "{traffic}");
        }
    }
    assert!(exposures.is_sorted_by(|one, next| one.traffic < next.traffic));
    inside
}

fn weight_of(points: &BTreeSet<Point>) -> AddressCount {
    let reached: BTreeSet<&Peer> = points.iter().map(|(_, peer)| peer).collect();
    peer_points().into_iter().filter(|(peer, _)| reached.contains(peer)).map(|(_, weight)| weight).sum()
}

fn any_traffic() -> impl Strategy<Value = Traffic> {
    let port = prop::sample::select((0..=8).chain([65534, 65535]).collect::<Vec<u16>>());
    let ports = (port.clone(), port).prop_map(|(one, two)| PortRange::new(one.min(two), one.max(two)).unwrap());
    let kind = prop::sample::select(vec![0_u8, 1, 8, 255]);
    let types = prop_oneof![
        Just(IcmpTypes::All),
        kind.clone().prop_map(IcmpTypes::Type),
        (kind, prop::sample::select(vec![0_u8, 1, 255])).prop_map(|(kind, code)| IcmpTypes::TypeCode(kind, code)),
    ];
    prop_oneof![
        2 => Just(Traffic::All),
        5 => ports.clone().prop_map(Traffic::Tcp),
        3 => ports.prop_map(Traffic::Udp),
        3 => types.clone().prop_map(Traffic::Icmp),
        2 => types.prop_map(Traffic::Icmpv6),
        2 => prop::sample::select(vec![0_u8, 50, 255]).prop_map(|number| other(number).unwrap()),
    ]
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let whole =
        ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "::/1", "8000::/1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"];
    prop_oneof![
        5 => (0_u8..16, 28_u8..=32).prop_map(|(low, length)| Peer::ipv4(format!("10.0.0.{low}/{length}").parse().unwrap())),
        4 => (0_u8..16, 124_u8..=128).prop_map(|(low, length)| Peer::ipv6(format!("::{low:x}/{length}").parse().unwrap())),
        3 => prop::sample::select(whole.to_vec()).prop_map(peer),
        2 => prop::sample::select(OPAQUE.to_vec()).prop_map(peer),
    ]
}

fn any_atoms() -> impl Strategy<Value = Vec<Atom>> {
    let atom = (any_traffic(), any_peer()).prop_map(|(traffic, peer)| Atom { direction: Direction::Ingress, traffic, peer });
    prop::collection::vec(atom, 0..8)
}

proptest! {
    #[test]
    fn a_space_is_its_points(atoms in any_atoms()) {
        let (space, points) = (Space::of_all(&atoms), points_of(&atoms));
        prop_assert_eq!(points_in(&space), points.clone());
        prop_assert_eq!(space.is_empty(), points.is_empty());
        prop_assert_eq!(space.addresses(), weight_of(&points));
    }

    #[test]
    fn operations_are_those_of_the_points(one in any_atoms(), two in any_atoms()) {
        let (left, right) = (Space::of_all(&one), Space::of_all(&two));
        let (left_points, right_points) = (points_of(&one), points_of(&two));
        prop_assert_eq!(points_in(&left.union(&right)), &left_points | &right_points);
        prop_assert_eq!(points_in(&left.subtract(&right)), &left_points - &right_points);
        prop_assert_eq!(points_in(&left.intersect(&right)), &left_points & &right_points);
        prop_assert_eq!(left.subtract(&right).addresses(), weight_of(&(&left_points - &right_points)));
        prop_assert_eq!(left.covers(&right), left_points.is_superset(&right_points));
        let opaque = |peer: &Peer| !matches!(peer, Peer::Ipv4(_) | Peer::Ipv6(_));
        let may_meet = |(traffic, peer): &Point| right_points.iter().any(|(other, other_peer)| traffic == other && (peer == other_peer || opaque(peer) || opaque(other_peer)));
        prop_assert_eq!(left.overlaps(&right), left_points.iter().any(may_meet));
        prop_assert_eq!(right.overlaps(&left), left.overlaps(&right));
    }

    #[test]
    fn what_gets_through_for_anybody_of_a_family_does_for_everybody(atoms in any_atoms()) {
        let points = points_of(&atoms);
        let any = |traffic: &Traffic, ipv4: bool| points.iter().any(|(of, peer)| of == traffic && match peer {
            Peer::Ipv4(_) => ipv4,
            Peer::Ipv6(_) => !ipv4,
            Peer::PrefixList(_) | Peer::Group { id: _, account: _ } => false,
        });
        let everybody = points_in(&Space::of_all(&atoms).to_everybody());
        for traffic in traffic_points() {
            for (peer, _) in peer_points() {
                let expected = match peer {
                    Peer::Ipv4(_) => any(&traffic, true),
                    Peer::Ipv6(_) => any(&traffic, false),
                    Peer::PrefixList(_) | Peer::Group { id: _, account: _ } => false,
                };
                prop_assert_eq!(everybody.contains(&(traffic, peer.clone())), expected, "{} {}", traffic, peer);
            }
        }
    }

    #[test]
    fn equal_sets_are_equal_values(one in any_atoms(), two in any_atoms()) {
        let (left, right) = (Space::of_all(&one), Space::of_all(&two));
        let together = Space::of_all(one.iter().chain(&two));
        prop_assert_eq!(left == right, points_of(&one) == points_of(&two));
        prop_assert_eq!(&left.union(&right), &together);
        prop_assert_eq!(&left.subtract(&right).union(&right), &together);
        prop_assert_eq!(left.subtract(&left.subtract(&right)), left.intersect(&right));
        prop_assert_eq!(left.subtract(&left), Space::empty());
    }
}

#[test]
fn the_internet_without_a_private_block_is_counted() {
    let rest = space(&["all from 0.0.0.0/0"]).subtract(&space(&["all from 10.0.0.0/8"]));
    assert_eq!(rest.addresses(), count("4,278,190,080"));
    assert_eq!(exposure(&rest), ["all protocols to 4,278,190,080 addresses"]);
}

#[test]
fn all_of_ipv6_and_of_both_families_is_counted() {
    let six = space(&["all from ::/0"]);
    assert_eq!(six.addresses().to_string(), "2^128");
    assert_eq!(six.addresses(), count(&u128::MAX.to_string()) + AddressCount::from(1));
    let both = six.union(&space(&["tcp 443 from 0.0.0.0/0"]));
    assert_eq!(both.addresses(), six.addresses() + count("4,294,967,296"));
    assert_eq!(six.subtract(&space(&["all from ::/1"])), space(&["all from 8000::/1"]));
    assert_eq!(space(&["all from 8000::/1"]).addresses().to_string(), "2^127");
}

#[test]
fn adjacent_halves_are_the_internet() {
    let (halves, internet) = (space(&["tcp 22 from 0.0.0.0/1", "tcp 22 from 128.0.0.0/1"]), space(&["tcp 22 from 0.0.0.0/0"]));
    assert_eq!(halves, internet);
    assert!(halves.covers(&internet) && !space(&["tcp 22 from 0.0.0.0/1"]).covers(&internet));
    assert_eq!(space(&["all from ::/1", "all from 8000::/1"]), space(&["all from ::/0"]));
    assert_eq!(space(&["tcp 0-99 from 10.0.0.0/8", "tcp 100-65535 from 10.0.0.0/8"]), space(&["tcp 0-65535 from 10.0.0.0/8"]));
}

#[test]
fn everything_but_one_port_reads_as_what_is_left() {
    let rest = space(&["all from 10.0.0.0/24"]).subtract(&space(&["tcp 22 from 0.0.0.0/0"]));
    assert_eq!(
        exposure(&rest),
        [
            "protocols 0-5 with icmp to 256 addresses",
            "tcp/0-21 to 256 addresses",
            "tcp/23-65535 to 256 addresses",
            "protocols 7-255 with udp and icmpv6 to 256 addresses",
        ]
    );
}

#[test]
fn every_protocol_holds_icmp_and_the_numbered_ones_but_tcp_does_not_hold_udp() {
    let all = space(&["all from 10.0.0.0/8"]);
    for inside in [
        "icmp from 10.1.0.0/16",
        "icmp type 8 code 0 from 10.0.0.1/32",
        "protocol 50 from 10.0.0.0/8",
        "udp 0-65535 from 10.0.0.0/8",
    ] {
        assert!(all.covers(&space(&[inside])) && all.overlaps(&space(&[inside])), "{inside}");
    }
    assert!(!space(&["tcp 0-65535 from 10.0.0.0/8"]).overlaps(&space(&["udp 53 from 10.0.0.0/8"])));
    assert!(!space(&["all from 0.0.0.0/0"]).overlaps(&space(&["all from ::/0"])), "the families lie apart");
}

#[test]
fn icmp_types_are_ranges_of_codes() {
    let icmp = space(&["icmp from 10.0.0.0/32"]);
    assert!(
        icmp.covers(&space(&["icmp type 8 from 10.0.0.0/32"]))
            && space(&["icmp type 8 from 10.0.0.0/32"]).covers(&space(&["icmp type 8 code 255 from 10.0.0.0/32"]))
    );
    assert!(
        !space(&["icmp type 8 from 10.0.0.0/32"])
            .overlaps(&space(&["icmp type 9 from 10.0.0.0/32", "icmpv6 type 8 from 10.0.0.0/32"]))
    );
    assert_eq!(
        exposure(&icmp.subtract(&space(&["icmp type 8 code 3 from 10.0.0.0/32"]))),
        [
            "icmp types 0-7 to 1 address",
            "icmp type 8 codes 0-2 to 1 address",
            "icmp type 8 codes 4-255 to 1 address",
            "icmp types 9-255 to 1 address",
        ]
    );
    assert_eq!(exposure(&space(&["icmpv6 type 3 code 4 from ::/64"])), ["icmpv6 type 3 code 4 to 2^64 IPv6 addresses"]);
}

#[test]
fn opaque_peers_are_only_themselves_but_may_overlap_anyone() {
    let group = space(&["tcp 22 from sg-0a1b2c3d"]);
    for other in
        ["tcp 22-23 from pl-0a1b2c3d", "tcp 0-65535 from ::/0", "all from 10.0.0.0/32", "tcp 22 from 444455556666/sg-0a1b2c3d"]
    {
        let other = space(&[other]);
        assert!(group.overlaps(&other) && other.overlaps(&group) && !other.covers(&group) && group.intersect(&other).is_empty());
        assert_eq!(group.subtract(&other), group);
    }
    assert!(!group.overlaps(&space(&["tcp 23 from sg-0a1b2c3d", "udp 22 from 0.0.0.0/0"])));
    assert!(space(&["tcp 0-100 from sg-0a1b2c3d"]).covers(&group) && group.addresses().is_zero() && !group.is_empty());
    assert!(!Space::empty().overlaps(&group) && group.covers(&Space::empty()));
}

#[test]
fn exposure_says_who_is_reached_by_what() {
    let opened = space(&[
        "tcp 22 from 0.0.0.0/0",
        "tcp 22-23 from ::/64",
        "tcp 23-24 from pl-0a1b2c3d",
        "tcp 23 from sg-0a1b2c3d",
        "all from 10.0.0.0/31",
    ]);
    let beyond = opened.subtract(&space(&["all from 10.0.0.0/8"]));
    assert_eq!(exposure(&space(&["tcp 22 from 0.0.0.0/0"])), ["tcp/22 to 4,294,967,296 addresses"]);
    assert_eq!(
        exposure(&beyond),
        [
            "tcp/22 to 4,278,190,080 IPv4 addresses and 2^64 IPv6 addresses",
            "tcp/23 to 2^64 IPv6 addresses, pl-0a1b2c3d and sg-0a1b2c3d",
            "tcp/24 to pl-0a1b2c3d",
        ]
    );
    assert_eq!(
        exposure(&space(&["protocol 50 from 10.0.0.0/31", "icmp from 10.0.0.0/31"])),
        ["icmp to 2 addresses", "protocol 50 to 2 addresses"]
    );
    assert_eq!(exposure(&Space::empty()), [""; 0]);
}
