//! Prefix lists in use.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::model::{PrefixListFacts, PrefixListId, Weight};
use crate::ports::cloud::ErrorClass;

use super::fake::{Trouble, error};
use super::{MINUTE, Rig, key, keys, pass, secs};

const LISTS: &str = "DescribeManagedPrefixLists";

fn list(number: u64) -> PrefixListId {
    format!("pl-{number:017x}").parse().unwrap()
}

fn facts(number: u64, version: i64, entries: u32) -> PrefixListFacts {
    PrefixListFacts {
        id: list(number),
        name: format!("list-{number}"),
        owner: Some("111122223333".parse().unwrap()),
        weight: Weight { ipv4: entries, ipv6: 0 },
        version: Some(version),
    }
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<PrefixListId> {
    numbers.into_iter().map(list).collect()
}

async fn rig(lists: u64) -> Rig {
    let rig = Rig::settled(3).await;
    rig.ec2.edit(|world| world.lists = (1..=lists).map(|number| facts(number, 1, 10)).collect());
    rig
}

fn set(rig: &Rig, facts: PrefixListFacts) {
    rig.ec2.edit(|world| {
        world.lists.retain(|list| list.id != facts.id);
        world.lists.push(facts);
    });
}

#[tokio::test(start_paused = true)]
async fn customer_lists_in_use_cost_one_call_a_hundred_a_sweep_and_aws_own_none() {
    let mut rig = rig(150).await;
    let aws = PrefixListFacts { owner: None, version: None, ..facts(500, 0, 55) };
    set(&rig, aws.clone());
    let known = rig.worker.prefix_lists(&key(1), &ids(1..=150), &BTreeMap::new()).await.unwrap();
    assert_eq!(known.len(), 150);
    let known = rig.worker.prefix_lists(&key(2), &ids([1, 500, 999]), &BTreeMap::new()).await.unwrap();
    assert_eq!(known.into_values().collect::<Vec<_>>(), [facts(1, 1, 10), aws], "one that does not exist is left out");
    assert_eq!(rig.ec2.about(LISTS), ["100 ids", "50 ids", "2 ids"], "what is known is not asked for again");
    pass(MINUTE + secs(10)).await;
    let sweep = &rig.ec2.about(LISTS)[3..];
    assert!(sweep.starts_with(&["100 ids".to_owned(), "50 ids".to_owned()]), "{sweep:?}");
    rig.worker.forget(&key(1));
    pass(3 * MINUTE).await;
    assert_eq!(rig.ec2.about(LISTS).last().map(String::as_str), Some("1 ids"), "only what somebody uses");
    assert!(rig.woken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_version_wakes_who_uses_the_list_and_is_told_until_it_is_noted() {
    let mut rig = rig(2).await;
    for (number, lists) in [(1, vec![1, 2]), (2, vec![2]), (3, vec![])] {
        rig.worker.prefix_lists(&key(number), &ids(lists), &BTreeMap::new()).await.unwrap();
    }
    set(&rig, facts(1, 2, 10));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([1]));
    let told = rig.worker.list_changes(&key(1));
    assert_eq!(
        told.iter().map(|change| (change.before, change.after.clone())).collect::<Vec<_>>(),
        [(facts(1, 1, 10).mark(), facts(1, 2, 10))]
    );
    assert_eq!(rig.worker.list_changes(&key(1)), told, "until it is noted: the pass may have failed");

    // It changes again before the object has taken note of the first change.
    set(&rig, facts(1, 3, 20));
    pass(MINUTE + secs(10)).await;
    rig.worker.noted_list_changes(&key(1), &told);
    let rest = rig.worker.list_changes(&key(1));
    assert_eq!((rest[0].before.version, rest[0].after.version, rest.len()), (Some(2), Some(3), 1));
    rig.worker.noted_list_changes(&key(1), &rest);
    assert!(rig.worker.list_changes(&key(1)).is_empty() && rig.worker.list_changes(&key(2)).is_empty());
    assert_eq!(rig.woken(), keys([1]));
    pass(3 * MINUTE).await;
    assert!(rig.woken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_grows_without_a_new_version_is_told_too() {
    let mut rig = rig(1).await;
    rig.worker.prefix_lists(&key(1), &ids([1]), &BTreeMap::new()).await.unwrap();
    set(&rig, facts(1, 1, 60));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([1]));
    let known = rig.worker.prefix_lists(&key(1), &ids([1]), &BTreeMap::new()).await.unwrap();
    assert_eq!(known[&list(1)].weight.ipv4, 60);
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_does_not_take_a_version_back() {
    let mut rig = rig(1).await;
    rig.worker.prefix_lists(&key(1), &ids([1]), &BTreeMap::new()).await.unwrap();
    set(&rig, facts(1, 2, 10));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([1]));
    set(&rig, facts(1, 1, 10));
    pass(MINUTE + secs(10)).await;
    assert!(rig.woken().is_empty());
    assert_eq!(rig.worker.list_changes(&key(1))[0].after.version, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_list_no_longer_used_is_no_news() {
    let mut rig = rig(2).await;
    rig.worker.prefix_lists(&key(1), &ids([1, 2]), &BTreeMap::new()).await.unwrap();
    set(&rig, facts(1, 2, 10));
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([1]));
    rig.worker.prefix_lists(&key(1), &ids([2]), &BTreeMap::new()).await.unwrap();
    assert!(rig.worker.list_changes(&key(1)).is_empty());
    // Used again later, it is known as it is then.
    pass(2 * MINUTE).await;
    set(&rig, facts(1, 5, 10));
    let known = rig.worker.prefix_lists(&key(1), &ids([1, 2]), &BTreeMap::new()).await.unwrap();
    assert_eq!(known[&list(1)].version, Some(5));
    assert!(rig.worker.list_changes(&key(1)).is_empty() && rig.woken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lists_that_cannot_be_read_do_not_spoil_the_sweep() {
    let mut rig = rig(1).await;
    rig.worker.prefix_lists(&key(1), &ids([1]), &BTreeMap::new()).await.unwrap();
    for _ in 0..3 {
        rig.ec2.next(LISTS, Trouble::Fail(error(LISTS, ErrorClass::Permission)));
    }
    rig.ec2.edit(|world| world.groups.get_mut(&super::id(2)).unwrap().rules.clear());
    pass(MINUTE + secs(10)).await;
    assert_eq!(rig.woken(), keys([2]));
    let failure = rig.regions.freshness().remove(0).failure.unwrap();
    assert!(failure.contains("ec2:DescribeManagedPrefixLists"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn lists_are_found_by_name_and_kept_for_a_while() {
    let rig = rig(2).await;
    assert!(rig.worker.prefix_list_named("none").await.unwrap().is_empty());
    for _ in 0..3 {
        assert_eq!(rig.worker.prefix_list_named("list-2").await.unwrap(), [facts(2, 1, 10)]);
    }
    assert_eq!(rig.ec2.about(LISTS), ["none", "list-2"]);
}
