//! Changing managed prefix lists: create, modify by version, restore, delete.
//!
//! Entry point: [`World::create_list`], [`World::modify_list`].
//!
//! Invariant: a change is complete when the call returns; its reply still says in-progress, as EC2's does.

use super::command::{CreateList, EntryInput, ModifyList};
use super::error::{self, ApiError};
use super::ids::{self, PrefixListId};
use super::page::fingerprint;
use super::reply::{ListView, Reply};
use super::rule::Direction;
use super::rules::weigh;
use super::state::{Family, Place, PrefixList};
use super::{World, cidr, tags, text};
use std::collections::BTreeMap;

/// Entries of one version: CIDR and description.
pub(crate) type Entries = BTreeMap<String, Option<String>>;

const MAX_ENTRIES_A_CALL: usize = 100;

fn entry_cidr(family: Family, entry: &EntryInput) -> Result<String, ApiError> {
    let text = entry.cidr.as_deref().ok_or_else(|| error::missing("Cidr"))?;
    Ok(match family {
        Family::V4 => cidr::v4(text)?.to_string(),
        Family::V6 => cidr::v6(text)?.to_string(),
    })
}

fn add_entries(entries: &mut Entries, family: Family, added: &[EntryInput]) -> Result<(), ApiError> {
    for entry in added {
        let cidr = entry_cidr(family, entry)?;
        if let Some(description) = &entry.description {
            text::bounded(description, "Description")?;
        }
        let description = entry.description.clone().filter(|text| !text.is_empty());
        if entries.insert(cidr.clone(), description).is_some() {
            return Err(error::invalid(format!("The prefix list contains the entry '{cidr}' already.")));
        }
    }
    Ok(())
}

fn list_name(name: &str) -> Result<(), ApiError> {
    text::bounded(name, "PrefixListName")?;
    if name.is_empty() || name.starts_with("com.amazonaws") {
        return Err(error::invalid("The prefix list name cannot be empty or start with com.amazonaws."));
    }
    Ok(())
}

impl World {
    fn list_size(&self, size: i64) -> Result<i64, ApiError> {
        let most = i64::try_from(self.quotas.entries_per_list).unwrap_or(i64::MAX);
        if (1..=most).contains(&size) {
            return Ok(size);
        }
        Err(error::invalid(format!("The maximum number of entries must be between 1 and {most}.")))
    }

    pub(crate) fn create_list(&mut self, place: &Place, request: &CreateList) -> Result<Reply, ApiError> {
        let asked = format!("{:016x}", fingerprint(format!("{request:?}").as_bytes()));
        if let Some(token) = request.token.as_deref().filter(|token| !token.is_empty()) {
            let prefix = format!("{token} ");
            let lists = &self.region(place).lists;
            let before = lists.iter().find(|(_, list)| list.token.as_deref().is_some_and(|held| held.starts_with(&prefix)));
            if let Some((id, list)) = before {
                let same = list.token.as_deref() == Some(&format!("{token} {asked}"));
                return if same { Ok(Reply::List(list_view(place, id, list))) } else { Err(error::idempotent_mismatch()) };
            }
        }
        list_name(&request.name)?;
        let family = match request.family.to_ascii_lowercase().as_str() {
            "ipv4" => Family::V4,
            "ipv6" => Family::V6,
            other => return Err(error::invalid(format!("Value ({other}) for parameter AddressFamily is invalid."))),
        };
        let weight = self.list_size(request.max_entries)?;
        if request.entries.len() > MAX_ENTRIES_A_CALL {
            return Err(error::invalid(format!("A request may name at most {MAX_ENTRIES_A_CALL} entries.")));
        }
        let tags = tags::from_specs(&request.tag_specs, "prefix-list")?;
        let mut entries = Entries::new();
        add_entries(&mut entries, family, &request.entries)?;
        if i64::try_from(entries.len()).unwrap_or(i64::MAX) > weight {
            return Err(error::list_full());
        }
        if self.region(place).lists.values().filter(|list| !list.aws_owned).count() >= self.quotas.prefix_lists {
            return Err(error::too_many_lists());
        }
        let list = PrefixList {
            name: request.name.clone(),
            family,
            weight,
            aws_owned: false,
            version: 1,
            versions: BTreeMap::from([(1, entries)]),
            state: "create-complete",
            token: request.token.as_ref().map(|token| format!("{token} {asked}")),
            tags,
        };
        let id = PrefixListId::from(self.mint.id("pl"));
        let reply = ListView { state: "create-in-progress", ..list_view(place, &id, &list) };
        self.region_mut(place).lists.insert(id, list);
        Ok(Reply::List(reply))
    }

    /// A list that this account may change.
    pub(crate) fn own_list(&self, place: &Place, id: &str) -> Result<(PrefixListId, PrefixList), ApiError> {
        ids::check("PrefixListId", "pl", id)?;
        let (id, list) = self.region(place).lists.get_key_value(id).ok_or_else(|| error::no_prefix_list(id))?;
        if list.aws_owned {
            return Err(error::unsupported(format!("The prefix list '{id}' is managed by AWS and cannot be changed.")));
        }
        Ok((id.clone(), list.clone()))
    }

    pub(crate) fn modify_list(&mut self, place: &Place, request: &ModifyList) -> Result<Reply, ApiError> {
        let (id, mut list) = self.own_list(place, &request.list)?;
        let ModifyList { list: _, current_version, name, add, remove, max_entries } = request;
        let changes_entries = !add.is_empty() || !remove.is_empty();
        if current_version.is_some_and(|version| version != list.version) {
            return Err(error::list_version_mismatch());
        }
        if changes_entries && max_entries.is_some() {
            return Err(error::combination(
                "You cannot modify the entries and the maximum entries for the prefix list in the same request.",
            ));
        }
        if add.len() > MAX_ENTRIES_A_CALL || remove.len() > MAX_ENTRIES_A_CALL {
            return Err(error::invalid(format!("A request may name at most {MAX_ENTRIES_A_CALL} entries.")));
        }
        if let Some(name) = name {
            list_name(name)?;
            list.name.clone_from(name);
        }
        if changes_entries {
            let mut entries = list.versions.get(&list.version).cloned().unwrap_or_default();
            for entry in remove {
                let cidr = entry_cidr(list.family, entry)?;
                if entries.remove(&cidr).is_none() {
                    return Err(error::invalid(format!("The prefix list does not contain the entry '{cidr}'.")));
                }
            }
            add_entries(&mut entries, list.family, add)?;
            if i64::try_from(entries.len()).unwrap_or(i64::MAX) > list.weight {
                return Err(error::list_full());
            }
            list.version += 1;
            list.versions.insert(list.version, entries);
        }
        if let Some(size) = max_entries {
            let size = self.list_size(*size)?;
            let held = list.versions.get(&list.version).map_or(0, BTreeMap::len);
            if i64::try_from(held).unwrap_or(i64::MAX) > size {
                return Err(error::list_full());
            }
            self.check_resize(place, &id, list.weight, size)?;
            list.weight = size;
        }
        list.state = "modify-complete";
        let reply = ListView { state: "modify-in-progress", ..list_view(place, &id, &list) };
        self.region_mut(place).lists.insert(id, list);
        Ok(Reply::List(reply))
    }

    /// A list cannot grow beyond what the groups that use it have room for.
    fn check_resize(&self, place: &Place, id: &PrefixListId, from: i64, to: i64) -> Result<(), ApiError> {
        let region = self.region(place);
        let limit = i64::try_from(self.quotas.rules_per_group).unwrap_or(i64::MAX);
        let family = region.lists.get(id).map(|list| list.family);
        for group in region.groups.values().filter(|group| group.uses_list(id)) {
            for direction in [Direction::Ingress, Direction::Egress] {
                let peers = group.rules.iter().filter(|rule| rule.direction == direction).map(|rule| &rule.key.peer);
                let uses = peers.clone().filter(|peer| matches!(peer, super::rule::Peer::List(list) if list == id)).count();
                let (v4, v6) = weigh(region, peers);
                let held = if family == Some(Family::V6) { v6 } else { v4 };
                if held + i64::try_from(uses).unwrap_or(i64::MAX).saturating_mul(to - from) > limit {
                    return Err(error::too_many_rules());
                }
            }
        }
        Ok(())
    }

    pub(crate) fn restore_list(&mut self, place: &Place, list: &str, previous: i64, current: i64) -> Result<Reply, ApiError> {
        let (id, mut list) = self.own_list(place, list)?;
        if current != list.version {
            return Err(error::list_version_mismatch());
        }
        let entries = list.versions.get(&previous).cloned().ok_or_else(|| error::no_list_version(previous))?;
        list.version += 1;
        list.versions.insert(list.version, entries);
        list.state = "restore-complete";
        let reply = ListView { state: "restore-in-progress", ..list_view(place, &id, &list) };
        self.region_mut(place).lists.insert(id, list);
        Ok(Reply::List(reply))
    }

    pub(crate) fn delete_list(&mut self, place: &Place, list: &str) -> Result<Reply, ApiError> {
        let (id, list) = self.own_list(place, list)?;
        if self.region(place).groups.values().any(|group| group.uses_list(&id)) {
            return Err(error::has_dependencies("prefix list", id));
        }
        self.region_mut(place).lists.remove(&id);
        Ok(Reply::List(ListView { state: "delete-in-progress", ..list_view(place, &id, &list) }))
    }
}

pub(crate) fn list_view(place: &Place, id: &PrefixListId, list: &PrefixList) -> ListView {
    let own = !list.aws_owned;
    let arn = if own {
        place.arn("prefix-list", id)
    } else {
        format!("arn:{}:ec2:{}:aws:prefix-list/{id}", super::state::partition(place.region.as_str()), place.region)
    };
    ListView {
        id: id.clone(),
        name: list.name.clone(),
        family: match list.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        },
        state: list.state,
        arn,
        max_entries: own.then_some(list.weight),
        version: own.then_some(list.version),
        owner: if own { place.account.to_string() } else { "AWS".into() },
        tags: super::view::tag_list(&list.tags),
    }
}
