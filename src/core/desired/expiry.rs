//! Rules and ranges that are desired until a time, and what was acted on already.
//!
//! An expiry that was acted on is latched: a line in `status.expired` holds it, and whatever the clock says later, it stays so.
//! A line is one of
//!
//! - `<direction> <rule> <time>`: the rule that the manifest lets end at this very time is over;
//! - `<direction> <rule> ranges <time>`: of the sets that the rule uses, every range that ends at this time or earlier is over.
//!   One line for all of them: a line each would be thousands, more than a status has room for.
//!
//! The time has one spelling, in UTC, so that another spelling of it in the manifest is no news. A line goes when the manifest
//! has nothing left that it is about; to open again what a wrong clock closed, one writes another time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::MAX_EXPIRED;
use crate::core::model::{Direction, RuleName};

/// A rule, by its direction and name.
type Key = (Direction, RuleName);

/// The word of a line about the ranges of sets. A rule's own line has the time in this place.
const RANGES: &str = "ranges";

/// Tells what has expired, and keeps what comes of it.
pub(super) struct Expiries<'a> {
    now: Timestamp,
    before: &'a BTreeSet<String>,
    /// Until when the ranges that a rule uses were over before.
    ranges_before: BTreeMap<Key, Timestamp>,
    rules: BTreeMap<Key, Timestamp>,
    ranges: BTreeMap<Key, Timestamp>,
    /// Rules of which something has expired.
    pub(super) expired: BTreeSet<Key>,
    /// Rules of which something is going to expire, with the first time.
    pub(super) expiring: BTreeMap<Key, Timestamp>,
}

impl<'a> Expiries<'a> {
    pub(super) fn new(now: Timestamp, before: &'a BTreeSet<String>) -> Self {
        Self {
            now,
            before,
            ranges_before: before.iter().filter_map(|line| read_ranges(line)).collect(),
            rules: BTreeMap::new(),
            ranges: BTreeMap::new(),
            expired: BTreeSet::new(),
            expiring: BTreeMap::new(),
        }
    }

    /// Whether a rule is over that ends at this time.
    pub(super) fn is_rule_over(&mut self, direction: Direction, rule: &RuleName, at: Timestamp) -> bool {
        let over = at <= self.now || self.before.contains(&rule_line(direction, rule, at));
        self.note((direction, rule.clone()), at, over);
        if over {
            self.rules.insert((direction, rule.clone()), at);
            // Its ranges are not looked into. What is known of them counts again when the rule's own end is changed.
            self.keep_ranges(direction, rule);
        }
        over
    }

    /// Whether a range of a set is over that ends at this time, for a rule that uses the set.
    pub(super) fn is_range_over(&mut self, direction: Direction, rule: &RuleName, at: Timestamp) -> bool {
        let key = (direction, rule.clone());
        let over = at <= self.now || self.ranges_before.get(&key).is_some_and(|before| at <= *before);
        self.note(key.clone(), at, over);
        if over {
            self.raise(key, at);
        }
        over
    }

    /// Keeps what is latched of the ranges that a rule uses: they cannot be looked at now.
    pub(super) fn keep_ranges(&mut self, direction: Direction, rule: &RuleName) {
        let key = (direction, rule.clone());
        if let Some(before) = self.ranges_before.get(&key).copied() {
            self.raise(key, before);
        }
    }

    /// The lines for the status.
    pub(super) fn latched(&self) -> BTreeSet<String> {
        let rules = self.rules.iter().map(|((direction, rule), at)| (*at, rule_line(*direction, rule, *at)));
        let ranges = self.ranges.iter().map(|((direction, rule), at)| (*at, format!("{direction} {rule} {RANGES} {at}")));
        latest(rules.chain(ranges), MAX_EXPIRED)
    }

    fn note(&mut self, key: Key, at: Timestamp, over: bool) {
        if over {
            self.expired.insert(key);
        } else {
            let first = self.expiring.entry(key).or_insert(at);
            *first = at.min(*first);
        }
    }

    fn raise(&mut self, key: Key, at: Timestamp) {
        let latest = self.ranges.entry(key).or_insert(at);
        *latest = at.max(*latest);
    }
}

/// As many lines as a status has room for: those that ended last, for they are the ones that a clock set back would open.
fn latest(lines: impl Iterator<Item = (Timestamp, String)>, most: usize) -> BTreeSet<String> {
    let lines: BTreeSet<(Timestamp, String)> = lines.collect();
    lines.into_iter().rev().take(most).map(|(_, line)| line).collect()
}

fn rule_line(direction: Direction, rule: &RuleName, at: Timestamp) -> String {
    format!("{direction} {rule} {at}")
}

/// A line about ranges. Any other, of a later version or by hand, latches nothing.
fn read_ranges(line: &str) -> Option<(Key, Timestamp)> {
    let [direction, rule, RANGES, at] = *line.split(' ').collect::<Vec<_>>() else { return None };
    let direction = Direction::BOTH.into_iter().find(|known| known.to_string() == direction)?;
    Some(((direction, rule.parse().ok()?), at.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::core::desired::tests::{lines, lookups, ranges, set};
    use crate::core::desired::{Declaration, Desired, Lookup, Lookups, parse};

    fn declaration(rules: &str) -> Declaration {
        let yaml = format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web, namespace: shop}}\nspec:\n  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: DenyAll\n  ingress:\n{rules}"
        );
        parse(&serde_yaml::from_str(&yaml).unwrap()).unwrap()
    }

    /// A pass at a time, over what was latched before.
    fn at(declaration: &Declaration, now: &str, latched: &BTreeSet<String>, office: Lookup) -> Desired {
        let mut lookups = Lookups { now: now.parse().unwrap(), latched: latched.clone(), ..lookups() };
        lookups.objects.insert(set("shop/office"), office);
        declaration.resolve(&lookups)
    }

    fn texts(latched: &BTreeSet<String>) -> Vec<&str> {
        latched.iter().map(String::as_str).collect()
    }

    fn names(rules: &BTreeSet<(Direction, RuleName)>) -> Vec<String> {
        rules.iter().map(|(direction, rule)| format!("{direction} {rule}")).collect()
    }

    const RULE: &str = "    - {name: a, protocol: all, from: [{cidr: 10.0.0.0/8}], expiresAt: \"2026-12-24T19:00:00+01:00\"}
    - {name: b, protocol: all, from: [{cidr: 10.0.0.0/8}, {cidr: 10.0.0.0/9}]}";

    #[test]
    fn a_rule_is_desired_until_the_second_it_expires() {
        let declaration = declaration(RULE);
        let none = BTreeSet::new();
        let office = || ranges(&[]);
        let before = at(&declaration, "2026-12-24T17:59:59.999Z", &none, office());
        assert_eq!(lines(&before), ["ingress all from 10.0.0.0/8 | a | -", "ingress all from 10.0.0.0/9 | b | -"]);
        assert_eq!((before.expired.len(), before.latched.len()), (0, 0));
        assert_eq!(before.next_expiry, Some("2026-12-24T18:00:00Z".parse().unwrap()));
        assert_eq!(before.expiring.len(), 1);
        let after = at(&declaration, "2026-12-24T18:00:00Z", &none, office());
        // What another rule desires too stays, and is that rule's.
        assert_eq!(lines(&after), ["ingress all from 10.0.0.0/8 | b | -", "ingress all from 10.0.0.0/9 | b | -"]);
        assert_eq!(
            (names(&after.expired), texts(&after.latched)),
            (vec!["ingress a".to_owned()], vec!["ingress a 2026-12-24T18:00:00Z"])
        );
        assert_eq!((after.next_expiry, after.expiring.len()), (None, 0));
    }

    #[test]
    fn a_range_of_a_set_expires_by_itself() {
        let declaration = declaration(
            "    - {name: a, protocol: tcp, ports: [80, 81], from: [{cidrSet: {name: office}}]}\n    - {name: b, protocol: icmp, from: [{cidrSet: {name: office}}]}",
        );
        // An expired range of the other family holds nothing either.
        let office = || {
            ranges(&[
                "192.0.2.0/24",
                "198.51.100.0/24 @ 2026-12-01T00:00:00Z",
                "2001:db8::/32 @ 2026-11-01T00:00:00Z",
                "203.0.113.0/25 @ 2027-01-01T00:00:00Z",
                "203.0.113.128/25 @ 2027-02-01T00:00:00Z",
            ])
        };
        let desired = at(&declaration, "2026-12-24T00:00:00Z", &BTreeSet::new(), office());
        insta::assert_snapshot!(lines(&desired).join("\n"), @r"
        ingress tcp 80 from 192.0.2.0/24 | a | -
        ingress tcp 80 from 203.0.113.0/25 | a | -
        ingress tcp 80 from 203.0.113.128/25 | a | -
        ingress tcp 81 from 192.0.2.0/24 | a | -
        ingress tcp 81 from 203.0.113.0/25 | a | -
        ingress tcp 81 from 203.0.113.128/25 | a | -
        ingress icmp from 192.0.2.0/24 | b | -
        ingress icmp from 203.0.113.0/25 | b | -
        ingress icmp from 203.0.113.128/25 | b | -
        ");
        assert_eq!(texts(&desired.latched), ["ingress a ranges 2026-12-01T00:00:00Z", "ingress b ranges 2026-12-01T00:00:00Z"]);
        assert_eq!(names(&desired.expired), ["ingress a", "ingress b"]);
        assert_eq!(desired.held.len(), 0);
        assert_eq!(desired.next_expiry, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_clock_set_back_opens_nothing_until_the_manifest_says_another_time() {
        let both = declaration(
            "    - {name: a, protocol: all, from: [{cidr: 10.0.0.0/8}, {cidrSet: {name: office}}], expiresAt: \"2026-12-24T18:00:00Z\"}\n    - {name: b, protocol: all, from: [{cidrSet: {name: office}}]}",
        );
        let office = || ranges(&["192.0.2.0/24 @ 2026-12-01T00:00:00Z"]);
        let latched = at(&both, "2027-01-01T00:00:00Z", &BTreeSet::new(), office()).latched;
        assert_eq!(texts(&latched), ["ingress a 2026-12-24T18:00:00Z", "ingress b ranges 2026-12-01T00:00:00Z"]);
        let back = at(&both, "2026-10-01T00:00:00Z", &latched, office());
        assert_eq!((lines(&back), &back.latched, back.next_expiry), (vec![], &latched, None));
        // Another spelling of the same time is the same time.
        let respelled = declaration(&RULE.replace("from: [{cidr: 10.0.0.0/8}]", "from: [{cidr: 172.16.0.0/12}]"));
        assert!(!lines(&at(&respelled, "2026-10-01T00:00:00Z", &latched, office())).iter().any(|line| line.contains("172.16")));
        // Another time is meant, and what the status said of the old one is forgotten.
        let later = declaration(&RULE.replace("2026-12-24T19:00:00+01:00", "2026-12-24T20:00:00+01:00"));
        let renewed = at(&later, "2026-10-01T00:00:00Z", &latched, office());
        assert_eq!((lines(&renewed).len(), renewed.latched.len()), (2, 0));
        // So is what the set says.
        let renewed = at(&both, "2026-10-01T00:00:00Z", &latched, ranges(&["192.0.2.0/24 @ 2026-12-02T00:00:00Z"]));
        assert_eq!(lines(&renewed), ["ingress all from 192.0.2.0/24 | b | -"]);
        // A rule that no longer expires was meant that way.
        let forever = declaration("    - {name: a, protocol: all, from: [{cidr: 10.0.0.0/8}]}");
        assert_eq!(lines(&at(&forever, "2026-10-01T00:00:00Z", &latched, office())).len(), 1);
    }

    #[test]
    fn what_cannot_be_looked_at_now_stays_latched() {
        let rule = declaration("    - {name: a, protocol: all, from: [{cidrSet: {name: office}}]}");
        let office = || ranges(&["192.0.2.0/24 @ 2026-12-01T00:00:00Z", "198.51.100.0/24"]);
        let latched = at(&rule, "2026-12-24T00:00:00Z", &BTreeSet::new(), office()).latched;
        for gone in [Lookup::Unknown("no answer".into()), Lookup::Refused("no grant".into())] {
            let meanwhile = at(&rule, "2026-11-01T00:00:00Z", &latched, gone);
            assert_eq!(meanwhile.latched, latched);
            let back = at(&rule, "2026-11-01T00:00:00Z", &meanwhile.latched, office());
            assert_eq!(lines(&back), ["ingress all from 198.51.100.0/24 | a | -"]);
        }
        // The set is gone from the rule, or the range from the set: nothing is left to be latched.
        let without = declaration("    - {name: a, protocol: all, from: [{cidr: 10.0.0.0/8}]}");
        assert_eq!(texts(&at(&without, "2026-12-24T00:00:00Z", &latched, office()).latched), [""; 0]);
        assert_eq!(texts(&at(&rule, "2026-12-24T00:00:00Z", &latched, ranges(&["198.51.100.0/24"])).latched), [""; 0]);
        // A rule that has expired as a whole is not looked into; its time may be changed.
        let expired =
            declaration("    - {name: a, protocol: all, from: [{cidrSet: {name: office}}], expiresAt: \"2026-12-20T00:00:00Z\"}");
        let meanwhile = at(&expired, "2026-12-24T00:00:00Z", &latched, office()).latched;
        assert_eq!(meanwhile.len(), 2);
        assert_eq!(lines(&at(&rule, "2026-11-01T00:00:00Z", &meanwhile, office())), ["ingress all from 198.51.100.0/24 | a | -"]);
        // An older time of the rule itself is not kept with its ranges.
        let twice = at(&expired, "2026-12-24T00:00:00Z", &BTreeSet::from(["ingress a 2026-12-19T00:00:00Z".to_owned()]), office());
        assert_eq!(texts(&twice.latched), ["ingress a 2026-12-20T00:00:00Z"]);
    }

    #[test]
    fn a_status_keeps_those_that_ended_last() {
        let day = |n: u32| format!("2026-10-{n:02}T00:00:00Z").parse::<Timestamp>().unwrap();
        let lines = [(2, "b"), (9, "a"), (1, "c"), (9, "d")].map(|(n, line)| (day(n), line.to_owned()));
        assert_eq!(texts(&latest(lines.clone().into_iter(), 3)), ["a", "b", "d"]);
        assert_eq!(texts(&latest(lines.into_iter(), 4)), ["a", "b", "c", "d"]);
    }

    #[test]
    fn lines_that_are_not_ours_latch_nothing() {
        let rule = declaration("    - {name: a, protocol: all, from: [{cidrSet: {name: office}}]}");
        let lines = [
            "",
            " ",
            "a",
            "ingress a ranges soon",
            "inside a ranges 2026-12-01T00:00:00Z",
            "ingress A ranges 2026-12-01T00:00:00Z",
            "ingress a  ranges 2026-12-01T00:00:00Z",
            "ingress a domains 2026-12-01T00:00:00Z",
        ];
        let office = || ranges(&["192.0.2.0/24 @ 2026-12-01T00:00:00Z"]);
        let desired = at(&rule, "2026-11-01T00:00:00Z", &lines.map(str::to_owned).into(), office());
        assert_eq!((desired.rules.len(), desired.latched.len()), (1, 0));
    }

    #[test]
    fn the_longest_line_fits_a_status() {
        let (rule, at): (RuleName, Timestamp) =
            ("r".repeat(63).parse().unwrap(), "2999-12-31T23:59:59.999999999Z".parse().unwrap());
        let before = BTreeSet::new();
        let mut expiries = Expiries::new(Timestamp::MAX, &before);
        assert!(expiries.is_rule_over(Direction::Ingress, &rule, at) && expiries.is_range_over(Direction::Ingress, &rule, at));
        let longest = expiries.latched().iter().map(String::len).max();
        assert!(longest <= Some(112), "{longest:?}");
    }

    proptest! {
        #[test]
        fn what_expired_once_is_never_desired_again(minutes in vec(0_i64..400, 1..30), lost in vec(any::<bool>(), 30)) {
            let end = |minute: i64| Timestamp::from_second(1_800_000_000 + minute * 60).unwrap();
            let rule = declaration(&format!(
                "    - {{name: a, protocol: all, from: [{{cidr: 10.0.0.0/8}}], expiresAt: \"{}\"}}\n    - {{name: b, protocol: all, from: [{{cidrSet: {{name: office}}}}], expiresAt: \"{}\"}}",
                end(100),
                end(300),
            ));
            let entries = [format!("192.0.2.0/24 @ {}", end(200)), format!("198.51.100.0/24 @ {}", end(250))];
            let mut latched = BTreeSet::new();
            let mut latest = -1;
            for (minute, lost) in minutes.into_iter().zip(lost) {
                latest = latest.max(minute);
                let office = if lost { Lookup::Unknown("no answer".into()) } else { ranges(&[&entries[0], &entries[1]]) };
                let desired = at(&rule, &end(minute).to_string(), &latched, office);
                latched = desired.latched;
                let live = |text: &str| desired.rules.iter().any(|(atom, _)| atom.to_string().contains(text));
                // The whole rule, which needs no look at anything, is over from the latest time on that was ever seen.
                prop_assert_eq!(live("10.0.0.0/8"), latest < 100);
                if latest >= 300 {
                    prop_assert!(!live("192.0.2.0/24") && !live("198.51.100.0/24"));
                }
                prop_assert!(desired.next_expiry.is_none_or(|next| next > end(minute)));
            }
        }

        #[test]
        fn what_is_latched_of_ranges_only_grows_and_closes_just_those_that_are_over(minutes in vec(0_i64..400, 1..30)) {
            let end = |minute: i64| Timestamp::from_second(1_800_000_000 + minute * 60).unwrap();
            let rule = declaration("    - {name: b, protocol: all, from: [{cidrSet: {name: office}}]}");
            let entries: Vec<String> = (0..8).map(|n| format!("192.0.2.{n}/32 @ {}", end(i64::from(n) * 50))).collect();
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            let (mut latched, mut before) = (BTreeSet::new(), String::new());
            let mut latest = -1;
            for minute in minutes {
                latest = latest.max(minute);
                let desired = at(&rule, &end(minute).to_string(), &latched, ranges(&entries));
                latched = desired.latched;
                let expected = (0..8).filter(|n| n * 50 <= latest).count();
                prop_assert_eq!((latched.len(), desired.rules.len()), (1, 8 - expected));
                // Read as a status reads them, later ones sort behind earlier ones.
                let line = latched.first().cloned().unwrap();
                prop_assert!(before <= line, "{} after {}", line, before);
                before = line;
            }
        }
    }
}
