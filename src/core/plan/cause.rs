//! Why something differs, and why nothing is done about it now.

use crate::core::model::RuleName;

/// Why something differs. Decides whether anybody is alarmed, and when a removal may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
pub enum Cause {
    /// The manifest changed.
    SpecChange,
    /// What the manifest refers to changed.
    ReferenceChange,
    /// What the account adds to every manifest changed.
    PolicyChange,
    /// A reference is no longer granted.
    GrantWithdrawn,
    /// Its time has come.
    Expiry,
    /// The group, or the object that owns it, is new to us: it is taken over.
    Adoption,
    /// Somebody changed EC2 behind our back.
    Drift,
    /// Drift that was left alone while reverts were suspended; they are not any more.
    SuspendEnd,
    /// There is no baseline to tell the two apart.
    Unclassified,
    /// The object goes, and its group with it.
    Deletion,
}

impl Cause {
    /// Whether somebody changed EC2 behind our back: it is reverted, and a person is told.
    pub fn is_drift(self) -> bool {
        match self {
            Self::Drift | Self::SuspendEnd => true,
            Self::SpecChange
            | Self::ReferenceChange
            | Self::PolicyChange
            | Self::GrantWithdrawn
            | Self::Expiry
            | Self::Adoption
            | Self::Unclassified
            | Self::Deletion => false,
        }
    }

    /// Whether what is desired changed: additions come first, what they replace goes when they are in force.
    pub fn is_change(self) -> bool {
        match self {
            Self::SpecChange
            | Self::ReferenceChange
            | Self::PolicyChange
            | Self::GrantWithdrawn
            | Self::Expiry
            | Self::Adoption => true,
            Self::Drift | Self::SuspendEnd | Self::Unclassified | Self::Deletion => false,
        }
    }

    /// Whether it takes away what was to end: an expiry was approved with its rule, and a grant is its giver's to withdraw. It
    /// waits for nobody's approval.
    pub fn closes(self) -> bool {
        matches!(self, Self::GrantWithdrawn | Self::Expiry)
    }
}

/// Why nothing is done about a difference now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::Display)]
pub enum Held {
    /// A rule of this name has a reference that is not known now.
    Reference(RuleName),
    /// The manifest tolerates this undeclared rule.
    Tolerated,
    /// Undeclared rules are only reported.
    Reported,
    /// Undeclared rules are kept; this is no drift.
    Kept,
    /// Reverts are suspended, or desired traffic rests on it that a suspended revert would bring back.
    Suspended,
    /// A person has to approve it first.
    Approval,
    /// It does not fit into AWS's quota of rules, or desired traffic rests on it that does not.
    Quota,
    /// As many rules as may be removed at a time are being removed already.
    Rate,
    /// One read alone shows it.
    Unconfirmed,
    /// Somebody undoes it as often as we do it: it is done less and less often.
    War,
}

impl Held {
    /// Whether the difference is left alone for good: the group is as it should be all the same.
    pub fn stays(&self) -> bool {
        match self {
            Self::Tolerated | Self::Reported | Self::Kept => true,
            Self::Reference(_) | Self::Suspended | Self::Approval | Self::Quota | Self::Rate | Self::Unconfirmed | Self::War => {
                false
            }
        }
    }
}
