//! The answer to a question, hop by hop: out of the one group, into the other.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::core::desired::Referent;
use crate::core::model::{Atom, Direction, Exposure, Peer, Space, Traffic};

use super::live::{Origin, live};
use super::part::{Asked, Parts};
use super::permission::{Permission, Standing, of, peer};
use super::question::Family;
use super::remedy::{Remedy, Wish};
use super::world::{CannotTell, Group, World, id_of};
use super::{Other, Question};

/// How many of a kind are listed.
const MOST: usize = 5;

/// Yes, no, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of what was asked gets through.
    Yes,
    /// Nothing of it does.
    No,
    /// Some of it does, and some of it does not.
    Partly,
    /// It depends on what is not known.
    Unknown,
}

impl Verdict {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Partly => "partly",
            Self::Unknown => "unknown",
        }
    }
}

/// What comes of a question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// By what is declared.
    pub verdict: Verdict,
    /// By what is live, where the status of every group involved tells and it is not the same.
    pub live: Option<Verdict>,
    /// What gets through in addresses and ports, where it is a part: `tcp/443 to 256 addresses`.
    pub open: Vec<String>,
    /// The rules of one group each, in the order in which a connection meets them.
    pub hops: Vec<Hop>,
    /// What has to be known beside.
    pub notes: Vec<String>,
}

/// One group's rules of one direction.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The group.
    pub group: Referent,
    /// Out of it or into it.
    pub direction: Direction,
    /// The file or object that declares it.
    pub declared_in: String,
    /// By what is declared.
    pub verdict: Verdict,
    /// The rules by which it gets through.
    pub through: Vec<Through>,
    /// The rules by which it may, and why that is not known.
    pub unknown: Vec<Through>,
    /// Rules for the members of a group: an address that is one of theirs gets through by them.
    pub members: Vec<Through>,
    /// The rules that would have let it through, were they in force.
    pub barred: Vec<Through>,
    /// The rules that come close.
    pub nearest: Vec<Through>,
    /// How many rules the group declares in this direction.
    pub rules: usize,
    /// What would have to be written.
    pub remedy: Option<Remedy>,
    /// What is live, where it is known and not the same.
    pub live: Option<Live>,
}

/// A rule in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// The declared rule, or what is known of one that is not.
    pub rule: String,
    /// What it lets through.
    pub traffic: String,
    /// From or to whom, as declared.
    pub peer: String,
    /// The object it came by.
    pub via: Option<Referent>,
    /// Why it does not count, or not for certain.
    pub why: Option<String>,
}

/// What is live in a group, where that is not what is declared.
#[derive(Clone, Debug)]
pub struct Live {
    /// By what is live.
    pub verdict: Verdict,
    /// The live rules by which it gets through.
    pub through: Vec<LiveRule>,
}

/// A live rule in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRule {
    /// The declared rule it comes of; `None` where nobody declared it.
    pub rule: Option<String>,
    /// What it lets through.
    pub traffic: String,
    /// From or to whom.
    pub peer: String,
    /// The drift record of an edit.
    pub drift: Option<String>,
    /// Who made the edit, where that is known.
    pub by: Option<String>,
}

/// A hop, and what it is judged by.
struct Judged {
    hop: Hop,
    parts: Parts,
    live: Option<Parts>,
    note: Option<String>,
}

impl World {
    /// Answers a question.
    pub fn explain(&self, question: &Question, now: Timestamp) -> Result<Answer, CannotTell> {
        let ranges = question.ranges()?;
        let mut question = question.clone();
        // A group that is declared has rules of its own, whatever it is called by.
        if let Other::Group { id, account: _ } = &question.other
            && let Some(name) = self.by_id(id)
        {
            question.other = Other::Object(name.clone());
        }
        let asking = Asking { world: self, traffic: question.traffic, ranges, now };
        let mut judged = Vec::new();
        let mut notes = Vec::new();
        let group = self.group(&question.group)?;
        match &question.other {
            Other::Range(net) => judged.push(asking.judge(&group, question.direction, None, &Other::Range(*net))),
            Other::Group { id, account } => {
                let members = Peer::Group { id: id.clone(), account: account.clone() };
                judged.push(asking.judge(&group, question.direction, Some(members), &question.other));
                notes.push(format!("the rules of {id} are not declared here and were not looked at"));
            }
            Other::Object(name) => {
                let other = self.group(name)?;
                let ends = [(&group, question.direction, &other), (&other, opposite(question.direction), &group)];
                for (end, direction, peer) in ends {
                    let members = Peer::Group { id: id_of(&peer.name, peer.object), account: peer.account.clone() };
                    judged.push(asking.judge(end, direction, Some(members), &Other::Object(peer.name.clone())));
                }
                judged.sort_by_key(|judged| std::cmp::Reverse(judged.hop.direction));
                notes.extend(other_vpc(&group, &other));
            }
        }
        notes.extend(judged.iter().filter_map(|judged| judged.note.clone()));
        Ok(answer(question, judged, notes))
    }
}

/// The questions of one answer.
struct Asking<'a> {
    world: &'a World,
    traffic: Traffic,
    ranges: Vec<ipnet::IpNet>,
    now: Timestamp,
}

impl Asking<'_> {
    fn judge(&self, group: &Group<'_>, direction: Direction, members: Option<Peer>, other: &Other) -> Judged {
        let asked = Asked::new(direction, self.traffic, &self.ranges, members, group.account.clone());
        let seen = live(group.object);
        let atoms: BTreeSet<Atom> = seen.iter().flatten().map(|(atom, _)| atom.clone()).collect();
        let permissions = self.world.permissions(group, self.now, &atoms);
        let certain = of(&permissions, direction).filter(|permission| permission.standing == Standing::InForce);
        let uncertain = of(&permissions, direction).filter(|permission| matches!(permission.standing, Standing::Held(_)));
        let parts = asked.parts(certain.map(|permission| &permission.atom), uncertain.map(|permission| &permission.atom));
        let of_direction = || atoms.iter().filter(|atom| atom.direction == direction);
        let live_parts = seen.as_ref().ok().map(|_| asked.parts(of_direction(), std::iter::empty()));
        let sorted = Sorted::new(&permissions, direction, self.traffic, &asked, &parts);
        let verdict = parts.verdict();
        let live = live_parts.as_ref().filter(|live| **live != parts).map(|live| Live {
            verdict: live.verdict(),
            through: seen
                .iter()
                .flatten()
                .filter(|(atom, _)| atom.direction == direction && asked.touches(atom, &asked.space))
                .map(|(atom, origin)| self.live_rule(atom, origin))
                .take(MOST)
                .collect(),
        });
        let wish = Wish { direction, other, traffic: self.traffic };
        // What is added to a manifest that is too large already makes it no smaller.
        let fits = verdict != Verdict::Yes && self.world.fits(group, self.now);
        let remedy = fits.then(|| wish.remedy(self.world, group, &permissions));
        // That there is no status is no news of manifests.
        let note = seen
            .err()
            .filter(|_| group.object.status.is_some())
            .map(|why| format!("what is live in {}/{} is not known: {why}", group.name.namespace, group.name.name));
        Judged {
            hop: Hop {
                group: group.name.clone(),
                direction,
                declared_in: self.world.place(&group.name),
                verdict,
                through: sorted.through,
                unknown: sorted.unknown,
                members: sorted.members,
                barred: sorted.barred,
                nearest: sorted.nearest,
                rules: group.declaration.rules.iter().filter(|rule| rule.direction == direction).count(),
                remedy,
                live,
            },
            parts,
            live: live_parts,
            note,
        }
    }

    fn live_rule(&self, atom: &Atom, origin: &Origin) -> LiveRule {
        let (rule, drift, by) = match origin {
            Origin::Rule(rule) => (Some(rule.to_string()), None, None),
            Origin::Edit { drift, by } => (None, Some(drift.clone()), by.clone()),
        };
        LiveRule { rule, traffic: atom.traffic.to_string(), peer: self.shown(&atom.peer), drift, by }
    }

    /// A peer by the name people know it by.
    fn shown(&self, peer: &Peer) -> String {
        match peer {
            Peer::Group { id, account: _ } => match self.world.by_id(id) {
                Some(name) => format!("{}/{}", name.namespace, name.name),
                None => peer.to_string(),
            },
            Peer::PrefixList(id) => format!("prefix list {id}"),
            Peer::Ipv4(_) | Peer::Ipv6(_) => peer.to_string(),
        }
    }
}

/// What the ends say together.
fn answer(question: Question, judged: Vec<Judged>, notes: Vec<String>) -> Answer {
    let all = |parts: Vec<Parts>| parts.into_iter().reduce(|all, parts| all.and(&parts)).unwrap_or_default();
    let parts = all(judged.iter().map(|judged| judged.parts.clone()).collect());
    let differs = judged.iter().any(|judged| judged.hop.live.is_some());
    let live: Option<Vec<Parts>> = judged.iter().map(|judged| judged.live.clone()).collect();
    let live = live.filter(|_| differs).map(all).filter(|live| *live != parts);
    let verdict = parts.verdict();
    Answer {
        verdict,
        live: live.map(|live| live.verdict()),
        open: if verdict == Verdict::Yes { Vec::new() } else { exposed(&parts.yes, &question.other) },
        question,
        hops: judged.into_iter().map(|judged| judged.hop).collect(),
        notes,
    }
}

/// The rules of one direction by what they have to do with the question.
struct Sorted {
    through: Vec<Through>,
    unknown: Vec<Through>,
    members: Vec<Through>,
    barred: Vec<Through>,
    nearest: Vec<Through>,
}

impl Sorted {
    fn new(permissions: &[Permission], direction: Direction, traffic: Traffic, asked: &Asked, parts: &Parts) -> Self {
        let rest = &asked.space.subtract(&parts.yes);
        let mut sorted = Self { through: vec![], unknown: vec![], members: vec![], barred: vec![], nearest: vec![] };
        let mut near: Vec<(u8, Through)> = Vec::new();
        for permission in of(permissions, direction) {
            let through = |why| through(permission, why);
            let atom = &permission.atom;
            let list = matches!(atom.peer, Peer::PrefixList(_));
            match &permission.standing {
                Standing::InForce if !list && asked.touches(atom, &parts.yes) => push(&mut sorted.through, through(None)),
                Standing::InForce if list && asked.touches(atom, rest) => {
                    let why = "what is in the list is not known here; aws ec2 get-managed-prefix-list-entries lists it";
                    push(&mut sorted.unknown, through(Some(why.to_owned())));
                }
                Standing::InForce if asked.touches(atom, &parts.unknown) => {
                    let why = "whether the members have addresses in it is not known here: ask about an address";
                    push(&mut sorted.unknown, through(Some(why.to_owned())));
                }
                Standing::Held(why) if asked.touches(atom, rest) => {
                    push(&mut sorted.unknown, through(Some(format!("the rule is held back: {why}"))));
                }
                Standing::Expired(at) if asked.touches(atom, rest) => {
                    push(&mut sorted.barred, through(Some(format!("expired at {at}"))));
                }
                Standing::Refused(why) if asked.touches(atom, rest) => push(&mut sorted.barred, through(Some(why.clone()))),
                Standing::InForce if asked.members.is_none() && is_for_members(atom, asked) && !rest.is_empty() => {
                    push(&mut sorted.members, through(None));
                }
                Standing::InForce => near.extend(closeness(atom, asked, traffic).map(|close| (close, through(None)))),
                Standing::Held(_) | Standing::Expired(_) | Standing::Refused(_) => {}
            }
        }
        near.sort_by_key(|(close, _)| *close);
        if !rest.is_empty() {
            sorted.nearest = near.into_iter().map(|(_, through)| through).take(2).collect();
        }
        sorted
    }
}

/// Whether a rule lets members of a group through with some of what is asked.
fn is_for_members(atom: &Atom, asked: &Asked) -> bool {
    matches!(atom.peer, Peer::Group { id: _, account: _ }) && !everybody(atom).intersect(&asked.space).is_empty()
}

/// How close a rule comes that does not let it through: other ports of the protocol for the same, the same traffic for others,
/// or another protocol for the same.
fn closeness(atom: &Atom, asked: &Asked, traffic: Traffic) -> Option<u8> {
    let same_traffic = !everybody(atom).intersect(&asked.space).is_empty();
    let any = Atom { traffic: Traffic::All, ..atom.clone() };
    let same_peer = !asked.seen(&any, false).intersect(&asked.space).is_empty();
    let same_protocol = atom.traffic.protocol() == traffic.protocol();
    match (same_peer, same_traffic, same_protocol) {
        (true, _, true) => Some(0),
        (_, true, _) => Some(1),
        (true, false, false) => Some(2),
        (false, false, _) => None,
    }
}

/// What a rule would let through, were everybody its peer.
fn everybody(atom: &Atom) -> Space {
    Space::of_all(&Family::BOTH.map(|family| Atom { peer: peer(family.everybody()), ..atom.clone() }))
}

fn through(permission: &Permission, why: Option<String>) -> Through {
    Through {
        rule: permission.rule.to_string(),
        traffic: permission.atom.traffic.to_string(),
        peer: permission.peer.clone(),
        via: permission.via.clone(),
        why,
    }
}

/// Adds a rule, once, while there is room.
fn push(list: &mut Vec<Through>, through: Through) {
    if list.len() < MOST && !list.contains(&through) {
        list.push(through);
    }
}

/// What gets through: so many addresses, or, where members of a group are meant, which of them there are nobody knows, over
/// which family.
fn exposed(space: &Space, other: &Other) -> Vec<String> {
    let shown = |exposure: &Exposure| match (other, exposure.ipv4.is_zero(), exposure.ipv6.is_zero()) {
        (Other::Range(_), _, _) => exposure.to_string(),
        (Other::Object(_) | Other::Group { id: _, account: _ }, false, true) => format!("{} over IPv4", exposure.traffic),
        (Other::Object(_) | Other::Group { id: _, account: _ }, true, _) => format!("{} over IPv6", exposure.traffic),
        (Other::Object(_) | Other::Group { id: _, account: _ }, false, false) => exposure.traffic.to_string(),
    };
    space.exposure().iter().map(shown).collect()
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}

/// EC2 knows the members of a group of another VPC only where the two are peered.
fn other_vpc(group: &Group<'_>, other: &Group<'_>) -> Option<String> {
    let vpc = |group: &Group<'_>| {
        let recorded = group.object.status.as_ref().and_then(|status| status.vpc_id.clone());
        recorded.or_else(|| group.object.spec.vpc.id.clone())
    };
    let (one, two) = vpc(group).zip(vpc(other)).filter(|(one, two)| one != two)?;
    Some(format!("{one} and {two} are different VPCs: a rule that names a group of the other counts only while they are peered"))
}
