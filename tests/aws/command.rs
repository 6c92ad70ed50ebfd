//! `sgwarden sim` as people run it: what it prints, what it keeps, and where its events go.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::servers::moto::{self, Lease};
use crate::servers::supervised::{StateDir, Supervised};
use crate::servers::{http, setup};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sgwarden");
const KEY: &str = "AKIA111122223333ALICE";
const REGION: &str = "eu-west-1";
pub(crate) const VPC: &str = "vpc-0a1b2c3d4e5f60718";
const LIMIT: Duration = Duration::from_mins(1);
/// What a stand-in says last of what is to be exported.
const LAST_LINE: &str = "AWS_DEFAULT_REGION=";

/// A stand-in in a process of its own.
pub(crate) struct Standing {
    server: Supervised,
    pub(crate) address: SocketAddr,
}

impl Standing {
    /// Starts it with nothing of the person's at the keyboard.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let server = launch(folder, arguments);
        let url = server.said("AWS_ENDPOINT_URL_EC2=http://", LIMIT).unwrap();
        server.said(LAST_LINE, LIMIT).unwrap();
        Self { server, address: url.parse().unwrap() }
    }

    pub(crate) async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let parameters: Vec<(&str, &str)> = [("Action", action)].into_iter().chain(parameters.iter().copied()).collect();
        let (status, body) = http::query(self.address, &http::signature(KEY, REGION, "ec2"), "2016-11-15", &parameters).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn create(&self, name: &str) {
        self.ec2("CreateSecurityGroup", &[("GroupName", name), ("GroupDescription", "d"), ("VpcId", VPC)]).await;
    }

    async fn control(&self, request_line: &str, body: &Value) -> Value {
        let (status, answer) = http::send(self.address, request_line, &[], &body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// The names of the groups of its VPC.
    async fn groups(&self) -> Vec<String> {
        let body = self.ec2("DescribeSecurityGroups", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", VPC)]).await;
        let name = |rest: &str| rest.split_once('<').unwrap().0.to_owned();
        let mut names: Vec<String> = body.split("<groupName>").skip(1).map(name).collect();
        names.sort();
        names
    }
}

fn launch(folder: &Path, arguments: &[&str]) -> Supervised {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("AWS_REGION", REGION),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        // Nobody listens there. Events must go where the queue's own URL says.
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ];
    let arguments = ["sim", "--listen", "127.0.0.1:0"].iter().chain(arguments);
    Supervised::spawn("sim", folder, StateDir::Keep, Path::new(BINARY), arguments, &environment).unwrap()
}

/// What it says when it does not start: one line, and exit code 1.
fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let server = launch(folder.path(), arguments);
    assert_eq!(server.wait(LIMIT), Some(1), "{}", server.log());
    let log = server.log();
    assert_eq!((log.lines().count(), log.starts_with("sgwarden: ")), (1, true), "{log}");
    log.trim().to_owned()
}

#[test]
fn it_says_everything_that_is_to_be_exported() {
    let folder = tempfile::tempdir().unwrap();
    let standing = Standing::start(folder.path(), &[]);
    let url = format!("http://{}", standing.address);
    assert_eq!(
        standing.server.log().lines().collect::<Vec<_>>(),
        [
            &format!("export AWS_ENDPOINT_URL_EC2={url}"),
            &format!("export AWS_ENDPOINT_URL_STS={url}"),
            &format!("export AWS_ENDPOINT_URL_CLOUDTRAIL={url}"),
            "export AWS_ACCESS_KEY_ID=AKIA111122223333 AWS_SECRET_ACCESS_KEY=any",
            "export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1",
        ]
    );
}

#[tokio::test]
async fn a_seed_is_the_world_it_starts_with() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("seed.yaml");
    let text = format!(
        "places:\n- account: '111122223333'\n  region: eu-west-1\n  vpcs: [{{id: {VPC}, cidr: 10.5.0.0/16}}]\n  groups:\n  \
         - {{name: web, description: web tier, vpc: {VPC}}}\n"
    );
    std::fs::write(&seed, text).unwrap();
    let standing = Standing::start(folder.path(), &["--seed", seed.to_str().unwrap(), "--vpc", VPC]);
    assert_eq!(standing.groups().await, ["default", "web"], "and --vpc adds only what the seed does not have");
    standing.create("db").await;
    standing.control("POST /_sim/reset", &json!({ "world": true })).await;
    assert_eq!(standing.groups().await, ["default", "web"], "a reset goes back to the seed");
}

#[tokio::test]
async fn what_was_made_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let arguments = ["--state", state.to_str().unwrap(), "--vpc", VPC];
    let first = Standing::start(folder.path(), &arguments);
    first.create("web").await;
    assert_eq!(first.server.terminate(LIMIT).unwrap(), 0);

    let folder = tempfile::tempdir().unwrap();
    let second = Standing::start(folder.path(), &arguments);
    assert_eq!(second.groups().await, ["default", "web"]);
    second.create("db").await;
    let world = second.control("GET /_sim/world", &Value::Null).await;
    assert_eq!(second.server.terminate(LIMIT).unwrap(), 0);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&state).unwrap()).unwrap();
    assert_eq!(kept, world);
}

/// Also where nobody says goodbye.
#[tokio::test]
async fn what_was_made_is_kept_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let standing = Standing::start(folder.path(), &["--state", state.to_str().unwrap(), "--vpc", VPC]);
    standing.create("web").await;
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !std::fs::read_to_string(&state).unwrap().contains("\"web\"") {
        assert!(tokio::time::Instant::now() < deadline, "never kept");
        tokio::task::yield_now().await;
    }
    standing.server.kill().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let second = Standing::start(folder.path(), &["--state", state.to_str().unwrap()]);
    assert_eq!(second.groups().await, ["default", "web"]);
}

#[tokio::test]
async fn two_stand_ins_do_not_keep_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let state = state.to_str().unwrap();
    let first = Standing::start(folder.path(), &["--state", state, "--vpc", VPC]);
    assert_eq!(refusal(&["--state", state]), format!("sgwarden: --state {state}: another stand-in is using it"));
    first.create("web").await;
    // One that nobody lets say goodbye holds nothing back.
    first.server.kill().unwrap();
    let folder = tempfile::tempdir().unwrap();
    Standing::start(folder.path(), &["--state", state]);
}

#[tokio::test]
async fn the_clock_stands_where_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let standing = Standing::start(folder.path(), &["--freeze-clock", "2026-01-02T03:04:05Z"]);
    let clock = standing.control("GET /_sim/clock", &Value::Null).await;
    assert_eq!(clock, json!({ "now": "2026-01-02T03:04:05Z", "frozen": true }));
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "places:\n- account: '1'\n  colour: red\n").unwrap();
    let bad = bad.to_str().unwrap();
    let said = refusal(&["--seed", bad]);
    assert!(said.contains(&format!("--seed {bad}: ")) && said.contains("colour"), "{said}");
    let said = refusal(&["--seed", "/nowhere/seed.yaml"]);
    assert_eq!(said, "sgwarden: --seed /nowhere/seed.yaml: there is no such file");
    let said = refusal(&["--state", "/nowhere/state.json"]);
    assert!(said.starts_with("sgwarden: --state /nowhere/state.json cannot be written: No such file"), "{said}");
    let said = refusal(&["--state", bad]);
    assert!(said.contains(&format!("--state {bad}: ")) && said.contains("colour"), "{said}");
    let said = refusal(&["--vpc", "vpc-1"]);
    assert!(said.starts_with("sgwarden: --vpc vpc-1: ") && said.contains("Malformed"), "{said}");
    let said = refusal(&["--events-delay", "soon"]);
    assert!(said.contains("--events-delay") && said.contains("not a number of seconds"), "{said}");
    let said = refusal(&["--freeze-clock", "noon"]);
    assert!(said.contains("--freeze-clock"), "{said}");
    let said = refusal(&["--events-queue", "queue"]);
    assert!(said.contains("--events-queue queue: ") && said.contains("a queue's URL looks like"), "{said}");
    let said = refusal(&["--events-queue", "http://127.0.0.1:1/111122223333/q"]);
    assert!(said.contains("connection refused: nothing listens at the endpoint"), "{said}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_said_in_one_line() {
    let moto = moto::lease().await;
    let url = format!("{}/111122223333/nobody", moto.url());
    let said = refusal(&["--events-queue", &url]);
    assert!(said.starts_with(&format!("sgwarden: --events-queue {url}: GetQueueAttributes: ")), "{said}");
    assert!(said.contains("does not exist"), "{said}");
}

/// Every request of the page's examples, and every path in it.
#[tokio::test]
async fn the_page_says_what_is_so() {
    let page = include_str!("../../docs/sim.md");
    let folder = tempfile::tempdir().unwrap();
    let seed = page.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    std::fs::write(folder.path().join("seed.yaml"), seed).unwrap();
    let standing = Standing::start(folder.path(), &["--seed", folder.path().join("seed.yaml").to_str().unwrap()]);
    let examples: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("curl -X "))
        .map(|line| line.split_once(" -d ").unwrap_or((line, "''")))
        .collect();
    assert!(examples.len() > 10, "{examples:?}");
    for (request, body) in examples {
        let request = request.replace("127.0.0.1:4510", "");
        let (status, answer) = http::send(standing.address, &request, &[], body.trim_matches('\'')).await;
        assert_eq!(status, 200, "{request} {body}: {answer}");
    }
    let paths = standing.control("GET /_sim/", &Value::Null).await;
    for path in paths["paths"].as_array().unwrap() {
        assert!(page.contains(&format!("`{}`", path.as_str().unwrap())), "{path} is not on the page");
    }
    for line in standing.server.log().lines() {
        let line = line.replace(&standing.address.to_string(), "127.0.0.1:4510");
        assert!(page.contains(&line), "{line} is not on the page");
    }
}

pub(crate) async fn queue(moto: &Lease) -> String {
    moto.sqs("CreateQueue", &json!({ "QueueName": "events" })).await["QueueUrl"].as_str().unwrap().to_owned()
}

/// The next message, which is then deleted; `None` if none comes in so many seconds.
async fn receive(moto: &Lease, queue: &str, seconds: u32) -> Option<Value> {
    let answer = moto.sqs("ReceiveMessage", &json!({ "QueueUrl": queue, "WaitTimeSeconds": seconds })).await;
    let message = answer.get("Messages")?.get(0)?;
    moto.sqs("DeleteMessage", &json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] })).await;
    Some(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap())
}

async fn aws_cli(address: SocketAddr, arguments: &[&str]) -> Value {
    let output = tokio::process::Command::new(setup::aws_cli().unwrap())
        .args(arguments)
        .args(["--output", "json"])
        .env("AWS_ENDPOINT_URL_EC2", format!("http://{address}"))
        .envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "any"), ("AWS_DEFAULT_REGION", REGION)])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn every_write_becomes_a_message_on_the_queue_as_eventbridge_sends_it() {
    let moto = moto::lease().await;
    let queue = queue(&moto).await;
    let folder = tempfile::tempdir().unwrap();
    let standing = Standing::start(folder.path(), &["--vpc", VPC, "--events-queue", &queue]);
    let create = ["ec2", "create-security-group", "--group-name", "web", "--description", "web tier", "--vpc-id", VPC];
    let group = aws_cli(standing.address, &create).await["GroupId"].clone();

    let event = receive(&moto, &queue, 20).await.expect("an event");
    let bridge = ["version", "detail-type", "source", "account", "region"].map(|name| event[name].as_str().unwrap());
    assert_eq!(bridge, ["0", "AWS API Call via CloudTrail", "aws.ec2", "111122223333", "eu-west-1"]);
    assert_eq!(event["resources"], json!([]));
    assert_eq!(event["id"].as_str().unwrap().len(), 36);
    let detail = &event["detail"];
    let facts =
        ["eventSource", "eventName", "awsRegion", "sourceIPAddress", "eventType"].map(|name| detail[name].as_str().unwrap());
    assert_eq!(facts, ["ec2.amazonaws.com", "CreateSecurityGroup", "eu-west-1", "127.0.0.1", "AwsApiCall"]);
    assert_eq!(event["time"], detail["eventTime"]);
    assert_eq!(detail["userIdentity"]["arn"], "arn:aws:iam::111122223333:user/alice");
    assert!(detail["userAgent"].as_str().unwrap().contains("aws-cli"), "{detail}");
    assert_eq!((&detail["requestParameters"]["groupName"], &detail["responseElements"]["groupId"]), (&json!("web"), &group));
    assert_eq!(receive(&moto, &queue, 1).await, None, "once");
}

#[tokio::test]
async fn an_event_takes_as_long_as_it_is_told_to() {
    let moto = moto::lease().await;
    let queue = queue(&moto).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = ["--freeze-clock", "2026-01-02T03:04:05Z", "--events-delay", "90.5"];
    let standing = Standing::start(folder.path(), &[&["--vpc", VPC, "--events-queue", &queue], &clock[..]].concat());
    standing.create("web").await;
    standing.control("PUT /_sim/clock", &json!({ "advanceMs": 90_400 })).await;
    assert_eq!(receive(&moto, &queue, 1).await, None, "too early");
    standing.control("PUT /_sim/clock", &json!({ "advanceMs": 100 })).await;
    let event = receive(&moto, &queue, 20).await.expect("an event");
    assert_eq!((&event["detail"]["eventName"], &event["time"]), (&json!("CreateSecurityGroup"), &json!("2026-01-02T03:04:05Z")));
}

#[tokio::test]
async fn events_wait_for_a_queue_that_is_away() {
    let moto = moto::lease().await;
    let queue = queue(&moto).await;
    let folder = tempfile::tempdir().unwrap();
    let standing = Standing::start(folder.path(), &["--vpc", VPC, "--events-queue", &queue]);
    moto.sqs("DeleteQueue", &json!({ "QueueUrl": queue })).await;
    standing.create("one").await;
    standing.create("two").await;
    standing.server.said("an event was not taken; it is sent again", LIMIT).unwrap();
    moto.sqs("CreateQueue", &json!({ "QueueName": "events" })).await;
    let mut names = Vec::new();
    while names.len() < 2 {
        let event = receive(&moto, &queue, 20).await.expect("an event");
        names.push(event["detail"]["requestParameters"]["groupName"].as_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["one", "two"]);
}

#[tokio::test]
async fn at_the_end_events_that_are_on_their_way_arrive() {
    let moto = moto::lease().await;
    let queue = queue(&moto).await;
    let folder = tempfile::tempdir().unwrap();
    let standing = Standing::start(folder.path(), &["--vpc", VPC, "--events-queue", &queue, "--events-delay", "3600"]);
    standing.create("web").await;
    assert_eq!(standing.server.terminate(LIMIT).unwrap(), 0);
    assert_eq!(receive(&moto, &queue, 1).await.expect("an event")["detail"]["eventName"], "CreateSecurityGroup");
}
