//! Filters of the describe calls: limits, wildcards, AND between filters and OR between values.
//!
//! Entry point: [`Filters::checked`], then [`Filters::admit`] for each resource.
//!
//! Invariant: a filter name that a call does not document is refused, never ignored.

use super::error::{self, ApiError};
use super::tags::Tags;
use std::borrow::Cow;

/// One filter as the client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

const MAX_FILTERS: usize = 50;
const MAX_VALUES: usize = 200;
const MAX_LENGTH: usize = 255;

/// Which tag filters a call takes besides its named ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagFilters {
    None,
    /// `tag:<key>`
    Key,
    /// `tag:<key>` and `tag-key`
    All,
}

/// Filters whose names and sizes have been checked.
#[derive(Debug)]
pub(crate) struct Filters<'a>(&'a [Filter]);

impl<'a> Filters<'a> {
    /// Checks names against what the call documents, and EC2's limits on numbers and lengths.
    pub(crate) fn checked(filters: &'a [Filter], known: &[&str], tags: TagFilters) -> Result<Self, ApiError> {
        if filters.len() > MAX_FILTERS {
            return Err(error::too_many_filters(format!("The maximum number of filters is {MAX_FILTERS}")));
        }
        for Filter { name, values } in filters {
            let tag = match tags {
                TagFilters::None => false,
                TagFilters::Key => name.len() > 4 && name.starts_with("tag:"),
                TagFilters::All => name == "tag-key" || (name.len() > 4 && name.starts_with("tag:")),
            };
            if !tag && !known.contains(&name.as_str()) {
                return Err(error::bad_filter(name));
            }
            if values.is_empty() {
                return Err(error::invalid(format!("The filter '{name}' has no value")));
            }
            if values.len() > MAX_VALUES {
                return Err(error::too_many_filters(format!("The maximum number of filter values is {MAX_VALUES}")));
            }
            if values.iter().any(|value| value.chars().count() > MAX_LENGTH) {
                return Err(error::invalid(format!("The maximum length of a filter value is {MAX_LENGTH}")));
            }
        }
        Ok(Self(filters))
    }

    /// True if every filter has a value that matches one of the resource's values of that name.
    pub(crate) fn admit<'r>(&self, tags: Option<&Tags>, fields: impl Fn(&str) -> Vec<Cow<'r, str>>) -> bool {
        self.0.iter().all(|filter| {
            if let (Some(key), Some(tags)) = (filter.name.strip_prefix("tag:"), tags) {
                return tags.get(key).is_some_and(|value| any_match(&filter.values, value));
            }
            if let (true, Some(tags)) = (filter.name == "tag-key", tags) {
                return tags.iter().any(|(key, _)| any_match(&filter.values, key));
            }
            fields(&filter.name).iter().any(|value| any_match(&filter.values, value))
        })
    }
}

fn any_match(patterns: &[String], value: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, value))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(char),
    One,
    Many,
}

/// `*` stands for any number of characters, `?` for one, and a backslash takes the next one literally. Case counts.
fn matches(pattern: &str, value: &str) -> bool {
    if !pattern.contains(['*', '?', '\\']) {
        return pattern == value;
    }
    let mut pieces = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Many,
            '?' => Piece::One,
            '\\' => Piece::Literal(chars.next().unwrap_or('\\')),
            other => Piece::Literal(other),
        });
    }
    let value: Vec<char> = value.chars().collect();
    // The classic two-finger walk: on a mismatch go back to the last `*` and let it swallow one more character.
    let (mut p, mut v) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = value.get(v) {
        match pieces.get(p) {
            Some(Piece::Literal(l)) if l == c => (p, v) = (p + 1, v + 1),
            Some(Piece::One) => (p, v) = (p + 1, v + 1),
            Some(Piece::Many) => {
                star = Some((p, v));
                p += 1;
            }
            Some(Piece::Literal(_)) | None => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, v) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pieces.get(p..).is_some_and(|rest| rest.iter().all(|piece| *piece == Piece::Many))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_as_documented_and_a_backslash_escapes() {
        for (pattern, value, expected) in [
            ("web", "web", true),
            ("web", "Web", false),
            ("w*b", "web", true),
            ("w*b", "wb", true),
            ("w?b", "wb", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "aXb", false),
            (r"a\?", "a?", true),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} on {value}");
        }
    }
}
