//! Every file of `scenarios/`, and beside it what an operator reads. `UPDATE=1 cargo test --test core goldens` writes the
//! expected texts anew; read the difference as the change in behaviour that it is.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sgwarden::core::audit::{Edits, items};
use sgwarden::core::model::Atom;
use sgwarden::core::plan::{Plan, Purpose, Report, Step, What, pending, render, summary};

use crate::history::{Pass, World};
use crate::scenario::Scenario;

/// Passes until nothing is left to do: one, and two more for a group that is created, taken over or changed bit by bit.
const PASSES: usize = 3;

fn folder() -> PathBuf {
    // Beside this file, wherever the package that runs it lies.
    let beside = Path::new(file!()).parent().unwrap().join("scenarios");
    if beside.is_absolute() { beside } else { Path::new(env!("CARGO_MANIFEST_DIR")).join(beside) }
}

/// The one door: a scenario's text, what is planned and what comes of it.
fn check(text: &str) -> String {
    let scenario = Scenario::read(text);
    let mut world = scenario.world();
    let mut read = format!("{}\n", scenario.title);
    for pass in 1..=PASSES {
        let desired = scenario.desired(world.cloud.group.as_ref());
        // An approval is spent on the pass that it was given for.
        world.restraint.approved = world.plan(&desired).report.approval.filter(|_| scenario.is_approved() && pass == 1);
        let Pass { plan, report } = world.plan(&desired);
        if pass == 1 || !plan.is_empty() {
            let _ = writeln!(read, "\n=== pass {pass}");
            read += &world.with_input(&desired, |input| render(input, &plan, &report));
            if report.waiting().next().is_some() {
                let whole = world.with_input(&desired, pending);
                let _ = writeln!(read, "once approved\n  {}", summary(&whole));
            }
            read += &steps(&plan);
            read += &drift(&report);
            let mut before = world.clone();
            before.crash(&desired, 0);
            lines(&mut read, "vouched before the first write", before.lines().as_deref());
        }
        world.pass(&desired);
        world.restraint.approved = None;
    }
    lines(&mut read, "vouched at the end", world.lines().as_deref());
    finished(&scenario, &world);
    read
}

/// What is planned once more, after all is done, does nothing.
fn finished(scenario: &Scenario, world: &World) {
    let desired = scenario.desired(world.cloud.group.as_ref());
    let again = world.plan(&desired).plan;
    assert!(again.is_empty(), "{}: still to do: {again:#?}", scenario.title);
}

fn lines(text: &mut String, title: &str, lines: Option<&[String]>) {
    let _ = writeln!(text, "{title}{}", if lines.is_none() { ": no baseline" } else { "" });
    for line in lines.unwrap_or_default() {
        let _ = writeln!(text, "  {line}");
    }
}

/// Every call with all that is in it.
fn steps(plan: &Plan) -> String {
    let mut text = String::from("steps\n");
    for step in &plan.steps {
        let name = match step {
            Step::AwaitVisible { direction: _, atoms } => {
                let atoms: Vec<String> = atoms.iter().map(ToString::to_string).collect();
                format!("read until live: {}", atoms.join(", "))
            }
            Step::Settle => "wait until in force".to_owned(),
            Step::Revoke { direction: _, purpose, rules: _ } => {
                let why = match purpose {
                    Purpose::Revert => "revert",
                    Purpose::Replace => "replace",
                    Purpose::Room => "room",
                    Purpose::Deletion => "deletion",
                };
                format!("{} ({why})", step.operation().unwrap())
            }
            Step::CreateGroup(_)
            | Step::DeleteGroup
            | Step::SetTags { tags: _, before: _, cause: _ }
            | Step::RemoveTags { tags: _, cause: _ }
            | Step::Authorize { direction: _, rules: _ }
            | Step::Modify { direction: _, rules: _ }
            | Step::Describe { direction: _, rules: _ } => step.operation().unwrap().to_owned(),
        };
        let _ = writeln!(text, "  {name}");
        if let Step::CreateGroup(new) = step {
            for (key, value) in &new.tags {
                let _ = writeln!(text, "    tag {key}={value}");
            }
        }
        for item in items(step, &Edits::default()) {
            let (before, after) = (item.before.as_deref(), item.after.as_deref());
            let what = match (before, after) {
                (Some(before), Some(after)) if before == after => after.to_owned(),
                (Some(before), Some(after)) => format!("{before} => {after}"),
                (None, Some(after)) => format!("+ {after}"),
                (Some(before), None) => format!("- {before}"),
                (None, None) => "the group".to_owned(),
            };
            let descriptions = match (item.description_before, item.description_after) {
                (None, None) => String::new(),
                (before, after) => format!(" \"{}\" => \"{}\"", before.unwrap_or_default(), after.unwrap_or_default()),
            };
            let id = item.rule_id.map_or_else(String::new, |id| format!("{id} "));
            let rule = item.rule.map_or_else(String::new, |rule| format!(" rule {rule}"));
            let justification = item.justification.map_or_else(String::new, |text| format!(" justified: {text}"));
            let _ = writeln!(text, "    {id}{what}{descriptions} [{}{rule}{justification}]", item.cause);
        }
    }
    text
}

/// What a status would tell of drift.
fn drift(report: &Report) -> String {
    let mut text = String::from("drift\n");
    for difference in report.drifts() {
        let (before, after, id, rule) = match &difference.what {
            What::GroupMissing { recorded } => (recorded.as_ref().map(ToString::to_string), None, None, None),
            What::Missing { atom, declared, last_id } => {
                (Some(atom.to_string()), None, last_id.clone(), Some(declared.rule.clone()))
            }
            What::Extra { live, rule, was } => {
                (was.as_ref().map(Atom::to_string), Some(live.atom.to_string()), Some(live.id.clone()), rule.clone())
            }
            What::Moved { live, atom, declared } => {
                (Some(atom.to_string()), Some(live.atom.to_string()), Some(live.id.clone()), Some(declared.rule.clone()))
            }
            What::Description { live, declared } => {
                let with = |text: &Option<String>| Some(format!("{} \"{}\"", live.atom, text.as_deref().unwrap_or_default()));
                (with(&declared.description), with(&live.description), Some(live.id.clone()), Some(declared.rule.clone()))
            }
            What::Tag { key, live, declared, ownership: _ } => {
                let with = |value: &Option<String>| value.as_ref().map(|value| format!("tag {key}={value}"));
                (with(declared), with(live), None, None)
            }
        };
        let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        let (id, rule) = (id.map(|id| id.to_string()), rule.map(|rule| rule.to_string()));
        let kind = difference.drift().unwrap();
        let held = difference.held.as_ref().map_or_else(String::new, |held| format!(" {held}"));
        let _ = writeln!(text, "  {kind}: {} => {} [{} {}]{held}", part(before), part(after), part(id), part(rule));
    }
    text
}

#[test]
fn every_scenario_has_the_plan_that_is_written_beside_it() {
    let update = std::env::var_os("UPDATE").is_some_and(|update| update == "1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 30, "only {} scenarios", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let expected = path.with_extension("plan.txt");
        let read = check(&std::fs::read_to_string(&path).unwrap());
        if update {
            std::fs::write(&expected, &read).unwrap();
        }
        let written = std::fs::read_to_string(&expected).unwrap_or_default();
        if written != read {
            wrong.push(format!("{}\n--- written\n{written}\n--- now\n{read}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_expected_text_is_left_without_its_scenario() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario = name.strip_suffix(".plan.txt").map_or(path.clone(), |stem| path.with_file_name(format!("{stem}.yaml")));
        assert!(scenario.exists(), "{name} belongs to nothing");
    }
}
