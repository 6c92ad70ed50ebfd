//! Which event made a difference: a table over kinds of drift and what is known of events.

use sgwarden::core::activity::{
    Attribution, By, Drift, Drifted, Event, Evidence, Failure, Nobody, TagEdit, What, Window, attribute, parse,
};

use super::{
    SESSION, added, as_text, associated, at, atom, described, disassociated, elsewhere, event, failing, group, listed, message,
    modified, own, removed, rule, tagged, untagged,
};

const LIST: &str = "pl-4f4f4f4f4f4f4f4f4";
const A: &str = "ingress tcp 22 from 0.0.0.0/0";
const B: &str = "ingress tcp 443 from 0.0.0.0/0";
const OUT: &str = "egress tcp 22 to 0.0.0.0/0";

fn drifted(drift: Drift, id: Option<u8>) -> Drifted {
    Drifted { drift, rule_id: id.map(rule), window: Window { without: Some(at(100)), with: at(160) } }
}

fn said(drifted: &Drifted, events: &[Event]) -> String {
    with(drifted, events, None)
}

fn with(drifted: &Drifted, events: &[Event], since: Option<i64>) -> String {
    let evidence = Evidence { events: events.iter().collect(), kept_since: since.map(at) };
    let own = own();
    let names = |events: &[&Event]| events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>().join(" or ");
    match attribute(&group(), std::slice::from_ref(drifted), &evidence, &own).as_slice() {
        [Attribution::Named(event, by)] => format!("{} by {by}", event.id),
        [Attribution::Trace(events, by)] => format!("perhaps {} by {by}", names(events)),
        [Attribution::Tie(events, by)] => format!("tie of {} by {by}", names(events)),
        [Attribution::OwnRole(events, by)] => format!("own role {} by {by}", names(events)),
        [Attribution::Nobody(reason)] => <&str>::from(reason).to_owned(),
        other => panic!("{other:?}"),
    }
}

fn extra() -> Drifted {
    drifted(Drift::Added(atom(A)), Some(1))
}

#[test]
fn a_rules_id_names_its_event_at_any_time() {
    let by_id = event("id", "mira", 130, vec![added(Some(1), Some(A))]);
    let old = Event { time: at(-3000), ..by_id.clone() };
    let by_atom = event("atom", "tomasz", 130, vec![added(None, Some(A))]);
    assert_eq!(said(&extra(), std::slice::from_ref(&by_id)), "id by RuleId");
    assert_eq!(said(&extra(), &[by_id, by_atom.clone()]), "id by RuleId");
    assert_eq!(said(&extra(), &[old, by_atom.clone()]), "id by RuleId", "ids are never used again");
    assert_eq!(said(&extra(), &[by_atom]), "atom by Identity");
    let gone = drifted(Drift::Removed(atom(A)), Some(1));
    assert_eq!(said(&gone, &[event("id", "mira", 130, vec![removed(Some(1), None)])]), "id by RuleId");
}

#[test]
fn another_rules_id_is_another_rule() {
    let other = event("other", "mira", 130, vec![added(Some(2), Some(A))]);
    assert_eq!(said(&extra(), std::slice::from_ref(&other)), "SomethingElse");
    let unknown = Drifted { rule_id: None, ..extra() };
    assert_eq!(said(&unknown, &[other]), "other by Identity", "unless nobody knows the id");
}

#[test]
fn identity_counts_only_in_the_time_in_question_give_or_take_the_slack() {
    for (seconds, expected) in
        [(94, "NoEvent"), (95, "x by Identity"), (100, "x by Identity"), (165, "x by Identity"), (166, "NoEvent")]
    {
        assert_eq!(said(&extra(), &[event("x", "mira", seconds, vec![added(None, Some(A))])]), expected, "{seconds}");
    }
    let mut open = extra();
    open.window.without = None;
    assert_eq!(said(&open, &[event("x", "mira", -3000, vec![added(None, Some(A))])]), "x by Identity");
}

#[test]
fn the_direction_and_the_kind_must_be_right() {
    let egress = Drifted { rule_id: None, ..drifted(Drift::Added(atom(OUT)), None) };
    assert_eq!(said(&egress, &[event("x", "mira", 130, vec![added(None, Some(A))])]), "SomethingElse");
    assert_eq!(said(&egress, &[event("x", "mira", 130, vec![added(None, None)])]), "SomethingElse", "ingress cannot do it");
    assert_eq!(said(&extra(), &[event("x", "mira", 130, vec![removed(Some(1), Some(A))])]), "SomethingElse");
    assert_eq!(said(&extra(), &[event("x", "mira", 130, vec![described(Some(1), Some(A))])]), "SomethingElse");
}

#[test]
fn a_change_in_place_explains_what_it_made_and_what_it_unmade() {
    let change = event("m", "mira", 130, vec![modified(Some(1), Some(B))]);
    assert_eq!(said(&drifted(Drift::Modified(atom(B)), Some(1)), std::slice::from_ref(&change)), "m by RuleId");
    assert_eq!(
        said(&drifted(Drift::Removed(atom(A)), Some(1)), std::slice::from_ref(&change)),
        "perhaps m by RuleId",
        "somebody else may have made it another before"
    );
    assert_eq!(said(&drifted(Drift::Added(atom(B)), Some(1)), std::slice::from_ref(&change)), "m by RuleId");
    assert_eq!(said(&drifted(Drift::Removed(atom(B)), Some(1)), std::slice::from_ref(&change)), "SomethingElse");
    assert_eq!(
        said(&drifted(Drift::Removed(atom(A)), None), std::slice::from_ref(&change)),
        "perhaps m by Group",
        "from what is not said"
    );
    let out = "egress tcp 443 to 0.0.0.0/0";
    assert_eq!(
        said(&drifted(Drift::Modified(atom(out)), Some(1)), std::slice::from_ref(&change)),
        "m by RuleId",
        "it may be either way"
    );
    let early = Event { time: at(10), ..change };
    assert_eq!(said(&drifted(Drift::Modified(atom(B)), Some(1)), &[early]), "NoEvent", "a rule is modified more than once");
}

#[test]
fn of_two_changes_of_one_rule_the_one_that_made_what_is_found_is_named() {
    let first = event("first", "mira", 120, vec![added(Some(1), Some(B))]);
    let second = event("second", "tomasz", 140, vec![modified(Some(1), Some(A))]);
    assert_eq!(said(&extra(), &[first.clone(), second]), "second by RuleId");
    assert_eq!(said(&extra(), &[first]), "perhaps first by RuleId", "it made another rule: the event of who made this one is lost");
}

#[test]
fn equal_candidates_name_nobody() {
    let one = event("one", "mira", 120, vec![added(None, Some(A))]);
    let two = event("two", "tomasz", 140, vec![added(None, Some(A))]);
    let same = event("two", "mira", 140, vec![added(None, Some(A))]);
    assert_eq!(said(&extra(), &[two.clone(), one.clone()]), "tie of one or two by Identity");
    let caller = |events: &[&Event]| {
        let evidence = Evidence { events: events.to_vec(), kept_since: None };
        let found = attribute(&group(), &[extra()], &evidence, &own());
        found[0].actor().map(|actor| actor.name.clone())
    };
    assert_eq!(caller(&[&one, &two]), None);
    assert_eq!(caller(&[&one, &same]), Some("mira".into()), "whichever it was, it was the same caller");
}

#[test]
fn failed_calls_dry_runs_and_our_own_name_nobody() {
    let by_id = event("id", "mira", 130, vec![added(Some(1), Some(A))]);
    for failure in [Failure::DryRun, Failure::Denied("X".into()), Failure::Refused("X".into())] {
        assert_eq!(said(&extra(), &[failing(by_id.clone(), failure)]), "OnlyFailed");
    }
    let ours = Event { request_id: Some("ours".into()), ..by_id.clone() };
    assert_eq!(said(&extra(), std::slice::from_ref(&ours)), "OnlyOurs");
    let foreign = event("foreign", "mira", 130, vec![added(None, Some(A))]);
    assert_eq!(said(&extra(), &[ours, foreign]), "foreign by Identity");
}

#[test]
fn our_role_without_our_request_is_told_as_that() {
    let mut misuse = event("misuse", "sgwarden", 130, vec![added(Some(1), Some(A))]);
    misuse.actor.arn = Some(SESSION.into());
    assert_eq!(said(&extra(), std::slice::from_ref(&misuse)), "own role misuse by RuleId");
    misuse.changes = vec![added(None, Some(A))];
    let other = event("other", "mira", 130, vec![added(None, Some(A))]);
    assert_eq!(said(&extra(), &[misuse, other]), "tie of misuse or other by Identity");
}

#[test]
fn an_event_that_does_not_tell_all_names_nobody_though_it_is_the_only_one() {
    let vague = event("vague", "mira", 130, vec![added(None, None)]);
    let clear = event("clear", "tomasz", 130, vec![added(Some(7), Some(B))]);
    assert_eq!(said(&extra(), &[vague.clone(), clear.clone()]), "perhaps vague by Group", "the other did something else");
    assert_eq!(said(&extra(), &[clear]), "SomethingElse");
    let second = event("wage", "tomasz", 140, vec![added(None, None)]);
    assert_eq!(said(&extra(), &[vague.clone(), second]), "perhaps vague or wage by Group");
    assert_eq!(with(&extra(), std::slice::from_ref(&vague), Some(130)), "Forgotten", "there may have been others");
    let mut open = extra();
    open.window.without = None;
    assert_eq!(said(&open, &[vague]), "NoEarlierRead");
    assert_eq!(with(&extra(), &[], Some(130)), "Forgotten");
    assert_eq!(with(&extra(), &[], Some(90)), "NoEvent");
}

#[test]
fn an_event_of_another_group_is_none_and_one_of_any_group_names_nobody() {
    let mut other = event("other", "mira", 130, vec![added(None, Some(A))]);
    other.changes[0].group = Some(elsewhere());
    other.groups = vec![elsewhere()];
    assert_eq!(said(&extra(), std::slice::from_ref(&other)), "NoEvent");
    other.changes[0].group = None;
    other.groups.clear();
    other.account_wide = true;
    assert_eq!(said(&extra(), std::slice::from_ref(&other)), "perhaps other by IdentityAnywhere");
    let here = event("here", "tomasz", 130, vec![added(None, Some(A))]);
    assert_eq!(said(&extra(), &[other, here]), "here by Identity");
}

#[test]
fn descriptions_tags_groups_and_lists_have_their_events() {
    let text = drifted(Drift::DescriptionChanged { atom: atom(A), description: Some("Shop".into()) }, Some(1));
    for (change, expected) in [
        (as_text(described(Some(1), None), "Shop"), "x by RuleId"),
        (as_text(described(None, Some(A)), "Shop"), "x by Identity"),
        (as_text(modified(Some(1), Some(A)), "Shop"), "x by RuleId"),
        (as_text(added(Some(1), Some(A)), "Shop"), "x by RuleId"),
        // What it says is not what is found, or it does not say.
        (as_text(described(Some(1), None), "Till"), "perhaps x by RuleId"),
        (described(Some(1), None), "perhaps x by RuleId"),
        (modified(Some(1), Some(A)), "perhaps x by RuleId"),
        (as_text(described(None, Some(A)), "Till"), "SomethingElse"),
        (described(None, Some(A)), "perhaps x by Group"),
    ] {
        assert_eq!(said(&text, &[event("x", "mira", 130, vec![change.clone()])]), expected, "{change:?}");
    }
    let tag = drifted(Drift::TagChanged { key: "team".into(), value: "x".into() }, None);
    assert_eq!(said(&tag, &[event("x", "mira", 130, vec![tagged("team", "x")])]), "x by Identity");
    assert_eq!(said(&tag, &[event("x", "mira", 130, vec![tagged("team", "y")])]), "SomethingElse");
    let mut of_rule = event("x", "mira", 130, vec![tagged("team", "x")]);
    of_rule.changes[0].group = None;
    of_rule.changes[0].rule_id = Some(rule(1));
    assert_eq!(said(&tag, &[of_rule]), "SomethingElse", "a rule's tag is not the group's");
    let bare = drifted(Drift::TagRemoved { key: "team".into(), value: Some("x".into()) }, None);
    assert_eq!(said(&bare, &[event("x", "mira", 130, vec![untagged(Some("team"))])]), "x by Identity");
    assert_eq!(said(&bare, &[event("x", "mira", 130, vec![untagged(None)])]), "x by Identity", "all of them");
    assert_eq!(said(&bare, &[event("x", "mira", 130, vec![untagged(Some("else"))])]), "SomethingElse");
    let mut delete = event("x", "mira", 130, vec![added(None, None)]);
    delete.changes[0].what = What::GroupDeleted;
    delete.name = sgwarden::core::activity::EventName::DeleteSecurityGroup;
    assert_eq!(said(&drifted(Drift::GroupDeleted, None), &[delete]), "x by Identity");
}

#[test]
fn a_tag_without_a_value_has_an_empty_one() {
    let tag = |value: &str| drifted(Drift::TagChanged { key: "team".into(), value: value.into() }, None);
    let mut bare = tagged("team", "x");
    bare.what = What::Tagged(Some(TagEdit { key: "team".into(), value: None }));
    let events = [event("x", "mira", 130, vec![bare])];
    assert_eq!(said(&tag(""), &events), "x by Identity");
    assert_eq!(said(&tag("shop"), &events), "perhaps x by Group", "unless it could not be read");
}

#[test]
fn the_version_of_a_prefix_list_names_its_event_at_any_time() {
    let list = parse(&message("64-modify-prefix-list.json")).unwrap();
    let restored = parse(&message("65-restore-prefix-list.json")).unwrap();
    let changed = |id: &str, version| Drifted {
        drift: Drift::PrefixListChanged { list: id.parse().unwrap(), version },
        rule_id: None,
        window: Window { without: None, with: at(0) },
    };
    let both = [list.clone(), restored];
    assert_eq!(said(&changed(LIST, Some(4)), &both), format!("{} by Version", both[0].id));
    assert_eq!(said(&changed(LIST, Some(5)), &both), format!("{} by Version", both[1].id));
    assert_eq!(said(&changed(LIST, Some(6)), &both), "NoEvent");
    assert_eq!(said(&changed("pl-11111111", Some(4)), &both), "NoEvent");
    let late = Drifted { window: Window { without: None, with: list.time }, ..changed("pl-11111111", Some(4)) };
    assert_eq!(said(&late, &both), "SomethingElse");
    let sized = Drifted { window: Window { without: Some(at(100)), with: at(160) }, ..changed(LIST, None) };
    assert_eq!(said(&sized, &[event("x", "mira", 130, vec![listed(LIST, None)])]), "x by Identity");
    assert_eq!(said(&sized, &[event("x", "mira", 130, vec![listed(LIST, Some(4))])]), "SomethingElse", "that changed its entries");
    let entries = Drifted { window: sized.window, ..changed(LIST, Some(4)) };
    assert_eq!(said(&entries, &[event("x", "mira", 130, vec![listed(LIST, None)])]), "SomethingElse", "that changed its size");
    let mut gone = event("x", "mira", 130, vec![listed(LIST, None)]);
    gone.changes[0].what = What::PrefixListDeleted(Some(LIST.parse().unwrap()));
    assert_eq!(said(&entries, &[gone]), "SomethingElse");
    // EC2 takes one edit of a version; of two, one failed later, without a word.
    let twice = ["a", "b"].map(|id| event(id, id, 130, vec![listed(LIST, Some(4))]));
    assert_eq!(said(&entries, &twice), "tie of a or b by Version");
}

#[test]
fn an_association_finds_its_event_by_group_and_vpc() {
    const VPC: &str = "vpc-9e9e9e9e9e9e9e9e9";
    let made = drifted(Drift::VpcAssociated(VPC.parse().unwrap()), None);
    let ended = drifted(Drift::VpcDisassociated(VPC.parse().unwrap()), None);
    let (lend, take) = (event("lend", "mira", 130, vec![associated(VPC)]), event("take", "jonas", 140, vec![disassociated(VPC)]));
    assert_eq!(said(&made, &[lend.clone(), take.clone()]), "lend by Identity");
    assert_eq!(said(&ended, &[lend.clone(), take]), "take by Identity");
    assert_eq!(said(&made, &[event("x", "mira", 130, vec![associated("vpc-11111111")])]), "SomethingElse");
    assert_eq!(said(&made, &[Event { time: at(10), ..lend }]), "NoEvent");
    let mut other = event("x", "mira", 130, vec![associated(VPC)]);
    other.changes[0].group = Some(elsewhere());
    assert_eq!(said(&made, &[other]), "NoEvent");
}

#[test]
fn the_account_beside_a_group_makes_no_difference() {
    let peered = "ingress tcp 6379 from 345678901234/sg-22220000333311110";
    let plain = "ingress tcp 6379 from sg-22220000333311110";
    let gone = drifted(Drift::Removed(atom(peered)), None);
    assert_eq!(said(&gone, &[event("x", "mira", 130, vec![removed(Some(5), Some(plain))])]), "x by Identity");
}

#[test]
fn ten_thousand_differences_and_two_hundred_full_events_are_joined_in_a_moment() {
    let text = |n: u32| format!("ingress tcp 22 from 10.{}.{}.0/24", n / 256, n % 256);
    let many: Vec<_> = (0..2000).map(|n| added(None, Some(&text(n)))).collect();
    let events: Vec<Event> = (0..200).map(|n| event(&n.to_string(), "mira", 130, many.clone())).collect();
    let vague: Vec<Event> = (0..200).map(|n| event(&format!("v{n}"), "mira", 130, vec![added(None, None); 2000])).collect();
    let drift: Vec<Drifted> = (0..2000).map(|n| drifted(Drift::Added(atom(&text(n))), None)).collect();
    let evidence = Evidence { events: events.iter().chain(&vague).collect(), kept_since: None };
    let found = attribute(&group(), &drift, &evidence, &own());
    assert!(found.iter().all(|found| matches!(found, Attribution::Tie(events, By::Identity) if events.len() == 200)));
    assert_ne!(found, vec![Attribution::Nobody(Nobody::NoEvent)]);
}
