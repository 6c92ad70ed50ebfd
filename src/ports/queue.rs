//! A queue, as those see it who put messages on it, and as those who take them off.

use async_trait::async_trait;

use super::cloud::CloudError;
use crate::core::desired::QueueAddress;

/// Takes messages.
#[async_trait]
pub trait Enqueue: Send + Sync {
    /// Puts a message on the queue, where it is when the call returns. After an error it may be there all the same: who sends
    /// it again sends it at least once.
    async fn send(&self, body: &str) -> Result<(), CloudError>;
}

/// A message that was received and is to be done with. Until then nobody else sees it, for a minute; then it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which it is named when it is done with.
    pub receipt: String,
    /// What was sent.
    pub body: String,
    /// How often it was received by now, this time included; queues count about.
    pub received: u32,
}

/// Gives messages: each at least once, in any order.
#[async_trait]
pub trait Dequeue: Send + Sync {
    /// Up to ten messages; waits up to 20 s for the first. They are hidden from others for a minute.
    async fn receive(&self) -> Result<Vec<Message>, CloudError>;
    /// These are done with and never come again; at most ten receipts. After an error some may come again.
    async fn delete(&self, receipts: &[String]) -> Result<(), CloudError>;
    /// These take longer: they are hidden for another minute from now; at most ten receipts.
    async fn extend(&self, receipts: &[String]) -> Result<(), CloudError>;
}

/// The way to queues.
#[async_trait]
pub trait Queues: Send + Sync {
    /// A queue by its address; cheap, and nothing is asked before the first message is.
    async fn open(&self, address: &QueueAddress) -> Result<std::sync::Arc<dyn Dequeue>, CloudError>;
}

/// Where there is no way to any queue: in a build without AWS, and in tests of other things.
#[derive(Clone, Copy, Debug)]
pub struct NoQueues;

#[async_trait]
impl Queues for NoQueues {
    async fn open(&self, address: &QueueAddress) -> Result<std::sync::Arc<dyn Dequeue>, CloudError> {
        Err(CloudError {
            operation: "ReceiveMessage",
            class: super::cloud::ErrorClass::Terminal,
            code: None,
            message: format!("there is no way to queue {} in this build", address.url),
            request_id: None,
            outcome_unknown: false,
        })
    }
}
