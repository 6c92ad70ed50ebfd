//! The edits of others that a plan puts right, by what its steps touch.
//!
//! Entry point: [`Edits`].

use std::collections::BTreeMap;

use crate::api::Actor;
use crate::core::model::{Atom, RuleId};

/// What an edit was made to, and what putting it right touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// The group itself.
    Group,
    /// A row of EC2.
    Row(RuleId),
    /// A rule that is to be there, in whichever row.
    Rule(Atom),
    /// A tag, by its key.
    Tag(String),
}

/// An edit of somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Id of its drift record.
    pub drift_id: String,
    /// Who made it, as far as that is known by now.
    pub actor: Option<Actor>,
}

/// Edits by what they touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(BTreeMap<Touched, Edit>);

impl Edits {
    /// The edit behind an item of a step, which touches these: the first that is known.
    pub(super) fn of(&self, touched: &[Touched]) -> Edit {
        touched.iter().find_map(|touched| self.0.get(touched)).cloned().unwrap_or_default()
    }
}

impl FromIterator<(Touched, Edit)> for Edits {
    fn from_iter<I: IntoIterator<Item = (Touched, Edit)>>(edits: I) -> Self {
        Self(edits.into_iter().collect())
    }
}
