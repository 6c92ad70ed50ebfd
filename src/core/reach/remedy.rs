//! What would have to be written so that it gets through.
//!
//! Invariant: what is advised opens nothing but what was asked for: a rule is added to only where its traffic is that very
//! traffic, or its only peer that very peer.

use std::collections::BTreeSet;

use crate::core::desired::{DeclaredRule, Referent, Who};
use crate::core::model::{Direction, IcmpTypes, PortRange, RuleName, Traffic};

use super::Other;
use super::permission::{Permission, Standing, of};
use super::world::{Group, World};

/// The longest name of a rule.
const LONGEST_NAME: usize = 63;

/// What to write, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The rule to add to; `None` for a rule of its own.
    pub rule: Option<RuleName>,
    /// The list it goes into: `from`, `to`, `ports`, `spec.ingress`, `spec.egress`.
    pub list: &'static str,
    /// The entries, each a line of YAML.
    pub yaml: Vec<String>,
    /// What else has to be done.
    pub besides: Vec<String>,
}

/// What is to get through.
pub(super) struct Wish<'a> {
    pub(super) direction: Direction,
    pub(super) other: &'a Other,
    pub(super) traffic: Traffic,
}

impl Wish<'_> {
    pub(super) fn remedy(&self, world: &World, group: &Group<'_>, permissions: &[Permission]) -> Remedy {
        let besides = self.besides(world, group);
        // What is added to a rule that is held back waits with it, and what is added to one that ends, ends.
        let held: BTreeSet<&RuleName> = of(permissions, self.direction)
            .filter(|permission| matches!(permission.standing, Standing::Held(_)))
            .map(|permission| &permission.rule)
            .collect();
        let rules = group.declaration.rules.iter();
        let lasting =
            |rule: &&DeclaredRule| rule.direction == self.direction && rule.expires_at.is_none() && !held.contains(&rule.name);
        let rules: Vec<&DeclaredRule> = rules.filter(lasting).collect();
        if let Some(rule) = rules.iter().find(|rule| rule.traffic == [self.traffic]) {
            let list = self.direction.preposition();
            return Remedy { rule: Some(rule.name.clone()), list, yaml: vec![self.peer(group)], besides };
        }
        if let Some((rule, port)) = rules.iter().find_map(|rule| Some((rule, self.port_of(rule, group)?))) {
            return Remedy { rule: Some(rule.name.clone()), list: "ports", yaml: vec![port], besides };
        }
        let list = match self.direction {
            Direction::Ingress => "spec.ingress",
            Direction::Egress => "spec.egress",
        };
        Remedy { rule: None, list, yaml: vec![self.rule(group)], besides }
    }

    fn besides(&self, world: &World, group: &Group<'_>) -> Vec<String> {
        let mut besides = Vec::new();
        let first = !group.declaration.rules.iter().any(|rule| rule.direction == Direction::Egress);
        if self.direction == Direction::Egress && first && group.declaration.egress_policy.is_some() {
            besides.push("take out egressPolicy, which goes with no egress rules alone".to_owned());
        }
        if let Other::Object(name) = self.other
            && *name != group.name
            && !world.may_refer(&group.name.namespace, name)
        {
            let (from, Referent { kind: _, namespace, name }) = (&group.name.namespace, name);
            besides.push(format!("let {namespace}/{name} allow references from namespace {from}, in its allowedNamespaces"));
        }
        besides
    }

    /// The port to add to a rule that is for this peer alone.
    fn port_of(&self, rule: &DeclaredRule, group: &Group<'_>) -> Option<String> {
        let [only] = rule.peers.as_slice() else { return None };
        let same = match (&only.who, self.other) {
            (Who::Range(net), Other::Range(asked)) => net == asked,
            (Who::This, Other::Object(name)) => *name == group.name,
            (Who::Object(referent), Other::Object(name)) => referent == name,
            (Who::Group { id, account }, Other::Group { id: asked, account: of }) => id == asked && account == of,
            (
                Who::Range(_)
                | Who::This
                | Who::Object(_)
                | Who::Group { id: _, account: _ }
                | Who::PrefixList(_)
                | Who::PrefixListName(_),
                _,
            ) => false,
        };
        let ports = match (rule.traffic.first()?, self.traffic) {
            (Traffic::Tcp(_), Traffic::Tcp(ports)) | (Traffic::Udp(_), Traffic::Udp(ports)) => ports,
            (Traffic::All | Traffic::Tcp(_) | Traffic::Udp(_) | Traffic::Icmp(_) | Traffic::Icmpv6(_) | Traffic::Other(_), _) => {
                return None;
            }
        };
        same.then(|| port(ports))
    }

    /// The other end as an entry of `from` or `to`.
    fn peer(&self, group: &Group<'_>) -> String {
        match self.other {
            Other::Range(net) => format!("{{cidr: {}}}", scalar(&net.to_string())),
            Other::Object(name) if *name == group.name => "{self: true}".to_owned(),
            Other::Object(Referent { kind: _, namespace, name }) => {
                let namespace = (*namespace != group.name.namespace).then(|| format!(", namespace: {}", scalar(namespace)));
                format!("{{securityGroup: {{name: {}{}}}}}", scalar(name), namespace.unwrap_or_default())
            }
            Other::Group { id, account } => {
                let account = account.as_ref().map(|account| format!(", accountId: \"{account}\"")).unwrap_or_default();
                format!("{{securityGroupId: {id}{account}}}")
            }
        }
    }

    /// A rule of its own.
    fn rule(&self, group: &Group<'_>) -> String {
        let what = match self.traffic {
            Traffic::All => "protocol: all".to_owned(),
            Traffic::Tcp(ports) | Traffic::Udp(ports) => format!("protocol: {}, ports: [{}]", self.traffic.protocol(), port(ports)),
            Traffic::Icmp(types) | Traffic::Icmpv6(types) => format!("protocol: {}{}", self.traffic.protocol(), icmp(types)),
            Traffic::Other(number) => format!("protocol: \"{}\"", number.get()),
        };
        let (name, list) = (self.name(group), self.direction.preposition());
        format!("- {{name: {name}, {what}, {list}: [{}]}}", self.peer(group))
    }

    /// A name that no other rule of the list has.
    fn name(&self, group: &Group<'_>) -> String {
        let other = match self.other {
            Other::Range(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
            Other::Range(net) => net.to_string(),
            Other::Object(referent) => referent.name.clone(),
            Other::Group { id, account: _ } => id.to_string(),
        };
        let text = format!("{} {} {other}", self.traffic, self.direction.preposition());
        let mut name = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                name.push(c.to_ascii_lowercase());
            } else if !name.ends_with('-') {
                name.push('-');
            }
        }
        // Room for a number behind it.
        name.truncate(LONGEST_NAME.saturating_sub(4));
        let name = name.trim_matches('-').to_owned();
        let taken =
            |name: &str| group.declaration.rules.iter().any(|rule| rule.direction == self.direction && rule.name.as_str() == name);
        let numbered = (2..1000).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }
}

fn port(ports: PortRange) -> String {
    if ports.from() == ports.to() { ports.from().to_string() } else { format!("\"{ports}\"") }
}

fn icmp(types: IcmpTypes) -> String {
    match types {
        IcmpTypes::All => String::new(),
        IcmpTypes::Type(kind) => format!(", icmp: {{type: {kind}}}"),
        IcmpTypes::TypeCode(kind, code) => format!(", icmp: {{type: {kind}, code: {code}}}"),
    }
}

/// A text as YAML: quoted where it could be read as something else. The quotes of JSON are quotes of YAML.
fn scalar(text: &str) -> String {
    let begins = |c: char| c.is_ascii_alphabetic();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
    let word = text.starts_with(begins) && text.chars().all(plain);
    let ipv4 = text.parse::<ipnet::Ipv4Net>().is_ok();
    let means_something = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text);
    if (word || ipv4) && !means_something { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_as_something_else_is_quoted() {
        for (text, yaml) in [
            ("web", "web"),
            ("10.0.3.7/32", "10.0.3.7/32"),
            ("2001:db8::/32", "\"2001:db8::/32\""),
            ("no", "\"no\""),
            ("1e3", "\"1e3\""),
        ] {
            assert_eq!(scalar(text), yaml);
            assert_eq!(serde_yaml::from_str::<String>(yaml).unwrap(), text);
        }
    }
}
