//! The admin HTTP server: probes for the kubelet, metrics for Prometheus, the log filter for whoever looks for a fault. Plain
//! words for whoever looks with curl.
//!
//! Invariant: nothing can be changed from another host. Whoever gets to the loopback of a pod may do so by RBAC (`port-forward`,
//! `exec`); the port itself is open to the network for probes and scrapes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::level::{LONGEST, Level};
use super::logs::LogsError;
use crate::ports::metrics::Health;

/// Prometheus 3 refuses a scrape whose content type it does not know.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long requests under way may take to end once the process is asked to stop.
const LEAVE: Duration = Duration::from_secs(5);

/// The longest filter anybody has written, and more.
const MAX_FILTER: usize = 4096;

/// What the server shows.
#[derive(Clone)]
pub struct Admin {
    /// Signs of life and readiness.
    pub health: Health,
    /// How old the last sign of life may be.
    pub patience: Duration,
    /// Every metric.
    pub registry: Arc<Registry>,
    /// The log's filter.
    pub level: Level,
}

/// Serves `/livez`, `/readyz`, `/metrics` and `/log` until `stop` is cancelled.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> io::Result<()> {
    let server = axum::serve(listener, router(admin).into_make_service_with_connect_info::<SocketAddr>());
    let server = server.with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = server => ended,
        // A peer that never reads its answer must not keep the process from ending.
        () = async { stop.cancelled().await; tokio::time::sleep(LEAVE).await } => Ok(()),
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log", get(log).put(set_log).layer(DefaultBodyLimit::max(MAX_FILTER)))
        .fallback(async || (StatusCode::NOT_FOUND, "Nothing here. sgwarden serves /livez, /readyz, /metrics and /log.\n"))
        .with_state(admin)
}

async fn livez(State(admin): State<Admin>) -> (StatusCode, String) {
    let silence = admin.health.silence();
    let (seconds, limit) = (silence.as_secs(), admin.patience.as_secs());
    if silence <= admin.patience {
        (StatusCode::OK, format!("Alive: the last sign of life is {seconds} s old.\n"))
    } else {
        let text = format!("Stuck: the controller has given no sign of life for {seconds} s; {limit} s is the limit.\n");
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    let missing = admin.health.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "Ready.\n".to_owned());
    }
    let missing = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and for ");
    (StatusCode::SERVICE_UNAVAILABLE, format!("Not ready: waiting for {missing}.\n"))
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut page = String::new();
    match prometheus_client::encoding::text::encode(&mut page, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(std::fmt::Error) => (StatusCode::INTERNAL_SERVER_ERROR, "The metrics cannot be written down.\n").into_response(),
    }
}

/// How long a filter is set for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    #[serde(rename = "for")]
    time: Option<String>,
}

async fn log(State(admin): State<Admin>) -> String {
    format!("{}\n", admin.level)
}

async fn set_log(
    State(admin): State<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(term): Query<Term>,
    filter: String,
) -> (StatusCode, String) {
    if !is_from_here(peer.ip()) {
        let text = "The log filter is changed from the same host only: in a cluster by kubectl port-forward.\n";
        return (StatusCode::FORBIDDEN, text.to_owned());
    }
    let time = match term.time.as_deref().map(while_of).transpose() {
        Ok(time) => time,
        Err(text) => return (StatusCode::BAD_REQUEST, text),
    };
    let filter = filter.trim();
    if filter.is_empty() {
        return (StatusCode::BAD_REQUEST, "Put the filter into the body, such as info,sgwarden=debug.\n".to_owned());
    }
    match admin.level.set(filter, time) {
        Ok(()) => (StatusCode::OK, format!("{}\n", admin.level)),
        Err(error @ LogsError::Filter { .. }) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
        Err(error @ (LogsError::Again(_) | LogsError::Gone(_))) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

/// Whether a peer is on this host. Not all of 127.0.0.0/8: a mesh's proxy brings in what comes from the network as 127.0.0.6.
fn is_from_here(peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer == IpAddr::V4(Ipv4Addr::LOCALHOST) || peer == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// Reads how long a filter is to last.
fn while_of(text: &str) -> Result<Duration, String> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| !time.is_zero() && *time <= LONGEST)
        .ok_or_else(|| format!("'{text}' is no time to set a filter for: write 10m or 90s, at most 24h.\n"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::adapters::telemetry::logs::{Format, build};
    use crate::ports::clock::Clock;
    use crate::ports::metrics::{Metrics, Need};

    struct Server {
        address: SocketAddr,
        health: Health,
        metrics: Metrics,
        stop: CancellationToken,
        ended: JoinHandle<io::Result<()>>,
        /// The filter can be changed for as long as the log is there.
        _log: Box<dyn tracing::Subscriber>,
    }

    async fn server(patience: Duration) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::new(&Clock::anchored(Timestamp::UNIX_EPOCH));
        let metrics = Metrics::default();
        let (log, control) = build(Format::Text, "info", true, io::sink, None).unwrap();
        let level = Level::new(control, "info");
        let admin = Admin { health: health.clone(), patience, registry: Arc::new(metrics.registry()), level };
        let stop = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, admin, stop.clone()));
        Server { address, health, metrics, stop, ended, _log: Box::new(log) }
    }

    /// A request over a real connection: status, head in lower case, body.
    async fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
        ask(address, "GET", path, "").await
    }

    async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    #[tokio::test]
    async fn livez_fails_when_the_heart_stops_and_recovers_when_it_beats() {
        let server = server(Duration::from_millis(300)).await;
        let (status, _, body) = get(server.address, "/livez").await;
        assert_eq!((status, body.as_str()), (200, "Alive: the last sign of life is 0 s old.\n"));
        tokio::time::sleep(Duration::from_millis(400)).await;
        let (status, _, body) = get(server.address, "/livez").await;
        assert_eq!((status, body.as_str()), (503, "Stuck: the controller has given no sign of life for 0 s; 0 s is the limit.\n"));
        server.health.beat();
        assert_eq!(get(server.address, "/livez").await.0, 200);
    }

    #[tokio::test]
    async fn readyz_says_what_is_missing() {
        let server = server(Duration::from_secs(9)).await;
        let (status, _, body) = get(server.address, "/readyz").await;
        let expected = "Not ready: waiting for the first list of every kind of object and for AWS to accept the credentials.\n";
        assert_eq!((status, body.as_str()), (503, expected));
        server.health.met(Need::Objects);
        let (status, _, body) = get(server.address, "/readyz").await;
        assert_eq!((status, body.as_str()), (503, "Not ready: waiting for AWS to accept the credentials.\n"));
        server.health.met(Need::Credentials);
        let (status, _, body) = get(server.address, "/readyz").await;
        assert_eq!((status, body.as_str()), (200, "Ready.\n"));
    }

    #[tokio::test]
    async fn metrics_are_served_as_open_metrics() {
        let server = server(Duration::from_secs(9)).await;
        server.metrics.reconcile.panicked();
        let (status, head, body) = get(server.address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
        assert!(body.contains("\nsgwarden_reconcile_panics_total 1\n"), "{body}");
        assert!(body.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn another_path_is_told_what_there_is() {
        let server = server(Duration::from_secs(9)).await;
        let (status, _, body) = get(server.address, "/").await;
        assert_eq!((status, body.as_str()), (404, "Nothing here. sgwarden serves /livez, /readyz, /metrics and /log.\n"));
    }

    #[tokio::test]
    async fn the_log_filter_is_shown_and_changed() {
        let server = server(Duration::from_secs(9)).await;
        let (status, _, body) = get(server.address, "/log").await;
        assert_eq!((status, body.as_str()), (200, "info\n"));
        let (status, _, body) = ask(server.address, "PUT", "/log", "info,sgwarden=debug\n").await;
        assert_eq!((status, body.as_str()), (200, "info,sgwarden=debug\n"));
        let (status, _, body) = ask(server.address, "PUT", "/log?for=10m", "trace").await;
        assert_eq!(status, 200);
        assert!(body.starts_with("trace for another ") && body.ends_with(" s, then info,sgwarden=debug\n"), "{body}");
        assert_eq!(get(server.address, "/log").await.0, 200);
    }

    #[tokio::test]
    async fn what_is_no_filter_or_no_time_is_refused_with_the_remedy() {
        let server = server(Duration::from_secs(9)).await;
        let (status, _, body) = ask(server.address, "PUT", "/log", "sgwarden=loud").await;
        assert_eq!(status, 400);
        assert!(body.starts_with("'sgwarden=loud' is not a log filter: ") && body.contains("such as info"), "{body}");
        let (status, _, body) = ask(server.address, "PUT", "/log", " \n").await;
        assert_eq!((status, body.as_str()), (400, "Put the filter into the body, such as info,sgwarden=debug.\n"));
        for time in ["soon", "0s", "-5m", "25h", ""] {
            let (status, _, body) = ask(server.address, "PUT", &format!("/log?for={time}"), "debug").await;
            let expected = format!("'{time}' is no time to set a filter for: write 10m or 90s, at most 24h.\n");
            assert_eq!((status, body), (400, expected));
        }
        assert_eq!(ask(server.address, "PUT", "/log?four=10m", "debug").await.0, 400);
        assert_eq!(ask(server.address, "PUT", "/log", &"a".repeat(5000)).await.0, 413);
        assert_eq!(get(server.address, "/log").await.2, "info\n");
    }

    #[tokio::test]
    async fn another_host_may_read_the_filter_and_not_change_it() {
        let server = server(Duration::from_secs(9)).await;
        // Any address of this host but the two: to the server it is another's, as a pod's is.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.6:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        let request = "PUT /log HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 3\r\n\r\noff";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("kubectl port-forward"), "{answer}");
        assert_eq!(get(server.address, "/log").await.2, "info\n");
    }

    #[test]
    fn this_host_is_told_from_all_others() {
        for (peer, here) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", false),
            ("127.0.0.6", false),
            ("::", false),
        ] {
            assert_eq!(is_from_here(peer.parse().unwrap()), here, "{peer}");
        }
    }

    #[tokio::test]
    async fn it_stops_when_told_though_a_connection_is_open() {
        let server = server(Duration::from_secs(9)).await;
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(b"GET /livez HTTP/1.1\r\nHost: admin\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        idle.read_exact(&mut first).await.unwrap();
        server.stop.cancel();
        tokio::time::timeout(Duration::from_secs(3), server.ended).await.expect("stops at once").unwrap().unwrap();
    }
}
