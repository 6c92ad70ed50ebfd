//! Interval arithmetic: sets on one axis, and regions over two (traffic × addresses).
//!
//! Invariant: one set of points has one representation, so derived equality is equality of sets.

use std::cmp::Ordering;
use std::collections::BTreeSet;

/// From `start` up to, not including, `end`; without an end to the last point of the axis. (The end of `::/0` would be
/// 2^128, which `u128` cannot hold.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span<T> {
    pub(super) start: T,
    pub(super) end: Option<T>,
}

impl<T: Copy + Ord> Span<T> {
    fn contains(self, at: T) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

/// A set of points of one axis: the points where membership changes, ascending. Before the first nothing is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set<T>(Vec<T>);

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> Set<T> {
    /// What any of the spans holds. A span must not be empty.
    pub(super) fn of(spans: impl IntoIterator<Item = Span<T>>) -> Self {
        let mut spans: Vec<Span<T>> = spans.into_iter().collect();
        spans.sort();
        let mut flips = Vec::new();
        let mut spans = spans.into_iter();
        let Some(mut current) = spans.next() else { return Self::default() };
        for next in spans {
            match current.end {
                None => break,
                Some(end) if end < next.start => {
                    flips.extend([current.start, end]);
                    current = next;
                }
                // Spans that only touch become one as well.
                Some(end) => current.end = next.end.map(|next_end| next_end.max(end)),
            }
        }
        flips.push(current.start);
        flips.extend(current.end);
        Self(flips)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, at: T) -> bool {
        self.flips_until(at) % 2 == 1
    }

    /// The set as disjoint spans that do not touch, ascending.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span<T>> {
        self.0.chunks(2).filter_map(|ends| match ends {
            [start, end] => Some(Span { start: *start, end: Some(*end) }),
            [start] => Some(Span { start: *start, end: None }),
            _ => None,
        })
    }

    /// Every point where membership changes.
    pub(super) fn flips(&self) -> impl Iterator<Item = T> {
        self.0.iter().copied()
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        self.combine(other, |left, right| left || right)
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        self.combine(other, |left, right| left && !right)
    }

    pub(super) fn intersect(&self, other: &Self) -> Self {
        let (few, many) = self.by_length(other);
        few.combine(many, |left, right| left && right)
    }

    /// Whether the two have a point in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (few, many) = self.by_length(other);
        few.spans().any(|span| many.contains(span.start) || many.next_flip(span.start).is_some_and(|flip| span.contains(flip)))
    }

    /// Whether every point of the other is in this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.spans().all(|span| self.contains(span.start) && !self.next_flip(span.start).is_some_and(|flip| span.contains(flip)))
    }

    fn flips_until(&self, at: T) -> usize {
        self.0.partition_point(|flip| *flip <= at)
    }

    fn next_flip(&self, after: T) -> Option<T> {
        self.0.get(self.flips_until(after)).copied()
    }

    /// The shorter first: looking up few spans in a long set keeps one rule against a thousand cheap.
    fn by_length<'a>(&'a self, other: &'a Self) -> (&'a Self, &'a Self) {
        if self.0.len() <= other.0.len() { (self, other) } else { (other, self) }
    }

    /// The points to keep, by whether they are in this set and in the other.
    fn combine(&self, other: &Self, keep: impl Fn(bool, bool) -> bool) -> Self {
        let (mut left, mut right) = (self.0.iter().copied().peekable(), other.0.iter().copied().peekable());
        let (mut in_left, mut in_right, mut inside) = (false, false, false);
        let mut flips = Vec::new();
        let only_within_left = !keep(false, true);
        if only_within_left && let Some(first) = left.peek() {
            let before = other.flips_until(*first);
            in_right = before % 2 == 1;
            right = other.0.get(before..).unwrap_or_default().iter().copied().peekable();
        }
        while let Some(at) = least(left.peek(), right.peek()) {
            if only_within_left && !in_left && left.peek().is_none() {
                break;
            }
            in_left ^= left.next_if_eq(&at).is_some();
            in_right ^= right.next_if_eq(&at).is_some();
            if keep(in_left, in_right) != inside {
                inside = !inside;
                flips.push(at);
            }
        }
        Self(flips)
    }
}

/// The lesser of two points of which either may be missing.
fn least<T: Copy + Ord>(left: Option<&T>, right: Option<&T>) -> Option<T> {
    left.into_iter().chain(right).min().copied()
}

/// Points of the traffic axis, see [`super::axis`].
pub(super) type Traffics = Set<u32>;
/// Addresses of one family.
pub(super) type Addresses = Set<u128>;

static NOWHERE: Addresses = Set(Vec::new());

/// One rule of an address: a rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) traffic: Span<u32>,
    pub(super) addresses: Span<u128>,
}

/// A set of (traffic, address) pairs of one family: each step says which addresses are in from its traffic on, up to the
/// next step. Neighbours differ, nothing is in before the first step, and the last one is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Region(Vec<(u32, Addresses)>);

impl Region {
    /// What any of the rectangles holds: for each stretch of traffic between two edges, the addresses of those over it.
    pub(super) fn of(mut rectangles: Vec<Rectangle>) -> Self {
        // Sorted once, so that no stretch has to sort again: sorting what is in order is one pass.
        rectangles.sort_by_key(|rectangle| rectangle.addresses);
        let edges: BTreeSet<u32> =
            rectangles.iter().flat_map(|rectangle| std::iter::once(rectangle.traffic.start).chain(rectangle.traffic.end)).collect();
        Self::from_steps(edges.into_iter().map(|at| {
            let over = rectangles.iter().filter(|rectangle| rectangle.traffic.contains(at));
            (at, Set::of(over.map(|rectangle| rectangle.addresses)))
        }))
    }

    fn from_steps(steps: impl Iterator<Item = (u32, Addresses)>) -> Self {
        let mut kept: Vec<(u32, Addresses)> = Vec::new();
        for (at, addresses) in steps {
            let before = kept.last().map_or(&NOWHERE, |(_, before)| before);
            // Comparing two empty slices is far slower than asking (glibc's memcmp reads their dangling pointers
            // under a mask, which the processor handles as a fault), and most steps of one rule against many are empty.
            if !(before.is_empty() && addresses.is_empty()) && *before != addresses {
                kept.push((at, addresses));
            }
        }
        Self(kept)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::from_steps(self.beside(other).map(|(at, left, right)| (at, left.union(right))))
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        Self::from_steps(self.beside(other).map(|(at, left, right)| (at, left.subtract(right))))
    }

    pub(super) fn intersect(&self, other: &Self) -> Self {
        Self::from_steps(self.beside(other).map(|(at, left, right)| (at, left.intersect(right))))
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.beside(other).any(|(_, left, right)| left.meets(right))
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.beside(other).all(|(_, left, right)| left.covers(right))
    }

    /// Every address for the traffic that reaches some.
    pub(super) fn widened(&self, everybody: Span<u128>) -> Self {
        let everybody = Set::of([everybody]);
        let widen = |addresses: &Addresses| if addresses.is_empty() { Set::default() } else { everybody.clone() };
        Self::from_steps(self.0.iter().map(|(at, addresses)| (*at, widen(addresses))))
    }

    /// The addresses that some traffic reaches.
    pub(super) fn addresses(&self) -> Addresses {
        self.0.iter().fold(Set::default(), |all, (_, addresses)| all.union(addresses))
    }

    /// The stretches of traffic that reach an address.
    pub(super) fn traffics(&self) -> impl Iterator<Item = Span<u32>> {
        let ends = self.0.iter().skip(1).map(|(end, _)| Some(*end)).chain(std::iter::once(None));
        self.0
            .iter()
            .zip(ends)
            .filter(|((_, addresses), _)| !addresses.is_empty())
            .map(|((start, _), end)| Span { start: *start, end })
    }

    /// The addresses that one traffic reaches.
    pub(super) fn at(&self, traffic: u32) -> &Addresses {
        let steps = self.0.partition_point(|(start, _)| *start <= traffic);
        steps.checked_sub(1).and_then(|last| self.0.get(last)).map_or(&NOWHERE, |(_, addresses)| addresses)
    }

    /// Every traffic from which on other addresses are in.
    pub(super) fn edges(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(start, _)| *start)
    }

    /// Both regions step by step: from this traffic on, these addresses on either side.
    fn beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (u32, &'a Addresses, &'a Addresses)> {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let (mut now_left, mut now_right) = (&NOWHERE, &NOWHERE);
        std::iter::from_fn(move || {
            let order = match (left.peek(), right.peek()) {
                (Some((left, _)), Some((right, _))) => left.cmp(right),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            let mut at = 0;
            if order.is_le()
                && let Some((start, addresses)) = left.next()
            {
                (at, now_left) = (*start, addresses);
            }
            if order.is_ge()
                && let Some((start, addresses)) = right.next()
            {
                (at, now_right) = (*start, addresses);
            }
            Some((at, now_left, now_right))
        })
    }
}
