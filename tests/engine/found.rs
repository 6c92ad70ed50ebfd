//! What random worlds found, each told by itself.

use std::time::Duration;

use sgwarden::adapters::sim::StaleReads;

use crate::rig::{Rig, manifest, tcp};

/// A manifest with a tag, and rules that are replaced by the next one, so that a pass takes its time.
fn tagged(port: u16, team: &str, text: &str) -> String {
    let https = tcp("https", 443, "0.0.0.0/0").replacen("{name:", &format!("{{description: {text}, name:"), 1);
    let other = tcp(&format!("p{port}"), port, "10.0.0.0/8");
    manifest("web", &[&https, &other]).replace("  egressPolicy", &format!("  tags: {{team: {team}}}\n  egressPolicy"))
}

/// A group whose rules all refer to itself has none that were decided on when it was created: its id was not known yet. That
/// the egress of a new group goes with them is no reason to ask a person.
#[tokio::test(start_paused = true)]
async fn a_new_group_that_refers_to_itself_alone_waits_for_nobody() {
    let rig = Rig::start().await;
    let rule = "{name: peers, protocol: tcp, ports: [80], to: [{self: true}]}";
    rig.store.apply(&manifest("web", &[]).replace("  egressPolicy: DenyAll\n", &format!("  egress: [{rule}]\n")));
    rig.settled("web").await;
    assert_eq!(rig.live("web").await, [format!("egress tcp 80 to {}", rig.group("web"))]);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_changes_its_mind_during_a_pass_makes_no_drift_of_tags_and_descriptions() {
    // At every moment of a pass that takes about six seconds.
    for tenth in (0..70).step_by(5) {
        let rig = Rig::start().await;
        rig.store.apply(&tagged(1000, "shop", "one"));
        rig.settled("web").await;
        rig.store.apply(&tagged(2000, "bank", "two"));
        rig.pass(Duration::from_millis(100 * tenth)).await;
        rig.store.apply(&tagged(1000, "shop", "one"));
        rig.settled("web").await;
        let status = rig.store.get("web").unwrap().status.unwrap();
        assert!(status.drift.is_empty(), "{tenth} tenths of a second: {:#?}", status.drift);
        assert_eq!(rig.tags(&rig.group("web")).await["team"], "shop");
        let texts: Vec<Option<String>> = rig.rules(&rig.group("web")).await.into_iter().map(|rule| rule.description).collect();
        assert!(texts.contains(&Some("one".to_owned())), "{texts:?}");
    }
}

/// The same after a crash, which loses what the process knew.
#[tokio::test(start_paused = true)]
async fn a_crash_and_a_manifest_that_changes_its_mind_make_no_drift_of_tags_and_descriptions() {
    for tenth in (0..70).step_by(5) {
        let mut rig = Rig::start().await;
        rig.store.apply(&tagged(1000, "shop", "one"));
        rig.settled("web").await;
        rig.store.apply(&tagged(2000, "bank", "two"));
        rig.pass(Duration::from_millis(100 * tenth)).await;
        rig.kill_engine().await;
        rig.store.apply(&tagged(1000, "shop", "one"));
        rig.start_engine();
        rig.settled("web").await;
        let drift = rig.store.get("web").unwrap().status.unwrap().drift;
        assert!(drift.is_empty(), "{tenth} tenths of a second: {drift:#?}");
        assert_eq!(rig.tags(&rig.group("web")).await["team"], "shop");
    }
}

/// A listing may show a new group whose rules another server does not know yet. What the group was born with is not gone then.
#[tokio::test(start_paused = true)]
async fn the_egress_of_a_new_group_that_shows_late_is_nobodys_addition() {
    let rig = Rig::start().await;
    let late = StaleReads { action: "DescribeSecurityGroupRules".to_owned(), max_ms: 8000, fixed: true, ..StaleReads::default() };
    rig.sim.set_stale_reads(Some(late));
    // Its only rule waits for a group that does not exist: there is nothing to authorize meanwhile.
    let rule = "{name: peers, protocol: tcp, ports: [80], from: [{securityGroup: {name: other}}]}";
    rig.store.apply(&manifest("web", &[rule]));
    rig.condition("web", "ReferencesResolved", "False", "ReferencesNotReady").await;
    rig.pass(Duration::from_secs(30)).await;
    rig.store.apply(&manifest("other", &[]));
    rig.settled("web").await;
    assert_eq!(rig.live("web").await, [format!("ingress tcp 80 from {}", rig.group("other"))]);
    for name in ["web", "other"] {
        let drift = rig.store.get(name).unwrap().status.unwrap().drift;
        assert!(drift.is_empty(), "{drift:#?}");
    }
}
