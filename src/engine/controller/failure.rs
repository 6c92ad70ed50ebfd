//! What a pass does with what went wrong: a reason from the closed list, words for people, and when to try again.

use crate::api::SecurityGroupStatus;
use crate::api::conditions::MAX_MESSAGE;
use crate::core::desired::Declaration;
use crate::core::model::Region;
use crate::core::plan::{self, Ownership, PlanInput};
use crate::core::status::{self, Facts, Reason, Standing};
use crate::engine::execute::{Execution, Failure};
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::metrics::Outcome;
use crate::ports::spans;

use super::memory::LASTING;
use super::pass::{Next, Pass, Pause, REFETCH, Seen};

/// As many tries, with pauses that double from a second, until a name that is taken is believed to be somebody else's: a
/// minute.
const NAME_TAKEN: u32 = 6;
/// EC2's answer to more rules than a group may have.
const TOO_MANY_RULES: &str = "RulesPerSecurityGroupLimitExceeded";

/// What is said of every object that is being deleted and cannot go.
const WAY_OUT: &str = ". To let the object go and leave the group in EC2, set spec.deletionPolicy: Retain";

impl Pass<'_> {
    pub(super) async fn execution_failed(&mut self, seen: &Seen<'_>, execution: &Execution, failure: &Failure) -> Next {
        // Refused by our own fence, most likely: EC2 is well, and how the object stands is the leader's to say.
        if self.context.parts.leadership.fence.check().is_err() {
            return Next::failed();
        }
        let progress = format!("{} of {} calls done", execution.done.len(), execution.planned);
        match failure {
            Failure::Call(error) => {
                self.note_error(error);
                // The world moved on under the plan: look again at once, and say nothing that would be stale in a moment.
                if error.class == ErrorClass::Stale && self.context.memories.refetched(&self.key, &self.uid) < LASTING {
                    return Next::soon(REFETCH);
                }
                // A name that is taken may be our own group's, which does not show yet: that may last minutes.
                if error.class == ErrorClass::NameTaken && self.context.memories.refetched(&self.key, &self.uid) < NAME_TAKEN {
                    return Next::failed();
                }
                // What replaces does not fit beside what it replaces: the next plan makes room first.
                if error.is(TOO_MANY_RULES) && !seen.restraint.quota_refused {
                    self.context.memories.refused_for_quota(&self.key, &self.uid);
                    return Next::soon(REFETCH);
                }
                let reason = if error.class == ErrorClass::Stale { Reason::Refused } else { reason_of(error) };
                let explained = self.explain_unmarked(seen, error).unwrap_or_else(|| error.explain(seen.site.region()));
                let message = format!("{explained}; {progress}");
                if seen.observed.is_none() {
                    return self.create_failed(seen, error, reason, message).await;
                }
                let standing = Standing::Failed { reason, message, seen: true };
                match self.look_again(seen, standing.clone(), Next::after(error)).await {
                    Some(next) => next,
                    None => self.finish(Some(seen.declaration), standing, Next::after(error)).await,
                }
            }
            Failure::NotVisible { missing } => {
                let doing = format!("EC2 does not show {missing} as written yet; {progress}");
                let pause = self.context.parts.timings.visible_poll;
                self.finish(Some(seen.declaration), Standing::Progressing { doing }, Next::soon(pause)).await
            }
            Failure::Superseded => Next::soon(REFETCH),
        }
    }

    /// Where EC2 definitely created nothing, the pins are let go of, so that the manifest can be corrected.
    async fn create_failed(&mut self, seen: &Seen<'_>, error: &CloudError, reason: Reason, message: String) -> Next {
        let previous = self.status();
        let standing = Standing::Failed { reason, message, seen: false };
        let mut next = self.failed_status(&previous, Some(seen.declaration), standing);
        let refused = match error.class {
            ErrorClass::Terminal | ErrorClass::Quota | ErrorClass::Permission | ErrorClass::NameTaken => true,
            ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Stale | ErrorClass::InUse | ErrorClass::Credentials => {
                false
            }
        };
        if refused && !error.outcome_unknown {
            status::unpin(&mut next, error.class == ErrorClass::NameTaken);
        }
        self.store(next).await.unwrap_or_else(|| Next::after(error))
    }

    /// What was done all the same is written down before the pass ends: a failure that lasts must not make us forget, or tell
    /// our own work from drift no more. `None`: the group cannot be read now.
    async fn look_again(&mut self, seen: &Seen<'_>, standing: Standing, after: Next) -> Option<Next> {
        let id = seen.plan.group.clone()?;
        let observed = seen.site.worker.observe(&id).await.ok()??;
        let previous = self.status();
        let vouched = self.baseline();
        let observed = plan::recognised(observed, vouched.as_ref());
        if !matches!(self.owner.judge(&observed.group.tags), Ownership::Ours) {
            return None;
        }
        let owner = self.owner.clone();
        let (recorded, tags_begun) = (status::recorded_group(&previous), status::tags_begun(&previous));
        let input = PlanInput {
            owner: &owner,
            desired: seen.desired,
            observed: Some(&observed),
            vouched: vouched.as_ref(),
            applied_tags: previous.tags.as_ref(),
            tags_begun: tags_begun.as_ref(),
            recorded: recorded.as_ref(),
            restraint: seen.restraint,
            same_spec: previous.observed_generation == Some(self.generation()),
            status_is_ours: self.status_is_ours(),
            origin: self.origin(),
        };
        let ((plan, report), pending) = (plan::plan(input), plan::pending(input));
        let now_seen =
            Seen { observed: Some(&observed), vouched: vouched.as_ref(), plan: &plan, pending: &pending, report: &report, ..*seen };
        let next = status::build(Facts {
            place: Some(seen.site.place(&seen.desired.vpc)),
            desired: Some(seen.desired),
            remaining: Some((now_seen.plan, now_seen.report)),
            vouched: plan::vouched_after(vouched.as_ref(), seen.desired, &observed, false),
            drift: self.track(&now_seen, &previous),
            ..self.facts(&previous, &now_seen, standing)
        });
        Some(self.store(next).await.unwrap_or(after))
    }

    /// A call that only read, or found whose credentials these are, failed.
    pub(super) async fn cloud_failed(&mut self, declaration: Option<&Declaration>, region: &Region, error: &CloudError) -> Next {
        self.note_error(error);
        let standing = Standing::Failed { reason: reason_of(error), message: error.explain(region), seen: false };
        self.finish(declaration, standing, Next::after(error)).await
    }

    fn note_error(&self, error: &CloudError) {
        let class: &'static str = error.class.into();
        self.context.parts.metrics.reconcile.error(class);
        spans::failed(error.code.as_deref().unwrap_or(class));
        tracing::warn!(
            operation = error.operation,
            class,
            code = error.code,
            request_id = error.request_id,
            message = error.message,
            "AWS call failed"
        );
    }

    /// Ends the pass with a reason that waiting does not cure; it is looked at again all the same, at the usual interval.
    pub(super) async fn stop(&mut self, declaration: Option<&Declaration>, reason: Reason, message: String) -> Next {
        self.context.parts.metrics.reconcile.error(reason.as_str());
        spans::failed(reason.as_str());
        let next = Next { after: Pause::Usual, outcome: Outcome::Error };
        self.finish(declaration, Standing::Failed { reason, message, seen: false }, next).await
    }

    /// The same, for an object without a group: what was pinned for the group it never got is let go of.
    pub(super) async fn stop_unpinned(&mut self, declaration: &Declaration, reason: Reason, message: String) -> Next {
        self.context.parts.metrics.reconcile.error(reason.as_str());
        spans::failed(reason.as_str());
        let previous = self.status();
        let mut status = self.failed_status(&previous, Some(declaration), Standing::Failed { reason, message, seen: false });
        status::unpin(&mut status, true);
        self.store(status).await.unwrap_or(Next { after: Pause::Usual, outcome: Outcome::Error })
    }

    pub(super) async fn finish(&mut self, declaration: Option<&Declaration>, standing: Standing, next: Next) -> Next {
        let previous = self.status();
        let status = self.failed_status(&previous, declaration, standing);
        self.store(status).await.unwrap_or(next)
    }

    pub(super) fn failed_status(
        &self,
        previous: &SecurityGroupStatus,
        declaration: Option<&Declaration>,
        standing: Standing,
    ) -> SecurityGroupStatus {
        let standing = if self.object.metadata.deletion_timestamp.is_some() { with_way_out(standing) } else { standing };
        let mut next = status::build(Facts {
            declaration,
            drift: self.records(previous),
            war: self.war.as_deref(),
            ..Facts::of(previous, self.generation(), self.context.parts.clock.now(), standing)
        });
        // What was vouched for stays word for word, also where this version cannot read it.
        next.rules = previous.rules.clone().filter(|_| self.status_is_ours());
        next
    }
}

/// An object that is being deleted need not wait for its group; people are told how it goes without.
fn with_way_out(standing: Standing) -> Standing {
    let told = |message: String| {
        let room = MAX_MESSAGE.saturating_sub(WAY_OUT.chars().count());
        status::cut(&message, room) + WAY_OUT
    };
    match standing {
        Standing::Failed { reason, message, seen } => Standing::Failed { reason, message: told(message), seen },
        Standing::DeletionBlocked { message } => Standing::DeletionBlocked { message: told(message) },
        Standing::Unseen | Standing::Done | Standing::Progressing { doing: _ } => standing,
    }
}

/// Why, as people are told it.
pub(super) fn reason_of(error: &CloudError) -> Reason {
    match error.class {
        ErrorClass::Throttled => Reason::Throttled,
        ErrorClass::Unavailable => Reason::CloudUnavailable,
        ErrorClass::Stale => Reason::Progressing,
        ErrorClass::NameTaken => Reason::GroupNameTaken,
        ErrorClass::InUse => Reason::InUse,
        ErrorClass::Terminal => Reason::Refused,
        ErrorClass::Quota => Reason::QuotaExceeded,
        ErrorClass::Credentials => Reason::CredentialsRefused,
        ErrorClass::Permission => Reason::PermissionDenied,
    }
}
