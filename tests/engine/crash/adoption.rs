//! What becomes ours: groups that were there before, and objects that come back from a backup.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use sgwarden::api::conditions;
use sgwarden::core::model::Tags;

use super::changes::{object, only};
use super::watch::group;
use super::{Scenario, at_every_write, groups};
use crate::rig::{Rig, manifest, tcp};

struct Adopt;

impl Adopt {
    fn legacy(rig: &Rig) -> String {
        let all = groups(&rig.sim);
        all.iter().find(|(_, group)| group.name == "legacy").map(|(id, _)| id.clone()).unwrap()
    }

    /// Somebody approves what waits; `false`: nothing does.
    fn approve(rig: &Rig) -> bool {
        let Some(status) = rig.store.get("web").and_then(|object| object.status) else { return false };
        let synced = status.conditions.iter().find(|condition| condition.type_ == conditions::SYNCED);
        let waits = synced.is_some_and(|condition| condition.reason == "AwaitingApproval");
        let Some(hash) = status.plan.and_then(|plan| plan.hash).filter(|_| waits) else { return false };
        rig.store.annotate("web", "sgwarden.dev/approve", Some(&format!("{hash} ada")));
        true
    }
}

#[async_trait]
impl Scenario for Adopt {
    async fn before(&self, rig: &mut Rig) {
        let consent = Tags::from([("sgwarden.dev/adopt".to_owned(), "c1/shop".to_owned()), ("team".to_owned(), "ops".to_owned())]);
        let rules = ["ingress tcp 443 from 0.0.0.0/0", "ingress tcp 3306 from 10.0.0.0/8", "ingress tcp 22 from 0.0.0.0/0"];
        group(rig, "legacy", consent, &rules).await;
    }

    fn steps(&self) -> usize {
        2
    }

    async fn act(&self, rig: &Rig, step: usize) -> bool {
        if step == 0 {
            let spec = format!(
                "  egressPolicy: AllowAll\n  tags: {{team: shop}}\n  adopt: {{groupId: {}}}\n  ingress:\n  - {}\n  - {}\n",
                Self::legacy(rig),
                tcp("https", 443, "0.0.0.0/0"),
                tcp("db", 5432, "10.0.0.0/8"),
            );
            rig.store.apply(&object("web", &spec));
            return true;
        }
        let legacy = groups(&rig.sim).remove(&Self::legacy(rig)).unwrap();
        for text in ["ingress tcp 3306 from 10.0.0.0/8", "ingress tcp 22 from 0.0.0.0/0"] {
            assert!(legacy.rules.values().any(|rule| rule.to_string() == text), "revoked before anybody approved");
        }
        Self::approve(rig)
    }

    /// Nothing is vouched for before all of it is as declared, so nobody can tell after a crash what is left of the plan that was
    /// approved: somebody approves the rest.
    fn done(&self, rig: &Rig) -> bool {
        !Self::approve(rig)
    }

    /// After each start it waits anew for others who may claim the group, and says so.
    fn shortest_life(&self) -> (usize, usize) {
        (1, 2)
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0", "ingress tcp 5432 from 10.0.0.0/8", "egress all to 0.0.0.0/0"])
    }

    fn check(&self, rig: &Rig) {
        let status = rig.store.get("web").unwrap().status.unwrap();
        assert_eq!(status.origin.as_deref(), Some("Adopted"), "or it would be deleted with its object one day");
        assert_eq!(status.group_id, Some(Self::legacy(rig)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_taken_over_whatever_write_is_the_last() {
    at_every_write(&Adopt).await;
}

struct Restored;

#[async_trait]
impl Scenario for Restored {
    async fn before(&self, rig: &mut Rig) {
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0"), &tcp("ssh", 22, "10.0.0.0/8")]));
        rig.settled("web").await;
        rig.pass(Duration::from_secs(10)).await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        // The cluster comes back from a backup: the same object under another uid, with its old status, and a manifest that has
        // changed since.
        let mut object = rig.store.get("web").unwrap();
        object.spec.ingress.retain(|rule| rule.name.as_str() != "ssh");
        rig.store.restore(object);
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        only("web", &["ingress tcp 443 from 0.0.0.0/0"])
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_from_a_backup_finds_its_group_whatever_write_is_the_last() {
    at_every_write(&Restored).await;
}
