//! One route into an account's Region: what passes read it by, write it by, and tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::core::activity;
use crate::core::model::{
    AccountId, GroupFacts, ListedGroup, LiveRule, Observed, PrefixListFacts, PrefixListId, PrefixListMark, Region, RuleId,
    SecurityGroupId, Tags, VpcAssociations, VpcFacts, VpcId,
};
use crate::core::status::DeepView;
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{Activity, CloudError, Ec2, Ec2Read, Ec2Write, GroupQuery, VpcQuery};
use crate::ports::metrics::{Place, RegionMetrics};
use crate::ports::objects::Key;

use super::cache::Cache;
use super::decorate::{LanedRead, LanedWrite, VALUES};
use super::deep::{Deep, DeepLook};
use super::lanes::{Action, Errand, Lanes, Urgency};
use super::ledger::{Ledger, View};
use super::lists::{ListChange, Lists};
use super::loader::Loader;
use super::overlay::Overlay;
use super::trail::{Trail, time_of};

/// How a Region of an account is to be looked after.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionSettings {
    /// Name of the `AwsAccount`, for people and metrics.
    pub account_name: String,
    /// From one sweep to the next, give or take a tenth.
    pub sweep_interval: Duration,
    /// What part of AWS's documented buckets reads and changes may use, from 0 to 1.
    pub api_share: f64,
    /// Cluster id: the value of the tag that our groups carry. Fixed by the first call.
    pub cluster: String,
}

/// What all routes into one account and Region share, and what outlives a change of the route.
pub(super) struct Common {
    pub(super) lanes: Arc<Lanes>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) trail: Arc<Trail>,
}

/// What a worker is made of besides its ports.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) timings: Timings,
    pub(super) metrics: RegionMetrics,
    pub(super) wake: mpsc::UnboundedSender<Key>,
}

/// How a worker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// A sweep was tried, or never will be.
    pub(super) attempted: bool,
    /// The last sweep that went through.
    pub(super) swept: Option<Counts>,
    /// What went wrong in the last one, or with part of it.
    pub(super) failure: Option<String>,
    /// The same of the last deep one. It stands until the next: a sweep a minute later knows nothing of it.
    pub(super) deep_failure: Option<String>,
    /// Stale rules, once a deep sweep has counted them.
    pub(super) stale_rules: Option<usize>,
}

/// What a sweep counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) began: Timestamp,
    pub(super) groups: usize,
    pub(super) unmanaged: usize,
    pub(super) rules: usize,
}

/// Reads and writes of one route, and what is known of its groups.
pub struct Worker {
    pub(super) number: u64,
    account: AccountId,
    principal: String,
    region: Region,
    write: Arc<dyn Ec2Write>,
    activity: Arc<dyn Activity>,
    pub(super) read: Arc<dyn Ec2Read>,
    pub(super) common: Arc<Common>,
    pub(super) ledger: Ledger,
    pub(super) groups: Loader<SecurityGroupId, ListedGroup>,
    pub(super) rules: Loader<SecurityGroupId, Vec<LiveRule>>,
    vpcs: Cache<VpcQuery, VpcFacts>,
    pub(super) lists: Lists,
    associations: Loader<SecurityGroupId, VpcAssociations>,
    pub(super) deep: Deep,
    /// Somebody asked for a sweep.
    pub(super) asked: Notify,
    pub(super) settings: watch::Sender<RegionSettings>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) around: Surroundings,
}

impl Worker {
    pub(super) fn new(number: u64, ec2: Ec2, common: Arc<Common>, settings: RegionSettings, around: Surroundings) -> Self {
        let Ec2 { account, principal, region, read, write, activity } = ec2;
        common.trail.act_as(&principal);
        let (clock, timings) = (&around.clock, &around.timings);
        common.lanes.set_share(number, settings.api_share);
        let reading = |admitted| LanedRead { inner: read.clone(), lanes: common.lanes.clone(), admitted };
        let admitted: Arc<dyn Ec2Read> = Arc::new(reading(true));
        let gate = |action| {
            let lanes = common.lanes.clone();
            move || -> BoxFuture<'static, ()> {
                let lanes = lanes.clone();
                Box::pin(async move { lanes.enter(action, Errand::Read).await })
            }
        };
        let reader = admitted.clone();
        let fetch = move |ids| -> BoxFuture<'static, Result<BTreeMap<_, _>, CloudError>> {
            let read = reader.clone();
            Box::pin(async move {
                let listed = read.listing(&GroupQuery::Ids(ids)).await?;
                Ok(listed.into_iter().map(|listed| (listed.group.id.clone(), listed)).collect())
            })
        };
        let (name, turn) = ("DescribeSecurityGroups", gate(Action::DescribeGroups));
        let groups = Loader::gated(name, VALUES, timings.coalesce, clock, turn, fetch);
        let fetch = move |ids: Vec<_>| -> BoxFuture<'static, Result<BTreeMap<_, _>, CloudError>> {
            let read = admitted.clone();
            Box::pin(async move { read.rules_of(&ids).await })
        };
        let (name, turn) = ("DescribeSecurityGroupRules", gate(Action::DescribeRules));
        let rules = Loader::gated(name, VALUES, timings.coalesce, clock, turn, fetch);
        let read: Arc<dyn Ec2Read> = Arc::new(reading(false));
        let reader = read.clone();
        let associations = Loader::new("DescribeSecurityGroupVpcAssociations", VALUES, timings.coalesce, clock, move |ids| {
            let read = reader.clone();
            Box::pin(async move { read.vpc_associations(&ids).await })
        });
        let reader = read.clone();
        let vpcs = Cache::new("DescribeVpcs", clock, timings, move |query| {
            let read = reader.clone();
            Box::pin(async move { read.vpcs(&query).await })
        });
        Self {
            number,
            account,
            principal,
            region,
            write,
            activity,
            lists: Lists::new(&read, clock, timings),
            associations,
            deep: Deep::default(),
            asked: Notify::new(),
            read,
            common,
            ledger: Ledger::new(settings.cluster.clone()),
            groups,
            rules,
            vpcs,
            settings: watch::Sender::new(settings),
            standing: watch::Sender::new(Standing::default()),
            around,
        }
    }

    /// The account its credentials belong to, as STS says.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// ARN of whom its credentials are, as STS says.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// What is known of the calls in its account and Region.
    pub fn trail(&self) -> &Trail {
        &self.common.trail
    }

    /// When the last look at an object's group began that showed all well with it; `None`: there was none.
    pub fn last_well(&self, key: &Key) -> Option<Timestamp> {
        self.ledger.last_well(key).map(|moment| time_of(&self.around.clock, moment))
    }

    /// The objects that manage a group.
    pub fn holders(&self, id: &SecurityGroupId) -> BTreeSet<Key> {
        self.ledger.holders(id)
    }

    /// The rules of a group with their ids, as EC2 shows them now: without what we know of our own writes.
    pub async fn rules_now(&self, id: &SecurityGroupId) -> Result<Vec<LiveRule>, CloudError> {
        Ok(self.rules.load(id.clone()).await?.0.unwrap_or_default())
    }

    /// Whoever looks at the group next reads it: what the last sweep showed is over.
    pub fn look_anew(&self, id: &SecurityGroupId) {
        self.ledger.drop_snapshot(id);
    }

    /// Whether a read that began then or later has shown the group, or its absence, to somebody.
    pub fn viewed_since(&self, id: &SecurityGroupId, then: Instant) -> bool {
        self.ledger.viewed_since(id, then)
    }

    /// Somebody else removed these rules: that no read shows them is true, though we authorized them a moment ago. An id is given
    /// once, so that this can only have been afterwards.
    pub fn others_removed(&self, id: &SecurityGroupId, rules: &BTreeSet<RuleId>) {
        self.common.overlay.others_removed(id, rules);
    }

    /// Somebody may have changed a group of ours, and nobody can tell which: a sweep at once, but a minute after the last at the
    /// earliest, however often it is asked for.
    pub fn sweep_soon(&self) {
        self.asked.notify_one();
    }

    /// The objects that use a prefix list.
    pub fn users(&self, list: &PrefixListId) -> BTreeSet<Key> {
        self.lists.users(list)
    }

    /// The newest version of a prefix list that a read has shown.
    pub fn list_version(&self, list: &PrefixListId) -> Option<i64> {
        self.lists.version(list)
    }

    /// Reads a prefix list again; objects that use it are woken if it changed.
    pub async fn look_at_list(&self, list: &PrefixListId) -> Result<(), CloudError> {
        self.wake(self.lists.look(list).await?);
        Ok(())
    }

    /// Reads the VPCs again that a group is associated with; objects that manage it are woken if that changed.
    pub async fn look_at_associations(&self, group: &SecurityGroupId) -> Result<(), CloudError> {
        let (found, began) = self.associations.load(group.clone()).await?;
        let found = found.map(|found| (group.clone(), found)).into_iter().collect();
        self.wake(self.deep.learn_associations(std::slice::from_ref(group), &found, began));
        Ok(())
    }

    /// The state of a group's association with a VPC, in EC2's word, as the newest read showed it; `None`: there is none.
    pub fn association(&self, group: &SecurityGroupId, vpc: &VpcId) -> Option<String> {
        self.deep.association(group, vpc)
    }

    /// When the newest read began that showed the associations of an object's group as the object took note of them; `None`: no
    /// read of this process has.
    pub fn associations_same(&self, key: &Key) -> Option<Timestamp> {
        self.deep.associations_same(key).map(|moment| time_of(&self.around.clock, moment))
    }

    /// Its Region.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// A group without the ids of its rules, read by a call that begins now and that others share. After a recent write
    /// ([`Worker::wrote_recently`]) it may show what was before: a difference is then settled by [`Worker::observe`].
    pub async fn listed(&self, id: &SecurityGroupId) -> Result<Option<ListedGroup>, CloudError> {
        let (listed, began) = self.groups.load(id.clone()).await?;
        self.ledger.viewed(id, began);
        if listed.is_some() {
            self.common.overlay.shown(id, began);
        }
        Ok(listed.filter(|_| !self.common.overlay.deleted(id)))
    }

    /// A group as the last sweep showed it, and when that began. Kept for groups that differed, that are not settled yet, and
    /// right after a start for every group with our tag; `None` says nothing about the group.
    pub fn snapshot(&self, id: &SecurityGroupId) -> Option<(ListedGroup, Instant)> {
        let now = self.around.clock.instant();
        let (listed, began) = self.ledger.snapshot(id, &self.common.overlay, now, self.around.timings.overlay_limit)?;
        self.ledger.viewed(id, began);
        Some((listed, began))
    }

    /// Waits for the first sweep since the start, but not for ever. Whether there was one that went through: then
    /// [`Worker::snapshot`] serves every group with our tag.
    pub async fn first_sweep(&self) -> bool {
        let mut standing = self.standing.subscribe();
        let ended = timeout(self.around.timings.first_sweep, standing.wait_for(|standing| standing.attempted)).await;
        matches!(ended, Ok(Ok(_))) && self.standing.borrow().swept.is_some()
    }

    /// A group with its rules by id, read by calls that begin now and that others share, with our own writes laid over it.
    /// `None`: EC2 does not show it whole, which may be its own lag ([`Worker::is_awaited`]), or we deleted it.
    pub async fn observe(&self, id: &SecurityGroupId) -> Result<Option<Observed>, CloudError> {
        let (listed, rules) = tokio::join!(self.groups.load(id.clone()), self.rules.load(id.clone()));
        let (Some(listed), group_began) = listed? else { return Ok(None) };
        let (rules, rules_began) = rules?;
        let rules = rules.unwrap_or_default();
        // Two servers may answer the two calls, and one of them not know yet what the group was born with. Taken for true, its
        // rules would be forgotten, and be somebody's addition when they show.
        if rules.is_empty() && !listed.rules.is_empty() && self.common.overlay.is_newborn(id) {
            return Ok(None);
        }
        self.ledger.viewed(id, group_began.min(rules_began));
        self.common.overlay.shown(id, group_began);
        Ok(self.common.overlay.apply((listed.group, group_began), (rules, rules_began)))
    }

    /// Groups that carry all of these tags.
    pub async fn find_owned(&self, tags: &Tags) -> Result<Vec<ListedGroup>, CloudError> {
        self.find(&GroupQuery::Tagged(tags.clone())).await
    }

    /// The group of this name in a VPC.
    pub async fn find_named(&self, vpc: &VpcId, name: &str) -> Result<Vec<ListedGroup>, CloudError> {
        self.find(&GroupQuery::Name { vpc: vpc.clone(), name: name.to_owned() }).await
    }

    async fn find(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        let mut found = self.read.listing(query).await?;
        found.retain(|listed| !self.common.overlay.deleted(&listed.group.id));
        Ok(found)
    }

    /// The port for reading, as EC2 answers: without what we know of our own writes.
    pub fn reader(&self) -> Arc<dyn Ec2Read> {
        self.read.clone()
    }

    /// The port for asking who called what.
    pub fn activity(&self) -> Arc<dyn Activity> {
        self.activity.clone()
    }

    /// Asks `CloudTrail` for the newest events of a group or a prefix list, by its id, and takes note of them.
    pub async fn look_up(&self, id: &str, since: Timestamp, until: Timestamp) -> Result<(), CloudError> {
        let lanes = &self.common.lanes;
        lanes.enter(Action::LookupEvents, Errand::Read).await;
        let answer = self.activity.lookup(id, since, until).await;
        lanes.answered(Action::LookupEvents, 0, answer.as_ref().err());
        for event in answer?.iter().filter_map(|text| activity::parse(text).ok()) {
            self.common.trail.learn(event);
        }
        Ok(())
    }

    /// The port for writing. Every write waits for its token, the most urgent first, and is remembered for
    /// [`Worker::observe`].
    pub fn writer(&self, urgency: Urgency) -> Arc<dyn Ec2Write> {
        let Common { lanes, overlay, trail } = &*self.common;
        Arc::new(LanedWrite {
            inner: self.write.clone(),
            lanes: lanes.clone(),
            overlay: overlay.clone(),
            trail: trail.clone(),
            urgency,
        })
    }

    /// This object manages this group: it is woken when a sweep shows a difference, or does not show the group.
    pub fn managed(&self, key: &Key, id: &SecurityGroupId) {
        self.ledger.manage(key, id);
    }

    /// There is nothing to do for this object as long as its group is as it was last shown: sweeps that show exactly this wake
    /// nobody. To be called with what the last read for the object gave, also when differences remain that are only reported.
    pub fn settled<'a>(&self, key: &Key, view: impl Into<View<'a>>) {
        let view = view.into();
        self.ledger.settled(key, view, self.around.clock.instant());
        self.common.overlay.at_rest(view.id());
    }

    /// The object is gone, or its group is no longer here.
    pub fn forget(&self, key: &Key) {
        self.ledger.forget(key);
        self.lists.forget(key);
        self.deep.forget(key);
    }

    /// Whether a group is being written, or was within `Timings::overlay_limit`: what a read does not show, or shows altered,
    /// needs a second read that agrees. True for every group as long after a start: what the process before us wrote is not known.
    pub fn wrote_recently(&self, id: &SecurityGroupId) -> bool {
        self.common.overlay.wrote_recently(id)
    }

    /// Whether we created the group within `Timings::overlay_limit` and no read of [`Worker::listed`] or [`Worker::observe`] has
    /// shown it yet: that it is missing means nothing then.
    pub fn is_awaited(&self, id: &SecurityGroupId) -> bool {
        self.common.overlay.is_awaited(id)
    }

    /// Tells that a look at the object's group showed something absent or altered, for [`Worker::stormy`].
    pub fn differs(&self, key: &Key) {
        self.ledger.differs(key);
    }

    /// Whether the last sweep, or the looks since, showed more than 20 managed groups other than they were: then what is absent
    /// or altered needs a second read that agrees.
    pub fn stormy(&self) -> bool {
        self.ledger.is_stormy()
    }

    /// VPCs; kept for `Timings::lookup` if there are any.
    pub async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        self.vpcs.get(query).await
    }

    /// All prefix lists of a name that the account can use; kept for `Timings::lookup` if there are any.
    pub async fn prefix_list_named(&self, name: &str) -> Result<Vec<PrefixListFacts>, CloudError> {
        self.lists.named(name).await
    }

    /// What is known of these prefix lists, those that exist. They are the ones the object uses from now on: each sweep reads
    /// the customers' again, and wakes the object when one has changed. `recorded` is how its status remembers them.
    pub async fn prefix_lists(
        &self,
        key: &Key,
        ids: &BTreeSet<PrefixListId>,
        recorded: &BTreeMap<PrefixListId, PrefixListMark>,
    ) -> Result<BTreeMap<PrefixListId, PrefixListFacts>, CloudError> {
        let (lists, wake) = self.lists.of(key, ids, recorded).await?;
        self.wake(wake);
        Ok(lists)
    }

    /// Prefix lists of the object that have changed and of which it has not taken note ([`Worker::noted_list_changes`]).
    pub fn list_changes(&self, key: &Key) -> Vec<ListChange> {
        self.lists.changes(key)
    }

    /// The prefix lists of the object as it has taken note of them, with these changes: for its status.
    pub fn list_marks(&self, key: &Key, changes: &[ListChange]) -> BTreeMap<PrefixListId, PrefixListMark> {
        self.lists.marks(key, changes)
    }

    /// The object has taken note of these changes: they are in its status.
    pub fn noted_list_changes(&self, key: &Key, changes: &[ListChange]) {
        self.lists.noted(key, changes);
    }

    /// What the last deep sweep showed of the object's group, which is watched from now on: each deep sweep wakes the object while
    /// it shows what `recorded`, which is what the object's status says, does not. To be called again with what was written.
    pub fn deep_look(&self, key: &Key, group: &GroupFacts, recorded: DeepView) -> DeepLook {
        self.deep.look(key, group, recorded)
    }

    /// These objects have to be looked at.
    pub fn wake(&self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            // Nobody listens only when the engine is ending.
            let _ = self.around.wake.send(key);
        }
    }

    /// Takes other settings over.
    pub(super) fn set(&self, settings: &RegionSettings) {
        let former = self.place();
        let changed = self.settings.send_if_modified(|now| {
            let changed = now != settings;
            now.clone_from(settings);
            changed
        });
        if changed {
            self.common.lanes.set_share(self.number, settings.api_share);
        }
        if former != self.place() {
            self.around.metrics.forget(&former);
        }
    }

    /// Whose series its metrics are.
    pub(super) fn place(&self) -> Place {
        Place { account: self.settings.borrow().account_name.clone(), region: self.region.to_string() }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.common.lanes.release(self.number);
    }
}
