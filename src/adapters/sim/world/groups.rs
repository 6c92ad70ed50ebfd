//! Creating and deleting groups, and finding the one a request means.
//!
//! Entry point: [`World::create_group`], [`World::delete_group`], [`World::resolve_group`].

use super::command::GroupRef;
use super::error::{self, ApiError};
use super::ids::{self, GroupId, VpcId};
use super::reply::Reply;
use super::rule::{Direction, Peer, Rule, RuleKey};
use super::state::{Group, Place};
use super::tags::{self, TagSpec, Tags};
use super::{World, text, view};
use ipnet::{Ipv4Net, Ipv6Net};
use std::sync::Arc;

impl World {
    pub(crate) fn create_group(
        &mut self,
        place: &Place,
        name: Option<&str>,
        description: Option<&str>,
        vpc: Option<&str>,
        tag_specs: &[TagSpec],
    ) -> Result<Reply, ApiError> {
        let name = text::group_name(name.filter(|name| !name.is_empty()).ok_or_else(|| error::missing("GroupName"))?)?;
        let description = description.ok_or_else(|| error::missing("GroupDescription"))?;
        text::group_description(description)?;
        let tags = tags::from_specs(tag_specs, "security-group")?;
        let region = self.region(place);
        let vpc = match vpc {
            Some(id) => {
                ids::check_vpc(id)?;
                region.vpcs.get_key_value(id).map(|(id, _)| id.clone()).ok_or_else(|| error::no_vpc(id))?
            }
            None => region.default_vpc().map(|(id, _)| id.clone()).ok_or_else(error::no_default_vpc)?,
        };
        if region.named(&vpc, name).is_some() {
            return Err(error::group_exists(name, vpc));
        }
        if region.groups.len() >= self.quotas.groups_per_region {
            return Err(error::too_many_groups());
        }
        let id = self.insert_group(place, &vpc, name, description, tags);
        let tags = self.region(place).groups.get(&id).map(|group| view::tag_list(&group.tags)).unwrap_or_default();
        Ok(Reply::GroupCreated { arn: place.arn("security-group", &id), id, tags })
    }

    /// Adds a group with the rules it is born with: egress to everywhere, with an IPv6 twin in VPCs that have IPv6; and for
    /// the default group ingress from itself.
    pub(crate) fn insert_group(&mut self, place: &Place, vpc: &VpcId, name: &str, description: &str, tags: Tags) -> GroupId {
        let id = GroupId::from(self.mint.id("sg"));
        let has_ipv6 = self.region(place).vpcs.get(vpc).is_some_and(|vpc| !vpc.ipv6.is_empty());
        let mut born = vec![(Direction::Egress, Peer::V4(Ipv4Net::default()))];
        if has_ipv6 {
            born.push((Direction::Egress, Peer::V6(Ipv6Net::default())));
        }
        if name == "default" {
            born.push((Direction::Ingress, Peer::Group(id.clone())));
        }
        let rules = born.into_iter().map(|(direction, peer)| Rule {
            id: self.mint.rule(),
            direction,
            key: RuleKey::all(peer),
            description: None,
            link: None,
            tags: Tags::default(),
        });
        let (name, description) = (name.to_owned(), description.to_owned());
        let group = Group { id: id.clone(), name, description, vpc: vpc.clone(), rules: rules.collect(), tags };
        self.region_mut(place).groups.insert(id.clone(), Arc::new(group));
        id
    }

    pub(crate) fn delete_group(&mut self, place: &Place, group: &GroupRef) -> Result<Reply, ApiError> {
        let group = self.resolve_group(place, group)?;
        if group.is_default() {
            return Err(error::cannot_delete(&group.id, &group.name));
        }
        let region = self.region(place);
        let referred_to = region.groups.values().any(|other| {
            let counts = other.id != group.id || self.quotas.self_reference_blocks_delete;
            counts && other.vpc == group.vpc && other.references(&group.id)
        });
        let in_use = region.interfaces.values().any(|interface| interface.groups.contains(&group.id));
        let lent = region.associations.iter().any(|((id, _), association)| *id == group.id && association.state != "disassociated");
        if referred_to || in_use || lent {
            return Err(error::depended_on(&group.id));
        }
        let region = self.region_mut(place);
        region.groups.remove(&group.id);
        region.associations.retain(|(id, _), _| *id != group.id);
        Ok(Reply::GroupDeleted { id: group.id.clone() })
    }

    /// The group a request means: by id, or by name in the default VPC.
    pub(crate) fn resolve_group(&self, place: &Place, group: &GroupRef) -> Result<Arc<Group>, ApiError> {
        match (group.id.as_deref(), group.name.as_deref()) {
            (Some(_), Some(_)) => Err(error::combination("The parameter groupName cannot be used with the parameter groupId")),
            (Some(id), None) => self.own_group(place, id),
            (None, Some(name)) => self.default_vpc_group(place, name),
            (None, None) => Err(error::missing("groupName or groupId")),
        }
    }
}
