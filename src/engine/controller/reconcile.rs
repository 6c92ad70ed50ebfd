//! One pass over one object, as a straight line: fetch → locate → resolve → plan → record → execute → verify → report.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{DriftRecord, FINALIZER, Mode, SecurityGroup, SecurityGroupStatus};
use crate::core::desired::{self, Declaration, Desired, EgressPolicy, Lookup, Lookups};
use crate::core::model::{Observed, Region, SecurityGroupId, Vouched};
use crate::core::plan::{self, Owner, Ownership, Plan, PlanInput, Report};
use crate::core::status::{self, Facts, Reason, Standing, Tracking};
use crate::engine::execute::Subject;
use crate::ports::cloud::Ec2;
use crate::ports::metrics::{Need, Outcome};
use crate::ports::objects::{Key, ObjectsError};

use super::context::Context;
use super::finalize;
use super::locate::{Located, locate};
use super::memory::Absence;
use super::report;

/// Rounds of plan and execute in one pass: one creates the group, one sets its rules, one confirms, one is to spare.
const ROUNDS: usize = 4;

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
    /// When the object changes.
    Change,
}

impl Next {
    pub(super) fn settled() -> Self {
        Self { after: Pause::Usual, outcome: Outcome::Success }
    }

    pub(super) fn soon(after: Duration) -> Self {
        Self { after: Pause::For(after), outcome: Outcome::Requeue }
    }

    pub(super) fn failed() -> Self {
        Self { after: Pause::Backoff, outcome: Outcome::Error }
    }

    pub(super) fn on_change() -> Self {
        Self { after: Pause::Change, outcome: Outcome::Success }
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
}

/// Reconciles one object.
pub(super) async fn reconcile(context: &Context, key: Key, seen: SecurityGroup, trace_id: String) -> Next {
    let object = context.memories.newest(&key, seen);
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let owner = Owner {
        cluster: context.parts.cluster.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: uid.clone(),
    };
    let deleting = object.metadata.deletion_timestamp.is_some();
    let ours_to_finish = object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let mut pass = Pass { context, key, uid, trace_id, object, owner };
    if deleting {
        return if ours_to_finish { finalize::finalize(&mut pass).await } else { Next::on_change() };
    }
    if !ours_to_finish {
        return pass.begin().await;
    }
    pass.run().await
}

impl Pass<'_> {
    /// First sight of an object: say that nothing is known yet, then make its deletion wait for us.
    async fn begin(&mut self) -> Next {
        if self.object.status.as_ref().is_none_or(|status| status.conditions.is_empty()) {
            let previous = self.object.status.clone().unwrap_or_default();
            let status = self.failed_status(&previous, None, Standing::Unseen);
            if let Some(next) = self.store(status).await {
                return next;
            }
        }
        match self.context.parts.objects.add_finalizer(&self.object).await {
            // The watch brings the object back with its finalizer.
            Ok(()) => Next::on_change(),
            Err(error) => self.store_failed(&error),
        }
    }

    async fn run(&mut self) -> Next {
        let declaration = match desired::parse(&self.object) {
            Ok(declaration) => declaration,
            Err(problems) => return self.unusable(&problems).await,
        };
        let Some(region) = self.region(declaration.region.as_ref()) else {
            let served = self.context.parts.connect.regions();
            let list: Vec<&str> = served.iter().map(Region::as_str).collect();
            let message = format!("spec.region is required: this controller serves {}", list.join(", "));
            return self.stop(Some(&declaration), Reason::InvalidSpec, message).await;
        };
        if !self.context.parts.connect.regions().contains(&region) {
            let message =
                format!("this controller does not serve Region {region}: start it with --region {region}, or correct spec.region");
            return self.stop(Some(&declaration), Reason::RegionNotServed, message).await;
        }
        let ec2 = match self.context.parts.connect.connect(&region).await {
            Ok(ec2) => ec2,
            Err(error) => return self.cloud_failed(Some(&declaration), &region, &error).await,
        };
        self.context.parts.health.met(Need::Credentials);
        if let Some(next) = self.wrong_account(&ec2, Some(&declaration)).await {
            return next;
        }
        self.rounds(&declaration, &ec2).await
    }

    /// Credentials of another account than the group was created in see no group, and would create or forget one.
    pub(super) async fn wrong_account(&mut self, ec2: &Ec2, declaration: Option<&Declaration>) -> Option<Next> {
        let pinned = self.object.status.as_ref().and_then(|status| status.owner_id.clone())?;
        if pinned == ec2.account.as_str() {
            return None;
        }
        let message = format!(
            "the credentials are of account {}, but the group belongs to account {pinned}: run sgwarden with credentials of that account",
            ec2.account
        );
        Some(self.stop(declaration, Reason::CredentialsRefused, message).await)
    }

    async fn rounds(&mut self, declaration: &Declaration, ec2: &Ec2) -> Next {
        let mut changes = Vec::new();
        for _ in 0..ROUNDS {
            let status = self.object.status.clone().unwrap_or_default();
            let recorded = status::recorded_group(&status);
            let located = match locate(ec2, &self.owner, recorded.as_ref(), Some(declaration)).await {
                Ok(located) => located,
                Err(error) => return self.cloud_failed(Some(declaration), &ec2.region, &error).await,
            };
            let observed = match self.judge(declaration, located).await {
                Ok(observed) => observed,
                Err(next) => return next,
            };
            if let Some(problem) = observed.as_ref().and_then(|observed| elsewhere(declaration, observed)) {
                return self.stop(Some(declaration), Reason::InvalidSpec, problem).await;
            }
            let desired = match self.resolve(declaration, ec2, observed.as_ref()).await {
                Ok(desired) => desired,
                Err(next) => return next,
            };
            let vouched = status::baseline(&status);
            let tags = status::recorded_tags(&status);
            let owner = self.owner.clone();
            let input = PlanInput {
                owner: &owner,
                desired: &desired,
                observed: observed.as_ref(),
                vouched: vouched.as_ref(),
                applied_tags: tags.as_ref(),
                recorded: recorded.as_ref(),
            };
            let (plan, report) = plan::plan(input);
            if let Some(claimant) = foreign(&report, input) {
                let message = format!("the group carries the tags of {claimant}; sgwarden does not touch it");
                return self.stop(Some(declaration), Reason::OwnershipConflict, message).await;
            }
            let faults = plan::check(input, &plan);
            if let Some(fault) = faults.first() {
                tracing::error!(fault = %fault, count = faults.len(), "the plan is not sound and is not executed");
                let message = format!("a defect of sgwarden: the plan is not sound ({fault}); please report it");
                return self.stop(Some(declaration), Reason::InternalError, message).await;
            }
            let seen = Seen {
                declaration,
                ec2,
                desired: &desired,
                observed: observed.as_ref(),
                vouched: vouched.as_ref(),
                plan: &plan,
                report: &report,
            };
            if plan.is_empty() || declaration.mode == Mode::Observe {
                return self.conclude(&seen, &changes).await;
            }
            if let Err(next) = self.carry_out(&seen).await {
                return next;
            }
            if let (Some(Ownership::Reclaimed { former_uid }), None) = (&report.ownership, &recorded) {
                let note = format!("Took over the EC2 group of an earlier object of this name (uid {former_uid})");
                report::tell(self.context, &self.object, report::done(Reason::Reclaimed, note)).await;
            }
            changes.extend(plan::changes(&plan));
        }
        // Somebody changes the group as fast as we do, or EC2 shows old reads: go on from a fresh look, less and less often.
        Next { after: Pause::Backoff, outcome: Outcome::Requeue }
    }

    /// What was found, or why the pass ends here.
    async fn judge(&mut self, declaration: &Declaration, located: Located) -> Result<Option<Observed>, Next> {
        match located {
            Located::Found(observed) => {
                self.context.memories.present(&self.key, &self.uid);
                let vouched = self.object.status.as_ref().and_then(status::baseline);
                Ok(Some(plan::recognised(*observed, vouched.as_ref())))
            }
            Located::Nowhere => Ok(None),
            Located::RecordedAbsent(id) => {
                let now = self.context.parts.clock.instant();
                match self.context.memories.absent(&self.key, &self.uid, now, &self.context.parts.timings) {
                    Absence::Confirmed => Ok(None),
                    Absence::Suspected { reads, pause } => Err(self.suspect(declaration, &id, reads, pause).await),
                }
            }
            Located::Ambiguous(ids) => {
                let ids: Vec<&str> = ids.iter().map(SecurityGroupId::as_str).collect();
                let message = format!("{} all carry the tags of this object; remove them from all but one", ids.join(" and "));
                Err(self.stop(Some(declaration), Reason::AmbiguousGroup, message).await)
            }
            Located::NameTaken(id) => {
                let (name, vpc) = (&declaration.group_name, &declaration.vpc);
                let message = format!(
                    "group {id} of {vpc} is called '{name}' already and is not sgwarden's: choose another spec.groupName, or remove that group"
                );
                Err(self.stop_unpinned(declaration, Reason::GroupNameTaken, message).await)
            }
        }
    }

    async fn suspect(&mut self, declaration: &Declaration, id: &SecurityGroupId, reads: u32, pause: Duration) -> Next {
        let message = format!("group {id} does not show in EC2; it is created again when it stays away");
        tracing::warn!(group = %id, reads, "group missing");
        let standing = Standing::Failed { reason: Reason::GroupMissing, message, seen: true };
        self.finish(Some(declaration), standing, Next::soon(pause)).await
    }

    /// Looks up what the manifest refers to.
    async fn resolve(&mut self, declaration: &Declaration, ec2: &Ec2, observed: Option<&Observed>) -> Result<Desired, Next> {
        let needs_vpc = observed.is_none() || declaration.egress_policy == Some(EgressPolicy::AllowAll);
        let mut vpc_ipv6 = false;
        if needs_vpc {
            match ec2.read.vpc(&declaration.vpc).await {
                Ok(Some(vpc)) => vpc_ipv6 = vpc.ipv6,
                Ok(None) => {
                    let message =
                        format!("spec.vpc.id: there is no {} in {} of account {}", declaration.vpc, ec2.region, ec2.account);
                    return Err(self.stop(Some(declaration), Reason::VpcNotFound, message).await);
                }
                Err(error) => return Err(self.cloud_failed(Some(declaration), &ec2.region, &error).await),
            }
        }
        let groups: BTreeMap<String, Lookup> =
            declaration.references().into_iter().map(|name| (name.to_owned(), self.look_up(name, &ec2.region))).collect();
        let own = observed.map(|observed| observed.group.id.clone());
        Ok(declaration.resolve(&Lookups { own, account: ec2.account.clone(), vpc_ipv6, groups }))
    }

    fn look_up(&self, name: &str, region: &Region) -> Lookup {
        let key = Key { namespace: self.key.namespace.clone(), name: name.to_owned() };
        let Some(object) = self.context.look_up(&key) else {
            return Lookup::Unknown(format!("there is no securitygroups.sgwarden.dev {key}"));
        };
        let status = object.status.unwrap_or_default();
        match (status::recorded_group(&status), status.region) {
            (Some(_), Some(other)) if other != region.as_str() => {
                Lookup::Unknown(format!("securitygroups.sgwarden.dev {key} is in {other}, this group in {region}"))
            }
            (Some(id), _) => Lookup::Found(id),
            (None, _) => Lookup::Unknown(format!("securitygroups.sgwarden.dev {key} has no group yet")),
        }
    }

    /// Nothing is left to do, or nothing may be done: say how it stands.
    async fn conclude(&mut self, seen: &Seen<'_>, changes: &[String]) -> Next {
        let previous = self.object.status.clone().unwrap_or_default();
        let differences = seen.report.differences.iter().filter(|difference| difference.held.is_none()).count();
        let held: Vec<String> =
            seen.desired.held.iter().map(|((direction, rule), why)| format!("{direction} rule {rule} waits: {why}")).collect();
        let standing = if seen.declaration.mode == Mode::Observe && differences > 0 {
            Standing::Observing { differences, held: held.clone() }
        } else if held.is_empty() {
            Standing::Settled
        } else {
            Standing::Waiting { held: held.clone() }
        };
        let vouched = seen.observed.map_or_else(
            || seen.vouched.cloned(),
            |observed| plan::vouched_after(seen.vouched, seen.desired, observed, differences == 0 && held.is_empty()),
        );
        let next = status::build(Facts {
            generation: self.generation(),
            now: self.context.parts.clock.now(),
            previous: &previous,
            declaration: Some(seen.declaration),
            // In Observe mode nothing is created, so nothing is pinned until there is a group.
            place: seen.observed.map(|_| (&seen.ec2.account, &seen.ec2.region)),
            desired: Some(seen.desired),
            observed: seen.observed,
            remaining: Some((seen.plan, seen.report)),
            vouched,
            drift: self.track(seen, &previous),
            standing,
        });
        if let Some(next) = self.store(next).await {
            return next;
        }
        if !changes.is_empty() {
            let shown: Vec<&str> = changes.iter().take(5).map(String::as_str).collect();
            let more = changes.len().saturating_sub(shown.len());
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let told = report::done(Reason::RulesChanged, format!("As declared now: {}{rest}", shown.join("; ")));
            report::tell(self.context, &self.object, told).await;
        }
        self.context.memories.succeeded(&self.key, &self.uid);
        if held.is_empty() { Next::settled() } else { Next::soon(self.context.parts.timings.reference_poll) }
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
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the store of objects failed");
                Next::failed()
            }
        }
    }

    pub(super) fn track(&self, seen: &Seen<'_>, previous: &SecurityGroupStatus) -> Vec<DriftRecord> {
        let group = seen.plan.group.as_ref().map_or("", |id| id.as_str());
        let tracking =
            Tracking { group, now: self.context.parts.clock.now(), mode: seen.declaration.mode, trace_id: &self.trace_id };
        status::track(&self.records(previous), seen.report, tracking)
    }

    /// The drift records, with those that a silent store of objects has not taken yet.
    pub(super) fn records(&self, previous: &SecurityGroupStatus) -> Vec<DriftRecord> {
        let unsaved = self.context.memories.unsaved(&self.key, &self.uid);
        let missing = unsaved.into_iter().filter(|record| previous.drift.iter().all(|known| known.id != record.id));
        let mut records: Vec<DriftRecord> = missing.chain(previous.drift.iter().cloned()).collect();
        status::evict(&mut records);
        records
    }

    fn region(&self, written: Option<&Region>) -> Option<Region> {
        let pinned = self.object.status.as_ref().and_then(|status| status.region.as_ref()).and_then(|region| region.parse().ok());
        written.cloned().or(pinned).or_else(|| self.context.only_region())
    }

    pub(super) fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or(0)
    }

    pub(super) fn subject(&self) -> Subject {
        let source = self.object.metadata.annotations.as_ref().and_then(|all| all.get("sgwarden.dev/source")).cloned();
        Subject {
            cluster: self.context.parts.cluster.clone(),
            object: self.key.to_string(),
            uid: self.uid.clone(),
            generation: self.generation(),
            source,
            trace_id: self.trace_id.clone(),
        }
    }
}

/// What one round knows.
pub(super) struct Seen<'a> {
    pub(super) declaration: &'a Declaration,
    pub(super) ec2: &'a Ec2,
    pub(super) desired: &'a Desired,
    pub(super) observed: Option<&'a Observed>,
    pub(super) vouched: Option<&'a Vouched>,
    pub(super) plan: &'a Plan,
    pub(super) report: &'a Report,
}

/// Whose the group is, when it is not ours.
fn foreign(report: &Report, input: PlanInput<'_>) -> Option<String> {
    match (&report.ownership, input.observed) {
        (Some(Ownership::Foreign { claimant }), _) => Some(claimant.clone()),
        (Some(Ownership::Stripped), Some(observed)) if input.recorded != Some(&observed.group.id) => Some("nobody".to_owned()),
        (Some(Ownership::Stripped | Ownership::Ours | Ownership::Reclaimed { former_uid: _ }) | None, _) => None,
    }
}

/// A group of ours that is not where, or not called what, the manifest says: EC2 cannot change either.
fn elsewhere(declaration: &Declaration, observed: &Observed) -> Option<String> {
    let group = &observed.group;
    let fixed = [
        ("vpc.id", declaration.vpc.as_str(), group.vpc.as_str()),
        ("groupName", declaration.group_name.as_str(), group.name.as_str()),
        ("description", declaration.description.as_str(), group.description.as_str()),
    ];
    let (field, wanted, live) = fixed.into_iter().find(|(_, wanted, live)| wanted != live)?;
    Some(format!(
        "spec.{field}: EC2 group {} has '{live}', not '{wanted}', and EC2 cannot change it. Put it back; to replace the group, create a \
         SecurityGroup with another name, move its members, then delete this one",
        group.id
    ))
}
