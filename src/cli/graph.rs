//! `sgwarden graph`: groups and what they refer to, as a picture.

use std::process::ExitCode;

use crate::core::reach::graph;
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::print;
use super::source::{Scope, SourceArgs, tell_left_out};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Groups of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Language of the picture
    #[arg(long, value_enum, default_value_t = Format::Dot)]
    format: Format,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Graphviz.
    Dot,
    /// Mermaid, which GitHub and GitLab show in Markdown.
    Mermaid,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let now = Clock::system().now();
    let source = args.source.open().await?;
    let (world, mut names) = source.world(Scope::Listed { everywhere: args.all_namespaces }).await?;
    // One group that cannot be used does not hide the others.
    for (name, why) in world.unusable(&names) {
        tell_left_out(&name, &why.to_string());
        names.remove(&name);
    }
    let picture = graph(&world, &names, now).map_err(|error| CliError::new(error.to_string()))?;
    print(&match args.format {
        Format::Dot => picture.to_dot(),
        Format::Mermaid => picture.to_mermaid(),
    })?;
    Ok(ExitCode::SUCCESS)
}
