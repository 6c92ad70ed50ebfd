//! A status over one of its bounds is refused by the apiserver as a whole, so none ever is.

use proptest::prelude::*;

use sgwarden::api::conditions::{ALL, MAX_CONDITIONS, MAX_MESSAGE};
use sgwarden::api::{
    MAX_APPLIED_TAGS, MAX_DRIFT, MAX_DRIFT_ATOMS, MAX_PLAN_STEPS, MAX_TEXT, MAX_VOUCHED, MAX_VOUCHED_LINE, Mode,
    SecurityGroupStatus,
};
use sgwarden::core::model::{Atom, Tags};
use sgwarden::core::status::{Reason, Standing, applied_tags};

use crate::history::story;
use crate::status::Watched;

/// Every bound of `src/api/status.rs` and `src/api/conditions.rs`.
fn within_bounds(status: &SecurityGroupStatus) {
    let at_most = |text: &str, limit: usize| assert!(text.chars().count() <= limit, "{} characters: {text}", text.chars().count());
    let rules = status.rules.as_deref().unwrap_or_default();
    assert!(rules.len() <= MAX_VOUCHED, "{} lines", rules.len());
    for line in rules {
        at_most(line, MAX_VOUCHED_LINE);
    }
    assert!(status.tags.as_ref().is_none_or(|tags| tags.len() <= MAX_APPLIED_TAGS));
    assert!(status.drift.len() <= MAX_DRIFT);
    for record in &status.drift {
        assert!(record.atoms.len() <= MAX_DRIFT_ATOMS);
        at_most(&record.id, 64);
        at_most(record.detected_at.as_deref().unwrap_or_default(), 35);
        at_most(record.resolved_at.as_deref().unwrap_or_default(), 35);
        for atom in &record.atoms {
            [&atom.before, &atom.after].into_iter().flatten().for_each(|text| at_most(text, MAX_TEXT));
            at_most(atom.rule_id.as_deref().unwrap_or_default(), 32);
            at_most(atom.rule.as_deref().unwrap_or_default(), 63);
        }
    }
    let steps = status.plan.iter().flat_map(|plan| &plan.steps);
    assert!(status.plan.as_ref().is_none_or(|plan| plan.steps.len() <= MAX_PLAN_STEPS));
    steps.for_each(|step| at_most(step, MAX_TEXT));
    assert!(status.conditions.len() <= MAX_CONDITIONS);
    for condition in &status.conditions {
        assert!(ALL.contains(&condition.type_.as_str()));
        at_most(&condition.message, MAX_MESSAGE);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(!condition.reason.is_empty() && condition.reason.chars().all(word), "{}", condition.reason);
    }
}

proptest! {
    #[test]
    fn no_status_exceeds_its_bounds(story in story(), message in "\\PC{0,50}", observe in any::<bool>()) {
        let message = message.repeat(100);
        let (world, desired) = story.play();
        let mut watched = Watched::new(if observe { Mode::Observe } else { Mode::Enforce });
        (watched.world, watched.desired) = (world, desired);
        watched.look(Standing::Progressing { doing: message.clone() });
        within_bounds(&watched.status);
        watched.look(Standing::Failed { reason: Reason::Refused, message, seen: true });
        within_bounds(&watched.status);
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
    let held = (0..200).map(|rule| format!("ingress rule {rule} waits: {long}")).collect();
    watched.look(Standing::Waiting { held });
    within_bounds(&watched.status);
    assert_eq!(watched.status.drift[0].count, 1001);
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
