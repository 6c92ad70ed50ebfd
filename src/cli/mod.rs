//! The command line: one file a subcommand, and the only place where adapters and engine meet.
//!
//! Entry point: [`main`].
//!
//! Invariant: whatever goes wrong is one clear line on standard error and exit code 1; no panic, no backtrace.

mod accept;
mod annotate;
mod approve;
mod audit;
mod called;
mod check;
mod completions;
mod confirm;
mod controller;
mod crds;
#[cfg(all(feature = "aws", feature = "sim"))]
mod demo;
mod drift;
mod error;
mod examples;
mod explain;
mod graph;
mod options;
mod output;
mod place;
mod plan;
mod resume;
#[cfg(feature = "aws")]
mod run;
mod shutdown;
#[cfg(feature = "sim")]
mod sim;
mod source;
mod suspend;
mod undo;
mod wiring;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use called::Called;
use error::CliError;

/// Keeps AWS security groups exactly as declared.
#[derive(Debug, Parser)]
#[command(name = "sgwarden", version, about, max_term_width = 120, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::doc_markdown, reason = "doc comments are what --help prints, without markup")]
enum Command {
    /// Run in a cluster: keep the groups of SecurityGroup objects
    Controller(controller::Args),
    /// Run without a cluster: keep the groups of the manifests in a directory
    #[cfg(feature = "aws")]
    Run(run::Args),
    /// Watch it work, in a minute, with nothing but this binary: a simulated AWS account and an intruder
    #[cfg(all(feature = "aws", feature = "sim"))]
    Demo(demo::Args),
    /// Serve a stand-in for EC2, STS and CloudTrail, for tests and trials
    #[cfg(feature = "sim")]
    Sim(sim::Args),
    /// Say what is wrong with manifests: offline, without a cluster, without credentials
    Check(check::Args),
    /// Say what would be done to make EC2 as manifests say, and write nothing
    Plan(plan::Arguments),
    /// List what was edited behind its back: what, when, by whom, and what was done about it
    Drift(drift::Args),
    /// Say what keeps an edit that was made behind its back, or apply that
    Accept(accept::Args),
    /// Let plans pass that wait for approval
    Approve(approve::Args),
    /// Stop reverts of groups for a while: break-glass
    Suspend(suspend::Args),
    /// Have reverts of groups go on
    Resume(resume::Args),
    /// List what it changed in EC2, by its audit file
    Audit(audit::Args),
    /// Say what brings back what one of its changes took, or apply that
    Undo(undo::Args),
    /// Say whether somebody can reach a port on a group: by which rule, or what would have to be written
    Explain(explain::Args),
    /// Draw groups and what they refer to
    Graph(graph::Args),
    /// Write the CustomResourceDefinitions
    Crds(crds::Args),
    /// Write what a shell needs to complete command lines
    Completions(completions::Args),
}

/// The parser, for whoever tells of it.
pub fn command() -> clap::Command {
    examples::attach(Cli::command())
}

/// Runs a command line.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let called = Called::by(args.first().map(OsString::as_os_str));
    let parsed = called.parser(command()).try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage(called, &error),
    };
    // Both kube and the AWS SDK take the process-wide provider; a second installation changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(called, &CliError::new("the runtime cannot be started").because(error)),
    };
    let result = runtime.block_on(dispatch(cli.command));
    // A blocked read of a file or a name must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(code) => code,
        Err(error) => fail(called, &error),
    }
}

async fn dispatch(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Controller(args) => controller::main(args).await.map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "aws")]
        Command::Run(args) => run::main(args).await.map(|()| ExitCode::SUCCESS),
        #[cfg(all(feature = "aws", feature = "sim"))]
        Command::Demo(args) => demo::main(args).await,
        #[cfg(feature = "sim")]
        Command::Sim(args) => sim::main(args).await.map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::main(&args),
        Command::Plan(args) => Box::pin(plan::main(args)).await,
        Command::Drift(args) => drift::main(args).await,
        Command::Accept(args) => Box::pin(accept::main(args)).await,
        Command::Approve(args) => Box::pin(approve::main(args)).await,
        Command::Suspend(args) => Box::pin(suspend::main(args)).await,
        Command::Resume(args) => Box::pin(resume::main(args)).await,
        Command::Audit(args) => audit::main(args),
        Command::Undo(args) => Box::pin(undo::main(args)).await,
        Command::Explain(args) => Box::pin(explain::main(args)).await,
        Command::Graph(args) => Box::pin(graph::main(args)).await,
        Command::Crds(args) => crds::main(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => completions::main(&args).map(|()| ExitCode::SUCCESS),
    }
}

fn fail(called: Called, error: &CliError) -> ExitCode {
    let error = called.reword(&error.to_string(), &command());
    let _ = writeln!(std::io::stderr(), "sgwarden: {error}");
    ExitCode::FAILURE
}

/// Help goes to standard output; a wrong flag is one line.
#[expect(clippy::wildcard_enum_match_arm, reason = "clap's kinds may grow, and all but help and version are mistakes")]
fn usage(called: Called, error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = write!(std::io::stdout(), "{error}");
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
        // Every other kind, those of later releases too, is a mistake in the command line.
        _ => {
            let text = error.to_string();
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with("Usage:") && !line.starts_with("For more"));
            let line = lines.collect::<Vec<_>>().join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            fail(called, &CliError::new(format!("{line} (see {} --help)", called.name())))
        }
    }
}
