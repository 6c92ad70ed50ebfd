//! Drift records over several passes: each edit in one record, from when it is seen to its end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use sgwarden::api::{DriftRecord, MAX_DRIFT, MAX_DRIFT_ATOMS, MAX_DRIFT_UNLISTED, Mode, Notified, UndeclaredRules};
use sgwarden::core::desired::Toleration;
use sgwarden::core::model::{Direction, LiveRule};
use sgwarden::core::plan::{Cause, Difference, Report, What};
use sgwarden::core::status::{ListChange, Reason, Standing, Tracking, is_open, note_association_changes, note_list_changes, track};

use crate::cloud::rule_id;
use crate::status::{SSH, Watched, failed, progressing};
use crate::worlds::few;

#[test]
fn a_drift_is_pending_until_it_is_put_right_and_then_kept() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.intrude(SSH);
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    let first = watched.status.drift[0].clone();
    assert_eq!(first.detected_at.as_deref(), Some("2026-12-24T18:01:00Z"));
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.drift, std::slice::from_ref(&first), "still the same drift");
    watched.repair();
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reverted", false)]);
    let reverted = watched.status.drift[0].clone();
    assert_eq!((reverted.id.as_str(), reverted.detected_at), (first.id.as_str(), first.detected_at));
    assert_eq!(reverted.resolved_at.as_deref(), Some("2026-12-24T18:03:00Z"));
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reverted", false)], "nothing new");
}

#[test]
fn the_same_edit_made_again_is_another_drift() {
    let mut watched = Watched::new(Mode::Enforce);
    for _ in 0..2 {
        watched.intrude(SSH);
        watched.look(progressing());
        watched.repair();
        watched.look(Standing::Done);
    }
    assert_eq!(watched.resolutions(), [("Reverted", false), ("Reverted", false)]);
    assert_ne!(watched.status.drift[0].id, watched.status.drift[1].id);
}

#[test]
fn in_observe_mode_a_drift_is_reported_until_whoever_made_it_takes_it_back() {
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude(SSH);
    watched.look(Standing::Done);
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reported", true)]);
    assert_eq!(watched.says("Drifted"), "True/DriftReported");
    let plan = watched.status.plan.as_ref().expect("what would be done is in status");
    assert_eq!(
        (plan.count, plan.steps.as_slice()),
        (Some(1), ["revoke ingress tcp 22 from 0.0.0.0/0 (Drift)".to_owned()].as_slice())
    );
    watched.repair();
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reported", false)]);
    assert_eq!(watched.says("Drifted"), "False/NoDrift");
    assert_eq!(watched.status.plan, None);
}

#[test]
fn a_drift_that_was_left_alone_is_pending_once_it_may_be_put_right() {
    let observed: fn(&mut Watched) = |watched| watched.policy.mode = Mode::Observe;
    let reported: fn(&mut Watched) = |watched| watched.policy.undeclared = UndeclaredRules::Report;
    let suspended: fn(&mut Watched) = |watched| watched.suspend(5);
    for (restrain, resolution) in [(observed, "Reported"), (reported, "Reported"), (suspended, "Suspended")] {
        let mut watched = Watched::new(Mode::Enforce);
        restrain(&mut watched);
        watched.intrude(SSH);
        watched.look(Standing::Done);
        assert_eq!(watched.resolutions(), [(resolution, true)]);
        (watched.policy.mode, watched.policy.undeclared) = (Mode::Enforce, UndeclaredRules::Revoke);
        watched.wait(300);
        watched.look(progressing());
        assert_eq!(watched.resolutions(), [("Pending", true)]);
        watched.repair();
        watched.look(Standing::Done);
        assert_eq!(watched.resolutions(), [("Reverted", false)]);
    }
}

#[test]
fn what_is_put_right_and_what_is_left_alone_are_two_records() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.policy.undeclared = UndeclaredRules::Report;
    watched.intrude(SSH);
    watched.remove("ingress tcp 443 from 0.0.0.0/0");
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true), ("Reported", true)]);
    assert_ne!(watched.status.drift[0].id, watched.status.drift[1].id);
    watched.world.cloud.authorize(&"ingress tcp 443 from 0.0.0.0/0".parse().unwrap(), Some("Allow HTTPS")).unwrap();
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reverted", false), ("Reported", true)]);
}

#[test]
fn a_drift_that_the_manifest_comes_to_tolerate_was_not_put_right() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.intrude(SSH);
    watched.look(failed(Reason::PermissionDenied));
    let traffic = vec!["tcp 22".parse().unwrap()];
    // So is one that is kept with all others.
    let mut keeping = Watched::new(Mode::Enforce);
    keeping.intrude(SSH);
    keeping.look(failed(Reason::PermissionDenied));
    keeping.policy.undeclared = UndeclaredRules::Keep;
    keeping.look(Standing::Done);
    assert_eq!(keeping.resolutions(), [("Tolerated", false)]);
    watched.policy.tolerate = vec![Toleration { direction: Direction::Ingress, peer: None, traffic, description_prefix: None }];
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Tolerated", false)]);
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Tolerated", false)]);
}

#[test]
fn a_drift_that_the_manifest_comes_to_declare_was_not_put_right() {
    let declare = |watched: &mut Watched, atom: &str| {
        let declared = watched.desired.rules.iter().next().unwrap().1.clone();
        watched.desired.rules.declare(atom.parse().unwrap(), declared);
    };
    // An addition that is declared now, a removal that nobody misses any more, a text that became the declared one.
    let mut watched = Watched::new(Mode::Enforce);
    watched.intrude(SSH);
    watched.look(failed(Reason::PermissionDenied));
    declare(&mut watched, SSH);
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Declared", false)]);

    let mut watched = Watched::new(Mode::Enforce);
    watched.remove("ingress tcp 443 from 0.0.0.0/0");
    watched.look(failed(Reason::PermissionDenied));
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    watched.desired.rules = sgwarden::core::model::RuleSet::default();
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Declared", false)]);

    let mut watched = Watched::new(Mode::Observe);
    watched.world.cloud.rules.values_mut().for_each(|rule| rule.description = Some("Allow all".to_owned()));
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reported", true)]);
    let (atom, mut declared) =
        watched.desired.rules.iter().next().map(|(atom, declared)| (atom.clone(), declared.clone())).unwrap();
    watched.desired.rules = sgwarden::core::model::RuleSet::default();
    declared.description = Some("Allow all".to_owned());
    watched.desired.rules.declare(atom, declared);
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Declared", false)]);
}

#[test]
fn a_text_that_is_edited_in_the_manifest_meanwhile_makes_no_other_drift_of_one() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.world.cloud.rules.values_mut().for_each(|rule| rule.description = Some("Edited".to_owned()));
    watched.look(failed(Reason::Throttled));
    let first = watched.status.drift.clone();
    let (atom, mut declared) =
        watched.desired.rules.iter().next().map(|(atom, declared)| (atom.clone(), declared.clone())).unwrap();
    watched.desired.rules = sgwarden::core::model::RuleSet::default();
    declared.description = Some("Another text".to_owned());
    watched.desired.rules.declare(atom, declared);
    watched.look(failed(Reason::Throttled));
    assert_eq!(watched.status.drift, first);
}

#[test]
fn tags_that_mark_the_group_as_ours_are_put_right_not_declared() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.world.cloud.tags().remove("sgwarden.dev/owner");
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    watched.repair();
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reverted", false)]);
}

#[test]
fn a_group_that_was_deleted_is_there_again_when_its_rules_are() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.world.cloud.group = None;
    watched.world.cloud.rules.clear();
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    assert_eq!(watched.status.drift[0].atoms[0].kind, "GroupDeleted");
    // Created, and no rule is in it yet.
    let desired = watched.desired.clone();
    watched.world.crash(&desired, 1);
    watched.look(progressing());
    assert_eq!(watched.resolutions(), [("Pending", true)]);
    watched.repair();
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reverted", false)]);
}

#[test]
fn what_became_of_a_drift_whose_baseline_is_lost_nobody_can_tell() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.intrude(SSH);
    watched.look(progressing());
    watched.world.vouched = None;
    let report = watched.world.plan(&watched.desired).report;
    let records = track(&watched.status.drift, &report, Tracking { lost: true, ..watched.tracking() });
    assert_eq!((records.len(), records[0].resolution.as_str(), is_open(&records[0])), (1, "Unknown", false));
}

// More than a record lists --------------------------------------------------------------------------------------------

#[test]
fn a_record_lists_twenty_edits_and_counts_all() {
    let mut watched = Watched::new(Mode::Observe);
    (1..=25).for_each(|port| watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0")));
    watched.look(Standing::Done);
    watched.look(Standing::Done);
    let [record] = watched.status.drift.as_slice() else { panic!("one record: {:?}", watched.status.drift) };
    assert_eq!((record.atoms.len(), record.count), (MAX_DRIFT_ATOMS, 25));
    watched.intrude("egress udp 53 to 0.0.0.0/0");
    watched.look(Standing::Done);
    let newest = &watched.status.drift[0];
    assert_eq!(newest.atoms.len(), 1);
    assert_eq!(newest.atoms[0].after.as_deref(), Some("egress udp 53 to 0.0.0.0/0"));
    assert_eq!(watched.status.drift.len(), 2);
}

#[test]
fn edits_that_take_the_place_of_others_are_noticed() {
    let mut watched = Watched::new(Mode::Observe);
    (1..=25).for_each(|port| watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0")));
    watched.look(Standing::Done);
    let listed: BTreeSet<String> = watched.status.drift[0].atoms.iter().filter_map(|atom| atom.after.clone()).collect();
    let unlisted: Vec<String> =
        (1..=25).map(|port| format!("ingress tcp {port} from 0.0.0.0/0")).filter(|atom| !listed.contains(atom)).collect();
    // As many go as come: a count does not tell them apart.
    for (port, gone) in (101..).zip(&unlisted) {
        watched.remove(gone);
        watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0"));
    }
    watched.look(Standing::Done);
    let counts: Vec<i32> = watched.status.drift.iter().map(|record| record.count).collect();
    assert_eq!(counts, [5, 25]);
    // Those that are listed go, the others stay: it is the same drift still.
    let mut watched = Watched::new(Mode::Observe);
    (1..=25).for_each(|port| watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0")));
    watched.look(Standing::Done);
    for atom in &listed {
        watched.remove(atom);
    }
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reported", true)]);
    for atom in &unlisted {
        watched.remove(atom);
    }
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reported", false)]);
}

#[test]
fn edits_beyond_what_a_record_can_know_make_no_new_one_at_every_look() {
    let many = u32::try_from(MAX_DRIFT_ATOMS + MAX_DRIFT_UNLISTED + 180).unwrap();
    let watched = Watched::new(Mode::Observe);
    let mut live: BTreeSet<u32> = (0..many).collect();
    let first = track(&[], &drifting(&watched, &live), watched.tracking());
    assert_eq!(track(&first, &drifting(&watched, &live), watched.tracking()), first);
    live.insert(many);
    let second = track(&first, &drifting(&watched, &live), watched.tracking());
    assert_eq!(second.len(), 2, "one more than was counted");
    assert_eq!(track(&second, &drifting(&watched, &live), watched.tracking()), second);
    // What is left is something that no record knows by name.
    let known: BTreeSet<u32> = (0..many - 1).collect();
    let last = live.difference(&known).copied().collect();
    assert!(track(&first, &drifting(&watched, &last), watched.tracking()).iter().any(is_open));
    assert!(!track(&first, &drifting(&watched, &BTreeSet::new()), watched.tracking()).iter().any(is_open));
}

#[test]
fn a_record_of_a_release_that_wrote_no_digests_goes_on() {
    let mut watched = Watched::new(Mode::Observe);
    (1..=25).for_each(|port| watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0")));
    watched.look(Standing::Done);
    watched.status.drift[0].unlisted = None;
    watched.look(Standing::Done);
    assert_eq!(watched.resolutions(), [("Reported", true)]);
}

// More than ten records -----------------------------------------------------------------------------------------------

#[test]
fn ten_records_are_kept_and_open_ones_outlive_resolved_ones() {
    let mut watched = Watched::new(Mode::Observe);
    watched.intrude("ingress tcp 1 from 0.0.0.0/0");
    watched.look(Standing::Done);
    let oldest = watched.status.drift[0].id.clone();
    for _ in 0..15 {
        watched.intrude("ingress tcp 2 from 0.0.0.0/0");
        watched.look(Standing::Done);
        watched.remove("ingress tcp 2 from 0.0.0.0/0");
        watched.look(Standing::Done);
    }
    assert_eq!(watched.status.drift.len(), MAX_DRIFT);
    let open: Vec<&str> = watched.status.drift.iter().filter(|record| is_open(record)).map(|record| record.id.as_str()).collect();
    assert_eq!(open, [oldest.as_str()]);
    let times: Vec<_> = watched.status.drift.iter().map(|record| record.detected_at.clone()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "newest first: {times:?}");
}

#[test]
fn of_more_open_records_than_ten_the_oldest_become_one() {
    let mut watched = Watched::new(Mode::Observe);
    for port in 1..=14 {
        watched.intrude(&format!("ingress tcp {port} from 0.0.0.0/0"));
        watched.look(Standing::Done);
    }
    let counts: Vec<i32> = watched.status.drift.iter().map(|record| record.count).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 5]);
    let oldest = watched.status.drift[9].clone();
    assert_eq!(oldest.detected_at.as_deref(), Some("2026-12-24T18:01:00Z"));
    let before = watched.look(Standing::Done);
    assert_eq!(watched.status, before, "nothing is lost, so nothing is found again");
    (1..=5).for_each(|port| watched.remove(&format!("ingress tcp {port} from 0.0.0.0/0")));
    watched.look(Standing::Done);
    assert!(!is_open(watched.status.drift.iter().find(|record| record.id == oldest.id).unwrap()));
}

/// A report of rules that somebody added, by the numbers of their ids.
fn drifting(watched: &Watched, live: &BTreeSet<u32>) -> Report {
    let mut report = watched.world.plan(&watched.desired).report;
    let added = |number: &u32| Difference {
        what: What::Extra {
            live: LiveRule {
                id: rule_id(*number),
                atom: format!("ingress tcp {} from 10.0.0.0/8", number % 65_536).parse().unwrap(),
                description: None,
            },
            rule: None,
            was: None,
        },
        cause: Cause::Drift,
        held: None,
    };
    report.differences = live.iter().map(added).collect();
    report
}

proptest! {
    // Every step hashes every edit, and a debug build does that slowly.
    #![proptest_config(ProptestConfig { cases: few().cases / 4, ..few() })]

    /// An oracle that remembers everything: which edit is in which record.
    #[test]
    fn every_edit_is_in_one_record_and_that_is_open_while_any_of_its_edits_is_there(
        steps in prop::collection::vec((0_usize..30, prop::collection::vec(any::<prop::sample::Index>(), 0..30)), 1..20)
    ) {
        let watched = Watched::new(Mode::Observe);
        let mut live: BTreeSet<u32> = BTreeSet::new();
        let mut members: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let mut records: Vec<DriftRecord> = Vec::new();
        let mut next = 0_u32;
        for (minute, (added, gone)) in (0..).zip(steps) {
            for index in gone {
                let all: Vec<u32> = live.iter().copied().collect();
                if !all.is_empty() {
                    live.remove(index.get(&all));
                }
            }
            let new: BTreeSet<u32> = (next..).take(added).collect();
            next += u32::try_from(added).unwrap();
            live.extend(&new);
            let told = ids(&records);
            let mut with = Tracking { told: &told, ..watched.tracking() };
            with.now = with.now.checked_add(jiff::SignedDuration::from_mins(minute)).unwrap();
            let after = track(&records, &drifting(&watched, &live), with);
            prop_assert!(after.len() <= MAX_DRIFT);
            let fresh: Vec<&DriftRecord> = after.iter().filter(|record| !members.contains_key(&record.id)).collect();
            prop_assert_eq!(fresh.len(), usize::from(added > 0), "a record for what is new, and no other");
            if let Some(record) = fresh.first() {
                prop_assert_eq!(record.count, i32::try_from(added).unwrap());
                members.insert(record.id.clone(), new);
            }
            // What is open and not there any more went into the oldest open one.
            let lost: Vec<String> = records
                .iter()
                .filter(|record| after.iter().all(|known| known.id != record.id))
                .filter(|record| is_open(record) && members[&record.id].iter().any(|number| live.contains(number)))
                .map(|record| record.id.clone())
                .collect();
            for id in lost {
                let heir = after.last().unwrap();
                prop_assert!(is_open(heir));
                let theirs = members[&id].clone();
                members.get_mut(&heir.id).unwrap().extend(theirs);
            }
            for record in &after {
                let there = members[&record.id].iter().any(|number| live.contains(number));
                prop_assert_eq!(is_open(record), there, "{:?}", record);
                prop_assert_eq!(usize::try_from(record.count).unwrap(), members[&record.id].len());
            }
            let known: BTreeSet<u32> =
                after.iter().filter(|record| is_open(record)).flat_map(|record| members[&record.id].clone()).collect();
            prop_assert!(live.is_subset(&known), "none is lost");
            let again = track(&after, &drifting(&watched, &live), with);
            prop_assert_eq!(&again, &after, "a second look finds nothing");
            records = after;
        }
    }
}

// Those who are told -----------------------------------------------------------------------------------------------------

fn ids(records: &[DriftRecord]) -> BTreeSet<String> {
    records.iter().map(|record| record.id.clone()).collect()
}

/// Edits that are seen a minute each and gone the next, and what is left of them in the records.
fn edits_one_after_the_other(count: u32, told: impl Fn(&[DriftRecord]) -> BTreeSet<String>) -> Vec<DriftRecord> {
    let watched = Watched::new(Mode::Observe);
    let mut records: Vec<DriftRecord> = Vec::new();
    for number in 0..count {
        let told = told(&records);
        let mut with = Tracking { told: &told, ..watched.tracking() };
        with.now = with.now.checked_add(jiff::SignedDuration::from_mins(number.into())).unwrap();
        records = track(&records, &drifting(&watched, &BTreeSet::from([number])), with);
        assert!(records.len() <= MAX_DRIFT);
    }
    records
}

#[test]
fn what_somebody_waits_to_hear_of_becomes_one_and_does_not_go() {
    let told = edits_one_after_the_other(30, ids);
    assert_eq!(told.iter().map(|record| record.count).sum::<i32>(), 10, "the newest");
    let untold = edits_one_after_the_other(30, |_| BTreeSet::new());
    assert_eq!(untold.iter().map(|record| record.count).sum::<i32>(), 30);
    assert!(is_open(&untold[0]) && !untold[1..].iter().any(is_open), "what is over is not mixed with what is not");
    let mut times: Vec<_> = untold.iter().map(|record| record.detected_at.clone()).collect();
    times.reverse();
    assert!(times.is_sorted(), "newest first");
    // The one that was told last is the one that goes.
    let but_one = edits_one_after_the_other(11, |records| ids(&records[records.len().saturating_sub(1)..]));
    assert!(but_one.iter().all(|record| record.count == 1));
}

#[test]
fn a_record_of_two_was_heard_of_by_those_who_heard_of_both() {
    let mut records = edits_one_after_the_other(10, ids);
    let told = |names: &[&str], with_end: bool| -> Vec<Notified> {
        names.iter().map(|name| Notified { notifier: (*name).to_owned(), at: None, with_actor: true, with_end }).collect()
    };
    (records[9].notified, records[8].notified) = (told(&["a", "b"], true), told(&["b", "c"], false));
    records.insert(0, DriftRecord { id: "d-new".to_owned(), ..records[0].clone() });
    sgwarden::core::status::evict(&mut records, &BTreeSet::new());
    assert_eq!(records.last().unwrap().notified, told(&["b"], false));
}

// Prefix lists --------------------------------------------------------------------------------------------------------

#[test]
fn a_prefix_list_that_changed_is_told_once_and_is_not_waited_for() {
    let watched = Watched::new(Mode::Enforce);
    let change = ListChange { id: "pl-0a1b2c3d".parse().unwrap(), name: "corp".to_owned(), before: 3, after: 4 };
    let records = note_list_changes(&[], std::slice::from_ref(&change), watched.tracking());
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert!(!is_open(record));
    assert_eq!((record.resolution.as_str(), record.atoms[0].kind.as_str()), ("Reported", "PrefixListChanged"));
    assert_eq!(
        sgwarden::core::status::describe(record),
        "changed prefix list pl-0a1b2c3d (corp) version 3 to prefix list pl-0a1b2c3d (corp) version 4"
    );
    assert_eq!(note_list_changes(&records, std::slice::from_ref(&change), watched.tracking()), records, "after a restart");
    let later = ListChange { before: 4, after: 5, ..change };
    assert_eq!(note_list_changes(&records, &[later], watched.tracking()).len(), 2);
}

// VPC associations ----------------------------------------------------------------------------------------------------

#[test]
fn associations_that_come_go_and_change_are_told_each_time() {
    let watched = Watched::new(Mode::Enforce);
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let before = lines(&["vpc-0a1b2c3d associated", "vpc-0a1b2c3e associating", "vpc-0a1b2c3f associated"]);
    let after = lines(&["vpc-0a1b2c3e associated", "vpc-0a1b2c3f associated", "vpc-0a1b2c40 associated"]);
    let records = note_association_changes(&[], &before, &after, watched.tracking());
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert!(!is_open(record));
    assert_eq!((record.resolution.as_str(), record.atoms[0].kind.as_str()), ("Reported", "VpcAssociationChanged"));
    assert_eq!(
        sgwarden::core::status::describe(record),
        "removed association with vpc-0a1b2c3d (associated); changed association with vpc-0a1b2c3e (associating) to association with \
         vpc-0a1b2c3e (associated); added association with vpc-0a1b2c40 (associated)"
    );
    assert_eq!(note_association_changes(&records, &after, &after, watched.tracking()), records);
    let back = note_association_changes(&records, &after, &before, watched.tracking());
    let again = note_association_changes(&back, &before, &after, watched.tracking());
    assert_eq!(again.len(), 3, "the same edit made again is another edit");
}
