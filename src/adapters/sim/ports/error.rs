//! The stand-in's errors in the engine's terms.

use crate::adapters::sim::faults::is_read;
use crate::adapters::sim::world::error::ApiError;
use crate::ports::cloud::{CloudError, ErrorClass};
use std::fmt::Display;

/// A reply that belongs to another call.
pub(super) const OTHER: &str = "it answers another question";

/// An answer that the model has no words for, or that belongs to another call.
pub(super) fn unreadable(operation: &'static str, request_id: impl Into<Option<String>>, what: impl Display) -> CloudError {
    let message = format!("EC2's answer cannot be read: {what}");
    CloudError { request_id: request_id.into(), outcome_unknown: !is_read(operation), ..refused(operation, message) }
}

pub(super) fn refused(operation: &'static str, message: String) -> CloudError {
    CloudError { operation, class: ErrorClass::Terminal, code: None, message, request_id: None, outcome_unknown: false }
}

pub(super) fn told(operation: &'static str, request_id: String, error: ApiError) -> CloudError {
    let class = class(&error);
    let outcome_unknown = class == ErrorClass::Unavailable && !is_read(operation);
    let ApiError { code, message, status: _ } = error;
    CloudError { operation, class, code: Some(code), message, request_id: Some(request_id), outcome_unknown }
}

/// What an error asks for (handbook ec2.md §4): by its code where that is needed, else by its form and status.
fn class(error: &ApiError) -> ErrorClass {
    match error.code.as_str() {
        "RequestLimitExceeded" | "SlowDown" | "TooManyRequestsException" => ErrorClass::Throttled,
        "RetryableError" | "ConcurrentTagAccess" | "RequestTimeout" => ErrorClass::Unavailable,
        // The group is there, but no peering reaches it: waiting does not help.
        "InvalidGroup.NotFound" if error.message.contains("different networks") => ErrorClass::Terminal,
        "InvalidPermission.Duplicate" | "InvalidID" | "InvalidNextToken" | "InvalidPaginationToken" => ErrorClass::Stale,
        "InvalidGroup.Duplicate" => ErrorClass::NameTaken,
        "InvalidGroup.InUse" | "DependencyViolation" => ErrorClass::InUse,
        "UnauthorizedOperation" | "AccessDenied" => ErrorClass::Permission,
        "InvalidPrefixListID.NotFound" | "InvalidVpcID.NotFound" | "FilterLimitExceeded" => ErrorClass::Terminal,
        "AuthFailure" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "RequestExpired" | "OptInRequired" => {
            ErrorClass::Credentials
        }
        code if code.starts_with("ExpiredToken") => ErrorClass::Credentials,
        code if code.starts_with("Throttl") || error.status == 429 => ErrorClass::Throttled,
        _ if error.status >= 500 => ErrorClass::Unavailable,
        code if code.ends_with("LimitExceeded") => ErrorClass::Quota,
        code if code.ends_with(".NotFound") => ErrorClass::Stale,
        _ if error.status == 401 => ErrorClass::Credentials,
        _ if error.status == 403 => ErrorClass::Permission,
        _ => ErrorClass::Terminal,
    }
}
