//! A client for the cluster that a kubeconfig, or the pod we run in, names.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a piece of a request may take to be sent.
const WRITE: Duration = Duration::from_secs(10);
/// The longest silence on a connection while an answer is due. The list that a watch begins with has no other limit: kube
/// gives reads none. Longer than the longest silence of a healthy watch, [`super::watch::WATCH_SECONDS`] and its margin.
const READ: Duration = Duration::from_secs(140);
/// What our requests are called in the apiserver's audit log.
const AGENT: &str = concat!("sgwarden/", env!("CARGO_PKG_VERSION"));

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// A kubeconfig other than the usual one.
    pub kubeconfig: Option<PathBuf>,
    /// A context other than the current one.
    pub context: Option<String>,
}

/// A cluster, not yet spoken to.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The apiserver's address, for messages.
    pub server: String,
}

/// There is no cluster to speak to. One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says which cluster.
    #[error("no cluster: there is no kubeconfig and this is not a pod; set KUBECONFIG or pass --kubeconfig")]
    Nowhere,
    /// The kubeconfig cannot be used.
    #[error("no cluster: the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// The kubeconfig has no such context.
    #[error("no cluster: the kubeconfig has no context '{wanted}'; it has {known}")]
    Context {
        /// As asked for.
        wanted: String,
        /// Those there are.
        known: String,
    },
    /// In a pod, but without what a pod is given.
    #[error("no cluster: the pod's service account cannot be used: {0}")]
    Pod(String),
    /// This build cannot speak through a proxy.
    #[error(
        "no cluster: {server} is to be reached through a proxy, which sgwarden cannot do; unset HTTPS_PROXY or proxy-url in the kubeconfig"
    )]
    Proxy {
        /// The apiserver's address.
        server: String,
    },
    /// The client cannot be made: certificates, keys, credential plugins.
    #[error("no cluster: a client for {server} cannot be made: {why}")]
    Client {
        /// The apiserver's address.
        server: String,
        /// Why.
        why: String,
    },
}

/// Makes a client; sends nothing yet, unless the kubeconfig has a credential plugin run.
pub async fn connect(options: &ClusterOptions) -> Result<Cluster, ConnectError> {
    let mut config = config(options).await?;
    tune(&mut config);
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    if config.proxy_url.is_some() {
        return Err(ConnectError::Proxy { server });
    }
    match Client::try_from(config) {
        Ok(client) => Ok(Cluster { client, server }),
        Err(error) => Err(ConnectError::Client { server, why: one_line(&error) }),
    }
}

async fn config(options: &ClusterOptions) -> Result<Config, ConnectError> {
    let kubeconfig = match &options.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map_err(|error| ConnectError::Kubeconfig(unusable(&error)))?,
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => kubeconfig,
            // A context is a thing of kubeconfigs: with one asked for, the pod is not what is meant.
            Err(error) if is_absent(&error) && options.context.is_none() => return pod(),
            Err(error) => return Err(ConnectError::Kubeconfig(unusable(&error))),
        },
    };
    if let Some(wanted) = &options.context {
        let known = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>();
        if !known.contains(&wanted.as_str()) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(ConnectError::Context { wanted: wanted.clone(), known });
        }
    }
    let choice = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &choice).await.map_err(|error| ConnectError::Kubeconfig(one_line(&error)))
}

/// The parser's own words quote the lines around a fault, and in a kubeconfig these may hold a token.
fn unusable(error: &KubeconfigError) -> String {
    if matches!(error, KubeconfigError::Parse(_)) {
        return "it is not the YAML of a kubeconfig; kubectl config view says where".to_owned();
    }
    one_line(error)
}

fn pod() -> Result<Config, ConnectError> {
    use kube::config::InClusterError as E;
    Config::incluster().map_err(|error| match error {
        E::ReadEnvironmentVariable(_) => ConnectError::Nowhere,
        E::ReadDefaultNamespace(_)
        | E::ReadCertificateBundle(_)
        | E::ParseClusterPort(_)
        | E::ParseClusterUrl(_)
        | E::ParseCertificates(_) => ConnectError::Pod(one_line(&error)),
    })
}

/// Whether there simply is no kubeconfig, as in a pod.
fn is_absent(error: &KubeconfigError) -> bool {
    let absent = |cause: &io::Error| cause.kind() == io::ErrorKind::NotFound;
    matches!(error, KubeconfigError::FindPath) || matches!(error, KubeconfigError::ReadConfig(cause, _) if absent(cause))
}

fn tune(config: &mut Config) {
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(WRITE);
    config.read_timeout = Some(READ);
    // Without this, the time a connection lay idle in the pool would count against the next answer.
    config.reset_reader_on_write = true;
    // kube retries 429, 503 and 504 up to 15 times over minutes, heeding any Retry-After, and PUTs as well: a status write
    // would hang, or be sent again after it took effect and come back as a conflict with itself. The engine and the
    // watcher have back-offs of their own.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    if is_loopback(&config.cluster_url) {
        // kube reads HTTPS_PROXY for every address; kubectl leaves loopback alone, and so do we.
        config.proxy_url = None;
    }
}

fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error and its causes on one line, each said once.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many of kube's errors write their cause into their own text.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_kubeconfig_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "users:\n- name: me\n  user: {token: very-secret\n").unwrap();
        let options = ClusterOptions { kubeconfig: Some(path), context: None };
        let line = connect(&options).await.err().unwrap().to_string();
        assert!(!line.contains("very-secret") && line.contains("kubectl config view"), "{line}");
    }

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: here, cluster: {server: "http://127.0.0.1:1"}}
- {name: far, cluster: {server: "https://cluster.example.com", proxy-url: "http://proxy.example.com:3128"}}
contexts:
- {name: one, context: {cluster: here, user: me}}
- {name: two, context: {cluster: far, user: me}}
- {name: broken, context: {cluster: nowhere, user: me}}
users:
- {name: me, user: {}}
"#;

    async fn fails(options: &ClusterOptions) -> String {
        let Err(error) = connect(options).await else { panic!("connected") };
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        assert!(text.starts_with("no cluster: "), "{text}");
        text
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_kubeconfig_is_said_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let mut options = ClusterOptions { kubeconfig: Some(path.clone()), context: None };
        assert!(fails(&options).await.contains("No such file or directory"));

        std::fs::write(&path, "apiVersion: v1\nclusters: {").unwrap();
        assert!(fails(&options).await.contains("it is not the YAML of a kubeconfig"));

        std::fs::write(&path, KUBECONFIG).unwrap();
        options.context = Some("three".to_owned());
        assert_eq!(fails(&options).await, "no cluster: the kubeconfig has no context 'three'; it has one, two, broken");
        options.context = Some("broken".to_owned());
        assert!(fails(&options).await.contains("nowhere"));
        options.context = Some("two".to_owned());
        assert!(fails(&options).await.contains("https://cluster.example.com is to be reached through a proxy"));

        options.context = None;
        let cluster = connect(&options).await.unwrap();
        assert_eq!(cluster.server, "http://127.0.0.1:1");
    }

    #[test]
    fn loopback_is_told_apart() {
        for (url, expected) in [
            ("https://127.0.0.1:6443", true),
            ("https://[::1]:6443", true),
            ("https://localhost:6443", true),
            ("https://10.0.0.1:6443", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
