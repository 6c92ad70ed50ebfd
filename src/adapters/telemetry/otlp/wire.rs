//! The library's requests, sent by the HTTP client that messages to people go by too.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::ports::post::Post;

/// Why there was no answer the last time: the library keeps that to itself. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    fn put(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An [`HttpClient`] over a [`Post`].
pub(super) struct Wire {
    pub(super) post: Arc<dyn Post>,
    /// The library sends from a thread of its own, and the client needs a runtime.
    pub(super) runtime: Handle,
    pub(super) failure: LastFailure,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let post = self.post.clone();
        let answer = self.runtime.spawn(async move { post.post(request).await }).await?;
        self.failure.put(answer.as_ref().err().map(ToString::to_string));
        Ok(answer?)
    }
}
