//! What of a question is certain: cut into what gets through, what does not, and what nobody can tell.

use ipnet::IpNet;

use crate::core::model::{AccountId, Atom, Direction, Peer, Space, Traffic};

use super::Verdict;
use super::permission::peer;
use super::question::Family;

/// Who is asked about, as rules see them.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Everything that is asked about.
    pub(super) space: Space,
    /// The group whose members are meant; `None`: the addresses themselves.
    pub(super) members: Option<Peer>,
    /// The account of the group whose rules are asked: rules leave it out.
    own: Option<AccountId>,
}

/// The three parts of what is asked. They do not overlap, and together they are all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) yes: Space,
    pub(super) no: Space,
    pub(super) unknown: Space,
}

impl Asked {
    pub(super) fn new(
        direction: Direction,
        traffic: Traffic,
        ranges: &[IpNet],
        members: Option<Peer>,
        own: Option<AccountId>,
    ) -> Self {
        let atoms: Vec<Atom> = ranges.iter().map(|net| Atom { direction, traffic, peer: peer(*net) }).collect();
        Self { space: Space::of_all(&atoms), members, own }
    }

    /// Whether a peer is the group whose members are meant. An id is one group's alone; an account that is said has to agree.
    pub(super) fn means(&self, other: &Peer) -> bool {
        match (&self.members, other) {
            (Some(Peer::Group { id: ours, account }), Peer::Group { id, account: theirs }) => {
                let theirs = theirs.as_ref().or(self.own.as_ref());
                ours == id && account.as_ref().zip(theirs).is_none_or(|(ours, theirs)| ours == theirs)
            }
            (Some(Peer::Ipv4(_) | Peer::Ipv6(_) | Peer::PrefixList(_) | Peer::Group { id: _, account: _ }) | None, _) => false,
        }
    }

    /// What a rule lets through of this, in addresses: of the group that is meant everybody, of other groups nobody. Of a prefix
    /// list it may be everybody, and that is what `may` adds.
    pub(super) fn seen(&self, atom: &Atom, may: bool) -> Space {
        let everybody = || {
            let all = Family::BOTH.map(|family| Atom { peer: peer(family.everybody()), ..atom.clone() });
            Space::of_all(&all)
        };
        match &atom.peer {
            Peer::Ipv4(_) | Peer::Ipv6(_) => Space::of(atom),
            Peer::PrefixList(_) if may => everybody(),
            Peer::Group { id: _, account: _ } if self.means(&atom.peer) => everybody(),
            Peer::PrefixList(_) | Peer::Group { id: _, account: _ } => Space::empty(),
        }
    }

    /// Whether a rule has to do with some of what is asked.
    pub(super) fn touches(&self, atom: &Atom, what: &Space) -> bool {
        !self.seen(atom, true).intersect(what).is_empty()
    }

    /// The parts, by the rules that are in force and by those of which that is not known.
    pub(super) fn parts<'a>(
        &self,
        certain: impl Iterator<Item = &'a Atom> + Clone,
        uncertain: impl Iterator<Item = &'a Atom>,
    ) -> Parts {
        let sum = |space: Space, other: Space| space.union(&other);
        let open = certain.clone().map(|atom| self.seen(atom, false)).fold(Space::empty(), sum).intersect(&self.space);
        let lists = certain.filter(|atom| matches!(atom.peer, Peer::PrefixList(_)));
        let mut may = lists.chain(uncertain).map(|atom| self.seen(atom, true)).fold(Space::empty(), sum);
        let mut yes = open.clone();
        if self.members.is_some() {
            // Which addresses the members have is not known: what is open to some addresses only may be open to all of them
            // or to none.
            yes = self.space.subtract(&self.space.subtract(&open).to_everybody());
            may = may.union(&open).intersect(&self.space).to_everybody();
        }
        let rest = self.space.subtract(&yes);
        let unknown = rest.intersect(&may);
        Parts { no: rest.subtract(&unknown), yes, unknown }
    }
}

impl Parts {
    /// What gets through both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let yes = self.yes.intersect(&other.yes);
        let no = self.no.union(&other.no);
        let unknown = self.unknown.union(&other.unknown).subtract(&no);
        Self { yes, no, unknown }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match (self.yes.is_empty(), self.no.is_empty(), self.unknown.is_empty()) {
            (false, false, _) => Verdict::Partly,
            (_, _, false) => Verdict::Unknown,
            (false, true, true) => Verdict::Yes,
            (true, _, true) => Verdict::No,
        }
    }
}
