//! The reconcile, over the ports.
//!
//! Entry point: [`controller::run`]. [`execute`] walks one plan; [`region`] reads for all of an account's Region together and keeps to
//! EC2's limits; [`leader`] makes sure that one process writes; `notify` sends messages to people.
//!
//! Invariant: nothing here knows which cloud SDK, cluster or file is behind a port.

pub mod controller;
pub mod execute;
pub mod leader;
mod notify;
pub mod region;
