//! The pure heart: what is desired, what is live, and what to do about the difference.
//!
//! Rooms, each using only those before it: `model` (vocabulary) ← `desired` (from manifests), `plan` (the decision) ←
//! `status` and `audit` (what people and records hear of it) ←
//! `notice` (what is sent to those who do not look), `amend` (what a manifest must say to keep an edit, or to have back what a
//! change took) `listing` (drift and changes as people look them up) and `reach` (who
//! gets through, by the rules declared and live). `activity` (what `CloudTrail` tells, and who did it)
//! uses `model` alone.
//!
//! Invariant: sync, with no clock, randomness, client, logging or hash order. Equal input gives equal bytes.

pub mod activity;
pub mod amend;
pub mod attribution;
pub mod audit;
pub mod desired;
pub mod listing;
pub mod model;
pub mod notice;
pub mod plan;
pub mod reach;
pub mod status;
