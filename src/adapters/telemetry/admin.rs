//! The admin HTTP server: probes for the kubelet, metrics for Prometheus. Plain words for whoever looks with curl.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ports::metrics::Health;

/// Prometheus 3 refuses a scrape whose content type it does not know.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long requests under way may take to end once the process is asked to stop.
const LEAVE: Duration = Duration::from_secs(5);

/// What the server shows.
#[derive(Clone)]
pub struct Admin {
    /// Signs of life and readiness.
    pub health: Health,
    /// How old the last sign of life may be.
    pub patience: Duration,
    /// Every metric.
    pub registry: Arc<Registry>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until `stop` is cancelled.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> io::Result<()> {
    let server = axum::serve(listener, router(admin)).with_graceful_shutdown(stop.clone().cancelled_owned());
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
        .fallback(async || (StatusCode::NOT_FOUND, "Nothing here. sgwarden serves /livez, /readyz and /metrics.\n"))
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::ports::clock::Clock;
    use crate::ports::metrics::{Metrics, Need};

    struct Server {
        address: std::net::SocketAddr,
        health: Health,
        metrics: Metrics,
        stop: CancellationToken,
        ended: JoinHandle<io::Result<()>>,
    }

    async fn server(patience: Duration) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::new(&Clock::anchored(Timestamp::UNIX_EPOCH));
        let metrics = Metrics::default();
        let admin = Admin { health: health.clone(), patience, registry: Arc::new(metrics.registry()) };
        let stop = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, admin, stop.clone()));
        Server { address, health, metrics, stop, ended }
    }

    /// A request over a real connection: status, head in lower case, body.
    async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
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
        assert_eq!((status, body.as_str()), (404, "Nothing here. sgwarden serves /livez, /readyz and /metrics.\n"));
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
