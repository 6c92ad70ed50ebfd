//! `sgwarden suspend`: stops reverts for a while.

use std::process::ExitCode;

use jiff::SignedDuration;

use crate::api::SecurityGroup;
use crate::core::annotate::{reason, suspend};
use crate::core::listing::span;
use crate::ports::clock::Clock;

use super::accept::until;
use super::annotate::{TargetArgs, Verb, carry_out};
use super::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// For how long, such as 2h; the account may end it earlier
    #[arg(long = "for", value_name = "DURATION", value_parser = span)]
    lasting: SignedDuration,
    /// Why, such as 'incident 4711': for whoever finds it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let until = until(Clock::system().now(), args.lasting)?;
    let (cluster, namespace) = args.target.cluster.open().await?;
    let judge = |object: &SecurityGroup| suspend(object, until, &args.reason);
    let verb = Verb { word: "suspend", done: "suspended", judge: &judge };
    carry_out((&cluster, &namespace), &args.target, &verb).await
}
