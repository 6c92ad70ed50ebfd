//! Several replicas of one controller: who holds the Lease writes, whatever happens to the process that held it before.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::Instant;

use sgwarden::adapters::sim::{CallRecord, Latency};

use crate::cli::until;
use crate::gate::{Gate, Hold, Order, writes_of};
use crate::process::{Installation, Replica};
use crate::rig::{Rig, VPC};

/// What a replica says when it sees that another holds the Lease.
const STANDS_BY: &str = "another replica leads; this one stands by";

/// A group that lets in the office to these ports.
fn manifest(name: &str, ports: &[u16]) -> String {
    let rule = |port| format!("    - {{name: at{port}, protocol: tcp, ports: [{port}], from: [{{cidr: 10.0.0.0/8}}]}}\n");
    let rules: String = ports.iter().map(rule).collect();
    format!(
        "---\napiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n  groupName: {name}-group\n  egressPolicy: DenyAll\n  ingress:\n{rules}"
    )
}

fn rules(ports: &[u16]) -> Vec<String> {
    ports.iter().map(|port| format!("ingress tcp {port} from 10.0.0.0/8 \"\"")).collect()
}

/// Two replicas, of which the first leads and the second stands by.
async fn two(installation: &Installation) -> (Replica, Replica) {
    let first = installation.start("first").await;
    first.leads(true).await;
    let second = installation.start("second").await;
    second.says(STANDS_BY, 1).await;
    (first, second)
}

// Frozen -------------------------------------------------------------------------------------------------------------

/// The leader is frozen while one of its writes is under way, and thawed when another has taken over and is done. Returns the
/// writes that EC2 got from it after that.
async fn frozen(edited: &str, action: &'static str, hold: Hold) -> Vec<CallRecord> {
    let rig = Rig::idle("frozen").await;
    let gate = Gate::before(&rig.sim).await;
    let installation = Installation::of(&rig, gate.address());
    let (mut first, second) = two(&installation).await;
    rig.apply(&manifest("web", &[443, 22])).await;
    rig.settled("web").await;

    gate.close(Order { key: first.key.clone(), action: Some(action), nth: 1, hold });
    rig.apply(&manifest(edited, &[443, 8443])).await;
    gate.reached().await;
    first.freeze().await;
    assert!(!gate.given_up(), "frozen too late: {}", first.log());
    let object = rig.settled(edited).await;
    assert_eq!(rig.rules(&object).await, rules(&[443, 8443]), "the other brings it about");
    assert!(second.log().contains("took_over=true"), "{}", second.log());
    let before = writes_of(&rig.sim, &first.key).len();

    // What was under way arrives first: thawed, its caller would hang up.
    gate.open();
    let expected = usize::from(hold == Hold::Request);
    until("what was under way arrives", async || (writes_of(&rig.sim, &first.key).len() >= before + expected).then_some(())).await;
    first.thaw().await;
    first.says("leadership is lost", 1).await;
    first.says(STANDS_BY, 1).await;
    first.leads(false).await;
    // With both there, the one that leads does the work.
    rig.apply(&manifest("after", &[80])).await;
    rig.settled("after").await;
    let late = writes_of(&rig.sim, &first.key).split_off(before);
    let object = rig.settled(edited).await;
    assert_eq!(rig.rules(&object).await, rules(&[443, 8443]), "what comes late changes nothing");

    // The first takes part again.
    second.stopped().await;
    first.leads(true).await;
    rig.apply(&manifest(edited, &[443, 9443])).await;
    let object = rig.settled(edited).await;
    assert_eq!(rig.rules(&object).await, rules(&[443, 9443]));
    let drift = &object.status.as_ref().unwrap().drift;
    assert!(drift.is_empty(), "what replicas do is no drift: {drift:#?}");
    first.stopped().await;
    late
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_frozen_and_thawed_changes_nothing_any_more() {
    // Side by side, as each waits most of the time for a Lease to run out.
    tokio::join!(Box::pin(late_addition()), Box::pin(late_removal()), Box::pin(late_creation()), Box::pin(late_answer()));
}

/// How a write ended that came too late.
fn error(call: &CallRecord) -> Option<&str> {
    call.error.as_deref()
}

/// What is added already is not added twice.
async fn late_addition() {
    let late = frozen("web", "AuthorizeSecurityGroupIngress", Hold::Request).await;
    assert_eq!(late.iter().map(error).collect::<Vec<_>>(), [Some("InvalidPermission.Duplicate")], "{late:#?}");
}

/// A removal names ids, which are never used again.
async fn late_removal() {
    let late = frozen("web", "RevokeSecurityGroupIngress", Hold::Request).await;
    assert_eq!(late.iter().map(error).collect::<Vec<_>>(), [Some("InvalidSecurityGroupRuleId.NotFound")], "{late:#?}");
    assert!(late[0].params.keys().any(|name| name.starts_with("SecurityGroupRuleId.")), "{late:#?}");
    assert!(!late[0].params.keys().any(|name| name.starts_with("IpPermissions")), "{late:#?}");
}

/// A second group of the name is refused.
async fn late_creation() {
    let late = frozen("new", "CreateSecurityGroup", Hold::Request).await;
    assert_eq!(late.iter().map(error).collect::<Vec<_>>(), [Some("InvalidGroup.Duplicate")], "{late:#?}");
}

/// The write is done, its answer is late: the plan does not go on.
async fn late_answer() {
    let late = frozen("web", "AuthorizeSecurityGroupIngress", Hold::Answer).await;
    assert!(late.is_empty(), "{late:#?}");
}

// Replaced -----------------------------------------------------------------------------------------------------------

/// How long EC2 takes for a write: longer than it takes to get a Lease that is released.
const WRITE: Duration = Duration::from_secs(3);
/// How soon the next one writes. A Lease that was not released would take three times as long.
const SOON: Duration = Duration::from_secs(5);

fn writes_take(time: Duration) -> Vec<Latency> {
    let time = u64::try_from(time.as_millis()).unwrap();
    vec![Latency { action: "writes".to_owned(), min_ms: time, max_ms: time, tail_ms: 0 }]
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_rolling_update_the_next_replica_writes_soon_and_never_before_the_last_one_is_done() {
    let rig = Rig::idle("rolling").await;
    // A Lease of 10 s, and 4 s more for who takes it without its having been released.
    let installation = Installation::of(&rig, rig.address).speedup("2");
    let (mut first, second) = two(&installation).await;
    rig.apply(&manifest("web", &[443])).await;
    rig.settled("web").await;
    stands_by(&rig, &second).await;

    rig.sim.set_latency(writes_take(WRITE));
    let before = writes_of(&rig.sim, &first.key).len();
    rig.apply(&manifest("web", &[443, 22])).await;
    until("it is at work", async || (writes_of(&rig.sim, &first.key).len() > before).then_some(())).await;
    first.ask_to_stop();
    rig.apply(&manifest("after", &[80])).await;
    let key = first.key.clone();
    first.ended().await;
    let ended = Instant::now();
    until("the next one writes", async || (!writes_of(&rig.sim, &second.key).is_empty()).then_some(())).await;
    assert!(ended.elapsed() < SOON, "it took {:?}; {}", ended.elapsed(), second.log());
    assert!(second.log().contains("took_over=false"), "the Lease was released: {}", second.log());
    rig.sim.set_latency(Vec::new());
    for (name, ports) in [("web", &[22, 443][..]), ("after", &[80])] {
        let object = rig.settled(name).await;
        let mut expected = rules(ports);
        expected.sort();
        assert_eq!(rig.rules(&object).await, expected);
    }

    one_after_the_other(&rig, &key, &second.key);
    second.stopped().await;
    let leases: Api<Lease> = Api::namespaced(rig.client.clone(), &rig.namespace);
    let lease = format!("sgwarden-{}", rig.namespace);
    let holder = leases.get(&lease).await.unwrap().spec.unwrap().holder_identity.unwrap_or_default();
    assert_eq!(holder, "", "whoever ends in peace releases");
}

/// A standby is ready, knows the groups, says that it does not lead, and writes nothing.
async fn stands_by(rig: &Rig, replica: &Replica) {
    until("a standby is ready", async || (replica.page("/readyz").await.0 == 200).then_some(())).await;
    assert!(replica.metric("sgwarden_leader").await.abs() < f64::EPSILON);
    let (_, page) = replica.page("/metrics").await;
    assert!(page.contains("sgwarden_build_info"), "{page}");
    let sweeps = |call: &CallRecord| call.access_key == replica.key && call.action == "DescribeSecurityGroups";
    until("a standby looks at all groups", async || rig.sim.calls().iter().any(sweeps).then_some(())).await;
    assert!(writes_of(&rig.sim, &replica.key).is_empty());
}

/// No write of one before the last of the other was answered.
fn one_after_the_other(rig: &Rig, first: &str, second: &str) {
    let time = |call: &CallRecord| call.time.parse::<jiff::Timestamp>().unwrap();
    let last = writes_of(&rig.sim, first).last().map(time).unwrap();
    let next = writes_of(&rig.sim, second).first().map(time).unwrap();
    let between = Duration::try_from(next.duration_since(last)).expect("one after the other");
    assert!(between >= WRITE, "the first one's last call was under way still: {between:?}");
}
