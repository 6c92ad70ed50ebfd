//! Looks after the accounts: keeps a worker for each of their Regions warm, and writes how accounts and sets of ranges stand.
//!
//! Workers are kept by standbys too, so that whoever takes over knows all groups; statuses are written by the leader only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;

use crate::api::{ACCOUNT_ANNOTATION, AwsAccount, CidrSet, DEFAULT_ACCOUNT, FINALIZER, SecurityGroup};
use crate::core::desired::{self, Account};
use crate::core::model::Region;
use crate::core::status::{self, AccountFacts, CidrSetFacts, RegionFacts};
use crate::ports::cloud::{CloudError, Route};
use crate::ports::objects::{Key, ObjectsError};

use super::context::Context;
use super::site::{find_account, route, settings};

/// How often accounts and sets are looked at; what is written is decided by what changed.
const LOOK: Duration = Duration::from_secs(5);

/// What the last attempts to reach the Regions of accounts came to.
#[derive(Debug, Default)]
pub(super) struct Reached(Mutex<BTreeMap<Route, Result<(), CloudError>>>);

impl Reached {
    fn note(&self, route: &Route, result: Result<(), CloudError>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(route.clone(), result);
    }

    fn of(&self, route: &Route) -> Option<Result<(), CloudError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(route).cloned()
    }

    fn retain(&self, wanted: &BTreeSet<Route>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|route, _| wanted.contains(route));
    }
}

/// Keeps the workers of every account that can be used, and no others. Never ends.
pub(super) async fn keep_warm(context: &Context, reached: &Reached) {
    context.stores.ready().await;
    loop {
        let mut wanted = BTreeSet::new();
        let mut attempts = Vec::new();
        for account in usable(context) {
            for region in &account.regions {
                let route = route(&account, region);
                wanted.insert(route.clone());
                let settings = settings(context, &account);
                attempts.push(async move {
                    let worker = context.regions.worker(&route, &settings).await;
                    if worker.is_ok() {
                        context.parts.health.met(crate::ports::metrics::Need::Credentials);
                    } else if let Err(error) = &worker
                        && !matches!(reached.of(&route), Some(Err(known)) if known == *error)
                    {
                        tracing::warn!(account = settings.account_name, "{}", error.explain(&route.region));
                    }
                    reached.note(&route, worker.map(drop));
                });
            }
        }
        // Together, so that one that hangs holds up no other.
        futures::future::join_all(attempts).await;
        context.regions.retain(&wanted);
        reached.retain(&wanted);
        tokio::select! {
            () = context.accounts_changed.notified() => {}
            () = context.parts.clock.sleep(LOOK) => {}
        }
    }
}

fn usable(context: &Context) -> Vec<Account> {
    let objects = context.stores.accounts.state();
    if objects.is_empty() {
        return find_account(context, DEFAULT_ACCOUNT).into_iter().collect();
    }
    let valid = objects.iter().filter_map(|object| object.0.as_ref().ok());
    valid.filter_map(|object| desired::parse_account(object).ok()).collect()
}

/// Writes how accounts and sets stand, when there is news. Never ends; for the leader.
pub(super) async fn report(context: &Context, reached: &Reached) {
    let mut written: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let groups = Groups::count(context);
        for object in context.stores.accounts.state() {
            if let Ok(account) = object.0.as_ref() {
                report_account(context, reached, account, &groups, &mut written).await;
            }
        }
        for object in context.stores.sets.state() {
            if let Ok(set) = object.0.as_ref() {
                report_set(context, set).await;
            }
        }
        context.parts.clock.sleep(context.parts.timings.account_look(LOOK)).await;
    }
}

/// Groups and rules by account and Region, from what the objects say.
struct Groups(BTreeMap<(String, String), RegionFacts>);

impl Groups {
    fn count(context: &Context) -> Self {
        let mut all: BTreeMap<(String, String), RegionFacts> = BTreeMap::new();
        for object in context.stores.groups.state() {
            let Some(status) = object.0.as_ref().ok().and_then(|object| object.status.as_ref()) else { continue };
            let (Some(account), Some(region)) = (status.account.clone(), status.region.clone()) else { continue };
            let facts = all.entry((account, region)).or_default();
            facts.managed = facts.managed.saturating_add(usize::from(status.group_id.is_some()));
            facts.drifted = facts.drifted.saturating_add(usize::from(status.drift.iter().any(status::is_open)));
            facts.rules = facts.rules.saturating_add(status.rules.as_ref().map_or(0, Vec::len));
        }
        Self(all)
    }
}

async fn report_account(
    context: &Context,
    reached: &Reached,
    object: &AwsAccount,
    groups: &Groups,
    written: &mut BTreeMap<String, Instant>,
) {
    let name = object.name_any();
    hold(context, object).await;
    let parsed = desired::parse_account(object);
    let freshness = context.regions.freshness();
    let mut regions: BTreeMap<Region, RegionFacts> = BTreeMap::new();
    if let Ok(account) = &parsed {
        for region in &account.regions {
            let counted = groups.0.get(&(name.clone(), region.to_string())).cloned().unwrap_or_default();
            let fresh = freshness.iter().find(|fresh| fresh.account_name == name && fresh.region == *region);
            let route = route(account, region);
            regions.insert(
                region.clone(),
                RegionFacts {
                    last_sweep: fresh.and_then(|fresh| fresh.last_sweep),
                    groups: fresh.map(|fresh| fresh.groups),
                    sweep_failure: fresh.and_then(|fresh| fresh.failure.clone()),
                    unreachable: reached.of(&route).and_then(Result::err).map(|error| error.explain(region)),
                    reached: matches!(reached.of(&route), Some(Ok(()))),
                    ..counted
                },
            );
        }
    }
    let previous = object.status.clone().unwrap_or_default();
    let problems: Vec<String> = parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect();
    let next = status::build_account(AccountFacts {
        generation: object.metadata.generation.unwrap_or(0),
        now: context.parts.clock.now(),
        previous: &previous,
        problems: &problems,
        regions: &regions,
        skew: context.parts.clock.skew(),
        sweep_interval: context.parts.timings.sweep,
    });
    let last = written.get(&name).map(|at| context.parts.clock.instant().duration_since(*at));
    if next == previous || !status::account_status_due(&previous, &next, last) {
        return;
    }
    match context.parts.objects.write_account_status(object, &next).await {
        Ok(()) => drop(written.insert(name, context.parts.clock.instant())),
        Err(ObjectsError::Conflict | ObjectsError::Gone) => {}
        Err(error) => tracing::warn!(account = name, %error, "the status of the account is not written"),
    }
}

/// An account stays while groups of it are kept.
async fn hold(context: &Context, object: &AwsAccount) {
    let name = object.name_any();
    let used = context.stores.groups.state().iter().any(|group| group.0.as_ref().is_ok_and(|group| uses(context, group, &name)));
    let held = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    let deleting = object.metadata.deletion_timestamp.is_some();
    if used == held || (used && deleting) {
        return;
    }
    if let Err(error) = context.parts.objects.hold_account(object, used).await {
        tracing::debug!(account = name, %error, "the account's finalizer is not written");
    }
}

fn uses(context: &Context, group: &SecurityGroup, account: &str) -> bool {
    if let Some(pinned) = group.status.as_ref().and_then(|status| status.account.as_deref()) {
        return pinned == account;
    }
    if let Some(written) = group.spec.account.as_deref() {
        return written == account;
    }
    let (_, annotations) = context.namespace(group.metadata.namespace.as_deref().unwrap_or_default());
    annotations.get(ACCOUNT_ANNOTATION).map_or(DEFAULT_ACCOUNT, String::as_str) == account
}

async fn report_set(context: &Context, set: &CidrSet) {
    let Some(key) = Key::of(&set.metadata) else { return };
    let parsed = desired::parse_cidr_set(set);
    let previous = set.status.clone().unwrap_or_default();
    let users = context.users_of_set(&key);
    let problems = parsed.as_ref().err().cloned().unwrap_or_default();
    let next = status::build_cidr_set(CidrSetFacts {
        generation: set.metadata.generation.unwrap_or(0),
        now: context.parts.clock.now(),
        previous: &previous,
        problems: &problems,
        ranges: parsed.as_deref().ok(),
        users: &users,
    });
    if next == previous {
        return;
    }
    match context.parts.objects.write_cidr_set_status(set, &next).await {
        Ok(()) | Err(ObjectsError::Conflict | ObjectsError::Gone) => {}
        Err(error) => tracing::warn!(set = %key, %error, "the status of the set is not written"),
    }
}

impl Context {
    /// How many rules are vouched for in an account.
    pub(super) fn rules_of_account(&self, name: &str) -> usize {
        let rules = |group: &SecurityGroup| {
            let status = group.status.as_ref().filter(|status| status.account.as_deref() == Some(name));
            status.and_then(|status| status.rules.as_ref()).map_or(0, Vec::len)
        };
        self.stores.groups.state().iter().filter_map(|group| group.0.as_ref().ok()).map(rules).fold(0, usize::saturating_add)
    }
}
