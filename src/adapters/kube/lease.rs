//! The Lease in a cluster, in `coordination.k8s.io/v1`: read from the source, written with its version.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use uuid::Uuid;

use super::{FIELD_MANAGER, words};
use crate::ports::lease::{LeaseError, LeaseRecord, Leases, StoredLease};

/// The limit of each call: two fit before the deadline of a renewal.
const CALL: Duration = Duration::from_secs(5);
/// Where Linux keeps the host's name, which in a pod is the pod's.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// One Lease of a cluster.
pub struct KubeLease {
    api: Api<Lease>,
    name: String,
    limit: Duration,
}

impl KubeLease {
    /// The Lease of this name. It need not be there yet.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), limit: CALL }
    }

    /// The same with another limit of calls.
    #[cfg(test)]
    pub(super) fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    async fn limited<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer.map_err(|error| failure(&error)),
            Err(_) => Err(LeaseError::Unavailable(format!("no answer within {:?}", self.limit).into())),
        }
    }
}

/// What this process is called in the Lease, as client-go names it: its host, and what tells it from any other process there,
/// the one before a restart included.
pub fn identity() -> String {
    let host = std::fs::read_to_string(HOSTNAME).unwrap_or_default();
    let host = if host.trim().is_empty() { "sgwarden" } else { host.trim() };
    format!("{host}_{}", Uuid::new_v4())
}

#[async_trait]
impl Leases for KubeLease {
    async fn get(&self) -> Result<Option<StoredLease>, LeaseError> {
        // Without a resource version in the request: the apiserver may then not answer from a cache that lags behind.
        let named = |status: &kube::core::Status| status.details.as_ref().is_some_and(|details| details.name == self.name);
        let found = self.limited(async {
            match self.api.get(&self.name).await {
                // Only a 404 that names the Lease says so of the Lease; any other is a proxy's, or an apiserver's without Leases.
                Err(kube::Error::Api(status)) if status.code == 404 && named(&status) => Ok(None),
                answer => answer.map(Some),
            }
        });
        Ok(found.await?.map(stored))
    }

    async fn create(&self, record: &LeaseRecord) -> Result<StoredLease, LeaseError> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec(record)) };
        Ok(stored(self.limited(self.api.create(&params(), &lease)).await?))
    }

    async fn replace(&self, lease: &StoredLease, record: &LeaseRecord) -> Result<StoredLease, LeaseError> {
        let metadata = lease.meta.clone();
        // Without the version, the write would overwrite whatever there is. Without the uid, it would bring a deleted Lease back:
        // Leases may be made by a PUT.
        if metadata.resource_version.is_none() || metadata.uid.is_none() {
            return Err(LeaseError::Refused("the Lease was not read from a cluster: it has no version or uid".to_owned()));
        }
        let lease = Lease { metadata, spec: Some(spec(record)) };
        Ok(stored(self.limited(self.api.replace(&self.name, &params(), &lease)).await?))
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn spec(record: &LeaseRecord) -> LeaseSpec {
    let LeaseRecord { holder, duration, acquired, renewed, transitions } = record;
    // The apiserver wants a second at least. Rounded up: a holder that is given longer than it says harms nobody.
    let whole = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1);
    LeaseSpec {
        // Left out where there is none: an empty holder is refused.
        holder_identity: holder.clone(),
        lease_duration_seconds: Some(i32::try_from(whole).unwrap_or(i32::MAX)),
        acquire_time: acquired.map(MicroTime),
        renew_time: renewed.map(MicroTime),
        lease_transitions: Some(*transitions),
        ..LeaseSpec::default()
    }
}

fn stored(mut lease: Lease) -> StoredLease {
    // Often longer than the rest, and nobody here reads them. A write without them leaves them as they are.
    lease.metadata.managed_fields = None;
    let spec = lease.spec.unwrap_or_default();
    let time = |time: Option<MicroTime>| time.map(|MicroTime(time): MicroTime| -> Timestamp { time });
    let record = LeaseRecord {
        // client-go takes an empty holder for none.
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default()),
        acquired: time(spec.acquire_time),
        renewed: time(spec.renew_time),
        transitions: spec.lease_transitions.unwrap_or_default(),
    };
    StoredLease { record, meta: lease.metadata }
}

/// What an answer to a call means.
fn failure(error: &kube::Error) -> LeaseError {
    let unavailable = || LeaseError::Unavailable(words(error).into());
    let kube::Error::Api(status) = error else { return unavailable() };
    match status.code {
        // Also what a PUT of a Lease that is gone is answered with, since the uid no longer fits.
        409 => LeaseError::Conflict,
        // About us or about now, not about what was written: a token that has run out, a queue that is full.
        401 | 408 | 429 => unavailable(),
        // A 404 here says that the namespace is not there, or the API.
        400..=499 => LeaseError::Refused(words(error)),
        _ => unavailable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_begins_with_the_host_and_is_never_used_again() {
        let (one, two) = (identity(), identity());
        assert_ne!(one, two);
        let (host, unique) = one.rsplit_once('_').unwrap();
        assert!(!host.is_empty() && !host.contains(char::is_whitespace));
        assert_eq!(unique.len(), 36);
    }

    #[test]
    fn durations_are_whole_seconds_and_never_shorter_than_they_are() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (20_000, 20)] {
            let record = LeaseRecord { duration: Duration::from_millis(millis), ..LeaseRecord::default() };
            assert_eq!(spec(&record).lease_duration_seconds, Some(seconds), "{millis}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_the_same() {
        let record = LeaseRecord {
            holder: Some("pod_1".to_owned()),
            duration: Duration::from_secs(20),
            acquired: Some("2026-11-22T21:00:00.000001Z".parse().unwrap()),
            renewed: Some("2026-11-22T21:00:02.5Z".parse().unwrap()),
            transitions: 3,
        };
        let wire = serde_json::to_string(&Lease { metadata: ObjectMeta::default(), spec: Some(spec(&record)) }).unwrap();
        assert!(wire.contains(r#""renewTime":"2026-11-22T21:00:02.500000Z""#), "{wire}");
        assert_eq!(stored(serde_json::from_str(&wire).unwrap()).record, record);
    }

    #[test]
    fn a_lease_that_says_nothing_or_nonsense_is_nobodys() {
        for spec in ["{}", r#"{"holderIdentity":"","leaseDurationSeconds":-5}"#] {
            let lease = serde_json::from_str(&format!(r#"{{"metadata":{{}},"spec":{spec}}}"#)).unwrap();
            assert_eq!(stored(lease).record, LeaseRecord::default());
        }
        assert_eq!(stored(Lease::default()).record, LeaseRecord::default());
    }
}
