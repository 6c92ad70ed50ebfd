//! Prefix lists by name: the id behind a name is pinned when it is first looked up, so that nobody moves a group's traffic by
//! giving another list the name.
//!
//! Entry points: [`pinned_prefix_lists`], [`pin_lines`]. The lines of `status.pins`:
//! `prefix-list <name> <id>`.

use std::collections::BTreeMap;

use crate::core::model::PrefixListId;

const PREFIX_LIST: &str = "prefix-list ";

/// The prefix lists that a status pins. Lines that are none, of a later version, are passed over.
pub fn pinned_prefix_lists(pins: &[String]) -> BTreeMap<String, PrefixListId> {
    let read = |line: &String| {
        // A name may have spaces in it, an id has none.
        let (name, id) = line.strip_prefix(PREFIX_LIST)?.rsplit_once(' ')?;
        Some((name.to_owned(), id.parse().ok()?))
    };
    pins.iter().filter_map(read).collect()
}

/// The lines for `status.pins`.
pub fn pin_lines(lists: &BTreeMap<String, PrefixListId>) -> Vec<String> {
    lists.iter().map(|(name, id)| format!("{PREFIX_LIST}{name} {id}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> PrefixListId {
        format!("pl-{n:08x}").parse().unwrap()
    }

    #[test]
    fn pins_are_read_back_as_they_were_written() {
        let lists = BTreeMap::from([
            ("com.amazonaws.global.cloudfront.origin-facing".to_owned(), id(1)),
            ("our own list".to_owned(), id(2)),
            (" prefix-list ".to_owned(), id(3)),
        ]);
        let mut lines = pin_lines(&lists);
        assert_eq!(lines.last().unwrap(), "prefix-list our own list pl-00000002");
        assert_eq!(pinned_prefix_lists(&lines), lists);
        for other in ["", "prefix-list", "prefix-list x", "prefix-list x sg-00000001", "vpc main vpc-00000001"] {
            lines.push(other.to_owned());
        }
        assert_eq!(pinned_prefix_lists(&lines), lists);
    }
}
