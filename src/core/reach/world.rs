//! What is known of groups and of what they refer to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::api::{AllowedNamespaces, CidrSet, DEFAULT_ACCOUNT, ReferenceGrant, SecurityGroup};
use crate::core::desired::{
    Declaration, Lookup, Lookups, Problem, Referent, ReferentKind, may_refer, parse, parse_cidr_set, pinned_prefix_lists,
};
use crate::core::model::{AccountId, IdKind, PrefixListWeights, ResourceId, SecurityGroupId, Tags};

/// The account and the VPC of a group of which nobody knows them. What a rule allows does not depend on either.
const NO_ACCOUNT: &str = "000000000000";
const NO_VPC: &str = "vpc-00000000000000000";

/// Everything that answers are made of.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The groups.
    pub groups: BTreeMap<Referent, SecurityGroup>,
    /// The sets of ranges.
    pub sets: BTreeMap<Referent, CidrSet>,
    /// Permissions to refer across namespaces, and the labels of namespaces. `None`: they are not known here.
    pub grants: Option<Grants>,
    /// Ids of accounts by the name of their `AwsAccount`.
    pub accounts: BTreeMap<String, AccountId>,
    /// The file of each object that was read from one.
    pub files: BTreeMap<Referent, String>,
    /// What the objects are.
    pub basis: Basis,
}

/// Who may refer across namespaces, beside what the object itself says.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// `ReferenceGrant` objects.
    pub objects: Vec<ReferenceGrant>,
    /// Labels by namespace.
    pub labels: BTreeMap<String, BTreeMap<String, String>>,
}

/// What objects are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// Manifests: what would be once all of them were applied. A declared group counts as if it were there.
    #[default]
    Manifests,
    /// Objects with their status: a group that is not there yet is a reference that is not known.
    Objects,
}

/// Why a question cannot be answered at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotTell {
    /// The group is not among what is known.
    #[error("there is no {0}")]
    NoGroup(Referent),
    /// Its manifest cannot be used.
    #[error("{name} cannot be used: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unusable {
        /// The object.
        name: Referent,
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// The question makes no sense.
    #[error(transparent)]
    Question(#[from] super::BadQuestion),
}

/// A group with what was understood of it.
pub(super) struct Group<'a> {
    pub(super) name: Referent,
    pub(super) object: &'a SecurityGroup,
    pub(super) declaration: Declaration,
    pub(super) account: Option<AccountId>,
}

impl World {
    pub(super) fn group(&self, name: &Referent) -> Result<Group<'_>, CannotTell> {
        let object = self.groups.get(name).ok_or_else(|| CannotTell::NoGroup(name.clone()))?;
        let unusable = |problems| CannotTell::Unusable { name: name.clone(), problems };
        let declaration = parse(object).map_err(unusable)?;
        Ok(Group { name: name.clone(), object, declaration, account: self.account(object) })
    }

    /// Groups that nothing can be said about, and why.
    pub fn unusable(&self, names: &BTreeSet<Referent>) -> Vec<(Referent, CannotTell)> {
        names.iter().filter_map(|name| Some((name.clone(), self.group(name).err()?))).collect()
    }

    /// Where an object is declared: its file, else the object.
    pub(super) fn place(&self, name: &Referent) -> String {
        self.files.get(name).cloned().unwrap_or_else(|| match name.kind {
            ReferentKind::SecurityGroup => format!("securitygroups.sgwarden.dev {}/{}", name.namespace, name.name),
            ReferentKind::CidrSet => format!("cidrsets.sgwarden.dev {}/{}", name.namespace, name.name),
        })
    }

    /// The declared group that has an id in EC2.
    pub(super) fn by_id(&self, id: &SecurityGroupId) -> Option<&Referent> {
        self.groups.iter().find(|(_, object)| real_id(object).as_ref() == Some(id)).map(|(name, _)| name)
    }

    /// The account a group is in, where that can be told.
    fn account(&self, object: &SecurityGroup) -> Option<AccountId> {
        let owner = object.status.as_ref().and_then(|status| status.owner_id.as_deref()?.parse().ok());
        let name = object.spec.account.as_deref().unwrap_or(DEFAULT_ACCOUNT);
        owner.or_else(|| self.accounts.get(name).cloned())
    }

    /// What is behind the references of a group: as sgwarden sees it now, or, `generous`, as if everything were allowed that is
    /// there, and nothing had expired.
    pub(super) fn lookups(&self, group: &Group<'_>, now: Timestamp, generous: bool) -> Lookups {
        let look_up = |referent: &Referent| (referent.clone(), self.look_up(group, referent, generous));
        let status = group.object.status.clone().unwrap_or_default();
        let pinned = pinned_prefix_lists(&status.pins);
        let list = |name: &str| match (pinned.get(name), self.basis) {
            (Some(id), Basis::Manifests | Basis::Objects) => Ok(id.clone()),
            (None, Basis::Manifests) => Ok(invented(name)),
            (None, Basis::Objects) if generous => Ok(invented(name)),
            (None, Basis::Objects) => Err(format!("prefix list {name} was not found yet")),
        };
        let own = real_id(group.object)
            .or_else(|| (generous || self.basis == Basis::Manifests).then(|| id_of(&group.name, group.object)));
        Lookups {
            own,
            account: group.account.clone().unwrap_or_else(|| constant(NO_ACCOUNT)),
            vpc: constant(NO_VPC),
            // Where the VPC has no IPv6, nobody in it has such an address to be let out.
            vpc_ipv6: true,
            objects: group.declaration.references().into_iter().map(look_up).collect(),
            prefix_lists: group.declaration.prefix_list_names().into_iter().map(|name| (name.to_owned(), list(name))).collect(),
            weights: PrefixListWeights::default(),
            default_tags: Tags::new(),
            now: if generous { Timestamp::MIN } else { now },
            latched: if generous { BTreeSet::new() } else { status.expired.into_iter().collect() },
        }
    }

    fn look_up(&self, group: &Group<'_>, referent: &Referent, generous: bool) -> Lookup {
        let missing = || Lookup::Unknown(format!("there is no {referent}"));
        let allowed = |allowed: Option<&AllowedNamespaces>| {
            if generous { None } else { self.refusal(&group.name.namespace, referent, allowed) }
        };
        match referent.kind {
            ReferentKind::SecurityGroup => {
                let Some(object) = self.groups.get(referent) else { return missing() };
                if let Some(refusal) = allowed(object.spec.allowed_namespaces.as_ref()) {
                    return refusal;
                }
                let (region, own) = (region(object), region(group.object));
                if !generous && region.is_some() && own.is_some() && region != own {
                    return Lookup::Unknown(format!("{referent} is in another Region than {}", group.name));
                }
                let foreign = self.account(object).filter(|account| Some(account) != group.account.as_ref());
                match real_id(object) {
                    Some(id) => Lookup::Group(id, foreign),
                    None if generous || self.basis == Basis::Manifests => Lookup::Group(id_of(referent, object), foreign),
                    None => Lookup::Unknown(format!("{referent} has no group in EC2 yet")),
                }
            }
            ReferentKind::CidrSet => {
                let Some(set) = self.sets.get(referent) else { return missing() };
                if let Some(refusal) = allowed(set.spec.allowed_namespaces.as_ref()) {
                    return refusal;
                }
                parse_cidr_set(set).map_or_else(
                    |problems| {
                        let problems: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
                        Lookup::Unknown(format!("{referent} cannot be used: {}", problems.join("; ")))
                    },
                    Lookup::Ranges,
                )
            }
        }
    }

    /// What keeps a namespace from referring to an object, if something does.
    fn refusal(&self, from: &str, to: &Referent, allowed: Option<&AllowedNamespaces>) -> Option<Lookup> {
        let nothing = BTreeMap::new();
        let (objects, labels) = match &self.grants {
            Some(grants) => (grants.objects.as_slice(), grants.labels.get(from)),
            None => (&[][..], None),
        };
        // Without its labels a namespace matches no selector: a selector can ask for a label to be absent.
        let by_labels = allowed.is_some_and(|allowed| allowed.selector.is_some());
        let readable = allowed.filter(|_| labels.is_some() || !by_labels);
        if may_refer(from, labels.unwrap_or(&nothing), to, readable, objects) {
            return None;
        }
        Some(if self.grants.is_some() {
            Lookup::Refused(format!("{to} does not allow references from namespace {from}: see its allowedNamespaces"))
        } else {
            Lookup::Unknown(format!(
                "whether {to} allows references from namespace {from} is not known here: give the manifests with -f"
            ))
        })
    }

    /// Whether a group of a namespace may refer to another group.
    pub(super) fn may_refer(&self, from: &str, to: &Referent) -> bool {
        let allowed = self.groups.get(to).and_then(|object| object.spec.allowed_namespaces.as_ref());
        self.refusal(from, to, allowed).is_none()
    }
}

/// The group's id in EC2, as its status has it or as it is to be taken over.
pub(super) fn real_id(object: &SecurityGroup) -> Option<SecurityGroupId> {
    let recorded = object.status.as_ref().and_then(|status| status.group_id.as_deref()?.parse().ok());
    let adopted = || object.spec.adopt.as_ref()?.group_id.as_deref()?.parse().ok();
    recorded.or_else(adopted)
}

/// The id that stands for a group: its own, or one that no other has.
pub(super) fn id_of(name: &Referent, object: &SecurityGroup) -> SecurityGroupId {
    real_id(object).unwrap_or_else(|| invented(&name.to_string()))
}

fn region(object: &SecurityGroup) -> Option<&str> {
    let recorded = object.status.as_ref().and_then(|status| status.region.as_deref());
    recorded.or(object.spec.region.as_deref())
}

/// An id for what has none yet: a digest of its name, so that equal names are equal and others are not.
fn invented<K: IdKind>(name: &str) -> ResourceId<K> {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let digits = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    constant(&format!("{}{}", K::PREFIX, digits.get(..17).unwrap_or_default()))
}

/// A text that is known to be what it should be.
fn constant<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    #[expect(clippy::expect_used, reason = "the texts are constants of this file, and digests in the form of an id")]
    text.parse().expect("in the form of its kind")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::VpcId;

    #[test]
    fn stand_ins_are_ids() {
        let (web, db): (SecurityGroupId, SecurityGroupId) = (invented("shop/web"), invented("shop/db"));
        assert_ne!(web, db);
        assert_eq!(web, invented("shop/web"));
        let _: VpcId = constant(NO_VPC);
        let _: AccountId = constant(NO_ACCOUNT);
    }
}
