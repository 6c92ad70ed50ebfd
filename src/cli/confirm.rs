//! What is asked before anything is written.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;

use super::error::CliError;

/// Whether to ask.
#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    /// Write what is shown without asking
    #[arg(long, short)]
    yes: bool,
}

impl ConfirmArgs {
    /// Asks the person at the terminal. Without a terminal nobody can be asked, and nothing is to be written.
    pub(super) fn ask(&self, question: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(CliError::new("nothing is written: there is no terminal to ask on; --yes writes what is shown"));
        }
        let (mut err, mut answer) = (std::io::stderr(), String::new());
        let asked = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
        asked
            .and_then(|()| std::io::stdin().lock().read_line(&mut answer))
            .map_err(|error| CliError::new("the terminal").because(error))?;
        if agrees(&answer) { Ok(()) } else { Err(CliError::new("nothing is written, as you said")) }
    }
}

fn agrees(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::agrees;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Y", " yes\r\n", "YES"].into_iter().all(agrees));
        assert!(!["", "\n", "n", "no", "yesterday", "j"].into_iter().any(agrees));
    }
}
