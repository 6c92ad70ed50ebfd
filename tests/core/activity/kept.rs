//! What is kept of events: bounds, duplicates, the order of arrival, and what is said of gaps.

use proptest::prelude::*;
use sgwarden::core::activity::{Activities, Bounds, Event, Failure, Inserted, parse};

use super::{added, at, event, failing, group, message};

const NOW: i64 = 3000;

fn bounds() -> Bounds {
    Bounds { events: 5, ..Bounds::default() }
}

fn log(bounds: Bounds) -> Activities {
    Activities::new(bounds, at(-100_000))
}

fn ids(log: &Activities) -> Vec<String> {
    log.of_group(&group()).events.iter().map(|event| event.id.clone()).collect()
}

fn plain(n: i64) -> Event {
    event(&format!("e{n:03}"), "mira", n, vec![added(None, Some("ingress tcp 22 from 0.0.0.0/0"))])
}

#[test]
fn an_event_is_kept_once_for_an_hour() {
    let mut log = log(Bounds::default());
    assert_eq!(log.insert(plain(100), at(200)), Inserted::New);
    assert_eq!(log.insert(plain(100), at(300)), Inserted::Known);
    log.prune(at(3700));
    assert_eq!(ids(&log), ["e100"]);
    assert_eq!(log.of_group(&group()).kept_since, Some(at(100)));
    log.prune(at(3701));
    assert!(log.is_empty() && log.bytes() == 0);
    assert_eq!(log.insert(plain(100), at(3701)), Inserted::TooOld);
    assert_eq!(log.insert(plain(9000), at(3701)), Inserted::TooNew);
}

#[test]
fn copies_for_other_accounts_are_one_whichever_comes_first() {
    let copy = |id: &str| Event { shared_id: Some("s".into()), id: id.into(), ..plain(100) };
    for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        let mut log = log(Bounds::default());
        assert_eq!(log.insert(copy(order[0]), at(NOW)), Inserted::New);
        for id in &order[1..] {
            assert_eq!(log.insert(copy(id), at(NOW)), Inserted::Known);
        }
        assert_eq!(ids(&log), ["a"], "{order:?}");
    }
}

#[test]
fn dry_runs_and_members_of_groups_are_no_matter() {
    let mut log = log(Bounds::default());
    assert_eq!(log.insert(failing(plain(1), Failure::DryRun), at(NOW)), Inserted::Irrelevant);
    let joined = parse(&message("60-interface-joins-groups.json")).unwrap();
    let now = joined.time;
    assert_eq!(log.insert(joined, now), Inserted::Irrelevant);
}

#[test]
fn a_group_keeps_its_newest_and_says_since_when() {
    let mut log = log(bounds());
    for n in 0..8 {
        log.insert(plain(n), at(NOW));
    }
    assert_eq!(ids(&log), ["e003", "e004", "e005", "e006", "e007"]);
    assert_eq!(log.of_group(&group()).kept_since, Some(at(2)));
    assert_eq!(log.insert(plain(1), at(NOW)), Inserted::TooOld, "what had to go does not come back");
}

#[test]
fn a_flood_of_denied_calls_pushes_out_no_other() {
    let mut log = log(bounds());
    log.insert(plain(1), at(NOW));
    for n in 100..400 {
        log.insert(failing(plain(n), Failure::Denied("UnauthorizedOperation".into())), at(NOW));
    }
    assert_eq!(ids(&log), ["e001", "e395", "e396", "e397", "e398", "e399"]);
    assert!(log.of_group(&group()).kept_since.unwrap() < at(1), "and leaves no gap");
}

#[test]
fn groups_and_bytes_are_bounded() {
    let in_group = |n: i64| {
        let mut event = plain(n);
        let group: sgwarden::core::model::SecurityGroupId = format!("sg-{n:017x}").parse().unwrap();
        event.groups = vec![group.clone()];
        event.changes[0].group = Some(group);
        event
    };
    let mut few = log(Bounds { subjects: 10, ..Bounds::default() });
    for n in 0..100 {
        few.insert(in_group(n), at(NOW));
    }
    assert_eq!(few.len(), 10);
    let weight = plain(0).weight();
    let mut small = log(Bounds { bytes: 10 * weight + 9, ..Bounds::default() });
    for n in 0..100 {
        small.insert(in_group(n), at(NOW));
        assert!(small.bytes() <= 10 * weight + 9);
    }
    assert_eq!(small.len(), 10);
    let mut none = log(Bounds { bytes: weight - 1, ..Bounds::default() });
    assert_eq!(none.insert(plain(1), at(NOW)), Inserted::TooOld);
    assert!(none.is_empty());
}

#[test]
fn an_event_of_any_group_is_evidence_for_each() {
    let mut log = log(Bounds::default());
    let event = parse(&message("15-authorize-by-name.json")).unwrap();
    let now = event.time;
    log.insert(event, now);
    assert_eq!(log.of_group(&group()).events.len(), 1);
    let list = parse(&message("64-modify-prefix-list.json")).unwrap();
    log.insert(list, now);
    assert_eq!(log.of_group(&group()).events.len(), 1);
    assert_eq!(log.of(&[group()].into(), &["pl-4f4f4f4f4f4f4f4f4".parse().unwrap()].into()).events.len(), 2);
}

fn some_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0..40_i64, 0..12_u8, prop::option::of(0..4_u8)).prop_map(|(time, id, shared)| {
        // Copies have one time, as they have in CloudTrail.
        let time = shared.map_or(time, i64::from);
        let mut event = Event { shared_id: shared.map(|n| format!("s{n}")), ..plain(time) };
        event.id = format!("{time}-{id}-{}", shared.is_some());
        event.failure = (id % 3 == 0).then(|| Failure::Refused("X".into()));
        event
    });
    prop::collection::vec(one, 1..30)
}

/// What bites: at a bound, a copy may have pushed out what the one that takes its place would not have.
#[derive(Clone, Copy, Debug)]
enum Bound {
    None,
    Events(usize),
    Room(usize),
}

fn bound() -> impl Strategy<Value = Bound> {
    prop_oneof![Just(Bound::None), (1..20_usize).prop_map(Bound::Events), (1..30_usize).prop_map(Bound::Room)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn neither_order_nor_duplicates_change_what_is_kept(
        (events, mixed) in some_events().prop_flat_map(|events| {
            let twice: Vec<Event> = events.iter().chain(&events).cloned().collect();
            (Just(events), Just(twice).prop_shuffle())
        }),
        bound in bound(),
    ) {
        let wide = Bounds::default();
        let (bounds, copies) = match bound {
            Bound::None => (wide, true),
            Bound::Events(most) => (Bounds { events: most, ..wide }, false),
            Bound::Room(room) => (Bounds { bytes: room * plain(0).weight(), ..wide }, false),
        };
        let kept = |events: &[Event]| {
            let mut log = log(bounds);
            for event in events {
                let shared_id = event.shared_id.clone().filter(|_| copies);
                log.insert(Event { shared_id, ..event.clone() }, at(NOW));
            }
            let evidence = log.of_group(&group());
            (evidence.events.into_iter().cloned().collect::<Vec<_>>(), evidence.kept_since, log.bytes())
        };
        prop_assert_eq!(kept(&events), kept(&mixed));
    }
}
