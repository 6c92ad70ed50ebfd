//! The streams of objects.

use std::fmt::Debug;
use std::hash::Hash;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::runtime::{reflector, watcher};
use kube::{Resource, ResourceExt};

use super::*;
use crate::api::{AwsAccount, CidrSet, ReferenceGrant};
use crate::ports::objects::{Objects, Watch};

/// Short waits, and long enough between looks for a test to see that nothing is said twice.
const QUICK: Patience = Patience {
    look: Duration::from_millis(60),
    doubt: Duration::from_millis(20),
    loss: Duration::from_millis(40),
    retry: Duration::from_millis(30),
};
const LIMIT: Duration = Duration::from_secs(10);

/// The next thing a watch says, in words.
async fn next<K: Resource + Debug>(watch: &mut Watch<K>) -> String {
    let name = |object: &DeserializeGuard<K>| {
        let meta = object.meta();
        assert!(meta.managed_fields.is_none(), "{meta:?}");
        let readable = if object.0.is_ok() { "" } else { " unreadable" };
        let namespace = meta.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("{namespace}{}{readable}", meta.name.as_deref().unwrap_or_default())
    };
    match tokio::time::timeout(LIMIT, watch.next()).await.expect("the watch says something").expect("it never ends") {
        Ok(watcher::Event::Init) => "Init".to_owned(),
        Ok(watcher::Event::InitApply(object)) => format!("InitApply {}", name(&object)),
        Ok(watcher::Event::InitDone) => "InitDone".to_owned(),
        Ok(watcher::Event::Apply(object)) => format!("Apply {}", name(&object)),
        Ok(watcher::Event::Delete(object)) => format!("Delete {}", name(&object)),
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) => format!("list {}", status.code),
        Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) => format!("watch {}", status.code),
        Err(error) => panic!("{error:?}"),
    }
}

async fn says<K: Resource + Debug>(watch: &mut Watch<K>, expected: &[&str]) {
    for expected in expected {
        assert_eq!(next(watch).await, *expected);
    }
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": format!("{kind}List"), "metadata": { "resourceVersion": "9" }, "items": items })
}

fn meta(namespace: Option<&str>, name: &str) -> Value {
    let managed = json!([{ "manager": "kubectl", "operation": "Apply" }]);
    let mut meta = json!({ "name": name, "uid": "u", "resourceVersion": "8", "managedFields": managed });
    if let Some(namespace) = namespace {
        meta["namespace"] = namespace.into();
    }
    meta
}

fn is_watch(asked: &Asked) -> bool {
    asked.uri.query().unwrap_or_default().contains("watch=true")
}

/// How often a list of a path was asked for so far.
fn lists(server: &Apiserver, path: &str) -> usize {
    server.asked().iter().filter(|asked| asked.uri.path() == path && !is_watch(asked)).count()
}

/// Polls a watch that has nothing to say until `is`; fails when it says something.
async fn silent_until<K: Resource + Debug>(watch: &mut Watch<K>, is: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "it never comes to pass");
        if let Ok(said) = tokio::time::timeout(Duration::from_millis(5), next(watch)).await {
            panic!("said {said}");
        }
    }
}

#[tokio::test]
async fn the_watch_lists_readable_and_unreadable_objects_and_comes_back_after_errors() {
    let lists = Arc::new(Mutex::new(0));
    let server = Apiserver::start(move |asked| {
        if asked.uri.query().unwrap_or_default().contains("watch=true") {
            return None;
        }
        let mut lists = lists.lock().unwrap();
        *lists += 1;
        if *lists == 1 {
            return Some((503, status_of(503, "ServiceUnavailable", "")));
        }
        let mut broken = stored("5");
        broken["metadata"]["name"] = "broken".into();
        broken["spec"] = "not an object".into();
        let list = json!({
            "apiVersion": "sgwarden.dev/v1alpha1", "kind": "SecurityGroupList",
            "metadata": { "resourceVersion": "9" }, "items": [stored("4"), broken],
        });
        Some((200, list))
    })
    .await;
    let objects = KubeObjects::new(server.cluster.client.clone(), Some("shop".to_owned()), None);
    let mut watch = objects.watch();
    let mut seen = Vec::new();
    let mut failed = 0;
    while seen.len() < 2 {
        match tokio::time::timeout(Duration::from_secs(10), watch.next()).await.expect("recovers").unwrap() {
            Ok(watcher::Event::InitApply(object)) => {
                let meta = kube::Resource::meta(&object).clone();
                assert!(meta.managed_fields.is_none());
                seen.push((meta.name.unwrap(), object.0.is_ok()));
            }
            Ok(_) => {}
            Err(_) => failed += 1,
        }
    }
    assert_eq!(seen, [("web".to_owned(), true), ("broken".to_owned(), false)]);
    assert_eq!(failed, 1);
    assert!(matches!(watch.next().await, Some(Ok(watcher::Event::InitDone))));
    drop(tokio::time::timeout(Duration::from_millis(200), watch.next()).await);
    let asked = server.asked();
    assert_eq!(asked[0].uri.path(), "/apis/sgwarden.dev/v1alpha1/namespaces/shop/securitygroups");
    let query = asked.last().unwrap().uri.query().unwrap().to_owned();
    assert!(query.contains("timeoutSeconds=120") && query.contains("allowWatchBookmarks=true"), "{query}");
}

#[tokio::test]
async fn sets_and_accounts_are_watched_and_one_that_cannot_be_read_is_told_apart() {
    const SETS: &str = "/apis/sgwarden.dev/v1alpha1/cidrsets";
    const ACCOUNTS: &str = "/apis/sgwarden.dev/v1alpha1/awsaccounts";
    let server = Apiserver::start(|asked| match (asked.uri.path(), is_watch(asked)) {
        (_, true) => None,
        (SETS, false) => {
            let good = json!({ "metadata": meta(Some("shop"), "office"), "spec": { "cidrs": [{ "cidr": "192.0.2.0/24" }] } });
            let bad = json!({ "metadata": meta(Some("shop"), "bad"), "spec": { "cidrs": "all" } });
            Some((200, list("CidrSet", &[good, bad])))
        }
        (ACCOUNTS, false) => {
            let spec = json!({ "accountId": "111122223333", "regions": ["eu-west-1"], "allowedNamespaces": { "from": "All" } });
            let bad = json!({ "metadata": meta(None, "bad"), "spec": { "accountId": 111_122_223_333_u64 } });
            Some((200, list("AwsAccount", &[json!({ "metadata": meta(None, "prod"), "spec": spec }), bad])))
        }
        (other, false) => panic!("asked for {other}"),
    })
    .await;
    let objects = server.objects();
    says(&mut objects.watch_cidr_sets(), &["Init", "InitApply shop/office", "InitApply shop/bad unreadable", "InitDone"]).await;
    says(&mut objects.watch_accounts(), &["Init", "InitApply prod", "InitApply bad unreadable", "InitDone"]).await;
}

const NAMESPACES: &str = "/api/v1/namespaces";

fn labelled(name: &str) -> Value {
    let mut meta = meta(None, name);
    meta["labels"] = json!({ "team": "shop" });
    meta["annotations"] = json!({ "sgwarden.dev/account": "prod" });
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": meta })
}

#[tokio::test]
async fn of_namespaces_only_metadata_is_asked_for() {
    let server = Apiserver::start(|asked| {
        assert_eq!(asked.uri.path(), NAMESPACES);
        (!is_watch(asked)).then(|| (200, list("PartialObjectMetadata", &[labelled("shop")])))
    })
    .await;
    let mut watch = server.objects().watch_namespaces();
    says(&mut watch, &["Init"]).await;
    let Some(Ok(watcher::Event::InitApply(DeserializeGuard(Ok(shop))))) = watch.next().await else { panic!("no namespace") };
    assert_eq!((shop.labels()["team"].as_str(), shop.annotations()["sgwarden.dev/account"].as_str()), ("shop", "prod"));
    says(&mut watch, &["InitDone"]).await;
    drop(tokio::time::timeout(Duration::from_millis(200), watch.next()).await);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert!(asked.headers["accept"].to_str().unwrap().contains("PartialObjectMetadata"), "{:?}", asked.headers);
    }
}

#[tokio::test]
async fn a_controller_of_one_namespace_asks_for_nothing_of_others() {
    let server = Apiserver::start(|asked| {
        let objects = match asked.uri.path() {
            NAMESPACES => {
                let query = asked.uri.query().unwrap_or_default();
                assert!(query.contains("fieldSelector=metadata.name%3Dshop"), "{query}");
                list("PartialObjectMetadata", &[labelled("shop")])
            }
            "/apis/sgwarden.dev/v1alpha1/namespaces/shop/cidrsets" => list("CidrSet", &[]),
            other => panic!("asked for {other}"),
        };
        (!is_watch(asked)).then_some((200, objects))
    })
    .await;
    let objects = KubeObjects::new(server.cluster.client.clone(), Some("shop".to_owned()), None).with_patience(QUICK);
    says(&mut objects.watch_namespaces(), &["Init", "InitApply shop", "InitDone"]).await;
    says(&mut objects.watch_cidr_sets(), &["Init", "InitDone"]).await;
}

/// What the stand-in has of a kind that need not be there.
#[derive(Clone, Copy, PartialEq)]
enum Has {
    Nothing,
    Forbidden,
    Objects,
}

const ACCOUNTS: &str = "/apis/sgwarden.dev/v1alpha1/awsaccounts";

#[tokio::test]
async fn accounts_that_a_controller_of_one_namespace_may_not_read_are_none_until_it_may() {
    let has = Arc::new(Mutex::new(Has::Forbidden));
    let there = has.clone();
    let server = Apiserver::start(move |asked| match *there.lock().unwrap() {
        Has::Objects if is_watch(asked) => None,
        Has::Objects => {
            let spec = json!({ "accountId": "111122223333", "regions": [], "allowedNamespaces": { "from": "All" } });
            Some((200, list("AwsAccount", &[json!({ "metadata": meta(None, "prod"), "spec": spec })])))
        }
        Has::Forbidden | Has::Nothing => Some((403, status_of(403, "Forbidden", ""))),
    })
    .await;
    let objects = KubeObjects::new(server.cluster.client.clone(), Some("shop".to_owned()), None).with_patience(QUICK);
    let mut watch = objects.watch_accounts();
    says(&mut watch, &["Init", "InitDone"]).await;
    let asked = lists(&server, ACCOUNTS);
    assert_eq!(asked, 2, "one refusal is no proof");
    silent_until(&mut watch, || lists(&server, ACCOUNTS) > asked + 1).await;
    *has.lock().unwrap() = Has::Objects;
    says(&mut watch, &["Init", "InitApply prod", "InitDone"]).await;

    // A right that goes does not take accounts away: one of them may hold the stop button.
    *has.lock().unwrap() = Has::Forbidden;
    let mut refused = lists(&server, ACCOUNTS);
    let deadline = tokio::time::Instant::now() + LIMIT;
    let mut said = Vec::new();
    while lists(&server, ACCOUNTS) < refused + 2 {
        assert!(tokio::time::Instant::now() < deadline, "it is never looked for again: {said:?}");
        // Again and again, since a watch may just have been about to be opened.
        server.hang_up.notify_waiters();
        if let Ok(news) = tokio::time::timeout(Duration::from_millis(20), next(&mut watch)).await {
            said.push(news);
        }
    }
    assert_eq!(said, ["watch 403", "list 403"], "told once");
    *has.lock().unwrap() = Has::Objects;
    refused = lists(&server, ACCOUNTS);
    says(&mut watch, &["Init", "InitApply prod", "InitDone"]).await;
    assert!(lists(&server, ACCOUNTS) > refused);
}

/// A cluster with or without Gateway API, in a version; `groups` is what discovery says, which may be of somebody else.
struct Gateway {
    has: Has,
    version: &'static str,
    groups: Option<(u16, Value)>,
    /// How many more looks find nothing, though there is something.
    blinks: usize,
}

fn discovery(groups: &[(&str, &str)]) -> Value {
    let groups = groups.iter().map(|(name, version)| {
        let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    });
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>() })
}

const GATEWAY: &str = "gateway.networking.k8s.io";
const OURS: (&str, &str) = ("sgwarden.dev", "v1alpha1");

impl Gateway {
    fn answer(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        let Self { has, version, groups, blinks } = self;
        let path = asked.uri.path();
        if path == "/apis" {
            if *blinks > 0 {
                *blinks -= 1;
                return Some((200, discovery(&[OURS])));
            }
            let there = if *has == Has::Nothing { vec![OURS] } else { vec![OURS, (GATEWAY, *version)] };
            return Some(groups.clone().unwrap_or_else(|| (200, discovery(&there))));
        }
        let nothing = || Some((404, json!("404 page not found")));
        let Some(below) = path.strip_prefix(&format!("/apis/{GATEWAY}/{version}")) else { return nothing() };
        match (has, below) {
            (Has::Nothing, _) => nothing(),
            (_, "") => {
                let resource = json!({ "name": "referencegrants", "singularName": "", "namespaced": true, "kind": "ReferenceGrant", "verbs": [] });
                let list = json!({ "kind": "APIResourceList", "groupVersion": "", "resources": [resource] });
                Some((200, list))
            }
            (Has::Forbidden, _) => Some((403, status_of(403, "Forbidden", ""))),
            (Has::Objects, _) if is_watch(asked) => {
                if *blinks > 0 {
                    nothing()
                } else {
                    None
                }
            }
            (Has::Objects, _) => {
                let item = |name: &str, spec: Value| json!({ "apiVersion": format!("{GATEWAY}/{version}"), "kind": "ReferenceGrant", "metadata": meta(Some("shop"), name), "spec": spec });
                let from = json!([{ "group": "sgwarden.dev", "kind": "SecurityGroup", "namespace": "web" }]);
                let good = item("good", json!({ "from": from, "to": [{ "group": "sgwarden.dev", "kind": "CidrSet" }] }));
                Some((200, list("ReferenceGrant", &[good, item("bad", json!({ "from": "everywhere" }))])))
            }
        }
    }
}

async fn gateway(has: Has) -> (Apiserver, Arc<Mutex<Gateway>>, Watch<ReferenceGrant>) {
    let gateway = Arc::new(Mutex::new(Gateway { has, version: "v1beta1", groups: None, blinks: 0 }));
    let there = gateway.clone();
    let server = Apiserver::start(move |asked| there.lock().unwrap().answer(asked)).await;
    let watch = server.objects().with_patience(QUICK).watch_grants();
    (server, gateway, watch)
}

const GRANTS: &[&str] = &["Init", "InitApply shop/good", "InitApply shop/bad unreadable", "InitDone"];

#[tokio::test]
async fn grants_come_and_go_with_their_kind() {
    let (server, gateway, mut watch) = gateway(Has::Nothing).await;
    says(&mut watch, &["Init", "InitDone"]).await;
    let looks = lists(&server, "/apis");
    silent_until(&mut watch, || lists(&server, "/apis") > looks + 1).await;
    gateway.lock().unwrap().has = Has::Objects;
    says(&mut watch, GRANTS).await;
    silent_until(&mut watch, || server.asked().iter().any(is_watch)).await;
    gateway.lock().unwrap().has = Has::Nothing;
    let looks = lists(&server, "/apis");
    server.hang_up.notify_waiters();
    says(&mut watch, &["watch 404", "Init", "InitDone"]).await;
    assert_eq!(lists(&server, "/apis"), looks + 2, "one look is no proof");
    gateway.lock().unwrap().has = Has::Objects;
    says(&mut watch, GRANTS).await;
}

#[tokio::test]
async fn grants_that_are_gone_at_one_look_only_are_not_taken_away() {
    let (server, gateway, mut watch) = gateway(Has::Objects).await;
    says(&mut watch, GRANTS).await;
    silent_until(&mut watch, || server.asked().iter().any(is_watch)).await;
    gateway.lock().unwrap().blinks = 1;
    server.hang_up.notify_waiters();
    says(&mut watch, &["watch 404"]).await;
    says(&mut watch, GRANTS).await;
    assert_eq!(gateway.lock().unwrap().blinks, 0, "it was gone for a look");
}

#[tokio::test]
async fn grants_are_found_under_the_version_that_the_cluster_serves() {
    for version in ["v1", "v1beta1"] {
        let (server, gateway, mut watch) = gateway(Has::Objects).await;
        gateway.lock().unwrap().version = version;
        says(&mut watch, GRANTS).await;
        let path = format!("/apis/{GATEWAY}/{version}/referencegrants");
        assert!(lists(&server, &path) > 0, "{:?}", server.asked());
    }
    let (_, gateway, mut watch) = gateway(Has::Objects).await;
    gateway.lock().unwrap().version = "v1alpha2";
    says(&mut watch, &["Init", "InitDone"]).await;
}

#[tokio::test]
async fn grants_that_may_not_be_read_are_none_but_those_read_before_stay() {
    let (server, gateway, mut watch) = gateway(Has::Forbidden).await;
    says(&mut watch, &["Init", "InitDone"]).await;
    gateway.lock().unwrap().has = Has::Objects;
    says(&mut watch, GRANTS).await;
    silent_until(&mut watch, || server.asked().iter().any(is_watch)).await;
    gateway.lock().unwrap().has = Has::Forbidden;
    server.hang_up.notify_waiters();
    says(&mut watch, &["watch 403", "list 403"]).await;
    let looks = lists(&server, "/apis");
    silent_until(&mut watch, || lists(&server, "/apis") > looks).await;
    gateway.lock().unwrap().has = Has::Objects;
    says(&mut watch, GRANTS).await;
}

#[tokio::test]
async fn only_an_apiserver_that_knows_our_kinds_is_believed_that_there_are_no_grants() {
    let (_, gateway, mut watch) = gateway(Has::Objects).await;
    gateway.lock().unwrap().groups = Some((200, discovery(&[("apps", "v1")])));
    says(&mut watch, &["list 503"]).await;
    gateway.lock().unwrap().groups = Some((404, json!("404 page not found")));
    says(&mut watch, &["list 404"]).await;
    gateway.lock().unwrap().groups = None;
    says(&mut watch, GRANTS).await;
}

/// Feeds a store as the engine does, until it is ready.
async fn filled<K>(mut watch: Watch<K>) -> Vec<Arc<DeserializeGuard<K>>>
where
    K: Resource + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Debug,
{
    let (reader, mut writer) = reflector::store::<DeserializeGuard<K>>();
    let fed = async {
        while let Some(event) = watch.next().await {
            writer.apply_watcher_event(&event.unwrap());
        }
    };
    tokio::select! {
        ready = tokio::time::timeout(LIMIT, reader.wait_until_ready()) => ready.expect("ready").unwrap(),
        () = fed => panic!("the watch ended"),
    }
    reader.state()
}

#[tokio::test]
async fn a_store_of_every_kind_can_be_fed_and_asked() {
    let server = Apiserver::start(|asked| {
        let mut gateway = Gateway { has: Has::Nothing, version: "v1", groups: None, blinks: 0 };
        let namespaced = json!({ "metadata": meta(Some("shop"), "one"), "spec": {} });
        let account = json!({ "accountId": "111122223333", "regions": [], "allowedNamespaces": { "from": "All" } });
        let objects = match asked.uri.path() {
            _ if is_watch(asked) => return None,
            "/apis/sgwarden.dev/v1alpha1/cidrsets" => list("CidrSet", &[namespaced]),
            ACCOUNTS => list("AwsAccount", &[json!({ "metadata": meta(None, "prod"), "spec": account })]),
            NAMESPACES => list("PartialObjectMetadata", &[labelled("shop")]),
            _ => return gateway.answer(asked),
        };
        Some((200, objects))
    })
    .await;
    let objects = server.objects().with_patience(QUICK);
    let accounts: Vec<Arc<DeserializeGuard<AwsAccount>>> = filled(objects.watch_accounts()).await;
    assert_eq!(accounts[0].0.as_ref().unwrap().spec.account_id, "111122223333");
    let (reader, mut writer) = reflector::store::<DeserializeGuard<AwsAccount>>();
    writer.apply_watcher_event(&watcher::Event::Apply(accounts[0].as_ref().clone()));
    assert!(reader.get(&reflector::ObjectRef::new("prod")).is_some(), "an account is found by its name alone");
    let sets: Vec<Arc<DeserializeGuard<CidrSet>>> = filled(objects.watch_cidr_sets()).await;
    assert_eq!(sets[0].namespace().as_deref(), Some("shop"));
    let namespaces: Vec<Arc<DeserializeGuard<Namespace>>> = filled(objects.watch_namespaces()).await;
    assert_eq!(namespaces[0].name_any(), "shop");
    assert!(filled(objects.watch_grants()).await.is_empty());
}

#[test]
fn a_watch_that_has_failed_for_long_is_tried_again_within_seconds() {
    let pauses: Vec<Duration> = crate::adapters::kube::watch::Pace::default().take(100).collect();
    assert_eq!(pauses.len(), 100, "it is never given up");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(800)), "an apiserver in trouble is left alone: {pauses:?}");
}
