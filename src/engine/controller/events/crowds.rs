//! How many messages of one object are looked after at a time: one noisy group must not take the room of all the others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ports::objects::Key;

/// How many noisy objects have room for, all together.
const ROOM: usize = 3000;
/// What part of the room that is left one of them may have: however many there are, it is hardly ever all taken. One message of each
/// object there is always room for.
const PART: usize = 10;

/// How many there are of each object.
#[derive(Debug, Default)]
pub(in crate::engine::controller) struct Crowds(Mutex<BTreeMap<Key, usize>>);

impl Crowds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more of an object, if it has not got too many; until it is dropped.
    pub(super) fn enter(&self, key: &Key) -> Option<Place<'_>> {
        let mut all = self.lock();
        let left = ROOM.saturating_sub(all.values().sum());
        let of_it = all.get(key).copied().unwrap_or(0);
        if of_it > 0 && of_it >= left / PART {
            return None;
        }
        all.insert(key.clone(), of_it.saturating_add(1));
        Some(Place { crowds: self, key: key.clone() })
    }
}

/// The room that one message takes.
pub(super) struct Place<'a> {
    crowds: &'a Crowds,
    key: Key,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.crowds.lock();
        if let Some(of_it) = all.get_mut(&self.key) {
            *of_it = of_it.saturating_sub(1);
            if *of_it == 0 {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: usize) -> Key {
        Key { namespace: "shop".into(), name: name.to_string() }
    }

    #[test]
    fn however_many_are_noisy_there_is_room_for_another() {
        let crowds = Crowds::default();
        let mut places: Vec<Place<'_>> = Vec::new();
        for noisy in 0..100 {
            let before = places.len();
            places.extend(std::iter::from_fn(|| crowds.enter(&key(noisy))));
            assert!(places.len() > before, "the {noisy}th has none");
        }
        assert!(places.len() < ROOM + 100, "{} are taken", places.len());
        drop(places);
        assert!(crowds.lock().is_empty(), "nothing is kept of what is over");
    }

    #[test]
    fn one_alone_has_a_part_of_the_room_and_not_all() {
        let crowds = Crowds::default();
        let places: Vec<Place<'_>> = std::iter::from_fn(|| crowds.enter(&key(1))).collect();
        assert!((ROOM / 20..=ROOM / PART).contains(&places.len()), "{}", places.len());
    }
}
