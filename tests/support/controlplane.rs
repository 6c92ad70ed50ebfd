//! A real kube-apiserver and etcd for tests.
//!
//! Entry points: [`ControlPlane::shared`], one per test binary, started by the first test that asks (isolate tests with
//! [`ControlPlane::namespace`]); [`ControlPlane::private`] for a test that stops or restarts the apiserver, or fills it
//! with cluster-wide objects. Both bind free loopback ports, authorize by RBAC, keep everything in one temporary
//! directory, and leave neither process nor directory behind however the test process ends (`supervised`).
//!
//! There is no controller manager: namespaces stay `Terminating` for ever, nothing is garbage collected, pods do not
//! run. So take a fresh namespace and never wait for one to be deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::AsyncWriteExt;

use super::launch::{Launch, LaunchError, random_hex};
use super::setup;
use super::supervised::Supervised;

/// How long SIGTERM may take: the apiserver drains its connections, 3 s when idle.
const TERMINATE_LIMIT: Duration = Duration::from_secs(30);

/// How long one kubectl call may take on a machine that builds something else meanwhile.
const KUBECTL_LIMIT: Duration = Duration::from_mins(1);

/// A running kube-apiserver with its etcd.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    launch: Launch,
    // Before etcd: fields are dropped in order, and etcd's watchdog removes the directory they share.
    apiserver: Option<Supervised>,
    etcd: Supervised,
}

/// How the apiserver goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM: watches are closed properly, running requests end.
    Gently,
    /// SIGKILL: connections break.
    Abruptly,
}

/// What one kubectl call said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Whether it exited with 0.
    pub(crate) success: bool,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error: refusals and warnings.
    pub(crate) stderr: String,
    command: String,
}

impl Said {
    /// The output of a call that must have succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert!(self.success, "{} failed: {}{}", self.command, self.stdout, self.stderr);
        self.stdout
    }

    /// The complaint of a call that must have been refused.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert!(!self.success, "{} was accepted: {}{}", self.command, self.stdout, self.stderr);
        self.stderr
    }
}

impl ControlPlane {
    /// The control plane of this test binary. The first call starts it (some seconds, blocking the calling thread) and
    /// the others wait for that; a failed start fails every test at once instead of being tried again by each.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        match SHARED.get_or_init(Self::start) {
            Ok(control_plane) => control_plane,
            Err(problem) => panic!("no control plane: {problem}"),
        }
    }

    /// One for a single test, gone when it is dropped.
    pub(crate) async fn private() -> Self {
        blocking(Self::start).await.unwrap_or_else(|problem| panic!("no control plane: {problem}"))
    }

    /// Starts one and waits until it serves. Blocking.
    pub(crate) fn start() -> Result<Self, String> {
        install_crypto_provider();
        let assets = setup::control_plane_assets()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::start_once(&assets) {
                Ok(control_plane) => return Ok(control_plane),
                // Between our choosing a free port and the server's taking it, somebody else did.
                Err(LaunchError::PortTaken(_)) if attempts < 5 => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn start_once(assets: &Path) -> Result<Self, LaunchError> {
        let launch = Launch::prepare(assets)?;
        let etcd = launch.etcd()?;
        let apiserver = launch.apiserver()?;
        Ok(Self { launch, apiserver: Some(apiserver), etcd })
    }

    /// `https://127.0.0.1:<port>`. The same before and after a restart.
    pub(crate) fn url(&self) -> String {
        self.launch.url()
    }

    /// A kubeconfig of the administrator (group `system:masters`).
    pub(crate) fn kubeconfig_path(&self) -> PathBuf {
        self.launch.admin_kubeconfig()
    }

    /// The administrator's bearer token.
    pub(crate) fn admin_token(&self) -> &str {
        self.launch.admin_token()
    }

    /// The certificates, in PEM, that vouch for the apiserver.
    pub(crate) fn ca_pem(&self) -> String {
        fs::read_to_string(self.launch.ca_file()).unwrap()
    }

    /// Where the servers keep their data and logs. Free for a test's own files too; removed at the end.
    pub(crate) fn state_dir(&self) -> &Path {
        self.launch.state_dir()
    }

    /// The process ids of etcd, the apiserver and their watchdogs.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        let servers = [Some(&self.etcd), self.apiserver.as_ref()];
        servers.into_iter().flatten().flat_map(|server| [server.pid(), Some(server.watchdog_pid())]).flatten().collect()
    }

    /// The apiserver's log so far.
    pub(crate) fn apiserver_log(&self) -> String {
        self.apiserver.as_ref().map(Supervised::log).unwrap_or_default()
    }

    // Clients -------------------------------------------------------------------------------------------------------

    /// The administrator's configuration.
    pub(crate) async fn config(&self) -> Config {
        config_from(&self.kubeconfig_path()).await
    }

    /// The administrator acting as another user, with that user's rights only (impersonation). A `ServiceAccount` is
    /// `system:serviceaccount:<namespace>:<name>`; its groups must be given too if a binding names them.
    pub(crate) async fn config_as(&self, user: &str, groups: &[&str]) -> Config {
        let mut config = self.config().await;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
        config
    }

    /// An administrator's client. It belongs to the calling test's tokio runtime: each test makes its own.
    pub(crate) async fn client(&self) -> Client {
        Client::try_from(self.config().await).unwrap()
    }

    /// A client with [`Self::config_as`].
    pub(crate) async fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        Client::try_from(self.config_as(user, groups).await).unwrap()
    }

    /// Makes the `ServiceAccount` if there is none and returns a kubeconfig that logs in with a token of its own: the
    /// way our program runs in a pod, so with the rights that `deploy/` gives it and no others.
    pub(crate) async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let account =
            ServiceAccount { metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() }, ..Default::default() };
        match accounts.create(&PostParams::default(), &account).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => panic!("ServiceAccount {namespace}/{name}: {error}"),
        }
        let token = self.kubectl(&["create", "token", name, "--namespace", namespace], "").await.succeeded();
        self.launch.write_kubeconfig(&format!("{namespace}-{name}"), token.trim(), namespace).unwrap()
    }

    /// Makes a namespace that no other test has, named after `prefix`.
    pub(crate) async fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", random_hex(4));
        let namespace = Namespace { metadata: ObjectMeta { name: Some(name.clone()), ..Default::default() }, ..Default::default() };
        let namespaces: Api<Namespace> = Api::all(self.client().await);
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        name
    }

    // kubectl -------------------------------------------------------------------------------------------------------

    /// Where the kubectl of the apiserver's own version is.
    pub(crate) fn kubectl_path(&self) -> PathBuf {
        self.launch.kubectl_path()
    }

    /// Runs kubectl as the administrator; `stdin` is for `-f -`. Another user: add `--as=...` to the arguments.
    pub(crate) async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Said {
        let mut command = tokio::process::Command::from(self.launch.kubectl_command(&self.kubeconfig_path()));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take();
        let feed = async {
            if let Some(mut pipe) = pipe.take() {
                // kubectl may end without having read everything; what it says about that is in its output.
                let _ = pipe.write_all(stdin.as_bytes()).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let command = format!("kubectl {}", arguments.join(" "));
        let output = tokio::time::timeout(KUBECTL_LIMIT, both).await;
        let output = output.unwrap_or_else(|_| panic!("{command} takes longer than {KUBECTL_LIMIT:?}")).unwrap();
        Said {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command,
        }
    }

    // Outages: `&mut self`, so only a private control plane can have one -----------------------------------------------

    /// Takes the apiserver down; etcd keeps its data. Nothing to do if it is down.
    pub(crate) async fn stop_apiserver(&mut self, how: Stop) {
        if let Some(server) = self.apiserver.take() {
            let stopped = blocking(move || match how {
                Stop::Gently => server.terminate(TERMINATE_LIMIT),
                Stop::Abruptly => server.kill(),
            });
            stopped.await.unwrap();
        }
    }

    /// Brings the apiserver up again on the same port and waits until it serves. Nothing to do if it is up.
    pub(crate) async fn start_apiserver(&mut self) {
        if self.apiserver.is_none() {
            let launch = self.launch.clone();
            let server = blocking(move || launch.apiserver_again()).await;
            self.apiserver = Some(server.unwrap_or_else(|error| panic!("the apiserver does not come back: {error}")));
        }
    }

    /// Both, one after the other.
    pub(crate) async fn restart_apiserver(&mut self, how: Stop) {
        self.stop_apiserver(how).await;
        self.start_apiserver().await;
    }
}

/// Chooses the TLS implementation of the whole process, which kube and the AWS SDK share. Safe to call again.
pub(crate) fn install_crypto_provider() {
    // An error says that a provider is installed already, which is what was asked for.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The configuration that a kubeconfig file describes.
pub(crate) async fn config_from(kubeconfig: &Path) -> Config {
    install_crypto_provider();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

/// Waits for blocking work without holding up the test's other tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
