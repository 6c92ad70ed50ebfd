//! The controller: every object, one at a time each, from watch to status.
//!
//! Entry point: [`run`]; [`preview`] tells what it would do. `stores` follows the objects and tells `wakes` what has to be looked at; `run` schedules that while this
//! process leads. The reconcile is a straight line (`reconcile`): fetch → locate → resolve → plan → record → execute → verify →
//! report; where nothing changed it ends at its first look (`unchanged`), and deletion has its own line (`finalize`). `site` finds
//! account and Region, `lookups` what rules refer to, `restrain` what may be done now (`limits`, `wars`), `marks` what a person
//! does about tags of ours that are wrong; `accounts` looks after what is shared; `office` is what those see who send messages.
//!
//! Invariant: an object is never reconciled twice at the same time, and a panic in one does not touch the others.
//! Invariant: no EC2 write before the status that vouches for it is stored; the one exception is the revoke of rules nobody
//! declared while the store of objects does not answer.

mod accounts;
mod adopt;
mod conclude;
mod context;
mod events;
mod failure;
mod finalize;
mod limits;
mod locate;
mod lookups;
mod marks;
mod memory;
mod office;
mod pass;
mod preview;
mod reconcile;
mod references;
mod report;
mod restrain;
mod run;
mod site;
mod stores;
mod unchanged;
mod unusable;
mod wakes;
mod wars;
mod write;

pub use context::{Context, Leadership, OwnAccount, Parts};
pub use preview::{PreviewParts, ReadOnly, preview};
pub use run::run;
