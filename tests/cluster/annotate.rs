//! `approve`, `suspend` and `resume` of the binary, over the real apiserver, with and without the policy that says who may; and
//! the binary as kubectl's plugin.

use std::path::PathBuf;
use std::process::Stdio;

use futures::{StreamExt, stream};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use sgwarden::adapters::kube::{ClusterOptions, connect};
use sgwarden::api::{APPROVE_ANNOTATION, SUSPEND_ANNOTATION, SecurityGroup};
use sgwarden::core::model::{Direction, NewRule};
use sgwarden::ports::objects::{Key, ObjectsError};

use crate::cli::{LIMIT, NOBODY, SGWARDEN, refused, run};
use crate::keeping::Shell;
use crate::rig::{Rig, VPC, group_id};
use crate::support::controlplane::ControlPlane;
use crate::support::setup;
use crate::verbs::{HASH, Stage};

fn manifest(name: &str, label: &str, enforcement: &str) -> String {
    format!(
        "---
apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: {name}, labels: {{app: {label}}}}}
spec:
  vpc: {{id: {VPC}}}
  ingress: [{{name: https, protocol: tcp, ports: [443], from: [{{cidr: 0.0.0.0/0}}]}}]
  egressPolicy: DenyAll
  enforcement: {{{enforcement}}}
"
    )
}

fn annotation(object: &SecurityGroup, key: &str) -> Option<String> {
    object.metadata.annotations.as_ref()?.get(key).cloned()
}

fn mode_is(wanted: &str) -> impl Fn(&SecurityGroup) -> bool + Send + '_ {
    move |object| object.status.as_ref().is_some_and(|status| status.mode.as_deref() == Some(wanted) && status.plan.is_some())
}

/// A status with a plan that waits.
fn waits(object: &SecurityGroup, hash: &str) -> Value {
    json!({ "status": {
        "observedGeneration": object.metadata.generation, "mode": "AwaitingApproval",
        "plan": { "hash": hash, "count": 1, "steps": ["authorize ingress tcp 443 from 192.0.2.0/24 (ReferenceChange)"] },
    }})
}

async fn has_plan(groups: &Api<SecurityGroup>, name: &str, hash: &str) {
    let object = groups.get(name).await.unwrap();
    groups.patch_status(name, &PatchParams::default(), &Patch::Merge(waits(&object, hash))).await.unwrap();
}

/// A kubeconfig of a person, whom the administrator impersonates.
async fn kubeconfig_of(plane: &ControlPlane, folder: &TempDir, person: &str) -> String {
    let text = tokio::fs::read_to_string(plane.kubeconfig_path()).await.unwrap();
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"]["as"] = json!(person);
    let path = folder.path().join(person);
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_that_wait_are_shown_asked_about_and_approved() {
    let rig = Rig::start("annotate").await;
    let required = "approval: Required";
    rig.apply(&[manifest("web", "shop", required), manifest("db", "shop", required), manifest("ops", "ops", "")].concat()).await;
    rig.settled("ops").await;
    let hash = |object: SecurityGroup| object.status.unwrap().plan.unwrap().hash.unwrap();
    let web = hash(rig.until("web", "waiting", mode_is("AwaitingApproval")).await);
    let db = hash(rig.until("db", "waiting", mode_is("AwaitingApproval")).await);
    let shell = Shell::of(&rig);
    let (named_web, named_db) = (format!("{}/web", rig.namespace), format!("{}/db", rig.namespace));

    // Nobody can be asked: it shows what it would approve, and that is all.
    let shown = run(&shell.arguments(&["approve", "web"]), &[]).await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(shown.stdout.starts_with(&format!("{named_web}   plan {web}\n  create group ")), "{shown:?}");
    assert!(shown.stderr.contains("nothing is written") && shown.stderr.contains("--yes"), "{shown:?}");
    assert_eq!(annotation(&rig.get("web").await, APPROVE_ANNOTATION), None);

    let approved = run(&shell.arguments(&["approve", "-l", "app in (shop, none)", "--yes"]), &[]).await;
    assert_eq!((approved.code, approved.stderr.as_str()), (Some(0), "2 of 2 groups approved.\n"), "{approved:?}");
    for line in [format!("{named_db}   plan {db}"), format!("{named_web}: approved"), format!("{named_db}: approved")] {
        assert!(approved.stdout.lines().any(|said| said == line), "no {line}: {approved:?}");
    }
    let object = rig.settled("web").await;
    rig.settled("db").await;
    let text = annotation(&object, APPROVE_ANNOTATION).unwrap();
    assert!(text.starts_with(&format!("{web} ")) && text.len() > web.len() + 1, "{text}");
    let managers = object.metadata.managed_fields.unwrap_or_default();
    assert!(managers.iter().any(|entry| entry.manager.as_deref() == Some("sgwarden-annotate")), "{managers:?}");

    // What waits no more is nothing to approve: said of those that were named, passed over among all.
    let again = run(&shell.arguments(&["approve", "web", "none", "--yes"]), &[]).await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""), "{again:?}");
    assert!(again.stderr.contains(&format!("{named_web}: not approved: no plan of it waits for approval")), "{again:?}");
    assert!(again.stderr.contains("/none: not approved: there is no securitygroups.sgwarden.dev"), "{again:?}");
    let all = run(&shell.arguments(&["approve", "--all"]), &[]).await;
    assert_eq!((all.code, all.stdout.as_str(), all.stderr.as_str()), (Some(0), "", "Nothing to approve in 3 groups.\n"));
    assert!(shell.refuses(&["approve", "-l", "app in shop"]).await.contains("unable to parse requirement"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reverts_are_suspended_and_go_on_again() {
    let rig = Rig::start("annotate").await;
    rig.apply(&manifest("web", "shop", "")).await;
    let object = rig.settled("web").await;
    let shell = Shell::of(&rig);
    let shown = run(&shell.arguments(&["suspend", "web", "--for", "2h", "--reason", "incident 4711"]), &[]).await;
    assert!(
        shown.code == Some(1) && shown.stdout.contains("nothing is reverted until ") && shown.stdout.contains(": incident 4711")
    );
    assert_eq!(annotation(&rig.get("web").await, SUSPEND_ANNOTATION), None);
    shell.says(&["suspend", "web", "--for", "2h", "--reason", "incident 4711", "--yes"]).await;
    let suspended =
        |object: &SecurityGroup| object.status.as_ref().is_some_and(|status| status.mode.as_deref() == Some("Suspended"));
    rig.until("web", "suspended", suspended).await;

    let ssh = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group_id(&object), Direction::Ingress, &[ssh]).await.unwrap();
    let told = |object: &SecurityGroup| object.status.as_ref().is_some_and(|status| !status.drift.is_empty());
    rig.until("web", "told", told).await;
    let shown = run(&shell.arguments(&["resume", "web"]), &[]).await;
    assert!(shown.code == Some(1) && shown.stdout.contains("then this is reverted: "), "{shown:?}");
    assert!(shown.stdout.contains("added ingress tcp 22 from 0.0.0.0/0"), "{shown:?}");
    let resumed = shell.says(&["resume", "-l", "app=shop", "--yes"]).await;
    assert!(resumed.ends_with(&format!("{}/web: resumed\n", rig.namespace)), "{resumed}");
    let object = rig.settled("web").await;
    assert_eq!(annotation(&object, SUSPEND_ANNOTATION), None);
    assert_eq!(rig.rules(&object).await, ["ingress tcp 443 from 0.0.0.0/0 \"\""]);
    let again = run(&shell.arguments(&["resume", "web"]), &[]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("/web: nothing suspends it"), "{again:?}");

    rig.patch("web", json!({ "spec": { "enforcement": { "suspend": { "until": "2999-01-01T00:00:00Z" } } } })).await;
    for arguments in [&["resume", "web", "--yes"][..], &["suspend", "web", "--for", "2h", "--reason", "x", "--yes"]] {
        assert!(shell.refuses(arguments).await.contains("spec.enforcement.suspend suspends it until 2999-01-01T00:00:00Z"));
    }
}

/// Runs a command of the binary on a terminal of its own.
const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changes_while_a_person_reads_it_is_not_approved() {
    let rig = Rig::idle("annotate").await;
    rig.apply(&[manifest("web", "shop", ""), manifest("db", "shop", "")].concat()).await;
    let groups = rig.groups();
    for name in ["web", "db"] {
        has_plan(&groups, name, HASH).await;
    }
    let shell = Shell::of(&rig);
    let mut command = tokio::process::Command::new(setup::python().unwrap());
    command.args(["-c", TERMINAL, SGWARDEN]).args(shell.arguments(&["approve", "--all"])).env_clear().envs(NOBODY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let talk = async {
        while !String::from_utf8_lossy(&seen).contains("[y/N] ") {
            assert!(screen.read_buf(&mut seen).await.unwrap() > 0, "it never asks: {}", String::from_utf8_lossy(&seen));
        }
        let other = HASH.replace('0', "f");
        has_plan(&groups, "web", &other).await;
        // This one changes, but not in what was shown.
        rig.patch("db", json!({ "metadata": { "labels": { "team": "shop" } } })).await;
        keyboard.write_all(b"y\n").await.unwrap();
        screen.read_to_end(&mut seen).await.unwrap();
        other
    };
    let other = tokio::time::timeout(LIMIT, talk).await.unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert_eq!(tokio::time::timeout(LIMIT, child.wait()).await.unwrap().unwrap().code(), Some(1), "{seen}");
    assert!(seen.contains("Approve 2 groups? [y/N] "), "{seen}");
    let refusal = format!("/web: not approved: its plan has changed meanwhile: {HASH} was shown and {other} waits now");
    assert!(seen.contains(&refusal) && seen.contains("/db: approved") && seen.contains("1 of 2 groups approved."), "{seen}");
    assert_eq!(annotation(&rig.get("web").await, APPROVE_ANNOTATION), None);
    assert!(annotation(&rig.get("db").await, APPROVE_ANNOTATION).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plans_of_many_groups_are_approved_at_once_and_each_that_is_not_is_named() {
    const GROUPS: usize = 150;
    let rig = Rig::idle("annotate").await;
    let groups = rig.groups();
    let name = |number: usize| format!("web-{number:03}");
    let make = async |number: usize| {
        let object = json!({
            "apiVersion": "sgwarden.dev/v1alpha1", "kind": "SecurityGroup", "metadata": { "name": name(number) },
            "spec": { "vpc": { "id": VPC }, "egressPolicy": "DenyAll" },
        });
        groups.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        has_plan(&groups, &name(number), &format!("{number:032x}")).await;
    };
    stream::iter(0..GROUPS).map(make).buffer_unordered(16).collect::<Vec<()>>().await;
    // The manifest of one has changed since its plan was made.
    rig.patch("web-007", json!({ "spec": { "egressPolicy": "AllowAll" } })).await;
    let ran = run(&Shell::of(&rig).arguments(&["approve", "--all", "--yes"]), &[]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        lines[0].contains("/web-007: not approved: its plan is of generation 1 and the object is of generation 2"),
        "{lines:?}"
    );
    assert_eq!(lines[1..], [format!("{} of {GROUPS} groups approved.", GROUPS - 1)]);
    // The same plan for all: told once, below the names.
    assert_eq!(ran.stdout.matches("authorize ingress tcp 443 from 192.0.2.0/24").count(), 1);
    assert_eq!(ran.stdout.lines().filter(|line| line.ends_with(": approved")).count(), GROUPS - 1);
    for number in [0, 7, GROUPS - 1] {
        let said = annotation(&rig.get(&name(number)).await, APPROVE_ANNOTATION);
        let hash = format!("{number:032x} ");
        assert_eq!(said.is_some_and(|said| said.starts_with(&hash)), number != 7, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_in_the_words_of_the_policy() {
    let stage = Stage::set().await;
    let folder = TempDir::new().unwrap();
    let groups: Api<SecurityGroup> = Api::namespaced(stage.plane.client().await, &stage.namespace);
    has_plan(&groups, "web", HASH).await;
    let (ada, ed, sue) = (
        kubeconfig_of(&stage.plane, &folder, "ada").await,
        kubeconfig_of(&stage.plane, &folder, "ed").await,
        kubeconfig_of(&stage.plane, &folder, "sue").await,
    );
    let named = format!("{}/web", stage.namespace);
    let as_person = async |kubeconfig: &str, arguments: &[&str]| {
        run(&[arguments, &[&named, "--yes", "--kubeconfig", kubeconfig]].concat(), &[]).await
    };
    let suspend = ["suspend", "--for", "2h", "--reason", "incident 4711"];
    for (kubeconfig, arguments, words) in [
        (&ed, &["approve"][..], "'ed' may not approve"),
        (&sue, &["approve"], "'sue' may not approve"),
        (&ed, &suspend, "'ed' may not suspend"),
    ] {
        let ran = as_person(kubeconfig, arguments).await;
        assert!(ran.code == Some(1) && ran.stderr.contains(words), "{arguments:?}: {ran:?}");
    }
    let approved = as_person(&ada, &["approve"]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    let object = groups.get("web").await.unwrap();
    assert_eq!(annotation(&object, APPROVE_ANNOTATION), Some(format!("{HASH} ada")));
    let again = as_person(&ada, &["approve"]).await;
    assert!(again.code == Some(0) && again.stderr.contains("is approved already, by ada"), "{again:?}");

    // Carried out once, the same plan takes other words.
    let spent = json!({ "status": { "approved": { "hash": HASH, "by": "ada", "generation": object.metadata.generation } } });
    groups.patch_status("web", &PatchParams::default(), &Patch::Merge(spent)).await.unwrap();
    assert_eq!(as_person(&ada, &["approve"]).await.code, Some(0));
    assert_eq!(annotation(&groups.get("web").await.unwrap(), APPROVE_ANNOTATION), Some(format!("{HASH} ada, again")));

    assert_eq!(as_person(&sue, &suspend).await.code, Some(0));
    assert!(annotation(&groups.get("web").await.unwrap(), SUSPEND_ANNOTATION).unwrap().ends_with("Z incident 4711"));
    assert_eq!(as_person(&ed, &["resume"]).await.code, Some(0), "nobody needs a verb to end it");

    // One that cannot be read keeps no other from being written.
    let both = run(
        &[
            "suspend",
            "-n",
            &stage.namespace,
            "web",
            "kube-system/web",
            "--for",
            "1h",
            "--reason",
            "x",
            "--yes",
            "--kubeconfig",
            &sue,
        ],
        &[],
    )
    .await;
    assert!(both.code == Some(1) && both.stdout.ends_with(&format!("{named}: suspended\n")), "{both:?}");
    assert!(
        both.stderr.contains("kube-system/web: not suspended: ") && both.stderr.ends_with("1 of 2 groups suspended.\n"),
        "{both:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_overwrites_no_edit_that_came_between() {
    let rig = Rig::idle("annotate").await;
    rig.apply(&manifest("web", "shop", "")).await;
    let options = ClusterOptions { kubeconfig: Some(rig.plane.kubeconfig_path()), context: None };
    let cluster = connect(&options).await.unwrap();
    let key = Key { namespace: rig.namespace.clone(), name: "web".to_owned() };
    let read = cluster.group(&key).await.unwrap().unwrap().object;
    rig.patch("web", json!({ "metadata": { "annotations": { "team": "shop" } } })).await;
    let lost = cluster.annotate(&read, SUSPEND_ANNOTATION, Some("2026-12-24T18:00:00Z x")).await;
    assert!(matches!(lost, Err(ObjectsError::Conflict)), "{lost:?}");
    let mut other = cluster.group(&key).await.unwrap().unwrap().object;
    other.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    assert!(cluster.annotate(&other, SUSPEND_ANNOTATION, Some("x")).await.is_err());
    let fresh = cluster.group(&key).await.unwrap().unwrap().object;
    cluster.annotate(&fresh, SUSPEND_ANNOTATION, Some("2026-12-24T18:00:00Z x")).await.unwrap();
    let written = rig.get("web").await;
    assert_eq!(annotation(&written, SUSPEND_ANNOTATION).as_deref(), Some("2026-12-24T18:00:00Z x"));
    assert_eq!(annotation(&written, "team").as_deref(), Some("shop"), "what others wrote stays");
    cluster.annotate(&cluster.group(&key).await.unwrap().unwrap().object, SUSPEND_ANNOTATION, None).await.unwrap();
    assert_eq!(annotation(&rig.get("web").await, SUSPEND_ANNOTATION), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_its_plugin_and_it_is_called_so_in_all_it_says() {
    let plane = ControlPlane::shared();
    let rig = Rig::idle("annotate").await;
    rig.apply(&manifest("web", "shop", "")).await;
    let folder = TempDir::new().unwrap();
    std::os::unix::fs::symlink(SGWARDEN, folder.path().join("kubectl-sgwarden")).unwrap();
    let kubectl: PathBuf = plane.kubectl_path();
    let plugin = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(&kubectl);
        command.arg("sgwarden").args(arguments).env_clear().envs(NOBODY);
        command.env("PATH", folder.path()).env("KUBECONFIG", plane.kubeconfig_path()).kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, help, _) = plugin(&["approve", "--help"]).await;
    assert!(
        code == Some(0) && help.contains("Usage: kubectl sgwarden approve") && help.contains("\n  kubectl sgwarden approve -A"),
        "{help}"
    );
    let (_, help, _) = plugin(&["accept", "--help"]).await;
    assert!(help.contains("kubectl sgwarden drift lists them"), "{help}");
    let (code, _, wrong) = plugin(&["drift", "--nope"]).await;
    assert!(code == Some(1) && wrong.contains("(see kubectl sgwarden --help)"), "{wrong}");
    let (code, _, said) = plugin(&["drift", "-n", &rig.namespace]).await;
    assert_eq!((code, said.as_str()), (Some(0), "No drift in 1 group.\n"));
    let (_, _, said) = plugin(&["accept", "-n", &rig.namespace, "web", "d-1"]).await;
    assert!(said.contains("(kubectl sgwarden drift "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_nothing_or_too_much_is_told() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["approve"], &["<GROUP>"]),
        (&["approve", "-A"], &["<GROUP>"]),
        (&["approve", "web", "--all"], &["--all"]),
        (&["approve", "--all", "-l", "app=shop"], &["--all", "--selector"]),
        (&["approve", "--all", "-A", "-n", "shop"], &["--all-namespaces", "--namespace"]),
        (&["suspend", "web", "--for", "2h"], &["--reason <TEXT>"]),
        (&["suspend", "web", "--reason", "x"], &["--for <DURATION>"]),
        (&["suspend", "web", "--for", "2h", "--reason", " "], &["--reason", "say why"]),
        (&["completions", "tcsh"], &["'tcsh'", "bash, zsh, fish"]),
    ];
    for (arguments, words) in cases {
        let line = refused(arguments, &[]).await;
        for word in *words {
            assert!(line.contains(word), "{arguments:?} does not name {word}: {line}");
        }
    }
    let bash = run(&["completions", "bash"], &[]).await;
    assert!(bash.code == Some(0) && bash.stdout.contains("complete -F _sgwarden"), "{}", bash.stderr);
}
