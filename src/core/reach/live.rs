//! What is live in a group, as far as its status tells: the rules sgwarden vouches for, and what it found beside them.

use std::collections::BTreeMap;

use crate::api::{DriftAtom, DriftRecord, SecurityGroup};
use crate::core::activity::presentable;
use crate::core::model::{Atom, Vouched};

/// A rule that is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where it comes from, in words: a declared rule, or somebody's edit.
    pub(super) origin: String,
    /// The drift record, where it is an edit.
    pub(super) drift: Option<String>,
}

/// Everything that is live, or why that cannot be told.
pub(super) fn live(object: &SecurityGroup) -> Result<BTreeMap<Atom, Seen>, String> {
    let Some(status) = &object.status else { return Err("it has no status".to_owned()) };
    let Some(lines) = &status.rules else { return Err("its status lists no rules yet".to_owned()) };
    let vouched = Vouched::from_lines(lines.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    let mut live: BTreeMap<Atom, Seen> = BTreeMap::new();
    // A rule without an id is one that was about to be authorized: nobody has seen it yet.
    for (atom, rule) in vouched.iter().filter(|(_, rule)| rule.id.is_some()) {
        live.insert(atom.clone(), Seen { origin: format!("rule {}", rule.rule), drift: None });
    }
    // The oldest first: of two edits of one rule the newer is the one that holds.
    for record in status.drift.iter().rev().filter(|record| record.resolved_at.is_none()) {
        if record.unlisted.is_some() {
            return Err(format!("drift {} is more than its record lists", presentable(&record.id)));
        }
        for DriftAtom { kind: _, before, after, rule_id: _, rule: _ } in &record.atoms {
            if let Some(atom) = before.as_deref().and_then(read) {
                live.remove(&atom);
            }
            if let Some(atom) = after.as_deref().and_then(read) {
                live.entry(atom).or_insert_with(|| edit(record));
            }
        }
    }
    Ok(live)
}

fn edit(record: &DriftRecord) -> Seen {
    let who = record.actor.as_ref().and_then(|actor| actor.name.as_deref()).map(presentable);
    let id = presentable(&record.id);
    let origin = match who {
        Some(who) => format!("nobody declared it: {who} did it, drift {id}"),
        None => format!("nobody declared it: drift {id}"),
    };
    Seen { origin, drift: Some(record.id.clone()) }
}

/// The rule in a text that may have its description behind it.
fn read(text: &str) -> Option<Atom> {
    let rule = text.split_once(" \"").map_or(text, |(rule, _)| rule);
    rule.parse().ok()
}
