//! Looks up what a manifest refers to: other groups, sets of ranges, prefix lists.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use kube::runtime::reflector::ObjectRef;

use crate::api::{AllowedNamespaces, CidrSet};
use crate::core::desired::{self, Declaration, Desired, Lookup, Lookups, Referent, ReferentKind};
use crate::core::model::{AccountId, PrefixListId, SecurityGroupId, VpcFacts};
use crate::core::status;
use crate::ports::objects::Key;

use super::context::Context;
use super::pass::{Next, Pass};
use super::site::Site;

/// How the note on a list that moved begins.
const RULES_STAY: &str = "rules stay on";

impl Pass<'_> {
    /// The desired state, with everything the manifest refers to looked up.
    pub(super) async fn resolve(
        &mut self,
        declaration: &Declaration,
        site: &Site,
        vpc: &VpcFacts,
        own: Option<&SecurityGroupId>,
    ) -> Result<Desired, Next> {
        let objects: BTreeMap<Referent, Lookup> =
            declaration.references().into_iter().map(|referent| (referent.clone(), self.look_up(referent, site))).collect();
        self.moved.retain(|moved| !moved.starts_with(RULES_STAY));
        self.pins = pins_of(declaration, &self.status().pins);
        let mut prefix_lists = BTreeMap::new();
        for name in declaration.prefix_list_names() {
            prefix_lists.insert(name.to_owned(), self.prefix_list(name, site).await);
        }
        let ids: BTreeSet<PrefixListId> = declaration
            .prefix_lists()
            .into_iter()
            .cloned()
            .chain(prefix_lists.values().filter_map(|found| found.clone().ok()))
            .collect();
        let recorded = if self.status_is_ours() { status::recorded_lists(&self.status()) } else { BTreeMap::new() };
        let weights = match site.worker.prefix_lists(&self.key, &ids, &recorded).await {
            Ok(lists) => lists.into_iter().map(|(id, list)| (id, list.weight)).collect(),
            Err(error) => return Err(self.cloud_failed(Some(declaration), site.region(), &error).await),
        };
        let status = self.status();
        let lookups = Lookups {
            own: own.cloned(),
            account: site.worker.account().clone(),
            vpc: vpc.id.clone(),
            vpc_ipv6: vpc.ipv6,
            objects,
            prefix_lists,
            weights,
            default_tags: site.account.defaults.tags.clone(),
            now: self.context.parts.clock.now(),
            latched: status.expired.into_iter().collect(),
        };
        Ok(declaration.resolve(&lookups))
    }

    fn look_up(&self, referent: &Referent, site: &Site) -> Lookup {
        match referent.kind {
            ReferentKind::SecurityGroup => self.group(referent, site),
            ReferentKind::CidrSet => self.ranges(referent),
        }
    }

    fn group(&self, referent: &Referent, site: &Site) -> Lookup {
        let key = Key { namespace: referent.namespace.clone(), name: referent.name.clone() };
        let Some(object) = self.context.look_up(&key) else {
            return Lookup::Unknown(format!("there is no securitygroups.sgwarden.dev {key}"));
        };
        if !self.may_refer(referent, object.spec.allowed_namespaces.as_ref()) {
            return Lookup::Refused(not_granted("securitygroups", &key, &self.key.namespace));
        }
        let status = object.status.unwrap_or_default();
        let owner = status.owner_id.as_deref().and_then(|owner| AccountId::from_str(owner).ok());
        let foreign = owner.filter(|owner| owner != site.worker.account());
        match (status::recorded_group(&status), status.region) {
            (Some(_), Some(other)) if other != site.region().as_str() => {
                Lookup::Unknown(format!("securitygroups.sgwarden.dev {key} is in {other}, this group in {}", site.region()))
            }
            (Some(id), _) => Lookup::Group(id, foreign),
            (None, _) => Lookup::Unknown(format!("securitygroups.sgwarden.dev {key} has no group yet")),
        }
    }

    fn ranges(&self, referent: &Referent) -> Lookup {
        let key = Key { namespace: referent.namespace.clone(), name: referent.name.clone() };
        let found = self.context.stores.sets.get(&ObjectRef::new(&key.name).within(&key.namespace));
        let set: CidrSet = match found.as_ref().map(|found| found.0.as_ref()) {
            Some(Ok(set)) => set.clone(),
            Some(Err(why)) => return Lookup::Unknown(format!("cidrsets.sgwarden.dev {key} cannot be read: {why}")),
            None => return Lookup::Unknown(format!("there is no cidrsets.sgwarden.dev {key}")),
        };
        if !self.may_refer(referent, set.spec.allowed_namespaces.as_ref()) {
            return Lookup::Refused(not_granted("cidrsets", &key, &self.key.namespace));
        }
        match desired::parse_cidr_set(&set) {
            Ok(ranges) => Lookup::Ranges(ranges),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
                Lookup::Unknown(format!("cidrsets.sgwarden.dev {key} cannot be used: {}", problems.join("; ")))
            }
        }
    }

    fn may_refer(&self, to: &Referent, allowed: Option<&AllowedNamespaces>) -> bool {
        let from = &self.key.namespace;
        // Without its labels a namespace matches no selector; a selector can ask for a label to be absent.
        let known = self.context.labels(from);
        let by_labels = allowed.is_some_and(|allowed| allowed.selector.is_some());
        let allowed = allowed.filter(|_| known.is_some() || !by_labels);
        let labels = known.unwrap_or_default();
        let grants = self.context.stores.grants.state_filter(|grant| {
            grant.0.as_ref().is_ok_and(|grant| grant.metadata.namespace.as_deref() == Some(to.namespace.as_str()))
        });
        let grants: Vec<_> = grants.iter().filter_map(|grant| grant.0.as_ref().ok()).collect();
        desired::may_refer(from, &labels, to, allowed, grants)
    }

    /// The id of a prefix list, as it was when its name was first looked up.
    async fn prefix_list(&mut self, name: &str, site: &Site) -> Result<PrefixListId, String> {
        let pinned = desired::pinned_prefix_lists(&self.status().pins).remove(name);
        let found = site.worker.prefix_list_named(name).await;
        let found = match (&pinned, found) {
            (Some(pinned), Err(_)) => return Ok(pinned.clone()),
            (None, Err(error)) => return Err(error.explain(site.region())),
            (_, Ok(found)) => found,
        };
        let ids: Vec<&str> = found.iter().map(|list| list.id.as_str()).collect();
        match (pinned, found.as_slice()) {
            (Some(pinned), [only]) if only.id == pinned => Ok(pinned),
            (Some(pinned), _) => {
                let now = if ids.is_empty() { "no list".to_owned() } else { ids.join(" and ") };
                self.moved.push(format!("{RULES_STAY} {pinned}, though prefixListName {name} now finds {now}"));
                Ok(pinned)
            }
            (None, [only]) => {
                self.pins.extend(desired::pin_lines(&BTreeMap::from([(name.to_owned(), only.id.clone())])));
                Ok(only.id.clone())
            }
            (None, []) => Err(format!("there is no prefix list {name} in {}", site.region())),
            (None, _) => Err(format!("{} are all called {name}; write prefixListId to say which is meant", ids.join(" and "))),
        }
    }
}

/// The pins of the prefix lists that the manifest still names.
fn pins_of(declaration: &Declaration, before: &[String]) -> BTreeSet<String> {
    let names = declaration.prefix_list_names();
    let mut lists = desired::pinned_prefix_lists(before);
    lists.retain(|name, _| names.contains(name.as_str()));
    desired::pin_lines(&lists).into_iter().collect()
}

fn not_granted(kind: &str, key: &Key, from: &str) -> String {
    format!("{kind}.sgwarden.dev {key} does not allow references from namespace {from}: see its allowedNamespaces")
}

impl Context {
    /// Objects that use a set.
    pub(super) fn users_of_set(&self, key: &Key) -> BTreeSet<String> {
        let referent = Referent { kind: ReferentKind::CidrSet, namespace: key.namespace.clone(), name: key.name.clone() };
        self.references().users_of(&referent).iter().map(ToString::to_string).collect()
    }
}
