//! The adapter over AWS's SDK: `canned` against answers written down here, `contract` and `reads` against the sim (in process,
//! over a socket and called as the ports) and moto. `accounts` goes into several accounts by roles, and watches EC2's clock. `doors` compares the sim's two doors call by call. `wire` holds sim and moto to
//! facts about EC2 that the adapter never asks for, and `departures` is the one place that says where moto is wrong. `command`
//! is `sgwarden sim` as people run it, `publish` what is sent to SNS, `traces` what a collector gets of `sgwarden run`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic where it likes"
)]

mod accounts;
mod canned;
mod command;
mod contract;
mod departures;
mod doors;
mod events;
mod publish;
mod reads;
mod second_opinion;
#[path = "../support/mod.rs"]
mod servers;
mod support;
mod traces;
mod wire;
