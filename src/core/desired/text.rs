//! Times, durations and names as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::core::model::is_ec2_text;

/// A time in the form the schema asks for: RFC 3339 without its liberties, years 2000 to 2999. The parser behind it knows
/// more forms (a space for the T, names of time zones) and later years than other programs can read.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let bad = || format!("'{text}' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999");
    if !is_rfc3339(text) {
        return Err(bad());
    }
    text.parse().map_err(|_| bad())
}

fn is_rfc3339(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let fraction = rest.strip_prefix('.').map(|rest| rest.trim_start_matches('0'));
    let digits = fraction.map_or(0, |zone| rest.len().saturating_sub(zone.len()).saturating_sub(1));
    let zone = fraction.unwrap_or(rest);
    // No second 60: one parser takes it for 59, the next refuses it. Nor an offset of a day and more.
    let leap = text.get(17..19) == Some("60");
    let day = text.len().checked_sub(5).and_then(|at| text.get(at..)).is_some_and(|offset| zone != "Z" && offset >= "24:00");
    let fits = !leap && !day && (fraction.is_none() || (1..=9).contains(&digits));
    text.starts_with('2') && fits && matches!(zone, "Z" | "+00:00" | "-00:00")
}

/// The most characters of a duration.
const MAX_DURATION: usize = 16;

/// A duration within bounds, as Go programs write it: `60s`, `1h30m`, `500ms`.
pub(super) fn duration(text: &str, within: &RangeInclusive<Duration>) -> Result<Duration, String> {
    // The parser behind it takes fractions, words, commas and ISO 8601 too; one spelling is enough.
    let mut units = text.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
    let plain = text.len() <= MAX_DURATION && units.all(|unit| matches!(unit, "h" | "m" | "s" | "ms"));
    let parsed = text.parse::<SignedDuration>().ok().filter(|_| plain).and_then(|duration| Duration::try_from(duration).ok());
    let Some(duration) = parsed else {
        return Err(format!("'{text}' is not a duration: write it like 60s, 5m or 1h30m"));
    };
    if !within.contains(&duration) {
        return Err(format!("'{text}' is out of bounds: write {} to {}", short(*within.start()), short(*within.end())));
    }
    Ok(duration)
}

/// A duration as [`duration`] reads it, for messages.
pub(super) fn short(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}").replace(' ', ""))
}

/// What to say of a text AWS would refuse.
pub(super) fn bad_text(what: &str) -> String {
    format!("AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; {{ }} ! $ * in {what}, 1 to 255 characters")
}

/// A description for AWS; an empty one is none.
pub(super) fn description(text: &str) -> Result<Option<String>, String> {
    if !is_ec2_text(text) {
        return Err(bad_text("a description"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Whether a text is a name of Kubernetes's with 63 characters at most: a DNS label (RFC 1123).
pub(super) fn is_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let bytes = text.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

/// Whether a text is a name of Kubernetes's: labels with dots between them, 253 characters at most.
pub(super) fn is_subdomain(text: &str) -> bool {
    // A part of a name may be longer than a label: Kubernetes bounds the whole only.
    let part = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_rfc_3339_in_the_years_2000_to_2999() {
        for (text, utc) in [
            ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z"),
            ("2026-12-24T18:00:00-00:30", "2026-12-24T18:30:00Z"),
            ("2026-12-24T18:00:00.123456789Z", "2026-12-24T18:00:00.123456789Z"),
            ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
            ("2999-12-31T23:59:59.999999999-23:59", "3000-01-01T23:58:59.999999999Z"),
            ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(time(text).expect(text).to_string(), utc, "{text}");
        }
        for bad in [
            "",
            "tomorrow",
            "2026-12-24",
            "2026-12-24T18:00Z",
            "2026-12-24 18:00:00Z",
            "2026-12-24t18:00:00z",
            "2026-12-24T18:00:00",
            "2026-12-24T18:00:00.Z",
            "2026-12-24T18:00:00.1234567890Z",
            "2026-12-24T18:00:00,5Z",
            "2026-12-24T18:00:00+0100",
            "2026-12-24T18:00:00+01",
            "2026-12-24T18:00:00Z[Europe/Berlin]",
            "2026-12-24T18:00:60Z",
            "2026-12-24T24:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-12-24T18:00:00+99:00",
            "2026-12-24T18:00:00+24:00",
            "2026-12-24T18:00:00-23:60",
            "1999-12-31T23:59:59Z",
            "3000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "-2026-12-24T18:00:00Z",
            " 2026-12-24T18:00:00Z",
            "2026-12-24T18:00:00Z ",
            "２026-12-24T18:00:00Z",
            "2026-12-24T18:00:0äZ",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_is_written_as_go_does_and_within_its_bounds() {
        let any = Duration::ZERO..=Duration::from_secs(86_400);
        for (text, millis) in
            [("60s", 60_000), ("1h30m", 5_400_000), ("500ms", 500), ("0s", 0), ("1m500ms", 60_500), ("24h", 86_400_000)]
        {
            assert_eq!(duration(text, &any), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "s",
            "60",
            "-5s",
            "+5s",
            "5 s",
            "1h 30m",
            "1 hour",
            "1hour",
            "PT1H",
            "1h,30m",
            "1d",
            "1w",
            "01:30:00",
            "1h ago",
            "1.s.",
            "1.5h",
            "0000000000000001s",
            "1hh",
            "99999999999999999999h",
            "1\u{b5}s",
            "60S",
        ] {
            assert_eq!(duration(bad, &any), Err(format!("'{bad}' is not a duration: write it like 60s, 5m or 1h30m")), "{bad}");
        }
        let bounds = Duration::from_secs(10)..=Duration::from_secs(3600);
        assert!(duration("10s", &bounds).is_ok() && duration("60m", &bounds).is_ok());
        for out in ["9s", "9999ms", "1h1ms", "0s"] {
            assert_eq!(duration(out, &bounds), Err(format!("'{out}' is out of bounds: write 10s to 1h")));
        }
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["a", "shop", "a-1", "1", &"x".repeat(63)] {
            assert!(is_label(good) && is_subdomain(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "ä", &"x".repeat(254)] {
            assert!(!is_label(bad) && !is_subdomain(bad), "{bad}");
        }
        for name in ["a.b", "web.v2.shop", &"x".repeat(64)] {
            assert!(!is_label(name) && is_subdomain(name), "{name}");
        }
        for bad in [".", "a.", ".a", "a..b", "a.-b"] {
            assert!(!is_subdomain(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in ".{0,40}", digits in "[0-9hms:.TZ+-]{0,40}") {
            for text in [text, digits] {
                let _ = (time(&text), duration(&text, &(Duration::ZERO..=Duration::MAX)), is_label(&text), is_subdomain(&text));
            }
        }

        #[test]
        fn a_time_is_read_as_it_was_printed(second in 946_684_800_i64..32_503_680_000, nano in 0_i32..1_000_000_000) {
            let at = Timestamp::new(second, nano).unwrap();
            prop_assert_eq!(time(&at.to_string()), Ok(at));
        }
    }
}
