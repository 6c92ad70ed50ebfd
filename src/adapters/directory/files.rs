//! Manifests in a directory: YAML (several documents a file) and JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kube::core::ObjectMeta;

use crate::api::SecurityGroup;
use crate::ports::objects::Key;

/// The namespace of a manifest that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// Larger files are not manifests.
const LARGEST: u64 = 8 * 1024 * 1024;

/// A file, or a document of one, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is too large.
    #[error("{}: larger than 8 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not YAML or JSON, or not what a `SecurityGroup` looks like.
    #[error("{}: document {document}: {message}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Which document of it, from 1.
        document: usize,
        /// What is wrong, with line and column where the parser knows them.
        message: String,
    },
    /// Two documents declare one object.
    #[error("{}: {key} is declared in {} already", path.display(), first.display())]
    Twice {
        /// The second file.
        path: PathBuf,
        /// The object.
        key: Key,
        /// The first file.
        first: PathBuf,
    },
}

/// Every object of a directory, with the file that declares it. One problem makes the whole snapshot unusable: half a
/// snapshot looks like objects that were deleted.
pub fn read_manifests(directory: &Path) -> Result<BTreeMap<Key, (SecurityGroup, PathBuf)>, Vec<FileProblem>> {
    let mut objects: BTreeMap<Key, (SecurityGroup, PathBuf)> = BTreeMap::new();
    let mut problems = Vec::new();
    for path in manifest_files(directory, &mut problems) {
        for object in read_file(&path, &mut problems) {
            let Some(key) = Key::of(&object.metadata) else { continue };
            if let Some((_, first)) = objects.get(&key) {
                problems.push(FileProblem::Twice { path: path.clone(), key, first: first.clone() });
                continue;
            }
            objects.insert(key, (object, path.clone()));
        }
    }
    if problems.is_empty() { Ok(objects) } else { Err(problems) }
}

/// Files below a directory in order. Names that begin with a dot are an editor's or git's own.
fn manifest_files(directory: &Path, problems: &mut Vec<FileProblem>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(cause) => {
                problems.push(FileProblem::Read { path: folder, cause });
                continue;
            }
        };
        for entry in entries {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let manifest =
                path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
            if path.is_dir() {
                folders.push(path);
            } else if manifest {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read_file(path: &Path, problems: &mut Vec<FileProblem>) -> Vec<SecurityGroup> {
    let text = match fs::metadata(path)
        .and_then(|facts| if facts.len() > LARGEST { Ok(None) } else { fs::read_to_string(path).map(Some) })
    {
        Ok(Some(text)) => text,
        Ok(None) => {
            problems.push(FileProblem::TooLarge { path: path.to_owned() });
            return Vec::new();
        }
        Err(cause) => {
            problems.push(FileProblem::Read { path: path.to_owned(), cause });
            return Vec::new();
        }
    };
    let mut objects = Vec::new();
    for (index, document) in documents(&text).into_iter().enumerate() {
        match parse(document) {
            Ok(Some(object)) => objects.push(object),
            Ok(None) => {}
            Err(message) => {
                problems.push(FileProblem::Document { path: path.to_owned(), document: index.saturating_add(1), message });
            }
        }
    }
    objects
}

/// The documents of a YAML stream. JSON is one.
fn documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(text.get(start..at).unwrap_or_default());
            start = at.saturating_add(3);
        }
        at = at.saturating_add(line.len());
    }
    documents.push(text.get(start..).unwrap_or_default());
    documents
}

/// `None` for an empty document and for objects of other kinds, which kustomize and helm put beside ours.
fn parse(document: &str) -> Result<Option<SecurityGroup>, String> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if document.lines().all(blank) {
        return Ok(None);
    }
    let value: serde_json::Value = serde_yaml::from_str(document).map_err(|error| first_line(&error.to_string()))?;
    let kind = value.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default();
    if matches!(kind, "List" | "SecurityGroupList") {
        return Err(format!("kind {kind} is not read: write its items as documents of their own"));
    }
    let field = |name: &str| value.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    if field("kind") != "SecurityGroup" || !field("apiVersion").starts_with("sgwarden.dev/") {
        return Ok(None);
    }
    if field("apiVersion") != "sgwarden.dev/v1alpha1" {
        return Err(format!("apiVersion {} is not served here: write sgwarden.dev/v1alpha1", field("apiVersion")));
    }
    let unknown = unknown_fields(&value);
    if !unknown.is_empty() {
        return Err(format!("unknown field {}: correct or remove it", unknown.join(", ")));
    }
    let mut object: SecurityGroup = serde_json::from_value(value).map_err(|error| error.to_string())?;
    // What a cluster would have written (deletionTimestamp, finalizers, uid) is not the file's to say.
    let written = std::mem::take(&mut object.metadata);
    let namespace = written.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let name = written.name.ok_or_else(|| "metadata.name is required".to_owned())?;
    for (field, text, longest) in [("metadata.name", &name, 253), ("metadata.namespace", &namespace, 63)] {
        if !is_name(text, longest) {
            return Err(format!(
                "{field} '{text}' is not a Kubernetes name: lower-case letters, digits, '-' and '.', such as web-public"
            ));
        }
    }
    object.metadata = ObjectMeta {
        name: Some(name),
        namespace: Some(namespace),
        labels: written.labels,
        annotations: written.annotations,
        ..ObjectMeta::default()
    };
    object.status = None;
    Ok(Some(object))
}

/// The parser draws a picture of the place below its first line, which says it already.
fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

fn is_name(text: &str, longest: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= longest && bytes.iter().copied().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

/// Fields below `spec` that typed reading would drop: a misspelt field is an error here, as on the apiserver.
fn unknown_fields(value: &serde_json::Value) -> Vec<String> {
    let Ok(typed) = serde_json::from_value::<SecurityGroup>(value.clone()) else { return Vec::new() };
    let (Some(written), Ok(read)) = (value.get("spec"), serde_json::to_value(&typed.spec)) else { return Vec::new() };
    let mut unknown = Vec::new();
    lost(written, &read, "spec", &mut unknown);
    unknown
}

/// Every path of `written` that is not in `read`. Empty values are left out when a spec is written back, and are no loss.
fn lost(written: &serde_json::Value, read: &serde_json::Value, path: &str, unknown: &mut Vec<String>) {
    use serde_json::Value;
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (name, value) in written {
                let below = format!("{path}.{name}");
                match read.get(name) {
                    Some(read) => lost(value, read, &below, unknown),
                    None if is_empty(value) => {}
                    None => unknown.push(below),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                lost(written, read, &format!("{path}[{index}]"), unknown);
            }
        }
        (_, _) => {}
    }
}

fn is_empty(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Array(items) => items.is_empty(),
        serde_json::Value::Object(fields) => fields.is_empty(),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {name: web}\nspec: {vpc: {id: vpc-0a1b2c3d}, egressPolicy: DenyAll}\n";

    fn check(files: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let prefix = format!("{}/", directory.path().display());
        read_manifests(directory.path())
            .map(|objects| objects.keys().map(ToString::to_string).collect())
            .map_err(|problems| problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect())
    }

    #[test]
    fn files_documents_and_folders_are_read_and_other_kinds_left_alone() {
        let many = format!(
            "# a comment\n---\n{GOOD}---\nkind: ConfigMap\napiVersion: v1\n---\n{}",
            GOOD.replace("web", "db, namespace: shop")
        );
        assert_eq!(
            check(&[("a/many.yaml", &many), ("notes.txt", "no"), (".hidden.yaml", "{{")]).unwrap(),
            ["default/web", "shop/db"]
        );
    }

    #[test]
    fn one_bad_document_makes_the_snapshot_unusable_and_says_where() {
        let bad = check(&[
            ("good.yaml", GOOD),
            ("typo.yaml", &GOOD.replace("egressPolicy", "egresPolicy")),
            ("twice.yaml", GOOD),
            ("syntax.yaml", "kind: ["),
        ])
        .unwrap_err();
        assert!(bad.iter().any(|problem| problem.contains("typo.yaml: document 1: unknown field spec.egresPolicy")), "{bad:?}");
        assert!(bad.iter().any(|problem| problem == "twice.yaml: default/web is declared in good.yaml already"), "{bad:?}");
        assert!(bad.iter().any(|problem| problem.starts_with("syntax.yaml: document 1:")), "{bad:?}");
    }

    #[test]
    fn names_that_are_none_and_lists_are_refused_and_a_clusters_own_fields_ignored() {
        for (metadata, word) in [
            ("{name: ../x}", "metadata.name"),
            ("{name: web, namespace: a/b}", "metadata.namespace"),
            ("{}", "metadata.name is required"),
        ] {
            let bad = check(&[("a.yaml", &GOOD.replace("{name: web}", metadata))]).unwrap_err();
            assert!(bad[0].contains(word), "{bad:?}");
        }
        assert!(check(&[("a.yaml", "kind: List\napiVersion: v1\nitems: []")]).unwrap_err()[0].contains("kind List is not read"));
        let text =
            GOOD.replace("{name: web}", "{name: web, deletionTimestamp: \"2026-01-01T00:00:00Z\", finalizers: [sgwarden.dev/ec2]}");
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.yaml"), text).unwrap();
        let (object, _) = read_manifests(directory.path()).unwrap().into_values().next().unwrap();
        assert!(object.metadata.deletion_timestamp.is_none() && object.metadata.finalizers.is_none());
    }

    #[test]
    fn a_misspelt_field_in_a_peer_is_named() {
        let text = GOOD.replace(
            "egressPolicy: DenyAll",
            "egressPolicy: DenyAll, ingress: [{name: a, protocol: all, from: [{cidr: 0.0.0.0/0, descripton: x}]}]",
        );
        let bad = check(&[("a.yaml", &text)]).unwrap_err();
        assert!(bad[0].contains("unknown field spec.ingress[0].from[0].descripton"), "{bad:?}");
    }
}
