//! What a cluster must have before it can be worked with, asked once at the start.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, CustomResourceExt};

use super::connect::Cluster;
use super::words;
use crate::api::{AwsAccount, CidrSet, GROUP, Notifier, SecurityGroup, VERSION};

/// How long one question may take.
const CALL: Duration = Duration::from_secs(10);
/// How often, and how long after the other, to look at a CRD that is there but not served yet: it may be seconds old.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// The namespace whose uid is used as the cluster's.
const SYSTEM: &str = "kube-system";
/// Where a pod finds the namespace of its service account.
const ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Why the cluster cannot be worked with. One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody answers.
    #[error("no cluster: {server} does not answer: {why}; is it up, and is it the right --context?")]
    Unreachable {
        /// The apiserver's address.
        server: String,
        /// Why.
        why: String,
    },
    /// Somebody else answers.
    #[error("no cluster: {server} answers, but not as a Kubernetes apiserver does: {why}")]
    NotKubernetes {
        /// The address.
        server: String,
        /// What it said.
        why: String,
    },
    /// The credentials are not accepted.
    #[error("the cluster at {server} does not accept the credentials: {why}; log in again, or check the service account")]
    Unauthorized {
        /// The apiserver's address.
        server: String,
        /// What it said.
        why: String,
    },
    /// The credentials are accepted, but not for this.
    #[error("sgwarden may not {what}: {why}; compare its roles with deploy/kubernetes/rbac.yaml")]
    Forbidden {
        /// What it tried.
        what: &'static str,
        /// What the apiserver said.
        why: String,
    },
    /// It was asked for something that cannot be, such as a selector that is none.
    #[error("the cluster at {server} cannot {what}: {why}")]
    Refused {
        /// The apiserver's address.
        server: String,
        /// What it was asked.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The cluster does not say who asks.
    #[error("the cluster at {server} does not say by which name it knows you: it has to be of Kubernetes 1.28 or later")]
    Nameless {
        /// The apiserver's address.
        server: String,
    },
    /// CRDs are missing.
    #[error("{} not installed: kubectl apply --server-side -f crds/", subject(.crds))]
    NotInstalled {
        /// Their names.
        crds: Vec<String>,
    },
    /// A CRD is of another release.
    #[error("the CRD {crd} does not serve {VERSION}, only {served}: kubectl apply --server-side -f crds/")]
    OtherVersion {
        /// Its name.
        crd: String,
        /// The versions it serves.
        served: String,
    },
    /// An object is there, but not as this release knows them.
    #[error("{object} cannot be read: {why}")]
    Unreadable {
        /// Which.
        object: String,
        /// What about it.
        why: String,
    },
    /// A CRD is there, but the apiserver does not serve it, or not whole.
    #[error("the CRD {crd} is installed, but cannot be used: {why}")]
    NotEstablished {
        /// Its name.
        crd: String,
        /// What its conditions say.
        why: String,
    },
}

impl Cluster {
    /// Checks that the cluster serves our objects, and returns its id.
    pub async fn probe(&self) -> Result<String, ProbeError> {
        self.check_crd().await?;
        self.id().await
    }

    /// Checks that our CRDs are there, established and serve our version.
    pub async fn check_crd(&self) -> Result<(), ProbeError> {
        let mut looks = 0;
        loop {
            // Discovery lists a CRD's resources once it is established, and anybody may read it: no right to read CRDs is
            // needed unless something is wrong.
            let unserved = self.unserved().await?;
            let Some(first) = unserved.first() else { return Ok(()) };
            let why = self.diagnose(&unserved).await?;
            looks += 1;
            if looks == LOOKS {
                return Err(ProbeError::NotEstablished { crd: first.clone(), why });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The cluster's id: the uid of namespace kube-system, which lives and dies with the cluster.
    pub async fn id(&self) -> Result<String, ProbeError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let what = "read the namespace kube-system, whose uid is the cluster's id";
        let system = self.ask(what, namespaces.get_metadata(SYSTEM)).await?;
        let uid = system.and_then(|namespace| namespace.metadata.uid);
        uid.ok_or_else(|| self.not_kubernetes(&format!("there is no namespace {SYSTEM}")))
    }

    /// The CRDs of ours that are not served whole.
    async fn unserved(&self) -> Result<Vec<String>, ProbeError> {
        let group_version = format!("{GROUP}/{VERSION}");
        let listed = self.ask("ask which resources there are", self.client.list_api_group_resources(&group_version)).await?;
        let served: BTreeSet<String> = listed.into_iter().flat_map(|list| list.resources).map(|resource| resource.name).collect();
        let is_served = |crd: &str| {
            let plural = crd.split('.').next().unwrap_or_default();
            served.contains(plural) && served.contains(&format!("{plural}/status"))
        };
        Ok(crds().into_iter().filter(|crd| !is_served(crd)).map(str::to_owned).collect())
    }

    /// What keeps the first of these CRDs from being served; an error where waiting is of no use.
    async fn diagnose(&self, unserved: &[String]) -> Result<String, ProbeError> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let (mut missing, mut present) = (Vec::new(), Vec::new());
        for name in unserved {
            match self.ask("read the CRD", api.get(name)).await {
                Ok(Some(crd)) => present.push((name, crd)),
                // Who may not look can still be told the most likely: with the CRD in place nobody would have to look.
                Ok(None) | Err(ProbeError::Forbidden { .. }) => missing.push(name.clone()),
                Err(error) => return Err(error),
            }
        }
        if !missing.is_empty() {
            return Err(self.not_installed(missing).await);
        }
        let blocks = present.iter().map(|(name, crd)| hindrance(name, crd)).collect::<Result<Vec<_>, _>>()?;
        Ok(blocks.into_iter().next().unwrap_or_default())
    }

    /// Any web server says that our CRDs are not found: look whether this is an apiserver at all before saying what to apply.
    async fn not_installed(&self, crds: Vec<String>) -> ProbeError {
        match self.ask("ask for its version", self.client.apiserver_version()).await {
            Ok(None) => self.not_kubernetes("it has no /version"),
            Err(error @ ProbeError::NotKubernetes { .. }) => error,
            Ok(Some(_)) | Err(_) => ProbeError::NotInstalled { crds },
        }
    }

    /// Asks; `None` when there is no such thing.
    pub(super) async fn ask<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, ProbeError> {
        let server = self.server.clone();
        let Ok(answer) = tokio::time::timeout(CALL, call).await else {
            return Err(ProbeError::Unreachable { server, why: format!("no answer in {} s", CALL.as_secs()) });
        };
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(kube::Error::Api(status)) => match status.code {
                404 => Ok(None),
                401 => Err(ProbeError::Unauthorized { server, why: status.message }),
                403 => Err(ProbeError::Forbidden { what, why: status.message }),
                400 | 422 => Err(ProbeError::Refused { server, what, why: status.message.trim().to_owned() }),
                _ => Err(ProbeError::Unreachable { server, why: format!("{} {}", status.code, status.message.trim()) }),
            },
            Err(error @ (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_))) => Err(self.not_kubernetes(&words(&error))),
            Err(error) => Err(ProbeError::Unreachable { server, why: words(&error) }),
        }
    }

    fn not_kubernetes(&self, why: &str) -> ProbeError {
        ProbeError::NotKubernetes { server: self.server.clone(), why: why.to_owned() }
    }
}

/// The names of our CRDs.
fn crds() -> [&'static str; 4] {
    [AwsAccount::crd_name(), CidrSet::crd_name(), Notifier::crd_name(), SecurityGroup::crd_name()]
}

/// What keeps a CRD from being served; an error where waiting is of no use.
fn hindrance(name: &str, crd: &CustomResourceDefinition) -> Result<String, ProbeError> {
    let name = || name.to_owned();
    let served = crd.spec.versions.iter().filter(|version| version.served).map(|version| version.name.as_str());
    let served = served.collect::<Vec<_>>();
    if !served.contains(&VERSION) {
        let served = if served.is_empty() { "no version".to_owned() } else { served.join(", ") };
        return Err(ProbeError::OtherVersion { crd: name(), served });
    }
    let ours = crd.spec.versions.iter().find(|version| version.name == VERSION);
    if ours.and_then(|version| version.subresources.as_ref()).is_none_or(|parts| parts.status.is_none()) {
        let why = "it has no status; kubectl apply --server-side -f crds/".to_owned();
        return Err(ProbeError::NotEstablished { crd: name(), why });
    }
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_ref());
    // Established is true but discovery lags behind for a moment; anything else has a condition that says why.
    let blocking = conditions.into_iter().flatten().find(|condition| {
        matches!((condition.type_.as_str(), condition.status.as_str()), ("Established" | "NamesAccepted", "False"))
    });
    Ok(blocking.and_then(|condition| condition.message.clone()).unwrap_or_else(|| "it is not established yet".to_owned()))
}

/// CRDs as the subject of a sentence.
fn subject(crds: &[String]) -> String {
    match crds {
        [] => "no CRD is".to_owned(),
        [one] => format!("the CRD {one} is"),
        [most @ .., last] => format!("the CRDs {} and {last} are", most.join(", ")),
    }
}

/// The namespace that this process runs in, when it is a pod: where its Lease and its Secrets are.
#[expect(clippy::disallowed_methods, reason = "a pod is told of itself by its environment and the files of its service account")]
pub fn own_namespace() -> Option<String> {
    namespace_of(std::env::var("POD_NAMESPACE").ok(), Path::new(ACCOUNT_NAMESPACE))
}

/// What the environment says comes first: it can be set where no service account is mounted.
fn namespace_of(told: Option<String>, file: &Path) -> Option<String> {
    let name = |text: String| Some(text.trim().to_owned()).filter(|name| !name.is_empty());
    told.and_then(name).or_else(|| std::fs::read_to_string(file).ok().and_then(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_what_the_environment_or_the_service_account_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namespace");
        assert_eq!(namespace_of(None, &file), None);
        assert_eq!(namespace_of(Some(" ".to_owned()), &file), None, "an empty variable says nothing");
        std::fs::write(&file, "sgwarden-system\n").unwrap();
        assert_eq!(namespace_of(None, &file).as_deref(), Some("sgwarden-system"));
        assert_eq!(namespace_of(Some("other".to_owned()), &file).as_deref(), Some("other"));
    }
}
