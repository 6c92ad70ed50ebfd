//! One document of a file: which objects it declares, and whether it says only what their kinds know.
//!
//! Invariant: a misspelt field or kind of ours is an error here, as on the apiserver; other people's kinds are left alone.
//! Invariant: everything that is wrong with a document is told at once, as far as it can be read.

use k8s_openapi::api::core::v1::Namespace;
use kube::core::ObjectMeta;
use serde_json::{Map, Value};

use super::fields::{self, Fault};
use super::kind::{Id, Kind, KindName, Manifest};
use super::yaml::{self, Syntax};
use crate::api::{AwsAccount, CidrSet, GROUP, Notifier, ReferenceGrant, SecurityGroup, VERSION};
use crate::ports::objects::Key;

/// The namespace of a manifest that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// The label that every namespace has, with its name. Selectors use it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Gateway API's group, and its versions that are read. Their fields are the same.
const GATEWAY: &str = "gateway.networking.k8s.io";
const GATEWAY_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
/// What `kubectl get -o yaml` puts around several objects.
const LIST: &str = "List";

/// What a document, or an item of one, is.
pub(super) enum Document {
    /// An object of somebody else's kind, which kustomize and helm put beside ours.
    Foreign(String),
    /// An object that is read here.
    Ours(Box<Ours>),
}

/// An object of a kind that is read here, as far as it could be read.
pub(super) struct Ours {
    /// Which, as far as it says so.
    pub(super) id: Option<Id>,
    /// The object. There may be faults besides, which keep it from being used but not from being judged.
    pub(super) manifest: Option<Manifest>,
    /// What is wrong with it.
    pub(super) faults: Vec<Fault>,
    /// Its path in the document: empty, or that of an item of a list.
    pub(super) root: String,
}

/// Reads the objects of a document: one, or those of a `List`. None, where there is nothing but comments.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Syntax> {
    if yaml::is_blank(text) {
        return Ok(Vec::new());
    }
    let value = yaml::parse(text)?;
    if value.is_null() {
        return Ok(Vec::new());
    }
    let header = Header::of(&value);
    if header.kind != LIST || !matches!(header.api_version, "" | "v1") {
        return Ok(vec![object(value, String::new())]);
    }
    match value.get("items") {
        Some(Value::Array(items)) => {
            Ok(items.iter().enumerate().map(|(index, item)| object(item.clone(), format!("items[{index}]"))).collect())
        }
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            Ok(vec![refused(None, Fault::new("items", "must be a list of objects"), String::new())])
        }
    }
}

/// A namespace that has nothing but its name: one that objects are in though no file declares it.
pub(super) fn bare_namespace(name: &str) -> Namespace {
    let mut namespace =
        Namespace { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..Namespace::default() };
    label(&mut namespace.metadata, name);
    namespace
}

/// What an object says of its kind.
struct Header<'a> {
    kind: &'a str,
    api_version: &'a str,
    group: &'a str,
    version: &'a str,
}

impl<'a> Header<'a> {
    fn of(value: &'a Value) -> Self {
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let (kind, api_version) = (field("kind"), field("apiVersion"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        // Without a slash it can only be a slip: the core group has versions alone.
        let group = if api_version == GROUP || api_version == GATEWAY { api_version } else { group };
        Self { kind, api_version, group, version }
    }

    /// Which of the kinds that are read here; `None` for somebody else's.
    fn name(&self) -> Result<Option<KindName>, Fault> {
        let Self { kind, api_version, group, version: _ } = *self;
        let known = kind.parse::<KindName>().ok();
        let list = kind.strip_suffix(LIST).map(|item| item.parse::<KindName>().ok());
        let lists_ours = matches!(list, Some(Some(_)));
        let refused = || Err(Fault::new("kind", format!("kind {kind} is not read: write its items as documents of their own")));
        match (group, known) {
            ("", Some(KindName::Namespace)) if !api_version.is_empty() => Ok(Some(KindName::Namespace)),
            ("", _) if kind == LIST || (kind == "NamespaceList" && !api_version.is_empty()) => refused(),
            ("", Some(_)) if api_version.is_empty() => {
                Err(Fault::new("apiVersion", format!("apiVersion is missing beside kind {kind}")))
            }
            (GATEWAY, Some(KindName::ReferenceGrant)) => Ok(Some(KindName::ReferenceGrant)),
            (GROUP, Some(name @ (KindName::AwsAccount | KindName::Notifier | KindName::CidrSet | KindName::SecurityGroup))) => {
                Ok(Some(name))
            }
            (GATEWAY | GROUP, _) if lists_ours => refused(),
            (GROUP, _) if kind.is_empty() => Err(Fault::new("kind", format!("kind is missing beside apiVersion {api_version}"))),
            (GROUP, _) => Err(Fault::new(
                "kind",
                format!("kind {kind} is not known here: SecurityGroup, CidrSet, AwsAccount and Notifier are"),
            )),
            (_, _) => Ok(None),
        }
    }

    fn is_served(&self, name: KindName) -> bool {
        match name {
            KindName::Namespace => self.version == "v1",
            KindName::ReferenceGrant => GATEWAY_VERSIONS.contains(&self.version),
            KindName::AwsAccount | KindName::Notifier | KindName::CidrSet | KindName::SecurityGroup => self.version == VERSION,
        }
    }
}

/// Reads one object; `root` is where in the document it stands.
fn object(value: Value, root: String) -> Document {
    let header = Header::of(&value);
    let name = match header.name() {
        Ok(Some(name)) => name,
        Ok(None) => {
            return Document::Foreign(if header.kind.is_empty() { "without a kind".to_owned() } else { header.kind.to_owned() });
        }
        Err(fault) => return refused(None, fault, root),
    };
    if !header.is_served(name) {
        let expected = if name == KindName::ReferenceGrant { format!("{GATEWAY}/v1beta1") } else { format!("{GROUP}/{VERSION}") };
        let message = format!("apiVersion {} is not served here: write {expected}", header.api_version);
        return refused(id_of(name, &value), Fault::new("apiVersion", message), root);
    }
    // A kind is a field of a map.
    let Value::Object(fields) = value else { return Document::Foreign("without a kind".to_owned()) };
    match name {
        KindName::Namespace => ours::<Namespace>(fields, root),
        KindName::AwsAccount => ours::<AwsAccount>(fields, root),
        KindName::Notifier => ours::<Notifier>(fields, root),
        KindName::ReferenceGrant => ours::<ReferenceGrant>(fields, root),
        KindName::CidrSet => ours::<CidrSet>(fields, root),
        KindName::SecurityGroup => ours::<SecurityGroup>(fields, root),
    }
}

fn refused(id: Option<Id>, fault: Fault, root: String) -> Document {
    Document::Ours(Box::new(Ours { id, manifest: None, faults: vec![fault], root }))
}

/// The object that a document declares, without what only a cluster may write (deletionTimestamp, finalizers, uid, status).
fn ours<K: Kind>(mut fields: Map<String, Value>, root: String) -> Document {
    fields.remove("status");
    if K::NAME == KindName::Namespace {
        // A cluster's own business; only labels and annotations are used.
        fields.remove("spec");
    }
    let mut faults = fields::faults(K::NAME, &fields);
    let (metadata, wrong) = fields::metadata(fields.get("metadata"));
    faults.extend(wrong);
    let metadata = metadata.and_then(|written| named::<K>(written, &mut faults));
    let value = Value::Object(fields);
    let id = id_of(K::NAME, &value);
    let object = metadata.and_then(|metadata| match serde_json::from_value::<K>(value) {
        Ok(mut object) => {
            *object.meta_mut() = metadata;
            Some(object.manifest())
        }
        Err(error) => {
            // The schema has found it already, and says better where.
            if faults.is_empty() {
                faults.push(Fault::new("", error.to_string()));
            }
            None
        }
    });
    Document::Ours(Box::new(Ours { id, manifest: object, faults, root }))
}

/// What is kept of the metadata, once the names in it are names.
fn named<K: Kind>(written: ObjectMeta, faults: &mut Vec<Fault>) -> Option<ObjectMeta> {
    let before = faults.len();
    let is_namespace = K::NAME == KindName::Namespace;
    let name = written.name.unwrap_or_default();
    if name.is_empty() {
        faults.push(Fault::new("metadata.name", "name is required"));
    } else if is_namespace {
        check("metadata.name", &name, is_label, LABEL, faults);
    } else {
        check("metadata.name", &name, is_name, NAME, faults);
    }
    // kustomize gives one to every kind that it does not know, and an apiserver drops it again.
    let namespace = K::NAMESPACED.then(|| written.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()));
    if let Some(namespace) = &namespace {
        check("metadata.namespace", namespace, is_label, LABEL, faults);
    }
    let (labels, annotations) = (written.labels, written.annotations);
    let mut kept = ObjectMeta { name: Some(name.clone()), namespace, labels, annotations, ..ObjectMeta::default() };
    if is_namespace {
        label(&mut kept, &name);
    }
    (faults.len() == before).then_some(kept)
}

/// Which object it is, as far as it says so: others refer to it also while it cannot be used.
fn id_of(kind: KindName, value: &Value) -> Option<Id> {
    let text = |field: &str| value.get("metadata")?.get(field)?.as_str().map(str::to_owned);
    let namespace = match kind {
        KindName::Namespace | KindName::AwsAccount | KindName::Notifier => String::new(),
        KindName::ReferenceGrant | KindName::CidrSet | KindName::SecurityGroup => {
            text("namespace").unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
        }
    };
    Some(Id { kind, key: Key { namespace, name: text("name")? } })
}

fn label(meta: &mut ObjectMeta, name: &str) {
    meta.labels.get_or_insert_default().insert(NAME_LABEL.to_owned(), name.to_owned());
}

/// What names are made of, in words.
const NAME: &str = "lower-case letters, digits, '-' and '.', such as web-public";
const LABEL: &str = "lower-case letters, digits and '-', such as shop";

fn check(field: &str, text: &str, holds: fn(&str) -> bool, made_of: &str, faults: &mut Vec<Fault>) {
    if !holds(text) {
        faults.push(Fault::new(field, format!("'{text}' is not a Kubernetes name: {made_of}")));
    }
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
