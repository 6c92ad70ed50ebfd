//! What looks on: the traffic that is allowed, and the groups that are nobody's business of ours.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use sgwarden::adapters::sim::Sim;
use sgwarden::api::SecurityGroupStatus;
use sgwarden::core::model::{Atom, Direction, NewGroup, NewRule, Peer, SecurityGroupId, Space, Tags, Traffic};

use crate::rig::{REGION, Rig, VPC};

const ACCOUNT: &str = "111122223333";

/// A group as the stand-in has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) tags: BTreeMap<String, String>,
    /// By their ids.
    pub(super) rules: BTreeMap<String, Atom>,
    /// All of it.
    whole: Value,
}

impl Group {
    /// Descriptions by rule.
    pub(super) fn described(&self) -> BTreeMap<String, Option<String>> {
        let rules = self.whole["rules"].as_array().into_iter().flatten();
        rules.map(|rule| (atom(rule).1.to_string(), rule["description"].as_str().map(str::to_owned))).collect()
    }
}

/// Every group, by id, as the API shows it to whom it shows the truth.
pub(super) fn groups(sim: &Sim) -> BTreeMap<String, Group> {
    let dump = sim.dump();
    let places = dump["places"].as_array().cloned().unwrap_or_default();
    let here = places.into_iter().filter(|place| place["account"] == ACCOUNT && place["region"] == REGION);
    let mut all = BTreeMap::new();
    for whole in here.flat_map(|place| place["groups"].as_array().cloned().unwrap_or_default()) {
        let text = |key: &str| whole[key].as_str().unwrap_or_default().to_owned();
        let tags = whole["tags"].as_object().into_iter().flatten();
        let tags = tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        let rules = whole["rules"].as_array().into_iter().flatten().map(atom).collect();
        all.insert(text("id"), Group { name: text("name"), tags, rules, whole: whole.clone() });
    }
    all
}

/// A rule with its id.
fn atom(rule: &Value) -> (String, Atom) {
    let number = |key: &str| rule[key].as_i64().and_then(|number| i32::try_from(number).ok());
    let atom = Atom {
        direction: if rule["egress"] == true { Direction::Egress } else { Direction::Ingress },
        traffic: Traffic::from_ec2(rule["protocol"].as_str().unwrap(), number("from"), number("to")).unwrap(),
        peer: rule["peer"].as_str().unwrap().parse::<Peer>().unwrap(),
    };
    (rule["id"].as_str().unwrap().to_owned(), atom)
}

/// The ids of the groups that carry our tags, by the name of their object.
fn ours(all: &BTreeMap<String, Group>) -> BTreeMap<String, String> {
    let ours = all.iter().filter(|(_, group)| group.tags.get("sgwarden.dev/cluster").is_some_and(|id| id == "c1"));
    let named = ours.filter_map(|(id, group)| {
        let name = group.tags.get("sgwarden.dev/owner")?.strip_prefix("shop/")?.to_owned();
        // The one of `Foreign::plant` that was ours once.
        (name != "former").then(|| (name, id.clone()))
    });
    named.collect()
}

/// What is live of each object, sorted.
pub(super) fn live(sim: &Sim) -> BTreeMap<String, Vec<String>> {
    let all = groups(sim);
    let sorted = |id: &String| {
        let mut rules: Vec<String> = all[id].rules.values().map(ToString::to_string).collect();
        rules.sort();
        rules
    };
    ours(&all).iter().map(|(name, id)| (name.clone(), sorted(id))).collect()
}

/// Whether the rules that are live are these, and no group of ours is there besides.
pub(super) fn is_as(sim: &Sim, wanted: &BTreeMap<&'static str, Vec<String>>) -> bool {
    live(sim) == resolved(&ours(&groups(sim)), wanted)
}

/// Rules with the ids of groups in them, sorted.
fn resolved(ids: &BTreeMap<String, String>, rules: &BTreeMap<&'static str, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let fill = |text: &String| ids.iter().fold(text.clone(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id));
    let fill_all = |(name, rules): (&&str, &Vec<String>)| {
        let mut rules: Vec<String> = rules.iter().map(fill).collect();
        rules.sort();
        ((*name).to_owned(), rules)
    };
    rules.iter().map(fill_all).collect()
}

/// The drift of a status in words, sorted: `Added - ingress tcp 22 from 0.0.0.0/0`.
pub(super) fn drift_of(status: &SecurityGroupStatus) -> Vec<String> {
    let mut told = Vec::new();
    for record in &status.drift {
        assert_eq!(usize::try_from(record.count).unwrap(), record.atoms.len(), "more drift than is listed");
        for atom in &record.atoms {
            let text = |part: &Option<String>| match part {
                // An id that no test knows.
                Some(text) if text.starts_with("sg-") => "(group)".to_owned(),
                Some(text) => text.clone(),
                None => "-".to_owned(),
            };
            told.push(format!("{} {}: {} > {}", record.resolution, atom.kind, text(&atom.before), text(&atom.after)));
        }
    }
    told.sort();
    told
}

/// Statuses, for who has to find out what went wrong.
pub(super) fn in_store(rig: &Rig) -> Vec<SecurityGroupStatus> {
    rig.store.all().into_iter().filter_map(|object| object.status).collect()
}

/// Traffic by the name of an object and direction.
type Spaces = BTreeMap<(String, Direction), Space>;

fn spaces<'a>(rules: impl IntoIterator<Item = (&'a String, Vec<&'a Atom>)>) -> Spaces {
    let mut spaces = Spaces::new();
    for (name, rules) in rules {
        for direction in Direction::BOTH {
            let of = Space::of_all(rules.iter().copied().filter(|atom| atom.direction == direction));
            spaces.insert((name.clone(), direction), of);
        }
    }
    spaces
}

/// What is surely in force, where new rules come into force late, and rules that go or are changed in place do so at once.
fn surely_in_force(sim: &Sim, id: &str, now: &Group) -> Vec<Atom> {
    let before: BTreeMap<String, Atom> = sim.effective_rules(ACCOUNT, REGION, id).iter().map(atom).collect();
    now.rules.iter().filter(|(rule, _)| before.contains_key(*rule)).map(|(_, atom)| atom.clone()).collect()
}

/// Looks on as traffic is allowed and cut: what was allowed once, and is desired in the end, stays allowed. Asked twice: of the
/// rules as EC2 has them after every write of ours, and of what is surely in force then.
pub(super) struct Watch(Arc<Mutex<Seen>>);

struct Seen {
    wanted: BTreeMap<&'static str, Vec<String>>,
    /// The groups that carried our tags when they were last looked at: somebody may have taken the tags away.
    ids: BTreeMap<String, String>,
    written: Spaces,
    in_force: Spaces,
    broken: Vec<String>,
}

impl Watch {
    /// From now on.
    pub(super) fn begin(rig: &Rig, wanted: BTreeMap<&'static str, Vec<String>>) -> Self {
        let (ids, broken) = (BTreeMap::new(), Vec::new());
        let seen = Seen { wanted, ids, written: Spaces::new(), in_force: Spaces::new(), broken };
        let watch = Self(Arc::new(Mutex::new(seen)));
        watch.look(&rig.sim);
        let seen = watch.0.clone();
        rig.writes.witness(Arc::new(move |sim: &Sim| seen.lock().unwrap().look(sim)));
        watch
    }

    /// Looks at what is allowed now.
    pub(super) fn look(&self, sim: &Sim) {
        self.0.lock().unwrap().look(sim);
    }

    /// What people cut themselves does not have to stay allowed.
    pub(super) fn people_acted(&self, sim: &Sim) {
        let mut seen = self.0.lock().unwrap();
        let now = seen.now(sim).0;
        let both = |had: &Spaces| {
            let left = had.iter().filter_map(|(key, space)| Some((key.clone(), space.intersect(now.get(key)?))));
            left.collect::<Spaces>()
        };
        (seen.written, seen.in_force) = (both(&seen.written), both(&seen.in_force));
    }

    /// Whether traffic was cut.
    pub(super) fn judge(&self, context: &str) {
        let seen = self.0.lock().unwrap();
        assert!(seen.broken.is_empty(), "{:#?}\n{context}", seen.broken);
        // Otherwise nothing was looked at.
        let wanted = seen.wanted.values().any(|rules| !rules.is_empty());
        for seen in [&seen.written, &seen.in_force] {
            assert_eq!(seen.values().any(|space| !space.is_empty()), wanted, "{context}");
        }
    }
}

impl Seen {
    fn desired(&self) -> Spaces {
        let wanted = resolved(&self.ids, &self.wanted);
        // What refers to a group that is not there yet cannot be live either.
        let parsed = |rules: &Vec<String>| rules.iter().filter_map(|rule| rule.parse().ok()).collect::<Vec<Atom>>();
        let wanted: BTreeMap<&String, Vec<Atom>> = wanted.iter().map(|(name, rules)| (name, parsed(rules))).collect();
        spaces(wanted.iter().map(|(name, rules)| (*name, rules.iter().collect())))
    }

    /// What is written, and what is surely in force.
    fn now(&mut self, sim: &Sim) -> (Spaces, Spaces) {
        let all = groups(sim);
        self.ids.retain(|_, id| all.contains_key(id));
        self.ids.extend(ours(&all));
        let written = spaces(self.ids.iter().map(|(name, id)| (name, all[id].rules.values().collect())));
        let in_force: BTreeMap<&String, Vec<Atom>> =
            self.ids.iter().map(|(name, id)| (name, surely_in_force(sim, id, &all[id]))).collect();
        (written, spaces(in_force.iter().map(|(name, rules)| (*name, rules.iter().collect()))))
    }

    fn look(&mut self, sim: &Sim) {
        let ((written, in_force), desired) = (self.now(sim), self.desired());
        let (next, broken) = compare(&self.written, &written, &desired, "written");
        self.written = next;
        self.broken.extend(broken);
        let (next, broken) = compare(&self.in_force, &in_force, &desired, "in force");
        self.in_force = next;
        self.broken.extend(broken);
    }
}

/// What has to be allowed from now on, and what is not any more. A group that somebody deleted, or whose tags somebody took away,
/// is not there: what it allowed has to come back, not to have stayed.
fn compare(before: &Spaces, now: &Spaces, desired: &Spaces, what: &str) -> (Spaces, Vec<String>) {
    let (mut next, mut broken) = (Spaces::new(), Vec::new());
    for (key, live) in now {
        let empty = Space::empty();
        let (had, wanted) = (before.get(key).unwrap_or(&empty), desired.get(key).unwrap_or(&empty));
        let had = had.intersect(wanted);
        if !live.covers(&had) {
            let lost: Vec<String> = had.subtract(live).exposure().iter().map(ToString::to_string).collect();
            broken.push(format!("{what}: {} {} was allowed, is desired, and is cut: {}", key.0, key.1, lost.join(", ")));
        }
        next.insert(key.clone(), had.union(&live.intersect(wanted)));
    }
    (next, broken)
}

/// Groups that are not ours to touch.
pub(super) struct Foreign(BTreeMap<String, Group>);

impl Foreign {
    /// Somebody else's groups: one without tags, one of another cluster's object of the same name, and one of an object of ours
    /// that is not there any more.
    pub(super) async fn plant(rig: &Rig) -> Self {
        let marks = |cluster: &str, owner: &str| {
            let pairs = [("cluster", cluster), ("owner", owner), ("uid", "4711"), ("origin", "Created")];
            pairs.iter().map(|(key, value)| (format!("sgwarden.dev/{key}"), (*value).to_owned())).collect()
        };
        let web = marks("c2", "shop/web");
        let all: [(&str, Tags); 3] =
            [("bystander", Tags::new()), ("c2.shop.web", web), ("shop.former", marks("c1", "shop/former"))];
        let mut ids = Vec::new();
        for (name, tags) in all {
            let id = group(rig, name, tags, &["ingress tcp 22 from 0.0.0.0/0", "ingress udp 53 from 10.9.0.0/16"]).await;
            ids.push(id.to_string());
        }
        Self(groups(&rig.sim).into_iter().filter(|(id, group)| ids.contains(id) || group.name == "default").collect())
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Byte for byte as they were, and no write of ours has named one.
    pub(super) fn untouched(&self, rig: &Rig, context: &str) {
        let now = groups(&rig.sim);
        for (id, group) in &self.0 {
            assert_eq!(now.get(id), Some(group), "{context}");
        }
        let calls = rig.sim.calls();
        let writes = calls.iter().filter(|call| call.access_key == crate::rig::OURS && !call.action.starts_with("Describe"));
        let named = writes.flat_map(|call| call.params.values().map(move |value| (&call.action, value)));
        let touched: Vec<_> = named.filter(|(_, value)| self.contains(value)).collect();
        assert!(touched.is_empty(), "{touched:?}\n{context}");
    }
}

/// Somebody creates a group with these ingress rules.
pub(super) async fn group(rig: &Rig, name: &str, tags: Tags, ingress: &[&str]) -> SecurityGroupId {
    let new = NewGroup { name: name.to_owned(), description: "By hand".to_owned(), vpc: VPC.parse().unwrap(), tags };
    let id = rig.intruder.write.create_group(&new).await.unwrap().created.unwrap();
    let rules: Vec<NewRule> =
        ingress.iter().map(|text| NewRule { atom: text.parse().unwrap(), description: Some("by hand".to_owned()) }).collect();
    if !rules.is_empty() {
        rig.intruder.write.authorize(&id, Direction::Ingress, &rules).await.unwrap();
    }
    id
}
