//! What has expired and still stands in a manifest.

use crate::core::desired::Range;

use super::Findings;
use super::set::{Set, rules};

pub(super) fn judge(set: &Set<'_>, findings: &mut Findings) {
    for group in &set.groups {
        // Without a declaration, the time may be what is wrong.
        let Some(declaration) = &group.declaration else { continue };
        for ((path, _), rule) in rules(group.object).iter().zip(&declaration.rules) {
            if let Some(at) = rule.expires_at.filter(|at| *at <= set.now) {
                findings.warning(
                    group.number,
                    format!("{path}.expiresAt"),
                    format!("rule {} expired at {at} and allows nothing: remove it, or write a later time", rule.name),
                );
            }
        }
    }
    for (number, ranges) in &set.sets {
        for (index, Range { net, description: _, expires_at }) in ranges.iter().enumerate() {
            if let Some(at) = expires_at.filter(|at| *at <= set.now) {
                findings.warning(
                    *number,
                    format!("spec.cidrs[{index}].expiresAt"),
                    format!("{net} expired at {at} and allows nothing: remove it, or write a later time"),
                );
            }
        }
    }
}
