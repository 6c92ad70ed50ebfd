//! A `CidrSet` as people wrote it, to the ranges it stands for.

use crate::api::{self, CidrSet};

use super::namespaces::Allowed;
use super::peer::parse_range;
use super::problem::Problems;
use super::{Problem, Range, text};

/// The ranges of a set in their order, expired ones too, or everything that is wrong with the set. A set with a problem is no
/// set: rules that use it are held, none of its ranges counts for less than the others.
pub fn parse_cidr_set(set: &CidrSet) -> Result<Vec<Range>, Vec<Problem>> {
    let api::CidrSetSpec { cidrs, allow_empty, allowed_namespaces } = &set.spec;
    let mut problems = Problems::default();
    Allowed::parse(allowed_namespaces.as_ref(), "spec.allowedNamespaces", &mut problems);
    // An emptied list is more often a template gone wrong than a wish to lock everybody out.
    if cidrs.is_empty() && *allow_empty != Some(true) {
        problems.add("spec.cidrs", "a set without ranges allows nobody: list at least one, or set allowEmpty: true");
    }
    if cidrs.len() > api::MAX_CIDRS {
        problems.add("spec.cidrs", format!("at most {} ranges: merge some, or split the set", api::MAX_CIDRS));
    }
    let mut ranges = Vec::new();
    for (index, entry) in cidrs.iter().enumerate() {
        let api::CidrEntry { cidr, description, expires_at } = entry;
        let path = format!("spec.cidrs[{index}]");
        let net = problems.keep(format!("{path}.cidr"), parse_range(cidr.as_str()));
        let description = description.as_deref().map(text::description);
        let description = description.and_then(|text| problems.keep(format!("{path}.description"), text)).flatten();
        let expires_at = expires_at.as_deref().and_then(|at| problems.keep(format!("{path}.expiresAt"), text::time(at)));
        ranges.extend(net.map(|net| Range { net, description, expires_at }));
    }
    problems.settle(Some(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(spec: &str) -> Result<Vec<String>, Vec<String>> {
        let yaml = format!("{{apiVersion: sgwarden.dev/v1alpha1, kind: CidrSet, metadata: {{name: office}}, spec: {spec}}}");
        let show = |range: &Range| {
            let at = range.expires_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
            format!("{} {} {at}", range.net, range.description.as_deref().unwrap_or("-"))
        };
        parse_cidr_set(&serde_yaml::from_str(&yaml).unwrap())
            .map(|ranges| ranges.iter().map(show).collect())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn ranges_keep_their_order_their_descriptions_and_their_end() {
        let ranges = parsed(
            "{cidrs: [{cidr: 192.0.2.0/24, description: office}, {cidr: \"2001:DB8::/32\", expiresAt: \"2026-12-24T18:00:00+01:00\"},
              {cidr: 192.0.2.0/24, description: \"\"}]}",
        );
        assert_eq!(ranges.unwrap(), ["192.0.2.0/24 office -", "2001:db8::/32 - 2026-12-24T17:00:00Z", "192.0.2.0/24 - -"]);
    }

    #[test]
    fn an_empty_set_has_to_be_meant() {
        assert_eq!(parsed("{allowEmpty: true}").unwrap(), [""; 0]);
        for empty in ["{}", "{cidrs: []}", "{cidrs: [], allowEmpty: false}"] {
            assert_eq!(
                parsed(empty).unwrap_err(),
                ["spec.cidrs: a set without ranges allows nobody: list at least one, or set allowEmpty: true"]
            );
        }
        assert!(parsed("{cidrs: [{cidr: 10.0.0.0/8}], allowEmpty: true}").is_ok());
    }

    #[test]
    fn everything_wrong_with_a_set_is_told_at_once() {
        let problems = parsed(
            "{cidrs: [{cidr: 10.1.2.3/8}, {cidr: 10.0.0.0/8, description: \"it's\", expiresAt: tomorrow}, {cidr: \"::ffff:10.0.0.0/104\"}],
              allowedNamespaces: {from: Some}}",
        )
        .unwrap_err();
        insta::assert_snapshot!(problems.join("\n"), @r"
        spec.allowedNamespaces.from: 'Some' is not one of Same, All, Selector
        spec.cidrs[0].cidr: '10.1.2.3/8' has host bits set: write '10.0.0.0/8' for the range or '10.1.2.3/32' for the one address
        spec.cidrs[1].description: AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in a description, 1 to 255 characters
        spec.cidrs[1].expiresAt: 'tomorrow' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999
        spec.cidrs[2].cidr: '::ffff:10.0.0.0/104' is IPv4-mapped IPv6, which is refused: write the IPv4 range
        ");
    }

    #[test]
    fn a_set_has_a_thousand_ranges_at_most() {
        let cidrs = |n: usize| format!("{{cidrs: [{}]}}", vec!["{cidr: 10.0.0.0/8}"; n].join(", "));
        assert_eq!(parsed(&cidrs(1000)).unwrap().len(), 1000);
        assert_eq!(parsed(&cidrs(1001)).unwrap_err(), ["spec.cidrs: at most 1000 ranges: merge some, or split the set"]);
    }
}
