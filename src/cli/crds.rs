//! `sgwarden crds`: writes the definitions of our kinds.

use std::io::Write;
use std::path::PathBuf;

use crate::api::crds;

use super::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write them, each to a file
    #[arg(long, short, default_value = "crds", value_name = "DIR")]
    directory: PathBuf,
    /// Print them instead, as one stream for kubectl
    #[arg(long, conflicts_with = "directory")]
    print: bool,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    for (name, text) in crds::render() {
        if args.print {
            write!(std::io::stdout(), "---\n{text}").map_err(|error| CliError::new("standard output").because(error))?;
            continue;
        }
        let path = args.directory.join(&name);
        let written = std::fs::create_dir_all(&args.directory).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| CliError::new(format!("{} cannot be written", path.display())).because(error))?;
    }
    Ok(())
}
