//! The stand-in's clock: the machine's, moved by an offset, or standing still until told.
//!
//! Entry point: [`Clock::now`].
//!
//! Invariant: the only place of the stand-in that looks at the machine's time.

use jiff::{SignedDuration, Timestamp};

/// Where the time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The machine's time and an offset.
    Running(SignedDuration),
    /// Moves only when advanced.
    Frozen(Timestamp),
}

impl Clock {
    pub(crate) fn now(self) -> Timestamp {
        match self {
            Self::Frozen(at) => at,
            Self::Running(offset) => machine_time().checked_add(offset).unwrap_or(Timestamp::MAX),
        }
    }

    /// The same clock, further on by this much.
    pub(crate) fn advanced(self, by: SignedDuration) -> Self {
        match self {
            Self::Frozen(at) => Self::Frozen(at.checked_add(by).unwrap_or(Timestamp::MAX)),
            Self::Running(offset) => Self::Running(offset.checked_add(by).unwrap_or(offset)),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in plays AWS, which has a clock of its own that tests set apart from ours"
)]
fn machine_time() -> Timestamp {
    Timestamp::now()
}
