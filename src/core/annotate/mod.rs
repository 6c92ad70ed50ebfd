//! The annotations by which a person lets a plan pass, stops reverts, or has them go on: which one an object gets, or why none.
//! What they mean is `desired`'s to say, who may write them the policy's of the cluster.
//!
//! Entry points: [`approve`], [`suspend`] and [`resume`], of one object each; [`overview`] shows what they would write to many.
//! Before it is written the same is asked of the object as it is then: [`Step::still`].
//!
//! Invariant: what is to be written has been read back by `desired`, and means there what was asked for.
//! Invariant: texts of others move no cursor and turn no line: they go through `presentable`.

mod approve;
mod refusal;
mod suspend;
#[cfg(test)]
mod tests;

pub use approve::approve;
pub use refusal::Refusal;
pub use suspend::{reason, resume, suspend};

use crate::api::SecurityGroup;

/// One annotation of an object, as it was seen and as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its key.
    pub key: &'static str,
    /// What it says now; `None`: it is not there.
    pub before: Option<String>,
    /// What it is to say; `None`: it is taken off.
    pub after: Option<String>,
}

/// What is to be written to an object, and what a person is shown first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is to be written.
    pub annotation: Annotation,
    /// What is said behind the object's name.
    pub label: String,
    /// What is said below it, a line each.
    pub lines: Vec<String>,
}

impl Step {
    /// This step, if it is what is to be done to the object as it is by now.
    pub fn still(&self, now: Result<Step, Refusal>) -> Result<(), Refusal> {
        let now = now?;
        if now.annotation == self.annotation { Ok(()) } else { Err(Refusal::changed(&self.annotation, &now.annotation)) }
    }
}

/// What would be written to several objects, each with its name: objects of which the same is said, together.
pub fn overview(steps: &[(String, Step)]) -> String {
    let mut said: Vec<&[String]> = Vec::new();
    for (_, step) in steps {
        if !said.contains(&step.lines.as_slice()) {
            said.push(&step.lines);
        }
    }
    let block = |lines: &&[String]| {
        let of_it = steps.iter().filter(|(_, step)| step.lines == **lines);
        let names = of_it.map(|(name, step)| format!("{name}   {}\n", step.label));
        names.chain(lines.iter().map(|line| format!("  {line}\n"))).collect::<String>()
    };
    said.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// What an annotation of an object says.
fn value(object: &SecurityGroup, key: &str) -> Option<String> {
    object.metadata.annotations.as_ref()?.get(key).cloned()
}

/// An object as it would be.
fn with(object: &SecurityGroup, key: &'static str, value: Option<&str>) -> SecurityGroup {
    let mut object = object.clone();
    let annotations = object.metadata.annotations.get_or_insert_default();
    match value {
        Some(value) => drop(annotations.insert(key.to_owned(), value.to_owned())),
        None => drop(annotations.remove(key)),
    }
    object
}
