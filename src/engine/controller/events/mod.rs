//! What `CloudTrail` tells, as it comes out of queues: a reason to look at a group at once, and later the answer to who it was.
//!
//! Entry points: [`listen`] (for the leader), [`Hearings`] (how the queues stand), `Pass::with_authors`.
//!
//! Invariant: an event is a hint. What is true of a group is what a pass reads of it; without a single event the sweeps find all of
//! it, later and without a name.
//! Invariant: a message is deleted when the look it asked for is over and what it found is in status. Before that it comes again,
//! also after a crash.
//! Invariant: whatever comes about one group, however much of it, a hint about another is taken at once.

mod attempts;
mod authors;
mod consumer;
mod crowds;
mod follow;
mod hearing;
mod passes;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::core::desired::QueueAddress;

use super::accounts::usable;
use super::context::Context;

pub(super) use attempts::Attempts;
pub(super) use consumer::announce;
pub(super) use crowds::Crowds;
pub(super) use follow::{Followed, Passing};
pub(super) use hearing::{Hearings, standing};
pub(super) use passes::Passes;

/// How often the accounts are looked at for queues.
const LOOK: Duration = Duration::from_secs(5);

/// Takes messages off every queue that an account names. Never ends; for the leader, as two readers would only halve what each sees.
pub(super) async fn listen(context: &Arc<Context>) {
    let mut consumers: BTreeMap<QueueAddress, Consumer> = BTreeMap::new();
    loop {
        let wanted: BTreeSet<QueueAddress> = usable(context).into_iter().flat_map(|account| account.queues).collect();
        consumers.retain(|address, _| wanted.contains(address));
        context.hearings.retain(&wanted);
        for address in wanted {
            consumers
                .entry(address)
                .or_insert_with_key(|address| Consumer(tokio::spawn(consumer::consume(context.clone(), address.clone()))));
        }
        context.parts.clock.sleep(context.parts.timings.scaled(LOOK)).await;
    }
}

/// A queue being read, until it is dropped.
struct Consumer(JoinHandle<()>);

impl Drop for Consumer {
    fn drop(&mut self) {
        self.0.abort();
    }
}
