//! What manifests and accounts say of enforcement: suspend, tolerate, Keep, Report, Observe, ceilings, and what ends by itself.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sgwarden::ports::clock::Clock;
use sgwarden::ports::metrics::Health;

use crate::people::{SOON, account, in_force, with};
use crate::rig::{Rig, manifest, tcp};

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";
const DNS: &str = "ingress tcp 53 from 10.0.0.0/8";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
const SUSPEND: &str = "sgwarden.dev/suspend";

fn https() -> String {
    tcp("https", 443, "10.0.0.0/8")
}

/// A manifest of the office's https with this enforcement.
fn enforced(enforcement: &str) -> String {
    with("web", &[&format!("enforcement: {{{enforcement}}}")], &[&https()])
}

/// A time from now on, as manifests have it.
fn in_minutes(rig: &Rig, minutes: i64) -> Timestamp {
    let at = rig.now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
    Timestamp::from_second(at.as_second()).unwrap()
}

async fn minutes(rig: &Rig, minutes: u64) {
    rig.pass(Duration::from_secs(60 * minutes)).await;
}

/// How a suspend is declared.
#[derive(Clone, Copy, Debug)]
enum By {
    Spec,
    Annotation,
}

/// Declares a suspend beside these rules.
fn suspend(rig: &Rig, by: By, until: Timestamp, rules: &[&str]) {
    match by {
        By::Spec => {
            rig.store.apply(&with(
                "web",
                &[&format!("enforcement: {{suspend: {{until: \"{until}\", reason: incident 4711}}}}")],
                rules,
            ));
        }
        By::Annotation => {
            rig.store.apply(&manifest("web", rules));
            rig.store.annotate("web", SUSPEND, Some(&format!("{until} incident 4711")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_suspended_changes_apply_and_edits_stay_until_its_end() {
    for by in [By::Spec, By::Annotation] {
        let rig = Rig::start().await;
        rig.store.apply(&manifest("web", &[&https()]));
        rig.settled("web").await;
        minutes(&rig, 10).await;
        let group = rig.group("web");
        let until = in_minutes(&rig, 60);
        suspend(&rig, by, until, &[&https()]);
        rig.until("it is suspended", |rig| rig.says("web", "Suspended", "True").is_some()).await;
        rig.intrude(&group, &[SSH]).await;
        rig.cut(&group, OFFICE).await;
        minutes(&rig, 20).await;
        assert!(rig.has("web", &[SSH]), "{by:?}: nothing is reverted");
        assert!(rig.drift("web").iter().any(|record| record.starts_with("Suspended")), "{:?}", rig.drift("web"));
        // The manifest changes: that is no revert.
        suspend(&rig, by, until, &[&https(), &tcp("dns", 53, "10.0.0.0/8")]);
        rig.until_has("web", &[SSH, DNS]).await;
        assert!(rig.now() < until);
        rig.until("its end is announced", |rig| !rig.told("web", "SuspendEndsSoon").is_empty()).await;
        let announced = until.duration_since(rig.now());
        assert!((14 * 60..=15 * 60).contains(&announced.as_secs()), "{by:?}: {announced:?} before the end");
        let soon = rig.told("web", "SuspendEndsSoon");
        assert!(soon.len() == 1 && soon[0].contains("tcp 22"), "with what will be reverted: {soon:?}");
        let open = rig.watch_open("web", SSH);
        rig.until_has("web", &[OFFICE, DNS]).await;
        let late = rig.now().duration_since(until);
        assert!((0..=10).contains(&late.as_secs()), "{by:?}: {late:?} after the end");
        assert_eq!(open.count(), 1);
        rig.settled("web").await;
        let mut done = rig.done_because("SuspendEnd");
        done.sort_by_key(|item| item.before.clone());
        let done: Vec<_> = done.into_iter().map(|item| (item.before, item.after)).collect();
        assert_eq!(done, [(None, Some(OFFICE.to_owned())), (Some(SSH.to_owned()), None)], "{by:?}");
        assert!(rig.done_because("Drift").is_empty());
        assert_eq!((rig.told("web", "Suspended").len(), rig.told("web", "Resumed").len()), (1, 1), "{by:?}");
        // The old declaration, still there, suspends nothing more.
        let open = rig.watch_open("web", SSH);
        rig.intrude(&group, &[SSH]).await;
        minutes(&rig, 5).await;
        assert!(open.count() == 1 && open.longest() <= SOON, "{by:?}: {:?}", open.longest());
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspend_lasts_no_longer_than_the_account_allows_also_when_it_is_declared_anew() {
    for by in [By::Spec, By::Annotation] {
        let mut rig = Rig::idle().await;
        rig.store.apply_account(&account("limits: {maxSuspend: 1h}"));
        rig.store.apply(&manifest("web", &[&https()]));
        rig.start_engine();
        rig.settled("web").await;
        suspend(&rig, by, in_minutes(&rig, 60 * 48), &[&https()]);
        let message = {
            rig.until("it is suspended", |rig| rig.says("web", "Suspended", "True").is_some()).await;
            rig.says("web", "Suspended", "True").unwrap()
        };
        assert!(message.contains("the most the account allows, limits.maxSuspend"), "{message}");
        rig.intrude(&rig.group("web"), &[SSH]).await;
        minutes(&rig, 55).await;
        assert!(rig.has("web", &[SSH, OFFICE]), "{by:?}");
        // Somebody pushes it on.
        suspend(&rig, by, in_minutes(&rig, 60 * 72), &[&https()]);
        minutes(&rig, 7).await;
        assert!(rig.has("web", &[OFFICE]), "{by:?}: it ended after an hour");
        assert_eq!(rig.done_because("SuspendEnd").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspend_that_is_taken_back_ends_at_once() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&https()]));
    rig.settled("web").await;
    suspend(&rig, By::Annotation, in_minutes(&rig, 600), &[&https()]);
    rig.until("it is suspended", |rig| rig.says("web", "Suspended", "True").is_some()).await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    minutes(&rig, 10).await;
    assert!(rig.has("web", &[SSH, OFFICE]));
    rig.store.annotate("web", SUSPEND, None);
    rig.pass(Duration::from_secs(5)).await;
    assert!(rig.has("web", &[OFFICE]));
    assert_eq!(rig.done_because("SuspendEnd").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_suspend_outlives_a_restart_with_its_first_time() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("limits: {maxSuspend: 1h}"));
    rig.store.apply(&manifest("web", &[&https()]));
    rig.start_engine();
    rig.settled("web").await;
    suspend(&rig, By::Spec, in_minutes(&rig, 600), &[&https()]);
    rig.until("it is suspended", |rig| rig.says("web", "Suspended", "True").is_some()).await;
    rig.intrude(&rig.group("web"), &[SSH]).await;
    minutes(&rig, 30).await;
    rig.kill_engine().await;
    rig.start_engine();
    minutes(&rig, 25).await;
    assert!(rig.has("web", &[SSH, OFFICE]));
    minutes(&rig, 6).await;
    assert!(rig.has("web", &[OFFICE]), "an hour from when it was first seen");
}

#[tokio::test(start_paused = true)]
async fn what_expired_stays_closed_when_the_clock_is_set_back() {
    for by in ["rule", "set"] {
        let mut rig = Rig::start().await;
        let end = in_minutes(&rig, 30);
        let rules = match by {
            "rule" => {
                [https(), format!("{{name: dns, protocol: tcp, ports: [53], from: [{{cidr: 10.0.0.0/8}}], expiresAt: \"{end}\"}}")]
            }
            _ => [https(), "{name: dns, protocol: tcp, ports: [53], from: [{cidrSet: {name: guests}}]}".to_owned()],
        };
        rig.store.apply_set(&format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: guests, namespace: shop}}\nspec: {{cidrs: [{{cidr: 10.0.0.0/8, \
             expiresAt: \"{end}\"}}, {{cidr: 192.0.2.0/24}}]}}"
        ));
        rig.store.apply(&manifest("web", &rules.iter().map(String::as_str).collect::<Vec<_>>()));
        rig.settled("web").await;
        assert!(rig.live("web").await.contains(&DNS.to_owned()), "{by}");
        let open = rig.watch_open("web", DNS);
        minutes(&rig, 31).await;
        assert!(!rig.live("web").await.contains(&DNS.to_owned()), "{by}");
        let closed: Vec<_> = rig.done_because("Expiry").into_iter().filter_map(|item| item.before).collect();
        assert_eq!(closed, [DNS], "{by}");
        assert!(rig.drift("web").is_empty(), "an expiry is nobody's edit");
        drop(open);
        rig.settled("web").await;
        // The clock of the next process is two hours slow.
        rig.stop_engine().await;
        let mut parts = rig.parts();
        parts.clock = Clock::anchored(rig.now().checked_sub(SignedDuration::from_hours(2)).unwrap());
        parts.health = Health::new(&parts.clock);
        let again = rig.watch_open("web", DNS);
        rig.start_engine_with(parts);
        minutes(&rig, 20).await;
        // Also when something else about the object is changed.
        rig.store.annotate("web", "example.com/touched", Some("yes"));
        minutes(&rig, 20).await;
        assert_eq!(again.count(), 0, "{by}: what ended stays so");
        rig.settled("web").await;
    }
}

/// What somebody adds by hand to a group with some enforcement, and what becomes of it.
#[tokio::test(start_paused = true)]
async fn undeclared_rules_fare_as_the_manifest_says() {
    let lb = "tolerate: [{direction: Ingress, cidr: 192.0.2.0/24, protocol: tcp, ports: [\"30000-32767\"]}]";
    let node_port = "ingress tcp 30080 from 192.0.2.0/24";
    for (enforcement, added, stays, reason, records) in [
        ("undeclaredRules: Revoke", SSH, false, "DriftReverted", 1),
        ("undeclaredRules: Report", SSH, true, "DriftReported", 1),
        ("undeclaredRules: Keep", SSH, true, "NoDrift", 0),
        (lb, node_port, true, "NoDrift", 0),
        (lb, "ingress tcp 30080 from 198.51.100.0/24", false, "DriftReverted", 1),
        (lb, "ingress tcp 22 from 192.0.2.0/24", false, "DriftReverted", 1),
        (lb, "ingress tcp 29999-30080 from 192.0.2.0/24", false, "DriftReverted", 1),
        (lb, "egress tcp 30080 to 192.0.2.0/24", false, "DriftReverted", 1),
    ] {
        let rig = Rig::start().await;
        rig.store.apply(&enforced(enforcement));
        rig.settled("web").await;
        minutes(&rig, 10).await;
        rig.intrude(&rig.group("web"), &[added]).await;
        minutes(&rig, 10).await;
        let live = in_force(&rig.sim, rig.group("web").as_str());
        let case = format!("{enforcement}: {added}: {live:?}");
        assert_eq!(live.contains(&added.to_owned()), stays, "{case}");
        let drifted = rig.says("web", "Drifted", if stays && records == 1 { "True" } else { "False" });
        assert!(drifted.as_ref().is_some_and(|text| text.starts_with(reason)), "{case}: {drifted:?}");
        assert_eq!(rig.drift("web").len(), records, "{case}: {:?}", rig.drift("web"));
        // What is declared is kept in any case.
        rig.cut(&rig.group("web"), OFFICE).await;
        minutes(&rig, 3).await;
        assert!(in_force(&rig.sim, rig.group("web").as_str()).contains(&OFFICE.to_owned()), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_reported_stays_reported_and_is_told_once() {
    let mut rig = Rig::idle().await;
    rig.store.apply(&enforced("undeclaredRules: Report"));
    rig.start_engine();
    rig.settled("web").await;
    let group = rig.group("web");
    rig.intrude(&group, &[SSH]).await;
    rig.condition("web", "Drifted", "True", "DriftReported").await;
    let writes = (rig.writes.count(), rig.store.writes());
    minutes(&rig, 120).await;
    rig.kill_engine().await;
    rig.start_engine();
    minutes(&rig, 30).await;
    assert_eq!((rig.writes.count(), rig.store.writes()), writes, "neither EC2 nor status is written again");
    assert_eq!(rig.told("web", "DriftReported").len(), 1);
    assert!(rig.has("web", &[SSH, OFFICE]));
    // The word is taken back: now it goes, as the drift that it was.
    rig.store.apply(&enforced("undeclaredRules: Revoke"));
    rig.until_has("web", &[OFFICE]).await;
    rig.condition("web", "Drifted", "False", "DriftReverted").await;
}

#[tokio::test(start_paused = true)]
async fn observe_writes_nothing_and_says_what_it_would_do() {
    for account_wide in [false, true] {
        let mut rig = Rig::idle().await;
        let (on, off) =
            if account_wide { (account("mode: Observe"), account("mode: Enforce")) } else { (account(""), account("")) };
        let observing = enforced(if account_wide { "mode: Enforce" } else { "mode: Observe" });
        rig.store.apply_account(&on);
        rig.store.apply(&observing);
        rig.start_engine();
        rig.until("it is compared", |rig| rig.says("web", "Ready", "True").is_some_and(|text| text.starts_with("Observing"))).await;
        minutes(&rig, 10).await;
        assert_eq!(rig.writes.count(), 0, "account {account_wide}: not even a group is created");
        let plan = rig.store.get("web").unwrap().status.unwrap().plan.unwrap();
        assert!(plan.steps[0].contains("create"), "{plan:?}");
        // Enforced for a while, and observed again.
        rig.store.apply_account(&off);
        rig.store.apply(&enforced("mode: Enforce"));
        rig.settled("web").await;
        rig.store.apply_account(&on);
        rig.store.apply(&observing);
        rig.until("it observes", |rig| rig.store.get("web").unwrap().status.unwrap().mode.as_deref() == Some("Observe")).await;
        let writes = rig.writes.count();
        let group = rig.group("web");
        rig.intrude(&group, &[SSH]).await;
        rig.cut(&group, OFFICE).await;
        rig.untag(&group, &["sgwarden.dev/owner"]).await;
        rig.store.apply(&observing.replace("10.0.0.0/8", "192.0.2.0/24"));
        rig.until("the drift is reported", |rig| {
            rig.says("web", "Drifted", "True").is_some_and(|text| text.starts_with("DriftReported"))
        })
        .await;
        minutes(&rig, 30).await;
        assert_eq!(rig.writes.count(), writes, "account {account_wide}");
        assert!(rig.has("web", &[SSH]));
        let plan = rig.store.get("web").unwrap().status.unwrap().plan.unwrap();
        let steps = plan.steps.join("\n");
        assert!(steps.contains(SSH) && steps.contains("192.0.2.0/24"), "account {account_wide}: {steps}");
        // And deleting the object takes nothing with it.
        rig.store.delete("web");
        rig.gone("web").await;
        assert_eq!(in_force(&rig.sim, group.as_str()), [SSH]);
        assert_eq!(rig.writes.count(), writes);
    }
}

/// 0-65535 is replaced by two ports: they come, and five seconds later it goes.
#[tokio::test(start_paused = true)]
async fn the_stop_button_stops_a_plan_between_two_of_its_calls() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account(""));
    let wide = "{name: web, protocol: tcp, ports: [0-65535], from: [{cidr: 10.0.0.0/8}]}";
    rig.store.apply(&manifest("web", &[wide]));
    rig.start_engine();
    rig.settled("web").await;
    rig.pass(Duration::from_secs(700)).await;
    let group = rig.group("web").to_string();
    rig.store.apply(&manifest("web", &[&wide.replace("0-65535", "80, 443")]));
    rig.until("the ports are there", |rig| in_force(&rig.sim, &group).len() == 3).await;
    rig.store.apply_account(&account("mode: Observe"));
    minutes(&rig, 10).await;
    assert_eq!(in_force(&rig.sim, &group).len(), 3, "what was to go is still there");
    rig.store.apply_account(&account(""));
    rig.settled("web").await;
    assert_eq!(in_force(&rig.sim, &group).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn observe_shows_the_plan_of_a_group_that_would_be_taken_over_and_makes_nothing_its_own() {
    let rig = Rig::start().await;
    let group = rig.stray("legacy-web", &[("team", "shop")], &[SSH]).await;
    let adopt = format!("adopt: {{groupId: {group}}}");
    let object =
        |mode: &str| with("web", &[&adopt, &format!("enforcement: {{mode: {mode}}}")], &[&tcp("https", 443, "10.0.0.0/8")]);
    rig.store.apply(&object("Observe"));
    rig.condition("web", "Ready", "False", "AwaitingConsent").await;
    rig.tag(&group, &[("sgwarden.dev/adopt", "c1/shop")]).await;
    let message = rig.condition("web", "Ready", "True", "Observing").await;
    assert!(message.contains(&format!("group {group} would be taken over")) && message.contains("status.plan"), "{message}");
    let steps = |rig: &Rig| rig.store.get("web").unwrap().status.unwrap().plan.unwrap().steps.join("\n");
    let plan = steps(&rig);
    for part in [SSH, OFFICE, "sgwarden.dev/owner"] {
        assert!(plan.contains(part), "{plan}");
    }
    minutes(&rig, 10).await;
    // What becomes of the group meanwhile is seen.
    rig.intrude(&group, &["ingress tcp 23 from 10.0.0.0/8"]).await;
    rig.until("the plan follows", |rig| steps(rig).contains("tcp 23")).await;
    let status = rig.store.get("web").unwrap().status.unwrap();
    assert_eq!((status.group_id, status.origin, status.rules, status.vpc_id), (None, None, None, None), "nothing is recorded");
    assert!(status.drift.is_empty());
    assert_eq!(rig.writes.count(), 0);
    let writes = rig.store.writes();
    minutes(&rig, 30).await;
    assert_eq!(rig.store.writes(), writes, "an unchanged object is not written");
    // Who takes the consent back is not asked for the sake of what was looked at.
    rig.untag(&group, &["sgwarden.dev/adopt"]).await;
    rig.store.apply(&object("Enforce"));
    rig.condition("web", "Ready", "False", "AwaitingConsent").await;
    minutes(&rig, 10).await;
    assert_eq!(rig.writes.count(), 0);
    rig.tag(&group, &[("sgwarden.dev/adopt", "c1/shop")]).await;
    rig.condition("web", "Ready", "False", "AwaitingApproval").await;
    // And an object that only looked leaves nothing.
    rig.store.apply(&object("Observe").replace("name: web", "name: api").replace("https", "http"));
    rig.store.delete("web");
    rig.gone("web").await;
    rig.store.delete("api");
    rig.gone("api").await;
    assert_eq!(rig.asked_for("shop/api").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_stop_button_stops_a_change_that_is_under_way_for_its_limit() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("limits: {revocationsPerMinute: 2}"));
    let many: Vec<String> = (0..20).map(|n| tcp(&format!("p{n}"), 1000 + n, "10.0.0.0/8")).collect();
    rig.store.apply(&manifest("web", &many.iter().map(String::as_str).collect::<Vec<_>>()));
    rig.start_engine();
    rig.settled("web").await;
    rig.store.apply(&manifest("web", &[&many[0]]));
    rig.condition("web", "Ready", "False", "RevocationLimit").await;
    rig.store.apply_account(&account("limits: {revocationsPerMinute: 2}, mode: Observe"));
    rig.pass(Duration::from_secs(1)).await;
    let writes = rig.writes.count();
    minutes(&rig, 2).await;
    rig.sim.clear_calls();
    minutes(&rig, 30).await;
    assert_eq!(rig.writes.count(), writes);
    let calls = rig.calls();
    assert!(calls.values().sum::<u64>() <= 40, "nobody waits for a turn that does not come: {calls:?}");
    let left = in_force(&rig.sim, rig.group("web").as_str()).len();
    assert!(left > 10, "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_gets_no_more_leave_than_the_accounts_ceiling_has() {
    for (ceiling, wish, said) in [
        ("modes: [Enforce]", "mode: Observe", "enforcement.mode"),
        ("undeclaredRules: [Revoke]", "undeclaredRules: Keep", "enforcement.undeclaredRules"),
        ("undeclaredRules: [Revoke]", "undeclaredRules: Report", "enforcement.undeclaredRules"),
        ("tolerate: false", "tolerate: [{direction: Ingress, protocol: tcp, ports: [22]}]", "enforcement.tolerate"),
    ] {
        let mut rig = Rig::idle().await;
        rig.store.apply_account(&account(&format!("limits: {{enforcement: {{{ceiling}}}}}")));
        rig.store.apply(&enforced(wish));
        rig.start_engine();
        rig.settled("web").await;
        let limited = rig.condition("web", "Limited", "True", "PolicyLimited").await;
        assert!(limited.contains(said) && limited.contains("account default"), "{limited}");
        minutes(&rig, 10).await;
        let open = rig.watch_open("web", SSH);
        rig.intrude(&rig.group("web"), &[SSH]).await;
        minutes(&rig, 3).await;
        assert!(open.count() == 1 && open.longest() <= SOON, "{ceiling} {wish}: {:?}", open.longest());
        assert_eq!(rig.told("web", "PolicyLimited").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_account_has_by_default_counts_where_a_manifest_is_silent() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("defaults: {enforcement: {undeclaredRules: Report}, tags: {cost-center: \"4711\"}}"));
    rig.store.apply(&manifest("web", &[&https()]));
    rig.store.apply(&enforced("undeclaredRules: Revoke").replace("name: web", "name: db"));
    rig.start_engine();
    for name in ["web", "db"] {
        rig.settled(name).await;
        rig.intrude(&rig.group(name), &[SSH]).await;
        assert_eq!(rig.tags(&rig.group(name)).await["cost-center"], "4711");
    }
    minutes(&rig, 3).await;
    assert!(rig.has("web", &[SSH, OFFICE]));
    assert!(rig.has("db", &[OFFICE]));
    // Another default, and every group has it as a change.
    rig.store.apply_account(&account("defaults: {enforcement: {undeclaredRules: Revoke}, tags: {cost-center: \"4712\"}}"));
    rig.until_has("web", &[OFFICE]).await;
    minutes(&rig, 1).await;
    for name in ["web", "db"] {
        rig.settled(name).await;
        assert_eq!(rig.tags(&rig.group(name)).await["cost-center"], "4712");
    }
    assert_eq!(rig.done_because("PolicyChange").len(), 2);
}
