//! Finds the group of an object: by its recorded id, else by our tags, else by its name.

use crate::core::desired::Declaration;
use crate::core::model::{GroupFacts, Observed, SecurityGroupId};
use crate::core::plan::{Owner, Ownership};
use crate::ports::cloud::{CloudError, Ec2, GroupQuery};

/// Where the group of an object is.
#[derive(Debug)]
pub(super) enum Located {
    /// Here, with its rules.
    Found(Box<Observed>),
    /// The recorded group did not show.
    RecordedAbsent(SecurityGroupId),
    /// There is none yet.
    Nowhere,
    /// More than one carries our tags.
    Ambiguous(Vec<SecurityGroupId>),
    /// Another group of the VPC has the name.
    NameTaken(SecurityGroupId),
}

/// Finds the group. A recorded id is all there is to look for: a second group under our tags would be somebody's forgery.
pub(super) async fn locate(
    ec2: &Ec2,
    owner: &Owner,
    recorded: Option<&SecurityGroupId>,
    declaration: Option<&Declaration>,
) -> Result<Located, CloudError> {
    if let Some(id) = recorded {
        let groups = ec2.read.groups(&GroupQuery::Ids(vec![id.clone()])).await?;
        return match groups.into_iter().find(|group| group.id == *id) {
            Some(group) => with_rules(ec2, group).await,
            None => Ok(Located::RecordedAbsent(id.clone())),
        };
    }
    // A crash between the create call and the status that records it leaves a group that only its tags connect to us.
    let mut ours = ec2.read.groups(&GroupQuery::Tagged(owner.search_tags())).await?;
    match (ours.pop(), ours.is_empty()) {
        (Some(group), true) => return with_rules(ec2, group).await,
        (Some(group), false) => {
            ours.push(group);
            return Ok(Located::Ambiguous(ours.into_iter().map(|group| group.id).collect()));
        }
        (None, _) => {}
    }
    let Some(declaration) = declaration else { return Ok(Located::Nowhere) };
    let by_name = GroupQuery::Name { vpc: declaration.vpc.clone(), name: declaration.group_name.clone() };
    match ec2.read.groups(&by_name).await?.into_iter().next() {
        // The search by tags may lag behind: the tags of what has our name are looked at too.
        Some(namesake) if owner.judge(&namesake.tags) == Ownership::Ours => with_rules(ec2, namesake).await,
        Some(namesake) => Ok(Located::NameTaken(namesake.id)),
        None => Ok(Located::Nowhere),
    }
}

async fn with_rules(ec2: &Ec2, group: GroupFacts) -> Result<Located, CloudError> {
    let rules = ec2.read.rules(&group.id).await?;
    Ok(Located::Found(Box::new(Observed::new(group, rules))))
}
