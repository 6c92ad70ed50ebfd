//! Whose group it is: who may take over what, who may use an account, who may refer to whom. What is refused says why, and
//! nothing is written.

use std::time::Duration;

use crate::people::{account, in_namespace, with};
use crate::rig::{Rig, VPC, manifest, tcp};

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
const CONSENT: (&str, &str) = ("sgwarden.dev/adopt", "c1/shop");
const APPROVE: &str = "sgwarden.dev/approve";

/// A manifest that takes over a group and declares the office's https.
fn adopting(name: &str, group: &str) -> String {
    with(name, &[&format!("adopt: {{groupId: {group}}}")], &[&tcp("https", 443, "10.0.0.0/8")])
}

/// Nothing is written for a while.
async fn quiet(rig: &Rig, why: &str) {
    let writes = rig.writes.count();
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!(rig.writes.count(), writes, "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_group_is_taken_over_with_consent_only_and_the_first_plan_that_revokes_waits() {
    let rig = Rig::start().await;
    let group = rig.stray("legacy-web", &[("team", "shop")], &[SSH]).await;
    rig.store.apply(&adopting("web", group.as_str()));
    let message = rig.condition("web", "Ready", "False", "AwaitingConsent").await;
    assert!(message.contains("sgwarden.dev/adopt=c1/shop"), "the way out: {message}");
    quiet(&rig, "nobody consented").await;
    for wrong in ["c2/shop", "c1/other"] {
        rig.tag(&group, &[("sgwarden.dev/adopt", wrong)]).await;
        quiet(&rig, wrong).await;
        rig.condition("web", "Ready", "False", "AwaitingConsent").await;
    }
    assert_eq!(rig.told("web", "AwaitingConsent").len(), 1);
    rig.tag(&group, &[CONSENT]).await;
    let message = rig.condition("web", "Ready", "False", "AwaitingApproval").await;
    assert!(message.contains("the first plan of a group that was taken over revokes rules"), "{message}");
    let tags = rig.tags(&group).await;
    assert_eq!((tags["sgwarden.dev/owner"].as_str(), tags["sgwarden.dev/origin"].as_str()), ("shop/web", "Adopted"));
    quiet(&rig, "the first plan waits").await;
    assert!(rig.has("web", &[SSH]));
    let plan = rig.store.get("web").unwrap().status.unwrap().plan.unwrap();
    rig.store.annotate("web", APPROVE, Some(&format!("{} ada", plan.hash.unwrap())));
    rig.until_has("web", &[OFFICE]).await;
    rig.settled("web").await;
    let causes: Vec<&str> = rig.audit.all().iter().flat_map(|record| &record.items).map(|item| item.cause).collect();
    assert!(causes.iter().all(|cause| !matches!(*cause, "Drift")), "what was there before us is nobody's edit: {causes:?}");
    assert_eq!(rig.drift("web").iter().filter(|record| record.contains("Added")).count(), 0, "{:?}", rig.drift("web"));
    // From now on it is kept as any other.
    rig.intrude(&group, &[SSH]).await;
    rig.until_has("web", &[OFFICE]).await;
    rig.store.delete("web");
    rig.gone("web").await;
    assert_eq!(rig.rules(&group).await.len(), 1, "what was taken over is let go of, not deleted");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_allows_it_needs_no_tag_and_a_service_needs_both() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("adoption: Allowed"));
    let plain = rig.stray("legacy-web", &[], &[OFFICE]).await;
    let service = rig.stray("k8s-elb-a0123", &[], &[OFFICE]).await;
    rig.store.apply(&adopting("web", plain.as_str()));
    rig.store.apply(&adopting("elb", service.as_str()));
    rig.start_engine();
    rig.settled("web").await;
    let message = rig.condition("elb", "Ready", "False", "AdoptionRefused").await;
    assert!(message.contains("k8s-elb-") && message.contains("sgwarden.dev/adopt=c1/shop"), "{message}");
    quiet(&rig, "a service's group").await;
    assert!(rig.tags(&service).await.is_empty());
    rig.tag(&service, &[CONSENT]).await;
    rig.settled("elb").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_over_by_name_is_found_by_name() {
    let rig = Rig::start().await;
    let group = rig.stray("legacy-web", &[CONSENT], &[OFFICE]).await;
    rig.store.apply(&with("web", &["groupName: legacy-web", "adopt: {byName: true}"], &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.store.apply(&with("db", &["groupName: nobody", "adopt: {byName: true}"], &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.settled("web").await;
    assert_eq!(rig.group("web"), group);
    let message = rig.condition("db", "Ready", "False", "AdoptionRefused").await;
    assert!(message.contains("there is no group called 'nobody'"), "{message}");
    assert!(rig.asked_for("shop/db").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_default_group_is_kept_whatever_the_manifest_says_of_deletion() {
    let rig = Rig::start().await;
    let group = rig.default_group().await;
    rig.tag(&group, &[CONSENT]).await;
    let adopt = format!("adopt: {{groupId: {group}}}");
    rig.store.apply(&with("web", &[&adopt, "deletionPolicy: Delete"], &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.condition("web", "Ready", "False", "AwaitingApproval").await;
    let hash = rig.store.get("web").unwrap().status.unwrap().plan.unwrap().hash.unwrap();
    rig.store.annotate("web", APPROVE, Some(&format!("{hash} ada")));
    rig.settled("web").await;
    rig.store.delete("web");
    rig.gone("web").await;
    assert_eq!(rig.default_group().await, group);
    assert!(!rig.asked_for("shop/web").contains(&"DeleteSecurityGroup"));
    let told = rig.told("web", "Retained");
    assert!(told.len() == 1 && told[0].contains("default group of its VPC"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_adopted_group_that_is_gone_is_not_created_again() {
    let rig = Rig::start().await;
    let group = rig.stray("legacy-web", &[CONSENT], &[OFFICE]).await;
    rig.store.apply(&adopting("web", group.as_str()));
    rig.settled("web").await;
    rig.intruder.write.delete_group(&group).await.unwrap();
    let message = rig.condition("web", "Stalled", "True", "GroupGone").await;
    assert!(message.contains(group.as_str()) && message.contains("spec.adopt"), "{message}");
    quiet(&rig, "nobody knows what it was").await;
    assert_eq!(rig.told("web", "GroupGone").len(), 1);
    // The way out: another group.
    let next = rig.stray("next-web", &[CONSENT], &[OFFICE]).await;
    rig.store.apply(&adopting("web", next.as_str()));
    rig.settled("web").await;
    assert_eq!(rig.group("web"), next);
    assert!(rig.drift("web").is_empty() && rig.has("web", &[OFFICE]), "what the old one was says nothing of the next");
}

#[tokio::test(start_paused = true)]
async fn two_objects_that_claim_one_group_are_told_apart_and_one_of_them_writes() {
    let rig = Rig::start().await;
    let group = rig.stray("legacy-web", &[CONSENT], &[]).await;
    rig.store.apply(&adopting("web", group.as_str()));
    rig.settled("web").await;
    let other = with("db", &[&format!("adopt: {{groupId: {group}}}")], &[&tcp("ssh", 22, "0.0.0.0/0")]);
    rig.store.apply(&other);
    let message = rig.condition("db", "Ready", "False", "AdoptionRefused").await;
    assert!(message.contains("object shop/web"), "{message}");
    quiet(&rig, "the group has its owner").await;
    assert!(rig.asked_for("shop/db").is_empty());
    assert!(rig.has("web", &[OFFICE]));
    // The second goes without harm to the first.
    rig.store.delete("db");
    rig.gone("db").await;
    quiet(&rig, "it never was its group").await;
    rig.settled("web").await;
}

#[tokio::test(start_paused = true)]
async fn two_objects_that_claim_one_group_at_the_same_moment_do_not_both_write() {
    let mut rig = Rig::idle().await;
    let group = rig.stray("legacy-web", &[CONSENT], &[]).await;
    let adopt = format!("adopt: {{groupId: {group}}}");
    rig.store.apply(&with("web", &[&adopt], &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.store.apply(&with("db", &[&adopt], &[&tcp("dns", 53, "10.0.0.0/8")]));
    rig.start_engine();
    let ready = |rig: &Rig, name: &str| rig.says(name, "Ready", "True").is_some();
    rig.until("one of them has it", |rig| ready(rig, "web") || ready(rig, "db")).await;
    rig.pass(Duration::from_secs(300)).await;
    let (winner, loser) = if ready(&rig, "web") { ("web", "db") } else { ("db", "web") };
    let owner = rig.tags(&group).await["sgwarden.dev/owner"].clone();
    assert_eq!(owner, format!("shop/{winner}"));
    let refused = rig.says(loser, "Ready", "False").unwrap();
    assert!(refused.starts_with("OwnershipConflict") || refused.starts_with("AdoptionRefused"), "{refused}");
    let rules = |name: &str| rig.asked_for(&format!("shop/{name}")).into_iter().filter(|call| !call.ends_with("Tags")).count();
    assert_eq!((rules(winner), rules(loser)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_claimant_within_the_wait_after_tagging_stops_us_before_the_first_rule() {
    let rig = Rig::start().await;
    let group = rig.stray("legacy-web", &[CONSENT], &[]).await;
    rig.store.apply(&adopting("web", group.as_str()));
    rig.until("the group is tagged", |rig| rig.writes.count() == 1).await;
    let since = tokio::time::Instant::now();
    rig.pass(Duration::from_secs(5)).await;
    assert_eq!(rig.writes.count(), 1, "its tags have not stood for long enough");
    // Someone else read it as nobody's too, and was slower.
    rig.tag(&group, &[("sgwarden.dev/cluster", "c2"), ("sgwarden.dev/owner", "shop/web")]).await;
    let message = rig.condition("web", "Ready", "False", "OwnershipConflict").await;
    assert!(message.contains("cluster c2") && !message.contains("create-tags"), "nobody is told to take it from them: {message}");
    assert!(since.elapsed() <= Duration::from_secs(12), "{:?}", since.elapsed());
    quiet(&rig, "it is c2's").await;
    assert_eq!(rig.asked_for("shop/web"), ["CreateTags"]);
}

#[tokio::test(start_paused = true)]
async fn rules_follow_the_tags_after_the_wait_also_over_a_crash() {
    for crash in [false, true] {
        let mut rig = Rig::start().await;
        let group = rig.stray("legacy-web", &[CONSENT], &[]).await;
        rig.store.apply(&adopting("web", group.as_str()));
        rig.until("the group is tagged", |rig| rig.writes.count() == 1).await;
        let mut tagged = tokio::time::Instant::now();
        if crash {
            rig.pass(Duration::from_secs(3)).await;
            rig.kill_engine().await;
            tagged = tokio::time::Instant::now();
            rig.start_engine();
        }
        rig.until("a rule is written", |rig| rig.writes.count() == 2).await;
        assert!((10..=13).contains(&tagged.elapsed().as_secs()), "{:?}", tagged.elapsed());
        rig.settled("web").await;
        assert!(rig.has("web", &[OFFICE]));
    }
}

#[tokio::test(start_paused = true)]
async fn two_clusters_that_claim_one_group_do_not_both_write() {
    for together in [true, false] {
        let mut one = Rig::idle().await;
        let mut two = one.beside("c2");
        let group = one.stray("legacy-web", &[], &[]).await;
        for rig in [&one, &two] {
            rig.store.apply_account(&account("adoption: Allowed"));
            rig.store.apply(&adopting("web", group.as_str()));
        }
        one.start_engine();
        if !together {
            one.settled("web").await;
        }
        two.start_engine();
        one.pass(Duration::from_secs(600)).await;
        let owner = one.tags(&group).await["sgwarden.dev/cluster"].clone();
        let (winner, loser) = if owner == "c1" { (&one, &two) } else { (&two, &one) };
        winner.settled("web").await;
        assert!(together || owner == "c1");
        let refused = loser.says("web", "Ready", "False").unwrap();
        assert!(refused.starts_with("OwnershipConflict") || refused.starts_with("AdoptionRefused"), "{refused}");
        assert!(refused.contains(&format!("cluster {owner}")), "{refused}");
        assert!(loser.asked_for("shop/web").iter().all(|call| *call == "CreateTags"), "{:?}", loser.asked_for("shop/web"));
        // The loser's object goes, the group stays as it is.
        loser.store.delete("web");
        loser.gone("web").await;
        assert!(winner.has("web", &[OFFICE]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_cluster_of_the_same_manifests_finds_the_name_taken() {
    let one = Rig::start().await;
    let mut two = one.beside("c2");
    one.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    one.settled("web").await;
    two.store.apply(&manifest("web", &[&tcp("ssh", 22, "0.0.0.0/0")]));
    two.start_engine();
    let message = two.condition("web", "Ready", "False", "GroupNameTaken").await;
    assert!(message.contains(one.group("web").as_str()), "{message}");
    quiet(&two, "the name is taken").await;
    assert!(two.asked_for("shop/web").is_empty());
    quiet(&one, "nobody touched it").await;
    assert!(one.has("web", &[OFFICE]));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_may_not_use_an_account_gets_nothing_written() {
    let mut rig = Rig::idle().await;
    let only = "allowedNamespaces: {from: Selector, selector: {matchLabels: {team: shop}}}";
    rig.store.apply_account(&account(only));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    let message = rig.condition("web", "Ready", "False", "NamespaceNotAllowed").await;
    assert!(message.contains("namespace shop may not use account default") && message.contains("allowedNamespaces"), "{message}");
    quiet(&rig, "the namespace is not even known").await;
    rig.store.apply_namespace("shop", &[("team", "other")], &[]);
    quiet(&rig, "the namespace has other labels").await;
    rig.store.apply_namespace("shop", &[("team", "shop")], &[]);
    rig.settled("web").await;
    // What is taken from it later leaves its group alone: an account that forbids a namespace is not written for it.
    rig.store.apply_namespace("shop", &[], &[]);
    rig.condition("web", "Ready", "False", "NamespaceNotAllowed").await;
    rig.store.apply(&manifest("web", &[&tcp("ssh", 22, "0.0.0.0/0")]));
    rig.pass(Duration::from_secs(60)).await;
    quiet(&rig, "the namespace is forbidden by now").await;
    assert!(rig.has("web", &[OFFICE]));
    assert_eq!(rig.told("web", "NamespaceNotAllowed").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vpc_that_the_account_does_not_list_gets_no_group() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("allowedNamespaces: {from: All, vpcs: [vpc-0ffffffffffffffff]}"));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    let message = rig.condition("web", "Ready", "False", "VpcNotAllowed").await;
    assert!(message.contains(VPC) && message.contains("allowedNamespaces.vpcs"), "{message}");
    quiet(&rig, "the VPC is not allowed").await;
    assert_eq!(rig.writes.count(), 0);
}

/// How a reference across namespaces is allowed.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Name,
    Labels,
    Grant,
}

fn grant(to: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: to-shop, namespace: platform}}\nspec: {{from: \
         [{{group: sgwarden.dev, kind: SecurityGroup, namespace: shop}}], to: [{{group: sgwarden.dev, kind: {to}}}]}}"
    )
}

/// The set `office` and the group `lb` of namespace `platform`, with this said of who may refer to them.
fn platform(rig: &Rig, leave: &str) {
    let set = "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {name: office, namespace: platform}\nspec: {cidrs: [{cidr: \
               192.0.2.0/24}]";
    rig.store.apply_set(&format!("{set}{leave}}}"));
    let leave = leave.trim_start_matches(", ");
    let fields: Vec<&str> = if leave.is_empty() { Vec::new() } else { vec![leave] };
    rig.store.apply(&in_namespace("platform", &with("lb", &fields, &[])));
}

#[tokio::test(start_paused = true)]
async fn a_reference_across_namespaces_is_refused_until_it_is_allowed_and_closes_what_it_opened_when_it_is_withdrawn() {
    for leave in [Leave::Name, Leave::Labels, Leave::Grant] {
        let rig = Rig::start().await;
        rig.store.apply_namespace("shop", &[("team", "shop")], &[]);
        platform(&rig, "");
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
        rig.settled("web").await;
        rig.until("lb has a group", |rig| {
            rig.store.get_in("platform", "lb").and_then(|object| object.status).and_then(|status| status.group_id).is_some()
        })
        .await;
        rig.pass(Duration::from_secs(120)).await;
        let lb = rig.store.get_in("platform", "lb").unwrap().status.unwrap().group_id.unwrap();
        let writes = rig.writes.count();
        let refers = |kind: &str, name: &str| {
            format!("{{name: {name}, protocol: tcp, ports: [80], from: [{{{kind}: {{name: {name}, namespace: platform}}}}]}}")
        };
        let (by_set, by_group) = (refers("cidrSet", "office"), refers("securityGroup", "lb"));
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8"), &by_set, &by_group]));
        let message = rig.condition("web", "ReferencesResolved", "False", "ReferenceNotGranted").await;
        for kind in ["cidrsets.sgwarden.dev platform/office", "securitygroups.sgwarden.dev platform/lb"] {
            assert!(message.contains(&format!("{kind} does not allow references from namespace shop")), "{message}");
        }
        rig.pass(Duration::from_secs(300)).await;
        assert_eq!(rig.writes.count(), writes, "{leave:?}: nothing is written");
        assert_eq!(rig.told("web", "ReferenceNotGranted").len(), 1);
        match leave {
            Leave::Name => platform(&rig, ", allowedNamespaces: {from: All}"),
            Leave::Labels => platform(&rig, ", allowedNamespaces: {from: Selector, selector: {matchLabels: {team: shop}}}"),
            Leave::Grant => {
                rig.store.apply_grant(&grant("CidrSet"));
                rig.pass(Duration::from_secs(10)).await;
                assert_eq!(rig.live("web").await.len(), 2, "the grant is for sets alone");
                rig.store.apply_grant(&grant("CidrSet").replace("to-shop", "too").replace("CidrSet", "SecurityGroup"));
            }
        }
        rig.settled("web").await;
        let opened = [OFFICE.to_owned(), "ingress tcp 80 from 192.0.2.0/24".to_owned(), format!("ingress tcp 80 from {lb}")];
        let mut expected = opened.to_vec();
        expected.sort();
        assert_eq!(rig.live("web").await, expected, "{leave:?}");
        // Withdrawn: closed as a change, and nobody is accused of an edit.
        match leave {
            Leave::Name => platform(&rig, ""),
            Leave::Labels => rig.store.apply_namespace("shop", &[("team", "other")], &[]),
            Leave::Grant => {
                rig.store.delete_grant("platform", "to-shop");
                rig.store.delete_grant("platform", "too");
            }
        }
        rig.until_has("web", &[OFFICE]).await;
        rig.condition("web", "ReferencesResolved", "False", "ReferenceNotGranted").await;
        let mut closed: Vec<String> = rig.done_because("GrantWithdrawn").into_iter().filter_map(|item| item.before).collect();
        closed.sort();
        assert_eq!(closed, ["ingress tcp 80 from 192.0.2.0/24".to_owned(), format!("ingress tcp 80 from {lb}")], "{leave:?}");
        assert!(rig.drift("web").is_empty(), "{leave:?}: {:?}", rig.drift("web"));
        assert!(rig.done_because("Drift").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_from_a_backup_invents_no_drift_and_cuts_nothing() {
    // Restored as it was, restored as it was some edits ago, and applied again after a delete with Retain.
    for stale in [false, true] {
        let rig = Rig::start().await;
        let first = with("web", &["deletionPolicy: Retain"], &[&tcp("https", 443, "10.0.0.0/8"), &tcp("old", 80, "10.0.0.0/8")]);
        let second = with("web", &["deletionPolicy: Retain"], &[&tcp("https", 443, "10.0.0.0/8"), &tcp("new", 81, "10.0.0.0/8")]);
        rig.store.apply(&first);
        let mut backup = rig.settled("web").await;
        rig.store.apply(&second);
        let latest = rig.settled("web").await;
        rig.pass(Duration::from_secs(120)).await;
        let group = rig.group("web");
        rig.store.delete("web");
        rig.gone("web").await;
        let rules = rig.rules(&group).await;
        assert_eq!(rules.len(), 2, "Retain");
        if stale {
            backup.spec = latest.spec.clone();
        } else {
            backup = latest;
        }
        let cut = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (count, id) = (cut.clone(), group.to_string());
        rig.writes.witness(std::sync::Arc::new(move |sim| {
            if crate::people::in_force(sim, &id).len() < 2 {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }));
        rig.store.restore(backup);
        rig.settled("web").await;
        rig.pass(Duration::from_secs(300)).await;
        let now = rig.store.get("web").unwrap();
        assert!(now.status.as_ref().unwrap().drift.iter().all(|record| record.resolution != "Pending"));
        assert_eq!(rig.group("web"), group);
        assert_eq!(rig.rules(&group).await, rules, "not a rule was touched");
        assert_eq!(rig.tags(&group).await["sgwarden.dev/uid"], now.metadata.uid.clone().unwrap());
        assert!(rig.drift("web").is_empty(), "{:?}", rig.drift("web"));
        assert_eq!(cut.load(std::sync::atomic::Ordering::Relaxed), 0);
        assert_eq!(rig.told("web", "Reclaimed").len(), 1);
        // And once it knows the group again, drift is drift.
        rig.intrude(&group, &[SSH]).await;
        rig.until("ssh is closed", |rig| {
            rig.writes.count() > 0 && !crate::people::in_force(&rig.sim, group.as_str()).iter().any(|rule| rule == SSH)
        })
        .await;
        rig.until("its record is there", |rig| rig.drift("web").iter().any(|record| record.starts_with("Reverted 1 Added"))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_applied_again_after_a_delete_with_retain_takes_its_group_back_without_a_cut() {
    let rig = Rig::start().await;
    let web = with("web", &["deletionPolicy: Retain"], &[&tcp("https", 443, "10.0.0.0/8")]);
    rig.store.apply(&web);
    rig.settled("web").await;
    let group = rig.group("web");
    rig.pass(Duration::from_secs(120)).await;
    let cut = rig.watch("web", |rules| !rules.iter().any(|rule| rule == OFFICE));
    rig.store.delete("web");
    rig.gone("web").await;
    // Meanwhile somebody adds a rule: whose it is, nobody can tell.
    rig.intrude(&group, &["ingress tcp 8080 from 10.0.0.0/8"]).await;
    rig.store.apply(&web);
    rig.settled("web").await;
    assert_eq!(rig.group("web"), group);
    assert_eq!(rig.live("web").await, [OFFICE]);
    assert_eq!(cut.count(), 0);
    assert!(rig.drift("web").iter().all(|record| !record.contains("Added")), "{:?}", rig.drift("web"));
    assert_eq!(rig.done_because("Drift").len(), 0);
    assert_eq!(rig.done_because("Unclassified").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_taken_over_stays_so_when_its_object_is_applied_again() {
    // With the tag that tells, and without it: then it is not known, and not said to be created here either.
    for (stripped, named) in [(false, false), (false, true), (true, false), (true, true)] {
        let rig = Rig::start().await;
        let group = rig.stray("legacy-web", &[CONSENT], &[OFFICE]).await;
        let mut object = adopting("web", group.as_str());
        if named {
            object.push_str("  groupName: legacy-web\n  description: by hand\n");
        }
        rig.store.apply(&object);
        rig.settled("web").await;
        rig.pass(Duration::from_secs(400)).await;
        rig.store.delete("web");
        rig.gone("web").await;
        rig.intrude(&group, &[SSH]).await;
        if stripped {
            rig.untag(&group, &["sgwarden.dev/origin"]).await;
        }
        let origins = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let (seen, id) = (origins.clone(), group.to_string());
        rig.writes.witness(std::sync::Arc::new(move |sim| {
            seen.lock().unwrap().insert(crate::people::tag_of(sim, &id, "sgwarden.dev/origin"));
        }));
        rig.store.apply(&object);
        rig.condition("web", "Ready", "False", "AwaitingApproval").await;
        quiet(&rig, "the first plan of a group that was taken over waits").await;
        assert!(rig.has("web", &[SSH, OFFICE]), "whose ssh is nobody can tell");
        assert_eq!(*origins.lock().unwrap(), [Some("Adopted".to_owned())].into());
        let now = rig.store.get("web").unwrap();
        assert_eq!(rig.tags(&group).await["sgwarden.dev/uid"], now.metadata.uid.unwrap());
        let status = now.status.unwrap();
        assert_eq!((status.origin.as_deref(), status.group_name.as_deref()), (Some("Adopted"), Some("legacy-web")));
        let hash = status.plan.unwrap().hash.unwrap();
        rig.store.annotate("web", APPROVE, Some(&format!("{hash} ada")));
        rig.until_has("web", &[OFFICE]).await;
        rig.settled("web").await;
        rig.store.delete("web");
        rig.gone("web").await;
        assert_eq!(rig.rules(&group).await.len(), 1, "let go of, not deleted");
    }
}
