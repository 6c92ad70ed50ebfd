//! Events over SQS, moto's: what the adapter does with a queue, and the whole way, from an edit in the stand-in to a name in status.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use sgwarden::adapters::aws::{AwsOptions, SqsQueues};
use sgwarden::core::desired::QueueAddress;
use sgwarden::ports::cloud::ErrorClass;
use sgwarden::ports::queue::Queues;

use crate::command::{BINARY, Standing, VPC, queue};
use crate::servers::moto::{self, REGION};
use crate::servers::supervised::{StateDir, Supervised};

const LIMIT: Duration = Duration::from_mins(1);

fn queues() -> SqsQueues {
    SqsQueues::new(&AwsOptions::default().credentials("AKIDTEST", "not-checked"))
}

fn address(url: &str) -> QueueAddress {
    QueueAddress { url: url.to_owned(), region: Some(REGION.parse().unwrap()) }
}

#[tokio::test]
async fn messages_are_hidden_while_they_are_worked_on_and_gone_when_they_are_done_with() {
    let moto = moto::lease().await;
    let url = queue(&moto).await;
    for body in ["one", "two <&> ünïcode"] {
        moto.sqs("SendMessage", &json!({ "QueueUrl": url, "MessageBody": body })).await;
    }
    let reader = queues().open(&address(&url)).await.unwrap();
    let mut messages = reader.receive().await.unwrap();
    while messages.len() < 2 {
        messages.extend(reader.receive().await.unwrap());
    }
    messages.sort_by(|a, b| a.body.cmp(&b.body));
    let bodies: Vec<(&str, u32)> = messages.iter().map(|message| (message.body.as_str(), message.received)).collect();
    assert_eq!(bodies, [("one", 1), ("two <&> ünïcode", 1)]);
    let receipts: Vec<String> = messages.into_iter().map(|message| message.receipt).collect();
    reader.extend(&receipts).await.unwrap();
    let hidden = moto.sqs("ReceiveMessage", &json!({ "QueueUrl": url, "WaitTimeSeconds": 0 })).await;
    assert!(hidden.get("Messages").is_none(), "{hidden}");
    reader.delete(&receipts).await.unwrap();
    let names = json!(["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]);
    let left = moto.sqs("GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": names })).await["Attributes"].clone();
    assert_eq!(left["ApproximateNumberOfMessages"], "0", "{left}");
    assert_eq!(left["ApproximateNumberOfMessagesNotVisible"], "0", "{left}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_by_its_error() {
    let moto = moto::lease().await;
    let url = format!("{}/111122223333/nobody", moto.url());
    let error = queues().open(&address(&url)).await.unwrap().receive().await.unwrap_err();
    assert_eq!((error.operation, error.outcome_unknown), ("ReceiveMessage", false), "{error}");
    assert!(error.code.as_deref().is_some_and(|code| code.contains("NonExistentQueue")), "{error:?}");
    let error = queues().open(&address("http://127.0.0.1:1/1/q")).await.unwrap().receive().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable, "{error}");
    let fifo = queues().open(&address("https://sqs.eu-west-1.amazonaws.com/1/q.fifo")).await.err().unwrap();
    assert!(fifo.message.contains("FIFO"), "{fifo}");
}

/// Everything in a directory's state that is JSON.
pub(crate) fn state(folder: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(state(&entry.path()));
        } else if entry.path().extension().is_some_and(|end| end == "json") {
            found.extend(std::fs::read_to_string(entry.path()).ok().and_then(|text| serde_json::from_str(&text).ok()));
        }
    }
    found
}

/// The first that a look finds.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let looking = async {
        loop {
            pace.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"))
}

/// `sgwarden run` over a stand-in, of one group `web`: the manifests and the state are in `folder`.
pub(crate) fn keep(folder: &Path, home: &Path, standing: &Standing, more: &[&str], settings: &[(&str, &str)]) -> Supervised {
    let (manifests, state) = (folder.join("manifests"), folder.join("state"));
    std::fs::create_dir_all(&manifests).unwrap();
    std::fs::write(
        manifests.join("web.yaml"),
        format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web}}\nspec:\n  vpc: {{id: {VPC}}}\n  ingress:\n  - \
             {{name: https, protocol: tcp, ports: [443], from: [{{cidr: 10.0.0.0/8}}]}}\n  egressPolicy: AllowAll\n"
        ),
    )
    .unwrap();
    let endpoint = format!("http://{}", standing.address);
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIA111122223333SGWARDEN"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL_EC2", endpoint.as_str()),
        ("AWS_ENDPOINT_URL_STS", endpoint.as_str()),
        ("AWS_REGION", REGION),
    ];
    let environment: Vec<(&str, &str)> = environment.into_iter().chain(settings.iter().copied()).collect();
    let places = ["run", "-f", manifests.to_str().unwrap(), "--state", state.to_str().unwrap(), "--cluster-id", "c1"];
    let arguments = places.into_iter().chain(["--region", REGION, "--admin", "127.0.0.1:0"]).chain(more.iter().copied());
    Supervised::spawn("run", home, StateDir::Keep, Path::new(BINARY), arguments, &environment).unwrap()
}

/// Whether a status says that all is well with a group.
pub(crate) fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        && status["groupId"].is_string()
}

/// Somebody opens ssh to the world: alice, whose key signs what is asked of the stand-in.
pub(crate) async fn open_ssh(standing: &Standing, group: &str) {
    let rule = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    standing.ec2("AuthorizeSecurityGroupIngress", &rule).await;
}

#[tokio::test]
async fn an_edit_has_a_name_in_the_status_of_a_directory_long_before_the_next_sweep() {
    let moto = moto::lease().await;
    let url = queue(&moto).await;
    let folder = tempfile::tempdir().unwrap();
    let sim = tempfile::tempdir().unwrap();
    let standing = Standing::start(sim.path(), &["--vpc", VPC, "--events-queue", &url]);
    let home = tempfile::tempdir().unwrap();
    let run = keep(folder.path(), home.path(), &standing, &["--events-queue", &url, "--sweep", "3600"], &[]);

    let kept = folder.path().join("state");
    let status = |wanted: fn(&Value) -> bool| {
        let kept = kept.clone();
        async move || state(&kept).into_iter().map(|object| object.get("status").cloned().unwrap_or(object)).find(&wanted)
    };
    let group = until("the group is there", status(is_ready)).await["groupId"].as_str().unwrap().to_owned();
    open_ssh(&standing, &group).await;
    let told = until("it is put right", status(|status| status["drift"][0]["resolution"] == "Reverted")).await;
    let (record, actor) = (&told["drift"][0], &told["drift"][0]["actor"]);
    assert_eq!((&actor["name"], &actor["eventName"]), (&json!("alice"), &json!("AuthorizeSecurityGroupIngress")), "{}", run.log());
    assert_eq!((&actor["sourceIp"], &actor["type"]), (&json!("127.0.0.1"), &json!("IAMUser")));
    assert_eq!(record["exposure"]["opened"], "tcp/22 to 4,294,967,296 addresses");
    let none = async || {
        let names = json!(["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]);
        let left = moto.sqs("GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": names })).await["Attributes"].clone();
        (left["ApproximateNumberOfMessages"] == "0" && left["ApproximateNumberOfMessagesNotVisible"] == "0").then_some(())
    };
    until("every message is done with", none).await;
}
