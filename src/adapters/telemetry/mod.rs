//! How the process shows itself: its log, and the admin HTTP server with probes and metrics.
//!
//! Entry points: [`logs::init`], [`admin::serve`].
//!
//! Invariant: what goes to the target `audit` is always shown, whatever the log filter says.

pub mod admin;
pub mod logs;
