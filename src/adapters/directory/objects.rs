//! The store of objects over files and the state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use tokio::sync::Notify;

use crate::api::{FINALIZER, SecurityGroup, SecurityGroupStatus};
use crate::ports::clock::Clock;
use crate::ports::objects::{Guarded, Key, Notice, Objects, ObjectsError};

use super::files::{FileProblem, read_manifests};
use super::state::{Held, State, StateError};

/// Where and how often.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// The manifests.
    pub manifests: PathBuf,
    /// What a cluster would hold.
    pub state: PathBuf,
    /// How often the files are looked at.
    pub interval: Duration,
    /// Time.
    pub clock: Clock,
}

/// Objects in files.
#[derive(Clone)]
pub struct DirectoryObjects {
    shared: Arc<Shared>,
}

struct Shared {
    options: DirectoryOptions,
    held: Mutex<Table>,
    changed: Notify,
}

/// All objects as a cluster would show them, and what the watch has to tell.
struct Table {
    state: State,
    objects: BTreeMap<Key, (SecurityGroup, Held)>,
    events: Vec<Event<Guarded>>,
    /// Objects that left the files while this process ran.
    left: BTreeSet<Key>,
    listed: bool,
    /// The problems told last: each is told when it is new, not at every look.
    told: Vec<String>,
}

impl DirectoryObjects {
    /// Opens the state directory and reads the files once; problems with files are told and do not stop it.
    pub fn open(options: DirectoryOptions) -> Result<Self, StateError> {
        let table = Table {
            state: State::open(&options.state)?,
            objects: BTreeMap::new(),
            events: Vec::new(),
            left: BTreeSet::new(),
            listed: false,
            told: Vec::new(),
        };
        let shared = Arc::new(Shared { options, held: Mutex::new(table), changed: Notify::new() });
        shared.look();
        Ok(Self { shared })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One look at the files.
    fn look(&self) {
        // Read first: a disk that hangs must not keep the lock that status writes need.
        let found = read_manifests(&self.options.manifests);
        let mut table = self.lock();
        match found {
            Ok(found) => table.take(found.into_iter().map(|(key, (object, _))| (key, object)).collect()),
            Err(problems) => table.tell(&problems),
        }
        if !table.events.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Changes an object under its key; `Conflict` when it is not at the version the caller has seen.
    fn update(&self, seen: &SecurityGroup, change: impl FnOnce(&mut Held)) -> Result<SecurityGroup, ObjectsError> {
        let key = Key::of(&seen.metadata).ok_or(ObjectsError::Gone)?;
        let mut table = self.lock();
        let (manifest, held) = table.objects.get(&key).cloned().ok_or(ObjectsError::Gone)?;
        if seen.metadata.resource_version.as_deref() != Some(held.version.to_string().as_str()) {
            return Err(ObjectsError::Conflict);
        }
        let mut next = held;
        change(&mut next);
        next.version = next.version.saturating_add(1);
        table.put(&key, manifest, next).map_err(|error| ObjectsError::Unavailable(Box::new(error)))?;
        let object = table.objects.get(&key).map(|(manifest, held)| held.dress(manifest)).ok_or(ObjectsError::Gone)?;
        self.changed.notify_one();
        Ok(object)
    }
}

impl Table {
    fn take(&mut self, found: BTreeMap<Key, SecurityGroup>) {
        let known = self.objects.len();
        let mut gone: Vec<Key> = self.objects.keys().filter(|key| !found.contains_key(*key)).cloned().collect();
        // An empty or half-gone folder is a checkout under way or a volume that is not there, not a wish.
        let doubtful = !gone.is_empty() && (found.is_empty() || gone.len().saturating_mul(2) > known);
        let line =
            format!("{} of {known} objects are gone from the files at once: taken for a mistake, they stay in force", gone.len());
        if doubtful {
            gone.clear();
            if self.told != [line.as_str()] {
                tracing::error!("{line}");
                self.told = vec![line];
            }
        } else {
            self.told.clear();
        }
        for key in gone {
            self.left.insert(key.clone());
            if let Some((manifest, held)) = self.objects.remove(&key) {
                tracing::warn!(object = %key, group = held.status.as_ref().and_then(|status| status.group_id.clone()), "no longer in the files: let go of; its EC2 group stays as it is");
                self.events.push(Event::Delete(DeserializeGuard(Ok(held.dress(&manifest)))));
            }
        }
        for (key, object) in found {
            if let Err(error) = self.appear(&key, object) {
                tracing::error!(object = %key, %error, cause = %error.cause, "state not usable; the object is left alone");
            }
        }
    }

    /// An object as the files have it now. Its generation grows with its spec, as in a cluster.
    fn appear(&mut self, key: &Key, object: SecurityGroup) -> Result<(), StateError> {
        let known = self.objects.get(key).cloned();
        if known.as_ref().is_some_and(|(manifest, _)| *manifest == object) {
            return Ok(());
        }
        let held = match known {
            Some((_, held)) => Some(held),
            None => self.state.load(key)?,
        };
        let Some(mut held) = held else { return self.put(key, object.clone(), Held::new(&object)) };
        // One that is back has been let go of meanwhile: it has to be looked at again, though it reads as before.
        let is_back = self.left.contains(key);
        if held.spec != object.spec || is_back {
            held.generation = held.generation.saturating_add(1);
            held.spec = object.spec.clone();
        }
        held.version = held.version.saturating_add(1);
        self.put(key, object, held)?;
        self.left.remove(key);
        Ok(())
    }

    fn put(&mut self, key: &Key, manifest: SecurityGroup, held: Held) -> Result<(), StateError> {
        self.state.keep(key, &held)?;
        self.events.push(Event::Apply(DeserializeGuard(Ok(held.dress(&manifest)))));
        self.objects.insert(key.clone(), (manifest, held));
        Ok(())
    }

    fn tell(&mut self, problems: &[FileProblem]) {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if lines != self.told {
            for line in &lines {
                tracing::error!("{line}; the last good version of all manifests stays in force");
            }
            self.told = lines;
        }
    }

    /// What the watch has to tell since the last time: at first everything there is.
    fn drain(&mut self) -> Vec<Event<Guarded>> {
        let events = std::mem::take(&mut self.events);
        if self.listed {
            return events;
        }
        self.listed = true;
        let objects = self.objects.values().map(|(manifest, held)| Event::InitApply(DeserializeGuard(Ok(held.dress(manifest)))));
        std::iter::once(Event::Init).chain(objects).chain(std::iter::once(Event::InitDone)).collect()
    }
}

#[async_trait]
impl Objects for DirectoryObjects {
    fn watch(&self) -> BoxStream<'static, Result<Event<Guarded>, watcher::Error>> {
        let shared = self.shared.clone();
        shared.lock().listed = false;
        // The time of the next look stands, however often statuses are written meanwhile.
        let due = shared.options.clock.instant();
        stream::unfold((shared, due, true), |(shared, mut due, first)| async move {
            if !first {
                tokio::select! {
                    () = shared.changed.notified() => {}
                    () = tokio::time::sleep_until(due) => {
                        let looker = shared.clone();
                        // Reading files blocks; a slow disk must not hold up reconciles.
                        let _ = tokio::task::spawn_blocking(move || looker.look()).await;
                        due = shared.options.clock.instant() + shared.options.interval;
                    }
                }
            }
            let events: Vec<_> = shared.lock().drain().into_iter().map(Ok).collect();
            Some((stream::iter(events), (shared, due, false)))
        })
        .flatten()
        .boxed()
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        self.shared.update(object, |held| held.status = Some(status.clone()))
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.shared.update(object, |held| held.finalizers = vec![FINALIZER.to_owned()]).map(|_| ())
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.shared.update(object, |held| held.finalizers.clear()).map(|_| ())
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        let key = Key::of(&object.metadata).map(|key| key.to_string()).unwrap_or_default();
        tracing::debug!(object = key, reason = notice.reason, note = notice.note, "event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {name: web}\nspec: {vpc: {id: vpc-0a1b2c3d}, egressPolicy: DenyAll}\n";

    struct Files {
        folder: tempfile::TempDir,
        store: DirectoryObjects,
    }

    fn options(folder: &tempfile::TempDir) -> DirectoryOptions {
        DirectoryOptions {
            manifests: folder.path().join("groups"),
            state: folder.path().join("state"),
            interval: Duration::from_secs(1),
            clock: Clock::system(),
        }
    }

    impl Files {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("groups")).unwrap();
            std::fs::write(folder.path().join("groups/web.yaml"), text).unwrap();
            let store = DirectoryObjects::open(options(&folder)).unwrap();
            Self { folder, store }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("groups/web.yaml")
        }

        fn object(&self) -> SecurityGroup {
            let table = self.store.shared.lock();
            let (manifest, held) = table.objects.values().next().unwrap();
            held.dress(manifest)
        }
    }

    #[tokio::test]
    async fn status_survives_a_restart_and_a_stale_write_is_a_conflict() {
        let files = Files::new(MANIFEST);
        let first = files.object();
        let status = SecurityGroupStatus { group_id: Some("sg-0a1b2c3d".into()), ..Default::default() };
        files.store.write_status(&first, &status).await.unwrap();
        assert!(matches!(files.store.write_status(&first, &status).await, Err(ObjectsError::Conflict)));
        let Files { folder, store } = files;
        drop(store);
        let store = DirectoryObjects::open(options(&folder)).unwrap();
        let again = Files { folder, store }.object();
        assert_eq!((again.metadata.uid, again.status), (first.metadata.uid, Some(status)));
    }

    #[tokio::test]
    async fn a_second_process_on_the_state_is_refused() {
        let files = Files::new(MANIFEST);
        let refused = DirectoryObjects::open(options(&files.folder)).err().unwrap();
        assert_eq!(refused.cause.to_string(), "another sgwarden is using it");
    }

    #[tokio::test]
    async fn an_object_that_comes_back_is_looked_at_again() {
        let others = ["aa", "bb"].map(|name| MANIFEST.replace("name: web", &format!("name: {name}"))).join("---\n");
        let files = Files::new(&format!("{MANIFEST}---\n{others}"));
        let web = |files: &Files| {
            files
                .store
                .shared
                .lock()
                .objects
                .iter()
                .find(|(key, _)| key.name == "web")
                .map(|(_, (manifest, held))| held.dress(manifest))
        };
        let before = web(&files).unwrap();
        std::fs::write(files.path(), &others).unwrap();
        files.store.shared.look();
        assert!(web(&files).is_none(), "one of three may go");
        std::fs::write(files.path(), format!("{MANIFEST}---\n{others}")).unwrap();
        files.store.shared.look();
        let after = web(&files).unwrap();
        assert_eq!(before.metadata.uid, after.metadata.uid);
        assert!(after.metadata.generation > before.metadata.generation, "a generation seen before starts no reconcile");
    }

    #[tokio::test]
    async fn a_folder_that_is_suddenly_half_empty_lets_go_of_nothing() {
        let files = Files::new(&format!("{MANIFEST}---\n{}", MANIFEST.replace("name: web", "name: db")));
        std::fs::write(files.path(), "").unwrap();
        files.store.shared.look();
        assert_eq!(files.store.shared.lock().objects.len(), 2);
        // What is there still counts: the stop button works also then.
        let three = ["cc", "dd"].map(|name| MANIFEST.replace("name: web", &format!("name: {name}"))).join("---\n");
        let files = Files::new(&format!("{MANIFEST}---\n{three}"));
        std::fs::write(files.path(), MANIFEST.replace("DenyAll", "AllowAll")).unwrap();
        files.store.shared.look();
        let table = files.store.shared.lock();
        assert_eq!(table.objects.len(), 3);
        assert!(table.objects.values().any(|(manifest, _)| manifest.spec.egress_policy.as_deref() == Some("AllowAll")));
    }

    #[tokio::test]
    async fn a_broken_file_leaves_the_last_good_version_in_force() {
        let files = Files::new(MANIFEST);
        let before = files.object();
        std::fs::write(files.path(), "kind: [").unwrap();
        files.store.shared.look();
        assert_eq!(files.object(), before);
    }
}
