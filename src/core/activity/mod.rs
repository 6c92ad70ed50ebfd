//! Who did it: what `CloudTrail` tells of writes to security groups, and the join of drift with it.
//!
//! Entry points: [`parse`] (one message to one [`Event`], or why it was [`SetAside`]), [`Activities`] (what is kept of events, an
//! hour a group), [`Own`] (our calls told from those of others), [`attribute`] (drifted atoms to events), [`transient`],
//! [`denied`] and [`failed`].
//!
//! Invariant: an event is a hint and never state: it comes late, twice, in any order or not at all, and says what was asked for in
//! three dialects (AWS's documents are silent on parts of them). Whatever a message is made of, reading it ends in an event or in a
//! reason, and what could not be read stands in the event as a change nobody can tell.
//! Invariant: no one is named on the strength of a call that failed, that was a dry run, that was ours, or that did something else.
//! Invariant: neither the order in which events arrive nor how often they do changes what is said.

mod attribute;
mod changes;
mod envelope;
mod event;
mod identity;
mod json;
mod kept;
mod own;
mod rows;
mod transient;

pub use attribute::{Attribution, By, Drift, Drifted, Evidence, Nobody, SLACK, Window, attribute};
pub use envelope::{MAX_BODY, MAX_DEPTH, SetAside, parse, place};
pub use event::{Becomes, Change, Event, EventName, Failure, MAX_CHANGES, MAX_GROUPS, TagEdit, What};
pub use identity::{Actor, ActorKind, read as read_identity};
pub use json::{MAX_TEXT, cut as presentable, harmless};
pub use kept::{Activities, Bounds, Inserted};
pub use own::{Own, OwnPrincipal, Whose};
pub use transient::{Transient, denied, failed, transient};
