//! Which changes wait for a person, and the hash by which that person names what was approved (DESIGN §4.4).
//!
//! What an earlier pass began was approved then: its intents are in status, so that a crash in the middle of an approved plan
//! asks nobody twice. Reverts never wait, nor does what was to end by itself.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::core::desired::Approval;
use crate::core::model::{Atom, DescriptionHash, Vouched};

use super::PlanInput;
use super::report::{Difference, What};

/// Whether changes need approval now.
pub(super) fn is_asked(input: PlanInput<'_>) -> bool {
    input.restraint.policy.approval == Approval::Required || input.restraint.wait.is_some()
}

/// Whether a difference is work that a person may be asked about.
pub(super) fn concerns(input: PlanInput<'_>, difference: &Difference) -> bool {
    let cause = difference.cause;
    let vouched = input.vouched;
    let begun = |atom: &Atom| vouched.and_then(|set| set.get(atom)).is_some_and(|known| known.id.is_none());
    if cause.is_drift() {
        return also_changed(vouched, difference);
    }
    if cause.closes() {
        return false;
    }
    match &difference.what {
        // Its record was written before it was created.
        What::GroupMissing { recorded: _ } => vouched.is_none(),
        // An intent, or in a group that somebody deleted what was live in it.
        What::Missing { atom, declared: _, last_id: _ } => {
            let known = vouched.and_then(|set| set.get(atom));
            known.is_none_or(|known| known.id.is_some() && input.observed.is_some())
        }
        // Both halves: what one pass began to bring about, another row may have been to become.
        What::Moved { live, atom, declared: _ } => !(begun(&live.atom) && begun(atom)),
        What::Extra { live, rule: _, was: _ } => !begun(&live.atom),
        What::Description { live, declared } => {
            let text = DescriptionHash::of(declared.description.as_deref());
            vouched.and_then(|set| set.get(&live.atom)).is_none_or(|known| known.describing != Some(text))
        }
        // Without its marks the group is nobody's, and IAM refuses all the rest.
        What::Tag { key, live: _, declared, ownership } => {
            !ownership && !input.tags_begun.is_some_and(|begun| begun.has(key, declared.as_ref()))
        }
    }
}

/// Somebody edited a description that the manifest changes too. What it was before is known by its digest alone, so that the
/// revert can write nothing but the change.
fn also_changed(vouched: Option<&Vouched>, difference: &Difference) -> bool {
    let What::Description { live, declared } = &difference.what else { return false };
    let known = vouched.and_then(|set| set.get(&live.atom));
    known.is_some_and(|known| !known.knows(declared.description.as_deref()))
}

/// 32 hex digits of SHA-256 over the group and what the changes among `differences` come to: rules that come, that go and
/// that are described anew, and tags, in canonical order. Whether a rule is changed in place or replaced does not matter, nor
/// do ids of rules, times, or what else somebody did to the group: so an approval outlives drift. `group` is its id, or says
/// which one is to be created. `None`: there is nothing to approve.
pub fn approval_hash<'a>(group: &str, differences: impl IntoIterator<Item = &'a Difference>) -> Option<String> {
    let mut lines: Vec<String> = differences.into_iter().flat_map(|difference| lines(&difference.what)).collect();
    if lines.is_empty() {
        return None;
    }
    lines.sort();
    let mut digest = Sha256::new();
    digest.update(group);
    for line in lines {
        digest.update("\n");
        digest.update(line);
    }
    let bytes: [u8; 32] = digest.finalize().into();
    Some(bytes.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// What a change comes to. Texts of people are quoted, so that no two changes read alike.
fn lines(what: &What) -> Vec<String> {
    match what {
        What::GroupMissing { recorded: _ } => vec!["create".to_owned()],
        What::Missing { atom, declared, last_id: _ } => vec![format!("+ {atom} {:?}", declared.description)],
        What::Extra { live, rule: _, was: _ } => vec![format!("- {}", live.atom)],
        What::Moved { live, atom, declared } => {
            vec![format!("- {}", live.atom), format!("+ {atom} {:?}", declared.description)]
        }
        What::Description { live, declared } => vec![format!("~ {} {:?}", live.atom, declared.description)],
        What::Tag { key, live: _, declared, ownership: _ } => vec![format!("tag {key:?} {declared:?}")],
    }
}
