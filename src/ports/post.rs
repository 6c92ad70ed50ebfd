//! One request over HTTP to a server that is neither AWS nor Kubernetes.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

/// Sends requests. One attempt a call, which ends within a limit; redirects are not followed, and no more of an answer is read
/// than its beginning.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends a request whose URI is absolute. Whatever the server says is an answer.
    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, PostError>;
}

/// There was no answer. It says nothing of what was sent, nor where to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct PostError {
    /// Why.
    pub why: String,
}
