//! Which objects have to be looked at, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::ports::objects::{Guarded, Key};

/// Why an object is looked at, for the trace of the pass. Of several reasons the last of this list counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Trigger {
    /// Its time has come.
    Time,
    /// The pass before failed, or did not get done.
    Retry,
    /// This process has begun to lead.
    Term,
    /// Its account, its namespace or a grant changed.
    Surroundings,
    /// An object it refers to changed.
    Reference,
    /// A read of EC2 shows something else than before.
    Sweep,
    /// Its manifest changed.
    Object,
    /// `CloudTrail` tells of an edit, by this event.
    Event(String),
}

/// The way to the schedule of the present term. Without one nobody listens and nothing is kept: a term begins with every object.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Unbounded, because what is sent is a key that the schedule holds once however often it comes; a bound would lose wakes.
    sender: Option<UnboundedSender<ObjectRef<Guarded>>>,
    /// Of the passes to come.
    triggers: BTreeMap<Key, Trigger>,
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a term: the wakes from now on.
    pub(super) fn listen(&self) -> UnboundedReceiver<ObjectRef<Guarded>> {
        let (sender, receiver) = unbounded_channel();
        *self.lock() = State { sender: Some(sender), triggers: BTreeMap::new() };
        receiver
    }

    /// Ends the term.
    pub(super) fn close(&self) {
        *self.lock() = State::default();
    }

    /// An object has to be looked at.
    pub(super) fn wake(&self, key: &Key, trigger: Trigger) {
        let mut state = self.lock();
        if let Some(sender) = &state.sender {
            // The receiver is gone only when the term is over.
            let _ = sender.send(ObjectRef::new(&key.name).within(&key.namespace));
            state.note(key, trigger);
        }
    }

    /// The next pass over an object, whose time is set, will be for this reason if no other comes.
    pub(super) fn expect(&self, key: &Key, trigger: Trigger) {
        let mut state = self.lock();
        if state.sender.is_some() {
            state.note(key, trigger);
        }
    }

    /// A pass begins: why.
    pub(super) fn take(&self, key: &Key) -> Trigger {
        self.lock().triggers.remove(key).unwrap_or(Trigger::Time)
    }

    /// The object is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().triggers.remove(key);
    }
}

impl State {
    fn note(&mut self, key: &Key, trigger: Trigger) {
        match self.triggers.get_mut(key) {
            Some(known) if *known >= trigger => {}
            Some(known) => *known = trigger,
            None => drop(self.triggers.insert(key.clone(), trigger)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_outside_of_a_term_are_dropped_and_each_term_has_its_own() {
        let wakes = Wakes::default();
        let key = Key { namespace: "shop".into(), name: "web".into() };
        wakes.wake(&key, Trigger::Object);
        let mut first = wakes.listen();
        assert!(first.try_recv().is_err());
        wakes.wake(&key, Trigger::Object);
        assert_eq!(first.try_recv().unwrap().name, "web");
        let mut second = wakes.listen();
        wakes.wake(&key, Trigger::Object);
        assert!(first.try_recv().is_err());
        assert!(second.try_recv().is_ok());
        wakes.close();
        wakes.wake(&key, Trigger::Object);
        assert!(second.try_recv().is_err());
    }

    #[test]
    fn of_several_reasons_for_a_pass_the_most_telling_counts_once() {
        let wakes = Wakes::default();
        let key = Key { namespace: "shop".into(), name: "web".into() };
        wakes.wake(&key, Trigger::Object);
        assert_eq!(wakes.take(&key), Trigger::Time, "outside of a term nothing is kept");
        let _receiver = wakes.listen();
        wakes.wake(&key, Trigger::Sweep);
        wakes.wake(&key, Trigger::Event("e-1".into()));
        wakes.wake(&key, Trigger::Object);
        assert_eq!(wakes.take(&key), Trigger::Event("e-1".into()));
        assert_eq!(wakes.take(&key), Trigger::Time);
        wakes.expect(&key, Trigger::Retry);
        wakes.wake(&key, Trigger::Term);
        assert_eq!(wakes.take(&key), Trigger::Term);
        wakes.wake(&key, Trigger::Object);
        wakes.forget(&key);
        assert!(wakes.lock().triggers.is_empty(), "nothing is kept of what is gone");
    }
}
