//! Where records of what was done go, and messages to people.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::cloud::Route;
use crate::api::SecretReference;
use crate::core::audit::AuditRecord;
use crate::core::notice::SnsMessage;

/// Keeps change records. A record is durable when the call returns.
#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Appends a record.
    async fn append(&self, record: &AuditRecord) -> Result<(), AuditError>;
}

/// A record could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit record to {place}")]
pub struct AuditError {
    /// The file or service.
    pub place: String,
    /// Why.
    #[source]
    pub cause: std::io::Error,
}

/// One rendered message, and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// To an incoming webhook of Slack.
    Slack {
        /// Where its URL is kept.
        url: SecretReference,
        /// The body.
        body: Value,
    },
    /// To an HTTP endpoint.
    Webhook {
        /// Where to POST to.
        url: String,
        /// Where the key is kept to sign with.
        hmac: Option<SecretReference>,
        /// Equal for every attempt to send the same.
        id: String,
        /// The event.
        event: Value,
    },
    /// To a topic of Amazon SNS.
    Sns {
        /// By whose credentials, and in which Region.
        route: Route,
        /// The topic's ARN.
        topic: String,
        /// What is published.
        message: SnsMessage,
    },
}

/// Delivers messages. The message was taken when the call returns; after an error it may have been all the same: who sends it again
/// sends it at least once.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Delivers a message, in one attempt that ends within a limit.
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliverError>;
}

/// Why a message was not taken. No text here holds a secret, or what an unknown server said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// Nobody answers, or not now.
    #[error("{why}")]
    Unavailable {
        /// What happened.
        why: String,
        /// How long the sink asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The sink takes nothing from us until somebody corrects something.
    #[error("{why}")]
    Refused {
        /// What happened, and what to correct.
        why: String,
    },
    /// The sink does not take this message; others it may.
    #[error("{why}")]
    Message {
        /// What happened.
        why: String,
    },
    /// A secret is not there, or cannot be used.
    #[error("{why}")]
    Secret {
        /// Which, and what is wrong.
        why: String,
    },
}

/// Where secrets are kept: nobody but sgwarden's own namespace, or directory, is asked.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value behind a reference, as it is now: secrets are replaced without notice.
    async fn read(&self, reference: &SecretReference) -> Result<Secret, DeliverError>;
}

/// Something that is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Gives the value out, to whoever sends it where it belongs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Publishes to topics of Amazon SNS.
#[async_trait]
pub trait Publish: Send + Sync {
    /// Publishes a message, which the topic has when the call returns.
    async fn publish(&self, route: &Route, topic: &str, message: &SnsMessage) -> Result<(), DeliverError>;
}
