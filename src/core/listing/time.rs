//! Durations as people write and read them.

use jiff::{SignedDuration, Timestamp};

/// The longest duration that can be asked for.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// Reads a duration such as `90s`, `30m`, `24h`, `7d` or `1h30m`.
pub fn span(text: &str) -> Result<SignedDuration, String> {
    let bad = || format!("'{text}' is not a duration: write it like 30m, 24h or 7d");
    let mut total = SignedDuration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit_on) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| bad())?;
        let mut characters = unit_on.chars();
        let seconds = match characters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some(_) | None => return Err(bad()),
        };
        let part = number.checked_mul(seconds).map(SignedDuration::from_secs).ok_or_else(bad)?;
        total = total.checked_add(part).filter(|total| *total <= LONGEST).ok_or_else(bad)?;
        rest = characters.as_str();
    }
    if total.is_zero() { Err(bad()) } else { Ok(total) }
}

/// How long ago something was: the largest unit that fills.
pub(super) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    // A clock ahead of ours is no reason to speak of the future.
    let seconds = seconds.max(0);
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    let large = units.into_iter().find(|(length, _)| seconds >= *length);
    large.map_or_else(|| format!("{seconds}s ago"), |(length, unit)| format!("{}{unit} ago", seconds / length))
}

/// How long something took: tenths below ten seconds, then whole units.
pub(super) fn took(from: Timestamp, to: Timestamp) -> String {
    let length = to.duration_since(from).max(SignedDuration::ZERO);
    let seconds = length.as_secs();
    match seconds {
        ..10 => format!("{seconds}.{} s", length.subsec_millis() / 100),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200.. => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_one_spelling() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5400)] {
            assert_eq!(span(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "5", "h", "-1h", "1.5h", "1y", "0s", "99999999999999999999s", "9999999999999d", "3651d", "1h ", "٣h"] {
            assert!(span(bad).is_err_and(|error| error.contains("30m, 24h or 7d")), "{bad}");
        }
    }

    #[test]
    fn times_are_told_in_the_unit_that_says_most() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let told = |seconds: i64| ago(now, now - SignedDuration::from_secs(seconds));
        assert_eq!([-5, 0, 59, 60, 7199, 90_000].map(told), ["0s ago", "0s ago", "59s ago", "1m ago", "1h ago", "1d ago"]);
        let took = |millis: i64| took(now, now + SignedDuration::from_millis(millis));
        assert_eq!([-5, 840, 9_999, 61_000, 180_000, 7_200_000].map(took), ["0.0 s", "0.8 s", "9.9 s", "61 s", "3 min", "2 h"]);
    }
}
