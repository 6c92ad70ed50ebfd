//! Steps of a plan. Each but the two waits is one EC2 call; ids and values are all in it.

use crate::core::model::{Atom, Direction, LiveRule, NewGroup, NewRule, RuleName, SecurityGroupId, Tags};

use super::cause::Cause;
use super::report::Difference;

/// EC2 takes at most this many rules in a call (seen in AWS's own controller).
pub(super) const RULES_PER_CALL: usize = 1000;

/// Why rules are revoked; decides whether a failure before it stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nobody declared them: they go whatever else fails.
    Revert,
    /// They were declared once: they go only after what replaces them is in force.
    Replace,
    /// They were declared once, and the group is at its quota: they go before what comes, and no desired traffic rests on them
    /// but for what [`Plan::cuts`] names.
    Room,
    /// They refer to the group itself, which would keep EC2 from deleting it.
    Deletion,
}

/// A rule to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The rule.
    pub live: LiveRule,
    /// Why.
    pub cause: Cause,
    /// The rule that declared it once.
    pub rule: Option<RuleName>,
}

/// A rule to be authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The rule.
    pub new: NewRule,
    /// Why.
    pub cause: Cause,
    /// The rule that declares it.
    pub rule: RuleName,
    /// Why it is allowed, from the manifest.
    pub justification: Option<String>,
}

/// A rule to be changed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modification {
    /// The rule as it is.
    pub live: LiveRule,
    /// What it is to be.
    pub new: NewRule,
    /// Why.
    pub cause: Cause,
    /// The rule that declares it.
    pub rule: RuleName,
    /// Why it is allowed, from the manifest.
    pub justification: Option<String>,
}

/// A description to be set or cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redescription {
    /// The rule as it is.
    pub live: LiveRule,
    /// Its description to be.
    pub description: Option<String>,
    /// Why.
    pub cause: Cause,
    /// The rule that declares it.
    pub rule: RuleName,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `CreateSecurityGroup`. Always the only step: what EC2 puts into a new group has to be read before going on.
    CreateGroup(NewGroup),
    /// `DeleteSecurityGroup`. The rules go with the group.
    DeleteGroup,
    /// `CreateTags`.
    SetTags {
        /// Keys and values to set.
        tags: Tags,
        /// Values they have now.
        before: Tags,
        /// Why.
        cause: Cause,
    },
    /// `DeleteTags`, each only while it has this value.
    RemoveTags {
        /// Keys and values.
        tags: Tags,
        /// Why.
        cause: Cause,
    },
    /// `RevokeSecurityGroupIngress` or -Egress.
    Revoke {
        /// Which way.
        direction: Direction,
        /// Why in general.
        purpose: Purpose,
        /// What.
        rules: Vec<Revocation>,
    },
    /// `AuthorizeSecurityGroupIngress` or -Egress.
    Authorize {
        /// Which way.
        direction: Direction,
        /// What.
        rules: Vec<Authorization>,
    },
    /// `ModifySecurityGroupRules`.
    Modify {
        /// Which way: one call could do both, but then a failure would hold up the other way too.
        direction: Direction,
        /// What.
        rules: Vec<Modification>,
    },
    /// `UpdateSecurityGroupRuleDescriptionsIngress` or -Egress.
    Describe {
        /// Which way.
        direction: Direction,
        /// What.
        rules: Vec<Redescription>,
    },
    /// Read until these are live: nothing they replace may go before.
    AwaitVisible {
        /// Which way: the other one need not wait for it.
        direction: Direction,
        /// What has to be live.
        atoms: Vec<Atom>,
    },
    /// Wait: the data plane lags behind the API.
    Settle,
}

impl Step {
    /// The EC2 call it makes; `None` for a wait.
    pub fn operation(&self) -> Option<&'static str> {
        Some(match self {
            Self::CreateGroup(_) => "CreateSecurityGroup",
            Self::DeleteGroup => "DeleteSecurityGroup",
            Self::SetTags { tags: _, before: _, cause: _ } => "CreateTags",
            Self::RemoveTags { tags: _, cause: _ } => "DeleteTags",
            Self::Revoke { direction: Direction::Ingress, purpose: _, rules: _ } => "RevokeSecurityGroupIngress",
            Self::Revoke { direction: Direction::Egress, purpose: _, rules: _ } => "RevokeSecurityGroupEgress",
            Self::Authorize { direction: Direction::Ingress, rules: _ } => "AuthorizeSecurityGroupIngress",
            Self::Authorize { direction: Direction::Egress, rules: _ } => "AuthorizeSecurityGroupEgress",
            Self::Modify { direction: _, rules: _ } => "ModifySecurityGroupRules",
            Self::Describe { direction: Direction::Ingress, rules: _ } => "UpdateSecurityGroupRuleDescriptionsIngress",
            Self::Describe { direction: Direction::Egress, rules: _ } => "UpdateSecurityGroupRuleDescriptionsEgress",
            Self::AwaitVisible { direction: _, atoms: _ } | Self::Settle => return None,
        })
    }

    /// The direction it is about. What goes wrong with it says nothing of the other one; `None` concerns both.
    pub fn direction(&self) -> Option<Direction> {
        match self {
            Self::Revoke { direction, purpose: _, rules: _ }
            | Self::Authorize { direction, rules: _ }
            | Self::Modify { direction, rules: _ }
            | Self::Describe { direction, rules: _ }
            | Self::AwaitVisible { direction, atoms: _ } => Some(*direction),
            Self::CreateGroup(_)
            | Self::DeleteGroup
            | Self::SetTags { tags: _, before: _, cause: _ }
            | Self::RemoveTags { tags: _, cause: _ }
            | Self::Settle => None,
        }
    }
}

/// What is to be done to one group, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The group; `None` when the plan creates it.
    pub group: Option<SecurityGroupId>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What was decided on together with them and comes later: the rules of a group that is created, and what was approved but
    /// waits its turn. It is written down with their intents, so that it needs no second approval.
    pub deferred: Vec<Difference>,
    /// Live rules that a step at the quota takes away although desired traffic rests on them until the next call.
    pub cuts: Vec<Atom>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many EC2 writes it makes.
    pub fn calls(&self) -> usize {
        self.steps.iter().filter(|step| step.operation().is_some()).count()
    }

    /// Whether it does nothing but revoke rules nobody declared: the one plan that need not wait for its record.
    pub fn only_reverts_additions(&self) -> bool {
        !self.is_empty()
            && self.steps.iter().all(|step| matches!(step, Step::Revoke { direction: _, purpose: Purpose::Revert, rules: _ }))
    }
}
