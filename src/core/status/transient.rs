//! Edits that were over before any read could show them: `CloudTrail` alone tells.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::api::{self, DriftAtom, DriftKind, DriftRecord, ExposureChange, MAX_DRIFT_ATOMS, MAX_EXPOSURE, Resolution};
use crate::core::activity::Event;
use crate::core::attribution::actor_of;
use crate::core::model::Atom;
use crate::core::plan::ExposureDelta;

use super::drift::{Tracking, cut, evict, shown};

/// A call that opened something which no read has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransientEdit {
    /// The call.
    pub event: Arc<Event>,
    /// The rules it made, as far as they are known.
    pub rules: Vec<Atom>,
}

impl TransientEdit {
    /// The id of its drift record: the same for the same event, so that one which comes twice is told once.
    pub fn record_id(&self) -> String {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(&self.event.id).into();
        format!("d-{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// The records with edits that were over before they were seen, each once.
pub fn note_transients(records: &[DriftRecord], edits: &[TransientEdit], with: Tracking<'_>) -> Vec<DriftRecord> {
    let mut next = records.to_vec();
    for edit in edits {
        if next.iter().all(|record| record.id != edit.record_id()) {
            next.insert(0, record(edit, with));
        }
    }
    evict(&mut next, with.told);
    next
}

fn record(edit: &TransientEdit, with: Tracking<'_>) -> DriftRecord {
    let atom = |rule: Option<&Atom>| DriftAtom {
        kind: DriftKind::Transient.into(),
        before: None,
        after: Some(rule.map_or_else(|| format!("what {} made", edit.event.name), |rule| shown(&rule.to_string()))),
        rule_id: None,
        rule: None,
    };
    let atoms: Vec<DriftAtom> = match edit.rules.as_slice() {
        [] => vec![atom(None)],
        rules => rules.iter().take(MAX_DRIFT_ATOMS).map(|rule| atom(Some(rule))).collect(),
    };
    let over = Some(with.now.to_string());
    DriftRecord {
        id: edit.record_id(),
        count: i32::try_from(edit.rules.len().max(1)).unwrap_or(i32::MAX),
        atoms,
        unlisted: None,
        detected_at: over.clone(),
        exposure: exposure(&edit.rules, with),
        actor: Some(actor_of(&edit.event)),
        notified: Vec::new(),
        resolution: Resolution::Transient.into(),
        resolved_at: over,
        change_id: None,
        trace_id: Some(with.trace_id.to_owned()),
    }
}

/// What was open while it lasted, beyond what is live now.
fn exposure(rules: &[Atom], with: Tracking<'_>) -> Option<ExposureChange> {
    let live: Vec<&Atom> = with.observed.into_iter().flat_map(|observed| observed.rules.values()).map(|rule| &rule.atom).collect();
    let then: Vec<&Atom> = live.iter().copied().chain(rules).collect();
    let opened = ExposureDelta::between(&live, &then).opened().map(|text| cut(&text, MAX_EXPOSURE))?;
    Some(api::ExposureChange { opened: Some(opened), closed: None })
}
