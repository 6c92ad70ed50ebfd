//! The EC2 Query protocol: which action a request wants, and how errors are written.
//!
//! Entry point: [`action`], [`super::decode::decode`], [`super::encode::encode`], [`error_document`].

use super::query::Params;
use super::xml::Xml;
use crate::adapters::sim::world::error::{self, ApiError};

/// The namespace of every reply.
pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const VERSION: &str = "2016-11-15";

/// The action of a request, whose version must be one that EC2 has had.
pub(crate) fn action(params: &Params) -> Result<&str, ApiError> {
    let action = params.peek("Action").filter(|action| !action.is_empty());
    let action = action.ok_or_else(|| ApiError::new("MissingAction", 400, "The request is missing an action."))?;
    let version = params.peek("Version").ok_or_else(|| error::missing("Version"))?;
    let dated = version.len() == VERSION.len() && version.split('-').map(str::len).eq([4, 2, 2]);
    if !dated || version > VERSION {
        let message = format!("The requested version ({version}) of service AmazonEC2 does not exist");
        return Err(ApiError::new("NoSuchVersion", 400, message));
    }
    Ok(action)
}

/// EC2 has no such action, or the stand-in does not do it.
pub(crate) fn unknown_action(action: &str) -> ApiError {
    let shown: String = action.chars().take(100).collect();
    ApiError::new("InvalidAction", 400, format!("The action {shown} is not valid for this web service."))
}

/// EC2's own form of an error reply.
pub(crate) fn error_document(error: &ApiError, request_id: &str) -> Vec<u8> {
    Xml::document("Response", "", |xml| {
        xml.node("Errors", |xml| {
            xml.node("Error", |xml| {
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
            });
        });
        xml.text("RequestID", request_id);
    })
}
