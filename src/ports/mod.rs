//! The traits between deciding and the world, and what they speak. Adapters implement them, the engine uses them.
//!
//! Entry points: [`cloud`] (EC2, read and write apart), [`objects`] (where `SecurityGroup` objects live), [`sinks`] (the audit
//! trail, and messages to people), [`post`] (HTTP), [`queue`] (messages out), [`lease`] (who leads), [`clock`] (time and every wait), [`steady`] (time for leases),
//! [`metrics`], [`spans`] (what traces are made of).
//!
//! Invariant: reading and writing EC2 are two traits. What only plans is never handed a writer.

pub mod clock;
pub mod cloud;
mod denial;
pub mod lease;
pub mod metrics;
pub mod objects;
pub mod post;
pub mod queue;
pub mod sinks;
mod skew;
pub mod spans;
pub mod steady;
