//! What a pass does with what went wrong: a reason from the closed list, words for people, and when to try again.

use crate::api::SecurityGroupStatus;
use crate::core::desired::Declaration;
use crate::core::model::Region;
use crate::core::status::{self, Facts, Reason, Standing};
use crate::engine::execute::{Execution, Failure};
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::metrics::Outcome;

use super::reconcile::{Next, Pass, Pause, REFETCH, Seen};

impl Pass<'_> {
    pub(super) async fn execution_failed(&mut self, seen: &Seen<'_>, execution: &Execution, failure: &Failure) -> Next {
        let progress = format!("{} of {} calls done", execution.done.len(), execution.planned);
        match failure {
            Failure::Call(error) if seen.observed.is_none() && error.class == ErrorClass::Terminal && !error.outcome_unknown => {
                // Nothing was created: let go of the pins, so that the manifest can be corrected.
                self.note_error(error);
                let message = error.explain(&seen.ec2.region);
                let mut next = self.failed_status(
                    &self.object.status.clone().unwrap_or_default(),
                    Some(seen.declaration),
                    Standing::Failed { reason: Reason::Refused, message, seen: false },
                );
                status::unpin(&mut next);
                if let Some(next) = self.store(next).await {
                    return next;
                }
                Next::failed()
            }
            Failure::Call(error) => {
                self.note_error(error);
                let reason = reason_of(error);
                let message = format!("{}; {progress}", error.explain(&seen.ec2.region));
                // The world moved on under the plan: look again at once, and say nothing that would be stale in a moment.
                if error.class == ErrorClass::Stale && self.context.memories.failed(&self.key, &self.uid) < 3 {
                    return Next::soon(REFETCH);
                }
                self.finish(Some(seen.declaration), Standing::Failed { reason, message, seen: true }, Next::failed()).await
            }
            Failure::NotVisible { missing } => {
                let doing = format!("EC2 does not show {missing} as written yet; {progress}");
                let pause = self.context.parts.timings.visible_poll;
                self.finish(Some(seen.declaration), Standing::Progressing { doing }, Next::soon(pause)).await
            }
        }
    }

    /// A call that only read, or found whose credentials these are, failed.
    pub(super) async fn cloud_failed(&mut self, declaration: Option<&Declaration>, region: &Region, error: &CloudError) -> Next {
        self.note_error(error);
        let standing = Standing::Failed { reason: reason_of(error), message: error.explain(region), seen: false };
        let next = Next::failed();
        self.finish(declaration, standing, next).await
    }

    fn note_error(&self, error: &CloudError) {
        let class: &'static str = error.class.into();
        self.context.parts.metrics.reconcile.error(class);
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
        let next = Next { after: Pause::Usual, outcome: Outcome::Error };
        self.finish(declaration, Standing::Failed { reason, message, seen: false }, next).await
    }

    pub(super) async fn finish(&mut self, declaration: Option<&Declaration>, standing: Standing, next: Next) -> Next {
        let previous = self.object.status.clone().unwrap_or_default();
        let status = self.failed_status(&previous, declaration, standing);
        self.store(status).await.unwrap_or(next)
    }

    pub(super) fn failed_status(
        &self,
        previous: &SecurityGroupStatus,
        declaration: Option<&Declaration>,
        standing: Standing,
    ) -> SecurityGroupStatus {
        let mut next = status::build(Facts {
            generation: self.generation(),
            now: self.context.parts.clock.now(),
            previous,
            declaration,
            place: None,
            desired: None,
            observed: None,
            remaining: None,
            vouched: None,
            drift: self.records(previous),
            standing,
        });
        // What was vouched for stays word for word, also where this version cannot read it.
        next.rules.clone_from(&previous.rules);
        next
    }
}

fn reason_of(error: &CloudError) -> Reason {
    match error.class {
        ErrorClass::Throttled => Reason::Throttled,
        ErrorClass::Unavailable => Reason::CloudUnavailable,
        ErrorClass::Stale => Reason::Progressing,
        ErrorClass::InUse => Reason::InUse,
        ErrorClass::Terminal => Reason::Refused,
        ErrorClass::Quota => Reason::QuotaExceeded,
        ErrorClass::Credentials => Reason::CredentialsRefused,
        ErrorClass::Permission => Reason::PermissionDenied,
    }
}
