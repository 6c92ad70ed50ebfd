//! Sweeps: what they cost, whom they wake, and what they leave alone.

use std::time::Duration;

use crate::core::model::{Direction, NewRule};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, ErrorClass};

use super::super::ledger::Ledger;
use super::super::overlay::Overlay;
use super::super::{Urgency, View};
use super::fake::{Fake, Trouble, error, rule};
use super::{MINUTE, Rig, id, key, keys, pass, secs, tags};

const GROUPS: &str = "DescribeSecurityGroups";
const RULES: &str = "DescribeSecurityGroupRules";

#[tokio::test(start_paused = true)]
async fn an_unchanged_region_costs_one_listing_a_sweep_and_wakes_nobody() {
    let mut rig = Rig::started(2500).await;
    for number in 1..=2500 {
        rig.settle(number).await;
    }
    assert_eq!(rig.ec2.about(GROUPS), ["tagged"], "what the first sweep showed is enough for all objects");
    pass(10 * MINUTE + secs(5)).await;
    let sweeps = rig.ec2.about(GROUPS);
    assert!((10..=12).contains(&sweeps.len()), "ten minutes give or take a tenth: {}", sweeps.len());
    assert!(sweeps.iter().all(|about| about == "tagged"));
    assert!(rig.woken().is_empty());
    assert_eq!(rig.ec2.count("DescribeManagedPrefixLists"), 0);
    let fresh = rig.regions.freshness().remove(0);
    assert_eq!((fresh.groups, fresh.managed, fresh.unmanaged, fresh.rules), (2500, 2500, 0, 2500));
}

#[tokio::test(start_paused = true)]
async fn of_groups_that_are_well_nothing_is_kept() {
    let rig = Rig::started(50).await;
    rig.worker.first_sweep().await;
    assert!((1..=50).all(|number| rig.worker.snapshot(&id(number)).is_some()), "their objects are about to ask");
    for number in 1..=40 {
        rig.settle(number).await;
    }
    assert!((1..=40).all(|number| rig.worker.snapshot(&id(number)).is_none()));
    // Nobody asks for the rest: they are groups that nobody manages, and are not kept for ever.
    pass(3 * MINUTE).await;
    assert!((1..=50).all(|number| rig.worker.snapshot(&id(number)).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_by_has_at_hand_what_its_objects_will_ask_for() {
    let rig = Rig::started(50).await;
    pass(60 * MINUTE).await;
    for number in 1..=50 {
        rig.settle(number).await;
    }
    assert!(rig.ec2.about(GROUPS).iter().all(|about| about == "tagged"), "none was read by itself");
}

#[tokio::test(start_paused = true)]
async fn after_a_start_groups_are_kept_for_as_long_as_objects_come_and_ask() {
    let rig = Rig::started(50).await;
    for number in 1..=50 {
        rig.settle(number).await;
        // More than one sweep goes by for each five objects.
        pass(secs(15)).await;
    }
    assert!(rig.ec2.about(GROUPS).iter().all(|about| about == "tagged"), "none was read by itself");
}

/// What somebody does to group 2 of 3.
type Edit = (&'static str, fn(&Fake));

fn edits() -> Vec<Edit> {
    vec![
        ("a rule more", |ec2| ec2.put(2, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None))),
        ("a rule less", |ec2| ec2.edit(|world| world.groups.get_mut(&id(2)).unwrap().rules.clear())),
        ("another description", |ec2| ec2.put(2, rule(2, "ingress tcp 443 from 0.0.0.0/0", Some("mine")))),
        ("no description", |ec2| ec2.put(2, rule(2, "ingress tcp 443 from 0.0.0.0/0", None))),
        ("another port", |ec2| ec2.put(2, rule(2, "ingress tcp 444 from 0.0.0.0/0", Some("https")))),
        ("a tag more", |ec2| {
            ec2.edit(|world| world.groups.get_mut(&id(2)).unwrap().facts.tags.extend(tags(&[("team", "x")])));
        }),
        ("our tag gone", |ec2| ec2.edit(|world| world.groups.get_mut(&id(2)).unwrap().facts.tags.clear())),
        ("the group gone", |ec2| ec2.edit(|world| drop(world.groups.remove(&id(2))))),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_edit_wakes_its_object_and_no_other_until_it_is_settled() {
    for (name, edit) in edits() {
        let mut rig = Rig::settled(3).await;
        assert!(rig.woken().is_empty(), "{name}");
        edit(&rig.ec2);
        for _ in 0..2 {
            pass(MINUTE + secs(10)).await;
            assert_eq!(rig.woken(), keys([2]), "{name}");
        }
        if let Some(observed) = rig.worker.observe(&id(2)).await.unwrap() {
            rig.worker.settled(&key(2), &observed);
        } else {
            rig.regions.forget(&key(2));
        }
        pass(3 * MINUTE).await;
        assert!(rig.woken().is_empty(), "{name}: settled as it is now");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_woken_with_what_the_sweep_saw_at_hand() {
    let mut rig = Rig::settled(3).await;
    rig.ec2.put(2, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([2]));
    let calls = rig.ec2.count(GROUPS);
    let (listed, _) = rig.worker.snapshot(&id(2)).unwrap();
    assert_eq!(listed.rules.len(), 2);
    assert_eq!(rig.ec2.count(GROUPS), calls, "no call");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_began_before_our_write_returned_is_not_held_against_the_group() {
    let mut rig = Rig::settled(2).await;
    rig.ec2.delay(GROUPS, secs(20));
    let before = rig.ec2.count(GROUPS);
    while rig.ec2.count(GROUPS) == before {
        pass(Duration::from_millis(100)).await;
    }
    // The sweep has taken its picture; now we write, and settle by a picture of our own.
    rig.ec2.delay(GROUPS, Duration::ZERO);
    let new = NewRule { atom: "ingress tcp 80 from 10.0.0.0/8".parse().unwrap(), description: None };
    rig.worker.writer(Urgency::Change).authorize(&id(1), Direction::Ingress, &[new]).await.unwrap();
    let observed = rig.observe(1).await;
    rig.worker.settled(&key(1), &observed);
    pass(5 * MINUTE).await;
    assert!(rig.woken().is_empty(), "{:?}", rig.woken());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_older_than_the_look_that_settled_a_group_is_not_held_against_it() {
    let mut rig = Rig::settled(2).await;
    rig.ec2.delay(GROUPS, secs(20));
    let before = rig.ec2.count(GROUPS);
    while rig.ec2.count(GROUPS) == before {
        pass(Duration::from_millis(100)).await;
    }
    // Somebody else's edit, which the object accepts (a tag of no concern) while the sweep is under way.
    rig.ec2.delay(GROUPS, Duration::ZERO);
    rig.ec2.edit(|world| world.groups.get_mut(&id(1)).unwrap().facts.tags.extend(tags(&[("cost", "7")])));
    let listed = rig.worker.listed(&id(1)).await.unwrap().unwrap();
    rig.worker.settled(&key(1), &listed);
    pass(5 * MINUTE).await;
    assert!(rig.woken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_edit_between_the_look_and_the_settling_is_seen_by_a_sweep_between_the_two() {
    let mut rig = Rig::settled(2).await;
    let listed = rig.worker.listed(&id(1)).await.unwrap().unwrap();
    rig.ec2.put(1, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
    rig.ec2.delay(GROUPS, secs(20));
    let before = rig.ec2.count(GROUPS);
    while rig.ec2.count(GROUPS) == before {
        pass(Duration::from_millis(100)).await;
    }
    rig.worker.settled(&key(1), &listed);
    pass(secs(21)).await;
    assert_eq!(rig.woken(), keys([1]), "settled means: as it was shown, not as it is by now");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_from_before_our_write_is_not_handed_out() {
    let mut rig = Rig::settled(1).await;
    rig.ec2.put(1, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([1]));
    assert!(rig.worker.snapshot(&id(1)).is_some());
    let rule = rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None).id;
    let urgency = Urgency::Revert { exposure: 1_u128.into() };
    rig.worker.writer(urgency).revoke(&id(1), Direction::Ingress, &[rule]).await.unwrap();
    assert!(rig.worker.snapshot(&id(1)).is_none());
    assert_eq!(rig.worker.listed(&id(1)).await.unwrap().unwrap().rules.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_never_was_well_wakes_its_object_once_and_then_when_it_changes() {
    let mut rig = Rig::settled(1).await;
    rig.ec2.edit(|world| {
        world.groups.insert(id(7), super::fake::group(7, []));
    });
    rig.worker.managed(&key(7), &id(7));
    rig.worker.listed(&id(7)).await.unwrap();
    // The pass that looked fails for a reason of its own; between its look and the next sweep somebody may edit.
    pass(3 * MINUTE).await;
    assert_eq!(std::iter::from_fn(|| rig.woken.try_recv().ok()).collect::<Vec<_>>(), [key(7)]);
    rig.ec2.put(7, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
    pass(3 * MINUTE).await;
    assert_eq!(std::iter::from_fn(|| rig.woken.try_recv().ok()).collect::<Vec<_>>(), [key(7)]);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_older_than_the_look_of_an_object_that_is_not_settled_does_not_wake_it() {
    let mut rig = Rig::settled(1).await;
    rig.ec2.edit(|world| {
        world.groups.insert(id(7), super::fake::group(7, []));
    });
    rig.ec2.delay(GROUPS, secs(20));
    let before = rig.ec2.count(GROUPS);
    while rig.ec2.count(GROUPS) == before {
        pass(Duration::from_millis(100)).await;
    }
    rig.ec2.delay(GROUPS, Duration::ZERO);
    rig.worker.managed(&key(7), &id(7));
    rig.worker.listed(&id(7)).await.unwrap();
    pass(secs(25)).await;
    assert!(rig.woken().is_empty());
    pass(MINUTE).await;
    assert_eq!(rig.woken(), keys([7]), "the next one does: the look may have ended in an error");
}

#[tokio::test(start_paused = true)]
async fn objects_that_wait_for_the_first_sweep_are_not_woken_by_it() {
    let mut rig = Rig::started(5).await;
    for number in 1..=5 {
        rig.worker.managed(&key(number), &id(number));
    }
    assert!(rig.worker.first_sweep().await);
    pass(secs(1)).await;
    assert!(rig.woken().is_empty());
    assert!(!rig.worker.stormy());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fails_wakes_nobody_is_told_and_tried_again() {
    let mut rig = Rig::settled(3).await;
    let before = rig.ec2.count(GROUPS);
    for _ in 0..7 {
        rig.ec2.next(GROUPS, Trouble::Fail(error(GROUPS, ErrorClass::Unavailable)));
    }
    pass(2 * MINUTE).await;
    let tries = rig.ec2.count(GROUPS) - before;
    assert!((5..=7).contains(&tries), "within a minute, then 1, 2, 4, 8, 16, 32 s later: {tries}");
    assert!(rig.woken().is_empty());
    assert!(rig.regions.freshness()[0].failure.as_deref().is_some_and(|told| told.contains("DescribeSecurityGroups")));
    pass(3 * MINUTE).await;
    assert_eq!(rig.regions.freshness()[0].failure, None);
    rig.ec2.put(2, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
    pass(2 * MINUTE).await;
    assert_eq!(rig.woken(), keys([2]));
}

#[tokio::test(start_paused = true)]
async fn neither_a_panic_nor_a_call_that_hangs_ends_the_sweeps() {
    for trouble in [Trouble::Panic, Trouble::Hang] {
        let mut rig = Rig::settled(3).await;
        rig.ec2.next(GROUPS, trouble);
        pass(7 * MINUTE).await;
        rig.ec2.put(2, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
        pass(2 * MINUTE).await;
        assert_eq!(rig.woken(), keys([2]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_read_does_not_blind_us_for_the_others() {
    let mut rig = Rig::settled(5).await;
    rig.ec2.unreadable(4);
    rig.ec2.put(2, rule(0x77, "ingress tcp 22 from 0.0.0.0/0", None));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([2, 4]), "the one that differs, and the one that has to tell why it cannot be read");
    let fresh = rig.regions.freshness().remove(0);
    assert!(fresh.failure.is_some() && fresh.groups == 4, "{fresh:?}");
}

#[tokio::test(start_paused = true)]
async fn where_no_group_can_be_read_nothing_was_seen() {
    let mut rig = Rig::settled(3).await;
    (1..=3).for_each(|number| rig.ec2.unreadable(number));
    let last = rig.regions.freshness()[0].last_sweep;
    pass(2 * MINUTE).await;
    let fresh = rig.regions.freshness().remove(0);
    assert!(rig.woken().is_empty() && fresh.failure.is_some() && fresh.last_sweep == last, "{fresh:?}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_ec2_refuses_is_not_asked_for_in_parts() {
    let rig = Rig::settled(3).await;
    let refusal = CloudError { code: Some("UnsupportedOperation".into()), ..error(GROUPS, ErrorClass::Terminal) };
    rig.ec2.next(GROUPS, Trouble::Fail(refusal));
    pass(MINUTE + secs(10)).await;
    assert!(rig.ec2.about(GROUPS).iter().all(|about| about == "tagged"));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_an_object_takes_on_during_a_sweep_is_not_absent_from_it() {
    let timings = Timings::default();
    let clock = Clock::anchored("2026-11-22T21:00:00Z".parse().unwrap());
    let (ledger, overlay) = (Ledger::new(super::CLUSTER.into()), Overlay::new(clock.clone(), &timings));
    let mut round = ledger.begin(clock.instant());
    ledger.compare([super::fake::group(1, []).listed()], &mut round, &overlay);
    ledger.manage(&key(1), &id(1));
    ledger.manage(&key(2), &id(2));
    let swept = ledger.finish(round, &overlay, clock.instant(), timings.overlay_limit);
    assert_eq!((swept.wake, swept.unmanaged), (keys([2]), 1));
}

#[tokio::test(start_paused = true)]
async fn all_groups_are_listed_while_one_of_ours_lacks_the_tag() {
    let rig = Rig::settled(2).await;
    rig.ec2.edit(|world| {
        let mut foreign = super::fake::group(8, []);
        foreign.facts.tags.clear();
        let mut adopted = foreign.clone();
        adopted.facts.id = id(9);
        world.groups.extend([(id(8), foreign), (id(9), adopted)]);
    });
    let last = || rig.ec2.about(GROUPS).into_iter().rfind(|about| about == "tagged" || about == "all").unwrap();
    pass(2 * MINUTE).await;
    assert_eq!((last().as_str(), rig.regions.freshness()[0].groups), ("tagged", 2));
    rig.worker.managed(&key(9), &id(9));
    let observed = rig.observe(9).await;
    rig.worker.settled(&key(9), &observed);
    pass(2 * MINUTE).await;
    assert_eq!((last().as_str(), rig.regions.freshness()[0].groups), ("all", 4));
    assert_eq!(rig.regions.freshness()[0].unmanaged, 0, "without our tag it is not ours");
    rig.ec2.edit(|world| {
        let tags = world.groups[&id(1)].facts.tags.clone();
        world.groups.get_mut(&id(9)).unwrap().facts.tags = tags;
    });
    pass(3 * MINUTE).await;
    assert_eq!(last(), "tagged", "the sweep itself saw the tag");
}

#[tokio::test(start_paused = true)]
async fn more_than_twenty_groups_that_differ_are_a_storm() {
    let mut rig = Rig::settled(50).await;
    let edit = |numbers: std::ops::RangeInclusive<u64>| {
        rig.ec2.edit(|world| {
            for number in numbers {
                world.groups.get_mut(&id(number)).unwrap().rules.clear();
            }
        });
    };
    edit(1..=20);
    pass(2 * MINUTE).await;
    assert!(!rig.worker.stormy());
    edit(21..=21);
    pass(2 * MINUTE).await;
    assert!(rig.worker.stormy());
    assert_eq!(rig.woken(), keys(1..=21));
    for number in 1..=21 {
        let observed = rig.observe(number).await;
        rig.worker.settled(&key(number), &observed);
    }
    pass(2 * MINUTE).await;
    assert!(!rig.worker.stormy());
    // After a start no sweep has anything to compare with: the looks of the objects tell.
    for number in 1..=21 {
        assert!(!rig.worker.stormy());
        rig.worker.differs(&key(number));
        rig.worker.differs(&key(number));
    }
    assert!(rig.worker.stormy());
}

#[tokio::test(start_paused = true)]
async fn a_rule_replaced_by_its_like_is_seen_by_the_deep_sweep_alone() {
    let mut rig = Rig::settled(450).await;
    pass(secs(100)).await;
    // The first deep sweep gives the ids to groups that a listing settled.
    assert_eq!(rig.ec2.about(RULES), ["200 ids", "200 ids", "50 ids"]);
    assert!(rig.woken().is_empty());
    let before = rig.ec2.count(RULES);
    rig.ec2.edit(|world| {
        let group = world.groups.get_mut(&id(7)).unwrap();
        group.rules.clear();
        let like = rule(0x77, "ingress tcp 443 from 0.0.0.0/0", Some("https"));
        group.rules.insert(like.id.clone(), like);
    });
    pass(5 * MINUTE).await;
    assert!(rig.woken().is_empty(), "a listing has no ids");
    assert_eq!(rig.ec2.count(RULES), before);
    pass(Duration::from_secs(4000)).await;
    assert_eq!(rig.woken(), keys([7]));
    assert_eq!(rig.ec2.count(RULES) - before, 3);
}

#[tokio::test(start_paused = true)]
async fn a_deep_sweep_gives_ids_only_to_the_rules_that_were_settled() {
    let timings = Timings::default();
    let clock = Clock::anchored("2026-11-22T21:00:00Z".parse().unwrap());
    let (ledger, overlay) = (Ledger::new(super::CLUSTER.into()), Overlay::new(clock.clone(), &timings));
    let well = rule(1, "ingress tcp 443 from 0.0.0.0/0", Some("https"));
    let listed = super::fake::group(1, [well.clone()]).listed();
    ledger.settled(&key(1), View::from(&listed), clock.instant());
    let other = rule(1, "ingress all from 0.0.0.0/0", Some("https"));
    let deep = |rules: &[_]| ledger.compare_deep(&id(1), rules, clock.instant(), &overlay);
    assert!(deep(std::slice::from_ref(&other)).is_empty(), "right after a start it may be a read that lags");
    pass(timings.overlay_limit).await;
    assert_eq!(deep(&[other]), keys([1]));
    assert!(deep(std::slice::from_ref(&well)).is_empty());
    assert_eq!(deep(&[rule(2, &well.atom.to_string(), Some("https"))]), keys([1]));
    assert_eq!(deep(&[]), keys([1]));
}

#[tokio::test(start_paused = true)]
async fn ids_known_from_status_make_the_first_deep_sweep_tell() {
    let mut rig = Rig::settled(2).await;
    let listed = rig.worker.listed(&id(1)).await.unwrap().unwrap();
    let ids = [rule(0x99, "egress all to ::/0", None).id].into();
    rig.worker.settled(&key(1), View::Listed { group: &listed, ids: Some(&ids) });
    let other = rig.worker.listed(&id(2)).await.unwrap().unwrap();
    let ids = [rule(2, "egress all to ::/0", None).id].into();
    rig.worker.settled(&key(2), View::Listed { group: &other, ids: Some(&ids) });
    pass(Duration::from_secs(4500)).await;
    assert_eq!(rig.woken(), keys([1]));
}

#[tokio::test(start_paused = true)]
async fn whoever_starts_while_ec2_is_out_of_reach_does_not_wait_for_the_first_sweep() {
    let rig = Rig::started(0).await;
    let ec2 = std::sync::Arc::new(Fake::default());
    ec2.next(GROUPS, Trouble::Fail(error(GROUPS, ErrorClass::Unavailable)));
    let ways = super::Ways { open: [("eu-west-2".to_owned(), ec2.clone())].into(), ..super::Ways::default() };
    let (regions, _, _woken, _) = super::regions(ways);
    let since = tokio::time::Instant::now();
    let worker = regions.worker(&super::route("eu-west-2"), &super::settings()).await.unwrap();
    assert!(!worker.first_sweep().await);
    assert!(since.elapsed() < secs(1));
    pass(secs(5)).await;
    assert!(worker.first_sweep().await, "it was tried again");

    // One that takes long is not waited for longer than is sensible.
    let ec2 = std::sync::Arc::new(Fake::default());
    ec2.delay(GROUPS, secs(50));
    let ways = super::Ways { open: [("eu-west-2".to_owned(), ec2)].into(), ..super::Ways::default() };
    let (regions, _, _woken, _) = super::regions(ways);
    let worker = regions.worker(&super::route("eu-west-2"), &super::settings()).await.unwrap();
    let since = tokio::time::Instant::now();
    assert!(!worker.first_sweep().await);
    assert_eq!(since.elapsed().as_secs(), 30);
    drop(rig);
}
