//! An object whose manifest cannot be used: said as a condition, while edits nobody authorized are still reverted.

use crate::api::{DriftRecord, Mode};
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
        // Observe writes nothing whatever else is wrong, and a mode that cannot be read is taken for it. So is one that was the
        // last good word and is only missing now.
        if status.mode.as_deref() == Some(Mode::Observe.as_str()) {
            return None;
        }
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
        self.context.memories.present(&self.key, &self.uid);
        let vouched = status::baseline(&status);
        let observed = plan::recognised(*observed, vouched.as_ref());
        let (plan, report) = plan::plan_reverts(&self.owner, &observed, vouched.as_ref(), status.tags.as_ref());
        let tracking = Tracking {
            group: recorded.as_str(),
            now: self.context.parts.clock.now(),
            mode: Mode::Enforce,
            trace_id: &self.trace_id,
        };
        let before = self.records(&status);
        // Descriptions cannot be judged without the manifest: what is open about them stays open.
        let (undecided, judged): (Vec<DriftRecord>, Vec<DriftRecord>) = before.into_iter().partition(is_about_descriptions);
        let mut drift = status::track(&judged, &report, tracking);
        drift.extend(undecided);
        status::evict(&mut drift);
        if plan.is_empty() && drift == status.drift {
            return None;
        }
        let standing = Standing::Failed { reason: Reason::InvalidSpec, message: message.to_owned(), seen: false };
        let mut next = self.failed_status(&status, None, standing);
        next.drift.clone_from(&drift);
        next.rules = vouched.as_ref().map(|vouched| plan::vouched_before_reverts(vouched, &plan).to_lines()).or(next.rules);
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

fn is_about_descriptions(record: &DriftRecord) -> bool {
    status::is_open(record) && record.atoms.iter().any(|atom| atom.kind == plan::DriftKind::DescriptionChanged.to_string())
}
