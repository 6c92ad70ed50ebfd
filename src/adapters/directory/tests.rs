//! The store over files: what is shown when, and what outlives a restart.

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::*;
use crate::api::{
    AwsAccountStatus, CidrSetStatus, FINALIZER, ReferenceGrantSpec, RegionStatus, SecurityGroup, SecurityGroupStatus,
};
use crate::ports::clock::Clock;
use crate::ports::objects::{Objects, ObjectsError, Watch};

fn group(name: &str, egress: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}}}\nspec: {{vpc: {{id: vpc-0a1b2c3d}}, egressPolicy: {egress}}}\n---\n"
    )
}

fn groups(names: &[&str]) -> String {
    names.iter().map(|name| group(name, "DenyAll")).collect()
}

fn set(name: &str, cidr: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: {name}, namespace: net}}\nspec: {{cidrs: [{{cidr: {cidr}}}]}}\n---\n"
    )
}

fn account(mode: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: AwsAccount\nmetadata: {{name: prod}}\nspec: {{accountId: '111122223333', regions: [eu-west-1], allowedNamespaces: {{from: All}}, mode: {mode}}}\n---\n"
    )
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{team: shop}}}}\n---\n")
}

fn grant(name: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: {name}, namespace: net}}\nspec: {{from: [], to: []}}\n---\n"
    )
}

fn every_kind() -> String {
    [groups(&["web", "db"]), set("office", "192.0.2.0/24"), account("Enforce"), namespace("net"), grant("web")].concat()
}

struct Files {
    folder: tempfile::TempDir,
    store: DirectoryObjects,
}

fn options(folder: &tempfile::TempDir) -> DirectoryOptions {
    DirectoryOptions {
        manifests: folder.path().join("groups"),
        state: folder.path().join("state"),
        interval: Duration::from_secs(1),
        clock: Clock::system(),
    }
}

impl Files {
    /// A store that has not looked a second time yet.
    fn unseen(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("groups")).unwrap();
        std::fs::write(folder.path().join("groups/all.yaml"), text).unwrap();
        let store = DirectoryObjects::open(options(&folder)).unwrap();
        Self { folder, store }
    }

    fn new(text: &str) -> Self {
        let files = Self::unseen(text);
        files.store.look();
        files
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("groups/all.yaml")
    }

    /// Writes the file and looks until it is believed.
    fn becomes(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
        self.store.look();
        self.store.look();
    }

    /// The process dies and another takes its place.
    fn restarted(self) -> Self {
        let Self { folder, store } = self;
        drop(store);
        let store = DirectoryObjects::open(options(&folder)).unwrap();
        store.look();
        Self { folder, store }
    }

    async fn groups(&self) -> Vec<SecurityGroup> {
        listed(&mut self.store.watch()).await
    }

    async fn group(&self, name: &str) -> Option<SecurityGroup> {
        self.groups().await.into_iter().find(|object| object.name_any() == name)
    }

    async fn only_group(&self) -> SecurityGroup {
        let [group] = self.groups().await.try_into().unwrap();
        group
    }
}

/// What a watch begins with.
async fn listed<K: Resource + std::fmt::Debug>(watch: &mut Watch<K>) -> Vec<K> {
    let mut objects = Vec::new();
    assert!(matches!(watch.next().await, Some(Ok(Event::Init))));
    loop {
        match watch.next().await.unwrap().unwrap() {
            Event::InitApply(object) => objects.push(object.0.unwrap()),
            Event::InitDone => return objects,
            other @ (Event::Init | Event::Apply(_) | Event::Delete(_)) => panic!("{other:?} in a list"),
        }
    }
}

/// Everything a watch has to say without waiting.
async fn news<K: Resource<DynamicType = ()>>(watch: &mut Watch<K>) -> Vec<String> {
    let mut news = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, watch.next()).await {
        news.push(match event.unwrap() {
            Event::Init => "Init".to_owned(),
            Event::InitDone => "InitDone".to_owned(),
            Event::InitApply(object) => format!("InitApply {}", object.name_any()),
            Event::Apply(object) => format!("Apply {}", object.name_any()),
            Event::Delete(object) => format!("Delete {}", object.name_any()),
        });
    }
    news
}

#[tokio::test]
async fn every_kind_is_listed_and_then_told_of_its_own_changes_only() {
    let files = Files::new(&every_kind());
    let mut groups = files.store.watch();
    let mut sets = files.store.watch_cidr_sets();
    let mut accounts = files.store.watch_accounts();
    let mut namespaces = files.store.watch_namespaces();
    let mut grants = files.store.watch_grants();
    assert_eq!(news(&mut groups).await, ["Init", "InitApply db", "InitApply web", "InitDone"]);
    assert_eq!(news(&mut sets).await, ["Init", "InitApply office", "InitDone"]);
    assert_eq!(news(&mut accounts).await, ["Init", "InitApply prod", "InitDone"]);
    assert_eq!(news(&mut namespaces).await, ["Init", "InitApply default", "InitApply net", "InitDone"]);
    assert_eq!(news(&mut grants).await, ["Init", "InitApply web", "InitDone"]);

    let changed = every_kind().replace("192.0.2.0/24", "198.51.100.0/24").replace("mode: Enforce", "mode: Observe");
    files.becomes(&changed);
    assert_eq!(news(&mut sets).await, ["Apply office"]);
    assert_eq!(news(&mut accounts).await, ["Apply prod"]);
    files.becomes(&changed.replace("team: shop", "team: web").replace(&grant("web"), ""));
    assert_eq!(news(&mut namespaces).await, ["Apply net"]);
    assert_eq!(news(&mut grants).await, ["Delete web"]);
    assert!(news(&mut groups).await.is_empty() && news(&mut sets).await.is_empty() && news(&mut accounts).await.is_empty());
}

#[tokio::test]
async fn two_watches_of_a_kind_hear_the_same() {
    let files = Files::new(&groups(&["web"]));
    let (mut one, mut two) = (files.store.watch(), files.store.watch());
    files.becomes(&group("web", "AllowAll"));
    let expected = ["Init", "InitApply web", "InitDone", "Apply web"];
    assert_eq!(
        (news(&mut one).await, news(&mut two).await),
        (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
    );
    drop(one);
    files.becomes(&group("web", "DenyAll"));
    assert_eq!(news(&mut two).await, ["Apply web"], "one that left takes nothing with it");
}

#[tokio::test(start_paused = true)]
async fn the_watches_look_at_the_files_once_an_interval_for_all() {
    let files = Files::unseen(&every_kind());
    let mut sets = files.store.watch_cidr_sets();
    let mut accounts = files.store.watch_accounts();
    let (sets_listed, accounts_listed) = tokio::join!(listed(&mut sets), listed(&mut accounts));
    assert_eq!((sets_listed.len(), accounts_listed.len()), (1, 1));
    std::fs::write(files.path(), every_kind().replace("192.0.2.0/24", "198.51.100.0/24")).unwrap();
    let started = tokio::time::Instant::now();
    let event = tokio::select! {
        event = sets.next() => event,
        event = accounts.next() => panic!("accounts say {event:?}"),
    };
    assert!(matches!(event, Some(Ok(Event::Apply(_)))), "{event:?}");
    assert!(started.elapsed() <= Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn nothing_is_said_before_the_files_agree_with_themselves() {
    let files = Files::unseen(&every_kind());
    let (mut groups, mut accounts) = (files.store.watch(), files.store.watch_accounts());
    assert!(news(&mut groups).await.is_empty() && news(&mut accounts).await.is_empty(), "one look is no proof");
    std::fs::write(files.path(), "kind: [").unwrap();
    files.store.look();
    std::fs::write(files.path(), every_kind().replace(&account("Enforce"), "")).unwrap();
    files.store.look();
    assert!(news(&mut groups).await.is_empty() && news(&mut accounts).await.is_empty(), "an account is gone or not there yet");
    files.becomes(&every_kind());
    assert_eq!(news(&mut groups).await, ["Init", "InitApply db", "InitApply web", "InitDone"]);
    assert_eq!(news(&mut accounts).await, ["Init", "InitApply prod", "InitDone"]);
}

#[tokio::test]
async fn an_empty_folder_has_no_objects_and_says_so() {
    let files = Files::new("");
    assert_eq!(news(&mut files.store.watch()).await, ["Init", "InitDone"]);
    assert_eq!(news(&mut files.store.watch_namespaces()).await, ["Init", "InitDone"]);
}

#[tokio::test]
async fn status_of_every_kind_survives_a_restart_and_a_stale_write_is_a_conflict() {
    let files = Files::new(&[groups(&["web"]), set("office", "192.0.2.0/24"), account("Enforce")].concat());
    let group = files.only_group().await;
    let [set] = listed(&mut files.store.watch_cidr_sets()).await.try_into().unwrap();
    let [account] = listed(&mut files.store.watch_accounts()).await.try_into().unwrap();
    let group_status = SecurityGroupStatus { group_id: Some("sg-0a1b2c3d".into()), ..Default::default() };
    let set_status = CidrSetStatus { entries: Some(1), ..Default::default() };
    let regions = vec![RegionStatus { region: "eu-west-1".into(), groups: Some(3), ..Default::default() }];
    let account_status = AwsAccountStatus { managed: Some(1), regions, ..Default::default() };
    let written = files.store.write_status(&group, &group_status).await.unwrap();
    assert_eq!(written, files.only_group().await);
    files.store.write_cidr_set_status(&set, &set_status).await.unwrap();
    files.store.write_account_status(&account, &account_status).await.unwrap();
    assert!(matches!(files.store.write_status(&group, &group_status).await, Err(ObjectsError::Conflict)));
    assert!(matches!(files.store.write_cidr_set_status(&set, &set_status).await, Err(ObjectsError::Conflict)));
    assert!(matches!(files.store.write_account_status(&account, &account_status).await, Err(ObjectsError::Conflict)));
    assert!(matches!(files.store.hold_account(&account, true).await, Err(ObjectsError::Conflict)));

    let files = files.restarted();
    let again = files.only_group().await;
    assert_eq!((again.metadata.uid, again.metadata.generation, again.status), (group.metadata.uid, Some(1), Some(group_status)));
    let [again] = listed(&mut files.store.watch_cidr_sets()).await.try_into().unwrap();
    assert_eq!((again.metadata.uid, again.metadata.generation, again.status), (set.metadata.uid, Some(1), Some(set_status)));
    let [again] = listed(&mut files.store.watch_accounts()).await.try_into().unwrap();
    assert_eq!(
        (again.metadata.uid, again.metadata.generation, again.status),
        (account.metadata.uid, Some(1), Some(account_status))
    );
}

#[tokio::test]
async fn a_write_to_an_object_that_left_the_files_finds_it_gone() {
    let files = Files::new(&every_kind());
    let [set] = listed(&mut files.store.watch_cidr_sets()).await.try_into().unwrap();
    files.becomes(&every_kind().replace(&set_text(), ""));
    assert!(matches!(files.store.write_cidr_set_status(&set, &CidrSetStatus::default()).await, Err(ObjectsError::Gone)));
}

fn set_text() -> String {
    set("office", "192.0.2.0/24")
}

#[tokio::test]
async fn an_account_reads_as_held_but_its_file_may_go() {
    let files = Files::new(&every_kind());
    let mut watch = files.store.watch_accounts();
    let [account] = listed(&mut watch).await.try_into().unwrap();
    files.store.hold_account(&account, true).await.unwrap();
    assert_eq!(news(&mut watch).await, ["Apply prod"]);
    let [held] = listed(&mut files.store.watch_accounts()).await.try_into().unwrap();
    assert_eq!(held.finalizers(), [FINALIZER]);
    files.store.hold_account(&held, true).await.unwrap();
    assert!(news(&mut watch).await.is_empty(), "held already");
    files.store.hold_account(&held, false).await.unwrap();
    files.becomes(&every_kind().replace(&self::account("Enforce"), ""));
    assert_eq!(news(&mut watch).await, ["Apply prod", "Delete prod"]);
}

#[tokio::test]
async fn state_of_groups_is_where_it_was_before_there_were_other_kinds() {
    let files = Files::new(&every_kind());
    let state = files.folder.path().join("state");
    for name in ["default+web.json", "cidrsets/net+office.json", "awsaccounts/prod.json"] {
        assert!(state.join(name).is_file(), "{name}");
    }
    // As written by a release that knew groups only.
    let old = r#"{"uid": "u-1", "generation": 4, "version": 9, "finalizers": ["sgwarden.dev/ec2"],
        "spec": {"vpc": {"id": "vpc-0a1b2c3d"}, "egressPolicy": "DenyAll"}, "status": {"groupId": "sg-0a1b2c3d"}}"#;
    std::fs::write(state.join("default+web.json"), old).unwrap();
    let web = files.restarted().group("web").await.unwrap();
    let meta = web.metadata;
    assert_eq!((meta.uid.as_deref(), meta.generation, meta.resource_version.as_deref()), (Some("u-1"), Some(4), Some("10")));
    assert_eq!(web.status.unwrap().group_id.as_deref(), Some("sg-0a1b2c3d"));
}

#[tokio::test]
async fn a_name_longer_than_a_file_may_have_is_kept_all_the_same() {
    let long = format!("a{}", ".b".repeat(126));
    let files = Files::new(&groups(&[&long]));
    let object = files.only_group().await;
    let status = SecurityGroupStatus { group_id: Some("sg-0a1b2c3d".into()), ..Default::default() };
    files.store.write_status(&object, &status).await.unwrap();
    let again = files.restarted().only_group().await;
    assert_eq!((again.name_any(), again.status), (long, Some(status)));
}

#[tokio::test]
async fn a_group_whose_state_cannot_be_read_is_left_alone_but_sets_and_accounts_stand_without() {
    let files = Files::new(&every_kind());
    let state = files.folder.path().join("state");
    for name in ["default+web.json", "cidrsets/net+office.json", "awsaccounts/prod.json"] {
        std::fs::write(state.join(name), "{").unwrap();
    }
    let files = files.restarted();
    assert_eq!(news(&mut files.store.watch()).await, ["Init", "InitApply db", "InitDone"]);
    assert_eq!(listed(&mut files.store.watch_cidr_sets()).await.len(), 1);
    let [account] = listed(&mut files.store.watch_accounts()).await.try_into().unwrap();
    files.store.write_account_status(&account, &AwsAccountStatus::default()).await.expect("written anew");
}

#[tokio::test]
async fn a_second_process_on_the_state_is_refused() {
    let files = Files::new(&groups(&["web"]));
    let refused = DirectoryObjects::open(options(&files.folder)).err().unwrap();
    assert_eq!(refused.cause.to_string(), "another sgwarden is using it");
}

#[tokio::test]
async fn an_object_that_comes_back_is_looked_at_again() {
    let files = Files::new(&groups(&["web", "aa", "bb"]));
    let before = files.group("web").await.unwrap();
    files.becomes(&groups(&["aa", "bb"]));
    assert!(files.group("web").await.is_none(), "one of three may go");
    files.becomes(&groups(&["web", "aa", "bb"]));
    let after = files.group("web").await.unwrap();
    assert_eq!(before.metadata.uid, after.metadata.uid);
    assert!(after.metadata.generation > before.metadata.generation, "a generation seen before starts no reconcile");
}

#[tokio::test]
async fn a_file_that_is_empty_or_missing_for_a_moment_changes_nothing() {
    let whole = every_kind();
    let files = Files::new(&whole);
    let mut grants = files.store.watch_grants();
    let mut accounts = files.store.watch_accounts();
    listed(&mut grants).await;
    listed(&mut accounts).await;
    for cut_off in [whole.replace(&grant("web"), ""), whole.replace(", mode: Enforce", "")] {
        std::fs::write(files.path(), &cut_off).unwrap();
        files.store.look();
        std::fs::write(files.path(), &whole).unwrap();
        files.store.look();
        files.store.look();
    }
    assert!(news(&mut grants).await.is_empty() && news(&mut accounts).await.is_empty());
    files.becomes(&whole.replace(&grant("web"), ""));
    assert_eq!(news(&mut grants).await, ["Delete web"], "one that is gone at two looks is gone");
}

#[tokio::test]
async fn a_folder_that_is_suddenly_half_empty_lets_go_of_nothing() {
    let files = Files::new(&groups(&["web", "db"]));
    files.becomes("");
    assert_eq!(files.groups().await.len(), 2);
    // What is there still counts: the stop button works also then.
    let files = Files::new(&[groups(&["web", "cc", "dd"]), account("Enforce")].concat());
    files.becomes(&[group("web", "AllowAll"), account("Observe")].concat());
    let found = files.groups().await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().any(|object| object.spec.egress_policy.as_deref() == Some("AllowAll")));
    assert_eq!(listed(&mut files.store.watch_accounts()).await[0].spec.mode.as_deref(), Some("Observe"));
}

#[tokio::test]
async fn many_sets_that_are_gone_at_once_stay_in_force_though_all_groups_are_there() {
    let groups = groups(&["aa", "bb", "cc", "dd", "ee", "ff", "gg"]);
    let sets = ["one", "two", "three"].map(|name| set(name, "192.0.2.0/24")).concat();
    let files = Files::new(&[groups.clone(), sets].concat());
    let mut watch = files.store.watch_cidr_sets();
    listed(&mut watch).await;
    files.becomes(&groups);
    assert!(news(&mut watch).await.is_empty());
    // A person who takes away one or two means it.
    files.becomes(&[groups, set("one", "192.0.2.0/24")].concat());
    assert_eq!(news(&mut watch).await, ["Delete three", "Delete two"]);
}

#[tokio::test]
async fn a_broken_file_of_any_kind_leaves_the_last_good_version_of_all_in_force() {
    let whole = every_kind();
    for (from, to) in [
        ("kind: CidrSet", "kind: CidrSte"),
        ("cidr: 192.0.2.0/24", "cidrs: 192.0.2.0/24"),
        ("mode: Enforce", "mod: Enforce"),
        ("accountId: '111122223333'", "accountId: 111122223333"),
        ("team: shop", "team: [shop]"),
        ("from: []", "form: []"),
        ("egressPolicy", "egresPolicy"),
    ] {
        let files = Files::new(&whole);
        let before = files.groups().await;
        let mut sets = files.store.watch_cidr_sets();
        let mut accounts = files.store.watch_accounts();
        let mut namespaces = files.store.watch_namespaces();
        let mut grants = files.store.watch_grants();
        tokio::join!(listed(&mut sets), listed(&mut accounts), listed(&mut namespaces), listed(&mut grants));
        assert!(whole.contains(from), "{from}");
        // A change beside the fault does not come through either: half a commit is no commit.
        files.becomes(&[whole.replace(from, to), group("new", "DenyAll")].concat());
        assert_eq!(files.groups().await, before, "{to}");
        let said = [news(&mut sets).await, news(&mut accounts).await, news(&mut namespaces).await, news(&mut grants).await];
        assert!(said.concat().is_empty(), "{to}: {said:?}");
    }
}

#[tokio::test]
async fn a_namespace_exists_when_something_is_in_it_and_has_labels_when_a_file_says_so() {
    let files = Files::new(&[groups(&["web"]), set("office", "192.0.2.0/24"), namespace("net"), namespace("other")].concat());
    let mut watch = files.store.watch_namespaces();
    let labels = |found: &[k8s_openapi::api::core::v1::Namespace]| {
        let line = |namespace: &k8s_openapi::api::core::v1::Namespace| {
            let labels = namespace.labels().iter().map(|(key, value)| format!("{key}={value}"));
            format!("{}: {}", namespace.name_any(), labels.collect::<Vec<_>>().join(" "))
        };
        found.iter().map(line).collect::<Vec<_>>()
    };
    let expected = [
        "default: kubernetes.io/metadata.name=default",
        "net: kubernetes.io/metadata.name=net team=shop",
        "other: kubernetes.io/metadata.name=other team=shop",
    ];
    assert_eq!(labels(&listed(&mut watch).await), expected);
    files.becomes(&[groups(&["web"]), set("office", "192.0.2.0/24"), namespace("other")].concat());
    assert_eq!(news(&mut watch).await, ["Apply net"], "it loses its labels but not its set");
    assert_eq!(labels(&listed(&mut files.store.watch_namespaces()).await)[1], "net: kubernetes.io/metadata.name=net");
    files.becomes(&[groups(&["web"]), namespace("other")].concat());
    assert_eq!(news(&mut watch).await, ["Delete net"]);
}

#[tokio::test]
async fn a_spec_that_changes_raises_the_generation_and_a_label_does_not() {
    let files = Files::new(&every_kind());
    let one = |grants: Vec<crate::api::ReferenceGrant>| {
        let [grant] = grants.try_into().unwrap();
        grant
    };
    let before = one(listed(&mut files.store.watch_grants()).await);
    assert_eq!(before.spec, ReferenceGrantSpec::default());
    let to = "to: [{group: sgwarden.dev, kind: CidrSet}]";
    files.becomes(&every_kind().replace("to: []", to));
    let after = one(listed(&mut files.store.watch_grants()).await);
    assert_eq!((before.metadata.generation, after.metadata.generation), (Some(1), Some(2)));
    files.becomes(
        &every_kind().replace("to: []", to).replace("{name: web, namespace: net}", "{name: web, namespace: net, labels: {a: b}}"),
    );
    let labelled = one(listed(&mut files.store.watch_grants()).await);
    assert_eq!(labelled.metadata.generation, Some(2));
    assert!(labelled.metadata.resource_version > after.metadata.resource_version);
}
