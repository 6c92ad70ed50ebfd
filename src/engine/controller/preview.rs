//! What passes would do, without doing it: one look at each group, over objects that stand still.
//!
//! Entry point: [`preview`].
//!
//! Invariant: nothing is written in AWS: there is no writer behind the ports ([`ReadOnly`]). What is written of objects is read
//! again by this alone, as the objects are to be a copy. No change is recorded, no message sent, no queue read: there is nothing to
//! do it with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use kube::Resource;
use tokio::sync::mpsc::unbounded_channel;

use crate::api::Origin;
use crate::api::conditions::READY;
use crate::core::audit::AuditRecord;
use crate::core::desired::{self, Declaration};
use crate::core::model::ListedGroup;
use crate::core::plan::{Ownership, TAG_UID};
use crate::core::preview::{Finding, Planned, Preview};
use crate::core::status;
use crate::engine::leader::Fence;
use crate::engine::region::{RegionParts, Regions};
use crate::ports::clock::{Clock, Timings};
use crate::ports::cloud::{CloudError, Connect, Ec2, NoWriter, Route};
use crate::ports::metrics::{Health, Metrics};
use crate::ports::objects::{Key, Objects};
use crate::ports::queue::NoQueues;
use crate::ports::sinks::{AuditError, AuditSink, Deliver, DeliverError, Delivery};

use super::accounts::{self, Reached};
use super::context::{Context, Leadership, OwnAccount, Parts};
use super::pass::{Next, Pass, Survey};
use super::site::Site;
use super::stores::{Stores, feed};

/// Looks of one group at most: at each, its references may have become known by the look at others, or EC2 shows what it did not.
const LOOKS: usize = 3;
/// Longer than a preview takes.
const NEVER: Duration = Duration::from_hours(24);

/// A way into AWS that leads to no writer.
pub struct ReadOnly(Arc<dyn Connect>);

impl ReadOnly {
    /// Takes the writer out of what is found at the end of a way.
    pub fn new(inner: Arc<dyn Connect>) -> Self {
        Self(inner)
    }
}

#[async_trait]
impl Connect for ReadOnly {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        Ok(Ec2 { write: Arc::new(NoWriter), ..self.0.connect(route).await? })
    }

    fn forget(&self, route: &Route) {
        self.0.forget(route);
    }
}

/// What a preview is made from.
#[derive(Clone)]
pub struct PreviewParts {
    /// A copy of the objects, which nobody else sees.
    pub objects: Arc<dyn Objects>,
    /// The way into AWS.
    pub connect: Arc<dyn Connect>,
    /// Time.
    pub clock: Clock,
    /// Waits.
    pub timings: Timings,
    /// The id by which our groups are told from another cluster's.
    pub cluster: String,
    /// Ids this cluster had before.
    pub former_clusters: Vec<String>,
    /// The account of objects as long as there is no `AwsAccount` object.
    pub own: OwnAccount,
    /// How many objects are looked at at a time.
    pub concurrency: u16,
}

impl PreviewParts {
    /// What a controller would be made of, without everything by which it changes something.
    fn harmless(self) -> Parts {
        let Self { objects, connect, clock, timings, cluster, former_clusters, own, concurrency } = self;
        // A group that does not show was not created moments ago by a process that died: nobody waits for it here.
        let timings = Timings { absence: Duration::ZERO, deep_sweep: NEVER, sweep: NEVER, ..timings };
        Parts {
            objects,
            connect: Arc::new(ReadOnly::new(connect)),
            audit: Arc::new(Nothing),
            deliver: Arc::new(Nothing),
            metrics: Metrics::default(),
            health: Health::new(&clock),
            clock,
            timings,
            queues: Arc::new(NoQueues),
            cluster,
            former_clusters,
            own,
            leadership: Leadership { leases: None, identity: "preview".to_owned(), fence: Fence::always() },
            concurrency,
        }
    }
}

/// Takes what nobody gives it.
struct Nothing;

#[async_trait]
impl AuditSink for Nothing {
    async fn append(&self, _: &AuditRecord) -> Result<(), AuditError> {
        Ok(())
    }
}

#[async_trait]
impl Deliver for Nothing {
    async fn deliver(&self, _: &Delivery) -> Result<(), DeliverError> {
        Err(DeliverError::Unavailable { why: "a preview tells nobody".to_owned(), retry_after: None })
    }
}

/// What would be done about every object that there is, by name. `told` hears how many of how many are done, for whoever waits.
pub async fn preview(parts: PreviewParts, told: &(dyn Fn(usize, usize) + Send + Sync)) -> Vec<Preview> {
    let (stores, writers) = Stores::new();
    // Nobody is woken: every object is looked at anyway.
    let (wake, _woken) = unbounded_channel();
    let parts = parts.harmless();
    let regions = Regions::new(
        RegionParts {
            connect: parts.connect.clone(),
            clock: parts.clock.clone(),
            timings: parts.timings.clone(),
            metrics: parts.metrics.clone(),
        },
        wake,
    );
    let context = Context::new(parts, stores, regions);
    let reached = Reached::default();
    let surroundings = Box::pin(async {
        tokio::join!(
            feed(&context, writers),
            context.watch_readiness(),
            context.watch_notifiers(),
            accounts::keep_warm(&context, &reached),
        )
    });
    tokio::select! {
        found = Box::pin(look_at_all(&context, told)) => found,
        _ = surroundings => Vec::new(),
    }
}

async fn look_at_all(context: &Context, told: &(dyn Fn(usize, usize) + Send + Sync)) -> Vec<Preview> {
    context.ready().await;
    let mut left: Vec<Key> = context.stores.groups.state().iter().filter_map(|object| Key::of(object.meta())).collect();
    left.sort();
    let all = left.len();
    let mut found: BTreeMap<Key, Preview> = BTreeMap::new();
    for look in 1..=LOOKS {
        let looks = stream::iter(std::mem::take(&mut left)).map(|key| async move { (look_at(context, &key).await, key) });
        let mut looks = looks.buffer_unordered(usize::from(context.parts.concurrency));
        while let Some((answer, key)) = looks.next().await {
            // A reference that is not known may be a group that only a look at its own object finds.
            let again = match &answer.finding {
                Finding::Planned(planned) => !planned.desired.held.is_empty(),
                Finding::Stopped { reason: _, message: _ } => true,
                Finding::Invalid(_) => false,
            };
            if again && look < LOOKS {
                left.push(key.clone());
            }
            found.insert(key, answer);
            told(found.len(), all);
        }
        left.sort();
    }
    found.into_values().collect()
}

async fn look_at(context: &Context, key: &Key) -> Preview {
    let preview = |finding| Preview { object: key.to_string(), file: None, finding };
    let Some(object) = context.look_up(key) else {
        let why = "the object cannot be read".to_owned();
        return preview(Finding::Stopped { reason: "InvalidSpec".to_owned(), message: why });
    };
    let object = context.memories.newest(key, object);
    let declaration = match desired::parse(&object) {
        Ok(declaration) => declaration,
        Err(problems) => return preview(Finding::Invalid(problems)),
    };
    let mut pass = Pass::over(context, key.clone(), object, "preview".to_owned());
    preview(match Box::pin(pass.preview(&declaration)).await {
        Ok(planned) => Finding::Planned(Box::new(planned)),
        // Why is in the status, as it would be in a cluster.
        Err(_) => pass.stopped(),
    })
}

impl Pass<'_> {
    async fn preview(&mut self, declaration: &Declaration) -> Result<Planned, Next> {
        let site = self.site(declaration).await?;
        let vpc = self.vpc(declaration, &site).await?;
        let mut shown = Err(Next::failed());
        for _ in 0..LOOKS {
            let listed = self.find(declaration, &site, &vpc, true).await?;
            if let Some(listed) = &listed {
                self.take_for_recorded(&site, listed).await;
            }
            let desired = self.wanted(declaration, &site, &vpc, listed.as_ref()).await?;
            let restraint = self.restraint(declaration, &site);
            match self.survey(declaration, &site, desired, restraint, listed.as_ref()).await {
                // Something missing or altered has to be seen twice, here too.
                Ok(survey) if !survey.restraint.unconfirmed.is_empty() => {
                    shown = Ok(survey);
                    self.context.parts.clock.sleep(self.context.parts.timings.confirm).await;
                }
                Ok(survey) => {
                    shown = Ok(survey);
                    break;
                }
                Err(Some(next)) => return Err(next),
                Err(None) => self.context.parts.clock.sleep(self.context.parts.timings.visible_poll).await,
            }
        }
        let Survey { desired, observed, vouched: _, restraint, plan: _, pending, report } = shown?;
        Ok(Planned {
            account: site.account.name.clone(),
            account_id: site.worker.account().clone(),
            region: site.region().clone(),
            desired,
            observed,
            restraint,
            plan: pending,
            report,
        })
    }

    /// What no status says, the group's own tags do: that the group is this object's, and under which uid. Others find it by that,
    /// and the uid of an object that is in no cluster yet is no news.
    async fn take_for_recorded(&mut self, site: &Site, listed: &ListedGroup) {
        let mut status = self.status();
        let tags = &listed.group.tags;
        let ours = matches!(self.owner.judge(tags), Ownership::Ours | Ownership::Reclaimed { former_uid: _ });
        if !ours || self.baseline().is_some() || self.would_adopt.is_some() {
            return;
        }
        if let Some(uid) = tags.get(TAG_UID) {
            self.owner.uid.clone_from(uid);
        }
        if status.group_id.is_some() {
            return;
        }
        status.group_id = Some(listed.group.id.to_string());
        status.region = Some(site.region().to_string());
        status.owner_id = Some(site.worker.account().to_string());
        status.origin = Some(status::origin_of(tags).unwrap_or(Origin::Created).into());
        // The copy takes it, or nothing refers to it: the next look finds it the same way.
        let _ = self.store(status).await;
    }

    /// What the status says of a pass that ended early.
    fn stopped(&self) -> Finding {
        let status = self.status();
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY && condition.status != "True");
        let (reason, message) = ready.map_or_else(
            || ("Unknown".to_owned(), "the group was not shown in time: try again".to_owned()),
            |condition| (condition.reason.clone(), condition.message.clone()),
        );
        Finding::Stopped { reason, message }
    }
}
