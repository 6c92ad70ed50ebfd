//! Tags of any resource: limits, reserved keys, and the tag specifications of calls that create.
//!
//! Entry point: [`Tags`], [`TagSpec`], [`from_specs`].
//!
//! Invariant: no call can set, change or delete a key that begins with `aws:`.

use super::error::{self, ApiError};
use std::collections::BTreeMap;

const MAX_TAGS: usize = 50;
const MAX_KEY: usize = 127;
const MAX_VALUE: usize = 256;

/// A tag as a client sends it; in `DeleteTags` the value may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagInput {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// `TagSpecification.N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagSpec {
    pub(crate) resource_type: Option<String>,
    pub(crate) tags: Vec<TagInput>,
}

/// The tags of one resource, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<String, String>);

impl Tags {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a tag without any check, for seeds and for tags that AWS services set.
    pub(crate) fn put(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    /// Checked tags of one request: length, reserved prefix, no key twice.
    pub(crate) fn checked(inputs: &[TagInput]) -> Result<Self, ApiError> {
        let mut tags = BTreeMap::new();
        for TagInput { key, value } in inputs {
            let key = key.clone().unwrap_or_default();
            check_key(&key)?;
            let value = value.clone().unwrap_or_default();
            if value.chars().count() > MAX_VALUE {
                return Err(error::invalid(format!("Tag value exceeds the maximum length of {MAX_VALUE} characters")));
            }
            if tags.insert(key.clone(), value).is_some() {
                return Err(error::invalid(format!("Duplicate tag key '{key}' specified.")));
            }
        }
        let tags = Self(tags);
        if tags.counted() > MAX_TAGS { Err(error::too_many_tags()) } else { Ok(tags) }
    }

    /// These tags with `more` over them, if that many are allowed.
    pub(crate) fn with(&self, more: &Tags) -> Result<Tags, ApiError> {
        let mut tags = self.clone();
        tags.0.extend(more.0.iter().map(|(key, value)| (key.clone(), value.clone())));
        if tags.counted() > MAX_TAGS { Err(error::too_many_tags()) } else { Ok(tags) }
    }

    /// Tags that AWS sets do not count against the limit.
    fn counted(&self) -> usize {
        self.0.keys().filter(|key| !key.starts_with("aws:")).count()
    }

    /// Removes as `DeleteTags` does: no tag given removes all of the user's; a value given must match.
    pub(crate) fn remove(&mut self, wanted: &[TagInput]) {
        if wanted.is_empty() {
            self.0.retain(|key, _| key.starts_with("aws:"));
        }
        for TagInput { key, value } in wanted {
            let key = key.as_deref().unwrap_or_default();
            if self.0.get(key).is_some_and(|held| value.as_ref().is_none_or(|value| value == held)) {
                self.0.remove(key);
            }
        }
    }
}

/// Refuses keys that are empty, too long or AWS's own.
pub(crate) fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() {
        return Err(error::invalid("Tag key cannot be null or empty"));
    }
    if key.chars().count() > MAX_KEY {
        return Err(error::invalid(format!("Tag key exceeds the maximum length of {MAX_KEY} characters")));
    }
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        return Err(error::invalid("Tag keys starting with 'aws:' are reserved for internal use"));
    }
    Ok(())
}

/// The tags of a creating call, whose specifications must be of the resource type that the call makes.
pub(crate) fn from_specs(specs: &[TagSpec], resource_type: &str) -> Result<Tags, ApiError> {
    let mut inputs = Vec::new();
    for (n, TagSpec { resource_type: given, tags }) in specs.iter().enumerate() {
        match given.as_deref() {
            None | Some("") => return Err(error::invalid("Tag specification resource type must have a value")),
            Some(given) if given != resource_type => {
                return Err(error::invalid(format!("'{given}' is not a valid taggable resource type for this operation.")));
            }
            Some(_) if n > 0 => return Err(error::invalid(format!("The resource type '{resource_type}' is specified twice."))),
            Some(_) => inputs.extend(tags.iter().cloned()),
        }
        if tags.is_empty() {
            return Err(error::invalid("Tag specification must have at least one tag"));
        }
    }
    Tags::checked(&inputs)
}
