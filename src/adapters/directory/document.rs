//! One document of a file: which kind it is, and whether it says only what that kind knows.
//!
//! Invariant: a misspelt field or kind of ours is an error here, as on the apiserver; other people's kinds are left alone.

use k8s_openapi::api::core::v1::Namespace;
use kube::core::ObjectMeta;
use serde_json::Value;

use super::fields;
use super::kind::{Id, Kind, KindName, Manifest};
use crate::api::{AwsAccount, CidrSet, GROUP, Notifier, ReferenceGrant, SecurityGroup, VERSION};

/// The namespace of a manifest that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// The label that every namespace has, with its name. Selectors use it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Gateway API's group, and its versions that are read. Their fields are the same.
const GATEWAY: &str = "gateway.networking.k8s.io";
const GATEWAY_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What a document is.
pub(super) enum Document {
    /// Comments.
    Empty,
    /// An object of somebody else's kind, which kustomize and helm put beside ours.
    Foreign(String),
    /// An object that is read here.
    Ours(Id, Box<Manifest>),
}

/// Reads a document. `line` is how many lines of the file are above it.
pub(super) fn read(document: &str, line: usize) -> Result<Document, String> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if document.lines().all(blank) {
        return Ok(Document::Empty);
    }
    let source = Source { document, line };
    let value: Value = serde_yaml::from_str(document).map_err(|error| source.explain::<Value>(&error.to_string()))?;
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, api_version) = (field("kind").to_owned(), field("apiVersion").to_owned());
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    // Without a slash it can only be a slip: the core group has versions alone.
    let group = if api_version == GROUP || api_version == GATEWAY { &api_version } else { group };
    let Some(name) = name(group, &kind, &api_version)? else {
        return Ok(Document::Foreign(if kind.is_empty() { "without a kind".to_owned() } else { kind }));
    };
    let served = match name {
        KindName::Namespace => version == "v1",
        KindName::ReferenceGrant => GATEWAY_VERSIONS.contains(&version),
        KindName::AwsAccount | KindName::Notifier | KindName::CidrSet | KindName::SecurityGroup => version == VERSION,
    };
    if !served {
        let expected = if name == KindName::ReferenceGrant { format!("{GATEWAY}/v1beta1") } else { format!("{GROUP}/{VERSION}") };
        return Err(format!("apiVersion {api_version} is not served here: write {expected}"));
    }
    match name {
        KindName::Namespace => ours(source.read::<Namespace>(value)?),
        KindName::AwsAccount => ours(source.read::<AwsAccount>(value)?),
        KindName::Notifier => ours(source.read::<Notifier>(value)?),
        KindName::ReferenceGrant => ours(source.read::<ReferenceGrant>(value)?),
        KindName::CidrSet => ours(source.read::<CidrSet>(value)?),
        KindName::SecurityGroup => ours(source.read::<SecurityGroup>(value)?),
    }
}

/// A namespace that has nothing but its name: one that objects are in though no file declares it.
pub(super) fn bare_namespace(name: &str) -> Namespace {
    let mut namespace =
        Namespace { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..Namespace::default() };
    label(&mut namespace.metadata, name);
    namespace
}

/// Which of the kinds that are read here; `None` for somebody else's.
fn name(group: &str, kind: &str, api_version: &str) -> Result<Option<KindName>, String> {
    let known = kind.parse::<KindName>().ok();
    let list = kind.strip_suffix("List").map(|item| item.parse::<KindName>().ok());
    let lists_ours = matches!(list, Some(Some(_)));
    let refused = || Err(format!("kind {kind} is not read: write its items as documents of their own"));
    match (group, known) {
        ("", Some(KindName::Namespace)) if !api_version.is_empty() => Ok(Some(KindName::Namespace)),
        ("", _) if kind == "List" || (kind == "NamespaceList" && !api_version.is_empty()) => refused(),
        ("", Some(_)) if api_version.is_empty() => Err(format!("apiVersion is missing beside kind {kind}")),
        (GATEWAY, Some(KindName::ReferenceGrant)) => Ok(Some(KindName::ReferenceGrant)),
        (GROUP, Some(name @ (KindName::AwsAccount | KindName::Notifier | KindName::CidrSet | KindName::SecurityGroup))) => {
            Ok(Some(name))
        }
        (GATEWAY | GROUP, _) if lists_ours => refused(),
        (GROUP, _) if kind.is_empty() => Err(format!("kind is missing beside apiVersion {api_version}")),
        (GROUP, _) => Err(format!("kind {kind} is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are")),
        (_, _) => Ok(None),
    }
}

fn ours<K: Kind>(object: K) -> Result<Document, String> {
    let key = object.key().ok_or_else(|| "metadata.name is required".to_owned())?;
    Ok(Document::Ours(Id { kind: K::NAME, key }, Box::new(object.manifest())))
}

/// A document where it stands in its file.
struct Source<'a> {
    document: &'a str,
    line: usize,
}

impl Source<'_> {
    /// The object that a document declares, without what only a cluster may write (deletionTimestamp, finalizers, uid, status).
    fn read<K: Kind>(&self, mut value: Value) -> Result<K, String> {
        let root = value.as_object_mut().ok_or_else(|| "it is no object".to_owned())?;
        root.remove("status");
        if K::NAME == KindName::Namespace {
            // A cluster's own business; only labels and annotations are used.
            root.remove("spec");
        }
        let mut object: K = serde_json::from_value(value.clone()).map_err(|error| self.explain::<K>(&error.to_string()))?;
        let read = serde_json::to_value(&object).map_err(|error| error.to_string())?;
        let unknown = fields::unknown(K::NAME, &value, &read);
        if !unknown.is_empty() {
            return Err(format!("unknown field {}: correct or remove it", unknown.join(", ")));
        }
        let written = std::mem::take(object.meta_mut());
        let name = written.name.ok_or_else(|| "metadata.name is required".to_owned())?;
        // kustomize gives one to every kind that it does not know, and an apiserver drops it again.
        let namespace = K::NAMESPACED.then(|| written.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()));
        let is_namespace = K::NAME == KindName::Namespace;
        if is_namespace {
            check("metadata.name", &name, is_label, LABEL)?;
        } else {
            check("metadata.name", &name, is_name, NAME)?;
        }
        if let Some(namespace) = &namespace {
            check("metadata.namespace", namespace, is_label, LABEL)?;
        }
        let (labels, annotations) = (written.labels, written.annotations);
        *object.meta_mut() = ObjectMeta { name: Some(name.clone()), namespace, labels, annotations, ..ObjectMeta::default() };
        if is_namespace {
            label(object.meta_mut(), &name);
        }
        Ok(object)
    }

    /// What is wrong, with line and column of the file where the parser knows them: read again, from the text.
    fn explain<K: serde::de::DeserializeOwned>(&self, otherwise: &str) -> String {
        let padded = format!("{}{}", "\n".repeat(self.line), self.document);
        // Read as text, a number will do for a string: then the error is that of the value.
        let hint = if otherwise.ends_with("expected a string") { ": put it in quotes" } else { "" };
        let otherwise = format!("{otherwise}{hint}");
        let found = serde_yaml::from_str::<K>(&padded).err().map_or(otherwise, |error| error.to_string());
        // The parser draws a picture of the place below its first line, which says it already.
        found.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
    }
}

fn label(meta: &mut ObjectMeta, name: &str) {
    meta.labels.get_or_insert_default().insert(NAME_LABEL.to_owned(), name.to_owned());
}

/// What names are made of, in words.
const NAME: &str = "lower-case letters, digits, '-' and '.', such as web-public";
const LABEL: &str = "lower-case letters, digits and '-', such as shop";

fn check(field: &str, text: &str, holds: fn(&str) -> bool, made_of: &str) -> Result<(), String> {
    if holds(text) { Ok(()) } else { Err(format!("{field} '{text}' is not a Kubernetes name: {made_of}")) }
}

/// The name of an object: labels with dots between.
fn is_name(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        part.bytes().all(inner) && edge(part.as_bytes().first()) && edge(part.as_bytes().last())
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// The name of a namespace.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_name(text)
}
