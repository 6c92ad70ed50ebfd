//! Messages to people: who is told of what, and each message word for word, in every format.
//!
//! `UPDATE=1 cargo test --test core notice` writes the expected texts of `notices/` anew; read the difference as a message.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use sgwarden::api::{
    Actor, DriftAtom, DriftRecord, ExposureChange, MAX_NOTICES, NoticeRecord, Notified, Notifier, SecurityGroupStatus,
};
use sgwarden::core::desired::parse_notifier;
use sgwarden::core::notice::{
    Audience, DIGEST, Heard, Listener, Notice, Parcel, cloud_event, mark, owed, record, slack, sns, told,
};

use crate::worlds::few;

const NOW: &str = "2026-12-24T18:10:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn listener(name: &str, spec: &str) -> Listener {
    let yaml = format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: Notifier\nmetadata: {{name: {name}}}\nspec: {{type: Webhook, webhook: {{url: \"https://x/\"}}{spec}}}"
    );
    let notifier: Notifier = serde_yaml::from_str(&yaml).unwrap();
    Listener { recipient: parse_notifier(&notifier).unwrap(), since: Some(time("2026-12-01T00:00:00Z")) }
}

fn audience(listeners: &[Listener]) -> Audience<'_> {
    Audience { listeners, complete: true, namespace: "shop", labels: None }
}

fn edit(id: &str, resolution: &str, resolved: Option<&str>) -> DriftRecord {
    DriftRecord {
        id: id.to_owned(),
        atoms: vec![DriftAtom {
            kind: "Added".to_owned(),
            after: Some("ingress tcp 22 from 0.0.0.0/0".to_owned()),
            rule_id: Some("sgr-0a1b2c3d4e5f60718".to_owned()),
            ..DriftAtom::default()
        }],
        count: 1,
        detected_at: Some("2026-12-24T18:00:41.25Z".to_owned()),
        exposure: Some(ExposureChange { opened: Some("tcp/22 to 4,294,967,296 addresses".to_owned()), closed: None }),
        resolution: resolution.to_owned(),
        resolved_at: resolved.map(str::to_owned),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        ..DriftRecord::default()
    }
}

fn jane() -> Actor {
    Actor {
        name: Some("jane@example.com".to_owned()),
        type_: Some("SSO role Admins".to_owned()),
        source_ip: Some("203.0.113.7".to_owned()),
        user_agent: Some("console.amazonaws.com".to_owned()),
        event_name: Some("AuthorizeSecurityGroupIngress".to_owned()),
        event_time: Some("2026-12-24T18:00:00Z".to_owned()),
        ..Actor::default()
    }
}

fn status(drift: Vec<DriftRecord>) -> SecurityGroupStatus {
    SecurityGroupStatus {
        account: Some("prod".to_owned()),
        region: Some("eu-west-1".to_owned()),
        group_id: Some("sg-0a1b2c3d4e5f67890".to_owned()),
        drift,
        ..SecurityGroupStatus::default()
    }
}

/// What a recipient that wants everything is owed.
fn all(status: &SecurityGroupStatus) -> Vec<Notice> {
    owed(status, "web", &audience(&[listener("ops", "")]), "ops", time(NOW))
}

/// The one door to the expected texts: a parcel in every format.
fn check(name: &str, parcel: Parcel<'_>) {
    let pretty = |value: Value| serde_json::to_string_pretty(&value).unwrap();
    let mail = sns(parcel);
    let read = format!(
        "=== Slack\n{}\n\n=== CloudEvents\n{}\n\n=== SNS\n{}\n\n{}\n",
        pretty(slack(parcel)),
        pretty(cloud_event(parcel, "cluster one")),
        mail.subject,
        mail.message
    );
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/notices").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&beside, &read).unwrap();
    }
    let expected = std::fs::read_to_string(&beside).unwrap_or_default();
    assert!(read == expected, "{} differs: UPDATE=1 writes it anew\n{read}", beside.display());
}

#[test]
fn an_edit_that_was_put_right() {
    let mut record = edit("d-7f3a0001", "Reverted", Some("2026-12-24T18:00:43Z"));
    record.actor = Some(jane());
    check("reverted", Parcel::One(&all(&status(vec![record]))[0]));
}

#[test]
fn an_edit_that_is_not_put_right() {
    check("pending", Parcel::One(&all(&status(vec![edit("d-7f3a0002", "Pending", None)]))[0]));
}

#[test]
fn an_edit_whose_actor_comes_late() {
    let mut record = edit("d-7f3a0003", "Reverted", Some("2026-12-24T18:00:43Z"));
    record.actor = Some(jane());
    record.notified = vec![Notified { notifier: "ops".to_owned(), at: None, with_actor: false, with_end: true }];
    check("actor", Parcel::One(&all(&status(vec![record]))[0]));
}

#[test]
fn an_edit_by_somebody_who_writes_markup() {
    let mut record = edit("d-7f3a0004", "Reported", None);
    record.actor = Some(Actor { name: Some("<!channel> *eve*\n@here & `co`\u{202e}".to_owned()), ..jane() });
    record.atoms[0].after = Some("ingress tcp 22 from 0.0.0.0/0 \"<https://evil.example|click>\"".to_owned());
    check("markup", Parcel::One(&all(&status(vec![record]))[0]));
}

#[test]
fn a_suspend_that_ends_soon() {
    let mut status = status(Vec::new());
    status.notices = vec![NoticeRecord {
        id: "n-00000001".to_owned(),
        kind: "Suspend".to_owned(),
        severity: "Medium".to_owned(),
        reason: "SuspendEndsSoon".to_owned(),
        at: Some("2026-12-24T17:45:00Z".to_owned()),
        message:
            "The suspend ends soon: nothing is reverted since 2026-12-24T17:00:00Z until 2026-12-24T18:00:00Z: incident 4711; \
                  then this is reverted: added ingress tcp 22 from 0.0.0.0/0"
                .to_owned(),
        notified: Vec::new(),
    }];
    check("suspend", Parcel::One(&all(&status)[0]));
}

#[test]
fn several_that_were_held_back() {
    let records = (1..=3).map(|n| edit(&format!("d-0000000{n}"), "Reverted", Some("2026-12-24T18:00:43Z"))).collect();
    let mut notices = all(&status(records));
    notices.extend(all(&status(vec![DriftRecord {
        atoms: Vec::new(),
        exposure: None,
        ..edit("d-00000004", "Unknown", Some(NOW))
    }])));
    check("digest", Parcel::Digest(&notices));
}

#[test]
fn an_edit_is_given_half_a_minute_to_be_put_right() {
    let listeners = [listener("ops", "")];
    let pending = status(vec![edit("d-1", "Pending", None)]);
    let at = |now: &str| owed(&pending, "web", &audience(&listeners), "ops", time(now)).len();
    assert_eq!((at("2026-12-24T18:01:11Z"), at("2026-12-24T18:01:12Z")), (0, 1));
}

#[test]
fn each_is_told_three_times_at_most_and_under_one_key() {
    let listeners = [listener("ops", "")];
    let mut status = status(vec![edit("d-1", "Reported", None)]);
    let mut messages = Vec::new();
    for step in 0..6 {
        match step {
            2 => status.drift[0].actor = Some(jane()),
            4 => status.drift[0].resolved_at = Some("2026-12-24T19:00:00Z".to_owned()),
            _ => {}
        }
        for notice in owed(&status, "web", &audience(&listeners), "ops", time(NOW)) {
            status = mark(&status, &[(notice.record.clone(), notice.heard)], "ops", time(NOW), &audience(&listeners));
            messages.push((notice.key.clone(), notice.message_id(), notice.update));
        }
    }
    let keys: BTreeSet<&str> = messages.iter().map(|(key, _, _)| key.as_str()).collect();
    let ids: BTreeSet<&str> = messages.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!((keys.len(), ids.len(), messages.len()), (1, 3, 3), "{messages:?}");
    assert_eq!(messages.iter().map(|(_, _, update)| *update).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn what_happened_before_a_notifier_was_there_is_none_of_its_business() {
    let mut late = listener("late", "");
    late.since = Some(time("2026-12-24T18:00:42Z"));
    let listeners = [late, listener("ops", "")];
    let status = status(vec![edit("d-1", "Reverted", Some(NOW))]);
    let count = |name: &str| owed(&status, "web", &audience(&listeners), name, time(NOW)).len();
    assert_eq!((count("late"), count("ops")), (0, 1));
}

#[test]
fn a_record_may_go_when_it_is_over_and_everybody_heard_so() {
    let listeners =
        [listener("a", ", filter: {severity: Critical}"), listener("b", ""), listener("c", ", filter: {kinds: [Expiry]}")];
    let everybody = audience(&listeners);
    let over = edit("d-1", "Reverted", Some(NOW));
    let open = edit("d-2", "Reported", None);
    let mut status = status(vec![open, over]);
    let heard = Heard { actor: false, end: true };
    let both = [("d-1".to_owned(), heard), ("d-2".to_owned(), heard)];
    assert!(told(&status, &everybody).is_empty());
    status = mark(&status, &both, "a", time(NOW), &everybody);
    assert!(told(&status, &everybody).is_empty(), "b waits");
    status = mark(&status, &both, "b", time(NOW), &everybody);
    assert_eq!(told(&status, &everybody), BTreeSet::from(["d-1".to_owned()]), "the other is open");
    let unknown = Audience { complete: false, ..everybody };
    assert!(told(&status, &unknown).is_empty(), "somebody may wait");
    assert_eq!(told(&status, &audience(&[])).len(), 2, "nobody is told of anything");
    assert_eq!(told(&status, &audience(&listeners[2..])).len(), 2, "nobody wants to hear of it");
}

#[test]
fn whoever_is_gone_is_forgotten_and_waited_for_no_more() {
    let listeners = [listener("a", ""), listener("b", "")];
    let heard = Heard { actor: true, end: true };
    let mut status = status(vec![edit("d-1", "Reverted", Some(NOW))]);
    status = mark(&status, &[("d-1".to_owned(), heard)], "a", time(NOW), &audience(&listeners));
    status = mark(&status, &[("d-1".to_owned(), heard)], "b", time(NOW), &audience(&listeners[1..]));
    assert_eq!(status.drift[0].notified.iter().map(|one| one.notifier.as_str()).collect::<Vec<_>>(), ["b"]);
}

fn suspended(until: &str) -> SecurityGroupStatus {
    let json = serde_json::json!({ "suspendedUntil": until, "conditions": [{
        "type": "Suspended", "status": "True", "reason": "Suspended", "message": format!("until {until}"), "lastTransitionTime": NOW,
    }]});
    serde_json::from_value(json).unwrap()
}

#[test]
fn what_becomes_true_is_noted_for_those_who_want_it() {
    let before = SecurityGroupStatus::default();
    let noted = |listeners: &[Listener], complete: bool| {
        let mut next = suspended("2026-12-24T19:00:00Z");
        record(&before, &mut next, "uid", time(NOW), &Audience { complete, ..audience(listeners) });
        next.notices.len()
    };
    assert_eq!(noted(&[listener("ops", "")], true), 1);
    assert_eq!(noted(&[listener("ops", ", filter: {namespaces: [bank]}")], true), 0);
    assert_eq!(noted(&[], true), 0);
    assert_eq!(noted(&[], false), 1, "who wants what is not known yet");
}

#[test]
fn notices_that_nobody_takes_become_one_and_are_not_lost() {
    let listeners = [listener("ops", "")];
    let mut status = SecurityGroupStatus::default();
    for hour in 10..24 {
        let mut next = suspended(&format!("2026-12-25T{hour}:00:00Z"));
        next.notices.clone_from(&status.notices);
        record(&status, &mut next, "uid", time(&format!("2026-12-24T{hour}:00:00Z")), &audience(&listeners));
        status = next;
    }
    assert_eq!(status.notices.len(), MAX_NOTICES);
    let text: String = status.notices.iter().map(|notice| notice.message.clone()).collect();
    assert!((10..24).all(|hour| text.contains(&format!("2026-12-25T{hour}"))), "{text}");
    let owed = all(&status);
    assert_eq!(owed.len(), MAX_NOTICES);
    assert!(owed.is_sorted_by_key(|notice| notice.at), "oldest first");
    let taken: Vec<(String, Heard)> = owed.iter().map(|notice| (notice.record.clone(), notice.heard)).collect();
    assert!(mark(&status, &taken, "ops", time(NOW), &audience(&listeners)).notices.is_empty(), "taken, they go");
}

/// Every text of a value, with the key it stands under.
fn texts(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                if let Value::String(text) = inner {
                    found.push((key.clone(), text.clone()));
                }
                texts(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn whatever_others_write_every_format_takes_it(name in ".{0,400}", after in ".{0,400}", many in 1..=DIGEST) {
        let mut record = edit("d-1", "Reported", None);
        record.actor = Some(Actor { name: Some(name.clone()), user_agent: Some(name), ..jane() });
        record.atoms = vec![DriftAtom { after: Some(after), ..record.atoms[0].clone() }; 20];
        let one = all(&status(vec![record])).remove(0);
        let several = vec![one.clone(); many];
        for parcel in [Parcel::One(&one), Parcel::Digest(&several)] {
            let body = slack(parcel);
            let mut found = Vec::new();
            texts(&body, &mut found);
            for (key, text) in found.iter().filter(|(key, _)| key == "text") {
                prop_assert!(!text.contains(['<', '>', '\n', '\r', '\u{202e}']), "{key}: {text}");
                prop_assert!((1..=3000).contains(&text.chars().count()), "{}", text.chars().count());
                prop_assert!(!text.contains("@channel") && !text.contains("@here"));
            }
            prop_assert!(body["blocks"].as_array().unwrap().len() <= 50);
            let message = sns(parcel);
            prop_assert!((1..100).contains(&message.subject.len()) && message.subject.is_ascii());
            prop_assert!(!message.subject.contains(char::is_control));
            prop_assert!(message.message.len() < 256 * 1024);
            let event = cloud_event(parcel, "c1");
            for field in ["specversion", "id", "source", "type", "time"] {
                prop_assert!(event[field].is_string(), "{field} of {event}");
            }
        }
    }
}
