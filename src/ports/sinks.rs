//! Where records of what was done go.

use async_trait::async_trait;

use crate::core::audit::ChangeRecord;

/// Keeps change records. A record is durable when the call returns.
#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Appends a record.
    async fn append(&self, record: &ChangeRecord) -> Result<(), AuditError>;
}

/// A record could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit record to {place}")]
pub struct AuditError {
    /// The file or service.
    pub place: String,
    /// Why.
    #[source]
    pub cause: std::io::Error,
}
