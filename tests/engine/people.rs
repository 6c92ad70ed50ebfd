//! What people besides the engine do and see: edits, tags, prefix lists, Events, the audit, and for how long something was open.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sgwarden::adapters::sim::Sim;
use sgwarden::core::audit::{ChangeItem, OutcomeResult};
use sgwarden::core::model::{Atom, LiveRule, NewRule, SecurityGroupId, Tags};
use sgwarden::ports::cloud::GroupQuery;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::rig::{INTRUDER, REGION, Rig, VPC, manifest};

/// The account that the keys of [`crate::rig`] are of.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The longest that an addition may stay: one sweep and its jitter, 2 s, and what the stand-in's clock is coarse by.
pub(crate) const SOON: Duration = Duration::from_millis(68_200);
/// The same for what takes two reads that agree: an edit of the greater part of a group, or of one that we wrote just now.
pub(crate) const SEEN_TWICE: Duration = Duration::from_millis(70_400);

/// An `AwsAccount` called `default` with these fields besides (YAML, in flow style).
pub(crate) fn account(fields: &str) -> String {
    let rest = if fields.contains("allowedNamespaces") { "" } else { "allowedNamespaces: {from: All}, " };
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: AwsAccount\nmetadata: {{name: default}}\nspec: {{accountId: \"{ACCOUNT}\", regions: \
         [{REGION}], {rest}{fields}}}"
    )
}

/// A manifest with fields besides (YAML, in flow style, one a line).
pub(crate) fn with(name: &str, fields: &[&str], ingress: &[&str]) -> String {
    let fields: String = fields.iter().fold(String::new(), |text, field| text + "  " + field + "\n");
    format!("{}{fields}", manifest(name, ingress).trim_end_matches('\n').to_owned() + "\n")
}

/// The same manifest in another namespace.
pub(crate) fn in_namespace(namespace: &str, manifest: &str) -> String {
    manifest.replace("namespace: shop", &format!("namespace: {namespace}"))
}

/// A `CidrSet` of namespace `shop`, which may be empty.
pub(crate) fn set(name: &str, cidrs: &[&str]) -> String {
    let cidrs: Vec<String> = cidrs.iter().map(|cidr| format!("{{cidr: \"{cidr}\"}}")).collect();
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{allowEmpty: true, cidrs: [{}]}}",
        cidrs.join(", ")
    )
}

/// One rule: tcp, a port, from a set.
pub(crate) fn from_set(name: &str, port: u16, set: &str) -> String {
    format!("{{name: {name}, protocol: tcp, ports: [{port}], from: [{{cidrSet: {{name: {set}}}}}]}}")
}

/// The rules of a group as EC2 has them at this moment, as text; looked at past its API, so that no call is counted.
pub(crate) fn in_force(sim: &Sim, group: &str) -> Vec<String> {
    rows(sim, group).into_iter().map(|(text, _)| text).collect()
}

/// The same with the id of each rule.
fn rows(sim: &Sim, group: &str) -> Vec<(String, String)> {
    let rules = sim.effective_rules(ACCOUNT, REGION, group);
    let text = |rule: &serde_json::Value| {
        let word = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let (way, preposition) = if rule["egress"] == true { ("egress", "to") } else { ("ingress", "from") };
        let (from, to) = (&rule["from"], &rule["to"]);
        let ports = if from == to { from.to_string() } else { format!("{from}-{to}") };
        (format!("{way} {} {ports} {preposition} {}", word("protocol"), word("peer")), word("id"))
    };
    let mut rows: Vec<(String, String)> = rules.iter().map(text).collect();
    rows.sort();
    rows
}

/// A tag of a group as EC2 has it at this moment, looked at past its API.
pub(crate) fn tag_of(sim: &Sim, group: &str, key: &str) -> Option<String> {
    let dump = sim.dump();
    let places = dump["places"].as_array()?.iter();
    let mut groups = places.flat_map(|place| place["groups"].as_array().into_iter().flatten());
    groups.find(|one| one["id"] == group)?["tags"][key].as_str().map(str::to_owned)
}

/// For how long something held, each time it did.
pub(crate) struct Spans {
    seen: Arc<Mutex<Vec<(Instant, Duration)>>>,
    watch: JoinHandle<()>,
}

impl Spans {
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn longest(&self) -> Duration {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, time)| *time).max().unwrap_or_default()
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// One look: a span begins, goes on, or ends. `held` is what holds, which may be another one from look to look.
fn note(spans: &Mutex<Vec<(Instant, Duration)>>, held: Option<String>, since: &mut Option<(Instant, String)>) {
    let now = Instant::now();
    let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some((since, _)), Some(last)) = (since.as_ref(), spans.last_mut()) {
        last.1 = now.duration_since(*since);
    }
    if held.as_ref() != since.as_ref().map(|(_, held)| held) {
        spans.extend(held.as_ref().map(|_| (now, Duration::ZERO)));
        *since = held.map(|held| (now, held));
    }
}

impl Rig {
    /// Watches for how long something holds of the rules of an object's group.
    pub(crate) fn watch(&self, name: &str, holds: impl Fn(&[String]) -> bool + Send + 'static) -> Spans {
        self.watch_rows(name, move |rows| {
            let texts: Vec<String> = rows.iter().map(|(text, _)| text.clone()).collect();
            holds(&texts).then(String::new)
        })
    }

    /// For how long a rule of an object's group was open, each time: one that is authorized again is another one, however short
    /// the time between.
    pub(crate) fn watch_open(&self, name: &str, atom: &str) -> Spans {
        let atom = atom.to_owned();
        self.watch_rows(name, move |rows| rows.iter().find(|(text, _)| *text == atom).map(|(_, id)| id.clone()))
    }

    fn watch_rows(&self, name: &str, held: impl Fn(&[(String, String)]) -> Option<String> + Send + 'static) -> Spans {
        let (sim, group) = (self.sim.clone(), self.group(name).to_string());
        let seen: Arc<Mutex<Vec<(Instant, Duration)>>> = Arc::default();
        let spans = seen.clone();
        let watch = tokio::spawn(async move {
            let mut since = None;
            loop {
                note(&spans, held(&rows(&sim, &group)), &mut since);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Spans { seen, watch }
    }

    /// Whether an object's group has exactly these rules now.
    pub(crate) fn has(&self, name: &str, rules: &[&str]) -> bool {
        in_force(&self.sim, self.group(name).as_str()) == rules
    }

    /// Waits until an object's group has exactly these rules.
    pub(crate) async fn until_has(&self, name: &str, rules: &[&str]) {
        let mut rules = rules.to_vec();
        rules.sort_unstable();
        self.until(&format!("{name} has {rules:?}"), |rig| rig.has(name, &rules)).await;
    }

    /// The live row of a group that allows this.
    pub(crate) async fn row(&self, group: &SecurityGroupId, atom: &str) -> LiveRule {
        let wanted: Atom = atom.parse().unwrap();
        self.rules(group).await.into_iter().find(|rule| rule.atom == wanted).expect("the rule is live")
    }

    /// Somebody makes another rule of a live one, in place.
    pub(crate) async fn turn(&self, group: &SecurityGroupId, from: &str, into: &str) {
        let row = self.row(group, from).await;
        let new = NewRule { atom: into.parse().unwrap(), description: row.description };
        self.intruder.write.modify(group, &[(row.id, new)]).await.unwrap();
    }

    /// Somebody tags a group.
    pub(crate) async fn tag(&self, group: &SecurityGroupId, tags: &[(&str, &str)]) {
        self.intruder.write.set_tags(group, &as_tags(tags)).await.unwrap();
    }

    /// Somebody takes tags off a group.
    pub(crate) async fn untag(&self, group: &SecurityGroupId, keys: &[&str]) {
        let mut tags = self.tags(group).await;
        tags.retain(|key, _| keys.contains(&key.as_str()));
        self.intruder.write.remove_tags(group, &tags).await.unwrap();
    }

    /// A group that nobody manages, with these rules.
    pub(crate) async fn stray(&self, name: &str, tags: &[(&str, &str)], ingress: &[&str]) -> SecurityGroupId {
        let group = sgwarden::core::model::NewGroup {
            name: name.to_owned(),
            description: "by hand".to_owned(),
            vpc: VPC.parse().unwrap(),
            tags: as_tags(tags),
        };
        let id = self.intruder.write.create_group(&group).await.unwrap().created.unwrap();
        let born: Vec<_> = self.rules(&id).await.into_iter().map(|rule| rule.id).collect();
        self.intruder.write.revoke(&id, sgwarden::core::model::Direction::Egress, &born).await.unwrap();
        if !ingress.is_empty() {
            self.intrude(&id, ingress).await;
        }
        id
    }

    /// The default group of the VPC.
    pub(crate) async fn default_group(&self) -> SecurityGroupId {
        let query = GroupQuery::Name { vpc: VPC.parse().unwrap(), name: "default".to_owned() };
        self.intruder.read.groups(&query).await.unwrap().remove(0).id
    }

    /// A call that is no port of ours, as somebody with the AWS CLI makes it; its answer.
    pub(crate) fn call(&self, action: &str, params: &[(&str, &str)]) -> String {
        let params: Vec<(&str, &str)> = std::iter::once(("Action", action)).chain(params.iter().copied()).collect();
        let answer = self.sim.query(INTRUDER, REGION, &params);
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(answer.status().is_success(), "{action}: {body}");
        body
    }

    /// A customer's prefix list; its id.
    pub(crate) fn prefix_list(&self, name: &str, cidr: &str) -> String {
        let answer = self.call(
            "CreateManagedPrefixList",
            &[("PrefixListName", name), ("AddressFamily", "IPv4"), ("MaxEntries", "2"), ("Entry.1.Cidr", cidr)],
        );
        let (_, rest) = answer.split_once("<prefixListId>").unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    }

    /// What an object was told by Events with this reason, oldest first.
    pub(crate) fn told(&self, name: &str, reason: &str) -> Vec<String> {
        let events = self.store.events().into_iter();
        events.filter(|(key, notice)| key.name == name && notice.reason == reason).map(|(_, notice)| notice.note).collect()
    }

    /// What was done with this cause, by the audit.
    pub(crate) fn done_because(&self, cause: &str) -> Vec<ChangeItem> {
        let done = self.audit.all().into_iter();
        let done = done.filter(|record| record.outcome.as_ref().is_some_and(|outcome| outcome.result == OutcomeResult::Done));
        done.flat_map(|record| record.items).filter(|item| item.cause == cause).collect()
    }

    /// Calls that the engine asked of EC2 for an object, by operation, as the audit has them.
    pub(crate) fn asked_for(&self, object: &str) -> Vec<&'static str> {
        let done = self.audit.all().into_iter().filter(|record| record.outcome.is_some() && record.object == object);
        done.map(|record| record.operation).collect()
    }

    /// The message of a condition of an object, if it has this status.
    pub(crate) fn says(&self, name: &str, kind: &str, status: &str) -> Option<String> {
        let conditions = self.store.get(name)?.status?.conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == status)?;
        Some(format!("{}: {}", found.reason, found.message))
    }

    /// The resolutions of an object's drift records, newest first, each with the first thing it is about.
    pub(crate) fn drift(&self, name: &str) -> Vec<String> {
        let status = self.store.get(name).and_then(|object| object.status).unwrap_or_default();
        let text = |record: sgwarden::api::DriftRecord| {
            let first = record
                .atoms
                .first()
                .map(|atom| format!("{} {}", atom.kind, atom.after.as_ref().or(atom.before.as_ref()).map_or("", |text| text)));
            format!("{} {} {}", record.resolution, record.count, first.unwrap_or_default())
        };
        status.drift.into_iter().map(text).collect()
    }
}

fn as_tags(tags: &[(&str, &str)]) -> Tags {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
