//! The end of a pass that did all that may be done now: says how it stands, and when to look again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::{DriftRecord, Mode, SecurityGroupStatus};
use crate::core::desired::{self, Declaration, Desired};
use crate::core::model::Observed;
use crate::core::plan::{self, Held};
use crate::core::status::{self, DeepView, Enforcement, Facts, HeldUp, Pending, Reason, Standing, Tracking, Wait};
use crate::engine::region::{DeepLook, ListChange};

use super::pass::{Next, Pass, Seen};
use super::report;
use super::site::Site;

impl Pass<'_> {
    /// What every status of a pass says that got as far as a plan.
    pub(super) fn facts<'f>(&'f self, previous: &'f SecurityGroupStatus, seen: &'f Seen<'f>, standing: Standing) -> Facts<'f> {
        Facts {
            declaration: Some(seen.declaration),
            enforcement: Some(Enforcement {
                policy: &seen.restraint.policy,
                suspended: self.suspended.as_ref(),
                overruled: &self.overruled,
            }),
            observed: seen.observed,
            rules_per_group: Some(seen.report.quota.limit),
            pins: Some(&self.pins),
            moved: &self.moved,
            expired: Some(&seen.desired.latched),
            expiring: Some(&seen.desired.expiring),
            uid: Some(&self.uid),
            war: self.war.as_deref(),
            ..Facts::of(previous, self.generation(), self.context.parts.clock.now(), standing)
        }
    }

    /// Nothing is left to do, or nothing may be done: say how it stands.
    pub(super) async fn conclude(&mut self, seen: &Seen<'_>, changes: &[String]) -> Next {
        let previous = self.status();
        let converged = seen.report.is_settled() && seen.desired.held.is_empty();
        let known = seen.vouched.filter(|_| !seen.report.baseline_lost);
        // Nothing of a group that is only looked at as if it were taken over becomes ours.
        let observed = seen.observed.filter(|_| self.would_adopt.is_none());
        let vouched =
            observed.map_or_else(|| known.cloned(), |observed| plan::vouched_after(known, seen.desired, observed, converged));
        let list_changes = seen.site.worker.list_changes(&self.key);
        let tracked = self.track(seen, &previous);
        let tracking = self.tracking(seen);
        let noted: Vec<_> = list_changes.iter().map(as_list_change).collect();
        let drift = status::note_list_changes(&tracked, &noted, tracking);
        let lists = seen.site.worker.list_marks(&self.key, &list_changes);
        let deep = observed.map(|observed| self.deep_look(seen, observed));
        let drift = match deep.as_ref().map(|look| (&look.before, &look.now.associations)) {
            Some((Some(before), Some(now))) => status::note_association_changes(&drift, before, now, tracking),
            Some((Some(_) | None, _)) | None => drift,
        };
        let drift = status::note_transients(&drift, &self.context.passing.of(&self.key), tracking);
        let drift = self.completed(seen.site, drift);
        let next = status::build(Facts {
            // Where nothing was created nothing is pinned.
            place: observed.map(|_| seen.site.place(&seen.desired.vpc)),
            observed,
            would_adopt: self.would_adopt.as_ref(),
            desired: Some(seen.desired),
            remaining: Some((seen.plan, seen.report)),
            pending: pending(seen),
            over_quota: seen.report.over_quota,
            held_up: held_up(seen),
            vouched,
            drift,
            prefix_lists: Some(&lists),
            deep: deep.as_ref().map(|look| &look.now),
            ..self.facts(&previous, seen, Standing::Done)
        });
        if let Some(next) = self.store(next).await {
            return next;
        }
        self.tell_changes(changes).await;
        self.context.memories.succeeded(&self.key, &self.uid);
        if let Some(observed) = seen.observed {
            seen.site.worker.settled(&self.key, observed);
        }
        seen.site.worker.noted_list_changes(&self.key, &list_changes);
        if let Some(observed) = observed {
            self.deep_look(seen, observed);
        }
        self.next_look(seen.declaration, seen.site, seen.desired, Some(seen))
    }

    /// What the last deep sweep showed of the group, held against what status says now.
    fn deep_look(&self, seen: &Seen<'_>, observed: &Observed) -> DeepLook {
        let status = self.status();
        // A status of another object tells of another time.
        let of_it = self.status_is_ours() && status::recorded_group(&status).as_ref() == Some(&observed.group.id);
        let recorded = if of_it { DeepView::recorded(&status) } else { DeepView::default() };
        seen.site.worker.deep_look(&self.key, &observed.group, recorded)
    }

    async fn tell_changes(&self, changes: &[String]) {
        if changes.is_empty() {
            return;
        }
        let shown: Vec<&str> = changes.iter().take(5).map(String::as_str).collect();
        let more = changes.len().saturating_sub(shown.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let told = report::done(Reason::RulesChanged, format!("As declared now: {}{rest}", shown.join("; ")));
        report::tell(self.context, &self.object, told).await;
    }

    /// When to look again if nothing changes.
    pub(super) fn next_look(&self, declaration: &Declaration, site: &Site, desired: &Desired, seen: Option<&Seen<'_>>) -> Next {
        let (now, timings) = (self.context.parts.clock.now(), &self.context.parts.timings);
        let news = status::next_news(&self.status(), &desired.expiring, now);
        let author = self.next_author(site, &self.status().drift);
        let mut times: Vec<Timestamp> =
            news.into_iter().chain(author).chain(desired.next_expiry).chain(self.next_suspend).collect();
        let mut after = |pause: Duration| {
            let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
            times.extend(now.checked_add(pause).ok());
        };
        if !desired.held.is_empty() {
            after(timings.reference_poll);
        }
        // Only a look-up tells that a name in AWS stands for something else now.
        if !declaration.prefix_list_names().is_empty() || matches!(declaration.vpc, desired::DeclaredVpc::Tagged(_)) {
            after(timings.deep_sweep);
        }
        let instant = self.context.parts.clock.instant();
        // In mode Observe nothing has its turn, ever.
        let enforced = |seen: &Seen<'_>| seen.restraint.policy.mode == Mode::Enforce;
        if seen.is_some_and(|seen| enforced(seen) && is_held(seen, &Held::Rate)) {
            after(self.context.limits.next_removal(&site.account.name, instant).max(timings.visible_poll));
        }
        let postponed = self.context.memories.postponed(&self.key, &self.uid, instant, timings);
        if let Some(pause) = postponed.values().min() {
            after(*pause);
        }
        // Only a look tells that a war is over.
        if let Some(pause) = self.context.memories.next_peace(&self.key, &self.uid, instant) {
            after(pause.max(timings.visible_poll));
        }
        Next::settled_until(times.into_iter().min(), now)
    }

    pub(super) fn tracking<'f>(&'f self, seen: &'f Seen<'f>) -> Tracking<'f> {
        Tracking {
            group: seen.plan.group.as_ref().map_or("", |id| id.as_str()),
            now: self.context.parts.clock.now(),
            policy: &seen.restraint.policy,
            desired: Some(seen.desired),
            observed: seen.observed,
            lost: seen.report.baseline_lost,
            trace_id: &self.trace_id,
            told: &self.told,
        }
    }

    pub(super) fn track(&self, seen: &Seen<'_>, previous: &SecurityGroupStatus) -> Vec<DriftRecord> {
        self.completed(seen.site, status::track(&self.records(previous), seen.report, self.tracking(seen)))
    }

    /// The records with what became known of them: who made the edits, and which change put them right.
    pub(super) fn completed(&self, site: &Site, mut records: Vec<DriftRecord>) -> Vec<DriftRecord> {
        let changes = self.context.memories.changes(&self.key, &self.uid);
        for record in &mut records {
            record.change_id = record.change_id.take().or_else(|| changes.get(&record.id).cloned());
        }
        self.with_authors(site, records)
    }

    /// The drift records, with those that a silent store of objects has not taken yet.
    pub(super) fn records(&self, previous: &SecurityGroupStatus) -> Vec<DriftRecord> {
        let unsaved = self.context.memories.unsaved(&self.key, &self.uid);
        let missing = unsaved.into_iter().filter(|record| previous.drift.iter().all(|known| known.id != record.id));
        let mut records: Vec<DriftRecord> = missing.chain(previous.drift.iter().cloned()).collect();
        status::evict(&mut records, &self.told);
        records
    }
}

fn is_held(seen: &Seen<'_>, by: &Held) -> bool {
    seen.report.differences.iter().any(|difference| difference.held.as_ref() == Some(by))
}

/// The plan that is told and not carried out.
fn pending<'f>(seen: &'f Seen<'f>) -> Option<Pending<'f>> {
    let observing = seen.restraint.policy.mode == Mode::Observe;
    let waiting = seen.report.waiting().next().is_some();
    if !observing && !waiting || seen.pending.is_empty() {
        return None;
    }
    let wait = match (&seen.restraint.wait, observing) {
        (_, true) => None,
        (Some(_), false) if seen.restraint.adopting => Some(Wait::Adoption),
        (Some(why), false) => Some(Wait::MassChange(why)),
        (None, false) => Some(Wait::Required),
    };
    Some(Pending { plan: seen.pending, hash: seen.report.approval.as_deref(), wait })
}

fn held_up(seen: &Seen<'_>) -> Option<HeldUp> {
    let removals = seen.report.differences.iter().filter(|difference| difference.held == Some(Held::Rate)).count();
    (removals > 0).then_some(HeldUp { removals, per_minute: seen.site.account.limits.revocations_per_minute })
}

fn as_list_change(change: &ListChange) -> status::ListChange {
    let ListChange { before, after } = change;
    let version = |version: Option<i64>| version.unwrap_or(0);
    status::ListChange {
        id: after.id.clone(),
        name: after.name.clone(),
        before: version(before.version),
        after: version(after.version),
    }
}

impl Site {
    /// Where a group is, for its status.
    pub(super) fn place<'a>(&'a self, vpc: &'a crate::core::model::VpcId) -> status::Place<'a> {
        status::Place { name: &self.account.name, account: self.worker.account(), region: self.region(), vpc }
    }
}
