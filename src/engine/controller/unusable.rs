//! An object whose manifest cannot be used: said as a condition, while edits nobody authorized are still reverted.

use crate::api::Mode;
use crate::core::desired::Problem;
use crate::core::model::Region;
use crate::core::plan;
use crate::core::status::{self, Reason, Standing, Tracking};
use crate::engine::execute::Executor;

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

    /// `None`: nothing to revert.
    async fn revert_only(&mut self, message: &str) -> Option<Next> {
        let status = self.object.status.clone().unwrap_or_default();
        let recorded = status::recorded_group(&status)?;
        let region: Region = status.region.as_ref()?.parse().ok()?;
        // Observe writes nothing whatever else is wrong, and a mode that cannot be read is taken for it.
        if self.object.spec.mode() != Ok(None) && self.object.spec.mode() != Ok(Some(Mode::Enforce)) {
            return None;
        }
        let ec2 = self.context.parts.connect.connect(&region).await.ok()?;
        if self.wrong_account(&ec2, None).await.is_some() {
            return None;
        }
        let Ok(Located::Found(observed)) = locate(&ec2, &self.owner, Some(&recorded), None).await else { return None };
        let vouched = status::baseline(&status);
        let (plan, report) = plan::plan_reverts(&self.owner, &observed, vouched.as_ref());
        let tracking = Tracking {
            group: recorded.as_str(),
            now: self.context.parts.clock.now(),
            mode: Mode::Enforce,
            trace_id: &self.trace_id,
        };
        let mut next = status.clone();
        next.drift = status::track(&self.records(&status), &report, tracking);
        if plan.is_empty() && next.drift == status.drift {
            return None;
        }
        let next = self.failed_status(
            &next,
            None,
            Standing::Failed { reason: Reason::InvalidSpec, message: message.to_owned(), seen: false },
        );
        if let Some(next) = self.store(next).await {
            return Some(next);
        }
        if plan.is_empty() {
            return None;
        }
        let parts = &self.context.parts;
        let executor = Executor {
            ec2: &ec2,
            audit: parts.audit.as_ref(),
            metrics: &parts.metrics,
            clock: &parts.clock,
            timings: &parts.timings,
        };
        let execution = executor.execute(&plan, &self.subject()).await;
        if let Some(failure) = &execution.failure {
            tracing::warn!(%failure, "revert failed");
            return Some(Next::failed());
        }
        Some(Next::soon(parts.timings.visible_poll))
    }
}
