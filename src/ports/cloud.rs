//! EC2 as the engine sees it: reads and writes apart, errors with the class that decides what to do next.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

pub use crate::core::model::NewGroup;

use super::denial;
use crate::core::model::{
    AccountId, Direction, GroupFacts, ListedGroup, LiveRule, NewRule, PrefixListFacts, PrefixListId, Region, RuleId,
    SecurityGroupId, StaleRules, Tags, VpcAssociations, VpcFacts, VpcId,
};

/// Which groups to read. Filters, never plain ids: an unknown id fails the whole call, a filter returns nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupQuery {
    /// These ids; at most 200, EC2's limit of values in a filter.
    Ids(Vec<SecurityGroupId>),
    /// The group of this name in a VPC. EC2 compares the filter's value exactly, though names are unique in any case.
    Name {
        /// The VPC.
        vpc: VpcId,
        /// The name.
        name: String,
    },
    /// Groups that carry all of these tags.
    Tagged(Tags),
    /// Groups with a rule, in or out, whose peer is this group.
    Referring(SecurityGroupId),
    /// All groups of the Region.
    All,
}

/// Which VPCs to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VpcQuery {
    /// This id.
    Id(VpcId),
    /// Every VPC that has all of these tags; a name is the tag `Name`.
    Tagged(Tags),
    /// The default VPC of the Region, if there is one.
    Default,
}

/// Which managed prefix lists to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixListQuery {
    /// These ids.
    Ids(Vec<PrefixListId>),
    /// All lists of this name that the account can use.
    Name(String),
}

/// Reads. Each call pages through to the end.
#[async_trait]
pub trait Ec2Read: Send + Sync {
    /// Groups with what their rules allow, without the rules' ids (`DescribeSecurityGroups`).
    async fn listing(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError>;
    /// Both directions' rules, with their ids, of each of these groups (`DescribeSecurityGroupRules`). A group that is gone has
    /// no entry or an empty one.
    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError>;
    /// VPCs.
    async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError>;
    /// Managed prefix lists, the customer's and AWS's.
    async fn prefix_lists(&self, query: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError>;
    /// The network interfaces that are members of a group.
    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError>;
    /// The other VPCs in which each of these groups can be used (`DescribeSecurityGroupVpcAssociations`). A group without any has
    /// no entry.
    async fn vpc_associations(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError>;
    /// The stale rules of a VPC's groups (`DescribeStaleSecurityGroups`). A group without any has no entry.
    async fn stale_rules(&self, vpc: &VpcId) -> Result<StaleRules, CloudError>;

    /// Groups without their rules.
    async fn groups(&self, query: &GroupQuery) -> Result<Vec<GroupFacts>, CloudError> {
        Ok(self.listing(query).await?.into_iter().map(|listed| listed.group).collect())
    }

    /// Both directions' rules of one group. Empty also when the group is gone.
    async fn rules(&self, group: &SecurityGroupId) -> Result<Vec<LiveRule>, CloudError> {
        Ok(self.rules_of(std::slice::from_ref(group)).await?.remove(group).unwrap_or_default())
    }

    /// A VPC, or `None` when there is none of that id.
    async fn vpc(&self, id: &VpcId) -> Result<Option<VpcFacts>, CloudError> {
        Ok(self.vpcs(&VpcQuery::Id(id.clone())).await?.into_iter().find(|vpc| vpc.id == *id))
    }
}

/// A network interface, as far as it holds a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// `eni-…`
    pub id: String,
    /// What it is for, in AWS's words: an instance's id, or the description of the service that made it.
    pub used_by: String,
}

/// What EC2 answered to a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// EC2's id of the request; the key into `CloudTrail`.
    pub request_id: Option<String>,
    /// Rules that the call created, with their ids.
    pub authorized: Vec<LiveRule>,
    /// Rules the call is known to have revoked.
    pub revoked: Vec<RuleId>,
    /// The group the call created.
    pub created: Option<SecurityGroupId>,
}

/// Writes. Each is one attempt: after an unknown outcome the caller reads before it writes again.
#[async_trait]
pub trait Ec2Write: Send + Sync {
    /// `CreateSecurityGroup` with tags.
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError>;
    /// `DeleteSecurityGroup`.
    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError>;
    /// `AuthorizeSecurityGroupIngress` or -Egress, all rules of one direction in one call.
    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError>;
    /// `RevokeSecurityGroupIngress` or -Egress by rule ids, never by properties.
    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError>;
    /// `ModifySecurityGroupRules`. Every field is sent: the call replaces the whole rule.
    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError>;
    /// `UpdateSecurityGroupRuleDescriptionsIngress` or -Egress by rule ids; `None` clears.
    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError>;
    /// `CreateTags` on the group: sets these keys, leaves others.
    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError>;
    /// `DeleteTags` on the group: removes a key only while it still has this value.
    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError>;
}

/// Writes nothing, where there is nothing to be written: whoever asks it all the same is told so.
#[derive(Clone, Copy, Debug)]
pub struct NoWriter;

impl NoWriter {
    fn refuse(operation: &'static str) -> Result<Receipt, CloudError> {
        Err(CloudError {
            operation,
            class: ErrorClass::Terminal,
            code: None,
            message: "a defect of sgwarden: something was to be written where all is only read; nothing was sent".to_owned(),
            request_id: None,
            outcome_unknown: false,
        })
    }
}

#[async_trait]
impl Ec2Write for NoWriter {
    async fn create_group(&self, _: &NewGroup) -> Result<Receipt, CloudError> {
        Self::refuse("CreateSecurityGroup")
    }

    async fn delete_group(&self, _: &SecurityGroupId) -> Result<Receipt, CloudError> {
        Self::refuse("DeleteSecurityGroup")
    }

    async fn authorize(&self, _: &SecurityGroupId, _: Direction, _: &[NewRule]) -> Result<Receipt, CloudError> {
        Self::refuse("AuthorizeSecurityGroupIngress")
    }

    async fn revoke(&self, _: &SecurityGroupId, _: Direction, _: &[RuleId]) -> Result<Receipt, CloudError> {
        Self::refuse("RevokeSecurityGroupIngress")
    }

    async fn modify(&self, _: &SecurityGroupId, _: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        Self::refuse("ModifySecurityGroupRules")
    }

    async fn describe(&self, _: &SecurityGroupId, _: Direction, _: &[(RuleId, Option<String>)]) -> Result<Receipt, CloudError> {
        Self::refuse("UpdateSecurityGroupRuleDescriptionsIngress")
    }

    async fn set_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        Self::refuse("CreateTags")
    }

    async fn remove_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        Self::refuse("DeleteTags")
    }
}

/// `CloudTrail`'s own memory of calls: some minutes late, and answered twice a second in an account and Region, no more.
#[async_trait]
pub trait Activity: Send + Sync {
    /// The newest fifty events between two times that name a resource, such as a group's id, as text.
    async fn lookup(&self, resource: &str, since: Timestamp, until: Timestamp) -> Result<Vec<String>, CloudError>;
}

/// Knows of no call, where nothing is asked of it: in tests of other things.
#[derive(Clone, Copy, Debug)]
pub struct NoActivity;

#[async_trait]
impl Activity for NoActivity {
    async fn lookup(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<Vec<String>, CloudError> {
        Ok(Vec::new())
    }
}

/// The ports of one account and Region.
#[derive(Clone)]
pub struct Ec2 {
    /// The account the credentials belong to, as STS says.
    pub account: AccountId,
    /// ARN of whom they are, as STS says: an IAM user's, or that of a session of a role.
    pub principal: String,
    /// The Region.
    pub region: Region,
    /// Reads.
    pub read: std::sync::Arc<dyn Ec2Read>,
    /// Writes.
    pub write: std::sync::Arc<dyn Ec2Write>,
    /// Who called what.
    pub activity: std::sync::Arc<dyn Activity>,
}

/// The way into an account: as whom, and where to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The Region.
    pub region: Region,
    /// The account it must lead to; with any other, nothing is touched.
    pub account: Option<AccountId>,
    /// The role to assume; without one, the credentials this process runs with.
    pub role: Option<Role>,
    /// Endpoint of EC2 and STS in place of AWS's.
    pub endpoint: Option<String>,
}

/// A role of another account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
}

impl Route {
    /// By the credentials of this process, into whichever account they are of.
    pub fn own(region: Region) -> Self {
        Self { region, account: None, role: None, endpoint: None }
    }
}

/// The call that makes one a role.
pub const ASSUME_ROLE: &str = "AssumeRole";
/// The call that tells whose credentials they are.
pub const IDENTITY: &str = "GetCallerIdentity";

impl Route {
    /// Refuses credentials that lead into another account than they are to, and says which.
    pub fn check(&self, found: &AccountId) -> Result<(), CloudError> {
        let Some(expected) = self.account.as_ref().filter(|expected| *expected != found) else { return Ok(()) };
        let whose = self.role.as_ref().map_or_else(|| "the credentials are".to_owned(), |role| format!("role {} is", role.arn));
        Err(CloudError {
            operation: IDENTITY,
            class: ErrorClass::Credentials,
            code: None,
            message: format!("{whose} of account {found}, but account {expected} is expected; nothing is touched"),
            request_id: None,
            outcome_unknown: false,
        })
    }
}

impl CloudError {
    /// The failure to become a role, from that of the call: refused is refused credentials, for every call that needs them.
    #[must_use]
    pub fn not_assumed(self, role: &Role) -> Self {
        let class = if self.class == ErrorClass::Permission { ErrorClass::Credentials } else { self.class };
        let message = format!("role {} cannot be assumed: {}", role.arn, self.message);
        Self { operation: ASSUME_ROLE, class, message, outcome_unknown: false, ..self }
    }
}

/// Gives the ports of an account and Region. Checks whose credentials they are before the first use.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Ports of one account and Region; cheap after the first call with the same route.
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError>;

    /// Lets go of what is kept for a route that nobody will take again. Ports given out go on working.
    fn forget(&self, _route: &Route) {}
}

/// What an error asks for (handbook ec2.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumIter)]
pub enum ErrorClass {
    /// Throttled: wait, then the same again.
    Throttled,
    /// EC2 is unwell or out of reach: wait, then read before writing.
    Unavailable,
    /// The world is not as planned: read again, plan again.
    Stale,
    /// Another group of the VPC has the name, in some spelling of it.
    NameTaken,
    /// Something still holds the resource; retried slowly.
    InUse,
    /// Cannot succeed until the spec or the configuration changes.
    Terminal,
    /// A quota of AWS is used up.
    Quota,
    /// Credentials missing, expired or refused.
    Credentials,
    /// The credentials are fine, but not for this.
    Permission,
}

/// A call to AWS that did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    /// The API call, such as `AuthorizeSecurityGroupIngress`.
    pub operation: &'static str,
    /// What to do about it.
    pub class: ErrorClass,
    /// AWS's error code, when AWS answered at all.
    pub code: Option<String>,
    /// In words: AWS's own message where there is one.
    pub message: String,
    /// EC2's id of the request.
    pub request_id: Option<String>,
    /// Whether a write may have happened all the same (no answer, or an answer that says nothing).
    pub outcome_unknown: bool,
}

impl CloudError {
    /// Whether AWS answered with this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// What happened and what to do, for a condition or a log: without request ids, so that the text is stable.
    pub fn explain(&self, region: &Region) -> String {
        let code = self.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        let (operation, message) = (self.operation, &self.message);
        match self.class {
            ErrorClass::Throttled => format!("AWS throttles {operation} in {region}{code}; trying again, more slowly"),
            ErrorClass::Unavailable => {
                format!("AWS in {region} cannot be reached or is failing: {operation}: {message}{code}; trying again")
            }
            ErrorClass::Stale => format!("EC2 has changed meanwhile: {operation}: {message}{code}; reading again"),
            ErrorClass::NameTaken => {
                format!("EC2 refuses {operation}: {message}{code}; choose another spec.groupName (case does not count)")
            }
            ErrorClass::InUse => format!("EC2 refuses {operation} while something still uses the group: {message}{code}"),
            ErrorClass::Terminal => format!("EC2 refuses {operation}: {message}{code}"),
            ErrorClass::Quota => {
                let less = match operation {
                    "CreateSecurityGroup" => "delete groups that nothing uses, or have the quota raised",
                    "CreateTags" => "declare fewer tags",
                    _ => "declare fewer rules, or have the quota raised",
                };
                format!("a quota of AWS is used up in {region}: {operation}: {message}{code}; {less}")
            }
            ErrorClass::Credentials if operation == ASSUME_ROLE => format!(
                "{message}{code}; check that its trust policy names sgwarden's own identity and asks for no other external id than \
                 the declared one, and that sgwarden's own policy allows sts:AssumeRole on it (deploy/iam/hub.json)"
            ),
            ErrorClass::Credentials => {
                format!(
                    "AWS does not accept the credentials: {operation}: {message}{code}; check the role or the keys sgwarden runs with"
                )
            }
            ErrorClass::Permission => denial::in_words(self),
        }
    }

    /// The same for a call that AWS forbids, with what helps here.
    pub fn explain_denied(&self, remedy: &str) -> String {
        denial::with_remedy(self, remedy)
    }

    /// Whether a deny forbids the call: then no statement that allows it helps.
    pub fn is_denied(&self) -> bool {
        self.class == ErrorClass::Permission && denial::is_explicit(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::444455556666:role/sgwarden";

    fn error(operation: &'static str, class: ErrorClass) -> CloudError {
        CloudError {
            operation,
            class,
            code: Some("Code".into()),
            message: "Because.".into(),
            request_id: Some("req-1".into()),
            outcome_unknown: true,
        }
    }

    fn told(operation: &'static str, class: ErrorClass) -> String {
        error(operation, class).explain(&"eu-west-1".parse().unwrap())
    }

    #[test]
    fn a_route_names_both_accounts_where_it_leads_astray() {
        let found: AccountId = "111122223333".parse().unwrap();
        let own = Route::own("eu-west-1".parse().unwrap());
        assert_eq!(own.check(&found), Ok(()), "whichever it is");
        let here = Route { account: Some(found.clone()), ..own.clone() };
        assert_eq!(here.check(&found), Ok(()));
        let role = Some(Role { arn: ROLE.into(), external_id: Some("word".into()) });
        let elsewhere = Route { account: Some("777788889999".parse().unwrap()), role, ..own };
        let error = elsewhere.check(&found).unwrap_err();
        assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Credentials, false));
        assert_eq!(
            error.to_string(),
            format!(
                "GetCallerIdentity: role {ROLE} is of account 111122223333, but account 777788889999 is expected; nothing is touched"
            )
        );
    }

    #[test]
    fn a_role_that_is_refused_is_refused_credentials_and_everything_else_is_what_it_was() {
        let role = Role { arn: ROLE.into(), external_id: None };
        for (before, after) in [
            (ErrorClass::Permission, ErrorClass::Credentials),
            (ErrorClass::Credentials, ErrorClass::Credentials),
            (ErrorClass::Throttled, ErrorClass::Throttled),
            (ErrorClass::Unavailable, ErrorClass::Unavailable),
            (ErrorClass::Terminal, ErrorClass::Terminal),
        ] {
            let error = error("AuthorizeSecurityGroupIngress", before).not_assumed(&role);
            assert_eq!((error.operation, error.class, error.outcome_unknown), (ASSUME_ROLE, after, false), "nothing was sent");
            assert_eq!(error.message, format!("role {ROLE} cannot be assumed: Because."));
        }
    }

    #[test]
    fn a_used_up_quota_says_of_what_and_where() {
        for (operation, less) in [
            ("AuthorizeSecurityGroupIngress", "declare fewer rules"),
            ("ModifySecurityGroupRules", "declare fewer rules"),
            ("CreateSecurityGroup", "delete groups that nothing uses"),
            ("CreateTags", "declare fewer tags"),
        ] {
            let told = told(operation, ErrorClass::Quota);
            assert!(told.starts_with("a quota of AWS is used up in eu-west-1: ") && told.contains(less), "{told}");
        }
    }

    #[test]
    fn an_explanation_is_the_same_for_every_request() {
        use strum::IntoEnumIterator;
        for class in ErrorClass::iter() {
            for operation in ["CreateSecurityGroup", ASSUME_ROLE, IDENTITY] {
                let told = told(operation, class);
                assert!(!told.contains("req-1") && !told.is_empty(), "{told}");
            }
        }
    }
}
