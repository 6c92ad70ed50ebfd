//! The queue that the stand-in's own events arrive in, for those who are in the same process: at least once, like SQS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::handle::Sim;
use crate::core::desired::QueueAddress;
use crate::ports::cloud::CloudError;
use crate::ports::queue::{Dequeue, Message, Queues};

/// How long a reader waits for the first message.
const WAIT: Duration = Duration::from_secs(20);
/// How often is looked meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// How long what was received is hidden.
const HIDDEN: Duration = Duration::from_mins(1);
/// The most messages of a call.
const MOST: usize = 10;

/// The one queue there is, whatever its address. Clones are one, and outlive those who read it.
#[derive(Clone)]
pub struct SimQueue {
    sim: Sim,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    messages: BTreeMap<u64, Held>,
    most_received: u32,
}

struct Held {
    body: String,
    received: u32,
    hidden: Option<Instant>,
}

impl SimQueue {
    /// Takes the stand-in's events from now on; nobody else may ([`Sim::take_events`]).
    pub fn new(sim: Sim) -> Self {
        Self { sim, inner: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message on it that the stand-in did not send.
    pub fn put(&self, body: &str) {
        self.lock().put(body.to_owned());
    }

    /// How many messages are on it, hidden ones too.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// How often the message was received that was received most often.
    pub fn most_received(&self) -> u32 {
        self.lock().most_received
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&self) -> Vec<Message> {
        let arrived = self.sim.take_events();
        let now = Instant::now();
        let mut inner = self.lock();
        for event in arrived {
            inner.put(event.to_string());
        }
        let Inner { next: _, messages, most_received } = &mut *inner;
        let visible = messages.iter_mut().filter(|(_, held)| held.hidden.is_none_or(|until| until <= now));
        let taken = visible.take(MOST).map(|(number, held)| {
            held.received += 1;
            *most_received = held.received.max(*most_received);
            held.hidden = Some(now + HIDDEN);
            Message { receipt: number.to_string(), body: held.body.clone(), received: held.received }
        });
        taken.collect()
    }
}

impl Inner {
    fn put(&mut self, body: String) {
        self.next += 1;
        self.messages.insert(self.next, Held { body, received: 0, hidden: None });
    }
}

#[async_trait]
impl Dequeue for SimQueue {
    async fn receive(&self) -> Result<Vec<Message>, CloudError> {
        let until = Instant::now() + WAIT;
        loop {
            let taken = self.take();
            if !taken.is_empty() || Instant::now() >= until {
                return Ok(taken);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), CloudError> {
        let mut inner = self.lock();
        for number in receipts.iter().filter_map(|receipt| receipt.parse().ok()) {
            inner.messages.remove(&number);
        }
        Ok(())
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), CloudError> {
        let mut inner = self.lock();
        for number in receipts.iter().filter_map(|receipt| receipt.parse().ok()) {
            if let Some(held) = inner.messages.get_mut(&number) {
                held.hidden = Some(Instant::now() + HIDDEN);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Queues for SimQueue {
    async fn open(&self, _: &QueueAddress) -> Result<Arc<dyn Dequeue>, CloudError> {
        Ok(Arc::new(self.clone()))
    }
}
