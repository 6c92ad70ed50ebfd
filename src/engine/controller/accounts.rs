//! Looks after the accounts: keeps a worker for each of their Regions warm, and writes how accounts and sets of ranges stand.
//!
//! Workers are kept by standbys too, so that whoever takes over knows all groups; statuses are written by the leader only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::{AwsAccount, CidrSet, DEFAULT_ACCOUNT, FINALIZER, Mode, SecurityGroup};
use crate::core::desired::{self, Account};
use crate::core::model::Region;
use crate::core::status::{self, AccountFacts, CidrSetFacts, Credentials, Reason, RegionFacts, Sweep};
use crate::engine::region::Freshness;
use crate::ports::cloud::{CloudError, Route};
use crate::ports::objects::{Key, ObjectsError};

use super::context::Context;
use super::events;
use super::failure::reason_of;
use super::site::{find_account, route, settings, sweep_interval};

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
    context.ready().await;
    let mut idle = false;
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
        if wanted.is_empty() && !idle {
            // Nobody has said yet where there is work: whoever waits for us to be ready would wait for an AwsAccount.
            tracing::warn!("no Region to work in: create an AwsAccount, or give --region");
            context.parts.health.met(crate::ports::metrics::Need::Credentials);
        }
        idle = wanted.is_empty();
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

pub(super) fn usable(context: &Context) -> Vec<Account> {
    let objects = context.stores.accounts.state();
    if objects.is_empty() {
        return find_account(context, DEFAULT_ACCOUNT).into_iter().collect();
    }
    let valid = objects.iter().filter_map(|object| object.0.as_ref().ok());
    valid.filter_map(|object| desired::parse_account(object).ok()).collect()
}

/// Writes how accounts and sets stand, when there is news. Never ends; for the leader.
pub(super) async fn report(context: &Context, reached: &Reached) {
    let since = context.parts.clock.now();
    let mut written: BTreeMap<String, Timestamp> = BTreeMap::new();
    loop {
        let counts = Counts::of(context);
        for object in context.stores.accounts.state() {
            if let Ok(account) = object.0.as_ref() {
                Report { context, reached, counts: &counts, since }.write(account, &mut written).await;
            }
        }
        for object in context.stores.sets.state() {
            if let Ok(set) = object.0.as_ref() {
                report_set(context, set).await;
            }
        }
        context.parts.clock.sleep(context.parts.timings.scaled(LOOK)).await;
    }
}

/// What the objects say of the groups of each account and Region.
struct Counts(BTreeMap<(String, String), Count>);

#[derive(Clone, Copy, Default)]
struct Count {
    managed: usize,
    drifted: usize,
    rules: usize,
}

impl Counts {
    fn of(context: &Context) -> Self {
        let mut all: BTreeMap<(String, String), Count> = BTreeMap::new();
        for object in context.stores.groups.state() {
            let Some(status) = object.0.as_ref().ok().and_then(|object| object.status.as_ref()) else { continue };
            let (Some(account), Some(region)) = (status.account.clone(), status.region.clone()) else { continue };
            let count = all.entry((account, region)).or_default();
            count.managed = count.managed.saturating_add(usize::from(status.group_id.is_some()));
            count.drifted = count.drifted.saturating_add(usize::from(status.drift.iter().any(status::is_open)));
            count.rules = count.rules.saturating_add(status.rules.as_ref().map_or(0, Vec::len));
        }
        Self(all)
    }

    fn in_place(&self, account: &str, region: &Region) -> Count {
        self.0.get(&(account.to_owned(), region.to_string())).copied().unwrap_or_default()
    }

    fn in_account(&self, account: &str) -> usize {
        self.0.iter().filter(|((name, _), _)| name == account).map(|(_, count)| count.managed).fold(0, usize::saturating_add)
    }
}

/// One look at the accounts.
struct Report<'a> {
    context: &'a Context,
    reached: &'a Reached,
    counts: &'a Counts,
    /// Since when Regions are looked after.
    since: Timestamp,
}

impl Report<'_> {
    async fn write(&self, object: &AwsAccount, written: &mut BTreeMap<String, Timestamp>) {
        let Self { context, reached: _, counts, since: _ } = self;
        let name = object.name_any();
        hold(context, object).await;
        let parsed = desired::parse_account(object);
        let freshness = context.regions.freshness();
        let account = parsed.as_ref().ok();
        let regions: Vec<RegionFacts<'_>> = account
            .map(|account| account.regions.iter().map(|region| self.region(account, region, &freshness)).collect())
            .unwrap_or_default();
        let previous = object.status.clone().unwrap_or_default();
        let now = context.parts.clock.now();
        let interval = account.map_or(context.parts.timings.sweep, |account| sweep_interval(&context.parts.timings, account));
        let next = status::build_account(&AccountFacts {
            generation: object.metadata.generation.unwrap_or(0),
            now,
            previous: &previous,
            problems: parsed.as_ref().err().map_or(&[], Vec::as_slice),
            observing: account.is_some_and(|account| account.mode == Mode::Observe),
            credentials: account.map_or(Credentials::Unknown, |account| self.credentials(account)),
            events: account.and_then(|account| events::standing(context, account)),
            skew: context.parts.clock.skew(),
            sweep_interval: SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX),
            regions: &regions,
            held_by: object.metadata.deletion_timestamp.is_some().then(|| counts.in_account(&name)).filter(|kept| *kept > 0),
        });
        if !status::account_status_due(&previous, &next, written.get(&name).copied(), now) {
            return;
        }
        match context.parts.objects.write_account_status(object, &next).await {
            Ok(()) => drop(written.insert(name, now)),
            Err(ObjectsError::Conflict | ObjectsError::Gone) => {}
            Err(error) => tracing::warn!(account = name, %error, "the status of the account is not written"),
        }
    }

    fn region<'r>(&self, account: &Account, region: &'r Region, freshness: &[Freshness]) -> RegionFacts<'r> {
        let fresh = freshness.iter().find(|fresh| fresh.account_name == account.name && fresh.region == *region);
        let Count { managed, drifted, rules } = self.counts.in_place(&account.name, region);
        let sweep = fresh.and_then(|fresh| {
            fresh.last_sweep.map(|at| Sweep { at, groups: fresh.groups, managed, rules, drifted, stale_rules: fresh.stale_rules })
        });
        let failed = fresh.and_then(|fresh| fresh.failure.clone());
        let unreachable = match self.reached.of(&route(account, region)) {
            Some(Err(error)) => Some((reason_of(&error), error.explain(region))),
            Some(Ok(())) | None => None,
        };
        let failure = unreachable.or_else(|| failed.map(|message| (Reason::CloudUnavailable, message)));
        let incomplete = fresh.and_then(|fresh| fresh.incomplete.clone());
        RegionFacts { region, since: self.since, sweep, failure, incomplete }
    }

    /// Good as soon as one Region says so; bad when one says so and none that they are good.
    fn credentials(&self, account: &Account) -> Credentials {
        let answers: Vec<(&Region, Result<(), CloudError>)> =
            account.regions.iter().filter_map(|region| Some((region, self.reached.of(&route(account, region))?))).collect();
        if answers.iter().any(|(_, answer)| answer.is_ok()) {
            return Credentials::Valid;
        }
        let failed = answers.iter().find_map(|(region, answer)| answer.as_ref().err().map(|error| (region, error)));
        failed.map_or(Credentials::Unknown, |(region, error)| Credentials::Failed {
            reason: reason_of(error),
            message: error.explain(region),
        })
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
    context.default_account(group.metadata.namespace.as_deref().unwrap_or_default()) == account
}

async fn report_set(context: &Context, set: &CidrSet) {
    let Some(key) = Key::of(&set.metadata) else { return };
    let parsed = desired::parse_cidr_set(set);
    let previous = set.status.clone().unwrap_or_default();
    let users = context.users_of_set(&key);
    let problems = parsed.as_ref().err().cloned().unwrap_or_default();
    let next = status::build_cidr_set(&CidrSetFacts {
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
