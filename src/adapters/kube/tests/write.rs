//! Status and finalizers.

use kube::ResourceExt;

use super::*;
use crate::api::{
    AwsAccount, AwsAccountSpec, AwsAccountStatus, CidrSet, CidrSetSpec, CidrSetStatus, FINALIZER, SecurityGroupStatus,
};
use crate::ports::objects::{Objects, ObjectsError};

fn office() -> CidrSet {
    let mut office = CidrSet::new("office", CidrSetSpec::default());
    office.metadata.namespace = Some("shop".to_owned());
    office.metadata.uid = Some("u-2".to_owned());
    office.metadata.resource_version = Some("17".to_owned());
    office
}

fn prod() -> AwsAccount {
    let mut prod = AwsAccount::new("prod", AwsAccountSpec::default());
    prod.metadata.uid = Some("u-3".to_owned());
    prod.metadata.resource_version = Some("27".to_owned());
    prod
}

const PROD: &str = "/apis/sgwarden.dev/v1alpha1/awsaccounts/prod";

const WEB: &str = "/apis/sgwarden.dev/v1alpha1/namespaces/shop/securitygroups/web";

async fn status_answered(code: u16, body: Value) -> (Result<SecurityGroup, ObjectsError>, Vec<Asked>) {
    let server = Apiserver::start(move |_| Some((code, body.clone()))).await;
    let result = server.objects().write_status(&web(), &SecurityGroupStatus::default()).await;
    (result, server.asked())
}

#[tokio::test]
async fn a_status_is_put_at_its_version_and_nothing_but_the_status_is_sent() {
    let (written, asked) = status_answered(200, stored("8")).await;
    let written = written.unwrap();
    assert_eq!((written.resource_version().as_deref(), written.managed_fields().len()), (Some("8"), 0));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), format!("PUT {WEB}/status"));
    assert_eq!(asked[0].uri.query(), Some("&fieldManager=sgwarden"));
    assert_eq!(asked[0].headers["user-agent"], concat!("sgwarden/", env!("CARGO_PKG_VERSION")));
    let keys = asked[0].body.as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(keys, ["apiVersion", "kind", "metadata", "status"]);
    let metadata = json!({ "namespace": "shop", "name": "web", "uid": "u-1", "resourceVersion": "7" });
    assert_eq!(asked[0].body["metadata"], metadata);
}

#[tokio::test]
async fn answers_to_a_status_write_are_told_apart_and_none_is_asked_for_twice() {
    for (code, body, expected) in [
        (409, status_of(409, "Conflict", "web"), "Conflict"),
        (404, status_of(404, "NotFound", "web"), "Gone"),
        (404, json!("404 page not found"), "Unavailable"),
        (401, status_of(401, "Unauthorized", ""), "Unavailable"),
        (403, status_of(403, "Forbidden", "web"), "Refused: it says Forbidden"),
        (422, status_of(422, "Invalid", "web"), "Refused: it says Invalid"),
        (429, status_of(429, "TooManyRequests", ""), "Unavailable"),
        (500, status_of(500, "InternalError", ""), "Unavailable"),
        (503, status_of(503, "ServiceUnavailable", ""), "Unavailable"),
        (504, status_of(504, "Timeout", ""), "Unavailable"),
        (200, json!("<html>"), "Unavailable"),
    ] {
        let (result, asked) = status_answered(code, body).await;
        let found = match result.unwrap_err() {
            ObjectsError::Conflict => "Conflict".to_owned(),
            ObjectsError::Gone => "Gone".to_owned(),
            ObjectsError::Refused(why) => format!("Refused: {why}"),
            ObjectsError::Unavailable(_) => "Unavailable".to_owned(),
        };
        assert_eq!((found.as_str(), asked.len()), (expected, 1), "{code}");
    }
}

#[tokio::test]
async fn a_status_write_without_an_answer_ends() {
    let server = Apiserver::start(|_| None).await;
    let started = tokio::time::Instant::now();
    let error = server.objects().write_status(&web(), &SecurityGroupStatus::default()).await.unwrap_err();
    assert!(matches!(error, ObjectsError::Unavailable(_)));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_object_that_was_never_read_is_not_written() {
    let server = Apiserver::start(|_| Some((200, stored("8")))).await;
    let mut object = web();
    object.metadata.resource_version = None;
    let error = server.objects().write_status(&object, &SecurityGroupStatus::default()).await.unwrap_err();
    assert!(matches!(error, ObjectsError::Refused(_)));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_finalizer_is_added_beside_others_and_only_once() {
    let server = Apiserver::start(|_| Some((200, stored("8")))).await;
    let mut object = web();
    object.metadata.finalizers = Some(vec!["other.dev/x".to_owned()]);
    server.objects().add_finalizer(&object).await.unwrap();
    object.metadata.finalizers = Some(vec!["other.dev/x".to_owned(), FINALIZER.to_owned()]);
    server.objects().add_finalizer(&object).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), format!("PATCH {WEB}"));
    assert_eq!(asked[0].headers["content-type"], "application/merge-patch+json");
    assert_eq!(asked[0].body, json!({ "metadata": { "resourceVersion": "7", "finalizers": ["other.dev/x", FINALIZER] } }));
}

#[tokio::test]
async fn a_finalizer_is_removed_from_among_others_and_a_gone_object_has_none() {
    let answers = Arc::new(Mutex::new(vec![
        (409, status_of(409, "Conflict", "web")),
        (404, status_of(404, "NotFound", "web")),
        (200, stored("8")),
    ]));
    let server = Apiserver::start(move |_| answers.lock().unwrap().pop()).await;
    let mut object = web();
    server.objects().remove_finalizer(&object).await.unwrap();
    assert!(server.asked().is_empty(), "nothing to remove");
    object.metadata.finalizers = Some(vec![FINALIZER.to_owned(), "other.dev/x".to_owned()]);
    server.objects().remove_finalizer(&object).await.unwrap();
    assert_eq!(server.asked()[0].body, json!({ "metadata": { "resourceVersion": "7", "finalizers": ["other.dev/x"] } }));
    server.objects().remove_finalizer(&object).await.expect("gone is as good");
    assert!(matches!(server.objects().remove_finalizer(&object).await, Err(ObjectsError::Conflict)));
}

#[tokio::test]
async fn the_status_of_a_set_is_put_in_its_namespace_and_that_of_an_account_in_none() {
    let server = Apiserver::start(|asked| {
        let mut stored = asked.body.clone();
        stored["spec"] = if asked.uri.path().contains("cidrsets") {
            json!({})
        } else {
            json!({ "accountId": "111122223333", "regions": [], "allowedNamespaces": { "from": "All" } })
        };
        Some((200, stored))
    })
    .await;
    let objects = server.objects();
    let status = CidrSetStatus { entries: Some(3), ..CidrSetStatus::default() };
    objects.write_cidr_set_status(&office(), &status).await.unwrap();
    let status = AwsAccountStatus { managed: Some(2), ..AwsAccountStatus::default() };
    objects.write_account_status(&prod(), &status).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].line(), "PUT /apis/sgwarden.dev/v1alpha1/namespaces/shop/cidrsets/office/status");
    let expected = json!({
        "apiVersion": "sgwarden.dev/v1alpha1", "kind": "CidrSet", "status": { "entries": 3 },
        "metadata": { "namespace": "shop", "name": "office", "uid": "u-2", "resourceVersion": "17" },
    });
    assert_eq!(asked[0].body, expected);
    assert_eq!(asked[1].line(), format!("PUT {PROD}/status"));
    let expected = json!({
        "apiVersion": "sgwarden.dev/v1alpha1", "kind": "AwsAccount", "status": { "managed": 2 },
        "metadata": { "name": "prod", "uid": "u-3", "resourceVersion": "27" },
    });
    assert_eq!(asked[1].body, expected);
}

#[tokio::test]
async fn a_lost_race_is_a_conflict_and_a_gone_object_gone_for_every_kind() {
    for (code, reason) in [(409, "Conflict"), (404, "NotFound")] {
        let server = Apiserver::start(move |asked| {
            let name = if asked.uri.path().contains("cidrsets") { "office" } else { "prod" };
            Some((code, status_of(code, reason, name)))
        })
        .await;
        let objects = server.objects();
        let results = [
            objects.write_cidr_set_status(&office(), &CidrSetStatus::default()).await,
            objects.write_account_status(&prod(), &AwsAccountStatus::default()).await,
            objects.hold_account(&prod(), true).await,
        ];
        for result in results {
            match code {
                409 => assert!(matches!(result, Err(ObjectsError::Conflict)), "{result:?}"),
                _ => assert!(matches!(result, Err(ObjectsError::Gone)), "{result:?}"),
            }
        }
        assert_eq!(server.asked().len(), 3, "no write is tried twice");
    }
}

#[tokio::test]
async fn a_set_or_account_that_was_never_read_is_not_written() {
    let server = Apiserver::start(|asked| Some((200, asked.body.clone()))).await;
    let objects = server.objects();
    let (mut set, mut elsewhere, mut account) = (office(), office(), prod());
    set.metadata.resource_version = None;
    elsewhere.metadata.namespace = None;
    account.metadata.resource_version = None;
    for set in [set, elsewhere] {
        let refused = objects.write_cidr_set_status(&set, &CidrSetStatus::default()).await;
        assert!(matches!(refused, Err(ObjectsError::Refused(_))), "{refused:?}");
    }
    assert!(matches!(objects.write_account_status(&account, &AwsAccountStatus::default()).await, Err(ObjectsError::Refused(_))));
    assert!(matches!(objects.hold_account(&account, true).await, Err(ObjectsError::Refused(_))));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_account_is_held_once_and_let_go_of_beside_other_holders() {
    let answers = Arc::new(Mutex::new(vec![(404, status_of(404, "NotFound", "prod"))]));
    let server = Apiserver::start(move |asked| {
        let object = json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": asked.body["metadata"] });
        Some(if asked.body["metadata"]["finalizers"] == json!([]) { answers.lock().unwrap().pop().unwrap() } else { (200, object) })
    })
    .await;
    let objects = server.objects();
    let mut account = prod();
    objects.hold_account(&account, false).await.unwrap();
    assert!(server.asked().is_empty(), "nothing to let go of");
    account.metadata.finalizers = Some(vec!["other.dev/x".to_owned()]);
    objects.hold_account(&account, true).await.unwrap();
    account.metadata.finalizers = Some(vec!["other.dev/x".to_owned(), FINALIZER.to_owned()]);
    objects.hold_account(&account, true).await.unwrap();
    objects.hold_account(&account, false).await.unwrap();
    account.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    objects.hold_account(&account, false).await.expect("gone is as good");
    let asked = server.asked();
    let patches = asked.iter().map(|asked| (asked.line(), asked.body["metadata"].clone())).collect::<Vec<_>>();
    let patch = |finalizers: &[&str]| (format!("PATCH {PROD}"), json!({ "resourceVersion": "27", "finalizers": finalizers }));
    assert_eq!(patches, [patch(&["other.dev/x", FINALIZER]), patch(&["other.dev/x"]), patch(&[])]);
}
