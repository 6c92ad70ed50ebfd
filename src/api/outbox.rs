//! What a group's status holds for those who are told: which notifier heard of what, and what is still to be told.
//!
//! Entry points: [`Notified`], [`NoticeRecord`]. Both are in status, so that no crash loses a message: what is to be told is written
//! down with what it is about, in one write, and struck out once it was taken.
//!
//! Invariant: as everywhere in a status, reading cannot fail and no word is an enum of the schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notifier::MAX_NOTIFIER_NAME;

/// The most notices in a status; the oldest become one when there are more.
pub const MAX_NOTICES: usize = 10;
/// The most notifiers that are told of one group; more are left out, the last by name.
pub const MAX_NOTIFIED: usize = 8;
/// The most characters in the message of a notice.
pub const MAX_NOTICE_MESSAGE: usize = 600;

/// A notifier that took a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Notified {
    /// Name of the Notifier.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MAX_NOTIFIER_NAME))]
    pub notifier: String,

    /// When its sink last took a message about it, such as 2026-12-24T18:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub at: Option<String>,

    /// Whether a message said who did it; if not, another follows when that is known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub with_actor: bool,

    /// Whether a message said how it ended; if not, another follows when it has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub with_end: bool,
}

/// Something to tell that is not about an edit, kept until every notifier that wants it took it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct NoticeRecord {
    /// Id of the notice; messages carry it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub id: String,

    /// What it is about: GroupDeleted, Suspend, Expiry, RevertWar, Waiting, OwnershipConflict or Failure.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub kind: String,

    /// How much it matters: Low, Medium, High or Critical.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub severity: String,

    /// Why, as in the Event of the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub reason: String,

    /// When it became true, such as 2026-12-24T18:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub at: Option<String>,

    /// What is told.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MAX_NOTICE_MESSAGE))]
    pub message: String,

    /// The notifiers that took it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_NOTIFIED), extend("x-kubernetes-list-type" = "atomic"))]
    pub notified: Vec<Notified>,
}
