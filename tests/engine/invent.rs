//! Random worlds: some groups with manifests that overlap and refer to each other, and a script of what happens to them. What a
//! manifest declares is worked out here a second time, not by the engine's own code.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use sgwarden::core::model::{Atom, Direction};

use crate::rig::VPC;

/// Ranges that contain each other.
const RANGES: [&str; 6] = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"];
/// Ranges of the set.
const OFFICES: [&str; 4] = ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24", "198.51.100.0/24"];
/// What rules allow; as in a manifest, protocol and ports.
const TRAFFIC: [(&str, &[&str]); 9] = [
    ("tcp", &["80"]),
    ("tcp", &["443"]),
    ("tcp", &["81"]),
    ("tcp", &["80", "443"]),
    ("tcp", &["80-81"]),
    ("tcp", &["0-65535"]),
    ("udp", &["53"]),
    ("icmp", &[]),
    ("all", &[]),
];

/// A peer as a manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Range(&'static str),
    Office,
    Group(usize),
    Itself,
}

/// One rule of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    traffic: usize,
    peers: Vec<Peer>,
    text: Option<&'static str>,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
    allow_all: bool,
    team: Option<&'static str>,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A manifest is another now.
    Edit(usize, Manifest),
    /// The set is another now.
    EditOffice(Vec<&'static str>),
    /// The manifest is deleted, if no other names the group.
    Delete(usize),
    /// Somebody adds a rule by hand.
    Add(usize, Direction, usize, &'static str),
    /// Somebody takes a rule away.
    Remove(usize, Index),
    /// Somebody changes a rule in place.
    Alter(usize, Index, usize, &'static str),
    /// Somebody writes another description.
    Describe(usize, Index),
    /// Somebody changes a tag.
    Tag(usize, u8),
    /// Somebody deletes the group.
    Destroy(usize),
    /// From now on something goes wrong.
    Trouble(Trouble),
    /// Nothing goes wrong any more.
    Calm,
    /// The process ends, and another one starts.
    Crash,
    /// The process ends with this write from now, and another one starts.
    CrashAtWrite(usize),
    /// The process ends with this write to the store from now.
    CrashAtStatus(usize),
    /// Seconds pass.
    Wait(u64),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Errors before a call takes effect.
    Errors,
    /// Errors after a write took effect.
    ErrorsAfter,
    /// Connections that break before or after.
    Drops,
    /// Throttles.
    Throttles,
    /// Reads that lag behind by as many seconds.
    StaleReads(u64),
    /// Each read by up to as many, so that one may be older than the one before it.
    ErraticReads(u64),
    /// Writes also meet servers that lag behind.
    StaleWrites(u64),
}

/// A world and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) office: Vec<&'static str>,
    pub(crate) manifests: Vec<Manifest>,
    pub(crate) script: Vec<Action>,
}

/// What may happen in a kind of worlds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// EC2's quota and the account's limit.
    pub(crate) quota: usize,
    /// Somebody edits groups by hand.
    pub(crate) intruders: bool,
    /// EC2 fails, and processes end.
    pub(crate) trouble: bool,
}

impl World {
    /// Whether nobody can take our own work for somebody's edit: nobody edits, and reads are not so far from the truth that an
    /// edit looks the same. A process that was told of a write knows which reads are too old to show it; one that was not told,
    /// or did not live to know, cannot, nor can anybody once reads go back in time after they have shown the write. A tag that
    /// was taken away, and is declared again while that pass is not through, is not told from one that somebody took away.
    pub(crate) fn is_plain(&self) -> bool {
        let edited = |at: usize, manifest: &Manifest| {
            self.manifests.get(at).is_some_and(|first| first.team.is_some() != manifest.team.is_some())
        };
        let (mut lag, mut lost, mut erratic) = (0, false, false);
        for action in &self.script {
            match action {
                Action::Trouble(Trouble::StaleReads(_) | Trouble::StaleWrites(_)) => lag += 1,
                Action::Trouble(Trouble::ErraticReads(_)) => erratic = true,
                Action::Trouble(Trouble::ErrorsAfter | Trouble::Drops)
                | Action::Crash
                | Action::CrashAtWrite(_)
                | Action::CrashAtStatus(_) => lost = true,
                Action::Edit(group, manifest) if edited(*group, manifest) => return false,
                Action::Trouble(Trouble::Errors | Trouble::Throttles)
                | Action::Edit(..)
                | Action::EditOffice(_)
                | Action::Delete(_)
                | Action::Calm
                | Action::Wait(_) => {}
                Action::Add(..)
                | Action::Remove(..)
                | Action::Alter(..)
                | Action::Describe(..)
                | Action::Tag(..)
                | Action::Destroy(_) => return false,
            }
        }
        !erratic && (lag == 0 || lag == 1 && !lost)
    }
}

impl Manifest {
    /// The manifest of this group as YAML.
    pub(crate) fn yaml(&self, me: usize) -> String {
        let list = |direction: Direction, rules: &[Rule]| -> String {
            let rules = rules.iter().enumerate().map(|(at, rule)| format!("  - {}\n", rule.yaml(at, direction)));
            let text: String = rules.collect();
            if text.is_empty() { " []\n".to_owned() } else { format!("\n{text}") }
        };
        let policy = if self.allow_all { "AllowAll" } else { "DenyAll" };
        let policy = if self.egress.is_empty() { format!("  egressPolicy: {policy}\n") } else { String::new() };
        let team = self.team.map_or_else(String::new, |team| format!("  tags: {{team: {team}}}\n"));
        format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {}, namespace: shop}}\nspec:\n  \
             vpc: {{id: {VPC}}}\n{team}{policy}  ingress:{}  egress:{}",
            name(me),
            list(Direction::Ingress, &self.ingress),
            list(Direction::Egress, &self.egress)
        )
    }

    pub(crate) fn team(&self) -> Option<&'static str> {
        self.team
    }

    /// Whether it names another group.
    pub(crate) fn names(&self, other: usize) -> bool {
        self.ingress.iter().chain(&self.egress).any(|rule| rule.peers.contains(&Peer::Group(other)))
    }

    /// The same without naming these.
    pub(crate) fn without(&self, gone: impl Fn(usize) -> bool) -> Self {
        let mut manifest = self.clone();
        for rule in manifest.ingress.iter_mut().chain(&mut manifest.egress) {
            for peer in &mut rule.peers {
                if matches!(peer, Peer::Group(other) if gone(*other)) {
                    *peer = Peer::Itself;
                }
            }
            let mut seen = Vec::new();
            rule.peers.retain(|peer| {
                !seen.contains(peer) && {
                    seen.push(*peer);
                    true
                }
            });
        }
        manifest
    }

    /// What is declared, each with its description: the first rule that declares an atom owns it. Groups without an id are
    /// left out.
    pub(crate) fn atoms(&self, me: usize, office: &[&str], id: impl Fn(usize) -> Option<String>) -> BTreeMap<Atom, Option<String>> {
        let mut atoms = BTreeMap::new();
        for (direction, rules) in [(Direction::Ingress, &self.ingress), (Direction::Egress, &self.egress)] {
            for rule in rules {
                let peers = rule.peers.iter().flat_map(|peer| match peer {
                    Peer::Range(range) => vec![(*range).to_owned()],
                    Peer::Office => office.iter().map(|range| (*range).to_owned()).collect(),
                    Peer::Group(other) => id(*other).into_iter().collect(),
                    Peer::Itself => id(me).into_iter().collect(),
                });
                for peer in peers {
                    for traffic in rule.traffic() {
                        let text = format!("{direction} {traffic} {} {peer}", direction.preposition());
                        atoms.entry(text.parse().unwrap()).or_insert_with(|| rule.text.map(str::to_owned));
                    }
                }
            }
        }
        if self.egress.is_empty() && self.allow_all {
            atoms.insert("egress all to 0.0.0.0/0".parse().unwrap(), None);
        }
        atoms
    }

    /// The same with no more than EC2 takes, whatever the set and the others are.
    fn within(mut self, quota: usize) -> Self {
        for rules in [&mut self.ingress, &mut self.egress] {
            while weigh(rules, false) > quota || weigh(rules, true) > quota {
                let last = rules.last_mut().unwrap();
                last.peers.pop();
                if last.peers.is_empty() {
                    rules.pop();
                }
            }
        }
        self
    }
}

/// What rules take of the quota of a family at the most.
fn weigh(rules: &[Rule], ipv6: bool) -> usize {
    let weight = |peer: &Peer| match peer {
        Peer::Range(range) => usize::from(range.contains(':') == ipv6),
        Peer::Office => {
            if ipv6 {
                0
            } else {
                OFFICES.len()
            }
        }
        Peer::Group(_) | Peer::Itself => 1,
    };
    rules.iter().map(|rule| rule.traffic().len() * rule.peers.iter().map(weight).sum::<usize>()).sum()
}

impl Rule {
    fn yaml(&self, at: usize, direction: Direction) -> String {
        let (protocol, ports) = TRAFFIC[self.traffic];
        let ports = match ports {
            [] if protocol == "icmp" => "icmp: {type: -1}, ".to_owned(),
            [] => String::new(),
            ports => format!("ports: [\"{}\"], ", ports.join("\", \"")),
        };
        let text = self.text.map_or_else(String::new, |text| format!("description: {text}, "));
        let peers: Vec<String> = self
            .peers
            .iter()
            .map(|peer| match peer {
                Peer::Range(range) => format!("{{cidr: \"{range}\"}}"),
                Peer::Office => "{cidrSet: {name: office}}".to_owned(),
                Peer::Group(other) => format!("{{securityGroup: {{name: {}}}}}", name(*other)),
                Peer::Itself => "{self: true}".to_owned(),
            })
            .collect();
        format!("{{name: r{at}, {text}protocol: {protocol}, {ports}{}: [{}]}}", direction.preposition(), peers.join(", "))
    }

    /// As EC2 has it.
    fn traffic(&self) -> Vec<String> {
        traffic(self.traffic)
    }
}

fn traffic(index: usize) -> Vec<String> {
    match TRAFFIC[index] {
        (protocol, []) => vec![protocol.to_owned()],
        (protocol, ports) => ports.iter().map(|port| format!("{protocol} {port}")).collect(),
    }
}

/// An atom somebody makes by hand.
pub(crate) fn by_hand(direction: Direction, index: usize, range: &str) -> Atom {
    format!("{direction} {} {} {range}", traffic(index)[0], direction.preposition()).parse().unwrap()
}

pub(crate) fn name(group: usize) -> String {
    format!("g{group}")
}

/// The set as YAML.
pub(crate) fn office(ranges: &[&str]) -> String {
    let list: Vec<String> = ranges.iter().map(|range| format!("{{cidr: {range}}}")).collect();
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: office, namespace: shop}}\nspec: {{cidrs: [{}]}}",
        list.join(", ")
    )
}

fn offices() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(OFFICES.to_vec(), 1..=3)
}

fn range() -> impl Strategy<Value = &'static str> {
    select(RANGES.as_slice())
}

fn rule(groups: usize, me: usize) -> impl Strategy<Value = Rule> {
    let mut peers: Vec<Peer> = RANGES.iter().map(|range| Peer::Range(range)).collect();
    peers.extend([Peer::Office, Peer::Office, Peer::Itself]);
    peers.extend((0..groups).filter(|other| *other != me).map(Peer::Group));
    let text = prop_oneof![2 => Just(None), 1 => Just(Some("one")), 1 => Just(Some("two"))];
    (0..TRAFFIC.len(), subsequence(peers, 1..=3), text).prop_map(|(traffic, mut peers, text)| {
        peers.dedup();
        // ICMP has a name of its own in IPv6.
        let v4 = |peer: &Peer| !matches!(peer, Peer::Range(range) if range.contains(':'));
        if TRAFFIC[traffic].0 == "icmp" {
            peers.retain(v4);
            peers.extend(peers.is_empty().then_some(Peer::Range("10.0.0.0/8")));
        }
        Rule { traffic, peers, text }
    })
}

fn manifest(groups: usize, me: usize, quota: usize) -> impl Strategy<Value = Manifest> {
    let ingress = prop::collection::vec(rule(groups, me), 0..=3);
    let egress = prop::collection::vec(rule(groups, me), 0..=2);
    let team = prop_oneof![2 => Just(None), 1 => Just(Some("shop")), 1 => Just(Some("bank"))];
    (ingress, egress, any::<bool>(), team)
        .prop_map(move |(ingress, egress, allow_all, team)| Manifest { ingress, egress, allow_all, team }.within(quota))
}

fn edit(groups: usize, quota: usize) -> impl Strategy<Value = Action> {
    (0..groups).prop_flat_map(move |group| manifest(groups, group, quota).prop_map(move |manifest| Action::Edit(group, manifest)))
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![2 => Just(Direction::Ingress), 1 => Just(Direction::Egress)]
}

fn intrusion(groups: usize) -> impl Strategy<Value = Action> {
    let group = 0..groups;
    prop_oneof![
        4 => (group.clone(), direction(), 0..TRAFFIC.len(), range())
            .prop_filter("ICMP of IPv6 is another", |(_, _, traffic, range)| TRAFFIC[*traffic].0 != "icmp" || !range.contains(':'))
            .prop_map(|(group, direction, traffic, range)| Action::Add(group, direction, traffic, range)),
        3 => (group.clone(), any::<Index>()).prop_map(|(group, rule)| Action::Remove(group, rule)),
        3 => (group.clone(), any::<Index>(), 0..TRAFFIC.len(), range())
            .prop_map(|(group, rule, traffic, range)| Action::Alter(group, rule, traffic, range)),
        1 => (group.clone(), any::<Index>()).prop_map(|(group, rule)| Action::Describe(group, rule)),
        1 => (group.clone(), 0_u8..4).prop_map(|(group, kind)| Action::Tag(group, kind)),
        1 => group.prop_map(Action::Destroy),
    ]
}

fn trouble() -> impl Strategy<Value = Action> {
    let trouble = prop_oneof![
        Just(Trouble::Errors),
        Just(Trouble::ErrorsAfter),
        Just(Trouble::Drops),
        Just(Trouble::Throttles),
        (1_u64..=30).prop_map(Trouble::StaleReads),
        (1_u64..=30).prop_map(Trouble::ErraticReads),
        (1_u64..=10).prop_map(Trouble::StaleWrites),
    ];
    prop_oneof![
        4 => trouble.prop_map(Action::Trouble),
        1 => Just(Action::Calm),
        2 => Just(Action::Crash),
        2 => (1_usize..=4).prop_map(Action::CrashAtWrite),
        1 => (1_usize..=6).prop_map(Action::CrashAtStatus),
    ]
}

fn wait() -> impl Strategy<Value = Action> {
    select([0_u64, 1, 3, 7, 20, 70, 400].as_slice()).prop_map(Action::Wait)
}

/// Worlds of a kind.
pub(crate) fn world(kind: Kind) -> impl Strategy<Value = World> {
    let Kind { quota, intruders, trouble: troubled } = kind;
    (1_usize..=3).prop_flat_map(move |groups| {
        let declared = prop_oneof![
            5 => edit(groups, quota),
            2 => offices().prop_map(Action::EditOffice),
            1 => (0..groups).prop_map(Action::Delete),
        ];
        let action = prop_oneof![
            4 => declared.boxed(),
            4 => wait().boxed(),
            if intruders { 4 } else { 0 } => intrusion(groups).boxed(),
            if troubled { 3 } else { 0 } => trouble().boxed(),
        ];
        let manifests: Vec<_> = (0..groups).map(|me| manifest(groups, me, quota).boxed()).collect();
        (offices(), manifests, prop::collection::vec(action, 1..=8)).prop_map(|(office, manifests, script)| World {
            office,
            manifests,
            script,
        })
    })
}
