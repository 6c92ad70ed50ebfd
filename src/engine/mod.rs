//! The reconcile, over the ports.
//!
//! Entry point: [`controller::run`]. [`execute`] walks one plan, [`region`] reads and writes EC2 for all passes.
//!
//! Invariant: nothing here knows which cloud SDK, cluster or file is behind a port.

pub mod controller;
pub mod execute;
pub mod region;
