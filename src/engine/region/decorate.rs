//! The ports of an account and Region behind its lanes; the one for writing notes every write in the overlay.
//!
//! Entry points: [`LanedRead`], [`LanedWrite`].
//!
//! Invariant: whatever else decorates the ports (the fence of the leader) is inside: it is asked after the wait for a token,
//! right before the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::core::model::{
    Direction, ListedGroup, LiveRule, NewGroup, NewRule, PrefixListFacts, RuleId, SecurityGroupId, StaleRules, Tags,
    VpcAssociations, VpcFacts, VpcId,
};
use crate::ports::cloud::{CloudError, Ec2Read, Ec2Write, GroupQuery, Interface, PrefixListQuery, Receipt, VpcQuery};

use super::lanes::{Action, Errand, Lanes, Urgency};
use super::overlay::{Deed, Overlay};
use super::trail::Trail;

/// Rows a page has at most.
const PAGE: usize = 1000;
/// Prefix lists a page has at most.
const PAGE_OF_LISTS: usize = 100;
/// Groups with stale rules a page has at most.
const PAGE_OF_STALE: usize = 255;
/// Values a filter takes.
pub(super) const VALUES: usize = 200;

/// [`Ec2Read`] that keeps to its lane.
pub(super) struct LanedRead {
    pub(super) inner: Arc<dyn Ec2Read>,
    pub(super) lanes: Arc<Lanes>,
    /// Whoever calls has his token already, from [`Lanes::enter`].
    pub(super) admitted: bool,
}

impl LanedRead {
    /// Makes a call once it has its token. What EC2 sends in more pages than one costs more tokens, known only afterwards.
    async fn call<T>(
        &self,
        action: Action,
        call: impl Future<Output = Result<T, CloudError>> + Send,
        more_pages: impl FnOnce(&T) -> usize + Send,
    ) -> Result<T, CloudError> {
        if !self.admitted {
            self.lanes.enter(action, Errand::Read).await;
        }
        let answer = call.await;
        self.lanes.answered(action, answer.as_ref().map_or(0, more_pages), answer.as_ref().err());
        answer
    }
}

/// Pages beyond the first.
fn more(rows: usize, page: usize) -> usize {
    rows.div_ceil(page).saturating_sub(1)
}

#[async_trait]
impl Ec2Read for LanedRead {
    async fn listing(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        self.call(Action::DescribeGroups, self.inner.listing(query), |groups| more(groups.len(), PAGE)).await
    }

    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        let rows = |rules: &BTreeMap<SecurityGroupId, Vec<LiveRule>>| rules.values().map(Vec::len).sum();
        let pages = |rules: &_| more(rows(rules), PAGE).max(more(groups.len(), VALUES));
        self.call(Action::DescribeRules, self.inner.rules_of(groups), pages).await
    }

    async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        self.call(Action::DescribeVpcs, self.inner.vpcs(query), |vpcs| more(vpcs.len(), PAGE)).await
    }

    async fn prefix_lists(&self, query: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        let pages = |lists: &Vec<_>| more(lists.len(), PAGE_OF_LISTS);
        self.call(Action::DescribePrefixLists, self.inner.prefix_lists(query), pages).await
    }

    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        self.call(Action::DescribeInterfaces, self.inner.interfaces(group), |found| more(found.len(), PAGE)).await
    }

    async fn vpc_associations(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        let rows = |found: &BTreeMap<SecurityGroupId, VpcAssociations>| found.values().map(VpcAssociations::len).sum();
        let pages = |found: &_| more(rows(found), PAGE).max(more(groups.len(), VALUES));
        self.call(Action::DescribeAssociations, self.inner.vpc_associations(groups), pages).await
    }

    async fn stale_rules(&self, vpc: &VpcId) -> Result<StaleRules, CloudError> {
        self.call(Action::DescribeStale, self.inner.stale_rules(vpc), |found| more(found.len(), PAGE_OF_STALE)).await
    }
}

/// [`Ec2Write`] that keeps to its lane and notes what it wrote.
pub(super) struct LanedWrite {
    pub(super) inner: Arc<dyn Ec2Write>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) trail: Arc<Trail>,
    pub(super) urgency: Urgency,
}

impl LanedWrite {
    async fn call(
        &self,
        action: Action,
        group: Option<&SecurityGroupId>,
        deed: Deed<'_>,
        call: impl Future<Output = Result<Receipt, CloudError>> + Send,
    ) -> Result<Receipt, CloudError> {
        self.lanes.enter(action, Errand::Write(self.urgency)).await;
        let writing = self.overlay.begin(group);
        let noted = Noted { trail: &self.trail, group, answered: false };
        let answer = call.await;
        noted.end(&answer);
        if let Ok(receipt) = &answer {
            self.trail.revoked(&receipt.revoked);
        }
        writing.end(deed, &answer);
        self.lanes.answered(action, 0, answer.as_ref().err());
        answer
    }
}

/// A write under way, which comes back as an event and must be known for ours, also when it is given up.
struct Noted<'a> {
    trail: &'a Trail,
    group: Option<&'a SecurityGroupId>,
    answered: bool,
}

impl Noted<'_> {
    fn end(mut self, answer: &Result<Receipt, CloudError>) {
        let (request_id, done) = match answer {
            Ok(receipt) => (receipt.request_id.as_deref(), true),
            Err(error) => (error.request_id.as_deref(), false),
        };
        if let Some(id) = request_id {
            self.trail.sent(id, done);
        }
        self.answered = request_id.is_some() || answer.as_ref().err().is_some_and(|error| !error.outcome_unknown);
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.trail.unanswered(self.group);
        }
    }
}

#[async_trait]
impl Ec2Write for LanedWrite {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        self.call(Action::CreateGroup, None, Deed::Create, self.inner.create_group(group)).await
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.call(Action::DeleteGroup, Some(group), Deed::Delete, self.inner.delete_group(group)).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let call = self.inner.authorize(group, direction, rules);
        self.call(Action::Authorize(direction), Some(group), Deed::Authorize, call).await
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        self.call(Action::Revoke(direction), Some(group), Deed::Revoke, self.inner.revoke(group, direction, rules)).await
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.call(Action::Modify, Some(group), Deed::Modify(rules), self.inner.modify(group, rules)).await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        let call = self.inner.describe(group, direction, rules);
        self.call(Action::Redescribe(direction), Some(group), Deed::Describe(rules), call).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.call(Action::CreateTags, Some(group), Deed::SetTags(tags), self.inner.set_tags(group, tags)).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.call(Action::DeleteTags, Some(group), Deed::RemoveTags(tags), self.inner.remove_tags(group, tags)).await
    }
}
