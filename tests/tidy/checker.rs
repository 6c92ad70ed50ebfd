//! The tests of the checks: each is given something bad, and finds it where it is.

use crate::layers::{check, core_is_pure, foreign};
use crate::source::{Kind, Source};
use crate::{Finding, folders, kept_out, left_out, shape, sleeps, texts, unfinished};

/// What a file names, with the lines, as text.
#[track_caller]
fn names(path: &str, code: &str, expected: &[&str]) {
    let source = Source::parse(path, code);
    let found: Vec<String> = source.paths().iter().map(|named| format!("{} {}", named.line, named.segments.join("::"))).collect();
    assert_eq!(found, expected);
}

/// The lines at which a check finds something.
#[track_caller]
fn finds(check: impl Fn(&Source) -> Vec<Finding>, path: &str, code: &str, lines: &[usize]) {
    let found = check(&Source::parse(path, code));
    assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), lines, "{found:?}");
    assert!(found.iter().all(|finding| finding.path == path && finding.what.len() > 20), "{found:?}");
}

#[test]
fn groups_of_imports_are_opened() {
    let code = "use crate::{\n    api::{self, Peer as P},\n    core::{model::*, plan::{Plan, step::Step}},\n};\nuse std::fmt;";
    names(
        "src/engine/mod.rs",
        code,
        &[
            "2 crate::api",
            "2 crate::api::Peer",
            "3 crate::core::model::*",
            "3 crate::core::plan::Plan",
            "3 crate::core::plan::step::Step",
            "5 std::fmt",
        ],
    );
}

#[test]
fn super_and_self_lead_to_where_they_lead() {
    names("src/core/plan/order.rs", "use super::super::status::Reason;", &["1 crate::core::status::Reason"]);
    names("src/core/plan/mod.rs", "use super::status::Reason;", &["1 crate::core::status::Reason"]);
    names("src/core/plan/mod.rs", "pub(super) use self::order::sort;", &["1 crate::core::plan::order::sort"]);
    names(
        "src/core/plan/order.rs",
        "mod tests { use super::*; mod deep { use super::super::x; } }\nuse super::y;",
        &["1 crate::core::plan::order::*", "1 crate::core::plan::order::x", "2 crate::core::plan::y"],
    );
    names("src/main.rs", "fn main() { sgwarden::cli::main() }", &["1 crate::cli::main"]);
}

#[test]
fn paths_in_code_and_in_macros_count() {
    names(
        "src/core/plan/mod.rs",
        "fn f(x: &crate::api::Peer) -> Vec<super::status::Reason> {}",
        &["1 crate::api::Peer", "1 crate::core::status::Reason"],
    );
    names("src/api/scalar.rs", "macro_rules! m { () => { $crate::core::model::Cidr } }", &["1 crate::core::model::Cidr"]);
    names("src/api/scalar.rs", "let x = Vec::<::tokio::Runtime>::new();", &["1 Vec", "1 tokio::Runtime"]);
    names("src/api/scalar.rs", "pub(in crate::api) fn f() -> impl Fn() + use<'_> {}", &[]);
    names("src/api/scalar.rs", "use kube as k;", &["1 kube::*"]);
}

#[test]
fn what_is_only_talked_about_is_not_used() {
    let code = r##"
        // use crate::engine; /* not open
        /* use crate::engine; /* nested */ use crate::cli; */
        /// [`crate::engine`]
        const A: &str = "use crate::engine; \" use crate::cli;";
        const B: &str = r#"use crate::engine; " use crate::cli;"#;
        const C: (char, char, u8) = ('"', '\'', b'"');
        fn f<'a>(r#use: &'a str) {}
        use crate::api;
    "##;
    names("src/core/status/mod.rs", code, &["9 crate::api"]);
    let strings: Vec<String> =
        Source::parse("src/x.rs", code).tokens.into_iter().filter(|t| t.kind == Kind::Text).map(|t| t.text).collect();
    assert_eq!(strings.len(), 5, "{strings:?}");
}

#[test]
fn the_table_is_held() {
    for (path, code, lines) in [
        ("src/api/rule.rs", "use crate::core::model::Peer;", &[1][..]),
        ("src/core/model/rule.rs", "use crate::api::Peer;", &[1]),
        ("src/core/plan/order.rs", "use crate::core::{\n  desired::Desired,\n  status::Reason,\n};\nuse crate::api;", &[3, 5]),
        ("src/core/plan/order.rs", "use crate::core::*;\nuse crate::core::model::*;", &[1]),
        ("src/core/status/mod.rs", "use crate::ports::clock::Clock;", &[1]),
        ("src/ports/cloud.rs", "use crate::core::model::Region;\nuse crate::engine::execute;", &[2]),
        ("src/adapters/kube/mod.rs", "use crate::adapters::aws;\nuse crate::ports::objects;\nuse super::telemetry;", &[1, 3]),
        ("src/adapters/kube/mod.rs", "use crate::engine;", &[1]),
        ("src/adapters/sim/handle.rs", "use crate::core::model::Region;\nuse crate::adapters::sim::world;", &[1]),
        ("src/adapters/sim/ports.rs", "use crate::core::model::Region;\nuse super::handle::Sim;\nuse crate::adapters::aws;", &[3]),
        ("src/engine/execute.rs", "use crate::adapters::aws;\nuse crate::{core, ports};", &[1]),
        ("src/cli/demo.rs", "use crate::{adapters, api, core, engine, ports};", &[]),
        ("src/adapters/mod.rs", "pub use self::sim::Sim;\nuse crate::ports;", &[2]),
        ("src/core/guardrail/mod.rs", "", &[1]),
        ("src/extra.rs", "", &[1]),
    ] {
        finds(check, path, code, lines);
    }
}

#[test]
fn the_sdk_and_the_client_stay_in_their_rooms() {
    let code = "use aws_sdk_ec2::Client;\nuse kube::{Api, Client as C, runtime::watcher};\nfn f(c: aws_smithy_types::Blob, k: kube::client::Body) {}";
    finds(foreign, "src/engine/execute.rs", code, &[1, 2, 2, 3, 3]);
    finds(foreign, "src/adapters/aws/read.rs", "use aws_sdk_ec2::Client;\nuse kube::Client;", &[2]);
    finds(foreign, "src/adapters/kube/objects.rs", "use kube::{Api, Client};\nuse aws_config::SdkConfig;", &[2]);
    // A glob or another name may hide any of the four.
    finds(foreign, "src/cli/mod.rs", "use kube::*;\nuse kube as k;\nuse kube::core::ObjectMeta;", &[1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn core_stays_pure() {
    for (code, lines) in [
        ("async fn f() {}", &[1][..]),
        ("fn f() {\n  x.await;\n}", &[2]),
        ("use std::collections::{BTreeMap, HashMap};", &[1, 1]),
        ("use std::collections::*;", &[1, 1]),
        ("fn f() { jiff::Timestamp::now() }", &[1]),
        ("use jiff::Timestamp;\nfn f() { Timestamp::now() }", &[2]),
        ("use std::time::Duration;\nuse std::time::Instant;", &[2, 2]),
        ("fn f() { tracing::info!(\"x\") }", &[1]),
        ("use tokio as t;", &[1]),
        ("fn f() { std::env::args(); fastrand::u8(..); }", &[1, 1]),
        ("// HashMap, async and tokio::spawn\nconst A: &str = \"HashMap\";\nuse jiff::Timestamp;", &[]),
    ] {
        finds(core_is_pure, "src/core/plan/x.rs", code, lines);
    }
    finds(core_is_pure, "src/engine/x.rs", "async fn f() {}", &[]);
}

#[test]
fn long_files_and_files_without_a_word_are_found() {
    let good = "//! What this file is for, in a sentence.\n";
    finds(shape, "src/a.rs", good, &[]);
    finds(shape, "src/a.rs", &(good.to_owned() + &"\n".repeat(600)), &[600]);
    finds(shape, "src/a.rs", &(good.to_owned() + &"\n".repeat(599)), &[]);
    finds(shape, "src/a.rs", "use std::fmt;\n//! What this file is for, in a sentence.\n", &[1]);
    finds(shape, "src/a.rs", "", &[1]);
}

#[test]
fn modules_are_one_file_or_one_folder() {
    let found = |paths: &[&str]| folders(paths).into_iter().map(|finding| finding.path).collect::<Vec<_>>();
    assert_eq!(found(&["src/lib.rs", "src/a/mod.rs", "src/a/b.rs", "tests/x/main.rs", "tests/x/y.rs"]), [""; 0]);
    assert_eq!(found(&["src/lib.rs", "src/a.rs", "src/a/b.rs"]), ["src/a.rs", "src/a/b.rs"]);
    assert_eq!(found(&["src/lib.rs", "src/a/b/c.rs", "src/a/mod.rs"]), ["src/a/b/c.rs"]);
}

#[test]
fn unfinished_work_is_found() {
    let code = "fn f() { todo!() }\nfn g() { unimplemented!(\"x\") }\n#[ignore = \"slow\"]\nfn h() {}\n";
    finds(unfinished, "src/a.rs", code, &[1, 2, 3]);
    let notes = [concat!("// FIX", "ME later"), concat!("// XX", "X"), concat!("/* TO", "DO: all */")].join("\n");
    finds(unfinished, "src/a.rs", &notes, &[1, 2, 3]);
    finds(unfinished, "src/a.rs", "// sg-XXXX and todo, ignored", &[]);
}

#[test]
fn fields_left_out_are_found() {
    let code = "let A { x, .. } = a;\nmatch b { B { .. } => 1 }\nlet c = C { x, ..C::default() };\nf(0..);\nlet [x, ..] = d;";
    finds(left_out, "src/core/plan/a.rs", code, &[1, 2]);
    finds(left_out, "src/core/plan/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{code}\n}}"), &[]);
    finds(left_out, "src/core/plan/a.rs", &format!("{code}\n#[cfg(test)]\nmod tests {{\n}}"), &[1, 2]);
}

#[test]
fn sleeping_is_found() {
    let code = "std::thread::sleep(d);\ntokio::time::sleep(d).await;\nuse std::thread;\nthread::sleep(d);\nclock.sleep(d).await;\nuse tokio::time::{advance, sleep};";
    finds(sleeps, "tests/x/main.rs", code, &[1, 2, 4, 6]);
}

#[test]
fn crates_that_stay_out_are_found() {
    let found = |line| kept_out(line).len();
    assert_eq!(found("ring v0.17.14 | Apache-2.0 AND ISC"), 1);
    assert_eq!(found("hyper v0.14.32 | MIT"), 1);
    assert_eq!(found("hyper v1.12.0 | MIT"), 0);
    assert_eq!(found("rustls v0.21.12 | Apache-2.0 OR ISC OR MIT"), 1);
    assert_eq!(found("rustls v0.23.46 | Apache-2.0 OR ISC OR MIT"), 0);
    assert_eq!(found("serde_yaml v0.9.34+deprecated | MIT"), 1);
    assert_eq!(found("fakecloud-ec2 v0.51.0 | AGPL-3.0-only"), 1);
    assert_eq!(found("r-efi v5.3.0 | MIT OR Apache-2.0 OR LGPL-2.1-or-later"), 0);
    assert_eq!(found("openssl-probe v0.2.2 | MIT OR Apache-2.0"), 0);
}

#[test]
fn the_reader_of_enums_and_tables_reads_them() {
    let source = Source::parse(
        "src/x.rs",
        "enum Other { A }\n/// Why.\n#[derive(Debug)]\npub enum Reason {\n  /// One, such as `X`.\n  One,\n  #[default]\n  Two,\n}\nfn f() { Three, }",
    );
    assert_eq!(texts::variants(&source, "Reason"), ["One", "Two"]);
    let page = "# A\n| `Zero` | x |\n## Reasons\n| reason | means |\n|---|---|\n| `One` | see `Two` |\n| `Two` | y |\n## More\n| `Three` | z |\n";
    assert_eq!(texts::listed(page, "## Reasons"), ["One", "Two"]);
    let code = "registry.register(\"a\", \"Help\", x);\nregistry.register_with_unit(\n  \"b\",\n  \"Help\",\n  Unit::Seconds, y);";
    assert_eq!(texts::registered(&Source::parse("src/x.rs", code)), ["sgwarden_a", "sgwarden_b_seconds"]);
}

#[test]
fn places_that_are_not_there_are_found() {
    let found = |text: &str| texts::missing_places("README.md", text).into_iter().map(|finding| finding.what).collect::<Vec<_>>();
    assert_eq!(found("see src/lib.rs, `crds/`, tests/tidy/main.rs."), [""; 0]);
    assert_eq!(found("see deploy/nowhere.yaml").len(), 1);
    assert_eq!(found("[x](docs/nowhere.md) and [y](https://example.com/z) and [z](#here)").len(), 1);
}
