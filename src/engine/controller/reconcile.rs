//! One pass over one object, as a straight line: fetch → locate → resolve → plan → record → execute → verify → report.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::api::{FINALIZER, Mode, Origin, Resolution, SecurityGroup};
use crate::core::desired::{self, Declaration, DeclaredAdoption, Desired};
use crate::core::model::{ListedGroup, Observed, SecurityGroupId, VpcFacts};
use crate::core::plan::{self, Owner, Ownership, PlanInput, Report, Restraint};
use crate::core::status::{self, Reason, Standing};
use crate::ports::metrics::Outcome;
use crate::ports::objects::Key;
use crate::ports::spans;

use super::context::Context;
use super::finalize;
use super::locate::{Located, Wanted, locate, locate_at_first};
use super::memory::Absence;
use super::pass::{Next, Pass, Pause, Seen, Survey};
use super::report;
use super::site::Site;

/// Rounds of plan and execute in one pass: one takes over or creates the group, one sets its rules, one confirms, two are to
/// spare: additions go while the rest is being confirmed, and a full group is changed in two.
const ROUNDS: usize = 5;
/// After so long all of EC2's servers know of a rule (handbook ec2.md, eventual consistency).
const KNOWN_TO_ALL: Duration = Duration::from_secs(20);
/// How often a rule that EC2 did not find is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Reconciles one object.
pub(super) async fn reconcile(context: &Context, key: Key, seen: SecurityGroup, trace_id: String) -> Next {
    let object = context.memories.newest(&key, seen);
    let deleting = object.metadata.deletion_timestamp.is_some();
    let ours_to_finish = object.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let mut pass = Pass::over(context, key, object, trace_id);
    if deleting {
        return if ours_to_finish { finalize::finalize(&mut pass).await } else { Next::on_change() };
    }
    if !ours_to_finish {
        return pass.begin().await;
    }
    pass.run().await
}

impl<'a> Pass<'a> {
    /// A pass that has not begun.
    pub(super) fn over(context: &'a Context, key: Key, object: SecurityGroup, trace_id: String) -> Self {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let owner = Owner {
            cluster: context.parts.cluster.clone(),
            former: context.parts.former_clusters.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: uid.clone(),
        };
        let war = context.memories.fought_over(&key, &uid, context.parts.clock.instant()).into_iter().next();
        let told = context.told(&key, &object.status.clone().unwrap_or_default());
        Self {
            context,
            key,
            uid,
            trace_id,
            object,
            owner,
            overruled: Vec::new(),
            moved: Vec::new(),
            pins: BTreeSet::new(),
            suspended: None,
            next_suspend: None,
            war,
            changed_lately: 0,
            doubted: None,
            told,
            found: None,
            would_adopt: None,
        }
    }
}

impl Pass<'_> {
    /// First sight of an object: say that nothing is known yet, then make its deletion wait for us.
    async fn begin(&mut self) -> Next {
        if self.object.status.as_ref().is_none_or(|status| status.conditions.is_empty()) {
            let previous = self.status();
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
        let site = match self.site(&declaration).await {
            Ok(site) => site,
            Err(next) => return next,
        };
        spans::is_in(site.worker.account(), site.region());
        self.ask_cloudtrail(&site);
        let vpc = match self.vpc(&declaration, &site).await {
            Ok(vpc) => vpc,
            Err(next) => return next,
        };
        let mut changes = Vec::new();
        for round in 0..ROUNDS {
            if let ControlFlow::Break(next) = self.round(&declaration, &site, &vpc, &mut changes, round == 0).await {
                return next;
            }
        }
        // Somebody changes the group as fast as we do, or EC2 shows old reads: go on from a fresh look, less and less often.
        Next { after: Pause::Backoff, outcome: Outcome::Requeue }
    }

    /// One look, and what it asks for.
    async fn round(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        vpc: &VpcFacts,
        changes: &mut Vec<String>,
        first: bool,
    ) -> ControlFlow<Next> {
        let listed = match self.find(declaration, site, vpc, first).await {
            Ok(listed) => listed,
            Err(next) => return ControlFlow::Break(next),
        };
        if let Some(listed) = &listed {
            spans::is_of(&listed.group.id);
        }
        let desired = match self.wanted(declaration, site, vpc, listed.as_ref()).await {
            Ok(desired) => desired,
            Err(next) => return ControlFlow::Break(next),
        };
        let restraint = self.restraint(declaration, site);
        if let Some(listed) = &listed
            && let Some(next) = self.unchanged(declaration, site, &desired, &restraint, listed)
        {
            return ControlFlow::Break(next);
        }
        let survey = match self.survey(declaration, site, desired, restraint, listed.as_ref()).await {
            Ok(survey) => survey,
            Err(Some(next)) => return ControlFlow::Break(next),
            // Listed a moment ago and gone now, which the next look counts as missing, or too new for EC2 to show it whole.
            Err(None) => {
                self.context.parts.clock.sleep(self.context.parts.timings.visible_poll).await;
                return ControlFlow::Continue(());
            }
        };
        self.act(&survey.seen(declaration, site), changes).await
    }

    /// What the group should be.
    pub(super) async fn wanted(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        vpc: &VpcFacts,
        listed: Option<&ListedGroup>,
    ) -> Result<Desired, Next> {
        let own = listed.map(|listed| listed.group.id.clone());
        let desired = self.resolve(declaration, site, vpc, own.as_ref()).await?;
        match &desired.too_large {
            Some(problem) => Err(self.halt(Some(declaration), Reason::InvalidSpec, problem.to_string()).await),
            None => Ok(desired),
        }
    }

    /// Reads the group and plans. `Err(None)`: EC2 does not show it whole.
    pub(super) async fn survey(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        desired: Desired,
        mut restraint: Restraint,
        listed: Option<&ListedGroup>,
    ) -> Result<Survey, Option<Next>> {
        let observed = match self.observe(site, listed).await {
            Ok(observed) => observed,
            Err(Some(error)) => return Err(Some(self.cloud_failed(Some(declaration), site.region(), &error).await)),
            Err(None) => return Err(None),
        };
        let status = self.status();
        let (recorded, vouched) = (self.would_adopt.clone().or_else(|| status::recorded_group(&status)), self.baseline());
        let owner = self.owner.clone();
        let tags_begun = status::tags_begun(&status);
        let same_spec = status.observed_generation == Some(self.generation());
        let (status_is_ours, origin) = (self.status_is_ours(), self.origin());
        let make = |restraint: &Restraint| {
            let input = PlanInput {
                owner: &owner,
                desired: &desired,
                observed: observed.as_ref(),
                vouched: vouched.as_ref(),
                applied_tags: status.tags.as_ref(),
                tags_begun: tags_begun.as_ref(),
                recorded: recorded.as_ref(),
                restraint,
                same_spec,
                status_is_ours,
                origin,
            };
            let (plan, report) = plan::plan(input);
            let faults = plan::check(input, &plan);
            (plan, plan::pending(input), report, faults)
        };
        let (mut plan, mut pending, mut report, mut faults) = make(&restraint);
        if self.restrain(&mut restraint, (site, declaration), &desired, observed.as_ref(), &report) {
            (plan, pending, report, faults) = make(&restraint);
        }
        if let Some(observed) = &observed
            && let Some(claimant) = foreign(&report, observed, recorded.as_ref())
        {
            let message = self.explain_claimed(&claimant, site, &observed.group, restraint.adopting);
            return Err(Some(self.stop(Some(declaration), Reason::OwnershipConflict, message).await));
        }
        if let Some(fault) = faults.first() {
            tracing::error!(fault = %fault, count = faults.len(), "the plan is not sound and is not executed");
            let message = format!("a defect of sgwarden: the plan is not sound ({fault}); please report it");
            return Err(Some(self.stop(Some(declaration), Reason::InternalError, message).await));
        }
        Ok(Survey { desired, observed, vouched, restraint, plan, pending, report })
    }

    /// Does what the plan says, or says how it stands when there is nothing to do.
    async fn act(&mut self, seen: &Seen<'_>, changes: &mut Vec<String>) -> ControlFlow<Next> {
        let observes = seen.restraint.policy.mode == Mode::Observe;
        if !seen.restraint.unconfirmed.is_empty() && (seen.plan.is_empty() || observes) {
            self.context.parts.clock.sleep(self.context.parts.timings.confirm).await;
            return ControlFlow::Continue(());
        }
        if seen.plan.is_empty() && self.may_come_back() {
            let doing = "EC2 does not find a rule that it showed, and that is to be revoked; it is looked for again".to_owned();
            let next = Next::soon(self.context.parts.timings.scaled(LOOK_AGAIN));
            return ControlFlow::Break(self.finish(Some(seen.declaration), Standing::Progressing { doing }, next).await);
        }
        if seen.plan.is_empty() || observes {
            return ControlFlow::Break(self.conclude(seen, changes).await);
        }
        // Just taken over: what is planned now may be done already, by a last call of the leader before.
        if self.context.parts.leadership.fence.check().is_err() {
            return ControlFlow::Break(Next::failed());
        }
        if let Some(next) = self.wait_for_claimants(seen).await {
            return ControlFlow::Break(next);
        }
        if let Err(next) = self.carry_out(seen).await {
            return ControlFlow::Break(next);
        }
        self.tell_reclaimed(seen.report, seen.observed).await;
        changes.extend(plan::changes(seen.plan));
        if !seen.restraint.unconfirmed.is_empty() {
            self.context.parts.clock.sleep(self.context.parts.timings.confirm).await;
        }
        ControlFlow::Continue(())
    }

    /// Whether a rule that EC2 did not find, when it was to be revoked, may only not be known to all of its servers yet. That one
    /// read does not show it either is no proof: an edit would be told as put right, and stay open until the next sweep.
    fn may_come_back(&self) -> bool {
        let (parts, pending) = (&self.context.parts, Resolution::Pending.as_str());
        let within = parts.timings.scaled(KNOWN_TO_ALL);
        self.context.memories.unfound_within(&self.key, &self.uid, parts.clock.instant(), within)
            && self.status().drift.iter().any(|record| status::is_open(record) && record.resolution == pending)
    }

    async fn tell_reclaimed(&self, report: &Report, observed: Option<&Observed>) {
        if let (Some(Ownership::Reclaimed { former_uid }), Some(observed)) = (&report.ownership, observed) {
            let note = format!("Took over EC2 group {} of an earlier object of this name (uid {former_uid})", observed.group.id);
            report::tell(self.context, &self.object, report::done(Reason::Reclaimed, note)).await;
        }
    }

    /// Finds the group, or says why the pass ends here. `first`: nothing was done or found wanting in this pass yet.
    pub(super) async fn find(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        vpc: &VpcFacts,
        first: bool,
    ) -> Result<Option<ListedGroup>, Next> {
        let recorded = status::recorded_group(&self.status());
        self.would_adopt = None;
        let wanted = Some(Wanted { declaration, vpc: &vpc.id });
        let located = if first {
            locate_at_first(&site.worker, &self.owner, recorded.as_ref(), wanted).await
        } else {
            locate(&site.worker, &self.owner, recorded.as_ref(), wanted).await
        };
        let located = match located {
            Ok(Located::RecordedAbsent(id)) => match self.missing(declaration, &id).await? {
                After::Create => Ok(Located::Nowhere),
                After::Adopt => locate(&site.worker, &self.owner, None, Some(Wanted { declaration, vpc: &vpc.id })).await,
            },
            located => located,
        };
        let located = match located {
            Ok(located) => located,
            Err(error) => return Err(self.cloud_failed(Some(declaration), site.region(), &error).await),
        };
        let listed = match located {
            Located::Found(listed) => {
                self.context.memories.present(&self.key, &self.uid);
                self.found = Some(status::origin_of(&listed.group.tags).unwrap_or(Origin::Adopted));
                Some(*listed)
            }
            Located::Adoptable(listed) => Some(self.adopt(declaration, site, *listed).await?),
            Located::NothingToAdopt(message) => {
                return Err(self.stop_unpinned(declaration, Reason::AdoptionRefused, format!("spec.adopt: {message}")).await);
            }
            Located::Nowhere | Located::RecordedAbsent(_) => None,
            Located::Ambiguous(ids) => {
                let ids: Vec<&str> = ids.iter().map(SecurityGroupId::as_str).collect();
                let message = format!("{} all carry the tags of this object; remove them from all but one", ids.join(" and "));
                return Err(self.stop(Some(declaration), Reason::AmbiguousGroup, message).await);
            }
            Located::NameTaken(id) => {
                let (name, vpc) = (&declaration.group_name, &vpc.id);
                let message = format!(
                    "group {id} of {vpc} is called '{name}' already and is not sgwarden's: choose another spec.groupName, remove that \
                     group, or take it over with spec.adopt"
                );
                return Err(self.stop_unpinned(declaration, Reason::GroupNameTaken, message).await);
            }
        };
        if let Some(problem) = listed.as_ref().and_then(|listed| self.elsewhere(declaration, vpc, listed)) {
            return Err(self.halt(Some(declaration), Reason::InvalidSpec, problem).await);
        }
        match listed {
            // Of an object that was deleted and is applied anew.
            Some(listed)
                if recorded.is_none() && self.is_adopted() && self.would_adopt.is_none() && self.status().group_id.is_none() =>
            {
                self.record_taken_over(declaration, site, listed).await.map(Some)
            }
            listed => Ok(listed),
        }
    }

    /// The recorded group does not show. `Ok`: it is gone.
    async fn missing(&mut self, declaration: &Declaration, id: &SecurityGroupId) -> Result<After, Next> {
        let now = self.context.parts.clock.instant();
        match self.context.memories.absent(&self.key, &self.uid, self.is_settled(), now, &self.context.parts.timings) {
            Absence::Confirmed if self.is_adopted() && names_another(declaration, id) => Ok(After::Adopt),
            Absence::Confirmed if self.is_adopted() => {
                let message = format!(
                    "group {id} was taken over, not created here, and is gone: create a group by hand and put its id into \
                     spec.adopt.groupId, or delete this object, and apply it anew without spec.adopt to have one created"
                );
                Err(self.stop(Some(declaration), Reason::GroupGone, message).await)
            }
            Absence::Confirmed => Ok(After::Create),
            Absence::Suspected { reads, pause } => {
                let message = format!("group {id} does not show in EC2; it is created again when it stays away");
                tracing::warn!(group = %id, reads, "group missing");
                let standing = Standing::Failed { reason: Reason::GroupMissing, message, seen: true };
                Err(self.finish(Some(declaration), standing, Next::soon(pause)).await)
            }
        }
    }

    /// The group with its rules and their ids. `Err(None)`: it is gone.
    async fn observe(
        &self,
        site: &Site,
        listed: Option<&ListedGroup>,
    ) -> Result<Option<Observed>, Option<crate::ports::cloud::CloudError>> {
        let Some(listed) = listed else { return Ok(None) };
        let observed = site.worker.observe(&listed.group.id).await.map_err(Some)?;
        let observed = observed.ok_or(None)?;
        Ok(Some(plan::recognised(observed, self.baseline().as_ref())))
    }

    /// A group of ours that is not where, or not called what, the manifest says: EC2 cannot change either.
    fn elsewhere(&self, declaration: &Declaration, vpc: &VpcFacts, listed: &ListedGroup) -> Option<String> {
        let group = &listed.group;
        // What a manifest that takes over a group leaves out is as the group has it.
        let written = |value: &Option<String>| !self.is_adopted() || value.is_some();
        let spec = &self.object.spec;
        let fixed = [
            ("vpc", true, vpc.id.as_str(), group.vpc.as_str()),
            ("groupName", written(&spec.group_name), declaration.group_name.as_str(), group.name.as_str()),
            ("description", written(&spec.description), declaration.description.as_str(), group.description.as_str()),
        ];
        let (field, _, wanted, live) = fixed.into_iter().find(|(_, counts, wanted, live)| *counts && wanted != live)?;
        Some(format!(
            "spec.{field}: EC2 group {} has '{live}', not '{wanted}', and EC2 cannot change it. Put it back; to replace the group, create \
             a SecurityGroup with another name, move its members, then delete this one",
            group.id
        ))
    }
}

/// What comes after a group that is gone.
enum After {
    /// It is created again.
    Create,
    /// The manifest names another one to take over.
    Adopt,
}

fn names_another(declaration: &Declaration, id: &SecurityGroupId) -> bool {
    matches!(&declaration.adopt, Some(DeclaredAdoption::Group(named)) if named != id)
}

/// Whose the group is, when it is not ours.
fn foreign(report: &Report, observed: &Observed, recorded: Option<&SecurityGroupId>) -> Option<String> {
    match &report.ownership {
        Some(Ownership::Foreign { claimant }) => Some(claimant.clone()),
        Some(Ownership::Stripped) if recorded != Some(&observed.group.id) => Some("nobody".to_owned()),
        Some(Ownership::Stripped | Ownership::Ours | Ownership::Reclaimed { former_uid: _ }) | None => None,
    }
}
