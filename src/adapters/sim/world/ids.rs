//! Identifiers: their types, how they are made from the seed, and how malformed ones are told.
//!
//! Entry point: [`IdMint`] makes them, [`GroupId`] and its siblings hold them.
//!
//! Invariant: an id is made from the seed only, so the same calls give the same ids.

use super::error::{self, ApiError};
use std::{borrow::Borrow, fmt, sync::Arc};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(Arc<str>);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A 12-digit AWS account id.
    AccountId;
    /// A Region's name, such as `eu-west-1`.
    RegionName;
    /// `vpc-…`
    VpcId;
    /// `sg-…`
    GroupId;
    /// `subnet-…`
    SubnetId;
    /// `eni-…`
    InterfaceId;
    /// `pl-…`
    PrefixListId;
    /// `pcx-…`
    PeeringId;
}

/// `sgr-` and 17 hex digits, of which EC2 always makes the first a zero: 64 bits hold the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuleId(pub(crate) u64);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sgr-0{:016x}", self.0)
    }
}

impl RuleId {
    /// Reads an id. `Ok(None)` is a well-formed id that this world never issues.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, ApiError> {
        let digits = text.strip_prefix("sgr-").filter(|hex| is_hex(hex, &[17]));
        let digits = digits.ok_or_else(|| error::malformed_id("SecurityGroupRuleId", "sgr", text))?;
        Ok(digits.strip_prefix('0').and_then(|rest| u64::from_str_radix(rest, 16).ok()).map(Self))
    }
}

fn is_hex(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// True if `id` is `<prefix>-` and 8 or 17 lower-case hex digits.
pub(crate) fn well_formed(prefix: &str, id: &str) -> bool {
    id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|hex| is_hex(hex, &[8, 17]))
}

/// Refuses an id that is not of its resource's form; `kind` is the word in the error code.
pub(crate) fn check(kind: &str, prefix: &str, id: &str) -> Result<(), ApiError> {
    if well_formed(prefix, id) { Ok(()) } else { Err(error::malformed_id(kind, prefix, id)) }
}

pub(crate) fn check_group(id: &str) -> Result<(), ApiError> {
    check("GroupId", "sg", id)
}

pub(crate) fn check_vpc(id: &str) -> Result<(), ApiError> {
    check("VpcId", "vpc", id)
}

/// Makes ids and other random-looking values from the seed.
#[derive(Debug, Clone)]
pub(crate) struct IdMint(fastrand::Rng);

impl IdMint {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Where the seed has got to.
    pub(crate) fn state(&self) -> u64 {
        self.0.get_seed()
    }

    /// Goes on from there.
    pub(crate) fn resume(&mut self, state: u64) {
        self.0 = fastrand::Rng::with_seed(state);
    }

    /// A new id such as `sg-0…`.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.0.u64(..))
    }

    pub(crate) fn rule(&mut self) -> RuleId {
        RuleId(self.0.u64(..))
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.u64(..limit) }
    }

    /// A value in `[0, 1)`.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0.f64()
    }

    /// A UUID in its text form, as request and event ids have it.
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (u128::from(self.0.u64(..)), u128::from(self.0.u64(..)));
        uuid::Builder::from_random_bytes(((high << 64) | low).to_be_bytes()).into_uuid().to_string()
    }
}
