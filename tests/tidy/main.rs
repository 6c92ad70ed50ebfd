//! What the compiler does not hold: who may use whom, how files look, and that files which say the same thing agree.
//!
//! Entry point: `cargo test --test tidy`. A finding names file and line and says what to do. `UPDATE=1 cargo test --test
//! tidy` rewrites what is generated: `crds/`, the fields in `docs/spec.md`, the options in `docs/cli.md` and the `PrometheusRule`.
//!
//! Rooms: `source` (reading Rust), `layers` (the table of the floors), `texts` (documentation in step), `options` (that of the
//! command line), `deployed` (the policies in step), `monitoring` (alerts and dashboard in step), `checker` (the tests of all
//! this).
//!
//! Invariant: every check here is tried on something bad in `checker`, so that none passes because it sees nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the failure; clippy.toml allows it in test functions, these are their helpers"
)]

mod checker;
mod deployed;
mod layers;
mod monitoring;
mod options;
mod source;
mod texts;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use source::{Source, Token, files};

/// The most lines a file may have.
const MAX_LINES: usize = 600;

/// Files of decisions about every field: nothing may be left out with `..` there, or a new field would go unnoticed.
const NOTHING_LEFT_OUT: &[&str] = &[
    "src/core/plan/",
    "src/adapters/aws/convert.rs",
    "src/adapters/aws/error.rs",
    "src/adapters/aws/listed.rs",
    "src/adapters/aws/lists.rs",
];

/// Where tests may sleep: helpers that wait for real processes, which tell nobody when they are done.
/// The tier of the engine runs in virtual time: its sleeps take none.
const MAY_SLEEP: &[&str] = &["tests/support/", "tests/engine/"];

/// Crates that stay out, and why. A version stands for itself and what is below it.
const KEPT_OUT: &[(&str, &str)] = &[
    ("ring ", "TLS is aws-lc-rs for all: look which feature brought it in"),
    ("hyper v0.", "one HTTP stack: turn off the SDK crate's default features"),
    ("h2 v0.3", "one HTTP stack: turn off the SDK crate's default features"),
    ("rustls v0.21", "one TLS stack: turn off the SDK crate's default features"),
    ("hyper-rustls v0.24", "one TLS stack: turn off the SDK crate's default features"),
    ("native-tls ", "TLS is aws-lc-rs for all"),
    ("openssl ", "TLS is aws-lc-rs for all"),
    ("openssl-sys ", "TLS is aws-lc-rs for all"),
    ("serde_yaml ", "deprecated: the package named serde_yaml here is serde-saphyr"),
    ("reqwest ", "one HTTP client is enough"),
    ("tonic ", "traces go over HTTP, by the one client there is"),
];

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    pub(crate) fn new(source: &Source, line: usize, what: &str) -> Self {
        Self::at(&source.path, line, what)
    }

    pub(crate) fn at(path: &str, line: usize, what: &str) -> Self {
        Self { path: path.to_owned(), line, what: what.to_owned() }
    }
}

/// Fails with every finding, one a line.
#[track_caller]
pub(crate) fn settle(findings: impl IntoIterator<Item = Finding>) {
    let findings: BTreeSet<Finding> = findings.into_iter().collect();
    let lines = findings.iter().map(|Finding { path, line, what }| format!("{path}:{line}: {what}")).collect::<Vec<_>>();
    assert!(lines.is_empty(), "{} to put right:\n{}\n", lines.len(), lines.join("\n"));
}

/// The package's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the package.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether generated files are to be written instead of compared.
pub(crate) fn update() -> bool {
    std::env::var_os("UPDATE").is_some_and(|update| update == "1")
}

fn src() -> Vec<Source> {
    let found = Source::all(&root(), "src");
    assert!(found.len() > 50, "only {} files in src: the checks see nothing", found.len());
    found
}

fn src_and_tests() -> Vec<Source> {
    let mut found = src();
    found.extend(Source::all(&root(), "tests"));
    found
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    settle(src().iter().flat_map(layers::check));
}

#[test]
fn other_crates_stay_in_their_rooms() {
    settle(src().iter().flat_map(layers::foreign));
}

#[test]
fn core_has_no_time_chance_waiting_or_hash_order() {
    settle(src().iter().flat_map(layers::core_is_pure));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    settle(src_and_tests().iter().flat_map(shape));
}

#[test]
fn a_folder_is_a_module_with_mod_rs() {
    let sources = src_and_tests();
    settle(folders(&sources.iter().map(|source| source.path.as_str()).collect::<Vec<_>>()));
}

#[test]
fn nothing_is_left_for_later() {
    settle(src_and_tests().iter().flat_map(unfinished));
}

#[test]
fn decisions_name_every_field() {
    let decisions = src().into_iter().filter(|source| NOTHING_LEFT_OUT.iter().any(|path| source.path.starts_with(path)));
    settle(decisions.flat_map(|source| left_out(&source)));
}

#[test]
fn tests_wait_for_what_they_wait_for() {
    let tests = Source::all(&root(), "tests");
    settle(tests.iter().filter(|source| !MAY_SLEEP.iter().any(|path| source.path.starts_with(path))).flat_map(sleeps));
}

#[test]
fn crds_are_as_the_types_say() {
    let rendered = sgwarden::api::crds::render();
    let mut findings = Vec::new();
    for (file, expected) in &rendered {
        let path = format!("crds/{file}");
        if update() {
            std::fs::write(root().join(&path), expected).unwrap();
        } else if std::fs::read_to_string(root().join(&path)).ok().as_ref() != Some(expected) {
            findings.push(Finding::at(&path, 1, "is not what src/api says: UPDATE=1 cargo test --test tidy"));
        }
    }
    for path in files(&root(), "crds", "yaml") {
        if !rendered.iter().any(|(file, _)| path == format!("crds/{file}")) {
            findings.push(Finding::at(&path, 1, "comes from no type in src/api: delete it"));
        }
    }
    settle(findings);
}

/// What is built, not what stands in Cargo.lock: that also lists optional crates nobody asked for.
#[test]
fn crates_that_stay_out_are_out() {
    let cargo = Command::new(env!("CARGO"))
        .args(["tree", "--frozen", "--prefix", "none", "--edges", "normal,build,dev", "--format", "{p} | {l}"])
        .current_dir(root())
        .output()
        .expect("cargo runs: it runs this test");
    assert!(cargo.status.success(), "cargo tree: {}", String::from_utf8_lossy(&cargo.stderr));
    let tree = String::from_utf8(cargo.stdout).expect("names of crates are ASCII");
    assert!(tree.lines().count() > 100, "a tree of {} lines is none", tree.lines().count());
    settle(tree.lines().flat_map(kept_out));
}

/// Length, and the first line.
fn shape(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        let what = format!("has {lines} lines, {MAX_LINES} is the limit: make it a folder of files that do one thing each");
        findings.push(Finding::new(source, MAX_LINES, &what));
    }
    if !source.text.lines().next().is_some_and(|first| first.starts_with("//! ") && first.len() > 20) {
        findings.push(Finding::new(source, 1, "begin with //! and a sentence on what the file is for"));
    }
    findings
}

/// Folders without `mod.rs` (a test binary has `main.rs`), and files beside a folder of their name.
fn folders(paths: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths {
        let beside = path.trim_end_matches(".rs");
        if paths.iter().any(|other| other.starts_with(&format!("{beside}/"))) {
            findings.push(Finding::at(path, 1, &format!("move it to {beside}/mod.rs: a module is one file or one folder")));
        }
        let folder = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
        let has = |name: &str| paths.contains(&format!("{folder}/{name}").as_str());
        if folder.contains('/') && !has("mod.rs") && !has("main.rs") {
            findings.push(Finding::at(path, 1, &format!("{folder} is no module: give it a mod.rs (a test binary: main.rs)")));
        }
    }
    findings
}

/// Whether tokens stand at a place.
fn stands(tokens: &[Token], at: usize, texts: &[&str]) -> bool {
    texts.iter().zip(at..).all(|(text, at)| tokens.get(at).is_some_and(|token| token.is(text)))
}

fn unfinished(source: &Source) -> Vec<Finding> {
    let tokens = &source.tokens;
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        for name in ["todo", "unimplemented"] {
            if stands(tokens, at, &[name, "!"]) {
                findings.push(Finding::new(source, token.line, &format!("{name}!: write it, or return an error that says so")));
            }
        }
        if stands(tokens, at, &["#", "[", "ignore"]) {
            findings.push(Finding::new(source, token.line, "an ignored test: mend it or delete it"));
        }
    }
    // Written apart, or this file would find itself.
    let marks = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
    for (line, text) in (1..).zip(source.text.lines()) {
        if text.split(|c: char| !c.is_alphanumeric()).any(|word| marks.contains(&word)) {
            findings.push(Finding::new(source, line, "a note to oneself: do it, or open an issue and delete the note"));
        }
    }
    findings
}

/// Struct patterns that end in `..`; a struct expression has something behind the dots.
fn left_out(source: &Source) -> Vec<Finding> {
    let tokens = source.without_tests();
    let opens = |at: usize| at.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|token| token.is("{") || token.is(","));
    (0..tokens.len())
        .filter(|at| stands(tokens, *at, &["..", "}"]) && opens(*at))
        .map(|at| {
            Finding::new(
                source,
                tokens[at].line,
                "name every field (field: _ where it does not matter), so that a new one is noticed",
            )
        })
        .collect()
}

fn sleeps(source: &Source) -> Vec<Finding> {
    let sleeps = |segments: &[String]| {
        segments.ends_with(&["thread".to_owned(), "sleep".to_owned()])
            || segments.ends_with(&["time".to_owned(), "sleep".to_owned()])
    };
    let paths = source.paths().into_iter().filter(|named| sleeps(&named.segments));
    paths.map(|named| Finding::new(source, named.line, "wait for what you wait for (tests/support), or turn the clock")).collect()
}

/// A line of `cargo tree`: name, version, licence.
fn kept_out(line: &str) -> Vec<Finding> {
    let (package, licence) = line.split_once(" | ").unwrap_or((line, ""));
    let mut findings = Vec::new();
    for (_, why) in KEPT_OUT.iter().filter(|(start, _)| format!("{package} ").starts_with(start)) {
        findings.push(Finding::at("Cargo.lock", 1, &format!("{package}: {why}; cargo tree -i shows who wants it")));
    }
    if licence.contains("GPL") && !licence.contains(" OR ") {
        findings.push(Finding::at("Cargo.lock", 1, &format!("{package} is under {licence}: we cannot ship it; use another crate")));
    }
    findings
}
