//! Where the fields of a document stand: from the path of a field to its line and column.
//!
//! Entry point: [`Outline`]. It is made only for a document that something is to be said about, so what is right costs nothing.
//!
//! Invariant: an alias is where it is written and is not followed, so the size of an outline is that of its text.

use serde_yaml::granit_parser::{Event, Marker, Parser};

/// What is said of a field: of its name or of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Its name: it is not known here.
    Name,
    /// What it says.
    Value,
}

/// Line and column, from 1.
pub(super) type Spot = (usize, usize);

/// The fields of a document.
#[derive(Debug)]
pub(super) struct Outline {
    root: Node,
}

#[derive(Debug)]
struct Node {
    /// Where its name stands, if it has one.
    name: Option<Spot>,
    value: Spot,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Scalar,
    Fields(Vec<(String, Node)>),
    Items(Vec<Node>),
}

/// A map or a list whose end has not been read yet.
struct Open {
    name: Option<Spot>,
    value: Spot,
    inside: Inside,
    /// The name whose value comes next.
    pending: Option<(String, Spot)>,
}

impl Outline {
    /// Reads the first document of a text, of which `above` lines are not shown.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's events may grow, and all but these are beside the fields")]
    pub(super) fn of(text: &str, above: usize) -> Self {
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        for next in Parser::new_from_str(text) {
            // What cannot be read has been told with a place of its own; what comes before it is in the outline all the same.
            let Ok((event, span)) = next else { break };
            let at = spot(span.start, above);
            let done = match event {
                Event::Scalar(text, _, _, _) => leaf(&mut open, &text, at),
                Event::Alias(_) | Event::UnresolvedAlias(_) => leaf(&mut open, "", at),
                Event::MappingStart(..) => begin(&mut open, at, Inside::Fields(Vec::new())),
                Event::SequenceStart(..) => begin(&mut open, at, Inside::Items(Vec::new())),
                Event::MappingEnd | Event::SequenceEnd => open.pop().and_then(|done| put(&mut open, done.closed())),
                Event::DocumentEnd => break,
                // Comments and marks, of later releases too.
                _ => None,
            };
            if done.is_some() {
                root = done;
                break;
            }
        }
        while let (None, Some(last)) = (&root, open.pop()) {
            root = put(&mut open, last.closed());
        }
        Self { root: root.unwrap_or(Node { name: None, value: (above.saturating_add(1), 1), inside: Inside::Scalar }) }
    }

    /// Where a field stands, such as `spec.ingress[0].from[0].cidr` or `spec.tags[a.b/c]`; of one that is not there, what it
    /// would stand in.
    pub(super) fn find(&self, field: &str, about: About) -> Spot {
        let (mut node, mut rest) = (&self.root, field);
        while let Some((inner, after)) = node.step(rest) {
            (node, rest) = (inner, after);
        }
        let is_scalar = matches!(node.inside, Inside::Scalar);
        match (node.name, about) {
            (Some(_), About::Value) if rest.is_empty() && is_scalar => node.value,
            (Some(name), About::Name | About::Value) => name,
            (None, About::Name | About::Value) => node.value,
        }
    }
}

impl Open {
    fn closed(self) -> Node {
        Node { name: self.name, value: self.value, inside: self.inside }
    }
}

impl Node {
    /// What the first part of a path leads to, and the rest of the path.
    fn step<'a>(&self, path: &'a str) -> Option<(&Self, &'a str)> {
        match &self.inside {
            Inside::Scalar => None,
            // Names may have dots and brackets in them: of those that fit, the longest is meant.
            Inside::Fields(fields) => {
                let fitting = fields.iter().filter_map(|(name, node)| Some((name.len(), node, after(path, name)?)));
                fitting.max_by_key(|(length, _, _)| *length).map(|(_, node, rest)| (node, rest))
            }
            Inside::Items(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, rest))
            }
        }
    }
}

/// What is left of a path behind a name, written `.name` or `[name]`.
fn after<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let dotted = path.strip_prefix('.').unwrap_or(path).strip_prefix(name);
    let bracketed = || path.strip_prefix('[')?.strip_prefix(name)?.strip_prefix(']');
    dotted.filter(|rest| rest.is_empty() || rest.starts_with(['.', '['])).or_else(bracketed)
}

/// Takes in a scalar: the name of a field, or a value. The root, when that is all there is.
fn leaf(open: &mut [Open], text: &str, at: Spot) -> Option<Node> {
    if let Some(Open { inside: Inside::Fields(_), pending: pending @ None, .. }) = open.last_mut() {
        *pending = Some((text.to_owned(), at));
        return None;
    }
    let name = open.last().and_then(|open| open.pending.as_ref()).map(|(_, at)| *at);
    put(open, Node { name, value: at, inside: Inside::Scalar })
}

fn begin(open: &mut Vec<Open>, at: Spot, inside: Inside) -> Option<Node> {
    let name = open.last().and_then(|open| open.pending.as_ref()).map(|(_, at)| *at);
    open.push(Open { name, value: at, inside, pending: None });
    None
}

/// Puts a node where it belongs, or returns it when it belongs nowhere: it is the root then.
fn put(open: &mut [Open], node: Node) -> Option<Node> {
    let Some(parent) = open.last_mut() else { return Some(node) };
    match (&mut parent.inside, parent.pending.take()) {
        (Inside::Fields(fields), Some((name, _))) => fields.push((name, node)),
        // A list or a map as the name of a field: no path leads into it.
        (Inside::Fields(_), None) => parent.pending = Some((String::new(), node.value)),
        (Inside::Items(items), _) => items.push(node),
        (Inside::Scalar, _) => {}
    }
    None
}

fn spot(at: Marker, above: usize) -> Spot {
    (at.line().saturating_add(above), at.col().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# web
apiVersion: x
metadata: {name: web, labels: {a.b/c: d, a: {b: e}}}
spec:
  ingress:
    - name: https   # over TLS
      from: [{cidr: 10.0.0.0/8}, {cidr: \"::/0\"}]
    - name: http
      from:
        - cidr: 10.0.0.0/8
  tags: &tags
    team: shop
  copy: *tags
";

    #[test]
    fn a_field_is_found_where_it_stands() {
        let outline = Outline::of(TEXT, 10);
        for (field, about, expected) in [
            ("", About::Value, (12, 1)),
            ("apiVersion", About::Value, (12, 13)),
            ("apiVersion", About::Name, (12, 1)),
            ("metadata.name", About::Value, (13, 18)),
            ("metadata.labels.a.b/c", About::Value, (13, 39)),
            ("metadata.labels[a.b/c]", About::Value, (13, 39)),
            ("metadata.labels.a.b", About::Value, (13, 49)),
            ("spec", About::Value, (14, 1)),
            ("spec.ingress", About::Value, (15, 3)),
            ("spec.ingress[0]", About::Value, (16, 7)),
            ("spec.ingress[0].from[1].cidr", About::Value, (17, 41)),
            ("spec.ingress[1].from[0].cidr", About::Value, (20, 17)),
            ("spec.ingress[1].from[0].cidr", About::Name, (20, 11)),
            ("spec.tags[team]", About::Value, (22, 11)),
        ] {
            assert_eq!(outline.find(field, about), expected, "{field} {about:?}");
        }
    }

    #[test]
    fn a_field_that_is_not_there_is_looked_for_in_what_it_would_stand_in() {
        let outline = Outline::of(TEXT, 0);
        for (field, expected) in [
            ("spec.egressPolicy", (4, 1)),
            ("spec.ingress[0].ports", (6, 7)),
            ("spec.ingress[7].ports", (5, 3)),
            ("spec.ingress[x]", (5, 3)),
            ("spec.tags[te]", (11, 3)),
            ("spec.copy.inside", (13, 3)),
            ("kind", (2, 1)),
        ] {
            assert_eq!(outline.find(field, About::Value), expected, "{field}");
        }
    }

    #[test]
    fn what_is_no_map_or_cannot_be_read_has_an_outline_too() {
        for (text, expected) in
            [("", (1, 1)), ("just text", (1, 1)), ("\n\n- a: b\n", (3, 1)), ("a: [", (1, 1)), ("? [b]\n: c\n", (1, 1))]
        {
            assert_eq!(Outline::of(text, 0).find("spec.x", About::Value), expected, "{text}");
        }
    }
}
