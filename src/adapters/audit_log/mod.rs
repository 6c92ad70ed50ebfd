//! Where change records are kept: a file of JSON Lines, each line on disk before the call returns, and the log.
//!
//! Entry points: [`AuditFile`], [`AuditTrace`], [`Tee`], and [`trail`], which puts them together; [`read`] reads a file back.
//!
//! Invariant: a record that [`AuditFile`] has accepted survives a crash of the process and of the machine. A record is one
//! line; a line that a crash has torn spoils no other.
//! Invariant: the file is only ever appended to. To rotate it, rename it and restart, or copy and truncate.

mod file;
mod read;
mod trace;

pub use file::AuditFile;
pub use read::{ReadError, read};
pub use trace::AuditTrace;

use std::sync::Arc;

use async_trait::async_trait;

use crate::core::audit::AuditRecord;
use crate::ports::sinks::{AuditError, AuditSink};

/// Gives every record to several sinks.
pub struct Tee(Vec<Arc<dyn AuditSink>>);

impl Tee {
    /// Gives to these, in this order.
    pub fn new(sinks: Vec<Arc<dyn AuditSink>>) -> Self {
        Self(sinks)
    }
}

#[async_trait]
impl AuditSink for Tee {
    async fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        let mut first = Ok(());
        for sink in &self.0 {
            // A sink that fails keeps nothing from the others: the more places hold the record the better.
            let result = sink.append(record).await;
            first = first.and(result);
        }
        first
    }
}

/// The usual trail: always the log, and the file where there is one.
pub fn trail(file: Option<AuditFile>) -> Arc<dyn AuditSink> {
    match file {
        // The log comes first: it shows the record even if the disk hangs.
        Some(file) => Arc::new(Tee::new(vec![Arc::new(AuditTrace), Arc::new(file)])),
        None => Arc::new(AuditTrace),
    }
}

/// A record as one line of JSON, without the newline.
fn line(record: &AuditRecord, place: &str) -> Result<Vec<u8>, AuditError> {
    serde_json::to_vec(record).map_err(|cause| AuditError { place: place.to_owned(), cause: cause.into() })
}

#[cfg(test)]
mod tests;
