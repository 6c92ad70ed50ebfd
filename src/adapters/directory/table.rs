//! The objects of one kind as a cluster would show them, and everybody who watches them.
//!
//! Invariant: whoever watches hears of everything there is, then of every change in order; nothing is told to one watcher in
//! place of another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::kind::{Kind, Manifests};
use super::state::{Held, State, StateError};
use crate::ports::objects::{Key, ObjectsError};

/// News of a kind.
pub(super) type News<K> = Event<DeserializeGuard<K>>;

/// The objects of one kind.
pub(super) struct Table<K: Kind> {
    state: Arc<State>,
    objects: BTreeMap<Key, (K, Held<K>)>,
    /// Objects that left the files while this process ran.
    left: BTreeSet<Key>,
    /// Whether the files were read. Before that, "there is none" would be a guess.
    known: bool,
    watchers: Vec<UnboundedSender<News<K>>>,
}

impl<K: Kind> Table<K> {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, objects: BTreeMap::new(), left: BTreeSet::new(), known: false, watchers: Vec::new() }
    }

    /// Everything there is, as soon as that is known, then every change.
    pub(super) fn watch(&mut self) -> UnboundedReceiver<News<K>> {
        // Unbounded, since the sender holds the lock that reconciles need. What piles up is no more than the changes that a
        // watcher has not looked at.
        let (watcher, news) = unbounded_channel();
        if self.known {
            self.list(&watcher);
        }
        self.watchers.push(watcher);
        news
    }

    /// The object of a key.
    pub(super) fn get(&self, key: &Key) -> Option<K> {
        self.objects.get(key).map(|(manifest, held)| held.dress(manifest))
    }

    /// Makes the table what `wanted` says. Gives what cannot be done, in words.
    pub(super) fn take(&mut self, wanted: &Manifests) -> Vec<String> {
        let wanted: BTreeMap<&Key, &K> = wanted.iter().filter_map(|(id, manifest)| Some((&id.key, K::of(manifest)?))).collect();
        let gone: Vec<Key> = self.objects.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
        for key in gone {
            if let Some((manifest, held)) = self.objects.remove(&key) {
                self.tell(&Event::Delete(DeserializeGuard(Ok(held.dress(&manifest)))));
            }
            self.left.insert(key);
        }
        let mut troubles = Vec::new();
        for (key, manifest) in wanted {
            if let Err(error) = self.appear(key, manifest) {
                let outcome = if K::STATE_IS_VITAL { "left alone" } else { "kept without its past" };
                troubles.push(format!("{} {key}: {error}: {}; the object is {outcome}", K::NAME, error.cause));
            }
        }
        if !self.known {
            self.known = true;
            self.watchers.retain(|watcher| !watcher.is_closed());
            self.watchers.iter().for_each(|watcher| self.list(watcher));
        }
        troubles
    }

    /// Changes an object under its key; `Conflict` when it is not at the version the caller has seen.
    pub(super) fn update(&mut self, seen: &K, change: impl FnOnce(&mut Held<K>)) -> Result<K, ObjectsError> {
        let key = seen.key().ok_or(ObjectsError::Gone)?;
        let (manifest, mut held) = self.objects.get(&key).cloned().ok_or(ObjectsError::Gone)?;
        if seen.meta().resource_version.as_deref() != Some(held.version.to_string().as_str()) {
            return Err(ObjectsError::Conflict);
        }
        change(&mut held);
        held.version = held.version.saturating_add(1);
        self.state.keep(&key, &held).map_err(|error| ObjectsError::Unavailable(Box::new(error)))?;
        Ok(self.show(&key, manifest, held))
    }

    /// An object as the files have it now. Its generation grows with its spec, as in a cluster.
    fn appear(&mut self, key: &Key, manifest: &K) -> Result<(), StateError> {
        let known = self.objects.get(key).cloned();
        if known.as_ref().is_some_and(|(before, _)| before == manifest) {
            return Ok(());
        }
        let (held, unread) = match known {
            Some((_, held)) => (Some(held), None),
            None => match self.state.load::<K>(key) {
                Ok(held) => (held, None),
                Err(error) if K::STATE_IS_VITAL => return Err(error),
                Err(error) => (None, Some(error)),
            },
        };
        let held = match held {
            None => Held::new(manifest),
            Some(mut held) => {
                // One that is back has been let go of meanwhile: it has to be looked at again, though it reads as before.
                if held.spec != *manifest.spec() || self.left.contains(key) {
                    held.generation = held.generation.saturating_add(1);
                    held.spec = manifest.spec().clone();
                }
                held.version = held.version.saturating_add(1);
                held
            }
        };
        let kept = self.state.keep(key, &held);
        if K::STATE_IS_VITAL {
            kept?;
            self.left.remove(key);
            self.show(key, manifest.clone(), held);
            return Ok(());
        }
        self.left.remove(key);
        self.show(key, manifest.clone(), held);
        unread.map_or(kept, Err)
    }

    fn show(&mut self, key: &Key, manifest: K, held: Held<K>) -> K {
        let object = held.dress(&manifest);
        self.objects.insert(key.clone(), (manifest, held));
        self.tell(&Event::Apply(DeserializeGuard(Ok(object.clone()))));
        object
    }

    fn tell(&mut self, news: &News<K>) {
        if self.known {
            self.watchers.retain(|watcher| watcher.send(news.clone()).is_ok());
        }
    }

    fn list(&self, watcher: &UnboundedSender<News<K>>) {
        let objects = self.objects.values().map(|(manifest, held)| Event::InitApply(DeserializeGuard(Ok(held.dress(manifest)))));
        for event in std::iter::once(Event::Init).chain(objects).chain([Event::InitDone]) {
            // One that went away meanwhile is dropped at the next news.
            let _ = watcher.send(event);
        }
    }
}
