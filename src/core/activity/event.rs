//! What an event says once it is read: who called what, when, with which outcome, and which atoms it changed.

use jiff::Timestamp;

use crate::core::model::{AccountId, Atom, Direction, Peer, PrefixListId, Region, RuleId, SecurityGroupId, Traffic, VpcId};

use super::identity::Actor;

/// The most changes that are kept of one event.
pub const MAX_CHANGES: usize = 10_000;
/// The most groups that are kept of one event: as many as EC2 takes resources in a tag call.
pub const MAX_GROUPS: usize = 1000;

/// The calls that are read, by AWS's names (ec2.md §6.2).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::Display,
    strum::EnumIter,
)]
pub enum EventName {
    /// A group is made.
    CreateSecurityGroup,
    /// A group goes, and its rules with it.
    DeleteSecurityGroup,
    /// Rules into the group are added.
    AuthorizeSecurityGroupIngress,
    /// Rules out of the group are added.
    AuthorizeSecurityGroupEgress,
    /// Rules into the group are removed.
    RevokeSecurityGroupIngress,
    /// Rules out of the group are removed.
    RevokeSecurityGroupEgress,
    /// Rules of either direction become others in place.
    ModifySecurityGroupRules,
    /// Descriptions of rules into the group change.
    UpdateSecurityGroupRuleDescriptionsIngress,
    /// Descriptions of rules out of the group change.
    UpdateSecurityGroupRuleDescriptionsEgress,
    /// Tags of anything are set.
    CreateTags,
    /// Tags of anything are removed.
    DeleteTags,
    /// A group becomes usable in another VPC.
    AssociateSecurityGroupVpc,
    /// A group is no longer usable in another VPC.
    DisassociateSecurityGroupVpc,
    /// A prefix list gets or loses entries, or another name.
    ModifyManagedPrefixList,
    /// A prefix list gets the entries of an earlier version.
    RestoreManagedPrefixListVersion,
    /// A prefix list goes.
    DeleteManagedPrefixList,
    /// An interface joins or leaves groups: which rules apply to it changes, the groups do not.
    ModifyNetworkInterfaceAttribute,
    /// As above, by way of the instance.
    ModifyInstanceAttribute,
}

impl EventName {
    /// The direction that the call says in its name.
    pub fn direction(self) -> Option<Direction> {
        match self {
            Self::AuthorizeSecurityGroupIngress
            | Self::RevokeSecurityGroupIngress
            | Self::UpdateSecurityGroupRuleDescriptionsIngress => Some(Direction::Ingress),
            Self::AuthorizeSecurityGroupEgress
            | Self::RevokeSecurityGroupEgress
            | Self::UpdateSecurityGroupRuleDescriptionsEgress => Some(Direction::Egress),
            Self::CreateSecurityGroup
            | Self::DeleteSecurityGroup
            | Self::ModifySecurityGroupRules
            | Self::CreateTags
            | Self::DeleteTags
            | Self::AssociateSecurityGroupVpc
            | Self::DisassociateSecurityGroupVpc
            | Self::ModifyManagedPrefixList
            | Self::RestoreManagedPrefixListVersion
            | Self::DeleteManagedPrefixList
            | Self::ModifyNetworkInterfaceAttribute
            | Self::ModifyInstanceAttribute => None,
        }
    }
}

/// Why a call changed nothing. Codes are without `CloudTrail`'s `Client.` and `Server.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// It was only asked whether it would be allowed, and it would be (`DryRunOperation`).
    DryRun,
    /// AWS did not let the caller; this is its code. A dry run that would not be allowed looks the same.
    Denied(String),
    /// It failed otherwise; AWS's code, or what stood in its place.
    Refused(String),
}

impl Failure {
    /// From AWS's code as `CloudTrail` shows it (ec2.md §4).
    pub(super) fn of_code(code: &str) -> Self {
        let code = code.strip_prefix("Client.").or_else(|| code.strip_prefix("Server.")).unwrap_or(code);
        match code {
            "DryRunOperation" => Self::DryRun,
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "UnauthorizedAccess" | "AuthFailure" => {
                Self::Denied(code.to_owned())
            }
            _ => Self::Refused(code.to_owned()),
        }
    }

    /// AWS's code.
    pub fn code(&self) -> &str {
        match self {
            Self::DryRun => "DryRunOperation",
            Self::Denied(code) | Self::Refused(code) => code,
        }
    }
}

/// What a rule becomes by a change in place. `CloudTrail` does not say its direction, which stays what it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Becomes {
    /// What it lets through.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: Peer,
    /// Its description, if one is said.
    pub description: Option<String>,
}

impl Becomes {
    /// As it is compared: see [`without_account`].
    pub(super) fn shape(&self) -> Shape {
        (self.traffic, without_account(&self.peer))
    }

    /// The whole atom, for those who know the rule's direction.
    pub fn in_direction(&self, direction: Direction) -> Atom {
        Atom { direction, traffic: self.traffic, peer: self.peer.clone() }
    }
}

/// A tag that was set or removed. Texts are cut to [`MAX_TEXT`](super::MAX_TEXT), which is more than AWS allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagEdit {
    /// Its key.
    pub key: String,
    /// Its value. When a tag is removed: only if it has this one, if any is said.
    pub value: Option<String>,
}

/// What a change did, or would have done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
pub enum What {
    /// A rule was added.
    Added,
    /// A rule was removed.
    Removed,
    /// A rule became another in place; its description may have changed too.
    Modified(Option<Becomes>),
    /// A rule got another description.
    Described,
    /// A tag was set; `None`: it cannot be told which.
    Tagged(Option<TagEdit>),
    /// A tag was removed; `None`: all of them, or it cannot be told which.
    Untagged(Option<TagEdit>),
    /// The group was made, with the rules AWS gives to new ones.
    GroupCreated,
    /// The group was deleted.
    GroupDeleted,
    /// The group became usable in another VPC.
    VpcAssociated(Option<VpcId>),
    /// The group is no longer usable in another VPC.
    VpcDisassociated(Option<VpcId>),
    /// A prefix list changed: its content, its size or its name.
    PrefixListChanged {
        /// Which; `None`: it cannot be told.
        list: Option<PrefixListId>,
        /// The version that its content has by this; `None`: its content stayed, or it cannot be told ([`Event::incomplete`]).
        version: Option<i64>,
    },
    /// A prefix list was deleted.
    PrefixListDeleted(Option<PrefixListId>),
}

impl What {
    /// Its name, for labels.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// One thing that an event changed, or that its call would have changed, had it not failed. A change of rules with neither rule
/// nor atom stands for any number of them that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The group; `None`: a prefix list or the tag of a rule, or the group cannot be told.
    pub group: Option<SecurityGroupId>,
    /// EC2's id of the rule, where the event says it.
    pub rule_id: Option<RuleId>,
    /// The rule in canonical form, with its direction: what was added, removed or described. The peer's account is missing where
    /// the dialect leaves it out (replies to revoke).
    pub atom: Option<Atom>,
    /// What was done.
    pub what: What,
    /// The description that the rule has by this, empty for none; `None`: it stays as it is, or is not said.
    pub description: Option<String>,
}

impl Change {
    /// A change of which no more is known.
    pub fn new(group: Option<SecurityGroupId>, what: What) -> Self {
        Self { group, rule_id: None, atom: None, what, description: None }
    }
}

/// A call that wrote, or tried to, as `CloudTrail` tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When the call was completed; whole seconds.
    pub time: Timestamp,
    /// `CloudTrail`'s id of the event; duplicates have the same.
    pub id: String,
    /// The id that copies for several accounts have in common.
    pub shared_id: Option<String>,
    /// The call.
    pub name: EventName,
    /// The account whose trail it is from: the one that was acted in.
    pub account: AccountId,
    /// The Region that was acted in.
    pub region: Region,
    /// EC2's id of the request.
    pub request_id: Option<String>,
    /// Why nothing was done; `None`: it was.
    pub failure: Option<Failure>,
    /// Who called.
    pub actor: Actor,
    /// The groups that were acted on, in order, each once, the first [`MAX_GROUPS`]. Groups that rules only refer to are not here.
    pub groups: Vec<SecurityGroupId>,
    /// The rules that are named by their ids, in order, each once, the first [`MAX_CHANGES`].
    pub rules: Vec<RuleId>,
    /// The prefix lists that were acted on.
    pub lists: Vec<PrefixListId>,
    /// The group's name, where the call gave it one or addressed it by it (default VPC only).
    pub group_name: Option<String>,
    /// Which group it was cannot be told: any of the account in this Region.
    pub account_wide: bool,
    /// What was changed, or attempted, the first [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// Not all that the call did is in `changes`: it was too much, missing, or in no form that can be read.
    pub incomplete: bool,
}

impl Event {
    /// Whether the call did something to a group or a prefix list: it did not fail, and it was not only an interface that
    /// changed. Worth a look at EC2.
    pub fn wrote(&self) -> bool {
        self.failure.is_none() && (!self.changes.is_empty() || self.account_wide)
    }

    /// The same event, known to be about this group, which it addresses by a name alone.
    #[must_use]
    pub fn in_group(mut self, group: &SecurityGroupId) -> Self {
        for change in &mut self.changes {
            change.group.get_or_insert_with(|| group.clone());
        }
        self.groups = vec![group.clone()];
        self.account_wide = false;
        self
    }

    /// The name by which it addresses a group of which it does not say the id. EC2 takes that for a group of the default VPC.
    pub fn addressed(&self) -> Option<&str> {
        let by_name = self.groups.is_empty() && self.account_wide && self.name != EventName::CreateSecurityGroup;
        self.group_name.as_deref().filter(|_| by_name)
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        const TEXT: usize = 48;
        let texts = [&self.shared_id, &self.request_id, &self.group_name];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let tags = self.changes.iter().map(|change| match &change.what {
            What::Tagged(Some(tag)) | What::Untagged(Some(tag)) => tag.key.len() + tag.value.as_ref().map_or(0, String::len),
            What::Added
            | What::Removed
            | What::Modified(_)
            | What::Described
            | What::Tagged(None)
            | What::Untagged(None)
            | What::GroupCreated
            | What::GroupDeleted
            | What::VpcAssociated(_)
            | What::VpcDisassociated(_)
            | What::PrefixListChanged { list: _, version: _ }
            | What::PrefixListDeleted(_) => 0,
        });
        let descriptions = self.changes.iter().filter_map(|change| change.description.as_ref()).map(String::len);
        size_of::<Self>()
            + self.id.len()
            + texts
            + self.actor.weight()
            + (self.groups.len() + self.rules.len() + self.lists.len()) * TEXT
            + self.changes.len() * (size_of::<Change>() + 2 * TEXT)
            + tags.chain(descriptions).sum::<usize>()
    }
}

/// A rule without its direction, as it is compared.
pub(super) type Shape = (Traffic, Peer);

/// The shape of a rule.
pub(super) fn shape(atom: &Atom) -> Shape {
    (atom.traffic, without_account(&atom.peer))
}

/// The same rule as far as EC2 tells rules apart: ids of groups are unique in all of AWS, so the account beside one adds nothing,
/// and not every dialect has it.
pub(super) fn without_account(peer: &Peer) -> Peer {
    match peer {
        Peer::Group { id, account: _ } => Peer::group(id.clone()),
        Peer::Ipv4(_) | Peer::Ipv6(_) | Peer::PrefixList(_) => peer.clone(),
    }
}
