//! The controller: every object, one at a time each, from watch to status.
//!
//! Entry point: [`run`]. The reconcile is a straight line (`reconcile`): fetch → locate → resolve → plan → record → execute →
//! verify → report; deletion has its own (`finalize`).
//!
//! Invariant: an object is never reconciled twice at the same time, and a panic in one does not touch the others.
//! Invariant: no EC2 write before the status that vouches for it is stored; the one exception is the revoke of rules nobody
//! declared while the store of objects does not answer.

mod context;
mod failure;
mod finalize;
mod locate;
mod memory;
mod reconcile;
mod report;
mod run;
mod unusable;
mod write;

pub use context::{Context, Parts};
pub use run::run;
