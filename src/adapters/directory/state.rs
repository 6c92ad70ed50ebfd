//! What a cluster would hold beside the manifest: uid, generation, finalizers, status. One JSON file an object, replaced as
//! a whole, so that a crash leaves the old or the new.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::kind::Kind;
use crate::api::{AwsAccount, CidrSet, Notifier, SecurityGroup};
use crate::ports::objects::Key;

/// The longest name of a file is 255 bytes; a draft has `.json.new` behind the object's.
const LONGEST: usize = 246;

/// The state of one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub(super) struct Held<K: Kind> {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) version: u64,
    #[serde(default)]
    pub(super) finalizers: Vec<String>,
    pub(super) spec: K::Spec,
    #[serde(default)]
    pub(super) status: Option<K::Status>,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the state in {} cannot be {action}", path.display())]
pub struct StateError {
    /// The file or directory.
    pub path: PathBuf,
    /// Read or written.
    pub action: &'static str,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// The state directory, or what stands for one where nothing is to be kept.
#[derive(Debug)]
pub(super) struct State(Place);

#[derive(Debug)]
enum Place {
    Directory {
        directory: PathBuf,
        /// Keeps a second process out for as long as this one lives.
        _lock: File,
    },
    /// The same texts by the names their files would have.
    Memory(Mutex<BTreeMap<PathBuf, Vec<u8>>>),
}

impl State {
    /// Opens the directory, making it if need be, and locks it.
    pub(super) fn open(directory: &Path) -> Result<Self, StateError> {
        let fail = |cause| StateError { path: directory.to_owned(), action: "opened", cause };
        fs::create_dir_all(directory).map_err(fail)?;
        let lock = File::create(directory.join("lock")).map_err(fail)?;
        lock.try_lock().map_err(|error| {
            let cause = match error {
                fs::TryLockError::WouldBlock => io::Error::other("another sgwarden is using it"),
                fs::TryLockError::Error(cause) => cause,
            };
            StateError { path: directory.to_owned(), action: "locked", cause }
        })?;
        for folder in [SecurityGroup::FOLDER, CidrSet::FOLDER, AwsAccount::FOLDER, Notifier::FOLDER].into_iter().flatten() {
            fs::create_dir_all(directory.join(folder)).map_err(fail)?;
        }
        File::open(directory).and_then(|folder| folder.sync_all()).map_err(fail)?;
        Ok(Self(Place::Directory { directory: directory.to_owned(), _lock: lock }))
    }

    /// Nothing, kept as long as the process lives.
    pub(super) fn in_memory() -> Self {
        Self(Place::Memory(Mutex::default()))
    }

    /// Where the state of an object is; `None` for a kind that has none.
    fn path<K: Kind>(&self, key: &Key) -> Option<PathBuf> {
        // Neither part can hold a '+': both are Kubernetes names.
        let name = if K::NAMESPACED { format!("{}+{}", key.namespace, key.name) } else { key.name.clone() };
        let name = if name.len() > LONGEST { format!("+{}", hex(&Sha256::digest(name.as_bytes()).into())) } else { name };
        let directory = match &self.0 {
            Place::Directory { directory, _lock: _ } => directory.as_path(),
            Place::Memory(_) => Path::new(""),
        };
        Some(directory.join(K::FOLDER?).join(format!("{name}.json")))
    }

    /// The state of an object, if there is any.
    pub(super) fn load<K: Kind>(&self, key: &Key) -> Result<Option<Held<K>>, StateError> {
        let Some(path) = self.path::<K>(key) else { return Ok(None) };
        let text = match &self.0 {
            Place::Memory(texts) => match texts.lock().unwrap_or_else(PoisonError::into_inner).get(&path) {
                Some(text) => text.clone(),
                None => return Ok(None),
            },
            Place::Directory { directory: _, _lock: _ } => match fs::read(&path) {
                Ok(text) => text,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(cause) => return Err(StateError { path, action: "read", cause }),
            },
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| StateError { path, action: "read", cause: io::Error::other(error) })
    }

    /// Keeps the state of an object; durable when it returns, if anything is.
    pub(super) fn keep<K: Kind>(&self, key: &Key, held: &Held<K>) -> Result<(), StateError> {
        let Some(path) = self.path::<K>(key) else { return Ok(()) };
        let fail = |cause| StateError { path: path.clone(), action: "written", cause };
        let text = serde_json::to_vec_pretty(held).map_err(|error| fail(io::Error::other(error)))?;
        let directory = match &self.0 {
            Place::Directory { directory, _lock: _ } => directory,
            Place::Memory(texts) => {
                texts.lock().unwrap_or_else(PoisonError::into_inner).insert(path, text);
                return Ok(());
            }
        };
        let draft = path.with_extension("json.new");
        let mut file = File::create(&draft).map_err(fail)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(fail)?;
        fs::rename(&draft, &path).map_err(fail)?;
        let folder = path.parent().unwrap_or(directory);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
    }
}

/// The groups of a state directory with their status, also while another process keeps it: each file is replaced as a whole.
///
/// A file whose name is a digest does not tell its object, and is shown under the digest.
pub fn read_groups(directory: &Path) -> Result<Vec<SecurityGroup>, StateError> {
    read_objects(directory, SecurityGroup::new)
}

/// The sets of ranges of a state directory, as [`read_groups`].
pub fn read_cidr_sets(directory: &Path) -> Result<Vec<CidrSet>, StateError> {
    let folder = directory.join(CidrSet::FOLDER.unwrap_or_default());
    // A directory of a release that had no sets has no folder for them.
    if folder.exists() { read_objects(&folder, CidrSet::new) } else { Ok(Vec::new()) }
}

fn read_objects<K: Kind>(directory: &Path, new: fn(&str, K::Spec) -> K) -> Result<Vec<K>, StateError> {
    let fail = |path: &Path, cause| StateError { path: path.to_owned(), action: "read", cause };
    let entries = fs::read_dir(directory).map_err(|cause| fail(directory, cause))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(|cause| fail(directory, cause))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut objects = Vec::new();
    for path in paths {
        let text = match fs::read(&path) {
            Ok(text) => text,
            // Gone since it was listed.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(fail(&path, cause)),
        };
        let held: Held<K> = serde_json::from_slice(&text).map_err(|error| fail(&path, io::Error::other(error)))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let (namespace, name) = stem.split_once('+').unwrap_or(("", &stem));
        let mut manifest = new(name, held.spec.clone());
        manifest.meta_mut().namespace = Some(namespace.to_owned());
        objects.push(held.dress(&manifest));
    }
    Ok(objects)
}

impl<K: Kind> Held<K> {
    /// State of an object seen for the first time.
    pub(super) fn new(object: &K) -> Self {
        Self {
            uid: Uuid::new_v4().to_string(),
            generation: 1,
            version: 1,
            finalizers: Vec::new(),
            spec: object.spec().clone(),
            status: None,
        }
    }

    /// State as somebody else keeps it: of an object with its uid, generation and status.
    pub(super) fn of(object: &K) -> Self {
        let new = Self::new(object);
        let meta = object.meta();
        Self {
            uid: meta.uid.clone().unwrap_or(new.uid),
            generation: meta.generation.unwrap_or(new.generation),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            status: object.status().cloned(),
            version: new.version,
            spec: new.spec,
        }
    }

    /// The object as a cluster would show it.
    pub(super) fn dress(&self, manifest: &K) -> K {
        let mut object = manifest.clone();
        let meta = object.meta_mut();
        meta.uid = Some(self.uid.clone());
        meta.generation = Some(self.generation);
        meta.resource_version = Some(self.version.to_string());
        meta.finalizers = Some(self.finalizers.clone());
        object.set_status(self.status.clone());
        object
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
