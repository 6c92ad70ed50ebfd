//! What is wrong with manifests that no cluster has seen, and with how they go together.
//!
//! Entry points: [`judge`], and [`Report`] for what people and programs read of it. Rooms: `set` (the objects, understood once),
//! `references` (to groups, sets and accounts), `account` (what the account allows), `names` (what may be there once),
//! `size` (quotas), `expiry`, `report`.
//!
//! What an object says by itself is judged by [`crate::core::desired`] alone, so that files and clusters hear one verdict.
//!
//! Invariant: what may lie outside of these files is a warning, unless the caller says that they are complete.
//! Invariant: everything is told at once; one bad object hides nothing of the others.

mod account;
mod expiry;
mod names;
mod references;
mod report;
mod set;
mod size;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;

use crate::api::{AwsAccount, CidrSet, Notifier, ReferenceGrant, SecurityGroup};
use crate::core::desired::{Problem, Referent, parse_notifier, suspend_of};

use set::Set;

pub use report::{Counts, Report, Told};

/// An object that is declared.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// A namespace: its labels and annotations.
    Namespace(&'a Namespace),
    /// An account.
    Account(&'a AwsAccount),
    /// A permission to refer.
    Grant(&'a ReferenceGrant),
    /// Whom to tell.
    Notifier(&'a Notifier),
    /// A list of ranges.
    CidrSet(&'a CidrSet),
    /// A group.
    Group(&'a SecurityGroup),
}

/// What is judged.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The objects. One that is there twice is judged twice; others refer to the first.
    pub objects: Vec<Object<'a>>,
    /// Objects that are declared and could not be read: what refers to them is not wrong for that.
    pub unread: Unread,
    /// Whether there is nothing besides these objects: then what is not here is nowhere.
    pub complete: bool,
    /// Now.
    pub now: Timestamp,
}

/// Names of objects that are declared and could not be read.
#[derive(Clone, Debug, Default)]
pub struct Unread {
    /// Groups and sets.
    pub referents: BTreeSet<Referent>,
    /// Accounts.
    pub accounts: BTreeSet<String>,
    /// Namespaces.
    pub namespaces: BTreeSet<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot work.
    Error,
    /// It may work, or does otherwise than it reads.
    Warning,
}

impl Severity {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// With which object, by its number in [`Subject::objects`].
    pub object: usize,
    /// The path of the field.
    pub field: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// Everything that is wrong, object by object.
pub fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Findings { found: Vec::new(), complete: subject.complete };
    let set = Set::of(subject, &mut findings);
    for (number, object) in subject.objects.iter().enumerate() {
        match object {
            Object::Notifier(notifier) => {
                findings.problems(number, parse_notifier(notifier).err());
                references::of_notifier(number, notifier, &set, &mut findings);
            }
            Object::Group(group) => {
                // It suspends nothing, and keeps nothing else from working.
                if let (_, Some(Problem { path, message })) = suspend_of(group) {
                    findings.warning(number, path, message);
                }
            }
            Object::Namespace(_) | Object::Account(_) | Object::Grant(_) | Object::CidrSet(_) => {}
        }
    }
    references::of_groups(&set, &mut findings);
    account::judge(&set, &mut findings);
    names::judge(&set, &mut findings);
    size::judge(&set, &mut findings);
    expiry::judge(&set, &mut findings);
    let mut found = findings.found;
    found.sort_by_key(|finding| finding.object);
    found
}

/// What was found so far.
struct Findings {
    found: Vec<Finding>,
    complete: bool,
}

impl Findings {
    fn error(&mut self, object: usize, field: impl Into<String>, message: impl Into<String>) {
        self.add(object, field, Severity::Error, message);
    }

    fn warning(&mut self, object: usize, field: impl Into<String>, message: impl Into<String>) {
        self.add(object, field, Severity::Warning, message);
    }

    /// What is wrong only if there is nothing besides these objects.
    fn unless_elsewhere(&mut self, object: usize, field: impl Into<String>, message: impl Into<String>) {
        let severity = if self.complete { Severity::Error } else { Severity::Warning };
        self.add(object, field, severity, message);
    }

    /// What an object says by itself.
    fn problems(&mut self, object: usize, problems: Option<Vec<Problem>>) {
        for Problem { path, message } in problems.into_iter().flatten() {
            self.error(object, path, message);
        }
    }

    fn add(&mut self, object: usize, field: impl Into<String>, severity: Severity, message: impl Into<String>) {
        self.found.push(Finding { object, field: field.into(), severity, message: message.into() });
    }
}
