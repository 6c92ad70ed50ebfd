//! `CreateTags`, `DeleteTags`, `DescribeTags` over every taggable resource.
//!
//! Entry point: [`World::create_tags`], [`World::describe_tags`].
//!
//! Invariant: all resources of a call are found and checked before the first is changed.

use super::World;
use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, RuleId};
use super::page::Pager;
use super::reply::{Reply, TagRow};
use super::state::Place;
use super::tags::{TagInput, Tags};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

const MAX_RESOURCES: usize = 1000;
const FILTERS: &[&str] = &["key", "resource-id", "resource-type", "value"];

impl World {
    pub(crate) fn create_tags(&mut self, place: &Place, resources: &[String], tags: &[TagInput]) -> Result<Reply, ApiError> {
        if tags.is_empty() {
            return Err(error::missing("Tag"));
        }
        let wanted = Tags::checked(tags)?;
        let mut merged = Vec::new();
        for id in checked_resources(resources)? {
            merged.push((id, self.tags_of(place, id)?.with(&wanted)?));
        }
        for (id, tags) in merged {
            self.change_tags(place, id, |held| *held = tags);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn delete_tags(&mut self, place: &Place, resources: &[String], tags: &[TagInput]) -> Result<Reply, ApiError> {
        for tag in tags {
            super::tags::check_key(tag.key.as_deref().unwrap_or_default())?;
        }
        let resources = checked_resources(resources)?;
        for id in &resources {
            self.tags_of(place, id)?;
        }
        for id in resources {
            self.change_tags(place, id, |held| held.remove(tags));
        }
        Ok(Reply::Done)
    }

    fn tags_of(&self, place: &Place, id: &str) -> Result<Tags, ApiError> {
        let region = self.region(place);
        let kind = id.split_once('-').map_or("", |(kind, _)| kind);
        if kind != "sgr" && !ids::well_formed(kind, id) {
            return Err(error::invalid_resource_id(id));
        }
        let (found, missing) = match kind {
            "sg" => {
                let group = region.groups.get(id).map(|group| &group.tags);
                (group, error::not_found("SecurityGroupID", "securityGroup ID", id))
            }
            "sgr" => {
                let wanted = RuleId::parse(id).map_err(|_| error::invalid_resource_id(id))?;
                let rule = wanted.and_then(|wanted| region.groups.values().find_map(|group| group.rule(wanted)));
                (rule.map(|rule| &rule.tags), error::no_rule(id))
            }
            "vpc" => (region.vpcs.get(id).map(|vpc| &vpc.tags), error::no_vpc(id)),
            "subnet" => (region.subnets.get(id).map(|subnet| &subnet.tags), error::no_subnet(id)),
            "eni" => (region.interfaces.get(id).map(|interface| &interface.tags), error::no_interface(id)),
            "pl" => {
                let own = region.lists.get(id).filter(|list| !list.aws_owned);
                (own.map(|list| &list.tags), error::no_prefix_list(id))
            }
            "pcx" => (self.peerings.get(id).map(|peering| &peering.tags), error::no_peering(id)),
            _ => return Err(error::invalid_resource_id(id)),
        };
        found.cloned().ok_or(missing)
    }

    /// Changes the tags of a resource that [`World::tags_of`] has found.
    pub(crate) fn change_tags(&mut self, place: &Place, id: &str, change: impl FnOnce(&mut Tags)) {
        if let Some(peering) = self.peerings.get_mut(id) {
            return change(&mut peering.tags);
        }
        let region = self.region_mut(place);
        if let Ok(Some(wanted)) = RuleId::parse(id) {
            let holder = region.groups.values_mut().find(|group| group.rule(wanted).is_some());
            let rule = holder.and_then(|group| Arc::make_mut(group).rules.iter_mut().find(|rule| rule.id == wanted));
            return rule.map(|rule| change(&mut rule.tags)).unwrap_or_default();
        }
        let tags = if let Some(group) = region.groups.get_mut(id) {
            Some(&mut Arc::make_mut(group).tags)
        } else if let Some(vpc) = region.vpcs.get_mut(id) {
            Some(&mut vpc.tags)
        } else if let Some(subnet) = region.subnets.get_mut(id) {
            Some(&mut subnet.tags)
        } else if let Some(interface) = region.interfaces.get_mut(id) {
            Some(&mut interface.tags)
        } else {
            region.lists.get_mut(id).map(|list| &mut list.tags)
        };
        if let Some(tags) = tags {
            change(tags);
        }
    }

    pub(crate) fn describe_tags(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { filters, paging, ids: _ } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::Key)?;
        let pager = Pager::new(paging, &(5..=1000), &format!("tags {place:?} {filters:?}"))?;
        let region = self.region(place);
        let mut rows: Vec<TagRow> = Vec::new();
        let mut add = |resource: String, resource_type: &'static str, tags: &Tags| {
            rows.extend(tags.iter().map(|(key, value)| {
                let (key, value) = (key.to_owned(), value.to_owned());
                TagRow { resource: resource.clone(), resource_type, key, value }
            }));
        };
        for (id, group) in &region.groups {
            add(id.to_string(), "security-group", &group.tags);
            for rule in group.rules.iter().filter(|rule| !rule.tags.is_empty()) {
                add(rule.id.to_string(), "security-group-rule", &rule.tags);
            }
        }
        region.vpcs.iter().for_each(|(id, vpc)| add(id.to_string(), "vpc", &vpc.tags));
        region.subnets.iter().for_each(|(id, subnet)| add(id.to_string(), "subnet", &subnet.tags));
        region.interfaces.iter().for_each(|(id, interface)| add(id.to_string(), "network-interface", &interface.tags));
        region.lists.iter().for_each(|(id, list)| add(id.to_string(), "prefix-list", &list.tags));
        let ours =
            |place: &Place, peering: &super::state::Peering| peering.requester.place == *place || peering.accepter.place == *place;
        let peerings = self.peerings.iter().filter(|(_, peering)| ours(place, peering));
        peerings.for_each(|(id, peering)| add(id.to_string(), "vpc-peering-connection", &peering.tags));
        rows.retain(|row| {
            let mut tag = Tags::default();
            tag.put(&row.key, &row.value);
            checked.admit(Some(&tag), |field| match field {
                "key" => vec![Cow::Borrowed(row.key.as_str())],
                "resource-id" => vec![Cow::Borrowed(row.resource.as_str())],
                "resource-type" => vec![Cow::Borrowed(row.resource_type)],
                _ => vec![Cow::Borrowed(row.value.as_str())],
            })
        });
        rows.sort_by_key(tag_row_key);
        Ok(Reply::Tags(pager.cut(rows.into_iter(), tag_row_key)))
    }
}

fn tag_row_key(row: &TagRow) -> String {
    format!("{} {}", row.resource, row.key)
}

fn checked_resources(resources: &[String]) -> Result<BTreeSet<&str>, ApiError> {
    if resources.is_empty() {
        return Err(error::missing("resourceIdSet"));
    }
    if resources.len() > MAX_RESOURCES {
        return Err(error::invalid(format!("A request may name at most {MAX_RESOURCES} resources.")));
    }
    Ok(resources.iter().map(String::as_str).collect())
}
