//! The groups and what they refer to, as a picture.
//!
//! Invariant: equal input gives equal bytes, and no text of others can end a label.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;

use crate::core::desired::{Declaration, DeclaredRule, Referent, ReferentKind, Who};
use crate::core::model::{Direction, Traffic};

use super::question::Family;
use super::world::{CannotTell, Group, World};

/// Something that connections begin or end at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Object(Referent),
    Group(String),
    PrefixList(String),
    Range(String),
    Internet,
}

/// Who may connect to whom, by the rules of one of the two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: usize,
    to: usize,
    direction: Direction,
}

/// What is on an edge: its traffic, and that of rules that wait or are refused.
#[derive(Clone, Debug, Default)]
struct Label {
    traffic: BTreeSet<Traffic>,
    waiting: BTreeSet<Traffic>,
}

/// A picture of groups.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    edges: BTreeMap<Edge, Label>,
}

/// The picture of some groups and of all that they refer to. Rules that are over are left out.
pub fn graph(world: &World, names: &BTreeSet<Referent>, now: Timestamp) -> Result<Graph, CannotTell> {
    let mut links: BTreeMap<(Node, Node, Direction), Label> = BTreeMap::new();
    let mut nodes: BTreeSet<Node> = BTreeSet::new();
    for name in names {
        let group = world.group(name)?;
        nodes.insert(Node::Object(name.clone()));
        for (peer, direction, traffic, waits) in links_of(world, &group, now) {
            let own = Node::Object(name.clone());
            nodes.insert(peer.clone());
            let (from, to) = match direction {
                Direction::Ingress => (peer, own),
                Direction::Egress => (own, peer),
            };
            let label = links.entry((from, to, direction)).or_default();
            if waits {
                label.waiting.insert(traffic)
            } else {
                label.traffic.insert(traffic)
            };
        }
    }
    let nodes: Vec<Node> = nodes.into_iter().collect();
    let place = |node: &Node| nodes.binary_search(node).unwrap_or_default();
    let edges =
        links.into_iter().map(|((from, to, direction), label)| (Edge { from: place(&from), to: place(&to), direction }, label));
    Ok(Graph { edges: edges.collect(), nodes })
}

/// Each peer of a group with what may pass, and whether that waits for something.
fn links_of(world: &World, group: &Group<'_>, now: Timestamp) -> Vec<(Node, Direction, Traffic, bool)> {
    let lookups = world.lookups(group, now, false);
    let whole = group.declaration.resolve(&lookups);
    let alone = Declaration { rules: Vec::new(), egress_policy: None, ..group.declaration.clone() };
    let mut links = Vec::new();
    for rule in &group.declaration.rules {
        for peer in &rule.peers {
            let one = DeclaredRule { peers: vec![peer.clone()], ..rule.clone() };
            let resolved = Declaration { rules: vec![one], ..alone.clone() }.resolve(&lookups);
            let waits = whole.holds(rule.direction, &rule.name).is_some() || !resolved.refused.is_empty();
            if resolved.rules.is_empty() && !waits {
                continue;
            }
            let node = node(world, group, &peer.who);
            links.extend(rule.traffic.iter().map(|traffic| (node.clone(), rule.direction, *traffic, waits)));
        }
    }
    let policy = Declaration { rules: Vec::new(), ..group.declaration.clone() }.resolve(&lookups).rules;
    links.extend(policy.iter().map(|(atom, _)| (Node::Internet, atom.direction, atom.traffic, false)));
    links
}

fn node(world: &World, group: &Group<'_>, who: &Who) -> Node {
    match who {
        Who::Range(net) if Family::BOTH.iter().any(|family| family.everybody() == *net) => Node::Internet,
        Who::Range(net) => Node::Range(net.to_string()),
        Who::This => Node::Object(group.name.clone()),
        Who::Object(referent) => Node::Object(referent.clone()),
        Who::Group { id, account } => match (world.by_id(id), account) {
            (Some(name), _) => Node::Object(name.clone()),
            (None, None) => Node::Group(id.to_string()),
            (None, Some(account)) => Node::Group(format!("{account}/{id}")),
        },
        Who::PrefixList(id) => Node::PrefixList(id.to_string()),
        Who::PrefixListName(name) => Node::PrefixList(name.clone()),
    }
}

impl Node {
    fn label(&self) -> String {
        match self {
            Self::Object(Referent { kind: ReferentKind::SecurityGroup, namespace, name }) => {
                format!("{namespace}/{name}")
            }
            Self::Object(set) => set.to_string(),
            Self::Group(id) => format!("{id} (not managed here)"),
            Self::PrefixList(name) => format!("prefix list {name}"),
            Self::Range(net) => net.clone(),
            Self::Internet => "internet".to_owned(),
        }
    }

    /// The shape that tells kinds apart, in DOT.
    fn shape(&self) -> &'static str {
        match self {
            Self::Object(Referent { kind: ReferentKind::SecurityGroup, namespace: _, name: _ }) => "box",
            Self::Object(_) => "folder",
            Self::Group(_) => "component",
            Self::PrefixList(_) => "note",
            Self::Range(_) => "ellipse",
            Self::Internet => "doublecircle",
        }
    }
}

impl Label {
    /// `in: tcp 443, tcp 8000-8100; held back: icmp`
    fn text(&self, direction: Direction) -> String {
        let list = |traffic: &BTreeSet<Traffic>| traffic.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let held = (!self.waiting.is_empty()).then(|| format!("waits: {}", list(&self.waiting)));
        let open = (!self.traffic.is_empty()).then(|| list(&self.traffic));
        let parts: Vec<String> = open.into_iter().chain(held).collect();
        format!("{direction} {}", parts.join("; "))
    }
}

impl Graph {
    /// The picture in Graphviz's language.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph sgwarden {\n  rankdir=LR;\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(text, "  n{index} [label={}, shape={}];", dot(&node.label()), node.shape());
        }
        for (Edge { from, to, direction }, label) in &self.edges {
            let style = if label.traffic.is_empty() { ", style=dashed" } else { "" };
            let _ = writeln!(text, "  n{from} -> n{to} [label={}{style}];", dot(&label.text(*direction)));
        }
        text + "}\n"
    }

    /// The picture as a Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(text, "  n{index}[\"{}\"]", mermaid(&node.label()));
        }
        for (Edge { from, to, direction }, label) in &self.edges {
            let arrow = if label.traffic.is_empty() { "-.->" } else { "-->" };
            let _ = writeln!(text, "  n{from} {arrow}|\"{}\"| n{to}", mermaid(&label.text(*direction)));
        }
        text
    }
}

/// A quoted text of DOT. A backslash begins an escape there even where it means none.
fn dot(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push(char::REPLACEMENT_CHARACTER),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text between quotes in Mermaid, which renders HTML and Markdown there: all but the harmless are written as numbers.
fn mermaid(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        if c.is_control() {
            quoted.push(char::REPLACEMENT_CHARACTER);
        } else if c.is_alphanumeric() || " -./:,()".contains(c) {
            quoted.push(c);
        } else {
            let _ = write!(quoted, "#{};", u32::from(c));
        }
    }
    quoted
}
