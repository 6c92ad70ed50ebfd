//! Where `SecurityGroup` objects live: a cluster, or files. The engine sees one stream of objects and writes back status,
//! finalizer and Events.

use async_trait::async_trait;
use futures::stream::BoxStream;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;

use crate::api::{SecurityGroup, SecurityGroupStatus};

/// An object of the watch; one that cannot be read is told apart instead of stopping the watch of the others.
pub type Guarded = DeserializeGuard<SecurityGroup>;

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of an object; `None` without a namespace or a name, which no stored object lacks.
    pub fn of(meta: &kube::core::ObjectMeta) -> Option<Self> {
        Some(Self { namespace: meta.namespace.clone()?, name: meta.name.clone()? })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What somebody looking at the object should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it calls for attention.
    pub warning: bool,
    /// From the closed list of `core::status::Reason`.
    pub reason: &'static str,
    /// Tells equal reasons apart: Kubernetes folds Events of one reason and action into a series and drops later notes.
    pub action: String,
    /// One sentence, at most 1,024 characters.
    pub note: String,
}

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The object has changed since it was read: fetch it again.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// The object is gone.
    #[error("the object is gone")]
    Gone,
    /// The store refuses what was written.
    #[error("the store refuses the write: {0}")]
    Refused(String),
    /// The store does not answer.
    #[error("the store of objects does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A store of objects.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Every object, then every change, for as long as the stream is held. Errors are told and then recovered from.
    fn watch(&self) -> BoxStream<'static, Result<watcher::Event<Guarded>, watcher::Error>>;

    /// Writes the status of `object` if the object is still at its resource version. Returns the object as it is then.
    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError>;

    /// Adds our finalizer, so that deletion waits for us.
    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError>;

    /// Removes our finalizer: nothing of the object is left to be cleaned up.
    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError>;

    /// Records an Event. Never fails a reconcile: an Event is news, not the record.
    async fn record_event(&self, object: &SecurityGroup, notice: &Notice);
}
