//! Rules that end by themselves: said a day before, and when it has happened.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::api::{MAX_EXPIRING, MAX_EXPIRY, SecurityGroupStatus};
use crate::core::desired::{Declaration, DeclaredRule};

use super::drift::cut;
use super::suspend;

/// How long before its end a rule is announced.
const ANNOUNCED: SignedDuration = SignedDuration::from_hours(24);

/// The rules that end within a day, soonest first: `ingress https 2026-12-24T18:00:00Z`.
pub(super) fn expiring(declaration: &Declaration, expired: &BTreeSet<String>, now: Timestamp) -> Vec<String> {
    let mut soon: Vec<(Timestamp, String)> = declaration
        .rules
        .iter()
        .filter_map(|rule| rule.expires_at.map(|end| (end, line(rule, end))))
        .filter(|(end, line)| *end > now && announced_at(*end) <= now && !expired.contains(line))
        .collect();
    soon.sort();
    soon.into_iter().take(MAX_EXPIRING).map(|(_, line)| cut(&line, MAX_EXPIRY)).collect()
}

fn line(rule: &DeclaredRule, end: Timestamp) -> String {
    format!("{} {} {end}", rule.direction, rule.name)
}

fn announced_at(end: Timestamp) -> Timestamp {
    end.checked_sub(ANNOUNCED).unwrap_or(Timestamp::MIN)
}

/// When time alone makes the status say something new: a rule ends, or does in a day; a suspend ends, or does in minutes. A pass is
/// due then, whatever the sweep finds. Ranges of sets end by `Desired::next_expiry`.
pub fn next_news(status: &SecurityGroupStatus, declaration: &Declaration, now: Timestamp) -> Option<Timestamp> {
    let ends = declaration.rules.iter().filter_map(|rule| rule.expires_at);
    ends.flat_map(|end| [announced_at(end), end]).chain(suspend::next_word(status, now)).filter(|time| *time > now).min()
}
