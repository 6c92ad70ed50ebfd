//! An object whose manifest cannot be used: said as a condition, while edits nobody authorized are still reverted.

use crate::api::Mode;
use crate::core::desired::Problem;
use crate::core::model::Region;
use crate::core::plan;
use crate::core::status::{self, Reason, Standing, Tracking};

use super::locate::{Located, locate};
use super::reconcile::{Next, Pass};

impl Pass<'_> {
    /// A manifest that cannot be used: say so, and keep reverting what nobody declared.
    pub(super) async fn unusable(&mut self, problems: &[Problem]) -> Next {
        let lines: Vec<String> = problems.iter().take(10).map(ToString::to_string).collect();
        let more = problems.len().saturating_sub(lines.len());
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!("{}{rest}", lines.join("; "));
        if let Some(next) = self.revert_only(&message).await {
            return next;
        }
        self.stop(None, Reason::InvalidSpec, message).await
    }

    /// `None`: nothing to revert, or nothing that may be.
    async fn revert_only(&mut self, message: &str) -> Option<Next> {
        let status = self.object.status.clone().unwrap_or_default();
        let recorded = status::recorded_group(&status)?;
        let region: Region = status.region.as_ref()?.parse().ok()?;
        // Observe writes nothing whatever else is wrong, and a mode that cannot be read is taken for it.
        if self.object.spec.mode() != Ok(None) && self.object.spec.mode() != Ok(Some(Mode::Enforce)) {
            return None;
        }
        let ec2 = match self.context.parts.connect.connect(&region).await {
            Ok(ec2) => ec2,
            Err(error) => return Some(self.cloud_failed(None, &region, &error).await),
        };
        if let Some(next) = self.wrong_account(&ec2, None).await {
            return Some(next);
        }
        let observed = match locate(&ec2, &self.owner, Some(&recorded), None).await {
            Ok(Located::Found(observed)) => observed,
            Ok(Located::RecordedAbsent(_) | Located::Nowhere | Located::Ambiguous(_) | Located::NameTaken(_)) => return None,
            Err(error) => return Some(self.cloud_failed(None, &region, &error).await),
        };
        let vouched = status::baseline(&status);
        let observed = plan::recognised(*observed, vouched.as_ref());
        let (plan, report) = plan::plan_reverts(&self.owner, &observed, vouched.as_ref(), status.tags.as_ref());
        let tracking = Tracking {
            group: recorded.as_str(),
            now: self.context.parts.clock.now(),
            mode: Mode::Enforce,
            trace_id: &self.trace_id,
        };
        let drift = status::track(&self.records(&status), &report, tracking);
        if plan.is_empty() && drift == status.drift {
            return None;
        }
        let standing = Standing::Failed { reason: Reason::InvalidSpec, message: message.to_owned(), seen: false };
        let mut next = self.failed_status(&status, None, standing);
        next.drift.clone_from(&drift);
        if let Err(next) = self.store_before(next, drift, &plan).await {
            return Some(next);
        }
        if plan.is_empty() {
            return None;
        }
        let (execution, shown) = self.execute(&ec2, &plan).await;
        if let Some(failure) = execution.failure.or(shown) {
            tracing::warn!(%failure, "revert failed");
            return Some(Next::failed());
        }
        Some(Next::soon(self.context.parts.timings.visible_poll))
    }
}
