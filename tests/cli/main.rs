//! The tier `cli`: the binary itself, as a person or a pipeline starts it, where that takes no cluster and no AWS.
//!
//! - `check`: what it says word for word, of the folders in `checks/`, and its exit codes;
//! - `verdict`: that it and the apiserver refuse the same manifests, by the tables of the tier `cluster`;
//! - `ugly`: files that nobody should have written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic where it likes"
)]

mod binary;
mod check;
// Held against the apiserver itself by the tier `cluster`.
#[allow(dead_code, reason = "the tier `cluster` uses more of it")]
#[path = "../cluster/rejected.rs"]
mod rejected;
mod ugly;
mod verdict;
