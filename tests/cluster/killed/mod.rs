//! The process is killed (SIGKILL) when EC2 has just carried out one of its writes, or the apiserver has just taken one, and
//! another is started in its place: what is declared comes about, nothing is made twice or left behind, nobody else's group is
//! touched, nobody is blamed who did nothing, and the audit trail shows which call was cut off.
//!
//! Entry point: [`all_come_about`]. The tier of the engine does the same after every write there is, in virtual time and without a
//! process to kill (`tests/engine/crash`); here are the real apiserver, the real Lease, the real files and the real death.

mod scenarios;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use sgwarden::api::{APPROVE_ANNOTATION, SecurityGroup, conditions};
use sgwarden::core::model::{Direction, NewGroup, NewRule, SecurityGroupId, Tags};
use sgwarden::engine::leader::NotLeader;

use crate::cli::until;
use crate::gate::{Gate, Hold, Order, writes_of};
use crate::process::{Installation, Replica};
use crate::rig::{Rig, VPC, condition, group_id, is_settled};
use scenarios::{Happens, Scenario};

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_while_something_begins_is_replaced() {
    let cycle = ("creation of a cycle", scenarios::creation_of_a_cycle());
    all_come_about([("creation", scenarios::creation()), cycle, ("adoption", scenarios::adoption())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_in_an_edit_is_replaced() {
    let taken_back = ("edit taken back", scenarios::edit_taken_back());
    let full = ("edit of a full group", scenarios::edit_of_a_full_group());
    all_come_about([("big edit", scenarios::big_edit()), taken_back, full]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_what_somebody_did_is_replaced() {
    all_come_about([("intrusion", scenarios::intrusion()), ("approval", scenarios::approval())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_while_something_ends_is_replaced() {
    let cycle = ("deletion of a cycle", scenarios::deletion_of_a_cycle());
    all_come_about([("deletion", scenarios::deletion()), cycle]).await;
}

/// The last write of a process, counted from 1 for each side.
#[derive(Clone, Copy, Debug)]
enum Last {
    Ec2(usize),
    Apiserver(usize),
}

impl fmt::Display for Last {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ec2(nth) => write!(out, "write {nth} to EC2"),
            Self::Apiserver(nth) => write!(out, "write {nth} to the apiserver"),
        }
    }
}

/// All runs side by side, as each waits most of the time for a Lease to run out.
async fn all_come_about(scenarios: impl IntoIterator<Item = (&'static str, Scenario)>) {
    let mut runs = Vec::new();
    for (what, scenario) in scenarios {
        let scenario = Arc::new(scenario);
        let after_apiserver = scenario.after_apiserver.iter().copied().map(Last::Apiserver);
        for last in scenario.after_ec2.map(Last::Ec2).into_iter().chain(after_apiserver) {
            let scenario = scenario.clone();
            let run = tokio::spawn(async move { killed_after(&scenario, last).await });
            runs.push((format!("{what}, killed after {last}"), run));
        }
    }
    let mut failed = Vec::new();
    for (what, run) in runs {
        if run.await.is_err() {
            failed.push(what);
        }
    }
    assert!(failed.is_empty(), "what is above is about {failed:#?}");
}

// One run ------------------------------------------------------------------------------------------------------------

/// A group of somebody else, and one that somebody made and may be taken over.
struct Others {
    legacy: SecurityGroupId,
    foreign: SecurityGroupId,
}

impl Others {
    async fn plant(rig: &Rig) -> Self {
        let consent = ("sgwarden.dev/adopt".to_owned(), format!("{0}/{0}", rig.namespace));
        let theirs = ("sgwarden.dev/cluster".to_owned(), "another".to_owned());
        Self {
            legacy: plant(rig, "legacy", Tags::from([consent])).await,
            foreign: plant(rig, "foreign", Tags::from([theirs])).await,
        }
    }

    /// How those look that are nobody's business.
    fn untouched(&self, rig: &Rig, scenario: &Scenario) -> Vec<Value> {
        let known = [Some(&self.foreign), (!scenario.adopts()).then_some(&self.legacy)];
        known.into_iter().flatten().map(|id| in_dump(rig, id.as_str())).collect()
    }
}

async fn plant(rig: &Rig, name: &str, tags: Tags) -> SecurityGroupId {
    let group = NewGroup { name: name.into(), description: "not ours".into(), vpc: VPC.parse().unwrap(), tags };
    let id = rig.intruder.write.create_group(&group).await.unwrap().created.unwrap();
    let rule = NewRule { atom: "ingress tcp 443 from 0.0.0.0/0".parse().unwrap(), description: Some("Old".into()) };
    rig.intruder.write.authorize(&id, Direction::Ingress, &[rule]).await.unwrap();
    id
}

/// All groups of the account, as the stand-in has them.
fn groups(rig: &Rig) -> Vec<Value> {
    let dump = rig.sim.dump();
    dump["places"].as_array().unwrap().iter().flat_map(|place| place["groups"].as_array().unwrap().clone()).collect()
}

fn in_dump(rig: &Rig, id: &str) -> Value {
    groups(rig).into_iter().find(|group| group["id"] == id).unwrap_or_else(|| panic!("{id} is gone"))
}

async fn killed_after(scenario: &Scenario, last: Last) {
    let rig = Rig::idle("killed").await;
    let (ec2, apiserver) = (Gate::before(&rig.sim).await, Gate::before_apiserver(rig.plane).await);
    let installation = Installation::of(&rig, ec2.address()).through(apiserver.address());
    let others = Others::plant(&rig).await;
    let foreign = others.untouched(&rig, scenario);
    let first = installation.start("first").await;
    in_place(&rig, scenario).await;

    let (before, writes) = (installation.audit().len(), done_by(&rig, &first.key));
    let (gate, nth) = match last {
        Last::Ec2(nth) => (&ec2, nth),
        Last::Apiserver(nth) => (&apiserver, nth),
    };
    gate.close(Order { key: first.key.clone(), action: None, nth, hold: Hold::Answer });
    happen(&rig, scenario, &others).await;
    gate.reached().await;
    let key = first.key.clone();
    first.killed();
    let (died, done) = (installation.audit().len(), writes_of(&rig.sim, &key));
    if let Last::Ec2(nth) = last {
        assert_eq!(done_by(&rig, &key), writes + nth, "EC2 has done so many");
    }

    for (_, manifest) in &scenario.meanwhile {
        rig.apply(manifest).await;
    }
    let second = installation.start("second").await;
    converged(&rig, scenario, &others).await;
    stays(&rig, &second).await;
    assert_eq!(others.untouched(&rig, scenario), foreign, "killed after {last}: groups of others are as they were");
    assert_eq!(writes_of(&rig.sim, &key), done, "the dead write nothing");
    let records = installation.audit();
    let made = done.len() + writes_of(&rig.sim, &second.key).len();
    audit_is_whole(records.split_at(died), scenario, last, made);
    causes_are_told(&records[before..], scenario);
    looked_first(&rig, &second.key);
    let log = second.stopped().await;
    let blames = log.contains("somebody");
    assert!(!blames || !scenario.drift.is_empty(), "killed after {last}, and somebody is blamed: {log}");
}

/// How many writes of a caller EC2 has carried out.
fn done_by(rig: &Rig, key: &str) -> usize {
    writes_of(&rig.sim, key).iter().filter(|call| call.error.is_none()).count()
}

/// Brings the world to where the scenario begins.
async fn in_place(rig: &Rig, scenario: &Scenario) {
    for (_, manifest) in &scenario.before {
        rig.apply(manifest).await;
    }
    for (name, _) in &scenario.before {
        rig.settled(name).await;
    }
    if let Happens::Approved((name, manifest)) = &scenario.happens {
        rig.apply(manifest).await;
        rig.until(name, "waiting for approval", |object| waiting(object).is_some()).await;
    }
}

/// The plan of an object that waits for approval.
fn waiting(object: &SecurityGroup) -> Option<&str> {
    condition(object, conditions::SYNCED).filter(|(_, reason, _)| reason == "AwaitingApproval")?;
    object.status.as_ref()?.plan.as_ref()?.hash.as_deref()
}

async fn happen(rig: &Rig, scenario: &Scenario, others: &Others) {
    match &scenario.happens {
        Happens::Applied(declared) => {
            let manifests: String = declared.iter().map(|(_, manifest)| manifest.as_str()).collect();
            rig.apply(&manifests.replace("{legacy}", others.legacy.as_str())).await;
        }
        Happens::Deleted(names) => {
            for name in *names {
                rig.delete(name).await;
            }
        }
        Happens::Intruded => intrude(rig).await,
        Happens::Approved((name, _)) => {
            let object = rig.get(name).await;
            let approval = format!("{} ada", waiting(&object).unwrap());
            rig.patch(name, json!({ "metadata": { "annotations": { APPROVE_ANNOTATION: approval } } })).await;
        }
    }
}

/// Somebody opens a port, shuts another, and writes texts of their own over ours.
async fn intrude(rig: &Rig) {
    let object = rig.get("web").await;
    let (group, write) = (group_id(&object), &rig.intruder.write);
    let (site, app) =
        (rig.rule(&object, "ingress tcp 443 from 0.0.0.0/0").await, rig.rule(&object, "ingress tcp 8080 from 10.0.0.0/8").await);
    let ssh = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    write.authorize(&group, Direction::Ingress, &[ssh]).await.unwrap();
    write.revoke(&group, Direction::Ingress, &[app.id]).await.unwrap();
    write.describe(&group, Direction::Ingress, &[(site.id, Some("temporary".to_owned()))]).await.unwrap();
    write.set_tags(&group, &Tags::from([("team".to_owned(), "mallory".to_owned())])).await.unwrap();
}

/// Waits until everything is as declared: rules, statuses, and not a group more or less.
async fn converged(rig: &Rig, scenario: &Scenario, others: &Others) {
    for name in scenario.deleted() {
        rig.gone(name).await;
    }
    let mut objects: BTreeMap<&str, SecurityGroup> = BTreeMap::new();
    for name in scenario.rules.keys() {
        objects.insert(
            name,
            rig.until(name, "settled, its drift told", |object| is_settled(object) && told(object) == scenario.drift).await,
        );
    }
    for (name, rules) in &scenario.rules {
        let object = &objects[name];
        let mut expected: Vec<String> = rules.iter().map(|rule| with_ids(rule, &objects)).collect();
        expected.sort();
        assert_eq!(rig.rules(object).await, expected, "{name}");
        is_marked(rig, scenario, name, object).await;
        let events = rig.events(name).await;
        let blames = events.iter().any(|(reason, _)| reason.contains("Drift"));
        assert!(!blames || !scenario.drift.is_empty(), "our own work is no drift: {events:#?}");
        let approved = object.status.as_ref().unwrap().approved.as_ref();
        let spent = approved.map(|approved| (approved.by.as_deref(), approved.generation));
        let expected = matches!(scenario.happens, Happens::Approved(_)).then_some((Some("ada"), object.metadata.generation));
        assert_eq!(spent, expected, "{name}: one approval was enough");
    }
    let ours = objects.values().map(|object| group_id(object).to_string());
    let expected: BTreeSet<String> = ours.chain([others.legacy.to_string(), others.foreign.to_string()]).collect();
    let live = groups(rig).into_iter().filter(|group| group["name"] != "default");
    let live: BTreeSet<String> = live.map(|group| group["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(live, expected, "nothing twice, nothing left behind");
}

/// The group is known as this object's, and by how it came to be: one that was taken over is not deleted with its object.
async fn is_marked(rig: &Rig, scenario: &Scenario, name: &str, object: &SecurityGroup) {
    let (tags, _) = rig.live(object).await;
    let tag = |key: &str| tags.get(&format!("sgwarden.dev/{key}")).map(String::as_str);
    let owner = format!("{}/{name}", rig.namespace);
    let origin = if scenario.adopts() { "Adopted" } else { "Created" };
    let uid = object.metadata.uid.as_deref();
    assert_eq!([tag("owner"), tag("uid"), tag("origin")], [Some(owner.as_str()), uid, Some(origin)], "{name}");
    assert_eq!(object.status.as_ref().unwrap().origin.as_deref(), Some(origin), "{name}");
}

/// With `{name}` the id of its group.
fn with_ids(rule: &str, objects: &BTreeMap<&str, SecurityGroup>) -> String {
    let with = |text: String, (name, object): (&&str, &SecurityGroup)| {
        let name = format!("{{{name}}}");
        if text.contains(&name) { text.replace(&name, group_id(object).as_str()) } else { text }
    };
    objects.iter().fold(rule.to_owned(), with)
}

/// Some looks at all groups later nothing more was written.
async fn stays(rig: &Rig, replica: &Replica) {
    let writes = writes_of(&rig.sim, &replica.key);
    let looks = || {
        let looks =
            |call: &&sgwarden::adapters::sim::CallRecord| call.access_key == replica.key && call.action == "DescribeSecurityGroups";
        rig.sim.calls().iter().filter(looks).count()
    };
    let wanted = looks() + 4;
    until("it looks again", async || (looks() >= wanted).then_some(())).await;
    assert_eq!(writes_of(&rig.sim, &replica.key), writes, "all was as declared");
}

/// Of every write there is an intent, of every intent an outcome: but for the calls that the kill cut off, of each object one at
/// most. A chosen write to EC2 is among them; what is under way for another object may get to EC2 or not.
fn audit_is_whole((before, after): (&[Value], &[Value]), scenario: &Scenario, last: Last, writes: usize) {
    let open = without_outcome(before);
    let chosen = usize::from(matches!(last, Last::Ec2(_)));
    assert!((chosen..=scenario.objects()).contains(&open.len()), "killed after {last}: {open:#?}");
    let of: BTreeSet<&str> = open.iter().map(|record| record["object"].as_str().unwrap()).collect();
    assert_eq!(of.len(), open.len(), "of each object one at most: {open:#?}");
    assert_eq!(without_outcome(after), Vec::<&Value>::new());
    let records = || before.iter().chain(after);
    let unknown = records().find(|record| record["outcome"]["result"] == "Unknown");
    assert_eq!(unknown, None, "a whole answer came to every call but those");
    // On a slow machine a Lease may run out between the two: then nothing is sent, and the outcome says so.
    let refusals = [NotLeader::Standby, NotLeader::TakingOver, NotLeader::RunningOut].map(|refusal| refusal.to_string());
    let unsent = |record: &&Value| refusals.iter().any(|refusal| record["outcome"]["message"] == refusal.as_str());
    let intents = records().filter(|record| record["phase"] == "Intent").count() - records().filter(unsent).count();
    let all: Vec<&Value> = records().collect();
    assert!((writes..=writes + open.len() - chosen).contains(&intents), "{intents} intents for {writes} writes: {all:#?}");
}

/// A call says that it undoes somebody's work where it does so, and only there.
fn causes_are_told(records: &[Value], scenario: &Scenario) {
    let causes: BTreeSet<&str> =
        records.iter().flat_map(|record| record["items"].as_array().unwrap()).map(|item| item["cause"].as_str().unwrap()).collect();
    if scenario.drift.is_empty() {
        assert!(!causes.contains("Drift"), "{causes:?}");
    } else {
        assert_eq!(causes, BTreeSet::from(["Drift"]));
    }
}

/// What is told of edits behind our back, sorted: how each ended, and what it was. Each is told once.
fn told(object: &SecurityGroup) -> Vec<String> {
    let records = object.status.iter().flat_map(|status| &status.drift);
    let atoms = records.flat_map(|record| record.atoms.iter().map(move |atom| (record, atom)));
    let mut told: Vec<String> = atoms
        .map(|(record, atom)| {
            let what = atom.after.as_ref().or(atom.before.as_ref());
            format!("{} {}: {}", record.resolution, atom.kind, what.map_or("", String::as_str))
        })
        .collect();
    told.sort();
    told
}

/// The intents that no outcome follows.
fn without_outcome(records: &[Value]) -> Vec<&Value> {
    let of_phase = |phase: &'static str| records.iter().filter(move |record| record["phase"] == phase);
    let ended: BTreeSet<&str> = of_phase("Outcome").map(|record| record["id"].as_str().unwrap()).collect();
    of_phase("Intent").filter(|record| !ended.contains(record["id"].as_str().unwrap())).collect()
}

/// Whoever takes over does not go by what was begun, but by how EC2 is.
fn looked_first(rig: &Rig, key: &str) {
    let calls = rig.sim.calls();
    let first = calls.iter().find(|call| call.access_key == key && call.service == "ec2");
    assert_eq!(first.map(|call| call.action.as_str()), Some("DescribeSecurityGroups"));
}
