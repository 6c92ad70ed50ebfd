//! `sgwarden check`: what is wrong with manifests, offline.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use jiff::Timestamp;

use crate::adapters::directory::{FileProblem, Id, KindName, Manifest, Source, Survey, survey};
use crate::core::check::{Counts, Finding, Object, Report, Severity, Subject, Told, Unread, judge};
use crate::core::desired::{Referent, ReferentKind};
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::{Output, OutputArgs, print, print_json};

/// The exit code where something is wrong.
const WRONG: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Manifests: a file, a folder with all below it, or - for standard input; may be given several times
    #[arg(short, long = "filename", value_name = "PATH", required = true)]
    filenames: Vec<String>,
    /// There is nothing besides these files: what they refer to and do not declare is an error, not a warning
    #[arg(long)]
    complete: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn main(args: &Args) -> Result<ExitCode, CliError> {
    let clock = Clock::system();
    let begun = clock.instant();
    let sources: Vec<Source> = args.filenames.iter().map(|text| Source::from(text.as_str())).collect();
    let mut survey = survey(&sources);
    if let Some(index) = survey.problems.iter().position(|problem| matches!(problem, FileProblem::Read { path: _, cause: _ })) {
        return Err(CliError::from_error(survey.problems.swap_remove(index)));
    }
    if survey.files() == 0 {
        return Err(CliError::new(format!("there is no YAML or JSON file in {}", args.filenames.join(", "))));
    }
    // What a command that failed leaves in a pipe must not pass.
    if survey.problems.is_empty() && survey.declared.is_empty() && survey.foreign.is_empty() {
        return Err(CliError::new(format!("there is no object in {}", args.filenames.join(", "))));
    }
    let report = report(&survey, args.complete, clock.now());
    match args.output.output {
        Output::Json => print_json(&report.json())?,
        Output::Text => print(&report.text(Some(clock.instant().duration_since(begun)), args.output.colour()))?,
    }
    Ok(if report.count(Severity::Error) > 0 { ExitCode::from(WRONG) } else { ExitCode::SUCCESS })
}

/// Everything that is wrong: with the files, and with what they declare.
fn report(survey: &Survey, complete: bool, now: Timestamp) -> Report {
    let subject = Subject {
        objects: survey.objects.iter().map(|object| as_object(&object.manifest)).collect(),
        unread: unread(survey),
        complete,
        now,
    };
    let findings = judge(&subject);
    let fields: Vec<(usize, &str)> = findings.iter().map(|finding| (finding.object, finding.field.as_str())).collect();
    let places = survey.places(&fields);
    let judged = findings.iter().zip(places).map(|(finding, place)| {
        let Finding { object, field, severity, message } = finding;
        let id = survey.objects.get(*object).map(|object| named(&object.id));
        (place, id, field.clone(), *severity, message.clone())
    });
    let unusable = survey.problems.iter().map(|problem| {
        let (id, field, message) = in_parts(problem);
        (problem.place(), id.map(named), field, Severity::Error, message)
    });
    let told = judged.chain(unusable).map(|(place, object, field, severity, message)| Told {
        file: place.file.display().to_string(),
        line: place.line,
        column: place.column,
        field,
        severity,
        message,
        object,
    });
    let mut objects: BTreeMap<String, usize> = BTreeMap::new();
    for id in &survey.declared {
        let count = objects.entry(id.kind.to_string()).or_default();
        *count = count.saturating_add(1);
    }
    Report::new(Counts { files: survey.files(), objects, foreign: survey.foreign.clone() }, told.collect())
}

/// The object, the field and what is wrong with it: where it stands is in columns of its own.
fn in_parts(problem: &FileProblem) -> (Option<&Id>, String, String) {
    match problem {
        FileProblem::Field { place: _, object, field, message } => (object.as_ref(), field.clone(), message.clone()),
        FileProblem::Twice { place: _, id, first } => {
            (Some(id), "metadata.name".to_owned(), format!("{id} is declared in {first} already: rename one of them, or remove it"))
        }
        FileProblem::Syntax { place: _, message } => (None, String::new(), message.clone()),
        FileProblem::Read { path: _, cause } => (None, String::new(), format!("cannot be read: {cause}")),
        FileProblem::TooLarge { path: _ } => {
            (None, String::new(), "larger than 8 MiB, which no manifest is: split the file".to_owned())
        }
        FileProblem::NotText { path: _, line: _ } => {
            (None, String::new(), "not text in UTF-8: save it as UTF-8, or remove it".to_owned())
        }
    }
}

fn named(id: &Id) -> (String, String, String) {
    (id.kind.to_string(), id.key.namespace.clone(), id.key.name.clone())
}

fn as_object(manifest: &Manifest) -> Object<'_> {
    match manifest {
        Manifest::Namespace(object) => Object::Namespace(object),
        Manifest::AwsAccount(object) => Object::Account(object),
        Manifest::ReferenceGrant(object) => Object::Grant(object),
        Manifest::Notifier(object) => Object::Notifier(object),
        Manifest::CidrSet(object) => Object::CidrSet(object),
        Manifest::SecurityGroup(object) => Object::Group(object),
    }
}

/// What is declared and could not be read.
fn unread(survey: &Survey) -> Unread {
    let mut unread = Unread::default();
    let read: BTreeSet<&Id> = survey.objects.iter().map(|object| &object.id).collect();
    for id in survey.declared.iter().filter(|id| !read.contains(id)) {
        let referent = |kind| Referent { kind, namespace: id.key.namespace.clone(), name: id.key.name.clone() };
        match id.kind {
            KindName::Namespace => drop(unread.namespaces.insert(id.key.name.clone())),
            KindName::AwsAccount => drop(unread.accounts.insert(id.key.name.clone())),
            KindName::CidrSet => drop(unread.referents.insert(referent(ReferentKind::CidrSet))),
            KindName::SecurityGroup => drop(unread.referents.insert(referent(ReferentKind::SecurityGroup))),
            KindName::Notifier | KindName::ReferenceGrant => {}
        }
    }
    unread
}
