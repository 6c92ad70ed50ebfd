//! Address-space arithmetic: what rules let through, as a set of (peer address, protocol, port), and how much of it.
//!
//! Entry points: [`Space`]; [`AddressCount`] and [`Exposure`] say it to people.
//!
//! Invariant: equal sets are equal values, however they were put together.
//! Invariant: who the members of a group or the entries of a prefix list are is never assumed. Where a wrong "yes" would
//! hurt ([`Space::covers`]) they equal only themselves; where a wrong "no" would ([`Space::overlaps`]) they may be anyone.

mod axis;
mod count;
mod set;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::rule::{Atom, Peer};
use set::{Rectangle, Region, Set, Span, Traffics};

pub use axis::TrafficRange;
pub use count::AddressCount;

/// Every address of a family.
const IPV4: Span<u128> = Span { start: 0, end: Some(1 << 32) };
const IPV6: Span<u128> = Span { start: 0, end: None };

/// The set of (peer address × protocol × port) that rules of **one** direction let through. Spaces of different
/// directions must not be mixed: a space does not know its direction.
///
/// IPv4 and IPv6 lie apart. Peers without addresses of their own, groups and prefix lists, stand for themselves, each
/// with its traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    ipv4: Region,
    ipv6: Region,
    /// Never with an empty set, since that would make two values of one space.
    opaque: BTreeMap<Peer, Traffics>,
}

impl Space {
    /// Nothing gets through.
    pub fn empty() -> Self {
        Self::default()
    }

    /// What one rule lets through.
    pub fn of(atom: &Atom) -> Self {
        Self::of_all([atom])
    }

    /// What any of the rules lets through.
    pub fn of_all<'a>(atoms: impl IntoIterator<Item = &'a Atom>) -> Self {
        let (mut ipv4, mut ipv6, mut opaque) = (Vec::new(), Vec::new(), BTreeMap::<Peer, Vec<Span<u32>>>::new());
        for atom in atoms {
            let traffic = axis::span(atom.traffic);
            match &atom.peer {
                Peer::Ipv4(net) => {
                    let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                    ipv4.push(Rectangle { traffic, addresses: Span { start: first.into(), end: Some(u128::from(last) + 1) } });
                }
                Peer::Ipv6(net) => {
                    let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
                    ipv6.push(Rectangle { traffic, addresses: Span { start: first, end: last.checked_add(1) } });
                }
                Peer::PrefixList(_) | Peer::Group { id: _, account: _ } => {
                    opaque.entry(atom.peer.clone()).or_default().push(traffic);
                }
            }
        }
        let opaque = opaque.into_iter().map(|(peer, spans)| (peer, Set::of(spans))).collect();
        Self { ipv4: Region::of(ipv4), ipv6: Region::of(ipv6), opaque }
    }

    /// What either lets through.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (ipv4, ipv6) = (self.ipv4.union(&other.ipv4), self.ipv6.union(&other.ipv6));
        Self { ipv4, ipv6, opaque: self.combine_opaque(other, Set::union) }
    }

    /// What this lets through and the other does not. An opaque peer is taken away only by itself, and takes away only
    /// itself.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let (ipv4, ipv6) = (self.ipv4.subtract(&other.ipv4), self.ipv6.subtract(&other.ipv6));
        Self { ipv4, ipv6, opaque: self.combine_opaque(other, Set::subtract) }
    }

    /// What both certainly let through: of opaque peers, those that are in both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (ipv4, ipv6) = (self.ipv4.intersect(&other.ipv4), self.ipv6.intersect(&other.ipv6));
        Self { ipv4, ipv6, opaque: self.combine_opaque(other, Set::intersect) }
    }

    /// The same traffic to everybody: of a family that something gets through for, every address.
    #[must_use]
    pub fn to_everybody(&self) -> Self {
        Self { ipv4: self.ipv4.widened(IPV4), ipv6: self.ipv6.widened(IPV6), opaque: BTreeMap::new() }
    }

    fn combine_opaque(&self, other: &Self, combine: impl Fn(&Traffics, &Traffics) -> Traffics) -> BTreeMap<Peer, Traffics> {
        let nothing = Set::default();
        let peers: BTreeSet<&Peer> = self.opaque.keys().chain(other.opaque.keys()).collect();
        let combined = peers.into_iter().filter_map(|peer| {
            let (left, right) = (self.opaque.get(peer), other.opaque.get(peer));
            let traffic = combine(left.unwrap_or(&nothing), right.unwrap_or(&nothing));
            (!traffic.is_empty()).then(|| (peer.clone(), traffic))
        });
        combined.collect()
    }

    /// Whether something may be in both. An opaque peer may have any address and share members with any other opaque
    /// peer, so there the traffic alone decides.
    pub fn overlaps(&self, other: &Self) -> bool {
        let opaque_meets = |opaque: &Self, any: &Self| !opaque.opaque.is_empty() && opaque.opaque_traffic().meets(&any.traffic());
        self.ipv4.meets(&other.ipv4) || self.ipv6.meets(&other.ipv6) || opaque_meets(self, other) || opaque_meets(other, self)
    }

    /// Whether this certainly lets through all that the other does.
    pub fn covers(&self, other: &Self) -> bool {
        let covers_opaque = |(peer, traffic): (&Peer, &Traffics)| self.opaque.get(peer).is_some_and(|own| own.covers(traffic));
        self.ipv4.covers(&other.ipv4) && self.ipv6.covers(&other.ipv6) && other.opaque.iter().all(covers_opaque)
    }

    /// Whether nothing gets through.
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty() && self.opaque.is_empty()
    }

    /// How many addresses of both families something gets through for. Opaque peers are not counted.
    pub fn addresses(&self) -> AddressCount {
        AddressCount::of(&self.ipv4.addresses()) + AddressCount::of(&self.ipv6.addresses())
    }

    /// Who is reached by what: the traffic cut wherever the answer changes, in order of protocol and port. The entries
    /// do not overlap, and together they are the space.
    pub fn exposure(&self) -> Vec<Exposure> {
        let edges: BTreeSet<u32> =
            (self.ipv4.edges().chain(self.ipv6.edges())).chain(self.opaque.values().flat_map(Set::flips)).collect();
        let stretches = edges.iter().zip(edges.iter().skip(1));
        stretches.flat_map(|(start, end)| self.exposure_between(*start, *end)).collect()
    }

    /// Both ends are neighbouring edges, so what is so at the start is so up to the end.
    fn exposure_between(&self, start: u32, end: u32) -> Vec<Exposure> {
        let (ipv4, ipv6) = (AddressCount::of(self.ipv4.at(start)), AddressCount::of(self.ipv6.at(start)));
        let opaque = self.opaque.iter().filter(|(_, traffic)| traffic.contains(start));
        let opaque: Vec<Peer> = opaque.map(|(peer, _)| peer.clone()).collect();
        if ipv4.is_zero() && ipv6.is_zero() && opaque.is_empty() {
            return Vec::new();
        }
        TrafficRange::parts(start, end).map(|traffic| Exposure { traffic, ipv4, ipv6, opaque: opaque.clone() }).collect()
    }

    fn opaque_traffic(&self) -> Traffics {
        Set::of(self.opaque.values().flat_map(Set::spans))
    }

    fn traffic(&self) -> Traffics {
        Set::of(self.ipv4.traffics().chain(self.ipv6.traffics()).chain(self.opaque.values().flat_map(Set::spans)))
    }
}

/// Who is reached by one stretch of traffic. Prints as `tcp/22 to 4,294,967,296 addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The traffic.
    pub traffic: TrafficRange,
    /// How many IPv4 addresses.
    pub ipv4: AddressCount,
    /// How many IPv6 addresses.
    pub ipv6: AddressCount,
    /// The groups and prefix lists, in canonical order.
    pub opaque: Vec<Peer>,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: AddressCount, family: &str| {
            let noun = if count == AddressCount::from(1) { "address" } else { "addresses" };
            (!count.is_zero()).then(|| format!("{count} {family}{noun}"))
        };
        // The family needs a word only where there are addresses of the newer one.
        let ipv4 = counted(self.ipv4, if self.ipv6.is_zero() { "" } else { "IPv4 " });
        let parts = ipv4.into_iter().chain(counted(self.ipv6, "IPv6 ")).chain(self.opaque.iter().map(Peer::to_string));
        write!(f, "{} to {}", self.traffic, axis::listed(&parts.collect::<Vec<_>>()))
    }
}
