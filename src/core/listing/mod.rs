//! Drift and changes as people look them up: across groups, newest first, as a table and as JSON.
//!
//! Entry points: [`drifts`] with [`drift_table`] and [`drift_json`]; [`changes`] with [`change_table`] and [`change_json`].
//! `table` lays out columns, `time` reads and tells durations.
//!
//! Invariant: texts of others (names of people, descriptions) move no cursor and turn no line: they go through `presentable`.
//! Invariant: colour carries nothing that the words do not say.

mod change;
mod drift;
mod table;
mod time;

pub use change::{ChangeFilter, change_json, change_table, changes};
pub use drift::{DriftFilter, DriftRow, drift_json, drift_table, drifts, is_open};
pub use table::Colour;
pub use time::span;
