//! `CloudTrail`'s events over a queue: an edit is seen at once and has a name, whatever becomes of its event on the way.

use std::time::Duration;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use sgwarden::adapters::sim::{Delivery, Fault, SimConnector};
use sgwarden::api::DriftRecord;
use sgwarden::api::conditions::{DRIFTED, EVENTS_HEALTHY};
use sgwarden::core::model::{Direction, NewRule, SecurityGroupId};
use sgwarden::engine::controller::Parts;
use sgwarden::ports::cloud::{Connect, Route};
use sgwarden::ports::queue::NoQueues;

use crate::people::{account, in_force};
use crate::rig::{INTRUDER, OURS, Rig, manifest, region, tcp};

/// After which nothing is remembered of the writes that made the group.
pub(crate) const AT_REST: Duration = Duration::from_secs(700);

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";

/// A group at rest, with an engine that reads events and sweeps once an hour.
async fn listening(delivery: Delivery) -> (Rig, SecurityGroupId) {
    let mut rig = Rig::idle().await;
    rig.timings.sweep = Duration::from_secs(3600);
    rig.sim.set_delivery(delivery);
    rig.listen();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    rig.pass(AT_REST).await;
    let group = rig.group("web");
    (rig, group)
}

pub(crate) fn records(rig: &Rig) -> Vec<DriftRecord> {
    rig.store.get("web").and_then(|object| object.status).map(|status| status.drift).unwrap_or_default()
}

fn is_open(rig: &Rig) -> bool {
    in_force(&rig.sim, rig.group("web").as_str()).iter().any(|rule| rule == SSH)
}

pub(crate) fn named(record: &DriftRecord) -> Option<String> {
    record.actor.clone().and_then(|actor| actor.name)
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_put_right_within_a_second_and_has_a_name() {
    let (rig, group) = listening(Delivery::default()).await;
    let before = rig.now();
    rig.intrude(&group, &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
    let took = rig.now().duration_since(before);
    assert!(took.as_millis() <= 1000, "{took}");
    rig.until("it is told", |rig| records(rig).iter().any(|record| record.resolution == "Reverted")).await;
    let record = &records(&rig)[0];
    let actor = record.actor.clone().unwrap();
    assert_eq!(actor.name.as_deref(), Some("mallory"));
    assert_eq!(actor.event_name.as_deref(), Some("AuthorizeSecurityGroupIngress"));
    assert!(actor.event_id.is_some() && actor.source_ip.is_some() && actor.arn.is_some(), "{actor:?}");
    assert_eq!(actor.reason, None);
    let written = rig.audit.all().into_iter().filter(|change| change.operation == "RevokeSecurityGroupIngress");
    for change in written.filter(|change| change.items[0].cause == "Drift") {
        let item = &change.items[0];
        assert_eq!((item.drift_id.as_ref(), item.actor.as_ref()), (Some(&record.id), Some(&actor)));
        assert_eq!((record.change_id.as_ref(), record.trace_id.as_ref()), (Some(&change.id), Some(&change.trace_id)));
    }
    assert!(record.change_id.is_some());
    assert_eq!(rig.audit.attributions(), [], "the change said who it was");
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
    assert_eq!(records(&rig).len(), 1, "our own writes are no drift");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_after_the_sweep_completes_the_record() {
    let (mut rig, group) = listening(Delivery { delay_ms: 300_000, ..Delivery::default() }).await;
    rig.timings.sweep = Duration::from_secs(60);
    rig.stop_engine().await;
    rig.start_engine();
    rig.pass(AT_REST).await;
    rig.intrude(&group, &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
    rig.until("it is told", |rig| records(rig).iter().any(|record| record.resolution == "Reverted")).await;
    assert_eq!(records(&rig)[0].actor, None, "an event may still come");
    let change = records(&rig)[0].change_id.clone().unwrap();
    let item = rig.audit.all().into_iter().find(|record| record.id == change).unwrap().items.remove(0);
    assert_eq!((item.drift_id.as_ref(), item.actor), (Some(&records(&rig)[0].id), None));
    rig.pass(Duration::from_secs(150)).await;
    let reason = records(&rig)[0].actor.clone().unwrap().reason.unwrap();
    assert_eq!(reason, "unknown: no CloudTrail event of that time has arrived");
    rig.until("it has a name", |rig| named(&records(rig)[0]).is_some()).await;
    assert_eq!(named(&records(&rig)[0]).as_deref(), Some("mallory"));
    assert!(!is_open(&rig));
    let [record] = records(&rig).try_into().expect("never put right twice");
    let [told] = rig.audit.attributions().try_into().expect("told once");
    assert_eq!((told.drift_id, Some(told.actor), told.trace_id), (record.id, record.actor, record.trace_id));
    assert_eq!((told.object.as_str(), told.group_id.as_deref()), ("shop/web", Some(group.as_str())));
}

#[tokio::test(start_paused = true)]
async fn what_is_opened_and_closed_between_two_reads_ends_as_transient() {
    let (rig, group) = listening(Delivery { delay_ms: 20_000, ..Delivery::default() }).await;
    rig.intrude(&group, &[SSH]).await;
    rig.cut(&group, SSH).await;
    rig.until("it is told", |rig| !records(rig).is_empty()).await;
    let record = &records(&rig)[0];
    assert_eq!((record.resolution.as_str(), record.atoms[0].kind.as_str()), ("Transient", "Transient"));
    assert_eq!((record.atoms[0].after.as_deref(), named(record).as_deref()), (Some(SSH), Some("mallory")));
    assert_eq!(record.exposure.clone().unwrap().opened.as_deref(), Some("tcp/22 to 4,294,967,296 addresses"));
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
    assert_eq!(rig.queue.most_received(), 1, "hidden for as long as it takes");
    assert_eq!(records(&rig).len(), 1);
    assert_eq!(condition(&rig), "False");
}

#[tokio::test(start_paused = true)]
async fn what_no_event_explains_is_unknown_with_the_reason() {
    let (mut rig, group) = listening(Delivery { loss: 1.0, ..Delivery::default() }).await;
    rig.timings.sweep = Duration::from_secs(60);
    rig.stop_engine().await;
    rig.start_engine();
    rig.pass(AT_REST).await;
    rig.intrude(&group, &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
    rig.pass(Duration::from_secs(180)).await;
    let actor = records(&rig)[0].actor.clone().unwrap();
    assert_eq!((actor.name, actor.reason.as_deref()), (None, Some("unknown: no CloudTrail event of that time has arrived")));
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_it_is_said_that_there_is_none() {
    let mut rig = Rig::idle().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    rig.pass(AT_REST).await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
    rig.until("it is told", |rig| records(rig).iter().any(|record| record.resolution == "Reverted")).await;
    let reason = records(&rig)[0].actor.clone().unwrap().reason.unwrap();
    assert_eq!(reason, "unknown: account default names no queue of CloudTrail events (spec.events)");
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_events_are_set_aside_and_do_not_hold_up_the_others() {
    let (rig, group) = listening(Delivery::default()).await;
    for body in ["", "not JSON", "[]", "{}", r#"{"detail": {"eventName": "RunInstances", "eventSource": "ec2.amazonaws.com"}}"#] {
        rig.queue.put(body);
    }
    rig.intrude(&group, &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
    rig.until("what cannot be read is left for a while, and then deleted", |rig| rig.queue.is_empty()).await;
    assert_eq!(rig.queue.most_received(), 3);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_lost_doubled_late_and_out_of_order_lose_no_drift_and_accuse_nobody() {
    let delivery = Delivery { delay_ms: 1000, jitter_ms: 300_000, loss: 0.3, duplication: 0.3, lookup_delay_ms: 0 };
    let (mut rig, group) = listening(delivery).await;
    rig.timings.sweep = Duration::from_secs(60);
    rig.stop_engine().await;
    rig.start_engine();
    rig.pass(AT_REST).await;
    for port in 1000..1010 {
        let rule = format!("ingress tcp {port} from 0.0.0.0/0");
        rig.intrude(&group, &[&rule]).await;
        rig.until("it is closed", |rig| in_force(&rig.sim, group.as_str()).len() == 1).await;
        rig.pass(Duration::from_secs(20)).await;
    }
    rig.pass(Duration::from_secs(1200)).await;
    assert!(rig.queue.is_empty(), "{} messages are left", rig.queue.len());
    assert_eq!(rig.live("web").await, [OFFICE]);
    let records = records(&rig);
    let seen: Vec<&str> = records.iter().flat_map(|record| &record.atoms).filter_map(|atom| atom.after.as_deref()).collect();
    assert_eq!((records.len(), seen.len()), (10, 10), "{seen:#?}");
    for record in &records {
        assert_eq!(record.resolution, "Reverted");
        assert!(named(record).is_none_or(|name| name == "mallory"), "{record:?}");
    }
    assert!(records.iter().any(|record| named(record).is_some()), "some events came");
}

/// A call with the engine's own key: a stolen session.
async fn with_our_key(rig: &Rig) -> sgwarden::ports::cloud::Ec2 {
    SimConnector::new(rig.sim.clone(), OURS).connect(&Route::own(region())).await.unwrap()
}

pub(crate) fn told(rig: &Rig, reason: &str) -> Vec<String> {
    rig.store.events().into_iter().filter(|(_, event)| event.reason == reason).map(|(_, event)| event.note).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_acts_with_our_own_role_is_told_of_and_undone() {
    let (rig, group) = listening(Delivery::default()).await;
    let thief = with_our_key(&rig).await;
    let rule = NewRule { atom: SSH.parse().unwrap(), description: None };
    thief.write.authorize(&group, Direction::Ingress, &[rule]).await.unwrap();
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
    rig.until("it is told", |rig| !told(rig, "OwnRoleMisuse").is_empty()).await;
    let notes = told(&rig, "OwnRoleMisuse");
    assert_eq!(notes.len(), 1, "our own revert is ours: {notes:?}");
    assert!(notes[0].starts_with("Critical: AuthorizeSecurityGroupIngress at "), "{notes:?}");
    let reason = records(&rig)[0].actor.clone().unwrap().reason.unwrap();
    assert_eq!(reason, "made with sgwarden's own role, by a request it did not send or got no answer to");
    assert!(metrics(&rig).contains("sgwarden_own_role_misuse_total 1\n"));
}

#[tokio::test(start_paused = true)]
async fn what_others_may_not_do_and_try_is_told_once_an_hour() {
    let (rig, group) = listening(Delivery::default()).await;
    let denied =
        Fault { access_key: Some(INTRUDER.into()), ..Fault::error("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", 403) };
    rig.sim.inject(denied);
    let rule = NewRule { atom: SSH.parse().unwrap(), description: None };
    for _ in 0..3 {
        rig.intruder.write.authorize(&group, Direction::Ingress, std::slice::from_ref(&rule)).await.unwrap_err();
        rig.pass(Duration::from_secs(5)).await;
    }
    let notes = told(&rig, "AttemptDenied");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("mallory from ") && notes[0].contains(" tried AuthorizeSecurityGroupIngress on the group at "),
        "{notes:?}"
    );
    assert!(records(&rig).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_before_its_record_is_stored_loses_no_event() {
    let (mut rig, group) = listening(Delivery::default()).await;
    rig.store.be_silent(true);
    rig.intrude(&group, &[SSH]).await;
    rig.until("ssh is closed all the same", |rig| !is_open(rig)).await;
    rig.pass(Duration::from_secs(3)).await;
    assert!(!rig.queue.is_empty(), "what is not in status is not done with");
    rig.kill_engine().await;
    rig.store.be_silent(false);
    assert!(records(&rig).is_empty());
    rig.start_engine();
    rig.until("the event comes again, and is told", |rig| !records(rig).is_empty()).await;
    let record = &records(&rig)[0];
    assert_eq!(named(record).as_deref(), Some("mallory"), "{record:?}");
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_right_after_it_was_restored_is_restored_again_by_its_event() {
    let (rig, group) = listening(Delivery::default()).await;
    let back = |rig: &Rig| in_force(&rig.sim, rig.group("web").as_str()).iter().any(|rule| rule == OFFICE);
    for _ in 0..3 {
        rig.cut(&group, OFFICE).await;
        let before = rig.now();
        rig.until("the office is back", back).await;
        let took = rig.now().duration_since(before);
        assert!(took.as_secs() <= 20, "no read could show that it is gone but for the event: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_queue_is_told_on_the_account_and_the_sweeps_go_on() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("events: {queues: [{url: \"https://sqs.eu-west-1.amazonaws.com/111122223333/gone\"}]}"));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    let parts = Parts { queues: Arc::new(NoQueues), ..rig.parts() };
    rig.start_engine_with(parts);
    rig.settled("web").await;
    rig.pass(Duration::from_secs(120)).await;
    let conditions = rig.store.account("default").unwrap().status.unwrap().conditions;
    let found = conditions.into_iter().find(|condition| condition.type_ == EVENTS_HEALTHY).unwrap();
    assert_eq!((found.status.as_str(), found.reason.as_str()), ("False", "Refused"));
    assert!(found.message.contains("sqs.eu-west-1.amazonaws.com/111122223333/gone"), "{}", found.message);
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("ssh is closed", |rig| !is_open(rig)).await;
}

#[tokio::test(start_paused = true)]
async fn silence_after_a_write_of_our_own_is_told_on_the_account() {
    let mut rig = Rig::idle().await;
    rig.sim.set_delivery(Delivery { loss: 1.0, ..Delivery::default() });
    rig.store.apply_account(&account("events: {queues: [{url: \"https://sqs.eu-west-1.amazonaws.com/111122223333/q\"}]}"));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    let stands = |rig: &Rig| {
        let conditions = rig.store.account("default").and_then(|account| account.status).unwrap_or_default().conditions;
        conditions.into_iter().find(|condition| condition.type_ == EVENTS_HEALTHY).map(|condition| condition.reason)
    };
    rig.until("the queue answers", |rig| stands(rig).as_deref() == Some("Succeeded")).await;
    rig.until("no event of our own write has come", |rig| stands(rig).as_deref() == Some("EventsSilent")).await;
    rig.sim.set_delivery(Delivery::default());
    rig.intrude(&rig.group("web"), &[SSH]).await;
    rig.until("events arrive again", |rig| stands(rig).as_deref() == Some("Succeeded")).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_stored_holds_up_no_revert() {
    let (mut rig, group) = listening(Delivery { delay_ms: 60_000, ..Delivery::default() }).await;
    rig.timings.sweep = Duration::from_secs(20);
    rig.stop_engine().await;
    rig.start_engine();
    rig.pass(AT_REST).await;
    rig.intrude(&group, &[SSH]).await;
    rig.until("it is told, without a name", |rig| records(rig).iter().any(|record| record.resolution == "Reverted")).await;
    assert_eq!(records(&rig)[0].actor, None);
    rig.store.be_silent(true);
    rig.pass(Duration::from_secs(70)).await;
    let open = rig.watch_open("web", SSH);
    rig.intrude(&group, &[SSH]).await;
    rig.pass(Duration::from_secs(60)).await;
    assert!(!is_open(&rig) && open.longest() <= Duration::from_secs(30), "open for {:?}", open.longest());
}

#[tokio::test(start_paused = true)]
async fn what_came_while_nobody_ran_is_told_by_the_next() {
    let (mut rig, group) = listening(Delivery::default()).await;
    rig.stop_engine().await;
    let denied =
        Fault { access_key: Some(INTRUDER.into()), ..Fault::error("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", 403) };
    rig.sim.inject(denied);
    let rule = NewRule { atom: SSH.parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group, Direction::Ingress, &[rule]).await.unwrap_err();
    rig.sim.clear_faults();
    rig.intrude(&group, &["ingress tcp 23 from 0.0.0.0/0"]).await;
    rig.cut(&group, "ingress tcp 23 from 0.0.0.0/0").await;
    rig.pass(Duration::from_secs(30)).await;
    rig.start_engine();
    rig.until("the attempt is told", |rig| !told(rig, "AttemptDenied").is_empty()).await;
    rig.until("and what was open for a while", |rig| records(rig).iter().any(|record| record.resolution == "Transient")).await;
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_come_when_their_records_have_made_room_for_others_are_no_new_edits() {
    let (mut rig, group) = listening(Delivery { delay_ms: 900_000, ..Delivery::default() }).await;
    rig.timings.sweep = Duration::from_secs(20);
    rig.stop_engine().await;
    rig.start_engine();
    rig.pass(AT_REST).await;
    for port in 1000..1015 {
        rig.intrude(&group, &[&format!("ingress tcp {port} from 0.0.0.0/0")]).await;
        rig.until("it is closed", |rig| in_force(&rig.sim, group.as_str()).len() == 1).await;
        rig.pass(Duration::from_secs(5)).await;
    }
    rig.pass(Duration::from_secs(1800)).await;
    assert!(rig.queue.is_empty(), "{} messages are left", rig.queue.len());
    let records = records(&rig);
    assert_eq!(records.len(), 10);
    for record in &records {
        assert_eq!((record.resolution.as_str(), named(record).as_deref()), ("Reverted", Some("mallory")), "{record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_stays_wrong_keeps_no_message() {
    let (rig, group) = listening(Delivery::default()).await;
    rig.store.apply(&manifest("web", &["{name: https, protocol: tcp, ports: [99999], from: [{cidr: 10.0.0.0/8}]}"]));
    rig.until("it is stalled", |rig| rig.says("web", "Stalled", "True").is_some()).await;
    rig.intrude(&group, &[SSH]).await;
    rig.until("ssh is closed all the same", |rig| !is_open(rig)).await;
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
    assert_eq!(named(&records(&rig)[0]).as_deref(), Some("mallory"));
}

#[tokio::test(start_paused = true)]
async fn of_two_who_edit_at_once_each_edit_has_its_own_name() {
    let (rig, group) = listening(Delivery { delay_ms: 3000, jitter_ms: 3000, ..Delivery::default() }).await;
    let other = SimConnector::new(rig.sim.clone(), "AKIA111122223333JONAS").connect(&Route::own(region())).await.unwrap();
    let rule = |port: u16| NewRule { atom: format!("ingress tcp {port} from 0.0.0.0/0").parse().unwrap(), description: None };
    for port in [1001, 1003, 1005] {
        other.write.authorize(&group, Direction::Ingress, &[rule(port)]).await.unwrap();
        rig.intrude(&group, &[&format!("ingress tcp {} from 0.0.0.0/0", port + 1)]).await;
        rig.pass(Duration::from_secs(30)).await;
    }
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
    let mut checked = 0;
    for record in records(&rig) {
        let odd = |atom: &sgwarden::api::DriftAtom| {
            ["1001", "1003", "1005"].iter().any(|port| atom.after.as_ref().unwrap().contains(port))
        };
        let (of_jonas, of_mallory) = (record.atoms.iter().any(odd), !record.atoms.iter().all(odd));
        let expected = match (of_jonas, of_mallory) {
            (true, true) => "jonas and mallory",
            (true, false) => "jonas",
            _ => "mallory",
        };
        assert_eq!(named(&record).as_deref(), Some(expected), "{record:?}");
        checked += record.atoms.len();
    }
    assert_eq!(checked, 6);
}

fn metrics(rig: &Rig) -> String {
    let mut text = String::new();
    encode(&mut text, &rig.metrics.registry()).unwrap();
    text
}

fn condition(rig: &Rig) -> String {
    let conditions = rig.store.get("web").and_then(|object| object.status).unwrap_or_default().conditions;
    conditions.into_iter().find(|condition| condition.type_ == DRIFTED).map(|condition| condition.status).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn cloudtrail_itself_is_asked_where_no_event_comes_and_that_is_allowed() {
    for (delay, expected) in [(240_000, 300), (800_000, 900), (1_200_000, 0)] {
        let mut rig = Rig::idle().await;
        rig.sim.set_delivery(Delivery { loss: 1.0, lookup_delay_ms: delay, ..Delivery::default() });
        rig.store.apply_account(&account("attribution: {lookupEvents: true}"));
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
        rig.start_engine();
        rig.settled("web").await;
        rig.pass(AT_REST).await;
        rig.intrude(&rig.group("web"), &[SSH]).await;
        rig.until("it is told", |rig| records(rig).iter().any(|record| record.resolution == "Reverted")).await;
        let seen = rig.now();
        rig.until("CloudTrail was asked", |rig| records(rig)[0].actor.is_some()).await;
        let actor = records(&rig)[0].actor.clone().unwrap();
        if expected == 0 {
            assert_eq!(actor.reason.as_deref(), Some("unknown: no CloudTrail event of that time has arrived"));
        } else {
            assert_eq!(actor.name.as_deref(), Some("mallory"), "{actor:?}");
            let took = rig.now().duration_since(seen).as_secs();
            assert!((expected - 30..=expected + 5).contains(&took), "{took}");
        }
        rig.pass(Duration::from_secs(1800)).await;
        let asked = rig.calls().get("LookupEvents").copied().unwrap_or(0);
        assert!(asked <= 2, "asked {asked} times");
    }
}
