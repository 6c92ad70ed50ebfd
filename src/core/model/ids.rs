//! Identifiers of AWS resources, checked where they enter and opaque afterwards.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// What an AWS resource id looks like: its prefix and how many hex digits may follow.
pub trait IdKind {
    /// The text before the digits, with its hyphen: `sg-`.
    const PREFIX: &'static str;
    /// Whether the old form with 8 digits exists beside the one with 17.
    const HAS_SHORT_FORM: bool;
    /// The field's word for the resource with its article, for messages.
    const NOUN: &'static str;
}

/// Marker of [`SecurityGroupId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityGroupKind {}
/// Marker of [`RuleId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {}
/// Marker of [`VpcId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VpcKind {}
/// Marker of [`PrefixListId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrefixListKind {}

impl IdKind for SecurityGroupKind {
    const PREFIX: &'static str = "sg-";
    const HAS_SHORT_FORM: bool = true;
    const NOUN: &'static str = "a security group id";
}
impl IdKind for RuleKind {
    const PREFIX: &'static str = "sgr-";
    const HAS_SHORT_FORM: bool = false;
    const NOUN: &'static str = "a security group rule id";
}
impl IdKind for VpcKind {
    const PREFIX: &'static str = "vpc-";
    const HAS_SHORT_FORM: bool = true;
    const NOUN: &'static str = "a VPC id";
}
impl IdKind for PrefixListKind {
    const PREFIX: &'static str = "pl-";
    const HAS_SHORT_FORM: bool = true;
    const NOUN: &'static str = "a prefix list id";
}

/// An AWS resource id: a fixed prefix and 8 or 17 lower-case hex digits (EC2 API reference, "resource ids").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId<K> {
    text: Box<str>,
    kind: PhantomData<K>,
}

/// `sg-…`
pub type SecurityGroupId = ResourceId<SecurityGroupKind>;
/// `sgr-…`: names one rule for as long as it lives and is never used again.
pub type RuleId = ResourceId<RuleKind>;
/// `vpc-…`
pub type VpcId = ResourceId<VpcKind>;
/// `pl-…`
pub type PrefixListId = ResourceId<PrefixListKind>;

impl<K> ResourceId<K> {
    /// The id as AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {noun}: it must be {form}")]
pub struct BadId {
    text: String,
    noun: &'static str,
    form: String,
}

impl<K: IdKind> FromStr for ResourceId<K> {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.strip_prefix(K::PREFIX).unwrap_or_default();
        let hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let long_enough = digits.len() == 17 || (K::HAS_SHORT_FORM && digits.len() == 8);
        if hex && long_enough {
            return Ok(Self { text: text.into(), kind: PhantomData });
        }
        let lengths = if K::HAS_SHORT_FORM { "8 or 17" } else { "17" };
        Err(BadId { text: shorten(text), noun: K::NOUN, form: format!("{} and {lengths} lower-case hex digits", K::PREFIX) })
    }
}

impl<K> fmt::Display for ResourceId<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Debug for ResourceId<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A 12-digit AWS account id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Box<str>);

impl AccountId {
    /// The id as AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.into()));
        }
        Err(BadId { text: shorten(text), noun: "an AWS account id", form: "12 digits".into() })
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An AWS Region code such as `eu-west-1`. Any partition.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Box<str>);

impl Region {
    /// The code as AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let parts: Vec<&str> = text.split('-').collect();
        let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        if let [first, middle @ .., last] = parts.as_slice()
            && text.len() <= 32
            && letters(first)
            && !middle.is_empty()
            && middle.iter().all(letters)
            && matches!(last.len(), 1 | 2)
            && last.bytes().all(|b| b.is_ascii_digit())
        {
            return Ok(Self(text.into()));
        }
        Err(BadId { text: shorten(text), noun: "an AWS Region", form: "a code such as eu-west-1".into() })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a declared rule: unique in its list, for people, never sent to AWS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName(Box<str>);

impl RuleName {
    /// A name of ours; the text is known to be one.
    pub(in crate::core) fn constant(text: &'static str) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "{text}");
        Self(text.into())
    }

    /// The name as declared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleName {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
        let bytes = text.as_bytes();
        if bytes.len() <= 63 && bytes.iter().copied().all(inner) && edge(bytes.first()) && edge(bytes.last()) {
            return Ok(Self(text.into()));
        }
        Err(BadId {
            text: shorten(text),
            noun: "a rule name",
            form: "1 to 63 lower-case letters, digits and '-', such as allow-https; free text goes into description".into(),
        })
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Foreign text in a message stays short.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_prefix_and_8_or_17_hex_digits() {
        for good in ["sg-0a1b2c3d", "sg-0a1b2c3d4e5f67890"] {
            assert_eq!(good.parse::<SecurityGroupId>().unwrap().to_string(), good);
        }
        for bad in ["", "sg-", "sg-0A1B2C3D", "sg-0a1b2c3", "vpc-0a1b2c3d", "sg-0a1b2c3d ", "sg-0a1b2c3g"] {
            assert!(bad.parse::<SecurityGroupId>().is_err(), "{bad}");
        }
        assert!("sgr-0a1b2c3d".parse::<RuleId>().is_err(), "rule ids have no short form");
    }

    #[test]
    fn regions_of_every_partition_parse() {
        for good in ["eu-west-1", "us-gov-west-1", "cn-north-1", "ap-southeast-12"] {
            assert!(good.parse::<Region>().is_ok(), "{good}");
        }
        for bad in ["", "eu", "eu-west", "eu-west-", "EU-west-1", "eu--1", "eu-1"] {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_names_the_text_and_the_form() {
        let message = "web".parse::<VpcId>().unwrap_err().to_string();
        assert_eq!(message, "'web' is not a VPC id: it must be vpc- and 8 or 17 lower-case hex digits");
    }
}
