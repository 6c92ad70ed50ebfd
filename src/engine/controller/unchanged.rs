//! The pass that ends at its first look: everything is as it was, and nothing is read or written for it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::Mode;
use crate::api::conditions::{DRIFTED, LIMITED, READY, SYNCED};
use crate::core::desired::{Declaration, Desired};
use crate::core::model::ListedGroup;
use crate::core::plan::{self, Restraint};
use crate::core::status::{self, DeepView, Reason};
use crate::engine::region::View;

use super::pass::{Next, Pass};
use super::site::Site;

impl Pass<'_> {
    /// `Some` when status says that all is well with this very manifest, and a listing shows the group as it was then. A listing
    /// has no ids of rules: that somebody replaced a rule by its like is for the deep sweep to see.
    pub(super) fn unchanged(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        desired: &Desired,
        restraint: &Restraint,
        listed: &ListedGroup,
    ) -> Option<Next> {
        let status = self.object.status.as_ref()?;
        let holds = |kind: &str| {
            status.conditions.iter().any(|condition| {
                condition.type_ == kind && condition.status == "True" && condition.reason == Reason::Succeeded.as_str()
            })
        };
        let at_war = |condition: &&Condition| condition.type_ == DRIFTED && condition.reason == Reason::RevertWar.as_str();
        let vouched = self.baseline()?;
        let same = status.observed_generation == Some(self.generation())
            && status.uid.as_deref() == Some(self.uid.as_str())
            && holds(READY)
            && holds(SYNCED)
            && restraint.policy.mode == Mode::Enforce
            && status.mode.as_deref() == Some(Mode::Enforce.as_str())
            && !status.drift.iter().any(status::is_open)
            && self.context.memories.unsaved(&self.key, &self.uid).is_empty()
            && self.context.passing.of(&self.key).is_empty()
            && self.completed(site, status.drift.clone()) == status.drift
            && status.conditions.iter().any(|condition| at_war(&condition)) == self.war.is_some()
            && self.suspended.is_none()
            && status.suspended_since.is_none()
            && self.overruled.is_empty()
            && self.moved.is_empty()
            && status.conditions.iter().all(|condition| condition.type_ != LIMITED)
            && self.pins.iter().eq(status.pins.iter())
            && site.worker.list_changes(&self.key).is_empty()
            && desired.held.is_empty()
            && desired.refused.is_empty()
            && desired.latched.iter().eq(status.expired.iter())
            && !site.worker.deep_look(&self.key, &listed.group, DeepView::recorded(status)).is_news
            && status::announces(status, &desired.expiring, self.context.parts.clock.now())
            && plan::is_as_listed(&self.owner, self.origin(), desired, &vouched, status.tags.as_ref(), listed);
        if !same {
            return None;
        }
        self.context.memories.present(&self.key, &self.uid);
        self.context.memories.succeeded(&self.key, &self.uid);
        let ids = vouched.by_id().into_keys().cloned().collect();
        site.worker.managed(&self.key, &listed.group.id);
        site.worker.settled(&self.key, View::Listed { group: listed, ids: Some(&ids) });
        Some(self.next_look(declaration, site, desired, None))
    }
}
