//! What an edit among 1,000 groups takes from the moment its event can be received, and what ten minutes of five edits a second by
//! three people come to: the whole engine over the EC2 stand-in and a queue, in one process, in virtual time.
//!
//! Latencies are what passes in virtual time and what the machine itself takes, added up. Prints one JSON object a figure, with its
//! goal and whether it is met; an edit that is missed, or laid at the wrong door, makes it fail.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark panics when it cannot go on, and prints what it found")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "so do the tests' own parts")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use sgwarden::adapters::sim::SimConnector;
use sgwarden::core::model::{Direction, NewRule};
use sgwarden::ports::cloud::{Connect, Ec2, Route};

// The tests' own: a store of objects and the stand-in's clock, driven by tokio's.
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/engine/inbox.rs"]
mod inbox;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/engine/many.rs"]
mod many;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/engine/rig.rs"]
mod rig;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/engine/store.rs"]
mod store;
mod support;

use rig::{Rig, region};
use support::{figure, now, resident};

const GROUPS: usize = 1000;
const RULES: u16 = 20;
const EDITS: usize = 200;
const PEOPLE: [&str; 3] = ["mallory", "jonas", "mira"];
/// Ten minutes of five a second.
const MANY: usize = 3000;
const PAUSE: Duration = Duration::from_millis(200);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(edits());
}

async fn edits() {
    let mut rig = many::groups(GROUPS, RULES).await;
    // By events alone.
    rig.timings.sweep = Duration::from_hours(24);
    rig.listen();
    rig.start_engine();
    rig.until("all groups were looked at", |rig| rig.calls().contains_key("DescribeSecurityGroups")).await;
    rig.pass(Duration::from_mins(15)).await;
    one_by_one(&rig).await;
    many_at_once(&rig).await;
}

async fn one_by_one(rig: &Rig) {
    let mut times = Vec::new();
    for number in 0..EDITS {
        let group = rig.group(&format!("web-{}", number * GROUPS / EDITS));
        let revoked = rig.calls().get("RevokeSecurityGroupIngress").copied().unwrap_or_default();
        let (began, machine) = (tokio::time::Instant::now(), now());
        rig.intrude(&group, &["ingress tcp 22 from 0.0.0.0/0"]).await;
        rig.until("it is revoked", |rig| rig.calls().get("RevokeSecurityGroupIngress").is_some_and(|calls| *calls > revoked)).await;
        times.push(began.elapsed() + machine.elapsed());
        rig.pass(Duration::from_secs(2)).await;
    }
    times.sort();
    let of = format!("{EDITS} edits among {GROUPS} groups of {RULES} rules");
    for (name, rank) in [("edit_to_revert_p50", EDITS / 2), ("edit_to_revert_p95", EDITS * 95 / 100)] {
        let seconds = times[rank].as_secs_f64();
        figure("events", &of, name, (json!(seconds), "seconds"), 1.0, Some(seconds <= 1.0));
    }
}

async fn many_at_once(rig: &Rig) {
    let people = [person(rig, 0).await, person(rig, 1).await, person(rig, 2).await];
    let before = resident();
    let begun = now();
    let mut made: BTreeMap<String, &str> = BTreeMap::new();
    for number in 0..MANY {
        // Three edits of each group, minutes apart, each by somebody else.
        let (who, port) = (number / GROUPS % PEOPLE.len(), 30_000 + number / GROUPS);
        let name = format!("web-{}", number % GROUPS);
        let rule = NewRule { atom: format!("ingress tcp {port} from 0.0.0.0/0").parse().unwrap(), description: None };
        people[who].write.authorize(&rig.group(&name), Direction::Ingress, std::slice::from_ref(&rule)).await.unwrap();
        made.insert(format!("{name} {}", rule.atom), PEOPLE[who]);
        rig.pass(PAUSE).await;
    }
    rig.until("every message is done with", |rig| rig.queue.is_empty()).await;
    let mut told = 0;
    for object in rig.store.all() {
        let name = object.metadata.name.clone().unwrap();
        for record in object.status.map(|status| status.drift).unwrap_or_default() {
            for atom in &record.atoms {
                let Some(who) = made.remove(&format!("{name} {}", atom.after.as_deref().unwrap_or_default())) else { continue };
                assert_eq!(record.resolution, "Reverted", "{record:?}");
                // Edits of several people that one look finds are told in one record, which names them all.
                let names = record.actor.as_ref().and_then(|actor| actor.name.as_deref()).unwrap_or_default();
                assert!(names.split(" and ").any(|name| name == who), "{who}: {record:?}");
                told += 1;
            }
        }
    }
    assert!(made.is_empty(), "missed: {made:?}");
    let of = format!("{MANY} edits of three people in ten minutes");
    figure("events", &of, "told_with_the_right_name", (json!(told), "edits"), MANY, Some(told == MANY));
    figure(
        "events",
        &of,
        "machine",
        (json!(begun.elapsed().as_secs_f64()), "seconds"),
        600.0,
        Some(begun.elapsed().as_secs() <= 600),
    );
    if let (Some(before), Some(after)) = (before, resident()) {
        let megabytes = ((after - before) / 1_000_000.0).round();
        // Of it the stand-in's own memory of every call is the most.
        figure("events", &of, "memory_on_top", (json!(megabytes), "megabytes"), 100.0, Some(megabytes <= 100.0));
    }
}

async fn person(rig: &Rig, number: usize) -> Ec2 {
    let key = format!("AKIA111122223333{}", PEOPLE[number].to_uppercase());
    SimConnector::new(rig.sim.clone(), &key).connect(&Route::own(region())).await.unwrap()
}
