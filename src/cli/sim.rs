//! `sgwarden sim`: the EC2 stand-in as a server.
//!
//! `Deliverer` sends its events to a queue, `Keeper` keeps its world in a file.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::adapters::sim::{DEFAULT_ACCOUNT, DEFAULT_REGION, Delivery, Sim, VpcSeed, serve};
use crate::ports::queue::Enqueue;

use super::error::CliError;
use super::options::LogArgs;
use super::{shutdown, wiring};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one. There is no access control: keep it on loopback
    #[arg(long, default_value = "127.0.0.1:4510", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// A VPC to be there from the start, by id, or id=IPv6-range; may be given several times
    #[arg(long = "vpc", value_name = "vpc-ID[=IPV6-CIDR]")]
    vpcs: Vec<String>,
    /// A world to start with (YAML or JSON, as /_sim/world shows it)
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Keep the world in this file: read at the start, when it then takes the place of --seed, and written as it changes
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Send an event for every write to this SQS queue, as AWS would; with the usual AWS credentials
    #[arg(long, value_name = "URL")]
    events_queue: Option<String>,
    /// From a call to the delivery of its event, in seconds
    #[arg(long, default_value = "0", value_name = "SECONDS", value_parser = seconds)]
    events_delay: Duration,
    /// Stop the stand-in's clock at this time (RFC 3339); PUT /_sim/clock moves it
    #[arg(long, value_name = "TIME")]
    freeze_clock: Option<Timestamp>,
    #[command(flatten)]
    logs: LogArgs,
}

/// How often events that have arrived are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// The wait after a queue did not take an event.
const RETRY: Duration = Duration::from_secs(1);
/// The most events that wait for a queue.
const MOST_WAITING: usize = 10_000;
/// How long the last events may take at the end.
const LAST: Duration = Duration::from_secs(5);
/// How long after a write the world is in its file.
const KEEP: Duration = Duration::from_secs(1);
/// What control requests changed, which are not counted, is looked for every so many times.
const LOOK_CLOSER: u32 = 10;

pub(super) async fn main(args: Args) -> Result<(), CliError> {
    wiring::start_logs(&args.logs, None)?;
    // Held to the end of the process, also one that is killed, and taken before the file is read.
    let _lock = args.state.as_deref().map(lock).transpose()?;
    let sim = world(&args)?;
    let keeper = args.state.map(|path| Keeper::new(sim.clone(), path)).transpose()?;
    if let Some(time) = args.freeze_clock {
        sim.freeze(time);
    }
    let delay_ms = u64::try_from(args.events_delay.as_millis()).unwrap_or(u64::MAX);
    sim.set_delivery(Delivery { delay_ms, ..Delivery::default() });
    let deliverer = match &args.events_queue {
        Some(url) => Some(Deliverer { sim: sim.clone(), queue: queue(url).await?, waiting: VecDeque::new() }),
        None => None,
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| CliError::new(format!("--listen {} cannot be used", args.listen)).because(error))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let stop = shutdown::on_signal();
    announce(address).map_err(|error| CliError::new("standard output").because(error))?;

    // What is handed over and kept at the end must be all there is, so that ends after the server.
    let done = CancellationToken::new();
    let delivering = deliverer.map(|deliverer| tokio::spawn(deliverer.run(done.clone())));
    let keeping = keeper.map(|keeper| tokio::spawn(keeper.run(done.clone())));
    let served = serve(sim, listener, stop.cancelled_owned()).await;
    done.cancel();
    if let Some(task) = delivering {
        let _ = task.await;
    }
    if let Some(task) = keeping {
        task.await.map_err(|error| CliError::new("--state").because(error))??;
    }
    served.map_err(|error| CliError::new("the server failed").because(error))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The world to serve: the kept one, else the seed's; then the VPCs that it does not have yet.
fn world(args: &Args) -> Result<Sim, CliError> {
    let sim = Sim::default();
    let kept = args.state.as_deref().map(|path| load(&sim, "--state", path)).transpose()?.unwrap_or(false);
    if let Some(seed) = args.seed.as_deref().filter(|_| !kept)
        && !load(&sim, "--seed", seed)?
    {
        return Err(CliError::new(format!("--seed {}: there is no such file", seed.display())));
    }
    let world = sim.dump();
    let vpcs = lists(&world, "places").flat_map(|place| lists(place, "vpcs"));
    let mut known: Vec<&str> = vpcs.filter_map(|vpc| vpc.get("id")?.as_str()).collect();
    for text in &args.vpcs {
        let (id, ipv6) = text.split_once('=').map_or((text.as_str(), None), |(id, ipv6)| (id, Some(ipv6)));
        if known.contains(&id) {
            continue;
        }
        let seed = VpcSeed { ipv6: ipv6.map(str::to_owned), ..VpcSeed::new(id) };
        sim.add_vpc(&seed).map_err(|error| CliError::new(format!("--vpc {text}")).because(error))?;
        known.push(id);
    }
    sim.keep_as_start();
    Ok(sim)
}

/// Keeps another process from the file. What is locked is a file beside it: the file itself is replaced at every save.
fn lock(path: &Path) -> Result<File, CliError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let failed = |error| CliError::new(format!("--state {} cannot be written", path.display())).because(error);
    let file = File::create(PathBuf::from(beside)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CliError::new(format!("--state {}: another stand-in is using it", path.display()))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn lists<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Adds what a file describes. False if there is no such file.
fn load(sim: &Sim, option: &str, path: &Path) -> Result<bool, CliError> {
    let failed = |what: &str| CliError::new(format!("{option} {}{what}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => sim.load(&text).map(|()| true).map_err(|error| {
            // What follows the first line is the place in the file, drawn.
            let line = error.lines().next().unwrap_or_default();
            failed("").because(line.strip_prefix("error: ").unwrap_or(line))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(" cannot be read").because(error)),
    }
}

/// Says what to export, for people and for `eval`.
fn announce(address: SocketAddr) -> std::io::Result<()> {
    let reached = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "not on loopback: whoever reaches this address may do everything here");
    }
    let url = format!("http://{}", SocketAddr::new(reached, address.port()));
    let mut out = std::io::stdout();
    for service in ["EC2", "STS", "CLOUDTRAIL"] {
        writeln!(out, "export AWS_ENDPOINT_URL_{service}={url}")?;
    }
    writeln!(out, "export AWS_ACCESS_KEY_ID=AKIA{DEFAULT_ACCOUNT} AWS_SECRET_ACCESS_KEY=any")?;
    writeln!(out, "export AWS_REGION={DEFAULT_REGION} AWS_DEFAULT_REGION={DEFAULT_REGION}")?;
    out.flush()
}

/// The queue of a URL.
#[cfg(feature = "aws")]
async fn queue(url: &str) -> Result<Arc<dyn Enqueue>, CliError> {
    let opened = crate::adapters::aws::SqsQueue::open(url).await;
    let queue = opened.map_err(|error| CliError::new(format!("--events-queue {url}")).because(error))?;
    Ok(Arc::new(queue))
}

/// There is no AWS in this build.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn queue(url: &str) -> Result<Arc<dyn Enqueue>, CliError> {
    Err(CliError::new(format!("--events-queue {url}: this build has no AWS adapter: build it with feature aws")))
}

/// Sends events to a queue, each at least once while the process lives.
struct Deliverer {
    sim: Sim,
    queue: Arc<dyn Enqueue>,
    waiting: VecDeque<String>,
}

impl Deliverer {
    async fn run(mut self, done: CancellationToken) {
        loop {
            let pause = if self.send().await { LOOK } else { RETRY };
            tokio::select! {
                () = done.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        // There is no later: what is still on its way arrives now.
        self.sim.advance(SignedDuration::from_hours(24 * 365));
        let _ = tokio::time::timeout(LAST, self.send()).await;
        if !self.waiting.is_empty() {
            tracing::warn!(events = self.waiting.len(), "events were not delivered");
        }
    }

    /// Sends what has arrived. False if the queue did not take all of it.
    async fn send(&mut self) -> bool {
        self.waiting.extend(self.sim.take_events().iter().map(Value::to_string));
        let excess = self.waiting.len().saturating_sub(MOST_WAITING);
        if excess > 0 {
            self.waiting.drain(..excess);
            tracing::warn!(events = excess, "the oldest events are let go: the queue takes none");
        }
        for _ in 0..self.waiting.len() {
            let Some(event) = self.waiting.front() else { break };
            let sent = self.queue.send(event).await;
            // Taken out only now: at the end this may be broken off while it sends.
            let event = self.waiting.pop_front();
            if let Err(error) = sent {
                tracing::warn!(%error, "an event was not taken; it is sent again");
                // Last in line, so that one that is never taken does not hold up the others.
                self.waiting.extend(event);
                return false;
            }
        }
        true
    }
}

/// Keeps the world in a file.
struct Keeper {
    sim: Sim,
    path: PathBuf,
    kept: Value,
}

impl Keeper {
    /// Writes the file, so that one that cannot be written is known at once.
    fn new(sim: Sim, path: PathBuf) -> Result<Self, CliError> {
        let mut keeper = Self { sim, path, kept: Value::Null };
        keeper.save()?;
        Ok(keeper)
    }

    async fn run(mut self, done: CancellationToken) -> Result<(), CliError> {
        let (mut writes, mut round) = (self.writes(), 0_u32);
        loop {
            tokio::select! {
                () = done.cancelled() => return self.save(),
                () = tokio::time::sleep(KEEP) => {}
            }
            round = round.wrapping_add(1);
            let now = self.writes();
            if (now != writes || round.is_multiple_of(LOOK_CLOSER))
                && let Err(error) = tokio::task::block_in_place(|| self.save())
            {
                tracing::warn!(%error, "the world is not kept; the next try is at its next change");
            }
            writes = now;
        }
    }

    /// How many calls there were that may have changed the world.
    fn writes(&self) -> u64 {
        let read = |action: &str| ["Describe", "Get", "Lookup", "AssumeRole"].iter().any(|start| action.starts_with(start));
        self.sim.counts().iter().filter(|(action, _)| !read(action)).map(|(_, count)| count).sum()
    }

    fn save(&mut self) -> Result<(), CliError> {
        let world = self.sim.dump();
        if world != self.kept {
            let failed = |error| CliError::new(format!("--state {} cannot be written", self.path.display())).because(error);
            self.sim.save_file(&self.path).map_err(failed)?;
            self.kept = world;
        }
        Ok(())
    }
}
