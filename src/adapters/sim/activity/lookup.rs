//! `CloudTrail`'s `LookupEvents`: one attribute, a time range, newest first, pages of at most 50.
//!
//! Entry point: [`lookup`].

use super::{Entry, Journal, parsed, put};
use crate::adapters::sim::world::error::ApiError;
use crate::adapters::sim::world::page::{Pager, Paging};
use crate::adapters::sim::world::state::Place;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

const SOURCE: &str = "ec2.amazonaws.com";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Request {
    lookup_attributes: Vec<Attribute>,
    start_time: Option<Value>,
    end_time: Option<Value>,
    event_category: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Attribute {
    attribute_key: String,
    attribute_value: String,
}

fn refusal(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, 400, message)
}

/// Seconds since the epoch, as JSON 1.1 has times; or RFC 3339.
fn time(value: Option<&Value>) -> Result<Option<Timestamp>, ApiError> {
    let bad = || refusal("InvalidTimeRangeException", "The time is not valid.");
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| bad()),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite()).ok_or_else(bad)?;
            let span = jiff::SignedDuration::try_from_secs_f64(seconds).map_err(|_| bad())?;
            Timestamp::from_duration(span).map(Some).map_err(|_| bad())
        }
    }
}

/// Answers one request; its body is the JSON that the client sent.
pub(crate) fn lookup(journal: &Journal, place: &Place, now: Timestamp, body: &[u8]) -> Result<Value, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let request: Request =
        serde_json::from_slice(body).map_err(|_| refusal("SerializationException", "The request is not valid JSON."))?;
    let attribute = match request.lookup_attributes.as_slice() {
        [] => None,
        [one] => Some(one),
        _ => return Err(refusal("InvalidLookupAttributesException", "You can specify only one attribute.")),
    };
    if let Some(attribute) = attribute {
        const KEYS: &[&str] =
            &["EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"];
        if !KEYS.contains(&attribute.attribute_key.as_str()) || attribute.attribute_value.is_empty() {
            return Err(refusal("InvalidLookupAttributesException", "The attribute is not valid."));
        }
    }
    let (start, end) = (time(request.start_time.as_ref())?, time(request.end_time.as_ref())?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(refusal("InvalidTimeRangeException", "The start time must not be after the end time."));
    }
    let category = request.event_category.as_deref();
    if category.is_some_and(|category| category != "insight") {
        return Err(refusal("InvalidEventCategoryException", "The event category is not valid."));
    }
    let paging = Paging { max_results: Some(request.max_results.unwrap_or(50)), next_token: request.next_token };
    let scope = format!("lookup {place:?} {:?} {start:?} {end:?}", attribute.map(|a| (&a.attribute_key, &a.attribute_value)));
    let pager = Pager::new(&paging, &(1..=50), &scope).map_err(|error| match error.code.as_str() {
        "InvalidMaxResults" => refusal("InvalidMaxResultsException", "The value must be from 1 to 50."),
        _ => refusal("InvalidNextTokenException", "The token is not valid."),
    })?;
    let wanted = |entry: &&Entry| {
        start.is_none_or(|start| entry.time >= start)
            && end.is_none_or(|end| entry.time <= end)
            && category.is_none()
            && attribute.is_none_or(|attribute| has(entry, attribute))
    };
    let rows = journal.visible(place.account.as_str(), place.region.as_str(), now).filter(wanted);
    let (page, token) = pager.cut(rows, |entry| format!("{:020}", u64::MAX - entry.seq));
    let events: Vec<Value> = page.into_iter().map(row).collect();
    Ok(match token {
        Some(token) => json!({"Events": events, "NextToken": token}),
        None => json!({"Events": events}),
    })
}

fn has(entry: &Entry, attribute: &Attribute) -> bool {
    let value = attribute.attribute_value.as_str();
    match attribute.attribute_key.as_str() {
        "EventId" => entry.event_id == value,
        "EventName" => entry.event_name == value,
        "EventSource" => value == SOURCE,
        "ReadOnly" => value == "false",
        "Username" => entry.username.as_deref() == Some(value),
        "ResourceType" => entry.resources.iter().any(|(kind, _)| *kind == value),
        "ResourceName" => entry.resources.iter().any(|(_, name)| name == value),
        _ => entry.access_key.as_deref() == Some(value),
    }
}

fn row(entry: &Entry) -> Value {
    let resources: Vec<Value> =
        entry.resources.iter().map(|(kind, name)| json!({"ResourceType": kind, "ResourceName": name})).collect();
    let record = parsed(&entry.event).get("detail").map(Value::to_string).unwrap_or_default();
    let mut row = json!({
        "EventId": entry.event_id, "EventName": entry.event_name, "ReadOnly": "false",
        "EventTime": entry.time.as_second(), "EventSource": SOURCE, "Resources": resources,
        "CloudTrailEvent": record,
    });
    if let Some(key) = &entry.access_key {
        put(&mut row, "AccessKeyId", json!(key));
    }
    if let Some(name) = &entry.username {
        put(&mut row, "Username", json!(name));
    }
    row
}
