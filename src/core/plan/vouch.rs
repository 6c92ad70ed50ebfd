//! How the set we vouch for moves on: intents before the write, ids after it.
//!
//! Invariant: an atom leaves only when it is neither desired nor live.

use crate::core::desired::{Desired, egress_policy_rule};
use crate::core::model::{
    Atom, DescriptionHash, Direction, LiveRule, Observed, Peer, RuleId, RuleName, Tags, Traffic, Vouched, VouchedRule,
};

use super::report::What;
use super::step::{Plan, Purpose, Step};

/// What EC2 gives a new group: egress to everywhere, which is ours to take away and not drift.
pub fn born_egress() -> Vouched {
    let mut set = Vouched::default();
    for peer in [Peer::Ipv4(ipnet::Ipv4Net::default()), Peer::Ipv6(ipnet::Ipv6Net::default())] {
        let atom = Atom { direction: Direction::Egress, traffic: Traffic::All, peer };
        set.insert(
            atom,
            VouchedRule { id: None, rule: egress_policy_rule(), description: DescriptionHash::of(None), describing: None },
        );
    }
    set
}

/// The set to be in status before `plan` creates a group: what EC2 puts into it, and the rules that were decided on with it.
pub fn vouched_at_birth(plan: &Plan) -> Vouched {
    let mut set = born_egress();
    defer(&mut set, plan);
    set
}

/// The set to be in status before `plan` writes: what it will authorize is there as an intent. Without a baseline there is
/// none to add to: one converged pass sets it.
pub fn vouched_before(vouched: Option<&Vouched>, plan: &Plan) -> Option<Vouched> {
    let mut set = vouched?.clone();
    for step in &plan.steps {
        match step {
            Step::Authorize { direction: _, rules } => {
                for item in rules {
                    intend(&mut set, &item.new.atom, item.new.description.as_deref(), &item.rule);
                }
            }
            Step::Modify { direction: _, rules } => {
                for item in rules {
                    let_go(&mut set, &item.live);
                    intend(&mut set, &item.new.atom, item.new.description.as_deref(), &item.rule);
                }
            }
            Step::Revoke { direction: _, purpose: Purpose::Replace | Purpose::Room, rules } => {
                for item in rules {
                    let_go(&mut set, &item.live);
                }
            }
            Step::Describe { direction: _, rules } => {
                for item in rules {
                    redescribe(&mut set, &item.live.atom, item.description.as_deref());
                }
            }
            Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::Revoke { direction: _, purpose: Purpose::Revert | Purpose::Deletion, rules: _ }
            | Step::AwaitVisible { direction: _, atoms: _ }
            | Step::Settle => {}
        }
    }
    defer(&mut set, plan);
    Some(set)
}

/// The tags to be in status as applied before `plan` writes: what it is about to change is left out, so that after a crash neither
/// value is somebody's edit.
pub fn applied_before(applied: Option<&Tags>, plan: &Plan) -> Option<Tags> {
    let mut tags = applied?.clone();
    for step in &plan.steps {
        if let Step::SetTags { tags: set, before: _, cause } = step
            && cause.is_change()
        {
            tags.retain(|key, _| !set.contains_key(key));
        }
    }
    Some(tags)
}

/// What comes later in consequence of the same decision is begun too.
fn defer(set: &mut Vouched, plan: &Plan) {
    for difference in &plan.deferred {
        match &difference.what {
            What::Missing { atom, declared, last_id: _ } => intend(set, atom, declared.description.as_deref(), &declared.rule),
            What::Moved { live, atom, declared } => {
                let_go(set, live);
                intend(set, atom, declared.description.as_deref(), &declared.rule);
            }
            What::Extra { live, rule: _, was: _ } => let_go(set, live),
            What::GroupMissing { recorded: _ }
            | What::Description { live: _, declared: _ }
            | What::Tag { key: _, live: _, declared: _, ownership: _ } => {}
        }
    }
}

fn intend(set: &mut Vouched, atom: &Atom, description: Option<&str>, rule: &RuleName) {
    if set.get(atom).is_none() {
        let description = DescriptionHash::of(description);
        set.insert(atom.clone(), VouchedRule { id: None, rule: rule.clone(), description, describing: None });
    } else {
        redescribe(set, atom, description);
    }
}

/// A removal of ours that is cut short by a crash, of a rule that the manifest wants again by then, is no drift: without its id
/// the line is an intent. Of a rule that still goes, it says that its removal was begun. A line that names another row stays: it
/// alone tells that somebody made something else of that row.
fn let_go(set: &mut Vouched, live: &LiveRule) {
    if let Some(known) = set.get(&live.atom).filter(|known| known.id.as_ref() == Some(&live.id)).cloned() {
        set.insert(live.atom.clone(), VouchedRule { id: None, ..known });
    }
}

/// Another text is being written: what a crash leaves may be either, and is nobody's edit, whatever the manifest says by then.
fn redescribe(set: &mut Vouched, atom: &Atom, description: Option<&str>) {
    let text = DescriptionHash::of(description);
    if let Some(known) = set.get(atom).filter(|known| known.description != text).cloned() {
        set.insert(atom.clone(), VouchedRule { describing: Some(text), ..known });
    }
}

/// The set to be in status before reverts are made without a usable manifest: what is restored has no description then, as its
/// text is not known, and that is our doing.
pub fn vouched_before_reverts(vouched: &Vouched, plan: &Plan) -> Vouched {
    let mut set = vouched.clone();
    for step in &plan.steps {
        let Step::Authorize { direction: _, rules } = step else { continue };
        for item in rules {
            if let Some(known) = set.get(&item.new.atom).cloned() {
                let description = DescriptionHash::of(item.new.description.as_deref());
                set.insert(item.new.atom.clone(), VouchedRule { description, describing: None, ..known });
            }
        }
    }
    set
}

/// The group as read, but for owners that EC2 has forgotten: the account of a peer group vanishes from a rule when the peer is
/// deleted. Nobody changed the rule, and the row is the one we know.
pub fn recognised(mut observed: Observed, vouched: Option<&Vouched>) -> Observed {
    let Some(vouched) = vouched else { return observed };
    let by_id = vouched.by_id();
    for (id, row) in &mut observed.rules {
        let Some((known, _)) = by_id.get(id) else { continue };
        let same_place = known.direction == row.atom.direction && known.traffic == row.atom.traffic;
        if let (true, Peer::Group { id: was, account: Some(_) }, Peer::Group { id: is, account: None }) =
            (same_place, &known.peer, &row.atom.peer)
            && was == is
        {
            row.atom = (*known).clone();
        }
    }
    observed
}

/// The set after a look at the group. `converged`: nothing differs, so that a lost baseline can be set anew.
pub fn vouched_after(vouched: Option<&Vouched>, desired: &Desired, observed: &Observed, converged: bool) -> Option<Vouched> {
    let empty = Vouched::default();
    let before = match vouched {
        Some(set) => set,
        None if converged => &empty,
        None => return None,
    };
    let live = observed.by_atom();
    let rows = before.by_id();
    let mut after = Vouched::default();
    // Somebody made another rule of a row of ours, and nobody vouches for that one: the row's own line is what tells.
    let lives_on = |atom: &Atom, id: &RuleId| {
        let row = observed.rules.get(id).filter(|row| row.atom != *atom);
        row.is_some_and(|row| !desired.rules.contains(&row.atom) && before.get(&row.atom).is_none())
    };
    for (atom, known) in before.iter() {
        let row_lives_on = known.id.as_ref().is_some_and(|id| lives_on(atom, id));
        // What a rule that waits for a reference declares is not known in full: its lines stay until it is.
        let waits = desired.holds(atom.direction, &known.rule).is_some();
        if desired.rules.contains(atom) || live.contains_key(atom) || row_lives_on || waits {
            after.insert(atom.clone(), known.clone());
        }
    }
    for (&atom, &rule) in &live {
        let seen = DescriptionHash::of(rule.description.as_deref());
        let known = before.get(atom);
        let known_id = known.and_then(|known| known.id.clone());
        // A row of ours that somebody made into this one is still known by its own line, and not by this.
        let of_another = rows
            .get(&rule.id)
            .is_some_and(|(known, _)| *known != atom && desired.rules.contains(known) && !live.contains_key(known));
        let id = known_id.filter(|id| of_another || lives_on(atom, id)).or_else(|| Some(rule.id.clone()));
        let entry = match (desired.rules.get(atom), known) {
            (Some(declared), known) => {
                // A description that differs stays known as we left it, or its drift would be forgotten.
                let as_declared = rule.description == declared.description;
                let known = known.filter(|_| !as_declared);
                let description = known.map_or(seen, |known| known.description);
                let describing = known.and_then(|known| known.describing);
                VouchedRule { id, rule: declared.rule.clone(), description, describing }
            }
            // A removal that was begun stays so, or what was approved would have to be approved again.
            (None, Some(known)) if known.id.is_none() => known.clone(),
            (None, Some(known)) => VouchedRule { id, ..known.clone() },
            (None, None) => continue,
        };
        after.insert(atom.clone(), entry);
    }
    Some(after)
}
