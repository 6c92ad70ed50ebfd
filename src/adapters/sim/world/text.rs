//! What text EC2 takes in names and descriptions.
//!
//! Entry point: [`group_name`], [`group_description`], [`rule_description`].

use super::error::{self, ApiError};

/// EC2's own way of writing the allowed set in its messages.
const ALLOWED: &str = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*";
const PUNCTUATION: &str = ". _-:/()#,@[]+=&;{}!$*";
const MAX_LENGTH: usize = 255;

fn in_charset(text: &str) -> bool {
    text.len() <= MAX_LENGTH && text.chars().all(|c| c.is_ascii_alphanumeric() || PUNCTUATION.contains(c))
}

fn beyond_ascii(value: &str, parameter: &str) -> Result<(), ApiError> {
    if value.is_ascii() {
        return Ok(());
    }
    Err(error::invalid(format!(
        "Value ({value}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
    )))
}

/// The name as EC2 saves it: trailing spaces trimmed.
pub(crate) fn group_name(name: &str) -> Result<&str, ApiError> {
    beyond_ascii(name, "GroupName")?;
    let name = name.trim_end_matches(' ');
    if name.is_empty() || !in_charset(name) {
        return Err(error::invalid(format!(
            "Invalid security group name. Valid names are non-empty strings less than 256 characters from the following set: {ALLOWED}"
        )));
    }
    if name.to_ascii_lowercase().starts_with("sg-") {
        return Err(error::invalid(format!(
            "Invalid value '{name}' for parameter GroupName. Group names may not be in the format sg-*."
        )));
    }
    if name.eq_ignore_ascii_case("default") {
        return Err(error::reserved_name(name));
    }
    Ok(name)
}

pub(crate) fn group_description(text: &str) -> Result<(), ApiError> {
    if text.is_empty() {
        return Err(error::missing("GroupDescription"));
    }
    beyond_ascii(text, "GroupDescription")?;
    if in_charset(text) {
        return Ok(());
    }
    Err(error::invalid(format!(
        "Invalid security group description. Valid descriptions are strings less than 256 characters from the following set: {ALLOWED}"
    )))
}

/// A rule's description; empty is the same as none.
pub(crate) fn rule_description(text: Option<&str>) -> Result<Option<Box<str>>, ApiError> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if in_charset(text) => Ok(Some(text.into())),
        Some(_) => Err(error::invalid(format!(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: {ALLOWED}"
        ))),
    }
}

/// A prefix list's name or entry description: at most 255 characters.
pub(crate) fn bounded(text: &str, parameter: &str) -> Result<(), ApiError> {
    if text.chars().count() <= MAX_LENGTH {
        return Ok(());
    }
    Err(error::invalid(format!("Value for parameter {parameter} is longer than {MAX_LENGTH} characters.")))
}
