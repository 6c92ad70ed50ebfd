//! What an edit of one of 1,000 groups takes from the moment its event can be received to the call that reverts it: the binary, a
//! real apiserver, the EC2 stand-in over a socket, and moto's SQS, in real time.
//!
//! Prints one JSON object a figure, with its goal and whether it is met; an edit that is missed, or laid at the wrong door, makes it
//! fail.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark panics when it cannot go on, and prints what it found")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "so do the tests' own parts")]

use std::time::Duration;

use serde_json::json;

use sgwarden::adapters::sim::{DEFAULT_ACCOUNT, Principal};
use sgwarden::core::model::{Direction, NewRule};

// The tests' own: a control plane, the binary as a process, and groups on both sides.
#[allow(dead_code, unused_imports, reason = "tests use more of it")]
#[path = "../tests/cluster/cli.rs"]
mod cli;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/cluster/many.rs"]
mod many;
#[allow(dead_code, reason = "other benchmarks use more of it")]
#[path = "support/mod.rs"]
mod measure;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/cluster/process.rs"]
mod process;
#[allow(dead_code, unused_imports, reason = "tests use more of it")]
#[path = "../tests/cluster/rejected.rs"]
mod rejected;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/cluster/rig.rs"]
mod rig;
#[path = "../tests/support/mod.rs"]
mod support;

use measure::{figure, now};
use process::Installation;
use rig::{Rig, group_id};

const GROUPS: usize = 1000;
const EDITS: usize = 200;
const ALICE: &str = "alice@example.com";
/// How often to look whether EC2 was called.
const PACE: Duration = Duration::from_millis(2);
/// Between two edits, so that each is measured alone.
const PAUSE: Duration = Duration::from_millis(500);

fn main() {
    tokio::runtime::Runtime::new().unwrap().block_on(edits());
}

async fn edits() {
    let rig = Rig::idle("bench").await;
    let permission_set = "PowerUserAccess".to_owned();
    let alice = Principal::Sso { account: DEFAULT_ACCOUNT.to_owned(), permission_set, user: ALICE.to_owned() };
    rig.sim.register("AKIA111122223333MALLORY", alice);
    let installation = Installation::of(&rig, rig.address);
    many::groups(&rig, &installation, GROUPS).await;
    let mut events = many::Events::of(&rig.sim).await;
    let installation = installation.listening(&events.url);
    let replica = installation.start("listener").await;
    replica.reconciles(GROUPS.try_into().unwrap()).await;

    let mut times = Vec::new();
    for number in 0..EDITS {
        let name = many::name(number * GROUPS / EDITS);
        let group = group_id(&rig.get(&name).await);
        let revoked = rig.sim.count("RevokeSecurityGroupIngress");
        let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
        let sent = events.sent();
        rig.intruder.write.authorize(&group, Direction::Ingress, &[rule]).await.unwrap();
        events.more_than(sent).await;
        let receivable = now();
        let mut pace = tokio::time::interval(PACE);
        while rig.sim.count("RevokeSecurityGroupIngress") == revoked {
            pace.tick().await;
            assert!(receivable.elapsed() < rig::LIMIT, "{name} stays open");
        }
        times.push(receivable.elapsed());
        let told = |object: &sgwarden::api::SecurityGroup| {
            let drift = object.status.as_ref().map(|status| status.drift.as_slice()).unwrap_or_default();
            drift.iter().any(|record| {
                let name = record.actor.as_ref().and_then(|actor| actor.name.as_deref());
                record.resolution == "Reverted" && name == Some(ALICE)
            })
        };
        rig.until(&name, "put right, and by whom it was open", told).await;
        tokio::time::sleep(PAUSE).await;
    }
    times.sort();
    let of = format!("{EDITS} edits among {GROUPS} groups on a real apiserver, debug build");
    for (name, rank) in [("event_to_revert_p50", EDITS / 2), ("event_to_revert_p95", EDITS * 95 / 100)] {
        let seconds = times[rank].as_secs_f64();
        figure("cluster", &of, name, (json!(seconds), "seconds"), 1.0, Some(seconds <= 1.0));
    }
    replica.stopped().await;
}
