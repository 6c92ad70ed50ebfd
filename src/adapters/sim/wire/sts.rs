//! The STS Query protocol: `GetCallerIdentity` and `AssumeRole`.
//!
//! Entry point: [`decode`], [`encode`], [`error_document`].

use super::query::Params;
use super::xml::Xml;
use crate::adapters::sim::world::error::{self, ApiError};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// What STS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StsCall {
    GetCallerIdentity,
    AssumeRole { role_arn: String, session: String, duration: i64, external_id: Option<String>, source_identity: Option<String> },
}

impl StsCall {
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole { .. } => "AssumeRole",
        }
    }
}

/// What STS answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StsReply {
    Identity {
        arn: String,
        user_id: String,
        account: String,
    },
    Assumed {
        access_key: String,
        secret: String,
        token: String,
        expiration: String,
        role_id: String,
        arn: String,
        source_identity: Option<String>,
    },
}

pub(crate) fn decode(params: &Params) -> Result<StsCall, ApiError> {
    let p = params.root();
    let action = params.peek("Action").unwrap_or_default();
    let call = match action {
        "GetCallerIdentity" => StsCall::GetCallerIdentity,
        "AssumeRole" => {
            p.ignore(&["Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "ProvidedContexts"]);
            let invalid = |message: String| ApiError::new("ValidationError", 400, message);
            let session = p.need("RoleSessionName").map_err(|e| invalid(e.message))?;
            let plain = |c: char| c.is_ascii_alphanumeric() || "_=,.@-".contains(c);
            if !(2..=64).contains(&session.len()) || !session.chars().all(plain) {
                return Err(invalid(format!(
                    "Value '{session}' at 'roleSessionName' failed to satisfy constraint: [\\w+=,.@-]{{2,64}}"
                )));
            }
            let duration = p.int("DurationSeconds").map_err(|e| invalid(e.message))?.unwrap_or(3600);
            if !(900..=43200).contains(&duration) {
                return Err(invalid(format!("Value '{duration}' at 'durationSeconds' must be between 900 and 43200")));
            }
            StsCall::AssumeRole {
                role_arn: p.need("RoleArn").map_err(|e| invalid(e.message))?,
                session,
                duration,
                external_id: p.text("ExternalId"),
                source_identity: p.text("SourceIdentity"),
            }
        }
        "" => return Err(ApiError::new("MissingAction", 400, "The request is missing an action.")),
        other => {
            let shown: String = other.chars().take(100).collect();
            return Err(ApiError::new("InvalidAction", 400, format!("Could not find operation {shown} for version 2011-06-15")));
        }
    };
    params.finish().map_err(|_| error::invalid("The request has a parameter that the action does not take."))?;
    Ok(call)
}

pub(crate) fn encode(call: &StsCall, request_id: &str, reply: &StsReply) -> Vec<u8> {
    let action = call.action();
    Xml::document(&format!("{action}Response"), NAMESPACE, |xml| {
        xml.node(&format!("{action}Result"), |xml| match reply {
            StsReply::Identity { arn, user_id, account } => {
                xml.text("Arn", arn);
                xml.text("UserId", user_id);
                xml.text("Account", account);
            }
            StsReply::Assumed { access_key, secret, token, expiration, role_id, arn, source_identity } => {
                xml.node("AssumedRoleUser", |xml| {
                    xml.text("AssumedRoleId", role_id);
                    xml.text("Arn", arn);
                });
                xml.node("Credentials", |xml| {
                    xml.text("AccessKeyId", access_key);
                    xml.text("SecretAccessKey", secret);
                    xml.text("SessionToken", token);
                    xml.text("Expiration", expiration);
                });
                xml.maybe("SourceIdentity", source_identity.as_ref());
            }
        });
        xml.node("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    })
}

pub(crate) fn error_document(error: &ApiError, request_id: &str) -> Vec<u8> {
    Xml::document("ErrorResponse", NAMESPACE, |xml| {
        xml.node("Error", |xml| {
            xml.text("Type", if error.status < 500 { "Sender" } else { "Receiver" });
            xml.text("Code", &error.code);
            xml.text("Message", &error.message);
        });
        xml.text("RequestId", request_id);
    })
}
