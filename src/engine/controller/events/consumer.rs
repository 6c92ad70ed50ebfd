//! Reads one queue: every message becomes a task that ends when the look it asked for is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::core::activity::{self, Event, Failure, SetAside, What, Whose};
use crate::core::desired::QueueAddress;
use crate::core::model::SecurityGroupId;
use crate::engine::execute::backoff;
use crate::engine::region::Trail;
use crate::ports::cloud::CloudError;
use crate::ports::metrics::EventMetrics;
use crate::ports::objects::Key;
use crate::ports::queue::{Dequeue, Message};

use super::super::context::Context;
use super::attempts::tell_denied;
use super::follow::follow;

/// The most messages of a queue that are worked on at a time: with more, none is taken until some are done.
const MOST: usize = 1000;
/// What a call to SQS takes.
const BATCH: usize = 10;
/// How often messages being worked on are hidden anew, for a minute each time.
const EXTEND: Duration = Duration::from_secs(20);
/// A message that cannot be read is left on the queue so often, for a dead-letter queue to take it; then it is deleted.
const POISON: u32 = 3;
/// The reason in metrics for an event of an account or Region that nobody here looks after.
const NOT_SERVED: &str = "NotServed";

/// Makes the series of messages that are set aside exist from the start.
pub(in crate::engine::controller) fn announce(metrics: &EventMetrics) {
    metrics.announce(<SetAside as strum::IntoEnumIterator>::iter().map(SetAside::label).chain([NOT_SERVED]));
}

/// Reads a queue for ever, again after a pause where it cannot be read.
pub(super) async fn consume(context: Arc<Context>, address: QueueAddress) {
    let mut failures = 0_u32;
    loop {
        let began = context.parts.clock.instant();
        let error = match context.parts.queues.open(&address).await {
            Ok(queue) => {
                Reader { context: &context, address: &address, queue, at_work: JoinSet::new(), held: BTreeMap::new() }.run().await
            }
            Err(error) => error,
        };
        if context.hearings.failed(&address, &error) {
            tracing::warn!(queue = address.url, operation = error.operation, message = error.message, "the queue cannot be read");
        }
        context.parts.metrics.events.failed();
        // What was read for a while has broken anew.
        let lasted = context.parts.clock.instant().duration_since(began);
        failures = if lasted > context.parts.timings.backoff_limit { 1 } else { failures.saturating_add(1) };
        context.parts.clock.sleep(backoff(&context.parts.timings, failures)).await;
    }
}

/// Whether a message is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is deleted.
    Done,
    /// It comes again.
    Again,
}

struct Reader<'a> {
    context: &'a Arc<Context>,
    address: &'a QueueAddress,
    queue: Arc<dyn Dequeue>,
    at_work: JoinSet<(String, Verdict)>,
    /// Receipts being worked on, and when they were hidden last.
    held: BTreeMap<String, Instant>,
}

impl Reader<'_> {
    /// Ends with the error that ended it. What is at work then comes again.
    async fn run(mut self) -> CloudError {
        let queue = self.queue.clone();
        // Kept over the rounds: a call that is dropped may have taken messages, which nobody would see for a minute.
        let mut receiving = std::pin::pin!(queue.receive());
        let mut ticks = interval(self.context.parts.timings.scaled(EXTEND));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.context.parts.metrics.events.at_work(self.at_work.len());
            tokio::select! {
                received = receiving.as_mut(), if self.at_work.len() < MOST => {
                    match received {
                        Ok(messages) => self.take(messages),
                        Err(error) => return error,
                    }
                    receiving.set(queue.receive());
                }
                Some(ended) = self.at_work.join_next() => {
                    if let Err(error) = self.settle(ended.into_iter().collect()).await {
                        return error;
                    }
                }
                _ = ticks.tick() => {
                    if let Err(error) = self.extend().await {
                        return error;
                    }
                }
            }
        }
    }

    fn take(&mut self, messages: Vec<Message>) {
        if self.context.hearings.answered(self.address, self.context.parts.clock.now()) {
            tracing::info!(queue = self.address.url, "reading events");
        }
        for message in messages {
            self.held.insert(message.receipt.clone(), self.context.parts.clock.instant());
            let context = self.context.clone();
            self.at_work.spawn(async move {
                let verdict = handle(&context, &message).await;
                (message.receipt, verdict)
            });
        }
    }

    /// Deletes what is done, with all that has ended by now.
    async fn settle(&mut self, mut ended: Vec<(String, Verdict)>) -> Result<(), CloudError> {
        while ended.len() < BATCH {
            let Some(more) = self.at_work.try_join_next() else { break };
            ended.extend(more.ok());
        }
        for (receipt, _) in &ended {
            self.held.remove(receipt);
        }
        let done: Vec<String> =
            ended.into_iter().filter(|(_, verdict)| *verdict == Verdict::Done).map(|(receipt, _)| receipt).collect();
        if done.is_empty() { Ok(()) } else { self.queue.delete(&done).await }
    }

    async fn extend(&mut self) -> Result<(), CloudError> {
        let now = self.context.parts.clock.instant();
        let age = self.context.parts.timings.scaled(EXTEND);
        let old: Vec<String> = self
            .held
            .iter()
            .filter(|(_, hidden)| now.duration_since(**hidden) >= age)
            .map(|(receipt, _)| receipt.clone())
            .collect();
        for receipts in old.chunks(BATCH) {
            self.queue.extend(receipts).await?;
            for receipt in receipts {
                self.held.insert(receipt.clone(), now);
            }
        }
        Ok(())
    }
}

/// Does what a message asks for.
async fn handle(context: &Arc<Context>, message: &Message) -> Verdict {
    let metrics = &context.parts.metrics.events;
    let event = match activity::parse(&message.body) {
        Ok(event) => event,
        Err(aside) => {
            metrics.set_aside(aside.label());
            return set_aside(message, aside);
        }
    };
    let Some(trail) = context.regions.trail(&event.account, &event.region) else {
        metrics.set_aside(NOT_SERVED);
        return Verdict::Done;
    };
    let delay = context.parts.clock.now().duration_since(event.time).max(SignedDuration::ZERO);
    metrics.received(Duration::try_from(delay).unwrap_or_default());
    trail.hear(event.clone());
    if trail.whose(&event) == Whose::Ours {
        return Verdict::Done;
    }
    dispatch(context, &trail, event).await
}

fn set_aside(message: &Message, aside: SetAside) -> Verdict {
    // What a rule of EventBridge lets through besides is nobody's mistake.
    if matches!(aside, SetAside::NotEc2 | SetAside::NotSecurityGroups) {
        return Verdict::Done;
    }
    tracing::warn!(reason = aside.label(), received = message.received, "a message of the queue cannot be read: {aside}");
    if message.received >= POISON { Verdict::Done } else { Verdict::Again }
}

/// Looks at what an event is about.
async fn dispatch(context: &Arc<Context>, trail: &Arc<Trail>, event: Event) -> Verdict {
    let workers = context.regions.workers_of(&event.account, &event.region);
    if event.wrote()
        && (!event.lists.is_empty() || event.changes.iter().any(|change| matches!(change.what, What::PrefixListChanged(_))))
    {
        for worker in &workers {
            if let Err(error) = worker.refresh_lists().await {
                tracing::debug!(%error, "the prefix lists could not be read; the sweep does it");
                return Verdict::Again;
            }
        }
    }
    let held = |group: &SecurityGroupId| -> Vec<(Key, SecurityGroupId)> {
        workers.iter().flat_map(|worker| worker.holders(group)).map(|key| (key, group.clone())).collect()
    };
    let subjects: Vec<(Key, SecurityGroupId)> = event.groups.iter().flat_map(held).collect();
    if subjects.is_empty() {
        return Verdict::Done;
    }
    match &event.failure {
        Some(Failure::Denied(_)) => {
            for (key, _) in &subjects {
                tell_denied(context, key, &event).await;
            }
            Verdict::Done
        }
        Some(Failure::DryRun | Failure::Refused(_)) => Verdict::Done,
        None if !event.wrote() => Verdict::Done,
        None => {
            let event = Arc::new(event);
            let followed = subjects.into_iter().map(|(key, group)| follow(context, trail, &workers, &event, key, group));
            let all_seen = futures::future::join_all(followed).await.into_iter().all(|seen| seen);
            if all_seen { Verdict::Done } else { Verdict::Again }
        }
    }
}
