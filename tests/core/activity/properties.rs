//! The join for any events at all: who is never named, and what changes nothing.

use proptest::prelude::*;
use sgwarden::core::activity::{
    Activities, Attribution, Bounds, By, Change, Drift, Drifted, Event, Evidence, Failure, Own, Whose, Window, attribute,
};

use super::{SESSION, added, at, atom, described, event, failing, group, modified, own, removed, rule, tagged, untagged};

const ATOMS: [&str; 3] =
    ["ingress tcp 22 from 0.0.0.0/0", "ingress tcp 443 from 0.0.0.0/0", "ingress all from sg-22220000333311110"];

fn text() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.8, prop::sample::select(&ATOMS[..]))
}

fn change() -> impl Strategy<Value = Change> {
    let id = || prop::option::of(0..3_u8);
    prop_oneof![
        (id(), text()).prop_map(|(id, text)| added(id, text)),
        (id(), text()).prop_map(|(id, text)| removed(id, text)),
        (id(), text()).prop_map(|(id, text)| described(id, text)),
        (0..3_u8, text()).prop_map(|(id, text)| modified(Some(id), text)),
        "[xy]".prop_map(|value| tagged("team", &value)),
        any::<bool>().prop_map(|all| untagged((!all).then_some("team"))),
    ]
}

fn some_event() -> impl Strategy<Value = Event> {
    let who = prop_oneof![3 => Just("mira"), 3 => Just("tomasz"), 1 => Just("sgwarden"), 1 => Just("ours")];
    let failure = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Failure::DryRun)),
        1 => Just(Some(Failure::Denied("UnauthorizedOperation".into()))),
        1 => Just(Some(Failure::Refused("InvalidPermission.Duplicate".into()))),
    ];
    let shape = (0..1000_u32, who, 0..60_i64, change(), prop::bool::weighted(0.1), failure);
    shape.prop_map(|(id, who, seconds, change, anywhere, failure)| {
        let mut made = event(&format!("{id}-{who}-{seconds}"), who, seconds, vec![change]);
        if who == "sgwarden" {
            made.actor.arn = Some(SESSION.into());
        }
        if who == "ours" {
            made.request_id = Some("ours".into());
        }
        if anywhere {
            made.changes[0].group = None;
            made.groups.clear();
            made.account_wide = true;
        }
        match failure {
            Some(failure) => failing(made, failure),
            None => made,
        }
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(some_event(), 0..8).prop_map(|events| {
        let mut seen = std::collections::BTreeSet::new();
        events.into_iter().filter(|event| seen.insert(event.id.clone())).collect()
    })
}

fn some_drift() -> impl Strategy<Value = Drifted> {
    let on_atom =
        |make: fn(sgwarden::core::model::Atom) -> Drift| prop::sample::select(&ATOMS[..]).prop_map(move |text| make(atom(text)));
    let drift = prop_oneof![
        3 => on_atom(Drift::Added),
        3 => on_atom(Drift::Removed),
        2 => on_atom(Drift::Modified),
        2 => on_atom(|atom| Drift::DescriptionChanged { atom, description: None }),
        1 => Just(Drift::TagChanged { key: "team".into(), value: "x".into() }),
        1 => Just(Drift::TagRemoved { key: "team".into(), value: None }),
        1 => Just(Drift::GroupDeleted),
    ];
    (drift, prop::option::of(0..3_u8), prop::option::of(0..60_i64), 0..60_i64).prop_map(|(drift, id, without, more)| {
        let with = without.unwrap_or(0) + more;
        Drifted { drift, rule_id: id.map(rule), window: Window { without: without.map(at), with: at(with) } }
    })
}

fn join<'e>(drifted: &[Drifted], events: &[&'e Event], own: &Own) -> Vec<Attribution<'e>> {
    attribute(&group(), drifted, &Evidence { events: events.to_vec(), kept_since: None }, own)
}

fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(2000), failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn who_failed_was_ours_or_came_at_another_time_is_never_named(
        events in events(), drifted in prop::collection::vec(some_drift(), 1..4),
    ) {
        let refs: Vec<&Event> = events.iter().collect();
        let found = join(&drifted, &refs, &own());
        prop_assert_eq!(found.len(), drifted.len());
        for (found, drifted) in found.iter().zip(&drifted) {
            for event in found.events() {
                prop_assert!(event.failure.is_none());
                prop_assert!(!own().is_own(event));
                let by_id = found.by() == Some(By::RuleId);
                prop_assert!(by_id || drifted.window.contains(event.time));
                if by_id {
                    prop_assert!(drifted.rule_id.as_ref().is_some_and(|id| event.rules.contains(id)));
                }
            }
            match found {
                Attribution::Named(event, _) => prop_assert_eq!(own().whose(event), Whose::Others),
                Attribution::Tie(events, _) => prop_assert!(events.len() > 1),
                Attribution::Trace(events, _) => prop_assert!(!events.is_empty() && found.actor().is_none()),
                Attribution::OwnRole(events, _) => {
                    let own_role = |event: &&Event| matches!(own().whose(event), Whose::OwnRole { .. });
                    prop_assert!(!events.is_empty() && events.iter().all(own_role));
                    prop_assert!(found.actor().is_none());
                }
                Attribution::Nobody(_) => {}
            }
        }
    }

    #[test]
    fn order_and_duplicates_of_arrival_change_nothing(
        (events, mixed) in events().prop_flat_map(|events| {
            let twice: Vec<Event> = events.iter().chain(&events).cloned().collect();
            (Just(events), Just(twice).prop_shuffle())
        }),
        drifted in prop::collection::vec(some_drift(), 1..4),
    ) {
        let straight = join(&drifted, &events.iter().collect::<Vec<_>>(), &own());
        prop_assert_eq!(&straight, &join(&drifted, &mixed.iter().collect::<Vec<_>>(), &own()));
        let mut log = Activities::new(Bounds::default(), at(-100_000));
        for event in mixed.iter().cloned() {
            log.insert(event, at(100));
        }
        let kept = attribute(&group(), &drifted, &log.of_group(&group()), &own());
        let same = straight.iter().zip(&kept).all(|(straight, kept)| {
            // A dry run is not kept: it is as if nothing had been heard.
            straight.events() == kept.events()
        });
        prop_assert!(same, "{:#?}\n{:#?}", straight, kept);
    }

    #[test]
    fn an_equal_candidate_beside_the_one_that_is_named_makes_a_tie(events in events(), drifted in some_drift()) {
        let refs: Vec<&Event> = events.iter().collect();
        if let [Attribution::Named(named, by)] = join(std::slice::from_ref(&drifted), &refs, &own()).as_slice() {
            let mut twin = (*named).clone();
            twin.id = format!("twin of {}", twin.id);
            twin.actor.arn = Some("arn:aws:iam::210987654321:user/twin".into());
            let both: Vec<&Event> = refs.iter().copied().chain([&twin]).collect();
            match join(std::slice::from_ref(&drifted), &both, &own()).as_slice() {
                [tie @ Attribution::Tie(events, again)] => {
                    prop_assert_eq!(again, by);
                    prop_assert!(events.contains(named) && events.contains(&&twin));
                    prop_assert!(tie.actor().is_none());
                }
                other => prop_assert!(false, "{:#?}", other),
            }
        }
    }

    #[test]
    fn an_event_that_names_the_rule_wins_over_all_that_name_the_atom(
        events in events(), text in prop::sample::select(&ATOMS[..]), seconds in 0..60_i64,
    ) {
        let anonymous: Vec<Event> = events.into_iter().map(|mut event| {
            event.changes[0].rule_id = None;
            event.rules.clear();
            event
        }).collect();
        let witness = event("witness", "petra", seconds, vec![added(Some(2), Some(text))]);
        let drifted = Drifted { drift: Drift::Added(atom(text)), rule_id: Some(rule(2)), window: Window { without: Some(at(0)), with: at(60) } };
        let refs: Vec<&Event> = anonymous.iter().chain([&witness]).collect();
        prop_assert_eq!(join(&[drifted], &refs, &own()), vec![Attribution::Named(&witness, By::RuleId)]);
    }
}
