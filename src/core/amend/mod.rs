//! What a manifest must say to keep an edit that somebody made, or to have back what a change took.
//!
//! Entry points: [`accept`] for a drift record, [`undo`] for a change of the audit trail. Both give an [`Amendment`]: the spec as
//! it would be, which is shown to people or written as a patch. `draft` makes it, one rule of EC2 at a time; `rule` is a declared
//! rule of either direction; `render` says what is different.
//!
//! Invariant: what comes out can be used: it has passed `desired`, and what would not is refused in its words.
//! Invariant: nothing else changes. A rule of EC2 that a manifest declares together with others is taken out only where that can
//! be said exactly; else it is told what to change by hand.

mod accept;
mod draft;
mod render;
mod rule;
mod undo;

pub use accept::{Acceptance, accept};
pub use undo::undo;

use crate::api::SecurityGroupSpec;
use crate::core::desired::Problem;

/// A spec and what it would be.
#[derive(Clone, Debug, PartialEq)]
pub struct Amendment {
    /// As it is.
    pub before: SecurityGroupSpec,
    /// As it would be.
    pub after: SecurityGroupSpec,
    /// What is to be known of it.
    pub advice: Advice,
}

/// What is said beside an amendment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Good to know.
    pub notes: Vec<String>,
    /// What a person has to change, for it cannot be done exactly.
    pub by_hand: Vec<String>,
    /// What no manifest can say, and why.
    pub refused: Vec<String>,
}

impl Amendment {
    /// Whether the spec stays as it is.
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Whether all that was asked for is in it.
    pub fn is_whole(&self) -> bool {
        self.advice.by_hand.is_empty() && self.advice.refused.is_empty()
    }
}

/// There is no amendment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The manifest as it is cannot be used.
    #[error("the manifest itself has to be put right first: {}", sentences(.0))]
    Unusable(Vec<Problem>),
    /// No manifest can say what is asked for.
    #[error("{}", .0.join("; "))]
    Impossible(Vec<String>),
    /// It was asked for in a way that cannot be.
    #[error("{0}")]
    Asked(String),
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
