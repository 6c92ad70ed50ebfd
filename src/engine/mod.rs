//! The reconcile, over the ports.
//!
//! Entry point: [`controller::run`]. [`execute`] walks one plan; [`leader`] says who may.
//!
//! Invariant: nothing here knows which cloud SDK, cluster or file is behind a port.

pub mod controller;
pub mod execute;
pub mod leader;
