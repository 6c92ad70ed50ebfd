//! Rules that end by themselves: said a day before, and when it has happened.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::{MAX_EXPIRED_LINE, MAX_EXPIRING, SecurityGroupStatus};
use crate::core::model::{Direction, RuleName};

use super::drift::cut;
use super::suspend;

/// How long before its end a rule is announced.
const ANNOUNCED: SignedDuration = SignedDuration::from_hours(24);

/// Rules of which something ends, and when first.
pub type Expiring = BTreeMap<(Direction, RuleName), Timestamp>;

/// The rules of which something ends within a day, soonest first: `ingress https 2026-12-24T18:00:00Z`.
pub(super) fn soon(expiring: &Expiring, now: Timestamp) -> Vec<String> {
    let mut soon: Vec<(Timestamp, String)> = expiring
        .iter()
        .filter(|(_, end)| **end > now && announced_at(**end) <= now)
        .map(|((direction, rule), end)| (*end, format!("{direction} {rule} {end}")))
        .collect();
    soon.sort();
    soon.into_iter().take(MAX_EXPIRING).map(|(_, line)| cut(&line, MAX_EXPIRED_LINE)).collect()
}

/// Whether a status announces what there is to announce now.
pub fn announces(status: &SecurityGroupStatus, expiring: &Expiring, now: Timestamp) -> bool {
    status.expiring == soon(expiring, now)
}

fn announced_at(end: Timestamp) -> Timestamp {
    end.checked_sub(ANNOUNCED).unwrap_or(Timestamp::MIN)
}

/// When time alone makes the status say something new: something ends, or does in a day; a suspend ends, or does in minutes. A pass
/// is due then, whatever the sweep finds.
pub fn next_news(status: &SecurityGroupStatus, expiring: &Expiring, now: Timestamp) -> Option<Timestamp> {
    let ends = expiring.values().flat_map(|end| [announced_at(*end), *end]);
    ends.chain(suspend::next_word(status, now)).filter(|time| *time > now).min()
}
