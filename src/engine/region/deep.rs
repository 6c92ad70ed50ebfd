//! What only a deep sweep shows of the managed groups, against what their objects say of it.
//!
//! Entry points: [`Deep::look`] in each pass, [`Deep::learn_associations`] and [`Deep::learn_stale`] in each deep sweep.
//!
//! Invariant: an object is woken for what its status does not say yet, at every deep sweep until it says so: a pass that fails
//! half-way loses nothing.
//! Invariant: what is seen first, where neither status nor an earlier deep sweep tells of it, is how it should be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::core::model::{GroupFacts, SecurityGroupId, StaleRules, VpcAssociations, VpcId};
use crate::core::status::DeepView;
use crate::ports::objects::Key;

/// What a pass is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeepLook {
    /// How it was when the object last took note of it; `None`: it never has.
    pub before: Option<Vec<String>>,
    /// How it is now.
    pub now: DeepView,
    /// Whether the object's status says something else.
    pub is_news: bool,
}

#[derive(Default)]
pub(super) struct Deep(Mutex<BTreeMap<Key, Entry>>);

struct Entry {
    group: SecurityGroupId,
    vpc: VpcId,
    /// What the object's status says.
    recorded: DeepView,
    /// The associations seen first, for as long as status says nothing of them.
    first: Option<Vec<String>>,
    /// When the newest read began that showed the associations as the object took note of them.
    same: Option<Instant>,
    seen: DeepView,
    stale: usize,
}

impl Entry {
    fn before(&self) -> Option<&Vec<String>> {
        self.recorded.associations.as_ref().or(self.first.as_ref())
    }

    fn is_news(&self) -> bool {
        let Self { group: _, vpc: _, recorded, first: _, same: _, seen, stale: _ } = self;
        // None seen by an object whose status tells of none is worth no write.
        let silent = recorded.associations.is_none();
        let associations = seen
            .associations
            .as_ref()
            .is_some_and(|now| self.before().is_some_and(|before| before != now) || (silent && !now.is_empty()));
        associations || seen.stale.as_ref().is_some_and(|now| recorded.stale.as_ref() != Some(now))
    }
}

impl Deep {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an object's group, and from now on watched; `recorded` is what the object's status says.
    pub(super) fn look(&self, key: &Key, group: &GroupFacts, recorded: DeepView) -> DeepLook {
        let mut entries = self.lock();
        let former = entries.remove(key).filter(|entry| entry.group == group.id);
        let (group, vpc) = (group.id.clone(), group.vpc.clone());
        let entry = if let Some(former) = former {
            Entry { vpc, recorded, ..former }
        } else {
            Entry { group, vpc, recorded, first: None, same: None, seen: DeepView::default(), stale: 0 }
        };
        let look = DeepLook { before: entry.before().cloned(), now: entry.seen.clone(), is_news: entry.is_news() };
        entries.insert(key.clone(), entry);
        look
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    pub(super) fn groups(&self) -> Vec<SecurityGroupId> {
        self.lock().values().map(|entry| entry.group.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn vpcs(&self) -> BTreeSet<VpcId> {
        self.lock().values().map(|entry| entry.vpc.clone()).collect()
    }

    /// The associations of all of these groups were read, by a call that began then; whom that wakes.
    pub(super) fn learn_associations(
        &self,
        groups: &[SecurityGroupId],
        found: &BTreeMap<SecurityGroupId, VpcAssociations>,
        began: Instant,
    ) -> BTreeSet<Key> {
        let none = VpcAssociations::new();
        let groups: BTreeSet<&SecurityGroupId> = groups.iter().collect();
        self.learn(
            |entry| groups.contains(&entry.group),
            |entry| {
                let before = entry.before().cloned();
                entry.seen.seen_associations(found.get(&entry.group).unwrap_or(&none), before.as_deref().unwrap_or_default());
                entry.first = entry.first.take().or_else(|| entry.seen.associations.clone());
                if entry.before() == entry.seen.associations.as_ref() {
                    entry.same = entry.same.max(Some(began));
                }
            },
        )
    }

    /// The state of a group's association with a VPC as the newest read showed it; `None`: there is none.
    pub(super) fn association(&self, group: &SecurityGroupId, vpc: &VpcId) -> Option<String> {
        let entries = self.lock();
        let seen = entries.values().filter(|entry| entry.group == *group).filter_map(|entry| entry.seen.associations.as_ref());
        seen.flatten().find_map(|line| Some(line.strip_prefix(vpc.as_str())?.strip_prefix(' ')?.to_owned()))
    }

    /// When the newest read began that showed the associations of an object's group as the object took note of them.
    pub(super) fn associations_same(&self, key: &Key) -> Option<Instant> {
        self.lock().get(key)?.same
    }

    /// The stale rules of a VPC's groups were read; whom that wakes.
    pub(super) fn learn_stale(&self, vpc: &VpcId, found: &StaleRules) -> BTreeSet<Key> {
        let none = BTreeSet::new();
        self.learn(
            |entry| entry.vpc == *vpc,
            |entry| {
                let rules = found.get(&entry.group).unwrap_or(&none);
                entry.seen.seen_stale(rules);
                entry.stale = rules.len();
            },
        )
    }

    fn learn(&self, concerns: impl Fn(&Entry) -> bool, see: impl Fn(&mut Entry)) -> BTreeSet<Key> {
        let mut wake = BTreeSet::new();
        for (key, entry) in self.lock().iter_mut().filter(|(_, entry)| concerns(entry)) {
            see(entry);
            if entry.is_news() {
                wake.insert(key.clone());
            }
        }
        wake
    }

    /// The stale rules of all groups, as far as they were read.
    pub(super) fn stale_rules(&self) -> usize {
        let entries = self.lock();
        let by_group: BTreeMap<&SecurityGroupId, usize> = entries.values().map(|entry| (&entry.group, entry.stale)).collect();
        by_group.into_values().fold(0, usize::saturating_add)
    }
}
