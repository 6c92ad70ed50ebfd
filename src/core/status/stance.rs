//! What becomes of a difference: the one place that reads it off the plan's report, for conditions and drift records alike.

use crate::core::plan::{Difference, Held, Report};

/// What becomes of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// It is put right, or would be in mode Enforce.
    Open,
    /// It waits for a reference.
    Waits,
    /// Drift that stays while reverts are suspended.
    Suspended,
    /// An undeclared rule that is reported and stays.
    Reported,
    /// An undeclared rule of another owner, which the manifest tolerates.
    Tolerated,
    /// An undeclared rule that stays because the manifest keeps all of them.
    Kept,
}

impl Stance {
    /// What becomes of one difference. Mode Observe is not judged here: it acts on nothing, and says what it would do.
    pub(super) fn of(difference: &Difference) -> Self {
        match &difference.held {
            Some(Held::Reference(_)) => Self::Waits,
            Some(Held::Suspended) => Self::Suspended,
            Some(Held::Reported) => Self::Reported,
            Some(Held::Tolerated) => Self::Tolerated,
            Some(Held::Kept) => Self::Kept,
            // It is put right in its turn.
            None | Some(Held::Approval | Held::Quota | Held::Rate | Held::Unconfirmed | Held::War) => Self::Open,
        }
    }

    /// Whether it is nobody's business: neither drift nor anything that is missing.
    pub(super) fn is_let_be(self) -> bool {
        matches!(self, Self::Tolerated | Self::Kept)
    }
}

/// What is left at the end of a pass, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) open: usize,
    pub(super) suspended: usize,
    pub(super) reported: usize,
    pub(super) tolerated: usize,
    pub(super) kept: usize,
    /// Of what is open: what is not restored now, because somebody undoes it each time.
    pub(super) fought: usize,
    /// Of what is open: what finds no room before something else goes.
    pub(super) unfit: usize,
}

impl Left {
    pub(super) fn of(report: &Report) -> Self {
        let mut left = Self::default();
        for difference in &report.differences {
            left.fought += usize::from(difference.held == Some(Held::War));
            left.unfit += usize::from(difference.held == Some(Held::Quota));
            match Stance::of(difference) {
                Stance::Open => left.open += 1,
                Stance::Suspended => left.suspended += 1,
                Stance::Reported => left.reported += 1,
                Stance::Tolerated => left.tolerated += 1,
                Stance::Kept => left.kept += 1,
                // The rule that waits is told by name, as a reference.
                Stance::Waits => {}
            }
        }
        left
    }
}
