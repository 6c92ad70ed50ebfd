//! `sgwarden plan`: what would be done to make EC2 as some manifests say. Nothing is written.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use crate::adapters::directory::{DirectoryObjects, Found, KindName, Source, read_groups, read_sources};
use crate::adapters::kube::{ClusterOptions, connect};
use crate::adapters::telemetry::logs;
use crate::api::SecurityGroup;
use crate::core::preview::{Preview, Totals, json, markdown, text};
use crate::engine::controller::{PreviewParts, preview};
use crate::ports::clock::{Clock, Timings};

use super::controller::aws;
use super::error::CliError;
use super::options::{AwsArgs, cluster_id};
use super::output::{colour, print, print_json, tell};

/// There is something to do.
const CHANGES: u8 = 2;
/// Progress is shown to those who have waited so long.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Manifests: a file, a folder with all below it, or - for standard input; may be given several times
    #[arg(short, long = "filename", value_name = "PATH", required = true)]
    filenames: Vec<String>,
    /// Marks the groups of these manifests; default: the uid of the cluster's namespace kube-system, with --context or --kubeconfig
    #[arg(long, value_name = "ID", value_parser = cluster_id, env = "SGWARDEN_CLUSTER_ID")]
    cluster_id: Option<String>,
    /// Tell drift from change by the state directory of sgwarden run, which may be running
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    state: Option<PathBuf>,
    /// Tell drift from change by the objects of the cluster that this kubeconfig names
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Tell drift from change by the objects of the cluster of this context
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    aws: AwsArgs,
    /// Show what is asked of AWS, on standard error
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    plan: PlanArgs,
    /// For people, for programs, or for a comment in a pull request
    #[arg(long, short, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// No colour, also on a terminal
    #[arg(long, env = "NO_COLOR", hide = true, num_args = 0..=1, default_missing_value = "1")]
    no_color: Option<std::ffi::OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Text.
    Text,
    /// JSON.
    Json,
    /// Markdown, as GitHub and GitLab show it.
    Markdown,
}

pub(super) async fn main(args: Arguments) -> Result<ExitCode, CliError> {
    let previews = args.plan.look().await?;
    match args.output {
        Form::Json => print_json(&json(&previews))?,
        Form::Markdown => print(&markdown(&previews))?,
        Form::Text => {
            print(&text(&previews, colour(args.no_color.as_ref())))?;
            tell("Nothing was written.");
        }
    }
    let totals = Totals::of(&previews);
    Ok(match (totals.failed, totals.changing) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(CHANGES),
        (_, _) => ExitCode::FAILURE,
    })
}

/// What is known of groups beside their manifests, and by what they are told from others'.
struct Recorded {
    groups: Vec<SecurityGroup>,
    cluster: String,
}

impl PlanArgs {
    /// Looks at every group of the manifests.
    pub(super) async fn look(&self) -> Result<Vec<Preview>, CliError> {
        if self.verbose {
            logs::init(logs::Format::Text, "sgwarden=debug", None).map_err(CliError::from_error)?;
        }
        let clock = Clock::system();
        let own = self.aws.own_account()?;
        let (connect, _) = aws(&self.aws, &clock)?;
        let found = self.found()?;
        let Recorded { groups, cluster } = self.recorded().await?;
        let objects = DirectoryObjects::still(&found.manifests, &groups, &clock).map_err(CliError::from_error)?;
        let parts = PreviewParts {
            objects: Arc::new(objects),
            connect,
            clock,
            timings: Timings::default(),
            cluster,
            former_clusters: Vec::new(),
            own,
            concurrency: 16,
        };
        let progress = Progress::begin();
        let mut previews = preview(parts, &|done, of| progress.show(done, of)).await;
        progress.end();
        for preview in &mut previews {
            preview.file = file_of(&found, &preview.object);
        }
        Ok(previews)
    }

    fn found(&self) -> Result<Found, CliError> {
        let sources: Vec<Source> = self.filenames.iter().map(|text| Source::from(text.as_str())).collect();
        let found = read_sources(&sources).map_err(|problems| {
            let count = problems.len().saturating_sub(1);
            let more = if count > 0 { format!(" (and {count} more: sgwarden check -f lists them)") } else { String::new() };
            let first = problems.into_iter().next().map(|problem| CliError::from_error(problem).to_string());
            CliError::new(format!("{}{more}", first.unwrap_or_default()))
        })?;
        // What a command that failed leaves in a pipe is no wish for nothing.
        if !found.manifests.keys().any(|id| id.kind == KindName::SecurityGroup) {
            return Err(CliError::new(format!("there is no SecurityGroup in {}", self.filenames.join(", "))));
        }
        Ok(found)
    }

    async fn recorded(&self) -> Result<Recorded, CliError> {
        let unmarked = || CliError::new("--cluster-id is needed: it marks whose the groups are, as sgwarden run was told it");
        if let Some(state) = &self.state {
            let groups = read_groups(state).map_err(CliError::from_error)?;
            return Ok(Recorded { groups, cluster: self.cluster_id.clone().ok_or_else(unmarked)? });
        }
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Ok(Recorded { groups: Vec::new(), cluster: self.cluster_id.clone().ok_or_else(unmarked)? });
        }
        let options = ClusterOptions { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        let cluster = connect(&options).await.map_err(CliError::from_error)?;
        let id = match &self.cluster_id {
            Some(id) => id.clone(),
            None => cluster.id().await.map_err(CliError::from_error)?,
        };
        let listed = cluster.groups(None).await.map_err(CliError::from_error)?;
        Ok(Recorded { groups: listed.objects, cluster: id })
    }
}

fn file_of(found: &Found, object: &str) -> Option<String> {
    let mut of_groups = found.places.iter().filter(|(id, _)| id.kind == KindName::SecurityGroup);
    of_groups.find(|(id, _)| id.key.to_string() == object).map(|(_, place)| format!("{}:{}", place.file.display(), place.line))
}

/// How far a long look has come, for a person who waits at a terminal.
struct Progress {
    began: tokio::time::Instant,
    shown: AtomicBool,
}

impl Progress {
    fn begin() -> Self {
        Self { began: tokio::time::Instant::now(), shown: AtomicBool::new(false) }
    }

    fn show(&self, done: usize, of: usize) {
        if self.began.elapsed() >= PATIENCE && std::io::stderr().is_terminal() {
            self.shown.store(true, Ordering::Relaxed);
            let _ = write!(std::io::stderr(), "\r{done} of {of} groups read");
        }
    }

    fn end(&self) {
        if self.shown.load(Ordering::Relaxed) {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
