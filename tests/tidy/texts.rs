//! Documentation that says what the code says: fields, conditions and reasons, metrics, and places that are there.
//!
//! Entry points: the tests; [`spec_fields`] writes what `docs/spec.md` has below its mark.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::source::{Kind, Source, files};
use crate::{Finding, root, settle, stands, text, update};

/// What stands above the generated part of `docs/spec.md`.
const MARK: &str = "<!-- From here on generated from src/api: UPDATE=1 cargo test --test tidy -->\n";

#[test]
fn every_reason_and_condition_is_explained() {
    let page = text("docs/conditions.md");
    let reasons = variants(&Source::read(&root(), "src/core/status/reason.rs"), "Reason");
    let conditions = sgwarden::api::conditions::ALL.map(str::to_owned);
    let mut findings = agree("docs/conditions.md", &listed(&page, "## Reasons"), &reasons);
    findings.extend(agree("docs/conditions.md", &listed(&page, "## Conditions"), &conditions));
    settle(findings);
}

#[test]
fn every_trigger_of_a_pass_is_explained() {
    let triggers = variants(&Source::read(&root(), "src/engine/controller/wakes.rs"), "Trigger");
    let words: Vec<String> = triggers.iter().map(|trigger| trigger.to_lowercase()).collect();
    settle(agree("docs/traces.md", &listed(&text("docs/traces.md"), "## Triggers"), &words));
}

#[test]
fn every_metric_is_explained() {
    // The library appends `_total` to counters and `_info` to infos.
    let bare = |name: &String| ["_total", "_info"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned();
    let listed: Vec<String> = listed(&text("docs/metrics.md"), "## Metrics").iter().map(bare).collect();
    let registered: Vec<String> = Source::all(&root(), "src/ports/metrics")
        .iter()
        .filter(|file| !file.path.ends_with("tests.rs"))
        .flat_map(registered)
        .collect();
    assert!(registered.len() > 5, "only {registered:?}: the check sees nothing");
    settle(agree("docs/metrics.md", &listed, &registered));
}

#[test]
fn every_field_is_explained() {
    let page = text("docs/spec.md");
    let (head, fields) = page.split_once(MARK).expect("docs/spec.md has the mark of its generated part");
    let expected = spec_fields();
    if update() {
        std::fs::write(root().join("docs/spec.md"), format!("{head}{MARK}{expected}")).unwrap();
    } else if fields != expected {
        let line = head.lines().count() + 1 + fields.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count() + 1;
        settle([Finding::at("docs/spec.md", line, "is not what src/api says: UPDATE=1 cargo test --test tidy")]);
    }
}

#[test]
fn places_that_are_named_are_there() {
    let mut paths = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned(), "Makefile".to_owned()];
    for (folder, extension) in
        [("src", "rs"), ("docs", "md"), ("deploy", "md"), ("deploy", "yaml"), ("tests", "rs"), ("tests", "sh")]
    {
        // The checker names places that are not there, on purpose.
        paths.extend(files(&root(), folder, extension).into_iter().filter(|path| !path.ends_with("tidy/checker.rs")));
    }
    settle(paths.iter().flat_map(|path| missing_places(path, &text(path))));
}

/// What is in one list only.
fn agree(path: &str, page: &[String], code: &[String]) -> Vec<Finding> {
    let missing = code.iter().filter(|name| !page.contains(name)).map(|name| format!("{name} is not explained: add a row for it"));
    let stale = page.iter().filter(|name| !code.contains(name)).map(|name| format!("{name} is not in the code: delete its row"));
    missing.chain(stale).map(|what| Finding::at(path, 1, &what)).collect()
}

/// The variants of an enum without data.
pub(crate) fn variants(source: &Source, name: &str) -> Vec<String> {
    let tokens = &source.tokens;
    let start = (0..tokens.len()).find(|at| stands(tokens, *at, &["enum", name, "{"])).unwrap_or_else(|| panic!("no enum {name}"));
    let body: Vec<_> = tokens[start + 3..].iter().take_while(|token| !token.is("}")).collect();
    let mut found = Vec::new();
    let mut depth = 0;
    for token in body {
        match token.text.as_str() {
            "[" | "(" => depth += 1,
            "]" | ")" => depth -= 1,
            _ if depth == 0 && token.kind == Kind::Word => found.push(token.text.clone()),
            _ => {}
        }
    }
    found
}

/// The names in the first cells of a section's table.
pub(crate) fn listed(page: &str, section: &str) -> Vec<String> {
    let lines = page.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.starts_with("## "));
    lines.filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned())).collect()
}

/// The cells of a section's table, without its head.
pub(crate) fn rows(page: &str, section: &str) -> Vec<Vec<String>> {
    let lines = page.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.starts_with("## "));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// The names under which metrics are registered, with our prefix and the unit.
pub(crate) fn registered(source: &Source) -> Vec<String> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let unit = stands(tokens, at, &[".", "register_with_unit", "("]);
        if unit || stands(tokens, at, &[".", "register", "("]) {
            let Some(name) = tokens.get(at + 3).filter(|token| token.kind == Kind::Text) else { continue };
            let call = || tokens[at..].iter().skip(1).take_while(|token| !token.is(";"));
            assert!(
                !unit || call().any(|token| token.is("Seconds")),
                "{}:{}: a unit the check does not know",
                source.path,
                name.line
            );
            found.push(format!("sgwarden_{}{}", name.text, if unit { "_seconds" } else { "" }));
        }
    }
    found
}

/// Files and folders of the package that a text names and that are not there.
pub(crate) fn missing_places(path: &str, text: &str) -> Vec<Finding> {
    let part = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let mut findings = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        for word in content.split(|c: char| !part(c)) {
            let word = word.trim_end_matches('.').trim_start_matches("./");
            let ours = ["deploy/", "docs/", "tests/", "crds/", "src/"].iter().any(|folder| word.starts_with(folder));
            if ours && !root().join(word).exists() {
                findings.push(Finding::at(path, line, &format!("{word} is not there: name what is")));
            }
        }
        for (_, rest) in content.match_indices("](").map(|(at, _)| content.split_at(at + 2)) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let folder = std::path::Path::new(path).parent().unwrap_or(std::path::Path::new(""));
            let local = std::path::Path::new(path).extension().is_some_and(|extension| extension == "md")
                && !target.is_empty()
                && !target.contains(':');
            let told = ["deploy/", "docs/", "tests/", "crds/", "src/"].iter().any(|folder| target.starts_with(folder));
            if local && !told && !root().join(folder).join(target).exists() {
                findings.push(Finding::at(path, line, &format!("the link to {target} leads nowhere: name what is")));
            }
        }
    }
    findings
}

/// The fields of every kind as a page: from the schema, which has the doc comments of the types.
fn spec_fields() -> String {
    let mut page = String::new();
    for (_, crd) in sgwarden::api::crds::all() {
        let crd = serde_json::to_value(crd).expect("a CRD is JSON");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let _ = write!(page, "\n## {}\n\n{}\n", plain(&crd["spec"]["names"]["kind"]), plain(&schema["description"]));
        for part in ["spec", "status"] {
            let mut fields = BTreeMap::new();
            let mut order = Vec::new();
            walk(part, &schema["properties"][part], &mut |path, text| {
                order.push(path.to_owned());
                fields.insert(path.to_owned(), text);
            });
            let _ = write!(page, "\n### {part}\n\n{}\n\n", plain(&schema["properties"][part]["description"]));
            let mut told = false;
            for path in order {
                // Rules of both directions are alike but for `to` and `from`.
                let twin = path.replace("egress[]", "ingress[]").replace(".to", ".from");
                if path != twin && fields.get(&twin).is_some_and(|text| *text == fields[&path]) {
                    if !told {
                        page.push_str(
                            "- The other fields of `spec.egress[]` are those of `spec.ingress[]`, with `to` for `from`.\n",
                        );
                        told = true;
                    }
                    continue;
                }
                let _ = writeln!(page, "- `{path}` {}", fields[&path]);
            }
        }
    }
    page
}

/// Calls `f` with each field below a schema and what there is to say of it.
fn walk(path: &str, schema: &Value, f: &mut dyn FnMut(&str, String)) {
    let required = |name: &str| schema["required"].as_array().is_some_and(|list| list.iter().any(|item| item == name));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let mut text = kind(field);
        if required(name) {
            text += ", required";
        }
        if let Some(words) = field["enum"].as_array() {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            let _ = write!(text, ", {}", words.join(" or "));
        }
        if !field["default"].is_null() {
            let _ = write!(text, ", default {}", field["default"]);
        }
        for (bound, word) in [("maxItems", "at most"), ("maxProperties", "at most")] {
            if let Some(most) = field[bound].as_u64() {
                let _ = write!(text, ", {word} {most}");
            }
        }
        let text = format!("({text}): {}", plain(&field["description"]));
        f(&path, text);
        walk(&path, field, f);
        walk(&format!("{path}[]"), &field["items"], f);
    }
}

fn kind(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "number or string".to_owned();
    }
    match schema["type"].as_str().unwrap_or_default() {
        "array" => format!("list of {}s", kind(&schema["items"]).replace("number or string", "number or string item")),
        "object" if !schema["additionalProperties"].is_null() => "map of strings".to_owned(),
        other => other.to_owned(),
    }
}

/// A doc comment on one line, with what Markdown would swallow escaped.
fn plain(description: &Value) -> String {
    escaped(description.as_str().unwrap_or_default())
}

/// A text on one line, with what Markdown would swallow escaped.
pub(crate) fn escaped(words: &str) -> String {
    let mut text = String::new();
    for c in words.chars() {
        if "\\<`".contains(c) {
            text.push('\\');
        }
        text.push(if c == '\n' { ' ' } else { c });
    }
    text
}
