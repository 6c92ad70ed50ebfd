//! moto's server: a second opinion on EC2 beside our own stand-in, and the tests' SQS.
//!
//! Entry point: [`lease`]: an empty moto that is the caller's alone until the lease is dropped, for it mixes up requests
//! that come at the same time. One server a test binary, under a watchdog (`supervised`).

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::supervised::{StateDir, Supervised};
use super::{http, setup};

/// The account it is told to be, the one of our stand-in.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The Region of a lease's calls.
pub(crate) const REGION: &str = "eu-west-1";

/// Python reads a lot of files before it listens, and something else may be building meanwhile.
const READY_LIMIT: Duration = Duration::from_mins(2);

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
    let (status, body) = http::send(moto.address, "POST /moto-api/reset", &[], "").await;
    assert_eq!(status, 200, "{body}");
    Lease { address: moto.address, _alone: alone }
}

impl Lease {
    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One EC2 call: status and body.
    pub(crate) async fn ec2(&self, parameters: &[(&str, &str)]) -> (u16, String) {
        http::query(self.address, &http::signature("AKIDTEST", REGION, "ec2"), "2016-11-15", parameters).await
    }

    /// One SNS call, which must succeed.
    pub(crate) async fn sns(&self, parameters: &[(&str, &str)]) -> String {
        let (status, body) = http::query(self.address, &http::signature("AKIDTEST", REGION, "sns"), "2010-03-31", parameters).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// One SQS call, which must succeed.
    pub(crate) async fn sqs(&self, action: &str, input: &Value) -> Value {
        let signature = http::signature("AKIDTEST", REGION, "sqs");
        let target = format!("AmazonSQS.{action}");
        let headers =
            [("authorization", signature.as_str()), ("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &target)];
        let (status, body) = http::send(self.address, "POST /", &headers, &input.to_string()).await;
        assert_eq!(status, 200, "{action}: {body}");
        serde_json::from_str(&body).unwrap_or_default()
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
        let address = server.said("Running on http://", READY_LIMIT)?;
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        Ok(Self { _server: server, address })
    }
}
