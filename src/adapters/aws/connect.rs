//! Clients by route, and the check whose credentials they run with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_sdk_ec2::config::SharedCredentialsProvider;
use aws_sdk_ec2::config::retry::RetryPartition;
use tokio::sync::OnceCell;

use super::activity::Lookups;
use super::error::{Access, refused, unreadable};
use super::identity::Renewable;
use super::lane::Lane;
use super::options::AwsOptions;
use super::read::Reader;
use super::server_time::ServerTime;
use super::write::Writer;
use crate::core::model::{AccountId, Region};
use crate::ports::cloud::{CloudError, Connect, Ec2, ErrorClass, IDENTITY, Role, Route};

/// A cell of its own a route: one that is out of reach does not hold up the others, and only success is kept.
type Cells = BTreeMap<Route, Arc<OnceCell<Ec2>>>;

/// Connects to accounts and Regions through the SDK.
pub struct AwsConnector {
    options: AwsOptions,
    cells: Mutex<Cells>,
}

impl AwsConnector {
    /// Nothing is sent before the first [`Connect::connect`].
    pub fn new(options: AwsOptions) -> Self {
        Self { options, cells: Mutex::default() }
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        // Nothing is done under the lock that could leave the map half changed.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, route: &Route) -> Result<Ec2, CloudError> {
        let limits = self.options.limits;
        let identities = [Renewable::new(), Renewable::new()];
        let config = self.config_of(route, &identities).await?;
        let lane = Lane { account: None, region: route.region.clone(), role: route.role.clone(), identities };
        let (account, principal) = self.identify(&config, route, &lane).await?;
        let lane = Lane { account: Some(account.clone()), ..lane };
        // Of its own, and one for both: the SDK's default partition is the Region's alone, so one account's throttling
        // would use up another's retries.
        let partition = RetryPartition::custom(format!("sgwarden-{account}-{}", route.region)).build();
        let client = |retry: RetryConfig, timeout: TimeoutConfig| {
            let mut config = aws_sdk_ec2::config::Builder::from(&config).retry_config(retry).timeout_config(timeout);
            if let Some(clock) = &self.options.clock {
                config = config.interceptor(ServerTime(clock.clone()));
            }
            aws_sdk_ec2::Client::from_conf(config.retry_partition(partition.clone()).build())
        };
        let read = Reader { client: client(limits.read_retry(), limits.read_timeout()), lane: lane.clone() };
        let write = Writer { client: client(RetryConfig::standard().with_max_attempts(1), limits.write_timeout()), lane };
        let activity = Lookups { client: aws_sdk_cloudtrail::Client::new(&config), lane: read.lane.clone() };
        Ok(Ec2 {
            account,
            principal,
            region: route.region.clone(),
            read: Arc::new(read),
            write: Arc::new(write),
            activity: Arc::new(activity),
        })
    }

    /// What all clients of a route share. Of the identities, the first is our own and the second that of the route's role.
    pub(super) async fn config_of(&self, route: &Route, [own, role]: &[Renewable; 2]) -> Result<SdkConfig, CloudError> {
        let endpoint = route.endpoint.as_ref().or(self.options.endpoint.as_ref());
        let config = self.config(&route.region, endpoint.map(|url| usable(url)).transpose()?).await;
        // Of its own, for the clients of the route: the SDK's cache has room for 64 and then lets go of any.
        let config = config.into_builder().identity_cache(own.clone()).build();
        Ok(match &route.role {
            Some(assumed) => self.assumed(&config, assumed, &route.region, role).await,
            None => config,
        })
    }

    /// What all clients of a Region share, with our own credentials.
    async fn config(&self, region: &Region, endpoint: Option<&str>) -> SdkConfig {
        let AwsOptions { expected_account: _, endpoint: _, credentials, session_name: _, http, limits, clock: _ } = &self.options;
        let version = BehaviorVersion::v2026_01_12();
        let region = aws_config::Region::new(region.as_str().to_owned());
        let mut config = if let Some(keys) = credentials {
            let keys = SharedCredentialsProvider::new(keys.clone());
            let mut config = SdkConfig::builder().behavior_version(version).region(region).credentials_provider(keys);
            #[expect(clippy::default_trait_access, reason = "its type is of a crate that is not named here")]
            // Without one the SDK panics when it is to assume a role.
            config.set_time_source(Some(Default::default()));
            config.set_endpoint_url(endpoint.map(str::to_owned));
            config
        } else {
            let mut loader = aws_config::defaults(version).region(region);
            if let Some(url) = endpoint {
                // Said here and not afterwards, or AWS_ENDPOINT_URL_EC2 and _STS would win over it.
                loader = loader.endpoint_url(url);
            }
            loader.load().await.into_builder()
        };
        if let Some(http) = http {
            config.set_http_client(Some(http.clone()));
        }
        config.set_retry_config(Some(limits.read_retry())).set_timeout_config(Some(limits.read_timeout()));
        config.set_app_name(AppName::new("sgwarden").ok());
        config.build()
    }

    /// The same as a role. It is assumed at STS's endpoint of the Region when the first call needs it, and again in time
    /// before its session ends; what fails fails for this route alone.
    async fn assumed(&self, own: &SdkConfig, role: &Role, region: &Region, identity: &Renewable) -> SdkConfig {
        let mut session = AssumeRoleProvider::builder(&role.arn).session_name(&self.options.session_name).configure(own);
        session = session.region(aws_config::Region::new(region.as_str().to_owned()));
        if let Some(external_id) = &role.external_id {
            session = session.external_id(external_id);
        }
        let session = SharedCredentialsProvider::new(session.build().await);
        // One for all clients of the route, so that they share a session.
        own.to_builder().credentials_provider(session).identity_cache(identity.clone()).build()
    }

    /// Whose credentials they are: account and ARN. Asked at STS's endpoint of the Region.
    async fn identify(&self, config: &SdkConfig, route: &Route, lane: &Lane) -> Result<(AccountId, String), CloudError> {
        let whose = route.role.as_ref().map_or("own", |role| role.arn.as_str());
        let partition = RetryPartition::custom(format!("sgwarden-sts-{whose}-{}", route.region)).build();
        let mut config = aws_sdk_sts::config::Builder::from(config).retry_partition(partition);
        if route.role.is_some() {
            config = config.timeout_config(self.options.limits.assuming_timeout());
        }
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let (answer, request_id) = lane.call(IDENTITY, Access::Read, client.get_caller_identity().send()).await?;
        let account: AccountId =
            answer.account().unwrap_or_default().parse().map_err(|error| unreadable(IDENTITY, Access::Read, request_id, &error))?;
        route.check(&account)?;
        match &self.options.expected_account {
            Some(expected) if *expected != account && route.role.is_none() => {
                let message =
                    format!("the credentials are of account {account}, but --account-id says {expected}; nothing is touched");
                Err(refused(IDENTITY, ErrorClass::Credentials, message))
            }
            Some(_) | None => Ok((account, answer.arn().unwrap_or_default().to_owned())),
        }
    }
}

/// A URL that the SDK can use: at others it panics, or fails late and in words of its own. What is between `//` and `@` may
/// be a secret, so it is neither taken nor shown.
fn usable(endpoint: &str) -> Result<&str, CloudError> {
    let url = endpoint.parse::<http::Uri>().ok().filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    let host = url.as_ref().and_then(http::Uri::host).filter(|host| !host.is_empty() && !endpoint.contains('@'));
    host.map(|_| endpoint).ok_or_else(|| {
        let shown = endpoint.rsplit_once('@').map_or(endpoint, |(_, rest)| rest);
        let message = format!("the endpoint '{shown}' is not a URL such as https://ec2.example.com:4510");
        refused("Connect", ErrorClass::Terminal, message)
    })
}

impl fmt::Debug for AwsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsConnector").field("options", &self.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl Connect for AwsConnector {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let cell = Arc::clone(self.cells().entry(route.clone()).or_default());
        cell.get_or_try_init(|| self.open(route)).await.cloned()
    }

    fn forget(&self, route: &Route) {
        self.cells().remove(route);
    }
}
