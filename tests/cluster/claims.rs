//! Two clusters with one account: what one has, the other does not touch.

use sgwarden::adapters::sim::CallRecord;
use sgwarden::core::model::{SecurityGroupId, Tags};

use crate::cli::until;
use crate::gate::writes_of;
use crate::process::{Installation, Replica};
use crate::rig::{Rig, VPC, condition, group_id};

fn manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec:\n  vpc: {{id: {VPC}}}\n  {spec}\n  egressPolicy: DenyAll\n  ingress:\n    - {{name: web, protocol: tcp, ports: [8443], from: [{{cidr: 10.0.0.0/8}}]}}\n"
    )
}

/// Waits until an object is refused for a reason; the message.
async fn refused(rig: &Rig, name: &str, reason: &str) -> String {
    let is = |object: &_| condition(object, "Ready").is_some_and(|(status, found, _)| status == "False" && found == reason);
    let object = rig.until(name, reason, is).await;
    condition(&object, "Ready").unwrap().2
}

/// Some looks at all groups by a replica.
async fn looks(rig: &Rig, replica: &Replica) {
    let of = |call: &&CallRecord| call.access_key == replica.key && call.action == "DescribeSecurityGroups";
    let count = || rig.sim.calls().iter().filter(of).count();
    let wanted = count() + 4;
    until("it looks again", async || (count() >= wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_cluster_is_refused_to_another_and_not_touched_by_it() {
    // Each has a namespace, a Lease and an id of its own; the EC2 is that of the first.
    let (one, two) = tokio::join!(Rig::idle("one"), Rig::idle("two"));
    let (ours, theirs) = (Installation::of(&one, one.address), Installation::of(&two, one.address));
    let (owner, claimant) = tokio::join!(ours.start("owner"), theirs.start("claimant"));
    one.apply(&manifest("web", "groupName: web-group")).await;
    let group = group_id(&one.settled("web").await);

    two.apply(&manifest("adopts", &format!("adopt: {{groupId: {group}}}"))).await;
    two.apply(&manifest("named", "groupName: web-group")).await;
    let words = format!("cluster {}, object {}/web", one.namespace, one.namespace);
    let message = refused(&two, "adopts", "AdoptionRefused").await;
    assert!(message.contains(&words), "{message}");
    let message = refused(&two, "named", "GroupNameTaken").await;
    assert!(message.contains(group.as_str()), "{message}");

    // Not even when somebody consents: it is in use by the other.
    let consent = ("sgwarden.dev/adopt".to_owned(), format!("{0}/{0}", two.namespace));
    one.intruder.write.set_tags(&group, &Tags::from([consent])).await.unwrap();
    looks(&one, &claimant).await;
    assert!(refused(&two, "adopts", "AdoptionRefused").await.contains(&words));
    assert_eq!(writes_of(&one.sim, &claimant.key), Vec::new());
    as_the_owner_has_it(&one, &group).await;

    // The owner works on, and lets go of the group when its object goes: then the name is free for the other.
    one.delete("web").await;
    one.gone("web").await;
    two.settled("named").await;
    owner.stopped().await;
    claimant.stopped().await;
}

async fn as_the_owner_has_it(rig: &Rig, group: &SecurityGroupId) {
    let object = rig.settled("web").await;
    assert_eq!(group_id(&object), *group);
    assert_eq!(rig.rules(&object).await, ["ingress tcp 8443 from 10.0.0.0/8 \"\""]);
    let (tags, _) = rig.live(&object).await;
    assert_eq!(tags["sgwarden.dev/cluster"], rig.namespace);
    assert_eq!(tags["sgwarden.dev/owner"], format!("{}/web", rig.namespace));
}
