//! The handle of a stand-in: what tests, the demo, the server and the SDK's in-process connector hold.
//!
//! Entry point: [`Sim`].

use super::activity::Delivery;
use super::clock::Clock;
use super::config::{Config, Quotas, VpcSeed};
use super::door;
use super::faults::{Fault, Faults, Latency, StaleReads, StopAfter};
use super::identity::{Identities, Principal};
use super::log::CallRecord;
use super::pipeline::Inner;
use super::roles::{RoleSeed, Roles};
use super::world::World;
use super::world::error::ApiError;
use super::world::ids::{AccountId, RegionName};
use super::world::state::Place;
use super::world::tags::Tags;
use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stand-in for EC2, STS and `CloudTrail`. Clones share one world.
#[derive(Debug, Clone)]
pub struct Sim(Arc<Mutex<Inner>>);

impl Default for Sim {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

pub(crate) fn place(account: &str, region: &str) -> Place {
    Place { account: AccountId::from(account), region: RegionName::from(region) }
}

pub(crate) fn seeded(world: &mut World, seed: &VpcSeed) -> Result<(), ApiError> {
    let mut tags = Tags::default();
    seed.tags.iter().for_each(|(key, value)| tags.put(key, value));
    world.seed_vpc(&place(&seed.account, &seed.region), &seed.id, &seed.cidr, seed.ipv6.as_deref(), tags).map(|_| ())
}

impl Sim {
    /// A new world. A seed that cannot be made is left out and logged; [`Sim::try_new`] refuses it.
    pub fn new(config: Config) -> Self {
        let (sim, vpcs, roles) = Self::empty(config);
        for seed in &vpcs {
            if let Err(error) = sim.add_vpc(seed) {
                tracing::error!(vpc = %seed.id, %error, "seed left out");
            }
        }
        for role in roles {
            if let Err(error) = sim.add_role(role) {
                tracing::error!(%error, "role left out");
            }
        }
        sim.keep_as_start();
        sim
    }

    /// A new world, or what is wrong with its seeds.
    pub fn try_new(config: Config) -> Result<Self, ApiError> {
        let (sim, vpcs, roles) = Self::empty(config);
        for seed in &vpcs {
            sim.add_vpc(seed)?;
        }
        for role in roles {
            sim.add_role(role)?;
        }
        sim.keep_as_start();
        Ok(sim)
    }

    /// A world with nothing in it, and what is to be put there.
    fn empty(config: Config) -> (Self, Vec<VpcSeed>, Vec<RoleSeed>) {
        let Config { seed, quotas, vpcs, default_account, roles, record_bytes } = config;
        let identities = Identities::new(&default_account);
        let inner = Inner::new(World::new(seed, quotas), identities, (seed, record_bytes));
        (Self(Arc::new(Mutex::new(inner))), vpcs, roles)
    }

    /// Makes the world as it is now the one that [`Sim::reset`] goes back to.
    pub fn keep_as_start(&self) {
        let mut inner = self.lock();
        inner.pristine = inner.world.clone();
    }

    /// Forgets faults, calls, events and the clock's setting; with `world`, all that was made since the start too.
    pub fn reset(&self, world: bool) {
        self.lock().reset(world);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere must not take the stand-in down with it: every change of the world is made in one piece.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers an HTTP request; any request gets an answer. How long it is to take, and whether the connection is to
    /// break, is told by the extensions [`Delay`](super::Delay) and [`Break`](super::Break) of the response.
    pub fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        door::handle(self, request)
    }

    /// Makes one EC2 call with Query parameters, as from the command line; the door for tests and demos.
    pub fn query(&self, access_key: &str, region: &str, params: &[(&str, &str)]) -> Response<Bytes> {
        door::query(self, access_key, region, params)
    }

    /// Adds a VPC of a known id.
    pub fn add_vpc(&self, seed: &VpcSeed) -> Result<(), ApiError> {
        seeded(&mut self.lock().world, seed)
    }

    /// Adds a VPC and returns its id.
    pub fn create_vpc(&self, account: &str, region: &str, cidr: &str, ipv6: bool) -> Result<String, ApiError> {
        self.lock().world.new_vpc(&place(account, region), cidr, ipv6)
    }

    /// The id of an account's default VPC.
    pub fn default_vpc(&self, account: &str, region: &str) -> Option<String> {
        self.lock().world.default_vpc_id(&place(account, region))
    }

    /// Sets a tag on anything, `aws:` tags included, which no call can.
    pub fn put_tag(&self, account: &str, region: &str, resource: &str, key: &str, value: &str) {
        self.lock().world.change_tags(&place(account, region), resource, |tags| tags.put(key, value));
    }

    /// Lets a service or an instance hold a network interface: `kind` such as `load_balancer`, `requester` such as
    /// `amazon-elb` for a service, `instance` for an instance. All absent frees it.
    pub fn occupy_interface(
        &self,
        account: &str,
        region: &str,
        interface: &str,
        holder: (Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<(), ApiError> {
        let mut inner = self.lock();
        let now = inner.clock.now();
        inner.world.occupy_interface(&place(account, region), interface, now, holder)
    }

    /// Everything there is, in the form that [`Sim::load`] takes.
    pub fn dump(&self) -> Value {
        let file = self.lock().world.dump();
        serde_json::to_value(file).unwrap_or_default()
    }

    /// The rules of a group that are in force, which lag behind what reads show if so set; none if there is no such group.
    /// Each is written as in [`Sim::dump`].
    pub fn effective_rules(&self, account: &str, region: &str, group: &str) -> Vec<Value> {
        let rules = self.lock().in_force().dump_rules(&place(account, region), group);
        rules.into_iter().filter_map(|rule| serde_json::to_value(rule).ok()).collect()
    }

    /// Adds what a seed or a dump describes (YAML, of which JSON is a part); nothing at all if anything is wrong with it.
    pub fn load(&self, text: &str) -> Result<(), String> {
        let file: super::world::snapshot::WorldFile = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let mut inner = self.lock();
        let mut world = inner.world.clone();
        world.load(&file).map_err(|error| error.to_string())?;
        inner.world = world;
        Ok(())
    }

    /// Writes everything there is to a file, whole or not at all.
    pub fn save_file(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension("draft");
        std::fs::write(&draft, self.dump().to_string())?;
        std::fs::rename(&draft, path)
    }

    /// Adds what a file describes.
    pub fn load_file(&self, path: &Path) -> io::Result<()> {
        let text = std::fs::read_to_string(path)?;
        self.load(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
    }

    /// The limits in force.
    pub fn quotas(&self) -> Quotas {
        self.lock().world.quotas().clone()
    }

    /// Changes the limits; what is over them already stays.
    pub fn set_quotas(&self, quotas: Quotas) {
        self.lock().world.set_quotas(quotas);
    }

    /// Says whom an access key stands for.
    pub fn register(&self, access_key: &str, principal: Principal) {
        self.lock().identities.register(access_key, principal);
    }

    /// Adds a role, or changes the one of this ARN. From the first one on, only those named are there. Sessions that were given
    /// out go on, whatever the role now says.
    pub fn add_role(&self, role: RoleSeed) -> Result<(), ApiError> {
        self.lock().roles.add(role)
    }

    /// The roles named so far.
    pub fn roles(&self) -> Vec<RoleSeed> {
        self.lock().roles.list()
    }

    /// Lets every role be there again and trust everybody.
    pub fn clear_roles(&self) {
        self.lock().roles = Roles::default();
    }

    /// What is set to go wrong.
    pub fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Replaces all that is set to go wrong; the default is nothing.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.errors.push(fault);
    }

    /// Lets everything go right again.
    pub fn clear_faults(&self) {
        self.set_faults(Faults::default());
    }

    /// Goes silent once so many more writes have been answered.
    pub fn stop_after(&self, stop: StopAfter) {
        self.lock().faults.stop = Some(stop);
    }

    /// Makes replies slow.
    pub fn set_latency(&self, latency: Vec<Latency>) {
        self.lock().faults.latency = latency;
    }

    /// Makes reads stale, or true again.
    pub fn set_stale_reads(&self, stale: Option<StaleReads>) {
        self.lock().faults.stale = stale;
    }

    /// Turns EC2's token buckets on or off.
    pub fn set_throttling(&self, on: bool) {
        let mut inner = self.lock();
        inner.faults.throttling = on;
        inner.buckets = super::buckets::Buckets::default();
    }

    /// The latest calls, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().log.records()
    }

    /// How many calls there were of an action.
    pub fn count(&self, action: &str) -> u64 {
        self.counts().get(action).copied().unwrap_or_default()
    }

    /// How many calls there were, by action.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().log.counts()
    }

    /// Forgets calls and counts.
    pub fn clear_calls(&self) {
        self.lock().log.clear();
    }

    /// Sets how events travel.
    pub fn set_delivery(&self, delivery: Delivery) {
        self.lock().journal.delivery = delivery;
    }

    /// The events that have arrived since this was last asked, as `EventBridge` would put them on a queue.
    pub fn take_events(&self) -> Vec<Value> {
        let mut inner = self.lock();
        let now = inner.clock.now();
        inner.journal.take(now)
    }

    /// Every event so far, oldest first, whatever becomes of its delivery.
    pub fn all_events(&self) -> Vec<Value> {
        self.lock().journal.all().map(|entry| super::activity::parsed(&entry.event)).collect()
    }

    /// The stand-in's time.
    pub fn now(&self) -> Timestamp {
        self.lock().clock.now()
    }

    /// Stops the clock at this moment.
    pub fn freeze(&self, at: Timestamp) {
        self.lock().clock = Clock::Frozen(at);
    }

    /// Moves the clock on, whether it runs or stands.
    pub fn advance(&self, by: SignedDuration) {
        let mut inner = self.lock();
        inner.clock = inner.clock.advanced(by);
    }

    /// Lets the clock run, off from the machine's by this much.
    pub fn run_clock(&self, offset: SignedDuration) {
        self.lock().clock = Clock::Running(offset);
    }
}
