//! What the engine counts: who leads, how fast drift goes, who is named, and how status writes end.

use std::time::Duration;

use prometheus_client::encoding::text::encode;

use crate::rig::{Rig, manifest, tcp};

const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";

fn exposition(rig: &Rig) -> String {
    let mut text = String::new();
    encode(&mut text, &rig.metrics.registry()).unwrap();
    text
}

/// The value of a series, if it is there.
fn value(rig: &Rig, series: &str) -> Option<f64> {
    exposition(rig).lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

async fn kept() -> Rig {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.settled("web").await;
    rig
}

#[tokio::test(start_paused = true)]
async fn who_shares_with_nobody_leads() {
    let mut rig = kept().await;
    assert_eq!(value(&rig, "sgwarden_leader"), Some(1.0));
    rig.stop_engine().await;
    assert_eq!(value(&rig, "sgwarden_leader"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_first_message_that_cannot_be_read_has_a_rate() {
    let rig = kept().await;
    for reason in ["NotJson", "TooDeep", "NotServed"] {
        assert_eq!(value(&rig, &format!("sgwarden_events_set_aside_total{{reason=\"{reason}\"}}")), Some(0.0), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revert_is_timed_once_and_its_author_counted_once() {
    let rig = kept().await;
    assert_eq!(value(&rig, "sgwarden_drift_time_to_revert_seconds_count"), Some(0.0));
    rig.intrude(&rig.group("web"), &[SSH]).await;
    let reverted = |rig: &Rig| value(rig, "sgwarden_drift_time_to_revert_seconds_count") == Some(1.0);
    rig.until("it is reverted", reverted).await;
    // No queue is named: nobody can be, and that is known at once.
    let unknown = |rig: &Rig| value(rig, "sgwarden_attributions_total{result=\"unknown\"}") == Some(1.0);
    rig.until("nobody is named", unknown).await;
    rig.pass(Duration::from_secs(300)).await;
    assert!(reverted(&rig) && unknown(&rig), "{}", exposition(&rig));
    assert_eq!(value(&rig, "sgwarden_attributions_total{result=\"named\"}"), Some(0.0));
    assert!(value(&rig, "sgwarden_drift_time_to_revert_seconds_sum").unwrap() < 10.0, "{}", exposition(&rig));
}

#[tokio::test(start_paused = true)]
async fn who_made_an_edit_counts_as_named_when_its_event_has_come() {
    let mut rig = Rig::idle().await;
    rig.listen();
    rig.start_engine();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    rig.settled("web").await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("somebody is named", |rig| value(rig, "sgwarden_attributions_total{result=\"named\"}") == Some(1.0)).await;
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!(value(&rig, "sgwarden_attributions_total{result=\"named\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn status_writes_are_counted_by_how_they_ended_and_what_says_nothing_new_is_none() {
    let rig = kept().await;
    let written = value(&rig, "sgwarden_status_writes_total{result=\"success\"}").unwrap();
    assert!(written >= 1.0, "{}", exposition(&rig));
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!(value(&rig, "sgwarden_status_writes_total{result=\"success\"}"), Some(written));
    rig.store.be_silent(true);
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("a write fails", |rig| value(rig, "sgwarden_status_writes_total{result=\"error\"}").unwrap() >= 1.0).await;
}
