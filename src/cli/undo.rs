//! `sgwarden undo`: what brings back what a change took.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::adapters::audit_log::read;
use crate::core::activity::presentable;
use crate::core::amend::{Amendment, undo};
use crate::core::audit::{Change, Trail};
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::{Output, OutputArgs, print, print_json};
use super::place::PlaceArgs;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Id of the change, or its beginning: sgwarden audit lists them
    #[arg(value_name = "CHANGE")]
    change: String,
    /// The audit file that the change is told in; - is standard input
    #[arg(long, value_name = "FILE")]
    audit_file: PathBuf,
    /// Change the object in the cluster, instead of printing what to change in its manifest
    #[arg(long, conflicts_with = "state")]
    apply: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let now = Clock::system().now();
    let trail = read(&args.audit_file).map_err(CliError::from_error)?;
    let change = find(&trail, &args.change)?;
    let place = args.place.open().await?;
    let stored = place.group(&change.object).await?;
    let amendment = undo(&stored.object, change, now).map_err(|error| CliError::new("it cannot be undone").because(error))?;
    show(&args.output, change, &amendment)?;
    if args.apply && !(amendment.is_empty() && amendment.is_whole()) {
        place.amend(&stored, &amendment).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The one change whose id begins so.
fn find<'a>(trail: &'a Trail, id: &str) -> Result<&'a Change, CliError> {
    match trail.find(id).as_slice() {
        [change] => Ok(change),
        [] => Err(CliError::new(format!("the audit file has no change {id} (sgwarden audit lists those it has)"))),
        [_, ..] => Err(CliError::new(format!("several changes begin with {id}: write more of it"))),
    }
}

fn show(output: &OutputArgs, change: &Change, amendment: &Amendment) -> Result<(), CliError> {
    match output.output {
        Output::Json => {
            let advice = &amendment.advice;
            print_json(&json!({
                "group": change.object,
                "change": change.id,
                "patch": amendment.to_patch(),
                "notes": advice.notes,
                "byHand": advice.by_hand,
                "refused": advice.refused,
            }))
        }
        Output::Text => {
            let what = presentable(&format!("{}, change {}: {} at {}", change.object, change.id, change.operation, change.time));
            print(&format!("# {what}\n{}", amendment.to_text()))
        }
    }
}
