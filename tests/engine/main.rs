//! The tier of the engine: the whole of it, over a store of objects in memory and the EC2 stand-in's ports, in virtual time.
//!
//! What needs a real apiserver or the real SDK is in tests/cluster; what is here are the many cases: crashes at every write,
//! intruders, faults, limits, random worlds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests say what they expect")]

mod attack;
mod authors;
mod basics;
mod calls;
#[path = "../support/collector.rs"]
#[allow(dead_code, reason = "the tier of the SDK asks for more of it")]
mod collector;
mod crash;
mod decoys;
mod deep;
mod deletion;
mod events;
mod faults;
mod found;
mod inbox;
mod invent;
mod limits;
mod many;
mod metrics;
mod noise;
mod notify;
mod ownership;
mod people;
mod places;
mod policy;
mod preview;
mod references;
mod rig;
mod silence;
mod store;
mod traces;
mod worlds;
