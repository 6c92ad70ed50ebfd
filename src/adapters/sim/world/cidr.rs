//! CIDR blocks in EC2's canonical form: host bits masked, IPv6 as RFC 5952.
//!
//! Entry point: [`v4`], [`v6`].

use super::error::{self, ApiError};
use ipnet::{Ipv4Net, Ipv6Net};

fn malformed(text: &str) -> ApiError {
    error::invalid(format!("CIDR block {text} is malformed"))
}

/// Splits off the prefix length, which EC2 demands in plain decimal.
fn halves(text: &str) -> Option<(&str, u8)> {
    let (address, length) = text.split_once('/')?;
    let plain = !length.is_empty() && length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
    let length = if plain { length.parse().ok()? } else { return None };
    Some((address, length))
}

/// Reads an IPv4 block and masks its host bits.
pub(crate) fn v4(text: &str) -> Result<Ipv4Net, ApiError> {
    let net = halves(text).and_then(|(address, length)| Ipv4Net::new(address.parse().ok()?, length).ok());
    net.map(|net| net.trunc()).ok_or_else(|| malformed(text))
}

/// Reads an IPv6 block and masks its host bits. IPv4-mapped addresses are refused: what EC2 does with them is not documented.
pub(crate) fn v6(text: &str) -> Result<Ipv6Net, ApiError> {
    let net = halves(text).and_then(|(address, length)| Ipv6Net::new(address.parse().ok()?, length).ok());
    net.filter(|net| net.addr().to_ipv4_mapped().is_none()).map(|net| net.trunc()).ok_or_else(|| malformed(text))
}
