//! Why an object gets no annotation.

use jiff::Timestamp;

use super::Annotation;

/// Why an object gets no annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no plan that waits.
    #[error("no plan of it waits for approval")]
    NothingWaits,
    /// Its plan is told, and nobody waits for it.
    #[error("it is in mode Observe: its plan is told, and does not wait for approval")]
    Observes,
    /// Its status is not about the manifest as it is.
    #[error("its plan is of generation {seen} and the object is of generation {now}: wait until sgwarden has looked at it")]
    Outdated {
        /// The generation that the status is about.
        seen: i64,
        /// The generation of the object.
        now: i64,
    },
    /// The plan that waits has been approved.
    #[error("its plan {hash} is approved already, by {by}")]
    Approved {
        /// The plan.
        hash: String,
        /// By whom.
        by: String,
    },
    /// The hash and the name do not make an approval.
    #[error(
        "'{0}' would be no approval: upgrade this sgwarden if the controller is of a later release, else change the spec instead"
    )]
    NoApproval(String),
    /// Another plan waits than the one that was shown.
    #[error("its plan has changed meanwhile: {shown} was shown and {now} waits now; look again and repeat")]
    OtherPlan {
        /// The hash that was shown.
        shown: String,
        /// The hash of the plan that waits now.
        now: String,
    },
    /// Somebody wrote the annotation after it was shown.
    #[error("its annotation {0} has changed meanwhile: look again and repeat")]
    Changed(&'static str),
    /// The spec suspends for longer.
    #[error("spec.enforcement.suspend suspends it until {0}, and the later end counts: the annotation would change nothing")]
    SpecLater(Timestamp),
    /// The spec suspends too.
    #[error("spec.enforcement.suspend suspends it until {0}: take that out of the manifest, the annotation alone ends nothing")]
    SpecSuspends(Timestamp),
    /// Nothing suspends it.
    #[error("nothing suspends it")]
    NotSuspended,
}

impl Refusal {
    /// Between what was shown and what would be written now lies this.
    pub(super) fn changed(shown: &Annotation, now: &Annotation) -> Self {
        let plan = |annotation: &Annotation| annotation.after.as_deref().and_then(super::approve::hash).map(str::to_owned);
        match (plan(shown), plan(now)) {
            (Some(shown), Some(now)) if shown != now => Self::OtherPlan { shown, now },
            (Some(_) | None, _) => Self::Changed(shown.key),
        }
    }

    /// Whether there is nothing to do to an object that nobody named.
    pub fn leaves_out(&self) -> bool {
        match self {
            Self::NothingWaits | Self::Observes | Self::Approved { hash: _, by: _ } | Self::NotSuspended => true,
            Self::Outdated { seen: _, now: _ }
            | Self::NoApproval(_)
            | Self::OtherPlan { shown: _, now: _ }
            | Self::Changed(_)
            | Self::SpecLater(_)
            | Self::SpecSuspends(_) => false,
        }
    }

    /// Whether it is as was asked for without anything being written.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Approved { hash: _, by: _ } | Self::NotSuspended => true,
            Self::NothingWaits
            | Self::Observes
            | Self::Outdated { seen: _, now: _ }
            | Self::NoApproval(_)
            | Self::OtherPlan { shown: _, now: _ }
            | Self::Changed(_)
            | Self::SpecLater(_)
            | Self::SpecSuspends(_) => false,
        }
    }
}
