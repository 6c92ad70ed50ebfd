//! The status of a `CidrSet`: how many ranges are in force, who uses them, and whether the set can be used.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::conditions::READY;
use crate::api::{CidrSetStatus, MAX_USERS, UsedBy};
use crate::core::desired::{Problem, Range};

use super::conditions::{draft, finish, not_ready};
use super::drift::cut;
use super::problems_message;
use super::reason::Reason;

/// The most characters in the name of a user, as the schema says: a namespace and a name always fit.
const MAX_USER: usize = 320;

/// What is known of a set.
#[derive(Clone, Debug)]
pub struct CidrSetFacts<'a> {
    /// The object's generation.
    pub generation: i64,
    /// Now, by EC2's clock: ranges expire by it.
    pub now: Timestamp,
    /// The status before.
    pub previous: &'a CidrSetStatus,
    /// Why the set cannot be used, if it cannot.
    pub problems: &'a [Problem],
    /// Its ranges, also those that expired; `None` when the set cannot be used.
    pub ranges: Option<&'a [Range]>,
    /// The groups whose rules use it, as namespace/name.
    pub users: &'a BTreeSet<String>,
}

/// The status to be written.
pub fn build_cidr_set(facts: &CidrSetFacts<'_>) -> CidrSetStatus {
    let CidrSetFacts { generation, now, previous, problems, ranges, users } = facts;
    let in_force = |range: &&Range| range.expires_at.is_none_or(|end| end > *now);
    let entries = ranges.map(|ranges| ranges.iter().filter(in_force).count());
    let drafts = match (ranges, entries) {
        (Some(ranges), Some(entries)) if problems.is_empty() => {
            vec![draft(READY, "True", Reason::Succeeded, usable(entries, ranges.len().saturating_sub(entries)))]
        }
        (Some(_) | None, _) => not_ready(Reason::InvalidSpec, &problems_message(problems)),
    };
    CidrSetStatus {
        observed_generation: Some(*generation),
        // Rules keep what a set that cannot be used gave them, so its last figure stays.
        entries: entries.and_then(|entries| i32::try_from(entries).ok()).or(previous.entries),
        used_by: Some(UsedBy {
            count: i32::try_from(users.len()).unwrap_or(i32::MAX),
            names: users.iter().take(MAX_USERS).map(|user| cut(user, MAX_USER)).collect(),
        }),
        conditions: finish(&drafts, &previous.conditions, &[], *generation, *now),
    }
}

fn usable(entries: usize, expired: usize) -> String {
    let ranges = match entries {
        0 => "no range is in force: rules that use the set allow nobody".to_owned(),
        1 => "1 range is in force".to_owned(),
        entries => format!("{entries} ranges are in force"),
    };
    if expired > 0 { format!("{ranges}; {expired} expired") } else { ranges }
}
