//! What people say of an object by annotation: break-glass and approval. What keeps a spec equal to Git leaves both alone.
//!
//! Entry points: [`suspend_of`], [`approval_of`]. Both need nothing but the object, so that they count also while its spec
//! cannot be used.

use crate::api::{APPROVE_ANNOTATION, MAX_TEXT, SUSPEND_ANNOTATION, SecurityGroup};

use super::enforcement::{MAX_REASON, parse_suspend};
use super::{Problem, Suspension, text};

/// Characters of the hash of a plan.
const HASH: usize = 32;

/// What suspends an object, of the spec and the annotation the one with the later end; and what is wrong with the annotation,
/// which suspends nothing then. What is wrong with the spec is [`super::parse`]'s to say.
pub fn suspend_of(object: &SecurityGroup) -> (Option<Suspension>, Option<Problem>) {
    let spec = object.spec.enforcement.as_ref().and_then(|enforcement| enforcement.suspend.as_ref());
    let spec = spec.and_then(|suspend| parse_suspend(suspend).ok());
    let (annotation, problem) = match annotation(object, SUSPEND_ANNOTATION).map(read_suspend) {
        None => (None, None),
        Some(Ok(suspension)) => (Some(suspension), None),
        Some(Err(message)) => {
            let path = format!("metadata.annotations[{SUSPEND_ANNOTATION}]");
            (None, Some(Problem { path, message }))
        }
    };
    let later = match (spec, annotation) {
        (Some(spec), Some(annotation)) => Some(if annotation.until > spec.until { annotation } else { spec }),
        (spec, annotation) => spec.or(annotation),
    };
    (later, problem)
}

fn read_suspend(written: &str) -> Result<Suspension, String> {
    let (until, reason) = first_word(written);
    let until = text::time(until).map_err(|problem| {
        format!("{problem}; the annotation is '<until> <reason>', without the quotes: correct it, or remove it")
    })?;
    Ok(Suspension { until, reason: reason.chars().take(MAX_REASON).collect() })
}

/// The plan that somebody approved, by its hash, and who, as the annotation says: a policy of the cluster holds it to the truth.
/// `None` also for what is no hash followed by a name.
pub fn approval_of(object: &SecurityGroup) -> Option<(String, String)> {
    let (hash, by) = first_word(annotation(object, APPROVE_ANNOTATION)?);
    let hex = hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hash.len() == HASH && hex && !by.is_empty()).then(|| (hash.to_owned(), by.chars().take(MAX_TEXT).collect()))
}

fn annotation<'a>(object: &'a SecurityGroup, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The first word and, trimmed, what follows.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(annotations: &str, suspend: &str) -> SecurityGroup {
        serde_yaml::from_str(&format!(
            "{{apiVersion: sgwarden.dev/v1alpha1, kind: SecurityGroup, metadata: {{name: web, annotations: {annotations}}},
              spec: {{vpc: {{}}, enforcement: {{{suspend}}}}}}}"
        ))
        .unwrap()
    }

    fn suspended(annotation: &str, spec: &str) -> (String, bool) {
        let annotations = if annotation.is_empty() { "{}".into() } else { format!("{{sgwarden.dev/suspend: \"{annotation}\"}}") };
        let (found, problem) = suspend_of(&object(&annotations, spec));
        (found.map_or_else(|| "-".to_owned(), |found| format!("{} {}", found.until, found.reason)), problem.is_some())
    }

    #[test]
    fn spec_and_annotation_suspend_alike_and_the_later_end_counts() {
        let spec = "suspend: {until: \"2026-12-24T18:00:00Z\", reason: spec}";
        for (annotation, in_spec, expected, wrong) in [
            ("", "", "-", false),
            ("", spec, "2026-12-24T18:00:00Z spec", false),
            ("", "suspend: {until: \"2026-12-24T18:00:00Z\"}", "2026-12-24T18:00:00Z ", false),
            ("2026-12-24T18:00:01Z incident 4711", "", "2026-12-24T18:00:01Z incident 4711", false),
            ("  2026-12-24T18:00:01Z   incident  4711 ", "", "2026-12-24T18:00:01Z incident  4711", false),
            ("2026-12-24T18:00:01Z", "", "2026-12-24T18:00:01Z ", false),
            ("2026-12-24T18:00:01Z later", spec, "2026-12-24T18:00:01Z later", false),
            ("2026-12-24T17:59:59Z earlier", spec, "2026-12-24T18:00:00Z spec", false),
            ("2026-12-24T18:00:00Z as late", spec, "2026-12-24T18:00:00Z spec", false),
            ("2026-12-24T19:00:00+01:00 as late", spec, "2026-12-24T18:00:00Z spec", false),
            // What cannot be read suspends nothing, and what can still counts.
            ("tomorrow", "", "-", true),
            ("incident 4711", spec, "2026-12-24T18:00:00Z spec", true),
            ("2026-12-24 18:00:00", spec, "2026-12-24T18:00:00Z spec", true),
            (" ", spec, "2026-12-24T18:00:00Z spec", true),
            ("2026-12-24T18:00:01Z good", "suspend: {until: soon}", "2026-12-24T18:00:01Z good", false),
            ("", "suspend: {until: soon}", "-", false),
        ] {
            assert_eq!(suspended(annotation, in_spec), (expected.to_owned(), wrong), "{annotation} {in_spec}");
        }
    }

    #[test]
    fn an_annotation_that_cannot_be_read_is_told_with_its_form() {
        let (_, problem) = suspend_of(&object("{sgwarden.dev/suspend: tomorrow lunch}", ""));
        insta::assert_snapshot!(problem.unwrap().to_string(), @"metadata.annotations[sgwarden.dev/suspend]: 'tomorrow' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999; the annotation is '<until> <reason>', without the quotes: correct it, or remove it");
    }

    #[test]
    fn an_endless_reason_is_cut() {
        let annotation = format!("{{sgwarden.dev/suspend: \"2026-12-24T18:00:00Z {}\"}}", "ä".repeat(9000));
        assert_eq!(suspend_of(&object(&annotation, "")).0.unwrap().reason.chars().count(), MAX_REASON);
    }

    #[test]
    fn an_approval_is_a_hash_and_a_name() {
        let hash = "0123456789abcdef0123456789abcdef";
        let approved = |text: &str| approval_of(&object(&format!("{{sgwarden.dev/approve: \"{text}\"}}"), ""));
        let ada = Some((hash.to_owned(), "ada@example.com".to_owned()));
        assert_eq!(approved(&format!("{hash} ada@example.com")), ada);
        assert_eq!(approved(&format!("  {hash}   ada@example.com\\n")), ada);
        assert_eq!(approved(&format!("{hash} Ada Lovelace")).unwrap().1, "Ada Lovelace");
        for bad in [
            String::new(),
            hash.to_owned(),
            "ada".to_owned(),
            format!("ada {hash}"),
            format!("{} ada", hash.to_uppercase()),
            format!("{hash}0 ada"),
            format!("{} ada", &hash[1..]),
            format!("{}\u{e9} ada", &hash[2..]),
        ] {
            assert_eq!(approved(&bad), None, "{bad}");
        }
        assert_eq!(approval_of(&object("{}", "")), None);
    }
}
