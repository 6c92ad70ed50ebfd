//! Tells what happens, when it happens: it listens between the engine and the store of objects.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use tokio::time::Instant;

use crate::api::{
    AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, DriftRecord, Notifier, NotifierStatus, ReferenceGrant, Resolution,
    SecurityGroup, SecurityGroupStatus,
};
use crate::core::status::{self, Reason};
use crate::ports::clock::Clock;
use crate::ports::objects::{Notice, Objects, ObjectsError, Watch};

#[derive(Clone)]
pub(super) struct Narrator {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    start: Instant,
    /// A demo sped up for a test tells the times people would see.
    speedup: u32,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    edits: Vec<Instant>,
    reverts: Vec<Duration>,
}

impl Narrator {
    pub(super) fn new(clock: Clock, speedup: u32) -> Self {
        let start = clock.instant();
        Self { shared: Arc::new(Shared { clock, start, speedup, tally: Mutex::default() }) }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.shared.clock.instant().duration_since(self.shared.start)
    }

    fn line(text: &str) {
        // A closed pipe (`| head`) is no reason to stop the show.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// One thing that happened.
    pub(super) fn say(&self, what: &str, text: &str) {
        let seconds = self.elapsed().as_secs_f64() * f64::from(self.shared.speedup);
        Self::line(&format!("{seconds:>5.1}s  {what:<10} {text}"));
    }

    pub(super) fn open(&self, directory: &Path) {
        Self::line("sgwarden demo: a small AWS account, simulated in this process. Three groups, one intruder, sixty seconds.");
        self.say(
            "declared",
            &format!("web-public (80, 443 from anywhere), web-internal (80, 443 from 10.0.0.0/8), db (5432 from web-internal)   manifests in {}", directory.join("groups").display()),
        );
    }

    /// Somebody edits EC2 behind the controller's back.
    pub(super) fn edit(&self, text: &str) {
        self.say("intruder", text);
        let now = self.shared.clock.instant();
        self.tally().edits.push(now);
    }

    /// The last line; how many edits were not put right.
    pub(super) fn close(&self, directory: &Path) -> usize {
        let tally = self.tally();
        let missed = tally.edits.len().saturating_sub(tally.reverts.len());
        let mut times = tally.reverts.clone();
        times.sort();
        let median = times
            .get(times.len() / 2)
            .map_or_else(String::new, |time| format!(" (median {:.1} s)", time.as_secs_f64() * f64::from(self.shared.speedup)));
        Self::line(&format!(
            "Done: {} unauthorized edits, {} put right{median}, {missed} missed. Audit in {}.",
            tally.edits.len(),
            tally.reverts.len(),
            directory.join("audit.jsonl").display()
        ));
        missed
    }

    /// The store of objects, with an ear at its door.
    pub(super) fn listen_to(&self, inner: Arc<dyn Objects>) -> Listener {
        Listener { inner, narrator: self.clone() }
    }

    fn drift(&self, name: &str, before: &SecurityGroupStatus, record: &DriftRecord) {
        let known = before.drift.iter().find(|known| known.id == record.id);
        if known.is_none() {
            self.say("detected", &format!("{name}: somebody {} ({})", status::describe(record), record.id));
        }
        let reverted =
            record.resolution == Resolution::Reverted.as_str() && known.is_none_or(|known| known.resolution != record.resolution);
        if reverted {
            let now = self.shared.clock.instant();
            let mut tally = self.tally();
            let edit = tally.edits.get(tally.reverts.len()).copied();
            let open = edit.map_or(Duration::ZERO, |edit| now.duration_since(edit));
            tally.reverts.push(open);
            drop(tally);
            let seconds = open.as_secs_f64() * f64::from(self.shared.speedup);
            let trace = record.trace_id.as_deref().unwrap_or_default();
            self.say("put right", &format!("{name}: after {seconds:.1} s   trace {trace}"));
        }
    }
}

pub(super) struct Listener {
    inner: Arc<dyn Objects>,
    narrator: Narrator,
}

#[async_trait]
impl Objects for Listener {
    fn watch(&self) -> Watch<SecurityGroup> {
        self.inner.watch()
    }

    fn watch_cidr_sets(&self) -> Watch<CidrSet> {
        self.inner.watch_cidr_sets()
    }

    fn watch_accounts(&self) -> Watch<AwsAccount> {
        self.inner.watch_accounts()
    }

    fn watch_namespaces(&self) -> Watch<Namespace> {
        self.inner.watch_namespaces()
    }

    fn watch_grants(&self) -> Watch<ReferenceGrant> {
        self.inner.watch_grants()
    }

    fn watch_notifiers(&self) -> Watch<Notifier> {
        self.inner.watch_notifiers()
    }

    async fn write_cidr_set_status(&self, set: &CidrSet, status: &CidrSetStatus) -> Result<(), ObjectsError> {
        self.inner.write_cidr_set_status(set, status).await
    }

    async fn write_account_status(&self, account: &AwsAccount, status: &AwsAccountStatus) -> Result<(), ObjectsError> {
        self.inner.write_account_status(account, status).await
    }

    async fn write_notifier_status(&self, notifier: &Notifier, status: &NotifierStatus) -> Result<(), ObjectsError> {
        self.inner.write_notifier_status(notifier, status).await
    }

    async fn hold_account(&self, account: &AwsAccount, held: bool) -> Result<(), ObjectsError> {
        self.inner.hold_account(account, held).await
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        let written = self.inner.write_status(object, status).await?;
        let before = object.status.clone().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        for record in status.drift.iter().rev() {
            self.narrator.drift(name, &before, record);
        }
        Ok(written)
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.inner.add_finalizer(object).await
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.inner.remove_finalizer(object).await
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let say = |what: &str| self.narrator.say(what, &format!("{name}: {}", notice.note));
        match notice.reason {
            reason if reason == Reason::Created.as_str() || reason == Reason::Recreated.as_str() => say("created"),
            reason if reason == Reason::RulesChanged.as_str() => say("applied"),
            // The narrator tells drift from the records, with its times.
            reason if reason == Reason::DriftReverted.as_str() => {}
            _ => say("event"),
        }
        self.inner.record_event(object, notice).await;
    }
}
