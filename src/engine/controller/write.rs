//! From a plan to EC2: the status that vouches for it, the execution, and the wait until EC2 shows it.

use crate::api::{DriftRecord, SecurityGroup, SecurityGroupStatus};
use crate::core::desired;
use crate::core::model::{Observed, SecurityGroupId};
use crate::core::plan::{self, Plan, Report};
use crate::core::status::{self, Facts, Reason, Standing};
use crate::engine::execute::{Execution, Executor, Failure};
use crate::engine::region::Urgency;
use crate::ports::cloud::{Ec2, GroupQuery};
use crate::ports::objects::ObjectsError;
use crate::ports::spans;

use super::limits::{Room, Work};
use super::pass::{Next, Pass, REFETCH, Seen};
use super::report;
use super::site::{Site, find_account};

impl Pass<'_> {
    /// Status first, then EC2, then wait until EC2 shows it.
    pub(super) async fn carry_out(&mut self, seen: &Seen<'_>) -> Result<(), Next> {
        tracing::info!(steps = plan::summary(seen.plan), "plan");
        let (limits, booked) = (&self.context.limits, self.context.parts.clock.instant());
        let account = seen.site.account.name.clone();
        let work = self.work(seen);
        if !limits.book(&account, work, self.room(seen.site), booked) {
            return Err(Next::soon(REFETCH));
        }
        if let Err(next) = self.record(seen).await {
            limits.give_back(&account, work, booked);
            return Err(next);
        }
        let (execution, shown) =
            self.execute(seen.site, seen.plan, (seen.observed, Some(seen.report)), seen.observed.is_some()).await;
        if let Some(id) = execution.created.clone() {
            self.context.memories.created(&self.key, &self.uid, self.context.parts.clock.instant());
            self.created(seen, &id).await?;
        }
        let done = plan::tally(seen.plan, &execution.steps);
        let undone =
            Work { removed: work.removed.saturating_sub(done.removed), changed: work.changed.saturating_sub(done.changed) };
        limits.give_back(&account, undone, booked);
        self.note_reverts(seen.plan, &execution).await;
        match execution.failure.as_ref().or(shown.as_ref()) {
            Some(failure) => Err(self.execution_failed(seen, &execution, failure).await),
            None => Ok(()),
        }
    }

    /// Executes a plan, made for a group as it was observed and for what a report found in it, and, where it went well and `verify`
    /// says so, waits until reads show what it wrote.
    pub(super) async fn execute(
        &self,
        site: &Site,
        plan: &Plan,
        (observed, report): (Option<&Observed>, Option<&Report>),
        verify: bool,
    ) -> (Execution, Option<Failure>) {
        let parts = &self.context.parts;
        let generation = self.object.metadata.generation;
        let suspend = desired::suspend_of(&self.object).0;
        let current = || {
            let same =
                |object: &SecurityGroup| object.metadata.generation <= generation && desired::suspend_of(object).0 == suspend;
            // The account as well: its mode is the stop button of whoever runs the platform.
            self.context.look_up(&self.key).is_none_or(|object| same(&object))
                && find_account(self.context, &site.account.name).is_ok_and(|account| account == site.account)
        };
        let (read, write) = (site.worker.reader(), site.worker.writer(Urgency::Change));
        let urgent = site.worker.writer(Urgency::Revert { exposure: plan::widest_opening(plan) });
        let ec2 = Ec2 {
            account: site.worker.account().clone(),
            principal: site.worker.principal().to_owned(),
            region: site.region().clone(),
            read,
            write,
            activity: site.worker.activity(),
        };
        let executor = Executor {
            ec2: &ec2,
            urgent: urgent.as_ref(),
            audit: parts.audit.as_ref(),
            metrics: &parts.metrics,
            clock: &parts.clock,
            timings: &parts.timings,
            settle: site.settle(parts),
            current: &current,
            lasting: self.context.memories.is_lasting(&self.key, &self.uid),
        };
        let edits = report.map(|report| status::edits(&self.records(&self.status()), report)).unwrap_or_default();
        let execution = executor.execute(plan, &self.subject(observed, edits)).await;
        self.context.memories.put_right(&self.key, &self.uid, execution.put_right.clone());
        if execution.unfound {
            self.context.memories.unfound(&self.key, &self.uid, parts.clock.instant());
        }
        let shown = match (&plan.group, &execution.failure) {
            (Some(group), None) if verify => executor.await_written(group, &execution).await.err(),
            (None | Some(_), _) => None,
        };
        (execution, shown)
    }

    /// What the whole plan comes to, as the limits count it.
    fn work(&self, seen: &Seen<'_>) -> Work {
        let tally = plan::tally(seen.plan, &(0..seen.plan.steps.len()).collect());
        // What a person approved is no surprise to anybody: this plan, and not whatever an annotation was left behind for.
        let approved = self.approval().is_some_and(|approved| approved.hash.is_some() && approved.hash == seen.report.approval);
        Work { removed: tally.removed, changed: if approved { 0 } else { tally.changed } }
    }

    fn room(&self, site: &Site) -> Room {
        let limits = &site.account.limits;
        let count = |figure: u32| usize::try_from(figure).unwrap_or(usize::MAX);
        Room {
            removals_a_minute: count(limits.revocations_per_minute),
            mass: count(limits.mass_change.rules),
            changed_lately: self.changed_lately,
        }
    }

    /// Tells of a war that has begun.
    pub(super) async fn note_reverts(&self, plan: &Plan, execution: &Execution) {
        let now = self.context.parts.clock.instant();
        let done = plan::tally(plan, &execution.steps);
        for subject in self.context.memories.reverted(&self.key, &self.uid, &done.reverted, now) {
            let note = format!(
                "Somebody makes the same edit again and again: {subject}. Additions are taken back each time at once; restores wait longer \
                 and longer. Find who or what does it, or declare what it wants"
            );
            let told = status::Told { warning: true, ..report::done(Reason::RevertWar, note) };
            report::tell(self.context, &self.object, told).await;
        }
    }

    /// The status that vouches for what is about to be written.
    async fn record(&mut self, seen: &Seen<'_>) -> Result<(), Next> {
        let previous = self.status();
        let creating = seen.observed.is_none();
        let known = seen.vouched.filter(|_| !seen.report.baseline_lost);
        let vouched = if creating { Some(plan::vouched_at_birth(seen.plan)) } else { plan::vouched_before(known, seen.plan) };
        let doing = if creating { "the group is being created" } else { "changes are being made" };
        let drift = self.track(seen, &previous);
        let mut next = status::build(Facts {
            vouched,
            drift: drift.clone(),
            place: Some(seen.site.place(&seen.desired.vpc)),
            approved: self.approval().filter(|approved| approved.hash == seen.report.approval),
            ..self.facts(&previous, seen, Standing::Progressing { doing: doing.to_owned() })
        });
        next.tags = plan::applied_before(next.tags.as_ref(), seen.plan);
        next.tags_begun = status::tags_begun_before(&previous, seen.plan, seen.report);
        status::keep_failure(&mut next, &previous);
        if creating {
            // The old group is gone for good; a crash from here on finds the new one by its tags.
            next.group_id = None;
            next.arn = None;
            // A new group can be used in its own VPC alone.
            next.vpc_associations = Some(Vec::new());
            next.stale_rules = Vec::new();
        }
        self.store_before(next, drift, seen.plan).await
    }

    /// Stores the status that has to be there before `plan` is executed. A plan that only closes doors does not wait for a
    /// store that is silent: its records are kept and stored later.
    pub(super) async fn store_before(
        &mut self,
        next: SecurityGroupStatus,
        drift: Vec<DriftRecord>,
        plan: &Plan,
    ) -> Result<(), Next> {
        let urgent = plan.only_reverts_additions();
        let patience = urgent.then_some(self.context.parts.timings.status_patience);
        match report::write_status(self.context, &self.key, &self.object, next, patience).await {
            Ok(object) => {
                self.object = object;
                Ok(())
            }
            Err(ObjectsError::Refused(_) | ObjectsError::Unavailable(_)) if urgent => {
                tracing::warn!("status not written in time; undeclared rules are revoked all the same");
                self.context.memories.keep_unsaved(&self.key, &self.uid, drift);
                Ok(())
            }
            Err(error) => Err(self.store_failed(&error)),
        }
    }

    /// The created group's id, into status at once: until it is there, only tags connect the group to us.
    async fn created(&mut self, seen: &Seen<'_>, id: &SecurityGroupId) -> Result<(), Next> {
        spans::is_of(id);
        let mut next = self.status();
        next.group_id = Some(id.to_string());
        next.origin = Some(crate::api::Origin::Created.into());
        if let Some(next) = self.store(next).await {
            return Err(next);
        }
        let deleted = plan::DriftKind::GroupDeleted.to_string();
        let again = self
            .status()
            .drift
            .iter()
            .any(|record| status::is_open(record) && record.atoms.iter().any(|atom| atom.kind == deleted));
        let (reason, verb) = if again { (Reason::Recreated, "Created again as") } else { (Reason::Created, "Created") };
        let note = format!("{verb} EC2 group {id} ({}) in {}", seen.declaration.group_name, seen.desired.vpc);
        report::tell(self.context, &self.object, report::done(reason, note)).await;
        self.wait_for_group(seen.site, id).await;
        Ok(())
    }

    /// A new group may not show at once; the next round would take that for absence.
    async fn wait_for_group(&self, site: &Site, id: &SecurityGroupId) {
        let parts = &self.context.parts;
        let since = parts.clock.instant();
        let query = GroupQuery::Ids(vec![id.clone()]);
        let read = site.worker.reader();
        while since.elapsed() < parts.timings.visible_limit {
            match read.groups(&query).await {
                Ok(groups) if !groups.is_empty() => return,
                Ok(_) | Err(_) => parts.clock.sleep(parts.timings.visible_poll).await,
            }
        }
    }
}
