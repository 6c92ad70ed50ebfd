//! What is written to which object, and why not to others.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::{APPROVE_ANNOTATION, SUSPEND_ANNOTATION};
use crate::core::desired::{approval_of, suspend_of};
use crate::core::status;

const HASH: &str = "9df3531e0e5fadc94021d031ebe6e530";
const OTHER: &str = "00000000000000000000000000000000";
const NOON: &str = "2026-12-24T12:00:00Z";

/// An object of generation 3.
fn object(annotations: &Value, enforcement: &Value, status: &Value) -> SecurityGroup {
    serde_json::from_value(json!({
        "apiVersion": "sgwarden.dev/v1alpha1", "kind": "SecurityGroup",
        "metadata": { "name": "web", "namespace": "shop", "generation": 3, "annotations": annotations },
        "spec": { "vpc": {}, "enforcement": enforcement },
        "status": status,
    }))
    .unwrap()
}

/// One whose plan waits, and what else its status says.
fn waiting(annotation: &str, more: &Value) -> SecurityGroup {
    let mut status = json!({
        "observedGeneration": 3, "mode": "AwaitingApproval",
        "plan": { "hash": HASH, "count": 2, "steps": ["authorize ingress tcp 443 from 10.0.0.0/8 (SpecChange)", "remove tag team (SpecChange)"] },
    });
    for (key, value) in more.as_object().unwrap() {
        status[key] = value.clone();
    }
    let annotations = if annotation.is_empty() { json!({}) } else { json!({ APPROVE_ANNOTATION: annotation }) };
    object(&annotations, &json!({}), &status)
}

fn suspended(annotation: &str, spec: &str) -> SecurityGroup {
    let annotations = if annotation.is_empty() { json!({}) } else { json!({ SUSPEND_ANNOTATION: annotation }) };
    let enforcement = if spec.is_empty() { json!({}) } else { json!({ "suspend": { "until": spec } }) };
    object(&annotations, &enforcement, &json!({}))
}

fn approval(annotation: &str, more: &Value) -> Result<String, String> {
    let step = approve(&waiting(annotation, more), "ada").map_err(|refusal| refusal.to_string())?;
    Ok(step.annotation.after.unwrap())
}

#[test]
fn a_plan_that_waits_is_approved_by_its_hash_in_the_own_name() {
    let ada = format!("{HASH} ada");
    let spent = |by: &str| json!({ "approved": { "hash": HASH, "by": by, "generation": 3 } });
    for (annotation, more, expected) in [
        ("", json!({}), ada.clone()),
        ("what nobody understands", json!({}), ada.clone()),
        (&format!("{OTHER} ada"), json!({}), ada.clone()),
        // Changes may wait while reverts are suspended.
        ("", json!({ "mode": "Suspended" }), ada.clone()),
        ("", json!({ "approved": { "hash": OTHER, "by": "ada", "generation": 3 } }), ada.clone()),
        // The same plan once more: the same words would say nothing new.
        (&ada, spent("ada"), format!("{HASH} ada, again")),
        (&format!("{HASH} ada, again"), spent("ada, again"), format!("{HASH} ada, again, again")),
    ] {
        assert_eq!(approval(annotation, &more), Ok(expected), "{annotation} {more}");
    }
    let step = approve(&waiting("", &json!({})), "ada").unwrap();
    assert_eq!(step.label, format!("plan {HASH}"));
    assert_eq!(step.lines, ["authorize ingress tcp 443 from 10.0.0.0/8 (SpecChange)", "remove tag team (SpecChange)"]);
}

#[test]
fn what_is_no_plan_that_waits_is_not_approved() {
    for (annotation, more, why) in [
        ("", json!({ "plan": null }), "no plan of it waits for approval".to_owned()),
        ("", json!({ "plan": { "count": 1, "steps": ["revoke"] } }), "no plan of it waits for approval".to_owned()),
        ("", json!({ "mode": "Observe" }), "it is in mode Observe: its plan is told, and does not wait for approval".to_owned()),
        (
            "",
            json!({ "observedGeneration": 2 }),
            "its plan is of generation 2 and the object is of generation 3: wait until sgwarden has looked at it".to_owned(),
        ),
        (&format!("{HASH} bob"), json!({}), format!("its plan {HASH} is approved already, by bob")),
        (
            "",
            json!({ "plan": { "hash": "9DF3" } }),
            "'9DF3 ada' would be no approval: upgrade this sgwarden if the controller is of a later release, else change the spec instead"
                .to_owned(),
        ),
    ] {
        assert_eq!(approval(annotation, &more), Err(why), "{annotation} {more}");
    }
    assert_eq!(approve(&object(&json!({}), &json!({}), &Value::Null), "ada"), Err(Refusal::NothingWaits), "never looked at");
}

#[test]
fn a_plan_that_is_longer_than_status_holds_says_so_and_a_mass_change_is_called_one() {
    let more = json!({
        "plan": { "hash": HASH, "count": 70, "steps": ["revoke\u{1b}[2J ingress"] },
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "MassChange", "message": "", "lastTransitionTime": NOON,
        }],
    });
    let step = approve(&waiting("", &more), "ada").unwrap();
    assert_eq!(step.label, format!("plan {HASH} (MassChange)"));
    assert_eq!(step.lines[1], "and 69 more, which status does not hold");
    assert!(!step.lines[0].contains('\u{1b}'), "{:?}", step.lines);
}

#[test]
fn what_changed_since_it_was_shown_is_not_written() {
    let shown = approve(&waiting("", &json!({})), "ada").unwrap();
    let still = |object: &SecurityGroup| shown.still(approve(object, "ada"));
    assert_eq!(still(&waiting("", &json!({ "mode": "Suspended" }))), Ok(()), "the plan is the same");
    let longer = json!({ "plan": { "hash": HASH, "count": 3, "steps": ["revoke what somebody opened meanwhile (Drift)"] } });
    assert_eq!(still(&waiting("", &longer)), Ok(()), "drift is reverted anyway");
    let other = json!({ "plan": { "hash": OTHER, "count": 1, "steps": ["revoke"] } });
    assert_eq!(still(&waiting("", &other)), Err(Refusal::OtherPlan { shown: HASH.to_owned(), now: OTHER.to_owned() }));
    assert_eq!(still(&waiting("", &json!({ "plan": null }))), Err(Refusal::NothingWaits));
    assert!(still(&waiting(&format!("{HASH} bob"), &json!({}))).is_err_and(|refusal| refusal.is_done()), "bob was faster");
    assert_eq!(still(&waiting(&format!("{OTHER} bob"), &json!({}))), Err(Refusal::Changed(APPROVE_ANNOTATION)));

    let until = NOON.parse().unwrap();
    let shown = suspend(&suspended("", ""), until, "incident 4711").unwrap();
    let meanwhile = suspended("2027-01-01T00:00:00Z incident 4712", "");
    assert_eq!(shown.still(suspend(&meanwhile, until, "incident 4711")), Err(Refusal::Changed(SUSPEND_ANNOTATION)));
    assert_eq!(shown.still(suspend(&suspended("", ""), until, "incident 4711")), Ok(()));
}

#[test]
fn a_suspension_is_written_unless_the_spec_has_a_later_one() {
    let until = NOON.parse().unwrap();
    let text = format!("{NOON} incident 4711");
    for (annotation, spec, label) in [
        ("", "", "is to be suspended"),
        ("", "2026-12-24T11:00:00Z", "is to be suspended"),
        ("", "soon", "is to be suspended"),
        ("", NOON, "is to be suspended"),
        ("2026-12-24T18:00:00Z longer", "", "is to be suspended, in place of '2026-12-24T18:00:00Z longer'"),
        ("tomorrow", "", "is to be suspended, in place of 'tomorrow'"),
    ] {
        let step = suspend(&suspended(annotation, spec), until, "incident 4711").unwrap();
        assert_eq!((step.annotation.after.as_deref(), step.label.as_str()), (Some(text.as_str()), label), "{annotation} {spec}");
    }
    let later = suspend(&suspended("", "2026-12-24T12:00:01Z"), until, "incident 4711");
    insta::assert_snapshot!(later.unwrap_err(), @"spec.enforcement.suspend suspends it until 2026-12-24T12:00:01Z, and the later end counts: the annotation would change nothing");
}

#[test]
fn a_reason_is_one_line() {
    assert_eq!(reason(" incident 4711 "), Ok("incident 4711".to_owned()));
    assert!(["", "  ", "a\nb", "a\u{1b}b"].into_iter().all(|text| reason(text).is_err()));
    assert!(reason(&"ä".repeat(200)).is_ok() && reason(&"ä".repeat(201)).is_err());
}

#[test]
fn what_the_annotation_suspends_is_resumed_and_what_the_spec_suspends_is_not() {
    let now = NOON.parse().unwrap();
    for (annotation, spec) in
        [("2026-12-24T18:00:00Z x", ""), ("2026-12-24T11:00:00Z over", ""), ("tomorrow", ""), ("tomorrow", NOON)]
    {
        let step = resume(&suspended(annotation, spec), now).unwrap();
        assert_eq!((step.annotation.before.as_deref(), step.annotation.after), (Some(annotation), None));
        assert_eq!(step.lines, ["there is nothing to revert so far"]);
    }
    assert_eq!(resume(&suspended("", ""), now), Err(Refusal::NotSuspended));
    let of_spec = Refusal::SpecSuspends("2026-12-24T18:00:00Z".parse().unwrap());
    assert_eq!(resume(&suspended("", "2026-12-24T18:00:00Z"), now), Err(of_spec.clone()));
    assert_eq!(resume(&suspended("2026-12-24T19:00:00Z x", "2026-12-24T18:00:00Z"), now), Err(of_spec));
}

#[test]
fn what_is_reverted_once_it_is_resumed_is_shown_first() {
    let record = |id: &str, resolution: &str| {
        json!({
            "id": id, "count": 1, "detectedAt": NOON, "resolution": resolution, "actor": { "name": "jane@example.com" },
            "atoms": [{ "kind": "Added", "after": "ingress tcp 22 from 0.0.0.0/0" }],
        })
    };
    let status = json!({ "drift": [record("d-1", "Suspended"), record("d-2", "Reported")] });
    let held = object(&json!({ SUSPEND_ANNOTATION: "2026-12-24T18:00:00Z x" }), &json!({}), &status);
    let step = resume(&held, NOON.parse().unwrap()).unwrap();
    assert_eq!(step.lines, ["then this is reverted: jane@example.com added ingress tcp 22 from 0.0.0.0/0 [d-1]"]);
}

#[test]
fn objects_of_which_the_same_is_said_are_shown_together() {
    let step = |hash: &str, lines: &[&str]| Step {
        annotation: Annotation { key: APPROVE_ANNOTATION, before: None, after: None },
        label: format!("plan {hash}"),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let authorize = ["authorize ingress tcp 443 from 10.0.0.0/8 (ReferenceChange)"];
    let steps = [
        ("shop/a".to_owned(), step("1a", &authorize)),
        ("shop/b".to_owned(), step("2b", &["revoke ingress tcp 22 from 0.0.0.0/0 (SpecChange)"])),
        ("shop/c".to_owned(), step("3c", &authorize)),
    ];
    insta::assert_snapshot!(overview(&steps), @r"
    shop/a   plan 1a
    shop/c   plan 3c
      authorize ingress tcp 443 from 10.0.0.0/8 (ReferenceChange)

    shop/b   plan 2b
      revoke ingress tcp 22 from 0.0.0.0/0 (SpecChange)
    ");
}

proptest! {
    #[test]
    fn whatever_is_written_means_what_was_asked_for(
        person in "[ -~äé]{1,60}",
        said in "\\PC{0,250}",
        annotation in prop_oneof![Just(String::new()), Just(format!("{HASH} ada")), "\\PC{0,60}"],
        by in prop_oneof![Just("ada".to_owned()), Just("ada, again".to_owned()), "[a-z]{1,9}"],
        spent in any::<bool>(),
        seconds in 1_000_000_000_i64..4_000_000_000,
    ) {
        let more = if spent { json!({ "approved": { "hash": HASH, "by": by, "generation": 3 } }) } else { json!({}) };
        let before = waiting(&annotation, &more);
        if let Ok(step) = approve(&before, &person) {
            let after = with(&before, APPROVE_ANNOTATION, step.annotation.after.as_deref());
            let counts = status::approval(approval_of(&after), before.status.as_ref().unwrap(), 3).unwrap();
            prop_assert_eq!(counts.hash.as_deref(), Some(HASH));
            prop_assert!(counts.by.unwrap().starts_with(person.trim()));
        }
        let until = jiff::Timestamp::from_second(seconds).unwrap();
        if let Ok(text) = reason(&said) {
            let held = suspended(&annotation, "");
            let step = suspend(&held, until, &text).unwrap();
            let (counts, problem) = suspend_of(&with(&held, SUSPEND_ANNOTATION, step.annotation.after.as_deref()));
            prop_assert_eq!(counts.map(|counts| (counts.until, counts.reason)), Some((until, text)));
            prop_assert_eq!(problem, None);
        }
    }
}
