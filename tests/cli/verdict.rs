//! One verdict: what the apiserver refuses, `check` refuses at the same field, and what the one accepts the other does too.

use crate::binary::check;
use crate::rejected::{ACCEPTED, REJECTED};

/// Those that are wrong for the apiserver alone, and why.
const ONLY_THE_APISERVER: &[(&str, &str)] =
    &[("name-too-long", "CEL cannot see the namespace and has to assume the longest; with it, the name is long but fits")];

/// Whether a field is the other one, in it, or around it.
fn is_at(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[test]
fn what_the_apiserver_refuses_is_refused_at_the_same_field() {
    let mut wrong = Vec::new();
    for case in REJECTED {
        let ran = check(case.yaml);
        let found = ran.json();
        let errors = found["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
        let fields: Vec<&str> = errors.map(|finding| finding["field"].as_str().unwrap()).collect();
        let expected = if ONLY_THE_APISERVER.iter().any(|(name, _)| *name == case.name) { 0 } else { 2 };
        if ran.code != Some(expected) {
            wrong.push(format!("{}: {:?} in place of {expected}: {:?}", case.name, ran.code, ran.findings()));
        } else if expected == 2 && !fields.iter().any(|field| is_at(field, case.field)) {
            wrong.push(format!("{}: not at {}: {:?}", case.name, case.field, ran.findings()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_apiserver_accepts_is_accepted() {
    for (name, yaml) in ACCEPTED {
        let ran = check(yaml);
        assert_eq!(ran.code, Some(0), "{name}: {:?}", ran.findings());
    }
}
