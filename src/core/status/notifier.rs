//! The status of a `Notifier`: whether it can be used, whether its messages are taken, and what waits.

use jiff::{SignedDuration, Timestamp};

use crate::api::NotifierStatus;
use crate::api::conditions::{DELIVERING, READY};
use crate::core::desired::Problem;

use super::conditions::{Draft, draft, finish, not_ready};
use super::drift::cut;
use super::reason::Reason;
use super::{problems_message, whole_second};

/// Figures and times alone are written no more often than this.
const FIGURES: SignedDuration = SignedDuration::from_mins(1);
/// What of a trouble is told.
const TROUBLE: usize = 500;

/// What is known of a notifier.
#[derive(Clone, Debug)]
pub struct NotifierFacts<'a> {
    /// The object's generation.
    pub generation: i64,
    /// Now.
    pub now: Timestamp,
    /// The status before.
    pub previous: &'a NotifierStatus,
    /// From when on it is told of what happens.
    pub since: Timestamp,
    /// Why the spec cannot be used, if it cannot.
    pub problems: &'a [Problem],
    /// How much waits to be sent; `None`: it was not counted.
    pub waiting: Option<usize>,
    /// When a message was last taken, as far as this process knows.
    pub last_sent: Option<Timestamp>,
    /// Why the last message was not taken, if it was not.
    pub trouble: Option<(Reason, String)>,
}

/// The status to be written, once [`notifier_status_due`].
pub fn build_notifier(facts: &NotifierFacts<'_>) -> NotifierStatus {
    let NotifierFacts { generation, now, previous, since, problems, waiting, last_sent, trouble } = facts;
    let last_sent_time = last_sent.map(|at| whole_second(at).to_string()).or_else(|| previous.last_sent_time.clone());
    let drafts = match (problems.is_empty(), trouble) {
        (false, _) => {
            let mut drafts = not_ready(Reason::InvalidSpec, &problems_message(problems));
            drafts.push(draft(DELIVERING, "False", Reason::InvalidSpec, "nothing is sent as long as the spec cannot be used"));
            drafts
        }
        (true, Some((reason, message))) => failing(*reason, &cut(message, TROUBLE)),
        (true, None) => working(last_sent_time.is_some()),
    };
    NotifierStatus {
        observed_generation: Some(*generation),
        since: previous.since.clone().or_else(|| Some(whole_second(*since).to_string())),
        last_sent_time,
        waiting: waiting.map_or(previous.waiting, |waiting| i32::try_from(waiting).ok()),
        conditions: finish(&drafts, &previous.conditions, &[], *generation, *now),
    }
}

fn failing(reason: Reason, message: &str) -> Vec<Draft> {
    let message = format!("{message}; nothing is lost, it is tried again");
    let mut drafts = not_ready(reason, &message);
    drafts.push(draft(DELIVERING, "False", reason, message));
    drafts
}

fn working(has_sent: bool) -> Vec<Draft> {
    if has_sent {
        let message = "the last message was taken";
        return vec![draft(READY, "True", Reason::Succeeded, message), draft(DELIVERING, "True", Reason::Succeeded, message)];
    }
    let message = "nothing was to be sent so far";
    vec![draft(READY, "True", Reason::Succeeded, message), draft(DELIVERING, "Unknown", Reason::NotLookedAt, message)]
}

/// Whether the status says something new, or has figures that are new and were not written lately.
pub fn notifier_status_due(
    previous: &NotifierStatus,
    next: &NotifierStatus,
    last_written: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let news = |status: &NotifierStatus| {
        let NotifierStatus { observed_generation, since, last_sent_time: _, waiting: _, conditions } = status.clone();
        (observed_generation, since, conditions)
    };
    if news(previous) != news(next) {
        return true;
    }
    previous != next && last_written.is_none_or(|last| last > now || now.duration_since(last) >= FIGURES)
}
