//! What goes to standard output.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};

use clap::Args;

use crate::core::listing::Colour;

use super::error::CliError;

/// How to print.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// For people or for programs
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// No colour, also on a terminal
    #[arg(long, env = "NO_COLOR", hide = true, num_args = 0..=1, default_missing_value = "1")]
    no_color: Option<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// Text.
    Text,
    /// JSON.
    Json,
}

impl OutputArgs {
    /// Colour for a terminal alone, and there unless the person wants none.
    pub(super) fn colour(&self) -> Colour {
        colour(self.no_color.as_ref())
    }
}

/// Colour for a terminal alone, and there unless the person wants none, as <https://no-color.org> has it.
pub(super) fn colour(no_color: Option<&OsString>) -> Colour {
    let unwanted = no_color.is_some_and(|text| !text.is_empty());
    if std::io::stdout().is_terminal() && !unwanted { Colour::Always } else { Colour::Never }
}

/// Prints. A reader that has gone away, as `head` does, has seen what it wanted.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::new("standard output").because(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a value for programs.
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    print(&format!("{value:#}\n"))
}

/// Tells a person something beside the answer.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
