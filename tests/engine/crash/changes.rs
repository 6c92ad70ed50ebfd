//! What comes about: groups created, created again, sets that change under their users, rules whose time has come.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::SignedDuration;

use super::{Scenario, at_every_write};
use crate::rig::{Rig, VPC, manifest, tcp};

/// An object of namespace `shop`; `spec` is YAML, indented by two.
pub(super) fn object(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  vpc: {{id: {VPC}}}\n{spec}"
    )
}

/// The rules of one object.
pub(super) fn only(name: &'static str, rules: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
    BTreeMap::from([(name, rules.iter().map(|rule| (*rule).to_owned()).collect())])
}

struct CreateBothWays;

#[async_trait]
impl Scenario for CreateBothWays {
    async fn act(&self, rig: &Rig, _: usize) -> bool {
        let spec = "  description: Web tier
  tags: {team: shop, env: prod}
  ingress:
  - {name: web, description: The site, protocol: tcp, ports: [80, 443], from: [{cidr: 0.0.0.0/0}]}
  - {name: mesh, protocol: all, from: [{self: true}]}
  - {name: ping, protocol: icmp, icmp: {type: 8}, from: [{cidr: 10.0.0.0/8}]}
  egress:
  - {name: to-db, protocol: tcp, ports: [5432], to: [{cidr: 10.1.0.0/16, description: databases}]}
";
        rig.store.apply(&object("web", spec));
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let rules = [
            "ingress tcp 80 from 0.0.0.0/0",
            "ingress tcp 443 from 0.0.0.0/0",
            "ingress all from {web}",
            "ingress icmp type 8 from 10.0.0.0/8",
            "egress tcp 5432 to 10.1.0.0/16",
        ];
        only("web", &rules)
    }

    fn check(&self, rig: &Rig) {
        let status = rig.store.get("web").unwrap().status.unwrap();
        assert_eq!(status.origin.as_deref(), Some("Created"), "or a deletion one day would leave it behind");
        assert_eq!(status.rule_count, Some(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_with_rules_both_ways_is_created_whatever_write_is_the_last() {
    at_every_write(&CreateBothWays).await;
}

struct CreateTwo;

#[async_trait]
impl Scenario for CreateTwo {
    async fn act(&self, rig: &Rig, _: usize) -> bool {
        let from = |name: &str| {
            format!("{{name: from-{name}, protocol: tcp, ports: [8080], from: [{{securityGroup: {{name: {name}}}}}]}}")
        };
        rig.store.apply(&manifest("web", &[&from("db"), &tcp("https", 443, "0.0.0.0/0")]));
        rig.store.apply(&manifest("db", &[&from("web")]));
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut rules = only("web", &["ingress tcp 8080 from {db}", "ingress tcp 443 from 0.0.0.0/0"]);
        rules.extend(only("db", &["ingress tcp 8080 from {web}"]));
        rules
    }
}

#[tokio::test(start_paused = true)]
async fn two_groups_that_refer_to_each_other_are_created_whatever_write_is_the_last() {
    at_every_write(&CreateTwo).await;
}

struct SetUnderTwoUsers;

impl SetUnderTwoUsers {
    fn apply(rig: &Rig, cidrs: &[&str]) {
        let cidrs: Vec<String> = cidrs.iter().map(|cidr| format!("{{cidr: {cidr}}}")).collect();
        rig.store.apply_set(&format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: office, namespace: shop}}\nspec: {{cidrs: [{}]}}\n",
            cidrs.join(", ")
        ));
    }
}

#[async_trait]
impl Scenario for SetUnderTwoUsers {
    async fn before(&self, rig: &mut Rig) {
        Self::apply(rig, &["10.0.0.0/24", "10.0.1.0/24", "10.0.8.0/24"]);
        for name in ["web", "api"] {
            let rule = "{name: office, protocol: tcp, ports: [443], from: [{cidrSet: {name: office}}]}";
            rig.store.apply(&manifest(name, &[rule, &tcp("ssh", 22, "10.0.0.0/8")]));
        }
        rig.settled("web").await;
        rig.settled("api").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        // Two ranges become one that holds both, one goes, one comes.
        Self::apply(rig, &["10.0.0.0/23", "10.0.9.0/24"]);
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        let rules = ["ingress tcp 443 from 10.0.0.0/23", "ingress tcp 443 from 10.0.9.0/24", "ingress tcp 22 from 10.0.0.0/8"];
        let mut both = only("web", &rules);
        both.extend(only("api", &rules));
        both
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_changes_under_its_users_whatever_write_is_the_last() {
    at_every_write(&SetUnderTwoUsers).await;
}

struct DeletedBehindOurBack;

#[async_trait]
impl Scenario for DeletedBehindOurBack {
    async fn before(&self, rig: &mut Rig) {
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        rig.intruder.write.delete_group(&rig.group("web")).await.unwrap();
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0", "ingress tcp 22 from 10.0.0.0/8"])
    }

    fn drift(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["Reverted GroupDeleted: (group) > -"])
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_deleted_behind_our_back_is_created_again_whatever_write_is_the_last() {
    at_every_write(&DeletedBehindOurBack).await;
}

struct Expires;

#[async_trait]
impl Scenario for Expires {
    async fn before(&self, rig: &mut Rig) {
        let end = rig.now().checked_add(SignedDuration::from_secs(30)).unwrap();
        let incident = |name: &str, port: u16| {
            format!("{{name: {name}, protocol: tcp, ports: [{port}], from: [{{cidr: 10.3.0.0/16}}], expiresAt: \"{end}\"}}")
        };
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0"), &incident("incident", 22), &incident("other", 23)]));
        rig.settled("web").await;
        assert_eq!(rig.live("web").await.len(), 3, "not expired yet");
    }

    async fn act(&self, _: &Rig, _: usize) -> bool {
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0"])
    }

    fn check(&self, rig: &Rig) {
        let expired = rig.store.get("web").unwrap().status.unwrap().expired;
        assert_eq!(expired.len(), 2, "acted on, and remembered: {expired:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rules_expire_whatever_write_is_the_last() {
    at_every_write(&Expires).await;
}
