//! Whether an object may refer to another: by the other's `allowedNamespaces`, or by a `ReferenceGrant` beside it.
//!
//! Entry point: [`may_refer`]. Invariant: without a word that allows it, a reference into another namespace is refused.

use std::collections::BTreeMap;

use crate::api::{self, AllowedNamespaces, GrantFrom, GrantTo, ReferenceGrant};

use super::namespaces::Allowed;
use super::problem::Problems;
use super::{Referent, ReferentKind};

impl ReferentKind {
    /// The kind as objects spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecurityGroup => "SecurityGroup",
            Self::CidrSet => "CidrSet",
        }
    }
}

impl std::fmt::Display for Referent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// Whether a `SecurityGroup` of the namespace `from`, which has these labels, may refer to `to`. `allowed` is what that object
/// says itself; `grants` may be of any namespace, those of the object's own count. A namespace whose labels are not known must
/// not be asked about: a selector can ask for a label to be absent.
pub fn may_refer<'a>(
    from: &str,
    labels: &BTreeMap<String, String>,
    to: &Referent,
    allowed: Option<&AllowedNamespaces>,
    grants: impl IntoIterator<Item = &'a ReferenceGrant>,
) -> bool {
    if from == to.namespace {
        return true;
    }
    let mut problems = Problems::default();
    let allowed = Allowed::parse(allowed, "spec.allowedNamespaces", &mut problems);
    // With a problem in it, it allows nobody; the object says so in its own status.
    let by_itself = problems.settle(allowed).is_ok_and(|allowed| match allowed {
        Allowed::Same => false,
        Allowed::All => true,
        Allowed::Selector(selector) => selector.matches(labels),
    });
    by_itself || grants.into_iter().any(|grant| is_granted(from, to, grant))
}

fn is_granted(from: &str, to: &Referent, grant: &ReferenceGrant) -> bool {
    let names_us = |entry: &GrantFrom| {
        let GrantFrom { group, kind, namespace } = entry;
        group == api::GROUP && kind == ReferentKind::SecurityGroup.as_str() && namespace == from
    };
    let names_it = |entry: &GrantTo| {
        let GrantTo { group, kind, name } = entry;
        group == api::GROUP && kind == to.kind.as_str() && name.as_ref().is_none_or(|name| *name == to.name)
    };
    grant.metadata.namespace.as_deref() == Some(to.namespace.as_str())
        && grant.spec.from.iter().any(names_us)
        && grant.spec.to.iter().any(names_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(kind: ReferentKind) -> Referent {
        Referent { kind, namespace: "platform".into(), name: "office".into() }
    }

    fn labels() -> BTreeMap<String, String> {
        BTreeMap::from([("team".to_owned(), "shop".to_owned())])
    }

    fn allowed(yaml: &str) -> Option<AllowedNamespaces> {
        (!yaml.is_empty()).then(|| serde_yaml::from_str(yaml).unwrap())
    }

    fn grant(namespace: &str, from: &str, to: &str) -> ReferenceGrant {
        serde_yaml::from_str(&format!(
            "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {namespace}}}\nspec: {{from: {from}, to: {to}}}"
        ))
        .unwrap()
    }

    #[test]
    fn an_object_says_who_may_refer_to_it() {
        for (from, written, expected) in [
            ("platform", "", true),
            ("platform", "{from: Nobody}", true),
            ("shop", "", false),
            ("shop", "{}", false),
            ("shop", "{from: Same}", false),
            ("shop", "{from: All}", true),
            ("shop", "{from: Selector, selector: {matchLabels: {team: shop}}}", true),
            ("shop", "{from: Selector, selector: {matchLabels: {team: bank}}}", false),
            ("shop", "{from: Selector, selector: {}}", true),
            // What is wrong allows nobody.
            ("shop", "{from: Selector}", false),
            ("shop", "{from: all}", false),
            ("shop", "{selector: {matchLabels: {team: shop}}}", false),
            ("shop", "{from: All, selector: {}}", false),
            ("shop", "{from: Selector, selector: {matchExpressions: [{key: team, operator: Near, values: [shop]}]}}", false),
            ("shop", "{from: Selector, selector: {matchExpressions: [{key: team, operator: In}]}}", false),
        ] {
            for kind in [ReferentKind::SecurityGroup, ReferentKind::CidrSet] {
                assert_eq!(may_refer(from, &labels(), &to(kind), allowed(written).as_ref(), []), expected, "{from} {written}");
            }
        }
    }

    #[test]
    fn a_grant_beside_the_object_allows_it_too() {
        let us = "[{group: sgwarden.dev, kind: SecurityGroup, namespace: shop}]";
        let sets = "[{group: sgwarden.dev, kind: CidrSet}]";
        for (expected, namespace, from, to_which) in [
            (true, "platform", us, sets),
            (true, "platform", us, "[{group: sgwarden.dev, kind: CidrSet, name: office}]"),
            (true, "platform", us, "[{group: \"\", kind: Secret}, {group: sgwarden.dev, kind: CidrSet}]"),
            (
                true,
                "platform",
                "[{group: g, kind: k, namespace: n}, {group: sgwarden.dev, kind: SecurityGroup, namespace: shop}]",
                sets,
            ),
            (false, "shop", us, sets),
            (false, "platform", us, "[{group: sgwarden.dev, kind: SecurityGroup}]"),
            (false, "platform", us, "[{group: sgwarden.dev, kind: CidrSet, name: home}]"),
            (false, "platform", us, "[{group: sgwarden.dev, kind: CidrSet, name: \"\"}]"),
            (false, "platform", us, "[{group: ec2.services.k8s.aws, kind: CidrSet}]"),
            (false, "platform", us, "[]"),
            (false, "platform", "[]", sets),
            (false, "platform", "[{group: sgwarden.dev, kind: SecurityGroup, namespace: bank}]", sets),
            (false, "platform", "[{group: sgwarden.dev, kind: CidrSet, namespace: shop}]", sets),
            (false, "platform", "[{group: gateway.networking.k8s.io, kind: SecurityGroup, namespace: shop}]", sets),
            (false, "platform", "[{kind: SecurityGroup, namespace: shop}]", sets),
        ] {
            let grants = [grant(namespace, from, to_which)];
            let found = may_refer("shop", &labels(), &to(ReferentKind::CidrSet), None, &grants);
            assert_eq!(found, expected, "{namespace} {from} {to_which}");
        }
    }

    #[test]
    fn two_halves_of_two_grants_make_no_grant() {
        let us = grant("platform", "[{group: sgwarden.dev, kind: SecurityGroup, namespace: shop}]", "[]");
        let set = grant("platform", "[]", "[{group: sgwarden.dev, kind: CidrSet}]");
        assert!(!may_refer("shop", &labels(), &to(ReferentKind::CidrSet), None, [&us, &set]));
    }
}
