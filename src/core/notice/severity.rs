//! How much something matters, from a closed list.
//!
//! Entry points: [`of_drift`], [`of_reason`].

use std::sync::LazyLock;

use crate::api::{DriftAtom, DriftKind, DriftRecord, NoticeKind, Severity, TAG_PREFIX};
use crate::core::model::{AddressCount, Atom, Direction, Space};
use crate::core::status::Reason;

/// Wider than a site: more public IPv4 addresses than a /16 has.
const MANY_IPV4: u128 = 1 << 16;
/// Wider than a site: more IPv6 addresses than a /48 has.
const MANY_IPV6: u128 = 1 << 80;

/// What is not the internet.
const PRIVATE: [&str; 8] =
    ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

static INSIDE: LazyLock<Space> = LazyLock::new(|| {
    let atoms: Vec<Atom> =
        PRIVATE.iter().filter_map(|range| format!("{} all from {range}", Direction::Ingress).parse().ok()).collect();
    Space::of_all(&atoms)
});

/// What a drift is about, and how much it matters. It is judged by what the edit did, not by what became of it: every message
/// about one drift has one severity.
///
/// The place where the verdict of a guardrail about the edit joins: the higher of the two counts.
pub(super) fn of_drift(record: &DriftRecord) -> (NoticeKind, Severity) {
    let kind = |atom: &DriftAtom| DriftKind::parse(&atom.kind).ok();
    if record.atoms.iter().any(|atom| kind(atom) == Some(DriftKind::GroupDeleted)) {
        return (NoticeKind::GroupDeleted, Severity::High);
    }
    let of_atoms = record.atoms.iter().map(|atom| of_atom(kind(atom), atom)).max().unwrap_or(Severity::Medium);
    let opened = record.exposure.as_ref().is_some_and(|exposure| exposure.opened.is_some());
    let exposure = if opened { of_exposure(record) } else { Severity::Low };
    (NoticeKind::Drift, of_atoms.max(exposure))
}

/// What an edit is by itself, whatever it opened.
fn of_atom(kind: Option<DriftKind>, atom: &DriftAtom) -> Severity {
    let marks = format!("tag {TAG_PREFIX}");
    let is_mark = [&atom.before, &atom.after].into_iter().flatten().any(|text| text.starts_with(&marks));
    match kind {
        // Without its marks a group is anybody's, and IAM lets us do nothing with it.
        Some(DriftKind::TagChanged | DriftKind::TagRemoved) if is_mark => Severity::Critical,
        Some(DriftKind::GroupDeleted) => Severity::High,
        Some(
            DriftKind::Removed
            | DriftKind::Modified
            | DriftKind::PrefixListChanged
            | DriftKind::VpcAssociationChanged
            | DriftKind::Unclassified,
        )
        | None => Severity::Medium,
        Some(
            DriftKind::Added | DriftKind::Transient | DriftKind::DescriptionChanged | DriftKind::TagChanged | DriftKind::TagRemoved,
        ) => Severity::Low,
    }
}

/// The kinds of drift that can open something.
const OPENING: [DriftKind; 3] = [DriftKind::Added, DriftKind::Modified, DriftKind::Transient];

/// What an edit opened.
fn of_exposure(record: &DriftRecord) -> Severity {
    let listed = i32::try_from(record.atoms.len()).is_ok_and(|listed| listed >= record.count);
    let come = record.atoms.iter().filter(|atom| OPENING.map(DriftKind::as_str).contains(&&*atom.kind));
    let read = come.filter_map(|atom| atom.after.as_ref()).all(|text| text.parse::<Atom>().is_ok());
    // What is not listed, or was cut, may be anything.
    let least = if listed && read { Severity::Medium } else { Severity::High };
    let space = |side: fn(&DriftAtom) -> Option<&String>| {
        let atoms = record.atoms.iter().filter_map(side).filter_map(|text| text.parse::<Atom>().ok());
        Space::of_all(&atoms.filter(|atom| atom.direction == Direction::Ingress).collect::<Vec<_>>())
    };
    let opened = space(|atom| atom.after.as_ref()).subtract(&space(|atom| atom.before.as_ref())).subtract(&INSIDE);
    let wide = opened.exposure().iter().any(|stretch| is_over(stretch.ipv4, MANY_IPV4) || is_over(stretch.ipv6, MANY_IPV6));
    let public = !opened.addresses().is_zero();
    let judged = if wide {
        Severity::Critical
    } else if public {
        Severity::High
    } else {
        Severity::Medium
    };
    judged.max(least)
}

fn is_over(count: AddressCount, limit: u128) -> bool {
    // More than a u128 holds is all of IPv6.
    count.to_u128().is_none_or(|count| count > limit)
}

/// Which of the things told as Events are worth a message; drift has records of its own.
pub(super) fn of_reason(reason: Reason) -> Option<(NoticeKind, Severity)> {
    let (kind, severity) = match reason {
        Reason::Suspended | Reason::SuspendEndsSoon => (NoticeKind::Suspend, Severity::Medium),
        Reason::Resumed => (NoticeKind::Suspend, Severity::Low),
        Reason::ExpiresSoon | Reason::Expired => (NoticeKind::Expiry, Severity::Low),
        Reason::RevertWar => (NoticeKind::RevertWar, Severity::High),
        Reason::AwaitingApproval => (NoticeKind::Waiting, Severity::Low),
        Reason::RevocationLimit => (NoticeKind::Waiting, Severity::Medium),
        Reason::MassChange => (NoticeKind::Waiting, Severity::High),
        Reason::OwnershipConflict => (NoticeKind::OwnershipConflict, Severity::High),
        Reason::OwnRoleMisuse => (NoticeKind::Drift, Severity::Critical),
        Reason::AttemptDenied => (NoticeKind::Drift, Severity::Medium),
        Reason::CredentialsRefused | Reason::PermissionDenied | Reason::GroupGone | Reason::AmbiguousGroup => {
            (NoticeKind::Failure, Severity::High)
        }
        Reason::QuotaExceeded
        | Reason::Refused
        | Reason::InvalidSpec
        | Reason::PinnedElsewhere
        | Reason::AdoptionRefused
        | Reason::GroupNameTaken
        | Reason::VpcNotFound
        | Reason::RegionNotServed
        | Reason::NamespaceNotAllowed
        | Reason::VpcNotAllowed
        | Reason::InternalError => (NoticeKind::Failure, Severity::Medium),
        // News for whoever looks, by itself soon over, or told of the drift itself.
        Reason::Succeeded
        | Reason::Progressing
        | Reason::NotLookedAt
        | Reason::ReferencesNotReady
        | Reason::ReferenceNotGranted
        | Reason::NameMoved
        | Reason::AccountNotFound
        | Reason::AccountNotReady
        | Reason::PolicyLimited
        | Reason::AwaitingConsent
        | Reason::ClockSkewed
        | Reason::SweepOverdue
        | Reason::SweepIncomplete
        | Reason::CloudUnavailable
        | Reason::Throttled
        | Reason::InUse
        | Reason::GroupMissing
        | Reason::DriftReported
        | Reason::DriftReverted
        | Reason::DriftAttributed
        | Reason::EventsSilent
        | Reason::StaleRule
        | Reason::NoDrift
        | Reason::Observing
        | Reason::Created
        | Reason::Recreated
        | Reason::RulesChanged
        | Reason::Reclaimed
        | Reason::Adopted
        | Reason::Approved
        | Reason::Deleted
        | Reason::Retained
        | Reason::SinkUnavailable
        | Reason::SinkRefused
        | Reason::SecretNotFound => return None,
    };
    Some((kind, severity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ExposureChange;

    fn drift(atoms: &[(&str, &str, &str)], count: i32) -> DriftRecord {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let atom = |(kind, before, after): &(&str, &str, &str)| DriftAtom {
            kind: (*kind).to_owned(),
            before: text(before),
            after: text(after),
            ..DriftAtom::default()
        };
        let opened = atoms.iter().any(|(_, _, after)| !after.is_empty()).then(|| "something".to_owned());
        DriftRecord {
            atoms: atoms.iter().map(atom).collect(),
            count,
            exposure: Some(ExposureChange { opened, closed: None }),
            ..DriftRecord::default()
        }
    }

    #[track_caller]
    fn check(atoms: &[(&str, &str, &str)], expected: Severity) {
        let count = i32::try_from(atoms.len()).unwrap();
        assert_eq!(of_drift(&drift(atoms, count)).1, expected, "{atoms:?}");
    }

    #[test]
    fn the_wider_an_edit_opens_the_group_to_the_internet_the_more_it_matters() {
        check(&[("Added", "", "ingress tcp 22 from 0.0.0.0/0")], Severity::Critical);
        check(
            &[("Added", "", "ingress tcp 22 from 0.0.0.0/1"), ("Added", "", "ingress tcp 22 from 128.0.0.0/1")],
            Severity::Critical,
        );
        check(&[("Added", "", "ingress tcp 22 from ::/0")], Severity::Critical);
        check(&[("Added", "", "ingress tcp 22 from 203.0.113.7/32")], Severity::High);
        check(&[("Added", "", "ingress tcp 22 from 2001:db8::/48")], Severity::High);
        check(&[("Added", "", "ingress tcp 22 from 10.0.0.0/8")], Severity::Medium);
        check(&[("Added", "", "ingress tcp 22 from sg-0a1b2c3d")], Severity::Medium);
        check(&[("Added", "", "egress all to 0.0.0.0/0")], Severity::Medium);
        check(&[("Modified", "ingress tcp 22 from 0.0.0.0/0", "ingress tcp 22 from 203.0.113.0/24")], Severity::Medium);
    }

    #[test]
    fn what_opens_nothing_matters_by_what_it_is() {
        check(&[("Removed", "ingress tcp 443 from 0.0.0.0/0", "")], Severity::Medium);
        check(&[("DescriptionChanged", "", "")], Severity::Low);
        check(&[("TagRemoved", "tag team=shop", "")], Severity::Low);
        check(&[("TagRemoved", "tag sgwarden.dev/cluster=c1", "")], Severity::Critical);
        check(&[("GroupDeleted", "sg-0a1b2c3d", "")], Severity::High);
        check(&[("FromALaterRelease", "", "")], Severity::Medium);
    }

    #[test]
    fn what_is_not_listed_may_be_anything() {
        assert_eq!(of_drift(&drift(&[("Added", "", "ingress tcp 22 from 10.0.0.0/8")], 30)).1, Severity::High);
        check(&[("Added", "", "ingress tcp 22 fr…")], Severity::High);
    }
}
