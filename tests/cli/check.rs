//! What `check` says, word for word: of every folder in `checks/`, beside it as text and JSON. `UPDATE=1 cargo test --test cli`
//! writes the expected texts anew; read the difference as the change in behaviour it is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::{Ran, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/checks")
}

/// The text without the time it took.
fn timeless(text: &str) -> String {
    text.rsplit_once(" (").map_or_else(|| text.to_owned(), |(before, _)| format!("{before}\n"))
}

fn expect(file: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, found).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    (expected != found).then(|| format!("{}:\n{found}", file.display()))
}

#[test]
fn every_folder_is_judged_as_it_says() {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    assert!(cases.len() >= 8);
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        // A name says by its end that there is nothing besides.
        let mut arguments = vec!["check", "-f", name];
        if name.ends_with("-complete") {
            arguments.push("--complete");
        }
        let text = run(&folder(), &arguments, b"");
        arguments.extend(["-o", "json"]);
        let json = run(&folder(), &arguments, b"");
        let errors = json.json()["errors"].as_u64().unwrap();
        assert_eq!((text.code, json.code), if errors > 0 { (Some(2), Some(2)) } else { (Some(0), Some(0)) }, "{name}");
        assert_eq!((text.stderr.as_str(), json.stderr.as_str()), ("", ""), "{name}");
        wrong.extend(expect(&case.with_extension("txt"), &timeless(&text.stdout)));
        wrong.extend(expect(&case.with_extension("json"), &json.stdout));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[track_caller]
fn cannot_run(ran: &Ran) -> &str {
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.lines().count()), (Some(1), "", 1), "{ran:?}");
    ran.stderr.trim_end()
}

#[test]
fn what_cannot_run_is_told_in_a_line_and_is_no_verdict() {
    let empty = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str]| run(empty.path(), &[&["check"], arguments].concat(), b"");
    assert_eq!(cannot_run(&check(&["-f", "groups"])), "sgwarden: groups: cannot be read: No such file or directory (os error 2)");
    assert_eq!(cannot_run(&check(&["-f", "."])), "sgwarden: there is no YAML or JSON file in .");
    assert_eq!(cannot_run(&check(&["-f", "-"])), "sgwarden: there is no object in -");
    assert!(cannot_run(&check(&[])).contains("--filename <PATH>"));
}

#[test]
fn sources_of_every_sort_make_one_set() {
    let group = |name: &str, peer: &str| {
        format!(
            "{{apiVersion: sgwarden.dev/v1alpha1, kind: SecurityGroup, metadata: {{name: {name}}}, spec: {{vpc: {{id: vpc-0a1b2c3d}}, egress: [{{name: a, protocol: all, to: [{{securityGroup: {{name: {peer}}}}}]}}]}}}}"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("groups")).unwrap();
    fs::write(folder.path().join("groups/web.yaml"), group("web", "db")).unwrap();
    fs::write(folder.path().join("db.txt"), group("db", "cache")).unwrap();
    let cache = group("cache", "web");
    let all = ["check", "-f", "groups", "-f", "db.txt", "-f", "-", "-f", "groups/web.yaml", "--complete"];
    let ran = run(folder.path(), &all, cache.as_bytes());
    assert_eq!((ran.code, timeless(&ran.stdout).as_str()), (Some(0), "3 files, 3 groups: nothing wrong\n"), "{ran:?}");
    let ran = run(folder.path(), &["check", "-f", "db.txt", "--complete"], b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.starts_with("db.txt:1:"), "{ran:?}");
}

#[test]
fn a_warning_is_no_failure() {
    let ran = run(&folder(), &["check", "-f", "elsewhere"], b"");
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("warning"), "{}", ran.stdout);
}
