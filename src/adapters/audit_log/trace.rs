//! Change records in the log, under the target `audit`, which no filter turns off.

use async_trait::async_trait;

use super::line;
use crate::core::audit::AuditRecord;
use crate::ports::sinks::{AuditError, AuditSink};

/// Writes each record to the log. For clusters whose logs are collected this is trail enough; durability is the collector's.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditTrace;

#[async_trait]
impl AuditSink for AuditTrace {
    async fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        let line = line(record, "the log")?;
        tracing::info!(target: "audit", record = %String::from_utf8_lossy(&line), "change record");
        Ok(())
    }
}
