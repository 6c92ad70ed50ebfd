//! `sgwarden audit`: what sgwarden changed in EC2, by its audit file.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::SignedDuration;

use crate::adapters::audit_log::read;
use crate::core::listing::{ChangeFilter, change_json, change_table, changes, span};
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::{Output, OutputArgs, print, print_json, tell};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Groups, as <namespace>/<name> or by their id in EC2; default: all
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// The file that sgwarden was told to write with --audit-file; - is standard input
    #[arg(long, value_name = "FILE")]
    audit_file: PathBuf,
    /// Only what was begun since then, such as 24h or 7d
    #[arg(long, value_name = "DURATION", value_parser = span)]
    since: Option<SignedDuration>,
    /// Only what has this trace id: a drift record (sgwarden drift -o json) has that of the change which put it right
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn main(args: Args) -> Result<ExitCode, CliError> {
    let now = Clock::system().now();
    let trail = read(&args.audit_file).map_err(CliError::from_error)?;
    let since = args.since.and_then(|since| now.checked_sub(since).ok());
    let found = changes(&trail, &ChangeFilter { groups: args.groups, since, trace: args.trace });
    match trail.unreadable() {
        0 => {}
        1 => tell("1 line is no record and is left out: a crash may have torn it"),
        lines => tell(&format!("{lines} lines are no records and are left out: a crash may have torn one")),
    }
    match args.output.output {
        Output::Json => print_json(&change_json(&found))?,
        Output::Text if found.is_empty() => tell(&format!("No such change among {} in the file.", trail.changes().len())),
        Output::Text => print(&change_table(&found, now, args.output.colour()))?,
    }
    Ok(ExitCode::SUCCESS)
}
