//! Manifests in files: YAML (several documents a file, lists) and JSON.
//!
//! Entry points: [`read_manifests`] and [`read_sources`], for those who act on what is declared: all of it or nothing;
//! [`survey`], for those who judge it: what could be read, and everything that is wrong with the rest.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::document::{self, Document, Ours};
use super::fields::Fault;
use super::kind::{Id, Manifest, Manifests};
use super::outline::{About, Outline};
use super::sources::{Source, Text, texts};
use super::yaml::{Syntax, beginning, body, documents};

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file; `<stdin>` for standard input.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{}:{line}:{column}", file.display())
    }
}

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
    /// The file is no text.
    #[error("{}:{line}: not text in UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first line that is none.
        line: usize,
    },
    /// Not YAML or JSON.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// Not what its kind looks like.
    #[error("{place}: {}{message}", prefix(field))]
    Field {
        /// Where.
        place: Place,
        /// Of which object, as far as it says so.
        object: Option<Id>,
        /// The path of the field; empty for the object itself.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// Two documents declare one object.
    #[error("{place}: {id} is declared in {first} already: rename one of them, or remove it")]
    Twice {
        /// The second place.
        place: Place,
        /// The object.
        id: Id,
        /// The first place.
        first: Place,
    },
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

impl FileProblem {
    /// The file, line and column; the beginning of the file where it is about all of it.
    pub fn place(&self) -> Place {
        let at = |path: &Path, line: usize| Place { file: path.to_owned(), line, column: 1 };
        match self {
            Self::Read { path, cause: _ } | Self::TooLarge { path } => at(path, 1),
            Self::NotText { path, line } => at(path, *line),
            Self::Syntax { place, message: _ }
            | Self::Field { place, object: _, field: _, message: _ }
            | Self::Twice { place, id: _, first: _ } => place.clone(),
        }
    }
}

/// What manifests declare.
#[derive(Debug, Default)]
pub struct Found {
    /// Every object of our kinds.
    pub manifests: Manifests,
    /// Where each is declared.
    pub places: BTreeMap<Id, Place>,
    /// How many documents are of other kinds, which are left alone.
    pub foreign: BTreeMap<String, usize>,
}

/// Every object of a directory, or of a file, whatever it is called. One problem makes the whole snapshot unusable: half a snapshot
/// looks like objects that were deleted.
pub fn read_manifests(directory: &Path) -> Result<Found, Vec<FileProblem>> {
    read_sources(&[Source::Path(directory.to_owned())])
}

/// Every object of all sources, or everything that is wrong with them, in the order of the places.
pub fn read_sources(sources: &[Source]) -> Result<Found, Vec<FileProblem>> {
    let Survey { objects, problems, declared: _, foreign, texts: _ } = survey(sources);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut found = Found { foreign, ..Found::default() };
    for Surveyed { id, manifest, place, stands: _ } in objects {
        found.places.insert(id.clone(), place);
        found.manifests.insert(id, manifest);
    }
    Ok(found)
}

/// What could be read of some sources, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every object that could be read, in the order of the places; also one whose name is taken, or with unknown fields.
    pub objects: Vec<Surveyed>,
    /// Everything that keeps the sources from being used, in the order of the places.
    pub problems: Vec<FileProblem>,
    /// The objects that are declared, also those that could not be read.
    pub declared: BTreeSet<Id>,
    /// How many documents are of other kinds, which are left alone.
    pub foreign: BTreeMap<String, usize>,
    texts: Vec<Text>,
}

/// An object that could be read.
#[derive(Debug)]
pub struct Surveyed {
    /// Which it is.
    pub id: Id,
    /// The object.
    pub manifest: Manifest,
    /// Where it begins.
    pub place: Place,
    stands: Stands,
}

/// Where a document stands, and where in it an object.
#[derive(Clone, Debug)]
struct Stands {
    text: usize,
    bytes: Range<usize>,
    above: usize,
    root: String,
}

/// Reads as much as can be read.
pub fn survey(sources: &[Source]) -> Survey {
    let mut survey = Survey::default();
    let texts = texts(sources, &mut survey.problems);
    let mut first = BTreeMap::new();
    for (index, text) in texts.iter().enumerate() {
        survey.read(index, text, &mut first);
    }
    survey.problems.sort_by_cached_key(FileProblem::place);
    Survey { texts, ..survey }
}

impl Survey {
    /// How many files there are, those among them that are no text.
    pub fn files(&self) -> usize {
        let unreadable = |problem: &&FileProblem| match problem {
            FileProblem::Read { path: _, cause: _ }
            | FileProblem::TooLarge { path: _ }
            | FileProblem::NotText { path: _, line: _ } => true,
            FileProblem::Syntax { place: _, message: _ }
            | FileProblem::Field { place: _, object: _, field: _, message: _ }
            | FileProblem::Twice { place: _, id: _, first: _ } => false,
        };
        self.texts.len().saturating_add(self.problems.iter().filter(unreadable).count())
    }

    /// The places of fields, each of an object by its number in `objects`, such as `spec.ingress[0].from[0].cidr`; of one that is
    /// not there, the place of what it would stand in.
    pub fn places(&self, fields: &[(usize, &str)]) -> Vec<Place> {
        // One document may hold a thousand objects.
        let mut outlines: BTreeMap<(usize, usize), Outline> = BTreeMap::new();
        let mut place = |(object, field): &(usize, &str)| {
            let Surveyed { stands: Stands { text, bytes, above, root }, .. } = self.objects.get(*object)?;
            let Text { file, text: whole } = self.texts.get(*text)?;
            let outline = outlines
                .entry((*text, bytes.start))
                .or_insert_with(|| Outline::of(body(whole.get(bytes.clone()).unwrap_or_default()), *above));
            Some(place_in(outline, file, root, field, About::Value))
        };
        let nowhere = || Place { file: PathBuf::new(), line: 1, column: 1 };
        fields.iter().map(|field| place(field).unwrap_or_else(nowhere)).collect()
    }

    fn read(&mut self, index: usize, text: &Text, first: &mut BTreeMap<Id, Place>) {
        let mut at = 0_usize;
        for (above, document) in documents(&text.text) {
            let bytes = at..at.saturating_add(document.len());
            at = bytes.end;
            match document::read(document) {
                Ok(found) => {
                    let outline = LazyCell::new(|| Outline::of(body(document), above));
                    for one in found {
                        match one {
                            Document::Foreign(kind) => {
                                let count = self.foreign.entry(kind).or_default();
                                *count = count.saturating_add(1);
                            }
                            Document::Ours(ours) => {
                                let stands = Stands { text: index, bytes: bytes.clone(), above, root: ours.root.clone() };
                                self.take(&text.file, document, (stands, *ours), &outline, first);
                            }
                        }
                    }
                }
                Err(Syntax { line, column, message }) => {
                    let place = Place { file: text.file.clone(), line: line.saturating_add(above), column };
                    self.problems.push(FileProblem::Syntax { place, message });
                }
            }
        }
    }

    fn take(
        &mut self,
        file: &Path,
        document: &str,
        (stands, ours): (Stands, Ours),
        outline: &LazyCell<Outline, impl FnOnce() -> Outline>,
        first: &mut BTreeMap<Id, Place>,
    ) {
        let Ours { id, manifest, faults, root } = ours;
        for Fault { field, about, message } in faults {
            let place = place_in(outline, file, &root, &field, about);
            self.problems.push(FileProblem::Field { place, object: id.clone(), field, message });
        }
        let Some(id) = id else { return };
        let place = if root.is_empty() {
            let (line, column) = beginning(document);
            Place { file: file.to_owned(), line: line.saturating_add(stands.above), column }
        } else {
            place_in(outline, file, &root, "", About::Value)
        };
        if let Some(first) = first.get(&id) {
            let place = place_in(outline, file, &root, NAME, About::Value);
            self.problems.push(FileProblem::Twice { place, id: id.clone(), first: first.clone() });
        } else {
            first.insert(id.clone(), place.clone());
        }
        self.declared.insert(id.clone());
        self.objects.extend(manifest.map(|manifest| Surveyed { id, manifest, place, stands }));
    }
}

/// The field that tells one object of a kind from another.
const NAME: &str = "metadata.name";

fn place_in(outline: &Outline, file: &Path, root: &str, field: &str, about: About) -> Place {
    let path = if root.is_empty() || field.is_empty() { format!("{root}{field}") } else { format!("{root}.{field}") };
    let (line, column) = outline.find(&path, about);
    Place { file: file.to_owned(), line, column }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let (_, what) = problem.split_once(": ").unwrap_or_else(|| panic!("{problem}"));
        what.to_owned()
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
        let lines: Vec<usize> = found.places.values().map(|place| place.line).collect();
        assert_eq!(lines, [3, 11], "{:?}", found.places);
        assert!(found.places.values().all(|place| place.file.ends_with("a/many.yaml")), "{:?}", found.places);
    }

    #[test]
    fn a_file_is_read_alone_whatever_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("web.txt"), directory.path().join("office.yaml"));
        fs::write(&one, GOOD).unwrap();
        fs::write(&other, SET).unwrap();
        let found = read_manifests(&one).unwrap();
        assert_eq!(found.manifests.keys().map(ToString::to_string).collect::<Vec<_>>(), ["SecurityGroup default/web"]);
        assert_eq!(found.places.into_values().map(|place| place.file).collect::<Vec<_>>(), [one]);
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
        insta::assert_snapshot!(twice.join("\n"), @r"
        b.yaml:3:18: CidrSet default/web is declared in a.yaml:1:1 already: rename one of them, or remove it
        d.yaml:3:18: AwsAccount prod is declared in c.yaml:1:1 already: rename one of them, or remove it
        ");
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
        insta::assert_snapshot!(bad.join("\n"), @r"
        syntax.yaml:1:7: unclosed bracket '['
        twice.yaml:3:18: SecurityGroup default/web is declared in good.yaml:1:1 already: rename one of them, or remove it
        typo.yaml:3:18: SecurityGroup default/web is declared in good.yaml:1:1 already: rename one of them, or remove it
        typo.yaml:4:33: spec.egresPolicy: unknown field: correct or remove it
        ");
    }

    #[test]
    fn the_line_that_is_told_is_that_of_the_file() {
        for (from, to, expected) in [
            ("[eu-west-1]", "all", "9:44: spec.regions: must be a list, and this is text"),
            ("allowedNamespaces", "allowed", "9:1: spec.allowedNamespaces: allowedNamespaces is required"),
            ("'012345678901'", "123456789012", "9:19: spec.accountId: must be text, and 123456789012 is not: put it in quotes"),
        ] {
            let text = format!("{GOOD}---\n{}", ACCOUNT.replace(from, to));
            assert_eq!(check(&[("a.yaml", &text)]).unwrap_err()[0], format!("a.yaml:{expected}"));
        }
        let bad = check(&[("a.yaml", &format!("{GOOD}---\n# why\nkind: [\n"))]).unwrap_err();
        assert_eq!(bad, ["a.yaml:7:7: unclosed bracket '['"]);
    }

    #[test]
    fn a_kind_or_version_of_ours_that_is_misspelt_is_refused() {
        for (from, to, expected) in [
            (
                "SecurityGroup",
                "SecurtyGroup",
                "kind: kind SecurtyGroup is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are",
            ),
            (
                "SecurityGroup",
                "Guardrail",
                "kind: kind Guardrail is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are",
            ),
            ("kind: SecurityGroup\n", "", "kind: kind is missing beside apiVersion sgwarden.dev/v1alpha1"),
            ("apiVersion: sgwarden.dev/v1alpha1\n", "", "apiVersion: apiVersion is missing beside kind SecurityGroup"),
            ("v1alpha1", "v1", "apiVersion: apiVersion sgwarden.dev/v1 is not served here: write sgwarden.dev/v1alpha1"),
            ("/v1alpha1", "", "apiVersion: apiVersion sgwarden.dev is not served here: write sgwarden.dev/v1alpha1"),
            (
                "SecurityGroup",
                "SecurityGroupList",
                "kind: kind SecurityGroupList is not read: write its items as documents of their own",
            ),
            (
                "SecurityGroup",
                "Namespace",
                "kind: kind Namespace is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are",
            ),
        ] {
            assert_eq!(refused(&GOOD.replace(from, to)), expected);
        }
        let beta =
            "apiVersion: apiVersion gateway.networking.k8s.io/v1alpha2 is not served here: write gateway.networking.k8s.io/v1beta1";
        assert_eq!(refused(&GRANT.replace("/v1", "/v1alpha2")), beta);
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
            ("{}", "name is required"),
        ] {
            let bad = refused(&GOOD.replace("{name: web}", metadata));
            assert!(bad.contains(word), "{bad}");
        }
        for bad in [ACCOUNT.replace("prod", "../prod"), NAMESPACE.replace("name: shop", "name: a.b")] {
            assert!(refused(&bad).starts_with("metadata.name: '"), "{bad}");
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
            assert_eq!(refused(&text), format!("{expected}: unknown field: correct or remove it"), "{text}");
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
