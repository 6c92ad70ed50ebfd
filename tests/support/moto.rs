//! moto's server: a second opinion on EC2 beside our own stand-in, and the tests' SQS.
//!
//! Entry point: [`lease`]: an empty moto that is the caller's alone until the lease is dropped, for it mixes up requests
//! that come at the same time. One server a test binary, under a watchdog (`supervised`).

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

use super::setup;
use super::supervised::{StateDir, Supervised};

/// The account it is told to be, the one of our stand-in.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The Region of [`Lease::query`].
pub(crate) const REGION: &str = "eu-west-1";

/// Python reads a lot of files before it listens, and something else may be building meanwhile.
const READY_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);
/// What it says, before its address, once it listens.
const READY: &str = "Running on http://";

#[derive(Debug)]
struct Moto {
    // Held for its Drop; a static has none, and then the watchdog does the work.
    _server: Supervised,
    address: SocketAddr,
}

static SHARED: OnceLock<Result<Moto, String>> = OnceLock::new();
static ALONE: Mutex<()> = Mutex::const_new(());

/// moto, empty, and nobody else's.
#[derive(Debug)]
pub(crate) struct Lease {
    address: SocketAddr,
    _alone: MutexGuard<'static, ()>,
}

/// Waits for one's turn and empties moto. The first call starts it, which blocks the calling thread some seconds.
pub(crate) async fn lease() -> Lease {
    let alone = ALONE.lock().await;
    let moto = SHARED.get_or_init(Moto::start).as_ref().unwrap_or_else(|problem| panic!("no moto: {problem}"));
    let (status, body) = post(moto.address, "/moto-api/reset", &[], "").await;
    assert_eq!(status, 200, "{body}");
    Lease { address: moto.address, _alone: alone }
}

impl Lease {
    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One call of a Query API, names as they are, values escaped: status and body.
    pub(crate) async fn query(&self, service: &str, version: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let mut form = format!("Version={version}");
        for (name, value) in parameters {
            let escaped: String = value.bytes().map(escape).collect();
            form.push_str(&format!("&{name}={escaped}"));
        }
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [("authorization", signed.as_str()), ("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        post(self.address, "/", &headers, &form).await
    }
}

impl Moto {
    fn start() -> Result<Self, String> {
        let program = setup::moto_server()?;
        let state_dir = tempfile::Builder::new().prefix("sgwarden-moto-").tempdir().map_err(|error| error.to_string())?.keep();
        // Port 0: it takes a free one and says which.
        let arguments = ["-H", "127.0.0.1", "-p", "0"];
        let environment = [("MOTO_ACCOUNT_ID", ACCOUNT), ("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")];
        let server = Supervised::spawn("moto", &state_dir, StateDir::Remove, &program, arguments, &environment)
            .map_err(|error| error.to_string())?;
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let log = server.log();
            // A whole line, or the port might be only half there.
            let said = log.split_once(READY).and_then(|(_, rest)| rest.split_once('\n'));
            if let Some((address, _)) = said {
                let address = address.trim().parse().map_err(|error| format!("{address}: {error}"))?;
                return Ok(Self { _server: server, address });
            }
            if server.exit_code().is_some() || Instant::now() >= deadline {
                return Err(server.log_tail(20));
            }
            std::thread::sleep(POLL);
        }
    }
}

/// One request on a connection of its own.
async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn escape(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}
