//! Groups lent to other VPCs of the Region, and the groups that a VPC can use.
//!
//! Entry point: [`World::associate_group`], [`World::groups_for_vpc`].
//!
//! Invariant: replies say `associating` and `disassociating`, as the call is asynchronous; the next read shows the end state.

use super::World;
use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, VpcId};
use super::page::Pager;
use super::reply::{AssociationView, Reply};
use super::state::{Association, Place};
use std::borrow::Cow;

const FILTERS: &[&str] = &["group-id", "group-owner-id", "state", "vpc-id", "vpc-owner-id"];
const GROUP_FILTERS: &[&str] = &["description", "group-id", "group-name", "owner-id", "primary-vpc-id"];

impl World {
    fn own_vpc(&self, place: &Place, vpc: &str) -> Result<VpcId, ApiError> {
        ids::check_vpc(vpc)?;
        self.region(place).vpcs.get_key_value(vpc).map(|(id, _)| id.clone()).ok_or_else(|| error::no_vpc(vpc))
    }

    pub(crate) fn associate_group(&mut self, place: &Place, group: &str, vpc: &str) -> Result<Reply, ApiError> {
        let group = self.own_group(place, group)?;
        let vpc = self.own_vpc(place, vpc)?;
        let region = self.region(place);
        let in_default = |id: &VpcId| region.vpcs.get(id).is_some_and(|vpc| vpc.is_default);
        if group.is_default() {
            return Err(error::invalid(format!("The default security group '{}' cannot be associated with a VPC.", group.id)));
        }
        if in_default(&vpc) || in_default(&group.vpc) {
            return Err(error::invalid("Security groups cannot be associated with or from the default VPC."));
        }
        if group.vpc == vpc || region.associated(&group.id, &vpc) {
            return Err(error::association_exists(&group.id, &vpc));
        }
        let association = Association { vpc_owner: place.account.clone(), state: "associated" };
        self.region_mut(place).associations.insert((group.id.clone(), vpc), association);
        Ok(Reply::AssociationState("associating"))
    }

    pub(crate) fn disassociate_group(&mut self, place: &Place, group: &str, vpc: &str) -> Result<Reply, ApiError> {
        let group = self.own_group(place, group)?;
        let vpc = self.own_vpc(place, vpc)?;
        let region = self.region(place);
        if !region.associated(&group.id, &vpc) {
            return Err(error::no_association(&group.id, &vpc));
        }
        if region.interfaces.values().any(|interface| interface.vpc == vpc && interface.groups.contains(&group.id)) {
            return Err(error::depended_on(&group.id));
        }
        self.region_mut(place).associations.remove(&(group.id.clone(), vpc));
        Ok(Reply::AssociationState("disassociating"))
    }

    pub(crate) fn describe_associations(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { filters, paging, ids: _ } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::None)?;
        let pager = Pager::new(paging, &(5..=1000), &format!("associations {place:?} {filters:?}"))?;
        let rows = self.region(place).associations.iter().map(|((group, vpc), association)| AssociationView {
            group: group.clone(),
            group_owner: place.account.clone(),
            vpc: vpc.clone(),
            vpc_owner: association.vpc_owner.clone(),
            state: association.state,
        });
        let rows = rows.filter(|row| {
            checked.admit(None, |field| {
                // Owned, because the closure may not lend from the row it filters.
                vec![Cow::Owned(match field {
                    "group-id" => row.group.to_string(),
                    "group-owner-id" => row.group_owner.to_string(),
                    "state" => row.state.to_owned(),
                    "vpc-id" => row.vpc.to_string(),
                    _ => row.vpc_owner.to_string(),
                })]
            })
        });
        Ok(Reply::Associations(pager.cut(rows, |row| format!("{} {}", row.group, row.vpc))))
    }

    pub(crate) fn groups_for_vpc(&self, place: &Place, vpc: &str, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { filters, paging, ids: _ } = describe;
        let vpc = self.own_vpc(place, vpc)?;
        let checked = Filters::checked(filters, GROUP_FILTERS, TagFilters::None)?;
        let pager = Pager::new(paging, &(5..=1000), &format!("groups for {vpc} {place:?} {filters:?}"))?;
        let region = self.region(place);
        let usable = region.groups.values().filter(|group| group.vpc == vpc || region.associated(&group.id, &vpc));
        let rows = usable.filter(|group| {
            checked.admit(Some(&group.tags), |field| {
                vec![Cow::Borrowed(match field {
                    "description" => group.description.as_str(),
                    "group-id" => group.id.as_str(),
                    "group-name" => group.name.as_str(),
                    "owner-id" => place.account.as_str(),
                    _ => group.vpc.as_str(),
                })]
            })
        });
        let (page, token) = pager.cut(rows, |group| group.id.to_string());
        Ok(Reply::GroupsForVpc((page.into_iter().map(|group| self.group_view(place, group)).collect(), token)))
    }
}
