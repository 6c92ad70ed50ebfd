//! The fields of a status beside its conditions, and that nothing is written without news.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use sgwarden::api::conditions::{DRIFTED, READY, RECONCILING, STALLED};
use sgwarden::api::{Approved, Mode, SecurityGroupStatus, TAG_DIGEST, UndeclaredRules, Usage};
use sgwarden::core::desired::DeclaredAdoption;
use sgwarden::core::model::{Direction, PrefixListId, PrefixListMark, Weight};
use sgwarden::core::plan::TAG_ORIGIN;
use sgwarden::core::status::{
    DeepView, Expiring, HeldUp, Pending, Reason, Standing, Wait, is_written_for, next_news, tags_begun, tags_begun_before,
};

use crate::history::{Pass, story};
use crate::status::{HASH, More, OVER, SSH, Watched, failed, progressing, refused};

#[test]
fn quota_counts_prefix_lists_by_weight_against_the_limit_in_effect() {
    let mut watched = Watched::new(Mode::Enforce);
    let declared = watched.desired.rules.iter().next().unwrap().1.clone();
    watched.desired.rules.declare("egress tcp 443 to pl-0a1b2c3d".parse().unwrap(), declared);
    watched.desired.weights.insert("pl-0a1b2c3d".parse().unwrap(), Weight { ipv4: 55, ipv6: 0 });
    watched.look(Standing::Done);
    let quota = watched.status.quota.clone().unwrap();
    assert_eq!((quota.ingress_ipv4, quota.egress_ipv4, quota.egress_ipv6, quota.limit), (Some(1), Some(55), Some(0), Some(60)));
    watched.look_with(Standing::Done, More { rules_per_group: Some(120), ..More::default() });
    assert_eq!(watched.status.quota.as_ref().and_then(|quota| quota.limit), Some(120));
}

#[test]
fn pins_and_expiries_are_kept_by_a_pass_that_does_not_know_them() {
    let mut watched = Watched::new(Mode::Enforce);
    let pins = BTreeSet::from(["prefix-list corp pl-0a1b2c3d".to_owned()]);
    let expired = BTreeSet::from(["ingress admin 2026-12-24T17:00:00Z".to_owned()]);
    watched.look_with(Standing::Done, More { pins: Some(&pins), expired: Some(&expired), ..More::default() });
    let known = (watched.status.pins.clone(), watched.status.expired.clone());
    assert_eq!(known, (pins.into_iter().collect(), expired.into_iter().collect()));
    watched.look(failed(Reason::Throttled));
    assert_eq!((watched.status.pins.clone(), watched.status.expired.clone()), known);
    let none = BTreeSet::new();
    watched.look_with(Standing::Done, More { pins: Some(&none), expired: Some(&none), ..More::default() });
    assert_eq!((watched.status.pins.len(), watched.status.expired.len()), (0, 0));
}

#[test]
fn a_list_noted_for_the_first_time_waits_for_other_news_and_a_new_version_does_not() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.look(Standing::Done);
    let id: PrefixListId = "pl-0a1b2c3d".parse().unwrap();
    let at = |version: i64| BTreeMap::from([(id.clone(), PrefixListMark { version: Some(version), entries: 40 })]);
    let (seventh, eighth) = (at(7), at(8));
    let look = |watched: &mut Watched, lists| {
        watched.look_with(Standing::Done, More { prefix_lists: Some(lists), ..More::default() });
        watched.status.prefix_lists.clone()
    };
    assert_eq!(look(&mut watched, &seventh), [""; 0], "a status of an older release is not written for it");
    watched.intrude(SSH);
    assert_eq!(look(&mut watched, &seventh), ["pl-0a1b2c3d v7 40"]);
    let before = watched.status.clone();
    assert_eq!((look(&mut watched, &seventh), &watched.status), (before.prefix_lists.clone(), &before));
    assert_eq!(look(&mut watched, &eighth), ["pl-0a1b2c3d v8 40"]);
    watched.look(Standing::Done);
    assert_eq!(watched.status.prefix_lists, ["pl-0a1b2c3d v8 40"], "kept by a pass that does not know");
    assert_eq!(look(&mut watched, &BTreeMap::new()), [""; 0], "no longer used");
}

#[test]
fn that_there_are_no_associations_waits_for_other_news_and_that_there_are_some_does_not() {
    let none = DeepView { associations: Some(Vec::new()), stale: Some(Vec::new()) };
    let some = DeepView { associations: Some(vec!["vpc-0b1b2c3d associated".to_owned()]), ..none.clone() };
    let look = |watched: &mut Watched, deep| {
        watched.look_with(Standing::Done, More { deep: Some(deep), ..More::default() });
        watched.status.vpc_associations.clone()
    };
    let mut watched = Watched::new(Mode::Enforce);
    watched.look(Standing::Done);
    assert_eq!(look(&mut watched, &none), None, "a status of an older release is not written for it");
    assert_eq!(look(&mut watched, &some), some.associations);
    assert_eq!(look(&mut watched, &none), none.associations, "they were there before");
    let mut watched = Watched::new(Mode::Enforce);
    watched.look(Standing::Done);
    watched.intrude(SSH);
    assert_eq!(look(&mut watched, &none), none.associations);
}

#[test]
fn a_rule_is_announced_a_day_before_its_end() {
    let mut watched = Watched::new(Mode::Enforce);
    let end: Timestamp = "2026-12-25T19:00:00Z".parse().unwrap();
    let expiring = Expiring::from([((Direction::Ingress, "https".parse().unwrap()), end)]);
    let more = || More { expiring: Some(&expiring), ..More::default() };
    watched.look_with(Standing::Done, more());
    assert_eq!(watched.status.expiring, [""; 0]);
    let announced = next_news(&watched.status, &expiring, watched.now()).unwrap();
    assert_eq!(announced.to_string(), "2026-12-24T19:00:00Z");
    watched.wait(59 * 60 - 60);
    watched.look_with(Standing::Done, more());
    assert_eq!(
        (watched.now(), watched.status.expiring.as_slice()),
        (announced, ["ingress https 2026-12-25T19:00:00Z".to_owned()].as_slice())
    );
    assert_eq!(next_news(&watched.status, &expiring, watched.now()), Some(end));
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.expiring.len(), 1, "a pass that does not know forgets nothing");
    watched.wait(24 * 60 * 60);
    watched.look_with(Standing::Done, more());
    assert_eq!(watched.status.expiring, [""; 0]);
    assert_eq!(next_news(&watched.status, &expiring, watched.now()), None);
}

#[test]
fn the_soonest_of_many_ends_are_told() {
    let mut watched = Watched::new(Mode::Enforce);
    let end = |minutes: i64| watched.now().checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
    let rule = |minutes: i64| ((Direction::Egress, format!("rule-{minutes}").parse().unwrap()), end(minutes));
    let expiring: Expiring = (10..100).rev().map(rule).collect();
    watched.look_with(Standing::Done, More { expiring: Some(&expiring), ..More::default() });
    assert_eq!(watched.status.expiring.len(), 50);
    assert_eq!(watched.status.expiring[0], "egress rule-10 2026-12-24T18:10:00Z");
}

#[test]
fn something_is_to_be_said_of_a_suspend_before_its_end_and_at_it() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.suspend(60);
    watched.look(Standing::Done);
    let next = |watched: &Watched| next_news(&watched.status, &Expiring::new(), watched.now()).map(|time| time.to_string());
    assert_eq!(next(&watched).as_deref(), Some("2026-12-24T18:45:00Z"));
    watched.wait(44 * 60);
    assert_eq!(next(&watched).as_deref(), Some("2026-12-24T19:00:00Z"));
    watched.wait(15 * 60);
    assert_eq!(next(&watched), None);
}

#[test]
fn an_approval_is_noted_before_its_plan_and_spent_after_it() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.declare_more();
    watched.look_waiting(Wait::Required);
    let approved = Approved { hash: Some(HASH.to_owned()), by: Some("ada".to_owned()), generation: None };
    watched.look_with(progressing(), More { approved: Some(approved.clone()), ..More::default() });
    assert_eq!(watched.status.approved, Some(approved.clone()));
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.approved, Some(approved.clone()), "the plan was not carried out");
    watched.repair();
    watched.look(Standing::Done);
    assert_eq!(watched.status.approved, Some(Approved { generation: Some(3), ..approved }));
    // The same plan another day: the annotation of then does not count, and the same words would be no other annotation.
    watched.remove("ingress tcp 80 from 0.0.0.0/0");
    watched.look_waiting(Wait::Required);
    assert!(watched.message(READY).ends_with(&format!("'{HASH} <you>, again'")), "{}", watched.message(READY));
}

#[test]
fn a_change_of_a_tag_is_noted_before_it_is_made_and_until_it_is_seen() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.world.applied = Some(watched.desired.tags.clone());
    watched.desired.tags.insert("team".to_owned(), "store".to_owned());
    let Pass { plan, report } = watched.world.plan(&watched.desired);
    watched.status.tags_begun = tags_begun_before(&watched.status, &plan, &report);
    let noted = watched.status.tags_begun.clone().unwrap();
    assert_eq!((noted.len(), tags_begun(&watched.status).unwrap().digests().collect::<String>()), (TAG_DIGEST, noted.clone()));
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.tags_begun, Some(noted.clone()), "it was not made");
    watched.world.cloud.tags().insert("team".to_owned(), "store".to_owned());
    watched.look(Standing::Done);
    assert_eq!(watched.status.tags_begun, None);
    assert_eq!(watched.status.tags.as_ref().unwrap()["team"], "store");
    // Half of a digest says nothing.
    watched.status.tags_begun = Some(noted.chars().skip(1).collect());
    watched.desired.tags.insert("team".to_owned(), "shop".to_owned());
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.tags_begun, None);
}

#[test]
fn usage_alone_is_no_news() {
    let mut watched = Watched::new(Mode::Enforce);
    let usage = |interfaces| Some(Usage { network_interfaces: Some(interfaces), referenced_by: None });
    watched.look_with(Standing::Done, More { usage: usage(1), ..More::default() });
    let before = watched.look_with(Standing::Done, More { usage: usage(2), ..More::default() });
    assert_eq!(watched.status, before);
    watched.look_with(failed(Reason::Throttled), More { usage: usage(3), ..More::default() });
    assert_eq!(watched.status.usage, usage(3));
    watched.look(Standing::Done);
    assert_eq!(watched.status.usage, usage(3), "not read again");
}

#[test]
fn a_status_says_for_which_object_it_was_written() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.look(Standing::Done);
    assert!(is_written_for(&watched.status, "u1"), "an older release did not say");
    let before = watched.look_with(Standing::Done, More { uid: Some("u1"), ..More::default() });
    assert_eq!(watched.status, before, "alone it is no news");
    watched.look_with(failed(Reason::Throttled), More { uid: Some("u1"), ..More::default() });
    assert!(is_written_for(&watched.status, "u1") && !is_written_for(&watched.status, "u2"));
}

#[test]
fn a_group_whose_origin_nobody_knows_is_not_said_to_be_created_here() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.world.cloud.tags().remove(TAG_ORIGIN);
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.origin, None);
    watched.declaration.adopt = Some(DeclaredAdoption::ByName);
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.origin.as_deref(), Some("Adopted"));
    watched.world.cloud.tags().insert(TAG_ORIGIN.to_owned(), "Created".to_owned());
    watched.look(Standing::Done);
    assert_eq!(watched.status.origin.as_deref(), Some("Adopted"), "what status says counts");
    watched.status.origin = None;
    watched.look(Standing::Done);
    assert_eq!(watched.status.origin.as_deref(), Some("Created"), "the tag that sgwarden set");
}

// No write without news -----------------------------------------------------------------------------------------------

/// Everything a pass may know beside the group, at random.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that may be known or not")]
struct Extra {
    standing: Standing,
    mode: Mode,
    undeclared: UndeclaredRules,
    suspended: bool,
    waits: bool,
    over: bool,
    held_up: bool,
    war: bool,
    moved: bool,
    refused: bool,
    overruled: bool,
    known: bool,
}

fn extra() -> impl Strategy<Value = Extra> {
    let standing = prop_oneof![
        4 => Just(Standing::Done),
        1 => Just(Standing::Unseen),
        1 => Just(progressing()),
        1 => Just(failed(Reason::Throttled)),
        1 => Just(failed(Reason::PinnedElsewhere)),
        1 => Just(Standing::DeletionBlocked { message: "eni-1 uses it".to_owned() }),
    ];
    let undeclared = prop_oneof![Just(UndeclaredRules::Revoke), Just(UndeclaredRules::Report), Just(UndeclaredRules::Keep)];
    (standing, any::<bool>(), undeclared, any::<[bool; 9]>()).prop_map(|(standing, observe, undeclared, flags)| {
        let [suspended, waits, over, held_up, war, moved, refused, overruled, known] = flags;
        let mode = if observe { Mode::Observe } else { Mode::Enforce };
        Extra { standing, mode, undeclared, suspended, waits, over, held_up, war, moved, refused, overruled, known }
    })
}

fn look_with_extra(watched: &mut Watched, extra: &Extra) -> SecurityGroupStatus {
    watched.world.restraint.policy = watched.policy.clone();
    let plan = watched.world.plan(&watched.desired).plan;
    let moved = ["prefix list corp is pl-2 by now".to_owned()];
    let pins = BTreeSet::from(["prefix-list corp pl-0a1b2c3d".to_owned()]);
    let more = More {
        pending: extra.waits.then_some(Pending { plan: &plan, hash: Some(HASH), wait: Some(Wait::Required) }),
        over_quota: extra.over.then_some(OVER),
        held_up: extra.held_up.then_some(HeldUp { removals: 2, per_minute: 1 }),
        war: extra.war.then_some(SSH),
        moved: if extra.moved { &moved } else { &[] },
        pins: Some(&pins),
        no_account: !extra.known,
        blind: !extra.known,
        ..More::default()
    };
    watched.look_with(extra.standing.clone(), more)
}

proptest! {
    #[test]
    fn equal_facts_give_an_equal_status(story in story(), extra in extra()) {
        let (world, desired) = story.play();
        let mut watched = Watched::new(extra.mode);
        (watched.world, watched.desired) = (world, desired);
        watched.policy.undeclared = extra.undeclared;
        if extra.suspended {
            watched.suspend(600);
        }
        if extra.refused {
            refused(&mut watched);
        }
        if extra.overruled {
            watched.overruled = vec!["account prod does not allow it".to_owned()];
        }
        look_with_extra(&mut watched, &extra);
        let before = look_with_extra(&mut watched, &extra);
        prop_assert_eq!(&watched.status, &before);
        // To kstatus, an object is either done, or going on, or in need of somebody.
        let on = |kind| watched.says(kind).starts_with("True/");
        prop_assert!(!(on(RECONCILING) && on(STALLED)), "{:?}", watched.status.conditions);
        prop_assert!(!(on(READY) && (on(RECONCILING) || on(STALLED))), "{:?}", watched.status.conditions);
        prop_assert!(watched.status.conditions.is_sorted_by(|a, b| a.type_ < b.type_), "each once, in order");
    }
}

/// All could fit, but for what stays only for now.
#[test]
fn a_rule_that_finds_no_room_is_not_called_done() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.look(Standing::Done);
    watched.intrude("ingress tcp 22 from 192.0.2.7/32");
    watched.declare_more();
    watched.suspend(30);
    watched.world.restraint.rules_per_group = watched.world.cloud.fullest();
    watched.look(Standing::Done);
    assert_eq!(watched.says(READY), "False/QuotaExceeded", "{:#?}", watched.status.conditions);
}

#[test]
fn an_edit_that_comes_back_again_and_again_is_told_as_a_war() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.intrude(SSH);
    watched.look_with(progressing(), More { war: Some(SSH), ..More::default() });
    assert_eq!(watched.says(DRIFTED), "True/RevertWar");
    watched.repair();
    watched.look_with(Standing::Done, More { war: Some(SSH), ..More::default() });
    assert_eq!(watched.says(DRIFTED), "False/RevertWar");
    assert!(watched.message(DRIFTED).contains(SSH), "{}", watched.message(DRIFTED));
    watched.look(Standing::Done);
    assert_eq!(watched.says(DRIFTED), "False/DriftReverted");
}
