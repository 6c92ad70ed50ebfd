//! What goes: groups deleted, alone and as a cycle, and groups let go of.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::changes::object;
use super::{Scenario, at_every_write};
use crate::rig::{Rig, manifest, tcp};

struct Delete;

#[async_trait]
impl Scenario for Delete {
    async fn before(&self, rig: &mut Rig) {
        let itself = "{name: mesh, protocol: all, from: [{self: true}]}";
        rig.store.apply(&manifest("web", &[itself, &tcp("https", 443, "0.0.0.0/0")]));
        rig.settled("web").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        rig.store.delete("web");
        true
    }

    /// EC2 refuses to delete a group that refers to itself before it is asked to revoke that.
    fn shortest_life(&self) -> (usize, usize) {
        (2, 1)
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        BTreeMap::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_deleted_whatever_write_is_the_last() {
    at_every_write(&Delete).await;
}

struct DeleteCycle;

#[async_trait]
impl Scenario for DeleteCycle {
    async fn before(&self, rig: &mut Rig) {
        let from = |name: &str| {
            format!("{{name: from-{name}, protocol: tcp, ports: [8080], from: [{{securityGroup: {{name: {name}}}}}]}}")
        };
        rig.store.apply(&manifest("web", &[&from("db"), &tcp("https", 443, "0.0.0.0/0")]));
        rig.store.apply(&manifest("db", &[&from("web")]));
        rig.settled("web").await;
        rig.settled("db").await;
        rig.until("each knows the other", |rig| super::watch::live(&rig.sim).values().map(Vec::len).sum::<usize>() == 3).await;
        rig.settled("web").await;
        rig.settled("db").await;
    }

    async fn act(&self, rig: &Rig, _: usize) -> bool {
        rig.store.delete("web");
        rig.store.delete("db");
        true
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        BTreeMap::new()
    }

    fn alone(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn two_groups_that_hold_each_other_are_deleted_whatever_write_is_the_last() {
    at_every_write(&DeleteCycle).await;
}

struct DeleteInTheMiddle;

#[async_trait]
impl Scenario for DeleteInTheMiddle {
    async fn act(&self, rig: &Rig, step: usize) -> bool {
        match step {
            0 => {
                rig.store.apply(&object(
                    "web",
                    "  egressPolicy: AllowAll\n  ingress: [{name: all, protocol: all, from: [{self: true}]}]\n",
                ));
                true
            }
            // While it is being created: the group may be there, and status may not know of it.
            _ if rig.store.get("web").is_some_and(|object| object.status.is_some_and(|status| status.region.is_some())) => {
                rig.store.delete("web");
                true
            }
            _ => false,
        }
    }

    fn steps(&self) -> usize {
        2
    }

    fn rules(&self) -> BTreeMap<&'static str, Vec<String>> {
        BTreeMap::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_deleted_while_it_is_created_leaves_nothing_whatever_write_is_the_last() {
    at_every_write(&DeleteInTheMiddle).await;
}
