//! EC2 through AWS's SDK: the ports of [`crate::ports::cloud`] for one account and its Regions.
//!
//! Entry point: [`AwsConnector`], made from [`AwsOptions`]. `connect` asks STS once whose the credentials are, `read` pages,
//! `write` sends one attempt, `convert` translates both ways, `error` says what an error asks for, `in_process` mounts a
//! service that lives in this process under the SDK. [`SqsQueue`] puts messages on a queue ([`crate::ports::queue`]).
//!
//! Invariant: the SDK is named nowhere else. Invariant: AWS's error codes stand nowhere else.
//! Invariant: what the code cannot read is an error that blocks; no rule and no group is ever skipped.
//! Invariant: a write is sent once. Who called it reads before sending it again.

mod connect;
mod convert;
mod error;
mod in_process;
mod queue;
mod read;
mod write;

pub use connect::{AwsConnector, AwsOptions, CallLimits};
pub use queue::SqsQueue;
