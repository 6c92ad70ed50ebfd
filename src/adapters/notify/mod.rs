//! Messages on their way to Slack, to webhooks and to SNS.
//!
//! Entry points: [`Notify`], the engine's [`Deliver`]; [`Http`], which sends for others too. `http` speaks to servers, `sign` signs.
//!
//! Invariant: one attempt a call, which ends within a limit; the engine decides what comes next.
//! Invariant: no redirect is followed, and no more of an answer is read than a few words of it.
//! Invariant: no secret, and nothing that an unknown server says, is in an error or a log. The URL of a Slack webhook is a secret.

mod http;
mod sign;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue};
use async_trait::async_trait;
use serde_json::Value;

use crate::api::SecretReference;
use crate::core::notice::SnsMessage;
use crate::ports::clock::Clock;
use crate::ports::cloud::Route;
use crate::ports::sinks::{Deliver, DeliverError, Delivery, Publish, Secrets};

use http::Answer;
pub use http::Http;

/// Delivers to every kind of sink.
pub struct Notify {
    secrets: Arc<dyn Secrets>,
    publish: Option<Arc<dyn Publish>>,
    clock: Clock,
    http: Http,
}

impl Notify {
    /// With the secrets of one place; without `publish`, topics of SNS are out of reach.
    pub fn new(secrets: Arc<dyn Secrets>, publish: Option<Arc<dyn Publish>>, clock: Clock) -> Self {
        Self { secrets, publish, clock, http: Http::default() }
    }

    async fn slack(&self, url: &SecretReference, body: &Value) -> Result<(), DeliverError> {
        let secret = self.secrets.read(url).await?;
        let unusable = || DeliverError::Secret {
            why: format!("{}/{} is no URL of an incoming webhook, such as https://hooks.slack.com/services/...", url.name, url.key),
        };
        let target = http::target(secret.reveal()).ok_or_else(unusable)?;
        // Whoever has the URL may post; it does not go over the network in the clear.
        if !target.is_private {
            return Err(unusable());
        }
        let headers = HeaderMap::from_iter([content_type("application/json; charset=utf-8")]);
        let answer = self.http.deliver(target, headers, bytes(body)?, &self.clock).await?;
        if answer.is_success() { Ok(()) } else { Err(slack_refusal(&answer)) }
    }

    async fn webhook(&self, url: &str, hmac: Option<&SecretReference>, id: &str, event: &Value) -> Result<(), DeliverError> {
        let body = bytes(event)?;
        let target = http::target(url)
            .ok_or_else(|| DeliverError::Refused { why: "spec.webhook.url is no address of a server".to_owned() })?;
        let mut headers = HeaderMap::from_iter([content_type("application/cloudevents+json; charset=utf-8")]);
        if let Some(reference) = hmac {
            let key = self.secrets.read(reference).await?;
            let signed = sign::sign(&key, id, self.clock.now().as_second(), &body);
            let signed = signed.map_err(|why| DeliverError::Secret {
                why: format!("{}/{} cannot be used to sign: {why}", reference.name, reference.key),
            })?;
            headers.extend(signed);
        }
        let answer = self.http.deliver(target, headers, body, &self.clock).await?;
        if answer.is_success() { Ok(()) } else { Err(answer.refusal("")) }
    }

    async fn sns(&self, route: &Route, topic: &str, message: &SnsMessage) -> Result<(), DeliverError> {
        let Some(publish) = &self.publish else {
            return Err(DeliverError::Refused { why: "this build has no AWS adapter, and so no way to SNS".to_owned() });
        };
        publish.publish(route, topic, message).await
    }
}

#[async_trait]
impl Deliver for Notify {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliverError> {
        match delivery {
            Delivery::Slack { url, body } => self.slack(url, body).await,
            Delivery::Webhook { url, hmac, id, event } => self.webhook(url, hmac.as_ref(), id, event).await,
            Delivery::Sns { route, topic, message } => self.sns(route, topic, message).await,
        }
    }
}

fn content_type(value: &'static str) -> (::http::HeaderName, HeaderValue) {
    (::http::header::CONTENT_TYPE, HeaderValue::from_static(value))
}

fn bytes(body: &Value) -> Result<Vec<u8>, DeliverError> {
    serde_json::to_vec(body).map_err(|error| DeliverError::Message { why: format!("the message is no JSON: {error}") })
}

/// What Slack says when it refuses, each a word that is worth being told. Anything else it says is not repeated.
const SLACK_WORDS: [&str; 13] = [
    "invalid_payload",
    "no_text",
    "too_many_attachments",
    "user_not_found",
    "channel_not_found",
    "channel_is_archived",
    "action_prohibited",
    "posting_to_general_channel_denied",
    "no_service",
    "no_service_id",
    "no_team",
    "team_disabled",
    "invalid_token",
];

fn slack_refusal(answer: &Answer) -> DeliverError {
    let word = SLACK_WORDS.iter().find(|word| answer.text.trim() == **word);
    answer.refusal(word.copied().unwrap_or_default())
}
