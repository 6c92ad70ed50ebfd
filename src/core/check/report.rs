//! What people and programs read of a check.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::activity::harmless;
use crate::core::listing::Colour;

use super::Severity;

/// The version of the JSON. It grows when a field goes or changes its meaning, not when one comes.
const VERSION: u32 = 1;
/// Columns are no wider than this; what is longer moves the rest of its line.
const WIDEST: usize = 48;

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files.
    pub files: usize,
    /// Objects of our kinds, by kind.
    pub objects: BTreeMap<String, usize>,
    /// Documents of other kinds, which were left alone, by kind.
    pub foreign: BTreeMap<String, usize>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The file, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The path of the field; empty for the whole object, or file.
    pub field: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do about it.
    pub message: String,
    /// Of which object, as far as that is known: its kind, its namespace (empty where it is in none) and its name.
    pub object: Option<(String, String, String)>,
}

/// A check that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    counts: Counts,
    told: Vec<Told>,
}

impl Report {
    /// Everything that is wrong, in the order of the places.
    pub fn new(counts: Counts, mut told: Vec<Told>) -> Self {
        told.sort();
        Self { counts, told }
    }

    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.told.iter().filter(|told| told.severity == severity).count()
    }

    /// For people: a line each, and one that sums up.
    pub fn text(&self, took: Option<Duration>, colour: Colour) -> String {
        let place = |told: &Told| visible(&format!("{}:{}:{}", told.file, told.line, told.column));
        let width = |cell: &dyn Fn(&Told) -> String| {
            let widths = self.told.iter().map(|told| cell(told).chars().count());
            widths.filter(|width| *width <= WIDEST).max().unwrap_or_default()
        };
        let field = |told: &Told| visible(&told.field);
        let (places, fields) = (width(&place), width(&field));
        let mut text = String::new();
        for told in &self.told {
            let pad = |cell: &str, width: usize| " ".repeat(width.saturating_sub(cell.chars().count()));
            let (place, field) = (place(told), field(told));
            let (after_place, after_field) = (pad(&place, places), pad(&field, fields));
            let word = match told.severity {
                Severity::Error => "",
                Severity::Warning => "warning: ",
            };
            let (place, message) = (painted(&place, told.severity, colour), visible(&told.message));
            let _ = writeln!(text, "{place}{after_place}  {field}{after_field}  {word}{message}");
        }
        text + &self.summary(took) + "\n"
    }

    fn summary(&self, took: Option<Duration>) -> String {
        let Counts { files, objects, foreign } = &self.counts;
        let groups = objects.get("SecurityGroup").copied().unwrap_or_default();
        let others = objects.values().sum::<usize>().saturating_sub(groups);
        let mut looked_at = vec![counted(*files, "file"), counted(groups, "group")];
        if others > 0 {
            looked_at.push(counted(others, "other object"));
        }
        let wrong: Vec<String> = [Severity::Error, Severity::Warning]
            .into_iter()
            .map(|severity| (self.count(severity), severity.as_str()))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| counted(count, word))
            .collect();
        let wrong = if wrong.is_empty() { "nothing wrong".to_owned() } else { wrong.join(", ") };
        let foreign: usize = foreign.values().sum();
        let alone =
            if foreign == 0 { String::new() } else { format!("; {} of other kinds left alone", counted(foreign, "document")) };
        let took = took.map(|took| format!(" ({:.1} s)", took.as_secs_f64())).unwrap_or_default();
        format!("{}: {wrong}{alone}{took}", looked_at.join(", "))
    }

    /// For programs; docs/cli.md lists the fields.
    pub fn json(&self) -> Value {
        let Counts { files, objects, foreign } = &self.counts;
        let findings: Vec<Value> = self.told.iter().map(finding).collect();
        json!({
            "version": VERSION,
            "files": files,
            "objects": objects,
            "foreign": foreign,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "findings": findings,
        })
    }
}

fn finding(told: &Told) -> Value {
    let Told { file, line, column, field, severity, message, object } = told;
    let object = object.as_ref().map(|(kind, namespace, name)| {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        json!({ "kind": kind, "namespace": namespace, "name": name })
    });
    json!({
        "severity": severity.as_str(),
        "file": file,
        "line": line,
        "column": column,
        "object": object,
        "field": field,
        "message": message,
    })
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A text of others, which moves no cursor and turns no line.
fn visible(text: &str) -> String {
    text.chars().map(harmless).collect()
}

fn painted(text: &str, severity: Severity, colour: Colour) -> String {
    let code = match (colour, severity) {
        (Colour::Never, _) => return text.to_owned(),
        (Colour::Always, Severity::Error) => "31",
        (Colour::Always, Severity::Warning) => "33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(file: &str, line: usize, severity: Severity, message: &str) -> Told {
        let object = Some(("SecurityGroup".to_owned(), "shop".to_owned(), "web".to_owned()));
        Told { file: file.into(), line, column: 3, field: "spec.vpc".into(), severity, message: message.into(), object }
    }

    #[test]
    fn lines_are_in_the_order_of_the_places_and_colour_only_beside_the_words() {
        let counts = Counts { files: 2, objects: BTreeMap::from([("SecurityGroup".to_owned(), 1)]), ..Counts::default() };
        let all = vec![
            told("b.yaml", 1, Severity::Warning, "c"),
            told("a.yaml", 10, Severity::Error, "b"),
            told("a.yaml", 9, Severity::Error, "a"),
        ];
        let report = Report::new(counts, all);
        let plain = report.text(Some(Duration::from_millis(240)), Colour::Never);
        insta::assert_snapshot!(plain, @r"
        a.yaml:9:3   spec.vpc  a
        a.yaml:10:3  spec.vpc  b
        b.yaml:1:3   spec.vpc  warning: c
        2 files, 1 group: 2 errors, 1 warning (0.2 s)
        ");
        let coloured = report.text(Some(Duration::from_millis(240)), Colour::Always);
        assert_eq!(coloured.replace("\u{1b}[31m", "").replace("\u{1b}[33m", "").replace("\u{1b}[0m", ""), plain);
        assert_ne!(coloured, plain);
    }

    #[test]
    fn texts_of_others_move_no_cursor() {
        let report = Report::new(Counts::default(), vec![told("a\u{1b}[2J.yaml", 1, Severity::Error, "two\nlines")]);
        let text = report.text(None, Colour::Never);
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn what_was_left_alone_is_counted() {
        let counts = Counts {
            files: 1,
            objects: BTreeMap::from([("CidrSet".to_owned(), 2), ("AwsAccount".to_owned(), 1)]),
            foreign: BTreeMap::from([("ConfigMap".to_owned(), 2)]),
        };
        let text = Report::new(counts, Vec::new()).text(None, Colour::Never);
        assert_eq!(text, "1 file, 0 groups, 3 other objects: nothing wrong; 2 documents of other kinds left alone\n");
    }
}
