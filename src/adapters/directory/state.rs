//! What a cluster would hold beside the manifest: uid, generation, finalizers, status. One JSON file an object, replaced as
//! a whole, so that a crash leaves the old or the new.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::{SecurityGroup, SecurityGroupSpec, SecurityGroupStatus};
use crate::ports::objects::Key;

/// The state of one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Held {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) version: u64,
    #[serde(default)]
    pub(super) finalizers: Vec<String>,
    pub(super) spec: SecurityGroupSpec,
    #[serde(default)]
    pub(super) status: Option<SecurityGroupStatus>,
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

/// The state directory.
#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    /// Keeps a second process out for as long as this one lives.
    _lock: File,
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
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    fn path(&self, key: &Key) -> PathBuf {
        // Neither part can hold a '+': both are Kubernetes names.
        self.directory.join(format!("{}+{}.json", key.namespace, key.name))
    }

    /// The state of an object, if there is any.
    pub(super) fn load(&self, key: &Key) -> Result<Option<Held>, StateError> {
        let path = self.path(key);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(StateError { path, action: "read", cause }),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| StateError { path, action: "read", cause: io::Error::other(error) })
    }

    /// Keeps the state of an object; durable when it returns.
    pub(super) fn keep(&self, key: &Key, held: &Held) -> Result<(), StateError> {
        let path = self.path(key);
        let fail = |cause| StateError { path: path.clone(), action: "written", cause };
        let text = serde_json::to_vec_pretty(held).map_err(|error| fail(io::Error::other(error)))?;
        let draft = path.with_extension("json.new");
        let mut file = File::create(&draft).map_err(fail)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(fail)?;
        fs::rename(&draft, &path).map_err(fail)?;
        File::open(&self.directory).and_then(|folder| folder.sync_all()).map_err(fail)
    }
}

impl Held {
    /// State of an object seen for the first time.
    pub(super) fn new(object: &SecurityGroup) -> Self {
        Self {
            uid: Uuid::new_v4().to_string(),
            generation: 1,
            version: 1,
            finalizers: Vec::new(),
            spec: object.spec.clone(),
            status: None,
        }
    }

    /// The object as a cluster would show it.
    pub(super) fn dress(&self, manifest: &SecurityGroup) -> SecurityGroup {
        let mut object = manifest.clone();
        object.metadata.uid = Some(self.uid.clone());
        object.metadata.generation = Some(self.generation);
        object.metadata.resource_version = Some(self.version.to_string());
        object.metadata.finalizers = Some(self.finalizers.clone());
        object.status.clone_from(&self.status);
        object
    }
}
