//! The one error of the command line: a sentence, and its causes behind colons.

use std::error::Error;
use std::fmt;

/// What went wrong, for the person at the terminal.
#[derive(Debug)]
pub(super) struct CliError {
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl CliError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None }
    }

    /// Adds why.
    pub(super) fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// An error of a port or adapter, whose own words say it all.
    pub(super) fn from_error(error: impl Error + Send + Sync + 'static) -> Self {
        let message = error.to_string();
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        // Some errors print their cause themselves.
        causes.retain(|cause| !message.contains(cause.as_str()));
        causes.insert(0, message);
        Self::new(causes.join(": "))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.message.clone();
        if let Some(cause) = &self.cause {
            line = format!("{line}: {cause}");
        }
        f.write_str(&line.replace('\n', " "))
    }
}
