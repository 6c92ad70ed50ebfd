//! `crds/` before the apiserver of the oldest supported Kubernetes minor (tests/controlplane/oldest says how).
//!
//! Taken in by one test binary (`#[path = "../support/judge_tests.rs"] mod judge_tests;`), beside `support`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::setup;

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");

#[test]
fn oldest_supported_minor_accepts_the_crds() {
    let (accepted, said) = judge(Path::new(CRDS));

    assert!(accepted, "{said}");
}

/// A judge that accepts everything would pass the test above.
#[test]
fn oldest_supported_minor_refuses_rules_that_cost_too_much() {
    let unbounded = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(CRDS).unwrap() {
        let file = entry.unwrap();
        let bounded = fs::read_to_string(file.path()).unwrap();
        let lines = bounded.lines().map(|line| match line.split_once("maxItems: ") {
            Some((indent, _)) => format!("{indent}maxItems: 1000000"),
            None => line.to_owned(),
        });
        let text: Vec<String> = lines.collect();
        fs::write(unbounded.path().join(file.file_name()), text.join("\n")).unwrap();
    }

    let (accepted, said) = judge(unbounded.path());

    assert!(!accepted && said.contains("estimated rule cost"), "{said}");
}

/// Whether it accepts all CRDs in the directory, and everything it printed.
fn judge(crds: &Path) -> (bool, String) {
    let output = Command::new(setup::crd_judge().unwrap()).arg(crds).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
