//! The apiserver goes away and comes back in the middle of everything, and so does EC2. On a control plane of its own, as the
//! account is of the whole cluster.

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::net::TcpListener;

use sgwarden::adapters::sim::{CallRecord, Fault, Sim, serve};
use sgwarden::api::{AwsAccount, CidrSet, SecurityGroup};
use sgwarden::core::model::{Direction, NewRule};
use sgwarden::ports::cloud::{Ec2, GroupQuery};

use crate::cli::until;
use crate::gate::writes_of;
use crate::process::{Installation, Replica};
use crate::rig::{VPC, condition, gone, group_id, in_words, install_crds, intruder, is_settled, stand_in};
use crate::support::controlplane::{ControlPlane, Stop};

const ACCOUNT: &str = "apiVersion: sgwarden.dev/v1alpha1
kind: AwsAccount
metadata: {name: default}
spec: {accountId: \"111122223333\", regions: [eu-west-1], allowedNamespaces: {from: All}}
";

fn set(cidrs: &[&str]) -> String {
    let cidrs: Vec<String> = cidrs.iter().map(|cidr| format!("{{cidr: {cidr}}}")).collect();
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: office}}\nspec: {{cidrs: [{}]}}\n",
        cidrs.join(", ")
    )
}

fn group(name: &str, peer: &str) -> String {
    format!(
        "---\napiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n  groupName: {name}-group\n  egressPolicy: DenyAll\n  ingress:\n    - {{name: web, protocol: tcp, ports: [443], from: [{peer}]}}\n"
    )
}

/// A cluster of its own, a stand-in, and one process between them.
struct Stage {
    plane: ControlPlane,
    namespace: String,
    sim: Sim,
    ec2: Ec2,
    replica: Replica,
    /// Its folder goes when it is dropped.
    _installation: Installation,
}

impl Stage {
    /// With an account, a set, and three groups in place of which two use the set.
    async fn set() -> Self {
        let plane = ControlPlane::private().await;
        install_crds(&plane).await;
        let namespace = plane.namespace("restart").await;
        let sim = stand_in();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the runtime of the test.
        tokio::spawn(serve(sim.clone(), listener, std::future::pending()));
        let installation = Installation::new(plane.kubeconfig_path(), &namespace, address);
        let replica = installation.start("only").await;
        let ec2 = intruder(&sim).await;
        let stage = Self { plane, namespace, sim, ec2, replica, _installation: installation };
        stage.apply(ACCOUNT).await;
        stage.apply(&set(&["10.0.0.0/24"])).await;
        for (name, peer) in
            [("web", "{cidrSet: {name: office}}"), ("api", "{cidrSet: {name: office}}"), ("db", "{cidr: 10.9.0.0/16}")]
        {
            stage.apply(&group(name, peer)).await;
        }
        for name in ["web", "api"] {
            stage.has(name, &["10.0.0.0/24"]).await;
        }
        stage.has("db", &["10.9.0.0/16"]).await;
        stage
    }

    async fn groups(&self) -> Api<SecurityGroup> {
        Api::namespaced(self.plane.client().await, &self.namespace)
    }

    async fn apply(&self, manifest: &str) {
        let namespace = format!("--namespace={}", self.namespace);
        self.plane.kubectl(&["apply", "--server-side", &namespace, "-f", "-"], manifest).await.succeeded();
    }

    /// Waits until an object is settled and lets in these ranges to port 443, and no others.
    async fn has(&self, name: &str, cidrs: &[&str]) -> SecurityGroup {
        let mut expected: Vec<String> = cidrs.iter().map(|cidr| format!("ingress tcp 443 from {cidr} \"\"")).collect();
        expected.sort();
        let groups = self.groups().await;
        until(&format!("{name} lets in {cidrs:?}; {}", self.replica.log()), async || {
            let object = groups.get(name).await.unwrap();
            object.status.as_ref()?.group_id.as_ref()?;
            let rules = in_words(&self.ec2.read.rules(&group_id(&object)).await.unwrap());
            (is_settled(&object) && rules == expected).then_some(object)
        })
        .await
    }

    /// Somebody opens a port of a group to the world.
    async fn open(&self, object: &SecurityGroup, port: u16) {
        let rule = NewRule { atom: format!("ingress tcp {port} from 0.0.0.0/0").parse().unwrap(), description: None };
        self.ec2.write.authorize(&group_id(object), Direction::Ingress, &[rule]).await.unwrap();
    }

    /// Some looks at all groups.
    async fn looks(&self) {
        let of = |call: &&CallRecord| call.access_key == self.replica.key && call.action == "DescribeSecurityGroups";
        let count = || self.sim.calls().iter().filter(of).count();
        let wanted = count() + 3;
        until("it looks again", async || (count() >= wanted).then_some(())).await;
    }

    /// Waits until the process writes no more without the Lease, which it cannot renew.
    async fn steps_down(&self, times: usize) {
        self.replica.says("leadership is lost", times).await;
        self.replica.leads(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apiserver_that_is_killed_and_started_again_is_found_again_with_every_watch() {
    let mut stage = Stage::set().await;
    let files = stage.replica.open_files();
    let mut ranges = vec!["10.0.0.0/24".to_owned()];
    let mut told = Vec::new();
    for round in 0..2 {
        let db = stage.has("db", &["10.9.0.0/16"]).await;
        stage.plane.stop_apiserver(Stop::Abruptly).await;
        // While the Lease holds, an edit may be put right though nobody can be told.
        stage.open(&db, 22).await;
        stage.steps_down(round + 1).await;
        let writes = writes_of(&stage.sim, &stage.replica.key).len();
        stage.open(&db, 23).await;
        assert_eq!(stage.replica.page("/livez").await.0, 200, "it lives, and waits");
        stage.looks().await;
        assert_eq!(writes_of(&stage.sim, &stage.replica.key).len(), writes, "without the Lease it writes nothing");
        stage.plane.start_apiserver().await;
        stage.replica.leads(true).await;

        // Both are told, each once.
        let db = stage.has("db", &["10.9.0.0/16"]).await;
        assert!(writes_of(&stage.sim, &stage.replica.key).len() > writes);
        told.extend(["ingress tcp 22 from 0.0.0.0/0", "ingress tcp 23 from 0.0.0.0/0"]);
        told.sort_unstable();
        assert_eq!(reverted(&db), told, "{:#?}", db.status);

        // Each kind is watched again: sets,
        ranges.push(format!("10.0.{}.0/24", round + 4));
        let cidrs: Vec<&str> = ranges.iter().map(String::as_str).collect();
        stage.apply(&set(&cidrs)).await;
        let (web, api) = (stage.has("web", &cidrs).await, stage.has("api", &cidrs).await);
        for object in [web, api] {
            assert!(object.status.unwrap().drift.is_empty(), "a set that changes is nobody's edit");
        }
        let sets: Api<CidrSet> = Api::namespaced(stage.plane.client().await, &stage.namespace);
        until("the set says how it stands", async || {
            let status = sets.get("office").await.unwrap().status?;
            (status.entries == Some(i32::try_from(cidrs.len()).unwrap())).then_some(())
        })
        .await;
        // groups,
        let new = format!("new{round}");
        stage.apply(&group(&new, "{cidrSet: {name: office}}")).await;
        stage.has(&new, &cidrs).await;
    }
    // and accounts, whose word holds at once.
    account_is_heard(&stage).await;
    nothing_leaks(&stage, files).await;
    stage.replica.stopped().await;
}

/// What was added and taken away again, sorted.
fn reverted(object: &SecurityGroup) -> Vec<&str> {
    let records = object.status.iter().flat_map(|status| &status.drift);
    let records = records.inspect(|record| assert_eq!(record.resolution, "Reverted", "{record:#?}"));
    let mut added: Vec<&str> = records.flat_map(|record| &record.atoms).map(|atom| atom.after.as_deref().unwrap()).collect();
    added.sort_unstable();
    added
}

/// The account's stop button: nothing is written while it is pressed.
async fn account_is_heard(stage: &Stage) {
    let accounts: Api<AwsAccount> = Api::all(stage.plane.client().await);
    let press = async |mode: &str| {
        let patch = Patch::Merge(json!({ "spec": { "mode": mode } }));
        accounts.patch("default", &PatchParams::default(), &patch).await.unwrap();
    };
    let mode = async |mode: &str| {
        let is = |object: &SecurityGroup| object.status.as_ref().and_then(|status| status.mode.as_deref()) == Some(mode);
        crate::rig::until(&stage.groups().await, "db", mode, is).await
    };
    press("Observe").await;
    mode("Observe").await;
    press("Enforce").await;
    mode("Enforce").await;
}

/// Connections and watches of before are closed: as many files are open as at first.
async fn nothing_leaks(stage: &Stage, before: usize) {
    // Idle connections are kept for later use; a watch that is never closed would be one more in each round for each kind.
    let few = 4;
    until(&format!("files are closed: {before} at first"), async || {
        let now = stage.replica.open_files();
        (now <= before + few).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_deleted_while_ec2_is_down_stay_until_it_is_back() {
    let stage = Stage::set().await;
    let groups = stage.groups().await;
    let ids: Vec<_> = [groups.get("web").await.unwrap(), groups.get("db").await.unwrap()].iter().map(group_id).collect();
    stage.sim.inject(Fault::drop_connection("*"));
    for name in ["web", "db"] {
        groups.delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in ["web", "db"] {
        let told = |object: &SecurityGroup| {
            object.metadata.deletion_timestamp.is_some()
                && condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "CloudUnavailable")
        };
        let object = crate::rig::until(&groups, name, "held up", told).await;
        assert_eq!(object.metadata.finalizers, Some(vec![sgwarden::api::FINALIZER.to_owned()]));
    }
    stage.sim.clear_faults();
    assert_eq!(stage.ec2.read.groups(&GroupQuery::Ids(ids.clone())).await.unwrap().len(), 2, "not gone yet");
    for name in ["web", "db"] {
        gone(&groups, name).await;
    }
    assert!(stage.ec2.read.groups(&GroupQuery::Ids(ids)).await.unwrap().is_empty());
    stage.has("api", &["10.0.0.0/24"]).await;
    stage.replica.stopped().await;
}
