//! How many addresses: more than `u128` can say, because `::/0` alone has 2^128.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use super::set::Addresses;

/// A number of addresses, exact from none to both families whole and beyond.
///
/// Prints digits with separators (`4,294,967,296`) up to a million millions, then powers of two: `2^64`, `3 × 2^80`, and
/// `about 2^128` where no short form is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressCount {
    /// In units of 2^128. Before `low`, since the derived order compares it first.
    high: u64,
    low: u128,
}

impl AddressCount {
    /// No address.
    pub const ZERO: Self = Self { high: 0, low: 0 };

    /// Whether it is none.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The number, unless it is 2^128 or more.
    pub fn to_u128(self) -> Option<u128> {
        (self.high == 0).then_some(self.low)
    }

    pub(super) fn of(addresses: &Addresses) -> Self {
        let count = |start: u128, end: Option<u128>| match end {
            Some(end) => Self::from(end - start),
            None => Self::from(u128::MAX - start) + Self::from(1),
        };
        addresses.spans().map(|span| count(span.start, span.end)).sum()
    }

    /// How many binary digits it has.
    fn bits(self) -> u32 {
        if self.high == 0 { u128::BITS - self.low.leading_zeros() } else { u128::BITS + u64::BITS - self.high.leading_zeros() }
    }

    fn trailing_zeros(self) -> u32 {
        if self.low == 0 { u128::BITS + self.high.trailing_zeros() } else { self.low.trailing_zeros() }
    }

    /// Its digits without the last `by` ones, where they fit 128 bits.
    fn shifted(self, by: u32) -> u128 {
        let high = u128::from(self.high);
        match by.checked_sub(u128::BITS) {
            Some(more) => high >> more,
            None if by == 0 => self.low,
            None => self.low >> by | high << (u128::BITS - by),
        }
    }
}

impl From<u128> for AddressCount {
    fn from(count: u128) -> Self {
        Self { high: 0, low: count }
    }
}

impl Add for AddressCount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        // 2^64 internets are out of reach; should a sum ever come there, it stays at the most.
        Self { high: self.high.saturating_add(other.high).saturating_add(u64::from(carry)), low }
    }
}

impl Sum for AddressCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for AddressCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// From here on digits say less to a reader than powers of two.
        const DIGITS_BELOW: u128 = 1_000_000_000_000;
        /// A factor that still reads as "so many blocks": up to 1,023.
        const EXACT_BITS: u32 = 10;
        /// A rounded factor is off by 1/16 at most.
        const ROUNDED_BITS: u32 = 4;

        if let Some(small) = self.to_u128().filter(|count| *count < DIGITS_BELOW) {
            return f.pad(&grouped(small));
        }
        let (bits, zeros) = (self.bits(), self.trailing_zeros());
        if bits - zeros <= EXACT_BITS {
            return f.pad(&times_power(self.shifted(zeros), zeros));
        }
        let exponent = bits - ROUNDED_BITS;
        let factor = self.shifted(exponent - 1).div_ceil(2);
        f.pad(&format!("about {}", times_power(factor >> factor.trailing_zeros(), exponent + factor.trailing_zeros())))
    }
}

fn times_power(factor: u128, exponent: u32) -> String {
    if factor == 1 { format!("2^{exponent}") } else { format!("{} × 2^{exponent}", grouped(factor)) }
}

fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(exponent: u32) -> AddressCount {
        if exponent < 128 { AddressCount::from(1 << exponent) } else { AddressCount { high: 1 << (exponent - 128), low: 0 } }
    }

    #[test]
    fn counts_print_digits_up_to_a_million_millions_and_powers_of_two_after() {
        let minus_one = |exponent: u32| AddressCount::from((1_u128 << exponent) - 1);
        for (count, text) in [
            (AddressCount::ZERO, "0"),
            (AddressCount::from(999), "999"),
            (AddressCount::from(1000), "1,000"),
            (power(32), "4,294,967,296"),
            (AddressCount::from(999_999_999_999), "999,999,999,999"),
            (AddressCount::from(1_000_000_000_000), "about 15 × 2^36"),
            (power(40), "2^40"),
            (power(64), "2^64"),
            (power(64) + power(65), "3 × 2^64"),
            (power(64) + power(73), "513 × 2^64"),
            (power(64) + power(74), "about 2^74"),
            (minus_one(64), "about 2^64"),
            (AddressCount::from(u128::MAX), "about 2^128"),
            (power(128), "2^128"),
            (power(128) + power(32), "about 2^128"),
            (power(128) + power(127), "3 × 2^127"),
            (power(129) + power(128) + AddressCount::from(1), "about 3 × 2^128"),
        ] {
            assert_eq!(count.to_string(), text);
        }
        assert_eq!(format!("{:>6}|{:<6}|", AddressCount::from(1000), power(64)), " 1,000|2^64  |");
    }

    #[test]
    fn counts_order_and_add_across_2_to_the_128() {
        assert!(
            AddressCount::ZERO < power(32)
                && power(32) < AddressCount::from(u128::MAX)
                && AddressCount::from(u128::MAX) < power(128)
        );
        assert_eq!(AddressCount::from(u128::MAX) + AddressCount::from(1), power(128));
        assert_eq!([power(127), power(127), power(32)].into_iter().sum::<AddressCount>(), power(128) + power(32));
        assert_eq!((power(128).to_u128(), power(64).to_u128()), (None, Some(1 << 64)));
        let most = AddressCount { high: u64::MAX, low: u128::MAX };
        assert!(most + most >= power(191), "stays at the most");
    }
}
