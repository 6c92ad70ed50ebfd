//! Topics of SNS to publish to.
//!
//! Entry point: [`SnsPublisher`].
//!
//! Invariant: a role is assumed at the endpoints of its account, and messages go to AWS's: an endpoint that is meant for EC2 must
//! not swallow them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_sdk_sns::Client;

use super::connect::AwsConnector;
use super::error::{Access, from_sdk};
use super::identity::Renewable;
use super::options::AwsOptions;
use crate::core::notice::SnsMessage;
use crate::ports::cloud::{CloudError, ErrorClass, Route};
use crate::ports::sinks::{DeliverError, Publish};

const PUBLISH: &str = "Publish";

/// Publishes through the SDK, with a client a route.
#[derive(Debug)]
pub struct SnsPublisher {
    connector: AwsConnector,
    endpoint: Option<String>,
    clients: Mutex<BTreeMap<Route, Client>>,
}

impl SnsPublisher {
    /// With the credentials of `options`, and to its endpoint if it has one.
    pub fn new(options: AwsOptions) -> Self {
        let endpoint = options.endpoint.clone();
        Self { connector: AwsConnector::new(options), endpoint, clients: Mutex::default() }
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<Route, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client(&self, route: &Route) -> Result<Client, CloudError> {
        if let Some(known) = self.clients().get(route).cloned() {
            return Ok(known);
        }
        let config = self.connector.config_of(route, &[Renewable::new(), Renewable::new()]).await?;
        // One attempt: who asked decides about the next.
        let mut config = aws_sdk_sns::config::Builder::from(&config).retry_config(RetryConfig::standard().with_max_attempts(1));
        if route.endpoint.is_some() || self.endpoint.is_some() {
            config.set_endpoint_url(self.endpoint.clone());
        }
        Ok(self.clients().entry(route.clone()).or_insert(Client::from_conf(config.build())).clone())
    }
}

#[async_trait]
impl Publish for SnsPublisher {
    async fn publish(&self, route: &Route, topic: &str, message: &SnsMessage) -> Result<(), DeliverError> {
        let SnsMessage { subject, message } = message;
        let client = self.client(route).await.map_err(|error| refusal(&error, route))?;
        let request = client.publish().topic_arn(topic).subject(subject).message(message);
        request.send().await.map(|_| ()).map_err(|error| refusal(&from_sdk(PUBLISH, Access::Write, &error), route))
    }
}

/// What an error says about the next attempt.
fn refusal(error: &CloudError, route: &Route) -> DeliverError {
    let why = error.explain(&route.region);
    match error.class {
        ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Stale => DeliverError::Unavailable { why, retry_after: None },
        // A parameter that is wrong is one of this message, unless it is the topic.
        ErrorClass::Terminal if error.is("InvalidParameter") && !error.message.contains("TopicArn") => {
            DeliverError::Message { why }
        }
        ErrorClass::Terminal
        | ErrorClass::NameTaken
        | ErrorClass::InUse
        | ErrorClass::Quota
        | ErrorClass::Credentials
        | ErrorClass::Permission => DeliverError::Refused { why },
    }
}
