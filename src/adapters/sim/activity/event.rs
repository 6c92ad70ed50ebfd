//! The envelope of an event: `CloudTrail`'s record inside `EventBridge`'s.
//!
//! Entry point: [`entry`].

use super::{Entry, dialect, put};
use crate::adapters::sim::identity::Principal;
use crate::adapters::sim::world::command::Command;
use crate::adapters::sim::world::error::ApiError;
use crate::adapters::sim::world::reply::Reply;
use crate::adapters::sim::world::state::{Place, partition};
use crate::adapters::sim::world::{ids, regions};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What an event is made of.
#[derive(Debug)]
pub(crate) struct Facts<'f> {
    pub(crate) place: &'f Place,
    pub(crate) principal: &'f Principal,
    pub(crate) access_key: &'f str,
    pub(crate) source_ip: &'f str,
    pub(crate) user_agent: &'f str,
    pub(crate) action: &'f str,
    pub(crate) request_id: &'f str,
    pub(crate) event_id: String,
    pub(crate) delivery_id: String,
    pub(crate) now: Timestamp,
    /// None if the request could not be read.
    pub(crate) command: Option<&'f Command>,
    pub(crate) result: Result<&'f Reply, &'f ApiError>,
}

/// The event of one write.
pub(crate) fn entry(facts: &Facts<'_>) -> Entry {
    let Facts { place, principal, access_key, action, request_id, event_id, delivery_id, now, command, result, .. } = facts;
    let (account, region) = (place.account.as_str(), place.region.as_str());
    let time = format!("{now:.0}");
    let service = principal.invoked_by();
    let request = command.map_or(Value::Null, dialect::request);
    let identity = principal.identity(access_key, partition(region), *now);
    let mut detail = json!({
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": time,
        "eventSource": "ec2.amazonaws.com",
        "eventName": action,
        "awsRegion": region,
        "sourceIPAddress": service.unwrap_or(facts.source_ip),
        "userAgent": service.unwrap_or(facts.user_agent),
    });
    let response = match result {
        Ok(reply) => dialect::response(action, request_id, reply),
        Err(error) => {
            // Throttling is counted among the client's errors, whatever its status.
            let server = error.status >= 500 && error.code != "RequestLimitExceeded";
            put(&mut detail, "errorCode", json!(format!("{}.{}", if server { "Server" } else { "Client" }, error.code)));
            put(&mut detail, "errorMessage", json!(error.message));
            Value::Null
        }
    };
    put(&mut detail, "requestParameters", request.clone());
    put(&mut detail, "responseElements", response.clone());
    put(&mut detail, "requestID", json!(request_id));
    put(&mut detail, "eventID", json!(event_id));
    put(&mut detail, "readOnly", json!(false));
    put(&mut detail, "eventType", json!("AwsApiCall"));
    put(&mut detail, "managementEvent", json!(true));
    put(&mut detail, "recipientAccountId", json!(account));
    put(&mut detail, "eventCategory", json!("Management"));
    if facts.user_agent.starts_with("Mozilla/") {
        // The console's credentials are told from others by this member, a string.
        put(&mut detail, "sessionCredentialFromConsole", json!("true"));
    }
    if service.is_none() {
        put(
            &mut detail,
            "tlsDetails",
            json!({
                "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": regions::endpoint(region),
            }),
        );
    }
    let event = json!({
        "version": "0", "id": delivery_id, "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2",
        "account": account, "time": time, "region": region, "resources": [], "detail": detail,
    });
    let mut resources = Vec::new();
    named_resources(&request, &mut resources);
    named_resources(&response, &mut resources);
    Entry {
        seq: 0,
        account: account.to_owned(),
        region: region.to_owned(),
        time: *now,
        username: principal.display(),
        resources,
        event_id: event_id.clone(),
        event_name: (*action).to_owned(),
        access_key: identity.get("accessKeyId").and_then(Value::as_str).map(str::to_owned),
        event: event.to_string().into(),
    }
}

const RESOURCE_TYPES: &[(&str, &str)] = &[
    ("sg", "AWS::EC2::SecurityGroup"),
    ("sgr", "AWS::EC2::SecurityGroupRule"),
    ("vpc", "AWS::EC2::VPC"),
    ("subnet", "AWS::EC2::Subnet"),
    ("eni", "AWS::EC2::NetworkInterface"),
    ("pl", "AWS::EC2::PrefixList"),
    ("pcx", "AWS::EC2::VPCPeeringConnection"),
];

fn named_resources(value: &Value, found: &mut Vec<(&'static str, String)>) {
    match value {
        Value::String(text) => {
            let kind = RESOURCE_TYPES.iter().find(|(prefix, _)| ids::well_formed(prefix, text));
            if let Some((_, kind)) = kind.filter(|_| !found.iter().any(|(_, known)| known == text)) {
                found.push((kind, text.clone()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named_resources(item, found)),
        Value::Object(members) => members.values().for_each(|member| named_resources(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
