//! Random manifests, lookups and edits over a small world, so that rules overlap, repeat and collide often.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use sgwarden::core::desired::{
    Declaration, DeclaredEnforcement, DeclaredPeer, DeclaredRule, DeclaredVpc, EgressPolicy, Lookup, Lookups, Referent,
    ReferentKind, Who,
};
use sgwarden::core::model::{Atom, Direction, Peer, PrefixListWeights, Tags, Traffic, Weight};

use crate::oracle::Oracle;

/// Objects that rules refer to, with the groups behind them.
pub(crate) const OBJECTS: [(&str, &str); 2] = [("db", "sg-0000000000000000d"), ("cache", "sg-0000000000000000c")];

/// Every peer without addresses of its own. The group itself is created first, so its id is known.
pub(crate) const OPAQUE: [&str; 7] = [
    "sg-00000000000000100",
    "sg-0000000000000000d",
    "sg-0000000000000000c",
    "sg-0000000000000000e",
    "444455556666/sg-0000000000000000f",
    "pl-00000001",
    "pl-00000002",
];

/// A main property is judged by two thousand cases; `PROPTEST_CASES` asks for more.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig { cases: few().cases.max(2000), ..few() }
}

/// The others by as many as proptest thinks right.
pub(crate) fn few() -> ProptestConfig {
    ProptestConfig {
        max_global_rejects: 100_000,
        failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

pub(crate) fn traffic() -> impl Strategy<Value = Traffic> {
    const TEXTS: [&str; 17] = [
        "all",
        "tcp 80",
        "tcp 80",
        "tcp 81",
        "tcp 82",
        "tcp 443",
        "tcp 80-82",
        "tcp 79-81",
        "tcp 0-65535",
        "udp 53",
        "udp 0-65535",
        "icmp",
        "icmp type 8",
        "icmp type 8 code 0",
        "icmpv6",
        "icmpv6 type 3 code 4",
        "protocol 50",
    ];
    select(TEXTS.as_slice()).prop_map(|text| text.parse().unwrap())
}

/// An address range.
pub(crate) fn range() -> impl Strategy<Value = ipnet::IpNet> {
    prop_oneof![
        8 => (28_u8..=32, 0_u32..16).prop_map(|(len, host)| {
            let net = ipnet::Ipv4Net::new(std::net::Ipv4Addr::from_bits(0x0A00_0000 + host), len).unwrap();
            ipnet::IpNet::V4(net.trunc())
        }),
        2 => select(["0.0.0.0/0", "10.0.0.0/8"].as_slice()).prop_map(|text| text.parse().unwrap()),
        2 => select(["::/0", "2001:db8::/126", "2001:db8::/127", "2001:db8::1/128", "2001:db8::2/127"].as_slice())
            .prop_map(|text| text.parse().unwrap()),
    ]
}

/// A peer as a manifest names it.
fn who() -> impl Strategy<Value = Who> {
    let group = |id: &str, account: Option<&str>| Who::Group {
        id: id.parse().unwrap(),
        account: account.map(|text| text.parse().unwrap()),
    };
    prop_oneof![
        6 => range().prop_map(Who::Range),
        1 => Just(Who::This),
        2 => select(OBJECTS.as_slice()).prop_map(|(name, _)| Who::Object(referent(name))),
        1 => Just(group(OPAQUE[3], None)),
        1 => Just(group("sg-0000000000000000f", Some("444455556666"))),
        1 => select(["pl-00000001", "pl-00000002"].as_slice()).prop_map(|id| Who::PrefixList(id.parse().unwrap())),
    ]
}

/// A peer as EC2 has it.
fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        3 => range().prop_map(|net| match net {
            ipnet::IpNet::V4(net) => Peer::ipv4(net),
            ipnet::IpNet::V6(net) => Peer::ipv6(net),
        }),
        1 => select(OPAQUE.as_slice()).prop_map(|text| text.parse().unwrap()),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![3 => Just(Direction::Ingress), 1 => Just(Direction::Egress)]
}

pub(crate) fn atom() -> impl Strategy<Value = Atom> {
    (direction(), traffic(), peer()).prop_map(|(direction, traffic, peer)| Atom { direction, traffic, peer })
}

pub(crate) fn text() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.6, select(["Allow the web", "Allow the office"].as_slice()).prop_map(str::to_owned))
}

/// What a rule says beside its name and direction.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    description: Option<String>,
    traffic: Vec<Traffic>,
    peers: Vec<(Who, Option<String>)>,
}

fn described_peer() -> impl Strategy<Value = (Who, Option<String>)> {
    (who(), option::weighted(0.1, Just("Allow one".to_owned())))
}

pub(crate) fn body() -> impl Strategy<Value = Body> {
    (text(), vec(traffic(), 1..=2), vec(described_peer(), 1..=3)).prop_map(|(description, traffic, peers)| Body {
        description,
        traffic,
        peers,
    })
}

/// A manifest: rules by their place, two directions with the same names.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    rules: BTreeMap<(Direction, u8), Body>,
    tags: Tags,
    allow_all: bool,
}

fn place() -> impl Strategy<Value = (Direction, u8)> {
    (direction(), 0_u8..4)
}

pub(crate) fn tags() -> impl Strategy<Value = Tags> {
    let word = |words: &'static [&'static str]| select(words).prop_map(str::to_owned);
    btree_map(word(&["team", "env"]), word(&["x", "y"]), 0..=2)
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    (btree_map(place(), body(), 0..=5), tags(), any::<bool>()).prop_map(|(rules, tags, allow_all)| Manifest {
        rules,
        tags,
        allow_all,
    })
}

/// A manifest that lets nothing through.
pub(crate) fn nothing() -> Manifest {
    Manifest { rules: BTreeMap::new(), tags: Tags::new(), allow_all: false }
}

impl Manifest {
    /// What [`sgwarden::core::desired::parse`] would make of it.
    pub(crate) fn declaration(&self) -> Declaration {
        let declare = |((direction, name), body): (&(Direction, u8), &Body)| DeclaredRule {
            direction: *direction,
            name: format!("rule-{name}").parse().unwrap(),
            description: body.description.clone(),
            justification: None,
            expires_at: None,
            traffic: body.traffic.clone(),
            peers: body
                .peers
                .iter()
                .map(|(who, description)| DeclaredPeer { who: who.clone(), description: description.clone() })
                .collect(),
        };
        let egress = self.rules.keys().any(|(direction, _)| *direction == Direction::Egress);
        Declaration {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            account: None,
            region: None,
            vpc: DeclaredVpc::Id("vpc-0a1b2c3d".parse().unwrap()),
            group_name: "shop.web".to_owned(),
            description: "Managed by sgwarden".to_owned(),
            tags: self.tags.clone(),
            rules: self.rules.iter().map(declare).collect(),
            egress_policy: (!egress).then_some(if self.allow_all { EgressPolicy::AllowAll } else { EgressPolicy::DenyAll }),
            enforcement: DeclaredEnforcement::default(),
            adopt: None,
            deletion: None,
        }
    }
}

/// What somebody does to a manifest.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put((Direction, u8), Body),
    Drop(Index),
    AddPeer(Index, (Who, Option<String>)),
    DropPeer(Index, Index),
    SetPeer(Index, Index, Who),
    SetTraffic(Index, Index, Traffic),
    Describe(Index, Option<String>),
    Rename(Index, (Direction, u8)),
    Tags(Tags),
    AllowAll(bool),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        (place(), body()).prop_map(|(place, body)| Change::Put(place, body)),
        index().prop_map(Change::Drop),
        (index(), described_peer()).prop_map(|(rule, peer)| Change::AddPeer(rule, peer)),
        (index(), index()).prop_map(|(rule, peer)| Change::DropPeer(rule, peer)),
        (index(), index(), who()).prop_map(|(rule, peer, who)| Change::SetPeer(rule, peer, who)),
        (index(), index(), traffic()).prop_map(|(rule, at, traffic)| Change::SetTraffic(rule, at, traffic)),
        (index(), text()).prop_map(|(rule, text)| Change::Describe(rule, text)),
        (index(), place()).prop_map(|(rule, place)| Change::Rename(rule, place)),
        tags().prop_map(Change::Tags),
        any::<bool>().prop_map(Change::AllowAll),
    ]
}

impl Manifest {
    /// The manifest after some changes.
    pub(crate) fn changed(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        for change in changes {
            next.change(change);
        }
        next
    }

    fn change(&mut self, change: &Change) {
        let places: Vec<_> = self.rules.keys().copied().collect();
        let pick = |index: &Index| if places.is_empty() { None } else { Some(*index.get(&places)) };
        match change {
            Change::Put(place, body) => drop(self.rules.insert(*place, body.clone())),
            Change::Drop(rule) => drop(pick(rule).and_then(|place| self.rules.remove(&place))),
            Change::AddPeer(rule, peer) => self.with(pick(rule), |body| body.peers.push(peer.clone())),
            Change::DropPeer(rule, peer) => self.with(pick(rule), |body| {
                if body.peers.len() > 1 {
                    body.peers.remove(peer.index(body.peers.len()));
                }
            }),
            Change::SetPeer(rule, peer, who) => self.with(pick(rule), |body| peer.get_mut(&mut body.peers).0 = who.clone()),
            Change::SetTraffic(rule, at, traffic) => self.with(pick(rule), |body| *at.get_mut(&mut body.traffic) = *traffic),
            Change::Describe(rule, text) => self.with(pick(rule), |body| body.description.clone_from(text)),
            Change::Rename(rule, place) => {
                if let Some(body) = pick(rule).and_then(|from| self.rules.remove(&from)) {
                    self.rules.insert(*place, body);
                }
            }
            Change::Tags(tags) => self.tags.clone_from(tags),
            Change::AllowAll(allow) => self.allow_all = *allow,
        }
    }

    fn with(&mut self, place: Option<(Direction, u8)>, act: impl FnOnce(&mut Body)) {
        if let Some(body) = place.and_then(|place| self.rules.get_mut(&place)) {
            act(body);
        }
    }
}

/// What is known of one of [`OBJECTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Known,
    Unknown,
    Refused,
}

/// What is known of each of [`OBJECTS`].
pub(crate) type Known = [Found; 2];

/// Every reference is known.
pub(crate) const ALL: Known = [Found::Known, Found::Known];

/// Mostly everything is known.
pub(crate) fn known() -> impl Strategy<Value = Known> {
    let found = || select([Found::Known, Found::Unknown, Found::Refused].as_slice());
    prop_oneof![3 => Just(ALL), 2 => [found(), found()]]
}

/// Another object of the same namespace.
pub(crate) fn referent(name: &str) -> Referent {
    Referent { kind: ReferentKind::SecurityGroup, namespace: "shop".to_owned(), name: name.to_owned() }
}

pub(crate) fn lookups(known: Known) -> Lookups {
    let look_up = |((name, id), found): ((&str, &str), Found)| {
        let found = match found {
            Found::Known => Lookup::Group(id.parse().unwrap(), None),
            Found::Unknown => Lookup::Unknown("it has no group yet".to_owned()),
            Found::Refused => Lookup::Refused("it does not allow this namespace".to_owned()),
        };
        (referent(name), found)
    };
    Lookups {
        own: Some(OPAQUE[0].parse().unwrap()),
        account: "111122223333".parse().unwrap(),
        vpc: "vpc-0a1b2c3d".parse().unwrap(),
        vpc_ipv6: true,
        objects: OBJECTS.into_iter().zip(known).map(look_up).collect(),
        prefix_lists: BTreeMap::new(),
        weights: weights(),
        default_tags: Tags::new(),
        now: Timestamp::UNIX_EPOCH,
        latched: BTreeSet::new(),
    }
}

/// What the prefix lists of [`OPAQUE`] count.
pub(crate) fn weights() -> PrefixListWeights {
    let list = |id: &str, ipv4, ipv6| (id.parse().unwrap(), Weight { ipv4, ipv6 });
    BTreeMap::from([list("pl-00000001", 2, 0), list("pl-00000002", 0, 3)])
}

/// Who is a member of what, at random.
pub(crate) fn oracle() -> impl Strategy<Value = Oracle> {
    vec(0_u32..1 << 22, OPAQUE.len()).prop_map(|bits| {
        let members = OPAQUE.iter().zip(bits).map(|(peer, bits)| (peer.parse().unwrap(), bits));
        Oracle::new(members.collect())
    })
}

/// What somebody does in EC2 behind our back.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Add(Atom, Option<String>),
    Remove(Index),
    SetTraffic(Index, Traffic),
    SetPeer(Index, Peer),
    Describe(Index, Option<String>),
    SetTag(String, String),
    DropTag(String),
    StripOwner,
}

/// An edit of a rule.
pub(crate) fn rule_edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        3 => (atom(), text()).prop_map(|(atom, text)| Edit::Add(atom, text)),
        2 => index().prop_map(Edit::Remove),
        2 => (index(), traffic()).prop_map(|(row, traffic)| Edit::SetTraffic(row, traffic)),
        2 => (index(), peer()).prop_map(|(row, peer)| Edit::SetPeer(row, peer)),
        1 => (index(), text()).prop_map(|(row, text)| Edit::Describe(row, text)),
    ]
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        9 => rule_edit(),
        1 => tags().prop_map(|tags| match tags.into_iter().next() {
            Some((key, value)) => Edit::SetTag(key, value),
            None => Edit::DropTag("team".to_owned()),
        }),
        1 => Just(Edit::StripOwner),
    ]
}
