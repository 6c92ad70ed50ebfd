//! One room for each technology behind a port.
//!
//! Invariant: adapters never use each other; they meet in `cli`.

pub mod audit_log;
#[cfg(feature = "aws")]
pub mod aws;
pub mod directory;
pub mod kube;
pub mod notify;
#[cfg(feature = "sim")]
pub mod sim;
pub mod telemetry;
