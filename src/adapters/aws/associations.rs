//! VPC associations of groups.

use aws_sdk_ec2::types::SecurityGroupVpcAssociation;

use super::convert::{Unreadable, parsed, required};
use crate::core::model::{DISASSOCIATED, SecurityGroupId, VpcId};

/// A row of `DescribeSecurityGroupVpcAssociations`: group, VPC and state. `None`: it is over. The state is EC2's word, also one that
/// came after this version: nothing is decided by it but that it is another than before.
pub(super) fn association(row: &SecurityGroupVpcAssociation) -> Result<Option<(SecurityGroupId, VpcId, String)>, Unreadable> {
    let group: SecurityGroupId = parsed(required(row.group_id(), &"an association", "group")?, &"an association")?;
    let what = format!("an association of {group}");
    let vpc = parsed(required(row.vpc_id(), &what, "VPC")?, &what)?;
    let state = required(row.state(), &what, "state")?.as_str();
    Ok((state != DISASSOCIATED).then(|| (group, vpc, state.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str) -> SecurityGroupVpcAssociation {
        let row =
            SecurityGroupVpcAssociation::builder().group_id("sg-0a1b2c3d").vpc_id("vpc-0a1b2c3d").vpc_owner_id("111122223333");
        row.state(state.into()).build()
    }

    #[test]
    fn a_state_is_told_in_ec2s_word_and_what_is_over_is_none() {
        for state in ["associating", "associated", "association-failed", "disassociating", "disassociation-failed", "lent"] {
            let (group, vpc, told) = association(&row(state)).unwrap().unwrap();
            assert_eq!((group.as_str(), vpc.as_str(), told.as_str()), ("sg-0a1b2c3d", "vpc-0a1b2c3d", state));
        }
        assert_eq!(association(&row("disassociated")), Ok(None));
        let without = SecurityGroupVpcAssociation::builder().group_id("sg-0a1b2c3d").build();
        assert_eq!(association(&without).unwrap_err().to_string(), "an association of sg-0a1b2c3d has no VPC");
    }
}
