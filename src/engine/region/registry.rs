//! The workers, by route: made when first asked for, stopped when no longer wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::core::model::{AccountId, Region};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, Connect, Ec2, Route};
use crate::ports::metrics::Metrics;
use crate::ports::objects::Key;

use super::lanes::Lanes;
use super::overlay::Overlay;
use super::sweep;
use super::trail::Trail;
use super::worker::{Common, RegionSettings, Surroundings, Worker};

/// What the workers are made of.
pub struct RegionParts {
    /// The way into accounts. What it decorates writes with is asked after the wait for a token.
    pub connect: Arc<dyn Connect>,
    /// Time.
    pub clock: Clock,
    /// Waits.
    pub timings: Timings,
    /// Counters.
    pub metrics: Metrics,
}

/// How fresh the picture of one route's groups is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Name of the `AwsAccount`.
    pub account_name: String,
    /// The account the credentials belong to; before the first connection the one they should belong to, if that is said.
    pub account: Option<AccountId>,
    /// The Region.
    pub region: Region,
    /// When the last sweep that went through began.
    pub last_sweep: Option<Timestamp>,
    /// What went wrong since, or with a part of it; stable, for people.
    pub failure: Option<String>,
    /// What the last look at what changes rarely could not see; stable, for people.
    pub incomplete: Option<String>,
    /// Groups the last sweep saw.
    pub groups: usize,
    /// Groups that objects manage.
    pub managed: usize,
    /// Groups that carry our cluster's tag and belong to no object of this route.
    pub unmanaged: usize,
    /// Rules of the managed groups.
    pub rules: usize,
    /// Those of them that are stale, once a deep sweep has counted them.
    pub stale_rules: Option<usize>,
}

/// The workers of all accounts and Regions. Dropping it stops them.
pub struct Regions {
    connect: Arc<dyn Connect>,
    around: Surroundings,
    slots: Mutex<Slots>,
    /// Kept for good: accounts are few, and what was written to one must not be forgotten when its route changes.
    commons: Mutex<BTreeMap<(AccountId, Region), Arc<Common>>>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Default)]
struct Slots {
    by_route: BTreeMap<Route, Arc<Slot>>,
    /// Numbers the workers.
    next: u64,
}

/// A route, connected or not.
struct Slot {
    number: u64,
    stop: CancellationToken,
    /// Held while connecting, so that a thousand objects of an account connect once.
    connecting: tokio::sync::Mutex<()>,
    state: Mutex<SlotState>,
}

struct SlotState {
    settings: RegionSettings,
    worker: Option<Arc<Worker>>,
    failure: Option<(Instant, CloudError)>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) -> Option<Arc<Worker>> {
        self.lock().worker.clone()
    }
}

impl Regions {
    /// No worker yet. Objects whose groups have to be looked at are sent through `wake`, some of them more often than needed.
    pub fn new(parts: RegionParts, wake: mpsc::UnboundedSender<Key>) -> Arc<Self> {
        let RegionParts { connect, clock, timings, metrics } = parts;
        let stop = CancellationToken::new();
        Arc::new(Self {
            connect,
            around: Surroundings { clock, timings, metrics: metrics.region, wake },
            slots: Mutex::default(),
            commons: Mutex::default(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// The worker of a route, connected if it is not yet; with these settings from now on. An error is the connection's, and the
    /// answer to everybody for `Timings::reconnect`.
    pub async fn worker(&self, route: &Route, settings: &RegionSettings) -> Result<Arc<Worker>, CloudError> {
        let slot = self.slot(route, settings);
        if let Some(worker) = slot.worker() {
            worker.set(settings);
            return Ok(worker);
        }
        let _connecting = slot.connecting.lock().await;
        if let Some(worker) = slot.worker() {
            worker.set(settings);
            return Ok(worker);
        }
        let patience = self.around.timings.reconnect;
        let failed = slot.lock().failure.clone();
        if let Some((_, error)) = failed.filter(|(then, _)| self.around.clock.instant().duration_since(*then) < patience) {
            return Err(error);
        }
        match self.connect.connect(route).await {
            Ok(ec2) => Ok(self.start(&slot, ec2)),
            Err(error) => {
                slot.lock().failure = Some((self.around.clock.instant(), error.clone()));
                Err(error)
            }
        }
    }

    fn start(&self, slot: &Slot, ec2: Ec2) -> Arc<Worker> {
        let common = self.common(&ec2);
        let mut state = slot.lock();
        let worker = Arc::new(Worker::new(slot.number, ec2, common, state.settings.clone(), self.around.clone()));
        state.worker = Some(worker.clone());
        state.failure = None;
        // Where the route was given up while it was connecting, the token is cancelled already and nothing is swept.
        tokio::spawn(sweep::run(worker.clone(), slot.stop.clone()));
        worker
    }

    fn slot(&self, route: &Route, settings: &RegionSettings) -> Arc<Slot> {
        let mut slots = self.lock();
        if let Some(slot) = slots.by_route.get(route) {
            slot.lock().settings.clone_from(settings);
            return slot.clone();
        }
        slots.next = slots.next.wrapping_add(1);
        let state = SlotState { settings: settings.clone(), worker: None, failure: None };
        let slot = Arc::new(Slot {
            number: slots.next,
            stop: self.stop.child_token(),
            connecting: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        });
        slots.by_route.insert(route.clone(), slot.clone());
        slot
    }

    fn common(&self, ec2: &Ec2) -> Arc<Common> {
        let Surroundings { clock, timings, metrics, wake: _ } = &self.around;
        let mut commons = self.commons.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let lanes = Arc::new(Lanes::new(clock.clone(), metrics.clone(), timings.lane_recovery));
            Arc::new(Common {
                lanes,
                overlay: Arc::new(Overlay::new(clock.clone(), timings)),
                trail: Arc::new(Trail::new(clock.clone())),
            })
        };
        commons.entry((ec2.account.clone(), ec2.region.clone())).or_insert_with(new).clone()
    }

    /// What is known of the calls in an account and Region; `None`: we are not there.
    pub fn trail(&self, account: &AccountId, region: &Region) -> Option<Arc<Trail>> {
        let commons = self.commons.lock().unwrap_or_else(PoisonError::into_inner);
        commons.get(&(account.clone(), region.clone())).map(|common| common.trail.clone())
    }

    /// Whether every route that is asked for leads somewhere.
    pub fn all_connected(&self) -> bool {
        let slots = self.lock();
        !slots.by_route.is_empty() && slots.by_route.values().all(|slot| slot.worker().is_some())
    }

    /// The workers of an account and Region; more than one only while a route is being replaced, or where two objects lead there.
    pub fn workers_of(&self, account: &AccountId, region: &Region) -> Vec<Arc<Worker>> {
        let slots: Vec<Arc<Slot>> = self.lock().by_route.values().cloned().collect();
        let workers = slots.iter().filter_map(|slot| slot.worker());
        workers.filter(|worker| worker.account() == account && worker.region() == region).collect()
    }

    /// The workers of an `AwsAccount`, by its name.
    pub fn workers_of_account(&self, name: &str) -> Vec<Arc<Worker>> {
        let slots: Vec<Arc<Slot>> = self.lock().by_route.values().cloned().collect();
        let of_it = slots.iter().filter(|slot| slot.lock().settings.account_name == name);
        of_it.filter_map(|slot| slot.worker()).collect()
    }

    /// Stops the workers of all other routes. A pass under way may go on with the worker it has.
    pub fn retain(&self, wanted: &BTreeSet<Route>) {
        self.lock().by_route.retain(|route, slot| {
            let keep = wanted.contains(route);
            if !keep {
                slot.stop.cancel();
                self.connect.forget(route);
            }
            keep
        });
    }

    /// From now on this process writes, and another did before: everywhere, what is missing or altered has to be seen twice for a
    /// while.
    pub fn begin_term(&self) {
        for common in self.commons.lock().unwrap_or_else(PoisonError::into_inner).values() {
            common.overlay.begin_term();
        }
    }

    /// An object is gone: whichever worker knew its group has nothing to wake any more.
    pub fn forget(&self, key: &Key) {
        for slot in self.lock().by_route.values() {
            if let Some(worker) = slot.worker() {
                worker.forget(key);
            }
        }
    }

    /// How fresh each route's picture is, in the order of the routes.
    pub fn freshness(&self) -> Vec<Freshness> {
        let slots: Vec<(Route, Arc<Slot>)> =
            self.lock().by_route.iter().map(|(route, slot)| (route.clone(), slot.clone())).collect();
        slots.into_iter().map(|(route, slot)| slot.freshness(&route)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn freshness(&self, route: &Route) -> Freshness {
        let state = self.lock();
        let standing = state.worker.as_ref().map(|worker| worker.standing.borrow().clone()).unwrap_or_default();
        let refused = state.failure.as_ref().map(|(_, error)| error.explain(&route.region));
        let counts = standing.swept;
        Freshness {
            account_name: state.settings.account_name.clone(),
            account: state.worker.as_ref().map(|worker| worker.account().clone()).or_else(|| route.account.clone()),
            region: route.region.clone(),
            last_sweep: counts.map(|counts| counts.began),
            failure: standing.failure.or(refused),
            incomplete: standing.deep_failure,
            groups: counts.map_or(0, |counts| counts.groups),
            managed: state.worker.as_ref().map_or(0, |worker| worker.ledger.count()),
            unmanaged: counts.map_or(0, |counts| counts.unmanaged),
            rules: counts.map_or(0, |counts| counts.rules),
            stale_rules: standing.stale_rules,
        }
    }
}
