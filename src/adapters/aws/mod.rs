//! EC2 through AWS's SDK: the ports of [`crate::ports::cloud`] for any account and Region that a route leads to.
//!
//! Entry point: [`AwsConnector`], made from [`AwsOptions`]. `connect` assumes the route's role and asks STS once whose the
//! credentials are, `identity` lets go of those that have run out, `read` pages, `write` sends one attempt, `activity` asks
//! `CloudTrail`, `lane` is the way of each call; `convert`, `listed`, `lists`, `associations` and `stale` translate, `error` says what
//! an error asks for, `server_time` listens for EC2's clock, `in_process` mounts a service that lives in this process under the SDK.
//! [`SqsQueue`] puts messages on a queue and [`SqsQueues`] takes them off ([`crate::ports::queue`]), [`SnsPublisher`] publishes to
//! topics ([`crate::ports::sinks`]).
//!
//! Invariant: the SDK is named nowhere else. Invariant: AWS's error codes stand nowhere else.
//! Invariant: what the code cannot read is an error that blocks; no rule and no group is ever skipped.
//! Invariant: a write is sent once. Who called it reads before sending it again.
//! Invariant: what goes wrong with one account's role or endpoint goes wrong for that account alone.

mod activity;
mod associations;
mod connect;
mod convert;
mod error;
mod identity;
mod in_process;
mod lane;
mod listed;
mod lists;
mod options;
mod publish;
mod queue;
mod read;
mod server_time;
mod stale;
mod write;

pub use connect::AwsConnector;
pub use options::{AwsOptions, CallLimits};
pub use publish::SnsPublisher;
pub use queue::{SqsQueue, SqsQueues};
