//! The record of a change: written as intent before each EC2 write and as outcome after it. And of who made the edit that a change
//! put right, where that was learned later.
//!
//! Entry points: [`AuditRecord`]; [`items`], which tells what a step does; [`Trail`], which reads records back.
//!
//! Invariant: the wire form is its own; renaming a type elsewhere does not change what is on disk.

mod edits;
mod kept;

pub use edits::{Edit, Edits, Touched};
pub use kept::{Change, KeptItem, KeptOutcome, Trail};

use serde::Serialize;

use crate::api::Actor;
use crate::core::model::{Atom, RuleId, RuleName};
use crate::core::plan::{Cause, Step};

/// Version of the wire form. Fields are only ever added within one.
pub const RECORD_VERSION: u32 = 1;

/// Which half of a change a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// About to be asked of EC2.
    Intent,
    /// What came of it.
    Outcome,
}

/// What an [`AttributionRecord`] has for a phase: nothing is changed, it was learned who made an edit.
pub const ATTRIBUTION: &str = "Attribution";

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AuditRecord {
    /// Half of a change.
    Change(Box<ChangeRecord>),
    /// Who made an edit.
    Attribution(Box<AttributionRecord>),
}

impl AuditRecord {
    /// Id of the change, or of the attribution.
    pub fn id(&self) -> &str {
        match self {
            Self::Change(record) => &record.id,
            Self::Attribution(record) => &record.id,
        }
    }
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OutcomeResult {
    /// EC2 did it.
    Done,
    /// EC2 answered that it did not.
    Failed,
    /// No answer, or one that does not say: it may have happened.
    Unknown,
}

/// What came of a change, in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Whether it happened.
    pub result: OutcomeResult,
    /// AWS's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// AWS's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// EC2's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
    /// The group the call created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Ids of the rules the call created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorized: Vec<String>,
}

/// One thing a step changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeItem {
    /// Why, as [`Cause`] is written: `SpecChange`, `ReferenceChange`, `PolicyChange`, `GrantWithdrawn`, `Expiry`, `SuspendEnd`,
    /// `Drift`, `Unclassified`, `Deletion` or `Adoption`.
    pub cause: &'static str,
    /// The declared rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// EC2's id of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<String>,
    /// As it was. With the description, it is enough to restore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its description as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_before: Option<String>,
    /// As it is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Its description to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_after: Option<String>,
    /// Why it is allowed, from the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// The drift record of the edit that this puts right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift_id: Option<String>,
    /// Who made that edit, as far as it was known then; what is learned later comes in an [`AttributionRecord`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// Half of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord {
    /// Version of this form.
    pub version: u32,
    /// Same for the intent and the outcome of one change.
    pub id: String,
    /// RFC 3339, UTC.
    pub time: String,
    /// Intent or outcome.
    pub phase: Phase,
    /// Cluster id.
    pub cluster: String,
    /// AWS account.
    pub account: String,
    /// AWS Region.
    pub region: String,
    /// The group; absent while it is being created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// `<namespace>/<name>` of the object.
    pub object: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Where the manifest came from: annotation `sgwarden.dev/source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Index of the step in its plan.
    pub step: usize,
    /// The EC2 call.
    pub operation: &'static str,
    /// What it changes, each with its cause.
    pub items: Vec<ChangeItem>,
    /// What the call opens, in addresses and ports, beyond what other rules of the group allow anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<String>,
    /// What it closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Ties the record to logs, status and traces of the same pass.
    pub trace_id: String,
    /// What came of it, in the second half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Who made an edit, learned after its drift record was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributionRecord {
    /// Version of this form.
    pub version: u32,
    /// Id of this line.
    pub id: String,
    /// RFC 3339, UTC.
    pub time: String,
    /// Always [`ATTRIBUTION`].
    pub phase: &'static str,
    /// Cluster id.
    pub cluster: String,
    /// AWS account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// AWS Region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// `<namespace>/<name>` of the object.
    pub object: String,
    /// Its uid.
    pub uid: String,
    /// The drift record.
    pub drift_id: String,
    /// Who made the edit.
    pub actor: Actor,
    /// The pass that saw the edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What a step changes, in words that [`Atom`] reads back, and which of `edits` each part puts right.
pub fn items(step: &Step, edits: &Edits) -> Vec<ChangeItem> {
    let row = |id: &RuleId| Touched::Row(id.clone());
    let rule = |atom: &Atom| Touched::Rule(atom.clone());
    match step {
        Step::CreateGroup(group) => {
            let edit = edits.of(&[Touched::Group]);
            let cause = if edit.drift_id.is_empty() { Cause::SpecChange } else { Cause::Drift };
            vec![ChangeItem {
                after: Some(format!("{} in {}", group.name, group.vpc)),
                description_after: Some(group.description.clone()),
                ..base(cause, None, None, edit)
            }]
        }
        Step::DeleteGroup => vec![base(Cause::Deletion, None, None, Edit::default())],
        Step::SetTags { tags, before, cause } => tags
            .iter()
            .map(|(key, value)| ChangeItem {
                before: before.get(key).map(|old| format!("{key}={old}")),
                after: Some(format!("{key}={value}")),
                ..base(*cause, None, None, edits.of(&[Touched::Tag(key.clone())]))
            })
            .collect(),
        Step::RemoveTags { tags, cause } => {
            let item = |(key, value): (&String, &String)| ChangeItem {
                before: Some(format!("{key}={value}")),
                ..base(*cause, None, None, edits.of(&[Touched::Tag(key.clone())]))
            };
            tags.iter().map(item).collect()
        }
        Step::Revoke { direction: _, purpose: _, rules } => rules
            .iter()
            .map(|item| ChangeItem {
                rule_id: Some(item.live.id.to_string()),
                description_before: item.live.description.clone(),
                before: Some(item.live.atom.to_string()),
                ..base(item.cause, item.rule.as_ref(), None, edits.of(&[row(&item.live.id)]))
            })
            .collect(),
        Step::Authorize { direction: _, rules } => rules
            .iter()
            .map(|item| ChangeItem {
                description_after: item.new.description.clone(),
                after: Some(item.new.atom.to_string()),
                ..base(item.cause, Some(&item.rule), item.justification.as_ref(), edits.of(&[rule(&item.new.atom)]))
            })
            .collect(),
        Step::Modify { direction: _, rules } => rules
            .iter()
            .map(|item| {
                let edit = edits.of(&[row(&item.live.id), rule(&item.new.atom)]);
                ChangeItem {
                    rule_id: Some(item.live.id.to_string()),
                    before: Some(item.live.atom.to_string()),
                    description_before: item.live.description.clone(),
                    after: Some(item.new.atom.to_string()),
                    description_after: item.new.description.clone(),
                    ..base(item.cause, Some(&item.rule), item.justification.as_ref(), edit)
                }
            })
            .collect(),
        Step::Describe { direction: _, rules } => rules
            .iter()
            .map(|item| {
                let atom: &Atom = &item.live.atom;
                ChangeItem {
                    rule_id: Some(item.live.id.to_string()),
                    before: Some(atom.to_string()),
                    description_before: item.live.description.clone(),
                    after: Some(atom.to_string()),
                    description_after: item.description.clone(),
                    ..base(item.cause, Some(&item.rule), None, edits.of(&[row(&item.live.id)]))
                }
            })
            .collect(),
        Step::AwaitVisible { direction: _, atoms: _ } | Step::Settle => Vec::new(),
    }
}

fn base(cause: Cause, rule: Option<&RuleName>, justification: Option<&String>, edit: Edit) -> ChangeItem {
    let Edit { drift_id, actor } = edit;
    ChangeItem {
        cause: cause.into(),
        rule: rule.map(ToString::to_string),
        justification: justification.cloned(),
        drift_id: Some(drift_id).filter(|id| !id.is_empty()),
        actor,
        ..ChangeItem::default()
    }
}
