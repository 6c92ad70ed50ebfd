//! Reading groups and rules: ids, filters, pages.
//!
//! Entry point: [`World::describe_groups`], [`World::describe_rules`].

use super::World;
use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, GroupId, RuleId};
use super::page::Pager;
use super::reply::Reply;
use super::rule::{Direction, Peer, Rule};
use super::state::{Group, Place};
use std::borrow::Cow;
use std::collections::BTreeSet;

const GROUP_FILTERS: &[&str] = &[
    "description",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.group-name",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "egress.ip-permission.user-id",
    "group-id",
    "group-name",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.group-name",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "ip-permission.user-id",
    "owner-id",
    "vpc-id",
];
const RULE_FILTERS: &[&str] = &["group-id", "security-group-rule-id"];

impl World {
    pub(crate) fn describe_groups(&self, place: &Place, names: &[String], describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, GROUP_FILTERS, TagFilters::All)?;
        let scope = format!("groups {place:?} {ids:?} {names:?} {filters:?}");
        let pager = Pager::new(paging, &(5..=1000), &scope)?;
        let region = self.region(place);
        let mut wanted = BTreeSet::new();
        for id in ids {
            ids::check_group(id)?;
            wanted.insert(region.groups.get(id.as_str()).ok_or_else(|| error::no_group(id))?.id.clone());
        }
        for name in names {
            wanted.insert(self.default_vpc_group(place, name)?.id.clone());
        }
        let all = ids.is_empty() && names.is_empty();
        let from = GroupId::from(pager.after().unwrap_or_default());
        let groups = region.groups.range(from..).map(|(_, group)| group);
        let groups = groups.filter(|group| all || wanted.contains(&group.id));
        let groups = groups.filter(|group| checked.admit(Some(&group.tags), |field| self.group_field(place, group, field)));
        let (page, token) = pager.cut(groups, |group| group.id.to_string());
        Ok(Reply::Groups((page.into_iter().map(|group| self.group_view(place, group)).collect(), token)))
    }

    /// A group's values of one filter. Rule filters see the values of all its rules, not of one rule.
    fn group_field<'g>(&'g self, place: &'g Place, group: &'g Group, field: &str) -> Vec<Cow<'g, str>> {
        let (direction, field) = match field.strip_prefix("egress.") {
            Some(field) => (Direction::Egress, field),
            None => (Direction::Ingress, field),
        };
        let Some(field) = field.strip_prefix("ip-permission.") else {
            return match field {
                "description" => vec![Cow::Borrowed(&group.description)],
                "group-id" => vec![Cow::Borrowed(group.id.as_str())],
                "group-name" => vec![Cow::Borrowed(&group.name)],
                "owner-id" => vec![Cow::Borrowed(place.account.as_str())],
                "vpc-id" => vec![Cow::Borrowed(group.vpc.as_str())],
                _ => Vec::new(),
            };
        };
        let rules = group.rules.iter().filter(|rule| rule.direction == direction);
        rules.flat_map(|rule| self.rule_field(place, rule, field)).collect()
    }

    fn rule_field<'g>(&'g self, place: &Place, rule: &'g Rule, field: &str) -> Vec<Cow<'g, str>> {
        let ports = rule.key.protocol.has_ports();
        let peer = match &rule.key.peer {
            Peer::Group(id) => self.find_group(place, id.as_str()),
            Peer::V4(_) | Peer::V6(_) | Peer::List(_) => None,
        };
        match (field, &rule.key.peer) {
            ("cidr", Peer::V4(net)) => vec![Cow::Owned(net.to_string())],
            ("ipv6-cidr", Peer::V6(net)) => vec![Cow::Owned(net.to_string())],
            ("prefix-list-id", Peer::List(id)) => vec![Cow::Borrowed(id.as_str())],
            ("group-id", Peer::Group(id)) => vec![Cow::Borrowed(id.as_str())],
            ("group-name", _) => peer.map(|(_, group)| Cow::Borrowed(group.name.as_str())).into_iter().collect(),
            ("user-id", _) => peer.map(|(owner, _)| Cow::Borrowed(owner.as_str())).into_iter().collect(),
            ("protocol", _) => vec![Cow::Owned(rule.key.protocol.name()), Cow::Owned(rule.key.protocol.0.to_string())],
            ("from-port", _) if ports => vec![Cow::Owned(rule.key.from.to_string())],
            ("to-port", _) if ports => vec![Cow::Owned(rule.key.to.to_string())],
            _ => Vec::new(),
        }
    }

    pub(crate) fn describe_rules(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, RULE_FILTERS, TagFilters::Key)?;
        let scope = format!("rules {place:?} {ids:?} {filters:?}");
        let pager = Pager::new(paging, &(5..=1000), &scope)?;
        let mut wanted: BTreeSet<RuleId> = BTreeSet::new();
        for id in ids {
            wanted.insert(RuleId::parse(id)?.ok_or_else(|| error::no_rule(id))?);
        }
        let groups = &self.region(place).groups;
        if let Some(missing) = wanted.iter().find(|id| !groups.values().any(|group| group.rule(**id).is_some())) {
            return Err(error::no_rule(missing));
        }
        // Pages go on in the group where the last one ended, so that a page costs what it shows and not what there is.
        let from = GroupId::from(pager.after().and_then(|after| after.split(' ').next()).unwrap_or_default());
        let groups = groups.range(from..).map(|(_, group)| group);
        let rows = groups.flat_map(|group| {
            let mut rules: Vec<&Rule> = group.rules.iter().filter(|rule| ids.is_empty() || wanted.contains(&rule.id)).collect();
            rules.sort_by_key(|rule| rule.id);
            rules.into_iter().map(move |rule| (group, rule))
        });
        let rows = rows.filter(|(group, rule)| {
            checked.admit(Some(&rule.tags), |field| match field {
                "group-id" => vec![Cow::Borrowed(group.id.as_str())],
                _ => vec![Cow::Owned(rule.id.to_string())],
            })
        });
        let (page, token) = pager.cut(rows, |(group, rule)| format!("{} {}", group.id, rule.id));
        Ok(Reply::Rules((page.into_iter().map(|(group, rule)| self.rule_view(place, group, rule)).collect(), token)))
    }
}
