//! One value that we wrote, against reads that may be older than the write.
//!
//! Entry points: [`Expected::instead_of`] on each read, [`expect`] on each write.

use tokio::time::Instant;

/// When something was written, and the earliest read begun after that which has shown it.
#[derive(Clone, Copy)]
pub(super) struct Sighting {
    pub(super) returned: Instant,
    pub(super) shown: Option<Instant>,
}

impl Sighting {
    pub(super) fn new(returned: Instant) -> Self {
        Self { returned, shown: None }
    }

    /// A read that began then has shown it. One that began before the write was answered does not count: it may have gone to the
    /// one place where the write was made.
    pub(super) fn show(&mut self, began: Instant) {
        if began >= self.returned {
            self.shown = Some(self.shown.map_or(began, |shown| shown.min(began)));
        }
    }

    /// Whether a read that contradicts the write is newer than it.
    pub(super) fn is_over(&self, began: Instant) -> bool {
        self.shown.is_some_and(|shown| began >= shown)
    }
}

/// A value we gave something.
pub(super) struct Expected<T> {
    pub(super) value: T,
    /// What a stale read may show instead; `None`: anything, since nobody knows what was there.
    stale: Option<Vec<T>>,
    sighting: Sighting,
    /// Whether the last read was believed, or showed this.
    settled: bool,
}

impl<T: PartialEq + Clone> Expected<T> {
    pub(super) fn new(value: T, stale: Option<Vec<T>>, returned: Instant) -> Self {
        Self { value, stale, sighting: Sighting::new(returned), settled: false }
    }

    /// When EC2 answered that it has the value.
    pub(super) fn returned(&self) -> Instant {
        self.sighting.returned
    }

    /// The value to take in place of the one read; `None`: the read is right.
    pub(super) fn instead_of(&mut self, read: &T, began: Instant) -> Option<T> {
        let may_be_stale = self.stale.as_ref().is_none_or(|stale| stale.contains(read));
        if *read == self.value {
            // A value that we gave it before, and now again, is no proof that the read is a new one.
            self.settled = self.stale.is_none() || !may_be_stale;
            if self.settled {
                self.sighting.show(began);
            }
            return None;
        }
        self.settled = !may_be_stale || self.sighting.is_over(began);
        (!self.settled).then(|| self.value.clone())
    }
}

/// Gives a value again. Where the last read showed the truth, that is what a stale read may go on showing; before that, all that
/// it may have been since.
pub(super) fn expect<T: PartialEq + Clone>(slot: &mut Option<Expected<T>>, value: T, before: Option<T>, returned: Instant) {
    let stale = match slot.take() {
        Some(Expected { value: former, stale, sighting: _, settled: false }) => stale.map(|mut stale| {
            stale.push(former);
            stale
        }),
        Some(Expected { value: _, stale: _, sighting: _, settled: true }) | None => before.map(|before| vec![before]),
    };
    *slot = Some(Expected::new(value, stale, returned));
}
