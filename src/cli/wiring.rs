//! Puts the parts of a running controller together.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::adapters::audit_log::{AuditFile, trail};
use crate::adapters::telemetry::{admin, logs};
use crate::engine::controller::{Parts, run};
use crate::ports::clock::Clock;
use crate::ports::cloud::Connect;
use crate::ports::metrics::{Health, Metrics};
use crate::ports::objects::Objects;

use super::error::CliError;
use super::options::{EngineArgs, LogArgs, LogFormat};

/// How long the loop may be silent before `/livez` says that it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts logging.
pub(super) fn start_logs(args: &LogArgs) -> Result<(), CliError> {
    let format = match args.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    logs::init(format, &args.log).map(|_| ()).map_err(CliError::from_error)
}

/// Runs the engine over a store of objects until `stop`.
pub(super) async fn run_engine(
    args: &EngineArgs,
    objects: Arc<dyn Objects>,
    connect: Arc<dyn Connect>,
    cluster: String,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let file = args.audit_file.as_ref().map(AuditFile::open).transpose().map_err(CliError::from_error)?;
    let listener = TcpListener::bind(args.admin)
        .await
        .map_err(|error| CliError::new(format!("--admin {} cannot be used", args.admin)).because(error))?;
    let metrics = Metrics::default();
    let health = Health::new(&clock);
    let admin = admin::Admin { health: health.clone(), patience: PATIENCE, registry: Arc::new(metrics.registry()) };
    let connect = Arc::new(super::wiring::MeteredConnect { inner: connect, metrics: metrics.clone(), clock: clock.clone() });
    let parts = Parts {
        objects,
        connect,
        audit: trail(file),
        clock,
        timings: args.timings(),
        metrics,
        health,
        cluster,
        concurrency: args.concurrency,
    };
    let address = listener.local_addr().unwrap_or(args.admin);
    tracing::info!(%address, cluster = parts.cluster, "sgwarden runs");
    // The admin server outlives the loop, so that the end is seen as "not ready" and not as "no answer".
    let done = CancellationToken::new();
    let served = tokio::spawn(admin::serve(listener, admin, done.clone()));
    run(parts, stop).await;
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
    fn regions(&self) -> Vec<crate::core::model::Region> {
        self.inner.regions()
    }

    async fn connect(
        &self,
        region: &crate::core::model::Region,
    ) -> Result<crate::ports::cloud::Ec2, crate::ports::cloud::CloudError> {
        let ec2 = self.inner.connect(region).await?;
        Ok(crate::ports::metrics::metered::meter(ec2, &self.metrics.ec2, &self.clock))
    }
}
