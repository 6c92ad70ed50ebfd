//! Fields that a kind does not have: an apiserver refuses or drops them, and a misspelt one would silently do nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use super::kind::KindName;
use crate::api::{AwsAccount, CidrSet, Notifier, ReferenceGrant, SecurityGroup};

/// What the fields of each kind are called. Only their names are taken from here, so it does not matter that these are not
/// the CRDs as they are installed.
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

/// The paths of fields that the kind does not have. `read` is what typed reading made of `written`.
pub(super) fn unknown(kind: KindName, written: &Value, read: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let schema = SCHEMAS.get(&kind);
    for (name, value) in written.as_object().into_iter().flatten() {
        match (name.as_str(), schema.and_then(|schema| schema.properties.as_ref()?.get(name))) {
            ("apiVersion" | "kind", _) => {}
            // Of this there is no schema, but typed reading keeps all there is.
            ("metadata", _) => lost(value, read.get(name).unwrap_or(&Value::Null), name, &mut unknown),
            (_, Some(schema)) => undeclared(value, schema, name, &mut unknown),
            (_, None) => unknown.push(name.clone()),
        }
    }
    unknown
}

/// Every path of `written` that the schema does not name.
fn undeclared(written: &Value, schema: &JSONSchemaProps, path: &str, unknown: &mut Vec<String>) {
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = format!("{path}.{name}");
                let property = schema.properties.as_ref().and_then(|properties| properties.get(name));
                match (property, &schema.additional_properties) {
                    (Some(property), _) => undeclared(value, property, &below, unknown),
                    (None, Some(JSONSchemaPropsOrBool::Schema(each))) => undeclared(value, each, &below, unknown),
                    (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
                    (None, Some(JSONSchemaPropsOrBool::Bool(false)) | None) => unknown.push(below),
                }
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(each)) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    undeclared(item, each, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
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
