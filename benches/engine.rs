//! What an unchanged Region of 10,000 groups of 20 rules costs: the whole engine over the EC2 stand-in, in one process, in virtual
//! time. What is measured is the machine's time and memory, and the calls.
//!
//! Prints one JSON object a figure, with its goal and whether it is met; no figure makes it fail. Objects and stand-in are in the
//! same process as the engine: the memory is what comes on top of them when the engine starts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark panics when it cannot go on, and prints what it found")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "so do the tests' own parts")]

use std::time::Duration;

use serde_json::json;

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

use rig::Rig;
use support::{figure, now, resident};

const GROUPS: usize = 10_000;
const RULES: u16 = 20;
/// Calls of one listing, at a thousand groups a page.
const PAGES: u64 = 10;
const SWEEP: Duration = Duration::from_secs(60);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(unchanged());
}

async fn unchanged() {
    let mut rig = many::groups(GROUPS, RULES).await;
    let written = rig.store.writes();
    let before = resident();
    rig.sim.clear_calls();

    let begun = now();
    rig.start_engine();
    let listed = |rig: &Rig| rig.calls().get("DescribeSecurityGroups").is_some_and(|pages| *pages >= PAGES);
    rig.until("the first sweep is done", listed).await;
    seconds("start_to_first_sweep", begun.elapsed(), 2.0);
    // Till after the first look at all rules, which comes within a tenth of an hour and then every hour.
    rig.pass(SWEEP * 12).await;

    // Sweeps come every minute, give or take a tenth: ten minutes have nine to eleven.
    rig.sim.clear_calls();
    let begun = now();
    rig.pass(SWEEP * 10).await;
    let spent = begun.elapsed();
    let mut calls = rig.calls();
    let pages = calls.remove("DescribeSecurityGroups").unwrap_or_default();
    let sweeps = pages / PAGES;
    assert!((9..=11).contains(&sweeps) && pages % PAGES == 0, "not as many whole sweeps as minutes: {pages} pages");
    count("sweep_calls", pages / sweeps, PAGES);
    count("other_calls", calls.values().sum(), 0);
    count("object_writes", u64::try_from(rig.store.writes() - written).unwrap(), 0);
    seconds("sweep", spent / u32::try_from(sweeps).unwrap(), 1.0);
    if let (Some(before), Some(after)) = (before, resident()) {
        let megabytes = ((after - before) / 1_000_000.0).round();
        figure("engine", &size(), "memory", (json!(megabytes), "megabytes"), 300.0, Some(megabytes <= 300.0));
    }
    edit(&rig).await;
}

/// They are looked after, not forgotten.
async fn edit(rig: &Rig) {
    let last = format!("web-{}", GROUPS - 1);
    rig.intrude(&rig.group(&last), &["ingress tcp 3389 from 0.0.0.0/0"]).await;
    rig.pass(SWEEP * 2).await;
    assert_eq!(rig.live(&last).await.len(), usize::from(RULES), "an edit is not undone");
}

fn size() -> String {
    format!("{GROUPS} groups of {RULES} rules")
}

fn seconds(name: &str, spent: Duration, goal: f64) {
    let seconds = (spent.as_secs_f64() * 1000.0).round() / 1000.0;
    figure("engine", &size(), name, (json!(seconds), "seconds"), goal, Some(seconds <= goal));
}

fn count(name: &str, count: u64, goal: u64) {
    figure("engine", &size(), name, (json!(count), "calls"), goal, Some(count == goal));
}
