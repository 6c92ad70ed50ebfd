//! Managed prefix lists that rules refer to: what they weigh, and when their content changes, which no group shows.
//!
//! Entry points: [`Lists::of`], [`Lists::refresh`] in each sweep.
//!
//! Invariant: a change is told to every object that uses the list, and told again until it says that it has taken note: a pass
//! that fails half-way loses none. What was noted is in the object's status, so that a change made while nobody looked is told too.
//! Invariant: a version never goes back. A read that shows an older one is stale and teaches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;

use crate::core::model::{PrefixListFacts, PrefixListId, PrefixListMark};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, Ec2Read, PrefixListQuery};
use crate::ports::objects::Key;

use super::cache::Cache;
use super::loader::Loader;

/// Lists EC2 describes in one call.
const LISTS: usize = 100;
const OPERATION: &str = "DescribeManagedPrefixLists";

/// A prefix list that is other than it was: another version of its content, or another size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListChange {
    /// As it was when the object last took note of it.
    pub before: PrefixListMark,
    /// As it is.
    pub after: PrefixListFacts,
}

/// The lists in use in one Region.
pub(super) struct Lists {
    read: Arc<dyn Ec2Read>,
    by_id: Loader<PrefixListId, PrefixListFacts>,
    by_name: Cache<String, PrefixListFacts>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: BTreeMap<PrefixListId, PrefixListFacts>,
    /// The lists each object uses, as they were when it last took note; `None`: it has not, as nobody knew the list.
    used: BTreeMap<Key, BTreeMap<PrefixListId, Option<PrefixListMark>>>,
}

impl Lists {
    pub(super) fn new(read: &Arc<dyn Ec2Read>, clock: &Clock, timings: &Timings) -> Self {
        let reader = read.clone();
        let by_id = Loader::new(OPERATION, LISTS, timings.coalesce, clock, move |ids| {
            let read = reader.clone();
            Box::pin(async move {
                let lists = read.prefix_lists(&PrefixListQuery::Ids(ids)).await?;
                Ok(lists.into_iter().map(|list| (list.id.clone(), list)).collect())
            })
        });
        let reader = read.clone();
        let by_name = Cache::new(OPERATION, clock, timings, move |name| {
            let read = reader.clone();
            Box::pin(async move { read.prefix_lists(&PrefixListQuery::Name(name)).await })
        });
        Self { read: read.clone(), by_id, by_name, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lists of a name.
    pub(super) async fn named(&self, name: &str) -> Result<Vec<PrefixListFacts>, CloudError> {
        self.by_name.get(&name.to_owned()).await
    }

    /// What is known of the lists that an object uses, which are these from now on. Those that do not exist are left out. The
    /// second part is whom it wakes: a list that nobody has read for a while may have changed. `recorded` is what the object took
    /// note of before this process began.
    pub(super) async fn of(
        &self,
        key: &Key,
        ids: &BTreeSet<PrefixListId>,
        recorded: &BTreeMap<PrefixListId, PrefixListMark>,
    ) -> Result<(BTreeMap<PrefixListId, PrefixListFacts>, BTreeSet<Key>), CloudError> {
        let missing: Vec<PrefixListId> = {
            let mut inner = self.lock();
            inner.uses(key, ids, recorded);
            ids.iter().filter(|id| !inner.known.contains_key(id)).cloned().collect()
        };
        let loaded = try_join_all(missing.into_iter().map(|id| self.by_id.load(id))).await?;
        let mut inner = self.lock();
        let wake = inner.learn(loaded.into_iter().filter_map(|(list, _)| list));
        inner.note_first(key);
        Ok((ids.iter().filter_map(|id| Some((id.clone(), inner.known.get(id)?.clone()))).collect(), wake))
    }

    /// Reads the customer lists in use again; AWS's own, whose weights hardly ever change, only where asked for. Whom it wakes.
    pub(super) async fn refresh(&self, aws_owned: bool) -> Result<BTreeSet<Key>, CloudError> {
        let ids: Vec<PrefixListId> = {
            let mut inner = self.lock();
            inner.drop_unused();
            inner.known.values().filter(|list| aws_owned || list.owner.is_some()).map(|list| list.id.clone()).collect()
        };
        let mut wake = BTreeSet::new();
        for ids in ids.chunks(LISTS) {
            let lists = self.read.prefix_lists(&PrefixListQuery::Ids(ids.to_vec())).await?;
            wake.extend(self.lock().learn(lists));
        }
        Ok(wake)
    }

    /// Reads one list again, by a call that those share who ask for it at the same time. Whom it wakes.
    pub(super) async fn look(&self, id: &PrefixListId) -> Result<BTreeSet<Key>, CloudError> {
        let (list, _) = self.by_id.load(id.clone()).await?;
        Ok(self.lock().learn(list))
    }

    /// The objects that use a list.
    pub(super) fn users(&self, id: &PrefixListId) -> BTreeSet<Key> {
        let inner = self.lock();
        inner.used.iter().filter(|(_, used)| used.contains_key(id)).map(|(key, _)| key.clone()).collect()
    }

    /// The newest version of a list that a read has shown.
    pub(super) fn version(&self, id: &PrefixListId) -> Option<i64> {
        self.lock().known.get(id)?.version
    }

    /// Lists of an object that have changed since it last took note.
    pub(super) fn changes(&self, key: &Key) -> Vec<ListChange> {
        let inner = self.lock();
        let change = |(id, mark): (&PrefixListId, &Option<PrefixListMark>)| {
            let (before, after) = ((*mark)?, inner.known.get(id)?);
            after.is_other_than(before).then(|| ListChange { before, after: after.clone() })
        };
        inner.used.get(key).into_iter().flatten().filter_map(change).collect()
    }

    /// The lists of an object as it has taken note of them, these changes among it.
    pub(super) fn marks(&self, key: &Key, taken: &[ListChange]) -> BTreeMap<PrefixListId, PrefixListMark> {
        let inner = self.lock();
        let noted = inner.used.get(key).into_iter().flatten().filter_map(|(id, mark)| Some((id.clone(), (*mark)?)));
        noted.chain(taken.iter().map(|change| (change.after.id.clone(), change.after.mark()))).collect()
    }

    /// An object has taken note of changes. What has changed again since is told again.
    pub(super) fn noted(&self, key: &Key, taken: &[ListChange]) {
        let mut inner = self.lock();
        let Some(used) = inner.used.get_mut(key) else { return };
        for ListChange { before: _, after } in taken {
            if let Some(mark) = used.get_mut(&after.id) {
                *mark = Some(after.mark());
            }
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().used.remove(key);
    }
}

impl Inner {
    fn uses(&mut self, key: &Key, ids: &BTreeSet<PrefixListId>, recorded: &BTreeMap<PrefixListId, PrefixListMark>) {
        let former = self.used.remove(key).unwrap_or_default();
        if ids.is_empty() {
            return;
        }
        let noted = |id: &PrefixListId| former.get(id).copied().flatten().or_else(|| recorded.get(id).copied());
        self.used.insert(key.clone(), ids.iter().map(|id| (id.clone(), noted(id))).collect());
    }

    /// A list that an object sees for the first time is as it should be.
    fn note_first(&mut self, key: &Key) {
        for (id, mark) in self.used.get_mut(key).into_iter().flatten() {
            *mark = mark.or_else(|| self.known.get(id).map(PrefixListFacts::mark));
        }
    }

    /// A list that nobody uses is not read again, and what is known of it would grow old.
    fn drop_unused(&mut self) {
        let used: BTreeSet<&PrefixListId> = self.used.values().flat_map(BTreeMap::keys).collect();
        self.known.retain(|id, _| used.contains(id));
    }

    fn learn(&mut self, lists: impl IntoIterator<Item = PrefixListFacts>) -> BTreeSet<Key> {
        let mut wake = BTreeSet::new();
        for list in lists {
            let Some(before) = self.known.get(&list.id) else {
                // Whoever uses it is about to see it for himself.
                self.known.insert(list.id.clone(), list);
                continue;
            };
            if *before == list || before.version > list.version {
                continue;
            }
            let changed = |mark: &Option<PrefixListMark>| mark.is_some_and(|mark| list.is_other_than(mark));
            let told = self.used.iter().filter(|(_, used)| used.get(&list.id).is_some_and(changed));
            wake.extend(told.map(|(key, _)| key.clone()));
            self.known.insert(list.id.clone(), list);
        }
        wake
    }
}
