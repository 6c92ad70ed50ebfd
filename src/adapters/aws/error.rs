//! Errors of the SDK in the engine's terms. The one place where AWS's error codes stand.
//!
//! Invariant: [`classify`] has an answer for every code; those it does not know are judged by their form and status.
//! Invariant: a message is stable (no request ids, no encoded blobs) and holds no secret.

use std::error::Error;
use std::io;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::DispatchFailure;

use crate::ports::cloud::{CloudError, ErrorClass};

/// Whether a call changes anything: after a write without an answer nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It only looks.
    Read,
    /// It may have changed something.
    Write,
}

/// What an error code asks for (handbook ec2.md §4, the meanings after AWS's "Error codes for the Amazon EC2 API").
/// The message decides where one code has two meanings, the HTTP status where the code is new.
pub(super) fn classify(code: &str, message: &str, status: u16) -> ErrorClass {
    match code {
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "ThrottledException" | "RequestThrottled"
        | "RequestThrottledException" | "TooManyRequestsException" | "EC2ThrottledException" | "SlowDown" => ErrorClass::Throttled,

        "InternalError" | "InternalFailure" | "ServerInternal" | "Unavailable" | "ServiceUnavailable" | "RetryableError"
        | "ConcurrentTagAccess" | "RequestTimeout" | "IDPCommunicationError" => ErrorClass::Unavailable,

        // The same code for a group that is gone and for one that no peering reaches; the second stays wrong.
        "InvalidGroup.NotFound" | "InvalidSecurityGroupID.NotFound" | "InvalidSecurityGroupId.NotFound"
            if message.contains("different networks") =>
        {
            ErrorClass::Terminal
        }
        "InvalidGroup.NotFound"
        | "InvalidSecurityGroupID.NotFound"
        | "InvalidSecurityGroupId.NotFound"
        | "InvalidSecurityGroupRuleId.NotFound"
        | "InvalidPermission.NotFound"
        | "InvalidPermission.Duplicate"
        | "InvalidID"
        // A page token expired: the listing starts again.
        | "InvalidPaginationToken"
        | "InvalidNextToken" => ErrorClass::Stale,

        "InvalidGroup.Duplicate" => ErrorClass::NameTaken,
        "InvalidGroup.InUse" | "DependencyViolation" => ErrorClass::InUse,

        "RulesPerSecurityGroupLimitExceeded"
        | "SecurityGroupLimitExceeded"
        | "SecurityGroupsPerInterfaceLimitExceeded"
        | "TagLimitExceeded" => ErrorClass::Quota,

        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => ErrorClass::Permission,

        // The last five of these are the account's or the Region's state: like refused credentials, they concern every call.
        "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "RequestExpired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidSecurity.RequestHasExpired"
        | "InvalidIdentityToken"
        | "RegionDisabledException"
        | "OptInRequired"
        | "Blocked"
        | "PendingVerification"
        | "AccountDisabled"
        | "InvalidRegion" => ErrorClass::Credentials,

        "InvalidPermission.Malformed"
        | "InvalidParameterValue"
        | "InvalidParameter"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "UnknownParameter"
        | "InvalidGroup.Reserved"
        | "InvalidGroupId.Malformed"
        | "InvalidSecurityGroupId.Malformed"
        | "InvalidSecurityGroupRuleId.Malformed"
        | "InvalidPrefixListId.Malformed"
        | "InvalidPrefixListID.NotFound"
        | "InvalidPrefixListId.NotFound"
        // A VPC does not come back; the spec, or the account's own way there, has to change.
        | "InvalidVpcID.NotFound"
        | "InvalidVpcId.NotFound"
        | "InvalidVpcID.Malformed"
        | "InvalidVpcId.Malformed"
        // STS, about a role: its ARN, or the name of the session.
        | "ValidationError"
        | "CannotDelete"
        | "TagPolicyViolation"
        | "IdempotentParameterMismatch"
        | "InvalidMaxResults"
        | "InvalidFilter"
        | "FilterLimitExceeded"
        | "OperationNotPermitted"
        | "UnsupportedOperation"
        // Never asked for, and nothing was done.
        | "DryRunOperation" => ErrorClass::Terminal,

        unknown => by_form(unknown, status),
    }
}

/// The class of a code that is not in the table.
fn by_form(code: &str, status: u16) -> ErrorClass {
    if status == 429 || code.starts_with("Throttl") {
        ErrorClass::Throttled
    } else if status >= 500 {
        ErrorClass::Unavailable
    } else if code.ends_with("LimitExceeded") {
        ErrorClass::Quota
    } else if code.ends_with(".NotFound") {
        ErrorClass::Stale
    } else if status == 401 {
        ErrorClass::Credentials
    } else if status == 403 {
        ErrorClass::Permission
    } else {
        ErrorClass::Terminal
    }
}

/// Any failure of a call through the SDK.
pub(super) fn from_sdk<E>(operation: &'static str, access: Access, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let write = access == Access::Write;
    let request_id = error.request_id().map(str::to_owned);
    let of = |class, message, outcome_unknown| CloudError {
        operation,
        class,
        code: None,
        message,
        request_id: request_id.clone(),
        outcome_unknown,
    };
    match error {
        SdkError::ServiceError(answer) => {
            let (meta, status) = (answer.err().meta(), answer.raw().status().as_u16());
            let Some(code) = meta.code().filter(|code| !code.is_empty()) else {
                // Not EC2's form: something in between (a proxy, a load balancer) answers in its place.
                let message = format!("the endpoint answers HTTP {status} in a form that is not AWS's");
                let class = if status == 429 { ErrorClass::Throttled } else { ErrorClass::Unavailable };
                return of(class, message, write && class == ErrorClass::Unavailable);
            };
            let message = meta.message().unwrap_or_default();
            let class = classify(code, message, status);
            let message = if message.is_empty() { format!("HTTP {status}, no message") } else { presentable(message) };
            CloudError { code: Some(code.to_owned()), ..of(class, message, write && class == ErrorClass::Unavailable) }
        }
        SdkError::TimeoutError(_) => of(ErrorClass::Unavailable, "no answer in time".into(), write),
        SdkError::DispatchFailure(failure) => {
            let (class, message, sent) = undelivered(failure, &chain(error));
            of(class, message, write && sent)
        }
        SdkError::ResponseError(_) => of(ErrorClass::Unavailable, format!("the answer cannot be read: {}", chain(error)), write),
        SdkError::ConstructionFailure(_) => {
            of(ErrorClass::Terminal, format!("the request cannot be built: {}", chain(error)), false)
        }
        // The SDK reserves itself more kinds. Unknown is unknown.
        _ => of(ErrorClass::Unavailable, chain(error), write),
    }
}

/// Class, words, and whether the request may have arrived, of a request that got no answer.
fn undelivered(failure: &DispatchFailure, chain: &str) -> (ErrorClass, String, bool) {
    let io = failure.as_connector_error().and_then(|error| find::<io::Error>(error)).map(io::Error::kind);
    if io == Some(io::ErrorKind::ConnectionRefused) {
        return (ErrorClass::Unavailable, "connection refused: nothing listens at the endpoint".into(), false);
    }
    if chain.contains("dns error") || chain.contains("failed to lookup address") {
        return (ErrorClass::Unavailable, "the endpoint's name cannot be resolved (DNS)".into(), false);
    }
    if failure.is_timeout() {
        return (ErrorClass::Unavailable, "the endpoint does not answer in time".into(), true);
    }
    if failure.is_other() && chain.contains("credential") {
        // Credentials are looked for before anything is sent.
        return (ErrorClass::Credentials, credentials_in_words(chain), false);
    }
    match io {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            (ErrorClass::Unavailable, "the connection broke before an answer".into(), true)
        }
        Some(_) | None => (ErrorClass::Unavailable, format!("no answer: {chain}"), true),
    }
}

/// Why there are no credentials. The SDK lists each place it looked at and why not, in lines of its own.
fn credentials_in_words(chain: &str) -> String {
    if chain.contains("no credentials found in chain") {
        return "no credentials found: not in the environment, a profile, a web identity token, Pod Identity or the instance"
            .into();
    }
    format!("cannot load credentials: {chain}")
}

/// An answer that this version cannot read. Nothing gets better by trying again: a person must look.
pub(super) fn unreadable(operation: &'static str, access: Access, request_id: Option<String>, what: &impl ToString) -> CloudError {
    let message = format!("EC2's answer cannot be read: {}", what.to_string());
    CloudError { operation, class: ErrorClass::Terminal, code: None, message, request_id, outcome_unknown: access == Access::Write }
}

/// A condition of our own that stops before AWS is asked, or that AWS's answer does not meet.
pub(super) fn refused(operation: &'static str, class: ErrorClass, message: String) -> CloudError {
    CloudError { operation, class, code: None, message, request_id: None, outcome_unknown: false }
}

/// AWS's message for people: without the blob that differs at each call, on one line, and not endless.
fn presentable(message: &str) -> String {
    const LONGEST: usize = 600;
    let stable = message.split("Encoded authorization failure message").next().unwrap_or(message);
    let stable = stable.split_whitespace().collect::<Vec<_>>().join(" ");
    match stable.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", stable.get(..end).unwrap_or(&stable)),
        None => stable,
    }
}

/// An error and its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // "other" is the SDK's name for the kind of an error, not a cause.
        if !text.is_empty() && text != "other" && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    if parts.is_empty() { error.to_string() } else { presentable(&parts.join(": ")) }
}

/// The first cause of a type.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of handbook ec2.md §4, code by code.
    #[test]
    fn every_code_of_the_handbook_has_its_class() {
        use ErrorClass::{Credentials, InUse, NameTaken, Permission, Quota, Stale, Terminal, Throttled, Unavailable};
        let table: &[(ErrorClass, u16, &[&str])] = &[
            (Throttled, 503, &["RequestLimitExceeded"]),
            (Throttled, 400, &["Throttling", "ThrottlingException", "ThrottledException", "ThrottlingSomethingNew"]),
            (Unavailable, 500, &["InternalError", "InternalFailure", "ServerInternal"]),
            (Unavailable, 503, &["Unavailable", "ServiceUnavailable"]),
            (Unavailable, 400, &["RetryableError", "ConcurrentTagAccess"]),
            (Stale, 400, &["InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound", "InvalidSecurityGroupRuleId.NotFound"]),
            (Stale, 400, &["InvalidPermission.NotFound", "InvalidPermission.Duplicate"]),
            (NameTaken, 400, &["InvalidGroup.Duplicate"]),
            (Stale, 400, &["InvalidPaginationToken", "InvalidNextToken"]),
            (
                Terminal,
                400,
                &["InvalidPermission.Malformed", "InvalidParameterValue", "InvalidParameter", "InvalidParameterCombination"],
            ),
            (Terminal, 400, &["MissingParameter", "UnknownParameter", "InvalidGroup.Reserved", "InvalidGroupId.Malformed"]),
            (
                Terminal,
                400,
                &["InvalidSecurityGroupId.Malformed", "InvalidSecurityGroupRuleId.Malformed", "InvalidPrefixListId.Malformed"],
            ),
            (Terminal, 400, &["InvalidPrefixListID.NotFound", "CannotDelete", "TagPolicyViolation", "IdempotentParameterMismatch"]),
            (
                Terminal,
                400,
                &["InvalidMaxResults", "InvalidFilter", "FilterLimitExceeded", "OperationNotPermitted", "UnsupportedOperation"],
            ),
            (Terminal, 400, &["InvalidVpcID.NotFound", "InvalidVpcId.NotFound", "ValidationError"]),
            (Terminal, 412, &["DryRunOperation"]),
            (InUse, 400, &["InvalidGroup.InUse", "DependencyViolation"]),
            (Quota, 400, &["RulesPerSecurityGroupLimitExceeded", "SecurityGroupLimitExceeded"]),
            (Quota, 400, &["SecurityGroupsPerInterfaceLimitExceeded", "TagLimitExceeded"]),
            (Permission, 403, &["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"]),
            (Credentials, 401, &["AuthFailure"]),
            (
                Credentials,
                403,
                &["InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken"],
            ),
            (Credentials, 400, &["RequestExpired", "ExpiredToken", "ExpiredTokenException", "InvalidSecurity.RequestHasExpired"]),
            (Credentials, 400, &["OptInRequired", "Blocked", "PendingVerification", "AccountDisabled", "InvalidRegion"]),
        ];
        for (class, status, codes) in table {
            for code in *codes {
                assert_eq!(classify(code, "", *status), *class, "{code}");
            }
        }
    }

    #[test]
    fn codes_nobody_has_seen_are_judged_by_form_and_status() {
        for (code, status, class) in [
            ("Mystery", 400, ErrorClass::Terminal),
            ("Mystery", 500, ErrorClass::Unavailable),
            ("Mystery", 503, ErrorClass::Unavailable),
            ("Mystery", 429, ErrorClass::Throttled),
            ("InvalidSomethingID.NotFound", 400, ErrorClass::Stale),
            ("VpcPeeringsPerSomethingLimitExceeded", 400, ErrorClass::Quota),
            ("Mystery", 403, ErrorClass::Permission),
            ("", 400, ErrorClass::Terminal),
        ] {
            assert_eq!(classify(code, "", status), class, "{code} {status}");
        }
    }

    #[test]
    fn a_peer_in_another_network_is_no_vanished_group() {
        let message = "You have specified two resources that belong to different networks";
        assert_eq!(classify("InvalidGroup.NotFound", message, 400), ErrorClass::Terminal);
    }

    #[test]
    fn messages_are_stable_and_short() {
        let denied = "You are not authorized to perform this operation. Encoded authorization failure message: aBcD123";
        assert_eq!(presentable(denied), "You are not authorized to perform this operation.");
        assert_eq!(presentable(&"é".repeat(900)).chars().count(), 601);
    }
}
