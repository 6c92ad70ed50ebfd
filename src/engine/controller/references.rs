//! Who refers to whom, both ways: an object that changes wakes its users without a look at all the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Peer, SecurityGroup};
use crate::core::desired::{Referent, ReferentKind};
use crate::ports::objects::Key;

/// The references of all `SecurityGroup` objects.
#[derive(Debug, Default)]
pub(super) struct References {
    used: BTreeMap<Key, BTreeSet<Referent>>,
    users: BTreeMap<Referent, BTreeSet<Key>>,
}

impl References {
    /// An object as it is now.
    pub(super) fn put(&mut self, key: &Key, object: &SecurityGroup) {
        self.remove(key);
        let used: BTreeSet<Referent> =
            object.spec.rules().flat_map(|rule| rule.peers).filter_map(|peer| referent(key, peer)).collect();
        for referent in &used {
            self.users.entry(referent.clone()).or_default().insert(key.clone());
        }
        if !used.is_empty() {
            self.used.insert(key.clone(), used);
        }
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, key: &Key) {
        for referent in self.used.remove(key).unwrap_or_default() {
            if let Some(users) = self.users.get_mut(&referent) {
                users.remove(key);
                if users.is_empty() {
                    self.users.remove(&referent);
                }
            }
        }
    }

    /// Who refers to it.
    pub(super) fn users_of(&self, referent: &Referent) -> BTreeSet<Key> {
        self.users.get(referent).cloned().unwrap_or_default()
    }

    /// Who refers to an object of another namespace.
    pub(super) fn across_namespaces(&self) -> BTreeSet<Key> {
        let leaves = |key: &Key, used: &BTreeSet<Referent>| used.iter().any(|referent| referent.namespace != key.namespace);
        self.used.iter().filter(|(key, used)| leaves(key, used)).map(|(key, _)| key.clone()).collect()
    }
}

fn referent(user: &Key, peer: &Peer) -> Option<Referent> {
    let (kind, reference) = match (&peer.security_group, &peer.cidr_set) {
        (Some(reference), _) => (ReferentKind::SecurityGroup, reference),
        (None, Some(reference)) => (ReferentKind::CidrSet, reference),
        (None, None) => return None,
    };
    let namespace = reference.namespace.clone().unwrap_or_else(|| user.namespace.clone());
    Some(Referent { kind, namespace, name: reference.name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{IngressRule, ObjectReference, SecurityGroupSpec};

    fn key(name: &str) -> Key {
        Key { namespace: "shop".into(), name: name.into() }
    }

    fn object(name: &str, peers: Vec<Peer>) -> SecurityGroup {
        let rule = IngressRule { from: peers, ..IngressRule::default() };
        let mut object = SecurityGroup::new(name, SecurityGroupSpec { ingress: vec![rule], ..SecurityGroupSpec::default() });
        object.metadata.namespace = Some("shop".into());
        object
    }

    fn set(namespace: Option<&str>) -> Peer {
        let reference = ObjectReference { name: "office".into(), namespace: namespace.map(str::to_owned) };
        Peer { cidr_set: Some(reference), ..Peer::default() }
    }

    #[test]
    fn users_follow_the_objects_as_they_change() {
        let mut references = References::default();
        let db = Referent { kind: ReferentKind::SecurityGroup, namespace: "shop".into(), name: "db".into() };
        references.put(&key("web"), &object("web", vec![Peer::security_group("db"), set(Some("corp"))]));
        references.put(&key("api"), &object("api", vec![Peer::security_group("db"), set(None)]));
        assert_eq!(references.users_of(&db), BTreeSet::from([key("api"), key("web")]));
        assert_eq!(references.across_namespaces(), BTreeSet::from([key("web")]));
        references.put(&key("web"), &object("web", vec![Peer::cidr("10.0.0.0/8")]));
        assert_eq!(references.users_of(&db), BTreeSet::from([key("api")]));
        references.remove(&key("api"));
        assert!(references.users.is_empty() && references.used.is_empty());
    }
}
