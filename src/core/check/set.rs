//! The objects of a check, each understood once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::{ACCOUNT_ANNOTATION, AllowedNamespaces, DEFAULT_ACCOUNT, ReferenceGrant, RuleRef, SecurityGroup};
use crate::core::desired::{Account, Declaration, Range, Referent, ReferentKind, parse, parse_account, parse_cidr_set};
use crate::core::model::Region;

use super::{Findings, Object, Subject, Unread};

/// Labels or annotations.
type Texts = BTreeMap<String, String>;

/// The objects, by their names.
pub(super) struct Set<'a> {
    pub(super) groups: Vec<Group<'a>>,
    pub(super) sets: Vec<(usize, Vec<Range>)>,
    pub(super) grants: Vec<&'a ReferenceGrant>,
    pub(super) now: Timestamp,
    referents: BTreeMap<Referent, Known<'a>>,
    /// `None`: it cannot be used, which has been said.
    accounts: BTreeMap<&'a str, Option<Account>>,
    namespaces: BTreeMap<&'a str, (Texts, Texts)>,
    unread: &'a Unread,
    complete: bool,
}

/// A group of the check.
pub(super) struct Group<'a> {
    /// Its number among the objects.
    pub(super) number: usize,
    pub(super) object: &'a SecurityGroup,
    pub(super) name: Referent,
    /// What it declares; `None` where it cannot be used, which has been said.
    pub(super) declaration: Option<Declaration>,
}

/// A group or set that rules may refer to.
pub(super) struct Known<'a> {
    pub(super) allowed: Option<&'a AllowedNamespaces>,
    /// The ranges of a set.
    pub(super) ranges: Vec<Range>,
    /// Where a group is: its account and Region, as far as they can be told.
    pub(super) region: Option<Region>,
}

/// What is known of a name.
pub(super) enum Found<T> {
    /// The object.
    Here(T),
    /// It is here, but nothing can be told of it.
    Unusable,
    /// It is not among these objects.
    Missing,
}

impl<'a> Set<'a> {
    /// Understands every object, and says what each has wrong by itself.
    pub(super) fn of(subject: &'a Subject<'a>, findings: &mut Findings) -> Self {
        let Subject { objects, unread, complete, now } = subject;
        let mut set = Self {
            groups: Vec::new(),
            sets: Vec::new(),
            grants: Vec::new(),
            now: *now,
            referents: BTreeMap::new(),
            accounts: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            unread,
            complete: *complete,
        };
        for (number, object) in objects.iter().enumerate() {
            set.add(number, *object, findings);
        }
        set.locate();
        set
    }

    fn add(&mut self, number: usize, object: Object<'a>, findings: &mut Findings) {
        match object {
            Object::Namespace(namespace) => {
                let meta = &namespace.metadata;
                let texts = || (meta.labels.clone().unwrap_or_default(), meta.annotations.clone().unwrap_or_default());
                self.namespaces.entry(meta.name.as_deref().unwrap_or_default()).or_insert_with(texts);
            }
            Object::Account(account) => {
                let parsed = parse_account(account);
                let name = account.metadata.name.as_deref().unwrap_or_default();
                let (account, problems) = parsed.map_or_else(|problems| (None, Some(problems)), |account| (Some(account), None));
                findings.problems(number, problems);
                self.accounts.entry(name).or_insert(account);
            }
            Object::Grant(grant) => self.grants.push(grant),
            Object::Notifier(_) => {}
            Object::CidrSet(set) => {
                let name = referent(ReferentKind::CidrSet, set.metadata.namespace.as_deref(), set.metadata.name.as_deref());
                let ranges = parse_cidr_set(set).unwrap_or_else(|problems| {
                    findings.problems(number, Some(problems));
                    Vec::new()
                });
                self.sets.push((number, ranges.clone()));
                let allowed = set.spec.allowed_namespaces.as_ref();
                self.referents.entry(name).or_insert(Known { allowed, ranges, region: None });
            }
            Object::Group(group) => {
                let (namespace, name) = (group.metadata.namespace.as_deref(), group.metadata.name.as_deref());
                let name = referent(ReferentKind::SecurityGroup, namespace, name);
                let declaration = match parse(group) {
                    Ok(declaration) => Some(declaration),
                    Err(problems) => {
                        findings.problems(number, Some(problems));
                        None
                    }
                };
                let allowed = group.spec.allowed_namespaces.as_ref();
                self.referents.entry(name.clone()).or_insert(Known { allowed, ranges: Vec::new(), region: None });
                self.groups.push(Group { number, object: group, name, declaration });
            }
        }
    }

    /// Notes in which Region each group is, once all accounts are known.
    fn locate(&mut self) {
        let regions: Vec<(Referent, Option<Region>)> =
            self.groups.iter().map(|group| (group.name.clone(), self.region(group))).collect();
        for (name, region) in regions {
            if let Some(known) = self.referents.get_mut(&name) {
                known.region = known.region.take().or(region);
            }
        }
    }

    /// A group or set.
    pub(super) fn find(&self, name: &Referent) -> Found<&Known<'a>> {
        match self.referents.get(name) {
            Some(known) => Found::Here(known),
            None if self.unread.referents.contains(name) => Found::Unusable,
            None => Found::Missing,
        }
    }

    /// The namespaces that have an object of this kind and name.
    pub(super) fn namesakes(&self, name: &Referent) -> BTreeSet<&str> {
        let alike = |other: &&Referent| other.kind == name.kind && other.name == name.name;
        self.referents.keys().filter(alike).map(|other| other.namespace.as_str()).collect()
    }

    /// An account by its name.
    pub(super) fn account(&self, name: &str) -> Found<&Account> {
        match self.accounts.get(name) {
            Some(Some(account)) => Found::Here(account),
            Some(None) => Found::Unusable,
            None if self.unread.accounts.contains(name) => Found::Unusable,
            None => Found::Missing,
        }
    }

    /// Whether there is any account: with none, the credentials of the process are the account `default`.
    pub(super) fn has_accounts(&self) -> bool {
        !self.accounts.is_empty() || !self.unread.accounts.is_empty()
    }

    /// The name of the account of a group: its own word, else its namespace's. `None`: a namespace that is not here may say it.
    pub(super) fn account_name(&self, group: &Group<'a>) -> Option<String> {
        let written = group.object.spec.account.clone();
        let default = || match self.namespaces.get(group.name.namespace.as_str()) {
            Some((_, annotations)) => {
                Some(annotations.get(ACCOUNT_ANNOTATION).cloned().unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned()))
            }
            None => self.complete.then(|| DEFAULT_ACCOUNT.to_owned()),
        };
        written.or_else(default)
    }

    /// The account of a group, if it is here.
    pub(super) fn account_of(&self, group: &Group<'a>) -> Option<&Account> {
        match self.account(&self.account_name(group)?) {
            Found::Here(account) => Some(account),
            Found::Unusable | Found::Missing => None,
        }
    }

    /// The Region of a group, as far as it can be told.
    pub(super) fn region(&self, group: &Group<'a>) -> Option<Region> {
        let written = group.declaration.as_ref()?.region.clone();
        written.or_else(|| {
            let regions = &self.account_of(group)?.regions;
            regions.first().filter(|_| regions.len() == 1).cloned()
        })
    }

    /// The labels of a namespace; `None` where it may be declared elsewhere.
    pub(super) fn labels(&self, namespace: &str) -> Option<Texts> {
        match self.namespaces.get(namespace) {
            Some((labels, _)) => Some(labels.clone()),
            None if self.unread.namespaces.contains(namespace) || !self.complete => None,
            // As every cluster gives it.
            None => Some(Texts::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())])),
        }
    }
}

/// The rules of a group, ingress first, each with its path.
pub(super) fn rules(group: &SecurityGroup) -> Vec<(String, RuleRef<'_>)> {
    let ingress = group.spec.ingress.iter().enumerate().map(|(index, rule)| (format!("spec.ingress[{index}]"), rule.as_rule()));
    let egress = group.spec.egress.iter().enumerate().map(|(index, rule)| (format!("spec.egress[{index}]"), rule.as_rule()));
    ingress.chain(egress).collect()
}

fn referent(kind: ReferentKind, namespace: Option<&str>, name: Option<&str>) -> Referent {
    Referent { kind, namespace: namespace.unwrap_or_default().to_owned(), name: name.unwrap_or_default().to_owned() }
}
