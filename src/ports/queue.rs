//! A queue, as those see it who put messages on it.

use async_trait::async_trait;

use super::cloud::CloudError;

/// Takes messages.
#[async_trait]
pub trait Enqueue: Send + Sync {
    /// Puts a message on the queue, where it is when the call returns. After an error it may be there all the same: who sends
    /// it again sends it at least once.
    async fn send(&self, body: &str) -> Result<(), CloudError>;
}
