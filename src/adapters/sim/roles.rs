//! Roles that can be assumed, and by whom.
//!
//! Entry point: [`Roles::refuses`], [`RoleSeed`].

use super::identity::Principal;
use super::world::error::ApiError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSeed {
    /// Its ARN.
    pub arn: String,
    /// What a caller must bring; without one, any or none will do.
    pub external_id: Option<String>,
    /// Who may assume it: account ids, for anybody there, and ARNs of users, roles and sessions; empty for everybody.
    pub trusts: Vec<String>,
}

impl RoleSeed {
    /// A role that trusts everybody.
    pub fn new(arn: &str) -> Self {
        Self { arn: arn.into(), ..Self::default() }
    }
}

/// The account and the name, without its path, in a role's ARN.
pub(crate) fn read_arn(arn: &str) -> Result<(&str, &str), ApiError> {
    let invalid = || ApiError::new("ValidationError", 400, format!("{arn} is invalid"));
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "iam", "", account, resource] = parts.as_slice() else { return Err(invalid()) };
    let name = resource.strip_prefix("role/").and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
    let name = name.filter(|_| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).ok_or_else(invalid)?;
    Ok((account, name))
}

/// The roles there are. While none is named, every role is there and trusts everybody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roles(BTreeMap<String, RoleSeed>);

impl Roles {
    pub(crate) fn add(&mut self, role: RoleSeed) -> Result<(), ApiError> {
        read_arn(&role.arn)?;
        self.0.insert(role.arn.clone(), role);
        Ok(())
    }

    pub(crate) fn list(&self) -> Vec<RoleSeed> {
        self.0.values().cloned().collect()
    }

    /// Whether a caller is not to become this role. AWS does not say which of the reasons it is: no such role, a stranger, or
    /// another external id.
    pub(crate) fn refuses(&self, arn: &str, caller: &Principal, external_id: Option<&str>, partition: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(RoleSeed { arn: _, external_id: wanted, trusts }) = self.0.get(arn) else { return true };
        let trusted = trusts.is_empty() || trusts.iter().any(|who| caller.is_meant_by(who, partition));
        let brought = wanted.as_deref().is_none_or(|wanted| external_id == Some(wanted));
        !(trusted && brought)
    }
}
