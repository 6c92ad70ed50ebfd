//! What would be done, without doing it: it is what the controller then does, and nothing is written meanwhile.

use std::sync::Arc;

use sgwarden::core::preview::{Finding, Planned, Preview, Totals};
use sgwarden::engine::controller::{PreviewParts, preview};
use sgwarden::ports::clock::Timings;

use crate::rig::{Rig, manifest, tcp};
use crate::store::Store;

/// A look at all objects of a store, which may be another than the rig's.
async fn look(rig: &Rig, store: &Store) -> Vec<Preview> {
    let parts = rig.parts();
    let parts = PreviewParts {
        objects: Arc::new(store.clone()),
        connect: parts.connect,
        clock: parts.clock,
        timings: Timings::default(),
        cluster: parts.cluster,
        former_clusters: Vec::new(),
        own: parts.own,
        concurrency: 4,
    };
    let writes = written(rig);
    let found = preview(parts, &|_, _| {}).await;
    assert_eq!(written(rig), writes, "nothing is written in EC2");
    found
}

fn written(rig: &Rig) -> Vec<(String, u64)> {
    rig.calls().into_iter().filter(|(action, _)| !action.starts_with("Describe") && !action.starts_with("Get")).collect()
}

fn planned(preview: &Preview) -> &Planned {
    let Finding::Planned(planned) = &preview.finding else { panic!("{preview:#?}") };
    planned
}

fn apply(store: &Store) {
    store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]));
    store.apply(&manifest("db", &["{name: from-web, protocol: tcp, ports: [5432], from: [{securityGroup: {name: web}}]}"]));
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_is_what_is_done() {
    let mut rig = Rig::idle().await;
    apply(&rig.store);
    let found = look(&rig, &rig.store).await;
    let objects: Vec<&str> = found.iter().map(|preview| preview.object.as_str()).collect();
    assert_eq!(objects, ["shop/db", "shop/web"]);
    assert!(found.iter().all(|preview| planned(preview).observed.is_none() && planned(preview).changes()));
    // web has no group yet that db could refer to, and db says so.
    assert_eq!(planned(&found[0]).desired.held.len(), 1);

    rig.start_engine();
    rig.settled("web").await;
    rig.settled("db").await;
    rig.stop_engine().await;
    let totals = Totals::of(&look(&rig, &rig.store).await);
    assert_eq!((totals.changing, totals.failed), (0, 0), "{totals:?}");

    rig.intrude(&rig.group("web"), &["ingress tcp 22 from 0.0.0.0/0"]).await;
    rig.store.apply(&manifest("web", &[&tcp("https", 8443, "0.0.0.0/0")]));
    let found = look(&rig, &rig.store).await;
    let totals = Totals::of(&found);
    assert_eq!((totals.changing, totals.drift, totals.undeclared), (1, 1, 0), "{totals:?}");
    let calls = planned(&found[1]).plan.calls();
    let before: u64 = written(&rig).iter().map(|(_, count)| count).sum();
    rig.start_engine();
    rig.settled("web").await;
    rig.until("as shown", |rig| written(rig).iter().map(|(_, count)| count).sum::<u64>() == before + u64::try_from(calls).unwrap())
        .await;
    assert_eq!(rig.live("web").await, ["ingress tcp 8443 from 0.0.0.0/0"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_status_groups_are_found_by_their_tags_and_nobody_is_accused() {
    let mut rig = Rig::idle().await;
    apply(&rig.store);
    rig.start_engine();
    rig.settled("web").await;
    rig.settled("db").await;
    rig.stop_engine().await;
    // The same manifests elsewhere, as in a pull request.
    let fresh = Store::default();
    apply(&fresh);
    let totals = Totals::of(&look(&rig, &fresh).await);
    assert_eq!((totals.changing, totals.failed), (0, 0), "references are known, and uids no news: {totals:?}");

    rig.intrude(&rig.group("web"), &["ingress tcp 22 from 0.0.0.0/0"]).await;
    let fresh = Store::default();
    apply(&fresh);
    let totals = Totals::of(&look(&rig, &fresh).await);
    assert_eq!((totals.changing, totals.drift, totals.undeclared), (1, 0, 1), "{totals:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_planned_says_why_and_keeps_nobody_else() {
    let rig = Rig::idle().await;
    apply(&rig.store);
    let lost = manifest("lost", &[&tcp("https", 443, "0.0.0.0/0")]).replace(crate::rig::VPC, "vpc-0123456789abcdef0");
    rig.store.apply(&lost);
    let found = look(&rig, &rig.store).await;
    let totals = Totals::of(&found);
    assert_eq!((totals.groups, totals.failed, totals.creating), (3, 1, 2));
    let Finding::Stopped { reason, message } = &found[1].finding else { panic!("{found:#?}") };
    assert!(reason == "VpcNotFound" && message.contains("vpc-0123456789abcdef0"), "{reason}: {message}");
    assert!(planned(&found[2]).plan.calls() > 0);
}
