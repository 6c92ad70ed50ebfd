//! The name this was called by: `sgwarden`, or as a plugin of kubectl, which runs `kubectl-sgwarden` for `kubectl sgwarden`.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;

/// What the binary is called as a plugin.
const PLUGIN: &str = "kubectl-sgwarden";

/// By which name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// Its own.
    Sgwarden,
    /// As a plugin of kubectl.
    Plugin,
}

impl Called {
    /// The name that a command line begins with.
    pub(super) fn by(first: Option<&OsStr>) -> Self {
        let stem = first.and_then(|path| Path::new(path).file_stem());
        if stem == Some(OsStr::new(PLUGIN)) { Self::Plugin } else { Self::Sgwarden }
    }

    /// What a person types.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sgwarden => "sgwarden",
            Self::Plugin => "kubectl sgwarden",
        }
    }

    /// A parser whose usage and help name it so.
    pub(super) fn parser(self, command: Command) -> Command {
        let named = command.bin_name(self.name());
        match self {
            Self::Sgwarden => named,
            Self::Plugin => {
                let subcommands = names(&named);
                reworded(named, &subcommands)
            }
        }
    }

    /// A text whose commands are typed as this was.
    pub(super) fn reword(self, text: &str, command: &Command) -> String {
        match self {
            Self::Sgwarden => text.to_owned(),
            Self::Plugin => retyped(text, &names(command)),
        }
    }
}

fn names(command: &Command) -> Vec<String> {
    command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect()
}

fn reworded(mut command: Command, subcommands: &[String]) -> Command {
    let text = |text: &clap::builder::StyledStr| retyped(&text.to_string(), subcommands);
    if let Some(about) = command.get_about().map(text) {
        command = command.about(about);
    }
    if let Some(examples) = command.get_after_help().map(text) {
        command = command.after_help(examples);
    }
    let command = command.mut_args(|arg| match arg.get_help().map(text) {
        Some(help) => arg.help(help),
        None => arg,
    });
    command.mut_subcommands(|subcommand| reworded(subcommand, subcommands))
}

/// A text with `kubectl` before each command of ours that is not part of another name.
fn retyped(text: &str, subcommands: &[String]) -> String {
    let own = Called::Sgwarden.name();
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(own) {
        let (before, found) = rest.split_at(at);
        let after = found.strip_prefix(own).unwrap_or_default();
        result.push_str(before);
        let word: String = after.strip_prefix(' ').unwrap_or_default().chars().take_while(|c| !c.is_whitespace()).collect();
        let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let is_command = word.starts_with("--") || subcommands.iter().any(|name| name == word);
        let is_typed = is_command && !result.ends_with("kubectl ") && !result.ends_with(|c: char| c.is_alphanumeric() || c == '-');
        result.push_str(if is_typed { Called::Plugin.name() } else { own });
        rest = after;
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_says_how_it_was_called() {
        for (first, expected) in [
            ("sgwarden", Called::Sgwarden),
            ("/usr/local/bin/kubectl-sgwarden", Called::Plugin),
            ("kubectl-sgwarden.exe", Called::Plugin),
            ("target/debug/sgwarden-1a2b", Called::Sgwarden),
        ] {
            assert_eq!(Called::by(Some(OsStr::new(first))), expected, "{first}");
        }
        assert_eq!(Called::by(None), Called::Sgwarden);
    }

    #[test]
    fn commands_in_a_text_are_typed_as_the_plugin_is() {
        let subcommands = ["drift".to_owned(), "run".to_owned()];
        for (text, expected) in [
            ("it has d-1 (sgwarden drift shop/web)", "it has d-1 (kubectl sgwarden drift shop/web)"),
            ("sgwarden drift: see sgwarden --help", "kubectl sgwarden drift: see kubectl sgwarden --help"),
            ("(sgwarden drift)", "(kubectl sgwarden drift)"),
            ("kubectl sgwarden drift", "kubectl sgwarden drift"),
            ("sgwarden drifts, sgwarden-system, kubectl-sgwarden", "sgwarden drifts, sgwarden-system, kubectl-sgwarden"),
            ("of sgwarden", "of sgwarden"),
        ] {
            assert_eq!(retyped(text, &subcommands), expected);
        }
    }
}
