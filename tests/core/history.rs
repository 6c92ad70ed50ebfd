//! A group over time: passes of sgwarden (with a crash wherever one likes) and edits of others in between.

use proptest::prelude::*;

use sgwarden::core::desired::Desired;
use sgwarden::core::model::{Atom, LiveRule, Observed, SecurityGroupId, Tags, Vouched};
use sgwarden::core::plan::{
    BegunTags, Difference, Owner, Plan, PlanInput, Report, Restraint, TAG_OWNER, What, applied_before, check, plan, vouched_after,
    vouched_at_birth, vouched_before,
};
use sgwarden::core::status::applied_tags;

use crate::cloud::Cloud;
use crate::worlds::{ALL, Change, Edit, Known, Manifest, change, edit, known, lookups, manifest};

/// EC2, and what the object's status remembers.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) owner: Owner,
    pub(crate) vouched: Option<Vouched>,
    pub(crate) applied: Option<Tags>,
    pub(crate) tags_begun: BegunTags,
    pub(crate) recorded: Option<SecurityGroupId>,
    /// Whether the status was written for this object.
    pub(crate) status_is_ours: bool,
    pub(crate) origin: &'static str,
    /// Whether the manifest is the one of the last status.
    pub(crate) same_spec: bool,
    pub(crate) restraint: Restraint,
}

/// What a pass decided on.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) plan: Plan,
    pub(crate) report: Report,
}

/// Whose group it is in all tests.
pub(crate) fn owner() -> Owner {
    Owner {
        cluster: "c1".to_owned(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        uid: "u1".to_owned(),
        former: vec!["c0".to_owned()],
    }
}

/// What is desired by a manifest, with these references known.
pub(crate) fn desired(manifest: &Manifest, known: Known) -> Desired {
    manifest.declaration().resolve(&lookups(known))
}

impl World {
    /// An object nobody has looked at yet.
    pub(crate) fn of(cloud: Cloud) -> Self {
        Self {
            cloud,
            owner: owner(),
            vouched: None,
            applied: None,
            tags_begun: BegunTags::default(),
            recorded: None,
            status_is_ours: true,
            origin: "Created",
            same_spec: false,
            restraint: Restraint::default(),
        }
    }

    /// A group that was created for a manifest and brought to it.
    pub(crate) fn settled(manifest: &Manifest) -> Self {
        let cloud = Cloud::empty(&["egress all to 0.0.0.0/0", "egress all to ::/0"]);
        let mut world = Self::of(cloud);
        let desired = desired(manifest, ALL);
        world.pass(&desired);
        world.pass(&desired);
        let Pass { plan, report } = world.plan(&desired);
        assert!(plan.is_empty() && report.differences.is_empty(), "a new group is not as declared after one pass: {report:?}");
        world
    }

    /// What a plan is made from now, lent to the closure: a plan input borrows all of it.
    pub(crate) fn with_input<T>(&self, desired: &Desired, act: impl FnOnce(PlanInput<'_>) -> T) -> T {
        let observed: Option<Observed> = self.cloud.observe();
        act(PlanInput {
            owner: &self.owner,
            desired,
            observed: observed.as_ref(),
            vouched: self.vouched.as_ref(),
            applied_tags: self.applied.as_ref(),
            tags_begun: Some(&self.tags_begun),
            recorded: self.recorded.as_ref(),
            restraint: &self.restraint,
            same_spec: self.same_spec,
            status_is_ours: self.status_is_ours,
            origin: self.origin,
        })
    }

    /// The plan of a pass, looked over.
    pub(crate) fn plan(&self, desired: &Desired) -> Pass {
        self.with_input(desired, |input| {
            let (plan, report) = plan(input);
            let faults = check(input, &plan);
            assert!(faults.is_empty(), "{faults:?} in {plan:#?}");
            Pass { plan, report }
        })
    }

    /// Plans, writes down the intents, does the first steps; then the process dies.
    pub(crate) fn crash(&mut self, desired: &Desired, steps: usize) -> Pass {
        let pass = self.plan(desired);
        if pass.plan.is_empty() {
            return pass;
        }
        self.forget(&pass.report);
        self.tags_begun = self.tags_begun.before(&pass.plan, &pass.report);
        if self.cloud.group.is_none() {
            // What the controller writes down before it creates a group.
            self.vouched = Some(vouched_at_birth(&pass.plan));
            self.recorded = None;
        } else {
            self.vouched = vouched_before(self.vouched.as_ref(), &pass.plan);
            self.applied = applied_before(self.applied.as_ref(), &pass.plan);
        }
        self.cloud.apply_prefix(&pass.plan, steps);
        if pass.plan.group.is_none() {
            self.recorded = self.cloud.group.as_ref().map(|group| group.id.clone());
        }
        pass
    }

    /// What another object left behind is not carried on.
    fn forget(&mut self, report: &Report) {
        if report.baseline_lost {
            self.vouched = None;
        }
        if !self.status_is_ours {
            self.applied = None;
        }
        self.status_is_ours = true;
    }

    /// A whole pass, to the status at its end.
    pub(crate) fn pass(&mut self, desired: &Desired) -> Pass {
        let pass = self.crash(desired, usize::MAX);
        let report = self.plan(desired).report;
        self.forget(&report);
        self.look(desired, report.is_settled() && desired.held.is_empty());
        self.tags_begun = self.tags_begun.outstanding(&report);
        pass
    }

    /// What a status says after a look at the group.
    pub(crate) fn look(&mut self, desired: &Desired, settled: bool) {
        let Some(observed) = self.cloud.observe() else { return };
        self.vouched = vouched_after(self.vouched.as_ref(), desired, &observed, settled);
        let live = &observed.group.tags;
        let before = self.applied.as_ref().map(|applied| self.tags_begun.applied(applied, live));
        self.applied = Some(applied_tags(before.as_ref(), &desired.tags, live));
    }

    /// The lines of the status.
    pub(crate) fn lines(&self) -> Option<Vec<String>> {
        self.vouched.as_ref().map(Vouched::to_lines)
    }

    /// What is live.
    pub(crate) fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.cloud.rules.values().map(|rule| &rule.atom)
    }

    /// Somebody edits the group in EC2, several times.
    pub(crate) fn edit_all(&mut self, edits: &[Edit]) {
        for edit in edits {
            self.edit(edit);
        }
    }

    /// Somebody edits the group in EC2; what EC2 refuses does not happen.
    pub(crate) fn edit(&mut self, edit: &Edit) {
        let rows: Vec<LiveRule> = self.cloud.rules.values().cloned().collect();
        let pick = |index: &prop::sample::Index| if rows.is_empty() { None } else { Some(index.get(&rows)) };
        match edit {
            Edit::Add(atom, text) => drop(self.cloud.authorize(atom, text.as_deref())),
            Edit::Remove(row) => drop(pick(row).and_then(|row| self.cloud.rules.remove(&row.id))),
            Edit::SetTraffic(row, traffic) => {
                let Some(row) = pick(row) else { return };
                let atom = Atom { traffic: *traffic, ..row.atom.clone() };
                drop(self.cloud.modify(&[(&row.id, &atom, row.description.as_deref())]));
            }
            Edit::SetPeer(row, peer) => {
                let Some(row) = pick(row) else { return };
                let atom = Atom { peer: peer.clone(), ..row.atom.clone() };
                drop(self.cloud.modify(&[(&row.id, &atom, row.description.as_deref())]));
            }
            Edit::Describe(row, text) => {
                if let Some(row) = pick(row).and_then(|row| self.cloud.rules.get_mut(&row.id)) {
                    row.description.clone_from(text);
                }
            }
            Edit::SetTag(key, value) => drop(self.cloud.tags().insert(key.clone(), value.clone())),
            Edit::DropTag(key) => drop(self.cloud.tags().remove(key)),
            Edit::StripOwner => drop(self.cloud.tags().remove(TAG_OWNER)),
        }
    }
}

/// A group in the middle of its life: settled, then edited in EC2, while its manifest moved on.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) first: Manifest,
    pub(crate) edits: Vec<Edit>,
    pub(crate) changes: Vec<Change>,
    pub(crate) known: Known,
    pub(crate) baseline: Baseline,
}

/// What is left of the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Baseline {
    Kept,
    Lost,
    /// The object was created anew under its name.
    Reclaimed,
}

pub(crate) fn story() -> impl Strategy<Value = Story> {
    let baseline = prop_oneof![6 => Just(Baseline::Kept), 1 => Just(Baseline::Lost), 1 => Just(Baseline::Reclaimed)];
    (manifest(), prop::collection::vec(edit(), 0..=4), prop::collection::vec(change(), 0..=3), known(), baseline)
        .prop_map(|(first, edits, changes, known, baseline)| Story { first, edits, changes, known, baseline })
}

impl Story {
    /// The world at its end, before sgwarden looks, and what is desired then.
    pub(crate) fn play(&self) -> (World, Desired) {
        let mut world = World::settled(&self.first);
        world.edit_all(&self.edits);
        match self.baseline {
            Baseline::Kept => {}
            Baseline::Lost => (world.vouched, world.applied) = (None, None),
            Baseline::Reclaimed => {
                "u2".clone_into(&mut world.owner.uid);
                (world.vouched, world.applied, world.recorded) = (None, None, None);
                // Without both tags it would be nobody's group.
                let tags = world.owner.search_tags().remove(0);
                world.cloud.tags().extend(tags);
            }
        }
        (world, desired(&self.first.changed(&self.changes), self.known))
    }
}

/// The drift a report tells, as `kind: rule`.
pub(crate) fn drift(report: &Report) -> Vec<String> {
    report.drifts().map(|difference| format!("{}: {}", difference.drift().unwrap(), subject(difference))).collect()
}

fn subject(difference: &Difference) -> String {
    match &difference.what {
        What::GroupMissing { recorded: _ } => "the group".to_owned(),
        What::Missing { atom, declared: _, last_id: _ } => atom.to_string(),
        What::Extra { live, rule: _, was: _ } | What::Description { live, declared: _ } => format!("{} {}", live.id, live.atom),
        What::Moved { live, atom, declared: _ } => format!("{} {} to {atom}", live.id, live.atom),
        What::Tag { key, live: _, declared: _, ownership: _ } => format!("tag {key}"),
    }
}
