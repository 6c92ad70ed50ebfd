//! A status over one of its bounds is refused by the apiserver as a whole, so none ever is.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use kube::CustomResourceExt;
use proptest::prelude::*;
use serde_json::Value;

use sgwarden::api::conditions::ALL;
use sgwarden::api::{
    Approved, AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, MAX_DRIFT, MAX_EXPIRED, MAX_EXPIRING, MAX_PINS, MAX_TEXT,
    MAX_USERS, Mode, SecurityGroup, SecurityGroupStatus,
};
use sgwarden::core::desired::Problem;
use sgwarden::core::model::{Atom, Direction, Region, Tags};
use sgwarden::core::status::{
    AccountFacts, CidrSetFacts, Credentials, EventsFacts, HeldUp, Pending, Reason, RegionFacts, Standing, Sweep, Wait,
    applied_tags, approval, build_account, build_cidr_set,
};

use crate::history::story;
use crate::status::{More, Watched, start};

/// The schema of a kind's status.
fn schema(crd: impl serde::Serialize) -> Value {
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
}

/// Every bound of a schema, against a value: what is too long, too much, not a word of it, or no field at all.
fn fits(path: &str, schema: &Value, value: &Value) {
    let most = |bound: &str| schema[bound].as_u64().map(|most| usize::try_from(most).unwrap());
    match value {
        Value::String(text) => {
            // A text without a bound would be a bound that nobody thought of.
            let limit = most("maxLength").or(schema["enum"].as_array().map(|_| 16));
            let limit = limit.unwrap_or_else(|| panic!("{path} has no bound"));
            assert!(text.chars().count() <= limit, "{path}: {} characters of {limit}: {text}", text.chars().count());
        }
        Value::Array(items) => {
            let limit = most("maxItems").unwrap_or_else(|| panic!("{path} has no bound"));
            assert!(items.len() <= limit, "{path}: {} of {limit}", items.len());
            for item in items {
                fits(&format!("{path}[]"), &schema["items"], item);
            }
        }
        Value::Object(fields) => {
            assert!(most("maxProperties").is_none_or(|limit| fields.len() <= limit), "{path}: {} keys", fields.len());
            for (name, field) in fields {
                let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
                fits(&format!("{path}.{name}"), known.unwrap_or_else(|| panic!("{path}.{name} is no field")), field);
            }
        }
        Value::Null => panic!("{path} is null"),
        Value::Bool(_) | Value::Number(_) => {}
    }
}

#[track_caller]
fn within_bounds(status: &SecurityGroupStatus) {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| schema(SecurityGroup::crd()));
    fits("status", &SCHEMA, &serde_json::to_value(status).unwrap());
    for condition in &status.conditions {
        assert!(ALL.contains(&condition.type_.as_str()));
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(!condition.reason.is_empty() && condition.reason.chars().all(word), "{}", condition.reason);
    }
}

proptest! {
    #[test]
    fn no_status_exceeds_its_bounds(story in story(), message in "\\PC{0,50}", observe in any::<bool>(), suspended in any::<bool>()) {
        let message = message.repeat(100);
        let (world, desired) = story.play();
        let mut watched = Watched::new(if observe { Mode::Observe } else { Mode::Enforce });
        (watched.world, watched.desired) = (world, desired);
        if suspended {
            watched.suspend(60);
            watched.suspended.as_mut().unwrap().reason.clone_from(&message);
        }
        watched.overruled = vec![message.clone()];
        let lines = BTreeSet::from([message.clone()]);
        let moved = [message.clone()];
        let approved = Approved { hash: Some("f".repeat(32)), by: Some("ada".to_owned()), generation: None };
        let more = More {
            war: Some(&message),
            pins: Some(&lines),
            expired: Some(&lines),
            moved: &moved,
            approved: Some(approved),
            ..More::default()
        };
        for standing in [
            Standing::Done,
            Standing::Progressing { doing: message.clone() },
            Standing::Failed { reason: Reason::Refused, message: message.clone(), seen: true },
            Standing::DeletionBlocked { message: message.clone() },
        ] {
            watched.look_with(standing, more.clone());
            within_bounds(&watched.status);
        }
    }
}

#[test]
fn the_largest_group_with_the_longest_texts_stays_within_bounds() {
    let mut watched = Watched::new(Mode::Observe);
    let long = "x".repeat(255);
    let atom =
        |port: u32| -> Atom { format!("ingress tcp {port} from ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124").parse().unwrap() };
    for port in 10_000..11_000 {
        watched.world.cloud.authorize(&atom(port), Some(&long)).unwrap();
    }
    watched.world.cloud.tags().insert("k".repeat(127), "v".repeat(256));
    watched.desired.tags.insert("k".repeat(127), "w".repeat(256));
    watched.world.applied = Some(watched.desired.tags.clone());
    let rule = |number: u32| (Direction::Ingress, format!("rule-{number}").parse().unwrap());
    watched.desired.held = (0..200).map(|number| (rule(number), long.clone())).collect();
    watched.desired.refused = (200..400).map(|number| (rule(number), long.clone())).collect();
    watched.look(Standing::Done);
    within_bounds(&watched.status);
    assert_eq!(watched.status.drift[0].count, 1001);
}

#[test]
fn a_status_with_everything_at_its_limit_stays_within_bounds() {
    let mut watched = Watched::new(Mode::Enforce);
    let long = "x".repeat(3000);
    let soon = start().checked_add(jiff::SignedDuration::from_hours(3)).unwrap();
    let rule = |number: u32| (Direction::Egress, format!("{}{number:03}", "r".repeat(60)).parse().unwrap());
    let expiring = (0..300).map(|number| (rule(number), soon)).collect();
    watched.overruled = (0..50).map(|_| long.clone()).collect();
    // More records than are kept, each with more than it lists.
    for batch in 0..15 {
        for port in 0..40 {
            watched
                .intrude(&format!("ingress tcp {} from ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124", 10_000 + batch * 40 + port));
        }
        watched.suspend(600);
        watched.suspended.as_mut().unwrap().reason.clone_from(&long);
        watched.look(Standing::Done);
    }
    assert_eq!(watched.status.drift.len(), MAX_DRIFT);
    let lines: BTreeSet<String> = (0..3000).map(|number| format!("{number} {long}")).collect();
    let moved: Vec<String> = (0..50).map(|_| long.clone()).collect();
    let approved = approval(Some(("f".repeat(32), long.clone())), &watched.status, 3);
    watched.declare_more();
    let plan = watched.world.plan(&watched.desired).plan;
    let more = More {
        pending: Some(Pending { plan: &plan, hash: Some(&"f".repeat(80)), wait: Some(Wait::MassChange(&long)) }),
        held_up: Some(HeldUp { removals: usize::MAX, per_minute: u32::MAX }),
        rules_per_group: Some(u32::MAX),
        war: Some(&long),
        pins: Some(&lines),
        moved: &moved,
        expired: Some(&lines),
        expiring: Some(&expiring),
        approved,
        uid: Some("0b7d0f3e-6c1c-4d6b-9a55-0e9a3a3f5c11"),
        ..More::default()
    };
    watched.look_with(Standing::Done, more);
    within_bounds(&watched.status);
    let status = &watched.status;
    assert!(status.approved.as_ref().and_then(|approved| approved.by.as_ref()).is_some_and(|by| by.chars().count() == MAX_TEXT));
    assert!(
        status.expiring.len() == MAX_EXPIRING && status.pins.len() == MAX_PINS && status.expired.len() == MAX_EXPIRED,
        "the limits are reached"
    );
}

#[test]
fn the_status_of_an_account_stays_within_bounds() {
    let long = "x".repeat(3000);
    let regions: Vec<Region> = (1..=45).map(|number| format!("eu-west-{number}").parse().unwrap()).collect();
    let facts_of = |region| RegionFacts {
        region,
        since: start(),
        sweep: Some(Sweep {
            at: start(),
            groups: usize::MAX,
            managed: 2_000_000_000,
            rules: 1,
            drifted: 2_000_000_000,
            stale_rules: Some(usize::MAX),
        }),
        failure: Some((Reason::PermissionDenied, long.clone())),
        incomplete: Some(long.clone()),
    };
    let regions: Vec<RegionFacts<'_>> = regions.iter().map(facts_of).collect();
    let problems = [Problem { path: long.clone(), message: long.clone() }];
    let status = AwsAccountStatus::default();
    for (problems, credentials) in [
        (problems.as_slice(), Credentials::Valid),
        (&[], Credentials::Failed { reason: Reason::CredentialsRefused, message: long.clone() }),
        (&[], Credentials::Valid),
    ] {
        let built = build_account(&AccountFacts {
            generation: 1,
            now: start(),
            previous: &status,
            problems,
            observing: true,
            credentials,
            events: Some(EventsFacts::Failed(Reason::EventsSilent, long.clone())),
            skew: Some(jiff::SignedDuration::MIN),
            sweep_interval: jiff::SignedDuration::MAX,
            regions: &regions,
            held_by: Some(usize::MAX),
        });
        fits("status", &schema(AwsAccount::crd()), &serde_json::to_value(&built).unwrap());
        assert!(built.conditions.iter().all(|condition| ALL.contains(&condition.type_.as_str())));
    }
}

#[test]
fn the_status_of_a_set_stays_within_bounds() {
    let long = "x".repeat(3000);
    let users = (0..MAX_USERS + 5).map(|number| format!("{number}{long}")).collect();
    let problems: Vec<Problem> = (0..50).map(|_| Problem { path: long.clone(), message: long.clone() }).collect();
    let previous = CidrSetStatus::default();
    let facts = CidrSetFacts { generation: 1, now: start(), previous: &previous, problems: &problems, ranges: None, users: &users };
    fits("status", &schema(CidrSet::crd()), &serde_json::to_value(build_cidr_set(&facts)).unwrap());
}

#[test]
fn the_tags_vouched_for_are_those_that_are_live_as_declared_or_still_ours_to_remove() {
    let tags =
        |pairs: &[(&str, &str)]| -> Tags { pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect() };
    let previous = tags(&[
        ("same", "a"),
        ("edited", "a"),
        ("changed", "a"),
        ("dropped", "a"),
        ("dropped-and-edited", "a"),
        ("dropped-and-gone", "a"),
    ]);
    let declared = tags(&[("same", "a"), ("edited", "a"), ("changed", "b"), ("new", "a"), ("new-and-live", "a")]);
    let live = tags(&[
        ("same", "a"),
        ("edited", "z"),
        ("changed", "a"),
        ("dropped", "a"),
        ("dropped-and-edited", "z"),
        ("new-and-live", "a"),
        ("foreign", "f"),
    ]);
    let applied = applied_tags(Some(&previous), &declared, &live);
    assert_eq!(applied, tags(&[("same", "a"), ("edited", "a"), ("changed", "a"), ("dropped", "a"), ("new-and-live", "a")]));
}
