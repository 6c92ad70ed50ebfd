//! What may be done now: policy, approval, limits, and how far a read is believed.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::api::Origin;
use crate::core::desired::{self, Declaration, Desired, Suspended};
use crate::core::model::{Observed, Vouched};
use crate::core::plan::{Cause, Difference, DriftKind, Report, Restraint, What};
use crate::core::status;

use super::pass::Pass;
use super::site::Site;

impl Pass<'_> {
    /// The set we vouch for. A status that came from a backup under another uid vouches for nothing.
    pub(super) fn baseline(&self) -> Option<Vouched> {
        self.object.status.as_ref().filter(|_| self.status_is_ours()).and_then(status::baseline)
    }

    /// Whether the status was written for this object, and not for an earlier one of its name.
    pub(super) fn status_is_ours(&self) -> bool {
        self.object.status.as_ref().and_then(|status| status.uid.as_ref()).is_none_or(|uid| *uid == self.uid)
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.origin() == Origin::Adopted.as_str()
    }

    /// How the group came to be ours, as its tag says it.
    pub(super) fn origin(&self) -> &'static str {
        let recorded = self.object.status.as_ref().and_then(|status| status.origin.as_deref());
        recorded.and_then(|origin| Origin::parse(origin).ok()).unwrap_or(Origin::Created).as_str()
    }

    /// Whether reverts are suspended, by the spec or by the annotation.
    pub(super) fn suspended(&self, site: &Site) -> Option<Suspended> {
        let status = self.object.status.as_ref();
        let written = desired::suspend_of(&self.object).0;
        let at = |time: Option<&String>| time.and_then(|time| time.parse().ok());
        let since = at(status.and_then(|status| status.suspended_since.as_ref()));
        let until = at(status.and_then(|status| status.suspended_until.as_ref()));
        let allowed = site.account.limits.enforcement.suspend.unwrap_or(true);
        let written = written.as_ref().filter(|_| allowed);
        desired::suspension(written, since, until, site.account.limits.max_suspend, self.context.parts.clock.now())
    }

    /// What may be done, before anything about the present differences is known.
    pub(super) fn restraint(&mut self, declaration: &Declaration, site: &Site) -> Restraint {
        let suspended = self.suspended(site).is_some_and(|suspended| suspended.active);
        let (policy, notes) = desired::policy(&declaration.enforcement, &site.account, suspended);
        self.notes.extend(notes);
        self.notes.sort();
        self.notes.dedup();
        let now = self.context.parts.clock.instant();
        let a_minute = site.account.limits.revocations_per_minute;
        Restraint {
            policy,
            rules_per_group: site.account.limits.rules_per_group,
            quota_refused: self.context.memories.quota_refused(&self.key, &self.uid),
            removals_left: Some(self.context.limits.removals_left(&site.account.name, a_minute, now)),
            adopting: self.is_adopted() && self.baseline().is_none(),
            postponed: self.context.memories.postponed(&self.key, &self.uid, now, &self.context.parts.timings).into_keys().collect(),
            ..Restraint::default()
        }
    }

    /// What the differences themselves ask for: an approval, a second look. Whether anything came of it.
    pub(super) fn restrain(
        &mut self,
        restraint: &mut Restraint,
        site: &Site,
        desired: &Desired,
        observed: Option<&Observed>,
        report: &Report,
    ) -> bool {
        (restraint.approved, restraint.under_way) = self.approval(desired);
        restraint.wait = self.why_wait(restraint, site, desired, report);
        restraint.unconfirmed = self.wants_second_look(site, observed, report);
        restraint.approved.is_some() || restraint.under_way || restraint.wait.is_some() || restraint.unconfirmed
    }

    /// The hash somebody approved, as long as it is not spent, and whether changes go on under it. It is spent when the group is
    /// as desired: until then it holds for the rest of the way to the same target, so that a crash in the middle, or a group that
    /// is created first and filled then, needs no second approval.
    fn approval(&self, desired: &Desired) -> (Option<String>, bool) {
        let Some((hash, _)) = desired::approval_of(&self.object) else { return (None, false) };
        let status = self.object.status.as_ref();
        let used = status
            .and_then(|status| status.approved.as_ref())
            .filter(|used| used.generation == Some(self.generation()) && used.hash.as_deref() == Some(hash.as_str()));
        match used {
            None => (Some(hash), false),
            Some(used) => (None, used.target.as_deref() == Some(status::target(desired).as_str())),
        }
    }

    /// Why changes wait for a person although the manifest does not ask for it.
    fn why_wait(&self, restraint: &Restraint, site: &Site, desired: &Desired, report: &Report) -> Option<String> {
        let changes: Vec<&Difference> = report.differences.iter().filter(|difference| difference.cause.waits_for_approval()).collect();
        let removals = changes.iter().filter(|difference| removes(difference)).count();
        if restraint.adopting && removals > 0 {
            return Some(format!("the group was taken over, and {removals} of its rules would be revoked"));
        }
        if let Some(rule) = last_source(&changes, desired) {
            return Some(format!("rule {rule} would lose its last source, because what it refers to became empty"));
        }
        let now = self.context.parts.clock.instant();
        let lately = self.context.limits.changed_lately(&site.account.name, now);
        let total = self.context.rules_of_account(&site.account.name);
        let mass = &site.account.limits.mass_change;
        let sum = lately.saturating_add(changes.iter().filter(|difference| alters(difference)).count());
        let over = sum > mass.rules && sum.saturating_mul(100) > total.saturating_mul(mass.percent);
        // A new group is no change of what is live, however many rules it has.
        (over && removals > 0).then(|| {
            format!(
                "with it, {sum} of the {total} rules of account {} would be changed within 10 minutes, over {} % and {}",
                site.account.name, mass.percent, mass.rules
            )
        })
    }

    /// Whether what is missing or altered has to be seen twice. An addition never waits: it is revoked by the id just read.
    fn wants_second_look(&mut self, site: &Site, observed: Option<&Observed>, report: &Report) -> bool {
        let doubtful: Vec<&Difference> = report.drifts().filter(|difference| difference.drift() != Some(DriftKind::Added)).collect();
        let Some(observed) = observed.filter(|_| !doubtful.is_empty()) else {
            self.unconfirmed = None;
            return false;
        };
        let known = self.baseline().map_or(0, |vouched| vouched.len());
        let most = doubtful.len().saturating_mul(2) > known;
        if !(most || site.worker.wrote_recently(&observed.group.id) || site.worker.is_stormy()) {
            self.unconfirmed = None;
            return false;
        }
        let mut hasher = DefaultHasher::new();
        format!("{doubtful:?}").hash(&mut hasher);
        let print = hasher.finish();
        let agreed = self.unconfirmed == Some(print);
        self.unconfirmed = Some(print);
        !agreed
    }
}

/// Whether a difference takes a live rule away.
pub(super) fn removes(difference: &Difference) -> bool {
    matches!(difference.what, What::Extra { live: _, rule: _, was: _ })
}

/// Whether a difference changes live rules.
fn alters(difference: &Difference) -> bool {
    match difference.what {
        What::Extra { live: _, rule: _, was: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Moved { live: _, atom: _, declared: _ } => true,
        What::GroupMissing { recorded: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => false,
    }
}

/// A rule of which a reference that changed leaves nothing.
fn last_source(changes: &[&Difference], desired: &Desired) -> Option<String> {
    changes.iter().filter(|difference| difference.cause == Cause::ReferenceChange).find_map(|difference| match &difference.what {
        What::Extra { live, rule: Some(rule), was: _ } => {
            let direction = live.atom.direction;
            let left = desired.rules.iter().any(|(atom, declared)| atom.direction == direction && declared.rule == *rule);
            (!left).then(|| rule.to_string())
        }
        What::Extra { live: _, rule: None, was: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::GroupMissing { recorded: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    })
}
