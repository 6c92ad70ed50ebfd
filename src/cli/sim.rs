//! `sgwarden sim`: the EC2 stand-in as a server.

use std::io::Write;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::adapters::sim::{Config, Sim, VpcSeed, serve};

use super::error::CliError;
use super::shutdown;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen. There is no access control: keep it on loopback
    #[arg(long, default_value = "127.0.0.1:4510", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// A VPC to be there from the start, by id, or id=IPv6-range; may be given several times
    #[arg(long = "vpc", value_name = "vpc-ID[=IPV6-CIDR]")]
    vpcs: Vec<String>,
}

pub(super) async fn main(args: Args) -> Result<(), CliError> {
    let vpcs = args.vpcs.iter().map(|text| match text.split_once('=') {
        Some((id, ipv6)) => VpcSeed::new(id).with_ipv6(ipv6),
        None => VpcSeed::new(text),
    });
    let config = Config { vpcs: vpcs.collect(), ..Config::default() };
    let sim = Sim::try_new(config).map_err(|error| CliError::new(format!("--vpc: {error:?}")))?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| CliError::new(format!("--listen {} cannot be used", args.listen)).because(error))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let stop = shutdown::on_signal();
    let announced = write!(
        std::io::stdout(),
        "export AWS_ENDPOINT_URL_EC2=http://{address}\nexport AWS_ENDPOINT_URL_STS=http://{address}\n\
         export AWS_ACCESS_KEY_ID=AKIA111122223333 AWS_SECRET_ACCESS_KEY=any AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1\n"
    );
    announced.and_then(|()| std::io::stdout().flush()).map_err(|error| CliError::new("standard output").because(error))?;
    serve(sim, listener, stop.cancelled_owned()).await.map_err(|error| CliError::new("the server failed").because(error))
}
