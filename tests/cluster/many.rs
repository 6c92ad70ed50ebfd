//! Many groups that are as declared, on a real apiserver, without the time it takes to create them; and a queue, moto's, that their
//! events come by.
//!
//! Entry points: [`groups`], [`Events`].

use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use sgwarden::adapters::sim::{DEFAULT_ACCOUNT, Sim};
use sgwarden::api::SecurityGroup;

use crate::process::Installation;
use crate::rig::{Rig, VPC, group_id};
use crate::support::moto;

/// Requests to the apiserver at the same time.
const AT_ONCE: usize = 16;
const REGION: &str = "eu-west-1";

/// `web-<number>`.
pub(crate) fn name(number: usize) -> String {
    format!("web-{number}")
}

/// One group that a controller made, and as many more that are like it to the letter, but for what tells them apart. No controller
/// runs afterwards.
pub(crate) async fn groups(rig: &Rig, installation: &Installation, many: usize) {
    rig.apply(&format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: {}}}
spec:
  vpc: {{id: {VPC}}}
  egressPolicy: DenyAll
  ingress:
  - {{name: https, protocol: tcp, ports: [443], from: [{{cidr: 10.0.0.0/8}}]}}
",
        name(0)
    ))
    .await;
    let maker = installation.start("maker").await;
    let first = rig.settled(&name(0)).await;
    maker.stopped().await;
    let first = rig.get(&first.name_any()).await;
    let (id, uid) = (group_id(&first), first.uid().unwrap());
    let dump = rig.sim.dump();
    let place = dump["places"].as_array().unwrap().iter().find(|place| place["account"] == DEFAULT_ACCOUNT).unwrap();
    let group = place["groups"].as_array().unwrap().iter().find(|group| group["id"] == id.as_str()).unwrap();
    let row = group["rules"][0]["id"].as_str().unwrap().to_owned();
    let (template, status, group) = (&template(&first), &serde_json::to_string(&first.status).unwrap(), &group.to_string());
    let (id, uid, row) = (id.as_str(), uid.as_str(), row.as_str());
    let api = &rig.groups();
    let groups: Vec<String> = stream::iter(1..many)
        .map(|number| async move {
            let name = name(number);
            let object: SecurityGroup = serde_json::from_value(alike(template, &name)).unwrap();
            let made = api.create(&PostParams::default(), &object).await?;
            let alike = |text: &str| {
                let text =
                    text.replace(&self::name(0), &name).replace(&format!("\"{uid}\""), &format!("\"{}\"", made.uid().unwrap()));
                text.replace(id, &format!("sg-{number:017x}")).replace(row, &format!("sgr-{number:017x}"))
            };
            let status: Value = serde_json::from_str(&alike(status)).unwrap();
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await?;
            Ok::<_, kube::Error>(alike(group))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .unwrap();
    // The reader of worlds takes no more than so much at a time.
    for some in groups.chunks(500) {
        let place = format!("{{\"account\": \"{DEFAULT_ACCOUNT}\", \"region\": \"{REGION}\", \"groups\": [{}]}}", some.join(", "));
        rig.sim.load(&format!("{{\"places\": [{place}]}}")).unwrap();
    }
}

/// What a person, and the controller, write of an object.
fn template(object: &SecurityGroup) -> Value {
    json!({
        "apiVersion": "sgwarden.dev/v1alpha1",
        "kind": "SecurityGroup",
        "metadata": { "finalizers": object.finalizers() },
        "spec": object.spec,
    })
}

fn alike(template: &Value, name: &str) -> Value {
    let mut object = template.clone();
    object["metadata"]["name"] = name.into();
    object
}

/// The stand-in's events, on their way to a queue of SQS as `EventBridge` sends them.
pub(crate) struct Events {
    /// The queue.
    pub(crate) url: String,
    /// How many the queue has taken.
    taken: watch::Receiver<usize>,
    courier: JoinHandle<()>,
}

impl Events {
    /// From now on: what happened before is told to nobody.
    pub(crate) async fn of(sim: &Sim) -> Self {
        let moto = moto::lease().await;
        let queue = moto.sqs("CreateQueue", &json!({ "QueueName": "events" })).await;
        let url = queue["QueueUrl"].as_str().unwrap().to_owned();
        sim.take_events();
        let (sim, to) = (sim.clone(), url.clone());
        let (counter, taken) = watch::channel(0);
        let courier = tokio::spawn(async move {
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(10));
            loop {
                pace.tick().await;
                for event in sim.take_events() {
                    moto.sqs("SendMessage", &json!({ "QueueUrl": to, "MessageBody": event.to_string() })).await;
                    counter.send_modify(|taken| *taken += 1);
                }
            }
        });
        Self { url, taken, courier }
    }

    /// How many the queue has taken so far.
    pub(crate) fn sent(&self) -> usize {
        *self.taken.borrow()
    }

    /// Waits until the queue has taken more.
    pub(crate) async fn more_than(&mut self, sent: usize) {
        self.taken.wait_for(|taken| *taken > sent).await.unwrap();
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.courier.abort();
    }
}
