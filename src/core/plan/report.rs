//! What a plan found: every difference, why it is there, and why it may be left alone.

use crate::core::model::{Atom, Declared, LiveRule, RuleId, RuleName, SecurityGroupId, Weight};

use super::cause::{Cause, Held};
use super::ownership::Ownership;
use super::quota::OverQuota;
use super::tally;

/// Kinds of drift, as status, Events, metrics and audit name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
pub enum DriftKind {
    /// A rule nobody declared.
    Added,
    /// A declared rule is gone.
    Removed,
    /// A rule of ours was changed in place into another.
    Modified,
    /// The description of a rule was changed.
    DescriptionChanged,
    /// A declared tag has another value.
    TagChanged,
    /// A declared tag, or a tag that marks the group as ours, is gone.
    TagRemoved,
    /// The whole group is gone.
    GroupDeleted,
}

/// One difference between desired and live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The group does not exist; with the id it had, if it had one.
    GroupMissing {
        /// The id recorded for it.
        recorded: Option<SecurityGroupId>,
    },
    /// Desired, not live.
    Missing {
        /// What is missing.
        atom: Atom,
        /// What the manifest says of it.
        declared: Declared,
        /// The id it had, when it was live before.
        last_id: Option<RuleId>,
    },
    /// Live, not desired.
    Extra {
        /// The rule.
        live: LiveRule,
        /// The rule that declared it once.
        rule: Option<RuleName>,
        /// What the same rule id allowed when we vouched for it, if somebody changed it in place.
        was: Option<Atom>,
    },
    /// A row that is to become another by a change in place.
    Moved {
        /// The row as it is.
        live: LiveRule,
        /// What it is to allow.
        atom: Atom,
        /// What the manifest says of that.
        declared: Declared,
    },
    /// Live as desired but for its description.
    Description {
        /// The rule as it is.
        live: LiveRule,
        /// What the manifest says of it.
        declared: Declared,
    },
    /// A tag of the group.
    Tag {
        /// Its key.
        key: String,
        /// Its value in EC2.
        live: Option<String>,
        /// The value it should have; `None`: it is no longer declared.
        declared: Option<String>,
        /// Whether it is one of those that mark the group as ours.
        ownership: bool,
    },
}

/// A difference with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub what: What,
    /// Why.
    pub cause: Cause,
    /// Why nothing is done about it now; `None`: it is in the plan.
    pub held: Option<Held>,
}

impl Difference {
    /// The kind of drift it is; `None` if it is no drift.
    pub fn drift(&self) -> Option<DriftKind> {
        if !self.cause.is_drift() || self.held == Some(Held::Kept) {
            return None;
        }
        Some(match &self.what {
            What::GroupMissing { recorded: _ } => DriftKind::GroupDeleted,
            What::Missing { atom: _, declared: _, last_id: _ } => DriftKind::Removed,
            What::Extra { live: _, rule: _, was: None } => DriftKind::Added,
            What::Extra { live: _, rule: _, was: Some(_) } | What::Moved { live: _, atom: _, declared: _ } => DriftKind::Modified,
            What::Description { live: _, declared: _ } => DriftKind::DescriptionChanged,
            What::Tag { key: _, live: None, declared: _, ownership: _ } => DriftKind::TagRemoved,
            What::Tag { key: _, live: Some(_), declared: _, ownership: _ } => DriftKind::TagChanged,
        })
    }
}

impl Difference {
    /// What it is about, in words that are the same each time it comes up.
    pub fn subject(&self) -> String {
        match &self.what {
            What::GroupMissing { recorded: _ } => "group".to_owned(),
            What::Missing { atom, declared: _, last_id: _ } | What::Moved { live: _, atom, declared: _ } => tally::rule(atom),
            What::Extra { live, rule: _, was: _ } => tally::rule(&live.atom),
            What::Description { live, declared: _ } => tally::description(&live.atom),
            What::Tag { key, live: _, declared: _, ownership: _ } => tally::tag(key),
        }
    }

    /// By what it is known again at a second look, whatever somebody makes of it meanwhile: a row by its id, and not by what it
    /// allows now, or whoever changes it every second would keep two looks from agreeing.
    pub fn doubt(&self) -> String {
        match &self.what {
            What::GroupMissing { recorded: _ } => "group".to_owned(),
            What::Missing { atom, declared: _, last_id: _ } => tally::rule(atom),
            What::Moved { live, atom: _, declared: _ } | What::Extra { live, rule: _, was: _ } => live.id.to_string(),
            What::Description { live, declared: _ } => format!("text of {}", live.id),
            What::Tag { key, live: _, declared: _, ownership: _ } => tally::tag(key),
        }
    }
}

/// Rules against AWS's quota. Groups and prefix lists count as AWS's most careful text says, so this is an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaUse {
    /// Into the group.
    pub ingress: Weight,
    /// Out of the group.
    pub egress: Weight,
    /// The most EC2 takes of each direction and family, as far as is known.
    pub limit: u32,
}

/// Everything a plan found. Unread, it is of no use to anybody.
#[must_use = "a report says what differs and why; somebody has to hear it"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the group's tags say; `None` when there is no group.
    pub ownership: Option<Ownership>,
    /// Every difference in canonical order.
    pub differences: Vec<Difference>,
    /// What the declared rules take of the quota.
    pub quota: QuotaUse,
    /// Declared rules that are live.
    pub live_declared: usize,
    /// What is desired cannot fit, whatever is done first: nothing but reverts is.
    pub over_quota: Option<OverQuota>,
    /// Hash of the changes that need approval wherever somebody asks for one; `None` when there are none.
    pub approval: Option<String>,
    /// The set we vouch for was of no use: there is none, or it is another object's. Neither it nor the tags that object applied
    /// are to be carried on.
    pub baseline_lost: bool,
}

impl Report {
    /// Differences that are drift.
    pub fn drifts(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.drift().is_some())
    }

    /// Whether the group is as it should be: what differs stays so for good.
    pub fn is_settled(&self) -> bool {
        self.differences.iter().all(|difference| difference.held.as_ref().is_some_and(Held::stays))
    }

    /// Differences that wait for a person's approval.
    pub fn waiting(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.held == Some(Held::Approval))
    }
}
