//! The binary itself, as a person starts it: what it says when it cannot run, and every subcommand at work but `controller` and those of
//! `keeping` and `annotate`.
//!
//! [`Server`] and [`StandIn`] run it for other tests too; neither outlives its test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use sgwarden::adapters::aws::{AwsConnector, AwsOptions};
use sgwarden::api::{TAG_CLUSTER, TAG_OWNER};
use sgwarden::core::model::{Direction, SecurityGroupId, Tags};
use sgwarden::ports::cloud::{Connect, Ec2, GroupQuery, Route};

use crate::rejected::ACCEPTED;
use crate::support::controlplane::{ControlPlane, install_crypto_provider};
use crate::support::setup;
use crate::support::supervised::{StateDir, Supervised};

/// The binary.
pub(crate) const SGWARDEN: &str = env!("CARGO_BIN_EXE_sgwarden");
/// The VPC of the accepted manifests.
pub(crate) const VPC: &str = "vpc-0a1b2c3d";
/// Longest wait for anything that should happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How often to look.
const PACE: Duration = Duration::from_millis(50);
/// What a developer's own settings must not change.
pub(crate) const NOBODY: [(&str, &str); 4] =
    [("HOME", "/nonexistent"), ("AWS_EC2_METADATA_DISABLED", "true"), ("NO_PROXY", "127.0.0.1"), ("RUST_BACKTRACE", "1")];

// Helpers ------------------------------------------------------------------------------------------------------------

/// Looks until there is something to see.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let mut pace = tokio::time::interval(PACE);
    let looking = async {
        loop {
            pace.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"))
}

/// What the binary left when it ended by itself.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary to its end, with nothing in its environment but what is given.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = tokio::process::Command::new(SGWARDEN);
    command.args(arguments).env_clear().envs(NOBODY).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("sgwarden {arguments:?} runs on")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// The one line of a run that could not be.
pub(crate) async fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let ran = run(arguments, environment).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{arguments:?}: {ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {ran:?}");
    let line = ran.stderr.strip_prefix("sgwarden: ").unwrap_or_else(|| panic!("{arguments:?}: {ran:?}")).trim_end().to_owned();
    for bad in ["panicked", "backtrace", "RUST_BACKTRACE", "Error {", "{ ", "Some("] {
        assert!(!line.contains(bad), "{arguments:?} is told in words of the program: {line}");
    }
    line
}

/// The binary as a server, in a folder of its own that goes with it.
pub(crate) struct Server {
    process: Supervised,
}

impl Server {
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("sgwarden-server-").tempdir().unwrap().keep();
        let environment: Vec<_> = NOBODY.iter().chain(environment).copied().collect();
        let process =
            Supervised::spawn("sgwarden", &folder, StateDir::Remove, Path::new(SGWARDEN), arguments, &environment).unwrap();
        Self { process }
    }

    /// Everything it has printed so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Waits for a line and returns it.
    pub(crate) async fn line(&self, part: &str) -> String {
        until(&format!("'{part}' in the log; {}", self.process.log_tail(5)), async || {
            let found =
                self.log().split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains(part)).map(str::to_owned);
            assert!(
                found.is_some() || self.process.exit_code().is_none(),
                "no '{part}', and it has ended; {}",
                self.process.log_tail(20)
            );
            found
        })
        .await
    }

    /// Waits until it has ended by itself; its exit code and log.
    pub(crate) async fn ended(self) -> (u32, String) {
        let code = until("the end", async || self.process.exit_code()).await;
        (code, self.log())
    }

    /// Sends a signal and waits for the end.
    pub(crate) async fn signalled(mut self, signal: &str) -> (u32, String) {
        self.process.signal(signal).unwrap();
        self.ended().await
    }

    /// Stops it as a cluster does, and returns its log.
    pub(crate) async fn stopped(self) -> String {
        let (code, log) = self.signalled("TERM").await;
        assert_eq!(code, 0, "{log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

/// `sgwarden sim`.
pub(crate) struct StandIn {
    server: Server,
    exports: BTreeMap<String, String>,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let server = Server::start(&["sim", "--listen", "127.0.0.1:0", "--vpc", VPC], &[]);
        server.line("AWS_REGION").await;
        let log = server.log();
        let words = log.lines().map(|line| line.strip_prefix("export ").unwrap_or_else(|| panic!("{line} cannot be evaluated")));
        let pairs = words.flat_map(|line| line.split(' ')).map(|word| word.split_once('=').unwrap());
        let exports = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { server, exports }
    }

    /// What it told to export.
    pub(crate) fn exports(&self) -> Vec<(&str, &str)> {
        self.exports.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Somebody else with credentials of the same account.
    pub(crate) async fn intruder(&self) -> Ec2 {
        install_crypto_provider();
        let region = "eu-west-1".parse().unwrap();
        let options = AwsOptions::default().endpoint(self.exports["AWS_ENDPOINT_URL_EC2"].clone());
        AwsConnector::new(options.credentials("AKIA111122223333MALLORY", "x")).connect(&Route::own(region)).await.unwrap()
    }

    async fn aws(&self, arguments: &[&str]) -> Value {
        let mut command = tokio::process::Command::new(setup::aws_cli().unwrap());
        command.args(arguments).env_clear().envs(NOBODY).envs(self.exports()).env("AWS_PAGER", "").kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await.expect("the AWS CLI ends").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Groups of a cluster id, by owner.
async fn owned(ec2: &Ec2, cluster: &str) -> BTreeMap<String, SecurityGroupId> {
    let tags = Tags::from([(TAG_CLUSTER.to_owned(), cluster.to_owned())]);
    let groups = ec2.read.groups(&GroupQuery::Tagged(tags)).await.unwrap();
    let count = groups.len();
    let owned: BTreeMap<_, _> = groups.into_iter().map(|group| (group.tags[TAG_OWNER].clone(), group.id)).collect();
    assert_eq!(owned.len(), count, "one group an object");
    owned
}

/// Rules of a group as text, sorted.
async fn rules(ec2: &Ec2, group: &SecurityGroupId) -> Vec<String> {
    let rules = ec2.read.rules(group).await.unwrap_or_default();
    let mut lines: Vec<String> =
        rules.iter().map(|rule| format!("{} \"{}\"", rule.atom, rule.description.as_deref().unwrap_or_default())).collect();
    lines.sort();
    lines
}

// What it cannot do --------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_the_command_line_is_one_line_that_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let here = folder.path().to_str().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (file, missing) = (file.to_str().unwrap(), format!("{here}/missing"));
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let run = ["run", "-f", here, "--state", here, "--cluster-id", "c", "--region", "eu-west-1"];
    let with = |more: &[&'static str]| -> Vec<&str> { run.iter().copied().chain(more.iter().copied()).collect() };
    let cases: &[(Vec<&str>, &[&str])] = &[
        (vec!["--nope"], &["'--nope'", "sgwarden --help"]),
        (vec!["watch"], &["'watch'", "sgwarden --help"]),
        (vec!["controller", "--regoin", "eu-west-1"], &["'--regoin'", "'--region'"]),
        (vec!["controller", "--sweep", "0"], &["--sweep", "1..=86400"]),
        (vec!["controller", "--concurrency", "many"], &["--concurrency", "'many'"]),
        (vec!["controller", "--log-format", "xml"], &["--log-format", "text, json"]),
        (with(&["--speedup", "0"]), &["--speedup", "'0'"]),
        (vec!["demo", "--speedup", "0", "--directory", here], &["--speedup", "'0'"]),
        (vec!["run", "-f", here, "--state", here, "--cluster-id", "", "--region", "eu-west-1"], &["--cluster-id", "1 to 128"]),
        (with(&["--admin", "8080"]), &["--admin", "<ADDRESS:PORT>"]),
        (vec!["run", "--region", "eu-west-1"], &["--filename <DIR>", "--state <DIR>", "--cluster-id <ID>"]),
        (vec!["controller", "--region", "Ireland"], &["--region", "'Ireland'", "such as eu-west-1"]),
        (vec!["controller", "--region", "eu-west-1,mars"], &["--region", "'mars'", "such as eu-west-1"]),
        (vec!["controller", "--region", "eu-west-1", "--account-id", "12"], &["--account-id", "'12'", "12 digits"]),
        (with(&["--otlp-endpoint", "collector:4318"]), &["--otlp-endpoint: ", "http://otel-collector.monitoring:4318"]),
        (with(&["--log", "sgwarden=loud"]), &["'sgwarden=loud' is not a log filter", "such as info"]),
        (
            vec!["run", "-f", &missing, "--state", here, "--cluster-id", "c", "--region", "eu-west-1"],
            &["-f", &missing, "no such directory"],
        ),
        (vec!["run", "-f", here, "--state", file, "--cluster-id", "c", "--region", "eu-west-1"], &["state", file, "File exists"]),
        (with(&["--audit-file", "/proc/audit.jsonl"]), &["audit", "/proc/audit.jsonl"]),
        (run.iter().copied().chain(["--admin", taken.as_str()]).collect(), &["--admin", &taken, "Address already in use"]),
        (vec!["sim", "--listen", &taken], &["--listen", &taken, "Address already in use"]),
        (vec!["sim", "--listen", "127.0.0.1:0", "--vpc", "web"], &["--vpc", "\"web\""]),
        (vec!["sim", "--listen", "127.0.0.1:0", "--vpc", "vpc-0a1b2c3d=ten"], &["--vpc", "ten"]),
        (vec!["drift", "--since", "yesterday", "--state", here], &["--since", "'yesterday'", "24h"]),
        (vec!["drift", "-A", "-n", "shop", "--state", here], &["--all-namespaces", "--namespace"]),
        (vec!["drift", "--state", &missing], &["state", &missing, "No such file"]),
        (vec!["accept", "web", "--state", here], &["<DRIFT>"]),
        (vec!["accept", "web", "d-1", "--apply", "--state", here], &["--apply", "--state"]),
        (vec!["accept", "web", "d-1", "--name", "Big", "--state", here], &["--name", "'Big'", "lower-case"]),
        (vec!["audit", "--audit-file", &missing], &["audit file", &missing, "No such file"]),
        (vec!["undo", "c-1", "--audit-file", file], &["no change c-1"]),
        (vec!["crds", "--directory", "/proc/crds"], &["/proc/crds", "cannot be written"]),
        (vec!["demo", "--directory", "/proc/demo"], &["/proc/demo", "cannot be prepared"]),
    ];
    for (arguments, words) in cases {
        let line = refused(arguments, &[]).await;
        for word in *words {
            assert!(line.contains(word), "{arguments:?} does not name {word}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cluster_is_one_line() {
    let folder = TempDir::new().unwrap();
    let kubeconfig = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    // A port that was ours a moment ago: nobody listens.
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = format!(
        "{{apiVersion: v1, kind: Config, current-context: here, clusters: [{{name: here, cluster: {{server: \"http://{refusing}\"}}}}], \
         contexts: [{{name: here, context: {{cluster: here, user: me}}}}], users: [{{name: me, user: {{}}}}]}}"
    );
    let controller = ["controller", "--region", "eu-west-1", "--admin", "127.0.0.1:0"];
    let nowhere = refused(&controller, &[]).await;
    assert_eq!(nowhere, "no cluster: there is no kubeconfig and this is not a pod; set KUBECONFIG or pass --kubeconfig");
    let (missing, broken, down) =
        ("/nonexistent/config".to_owned(), kubeconfig("broken", "clusters: none"), kubeconfig("down", &down));
    let address = refusing.to_string();
    let cases: [(&[&str], &str, &[&str]); 4] = [
        (&[], &missing, &["no cluster: ", "/nonexistent/config", "No such file"]),
        (&[], &broken, &["no cluster: ", "kubeconfig"]),
        (&["--context", "there"], &down, &["no cluster: ", "no context 'there'; it has here"]),
        (&[], &down, &["no cluster: ", &address, "refused", "is it up, and is it the right --context?"]),
    ];
    for (more, path, words) in cases {
        let by_flag = refused(&[&controller, more, &["--kubeconfig", path]].concat(), &[]).await;
        for word in words {
            assert!(by_flag.contains(word), "{path} does not name {word}: {by_flag}");
        }
        if Path::new(path).exists() {
            assert_eq!(refused(&[&controller, more].concat(), &[("KUBECONFIG", path)]).await, by_flag);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_crd_is_told_how_to_install_it() {
    // The shared one has the CRD.
    let plane = ControlPlane::private().await;
    let kubeconfig = plane.kubeconfig_path();
    let controller =
        ["controller", "--region", "eu-west-1", "--admin", "127.0.0.1:0", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let line = refused(&controller, &[]).await;
    assert_eq!(
        line,
        "the CRDs awsaccounts.sgwarden.dev, cidrsets.sgwarden.dev, notifiers.sgwarden.dev and securitygroups.sgwarden.dev are not installed: kubectl apply \
         --server-side -f crds/"
    );
    // Without any rights of its own it still says what is most likely.
    let account = plane.service_account_kubeconfig("default", "nobody").await;
    let nobody = [&controller[..5], &["--kubeconfig", account.to_str().unwrap()]].concat();
    assert_eq!(refused(&nobody, &[]).await, line);

    // With its CRD in place, but no rights, it names the right that is missing.
    crate::rig::install_crds(&plane).await;
    let line = refused(&nobody, &[]).await;
    assert!(line.starts_with("sgwarden may not read the namespace kube-system") && line.contains("deploy/"), "{line}");
}

// crds and help ------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn crds_are_printed_and_written_as_they_are_in_the_repository() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let folder = TempDir::new().unwrap();
    let new = folder.path().join("new");
    let ran = run(&["crds", "--directory", new.to_str().unwrap()], &[]).await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    let files = |folder: &Path| -> BTreeMap<PathBuf, String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into(), std::fs::read_to_string(entry.path()).unwrap())).collect()
    };
    assert_eq!(files(&new), files(&repository));

    let printed = run(&["crds", "--print"], &[]).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let documents: BTreeSet<&str> = printed.stdout.split("---\n").filter(|text| !text.is_empty()).collect();
    assert_eq!(documents, files(&repository).values().map(String::as_str).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_are_answers_and_nothing_asked_is_not() {
    for arguments in [vec!["--help"], vec!["run", "--help"], vec!["controller", "-h"], vec!["demo", "--help"], vec!["--version"]] {
        let ran = run(&arguments, &[]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(ran.stdout.contains("sgwarden") && !ran.stdout.contains("speedup"), "{arguments:?}: {}", ran.stdout);
    }
    let ran = run(&[], &[]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("Usage: sgwarden <COMMAND>"));
}

// sim ----------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_prints_what_to_export_and_answers_the_aws_cli_with_nothing_else() {
    let sim = StandIn::start().await;
    let vpcs = sim.aws(&["ec2", "describe-vpcs", "--vpc-ids", VPC]).await;
    assert_eq!((&vpcs["Vpcs"][0]["VpcId"], &vpcs["Vpcs"][0]["OwnerId"]), (&Value::from(VPC), &Value::from("111122223333")));
    let identity = sim.aws(&["sts", "get-caller-identity"]).await;
    assert_eq!(identity["Account"], "111122223333");
    sim.server.stopped().await;
    let sim = StandIn::start().await;
    assert_eq!(sim.server.signalled("INT").await.0, 0);
}

// demo ---------------------------------------------------------------------------------------------------------------

/// The audit file, and that it tells of each change what came of it.
fn audited(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |phase: &str| -> Vec<&str> {
        let mut ids: Vec<&str> =
            records.iter().filter(|record| record["phase"] == phase).map(|record| record["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids("Intent"), ids("Outcome"), "every intent has one outcome");
    assert_eq!(ids("Intent").len() * 2, records.len());
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_puts_every_edit_right_and_can_be_repeated() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("demo");
    for round in 1..=2 {
        let ran = run(&["demo", "--speedup", "3", "--directory", directory.to_str().unwrap()], &[]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "round {round}: {}", ran.stdout);
        let last = ran.stdout.lines().last().unwrap();
        assert!(last.starts_with("Done: 6 unauthorized edits, 6 put right (median "), "round {round}: {}", ran.stdout);
        assert!(last.contains(" 0 missed. Audit in ") && last.contains("audit.jsonl"), "{last}");
        let records = audited(&directory.join("audit.jsonl"));
        let drift = records.iter().filter(|record| record["phase"] == "Intent" && record["items"][0]["cause"] == "Drift").count();
        assert!(drift >= 5, "{drift} changes are told to undo drift in round {round}");
        assert!(records.iter().filter(|record| record["phase"] == "Outcome").all(|record| record["outcome"]["result"] == "Done"));
        // What a person put beside it is left alone.
        if round == 1 {
            std::fs::write(directory.join("notes.txt"), "mine").unwrap();
        }
    }
    assert_eq!(std::fs::read_to_string(directory.join("notes.txt")).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_demo_early_and_cleanly() {
    let folder = TempDir::new().unwrap();
    let demo = Server::start(&["demo", "--directory", folder.path().to_str().unwrap()], &[]);
    demo.line("applied    db: ").await;
    let (code, log) = demo.signalled("INT").await;
    assert_eq!(code, 0, "{log}");
    assert!(log.lines().last().unwrap().starts_with("Done: 0 unauthorized edits, 0 put right, 0 missed."), "{log}");
    audited(&folder.path().join("audit.jsonl"));
}

// run ----------------------------------------------------------------------------------------------------------------

/// A directory of manifests and everything `run` is given.
struct Directory {
    folder: TempDir,
    sim: StandIn,
    ec2: Ec2,
}

impl Directory {
    /// With the manifests of the case in it.
    async fn start() -> Self {
        let sim = StandIn::start().await;
        let directory = Self { folder: TempDir::new().unwrap(), ec2: sim.intruder().await, sim };
        std::fs::create_dir(directory.path("groups")).unwrap();
        let (_, case) = ACCEPTED.iter().find(|(name, _)| *name == "case").unwrap();
        directory.write("case.yaml", case);
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As an editor does: never half a file.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("draft"), text).unwrap();
        std::fs::rename(self.path("draft"), self.path("groups").join(name)).unwrap();
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let (groups, state, audit) = (path("groups"), path("state"), path("audit.jsonl"));
        let given = ["-f", &groups, "--state", &state, "--audit-file", &audit, "--cluster-id", "c", "--region", "eu-west-1"];
        let quick = ["--speedup", "20", "--sweep", "1", "--admin", "127.0.0.1:0", "--log", "info"];
        ["run"].iter().chain(&given).chain(&quick).map(|&word| word.to_owned()).collect()
    }

    fn run(&self) -> Server {
        let arguments = self.arguments();
        Server::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &self.sim.exports())
    }

    /// Waits until EC2 holds the table of the case and no other group of ours; the ids by owner.
    async fn as_declared(&self, others: &[&str]) -> BTreeMap<String, SecurityGroupId> {
        until("EC2 is as declared", async || {
            let groups = owned(&self.ec2, "c").await;
            let mut names: Vec<&str> =
                ["default/db", "default/web-internal", "default/web-public"].iter().chain(others).copied().collect();
            names.sort_unstable();
            if !groups.keys().eq(&names) {
                return None;
            }
            let web = |from: &str| {
                vec![
                    "egress all to 0.0.0.0/0 \"Allow outbound traffic\"".to_owned(),
                    format!("ingress tcp 443 from {from} \"Allow inbound HTTPS traffic\""),
                    format!("ingress tcp 80 from {from} \"Allow inbound HTTP traffic\""),
                ]
            };
            let db = vec![format!("ingress tcp 5432 from {} \"Allow the web tier\"", groups["default/web-public"])];
            for (name, expected) in [("db", db), ("web-internal", web("10.0.0.0/8")), ("web-public", web("0.0.0.0/0"))] {
                if rules(&self.ec2, &groups[&format!("default/{name}")]).await != expected {
                    return None;
                }
            }
            Some(groups)
        })
        .await
    }

    /// Somebody takes a rule away.
    async fn remove_https(&self, group: &SecurityGroupId) {
        let live = self.ec2.read.rules(group).await.unwrap();
        let https = live.iter().find(|rule| rule.atom.to_string().starts_with("ingress tcp 443")).unwrap().id.clone();
        self.ec2.write.revoke(group, Direction::Ingress, &[https]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_makes_and_keeps_the_groups_of_a_directory_whatever_bad_file_lies_beside() {
    let directory = Directory::start().await;
    let running = directory.run();
    let groups = directory.as_declared(&[]).await;

    let second = directory.arguments();
    let second = refused(&second.iter().map(String::as_str).collect::<Vec<_>>(), &directory.sim.exports()).await;
    assert!(
        second.contains(directory.path("state").to_str().unwrap()) && second.contains("another sgwarden is using it"),
        "{second}"
    );

    // A file that cannot be read as what it should be: nothing of the directory changes, and what was good is kept up.
    let (_, least) = ACCEPTED.iter().find(|(name, _)| *name == "least").unwrap();
    directory.write("bad.yaml", &least.replace("egressPolicy", "egresPolicy"));
    let told = running.line("bad.yaml").await;
    assert!(told.contains("ERROR") && told.contains("bad.yaml:5:33: spec.egresPolicy: unknown field"), "{told}");
    directory.remove_https(&groups["default/web-public"]).await;
    assert_eq!(directory.as_declared(&[]).await, groups);

    // One that can, but makes no sense: its object alone is told of.
    directory.write(
        "bad.yaml",
        &least.replace(
            "egressPolicy: DenyAll",
            "egressPolicy: DenyAll, ingress: [{name: a, protocol: all, from: [{cidr: 10.1.2.3/8}]}]",
        ),
    );
    let told = running.line("spec.ingress[0].from[0].cidr").await;
    assert!(told.contains("least") && told.contains("write '10.0.0.0/8'"), "{told}");
    directory.remove_https(&groups["default/web-internal"]).await;
    assert_eq!(directory.as_declared(&[]).await, groups);

    directory.write("bad.yaml", least);
    directory.as_declared(&["default/least"]).await;
    let log = running.stopped().await;
    assert!(log.trim_end().ends_with("sgwarden has stopped"), "{log}");
    let records = audited(&directory.path("audit.jsonl"));
    assert!(records.iter().any(|record| record["operation"] == "CreateSecurityGroup" && record["object"] == "default/least"));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_killed_while_it_creates_and_started_again_makes_no_second_group() {
    let directory = Directory::start().await;
    let first = directory.run();
    until("the first group", async || (!owned(&directory.ec2, "c").await.is_empty()).then_some(())).await;
    let (code, _) = first.signalled("KILL").await;
    assert_eq!(code, 137);
    let early = owned(&directory.ec2, "c").await;

    let second = directory.run();
    let groups = directory.as_declared(&[]).await;
    for (owner, id) in &early {
        assert_eq!(groups.get(owner), Some(id), "{owner} keeps its group");
    }
    // EC2 is as declared a moment before the status says so; until then an edit could not be told from our own plan.
    until("what is known of web-public is kept", async || {
        let text = std::fs::read_to_string(directory.path("state").join("default+web-public.json")).ok()?;
        let held: Value = serde_json::from_str(&text).ok()?;
        let rules = held["status"]["rules"].as_array()?;
        (rules.len() == 3 && rules.iter().all(|line| line.as_str().is_some_and(|line| line.contains(" sgr-")))).then_some(())
    })
    .await;
    let (code, _) = second.signalled("KILL").await;
    assert_eq!(code, 137);

    // Nobody looks while somebody edits; what is known of the groups was kept.
    directory.remove_https(&groups["default/web-public"]).await;
    let third = directory.run();
    assert_eq!(directory.as_declared(&[]).await, groups);
    let log = third.stopped().await;
    assert!(log.contains("somebody removed ingress tcp 443 from 0.0.0.0/0"), "{log}");
    assert!(!log.contains("CreateSecurityGroup"), "{log}");
}
