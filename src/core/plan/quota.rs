//! AWS's quota of rules: what the declared rules take of it, whether they can fit, and whether there is room to authorize
//! before anything goes.
//!
//! Two counts, because AWS's own texts disagree on groups and prefix lists: what is certain, which alone may keep a plan from
//! authorizing first, and the estimate, which counts once EC2 has said that the certain count was too low.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::model::{Atom, Direction, Observed, PrefixListWeights, Weight};

use super::PlanInput;
use super::cause::Held;
use super::report::{Difference, QuotaUse, Report, What};

/// A desired set that cannot fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// Which way.
    pub direction: Direction,
    /// Whether it is the IPv6 rules that are too many.
    pub ipv6: bool,
    /// Rules there would have to be, at least.
    pub needed: u32,
    /// Rules EC2 takes.
    pub limit: u32,
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, ipv6, needed, limit } = self;
        let family = if *ipv6 { "IPv6" } else { "IPv4" };
        write!(f, "{direction} needs {needed} {family} rules, EC2 takes {limit}")
    }
}

/// What the declared rules take of the quota.
pub(super) fn used(input: PlanInput<'_>) -> QuotaUse {
    let of = |direction| Weight::of_all(input.desired.rules.iter().map(|(atom, _)| atom), direction, &input.desired.weights);
    QuotaUse { ingress: of(Direction::Ingress), egress: of(Direction::Egress), limit: limit(input) }
}

/// The most rules EC2 takes, as far as is known: what is configured, or what was seen live if that is more.
fn limit(input: PlanInput<'_>) -> u32 {
    let lists = &input.desired.weights;
    let live = Direction::BOTH
        .into_iter()
        .map(|direction| input.observed.map_or(Weight::default(), |observed| live(observed, direction, lists).certain));
    live.fold(input.restraint.rules_per_group, |limit, live| limit.max(live.ipv4).max(live.ipv6))
}

/// The first direction and family in which what is desired, with the undeclared rules that stay, certainly cannot fit.
pub(super) fn over(input: PlanInput<'_>, report: &Report) -> Option<OverQuota> {
    let lists = &input.desired.weights;
    let staying = report.differences.iter().filter_map(|difference| match &difference.what {
        What::Extra { live, rule: _, was: _ } => difference.held.as_ref().is_some_and(Held::stays).then_some(&live.atom),
        What::GroupMissing { recorded: _ }
        | What::Missing { atom: _, declared: _, last_id: _ }
        | What::Moved { live: _, atom: _, declared: _ }
        | What::Description { live: _, declared: _ }
        | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
    });
    let atoms: Vec<&Atom> = input.desired.rules.iter().map(|(atom, _)| atom).chain(staying).collect();
    let limit = report.quota.limit;
    Direction::BOTH.into_iter().find_map(|direction| {
        let needed = Usage::of(atoms.iter().copied().filter(|atom| atom.direction == direction), lists).certain;
        let too_many = |ipv6, needed| (needed > limit).then_some(OverQuota { direction, ipv6, needed, limit });
        too_many(false, needed.ipv4).or_else(|| too_many(true, needed.ipv6))
    })
}

/// Rules of one direction by both counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// At the very least.
    pub(super) certain: Weight,
    /// By the careful reading.
    pub(super) estimate: Weight,
}

impl Usage {
    pub(super) fn of<'a>(atoms: impl IntoIterator<Item = &'a Atom>, lists: &PrefixListWeights) -> Self {
        atoms.into_iter().fold(Self::default(), |sum, atom| sum.plus(Self::one(atom, lists)))
    }

    pub(super) fn one(atom: &Atom, lists: &PrefixListWeights) -> Self {
        Self { certain: Weight::certain(atom, lists), estimate: Weight::of(atom, lists) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { certain: self.certain + other.certain, estimate: self.estimate + other.estimate }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { certain: self.certain - other.certain, estimate: self.estimate - other.estimate }
    }

    pub(super) fn fits(self, limit: Self) -> bool {
        self.certain.fits(limit.certain) && self.estimate.fits(limit.estimate)
    }

    /// How far it is over a limit, all counts together.
    pub(super) fn excess(self, limit: Self) -> u32 {
        let over = |weight: Weight| weight.ipv4.saturating_add(weight.ipv6);
        over(self.certain - limit.certain).saturating_add(over(self.estimate - limit.estimate))
    }
}

fn live(observed: &Observed, direction: Direction, lists: &PrefixListWeights) -> Usage {
    Usage::of(observed.rules.values().map(|rule| &rule.atom).filter(|atom| atom.direction == direction), lists)
}

/// What one direction is about to do, for the question whether there is room.
pub(super) struct Demand<'a> {
    /// Undeclared rules that go before anything else.
    pub(super) freed: Vec<&'a Atom>,
    /// Rules to be authorized while all others are there.
    pub(super) authorized: Vec<&'a Atom>,
    /// Rows to be changed in place, and into what: prefix lists do not weigh alike.
    pub(super) changed: Vec<(&'a Atom, &'a Atom)>,
}

/// The room of a direction that has none to authorize first.
#[derive(Clone, Debug)]
pub(super) struct Budget<'a> {
    /// What prefix lists count.
    pub(super) lists: &'a PrefixListWeights,
    /// How much is live when the undeclared rules are gone.
    pub(super) used: Usage,
    /// How much EC2 takes.
    pub(super) limit: Usage,
    /// EC2 refused less than what is thought to be its limit: all that is known is that it takes what is live.
    pub(super) guessed: bool,
}

/// The directions in which something has to go before all can come. Elsewhere everything is authorized first.
pub(super) fn budgets<'a>(
    input: PlanInput<'a>,
    observed: &Observed,
    limit: u32,
    demands: &BTreeMap<Direction, Demand<'_>>,
) -> BTreeMap<Direction, Budget<'a>> {
    let lists = &input.desired.weights;
    let refused = input.restraint.quota_refused;
    let mut budgets = BTreeMap::new();
    let mut guesses = BTreeMap::new();
    for (direction, demand) in demands {
        let seen = live(observed, *direction, lists);
        let used = seen.minus(Usage::of(demand.freed.iter().copied(), lists));
        let peak = used.plus(Usage::of(demand.authorized.iter().copied(), lists));
        // Estimates only warn until EC2 has refused; then all counts have to fit, but for what is live and so did.
        let estimate = if refused { Weight::each(limit).max(seen.estimate) } else { Weight::each(u32::MAX) };
        let limit = Usage { certain: Weight::each(limit), estimate };
        let (from, to): (Vec<&Atom>, Vec<&Atom>) = demand.changed.iter().copied().unzip();
        let end = peak.minus(Usage::of(from, lists)).plus(Usage::of(to, lists));
        if !(peak.fits(limit) && end.fits(limit)) {
            budgets.insert(*direction, Budget { lists, used, limit, guessed: false });
        }
        if demand.authorized.is_empty() && demand.changed.is_empty() {
            continue;
        }
        guesses.insert(*direction, Budget { lists, used, limit: seen, guessed: true });
    }
    if refused && budgets.is_empty() { guesses } else { budgets }
}

/// Whether a difference is one that a direction's quota holds, and not the whole set's.
pub(super) fn waits_its_turn(report: &Report, difference: &Difference) -> bool {
    match difference.held {
        Some(Held::Rate) => true,
        Some(Held::Quota) => report.over_quota.is_none(),
        Some(
            Held::Reference(_)
            | Held::Tolerated
            | Held::Reported
            | Held::Kept
            | Held::Suspended
            | Held::Approval
            | Held::Unconfirmed
            | Held::War,
        )
        | None => false,
    }
}
