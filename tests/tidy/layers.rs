//! Which room may use which, and what is named in one room only.
//!
//! Entry points: [`MAY_USE`] (the table) and [`check`]; [`FOREIGN`] and [`core_is_pure`] for what is not ours.

use crate::Finding;
use crate::source::{Kind, Source};

/// The floors and rooms: what a room may use besides itself. The longest row that fits a file holds; `*` is any one room,
/// `=` a file and nothing below it. A room without a row is a finding: put it in the table first.
pub(crate) const MAY_USE: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("=core", &[]),
    ("core/model", &[]),
    ("core/activity", &["core/model"]),
    ("core/attribution", &["api", "core/model", "core/activity"]),
    ("core/desired", &["api", "core/model"]),
    ("core/plan", &["core/model", "core/desired"]),
    ("core/status", &["api", "core/model", "core/activity", "core/attribution", "core/desired", "core/plan", "core/audit"]),
    ("core/notice", &["api", "core/model", "core/desired", "core/status"]),
    ("core/audit", &["api", "core/model", "core/desired", "core/plan"]),
    ("core/amend", &["api", "core/model", "core/activity", "core/desired", "core/audit"]),
    ("core/annotate", &["api", "core/activity", "core/desired", "core/status"]),
    ("core/listing", &["api", "core/model", "core/activity", "core/audit"]),
    ("core/check", &["api", "core/model", "core/activity", "core/desired", "core/listing"]),
    ("core/preview", &["core/model", "core/activity", "core/desired", "core/plan", "core/audit", "core/listing"]),
    ("core/reach", &["api", "core/model", "core/activity", "core/desired"]),
    ("ports", &["api", "core"]),
    ("=adapters", &[]),
    ("adapters/*", &["api", "core", "ports"]),
    ("adapters/sim", &[]),
    ("adapters/sim/ports", &["adapters/sim", "api", "core", "ports"]),
    ("engine", &["api", "core", "ports"]),
    ("cli", &["api", "core", "ports", "adapters", "engine"]),
    ("=lib", &["api", "core", "ports", "adapters", "engine", "cli"]),
    ("=main", &["api", "core", "ports", "adapters", "engine", "cli"]),
];

/// Names of other crates that stand in one room only: the path, the room, and what to do instead. A `*` at the end of a
/// name is any ending.
pub(crate) const FOREIGN: &[(&[&str], &str, &str)] = &[
    (&["aws_*"], "adapters/aws", "speak through ports::cloud; the AWS SDK is named in adapters/aws only"),
    (&["hyper_*"], "adapters/notify", "speak through ports::post; the HTTP client is in adapters/notify only"),
    (&["opentelemetry*"], "adapters/telemetry", "open a span of ports::spans; OpenTelemetry is in adapters/telemetry only"),
    (&["kube", "Client"], "adapters/kube", "speak through ports::objects; the Kubernetes client is in adapters/kube only"),
    (&["kube", "client"], "adapters/kube", "speak through ports::objects; the Kubernetes client is in adapters/kube only"),
    (&["kube", "Api"], "adapters/kube", "speak through ports::objects; the Kubernetes client is in adapters/kube only"),
    (&["kube", "api", "Api"], "adapters/kube", "speak through ports::objects; the Kubernetes client is in adapters/kube only"),
];

/// Words that do not stand in `core`, and why.
const NOT_IN_CORE: &[(&str, &str)] = &[
    ("async", "core is sync: let the engine do the waiting"),
    ("await", "core is sync: let the engine do the waiting"),
    ("SystemTime", "take the time as an argument"),
    ("Instant", "take the time as an argument"),
    ("HashMap", "its order differs from run to run: use BTreeMap"),
    ("HashSet", "its order differs from run to run: use BTreeSet"),
    ("RandomState", "its order differs from run to run: use BTreeMap"),
];

/// Paths that do not stand in `core`, and why.
const NO_PATH_IN_CORE: &[(&[&str], &str)] = &[
    (&["std", "collections", "HashMap"], "its order differs from run to run: use BTreeMap"),
    (&["std", "collections", "HashSet"], "its order differs from run to run: use BTreeSet"),
    (&["tokio"], "core is sync: let the engine do the waiting"),
    (&["futures"], "core is sync: let the engine do the waiting"),
    (&["async_trait"], "core is sync: traits to the world are in ports"),
    (&["std", "time", "SystemTime"], "take the time as an argument"),
    (&["std", "time", "Instant"], "take the time as an argument"),
    (&["jiff", "Timestamp", "now"], "take the time as an argument"),
    (&["jiff", "Zoned", "now"], "take the time as an argument"),
    (&["Timestamp", "now"], "take the time as an argument"),
    (&["Zoned", "now"], "take the time as an argument"),
    (&["rand"], "take ids and chance as arguments"),
    (&["fastrand"], "take ids and chance as arguments"),
    (&["uuid"], "take ids and chance as arguments"),
    (&["tracing"], "core does not log: put it in the report, the engine logs"),
    (&["log"], "core does not log: put it in the report, the engine logs"),
    (&["std", "env"], "core knows no surroundings: take it as an argument"),
    (&["std", "fs"], "core touches nothing: reading and writing are in adapters"),
    (&["std", "process"], "core touches nothing: reading and writing are in adapters"),
    (&["std", "thread"], "core is sync: let the engine do the waiting"),
];

/// The row of the table for a file of `src/`, and the room it makes of it.
fn row(path: &str) -> Option<(String, &'static [&'static str])> {
    let place = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let place: Vec<&str> = place.split('/').collect();
    let fits = |key: &str| match key.strip_prefix('=') {
        Some(exact) => place.join("/") == exact,
        None => key.split('/').count() <= place.len() && key.split('/').zip(&place).all(|(key, part)| key == "*" || key == *part),
    };
    let (key, may) =
        MAY_USE.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| (key.split('/').count(), !key.contains('*')))?;
    Some((place[..key.split('/').count()].join("/"), may))
}

/// Finds what a file of `src/` uses and may not.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let Some((room, may)) = row(&source.path) else {
        let what = "is in no room of the table: add it to MAY_USE in tests/tidy/layers.rs, with what it may use";
        return vec![Finding::new(source, 1, what)];
    };
    let mut findings = Vec::new();
    for named in source.paths() {
        let Some(("crate", target)) = named.segments.split_first().map(|(head, rest)| (head.as_str(), rest)) else { continue };
        let within = |place: &str| place.split('/').count() <= target.len() && place.split('/').zip(target).all(|(a, b)| a == b);
        // The crate's root has the floors only, and lib.rs declares them.
        let itself = room == "lib" || within(&room);
        if !itself && !may.iter().any(|place| within(place)) {
            let allowed = if may.is_empty() { "no other room".to_owned() } else { may.join(", ") };
            let what =
                format!("{room} may not use {}: only itself and {allowed}; move it, or go through a port", target.join("::"));
            findings.push(Finding::new(source, named.line, &what));
        }
    }
    findings
}

/// Finds names of other crates outside of their room.
pub(crate) fn foreign(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for named in source.paths() {
        for (path, room, advice) in FOREIGN {
            let home = source.path.starts_with(&format!("src/{room}/"));
            if !home && may_be(&named.segments, path) {
                findings.push(Finding::new(source, named.line, &format!("{}: {advice}", named.segments.join("::"))));
            }
        }
    }
    findings
}

/// Finds time, chance, waiting, logging and hash order in `core`.
pub(crate) fn core_is_pure(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/core/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for token in source.tokens.iter().filter(|token| token.kind == Kind::Word) {
        for (_, advice) in NOT_IN_CORE.iter().filter(|(word, _)| token.text == *word) {
            findings.push(Finding::new(source, token.line, &format!("{}: {advice}", token.text)));
        }
    }
    for named in source.paths() {
        for (_, advice) in NO_PATH_IN_CORE.iter().filter(|(path, _)| may_be(&named.segments, path)) {
            findings.push(Finding::new(source, named.line, &format!("{}: {advice}", named.segments.join("::"))));
        }
    }
    findings
}

/// Whether a path names this one or something below it, or could through a glob.
fn may_be(segments: &[String], path: &[&str]) -> bool {
    for (n, wanted) in path.iter().enumerate() {
        match segments.get(n).map(String::as_str) {
            Some("*") => return n > 0,
            Some(found) if wanted.strip_suffix('*').map_or(found == *wanted, |start| found.starts_with(start)) => {}
            _ => return false,
        }
    }
    true
}
