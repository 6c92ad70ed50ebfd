//! Where objects live: a cluster, or files. The engine sees one stream of objects a kind and writes back status, finalizer and
//! Events.

use async_trait::async_trait;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;

use crate::api::{
    AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, Notifier, NotifierStatus, ReferenceGrant, SecurityGroup,
    SecurityGroupStatus,
};

/// An object of the watch; one that cannot be read is told apart instead of stopping the watch of the others.
pub type Guarded = DeserializeGuard<SecurityGroup>;
/// Every object of a kind, then every change, for as long as the stream is held. Errors are told and then recovered from.
pub type Watch<K> = BoxStream<'static, Result<watcher::Event<DeserializeGuard<K>>, watcher::Error>>;

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
#[derive(Debug, strum::IntoStaticStr, thiserror::Error)]
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
///
/// Every watch begins with all there is, as soon as that is known; until then it is silent, and nothing may be concluded from
/// what it does not show.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The `SecurityGroup` objects.
    fn watch(&self) -> Watch<SecurityGroup>;

    /// The `CidrSet` objects.
    fn watch_cidr_sets(&self) -> Watch<CidrSet>;

    /// The `AwsAccount` objects. None where they may not be read, which is so only for who looks after one namespace.
    fn watch_accounts(&self) -> Watch<AwsAccount>;

    /// The `Notifier` objects. None where they may not be read, as with accounts.
    fn watch_notifiers(&self) -> Watch<Notifier>;

    /// The namespaces: their labels and annotations, nothing else of them. Who looks after one namespace sees that one at most;
    /// one that is not shown has no labels.
    fn watch_namespaces(&self) -> Watch<Namespace>;

    /// Gateway API's `ReferenceGrant` objects. Where the kind is not installed, or may not be read, there are none: the stream
    /// says so and goes on.
    fn watch_grants(&self) -> Watch<ReferenceGrant>;

    /// Writes the status of `object` if the object is still at its resource version. Returns the object as it is then.
    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError>;

    /// Adds our finalizer, so that deletion waits for us.
    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError>;

    /// Removes our finalizer: nothing of the object is left to be cleaned up.
    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError>;

    /// Writes the status of a set if the set is still at its resource version.
    async fn write_cidr_set_status(&self, set: &CidrSet, status: &CidrSetStatus) -> Result<(), ObjectsError>;

    /// Writes the status of an account if the account is still at its resource version.
    async fn write_account_status(&self, account: &AwsAccount, status: &AwsAccountStatus) -> Result<(), ObjectsError>;

    /// Writes the status of a notifier if the notifier is still at its resource version.
    async fn write_notifier_status(&self, notifier: &Notifier, status: &NotifierStatus) -> Result<(), ObjectsError>;

    /// Adds or removes our finalizer on an account: it has to stay while groups of it are kept.
    async fn hold_account(&self, account: &AwsAccount, held: bool) -> Result<(), ObjectsError>;

    /// Records an Event. Never fails a reconcile: an Event is news, not the record.
    async fn record_event(&self, object: &SecurityGroup, notice: &Notice);
}
