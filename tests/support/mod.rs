//! What several test binaries share: real servers, and where to find them.
//!
//! A test binary takes it in with `#[path = "../support/mod.rs"] mod support;`. One of them also takes in
//! `harness_tests.rs`, which tests what is here.

#![allow(dead_code, reason = "each test binary uses only a part of what it shares with the others")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a panic is the failure; clippy.toml allows it in test functions, these are their helpers"
)]
#![allow(clippy::disallowed_methods, reason = "waiting for real processes needs the real clock")]

pub(crate) mod collector;
pub(crate) mod controlplane;
pub(crate) mod http;
mod launch;
pub(crate) mod moto;
pub(crate) mod setup;
pub(crate) mod supervised;
