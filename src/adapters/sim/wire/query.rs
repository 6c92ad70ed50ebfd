//! Parameters of the Query protocol: flat names such as `IpPermissions.1.IpRanges.2.CidrIp`, read as lists and structures.
//!
//! Entry point: [`Params::read`], then [`Params::root`].
//!
//! Invariant: size and number of parameters are bounded, and a parameter nobody asked for is an error, not a surprise.

use crate::adapters::sim::world::error::{self, ApiError};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of a request that are read.
pub(crate) const MAX_BYTES: usize = 4 << 20;
const MAX_PARAMETERS: usize = 50_000;

/// Parameters that belong to the protocol rather than to an action.
const PROTOCOL: &[&str] = &[
    "Action",
    "Version",
    "AWSAccessKeyId",
    "Signature",
    "SignatureVersion",
    "SignatureMethod",
    "Timestamp",
    "Expires",
    "SecurityToken",
];

#[derive(Debug)]
struct Value {
    text: String,
    read: Cell<bool>,
}

/// All parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Params(BTreeMap<String, Value>);

impl Params {
    /// Reads the query string and a form body.
    pub(crate) fn read(query: &str, body: &[u8]) -> Result<Self, ApiError> {
        if query.len() + body.len() > MAX_BYTES {
            return Err(ApiError::new("RequestEntityTooLarge", 413, "The request is too large."));
        }
        let mut params = BTreeMap::new();
        let pairs = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(body));
        for (n, (name, text)) in pairs.enumerate() {
            if n >= MAX_PARAMETERS {
                return Err(ApiError::new("MalformedQueryString", 400, "The query string contains too many parameters."));
            }
            params.insert(name.into_owned(), Value { text: text.into_owned(), read: Cell::new(false) });
        }
        Ok(Self(params))
    }

    /// The top-level parameters.
    pub(crate) fn root(&self) -> View<'_> {
        View { params: self, prefix: String::new() }
    }

    /// A parameter, without noting that it was asked for.
    pub(crate) fn peek(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.text.as_str())
    }

    /// The parameters of the action, without those of the protocol.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.0.iter().filter(|(name, _)| !PROTOCOL.contains(&name.as_str()) && !name.starts_with("X-Amz-"));
        own.take(200).map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    /// Refuses a request with a parameter that its action did not ask for.
    pub(crate) fn finish(&self) -> Result<(), ApiError> {
        let known = |name: &str| PROTOCOL.contains(&name) || name.starts_with("X-Amz-");
        match self.0.iter().find(|(name, value)| !value.read.get() && !known(name)) {
            Some((name, _)) => Err(ApiError::new("UnknownParameter", 400, format!("The parameter {name} is not recognized"))),
            None => Ok(()),
        }
    }
}

/// The parameters below a prefix, such as one item of a list.
#[derive(Debug)]
pub(crate) struct View<'p> {
    params: &'p Params,
    prefix: String,
}

impl<'p> View<'p> {
    /// A value, empty ones included.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.params.0.get(&format!("{}{name}", self.prefix))?;
        value.read.set(true);
        Some(value.text.clone())
    }

    /// A value that must be there and not be empty.
    pub(crate) fn need(&self, name: &str) -> Result<String, ApiError> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(|| error::missing(name))
    }

    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let not_a_number = |_| error::invalid(format!("Value ({text}) for parameter {name} is invalid. Not a valid integer."));
        text.parse().map(Some).map_err(not_a_number)
    }

    pub(crate) fn need_int(&self, name: &str) -> Result<i64, ApiError> {
        self.int(name)?.ok_or_else(|| error::missing(name))
    }

    /// A boolean; absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name).as_deref() {
            None | Some("") => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(false),
            Some(text) => Err(error::invalid(format!("Value ({text}) for parameter {name} is invalid. Not a valid boolean."))),
        }
    }

    /// A list of values: `name.1`, `name.2`, …, in numeric order.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.numbers(name).into_iter().filter_map(|n| self.text(&format!("{name}.{n}"))).collect()
    }

    /// A list of structures: `name.1.`, `name.2.`, …, in numeric order.
    pub(crate) fn items(&self, name: &str) -> Vec<View<'p>> {
        let numbers = self.numbers(name).into_iter();
        numbers.map(|n| View { params: self.params, prefix: format!("{}{name}.{n}.", self.prefix) }).collect()
    }

    /// A structure: `name.`
    pub(crate) fn item(&self, name: &str) -> View<'p> {
        View { params: self.params, prefix: format!("{}{name}.", self.prefix) }
    }

    fn numbers(&self, name: &str) -> BTreeSet<u32> {
        let prefix = format!("{}{name}.", self.prefix);
        let below = self.params.0.range(prefix.clone()..).map_while(|(name, _)| name.strip_prefix(&prefix));
        below.filter_map(|rest| rest.split('.').next().filter(|n| !n.starts_with(['+', '0']))?.parse().ok()).collect()
    }

    /// Notes parameters that change nothing the stand-in has.
    pub(crate) fn ignore(&self, names: &[&str]) {
        for name in names {
            self.text(name);
            let prefix = format!("{}{name}.", self.prefix);
            for (_, value) in self.params.0.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix)) {
                value.read.set(true);
            }
        }
    }

    /// Refuses parameters of the API's model that the stand-in does not honour.
    pub(crate) fn refuse(&self, names: &[&str]) -> Result<(), ApiError> {
        for name in names {
            let whole = format!("{}{name}", self.prefix);
            let prefix = format!("{whole}.");
            let below = self.params.0.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix));
            if below || self.params.0.contains_key(&whole) {
                return Err(error::unsupported(format!("The parameter {name} is not supported by this stand-in.")));
            }
        }
        Ok(())
    }
}
