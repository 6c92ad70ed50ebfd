//! Finds what the set-up scripts have made: the control plane's binaries, the
//! CRD judge of the oldest supported minor, the AWS CLI, moto.
//!
//! `make test` hands the places over in the environment. Under a plain
//! `cargo test` the scripts themselves are asked (`--where`), since only they
//! know how their cache is keyed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory that holds `kube-apiserver`, `etcd` and `kubectl`.
pub(crate) fn control_plane_assets() -> Result<PathBuf, String> {
    let assets = from_environment("KUBEBUILDER_ASSETS")
        .or_else(|| from_environment("SGWARDEN_ASSETS"))
        .map_or_else(|| ask("tests/controlplane/build.sh"), Ok)?;
    for binary in ["kube-apiserver", "etcd", "kubectl"] {
        if !assets.join(binary).is_file() {
            return Err(missing(&format!("{} holds no '{binary}'", assets.display())));
        }
    }
    Ok(assets)
}

/// The program that judges `crds/` as Kubernetes' oldest supported minor does.
pub(crate) fn crd_judge() -> Result<PathBuf, String> {
    file(from_environment("SGWARDEN_CRD_JUDGE").map_or_else(|| ask("tests/controlplane/oldest/build.sh"), Ok)?)
}

/// The `aws` command line client.
pub(crate) fn aws_cli() -> Result<PathBuf, String> {
    file(python_bin()?.join("aws"))
}

/// moto's server.
pub(crate) fn moto_server() -> Result<PathBuf, String> {
    let bin = from_environment("SGWARDEN_MOTO_BIN").map_or_else(|| ask("tests/setup/moto.sh"), Ok)?;
    file(bin.join("moto_server"))
}

/// The Python interpreter that has boto3.
pub(crate) fn python() -> Result<PathBuf, String> {
    file(python_bin()?.join("python"))
}

fn python_bin() -> Result<PathBuf, String> {
    from_environment("SGWARDEN_PYTHON_BIN").map_or_else(|| ask("tests/setup/python.sh"), Ok)
}

fn from_environment(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn file(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_file() { Ok(path) } else { Err(missing(&format!("{} does not exist", path.display()))) }
}

fn ask(script: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let answer = Command::new("bash")
        .arg(&script)
        .arg("--where")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(&format!("bash {} does not run: {error}", script.display())))?;
    let place = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if answer.status.success() && !place.is_empty() {
        return Ok(PathBuf::from(place));
    }
    let complaint = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
    Err(missing(if complaint.is_empty() { "not built yet" } else { &complaint }))
}

fn missing(what: &str) -> String {
    format!("what the tests run against is missing ({what}): run `make test-setup` once, then the tests again")
}
