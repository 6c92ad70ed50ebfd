//! Tier `cluster`: a real kube-apiserver and etcd, the real controller, the real AWS SDK, and the EC2 stand-in in place of AWS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test says what is wrong by failing"
)]

#[path = "../support/harness_tests.rs"]
mod harness_tests;
#[path = "../support/judge_tests.rs"]
mod judge_tests;
#[path = "../support/mod.rs"]
mod support;

mod admission;
mod annotate;
mod case;
mod claims;
mod cli;
mod deploy;
mod doors;
mod drift;
mod events;
mod explain;
mod gate;
mod keeping;
mod killed;
mod largest;
mod many;
mod notify;
mod permissions;
mod process;
mod rejected;
mod replicas;
mod restart;
mod rig;
mod trouble;
mod verbs;
