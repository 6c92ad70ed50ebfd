//! Records read back: the lines of a trail, the two halves of a change made one.
//!
//! Entry point: [`Trail`], which takes one line at a time.
//!
//! Invariant: every field may be absent and unknown ones are ignored, so that a trail of an older or newer release is read. What
//! is no record at all, such as a line torn by a crash, is counted and spoils no other.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ATTRIBUTION;
use crate::api::Actor;

/// What a record says of what came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptOutcome {
    /// `Done`, `Failed` or `Unknown`.
    pub result: String,
    /// AWS's error code.
    pub code: Option<String>,
    /// AWS's message.
    pub message: Option<String>,
    /// EC2's id of the request.
    pub aws_request_id: Option<String>,
}

/// One thing that was changed, as [`super::ChangeItem`] writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptItem {
    /// Why.
    pub cause: String,
    /// The declared rule.
    pub rule: Option<String>,
    /// EC2's id of the rule.
    pub rule_id: Option<String>,
    /// As it was.
    pub before: Option<String>,
    /// Its description as it was.
    pub description_before: Option<String>,
    /// As it was to be.
    pub after: Option<String>,
    /// Its description to be.
    pub description_after: Option<String>,
    /// Why it was allowed.
    pub justification: Option<String>,
    /// The drift record of the edit that it put right.
    pub drift_id: Option<String>,
    /// Who made that edit, by what the trail knows in the end.
    pub actor: Option<Actor>,
}

/// A change: its intent, and its outcome where one was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Change {
    /// The id that intent and outcome share.
    pub id: String,
    /// When it was about to be made, RFC 3339.
    pub time: String,
    /// AWS account.
    pub account: String,
    /// AWS Region.
    pub region: String,
    /// The group; absent while it was being created.
    pub group_id: Option<String>,
    /// `<namespace>/<name>` of the object.
    pub object: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Where the manifest came from.
    pub source: Option<String>,
    /// The EC2 call.
    pub operation: String,
    /// What it changed.
    pub items: Vec<KeptItem>,
    /// What it opened.
    pub opened: Option<String>,
    /// What it closed.
    pub closed: Option<String>,
    /// The pass it was made in; a drift record that it put right has the same.
    pub trace_id: String,
    /// What came of it; absent where the process ended before it knew, or has not got so far.
    pub outcome: Option<KeptOutcome>,
}

/// Any line: what tells a change from an attribution, and what an attribution says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    phase: String,
    drift_id: String,
    actor: Option<Actor>,
    #[serde(flatten)]
    change: Change,
}

/// The changes of a trail, in the order in which they were begun.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    changes: Vec<Change>,
    by_id: BTreeMap<String, usize>,
    /// The items of each drift record: the change and the item in it.
    by_drift: BTreeMap<String, Vec<(usize, usize)>>,
    unreadable: usize,
}

impl Trail {
    /// Takes one line, without its newline.
    pub fn take(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Some(line) = serde_json::from_slice::<Line>(line).ok().filter(|line| !line.change.id.is_empty()) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        if line.phase == ATTRIBUTION {
            self.attribute(&line.drift_id, line.actor.as_ref());
        } else {
            self.change(line.change);
        }
    }

    fn change(&mut self, record: Change) {
        let known = self.by_id.get(&record.id).and_then(|at| self.changes.get_mut(*at));
        if let Some(change) = known {
            change.outcome = record.outcome.or(change.outcome.take());
            change.group_id = change.group_id.take().or(record.group_id);
            return;
        }
        let at = self.changes.len();
        for (item, drift) in record.items.iter().enumerate().filter_map(|(index, item)| Some((index, item.drift_id.clone()?))) {
            self.by_drift.entry(drift).or_default().push((at, item));
        }
        self.by_id.insert(record.id.clone(), at);
        self.changes.push(record);
    }

    /// What was learned of an edit, into the changes that put it right: all that there are by then.
    fn attribute(&mut self, drift: &str, actor: Option<&Actor>) {
        for (change, item) in self.by_drift.get(drift).into_iter().flatten() {
            if let Some(item) = self.changes.get_mut(*change).and_then(|change| change.items.get_mut(*item)) {
                item.actor = actor.cloned();
            }
        }
    }

    /// Every change, the oldest first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How many lines were no records.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// What a change took or altered: a rule of EC2 by its id, as what it was until then. The latest where there are several.
    pub fn taken(&self, rule_id: &str, rule: &str) -> Option<&KeptItem> {
        let is_it = |item: &&KeptItem| item.rule_id.as_deref() == Some(rule_id) && item.before.as_deref() == Some(rule);
        self.changes.iter().rev().flat_map(|change| &change.items).find(is_it)
    }

    /// The changes whose id begins so; an id that is written out in full is that change alone.
    pub fn find(&self, id: &str) -> Vec<&Change> {
        if let Some(change) = self.by_id.get(id).and_then(|at| self.changes.get(*at)) {
            return vec![change];
        }
        self.changes.iter().filter(|change| change.id.starts_with(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::audit::{AttributionRecord, ChangeItem, ChangeRecord, Outcome, OutcomeResult, Phase, RECORD_VERSION};

    fn record(id: &str, phase: Phase, outcome: Option<Outcome>) -> ChangeRecord {
        ChangeRecord {
            version: RECORD_VERSION,
            id: id.to_owned(),
            time: "2026-11-22T21:00:00Z".to_owned(),
            phase,
            cluster: "k-1".to_owned(),
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            group_id: Some("sg-0a1b2c3d4e5f67890".to_owned()),
            object: "shop/web".to_owned(),
            uid: "u-1".to_owned(),
            generation: 3,
            source: Some("git@1".to_owned()),
            step: 0,
            operation: "RevokeSecurityGroupIngress",
            items: vec![ChangeItem {
                cause: "SpecChange",
                rule: Some("https".to_owned()),
                rule_id: Some("sgr-1".to_owned()),
                before: Some("ingress tcp 443 from 0.0.0.0/0".to_owned()),
                description_before: Some("Web".to_owned()),
                after: Some("a".to_owned()),
                description_after: Some("b".to_owned()),
                justification: Some("c".to_owned()),
                drift_id: Some("d-1".to_owned()),
                actor: None,
            }],
            opened: Some("o".to_owned()),
            closed: Some("c".to_owned()),
            trace_id: "t-1".to_owned(),
            outcome,
        }
    }

    fn line(record: &impl serde::Serialize) -> Vec<u8> {
        serde_json::to_vec(record).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        let outcome = Outcome {
            result: OutcomeResult::Failed,
            code: Some("UnauthorizedOperation".to_owned()),
            message: Some("no".to_owned()),
            aws_request_id: Some("r-1".to_owned()),
            created: None,
            authorized: Vec::new(),
        };
        let mut trail = Trail::default();
        trail.take(&line(&record("c-1", Phase::Intent, None)));
        trail.take(&line(&record("c-1", Phase::Outcome, Some(outcome))));
        let [change] = trail.changes() else { panic!("{trail:?}") };
        let KeptOutcome { result, code, message, aws_request_id } = change.outcome.clone().unwrap();
        assert_eq!((result.as_str(), code.as_deref()), ("Failed", Some("UnauthorizedOperation")));
        assert_eq!((message.as_deref(), aws_request_id.as_deref()), (Some("no"), Some("r-1")));
        let text = |text: &str| Some(text.to_owned());
        let item = KeptItem {
            cause: "SpecChange".to_owned(),
            rule: text("https"),
            rule_id: text("sgr-1"),
            before: text("ingress tcp 443 from 0.0.0.0/0"),
            description_before: text("Web"),
            after: text("a"),
            description_after: text("b"),
            justification: text("c"),
            drift_id: text("d-1"),
            actor: None,
        };
        assert_eq!(change.items, std::slice::from_ref(&item));
        assert_eq!((change.object.as_str(), change.trace_id.as_str(), change.generation), ("shop/web", "t-1", 3));
        assert_eq!(trail.taken("sgr-1", "ingress tcp 443 from 0.0.0.0/0"), Some(&item));
        assert_eq!(trail.taken("sgr-1", "ingress tcp 444 from 0.0.0.0/0"), None, "it was another rule then");
        assert_eq!((change.opened.as_deref(), change.closed.as_deref()), (Some("o"), Some("c")));
    }

    #[test]
    fn who_made_an_edit_is_told_by_the_changes_that_put_it_right() {
        let alice = Actor { name: Some("alice@example.com".to_owned()), ..Actor::default() };
        let attribution = AttributionRecord {
            version: RECORD_VERSION,
            id: "a-1".to_owned(),
            time: "2026-11-22T21:00:09Z".to_owned(),
            phase: ATTRIBUTION,
            cluster: "k-1".to_owned(),
            account: Some("111122223333".to_owned()),
            region: Some("eu-west-1".to_owned()),
            group_id: Some("sg-0a1b2c3d4e5f67890".to_owned()),
            object: "shop/web".to_owned(),
            uid: "u-1".to_owned(),
            drift_id: "d-1".to_owned(),
            actor: alice.clone(),
            trace_id: None,
        };
        let mut trail = Trail::default();
        let other = ChangeItem { drift_id: Some("d-2".to_owned()), ..ChangeItem::default() };
        let mixed = ChangeRecord { items: vec![other, ChangeItem::default()], ..record("c-2", Phase::Intent, None) };
        for line in [line(&record("c-1", Phase::Intent, None)), line(&mixed), line(&attribution)] {
            trail.take(&line);
        }
        let actors: Vec<_> = trail.changes().iter().flat_map(|change| &change.items).map(|item| item.actor.as_ref()).collect();
        assert_eq!(actors, [Some(&alice), None, None]);
        assert_eq!((trail.changes().len(), trail.unreadable()), (2, 0), "an attribution is no change");
    }

    #[test]
    fn a_torn_line_is_counted_and_spoils_no_other() {
        let whole = line(&record("c-1", Phase::Intent, None));
        for cut in 1..whole.len() {
            let mut trail = Trail::default();
            for line in [&whole[..cut], b"", &line(&record("c-2", Phase::Intent, None)), b"\xff\xfe", b"{}"] {
                trail.take(line);
            }
            assert_eq!((trail.changes().len(), trail.unreadable()), (1, 3), "cut at {cut}");
        }
    }

    #[test]
    fn a_change_is_found_by_the_beginning_of_its_id() {
        let mut trail = Trail::default();
        for id in ["c-1", "c-12", "c-2"] {
            trail.take(&line(&record(id, Phase::Intent, None)));
        }
        let ids = |id: &str| -> Vec<String> { trail.find(id).iter().map(|change| change.id.clone()).collect() };
        assert_eq!((ids("c-1"), ids("c-2")), (vec!["c-1".to_owned()], vec!["c-2".to_owned()]));
        assert_eq!((ids("c-").len(), ids("d").len()), (3, 0));
    }
}
