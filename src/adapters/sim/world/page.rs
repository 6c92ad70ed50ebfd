//! Paging: `MaxResults` ranges and opaque tokens.
//!
//! Entry point: [`Pager::new`], then [`Pager::cut`] over rows sorted by key.
//!
//! Invariant: a token names the key to go on after, not an offset, so rows that come and go between pages are neither
//! repeated nor skipped; and it is tied to the call and its parameters.

use super::error::{self, ApiError};
use std::ops::RangeInclusive;

/// The paging members of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paging {
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<String>,
}

/// A page: the rows and the token of the next page.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

/// Checked paging of one request.
#[derive(Debug)]
pub(crate) struct Pager {
    limit: Option<usize>,
    after: Option<String>,
    scope: u64,
}

impl Pager {
    /// `scope` is whatever must be the same on every page: call, caller, ids and filters.
    pub(crate) fn new(paging: &Paging, range: &RangeInclusive<usize>, scope: &str) -> Result<Self, ApiError> {
        let scope = fingerprint(scope.as_bytes());
        let limit = match paging.max_results {
            None => None,
            Some(value) => match usize::try_from(value) {
                Ok(limit) if range.contains(&limit) => Some(limit),
                Ok(_) | Err(_) => return Err(error::bad_max_results(value, *range.start(), *range.end())),
            },
        };
        let after = match paging.next_token.as_deref() {
            None | Some("") => None,
            Some(token) => Some(open(token, scope)?),
        };
        Ok(Self { limit, after, scope })
    }

    /// The key that this page goes on after.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Keeps the rows of this page. Rows must come in the order of their keys.
    pub(crate) fn cut<T>(&self, rows: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Page<T> {
        let mut rows = rows.filter(|row| self.after.as_ref().is_none_or(|after| key(row) > *after));
        let Some(limit) = self.limit else { return (rows.collect(), None) };
        let page: Vec<T> = rows.by_ref().take(limit).collect();
        let more = rows.next().is_some();
        let token = page.last().filter(|_| more).map(|last| seal(&key(last), self.scope));
        (page, token)
    }
}

/// FNV-1a: stable over releases and platforms, which the standard hasher does not promise.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn veil(bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut stream = fastrand::Rng::with_seed(0x5157_a93d);
    bytes.map(|byte| byte ^ stream.u8(..)).collect()
}

fn seal(key: &str, scope: u64) -> String {
    let sum = fingerprint(key.as_bytes()) ^ scope;
    let bytes = veil(scope.to_be_bytes().into_iter().chain(sum.to_be_bytes()).chain(key.bytes()));
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

fn open(token: &str, scope: u64) -> Result<String, ApiError> {
    if token.len() > 4096 || !token.len().is_multiple_of(2) || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(error::bad_token());
    }
    let digits: Vec<u8> = token.bytes().filter_map(|b| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let bytes = veil(digits.chunks_exact(2).filter_map(|pair| Some(pair.first()? << 4 | pair.last()?)));
    let (issued, rest) = bytes.split_first_chunk::<8>().ok_or_else(error::bad_token)?;
    let (sum, key) = rest.split_first_chunk::<8>().ok_or_else(error::bad_token)?;
    let (issued, sum) = (u64::from_be_bytes(*issued), u64::from_be_bytes(*sum));
    if fingerprint(key) ^ issued != sum {
        return Err(error::bad_token());
    }
    if issued != scope {
        return Err(error::foreign_token());
    }
    String::from_utf8(key.to_vec()).map_err(|_| error::bad_token())
}
