//! `sgwarden completions`: what a shell needs to complete command lines.

use super::error::CliError;
use super::output::print;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    print(&script(args.shell))
}

fn script(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut super::command(), "sgwarden", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn each_script_knows_every_subcommand() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for subcommand in super::super::command().get_subcommands() {
                assert!(script.contains(subcommand.get_name()), "{shell:?} does not know {}", subcommand.get_name());
            }
        }
    }
}
