//! `sgwarden run -f DIR`: the same loop without a cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::directory::{DirectoryObjects, DirectoryOptions, DirectorySecrets};
use crate::adapters::notify::Notify;
use crate::ports::clock::Clock;

use super::controller::{aws, sns_publisher};
use super::error::CliError;
use super::options::{AwsArgs, EngineArgs, cluster_id};
use super::wiring::World;
use super::{shutdown, wiring};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory of the manifests
    #[arg(short = 'f', long = "filename", value_name = "DIR")]
    manifests: PathBuf,
    /// Where to keep what a cluster would hold (status, what was applied); one process at a time
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Where the secrets are that Notifiers name: a file NAME/KEY each
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Marks the groups of these manifests; must never change and be no other cluster's
    #[arg(long, value_name = "ID", value_parser = cluster_id)]
    cluster_id: String,
    #[command(flatten)]
    aws: AwsArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// How often files are looked at: they are local, and people wait for their edits.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn main(args: Args) -> Result<(), CliError> {
    let clock = Clock::system();
    let telemetry = wiring::start_telemetry(&args.engine, &clock)?;
    let own = args.aws.own_account()?;
    let (connect, queues) = aws(&args.aws, &clock)?;
    if !args.manifests.is_dir() {
        return Err(CliError::new(format!("-f {}: there is no such directory", args.manifests.display())));
    }
    let options = DirectoryOptions { manifests: args.manifests, state: args.state, interval: LOOK, clock: clock.clone() };
    let objects = Arc::new(DirectoryObjects::open(options).map_err(CliError::from_error)?);
    // The lock on the state directory keeps a second process away: no lease is needed.
    let deliver =
        Arc::new(Notify::new(Arc::new(DirectorySecrets::new(args.secrets)), sns_publisher(&args.aws, &clock), clock.clone()));
    let cluster = args.cluster_id;
    let world = World { objects, connect, deliver, own, cluster, former_clusters: Vec::new(), leases: None, queues, clock };
    Box::pin(wiring::run_engine(&args.engine, telemetry, world, shutdown::on_signal())).await
}
