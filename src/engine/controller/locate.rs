//! Finds the group of an object: by its recorded id, else by our tags, else by what it is to take over, else by its name.

use crate::core::desired::{Declaration, DeclaredAdoption};
use crate::core::model::{ListedGroup, SecurityGroupId, VpcId};
use crate::core::plan::{Owner, Ownership};
use crate::engine::region::Worker;
use crate::ports::cloud::CloudError;

/// Where the group of an object is.
#[derive(Debug)]
pub(super) enum Located {
    /// Here.
    Found(Box<ListedGroup>),
    /// Here, and not ours yet: the manifest asks to take it over.
    Adoptable(Box<ListedGroup>),
    /// The group to be taken over does not exist.
    NothingToAdopt(String),
    /// The recorded group did not show.
    RecordedAbsent(SecurityGroupId),
    /// There is none yet.
    Nowhere,
    /// More than one carries our tags.
    Ambiguous(Vec<SecurityGroupId>),
    /// Another group of the VPC has the name.
    NameTaken(SecurityGroupId),
}

/// What is looked for when no id is recorded.
pub(super) struct Wanted<'a> {
    pub(super) declaration: &'a Declaration,
    pub(super) vpc: &'a VpcId,
}

/// Finds the group where a first look will do: as the last sweep showed it, if that kept it, else as [`locate`]. After a start
/// one sweep so serves every object. What is to be written is read again in any case, and what has changed since the sweep the
/// next one sees.
pub(super) async fn locate_at_first(
    worker: &Worker,
    owner: &Owner,
    recorded: Option<&SecurityGroupId>,
    wanted: Option<Wanted<'_>>,
) -> Result<Located, CloudError> {
    match recorded.and_then(|id| worker.snapshot(id)) {
        Some((group, _)) => Ok(Located::Found(Box::new(group))),
        None => locate(worker, owner, recorded, wanted).await,
    }
}

/// Finds the group. A recorded id is all there is to look for: a second group under our tags would be somebody's forgery.
pub(super) async fn locate(
    worker: &Worker,
    owner: &Owner,
    recorded: Option<&SecurityGroupId>,
    wanted: Option<Wanted<'_>>,
) -> Result<Located, CloudError> {
    if let Some(id) = recorded {
        return Ok(match worker.listed(id).await? {
            Some(group) => Located::Found(Box::new(group)),
            None => Located::RecordedAbsent(id.clone()),
        });
    }
    // A crash between the create call and the status that records it leaves a group that only its tags connect to us.
    for tags in owner.search_tags() {
        let mut ours = worker.find_owned(&tags).await?;
        match (ours.pop(), ours.is_empty()) {
            (Some(group), true) => return Ok(Located::Found(Box::new(group))),
            (Some(group), false) => {
                ours.push(group);
                return Ok(Located::Ambiguous(ours.into_iter().map(|listed| listed.group.id).collect()));
            }
            (None, _) => {}
        }
    }
    let Some(Wanted { declaration, vpc }) = wanted else { return Ok(Located::Nowhere) };
    if let Some(DeclaredAdoption::Group(id)) = &declaration.adopt {
        return Ok(match worker.listed(id).await? {
            Some(group) => to_adopt(owner, group),
            None => Located::NothingToAdopt(format!("there is no group {id}")),
        });
    }
    match (worker.find_named(vpc, &declaration.group_name).await?.into_iter().next(), &declaration.adopt) {
        (Some(namesake), Some(_)) => Ok(to_adopt(owner, namesake)),
        (None, Some(_)) => Ok(Located::NothingToAdopt(format!("there is no group called '{}' in {vpc}", declaration.group_name))),
        // The search by tags may lag behind: the tags of what has our name are looked at too.
        (Some(namesake), None) if owner.judge(&namesake.group.tags) == Ownership::Ours => Ok(Located::Found(Box::new(namesake))),
        (Some(namesake), None) => Ok(Located::NameTaken(namesake.group.id)),
        (None, None) => Ok(Located::Nowhere),
    }
}

fn to_adopt(owner: &Owner, group: ListedGroup) -> Located {
    match owner.judge(&group.group.tags) {
        Ownership::Ours | Ownership::Reclaimed { former_uid: _ } => Located::Found(Box::new(group)),
        Ownership::Stripped | Ownership::Foreign { claimant: _ } => Located::Adoptable(Box::new(group)),
    }
}
