//! The contract of the EC2 stand-in: each test names the fact about EC2 that it holds.
//!
//! Run against [`sgwarden::adapters::sim::Sim`] by HTTP messages without a socket; `wire.rs` adds the socket.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects by failing")]

#[path = "../support/setup.rs"]
#[allow(dead_code, reason = "this tier needs only a part of what the set-up made")]
mod setup;
mod support;

mod activity;
mod canonical;
mod events;
mod faults;
mod fuzz;
mod groups;
mod interfaces;
mod lists;
mod modify;
mod paging;
mod peering;
mod properties;
mod quotas;
mod rules;
mod state;
mod sts;
mod tags;
mod tours;
mod wire;
