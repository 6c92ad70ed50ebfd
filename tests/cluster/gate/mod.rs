//! A gate before a server: the EC2 stand-in, or a real apiserver. From a chosen write of one caller on nothing that caller asks is
//! answered, so that a test can end or freeze its process at a point it knows; everybody else is served as ever.
//!
//! Entry points: [`Gate::before`] for the stand-in, [`Gate::before_apiserver`].

mod apiserver;
mod ec2;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{self, State};
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use sgwarden::adapters::sim::Sim;

use crate::cli::LIMIT;
use crate::support::controlplane::ControlPlane;
use apiserver::Apiserver;
pub(crate) use ec2::writes_of;

/// How far the write gets at which the gate closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The server carries it out; the answer stays behind the gate.
    Answer,
    /// It is on its way; the server gets it when the gate opens.
    Request,
}

/// For whom the gate closes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The caller.
    pub(crate) key: String,
    /// An action, or every one that writes.
    pub(crate) action: Option<&'static str>,
    /// At which of these calls, counted from 1. One that the server refuses does not count.
    pub(crate) nth: usize,
    /// How far that one gets.
    pub(crate) hold: Hold,
}

/// What a gate has to know of a call.
struct Call {
    /// Who calls: an access key, or a token.
    key: String,
    action: String,
    /// Whether it is one of the writes that are counted.
    writes: bool,
}

/// What is behind a gate.
#[async_trait]
trait Server: Send + Sync {
    fn call(&self, request: &Request<Bytes>) -> Call;

    async fn answer(&self, request: Request<Bytes>) -> Response<Body>;
}

/// What has come of an order.
#[derive(Clone, Debug, Default)]
struct Standing {
    order: Option<Order>,
    /// The calls that counted so far.
    counted: Vec<String>,
    /// The chosen write stands at the gate, as far as it was to get.
    reached: bool,
    /// Its caller has hung up meanwhile.
    given_up: bool,
}

impl Standing {
    fn counts(&self, call: &Call) -> bool {
        let of_caller = self.order.as_ref().filter(|order| order.key == call.key);
        of_caller.is_some_and(|order| order.action.map_or(call.writes, |only| only == call.action))
    }

    fn is_closed(&self, call: &Call) -> bool {
        self.reached && self.order.as_ref().is_some_and(|order| order.key == call.key)
    }

    /// How far the next call that counts is to get, if it is the chosen one.
    fn hold(&self) -> Option<Hold> {
        self.order.as_ref().filter(|order| self.counted.len() + 1 == order.nth).map(|order| order.hold)
    }
}

/// A server behind its gate, which is gone when it is dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    standing: watch::Sender<Standing>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Door {
    server: Arc<dyn Server>,
    standing: watch::Sender<Standing>,
    /// Calls that count go one by one: whether one is taken decides which number the next has.
    alone: Arc<Mutex<()>>,
}

impl Gate {
    /// Before the EC2 stand-in, where callers are told apart by their access keys.
    pub(crate) async fn before(sim: &Sim) -> Self {
        Self::before_server(Arc::new(sim.clone())).await
    }

    /// Before an apiserver, without TLS. Whoever comes has the administrator's rights; callers are told apart by the tokens they
    /// show, whatever these are. Only writes of `SecurityGroup` objects are counted: when a Lease is renewed, and how many Events
    /// are told, are matters of time.
    pub(crate) async fn before_apiserver(plane: &ControlPlane) -> Self {
        Self::before_server(Arc::new(Apiserver::of(plane).await)).await
    }

    async fn before_server(server: Arc<dyn Server>) -> Self {
        let (standing, _) = watch::channel(Standing::default());
        let door = Door { server, standing: standing.clone(), alone: Arc::default() };
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
        assert!(reached.is_ok(), "the chosen write never comes: {:#?}", self.standing.borrow());
    }

    /// Whether the caller has hung up instead of waiting for the answer to the chosen write: then the server never gets it.
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
    /// Lets a call through that counts, unless it is the chosen one.
    async fn count(&self, call: Call, request: Request<Bytes>) -> Response<Body> {
        let _alone = self.alone.lock().await;
        let hold = self.standing.borrow().hold();
        if hold == Some(Hold::Request) {
            self.hold().await;
        }
        let answer = self.server.answer(request).await;
        if answer.status().is_success() {
            self.standing.send_modify(|standing| standing.counted.push(call.action));
            if hold == Some(Hold::Answer) {
                self.hold().await;
            }
        }
        answer
    }

    /// Keeps the chosen write waiting.
    async fn hold(&self) {
        self.standing.send_modify(|standing| standing.reached = true);
        let _held = Held(self.clone());
        self.until(|standing| standing.order.is_none()).await;
    }

    async fn until(&self, is: impl FnMut(&Standing) -> bool) {
        // The other end is held by the same state: it is there for as long as this waits.
        let _ = self.standing.subscribe().wait_for(is).await;
    }
}

async fn pass(State(door): State<Door>, request: extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, body.collect().await.unwrap().to_bytes());
    let call = door.server.call(&request);
    door.until(|standing| !standing.is_closed(&call)).await;
    let counts = door.standing.borrow().counts(&call);
    if counts { door.count(call, request).await } else { door.server.answer(request).await }
}
