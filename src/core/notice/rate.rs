//! How much may be sent now: a bucket of tokens, and a digest of what waits when it runs dry.
//!
//! Entry point: [`Limiter`]. Time is passed in.
//!
//! Invariant: never more messages than the bucket gives. What waits is told one by one as long as there are tokens, and the last
//! token goes to a message that lists what is left.

use jiff::{SignedDuration, Timestamp};

use super::DIGEST;
use crate::core::desired::Rate;

/// What a minute's worth of a token is divided into.
const PARTS: i64 = 60_000;

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send the first that waits.
    One,
    /// Send the first so many that wait, as one message.
    Digest(usize),
    /// Nothing before then.
    Wait(Timestamp),
}

/// The tokens of one notifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    rate: Rate,
    /// In parts of a token.
    level: i64,
    at: Timestamp,
}

impl Limiter {
    /// A full bucket.
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, level: full(rate), at: now }
    }

    /// Another rate from now on; what was used up stays so.
    pub fn set(&mut self, rate: Rate, now: Timestamp) {
        self.refill(now);
        let used = full(self.rate) - self.level;
        self.level = (full(rate) - used).max(0);
        self.rate = rate;
    }

    /// What to do about so many that wait; more than none.
    pub fn turn(&mut self, waiting: usize, now: Timestamp) -> Turn {
        self.refill(now);
        match (self.level / PARTS, waiting) {
            (0, _) => Turn::Wait(self.next_token()),
            (1, 2..) => Turn::Digest(waiting.min(DIGEST)),
            (_, _) => Turn::One,
        }
    }

    /// A message was sent.
    pub fn sent(&mut self, now: Timestamp) {
        self.refill(now);
        self.level = (self.level - PARTS).max(0);
    }

    fn refill(&mut self, now: Timestamp) {
        // A clock that was set back gives nothing, and takes nothing.
        let elapsed = now.duration_since(self.at).max(SignedDuration::ZERO).as_millis();
        let gained = i64::try_from(elapsed).unwrap_or(i64::MAX).saturating_mul(i64::from(self.rate.per_minute));
        self.level = self.level.saturating_add(gained).min(full(self.rate));
        self.at = now;
    }

    fn next_token(&self) -> Timestamp {
        let missing = PARTS - self.level % PARTS;
        let per_milli = i64::from(self.rate.per_minute).max(1);
        let millis = missing.div_euclid(per_milli) + i64::from(missing.rem_euclid(per_milli) > 0);
        self.at.checked_add(SignedDuration::from_millis(millis)).unwrap_or(Timestamp::MAX)
    }
}

fn full(rate: Rate) -> i64 {
    i64::from(rate.burst).saturating_mul(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn after(millis: i64) -> Timestamp {
        start().checked_add(SignedDuration::from_millis(millis)).unwrap()
    }

    #[test]
    fn a_burst_goes_out_one_by_one_and_the_rest_as_one() {
        let mut limiter = Limiter::new(Rate { per_minute: 6, burst: 3 }, start());
        let mut turns = Vec::new();
        let mut waiting = 7_usize;
        while waiting > 0 {
            let turn = limiter.turn(waiting, start());
            turns.push(turn);
            match turn {
                Turn::One => waiting -= 1,
                Turn::Digest(several) => waiting -= several,
                Turn::Wait(_) => break,
            }
            limiter.sent(start());
        }
        assert_eq!(turns, [Turn::One, Turn::One, Turn::Digest(5)]);
        assert_eq!(limiter.turn(1, start()), Turn::Wait(after(10_000)), "6 a minute are one in 10 s");
        assert_eq!(limiter.turn(1, after(9_999)), Turn::Wait(after(10_000)));
        assert_eq!(limiter.turn(1, after(10_000)), Turn::One);
        assert_eq!(limiter.turn(2, after(10_000)), Turn::Digest(2));
    }

    #[test]
    fn a_digest_has_an_end() {
        let mut limiter = Limiter::new(Rate { per_minute: 60, burst: 1 }, start());
        assert_eq!(limiter.turn(100, start()), Turn::Digest(DIGEST));
    }

    #[test]
    fn never_more_than_the_bucket_gives_whatever_the_clock_does() {
        let mut limiter = Limiter::new(Rate { per_minute: 60, burst: 2 }, start());
        let mut sent = 0;
        for step in 0..600 {
            // Forth by 100 ms a step, and back by a minute once.
            let now = after(if step == 300 { -60_000 } else { step * 100 });
            if limiter.turn(1, now) == Turn::One {
                limiter.sent(now);
                sent += 1;
            }
        }
        // The minute it was set back by is counted twice at most.
        assert!((58..=2 + 60 + 2).contains(&sent), "{sent}");
    }

    #[test]
    fn another_rate_does_not_give_back_what_was_used() {
        let mut limiter = Limiter::new(Rate { per_minute: 60, burst: 2 }, start());
        limiter.sent(start());
        limiter.sent(start());
        limiter.set(Rate { per_minute: 60, burst: 3 }, start());
        assert_eq!(limiter.turn(1, start()), Turn::One);
        limiter.sent(start());
        assert!(matches!(limiter.turn(1, start()), Turn::Wait(_)));
    }
}
