//! Options that several subcommands share.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::core::desired::QueueAddress;
use crate::core::model::Region;
use crate::engine::controller::OwnAccount;
use crate::ports::clock::Timings;

use super::error::CliError;

/// Where the groups are.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown, reason = "doc comments are what --help prints, without markup")]
pub(super) struct AwsArgs {
    /// AWS Region to serve while there is no AwsAccount; may be given several times. Objects that name none are in the only one
    #[arg(long = "region", env = "AWS_REGION", value_delimiter = ',', value_name = "REGION")]
    regions: Vec<String>,
    /// Touch nothing with credentials of any other AWS account
    #[arg(long, value_name = "12 DIGITS")]
    account_id: Option<String>,
    /// What the sessions of assumed roles are called, by which CloudTrail tells our calls
    #[arg(long, env = "AWS_ROLE_SESSION_NAME", value_name = "NAME")]
    pub(super) role_session_name: Option<String>,
    /// Namespaces that may have groups while there is no AwsAccount; default: all
    #[arg(long, value_delimiter = ',', value_name = "NAMESPACE")]
    default_namespaces: Option<Vec<String>>,
    /// SQS queue that EventBridge sends CloudTrail's events to, while there is no AwsAccount; may be given several times
    #[arg(long = "events-queue", value_delimiter = ',', value_name = "URL")]
    events_queues: Vec<String>,
}

impl AwsArgs {
    /// The account that the credentials of this process are of.
    pub(super) fn own_account(&self) -> Result<OwnAccount, CliError> {
        let parse = |region: &String| region.parse().map_err(|error| CliError::new("--region").because(error));
        let regions: BTreeSet<Region> = self.regions.iter().map(parse).collect::<Result<_, _>>()?;
        let id = self
            .account_id
            .as_ref()
            .map(|id| id.parse())
            .transpose()
            .map_err(|error: crate::core::model::BadId| CliError::new("--account-id").because(error))?;
        // Where the groups are, if that is one Region, so is a queue whose URL does not say.
        let only = regions.first().filter(|_| regions.len() == 1);
        let queue = |url: &String| QueueAddress { url: url.clone(), region: only.cloned() };
        let queues = self.events_queues.iter().map(queue).collect();
        Ok(OwnAccount { id, regions: regions.into_iter().collect(), namespaces: self.default_namespaces.clone(), queues })
    }
}

/// How it runs.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown, reason = "doc comments are what --help prints, without markup")]
pub(super) struct EngineArgs {
    /// Append every change, as intent and outcome, to this file (JSON Lines, synced to disk)
    #[arg(long, value_name = "FILE")]
    pub(super) audit_file: Option<PathBuf>,
    /// Serve /livez, /readyz, /metrics and /log here
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub(super) admin: SocketAddr,
    /// Seconds from one look at all groups of a Region to the next, where its AwsAccount does not say otherwise
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    sweep: u64,
    /// How many objects are worked on at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) concurrency: u16,
    /// Divide every wait by this: for tests against a simulated EC2, never against AWS
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speedup: u32,
    /// Send traces to the collector at this address, by OTLP over HTTP; default: where OTEL_EXPORTER_OTLP_ENDPOINT says, else nowhere
    #[arg(long, value_name = "URL")]
    pub(super) otlp_endpoint: Option<String>,
    #[command(flatten)]
    pub(super) logs: LogArgs,
}

/// What is logged and how.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Log filter, such as info or sgwarden=debug
    #[arg(long, env = "SGWARDEN_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
    /// Log lines for people or for machines
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

impl EngineArgs {
    pub(super) fn timings(&self) -> Timings {
        let sweep = Duration::from_secs(self.sweep);
        let timings = Timings::default().divided_by(self.speedup);
        Timings { reread: sweep, sweep, ..timings }
    }
}

/// A cluster id has to be a tag value that tells clusters apart.
pub(super) fn cluster_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 128 || text.trim() != text || text.chars().any(char::is_control) {
        return Err("it is 1 to 128 characters, without spaces at its ends".to_owned());
    }
    Ok(text.to_owned())
}
