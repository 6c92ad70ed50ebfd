//! The engine over a store in memory and the EC2 stand-in's ports, in virtual time: minutes pass in milliseconds, and a process
//! can end between any two of its writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use sgwarden::adapters::sim::{Config, Sim, SimConnector, SimQueue, VpcSeed};
use sgwarden::api::{SecurityGroup, conditions};
use sgwarden::core::audit::{AttributionRecord, AuditRecord, ChangeRecord};
use sgwarden::core::desired::QueueAddress;
use sgwarden::core::model::{Direction, LiveRule, NewRule, Region, RuleId, SecurityGroupId, Tags};
use sgwarden::engine::controller::{Leadership, OwnAccount, Parts, run};
use sgwarden::engine::leader::Fence;
use sgwarden::ports::clock::{Clock, Timings};
use sgwarden::ports::cloud::{CloudError, Connect, Ec2, Ec2Write, GroupQuery, NewGroup, Receipt, Route};
use sgwarden::ports::metrics::metered::meter;
use sgwarden::ports::metrics::{Health, Metrics};
use sgwarden::ports::sinks::{AuditError, AuditSink};

use crate::inbox::Inbox;
use crate::store::Store;

pub(crate) const VPC: &str = "vpc-0a1b2c3d4e5f60718";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const START: &str = "2026-11-22T12:00:00Z";
/// Whose calls the engine's are, and somebody else's of the same account.
pub(crate) const OURS: &str = "AKIA111122223333SGWARDEN";
pub(crate) const INTRUDER: &str = "AKIA111122223333MALLORY";
/// Longest wait, in virtual time, for anything that should happen.
const LIMIT: Duration = Duration::from_secs(3600);
/// How often a condition is looked at, and how fine the stand-in's clock moves.
const TICK: Duration = Duration::from_millis(50);

/// What looks on at every write of the engine, after EC2 took it.
pub(crate) type Witness = Arc<dyn Fn(&Sim) + Send + Sync>;

/// When a witness looks: right before EC2 is asked to write, and right after it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// What looks on at both.
pub(crate) type Beholder = Arc<dyn Fn(&Sim, Moment) + Send + Sync>;

pub(crate) struct Rig {
    pub(crate) sim: Sim,
    pub(crate) store: Store,
    pub(crate) intruder: Ec2,
    pub(crate) audit: Records,
    pub(crate) timings: Timings,
    pub(crate) cluster: String,
    pub(crate) metrics: Metrics,
    pub(crate) writes: Writes,
    /// Where the stand-in's events arrive, and whether the engine reads them there.
    pub(crate) queue: SimQueue,
    pub(crate) listening: Vec<QueueAddress>,
    pub(crate) inbox: Inbox,
    engine: Option<(CancellationToken, JoinHandle<()>)>,
    driver: JoinHandle<()>,
}

/// The writes of the engine to EC2, as they happen.
#[derive(Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<Count>>);

#[derive(Default)]
struct Count {
    done: usize,
    last: Option<(usize, CancellationToken)>,
    witness: Option<Witness>,
    beholder: Option<Beholder>,
}

impl Writes {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    /// The `n`-th write from now is done, and then `crash` is called off: the answer never comes.
    pub(crate) fn crash_at(&self, n: usize, crash: CancellationToken) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = Some((n, crash));
    }

    pub(crate) fn crash_at_none(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = None;
    }

    /// Somebody looks on at every write.
    pub(crate) fn witness(&self, witness: Witness) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).witness = Some(witness);
    }

    /// Somebody looks on before and after every write.
    pub(crate) fn behold(&self, beholder: Beholder) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).beholder = Some(beholder);
    }

    fn seen(&self, sim: &Sim, moment: Moment) {
        let beholder = self.0.lock().unwrap_or_else(PoisonError::into_inner).beholder.clone();
        if let Some(beholder) = beholder {
            beholder(sim, moment);
        }
    }

    async fn done(&self, sim: &Sim) {
        let (crash, witness) = {
            let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            count.done += 1;
            let crash = match count.last.as_mut() {
                Some((left, _)) if *left <= 1 => count.last.take().map(|(_, crash)| crash),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            };
            (crash, count.witness.clone())
        };
        if let Some(witness) = witness {
            witness(sim);
        }
        if let Some(crash) = crash {
            crash.cancel();
            std::future::pending::<()>().await;
        }
    }
}

/// Audit records, kept.
#[derive(Clone, Default)]
pub(crate) struct Records(Arc<Mutex<Vec<AuditRecord>>>);

impl Records {
    pub(crate) fn all(&self) -> Vec<ChangeRecord> {
        let change = |record: &AuditRecord| match record {
            AuditRecord::Change(change) => Some((**change).clone()),
            AuditRecord::Attribution(_) => None,
        };
        self.kept().iter().filter_map(change).collect()
    }

    pub(crate) fn attributions(&self) -> Vec<AttributionRecord> {
        let attribution = |record: &AuditRecord| match record {
            AuditRecord::Change(_) => None,
            AuditRecord::Attribution(attribution) => Some((**attribution).clone()),
        };
        self.kept().iter().filter_map(attribution).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<AuditRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AuditSink for Records {
    async fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        self.kept().push(record.clone());
        Ok(())
    }
}

struct Watched {
    inner: Arc<dyn Connect>,
    sim: Sim,
    writes: Writes,
    metrics: Metrics,
}

#[async_trait]
impl Connect for Watched {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let ec2 = self.inner.connect(route).await?;
        let write = Arc::new(WatchedWrite { inner: ec2.write, sim: self.sim.clone(), writes: self.writes.clone() });
        Ok(meter(Ec2 { write, ..ec2 }, &self.metrics.ec2, &Clock::anchored(self.sim.now())))
    }
}

struct WatchedWrite {
    inner: Arc<dyn Ec2Write>,
    sim: Sim,
    writes: Writes,
}

impl WatchedWrite {
    async fn seen(&self, call: impl Future<Output = Result<Receipt, CloudError>> + Send) -> Result<Receipt, CloudError> {
        self.writes.seen(&self.sim, Moment::Before);
        let answer = call.await;
        self.writes.seen(&self.sim, Moment::After);
        self.writes.done(&self.sim).await;
        answer
    }
}

#[async_trait]
impl Ec2Write for WatchedWrite {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        self.seen(self.inner.create_group(group)).await
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.seen(self.inner.delete_group(group)).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        self.seen(self.inner.authorize(group, direction, rules)).await
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        self.seen(self.inner.revoke(group, direction, rules)).await
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.seen(self.inner.modify(group, rules)).await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        self.seen(self.inner.describe(group, direction, rules)).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.seen(self.inner.set_tags(group, tags)).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.seen(self.inner.remove_tags(group, tags)).await
    }
}

pub(crate) fn region() -> Region {
    REGION.parse().unwrap()
}

impl Rig {
    /// A stand-in with one VPC, no objects, and the engine running. To be called with tokio's time paused.
    pub(crate) async fn start() -> Self {
        let mut rig = Self::idle().await;
        rig.start_engine();
        rig
    }

    /// Everything but the engine.
    pub(crate) async fn idle() -> Self {
        Self::over(Config { vpcs: vec![VpcSeed::new(VPC)], ..Config::default() }).await
    }

    /// The same over another stand-in.
    pub(crate) async fn over(config: Config) -> Self {
        Self::ticking(config, TICK).await
    }

    /// The same, with a clock of the stand-in that moves by so much at a time. Many hours cost less with a coarse one.
    pub(crate) async fn ticking(config: Config, tick: Duration) -> Self {
        let sim = Sim::new(config);
        sim.freeze(START.parse().unwrap());
        let ticking = sim.clone();
        let driver = tokio::spawn(async move {
            loop {
                tokio::time::sleep(tick).await;
                ticking.advance(SignedDuration::try_from(tick).unwrap());
            }
        });
        let intruder = SimConnector::new(sim.clone(), INTRUDER).connect(&Route::own(region())).await.unwrap();
        Self {
            queue: SimQueue::new(sim.clone()),
            listening: Vec::new(),
            sim,
            store: Store::default(),
            intruder,
            audit: Records::default(),
            timings: Timings::default(),
            cluster: "c1".to_owned(),
            metrics: Metrics::default(),
            writes: Writes::default(),
            inbox: Inbox::default(),
            engine: None,
            driver,
        }
    }

    /// Another cluster over the same stand-in: a store, an audit and an engine of its own, which does not run yet.
    pub(crate) fn beside(&self, cluster: &str) -> Self {
        Self {
            sim: self.sim.clone(),
            queue: self.queue.clone(),
            listening: Vec::new(),
            store: Store::default(),
            intruder: self.intruder.clone(),
            audit: Records::default(),
            timings: self.timings.clone(),
            cluster: cluster.to_owned(),
            metrics: Metrics::default(),
            writes: Writes::default(),
            inbox: Inbox::default(),
            engine: None,
            // The stand-in's clock has its driver already.
            driver: tokio::spawn(std::future::pending()),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sim.now()
    }

    /// The way to EC2 that the engine has.
    pub(crate) fn connector(&self) -> Arc<dyn Connect> {
        let inner = Arc::new(SimConnector::new(self.sim.clone(), OURS));
        Arc::new(Watched { inner, sim: self.sim.clone(), writes: self.writes.clone(), metrics: self.metrics.clone() })
    }

    pub(crate) fn parts(&self) -> Parts {
        let clock = Clock::anchored(self.sim.now());
        Parts {
            objects: Arc::new(self.store.clone()),
            connect: self.connector(),
            audit: Arc::new(self.audit.clone()),
            deliver: Arc::new(self.inbox.clone()),
            timings: self.timings.clone(),
            metrics: self.metrics.clone(),
            queues: Arc::new(self.queue.clone()),
            health: Health::new(&clock),
            clock,
            cluster: self.cluster.clone(),
            former_clusters: Vec::new(),
            own: OwnAccount { id: None, regions: vec![region()], namespaces: None, queues: self.listening.clone() },
            leadership: Leadership { leases: None, identity: "test".to_owned(), fence: Fence::always() },
            concurrency: 8,
        }
    }

    /// The engine reads the stand-in's events from its next start on.
    pub(crate) fn listen(&mut self) {
        self.listening = vec![QueueAddress { url: "http://127.0.0.1/events".to_owned(), region: None }];
    }

    pub(crate) fn start_engine(&mut self) {
        let parts = self.parts();
        self.start_engine_with(parts);
    }

    pub(crate) fn start_engine_with(&mut self, parts: Parts) {
        let stop = CancellationToken::new();
        let handle = tokio::spawn(run(parts, stop.clone()));
        self.engine = Some((stop, handle));
    }

    /// Asks the engine to stop and waits until it has.
    pub(crate) async fn stop_engine(&mut self) {
        let (stop, handle) = self.engine.take().unwrap();
        stop.cancel();
        tokio::time::timeout(LIMIT, handle).await.expect("the engine stops").unwrap();
    }

    /// Drops the engine where it stands, as a crash does.
    pub(crate) async fn kill_engine(&mut self) {
        if let Some((_, handle)) = self.engine.take() {
            handle.abort();
            let _ = handle.await;
        }
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let since = tokio::time::Instant::now();
        while !holds(self) {
            assert!(since.elapsed() < LIMIT, "never came true: {what}\n{}", self.describe());
            tokio::time::sleep(TICK).await;
        }
    }

    /// Waits until an object is as declared, at its present generation.
    pub(crate) async fn settled(&self, name: &str) -> SecurityGroup {
        self.until(&format!("{name} settles"), |rig| rig.store.get(name).is_some_and(|object| is_settled(&object))).await;
        self.store.get(name).unwrap()
    }

    /// Waits until a condition of an object has this status and reason.
    pub(crate) async fn condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> String {
        let found = |rig: &Self| {
            let object = rig.store.get(name)?;
            let generation = object.metadata.generation;
            let status_now = object.status?;
            let condition = status_now.conditions.into_iter().find(|condition| condition.type_ == kind)?;
            (condition.status == status && condition.reason == reason && status_now.observed_generation == generation)
                .then_some(condition.message)
        };
        self.until(&format!("{name} {kind}={status}/{reason}"), |rig| found(rig).is_some()).await;
        found(self).unwrap()
    }

    pub(crate) async fn gone(&self, name: &str) {
        self.until(&format!("{name} goes"), |rig| rig.store.get(name).is_none()).await;
    }

    /// The id of an object's group.
    pub(crate) fn group(&self, name: &str) -> SecurityGroupId {
        let status = self.store.get(name).and_then(|object| object.status);
        status.and_then(|status| status.group_id).expect("a group").parse().unwrap()
    }

    /// The live rules of an object's group as text, in order.
    pub(crate) async fn live(&self, name: &str) -> Vec<String> {
        let mut texts: Vec<String> = self.rules(&self.group(name)).await.iter().map(|rule| rule.atom.to_string()).collect();
        texts.sort();
        texts
    }

    pub(crate) async fn rules(&self, group: &SecurityGroupId) -> Vec<LiveRule> {
        self.intruder.read.rules(group).await.unwrap()
    }

    pub(crate) async fn tags(&self, group: &SecurityGroupId) -> Tags {
        self.intruder.read.groups(&GroupQuery::Ids(vec![group.clone()])).await.unwrap().remove(0).tags
    }

    /// Somebody authorizes a rule by hand.
    pub(crate) async fn intrude(&self, group: &SecurityGroupId, atoms: &[&str]) -> Receipt {
        let rules: Vec<NewRule> = atoms.iter().map(|text| NewRule { atom: text.parse().unwrap(), description: None }).collect();
        let direction = rules[0].atom.direction;
        self.intruder.write.authorize(group, direction, &rules).await.unwrap()
    }

    /// Somebody revokes a rule by hand.
    pub(crate) async fn cut(&self, group: &SecurityGroupId, atom: &str) {
        let wanted: sgwarden::core::model::Atom = atom.parse().unwrap();
        let rule = self.rules(group).await.into_iter().find(|rule| rule.atom == wanted).expect("the rule is live");
        self.intruder.write.revoke(group, wanted.direction, &[rule.id]).await.unwrap();
    }

    /// Calls of EC2 since the last [`Sim::clear_calls`], by action; the intruder's and the test's own are among them.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        self.sim.counts()
    }

    /// Everything a failed test is explained by.
    pub(crate) fn describe(&self) -> String {
        let objects: Vec<String> = self
            .store
            .all()
            .iter()
            .map(|object| {
                let status = object.status.clone().unwrap_or_default();
                let conditions: Vec<String> = status
                    .conditions
                    .iter()
                    .map(|condition| {
                        format!("{}={} {}: {}", condition.type_, condition.status, condition.reason, condition.message)
                    })
                    .collect();
                format!(
                    "{} generation {:?}/{:?} group {:?}\n  {}",
                    object.metadata.name.as_deref().unwrap_or_default(),
                    object.metadata.generation,
                    status.observed_generation,
                    status.group_id,
                    conditions.join("\n  ")
                )
            })
            .collect();
        let calls: Vec<String> = self.sim.calls().iter().rev().take(20).map(|call| format!("{call:?}")).collect();
        format!("{}\nlast calls:\n{}", objects.join("\n"), calls.join("\n"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.driver.abort();
        if let Some((_, handle)) = self.engine.take() {
            handle.abort();
        }
    }
}

pub(crate) fn is_settled(object: &SecurityGroup) -> bool {
    let Some(status) = &object.status else { return false };
    let ready = status.conditions.iter().any(|condition| condition.type_ == conditions::READY && condition.status == "True");
    let synced = status.conditions.iter().any(|condition| condition.type_ == conditions::SYNCED && condition.status == "True");
    ready && synced && status.observed_generation == object.metadata.generation
}

/// A manifest of namespace `shop` with these ingress rules (YAML, in flow style) and no egress.
pub(crate) fn manifest(name: &str, ingress: &[&str]) -> String {
    let rules: Vec<String> = ingress.iter().map(|rule| format!("  - {rule}\n")).collect();
    let rules = if rules.is_empty() { " []\n".to_owned() } else { format!("\n{}", rules.concat()) };
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  vpc: {{id: {VPC}}}\n  \
         egressPolicy: DenyAll\n  ingress:{rules}"
    )
}

/// One rule: tcp, a port, a range.
pub(crate) fn tcp(name: &str, port: u16, cidr: &str) -> String {
    format!("{{name: {name}, protocol: tcp, ports: [{port}], from: [{{cidr: \"{cidr}\"}}]}}")
}
