//! The author of a drift record: its texts joined with events, and all answers made one.

use sgwarden::api::{Actor, DriftAtom, DriftKind, DriftRecord, MAX_REASON};
use sgwarden::core::activity::{Event, Evidence, Nobody, What, Window};
use sgwarden::core::attribution::{Author, author, groups, is_better, is_untold};

use crate::activity::{
    added, as_text, associated, at, described, disassociated, elsewhere, event, group, listed, modified, own, removed, rule, tagged,
};

const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
const WEB: &str = "ingress tcp 443 from 0.0.0.0/0";

/// One edit: kind, before, after, and the id of its rule.
type Edit = (DriftKind, Option<&'static str>, Option<&'static str>, Option<u8>);

fn record(edits: &[Edit]) -> DriftRecord {
    let atom = |(kind, before, after, id): &Edit| DriftAtom {
        kind: kind.as_str().to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        rule_id: id.map(|id| rule(id).to_string()),
        rule: None,
    };
    DriftRecord { id: "d-1".into(), atoms: edits.iter().map(atom).collect(), count: 1, ..DriftRecord::default() }
}

fn made_by(edits: &[Edit], events: &[Event], without: Option<i64>) -> Author {
    let evidence = Evidence { events: events.iter().collect(), kept_since: None };
    author(&group(), &record(edits), Window { without: without.map(at), with: at(160) }, &evidence, &own())
}

#[track_caller]
fn told(edits: &[Edit], events: &[Event]) -> Actor {
    match made_by(edits, events, Some(100)) {
        Author::Told(actor) => *actor,
        Author::Untold(why) => panic!("nobody: {why}"),
    }
}

const ADDED: Edit = (DriftKind::Added, None, Some(SSH), Some(1));

#[test]
fn each_kind_of_drift_finds_its_call() {
    let plain = [
        (ADDED, event("e", "mira", 130, vec![added(Some(1), Some(SSH))])),
        ((DriftKind::Removed, Some(WEB), None, Some(2)), event("e", "mira", 130, vec![removed(Some(2), None)])),
        ((DriftKind::Modified, Some(WEB), Some(SSH), Some(3)), event("e", "mira", 130, vec![modified(Some(3), Some(SSH))])),
        (
            (
                DriftKind::DescriptionChanged,
                Some("ingress tcp 443 from 0.0.0.0/0 \"Web\""),
                Some("ingress tcp 443 from 0.0.0.0/0 \"say \\\"hi\\\"\""),
                Some(2),
            ),
            event("e", "mira", 130, vec![as_text(described(Some(2), Some(WEB)), "say \\\"hi\\\"")]),
        ),
        (
            (DriftKind::TagChanged, Some("tag team=shop"), Some("tag team=a=b"), None),
            event("e", "mira", 130, vec![tagged("team", "a=b")]),
        ),
        ((DriftKind::Unclassified, None, Some(SSH), Some(1)), event("e", "mira", 130, vec![added(Some(1), Some(SSH))])),
    ];
    for (edit, event) in plain {
        let actor = told(&[edit], std::slice::from_ref(&event));
        assert_eq!((actor.name.as_deref(), actor.event_id.as_deref()), (Some("mira"), Some("e")), "{edit:?}");
        assert_eq!(actor.event_time, Some(at(130).to_string()));
        assert!(actor.arn.is_some() && actor.source_ip.is_some() && actor.reason.is_none(), "{actor:?}");
    }
}

#[test]
fn two_who_may_have_done_it_are_both_listed_and_neither_is_named() {
    let edit = (DriftKind::TagChanged, None, Some("tag env=dev"), None);
    let events = [event("a", "mira", 120, vec![tagged("env", "dev")]), event("b", "jonas", 140, vec![tagged("env", "dev")])];
    let actor = told(&[edit], &events);
    assert_eq!((actor.name, actor.arn, actor.event_id), (None, None, None));
    let reason = actor.reason.unwrap();
    assert!(reason.starts_with("one of these calls, and nobody can tell which: mira (CreateTags, "), "{reason}");
    assert!(reason.contains("jonas (CreateTags, "), "{reason}");
    // Twice the same caller is that caller.
    let twice = [event("a", "mira", 120, vec![tagged("env", "dev")]), event("b", "mira", 140, vec![tagged("env", "dev")])];
    assert_eq!(told(&[edit], &twice).name.as_deref(), Some("mira"));
}

#[test]
fn several_who_each_made_a_part_are_all_named() {
    let edits = [ADDED, (DriftKind::Removed, Some(WEB), None, Some(2))];
    let events = [event("a", "mira", 120, vec![added(Some(1), Some(SSH))]), event("b", "jonas", 140, vec![removed(Some(2), None)])];
    let actor = told(&edits, &events);
    assert_eq!((actor.name.as_deref(), actor.arn), (Some("jonas and mira"), None));
    assert!(actor.reason.unwrap().starts_with("each made a part of it: "));
    assert_eq!(actor.event_name.as_deref(), Some("AuthorizeSecurityGroupIngress, RevokeSecurityGroupIngress"));
}

#[test]
fn nobody_is_named_for_what_only_a_part_is_known_of() {
    let edits = [ADDED, (DriftKind::Removed, Some(WEB), None, Some(2))];
    let actor = told(&edits, &[event("a", "mira", 120, vec![added(Some(1), Some(SSH))])]);
    assert_eq!(actor.name, None);
    let reason = actor.reason.unwrap();
    assert!(reason.starts_with("of 1 of 2 edits there are calls: mira (") && reason.contains("; of the rest: "), "{reason}");
}

#[test]
fn whoever_made_a_part_is_not_named_for_what_no_call_explains() {
    let mine = [event("a", "mira", 120, vec![added(Some(1), Some(SSH))])];
    for other in [
        (DriftKind::Added, None, Some("ingress from another release"), Some(2)),
        (DriftKind::Removed, None, None, Some(2)),
        (DriftKind::PrefixListChanged, Some("prefix list pl-1 version x"), Some("prefix list pl-1 version y"), None),
    ] {
        let actor = told(&[ADDED, other], &mine);
        assert_eq!(actor.name, None, "{other:?}");
        assert!(actor.reason.unwrap().starts_with("of 1 of 2 edits there are calls: mira ("));
    }
    let mut whole = record(&[ADDED]);
    whole.count = 31;
    let evidence = Evidence { events: mine.iter().collect(), kept_since: None };
    let window = Window { without: Some(at(100)), with: at(160) };
    let Author::Told(actor) = author(&group(), &whole, window, &evidence, &own()) else { panic!("nobody") };
    assert_eq!(actor.name.as_deref(), Some("mira"));
    assert_eq!(actor.reason.as_deref(), Some("made the edits that are listed; of the 30 others nobody is known"));
}

#[test]
fn each_version_of_a_list_has_its_call_whenever_that_was() {
    const LIST: &str = "pl-4f4f4f4f4f4f4f4f4";
    let change = |before, after| (DriftKind::PrefixListChanged, Some(before), Some(after), None);
    let two = change(
        "prefix list pl-4f4f4f4f4f4f4f4f4 (the version 9 one) version 3",
        "prefix list pl-4f4f4f4f4f4f4f4f4 (the version 9 one) version 5",
    );
    let (first, second) =
        (event("a", "mira", 20, vec![listed(LIST, Some(4))]), event("b", "jonas", 900, vec![listed(LIST, Some(5))]));
    let Author::Told(actor) = made_by(&[two], &[second.clone(), first.clone()], None) else { panic!("nobody") };
    assert_eq!((actor.name.as_deref(), actor.event_name.as_deref()), (Some("jonas and mira"), Some("ModifyManagedPrefixList")));
    let Author::Told(actor) = made_by(&[two], &[second], None) else { panic!("nobody") };
    assert_eq!(actor.name, None);
    assert!(actor.reason.unwrap().starts_with("of 1 of 2 edits there are calls: jonas ("));
    // AWS's own have no versions, and nobody's call changes them.
    let own = change("prefix list pl-4f4f4f4f4f4f4f4f4 (aws) version 0", "prefix list pl-4f4f4f4f4f4f4f4f4 (aws) version 0");
    assert!(matches!(made_by(&[own], &[first], None), Author::Untold(_)));
}

#[test]
fn an_association_finds_who_made_it_and_who_ended_it() {
    const VPC: &str = "vpc-9e9e9e9e9e9e9e9e9";
    let made = event("a", "mira", 120, vec![associated(VPC)]);
    let ended = event("b", "jonas", 140, vec![disassociated(VPC)]);
    let both = [made, ended];
    for (before, after, expected) in [
        (None, Some("association with vpc-9e9e9e9e9e9e9e9e9 (associated)"), "mira"),
        (None, Some("association with vpc-9e9e9e9e9e9e9e9e9 (association-failed)"), "mira"),
        (Some("association with vpc-9e9e9e9e9e9e9e9e9 (associated)"), None, "jonas"),
        (
            Some("association with vpc-9e9e9e9e9e9e9e9e9 (associated)"),
            Some("association with vpc-9e9e9e9e9e9e9e9e9 (disassociation-failed)"),
            "jonas",
        ),
    ] {
        let actor = told(&[(DriftKind::VpcAssociationChanged, before, after, None)], &both);
        assert_eq!(actor.name.as_deref(), Some(expected), "{before:?} {after:?}");
    }
    let edit = (DriftKind::VpcAssociationChanged, None, Some("association with vpc-9e9e9e9e9e9e9e9e9 (associated)"), None);
    assert_eq!(made_by(&[edit], &both, None), Author::Untold(Nobody::NoEarlierRead));
}

#[test]
fn what_only_may_have_been_is_told_and_the_record_stays_open_for_more() {
    let vague = event("a", "mira", 120, vec![added(None, None)]);
    let actor = told(&[ADDED], &[vague]);
    assert_eq!((actor.name.as_deref(), actor.event_name.as_deref()), (None, None));
    let mut record = record(&[ADDED]);
    let reason = actor.reason.clone().unwrap();
    assert!(reason.starts_with("perhaps by these calls, which do not say that they did just this: mira ("), "{reason}");
    record.actor = Some(actor);
    assert!(is_untold(&record), "the event that says it may still come");
}

#[test]
fn without_an_earlier_read_only_the_rules_id_names_anybody() {
    let by_id = event("a", "mira", 20, vec![added(Some(1), Some(SSH))]);
    assert!(matches!(made_by(&[ADDED], &[by_id], None), Author::Told(_)), "an id is given once");
    let by_tag = event("a", "mira", 20, vec![tagged("env", "dev")]);
    let edit = (DriftKind::TagChanged, None, Some("tag env=dev"), None);
    assert_eq!(made_by(&[edit], &[by_tag], None), Author::Untold(Nobody::NoEarlierRead), "it may have been so before, and over");
}

#[test]
fn our_own_role_without_our_request_names_nobody() {
    let mut theirs = event("a", "sgwarden", 130, vec![added(Some(1), Some(SSH))]);
    theirs.actor.arn = Some(crate::activity::SESSION.to_owned());
    let actor = told(&[ADDED], std::slice::from_ref(&theirs));
    assert_eq!((actor.name, actor.event_id), (None, None));
    assert_eq!(actor.reason.unwrap(), "made with sgwarden's own role, by a request it did not send or got no answer to");
    theirs.request_id = Some("ours".into());
    assert!(matches!(made_by(&[ADDED], &[theirs], Some(100)), Author::Untold(Nobody::OnlyOurs | Nobody::NoEvent)));
}

#[test]
fn what_cannot_be_read_of_a_record_explains_nothing_and_long_texts_stay_within_bounds() {
    let odd = (DriftKind::Added, None, Some("ingress from another release"), Some(1));
    let events = [event("a", "mira", 130, vec![added(Some(1), Some(SSH))])];
    assert_eq!(made_by(&[odd], &events, Some(100)), Author::Untold(Nobody::NoEvent));
    let edit = (DriftKind::TagChanged, None, Some("tag env=dev"), None);
    let many: Vec<Event> = (0..9).map(|n| event(&format!("e{n}"), &"é".repeat(300), 110 + n, vec![tagged("env", "dev")])).collect();
    let mut many = many;
    for (n, event) in many.iter_mut().enumerate() {
        event.actor.arn = Some(format!("arn:aws:iam::1:user/{n}"));
    }
    let reason = told(&[edit], &many).reason.unwrap();
    assert!(reason.chars().count() <= MAX_REASON, "{}", reason.chars().count());
}

#[test]
fn a_name_gives_way_to_one_that_is_known_for_better_reasons() {
    let mut record = record(&[ADDED]);
    let named = |name: Option<&str>| Actor {
        name: name.map(str::to_owned),
        event_name: Some("AuthorizeSecurityGroupIngress".into()),
        ..Actor::default()
    };
    assert!(is_better(&record, &named(Some("mira")), false), "nobody was named yet");
    record.actor = Some(named(Some("mira")));
    for (name, grown, expected) in [
        (Some("mira"), false, true),
        (Some("jonas"), true, true),
        (None, true, true),
        // What tells against them may be forgotten by now.
        (Some("jonas"), false, false),
        (None, false, false),
    ] {
        assert_eq!(is_better(&record, &named(name), grown), expected, "{name:?} {grown}");
    }
    record.actor = Some(named(None));
    assert!(!is_better(&record, &named(Some("mira")), false), "one of many");
    record.resolution = "Transient".into();
    assert!(!is_better(&record, &named(Some("jonas")), true), "its own event made it");
}

#[test]
fn a_group_that_was_deleted_is_found_by_the_id_it_had() {
    let edit = (DriftKind::GroupDeleted, Some("sg-1f2e3d4c5b6a79880"), None, None);
    let mut delete = event("a", "mira", 130, vec![added(None, None)]);
    delete.changes[0].what = What::GroupDeleted;
    delete.changes[0].group = Some(elsewhere());
    delete.groups = vec![elsewhere()];
    assert_eq!(groups(&group(), &record(&[edit])), [group(), elsewhere()].into());
    assert_eq!(told(&[edit], &[delete.clone()]).name.as_deref(), Some("mira"));
    delete.changes[0].group = Some(group());
    assert!(matches!(made_by(&[edit], &[delete], Some(100)), Author::Untold(_)), "that one is there");
}

#[test]
fn a_reason_alone_is_no_author() {
    let mut record = record(&[ADDED]);
    assert!(is_untold(&record));
    record.actor = Some(sgwarden::core::attribution::unknown("no event"));
    assert!(is_untold(&record));
    record.actor = Some(told(&[ADDED], &[event("e", "mira", 130, vec![added(Some(1), Some(SSH))])]));
    assert!(!is_untold(&record));
}
