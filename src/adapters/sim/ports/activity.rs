//! `LookupEvents` through the stand-in's own door.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::{told, unreadable};
use super::lane::Lane;
use crate::adapters::sim::world::error::ApiError;
use crate::ports::cloud::{Activity, CloudError};

const LOOKUP: &str = "LookupEvents";

#[async_trait]
impl Activity for Lane {
    async fn lookup(&self, resource: &str, since: Timestamp, until: Timestamp) -> Result<Vec<String>, CloudError> {
        let body = json!({
            "LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": resource}],
            "StartTime": since.as_second(),
            "EndTime": until.as_second(),
            "MaxResults": 50,
        });
        let credential = format!("{}/20260101/{}/cloudtrail/aws4_request", self.access_key, self.region);
        let request = http::Request::post("/")
            .header("x-amz-target", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents")
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"))
            .body(body.to_string().into())
            .map_err(|error| unreadable(LOOKUP, None, error.to_string()))?;
        let response = self.sim.handle(request);
        let status = response.status().as_u16();
        let answer: Value = serde_json::from_slice(response.body()).map_err(|error| unreadable(LOOKUP, None, error.to_string()))?;
        let word = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if status >= 400 {
            return Err(told(LOOKUP, String::new(), ApiError::new(word("__type"), status, word("message"))));
        }
        let events = answer.get("Events").and_then(Value::as_array).cloned().unwrap_or_default();
        let texts = events.iter().filter_map(|event| event.get("CloudTrailEvent")?.as_str());
        Ok(texts.map(str::to_owned).collect())
    }
}
