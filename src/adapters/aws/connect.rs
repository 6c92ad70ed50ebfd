//! Clients of an account's Regions, and the check whose credentials they run with.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_sdk_ec2::config::retry::RetryPartition;
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use tokio::sync::OnceCell;
use tracing::Instrument;

use super::error::{Access, from_sdk, refused, unreadable};
use super::in_process;
use super::read::Reader;
use super::write::Writer;
use crate::core::model::{AccountId, Region};
use crate::ports::cloud::{CloudError, Connect, Ec2, ErrorClass};

const IDENTITY: &str = "GetCallerIdentity";

/// How long calls may take and how often reads are tried. Tests shrink them.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Attempts of a read, the first included.
    pub read_attempts: u32,
    /// About the wait before the second attempt; doubles from there.
    pub read_backoff: Duration,
    /// One attempt of a read.
    pub read_attempt: Duration,
    /// A read with all its attempts.
    pub read_total: Duration,
    /// A write: one attempt, and never longer than a lost lease is respected (DESIGN §4.5).
    pub write: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            read_attempts: 3,
            read_backoff: Duration::from_secs(1),
            read_attempt: Duration::from_secs(10),
            read_total: Duration::from_mins(1),
            write: Duration::from_secs(8),
        }
    }
}

/// How to reach AWS. By itself: the usual environment, profiles, web identity, Pod Identity and instance roles, and the
/// usual `AWS_ENDPOINT_URL_EC2` and `AWS_ENDPOINT_URL_STS`.
#[derive(Clone, Debug)]
pub struct AwsOptions {
    regions: Vec<Region>,
    expected_account: Option<AccountId>,
    endpoint: Option<String>,
    credentials: Option<Credentials>,
    http: Option<SharedHttpClient>,
    limits: CallLimits,
}

impl AwsOptions {
    /// These Regions, everything else as the environment says.
    pub fn new(regions: Vec<Region>) -> Self {
        Self { regions, expected_account: None, endpoint: None, credentials: None, http: None, limits: CallLimits::default() }
    }

    /// Refuses credentials of any other account.
    #[must_use]
    pub fn expect_account(mut self, account: Option<AccountId>) -> Self {
        self.expected_account = account;
        self
    }

    /// Sends EC2's and STS's requests to this URL.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// These keys. Environment and profiles are then not looked at for anything.
    #[must_use]
    pub fn credentials(mut self, key_id: &str, secret: &str) -> Self {
        self.credentials = Some(Credentials::new(key_id, secret, None, None, "sgwarden"));
        self
    }

    /// Sends requests to a service of this process instead of a socket.
    #[must_use]
    pub fn in_process(mut self, service: impl Fn(http::Request<Bytes>) -> http::Response<Bytes> + Send + Sync + 'static) -> Self {
        self.http = Some(in_process::client(service));
        self
    }

    /// Other limits than the usual.
    #[must_use]
    pub fn limits(mut self, limits: CallLimits) -> Self {
        self.limits = limits;
        self
    }
}

/// Connects to the Regions of one account through the SDK.
pub struct AwsConnector {
    options: AwsOptions,
    /// A cell a Region: one that is out of reach does not hold up the others, and only success is kept.
    lanes: BTreeMap<Region, OnceCell<Ec2>>,
}

impl AwsConnector {
    /// Nothing is sent before the first [`Connect::connect`].
    pub fn new(options: AwsOptions) -> Self {
        let lanes = options.regions.iter().map(|region| (region.clone(), OnceCell::new())).collect();
        Self { options, lanes }
    }

    async fn open(&self, region: &Region) -> Result<Ec2, CloudError> {
        let config = self.config(region).await;
        let account = self.identify(&config, region).await?;
        let lane = Lane { account: Some(account.clone()), region: region.clone() };
        // Of its own, and one for both: the SDK's default partition is the Region's alone, so one account's throttling
        // would use up another's retries.
        let partition = RetryPartition::custom(format!("sgwarden-{account}-{region}")).build();
        let client = |retry, timeout| {
            let config = aws_sdk_ec2::config::Builder::from(&config).retry_config(retry).timeout_config(timeout);
            aws_sdk_ec2::Client::from_conf(config.retry_partition(partition.clone()).build())
        };
        let read = Reader { client: client(self.read_retry(), self.read_timeout()), lane: lane.clone() };
        let write = Writer { client: client(RetryConfig::standard().with_max_attempts(1), self.write_timeout()), lane };
        Ok(Ec2 { account, region: region.clone(), read: Arc::new(read), write: Arc::new(write) })
    }

    /// What all clients of a Region share.
    async fn config(&self, region: &Region) -> SdkConfig {
        let AwsOptions { regions: _, expected_account: _, endpoint, credentials, http, limits: _ } = &self.options;
        let version = BehaviorVersion::v2026_01_12();
        let region = aws_config::Region::new(region.as_str().to_owned());
        let mut config = match credentials {
            Some(keys) => SdkConfig::builder()
                .behavior_version(version)
                .region(region)
                .credentials_provider(SharedCredentialsProvider::new(keys.clone())),
            None => aws_config::defaults(version).region(region).load().await.into_builder(),
        };
        if let Some(http) = http {
            config.set_http_client(Some(http.clone()));
        }
        if let Some(url) = endpoint {
            config.set_endpoint_url(Some(url.clone()));
        }
        config.set_app_name(AppName::new("sgwarden").ok());
        config.build()
    }

    /// Whose credentials they are. Asked at STS's endpoint of the Region.
    async fn identify(&self, config: &SdkConfig, region: &Region) -> Result<AccountId, CloudError> {
        let config = aws_sdk_sts::config::Builder::from(config)
            .retry_config(self.read_retry())
            .timeout_config(self.read_timeout())
            .retry_partition(RetryPartition::custom(format!("sgwarden-sts-{region}")).build());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let lane = Lane { account: None, region: region.clone() };
        let (answer, request_id) = lane.call(IDENTITY, Access::Read, client.get_caller_identity().send()).await?;
        let account: AccountId =
            answer.account().unwrap_or_default().parse().map_err(|error| unreadable(IDENTITY, Access::Read, request_id, &error))?;
        match &self.options.expected_account {
            Some(expected) if *expected != account => {
                let message =
                    format!("the credentials are of account {account}, but --account-id says {expected}; nothing is touched");
                Err(refused(IDENTITY, ErrorClass::Credentials, message))
            }
            Some(_) | None => Ok(account),
        }
    }

    fn read_retry(&self) -> RetryConfig {
        let CallLimits { read_attempts, read_backoff, read_attempt: _, read_total: _, write: _ } = self.options.limits;
        RetryConfig::standard().with_max_attempts(read_attempts).with_initial_backoff(read_backoff)
    }

    fn read_timeout(&self) -> TimeoutConfig {
        let CallLimits { read_attempts: _, read_backoff: _, read_attempt, read_total, write: _ } = self.options.limits;
        TimeoutConfig::builder().operation_attempt_timeout(read_attempt).operation_timeout(read_total).build()
    }

    /// The whole operation has the attempt's limit: looking for credentials counts too, or a write could begin late.
    fn write_timeout(&self) -> TimeoutConfig {
        let CallLimits { read_attempts: _, read_backoff: _, read_attempt: _, read_total: _, write } = self.options.limits;
        TimeoutConfig::builder().operation_attempt_timeout(write).operation_timeout(write).build()
    }
}

impl fmt::Debug for AwsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsConnector").field("options", &self.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl Connect for AwsConnector {
    fn regions(&self) -> Vec<Region> {
        self.options.regions.clone()
    }

    async fn connect(&self, region: &Region) -> Result<Ec2, CloudError> {
        let Some(lane) = self.lanes.get(region) else {
            let served = self.options.regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("Region {region} is not served here; served are: {served}");
            return Err(refused("Connect", ErrorClass::Terminal, message));
        };
        lane.get_or_try_init(|| self.open(region)).await.cloned()
    }
}

/// Whose calls and where to, for the traces.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// Not known before STS has told it.
    account: Option<AccountId>,
    region: Region,
}

impl Lane {
    /// Makes a call and tells of it: the answer with EC2's id of the request.
    pub(super) async fn call<O, E, F>(
        &self,
        operation: &'static str,
        access: Access,
        call: F,
    ) -> Result<(O, Option<String>), CloudError>
    where
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>> + Send,
        O: RequestId,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let account = self.account.as_ref().map(AccountId::as_str);
        let region = self.region.as_str();
        let span = tracing::debug_span!(
            "aws_call",
            operation,
            account,
            region,
            request_id = tracing::field::Empty,
            code = tracing::field::Empty
        );
        let answer = call.instrument(span.clone()).await;
        match answer {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                span.record("request_id", request_id.as_deref());
                Ok((answer, request_id))
            }
            Err(error) => {
                let error = from_sdk(operation, access, &error);
                span.record("request_id", error.request_id.as_deref()).record("code", error.code.as_deref());
                Err(error)
            }
        }
    }
}
