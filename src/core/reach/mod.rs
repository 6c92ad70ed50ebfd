//! Who gets through: whether an address, or the members of a group, can reach a port on a group, through which rule, and what
//! would have to be written. And the picture of all groups with what they refer to.
//!
//! Entry points: [`World`] (what is known, from manifests or from objects with their status), [`World::explain`] (one
//! [`Question`], one [`Answer`]), [`answer_text`] and [`answer_json`]; [`graph`] with [`Graph::to_dot`] and
//! [`Graph::to_mermaid`].
//!
//! Invariant: what a rule stands for is asked of `desired`, one peer at a time; nothing is resolved here a second time.
//! Invariant: a yes and a no are certain. What is in a prefix list, behind a reference that is not known, or which addresses the
//! members of a group have, makes for neither.

mod answer;
mod graph;
mod live;
mod part;
mod permission;
mod question;
mod remedy;
mod render;
mod world;

pub use answer::{Answer, Hop, Live, LiveRule, Through, Verdict};
pub use graph::{Graph, graph};
pub use permission::{Permission, Standing};
pub use question::{BadQuestion, Family, Other, Question, asked_address, asked_traffic};
pub use remedy::Remedy;
pub use render::{answer_json, answer_text};
pub use world::{Basis, CannotTell, Grants, World};
