//! The way in: one message body to one event, or to the reason why there is none (ec2.md §6.1, §6.3, §6.5).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::core::model::{AccountId, Region};

use super::changes::{self, Told};
use super::event::{Event, EventName, Failure};
use super::identity;
use super::json::{at, cut, id, member, parsed, scalar, shown, truth, word};

/// The most bytes of a message: what SQS takes. `EventBridge` sends no event of more than a quarter of it.
pub const MAX_BODY: usize = 1024 * 1024;
/// The most objects and lists inside one another; events have about a dozen.
pub const MAX_DEPTH: usize = 64;

/// Why a message is no event. The words of [`SetAside::label`] are for metrics, those of `Display` for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumIter, thiserror::Error)]
pub enum SetAside {
    /// Over [`MAX_BODY`].
    #[error("the message is larger than 1 MiB")]
    TooLarge,
    /// Over [`MAX_DEPTH`].
    #[error("the message is nested deeper than 64 levels")]
    TooDeep,
    /// Not JSON at all.
    #[error("the message is not JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("the message is not a JSON object")]
    NotAnObject,
    /// Neither an event of `EventBridge` with one of `CloudTrail` in it, nor one of `CloudTrail`.
    #[error("the message is no CloudTrail event: neither eventName nor detail.eventName is there")]
    NotCloudTrail,
    /// An event of another service.
    #[error("the event is not of EC2")]
    NotEc2,
    /// A call that touches no security group, or only tags of other things.
    #[error("the event is not about security groups")]
    NotSecurityGroups,
    /// Without an id nobody can tell a duplicate.
    #[error("the event has no eventID")]
    NoEventId,
    /// Without a time it cannot be joined with anything.
    #[error("the event has no eventTime")]
    NoTime,
    /// Neither account nor Region can be told, or one of them.
    #[error("the event does not say its account and Region")]
    NoPlace,
}

impl SetAside {
    /// Its name, for metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// Whether somebody may have changed a group and this is all that is heard of it: a reason to look at all of them.
    pub fn may_hide_a_change(self) -> bool {
        match self {
            Self::TooLarge | Self::TooDeep | Self::NotJson | Self::NoEventId | Self::NoTime | Self::NoPlace => true,
            Self::NotAnObject | Self::NotCloudTrail | Self::NotEc2 | Self::NotSecurityGroups => false,
        }
    }
}

/// Reads one message: an event as `EventBridge` delivers it, with `CloudTrail`'s record in `detail`, or that record alone, as
/// `LookupEvents` returns it in `CloudTrailEvent`.
///
/// Unknown members are ignored, and so are known ones of a wrong type; what is missing then shows as
/// [`Event::incomplete`] or [`Event::account_wide`].
pub fn parse(body: &str) -> Result<Event, SetAside> {
    if body.len() > MAX_BODY {
        return Err(SetAside::TooLarge);
    }
    if depth(body) > MAX_DEPTH {
        return Err(SetAside::TooDeep);
    }
    let message: Value = serde_json::from_str(body).map_err(|_| SetAside::NotJson)?;
    if !message.is_object() {
        return Err(SetAside::NotAnObject);
    }
    let detail = detail(&message);
    let called = word(detail, "eventName").ok_or(SetAside::NotCloudTrail)?;
    // In China the source has another ending. An event without one is told by the call's name.
    if word(detail, "eventSource").is_some_and(|source| source.trim_end_matches(".cn") != "ec2.amazonaws.com") {
        return Err(SetAside::NotEc2);
    }
    let name: EventName = called.parse().map_err(|_| SetAside::NotSecurityGroups)?;
    let (account, region) = (account(&message, detail), region(&message, detail));
    let failure = failure(detail);

    // Before anything is asked of the rest: tags of other things are most of what a busy account has.
    let told = match &account {
        Some(account) => changes::read(name, detail, account, failure.is_none()),
        None => return Err(SetAside::NoPlace),
    };
    let Told { groups, rules, lists, account_wide, changes, incomplete, relevant } = told;
    if !relevant {
        return Err(SetAside::NotSecurityGroups);
    }
    let (account, region) = account.zip(region).ok_or(SetAside::NoPlace)?;
    let time = member(detail, "eventTime").and_then(moment).or_else(|| member(&message, "time").and_then(moment));
    Ok(Event {
        time: time.ok_or(SetAside::NoTime)?,
        id: id(detail, "eventID").ok_or(SetAside::NoEventId)?,
        shared_id: id(detail, "sharedEventID"),
        name,
        account,
        region,
        request_id: id(detail, "requestID").or_else(|| response_id(name, detail)),
        failure,
        actor: identity::read(detail),
        groups,
        rules,
        lists,
        group_name: changes::request(name, detail).and_then(|request| shown(request, "groupName")),
        account_wide,
        changes,
        incomplete,
    })
}

/// Where a message that is set aside is from, as far as it says.
pub fn place(body: &str) -> Option<(AccountId, Region)> {
    if body.len() > MAX_BODY || depth(body) > MAX_DEPTH {
        return None;
    }
    let message: Value = serde_json::from_str(body).ok()?;
    let detail = detail(&message);
    account(&message, detail).zip(region(&message, detail))
}

/// The record of `CloudTrail` in a message.
fn detail(message: &Value) -> &Value {
    member(message, "detail").filter(|detail| detail.is_object()).unwrap_or(message)
}

fn account(message: &Value, detail: &Value) -> Option<AccountId> {
    let account = ["recipientAccountId", "account"].iter().find_map(|name| parsed(detail, name));
    let account = account.or_else(|| parsed(message, "account"));
    account.or_else(|| at(detail, &["userIdentity"]).and_then(|who| parsed(who, "accountId")))
}

fn region(message: &Value, detail: &Value) -> Option<Region> {
    parsed(detail, "awsRegion").or_else(|| parsed(message, "region"))
}

/// How deep a text of JSON is nested, counted before it is built up.
fn depth(body: &str) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in body.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A time as text, or in seconds since 1970.
fn moment(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => Timestamp::from_second(number.as_i64()?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether the call failed, and why. In doubt it did: nobody is to be named for what did not happen.
fn failure(detail: &Value) -> Option<Failure> {
    let empty = |value: &&Value| value.as_str().is_some_and(str::is_empty);
    let member = |name: &str| member(detail, name).filter(|value| !empty(value));
    if let Some(code) = member("errorCode") {
        return Some(scalar(code).map_or_else(|| Failure::Refused("Unreadable".to_owned()), |code| Failure::of_code(&cut(&code))));
    }
    if member("errorMessage").is_some() {
        return Some(Failure::Refused("NoCode".to_owned()));
    }
    let response = member("responseElements")?;
    let inner = response.as_object().filter(|members| members.len() == 1).and_then(|members| members.values().next());
    let said = |value: &Value| truth(value, "_return").or_else(|| truth(value, "return"));
    let done = said(response).or_else(|| inner.and_then(said)).unwrap_or(true);
    (!done).then(|| Failure::Refused("ReturnedFalse".to_owned()))
}

fn response_id(name: EventName, detail: &Value) -> Option<String> {
    id(changes::response(name, detail)?, "requestId")
}

/// A sorted list without doubles, of a bounded length.
pub(super) fn distinct<T: Ord>(all: BTreeSet<T>, most: usize) -> Vec<T> {
    all.into_iter().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        for (text, expected) in
            [("{}", 1), (r#"{"a":[{"b":1}]}"#, 3), (r#""{[{["#, 0), (r#"{"\"[[": "\\"}"#, 1), ("]]]{{", 2), ("", 0)]
        {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_texts_or_seconds() {
        for text in ["\"2027-01-05T06:07:08Z\"", "\" 2027-01-05T06:07:08Z \"", "1799129228"] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(moment(&value).unwrap().to_string(), "2027-01-05T06:07:08Z", "{text}");
        }
        for text in ["\"yesterday\"", "1e300", "{}", "true", "null"] {
            assert!(moment(&serde_json::from_str(text).unwrap()).is_none(), "{text}");
        }
    }
}
