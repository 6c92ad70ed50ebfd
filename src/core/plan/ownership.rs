//! Whose group is it? One pure function over four tags, and doubt means: not ours.

use crate::core::model::{Observed, Tags};

use super::PlanInput;

/// Tag: the cluster whose sgwarden manages the group.
pub const TAG_CLUSTER: &str = "sgwarden.dev/cluster";
/// Tag: `<namespace>/<name>` of the object.
pub const TAG_OWNER: &str = "sgwarden.dev/owner";
/// Tag: uid of the object, which tells an object from its namesake of yesterday.
pub const TAG_UID: &str = "sgwarden.dev/uid";
/// Tag: how the group came to us.
pub const TAG_ORIGIN: &str = "sgwarden.dev/origin";

/// The object that owns a group, and the cluster it lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Cluster id.
    pub cluster: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Uid of the object.
    pub uid: String,
    /// Ids this cluster went by before: groups under them are ours to take back.
    pub former: Vec<String>,
}

/// What the tags of a group say about us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours.
    Ours,
    /// Ours by cluster and name, under the uid of an earlier object or a former id of the cluster: what that one vouched for is
    /// not known here.
    Reclaimed {
        /// The uid on the group; empty when there is none.
        former_uid: String,
    },
    /// Our tags are missing, in whole or part, and nobody else's are there. Ours only if the id is the recorded one.
    Stripped,
    /// Somebody else's.
    Foreign {
        /// Who, as far as the tags tell.
        claimant: String,
    },
}

impl Owner {
    /// `<namespace>/<name>`
    pub fn object(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The tags that make a group ours, set in the call that creates it.
    pub fn tags(&self, origin: &str) -> Tags {
        Tags::from([
            (TAG_CLUSTER.to_owned(), self.cluster.clone()),
            (TAG_OWNER.to_owned(), self.object()),
            (TAG_UID.to_owned(), self.uid.clone()),
            (TAG_ORIGIN.to_owned(), origin.to_owned()),
        ])
    }

    /// The tags by which our group is found when its id is not known: under our cluster id, then under the former ones.
    pub fn search_tags(&self) -> Vec<Tags> {
        let clusters = std::iter::once(&self.cluster).chain(&self.former);
        let tags =
            |cluster: &String| Tags::from([(TAG_CLUSTER.to_owned(), cluster.clone()), (TAG_OWNER.to_owned(), self.object())]);
        clusters.map(tags).collect()
    }

    /// Judges the tags of a group.
    pub fn judge(&self, tags: &Tags) -> Ownership {
        let cluster = tags.get(TAG_CLUSTER);
        let object = tags.get(TAG_OWNER);
        let foreign = |claimant: String| Ownership::Foreign { claimant };
        let reclaimed = || Ownership::Reclaimed { former_uid: tags.get(TAG_UID).cloned().unwrap_or_default() };
        match (cluster, object) {
            (Some(cluster), _) if *cluster != self.cluster && !self.was(cluster) => {
                foreign(format!("cluster {cluster}, object {}", object.map_or("unknown", String::as_str)))
            }
            (_, Some(object)) if *object != self.object() => foreign(format!("object {object}")),
            (Some(cluster), Some(_)) if *cluster != self.cluster => reclaimed(),
            (Some(_), Some(_)) if tags.get(TAG_UID).is_some_and(|uid| *uid != self.uid) => reclaimed(),
            (Some(_), Some(_)) => Ownership::Ours,
            (None, _) | (_, None) => Ownership::Stripped,
        }
    }

    /// Whether a cluster id is one this cluster went by before.
    pub(super) fn was(&self, cluster: &str) -> bool {
        self.former.iter().any(|former| former == cluster)
    }
}

/// Whether a group may be written to: it is ours by its tags, or by its id where they are gone, or it is being taken over.
pub(super) fn may_write(input: PlanInput<'_>, observed: &Observed) -> bool {
    match input.owner.judge(&observed.group.tags) {
        Ownership::Ours | Ownership::Reclaimed { former_uid: _ } => true,
        Ownership::Stripped => input.restraint.adopting || input.recorded == Some(&observed.group.id),
        Ownership::Foreign { claimant: _ } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { cluster: "c1".into(), namespace: "shop".into(), name: "web".into(), uid: "u1".into(), former: vec!["c0".into()] }
    }

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_our_cluster_and_object_are_ours() {
        assert_eq!(owner().judge(&owner().tags("Created")), Ownership::Ours);
        assert_eq!(
            owner().judge(&tags(&[(TAG_CLUSTER, "c1"), (TAG_OWNER, "shop/web"), (TAG_UID, "u0")])),
            Ownership::Reclaimed { former_uid: "u0".into() }
        );
        assert_eq!(
            owner().judge(&tags(&[(TAG_CLUSTER, "c0"), (TAG_OWNER, "shop/web"), (TAG_UID, "u1")])),
            Ownership::Reclaimed { former_uid: "u1".into() },
            "an id the cluster went by before"
        );
        for foreign in [
            tags(&[(TAG_CLUSTER, "c2"), (TAG_OWNER, "shop/web"), (TAG_UID, "u1")]),
            tags(&[(TAG_CLUSTER, "c2")]),
            tags(&[(TAG_CLUSTER, "c0"), (TAG_OWNER, "shop/db")]),
            tags(&[(TAG_CLUSTER, "c1"), (TAG_OWNER, "shop/db")]),
            tags(&[(TAG_OWNER, "shop/db")]),
        ] {
            assert!(matches!(owner().judge(&foreign), Ownership::Foreign { .. }), "{foreign:?}");
        }
        for stripped in [
            tags(&[]),
            tags(&[("team", "shop")]),
            tags(&[(TAG_CLUSTER, "c1")]),
            tags(&[(TAG_CLUSTER, "c0"), (TAG_UID, "u1")]),
            tags(&[(TAG_OWNER, "shop/web")]),
            tags(&[(TAG_UID, "u9")]),
        ] {
            assert_eq!(owner().judge(&stripped), Ownership::Stripped, "{stripped:?}");
        }
    }
}
