//! One pass over one object: what it carries along, and what it asks for next.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Origin, SecurityGroup, SecurityGroupStatus};
use crate::core::audit::Edits;
use crate::core::desired::{Declaration, Desired};
use crate::core::model::{Observed, SecurityGroupId, Vouched};
use crate::core::plan::{Owner, Plan, Report, Restraint};
use crate::core::status::SuspendedUntil;
use crate::engine::execute::Subject;
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::metrics::Outcome;
use crate::ports::objects::{Key, ObjectsError};
use crate::ports::spans;

use super::context::Context;
use super::report;
use super::site::Site;

/// What a pass asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// When to look again.
    pub(super) after: Pause,
    /// How it ended.
    pub(super) outcome: Outcome,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// At the usual interval.
    Usual,
    /// After this long.
    For(Duration),
    /// After a pause that grows with the failures in a row.
    Backoff,
    /// The same, and not soon: time alone cures nothing.
    Refused,
    /// When the object, something it refers to, or its group in EC2 changes.
    Change,
}

impl Next {
    pub(super) fn soon(after: Duration) -> Self {
        Self { after: Pause::For(after), outcome: Outcome::Requeue }
    }

    /// Again, after a pause that grows with the failures in a row.
    pub(super) fn failed() -> Self {
        Self { after: Pause::Backoff, outcome: Outcome::Error }
    }

    /// After a call that failed: soon where it may go through next time, later where somebody has to do something first.
    pub(super) fn after(error: &CloudError) -> Self {
        let after = match error.class {
            ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Stale | ErrorClass::NameTaken | ErrorClass::InUse => {
                Pause::Backoff
            }
            ErrorClass::Terminal | ErrorClass::Quota | ErrorClass::Credentials | ErrorClass::Permission => Pause::Refused,
        };
        Self { after, outcome: Outcome::Error }
    }

    pub(super) fn on_change() -> Self {
        Self { after: Pause::Change, outcome: Outcome::Success }
    }

    /// Nothing to do before `at`, unless something changes.
    pub(super) fn settled_until(at: Option<Timestamp>, now: Timestamp) -> Self {
        let pause = at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
        Self { after: pause.map_or(Pause::Change, Pause::For), outcome: Outcome::Success }
    }
}

/// Another pass has to start from the object as it is now.
pub(super) const REFETCH: Duration = Duration::from_millis(200);

/// Everything one pass carries along.
pub(super) struct Pass<'a> {
    pub(super) context: &'a Context,
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) trace_id: String,
    pub(super) object: SecurityGroup,
    pub(super) owner: Owner,
    /// Where the account allows less than the manifest asks for.
    pub(super) overruled: Vec<String>,
    /// Names in AWS that stand for other ids now than those they are pinned to.
    pub(super) moved: Vec<String>,
    /// The ids behind names in AWS, for `status.pins`.
    pub(super) pins: BTreeSet<String>,
    /// The suspend in effect, or over for less than an hour.
    pub(super) suspended: Option<SuspendedUntil>,
    /// When the suspend changes by itself.
    pub(super) next_suspend: Option<Timestamp>,
    /// The edit that is made again as often as it is reverted.
    pub(super) war: Option<String>,
    /// Changes of the account within the window of a mass change, when the plan was made.
    pub(super) changed_lately: usize,
    /// What the read before showed as missing or altered, when a second one has to show it too.
    pub(super) doubted: Option<BTreeSet<String>>,
    /// Drift records that everybody was told of who is to be told: these may go to make room.
    pub(super) told: BTreeSet<String>,
    /// How the group that was found came to be ours, as its tags tell; `None`: it was not found yet.
    pub(super) found: Option<Origin>,
    /// The group that mode Observe compares as if it were taken over.
    pub(super) would_adopt: Option<SecurityGroupId>,
}

impl Pass<'_> {
    /// The status as it is now.
    pub(super) fn status(&self) -> SecurityGroupStatus {
        self.object.status.clone().unwrap_or_default()
    }

    pub(super) fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or(0)
    }

    pub(super) fn subject(&self, observed: Option<&Observed>, edits: Edits) -> Subject {
        let source = self.object.metadata.annotations.as_ref().and_then(|all| all.get("sgwarden.dev/source")).cloned();
        Subject {
            cluster: self.context.parts.cluster.clone(),
            object: self.key.to_string(),
            uid: self.uid.clone(),
            generation: self.generation(),
            source,
            live: observed.into_iter().flat_map(|observed| observed.rules.values()).map(|rule| rule.atom.clone()).collect(),
            edits,
            trace_id: self.trace_id.clone(),
        }
    }

    /// `Some`: the status could not be stored, and this is what to do.
    pub(super) async fn store(&mut self, next: SecurityGroupStatus) -> Option<Next> {
        match report::write_status(self.context, &self.key, &self.object, next, None).await {
            Ok(object) => {
                self.object = object;
                None
            }
            Err(error) => Some(self.store_failed(&error)),
        }
    }

    pub(super) fn store_failed(&self, error: &ObjectsError) -> Next {
        match error {
            // Grows with the conflicts in a row: a watch that hangs shows the same old object for a while.
            ObjectsError::Conflict => Next { after: Pause::Backoff, outcome: Outcome::Requeue },
            ObjectsError::Gone => Next::on_change(),
            ObjectsError::Refused(_) | ObjectsError::Unavailable(_) => {
                let class = if matches!(error, ObjectsError::Refused(_)) { "StatusRefused" } else { "StoreUnavailable" };
                self.context.parts.metrics.reconcile.error(class);
                spans::failed(class);
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the store of objects failed");
                Next::failed()
            }
        }
    }
}

/// What one look at the group came to.
pub(super) struct Survey {
    pub(super) desired: Desired,
    pub(super) observed: Option<Observed>,
    pub(super) vouched: Option<Vouched>,
    pub(super) restraint: Restraint,
    pub(super) plan: Plan,
    pub(super) pending: Plan,
    pub(super) report: Report,
}

impl Survey {
    /// The same, with where it was.
    pub(super) fn seen<'a>(&'a self, declaration: &'a Declaration, site: &'a Site) -> Seen<'a> {
        Seen {
            declaration,
            site,
            desired: &self.desired,
            observed: self.observed.as_ref(),
            vouched: self.vouched.as_ref(),
            restraint: &self.restraint,
            plan: &self.plan,
            pending: &self.pending,
            report: &self.report,
        }
    }
}

/// What one round knows.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) declaration: &'a Declaration,
    pub(super) site: &'a Site,
    pub(super) desired: &'a Desired,
    pub(super) observed: Option<&'a Observed>,
    pub(super) vouched: Option<&'a Vouched>,
    pub(super) restraint: &'a Restraint,
    /// What is done now.
    pub(super) plan: &'a Plan,
    /// What would be done if nothing waited and the mode were Enforce.
    pub(super) pending: &'a Plan,
    pub(super) report: &'a Report,
}
