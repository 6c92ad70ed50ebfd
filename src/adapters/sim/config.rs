//! How a stand-in is set up before the first call.
//!
//! Entry point: [`Config`].

use super::roles::RoleSeed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The account of callers whose access key names none.
pub const DEFAULT_ACCOUNT: &str = "111122223333";
/// The Region that seeds use unless they say otherwise.
pub const DEFAULT_REGION: &str = "eu-west-1";

/// Setup of a [`Sim`](super::Sim).
#[derive(Debug, Clone)]
pub struct Config {
    /// What ids and jitter are made from: the same seed and the same calls give the same answers.
    pub seed: u64,
    /// Limits that AWS raises by support case.
    pub quotas: Quotas,
    /// VPCs of known ids, there from the start besides each account's default VPC.
    pub vpcs: Vec<VpcSeed>,
    /// The account of access keys that name none.
    pub default_account: String,
    /// The roles there are; if none is named, every role is there and trusts everybody.
    pub roles: Vec<RoleSeed>,
    /// The most bytes of calls, and of events, that are kept; the oldest go first.
    pub record_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            quotas: Quotas::default(),
            vpcs: Vec::new(),
            default_account: DEFAULT_ACCOUNT.into(),
            roles: Vec::new(),
            record_bytes: 32 << 20,
        }
    }
}

/// EC2's quotas, with its defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// Rules a group, for each direction and address family.
    pub rules_per_group: usize,
    /// Groups an account and Region.
    pub groups_per_region: usize,
    /// Groups an interface.
    pub groups_per_interface: usize,
    /// Customer prefix lists an account and Region.
    pub prefix_lists: usize,
    /// The most entries a prefix list may be made for.
    pub entries_per_list: usize,
    /// Whether a group that refers to itself can be deleted: AWS's guide says that it cannot, its API reference speaks of
    /// other groups only.
    pub self_reference_blocks_delete: bool,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            rules_per_group: 60,
            groups_per_region: 2500,
            groups_per_interface: 5,
            prefix_lists: 100,
            entries_per_list: 1000,
            self_reference_blocks_delete: true,
        }
    }
}

/// A VPC of a known id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VpcSeed {
    /// `vpc-` and 8 or 17 hex digits.
    pub id: String,
    /// Owner.
    pub account: String,
    /// Where it lies.
    pub region: String,
    /// IPv4 block.
    pub cidr: String,
    /// IPv6 block, if it has one; its groups are then born with the IPv6 twin of allow-all egress.
    pub ipv6: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Default for VpcSeed {
    fn default() -> Self {
        Self::new("")
    }
}

impl VpcSeed {
    /// A VPC with IPv4 only, in the default account and Region.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            account: DEFAULT_ACCOUNT.into(),
            region: DEFAULT_REGION.into(),
            cidr: "10.0.0.0/16".into(),
            ipv6: None,
            tags: BTreeMap::new(),
        }
    }

    /// The same VPC with an IPv6 block.
    #[must_use]
    pub fn with_ipv6(mut self, cidr: &str) -> Self {
        self.ipv6 = Some(cidr.into());
        self
    }
}
