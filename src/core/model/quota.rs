//! How much of EC2's quota rules take up: "rules per security group", one figure for each direction and address family.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};

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
}
