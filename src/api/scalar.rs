//! The scalars of a spec, kept as people wrote them.
//!
//! Entry points: the newtypes [`Cidr`], [`Port`], [`Protocol`] and [`RuleName`], each with a hand-written schema (a
//! derived one cannot carry CEL to list items), and the choices, such as [`Mode`] and [`EgressPolicy`]: closed lists of words.
//!
//! Invariant: nothing here is parsed on the way in. Whatever string (or number, for a port) was stored can be read back,
//! so that one bad object cannot stop the watch of the others; `desired` parses and names the field.
//! Invariant: the newtypes have no description in their schema, except [`Port`]: the field's own doc comment is what
//! `kubectl explain` shows, and a description here would replace it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The characters AWS takes in names and descriptions, as the regular expression of the schema.
pub(super) const AWS_TEXT: &str = r"^[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$";
/// CEL over one text: AWS's character set.
pub(super) const AWS_TEXT_RULE: &str = r"self.matches(r'^[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]*$')";
/// What is said when a description has a character outside of it.
pub(super) const AWS_DESCRIPTION_MESSAGE: &str =
    "AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in a description";
/// What is said when a group name has a character outside of it.
pub(super) const AWS_NAME_MESSAGE: &str =
    "AWS accepts only A-Z a-z 0-9, space and . _ - : / ( ) # , @ [ ] + = & ; { } ! $ * in a group name";

/// A string newtype: transparent in JSON, anything is accepted on the way in.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// An IPv4 or IPv6 range as written, such as `10.0.0.0/8` or `2001:db8::/32`.
    Cidr
}

text! {
    /// A protocol as written: `tcp`, `udp`, `icmp`, `icmpv6`, `all` or a number that has no name here, such as `50`.
    Protocol
}

text! {
    /// The name of a rule, such as `allow-https`: unique in its list, never sent to AWS.
    RuleName
}

impl JsonSchema for Cidr {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 43,
            "x-kubernetes-validations": [{
                "rule": "isCIDR(self) && cidr(self).masked() == cidr(self)",
                "message": "must be a CIDR block without host bits, such as 10.0.0.0/8 or 2001:db8::/32",
                "messageExpression": concat!(
                    "isCIDR(self) ? \"'%s' has host bits set: write '%s' for the range or '%s/%d' for the one address\"",
                    ".format([self, string(cidr(self).masked()), string(cidr(self).ip()), ",
                    "cidr(self).ip().family() == 4 ? 32 : 128]) : ",
                    "isIP(self) ? \"'%s' is an address, not a range: write '%s/%d'\"",
                    ".format([self, self, ip(self).family() == 4 ? 32 : 128]) : ",
                    "self.lowerAscii().matches('^[0:]+:ffff:') ? ",
                    "\"'%s' is IPv4-mapped IPv6, which is refused: write the IPv4 range\".format([self]) : ",
                    "\"'%s' is not a CIDR block: write it like 10.0.0.0/8 or 2001:db8::/32\".format([self])",
                ),
                "reason": "FieldValueInvalid",
            }],
        })
    }
}

impl JsonSchema for Protocol {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Protocol".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 8,
            "x-kubernetes-validations": [{
                "rule": concat!(
                    "self in ['tcp', 'udp', 'icmp', 'icmpv6', 'all'] || ",
                    "self.matches('^(0|[1-9][0-9]{0,2})$') && int(self) <= 255 && !(self in ['1', '6', '17', '58'])",
                ),
                "message": "must be tcp, udp, icmp, icmpv6, all or a protocol number from \"0\" to \"255\"",
                "messageExpression": concat!(
                    "\"'\" + self + \"' is not a protocol here: \" + (",
                    "self == '6' || self.lowerAscii() == 'tcp' ? \"write 'tcp'\" : ",
                    "self == '17' || self.lowerAscii() == 'udp' ? \"write 'udp'\" : ",
                    "self == '1' || self.lowerAscii() == 'icmp' ? \"write 'icmp'\" : ",
                    "self == '58' || self.lowerAscii() in ['icmpv6', 'icmp6'] ? \"write 'icmpv6'\" : ",
                    "self.lowerAscii() in ['-1', 'all', 'any', '*'] ? \"write 'all'\" : ",
                    "\"use tcp, udp, icmp, icmpv6, all or a number from '0' to '255'\")",
                ),
                "reason": "FieldValueInvalid",
            }],
        })
    }
}

impl JsonSchema for RuleName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RuleName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 63,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                "message": "a rule name has lower-case letters, digits and '-' only, such as 'allow-https'; free text goes into description",
                "reason": "FieldValueInvalid",
            }],
        })
    }
}

/// A port or a range of ports as written: the number `443` or a string such as `8000-8100`.
///
/// A number is kept as a number, so that what is written back is what was read. Numbers that are no `i64` (a fraction)
/// become their text, which no port range is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// Written as a number.
    Number(i64),
    /// Written as a string.
    Text(String),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<u16> for Port {
    fn from(port: u16) -> Self {
        Self::Number(port.into())
    }
}

impl From<&str> for Port {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl Visitor<'_> for PortVisitor {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port (443) or a range in quotes (\"8000-8100\")")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Port, E> {
                Ok(Port::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Port, E> {
                Ok(i64::try_from(number).map_or_else(|_| Port::Text(number.to_string()), Port::Number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Port, E> {
                Ok(Port::Text(number.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Port, E> {
                Ok(Port::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}

impl JsonSchema for Port {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }

    // `maxLength` bounds the cost of the CEL; Kubernetes 1.33 ignores it on int-or-string and refuses the whole CRD.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port as a number (443) or a range in quotes (\"8000-8100\"), within 0 to 65535.",
            "x-kubernetes-int-or-string": true,
            "maxLength": 11,
            "x-kubernetes-validations": [{
                "rule": concat!(
                    "type(self) == int ? self >= 0 && self <= 65535 : ",
                    "self.matches('^(0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,4}))?$') && ",
                    "self.split('-').all(p, int(p) <= 65535) && ",
                    "int(self.split('-')[0]) <= int(self.split('-')[size(self.split('-')) - 1])",
                ),
                "message": "must be a port (443) or a range from lower to higher (\"8000-8100\") within 0 to 65535, without leading zeros; every port is \"0-65535\"",
                "messageExpression": concat!(
                    "\"'%s' must be a port (443) or a range from lower to higher (\\\"8000-8100\\\") within 0 to 65535, ",
                    "without leading zeros; every port is \\\"0-65535\\\"\".format([self])",
                ),
                "reason": "FieldValueInvalid",
            }],
        })
    }
}

/// A word that is none of the words a field knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{value}' is not one of {}", known.join(", "))]
pub struct UnknownWord {
    /// What was written.
    pub value: String,
    /// What the field knows, as it is written.
    pub known: &'static [&'static str],
}

/// A closed list of words: an enum whose names are what is written in YAML.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantNames, strum::VariantArray,
        )]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word as it is written.
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            /// The words known here, by name.
            ///
            /// # Errors
            /// A word that is none of them.
            pub fn parse(word: &str) -> Result<Self, $crate::api::UnknownWord> {
                word.parse().map_err(|_| $crate::api::UnknownWord {
                    value: word.to_owned(),
                    known: <Self as strum::VariantNames>::VARIANTS,
                })
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }
    };
}
pub(super) use words;

words! {
    /// How far sgwarden goes with a group.
    Mode {
        /// EC2 is made equal to the spec, and kept so.
        Enforce,
        /// Everything is computed and reported, nothing is written to EC2.
        Observe,
    }
}

words! {
    /// What a group without egress rules lets out.
    EgressPolicy {
        /// Everything, as EC2 gives a new group: `0.0.0.0/0`, and `::/0` in a VPC with IPv6.
        AllowAll,
        /// Nothing.
        DenyAll,
    }
}

words! {
    /// What becomes of the EC2 group when its object is deleted.
    DeletionPolicy {
        /// It is deleted.
        Delete,
        /// It stays as it is.
        Retain,
    }
}

words! {
    /// What becomes of live rules that nobody declared.
    UndeclaredRules {
        /// They are revoked.
        Revoke,
        /// They are reported as drift and stay.
        Report,
        /// They stay, and are nobody's drift.
        Keep,
    }
}

words! {
    /// Whether changes wait for a person.
    Approval {
        /// They do not.
        Automatic,
        /// They wait until somebody approves the plan.
        Required,
    }
}

words! {
    /// Whether namespaces may take over groups that nobody tagged for it in AWS.
    Adoption {
        /// Only groups that carry the tag of consent.
        Consent,
        /// Any group without tags of somebody else.
        Allowed,
    }
}

words! {
    /// Which namespaces something is open to.
    NamespacesFrom {
        /// The object's own.
        Same,
        /// All of them.
        All,
        /// Those whose labels match.
        Selector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads_back(json: &str) {
        let port: Port = serde_json::from_str(json).expect("any number or string is a Port");
        assert_eq!(serde_json::to_string(&port).expect("a Port is JSON"), json);
    }

    #[test]
    fn a_port_is_written_back_as_it_was_read() {
        for json in ["443", "-1", "70000", "\"8000-8100\"", "\"443\"", "\"\"", "\"https\""] {
            reads_back(json);
        }
    }

    #[test]
    fn numbers_that_are_no_port_become_text_and_do_not_fail() {
        for json in ["443.5", "99999999999999999999", "18446744073709551615"] {
            let port: Port = serde_json::from_str(json).expect("any number is a Port");
            assert!(matches!(port, Port::Text(_)), "{json}");
        }
    }

    #[test]
    fn a_port_in_yaml_may_be_plain_or_quoted() {
        let ports: Vec<Port> = serde_yaml::from_str("[443, \"443\", 8000-8100]").expect("YAML");
        assert_eq!(ports, [Port::from(443), Port::from("443"), Port::from("8000-8100")]);
    }

    #[test]
    fn a_word_nobody_knows_is_told_with_those_that_are_known() {
        assert_eq!(Mode::parse("Observe"), Ok(Mode::Observe));
        let unknown = Mode::parse("observe").expect_err("words are case-sensitive");
        assert_eq!(unknown.to_string(), "'observe' is not one of Enforce, Observe");
    }
}
