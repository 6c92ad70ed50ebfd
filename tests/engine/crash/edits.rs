//! What changes: by the manifest, behind our back, and with a person's say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;

use sgwarden::adapters::sim::Quotas;
use sgwarden::api::{SecurityGroup, SecurityGroupStatus, conditions};
use sgwarden::core::model::{Direction, NewRule, Tags};

use super::changes::{object, only};
use super::{Scenario, at_every_write};
use crate::rig::{Rig, manifest, tcp};

fn condition(status: &SecurityGroupStatus, kind: &str) -> Option<(String, String)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone()))
}

struct BigEdit;

impl BigEdit {
    const ACCOUNT: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: AwsAccount\nmetadata: {name: default}\nspec: {accountId: \"111122223333\", \
                           regions: [eu-west-1], allowedNamespaces: {from: All}, limits: {rulesPerGroup: 200}}\n";

    fn manifest(rules: &[String]) -> String {
        manifest("web", &rules.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[async_trait]
impl Scenario for BigEdit {
    async fn before(&self, rig: &mut Rig) {
        rig.sim.set_quotas(Quotas { rules_per_group: 200, ..Quotas::default() });
        rig.store.apply_account(Self::ACCOUNT);
        let halved = (0..20).map(|n| tcp(&format!("a{n}"), 443, &format!("10.0.{n}.0/24")));
        let moved = (0..20).map(|n| tcp(&format!("b{n}"), 8443, &format!("10.1.{n}.0/24")));
        let kept = (0..10).map(|n| tcp(&format!("c{n}"), 22, &format!("10.2.{n}.0/24")));
        rig.store.apply(&Self::manifest(&halved.chain(moved).chain(kept).collect::<Vec<_>>()));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        // Twenty ranges are written as their halves, twenty more become one that holds them and what lies between.
        let halves = (0..20).flat_map(|n| [0, 128].map(|half| tcp(&format!("a{n}-{half}"), 443, &format!("10.0.{n}.{half}/25"))));
        let kept = (0..10).map(|n| tcp(&format!("c{n}"), 22, &format!("10.2.{n}.0/24")));
        let one = [tcp("b", 8443, "10.1.0.0/19")];
        rig.store.apply(&Self::manifest(&halves.chain(kept).chain(one).collect::<Vec<_>>()));
        true
    }

    /// The account is told of at each start.
    fn shortest_life(&self) -> (usize, usize) {
        (1, 3)
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let halves = (0..20).flat_map(|n| [0, 128].map(|half| format!("ingress tcp 443 from 10.0.{n}.{half}/25")));
        let kept = (0..10).map(|n| format!("ingress tcp 22 from 10.2.{n}.0/24"));
        BTreeMap::from([("web", halves.chain(kept).chain(["ingress tcp 8443 from 10.1.0.0/19".to_owned()]).collect())])
    }
}

#[tokio::test(start_paused = true)]
async fn forty_rules_are_replaced_whatever_write_is_the_last() {
    at_every_write(&BigEdit).await;
}

struct AtTheQuota;

#[async_trait]
impl Scenario for AtTheQuota {
    async fn before(&self, rig: &mut Rig) {
        let rules: Vec<String> = (0..60).map(|n| tcp(&format!("r{n}"), 443, &format!("10.0.{n}.0/24"))).collect();
        rig.store.apply(&BigEdit::manifest(&rules));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        // Fifteen get narrower, fifteen give way to others, thirty stay: sixty before and after.
        let narrower = (0..15).map(|n| tcp(&format!("r{n}"), 443, &format!("10.0.{n}.0/25")));
        let others = (0..15).map(|n| tcp(&format!("s{n}"), 8443, &format!("10.5.{n}.0/24")));
        let kept = (30..60).map(|n| tcp(&format!("r{n}"), 443, &format!("10.0.{n}.0/24")));
        rig.store.apply(&BigEdit::manifest(&narrower.chain(others).chain(kept).collect::<Vec<_>>()));
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let narrower = (0..15).map(|n| format!("ingress tcp 443 from 10.0.{n}.0/25"));
        let others = (0..15).map(|n| format!("ingress tcp 8443 from 10.5.{n}.0/24"));
        let kept = (30..60).map(|n| format!("ingress tcp 443 from 10.0.{n}.0/24"));
        BTreeMap::from([("web", narrower.chain(others).chain(kept).collect())])
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_a_full_group_is_replaced_whatever_write_is_the_last() {
    at_every_write(&AtTheQuota).await;
}

struct SeveralAtOnce;

#[async_trait]
impl Scenario for SeveralAtOnce {
    async fn before(&self, rig: &mut Rig) {
        let spec = "  egressPolicy: DenyAll
  tags: {team: shop, old: yes}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: app, protocol: tcp, ports: [8080], from: [{cidr: 10.0.0.0/8}]}
  - {name: wide, protocol: tcp, ports: [\"8000-8100\"], from: [{cidr: 10.4.0.0/16}]}
";
        rig.store.apply(&object("web", spec));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        let spec = "  tags: {team: store, new: yes}
  ingress:
  - {name: web, description: The shop, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: app, protocol: tcp, ports: [8081], from: [{cidr: 10.0.0.0/8}]}
  - {name: wide, protocol: tcp, ports: [8000, 8050], from: [{cidr: 10.4.0.0/16}]}
  egress:
  - {name: dns, protocol: udp, ports: [53], to: [{cidr: 10.0.0.2/32}]}
";
        rig.store.apply(&object("web", spec));
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let rules = [
            "ingress tcp 443 from 0.0.0.0/0",
            "ingress tcp 8081 from 10.0.0.0/8",
            "ingress tcp 8000 from 10.4.0.0/16",
            "ingress tcp 8050 from 10.4.0.0/16",
            "egress udp 53 to 10.0.0.2/32",
        ];
        only("web", &rules)
    }

    fn check(&self, rig: &Rig) {
        let group = &super::groups(&rig.sim)[rig.group("web").as_str()];
        let tag = |key: &str| group.tags.get(key).map(String::as_str);
        assert_eq!([tag("team"), tag("new"), tag("old")], [Some("store"), Some("yes"), None]);
        let rules = group.described();
        assert_eq!(rules["ingress tcp 443 from 0.0.0.0/0"].as_deref(), Some("The shop"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_ports_texts_and_tags_is_made_whatever_write_is_the_last() {
    at_every_write(&SeveralAtOnce).await;
}

/// An edit that somebody takes back while no process is there: what was done of it is taken back too, and nobody is blamed.
#[derive(Default)]
struct ChangesItsMind {
    taken_back: AtomicBool,
}

impl ChangesItsMind {
    fn first() -> String {
        let spec = "  tags: {team: shop, old: yes}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: app, protocol: tcp, ports: [8080], from: [{cidr: 10.0.0.0/8}]}
  - {name: ssh, protocol: tcp, ports: [22], from: [{cidr: 10.4.0.0/16}]}
  egress:
  - {name: dns, protocol: udp, ports: [53], to: [{cidr: 10.0.0.2/32}]}
";
        object("web", spec)
    }

    fn second() -> String {
        let spec = "  egressPolicy: DenyAll
  tags: {team: store, new: yes}
  ingress:
  - {name: web, description: The shop, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: app, protocol: tcp, ports: [8081], from: [{cidr: 10.0.0.0/8}]}
  - {name: db, protocol: tcp, ports: [5432], from: [{cidr: 10.5.0.0/16}]}
";
        object("web", spec)
    }
}

#[async_trait]
impl Scenario for ChangesItsMind {
    async fn before(&self, rig: &mut Rig) {
        self.taken_back.store(false, Ordering::Relaxed);
        rig.store.apply(&Self::first());
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        rig.store.apply(&Self::second());
        true
    }

    fn meanwhile(&self, rig: &Rig) {
        self.taken_back.store(true, Ordering::Relaxed);
        rig.store.apply(&Self::first());
    }

    fn kept(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0"])
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let first = [
            "ingress tcp 443 from 0.0.0.0/0",
            "ingress tcp 8080 from 10.0.0.0/8",
            "ingress tcp 22 from 10.4.0.0/16",
            "egress udp 53 to 10.0.0.2/32",
        ];
        let second = ["ingress tcp 443 from 0.0.0.0/0", "ingress tcp 8081 from 10.0.0.0/8", "ingress tcp 5432 from 10.5.0.0/16"];
        if self.taken_back.load(Ordering::Relaxed) { only("web", &first) } else { only("web", &second) }
    }

    fn check(&self, rig: &Rig) {
        let group = &super::groups(&rig.sim)[rig.group("web").as_str()];
        let text = group.described()["ingress tcp 443 from 0.0.0.0/0"].clone();
        let taken_back = self.taken_back.load(Ordering::Relaxed);
        let wanted = if taken_back { "The site" } else { "The shop" };
        assert_eq!(text.as_deref(), Some(wanted));
        let tag = |key: &str| group.tags.get(key).map(String::as_str);
        let wanted = if taken_back { [Some("shop"), Some("yes"), None] } else { [Some("store"), None, Some("yes")] };
        assert_eq!([tag("team"), tag("old"), tag("new")], wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_is_taken_back_after_any_write_is_nobodys_drift() {
    at_every_write(&ChangesItsMind::default()).await;
}

struct DriftOfEveryKind;

#[async_trait]
impl Scenario for DriftOfEveryKind {
    async fn before(&self, rig: &mut Rig) {
        let spec = "  tags: {team: shop, cost: \"7\"}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [443], from: [{cidr: 0.0.0.0/0}]}
  - {name: app, protocol: tcp, ports: [8080], from: [{cidr: 10.0.0.0/8}]}
  - {name: ssh, protocol: tcp, ports: [22], from: [{cidr: 10.4.0.0/16}]}
  egress:
  - {name: dns, protocol: udp, ports: [53], to: [{cidr: 10.0.0.2/32}]}
";
        rig.store.apply(&object("web", spec));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        let (group, by_hand) = (rig.group("web"), &rig.intruder.write);
        rig.intrude(&group, &["ingress tcp 3389 from 0.0.0.0/0"]).await;
        rig.intrude(&group, &["egress all to 0.0.0.0/0"]).await;
        rig.cut(&group, "ingress tcp 8080 from 10.0.0.0/8").await;
        let rules = rig.rules(&group).await;
        let id = |text: &str| rules.iter().find(|rule| rule.atom.to_string() == text).unwrap().id.clone();
        let ssh = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
        by_hand.modify(&group, &[(id("ingress tcp 22 from 10.4.0.0/16"), ssh)]).await.unwrap();
        let told = [(id("ingress tcp 443 from 0.0.0.0/0"), Some("temporary".to_owned()))];
        by_hand.describe(&group, Direction::Ingress, &told).await.unwrap();
        let tags = rig.tags(&group).await;
        let marks: Tags = tags.into_iter().filter(|(key, _)| key.starts_with("sgwarden.dev/") || key == "cost").collect();
        by_hand.set_tags(&group, &Tags::from([("team".to_owned(), "mallory".to_owned())])).await.unwrap();
        by_hand.remove_tags(&group, &marks).await.unwrap();
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let rules = [
            "ingress tcp 443 from 0.0.0.0/0",
            "ingress tcp 8080 from 10.0.0.0/8",
            "ingress tcp 22 from 10.4.0.0/16",
            "egress udp 53 to 10.0.0.2/32",
        ];
        only("web", &rules)
    }

    fn drift(&self) -> BTreeMap<&'static str, Vec<String>> {
        let told = [
            "Reverted Added: - > egress all to 0.0.0.0/0",
            "Reverted Added: - > ingress tcp 3389 from 0.0.0.0/0",
            "Reverted DescriptionChanged: ingress tcp 443 from 0.0.0.0/0 \"The site\" > ingress tcp 443 from 0.0.0.0/0 \"temporary\"",
            "Reverted Modified: ingress tcp 22 from 10.4.0.0/16 > ingress tcp 22 from 0.0.0.0/0",
            "Reverted Removed: ingress tcp 8080 from 10.0.0.0/8 > -",
            "Reverted TagChanged: tag team=shop > tag team=mallory",
            "Reverted TagRemoved: tag cost=7 > -",
            "Reverted TagRemoved: tag sgwarden.dev/cluster=c1 > -",
            "Reverted TagRemoved: tag sgwarden.dev/origin=Created > -",
            "Reverted TagRemoved: tag sgwarden.dev/owner=shop/web > -",
            "Reverted TagRemoved: tag sgwarden.dev/uid=uid-1 > -",
        ];
        only("web", &told)
    }
}

#[tokio::test(start_paused = true)]
async fn edits_of_every_kind_are_put_right_and_told_once_whatever_write_is_the_last() {
    at_every_write(&DriftOfEveryKind).await;
}

struct ApprovalRequired;

impl ApprovalRequired {
    fn spec(tags: &str, rules: &[String]) -> String {
        let mut spec = format!("  egressPolicy: DenyAll\n  tags: {tags}\n  enforcement: {{approval: Required}}\n  ingress:\n");
        for rule in rules {
            writeln!(spec, "  - {rule}").unwrap();
        }
        object("web", &spec)
    }

    /// Somebody approves what waits, as told.
    fn approve(rig: &Rig) -> bool {
        let Some(status) = rig.store.get("web").and_then(|object| object.status) else { return false };
        let waits = condition(&status, conditions::SYNCED).is_some_and(|(_, reason)| reason == "AwaitingApproval");
        let Some(hash) = status.plan.and_then(|plan| plan.hash).filter(|_| waits) else { return false };
        rig.store.annotate("web", "sgwarden.dev/approve", Some(&format!("{hash} ada")));
        true
    }
}

#[async_trait]
impl Scenario for ApprovalRequired {
    async fn before(&self, rig: &mut Rig) {
        rig.store.apply(&Self::spec("{team: shop, old: yes}", &[tcp("web", 80, "0.0.0.0/0"), tcp("app", 8080, "10.0.0.0/8")]));
        rig.until("the group is created", Self::approve).await;
        rig.settled("web").await;
    }

    fn steps(&self) -> usize {
        2
    }

    async fn act(&self, rig: &Rig, step: usize) -> bool {
        if step == 0 {
            let rules = [tcp("https", 443, "0.0.0.0/0"), tcp("app", 8080, "10.0.0.0/9"), tcp("ssh", 22, "10.7.0.0/16")];
            rig.store.apply(&Self::spec("{team: store, new: yes}", &rules));
            return true;
        }
        // Once is enough, however often the process ends on the way.
        Self::approve(rig)
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0", "ingress tcp 8080 from 10.0.0.0/9", "ingress tcp 22 from 10.7.0.0/16"])
    }

    fn check(&self, rig: &Rig) {
        let group = &super::groups(&rig.sim)[rig.group("web").as_str()];
        let tag = |key: &str| group.tags.get(key).map(String::as_str);
        assert_eq!([tag("team"), tag("new"), tag("old")], [Some("store"), Some("yes"), None]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_approved_once_is_carried_out_whatever_write_is_the_last() {
    at_every_write(&ApprovalRequired).await;
}

struct Suspended;

#[async_trait]
impl Scenario for Suspended {
    async fn before(&self, rig: &mut Rig) {
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
        rig.settled("web").await;
    }

    fn steps(&self) -> usize {
        3
    }

    async fn act(&self, rig: &Rig, step: usize) -> bool {
        let status = rig.store.get("web").and_then(|object| object.status).unwrap_or_default();
        match step {
            0 => {
                let until = rig.now().checked_add(SignedDuration::from_secs(100)).unwrap();
                let spec = format!(
                    "  egressPolicy: DenyAll\n  enforcement: {{suspend: {{until: \"{until}\", reason: incident 4711}}}}\n  ingress:\n  - {}\n  - {}\n",
                    tcp("https", 443, "0.0.0.0/0"),
                    tcp("ssh", 22, "10.0.0.0/8")
                );
                rig.store.apply(&object("web", &spec));
                true
            }
            1 if status.suspended_until.is_some() => {
                let group = rig.group("web");
                rig.intrude(&group, &["ingress tcp 3306 from 10.0.0.0/8"]).await;
                rig.cut(&group, "ingress tcp 22 from 10.0.0.0/8").await;
                true
            }
            2 => {
                // The stand-in's clock moves in steps, and may be behind the engine's by one.
                let now = rig.now().checked_add(SignedDuration::from_secs(1)).unwrap();
                let over = status.suspended_until.and_then(|until| until.parse().ok()).is_some_and(|until| now > until);
                let edited = ["ingress tcp 3306 from 10.0.0.0/8", "ingress tcp 443 from 0.0.0.0/0"];
                assert!(over || rig.live("web").await == edited, "nothing is reverted before its end");
                over
            }
            _ => false,
        }
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0", "ingress tcp 22 from 10.0.0.0/8"])
    }

    fn drift(&self) -> BTreeMap<&'static str, Vec<String>> {
        let told = ["Reverted Added: - > ingress tcp 3306 from 10.0.0.0/8", "Reverted Removed: ingress tcp 22 from 10.0.0.0/8 > -"];
        only("web", &told)
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspend_holds_and_ends_whatever_write_is_the_last() {
    at_every_write(&Suspended).await;
}

struct ReportOnly;

impl ReportOnly {
    fn manifest(port: u16) -> String {
        let rule = tcp("https", port, "0.0.0.0/0");
        object("web", &format!("  egressPolicy: DenyAll\n  enforcement: {{undeclaredRules: Report}}\n  ingress:\n  - {rule}\n"))
    }
}

#[async_trait]
impl Scenario for ReportOnly {
    async fn before(&self, rig: &mut Rig) {
        rig.store.apply(&Self::manifest(443));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        rig.intrude(&rig.group("web"), &["ingress tcp 22 from 10.0.0.0/8"]).await;
        rig.store.apply(&Self::manifest(8443));
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 8443 from 0.0.0.0/0", "ingress tcp 22 from 10.0.0.0/8"])
    }

    fn drift(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["Reported Added: - > ingress tcp 22 from 10.0.0.0/8"])
    }

    fn is_settled(&self, object: &SecurityGroup) -> bool {
        let status = object.status.clone().unwrap_or_default();
        let is = |kind: &str, wanted: &str| condition(&status, kind).is_some_and(|(status, _)| status == wanted);
        let told = is(conditions::DRIFTED, "True")
            && condition(&status, conditions::SYNCED).is_some_and(|(_, reason)| reason == "DriftReported");
        told && is(conditions::READY, "True") && status.observed_generation == object.metadata.generation
    }
}

#[tokio::test(start_paused = true)]
async fn undeclared_rules_are_reported_and_stay_whatever_write_is_the_last() {
    at_every_write(&ReportOnly).await;
}
