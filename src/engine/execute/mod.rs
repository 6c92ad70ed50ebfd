//! Walks a plan over the write port: one record before and one after each call. Decides nothing; what may follow a failed
//! step is written down once, in `course`.
//!
//! Entry point: [`Executor::execute`].

mod course;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::core::audit::{self, AuditRecord, ChangeRecord, Edits, Outcome, OutcomeResult, Phase, RECORD_VERSION};
use crate::core::model::{Atom, RuleId, SecurityGroupId};
use crate::core::plan::{ExposureDelta, Plan, Step, exposures};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, Ec2, Ec2Write, ErrorClass, Receipt};
use crate::ports::metrics::Metrics;
use crate::ports::sinks::AuditSink;

use course::{Course, is_urgent};
use split::{PARTS, halves, is_about_one, is_done};

/// Who a plan is executed for; goes into every record.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Cluster id.
    pub cluster: String,
    /// `<namespace>/<name>`
    pub object: String,
    /// Uid of the object.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Where its manifest came from.
    pub source: Option<String>,
    /// The rules that were live when the plan was made: what it opens and closes is told against them.
    pub live: Vec<Atom>,
    /// The edits of others that the plan puts right.
    pub edits: Edits,
    /// The pass.
    pub trace_id: String,
}

/// What executing needs.
#[derive(Clone, Copy)]
pub struct Executor<'a> {
    /// The account and Region. Its writer is for what manifests ask for.
    pub ec2: &'a Ec2,
    /// The writer for what puts drift right: the same EC2, but its calls go first.
    pub urgent: &'a dyn Ec2Write,
    /// Where records go.
    pub audit: &'a dyn AuditSink,
    /// Counts audit failures.
    pub metrics: &'a Metrics,
    /// Time.
    pub clock: &'a Clock,
    /// Waits.
    pub timings: &'a Timings,
    /// From seeing new rules to revoking those they replace.
    pub settle: Duration,
    /// Whether what the plan was made from still holds: the manifest, a suspend, the account. Asked before each call, as a plan
    /// may wait for minutes between two.
    pub current: &'a (dyn Fn() -> bool + Send + Sync),
    /// Whether the plans before this one failed too.
    pub lasting: bool,
}

/// A hung disk must not stop reverts.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);

/// Why a plan was not executed to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// A call failed.
    #[error(transparent)]
    Call(CloudError),
    /// What was written did not show in time.
    #[error("EC2 does not show what was written yet: {missing}")]
    NotVisible {
        /// What is missing.
        missing: String,
    },
    /// What the plan was made from changed while it was carried out: the manifest, a suspend, the account.
    #[error("the manifest, a suspend or the account has changed meanwhile")]
    Superseded,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Execution {
    /// The group it created.
    pub created: Option<SecurityGroupId>,
    /// Rules it authorized.
    pub authorized: Vec<RuleId>,
    /// Rules it revoked.
    pub revoked: Vec<RuleId>,
    /// Calls that EC2 answered with success, by operation.
    pub done: Vec<&'static str>,
    /// The steps of the plan these were, by index.
    pub steps: BTreeSet<usize>,
    /// Drift records that were put right, or in part, by id, each with the id of the first change that did.
    pub put_right: BTreeMap<String, String>,
    /// EC2 did not find a rule that was to be revoked: it is gone, or the server that was asked has not heard of it yet.
    pub unfound: bool,
    /// Calls the plan makes.
    pub planned: usize,
    /// The first thing that went wrong.
    pub failure: Option<Failure>,
}

impl Executor<'_> {
    /// Executes a plan as far as it goes.
    pub async fn execute(&self, plan: &Plan, subject: &Subject) -> Execution {
        let mut execution = Execution { planned: plan.calls(), ..Execution::default() };
        let mut course = Course::default();
        let exposures = exposures(&subject.live, plan);
        for (index, (step, exposure)) in plan.steps.iter().zip(&exposures).enumerate() {
            if !course.allows(step) {
                continue;
            }
            let result = match step {
                Step::Settle => {
                    self.clock.sleep(self.settle).await;
                    Ok(())
                }
                Step::AwaitVisible { direction: _, atoms } => self.await_atoms(plan, atoms).await,
                Step::CreateGroup(_)
                | Step::DeleteGroup
                | Step::SetTags { tags: _, before: _, cause: _ }
                | Step::RemoveTags { tags: _, cause: _ }
                | Step::Revoke { direction: _, purpose: _, rules: _ }
                | Step::Authorize { direction: _, rules: _ }
                | Step::Modify { direction: _, rules: _ }
                | Step::Describe { direction: _, rules: _ } => {
                    if (self.current)() {
                        self.write_in_parts(plan, index, step, (subject, exposure), &mut execution).await
                    } else {
                        Err(Failure::Superseded)
                    }
                }
            };
            if let Err(failure) = result {
                course.failed(step, &failure, self.lasting);
                execution.failure.get_or_insert(failure);
            }
        }
        execution
    }

    /// Waits until a read shows what the execution wrote. A read may be stale for a while after a write; judging the group
    /// by such a read would make drift of our own work.
    pub async fn await_written(&self, group: &SecurityGroupId, execution: &Execution) -> Result<(), Failure> {
        let since = self.clock.instant();
        loop {
            let live = self.ec2.read.rules(group).await.map_err(Failure::Call)?;
            let missing = execution.authorized.iter().find(|id| !live.iter().any(|rule| rule.id == **id));
            let lingering = execution.revoked.iter().find(|id| live.iter().any(|rule| rule.id == **id));
            let Some(id) = missing.or(lingering) else { return Ok(()) };
            if since.elapsed() >= self.timings.visible_limit {
                return Err(Failure::NotVisible { missing: id.to_string() });
            }
            self.clock.sleep(self.timings.visible_poll).await;
        }
    }

    async fn await_atoms(&self, plan: &Plan, atoms: &[Atom]) -> Result<(), Failure> {
        let Some(group) = &plan.group else { return Ok(()) };
        let since = self.clock.instant();
        loop {
            let live = self.ec2.read.rules(group).await.map_err(Failure::Call)?;
            let Some(missing) = atoms.iter().find(|atom| !live.iter().any(|rule| rule.atom == **atom)) else { return Ok(()) };
            if since.elapsed() >= self.timings.visible_limit {
                return Err(Failure::NotVisible { missing: missing.to_string() });
            }
            self.clock.sleep(self.timings.visible_poll).await;
        }
    }

    /// Makes a call, and where EC2 refuses it for one of its rules, the same in parts. What is done as it is counts as done; what
    /// cannot be done holds up no other part, and is the failure of the whole.
    async fn write_in_parts(
        &self,
        plan: &Plan,
        index: usize,
        step: &Step,
        (subject, exposure): (&Subject, &ExposureDelta),
        execution: &mut Execution,
    ) -> Result<(), Failure> {
        let mut left = vec![step.clone()];
        let mut calls = 0_usize;
        let mut first = Ok(());
        while let Some(part) = left.pop() {
            calls = calls.saturating_add(1);
            let result = self.write(plan, index, &part, (subject, exposure), execution).await;
            let Err(Failure::Call(error)) = &result else {
                result?;
                continue;
            };
            if is_done(&part, error) {
                execution.unfound |= matches!(part, Step::Revoke { direction: _, purpose: _, rules: _ });
                continue;
            }
            if !is_about_one(error) {
                return result;
            }
            match halves(&part).filter(|_| calls < PARTS) {
                Some([wide, narrow]) => left.extend([narrow, wide]),
                None => first = first.and(result),
            }
        }
        first
    }

    async fn write(
        &self,
        plan: &Plan,
        index: usize,
        step: &Step,
        (subject, exposure): (&Subject, &ExposureDelta),
        execution: &mut Execution,
    ) -> Result<(), Failure> {
        let Some(operation) = step.operation() else { return Ok(()) };
        let record = ChangeRecord {
            version: RECORD_VERSION,
            id: format!("c-{}", Uuid::now_v7().simple()),
            time: self.clock.now().to_string(),
            phase: Phase::Intent,
            cluster: subject.cluster.clone(),
            account: self.ec2.account.to_string(),
            region: self.ec2.region.to_string(),
            group_id: plan.group.as_ref().map(ToString::to_string),
            object: subject.object.clone(),
            uid: subject.uid.clone(),
            generation: subject.generation,
            source: subject.source.clone(),
            step: index,
            operation,
            items: audit::items(step, &subject.edits),
            opened: exposure.opened(),
            closed: exposure.closed(),
            trace_id: subject.trace_id.clone(),
            outcome: None,
        };
        let (id, drifts) = (record.id.clone(), drifts(&record));
        self.keep(record.clone()).await;
        let result = self.call(plan, step).await;
        let outcome = outcome(&result);
        self.keep(ChangeRecord { phase: Phase::Outcome, time: self.clock.now().to_string(), outcome: Some(outcome), ..record })
            .await;
        let receipt = result.map_err(Failure::Call)?;
        for drift in drifts {
            execution.put_right.entry(drift).or_insert_with(|| id.clone());
        }
        tracing::info!(operation, request_id = receipt.request_id, "EC2 write");
        execution.done.push(operation);
        execution.steps.insert(index);
        execution.authorized.extend(receipt.authorized.into_iter().map(|rule| rule.id));
        execution.revoked.extend(receipt.revoked);
        execution.created = receipt.created.or(execution.created.take());
        Ok(())
    }

    async fn keep(&self, record: ChangeRecord) {
        keep(self.audit, self.metrics, &AuditRecord::Change(Box::new(record))).await;
    }

    async fn call(&self, plan: &Plan, step: &Step) -> Result<Receipt, CloudError> {
        let write = if is_urgent(step) { self.urgent } else { self.ec2.write.as_ref() };
        let group = plan.group.as_ref();
        match (step, group) {
            (Step::CreateGroup(new), None) => write.create_group(new).await,
            (Step::DeleteGroup, Some(group)) => write.delete_group(group).await,
            (Step::SetTags { tags, before: _, cause: _ }, Some(group)) => write.set_tags(group, tags).await,
            (Step::RemoveTags { tags, cause: _ }, Some(group)) => write.remove_tags(group, tags).await,
            (Step::Revoke { direction, purpose: _, rules }, Some(group)) => {
                let ids: Vec<RuleId> = rules.iter().map(|item| item.live.id.clone()).collect();
                write.revoke(group, *direction, &ids).await
            }
            (Step::Authorize { direction, rules }, Some(group)) => {
                let new: Vec<_> = rules.iter().map(|item| item.new.clone()).collect();
                write.authorize(group, *direction, &new).await
            }
            (Step::Modify { direction: _, rules }, Some(group)) => {
                let new: Vec<_> = rules.iter().map(|item| (item.live.id.clone(), item.new.clone())).collect();
                write.modify(group, &new).await
            }
            (Step::Describe { direction, rules }, Some(group)) => {
                let texts: Vec<_> = rules.iter().map(|item| (item.live.id.clone(), item.description.clone())).collect();
                write.describe(group, *direction, &texts).await
            }
            (
                Step::CreateGroup(_)
                | Step::DeleteGroup
                | Step::SetTags { tags: _, before: _, cause: _ }
                | Step::RemoveTags { tags: _, cause: _ }
                | Step::Revoke { direction: _, purpose: _, rules: _ }
                | Step::Authorize { direction: _, rules: _ }
                | Step::Modify { direction: _, rules: _ }
                | Step::Describe { direction: _, rules: _ }
                | Step::AwaitVisible { direction: _, atoms: _ }
                | Step::Settle,
                _,
            ) => Err(CloudError {
                operation: step.operation().unwrap_or("none"),
                class: ErrorClass::Terminal,
                code: None,
                message: "a defect of sgwarden: the step does not fit its plan; nothing was sent".to_owned(),
                request_id: None,
                outcome_unknown: false,
            }),
        }
    }
}

/// Keeps a record. One that cannot be kept holds up nothing: an unlogged revert is better than an open door, and the trace sink has
/// the record still. It is told and counted.
pub async fn keep(audit: &dyn AuditSink, metrics: &Metrics, record: &AuditRecord) {
    match tokio::time::timeout(AUDIT_PATIENCE, audit.append(record)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            metrics.audit.error();
            tracing::error!(error = %error, cause = %error.cause, record = record.id(), "audit record not kept");
        }
        Err(_) => {
            metrics.audit.error();
            tracing::error!(record = record.id(), "audit record not kept in time");
        }
    }
}

/// The drift records that a change puts right.
fn drifts(record: &ChangeRecord) -> BTreeSet<String> {
    record.items.iter().filter_map(|item| item.drift_id.clone()).collect()
}

fn outcome(result: &Result<Receipt, CloudError>) -> Outcome {
    match result {
        Ok(receipt) => Outcome {
            result: OutcomeResult::Done,
            code: None,
            message: None,
            aws_request_id: receipt.request_id.clone(),
            created: receipt.created.as_ref().map(ToString::to_string),
            authorized: receipt.authorized.iter().map(|rule| rule.id.to_string()).collect(),
        },
        Err(error) => Outcome {
            result: if error.outcome_unknown { OutcomeResult::Unknown } else { OutcomeResult::Failed },
            code: error.code.clone(),
            message: Some(error.message.clone()),
            aws_request_id: error.request_id.clone(),
            created: None,
            authorized: Vec::new(),
        },
    }
}

/// How long to wait after the `failures`-th failure in a row: doubles, up to the limit.
pub fn backoff(timings: &Timings, failures: u32) -> Duration {
    let doubled = timings.backoff_first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20)));
    doubled.min(timings.backoff_limit)
}
