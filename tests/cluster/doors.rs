//! Broken doors: creations that panic, an apiserver that does not answer. And what may never happen while an object goes or cannot be
//! understood.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Namespace;

use sgwarden::api::{
    AwsAccount, AwsAccountStatus, CidrSet, CidrSetStatus, Notifier, NotifierStatus, ReferenceGrant, SecurityGroup,
    SecurityGroupStatus,
};
use sgwarden::core::model::{Direction, NewRule, RuleId, SecurityGroupId, Tags};
use sgwarden::ports::cloud::{CloudError, Connect, Ec2, Ec2Write, GroupQuery, NewGroup, Receipt, Route};
use sgwarden::ports::objects::{Notice, Objects, ObjectsError, Watch};

use crate::rig::{Rig, VPC, condition, group_id};

fn manifest(mode: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: web}}
spec:
  vpc: {{id: {VPC}}}
  egressPolicy: DenyAll
  enforcement: {{mode: {mode}}}
  ingress:
    - {{name: a, protocol: tcp, ports: [443], from: [{{cidr: 10.0.0.0/8}}]}}
    - {{name: mesh, protocol: all, from: [{{self: true}}]}}
"
    )
}

async fn open_ssh(rig: &Rig, object: &SecurityGroup) {
    let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group_id(object), Direction::Ingress, &[rule]).await.unwrap();
}

/// One call of the EC2 Query protocol; the text of the first element of a name in the answer.
fn query(rig: &Rig, params: &[(&str, &str)], element: &str) -> String {
    let response = rig.sim.query("AKIA111122223333MALLORY", "eu-west-1", params);
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(response.status().is_success(), "{text}");
    let (_, rest) = text.split_once(&format!("<{element}>")).unwrap_or_else(|| panic!("no {element} in {text}"));
    rest.split('<').next().unwrap().to_owned()
}

/// A way to EC2 whose first creations are broken in the worst way.
struct Panicking {
    inner: Arc<dyn Connect>,
    panics: Arc<AtomicUsize>,
}

struct PanickingWrite {
    inner: Arc<dyn Ec2Write>,
    panics: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Connect for Panicking {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        let ec2 = self.inner.connect(route).await?;
        let write = Arc::new(PanickingWrite { inner: ec2.write, panics: self.panics.clone() });
        Ok(Ec2 { write, ..ec2 })
    }
}

#[async_trait::async_trait]
impl Ec2Write for PanickingWrite {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        let left = self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "a planted panic");
        self.inner.create_group(group).await
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.inner.delete_group(group).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        self.inner.authorize(group, direction, rules).await
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        self.inner.revoke(group, direction, rules).await
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.inner.modify(group, rules).await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        self.inner.describe(group, direction, rules).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.inner.set_tags(group, tags).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.inner.remove_tags(group, tags).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_reconcile_is_counted_and_the_controller_goes_on() {
    let mut rig = Rig::idle("panic").await;
    rig.start_engine_over(Arc::new(Panicking { inner: rig.connector(), panics: Arc::new(AtomicUsize::new(3)) }), rig.objects());
    rig.apply(&manifest("Enforce")).await;
    rig.settled("web").await;
    let mut exposition = String::new();
    prometheus_client::encoding::text::encode(&mut exposition, &rig.metrics.registry()).unwrap();
    assert!(exposition.contains("sgwarden_reconcile_panics_total 3"), "{exposition}");
}

/// A store of objects that stops answering writes of status when told.
struct Silent {
    inner: Arc<dyn Objects>,
    silent: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Objects for Silent {
    fn watch(&self) -> Watch<SecurityGroup> {
        self.inner.watch()
    }

    fn watch_cidr_sets(&self) -> Watch<CidrSet> {
        self.inner.watch_cidr_sets()
    }

    fn watch_accounts(&self) -> Watch<AwsAccount> {
        self.inner.watch_accounts()
    }

    fn watch_namespaces(&self) -> Watch<Namespace> {
        self.inner.watch_namespaces()
    }

    fn watch_grants(&self) -> Watch<ReferenceGrant> {
        self.inner.watch_grants()
    }

    fn watch_notifiers(&self) -> Watch<Notifier> {
        self.inner.watch_notifiers()
    }

    async fn write_cidr_set_status(&self, set: &CidrSet, status: &CidrSetStatus) -> Result<(), ObjectsError> {
        self.inner.write_cidr_set_status(set, status).await
    }

    async fn write_account_status(&self, account: &AwsAccount, status: &AwsAccountStatus) -> Result<(), ObjectsError> {
        self.inner.write_account_status(account, status).await
    }

    async fn write_notifier_status(&self, notifier: &Notifier, status: &NotifierStatus) -> Result<(), ObjectsError> {
        self.inner.write_notifier_status(notifier, status).await
    }

    async fn hold_account(&self, account: &AwsAccount, held: bool) -> Result<(), ObjectsError> {
        self.inner.hold_account(account, held).await
    }

    async fn write_status(&self, object: &SecurityGroup, status: &SecurityGroupStatus) -> Result<SecurityGroup, ObjectsError> {
        if self.silent.load(Ordering::SeqCst) {
            return Err(ObjectsError::Unavailable("no answer".into()));
        }
        self.inner.write_status(object, status).await
    }

    async fn add_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.inner.add_finalizer(object).await
    }

    async fn remove_finalizer(&self, object: &SecurityGroup) -> Result<(), ObjectsError> {
        self.inner.remove_finalizer(object).await
    }

    async fn record_event(&self, object: &SecurityGroup, notice: &Notice) {
        self.inner.record_event(object, notice).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_apiserver_does_not_hold_a_door_open_and_the_record_comes_later() {
    let mut rig = Rig::idle("silent").await;
    let silent = Arc::new(AtomicBool::new(false));
    rig.start_engine_over(rig.connector(), Arc::new(Silent { inner: rig.objects(), silent: silent.clone() }));
    rig.apply(&manifest("Enforce")).await;
    let object = rig.settled("web").await;
    silent.store(true, Ordering::SeqCst);
    open_ssh(&rig, &object).await;
    while rig.live(&object).await.1.len() > 2 {
        tokio::task::yield_now().await;
    }
    assert!(rig.get("web").await.status.unwrap().drift.is_empty(), "the status could not be written");
    silent.store(false, Ordering::SeqCst);
    let object = rig
        .until("web", "told", |object| {
            object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
        })
        .await;
    assert_eq!(object.status.unwrap().drift[0].atoms[0].after.as_deref(), Some("ingress tcp 22 from 0.0.0.0/0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_on_an_interface_keeps_its_rules_while_its_object_is_being_deleted() {
    let rig = Rig::start("inuse").await;
    rig.apply(&manifest("Enforce")).await;
    let object = rig.settled("web").await;
    let subnet = query(&rig, &[("Action", "CreateSubnet"), ("VpcId", VPC), ("CidrBlock", "10.0.0.0/24")], "subnetId");
    let group = group_id(&object).to_string();
    let interface = query(
        &rig,
        &[("Action", "CreateNetworkInterface"), ("SubnetId", &subnet), ("SecurityGroupId.1", &group), ("Description", "node 7")],
        "networkInterfaceId",
    );
    rig.delete("web").await;
    let blocked = rig
        .until("web", "blocked", |object| condition(object, "DeletionBlocked").is_some_and(|(status, _, _)| status == "True"))
        .await;
    let (_, _, message) = condition(&blocked, "DeletionBlocked").unwrap();
    assert!(message.contains(&interface) && message.contains("node 7"), "{message}");
    assert_eq!(rig.rules(&object).await.len(), 2, "members of the group still reach each other");
    query(&rig, &[("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", &interface)], "return");
    rig.gone("web").await;
    assert!(rig.intruder.read.groups(&GroupQuery::Ids(vec![group_id(&object)])).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_manifest_holds_no_door_open_but_observe_stays_observe() {
    for mode in ["Enforce", "Observe"] {
        let rig = Rig::start("unusable").await;
        rig.apply(&manifest("Enforce")).await;
        rig.settled("web").await;
        rig.apply(&manifest(mode)).await;
        let object = rig.settled("web").await;
        // What only a changed default or a file can bring about in earnest: the pin says something else than the spec.
        let patch = serde_json::json!({"status": {"description": "something else"}});
        let scope = format!("--namespace={}", rig.namespace);
        let args = [
            "patch",
            "securitygroups.sgwarden.dev",
            "web",
            &scope,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch.to_string(),
        ];
        rig.plane.kubectl(&args, "").await.succeeded();
        rig.patch("web", serde_json::json!({"metadata": {"annotations": {"look": "again"}}})).await;
        rig.until("web", "stalled", |object| condition(object, "Stalled").is_some_and(|(_, reason, _)| reason == "InvalidSpec"))
            .await;
        rig.sim.clear_calls();
        open_ssh(&rig, &object).await;
        if mode == "Enforce" {
            while rig.live(&object).await.1.len() > 2 {
                tokio::task::yield_now().await;
            }
        } else {
            let passes = rig.passes();
            while rig.passes() < passes + 3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(rig.writes().values().sum::<u64>(), 1, "only the intruder writes in Observe: {:?}", rig.writes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monstrous_owner_tag_is_put_right_and_blinds_nobody() {
    let rig = Rig::start("tag").await;
    rig.apply(&manifest("Enforce")).await;
    let object = rig.settled("web").await;
    let before = rig.live(&object).await.0;
    let forged =
        Tags::from([("sgwarden.dev/origin".to_owned(), "x".repeat(256)), ("sgwarden.dev/uid".to_owned(), "forged".to_owned())]);
    rig.intruder.write.set_tags(&group_id(&object), &forged).await.unwrap();
    open_ssh(&rig, &object).await;
    rig.until("web", "put right", |object| {
        object.status.iter().flat_map(|status| &status.drift).any(|record| record.resolution == "Reverted")
    })
    .await;
    rig.settled("web").await;
    assert_eq!(rig.live(&object).await, (before, rig.live(&object).await.1));
    assert_eq!(rig.rules(&object).await.len(), 2);
}
