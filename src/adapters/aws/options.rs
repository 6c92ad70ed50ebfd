//! How to reach AWS.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;

use super::in_process;
use crate::core::model::AccountId;
use crate::ports::clock::Clock;

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

impl CallLimits {
    /// How often a read is tried.
    pub(super) fn read_retry(self) -> RetryConfig {
        let Self { read_attempts, read_backoff, read_attempt: _, read_total: _, write: _ } = self;
        RetryConfig::standard().with_max_attempts(read_attempts).with_initial_backoff(read_backoff)
    }

    /// How long a read may take.
    pub(super) fn read_timeout(self) -> TimeoutConfig {
        let Self { read_attempts: _, read_backoff: _, read_attempt, read_total, write: _ } = self;
        TimeoutConfig::builder().operation_attempt_timeout(read_attempt).operation_timeout(read_total).build()
    }

    /// How long a read may take that assumes a role on its way: the limit of one attempt is that of assuming it, which then
    /// tells which role it was.
    pub(super) fn assuming_timeout(self) -> TimeoutConfig {
        let Self { read_attempts: _, read_backoff: _, read_attempt: _, read_total, write: _ } = self;
        TimeoutConfig::builder().disable_operation_attempt_timeout().operation_timeout(read_total).build()
    }

    /// How long a write may take. The whole operation has the attempt's limit: looking for credentials counts too, or a write
    /// could begin late.
    pub(super) fn write_timeout(self) -> TimeoutConfig {
        let Self { read_attempts: _, read_backoff: _, read_attempt: _, read_total: _, write } = self;
        TimeoutConfig::builder().operation_attempt_timeout(write).operation_timeout(write).build()
    }
}

/// How to reach AWS. By itself: the usual environment, profiles, web identity, Pod Identity and instance roles, and the
/// usual `AWS_ENDPOINT_URL_EC2` and `AWS_ENDPOINT_URL_STS`.
#[derive(Clone, Debug)]
pub struct AwsOptions {
    pub(super) expected_account: Option<AccountId>,
    pub(super) endpoint: Option<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) session_name: String,
    pub(super) http: Option<SharedHttpClient>,
    pub(super) limits: CallLimits,
    pub(super) clock: Option<Clock>,
}

impl Default for AwsOptions {
    /// Everything as the environment says.
    fn default() -> Self {
        Self {
            expected_account: None,
            endpoint: None,
            credentials: None,
            session_name: "sgwarden".to_owned(),
            http: None,
            limits: CallLimits::default(),
            clock: None,
        }
    }
}

impl AwsOptions {
    /// Refuses credentials of its own that are of any other account. What a role leads into is checked by the route.
    #[must_use]
    pub fn expect_account(mut self, account: Option<AccountId>) -> Self {
        self.expected_account = account;
        self
    }

    /// Sends EC2's and STS's requests to this URL, unless a route has its own.
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

    /// What sessions of assumed roles are called, in place of `sgwarden`. It is what tells our own calls from others' in
    /// `CloudTrail`: 2 to 64 letters, digits and `_=,.@-`.
    #[must_use]
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = name.into();
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

    /// Tells this clock what time EC2 says it is ([`Clock::observe`]).
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }
}
