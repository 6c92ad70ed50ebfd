//! `sgwarden controller`: the controller in a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use crate::adapters::kube::{ClusterOptions, KubeLease, KubeObjects, KubeSecrets, connect, own_namespace};
use crate::adapters::notify::Notify;
use crate::ports::clock::Clock;
use crate::ports::sinks::Publish;

use super::error::CliError;
use super::options::{AwsArgs, EngineArgs, cluster_id};
use super::wiring::World;
use super::{shutdown, wiring};

/// Where deploy/ puts the controller: whoever starts one beside it, on a laptop say, then waits for the same Lease.
const INSTALLED: &str = "sgwarden-system";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    aws: AwsArgs,
    /// Marks the groups of this cluster; default: the uid of its namespace kube-system
    #[arg(long, value_name = "ID", value_parser = cluster_id)]
    cluster_id: Option<String>,
    /// Cluster ids this cluster had before: their groups are taken over
    #[arg(long = "former-cluster-id", value_name = "ID", value_parser = cluster_id, value_delimiter = ',')]
    former_cluster_ids: Vec<String>,
    /// Namespace of the Lease by which one of several replicas writes, and of the Secrets that Notifiers name; default: the pod's, outside of a pod sgwarden-system
    #[arg(long, value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// Keep the groups of this namespace only
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Kubeconfig file; default: as kubectl, and the service account in a pod
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    engine: EngineArgs,
}

pub(super) async fn main(args: Args) -> Result<(), CliError> {
    let clock = Clock::system();
    let telemetry = wiring::start_telemetry(&args.engine, &clock)?;
    let own = args.aws.own_account()?;
    let (connect_aws, queues) = aws(&args.aws, &clock)?;
    let options = ClusterOptions { kubeconfig: args.kubeconfig, context: args.context };
    let cluster = connect(&options).await.map_err(CliError::from_error)?;
    cluster.check_crd().await.map_err(CliError::from_error)?;
    let id = match args.cluster_id {
        Some(id) => id,
        None => cluster.id().await.map_err(CliError::from_error)?,
    };
    let lease_namespace = args.lease_namespace.or_else(own_namespace).unwrap_or_else(|| INSTALLED.to_owned());
    let secrets = Arc::new(KubeSecrets::new(cluster.client.clone(), &lease_namespace));
    let world = World {
        deliver: Arc::new(Notify::new(secrets, sns_publisher(&args.aws, &clock), clock.clone())),
        leases: Some(Arc::new(KubeLease::new(cluster.client.clone(), &lease_namespace, &lease(args.namespace.as_deref())))),
        objects: Arc::new(KubeObjects::new(cluster.client, args.namespace, None)),
        connect: connect_aws,
        queues,
        own,
        cluster: id,
        former_clusters: args.former_cluster_ids,
        clock,
    };
    Box::pin(wiring::run_engine(&args.engine, telemetry, world, shutdown::on_signal())).await
}

/// The Lease of everybody who keeps the same objects: those of one namespace, or all.
fn lease(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "sgwarden".to_owned(), |namespace| format!("sgwarden-{namespace}"))
}

/// What publishes to SNS with real AWS credentials.
#[cfg(feature = "aws")]
#[allow(clippy::unnecessary_wraps, reason = "a build without AWS has nothing to give")]
pub(super) fn sns_publisher(args: &AwsArgs, clock: &Clock) -> Option<Arc<dyn Publish>> {
    use crate::adapters::aws::SnsPublisher;
    Some(Arc::new(SnsPublisher::new(aws_options(args, clock))))
}

/// There is no AWS in this build.
#[cfg(not(feature = "aws"))]
pub(super) fn sns_publisher(_: &AwsArgs, _: &Clock) -> Option<Arc<dyn Publish>> {
    None
}

#[cfg(feature = "aws")]
fn aws_options(args: &AwsArgs, clock: &Clock) -> crate::adapters::aws::AwsOptions {
    let options = crate::adapters::aws::AwsOptions::default().clock(clock.clone());
    match &args.role_session_name {
        Some(name) => options.session_name(name),
        None => options,
    }
}

/// The ways of real AWS credentials: into accounts, and to queues.
pub(super) type Aws = (Arc<dyn crate::ports::cloud::Connect>, Arc<dyn crate::ports::queue::Queues>);

/// The ways of real AWS credentials.
#[cfg(feature = "aws")]
#[allow(clippy::unnecessary_wraps, reason = "a build without AWS has nothing to give")]
pub(super) fn aws(args: &AwsArgs, clock: &Clock) -> Result<Aws, CliError> {
    use crate::adapters::aws::{AwsConnector, SqsQueues};
    let options = aws_options(args, clock);
    let queues = SqsQueues::new(&options);
    Ok((Arc::new(AwsConnector::new(options)), Arc::new(queues)))
}

/// There is no AWS in this build.
#[cfg(not(feature = "aws"))]
pub(super) fn aws(_: &AwsArgs, _: &Clock) -> Result<Aws, CliError> {
    Err(CliError::new("this build has no AWS adapter: build it with feature aws"))
}

#[cfg(test)]
mod tests {
    use super::lease;

    #[test]
    fn controllers_of_different_namespaces_do_not_wait_for_each_other() {
        let names = [lease(None), lease(Some("shop")), lease(Some("platform"))];
        assert_eq!(names, ["sgwarden", "sgwarden-shop", "sgwarden-platform"]);
        assert!(lease(Some(&"n".repeat(63))).len() <= 253, "the longest name that a Lease may have");
    }
}
