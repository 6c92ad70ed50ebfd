//! What may be done about a group, once its account, its namespace and its manifest have had their say.
//!
//! Entry point: [`policy`]. Invariant: a namespace never gets more leave than the account's ceiling has, and an account in
//! mode Observe stays untouched whatever anybody else says.

use std::collections::BTreeSet;
use std::fmt::Display;

use jiff::Timestamp;

use crate::core::model::{Direction, IcmpTypes, LiveRule, Peer, Traffic};

use super::{Account, Approval, DeclaredEnforcement, Mode, UndeclaredRules};

/// What may be done about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Enforce or observe.
    pub mode: Mode,
    /// What becomes of undeclared rules.
    pub undeclared: UndeclaredRules,
    /// Undeclared rules that stay all the same.
    pub tolerate: Vec<Toleration>,
    /// Whether reverts stop for now.
    pub suspended: bool,
    /// Whether changes wait for a person.
    pub approval: Approval,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            undeclared: UndeclaredRules::Revoke,
            tolerate: Vec::new(),
            suspended: false,
            approval: Approval::Automatic,
        }
    }
}

/// Undeclared rules of another owner that stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// Which way.
    pub direction: Direction,
    /// Only rules with this peer.
    pub peer: Option<Peer>,
    /// Only rules whose traffic is within one of these; empty means any.
    pub traffic: Vec<Traffic>,
    /// Only rules whose description begins so.
    pub description_prefix: Option<String>,
}

impl Toleration {
    /// Whether a live rule is one of those.
    pub fn matches(&self, rule: &LiveRule) -> bool {
        let Self { direction, peer, traffic, description_prefix } = self;
        let described = |prefix: &String| rule.description.as_deref().is_some_and(|text| text.starts_with(prefix.as_str()));
        rule.atom.direction == *direction
            && peer.as_ref().is_none_or(|peer| is_same(peer, &rule.atom.peer))
            && (traffic.is_empty() || traffic.iter().any(|traffic| is_within(rule.atom.traffic, *traffic)))
            && description_prefix.as_ref().is_none_or(described)
    }
}

/// Whether a live peer is the tolerated one. A group is told by its id, which no two accounts share.
fn is_same(tolerated: &Peer, live: &Peer) -> bool {
    match (tolerated, live) {
        (Peer::Group { id, account: _ }, Peer::Group { id: live, account: _ }) => id == live,
        (Peer::Ipv4(_) | Peer::Ipv6(_) | Peer::PrefixList(_) | Peer::Group { id: _, account: _ }, _) => tolerated == live,
    }
}

/// Whether all that one rule lets through is let through by another of the same peer.
fn is_within(inner: Traffic, outer: Traffic) -> bool {
    match (outer, inner) {
        (Traffic::All, _) => true,
        (Traffic::Tcp(outer), Traffic::Tcp(inner)) | (Traffic::Udp(outer), Traffic::Udp(inner)) => {
            outer.from() <= inner.from() && inner.to() <= outer.to()
        }
        (Traffic::Icmp(outer), Traffic::Icmp(inner)) | (Traffic::Icmpv6(outer), Traffic::Icmpv6(inner)) => match (outer, inner) {
            (IcmpTypes::All, _) => true,
            (IcmpTypes::Type(outer), IcmpTypes::Type(inner) | IcmpTypes::TypeCode(inner, _)) => outer == inner,
            (IcmpTypes::Type(_) | IcmpTypes::TypeCode(_, _), _) => outer == inner,
        },
        (Traffic::Other(outer), Traffic::Other(inner)) => outer == inner,
        (Traffic::Tcp(_) | Traffic::Udp(_) | Traffic::Icmp(_) | Traffic::Icmpv6(_) | Traffic::Other(_), _) => false,
    }
}

/// Break-glass as written: by the spec or by an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// When it is to end.
    pub until: Timestamp,
    /// Why; empty where nobody said.
    pub reason: String,
}

/// The policy in effect, and for each thing the manifest asks for and does not get, a sentence that says so.
///
/// The account's mode Observe comes before everything. Then what the manifest says, where the account's ceiling allows it, else
/// the strictest that the ceiling allows. Then, where the manifest says nothing, the account's defaults, which the ceiling does
/// not bind, and last Enforce, Revoke and Automatic. `suspended` is whether a suspension is active now.
pub fn policy(written: &DeclaredEnforcement, account: &Account, suspended: bool) -> (Policy, Vec<String>) {
    let DeclaredEnforcement { mode, undeclared, tolerate, suspend, approval } = written;
    let (ceiling, defaults) = (&account.limits.ceiling, &account.defaults);
    let mut notes = Vec::new();
    let mode = Choice { field: "mode", written: *mode, otherwise: defaults.mode.unwrap_or(Mode::Enforce) };
    let mut mode = mode.within(ceiling.modes.as_ref(), account, &mut notes);
    let otherwise = defaults.undeclared.unwrap_or(UndeclaredRules::Revoke);
    let undeclared = Choice { field: "undeclaredRules", written: *undeclared, otherwise };
    let undeclared = undeclared.within(ceiling.undeclared.as_ref(), account, &mut notes);
    let mut ignore =
        |field: &str| notes.push(format!("enforcement.{field} is ignored: account {} does not allow it", account.name));
    if !ceiling.tolerate && !tolerate.is_empty() {
        ignore("tolerate");
    }
    if !ceiling.suspend && (suspended || suspend.is_some()) {
        ignore("suspend");
    }
    if account.mode == Mode::Observe && mode != Mode::Observe {
        notes.push(format!("account {} is in mode Observe: nothing is written in it", account.name));
        mode = Mode::Observe;
    }
    let policy = Policy {
        mode,
        undeclared,
        tolerate: if ceiling.tolerate { tolerate.clone() } else { Vec::new() },
        suspended: suspended && ceiling.suspend,
        approval: approval.or(defaults.approval).unwrap_or(Approval::Automatic),
    };
    (policy, notes)
}

/// One word of a manifest. Words are ordered by how strict they are, the strictest first.
struct Choice<T> {
    field: &'static str,
    written: Option<T>,
    otherwise: T,
}

impl<T: Ord + Copy + Display> Choice<T> {
    fn within(self, allowed: Option<&BTreeSet<T>>, account: &Account, notes: &mut Vec<String>) -> T {
        let Self { field, written, otherwise } = self;
        let Some(written) = written else { return otherwise };
        let Some(allowed) = allowed.filter(|allowed| !allowed.contains(&written)) else { return written };
        // Where nothing may be chosen, it is as if nothing was written.
        let chosen = allowed.first().copied().unwrap_or(otherwise);
        if chosen != written {
            notes.push(format!("enforcement.{field} is {chosen}: account {} does not allow {written}", account.name));
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desired::{Ceiling, Defaults, Limits};

    fn account(ceiling: Ceiling, defaults: Defaults) -> Account {
        let own = Account::own(BTreeSet::from(["eu-west-1".parse().unwrap()]));
        Account { name: "prod".into(), limits: Limits { ceiling, ..Limits::default() }, defaults, ..own }
    }

    fn toleration() -> Toleration {
        Toleration { direction: Direction::Ingress, peer: None, traffic: Vec::new(), description_prefix: None }
    }

    #[test]
    fn a_manifest_that_says_nothing_gets_the_accounts_defaults_and_they_the_usual() {
        let nothing = DeclaredEnforcement::default();
        assert_eq!(policy(&nothing, &account(Ceiling::default(), Defaults::default()), false), (Policy::default(), vec![]));
        let defaults = Defaults {
            mode: Some(Mode::Observe),
            undeclared: Some(UndeclaredRules::Report),
            approval: Some(Approval::Required),
            ..Defaults::default()
        };
        // A ceiling is for namespaces: it does not bind what the platform team itself sets as default.
        let ceiling = Ceiling { modes: Some(BTreeSet::from([Mode::Enforce])), ..Ceiling::default() };
        let (found, notes) = policy(&nothing, &account(ceiling, defaults.clone()), false);
        assert_eq!((found.mode, found.undeclared, found.approval), (Mode::Observe, UndeclaredRules::Report, Approval::Required));
        assert_eq!(notes, [""; 0]);
        // The manifest's word comes before the default.
        let written = DeclaredEnforcement {
            mode: Some(Mode::Enforce),
            undeclared: Some(UndeclaredRules::Keep),
            approval: Some(Approval::Automatic),
            ..DeclaredEnforcement::default()
        };
        let (found, notes) = policy(&written, &account(Ceiling::default(), defaults), false);
        assert_eq!((found.mode, found.undeclared, found.approval), (Mode::Enforce, UndeclaredRules::Keep, Approval::Automatic));
        assert_eq!(notes, [""; 0]);
    }

    #[test]
    fn a_ceiling_takes_what_it_does_not_allow_and_says_so() {
        use UndeclaredRules::{Keep, Report, Revoke};
        type Case<'a> = (Option<UndeclaredRules>, Option<&'a [UndeclaredRules]>, UndeclaredRules, bool);
        let cases: [Case<'_>; 8] = [
            (Some(Keep), None, Keep, false),
            (Some(Keep), Some(&[Revoke, Report]), Revoke, true),
            (Some(Keep), Some(&[Report]), Report, true),
            (Some(Report), Some(&[Report, Revoke]), Report, false),
            // Also what is stricter than what is allowed.
            (Some(Revoke), Some(&[Keep]), Keep, true),
            // Nothing may be chosen.
            (Some(Keep), Some(&[]), Revoke, true),
            (Some(Revoke), Some(&[]), Revoke, false),
            (None, Some(&[Keep]), Revoke, false),
        ];
        for (written, allowed, expected, noted) in cases {
            let ceiling = Ceiling { undeclared: allowed.map(|words| words.iter().copied().collect()), ..Ceiling::default() };
            let written = DeclaredEnforcement { undeclared: written, ..DeclaredEnforcement::default() };
            let (found, notes) = policy(&written, &account(ceiling, Defaults::default()), false);
            assert_eq!((found.undeclared, notes.len()), (expected, usize::from(noted)), "{written:?} {allowed:?}");
        }
        let ceiling = Ceiling { modes: Some(BTreeSet::from([Mode::Enforce])), ..Ceiling::default() };
        let written = DeclaredEnforcement { mode: Some(Mode::Observe), ..DeclaredEnforcement::default() };
        let (found, notes) = policy(&written, &account(ceiling, Defaults::default()), false);
        assert_eq!(found.mode, Mode::Enforce);
        assert_eq!(notes, ["enforcement.mode is Enforce: account prod does not allow Observe"]);
    }

    #[test]
    fn tolerations_and_suspensions_need_the_accounts_leave() {
        let suspension = Suspension { until: "2026-12-24T18:00:00Z".parse().unwrap(), reason: String::new() };
        let written =
            DeclaredEnforcement { tolerate: vec![toleration()], suspend: Some(suspension), ..DeclaredEnforcement::default() };
        let (found, notes) = policy(&written, &account(Ceiling::default(), Defaults::default()), true);
        assert_eq!((found.tolerate.len(), found.suspended, notes.len()), (1, true, 0));
        let strict = Ceiling { tolerate: false, suspend: false, ..Ceiling::default() };
        let (found, notes) = policy(&written, &account(strict, Defaults::default()), true);
        assert_eq!((found.tolerate.len(), found.suspended), (0, false));
        assert_eq!(
            notes,
            [
                "enforcement.tolerate is ignored: account prod does not allow it",
                "enforcement.suspend is ignored: account prod does not allow it"
            ]
        );
    }

    #[test]
    fn the_stop_button_overrides_everything() {
        let stopped = Account { mode: Mode::Observe, ..account(Ceiling::default(), Defaults::default()) };
        let ceiling = Ceiling { modes: Some(BTreeSet::from([Mode::Enforce])), ..Ceiling::default() };
        let strict = Account { mode: Mode::Observe, ..account(ceiling, Defaults::default()) };
        for account in [stopped, strict] {
            for (mode, notes) in [(None, 1), (Some(Mode::Enforce), 1)] {
                let written = DeclaredEnforcement { mode, ..DeclaredEnforcement::default() };
                let (found, said) = policy(&written, &account, false);
                assert_eq!((found.mode, said.len()), (Mode::Observe, notes));
            }
        }
    }

    #[test]
    fn a_toleration_matches_what_is_within_it() {
        let live = |atom: &str, description: Option<&str>| LiveRule {
            id: "sgr-0a1b2c3d4e5f67890".parse().unwrap(),
            atom: atom.parse().unwrap(),
            description: description.map(str::to_owned),
        };
        let with = |peer: &str, traffic: &[&str], prefix: Option<&str>| Toleration {
            peer: (!peer.is_empty()).then(|| peer.parse().unwrap()),
            traffic: traffic.iter().map(|text| text.parse().unwrap()).collect(),
            description_prefix: prefix.map(str::to_owned),
            ..toleration()
        };
        for (toleration, atom, description, expected) in [
            (with("sg-0a1b2c3d", &[], None), "ingress tcp 443 from sg-0a1b2c3d", None, true),
            (with("sg-0a1b2c3d", &[], None), "ingress tcp 443 from 444455556666/sg-0a1b2c3d", None, true),
            (with("sg-0a1b2c3d", &[], None), "egress tcp 443 to sg-0a1b2c3d", None, false),
            (with("sg-0a1b2c3d", &[], None), "ingress tcp 443 from sg-0a1b2c3e", None, false),
            (with("10.0.0.0/8", &[], None), "ingress tcp 443 from 10.0.0.0/8", None, true),
            (with("10.0.0.0/8", &[], None), "ingress tcp 443 from 10.0.0.0/9", None, false),
            (with("", &["tcp 30000-32767"], None), "ingress tcp 30080 from 0.0.0.0/0", None, true),
            (with("", &["tcp 30000-32767"], None), "ingress tcp 30000-32767 from ::/0", None, true),
            (with("", &["tcp 30000-32767"], None), "ingress tcp 29999-30000 from ::/0", None, false),
            (with("", &["tcp 30000-32767"], None), "ingress udp 30080 from ::/0", None, false),
            (with("", &["tcp 80", "tcp 443"], None), "ingress tcp 443 from ::/0", None, true),
            (with("", &["tcp 80", "tcp 443"], None), "ingress tcp 80-443 from ::/0", None, false),
            (with("", &["tcp 0-65535"], None), "ingress all from ::/0", None, false),
            (with("10.0.0.0/8", &["all"], None), "ingress protocol 50 from 10.0.0.0/8", None, true),
            (with("10.0.0.0/8", &["protocol 50"], None), "ingress protocol 51 from 10.0.0.0/8", None, false),
            (with("10.0.0.0/8", &["icmp"], None), "ingress icmp type 8 from 10.0.0.0/8", None, true),
            (with("10.0.0.0/8", &["icmp type 8"], None), "ingress icmp type 8 code 0 from 10.0.0.0/8", None, true),
            (with("10.0.0.0/8", &["icmp type 8"], None), "ingress icmp from 10.0.0.0/8", None, false),
            (with("10.0.0.0/8", &["icmp type 8 code 0"], None), "ingress icmp type 8 from 10.0.0.0/8", None, false),
            (with("pl-0a1b2c3d", &[], Some("elbv2")), "ingress tcp 1 from pl-0a1b2c3d", Some("elbv2.k8s.aws/x"), true),
            (with("pl-0a1b2c3d", &[], Some("elbv2")), "ingress tcp 1 from pl-0a1b2c3d", Some("by hand"), false),
            (with("pl-0a1b2c3d", &[], Some("elbv2")), "ingress tcp 1 from pl-0a1b2c3d", None, false),
        ] {
            assert_eq!(toleration.matches(&live(atom, description)), expected, "{toleration:?} {atom}");
        }
    }
}
