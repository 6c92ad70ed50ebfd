//! What keeps a plan from doing all it could.

use std::collections::BTreeSet;

use crate::core::desired::Policy;
use crate::core::model::DEFAULT_RULES_PER_GROUP;

/// What may be done at all, and how much of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each says one thing of its own, and none excludes another")]
pub struct Restraint {
    /// What account, namespace and manifest allow.
    pub policy: Policy,
    /// The most rules EC2 takes in a direction and address family, as far as is known.
    pub rules_per_group: u32,
    /// EC2 answered `RulesPerSecurityGroupLimitExceeded` when the group's changes were authorized first.
    pub quota_refused: bool,
    /// Rules that may still be removed now by a change or without a baseline; `None` is any number.
    pub removals_left: Option<usize>,
    /// Why all changes wait for approval although the policy does not ask for it: a mass change, a first adoption.
    pub wait: Option<String>,
    /// The hash of the plan that somebody approved.
    pub approved: Option<String>,
    /// The group is being taken over: its first plan.
    pub adopting: bool,
    /// Reverts were suspended until now: drift that is put right at last says so.
    pub suspend_ended: bool,
    /// What is missing or altered by one read alone and has to be seen again, by
    /// [`Difference::doubt`](super::Difference::doubt). Additions are believed at once.
    pub unconfirmed: BTreeSet<String>,
    /// That read was the first of the two. Until the second, an addition stays where desired traffic that is missing by the first
    /// may rest on it; not longer, or whoever keeps the reads from agreeing would keep his door open.
    pub first_look: bool,
    /// What is fought over and not restored for now, by [`Difference::subject`](super::Difference::subject). An addition is
    /// never put off, nor is what would be cut by taking one back.
    pub postponed: BTreeSet<String>,
}

impl Default for Restraint {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            rules_per_group: DEFAULT_RULES_PER_GROUP,
            quota_refused: false,
            removals_left: None,
            wait: None,
            approved: None,
            adopting: false,
            suspend_ended: false,
            unconfirmed: BTreeSet::new(),
            first_look: false,
            postponed: BTreeSet::new(),
        }
    }
}
