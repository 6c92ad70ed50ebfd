//! The write port behind the fence.
//!
//! It goes inside whatever else decorates the port, right around what sends: a write that waits for its turn in a lane must
//! take its permit after the wait, not before.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;

use super::fence::Fence;
use crate::core::model::{Direction, NewRule, RuleId, SecurityGroupId, Tags};
use crate::ports::cloud::{CloudError, Connect, Ec2, Ec2Write, ErrorClass, NewGroup, Receipt, Route};

/// [`Ec2Write`] that sends nothing without a permit.
pub struct FencedWrite {
    inner: Arc<dyn Ec2Write>,
    fence: Fence,
}

impl FencedWrite {
    /// Puts a port behind a fence.
    pub fn new(inner: Arc<dyn Ec2Write>, fence: Fence) -> Self {
        Self { inner, fence }
    }

    /// Futures do nothing before they are first polled, so the call begins after the permit, and nothing is awaited in between.
    ///
    /// Before each further poll the clock is looked at again: a process that was stopped in the middle of a call may have
    /// sent it or not, and does no more for it when it goes on.
    async fn call(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<Receipt, CloudError>>,
    ) -> Result<Receipt, CloudError> {
        let permit = self.fence.permit().map_err(|why| why.refuse(operation))?;
        let mut call = pin!(call);
        let watched =
            poll_fn(|context| if permit.is_overdue() { Poll::Ready(Err(overdue(operation))) } else { call.as_mut().poll(context) });
        match tokio::time::timeout(permit.limit(), watched).await {
            Ok(answer) => {
                permit.ended();
                answer
            }
            Err(_) => Err(overdue(operation)),
        }
    }
}

/// What becomes of a call that has not ended while others were sure not to write.
fn overdue(operation: &'static str) -> CloudError {
    CloudError {
        operation,
        class: ErrorClass::Unavailable,
        code: None,
        message: "the call took longer than the lease of this replica allows; whether EC2 has done it is not known".to_owned(),
        request_id: None,
        outcome_unknown: true,
    }
}

#[async_trait]
impl Ec2Write for FencedWrite {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        self.call("CreateSecurityGroup", self.inner.create_group(group)).await
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.call("DeleteSecurityGroup", self.inner.delete_group(group)).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "AuthorizeSecurityGroupIngress",
            Direction::Egress => "AuthorizeSecurityGroupEgress",
        };
        self.call(operation, self.inner.authorize(group, direction, rules)).await
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "RevokeSecurityGroupIngress",
            Direction::Egress => "RevokeSecurityGroupEgress",
        };
        self.call(operation, self.inner.revoke(group, direction, rules)).await
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.call("ModifySecurityGroupRules", self.inner.modify(group, rules)).await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "UpdateSecurityGroupRuleDescriptionsIngress",
            Direction::Egress => "UpdateSecurityGroupRuleDescriptionsEgress",
        };
        self.call(operation, self.inner.describe(group, direction, rules)).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.call("CreateTags", self.inner.set_tags(group, tags)).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.call("DeleteTags", self.inner.remove_tags(group, tags)).await
    }
}

/// [`Connect`] that gives out no writer but behind the fence.
pub struct FencedConnect {
    inner: Arc<dyn Connect>,
    fence: Fence,
}

impl FencedConnect {
    /// Puts every writer of a connector behind a fence.
    pub fn new(inner: Arc<dyn Connect>, fence: Fence) -> Self {
        Self { inner, fence }
    }
}

#[async_trait]
impl Connect for FencedConnect {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let Ec2 { account, principal, region, read, write, activity } = self.inner.connect(route).await?;
        let write = Arc::new(FencedWrite::new(write, self.fence.clone()));
        Ok(Ec2 { account, principal, region, read, write, activity })
    }

    fn forget(&self, route: &Route) {
        self.inner.forget(route);
    }
}
