//! The only Kubernetes client: the objects of a cluster as the engine's [`Objects`](crate::ports::objects::Objects).
//!
//! Entry points: [`connect`] gives a [`Cluster`]; [`Cluster::probe`] says at the start whether it can be worked with;
//! [`KubeObjects`] is the port; [`KubeLease`] the Lease by which replicas agree who leads. [`KubeSecrets`] reads what
//! Notifiers name. `groups` reads, amends and annotates objects for somebody at a terminal. `watch` makes the streams, `optional` those
//! of kinds that need not be there.
//!
//! Invariant: one attempt a call, and every call but the watch ends within a limit. kube's own retries (up to 15, minutes
//! long) are off, because the engine decides what to do next: a revert must not wait for a status write that hangs.
//! Invariant: nothing is written without the resource version it was read at. A write that lost a race is
//! [`Conflict`](crate::ports::objects::ObjectsError::Conflict), never a silent overwrite.

mod connect;
mod events;
mod grants;
mod groups;
mod lease;
mod objects;
mod optional;
mod probe;
mod referents;
mod secrets;
#[cfg(test)]
mod tests;
mod watch;

pub use connect::{Cluster, ClusterOptions, ConnectError, connect};
pub use groups::{Listed, Stored};
pub use lease::{KubeLease, identity};
pub use objects::KubeObjects;
pub use optional::Patience;
pub use probe::{ProbeError, own_namespace};
pub use secrets::KubeSecrets;

/// The name our writes carry in `managedFields`.
const FIELD_MANAGER: &str = "sgwarden";

/// An error of the client in words. kube's own text for an answer of the apiserver ends in a dump of the whole answer, and
/// for anything below HTTP the innermost cause ("Connection refused") says more than the layers of clients around it.
fn words(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return if status.message.is_empty() {
            format!("{} {}", status.code, status.reason)
        } else {
            status.message.trim().to_owned()
        };
    }
    let root = root(error);
    if root.is::<tokio::time::error::Elapsed>() { "no answer in time".to_owned() } else { root.to_string() }
}

fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost
}
