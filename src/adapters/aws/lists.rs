//! Managed prefix lists, and what a rule that names one counts.

use aws_sdk_ec2::types::{ManagedPrefixList, PrefixListState};

use super::convert::{Unreadable, parsed, required};
use crate::core::model::{PrefixListFacts, Weight};

/// Who EC2 says owns AWS's own lists.
const AWS: &str = "AWS";

/// What AWS's lists count (VPC user guide, "AWS-managed prefix list weight"), by the end of their names: before it stands the
/// Region or `global`, and `ipv6` in those of that family. EC2 tells neither weight nor size of these.
const PUBLISHED: &[(&str, u32)] =
    &[(".cloudfront.origin-facing", 55), (".vpc-lattice", 10), (".groundstation", 5), (".s3", 1), (".dynamodb", 1)];

/// A row of `DescribeManagedPrefixLists`; `None` for one that is deleted, which EC2 still shows for a while.
pub(super) fn prefix_list(row: &ManagedPrefixList) -> Result<Option<PrefixListFacts>, Unreadable> {
    let id = required(row.prefix_list_id(), &"a prefix list", "id")?;
    let what = format!("prefix list {id}");
    if row.state() == Some(&PrefixListState::DeleteComplete) {
        return Ok(None);
    }
    let name = required(row.prefix_list_name(), &what, "name")?.to_owned();
    let owner = required(row.owner_id(), &what, "owner")?;
    let entries = |entries: i32| u32::try_from(entries).map_err(|_| Unreadable(format!("{what} is made for {entries} entries")));
    let size = row.max_entries().map(entries).transpose()?;
    let (owner, entries) = if owner == AWS {
        let published = PUBLISHED.iter().find(|(end, _)| name.ends_with(end)).map(|(_, weight)| *weight);
        // A list that came after this version: an estimate from below, which only warns.
        (None, published.or(size).unwrap_or(1))
    } else {
        (Some(parsed(owner, &what)?), *required(size.as_ref(), &what, "maximum of entries")?)
    };
    let weight = match required(row.address_family(), &what, "address family")? {
        family if family.eq_ignore_ascii_case("IPv4") => Weight { ipv4: entries, ipv6: 0 },
        family if family.eq_ignore_ascii_case("IPv6") => Weight { ipv4: 0, ipv6: entries },
        other => return Err(Unreadable(format!("{what}: '{other}' is not an address family"))),
    };
    Ok(Some(PrefixListFacts { id: parsed(id, &what)?, name, owner, weight, version: row.version() }))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::builders::ManagedPrefixListBuilder;

    use super::*;

    fn list(owner: &str, name: &str) -> ManagedPrefixListBuilder {
        ManagedPrefixList::builder().prefix_list_id("pl-0a1b2c3d").prefix_list_name(name).owner_id(owner).address_family("IPv4")
    }

    fn read(row: ManagedPrefixListBuilder) -> PrefixListFacts {
        prefix_list(&row.build()).unwrap().unwrap()
    }

    #[test]
    fn a_customers_list_counts_its_size_in_its_family() {
        let own = || list("111122223333", "offices").max_entries(7).version(3);
        let facts = read(own());
        assert_eq!((facts.weight, facts.version), (Weight { ipv4: 7, ipv6: 0 }, Some(3)));
        assert_eq!((facts.owner.unwrap().as_str(), facts.name.as_str()), ("111122223333", "offices"));
        assert_eq!(read(own().address_family("IPv6")).weight, Weight { ipv4: 0, ipv6: 7 });
        assert_eq!(read(list("111122223333", "x.cloudfront.origin-facing").max_entries(7)).weight.ipv4, 7, "the name of AWS's");
    }

    #[test]
    fn aws_s_lists_count_what_is_published() {
        for (name, weight) in [
            ("com.amazonaws.global.cloudfront.origin-facing", 55),
            ("com.amazonaws.global.ipv6.cloudfront.origin-facing", 55),
            ("com.amazonaws.eu-west-1.vpc-lattice", 10),
            ("com.amazonaws.eu-west-1.ipv6.vpc-lattice", 10),
            ("com.amazonaws.global.groundstation", 5),
            ("com.amazonaws.eu-west-1.s3", 1),
            ("com.amazonaws.eu-west-1.dynamodb", 1),
            ("com.amazonaws.eu-west-1.something-new", 1),
        ] {
            let facts = read(list("AWS", name));
            assert_eq!((facts.weight.ipv4, facts.owner, facts.version), (weight, None, None), "{name}");
        }
        assert_eq!(read(list("AWS", "com.amazonaws.eu-west-1.something-new").max_entries(9)).weight.ipv4, 9);
        assert_eq!(read(list("AWS", "com.amazonaws.eu-west-1.s3").max_entries(9)).weight.ipv4, 1, "published wins");
    }

    #[test]
    fn a_deleted_list_is_none_and_one_that_is_being_changed_is_there() {
        let deleted = list("111122223333", "offices").max_entries(7).state(PrefixListState::DeleteComplete);
        assert_eq!(prefix_list(&deleted.build()).unwrap(), None);
        let changing = list("111122223333", "offices").max_entries(7).state(PrefixListState::ModifyInProgress);
        assert!(prefix_list(&changing.build()).unwrap().is_some());
    }

    #[test]
    fn a_list_that_cannot_be_read_says_which_and_why() {
        let refusal = |row: ManagedPrefixListBuilder| prefix_list(&row.build()).unwrap_err().to_string();
        let own = || list("111122223333", "offices").max_entries(7);
        assert_eq!(refusal(own().set_max_entries(None)), "prefix list pl-0a1b2c3d has no maximum of entries");
        assert_eq!(refusal(own().address_family("IPv5")), "prefix list pl-0a1b2c3d: 'IPv5' is not an address family");
        for bad in [
            own().max_entries(-1),
            own().set_owner_id(None),
            own().owner_id("aws"),
            own().set_prefix_list_name(None),
            own().set_prefix_list_id(None),
            own().prefix_list_id("pl-1"),
            own().set_address_family(None),
        ] {
            assert!(prefix_list(&bad.build()).is_err());
        }
    }
}
