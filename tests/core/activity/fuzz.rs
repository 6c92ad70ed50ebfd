//! The messages of `cloudtrail/`, spoilt in every way: what is read ends in an event within its bounds or in a reason.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use sgwarden::core::activity::{
    Activities, Bounds, Drift, Drifted, Event, EventName, MAX_CHANGES, MAX_GROUPS, MAX_TEXT, SetAside, What, Window, attribute,
    denied, parse, transient,
};

use super::{at, atom, group, messages, own};

/// One way of spoiling a tree, at a place.
#[derive(Clone, Debug)]
enum Spoil {
    Delete,
    Put(Value),
    Wrap(bool),
    Nest(u8),
    Repeat(u16),
    /// Another place's content, of this message or another.
    Splice(Index, Index),
    Rename(String),
}

/// One way of spoiling the text.
#[derive(Clone, Debug)]
enum Break {
    Truncate(Index),
    Cut(Index, Index),
    Twice(Index, Index),
    Byte(Index, u8),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(-1)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"items": null})),
        Just(json!({"items": 7})),
        ".{0,40}".prop_map(Value::from),
        "(sg|sgr|pl|vpc)-[0-9a-f]{8}([0-9a-f]{9})?".prop_map(Value::from),
        "[0-9.:a-f]{1,20}/[0-9]{1,3}".prop_map(Value::from),
        (1..3000_usize).prop_map(|many| Value::from("é\u{1b}\u{202e}".repeat(many))),
    ]
}

fn spoil() -> impl Strategy<Value = (Index, Spoil)> {
    let how = prop_oneof![
        4 => Just(Spoil::Delete),
        6 => value().prop_map(Spoil::Put),
        2 => any::<bool>().prop_map(Spoil::Wrap),
        1 => any::<u8>().prop_map(Spoil::Nest),
        1 => (0..2000_u16).prop_map(Spoil::Repeat),
        3 => any::<(Index, Index)>().prop_map(|(message, place)| Spoil::Splice(message, place)),
        1 => "[a-zA-Z]{1,12}".prop_map(Spoil::Rename),
    ];
    (any::<Index>(), how)
}

fn breaking() -> impl Strategy<Value = Break> {
    prop_oneof![
        any::<Index>().prop_map(Break::Truncate),
        any::<(Index, Index)>().prop_map(|(from, to)| Break::Cut(from, to)),
        any::<(Index, Index)>().prop_map(|(from, to)| Break::Twice(from, to)),
        any::<(Index, u8)>().prop_map(|(at, byte)| Break::Byte(at, byte)),
    ]
}

/// Every place in a tree, as JSON pointers.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Array(elements) => {
            for (n, element) in elements.iter().enumerate() {
                places(element, &format!("{here}/{n}"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn place(value: &Value, index: Index) -> String {
    let mut all = Vec::new();
    places(value, "", &mut all);
    all.swap_remove(index.index(all.len()))
}

fn apply(tree: &mut Value, at: Index, how: &Spoil, all: &[Value]) {
    let here = place(tree, at);
    let Some(node) = tree.pointer_mut(&here) else { return };
    match how {
        Spoil::Put(value) => *node = value.clone(),
        Spoil::Wrap(true) => *node = json!([node.take()]),
        Spoil::Wrap(false) => *node = json!({"items": node.take()}),
        Spoil::Nest(depth) => {
            for _ in 0..*depth {
                *node = json!([node.take()]);
            }
        }
        Spoil::Repeat(many) => {
            // A part of a message only: what is over a megabyte is refused unread.
            let many = usize::from(*many).min(400_000 / node.to_string().len().max(1));
            *node = Value::Array(vec![node.take(); many]);
        }
        Spoil::Splice(message, from) => {
            let message = &all[message.index(all.len())];
            *node = message.pointer(&place(message, *from)).cloned().unwrap_or_default();
        }
        Spoil::Delete | Spoil::Rename(_) => {
            let Some((parent, name)) = here.rsplit_once('/') else { return };
            match tree.pointer_mut(parent) {
                Some(Value::Object(members)) => {
                    let gone = members.remove(name);
                    if let (Spoil::Rename(to), Some(gone)) = (how, gone) {
                        members.insert(to.clone(), gone);
                    }
                }
                Some(Value::Array(elements)) => drop(name.parse().ok().map(|n: usize| elements.remove(n))),
                _ => {}
            }
        }
    }
}

fn broken(text: &str, how: &Break) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let span = |a: &Index, b: &Index| {
        let (a, b) = (a.index(bytes.len() + 1), b.index(bytes.len() + 1));
        a.min(b)..a.max(b)
    };
    match how {
        Break::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Break::Cut(from, to) => drop(bytes.drain(span(from, to))),
        Break::Twice(from, to) => {
            let span = span(from, to);
            let part = bytes[span.clone()].to_vec();
            bytes.splice(span.end..span.end, part);
        }
        Break::Byte(at, byte) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Break::Byte(_, _) => {}
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What holds of every event, whatever it was read from.
fn is_sound(event: &Event) {
    let text = |text: &str| assert!(text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control), "{text:?}");
    let actor = &event.actor;
    assert!(!actor.name.is_empty());
    text(&actor.name);
    let texts = [&actor.type_, &actor.arn, &actor.account, &actor.principal_id, &actor.role, &actor.role_arn, &actor.session];
    texts.into_iter().flatten().for_each(|it| text(it));
    let texts =
        [&actor.source_identity, &actor.invoked_by, &actor.delegate, &actor.source_ip, &actor.user_agent, &event.group_name];
    texts.into_iter().flatten().for_each(|it| text(it));
    assert!(!event.id.is_empty() && event.id.len() <= 128);
    assert!(event.changes.len() <= MAX_CHANGES && event.groups.len() <= MAX_GROUPS && event.rules.len() <= MAX_CHANGES);
    assert!(event.groups.is_sorted() && event.rules.is_sorted() && event.lists.is_sorted());
    assert!(!event.account_wide || event.groups.is_empty());
    assert!(event.failure.is_none() || !event.wrote());
    for change in &event.changes {
        let known = |group| event.groups.contains(group) || event.groups.len() == MAX_GROUPS;
        assert!(change.group.as_ref().is_none_or(known));
        if let Some(atom) = &change.atom {
            assert_eq!(Some(atom.direction), event.name.direction());
            assert_eq!(atom.to_string().parse().as_ref(), Ok(atom), "canonical");
        }
        if let What::Tagged(Some(tag)) | What::Untagged(Some(tag)) = &change.what {
            text(&tag.key);
        }
    }
    assert!(event.weight() > 0);
}

/// And nothing that is done with it stumbles.
fn is_of_use(event: &Event) {
    let mut log = Activities::new(Bounds::default(), at(0));
    log.insert(event.clone(), event.time);
    let group = event.groups.first().cloned().unwrap_or_else(group);
    let evidence = log.of_group(&group);
    let rule = "ingress tcp 3389 from 0.0.0.0/0";
    let window = Window { without: Some(event.time), with: event.time };
    let drifts = [Drift::Added(atom(rule)), Drift::Removed(atom(rule)), Drift::Modified(atom(rule)), Drift::GroupDeleted];
    let drifted = drifts.map(|drift| Drifted { drift, rule_id: event.rules.first().cloned(), window });
    assert_eq!(attribute(&group, &drifted, &evidence, &own()).len(), drifted.len());
    transient(&group, window, &[].into(), &evidence.events, &own());
    denied(&group, &evidence.events, &own());
}

fn judge(body: &str) -> Result<Event, SetAside> {
    let read = parse(body);
    if let Ok(event) = &read {
        is_sound(event);
        is_of_use(event);
    }
    read
}

fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(2000), failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_spoilt_message_is_an_event_or_set_aside(
        message in any::<Index>(),
        spoils in prop::collection::vec(spoil(), 0..6),
        breaks in prop::collection::vec(breaking(), 0..2),
    ) {
        let all: Vec<Value> = FIXTURES.with(Clone::clone);
        let mut tree = all[message.index(all.len())].clone();
        for (at, how) in &spoils {
            apply(&mut tree, *at, how, &all);
        }
        let text = breaks.iter().fold(tree.to_string(), |text, how| broken(&text, how));
        let _ = judge(&text);
    }

    #[test]
    fn any_text_at_all_is_set_aside_or_read(text in ".{0,200}|[\\[\\]{}\":,0-9a-z]{0,200}") {
        let _ = judge(&text);
    }
}

thread_local! {
    static FIXTURES: Vec<Value> = messages().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
}

/// What a group's changes hang on, taken away one by one: the message stays a hint.
#[test]
fn a_message_without_one_of_its_members_is_still_a_hint() {
    for (name, body) in messages() {
        let Ok(whole) = judge(&body) else { continue };
        let tree: Value = serde_json::from_str(&body).unwrap();
        let mut all = Vec::new();
        places(&tree, "", &mut all);
        for place in all.iter().filter(|place| place.contains("/requestParameters") || place.contains("/responseElements")) {
            for value in [Value::Null, json!(7), json!("x"), json!([]), json!({})] {
                let mut spoilt = tree.clone();
                *spoilt.pointer_mut(place).unwrap() = value;
                let read = judge(&spoilt.to_string());
                // What is only known to be about a group by a member that is gone: that of tags and interfaces.
                let optional = [EventName::CreateTags, EventName::DeleteTags, EventName::ModifyNetworkInterfaceAttribute];
                match read {
                    Err(SetAside::NotSecurityGroups) if optional.contains(&whole.name) => {}
                    Err(reason) => panic!("{name} {place}: {reason}"),
                    Ok(read) if whole.wrote() && read.failure.is_none() && !optional.contains(&whole.name) => {
                        assert!(read.wrote(), "{name} {place}: {read:#?}");
                        assert!(
                            read.account_wide || !read.groups.is_empty() || !read.lists.is_empty(),
                            "{name} {place}: {read:#?}"
                        );
                    }
                    Ok(_) => {}
                }
            }
        }
    }
}
