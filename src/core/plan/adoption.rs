//! Which existing groups may be taken over at all (DESIGN §4.5).
//!
//! Invariant: a group that somebody else's tags claim is never taken over, whoever consents.

use crate::core::model::Tags;

use super::ownership::{Owner, Ownership};

/// Tag a person sets on a group to hand it over: `<cluster id>/<namespace>`.
pub const TAG_ADOPT: &str = "sgwarden.dev/adopt";

/// Names under which AWS services and well-known controllers keep groups of their own: what is taken from one of them it puts
/// back, or breaks on. Each is the beginning of a name.
const SERVICE_NAMES: &[&str] = &[
    "ElasticMapReduce-",
    "AWSServiceRole",
    "AWSCloud9",
    "aws-cloud9-",
    "awseb-",
    "eks-cluster-sg-",
    "eks-remoteAccess-",
    "k8s-elb-",
    "k8s-traffic-",
    "rds-ec2-",
    "ec2-rds-",
    "FMManagedSecurityGroup",
];

/// Why a group is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else's tags are on it.
    #[error("the group carries the tags of {claimant}; sgwarden does not touch it")]
    Claimed {
        /// Who, as far as the tags tell.
        claimant: String,
    },
    /// Nobody consented on AWS's side.
    #[error(
        "nobody consented: tag the group {TAG_ADOPT}={consent} in AWS, or have the AwsAccount allow adoption for this namespace"
    )]
    NoConsent {
        /// The value of the tag that would be consent.
        consent: String,
    },
    /// It is a service's, and not both consents are there.
    #[error(
        "the group is {service}'s, which goes on changing it: taking it over needs both the tag {TAG_ADOPT}={consent} and adoption: \
         Allowed in the AwsAccount"
    )]
    Service {
        /// The tag or the beginning of the name that tells.
        service: String,
        /// The value of the tag that would be consent.
        consent: String,
    },
}

impl Owner {
    /// The value of [`TAG_ADOPT`] by which a person hands a group to objects of this namespace.
    pub fn consent(&self) -> String {
        format!("{}/{}", self.cluster, self.namespace)
    }

    /// Whether a group may be taken over. `allowed`: the account lets this namespace adopt without a person's tag. What is ours
    /// already, or was, needs no consent.
    pub fn adoptable(&self, tags: &Tags, name: &str, allowed: bool) -> Result<(), Refusal> {
        match self.judge(tags) {
            Ownership::Ours | Ownership::Reclaimed { former_uid: _ } => return Ok(()),
            Ownership::Foreign { claimant } => return Err(Refusal::Claimed { claimant }),
            Ownership::Stripped => {}
        }
        let consent = self.consent();
        let tagged = tags.get(TAG_ADOPT) == Some(&consent);
        match service(tags, name) {
            Some(service) if !(tagged && allowed) => Err(Refusal::Service { service, consent }),
            None if !(tagged || allowed) => Err(Refusal::NoConsent { consent }),
            Some(_) | None => Ok(()),
        }
    }
}

/// The AWS service or controller that keeps a group, as far as its tags and name tell.
fn service(tags: &Tags, name: &str) -> Option<String> {
    let tag = tags.keys().find(|key| key.to_ascii_lowercase().starts_with("aws:") || key.as_str() == "elbv2.k8s.aws/cluster");
    let by_tag = tag.map(|key| format!("tag {key}"));
    let by_name = || SERVICE_NAMES.iter().find(|start| name.starts_with(**start)).map(|start| format!("{start}…"));
    // AWS Directory Service: d-<10 hex digits>_controllers.
    let directory = || (name.starts_with("d-") && name.ends_with("_controllers")).then(|| "AWS Directory Service".to_owned());
    by_tag.or_else(by_name).or_else(directory)
}

#[cfg(test)]
mod tests {
    use super::super::ownership::{TAG_CLUSTER, TAG_OWNER, TAG_UID};
    use super::*;

    fn owner() -> Owner {
        let [cluster, namespace, name, uid] = ["c1", "shop", "web", "u1"].map(str::to_owned);
        Owner { cluster, namespace, name, uid, former: vec!["c0".into()] }
    }

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// What stands in the way, for no consent, the tag, the account's leave, and both.
    fn refusals(extra: &[(&str, &str)], name: &str) -> [bool; 4] {
        [(false, false), (true, false), (false, true), (true, true)].map(|(tagged, allowed)| {
            let mut tags = tags(extra);
            if tagged {
                tags.insert(TAG_ADOPT.to_owned(), "c1/shop".to_owned());
            }
            owner().adoptable(&tags, name, allowed).is_err()
        })
    }

    #[test]
    fn a_plain_group_needs_one_consent() {
        assert_eq!(refusals(&[("team", "shop")], "legacy-web"), [true, false, false, false]);
        assert_eq!(refusals(&[], "default"), [true, false, false, false], "what may become of it is not judged here");
    }

    #[test]
    fn a_consent_to_another_namespace_or_cluster_is_none() {
        for value in ["c1/other", "c2/shop", "c1/", "c1/shop/web", ""] {
            let refusal = owner().adoptable(&tags(&[(TAG_ADOPT, value)]), "legacy-web", false).unwrap_err();
            assert_eq!(refusal, Refusal::NoConsent { consent: "c1/shop".into() }, "{value}");
        }
    }

    #[test]
    fn a_services_group_needs_both_consents() {
        for name in ["ElasticMapReduce-master", "awseb-e-x", "eks-cluster-sg-prod-1", "k8s-elb-a0", "d-9067aabbcc_controllers"] {
            assert_eq!(refusals(&[], name), [true, true, true, false], "{name}");
        }
        for key in ["aws:cloudformation:stack-name", "AWS:x", "elbv2.k8s.aws/cluster"] {
            assert_eq!(refusals(&[(key, "x")], "web"), [true, true, true, false], "{key}");
        }
        assert_eq!(refusals(&[], "d-tour-controllers"), [true, false, false, false], "not a directory");
    }

    #[test]
    fn what_carries_other_tags_of_sgwarden_is_never_taken_over() {
        for foreign in [[(TAG_CLUSTER, "c2"), (TAG_OWNER, "shop/web")], [(TAG_CLUSTER, "c1"), (TAG_OWNER, "shop/db")]] {
            assert_eq!(refusals(&foreign, "web"), [true; 4], "{foreign:?}");
        }
    }

    #[test]
    fn what_is_ours_or_was_needs_no_consent() {
        let ours = owner().tags("Created");
        let former = tags(&[(TAG_CLUSTER, "c0"), (TAG_OWNER, "shop/web"), (TAG_UID, "u9")]);
        assert_eq!([owner().adoptable(&ours, "web", false), owner().adoptable(&former, "web", false)], [Ok(()), Ok(())]);
    }
}
