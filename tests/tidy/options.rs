//! The command line as `docs/cli.md` lists it: the parser's own words.
//!
//! A build without a feature lacks subcommands: what the page says of these is left as it is.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::texts::escaped;
use crate::{Finding, root, settle, text, update};

const PAGE: &str = "docs/cli.md";
/// What stands before the generated part of the page.
const MARK: &str = "<!-- From here on generated from the parser: UPDATE=1 cargo test --test tidy -->\n";
/// What a subcommand's part begins with.
const HEAD: &str = "\n### sgwarden ";
/// Whether this build has every subcommand.
const WHOLE: bool = cfg!(all(feature = "aws", feature = "sim"));

#[test]
fn every_option_is_listed() {
    let page = text(PAGE);
    let (head, listed) = page.split_once(MARK).expect("docs/cli.md has the mark of its generated part");
    let expected = merged(parts(listed), generated(), WHOLE);
    if update() {
        std::fs::write(root().join(PAGE), format!("{head}{MARK}{expected}")).unwrap();
    } else if listed != expected {
        let line = head.lines().count() + 1 + listed.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count() + 1;
        settle([Finding::at(PAGE, line, "is not what the parser says: UPDATE=1 cargo test --test tidy")]);
    }
}

#[test]
fn what_a_build_lacks_stays_on_the_page() {
    let part = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let page = || BTreeMap::from([part("drift", "old"), part("run", "kept"), part("watch", "gone")]);
    let parser = || BTreeMap::from([part("audit", "new"), part("drift", "new")]);
    let names = |whole: bool| parts(&merged(page(), parser(), whole)).into_keys().collect::<Vec<_>>();
    assert_eq!(names(true), ["audit", "drift"]);
    assert_eq!(names(false), ["audit", "drift", "run", "watch"]);
    assert_eq!(parts(&merged(page(), parser(), false))["run"], "kept");
    assert_eq!(parts(&merged(page(), parser(), false))["drift"], "new");
}

/// The subcommands of a page's generated part, and what it says of each.
fn parts(listed: &str) -> BTreeMap<String, String> {
    let part = |part: &str| part.split_once('\n').map(|(name, text)| (name.to_owned(), text.to_owned()));
    listed.split(HEAD).skip(1).filter_map(part).collect()
}

fn merged(page: BTreeMap<String, String>, parser: BTreeMap<String, String>, whole: bool) -> String {
    let mut all = if whole { BTreeMap::new() } else { page };
    all.extend(parser);
    let mut page = "\n## Every option\n".to_owned();
    for (name, text) in all {
        let _ = write!(page, "{HEAD}{name}\n{text}");
    }
    page
}

/// What the parser says of each subcommand.
fn generated() -> BTreeMap<String, String> {
    let mut command = sgwarden::cli::command();
    command.build();
    command.get_subcommands_mut().map(|subcommand| (subcommand.get_name().to_owned(), told(subcommand))).collect()
}

fn told(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = format!("\n{}.\n\n```\n{}\n```\n\n", escaped(&about), usage.trim_start_matches("Usage: ").trim());
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && !matches!(arg.get_action(), ArgAction::Help)) {
        let _ = writeln!(page, "- {}: {}", spelled(arg), explained(arg));
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string().replace("Examples:\n", "").replace("\n  ", "\n");
        let _ = write!(page, "\n```\n{}\n```\n", examples.trim());
    }
    page
}

/// How an argument is written.
fn spelled(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let names = arg.get_value_names().unwrap_or_default();
    let value = names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ");
    if arg.is_positional() {
        return format!("`{value}`");
    }
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let long = arg.get_long().unwrap_or_default();
    format!("{short}`--{long}{}`", if takes { format!(" {value}") } else { String::new() })
}

/// What the parser says of an argument, and of what it may be.
fn explained(arg: &Arg) -> String {
    let mut text = escaped(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    let mut more = Vec::new();
    if arg.get_action().takes_values() {
        let values = arg.get_possible_values();
        let values: Vec<_> =
            values.iter().filter(|value| !value.is_hide_set()).map(clap::builder::PossibleValue::get_name).collect();
        if !values.is_empty() {
            more.push(values.join(" or "));
        }
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() {
            more.push(format!("default `{}`", defaults.join(" ")));
        }
    }
    if let Some(variable) = arg.get_env() {
        more.push(format!("or the environment's `{}`", variable.to_string_lossy()));
    }
    if arg.is_required_set() {
        more.push("required".to_owned());
    }
    if !more.is_empty() {
        let _ = write!(text, " ({})", more.join("; "));
    }
    text
}
