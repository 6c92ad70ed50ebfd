//! Which drift records a plan puts right.

use std::collections::BTreeMap;

use crate::api::{self, DriftRecord};
use crate::core::audit::{Edit, Edits, Touched};
use crate::core::plan::{Report, What};

use super::drift::{digests, drift_digest, is_open};

/// The edits behind the differences of a report, by what putting them right touches. Those that a record counts and does not even
/// know by digest are nobody's.
pub fn edits(records: &[DriftRecord], report: &Report) -> Edits {
    let edit = |record: &DriftRecord| Edit { drift_id: record.id.clone(), actor: record.actor.clone() };
    let open = || records.iter().filter(|record| is_open(record));
    let by_digest: BTreeMap<String, &DriftRecord> =
        open().flat_map(|record| digests(record).into_iter().map(move |digest| (digest, record))).collect();
    let is_deletion = |record: &&DriftRecord| record.atoms.iter().any(|atom| atom.kind == api::DriftKind::GroupDeleted.as_str());
    // The rules of a group that was deleted went with it.
    let deletion = open().find(is_deletion);
    let of = |difference| drift_digest(difference).and_then(|digest| by_digest.get(&digest).copied());
    let mut found: Vec<(Touched, Edit)> = deletion.into_iter().map(|record| (Touched::Group, edit(record))).collect();
    for difference in &report.differences {
        let (touched, record) = match &difference.what {
            What::GroupMissing { recorded: _ } => (vec![Touched::Group], of(difference)),
            What::Missing { atom, declared: _, last_id: _ } => (vec![Touched::Rule(atom.clone())], of(difference).or(deletion)),
            What::Extra { live, rule: _, was: _ } | What::Description { live, declared: _ } => {
                (vec![Touched::Row(live.id.clone())], of(difference))
            }
            What::Moved { live, atom, declared: _ } => {
                (vec![Touched::Row(live.id.clone()), Touched::Rule(atom.clone())], of(difference))
            }
            What::Tag { key, live: _, declared: _, ownership: _ } => (vec![Touched::Tag(key.clone())], of(difference)),
        };
        if let Some(record) = record {
            found.extend(touched.into_iter().map(|touched| (touched, edit(record))));
        }
    }
    found.into_iter().collect()
}
