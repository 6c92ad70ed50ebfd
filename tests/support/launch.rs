//! The command lines of etcd and kube-apiserver, and what they need on disk.
//!
//! Used through `controlplane`. The flags are those of kube-apiserver 1.37; certificates it makes itself.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use serde_json::json;

use super::supervised::{StateDir, Supervised};

/// 3 s on an idle machine; the limit is for one that builds two other things meanwhile.
const READY_LIMIT: Duration = Duration::from_mins(2);

const POLL: Duration = Duration::from_millis(100);

/// Why a server did not come up.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// Somebody else listens on the port that was free a moment ago.
    PortTaken(String),
    /// Anything else, with the end of the server's log.
    Failed(String),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken(text) | Self::Failed(text) => out.write_str(text),
        }
    }
}

impl From<io::Error> for LaunchError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Everything that is decided before the first server starts, and stays the same over restarts.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    assets: PathBuf,
    state_dir: PathBuf,
    etcd_port: u16,
    etcd_peer_port: u16,
    apiserver_port: u16,
    admin_token: String,
}

impl Launch {
    /// Makes the state directory with the key and the token file, and chooses ports.
    pub(crate) fn prepare(assets: &Path) -> Result<Self, LaunchError> {
        // Kept, that is, not removed by this guard: etcd's watchdog does it, which also works when nothing is dropped.
        let state_dir = tempfile::Builder::new().prefix("sgwarden-controlplane-").tempdir()?.keep().canonicalize()?;
        // All are held at once, so that they differ.
        let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [etcd, etcd_peer, apiserver] = &listeners;
        let launch = Self {
            assets: assets.to_owned(),
            etcd_port: etcd.local_addr()?.port(),
            etcd_peer_port: etcd_peer.local_addr()?.port(),
            apiserver_port: apiserver.local_addr()?.port(),
            admin_token: random_hex(16),
            state_dir,
        };
        fs::write(launch.state_dir.join("service-account.key"), ec_private_key()?)?;
        fs::write(launch.token_file(), format!("{},admin,admin,\"system:masters\"\n", launch.admin_token))?;
        launch.write_kubeconfig("admin", &launch.admin_token, "default")?;
        Ok(launch)
    }

    /// Starts etcd and waits until it listens.
    pub(crate) fn etcd(&self) -> Result<Supervised, LaunchError> {
        let client_url = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer_url = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        let arguments = [
            format!("--data-dir={}", self.state_dir.join("etcd").display()),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
            // The data does not outlive the test, so it need not survive a power cut.
            "--unsafe-no-fsync=true".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let program = self.assets.join("etcd");
        let server = Supervised::spawn("etcd", &self.state_dir, StateDir::Remove, &program, arguments, &[])?;
        let port = self.etcd_port;
        wait_until_up(server, || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Starts the apiserver and waits until it is ready to serve.
    pub(crate) fn apiserver(&self) -> Result<Supervised, LaunchError> {
        let key = self.state_dir.join("service-account.key");
        let arguments = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.apiserver_port),
            // It writes a certificate for 127.0.0.1 here, and finds it again after a restart.
            format!("--cert-dir={}", self.cert_dir().display()),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // The default, AlwaysAllow, would hide every mistake in our RBAC rules.
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", self.token_file().display()),
            // Nobody makes the default ServiceAccounts that this plugin waits for.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--service-account-issuer={}/", self.url()),
            format!("--service-account-key-file={}", key.display()),
            format!("--service-account-signing-key-file={}", key.display()),
        ];
        let program = self.assets.join("kube-apiserver");
        let server = Supervised::spawn("kube-apiserver", &self.state_dir, StateDir::Keep, &program, arguments, &[])?;
        // `default` is where Events about cluster-scoped objects go; it appears a moment after /readyz says ok.
        wait_until_up(server, || self.get("/readyz") && self.get("/api/v1/namespaces/default"))
    }

    /// The same on a port that was in use a moment ago, by the apiserver's predecessor or, in between, by somebody else.
    pub(crate) fn apiserver_again(&self) -> Result<Supervised, LaunchError> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            match self.apiserver() {
                Err(LaunchError::PortTaken(_)) if Instant::now() < deadline => std::thread::sleep(POLL),
                outcome => return outcome,
            }
        }
    }

    /// Whether the apiserver answers this path with success.
    fn get(&self, path: &str) -> bool {
        let mut command = self.kubectl_command(&self.admin_kubeconfig());
        command.args(["get", "--request-timeout=5s", "--raw", path]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// kubectl with this kubeconfig, and with nothing of the person at the keyboard.
    pub(crate) fn kubectl_command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(self.kubectl_path());
        command
            .env("KUBECONFIG", kubeconfig)
            // Its discovery cache is keyed by host and port, and another test's server may have had ours.
            .env("KUBECACHEDIR", self.state_dir.join("kubectl-cache"))
            .env("KUBERC", "off");
        command
    }

    /// Writes a kubeconfig that logs in with this bearer token.
    pub(crate) fn write_kubeconfig(&self, name: &str, token: &str, namespace: &str) -> io::Result<PathBuf> {
        // JSON is YAML.
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url(), "certificate-authority": self.ca_file()}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name, "namespace": namespace}}],
            "current-context": "test",
        });
        let path = self.state_dir.join(format!("{name}.kubeconfig"));
        fs::write(&path, format!("{kubeconfig:#}"))?;
        Ok(path)
    }

    pub(crate) fn kubectl_path(&self) -> PathBuf {
        self.assets.join("kubectl")
    }

    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.state_dir.join("admin.kubeconfig")
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.apiserver_port)
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The apiserver's own certificate, followed by the one it was signed with.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.cert_dir().join("apiserver.crt")
    }

    fn cert_dir(&self) -> PathBuf {
        self.state_dir.join("certificates")
    }

    fn token_file(&self) -> PathBuf {
        self.state_dir.join("tokens.csv")
    }
}

/// Polls until `up` says so; the server goes with the error when it ends first or takes too long.
fn wait_until_up(server: Supervised, up: impl Fn() -> bool) -> Result<Supervised, LaunchError> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        // Asked first: on a port that somebody else took, that somebody might answer.
        if let Some(code) = server.exit_code() {
            let tail = server.log_tail(40);
            let text = format!("it ended with code {code}; {tail}");
            let taken = tail.contains("address already in use");
            return Err(if taken { LaunchError::PortTaken(text) } else { LaunchError::Failed(text) });
        }
        if up() {
            return Ok(server);
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::Failed(format!("not up after {READY_LIMIT:?}; {}", server.log_tail(40))));
        }
        std::thread::sleep(POLL);
    }
}

/// So many random bytes in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random)).unwrap();
    random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A key on the curve P-256, in PEM, for signing service account tokens: the apiserver insists on one and does not make
/// it. Any 32 random bytes are such a key (all but one in 2^32 tries), and its encoding (RFC 5915) is short enough to
/// write out, so no crate and no openssl is needed.
fn ec_private_key() -> io::Result<String> {
    const SEQUENCE_VERSION_1_OCTETS: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    const CURVE_P256: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let mut scalar = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut scalar)?;
    let der = [&SEQUENCE_VERSION_1_OCTETS[..], &scalar, &CURVE_P256].concat();
    // ByteString is how Kubernetes' JSON carries bytes: in base64.
    let base64 = serde_json::to_value(ByteString(der)).map_err(io::Error::other)?;
    let base64 = base64.as_str().unwrap_or_default();
    Ok(format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n"))
}
