//! `explain` and `graph`, as a person starts them: against a cluster, a state directory, and files.

use serde_json::{Value, json};
use tempfile::TempDir;

use sgwarden::core::model::{Direction, NewRule};

use crate::cli::{refused, run};
use crate::rig::{Rig, VPC, group_id};

fn manifests() -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: web}}
spec:
  vpc: {{id: {VPC}}}
  egress:
    - {{name: to-db, protocol: tcp, ports: [5432], to: [{{securityGroup: {{name: db}}}}]}}
---
apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {{name: db}}
spec:
  vpc: {{id: {VPC}}}
  egressPolicy: DenyAll
  enforcement: {{undeclaredRules: Report}}
  ingress:
    - {{name: from-web, protocol: tcp, ports: [5432], from: [{{securityGroup: {{name: web}}}}, {{cidrSet: {{name: office}}}}]}}
---
apiVersion: sgwarden.dev/v1alpha1
kind: CidrSet
metadata: {{name: office}}
spec: {{cidrs: [{{cidr: 192.0.2.0/24}}]}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_asked_what_is_declared_and_what_is_live() {
    let rig = Rig::start("explain").await;
    rig.apply(&manifests()).await;
    rig.settled("web").await;
    let db = rig.settled("db").await;
    let kubeconfig = rig.plane.kubeconfig_path().display().to_string();
    let place = ["--kubeconfig", &kubeconfig, "-n", &rig.namespace];
    let ask = async |arguments: &[&str]| run(&[arguments, &place].concat(), &[]).await;

    let through = ask(&["explain", "db", "--from-group", "web", "--port", "5432"]).await;
    assert!(through.code == Some(0) && through.stdout.starts_with("Yes. ") && through.stdout.contains("rule to-db"), "{through:?}");
    let office = ask(&["explain", "db", "--from", "192.0.2.7", "--port", "5432", "-o", "json"]).await;
    let answer: Value = serde_json::from_str(&office.stdout).unwrap();
    assert_eq!((office.code, &answer["answer"], &answer["live"]), (Some(0), &json!("yes"), &Value::Null), "{office:?}");
    assert_eq!(answer["hops"][0]["through"][0]["via"]["kind"], "CidrSet");
    let ssh = ["explain", "db", "--from", "198.51.100.7", "--port", "22"];
    assert_eq!(ask(&ssh).await.code, Some(2));

    let rule = NewRule { atom: "ingress tcp 22 from 0.0.0.0/0".parse().unwrap(), description: None };
    rig.intruder.write.authorize(&group_id(&db), Direction::Ingress, &[rule]).await.unwrap();
    rig.until("db", "told", |object| object.status.iter().any(|status| !status.drift.is_empty())).await;
    let open = ask(&ssh).await;
    assert!(open.code == Some(1) && open.stdout.contains("nobody declared it: "), "{open:?}");

    let picture = ask(&["graph", "--format", "mermaid"]).await;
    assert!(picture.code == Some(0) && picture.stdout.contains("CidrSet "), "{picture:?}");
    assert!(picture.stdout.contains("\"egress tcp 5432\"") && !picture.stdout.contains("waits"), "{picture:?}");
    assert!(
        refused(&[&["explain", "gone", "--from", "10.0.0.1", "--port", "1"][..], &place].concat(), &[])
            .await
            .contains("there is no")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_and_files_tell_together_what_either_does_not() {
    let folder = TempDir::new().unwrap();
    let (state, files) = (folder.path().join("state"), folder.path().join("groups.yaml"));
    std::fs::create_dir_all(state.join("cidrsets")).unwrap();
    let held = |spec: Value, status: Value| {
        json!({ "uid": "u", "generation": 1, "version": 1, "spec": spec, "status": status }).to_string()
    };
    let rule = json!({ "name": "ssh", "protocol": "tcp", "ports": [22], "from": [{ "cidrSet": { "name": "office" } }] });
    let db = held(
        json!({ "vpc": { "id": "vpc-0a1b2c3d" }, "egressPolicy": "DenyAll", "ingress": [rule] }),
        json!({ "groupId": "sg-0a1b2c3d", "rules": ["1 sgr-0a1b2c3d4e5f67890 ssh ingress tcp 22 from 192.0.2.0/24 -"] }),
    );
    std::fs::write(state.join("shop+db.json"), db).unwrap();
    let office = held(json!({ "cidrs": [{ "cidr": "192.0.2.0/24" }] }), Value::Null);
    std::fs::write(state.join("cidrsets/shop+office.json"), office).unwrap();
    let (state, files) = (state.to_str().unwrap(), files.to_str().unwrap());

    let known = run(&["explain", "db", "--from", "192.0.2.7", "--port", "22", "--state", state], &[]).await;
    assert!(known.code == Some(0) && known.stdout.contains("192.0.2.0/24 of CidrSet shop/office"), "{known:?}");
    // The file has been changed meanwhile, and nothing has come of it yet.
    std::fs::write(
        files,
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {name: db, namespace: shop}\nspec: {vpc: {id: vpc-0a1b2c3d}, egressPolicy: DenyAll}\n",
    )
    .unwrap();
    let declared = run(&["explain", "db", "--from", "192.0.2.7", "--port", "22", "-f", files], &[]).await;
    assert!(declared.code == Some(2) && declared.stdout.contains(files), "{declared:?}");
    let both = run(&["explain", "db", "--from", "192.0.2.7", "--port", "22", "-f", files, "--state", state], &[]).await;
    assert!(both.code == Some(1) && both.stdout.contains("live, as last seen: yes"), "{both:?}");
    let picture = run(&["graph", "-f", files, "-n", "shop"], &[]).await;
    assert!(picture.code == Some(0) && picture.stdout.contains("label=\"shop/db\""), "{picture:?}");
    assert!(!run(&["graph", "-f", files, "-n", "ops"], &[]).await.stdout.contains("shop/db"));
}
