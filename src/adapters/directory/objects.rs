//! The store of objects over files and the state directory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use tokio::time::Instant;

use crate::api::{
    AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, FINALIZER, Notifier, NotifierStatus, ReferenceGrant, SecurityGroup,
    SecurityGroupStatus,
};
use crate::ports::clock::Clock;
use crate::ports::objects::{Key, Notice, Objects, ObjectsError, Watch};

use super::files::{FileProblem, Found, read_manifests};
use super::kind::{Kind, KindName, Manifests};
use super::snapshot::{agreed, with_namespaces, without_mistakes};
use super::state::{Held, State, StateError};
use super::table::Table;

/// Where and how often.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// The manifests.
    pub manifests: PathBuf,
    /// What a cluster would hold.
    pub state: PathBuf,
    /// How often the files are looked at. A change is believed at the second look that finds it.
    pub interval: Duration,
    /// Time.
    pub clock: Clock,
}

/// Objects in files.
#[derive(Clone)]
pub struct DirectoryObjects {
    shared: Arc<Shared>,
}

struct Shared {
    options: DirectoryOptions,
    /// What the last look that could be read found. Locked for as long as files are read: of two looks at a time, the older
    /// could win.
    looked: Mutex<Option<Manifests>>,
    /// When to look again. The watches of all kinds share it, so that there is one look an interval however many they are.
    due: Mutex<Instant>,
    tables: Mutex<Tables>,
}

/// Every kind as a cluster would show it.
struct Tables {
    namespaces: Table<Namespace>,
    accounts: Table<AwsAccount>,
    notifiers: Table<Notifier>,
    grants: Table<ReferenceGrant>,
    cidr_sets: Table<CidrSet>,
    groups: Table<SecurityGroup>,
    /// What the files are taken to say; `None` until they could be read.
    in_force: Option<Manifests>,
    /// What was told last: each trouble is told when it is new, not at every look.
    told: Vec<String>,
    told_foreign: String,
}

impl DirectoryObjects {
    /// Opens the state directory and reads the files once; problems with files are told and do not stop it. The second look,
    /// an interval later, is the first that is believed: until then the watches say nothing.
    pub fn open(options: DirectoryOptions) -> Result<Self, StateError> {
        let tables = Tables::new(Arc::new(State::open(&options.state)?));
        let due = Mutex::new(options.clock.instant() + options.interval);
        let shared = Arc::new(Shared { options, looked: Mutex::default(), due, tables: Mutex::new(tables) });
        shared.look();
        Ok(Self { shared })
    }

    /// Objects that stand still: what files say, with what is recorded of groups elsewhere, in a cluster or a state directory. What is
    /// written of them is kept in memory alone.
    pub fn still(manifests: &Manifests, recorded: &[SecurityGroup], clock: &Clock) -> Result<Self, StateError> {
        let state = State::in_memory();
        for group in recorded {
            if let Some(key) = Key::of(&group.metadata) {
                state.keep(&key, &Held::of(group))?;
            }
        }
        let mut tables = Tables::new(Arc::new(state));
        tables.take(manifests, manifests);
        let options = DirectoryOptions {
            manifests: PathBuf::new(),
            state: PathBuf::new(),
            interval: Duration::from_hours(24 * 365),
            clock: clock.clone(),
        };
        let due = Mutex::new(clock.instant() + options.interval);
        Ok(Self { shared: Arc::new(Shared { options, looked: Mutex::default(), due, tables: Mutex::new(tables) }) })
    }

    /// One look at the files, now.
    #[cfg(test)]
    pub(super) fn look(&self) {
        self.shared.look();
    }

    fn watch_kind<K: Kind>(&self, table: fn(&mut Tables) -> &mut Table<K>) -> Watch<K> {
        let news = table(&mut self.shared.lock()).watch();
        stream::unfold((self.shared.clone(), news), |(shared, mut news)| async move {
            loop {
                let due = *lock(&shared.due);
                tokio::select! {
                    biased;
                    event = news.recv() => return Some((Ok(event?), (shared, news))),
                    () = tokio::time::sleep_until(due) => shared.look_if_due().await,
                }
            }
        })
        .boxed()
    }

    /// Changes an object that is still as it was seen.
    fn update<K: Kind>(
        &self,
        table: fn(&mut Tables) -> &mut Table<K>,
        seen: &K,
        change: impl FnOnce(&mut Held<K>),
    ) -> Result<K, ObjectsError> {
        table(&mut self.shared.lock()).update(seen, change)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }

    /// A look at the files if it is time; the first watch that finds it is does it for all.
    async fn look_if_due(self: &Arc<Self>) {
        {
            let mut due = lock(&self.due);
            let now = self.options.clock.instant();
            if *due > now {
                return;
            }
            *due = now + self.options.interval;
        }
        let looker = self.clone();
        // Reading files blocks; a slow disk must not hold up reconciles.
        let _ = tokio::task::spawn_blocking(move || looker.look()).await;
    }

    /// One look at the files.
    fn look(&self) {
        let mut looked = match self.looked.try_lock() {
            Ok(looked) => looked,
            Err(std::sync::TryLockError::Poisoned(looked)) => looked.into_inner(),
            // A disk that takes longer than the interval.
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        // Read first: a disk that hangs must not keep the lock that status writes need.
        match read_manifests(&self.options.manifests) {
            Ok(Found { manifests, places: _, foreign }) => {
                let before = looked.replace(manifests.clone());
                let mut tables = self.lock();
                let kinds: Vec<String> = foreign.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                tables.tell_foreign(kinds.join(", "));
                if let Some(before) = before {
                    tables.take(&manifests, &before);
                }
            }
            Err(problems) => self.lock().tell_problems(&problems),
        }
    }
}

impl Tables {
    fn new(state: Arc<State>) -> Self {
        Self {
            namespaces: Table::new(state.clone()),
            accounts: Table::new(state.clone()),
            notifiers: Table::new(state.clone()),
            grants: Table::new(state.clone()),
            cidr_sets: Table::new(state.clone()),
            groups: Table::new(state),
            in_force: None,
            told: Vec::new(),
            told_foreign: String::new(),
        }
    }

    /// Takes in what a look found, as far as the one before it found the same.
    fn take(&mut self, now: &Manifests, before: &Manifests) {
        // At first everything has to agree: what is missing then is taken for refused by what refers to it.
        let Some(in_force) = self.in_force.clone().or_else(|| (now == before).then(Manifests::new)) else { return };
        let (wanted, mistake) = without_mistakes(agreed(now, before, &in_force), &in_force);
        for id in in_force.keys().filter(|id| !wanted.contains_key(id)) {
            if id.kind == KindName::SecurityGroup {
                let group = self.groups.get(&id.key).and_then(|group| group.status?.group_id);
                tracing::warn!(object = %id.key, group, "no longer in the files: let go of; its EC2 group stays as it is");
            } else {
                tracing::warn!(object = %id, "no longer in the files");
            }
        }
        let all = with_namespaces(&wanted);
        self.in_force = Some(wanted);
        let Self { namespaces, accounts, notifiers, grants, cidr_sets, groups, in_force: _, told: _, told_foreign: _ } = self;
        // What others refer to first: the news are then more likely to be heard in this order.
        let troubles = [
            namespaces.take(&all),
            accounts.take(&all),
            notifiers.take(&all),
            grants.take(&all),
            cidr_sets.take(&all),
            groups.take(&all),
        ];
        self.tell(mistake.into_iter().chain(troubles.into_iter().flatten()).collect());
    }

    fn tell_problems(&mut self, problems: &[FileProblem]) {
        let line = |problem: &FileProblem| {
            let cause = std::error::Error::source(problem).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{problem}{cause}; the last good version of all manifests stays in force")
        };
        self.tell(problems.iter().map(line).collect());
    }

    fn tell(&mut self, lines: Vec<String>) {
        for line in lines.iter().filter(|line| !self.told.contains(line)) {
            tracing::error!("{line}");
        }
        self.told = lines;
    }

    fn tell_foreign(&mut self, kinds: String) {
        if !kinds.is_empty() && kinds != self.told_foreign {
            tracing::info!(kinds, "documents of kinds that are not sgwarden's are left alone");
        }
        self.told_foreign = kinds;
    }
}

#[async_trait]
impl Objects for DirectoryObjects {
    fn watch(&self) -> Watch<SecurityGroup> {
        self.watch_kind(|tables| &mut tables.groups)
    }

    fn watch_cidr_sets(&self) -> Watch<CidrSet> {
        self.watch_kind(|tables| &mut tables.cidr_sets)
    }

    fn watch_accounts(&self) -> Watch<AwsAccount> {
        self.watch_kind(|tables| &mut tables.accounts)
    }

    fn watch_notifiers(&self) -> Watch<Notifier> {
        self.watch_kind(|tables| &mut tables.notifiers)
    }

    /// One that objects are in exists, whether a file declares it or not.
    fn watch_namespaces(&self) -> Watch<Namespace> {
        self.watch_kind(|tables| &mut tables.namespaces)
    }

    fn watch_grants(&self) -> Watch<ReferenceGrant> {
        self.watch_kind(|tables| &mut tables.grants)
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        self.update(|tables| &mut tables.groups, object, |held| held.status = Some(status.clone()))
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.update(|tables| &mut tables.groups, object, |held| held.finalizers = vec![FINALIZER.to_owned()]).map(drop)
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.update(|tables| &mut tables.groups, object, |held| held.finalizers.clear()).map(drop)
    }

    async fn write_cidr_set_status(&self, set: &CidrSet, status: &CidrSetStatus) -> Result<(), ObjectsError> {
        self.update(|tables| &mut tables.cidr_sets, set, |held| held.status = Some(status.clone())).map(drop)
    }

    async fn write_account_status(&self, account: &AwsAccount, status: &AwsAccountStatus) -> Result<(), ObjectsError> {
        self.update(|tables| &mut tables.accounts, account, |held| held.status = Some(status.clone())).map(drop)
    }

    async fn write_notifier_status(&self, notifier: &Notifier, status: &NotifierStatus) -> Result<(), ObjectsError> {
        self.update(|tables| &mut tables.notifiers, notifier, |held| held.status = Some(status.clone())).map(drop)
    }

    /// Remembered, so that it reads as in a cluster; it keeps no file from going.
    async fn hold_account(&self, account: &AwsAccount, held: bool) -> Result<(), ObjectsError> {
        let finalizers = if held { vec![FINALIZER.to_owned()] } else { Vec::new() };
        if account.metadata.finalizers.as_deref().unwrap_or_default() == finalizers {
            return Ok(());
        }
        self.update(|tables| &mut tables.accounts, account, |state| state.finalizers = finalizers).map(drop)
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        let key = Key::of(&object.metadata).map(|key| key.to_string()).unwrap_or_default();
        tracing::debug!(object = key, reason = notice.reason, note = notice.note, "event");
    }
}
