//! Random worlds: whatever happens, the engine brings every group to what is declared, and on the way never cuts traffic that was
//! allowed and is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use sgwarden::adapters::sim::{Config, DEFAULT_ACCOUNT, Fault, Quotas, Sim, StaleReads, VpcSeed};
use sgwarden::core::model::{Atom, Direction, LiveRule, NewRule, SecurityGroupId, Space, Tags};

use crate::invent::{self, Action, Kind, Manifest, Trouble, World, by_hand, name};
use crate::rig::{Moment, OURS, REGION, Rig, VPC, is_settled};
use crate::store::Store;

/// How coarse the stand-in's clock is, and how often a world is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Longest time until all is as declared: the longest pause after failures and all that may have to be waited for after it.
const LIMIT: Duration = Duration::from_secs(3600);
/// How long a pass may go on by what it read and was told before.
const LAG: Duration = Duration::from_secs(60);

fn cases(many: u32) -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    let cases = ProptestConfig::default().cases.max(many);
    ProptestConfig { cases, failure_persistence: Some(Box::new(persistence)), max_shrink_iters: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(700))]

    /// Nobody but us: every pass of ours is safe, and nothing of it is told as somebody's drift.
    #[test]
    fn what_is_declared_comes_about_and_our_own_work_is_no_drift(
        world in invent::world(Kind { quota: 60, intruders: false, trouble: true })
    ) {
        run(world, 60).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(700))]

    /// Manifests, people and EC2 all at once.
    #[test]
    fn whatever_somebody_does_by_hand_the_groups_end_as_declared(
        world in invent::world(Kind { quota: 60, intruders: true, trouble: true })
    ) {
        run(world, 60).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(600))]

    /// As many rules as EC2 takes, so that nothing comes before something goes.
    #[test]
    fn at_the_quota_too_the_groups_end_as_declared(
        world in invent::world(Kind { quota: 6, intruders: true, trouble: true })
    ) {
        run(world, 6).map_err(TestCaseError::fail)?;
    }
}

fn run(world: World, quota: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { Play::start(world, quota).await.play().await })
}

/// What is declared at a time.
#[derive(Clone)]
struct Version {
    since: Instant,
    office: Vec<&'static str>,
    /// By group; `None`: deleted.
    manifests: Vec<Option<Manifest>>,
}

/// Who looks on at every write.
struct Watch {
    store: Store,
    quota: usize,
    versions: Vec<Version>,
    /// Rules that somebody took away by hand, by group: of these we are innocent for as long as we may not have seen it.
    taken: Vec<(Instant, SecurityGroupId, Atom)>,
    before: BTreeMap<usize, (SecurityGroupId, Vec<serde_json::Value>)>,
    faults: Vec<String>,
}

/// The rules of a group, as they are and not as reads may show them.
fn live(sim: &Sim, group: &SecurityGroupId) -> Vec<LiveRule> {
    read(&rows(sim, group))
}

fn rows(sim: &Sim, group: &SecurityGroupId) -> Vec<serde_json::Value> {
    sim.effective_rules(DEFAULT_ACCOUNT, REGION, group.as_str())
}

fn read(rows: &[serde_json::Value]) -> Vec<LiveRule> {
    let rule = |rule: &serde_json::Value| {
        let text = |key: &str| rule[key].as_str().unwrap().to_owned();
        let direction = if rule["egress"] == true { Direction::Egress } else { Direction::Ingress };
        let traffic = match (text("protocol").as_str(), rule["from"].as_i64(), rule["to"].as_i64()) {
            ("-1", _, _) => "all".to_owned(),
            ("icmp", Some(-1), Some(-1)) => "icmp".to_owned(),
            (protocol, Some(from), Some(to)) if from == to => format!("{protocol} {from}"),
            (protocol, Some(from), Some(to)) => format!("{protocol} {from}-{to}"),
            other => panic!("{other:?}"),
        };
        let atom = format!("{direction} {traffic} {} {}", direction.preposition(), text("peer"));
        let description = rule["description"].as_str().map(str::to_owned);
        LiveRule { id: text("id").parse().unwrap(), atom: atom.parse().unwrap(), description }
    };
    rows.iter().map(rule).collect()
}

/// The id of a group that an object has.
fn id_of(store: &Store, group: usize) -> Option<SecurityGroupId> {
    store.group_id(&name(group))?.parse().ok()
}

fn space<'a>(atoms: impl IntoIterator<Item = &'a Atom>, direction: Direction) -> Space {
    Space::of_all(atoms.into_iter().filter(|atom| atom.direction == direction))
}

impl Watch {
    fn atoms(&self, version: &Version, group: usize) -> BTreeMap<Atom, Option<String>> {
        let Some(Some(manifest)) = version.manifests.get(group) else { return BTreeMap::new() };
        manifest.atoms(group, &version.office, |other| id_of(&self.store, other).map(|id| id.to_string()))
    }

    fn look(&mut self, sim: &Sim, moment: Moment) {
        match moment {
            Moment::Before => {
                let groups = 0..self.versions.last().map_or(0, |version| version.manifests.len());
                let ids = groups.filter_map(|group| Some((group, id_of(&self.store, group)?)));
                self.before = ids.map(|(group, id)| (group, (id.clone(), rows(sim, &id)))).collect();
            }
            Moment::After => {
                for (group, (id, before)) in std::mem::take(&mut self.before) {
                    let after = rows(sim, &id);
                    if after != before {
                        let atoms = |rows| read(rows).into_iter().map(|rule| rule.atom).collect::<Vec<Atom>>();
                        self.judge(sim, group, &id, &atoms(&before), &atoms(&after));
                    }
                }
            }
        }
    }

    /// What was allowed, is declared, and was not taken away by somebody else, is allowed.
    fn judge(&mut self, sim: &Sim, group: usize, id: &SecurityGroupId, before: &[Atom], after: &[Atom]) {
        let now = Instant::now();
        let recent = |since: Instant| now.duration_since(since) < LAG;
        for direction in Direction::BOTH {
            let lost = space(before, direction).subtract(&space(after, direction));
            let mut cut = lost;
            let mut newer: Option<Instant> = None;
            for version in self.versions.iter().rev() {
                // A version counts until the next one came, and as long after as a pass may go by it.
                if newer.is_some_and(|replaced| !recent(replaced)) {
                    break;
                }
                cut = cut.intersect(&space(self.atoms(version, group).keys(), direction));
                newer = Some(version.since);
            }
            let taken = self.taken.iter().filter(|(when, whose, _)| recent(*when) && whose == id).map(|(_, _, atom)| atom);
            let cut = cut.subtract(&space(taken, direction));
            if cut.is_empty() || self.is_full(group, before, direction) {
                continue;
            }
            let calls: Vec<String> = sim.calls().iter().rev().take(6).map(|call| format!("{call:?}")).collect();
            let shown: Vec<String> = cut.exposure().iter().map(ToString::to_string).collect();
            let texts = |atoms: &[Atom]| atoms.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    ");
            self.faults.push(format!(
                "{} {id}: a write cut {direction} {}\n  before\n    {}\n  after\n    {}\n{}",
                name(group),
                shown.join(", "),
                texts(before),
                texts(after),
                calls.join("\n")
            ));
        }
    }

    /// Whether what is missing does not fit beside what is there: the one exception, which the plan names.
    fn is_full(&self, group: usize, before: &[Atom], direction: Direction) -> bool {
        let live: BTreeSet<&Atom> = before.iter().filter(|atom| atom.direction == direction).collect();
        let Some(version) = self.versions.last() else { return false };
        let declared = self.atoms(version, group);
        let missing = declared.keys().filter(|atom| atom.direction == direction && !live.contains(atom)).count();
        live.len() + missing > self.quota
    }
}

/// The tags of one of these groups.
fn tags_of(groups: &[serde_json::Value], id: &SecurityGroupId) -> Tags {
    let group = groups.iter().find(|group| group["id"] == id.as_str());
    let tags = group.and_then(|group| group["tags"].as_object()).into_iter().flatten();
    tags.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// A world being played.
struct Play {
    rig: Rig,
    script: Vec<Action>,
    version: Version,
    watch: Arc<Mutex<Watch>>,
    crash: Option<CancellationToken>,
    /// Our own work must not be told as somebody's.
    plain: bool,
}

impl Play {
    async fn start(world: World, quota: usize) -> Self {
        let plain = world.is_plain();
        let World { office, manifests, script } = world;
        let quotas = Quotas { rules_per_group: quota, ..Quotas::default() };
        let mut rig = Rig::ticking(Config { vpcs: vec![VpcSeed::new(VPC)], quotas, ..Config::default() }, TICK).await;
        rig.store.apply_account(&format!(
            "{{apiVersion: sgwarden.dev/v1alpha1, kind: AwsAccount, metadata: {{name: default}}, spec: {{accountId: \"{DEFAULT_ACCOUNT}\", \
             regions: [{REGION}], allowedNamespaces: {{from: All}}, limits: {{rulesPerGroup: {quota}}}}}}}"
        ));
        let version = Version { since: Instant::now(), office, manifests: manifests.into_iter().map(Some).collect() };
        let watch = Watch {
            store: rig.store.clone(),
            quota,
            versions: vec![version.clone()],
            taken: Vec::new(),
            before: BTreeMap::new(),
            faults: Vec::new(),
        };
        let watch = Arc::new(Mutex::new(watch));
        let looking = watch.clone();
        rig.writes.behold(Arc::new(move |sim, moment| looking.lock().unwrap().look(sim, moment)));
        rig.store.apply_set(&invent::office(&version.office));
        for (group, manifest) in version.manifests.iter().flatten().enumerate() {
            rig.store.apply(&manifest.yaml(group));
        }
        rig.start_engine();
        Self { rig, script, version, watch, crash: None, plain }
    }

    async fn play(mut self) -> Result<(), String> {
        for action in std::mem::take(&mut self.script) {
            self.act(action).await;
        }
        self.rig.sim.clear_faults();
        self.rig.writes.crash_at_none();
        self.rig.store.crash_at_no_write();
        self.revive().await;
        let since = Instant::now();
        loop {
            // A look at everything is dear, and of no use before the engine itself thinks that it is done.
            let settled = self.rig.store.all_are(is_settled);
            let late = since.elapsed() > LIMIT;
            match (settled || late).then(|| self.is_as_declared()) {
                Some(Ok(())) => break,
                Some(Err(problem)) if late => return Err(format!("{problem}\n{}", self.rig.describe())),
                Some(Err(_)) | None => self.rig.pass(TICK).await,
            }
        }
        let written = self.rig.writes.count();
        self.rig.pass(Duration::from_secs(80)).await;
        let again = self.rig.writes.count();
        let faults = self.watch.lock().unwrap().faults.clone();
        if let Some(fault) = faults.first() {
            return Err(fault.clone());
        }
        if again != written {
            return Err(format!("{} writes after all was as declared\n{}", again - written, self.rig.describe()));
        }
        self.is_as_declared()?;
        if self.plain {
            for object in self.rig.store.all() {
                let drift = object.status.unwrap_or_default().drift;
                if !drift.is_empty() {
                    return Err(format!("our own work told as drift: {drift:#?}\n{}", self.rig.describe()));
                }
            }
        }
        Ok(())
    }

    /// A process that ended is started again.
    async fn revive(&mut self) {
        if self.crash.as_ref().is_some_and(CancellationToken::is_cancelled) {
            self.crash = None;
            self.rig.kill_engine().await;
            self.rig.start_engine();
        }
    }

    fn is_as_declared(&self) -> Result<(), String> {
        let store = &self.rig.store;
        let watch = self.watch.lock().unwrap();
        let groups = self.groups();
        let mut declared = 0;
        for (group, manifest) in self.version.manifests.iter().enumerate() {
            let object = store.get(&name(group));
            let Some(manifest) = manifest else {
                if object.is_some() {
                    return Err(format!("{} is still there", name(group)));
                }
                continue;
            };
            declared += 1;
            let object = object.ok_or_else(|| format!("{} is gone", name(group)))?;
            if !is_settled(&object) {
                return Err(format!("{} is not settled", name(group)));
            }
            let id = id_of(store, group).ok_or_else(|| format!("{} has no group", name(group)))?;
            let live: BTreeMap<Atom, Option<String>> =
                live(&self.rig.sim, &id).into_iter().map(|rule| (rule.atom, rule.description)).collect();
            let wanted = watch.atoms(&self.version, group);
            if live != wanted {
                return Err(format!("{} has\n{live:#?}\ninstead of\n{wanted:#?}", name(group)));
            }
            let tags = tags_of(&groups, &id);
            let owner = tags.get("sgwarden.dev/owner").map(String::as_str);
            if manifest.team().is_some_and(|team| tags.get("team").map(String::as_str) != Some(team)) {
                return Err(format!("{} has tags {tags:?}", name(group)));
            }
            if owner != Some(&format!("shop/{}", name(group))) || tags.get("sgwarden.dev/uid") != object.metadata.uid.as_ref() {
                return Err(format!("{} has tags {tags:?}", name(group)));
            }
        }
        if groups.len() != declared {
            return Err(format!("{} groups for {declared} manifests: {groups:#?}", groups.len()));
        }
        Ok(())
    }

    /// Every group of the VPC but its own.
    fn groups(&self) -> Vec<serde_json::Value> {
        let dump = self.rig.sim.dump();
        let places = dump["places"].as_array().unwrap();
        let groups = places.iter().flat_map(|place| place["groups"].as_array().unwrap());
        groups.filter(|group| group["vpc"] == VPC && group["name"] != "default").cloned().collect()
    }

    /// What is declared is another from now on.
    fn declare(&mut self) {
        self.version.since = Instant::now();
        self.watch.lock().unwrap().versions.push(self.version.clone());
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Edit(group, manifest) => {
                let gone = |other: usize| self.version.manifests[other].is_none();
                let manifest = manifest.without(gone);
                let dying = gone(group) && self.rig.store.get(&name(group)).is_some();
                if !dying {
                    self.version.manifests[group] = Some(manifest.clone());
                    self.declare();
                    self.rig.store.apply(&manifest.yaml(group));
                }
            }
            Action::EditOffice(ranges) => {
                self.version.office = ranges;
                self.declare();
                self.rig.store.apply_set(&invent::office(&self.version.office));
            }
            Action::Delete(group) => {
                let manifests = &self.version.manifests;
                let named = manifests
                    .iter()
                    .enumerate()
                    .any(|(other, manifest)| other != group && manifest.as_ref().is_some_and(|manifest| manifest.names(group)));
                if !named {
                    self.version.manifests[group] = None;
                    self.declare();
                    self.rig.store.delete(&name(group));
                }
            }
            Action::Wait(seconds) => {
                for _ in 0..seconds {
                    self.rig.pass(TICK).await;
                    self.revive().await;
                }
            }
            Action::Trouble(trouble) => self.trouble(trouble),
            Action::Calm => self.rig.sim.clear_faults(),
            Action::Crash => {
                self.rig.kill_engine().await;
                self.rig.start_engine();
            }
            Action::CrashAtWrite(n) => {
                let crash = self.crash();
                self.rig.writes.crash_at(n, crash);
            }
            Action::CrashAtStatus(n) => {
                let crash = self.crash();
                self.rig.store.crash_at_write(n, crash);
            }
            Action::Add(..)
            | Action::Remove(..)
            | Action::Alter(..)
            | Action::Describe(..)
            | Action::Tag(..)
            | Action::Destroy(_) => self.intrude(action).await,
        }
    }

    /// One crash at a time.
    fn crash(&mut self) -> CancellationToken {
        self.crash.get_or_insert_default().clone()
    }

    fn trouble(&self, trouble: Trouble) {
        let sim = &self.rig.sim;
        let fault = |fault: Fault, share| Fault { probability: Some(share), access_key: Some(OURS.to_owned()), ..fault };
        let stale = |seconds: u64| StaleReads { max_ms: seconds * 1000, fixed: true, ..StaleReads::default() };
        match trouble {
            Trouble::Errors => sim.inject(fault(Fault::default(), 0.3)),
            Trouble::ErrorsAfter => sim.inject(fault(Fault::error("writes", "InternalError", 500).after_applying(), 0.5)),
            Trouble::Drops => {
                sim.inject(fault(Fault::drop_connection("writes").after_applying(), 0.3));
                sim.inject(fault(Fault::drop_connection("*"), 0.2));
            }
            Trouble::Throttles => sim.inject(fault(Fault::throttle("*"), 0.3)),
            Trouble::StaleReads(seconds) => sim.set_stale_reads(Some(stale(seconds))),
            Trouble::ErraticReads(seconds) => sim.set_stale_reads(Some(StaleReads { fixed: false, ..stale(seconds) })),
            Trouble::StaleWrites(seconds) => sim.set_stale_reads(Some(StaleReads { writes: true, ..stale(seconds) })),
        }
    }

    /// Somebody does something by hand; what EC2 refuses is not done.
    async fn intrude(&self, action: Action) {
        let (Action::Add(group, ..)
        | Action::Remove(group, ..)
        | Action::Alter(group, ..)
        | Action::Describe(group, ..)
        | Action::Tag(group, ..)
        | Action::Destroy(group)) = action
        else {
            return;
        };
        let Some(id) = id_of(&self.rig.store, group) else { return };
        let (sim, write) = (&self.rig.sim, &self.rig.intruder.write);
        let before = live(sim, &id);
        let pick = |index: prop::sample::Index| (!before.is_empty()).then(|| index.get(&before));
        let done = match action {
            Action::Add(_, direction, traffic, range) => {
                let rule = NewRule { atom: by_hand(direction, traffic, range), description: None };
                Some(write.authorize(&id, direction, &[rule]).await.map(drop))
            }
            Action::Remove(_, rule) => match pick(rule) {
                Some(rule) => Some(write.revoke(&id, rule.atom.direction, std::slice::from_ref(&rule.id)).await.map(drop)),
                None => None,
            },
            Action::Alter(_, rule, traffic, range) => match pick(rule) {
                Some(rule) => {
                    let atom = by_hand(rule.atom.direction, traffic, range);
                    let new = NewRule { atom, description: rule.description.clone() };
                    Some(write.modify(&id, &[(rule.id.clone(), new)]).await.map(drop))
                }
                None => None,
            },
            Action::Describe(_, rule) => match pick(rule) {
                Some(rule) => {
                    let texts = [(rule.id.clone(), Some("mallory".to_owned()))];
                    Some(write.describe(&id, rule.atom.direction, &texts).await.map(drop))
                }
                None => None,
            },
            Action::Tag(_, kind) => {
                let tag = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
                let tags = tags_of(&self.groups(), &id);
                let key = if kind == 1 { "team" } else { "sgwarden.dev/owner" };
                match (kind, tags.get(key)) {
                    (0, _) => Some(write.set_tags(&id, &tag("team", "mallory")).await.map(drop)),
                    (1 | 2, Some(value)) => Some(write.remove_tags(&id, &tag(key, value)).await.map(drop)),
                    (1 | 2, None) => None,
                    _ => Some(write.set_tags(&id, &tag("sgwarden.dev/uid", "mallory")).await.map(drop)),
                }
            }
            Action::Destroy(_) => Some(write.delete_group(&id).await.map(drop)),
            Action::Edit(..)
            | Action::EditOffice(_)
            | Action::Delete(_)
            | Action::Trouble(_)
            | Action::Calm
            | Action::Crash
            | Action::CrashAtWrite(_)
            | Action::CrashAtStatus(_)
            | Action::Wait(_) => None,
        };
        if let Some(Ok(())) = done {
            let after: BTreeSet<Atom> = live(sim, &id).into_iter().map(|rule| rule.atom).collect();
            let gone = before.into_iter().map(|rule| rule.atom).filter(|atom| !after.contains(atom));
            let now = Instant::now();
            self.watch.lock().unwrap().taken.extend(gone.map(|atom| (now, id.clone(), atom)));
        }
    }
}
