//! Peers and rules. The unit of everything is the [`Atom`]: EC2 regroups permissions as it likes, atoms it cannot.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::ids::{AccountId, PrefixListId, RuleId, RuleName, SecurityGroupId};
use super::traffic::Traffic;

/// Which way connections are opened, seen from the members of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the group.
    Ingress,
    /// Out of the group.
    Egress,
}

impl Direction {
    /// Both, in the order everything is printed and executed.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The word before the peer: traffic comes *from* it or goes *to* it.
    pub fn preposition(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The other side of a rule, canonical: no host bits, own group by its id, own account left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// An IPv4 range.
    Ipv4(Ipv4Net),
    /// An IPv6 range.
    Ipv6(Ipv6Net),
    /// A managed prefix list.
    PrefixList(PrefixListId),
    /// The interfaces that are members of a group.
    Group {
        /// The group.
        id: SecurityGroupId,
        /// Its owner, when that is not the account of the rule's own group.
        account: Option<AccountId>,
    },
}

/// Kind of a peer: EC2 cannot change it in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// [`Peer::Ipv4`]
    Ipv4,
    /// [`Peer::Ipv6`]
    Ipv6,
    /// [`Peer::PrefixList`]
    PrefixList,
    /// [`Peer::Group`]
    Group,
}

impl Peer {
    /// An IPv4 range, masked as EC2 masks it.
    pub fn ipv4(net: Ipv4Net) -> Self {
        Self::Ipv4(net.trunc())
    }

    /// An IPv6 range, masked as EC2 masks it.
    pub fn ipv6(net: Ipv6Net) -> Self {
        Self::Ipv6(net.trunc())
    }

    /// A group of the same account.
    pub fn group(id: SecurityGroupId) -> Self {
        Self::Group { id, account: None }
    }

    /// What kind of peer it is.
    pub fn kind(&self) -> PeerKind {
        match self {
            Self::Ipv4(_) => PeerKind::Ipv4,
            Self::Ipv6(_) => PeerKind::Ipv6,
            Self::PrefixList(_) => PeerKind::PrefixList,
            Self::Group { id: _, account: _ } => PeerKind::Group,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(net) => write!(f, "{net}"),
            Self::Ipv6(net) => write!(f, "{net}"),
            Self::PrefixList(id) => write!(f, "{id}"),
            Self::Group { id, account: None } => write!(f, "{id}"),
            Self::Group { id, account: Some(account) } => write!(f, "{account}/{id}"),
        }
    }
}

/// Not the text of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a peer in canonical form: a CIDR block without host bits, a group id or a prefix list id")]
pub struct BadPeer(String);

impl FromStr for Peer {
    type Err = BadPeer;

    /// Reads what `Display` writes; other spellings of the same peer are refused.
    fn from_str(text: &str) -> Result<Self, BadPeer> {
        let bad = || BadPeer(text.to_owned());
        let peer = if text.starts_with("sg-") {
            Self::group(text.parse().map_err(|_| bad())?)
        } else if text.starts_with("pl-") {
            Self::PrefixList(text.parse().map_err(|_| bad())?)
        } else if let Some((account, id)) = text.split_once("/sg-") {
            let id = format!("sg-{id}").parse().map_err(|_| bad())?;
            Self::Group { id, account: Some(account.parse().map_err(|_| bad())?) }
        } else if text.contains(':') {
            Self::ipv6(text.parse().map_err(|_| bad())?)
        } else {
            Self::ipv4(text.parse().map_err(|_| bad())?)
        };
        if peer.to_string() == text { Ok(peer) } else { Err(bad()) }
    }
}

/// The smallest rule EC2 knows: one direction, protocol, port range and peer. This is a rule's identity; description and
/// tags are not part of it (a second rule that differs only in them is a duplicate to EC2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom {
    /// Which way.
    pub direction: Direction,
    /// What.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: Peer,
}

impl Atom {
    /// The rule without its direction: `tcp 443 from 0.0.0.0/0`.
    pub fn within_direction(&self) -> impl fmt::Display + '_ {
        struct Within<'a>(&'a Atom);
        impl fmt::Display for Within<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {} {}", self.0.traffic, self.0.direction.preposition(), self.0.peer)
            }
        }
        Within(self)
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction, self.within_direction())
    }
}

/// Not the text of an atom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a rule in canonical form, such as 'ingress tcp 443 from 0.0.0.0/0'")]
pub struct BadAtom(String);

impl FromStr for Atom {
    type Err = BadAtom;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, BadAtom> {
        let bad = || BadAtom(text.to_owned());
        let (word, rest) = text.split_once(' ').ok_or_else(bad)?;
        let direction = Direction::BOTH.into_iter().find(|direction| direction.to_string() == word).ok_or_else(bad)?;
        let (traffic, peer) = rest.split_once(&format!(" {} ", direction.preposition())).ok_or_else(bad)?;
        Ok(Self { direction, traffic: traffic.parse().map_err(|_| bad())?, peer: peer.parse().map_err(|_| bad())? })
    }
}

/// What a manifest says about one atom beside its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The rule that owns the atom: the first in list order that declares it.
    pub rule: RuleName,
    /// Sent to EC2 with the rule. Never empty: no description is `None`, as EC2 has it.
    pub description: Option<String>,
    /// For audit and guardrails; never sent to AWS.
    pub justification: Option<String>,
    /// Later rules that declare the same atom. It stays desired while any of them does.
    pub also: Vec<RuleName>,
}

/// Declared atoms, each once, in canonical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet(BTreeMap<Atom, Declared>);

impl RuleSet {
    /// Adds an atom; where it stands already, the first declaration keeps it and the other is noted.
    pub fn declare(&mut self, atom: Atom, declared: Declared) {
        match self.0.entry(atom) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(declared);
            }
            std::collections::btree_map::Entry::Occupied(mut slot) => {
                let owner = slot.get_mut();
                if owner.rule != declared.rule && !owner.also.contains(&declared.rule) {
                    owner.also.push(declared.rule);
                }
            }
        }
    }

    /// What is declared about an atom.
    pub fn get(&self, atom: &Atom) -> Option<&Declared> {
        self.0.get(atom)
    }

    /// Whether an atom is declared.
    pub fn contains(&self, atom: &Atom) -> bool {
        self.0.contains_key(atom)
    }

    /// Every atom in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&Atom, &Declared)> {
        self.0.iter()
    }

    /// How many atoms there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many atoms one direction has.
    pub fn count(&self, direction: Direction) -> usize {
        self.0.keys().filter(|atom| atom.direction == direction).count()
    }
}

/// A rule as EC2 holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRule {
    /// EC2's id of it.
    pub id: RuleId,
    /// What it allows.
    pub atom: Atom,
    /// Its description; EC2 stores none rather than an empty one.
    pub description: Option<String>,
}

/// A rule to be authorized, or what one is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRule {
    /// What it allows.
    pub atom: Atom,
    /// Its description.
    pub description: Option<String>,
}

/// Whether EC2 takes a text as description or name: up to 255 characters of its set (API reference, `IpRange`).
pub fn is_ec2_text(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    text.len() <= 255 && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atoms_read_back_what_they_print() {
        for text in [
            "ingress tcp 443 from 0.0.0.0/0",
            "egress all to ::/0",
            "ingress icmp type 8 from 10.0.0.0/8",
            "ingress tcp 5432 from sg-0a1b2c3d4e5f67890",
            "ingress tcp 5432 from 444455556666/sg-0a1b2c3d4e5f67890",
            "egress udp 53-54 to pl-0a1b2c3d",
            "ingress protocol 50 from 2001:db8::/32",
        ] {
            assert_eq!(text.parse::<Atom>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "ingress",
            "ingress tcp 443 to 0.0.0.0/0",
            "ingress tcp 443 from 10.0.0.1/8",
            "ingress tcp 443 from 2001:DB8::/32",
            "in tcp 1 from ::/0",
            "ingress tcp 443 from sg-x",
        ] {
            assert!(bad.parse::<Atom>().is_err(), "{bad}");
        }
    }

    #[test]
    fn masks_and_spelling_are_canonical() {
        assert_eq!(Peer::ipv4("100.68.0.18/18".parse().unwrap()).to_string(), "100.68.0.0/18");
        assert_eq!(Peer::ipv6("2001:DB8:0:0::/32".parse().unwrap()).to_string(), "2001:db8::/32");
        assert_eq!(
            Peer::ipv6("2001:db8:0:1:1:1:1:1/128".parse().unwrap()).to_string(),
            "2001:db8:0:1:1:1:1:1/128",
            "a single zero group stays"
        );
    }

    #[test]
    fn the_first_declaration_owns_an_atom_and_the_others_are_noted() {
        let atom: Atom = "ingress tcp 443 from 0.0.0.0/0".parse().unwrap();
        let declared = |name: &str, text: &str| Declared {
            rule: name.parse().unwrap(),
            description: Some(text.into()),
            justification: None,
            also: vec![],
        };
        let mut set = RuleSet::default();
        set.declare(atom.clone(), declared("a", "first"));
        set.declare(atom.clone(), declared("b", "second"));
        set.declare(atom.clone(), declared("b", "again"));
        let owner = set.get(&atom).unwrap();
        assert_eq!((owner.rule.as_str(), owner.description.as_deref(), owner.also.len(), set.len()), ("a", Some("first"), 1, 1));
    }

    #[test]
    fn ec2_text_is_its_charset_and_255_long() {
        assert!(is_ec2_text("Allow (https) & more: [a]{b}!$*;=+@,#"));
        for bad in ["it's", "100%", "why?", "a\"b", "<", "ä", "tab\t"] {
            assert!(!is_ec2_text(bad), "{bad}");
        }
        assert!(is_ec2_text(&"x".repeat(255)) && !is_ec2_text(&"x".repeat(256)));
    }
}
