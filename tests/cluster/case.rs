//! The case sgwarden began with, end to end as a user runs it: `kubectl apply`, the binary, the stand-in in a process of its
//! own, and the AWS CLI to look.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::rig::install_crds;
use crate::support::controlplane::ControlPlane;
use crate::support::setup;
use crate::support::supervised::{StateDir, Supervised};

const BINARY: &str = env!("CARGO_BIN_EXE_sgwarden");
const CASE: &str = include_str!("accepted/case.yaml");
const LIMIT: Duration = Duration::from_secs(90);

/// Waits until a process has logged a text, and gives what stands behind it up to the next blank.
async fn logged(process: &Supervised, before: &str) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some((_, rest)) = process.log().split_once(before) {
            let word = rest.split_whitespace().next().unwrap_or_default().trim_matches('"').to_owned();
            return word.trim_start_matches("http://").to_owned();
        }
        assert!(Instant::now() < deadline && process.exit_code().is_none(), "{before:?} never came:\n{}", process.log());
        tokio::task::yield_now().await;
    }
}

async fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The rules of the groups of a cluster, through the AWS CLI: `web-public ingress tcp 80-80 0.0.0.0/0 Allow …`.
async fn described(sim: &str, cluster: &str) -> BTreeSet<String> {
    let filter = format!("Name=tag:sgwarden.dev/cluster,Values={cluster}");
    let output = tokio::process::Command::new(setup::aws_cli().unwrap())
        .args(["ec2", "describe-security-groups", "--output", "json", "--filters", &filter])
        .envs([
            ("AWS_ENDPOINT_URL_EC2", format!("http://{sim}").as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIA111122223333"),
            ("AWS_SECRET_ACCESS_KEY", "any"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
        ])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let groups = answer["SecurityGroups"].as_array().unwrap();
    let names = |id: &Value| {
        groups.iter().find(|group| group["GroupId"] == *id).map_or_else(|| id.to_string(), |group| group["GroupName"].to_string())
    };
    let mut lines = BTreeSet::new();
    for group in groups {
        for (direction, field) in [("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")] {
            for permission in group[field].as_array().unwrap() {
                let ranges = permission["IpRanges"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|range| (range["CidrIp"].to_string(), range["Description"].to_string()));
                let pairs = permission["UserIdGroupPairs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|pair| (names(&pair["GroupId"]), pair["Description"].to_string()));
                for (peer, description) in ranges.chain(pairs) {
                    let (protocol, from, to) = (&permission["IpProtocol"], &permission["FromPort"], &permission["ToPort"]);
                    lines.insert(
                        format!("{} {direction} {protocol} {from}-{to} {peer} {description}", group["GroupName"]).replace('"', ""),
                    );
                }
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_of_the_case_are_exactly_the_rules_in_ec2() {
    let plane = ControlPlane::shared();
    install_crds(plane).await;
    let namespace = plane.namespace("case").await;
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, args: &[&str], env: &[(&str, &str)]| {
        Supervised::spawn(name, folder.path(), StateDir::Keep, Path::new(BINARY), args, env).unwrap()
    };
    let mut sim = start("sim", &["sim", "--listen", "127.0.0.1:0", "--vpc", "vpc-0a1b2c3d"], &[]);
    let address = logged(&sim, "AWS_ENDPOINT_URL_EC2=").await;

    let kubeconfig = plane.kubeconfig_path();
    let audit = folder.path().join("audit.jsonl");
    let args = [
        "controller",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--namespace",
        &namespace,
        "--cluster-id",
        &namespace,
        "--lease-namespace",
        &namespace,
        "--region",
        "eu-west-1",
        "--account-id",
        "111122223333",
        "--admin",
        "127.0.0.1:0",
        "--sweep",
        "1",
        "--speedup",
        "20",
        "--audit-file",
        audit.to_str().unwrap(),
    ];
    let endpoint = format!("http://{address}");
    let env = [
        ("AWS_ENDPOINT_URL_EC2", endpoint.as_str()),
        ("AWS_ENDPOINT_URL_STS", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIA111122223333"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
    ];
    let mut controller = start("controller", &args, &env);
    let admin = logged(&controller, "address=").await;
    let scope = format!("--namespace={namespace}");
    plane.kubectl(&["apply", &scope, "-f", "-"], CASE).await.succeeded();

    let deadline = Instant::now() + LIMIT;
    let table = loop {
        let table = plane.kubectl(&["get", "sg", &scope], "").await.succeeded();
        let ready = table
            .lines()
            .filter(|line| line.split_whitespace().collect::<Vec<_>>().get(2..5) == Some(&["True", "True", "False"]))
            .count();
        if ready == 3 {
            break table;
        }
        assert!(Instant::now() < deadline, "{table}\n{}", controller.log());
    };
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "GROUP-ID", "READY", "SYNCED", "DRIFTED", "RULES", "MODE", "AGE"]);

    let name = |short: &str| format!("{namespace}.{short}");
    let mut expected = BTreeSet::new();
    for (group, range) in [("web-public", "0.0.0.0/0"), ("web-internal", "10.0.0.0/8")] {
        expected.insert(format!("{} ingress tcp 80-80 {range} Allow inbound HTTP traffic", name(group)));
        expected.insert(format!("{} ingress tcp 443-443 {range} Allow inbound HTTPS traffic", name(group)));
        expected.insert(format!("{} egress -1 null-null 0.0.0.0/0 Allow outbound traffic", name(group)));
    }
    expected.insert(format!("{} ingress tcp 5432-5432 {} Allow the web tier", name("db"), name("web-public")));
    assert_eq!(described(&address, &namespace).await, expected);

    assert!(http_get(&admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(http_get(&admin, "/livez").await.starts_with("HTTP/1.1 200"));
    let metrics = http_get(&admin, "/metrics").await;
    assert!(metrics.contains("sgwarden_managed_groups 3") || metrics.contains("sgwarden_reconcile_total"), "{metrics}");
    assert!(!controller.log().contains("any\""), "no secret in the log");

    plane.kubectl(&["delete", "sg", "--all", &scope, "--timeout=60s"], "").await.succeeded();
    assert!(described(&address, &namespace).await.is_empty(), "the groups go with their objects");
    controller.signal("TERM").unwrap();
    assert_eq!(controller.wait(LIMIT), Some(0), "{}", controller.log());
    sim.signal("TERM").unwrap();
    assert_eq!(sim.wait(LIMIT), Some(0), "{}", sim.log());
}
