//! Reading managed prefix lists: lists, entries of a version, and the groups that use one.
//!
//! Entry point: [`World::describe_lists`], [`World::list_entries`], [`World::list_users`].

use super::World;
use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids;
use super::lists::list_view;
use super::page::{Pager, Paging};
use super::reply::Reply;
use super::state::Place;
use std::borrow::Cow;

const FILTERS: &[&str] = &["owner-id", "prefix-list-id", "prefix-list-name"];

impl World {
    pub(crate) fn describe_lists(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::None)?;
        let pager = Pager::new(paging, &(1..=100), &format!("lists {place:?} {ids:?} {filters:?}"))?;
        let lists = &self.region(place).lists;
        for id in ids {
            ids::check("PrefixListId", "pl", id)?;
            lists.get(id.as_str()).ok_or_else(|| error::no_prefix_list(id))?;
        }
        let rows = lists.iter().filter(|(id, _)| ids.is_empty() || ids.iter().any(|wanted| wanted == id.as_str()));
        let rows = rows.map(|(id, list)| (list, list_view(place, id, list)));
        let rows = rows.filter(|(list, view)| {
            checked.admit(Some(&list.tags), |field| match field {
                "owner-id" => vec![Cow::Borrowed(view.owner.as_str())],
                "prefix-list-id" => vec![Cow::Borrowed(view.id.as_str())],
                _ => vec![Cow::Borrowed(view.name.as_str())],
            })
        });
        Ok(Reply::Lists(pager.cut(rows.map(|(_, view)| view), |view| view.id.to_string())))
    }

    pub(crate) fn list_entries(&self, place: &Place, list: &str, version: Option<i64>, paging: &Paging) -> Result<Reply, ApiError> {
        ids::check("PrefixListId", "pl", list)?;
        let pager = Pager::new(paging, &(1..=100), &format!("entries {place:?} {list} {version:?}"))?;
        let held = self.region(place).lists.get(list).ok_or_else(|| error::no_prefix_list(list))?;
        let version = version.unwrap_or(held.version);
        let entries = held.versions.get(&version).ok_or_else(|| error::no_list_version(version))?;
        let rows = entries.iter().map(|(cidr, description)| (cidr.clone(), description.clone()));
        Ok(Reply::Entries(pager.cut(rows, |(cidr, _)| cidr.clone())))
    }

    pub(crate) fn list_users(&self, place: &Place, list: &str, paging: &Paging) -> Result<Reply, ApiError> {
        let (id, _) = self.own_list(place, list)?;
        let pager = Pager::new(paging, &(5..=255), &format!("list users {place:?} {list}"))?;
        let groups = self.region(place).groups.values().filter(|group| group.uses_list(&id));
        let rows = groups.map(|group| (group.id.to_string(), place.account.to_string()));
        Ok(Reply::ListUsers(pager.cut(rows, |(id, _)| id.clone())))
    }
}
