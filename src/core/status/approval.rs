//! Approval: the plan that waits, the annotation that lets it pass once, and what is said meanwhile.
//!
//! Invariant: an approval is spent when its plan has been carried out, and then counts no more for that generation, whatever becomes
//! of the group: the annotation stays, and must not let the same plan pass another day. A crash in between does not spend it: what is
//! left of the plan has another hash, unless nothing of it was done.

use crate::api::{APPROVE_ANNOTATION, Approved, MAX_PLAN_STEPS, MAX_TEXT, PlanSummary, SECURITY_GROUPS, SecurityGroupStatus};
use crate::core::plan::{self, Plan};

use super::Facts;
use super::drift::cut;
use super::reason::Reason;

/// The longest hash a status takes, in characters.
const MAX_HASH: usize = 64;

/// A plan that is told and not carried out.
#[derive(Clone, Copy, Debug)]
pub struct Pending<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its hash, which an approval names; `None`: nothing in it needs any.
    pub hash: Option<&'a str>,
    /// Why it waits; `None`: mode Observe, nobody waits for it.
    pub wait: Option<Wait<'a>>,
}

/// Why a plan waits for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait<'a> {
    /// The policy asks for approval of every change.
    Required,
    /// It changes so much, as told in words.
    MassChange(&'a str),
    /// It is the first plan of a group that was taken over, and revokes.
    Adoption,
}

impl Wait<'_> {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::MassChange(_) => Reason::MassChange,
            Self::Required | Self::Adoption => Reason::AwaitingApproval,
        }
    }
}

/// The approval that counts now, of what the annotation says: the hash of a plan, and who approved it. `None`: there is none, or it is
/// spent.
pub fn approval(annotated: Option<(String, String)>, status: &SecurityGroupStatus, generation: i64) -> Option<Approved> {
    let (hash, by) = annotated?;
    let by = cut(&by, MAX_TEXT);
    let spent = spent(status, &hash, generation).is_some_and(|approved| approved.by.as_ref() == Some(&by));
    (!spent).then_some(Approved { hash: Some(hash), by: Some(by), generation: None })
}

/// The approval of a plan that was carried out already.
fn spent<'a>(status: &'a SecurityGroupStatus, hash: &str, generation: i64) -> Option<&'a Approved> {
    let approved = status.approved.as_ref();
    approved.filter(|approved| approved.hash.as_deref() == Some(hash) && approved.generation == Some(generation))
}

/// What is to stand behind the name of whoever approves a plan: something, where that plan was approved and carried out before. The
/// same words would be the annotation that is there already.
pub fn again(status: &SecurityGroupStatus, hash: &str, generation: i64) -> String {
    let before = spent(status, hash, generation).and_then(|approved| approved.by.as_deref());
    before.map_or_else(String::new, |by| ", again".repeat(1 + by.matches(", again").count()))
}

/// What waits, why, and how to let it pass.
pub(super) fn message(pending: Pending<'_>, wait: Wait<'_>, facts: &Facts<'_>) -> String {
    let steps = plan::lines(pending.plan).len();
    let changes = if steps == 1 { "1 change waits".to_owned() } else { format!("{steps} changes wait") };
    let why = match wait {
        Wait::Required => "approval is Required".to_owned(),
        Wait::MassChange(why) => why.to_owned(),
        Wait::Adoption => "the first plan of a group that was taken over revokes rules".to_owned(),
    };
    let object =
        facts.declaration.map_or_else(String::new, |object| format!("-n {} {SECURITY_GROUPS} {}", object.namespace, object.name));
    let hash = pending.hash.unwrap_or_default();
    let again = again(facts.previous, hash, facts.generation);
    format!(
        "{changes} for approval ({why}), see status.plan: kubectl annotate --overwrite {object} {APPROVE_ANNOTATION}='{hash} <you>{again}'"
    )
}

/// A plan as status shows it.
pub(super) fn summarise(pending: Pending<'_>) -> PlanSummary {
    let lines = plan::lines(pending.plan);
    PlanSummary {
        hash: pending.hash.map(|hash| cut(hash, MAX_HASH)),
        count: i32::try_from(lines.len()).ok(),
        steps: lines.iter().take(MAX_PLAN_STEPS).map(|line| cut(line, MAX_TEXT)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef";

    fn given(hash: &str, by: &str, status: &SecurityGroupStatus) -> Option<String> {
        approval(Some((hash.to_owned(), by.to_owned())), status, 3)?.by
    }

    fn status(generation: Option<i64>) -> SecurityGroupStatus {
        let approved = Approved { hash: Some(HASH.to_owned()), by: Some("ada".to_owned()), generation };
        SecurityGroupStatus { approved: Some(approved), ..SecurityGroupStatus::default() }
    }

    #[test]
    fn an_approval_counts_until_its_plan_was_carried_out_and_again_for_another_generation() {
        assert!(given(HASH, "ada", &SecurityGroupStatus::default()).is_some());
        assert!(given(HASH, "ada", &status(None)).is_some(), "the plan is being carried out");
        assert_eq!(given(HASH, "ada", &status(Some(3))), None, "spent");
        assert!(given(HASH, "ada, again", &status(Some(3))).is_some(), "approved anew");
        assert!(given(HASH, "ada", &status(Some(2))).is_some());
        assert!(given(&HASH.replace('0', "f"), "ada", &status(Some(3))).is_some(), "another plan");
        assert_eq!(approval(None, &status(None), 3), None);
    }

    #[test]
    fn an_approval_by_a_long_name_is_spent_too() {
        let long = "x".repeat(1000);
        let mut status = status(Some(3));
        let approved = approval(Some((HASH.to_owned(), long.clone())), &SecurityGroupStatus::default(), 3).unwrap();
        status.approved = Some(Approved { generation: Some(3), ..approved });
        assert_eq!(given(HASH, &long, &status), None);
    }
}
