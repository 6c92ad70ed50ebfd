//! The closed list of reasons. Conditions, Events, metrics and logs all take theirs from here.

/// Why something is as it is, or why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::Display, strum::EnumIter)]
pub enum Reason {
    /// The group is as declared.
    Succeeded,
    /// Work is under way and goes on by itself.
    Progressing,
    /// Nothing has been looked at yet.
    NotLookedAt,
    /// The manifest cannot be used.
    InvalidSpec,
    /// A referenced object is missing or has no group yet.
    ReferencesNotReady,
    /// A referenced object is there, and not open to this namespace.
    ReferenceNotGranted,
    /// A name in AWS stands for another id than the one it was pinned to.
    NameMoved,
    /// The account's `AwsAccount` is missing.
    AccountNotFound,
    /// The account's `AwsAccount` cannot be used now.
    AccountNotReady,
    /// The account does not allow groups of this namespace.
    NamespaceNotAllowed,
    /// The account does not allow groups in this VPC.
    VpcNotAllowed,
    /// The account allows less than the spec asks for.
    PolicyLimited,
    /// What was fixed when the group was created differs from what is asked for now.
    PinnedElsewhere,
    /// The group that is to be taken over may not be.
    AdoptionRefused,
    /// The group that is to be taken over lacks the tag of consent.
    AwaitingConsent,
    /// The group that was taken over is gone.
    GroupGone,
    /// Changes wait until somebody approves them.
    AwaitingApproval,
    /// So much changes at once that somebody has to approve it.
    MassChange,
    /// Removals wait: the account's limit for a minute is used up.
    RevocationLimit,
    /// Reverts are suspended.
    Suspended,
    /// The suspend ends within minutes.
    SuspendEndsSoon,
    /// The suspend is over.
    Resumed,
    /// The same edit is made again and again.
    RevertWar,
    /// The clock of this host is wrong.
    ClockSkewed,
    /// A Region's groups were not looked at for long.
    SweepOverdue,
    /// A part of what changes rarely could not be looked at.
    SweepIncomplete,
    /// EC2 cannot be reached, or fails.
    CloudUnavailable,
    /// AWS throttles us.
    Throttled,
    /// AWS does not accept the credentials.
    CredentialsRefused,
    /// The credentials may not do this.
    PermissionDenied,
    /// A quota of AWS is used up.
    QuotaExceeded,
    /// EC2 refuses what the spec asks for.
    Refused,
    /// Something still uses the group.
    InUse,
    /// The group is gone and is being watched before it is created again.
    GroupMissing,
    /// The group carries somebody else's tags.
    OwnershipConflict,
    /// Two groups carry the tags of this object.
    AmbiguousGroup,
    /// Another group of the VPC has the name.
    GroupNameTaken,
    /// The VPC does not exist.
    VpcNotFound,
    /// This controller does not serve the Region.
    RegionNotServed,
    /// Drift is reported and left alone.
    DriftReported,
    /// The last drift was put right.
    DriftReverted,
    /// Who made an edit is known now.
    DriftAttributed,
    /// Somebody tried an edit, and AWS did not allow it.
    AttemptDenied,
    /// Somebody else acts with sgwarden's own role.
    OwnRoleMisuse,
    /// No event of a write of our own came.
    EventsSilent,
    /// There is no drift.
    NoDrift,
    /// Observe mode: the spec differs from EC2 and is not applied.
    Observing,
    /// A defect of ours: the plan was refused, or the code panicked.
    InternalError,
    /// The group was created.
    Created,
    /// The group was created again.
    Recreated,
    /// Rules were changed as the manifest asks.
    RulesChanged,
    /// A group of an earlier object of this name was taken over.
    Reclaimed,
    /// An existing group was taken over.
    Adopted,
    /// Somebody approved a plan.
    Approved,
    /// A rule expired.
    Expired,
    /// A rule expires within a day.
    ExpiresSoon,
    /// A rule refers to a group that is deleted or out of reach.
    StaleRule,
    /// The group was deleted.
    Deleted,
    /// The object goes, the group stays.
    Retained,
    /// Messages are not taken: the sink does not answer, or is busy.
    SinkUnavailable,
    /// Messages are not taken: the sink refuses them.
    SinkRefused,
    /// A secret that a notifier needs is not there.
    SecretNotFound,
}

impl Reason {
    /// The reason as it is written in conditions, Events and labels.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether waiting will not help: somebody has to act.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::InvalidSpec
                | Self::QuotaExceeded
                | Self::Refused
                | Self::OwnershipConflict
                | Self::AmbiguousGroup
                | Self::GroupNameTaken
                | Self::VpcNotFound
                | Self::RegionNotServed
                | Self::NamespaceNotAllowed
                | Self::VpcNotAllowed
                | Self::PinnedElsewhere
                | Self::AdoptionRefused
                | Self::GroupGone
                | Self::InternalError
        )
    }
}
