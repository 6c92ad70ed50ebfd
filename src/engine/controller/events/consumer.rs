//! Reads one queue: every message becomes a task that ends when the look it asked for is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::core::activity::{self, Event, Failure, SetAside, Whose};
use crate::core::desired::QueueAddress;
use crate::engine::execute::backoff;
use crate::engine::region::{Trail, Worker};
use crate::ports::cloud::CloudError;
use crate::ports::metrics::EventMetrics;
use crate::ports::queue::{Dequeue, Message};

use super::super::accounts::usable;
use super::super::context::Context;
use super::attempts::tell_denied;
use super::follow::follow;
use super::subjects::{named_group, of_groups, of_lists};

/// The most messages of a queue that are worked on at a time: with more, none is taken until some are done. More than noisy objects
/// have room for.
const MOST: usize = 4000;
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

/// Reads a queue for ever. What fails is tried again after a pause, while messages that were taken go on being worked on.
pub(super) async fn consume(context: Arc<Context>, address: QueueAddress) {
    let mut failures = 0_u32;
    let queue = loop {
        match context.parts.queues.open(&address).await {
            Ok(queue) => break queue,
            Err(error) => pause(&context, &address, &mut failures, &error).await,
        }
    };
    Reader { context: &context, address: &address, queue, at_work: JoinSet::new(), held: BTreeMap::new(), done: Vec::new() }
        .run()
        .await;
}

/// Tells that the queue cannot be read, and waits, longer each time.
async fn pause(context: &Context, address: &QueueAddress, failures: &mut u32, error: &CloudError) {
    if context.hearings.failed(address, error) {
        tracing::warn!(queue = address.url, operation = error.operation, message = error.message, "the queue cannot be read");
    }
    context.parts.metrics.events.failed();
    *failures = failures.saturating_add(1);
    context.parts.clock.sleep(backoff(&context.parts.timings, *failures)).await;
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
    at_work: JoinSet<Verdict>,
    /// Receipts being worked on, by task, and when they were hidden last.
    held: BTreeMap<Id, (String, Instant)>,
    /// Receipts that are done with and not deleted yet.
    done: Vec<String>,
}

impl Reader<'_> {
    /// Never ends.
    async fn run(mut self) {
        // A task of its own, with room for one answer: a call that is dropped may have taken messages, which nobody would see
        // for a minute.
        let (sender, mut received) = channel(1);
        let receiving = receive(self.context.clone(), self.address.clone(), self.queue.clone(), sender);
        let mut ticks = interval(self.context.parts.timings.scaled(EXTEND));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                self.context.parts.metrics.events.at_work(self.at_work.len());
                tokio::select! {
                    Some(messages) = received.recv(), if self.at_work.len() < MOST => self.take(messages),
                    Some(ended) = self.at_work.join_next_with_id() => {
                        self.settle(ended);
                        self.delete().await;
                    }
                    _ = ticks.tick() => {
                        self.delete().await;
                        self.extend().await;
                    }
                }
            }
        };
        tokio::join!(receiving, work);
    }

    fn take(&mut self, messages: Vec<Message>) {
        for message in messages {
            let (context, queue, receipt) = (self.context.clone(), self.address.clone(), message.receipt.clone());
            let task = self.at_work.spawn(async move { handle(&context, &queue, message).await });
            self.held.insert(task.id(), (receipt, self.context.parts.clock.instant()));
        }
    }

    /// Takes note of what has ended, with all that has by now. What panicked comes again, by itself.
    fn settle(&mut self, first: Result<(Id, Verdict), JoinError>) {
        let mut ended = Some(first);
        while let Some(result) = ended {
            let (id, verdict) = match result {
                Ok((id, verdict)) => (id, verdict),
                Err(error) => {
                    tracing::error!(%error, "a defect of sgwarden: handling an event panicked; it comes again");
                    (error.id(), Verdict::Again)
                }
            };
            if let Some((receipt, _)) = self.held.remove(&id)
                && verdict == Verdict::Done
            {
                self.done.push(receipt);
            }
            ended = self.at_work.try_join_next_with_id();
        }
    }

    /// Deletes what is done with. What cannot be is tried again at the next tick; until then it may come again, which does no harm.
    async fn delete(&mut self) {
        let done = std::mem::take(&mut self.done);
        for receipts in done.chunks(BATCH) {
            if let Err(error) = self.queue.delete(receipts).await {
                tracing::debug!(%error, "messages are not deleted yet");
                self.done.extend_from_slice(receipts);
            }
        }
        self.done.truncate(MOST);
    }

    async fn extend(&mut self) {
        let now = self.context.parts.clock.instant();
        let age = self.context.parts.timings.scaled(EXTEND);
        let old: Vec<(Id, String)> = self
            .held
            .iter()
            .filter(|(_, (_, hidden))| now.duration_since(*hidden) >= age)
            .map(|(id, (receipt, _))| (*id, receipt.clone()))
            .collect();
        for messages in old.chunks(BATCH) {
            let receipts: Vec<String> = messages.iter().map(|(_, receipt)| receipt.clone()).collect();
            if let Err(error) = self.queue.extend(&receipts).await {
                tracing::debug!(%error, "messages are not hidden anew");
                continue;
            }
            for (id, _) in messages {
                if let Some((_, hidden)) = self.held.get_mut(id) {
                    *hidden = now;
                }
            }
        }
    }
}

/// Receives for ever.
async fn receive(context: Arc<Context>, address: QueueAddress, queue: Arc<dyn Dequeue>, messages: Sender<Vec<Message>>) {
    let mut failures = 0;
    loop {
        match queue.receive().await {
            Ok(received) => {
                failures = 0;
                if context.hearings.answered(&address, context.parts.clock.now()) {
                    tracing::info!(queue = address.url, "reading events");
                }
                if !received.is_empty() && messages.send(received).await.is_err() {
                    return;
                }
            }
            Err(error) => pause(&context, &address, &mut failures, &error).await,
        }
    }
}

/// Does what a message asks for.
async fn handle(context: &Arc<Context>, queue: &QueueAddress, message: Message) -> Verdict {
    let metrics = &context.parts.metrics.events;
    let event = match activity::parse(&message.body) {
        Ok(event) => event,
        Err(aside) => {
            metrics.set_aside(aside.label());
            if aside.may_hide_a_change() {
                sweep_soon(context, queue, &message);
            }
            return set_aside(&message, aside);
        }
    };
    // It may be worked on for minutes, beside thousands of others.
    let received = message.received;
    drop(message);
    let Some(trail) = context.regions.trail(&event.account, &event.region) else {
        // Where some account was not reached yet, it may be that one.
        if !context.regions.all_connected() {
            return Verdict::Again;
        }
        metrics.set_aside(NOT_SERVED);
        return Verdict::Done;
    };
    let delay = context.parts.clock.now().duration_since(event.time).max(SignedDuration::ZERO);
    metrics.received(Duration::try_from(delay).unwrap_or_default());
    let workers = context.regions.workers_of(&event.account, &event.region);
    let event = match addressed(context, &workers, event).await {
        Addressed::NotOurs => return Verdict::Done,
        Addressed::Unknown(_) if received < POISON => return Verdict::Again,
        Addressed::Known(event) | Addressed::Unknown(event) => event,
    };
    trail.hear(event.clone());
    if trail.whose(&event) == Whose::Ours {
        return Verdict::Done;
    }
    dispatch(context, &trail, &workers, event).await
}

/// What is known of the group that an event is about.
enum Addressed {
    /// As much as there is to know.
    Known(Event),
    /// It says a name that no group of ours has.
    NotOurs,
    /// It says a name, and EC2 could not be asked whose that is.
    Unknown(Event),
}

async fn addressed(context: &Context, workers: &[Arc<Worker>], event: Event) -> Addressed {
    let Some(name) = event.addressed() else { return Addressed::Known(event) };
    let Some(worker) = workers.first() else { return Addressed::Unknown(event) };
    match named_group(context, worker, &event, name).await {
        Ok(Some(group)) => Addressed::Known(event.in_group(&group)),
        Ok(None) => Addressed::NotOurs,
        Err(error) => {
            tracing::debug!(%error, "whose a group's name is could not be read");
            Addressed::Unknown(event)
        }
    }
}

/// This may be all that is ever heard of a change: all groups it may be about are looked at.
fn sweep_soon(context: &Context, queue: &QueueAddress, message: &Message) {
    // It is as true when the message comes again, and has been seen to by then.
    if message.received > 1 {
        return;
    }
    let workers = if let Some((account, region)) = activity::place(&message.body) {
        context.regions.workers_of(&account, &region)
    } else {
        let fed = usable(context).into_iter().filter(|account| account.queues.contains(queue));
        fed.flat_map(|account| context.regions.workers_of_account(&account.name)).collect()
    };
    for worker in workers {
        worker.sweep_soon();
    }
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
async fn dispatch(context: &Arc<Context>, trail: &Arc<Trail>, workers: &[Arc<Worker>], event: Event) -> Verdict {
    match &event.failure {
        Some(Failure::Denied(_)) => {
            for (key, _) in of_groups(context, workers, &event) {
                if !tell_denied(context, &key, &event).await {
                    return Verdict::Again;
                }
            }
            Verdict::Done
        }
        Some(Failure::DryRun | Failure::Refused(_)) => Verdict::Done,
        None if !event.wrote() => Verdict::Done,
        None if event.account_wide => {
            for worker in workers {
                worker.sweep_soon();
            }
            Verdict::Done
        }
        None => {
            let mut subjects = of_groups(context, workers, &event);
            subjects.extend(of_lists(context, workers, &event));
            let event = Arc::new(event);
            let followed = subjects.into_iter().map(|(key, group)| follow(context, trail, workers, &event, key, group));
            let all_seen = futures::future::join_all(followed).await.into_iter().all(|seen| seen);
            if all_seen { Verdict::Done } else { Verdict::Again }
        }
    }
}
