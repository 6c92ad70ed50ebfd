//! Which objects have to be looked at.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::ports::objects::{Guarded, Key};

/// The way to the schedule of the present term. Without one nobody listens and nothing is kept: a term begins with every object.
///
/// Unbounded, because what is sent is a key that the schedule holds once however often it comes; a bound would lose wakes.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<Option<UnboundedSender<ObjectRef<Guarded>>>>);

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, Option<UnboundedSender<ObjectRef<Guarded>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a term: the wakes from now on.
    pub(super) fn listen(&self) -> UnboundedReceiver<ObjectRef<Guarded>> {
        let (sender, receiver) = unbounded_channel();
        *self.lock() = Some(sender);
        receiver
    }

    /// Ends the term.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// An object has to be looked at.
    pub(super) fn wake(&self, key: &Key) {
        if let Some(sender) = self.lock().as_ref() {
            // The receiver is gone only when the term is over.
            let _ = sender.send(ObjectRef::new(&key.name).within(&key.namespace));
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
        wakes.wake(&key);
        let mut first = wakes.listen();
        assert!(first.try_recv().is_err());
        wakes.wake(&key);
        assert_eq!(first.try_recv().unwrap().name, "web");
        let mut second = wakes.listen();
        wakes.wake(&key);
        assert!(first.try_recv().is_err());
        assert!(second.try_recv().is_ok());
        wakes.close();
        wakes.wake(&key);
        assert!(second.try_recv().is_err());
    }
}
