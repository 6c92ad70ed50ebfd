//! An account, understood: where groups may be, how sgwarden gets there, and what it may do.
//!
//! Entry points: [`Account`] (from `parse_account`, or [`Account::own`]), [`Account::admits`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::{Adoption, DEFAULT_ACCOUNT};
use crate::core::model::{AccountId, DEFAULT_RULES_PER_GROUP, Region, Tags, VpcId};

use super::{Approval, Mode, Selector, UndeclaredRules};

/// Time from one look at all groups to the next, where an account does not say.
pub const DEFAULT_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Time from seeing new rules to revoking those they replace, where an account does not say.
pub const DEFAULT_SETTLE: Duration = Duration::from_secs(5);

/// An AWS account and what may be done in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Name of the `AwsAccount`.
    pub name: String,
    /// Its id. `None`: whichever account the credentials are of; only STS knows.
    pub id: Option<AccountId>,
    /// The Regions to look after; at least one.
    pub regions: BTreeSet<Region>,
    /// The role to assume; without one, the credentials sgwarden runs with.
    pub role: Option<AccountRole>,
    /// Endpoint of EC2 and STS in place of AWS's.
    pub endpoint: Option<String>,
    /// Which namespaces may have groups in it.
    pub namespaces: NamespaceRule,
    /// The VPCs in which they may have groups; empty means any.
    pub vpcs: BTreeSet<VpcId>,
    /// Time from one look at all groups to the next.
    pub sweep_interval: Duration,
    /// Time from seeing new rules to revoking those they replace.
    pub settle: Duration,
    /// How much sgwarden may do.
    pub limits: Limits,
    /// What objects have that do not say otherwise.
    pub defaults: Defaults,
    /// The queues that its events arrive in.
    pub queues: BTreeSet<QueueAddress>,
    /// Whether `CloudTrail`'s `LookupEvents` may be asked.
    pub lookup_events: bool,
    /// Whether groups may be taken over that nobody tagged for it in AWS.
    pub adoption: Adoption,
    /// `Observe`: nothing is written in this account, whatever the objects say.
    pub mode: Mode,
}

/// An SQS queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueAddress {
    /// Its URL.
    pub url: String,
    /// Its Region, where the URL does not tell it.
    pub region: Option<Region>,
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRole {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
}

/// Which namespaces may have groups in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceRule {
    /// Every namespace.
    All,
    /// Those with these labels.
    Selector(Selector),
    /// Those of these names.
    Listed(BTreeSet<String>),
}

/// How much sgwarden may do in an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Share of AWS's documented API rates to use: above 0, at most 1.
    pub api_share: f64,
    /// The account's quota of rules in a group and direction.
    pub rules_per_group: u32,
    /// The most rules removed in a minute because a manifest changed.
    pub revocations_per_minute: u32,
    /// The longest a group may be suspended.
    pub max_suspend: Duration,
    /// A change of more than this within 10 minutes waits for approval.
    pub mass_change: MassLimit,
    /// What namespaces may choose for enforcement.
    pub ceiling: Ceiling,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            api_share: 0.5,
            rules_per_group: DEFAULT_RULES_PER_GROUP,
            revocations_per_minute: 100,
            max_suspend: Duration::from_secs(24 * 3600),
            mass_change: MassLimit::default(),
            ceiling: Ceiling::default(),
        }
    }
}

/// The size of a change that waits for approval: over both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassLimit {
    /// Percent of the account's rules.
    pub percent: u32,
    /// Rules.
    pub rules: u32,
}

impl Default for MassLimit {
    fn default() -> Self {
        Self { percent: 25, rules: 200 }
    }
}

/// What namespaces may choose for enforcement. It does not bind the account's own defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Modes; `None` is any.
    pub modes: Option<BTreeSet<Mode>>,
    /// What becomes of undeclared rules; `None` is any.
    pub undeclared: Option<BTreeSet<UndeclaredRules>>,
    /// Whether they may tolerate undeclared rules.
    pub tolerate: bool,
    /// Whether they may suspend.
    pub suspend: bool,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self { modes: None, undeclared: None, tolerate: true, suspend: true }
    }
}

/// What objects of an account have that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Tags of every group.
    pub tags: Tags,
    /// Enforce or observe.
    pub mode: Option<Mode>,
    /// What becomes of undeclared rules.
    pub undeclared: Option<UndeclaredRules>,
    /// Whether changes wait.
    pub approval: Option<Approval>,
}

impl Account {
    /// The account of sgwarden's own credentials, used when there is no `AwsAccount` object at all: any namespace, no limits
    /// but the usual ones.
    pub fn own(regions: BTreeSet<Region>) -> Self {
        Self {
            name: DEFAULT_ACCOUNT.to_owned(),
            id: None,
            regions,
            role: None,
            endpoint: None,
            namespaces: NamespaceRule::All,
            vpcs: BTreeSet::new(),
            sweep_interval: DEFAULT_SWEEP_INTERVAL,
            settle: DEFAULT_SETTLE,
            limits: Limits::default(),
            defaults: Defaults::default(),
            queues: BTreeSet::new(),
            lookup_events: false,
            adoption: Adoption::Consent,
            mode: Mode::Enforce,
        }
    }

    /// Whether a namespace with these labels may have groups in the account. A namespace whose labels are not known must not be
    /// asked about: a selector can ask for a label to be absent.
    pub fn admits(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        match &self.namespaces {
            NamespaceRule::All => true,
            NamespaceRule::Selector(selector) => selector.matches(labels),
            NamespaceRule::Listed(names) => names.contains(namespace),
        }
    }

    /// Whether groups may be in a VPC.
    pub fn admits_vpc(&self, vpc: &VpcId) -> bool {
        self.vpcs.is_empty() || self.vpcs.contains(vpc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desired::parse_account;

    fn account(allowed: &str) -> Account {
        let yaml = format!(
            "{{apiVersion: sgwarden.dev/v1alpha1, kind: AwsAccount, metadata: {{name: prod}},
              spec: {{accountId: \"111122223333\", regions: [eu-west-1], allowedNamespaces: {allowed}}}}}"
        );
        parse_account(&serde_yaml::from_str(&yaml).unwrap()).unwrap()
    }

    #[test]
    fn an_account_admits_the_namespaces_it_names() {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        assert!(account("{from: All}").admits("shop", &BTreeMap::new()));
        let selecting = account("{from: Selector, selector: {matchLabels: {team: shop}}}");
        assert!(selecting.admits("any", &labels) && !selecting.admits("shop", &BTreeMap::new()));
        let own = Account::own(BTreeSet::from(["eu-west-1".parse().unwrap()]));
        assert!(own.admits("shop", &BTreeMap::new()));
        let listed = Account { namespaces: NamespaceRule::Listed(BTreeSet::from(["shop".to_owned()])), ..own };
        assert!(listed.admits("shop", &BTreeMap::new()) && !listed.admits("bank", &labels));
    }

    #[test]
    fn an_account_without_a_list_of_vpcs_admits_any() {
        let (named, other) = ("vpc-0a1b2c3d".parse().unwrap(), "vpc-0a1b2c3e".parse().unwrap());
        assert!(account("{from: All}").admits_vpc(&named));
        let listing = account("{from: All, vpcs: [vpc-0a1b2c3d]}");
        assert!(listing.admits_vpc(&named) && !listing.admits_vpc(&other));
    }
}
