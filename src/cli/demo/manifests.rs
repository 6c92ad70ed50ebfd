//! The case sgwarden began with: a web server, inside and outside, and a database behind it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::error::CliError;

/// The VPC of the simulated account.
pub(super) const VPC: &str = "vpc-0a1b2c3d4e5f60718";

const FILES: [(&str, &str); 3] = [
    (
        "web-public.yaml",
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {name: web-public}
spec:
  vpc: {id: vpc-0a1b2c3d4e5f60718}
  tags: {team: shop}
  ingress:
    - name: http
      description: Allow inbound HTTP traffic
      protocol: tcp
      ports: [80]
      from: [{cidr: 0.0.0.0/0}]
    - name: https
      description: Allow inbound HTTPS traffic
      protocol: tcp
      ports: [443]
      from: [{cidr: 0.0.0.0/0}]
  egress:
    - {name: all, description: Allow outbound traffic, protocol: all, to: [{cidr: 0.0.0.0/0}]}
",
    ),
    (
        "web-internal.yaml",
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {name: web-internal}
spec:
  vpc: {id: vpc-0a1b2c3d4e5f60718}
  ingress:
    - name: http
      description: Allow inbound HTTP traffic
      protocol: tcp
      ports: [80]
      from: [{cidr: 10.0.0.0/8}]
    - name: https
      description: Allow inbound HTTPS traffic
      protocol: tcp
      ports: [443]
      from: [{cidr: 10.0.0.0/8}]
  egress:
    - {name: all, description: Allow outbound traffic, protocol: all, to: [{cidr: 0.0.0.0/0}]}
",
    ),
    (
        "db.yaml",
        "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {name: db}
spec:
  vpc: {id: vpc-0a1b2c3d4e5f60718}
  ingress:
    - name: postgres
      description: Allow the web tier
      protocol: tcp
      ports: [5432]
      from: [{securityGroup: {name: web-internal}}]
  egressPolicy: AllowAll
",
    ),
];

/// The rule the demo drops from `web-public`, as a person would.
const DROPPED: &str = "    - name: http
      description: Allow inbound HTTP traffic
      protocol: tcp
      ports: [80]
      from: [{cidr: 0.0.0.0/0}]
";

/// Makes the folders anew. Only what an earlier demo wrote is replaced; anything else in the directory is left alone.
pub(super) fn prepare(directory: &Path) -> Result<PathBuf, CliError> {
    let fail = |error: io::Error| CliError::new(format!("{} cannot be prepared", directory.display())).because(error);
    let folder = directory.join("groups");
    fs::create_dir_all(&folder).map_err(fail)?;
    // A new simulated account knows nothing of the groups of the last one.
    for old in [directory.join("state"), directory.join("audit.jsonl")] {
        let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            Ok(()) | Err(_) => {}
        }
    }
    for (name, text) in FILES {
        fs::write(folder.join(name), text).map_err(fail)?;
    }
    Ok(folder)
}

/// Takes port 80 out of `web-public`.
pub(super) fn drop_port_80(folder: &Path) -> io::Result<()> {
    let path = folder.join("web-public.yaml");
    let text = fs::read_to_string(&path)?;
    fs::write(path, text.replace(DROPPED, ""))
}
