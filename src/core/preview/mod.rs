//! What would be done about groups, for people before they say yes, and for programs.
//!
//! Entry points: [`Preview`], one group; [`text`], [`markdown`] and [`json`], many; [`Totals`].
//!
//! Invariant: texts of others (names, descriptions, AWS's messages) move no cursor, turn no line and mark nothing up.
//! Invariant: colour and signs carry nothing that the words do not say.

mod json;
mod markdown;
mod text;

pub use json::{PREVIEW_VERSION, json};
pub use markdown::markdown;
pub use text::text;

use std::collections::BTreeMap;

use crate::core::desired::{Desired, Problem};
use crate::core::model::{AccountId, Observed, Region, RuleName};
use crate::core::plan::{Cause, Plan, Report, Restraint, Row, Sheet};

/// What would be done about one group.
#[derive(Clone, Debug)]
pub struct Preview {
    /// `<namespace>/<name>` of its object.
    pub object: String,
    /// Where its manifest is, such as `groups/web.yaml:14`; `None`: in no file.
    pub file: Option<String>,
    /// What was found.
    pub finding: Finding,
}

/// What a look at a group came to.
#[derive(Clone, Debug)]
pub enum Finding {
    /// A plan, which may have nothing in it.
    Planned(Box<Planned>),
    /// The manifest cannot be used.
    Invalid(Vec<Problem>),
    /// There is no saying.
    Stopped {
        /// From the closed list of conditions' reasons.
        reason: String,
        /// What is wrong and what to do.
        message: String,
    },
}

/// A plan, and what it was made from.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Name of the account.
    pub account: String,
    /// Its id.
    pub account_id: AccountId,
    /// The Region.
    pub region: Region,
    /// What is declared, with references looked up.
    pub desired: Desired,
    /// What is live; `None`: the group is to be created.
    pub observed: Option<Observed>,
    /// What may be done.
    pub restraint: Restraint,
    /// What would be done once nothing waits.
    pub plan: Plan,
    /// Everything that differs.
    pub report: Report,
}

impl Planned {
    /// Whether anything differs that is not left alone for good.
    pub fn changes(&self) -> bool {
        !self.plan.is_empty() || !self.report.is_settled() || !self.desired.held.is_empty()
    }

    /// Everything there is to tell of it.
    fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::of(self.observed.as_ref(), &self.restraint, &self.plan, &self.report);
        let waits = |why: &'static str, rules: &BTreeMap<(_, RuleName), String>| -> Vec<(&'static str, String)> {
            rules.iter().map(|((direction, rule), reason)| (why, format!("{direction} rule {rule}: {reason}"))).collect()
        };
        sheet.notes.extend(waits("waits", &self.desired.held));
        sheet.notes.extend(waits("refused", &self.desired.refused));
        sheet
    }
}

/// How much there is of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Groups looked at.
    pub groups: usize,
    /// Groups of which something would be changed, or waits.
    pub changing: usize,
    /// Groups that are to be created.
    pub creating: usize,
    /// Rules and tags to add.
    pub add: usize,
    /// Those to change.
    pub change: usize,
    /// Those to remove.
    pub remove: usize,
    /// Drift to revert.
    pub drift: usize,
    /// Undeclared rules of which no record tells whether they are drift.
    pub undeclared: usize,
    /// Calls that write.
    pub calls: usize,
    /// Groups of which there is no saying, or whose manifest cannot be used.
    pub failed: usize,
}

impl Totals {
    /// Of many groups.
    pub fn of(previews: &[Preview]) -> Self {
        let mut totals = Self { groups: previews.len(), ..Self::default() };
        for preview in previews {
            let Finding::Planned(planned) = &preview.finding else {
                totals.failed += 1;
                continue;
            };
            totals.changing += usize::from(planned.changes());
            totals.creating += usize::from(planned.observed.is_none());
            totals.calls += planned.plan.calls();
            let undeclared = |cause| cause == Cause::Unclassified;
            totals.undeclared += planned.report.differences.iter().filter(|difference| undeclared(difference.cause)).count();
            for Row { direction: _, sign, subject: _, rule: _, why: _ } in planned.sheet().rows {
                match sign {
                    '+' => totals.add += 1,
                    '~' => totals.change += 1,
                    '-' => totals.remove += 1,
                    '!' => totals.drift += 1,
                    _ => {}
                }
            }
        }
        totals
    }

    /// In one line.
    fn sentence(&self) -> String {
        let of = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let Self { groups, changing, creating: _, add, change, remove, drift, undeclared: _, calls: _, failed } = *self;
        let unchanged = groups.saturating_sub(changing).saturating_sub(failed);
        let mut parts = vec![of(changing, "group changes", "groups change"), format!("{unchanged} unchanged")];
        if failed > 0 {
            parts.push(of(failed, "cannot be planned", "cannot be planned"));
        }
        let mut counts = Vec::new();
        for (sign, count, words) in
            [('+', add, "to add"), ('~', change, "to change"), ('-', remove, "to remove"), ('!', drift, "drift to revert")]
        {
            if count > 0 {
                counts.push(format!("{sign} {count} {words}"));
            }
        }
        let counts = if counts.is_empty() { String::new() } else { format!(" {}.", counts.join(", ")) };
        format!("Plan: {}.{counts}", parts.join(", "))
    }
}

/// The header of a group: what it is, where it is, where it is declared.
fn header(preview: &Preview) -> Vec<String> {
    let mut parts = vec![preview.object.clone()];
    if let Finding::Planned(planned) = &preview.finding {
        let id = planned.observed.as_ref().map_or_else(|| "(to be created)".to_owned(), |observed| observed.group.id.to_string());
        parts.extend([id, planned.desired.vpc.to_string()]);
        parts.push(format!("{} of {}", planned.region, planned.account_id));
    }
    parts.extend(preview.file.clone());
    parts
}
