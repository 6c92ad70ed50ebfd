//! What may be done now: policy, approval, limits, and how far a read is believed.

use std::collections::BTreeSet;

use crate::api::{Approved, Origin, Resolution};
use crate::core::desired::{self, Declaration, Desired};
use crate::core::model::{Declared, Observed, Vouched};
use crate::core::plan::{Cause, Difference, DriftKind, Report, Restraint, What};
use crate::core::status::{self, SuspendedUntil};

use super::pass::Pass;
use super::site::Site;

impl Pass<'_> {
    /// The set we vouch for. A status that came from a backup under another uid vouches for nothing.
    pub(super) fn baseline(&self) -> Option<Vouched> {
        self.object.status.as_ref().filter(|_| self.status_is_ours()).and_then(status::baseline)
    }

    /// Whether the group was seen with rules of ours in it, or whole without any. A group of which the status has nothing but
    /// intentions may have been created moments ago, by a process that died over it.
    pub(super) fn is_settled(&self) -> bool {
        self.baseline().is_none_or(|vouched| vouched.is_empty() || vouched.iter().any(|(_, known)| known.id.is_some()))
    }

    /// Whether the status was written for this object, and not for an earlier one of its name.
    pub(super) fn status_is_ours(&self) -> bool {
        self.object.status.as_ref().is_none_or(|status| status::is_written_for(status, &self.uid))
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.origin() == Origin::Adopted.as_str()
    }

    /// How the group came to be ours, as its tag says it. An object that is applied anew knows only what the group tells; of a
    /// group of which neither tells, nobody may say that it was created here: it would be deleted one day.
    pub(super) fn origin(&self) -> &'static str {
        let status = self.object.status.as_ref();
        let recorded = status.and_then(|status| status.origin.as_deref()).and_then(|origin| Origin::parse(origin).ok());
        let exists = status.is_some_and(|status| status.group_id.is_some());
        recorded.or(self.found).unwrap_or(if exists { Origin::Adopted } else { Origin::Created }).as_str()
    }

    /// Looks whether reverts are suspended, by the spec or by the annotation, and for how long.
    pub(super) fn look_for_suspend(&mut self, site: &Site) {
        let limits = &site.account.limits;
        let (written, problem) = desired::suspend_of(&self.object);
        if let Some(problem) = problem {
            self.overruled.push(problem.to_string());
        }
        let written = written.filter(|_| limits.ceiling.suspend);
        let status = self.status();
        let at = |time: &Option<String>| time.as_ref().and_then(|time| time.parse().ok());
        let (since, until) = (at(&status.suspended_since), at(&status.suspended_until));
        let now = self.context.parts.clock.now();
        let suspended = desired::suspension(written.as_ref(), since, until, limits.max_suspend, now);
        self.suspended = suspended.since.zip(suspended.until).map(|(since, until)| SuspendedUntil {
            since,
            until,
            capped: written.as_ref().is_some_and(|written| written.until > until),
            reason: written.map(|written| written.reason).unwrap_or_default(),
        });
        self.next_suspend = suspended.next;
    }

    pub(super) fn is_suspended(&self) -> bool {
        let now = self.context.parts.clock.now();
        self.suspended.as_ref().is_some_and(|suspended| suspended.in_effect(now))
    }

    /// What may be done, before anything about the present differences is known.
    pub(super) fn restraint(&mut self, declaration: &Declaration, site: &Site) -> Restraint {
        self.overruled.clear();
        self.look_for_suspend(site);
        let (policy, notes) = desired::policy(&declaration.enforcement, &site.account, self.is_suspended());
        self.overruled.extend(notes);
        let now = self.context.parts.clock.instant();
        self.war = self.context.memories.fought_over(&self.key, &self.uid, now).into_iter().next();
        let a_minute = site.account.limits.revocations_per_minute;
        Restraint {
            policy,
            rules_per_group: site.account.limits.rules_per_group,
            quota_refused: self.context.memories.quota_refused(&self.key, &self.uid),
            removals_left: Some(self.context.limits.removals_left(&site.account.name, size(a_minute), now)),
            adopting: self.is_adopted() && self.baseline().is_none(),
            suspend_ended: !self.is_suspended() && self.has_suspended_drift(),
            approved: self.approval().and_then(|approved| approved.hash),
            postponed: self
                .context
                .memories
                .postponed(&self.key, &self.uid, now, &self.context.parts.timings)
                .into_keys()
                .collect(),
            ..Restraint::default()
        }
    }

    /// What the differences themselves ask for: an approval, a second look. Whether anything came of it.
    pub(super) fn restrain(
        &mut self,
        restraint: &mut Restraint,
        (site, declaration): (&Site, &Declaration),
        desired: &Desired,
        observed: Option<&Observed>,
        report: &Report,
    ) -> bool {
        self.changed_lately = self.context.limits.changed_lately(&site.account.name, self.context.parts.clock.instant());
        restraint.wait = self.why_wait(restraint, site, declaration, desired, report);
        self.doubt(restraint, site, observed, report);
        restraint.wait.is_some() || !restraint.unconfirmed.is_empty()
    }

    /// The approval that somebody gave and that is not spent.
    pub(super) fn approval(&self) -> Option<Approved> {
        status::approval(desired::approval_of(&self.object), &self.status(), self.generation())
    }

    fn has_suspended_drift(&self) -> bool {
        self.status().drift.iter().any(|record| status::is_open(record) && record.resolution == Resolution::Suspended.as_str())
    }

    /// Why changes wait for a person although the manifest does not ask for it.
    fn why_wait(
        &self,
        restraint: &Restraint,
        site: &Site,
        declaration: &Declaration,
        desired: &Desired,
        report: &Report,
    ) -> Option<String> {
        // What an earlier pass began was decided on then, as was that the egress EC2 gives a new group goes.
        let vouched = self.baseline();
        let changes: Vec<&Difference> = report
            .differences
            .iter()
            .filter(|difference| difference.cause.is_change() || difference.cause == Cause::Unclassified)
            .filter(|difference| !is_begun(vouched.as_ref(), difference))
            .collect();
        let removals = changes.iter().filter(|difference| removes(difference)).count();
        if restraint.adopting && removals > 0 {
            return Some(format!("the group was taken over, and {removals} of its rules would be revoked"));
        }
        if let Some(rule) = last_source(&changes, declaration, desired) {
            return Some(format!("rule {rule} would lose its last source, because what it refers to became empty"));
        }
        let lately = self.changed_lately;
        let total = self.context.rules_of_account(&site.account.name);
        let mass = &site.account.limits.mass_change;
        let sum = lately.saturating_add(changes.iter().filter(|difference| alters(difference)).count());
        let over = sum > size(mass.rules) && sum.saturating_mul(100) > total.saturating_mul(size(mass.percent));
        // A new group is no change of what is live, however many rules it has.
        (over && removals > 0).then(|| {
            format!(
                "with it, {sum} of the {total} rules of account {} would be changed within 10 minutes, over {} % and {}",
                site.account.name, mass.percent, mass.rules
            )
        })
    }

    /// What is missing or altered and has to be seen twice. An addition never waits: it is revoked by the id just read. Each
    /// difference is seen again for itself: whoever makes another one every second holds up only that.
    pub(super) fn doubt(&mut self, restraint: &mut Restraint, site: &Site, observed: Option<&Observed>, report: &Report) {
        let doubtful: Vec<&Difference> =
            report.drifts().filter(|difference| difference.drift() != Some(DriftKind::Added)).collect();
        let known = self.baseline().map_or(0, |vouched| vouched.len());
        let most = doubtful.len().saturating_mul(2) > known;
        let unsure = |observed: &Observed| most || site.worker.wrote_recently(&observed.group.id) || site.worker.stormy();
        if doubtful.is_empty() || !observed.is_some_and(unsure) {
            self.doubted = None;
            return;
        }
        let doubts: BTreeSet<String> = doubtful.into_iter().map(Difference::doubt).collect();
        let seen = self.doubted.replace(doubts.clone());
        restraint.first_look = seen.is_none();
        restraint.unconfirmed = doubts.difference(&seen.unwrap_or_default()).cloned().collect();
    }
}

/// A figure of a spec as a count.
fn size(figure: u32) -> usize {
    usize::try_from(figure).unwrap_or(usize::MAX)
}

/// Whether an earlier pass wrote down that it would do this, and did not get to its end.
fn is_begun(vouched: Option<&Vouched>, difference: &Difference) -> bool {
    let atom = match &difference.what {
        What::Missing { atom, declared: _, last_id: _ } | What::Moved { live: _, atom, declared: _ } => atom,
        What::Extra { live, rule: _, was: _ } => &live.atom,
        What::GroupMissing { recorded: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => return false,
    };
    vouched.and_then(|vouched| vouched.get(atom)).is_some_and(|known| known.id.is_none())
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

/// A rule of which a reference that changed leaves nothing. One that the manifest dropped, and that waits for its turn since, has
/// no source to lose.
fn last_source(changes: &[&Difference], declaration: &Declaration, desired: &Desired) -> Option<String> {
    changes.iter().filter(|difference| difference.cause == Cause::ReferenceChange).find_map(|difference| match &difference.what {
        What::Extra { live, rule: Some(rule), was: _ } => {
            let direction = live.atom.direction;
            // A source that another rule names too is still one.
            let of_it = |declared: &Declared| declared.rule == *rule || declared.also.contains(rule);
            let left = desired.rules.iter().any(|(atom, declared)| atom.direction == direction && of_it(declared));
            let declared = declaration.rules.iter().any(|known| known.direction == direction && known.name == *rule);
            (declared && !left).then(|| rule.to_string())
        }
        What::Extra { live: _, rule: None, was: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::GroupMissing { recorded: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    })
}
