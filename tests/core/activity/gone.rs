//! What no read of EC2 shows: opened and closed again, and tried in vain.

use std::collections::BTreeSet;

use sgwarden::core::activity::{Event, Failure, Window, denied, failed, transient};
use sgwarden::core::model::Atom;

use super::{added, at, atom, event, failing, group, own, removed};

const OPEN: &str = "ingress tcp 3389 from 0.0.0.0/0";

fn window(from: i64, to: i64) -> Window {
    Window { without: Some(at(from)), with: at(to) }
}

fn found(events: &[Event], shown: &[&str]) -> Vec<String> {
    let shown: BTreeSet<Atom> = shown.iter().map(|text| atom(text)).collect();
    let forward: Vec<&Event> = events.iter().collect();
    let backward: Vec<&Event> = events.iter().rev().chain(events).collect();
    let seen = transient(&group(), window(0, 60), &shown, &forward, &own());
    assert_eq!(seen, transient(&group(), window(0, 60), &shown, &backward, &own()), "in any order, however often");
    let name = |found: &sgwarden::core::activity::Transient<'_>| {
        let rule = found.atom.as_ref().map_or("?".to_owned(), ToString::to_string);
        format!("{rule} {}-{}", found.opened.id, found.closed.id)
    };
    seen.iter().map(name).collect()
}

#[test]
fn what_was_opened_and_closed_between_two_reads_is_found() {
    let events = [
        event("a", "mira", 10, vec![added(Some(1), Some(OPEN))]),
        event("b", "mira", 20, vec![removed(Some(1), None)]),
        event("c", "tomasz", 30, vec![added(Some(2), Some(OPEN))]),
        event("d", "mira", 40, vec![removed(None, Some(OPEN))]),
    ];
    assert_eq!(found(&events, &[]), [format!("{OPEN} a-b"), format!("{OPEN} c-d")]);
    assert!(found(&events, &[OPEN]).is_empty(), "what a read showed is no secret");
}

#[test]
fn what_is_still_open_or_failed_or_ours_is_not() {
    let open = event("a", "mira", 10, vec![added(Some(1), Some(OPEN))]);
    let close = event("b", "mira", 20, vec![removed(Some(1), Some(OPEN))]);
    assert!(found(std::slice::from_ref(&open), &[]).is_empty());
    let refused = failing(close.clone(), Failure::Refused("X".into()));
    assert!(found(&[open.clone(), refused], &[]).is_empty());
    let mut ours = close.clone();
    ours.request_id = Some("ours".into());
    assert!(found(&[open.clone(), ours], &[]).is_empty(), "a revert of ours was a reaction to what was seen");
    let other = event("b", "mira", 20, vec![removed(Some(2), Some(OPEN))]);
    assert!(found(&[open.clone(), other], &[]).is_empty(), "another rule's id is another rule");
    let early = event("b", "mira", 5, vec![removed(None, Some(OPEN))]);
    assert!(found(&[open.clone(), early], &[]).is_empty(), "closed before it was opened");
    let late = event("b", "mira", 90, vec![removed(Some(1), Some(OPEN))]);
    assert!(found(&[open, late], &[]).is_empty(), "closed after the later read");
}

#[test]
fn within_one_second_an_opening_is_taken_to_come_first() {
    let events =
        [event("b", "mira", 10, vec![added(Some(1), Some(OPEN))]), event("a", "mira", 10, vec![removed(Some(1), Some(OPEN))])];
    assert_eq!(found(&events, &[]), [format!("{OPEN} b-a")]);
}

#[test]
fn what_others_tried_in_vain_is_told_and_denied_apart() {
    let tried = |id: &str, seconds, failure| failing(event(id, "mira", seconds, vec![added(None, Some(OPEN))]), failure);
    let denied_one = tried("a", 30, Failure::Denied("UnauthorizedOperation".into()));
    let refused = tried("b", 20, Failure::Refused("InvalidPermission.Duplicate".into()));
    let dry = tried("c", 10, Failure::DryRun);
    let mut ours = tried("d", 40, Failure::Denied("UnauthorizedOperation".into()));
    ours.request_id = Some("ours".into());
    let done = event("e", "mira", 50, vec![added(None, Some(OPEN))]);
    let events = [&denied_one, &refused, &dry, &ours, &done];
    let ids = |found: Vec<&Event>| found.into_iter().map(|event| event.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(failed(&group(), &events, &own())), ["b", "a"]);
    assert_eq!(ids(denied(&group(), &events, &own())), ["a"]);
}
