//! The pure heart: what is desired, what is live, and what to do about the difference.
//!
//! Rooms, each using only those before it: `model` (vocabulary) ← `desired` (from manifests), `plan` (the decision) ←
//! `status` and `audit` (what people and records hear of it) ←
//! `notice` (what is sent to those who do not look), `amend` (what a manifest must say to keep an edit, or to have back what a
//! change took), `annotate` (by which annotation a person lets a plan pass or stops reverts), `listing` (drift and changes as
//! people look them up), `reach` (who gets through, by the rules declared and live), `preview` (what would be done) ← `check` (what is
//! wrong with manifests that no cluster has seen). `activity` (what `CloudTrail` tells, and who did it) uses `model` alone.
//!
//! Invariant: sync, with no clock, randomness, client, logging or hash order. Equal input gives equal bytes.

pub mod activity;
pub mod amend;
pub mod annotate;
pub mod attribution;
pub mod audit;
pub mod check;
pub mod desired;
pub mod listing;
pub mod model;
pub mod notice;
pub mod plan;
pub mod preview;
pub mod reach;
pub mod status;
