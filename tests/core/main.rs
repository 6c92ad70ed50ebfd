//! The tier `core`: what the pure heart decides, judged from outside.
//!
//! - `activity`: who did it, by `CloudTrail`;
//! - `amend`: what keeps an edit, and what brings back what a change took;
//! - `goldens`: scenarios as files, each with the plan an operator reads;
//! - `properties`: random histories of a group, judged by `oracle` (which traffic gets through, counted out point by point)
//!   and `cloud` (what EC2 makes of a step), neither of which uses the arithmetic of `core`;
//! - `faults`: plans spoilt on purpose, and what the last look says of them;
//! - `quota`: the same in a group that is full;
//! - `restraints`: what policy, approval and limits hold back;
//! - `reach`: who gets through, by which rule, and what would have to be written;
//! - `listing`: drift and changes as people look them up;
//! - `lives`: whole lives of a group, with crashes and intruders;
//! - `drift`: who did it, by a table of our own;
//! - `canonical`: text forms and EC2's fields read back;
//! - `notice`: whom to tell of what, and the messages word for word;
//! - `status` and its kin: what an object's status says over several passes, what people are told, and that it always fits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic where it likes"
)]

mod activity;
mod amend;
mod attribution;
mod canonical;
mod cloud;
mod drift;
mod faults;
mod goldens;
mod history;
mod judge;
mod listing;
mod lives;
mod notice;
mod oracle;
mod previews;
mod properties;
mod quota;
mod reach;
mod restraints;
mod scenario;
mod status;
mod status_bounds;
mod status_drift;
mod status_fields;
mod status_kinds;
mod status_notices;
mod worlds;
