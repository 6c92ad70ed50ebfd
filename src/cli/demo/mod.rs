//! `sgwarden demo`: the real loop on a simulated account, with somebody who does not play by the rules.
//!
//! Everything but AWS is real: manifests in a directory, the reconciler, the plan, the AWS SDK. Only the far end of the SDK's
//! HTTP client is the simulation. `manifests` writes what is declared, `intruder` acts, `narrator` tells.

mod intruder;
mod manifests;
mod narrator;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::adapters::audit_log::AuditFile;
use crate::adapters::aws::{AwsConnector, AwsOptions};
use crate::adapters::directory::{DirectoryObjects, DirectoryOptions, DirectorySecrets};
use crate::adapters::notify::Notify;
use crate::adapters::sim::{Config, Sim, SimQueue, VpcSeed};
use crate::core::desired::QueueAddress;
use crate::core::model::Region;
use crate::engine::controller::{Leadership, OwnAccount, Parts, run};
use crate::engine::leader::Fence;
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{Connect, Route};
use crate::ports::metrics::{Health, Metrics};

use super::error::CliError;
use super::shutdown;
use narrator::Narrator;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to put the manifests, the state and the audit file
    #[arg(long, default_value = "sgwarden-demo", value_name = "DIR")]
    directory: PathBuf,
    /// Go on after the minute, until Ctrl-C: edit the manifests and watch
    #[arg(long)]
    keep: bool,
    /// Divide every wait by this, for tests
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speedup: u32,
}

/// All groups are looked at every second, so that nobody has to wait for the show.
const SWEEP: Duration = Duration::from_secs(1);
/// How long it runs.
const LENGTH: Duration = Duration::from_secs(60);
/// A missing group is believed sooner than against AWS.
const ABSENCE: Duration = Duration::from_secs(4);
/// The simulated account; its Region and VPC stand in the manifests too.
const ACCOUNT_KEY: &str = "AKIA111122223333SGWARDEN";
const INTRUDER_KEY: &str = "AKIA111122223333MALLORY";
const REGION: &str = "eu-west-1";

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let region: Region = REGION.parse().map_err(CliError::from_error)?;
    let folder = manifests::prepare(&args.directory)?;
    let clock = Clock::system();
    let sim = Sim::new(Config { vpcs: vec![VpcSeed::new(manifests::VPC)], ..Config::default() });
    let stop = shutdown::on_signal();
    let narrator = Narrator::new(clock.clone(), args.speedup);
    narrator.open(&args.directory);

    let options = DirectoryOptions {
        manifests: folder.clone(),
        state: args.directory.join("state"),
        interval: SWEEP / args.speedup,
        clock: clock.clone(),
    };
    let files = DirectoryObjects::open(options).map_err(CliError::from_error)?;
    let objects = Arc::new(narrator.listen_to(Arc::new(files)));
    let timings = Timings {
        sweep: SWEEP,
        confirm: SWEEP,
        absence: ABSENCE,
        visibility: ABSENCE,
        settle: Duration::from_secs(1),
        ..Timings::default()
    };
    // The stand-in has one queue, whatever it is called.
    let events = QueueAddress { url: "http://127.0.0.1/events".to_owned(), region: None };
    let parts = Parts {
        objects,
        connect: connector(&sim, ACCOUNT_KEY),
        audit: Arc::new(AuditFile::open(args.directory.join("audit.jsonl")).map_err(CliError::from_error)?),
        deliver: Arc::new(Notify::new(Arc::new(DirectorySecrets::new(Some(args.directory.join("secrets")))), None, clock.clone())),
        clock: clock.clone(),
        timings: timings.divided_by(args.speedup),
        metrics: Metrics::default(),
        health: Health::new(&clock),
        queues: Arc::new(SimQueue::new(sim.clone())),
        cluster: "demo".to_owned(),
        former_clusters: Vec::new(),
        own: OwnAccount { id: None, regions: vec![region.clone()], namespaces: None, queues: vec![events] },
        leadership: Leadership { leases: None, identity: "demo".to_owned(), fence: Fence::always() },
        concurrency: 4,
    };
    let ended = CancellationToken::new();
    let engine = tokio::spawn(run(parts, ended.clone()));
    let intruder = intruder::Intruder {
        ec2: connector(&sim, INTRUDER_KEY).connect(&Route::own(region)).await.map_err(CliError::from_error)?,
        narrator: narrator.clone(),
        manifests: folder,
    };
    let show = async {
        intruder.act(args.speedup).await;
        let rest = (LENGTH / args.speedup).saturating_sub(narrator.elapsed());
        clock.sleep(rest).await;
        if args.keep {
            narrator.say("keep", "the demo goes on until Ctrl-C; the manifests are yours to edit");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = show => {}
        () = stop.cancelled() => {}
    }
    ended.cancel();
    let _ = engine.await;
    let missed = narrator.close(&args.directory);
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn connector(sim: &Sim, key: &str) -> Arc<dyn Connect> {
    let sim = sim.clone();
    let options = AwsOptions::default().credentials(key, "not-checked").in_process(move |request| sim.handle(request));
    Arc::new(AwsConnector::new(options))
}
