//! The Lease by which the replicas of one installation agree who writes.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What a Lease says. Its times are for people: nobody's clock is another's, so nothing is ever decided by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who leads; `None` when nobody does.
    pub holder: Option<String>,
    /// How long a renewal holds; zero when it does not say. Written in whole seconds, at least one.
    pub duration: Duration,
    /// When the holder took it.
    pub acquired: Option<Timestamp>,
    /// When the holder last renewed it.
    pub renewed: Option<Timestamp>,
    /// How often it went from one holder to another.
    pub transitions: i32,
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLease {
    /// What it says.
    pub record: LeaseRecord,
    /// Its metadata. The resource version is what a replace is checked against; labels and annotations are other people's and
    /// are kept.
    pub meta: ObjectMeta,
}

/// Why the Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It was written, created or deleted by somebody since it was read.
    #[error("somebody else has written the Lease meanwhile")]
    Conflict,
    /// The apiserver refuses.
    #[error("the apiserver refuses: {0}")]
    Refused(String),
    /// No answer, or one that says nothing: a write may have happened all the same.
    #[error("the apiserver does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One Lease. Each call is one attempt and ends within a limit of its own.
#[async_trait]
pub trait Leases: Send + Sync {
    /// The Lease as it is now, not as some cache remembers it; `None` when there is none.
    async fn get(&self) -> Result<Option<StoredLease>, LeaseError>;
    /// Makes it. [`LeaseError::Conflict`] when there is one.
    async fn create(&self, record: &LeaseRecord) -> Result<StoredLease, LeaseError>;
    /// Replaces it if it is still as it was read. [`LeaseError::Conflict`] when it is not, or is gone.
    async fn replace(&self, lease: &StoredLease, record: &LeaseRecord) -> Result<StoredLease, LeaseError>;
}
