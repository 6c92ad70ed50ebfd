//! An object whose manifest cannot be used, or not where it asks to be: said as a condition, while edits nobody authorized are
//! still reverted.

use std::ops::ControlFlow;

use crate::api::{DriftRecord, Mode};
use crate::core::desired::{self, Declaration, Problem};
use crate::core::model::{Observed, Region, SecurityGroupId};
use crate::core::plan::{self, Restraint};
use crate::core::status::{self, Reason, Standing, Tracking};

use super::locate::{Located, locate};
use super::pass::{Next, Pass};
use super::site::{Site, find_account};

/// Looks in one pass: two that agree, and one more where something else was put right between them.
const LOOKS: usize = 3;

impl Pass<'_> {
    /// A manifest that cannot be used: say so, and keep reverting what nobody declared.
    pub(super) async fn unusable(&mut self, problems: &[Problem]) -> Next {
        let lines: Vec<String> = problems.iter().take(10).map(ToString::to_string).collect();
        let more = problems.len().saturating_sub(lines.len());
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        self.halt(None, Reason::InvalidSpec, format!("{}{rest}", lines.join("; "))).await
    }

    /// Nothing can be planned for a reason that waiting does not cure. What was vouched for stays what is desired: an error in a
    /// manifest must not hold a door open.
    pub(super) async fn halt(&mut self, declaration: Option<&Declaration>, reason: Reason, message: String) -> Next {
        match self.revert_only(reason, &message).await {
            Some(next) => next,
            None => self.stop(declaration, reason, message).await,
        }
    }

    /// The way to the group as status has it, where reverting is allowed at all.
    async fn place_of_reverts(&mut self) -> Option<(Site, Restraint)> {
        let status = self.status();
        let region: Region = status.region.as_ref()?.parse().ok()?;
        // Observe writes nothing whatever else is wrong. A word that cannot be read may be meant as any of the others: then
        // nothing is done, as with a mode that was the last good word and is only missing now.
        let enforcement = desired::enforcement_of(&self.object).ok()?;
        if enforcement.mode.is_none() && status.mode.as_deref() == Some(Mode::Observe.as_str()) {
            return None;
        }
        let account = find_account(self.context, status.account.as_deref()?).ok()?;
        if !self.context.admits(&account, &self.key.namespace) {
            return None;
        }
        let site = Site::reach(self.context, account, &region).await.ok()?;
        self.look_for_suspend(&site);
        let (policy, _) = desired::policy(&enforcement, &site.account, self.is_suspended());
        let now = self.context.parts.clock.instant();
        let postponed = self.context.memories.postponed(&self.key, &self.uid, now, &self.context.parts.timings);
        let restraint = Restraint {
            policy,
            rules_per_group: site.account.limits.rules_per_group,
            postponed: postponed.into_keys().collect(),
            ..Restraint::default()
        };
        (restraint.policy.mode == Mode::Enforce).then_some((site, restraint))
    }

    /// `None`: nothing to revert, or nothing that may be.
    async fn revert_only(&mut self, reason: Reason, message: &str) -> Option<Next> {
        let recorded = status::recorded_group(&self.status())?;
        let (site, mut restraint) = self.place_of_reverts().await?;
        if let Some(next) = self.wrong_account(&site, None).await {
            return Some(next);
        }
        for _ in 0..LOOKS {
            if let ControlFlow::Break(next) = self.revert_round(&recorded, &site, &mut restraint, (reason, message)).await {
                return next;
            }
            self.context.parts.clock.sleep(self.context.parts.timings.confirm).await;
        }
        Some(Next::soon(self.context.parts.timings.visible_poll))
    }

    /// One look, and what it asks for. Goes on where some of it has to be seen twice.
    async fn revert_round(
        &mut self,
        recorded: &SecurityGroupId,
        site: &Site,
        restraint: &mut Restraint,
        (reason, message): (Reason, &str),
    ) -> ControlFlow<Option<Next>> {
        let observed = match self.observe_recorded(recorded, site).await {
            Ok(observed) => observed,
            Err(next) => return ControlFlow::Break(next),
        };
        let status = self.status();
        let vouched = self.baseline();
        let observed = plan::recognised(observed, vouched.as_ref());
        let (owner, origin) = (self.owner.clone(), self.origin());
        let begun = status::tags_begun(&status).unwrap_or_default();
        let tags = status.tags.as_ref().map(|tags| begun.applied(tags, &observed.group.tags));
        let make =
            |restraint: &Restraint| plan::plan_reverts(&owner, &observed, vouched.as_ref(), tags.as_ref(), origin, restraint);
        restraint.unconfirmed.clear();
        let (mut plan, mut report) = make(restraint);
        self.doubt(restraint, site, Some(&observed), &report);
        let unconfirmed = !restraint.unconfirmed.is_empty();
        if unconfirmed {
            (plan, report) = make(restraint);
        }
        let tracking = Tracking {
            group: recorded.as_str(),
            now: self.context.parts.clock.now(),
            policy: &restraint.policy,
            desired: None,
            observed: Some(&observed),
            lost: report.baseline_lost,
            trace_id: &self.trace_id,
            told: &self.told,
        };
        let before = self.records(&status);
        // Descriptions cannot be judged without the manifest: what is open about them stays open.
        let (undecided, judged): (Vec<DriftRecord>, Vec<DriftRecord>) = before.into_iter().partition(is_about_descriptions);
        let mut drift = status::track(&judged, &report, tracking);
        drift.extend(undecided);
        status::evict(&mut drift, &self.told);
        let drift = self.completed(site, drift);
        // What one read alone shows is no drift yet.
        if unconfirmed && plan.is_empty() {
            return ControlFlow::Continue(());
        }
        if plan.is_empty() && drift == status.drift {
            // Sweeps that show the group like this have nothing to tell.
            site.worker.settled(&self.key, &observed);
            return ControlFlow::Break(None);
        }
        let standing = Standing::Failed { reason, message: message.to_owned(), seen: false };
        let mut next = self.failed_status(&status, None, standing);
        next.drift.clone_from(&drift);
        next.rules = vouched.as_ref().map(|vouched| plan::vouched_before_reverts(vouched, &plan).to_lines()).or(next.rules);
        if let Err(next) = self.store_before(next, drift, &plan).await {
            return ControlFlow::Break(Some(next));
        }
        if plan.is_empty() {
            return ControlFlow::Break(None);
        }
        let (execution, shown) = self.execute(site, &plan, (Some(&observed), Some(&report)), false).await;
        self.note_reverts(&plan, &execution).await;
        if let Some(failure) = execution.failure.or(shown) {
            tracing::warn!(%failure, "revert failed");
            return ControlFlow::Break(Some(Next::failed()));
        }
        if unconfirmed {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Some(Next::soon(self.context.parts.timings.visible_poll)))
    }

    /// The recorded group with its rules. `Err(None)`: it does not show, and there is nothing to revert.
    async fn observe_recorded(&mut self, recorded: &SecurityGroupId, site: &Site) -> Result<Observed, Option<Next>> {
        match locate(&site.worker, &self.owner, Some(recorded), None).await {
            Ok(Located::Found(_)) => {}
            Ok(
                Located::RecordedAbsent(_)
                | Located::Nowhere
                | Located::Ambiguous(_)
                | Located::NameTaken(_)
                | Located::Adoptable(_)
                | Located::NothingToAdopt(_),
            ) => return Err(None),
            Err(error) => return Err(Some(self.cloud_failed(None, site.region(), &error).await)),
        }
        match site.worker.observe(recorded).await {
            Ok(Some(observed)) => {
                self.context.memories.present(&self.key, &self.uid);
                Ok(observed)
            }
            Ok(None) => Err(None),
            Err(error) => Err(Some(self.cloud_failed(None, site.region(), &error).await)),
        }
    }
}

fn is_about_descriptions(record: &DriftRecord) -> bool {
    status::is_open(record) && record.atoms.iter().any(|atom| atom.kind == plan::DriftKind::DescriptionChanged.to_string())
}
