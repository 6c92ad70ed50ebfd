//! What was called: a bounded log and counters, for tests that assert on calls.
//!
//! Entry point: [`CallRecord`], [`CallLog`].

use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// One call as it was made and answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRecord {
    /// When, in RFC 3339.
    pub time: String,
    /// `ec2`, `sts` or `cloudtrail`.
    pub service: String,
    /// The action.
    pub action: String,
    /// The account it acted in.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The access key that signed it.
    pub access_key: String,
    /// The request id in the reply.
    pub request_id: String,
    /// The parameters as sent, without those of the protocol; at most 200.
    pub params: BTreeMap<String, String>,
    /// The error code, if it failed.
    pub error: Option<String>,
    /// True if the world was asked, whether or not the caller was told.
    pub applied: bool,
}

const MAX_RECORDS: usize = 20_000;
const MAX_PARAMS: usize = 200;

/// The latest calls, and how many there were of each action.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLog {
    records: VecDeque<CallRecord>,
    counts: BTreeMap<String, u64>,
}

impl CallLog {
    pub(crate) fn push(&mut self, mut record: CallRecord) {
        *self.counts.entry(record.action.clone()).or_default() += 1;
        while record.params.len() > MAX_PARAMS {
            record.params.pop_last();
        }
        if self.records.len() >= MAX_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    pub(crate) fn records(&self) -> Vec<CallRecord> {
        self.records.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
