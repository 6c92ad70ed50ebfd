//! How much of EC2's quota rules take up: "rules per security group", one figure for each direction and address family.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Sub};

use super::ids::PrefixListId;
use super::rule::{Atom, Direction, Peer};

/// AWS's default for rules a group may have in a direction and family (Service Quotas L-0EA8095F).
pub const DEFAULT_RULES_PER_GROUP: u32 = 60;

/// What rules count for, by address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Against the IPv4 quota.
    pub ipv4: u32,
    /// Against the IPv6 quota.
    pub ipv6: u32,
}

impl Add for Weight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { ipv4: self.ipv4.saturating_add(other.ipv4), ipv6: self.ipv6.saturating_add(other.ipv6) }
    }
}

impl Sub for Weight {
    type Output = Self;

    /// Never below nothing.
    fn sub(self, other: Self) -> Self {
        Self { ipv4: self.ipv4.saturating_sub(other.ipv4), ipv6: self.ipv6.saturating_sub(other.ipv6) }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Weights of the prefix lists that were looked up: customer lists by their maximum of entries, AWS's by the published weight.
pub type PrefixListWeights = BTreeMap<PrefixListId, Weight>;

impl Weight {
    /// What one atom counts. A range counts 1 in its family; a group 1 in both (AWS's texts differ: this is the careful
    /// reading); a prefix list what is known of it, else 1 in both, which is then an estimate from below.
    pub fn of(atom: &Atom, lists: &PrefixListWeights) -> Self {
        match &atom.peer {
            Peer::Ipv4(_) => Self { ipv4: 1, ipv6: 0 },
            Peer::Ipv6(_) => Self { ipv4: 0, ipv6: 1 },
            Peer::Group { id: _, account: _ } => Self { ipv4: 1, ipv6: 1 },
            Peer::PrefixList(id) => lists.get(id).copied().unwrap_or(Self { ipv4: 1, ipv6: 1 }),
        }
    }

    /// What one atom counts at the very least, whatever way AWS reads its own texts: a range 1 in its family, a group 1 for IPv4,
    /// a prefix list that was looked up 1 where it counts at all. What exceeds a quota by this count certainly exceeds it.
    pub fn certain(atom: &Atom, lists: &PrefixListWeights) -> Self {
        match &atom.peer {
            Peer::Ipv4(_) | Peer::Ipv6(_) => Self::of(atom, lists),
            Peer::Group { id: _, account: _ } => Self { ipv4: 1, ipv6: 0 },
            Peer::PrefixList(id) => {
                let known = lists.get(id).copied().unwrap_or_default();
                Self { ipv4: known.ipv4.min(1), ipv6: known.ipv6.min(1) }
            }
        }
    }

    /// Both families alike.
    pub fn each(count: u32) -> Self {
        Self { ipv4: count, ipv6: count }
    }

    /// The larger of two in each family.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { ipv4: self.ipv4.max(other.ipv4), ipv6: self.ipv6.max(other.ipv6) }
    }

    /// Whether it is within a limit, in each family.
    pub fn fits(self, limit: Self) -> bool {
        self.ipv4 <= limit.ipv4 && self.ipv6 <= limit.ipv6
    }

    /// What the atoms of one direction count together.
    pub fn of_all<'a>(atoms: impl IntoIterator<Item = &'a Atom>, direction: Direction, lists: &PrefixListWeights) -> Self {
        let mut sum = Self::default();
        for atom in atoms.into_iter().filter(|atom| atom.direction == direction) {
            sum += Self::of(atom, lists);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_counts_for_itself_and_a_group_in_both() {
        let atoms: Vec<Atom> = [
            "ingress tcp 1 from 10.0.0.0/8",
            "ingress tcp 1 from ::/0",
            "ingress tcp 1 from sg-0a1b2c3d",
            "ingress tcp 1 from pl-0a1b2c3d",
            "egress all to 0.0.0.0/0",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let lists = BTreeMap::from([("pl-0a1b2c3d".parse().unwrap(), Weight { ipv4: 55, ipv6: 0 })]);
        assert_eq!(Weight::of_all(&atoms, Direction::Ingress, &lists), Weight { ipv4: 57, ipv6: 2 });
        assert_eq!(Weight::of_all(&atoms, Direction::Egress, &lists), Weight { ipv4: 1, ipv6: 0 });
    }

    #[test]
    fn what_is_certain_is_never_more_than_the_estimate() {
        let lists = BTreeMap::from([("pl-0a1b2c3d".parse().unwrap(), Weight { ipv4: 0, ipv6: 55 })]);
        let certain = |text: &str| Weight::certain(&text.parse().unwrap(), &lists);
        assert_eq!(certain("ingress tcp 1 from ::/0"), Weight { ipv4: 0, ipv6: 1 });
        assert_eq!(certain("ingress tcp 1 from sg-0a1b2c3d"), Weight { ipv4: 1, ipv6: 0 });
        assert_eq!(certain("ingress tcp 1 from pl-0a1b2c3d"), Weight { ipv4: 0, ipv6: 1 });
        assert_eq!(certain("ingress tcp 1 from pl-0a1b2c3e"), Weight::default(), "nobody knows its family");
    }
}
