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
    /// Observe mode: differences are reported, nothing is written.
    DriftReported,
    /// The last drift was put right.
    DriftReverted,
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
    /// The group was deleted.
    Deleted,
    /// The object goes, the group stays.
    Retained,
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
                | Self::InternalError
        )
    }
}
