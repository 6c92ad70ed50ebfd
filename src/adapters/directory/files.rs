//! Manifests in a directory: YAML (several documents a file) and JSON.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::document::{self, Document};
use super::kind::{Id, Manifest, Manifests};

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
    /// Not YAML or JSON, or not what its kind looks like.
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
    #[error("{}: {id} is declared in {} already", path.display(), first.display())]
    Twice {
        /// The second file.
        path: PathBuf,
        /// The object.
        id: Id,
        /// The first file.
        first: PathBuf,
    },
}

/// What a directory holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Every object of our kinds.
    pub manifests: Manifests,
    /// The file that declares each.
    pub files: BTreeMap<Id, PathBuf>,
    /// How many documents are of other kinds, which are left alone.
    pub foreign: BTreeMap<String, usize>,
}

/// Every object of a directory, or of a file, whatever it is called. One problem makes the whole snapshot unusable: half a snapshot looks like objects that were
/// deleted.
pub fn read_manifests(directory: &Path) -> Result<Found, Vec<FileProblem>> {
    let mut found = Found::default();
    let mut problems = Vec::new();
    for path in manifest_files(directory, &mut problems) {
        match text_of(&path) {
            Ok(text) => read_file(&path, &text, &mut found, &mut problems),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Files below a directory in order. Names that begin with a dot are an editor's or git's own.
fn manifest_files(directory: &Path, problems: &mut Vec<FileProblem>) -> Vec<PathBuf> {
    if directory.is_file() {
        return vec![directory.to_owned()];
    }
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

fn text_of(path: &Path) -> Result<String, FileProblem> {
    let read =
        fs::metadata(path).and_then(|facts| if facts.len() > LARGEST { Ok(None) } else { fs::read_to_string(path).map(Some) });
    match read {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(FileProblem::TooLarge { path: path.to_owned() }),
        Err(cause) => Err(FileProblem::Read { path: path.to_owned(), cause }),
    }
}

fn read_file(path: &Path, text: &str, found: &mut Found, problems: &mut Vec<FileProblem>) {
    for (index, (line, document)) in documents(text).into_iter().enumerate() {
        match document::read(document, line) {
            Ok(Document::Empty) => {}
            Ok(Document::Foreign(kind)) => {
                let count = found.foreign.entry(kind).or_default();
                *count = count.saturating_add(1);
            }
            Ok(Document::Ours(id, manifest)) => add(path, id, *manifest, found, problems),
            Err(message) => {
                problems.push(FileProblem::Document { path: path.to_owned(), document: index.saturating_add(1), message });
            }
        }
    }
}

fn add(path: &Path, id: Id, manifest: Manifest, found: &mut Found, problems: &mut Vec<FileProblem>) {
    if let Some(first) = found.files.get(&id) {
        problems.push(FileProblem::Twice { path: path.to_owned(), id, first: first.clone() });
        return;
    }
    found.files.insert(id.clone(), path.to_owned());
    found.manifests.insert(id, manifest);
}

/// The documents of a YAML stream, each with how many lines are above it. JSON is one document.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push((first, text.get(start..at).unwrap_or_default()));
            (start, first) = (at.saturating_add(3), number);
        }
        at = at.saturating_add(line.len());
    }
    documents.push((first, text.get(start..).unwrap_or_default()));
    documents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::directory::KindName;

    const GOOD: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {name: web}\nspec: {vpc: {id: vpc-0a1b2c3d}, egressPolicy: DenyAll}\n";
    const SET: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {name: office, namespace: shop}\nspec: {cidrs: [{cidr: 192.0.2.0/24}]}\n";
    const ACCOUNT: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: AwsAccount\nmetadata: {name: prod, namespace: ignored}\nspec: {accountId: '012345678901', regions: [eu-west-1], allowedNamespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}\n";
    const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}, creationTimestamp: null}\nspec: {finalizers: [kubernetes]}\nstatus: {}\n";
    const GRANT: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: web, namespace: shop}\nspec: {from: [{group: sgwarden.dev, kind: SecurityGroup, namespace: web}], to: [{group: sgwarden.dev, kind: CidrSet}]}\n";

    fn read(files: &[(&str, &str)]) -> Result<Found, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let prefix = format!("{}/", directory.path().display());
        read_manifests(directory.path())
            .map_err(|problems| problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect())
    }

    fn check(files: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
        read(files).map(|found| found.manifests.keys().map(ToString::to_string).collect())
    }

    /// What is wrong with a single document.
    #[track_caller]
    fn refused(text: &str) -> String {
        let problems = check(&[("a.yaml", text)]).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        problem.strip_prefix("a.yaml: document 1: ").unwrap_or_else(|| panic!("{problem}")).to_owned()
    }

    fn one(text: &str) -> Manifest {
        let found = read(&[("a.yaml", text)]).unwrap();
        assert_eq!(found.manifests.len(), 1);
        found.manifests.into_values().next().unwrap()
    }

    #[test]
    fn files_documents_and_folders_are_read_and_foreign_kinds_left_alone_and_counted() {
        let many = format!(
            "# a comment\n---\n{GOOD}---\nkind: ConfigMap\napiVersion: v1\n---\n{}---\nkind: SecurityGroup\napiVersion: ec2.services.k8s.aws/v1alpha1\n",
            GOOD.replace("web", "db, namespace: shop")
        );
        let files = [("a/many.yaml", many.as_str()), ("notes.txt", "no"), (".hidden.yaml", "{{"), ("values.yaml", "replicas: 3")];
        let found = read(&files).unwrap();
        let ids: Vec<String> = found.manifests.keys().map(ToString::to_string).collect();
        assert_eq!(ids, ["SecurityGroup default/web", "SecurityGroup shop/db"]);
        let foreign: Vec<(&str, usize)> = found.foreign.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(foreign, [("ConfigMap", 1), ("SecurityGroup", 1), ("without a kind", 1)]);
        assert!(found.files.values().all(|file| file.ends_with("a/many.yaml")), "{:?}", found.files);
    }

    #[test]
    fn a_file_is_read_alone_whatever_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("web.txt"), directory.path().join("office.yaml"));
        fs::write(&one, GOOD).unwrap();
        fs::write(&other, SET).unwrap();
        let found = read_manifests(&one).unwrap();
        assert_eq!(found.manifests.keys().map(ToString::to_string).collect::<Vec<_>>(), ["SecurityGroup default/web"]);
        assert_eq!(found.files.into_values().collect::<Vec<_>>(), [one]);
        assert!(read_manifests(&directory.path().join("gone.yaml")).is_err());
    }

    #[test]
    fn every_kind_is_read() {
        let all = [("1.yaml", GOOD), ("2.yaml", SET), ("3.yaml", ACCOUNT), ("4.yaml", NAMESPACE), ("5.yaml", GRANT)];
        let expected =
            ["Namespace shop", "AwsAccount prod", "ReferenceGrant shop/web", "CidrSet shop/office", "SecurityGroup default/web"];
        assert_eq!(check(&all).unwrap(), expected);
        let Manifest::AwsAccount(account) = one(ACCOUNT) else { panic!("another kind") };
        assert_eq!((account.spec.account_id.as_str(), account.metadata.namespace), ("012345678901", None));
        let Manifest::Namespace(namespace) = one(NAMESPACE) else { panic!("another kind") };
        let labels = namespace.metadata.labels.unwrap();
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("kubernetes.io/metadata.name", "shop"), ("team", "shop")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert!(namespace.spec.is_none() && namespace.status.is_none());
        let Manifest::ReferenceGrant(grant) = one(&GRANT.replace("/v1", "/v1beta1")) else { panic!("another kind") };
        assert_eq!((grant.spec.from[0].namespace.as_str(), grant.spec.to[0].name.as_deref()), ("web", None));
    }

    #[test]
    fn equal_names_of_different_kinds_are_different_objects() {
        let set = SET.replace("office, namespace: shop", "web");
        assert_eq!(check(&[("a.yaml", GOOD), ("b.yaml", &set)]).unwrap().len(), 2);
        let twice = check(&[("a.yaml", &set), ("b.yaml", &set), ("c.yaml", ACCOUNT), ("d.yaml", ACCOUNT)]).unwrap_err();
        let expected =
            ["b.yaml: CidrSet default/web is declared in a.yaml already", "d.yaml: AwsAccount prod is declared in c.yaml already"];
        assert_eq!(twice, expected);
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
        assert!(
            bad.iter().any(|problem| problem == "twice.yaml: SecurityGroup default/web is declared in good.yaml already"),
            "{bad:?}"
        );
        assert!(bad.iter().any(|problem| problem.starts_with("syntax.yaml: document 1:")), "{bad:?}");
    }

    #[test]
    fn the_line_that_is_told_is_that_of_the_file() {
        for (from, to, expected) in [
            ("[eu-west-1]", "all", "error: line 9 column 44: expected sequence start"),
            ("allowedNamespaces", "allowed", "error: line 9 column 57: missing field `allowedNamespaces`"),
            ("'012345678901'", "123456789012", "invalid type: integer `123456789012`, expected a string: put it in quotes"),
        ] {
            let text = format!("{GOOD}---\n{}", ACCOUNT.replace(from, to));
            assert_eq!(check(&[("a.yaml", &text)]).unwrap_err(), [format!("a.yaml: document 2: {expected}")]);
        }
        let bad = check(&[("a.yaml", &format!("{GOOD}---\n# why\nkind: [\n"))]).unwrap_err();
        assert!(bad[0].contains("line 7") || bad[0].contains("line 8"), "{bad:?}");
    }

    #[test]
    fn a_kind_or_version_of_ours_that_is_misspelt_is_refused() {
        for (from, to, expected) in [
            (
                "SecurityGroup",
                "SecurtyGroup",
                "kind SecurtyGroup is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are",
            ),
            ("SecurityGroup", "Guardrail", "kind Guardrail is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are"),
            ("kind: SecurityGroup\n", "", "kind is missing beside apiVersion sgwarden.dev/v1alpha1"),
            ("apiVersion: sgwarden.dev/v1alpha1\n", "", "apiVersion is missing beside kind SecurityGroup"),
            ("v1alpha1", "v1", "apiVersion sgwarden.dev/v1 is not served here: write sgwarden.dev/v1alpha1"),
            ("/v1alpha1", "", "apiVersion sgwarden.dev is not served here: write sgwarden.dev/v1alpha1"),
            ("SecurityGroup", "SecurityGroupList", "kind SecurityGroupList is not read: write its items as documents of their own"),
            ("SecurityGroup", "Namespace", "kind Namespace is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are"),
        ] {
            assert_eq!(refused(&GOOD.replace(from, to)), expected);
        }
        let beta = "apiVersion gateway.networking.k8s.io/v1alpha2 is not served here: write gateway.networking.k8s.io/v1beta1";
        assert_eq!(refused(&GRANT.replace("/v1", "/v1alpha2")), beta);
        assert!(refused("kind: List\napiVersion: v1\nitems: []").contains("kind List is not read"));
    }

    #[test]
    fn names_that_are_none_are_refused_and_a_clusters_own_fields_ignored() {
        for (metadata, word) in [
            ("{name: ../x}", "metadata.name"),
            ("{name: a..b}", "metadata.name"),
            ("{name: Web}", "metadata.name"),
            ("{name: web, namespace: a/b}", "metadata.namespace"),
            ("{name: web, namespace: a.b}", "metadata.namespace"),
            ("{name: ''}", "metadata.name"),
            ("{}", "metadata.name is required"),
        ] {
            let bad = refused(&GOOD.replace("{name: web}", metadata));
            assert!(bad.contains(word), "{bad}");
        }
        for bad in [ACCOUNT.replace("prod", "../prod"), NAMESPACE.replace("name: shop", "name: a.b")] {
            assert!(refused(&bad).starts_with("metadata.name '"), "{bad}");
        }
        let text = GOOD.replace(
            "{name: web}",
            "{name: web, deletionTimestamp: \"2026-01-01T00:00:00Z\", finalizers: [sgwarden.dev/ec2], uid: u, generation: 7}",
        );
        let Manifest::SecurityGroup(object) = one(&format!("{text}status: {{rules: 3}}\n")) else { panic!("another kind") };
        let meta = object.metadata;
        assert!(meta.deletion_timestamp.is_none() && meta.finalizers.is_none() && meta.uid.is_none() && meta.generation.is_none());
        assert!(object.status.is_none());
    }

    #[test]
    fn a_misspelt_field_is_named_wherever_it_is() {
        for (text, from, to, expected) in [
            (
                GOOD,
                "egressPolicy: DenyAll",
                "egressPolicy: DenyAll, ingress: [{name: a, protocol: all, from: [{cidr: 0.0.0.0/0, descripton: x}]}]",
                "spec.ingress[0].from[0].descripton",
            ),
            (GOOD, "metadata: {", "metadata: {lables: {a: b}, ", "metadata.lables"),
            (GOOD, "spec:", "specs: {a: b}\nspec:", "specs"),
            (SET, "{cidr: 192.0.2.0/24}", "{cidr: 192.0.2.0/24, expireAt: x}", "spec.cidrs[0].expireAt"),
            (SET, "{cidrs", "{allowEmty: true, cidrs", "spec.allowEmty"),
            (ACCOUNT, "spec: {", "spec: {mod: Observe, ", "spec.mod"),
            (ACCOUNT, "matchLabels", "matchLables", "spec.allowedNamespaces.selector.matchLables"),
            (ACCOUNT, "spec: {", "spec: {limits: {enforcement: {mode: [Observe]}}, ", "spec.limits.enforcement.mode"),
            (ACCOUNT, "spec: {", "spec: {limits: {enforcement: {mode: []}}, ", "spec.limits.enforcement.mode"),
            (NAMESPACE, "labels", "label", "metadata.label"),
            (GRANT, "kind: CidrSet", "kind: CidrSet, names: office", "spec.to[0].names"),
        ] {
            let text = text.replace(from, to);
            assert_eq!(refused(&text), format!("unknown field {expected}: correct or remove it"), "{text}");
        }
    }

    #[test]
    fn what_an_apiserver_accepts_is_read_from_files_too() {
        let mut documents = 0;
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/accepted")).unwrap() {
            let path = entry.unwrap().path();
            let found = read(&[("a.yaml", &fs::read_to_string(&path).unwrap())]);
            documents += found.unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display())).manifests.len();
        }
        assert!(documents > 5, "{documents}");
    }

    #[test]
    fn a_key_that_is_written_twice_is_refused() {
        let bad = refused(&GOOD.replace("egressPolicy: DenyAll", "egressPolicy: DenyAll, egressPolicy: AllowAll"));
        assert!(bad.contains("egressPolicy"), "{bad}");
    }

    #[test]
    fn kinds_are_told_in_the_order_in_which_they_refer_to_each_other() {
        let mut kinds: Vec<KindName> = <KindName as strum::IntoEnumIterator>::iter().collect();
        kinds.sort();
        assert_eq!(kinds.first(), Some(&KindName::Namespace));
        assert_eq!(kinds.last(), Some(&KindName::SecurityGroup));
    }
}
