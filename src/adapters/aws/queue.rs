//! SQS queues: to put messages on, and to take them off.
//!
//! Entry points: [`SqsQueue::open`] (to send), [`SqsQueues`] (to receive).
//!
//! Invariant: what is sent goes where the queue's URL says, whatever endpoint the environment names: a bare `AWS_ENDPOINT_URL`
//! that is meant for a stand-in of EC2 must not swallow messages.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};
use http::Uri;

use super::error::{Access, from_sdk, refused};
use super::options::AwsOptions;
use crate::core::desired::QueueAddress;
use crate::ports::cloud::{CloudError, ErrorClass};
use crate::ports::queue::{Dequeue, Enqueue, Message, Queues};

const OPEN: &str = "GetQueueAttributes";
const SEND: &str = "SendMessage";
const RECEIVE: &str = "ReceiveMessage";
const DELETE: &str = "DeleteMessageBatch";
const EXTEND: &str = "ChangeMessageVisibilityBatch";

/// How long a reader waits for the first message: SQS's longest.
const WAIT: Duration = Duration::from_secs(20);
/// How long what was received is hidden from others.
const HIDDEN: Duration = Duration::from_mins(1);
/// The most messages of a call: SQS's.
const MOST: i32 = 10;

/// One attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// What a call may take on top of that, with all its attempts. Sending twice is no harm: at least once is what is promised.
const MORE_ATTEMPTS: Duration = Duration::from_secs(20);

/// A standard queue. Credentials are the environment's.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// Finds the queue and asks whether it is there. Its Region is the one in an AWS URL, else the environment's or the profile's.
    pub async fn open(url: &str) -> Result<Self, CloudError> {
        let queue = Self { client: client(OPEN, url, None, ATTEMPT, None).await?, url: url.to_owned() };
        match queue.look().await {
            // Who may send need not be allowed to look.
            Ok(()) => Ok(queue),
            Err(error) if error.class == ErrorClass::Permission => Ok(queue),
            Err(error) => Err(error),
        }
    }

    async fn look(&self) -> Result<(), CloudError> {
        let request = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(QueueAttributeName::QueueArn);
        request.send().await.map(|_| ()).map_err(|error| from_sdk(OPEN, Access::Read, &error))
    }
}

#[async_trait]
impl Enqueue for SqsQueue {
    async fn send(&self, body: &str) -> Result<(), CloudError> {
        let request = self.client.send_message().queue_url(&self.url).message_body(body);
        request.send().await.map(|_| ()).map_err(|error| from_sdk(SEND, Access::Write, &error))
    }
}

/// Queues to take messages off, with our own credentials: those of the environment, unless the options have others.
#[derive(Clone, Debug)]
pub struct SqsQueues {
    credentials: Option<Credentials>,
}

impl SqsQueues {
    /// With the credentials of these options.
    pub fn new(options: &AwsOptions) -> Self {
        Self { credentials: options.credentials.clone() }
    }
}

#[async_trait]
impl Queues for SqsQueues {
    async fn open(&self, address: &QueueAddress) -> Result<Arc<dyn Dequeue>, CloudError> {
        let region = address.region.as_ref().map(ToString::to_string);
        let client = client(RECEIVE, &address.url, region, WAIT + ATTEMPT, self.credentials.as_ref()).await?;
        Ok(Arc::new(SqsReader { client, url: address.url.clone() }))
    }
}

struct SqsReader {
    client: Client,
    url: String,
}

#[async_trait]
impl Dequeue for SqsReader {
    async fn receive(&self) -> Result<Vec<Message>, CloudError> {
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(MOST);
        let request = request.wait_time_seconds(seconds(WAIT)).visibility_timeout(seconds(HIDDEN));
        let request = request.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = request.send().await.map_err(|error| from_sdk(RECEIVE, Access::Read, &error))?;
        let messages = answer.messages.unwrap_or_default().into_iter().filter_map(|message| {
            let count = message.attributes.unwrap_or_default().remove(&MessageSystemAttributeName::ApproximateReceiveCount);
            let received = count.and_then(|count| count.parse().ok()).unwrap_or(1);
            Some(Message { receipt: message.receipt_handle?, body: message.body.unwrap_or_default(), received })
        });
        Ok(messages.collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), CloudError> {
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (number, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(receipt).build();
            request = request.entries(entry.map_err(|error| unbuilt(DELETE, &error))?);
        }
        // What is not deleted comes again.
        request.send().await.map(drop).map_err(|error| from_sdk(DELETE, Access::Write, &error))
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), CloudError> {
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (number, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string()).receipt_handle(receipt);
            let entry = entry.visibility_timeout(seconds(HIDDEN)).build();
            request = request.entries(entry.map_err(|error| unbuilt(EXTEND, &error))?);
        }
        request.send().await.map(drop).map_err(|error| from_sdk(EXTEND, Access::Write, &error))
    }
}

fn unbuilt(operation: &'static str, error: &BuildError) -> CloudError {
    refused(operation, ErrorClass::Terminal, format!("the request cannot be built: {error}"))
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// A client for one queue. Its Region is the one in an AWS URL, else the one given, else the environment's or the profile's.
async fn client(
    operation: &'static str,
    url: &str,
    region: Option<String>,
    attempt: Duration,
    credentials: Option<&Credentials>,
) -> Result<Client, CloudError> {
    let place = Place::read(url).map_err(|problem| refused(operation, ErrorClass::Terminal, problem.to_owned()))?;
    // Not the instance's: it would be asked over the network, and a queue elsewhere is more likely meant then.
    let region = RegionProviderChain::first_try(place.region.or(region).map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(attempt + MORE_ATTEMPTS);
    let mut config = aws_config::defaults(BehaviorVersion::v2026_01_12()).region(region).timeout_config(timeouts.build());
    if let Ok(name) = AppName::new("sgwarden") {
        config = config.app_name(name);
    }
    if let Some(credentials) = credentials {
        config = config.credentials_provider(credentials.clone());
    }
    let config = config.load().await;
    if config.region().is_none() {
        let message = "the queue's URL names no Region: say it as region beside the URL, or with --region".to_owned();
        return Err(refused(operation, ErrorClass::Terminal, message));
    }
    Ok(Client::from_conf(aws_sdk_sqs::config::Builder::from(&config).endpoint_url(place.endpoint).build()))
}

/// What a queue's URL says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    endpoint: String,
    /// Of AWS's own host names only.
    region: Option<String>,
}

impl Place {
    fn read(url: &str) -> Result<Self, &'static str> {
        const FORM: &str = "a queue's URL looks like https://sqs.<region>.amazonaws.com/<account>/<name>";
        let uri: Uri = url.parse().map_err(|_| FORM)?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(FORM) };
        if uri.path().trim_matches('/').is_empty() {
            return Err(FORM);
        }
        if uri.path().rsplit_once('.').is_some_and(|(_, end)| end == "fifo") {
            return Err("it is a FIFO queue; events have no order and go to standard queues");
        }
        let host = uri.host().unwrap_or_default();
        let aws = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
        let region = aws.and_then(|name| {
            let labels: Vec<&str> = name.split('.').collect();
            let at = |wanted: &str| labels.iter().position(|label| *label == wanted);
            // The usual form (behind an endpoint of a VPC too), and the old one.
            let usual = at("sqs").or_else(|| at("sqs-fips")).and_then(|at| labels.get(at + 1));
            let old = || at("queue").and_then(|at| labels.get(at.checked_sub(1)?));
            usual.or_else(old).map(|region| (*region).to_owned())
        });
        Ok(Self { endpoint: format!("{scheme}://{authority}"), region })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_endpoint_and_region() {
        for (url, endpoint, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/111122223333/q", "https://sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "https://sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("https://us-east-2.queue.amazonaws.com/1/q", "https://us-east-2.queue.amazonaws.com", Some("us-east-2")),
            (
                "https://vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com/1/q",
                "https://vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com",
                Some("us-east-1"),
            ),
            ("http://127.0.0.1:9324/111122223333/q", "http://127.0.0.1:9324", None),
        ] {
            assert_eq!(Place::read(url), Ok(Place { endpoint: endpoint.into(), region: region.map(str::to_owned) }));
        }
    }

    #[test]
    fn what_is_no_queue_to_send_to_is_refused_in_words() {
        for url in ["", "q", "sqs.eu-west-1.amazonaws.com/1/q", "https://sqs.eu-west-1.amazonaws.com", "ftp://host/1/q"] {
            assert!(Place::read(url).unwrap_err().starts_with("a queue's URL looks like"), "{url}");
        }
        assert!(Place::read("https://sqs.eu-west-1.amazonaws.com/1/q.fifo").unwrap_err().contains("FIFO"));
    }
}
