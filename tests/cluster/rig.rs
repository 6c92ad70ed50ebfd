//! One running sgwarden: the engine in this process, over the real apiserver and, through the real AWS SDK and a socket, the
//! EC2 stand-in. A namespace and a stand-in of its own for each test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use sgwarden::adapters::audit_log::{AuditFile, trail};
use sgwarden::adapters::aws::{AwsConnector, AwsOptions, CallLimits};
use sgwarden::adapters::kube::{KubeObjects, KubeSecrets};
use sgwarden::adapters::notify::Notify;
use sgwarden::adapters::sim::{Config, Sim, VpcSeed, serve};
use sgwarden::api::{SecurityGroup, crds};
use sgwarden::core::model::{LiveRule, SecurityGroupId, Tags};
use sgwarden::engine::controller::{Leadership, OwnAccount, Parts, run};
use sgwarden::engine::leader::Fence;
use sgwarden::ports::clock::{Clock, Timings};
use sgwarden::ports::cloud::{Connect, Ec2, GroupQuery, Route};
use sgwarden::ports::metrics::{Health, Metrics};
use sgwarden::ports::objects::Objects;
use sgwarden::ports::queue::NoQueues;

use crate::support::controlplane::{ControlPlane, install_crypto_provider};

/// VPCs every stand-in has.
pub(crate) const VPC: &str = "vpc-0a1b2c3d4e5f60718";
pub(crate) const VPC_IPV6: &str = "vpc-0a1b2c3d4e5f60719";
/// Longest wait for anything that should happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) sim: Sim,
    pub(crate) metrics: Metrics,
    /// Somebody else's credentials of the same account.
    pub(crate) intruder: Ec2,
    /// Where the stand-in serves.
    pub(crate) address: SocketAddr,
    server: Option<(CancellationToken, JoinHandle<()>)>,
    engine: Option<(CancellationToken, JoinHandle<()>)>,
    folder: tempfile::TempDir,
}

/// The waits of a test: short, but in the same proportions.
fn timings() -> Timings {
    Timings {
        reread: Duration::from_millis(400),
        sweep: Duration::from_millis(400),
        deep_sweep: Duration::from_secs(2),
        confirm: Duration::from_millis(50),
        adoption_wait: Duration::from_millis(100),
        absence: Duration::from_millis(1500),
        visibility: Duration::from_millis(1500),
        settle: Duration::from_millis(50),
        visible_poll: Duration::from_millis(50),
        visible_limit: Duration::from_secs(10),
        backoff_first: Duration::from_millis(100),
        backoff_limit: Duration::from_millis(800),
        refused: Duration::from_millis(800),
        reference_poll: Duration::from_millis(500),
        ..Timings::default()
    }
}

/// The real SDK over a socket, without retries of its own: a test counts calls.
fn connector(address: SocketAddr, key: &str) -> Arc<dyn Connect> {
    let limits = CallLimits { read_attempts: 1, ..CallLimits::default() };
    let options = AwsOptions::default().endpoint(format!("http://{address}")).credentials(key, "not-checked");
    Arc::new(AwsConnector::new(options.limits(limits)))
}

/// Somebody else with credentials of the account, who needs no socket.
pub(crate) async fn intruder(sim: &Sim) -> Ec2 {
    let sim = sim.clone();
    let options = AwsOptions::default().credentials("AKIA111122223333MALLORY", "x");
    let connector = AwsConnector::new(options.in_process(move |request| sim.handle(request)));
    connector.connect(&Route::own("eu-west-1".parse().unwrap())).await.unwrap()
}

/// A stand-in with the VPCs of the tests.
pub(crate) fn stand_in() -> Sim {
    let vpcs = vec![VpcSeed::new(VPC), VpcSeed::new(VPC_IPV6).with_ipv6("2001:db8::/56")];
    Sim::new(Config { vpcs, ..Config::default() })
}

/// That the CRDs are on the shared control plane: they are the same for every test of the binary.
static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// Applies the CRDs, and waits until kubectl knows them.
pub(crate) async fn install_crds(plane: &ControlPlane) {
    for (_, text) in crds::render() {
        plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &text).await.succeeded();
    }
    for (_, crd) in crds::all() {
        let name = crd.metadata.name.unwrap();
        let established = ["wait", "--for=condition=Established", &format!("crd/{name}"), "--timeout=60s"];
        plane.kubectl(&established, "").await.succeeded();
        // The apiserver publishes what it serves a moment after it serves it, and kubectl goes by what is published.
        let deadline = tokio::time::Instant::now() + LIMIT;
        while !plane.kubectl(&["explain", &format!("{name}.spec")], "").await.success {
            assert!(tokio::time::Instant::now() < deadline, "{name} is never published");
        }
    }
}

impl Rig {
    pub(crate) async fn start(prefix: &str) -> Self {
        let mut rig = Self::idle(prefix).await;
        rig.start_engine();
        rig
    }

    /// Everything but the engine.
    pub(crate) async fn idle(prefix: &str) -> Self {
        install_crypto_provider();
        let plane = ControlPlane::shared();
        INSTALLED.get_or_init(|| install_crds(plane)).await;
        let sim = stand_in();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut rig = Self {
            plane,
            client: plane.client().await,
            namespace: plane.namespace(prefix).await,
            intruder: intruder(&sim).await,
            sim,
            metrics: Metrics::default(),
            address,
            server: None,
            engine: None,
            folder: tempfile::tempdir().unwrap(),
        };
        rig.serve_on(listener);
        rig
    }

    fn serve_on(&mut self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let served = serve(self.sim.clone(), listener, stop.clone().cancelled_owned());
        let handle = tokio::spawn(async move {
            served.await.unwrap();
        });
        self.server = Some((stop, handle));
    }

    /// The way to EC2 that the engine has otherwise.
    pub(crate) fn connector(&self) -> Arc<dyn Connect> {
        connector(self.address, "AKIA111122223333SGWARDEN")
    }

    /// EC2 goes away: connections are refused.
    pub(crate) async fn cut_off_ec2(&mut self) {
        let (stop, handle) = self.server.take().unwrap();
        stop.cancel();
        handle.abort();
        let _ = handle.await;
    }

    /// EC2 is back where it was.
    pub(crate) async fn restore_ec2(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve_on(listener);
    }

    pub(crate) fn audit_path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    pub(crate) fn start_engine(&mut self) {
        self.start_engine_over(self.connector(), self.objects());
    }

    /// The objects of this rig's namespace.
    pub(crate) fn objects(&self) -> Arc<dyn Objects> {
        Arc::new(KubeObjects::new(self.client.clone(), Some(self.namespace.clone()), None))
    }

    /// The engine over another way to EC2, or to the objects.
    pub(crate) fn start_engine_over(&mut self, connect: Arc<dyn Connect>, objects: Arc<dyn Objects>) {
        let clock = Clock::system();
        // Each test's engine has its Secrets in the test's own namespace.
        let secrets = Arc::new(KubeSecrets::new(self.client.clone(), &self.namespace));
        let parts = Parts {
            objects,
            queues: Arc::new(NoQueues),
            connect,
            deliver: Arc::new(Notify::new(secrets, None, clock.clone())),
            audit: trail(Some(AuditFile::open(self.audit_path()).unwrap())),
            timings: timings(),
            metrics: self.metrics.clone(),
            health: Health::new(&clock),
            clock,
            cluster: self.namespace.clone(),
            former_clusters: Vec::new(),
            own: OwnAccount { id: None, regions: vec!["eu-west-1".parse().unwrap()], namespaces: None, queues: Vec::new() },
            leadership: Leadership { leases: None, identity: self.namespace.clone(), fence: Fence::always() },
            concurrency: 4,
        };
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
        let (_, handle) = self.engine.take().unwrap();
        handle.abort();
        let _ = handle.await;
    }

    pub(crate) fn groups(&self) -> Api<SecurityGroup> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn apply(&self, manifests: &str) {
        let namespace = format!("--namespace={}", self.namespace);
        self.plane.kubectl(&["apply", "--server-side", &namespace, "-f", "-"], manifests).await.succeeded();
    }

    pub(crate) async fn patch(&self, name: &str, patch: Value) {
        self.groups().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.groups().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is as it should be; says how it stands when it never is.
    pub(crate) async fn until(&self, name: &str, what: &str, is: impl Fn(&SecurityGroup) -> bool + Send) -> SecurityGroup {
        until(&self.groups(), name, what, is).await
    }

    /// Waits until the object's present generation is in place.
    pub(crate) async fn settled(&self, name: &str) -> SecurityGroup {
        self.until(name, "settled", is_settled).await
    }

    pub(crate) async fn gone(&self, name: &str) {
        gone(&self.groups(), name).await;
    }

    pub(crate) async fn get(&self, name: &str) -> SecurityGroup {
        self.groups().get(name).await.unwrap()
    }

    /// The group of an object as EC2 has it: tags and rules.
    pub(crate) async fn live(&self, object: &SecurityGroup) -> (Tags, Vec<LiveRule>) {
        let id = group_id(object);
        let mut groups = self.intruder.read.groups(&GroupQuery::Ids(vec![id.clone()])).await.unwrap();
        (groups.pop().expect("the group is in EC2").tags, self.intruder.read.rules(&id).await.unwrap())
    }

    /// Rules as text, sorted: `ingress tcp 443 from 0.0.0.0/0 "Allow"`.
    pub(crate) async fn rules(&self, object: &SecurityGroup) -> Vec<String> {
        let (_, rules) = self.live(object).await;
        in_words(&rules)
    }

    /// The live rule of an atom.
    pub(crate) async fn rule(&self, object: &SecurityGroup, atom: &str) -> LiveRule {
        let (_, rules) = self.live(object).await;
        rules.into_iter().find(|rule| rule.atom.to_string() == atom).unwrap_or_else(|| panic!("no rule {atom}"))
    }

    /// Calls that write, so far, by whoever made them.
    pub(crate) fn writes(&self) -> BTreeMap<String, u64> {
        let write = |action: &str| !action.starts_with("Describe") && !action.starts_with("Get");
        self.sim.counts().into_iter().filter(|(action, count)| write(action) && *count > 0).collect()
    }

    /// Reconciles that have ended so far.
    pub(crate) fn passes(&self) -> u64 {
        let mut exposition = String::new();
        prometheus_client::encoding::text::encode(&mut exposition, &self.metrics.registry()).unwrap();
        let counts = exposition.lines().filter(|line| line.starts_with("sgwarden_reconcile_total{"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Reasons and notes of the Events about an object.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = |event: &Event| event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(name);
        let events = api.list(&ListParams::default()).await.unwrap();
        events
            .iter()
            .filter(|event| about(event))
            .map(|event| (event.reason.clone().unwrap_or_default(), event.note.clone().unwrap_or_default()))
            .collect()
    }

    /// Waits until there is such an Event: they are written after the status.
    pub(crate) async fn event(&self, name: &str, reason: &str) -> String {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let found = self.events(name).await.into_iter().find(|(found, _)| found == reason);
            if let Some((_, note)) = found {
                return note;
            }
            assert!(tokio::time::Instant::now() < deadline, "no Event {reason} about {name}: {:?}", self.events(name).await);
            // A list of the server takes some milliseconds: pace enough.
            let _ = api.list_metadata(&ListParams::default().limit(1)).await;
        }
    }

    /// The audit file, a record a line.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.audit_path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for (stop, handle) in [self.engine.take(), self.server.take()].into_iter().flatten() {
            stop.cancel();
            handle.abort();
        }
    }
}

/// Waits until an object is as it should be; says how it stands when it never is.
pub(crate) async fn until(
    groups: &Api<SecurityGroup>,
    name: &str,
    what: &str,
    is: impl Fn(&SecurityGroup) -> bool + Send,
) -> SecurityGroup {
    let condition = |object: Option<&SecurityGroup>| object.is_some_and(&is);
    if let Ok(found) = tokio::time::timeout(LIMIT, await_condition(groups.clone(), name, condition)).await {
        found.unwrap().unwrap()
    } else {
        let status = groups.get_opt(name).await.unwrap().and_then(|object| object.status);
        panic!("{name} never became {what}; it stands as {}", serde_json::to_string_pretty(&status).unwrap());
    }
}

/// Whether the object's present generation is in place.
pub(crate) fn is_settled(object: &SecurityGroup) -> bool {
    let condition = |kind: &str| condition(object, kind).map(|(status, _, _)| status);
    object.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation
        && condition("Ready").as_deref() == Some("True")
        && condition("Synced").as_deref() == Some("True")
}

/// Waits until an object is gone.
pub(crate) async fn gone(groups: &Api<SecurityGroup>, name: &str) {
    let condition = |object: Option<&SecurityGroup>| object.is_none();
    tokio::time::timeout(LIMIT, await_condition(groups.clone(), name, condition)).await.expect("the object goes").unwrap();
}

/// Rules as text, sorted.
pub(crate) fn in_words(rules: &[LiveRule]) -> Vec<String> {
    let mut lines: Vec<String> =
        rules.iter().map(|rule| format!("{} \"{}\"", rule.atom, rule.description.as_deref().unwrap_or_default())).collect();
    lines.sort();
    lines
}

pub(crate) fn group_id(object: &SecurityGroup) -> SecurityGroupId {
    let id = object.status.as_ref().and_then(|status| status.group_id.clone());
    id.unwrap_or_else(|| panic!("{} has no group", object.name_any())).parse().unwrap()
}

/// Status, reason and message of a condition.
pub(crate) fn condition(object: &SecurityGroup, kind: &str) -> Option<(String, String, String)> {
    let conditions = &object.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}
