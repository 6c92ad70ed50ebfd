//! `sim`: a stand-in for EC2's security groups (with as much of VPC, STS and `CloudTrail` as they need), for tests, demos and
//! other people's CI.
//!
//! Entry point: [`Sim`]. [`Sim::handle`] answers HTTP requests without a socket, [`serve`] answers them on one; both speak
//! the protocols that the AWS SDKs and the AWS CLI speak, so that these work unchanged. [`SimConnector`] calls it as the
//! project's ports instead. Faults, the clock and the record of calls are reached by methods of [`Sim`] and by `/_sim/…` (see
//! [`control`]).
//!
//! Where documents are silent or disagree, it does the following, and says so here: a `DryRun` is answered before anything is
//! looked up; `ModifySecurityGroupRules` clears a description that is left out; a group counts once in either family's quota;
//! a group that refers to itself cannot be deleted ([`Quotas::self_reference_blocks_delete`]); type -1 of ICMP with a code
//! other than -1 is refused; ICMP may have an IPv6 peer; IPv4-mapped IPv6 blocks are refused; filters, page sizes and tokens
//! that are wrong get `InvalidFilter`, `InvalidMaxResults`, `InvalidNextToken` and `InvalidPaginationToken`.
//!
//! Rooms: `world` is the state machine, `wire` the protocols, `activity` the `CloudTrail` events, `pipeline` the way of a call
//! through faults, world and record.
//!
//! Invariant: one state machine, two doors: no rule of EC2's is written twice, and none outside `world`.
//! Invariant: nothing here is shared with the project's own model of security groups: this is a second, independent reading
//! of the same documents. Only `ports` sees both, and translates.
//! Invariant: signatures are not verified and nothing is secret here; it must never be reachable by strangers.

mod activity;
mod buckets;
mod clock;
mod config;
pub mod control;
mod door;
mod faults;
mod handle;
mod identity;
mod log;
mod pipeline;
mod ports;
mod roles;
mod server;
mod sts;
mod wire;
mod world;

pub use activity::Delivery;
pub use config::{Config, DEFAULT_ACCOUNT, DEFAULT_REGION, Quotas, VpcSeed};
pub use door::{Break, Delay, SourceAddress};
pub use faults::{Effect, Fault, Faults, Latency, StaleReads, StopAfter, When};
pub use handle::Sim;
pub use identity::Principal;
pub use log::CallRecord;
pub use ports::{SimConnector, SimQueue};

pub use roles::RoleSeed;
pub use server::serve;
pub use world::error::ApiError;
