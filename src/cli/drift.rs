//! `sgwarden drift`: what was edited behind sgwarden's back, by whom, and what was done about it.

use std::process::ExitCode;

use jiff::SignedDuration;

use crate::core::listing::{DriftFilter, drift_json, drift_table, drifts, span};
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::{Output, OutputArgs, print, print_json, tell};
use super::place::PlaceArgs;

/// The exit code of `--open` where there is something.
const FOUND: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Groups, as <name> or <namespace>/<name>; default: all of the namespace
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Groups of all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "groups"])]
    all_namespaces: bool,
    /// Only what was seen since then, such as 24h or 7d
    #[arg(long, value_name = "DURATION", value_parser = span)]
    since: Option<SignedDuration>,
    /// Only what is not over yet; exit code 2 if there is anything
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let now = Clock::system().now();
    let place = args.place.open().await?;
    let objects = place.groups(&args.groups, args.all_namespaces).await?;
    let filter = DriftFilter { since: args.since.and_then(|since| now.checked_sub(since).ok()), open: args.open };
    let rows = drifts(&objects, filter);
    match args.output.output {
        Output::Json => print_json(&drift_json(&rows))?,
        Output::Text if rows.is_empty() => tell(&format!("No drift in {}.", counted(objects.len()))),
        Output::Text => print(&drift_table(&rows, now, args.output.colour()))?,
    }
    Ok(if args.open && !rows.is_empty() { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn counted(groups: usize) -> String {
    if groups == 1 { "1 group".to_owned() } else { format!("{groups} groups") }
}
