//! `DescribeRegions`: a fixed list.
//!
//! Entry point: [`describe`].

use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::reply::Reply;
use std::borrow::Cow;

const ENABLED: &str = "opt-in-not-required";
const DISABLED: &str = "not-opted-in";

const REGIONS: &[(&str, &str)] = &[
    ("af-south-1", DISABLED),
    ("ap-east-1", DISABLED),
    ("ap-northeast-1", ENABLED),
    ("ap-northeast-2", ENABLED),
    ("ap-northeast-3", ENABLED),
    ("ap-south-1", ENABLED),
    ("ap-southeast-1", ENABLED),
    ("ap-southeast-2", ENABLED),
    ("ca-central-1", ENABLED),
    ("eu-central-1", ENABLED),
    ("eu-central-2", DISABLED),
    ("eu-north-1", ENABLED),
    ("eu-south-1", DISABLED),
    ("eu-west-1", ENABLED),
    ("eu-west-2", ENABLED),
    ("eu-west-3", ENABLED),
    ("me-south-1", DISABLED),
    ("sa-east-1", ENABLED),
    ("us-east-1", ENABLED),
    ("us-east-2", ENABLED),
    ("us-west-1", ENABLED),
    ("us-west-2", ENABLED),
];

/// The name under which a Region's EC2 is reached.
pub(crate) fn endpoint(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("ec2.{region}.amazonaws.com{suffix}")
}

/// Regions by name and filter; without `AllRegions` only the enabled ones.
pub(crate) fn describe(all: bool, describe: &Describe) -> Result<Reply, ApiError> {
    let Describe { ids: names, filters, paging: _ } = describe;
    let checked = Filters::checked(filters, &["endpoint", "opt-in-status", "region-name"], TagFilters::None)?;
    let unknown: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !REGIONS.iter().any(|(known, _)| known == name)).collect();
    if !unknown.is_empty() {
        return Err(error::invalid(format!("Invalid region names: [{}]", unknown.join(", "))));
    }
    let rows = REGIONS.iter().copied().filter(|(name, status)| {
        let asked_for = names.iter().any(|wanted| wanted == name);
        let chosen = if names.is_empty() { all || *status == ENABLED } else { asked_for };
        chosen
            && checked.admit(None, |field| match field {
                "endpoint" => vec![Cow::Owned(endpoint(name))],
                "opt-in-status" => vec![Cow::Borrowed(*status)],
                _ => vec![Cow::Borrowed(*name)],
            })
    });
    Ok(Reply::Regions(rows.collect()))
}
