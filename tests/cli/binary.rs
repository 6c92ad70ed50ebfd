//! The binary, run to its end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What it left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What it printed for programs.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What `check -o json` found, as `<line>:<column> <severity> <field>: <message>`.
    #[track_caller]
    pub(crate) fn findings(&self) -> Vec<String> {
        let line = |finding: &Value| {
            let text = |field: &str| finding[field].as_str().unwrap().to_owned();
            let place = format!("{}:{}", finding["line"], finding["column"]);
            format!("{place} {} {}: {}", text("severity"), text("field"), text("message"))
        };
        self.json()["findings"].as_array().unwrap().iter().map(line).collect()
    }
}

/// Runs the binary in a folder, with nothing in its environment.
pub(crate) fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sgwarden"));
    command.args(arguments).env_clear().current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end without having read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `check` of one text, on standard input.
pub(crate) fn check(text: impl AsRef<[u8]>) -> Ran {
    run(Path::new("/"), &["check", "-f", "-", "-o", "json"], text.as_ref())
}
