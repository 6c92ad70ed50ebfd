//! Messages to people: each thing is told, whatever ends when, and a sink that is dead holds up nobody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use sgwarden::adapters::directory::{DirectoryObjects, DirectoryOptions, read_groups};
use sgwarden::api::{Actor, Notifier, conditions};
use sgwarden::core::model::SecurityGroupId;
use sgwarden::engine::controller::Parts;

use crate::inbox::{Mood, notifier};
use crate::rig::{Rig, manifest, tcp};

const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";

fn https(name: &str) -> String {
    manifest(name, &[&tcp("https", 443, "0.0.0.0/0")])
}

/// A group as declared, and a notifier that is told from now on.
async fn stage(more: &str) -> Rig {
    let rig = Rig::start().await;
    rig.store.apply_notifier(&notifier("ops", more));
    rig.store.apply(&https("web"));
    rig.settled("web").await;
    listening(&rig, "ops").await;
    rig
}

async fn listening(rig: &Rig, name: &str) {
    let since = |notifier: Notifier| notifier.status.and_then(|status| status.since).is_some();
    rig.until("the notifier is looked at", |rig| rig.store.notifier(name).is_some_and(since)).await;
    // What happens in the second in which it began is told.
    rig.pass(Duration::from_secs(1)).await;
}

async fn heard(rig: &Rig, sink: &str, count: usize) -> Vec<Value> {
    rig.until(&format!("{sink} hears of {count}"), |rig| rig.inbox.notices(sink).len() >= count).await;
    rig.inbox.notices(sink)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn condition(rig: &Rig, name: &str, kind: &str) -> (String, String) {
    let status = rig.store.notifier(name).and_then(|notifier| notifier.status).unwrap_or_default();
    let found = status.conditions.into_iter().find(|condition| condition.type_ == kind);
    found.map(|condition| (condition.status, condition.reason)).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_told_once_with_what_was_done() {
    let rig = stage("").await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    let told = heard(&rig, "ops", 1).await;
    let drift = rig.store.get("web").unwrap().status.unwrap().drift.remove(0);
    assert_eq!((text(&told[0], "kind"), text(&told[0], "severity")), ("Drift", "Critical"));
    assert_eq!(text(&told[0], "dedupKey"), format!("shop/web/{}", drift.id));
    let message = text(&told[0], "message");
    let opened = format!("added {SSH} (opened tcp/22 to 4,294,967,296 addresses). Put right after");
    assert!(message.starts_with("shop/web (default, eu-west-1): ") && message.contains(&opened), "{message}");
    assert_eq!(text(&told[0], "command"), format!("sgwarden accept shop/web {} --for 2h", drift.id));
    rig.until("it is noted", |rig| !rig.store.get("web").unwrap().status.unwrap().drift[0].notified.is_empty()).await;
    rig.pass(Duration::from_secs(3600)).await;
    assert_eq!(rig.inbox.taken("ops").len(), 1, "and not again");
    assert_eq!(condition(&rig, "ops", conditions::DELIVERING), ("True".into(), "Succeeded".into()));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_for_an_hour_loses_nothing_and_holds_up_nothing() {
    let rig = stage("").await;
    rig.inbox.set("ops", Mood::Down(None));
    let group = rig.group("web");
    let ports: Vec<u16> = (2000..2024).collect();
    for port in &ports {
        let edited = tokio::time::Instant::now();
        rig.intrude(&group, &[&format!("ingress tcp {port} from 0.0.0.0/0")]).await;
        while rig.live("web").await.len() > 1 {
            assert!(edited.elapsed() < Duration::from_secs(70), "a sweep finds it and it is reverted at once");
            rig.pass(Duration::from_millis(500)).await;
        }
        rig.pass(Duration::from_secs(150).saturating_sub(edited.elapsed())).await;
    }
    assert!(rig.inbox.taken("ops").is_empty());
    assert_eq!(condition(&rig, "ops", conditions::READY), ("False".into(), "SinkUnavailable".into()));
    let mut exposition = String::new();
    prometheus_client::encoding::text::encode(&mut exposition, &rig.metrics.registry()).unwrap();
    let oldest =
        exposition.lines().find_map(|line| line.strip_prefix("sgwarden_notifier_oldest_waiting_seconds{notifier=\"ops\"} "));
    assert!(oldest.unwrap().parse::<u64>().unwrap() > 3400, "{exposition}");
    rig.inbox.set("ops", Mood::Well);
    // Ten records have room for twenty-four edits: the oldest became one.
    let all = |rig: &Rig| {
        ports.iter().all(|port| rig.inbox.notices("ops").iter().any(|told| told.to_string().contains(&format!("tcp {port} "))))
    };
    rig.until("every edit is told", all).await;
    let times: Vec<String> = rig.inbox.notices("ops").iter().map(|told| text(told, "at").to_owned()).collect();
    assert!(times.is_sorted(), "in order: {times:?}");
    rig.until("it delivers again", |rig| condition(rig, "ops", conditions::READY).0 == "True").await;
}

/// The same without a cluster: manifests and a Notifier in files, what was told in the state directory.
#[tokio::test(start_paused = true)]
async fn with_files_too_a_sink_that_is_down_for_an_hour_loses_nothing_over_a_restart() {
    let mut rig = Rig::idle().await;
    let folder = tempfile::tempdir().unwrap();
    let (manifests, state) = (folder.path().join("manifests"), folder.path().join("state"));
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(manifests.join("ops.yaml"), notifier("ops", "")).unwrap();
    std::fs::write(manifests.join("web.yaml"), https("web")).unwrap();
    let start = |rig: &mut Rig| {
        let parts = rig.parts();
        let (interval, clock) = (Duration::from_secs(1), parts.clock.clone());
        let options = DirectoryOptions { manifests: manifests.clone(), state: state.clone(), interval, clock };
        let objects = Arc::new(DirectoryObjects::open(options).unwrap());
        rig.start_engine_with(Parts { objects, ..parts });
    };
    let status = || read_groups(&state).ok()?.into_iter().find_map(|group| group.status);
    rig.inbox.set("ops", Mood::Down(None));
    start(&mut rig);
    rig.until("the group is as declared", |_| status().is_some_and(|status| status.rules.is_some() && status.group_id.is_some()))
        .await;
    rig.pass(Duration::from_mins(2)).await;
    let group: SecurityGroupId = status().unwrap().group_id.unwrap().parse().unwrap();

    let ports: Vec<u16> = (2000..2024).collect();
    for port in &ports {
        let edited = tokio::time::Instant::now();
        rig.intrude(&group, &[&format!("ingress tcp {port} from 0.0.0.0/0")]).await;
        while rig.rules(&group).await.len() > 1 {
            assert!(edited.elapsed() < Duration::from_secs(70), "a sweep finds it and it is reverted at once");
            rig.pass(Duration::from_millis(500)).await;
        }
        rig.pass(Duration::from_secs(150).saturating_sub(edited.elapsed())).await;
    }
    assert!(rig.inbox.taken("ops").is_empty());
    rig.kill_engine().await;
    rig.inbox.set("ops", Mood::Well);
    start(&mut rig);
    let all = |rig: &Rig| {
        ports.iter().all(|port| rig.inbox.notices("ops").iter().any(|told| told.to_string().contains(&format!("tcp {port} "))))
    };
    rig.until("every edit is told", all).await;
    let times: Vec<String> = rig.inbox.notices("ops").iter().map(|told| text(told, "at").to_owned()).collect();
    assert!(times.is_sorted(), "in order: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn killed_between_revert_and_alert_it_is_told_after_the_restart() {
    let mut rig = stage("").await;
    rig.inbox.set("ops", Mood::Hangs);
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("it is being told", |rig| !rig.inbox.asked("ops").is_empty()).await;
    assert_eq!(rig.live("web").await.len(), 1, "it is reverted");
    rig.kill_engine().await;
    rig.inbox.set("ops", Mood::Well);
    rig.start_engine();
    heard(&rig, "ops", 1).await;
}

#[tokio::test(start_paused = true)]
async fn killed_between_alert_and_note_it_is_told_twice_under_one_id() {
    let mut rig = stage("").await;
    rig.inbox.set("ops", Mood::Last);
    rig.intrude(&rig.group("web"), &[SSH]).await;
    heard(&rig, "ops", 1).await;
    rig.kill_engine().await;
    rig.inbox.set("ops", Mood::Well);
    rig.start_engine();
    heard(&rig, "ops", 2).await;
    rig.pass(Duration::from_secs(600)).await;
    let ids: Vec<Value> = rig.inbox.taken("ops").iter().map(|taken| taken.event()["id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "a receiver can tell that it is the same");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_write_it_is_told_all_the_same() {
    for write in 1..=6 {
        let mut rig = stage("").await;
        let crash = tokio_util::sync::CancellationToken::new();
        rig.store.crash_at_write(write, crash.clone());
        rig.intrude(&rig.group("web"), &[SSH]).await;
        let _ = tokio::time::timeout(Duration::from_secs(300), crash.cancelled()).await;
        rig.kill_engine().await;
        rig.store.crash_at_no_write();
        rig.start_engine();
        let told = heard(&rig, "ops", 1).await;
        assert!(told.iter().all(|told| told.to_string().contains("tcp 22 ")), "write {write}: {told:?}");
        rig.pass(Duration::from_secs(600)).await;
        assert!(rig.inbox.taken("ops").len() <= 3, "write {write}: {:?}", rig.inbox.notices("ops"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_sink_that_is_dead_delays_no_other() {
    let rig = stage("").await;
    rig.store.apply_notifier(&notifier("backup", ""));
    listening(&rig, "backup").await;
    rig.inbox.set("ops", Mood::Hangs);
    rig.intrude(&rig.group("web"), &[SSH]).await;
    let edited = tokio::time::Instant::now();
    heard(&rig, "backup", 1).await;
    assert!(edited.elapsed() < Duration::from_secs(70), "{:?}", edited.elapsed());
    rig.inbox.set("ops", Mood::Well);
    heard(&rig, "ops", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_asks_to_be_left_alone_is() {
    let rig = stage("").await;
    rig.inbox.set("ops", Mood::Down(Some(Duration::from_secs(900))));
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("it was asked", |rig| !rig.inbox.asked("ops").is_empty()).await;
    rig.inbox.set("ops", Mood::Well);
    heard(&rig, "ops", 1).await;
    let asked = rig.inbox.asked("ops");
    assert!(asked[1].duration_since(asked[0]) >= Duration::from_secs(900), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_a_sink_does_not_take_is_in_nobodys_way() {
    let rig = stage("").await;
    rig.inbox.set("ops", Mood::Picky("tcp 22 "));
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("it was asked", |rig| !rig.inbox.asked("ops").is_empty()).await;
    rig.intrude(&rig.group("web"), &["ingress tcp 23 from 0.0.0.0/0"]).await;
    let told = heard(&rig, "ops", 1).await;
    assert!(told[0].to_string().contains("tcp 23 "), "{told:?}");
    rig.inbox.set("ops", Mood::Well);
    let told = heard(&rig, "ops", 2).await;
    assert!(told[1].to_string().contains("tcp 22 "), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_a_burst_and_digests_and_each_of_it_is_told() {
    let rig = Rig::start().await;
    rig.store.apply_notifier(&notifier("ops", ", rateLimit: {perMinute: 6, burst: 3}"));
    let names: Vec<String> = (0..30).map(|n| format!("web-{n}")).collect();
    for name in &names {
        rig.store.apply(&https(name));
    }
    for name in &names {
        rig.settled(name).await;
    }
    listening(&rig, "ops").await;
    let edited = tokio::time::Instant::now();
    for name in &names {
        rig.intrude(&rig.group(name), &[SSH]).await;
    }
    let told = heard(&rig, "ops", 30).await;
    let groups: BTreeSet<&str> = told.iter().map(|told| text(told, "name")).collect();
    assert_eq!(groups.len(), 30);
    rig.pass(Duration::from_secs(60)).await;
    let taken = rig.inbox.taken("ops");
    assert_eq!(rig.inbox.notices("ops").len(), 30, "each once");
    let minutes = usize::try_from(edited.elapsed().as_secs() / 60 + 1).unwrap();
    assert!(taken.len() <= 3 + 6 * minutes && taken.len() < 15, "{} messages in {minutes} min", taken.len());
    assert!(taken.iter().any(|taken| text(taken.event(), "type") == "dev.sgwarden.digest"));
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_is_known_later_completes_the_alert_once() {
    let rig = stage("").await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    let first = heard(&rig, "ops", 1).await.remove(0);
    rig.until("it is noted", |rig| !rig.store.get("web").unwrap().status.unwrap().drift[0].notified.is_empty()).await;
    for name in ["mallory", "mallory (role Contractor)"] {
        let mut status = rig.store.get("web").unwrap().status.unwrap();
        status.drift[0].actor = Some(Actor { name: Some(name.to_owned()), ..Actor::default() });
        rig.store.look_after("web", status);
        rig.pass(Duration::from_secs(120)).await;
    }
    let told = heard(&rig, "ops", 2).await;
    assert_eq!(told.len(), 2, "once: {told:#?}");
    assert_eq!(told[1]["dedupKey"], first["dedupKey"]);
    assert_eq!(told[1]["update"], true);
    assert!(text(&told[1], "message").contains("mallory added "), "{}", told[1]);
    let ids: BTreeSet<String> = rig.inbox.taken("ops").iter().map(|taken| taken.event()["id"].to_string()).collect();
    assert_eq!(ids.len(), 2, "a receiver that drops what it has seen takes both");
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_is_left_alone_is_told_and_so_is_its_end() {
    let rig = stage("").await;
    let reporting = https("web").replace("egressPolicy:", "enforcement: {undeclaredRules: Report}\n  egressPolicy:");
    rig.store.apply(&reporting);
    rig.pass(Duration::from_secs(30)).await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    let told = heard(&rig, "ops", 1).await;
    assert!(text(&told[0], "message").contains("Left alone: it is only reported here."), "{told:?}");
    rig.cut(&rig.group("web"), SSH).await;
    let told = heard(&rig, "ops", 2).await;
    assert!(text(&told[1], "message").starts_with("Update: ") && text(&told[1], "message").contains("is over after"), "{told:?}");
    assert_eq!(told[0]["dedupKey"], told[1]["dedupKey"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_the_filter_asks_for_is_told_and_nothing_from_before() {
    let rig = stage(", filter: {severity: Critical, namespaces: [shop]}").await;
    rig.store.apply_namespace("shop", &[("team", "shop")], &[]);
    rig.intrude(&rig.group("web"), &["ingress tcp 8080 from 10.0.0.0/8"]).await;
    rig.pass(Duration::from_secs(120)).await;
    assert!(rig.inbox.taken("ops").is_empty(), "a private range is less than critical");
    rig.store.apply_notifier(&notifier("late", ", filter: {namespaceSelector: {matchLabels: {team: shop}}}"));
    rig.store.apply_notifier(&notifier("others", ", filter: {namespaceSelector: {matchLabels: {team: bank}}}"));
    listening(&rig, "late").await;
    listening(&rig, "others").await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    heard(&rig, "ops", 1).await;
    let late = heard(&rig, "late", 1).await;
    rig.pass(Duration::from_secs(120)).await;
    assert_eq!((late.len(), rig.inbox.notices("late").len()), (1, 1));
    assert!(late[0].to_string().contains("tcp 22 "), "{late:?}");
    assert!(rig.inbox.taken("others").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_is_written_wrong_is_told_when_it_is_corrected() {
    let rig = stage("").await;
    rig.store.apply_notifier(&notifier("ops", ", filter: {severity: loud}"));
    rig.until("it says so", |rig| condition(rig, "ops", conditions::READY).1 == "InvalidSpec").await;
    rig.store.annotate("web", "sgwarden.dev/suspend", Some("2026-11-22T14:00:00Z incident"));
    rig.pass(Duration::from_secs(300)).await;
    rig.store.apply_notifier(&notifier("ops", ""));
    let told = heard(&rig, "ops", 1).await;
    assert_eq!(text(&told[0], "kind"), "Suspend");
}

#[tokio::test(start_paused = true)]
async fn a_suspend_is_told_at_its_start_shortly_before_its_end_and_at_its_end() {
    let rig = stage(", filter: {kinds: [Suspend]}").await;
    rig.store.annotate("web", "sgwarden.dev/suspend", Some("2026-11-22T13:00:00Z incident 4711"));
    let told = heard(&rig, "ops", 3).await;
    let reasons: Vec<&str> = told.iter().map(|told| told["details"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["Suspended", "SuspendEndsSoon", "Resumed"]);
    let times: Vec<String> = told.iter().map(|told| text(told, "at").chars().take(16).collect()).collect();
    assert_eq!(times[1..], ["2026-11-22T12:45", "2026-11-22T13:00"]);
    rig.until("nothing is left to tell", |rig| rig.store.get("web").unwrap().status.unwrap().notices.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_ends_is_told_a_day_before() {
    let rig = stage(", filter: {kinds: [Expiry]}").await;
    let rule = tcp("guest", 443, "203.0.113.7/32");
    let rule = rule.strip_suffix('}').unwrap();
    rig.store.apply(&manifest("web", &[&format!("{rule}, expiresAt: \"2026-11-23T12:30:00Z\"}}")]));
    let told = heard(&rig, "ops", 1).await;
    assert_eq!(told[0]["details"]["reason"], "ExpiresSoon", "{told:?}");
    assert!(rig.store.events().iter().any(|(_, event)| event.reason == "ExpiresSoon"), "and so says an Event");
    assert!(text(&told[0], "at").starts_with("2026-11-22T12:30"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_war_and_a_deleted_group_are_told() {
    let rig = stage(", filter: {kinds: [RevertWar, GroupDeleted]}").await;
    let group = rig.group("web");
    for _ in 0..6 {
        rig.intrude(&group, &[SSH]).await;
        rig.pass(Duration::from_secs(65)).await;
    }
    let told = heard(&rig, "ops", 1).await;
    assert_eq!((text(&told[0], "kind"), text(&told[0], "severity")), ("RevertWar", "High"));
    rig.intruder.write.delete_group(&group).await.unwrap();
    let told = heard(&rig, "ops", 2).await;
    assert_eq!(text(&told[1], "kind"), "GroupDeleted");
}

#[tokio::test(start_paused = true)]
async fn without_notifiers_nothing_is_kept_for_them() {
    let rig = stage("").await;
    rig.store.delete_notifier("ops");
    rig.pass(Duration::from_secs(10)).await;
    rig.store.annotate("web", "sgwarden.dev/suspend", Some("2026-11-22T13:00:00Z incident"));
    rig.pass(Duration::from_secs(60)).await;
    assert!(rig.store.get("web").unwrap().status.unwrap().notices.is_empty());
    let mut exposition = String::new();
    prometheus_client::encoding::text::encode(&mut exposition, &rig.metrics.registry()).unwrap();
    assert!(!exposition.contains("notifier=\"ops\""), "its series go with it");
}
