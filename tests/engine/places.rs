//! Where groups are: which account, which Region, which of two groups, and what an account says of the time in between.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sgwarden::adapters::sim::{Config, SimConnector, VpcSeed};
use sgwarden::ports::cloud::{Connect, GroupQuery, Route};

use crate::people::{account, in_force};
use crate::rig::{INTRUDER, Rig, VPC, manifest, tcp};

const ANNOTATION: &str = "sgwarden.dev/account";
const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";

#[tokio::test(start_paused = true)]
async fn a_namespace_says_which_account_its_groups_are_in_and_none_moves_when_it_says_otherwise() {
    let mut rig = Rig::idle().await;
    for name in ["default", "prod", "test"] {
        rig.store.apply_account(&account("").replace("name: default", &format!("name: {name}")));
    }
    rig.store.apply_namespace("shop", &[], &[(ANNOTATION, "prod")]);
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    let account_of = |rig: &Rig, name: &str| rig.store.get(name).unwrap().status.unwrap().account;
    assert_eq!(account_of(&rig, "web").as_deref(), Some("prod"));
    let group = rig.group("web");
    rig.pass(Duration::from_secs(400)).await;
    let writes = rig.writes.count();
    rig.store.apply_namespace("shop", &[], &[(ANNOTATION, "test")]);
    let message = rig.condition("web", "Stalled", "True", "PinnedElsewhere").await;
    assert!(message.contains("write spec.account: prod") && message.contains(ANNOTATION), "the ways out: {message}");
    rig.pass(Duration::from_secs(600)).await;
    assert_eq!((rig.writes.count(), rig.group("web")), (writes, group.clone()));
    // Stalled or not, edits are taken back.
    rig.intrude(&group, &["ingress tcp 22 from 0.0.0.0/0"]).await;
    rig.until_has("web", &[OFFICE]).await;
    // One that has no group yet goes where the namespace says now, and the manifest has the last word.
    rig.store.apply(&manifest("api", &[]));
    rig.settled("api").await;
    assert_eq!(account_of(&rig, "api").as_deref(), Some("test"));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]).replace("spec:\n", "spec:\n  account: prod\n"));
    rig.settled("web").await;
    assert_eq!(rig.group("web"), group);
}

#[tokio::test(start_paused = true)]
async fn of_two_groups_with_an_objects_tags_none_is_touched() {
    let mut rig = Rig::idle().await;
    let marks = [("sgwarden.dev/cluster", "c1"), ("sgwarden.dev/owner", "shop/web"), ("sgwarden.dev/origin", "Created")];
    let first = rig.stray("shop.web", &marks, &[OFFICE]).await;
    let second = rig.stray("copy", &marks, &[OFFICE]).await;
    let object = manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]) + "  description: by hand\n";
    rig.store.apply(&object);
    rig.start_engine();
    let message = rig.condition("web", "Ready", "False", "AmbiguousGroup").await;
    assert!(message.contains(first.as_str()) && message.contains(second.as_str()), "{message}");
    rig.pass(Duration::from_secs(600)).await;
    assert_eq!(rig.writes.count(), 0);
    rig.untag(&second, &["sgwarden.dev/cluster", "sgwarden.dev/owner"]).await;
    rig.settled("web").await;
    assert_eq!(rig.group("web"), first);
    assert_eq!(in_force(&rig.sim, second.as_str()), [OFFICE]);
}

#[tokio::test(start_paused = true)]
async fn two_regions_of_one_account_are_kept_side_by_side() {
    const FAR: &str = "us-east-1";
    const FAR_VPC: &str = "vpc-0eeeeeeeeeeeeeeee";
    let far = VpcSeed { region: FAR.to_owned(), ..VpcSeed::new(FAR_VPC) };
    let mut rig = Rig::over(Config { vpcs: vec![VpcSeed::new(VPC), far], ..Config::default() }).await;
    rig.store.apply_account(&account("").replace("[eu-west-1]", "[eu-west-1, us-east-1]"));
    let near = |name: &str| manifest(name, &[&tcp("https", 443, "10.0.0.0/8")]).replace("spec:\n", "spec:\n  region: eu-west-1\n");
    let away = |name: &str| near(name).replace("eu-west-1", FAR).replace(VPC, FAR_VPC);
    rig.store.apply(&near("web"));
    rig.store.apply(&away("far"));
    rig.store.apply(&manifest("lost", &[]));
    rig.start_engine();
    rig.settled("web").await;
    rig.settled("far").await;
    let message = rig.condition("lost", "Ready", "False", "InvalidSpec").await;
    assert!(message.contains("spec.region is required"), "{message}");
    let group = rig.group("far");
    let there = SimConnector::new(rig.sim.clone(), INTRUDER).connect(&Route::own(FAR.parse().unwrap())).await.unwrap();
    let found = there.read.groups(&GroupQuery::Ids(vec![group.clone()])).await.unwrap();
    assert_eq!(found[0].vpc.as_str(), FAR_VPC);
    rig.pass(Duration::from_secs(400)).await;
    // An edit in each is seen, and a failure of one Region holds up no other.
    let ssh = sgwarden::core::model::NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    there.write.authorize(&group, ssh.atom.direction, &[ssh]).await.unwrap();
    rig.until("ssh is closed there", |rig| rig.drift("far").iter().any(|record| record.starts_with("Reverted"))).await;
    let fault = sgwarden::adapters::sim::Fault::error("*", "Unavailable", 503);
    rig.sim.inject(sgwarden::adapters::sim::Fault { region: Some(FAR.to_owned()), ..fault });
    rig.intrude(&rig.group("web"), &["ingress tcp 22 from 0.0.0.0/0"]).await;
    rig.until_has("web", &[OFFICE]).await;
    rig.sim.clear_faults();
    rig.store.delete("far");
    rig.store.delete("web");
    rig.gone("far").await;
    rig.gone("web").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_change_replaces_goes_no_earlier_than_the_account_says() {
    for (settle, least, most) in [("", 5, 9), ("settle: 45s", 45, 49)] {
        let mut rig = Rig::idle().await;
        rig.store.apply_account(&account(settle));
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
        rig.start_engine();
        rig.settled("web").await;
        let group = rig.group("web").to_string();
        rig.pass(Duration::from_secs(400)).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (times, id) = (seen.clone(), group.clone());
        rig.writes.witness(Arc::new(move |sim| {
            let new = "ingress tcp 443 from 2001:db8::/32".to_owned();
            let rules = in_force(sim, &id);
            times.lock().unwrap().push((tokio::time::Instant::now(), rules.contains(&new), rules.len()));
        }));
        // Of another family, so that no row can become it in place.
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "2001:db8::/32")]));
        rig.settled("web").await;
        let seen = seen.lock().unwrap().clone();
        assert!(seen.len() == 2 && seen[0].1 && seen[0].2 == 2 && seen[1].2 == 1, "{seen:?}");
        let waited = seen[1].0.duration_since(seen[0].0).as_secs();
        assert!((least..=most).contains(&waited), "{settle}: {waited} s");
    }
}
