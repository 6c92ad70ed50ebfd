//! What may be done about a group, once its account, its namespace and its manifest have had their say.

use jiff::Timestamp;

use crate::core::model::{Direction, LiveRule, Peer, Traffic};

use super::{Approval, Mode, UndeclaredRules};

/// What may be done about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Enforce or observe.
    pub mode: Mode,
    /// What becomes of undeclared rules.
    pub undeclared: UndeclaredRules,
    /// Undeclared rules that stay all the same.
    pub tolerate: Vec<Toleration>,
    /// Whether reverts stop for now.
    pub suspended: bool,
    /// Whether changes wait for a person.
    pub approval: Approval,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            undeclared: UndeclaredRules::Revoke,
            tolerate: Vec::new(),
            suspended: false,
            approval: Approval::Automatic,
        }
    }
}

/// Undeclared rules of another owner that stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// Which way.
    pub direction: Direction,
    /// Only rules with this peer.
    pub peer: Option<Peer>,
    /// Only rules whose traffic is within one of these; empty means any.
    pub traffic: Vec<Traffic>,
    /// Only rules whose description begins so.
    pub description_prefix: Option<String>,
}

impl Toleration {
    /// Whether a live rule is one of those.
    pub fn matches(&self, rule: &LiveRule) -> bool {
        let Self { direction, peer, traffic, description_prefix } = self;
        let described = |prefix: &String| rule.description.as_deref().is_some_and(|text| text.starts_with(prefix.as_str()));
        rule.atom.direction == *direction
            && peer.as_ref().is_none_or(|peer| *peer == rule.atom.peer)
            && (traffic.is_empty() || traffic.contains(&rule.atom.traffic))
            && description_prefix.as_ref().is_none_or(described)
    }
}

/// Break-glass as written: by the spec or by an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// When it is to end.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}
