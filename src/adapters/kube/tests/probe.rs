//! What is asked at the start.

use super::*;

fn resources(names: &[&str]) -> Value {
    let resources = names
        .iter()
        .map(|name| json!({ "name": name, "singularName": "", "namespaced": true, "kind": "SecurityGroup", "verbs": [] }));
    json!({ "kind": "APIResourceList", "groupVersion": "sgwarden.dev/v1alpha1", "resources": resources.collect::<Vec<_>>() })
}

fn crd(name: &str, version: &str, established: &str) -> Value {
    let (plural, _) = name.split_once('.').unwrap();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
        "spec": {
            "group": "sgwarden.dev", "scope": "Namespaced", "names": { "plural": plural, "kind": "SecurityGroup" },
            "versions": [{ "name": version, "served": true, "storage": true, "subresources": { "status": {} } }],
        },
        "status": { "conditions": [{ "type": "Established", "status": established, "message": "not all names are accepted" }] },
    })
}

const GROUP_VERSION: &str = "/apis/sgwarden.dev/v1alpha1";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/";
const ALL: [&str; 8] = [
    "awsaccounts",
    "awsaccounts/status",
    "cidrsets",
    "cidrsets/status",
    "notifiers",
    "notifiers/status",
    "securitygroups",
    "securitygroups/status",
];

/// The name of the CRD that is asked for.
fn crd_of(path: &str) -> Option<&str> {
    path.strip_prefix(CRDS)
}

async fn probed(answer: impl Fn(&str) -> (u16, Value) + Clone + Send + Sync + 'static) -> Result<String, String> {
    let server = Apiserver::start(move |asked| Some(answer(asked.uri.path()))).await;
    let text = server.cluster.probe().await.map_err(|error| error.to_string());
    text.inspect_err(|text| assert!(!text.contains('\n'), "{text}")).map_err(|text| text.replace(&server.cluster.server, "SERVER"))
}

fn version() -> (u16, Value) {
    let fields = ["major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
    (200, fields.iter().map(|field| ((*field).to_owned(), json!("1"))).collect::<serde_json::Map<_, _>>().into())
}

#[tokio::test]
async fn the_probe_gives_the_clusters_id() {
    let id = probed(|path| match path {
        GROUP_VERSION => (200, resources(&ALL)),
        "/api/v1/namespaces/kube-system" => (
            200,
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "kube-system", "uid": "c-1" } }),
        ),
        other => panic!("asked for {other}"),
    });
    assert_eq!(id.await, Ok("c-1".to_owned()));
}

#[tokio::test]
async fn the_probe_says_what_is_wrong_with_the_crds() {
    let missing = "the CRDs awsaccounts.sgwarden.dev, cidrsets.sgwarden.dev, notifiers.sgwarden.dev and securitygroups.sgwarden.dev are not installed: \
                   kubectl apply --server-side -f crds/";
    for code in [404, 403] {
        let found = probed(move |path| match (path, crd_of(path)) {
            (_, Some(crd)) => (code, status_of(code, "No", crd)),
            ("/version", None) => version(),
            _ => (404, json!("404 page not found")),
        });
        assert_eq!(found.await.unwrap_err(), missing, "{code}: with or without the right to read CRDs");
    }
    let found = probed(|path| match crd_of(path) {
        Some(crd) => (200, self::crd(crd, "v1", "True")),
        None => (404, json!("404 page not found")),
    });
    let expected = "the CRD awsaccounts.sgwarden.dev does not serve v1alpha1, only v1: kubectl apply --server-side -f crds/";
    assert_eq!(found.await.unwrap_err(), expected);
}

#[tokio::test]
async fn the_probe_names_the_one_crd_that_an_upgrade_forgot() {
    for gone in ["awsaccounts", "cidrsets", "notifiers", "securitygroups"] {
        let found = probed(move |path| match (path, crd_of(path)) {
            (GROUP_VERSION, None) => {
                let left = ALL.iter().filter(|name| !name.starts_with(gone)).copied().collect::<Vec<_>>();
                (200, resources(&left))
            }
            ("/version", None) => version(),
            (_, Some(crd)) => {
                assert!(crd.starts_with(gone), "{crd} is served");
                (404, status_of(404, "NotFound", crd))
            }
            (other, None) => panic!("asked for {other}"),
        });
        let expected = format!("the CRD {gone}.sgwarden.dev is not installed: kubectl apply --server-side -f crds/");
        assert_eq!(found.await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn the_probe_waits_for_a_crd_that_was_just_applied() {
    let looks = Arc::new(Mutex::new(0));
    let found = probed(move |path| match (path, crd_of(path)) {
        (GROUP_VERSION, None) => {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            // One after the other, as they are applied.
            match *looks {
                1 => (404, json!("404 page not found")),
                2 => (200, resources(&ALL[..4])),
                _ => (200, resources(&ALL)),
            }
        }
        (_, Some(crd)) => (200, self::crd(crd, "v1alpha1", "False")),
        _ => (403, status_of(403, "Forbidden", "kube-system")),
    });
    let expected = "sgwarden may not read the namespace kube-system, whose uid is the cluster's id: it says Forbidden; compare its roles with deploy/kubernetes/rbac.yaml";
    assert_eq!(found.await.unwrap_err(), expected);
}

#[tokio::test]
async fn the_probe_tells_what_answers_if_it_is_no_cluster() {
    let found = probed(|_| (401, status_of(401, "Unauthorized", ""))).await.unwrap_err();
    assert_eq!(
        found,
        "the cluster at SERVER does not accept the credentials: it says Unauthorized; log in again, or check the service account"
    );
    let found = probed(|_| (404, json!("nothing here"))).await.unwrap_err();
    assert_eq!(found, "no cluster: SERVER answers, but not as a Kubernetes apiserver does: it has no /version");
    let found = probed(|_| (200, json!("<html>"))).await.unwrap_err();
    assert!(found.starts_with("no cluster: SERVER answers, but not as a Kubernetes apiserver does: "), "{found}");

    let server = Apiserver::start(|_| None).await;
    let nobody = Cluster { server: "http://127.0.0.1:1".to_owned(), ..server.cluster };
    let closed = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let nobody = Cluster { client: kube::Client::try_from(closed).unwrap(), ..nobody };
    let found = nobody.probe().await.unwrap_err().to_string();
    assert_eq!(
        found,
        "no cluster: http://127.0.0.1:1 does not answer: Connection refused (os error 111); is it up, and is it the right --context?"
    );
}
