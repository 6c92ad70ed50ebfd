//! Takes over a group that was there before: only with consent on AWS's side, and never one that is somebody else's.

use crate::api::{Adoption, Mode, Origin};
use crate::core::desired::Declaration;
use crate::core::model::ListedGroup;
use crate::core::plan::{Refusal, What};
use crate::core::status::{Reason, Standing};

use super::pass::{Next, Pass, Seen};
use super::site::Site;

impl Pass<'_> {
    /// A group that the manifest asks for.
    pub(super) async fn adopt(&mut self, declaration: &Declaration, site: &Site, listed: ListedGroup) -> Result<ListedGroup, Next> {
        let group = &listed.group;
        let allowed = site.account.adoption == Adoption::Allowed;
        if let Err(refusal) = self.owner.adoptable(&group.tags, &group.name, allowed) {
            let reason = match refusal {
                Refusal::NoConsent { consent: _ } => Reason::AwaitingConsent,
                Refusal::Claimed { claimant: _ } | Refusal::Service { service: _, consent: _ } => Reason::AdoptionRefused,
            };
            let message = format!("spec.adopt: group {} is not taken over: {refusal}", group.id);
            return Err(self.stop_unpinned(declaration, reason, message).await);
        }
        // Observe compares it as if it were ours, for the plan, and keeps nothing of that: recorded, it would be ours by its id, and
        // go on without consent one day.
        if self.restraint(declaration, site).policy.mode == Mode::Observe {
            self.found = Some(Origin::Adopted);
            self.would_adopt = Some(group.id.clone());
            return Ok(listed);
        }
        self.record_taken_over(declaration, site, listed).await
    }

    /// What is found is recorded first, as taken over: a crash from here on must not make us think that we created it, and delete
    /// it one day.
    pub(super) async fn record_taken_over(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        listed: ListedGroup,
    ) -> Result<ListedGroup, Next> {
        let group = &listed.group;
        let previous = self.status();
        let doing = format!("group {} is being taken over", group.id);
        let mut next = self.failed_status(&previous, Some(declaration), Standing::Progressing { doing });
        next.group_id = Some(group.id.to_string());
        next.origin = Some(Origin::Adopted.into());
        next.account = Some(site.account.name.clone());
        next.owner_id = Some(site.worker.account().to_string());
        next.region = Some(site.region().to_string());
        next.vpc_id = Some(group.vpc.to_string());
        next.group_name = Some(group.name.clone());
        next.description = Some(group.description.clone());
        next.rules = None;
        next.tags = None;
        match self.store(next).await {
            Some(next) => Err(next),
            None => Ok(listed),
        }
    }

    /// Two who take over the same group at the same time each read it as nobody's, and the later tags win. So nothing but the tags
    /// is written until they have stood for a while, and the owner is read again then. `Some`: not yet.
    ///
    /// Counted in memory, from the first look that shows the tags: a crash in between begins the wait anew, never leaves it out.
    /// The pass ends meanwhile, as a hundred groups taken over at once must not keep all others waiting.
    pub(super) async fn wait_for_claimants(&mut self, seen: &Seen<'_>) -> Option<Next> {
        if !seen.restraint.adopting {
            return None;
        }
        let memories = &self.context.memories;
        let is_mark = |what: &What| matches!(what, What::Tag { key: _, live: _, declared: _, ownership: true });
        if seen.report.differences.iter().any(|difference| is_mark(&difference.what)) {
            memories.unmarked(&self.key, &self.uid);
            return None;
        }
        let stood = memories.marked(&self.key, &self.uid, self.context.parts.clock.instant());
        let rest = self.context.parts.timings.adoption_wait.saturating_sub(stood);
        if rest.is_zero() {
            return None;
        }
        let doing =
            "the group carries this object's tags now; its rules are touched when nobody else's have taken their place".to_owned();
        Some(self.finish(Some(seen.declaration), Standing::Progressing { doing }, Next::soon(rest)).await)
    }
}
