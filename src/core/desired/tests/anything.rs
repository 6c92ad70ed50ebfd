//! Whatever stands in an object, it is understood or refused with the fields named; nothing panics.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::api::{AwsAccount, CidrSet};

/// A text that is right in some other field, or nowhere.
fn text() -> impl Strategy<Value = Value> {
    const TEXTS: [&str; 12] = [
        "",
        " ",
        "TCP",
        "99999",
        "10.1.2.3/8",
        "sg-",
        "Web",
        "-1",
        "9999-12-31T23:59:59Z",
        "1h 30m",
        "2026-12-24T18:00:00Z",
        "all",
    ];
    prop_oneof![3 => select(TEXTS.as_slice()).prop_map(Value::from), 1 => ".{0,20}".prop_map(Value::from)]
}

/// Mostly one of these.
fn of(right: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop_oneof![60 => select(right).prop_map(Value::from), 1 => text()].boxed()
}

/// An object with some of these fields.
fn some(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| option::of(value).prop_map(move |value| (name, value))).collect();
    fields.prop_map(|fields| fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()).boxed()
}

/// These fields, all of them, and some of the others.
fn with(
    needed: Vec<(&'static str, BoxedStrategy<Value>)>,
    others: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Value> {
    let needed: Vec<_> = needed.into_iter().map(|(name, value)| value.prop_map(move |value| (name.to_owned(), value))).collect();
    (needed, some(others))
        .prop_map(|(needed, mut others)| {
            others.as_object_mut().unwrap().extend(needed);
            others
        })
        .boxed()
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(item, 0..3).prop_map(Value::from).boxed()
}

/// Mostly a number within bounds.
fn number(most: i32) -> BoxedStrategy<Value> {
    prop_oneof![60 => (1..=most).prop_map(Value::from), 1 => any::<i32>().prop_map(Value::from)].boxed()
}

fn flag() -> BoxedStrategy<Value> {
    prop_oneof![20 => Just(Value::from(true)), 1 => Just(Value::from(false))].boxed()
}

const NAMES: &[&str] = &["web", "db", "shop", "a-1"];
const TIMES: &[&str] = &["2026-10-01T00:00:00Z", "2026-12-24T18:00:00Z", "2026-11-01T01:00:00.5+01:00"];
const RANGES: &[&str] = &["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "192.0.2.1/32"];
const WORDS: &[&str] = &["Allow the office", "why not", "x"];

fn tags() -> BoxedStrategy<Value> {
    let key = prop_oneof![20 => select(NAMES).prop_map(str::to_owned), 1 => ".{0,9}"];
    vec((key, of(WORDS)), 0..3).prop_map(|pairs| pairs.into_iter().collect::<serde_json::Map<_, _>>().into()).boxed()
}

fn selector() -> BoxedStrategy<Value> {
    let expression = prop_oneof![
        with(
            vec![
                ("key", of(NAMES)),
                ("operator", of(&["In", "NotIn"])),
                ("values", vec(of(NAMES), 1..3).prop_map(Value::from).boxed())
            ],
            vec![]
        ),
        with(vec![("key", of(NAMES)), ("operator", of(&["Exists", "DoesNotExist"]))], vec![]),
    ];
    some(vec![("matchLabels", tags()), ("matchExpressions", list(expression.boxed()))])
}

fn allowed() -> impl Strategy<Value = Value> {
    prop_oneof![
        of(&["All"]).prop_map(|from| json!({ "from": from })),
        (of(&["Selector"]), selector()).prop_map(|(from, selector)| json!({ "from": from, "selector": selector })),
    ]
}

fn reference() -> BoxedStrategy<Value> {
    with(vec![("name", of(NAMES))], vec![("namespace", of(NAMES))])
}

fn peer() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => of(RANGES).prop_map(|cidr| json!({ "cidr": cidr })),
        2 => reference().prop_map(|set| json!({ "cidrSet": set })),
        2 => reference().prop_map(|group| json!({ "securityGroup": group })),
        1 => of(&["sg-0a1b2c3d"]).prop_map(|id| json!({ "securityGroupId": id })),
        1 => of(&["pl-0a1b2c3d"]).prop_map(|id| json!({ "prefixListId": id })),
        1 => of(&["corp", "com.amazonaws.eu-west-1.s3"]).prop_map(|name| json!({ "prefixListName": name })),
        1 => flag().prop_map(|this| json!({ "self": this })),
    ]
}

fn rules(peers: &'static str) -> BoxedStrategy<Value> {
    let port = prop_oneof![20 => of(&["443", "8000-8100"]), 20 => any::<u16>().prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from)];
    let ports = vec(port, 1..3).prop_map(Value::from).boxed();
    let icmp = prop_oneof![20 => Just(json!({ "type": 8 })), 1 => any::<(i32, i32)>().prop_map(|(kind, code)| json!({ "type": kind, "code": code }))];
    let traffic = prop_oneof![
        with(vec![("protocol", of(&["tcp", "udp"])), ("ports", ports)], vec![]),
        with(vec![("protocol", of(&["all", "50"]))], vec![]),
        with(vec![("protocol", of(&["icmp", "icmpv6"]))], vec![("icmp", icmp.boxed())]),
    ];
    let described = (peer(), option::of(of(WORDS))).prop_map(|(mut peer, text)| {
        peer["description"] = text.unwrap_or_default();
        peer
    });
    let others = some(vec![("description", of(WORDS)), ("justification", of(WORDS)), ("expiresAt", of(TIMES))]);
    let rule = (traffic, vec(described, 1..3), others).prop_map(move |(mut rule, list, others)| {
        let rule_fields = rule.as_object_mut().unwrap();
        rule_fields.insert(peers.to_owned(), list.into());
        rule_fields.extend(others.as_object().unwrap().clone());
        rule
    });
    let named = |rules: Vec<Value>| {
        let name = |(n, mut rule): (usize, Value)| {
            // Seldom a name that is there already, or is none.
            rule["name"] = if n == 7 { "Rule 7".into() } else { format!("rule-{}", n % 6).into() };
            rule
        };
        rules.into_iter().enumerate().map(name).collect::<Value>()
    };
    vec(rule, 0..8).prop_map(named).boxed()
}

fn group_spec() -> BoxedStrategy<Value> {
    let toleration = prop_oneof![
        with(
            vec![("direction", of(&["Ingress", "Egress"])), ("cidr", of(RANGES))],
            vec![("protocol", of(&["tcp", "all", "icmp"])), ("descriptionPrefix", of(WORDS))]
        ),
        with(
            vec![
                ("direction", of(&["Ingress"])),
                ("protocol", of(&["tcp", "udp"])),
                ("ports", vec(of(&["443", "1-2"]), 1..3).prop_map(Value::from).boxed())
            ],
            vec![]
        ),
    ];
    let enforcement = some(vec![
        ("mode", of(&["Enforce", "Observe"])),
        ("undeclaredRules", of(&["Revoke", "Report", "Keep"])),
        ("tolerate", list(toleration.boxed())),
        ("suspend", with(vec![("until", of(TIMES))], vec![("reason", of(WORDS))])),
        ("approval", of(&["Automatic", "Required"])),
    ]);
    let vpc = prop_oneof![
        of(&["vpc-0a1b2c3d"]).prop_map(|id| json!({ "id": id })),
        of(NAMES).prop_map(|name| json!({ "name": name })),
        tags().prop_map(|tags| json!({ "tags": tags })),
    ];
    let adopt =
        prop_oneof![of(&["sg-0a1b2c3d"]).prop_map(|id| json!({ "groupId": id })), flag().prop_map(|by| json!({ "byName": by }))];
    let egress = prop_oneof![
        of(&["AllowAll", "DenyAll"]).prop_map(|policy| json!({ "egressPolicy": policy })),
        rules("to").prop_map(|rules| json!({ "egress": rules })),
    ];
    let spec = with(
        vec![("vpc", vpc.boxed()), ("ingress", rules("from"))],
        vec![
            ("account", of(NAMES)),
            ("region", of(&["eu-west-1"])),
            ("groupName", of(WORDS)),
            ("description", of(WORDS)),
            ("tags", tags()),
            ("enforcement", enforcement),
            ("adopt", adopt.boxed()),
            ("allowedNamespaces", allowed().boxed()),
            ("deletionPolicy", of(&["Delete", "Retain"])),
        ],
    );
    (spec, egress)
        .prop_map(|(mut spec, egress)| {
            spec.as_object_mut().unwrap().extend(egress.as_object().unwrap().clone());
            spec
        })
        .boxed()
}

fn account_spec() -> BoxedStrategy<Value> {
    let modes = || list(of(&["Enforce", "Observe"]));
    let share = prop_oneof![20 => (0.01..1.0).prop_map(Value::from), 1 => any::<f64>().prop_map(Value::from)].boxed();
    let limits = some(vec![
        ("apiShare", share),
        ("rulesPerGroup", number(1000)),
        ("revocationsPerMinute", number(100)),
        ("maxSuspend", of(&["24h", "1h30m"])),
        ("massChange", some(vec![("percent", number(100)), ("rules", number(500))])),
        ("enforcement", some(vec![("modes", modes()), ("undeclaredRules", list(of(&["Revoke", "Report"])))])),
    ]);
    let role = of(&["arn:aws:iam::111122223333:role/sgwarden", "arn:aws:iam::444455556666:role/sgwarden"]);
    with(
        vec![
            ("accountId", of(&["111122223333"])),
            ("regions", list(of(&["eu-west-1", "us-east-1"]))),
            ("allowedNamespaces", allowed().boxed()),
        ],
        vec![
            ("roleArn", role),
            ("endpointUrl", of(&["http://127.0.0.1:4510"])),
            ("sweepInterval", of(&["60s", "5m"])),
            ("settle", of(&["5s", "500ms"])),
            ("limits", limits),
            ("defaults", some(vec![("tags", tags())])),
            ("adoption", of(&["Consent", "Allowed"])),
            ("mode", of(&["Observe"])),
        ],
    )
}

/// Where the fields are that problems may name.
fn named(problems: &[Problem]) -> bool {
    !problems.is_empty()
        && problems.is_sorted()
        && problems
            .iter()
            .all(|problem| ["spec", "metadata"].iter().any(|start| problem.path.starts_with(start)) && !problem.message.is_empty())
}

proptest! {
    #[test]
    fn a_group_is_understood_or_its_fields_are_named(spec in group_spec(), note in of(&["2026-12-24T18:00:00Z incident", "0123456789abcdef0123456789abcdef ada"])) {
        let object = json!({
            "apiVersion": "sgwarden.dev/v1alpha1", "kind": "SecurityGroup", "spec": spec,
            "metadata": { "name": "web", "namespace": "shop", "annotations": { "sgwarden.dev/suspend": note, "sgwarden.dev/approve": note } },
        });
        let object: SecurityGroup = serde_json::from_value(object).unwrap();
        let _ = (suspend_of(&object), approval_of(&object));
        match parse(&object) {
            Err(problems) => prop_assert!(named(&problems), "{problems:?}"),
            // A rule without a known peer that is not the group's own waits, and so does nothing else.
            Ok(declaration) => {
                let desired = declaration.resolve(&Lookups { objects: BTreeMap::new(), prefix_lists: BTreeMap::new(), ..lookups() });
                let waits = |rule: &DeclaredRule| rule.peers.iter().any(|peer| match &peer.who {
                    Who::Object(referent) => !declaration.is_itself(referent),
                    Who::PrefixListName(_) => true,
                    Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) => false,
                });
                let waiting = declaration.rules.iter().filter(|rule| waits(rule) && !desired.expired.contains(&(rule.direction, rule.name.clone())));
                prop_assert_eq!(waiting.count(), desired.held.len());
            }
        }
    }

    #[test]
    fn a_set_is_understood_or_its_fields_are_named(entries in list(with(vec![("cidr", of(RANGES))], vec![("description", of(WORDS)), ("expiresAt", of(TIMES))]))) {
        let object = json!({ "apiVersion": "sgwarden.dev/v1alpha1", "kind": "CidrSet", "metadata": { "name": "office" }, "spec": { "cidrs": entries } });
        let object: CidrSet = serde_json::from_value(object).unwrap();
        match parse_cidr_set(&object) {
            Err(problems) => prop_assert!(named(&problems), "{problems:?}"),
            Ok(ranges) => prop_assert_eq!(ranges.len(), object.spec.cidrs.len()),
        }
    }

    #[test]
    fn an_account_is_understood_or_its_fields_are_named(spec in account_spec(), name in of(NAMES)) {
        let object = json!({ "apiVersion": "sgwarden.dev/v1alpha1", "kind": "AwsAccount", "metadata": { "name": name }, "spec": spec });
        let object: AwsAccount = serde_json::from_value(object).unwrap();
        match parse_account(&object) {
            Err(problems) => prop_assert!(named(&problems), "{problems:?}"),
            Ok(account) => prop_assert!(!account.regions.is_empty() && account.id.is_some()),
        }
    }
}
