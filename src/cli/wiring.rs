//! Puts the parts of a running controller together.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::adapters::audit_log::{AuditFile, trail};
use crate::adapters::notify::Http;
use crate::adapters::telemetry::level::Level;
use crate::adapters::telemetry::otlp::{Otlp, Settings, SpanLayer};
use crate::adapters::telemetry::{admin, logs};
use crate::engine::controller::{Leadership, OwnAccount, Parts, run};
use crate::engine::leader::{Fence, FencedConnect};
use crate::ports::clock::Clock;
use crate::ports::cloud::{CloudError, Connect, Ec2, Route};
use crate::ports::lease::Leases;
use crate::ports::metrics::metered::meter;
use crate::ports::metrics::{Health, Metrics};
use crate::ports::objects::Objects;
use crate::ports::queue::Queues;
use crate::ports::sinks::Deliver;

use super::error::CliError;
use super::options::{EngineArgs, LogArgs, LogFormat};

/// How long the loop may be silent before `/livez` says that it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the last spans may take to be sent.
const FLUSH: Duration = Duration::from_secs(5);

/// Starts logging, and making `spans`, if they are sent. What it returns changes the filter later.
pub(super) fn start_logs(args: &LogArgs, spans: Option<SpanLayer>) -> Result<Level, CliError> {
    let format = match args.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    logs::init(format, &args.log, spans).map(|control| Level::new(control, &args.log)).map_err(CliError::from_error)
}

/// How the process is seen from outside, apart from its metrics.
pub(super) struct Telemetry {
    level: Level,
    /// `None`: nobody asked for traces.
    traces: Option<Otlp>,
}

/// Starts logging, and sending traces if somebody says where to.
pub(super) fn start_telemetry(args: &EngineArgs, clock: &Clock) -> Result<Telemetry, CliError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "OpenTelemetry's settings are variables by their standard; they are read once, here"
    )]
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::read(args.otlp_endpoint.as_deref(), variable).map_err(CliError::from_error)?;
    let traces = settings.as_ref().map(|settings| Otlp::start(settings, Arc::new(Http::default()), clock)).transpose();
    let traces = traces.map_err(CliError::from_error)?;
    let level = start_logs(&args.logs, traces.as_ref().map(Otlp::layer))?;
    if let Some(settings) = settings {
        tracing::info!(collector = settings.server(), "traces are sent");
    }
    Ok(Telemetry { level, traces })
}

/// What the engine runs over.
pub(super) struct World {
    /// Where objects live.
    pub(super) objects: Arc<dyn Objects>,
    /// The way into AWS.
    pub(super) connect: Arc<dyn Connect>,
    /// How messages get to people.
    pub(super) deliver: Arc<dyn Deliver>,
    /// The account as long as there is no `AwsAccount`.
    pub(super) own: OwnAccount,
    /// What marks the groups of these objects.
    pub(super) cluster: String,
    /// What marked them before.
    pub(super) former_clusters: Vec<String>,
    /// Where the lease is kept, if others may run beside us.
    pub(super) leases: Option<Arc<dyn Leases>>,
    /// The way to queues of events.
    pub(super) queues: Arc<dyn Queues>,
    /// Time.
    pub(super) clock: Clock,
}

/// Runs the engine until `stop`.
pub(super) async fn run_engine(
    args: &EngineArgs,
    telemetry: Telemetry,
    world: World,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let Telemetry { level, traces } = telemetry;
    let World { objects, connect, deliver, own, cluster, former_clusters, leases, queues, clock } = world;
    let file = args.audit_file.as_ref().map(AuditFile::open).transpose().map_err(CliError::from_error)?;
    let listener = TcpListener::bind(args.admin)
        .await
        .map_err(|error| CliError::new(format!("--admin {} cannot be used", args.admin)).because(error))?;
    let metrics = Metrics { traces: traces.as_ref().map(Otlp::metrics).unwrap_or_default(), ..Metrics::default() };
    let health = Health::new(&clock);
    let admin = admin::Admin { health: health.clone(), patience: PATIENCE, registry: Arc::new(metrics.registry()), level };
    let timings = args.timings();
    let fence = if leases.is_some() { Fence::closed(&clock, &timings) } else { Fence::always() };
    // The fence is the last thing before the wire: whatever waits (a lane, a lock) waits before it.
    let connect = Arc::new(FencedConnect::new(connect, fence.clone()));
    let connect = Arc::new(MeteredConnect { inner: connect, metrics: metrics.clone(), clock: clock.clone() });
    let parts = Parts {
        objects,
        connect,
        audit: trail(file),
        deliver,
        clock,
        timings,
        metrics,
        health,
        queues,
        cluster,
        former_clusters,
        own,
        leadership: Leadership { leases, identity: crate::adapters::kube::identity(), fence },
        concurrency: args.concurrency,
    };
    let address = listener.local_addr().unwrap_or(args.admin);
    tracing::info!(%address, cluster = parts.cluster, "sgwarden runs");
    // The admin server outlives the loop, so that the end is seen as "not ready" and not as "no answer".
    let done = CancellationToken::new();
    let served = tokio::spawn(admin::serve(listener, admin, done.clone()));
    Box::pin(run(parts, stop)).await;
    if let Some(traces) = traces
        && !traces.stop(FLUSH).await
    {
        tracing::warn!("the last traces are given up: the collector does not answer");
    }
    done.cancel();
    let _ = served.await;
    tracing::info!("sgwarden has stopped");
    Ok(())
}

/// Counts every call of the ports it gives out.
struct MeteredConnect {
    inner: Arc<dyn Connect>,
    metrics: Metrics,
    clock: Clock,
}

#[async_trait::async_trait]
impl Connect for MeteredConnect {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let ec2 = self.inner.connect(route).await?;
        Ok(meter(ec2, &self.metrics.ec2, &self.clock))
    }

    fn forget(&self, route: &Route) {
        self.inner.forget(route);
    }
}
