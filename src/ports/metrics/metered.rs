//! The EC2 ports with every call counted and timed, by operation and answer, and a span of a trace.
//!
//! They go directly around the port, inside whatever else decorates it (the engine's lanes), so that what they count and time is
//! EC2 and not the wait for a token.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tracing::Instrument;

use crate::core::model::{
    AccountId, Direction, ListedGroup, LiveRule, NewRule, PrefixListFacts, Region, RuleId, SecurityGroupId, StaleRules, Tags,
    VpcAssociations, VpcFacts, VpcId,
};
use crate::ports::clock::Clock;
use crate::ports::cloud::{
    Activity, CloudError, Ec2, Ec2Read, Ec2Write, ErrorClass, GroupQuery, Interface, NewGroup, PrefixListQuery, Receipt, VpcQuery,
};
use crate::ports::metrics::Ec2Metrics;
use crate::ports::spans;

/// The label of a call that succeeded.
const OK: &str = "OK";
/// The label of a call that AWS did not answer.
const NO_ANSWER: &str = "NoAnswer";
/// The label of a code that is not on the list.
const OTHER: &str = "Other";

/// AWS's codes that get a series of their own (handbook ec2.md §4).
const CODES: &[&str] = &[
    "AccessDenied",
    "AccountDisabled",
    "AuthFailure",
    "Blocked",
    "CannotDelete",
    "ConcurrentTagAccess",
    "DependencyViolation",
    "DryRunOperation",
    "ExpiredToken",
    "ExpiredTokenException",
    "FilterLimitExceeded",
    "IdempotentParameterMismatch",
    "IncompleteSignature",
    "InternalError",
    "InternalFailure",
    "InvalidClientTokenId",
    "InvalidFilter",
    "InvalidGroup.Duplicate",
    "InvalidGroup.InUse",
    "InvalidGroup.NotFound",
    "InvalidGroup.Reserved",
    "InvalidGroupId.Malformed",
    "InvalidMaxResults",
    "InvalidNextToken",
    "InvalidPaginationToken",
    "InvalidParameter",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidPermission.Duplicate",
    "InvalidPermission.Malformed",
    "InvalidPermission.NotFound",
    "InvalidPrefixListID.NotFound",
    "InvalidPrefixListId.Malformed",
    "InvalidRegion",
    "InvalidSecurity.RequestHasExpired",
    "InvalidSecurityGroupID.NotFound",
    "InvalidSecurityGroupId.Malformed",
    "InvalidSecurityGroupRuleId.Malformed",
    "InvalidSecurityGroupRuleId.NotFound",
    "InvalidVpcID.NotFound",
    "MissingAuthenticationToken",
    "MissingParameter",
    "OperationNotPermitted",
    "OptInRequired",
    "PendingVerification",
    "RegionDisabledException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RetryableError",
    "RulesPerSecurityGroupLimitExceeded",
    "SecurityGroupLimitExceeded",
    "SecurityGroupsPerInterfaceLimitExceeded",
    "ServerInternal",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "TagLimitExceeded",
    "TagPolicyViolation",
    "Throttling",
    "ThrottlingException",
    "UnauthorizedOperation",
    "Unavailable",
    "UnknownParameter",
    "UnsupportedOperation",
    "ValidationError",
];

/// The label of an answer: one of a closed list, whatever AWS, or something between us and AWS, writes.
pub fn code_label(answer: Option<&CloudError>) -> &'static str {
    let Some(error) = answer else { return OK };
    let Some(code) = error.code.as_deref() else { return NO_ANSWER };
    CODES.iter().find(|known| **known == code).copied().unwrap_or(OTHER)
}

/// Both ports of an account and Region, metered.
pub fn meter(ec2: Ec2, metrics: &Ec2Metrics, clock: &Clock) -> Ec2 {
    let Ec2 { account, principal, region, read, write, activity } = ec2;
    let meter = Meter { metrics: metrics.clone(), clock: clock.clone(), account: account.clone(), region: region.clone() };
    Ec2 {
        account,
        principal,
        region,
        read: Arc::new(MeteredRead { inner: read, meter: meter.clone() }),
        write: Arc::new(MeteredWrite { inner: write, meter: meter.clone() }),
        activity: Arc::new(MeteredActivity { inner: activity, meter }),
    }
}

/// Counts and times calls in an account and Region.
#[derive(Clone, Debug)]
struct Meter {
    metrics: Ec2Metrics,
    clock: Clock,
    account: AccountId,
    region: Region,
}

impl Meter {
    /// A read. By which ids AWS knows its requests is said by whoever makes them.
    async fn read<T>(&self, operation: &'static str, call: impl Future<Output = Result<T, CloudError>>) -> Result<T, CloudError> {
        self.call("EC2", operation, call).await
    }

    async fn write(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<Receipt, CloudError>>,
    ) -> Result<Receipt, CloudError> {
        let told = async {
            let answer = call.await;
            spans::answered(answer.as_ref().ok().and_then(|receipt| receipt.request_id.as_deref()));
            answer
        };
        self.call("EC2", operation, told).await
    }

    async fn call<T>(
        &self,
        service: &'static str,
        operation: &'static str,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        let span = spans::call(service, operation, &self.account, &self.region);
        let since = self.clock.instant();
        let told = async {
            let answer = call.await;
            if let Err(error) = &answer {
                spans::answered(error.request_id.as_deref());
                spans::failed(error.code.as_deref().unwrap_or_else(|| error.class.into()));
            }
            answer
        };
        let answer = told.instrument(span).await;
        let error = answer.as_ref().err();
        self.metrics.called(operation, code_label(error), since.elapsed());
        if error.is_some_and(|error| error.class == ErrorClass::Throttled) {
            self.metrics.throttled();
        }
        answer
    }
}

/// [`Activity`], metered.
struct MeteredActivity {
    inner: Arc<dyn Activity>,
    meter: Meter,
}

#[async_trait]
impl Activity for MeteredActivity {
    async fn lookup(&self, resource: &str, since: Timestamp, until: Timestamp) -> Result<Vec<String>, CloudError> {
        self.meter.call("CloudTrail", "LookupEvents", self.inner.lookup(resource, since, until)).await
    }
}

/// [`Ec2Read`], metered.
struct MeteredRead {
    inner: Arc<dyn Ec2Read>,
    meter: Meter,
}

#[async_trait]
impl Ec2Read for MeteredRead {
    async fn listing(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        self.meter.read("DescribeSecurityGroups", self.inner.listing(query)).await
    }

    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        self.meter.read("DescribeSecurityGroupRules", self.inner.rules_of(groups)).await
    }

    async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        self.meter.read("DescribeVpcs", self.inner.vpcs(query)).await
    }

    async fn prefix_lists(&self, query: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        self.meter.read("DescribeManagedPrefixLists", self.inner.prefix_lists(query)).await
    }

    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        self.meter.read("DescribeNetworkInterfaces", self.inner.interfaces(group)).await
    }

    async fn vpc_associations(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        self.meter.read("DescribeSecurityGroupVpcAssociations", self.inner.vpc_associations(groups)).await
    }

    async fn stale_rules(&self, vpc: &VpcId) -> Result<StaleRules, CloudError> {
        self.meter.read("DescribeStaleSecurityGroups", self.inner.stale_rules(vpc)).await
    }
}

/// [`Ec2Write`], metered.
struct MeteredWrite {
    inner: Arc<dyn Ec2Write>,
    meter: Meter,
}

#[async_trait]
impl Ec2Write for MeteredWrite {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        self.meter.write("CreateSecurityGroup", self.inner.create_group(group)).await
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.meter.write("DeleteSecurityGroup", self.inner.delete_group(group)).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "AuthorizeSecurityGroupIngress",
            Direction::Egress => "AuthorizeSecurityGroupEgress",
        };
        self.meter.write(operation, self.inner.authorize(group, direction, rules)).await
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "RevokeSecurityGroupIngress",
            Direction::Egress => "RevokeSecurityGroupEgress",
        };
        self.meter.write(operation, self.inner.revoke(group, direction, rules)).await
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.meter.write("ModifySecurityGroupRules", self.inner.modify(group, rules)).await
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
        self.meter.write(operation, self.inner.describe(group, direction, rules)).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.meter.write("CreateTags", self.inner.set_tags(group, tags)).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.meter.write("DeleteTags", self.inner.remove_tags(group, tags)).await
    }
}
