//! The harness itself: what it starts works, and nothing of it outlives its test.
//!
//! Taken in by one test binary (`#[path = "../support/harness_tests.rs"] mod harness_tests;`), beside `support`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests, which wait for real processes in real time"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, Error};

use crate::support::controlplane::{ControlPlane, Stop, config_from};
use crate::support::supervised::{StateDir, Supervised};

/// Set in the process that is started to be killed.
const HOLDER: &str = "SGWARDEN_TEST_HOLDER";

#[tokio::test]
async fn administrator_makes_objects_in_a_namespace_of_the_test() {
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("harness").await;
    let maps: Api<ConfigMap> = Api::namespaced(control_plane.client().await, &namespace);
    maps.create(&PostParams::default(), &config_map("one")).await.unwrap();

    let listed = control_plane.kubectl(&["get", "configmaps", "-n", &namespace, "-o", "name"], "").await.succeeded();

    assert_eq!(listed, "configmap/one\n");
}

#[tokio::test]
async fn kubectl_takes_manifests_from_stdin_and_says_why_it_refuses() {
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("harness").await;
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n";

    control_plane.kubectl(&["apply", "-n", &namespace, "-f", "-"], manifest).await.succeeded();
    let unknown = manifest.replace("metadata", "colour: red\nmetadata");
    let refusal = control_plane.kubectl(&["apply", "-n", &namespace, "-f", "-"], &unknown).await.refused();

    assert!(refusal.contains(r#"unknown field "colour""#), "{refusal}");
}

#[tokio::test]
async fn kubectl_reads_the_version_that_the_build_stamped() {
    let version = ControlPlane::shared().kubectl(&["version"], "").await.succeeded();

    let stamped = version.lines().filter(|line| line.contains("Version: v1.")).count();

    assert!(stamped >= 2, "client and server name their versions: {version}");
}

#[tokio::test]
async fn others_than_the_administrator_have_no_rights() {
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("harness").await;
    let account = control_plane.service_account_kubeconfig(&namespace, "nobody").await;

    let impersonated = control_plane.client_as("jane", &["developers"]).await;
    let logged_in = Client::try_from(config_from(&account).await).unwrap();

    for client in [impersonated, logged_in] {
        let outcome = Api::<ConfigMap>::namespaced(client, &namespace).list(&ListParams::default()).await;
        assert!(matches!(&outcome, Err(Error::Api(status)) if status.is_forbidden()), "{outcome:?}");
    }
}

#[tokio::test]
async fn service_account_has_the_rights_that_a_role_gives_it() {
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.namespace("harness").await;
    let account = control_plane.service_account_kubeconfig(&namespace, "reader").await;
    let subject = format!("--serviceaccount={namespace}:reader");
    for arguments in [
        ["create", "role", "reader", "--verb=list", "--resource=configmaps", "-n", &namespace],
        ["create", "rolebinding", "reader", "--role=reader", &subject, "-n", &namespace],
    ] {
        control_plane.kubectl(&arguments, "").await.succeeded();
    }

    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config_from(&account).await).unwrap(), &namespace);

    // The apiserver's authorizer learns of a new binding by a watch, so a moment later.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = maps.list(&ListParams::default()).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let outcome = maps.create(&PostParams::default(), &config_map("three")).await;
    assert!(matches!(&outcome, Err(Error::Api(status)) if status.is_forbidden()), "{outcome:?}");
}

#[tokio::test]
async fn objects_and_address_survive_restarts_of_the_apiserver() {
    let mut control_plane = ControlPlane::private().await;
    let (client, url) = (control_plane.client().await, control_plane.url());
    let namespace = control_plane.namespace("kept").await;

    for how in [Stop::Gently, Stop::Abruptly] {
        control_plane.restart_apiserver(how).await;

        assert_eq!(control_plane.url(), url);
        // The client of before: it must find its way back, as the controller must.
        Api::<Namespace>::all(client.clone()).get(&namespace).await.unwrap();
    }
}

#[tokio::test]
async fn dropped_control_plane_is_gone_at_once() {
    let control_plane = ControlPlane::private().await;
    let (processes, directory) = (control_plane.process_ids(), control_plane.state_dir().to_owned());
    assert_eq!(processes.len(), 4, "two servers, each with its watchdog");

    drop(control_plane);

    assert_eq!(left_behind(&processes, &directory), Vec::<String>::new());
}

#[test]
fn nothing_outlives_a_test_process_that_is_killed() {
    // Which test of this binary the other process is to run.
    let path = module_path!().split_once("::").map_or(module_path!(), |(_, inner)| inner);
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{path}::holds_a_control_plane_until_it_is_killed"), "--nocapture"])
        .env(HOLDER, "yes")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The line is `holding <directory> <process id>...`, perhaps behind what the test runner prints.
    let announced = BufReader::new(holder.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("holding ").map(|(_, rest)| rest.to_owned()))
        .unwrap();
    let mut words = announced.split(' ');
    let directory = PathBuf::from(words.next().unwrap());
    let processes: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    assert_eq!(processes.len(), 4);
    assert_eq!(left_behind(&processes, &directory).len(), 5, "all of them are there before");

    holder.kill().unwrap(); // SIGKILL: no destructor and no handler runs
    holder.wait().unwrap();

    let deadline = Instant::now() + Duration::from_secs(30);
    while !left_behind(&processes, &directory).is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:?}", left_behind(&processes, &directory));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Not a test of its own: the process that the test above kills. Without its order it has nothing to do.
#[test]
#[allow(clippy::print_stdout, reason = "how it tells its parent what to watch")]
fn holds_a_control_plane_until_it_is_killed() {
    if std::env::var_os(HOLDER).is_none() {
        return;
    }
    let control_plane = ControlPlane::start().unwrap();
    let ids: Vec<String> = control_plane.process_ids().iter().map(u32::to_string).collect();
    println!("holding {} {}", control_plane.state_dir().display(), ids.join(" "));
    // Longer than the parent waits for anything; ends by itself should the parent be killed too.
    std::thread::sleep(Duration::from_mins(5));
}

#[test]
fn supervised_program_tells_how_it_ended_and_what_it_said() {
    let directory = tempfile::tempdir().unwrap();
    let script = ["-c", "echo hello $GREETED; exit 7"];
    let environment = [("GREETED", "world")];

    let server = Supervised::spawn("short", directory.path(), StateDir::Keep, Path::new("sh"), script, &environment).unwrap();

    assert_eq!(server.wait(Duration::from_secs(20)), Some(7));
    assert_eq!(server.log(), "hello world\n");
}

#[test]
fn supervised_program_that_ignores_sigterm_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let script = ["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"];
    let server = Supervised::spawn("deaf", directory.path(), StateDir::Keep, Path::new("sh"), script, &[]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.log().is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }

    let code = server.terminate(Duration::from_millis(200)).unwrap();

    assert_eq!(code, 128 + 9);
    assert!(directory.path().join("deaf.log").exists(), "its directory is not the watchdog's to remove");
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() }, ..Default::default() }
}

/// Which of the processes still run (a zombie does not), and the directory if it still exists.
fn left_behind(processes: &[u32], directory: &Path) -> Vec<String> {
    let running = |id: &u32| {
        // The state is the word behind the name, which is in parentheses and may hold anything.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    let mut left: Vec<String> = processes.iter().filter(|id| running(id)).map(|id| format!("process {id}")).collect();
    left.extend(directory.exists().then(|| directory.display().to_string()));
    left
}
