//! `sgwarden controller` as a process among others: started, looked at, frozen, thawed, killed.
//!
//! Entry point: [`Installation`], whose [`Replica`]s share a Lease and never outlive their test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{NOBODY, until};
use crate::rig::Rig;
use crate::support::http;
use crate::support::supervised::{StateDir, Supervised};

/// By how much waits are shortened: most by all of it, those around the Lease by 4 at most. A Lease then holds 5 s, and who
/// takes one that was not released waits 2 s.
const SPEEDUP: &str = "20";

/// What the replicas of one controller have in common.
pub(crate) struct Installation {
    kubeconfig: PathBuf,
    /// Where the apiserver is instead of where the kubeconfig says.
    gate: Option<SocketAddr>,
    /// Of the Lease, and of the objects that are served.
    namespace: String,
    cluster: String,
    ec2: SocketAddr,
    speedup: &'static str,
    /// From one sweep to the next, in seconds.
    sweep: &'static str,
    /// The queue that `CloudTrail`'s events come by.
    queue: Option<String>,
    folder: TempDir,
}

impl Installation {
    /// Of a namespace, whose name is the id of the cluster too.
    pub(crate) fn new(kubeconfig: PathBuf, namespace: &str, ec2: SocketAddr) -> Self {
        Self {
            kubeconfig,
            gate: None,
            namespace: namespace.to_owned(),
            cluster: namespace.to_owned(),
            ec2,
            speedup: SPEEDUP,
            sweep: "1",
            queue: None,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Of a rig's namespace.
    pub(crate) fn of(rig: &Rig, ec2: SocketAddr) -> Self {
        Self::new(rig.plane.kubeconfig_path(), &rig.namespace, ec2)
    }

    /// The same with a gate before the apiserver.
    pub(crate) fn through(mut self, gate: SocketAddr) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The same with other waits.
    pub(crate) fn speedup(mut self, by: &'static str) -> Self {
        self.speedup = by;
        self
    }

    /// The same, whose edits are told by a queue: sweeps are too far apart to find any.
    pub(crate) fn listening(mut self, queue: &str) -> Self {
        self.queue = Some(queue.to_owned());
        self.sweep = "3600";
        self.speedup("1")
    }

    /// Starts a replica and waits until it serves its metrics. Its key is made of its name, so that the stand-in, and a gate, tell
    /// replicas apart.
    pub(crate) async fn start(&self, name: &str) -> Replica {
        let key = format!("AKIA111122223333{}", name.to_uppercase());
        let audit = self.folder.path().join("audit.jsonl");
        let endpoint = format!("http://{}", self.ec2);
        let kubeconfig = self.gate.map_or_else(|| self.kubeconfig.clone(), |gate| self.kubeconfig_through(gate, &key));
        let arguments: [&[&str]; 4] = [
            &["controller", "--kubeconfig", kubeconfig.to_str().unwrap(), "--admin", "127.0.0.1:0"],
            &["--namespace", &self.namespace, "--lease-namespace", &self.namespace, "--cluster-id", &self.cluster],
            &["--region", "eu-west-1", "--account-id", "111122223333", "--audit-file", audit.to_str().unwrap()],
            &["--speedup", self.speedup, "--sweep", self.sweep, "--log", "info"],
        ];
        let environment = [
            ("AWS_ENDPOINT_URL_EC2", endpoint.as_str()),
            ("AWS_ENDPOINT_URL_STS", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", key.as_str()),
            ("AWS_SECRET_ACCESS_KEY", "not-checked"),
        ];
        let environment = [&NOBODY[..], &environment].concat();
        let queue: Vec<&str> = self.queue.iter().flat_map(|url| ["--events-queue", url]).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_sgwarden"));
        let arguments = [arguments.concat(), queue].concat();
        let process = Supervised::spawn(name, self.folder.path(), StateDir::Keep, binary, arguments, &environment).unwrap();
        let admin = until("it serves its metrics", async || address(&process)).await;
        Replica { process, admin, key }
    }

    /// A kubeconfig that leads to a gate and shows this token there.
    fn kubeconfig_through(&self, gate: SocketAddr, token: &str) -> PathBuf {
        // JSON is YAML.
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "gate", "cluster": {"server": format!("http://{gate}")}}],
            "users": [{"name": "replica", "user": {"token": token}}],
            "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "replica"}}],
            "current-context": "gate",
        });
        let path = self.folder.path().join(format!("{token}.kubeconfig"));
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        path
    }

    /// The audit trail of all replicas, a record a line.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Where a process says that it serves.
fn address(process: &Supervised) -> Option<SocketAddr> {
    let log = process.log();
    assert!(process.exit_code().is_none(), "it has ended; {}", process.log_tail(20));
    let (_, rest) = log.split_once("address=")?;
    let (line, _) = rest.split_once('\n')?;
    line.split(' ').next()?.parse().ok()
}

/// One process.
pub(crate) struct Replica {
    process: Supervised,
    admin: SocketAddr,
    /// The access key by which the stand-in knows it, and the token by which a gate before the apiserver does.
    pub(crate) key: String,
}

impl Replica {
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it has said something so often.
    pub(crate) async fn says(&self, text: &str, times: usize) {
        until(&format!("'{text}' {times} times; {}", self.process.log_tail(10)), async || {
            assert!(self.process.exit_code().is_none(), "it has ended; {}", self.process.log_tail(20));
            (self.log().matches(text).count() >= times).then_some(())
        })
        .await;
    }

    /// Status and text of a page.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        http::send(self.admin, &format!("GET {path}"), &[], "").await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (status, page) = self.page("/metrics").await;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{status}: no {name} in {page}"))
    }

    /// Waits until so many reconciles have ended.
    pub(crate) async fn reconciles(&self, many: u64) {
        until(&format!("{many} reconciles; {}", self.process.log_tail(10)), async || {
            let (_, page) = self.page("/metrics").await;
            let counts = page.lines().filter(|line| line.starts_with("sgwarden_reconcile_total{"));
            let ended: u64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
            (ended >= many).then_some(())
        })
        .await;
    }

    /// Waits until it leads, or stands by.
    pub(crate) async fn leads(&self, leads: bool) {
        let wanted = if leads { 1.0 } else { 0.0 };
        until(&format!("leads: {leads}; {}", self.process.log_tail(10)), async || {
            let is = self.metric("sgwarden_leader").await;
            ((is - wanted).abs() < f64::EPSILON).then_some(())
        })
        .await;
    }

    /// Stops it in its tracks (SIGSTOP), whatever it is at.
    pub(crate) async fn freeze(&mut self) {
        self.process.signal("STOP").unwrap();
        until("it is frozen", async || (self.state()? == 'T').then_some(())).await;
    }

    /// Lets it go on (SIGCONT).
    pub(crate) async fn thaw(&mut self) {
        self.process.signal("CONT").unwrap();
        until("it goes on", async || (self.state()? != 'T').then_some(())).await;
    }

    /// What the kernel says of it: `R`, `S`, `T`.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.pid()?)).ok()?;
        // The name in brackets may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// How many files, sockets among them, it has open.
    pub(crate) fn open_files(&self) -> usize {
        let pid = self.process.pid().unwrap();
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    /// Ends it as a crash of its node does (SIGKILL).
    pub(crate) fn killed(self) {
        assert_eq!(self.process.kill().unwrap(), 137);
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn ask_to_stop(&mut self) {
        self.process.signal("TERM").unwrap();
    }

    /// Waits until it has ended as it should; its log.
    pub(crate) async fn ended(self) -> String {
        let code = until(&format!("the end; {}", self.process.log_tail(10)), async || self.process.exit_code()).await;
        assert_eq!(code, 0, "{}", self.process.log_tail(20));
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
        log
    }

    /// Stops it as a cluster does.
    pub(crate) async fn stopped(mut self) -> String {
        self.ask_to_stop();
        self.ended().await
    }
}
