//! Fields that a kind does not have, or that hold what they cannot: an apiserver refuses or drops them, and a misspelt one would
//! silently do nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use kube::core::ObjectMeta;
use serde_json::{Map, Number, Value};

use super::kind::KindName;
use super::outline::About;
use crate::api::{AwsAccount, CidrSet, Notifier, ReferenceGrant, SecurityGroup};

/// What the fields of each kind are called and which types they have. Only that is taken from here, so it does not matter that
/// these are not the CRDs as they are installed.
static SCHEMAS: LazyLock<BTreeMap<KindName, JSONSchemaProps>> = LazyLock::new(|| {
    let schema = |crd: CustomResourceDefinition| {
        let version = crd.spec.versions.into_iter().next();
        version.and_then(|version| version.schema?.open_api_v3_schema).unwrap_or_default()
    };
    BTreeMap::from([
        (KindName::AwsAccount, schema(AwsAccount::crd())),
        (KindName::CidrSet, schema(CidrSet::crd())),
        (KindName::Notifier, schema(Notifier::crd())),
        (KindName::ReferenceGrant, schema(ReferenceGrant::crd())),
        (KindName::SecurityGroup, schema(SecurityGroup::crd())),
    ])
});

/// What is wrong with a field, whatever it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its path from the root of the object; empty for the object itself.
    pub(super) field: String,
    /// Whether it is its name that is wrong.
    pub(super) about: About,
    /// What is wrong and what to do about it.
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), about: About::Value, message: message.into() }
    }

    fn unknown(field: String) -> Self {
        Self { field, about: About::Name, message: UNKNOWN.to_owned() }
    }
}

/// What is said of a field that is not known.
const UNKNOWN: &str = "unknown field: correct or remove it";

/// Every field that the kind does not have, that it needs and that is missing, or that holds something of another type. What it
/// holds is not judged here. Of `metadata`, see [`metadata`].
pub(super) fn faults(kind: KindName, written: &Map<String, Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let schema = SCHEMAS.get(&kind);
    for (name, value) in written {
        match (name.as_str(), schema.and_then(|schema| schema.properties.as_ref()?.get(name))) {
            ("apiVersion" | "kind" | "metadata", _) => {}
            (_, Some(schema)) => judge(value, schema, name, &mut faults),
            (_, None) => faults.push(Fault::unknown(name.clone())),
        }
    }
    if let Some(schema) = schema {
        missing(written, schema, "", &mut faults);
    }
    faults
}

fn judge(written: &Value, schema: &JSONSchemaProps, path: &str, faults: &mut Vec<Fault>) {
    if let Some(message) = mistaken(written, schema) {
        faults.push(Fault::new(path, message));
        return;
    }
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = format!("{path}.{name}");
                let property = schema.properties.as_ref().and_then(|properties| properties.get(name));
                match (property, &schema.additional_properties) {
                    (Some(property), _) => judge(value, property, &below, faults),
                    (None, Some(JSONSchemaPropsOrBool::Schema(each))) => judge(value, each, &below, faults),
                    (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
                    (None, Some(JSONSchemaPropsOrBool::Bool(false)) | None) => faults.push(Fault::unknown(below)),
                }
            }
            missing(fields, schema, &format!("{path}."), faults);
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(each)) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    judge(item, each, &format!("{path}[{index}]"), faults);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn missing(written: &Map<String, Value>, schema: &JSONSchemaProps, prefix: &str, faults: &mut Vec<Fault>) {
    for name in schema.required.iter().flatten().filter(|name| !written.contains_key(*name)) {
        faults.push(Fault::new(format!("{prefix}{name}"), format!("{name} is required")));
    }
}

/// What is wrong with the type of a value.
fn mistaken(written: &Value, schema: &JSONSchemaProps) -> Option<String> {
    let number_or_text = schema.x_kubernetes_int_or_string == Some(true);
    let wanted = match (schema.type_.as_deref(), written) {
        (_, Value::Null) if schema.nullable == Some(true) => return None,
        (_, Value::Null) => return Some("is empty: write a value, or remove the field".to_owned()),
        (_, Value::Number(number)) if number_or_text => return (!is_i32(number)).then(|| too_large(number)),
        (_, Value::String(_)) if number_or_text => return None,
        (_, _) if number_or_text => "a whole number or text",
        (Some("object"), Value::Object(_))
        | (Some("array"), Value::Array(_))
        | (Some("string"), Value::String(_))
        | (Some("boolean"), Value::Bool(_))
        | (Some("number"), Value::Number(_)) => return None,
        (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
            let fits = schema.format.as_deref() != Some("int32") || is_i32(number);
            return (!fits).then(|| too_large(number));
        }
        (Some("string"), Value::Number(_) | Value::Bool(_)) => {
            return Some(format!("must be text, and {written} is not: put it in quotes"));
        }
        (Some("integer" | "number" | "boolean"), Value::String(text)) if looks_plain(text) => {
            return Some(format!("'{text}' is text: write it without quotes"));
        }
        (Some("object"), _) => "a map of fields",
        (Some("array"), _) => "a list",
        (Some("string"), _) => "text",
        (Some("boolean"), _) => "true or false",
        (Some("integer"), _) => "a whole number",
        (Some("number"), _) => "a number",
        (Some(_) | None, _) => return None,
    };
    Some(format!("must be {wanted}, and this is {}", kind_of(written)))
}

/// A number or a truth value that somebody put in quotes.
fn looks_plain(text: &str) -> bool {
    text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok()
}

fn is_i32(number: &Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn too_large(number: &Number) -> String {
    format!("{number} is no whole number, or too large a one")
}

fn kind_of(written: &Value) -> &'static str {
    match written {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map of fields",
    }
}

/// `metadata` as typed reading has it, and what is wrong with it. Of it there is no schema, but typed reading keeps all there is.
pub(super) fn metadata(written: Option<&Value>) -> (Option<ObjectMeta>, Vec<Fault>) {
    const PATH: &str = "metadata";
    let Some(written) = written.filter(|written| !written.is_null()) else { return (Some(ObjectMeta::default()), Vec::new()) };
    if !written.is_object() {
        return (None, vec![Fault::new(PATH, format!("must be a map of fields, and this is {}", kind_of(written)))]);
    }
    let mut faults = Vec::new();
    let mut written = written.clone();
    for texts in ["labels", "annotations"] {
        if let Some(Value::Object(texts_in)) = written.get_mut(texts) {
            // Without them, the rest can be read and judged.
            texts_in.retain(|key, value| {
                if !value.is_string() {
                    let message = format!("must be text, and {value} is not: put it in quotes");
                    faults.push(Fault::new(format!("{PATH}.{texts}.{key}"), message));
                }
                value.is_string()
            });
        }
    }
    let read = match serde_json::from_value::<ObjectMeta>(written.clone()) {
        Ok(read) => read,
        Err(error) => {
            faults.push(Fault::new(PATH, error.to_string()));
            return (None, faults);
        }
    };
    let mut unknown = Vec::new();
    lost(&written, &serde_json::to_value(&read).unwrap_or_default(), PATH, &mut unknown);
    faults.extend(unknown.into_iter().map(Fault::unknown));
    (Some(read), faults)
}

/// Every path of `written` that is not in `read`. Empty values are left out when an object is written back, and are no loss.
fn lost(written: &Value, read: &Value, path: &str, unknown: &mut Vec<String>) {
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

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_with_a_schema_has_its_fields_in_it() {
        for (kind, field) in [
            (KindName::AwsAccount, "allowedNamespaces"),
            (KindName::CidrSet, "cidrs"),
            (KindName::Notifier, "rateLimit"),
            (KindName::ReferenceGrant, "from"),
            (KindName::SecurityGroup, "ingress"),
        ] {
            let spec = &SCHEMAS[&kind].properties.as_ref().unwrap()["spec"];
            assert!(spec.properties.as_ref().unwrap().contains_key(field), "{kind}");
        }
    }
}
