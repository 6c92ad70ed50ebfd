//! `sgwarden approve`: lets plans pass that wait for a person.

use std::process::ExitCode;

use crate::api::SecurityGroup;
use crate::core::annotate::approve;

use super::annotate::{TargetArgs, Verb, carry_out};
use super::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let (cluster, namespace) = args.target.cluster.open().await?;
    // The policy of the cluster lets nobody approve in another's name.
    let person = cluster.user_name().await.map_err(CliError::from_error)?;
    let judge = |object: &SecurityGroup| approve(object, &person);
    let verb = Verb { word: "approve", done: "approved", judge: &judge };
    carry_out((&cluster, &namespace), &args.target, &verb).await
}
