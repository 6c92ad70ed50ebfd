//! What a cluster must have before it can be worked with, asked once at the start.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;

use super::connect::Cluster;
use super::words;
use crate::api::{GROUP, SECURITY_GROUPS, VERSION};

/// How long one question may take.
const CALL: Duration = Duration::from_secs(10);
/// How often, and how long after the other, to look at a CRD that is there but not served yet: it may be seconds old.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// The namespace whose uid is used as the cluster's.
const SYSTEM: &str = "kube-system";

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
    /// The CRD is missing.
    #[error("the CRD {SECURITY_GROUPS} is not installed: kubectl apply --server-side -f crds/")]
    NotInstalled,
    /// The CRD is of another release.
    #[error("the CRD {SECURITY_GROUPS} does not serve {VERSION}, only {served}: kubectl apply --server-side -f crds/")]
    OtherVersion {
        /// The versions it serves.
        served: String,
    },
    /// The CRD is there, but the apiserver does not serve it, or not whole.
    #[error("the CRD {SECURITY_GROUPS} is installed, but cannot be used: {why}")]
    NotEstablished {
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

    /// Checks that the CRD is there, established and serves our version.
    pub async fn check_crd(&self) -> Result<(), ProbeError> {
        let mut why = None;
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            // Discovery lists a CRD's resources once it is established, and anybody may read it: no right to read CRDs is
            // needed unless something is wrong.
            if self.is_served().await? {
                return Ok(());
            }
            why = Some(self.diagnose().await?);
        }
        Err(ProbeError::NotEstablished { why: why.unwrap_or_default() })
    }

    /// The cluster's id: the uid of namespace kube-system, which lives and dies with the cluster.
    pub async fn id(&self) -> Result<String, ProbeError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let what = "read the namespace kube-system, whose uid is the cluster's id";
        let system = self.ask(what, namespaces.get_metadata(SYSTEM)).await?;
        let uid = system.and_then(|namespace| namespace.metadata.uid);
        uid.ok_or_else(|| self.not_kubernetes(&format!("there is no namespace {SYSTEM}")))
    }

    async fn is_served(&self) -> Result<bool, ProbeError> {
        let group_version = format!("{GROUP}/{VERSION}");
        let listed = self.ask("ask which resources there are", self.client.list_api_group_resources(&group_version)).await?;
        let plural = SECURITY_GROUPS.split('.').next().unwrap_or_default();
        let status = format!("{plural}/status");
        Ok(listed.is_some_and(|list| {
            let has = |name: &str| list.resources.iter().any(|resource| resource.name == name);
            has(plural) && has(&status)
        }))
    }

    /// What keeps the CRD from being served; an error where waiting is of no use.
    async fn diagnose(&self) -> Result<String, ProbeError> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let crd = match self.ask("read the CRD", crds.get(SECURITY_GROUPS)).await {
            Ok(Some(crd)) => crd,
            // Who may not look can still be told the most likely: with the CRD in place nobody would have to look.
            Ok(None) | Err(ProbeError::Forbidden { .. }) => return Err(self.not_installed().await),
            Err(error) => return Err(error),
        };
        let served = crd.spec.versions.iter().filter(|version| version.served).map(|version| version.name.as_str());
        let served = served.collect::<Vec<_>>();
        if !served.contains(&VERSION) {
            let served = if served.is_empty() { "no version".to_owned() } else { served.join(", ") };
            return Err(ProbeError::OtherVersion { served });
        }
        let ours = crd.spec.versions.iter().find(|version| version.name == VERSION);
        if ours.and_then(|version| version.subresources.as_ref()).is_none_or(|parts| parts.status.is_none()) {
            return Err(ProbeError::NotEstablished { why: "it has no status; kubectl apply --server-side -f crds/".to_owned() });
        }
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        // Established is true but discovery lags behind for a moment; anything else has a condition that says why.
        let blocking = conditions.iter().find(|condition| {
            matches!((condition.type_.as_str(), condition.status.as_str()), ("Established" | "NamesAccepted", "False"))
        });
        Ok(blocking.and_then(|condition| condition.message.clone()).unwrap_or_else(|| "it is not established yet".to_owned()))
    }

    /// Any web server says that our CRD is not found: look whether this is an apiserver at all before saying what to apply.
    async fn not_installed(&self) -> ProbeError {
        match self.ask("ask for its version", self.client.apiserver_version()).await {
            Ok(None) => self.not_kubernetes("it has no /version"),
            Err(error @ ProbeError::NotKubernetes { .. }) => error,
            Ok(Some(_)) | Err(_) => ProbeError::NotInstalled,
        }
    }

    /// Asks; `None` when there is no such thing.
    async fn ask<T>(&self, what: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<Option<T>, ProbeError> {
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
