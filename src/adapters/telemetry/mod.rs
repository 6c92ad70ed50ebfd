//! How the process shows itself: its log, the admin HTTP server with probes, metrics and the log's filter, and traces.
//!
//! Entry points: [`logs::init`], [`level::Level`], [`admin::serve`], [`otlp::Otlp`].
//!
//! Invariant: what goes to the target `audit` is always shown, whatever the log filter says.

pub mod admin;
pub mod level;
pub mod logs;
pub mod otlp;
