//! How long a person or a pipeline waits for `sgwarden check`: the binary from its start to its end, over a folder of a thousand
//! files, each with a group of 20 rules that refer to sets and to other groups. Once with nothing wrong, once with something
//! wrong in every file, whose place then has to be looked up.
//!
//! Prints one JSON object a figure, with its goal and whether it is met; no figure makes it fail. What is measured is the best of
//! five, so that a busy machine does not count; a debug build is some ten times slower than what is meant.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark panics when it cannot go on, and prints what it found")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

#[allow(dead_code, reason = "other benchmarks use more of it")]
mod support;

use support::{figure, now};

const FILES: usize = 1_000;
const RULES: usize = 20;
const SETS: usize = 50;
const TIMES: usize = 5;
const GOAL: f64 = 1.0;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..SETS {
        write(folder.path(), &format!("set-{number}"), &set(number));
    }
    for (name, cidr, code) in [("nothing_wrong", "10.0.0.0/8", 0), ("all_wrong", "10.0.0.1/8", 2)] {
        for number in 0..FILES {
            write(folder.path(), &format!("web-{number}"), &group(number, cidr));
        }
        let best = (0..TIMES).map(|_| check(folder.path(), code)).min().unwrap_or_default();
        let seconds = (best.as_secs_f64() * 1000.0).round() / 1000.0;
        let of = format!("{FILES} files of a group with {RULES} rules, {SETS} sets");
        figure("check", &of, name, (json!(seconds), "seconds"), GOAL, Some(seconds <= GOAL));
    }
}

fn check(folder: &Path, code: i32) -> Duration {
    let begun = now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sgwarden"));
    let status = command.args(["check", "-f"]).arg(folder).stdout(Stdio::null()).status().unwrap();
    let spent = begun.elapsed();
    assert_eq!(status.code(), Some(code), "the verdict is another");
    spent
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
}

fn set(number: usize) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata:\n  name: set-{number}\n  namespace: shop\nspec:\n  cidrs:\n    - cidr: 198.51.100.{number}/32\n"
    )
}

/// A group as people write one: a file of its own, most rules for a range, some for a set or another group.
fn group(number: usize, cidr: &str) -> String {
    let mut text = format!(
        "# The web tier of shop {number}.\napiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata:\n  name: web-{number}\n  namespace: shop\n  labels:\n    app: web\nspec:\n  vpc:\n    id: vpc-0a1b2c3d\n  ingress:\n"
    );
    for rule in 0..RULES {
        let peer = match rule % 4 {
            0 => format!("cidrSet: {{name: set-{}}}", number % SETS),
            1 => format!("securityGroup: {{name: web-{}}}", (number + rule) % FILES),
            _ => format!("cidr: {cidr}"),
        };
        let _ = write!(
            text,
            "    - name: rule-{rule}\n      description: What rule {rule} is for\n      protocol: tcp\n      ports: [{}]\n      from:\n        - {peer}\n",
            8000 + rule
        );
    }
    text + "  egressPolicy: AllowAll\n"
}
