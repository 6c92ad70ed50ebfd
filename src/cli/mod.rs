//! The command line: one file a subcommand, and the only place where adapters and engine meet.
//!
//! Entry point: [`main`].
//!
//! Invariant: whatever goes wrong is one clear line on standard error and exit code 1; no panic, no backtrace.

mod accept;
mod audit;
mod controller;
mod crds;
#[cfg(all(feature = "aws", feature = "sim"))]
mod demo;
mod drift;
mod error;
mod explain;
mod graph;
mod options;
mod output;
mod place;
#[cfg(feature = "aws")]
mod run;
mod shutdown;
#[cfg(feature = "sim")]
mod sim;
mod source;
mod undo;
mod wiring;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// List what was edited behind its back: what, when, by whom, and what was done about it
    Drift(drift::Args),
    /// Say what keeps an edit that was made behind its back, or apply that
    Accept(accept::Args),
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
}

/// Runs a command line.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // Both kube and the AWS SDK take the process-wide provider; a second installation changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CliError::new("the runtime cannot be started").because(error)),
    };
    let result = runtime.block_on(dispatch(cli.command));
    // A blocked read of a file or a name must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
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
        Command::Drift(args) => drift::main(args).await,
        Command::Accept(args) => Box::pin(accept::main(args)).await,
        Command::Audit(args) => audit::main(args),
        Command::Undo(args) => Box::pin(undo::main(args)).await,
        Command::Explain(args) => Box::pin(explain::main(args)).await,
        Command::Graph(args) => Box::pin(graph::main(args)).await,
        Command::Crds(args) => crds::main(&args).map(|()| ExitCode::SUCCESS),
    }
}

fn fail(error: &CliError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "sgwarden: {error}");
    ExitCode::FAILURE
}

/// Help goes to standard output; a wrong flag is one line.
#[expect(clippy::wildcard_enum_match_arm, reason = "clap's kinds may grow, and all but help and version are mistakes")]
fn usage(error: &clap::Error) -> ExitCode {
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
            fail(&CliError::new(format!("{line} (see sgwarden --help)")))
        }
    }
}
