//! The EC2 stand-in on a socket of its own, behind a gate. From a chosen write of one caller on nothing that caller asks is
//! answered, so that a test can end or freeze its process at a point it knows; everybody else is served as ever.
//!
//! Entry point: [`Gate`].

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, header};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use sgwarden::adapters::sim::{CallRecord, Sim};

use crate::cli::LIMIT;

/// How far the write gets at which the gate closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// EC2 carries it out; the answer stays behind the gate.
    Answer,
    /// It is on its way; EC2 gets it when the gate opens.
    Request,
}

/// For whom the gate closes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The caller, by access key.
    pub(crate) key: String,
    /// An action, or every one that writes.
    pub(crate) action: Option<&'static str>,
    /// At which of these calls, counted from 1.
    pub(crate) nth: usize,
    /// How far that one gets.
    pub(crate) hold: Hold,
}

/// What has come of an order.
#[derive(Clone, Debug, Default)]
struct Standing {
    order: Option<Order>,
    /// Calls that counted so far.
    counted: usize,
    /// The chosen write stands at the gate, as far as it was to get.
    reached: bool,
    /// Its caller has hung up meanwhile.
    given_up: bool,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Pass,
    /// The chosen one.
    Chosen(Hold),
    /// The gate is closed already.
    Wait,
}

impl Standing {
    fn turn(&mut self, key: &str, action: &str) -> Turn {
        let Some(order) = self.order.as_ref().filter(|order| order.key == key) else { return Turn::Pass };
        let counts = order.action.map_or_else(|| is_write(action), |only| only == action);
        if self.counted >= order.nth {
            return Turn::Wait;
        }
        self.counted += usize::from(counts);
        if counts && self.counted == order.nth { Turn::Chosen(order.hold) } else { Turn::Pass }
    }
}

/// Whether an action changes anything.
fn is_write(action: &str) -> bool {
    !action.starts_with("Describe") && !action.starts_with("Get")
}

/// The stand-in behind its gate; gone when it is dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    standing: watch::Sender<Standing>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Door {
    sim: Sim,
    standing: watch::Sender<Standing>,
}

impl Gate {
    pub(crate) async fn before(sim: &Sim) -> Self {
        let (standing, _) = watch::channel(Standing::default());
        let door = Door { sim: sim.clone(), standing: standing.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(door);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, standing, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes for a caller at one of its writes to come.
    pub(crate) fn close(&self, order: Order) {
        self.standing.send_replace(Standing { order: Some(order), ..Standing::default() });
    }

    /// Waits until the chosen write stands at the gate.
    pub(crate) async fn reached(&self) {
        let mut standing = self.standing.subscribe();
        let reached = tokio::time::timeout(LIMIT, standing.wait_for(|standing| standing.reached)).await;
        assert!(reached.is_ok(), "the chosen write never comes: {:?}", self.standing.borrow());
    }

    /// Whether the caller has hung up instead of waiting for the answer to the chosen write: then EC2 never gets it.
    pub(crate) fn given_up(&self) -> bool {
        self.standing.borrow().given_up
    }

    /// Lets go everything that stands at the gate, and whatever comes.
    pub(crate) fn open(&self) {
        self.standing.send_modify(|standing| standing.order = None);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A call that is held. Dropped before its time when its connection goes.
struct Held(Door);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.standing.send_modify(|standing| standing.given_up |= standing.order.is_some());
    }
}

impl Door {
    /// Keeps the chosen write waiting.
    async fn hold(&self) {
        self.standing.send_modify(|standing| standing.reached = true);
        let _held = Held(self.clone());
        self.opened().await;
    }

    async fn opened(&self) {
        // The other end is held by the same state: it is there for as long as this waits.
        let _ = self.standing.subscribe().wait_for(|standing| standing.order.is_none()).await;
    }
}

async fn pass(State(door): State<Door>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let signature = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = between(signature, "Credential=", '/');
    let form = String::from_utf8_lossy(&body).into_owned();
    let action = between(&form, "Action=", '&');
    let mut turn = Turn::Pass;
    door.standing.send_modify(|standing| turn = standing.turn(key, action));
    match turn {
        Turn::Pass | Turn::Chosen(Hold::Answer) => {}
        Turn::Wait => door.opened().await,
        Turn::Chosen(Hold::Request) => door.hold().await,
    }
    let answer = door.sim.handle(Request::from_parts(parts, body)).map(Body::from);
    if turn == Turn::Chosen(Hold::Answer) {
        door.hold().await;
    }
    answer
}

/// What stands between a word and a character, or the end.
fn between<'t>(text: &'t str, before: &str, after: char) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_default();
    rest.split(after).next().unwrap_or_default()
}

/// The writes that one caller made, in their order.
pub(crate) fn writes_of(sim: &Sim, key: &str) -> Vec<CallRecord> {
    let writes = |call: &CallRecord| call.access_key == key && call.service == "ec2" && is_write(&call.action);
    sim.calls().into_iter().filter(writes).collect()
}
