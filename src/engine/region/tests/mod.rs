//! The worker on a small EC2 of its own, in a time that the tests turn.

mod deep;
mod drifting;
mod fake;
mod lanes;
mod lists;
mod loading;
mod overlay;
mod registry;
mod sweeps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::core::model::{Observed, SecurityGroupId, Tags};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::Route;
use crate::ports::metrics::Metrics;
use crate::ports::objects::Key;

use super::{RegionParts, RegionSettings, Regions, Worker};
use fake::{Fake, Ways};

const CLUSTER: &str = "c1";
const MINUTE: Duration = Duration::from_secs(60);

fn id(number: u64) -> SecurityGroupId {
    format!("sg-{number:017x}").parse().unwrap()
}

/// The object of a group.
fn key(number: u64) -> Key {
    Key { namespace: "shop".into(), name: format!("group-{number}") }
}

fn settings() -> RegionSettings {
    RegionSettings { account_name: "prod".into(), sweep_interval: MINUTE, api_share: 0.5, cluster: CLUSTER.into() }
}

fn route(region: &str) -> Route {
    Route::own(region.parse().unwrap())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A worker over a fake EC2.
struct Rig {
    ec2: Arc<Fake>,
    regions: Arc<Regions>,
    worker: Arc<Worker>,
    woken: mpsc::UnboundedReceiver<Key>,
    metrics: Metrics,
}

fn regions(ways: Ways) -> (Arc<Regions>, Arc<Ways>, mpsc::UnboundedReceiver<Key>, Metrics) {
    let (wake, woken) = mpsc::unbounded_channel();
    let ways = Arc::new(ways);
    let metrics = Metrics::default();
    let clock = Clock::anchored("2026-11-22T21:00:00Z".parse::<Timestamp>().unwrap());
    let parts = RegionParts { connect: ways.clone(), clock, timings: Timings::default(), metrics: metrics.clone() };
    (Regions::new(parts, wake), ways, woken, metrics)
}

impl Rig {
    /// With this many groups, each managed by its object and found to be well; the first minutes, in which everything may have
    /// been written by the process before, are over.
    async fn settled(groups: u64) -> Self {
        let rig = Self::started(groups).await;
        for number in 1..=groups {
            rig.settle(number).await;
        }
        pass(secs(400)).await;
        rig
    }

    /// With this many groups, of which nobody has asked yet.
    async fn started(groups: u64) -> Self {
        let ec2 = Arc::new(Fake::default());
        ec2.populate(groups);
        let ways = Ways { open: [("eu-west-1".to_owned(), ec2.clone())].into(), ..Ways::default() };
        let (regions, _, woken, metrics) = regions(ways);
        let worker = regions.worker(&route("eu-west-1"), &settings()).await.unwrap();
        Self { ec2, regions, worker, woken, metrics }
    }

    /// What a pass does that finds all well.
    async fn settle(&self, number: u64) {
        self.worker.managed(&key(number), &id(number));
        self.worker.first_sweep().await;
        let listed = match self.worker.snapshot(&id(number)) {
            Some((listed, _)) => listed,
            None => self.worker.listed(&id(number)).await.unwrap().unwrap(),
        };
        self.worker.settled(&key(number), &listed);
    }

    /// Who was woken since the last call.
    fn woken(&mut self) -> BTreeSet<Key> {
        std::iter::from_fn(|| self.woken.try_recv().ok()).collect()
    }

    async fn observe(&self, number: u64) -> Observed {
        self.worker.observe(&id(number)).await.unwrap().unwrap()
    }

    /// The rules as text, in the order of their ids.
    async fn rules(&self, number: u64) -> Vec<String> {
        let observed = self.observe(number).await;
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        observed.rules.values().map(|rule| format!("{} {}", rule.atom, text(&rule.description))).collect()
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn keys(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<Key> {
    numbers.into_iter().map(key).collect()
}
