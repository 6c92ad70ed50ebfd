//! `CloudTrail`'s `LookupEvents`: who called what, some minutes ago.

use async_trait::async_trait;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use jiff::Timestamp;

use super::error::{Access, refused};
use super::lane::Lane;
use crate::ports::cloud::{Activity, CloudError, ErrorClass};

const LOOKUP: &str = "LookupEvents";
/// Events a page: `CloudTrail`'s most.
const PAGE: i32 = 50;

/// The look-ups of one account and Region.
#[derive(Debug)]
pub(super) struct Lookups {
    pub(super) client: Client,
    pub(super) lane: Lane,
}

#[async_trait]
impl Activity for Lookups {
    async fn lookup(&self, resource: &str, since: Timestamp, until: Timestamp) -> Result<Vec<String>, CloudError> {
        let attribute = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::ResourceName)
            .attribute_value(resource)
            .build()
            .map_err(|error| refused(LOOKUP, ErrorClass::Terminal, format!("the request cannot be built: {error}")))?;
        let request = self.client.lookup_events().lookup_attributes(attribute).max_results(PAGE);
        // One page: it is charged two a second, and what is not among the newest fifty of a group in an hour no one can tell apart.
        let request = request.start_time(DateTime::from_secs(since.as_second())).end_time(DateTime::from_secs(until.as_second()));
        let (answer, _) = self.lane.call(LOOKUP, Access::Read, request.send()).await?;
        Ok(answer.events.unwrap_or_default().into_iter().filter_map(|event| event.cloud_trail_event).collect())
    }
}
