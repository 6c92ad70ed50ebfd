//! The process is killed (SIGKILL) when EC2 has just carried out one of its writes, and another is started in its place: what is
//! declared comes about, nothing is made twice or left behind, nobody else's group is touched, nobody is blamed, and the audit
//! trail shows which call was cut off.
//!
//! Entry point: [`all_come_about`]. The tier of the engine does the same after every write there is, in virtual time and without a
//! process to kill (`tests/engine/crash`); here are the real Lease, the real files and the real death.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use sgwarden::api::SecurityGroup;
use sgwarden::core::model::{Direction, NewGroup, NewRule, SecurityGroupId, Tags};

use crate::cli::until;
use crate::gate::{Gate, Hold, Order, writes_of};
use crate::process::{Installation, Replica};
use crate::rig::{Rig, VPC, group_id};

/// What is there, what happens, and what is to come of it. In manifests and rules `{legacy}` stands for the id of a group that
/// somebody made long ago, in rules `{name}` for that of an object's group.
struct Scenario {
    before: Vec<(&'static str, String)>,
    after: Vec<(&'static str, String)>,
    deleted: &'static [&'static str],
    /// What is declared while no process is there.
    meanwhile: Vec<(&'static str, String)>,
    /// The objects there are in the end, and their rules.
    rules: BTreeMap<&'static str, Vec<String>>,
    /// After which of the writes it is killed, in a run each.
    kills: [usize; 3],
}

impl Scenario {
    fn adopts(&self) -> bool {
        self.after.iter().any(|(_, manifest)| manifest.contains("{legacy}"))
    }
}

/// A manifest; `spec` is YAML, indented by two.
fn object(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n{spec}"
    )
}

fn named(name: &'static str, spec: &str) -> (&'static str, String) {
    (name, object(name, &format!("  groupName: {name}-group\n{spec}")))
}

fn rule(name: &str, port: u16, cidr: &str) -> String {
    format!("  - {{name: {name}, protocol: tcp, ports: [{port}], from: [{{cidr: {cidr}}}]}}\n")
}

fn only(name: &'static str, rules: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
    BTreeMap::from([(name, rules.iter().map(|rule| (*rule).to_owned()).collect())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_while_something_begins_is_replaced() {
    all_come_about([("creation", creation()), ("creation of a cycle", creation_of_a_cycle()), ("adoption", adoption())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_in_an_edit_is_replaced() {
    let full = ("edit of a full group", edit_of_a_full_group());
    all_come_about([("big edit", big_edit()), ("edit taken back", edit_taken_back()), full]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_while_something_ends_is_replaced() {
    all_come_about([("deletion", deletion()), ("deletion of a cycle", deletion_of_a_cycle())]).await;
}

/// All runs side by side, as each waits most of the time for a Lease to run out.
async fn all_come_about(scenarios: impl IntoIterator<Item = (&'static str, Scenario)>) {
    let mut runs = Vec::new();
    for (what, scenario) in scenarios {
        let scenario = Arc::new(scenario);
        for nth in scenario.kills {
            let scenario = scenario.clone();
            let run = tokio::spawn(async move { killed_after(&scenario, nth).await });
            runs.push((format!("{what}, killed after write {nth}"), run));
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

// The scenarios ------------------------------------------------------------------------------------------------------

fn creation() -> Scenario {
    let spec = "  tags: {team: shop}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [80, 443], from: [{cidr: 0.0.0.0/0}]}
  - {name: mesh, protocol: all, from: [{self: true}]}
  egress:
  - {name: db, protocol: tcp, ports: [5432], to: [{cidr: 10.1.0.0/16}]}
";
    let rules = [
        "egress tcp 5432 to 10.1.0.0/16 \"\"",
        "ingress all from {web} \"\"",
        "ingress tcp 443 from 0.0.0.0/0 \"The site\"",
        "ingress tcp 80 from 0.0.0.0/0 \"The site\"",
    ];
    Scenario {
        before: Vec::new(),
        after: vec![named("web", spec)],
        deleted: &[],
        meanwhile: Vec::new(),
        rules: only("web", &rules),
        kills: [1, 2, 3],
    }
}

fn big_edit() -> Scenario {
    let manifest = |moved: std::ops::Range<u16>, port: u16, net: u16, dns: u16| {
        let kept = (0..20).map(|n| rule(&format!("kept{n}"), 443, &format!("10.0.{n}.0/24")));
        let moved = moved.map(|n| rule(&format!("moved{n}"), port, &format!("10.{net}.{n}.0/24")));
        let egress = format!("  egress:\n  - {{name: dns, protocol: udp, ports: [{dns}], to: [{{cidr: 10.0.0.2/32}}]}}\n");
        named("web", &format!("  ingress:\n{}{egress}", kept.chain(moved).collect::<String>()))
    };
    let kept = (0..20).map(|n| format!("ingress tcp 443 from 10.0.{n}.0/24 \"\""));
    let moved = (20..40).map(|n| format!("ingress tcp 8443 from 10.5.{n}.0/24 \"\""));
    let rules = kept.chain(moved).chain(["egress udp 5353 to 10.0.0.2/32 \"\"".to_owned()]).collect();
    Scenario {
        before: vec![manifest(0..20, 22, 1, 53)],
        after: vec![manifest(20..40, 8443, 5, 5353)],
        deleted: &[],
        meanwhile: Vec::new(),
        rules: BTreeMap::from([("web", rules)]),
        kills: [1, 2, 3],
    }
}

fn edit_taken_back() -> Scenario {
    let manifest = |site: &str, app: u16, dns: u16| {
        let site = format!("  - {{name: web, description: {site}, protocol: tcp, ports: [443], from: [{{cidr: 0.0.0.0/0}}]}}\n");
        let egress = format!("  egress:\n  - {{name: dns, protocol: udp, ports: [{dns}], to: [{{cidr: 10.0.0.2/32}}]}}\n");
        named("web", &format!("  ingress:\n{site}{}{egress}", rule("app", app, "10.0.0.0/8")))
    };
    let rules = [
        "egress udp 53 to 10.0.0.2/32 \"\"",
        "ingress tcp 443 from 0.0.0.0/0 \"The site\"",
        "ingress tcp 8080 from 10.0.0.0/8 \"\"",
    ];
    Scenario {
        before: vec![manifest("The site", 8080, 53)],
        after: vec![manifest("The shop", 8081, 5353)],
        deleted: &[],
        meanwhile: vec![manifest("The site", 8080, 53)],
        rules: only("web", &rules),
        kills: [1, 2, 3],
    }
}

fn edit_of_a_full_group() -> Scenario {
    let manifest = |narrowed: &str, others: (u16, u16), team: &str| {
        let narrowed = (0..15).map(|n| rule(&format!("narrowed{n}"), 443, &format!("10.0.{n}.0/{narrowed}")));
        let others = (0..15).map(|n| rule(&format!("other{}-{n}", others.0), others.0, &format!("10.{}.{n}.0/24", others.1)));
        let kept = (0..30).map(|n| rule(&format!("kept{n}"), 22, &format!("10.9.{n}.0/24")));
        let rules: String = narrowed.chain(others).chain(kept).collect();
        let rules = rules.replace("ports: [22]", &format!("ports: [22], description: The {team}"));
        named("web", &format!("  egressPolicy: DenyAll\n  tags: {{team: {team}}}\n  ingress:\n{rules}"))
    };
    let narrowed = (0..15).map(|n| format!("ingress tcp 443 from 10.0.{n}.0/25 \"\""));
    let others = (0..15).map(|n| format!("ingress tcp 8443 from 10.5.{n}.0/24 \"\""));
    let kept = (0..30).map(|n| format!("ingress tcp 22 from 10.9.{n}.0/24 \"The store\""));
    Scenario {
        before: vec![manifest("24", (8080, 4), "shop")],
        after: vec![manifest("25", (8443, 5), "store")],
        deleted: &[],
        meanwhile: Vec::new(),
        rules: BTreeMap::from([("web", narrowed.chain(others).chain(kept).collect())]),
        kills: [1, 2, 3],
    }
}

fn deletion() -> Scenario {
    // What refers to the group itself is revoked first, each direction by a call.
    let spec = "  ingress:
  - {name: mesh, protocol: all, from: [{self: true}]}
  - {name: web, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  egress:
  - {name: mesh, protocol: all, to: [{self: true}]}
";
    Scenario {
        before: vec![named("web", spec)],
        after: Vec::new(),
        deleted: &["web"],
        meanwhile: Vec::new(),
        rules: BTreeMap::new(),
        kills: [1, 2, 3],
    }
}

fn adoption() -> Scenario {
    let spec = "  adopt: {groupId: {legacy}}
  tags: {team: shop}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: db, protocol: tcp, ports: [5432], from: [{cidr: 10.0.0.0/8}]}
  egress:
  - {name: all, protocol: all, to: [{cidr: 0.0.0.0/0}]}
  - {name: all6, protocol: all, to: [{cidr: \"::/0\"}]}
";
    let rules = [
        "egress all to 0.0.0.0/0 \"\"",
        "egress all to ::/0 \"\"",
        "ingress tcp 443 from 0.0.0.0/0 \"The site\"",
        "ingress tcp 5432 from 10.0.0.0/8 \"\"",
    ];
    Scenario {
        before: Vec::new(),
        after: vec![("web", object("web", spec))],
        deleted: &[],
        meanwhile: Vec::new(),
        rules: only("web", &rules),
        kills: [1, 2, 3],
    }
}

/// Two groups that let each other in.
fn cycle() -> Vec<(&'static str, String)> {
    let from = |other: &str, port: u16| {
        let peer = format!("from: [{{securityGroup: {{name: {other}}}}}]");
        format!("  egressPolicy: DenyAll\n  ingress:\n  - {{name: {other}, protocol: tcp, ports: [{port}], {peer}}}\n")
    };
    vec![named("web", &(from("db", 8080) + &rule("site", 443, "0.0.0.0/0"))), named("db", &from("web", 5432))]
}

fn creation_of_a_cycle() -> Scenario {
    let mut rules = only("web", &["ingress tcp 443 from 0.0.0.0/0 \"\"", "ingress tcp 8080 from {db} \"\""]);
    rules.extend(only("db", &["ingress tcp 5432 from {web} \"\""]));
    Scenario { before: Vec::new(), after: cycle(), deleted: &[], meanwhile: Vec::new(), rules, kills: [2, 4, 6] }
}

fn deletion_of_a_cycle() -> Scenario {
    Scenario {
        before: cycle(),
        after: Vec::new(),
        deleted: &["web", "db"],
        meanwhile: Vec::new(),
        rules: BTreeMap::new(),
        kills: [1, 2, 3],
    }
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

async fn killed_after(scenario: &Scenario, nth: usize) {
    let rig = Rig::idle("killed").await;
    let gate = Gate::before(&rig.sim).await;
    let installation = Installation::of(&rig, gate.address());
    let others = Others::plant(&rig).await;
    let foreign = others.untouched(&rig, scenario);
    let first = installation.start("first").await;
    in_place(&rig, scenario).await;

    let writes = writes_of(&rig.sim, &first.key).len();
    gate.close(Order { key: first.key.clone(), action: None, nth, hold: Hold::Answer });
    happen(&rig, scenario, &others).await;
    gate.reached().await;
    let key = first.key.clone();
    first.killed();
    let (began, done) = (installation.audit(), writes_of(&rig.sim, &key));
    assert_eq!(done.len(), writes + nth, "EC2 has done so many");

    for (_, manifest) in &scenario.meanwhile {
        rig.apply(manifest).await;
    }
    let second = installation.start("second").await;
    converged(&rig, scenario, &others).await;
    stays(&rig, &second).await;
    assert_eq!(others.untouched(&rig, scenario), foreign, "killed after {nth}: groups of others are as they were");
    assert_eq!(writes_of(&rig.sim, &key), done, "the dead write nothing");
    let objects = scenario.after.len() + scenario.deleted.len();
    audit_is_whole(&installation, began.len(), (writes_of(&rig.sim, &second.key).len() + done.len(), objects));
    looked_first(&rig, &second.key);
    let log = second.stopped().await;
    assert!(!log.contains("somebody"), "killed after {nth}, and somebody is blamed: {log}");
}

/// Brings the world to where the scenario begins.
async fn in_place(rig: &Rig, scenario: &Scenario) {
    for (_, manifest) in &scenario.before {
        rig.apply(manifest).await;
    }
    for (name, _) in &scenario.before {
        rig.settled(name).await;
    }
}

async fn happen(rig: &Rig, scenario: &Scenario, others: &Others) {
    let manifests: String = scenario.after.iter().map(|(_, manifest)| manifest.as_str()).collect();
    if !manifests.is_empty() {
        rig.apply(&manifests.replace("{legacy}", others.legacy.as_str())).await;
    }
    for name in scenario.deleted {
        rig.delete(name).await;
    }
}

/// Waits until everything is as declared: rules, statuses, and not a group more or less.
async fn converged(rig: &Rig, scenario: &Scenario, others: &Others) {
    for name in scenario.deleted {
        rig.gone(name).await;
    }
    let mut objects: BTreeMap<&str, SecurityGroup> = BTreeMap::new();
    for name in scenario.rules.keys() {
        objects.insert(name, rig.settled(name).await);
    }
    for (name, rules) in &scenario.rules {
        let object = &objects[name];
        let mut expected: Vec<String> = rules.iter().map(|rule| with_ids(rule, &objects)).collect();
        expected.sort();
        assert_eq!(rig.rules(object).await, expected, "{name}");
        is_marked(rig, scenario, name, object).await;
        let drift = &object.status.as_ref().unwrap().drift;
        assert!(drift.is_empty(), "our own work is no drift: {drift:#?}");
        let told = rig.events(name).await;
        assert!(!told.iter().any(|(reason, _)| reason.contains("Drift")), "{told:#?}");
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
/// most. The chosen one is among them; what is under way for another object may get to EC2 or not.
fn audit_is_whole(installation: &Installation, died: usize, (writes, objects): (usize, usize)) {
    let records = installation.audit();
    let (before, after) = records.split_at(died);
    let open = without_outcome(before);
    assert!((1..=objects).contains(&open.len()), "{open:#?}");
    let of: BTreeSet<&str> = open.iter().map(|record| record["object"].as_str().unwrap()).collect();
    assert_eq!(of.len(), open.len(), "of each object one at most: {open:#?}");
    assert_eq!(without_outcome(after), Vec::<&Value>::new());
    let unknown = records.iter().find(|record| record["outcome"]["result"] == "Unknown");
    assert_eq!(unknown, None, "a whole answer came to every call but those");
    let intents = records.iter().filter(|record| record["phase"] == "Intent").count();
    assert!((writes..writes + open.len()).contains(&intents), "{intents} intents for {writes} writes");
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
