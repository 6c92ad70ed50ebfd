//! The adapter over AWS's SDK: `canned` against answers written down here, `contract` against the sim (in process and over a
//! socket) and moto. `wire` holds the same two to facts about EC2 that the adapter never asks for, and `departures` is the one
//! place that says where moto is wrong. `queue` and `command` are `sgwarden sim` as people run it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic where it likes"
)]

mod canned;
mod command;
mod contract;
mod departures;
mod second_opinion;
#[path = "../support/mod.rs"]
mod servers;
mod support;
mod wire;
