//! Where a group is: its account, Region and worker, and what may be done there.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{ACCOUNT_ANNOTATION, DEFAULT_ACCOUNT};
use crate::core::desired::{self, Account, DEFAULT_SETTLE, DEFAULT_SWEEP_INTERVAL, Declaration, DeclaredVpc, NamespaceRule};
use crate::core::model::{Region, VpcFacts, VpcId};
use crate::core::status::Reason;
use crate::engine::region::{RegionSettings, Worker};
use crate::ports::clock::Timings;
use crate::ports::cloud::{CloudError, Role, Route, VpcQuery};
use crate::ports::metrics::Need;

use super::context::{Context, OwnAccount, Parts};
use super::pass::{Next, Pass};

/// Where a group is.
pub(super) struct Site {
    /// The account.
    pub(super) account: Account,
    /// The worker of the account and Region.
    pub(super) worker: Arc<Worker>,
}

/// Why there is no getting there.
pub(super) enum Unreachable {
    /// Somebody has to change something.
    Refused(Reason, String),
    /// AWS.
    Cloud(Region, CloudError),
}

/// Finds an account by its name.
pub(super) fn find_account(context: &Context, name: &str) -> Result<Account, Unreachable> {
    let refused = |reason, message| Err(Unreachable::Refused(reason, message));
    match context.account(name) {
        Some(Ok(account)) => match desired::parse_account(&account) {
            Ok(account) => Ok(account),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let message = format!("awsaccounts.sgwarden.dev {name} cannot be used: {}", problems.join("; "));
                refused(Reason::AccountNotReady, message)
            }
        },
        Some(Err(why)) => refused(Reason::AccountNotReady, format!("awsaccounts.sgwarden.dev {name} cannot be read: {why}")),
        None if name == DEFAULT_ACCOUNT && context.stores.accounts.state().is_empty() => {
            let own = &context.parts.own;
            Ok(own_account(own))
        }
        None => refused(
            Reason::AccountNotFound,
            format!("there is no awsaccounts.sgwarden.dev {name}: create it, or correct spec.account"),
        ),
    }
}

/// The account of our own credentials.
fn own_account(own: &OwnAccount) -> Account {
    let namespaces = own.namespaces.as_ref();
    let namespaces = namespaces.map_or(NamespaceRule::All, |names| NamespaceRule::Listed(names.iter().cloned().collect()));
    Account {
        id: own.id.clone(),
        namespaces,
        queues: own.queues.iter().cloned().collect(),
        ..Account::own(own.regions.iter().cloned().collect())
    }
}

impl Site {
    /// The way to a Region of an account.
    pub(super) async fn reach(context: &Context, account: Account, region: &Region) -> Result<Self, Unreachable> {
        if !account.regions.contains(region) {
            let served: Vec<&str> = account.regions.iter().map(Region::as_str).collect();
            let message = if served.is_empty() {
                format!("account {} has no Region: create an AwsAccount, or start the controller with --region", account.name)
            } else {
                format!(
                    "Region {region} is not served in account {}, which has {}: add it there, or correct spec.region",
                    account.name,
                    served.join(", ")
                )
            };
            return Err(Unreachable::Refused(Reason::RegionNotServed, message));
        }
        let failed = |error| Unreachable::Cloud(region.clone(), error);
        let route = route(&account, region);
        let worker = context.regions.worker(&route, &settings(context, &account)).await.map_err(failed)?;
        context.parts.health.met(Need::Credentials);
        // After a start, one look at all groups serves every object.
        worker.first_sweep().await;
        Ok(Self { account, worker })
    }

    /// From seeing new rules to revoking those they replace.
    pub(super) fn settle(&self, parts: &Parts) -> Duration {
        if self.account.settle == DEFAULT_SETTLE { parts.timings.settle } else { parts.timings.scaled(self.account.settle) }
    }

    /// The Region.
    pub(super) fn region(&self) -> &Region {
        self.worker.region()
    }
}

/// The way into a Region of an account.
pub(super) fn route(account: &Account, region: &Region) -> Route {
    let role = account.role.as_ref().map(|role| Role { arn: role.arn.clone(), external_id: role.external_id.clone() });
    Route { region: region.clone(), account: account.id.clone(), role, endpoint: account.endpoint.clone() }
}

/// What a worker has to know of its account.
pub(super) fn settings(context: &Context, account: &Account) -> RegionSettings {
    RegionSettings {
        account_name: account.name.clone(),
        sweep_interval: sweep_interval(&context.parts.timings, account),
        api_share: account.limits.api_share,
        cluster: context.parts.cluster.clone(),
    }
}

/// From one sweep to the next.
pub(super) fn sweep_interval(timings: &Timings, account: &Account) -> Duration {
    let written = account.sweep_interval;
    if written == DEFAULT_SWEEP_INTERVAL { timings.sweep } else { timings.scaled(written) }
}

impl Pass<'_> {
    /// The way to the group of this object.
    pub(super) async fn site(&mut self, declaration: &Declaration) -> Result<Site, Next> {
        let account = match self.account(declaration.account.as_deref()) {
            Ok(account) => account,
            Err(unreachable) => return Err(self.unreachable(Some(declaration), unreachable).await),
        };
        let pinned = self.status().region.and_then(|region| region.parse().ok());
        let only = (account.regions.len() == 1).then(|| account.regions.first().cloned()).flatten();
        let Some(region) = declaration.region.clone().or(pinned).or(only) else {
            let served: Vec<&str> = account.regions.iter().map(Region::as_str).collect();
            let message = format!("spec.region is required: account {} has {}", account.name, served.join(", "));
            return Err(self.halt(Some(declaration), Reason::InvalidSpec, message).await);
        };
        match Site::reach(self.context, account, &region).await {
            Ok(site) => match self.wrong_account(&site, Some(declaration)).await {
                Some(next) => Err(next),
                None => Ok(site),
            },
            Err(unreachable) => Err(self.unreachable(Some(declaration), unreachable).await),
        }
    }

    /// The account of this object: as written, else its namespace's, else `default`; once pinned, no other.
    fn account(&self, written: Option<&str>) -> Result<Account, Unreachable> {
        let default = self.context.default_account(&self.key.namespace);
        let name = written.unwrap_or(&default);
        if let Some(pinned) = self.status().account
            && pinned != name
        {
            let message = format!(
                "the group was created in account {pinned}, and the namespace's default is {name} now; a group is never moved: write \
                 spec.account: {pinned}, or put the annotation {ACCOUNT_ANNOTATION} of namespace {} back",
                self.key.namespace
            );
            return Err(Unreachable::Refused(Reason::PinnedElsewhere, message));
        }
        let account = find_account(self.context, name)?;
        if !self.context.admits(&account, &self.key.namespace) {
            let message = format!(
                "namespace {} may not use account {name}: see allowedNamespaces of awsaccounts.sgwarden.dev {name}",
                self.key.namespace
            );
            return Err(Unreachable::Refused(Reason::NamespaceNotAllowed, message));
        }
        Ok(account)
    }

    pub(super) async fn unreachable(&mut self, declaration: Option<&Declaration>, unreachable: Unreachable) -> Next {
        match unreachable {
            Unreachable::Refused(reason, message) => self.halt(declaration, reason, message).await,
            Unreachable::Cloud(region, error) => self.cloud_failed(declaration, &region, &error).await,
        }
    }

    /// Credentials of another account than the group was created in see no group, and would create or forget one.
    pub(super) async fn wrong_account(&mut self, site: &Site, declaration: Option<&Declaration>) -> Option<Next> {
        let pinned = self.status().owner_id?;
        if pinned == site.worker.account().as_str() {
            return None;
        }
        let message = format!(
            "the credentials are of account {}, but the group belongs to account {pinned}: put the account or its role back",
            site.worker.account()
        );
        Some(self.stop(declaration, Reason::CredentialsRefused, message).await)
    }

    /// The VPC of the group. Once pinned it is no other, whatever is called by its name now; then a note tells.
    pub(super) async fn vpc(&mut self, declaration: &Declaration, site: &Site) -> Result<VpcFacts, Next> {
        let pinned: Option<VpcId> = self.status().vpc_id.and_then(|id| id.parse().ok());
        let query = match (&declaration.vpc, &pinned) {
            (DeclaredVpc::Id(id), _) => VpcQuery::Id(id.clone()),
            (DeclaredVpc::Tagged(tags), None) => VpcQuery::Tagged(tags.clone()),
            (DeclaredVpc::Tagged(tags), Some(pinned)) => {
                self.note_moved_vpc(site, tags, pinned).await;
                VpcQuery::Id(pinned.clone())
            }
        };
        let mut found = match site.worker.vpcs(&query).await {
            Ok(found) => found,
            Err(error) => return Err(self.cloud_failed(Some(declaration), site.region(), &error).await),
        };
        let place = format!("{} of account {}", site.region(), site.worker.account());
        let wanted = match &query {
            VpcQuery::Id(id) => id.to_string(),
            VpcQuery::Tagged(tags) => {
                let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("VPC tagged {}", tags.join(" "))
            }
            VpcQuery::Default => "default VPC".to_owned(),
        };
        let message = match (found.len(), found.pop()) {
            (1, Some(vpc)) if site.account.admits_vpc(&vpc.id) => return Ok(vpc),
            (1, Some(vpc)) => {
                let message =
                    format!("account {} allows no groups in {}: see allowedNamespaces.vpcs there", site.account.name, vpc.id);
                return Err(self.halt(Some(declaration), Reason::VpcNotAllowed, message).await);
            }
            (0, _) | (_, None) => format!("spec.vpc: there is no {wanted} in {place}"),
            (count, Some(_)) => {
                format!("spec.vpc: there are {count} of {wanted} in {place}; which one is meant cannot be told: write its id")
            }
        };
        Err(self.halt(Some(declaration), Reason::VpcNotFound, message).await)
    }

    async fn note_moved_vpc(&mut self, site: &Site, tags: &crate::core::model::Tags, pinned: &VpcId) {
        // Asked for the note only: a failure here changes nothing.
        let Ok(found) = site.worker.vpcs(&VpcQuery::Tagged(tags.clone())).await else { return };
        if !(found.len() == 1 && found.iter().all(|vpc| vpc.id == *pinned)) {
            let now: Vec<&str> = found.iter().map(|vpc| vpc.id.as_str()).collect();
            let now = if now.is_empty() { "no VPC".to_owned() } else { now.join(" and ") };
            self.moved.push(format!("the group stays in {pinned}, though spec.vpc now finds {now}"));
        }
    }
}
