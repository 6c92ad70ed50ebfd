//! sgwarden keeps AWS security groups exactly as declared: it diffs desired state against live EC2, applies the difference,
//! puts edits made behind its back right, and leaves a trace of every change.
//!
//! The house has six floors; an arrow means "may be used by". `tests/tidy/main.rs` holds it.
//!
//! ```text
//! api ──▶ core ──▶ ports ──▶ adapters ─┐
//!                    └─────▶ engine ───┴──▶ cli
//! ```
//!
//! - [`api`]: the objects people write, as Kubernetes stores them.
//! - [`core`]: pure decisions; no clock, no client, no logging.
//! - [`ports`]: the traits between deciding and the world.
//! - [`adapters`]: one room a technology; they never use each other.
//! - [`engine`]: the reconcile, as a straight line over the ports.
//! - [`cli`]: one file per subcommand; wires everything.

pub mod adapters;
pub mod api;
pub mod cli;
pub mod core;
pub mod engine;
pub mod ports;
