//! `sgwarden crds`: writes the definitions of our kinds.

use std::io::Write;
use std::path::PathBuf;

use crate::api::crds;

use super::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write each to a file here; without it, all go to standard output
    #[arg(long, short, value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    for (name, text) in crds::render() {
        match &args.directory {
            Some(directory) => {
                let path = directory.join(&name);
                let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text));
                written.map_err(|error| CliError::new(format!("{} cannot be written", path.display())).because(error))?;
            }
            None => write!(std::io::stdout(), "---\n{text}").map_err(|error| CliError::new("standard output").because(error))?,
        }
    }
    Ok(())
}
