//! `sgwarden accept`: what keeps an edit that somebody made.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::adapters::audit_log::read;
use crate::api::DriftRecord;
use crate::core::activity::presentable;
use crate::core::amend::{Acceptance, Amendment, accept};
use crate::core::listing::span;
use crate::core::model::RuleName;
use crate::core::status::{describe, who};
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::{Output, OutputArgs, print, print_json};
use super::place::{PlaceArgs, key, record};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The group, as <name> or <namespace>/<name>
    #[arg(value_name = "GROUP")]
    group: String,
    /// Id of the drift record, or its beginning: sgwarden drift lists them
    #[arg(value_name = "DRIFT")]
    drift: String,
    /// Keep it for so long only, such as 2h: new rules expire then
    #[arg(long = "for", value_name = "DURATION", value_parser = span)]
    lasting: Option<SignedDuration>,
    /// What to call a new rule; default: after the drift record
    #[arg(long, value_name = "RULE", value_parser = rule_name)]
    name: Option<RuleName>,
    /// The audit file, for the description that a rule had before it was put right; - is standard input
    #[arg(long, value_name = "FILE")]
    audit_file: Option<PathBuf>,
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
    let place = args.place.open().await?;
    let stored = place.group(&args.group).await?;
    let drift = record(&stored.object, &args.drift)?;
    let until = args.lasting.map(|lasting| until(now, lasting)).transpose()?;
    let trail = args.audit_file.as_deref().map(read).transpose().map_err(CliError::from_error)?;
    let how = Acceptance { now, until, name: args.name.map(|name| name.to_string()), trail: trail.as_ref() };
    let name = key(&stored.object);
    let refused = |error| CliError::new(format!("{} of {name}", presentable(&drift.id))).because(error);
    let amendment = accept(&stored.object, drift, &how).map_err(refused)?;
    show(&args.output, &name, drift, &amendment)?;
    if args.apply && !(amendment.is_empty() && amendment.is_whole()) {
        place.amend(&stored, &amendment).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(output: &OutputArgs, group: &str, drift: &DriftRecord, amendment: &Amendment) -> Result<(), CliError> {
    match output.output {
        Output::Json => {
            let advice = &amendment.advice;
            print_json(&json!({
                "group": group,
                "drift": drift.id,
                "patch": amendment.to_patch(),
                "notes": advice.notes,
                "byHand": advice.by_hand,
                "refused": advice.refused,
            }))
        }
        Output::Text => {
            let what = presentable(&format!("{} {}", who(drift), describe(drift)));
            print(&format!("# {group}, drift {}: {what}\n{}", presentable(&drift.id), amendment.to_text()))
        }
    }
}

/// The end of something that lasts so long from now, in whole seconds.
pub(super) fn until(now: Timestamp, lasting: SignedDuration) -> Result<Timestamp, CliError> {
    let end = now.checked_add(lasting).and_then(|end| Timestamp::from_second(end.as_second()));
    end.map_err(|error| CliError::new("--for").because(error))
}

fn rule_name(text: &str) -> Result<RuleName, String> {
    text.parse().map_err(|error: crate::core::model::BadId| error.to_string())
}
