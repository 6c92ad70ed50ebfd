//! Somebody with the account's rights works against us. Every one of these scripts is lost by the intruder.

use std::time::Duration;

use sgwarden::adapters::sim::{Config, Fault, Quotas, VpcSeed};
use sgwarden::core::model::NewRule;

use crate::people::{SEEN_TWICE, SOON, account, in_force, with};
use crate::rig::{OURS, Rig, VPC, manifest, tcp};

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";
const WORLD: &str = "ingress tcp 443 from 0.0.0.0/0";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
/// Until what we wrote ourselves is no longer held against what is read.
const AT_REST: Duration = Duration::from_secs(700);

/// A group that lets the office in by https, at rest for `age`.
async fn office(rig: &Rig, age: Duration) {
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.settled("web").await;
    rig.pass(age).await;
}

fn roomy(rules: usize) -> Config {
    let quotas = Quotas { rules_per_group: rules, ..Quotas::default() };
    Config { vpcs: vec![VpcSeed::new(VPC)], quotas, ..Config::default() }
}

/// How the intruder makes the world's door of the office's.
#[derive(Clone, Copy, Debug)]
enum Swap {
    InPlace,
    RevokeFirst,
    AuthorizeFirst,
}

#[tokio::test(start_paused = true)]
async fn a_swap_of_the_office_for_the_world_is_taken_back_and_never_cuts_the_office() {
    for swap in [Swap::InPlace, Swap::RevokeFirst, Swap::AuthorizeFirst] {
        for age in [Duration::from_secs(1), AT_REST] {
            let rig = Rig::start().await;
            office(&rig, age).await;
            let group = rig.group("web");
            let open = rig.watch_open("web", WORLD);
            // The world holds the office: with either of them live, the office gets in.
            let cut = rig.watch("web", |rules| !rules.iter().any(|rule| rule == OFFICE || rule == WORLD));
            let at_a_write = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let (cuts, id) = (at_a_write.clone(), group.to_string());
            rig.writes.witness(std::sync::Arc::new(move |sim| {
                if !in_force(sim, &id).iter().any(|rule| rule == OFFICE || rule == WORLD) {
                    cuts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }));
            match swap {
                Swap::InPlace => rig.turn(&group, OFFICE, WORLD).await,
                Swap::RevokeFirst => {
                    rig.cut(&group, OFFICE).await;
                    rig.intrude(&group, &[WORLD]).await;
                }
                Swap::AuthorizeFirst => {
                    rig.intrude(&group, &[WORLD]).await;
                    rig.cut(&group, OFFICE).await;
                }
            }
            rig.until_has("web", &[OFFICE]).await;
            rig.pass(Duration::from_secs(200)).await;
            assert!(rig.has("web", &[OFFICE]), "{swap:?} {age:?}");
            assert_eq!(open.count(), 1, "{swap:?} {age:?}");
            assert!(open.longest() <= SEEN_TWICE, "{swap:?} {age:?}: open for {:?}", open.longest());
            assert_eq!((cut.count(), at_a_write.load(std::sync::atomic::Ordering::Relaxed)), (0, 0), "{swap:?} {age:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_intruder_cuts_is_back_after_two_reads_and_is_cut_no_longer_than_that() {
    for age in [Duration::from_secs(1), AT_REST] {
        let rig = Rig::start().await;
        office(&rig, age).await;
        let cut = rig.watch("web", |rules| !rules.iter().any(|rule| rule == OFFICE));
        let group = rig.group("web");
        rig.cut(&group, OFFICE).await;
        rig.intrude(&group, &["ingress tcp 443 from 192.0.2.0/24"]).await;
        rig.until_has("web", &[OFFICE]).await;
        rig.pass(Duration::from_secs(200)).await;
        assert!(rig.has("web", &[OFFICE]));
        assert_eq!(cut.count(), 1, "{age:?}");
        assert!(cut.longest() <= SEEN_TWICE, "{age:?}: cut for {:?}", cut.longest());
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_rules_hide_no_open_port() {
    let mut rig = Rig::over(roomy(500)).await;
    rig.store.apply_account(&account("limits: {rulesPerGroup: 60, revocationsPerMinute: 1}"));
    rig.start_engine();
    office(&rig, AT_REST).await;
    let group = rig.group("web");
    let noise: Vec<String> = (0..200).map(|n| format!("ingress tcp {} from 198.51.100.0/24", 2000 + n)).collect();
    let noise: Vec<&str> = noise.iter().map(String::as_str).collect();
    let (open, cut) = (rig.watch_open("web", SSH), rig.watch("web", |rules| !rules.iter().any(|rule| rule == OFFICE)));
    let loud = rig.watch("web", |rules| rules.iter().any(|rule| rule.ends_with("198.51.100.0/24")));
    rig.intrude(&group, &noise).await;
    rig.intrude(&group, &[SSH]).await;
    rig.until_has("web", &[OFFICE]).await;
    // Once more, ssh at the moment when the noise is being taken back.
    rig.pass(Duration::from_secs(1)).await;
    rig.intrude(&group, &noise).await;
    rig.until("the noise goes", |rig| rig.has("web", &[OFFICE])).await;
    rig.intrude(&group, &[SSH]).await;
    rig.until_has("web", &[OFFICE]).await;
    rig.pass(Duration::from_secs(200)).await;
    assert!(rig.has("web", &[OFFICE]));
    for (what, spans, times) in [("ssh", &open, 2), ("the noise", &loud, 2)] {
        assert_eq!(spans.count(), times, "{what}");
        assert!(spans.longest() <= SOON, "{what} was open for {:?}", spans.longest());
    }
    assert_eq!(cut.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_added_again_every_second_goes_with_every_sweep() {
    let rig = Rig::start().await;
    office(&rig, AT_REST).await;
    let group = rig.group("web");
    let open = rig.watch_open("web", SSH);
    for _ in 0..600 {
        if !in_force(&rig.sim, group.as_str()).iter().any(|rule| rule == SSH) {
            rig.intrude(&group, &[SSH]).await;
        }
        rig.pass(Duration::from_secs(1)).await;
        assert!(open.longest() <= SOON, "open for {:?}\n{}", open.longest(), rig.describe());
    }
    rig.until_has("web", &[OFFICE]).await;
    assert!(open.count() >= 8, "{} times", open.count());
    assert!(open.longest() <= SOON, "open for {:?}", open.longest());
    let told = rig.told("web", "RevertWar");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains(SSH), "{told:#?}");
}

/// An edit that is made again as soon as it is put right.
#[derive(Clone, Copy, Debug)]
enum Nuisance {
    Cut,
    Describe,
    Tag,
}

/// The same goes for a manifest that cannot be used: what was vouched for stays what is desired.
#[tokio::test(start_paused = true)]
async fn without_a_usable_manifest_too_a_war_is_not_fought_at_full_speed() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("sweepInterval: 10s"));
    rig.store.apply(&with("web", &[], &[&tcp("https", 443, "10.0.0.0/8"), &tcp("dns", 53, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    rig.pass(AT_REST).await;
    let group = rig.group("web");
    rig.store.apply(&with("web", &[], &[&tcp("https", 443, "10.0.0.0/8").replace("[443]", "[70000]")]));
    rig.condition("web", "Ready", "False", "InvalidSpec").await;
    let open = rig.watch_open("web", SSH);
    let mut cuts = 0;
    for _ in 0..600 {
        let rules = rig.rules(&group).await;
        if let Some(rule) = rules.iter().find(|rule| rule.atom.to_string() == OFFICE) {
            rig.intruder.write.revoke(&group, rule.atom.direction, std::slice::from_ref(&rule.id)).await.unwrap();
            cuts += 1;
        }
        rig.pass(Duration::from_secs(3)).await;
    }
    assert!((4..40).contains(&cuts), "half an hour, {cuts} times");
    rig.intrude(&group, &[SSH]).await;
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!(open.count(), 1);
    assert!(open.longest() <= Duration::from_secs(20), "open for {:?}", open.longest());
}

#[tokio::test(start_paused = true)]
async fn in_a_war_restores_are_made_less_and_less_often_and_additions_are_taken_back_all_the_same() {
    for nuisance in [Nuisance::Cut, Nuisance::Describe, Nuisance::Tag] {
        let mut rig = Rig::idle().await;
        rig.store.apply_account(&account("sweepInterval: 10s"));
        rig.store.apply(&with("web", &["tags: {team: shop}"], &[&tcp("https", 443, "10.0.0.0/8"), &tcp("dns", 53, "10.0.0.0/8")]));
        rig.start_engine();
        rig.settled("web").await;
        rig.pass(AT_REST).await;
        let group = rig.group("web");
        let open = rig.watch_open("web", SSH);
        let mut edits = 0;
        let mut before = None;
        for _ in 0..600 {
            let rules = rig.rules(&group).await;
            let state = (rules.clone(), rig.tags(&group).await);
            // Whoever undoes a write before any read has shown it makes every read look stale, for as long as such reads are
            // reckoned with: CloudTrail alone can tell that they are not.
            let shown = before.replace(state.clone()) == Some(state);
            match nuisance {
                _ if !shown => {}
                Nuisance::Cut => {
                    if let Some(rule) = rules.iter().find(|rule| rule.atom.to_string() == OFFICE) {
                        rig.intruder.write.revoke(&group, rule.atom.direction, std::slice::from_ref(&rule.id)).await.unwrap();
                        edits += 1;
                    }
                }
                Nuisance::Describe => {
                    let rule = rules.iter().find(|rule| rule.atom.to_string() == OFFICE).unwrap();
                    if rule.description.is_none() {
                        let text = Some("mine".to_owned());
                        rig.intruder.write.describe(&group, rule.atom.direction, &[(rule.id.clone(), text)]).await.unwrap();
                        edits += 1;
                    }
                }
                Nuisance::Tag => {
                    if rig.tags(&group).await["team"] == "shop" {
                        rig.tag(&group, &[("team", "mine")]).await;
                        edits += 1;
                    }
                }
            }
            if !rules.iter().any(|rule| rule.atom.to_string() == SSH) {
                rig.intrude(&group, &[SSH]).await;
            }
            rig.pass(Duration::from_secs(1)).await;
        }
        // Five at full speed, and then pauses of 30, 60, 120, 240 s.
        assert!((6..=10).contains(&edits), "{nuisance:?}: put right {edits} times");
        assert!(open.count() > 40, "{nuisance:?}: ssh was closed {} times only", open.count());
        assert!(open.longest() <= Duration::from_millis(13_200), "{nuisance:?}: open for {:?}", open.longest());
        rig.until("ssh is closed", |rig| !in_force(&rig.sim, group.as_str()).iter().any(|rule| rule == SSH)).await;
        // The war ends when the intruder gives up.
        rig.until("what was cut last is back", |rig| in_force(&rig.sim, group.as_str()).len() == 2).await;
        rig.settled("web").await;
        assert_eq!(rig.live("web").await, [OFFICE, "ingress tcp 53 from 10.0.0.0/8"], "{nuisance:?}");
        assert_eq!(rig.tags(&group).await["team"], "shop");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_war_over_the_office_the_revert_of_a_wider_rule_brings_the_office_back_with_it() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("sweepInterval: 10s"));
    rig.store.apply(&manifest(
        "web",
        &[&tcp("https", 443, "10.0.0.0/8"), &tcp("dns", 53, "10.0.0.0/8"), &tcp("ntp", 123, "10.0.0.0/8")],
    ));
    rig.start_engine();
    rig.settled("web").await;
    let group = rig.group("web");
    let back = |rig: &Rig| in_force(&rig.sim, rig.group("web").as_str()).iter().any(|rule| rule == OFFICE);
    for _ in 0..7 {
        rig.cut(&group, OFFICE).await;
        rig.until("the office is back", back).await;
        rig.pass(Duration::from_secs(1)).await;
    }
    rig.cut(&group, OFFICE).await;
    rig.pass(Duration::from_secs(30)).await;
    let waits = rig.says("web", "Ready", "False").unwrap();
    assert!(!back(&rig) && waits.starts_with("RevertWar: 1 restore waits"), "a restore that is put off is told: {waits}");
    assert!(rig.says("web", "Synced", "False").is_some());
    // The office gets in by the world's rule. To take that away must not cut it.
    rig.intrude(&group, &[WORLD]).await;
    let (open, cut) =
        (rig.watch_open("web", WORLD), rig.watch("web", |rules| !rules.iter().any(|rule| rule == OFFICE || rule == WORLD)));
    rig.until("the world is out", |rig| !in_force(&rig.sim, rig.group("web").as_str()).iter().any(|rule| rule == WORLD)).await;
    rig.pass(Duration::from_secs(20)).await;
    assert!(back(&rig) && cut.count() == 0, "cut {} times", cut.count());
    assert!(open.longest() <= Duration::from_millis(15_400), "{:?}", open.longest());
    rig.settled("web").await;
}

#[tokio::test(start_paused = true)]
async fn stripped_owner_tags_come_back_and_what_was_added_meanwhile_goes() {
    let all = ["sgwarden.dev/cluster", "sgwarden.dev/owner", "sgwarden.dev/uid", "sgwarden.dev/origin"];
    for stripped in [&all[..], &all[..1], &all[1..2], &all[2..3], &all[3..]] {
        let rig = Rig::start().await;
        office(&rig, AT_REST).await;
        let group = rig.group("web");
        let tags = rig.tags(&group).await;
        let open = rig.watch_open("web", SSH);
        rig.untag(&group, stripped).await;
        rig.intrude(&group, &[SSH]).await;
        rig.until_has("web", &[OFFICE]).await;
        assert!(open.longest() <= SOON, "{stripped:?}: open for {:?}", open.longest());
        rig.pass(Duration::from_secs(120)).await;
        rig.settled("web").await;
        assert_eq!(rig.tags(&group).await, tags, "{stripped:?}");
        assert_eq!(rig.group("web"), group);
        let drift = rig.drift("web");
        assert!(
            drift.iter().any(|record| record.starts_with("Reverted") && record.contains("TagRemoved")),
            "{stripped:?}: {drift:?}"
        );
        // A second time, without a rule to draw the eye.
        rig.untag(&group, stripped).await;
        rig.pass(Duration::from_secs(120)).await;
        assert_eq!(rig.tags(&group).await, tags, "{stripped:?}");
    }
}

/// What EC2 says when a policy has no statement for a call on a group, or one that denies it.
fn denial(group: &str, action: &str, why: &str) -> Fault {
    let message = format!(
        "You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/sgwarden/pod is not \
         authorized to perform: ec2:{action} on resource: arn:aws:ec2:eu-west-1:111122223333:security-group/{group} {why}"
    );
    let (message, about, access_key) = (Some(message), Some(group.to_owned()), Some(OURS.to_owned()));
    Fault { message, about, access_key, ..Fault::error(action, "UnauthorizedOperation", 403) }
}

#[tokio::test(start_paused = true)]
async fn a_stripped_tag_that_the_policy_does_not_let_us_put_back_is_told_with_both_ways_out() {
    let (cluster, owner) = ("sgwarden.dev/cluster", "sgwarden.dev/owner");
    for (stripped, why) in [
        (&[cluster][..], "because no identity-based policy allows the ec2:CreateTags action"),
        (&[cluster, owner][..], "because no identity-based policy allows the ec2:CreateTags action"),
        (&[cluster][..], "with an explicit deny in a service control policy"),
    ] {
        let rig = Rig::start().await;
        office(&rig, AT_REST).await;
        let group = rig.group("web");
        let tags = rig.tags(&group).await;
        // As the policy of deploy/ has it: nothing is allowed on a group without the cluster's tag.
        for action in ["CreateTags", "RevokeSecurityGroupIngress"] {
            rig.sim.inject(denial(group.as_str(), action, why));
        }
        rig.untag(&group, stripped).await;
        rig.intrude(&group, &[SSH]).await;
        let message = rig.condition("web", "Ready", "False", "PermissionDenied").await;
        let pairs: Vec<String> = stripped.iter().map(|key| format!(" Key={key},Value={}", tags[*key])).collect();
        let command = format!("(aws ec2 create-tags --region eu-west-1 --resources {group} --tags{})", pairs.concat());
        assert!(message.contains(&command), "{message}");
        assert_eq!(message.contains("statement Heal of deploy/iam/heal.json"), !why.contains("explicit deny"), "{message}");
        assert!(!message.contains("enforce.json"), "nothing there helps: {message}");
        rig.pass(Duration::from_secs(600)).await;
        assert_eq!(rig.says("web", "Ready", "False").unwrap(), format!("PermissionDenied: {message}"));
        // Somebody runs the command.
        rig.sim.clear_faults();
        let right: Vec<(&str, &str)> = stripped.iter().map(|key| (*key, tags[*key].as_str())).collect();
        rig.tag(&group, &right).await;
        rig.until_has("web", &[OFFICE]).await;
        rig.settled("web").await;
        assert_eq!(rig.tags(&group).await, tags);
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_has_nothing_to_do_with_our_tags_names_its_own_statement() {
    let rig = Rig::start().await;
    office(&rig, AT_REST).await;
    let group = rig.group("web");
    let why = "because no identity-based policy allows the ec2:RevokeSecurityGroupIngress action";
    rig.sim.inject(denial(group.as_str(), "RevokeSecurityGroupIngress", why));
    rig.intrude(&group, &[SSH]).await;
    let message = rig.condition("web", "Ready", "False", "PermissionDenied").await;
    assert!(message.contains("statement WriteOwned of deploy/iam/enforce.json allows it"), "{message}");
    assert!(!message.contains("create-tags"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_group_with_anothers_tags_is_not_written_and_converges_when_they_are_put_back() {
    for forged in [("sgwarden.dev/owner", "shop/db"), ("sgwarden.dev/cluster", "c2")] {
        let rig = Rig::start().await;
        office(&rig, AT_REST).await;
        let group = rig.group("web");
        let right = rig.tags(&group).await[forged.0].clone();
        let writes = rig.writes.count();
        rig.tag(&group, &[forged]).await;
        rig.intrude(&group, &[SSH]).await;
        let message = rig.condition("web", "Ready", "False", "OwnershipConflict").await;
        assert!(message.contains(forged.1) && message.contains("sgwarden does not touch it"), "{message}");
        let (key, said) = (forged.0, format!("tag {} is '{}' and has to be '{right}'", forged.0, forged.1));
        let command = format!("(aws ec2 create-tags --region eu-west-1 --resources {group} --tags Key={key},Value={right})");
        assert!(message.contains(&said) && message.contains(&command), "the way out: {message}");
        rig.cut(&group, OFFICE).await;
        // Also what the manifest asks for waits.
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8"), &tcp("dns", 53, "10.0.0.0/8")]));
        rig.pass(Duration::from_secs(600)).await;
        assert!(rig.has("web", &[SSH]), "{forged:?}");
        assert_eq!(rig.writes.count(), writes, "{forged:?}");
        assert_eq!(rig.told("web", "OwnershipConflict").len(), 1, "{forged:?}");
        rig.tag(&group, &[(forged.0, &right)]).await;
        rig.until_has("web", &[OFFICE, "ingress tcp 53 from 10.0.0.0/8"]).await;
        rig.settled("web").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_is_made_again_after_its_revert_is_taken_back_again() {
    for way in ["add", "cut", "turn", "describe"] {
        for pause in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(90)] {
            let rig = Rig::start().await;
            office(&rig, AT_REST).await;
            let group = rig.group("web");
            for round in 0..3 {
                match way {
                    "add" => drop(rig.intrude(&group, &[SSH]).await),
                    "cut" => rig.cut(&group, OFFICE).await,
                    "turn" => rig.turn(&group, OFFICE, WORLD).await,
                    _ => {
                        let row = rig.row(&group, OFFICE).await;
                        let text = [(row.id, Some("mine".to_owned()))];
                        rig.intruder.write.describe(&group, row.atom.direction, &text).await.unwrap();
                    }
                }
                let edited = rig.rules(&group).await;
                let since = tokio::time::Instant::now();
                let writes = rig.writes.count();
                rig.until("the edit is put right", |rig| rig.writes.count() > writes && rig.has("web", &[OFFICE])).await;
                let took = since.elapsed();
                // What a row of ours allowed before we altered it may be an old read for a minute, a text for five, and so may be
                // that a row is missing which no read has shown yet.
                let lag = match way {
                    "turn" if round > 0 => 60,
                    "describe" if round > 0 => 300,
                    "cut" if round > 0 && pause.is_zero() => 300,
                    _ => 0,
                };
                assert!(took <= SEEN_TWICE + Duration::from_secs(lag), "{way} round {round} pause {pause:?}: took {took:?}");
                let now = rig.rules(&group).await;
                assert!(now != edited && now[0].description.is_none(), "{way} {now:?}");
                rig.pass(pause).await;
            }
            rig.settled("web").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_twin_of_a_declared_rule_under_another_id_is_no_way_in() {
    let rig = Rig::start().await;
    office(&rig, AT_REST).await;
    let group = rig.group("web");
    let twin = NewRule { atom: OFFICE.parse().unwrap(), description: Some("mine".to_owned()) };
    rig.cut(&group, OFFICE).await;
    rig.intruder.write.authorize(&group, twin.atom.direction, &[twin]).await.unwrap();
    rig.pass(Duration::from_secs(180)).await;
    let row = rig.row(&group, OFFICE).await;
    assert_eq!(row.description, None, "its text is ours again");
    // The manifest drops the rule: the twin goes like the one it stands for.
    rig.store.apply(&manifest("web", &[&tcp("dns", 53, "10.0.0.0/8")]));
    rig.until_has("web", &["ingress tcp 53 from 10.0.0.0/8"]).await;
}
