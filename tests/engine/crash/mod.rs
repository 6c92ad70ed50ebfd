//! The process ends after any one of its writes, to EC2 or to the store of objects, and another begins: what is declared comes
//! about all the same, nothing is made twice or left behind, nobody else's group is touched, the audit trail is whole, our own
//! half-done work is never told as somebody's edit, and no traffic is cut that was allowed and is to stay allowed.
//!
//! Entry point: [`at_every_write`]. `changes`, `edits` and `endings` are the scenarios, `watch` is what looks on.

mod adoption;
mod changes;
mod edits;
mod endings;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use sgwarden::adapters::sim::{Config, VpcSeed};
use sgwarden::api::SecurityGroup;
use sgwarden::core::audit::{ChangeRecord, OutcomeResult, Phase};

use crate::rig::{OURS, Rig, VPC, is_settled};
use watch::{Foreign, Watch, groups, in_store};

/// How often the test looks.
const LOOK: Duration = Duration::from_millis(200);
/// How long a scenario may take after a restart.
const LIMIT: Duration = Duration::from_secs(1500);
/// How long everything has to stay as it is in the end: a sweep and more.
const STAY: Duration = Duration::from_secs(75);
/// A process that ends more often than this does not get anywhere.
const MOST_LIVES: usize = 60;
/// How long rules take to come into force.
const LAG_MS: u64 = 4000;

/// What happens, and what is to come of it.
#[async_trait]
pub(crate) trait Scenario: Sync {
    /// Brings the world to where the scenario begins.
    async fn before(&self, _rig: &mut Rig) {}

    /// What people do. Asked at every look with the number of the step that is due; `true`: it is done.
    async fn act(&self, rig: &Rig, step: usize) -> bool;

    /// How many steps there are.
    fn steps(&self) -> usize {
        1
    }

    /// The objects there are in the end, each with the rules that are live then: text of atoms, where `{name}` is the id of the
    /// group of the object `name`.
    fn rules(&self) -> BTreeMap<&'static str, Vec<String>>;

    /// The rules that are desired all the time.
    fn kept(&self) -> BTreeMap<&'static str, Vec<String>> {
        self.rules()
    }

    /// What people do after the process ended and before another begins.
    fn meanwhile(&self, _rig: &Rig) {}

    /// The drift that is told in the end, by object: kind, what was before and what was found.
    fn drift(&self) -> BTreeMap<&'static str, Vec<String>> {
        BTreeMap::new()
    }

    /// What else is waited for.
    fn done(&self, _rig: &Rig) -> bool {
        true
    }

    /// What else has to be so in the end.
    fn check(&self, _rig: &Rig) {}

    /// Groups of ours that are there in the end without an object.
    fn left(&self, _rig: &Rig) -> Vec<String> {
        Vec::new()
    }

    /// Whether an object is as it is to be.
    fn is_settled(&self, object: &SecurityGroup) -> bool {
        is_settled(object)
    }

    /// Whether the process is at work on one object only: then a crash cuts one call at most.
    fn alone(&self) -> bool {
        self.rules().len() <= 1
    }

    /// The fewest writes to EC2, refused ones among them, and to the store in one life with which it can come about.
    fn shortest_life(&self) -> (usize, usize) {
        (1, 1)
    }
}

/// Where the process ends.
#[derive(Clone, Debug)]
enum End {
    /// Each life after so many writes to EC2; the last one goes on for ever.
    Cloud(Vec<usize>),
    /// Each life after so many writes to the store.
    Store(Vec<usize>),
}

impl End {
    fn arm(&self, rig: &Rig, life: usize) -> CancellationToken {
        let token = CancellationToken::new();
        match self {
            Self::Cloud(writes) => match writes.get(life) {
                Some(n) => rig.writes.crash_at(*n, token.clone()),
                None => rig.writes.crash_at_none(),
            },
            Self::Store(writes) => match writes.get(life) {
                Some(n) => rig.store.crash_at_write(*n, token.clone()),
                None => rig.store.crash_at_no_write(),
            },
        }
        token
    }
}

/// Runs a scenario with a crash after its first write to EC2, then after its second, and so on until it is through before; the
/// same with the writes to the store; then with lives of one write each, as long as it takes.
pub(crate) async fn at_every_write(scenario: &dyn Scenario) {
    let mut crashes = (0, 0);
    while run(scenario, End::Cloud(vec![crashes.0 + 1])).await > 0 {
        crashes.0 += 1;
    }
    while run(scenario, End::Store(vec![crashes.1 + 1])).await > 0 {
        crashes.1 += 1;
    }
    // Otherwise nothing was tested.
    assert!(crashes.0 > 0 && crashes.1 > 0, "crashed at {crashes:?} writes");
    let shortest = scenario.shortest_life();
    let lives = run(scenario, End::Cloud(vec![shortest.0; MOST_LIVES])).await;
    assert!((1..MOST_LIVES).contains(&lives), "{lives} short lives, {} writes to EC2 in one", crashes.0);
    let lives = run(scenario, End::Store(vec![shortest.1; MOST_LIVES])).await;
    assert!((1..MOST_LIVES).contains(&lives), "{lives} short lives, {} writes to the store in one", crashes.1);
}

/// One run; how often the process ended before its time.
async fn run(scenario: &dyn Scenario, end: End) -> usize {
    // A coarse clock: hundreds of runs of minutes each.
    let mut rig = Rig::ticking(Config { vpcs: vec![VpcSeed::new(VPC)], ..Config::default() }, LOOK).await;
    let foreign = Foreign::plant(&rig).await;
    rig.start_engine();
    scenario.before(&mut rig).await;
    let mut faults = rig.sim.faults();
    faults.data_plane_lag_ms = LAG_MS;
    rig.sim.set_faults(faults);
    // Until the past that is shown as in force is the present.
    rig.pass(Duration::from_millis(LAG_MS)).await;
    rig.sim.clear_calls();
    let watch = Watch::begin(&rig, scenario.kept());
    let mut lives: Vec<Range<usize>> = Vec::new();
    let (mut step, first) = (0, rig.audit.all().len());
    let mut began = first;
    loop {
        let token = end.arm(&rig, lives.len());
        let crashed = tokio::select! {
            biased;
            () = token.cancelled() => true,
            () = live(&rig, scenario, (&watch, &end), &mut step) => false,
        };
        let records = rig.audit.all().len();
        lives.push(began..records);
        if !crashed {
            break;
        }
        rig.kill_engine().await;
        began = rig.audit.all().len();
        assert_eq!(began, records, "nothing goes on after the end of the process");
        scenario.meanwhile(&rig);
        watch.people_acted(&rig.sim);
        rig.start_engine();
    }
    let context = format!("{end:?}\n{}", rig.describe());
    watch.judge(&context);
    audit_is_whole(&rig, scenario, &end, &lives, &context);
    foreign.untouched(&rig, &context);
    groups_are_right(&rig, scenario, &foreign, &context);
    drift_is_right(&rig, scenario, &context);
    scenario.check(&rig);
    lives.len() - 1
}

/// Lets the engine work until everything is as it is to be, and has stayed so for a while.
async fn live(rig: &Rig, scenario: &dyn Scenario, (watch, end): (&Watch, &End), step: &mut usize) {
    let since = tokio::time::Instant::now();
    let mut looks = 0_usize;
    loop {
        while *step < scenario.steps() && scenario.act(rig, *step).await {
            *step += 1;
            watch.people_acted(&rig.sim);
        }
        if looks.is_multiple_of(2) {
            watch.look(&rig.sim);
            if *step == scenario.steps() && is_done(rig, scenario) {
                break;
            }
        }
        looks += 1;
        assert!(since.elapsed() < LIMIT, "{end:?}: it never comes right: {}\n{:#?}", rig.describe(), in_store(rig));
        tokio::time::sleep(LOOK).await;
    }
    let writes = rig.writes.count();
    rig.pass(STAY).await;
    watch.look(&rig.sim);
    assert_eq!(rig.writes.count(), writes, "{end:?}: all was as declared, and yet it wrote to EC2\n{}", rig.describe());
    assert!(is_done(rig, scenario), "{end:?}: it did not stay as it was\n{}", rig.describe());
}

fn is_done(rig: &Rig, scenario: &dyn Scenario) -> bool {
    let wanted = scenario.rules();
    let objects = rig.store.all();
    scenario.done(rig)
        && objects.len() == wanted.len()
        && objects.iter().all(|object| scenario.is_settled(object))
        && watch::is_as(&rig.sim, &wanted)
}

/// Every call has its intent, every intent its outcome, but for the one whose answer never came: the last of its object in a life
/// that was cut short.
fn audit_is_whole(rig: &Rig, scenario: &dyn Scenario, end: &End, lives: &[Range<usize>], context: &str) {
    let records = rig.audit.all();
    let mut intents = 0;
    for (life, range) in lives.iter().enumerate() {
        let (crashed, records) = (life + 1 < lives.len(), &records[range.clone()]);
        let cut = cut_short(records, context);
        intents += records.iter().filter(|record| record.phase == Phase::Intent).count();
        let most = if crashed { wanted_objects(scenario, rig) } else { 0 };
        assert!(cut.len() <= most, "life {life} left {cut:#?} without an outcome\n{context}");
        if crashed && scenario.alone() {
            // The call whose answer never came is known by its intent; a crash at the store cuts no call.
            let expected = usize::from(matches!(end, End::Cloud(_)));
            assert_eq!(cut.len(), expected, "life {life} left {cut:#?} without an outcome\n{context}");
        }
    }
    let calls = rig.sim.calls();
    let calls = calls.iter().filter(|call| {
        call.service == "ec2" && call.access_key == OURS && !call.action.starts_with("Describe") && !call.action.starts_with("Get")
    });
    assert_eq!(calls.count(), intents, "every write has its record\n{context}");
}

fn wanted_objects(scenario: &dyn Scenario, rig: &Rig) -> usize {
    if scenario.alone() { 1 } else { scenario.rules().len().max(rig.store.all().len()).max(2) }
}

/// The intents of one life that have no outcome.
fn cut_short<'r>(records: &'r [ChangeRecord], context: &str) -> Vec<&'r ChangeRecord> {
    let mut open: BTreeMap<&str, &ChangeRecord> = BTreeMap::new();
    for record in records {
        match record.phase {
            Phase::Intent => {
                let same = open.values().find(|other| other.object == record.object);
                assert!(same.is_none(), "{record:#?} follows {same:#?}, whose outcome is not known\n{context}");
                assert!(record.outcome.is_none());
                open.insert(&record.id, record);
            }
            Phase::Outcome => {
                let intent = open.remove(record.id.as_str());
                let intent = intent.unwrap_or_else(|| panic!("{record:#?} has no intent\n{context}"));
                let whole = ChangeRecord {
                    phase: Phase::Outcome,
                    time: record.time.clone(),
                    outcome: record.outcome.clone(),
                    ..intent.clone()
                };
                assert_eq!(*record, whole, "{context}");
                let result = record.outcome.as_ref().map(|outcome| outcome.result);
                assert!(result.is_some_and(|result| result != OutcomeResult::Unknown), "{record:#?}\n{context}");
            }
        }
    }
    open.into_values().collect()
}

/// One group for each object and no other of ours.
fn groups_are_right(rig: &Rig, scenario: &dyn Scenario, foreign: &Foreign, context: &str) {
    let all = groups(&rig.sim);
    let left = scenario.left(rig);
    let ours: Vec<&str> = all
        .keys()
        .map(String::as_str)
        .filter(|id| !foreign.contains(id) && !left.iter().any(|other| other == id) && all[*id].name != "default")
        .collect();
    let recorded: BTreeSet<String> = rig.store.all().into_iter().filter_map(|object| object.status?.group_id).collect();
    assert_eq!(ours.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), recorded, "{context}");
    assert_eq!(recorded.len(), scenario.rules().len(), "{context}");
    for object in rig.store.all() {
        let (name, status) = (object.metadata.name.unwrap(), object.status.unwrap());
        let group = &all[&status.group_id.unwrap()];
        let origin = status.origin.unwrap();
        let marks = [
            ("sgwarden.dev/cluster", "c1".to_owned()),
            ("sgwarden.dev/owner", format!("shop/{name}")),
            ("sgwarden.dev/uid", object.metadata.uid.unwrap()),
            ("sgwarden.dev/origin", origin),
        ];
        for (key, value) in marks {
            assert_eq!(group.tags.get(key), Some(&value), "{key} of {name}\n{context}");
        }
    }
}

/// Each edit that somebody made is told once, and none that nobody made.
fn drift_is_right(rig: &Rig, scenario: &dyn Scenario, context: &str) {
    let expected = scenario.drift();
    for object in rig.store.all() {
        let name = object.metadata.name.unwrap();
        let told: Vec<String> = watch::drift_of(&object.status.unwrap());
        let wanted = expected.get(name.as_str()).cloned().unwrap_or_default();
        assert_eq!(told, wanted, "the drift of {name}\n{context}");
    }
    if expected.is_empty() {
        let events = rig.store.events();
        let told = events.iter().find(|(_, notice)| notice.reason.contains("Drift") || notice.reason.contains("War"));
        assert!(told.is_none(), "{told:?}\n{context}");
    }
}
