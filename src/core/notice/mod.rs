//! What is worth telling somebody who does not look at the cluster, to whom, and in which words.
//!
//! Entry points: [`record`] writes into a status what is to be told besides its drift; [`owed`] reads off a status what a recipient
//! has not heard yet, [`mark`] notes that it has, [`told`] says which drift records nobody waits for. [`Limiter`] says how much may be
//! sent now. [`slack`], [`cloud_event`] and [`sns`] render one [`Notice`], or several held back as one [`Parcel`].
//!
//! Invariant: the status is the outbox. What is to be told stands in it in the same write that made it true, and goes only when
//! every recipient that wants it took it: a crash between two writes costs a repetition, never a message.
//! Invariant: a recipient hears of one thing three times at most: when it is known, who did it, how it ended; under one key.
//! Invariant: text that others wrote (rules, names of people) is data in every format: it mentions nobody, links nowhere, and
//! is cut where a format has a limit.

mod outbox;
mod rate;
mod render;
mod severity;
mod tell;

pub use outbox::{Audience, Heard, Listener, add, mark, owed, record, told};
pub use rate::{Limiter, Turn};
pub use render::{Parcel, SnsMessage, cloud_event, slack, sns};

use jiff::Timestamp;

use crate::api::{NoticeKind, Severity};

/// The most notices in one digest.
pub const DIGEST: usize = 20;

/// Something to tell, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What stays the same however often it is told: `<namespace>/<name>/<id of the record>`.
    pub key: String,
    /// Id of the record in the status.
    pub record: String,
    /// What it says.
    pub heard: Heard,
    /// Whether it completes what was told before.
    pub update: bool,
    /// What it is about.
    pub kind: NoticeKind,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened.
    pub at: Timestamp,
    /// The group it is about.
    pub place: Place,
    /// All of it in a sentence or two.
    pub headline: String,
    /// The rest, each with what it is: who, since when, what was done.
    pub facts: Vec<(&'static str, String)>,
    /// What to know before acting.
    pub advice: Vec<&'static str>,
    /// A command that helps, and what for.
    pub command: Option<(&'static str, String)>,
    /// The record as JSON, for programs.
    pub data: serde_json::Value,
}

/// Where it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Name of the `AwsAccount`.
    pub account: Option<String>,
    /// The Region.
    pub region: Option<String>,
    /// Id of the group in EC2.
    pub group: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { namespace, name, account, region, group: _ } = self;
        let beside: Vec<&str> = [account, region].into_iter().filter_map(Option::as_deref).collect();
        if beside.is_empty() { write!(f, "{namespace}/{name}") } else { write!(f, "{namespace}/{name} ({})", beside.join(", ")) }
    }
}

impl Notice {
    /// What tells this message from the others under its key: equal for every attempt to send it.
    pub fn message_id(&self) -> String {
        let Heard { actor, end } = self.heard;
        let stage = match (self.update, actor, end) {
            (false, _, _) => return self.key.clone(),
            (true, true, true) => "whole",
            (true, true, false) => "actor",
            (true, false, _) => "end",
        };
        format!("{}/{stage}", self.key)
    }
}
