//! `sgwarden resume`: ends a suspension before its time.

use std::process::ExitCode;

use crate::api::SecurityGroup;
use crate::core::annotate::resume;
use crate::ports::clock::Clock;

use super::annotate::{TargetArgs, Verb, carry_out};
use super::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let now = Clock::system().now();
    let (cluster, namespace) = args.target.cluster.open().await?;
    let judge = |object: &SecurityGroup| resume(object, now);
    let verb = Verb { word: "resume", done: "resumed", judge: &judge };
    carry_out((&cluster, &namespace), &args.target, &verb).await
}
