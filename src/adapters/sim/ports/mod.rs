//! The second door: the stand-in called as the project's ports, with nothing of HTTP or of the Query protocol in between.
//!
//! Entry point: [`SimConnector`]. `lane` is the way of each call and `request` what it brings along, `read` and `write` are
//! the ports, `convert` and `error` translate.
//!
//! Invariant: here is translation only. What EC2 does is in `world`, and the way there, with stop, throttling, faults, events
//! and record, is the same as by the HTTP door.
//! Invariant: no other file of the stand-in sees the project's model.

mod activity;
mod convert;
mod error;
mod lane;
mod queue;
mod read;
mod request;
mod write;

pub use queue::SimQueue;

use super::handle::Sim;
use crate::core::model::AccountId;
use crate::ports::cloud::{ASSUME_ROLE, CloudError, Connect, Ec2, IDENTITY, Route};
use async_trait::async_trait;
use convert::parsed;
use error::unreadable;
use lane::Lane;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long an answer is waited for, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(8);
/// What sessions of assumed roles are called.
const SESSION: &str = "sgwarden";

type Cells = BTreeMap<Route, Arc<OnceCell<Ec2>>>;

/// Connects to the account that an access key of the stand-in belongs to, and to those whose roles it may assume. The
/// endpoint of a route means nothing here: there is none.
pub struct SimConnector {
    sim: Sim,
    access_key: String,
    patience: Duration,
    cells: Mutex<Cells>,
}

impl SimConnector {
    /// Calls with this key, which stands for whom the stand-in takes it for. Nothing is called before the first
    /// [`Connect::connect`].
    pub fn new(sim: Sim, access_key: &str) -> Self {
        Self { sim, access_key: access_key.to_owned(), patience: PATIENCE, cells: Mutex::default() }
    }

    /// Waits so long for an answer, and no longer: then a read is tried again, and the outcome of a write is unknown.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, route: &Route) -> Result<Ec2, CloudError> {
        let mut lane = Lane {
            sim: self.sim.clone(),
            access_key: self.access_key.clone(),
            region: route.region.clone(),
            patience: self.patience,
        };
        if let Some(role) = &route.role {
            let assumed = lane.read(ASSUME_ROLE, || lane.assume(role, SESSION)).await;
            lane.access_key = assumed.map_err(|error| error.not_assumed(role))?.0;
        }
        let ((account, principal), request_id) = lane.read(IDENTITY, || lane.identity()).await?;
        let account: AccountId = parsed(&account).map_err(|what| unreadable(IDENTITY, request_id, what))?;
        route.check(&account)?;
        let lane = Arc::new(lane);
        Ok(Ec2 { account, principal, region: route.region.clone(), read: lane.clone(), write: lane.clone(), activity: lane })
    }
}

#[async_trait]
impl Connect for SimConnector {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let cell = Arc::clone(self.cells().entry(route.clone()).or_default());
        cell.get_or_try_init(|| self.open(route)).await.cloned()
    }

    fn forget(&self, route: &Route) {
        self.cells().remove(route);
    }
}
