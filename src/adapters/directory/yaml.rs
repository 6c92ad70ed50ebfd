//! A document's text to a value: YAML, of which JSON is a part, within limits, and in plain words what is wrong with it.
//!
//! Entry points: [`documents`], [`parse`].
//!
//! Invariant: no text makes this take longer than its size explains: aliases are worth so much and no more.

use serde_json::Value;
use serde_yaml::{Error, Options};

/// Most values of a document that are there only as aliases of others. A manifest that is written by hand has a few.
const MAX_ALIASED: usize = 50_000;
/// How deep a document may be. Ours are ten deep, other people's CRDs thirty.
const MAX_DEPTH: usize = 128;
const ANOTHER: &str = "another document begins here: put a line with --- before it";
const TOO_DEEP: &str = "deeper than any manifest is: correct the brackets or the indentation";

/// Why a document cannot be read, with line and column in its text, from 1.
#[derive(Debug)]
pub(super) struct Syntax {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// The documents of a YAML stream, each with how many lines are above it. JSON is one document.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        let begins = bare == "---" || line.starts_with("--- ") || line.starts_with("---\t");
        // What follows an end without another beginning is a document too.
        if begins || bare == "..." {
            documents.push((first, text.get(start..at).unwrap_or_default()));
            (start, first) = (at, number);
        }
        at = at.saturating_add(line.len());
    }
    documents.push((first, text.get(start..).unwrap_or_default()));
    documents
}

/// Whether there is nothing in a document: comments, directives, and the marks of its beginning and end.
pub(super) fn is_blank(document: &str) -> bool {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    document.lines().all(|line| {
        let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("...")).unwrap_or(line);
        blank(rest) || line.starts_with('%')
    })
}

/// Where the first thing in a document stands that is no comment: line and column from 1.
pub(super) fn beginning(document: &str) -> (usize, usize) {
    for (number, line) in document.lines().enumerate() {
        let mark = if line.starts_with("---") || line.starts_with("...") { 3 } else { 0 };
        let rest = line.get(mark..).unwrap_or_default();
        if is_blank(rest) {
            continue;
        }
        let indent = rest.chars().take_while(|c| c.is_whitespace()).count();
        return (number.saturating_add(1), mark.saturating_add(indent).saturating_add(1));
    }
    (1, 1)
}

/// A document without the end of the one before.
pub(super) fn body(document: &str) -> &str {
    document.strip_prefix("...").unwrap_or(document)
}

/// Reads a document.
pub(super) fn parse(document: &str) -> Result<Value, Syntax> {
    serde_yaml::from_str_with_options(body(document), options()).map_err(|error| explain(&error, document))
}

fn options() -> Options {
    // A file has a limit of its own; what grows beyond it grows by aliases.
    let budget = serde_yaml::budget! { max_nodes: usize::MAX, max_events: usize::MAX, max_depth: MAX_DEPTH };
    let mut options = serde_yaml::options! { budget: budget, with_snippet: false };
    options.alias_limits.max_total_replayed_events = MAX_ALIASED;
    options
}

fn explain(error: &Error, document: &str) -> Syntax {
    let error = error.without_snippet();
    let place = error.location().map(|at| (at.line(), at.column()));
    let number = |number: u64| usize::try_from(number).unwrap_or_default();
    let (line, column) = place.map_or_else(|| beginning(document), |(line, column)| (number(line), number(column)));
    let text = document.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    Syntax { line, column, message: in_words(error, text) }
}

/// What is wrong, with the remedy where one is known. `line` is the text of the line it is in.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser's errors may grow, and its own words do for most")]
fn in_words(error: &Error, line: &str) -> String {
    if line.contains("{{") {
        return "this is a template and no YAML yet: check what it renders to, such as the output of helm template".to_owned();
    }
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("field {key} is written twice: keep one"),
        Error::DuplicateMappingKey { key: None, .. } => "a field is written twice: keep one".to_owned(),
        Error::MultipleDocuments { .. } => ANOTHER.to_owned(),
        Error::UnknownAnchor { .. } => "the alias is of no anchor before it in this document: correct or remove it".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "the alias stands in what it stands for, which has no end: write it out".to_owned()
        }
        Error::Budget { .. } => TOO_DEEP.to_owned(),
        other => {
            let text = other.to_string();
            let words = text.split(" at line ").next().unwrap_or_default();
            let words = words.lines().next().unwrap_or_default().trim();
            // Some say only in words what they are.
            if words.contains("expected <document start>") {
                ANOTHER.to_owned()
            } else if words.starts_with("alias replay limit") {
                format!("its aliases stand for more than {MAX_ALIASED} values: write them out")
            } else if words.starts_with("recursion limit") {
                TOO_DEEP.to_owned()
            } else if words.contains("tab") {
                format!("{words}: indent with spaces")
            } else {
                words.to_owned()
            }
        }
    }
}
