//! Regions: one worker for each route into an account and Region. It reads for all passes together, sweeps, keeps to EC2's
//! limits, and knows what we wrote ourselves.
//!
//! Entry points: [`Regions::worker`], then [`Worker::snapshot`], [`Worker::listed`] and [`Worker::observe`] to read, [`Worker::writer`] to write,
//! [`Worker::settled`] when all is well.
//!
//! Rooms: `loader` (reads that share calls) · `cache` · `lanes` (token buckets and who goes first) · `decorate` (the ports behind
//! them) · `overlay`, `expected` (own writes against stale reads) · `fingerprint`, `ledger` (what each group was when all was well) · `sweep` ·
//! `lists` (prefix lists in use) · `deep` (VPC associations and stale rules).
//!
//! A pass, in short: `first_sweep` at start → `managed` → `snapshot`, else `listed` → if the group is not as it should be, or was written
//! recently, `observe` → write → `observe` again → `settled`. A Region where nothing changes costs one listing a sweep, and no pass.
//!
//! Invariant: a sweep only wakes. What is true of a group is what the pass then reads of it.
//! Invariant: an account that cannot be reached holds up nobody but its own objects.
//! Invariant: no lock is held over an await, and none is left unusable by a panic.

mod cache;
mod decorate;
mod deep;
mod expected;
mod fingerprint;
mod lanes;
mod ledger;
mod lists;
mod loader;
mod overlay;
mod registry;
mod sweep;
#[cfg(test)]
mod tests;
mod trail;
mod worker;

pub use deep::DeepLook;
pub use lanes::Urgency;
pub use ledger::View;
pub use lists::ListChange;
pub use registry::{Freshness, RegionParts, Regions};
pub use trail::Trail;
pub use worker::{RegionSettings, Worker};
