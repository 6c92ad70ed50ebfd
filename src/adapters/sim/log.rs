//! What was called: a bounded log and counters, for tests that assert on calls.
//!
//! Entry point: [`CallRecord`], [`CallLog`].

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// One call as it was made and answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

const MAX_PARAMS: usize = 200;

/// The latest calls, and how many there were of each action.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLog {
    /// As text, which is a fraction of the records' own size.
    records: VecDeque<Box<str>>,
    counts: BTreeMap<String, u64>,
    budget: usize,
    held: usize,
}

impl CallLog {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, ..Self::default() }
    }

    pub(crate) fn push(&mut self, mut record: CallRecord) {
        *self.counts.entry(record.action.clone()).or_default() += 1;
        while record.params.len() > MAX_PARAMS {
            record.params.pop_last();
        }
        let Ok(text) = serde_json::to_string(&record) else { return };
        self.held += text.len();
        self.records.push_back(text.into());
        while self.held > self.budget
            && let Some(oldest) = self.records.pop_front()
        {
            self.held -= oldest.len();
        }
    }

    pub(crate) fn records(&self) -> Vec<CallRecord> {
        self.records.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.budget);
    }
}
