//! EC2's token buckets: per account, Region and action, with the published sizes.
//!
//! Entry point: [`Buckets::take`].

use super::world::command::{Command, Describe};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Size and refill a second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    size: f64,
    refill: f64,
}

const READS: Shape = Shape { size: 100.0, refill: 20.0 };
const UNPAGED_READS: Shape = Shape { size: 50.0, refill: 10.0 };
const WRITES: Shape = Shape { size: 50.0, refill: 5.0 };
const TAGS: Shape = Shape { size: 100.0, refill: 10.0 };
const REFERENCES: Shape = Shape { size: 20.0, refill: 5.0 };
const LOOKUPS: Shape = Shape { size: 2.0, refill: 2.0 };

/// Tokens left, and when that was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets(BTreeMap<(String, String, String), (f64, Timestamp)>);

/// The bucket of a call: reads that neither filter nor page have one of their own.
pub(crate) fn bucket_of(action: &str, command: Option<&Command>) -> String {
    let unpaged = |describe: &Describe| describe.filters.is_empty() && describe.paging.max_results.is_none();
    let apart = match command {
        Some(Command::DescribeSecurityGroups { describe, names: _ } | Command::DescribeNetworkInterfaces(describe)) => {
            unpaged(describe)
        }
        _ => false,
    };
    if apart { format!("{action} unpaged") } else { action.to_owned() }
}

fn shape_of(bucket: &str) -> Shape {
    match bucket {
        "CreateTags" | "DeleteTags" => TAGS,
        "DescribeSecurityGroupReferences" | "DescribeStaleSecurityGroups" => REFERENCES,
        "LookupEvents" => LOOKUPS,
        name if name.ends_with(" unpaged") => UNPAGED_READS,
        name if super::faults::is_read(name) => READS,
        _ => WRITES,
    }
}

impl Buckets {
    /// Takes a token; false if there is none.
    pub(crate) fn take(&mut self, account: &str, region: &str, bucket: &str, now: Timestamp) -> bool {
        let shape = shape_of(bucket);
        let key = (account.to_owned(), region.to_owned(), bucket.to_owned());
        let (tokens, since) = self.0.entry(key).or_insert((shape.size, now));
        let elapsed = now.duration_since(*since).as_secs_f64().max(0.0);
        *tokens = shape.size.min(*tokens + elapsed * shape.refill);
        *since = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}
