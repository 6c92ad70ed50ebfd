//! The adapter over AWS's SDK: `canned` against answers written down here, `contract` against the sim, in process and over a
//! socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic where it likes"
)]

mod canned;
mod contract;
mod support;
