//! Each message of `cloudtrail/` and what is read from it; every kind of caller.
//!
//! `UPDATE=1 cargo test --test core activity` writes the expected texts anew; read the difference as the change in behaviour it is.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};
use sgwarden::core::activity::{
    Actor, ActorKind, Change, Event, EventName, Failure, MAX_BODY, MAX_CHANGES, MAX_TEXT, SetAside, What, parse, read_identity,
};
use strum::IntoEnumIterator;

use super::{folder, group, message, messages};

fn show(change: &Change) -> String {
    let mut line = format!("  {}", change.what.label());
    for part in [change.group.as_ref().map(ToString::to_string), change.rule_id.as_ref().map(ToString::to_string)] {
        let _ = write!(line, " {}", part.as_deref().unwrap_or("-"));
    }
    if let Some(atom) = &change.atom {
        let _ = write!(line, " {atom}");
    }
    let _ = match &change.what {
        What::Modified(Some(becomes)) => write!(line, " becomes {} {}", becomes.traffic, becomes.peer),
        What::Tagged(Some(tag)) | What::Untagged(Some(tag)) => write!(line, " {:?}={:?}", tag.key, tag.value),
        What::VpcAssociated(Some(vpc)) | What::VpcDisassociated(Some(vpc)) => write!(line, " {vpc}"),
        What::PrefixListChanged { list: Some(list), version } => write!(line, " {list} version {version:?}"),
        What::PrefixListDeleted(Some(list)) => write!(line, " {list}"),
        What::Modified(None)
        | What::Tagged(None)
        | What::Untagged(None)
        | What::VpcAssociated(None)
        | What::VpcDisassociated(None)
        | What::PrefixListChanged { list: None, version: _ }
        | What::PrefixListDeleted(None) => write!(line, " untold"),
        What::Added | What::Removed | What::Described | What::GroupCreated | What::GroupDeleted => Ok(()),
    };
    if let Some(description) = &change.description {
        let _ = write!(line, " {description:?}");
    }
    line
}

fn show_actor(actor: &Actor) -> String {
    let mut line = format!("{} [{}]", actor.name, actor.kind);
    for (name, value) in [
        ("role", &actor.role),
        ("session", &actor.session),
        ("source identity", &actor.source_identity),
        ("invoked by", &actor.invoked_by),
        ("delegate", &actor.delegate),
        ("account", &actor.account),
    ] {
        if let Some(value) = value {
            let _ = write!(line, ", {name} {value}");
        }
    }
    line
}

fn read(body: &str) -> String {
    let event = match parse(body) {
        Ok(event) => event,
        Err(reason) => return format!("set aside, {}: {reason}\n", reason.label()),
    };
    let Event { time, name, account, region, failure, actor, groups, rules, lists, group_name, .. } = &event;
    let outcome = match failure {
        None => "done".to_owned(),
        Some(Failure::DryRun) => "dry run".to_owned(),
        Some(Failure::Denied(code)) => format!("denied ({code})"),
        Some(Failure::Refused(code)) => format!("refused ({code})"),
    };
    let mut text = format!("{name}: {outcome}, {time} in {account} {region}\n  by {}\n", show_actor(actor));
    let _ = writeln!(text, "  {} groups, {} rules, {} lists", groups.len(), rules.len(), lists.len());
    for (said, words) in [(event.account_wide, "any group of the account"), (event.incomplete, "not all is told")] {
        if said {
            let _ = writeln!(text, "  {words}");
        }
    }
    if let Some(name) = group_name {
        let _ = writeln!(text, "  group name {name}");
    }
    for change in &event.changes {
        let _ = writeln!(text, "{}", show(change));
    }
    text
}

fn compare(file: &str, found: &str) {
    let path = folder().join(file);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is not what is read: UPDATE=1 writes it anew\n{found}", path.display());
}

#[test]
fn each_message_reads_as_written_down() {
    let texts: Vec<String> = messages().iter().map(|(name, body)| format!("=== {name}\n{}", read(body))).collect();
    compare("events.txt", &texts.join("\n"));
}

#[test]
fn each_kind_of_caller_has_a_name_for_people() {
    let all: Value = serde_json::from_str(&message("identities.json")).unwrap();
    let mut text = String::new();
    let mut kinds = BTreeSet::new();
    for (title, identity) in all.as_object().unwrap() {
        let actor = read_identity(&json!({"userIdentity": identity, "sourceIPAddress": "198.51.100.23"}));
        kinds.insert(actor.kind);
        let _ = writeln!(text, "{title}: {}", show_actor(&actor));
    }
    assert_eq!(kinds, ActorKind::iter().collect());
    compare("identities.txt", &text);
}

#[test]
fn every_call_is_among_the_messages() {
    let seen: BTreeSet<EventName> = messages().iter().filter_map(|(_, body)| parse(body).ok()).map(|event| event.name).collect();
    let rare = [EventName::DeleteManagedPrefixList, EventName::ModifyInstanceAttribute];
    let missing: Vec<EventName> = EventName::iter().filter(|name| !seen.contains(name) && !rare.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_request_tells_the_atoms_that_the_reply_tells() {
    let atoms = |name: &str| -> Vec<_> { parse(&message(name)).unwrap().changes.into_iter().map(|change| change.atom).collect() };
    let answered = atoms("11-authorize-many-peers.json");
    let (mut answered, mut asked) = (answered, atoms("12-authorize-many-peers-without-rows.json"));
    answered.sort();
    asked.sort();
    assert!(answered.iter().all(Option::is_some));
    assert_eq!(answered, asked);
}

#[test]
fn the_envelope_adds_nothing_to_the_record() {
    for (name, body) in messages() {
        let mut message: Value = serde_json::from_str(&body).unwrap();
        let detail = message.get_mut("detail").map(Value::take);
        let bare = detail.unwrap_or(message).to_string();
        assert_eq!(parse(&bare), parse(&body), "{name}");
    }
}

#[test]
fn what_is_no_event_has_its_reason() {
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let valid: Value = serde_json::from_str(&message("10-authorize-console.json")).unwrap();
    let without = |path: &[&str]| {
        let mut value = valid.clone();
        for name in path {
            let detail = value["detail"].as_object_mut().unwrap();
            detail.remove(*name);
            value.as_object_mut().unwrap().remove(*name);
        }
        value.to_string()
    };
    let cases = [
        (" ".repeat(MAX_BODY + 1), SetAside::TooLarge),
        (deep, SetAside::TooDeep),
        (String::new(), SetAside::NotJson),
        ("{\"detail\":".to_owned(), SetAside::NotJson),
        ("[1]".to_owned(), SetAside::NotAnObject),
        ("{\"Records\": []}".to_owned(), SetAside::NotCloudTrail),
        ("{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}".to_owned(), SetAside::NotCloudTrail),
        (message("90-other-service.json"), SetAside::NotEc2),
        (message("91-other-call.json"), SetAside::NotSecurityGroups),
        (message("53-create-tags-of-an-instance.json"), SetAside::NotSecurityGroups),
        (without(&["eventID"]), SetAside::NoEventId),
        (without(&["eventTime", "time"]), SetAside::NoTime),
        (without(&["awsRegion", "region"]), SetAside::NoPlace),
        (without(&["recipientAccountId", "account", "userIdentity"]), SetAside::NoPlace),
    ];
    for (body, expected) in &cases {
        assert_eq!(parse(body), Err(*expected), "{}", body.chars().take(200).collect::<String>());
    }
    let tried: BTreeSet<SetAside> = cases.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(tried, SetAside::iter().collect(), "every reason is tried");
    assert!(parse(&without(&["eventTime"])).is_ok(), "the envelope has a time too");
    let labels: BTreeSet<&str> = SetAside::iter().map(SetAside::label).collect();
    assert_eq!(labels.len(), SetAside::iter().count());
}

#[test]
fn an_event_of_a_megabyte_is_read_within_its_bounds() {
    let rows: Vec<Value> = (0..9000).map(|n| json!({"cidrIp": format!("10.{}.{}.0/24", n / 256, n % 256)})).collect();
    let two = |extra: usize| {
        let ranges: Vec<Value> = rows.iter().cycle().take(9000 + extra).cloned().collect();
        let mut value: Value = serde_json::from_str(&message("12-authorize-many-peers-without-rows.json")).unwrap();
        value["detail"]["requestParameters"]["ipPermissions"] =
            json!({"items": [{"ipProtocol": "tcp", "fromPort": 1, "toPort": 2, "ipRanges": {"items": ranges}}]});
        parse(&value.to_string()).unwrap()
    };
    let whole = two(0);
    assert_eq!((whole.changes.len(), whole.incomplete), (9000, false));
    let cut = two(6000);
    assert_eq!((cut.changes.len(), cut.incomplete), (MAX_CHANGES, true));
    let last = cut.changes.last().unwrap();
    assert_eq!((&last.what, &last.atom, &last.group), (&What::Added, &None, &Some(group())), "the last stands for the rest");
}

#[test]
fn texts_of_strangers_are_short_and_plain() {
    let mut value: Value = serde_json::from_str(&message("10-authorize-console.json")).unwrap();
    value["detail"]["userAgent"] = json!(format!("\u{1b}]0;x\u{7}\n{}", "y".repeat(100_000)));
    value["detail"]["userIdentity"]["arn"] = json!("arn:aws:sts::210987654321:assumed-role/r/\u{202e}olleh");
    let actor = parse(&value.to_string()).unwrap().actor;
    let agent = actor.user_agent.unwrap();
    assert!(agent.chars().count() == MAX_TEXT && !agent.chars().any(char::is_control));
    assert_eq!(actor.name, "\u{fffd}olleh (role r)");
}

#[test]
fn a_failed_call_wrote_nothing_whatever_says_so() {
    let base: Value = serde_json::from_str(&message("10-authorize-console.json")).unwrap();
    assert!(parse(&base.to_string()).unwrap().wrote());
    for (member, value) in [
        ("errorCode", json!("Client.UnauthorizedOperation")),
        ("errorCode", json!(7)),
        ("errorCode", json!({})),
        ("errorMessage", json!("no")),
        ("responseElements", json!({"_return": false})),
        ("responseElements", json!({"_return": "false"})),
    ] {
        let mut failed = base.clone();
        failed["detail"][member] = value.clone();
        let event = parse(&failed.to_string()).unwrap();
        assert!(event.failure.is_some() && !event.wrote(), "{member} {value}");
    }
    for (member, value) in [("errorCode", json!("")), ("errorCode", json!(null)), ("responseElements", json!(null))] {
        let mut done = base.clone();
        done["detail"][member] = value;
        assert!(parse(&done.to_string()).unwrap().wrote());
    }
}
